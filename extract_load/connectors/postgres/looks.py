"""What a PostgreSQL database looks like: `discover` and `check`. Values are counted on its server, none is fetched."""

import itertools
import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from psycopg import sql

from extract_load import guesses
from extract_load.connectors import Found
from extract_load.connectors.postgres.catalog import (
    INTEGERS,
    NUMBERS,
    TIMES,
    Column,
    columns_of,
    place_in_words,
    schema_of,
    selected,
    wrong_types,
)
from extract_load.connectors.postgres.publication import lacking, unreadable
from extract_load.declarations.common import OWN_COLUMNS
from extract_load.tables import Table
from storehouse.core.databases import Database, open_source
from storehouse.core.errors import StorehouseError
from storehouse.core.queries import one_row
from storehouse.core.settings import settings
from storehouse.core.shown import printable

logger = logging.getLogger("extract_load")

SAMPLE_ROWS = 10_000  # the first that the server gives: quick in a table of any size
SAMPLE_COLUMNS = 300  # five counts of each fit into one answer
WITHIN = 40  # seconds, a sample: that of a view may need the whole of it
LARGE_ROWS = 10_000  # of a smaller table it does not matter that it is read from end to end

_DELETED = re.compile(r"(.*_)?(delet|remov|eras)(ed|ion|e)?(_?(at|on|date|time|ts))?", re.I)


