"""The warehouse's end of a load: the types that raw holds, its new columns, and what differs from it."""

import time
from collections.abc import Callable

from psycopg import errors, sql

from extract_load.connectors.postgres.catalog import INTEGERS, TIMES, WITH_ZONE, Column, place_in_words
from extract_load.connectors.postgres.source_rows import set_by, written_key
from extract_load.declarations.common import OWN_COLUMNS
from extract_load.ledger import SCHEMA_LOCK, check_not_empty, logger, shape
from extract_load.tables import Table
from storehouse.core.databases import Database, take_lock
from storehouse.core.errors import StorehouseError
from storehouse.core.queries import as_sql, one_value
from storehouse.core.settings import settings
from storehouse.core.shown import printable

# Equal values of these types are spelled alike. Of others they need not be: 1 and 1.0 are two keys to what reads raw.
SPELLED_ONE_WAY = {*INTEGERS, *TIMES, "text", "uuid", "boolean"}
TRY_FOR, TRY_AGAIN = 1, 2  # seconds: for how long a new column waits for its table at once, and until the next time


def land_whole(
    warehouse: Database,
    table: Table,
    columns: dict[str, Column],
    load_id: int,
    allow_empty: bool,
    copy: Callable[[sql.Identifier], int],
) -> int:
    """Land all that the source has: as it comes into an empty raw table, else what differs from it; returns how many.

    Args:
        warehouse: in the transaction of the load.
        table: of which raw holds these columns.
        columns: as raw holds them.
        load_id: of the load.
        allow_empty: believe that a table that had rows is empty.
        copy: copies all rows into the table that it is given, and returns how many.

    Raises:
        StorehouseError: it is empty, or has two rows of one key, of which nobody can say which is the current one.
    """
    if _is_empty(warehouse, table):
        rows = copy(raw := sql.Identifier(table.schema, table.name))
        _check_keys(warehouse, table, raw)
        return rows
    copy(landing := make_landing(warehouse, columns))
    _check_keys(warehouse, table, landing)
    return _append_differences(warehouse, table, columns, load_id, allow_empty)


def make_landing(warehouse: Database, columns: dict[str, Column]) -> sql.Identifier:
    """A table of this transaction alone, for a snapshot of which the differences are to land."""
    types = {name: column.landed_as for name, column in columns.items()}
    types |= {"_load_id": "bigint", "_row": "bigint", "_op": "text"}
    definitions = [sql.SQL("{} {}").format(sql.Identifier(name), as_sql(type_)) for name, type_ in types.items()]
    warehouse.execute(sql.SQL("create temp table _landing ({}) on commit drop").format(sql.SQL(", ").join(definitions)))
    return sql.Identifier("pg_temp", "_landing")


def as_raw_holds_them(warehouse: Database, table: Table, columns: dict[str, Column]) -> dict[str, Column]:
    """The columns with the types they will be landed as: text takes any type, and any other must be the source's.

    Raises:
        StorehouseError: a column has another type at the source than it was landed with.
    """
    if _is_empty(warehouse, table):
        return columns
    raw, landed = raw_types(warehouse, table), {}
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


def adapt_raw(warehouse: Database, table: Table, columns: dict[str, Column], load_id: int) -> None:
    """Give raw the columns that the source has now, and say what changed.

    In a transaction of its own, because a new column locks the table: a load that fails afterwards leaves it, empty.
    """
    raw, new = raw_types(warehouse, table), set()
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


def _append_differences(
    warehouse: Database,
    table: Table,
    columns: dict[str, Column],
    load_id: int,
    allow_empty: bool,
) -> int:
    """Compare the snapshot in `_landing` with the latest state in raw; land what is new, changed, deleted or gone."""
    raw = raw_types(warehouse, table)

    def spelled(*name: str) -> sql.Composable:
        column = sql.Identifier(*name)
        return column if raw[name[-1]] in SPELLED_ONE_WAY else sql.SQL('{}::text collate "C"').format(column)

    parts = {
        "raw": sql.Identifier(table.schema, table.name),
        "columns": sql.SQL(", ").join(map(sql.Identifier, columns)),
        "all_columns": sql.SQL(", ").join(map(sql.Identifier, raw)),
        "key": sql.SQL(", ").join(spelled(name) for name in table.key),
        "snapshot_row": sql.SQL(", ").join(sql.Identifier("snapshot", name) for name in columns),
        "current_row": sql.SQL(", ").join(sql.Identifier("current", name) for name in columns),
        "same_key": sql.SQL(" and ").join(
            sql.SQL("{} = {}").format(spelled("snapshot", name), spelled("current", name)) for name in table.key
        ),
        "load_id": sql.Literal(load_id),
    }
    if table.deleted and table.deleted not in columns and table.deleted in raw:
        _tell_of_the_revived(warehouse, table, parts["raw"], load_id)
    current = sql.SQL("select distinct on ({key}) * from {raw} order by {key}, _load_id desc, _row desc").format(
        **parts
    )
    if not allow_empty:
        check_not_empty(warehouse, table.label, current)
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


def raw_types(warehouse: Database, table: Table) -> dict[str, str]:
    """The columns of the raw table, without raw's own, and their types."""
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


def _add_lacking(warehouse: Database, table: Table, columns: dict[str, Column]) -> tuple[dict[str, str], set[str]]:
    """Raw's types as they were, and the columns that are new in it.

    Raises:
        errors.LockNotAvailable: a load or a build uses the table. Whoever asked for it meanwhile waited behind us, so
            nobody waits in this way for long.
    """
    with warehouse.transaction():
        take_lock(warehouse, SCHEMA_LOCK, "the raw schemas")
        # Again: another load may have been here.
        raw, is_empty = raw_types(warehouse, table), _is_empty(warehouse, table)
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


def _tell_of_the_revived(warehouse: Database, table: Table, raw: sql.Identifier, load_id: int) -> None:
    """Say how many rows live again because the column that told their deletes is gone."""
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    revived = one_value(
        warehouse,
        sql.SQL(
            "select count(*) from _landing join (select distinct on ({key}) * from {raw} "
            "order by {key}, _load_id desc, _row desc) as current using ({key}) where current._op = 'd'"
        ).format(key=key, raw=raw),
    )
    if revived:
        news = "%s: the column %s is gone at the source; from load %d on, %s that it marked as deleted %s again"
        words = ("1 row", "lives") if revived == 1 else (f"{revived:,} rows", "live")
        logger.warning(news, table.label, table.deleted, load_id, *words)


def _check_keys(warehouse: Database, table: Table, rows: sql.Identifier) -> None:
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    doubled = sql.SQL(
        "select count(*) from "
        "(select from {rows} where row({key}) is not null group by {key} having count(*) > 1) as doubled"
    ).format(key=key, rows=rows)
    count = one_value(warehouse, doubled)
    if count:
        raise doubled_keys(
            table, count, "It is read in full, and each load would take another row for the current one."
        )


def doubled_keys(table: Table, count: int, why: str) -> StorehouseError:
    """What is said of keys with more than one row at the source; `why` they can't be read so."""
    names, place = written_key(table), place_in_words(table)
    return StorehouseError(
        f"{table.label}: keys ({names}) with more than one row in {place}: {count:,}. {why} Nothing was landed. "
        f"See them: select {names}, count(*) from {place} group by {names} having count(*) > 1; "
        f"mend them, or read a view with a row a key ({set_by(table)})."
    )
