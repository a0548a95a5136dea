"""A PostgreSQL database: COPY out of one snapshot, COPY into the warehouse; rows never become Python objects.

`catalog` has a table's columns and the types that they land as, and `looks` is what `discover` and `check` see.
docs/sources/postgres.md has every field of the declaration.
"""

import time
from collections.abc import Iterator
from datetime import datetime

from psycopg import errors, sql
from psycopg.abc import Buffer, PQGen
from psycopg.pq import ExecStatus
from psycopg.waiting import Wait

from extract_load.connectors import Asked
from extract_load.connectors.postgres.catalog import (
    TIMES,
    WITH_ZONE,
    Column,
    columns_of,
    place_in_words,
    place_of,
    schema_of,
    selected,
    written,
    wrong_types,
)
from extract_load.connectors.postgres.looks import check, discover
from extract_load.declarations.common import OWN_COLUMNS
from extract_load.declarations.postgres import Postgres
from extract_load.ledger import (
    NO_TIME_BEFORE,
    SCHEMA_LOCK,
    Load,
    LoadResult,
    copy_into,
    each,
    land,
    logger,
    one_at_a_time,
    shape,
    starting_point,
)
from extract_load.payload import LARGEST_BYTES
from extract_load.tables import Table
from storehouse.core.databases import Database, open_source, take_lock
from storehouse.core.errors import StorehouseError, TransientError
from storehouse.core.queries import as_sql, one_row, one_value
from storehouse.core.settings import SCHEMA_VARIABLE, settings
from storehouse.core.shown import printable

__all__ = ["check", "discover", "load", "ready"]

TRY_FOR, TRY_AGAIN = 1, 2  # seconds: for how long a new column waits for its table at once, and until the next time

READ_WITHIN = 40  # seconds, the question whether it is ready, which might wait for a lock for ever


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
        failures: list[StorehouseError] = []
        for table in changing:
            version = sql.Identifier(_version(table))
            statement = reached.format(version=version, table=place_of(table), from_=from_, until=until)
            try:
                with database.speaking(), database.transaction():
                    database.search(schema_of(table))
                    if one_value(database, statement):
                        return None
            except StorehouseError as error:
                failures.append(error)
    # One that fails holds the others up as little as it does in a load, which says why it failed.
    if len(failures) == len(changing):
        raise next((error for error in failures if isinstance(error, TransientError)), failures[0])
    return (
        f"no table of {source} has a row that changed from {from_:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}, or later"
    )


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
            database.search(schema_of(table))
        return _load_table(database, warehouse, table, asked)

    with _open(tables) as database, one_at_a_time(tables), database.speaking(), database.snapshot():
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
        has_deletes = table.deleted in columns
        op = _OP.format(deleted_at=sql.Identifier(_deleted(table)), earliest=NO_TIME_BEFORE) if has_deletes else UPSERT

        if has_deletes:
            _tell_of_odd_deletes(shop, table, condition, op)

        def write(load_id: int) -> int:
            # The rows come with what raw adds to them: nobody touches them on their way.
            statement = sql.SQL(
                "copy (select {}, {}::bigint, row_number() over (), {} from {} where {}) to stdout (format binary)"
            ).format(selected(columns), load_id, op, place_of(table), condition)
            target = sql.Identifier(table.schema, table.name)
            if table.kind == "full":
                target = _make_landing(warehouse, columns)
            landing = copy_into(target, [*columns, "_load_id", "_row", "_op"], binary=True)
            too_large = _too_large(table)
            with warehouse.cursor() as cursor:
                with (
                    cursor.copy(landing) as sink,
                    shop.speaking({errors.ProgramLimitExceeded: too_large}),
                    shop.cursor().copy(statement),
                ):
                    for block in _blocks(shop, too_large):
                        with warehouse.speaking():
                            sink.write(block)
                        load.account(block)
                rows = cursor.rowcount
            if table.kind == "full":
                return _append_differences(warehouse, table, columns, load_id, asked.allow_empty)
            return rows

        return land(warehouse, load, write, lambda load_id: _adapt_raw(warehouse, table, columns, load_id))


def _make_landing(warehouse: Database, columns: dict[str, Column]) -> sql.Identifier:
    """A table of this transaction alone, for a snapshot of which the differences are to land."""
    types = {name: column.landed_as for name, column in columns.items()}
    types |= {"_load_id": "bigint", "_row": "bigint", "_op": "text"}
    definitions = [sql.SQL("{} {}").format(sql.Identifier(name), as_sql(type_)) for name, type_ in types.items()]
    warehouse.execute(sql.SQL("create temp table _landing ({}) on commit drop").format(sql.SQL(", ").join(definitions)))
    return sql.Identifier("pg_temp", "_landing")


