"""The shop database: COPY out of one snapshot, COPY into the warehouse; rows never become Python objects."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg
from psycopg import sql

from extract_load.databases import Database, open_shop
from extract_load.ledger import Interval, Load, LoadResult, append_rows, each, land, logger, starting_point
from extract_load.tables import Table
from storehouse.errors import StorehouseError
from storehouse.settings import settings
from storehouse.shown import printable

# Snapshots must be compared in the order they were taken: one load at a time of tables that are read in full.
SNAPSHOT_LOCK = 0x5EED_0003

OWN_COLUMNS = {"_load_id", "_row", "_op"}
TIMES = ("timestamp with time zone", "timestamp without time zone", "date")

# The source answers row by row; the warehouse is fed in blocks.
BLOCK_BYTES = 64 * 1024


class Column(NamedTuple):
    """A column of the source.

    Attributes:
        type: its type there, without length or precision; a domain's base.
        landed_as: the type that raw can hold: the same, or text for what only the source knows (an enum, an extension).
        is_cast: whether the source must cast it to that.
        is_nullable: whether it may be null.
    """

    type: str
    landed_as: str
    is_cast: bool
    is_nullable: bool


def load(
    warehouse: Database, tables: list[Table], asked: Interval, run_id: str | None, allow_empty: bool
) -> list[LoadResult]:
    """Land these tables, each in its own load, all from one snapshot of the shop.

    `updated_at` tables: without `until`, all rows from the watermark on. The interval that the ledger records ends
    after the last `updated_at` that was seen, and never beyond `until` or the shop's clock: a row dated in the future,
    or a shop whose clock is not ours, can't move the watermark past rows that are still to come. Rows without
    `updated_at` belong to no interval: they are landed each time.

    Raises:
        StorehouseError: what failed, a line each.
    """
    with open_shop() as shop, _one_at_a_time(warehouse, tables), shop.speaking(), shop.transaction():
        return each(lambda table: _load_table(shop, warehouse, table, asked, run_id, allow_empty), tables)


def _load_table(
    shop: Database, warehouse: Database, table: Table, asked: Interval, run_id: str | None, allow_empty: bool
) -> LoadResult:
    with shop.speaking(), shop.transaction():
        columns = _source_columns(shop, table)
        columns = _as_raw_holds_them(warehouse, table, columns)
        load = Load(table, run_id=run_id)
        condition = sql.SQL("true")
        if table.kind == "updated_at":
            from_, until = starting_point(warehouse, table, asked)
            load.interval_from = from_
            load.interval_until = _end_of_data(shop, table, from_, until)
            condition = _condition(from_, until, columns["updated_at"].is_nullable)
        statement = sql.SQL("copy (select {} from {} where {}) to stdout (format binary)").format(
            sql.SQL(", ").join(
                sql.SQL("{}::{}").format(sql.Identifier(name), sql.SQL(column.landed_as))
                if column.is_cast
                else sql.Identifier(name)
                for name, column in columns.items()
            ),
            _at_shop(table),
            condition,
        )

        def feed(sink: psycopg.Copy) -> None:
            with shop.speaking(), shop.cursor().copy(statement) as source:
                for block in _blocks(source):
                    with warehouse.speaking():
                        sink.write(block)
                    load.account(block)

        def append(load_id: int) -> int:
            _adapt_raw(warehouse, table, columns, load_id)
            if table.kind == "full":
                return _append_differences(warehouse, table, columns, load_id, allow_empty)
            is_deleted = sql.SQL("case when deleted_at is not null then 'd' else 'u' end")
            op = is_deleted if "deleted_at" in columns else sql.SQL("'u'")
            return append_rows(warehouse, table, columns, load_id, op)

        types = {name: column.landed_as for name, column in columns.items()}
        return land(warehouse, load, types, feed, append, binary=True)


@contextmanager
def _one_at_a_time(warehouse: Database, tables: list[Table]) -> Iterator[None]:
    if all(table.kind != "full" for table in tables):
        yield
        return
    with warehouse.speaking():
        (free,) = warehouse.execute("select pg_try_advisory_lock(%s)", [SNAPSHOT_LOCK]).fetchone()
        if not free:
            logger.info("shop: another load of the shop is running; waiting for it")
            warehouse.execute("select pg_advisory_lock(%s)", [SNAPSHOT_LOCK])
    try:
        yield
    finally:
        if not warehouse.closed:
            warehouse.execute("select pg_advisory_unlock(%s)", [SNAPSHOT_LOCK])


def _at_shop(table: Table) -> sql.Identifier:
    return sql.Identifier(settings().shop_schema, table.name)


def _source_columns(shop: Database, table: Table) -> dict[str, Column]:
    """The table's columns from the shop's catalog, in their order."""
    schema = settings().shop_schema
    rows = shop.execute(
        """
        with columns as (
            select
                attname, attnum, attnotnull, atttypid,
                coalesce(nullif(domain.typbasetype, 0), atttypid) as base
            from pg_attribute
            join pg_class on pg_class.oid = attrelid
            join pg_namespace on pg_namespace.oid = relnamespace
            join pg_type as domain on domain.oid = atttypid
            where nspname = %s and relname = %s and relkind in ('r', 'p', 'v', 'm', 'f') and attnum > 0
                and not attisdropped
        )
        select
            attname,
            format_type(base, -1),
            typnamespace = 'pg_catalog'::regnamespace and typsend <> 0 and typtype in ('b', 'r', 'm') as is_known,
            base <> atttypid as is_domain,
            not attnotnull
        from columns
        join pg_type on pg_type.oid = base
        order by attnum
        """,
        [schema, table.name],
    ).fetchall()
    if not rows:
        raise StorehouseError(
            f"{table.label}: there is no table {schema}.{table.name} in {shop.where}. "
            "Create it (docs/sources.md), or set SHOP_SCHEMA to the schema it is in."
        )
    columns = {
        name: Column(type_, type_ if is_known else "text", is_domain or not is_known, nullable)
        for name, type_, is_known, is_domain, nullable in rows
    }
    if missing := [name for name in table.columns if name not in columns and name not in table.optional]:
        more = [name for name in columns if name not in table.columns]
        raise StorehouseError(
            f"{table.label}: {schema}.{table.name} in {shop.where} lacks {', '.join(missing)}"
            + (f"; it has {printable(', '.join(more))}, which we don't know: was one renamed?" if more else ".")
            + " Nothing was landed. Add what is missing, or read a view that has it (docs/sources.md)."
        )
    if taken := OWN_COLUMNS & columns.keys():
        raise StorehouseError(
            f"{table.label}: {', '.join(sorted(taken))} of {schema}.{table.name} has a name that raw uses for itself. "
            "Read a view that names it otherwise."
        )
    if table.kind == "updated_at" and columns["updated_at"].type not in TIMES:
        raise StorehouseError(
            f"{table.label}: updated_at is {columns['updated_at'].type} in {shop.where}; it must be a timestamp."
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
        return warehouse.execute(statement).fetchone()[0]


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
        elif holds != column.landed_as:
            alter = f'alter table {table.schema}.{table.name} alter column "{printable(name)}" type'
            raise StorehouseError(
                f"{table.label}: the column {printable(name)} is {column.type} at the source now; "
                f"it was landed as {holds}. Nothing was landed. "
                f"If that is right, run in the warehouse: {alter} {column.landed_as}; "
                f"where old values don't fit, text holds both: {alter} text"
            )
        landed[name] = column
    return landed


def _adapt_raw(warehouse: Database, table: Table, columns: dict[str, Column], load_id: int) -> None:
    """Give raw the columns that the source has now, and say what changed."""
    raw = _raw_types(warehouse, table)
    name_of = sql.Identifier(table.schema, table.name)
    is_empty = _is_empty(warehouse, table)
    for name, column in columns.items():
        type_, identifier = sql.SQL(column.landed_as), sql.Identifier(name)
        if name not in raw:
            warehouse.execute(sql.SQL("alter table {} add column {} {}").format(name_of, identifier, type_))
            if not is_empty:
                news = "%s: new column %s (%s), landed from load %d on; null before"
                logger.warning(news, table.label, name, column.type, load_id)
        elif is_empty and raw[name] != column.landed_as:
            warehouse.execute(
                sql.SQL("alter table {} alter column {} type {} using null").format(name_of, identifier, type_)
            )
    for name in raw.keys() - columns.keys():
        # Said once: as long as the loads before this one still had it.
        (had_it,) = warehouse.execute(
            sql.SQL(
                "select exists (select from {} where _load_id = (select max(_load_id) from {}) and {} is not null)"
            ).format(name_of, name_of, sql.Identifier(name))
        ).fetchone()
        if had_it:
            news = "%s: the column %s is gone at the source; null from load %d on, kept before"
            logger.warning(news, table.label, name, load_id)


def _end_of_data(shop: Database, table: Table, from_: datetime | None, until: datetime | None) -> datetime | None:
    """Where the interval ends that may count as read: just after the last change before `until`, or before now."""
    statement = sql.SQL(
        "select max(updated_at)::timestamptz from {} where updated_at < {} and updated_at > '-infinity'"
    ).format(_at_shop(table), sql.Literal(until) if until else sql.SQL("now()"))
    (last,) = shop.execute(statement).fetchone()
    ends = last + timedelta(microseconds=1) if last else None
    return max(ends, from_) if ends and from_ else ends or from_


def _condition(from_: datetime | None, until: datetime | None, is_nullable: bool) -> sql.Composable:
    bounds = [sql.SQL("updated_at >= {}").format(from_)] if from_ else []
    bounds += [sql.SQL("updated_at < {}").format(until)] if until else []
    if not bounds:
        return sql.SQL("true")
    within = sql.SQL(" and ").join(bounds)
    return sql.SQL("({}) or updated_at is null").format(within) if is_nullable else within


def _blocks(source: psycopg.Copy) -> Iterator[bytes]:
    waiting, size = [], 0
    for part in source:
        waiting.append(part)
        size += len(part)
        if size >= BLOCK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def _append_differences(
    warehouse: Database, table: Table, columns: dict[str, Column], load_id: int, allow_empty: bool
) -> int:
    """Compare the snapshot in `_landing` with the latest state in raw; land what is new, changed or gone."""
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
    }
    current = sql.SQL(
        "select * from (select distinct on ({key}) * from {raw} order by {key}, _load_id desc, _row desc) as latest "
        "where _op <> 'd'"
    ).format(**parts)
    if not allow_empty:
        statement = sql.SQL("select exists (select from _landing), exists ({})").format(current)
        has_rows, had_rows = warehouse.execute(statement).fetchone()
        if had_rows and not has_rows:
            raise StorehouseError(
                f"{table.label} is empty at the source and had rows before. Nothing was landed. "
                "If all of them are really gone, run again with --allow-empty."
            )
    # Rows are compared as text: that works for every type, and tells 1.0 from 1.00.
    statement = sql.SQL(
        """
        with current as materialized ({current}),

        changed as (
            select {snapshot_row}, snapshot._row
            from _landing as snapshot
            left join current on {same_key}
            where current._row is null or row({snapshot_row})::text <> row({current_row})::text
        ),

        gone as (
            select {all_columns} from current where not exists (select from _landing as snapshot where {same_key})
        ),

        upserts as (
            insert into {raw} ({columns}, _load_id, _row, _op)
            select {columns}, {load_id}, row_number() over (order by _row), 'u' from changed
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
    return warehouse.execute(statement).fetchone()[0]
