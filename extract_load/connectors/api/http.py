"""One API over HTTP: who asks, how often, within which limits; transient errors are retried.

A token of OAuth 2 is one more request: asked here, it has the same limits, proxy and retries as the others. httpx-auth
and Authlib ask for it with a client of their own, and block the one that waits.
"""

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
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self, TypeVar

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

from extract_load.declarations.api import Auth
from storehouse.core.errors import StorehouseError, TransientError, without_values
from storehouse.core.settings import settings
from storehouse.core.shown import HIDDEN, first_line, shown

logger = logging.getLogger("extract_load")

# A token is asked for so long before it expires.
TOKEN_EARLY_SECONDS = 30
# Longer than this no request waits for a server that says when to come back.
MAX_WAIT_SECONDS = 300

_BACKOFF = wait_exponential(multiplier=0.5, max=30) + wait_random(0, 0.5)
_MEDIA_TYPE = re.compile(r"(application|text)/[a-z.+-]{1,40}")
# `Retry-After` in seconds; more digits are too long to wait, whatever they say.
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]*)?|[0-9]+")
_HOST = re.compile(rb"[A-Za-z0-9._:-]+")

Client = TypeVar("Client", httpx.Client, httpx.AsyncClient)


class _TransientError(Exception):
    def __init__(self, said: str, retry_after: float = 0) -> None:
        super().__init__(said)
        self.retry_after = retry_after


