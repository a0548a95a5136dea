"""Pages of JSON records over HTTP: transient errors are retried, anything not promised stops with what was answered."""

import asyncio
import ipaddress
import json
import logging
import os
import re
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

# Not in the types of the standard library, which list what its documentation does.
from urllib.request import getproxies, proxy_bypass_environment  # pyright: ignore[reportAttributeAccessIssue]

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    wait_exponential,
    wait_random,
)

from extract_load.payload import STRING
from storehouse.core.errors import StorehouseError, TransientError, without_values
from storehouse.core.settings import settings
from storehouse.core.shown import first_line, shown

logger = logging.getLogger("extract_load")

# Longer than this no request waits for a server that says when to come back.
MAX_WAIT_SECONDS = 300

_BACKOFF = wait_exponential(multiplier=0.5, max=30) + wait_random(0, 0.5)
_MEDIA_TYPE = re.compile(r"(application|text)/[a-z.+-]{1,40}")
_TOKEN = re.compile(rf"{STRING}|[\[\]{{}}]", re.DOTALL)
_SPACE = re.compile(r"[ \t\r\n]*")
# Numbers stay text: the record lands as it was written, and these values are only looked at.
_DECODER = json.JSONDecoder(parse_float=str, parse_int=str)
# `Retry-After` in seconds; more digits are too long to wait, whatever they say.
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]*)?|[0-9]+")
_HOST = re.compile(rb"[A-Za-z0-9._:-]+")


class Record(NamedTuple):
    """One record: its JSON text as it came, and its value to look into (numbers as text)."""

    text: str
    value: Any


class Page(NamedTuple):
    """One answer: its bytes, its records, and how many pages it says there are."""

    body: bytes
    records: list[Record]
    count: int


class PagesMovedError(Exception):
    """The records changed while they were read page by page: some may have been skipped."""

    def __init__(self, what: str, pages: int = 2) -> None:
        """`pages`: how many there were; a list of one page that contradicts itself is not read in parts."""
        super().__init__(what)
        self.pages = pages


class _TransientError(Exception):
    def __init__(self, said: str, retry_after: float = 0) -> None:
        super().__init__(said)
        self.retry_after = retry_after


