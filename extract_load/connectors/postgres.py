"""A PostgreSQL database: COPY out of one snapshot, COPY into the warehouse; rows never become Python objects."""

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

import psycopg
from psycopg import errors, sql

from extract_load.connectors import Asked
from extract_load.declarations import Postgres
from extract_load.ledger import (
    NO_TIME_BEFORE,
    UPSERT,
    Load,
    LoadResult,
    append_rows,
    each,
    land,
    logger,
    shape,
    starting_point,
)
from extract_load.payload import LARGEST_BYTES
from extract_load.tables import Table
from storehouse.core.databases import Database, only_one, open_source
from storehouse.core.errors import StorehouseError
from storehouse.core.queries import as_sql, one_row, one_value
from storehouse.core.settings import SCHEMA_VARIABLE, quoted, settings
from storehouse.core.shown import printable

OWN_COLUMNS = {"_load_id", "_row", "_op"}

# pg_catalog's types whose binary form every server since version 14 reads as the same value. All others are cast at the
# source: they name what only the source has (`regclass`, enums, composites, what an extension brings), lack in some
# servers (`xml`) or have values there that others don't know (infinite intervals, `jsonpath`). `json` is text because
# it may hold what `jsonb` can't.
_SAME_EVERYWHERE = """
    bool bytea int2 int4 int8 float4 float8 numeric text varchar bpchar uuid jsonb bit varbit
    date time timetz timestamp timestamptz inet cidr macaddr macaddr8 point line lseg box path polygon circle
    tsvector tsquery int4range int8range numrange daterange tsrange tstzrange
    int4multirange int8multirange nummultirange datemultirange tsmultirange tstzmultirange
"""
SAME_EVERYWHERE = frozenset(_SAME_EVERYWHERE.split())
# What the source calls a type becomes SQL in the warehouse, and its owner can have it say anything.
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_PLAIN_TYPE = re.compile(r'("bit"|[a-z][a-z0-9 ]*)(\[\])?')

# What a column of ours must be at the source: the types that mean what the type in `Table.columns` means.
WITH_ZONE = "timestamp with time zone"
_TIMES = ("timestamp", {WITH_ZONE, "timestamp without time zone", "date"})
_NUMBERS = ("number", {"smallint", "integer", "bigint", "numeric", "real", "double precision"})
_MUST_BE = {"timestamptz": _TIMES, "numeric": _NUMBERS, "integer": _NUMBERS, "boolean": ("boolean", {"boolean"})}

READ_WITHIN = 40  # seconds, the question whether it is ready, which might wait for a lock for ever
# The source answers row by row; the warehouse is fed in blocks.
BLOCK_BYTES = 64 * 1024


class Column(NamedTuple):
    """A column of the source.

    Attributes:
        type: its type there, without length or precision; a domain's base.
        landed_as: its type in raw: the same where that means the same in any server, numeric for money, else text.
        is_cast: whether the source must cast it to that.
        is_nullable: whether it may be null.
    """

    type: str
    landed_as: str
    is_cast: bool
    is_nullable: bool


def ready(tables: list[Table], until: datetime | None, from_: datetime | None) -> str | None:
    """None when the database answers and, given an interval, a table has rows that changed in it or later.

    Tables that are read in full don't count. They can be read at any time.
    """
    source, changing = tables[0].source, [table for table in tables if table.kind == "updated_at"]
    with _open(tables) as database, database.speaking(), database.snapshot():
        if not (changing and until and from_ and from_ < until):
            return None
        database.execute(sql.SQL("set local statement_timeout to {}").format(f"{READ_WITHIN}s"))
        # A change after the interval will do: the database has passed its end, and nothing changed in it. A date in the
        # future will not do. The maximum is read from an index; a range might need the whole table.
        reached = sql.SQL("select max({version}) >= {from_} from {table} where {version} <= greatest(now(), {until})")
        for table in changing:
            database.search(_schema(table))
            version = sql.Identifier(_version(table))
            if one_value(database, reached.format(version=version, table=_place(table), from_=from_, until=until)):
                return None
    return f"the {source} has no row that changed from {from_:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}, or later"


