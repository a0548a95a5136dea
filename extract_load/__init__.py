"""Sources to raw: rows are landed as they are, append-only, one transaction a load. See `python -m extract_load -h`."""

from collections.abc import Collection
from datetime import UTC, datetime

from extract_load import ledger, tables
from extract_load.connectors import Asked, connector
from extract_load.ledger import Interval, LoadResult
from extract_load.tables import Table, tables_of
from storehouse.core import databases
from storehouse.core.errors import StorehouseError, telling_no_values
from storehouse.core.settings import DEMO, settings

__all__ = ["SOURCES", "LoadResult", "in_use", "is_demo", "load", "partitions", "prepare"]

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
        snapshot: read tables whose change log is read in full again, and land what differs.

    Returns:
        One result per load, in the order of landing.

    Raises:
        StorehouseError: what failed, a line each; whatever did not fail was landed.
    """
    chosen = _known(source)
    if unknown := set(tables or ()) - {table.name for table in chosen}:
        known = ", ".join(table.name for table in chosen)
        raise StorehouseError(f"{source} has no table {', '.join(sorted(unknown))}. It has: {known}.")
    if partition is not None and partition not in partitions(source):
        known = ", ".join(filter(None, partitions(source))) or "none"
        raise StorehouseError(f"{source} has no partition {partition}. It has: {known}.")
    interval = Interval(_utc(from_), _utc(until))
    if interval.from_ and interval.until and interval.from_ >= interval.until:
        raise StorehouseError(f"The interval is empty: from {interval.from_} is not before until {interval.until}.")
    chosen = [table for table in chosen if not tables or table.name in tables]
    settings().place(chosen[0].connection, source)

    with databases.open_warehouse() as warehouse:
        ledger.prepare(warehouse)
        asked = Asked(interval, partition, run_id, allow_empty, snapshot)
        return connector(chosen[0].connector).load(warehouse, chosen, asked)


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
