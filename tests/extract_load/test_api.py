"""What the APIs send lands as it came; passing trouble is waited out, and what was not promised lands nothing."""

import json
import time
from decimal import Decimal

import psycopg
import pytest
from extract_scene import Answer, at
from tenacity import wait_fixed

import extract_load
from extract_load.connectors.api import http as http_pages
from extract_load.tables import TABLES
from storehouse.core.errors import StorehouseError

TABLES_BY_NAME = {table.label: table for table in TABLES}


def review(number: int, updated_at: str = "2026-01-01T10:00:00Z", **more) -> dict:
    return {"review_id": f"R-{number}", "order_id": str(number), "updated_at": updated_at} | more


def ids(house) -> list[str]:
    rows = house.query("select payload ->> 'review_id' from raw_reviews.reviews order by _load_id, _row")
    return [review_id for (review_id,) in rows]


def test_all_pages_land_in_order_with_their_place(new_house, api):
    api.put("/reviews", *(review(n) for n in range(5)))
    (landed,) = extract_load.load("reviews")
    assert (landed.rows, landed.partition) == (5, None)
    assert ids(new_house) == ["R-0", "R-1", "R-2", "R-3", "R-4"]
    assert new_house.query("select _row, _op, _partition from raw_reviews.reviews order by _row limit 1") == [
        (1, "u", None)
    ]


def test_a_region_is_a_load_with_a_watermark_of_its_own(new_house, api, configure):
    configure(OVERLAP_MINUTES=0)
    for region, day in (("us", "05"), ("eu", "07")):
        api.put("/marketplace/orders", {"order_id": region, "updated_at": f"2026-01-{day}T00:00:00Z"}, region=region)
    assert extract_load.partitions("marketplace") == ["us", "eu", "apac"]
    landed = extract_load.load("marketplace")
    assert [(result.partition, result.rows) for result in landed] == [("us", 1), ("eu", 1), ("apac", 0)]
    api.asked.clear()
    extract_load.load("marketplace", partition="eu")
    extract_load.load("marketplace")
    assert [(query["region"], query["from"]) for query in api.asked] == [
        ("eu", "2026-01-07T00:00:00.000001Z"),
        ("us", "2026-01-05T00:00:00.000001Z"),
        ("eu", "2026-01-07T00:00:00.000001Z"),
        ("apac", "1970-01-01T00:00:00Z"),
    ]
    assert new_house.query("select _partition, payload ->> 'order_id' from raw_marketplace.orders order by 1") == [
        ("eu", "eu"),
        ("us", "us"),
    ]


def test_the_watermark_follows_what_came_not_the_clock(new_house, api):
    api.put("/reviews", review(1), review(2, "no time"), review(3, "2026-01-02T00:00:00+02:00"))
    extract_load.load("reviews", until=at("2026-06-01"))
    assert new_house.query("select interval_from, interval_until from raw.loads") == [
        (None, at("2026-01-01 22:00:00.000001"))
    ]
    api.put("/reviews", review(4, "2026-01-01T23:00:00Z"))
    extract_load.load("reviews")
    assert "R-4" in ids(new_house)