class _Relation(NamedTuple):
    """A table or view: `kind` is the catalog's letter, `rows` its estimate."""

    oid: int
    schema: str
    name: str
    kind: str
    is_readable: bool
    rows: float

    @property
    def sql(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


class _Index(NamedTuple):
    columns: list[str]
    is_primary: bool
    is_unique: bool


class _Counts(NamedTuple):
    """Of one column in the sample: rows with a value, different values, and texts of each form that is personal."""

    filled: int
    different: int
    forms: dict[str, int]


def discover(connection: str, meta: dict[str, Any]) -> list[Found]:
    """Every table and view that our role may read, or those of `meta`'s schema and table alone.

    Raises:
        StorehouseError: it can't be read, or has nothing to land.
    """
    with open_source(connection, "source") as database, database.speaking(), database.snapshot():
        relations = _relations(database, meta)
        if hidden := [f"{of.schema}.{of.name}" for of in relations if not of.is_readable]:
            logger.warning("left out, as our role has no right to select: %s", ", ".join(map(printable, hidden)))
        names = _names(readable := [of for of in relations if of.is_readable])
        found = [_found(database, of, name, meta) for of, name in zip(readable, names, strict=True)]
    if not any(found):
        raise StorehouseError(f"{database.where[0].upper()}{database.where[1:]} has no table or view that we may read.")
    return [table for table in found if table]


def _relations(database: Database, meta: dict[str, Any]) -> list[_Relation]:
    schema = settings().schema_named(meta["schema"]) if "schema" in meta else None
    rows = database.execute(
        """
        select
            pg_class.oid, nspname, relname, relkind::text,
            has_schema_privilege(relnamespace, 'usage') and has_table_privilege(pg_class.oid, 'select'),
            reltuples
        from pg_class
        join pg_namespace on pg_namespace.oid = relnamespace
        where
            relkind in ('r', 'p', 'v', 'm', 'f') and not relispartition
            and nspname !~ '^pg_' and nspname <> 'information_schema'
            and nspname = coalesce(%s, nspname) and relname = coalesce(%s, relname)
            -- What an extension brought is not the source's.
            and not exists (
                select from pg_depend
                where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype = 'e'
            )
        order by nspname, relname
        """,
        [schema, meta.get("table")],
    )
    return [_Relation(*row) for row in rows]


def _names(relations: list[_Relation]) -> list[str]:
    """What each may be called in the warehouse: its name as lower case letters, digits and _, each name once."""
    plain = [guesses.plain(of.name, "t") for of in relations]
    names: list[str] = []
    for of, name in zip(relations, plain, strict=True):
        longer = name if plain.count(name) == 1 else guesses.plain(f"{of.schema}_{of.name}", "t")
        names.append(longer if longer not in names else f"{longer}_{of.oid}")
    return names


def _found(database: Database, of: _Relation, name: str, asked: dict[str, Any]) -> Found | None:
    """A table as it would be declared; None, with a message, of one that can't be landed."""
    columns = columns_of(database, of.schema, of.name)
    if not columns or OWN_COLUMNS & columns.keys():
        why = "it has no columns" if not columns else "columns of it have names that raw uses for itself"
        logger.warning("left out: %s.%s: %s", of.schema, of.name, why)
        return None
    rows, counts, failed = _sample(database, of, columns)
    unsure = {"columns": f"the sample of it could not be read: {failed}"} if failed else {}
    meta: dict[str, Any] = {"schema": asked.get("schema", of.schema)}
    if name != of.name:
        meta["table"] = of.name
    indexes = _indexes(database, of)
    meta["key"], words = _key(database, of, columns, indexes, rows, counts)
    if words:
        unsure["key"] = words
    version, words = _version(database, of, columns, indexes, rows, counts)
    meta["read"] = "updated_at" if version else "full"
    if version:
        meta["version"] = version
    if words:
        unsure["version" if version else "read"] = words
    deleted = [column for column in columns if columns[column].type in TIMES and _DELETED.fullmatch(column)]
    if deleted and deleted[0] != version:
        meta["deleted"] = deleted[0]
        if counts and counts[deleted[0]].filled == rows > 0:
            unsure["deleted"] = f"{deleted[0]} is never null in the first {rows:,} rows: is it null while a row lives?"
    elif flags := [column for column in columns if guesses.is_deleted(column)]:
        unsure["deleted"] = f"{flags[0]} may tell deletes; it is no time: read a view that makes one of it"
    elif version:
        unsure["deleted"] = "no column tells deletes: what is gone stays here, unless reconcile: keys finds it each day"
    meta["columns"] = {column: _promised(columns[column]) for column in columns}
    tags = _personal(of, columns, counts, unsure)
    return Found(name, meta, tags, {field: printable(said) for field, said in unsure.items()})


def _promised(column: Column) -> str:
    """The type of a declaration that this one keeps."""
    if column.type in TIMES:
        return "timestamptz"
    if column.type in INTEGERS:
        return "integer"
    if column.landed_as in NUMBERS:
        return "numeric"
    return "boolean" if column.type == "boolean" else "text"


def _sample(database: Database, of: _Relation, columns: dict[str, Column]) -> tuple[int, dict[str, _Counts], str]:
    """How many rows the sample has, the counts of its columns, and why there is none."""
    counted = list(columns)[:SAMPLE_COLUMNS]
    expressions = [sql.SQL("count(*)")]
    for name in counted:
        column = sql.Identifier(name)
        # Documents and images identify nothing, and take long to compare.
        is_small = columns[name].landed_as not in ("bytea", "jsonb") and columns[name].type not in ("json", "xml")
        expressions += [
            sql.SQL("count({})").format(column),
            sql.SQL("count(distinct {}::text)" if is_small else "0").format(column),
        ]
        for form in guesses.FORMS.values():
            is_text = columns[name].landed_as == "text"
            count = sql.SQL("count(*) filter (where {}::text ~ {})").format(column, form)
            expressions.append(count if is_text and is_small else sql.SQL("0"))
    statement = sql.SQL("with sample as materialized (select {} from {} limit {}) select {} from sample").format(
        sql.SQL(", ").join(map(sql.Identifier, counted)), of.sql, SAMPLE_ROWS, sql.SQL(", ").join(expressions)
    )
    try:
        with database.speaking(), database.transaction():
            _prepare(database, of.schema)
            rows, *numbers = one_row(database, statement)
    except StorehouseError as error:
        return 0, {}, str(error)
    width = 2 + len(guesses.FORMS)
    parts = (numbers[at : at + width] for at in range(0, len(numbers), width))
    counts = [_Counts(filled, n, dict(zip(guesses.FORMS, forms, strict=True))) for filled, n, *forms in parts]
    return rows, dict(zip(counted, counts, strict=True)), ""


def _prepare(database: Database, schema: str) -> None:
    """In a transaction that reads a sample."""
    database.search(schema)
    database.execute(sql.SQL("set local statement_timeout to {}").format(f"{WITHIN}s"))


def _indexes(database: Database, of: _Relation) -> list[_Index]:
    """Its indexes of columns alone and of all rows, the primary key first."""
    rows = database.execute(
        """
        select array_agg(attname::text order by n), indisprimary, indisunique and indimmediate
        from pg_index, unnest(indkey) with ordinality as part (number, n)
        left join pg_attribute on attrelid = %s and attnum = number
        where indrelid = %s and indisvalid and indpred is null and n <= indnkeyatts
        group by indexrelid, indisprimary, indisunique, indimmediate
        having bool_and(attname is not null)
        order by indisprimary desc, count(*), indexrelid
        """,
        [of.oid, of.oid],
    )
    return [_Index(*row) for row in rows]


def _key(
    database: Database,
    of: _Relation,
    columns: dict[str, Column],
    indexes: list[_Index],
    rows: int,
    counts: dict[str, _Counts],
) -> tuple[list[str], str]:
    """The columns of the key, and what is not sure of them."""
    for index in indexes:
        if index.is_primary:
            return index.columns, ""
        if index.is_unique and not any(columns[name].is_nullable for name in index.columns):
            return index.columns, "there is no primary key; it is a unique index of columns that are never null"
    whole = [name for name, count in counts.items() if count.filled == rows]
    ranks = {name: _rank(name, of, columns[name]) for name in whole}
    whole = sorted((name for name in whole if ranks[name] <= guesses.NO_ID), key=lambda name: ranks[name])
    unique = [name for name in whole if rows > 1 and counts[name].different == rows]
    measured = f"it has no primary key; this is unique and never null in the first {rows:,} rows"
    if unique:
        return [unique[0]], measured
    likely = [name for name in whole if counts[name].different > 1][:6]
    if rows > 1 and (several := _unique_together(database, of, likely, rows)):
        return [name for name in columns if name in several], measured
    ids = [name for name in columns if guesses.rank_in_key(name, of.name) < guesses.NO_ID] or list(columns)
    return ids[:1], (
        f"nothing is unique and never null in the first {rows:,} rows: name the columns that identify a row"
        if rows > 1
        else "it has no primary key, and no rows to measure one: name the columns that identify a row"
    )


def _rank(name: str, of: _Relation, column: Column) -> int:
    """How likely a column is part of a key: 0 the most, above `guesses.NO_ID` not at all."""
    rank = guesses.rank_in_key(name, of.name)
    is_measured = column.type in TIMES | NUMBERS - INTEGERS or column.type == "boolean"
    return rank + (rank == guesses.NO_ID and is_measured)


def _unique_together(database: Database, of: _Relation, names: list[str], rows: int) -> list[str]:
    """The first two or three of these columns that together are unique in the sample."""
    several = [list(some) for size in (2, 3) for some in itertools.combinations(names, size)]
    if not several:
        return []
    counts = [
        sql.SQL("count(distinct row({}))").format(
            sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in some)
        )
        for some in several
    ]
    statement = sql.SQL("with sample as materialized (select {} from {} limit {}) select {} from sample").format(
        sql.SQL(", ").join(map(sql.Identifier, names)), of.sql, SAMPLE_ROWS, sql.SQL(", ").join(counts)
    )
    with suppress(StorehouseError), database.speaking(), database.transaction():
        _prepare(database, of.schema)
        different = one_row(database, statement)
        return next((some for some, count in zip(several, different, strict=True) if count == rows), [])
    return []