def load(warehouse: Database, tables: list[Table], asked: Asked) -> list[LoadResult]:
    """Land these tables, each in its own load, all from one snapshot of their database.

    `updated_at` tables: without `until`, all rows from the watermark on. The interval that the ledger records ends
    after the last version that was seen, and never beyond `until` or the source's clock: a row dated in the future,
    or a source whose clock is not ours, can't move the watermark past rows that are still to come. Rows without a
    version, or with one before `NO_TIME_BEFORE`, belong to no interval: they are landed each time.

    Raises:
        StorehouseError: what failed, a line each.
    """

    def load_one(table: Table) -> LoadResult:
        with database.speaking():
            database.search(_schema(table))
        return _load_table(database, warehouse, table, asked)

    with _open(tables) as database, _one_at_a_time(tables), database.speaking(), database.snapshot():
        return each(load_one, tables)


def _open(tables: list[Table]) -> Database:
    """The database of the tables of one source."""
    return open_source(tables[0].connection, tables[0].source)


def _load_table(shop: Database, warehouse: Database, table: Table, asked: Asked) -> LoadResult:
    with shop.speaking(), shop.transaction():
        columns = _source_columns(shop, table)
        columns = _as_raw_holds_them(warehouse, table, columns)
        load = Load(table, run_id=asked.run_id)
        condition = sql.SQL("true")
        if table.kind == "updated_at":
            from_, until = starting_point(warehouse, table, asked.interval)
            load.interval_from = from_
            load.interval_until = _end_of_data(shop, table, from_, until)
            condition = _condition(table, from_, until, columns[_version(table)].is_nullable)
        expressions = [
            sql.SQL("{}::{}").format(sql.Identifier(name), as_sql(column.landed_as))
            if column.is_cast
            else sql.Identifier(name)
            for name, column in columns.items()
        ]
        types = {name: column.landed_as for name, column in columns.items()}
        has_deletes = table.deleted in columns
        if has_deletes:
            expressions.append(_OP.format(deleted_at=sql.Identifier(_deleted(table)), earliest=NO_TIME_BEFORE))
            types["_op"] = "text"
        statement = sql.SQL("copy (select {} from {} where {}) to stdout (format binary)").format(
            sql.SQL(", ").join(expressions), _place(table), condition
        )

        def feed(sink: psycopg.Copy) -> None:
            too_large = _too_large(table)
            with shop.speaking({errors.ProgramLimitExceeded: too_large}), shop.cursor().copy(statement) as source:
                for block in _blocks(source, too_large):
                    with warehouse.speaking():
                        sink.write(block)
                    load.account(block)

        def append(load_id: int) -> int:
            _adapt_raw(warehouse, table, columns, load_id)
            if has_deletes:
                _tell_of_odd_deletes(warehouse, table)
            op = sql.SQL("_op") if has_deletes else UPSERT
            if table.kind == "full":
                return _append_differences(warehouse, table, columns, load_id, op, asked.allow_empty)
            return append_rows(warehouse, table, columns, load_id, op)

        return land(warehouse, load, types, feed, append, binary=True)


@contextmanager
def _one_at_a_time(tables: list[Table]) -> Iterator[None]:
    """Snapshots of a source must be compared in the order they were taken: one load at a time, if any is compared."""
    if all(table.kind != "full" for table in tables):
        yield
        return
    source = tables[0].source
    with only_one("extract", snapshot_lock(source), f"loads of {source}"):
        yield


def snapshot_lock(source: str) -> int:
    """The key of the advisory lock of a source's snapshots."""
    return (zlib.crc32(source.encode()) & 0x7FFF_FFFF) << 32 | 0x5EED_0003


