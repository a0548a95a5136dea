"""A wholesaler's invoices: guests, counter-invoices, write-offs, sub-cent prices, odd SKUs, two imports that overlap.

Some 2,000 lines, drawn from a seed, go the real way from the shop's database into the marts, without an option, and
equal a few lines of arithmetic that know nothing of the project.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import psycopg
import pytest
from houses import MODELS_ALONE, whole_shop

import extract_load
from storehouse.core import transform
from storehouse.core.transform import DAILY
from storehouse.operate import audit

CENT = Decimal("0.01")
SKUS = ["22423", "85123A", "47503J", "47503J ", "POST", "BANK CHARGES", "gift_0001_20", "A.1", "a/b", "DCGS0076"]
PRICES = [Decimal(text) for text in ("0.125", "0.0015", "2.55", "0.85", "18.00", "0.333333", "4.655")]
SHOP = """
    drop schema public cascade; create schema public;
    create table customers (
        customer_id bigint primary key, email text, full_name text, address text, postal_code text, city text,
        region text, country text, created_at timestamptz, updated_at timestamptz not null
    );
    create table products (
        product_id text primary key, name text, category text, price numeric, currency text, is_active boolean,
        created_at timestamptz, updated_at timestamptz
    );
    create table orders (
        order_id text primary key, customer_id bigint, credited_order_id text, status text, currency text,
        total_amount numeric, discount_code text, placed_at timestamptz, approved_at timestamptz,
        shipped_at timestamptz, delivered_at timestamptz, created_at timestamptz, updated_at timestamptz not null
    );
    create table order_items (
        order_id text, line_number integer, product_id text, quantity integer, unit_price numeric,
        discount_amount numeric, freight_amount numeric, created_at timestamptz, updated_at timestamptz not null,
        primary key (order_id, line_number)
    );
    create table payments (
        payment_id text primary key, order_id text, refunds_payment_id text, method text, installments integer,
        amount numeric, currency text, status text, paid_at timestamptz, created_at timestamptz,
        updated_at timestamptz not null
    );
"""
COUNTRIES = ["GB", "IE", "AE", "BR", "JP"]
REGIONS = {"GB": "eu", "IE": "eu", "AE": "mea", "BR": "us", "JP": "apac"}


@dataclass
class Invoice:
    """One invoice; a cancellation names the one that it takes back, a write-off is nobody's and costs nothing."""

    number: str
    at: datetime
    customer: int | None
    kind: str = "sale"
    credits: str | None = None
    lines: list[tuple[str, int, Decimal]] = field(default_factory=list)

    @property
    def total(self) -> Decimal:
        return sum((worth(line) for line in self.lines), Decimal(0))


def worth(line: tuple[str, int, Decimal]) -> Decimal:
    return (line[1] * line[2]).quantize(CENT, ROUND_HALF_UP)


def draw(seed: int = 20101201) -> list[Invoice]:
    """A wholesaler's two months."""
    dice = random.Random(seed)
    invoices: list[Invoice] = []
    for number in range(420):
        at = datetime(2010, 12, 1, 8, tzinfo=UTC) + timedelta(hours=3 * number)
        guest = dice.random() < 0.08
        invoice = Invoice(str(536365 + number), at, None if guest else 12346 + dice.randrange(60))
        for _ in range(dice.choice([1, 2, 4, 8])):
            invoice.lines.append((dice.choice(SKUS), dice.choice([1, 6, 12, 1000]), dice.choice(PRICES)))
        invoices.append(invoice)
        if dice.random() < 0.1:  # All of it is taken back, or one line.
            back = [(sku, -pieces, price) for sku, pieces, price in invoice.lines[: dice.choice([1, None])]]
            later = at + timedelta(days=9)
            named = invoice.number if dice.random() < 0.5 else None
            invoices.append(Invoice(f"C{invoice.number}", later, invoice.customer, "credit_note", named, back))
        if dice.random() < 0.05:
            invoices.append(
                Invoice(f"W{number}", at, None, "written_off", lines=[(dice.choice(SKUS), -500, Decimal(0))])
            )
    return invoices


INVOICES = draw()


def import_into_the_shop(shop: str, invoices: list[Invoice], at: str) -> None:
    """As the wholesaler's own import does it: what comes again is written again, with a new `updated_at`."""
    people = {i.customer: COUNTRIES[i.customer % len(COUNTRIES)] for i in invoices if i.customer}
    with psycopg.connect(shop) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into customers (customer_id, email, country, created_at, updated_at) values (%s, 'a@b', %s, %s, %s)"
            " on conflict (customer_id) do update set updated_at = excluded.updated_at",
            [(*person, "2010-11-30 UTC", at) for person in people.items()],
        )
        cursor.executemany(
            "insert into orders (order_id, customer_id, credited_order_id, status, currency, total_amount, placed_at,"
            " created_at, updated_at) values (%s, %s, %s, %s, 'GBP', %s, %s, %s, %s)"
            " on conflict (order_id) do update set updated_at = excluded.updated_at",
            [
                (i.number, i.customer, i.credits, {"sale": "invoiced"}.get(i.kind, i.kind), i.total, i.at, i.at, at)
                for i in invoices
            ],
        )
        cursor.executemany(
            "insert into order_items (order_id, line_number, product_id, quantity, unit_price, created_at, updated_at)"
            " values (%s, %s, %s, %s, %s, %s, %s)"
            " on conflict (order_id, line_number) do update set updated_at = excluded.updated_at",
            [(i.number, n, *line, i.at, at) for i in invoices for n, line in enumerate(i.lines, start=1)],
        )