class Http:
    """Asks one API, an answer at a time; every answer comes within limits of bytes and seconds, or is an error.

    The environment's proxy and certificates are used: see `client_of`.
    """

    def __init__(
        self,
        connection: str,
        label: str = "the source",
        auth: Auth | None = None,
        hosts: Collection[str] = (),
        rate: float | None = None,
    ) -> None:
        """An API that is not asked yet.

        Args:
            connection: the name of the variable with its base URL, which may have user and password.
            label: who needs it, for messages.
            auth: with what it is asked.
            hosts: others, with their port if it is not the usual one, that its links may lead to. They are asked with
                the same `auth`; no other host is ever asked.
            rate: requests a second at most.

        Raises:
            StorehouseError: the base URL is none, a variable is not set, or the proxy or the certificates of the
                environment can't be used.
        """
        self.connection, self.label = connection, label
        self.checks = _and([connection, *_variables(auth)])
        base = self._url(settings().place(connection, label), connection)
        user, password = base.username, base.password
        self.base_url = str(base.copy_with(userinfo=b"", query=None, fragment=None)).rstrip("/")
        self._hosts = {_origin(base), *(_origin(httpx.URL(f"{base.scheme}://{host}")) for host in hosts)}
        self._auth, self._token_is_good_until = auth, 0.0
        self._headers: dict[str, str] = {}
        self._parameters: dict[str, str] = {}
        if auth and user:
            raise StorehouseError(
                f"{label}: {connection} has a user, and auth is declared. Keep one of them: take the user out of the "
                "URL, or auth out of the declaration (docs/sources/api.md)."
            )
        self._rate, self._next_at = rate, 0.0
        options = {"timeout": settings().http_timeout_seconds, "headers": {"Accept-Encoding": "gzip"}}
        self._client = client_of(httpx.AsyncClient, base, connection, **options)
        if auth:
            self._prepare(auth)
        elif user:
            self._headers["Authorization"] = _basic(user, password)
        self._runner = asyncio.Runner()
        self._until = time.monotonic() + settings().api_load_minutes * 60

    def __enter__(self) -> Self:
        """The reader itself, for `with`."""
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close its connections."""
        with self._runner:
            self._runner.run(self._client.aclose())

    def _url(self, value: str, name: str) -> httpx.URL:
        """The URL that a variable holds."""
        try:
            url = httpx.URL(value)
        except httpx.InvalidURL:
            raise _not_a_url(name) from None
        if url.scheme not in ("http", "https") or not _is_place(url):
            raise _not_a_url(name)
        return url

    def _value(self, variable: str | None) -> str:
        """What a variable of the declaration holds."""
        return settings().required(variable or "", self.label)

    def _prepare(self, auth: Auth) -> None:
        """Read what the requests are to have with them; a token of OAuth is asked for when it is needed."""
        if auth.by == "bearer":
            self._headers["Authorization"] = f"Bearer {self._value(auth.token)}"
        elif auth.by == "basic":
            self._headers["Authorization"] = _basic(self._value(auth.user), self._value(auth.password))
        elif auth.by == "header":
            self._headers[auth.name or ""] = self._value(auth.key)
        elif auth.by == "query":
            self._parameters[auth.name or ""] = self._value(auth.key)

    def _authorize(self, request: httpx.Request) -> None:
        """Give a request what the API wants to see; a host that was not declared gets no request at all."""
        if self._auth and self._auth.by == "oauth" and time.monotonic() >= self._token_is_good_until:
            self._fetch_token(self._auth)
        try:
            request.headers.update(self._headers)
        except UnicodeEncodeError:
            raise StorehouseError(f"{self.label}: {self.checks} can't stand in a header: write ASCII.") from None
        if self._parameters:
            request.url = request.url.copy_merge_params(self._parameters)

    def _fetch_token(self, auth: Auth) -> None:
        """Ask for a token, with the client's id and secret.

        Raises:
            StorehouseError: none came. The message has nothing of the answer.
        """
        place = auth.token_url or ""
        url = self._url(self.base_url + place if place.startswith("/") else self._value(place), place)
        client, secret = self._value(auth.client_id), self._value(auth.client_secret)
        form = {"grant_type": "client_credentials", "scope": auth.scope, "audience": auth.audience}
        headers = {"Accept": "application/json"}
        if auth.client_in == "body":
            form |= {"client_id": client, "client_secret": secret}
        else:
            headers["Authorization"] = _basic(client, secret)
        form = {name: value for name, value in form.items() if value}
        url = url.copy_with(userinfo=b"")
        said = {"place": shown(str(url)), "words": ""}
        request = self._client.build_request("POST", url, data=form, headers=headers, extensions=said)
        response = self._try(request, self._send)
        try:
            told = json.loads(response.content) if response.status_code == 200 else {}
            token, seconds = told["access_token"], float(told.get("expires_in") or 0)
            if not isinstance(token, str) or not token.isascii() or not token.isprintable():
                raise ValueError
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise self.wrong(response, "has no access_token") from None
        # Asked for again before it expires; one that does not say when is good until a 401.
        good_for = seconds - min(TOKEN_EARLY_SECONDS, seconds / 2) if seconds > 0 else float("inf")
        self._token_is_good_until = time.monotonic() + good_for
        self._headers["Authorization"] = f"Bearer {token}"

    def request(
        self, path: str, parameters: Mapping[str, str] | None = None, hidden: str | None = None
    ) -> httpx.Request:
        """A request that is not sent yet.

        Args:
            path: below the base URL, with a leading slash.
            parameters: of the query.
            hidden: the one of them that messages don't show: the API has made it, perhaps of a record.
        """
        parameters = parameters or {}
        words = "&".join(f"{name}={HIDDEN if name == hidden else value}" for name, value in parameters.items())
        said = {"place": shown(self.base_url + path), "words": words}
        try:
            # An empty mapping would still leave a question mark.
            return self._client.build_request("GET", self.base_url + path, params=parameters or None, extensions=said)
        except httpx.InvalidURL:
            raise _not_a_url(self.connection) from None

    def follow(self, link: str, response: httpx.Response) -> httpx.Request:
        """The request for a link that an answer has, absolute or not.

        Raises:
            StorehouseError: it leads to a host that is not declared, or away from TLS.
        """
        try:
            url = response.request.url.join(link)
            origin = _origin(url)
        except (httpx.InvalidURL, ValueError):
            raise self.wrong(response, "has a link to the next page that is no URL") from None
        if origin not in self._hosts:
            raise self.wrong(
                response,
                "leads to another host for its next page, which was not asked: declare it in hosts if it is right",
            )
        url = url.copy_with(userinfo=b"", fragment=None)
        for name in self._parameters:
            url = url.copy_remove_param(name)
        # Not as the API has written it: it may have made it of a record.
        said = {"place": response.request.extensions["place"], "words": "(a link of the page before)"}
        return self._client.build_request("GET", url, extensions=said)

    def ask(self, request: httpx.Request, seconds: float | None = None) -> httpx.Response:
        """The answer, whole and unpacked; `seconds`, in all, are `HTTP_ANSWER_SECONDS` by default.

        Raises:
            StorehouseError: it is longer than `HTTP_ANSWER_MAX_MB`, or no token came.
            httpx.RequestError: none came.
        """
        self._authorize(request)
        return self._send(request, seconds)

    def _send(self, request: httpx.Request, seconds: float | None = None) -> httpx.Response:
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
                            f"{_shown(request)}: the answer is longer than HTTP_ANSWER_MAX_MB "
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
                f"{_shown(response.request)}: the answer is packed in a way that was not asked for. "
                f"Check {self.checks}: Accept-Encoding is gzip."
            )
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)

        def unpack(piece: bytes, most: int) -> bytes:
            try:
                return unpacker.decompress(piece, most)
            except zlib.error as error:
                raise httpx.DecodingError("the answer is not the gzip that it says it is") from error

        return unpack

    def answer(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request, retried with growing waits while errors look transient.

        Raises:
            StorehouseError: the API is away, too slow, or answers something else than 200.
        """
        response = self.attempt(request)
        if response.status_code != 200:
            raise self.wrong(response, "is not the 200 that was promised")
        return response

    def attempt(self, request: httpx.Request) -> httpx.Response:
        """As `answer`, whatever its status is."""
        response = self._try(request, self.ask)
        if response.status_code == 401 and self._auth and self._auth.by == "oauth":
            # Withdrawn before its time.
            self._token_is_good_until = 0.0
            response = self._try(request, self.ask)
        return response

    def _try(self, request: httpx.Request, send: Callable[[httpx.Request], httpx.Response]) -> httpx.Response:
        def ask() -> httpx.Response:
            self._wait_for_turn()
            if time.monotonic() > self._until:
                raise TransientError(
                    f"{_shown(request)}: the load takes longer than API_LOAD_MINUTES "
                    f"({settings().api_load_minutes:g}). Nothing of it was landed. Check that the API's list ends; "
                    "ask for a shorter interval (--until), or allow more minutes."
                )
            try:
                response = send(request)
            except httpx.TimeoutException as error:
                said = str(error) or f"no answer within {settings().http_timeout_seconds:g} s"
                raise _TransientError(said) from None
            except httpx.RequestError as error:
                # Of a line that is not HTTP httpx shows the line.
                raise _TransientError(without_values(first_line(error))) from None
            if response.status_code == 429 or response.status_code >= 500:
                raise _TransientError(excerpt(response), _retry_after(response))
            return response

        def stop(state: RetryCallState) -> bool:
            return state.attempt_number >= settings().http_retries or _error(state).retry_after > MAX_WAIT_SECONDS

        def wait(state: RetryCallState) -> float:
            return max(_error(state).retry_after, _BACKOFF(state))

        def tell(state: RetryCallState) -> None:
            logger.info("%s: %s; again in %.1f s", _shown(request), _error(state), state.upcoming_sleep)

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
                f"{_shown(request)} failed, the last of {trying.statistics['attempt_number']} tries with: {error}."
                f"{asked} Nothing of this load was landed. Check that the API runs, and {self.checks}; "
                "then run it again."
            ) from None
        return response

    def _wait_for_turn(self) -> None:
        """Wait until the next request may be sent."""
        if self._rate:
            time.sleep(max(0.0, min(self._next_at, self._until) - time.monotonic()))
            self._next_at = time.monotonic() + 1 / self._rate

    def wrong(self, response: httpx.Response, what: str) -> StorehouseError:
        """An answer that is not what was promised, without its content."""
        return StorehouseError(
            f"{_shown(response.request)}: the answer {what}: {excerpt(response)}. Nothing of this load was landed. "
            f"Check {self.checks}, and with the API's owner what it promises (docs/sources/api.md)."
        )