def _version(
    database: Database,
    of: _Relation,
    columns: dict[str, Column],
    indexes: list[_Index],
    rows: int,
    counts: dict[str, _Counts],
) -> tuple[str | None, str]:
    """The column that grows with every change of a row, and what is not sure of it."""
    times = [name for name, column in columns.items() if column.type in TIMES and not _DELETED.fullmatch(name)]
    set_by_trigger = _set_by_trigger(database, of, times)
    indexed = {index.columns[0] for index in indexes}

    def signs(name: str) -> list[bool]:
        varies = name in counts and counts[name].different > 1 and counts[name].filled == rows
        return [name in set_by_trigger, guesses.is_version(name), name in indexed, varies]

    likely = sorted((name for name in times if any(signs(name)[:2])), key=signs, reverse=True)
    if not likely:
        others = [name for name in times if all(signs(name)[2:])]
        seen = (
            f"; does {' or '.join(others)} change with every change of a row? Then: read: updated_at" if others else ""
        )
        is_table = of.kind in ("r", "p")
        log = "; change_log reads what changed, deletes too, from the database's own log" if is_table else ""
        return None, f"no time is named as one that changes with a row, or set by a trigger{seen}{log}"
    version = likely[0]
    doubts = []
    if not set_by_trigger or version not in set_by_trigger:
        doubts.append("no trigger sets it: does every program that changes a row set it?")
    if version not in indexed and of.kind in ("r", "p", "m"):
        doubts.append("no index begins with it: every load reads the whole table")
    if rows and version in counts and (empty := rows - counts[version].filled):
        doubts.append(f"it is null in {empty:,} of the first {rows:,} rows, which land with every load")
    if rows >= 100 and counts[version].different == 1:
        doubts.append(f"it is the same in the first {rows:,} rows")
    if columns[version].type == "date":
        doubts.append("it is a date: every load reads the last day again")
    return version, "; ".join(doubts)


