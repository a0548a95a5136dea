"""The declarations of landed tables: `config.meta` in models/staging/*/_*__sources.yml, read without dbt and checked.

dbt reads the same entries from its graph. A wrong one is named with its file, its table, its field and what would be
right, all wrong ones at once.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT, VARIABLE

STAGING = PROJECT / "models" / "staging"

# Columns that raw gives itself.
OWN_COLUMNS = {"_load_id", "_row", "_op", "_partition", "_file", "_line"}
# What else of a record can be personal than its members: the text of one that could not be read.
UNREADABLE = "_unreadable"

# Other packages bring connectors with entry points of this group.
GROUP = "storehouse.connectors"

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PERSON = re.compile(r"[^{}]*{([^{}]+)}")

Words = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Words], Field(min_length=1)]
Type = Literal["text", "boolean", "integer", "numeric", "timestamptz"]
Kind = Literal["updated_at", "interval", "full"]  # `change_log` (logical decoding) will be the fourth.
Variable = Annotated[str, Field(pattern=f"^{VARIABLE.pattern}$")]


class _Strict(BaseModel, frozen=True):
    # `5` is a number and `"5"` is not; a word that nobody knows is a mistake.
    model_config = ConfigDict(extra="forbid", strict=True)


class RefusedLimit(_Strict, frozen=True):
    """Above this share of refused records a build stops at the table's staging model."""

    limit_percent: float = Field(ge=0, le=100, description="the highest percentage of one run's records, such as 5")
    least_refused: int = Field(ge=1, description="fewer refused records than this never stop a build, such as 20")
    reason: Words = Field(description="why the limit is this high, in words")


class Freshness(_Strict, frozen=True):
    """For how long the table may have nothing new while other tables do."""

    warn_hours: int = Field(ge=1, description="hours until a test warns, such as 26")
    error_hours: int = Field(ge=1, description="hours until the run fails, such as 194")
    reason: Words = Field(description="why these hours, in words")


class Declaration(_Strict, frozen=True):
    """What every declared table says, however it is read. A connector's own has more fields, or narrower ones."""

    connector: str
    connection: Variable = Field(
        description="the name of the variable that says where the source is, never its value: such as SHOP_DATABASE_URL"
    )
    key: Names = Field(description="the columns that identify a row at the source, such as [order_id]")
    person: str | None = Field(default=None, description="whose a row is, such as web-{customer_id}")
    refused: RefusedLimit = Field(
        description="the share of refused records that stops a build: {limit_percent: 5, least_refused: 20, reason: …}"
    )
    freshness: Freshness = Field(
        description="how long nothing new is normal: {warn_hours: 26, error_hours: 194, reason: …}"
    )
    statistics: dict[str, Literal["text", "code", "number"]] = Field(
        default_factory=dict, description="columns of the judged model, each text, code or number"
    )
    read: Kind
    version: str | None = Field(default=None, description="the column that grows with every change: updated_at")
    deleted: str | None = Field(default=None, description="the column that tells a delete")
    # Typed columns, or the members of a record that lands as one `payload`.
    columns: Mapping[str, Type] | Sequence[str]

    @property
    def place(self) -> str | None:
        """Where the table is at the source; None: under its own name."""
        return None

    @property
    def is_record(self) -> bool:
        """Whether a row lands as one `payload`, and not in columns of its own."""
        return not isinstance(self.columns, Mapping)


class Postgres(Declaration, frozen=True):
    """A table or view of a database."""

    schema_: Words = Field(
        default="public", alias="schema", description="a schema, or the variable that names it, such as SHOP_SCHEMA"
    )
    table: Words | None = Field(default=None, description="its name at the source, if that is another")
    read: Literal["full", "updated_at"]
    version: Words | None = Field(default=None, description="the column that grows with every change: updated_at")
    deleted: Words | None = Field(default=None, description="the column with the time of a delete: deleted_at")
    columns: dict[str, Type] = Field(
        min_length=1, description="names and types, such as {order_id: text}; text takes any type"
    )
    optional: list[str] = Field(default_factory=list, description="those of the columns that the source may lack")

    @property
    def place(self) -> str | None:
        """Its name, where that is another."""
        return self.table