# A row is deleted when the column that tells it holds a time that has come, by the source's own clock; the day is for
# clocks and time zones ahead of it. Zero times, times to come and infinity say that the row lives.
_OP = sql.SQL("case when {deleted_at} >= {earliest} and {deleted_at} <= now() + interval '1 day' then 'd' else 'u' end")


def _tell_of_odd_deletes(warehouse: Database, table: Table) -> None:
    statement = sql.SQL("select count(*) from _landing where {} is not null and _op = 'u'")
    odd = one_value(warehouse, statement.format(sql.Identifier(_deleted(table))))
    if odd:
        # A table that is read in full is asked again by every load.
        news = "%s: %s of %s is no time at which it can have been deleted; read as living" + (
            " until it changes again" if table.kind == "updated_at" else ""
        )
        logger.warning(news, table.label, table.deleted, f"{odd:,} row{'s' if odd > 1 else ''}")


def _schema(table: Table) -> str:
    """The schema that the table is in at the source."""
    assert isinstance(table.declaration, Postgres)
    return settings().schema_named(table.declaration.schema_)


def _place(table: Table) -> sql.Identifier:
    return sql.Identifier(_schema(table), table.place)


def _place_in_words(table: Table) -> str:
    """The table at the source for people, as SQL takes it: `public.orders`, `public."Order Lines"`."""
    return f"{_written(_schema(table))}.{_written(table.place)}"


def _written(name: str) -> str:
    """A name as SQL takes it, quoted only where it must be."""
    return printable(name if _PLAIN_NAME.fullmatch(name) else quoted(name))


def _written_key(table: Table) -> str:
    return ", ".join(map(_written, table.key))


def _set_by(table: Table) -> str:
    """Where the schema at the source is set."""
    assert isinstance(table.declaration, Postgres)
    named = table.declaration.schema_
    return named if SCHEMA_VARIABLE.fullmatch(named) else "schema in its declaration"


def _version(table: Table) -> str:
    """The column by which a table that is not read in full is read."""
    assert table.version
    return table.version


def _deleted(table: Table) -> str:
    """The column that tells its deletes, of a table that declares one."""
    assert table.deleted
    return table.deleted


def _source_columns(shop: Database, table: Table) -> dict[str, Column]:
    """The table's columns from the source's catalog, in their order."""
    schema, place = _schema(table), _place_in_words(table)
    rows = shop.execute(
        """
        with recursive columns as (
            select attnum, attname, attnotnull, atttypid as declared
            from pg_attribute
            join pg_class on pg_class.oid = attrelid
            join pg_namespace on pg_namespace.oid = relnamespace
            where nspname = %s and relname = %s and relkind in ('r', 'p', 'v', 'm', 'f') and attnum > 0
                and not attisdropped
        ),

        -- A domain may be based on another domain.
        bases as (
            select attnum, declared as base from columns
            union all
            select attnum, typbasetype from bases join pg_type on pg_type.oid = base where typtype = 'd'
        )

        select
            attname,
            format_type(base, -1),
            coalesce(element.typname, type.typname),
            coalesce(element.typnamespace, type.typnamespace) = 'pg_catalog'::regnamespace,
            element.oid is not null as is_array,
            base <> declared as is_domain,
            not attnotnull
        from columns
        join bases using (attnum)
        join pg_type as type on type.oid = base and type.typtype <> 'd'
        left join pg_type as element on element.typarray = type.oid
        order by attnum
        """,
        [schema, table.place],
    ).fetchall()
    if not rows:
        raise StorehouseError(
            f"{table.label}: there is no table {place} in {shop.where}. "
            f"Create it (docs/sources.md), or set {_set_by(table)} to the schema it is in."
        )
    columns = {}
    for name, type_, base, is_of_postgres, is_array, is_domain, is_nullable in rows:
        is_same = is_of_postgres and base in SAME_EVERYWHERE and _PLAIN_TYPE.fullmatch(type_)
        landed_as = type_ if is_same else "text"
        if is_of_postgres and base == "money":
            # As the source's lc_monetary has it: that says how many decimals the number that is stored has.
            landed_as = "numeric[]" if is_array else "numeric"
        elif is_of_postgres and base == "bpchar" and not is_array:
            # As JSON it would keep the blanks that it is padded with, and be another id than the one that it names.
            landed_as = "text"
        columns[name] = Column(type_, landed_as, is_domain or landed_as != type_, is_nullable)
    if missing := [name for name in table.columns if name not in columns and name not in table.optional]:
        more = [name for name in columns if name not in table.columns]
        raise StorehouseError(
            f"{table.label}: {place} in {shop.where} lacks {', '.join(missing)}"
            + (f"; it has {printable(', '.join(more))}, which we don't know: was one renamed?" if more else ".")
            + " Nothing was landed. Add what is missing, or read a view that has it (docs/sources.md)."
        )
    if taken := OWN_COLUMNS & columns.keys():
        raise StorehouseError(
            f"{table.label}: {', '.join(sorted(taken))} of {place} has a name that raw uses for itself. "
            "Read a view that names it otherwise."
        )
    wrong = [
        f"{name} is {columns[name].type}, and must be a {kind}"
        for name, type_ in table.columns.items()
        if name in columns and type_ in _MUST_BE
        for kind, types in [_MUST_BE[type_]]
        if columns[name].landed_as not in types
    ]
    if wrong:
        raise StorehouseError(
            f"{table.label}: {'; '.join(wrong)} ({place} in {shop.where}). Nothing was landed. "
            "Read a view that casts it (docs/sources.md); a time of delete is null as long as the row lives."
        )
    return columns


