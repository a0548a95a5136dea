"""The APIs over real HTTP: complete and ordered pages, hiccups that pass, and refusals that say why."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import psycopg
import pytest
from houses import House

import demo

EVER = {"from": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z"}


@pytest.fixture(scope="module")
def api(house: House) -> Iterator[httpx.Client]:
    """The server, over 45 days of a shop in which a fifth of the records is wrong."""
    demo.advance(days=45, size=0.2, error_rate=0.2)
    urls = demo.start()
    with httpx.Client(base_url=urls["REVIEWS_URL"], timeout=30) as client:
        yield client
    assert demo.stop()


def ask(api: httpx.Client, path: str, **parameters: object) -> dict[str, Any]:
    """A page, asked for again once if it failed."""
    answer = api.get(path, params=parameters)
    if answer.status_code in (429, 500):
        answer = api.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def all_records(api: httpx.Client, path: str, **parameters: object) -> list[dict[str, Any]]:
    """The records of all pages, as they come."""
    page = ask(api, path, page=1, **parameters)
    records = page["data"]
    for number in range(2, page["pages"] + 1):
        following = ask(api, path, page=number, **parameters)
        assert (following["page"], following["pages"], following["total"]) == (number, page["pages"], page["total"])
        records += following["data"]
    assert len(records) == page["total"]
    return records


@pytest.fixture(scope="module")
def orders(api: httpx.Client) -> list[dict[str, Any]]:
    """All marketplace orders, regions one after the other."""
    return [
        order
        for region in ("us", "eu", "apac")
        for order in all_records(api, "/marketplace/orders", region=region, **EVER)
    ]


@pytest.fixture(scope="module")
def reviews(api: httpx.Client) -> list[dict[str, Any]]:
    """All reviews."""
    return all_records(api, "/reviews", **EVER)


def test_health_is_answered_under_both_addresses(api: httpx.Client) -> None:
    for path in ("/health", "/marketplace/health"):
        assert api.get(path).json() == {"status": "ok"}


def test_pages_are_complete_and_in_order(house: House, orders: list[dict], reviews: list[dict]) -> None:
    with psycopg.connect(house.shop) as connection:
        for table, records in (("marketplace_orders", orders), ("reviews", reviews)):
            assert connection.execute(f"select count(*) from demo.{table}").fetchone() == (len(records),)
    for region in ("us", "eu", "apac"):
        times = [order["updated_at"] for order in orders if order["region"] == region]
        assert times
        assert times == sorted(times)
    assert [review["updated_at"] for review in reviews] == sorted(review["updated_at"] for review in reviews)


def test_small_pages_hold_what_large_ones_do(api: httpx.Client) -> None:
    window = {"from": "2026-02-01T00:00:00Z", "until": "2026-02-03T00:00:00Z"}
    large = all_records(api, "/reviews", page_size=5000, **window)
    assert len(large) > 20
    assert all_records(api, "/reviews", page_size=7, **window) == large


def test_the_window_takes_its_start_and_leaves_its_end(api: httpx.Client, reviews: list[dict]) -> None:
    at, later = (
        reviews[100]["updated_at"],
        next(r["updated_at"] for r in reviews if r["updated_at"] > reviews[100]["updated_at"]),
    )
    assert {review["updated_at"] for review in all_records(api, "/reviews", **{"from": at, "until": later})} == {at}
    assert ask(api, "/reviews", **{"from": at, "until": at}) == {"page": 1, "pages": 1, "total": 0, "data": []}


def test_a_window_with_nothing_in_it_is_one_empty_page(api: httpx.Client) -> None:
    window = {"from": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z"}
    assert ask(api, "/marketplace/orders", region="eu", **window) == {"page": 1, "pages": 1, "total": 0, "data": []}


def test_some_pages_fail_once_and_then_answer(api: httpx.Client) -> None:
    failures = Counter()
    window = {"from": "2026-01-05T00:00:00Z", "until": "2026-02-10T00:00:00Z", "page_size": 2}
    for page in range(1, 101):
        first = api.get("/reviews", params=window | {"page": page})
        if first.status_code != 200:
            failures[first.status_code] += 1
            assert first.status_code == 500 or first.headers["Retry-After"] == "1"
            assert api.get("/reviews", params=window | {"page": page}).status_code == 200
    assert failures.keys() == {429, 500}
    assert failures.total() < 25


@pytest.mark.parametrize(
    ("path", "parameters", "words"),
    [
        ("/marketplace/orders", {"region": "mars", **EVER}, "region is 'mars': it must be one of us, eu, apac"),
        ("/marketplace/orders", EVER, "region: Field required"),
        ("/reviews", {"until": EVER["until"]}, "from: Field required"),
        ("/reviews", {"from": "yesterday", "until": EVER["until"]}, "from: Input should be a valid datetime"),
        ("/reviews", {"from": EVER["until"], "until": EVER["from"]}, "is after until"),
        ("/reviews", {**EVER, "page": 0}, "page: Input should be greater than or equal to 1"),
        ("/reviews", {**EVER, "page": "two"}, "page: Input should be a valid integer"),
    ],
)
def test_a_bad_request_is_refused_with_words(
    api: httpx.Client, path: str, parameters: dict[str, object], words: str
) -> None:
    answer = api.get(path, params=parameters)
    assert answer.status_code == 400
    assert words in answer.json()["detail"]


def is_unreadable(text: str) -> bool:
    return not text.startswith("20")


@pytest.mark.parametrize(
    "is_wrong",
    [
        pytest.param(lambda order: "order_id" not in order, id="no order id"),
        pytest.param(lambda order: "buyer" not in order, id="no buyer"),
        pytest.param(lambda order: "lines" not in order, id="no lines"),
        pytest.param(lambda order: order["total_amount"] < 0, id="negative total"),
        pytest.param(lambda order: order["total_amount"] == 1_000_000_000, id="absurd total"),
        pytest.param(lambda order: order["currency"] == "XXX", id="unknown currency"),
        pytest.param(lambda order: order["currency"] == "usd ", id="untidy currency"),
        pytest.param(lambda order: order["status"] == "lost in transit", id="unknown status"),
        pytest.param(lambda order: order["placed_at"] > "2090", id="far future"),
        pytest.param(lambda order: is_unreadable(order["placed_at"]), id="unreadable date"),
        pytest.param(lambda order: any(line["product_id"][1] == " " for line in order.get("lines", [])), id="product"),
        pytest.param(lambda order: any(line["quantity"] == 0 for line in order.get("lines", [])), id="quantity"),
        pytest.param(lambda order: order["deleted"], id="tombstone"),
    ],
)
def test_some_marketplace_orders_are_wrong_or_deleted(orders: list[dict], is_wrong: object) -> None:
    assert any(is_wrong(order) for order in orders)


@pytest.mark.parametrize(
    "is_wrong",
    [
        pytest.param(lambda review: review["rating"] == 0, id="rating 0"),
        pytest.param(lambda review: review["rating"] == 6, id="rating 6"),
        pytest.param(lambda review: review["rating"] is None, id="no rating"),
        pytest.param(lambda review: review["text"] == "", id="empty text"),
        pytest.param(lambda review: review.get("product_id", "").startswith("P "), id="malformed product"),
        pytest.param(lambda review: not {"order_id", "product_id"} & review.keys(), id="no keys"),
        pytest.param(lambda review: "review_id" not in review, id="no review id"),
        pytest.param(lambda review: is_unreadable(review["created_at"]), id="unreadable date"),
        pytest.param(lambda review: review["deleted"], id="tombstone"),
        pytest.param(lambda review: review["updated_at"] > review["created_at"] > "2026", id="edited"),
    ],
)
def test_some_reviews_are_wrong_edited_or_deleted(reviews: list[dict], is_wrong: object) -> None:
    assert any(is_wrong(review) for review in reviews)


def test_some_records_come_twice_and_some_reviews_stand_on_two_orders(orders: list[dict], reviews: list[dict]) -> None:
    assert any(one == other for one, other in pairwise(orders))
    assert any(one == other for one, other in pairwise(reviews))
    places = Counter(
        review_id
        for review_id, order_id in {
            (r["review_id"], r["order_id"]) for r in reviews if {"review_id", "order_id"} <= r.keys()
        }
    )
    assert 2 in places.values()


def test_stars_and_words_mostly_agree(reviews: list[dict]) -> None:
    assert {review["language"] for review in reviews} == {"en", "pt", "es", "de"}
    english = [review for review in reviews if review["language"] == "en" and review["rating"] in (1, 5)]
    glad = [r["rating"] == 5 for r in english if r["text"].startswith(("Very good", "Excellent", "Great", "Not bad"))]
    sad = [r["rating"] == 1 for r in english if r["text"].startswith(("Not good", "Terrible", "It broke", "Awful"))]
    assert sum(glad) / len(glad) > 0.8
    assert sum(sad) / len(sad) > 0.5
