"""Pages of JSON records over HTTP: transient errors are retried, anything not promised stops with what was answered."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from extract_load.payload import STRING
from storehouse.errors import StorehouseError, TransientError
from storehouse.settings import settings

logger = logging.getLogger("extract_load")

# Longer than this no request waits for a server that says when to come back.
MAX_WAIT_SECONDS = 300

_BACKOFF = wait_exponential(multiplier=0.5, max=30) + wait_random(0, 0.5)
_TOKEN = re.compile(rf"{STRING}|[\[\]{{}}]", re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n]*")
# Numbers stay text: the record lands as it was written, and these values are only looked at.
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)


class Record(NamedTuple):
    """One record: its JSON text as it came, and its value to look into (numbers as text)."""

    text: str
    value: object


class Page(NamedTuple):
    """One answer: its bytes, and its records."""

    body: bytes
    records: list[Record]


class PagesMovedError(Exception):
    """The records changed while they were read page by page: some may have been skipped."""


class _TransientError(Exception):
    def __init__(self, said: str, retry_after: float = 0) -> None:
        super().__init__(said)
        self.retry_after = retry_after


def pages(base_url: str, path: str, parameters: dict[str, str], setting: str) -> Iterator[Page]:
    """All pages of one question, in order, each answered before the next is asked.

    Args:
        base_url: of the API.
        path: below it, with a leading slash.
        parameters: of the query; `page` is added.
        setting: the name of the setting that holds the URL, for messages.

    Raises:
        StorehouseError: the API is away, too slow, or answers something that was not promised.
        PagesMovedError: the pages don't add up; reading all of them again may help.
    """
    with httpx.Client(timeout=settings().http_timeout_seconds) as client:
        number, count, total, seen = 1, 1, None, 0
        while number <= count:
            try:
                request = client.build_request("GET", base_url.rstrip("/") + path, params=parameters | {"page": number})
            except (httpx.InvalidURL, httpx.UnsupportedProtocol):
                # Not in httpx's words: they may quote the password.
                raise StorehouseError(f"{setting} is not a URL. One looks like https://host/path.") from None
            response = _answer(client, request, setting)
            envelope, records = _read(response, setting)
            try:
                at, count, new_total = (int(envelope[name]) for name in ("page", "pages", "total"))
            except (KeyError, TypeError, ValueError):
                raise _wrong(response, "lacks page, pages or total as whole numbers", setting) from None
            if at != number:
                raise _wrong(response, f"is page {at} where page {number} was asked for", setting)
            if total not in (None, new_total):
                raise PagesMovedError(f"{_shown(request)}: total {total} became {new_total}")
            total, seen, number = new_total, seen + len(records), number + 1
            yield Page(response.content, records)
        if seen != total:
            raise PagesMovedError(f"{_shown(request)}: {total:,} records were promised and {seen:,} came")


def _answer(client: httpx.Client, request: httpx.Request, setting: str) -> httpx.Response:
    """The answer to a request, asked again after a growing wait as long as the trouble may pass."""

    def ask() -> httpx.Response:
        try:
            response = client.send(request)
        except httpx.TimeoutException as error:
            raise _TransientError(f"no answer within {settings().http_timeout_seconds:g} s") from error
        except httpx.UnsupportedProtocol as error:
            raise StorehouseError(f"{setting} is not a URL: {error}. One looks like https://host/path.") from error
        except httpx.RequestError as error:
            raise _TransientError(str(error) or type(error).__name__) from error
        if response.status_code == 429 or response.status_code >= 500:
            raise _TransientError(_excerpt(response), _retry_after(response))
        return response

    def wait(state: RetryCallState) -> float:
        return max(state.outcome.exception().retry_after, _BACKOFF(state))

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception()
        logger.info("GET %s: %s; again in %.1f s", _shown(request), error, state.next_action.sleep)

    trying = Retrying(
        stop=stop_after_attempt(settings().http_retries) | _asks_for_too_long,
        retry=retry_if_exception_type(_TransientError),
        wait=wait,
        before_sleep=tell,
        reraise=True,
    )
    try:
        response = trying(ask)
    except _TransientError as error:
        wait_asked = f" It asks to wait {error.retry_after:.0f} s." if error.retry_after > MAX_WAIT_SECONDS else ""
        raise TransientError(
            f"GET {_shown(request)} failed, the last of {trying.statistics['attempt_number']} tries with: {error}."
            f"{wait_asked} Nothing of this load was landed. Check that the API runs, and {setting}; then run it again."
        ) from error
    if response.status_code != 200:
        raise _wrong(response, "is not the 200 that was promised", setting)
    return response


def _asks_for_too_long(state: RetryCallState) -> bool:
    return state.outcome.exception().retry_after > MAX_WAIT_SECONDS


def _retry_after(response: httpx.Response) -> float:
    """Seconds, from `Retry-After` in either of its forms; 0 without."""
    said = response.headers.get("Retry-After", "")
    if said.strip().isdigit():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0


def _read(response: httpx.Response, setting: str) -> tuple[dict[str, object], list[Record]]:
    """The envelope's members, and the records in its `data` with their exact text.

    A parser would make floats of the numbers; so the array is walked record by record.
    """
    records: list[Record] = []

    def data(body: str, at: int) -> int:
        return _walk(body, at, "[]", lambda body, at: _record(body, at, records))

    def member(body: str, at: int) -> int:
        name, at = _DECODER.raw_decode(body, at)
        at = _expect(body, at, ":")
        if name == "data":
            members[name] = None
            return data(body, at)
        members[name], at = _DECODER.raw_decode(body, at)
        return at

    members: dict[str, object] = {}
    try:
        body = response.content.decode()
        end = _walk(body, 0, "{}", member)
        if body[end:].strip() or "data" not in members:
            raise ValueError
    except (ValueError, RecursionError):
        raise _wrong(response, 'is not the promised {"page", "pages", "total", "data": […]}', setting) from None
    return members, records


def _walk(body: str, at: int, brackets: str, element: Callable[[str, int], int]) -> int:
    """Step through an object or array, calling `element` at each of its elements; returns the position after it."""
    at = _expect(body, at, brackets[0])
    if body[at : at + 1] == brackets[1]:
        return at + 1
    while True:
        at = _SPACE.match(body, element(body, at)).end()
        if body[at : at + 1] == brackets[1]:
            return at + 1
        at = _expect(body, at, ",")


def _expect(body: str, at: int, character: str) -> int:
    at = _SPACE.match(body, at).end()
    if body[at : at + 1] != character:
        raise ValueError
    return _SPACE.match(body, at + 1).end()


def _record(body: str, at: int, records: list[Record]) -> int:
    try:
        value, end = _DECODER.raw_decode(body, at)
    except RecursionError:
        # Nested too deeply for a parser: it lands as unreadable, and the other records as usual.
        value, end = None, _end_of_deep(body, at)
    records.append(Record(body[at:end], value))
    return end


def _end_of_deep(body: str, at: int) -> int:
    """Where an object or list ends that is too deep to be parsed."""
    depth = 0
    for token in _TOKEN.finditer(body, at):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if not depth:
            return token.end()
    raise ValueError


def _wrong(response: httpx.Response, what: str, setting: str) -> StorehouseError:
    return StorehouseError(
        f"GET {_shown(response.request)}: the answer {what}: {_excerpt(response)}. Nothing of this load was landed. "
        f"Check {setting}, and with the API's owner what it promises (docs/sources.md)."
    )


def _excerpt(response: httpx.Response) -> str:
    start = " ".join(response.content[:200].decode(errors="replace").split())
    return f"status {response.status_code}, {start!r}"


def _shown(request: httpx.Request) -> str:
    """The request's URL without a password."""
    return str(request.url.copy_with(username=None, password=None))
