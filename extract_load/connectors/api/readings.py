"""Lists that may change while their pages are read: what each of the ways to page can promise.

A record that leaves a list moves those behind it one place up, across a page's edge, and nobody sees the one that
crossed it. So a list of more than one page is read until two readings in a row agree. Every version that both hold was
there from the one reading to the other, and so when the second's first page was answered; there were as many as that
page's total says; so these were all. A record on two pages is counted once more, in an answer of one page. This needs
no order of the list, only what docs/sources/api.md asks of an API: a record's version grows with every change, and a
total is that of its moment. Where readings don't agree, and where a list is long, the interval is read in halves, the
earlier one first: what changes meanwhile goes to a later one, or to the next load.

- `number`, `offset`, with a total: all of the above.
- `number`, `offset` without a total, `cursor`, `link`, `next`: the same, if the list has an order that only changes of
  records change: a record is missed in two readings that agree only if it was skipped in both, and a record whose
  leaving made room for it in the first is not in the second.
- `last`, and each list that is declared with `shifts: false`: it is read once. It goes on after a record, or from a
  cursor that stands for one, so that what leaves or comes before it moves nothing.
- `none`: one answer is of one moment.

Where the API knows no end of an interval, and where a list is read in full, nothing can be read in halves: a list that
never keeps still ends in an error. Of a list that is read in full two readings agree when they have the same keys: the
version of a record that changed meanwhile is one that it had.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

import httpx

from extract_load.connectors.api.http import Http
from extract_load.connectors.api.pages import Page, PagesMovedError, first_parameters, read_pages
from extract_load.connectors.api.records import Record, look
from extract_load.declarations.api import Api, AskedBy
from extract_load.tables import Table
from storehouse.core.errors import StorehouseError, TransientError

# How often an interval is read before it is read in halves, or given up.
READINGS = 3
# A longer interval is read in halves: short ones change less while they are read, and are held in memory.
STRETCH_PAGES, STRETCH_BYTES = 20, 100_000_000
# A list that can't be read in halves is held in memory, and may be as long as this.
HELD_BYTES = 400_000_000
# Halves begin at whole seconds, or days: some APIs know no shorter ones.
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Question(NamedTuple):
    """What is asked of an API, without interval and page: a table, and a partition of it if it has some."""

    table: Table
    api: Api
    partition: str | None

    @classmethod
    def of(cls, table: Table, partition: str | None = None) -> Self:
        """The question for a table that is declared with the connector `api`."""
        assert isinstance(table.declaration, Api)
        return cls(table, table.declaration, partition)

    @property
    def label(self) -> str:
        """The name people read: `marketplace.orders us`."""
        return f"{self.table.label} {self.partition}" if self.partition else self.table.label

    def http(self) -> Http:
        """What asks it."""
        return Http(self.api.connection, self.table.source, self.api.auth, self.api.hosts, self.api.rate)

    def parameters(self, from_: datetime | None = None, until: datetime | None = None) -> dict[str, str]:
        """Those of the query that say what is asked for."""
        parameters = dict(self.api.parameters)
        if self.api.interval and from_ and until:
            parameters |= interval_parameters(self.api.interval, from_, until)
        for name, values in self.api.partitions.items():
            parameters[name] = self.partition or values[0]
        return parameters

    def probe(self, http: Http, from_: datetime, until: datetime) -> httpx.Request:
        """The request for a first page of one record, if the page's size can be asked for."""
        pages = self.api.pages
        size = {pages.size_parameter: "1"} if pages.size_parameter else {}
        return http.request(self.api.path, self.parameters(from_, until) | first_parameters(pages) | size)


def interval_parameters(asked: AskedBy, from_: datetime, until: datetime) -> dict[str, str]:
    """The parameters of an interval. Where times are written shorter, it is a little longer."""
    grain = DAY if asked.format == "date" else SECOND
    start = _stamp(max(from_ - grain, BEGINNING) if asked.from_excluded else from_, asked.format)
    end = _stamp(until, asked.format, is_end=True)
    parameters = {name: text.replace("{from}", start).replace("{until}", end) for name, text in asked.filter.items()}
    if asked.from_:
        parameters[asked.from_] = start
    if asked.until:
        parameters[asked.until] = end
    return parameters


