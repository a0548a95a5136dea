"""What an API looks like: the declaration that its first page suggests, and what differs from the one that it has.

Nothing here shows a value of a record: only names of members, and how many.
"""

import itertools
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx

from extract_load import guesses
from extract_load.connectors import Found
from extract_load.connectors.api.http import Http
from extract_load.connectors.api.pages import PagesMovedError, next_link, read_pages
from extract_load.connectors.api.readings import BEGINNING, Question, interval_parameters, time_of, times
from extract_load.connectors.api.records import Record, look
from extract_load.declarations import as_declared
from extract_load.declarations.api import Api, AskedBy
from extract_load.payload import payload
from extract_load.tables import Table
from storehouse.core.errors import StorehouseError

_PLAIN_NAME = re.compile(r"@?[A-Za-z_$][A-Za-z0-9_.$-]{0,62}")
_CREATED = re.compile(r"created|date|time|_at$|At$", re.IGNORECASE)
# What APIs call these, the usual ones first; each is tried before it is believed.
_SIZES = ("per_page", "limit", "page_size", "pageSize", "$top", "size", "pagesize")
_NUMBERS, _OFFSETS = ("page", "page_number", "pageNumber", "p"), ("offset", "skip", "start", "$skip")
_LAST = ("starting_after", "after", "since_id", "after_id")
_INTERVALS: tuple[tuple[str, str | None, str], ...] = (
    ("from", "until", "iso"),
    ("updated_after", "updated_before", "iso_seconds"),
    ("modified_after", "modified_before", "iso_seconds"),
    ("updated_at_min", "updated_at_max", "iso_seconds"),
    ("updated_from", "updated_until", "iso_seconds"),
    ("updated_since", None, "iso_seconds"),
    ("modified_since", None, "iso_seconds"),
    ("since", "until", "iso_seconds"),
    ("updated[gte]", "updated[lt]", "epoch_seconds"),
    ("created[gte]", "created[lt]", "epoch_seconds"),
)
_NEXT = re.compile(r"next", re.IGNORECASE)
_MORE = re.compile(r"(has_?(more|next)(_?page)?|more)", re.IGNORECASE)
_TOTAL = re.compile(r"total|count|total_?(count|items|records|results)|@odata\.count", re.IGNORECASE)
_COUNT = re.compile(r"pages|total_?pages|page_?count|last_?page", re.IGNORECASE)
_TOTAL_HEADERS, _COUNT_HEADERS = ("X-WP-Total", "X-Total-Count", "X-Total"), ("X-WP-TotalPages", "X-Total-Pages")


class _Look(NamedTuple):
    """An answer: the response, its JSON, where its records are (None: it is the list itself), and these."""

    response: httpx.Response
    body: Any
    records: str | None
    rows: list[dict]


def discover(connection: str, meta: dict[str, Any]) -> list[Found]:
    """The declaration of one list of an API, as its first page and some more questions suggest it.

    Args:
        connection: the variable with the base URL.
        meta: at least `path`; what is known already (`auth`, `parameters`, `interval`, `partitions`, …) is believed.

    Raises:
        StorehouseError: it can't be read, or its first page has no records.
    """
    if "path" not in meta:
        raise StorehouseError(f"Say which list of {connection} to look at, such as path=/orders.")
    api = as_declared(Api, {"connector": "api", "connection": connection} | meta)
    with Http(connection, "this", api.auth, api.hosts, api.rate) as http:
        return [_Explorer(http, api, meta).found()]


