"""The declarations of landed tables: `config.meta` in models/staging/*/_*__sources.yml, read without dbt and checked.

dbt reads the same entries from its graph. A wrong one is named with its file, its table, its field and what would be
right, all wrong ones at once.
"""

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from extract_load.file_patterns import FORM_WORDS, form_of, read_pattern
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT, VARIABLE

STAGING = PROJECT / "models" / "staging"

# Columns that raw gives itself.
OWN_COLUMNS = {"_load_id", "_row", "_op", "_partition", "_file", "_line"}
# What else of a record can be personal than its members: the text of one that could not be read.
UNREADABLE = "_unreadable"

# What `python -m extract_load` takes in the place of a source.
RESERVED = ("all", "prepare", "discover", "check")
# Other packages bring connectors with entry points of this group.
GROUP = "storehouse.connectors"

# PostgreSQL cuts a longer one, and two of them may be the same then.
LONGEST_NAME = 63
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_PERSON = re.compile(r"[^{}]*{([^{}]+)}")

Words = Annotated[str, Field(min_length=1)]
Names = Annotated[list[Words], Field(min_length=1)]
Type = Literal["text", "boolean", "integer", "numeric", "timestamptz"]
Kind = Literal["updated_at", "interval", "full"]  # `change_log` (logical decoding) will be the fourth.
Variable = Annotated[str, Field(pattern=f"^{VARIABLE.pattern}$")]
# Messages hide what variables of such names hold.
Secret = Annotated[str, Field(pattern=r"^[A-Z0-9_]*(PASSWORD|SECRET|TOKEN|KEY)$")]


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

    warn_hours: int = Field(ge=1, le=87_600, description="hours until a test warns, such as 26")
    error_hours: int = Field(ge=1, le=87_600, description="hours until the run fails, such as 194")
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


class Auth(_Strict, frozen=True):
    """With what an API is asked: names of variables, never their values."""

    by: Literal["bearer", "basic", "header", "query", "oauth"]
    token: Secret | None = Field(default=None, description="the variable with the token, such as STRIPE_KEY")
    user: Variable | None = Field(default=None, description="the variable with the user's name, such as STORE_USER")
    password: Secret | None = Field(default=None, description="the variable with the password, such as STORE_PASSWORD")
    name: Words | None = Field(default=None, description="the header or parameter that takes the key: X-Api-Key")
    key: Secret | None = Field(default=None, description="the variable with the key, such as STORE_KEY")
    token_url: str | None = Field(
        default=None,
        pattern=r"^(/\S*|[A-Z][A-Z0-9_]*)$",
        description="where a token is asked for: a path below the connection (/oauth/token) or a variable with a URL",
    )
    client_id: Variable | None = Field(default=None, description="the variable with the client's id: STORE_CLIENT")
    client_secret: Secret | None = Field(
        default=None, description="the variable with the client's secret, such as STORE_CLIENT_SECRET"
    )
    client_in: Literal["header", "body"] = Field(default="header", description="where the client's id and secret go")
    scope: Words | None = Field(default=None, description="the scope to ask for, such as orders.read")
    audience: Words | None = Field(default=None, description="the audience to ask for, if the server wants one")


class AskedBy(_Strict, frozen=True):
    """How an API is asked for the records of an interval."""

    from_: Words | None = Field(default=None, alias="from", description="the parameter of its start: updated_since")
    until: Words | None = Field(default=None, description="the parameter of its end, if there is one: updated_before")
    filter: dict[Words, Words] = Field(
        default_factory=dict,
        max_length=1,
        description="a parameter with both in one text, such as {$filter: 'Changed ge {from} and Changed lt {until}'}",
    )
    format: Literal["iso", "iso_seconds", "epoch_seconds", "epoch_milliseconds", "date"] = Field(
        default="iso", description="how times are written"
    )
    from_excluded: bool = Field(default=False, description="true if records of exactly `from` are not sent")

    @property
    def has_until(self) -> bool:
        """True if the end can be asked for too."""
        return bool(self.until) or any("{until}" in text for text in self.filter.values())