@pytest.fixture(scope="module")
def wholesaler(house):
    """Two imports that overlap by a third, each landed and built, without an option."""
    house.execute_in_shop(whole_shop(SHOP))
    third = len(INVOICES) // 3
    for invoices, at, build in (
        (INVOICES[: 2 * third], "2011-02-01 UTC", MODELS_ALONE),
        (INVOICES[third:], "2011-02-02 UTC", DAILY),
    ):
        import_into_the_shop(house.shop, invoices, at)
        extract_load.load("shop")
        assert transform.build(build) == []
    return house


def test_it_is_of_the_size_and_shape_that_it_says():
    kinds = Counter(invoice.kind for invoice in INVOICES)
    assert sum(len(invoice.lines) for invoice in INVOICES) > 1500
    assert min(kinds.values()) > 10 and sum(i.customer is None and i.kind == "sale" for i in INVOICES) > 20


def test_nothing_is_refused_and_nothing_waits(wholesaler):
    assert wholesaler.query("select record_id, errors from quarantine.quarantined_records") == []
    assert wholesaler.query("select * from quarantine.waiting_records") == []


def test_every_line_is_there_with_its_price_and_its_rounded_amount(wholesaler):
    shown = wholesaler.query(
        "select order_id, line_number, product_id, quantity, unit_price, total_amount from build.fct_order_items"
    )
    expected = [(f"web-{i.number}", n, *line, worth(line)) for i in INVOICES for n, line in enumerate(i.lines, start=1)]
    assert sorted(shown) == sorted(expected)


def test_every_invoice_is_what_its_lines_come_to(wholesaler):
    shown = wholesaler.query(
        "select order_id, customer_id, is_guest, is_credit_note, is_counted, credited_order_id, region, item_count,"
        " total_amount, stated_difference from build.fct_orders"
    )
    expected = [
        (
            f"web-{i.number}",
            f"web-{i.customer}" if i.customer else None,
            i.customer is None,
            i.kind != "sale",
            i.kind != "written_off",
            f"web-{i.credits}" if i.credits else None,
            REGIONS[COUNTRIES[i.customer % len(COUNTRIES)]] if i.customer else "other",
            sum(pieces for _, pieces, _ in i.lines),
            i.total,
            0,
        )
        for i in INVOICES
    ]
    assert sorted(shown) == sorted(expected)


def test_a_day_sells_what_was_invoiced_less_what_was_taken_back(wholesaler):
    shown = wholesaler.query(
        "select order_date, sum(all_orders), sum(orders), sum(credit_notes), sum(written_off_orders),"
        " sum(guest_orders), sum(items) from build.agg_daily_sales group by 1"
    )
    expected: dict = {}
    for i in INVOICES:
        day = expected.setdefault(i.at.date(), Counter())
        sold = i.kind != "written_off"
        is_sale = i.kind == "sale"
        day.update(all=1, orders=is_sale, credits=i.kind == "credit_note", written_off=not sold)
        day.update(guests=is_sale and i.customer is None)
        day.update(items=sold * sum(pieces for _, pieces, _ in i.lines))
    names = ("all", "orders", "credits", "written_off", "guests", "items")
    assert sorted(shown) == sorted((day, *(counts[name] for name in names)) for day, counts in expected.items())


def test_pounds_are_converted_with_the_rate_of_their_month(wholesaler):
    """The ECB's reference rates of December 2010 and January 2011: a pound was 1.56 and 1.58 dollars."""
    months = wholesaler.query(
        "select date_trunc('month', order_date)::date, round(sum(total_usd) / sum(total_amount), 2)"
        " from build.fct_orders group by 1 order by 1"
    )
    assert [float(rate) for _, rate in months] == pytest.approx([1.56, 1.58], abs=0.01)


def test_a_customer_spent_what_they_kept(wholesaler):
    spent: Counter = Counter()
    for i in INVOICES:
        if i.customer:
            spent[f"web-{i.customer}"] += i.kind == "sale"
    shown = dict(wholesaler.query("select customer_id, orders from build.customer_lifetime_value"))
    assert shown == {customer: orders for customer, orders in spent.items() if orders}
    (ours,), (theirs,) = (
        wholesaler.query("select sum(spend_usd) from build.customer_lifetime_value"),
        wholesaler.query("select sum(total_usd) from build.fct_orders where customer_id is not null and is_counted"),
    )
    assert ours == theirs


def test_two_skus_that_a_blank_tells_apart_are_two(wholesaler):
    pieces = dict(wholesaler.query("select product_id, count(*) from build.fct_order_items group by 1"))
    assert set(pieces) == set(SKUS)


def test_the_audit_finds_nothing(wholesaler):
    assert [verdict.line for verdict in audit.audit() if verdict.differences or verdict.note] == []
