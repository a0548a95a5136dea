"""The published shop, replayed over several runs, gives the totals that its files add up to."""

import csv
import gzip
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlparse

import psycopg
import pytest
from houses import whole_shop

import extract_load
from storehouse.core import transform
from storehouse.core.settings import PROJECT, settings

DATA = PROJECT.parent / "shared" / "data" / "olist"
HERE = Path(__file__).parent
CORE_ORDERS = 20_000
# Uneven on purpose: two long stretches, a day, the rest. The last one sets what has no date.
STOPS = ["2017-08-01", "2018-01-15", "2018-01-16", "2018-12-31"]
# What is compared, and all that it is made of.
BUILD = ["build", "--exclude-resource-type", "test", "unit_test", "--select"]
BUILD += ["+fct_orders", "+fct_order_items", "+fct_payments", "+fct_reviews", "+dim_customers_history"]
BUILD += ["+refused_records", "+dim_customers", "+dim_products"]

pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"the Olist data is not in {DATA}: see docs/sources.md")


def read(name: str) -> list[dict[str, str]]:
    with gzip.open(DATA / f"olist_{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Olist:
    """The core set of the published files, as lists of dicts of text."""

    def __init__(self) -> None:
        self.orders = {order["order_id"]: order for order in read("orders_dataset.part")[:CORE_ORDERS]}
        self.items = [item for item in read("order_items_dataset") if item["order_id"] in self.orders]
        self.payments = [payment for payment in read("order_payments_dataset") if payment["order_id"] in self.orders]
        self.reviews = [review for review in read("order_reviews_dataset.part") if review["order_id"] in self.orders]
        self.customers = read("customers_dataset")
        self.products = read("products_dataset")

    def paid_month(self, payment: dict[str, str]) -> str:
        order = self.orders[payment["order_id"]]
        return (order["order_approved_at"] or order["order_purchase_timestamp"])[:7]


class ReviewsApi:
    """A real HTTP server that answers as docs/sources.md says; a review changes when it is answered."""

    def __init__(self, olist: Olist) -> None:
        first_products = {item["order_id"]: item["product_id"] for item in reversed(olist.items)}
        self.records = []
        for review in olist.reviews:
            created, answered = review["review_creation_date"], review["review_answer_timestamp"]
            record = {
                "review_id": review["review_id"],
                "order_id": review["order_id"],
                "product_id": first_products.get(review["order_id"]),
                "customer_id": None,
                "rating": int(review["review_score"]),
                "title": review["review_comment_title"],
                "text": review["review_comment_message"],
                "language": "pt",
                "created_at": f"{created.replace(' ', 'T')}Z",
            }
            for changed in {created, answered}:
                self.records.append(record | {"updated_at": f"{changed.replace(' ', 'T')}Z", "deleted": False})
        self.records.sort(key=lambda record: record["updated_at"])
        self.now = ""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        Thread(target=self.server.serve_forever, daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = {name: values[0] for name, values in parse_qs(urlparse(self.path).query).items()}
                if "page" not in query:
                    return self.answer({"status": "ok"})
                low, high = query["from"][:19], min(query["until"][:19], api.now)
                found = [r for r in api.records if low <= r["updated_at"][:19] < high]
                page = int(query["page"])
                pages = max(1, -(-len(found) // 1000))
                data = found[(page - 1) * 1000 : page * 1000]
                self.answer({"page": page, "pages": pages, "total": len(found), "data": data})

            def answer(self, body: dict) -> None:
                content = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture(scope="module")
def olist() -> Olist:
    return Olist()


@pytest.fixture(scope="module")
def replayed(house, olist: Olist) -> Iterator[None]:
    """The warehouse after the whole replay: shop changes, loads and dbt runs in turn."""
    api = ReviewsApi(olist)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("REVIEWS_URL", f"http://127.0.0.1:{api.server.server_port}")
        settings.cache_clear()
        with psycopg.connect(house.shop, autocommit=True, options="-c timezone=UTC") as shop:
            shop.execute(whole_shop((HERE / "shop.sql").read_text()))
            for table, rows in (
                ("customers", olist.customers),
                ("orders", olist.orders.values()),
                ("items", olist.items),
                ("payments", olist.payments),
                ("products", olist.products),
            ):
                copy_csv(shop, table, list(rows))
            before = "2016-01-01"
            for stop in STOPS:
                now = {"before": before, "now": f"{stop} 00:00:00", "is_last": stop == STOPS[-1]}
                with psycopg.ClientCursor(shop) as cursor:
                    cursor.execute((HERE / "advance.sql").read_text(), now)
                api.now = f"{stop}T00:00:00"
                extract_load.load("shop")
                extract_load.load("reviews")
                assert transform.build(BUILD) == []
                before = now["now"]
    yield
    api.server.shutdown()


def copy_csv(connection: psycopg.Connection, table: str, rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(row.values() for row in rows)
    with connection.cursor().copy(f"copy olist.{table} from stdin (format csv)") as copy:
        copy.write(text.getvalue())


def test_every_order_stands_in_its_published_status(house, olist, replayed) -> None:
    published = Counter(order["order_status"] for order in olist.orders.values())
    assert dict(house.query("select status, count(*) from build.fct_orders group by 1")) == published


def test_orders_are_late_by_the_published_days(house, olist, replayed) -> None:
    published = Counter()
    for order in olist.orders.values():
        days = None
        if delivered := order["order_delivered_customer_date"]:
            estimated = date.fromisoformat(order["order_estimated_delivery_date"][:10])
            days = (date.fromisoformat(delivered[:10]) - estimated).days
        is_late = days is not None and days > 0
        published[days, is_late if delivered else None, bool(order["order_approved_at"])] += 1
    ours = house.query(
        "select days_late, is_delivered_late, approved_at is not null, count(*) from build.fct_orders group by 1, 2, 3"
    )
    assert {tuple(rest): count for *rest, count in ours} == published
    assert sum(count for (_, is_late, _), count in published.items() if is_late) > 1000


def test_items_and_freight_agree_to_the_cent_in_every_month(house, olist, replayed) -> None:
    published = defaultdict(lambda: [0, Decimal(0), Decimal(0)])
    for item in olist.items:
        month = published[olist.orders[item["order_id"]]["order_purchase_timestamp"][:7]]
        month[0] += 1
        month[1] += Decimal(item["price"])
        month[2] += Decimal(item["freight_value"])
    ours = house.query(
        "select to_char(order_date, 'YYYY-MM'), count(*), sum(items_amount), sum(freight_amount)"
        " from build.fct_order_items group by 1"
    )
    assert {month: list(rest) for month, *rest in ours} == published


def test_sellers_and_their_time_to_ship_agree(house, olist, replayed) -> None:
    published = defaultdict(lambda: [0, Decimal(0), 0])
    for item in olist.items:
        seller = published[item["seller_id"]]
        seller[0] += 1
        seller[1] += Decimal(item["price"])
        shipped = olist.orders[item["order_id"]]["order_delivered_carrier_date"]
        seller[2] += bool(shipped) and shipped > item["shipping_limit_date"]
    ours = house.query(
        "select seller_id, count(*), sum(lines.items_amount), count(*) filter (where shipped_at > ship_by_at)"
        " from build.fct_order_items as lines join build.fct_orders using (order_id) group by 1"
    )
    assert {seller: list(rest) for seller, *rest in ours} == published
    assert sum(late for _, _, late in published.values()) > 1000


def test_order_totals_are_the_sum_of_their_items(house, olist, replayed) -> None:
    published = defaultdict(Decimal)
    for item in olist.items:
        published[f"web-{item['order_id']}"] += Decimal(item["price"]) + Decimal(item["freight_value"])
    ours = dict(house.query("select order_id, total_amount from build.fct_orders where line_count > 0"))
    assert ours == published


def test_products_have_the_published_sizes(house, olist, replayed) -> None:
    sizes = ("product_weight_g", "product_length_cm", "product_height_cm", "product_width_cm")
    published = {p["product_id"]: [Decimal(p[size]) if p[size] else None for size in sizes] for p in olist.products}
    ours = house.query("select product_id, weight_g, length_cm, height_cm, width_cm from build.dim_products")
    assert {product: list(rest) for product, *rest in ours} == published


def test_payments_agree_to_the_cent_by_type_and_month(house, olist, replayed) -> None:
    published = defaultdict(lambda: [0, Decimal(0)])
    for payment in olist.payments:
        group = published[payment["payment_type"], olist.paid_month(payment)]
        group[0] += 1
        group[1] += Decimal(payment["payment_value"])
    ours = house.query(
        "select method, to_char(paid_date, 'YYYY-MM'), count(*), sum(amount) from build.fct_payments group by 1, 2"
    )
    assert {(method, month): list(rest) for method, month, *rest in ours} == published


def test_payments_have_the_published_sequence(house, olist, replayed) -> None:
    published = {
        (f"web-{payment['order_id']}", int(payment["payment_sequential"]), Decimal(payment["payment_value"]))
        for payment in olist.payments
    }
    ours = house.query("select order_id, payment_sequence, amount from build.fct_payments")
    assert set(ours) == published and len(ours) == len(published)


def test_reviews_agree_row_by_row_though_one_stands_on_several_orders(house, olist, replayed) -> None:
    published = {(r["review_id"], f"web-{r['order_id']}"): int(r["review_score"]) for r in olist.reviews}
    ours = {
        (review, order): rating
        for review, order, rating in house.query("select source_review_id, order_id, rating from build.fct_reviews")
    }
    assert ours == published


def test_nothing_published_is_refused(house, replayed) -> None:
    assert house.query("select source, table_name, errors from quarantine.refused_records limit 5") == []


def test_customers_live_where_their_last_order_says(house, olist, replayed) -> None:
    people = {c["customer_id"]: c for c in olist.customers}
    lives = {}
    for order in sorted(olist.orders.values(), key=lambda order: order["order_purchase_timestamp"]):
        person = people[order["customer_id"]]
        lives[person["customer_unique_id"]] = person
    states = Counter(person["customer_state"] for person in lives.values())
    assert dict(house.query("select state, count(*) from build.dim_customers group by 1")) == states
    assert len(states) == 27
    # Who lives under one code is masked alike, and the code is not shown.
    codes = Counter(Counter(person["customer_zip_code_prefix"] for person in lives.values()).values())
    masked = house.query("select postal_code, count(*) from build.dim_customers group by 1")
    assert Counter(count for _, count in masked) == codes
    assert not {code for code, _ in masked} & {person["customer_zip_code_prefix"] for person in lives.values()}


def test_people_who_moved_have_a_history(house, olist, replayed) -> None:
    zips = defaultdict(set)
    people = {c["customer_id"]: c for c in olist.customers}
    for order in olist.orders.values():
        person = people[order["customer_id"]]
        zips[person["customer_unique_id"]].add(person["customer_city"])
    moved = {f"web-{person}" for person, cities in zips.items() if len(cities) > 1}
    kept = {
        row[0]
        for row in house.query("select customer_id from build.dim_customers_history group by 1 having count(*) > 1")
    }
    assert kept <= moved
    assert len(kept) >= 0.5 * len(moved)