class Api(Declaration, frozen=True):
    """The records of an API that answers as docs/sources.md says."""

    path: str = Field(pattern=r"^/[A-Za-z0-9._~/-]*$", description="the path below the connection, such as /orders")
    read: Literal["interval"]
    version: Literal["updated_at"] = Field(description="the member that grows with every change")
    deleted: Words = Field(description="the member that is true of a deleted record, such as deleted")
    columns: Names = Field(description="the members of a record, such as [order_id, updated_at]")
    partitions: dict[Words, Names] = Field(
        default_factory=dict,
        max_length=1,
        description="the parameter that asks for a part, and its values, such as {region: [us, eu]}",
    )

    @property
    def place(self) -> str:
        """The path."""
        return self.path


class Files(Declaration, frozen=True):
    """Files in day folders."""

    files: Literal["sales/year=*/month=*/day=*/*"] = Field(description="the pattern of the files")
    read: Literal["interval"]
    version: Words = Field(description="the column that grows with every change, such as updated_at")
    deleted: Words = Field(description="the column that is true of a row that was taken back, such as is_void")
    columns: Names = Field(description="the columns of a file, such as [store_id, updated_at]")

    @property
    def place(self) -> str:
        """The pattern."""
        return self.files


MODELS: dict[str, type[Declaration]] = {"postgres": Postgres, "api": Api, "files": Files}


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


class Wrong(NamedTuple):
    """A mistake: the field and what is wrong with it, or would be right."""

    field: str
    words: str


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
    own = list(MODELS)
    rank = {connector: number for number, connector in enumerate(own)}
    return sorted(tables, key=lambda table: (rank.get(table.declaration.connector, len(own)), table.source))


def _sources(path: Path, file: str, mistakes: list[str]) -> list[dict]:
    """The entries of a file; what is no mapping becomes a mistake, in words."""
    try:
        content = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
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
    is_landed = str(schema).startswith("raw_") or "connector" in common or any("connector" in _meta(t) for t in tables)
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
            tell(table["name"], _wrong_of_fields(error, model))
            continue
        partitions.append(getattr(declaration, "partitions", {}))
        found = [*_wrong_together(declaration, table)]
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
    elif source.get("schema") != f"raw_{name}":
        yield Wrong("schema", f"it must be raw_{name}, where the source lands")
    if not tables:
        yield Wrong("tables", "it must be a list of tables, each with name and config")
    for field in ("connector", "connection"):
        if len({str((_meta(source) | _meta(table)).get(field)) for table in tables}) > 1:
            yield Wrong(field, _SAME)


def _wrong_of_entry(source: dict, table: dict, seen: set[str]) -> Iterator[Wrong]:
    """What is wrong with the form of an entry, before its fields are looked at."""
    name, given = table.get("name"), _meta(source) | _meta(table)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield Wrong("name", "it must be lower case letters, digits and _, such as orders")
    elif name in seen:
        yield Wrong("name", "it stands twice; keep one of them")
    if "meta" in table or "meta" in source:
        yield Wrong("meta", "write it under config: config: {meta: {…}}")
    if "identifier" in table:
        yield Wrong("identifier", "leave it out: a table lands under its name; its name at the source is meta.table")
    connector = given.get("connector")
    if connector is None:
        yield Wrong("connector", f"it is missing; write {_one_of(MODELS)}")
    elif not model_of(str(connector)):
        yield Wrong("connector", f"it must be {_one_of(MODELS)}, or a connector that an installed package brings")
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


_SAID = {
    "missing": "it is missing",
    "model_type": "it must be a mapping",
    "dict_type": "it must be a mapping",
    "list_type": "it must be a list",
    "too_short": "it must not be empty",
    "string_too_short": "it must not be empty",
    "string_pattern_mismatch": "it has another form",
}


def _wrong_of_fields(error: ValidationError, model: type[Declaration]) -> Iterator[Wrong]:
    """pydantic's errors in our words, without the value that was given: it may be a secret in the wrong place."""
    known = [field.alias or name for name, field in model.model_fields.items()]
    for found in error.errors(include_url=False, include_input=False, include_context=False):
        place = [str(step) for step in found["loc"] if step != "[key]"]
        field = ".".join(place)
        if found["type"] == "extra_forbidden":
            names = known if len(place) == 1 else list(_inner(model, place[0]))
            near = get_close_matches(place[-1], names, n=1, cutoff=0.75)
            hint = f"is it {near[0]}?" if near else f"there are {', '.join(names)}"
            yield Wrong(field, f"there is no such field here; {hint}")
            continue
        words = _SAID.get(found["type"]) or found["msg"].replace("Input should", "it must")
        if hint := _description(model, place):
            words += f"; it is {hint}"
        yield Wrong(field, words)


