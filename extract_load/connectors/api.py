"""The marketplace and reviews APIs: each partition's records of an interval, a page at a time, as they came.

A list may change while its pages are read: a record that leaves moves those behind it one place up, across a page's
edge, and nobody sees the one that crossed it. So a list of more than one page is read until two readings in a row
agree. Every version that both hold was there from the one reading to the other, and so when the second's first page was
answered; there were as many as that page's total says; so these were all. A record on two pages is counted once more,
in an answer of one page. This needs no order of the list, only what docs/sources.md asks of an API: a record's
`updated_at` grows with every change, and a total is that of its moment. Where readings don't agree, and where a list is
long, the interval is read in halves, the earlier one first: what changes meanwhile goes to a later one, or to the next
load.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx

from extract_load.connectors import Asked
from extract_load.http_pages import Http, Page, PagesMovedError, Record
from extract_load.ledger import NO_TIME_BEFORE, Load, LoadResult, copy_rows, each, land, starting_point
from extract_load.payload import payload
from extract_load.tables import Table
from storehouse.core.databases import Database
from storehouse.core.errors import StorehouseError, TransientError
from storehouse.core.settings import settings
from storehouse.core.shown import shown

WELL = ("ok", "up", "pass", "healthy")  # the status that healthy APIs report
ANSWER_WITHIN = 10  # seconds, the question whether it is well
# How often an interval is read before it is read in halves, or given up.
READINGS = 3
# A longer interval is read in halves: short ones change less while they are read, and are held in memory.
STRETCH_PAGES, STRETCH_BYTES = 20, 100_000_000
# Halves begin at whole seconds: some APIs know no shorter ones.
SECOND = timedelta(seconds=1)

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Stretch(NamedTuple):
    """A part of an interval that is read at once: from inclusive, until exclusive."""

    from_: datetime
    until: datetime


def ready(table: Table, *_: datetime | None) -> str | None:
    """None when the API says that it is well."""
    setting = table.connection
    with Http(settings().place(setting), setting) as api:
        answer = api.ask(api.request("/health"), ANSWER_WITHIN)
    if answer.status_code == 200:
        if _is_well(answer):
            return None
        return f'{shown(str(answer.request.url))} answers 200, but not the {{"status": "ok"}} of one that is well'
    said = f"{shown(str(answer.request.url))} answers {answer.status_code}"
    # As extract-load decides it.
    if answer.status_code == 429 or answer.status_code >= 500:
        return said
    raise StorehouseError(f"{said}. Check {setting}, with user and password if it needs them (docs/sources.md).")


def _is_well(answer: httpx.Response) -> bool:
    """True if the answer says so. A sign-in page, an empty answer or `down` does not."""
    try:
        status = answer.json()["status"]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return False
    return isinstance(status, str) and status.lower() in WELL


def load(warehouse: Database, tables: list[Table], asked: Asked) -> list[LoadResult]:
    """Land the records of an interval of `updated_at`, a load for each partition.

    It is asked up to now at most. What the ledger records ends after the last `updated_at` that came, or where
    it began if nothing did: so an API whose clock is not ours can't move the watermark past what is still to come.

    Raises:
        StorehouseError: what failed, a line each.
    """
    (table,) = tables
    partitions = [asked.partition] if asked.partition else table.partitions
    return each(lambda partition: _load_partition(warehouse, table, partition, asked), partitions)


def _load_partition(warehouse: Database, table: Table, partition: str | None, asked: Asked) -> LoadResult:
    from_, until = starting_point(warehouse, table, asked.interval, partition)
    # What is dated in the future can change on and on while it is read: the next load takes it.
    now = datetime.now(UTC)
    until = max(min(until or now, now), from_ or BEGINNING)
    load = Load(table, partition, from_, from_, asked.run_id)

    def feed(write: Callable[..., None]) -> None:
        if from_ == until:
            return
        with Http(settings().place(table.connection), table.connection) as api:
            for page in _pages(api, table, partition, from_ or BEGINNING, until):
                load.account(page.body)
                for record in page.records:
                    write(payload(record.text), partition)
                    load.members.update(record.value if isinstance(record.value, dict) else ())
                    changed_at = _updated_at(record.value)
                    if changed_at and NO_TIME_BEFORE <= changed_at < until:
                        just_after = changed_at + timedelta(microseconds=1)
                        load.interval_until = max(load.interval_until or just_after, just_after)

    return land(warehouse, load, lambda id_: copy_rows(warehouse, table, ["payload", "_partition"], id_, feed))


def _pages(api: Http, table: Table, partition: str | None, from_: datetime, until: datetime) -> Iterator[Page]:
    """The pages of an interval, each stretch of it as it stood at one moment, the earliest first.

    Raises:
        TransientError: more than a page of one second never kept still.
    """
    stretches = [Stretch(from_, until)]
    while stretches:
        stretch = stretches.pop()
        middle = (stretch.from_ + (stretch.until - stretch.from_) / 2).replace(microsecond=0)
        can_be_halved = middle > stretch.from_ and stretch.until - middle >= SECOND
        try:
            yield from _as_at_one_moment(api, table, partition, stretch, can_be_halved)
        except PagesMovedError as moved:
            if not can_be_halved or moved.pages <= 1:
                raise TransientError(
                    f"{table.label}: {moved}, {READINGS} times over. Nothing of this load was landed. "
                    "Ask for an interval that lies in the past (--until), or check the API's paging (docs/sources.md)."
                ) from moved
            stretches += [Stretch(middle, stretch.until), Stretch(stretch.from_, middle)]


def _as_at_one_moment(
    api: Http, table: Table, partition: str | None, asked: Stretch, can_be_halved: bool
) -> list[Page]:
    """The pages of an interval, of the second of two readings that agree; the one page of a short list as it comes.

    Raises:
        PagesMovedError: no two readings in a row agreed, or the list is long and can be read in halves.
    """
    parameters = {"from": _stamp(asked.from_), "until": _stamp(asked.until)}
    if partition and table.partition_by:
        parameters[table.partition_by] = partition
    path, before, moved = table.place, None, None
    for _ in range(READINGS):
        pages: list[Page] = []
        try:
            for page in api.pages(path, parameters):
                pages.append(page)
                is_long = page.count > STRETCH_PAGES or page.count * len(page.body) > STRETCH_BYTES
                if len(pages) == 1 and page.count > 1 and is_long and can_be_halved:
                    _check_interval_is_heeded(page, asked, api.setting)
                    raise _LongError("the list is long", page.count)
        except _LongError:
            raise
        except PagesMovedError as error:
            before, moved = None, error
            continue
        if len(pages) <= 1:
            return pages
        read = [Counter(_version(record, table) for record in page.records) for page in pages]
        versions = sum(read, Counter())
        if versions == before:
            if not _come_as_often_as_they_are(api, path, parameters, table, read):
                raise PagesMovedError("a record came on two pages")
            return pages
        before, moved = versions, None
    raise moved or PagesMovedError("two readings in a row brought other records")


def _come_as_often_as_they_are(
    api: Http, path: str, parameters: dict[str, str], table: Table, read: list[Counter[tuple]]
) -> bool:
    """False when a record on two pages is there fewer times: then it was read twice, in the place of another.

    Some APIs send a record twice. How often it really exists is counted in the one-page list of its second.
    """
    pages_of = Counter(version for page in read for version in page)
    doubtful = [version for version, pages in pages_of.items() if pages > 1]
    if len(doubtful) > STRETCH_PAGES:
        return False
    for version in doubtful:
        changed_at = _updated_at({"updated_at": version[-1]})
        if not (changed_at and BEGINNING <= changed_at <= datetime.now(UTC)):
            return False
        second = changed_at.replace(microsecond=0)
        asked = parameters | {"from": _stamp(second), "until": _stamp(second + SECOND)}
        pages = list(itertools.islice(api.pages(path, asked), 2))
        there = sum(_version(record, table) == version for record in pages[0].records) if len(pages) == 1 else 0
        if there != sum(page[version] for page in read):
            return False
    return True


class _LongError(PagesMovedError):
    """The list must be read in halves at once."""


def _check_interval_is_heeded(page: Page, asked: Stretch, setting: str) -> None:
    """If every half returned all records, halving would never end."""
    times = [_updated_at(record.value) for record in page.records]
    if times and not any(time is None or asked.from_ <= time < asked.until for time in times):
        raise StorehouseError(
            f"The API does not heed from and until: asked for updated_at in [{_stamp(asked.from_)}, "
            f"{_stamp(asked.until)}), it sent a page without any. Nothing of this load was landed. "
            f"Check {setting}, and with the API's owner what it promises (docs/sources.md)."
        )


def _version(record: Record, table: Table) -> tuple:
    """What identifies this version of a record: its key and `updated_at`, or all of it if one is missing."""
    value = record.value if isinstance(record.value, dict) else {}
    parts = [value.get(name) for name in (*table.key, "updated_at")]
    return (record.text,) if None in parts else tuple(map(str, parts))


def _updated_at(record: Any) -> datetime | None:
    """When a record changed; None if it has no time that can be read."""
    try:
        time = datetime.fromisoformat(record["updated_at"])
    except (TypeError, KeyError, ValueError):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