def _stamp(time: datetime, form: str, *, is_end: bool = False) -> str:
    time = time.astimezone(UTC)
    if form == "iso":
        return time.isoformat().replace("+00:00", "Z")
    grain = {"date": DAY, "epoch_milliseconds": timedelta(milliseconds=1)}.get(form, SECOND)
    grains = (time - BEGINNING) // grain
    if is_end and BEGINNING + grains * grain < time and time < datetime.max.replace(tzinfo=UTC) - DAY:
        grains += 1
    if form.startswith("epoch"):
        return str(grains)
    return f"{BEGINNING + grains * grain:%Y-%m-%d}" + ("" if form == "date" else f"T{BEGINNING + grains * grain:%TZ}")


class Stretch(NamedTuple):
    """A part of an interval that is read at once: from inclusive, until exclusive."""

    from_: datetime
    until: datetime


def read_interval(http: Http, question: Question, from_: datetime, until: datetime) -> Iterator[Page]:
    """The pages of an interval, each stretch of it as it stood at one moment, the earliest first.

    Raises:
        TransientError: more than a page of one second never kept still.
    """
    api = question.api
    assert api.interval
    grain = DAY if api.interval.format == "date" else SECOND
    stretches = [Stretch(from_, until)]
    while stretches:
        stretch = stretches.pop()
        middle = (stretch.from_ + (stretch.until - stretch.from_) / 2).replace(microsecond=0)
        if grain == DAY:
            middle = middle.replace(hour=0, minute=0, second=0)
        can_be_halved = api.interval.has_until and middle > stretch.from_ and stretch.until - middle >= grain
        try:
            yield from _as_at_one_moment(http, question, stretch, can_be_halved)
        except PagesMovedError as moved:
            if not can_be_halved or moved.pages <= 1 or not api.pages.may_shift:
                raise _never_still(question, moved) from moved
            stretches += [Stretch(middle, stretch.until), Stretch(stretch.from_, middle)]


def read_whole(http: Http, question: Question) -> Iterator[Page]:
    """The pages of a list that knows no interval.

    Raises:
        TransientError: it never kept still.
    """
    try:
        yield from _as_at_one_moment(http, question, None, can_be_halved=False)
    except PagesMovedError as moved:
        raise _never_still(question, moved) from moved


def _never_still(question: Question, moved: PagesMovedError) -> TransientError:
    often = f", {READINGS} times over" if question.api.pages.may_shift else ""
    return TransientError(
        f"{question.label}: {moved}{often}. Nothing of this load was landed. "
        "Ask for an interval that lies in the past (--until), or check the API's paging (docs/sources/api.md)."
    )


def _as_at_one_moment(http: Http, question: Question, asked: Stretch | None, can_be_halved: bool) -> Iterator[Page]:
    """The pages of a list, of the second of two readings that agree; those of a list that can't shift as they come.

    Raises:
        PagesMovedError: no two readings in a row agreed, or the list is long and can be read in halves.
    """
    api, before, moved = question.api, None, None
    parameters = question.parameters(*(asked or (None, None)))
    if not api.pages.may_shift:
        yield from read_pages(http, api, parameters)
        return
    for _ in range(READINGS):
        pages: list[Page] = []
        held = 0
        try:
            for page in read_pages(http, api, parameters):
                pages.append(page)
                held += len(page.body)
                if len(pages) == 1 and page.count and page.count > 1:
                    held_later = page.count * len(page.body)
                    is_long = page.count > STRETCH_PAGES or held_later > STRETCH_BYTES
                else:
                    is_long = len(pages) > 1 and page.count is None and held > STRETCH_BYTES
                if is_long and can_be_halved and asked:
                    _check_interval_is_heeded(http, pages[0], asked, api)
                    raise _LongError("the list is long", len(pages) + 1)
                _check_room(http, question, held)
        except _LongError:
            raise
        except PagesMovedError as error:
            before, moved = None, error
            continue
        if len(pages) <= 1:
            yield from pages
            return
        read = [_versions(page.records, api) for page in pages]
        versions = sum(read, Counter())
        if versions == before:
            if not _come_as_often_as_they_are(http, question, parameters, read):
                raise PagesMovedError("a record came on two pages")
            yield from pages
            return
        before, moved = versions, None
    raise moved or PagesMovedError("two readings in a row brought other records")