def _inner(model: type[Declaration], field: str) -> dict[str, Any]:
    """The fields of a field that has some."""
    inner = model.model_fields[field].annotation
    return inner.model_fields if isinstance(inner, type) and issubclass(inner, BaseModel) else {}


def _description(model: type[Declaration], place: list[str]) -> str | None:
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    field = fields.get(place[0])
    inner = _inner(model, place[0]).get(place[1]) if field and len(place) > 1 else None
    return (inner or field).description if field else None


def _wrong_together(declaration: Declaration, table: dict) -> Iterator[Wrong]:
    """What is wrong although each field alone is right."""
    columns = list(declaration.columns)
    for field, names in _named(declaration).items():
        for name in names:
            if name not in columns:
                near = get_close_matches(name, columns, n=1)
                yield Wrong(field, f"{name} is not among its columns" + (f"; is it {near[0]}?" if near else ""))
    for field, names in {"columns": columns, "key": declaration.key}.items():
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Wrong(field, f"{name} stands twice; keep one of them")
    for name in sorted(OWN_COLUMNS & set(columns)):
        yield Wrong("columns", f"{name} is a name that raw uses for itself; read a view that names it otherwise")
    if declaration.freshness.error_hours <= declaration.freshness.warn_hours:
        yield Wrong("freshness.error_hours", "it must be more than warn_hours")
    if isinstance(declaration, Postgres):
        yield from _wrong_of_postgres(declaration)
    if isinstance(declaration, Api):
        for name, values in declaration.partitions.items():
            if len(set(values)) < len(values) or any("/" in value for value in values):
                yield Wrong(f"partitions.{name}", "each value must be there once and have no /")
    yield from _wrong_of_personal(declaration, table)


def _named(declaration: Declaration) -> dict[str, list[str]]:
    """The columns that the other fields name."""
    named = {"key": declaration.key, "optional": getattr(declaration, "optional", [])}
    return named | {field: [name] for field in ("version", "deleted") if (name := getattr(declaration, field))}


def _wrong_of_postgres(declaration: Postgres) -> Iterator[Wrong]:
    if declaration.read == "full":
        if declaration.version:
            yield Wrong("version", "leave it out: a table that is read in full is compared with what has landed")
        if declaration.statistics:
            yield Wrong("statistics", "leave it out: of a table that is read in full only the differences land")
    elif not declaration.version:
        yield Wrong("version", f"it is missing; it is {Postgres.model_fields['version'].description}")
    for field, name in (("version", declaration.version), ("deleted", declaration.deleted)):
        if name and declaration.columns.get(name, "timestamptz") != "timestamptz":
            yield Wrong(field, f"{name} must be promised as timestamptz in columns")
    for field, names in {"key": declaration.key, "version": [declaration.version]}.items():
        for name in names:
            if name in declaration.optional:
                yield Wrong("optional", f"{name} is of the {field}: the source can't lack it")


def _wrong_of_personal(declaration: Declaration, table: dict) -> Iterator[Wrong]:
    """`person` and the columns' `pii` name what the table has: a column, or a path in the record."""
    is_record = declaration.is_record
    known = {*declaration.columns, *([UNREADABLE] if is_record else [])}
    if declaration.person is not None:
        of = _PERSON.fullmatch(declaration.person)
        column, _, path = (of[1] if of else "").partition(".")
        member = path.partition(".")[0] if is_record and column == "payload" else "" if is_record else column
        if not of or member not in known:
            example = "web-{payload.customer_id}" if is_record else "web-{customer_id}"
            yield Wrong("person", f"it must be a prefix and one of the columns in braces, such as {example}")
    for column in table.get("columns") or ():
        tags = _meta(column).get("pii") if isinstance(column, dict) else None
        if tags is None:
            continue
        field = f"columns.{column.get('name')}.pii"
        if not is_record:
            if column.get("name") not in known or not isinstance(tags, str):
                yield Wrong(field, "it must be the kind of value (email, name, …) of one of the columns in meta")
        elif column.get("name") != "payload" or not isinstance(tags, dict):
            yield Wrong(field, "of a record it stands at payload, a kind for each path, such as {buyer.email: email}")
        else:
            for path in tags:
                if str(path).partition(".")[0] not in known:
                    yield Wrong(field, f"{path} is no path that begins with one of the columns in meta")


def _one_of(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}"
