"""A delete is accepted whenever its key can be used, in every table, whatever else is wrong with it."""

import json
from datetime import UTC, datetime

import pytest
from houses import MODELS_ALONE

import extract_load
from storehouse.core import transform
from storehouse.core.transform import DAILY
from storehouse.operate import audit
from tests.converge.histories import Landed, Record

MONDAY, TUESDAY, WEDNESDAY, THURSDAY = (datetime(2026, 1, day, tzinfo=UTC) for day in (5, 6, 7, 8))
FAR_AHEAD = datetime(2077, 1, 1, tzinfo=UTC)
# More than any of staging's columns can hold.
TOO_MUCH = 10**30

ORDER = {
    "customer_id": "7",
    "status": "shipped",
    "currency": "USD",
    "total_amount": 10,
    "placed_at": MONDAY,
    "updated_at": MONDAY,
}
LINE = {"line_number": 1, "product_id": "P-1", "quantity": 1, "unit_price": 10, "updated_at": MONDAY}
PAYMENT = {"amount": 10, "currency": "USD", "status": "captured", "paid_at": MONDAY, "updated_at": MONDAY}
MARKETPLACE_ORDER = {
    "region": "us",
    "status": "shipped",
    "currency": "USD",
    "total_amount": 10,
    "buyer": {"buyer_id": "B-1", "email": "b@example.com"},
    "placed_at": MONDAY.isoformat(),
    "updated_at": MONDAY.isoformat(),
    "lines": [{"line_number": 1, "product_id": "P-1", "quantity": 1, "unit_price": 10}],
    "payments": [{"payment_id": "A", "amount": 10, "status": "captured", "paid_at": MONDAY.isoformat()}],
}
REVIEW = {
    "order_id": "1",
    "product_id": "P-1",
    "customer_id": "7",
    "rating": 5,
    "text": "Good",
    "language": "en",
    "created_at": MONDAY.isoformat(),
    "updated_at": MONDAY.isoformat(),
}
SALE = {
    "store_id": "S1",
    "receipt_id": "X1",
    "sold_at": MONDAY.isoformat(),
    "updated_at": MONDAY.isoformat(),
    "region": "eu",
    "product_id": "P-1",
    "quantity": "1",
    "unit_price": "10.00",
    "currency": "EUR",
}


def sent(table: str, record: dict) -> Record:
    place = {"_file": "f.csv", "_line": 1} if table == "stores.sales" else {}
    return Record(table, {"payload": json.dumps(record)} | place)


# Of each table a record that is accepted, and one that is refused.
FIRST = {
    "shop.customers": [
        Record("shop.customers", {"customer_id": "7", "country": "US", "updated_at": MONDAY}),
        Record("shop.customers", {"customer_id": "8", "country": "US", "updated_at": FAR_AHEAD}),
    ],
    "shop.products": [
        Record("shop.products", {"product_id": "P-1", "price": 10, "currency": "USD"}),
        Record("shop.products", {"product_id": "P-2", "price": -1, "currency": "USD"}),
    ],
    "shop.orders": [
        Record("shop.orders", ORDER | {"order_id": "1"}),
        Record("shop.orders", ORDER | {"order_id": "2", "status": "teleported"}),
        Record("shop.orders", ORDER | {"order_id": "3", "updated_at": FAR_AHEAD}),
    ],
    "shop.order_items": [
        Record("shop.order_items", LINE | {"order_id": "1"}),
        Record("shop.order_items", LINE | {"order_id": "2", "quantity": 0}),
    ],
    "shop.payments": [
        Record("shop.payments", PAYMENT | {"payment_id": "1", "order_id": "1"}),
        Record("shop.payments", PAYMENT | {"payment_id": "2", "order_id": "1", "amount": -1}),
    ],
    "marketplace.orders": [
        sent("marketplace.orders", MARKETPLACE_ORDER | {"order_id": "M-1"}),
        sent("marketplace.orders", MARKETPLACE_ORDER | {"order_id": "M-2", "lines": []}),
        sent("marketplace.orders", MARKETPLACE_ORDER | {"order_id": "M-3", "updated_at": "yesterday"}),
    ],
    "reviews.reviews": [
        sent("reviews.reviews", REVIEW | {"review_id": "R-1"}),
        sent("reviews.reviews", REVIEW | {"review_id": "R-2", "rating": 9}),
    ],
    "stores.sales": [
        sent("stores.sales", SALE | {"line_number": "1"}),
        sent("stores.sales", SALE | {"line_number": "2", "quantity": "0"}),
    ],
}

BAD_ORDER = {
    "customer_id": None,
    "status": "teleported",
    "currency": "XXX",
    "total_amount": TOO_MUCH,
    "placed_at": None,
}
BAD_LINE = {"product_id": None, "unit_price": -TOO_MUCH, "discount_amount": TOO_MUCH, "freight_amount": -1}
BAD_PAYMENT = {"order_id": None, "amount": -TOO_MUCH, "currency": "XXX", "status": "odd", "paid_at": FAR_AHEAD}
BAD_MARKETPLACE_ORDER = {"deleted": True, "total_amount": -TOO_MUCH, "lines": "none", "payments": 5, "status": "odd"}
BAD_REVIEW = {"order_id": "1", "deleted": True, "rating": TOO_MUCH, "created_at": "once"}
BAD_SALE = {
    "store_id": "S1",
    "receipt_id": "X1",
    "is_void": "true",
    "quantity": str(TOO_MUCH),
    "unit_price": str(-TOO_MUCH),
    "region": "mars",
}