def _raw_types(warehouse: Database, table: Table) -> dict[str, str]:
    with warehouse.speaking():
        rows = warehouse.execute(
            "select attname, format_type(atttypid, -1) from pg_attribute "
            "where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped order by attnum",
            [f"{table.schema}.{table.name}"],
        )
        return {name: type_ for name, type_ in rows if name not in OWN_COLUMNS}


def _is_empty(warehouse: Database, table: Table) -> bool:
    with warehouse.speaking():
        statement = sql.SQL("select not exists (select from {})").format(sql.Identifier(table.schema, table.name))
        return one_value(warehouse, statement)


def _as_raw_holds_them(warehouse: Database, table: Table, columns: dict[str, Column]) -> dict[str, Column]:
    """The columns with the types they will be landed as: text takes any type, and any other must be the source's.

    Raises:
        StorehouseError: a column has another type at the source than it was landed with.
    """
    if _is_empty(warehouse, table):
        return columns
    raw, landed = _raw_types(warehouse, table), {}
    for name, column in columns.items():
        holds = raw.get(name, column.landed_as)
        if holds == "text" != column.landed_as:
            column = column._replace(landed_as="text", is_cast=True)
        elif holds == column.type == "bpchar":
            # As raw was made before it took these as text.
            column = column._replace(landed_as=holds, is_cast=True)
        elif holds != column.landed_as:
            alter = f'alter table {table.schema}.{table.name} alter column "{printable(name)}" type'
            # A time without a zone means UTC here, whatever zone the session has that runs this.
            is_of_zone = WITH_ZONE in (types := {holds, column.landed_as}) and types <= _TIMES[1]
            value = f'"{printable(name)}"' + ("::timestamp" if holds == "date" else "")
            using = f" using {value} at time zone 'UTC'" if is_of_zone else ""
            raise StorehouseError(
                f"{table.label}: the column {printable(name)} is {column.type} at the source now"
                + (f", which lands as {column.landed_as}" if column.type != column.landed_as else "")
                + f"; it was landed as {holds}. "
                f"Nothing was landed. If that is right, run in the warehouse: {alter} {column.landed_as}{using}; "
                f"where old values don't fit, text holds both: {alter} text"
            )
        landed[name] = column
    return landed


