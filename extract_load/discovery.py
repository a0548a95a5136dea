"""`discover` and `check`: a source as YAML to paste, and what differs between a source and its declaration.

The connectors look; here is what they all share: what is asked for, under which names, and the YAML.
"""

import os
import re
import tempfile
from pathlib import Path, PurePosixPath
from textwrap import indent
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import yaml
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from extract_load import tables
from extract_load.connectors import Found, connector
from extract_load.declarations import STAGING, read_declarations
from extract_load.guesses import plain
from extract_load.tables import Table
from storehouse.core.errors import StorehouseError, telling_no_values
from storehouse.core.settings import PROJECT, VARIABLE, settings
from storehouse.core.shown import printable, shown

# Valid, so that what is printed lands; a person decides.
UNDECIDED = "Not decided yet: edit the numbers and say why"
DEFAULTS = {
    "refused": {"limit_percent": 5, "least_refused": 20, "reason": UNDECIDED},
    "freshness": {"warn_hours": 50, "error_hours": 194, "reason": UNDECIDED},
}
# What tables differ in; the rest, where it is the same of all, stands once at the source.
OF_TABLE = {
    "table",
    "path",
    "files",
    "key",
    "read",
    "version",
    "deleted",
    "columns",
    "optional",
    "person",
    "statistics",
}
OF_TABLE |= DEFAULTS.keys()
_ENDING = re.compile(r"\.(csv|tsv|txt|parquet|jsonl?|ndjson)(\.(gz|zst|zstd|bz2|xz))?$", re.IGNORECASE)


@telling_no_values()
def discover(what: str, name: str | None = None, by: str | None = None, meta: dict[str, Any] | None = None) -> str:
    """The declaration of a source as it looks now, as YAML with comments on what is not sure.

    Args:
        what: a declared source, a URL (or folder), or a variable that holds one.
        name: what the source is called; by default as `what` says.
        by: the connector; by default as the URL says.
        meta: fields that narrow it, such as the path of an API.

    Raises:
        StorehouseError: there is no such thing, it can't be read, or has nothing to land.
    """
    note, asked = "", [(None, dict(meta or {}))]
    if VARIABLE.fullmatch(what):
        connection, place = what, settings().place(what)
        name = name or plain(re.sub(r"(_DATABASE)?_(URL|URI|DSN)$", "", what), "source")
    elif "/" not in what and (declared := tables.tables_of(what)):
        connection, place = declared[0].connection, settings().place(declared[0].connection, what)
        name, by, asked = name or what, by or declared[0].connector, _of_declared(declared, meta or {})
    elif "/" in what or Path(what).exists():
        # What is split off may have said it: a file behind a web server.
        by, (place, narrowed) = by or _connector_of(what), _split(what)
        name = name or _name_of(place)
        connection = f"{name.upper()}_{'DATABASE_URL' if _connector_of(what) == 'postgres' else 'URL'}"
        # Of this process: the connector looks it up as in a load.
        os.environ[connection] = place
        note = f"Set {connection} to {shown(place)}, with user and password if it needs them."
        asked = [(None, narrowed | (meta or {}))]
    else:
        raise StorehouseError(
            f"{printable(what)} is no declared source, no URL and no variable. Declared: {', '.join(tables.SOURCES)}."
        )
    by = by or _connector_of(place)
    look = getattr(connector(by), "discover", None)
    if not look:
        raise StorehouseError(f"The connector {by} can't discover. Write the declaration by hand: docs/sources.md.")
    found = [
        table._replace(name=known or table.name, meta={"connector": by, "connection": connection} | table.meta)
        for known, narrowed in asked
        for table in look(connection, narrowed)
    ]
    return _with_mistakes(name, _heading(name, note), _written(name, found))


@telling_no_values()
def differences(source: str) -> dict[str, list[str]]:
    """What differs between each table of a source and its declaration, in words; read as a load would read it.

    Raises:
        StorehouseError: there is no such source, or a table can't be read at all; what differs in the others.
    """
    if not (declared := tables.tables_of(source)):
        raise StorehouseError(f"There is no source {source}. There is: {', '.join(tables.SOURCES)}.")
    settings().place(declared[0].connection, source)
    look = getattr(connector(declared[0].connector), "check", None)
    if not look:
        raise StorehouseError(f"The connector {declared[0].connector} can't check a source: land it.")
    found = {}
    for table in declared:
        try:
            found[table.label] = look(table)
        except StorehouseError as error:
            found[table.label] = [str(error)]
    return found


def _of_declared(declared: list[Table], more: dict[str, Any]) -> list[tuple[str | None, dict[str, Any]]]:
    """What is asked for of a declared source: all of a database; of an API or a folder each table, under its name."""
    metas = [table.declaration.model_dump(by_alias=True, exclude_unset=True) for table in declared]
    shared = {field: value for field, value in _shared(metas).items() if field not in ("connector", "connection")}
    if not declared[0].declaration.is_record:
        return [(None, shared | more)]
    narrowed = ({field: meta[field] for field in ("path", "files") if field in meta} for meta in metas)
    return [(table.name, shared | of | more) for table, of in zip(declared, narrowed, strict=True)]