def deleted(table: str, **values: object) -> Record:
    return Record(table, values, op="d")


# All of them are deleted. What is no time, or one that its load cannot have seen, is a delete's time too.
DELETES = {
    "shop.customers": [
        deleted("shop.customers", customer_id="7", updated_at=FAR_AHEAD),
        deleted("shop.customers", customer_id="8", country="Utopia", updated_at=TUESDAY),
    ],
    "shop.products": [
        deleted("shop.products", product_id="P-1", price=TOO_MUCH, currency="XXX"),
        deleted("shop.products", product_id="P-2", price=-1, currency="XXX"),
    ],
    "shop.orders": [
        deleted("shop.orders", order_id="1", updated_at=FAR_AHEAD, **BAD_ORDER),
        deleted("shop.orders", order_id="2", updated_at=TUESDAY, **BAD_ORDER),
        deleted("shop.orders", order_id="3", updated_at=None, **BAD_ORDER),
    ],
    "shop.order_items": [
        deleted("shop.order_items", order_id=order, line_number=1, quantity=-5, **BAD_LINE) for order in ("1", "2")
    ],
    "shop.payments": [
        deleted("shop.payments", payment_id=payment, updated_at=TUESDAY, **BAD_PAYMENT) for payment in ("1", "2")
    ],
    "marketplace.orders": [
        sent("marketplace.orders", BAD_MARKETPLACE_ORDER | {"order_id": order, "updated_at": moment})
        for order, moment in [("M-1", "tomorrow"), ("M-2", TUESDAY.isoformat()), ("M-3", None)]
    ],
    "reviews.reviews": [
        sent("reviews.reviews", BAD_REVIEW | {"review_id": review, "updated_at": moment})
        for review, moment in [("R-1", "0001-01-01T00:00:00Z"), ("R-2", TUESDAY.isoformat())]
    ],
    "stores.sales": [
        # Without a time of its own, as the line that it takes back.
        sent("stores.sales", BAD_SALE | {"line_number": "1", "sold_at": MONDAY.isoformat()}),
        sent("stores.sales", BAD_SALE | {"line_number": "2", "updated_at": "noon"}),
    ],
}

# The key of each record of FIRST that is refused.
REFUSED = [
    *(("shop.customers", "8"), ("shop.products", "P-2"), ("shop.orders", "2"), ("shop.orders", "3")),
    *(("shop.order_items", "2/1"), ("shop.payments", "2"), ("marketplace.orders", "M-2")),
    *(("marketplace.orders", "M-3"), ("reviews.reviews", "R-2:1"), ("stores.sales", "S1/X1/2")),
]
STATUSES = "select source || '.' || table_name, record_key, status from quarantine.quarantined_records"
COUNTS = """
    select (select count(*) from build.fct_orders), (select count(*) from build.fct_order_items),
        (select count(*) from build.fct_payments), (select count(*) from build.fct_reviews),
        (select count(*) from build.dim_customers where origin = 'web'),
        (select count(*) from build.dim_products where not is_deleted)
"""


@pytest.fixture(scope="module")
def landed(house) -> Landed:
    """Of each table one record is accepted and stands in the marts, others are refused."""
    extract_load.prepare()
    landed = Landed()
    for table, records in FIRST.items():
        landed.land(table, records, (MONDAY, TUESDAY))
    assert transform.build(MODELS_ALONE) == []
    assert sorted(house.query(STATUSES)) == sorted((*record, "pending") for record in REFUSED)
    assert house.query(COUNTS) == [(3, 3, 3, 1, 1, 1)]
    return landed


def test_a_delete_is_accepted_whatever_else_is_wrong_and_resolves_what_it_deletes(house, landed: Landed) -> None:
    for table, records in DELETES.items():
        landed.land(table, records, (TUESDAY, WEDNESDAY))
    assert transform.build(DAILY) == []
    refused = "select count(*) from quarantine.refused_records where _load_id > %s"
    assert house.query(refused, len(FIRST)) == [(0,)]
    assert sorted(house.query(STATUSES)) == sorted((*record, "resolved") for record in REFUSED)
    assert house.query(COUNTS) == [(0, 0, 0, 0, 0, 0)]
    assert [verdict.line for verdict in audit.audit() if verdict.differences or verdict.note] == []


def test_what_is_deleted_without_a_time_comes_back_with_a_later_change(house, landed: Landed) -> None:
    again = ORDER | {"order_id": "1", "updated_at": WEDNESDAY}
    landed.land("shop.orders", [Record("shop.orders", again)], (TUESDAY, THURSDAY))
    assert transform.build([*MODELS_ALONE, "--select", "+fct_orders"]) == []
    assert house.query("select order_id from build.fct_orders") == [("web-1",)]