class _Explorer:
    """Asks an API one question after the other, and keeps what is known."""

    def __init__(self, http: Http, api: Api, given: dict[str, Any]) -> None:
        self.http, self.api, self.given = http, api, given
        self.name = _name(api.path)
        self.unsure: dict[str, str] = {}
        self.parameters = dict(api.parameters) | {name: values[0] for name, values in api.partitions.items()}
        self.interval: dict[str, Any] | None = given.get("interval")

    def found(self) -> Found:
        first = self._first()
        columns = [name for name in dict.fromkeys(itertools.chain(*first.rows)) if _PLAIN_NAME.fullmatch(name)]
        key = self._key(first.rows, columns)
        version, version_format = self._version(first.rows, columns)
        size = self._size(first)
        pages = self.given.get("pages") or self._pages(first, size, key)
        if version and not self.interval:
            self.interval = self._interval(first, version, version_format)
        meta: dict[str, Any] = {"connector": "api", "connection": self.api.connection, "path": self.api.path}
        known = ("auth", "parameters", "hosts", "rate", "health", "partitions")
        meta |= {name: self.given[name] for name in known if name in self.given}
        if version and self.interval:
            meta |= {"read": "interval", "interval": self.interval}
        else:
            meta["read"] = "full"
            self.unsure["read"] = "no parameter that asks for an interval was found: all records are read each time"
        if pages:
            meta["pages"] = pages
        if first.records:
            meta["records"] = first.records
        meta["key"] = key
        if meta["read"] == "interval":
            meta["version"] = version
            if version_format != "iso":
                meta["version_format"] = version_format
        meta |= self._deleted(first.rows, columns, meta["read"])
        meta["columns"] = columns
        values: dict[str, list[object]] = defaultdict(list)
        for path, value in itertools.chain.from_iterable(map(_leaves, first.rows)):
            values[path].append(value)
        tags, doubts = guesses.personal_in_records(values, self.name)
        return Found(self.name, meta | self.given, tags, self.unsure | doubts)

    # -- asking

    def _ask(self, **more: str) -> _Look | None:
        """The answer to a question; None if the API refuses it, or answers something without a list."""
        response = self.http.attempt(self.http.request(self.api.path, self.parameters | more))
        return self._seen(response) if response.status_code == 200 else None

    def _seen(self, response: httpx.Response) -> _Look | None:
        try:
            body = json.loads(response.content)
        except (ValueError, RecursionError):
            raise self.http.wrong(response, "is not JSON") from None
        lists = {self.api.records: look(body, self.api.records)} if self.api.records else dict(_lists(body))
        lists = {path: rows for path, rows in lists.items() if isinstance(rows, list)}
        if not lists:
            return None
        path = max(lists, key=lambda path: len([row for row in lists[path] if isinstance(row, dict)]))
        return _Look(response, body, path, [row for row in lists[path] if isinstance(row, dict)])

    def _first(self) -> _Look:
        """The first page of all records."""
        if self.interval:
            self.parameters |= _asked(self.interval, BEGINNING, datetime.now(UTC))
        response = self.http.attempt(self.http.request(self.api.path, self.parameters))
        if response.status_code in (400, 422) and not self.interval:
            # It wants to be asked for an interval.
            for from_, until, form in _INTERVALS:
                interval = {"from": from_, "until": until, "format": form} if until else {"from": from_, "format": form}
                asked = _asked(interval, BEGINNING, datetime.now(UTC))
                response_ = self.http.attempt(self.http.request(self.api.path, self.parameters | asked))
                if response_.status_code == 200:
                    self.interval, response = _short(interval), response_
                    self.parameters |= asked
                    break
        if response.status_code != 200:
            raise self.http.wrong(
                response, "is not the 200 of a list. Name what it needs: auth, parameters, interval, partitions"
            )
        first = self._seen(response)
        if not first or not first.rows:
            raise self.http.wrong(response, "has no list with records in it; name their place in records=…")
        several = [path for path, rows in _lists(first.body) if rows and path != first.records]
        if several and not self.api.records:
            self.unsure["records"] = f"there are lists at {', '.join(map(str, several))} too"
        return first

    # -- what records have

    def _key(self, rows: list[dict], columns: list[str]) -> list[str]:
        if "key" in self.given:
            return self.given["key"]
        values = {name: [row.get(name) for row in rows] for name in columns}
        key, is_unique = guesses.key_of(values, len(rows), self.name)
        self.unsure["key"] = (
            f"{', '.join(key)} differs in all records of one page"
            if is_unique
            else "no member that looks like an id differs in all records of one page: it is a guess"
        )
        return key

    def _version(self, rows: list[dict], columns: list[str]) -> tuple[str | None, str]:
        if "version" in self.given:
            return self.given["version"], self.given.get("version_format", "iso")
        for is_likely in (guesses.is_version, _CREATED.search):
            for name in sorted(filter(is_likely, columns), key=lambda name: not name.lower().endswith("gmt")):
                values = [row.get(name) for row in rows]
                for form in ("iso", "epoch_seconds", "epoch_milliseconds"):
                    if all(_is_time(value, form) for value in values):
                        self.unsure["version"] = (
                            f"{name} must grow with every change of a record"
                            if guesses.is_version(name)
                            else f"{name} looks like a time, but may not grow with every change"
                        )
                        return name, form
        return None, "iso"

    def _deleted(self, rows: list[dict], columns: list[str], read: str) -> dict[str, Any]:
        for name in columns:
            if guesses.is_deleted(name) and all(isinstance(row.get(name), bool) for row in rows if name in row):
                self.unsure["deleted"] = "by its name; true must mean that the record was taken back"
                return {"deleted": name}
        more = ", or gone_is_deleted: true" if read == "full" else ""
        self.unsure["deleted"] = f"nothing was found that tells a delete; perhaps a value of status does{more}"
        return {}

    # -- how it is asked

    def _size(self, first: _Look) -> str | None:
        """The parameter of the page's size."""
        if len(first.rows) < 2:
            return None
        return next((name for name in _SIZES if (seen := self._ask(**{name: "1"})) and len(seen.rows) == 1), None)

    def _pages(self, first: _Look, size: str | None, key: list[str]) -> dict[str, Any] | None:
        """How pages follow, as a page of one record shows it, or the first one."""
        ask = {size: "1"} if size else {}
        seen = (self._ask(**ask) if size else None) or first
        pages = self._onward(seen, ask, key)
        if not pages:
            self.unsure["pages"] = "nothing shows how its pages follow: only the first one is read"
            return None
        if pages["by"] in ("number", "offset"):
            pages |= _number_of(seen, "total", _TOTAL_HEADERS, _TOTAL)
        if pages["by"] == "number":
            pages |= _number_of(seen, "count", _COUNT_HEADERS, _COUNT)
        if size:
            pages |= {"size": min(100, max(len(first.rows), 50)), "size_parameter": size}
            self.unsure["pages"] = "the size: how many records a page has at most, and how many pages a minute"
        return pages

    def _onward(self, seen: _Look, ask: dict[str, str], key: list[str]) -> dict[str, Any] | None:
        if next_link(self.http, seen.response):
            return {"by": "link"}
        texts = {path: value for path, value in _leaves(seen.body, seen.records) if isinstance(value, str) and value}
        nexts = {path: value for path, value in texts.items() if _NEXT.search(path)}
        for path, value in nexts.items():
            if path.startswith("@odata.next") or re.match(r"https?://|/", value):
                return {"by": "next", "next": path}
        flags = dict(_leaves(seen.body, seen.records)).items()
        more = next((p for p, v in flags if isinstance(v, bool) and _MORE.fullmatch(p.rpartition(".")[2])), None)
        flag = {"more": more} if more else {}

        def goes_on(name: str, value: str) -> bool:
            other = self._ask(**ask, **{name: value})
            return bool(other and other.rows and other.rows[0] != seen.rows[0])

        for path, value in nexts.items():
            short = re.sub(r"_?next_?", "", path.rpartition(".")[2], flags=re.IGNORECASE)
            for name in dict.fromkeys(filter(None, (short, short[:1].lower() + short[1:], "cursor", "page_token"))):
                if goes_on(name, value):
                    return {"by": "cursor", "parameter": name, "cursor": path} | flag
        if more and (last := look(seen.rows[-1], key[0])) is not None:
            for name in _LAST:
                if goes_on(name, str(last)):
                    return {"by": "last", "parameter": name, "last": key[0]} | flag
        for name in _NUMBERS:
            if goes_on(name, "2") and not goes_on(name, "1"):
                at = {"at": name} if look(seen.body, name) == 1 else {}
                return {"by": "number", "parameter": name} | at | flag
        for name in _OFFSETS:
            if goes_on(name, "1") and not goes_on(name, "0"):
                return {"by": "offset", "parameter": name} | flag
        return None

    def _interval(self, first: _Look, version: str, version_format: str) -> dict[str, Any] | None:
        """The parameters of an interval: those with which nothing is later than the far future."""
        future = datetime(2100, 1, 1, tzinfo=UTC)
        tried: list[dict[str, Any]] = []
        if isinstance(first.body, dict) and any(name.startswith("@odata") for name in first.body):
            tried.append({"filter": {"$filter": f"{version} ge {{from}} and {version} lt {{until}}"}})
        for from_, until, form in _INTERVALS:
            form = version_format if version_format != "iso" and form == "epoch_seconds" else form
            tried.append({"from": from_, "until": until, "format": form})
        for interval in tried:
            both = {name: value for name, value in interval.items() if value}
            seen = self._ask(**_asked(both, future, future + timedelta(days=1)))
            if seen is None or seen.rows:
                continue
            if "until" in both:
                early = self._ask(**_asked(both, BEGINNING, BEGINNING + timedelta(days=1)))
                if early is None or early.rows:
                    del both["until"]
            self.unsure["interval"] = f"it is by {version}, and its start is included: ask the API's owner"
            return _short(both)
        return None


