"""What is accepted and yet not as it should be is in the marts, counted, and a test of the run warns of it."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

import extract_load
from storehouse.core import transform
from storehouse.core.transform import DAILY
from tests.converge.histories import Landed, Record
from tests.quality.test_deletes import sent

NOW = datetime(2027, 2, 3, tzinfo=UTC)
LONG_AGO = datetime(2005, 2, 3, tzinfo=UTC)
LINE = {"line_number": 1, "product_id": "P-1", "quantity": 1, "unit_price": 10, "updated_at": NOW}


def order(name: str, currency: str = "USD", placed_at: datetime = NOW, **others: object) -> Record:
    values = {"order_id": name, "status": "shipped", "currency": currency, "placed_at": placed_at, "updated_at": NOW}
    return Record("shop.orders", values | others)


def payment(name: str, of: str, status: str, **others: object) -> Record:
    values = {"payment_id": name, "order_id": of, "amount": 10, "currency": "USD", "status": status, "paid_at": NOW}
    return Record("shop.payments", values | {"updated_at": NOW} | others)


def sold(receipt: str, line: int, **others: object) -> Record:
    values = {"store_id": "S-1", "receipt_id": receipt, "line_number": line, "sold_at": NOW.isoformat()}
    values |= {"region": "eu", "country": "DE", "product_id": "P-1", "quantity": 1, "unit_price": 10, "currency": "USD"}
    return sent("stores.sales", values | others)


@pytest.fixture(scope="module")
def built(house):
    """One run over a shop in which one of everything is odd."""
    extract_load.prepare()
    orders = [
        order("agrees", total_amount=10),
        order("states more than its lines", total_amount=12),
        order("in reals of 2005", "BRL", LONG_AGO),
        order("in euros of today", "EUR"),
        order("credit note that takes", credited_order_id="agrees", status="credit_note"),
        order("paid and refunded"),
    ]
    lines = [Record("shop.order_items", LINE | {"order_id": o.values["order_id"]}) for o in orders]
    waiting = Record("shop.order_items", LINE | {"order_id": "nowhere", "created_at": NOW - timedelta(days=9)})
    payments = [
        payment("1", "paid and refunded", "captured"),
        payment("2", "paid and refunded", "refunded"),
        payment("3", "agrees", "refunded"),
        payment("4", "agrees", "refunded", refunds_payment_id="nobody's"),
    ]
    landed = Landed()
    receipts = [
        sold("two currencies", 1),
        sold("two currencies", 2, currency="EUR"),
        sold("two customers", 1, customer_id="1"),
        sold("two customers", 2, customer_id="2"),
        sold("two regions", 1),
        sold("two regions", 2, region="us", country="US"),
        sold("customer said once", 1, customer_id="1"),
        sold("customer said once", 2),
        sold("wrong line taken back", 1),
        sold("wrong line taken back", 2, currency="GBP", is_void=True),
    ]
    landed.land("stores.sales", receipts, (NOW - timedelta(days=1), NOW + timedelta(days=1)))
    for table, records in (("orders", orders), ("order_items", [*lines, waiting]), ("payments", payments)):
        landed.land(f"shop.{table}", records, (NOW - timedelta(days=30), NOW + timedelta(hours=1)))
    transform.build(DAILY)
    return house


@pytest.mark.parametrize(
    ("test", "rows"),
    [
        ("stated_totals_are_those_of_the_lines", 1),
        ("every_amount_is_converted", 1),
        ("no_order_is_converted_with_an_old_rate", 1),
        ("every_credit_note_gives_back", 1),
        ("no_unmarked_refund_is_counted_as_paid", 1),
        ("no_record_waits_too_long_for_its_order", 1),
        ("every_receipt_has_one_header", 3),
    ],
)
def test_a_run_warns_of_each(built, test: str, rows: int) -> None:
    results = json.loads((built.home / "target" / "run_results.json").read_text())["results"]
    (found,) = [r for r in results if r["unique_id"].endswith(f".{test}")]
    assert (found["status"], found["failures"]) == ("warn", rows)


def test_an_amount_without_a_rate_is_not_made_up_and_is_counted(built) -> None:
    assert built.query("select total_amount, total_usd, is_guest from build.fct_orders where currency = 'BRL'") == [
        (Decimal(10), None, True)
    ]
    counts = "select sum(unconverted_orders), sum(all_orders), sum(guest_orders) from build.agg_daily_sales"
    assert built.query(counts) == [(1, 11, 8)]


def test_an_accepted_line_without_its_order_is_somewhere_and_lowers_the_days_score(built) -> None:
    assert built.query("select record_id from quarantine.waiting_records") == [("shop.order_items/nowhere/1",)]
    assert built.query(
        "select waiting_rows, score < 100 from operations.data_quality_daily"
        " where table_name = 'order_items' and landed_rows > 0"
    ) == [(1, True)]


def test_a_warehouse_of_before_gets_the_columns_and_the_precision_of_now(built) -> None:
    with psycopg.connect(built.warehouse) as warehouse:
        warehouse.execute("alter table seeds.currencies drop column minor_unit")
        warehouse.execute("alter table seeds.exchange_rates drop column source")
        warehouse.execute("alter table seeds.exchange_rates alter column usd_per_unit type numeric(18, 6)")
        warehouse.execute("alter table snapshots.product_prices alter column price type numeric(18, 2)")
    assert transform.build(["seed"]) == []
    assert transform.build(["snapshot"]) == []
    assert built.query("select minor_unit from seeds.currencies where currency in ('KWD', 'JPY') order by 1") == [
        (0,),
        (3,),
    ]
    assert built.query("select max(scale(usd_per_unit)) from seeds.exchange_rates") == [(10,)]
    assert built.query(
        "select numeric_scale from information_schema.columns"
        " where table_name = 'product_prices' and column_name = 'price'"
    ) == [(10,)]
