"""A PostgreSQL database: COPY out of one snapshot, COPY into the warehouse; rows never become Python objects.

`catalog` has a table's columns and the types that they land as, `source_rows` and `landing` the two ends of a load,
`intervals` what a load by `updated_at` reads, `reconcile` compares raw with the source, and `looks` is what `discover`
and `check` see.
docs/sources/postgres.md has every field of the declaration.
"""

from datetime import datetime
from functools import partial

from psycopg import sql

from extract_load.connectors import Asked, How, Reconciled
from extract_load.connectors.postgres import change_log
from extract_load.connectors.postgres.catalog import place_of, schema_of
from extract_load.connectors.postgres.intervals import end_of_data, settled, tell_of, within
from extract_load.connectors.postgres.landing import adapt_raw, as_raw_holds_them, land_whole
from extract_load.connectors.postgres.looks import check, discover
from extract_load.connectors.postgres.reconcile import reconcile_table
from extract_load.connectors.postgres.source_rows import copy_across, op_of, source_columns, version_of
from extract_load.ledger import Load, LoadResult, each, land, one_at_a_time, starting_point
from extract_load.tables import Table
from storehouse.core.databases import Database, open_source
from storehouse.core.errors import StorehouseError, TransientError
from storehouse.core.queries import one_value

__all__ = ["check", "discover", "load", "ready", "reconcile"]

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
            version = sql.Identifier(version_of(table))
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
    """Land these tables, each in its own load: by their change log, and all others from one snapshot of their database.

    `updated_at` tables: without `until`, all rows from the watermark on. The interval that the ledger records ends
    after the last version that was seen, and never beyond `until` or the source's clock: a row dated in the future,
    or a source whose clock is not ours, can't move the watermark past rows that are still to come. Nor does it move
    past the beginning of the oldest transaction that is open there (`Settled`): what that commits is read by the next
    load. Rows without a version, or with one before `NO_TIME_BEFORE`, belong to no interval: they are landed each time.

    Raises:
        StorehouseError: what failed, a line each.
    """

    def read_snapshot() -> list[LoadResult]:
        with _open(tables) as database, database.speaking():
            found = settled(database)
            if any(table.kind == "updated_at" for table in others):
                tell_of(tables[0].source, found, is_first=not _has_loaded(warehouse, tables[0].source))
            with database.snapshot():
                return each(partial(_load_table, database, warehouse, asked, found.until), others)

    logged = [table for table in tables if table.kind == "change_log"]
    others = [table for table in tables if table.kind != "change_log"]
    parts = [read_snapshot] if others else []
    parts += [partial(change_log.load, warehouse, logged, asked)] if logged else []
    with one_at_a_time(tables):
        return each(lambda part: part(), parts)


def reconcile(warehouse: Database, tables: list[Table], asked: Asked, how: How) -> list[Reconciled]:
    """Compare raw with one snapshot of the source that is taken when no load of it can land; land what was missed.

    Raises:
        StorehouseError: what failed, a line each.
    """

    def reconcile_one(table: Table) -> Reconciled:
        with database.speaking():
            database.search(schema_of(table))
        return reconcile_table(database, warehouse, table, asked, how)

    with _open(tables) as database, one_at_a_time(tables), database.speaking(), database.snapshot():
        return each(reconcile_one, tables)


def _has_loaded(warehouse: Database, source: str) -> bool:
    with warehouse.speaking():
        return one_value(warehouse, "select exists (select from raw.loads where source = %s)", [source])


def _open(tables: list[Table]) -> Database:
    """The database of the tables of one source."""
    return open_source(tables[0].connection, tables[0].source)


def _load_table(shop: Database, warehouse: Database, asked: Asked, settled_until: datetime, table: Table) -> LoadResult:
    with shop.speaking():
        shop.search(schema_of(table))
    with shop.speaking(), shop.transaction():
        columns = source_columns(shop, table)
        columns = as_raw_holds_them(warehouse, table, columns)
        load = Load(table, run_id=asked.run_id)
        condition = sql.SQL("true")
        if table.kind == "updated_at":
            from_, until = starting_point(warehouse, table, asked.interval)
            load.interval_from = from_
            load.interval_until = end_of_data(shop, table, from_, until)
            load.settled_until = settled_until
            condition = within(table, from_, until, columns[version_of(table)].is_nullable)
        op = op_of(shop, table, columns, condition)

        def write(load_id: int) -> int:
            copy = partial(copy_across, shop, warehouse, table, columns, condition, op, load, load_id)
            if table.kind == "full":
                return land_whole(warehouse, table, columns, load_id, asked.allow_empty, copy)
            return copy(sql.Identifier(table.schema, table.name))

        return land(warehouse, load, write, lambda load_id: adapt_raw(warehouse, table, columns, load_id))
