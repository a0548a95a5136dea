"""Answers of an API that are endless, slow, too large or odd: the load ends in time, with one clear message."""

import gzip
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from extract_scene import Answer
from tenacity import wait_fixed

import extract_load
from extract_load.connectors.api import http as http_pages
from storehouse.core.errors import StorehouseError, TransientError

NOTHING = b'{"page": 1, "pages": 1, "total": 0, "data": []}'


@pytest.fixture
def raw_api(configure: Callable[..., None]) -> Iterator[Callable[[Callable[[socket.socket], None]], None]]:
    """An API that answers each request byte for byte as the test says."""
    servers = []

    def serve(answer: Callable[[socket.socket], None]) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.recv(65536)
                with suppress(OSError):  # it was left
                    answer(self.request)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        configure(REVIEWS_URL=f"http://127.0.0.1:{server.server_address[1]}", HTTP_RETRIES=1, HTTP_TIMEOUT_SECONDS=5)

    yield serve
    for server in servers:
        server.shutdown()


def fails_within(seconds: float, words: str, kind: type = StorehouseError) -> None:
    began = time.monotonic()
    with pytest.raises(kind, match=words) as caught:
        extract_load.load("reviews")
    assert time.monotonic() - began < seconds
    assert len(str(caught.value).splitlines()) == 1


def dribble(start: bytes) -> Callable[[socket.socket], None]:
    def answer(to: socket.socket) -> None:
        to.sendall(start)
        while True:
            to.sendall(b"a")
            time.sleep(0.1)

    return answer


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Long: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n",
    ],
)
def test_an_answer_that_comes_a_byte_at_a_time_is_left_in_time(new_house, raw_api, configure, start):
    raw_api(dribble(start))
    configure(HTTP_ANSWER_SECONDS=1)
    fails_within(5, r"no whole answer within HTTP_ANSWER_SECONDS \(1 s\)", TransientError)


def test_an_answer_without_end_is_left_at_its_limit(new_house, raw_api, configure):
    def answer(to: socket.socket) -> None:
        to.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + NOTHING[:-1])
        while True:
            to.sendall(b" " * 65536)

    raw_api(answer)
    configure(HTTP_ANSWER_MAX_MB=2)
    fails_within(10, r"longer than HTTP_ANSWER_MAX_MB \(2 MB\)")


@pytest.mark.parametrize("packed_times", [1, 2])
def test_a_short_answer_that_unpacks_to_a_long_one_is_left_at_its_limit(new_house, api, configure, packed_times):
    body, encoding = b"[" + b" " * 300_000_000, "gzip"
    for _ in range(packed_times):
        body = gzip.compress(body, 1)
    configure(HTTP_ANSWER_MAX_MB=2)
    api.instead = lambda *_: Answer(body, headers={"Content-Encoding": ", ".join([encoding] * packed_times)})
    fails_within(10, "HTTP_ANSWER_MAX_MB" if packed_times == 1 else "packed in a way that was not asked for")


def test_a_packed_answer_is_unpacked(new_house, api):
    body = b'{"page": 1, "pages": 1, "total": 1, "data": [{"review_id": "R-1"}]}'
    api.instead = lambda *_: Answer(gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert extract_load.load("reviews")[0].rows == 1


def test_an_answer_that_says_it_is_packed_and_is_not_is_told(new_house, api):
    api.instead = lambda *_: Answer(NOTHING, headers={"Content-Encoding": "gzip"})
    fails_within(10, "not the gzip that it says it is")


def test_a_list_that_goes_on_for_ever_is_left_in_time(new_house, api, configure):
    def on_and_on(asked: int, path: str, query: dict[str, str]) -> Answer:
        page = query["page"]
        record = f'{{"review_id": "R-{asked}", "updated_at": "never"}}'
        return Answer(f'{{"page": {page}, "pages": 9999999, "total": 9999999, "data": [{record}]}}'.encode())

    api.instead = on_and_on
    configure(API_LOAD_MINUTES=0.05)
    fails_within(20, r"takes longer than API_LOAD_MINUTES \(0.05\)", TransientError)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("²", 0),
        ("١٢", 0),
        ("-5", 0),
        ("NaN", 0),
        ("inf", 0),
        ("1e9", 0),
        ("", 0),
        ("soon", 0),
        ("1.5", 1.5),
        ("120", 120),
        ("0000000000000", 0),
        ("9" * 400, 9999999999),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 99999 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2015 07:28:00 +99999999999", 0),
        ("Fri, 31 Feb 2050 00:00:00 GMT", 0),
        (",,,", 0),
        ("\x00", 0),
    ],
)
def test_a_wait_that_an_answer_asks_for_is_read_or_left(retry_after, seconds):
    import httpx

    answer = httpx.Response(503, headers=[(b"Retry-After", retry_after.encode("utf-8"))])
    assert http_pages._retry_after(answer) == seconds
    answer = httpx.Response(503, headers=[(b"Retry-After", retry_after.encode("latin-1", "replace"))])
    assert http_pages._retry_after(answer) == seconds