def _adapt_raw(warehouse: Database, table: Table, columns: dict[str, Column], load_id: int) -> None:
    """Give raw the columns that the source has now, and say what changed."""
    raw = _raw_types(warehouse, table)
    name_of = sql.Identifier(table.schema, table.name)
    is_empty = _is_empty(warehouse, table)
    new = {name: column.landed_as for name, column in columns.items() if name not in raw}
    retyped = {name: column.landed_as for name, column in columns.items() if is_empty and name in raw}
    retyped = {name: type_ for name, type_ in retyped.items() if type_ != raw[name]}
    if new or retyped:
        shape(warehouse, table.schema, table.name, new | retyped)
    for name in new if not is_empty else ():
        news = "%s: new column %s (%s), landed from load %d on; null before"
        logger.warning(news, table.label, name, columns[name].type, load_id)
    for name in raw.keys() - columns.keys():
        # Said once: as long as the loads before this one still had it.
        had_it = one_value(
            warehouse,
            sql.SQL(
                "select exists (select from {} where _load_id = (select max(_load_id) from {}) and {} is not null)"
            ).format(name_of, name_of, sql.Identifier(name)),
        )
        if had_it:
            news = "%s: the column %s is gone at the source; null from load %d on, kept before"
            logger.warning(news, table.label, name, load_id)
    if table.kind == "full" and table.deleted in raw.keys() - columns.keys():
        revived = one_value(
            warehouse,
            sql.SQL(
                "select count(*) from _landing join (select distinct on ({key}) * from {raw} "
                "order by {key}, _load_id desc, _row desc) as current using ({key}) where current._op = 'd'"
            ).format(key=sql.SQL(", ").join(map(sql.Identifier, table.key)), raw=name_of),
        )
        if revived:
            news = "%s: %s is gone at the source; living again from load %d on: %s rows that it had deleted"
            logger.warning(news, table.label, table.deleted, load_id, f"{revived:,}")


def _end_of_data(shop: Database, table: Table, from_: datetime | None, until: datetime | None) -> datetime | None:
    """Where the interval ends that may count as read: just after the last change before `until`, or before now."""
    statement = sql.SQL(
        "select max({version})::timestamptz + interval '1 microsecond' from {table} "
        "where {version} < least({until}, now()) and {version} >= {earliest}"
    ).format(version=sql.Identifier(_version(table)), table=_place(table), until=until, earliest=NO_TIME_BEFORE)
    ends = one_value(shop, statement)
    return max(ends, from_) if ends and from_ else ends or from_


def _condition(table: Table, from_: datetime | None, until: datetime | None, is_nullable: bool) -> sql.Composable:
    version = sql.Identifier(_version(table))
    bounds = [sql.SQL("{} >= {}").format(version, from_)] if from_ else []
    bounds += [sql.SQL("{} < {}").format(version, until)] if until else []
    if not bounds:
        return sql.SQL("true")
    within = sql.SQL("({}) or {} < {}").format(sql.SQL(" and ").join(bounds), version, NO_TIME_BEFORE)
    return sql.SQL("{} or {} is null").format(within, version) if is_nullable else within


def _blocks(source: psycopg.Copy, too_large: str) -> Iterator[bytes]:
    waiting, size = [], 0
    # A part is a row, as the server sends it.
    for number, part in enumerate(source, start=1):
        if len(part) > LARGEST_BYTES:
            raise StorehouseError(f"Row {number:,} of those to read is of {len(part) / 2**20:,.1f} MB. {too_large}")
        waiting.append(part)
        size += len(part)
        if size >= BLOCK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def _too_large(table: Table) -> str:
    """What to do about a row that would land, and then stop staging for ever: `jsonb` can't hold it."""
    place = _place_in_words(table)
    return (
        f"{table.label}: a row is larger than {LARGEST_BYTES >> 20} MB, which no later layer can hold. Nothing was "
        f"landed. Find it at the source: select {_written_key(table)} from {place} as found "
        f"where octet_length(found::text) > {LARGEST_BYTES}; shorten it there, or read a view that does "
        f"({_set_by(table)})."
    )


