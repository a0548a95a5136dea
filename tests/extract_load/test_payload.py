"""What `jsonb` can't hold lands as unreadable, wherever it comes from, and what it can hold lands as it came."""

import io
import json

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from extract_scene import HEADER, write_day

import extract_load
from extract_load import payload as payloads
from extract_load.payload import payload

DEEP = '{"a": ' * 2000 + "1" + "}" * 2000
TOO_MUCH = {
    "a number of 140,000 digits": '{"n": %s}' % ("9" * 140_000),
    "20,000 decimals": '{"n": 0.%s}' % ("1" * 20_000),
    "one decimal too many by its exponent": '{"n": 12.5e-16383}',
    "an exponent": '{"n": 1e131072}',
    "a huge exponent": '{"n": 1e99999999999999999999}',
    "a tiny exponent": '{"n": 1e-99999999999999999999}',
    "nesting of 2,000": DEEP,
    "nesting in lists": '{"a": %s}' % ("[" * 2000 + "]" * 2000),
    "a NUL": '{"a": "b\\u0000"}',
    "half a pair": '{"a": "\\ud83d"}',
    "the other half": '{"a": "\\ude00 \\ud83d"}',
    "a pair the wrong way round": '{"a": "\\ude00\\ud83d"}',
    "half a pair as a name": '{"\\uD83D": 1}',
    "no number": '{"a": [NaN]}',
    "no finite number": '{"a": -Infinity}',
}
ENOUGH = {
    "131,072 digits": '{"n": %s}' % ("9" * 131_072),
    "16,383 decimals": '{"n": 0.%s}' % ("1" * 16_383),
    "an exponent": '{"n": 1e131071, "m": -1.0E-16382}',
    "nesting of 500": '{"a": ' * 500 + "1" + "}" * 500,
    "brackets and numbers in a text": json.dumps({"a": "[" * 3000 + "1e99999 NaN " + "9" * 140_000}),
    "escaped backslashes": '{"a": "\\\\u0000 \\\\ud83d \\\\\\\\u0000"}',
    "a whole pair": '{"a": "\\ud83d\\ude00 \\uD83D\\uDE00"}',
    "quotes": json.dumps({"a": ['"[{' * 4000, "\\"]}),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_jsonb_cannot_hold_is_unreadable(house, name):
    record = TOO_MUCH[name]
    landed = payload(record)
    assert json.loads(landed) == {"_unreadable": record}
    with psycopg.connect(house.warehouse) as connection:
        connection.execute("select %s::jsonb", [landed])


@pytest.mark.parametrize("name", ENOUGH)
def test_what_jsonb_can_hold_is_landed_as_it_came(house, name):
    record = ENOUGH[name]
    assert payload(record) == record
    with psycopg.connect(house.warehouse) as connection:
        connection.execute("select %s::jsonb", [record])


def test_a_record_that_no_field_can_hold_keeps_its_beginning_and_its_length(house, monkeypatch):
    # The size that takes the most room in jsonb for its text.
    record = '{"a": [' + "1," * (payloads.LARGEST_BYTES // 2 - 10) + "1]}"
    assert payload(record) == record
    with psycopg.connect(house.warehouse) as connection:
        assert connection.execute("select jsonb_array_length(%s::jsonb -> 'a') > 0", [record]).fetchone() == (True,)
    for record in (
        '{"a": "' + "x" * payloads.LARGEST_BYTES + '"}',
        '{"a": "' + "é" * (payloads.LARGEST_BYTES // 2) + '"}',
    ):
        landed = json.loads(payload(record))
        assert landed == {"_unreadable": record[: payloads.KEPT], "_characters": len(record)}


def unreadable_and_read(house, table: str) -> tuple[int, list]:
    rows = [row for (row,) in house.query(f"select payload from {table} order by _row")]
    return sum("_unreadable" in row for row in rows), [row for row in rows if "_unreadable" not in row]


def test_an_api_lands_the_records_around_those_that_jsonb_cannot_hold(new_house, api):
    api.page_size = 100
    good = {"review_id": "R-1", "updated_at": "2026-01-01T00:00:00Z"}
    api.put("/reviews", *TOO_MUCH.values(), good, DEEP)
    (landed,) = extract_load.load("reviews")
    assert landed.rows == len(TOO_MUCH) + 2
    assert unreadable_and_read(new_house, "raw_reviews.reviews") == (len(TOO_MUCH) + 1, [good])
    assert new_house.query("select interval_until is not null from raw.loads") == [(True,)]


def test_a_file_lands_the_lines_around_those_that_jsonb_cannot_hold(new_house, stores):
    names = HEADER.strip().split(",")
    bad, good = ["s1", "r\0", "1", "1"], ["s1", "9" * 20_000, "1", "1"]
    table = io.BytesIO()
    pq.write_table(pa.table(dict(zip(names, map(list, zip(bad, good, strict=True)), strict=True))), table)
    csv = HEADER + ",".join(bad) + "\n" + ",".join(good) + "\n"
    for name, file in (("a_csv", csv), ("b_parquet", table.getvalue())):
        write_day(stores, "2026-01-05", **{name: file})
    extract_load.load("stores")
    whole = dict(zip(names, good, strict=True))
    assert unreadable_and_read(new_house, "raw_stores.sales") == (2, [whole, whole])