class Pages(_Strict, frozen=True):
    """How the pages of a list follow each other."""

    by: Literal["none", "number", "offset", "cursor", "last", "link", "next"]
    parameter: Words | None = Field(default=None, description="the parameter that asks for a page, such as page")
    first: int = Field(default=1, ge=0, le=1, description="the number of the first page: 1 or 0")
    at: Words | None = Field(default=None, description="the path of the page's own number in the answer, such as page")
    cursor: Words | None = Field(default=None, description="the path of the next cursor, such as meta.next_cursor")
    last: Words | None = Field(default=None, description="the member of a page's last record to go on after: id")
    next: Words | None = Field(default=None, description="the path of the next page's URL, such as @odata.nextLink")
    more: Words | None = Field(default=None, description="the path of the flag that is true if more follow: has_more")
    total: Words | None = Field(default=None, description="the path of the number of all records, such as total")
    total_header: Words | None = Field(default=None, description="the header with the number of all: X-WP-Total")
    count: Words | None = Field(default=None, description="the path of the number of pages, such as pages")
    count_header: Words | None = Field(default=None, description="the header with the number of pages: X-WP-TotalPages")
    size: int | None = Field(default=None, ge=1, le=100_000, description="records a page to ask for, such as 100")
    size_parameter: Words | None = Field(default=None, description="the parameter that asks for it, such as per_page")
    most: int = Field(default=10_000, ge=1, le=10_000_000, description="so many pages a list has at most: 10000")
    shifts: bool | None = Field(
        default=None, description="false if a record that leaves the list moves no other one to another page"
    )

    @property
    def may_shift(self) -> bool:
        """True if a record may cross the edge of a page while the list is read."""
        return self.by not in ("none", "last") if self.shifts is None else self.shifts


class Api(Declaration, frozen=True):
    """The records of an API that answers in JSON; docs/sources/api.md has an example of each shape."""

    path: str = Field(pattern=r"^/[A-Za-z0-9._~/-]*$", description="the path below the connection, such as /orders")
    auth: Auth | None = Field(default=None, description="with what it is asked: {by: bearer, token: STRIPE_KEY}")
    parameters: dict[Words, str] = Field(
        default_factory=dict, description="parameters that stay the same, such as {status: any}"
    )
    read: Literal["interval", "full"]
    interval: AskedBy | None = Field(
        default=None, description="how an interval is asked for: {from: updated_since, until: updated_before}"
    )
    pages: Pages = Field(
        default=Pages(by="none"), description="how pages follow: {by: number, parameter: page, total: total}"
    )
    records: Words | None = Field(default=None, description="the path of the list of records, such as data")
    version: Words | None = Field(default=None, description="the member that grows with every change: updated_at")
    version_format: Literal["iso", "epoch_seconds", "epoch_milliseconds"] = Field(
        default="iso", description="how it is written"
    )
    deleted: Words | None = Field(default=None, description="the member that tells a delete, such as deleted")
    deleted_values: Names | None = Field(
        default=None, description="the values of it that do, such as [deleted, void]; true, if they are left out"
    )
    gone_is_deleted: bool = Field(
        default=False, description="true if a record that a full list no longer has is deleted"
    )
    columns: Names = Field(description="the members of a record, such as [order_id, updated_at]")
    partitions: dict[Words, Names] = Field(
        default_factory=dict,
        max_length=1,
        description="the parameter that asks for a part, and its values, such as {region: [us, eu]}",
    )
    rate: float | None = Field(default=None, gt=0, le=1000, description="requests a second at most, such as 2")
    hosts: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+(:[0-9]+)?$")]] = Field(
        default_factory=list, description="other hosts that its links may lead to, such as [api2.example.com]"
    )
    health: str | None = Field(
        default=None, pattern=r"^/[A-Za-z0-9._~/-]*$", description="the path that says whether it is well: /health"
    )

    @property
    def place(self) -> str:
        """The path."""
        return self.path


class Ready(_Strict, frozen=True):
    """When a file may be read; with nothing said, at once."""

    flag: str | None = Field(
        default=None, pattern=r"^[^/\s][^/]*$", description="the name of a file that says that its folder is written"
    )
    minutes: float | None = Field(
        default=None, gt=0, le=525_600, description="for how long nobody has changed the file, such as 30"
    )


class Csv(_Strict, frozen=True):
    """How a CSV is written; with nothing said, as RFC 4180 says, in UTF-8."""

    delimiter: str = Field(default=",", min_length=1, max_length=1, description='one character, such as ";" or "\\t"')
    quote: str = Field(default='"', max_length=1, description='one character, or "" where values are not quoted')
    escape: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description='one character, such as "\\\\"; a quote may also stand twice',
    )
    encoding: Words = Field(default="utf-8", description="as Python names it, such as latin-1, cp1252 or utf-16")
    header: bool = Field(
        default=True, description="false where the first line is a row: the names are those of columns"
    )
    null_text: str | None = Field(default=None, description='the text that stands for no value, such as ""')
    line_breaks: bool = Field(default=False, description="true where a quoted value may hold line breaks")