def _check_keys(warehouse: Database, table: Table) -> None:
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    doubled = sql.SQL(
        "select count(*) from "
        "(select from _landing where row({key}) is not null group by {key} having count(*) > 1) as doubled"
    ).format(key=key)
    count = one_value(warehouse, doubled)
    if count:
        names, place = _written_key(table), _place_in_words(table)
        raise StorehouseError(
            f"{table.label}: keys ({names}) with more than one row in {place}: {count:,}. It is read in full, and each "
            "load would take another row for the current one. Nothing was landed. "
            f"See them: select {names}, count(*) from {place} group by {names} having count(*) > 1; "
            "mend them, or read a view with a row a key ({_set_by(table)})."
        )


def _append_differences(
    warehouse: Database,
    table: Table,
    columns: dict[str, Column],
    load_id: int,
    op: sql.Composable,
    allow_empty: bool,
) -> int:
    """Compare the snapshot in `_landing` with the latest state in raw; land what is new, changed, deleted or gone.

    Raises:
        StorehouseError: it is empty, or has two rows of one key, of which nobody can say which is the current one.
    """
    _check_keys(warehouse, table)
    raw = _raw_types(warehouse, table)
    parts = {
        "raw": sql.Identifier(table.schema, table.name),
        "columns": sql.SQL(", ").join(map(sql.Identifier, columns)),
        "all_columns": sql.SQL(", ").join(map(sql.Identifier, raw)),
        "key": sql.SQL(", ").join(map(sql.Identifier, table.key)),
        "snapshot_row": sql.SQL(", ").join(sql.Identifier("snapshot", name) for name in columns),
        "current_row": sql.SQL(", ").join(sql.Identifier("current", name) for name in columns),
        "same_key": sql.SQL(" and ").join(
            sql.SQL("{} = {}").format(sql.Identifier("snapshot", name), sql.Identifier("current", name))
            for name in table.key
        ),
        "load_id": sql.Literal(load_id),
        "op": op,
    }
    current = sql.SQL("select distinct on ({key}) * from {raw} order by {key}, _load_id desc, _row desc").format(
        **parts
    )
    if not allow_empty:
        statement = sql.SQL(
            "select exists (select from _landing), exists (select from ({}) as current where _op <> 'd')"
        ).format(current)
        has_rows, had_rows = one_row(warehouse, statement)
        if had_rows and not has_rows:
            raise StorehouseError(
                f"{table.label} is empty at the source and had rows before. Nothing was landed. "
                "If all of them are really gone, run again with --allow-empty."
            )
    # Rows are compared as text: that works for every type, and 1.0 and 1.00 differ.
    statement = sql.SQL(
        """
        with current as materialized ({current}),

        snapshot as not materialized (
            select {columns}, _row, {op} as _op from _landing
        ),

        changed as (
            select {snapshot_row}, snapshot._row, snapshot._op
            from snapshot
            left join current on {same_key}
            where
                current._row is null
                or current._op <> snapshot._op
                or row({snapshot_row})::text <> row({current_row})::text
        ),

        gone as (
            select {all_columns} from current where _op <> 'd' and not exists (select from snapshot where {same_key})
        ),

        upserts as (
            insert into {raw} ({columns}, _load_id, _row, _op)
            select {columns}, {load_id}, row_number() over (order by _row), _op from changed
            returning 1
        ),

        deletes as (
            insert into {raw} ({all_columns}, _load_id, _row, _op)
            select {all_columns}, {load_id}, (select count(*) from changed) + row_number() over (), 'd' from gone
            returning 1
        )

        select (select count(*) from upserts) + (select count(*) from deletes)
        """
    ).format(current=current, **parts)
    return one_value(warehouse, statement)
