"""The marketplace and reviews APIs: each partition's records of an interval, a page at a time, as they came."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import psycopg

from extract_load.databases import Database
from extract_load.http_pages import PagesMovedError, pages
from extract_load.ledger import (
    NO_TIME_BEFORE,
    Interval,
    Load,
    LoadResult,
    append_rows,
    each,
    land,
    logger,
    starting_point,
)
from extract_load.payload import payload
from extract_load.tables import Table
from storehouse.errors import TransientError
from storehouse.settings import settings

# How often a question is asked anew when its records changed while they were read.
MOVED_TRIES = 3

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def load(
    warehouse: Database, table: Table, partitions: Iterable[str | None], asked: Interval, run_id: str | None
) -> list[LoadResult]:
    """Land the records of an interval of `updated_at`, a load for each partition.

    Without `until` it is asked up to now. What the ledger records ends after the last `updated_at` that came, or where
    it began if nothing did: so an API whose clock is not ours can't move the watermark past what is still to come.

    Raises:
        StorehouseError: what failed, a line each.
    """
    return each(lambda partition: _load_partition(warehouse, table, partition, asked, run_id), partitions)


def _load_partition(
    warehouse: Database, table: Table, partition: str | None, asked: Interval, run_id: str | None
) -> LoadResult:
    for _ in range(MOVED_TRIES):
        try:
            return _try_partition(warehouse, table, partition, asked, run_id)
        except PagesMovedError as moved:
            logger.info("%s; asking again from page 1", moved)
            reason = moved
    raise TransientError(
        f"{reason}, {MOVED_TRIES} times over. Nothing of this load was landed. "
        "Ask for an interval that lies in the past (--until), or check the API's paging."
    )


def _try_partition(
    warehouse: Database, table: Table, partition: str | None, asked: Interval, run_id: str | None
) -> LoadResult:
    from_, until = starting_point(warehouse, table, asked, partition)
    now = datetime.now(UTC)
    until = until or max(now, from_ or BEGINNING)
    load = Load(table, partition, from_, from_, run_id)
    parameters = {"from": _stamp(from_ or BEGINNING), "until": _stamp(until)}
    if partition:
        parameters["region"] = partition
    if table.source == "marketplace":
        base_url, setting = settings().resolved_marketplace_url(), "MARKETPLACE_URL"
    else:
        base_url, setting = settings().resolved_reviews_url(), "REVIEWS_URL"

    def feed(copy: psycopg.Copy) -> None:
        if from_ == until:
            return
        for page in pages(base_url, f"/{table.name}", parameters, setting):
            load.account(page.body)
            for record in page.records:
                copy.write_row((payload(record.text),))
                load.members.update(record.value if isinstance(record.value, dict) else ())
                changed_at = _updated_at(record.value)
                if changed_at and NO_TIME_BEFORE <= changed_at < min(until, now):
                    load.interval_until = max(load.interval_until or changed_at, changed_at + timedelta(microseconds=1))

    def append(load_id: int) -> int:
        return append_rows(warehouse, table, ["payload"], load_id, _partition=partition)

    return land(warehouse, load, {"payload": "jsonb"}, feed, append)


def _updated_at(record: object) -> datetime | None:
    """When a record changed, if it says so in a way that can be read."""
    try:
        time = datetime.fromisoformat(record["updated_at"])
    except (TypeError, KeyError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