UPSERT = sql.SQL("'u'::text")
# A row is deleted when the column that tells it holds a time that has come, by the source's own clock; the day is for
# clocks and time zones ahead of it. Zero times, times to come and infinity say that the row lives.
_OP = sql.SQL("case when {deleted_at} >= {earliest} and {deleted_at} <= now() + interval '1 day' then 'd' else 'u' end")


def _tell_of_odd_deletes(shop: Database, table: Table, condition: sql.Composable, op: sql.Composable) -> None:
    statement = sql.SQL("select count(*) from {} where {} is not null and {} = 'u' and ({})")
    odd = one_value(shop, statement.format(place_of(table), sql.Identifier(_deleted(table)), op, condition))
    if odd:
        # A table that is read in full is asked again by every load.
        news = "%s: %s of %s is no time at which it can have been deleted; read as living" + (
            " until it changes again" if table.kind == "updated_at" else ""
        )
        logger.warning(news, table.label, table.deleted, f"{odd:,} row{'s' if odd > 1 else ''}")


def _written_key(table: Table) -> str:
    return ", ".join(map(written, table.key))


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


def _source_columns(database: Database, table: Table) -> dict[str, Column]:
    """The table's columns from the source's catalog, in their order.

    Raises:
        StorehouseError: a declared column is missing or of another type.
    """
    schema, place = schema_of(table), place_in_words(table)
    columns = columns_of(database, schema, table.place)
    if not columns:
        raise StorehouseError(
            f"{table.label}: there is no table {place} in {database.where}. "
            f"Create it (docs/sources.md), or set {_set_by(table)} to the schema it is in."
        )
    if missing := [name for name in table.columns if name not in columns and name not in table.optional]:
        more = [name for name in columns if name not in table.columns]
        raise StorehouseError(
            f"{table.label}: {place} in {database.where} lacks {', '.join(missing)}"
            + (f"; it has {printable(', '.join(more))}, which we don't know: was one renamed?" if more else ".")
            + " Nothing was landed. Add what is missing, or read a view that has it (docs/sources.md)."
        )
    if taken := OWN_COLUMNS & columns.keys():
        raise StorehouseError(
            f"{table.label}: {', '.join(sorted(taken))} of {place} has a name that raw uses for itself. "
            "Read a view that names it otherwise."
        )
    if wrong := wrong_types(table, columns):
        raise StorehouseError(
            f"{table.label}: {'; '.join(wrong)} ({place} in {database.where}). Nothing was landed. "
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
            is_of_zone = WITH_ZONE in (types := {holds, column.landed_as}) and types <= TIMES
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
    """Give raw the columns that the source has now, and say what changed.

    In a transaction of its own, because a new column locks the table: a load that fails afterwards leaves it, empty.
    """
    raw, new = _raw_types(warehouse, table), set()
    until, is_told = time.monotonic() + settings().lock_wait_minutes * 60, False
    while _lacking(raw, columns, _is_empty(warehouse, table)):
        try:
            raw, new = _add_lacking(warehouse, table, columns)
            break
        except errors.LockNotAvailable:
            if time.monotonic() > until:
                raise
            if not is_told:
                logger.warning("%s: a new column waits for those who use the table in raw", table.label)
            is_told = True
            time.sleep(TRY_AGAIN)
    for name in new:
        news = "%s: new column %s (%s), landed from load %d on; null before"
        logger.warning(news, table.label, name, columns[name].type, load_id)
    for name in raw.keys() - columns.keys():
        # Said once: as long as the loads before this one still had it.
        had_it = one_value(
            warehouse,
            sql.SQL(
                "select exists (select from {} where {} is not null and _load_id = "
                "(select max(load_id) from raw.loads where (source, table_name) = ({}, {}) and rows > 0))"
            ).format(sql.Identifier(table.schema, table.name), sql.Identifier(name), table.source, table.name),
        )
        if had_it:
            news = "%s: the column %s is gone at the source; null from load %d on, kept before"
            logger.warning(news, table.label, name, load_id)


def _add_lacking(warehouse: Database, table: Table, columns: dict[str, Column]) -> tuple[dict[str, str], set[str]]:
    """Raw's types as they were, and the columns that are new in it.

    Raises:
        errors.LockNotAvailable: a load or a build uses the table. Whoever asked for it meanwhile waited behind us, so
            nobody waits in this way for long.
    """
    with warehouse.transaction():
        take_lock(warehouse, SCHEMA_LOCK, "the raw schemas")
        # Again: another load may have been here.
        raw, is_empty = _raw_types(warehouse, table), _is_empty(warehouse, table)
        lacking = _lacking(raw, columns, is_empty)
        warehouse.execute(sql.SQL("set local lock_timeout to {}").format(f"{TRY_FOR}s"))
        shape(warehouse, table.schema, table.name, lacking)
    return raw, set() if is_empty else set(lacking)


def _lacking(raw: dict[str, str], columns: dict[str, Column], is_empty: bool) -> dict[str, str]:
    """The columns that raw must be given; while it is empty, those of another type too."""
    return {
        name: column.landed_as
        for name, column in columns.items()
        if name not in raw or (is_empty and raw[name] != column.landed_as)
    }


def _tell_of_the_revived(
    warehouse: Database, table: Table, raw: sql.Identifier, key: sql.Composable, load_id: int
) -> None:
    """Say how many rows live again because the column that told their deletes is gone."""
    revived = one_value(
        warehouse,
        sql.SQL(
            "select count(*) from _landing join (select distinct on ({key}) * from {raw} "
            "order by {key}, _load_id desc, _row desc) as current using ({key}) where current._op = 'd'"
        ).format(key=key, raw=raw),
    )
    if revived:
        news = "%s: %s is gone at the source; living again from load %d on: %s rows that it had deleted"
        logger.warning(news, table.label, table.deleted, load_id, f"{revived:,}")


def _end_of_data(database: Database, table: Table, from_: datetime | None, until: datetime | None) -> datetime | None:
    """Where the interval ends that may count as read: just after the last change before `until`, or before now."""
    statement = sql.SQL(
        "select max({version})::timestamptz + interval '1 microsecond' from {table} "
        "where {version} < least({until}, now()) and {version} >= {earliest}"
    ).format(version=sql.Identifier(_version(table)), table=place_of(table), until=until, earliest=NO_TIME_BEFORE)
    ends = one_value(database, statement)
    return max(ends, from_) if ends and from_ else ends or from_


def _condition(table: Table, from_: datetime | None, until: datetime | None, is_nullable: bool) -> sql.Composable:
    version = sql.Identifier(_version(table))
    bounds = [sql.SQL("{} >= {}").format(version, from_)] if from_ else []
    bounds += [sql.SQL("{} < {}").format(version, until)] if until else []
    if not bounds:
        return sql.SQL("true")
    within = sql.SQL("({}) or {} < {}").format(sql.SQL(" and ").join(bounds), version, NO_TIME_BEFORE)
    return sql.SQL("{} or {} is null").format(within, version) if is_nullable else within


def _blocks(shop: Database, too_large: str) -> Iterator[bytes]:
    """What the shop's COPY brings, in blocks of whole rows.

    psycopg hands over a row at a time, which is most of what a load costs us: so all that has arrived is taken from
    libpq, whose buffer holds some 16 kB, or a row that is longer.
    """
    count, is_over = 0, False

    def arrived() -> PQGen[list[Buffer]]:
        nonlocal is_over
        rows, get = [], shop.pgconn.get_copy_data
        while True:
            length, row = get(1)
            if length > 0:
                rows.append(row)
            elif rows or length < 0:
                # To the warehouse with them: more arrives meanwhile, and is read at once.
                is_over = length < 0
                return rows
            else:
                while not (yield Wait.R):
                    continue
                shop.pgconn.consume_input()

    while not is_over:
        rows = shop.wait(arrived())
        if is_over:
            for result in list(iter(shop.pgconn.get_result, None)):
                if result.status != ExecStatus.COMMAND_OK:
                    raise errors.error_from_result(result)
        block = b"".join(rows)
        if len(block) > LARGEST_BYTES:
            for number, row in enumerate(rows, start=count + 1):
                if len(row) > LARGEST_BYTES:
                    size = f"{len(row) / 2**20:,.1f} MB"
                    raise StorehouseError(f"Row {number:,} of those to read is of {size}. {too_large}")
        count += len(rows)
        if block:
            yield block


def _too_large(table: Table) -> str:
    """What to do about a row that would land, and then stop staging for ever: `jsonb` can't hold it."""
    place = place_in_words(table)
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
        names, place = _written_key(table), place_in_words(table)
        raise StorehouseError(
            f"{table.label}: keys ({names}) with more than one row in {place}: {count:,}. It is read in full, and each "
            "load would take another row for the current one. Nothing was landed. "
            f"See them: select {names}, count(*) from {place} group by {names} having count(*) > 1; "
            f"mend them, or read a view with a row a key ({_set_by(table)})."
        )


def _append_differences(
    warehouse: Database,
    table: Table,
    columns: dict[str, Column],
    load_id: int,
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
    }
    if table.deleted and table.deleted not in columns and table.deleted in raw:
        _tell_of_the_revived(warehouse, table, parts["raw"], parts["key"], load_id)
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
            select {columns}, _row, _op from _landing
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