def _split(what: str) -> tuple[str, dict[str, Any]]:
    """The place that a variable should hold, and what of a URL the declaration says."""
    by, parts = _connector_of(what), urlsplit(what)
    if by == "api":
        narrowed = {"path": parts.path.rstrip("/")} if parts.path.strip("/") else {}
        return urlunsplit((parts.scheme, parts.netloc, "", "", "")), narrowed
    if by == "files" and _ENDING.search(what):
        folder, _, file = what.rpartition("/")
        return folder or ".", {"files": file}
    return what, {}


def _connector_of(place: str) -> str:
    scheme = urlsplit(place).scheme
    if scheme in ("postgres", "postgresql"):
        return "postgres"
    if scheme in ("http", "https") and not _ENDING.search(urlsplit(place).path):
        return "api"
    try:
        return "postgres" if not scheme and "=" in place and conninfo_to_dict(place) else "files"
    except ProgrammingError:
        return "files"


def _name_of(place: str) -> str:
    """A name for a source: its database, its host without `api` and `com`, or its folder."""
    by, parts = _connector_of(place), urlsplit(place)
    if by == "postgres":
        return plain(str(conninfo_to_dict(place).get("dbname", "database")), "source")
    if by == "api":
        words = (parts.hostname or "").split(".")
        return plain(words[-2] if len(words) > 1 and not words[-1].isdigit() else "api", "source")
    # Not its netloc, which may have a password.
    return plain(PurePosixPath(parts.path).name or parts.hostname or "files", "source")


def _shared(metas: list[dict[str, Any]]) -> dict[str, Any]:
    """The fields that are the same in all of them and not a table's own."""
    first, *others = metas
    return {
        field: value
        for field, value in first.items()
        if field not in OF_TABLE and all(field in other and other[field] == value for other in others)
    }


def _heading(name: str, note: str) -> list[str]:
    file = STAGING / name / f"_{name}__sources.yml"
    where = file.relative_to(PROJECT)
    lines = [f"{where} is there already: compare." if file.exists() else f"Put this into {where}."]
    lines += [note] if note else []
    return [
        *lines,
        "Read what stands behind each #, decide, and take the # away.",
        f"Then: make check-source SOURCE={name}",
    ]


def _written(name: str, found: list[Found]) -> str:
    shared = _shared([table.meta for table in found])
    lines = [
        "sources:",
        f"  - name: {name}",
        f"    description: What {name} has, landed unchanged.",
        f"    schema: raw_{name}",
        "    config:",
        "      meta:",
        *(_field(field, value, 8) for field, value in shared.items()),
        "    tables:",
    ]
    for table in found:
        own = {field: value for field, value in table.meta.items() if field not in shared} | {
            field: value for field, value in DEFAULTS.items() if field not in table.meta
        }
        lines += [
            f"      - name: {table.name}",
            f"        description: Landed rows of {table.name}.",
            "        config:",
            "          meta:",
        ]
        for field, value in own.items():
            lines += _comment(field, table)
            lines.append(_field(field, value, 12))
        for field in table.unsure.keys() - own.keys() - {"pii"}:
            lines += _comment(field, table)
        lines += _tags(table)
    return "\n".join(lines) + "\n"


def _comment(field: str, table: Found) -> list[str]:
    return [f"{' ' * 12}# {field}: {printable(table.unsure[field])}"] if field in table.unsure else []


def _tags(table: Found) -> list[str]:
    """The columns that look personal, each with its kind."""
    if not table.personal and "pii" not in table.unsure:
        return []
    lines = [f"        # pii: {printable(table.unsure['pii'])}"] if "pii" in table.unsure else []
    if not table.personal:
        return lines
    is_record = not isinstance(table.meta.get("columns"), dict)
    columns = {"payload": dict(table.personal)} if is_record else table.personal
    is_what = "The record. If it cannot be read as a JSON object, its text is in `_unreadable`."
    lines.append("        columns:")
    for column, kind in columns.items():
        lines.append(f"          - {_dumped({'name': column}, False)}")
        lines.append(f"            description: {is_what if is_record else 'As the source has it.'}")
        lines.append(f"            config: {_dumped({'meta': {'pii': kind}}, True)}")
    return lines


def _field(name: str, value: object, at: int) -> str:
    """A field and its value as YAML: on a line, but typed columns, which have a line each."""
    is_long = name == "columns" and isinstance(value, dict)
    text = _dumped({name: value}, is_flow=False if is_long or not isinstance(value, dict | list) else None)
    return indent(text, " " * at)


def _dumped(value: object, is_flow: bool | None) -> str:
    """YAML: `is_flow` None keeps only the innermost lists and mappings on a line."""
    text = yaml.safe_dump(value, default_flow_style=is_flow, width=110, sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n")


def _with_mistakes(name: str, heading: list[str], text: str) -> str:
    """The YAML under its heading, which also says what is still wrong with it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, name, f"_{name}__sources.yml")
        file.parent.mkdir()
        file.write_text(text)
        try:
            read_declarations(Path(folder))
        except StorehouseError as error:
            heading.append("As it is it would be refused:")
            heading += [line.partition(": ")[2] for line in str(error).splitlines()]
    return "".join(f"# {printable(line)}\n" for line in heading) + text