def test_a_date_without_a_zone_is_utc():
    import httpx

    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(minutes=1))
    for said in (in_a_minute, in_a_minute.replace("+0000", "-0000"), in_a_minute.replace(" +0000", "")):
        assert 50 < http_pages._retry_after(httpx.Response(503, headers={"Retry-After": said})) <= 60


@pytest.mark.parametrize("said", ["9" * 400, "Wed, 21 Oct 9999 07:28:00 GMT"])
def test_a_date_far_away_is_not_waited_for(new_house, api, said):
    api.instead = lambda *_: Answer(b"", 503, {"Retry-After": said})
    fails_within(10, "last of 1 tries .*It asks to wait", TransientError)


def test_an_odd_wait_is_a_wait_of_our_own(new_house, api, monkeypatch):
    monkeypatch.setattr(http_pages, "_BACKOFF", wait_fixed(0.05))
    api.instead = lambda asked, *_: Answer(b"", 429, {"Retry-After": "²"}) if asked == 1 else None
    assert extract_load.load("reviews")[0].rows == 0


@pytest.mark.parametrize(
    "url", ["http://me:hunter2@127.0.0.1:99999", "http://me:hunter2@[half", "http://", "https:///path", "http://a b/"]
)
def test_a_url_without_a_host_or_with_a_port_that_there_is_none_of_is_told(new_house, configure, url):
    configure(REVIEWS_URL=url)
    fails_within(5, "REVIEWS_URL(: it)? is not a URL")


# -- what the environment says of proxies and certificates


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"ALL_PROXY": "socks://me:hunter2@127.0.0.1:1"}, "The proxy for REVIEWS_URL can't be used"),
        ({"ALL_PROXY": "socks5://me:hunter2@127.0.0.1:1"}, "The proxy for REVIEWS_URL can't be used"),
        ({"HTTP_PROXY": "ftp://me:hunter2@127.0.0.1:1"}, "The proxy for REVIEWS_URL can't be used"),
        ({"HTTP_PROXY": "http://me:hunter2@127.0.0.1:99999"}, "The proxy for REVIEWS_URL can't be used"),
        ({"HTTP_PROXY": "http://me:hunter2@[half"}, "The proxy for REVIEWS_URL can't be used"),
        ({"SSL_CERT_FILE": "/no/such/file"}, "SSL_CERT_FILE or SSL_CERT_DIR names can't be used: No such file"),
        ({"SSL_CERT_FILE": "/etc/passwd"}, "SSL_CERT_FILE or SSL_CERT_DIR names can't be used"),
    ],
)
def test_a_proxy_or_certificates_that_cannot_be_used_are_named(
    new_house, configure, run: Callable[..., subprocess.CompletedProcess], environment, words
):
    configure(REVIEWS_URL="http://10.1.2.3:1", HTTP_RETRIES=1, HTTP_TIMEOUT_SECONDS=2, **environment)
    done = run("reviews")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert words in done.stderr and "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("host", "no_proxy", "is_asked_without"),
    [
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "192.168.0.0/16, 10.1.2.3", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("[fd00::1]", "fd00::/8", True),
        ("[fe00::1]", "fd00::/8", False),
        ("api.example.com", "fd00::/8,.example.com", True),
        ("api.example.com", "*.example.com:80:90,10.0.0.0/8", False),
        ("api.example.com", "*", True),
        ("127.0.0.1", "", True),
        ("localhost", "", True),
    ],
)
def test_networks_and_names_in_no_proxy_are_asked_without_a_proxy(monkeypatch, host, no_proxy, is_asked_without):
    import httpx

    monkeypatch.setenv("HTTP_PROXY", "http://proxy:1")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    monkeypatch.setenv("no_proxy", no_proxy)
    assert http_pages._proxy(httpx.URL(f"http://{host}:80/x")) == (None if is_asked_without else "http://proxy:1")


def test_a_proxy_is_used_for_what_is_not_here(new_house, configure, api, monkeypatch):
    """The API of the scene stands in for a proxy: a proxy is asked for the whole URL."""
    asked = []
    monkeypatch.setattr(api, "answer", lambda path, query: asked.append(path) or Answer(NOTHING))
    configure(HTTP_PROXY=api.url, REVIEWS_URL="http://reviews.invalid")
    extract_load.load("reviews")
    assert asked == ["/reviews"]