def client_of(kind: type[Client], url: httpx.URL, connection: str, **options: Any) -> Client:
    """A client of httpx for a URL, which uses the environment's proxy and certificates.

    It uses them as `curl` would (`HTTPS_PROXY`, `NO_PROXY`, `SSL_CERT_FILE`, …); networks such as 10.0.0.0/8 may stand
    in `NO_PROXY` too, and this machine is asked without a proxy.

    Args:
        kind: `httpx.Client`, or the one for asyncio.
        url: what will be asked.
        connection: the name of the variable that holds it, for messages.
        options: of the client.

    Raises:
        StorehouseError: the proxy or the certificates can't be used.
    """
    certificates = _certificates()
    try:
        proxy = _proxy(url)
        if proxy and not _is_place(httpx.URL(proxy)):
            raise ValueError
        return kind(proxy=proxy, verify=certificates, trust_env=False, **options)
    except (ValueError, ImportError, httpx.InvalidURL):
        # Not in httpx's words: they may quote the proxy's password.
        raise StorehouseError(
            f"The proxy for {connection} can't be used: {url.scheme.upper()}_PROXY, or ALL_PROXY, must look like "
            "http://host:3128 does. Set it so, or name its host in NO_PROXY."
        ) from None


def _not_a_url(name: str) -> StorehouseError:
    # Not in httpx's words: they may quote the password.
    return StorehouseError(f"{name} is not a URL. One looks like https://host/path.")


def _certificates() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise StorehouseError(
            f"The certificates that SSL_CERT_FILE or SSL_CERT_DIR names can't be used: {said}. "
            "Name a file of certificates in PEM form, or unset it."
        ) from error


def _variables(auth: Auth | None) -> list[str]:
    """The variables that hold what an API is asked with."""
    names = (auth.token, auth.user, auth.password, auth.key, auth.client_id, auth.client_secret) if auth else ()
    return [name for name in names if name]


def _and(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


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


def excerpt(response: httpx.Response) -> str:
    """A description of the answer without its content, which may be personal data."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip()
    kind = kind if _MEDIA_TYPE.fullmatch(kind) else "no media type"
    return f"status {response.status_code}, {len(response.content):,} bytes, {kind}"


def _shown(request: httpx.Request) -> str:
    """The request: its URL, and those of its parameters that are our own."""
    return " ".join(filter(None, (request.method, request.extensions["place"], request.extensions["words"])))
