"""Five public APIs as one small server, each in its own shape: how a list is paged, asked for and signed in to."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

# Records of a page at most, whatever is asked for.
PAGE = 2

Query = dict[str, str]
Records = list[dict]


class Answer(NamedTuple):
    """A body, and headers of its own."""

    body: object
    headers: dict[str, str] | None = None


def stripe(url: str, query: Query, records: Records) -> Answer:
    """After the last record's id, newest first; a flag says whether more follow."""
    low, high = (float(query.get(f"created[{name}]", end)) for name, end in (("gte", 0), ("lt", 1e12)))
    found = [record for record in records if low <= record["created"] < high]
    found.sort(key=lambda record: -record["created"])
    ids = [record["id"] for record in found]
    start = ids.index(query["starting_after"]) + 1 if "starting_after" in query else 0
    return Answer({"object": "list", "has_more": len(found) > start + PAGE, "data": found[start : start + PAGE]})


def shopify(url: str, query: Query, records: Records) -> Answer:
    """The next page's address in a header; it has all that was asked for in one parameter."""
    info = query.get("page_info")
    asked = json.loads(base64.urlsafe_b64decode(info)) if info else query
    start = int(asked.get("start", 0))
    low, high = asked["updated_at_min"], asked["updated_at_max"]
    found = [record for record in records if _within(record, "updated_at", low, high)]
    headers = None
    if start + PAGE < len(found):
        info = base64.urlsafe_b64encode(json.dumps(asked | {"start": start + PAGE}).encode()).decode()
        headers = {"Link": f'<{url}?{urlencode({"limit": asked.get("limit", PAGE), "page_info": info})}>; rel="next"'}
    return Answer({"orders": found[start : start + PAGE]}, headers)


def woocommerce(url: str, query: Query, records: Records) -> Answer:
    """Numbered pages with totals in headers; later than the one time, earlier than the other, without a zone."""
    low, high = query["modified_after"], query["modified_before"]
    found = [record for record in records if _within(record, "date_modified_gmt", low, high, is_after=True)]
    start = (int(query.get("page", 1)) - 1) * PAGE
    totals = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(-(-len(found) // PAGE))}
    return Answer(found[start : start + PAGE], totals)


def vouchers(url: str, query: Query, records: Records) -> Answer:
    """Offset and limit with a count, and no interval."""
    start = int(query.get("offset", 0))
    return Answer({"count": len(records), "results": records[start : start + PAGE]})


def dynamics(url: str, query: Query, records: Records) -> Answer:
    """The next page's address in the body; the interval is a filter in words."""
    words = query["$filter"].split()
    bounds = {words[n + 1]: words[n + 2] for n, word in enumerate(words) if word == "ModifiedAt"}
    found = [record for record in records if _within(record, "ModifiedAt", bounds["ge"], bounds["lt"])]
    start = int(query.get("$skiptoken", 0))
    body: dict[str, object] = {"value": found[start : start + PAGE]}
    if start + PAGE < len(found):
        body["@odata.nextLink"] = f"{url}?{urlencode(query | {'$skiptoken': start + PAGE})}"
    return Answer(body)


class Api(NamedTuple):
    """Where an API answers, with what it must be asked, and how it answers."""

    path: str
    header: tuple[str, str] | None
    answer: Callable[[str, Query, Records], Answer]


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


TOKEN_PATH = "/oauth/token"
CLIENT = _basic("storehouse", "dynamics-secret")
APIS = {
    "stripe": Api("/v1/events", ("Authorization", "Bearer stripe-key"), stripe),
    "shopify": Api("/admin/api/2025-10/orders.json", ("X-Shopify-Access-Token", "shopify-token"), shopify),
    "woocommerce": Api("/wp-json/wc/v3/orders", ("Authorization", _basic("ck", "cs")), woocommerce),
    "vouchers": Api("/api/redemptions/", None, vouchers),
    "dynamics": Api("/data/SalesOrders", ("Authorization", "Bearer dynamics-token"), dynamics),
}


@contextmanager
def served(records: dict[str, Records]) -> Iterator[str]:
    """The URL of a server that answers as each of `APIS`, with what `records` has for it at the time."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            name, api = next((name, api) for name, api in APIS.items() if api.path == parts.path)
            if api.header and self.headers[api.header[0]] != api.header[1]:
                return self.say(401, {})
            answer = api.answer(url + parts.path, dict(parse_qsl(parts.query)), list(records[name]))
            return self.say(200, answer.body, answer.headers)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != TOKEN_PATH or self.headers["Authorization"] != CLIENT:
                return self.say(401, {})
            return self.say(200, {"access_token": "dynamics-token", "token_type": "Bearer", "expires_in": 3600})

        def say(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield url
    server.shutdown()
    server.server_close()


def _within(record: dict, member: str, low: str, high: str, *, is_after: bool = False) -> bool:
    """True if the record changed from the one time on (or after it) and before the other."""
    start, at, end = map(_time, (low, record[member], high))
    return (start < at if is_after else start <= at) and at < end


def _time(text: str) -> datetime:
    """A time; one without a zone is UTC."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