@pytest.mark.parametrize("odd", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00+00:00", "0001-01-01T00:00:00+05:00"])
def test_a_zero_time_of_a_record_moves_no_watermark(new_house, api, odd):
    # Such an API answers with them whatever the interval.
    answer = {"page": 1, "pages": 1, "total": 1, "data": [review(1, odd)]}
    api.instead = lambda *_: Answer(json.dumps(answer).encode())
    for _ in range(2):
        extract_load.load("reviews")
    assert new_house.query("select interval_until from raw.loads") == [(None,), (None,)]


@pytest.mark.parametrize("odd", ["2150-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_a_record_dated_ahead_hides_nothing_even_where_until_lies_further_ahead(new_house, api, odd):
    api.put("/reviews", review(1), review(2, odd))
    extract_load.load("reviews", until=at("9999-12-31 23:59:59.999999"))
    api.put("/reviews", review(3, "2026-02-01T00:00:00Z"))
    extract_load.load("reviews")
    assert "R-3" in ids(new_house)


def test_a_backfill_asks_for_its_interval_and_leaves_the_watermark(new_house, api, configure):
    configure(OVERLAP_MINUTES=0)
    api.put("/reviews", *(review(n, f"2026-01-{n:02}T00:00:00Z") for n in range(1, 10)))
    extract_load.load("reviews")
    (landed,) = extract_load.load("reviews", at("2026-01-03"), at("2026-01-05"))
    assert landed.rows == 2
    assert (api.asked[-1]["from"], api.asked[-1]["until"]) == ("2026-01-03T00:00:00Z", "2026-01-05T00:00:00Z")
    extract_load.load("reviews")
    assert api.asked[-1]["from"] == "2026-01-09T00:00:00.000001Z"


def test_numbers_keep_every_digit_and_records_their_odd_shapes(new_house, api):
    api.put(
        "/reviews",
        '{"review_id": "R-1", "total": 118.40, "big": 12345678901234567890.123456789, "text": "a\\nb \\\\ \\"\\u00e9"}',
        '["no", "object"]',
        '"text"',
        "17",
        "null",
        '{"review_id": "R-2", "text": "a \\u0000 b"}',
        '{"review_id": "R-3", "text": "harmless \\\\u0000"}',
        '{"review_id": "R-4", "text": "half \\ud83d pair"}',
        '{"review_id": "R-5", "text": "whole \\ud83d\\ude00 pair, NaN"}',
        '{"review_id": "R-6", "n": 1e999999}',
        '{"review_id": "R-7", "n": NaN}',
        '{"review_id": "R-8", "nested": {"a": [1, {}, []]}, "text": "1e9999"}',
    )
    extract_load.load("reviews")
    rows = [payload for (payload,) in new_house.query("select payload::text from raw_reviews.reviews order by _row")]
    first = json.loads(rows[0], parse_float=Decimal)
    assert str(first["total"]) == "118.40" and str(first["big"]) == "12345678901234567890.123456789"
    assert first["text"] == 'a\nb \\ "é'
    assert [json.loads(row).get("_unreadable") for row in rows[1:5]] == ['["no", "object"]', '"text"', "17", "null"]
    read = [json.loads(row).get("review_id") for row in rows[5:]]
    assert read == [None, "R-3", None, "R-5", None, None, "R-8"]
    assert json.loads(rows[5])["_unreadable"] == '{"review_id": "R-2", "text": "a \\u0000 b"}'
    assert json.loads(rows[8])["text"] == "whole 😀 pair, NaN"


def test_passing_trouble_is_waited_out(new_house, api, configure, monkeypatch):
    monkeypatch.setattr(http_pages, "_BACKOFF", wait_fixed(0.05))
    configure(HTTP_RETRIES=6)
    api.put("/reviews", review(1))
    trouble = {
        1: Answer(b"oops", 500),
        2: Answer(b"slow down", 429, {"Retry-After": "1"}),
        3: Answer(b"later", 503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        4: Answer(b'{"page": 1', promised_length=100),
    }
    api.instead = lambda number, path, query: trouble.get(number)
    started = time.monotonic()
    (landed,) = extract_load.load("reviews")
    assert (landed.rows, len(api.asked)) == (1, 5)
    assert time.monotonic() - started >= 1


def test_a_wait_that_is_too_long_is_not_waited(new_house, api):
    api.instead = lambda *_: Answer(b"tomorrow", 429, {"Retry-After": "86400"})
    with pytest.raises(
        StorehouseError, match=r"last of 1 tries .*status 429, 8 bytes, no media type. It asks to wait 86400 s"
    ):
        extract_load.load("reviews")


def test_pages_that_moved_while_they_were_read_are_read_again(new_house, api):
    api.put("/reviews", *(review(n) for n in range(4)))

    def one_leaves(number, path, query):
        if number == 2:
            api.records[("/reviews", None)].pop(0)

    api.instead = one_leaves
    (landed,) = extract_load.load("reviews")
    assert landed.rows == 3
    assert ids(new_house) == ["R-1", "R-2", "R-3"]


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b'{"page": 1, "pages": 1, "total": 2, "data": [{}]}', "2 records were promised and 1 came, 3 times over"),
        (b'{"page": 2, "pages": 2, "total": 0, "data": []}', "is page 2 where page 1 was asked for"),
        (b'{"page": 1, "pages": "many", "total": 0, "data": []}', "lacks page, pages or total as whole numbers"),
        (b'{"page": 1, "pages": 1, "data": []}', "lacks page, pages or total"),
        (b'{"page": 1, "pages": 1, "total": 0, "data": {}}', "is not the promised"),
        (b'{"page": 1, "pages": 1, "total": 0}', "is not the promised"),
        (b'{"page": 1, "pages": 1, "total": 0, "data": []} trailing', "is not the promised"),
        (b'{"page": 1, "pages": 1, "total": 1, "data": [{"a": 1} {"b": 1}]}', "is not the promised"),
        (b'{"page": 1, "pages": 1, "total": 1, "data": [{"a": "\xff"}]}', "is not the promised"),
        (b"[" * 100_000, "is not the promised"),
        (b"", "is not the promised"),
    ],
)
def test_an_answer_of_another_shape_lands_nothing(new_house, api, body, what):
    api.instead = lambda *_: Answer(body)
    with pytest.raises(StorehouseError, match=what):
        extract_load.load("reviews")
    assert new_house.query("select count(*) from raw.loads") == [(0,)]


def test_the_pages_before_a_bad_one_are_not_landed(new_house, api):
    api.put("/reviews", *(review(n) for n in range(4)))
    api.instead = lambda number, path, query: Answer(b"<html>") if number == 2 else None
    with pytest.raises(StorehouseError, match=r"page=2: the answer is not the promised .*status 200, 6 bytes"):
        extract_load.load("reviews")
    assert ids(new_house) == []


def test_a_region_that_fails_does_not_keep_the_others_from_landing(new_house, api):
    api.put("/marketplace/orders", {"order_id": "1", "updated_at": "2026-01-01T00:00:00Z"}, region="apac")
    api.instead = lambda number, path, query: Answer(b"no such region", 404) if query["region"] == "us" else None
    with pytest.raises(StorehouseError, match=r"region=us.*status 404, 14 bytes") as caught:
        extract_load.load("marketplace")
    assert len(str(caught.value).splitlines()) == 1
    assert new_house.query("select partition, rows from raw.loads order by 1") == [("apac", 1), ("eu", 0)]


def test_a_password_in_the_url_is_sent_and_not_told(new_house, api, configure):
    configure(REVIEWS_URL=api.url.replace("//", "//me:secret@"))
    api.instead = lambda *_: Answer(b"no", 403)
    with pytest.raises(StorehouseError, match="status 403, 2 bytes") as caught:
        extract_load.load("reviews")
    assert "secret" not in str(caught.value)


def test_an_unknown_partition_is_named_with_the_known_ones(new_house, api):
    with pytest.raises(StorehouseError, match=r"no partition mars. It has: us, eu, apac"):
        extract_load.load("marketplace", partition="mars")


def test_raw_accepts_no_change_of_the_warehouse_without_a_load(new_house):
    extract_load.prepare()
    with psycopg.connect(new_house.warehouse) as connection, pytest.raises(psycopg.errors.NotNullViolation):
        connection.execute("insert into raw_reviews.reviews (payload) values ('{}')")


def test_a_member_that_appears_or_vanishes_is_told_once_and_kept(new_house, api, configure, caplog):
    configure(OVERLAP_MINUTES=0)
    whole = dict.fromkeys(TABLES_BY_NAME["reviews.reviews"].members, "x")

    def told(day: str, record: dict) -> list[str]:
        api.put("/reviews", record | {"updated_at": f"{day}T00:00:00Z"})
        caplog.clear()
        extract_load.load("reviews")
        return [line.message for line in caplog.records if line.levelname == "WARNING"]

    assert told("2026-01-01", whole) == []
    assert "new member gift" in told("2026-01-02", whole | {"gift": True})[0]
    assert told("2026-01-03", whole | {"gift": True}) == []
    without_title = {name: value for name, value in whole.items() if name != "title"}
    assert "no record has the member title any more" in told("2026-01-04", without_title)[0]
    assert told("2026-01-05", without_title) == []
    assert new_house.query("select count(*) from raw_reviews.reviews where payload ? 'gift'") == [(2,)]