def _set_by_trigger(database: Database, of: _Relation, names: Iterable[str]) -> set[str]:
    """Those of the columns that a trigger before an update sets, as far as its source shows."""
    sources = database.execute(
        "select prosrc, encode(tgargs, 'escape') from pg_trigger join pg_proc on pg_proc.oid = tgfoid "
        # Before (2) an update (16).
        "where tgrelid = %s and not tgisinternal and tgtype & 18 = 18 and tgenabled <> 'D'",
        [of.oid],
    ).fetchall()
    return {
        name
        for name in names
        for source, arguments in sources
        if re.search(rf'\bnew\s*\.\s*"?{re.escape(name)}"?\s*:?=', source, re.I) or name in arguments.split("\\000")
    }


def _personal(
    of: _Relation, columns: dict[str, Column], counts: dict[str, _Counts], unsure: dict[str, str]
) -> dict[str, str]:
    """The columns that look personal, and the kind of each; what is not sure goes to `unsure`."""
    tags, by_values = {}, []
    for name, column in columns.items():
        if kind := guesses.personal_by_name(name, of.name):
            if column.type not in TIMES | {"boolean"} or "birth" in name.lower():
                tags[name] = kind
        elif name in counts and (filled := counts[name].filled):
            forms = [kind for kind, count in counts[name].forms.items() if count >= guesses.SHARE * filled]
            if forms:
                tags[name] = forms[0]
                by_values.append(name)
    open_ = [
        name
        for name, column in columns.items()
        if name not in tags and (column.landed_as == "jsonb" or column.type == "json" or guesses.is_free_text(name))
    ]
    unsure |= guesses.unsure_of_personal(by_values, open_)
    return tags


def check(table: Table) -> list[str]:
    """Read a row and a sample of a declared table; what differs from its declaration, in words.

    Raises:
        StorehouseError: it can't be read at all.
    """
    schema, place = schema_of(table), place_in_words(table)
    with open_source(table.connection, table.source) as database, database.speaking(), database.snapshot():
        columns = columns_of(database, schema, table.place)
        relations = _relations(database, {"schema": schema, "table": table.place})
        if not columns:
            raise StorehouseError(f"{table.label}: there is no table {place} in {database.where}.")
        differs = [f"{name} is not there" for name in table.columns if name not in {*columns, *table.optional}]
        differs += wrong_types(table, columns)
        differs += [
            f"{printable(name)} ({column.type}) is not declared; it lands too"
            for name, column in columns.items()
            if name not in table.columns
        ]
        differs += [f"{name} is a name that raw uses for itself" for name in sorted(OWN_COLUMNS & columns.keys())]
        for of in relations:
            if not of.is_readable:
                return [*differs, f"our role has no right to read it: grant usage on its schema, and select on {place}"]
            if one_row(database, "select row_security_active(%s::oid)", [of.oid])[0]:
                differs.append("row policies hide rows from our role: let it see all (alter role … bypassrls)")
                return differs
            differs += _of_sample(database, of, table, columns)
        if table.kind == "change_log":
            differs += [f"change log: {words}" for words in [*lacking(database, table), *unreadable(columns)]]
        _prepare(database, schema)
        database.execute(
            sql.SQL("select {} from {} limit 1").format(selected(columns), sql.Identifier(schema, table.place))
        )
    return differs


def _of_sample(database: Database, of: _Relation, table: Table, columns: dict[str, Column]) -> Iterable[str]:
    """What the key and the version of its first rows show."""
    named = [*table.key, *([table.version] if table.version else [])]
    if not all(name in columns for name in named):
        return
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    version = sql.Identifier(table.version or table.key[0])
    statement = sql.SQL(
        "with sample as materialized (select {key}, {version} as _version from {place} limit {limit}) "
        "select count(*), count(*) filter (where row({key}) is not null), "
        "count(distinct row({key})) filter (where row({key}) is not null), count(_version), "
        "count(distinct _version::text) from sample"
    ).format(key=key, version=version, place=of.sql, limit=SAMPLE_ROWS)
    with database.speaking(), database.transaction():
        _prepare(database, of.schema)
        rows, whole, different, filled, versions = one_row(database, statement)
    first, names = f"of the first {rows:,} rows", ", ".join(table.key)
    if whole < rows:
        yield f"the key ({names}) is null in {rows - whole:,} {first}"
    if different < whole:
        yield f"the key ({names}) is that of another row in {whole - different:,} {first}"
    if not table.version:
        return
    if filled < rows:
        yield f"{table.version} is null in {rows - filled:,} {first}: they land with every load"
    if rows >= 100 and versions == 1:
        yield f"{table.version} does not grow: it is the same in all {first}"
    is_stored = of.kind in ("r", "p", "m") and of.rows >= LARGE_ROWS
    if is_stored and table.version not in {index.columns[0] for index in _indexes(database, of)}:
        yield f"no index begins with {table.version}: every load reads the whole table"
