"""Five public APIs as small servers: their shape of paging, of asking for an interval, and of signing in."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import yaml

from extract_load import tables

PAGE = 2
START = datetime(2026, 1, 1, tzinfo=UTC)
COMMON = """
refused: {limit_percent: 5, least_refused: 10, reason: Few}
freshness: {warn_hours: 26, error_hours: 194, reason: All day}
"""


@dataclass
class Asked:
    """A request: its path, query and headers."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: str = ""


@dataclass
class Said:
    """An answer."""

    body: object = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Served:
    """An API that answers.

    Attributes:
        records: what it has: `id`, `at` (the number of seconds after START at which it changed) and more.
        change: called with the number of the request (from 1) before it is answered; may change the records.
        instead: an answer in the place of the API's.
        asked: the requests so far, those for tokens left out.
        tokens: those that are good.
    """

    url: str = ""
    records: list[dict] = field(default_factory=list)
    change: Callable[[int], None] = lambda number: None
    instead: Callable[[int, Asked], Said | None] = lambda number, asked: None
    asked: list[Asked] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    token_seconds: int = 3600

    def between(self, from_: float, until: float) -> list[dict]:
        """The records that changed in [from_, until), in seconds after START."""
        return [record for record in self.records if from_ <= record["at"] < until]


def put(api: Served, *numbers: int, **more: object) -> None:
    """Records with these numbers, each as if it had changed at that minute; one that is there changes."""
    for number in numbers:
        api.records = [record for record in api.records if record["id"] != f"R{number}"]
        at = more.get("at", number * 60)
        api.records.append({"id": f"R{number}", "at": at, **{k: v for k, v in more.items() if k != "at"}})


def seconds(text: str | None, otherwise: float) -> float:
    """An ISO time of a query as seconds after START."""
    if text is None:
        return otherwise
    time = datetime.fromisoformat(text)
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - START).total_seconds()


def iso(record: dict) -> str:
    """When a record changed."""
    return (START + timedelta(seconds=record["at"])).strftime("%Y-%m-%dT%H:%M:%S")


def at_epoch(record: dict) -> int:
    """Likewise, in seconds since 1970."""
    return int((START + timedelta(seconds=record["at"])).timestamp())


# -- the shapes


def stripe(api: Served, asked: Asked) -> Said:
    """A cursor that is the last record's id, newest first; a bearer token."""
    if asked.headers.get("authorization") != "Bearer sk_hunter2":
        return Said({"error": {"message": "No such key"}}, 401)
    epoch = START.timestamp()
    low, high = (float(asked.query.get(f"created[{name}]", end)) for name, end in (("gte", 0), ("lt", 1e12)))
    found = sorted(api.between(low - epoch, high - epoch), key=lambda record: -record["at"])
    # After a place, as a database would: also if the record of that id is gone.
    if after := asked.query.get("starting_after"):
        passed = [n for n, record in enumerate(found) if record["id"] == after]
        found = found[passed[0] + 1 :] if passed else []
    size = int(asked.query.get("limit", PAGE))
    data = [
        {"id": record["id"], "object": "charge", "amount": 1050, "created": at_epoch(record), "refunded": False}
        for record in found[:size]
    ]
    return Said({"object": "list", "url": asked.path, "has_more": len(found) > size, "data": data})


def github(api: Served, asked: Asked) -> Said:
    """Pages that a header links to, a list and nothing around it, `since`."""
    found = sorted(api.between(seconds(asked.query.get("since"), -1), 1e12), key=lambda record: record["at"])
    size, page = int(asked.query.get("per_page", PAGE)), int(asked.query.get("page", 1))
    data = [
        {"id": record["id"], "state": record.get("state", "open"), "updated_at": f"{iso(record)}Z", "user": {"id": 1}}
        for record in found[(page - 1) * size : page * size]
    ]
    headers = {}
    if page * size < len(found):
        link = f"{api.url}{asked.path}?{urlencode(asked.query | {'page': page + 1})}"
        headers["Link"] = f'<{link}>; rel="next", <{api.url}{asked.path}?page=1>; rel="first"'
    return Said(data, headers=headers)