class Http:
    """Asks one API, an answer at a time; every answer comes within limits of bytes and seconds, or is an error.

    The environment's proxy and certificates are used as `curl` would (`HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`, …);
    networks such as 10.0.0.0/8 may stand in `NO_PROXY` too, and this machine is asked without a proxy.
    """

    def __init__(self, base_url: str, setting: str) -> None:
        """`base_url`: of the API; `setting`: the name of the setting that holds it, for messages.

        Raises:
            StorehouseError: it is not a URL, or the proxy or the certificates of the environment can't be used.
        """
        self.base_url, self.setting = base_url.rstrip("/"), setting
        try:
            url = httpx.URL(self.base_url)
        except httpx.InvalidURL:
            raise self._not_a_url() from None
        if url.scheme not in ("http", "https") or not _is_place(url):
            raise self._not_a_url()
        try:
            certificates = httpx.create_ssl_context()
        except OSError as error:
            said = error.strerror or type(error).__name__
            raise StorehouseError(
                f"The certificates that SSL_CERT_FILE or SSL_CERT_DIR names can't be used: {said}. "
                "Name a file of certificates in PEM form, or unset it."
            ) from error
        try:
            proxy = _proxy(url)
            if proxy and not _is_place(httpx.URL(proxy)):
                raise ValueError
            self._client = httpx.AsyncClient(
                timeout=settings().http_timeout_seconds,
                headers={"Accept-Encoding": "gzip"},
                proxy=proxy,
                verify=certificates,
                trust_env=False,
            )
        except (ValueError, ImportError, httpx.InvalidURL):
            # Not in httpx's words: they may quote the proxy's password.
            raise StorehouseError(
                f"The proxy for {setting} can't be used: {url.scheme.upper()}_PROXY, or ALL_PROXY, must look like "
                "http://host:port. Set it so, or name the API's host in NO_PROXY."
            ) from None
        self._runner = asyncio.Runner()
        self._until = time.monotonic() + settings().api_load_minutes * 60

    def __enter__(self) -> Self:
        """The reader itself, for `with`."""
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close its connections."""
        with self._runner:
            self._runner.run(self._client.aclose())

    def pages(self, path: str, parameters: dict[str, str]) -> Iterator[Page]:
        """All pages of one question, in order, each answered before the next is asked.

        Args:
            path: below the base URL, with a leading slash.
            parameters: of the query; `page` is added.

        Raises:
            StorehouseError: the API is away, too slow, or answers something that was not promised.
            PagesMovedError: the pages don't add up; reading all of them again may help.
        """
        number, count, total, seen = 1, 1, None, 0
        while number <= count:
            request = self.request(path, parameters | {"page": str(number)})
            response = self._answer(request)
            envelope, records = _read(response, self.setting)
            try:
                at, new_count, new_total = (int(envelope[name]) for name in ("page", "pages", "total"))
            except (KeyError, TypeError, ValueError):
                raise _wrong(response, "lacks page, pages or total as whole numbers", self.setting) from None
            if at != number:
                raise _wrong(response, f"is page {at} where page {number} was asked for", self.setting)
            if total not in (None, new_total):
                raise PagesMovedError(f"{_shown(request)}: total {total} became {new_total}")
            if total is not None and count != new_count:
                raise PagesMovedError(f"{_shown(request)}: pages {count} became {new_count}")
            count, total, seen, number = new_count, new_total, seen + len(records), number + 1
            yield Page(response.content, records, count)
        if seen != total:
            words = f"{_shown(request)}: {total:,} records were promised and {seen:,} came"
            raise PagesMovedError(words, pages=count)

    def request(self, path: str, parameters: dict[str, str] | None = None) -> httpx.Request:
        """A request that is not sent yet."""
        try:
            return self._client.build_request("GET", self.base_url + path, params=parameters)
        except httpx.InvalidURL:
            raise self._not_a_url() from None

    def ask(self, request: httpx.Request, seconds: float | None = None) -> httpx.Response:
        """The answer, whole and unpacked; `seconds`, in all, are `HTTP_ANSWER_SECONDS` by default.

        Raises:
            StorehouseError: it is longer than `HTTP_ANSWER_MAX_MB`.
            httpx.RequestError: none came.
        """
        within = seconds or settings().http_answer_seconds
        try:
            return self._runner.run(self._fetch(request, within))
        except TimeoutError:
            words = f"{within:g} s" if seconds else f"HTTP_ANSWER_SECONDS ({within:g} s)"
            raise httpx.ReadTimeout(f"no whole answer within {words}") from None
        except httpx.ConnectError as error:
            raise httpx.ConnectError(_why(error)) from error

    async def _fetch(self, request: httpx.Request, seconds: float) -> httpx.Response:
        limit = int(settings().http_answer_max_mb * 1e6)
        async with asyncio.timeout(seconds):
            response = await self._client.send(request, stream=True)
            try:
                body = bytearray()
                unpack = self._unpacking(response)
                async for chunk in response.aiter_raw():
                    body += unpack(chunk, limit + 1 - len(body))
                    if len(body) > limit:
                        raise StorehouseError(
                            f"GET {_shown(request)}: the answer is longer than HTTP_ANSWER_MAX_MB "
                            f"({limit / 1e6:g} MB). Nothing of this load was landed. "
                            "Let the API send shorter pages, or allow longer ones."
                        )
            finally:
                await response.aclose()
        # Unpacked as it is, it must not be unpacked again.
        headers = [pair for pair in response.headers.raw if pair[0].lower() != b"content-encoding"]
        return httpx.Response(response.status_code, headers=headers, content=bytes(body), request=request)

    def _unpacking(self, response: httpx.Response) -> Callable[[bytes, int], bytes]:
        """Unpacks a piece of the answer to at most so many bytes: a short one can unpack to any length."""
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding in ("", "identity"):
            return lambda piece, _: piece
        if encoding not in ("gzip", "x-gzip"):
            raise StorehouseError(
                f"GET {_shown(response.request)}: the answer is packed in a way that was not asked for. "
                f"Check {self.setting}: Accept-Encoding is gzip."
            )
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)

        def unpack(piece: bytes, most: int) -> bytes:
            try:
                return unpacker.decompress(piece, most)
            except zlib.error as error:
                raise httpx.DecodingError("the answer is not the gzip that it says it is") from error

        return unpack

    def _answer(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request, retried with growing waits while errors look transient."""

        def ask() -> httpx.Response:
            if time.monotonic() > self._until:
                raise TransientError(
                    f"GET {_shown(request)}: the load takes longer than API_LOAD_MINUTES "
                    f"({settings().api_load_minutes:g}). Nothing of it was landed. Check that the API's list ends; "
                    "ask for a shorter interval (--until), or allow more minutes."
                )
            try:
                response = self.ask(request)
            except httpx.TimeoutException as error:
                said = str(error) or f"no answer within {settings().http_timeout_seconds:g} s"
                raise _TransientError(said) from None
            except httpx.RequestError as error:
                # Of a line that is not HTTP httpx shows the line.
                raise _TransientError(without_values(first_line(error))) from None
            if response.status_code == 429 or response.status_code >= 500:
                raise _TransientError(_excerpt(response), _retry_after(response))
            return response

        def stop(state: RetryCallState) -> bool:
            return state.attempt_number >= settings().http_retries or _error(state).retry_after > MAX_WAIT_SECONDS

        def wait(state: RetryCallState) -> float:
            return max(_error(state).retry_after, _BACKOFF(state))

        def tell(state: RetryCallState) -> None:
            logger.info("GET %s: %s; again in %.1f s", _shown(request), _error(state), state.upcoming_sleep)

        trying = Retrying(
            stop=stop,
            retry=retry_if_exception_type(_TransientError),
            wait=wait,
            before_sleep=tell,
            reraise=True,
        )
        try:
            response = trying(ask)
        except _TransientError as error:
            is_long = error.retry_after > MAX_WAIT_SECONDS
            asked = f" It asks to wait {error.retry_after:.0f} s." if is_long else ""
            raise TransientError(
                f"GET {_shown(request)} failed, the last of {trying.statistics['attempt_number']} tries with: {error}."
                f"{asked} Nothing of this load was landed. Check that the API runs, and {self.setting}; "
                "then run it again."
            ) from None
        if response.status_code != 200:
            raise _wrong(response, "is not the 200 that was promised", self.setting)
        return response

    def _not_a_url(self) -> StorehouseError:
        # Not in httpx's words: they may quote the password.
        return StorehouseError(f"{self.setting} is not a URL. One looks like https://host/path.")


