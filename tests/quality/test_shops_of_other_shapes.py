"""What another shop's tables have that ours lack: padded ids, decimals in a count, our names, refunds told twice."""

from decimal import Decimal

import psycopg
import pytest
from houses import MODELS_ALONE, whole_shop

import extract_load
from storehouse.core import transform
from storehouse.core.transform import DAILY
from storehouse.operate import audit

TIMES = "created_at timestamptz default '2026-01-10 UTC', updated_at timestamptz not null default '2026-01-11 UTC'"
SHOP = f"""
    create table customers (
        customer_id text primary key, email text, full_name text, address text, postal_code text, city text,
        region text, country text, {TIMES}, source_customer_id text default 'x', country_code text default 'ZZZ'
    );
    create table products (
        product_id text primary key, name text, category text, price numeric, currency text, is_active boolean, {TIMES},
        exact_product_id text default 'x', currency_code text default 'x'
    );
    create table orders (
        order_id char(12) primary key, customer_id text, credited_order_id char(12), status text default 'delivered',
        currency text default 'USD', total_amount numeric, discount_code text,
        placed_at timestamptz default '2026-01-10 UTC', approved_at timestamptz, shipped_at timestamptz,
        delivered_at timestamptz, {TIMES}
    );
    create table order_items (
        order_id text, line_number numeric default 1, product_id text default 'P', quantity numeric default 1,
        unit_price numeric default 100, discount_amount numeric, freight_amount numeric, {TIMES},
        primary key (order_id, line_number)
    );
    create table payments (
        payment_id char(9) primary key, order_id text, refunds_payment_id char(9), method text, installments numeric,
        amount numeric, currency text default 'USD', status text, paid_at timestamptz default '2026-01-10 UTC', {TIMES}
    );
    insert into customers (customer_id, email, country) values ('c', 'a@b', 'DE');
    insert into products (product_id, price, currency) values ('P', 100, 'USD');
    insert into orders (order_id, customer_id, credited_order_id) values
        ('A', 'c', null), ('CN', 'c', 'A'), ('whole', null, null), ('part', null, null);
    insert into order_items (order_id, line_number, quantity) values
        ('A', 1, 2.0), ('A', 2, 1.5), ('A', 3, 0.4), ('A', 4.4, 1), ('CN', 1, -1), ('whole', 1, 1), ('part', 1, 1);
    insert into payments (payment_id, order_id, refunds_payment_id, amount, status, installments) values
        ('1', 'whole', null, 100, 'refunded', 2.5), ('2', 'whole', '1', 100, 'refunded', null),
        ('3', 'part', null, 100, 'refunded', 3.0);
"""


# What this shop lacks at first.
LACKED = [("orders", "estimated_delivery_at"), ("order_items", "seller_id"), ("order_items", "ship_by_at")]
LACKED += [("products", "weight_g"), ("products", "length_cm"), ("payments", "payment_sequence")]


def build_and_audit() -> None:
    assert transform.build(DAILY) == []
    assert [verdict.line for verdict in audit.audit() if verdict.differences or verdict.note] == []


@pytest.fixture(scope="module")
def shop(house):
    """It lands twice: the second load brings more columns, and a refund of part that comes after its payment."""
    house.execute_in_shop(whole_shop(SHOP))
    extract_load.load("shop")
    # A warehouse that is older than these columns.
    with psycopg.connect(house.warehouse) as warehouse:
        for table, column in LACKED:
            warehouse.execute(f"alter table raw_shop.{table} drop column {column}")
    assert transform.build(MODELS_ALONE) == []
    house.execute_in_shop("""
        alter table orders
            add source_order_id text default 'x', add source_status text default 'x',
            add currency_code text default 'x',
            add _record text default 'x', add _latest_at date default '1999-01-01', add _errors text, add landed text;
        alter table orders add estimated_delivery_at date;
        update orders set delivered_at = '2026-01-20 12:00 UTC', estimated_delivery_at = '2026-01-18'
        where order_id = 'A';
        alter table order_items add seller_id integer default 7;
        alter table products add length_cm real default 12.5;
        alter table payments
            add clean_status text default 'x', add source_payment_id text default 'x',
            add currency_code text default 'x', add payment_sequence bigint default 2;
        update orders set updated_at = '2026-01-12 UTC';
        insert into payments (payment_id, order_id, refunds_payment_id, amount, status, updated_at)
        values ('4', 'part', '3', 30, 'refunded', '2026-01-12 UTC');
    """)
    extract_load.load("shop")
    build_and_audit()
    return house


def test_a_column_may_have_any_name_that_we_use_ourselves(shop):
    found = "select order_id, status, currency from build.fct_orders order by 1"
    assert shop.query(found) == [(f"web-{order}", "delivered", "USD") for order in ("A", "CN", "part", "whole")]
    assert shop.query("select country from build.dim_customers") == [("DE",)]


def test_what_a_shop_may_lack_is_unknown_until_it_has_it(shop):
    late = "select source_order_id, days_late, is_delivered_late from build.fct_orders order by 1"
    assert shop.query(late) == [("A", 2, True), *[(order, None, None) for order in ("CN", "part", "whole")]]
    sold = "select seller_id, ship_by_at, count(*) from build.fct_order_items group by 1, 2 order by 1"
    assert shop.query(sold) == [("7", None, 4)]
    counted = "select source_payment_id, payment_sequence from build.fct_payments order by 1"
    assert shop.query(counted) == [("1", 2), ("2", 2), ("3", 2), ("4", 2)]
    sizes = "select weight_g, length_cm, height_cm from build.dim_products"
    assert shop.query(sizes) == [(None, Decimal("12.5"), None)]


def test_a_count_with_decimals_is_refused_and_never_rounded(shop):
    found = "select line_number, quantity from build.fct_order_items where order_id = 'web-A'"
    assert shop.query(found) == [(1, 2)]
    refused = "select errors[1] from quarantine.quarantined_records order by record_key"
    quantity = "quantity_not_whole (type): The quantity is not a whole number."
    number = "line_number_not_whole (type): The line number is not a whole number."
    assert [row for (row,) in shop.query(refused)] == [quantity, quantity, number]
    installments = (
        "select source_payment_id, installments from build.fct_payments where source_payment_id in ('1', '3')"
    )
    assert sorted(shop.query(installments)) == [("1", None), ("3", 3)]


def test_an_id_that_is_padded_is_the_id_that_a_reference_names(shop):
    assert shop.query("select credited_order_id from build.fct_orders where is_credit_note") == [("web-A",)]
    named = "select refunds_payment_id from build.fct_payments where is_refund order by 1"
    assert shop.query(named) == [("web-1",), ("web-3",)]


def test_what_is_given_back_counts_once_though_both_the_payment_and_a_refund_say_it(shop):
    paid = "select order_id, paid_usd, refunded_usd from build.fct_orders where paid_usd > 0 order by 1"
    assert shop.query(paid) == [("web-part", Decimal(100), Decimal(30)), ("web-whole", Decimal(100), Decimal(100))]
