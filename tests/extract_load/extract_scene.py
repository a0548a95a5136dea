"""What the scenes of these tests are made of: the documented shop, an API that answers, a day of store files."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from houses import whole_shop

SHOP = whole_shop("""
    create type order_status as enum ('created', 'approved', 'shipped');
    create domain money_amount as numeric(18, 2);
    create table customers (
        customer_id bigint primary key, email text, full_name text, address text, postal_code text, city text,
        region text, country char(2), created_at timestamptz, updated_at timestamptz not null
    );
    create table products (
        product_id text primary key, name text, category text, price money_amount, currency char(3),
        is_active boolean, created_at timestamptz, updated_at timestamptz
    );
    create table orders (
        order_id bigint primary key, customer_id bigint, status order_status, currency char(3),
        total_amount money_amount, discount_code varchar(20), placed_at timestamptz, approved_at timestamptz,
        shipped_at timestamptz, delivered_at timestamptz, created_at timestamptz, updated_at timestamptz,
        deleted_at timestamptz
    );
    create table order_items (
        order_id bigint, line_number integer, product_id text, quantity integer, unit_price numeric,
        discount_amount numeric, freight_amount numeric, created_at timestamptz, updated_at timestamp,
        primary key (order_id, line_number)
    );
    create table payments (
        payment_id uuid primary key, order_id bigint, method text, installments integer, amount numeric,
        currency text, status text, paid_at timestamptz, created_at timestamptz, updated_at timestamptz
    );
""")

FLAG = "complete.flag"


def at(text: str) -> datetime:
    """A time in UTC: `at("2026-01-05 10:00")`."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def order(order_id: int, updated_at: str | None, total: str = "10.00", deleted_at: str | None = None) -> str:
    """SQL that puts an order into the shop, or changes it."""
    updated, deleted = (f"'{time} UTC'" if time else "null" for time in (updated_at, deleted_at))
    return f"""
        insert into orders (order_id, status, total_amount, updated_at, deleted_at)
        values ({order_id}, 'created', {total}, {updated}, {deleted})
        on conflict (order_id) do update set
            total_amount = excluded.total_amount, updated_at = excluded.updated_at, deleted_at = excluded.deleted_at;
    """


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def command(*arguments: str) -> list[str]:
    """`python -m extract_load …`."""
    return [sys.executable, "-m", "extract_load", *arguments]


@dataclass
class Answer:
    """An answer that is not the API's own."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    promised_length: int | None = None


@dataclass
class Api:
    """The marketplace and reviews API, with records to page through and answers to give instead.

    Attributes:
        records: the records (JSON texts) of a path and region (None where there is none).
        instead: called with the number of the request (from 1), the path and the query; an Answer replaces the API's.
        asked: the queries so far.
    """

    url: str = ""
    page_size: int = 2
    records: dict[tuple[str, str | None], list[str]] = field(default_factory=dict)
    instead: Callable[[int, str, dict[str, str]], Answer | None] = lambda number, path, query: None
    asked: list[dict[str, str]] = field(default_factory=list)

    def put(self, path: str, *records: dict | str, region: str | None = None) -> None:
        texts = [record if isinstance(record, str) else json.dumps(record) for record in records]
        self.records.setdefault((path, region), []).extend(texts)

    def answer(self, path: str, query: dict[str, str]) -> Answer:
        self.asked.append(query)
        if other := self.instead(len(self.asked), path, query):
            return other
        from_, until = (datetime.fromisoformat(query[name]) for name in ("from", "until"))
        inside = [text for text in self.records.get((path, query.get("region")), []) if _within(text, from_, until)]
        page, pages = int(query["page"]), max(1, -(-len(inside) // self.page_size))
        data = ", ".join(inside[(page - 1) * self.page_size : page * self.page_size])
        body = f'{{"page": {page}, "pages": {pages}, "total": {len(inside)}, "data": [{data}]}}'
        return Answer(body.encode())


def _within(text: str, from_: datetime, until: datetime) -> bool:
    try:
        return from_ <= datetime.fromisoformat(json.loads(text)["updated_at"]) < until
    except (TypeError, KeyError, ValueError, RecursionError):
        return True


HEADER = "store_id,receipt_id,line_number,quantity\n"


def write_day(stores: Path, day: str, is_complete: bool = True, **files: str | bytes) -> Path:
    """Write a day folder; `a_csv="…"` becomes the file `a.csv`."""
    year, month, number = day.split("-")
    folder = stores / "sales" / f"year={year}" / f"month={month}" / f"day={number}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = folder / ".".join(name.rsplit("_", 1))
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if is_complete:
        (folder / FLAG).touch()
    return folder