class Files(Declaration, frozen=True):
    """Files below a folder, a bucket or a web address."""

    files: str = Field(description="the pattern of the files below the connection, such as sales/{date}/*.csv")
    format: Literal["parquet", "csv", "json"] | None = Field(
        default=None, description="how the files are written, where their ending does not say it"
    )
    compression: Literal["gzip", "zstd", "none"] | None = Field(
        default=None, description="how the files are packed, where their ending does not say it"
    )
    csv: Csv = Field(
        default_factory=Csv, description='how a CSV is written, such as {delimiter: ";", encoding: latin-1}'
    )
    ready: Ready = Field(
        default_factory=Ready, description="when a file may be read: {flag: complete.flag} or {minutes: 30}"
    )
    read: Literal["interval"]
    version: Words | None = Field(
        default=None, description="the column that grows with every change, such as updated_at"
    )
    deleted: Words | None = Field(
        default=None, description="the column that is true of a row that was taken back, such as is_void"
    )
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


def as_declared(meta: dict[str, Any]) -> Declaration:
    """What is declared in no file yet: fields of a connector that looks at a source, with what all declarations need.

    Raises:
        StorehouseError: a field is wrong; a line for each mistake.
    """
    model = MODELS[meta["connector"]]
    needed = {
        "key": ["_"],
        "columns": ["_"] if model is not Postgres else {"_": "text"},
        "read": "full",
        "refused": {"limit_percent": 5, "least_refused": 20, "reason": "As the other tables"},
        "freshness": {"warn_hours": 26, "error_hours": 194, "reason": "As the other tables"},
    }
    try:
        return model.model_validate(needed | meta)
    except ValidationError as error:
        lines = [f"{field}: {words}" for field, words in _wrong_of_fields(error, model)]
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
    elif name in RESERVED:
        yield Wrong("name", f"{name} is a word of the command; choose another")
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
    elif len(judged := f"judged_{source['name']}__{name}") > LONGEST_NAME:
        yield Wrong("name", f"it is too long: {judged} would have more than {LONGEST_NAME} characters")
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
    "string_too_long": "it is too long",
    "string_pattern_mismatch": "it has another form",
    "too_long": "it must have one entry",
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
    """The fields of a field that has some, by the names that the file has."""
    said = model.model_fields[field].annotation
    for inner in (said, *get_args(said)):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return {field.alias or name: field for name, field in inner.model_fields.items()}
    return {}


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
    if isinstance(declaration, Files):
        yield from _wrong_of_files(declaration)
    if isinstance(declaration, Api):
        yield from _wrong_of_api(declaration)
    yield from _wrong_of_personal(declaration, table)


def _named(declaration: Declaration) -> dict[str, list[str]]:
    """The columns that the other fields name."""
    named = {"key": declaration.key, "optional": getattr(declaration, "optional", [])}
    named |= {field: [name] for field in ("version", "deleted") if (name := getattr(declaration, field))}
    if isinstance(declaration, Api):
        # Of a path the member that it begins with.
        return {field: [name.partition(".")[0] for name in names] for field, names in named.items()}
    return named


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


def _wrong_of_files(declaration: Files) -> Iterator[Wrong]:
    try:
        pattern = read_pattern(declaration.files)
    except ValueError as error:
        yield Wrong("files", str(error))
        return
    for name in sorted(pattern.named - set(declaration.columns)):
        yield Wrong("files", f"the value {name} is not among its columns; add it there, or write * in its place")
    csv = declaration.csv
    has_form = form_of(declaration.files, declaration.format, declaration.compression)
    if not has_form and not declaration.files.endswith(("*", "?", "}")):
        yield Wrong("files", f"it must end in {FORM_WORDS}; or say format and compression")
    if declaration.format == "parquet" and declaration.compression not in (None, "none"):
        yield Wrong("compression", "leave it out: a Parquet file is packed within itself")
    if declaration.format not in (None, "csv") and "csv" in declaration.model_fields_set:
        yield Wrong("csv", f"leave it out: the files are {declaration.format}")
    if declaration.ready.flag and declaration.ready.minutes:
        yield Wrong("ready", "it must have one of flag and minutes")
    try:
        is_text = codecs.lookup(csv.encoding)._is_text_encoding
    except (LookupError, ValueError):
        is_text = False
    if not is_text:
        yield Wrong("csv.encoding", f"there is no such encoding; it is {Csv.model_fields['encoding'].description}")
    signs = [sign for sign in (csv.delimiter, csv.quote, csv.escape) if sign]
    for field in ("delimiter", "quote", "escape"):
        sign = getattr(csv, field)
        if sign and (sign in "\r\n\0" or signs.count(sign) > 1):
            yield Wrong(f"csv.{field}", "it must be a character of its own, and no line break")
    if csv.null_text and csv.escape and csv.escape in csv.null_text:
        yield Wrong("csv.null_text", "write it without the escape, which is gone when values are compared with it")


