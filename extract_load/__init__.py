"""Sources to raw: rows are landed as they are, append-only, one transaction a load. See `python -m extract_load -h`."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Literal, cast

from extract_load import ledger, lineage, tables
from extract_load.connectors import Asked, How, Reconciled, Reconciles, connector
from extract_load.ledger import Interval, LoadResult
from extract_load.tables import Table, tables_of
from storehouse.core import databases
from storehouse.core.errors import StorehouseError, telling_no_values
from storehouse.core.progress import about, interval
from storehouse.core.queries import one_value
from storehouse.core.settings import DEMO, settings

__all__ = ["SOURCES", "LoadResult", "in_use", "is_demo", "load", "partitions", "prepare", "reconcile"]

# A daily reconciliation is due after so many: a run a day may begin some hours earlier than yesterday's.
DUE_HOURS = 20

SOURCES: tuple[str, ...]


def __getattr__(name: str) -> object:
    """`SOURCES`: the names of the declared sources, read when they are first used."""
    if name != "SOURCES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return tables.SOURCES


def in_use() -> list[str]:
    """The sources to land: those whose place is set, and while the demo shop is the source also the demo's."""
    places = {table.source: table.connection for table in tables.TABLES}
    return [source for source, connection in places.items() if settings().has_place(connection)]


def is_demo() -> bool:
    """True while the demo shop is a source: it is declared, and `SHOP_DATABASE_URL` is not set."""
    return settings().is_demo and any(table.connection in DEMO for table in tables.TABLES)


def partitions(source: str) -> list[str | None]:
    """The partitions that are loaded separately, such as an API's regions; `[None]` for a source without."""
    return list(_known(source)[0].partitions)


def prepare() -> None:
    """Create what is missing of the raw schemas and tables.

    Raises:
        StorehouseError: no warehouse, or no right to create.
    """
    with databases.open_warehouse() as warehouse:
        ledger.prepare(warehouse)


@telling_no_values()
def load(
    source: str,
    from_: datetime | None = None,
    until: datetime | None = None,
    *,
    tables: Collection[str] | None = None,
    partition: str | None = None,
    run_id: str | None = None,
    allow_empty: bool = False,
    snapshot: bool = False,
) -> list[LoadResult]:
    """Land what a source has; safe to repeat, to run beside others and to kill.

    Args:
        source: one of `SOURCES`.
        from_: inclusive; by default the watermark less `OVERLAP_MINUTES`. With `until`, a backfill of that interval.
        until: exclusive; by default all there is. A time without zone is UTC.
        tables: only these tables of the source.
        partition: only this one of `partitions(source)`.
        run_id: the pipeline run, for the ledger.
        allow_empty: believe an empty snapshot of a table that had rows.
        snapshot: only tables that are read by their change log: read them in full, and land what differs.

    Returns:
        One result per load, in the order of landing.

    Raises:
        StorehouseError: what failed, a line each; whatever did not fail was landed.
    """
    chosen = _chosen(source, tables)
    if snapshot:
        of_log = [table for table in chosen if table.kind == "change_log"]
        if not of_log or (tables and of_log != chosen):
            words = ", ".join(table.name for table in _known(source) if table.kind == "change_log") or "none"
            raise StorehouseError(f"A snapshot is of tables that are read by change_log. Of {source} that is: {words}.")
        chosen = of_log
    if partition is not None and partition not in partitions(source):
        known = ", ".join(filter(None, partitions(source))) or "none"
        raise StorehouseError(f"{source} has no partition {partition}. It has: {known}.")
    asked_for = Interval(_utc(from_), _utc(until))
    if asked_for.from_ and asked_for.until and asked_for.from_ >= asked_for.until:
        raise StorehouseError(f"The interval is empty: from {asked_for.from_} is not before until {asked_for.until}.")
    settings().place(chosen[0].connection, source)

    keys = {"run": run_id, "source": source, "partition": partition, "interval": interval(*asked_for)}
    with about(**keys), lineage.told(chosen), databases.open_warehouse() as warehouse:
        ledger.prepare(warehouse)
        asked = Asked(asked_for, partition, run_id, allow_empty, snapshot)
        return connector(chosen[0].connector).load(warehouse, chosen, asked)


@telling_no_values()
def reconcile(
    source: str,
    *,
    tables: Collection[str] | None = None,
    compare: Literal["keys", "columns"] | None = None,
    is_dry: bool = False,
    is_declared: bool = False,
    is_due: bool = False,
    run_id: str | None = None,
    allow_empty: bool = False,
) -> list[Reconciled]:
    """Compare the current rows of raw with a source, and land what its loads have missed; safe as `load` is.

    Args:
        source: one of `SOURCES`.
        tables: only these tables of the source; None: all that are read by `updated_at`, of any declaration.
        compare: `keys` or `columns`; None: as declared, and `columns` of a table that declares `never`.
        is_dry: land nothing.
        is_declared: only tables whose declaration asks for it.
        is_due: of these, only those that were not reconciled within `DUE_HOURS`.
        run_id: the pipeline run, for the ledger.
        allow_empty: believe a table that has become empty.

    Returns:
        What was found of each table.

    Raises:
        StorehouseError: what failed, a line each; whatever did not fail was landed.
    """
    chosen = _chosen(source, tables)
    if not tables:
        chosen = [table for table in chosen if table.kind == "updated_at"]
    if is_declared or is_due:
        chosen = [table for table in chosen if table.reconcile != "never"]
    if not chosen:
        return []
    module = connector(chosen[0].connector)
    if not hasattr(module, "reconcile"):
        raise StorehouseError(f"{source} can't be reconciled: only a database can add up what it has.")
    settings().place(chosen[0].connection, source)
    with about(run=run_id, source=source), databases.open_warehouse() as warehouse:
        ledger.prepare(warehouse)
        if is_due:
            chosen = [table for table in chosen if _is_due(warehouse, table)]
        if not chosen:
            return []
        asked = Asked(Interval(None, None), run_id=run_id, allow_empty=allow_empty)
        with lineage.told(chosen, "reconcile"):
            return cast(Reconciles, module).reconcile(warehouse, chosen, asked, How(compare, is_dry))


def _is_due(warehouse: databases.Database, table: Table) -> bool:
    with warehouse.speaking():
        return one_value(
            warehouse,
            "select not exists (select from raw.loads where source = %s and table_name = %s and kind = 'reconcile' "
            "and started_at > now() - make_interval(hours => %s))",
            [table.source, table.name, DUE_HOURS],
        )


def _chosen(source: str, names: Collection[str] | None) -> list[Table]:
    """These tables of a source, or all."""
    known = _known(source)
    if unknown := set(names or ()) - {table.name for table in known}:
        words = ", ".join(table.name for table in known)
        raise StorehouseError(f"{source} has no table {', '.join(sorted(unknown))}. It has: {words}.")
    return [table for table in known if not names or table.name in names]


def _known(source: str) -> list[Table]:
    """The tables of a source that there is."""
    if not (found := tables_of(source)):
        raise StorehouseError(f"There is no source {source}. There is: {', '.join(tables.SOURCES)}.")
    return found


def _utc(time: datetime | None) -> datetime | None:
    if time is None or time.tzinfo is None:
        return time and time.replace(tzinfo=UTC)
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise StorehouseError(f"{time} lies outside the years 1 to 9999 in UTC. Leave it out: all is read.") from None