def woocommerce(api: Served, asked: Asked) -> Said:
    """Page numbers with totals in headers; user and password; times without a zone."""
    if asked.headers.get("authorization") != "Basic " + base64.b64encode(b"ck_1:cs_hunter2").decode():
        return Said({"code": "woocommerce_rest_cannot_view"}, 401)
    after, before = asked.query.get("modified_after"), asked.query.get("modified_before")
    low, high = seconds(after, -1), seconds(before, 1e12)
    # Later than the one, earlier than the other.
    found = [record for record in api.records if low < record["at"] < high]
    size, page = int(asked.query.get("per_page", PAGE)), int(asked.query.get("page", 1))
    data = [
        {"id": record["id"], "status": record.get("status", "processing"), "date_modified_gmt": iso(record)}
        for record in found[(page - 1) * size : page * size]
    ]
    totals = {"X-WP-Total": str(len(found)), "X-WP-TotalPages": str(-(-len(found) // size))}
    return Said(data, headers=totals)


def offset(api: Served, asked: Asked) -> Said:
    """Offset and limit with a count, no interval; a key in a header."""
    if asked.headers.get("x-api-key") != "hunter2":
        return Said({"error": "who are you?"}, 403)
    start, size = int(asked.query.get("offset", 0)), int(asked.query.get("limit", PAGE))
    results = [
        {"sku": record["id"], "price": record.get("price", 1), "meta": {"shop": 1}}
        for record in api.records[start : start + size]
    ]
    return Said({"meta": {"count": len(api.records)}, "results": results})


def odata(api: Served, asked: Asked) -> Said:
    """A next link in the body, a filter in words; OAuth 2."""
    if asked.path == "/oauth/token":
        form = dict(parse_qsl(asked.body))
        client = base64.b64encode(b"me:hunter2").decode()
        if asked.headers.get("authorization") != f"Basic {client}" or form.get("grant_type") != "client_credentials":
            return Said({"error": "invalid_client"}, 401)
        api.tokens.append(f"token-{len(api.tokens) + 1}")
        return Said({"access_token": api.tokens[-1], "token_type": "Bearer", "expires_in": api.token_seconds})
    if asked.headers.get("authorization") not in [f"Bearer {token}" for token in api.tokens[-1:]]:
        return Said({"error": "invalid_token"}, 401)
    words = asked.query.get("$filter", "").split()
    bounds = {words[n + 1]: words[n + 2] for n, word in enumerate(words) if word == "ModifiedAt"}
    found = api.between(seconds(bounds.get("ge"), -1), seconds(bounds.get("lt"), 1e12))
    start, size = int(asked.query.get("$skiptoken", 0)), int(asked.query.get("$top", PAGE))
    value = [
        {"SalesOrderId": record["id"], "ModifiedAt": f"{iso(record)}Z", "IsDeleted": record.get("gone", False)}
        for record in found[start : start + size]
    ]
    body = {"@odata.context": "$metadata#SalesOrders", "value": value}
    if start + size < len(found):
        body["@odata.nextLink"] = f"{asked.path}?{urlencode(asked.query | {'$skiptoken': start + size})}"
    return Said(body)


@dataclass
class Shape:
    """How a public API is declared, and what answers in its place."""

    answer: Callable[[Served, Asked], Said]
    declaration: str
    id: str
    secrets: dict[str, str] = field(default_factory=dict)


SHAPES = {
    "stripe": Shape(
        stripe,
        """
        path: /v1/charges
        auth: {by: bearer, token: PUBLIC_TOKEN}
        read: interval
        interval: {from: "created[gte]", until: "created[lt]", format: epoch_seconds}
        pages: {by: last, last: id, parameter: starting_after, more: has_more, size: 2, size_parameter: limit}
        records: data
        key: [id]
        version: created
        version_format: epoch_seconds
        columns: [id, object, amount, created, refunded]
        """,
        "id",
        {"PUBLIC_TOKEN": "sk_hunter2"},
    ),
    "github": Shape(
        github,
        """
        path: /repos/me/shop/issues
        parameters: {state: all, sort: updated, direction: asc}
        read: interval
        interval: {from: since, format: iso_seconds}
        pages: {by: link, size: 2, size_parameter: per_page}
        key: [id]
        version: updated_at
        columns: [id, state, updated_at, user]
        """,
        "id",
    ),
    "woocommerce": Shape(
        woocommerce,
        """
        path: /wp-json/wc/v3/orders
        auth: {by: basic, user: PUBLIC_USER, password: PUBLIC_PASSWORD}
        parameters: {dates_are_gmt: "true"}
        read: interval
        interval: {from: modified_after, until: modified_before, from_excluded: true}
        pages: {by: number, parameter: page, total_header: X-WP-Total, count_header: X-WP-TotalPages, size: 2,
            size_parameter: per_page}
        key: [id]
        version: date_modified_gmt
        deleted: status
        deleted_values: [trash]
        columns: [id, status, date_modified_gmt]
        """,
        "id",
        {"PUBLIC_USER": "ck_1", "PUBLIC_PASSWORD": "cs_hunter2"},
    ),
    "offset": Shape(
        offset,
        """
        path: /api/products
        auth: {by: header, name: X-Api-Key, key: PUBLIC_KEY}
        read: full
        gone_is_deleted: true
        pages: {by: offset, parameter: offset, total: meta.count, size: 2, size_parameter: limit}
        records: results
        key: [sku]
        columns: [sku, price, meta]
        """,
        "sku",
        {"PUBLIC_KEY": "hunter2"},
    ),
    "odata": Shape(
        odata,
        """
        path: /data/SalesOrders
        auth: {by: oauth, token_url: /oauth/token, client_id: PUBLIC_CLIENT, client_secret: PUBLIC_SECRET}
        read: interval
        interval: {filter: {$filter: "ModifiedAt ge {from} and ModifiedAt lt {until}"}}
        pages: {by: next, next: "@odata.nextLink", size: 2, size_parameter: $top}
        records: value
        key: [SalesOrderId]
        version: ModifiedAt
        deleted: IsDeleted
        columns: [SalesOrderId, ModifiedAt, IsDeleted]
        """,
        "SalesOrderId",
        {"PUBLIC_CLIENT": "me", "PUBLIC_SECRET": "hunter2"},
    ),
}


@contextmanager
def serve(answer: Callable[[Served, Asked], Said]) -> Iterator[Served]:
    """A server on a port of its own."""
    api = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(length).decode()
            asked = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
            said = None
            if self.command == "GET":
                api.asked.append(asked)
                api.change(len(api.asked))
                said = api.instead(len(api.asked), asked)
            said = said or answer(api, asked)
            content = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            self.send_response(said.status)
            for name, value in {"Content-Length": str(len(content)), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    yield api
    server.shutdown()
    server.server_close()


def declare(staging: Path, monkeypatch, **declarations: str) -> None:
    """Make the tables of the source `public` those declared here, and none else."""
    entries = []
    for name, declaration in declarations.items():
        said = yaml.safe_load("\n".join(line.strip() for line in (declaration + COMMON).splitlines()))
        meta = {"connector": "api", "connection": "PUBLIC_URL"} | said
        entries.append({"name": name, "config": {"meta": meta}})
    folder = staging / "public"
    folder.mkdir(exist_ok=True)
    content = {"sources": [{"name": "public", "schema": "raw_public", "tables": entries}]}
    (folder / "_public__sources.yml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(tables, "STAGING", staging)
    tables._tables.cache_clear()
