"""No row that a shop can hold, and no column that it may have, stops the builds that come after it."""

import json
from datetime import UTC, datetime, timedelta

from houses import whole_shop

import extract_load
from storehouse.core import transform
from storehouse.core.transform import DAILY
from tests.converge.histories import Landed
from tests.quality.test_deletes import MARKETPLACE_ORDER, sent

MONDAY, TUESDAY = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC)

# Columns with the names that the models give to what they compute, and numbers that need not be whole.
SHOP = """
    drop schema public cascade; create schema public;
    create table customers (
        customer_id text primary key, email text, full_name text, address text, postal_code text, city text,
        region text, country text, created_at timestamptz, updated_at timestamptz not null,
        source_customer_id text, landed text, loads text, _record text, _earliest_at text, "Group" text
    );
    create table products (
        product_id text primary key, name text, category text, price float8, currency text, is_active boolean,
        created_at timestamptz, updated_at timestamptz, currency_code text, exact_product_id text
    );
    create table orders (
        order_id text primary key, customer_id text, status text, currency text,
        total_amount float8, discount_code text, placed_at timestamptz, approved_at timestamptz,
        shipped_at timestamptz, delivered_at timestamptz, created_at timestamptz, updated_at timestamptz not null,
        source_order_id text, source_customer_id text, source_status text, currency_code text, _key text, extra json,
        more jsonb, credited_order_id text
    );
    create table order_items (
        order_id text, line_number numeric, product_id text, quantity float8, unit_price float8,
        discount_amount float8, freight_amount float8, created_at timestamptz, updated_at timestamptz not null,
        source_order_id text, exact_product_id text, primary key (order_id, line_number)
    );
    create table payments (
        payment_id text primary key, order_id text, method text, installments float8,
        amount float8, currency text, status text, paid_at timestamptz, created_at timestamptz,
        updated_at timestamptz not null, source_payment_id text, source_order_id text, clean_status text,
        currency_code text
    );
"""
MONEY = ["'NaN'", "'Infinity'", "'-Infinity'", "1e308", "-1e308", "1e-308", "99999999.99999999", "-0.0", "null"]
TIMES = ["'294276-12-31 23:00:00+00'", "'infinity'", "'-infinity'", "'4713-01-01 BC'", "'0001-01-01'", "null"]


LINE = "insert into order_items values "
LATER = "0, 0, null, '2026-01-05'"


def odd_rows() -> str:
    """Statements that fill the shop with numbers and times that its types can hold."""
    order = "'shipped', 'USD', {money}, null, '2026-01-05', {at}, {at}, {at}, {at}, '2026-01-05'"
    many = []
    for n, money in enumerate(MONEY):
        many += [
            f"insert into products values ('M{n}', 'x', 'y', {money}, 'USD', true, now(), now(), 'EUR', 'Z')",
            f"insert into orders values ('M{n}', 'c', {order.format(money=money, at='null')})",
            f"{LINE} ('M{n}', 1, 'P', {money}, 1, {LATER})",
            f"{LINE} ('M{n}', 2, 'P', 1, {money}, {LATER})",
            f"{LINE} ('M{n}', 3, 'P', -1, 10, {money}, {money}, null, '2026-01-05')",
            f"insert into payments values ('M{n}', 'M{n}', 'card', {money}, {money}, 'USD', 'captured', '2026-01-05',"
            " null, '2026-01-05')",
        ]
    for n, at in enumerate(TIMES):
        many += [
            f"insert into orders values ('T{n}', 'c', {order.format(money=1, at=at)})",
            f"{LINE} ('waits{n}', 1, 'P', 1, 1, 0, 0, {at}, '2026-01-05')",
            f"insert into payments values ('waits{n}', 'waits{n}', 'card', 1, 1, 'USD', 'captured', {at}, {at},"
            " '2026-01-05')",
        ]
    good = order.format(money=1, at="null")
    many += [
        f"insert into orders values ('good', 'c', {good}, 'other', 'other', 'other', 'EUR', 'other', "
        + r"""'{"a": "\u0000"}', '[1]')""",
        f"{LINE} ('good', 1, 'P', 1, 1, {LATER}, 'other', 'other')",
        f"{LINE} ('good', 1.4, 'P', 1, 7, {LATER})",
        f"{LINE} ('good', 2, 'P', 0.4, 10, {LATER})",
    ]
    return ";\n".join(many)


def test_no_odd_row_or_column_stops_a_build(house) -> None:
    house.execute_in_shop(whole_shop(SHOP))
    house.execute_in_shop(odd_rows())
    extract_load.prepare()
    extract_load.load("shop")
    line = {"product_id": "P", "quantity": 999_999}
    orders = [
        {"order_id": id_, "lines": [line | {"line_number": n, "unit_price": price} for n in range(2_200)]}
        for id_, price in [("pieces", 0), ("worth", 99_999_999)]
    ]
    records = [sent("marketplace.orders", MARKETPLACE_ORDER | order) for order in orders]
    Landed().land("marketplace.orders", records, (MONDAY - timedelta(days=5), TUESDAY))
    limits = dict.fromkeys(("shop.orders", "shop.order_items", "shop.payments", "shop.products"), 100)
    limits["marketplace.orders"] = 100
    # Old rows that wait for an order, too old a history and amounts that differ are told by tests, and stop no model.
    failed = transform.build(
        [*DAILY, "--exclude-resource-type", "test", "--vars", json.dumps({"quality_limits": limits})]
    )

    assert failed == []
    assert house.query(
        "select currency, source_order_id from staging.stg_shop__orders where order_id = 'web-good'"
    ) == [("USD", "good")]
    assert house.query("select order_id, line_number from build.fct_order_items where order_id = 'web-good'") == [
        ("web-good", 1)
    ]
    assert house.query("select item_count from build.fct_orders where order_id = 'mkt-pieces'") == [(2_200 * 999_999,)]
    assert house.query("select count(*) from build.fct_orders where order_id = 'mkt-worth'") == [(0,)]
    assert house.query("select count(*) from quarantine.waiting_ages where due_at > '2100-01-01'") == [(0,)]