def _asked(interval: dict[str, Any], from_: datetime, until: datetime) -> dict[str, str]:
    return interval_parameters(AskedBy.model_validate(interval), from_, until)


def _short(interval: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in interval.items() if (name, value) != ("format", "iso")}


def _name(path: str) -> str:
    """What the list of a path may be called: `orders` of `/v3/orders`."""
    steps = [step for step in path.split("/") if re.match(r"[A-Za-z]", step)]
    return guesses.plain(steps[-1] if steps else "records")


def _lists(value: Any, path: str = "", depth: int = 3) -> Iterator[tuple[str | None, list]]:
    """The lists of objects in an answer, by their path; None is the answer itself."""
    if isinstance(value, list):
        if all(isinstance(row, dict) for row in value):
            yield path or None, value
    elif isinstance(value, dict) and depth:
        for name, inner in value.items():
            if _PLAIN_NAME.fullmatch(name):
                yield from _lists(inner, f"{path}.{name}" if path else name, depth - 1)


def _leaves(value: Any, without: str | None = None, path: str = "", depth: int = 4) -> Iterator[tuple[str, Any]]:
    """The values in an object by their path, lists left out."""
    if isinstance(value, dict) and depth:
        for name, inner in value.items():
            at = f"{path}.{name}" if path else name
            if at != without and _PLAIN_NAME.fullmatch(name):
                yield from _leaves(inner, without, at, depth - 1)
    elif path and not isinstance(value, list | dict):
        yield path, value