def _check_room(http: Http, question: Question, held: int) -> None:
    if held > HELD_BYTES:
        raise StorehouseError(
            f"{question.label}: the list is longer than {HELD_BYTES / 1e6:g} MB, and one that may shift is read twice "
            "and held in memory. Nothing of this load was landed. Declare until of its interval, so that it is read in "
            "parts; partitions; or shifts: false, if what leaves the list moves no other record to another page "
            f"(docs/sources/api.md). It is asked for at {http.connection}."
        )


def _come_as_often_as_they_are(
    http: Http, question: Question, parameters: dict[str, str], read: list[Counter[tuple]]
) -> bool:
    """False when a record on two pages is there fewer times: then it was read twice, in the place of another.

    Some APIs send a record twice. How often it really exists is counted in the one-page list of its second.
    """
    api = question.api
    pages_of = Counter(version for page in read for version in page)
    doubtful = [version for version, pages in pages_of.items() if pages > 1]
    if doubtful and not (api.interval and api.interval.has_until):
        return False
    if len(doubtful) > STRETCH_PAGES:
        return False
    for version in doubtful:
        changed = time_of(version[-1], api.version_format)
        if not (changed and BEGINNING <= changed <= datetime.now(UTC)):
            return False
        second = changed.replace(microsecond=0)
        asked = parameters | question.parameters(second, second + SECOND)
        pages = list(itertools.islice(read_pages(http, api, asked), 2))
        there = _versions(pages[0].records, api)[version] if len(pages) == 1 else 0
        if there != sum(page[version] for page in read):
            return False
    return True


class _LongError(PagesMovedError):
    """The list must be read in halves at once."""


def _check_interval_is_heeded(http: Http, page: Page, asked: Stretch, api: Api) -> None:
    """If every half returned all records, halving would never end."""
    assert api.interval
    changed = list(map(times(api), (record.value for record in page.records)))
    slack = DAY if api.interval.format == "date" else SECOND
    if changed and not any(time is None or asked.from_ - slack <= time < asked.until + slack for time in changed):
        names = " and ".join(filter(None, (api.interval.from_, api.interval.until, *api.interval.filter)))
        raise StorehouseError(
            f"The API does not heed {names}: asked for {api.version} in [{_stamp(asked.from_, 'iso')}, "
            f"{_stamp(asked.until, 'iso')}), it sent a page without any. Nothing of this load was landed. "
            f"Check {http.checks}, and with the API's owner what it promises (docs/sources/api.md)."
        )


def _versions(records: list[Record], api: Api) -> Counter[tuple]:
    """How often each version of a record is there: its key and its version, or all of it if one of them is missing."""
    names = (*api.key, *([api.version] if api.version else []))
    are_plain = not any("." in name for name in names)
    versions: list[tuple] = []
    for record in records:
        value = record.value
        # Of every record of every reading: plain names are looked up without a call of Python's.
        quick = are_plain and isinstance(value, dict)
        parts = list(map(value.get, names)) if quick else [look(value, name) for name in names]
        versions.append((record.text,) if None in parts else tuple(map(str, parts)))
    return Counter(versions)


def times(api: Api) -> Callable[[Any], datetime | None]:
    """What tells when a record changed; None of one that has no time that can be read."""
    # Asked of every record: what is declared is looked up once.
    path, form = api.version or "", api.version_format
    return lambda value: time_of(look(value, path), form)


def time_of(said: Any, form: str) -> datetime | None:
    """A time as an API writes it: `iso`, `epoch_seconds` or `epoch_milliseconds`; None if it is not written so."""
    try:
        if form == "iso":
            time = datetime.fromisoformat(said)
            return time if time.tzinfo else time.replace(tzinfo=UTC)
        return BEGINNING + timedelta(**{"milliseconds" if form == "epoch_milliseconds" else "seconds": float(said)})
    except (TypeError, ValueError, OverflowError):
        return None