def _why(error: BaseException) -> str:
    """The message of an error's first cause: `Connection refused` and not `All connection attempts failed`."""
    while True:
        cause = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__ or error.__context__
        if cause is None:
            break
        error = cause
    # asyncio words a refused connection in its own way, and ssl numbers its errors in its own.
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError | socket.gaierror) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def _is_place(url: httpx.URL) -> bool:
    """True if a URL has a host and a valid port."""
    return bool(_HOST.fullmatch(url.raw_host)) and (url.port is None or 0 < url.port < 65536)


def _proxy(url: httpx.URL) -> str | None:
    """The proxy that the environment names for a URL."""
    proxies = getproxies()
    named = proxies.get(url.scheme) or proxies.get("all")
    if not named or proxy_bypass_environment(url.host, proxies) or url.host == "localhost":
        return None
    try:
        address = ipaddress.ip_address(url.host)
    except ValueError:
        address = None
    if address and (address.is_loopback or any(address in network for network in _networks(proxies.get("no", "")))):
        return None
    return named if "://" in named else f"http://{named}"


def _networks(no_proxy: str) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    for name in no_proxy.split(","):
        try:
            yield ipaddress.ip_network(name.strip(" []"), strict=False)
        except ValueError:
            continue  # a host's name


def _error(state: RetryCallState) -> _TransientError:
    """The error of a try that failed: no other kind is tried again."""
    error = state.outcome and state.outcome.exception()
    assert isinstance(error, _TransientError)
    return error


def _retry_after(response: httpx.Response) -> float:
    """Seconds, from `Retry-After` in either of its forms; 0 without, and where it says nothing that can be read."""
    said = response.headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(said):
        # Ten digits are three hundred years: no more are needed.
        return float(said[:10])
    try:
        at = parsedate_to_datetime(said)
        return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError, IndexError):
        return 0.0


def _read(response: httpx.Response, setting: str) -> tuple[dict[str, Any], list[Record]]:
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

    members: dict[str, Any] = {}
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
        at = _past_space(body, element(body, at))
        if body[at : at + 1] == brackets[1]:
            return at + 1
        at = _expect(body, at, ",")


def _expect(body: str, at: int, character: str) -> int:
    at = _past_space(body, at)
    if body[at : at + 1] != character:
        raise ValueError
    return _past_space(body, at + 1)


def _past_space(body: str, at: int) -> int:
    found = _SPACE.match(body, at)
    return found.end() if found else at


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
    """A description of the answer without its content, which may be personal data."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
    kind = kind if _MEDIA_TYPE.fullmatch(kind) else "no media type"
    return f"status {response.status_code}, {len(response.content):,} bytes, {kind}"


def _shown(request: httpx.Request) -> str:
    """The request's URL and its parameters, which are our own."""
    return f"{shown(str(request.url))} {request.url.query.decode()}"