def _number_of(seen: _Look, field: str, headers: tuple[str, ...], pattern: re.Pattern) -> dict[str, str]:
    """Where an answer says how many there are of something: in a header or in its body."""
    for name in headers:
        if seen.response.headers.get(name, "").isdigit():
            return {f"{field}_header": name}
    for path, value in _leaves(seen.body, seen.records):
        if type(value) is int and pattern.fullmatch(path.rpartition(".")[2]):
            return {field: path}
    return {}


def _is_time(value: Any, form: str) -> bool:
    if form == "iso":
        return isinstance(value, str) and len(value) >= 10 and time_of(value, form) is not None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return False
    time = time_of(value, form)
    return time is not None and 1990 < time.year < 2100


def check(table: Table) -> list[str]:
    """Read the first pages of each partition as a load would; what differs from the declaration, in words.

    Raises:
        StorehouseError: the API can't be read, or its answers have another shape.
    """
    told: dict[str, None] = {}
    for partition in table.partitions:
        question = Question.of(table, partition)
        with question.http() as http:
            told |= dict.fromkeys(f"{question.label}: {words}" for words in _differences(http, question))
    return list(told)


def _differences(http: Http, question: Question) -> Iterator[str]:
    api, now = question.api, datetime.now(UTC)
    try:
        # The second page tells whether pages follow as declared.
        pages = list(itertools.islice(read_pages(http, api, question.parameters(BEGINNING, now)), 2))
    except PagesMovedError as moved:
        yield f"{moved}; or the list changed just now"
        return
    records = [record for page in pages for record in page.records]
    if not records:
        yield "its first page has no records, so nothing can be compared"
        return
    seen = len(records)

    def count(field: str, words: str, is_wrong: Callable[[Record], bool]) -> Iterator[str]:
        if wrong := sum(map(is_wrong, records)):
            yield f"{field}: {wrong:,} of {seen:,} records {words}"

    yield from count("records", "can't be read and land as text", lambda r: payload(r.text) != r.text)
    for name in api.key:
        yield from count("key", f"have no {name}", lambda r, name=name: look(r.value, name) is None)
    keys = [tuple(str(look(record.value, name)) for name in api.key) for record in records]
    if len(set(keys)) < seen:
        yield f"key: {seen - len(set(keys)):,} of {seen:,} records have the {', '.join(api.key)} of another one"
    if api.version:
        words = f"have no time in {api.version} that is written as {api.version_format}"
        changed_at = times(api)
        yield from count("version", words, lambda r: changed_at(r.value) is None)
    members = {name for record in records if isinstance(record.value, dict) for name in record.value}
    for name in api.columns:
        if name not in members:
            yield f"columns: no record has {name}"
    if more := sorted(filter(_PLAIN_NAME.fullmatch, members - set(api.columns))):
        yield f"columns: records have {', '.join(more)} too: they land, and can be declared"
    if api.deleted and not api.deleted_values:
        words = f"have no true or false in {api.deleted}"
        yield from count("deleted", words, lambda r: not isinstance(look(r.value, api.deleted or ""), bool))
    elif api.deleted:
        yield from count("deleted", f"have no {api.deleted}", lambda r: look(r.value, api.deleted or "") is None)
    if api.interval:
        later = question.parameters(now + timedelta(days=365), now + timedelta(days=366))
        if any(page.records for page in itertools.islice(read_pages(http, api, later), 1)):
            yield "interval: asked for what changed a year from now, it sends records: check from and its format"