# What belongs to each way of asking, beside what belongs to all: what it needs, and what it may have.
_AUTH = {
    "bearer": (["token"], []),
    "basic": (["user", "password"], []),
    "header": (["name", "key"], []),
    "query": (["name", "key"], []),
    "oauth": (["token_url", "client_id", "client_secret"], ["client_in", "scope", "audience"]),
}
_TOTALS = ["total", "total_header", "shifts", "most"]
_PAGES = {
    "none": ([], []),
    "number": (["parameter"], ["first", "at", "more", "count", "count_header", *_TOTALS]),
    "offset": (["parameter"], ["more", *_TOTALS]),
    "cursor": (["parameter", "cursor"], ["more", *_TOTALS]),
    "last": (["parameter", "last"], ["more", *_TOTALS]),
    "link": ([], _TOTALS),
    "next": (["next"], _TOTALS),
}


def _wrong_of_api(declaration: Api) -> Iterator[Wrong]:
    for name, values in declaration.partitions.items():
        if len(set(values)) < len(values) or any("/" in value for value in values):
            yield Wrong(f"partitions.{name}", "each value must be there once and have no /")
    if declaration.read == "full":
        for field in ("interval", "version", "statistics"):
            if getattr(declaration, field):
                yield Wrong(field, "leave it out: a list that is read in full is compared with what has landed")
    else:
        for field in ("interval", "version"):
            if not getattr(declaration, field):
                yield Wrong(field, f"it is missing; it is {Api.model_fields[field].description}")
        if declaration.gone_is_deleted:
            yield Wrong("gone_is_deleted", "leave it out: only a list that is read in full tells what is gone")
    if declaration.deleted_values and not declaration.deleted:
        yield Wrong("deleted", f"it is missing; it is {Api.model_fields['deleted'].description}")
    if declaration.interval:
        yield from _wrong_of_interval(declaration.interval)
    yield from _wrong_of_choice("pages", declaration.pages, _PAGES, ["size", "size_parameter"])
    if declaration.auth:
        yield from _wrong_of_choice("auth", declaration.auth, _AUTH, [])
    pages = declaration.pages
    for one, other in (("size", "size_parameter"), ("size_parameter", "size")):
        if getattr(pages, one) and not getattr(pages, other):
            yield Wrong(f"pages.{other}", f"it is missing beside {one}")
    for one in ("total", "count"):
        if getattr(pages, one) and getattr(pages, f"{one}_header"):
            yield Wrong(f"pages.{one}_header", f"leave it out: {one} says it; or leave {one} out")


def _wrong_of_choice(
    field: str, model: Auth | Pages, choices: dict[str, tuple[list[str], list[str]]], always: list[str]
) -> Iterator[Wrong]:
    """What a choice lacks, and what belongs to another one."""
    needs, may_have = choices[model.by]
    for name in needs:
        if getattr(model, name) is None:
            yield Wrong(f"{field}.{name}", f"it is missing; it is {type(model).model_fields[name].description}")
    for name in sorted(model.model_fields_set - {"by", *needs, *may_have, *always}):
        has_it = [by for by, names in choices.items() if name in (*names[0], *names[1])]
        yield Wrong(f"{field}.{name}", f"leave it out: it belongs to by: {_one_of(has_it)}")


def _wrong_of_interval(asked: AskedBy) -> Iterator[Wrong]:
    if bool(asked.from_) == bool(asked.filter):
        yield Wrong("interval.from", "write the parameter of the start, such as updated_since, or else a filter")
    if asked.until and asked.filter:
        yield Wrong("interval.until", "leave it out: the filter has {until}")
    for name, text in asked.filter.items():
        if "{from}" not in text or set(re.findall(r"{[^}]*}", text)) - {"{from}", "{until}"}:
            yield Wrong(f"interval.filter.{name}", "it must have {from}, may have {until}, and nothing else in braces")


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
    return f"{', '.join(first)} or {last}" if first else last
