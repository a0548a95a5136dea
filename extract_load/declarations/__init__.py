"""The declarations of landed tables: `config.meta` in models/staging/*/_*__sources.yml, read without dbt and checked.

dbt reads the same entries from its graph. A wrong one is named with its file, its table, its field and what would be
right, all wrong ones at once. `common` has the fields of every table, and `postgres`, `api` and `files` those of each
connector, with what contradicts itself: here and not in the connectors, so that a DAG file reads them without what
the connectors need.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import ValidationError

from extract_load.declarations.api import Api
from extract_load.declarations.common import Declaration
from extract_load.declarations.files import Files
from extract_load.declarations.mistakes import Wrong, one_of, wrong_of_fields
from extract_load.declarations.postgres import Postgres
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT

STAGING = PROJECT / "models" / "staging"

# What `python -m extract_load` takes in the place of a source.
RESERVED = ("all", "prepare", "discover", "check", "reconcile")
# Its schema in raw is that of the pipeline's own runs, which dbt lands (`raw.sql`).
OURS = "operations"
# Other packages bring connectors with entry points of this group.
GROUP = "storehouse.connectors"

Model = TypeVar("Model", bound=Declaration)

MODELS: dict[str, type[Declaration]] = {"postgres": Postgres, "api": Api, "files": Files}

# PostgreSQL cuts a longer one, and two of them may be the same then.
LONGEST_NAME = 63
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def model_of(connector: str) -> type[Declaration] | None:
    """What a declaration for this connector must be; None: there is no such connector.

    Raises:
        StorehouseError: a package brings the connector, and it has no `Declaration`.
    """
    if connector in MODELS:
        return MODELS[connector]
    if not (found := entry_points(group=GROUP, name=connector)):
        return None
    model = getattr(found[connector].load(), "Declaration", None)
    if not (isinstance(model, type) and issubclass(model, Declaration)):
        raise StorehouseError(
            f"The connector {connector} ({found[connector].value}) has no Declaration, which must be a class derived "
            "from extract_load.declarations.Declaration."
        )
    return model


class Declared(NamedTuple):
    """A table: the name of its source, its own, and what is declared of it."""

    source: str
    name: str
    declaration: Declaration


def read_declarations(staging: Path) -> list[Declared]:
    """The tables that the sources below this folder declare, in the order they are landed.

    Databases, then APIs, then files, then what other connectors read, each by the name of the source; the tables of a
    source as its file has them.

    Raises:
        StorehouseError: a declaration is wrong; a line for each mistake.
    """
    tables: list[Declared] = []
    mistakes: list[str] = []
    sources: dict[str, str] = {}
    for path in sorted(staging.glob("*/_*__sources.yml")):
        file = str(path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path.relative_to(staging))
        for source in _sources(path, file, mistakes):
            name = str(source.get("name"))
            if name in sources:
                mistakes.append(f"{file}: {name}: name: {sources[name]} declares this source too; keep one of them")
            elif found := list(_landed(source, file, mistakes)):
                sources[name] = file
                tables += found
    if mistakes:
        raise StorehouseError("\n".join(mistakes))
    rank = {connector: number for number, connector in enumerate(MODELS)}
    return sorted(tables, key=lambda table: (rank.get(table.declaration.connector, len(rank)), table.source))


def as_declared(model: type[Model], meta: dict[str, Any]) -> Model:
    """What is declared in no file yet: fields with which a source is looked at, and what all declarations need.

    Raises:
        StorehouseError: a field is wrong; a line for each mistake.
    """
    needed = {
        "key": ["_"],
        "columns": ["_"],
        "read": "full",
        "refused": {"limit_percent": 5, "least_refused": 20, "reason": "As the other tables"},
        "freshness": {"warn_hours": 26, "error_hours": 194, "reason": "As the other tables"},
    }
    try:
        return model.model_validate(needed | meta)
    except ValidationError as error:
        lines = [f"{field}: {words}" for field, words in wrong_of_fields(error, model)]
        raise StorehouseError("\n".join(lines)) from None


class _Loader(yaml.CSafeLoader):
    """YAML of which nothing is lost: of a field that stands twice only the last would be left."""

    def get_single_node(self) -> yaml.Node | None:
        """The document.

        Raises:
            yaml.MarkedYAMLError: a mapping has a field twice.
        """
        document = super().get_single_node()
        nodes, seen = [document], set()
        for node in nodes:
            if id(node) in seen or not isinstance(node, yaml.CollectionNode):
                continue
            seen.add(id(node))
            names = set()
            for item in node.value:
                name, value = item if isinstance(node, yaml.MappingNode) else (None, item)
                nodes.append(value)
                if name and name.value in names:
                    words = f"{name.value} stands twice; keep one of them"
                    raise yaml.MarkedYAMLError(problem=words, problem_mark=name.start_mark)
                if isinstance(name, yaml.ScalarNode):
                    names.add(name.value)
        return document


def _sources(path: Path, file: str, mistakes: list[str]) -> list[dict]:
    """The entries of a file; what is no mapping becomes a mistake, in words."""
    try:
        content = yaml.load(path.read_text(), Loader=_Loader)
    except UnicodeDecodeError:
        mistakes.append(f"{file}: it is not UTF-8")
        return []
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        mistakes.append(f"{file}{where}: it is not YAML: {getattr(error, 'problem', None) or type(error).__name__}")
        return []
    entries = content.get("sources") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        mistakes.append(f"{file}: sources: it must be a list of sources, each with name, schema, config and tables")
        return []
    return entries


def _landed(source: dict, file: str, mistakes: list[str]) -> Iterator[Declared]:
    """The tables of a source that extract-load lands; none of one that has no `connector` and is not of raw."""
    name, schema = source.get("name"), source.get("schema")
    common, tables = _meta(source), source.get("tables")
    tables = tables if isinstance(tables, list) and all(isinstance(table, dict) for table in tables) else []
    is_of_raw = str(schema).startswith("raw_") and schema != f"raw_{OURS}"
    is_landed = is_of_raw or "connector" in common or any("connector" in _meta(t) for t in tables)
    if not is_landed:
        return

    def tell(table: object, found: Iterable[Wrong]) -> bool:
        label = f"{name}.{table}" if table else name
        lines = [f"{file}: {label}: {field}: {words}" for field, words in found]
        mistakes.extend(lines)
        return bool(lines)

    if tell(None, _wrong_of_source(source, tables)):
        return
    seen, partitions = set(), []
    for table in tables:
        if tell(table.get("name"), _wrong_of_entry(source, table, seen)):
            continue
        seen.add(table["name"])
        given = common | _meta(table)
        model = model_of(given["connector"])
        assert model
        try:
            declaration = model.model_validate(given)
        except ValidationError as error:
            tell(table["name"], wrong_of_fields(error, model))
            continue
        partitions.append(getattr(declaration, "partitions", {}))
        found = [*declaration.wrong(), *_wrong_of_tags(declaration, table)]
        if partitions[-1] != partitions[0]:
            found.append(Wrong("partitions", _SAME))
        if not tell(table["name"], found):
            yield Declared(str(name), table["name"], declaration)


def _meta(entry: dict) -> dict:
    config = entry.get("config")
    meta = config.get("meta") if isinstance(config, dict) else None
    return meta if isinstance(meta, dict) else {}


_SAME = "all tables of a source have the same; declare the others as a source of their own"


def _wrong_of_source(source: dict, tables: list[dict]) -> Iterator[Wrong]:
    name = source.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield Wrong("name", "it must be lower case letters, digits and _, such as shop")
    elif name in RESERVED:
        yield Wrong("name", f"{name} is a word of the command; choose another")
    elif name == OURS:
        yield Wrong("name", f"raw_{name} is where the pipeline's own runs land; choose another")
    elif source.get("schema") != f"raw_{name}":
        yield Wrong("schema", f"it must be raw_{name}, where the source lands")
    if not tables:
        yield Wrong("tables", "it must be a list of tables, each with name and config")
    for field in ("connector", "connection"):
        if len({str((_meta(source) | _meta(table)).get(field)) for table in tables}) > 1:
            yield Wrong(field, _SAME)
    metas = [_meta(source) | _meta(table) for table in tables]
    for field in ("publication", "slot", "wal", "failover"):
        if len({str(meta.get(field)) for meta in metas if meta.get("read") == "change_log"}) > 1:
            yield Wrong(field, _SAME)


def _wrong_of_entry(source: dict, table: dict, seen: set[str]) -> Iterator[Wrong]:
    """What is wrong with the form of an entry, before its fields are looked at."""
    name, given = table.get("name"), _meta(source) | _meta(table)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield Wrong("name", "it must be lower case letters, digits and _, such as orders")
    elif name in seen:
        yield Wrong("name", "it stands twice; keep one of them")
    elif len(judged := f"judged_{source['name']}__{name}") > LONGEST_NAME:
        yield Wrong("name", f"it is too long: {judged} would have more than {LONGEST_NAME} characters")
    if "meta" in table or "meta" in source:
        yield Wrong("meta", "write it under config: config: {meta: {…}}")
    if "identifier" in table:
        yield Wrong("identifier", "leave it out: a table lands under its name; its name at the source is meta.table")
    connector = given.get("connector")
    if connector is None:
        yield Wrong("connector", f"it is missing; write {one_of(MODELS)}")
    elif not model_of(str(connector)):
        yield Wrong("connector", f"it must be {one_of(MODELS)}, or a connector that an installed package brings")
    for field in _rendered(given):
        yield Wrong(field, "extract-load reads it without dbt: write the value itself, without {{ … }}")


def _rendered(value: object, field: str = "") -> Iterator[str]:
    """The fields with Jinja in them."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _rendered(inner, f"{field}.{name}" if field else str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _rendered(inner, field)
    elif isinstance(value, str) and re.search(r"{[{%]", value):
        yield field


def _wrong_of_tags(declaration: Declaration, table: dict) -> Iterator[Wrong]:
    """The columns' `pii` names what the table has: a column, or a path in the record."""
    known = declaration.may_be_personal
    for column in table.get("columns") or ():
        tags = _meta(column).get("pii") if isinstance(column, dict) else None
        if tags is None:
            continue
        field = f"columns.{column.get('name')}.pii"
        if not declaration.is_record:
            if column.get("name") not in known or not isinstance(tags, str):
                yield Wrong(field, "it must be the kind of value (email, name, …) of one of the columns in meta")
        elif column.get("name") != "payload" or not isinstance(tags, dict):
            yield Wrong(field, "of a record it stands at payload, a kind for each path, such as {buyer.email: email}")
        else:
            for path in tags:
                if str(path).partition(".")[0] not in known:
                    yield Wrong(field, f"{path} is no path that begins with one of the columns in meta")
