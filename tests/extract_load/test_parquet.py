"""Every value of a Parquet file lands exactly, by the file's schema; a record with one that can't is unreadable."""

import io
import json
import struct
from datetime import date, datetime, time
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract_load.connectors.files import parquet

pytestmark = pytest.mark.quick

UUID_ = UUID("00112233-4455-6677-8899-aabbccddeeff")


def landed(array: pa.Array | pa.ChunkedArray, **options) -> list[object]:
    """What the values of a column land as, through a real file; the text of the record where it is unreadable."""
    file = io.BytesIO()
    pq.write_table(pa.table({"v": array}), file, **options)
    file.seek(0)
    records = [
        json.loads(text, parse_float=str)
        for batch in parquet.read(file).iter_batches(3)
        for text in parquet.payloads(batch)
    ]
    return [record.get("v", record) for record in records]


def ticks(kind: pa.DataType, *values: int) -> pa.Array:
    return pa.array(values, pa.int64()).cast(kind) if kind.bit_width == 64 else pa.array(values, pa.int32()).cast(kind)


EXACT = {
    "decimal(38,9)": (
        pa.array([Decimal("0E-9"), Decimal("1E-8"), Decimal("-12.5")], pa.decimal128(38, 9)),
        ["0.000000000", "0.000000010", "-12.500000000"],
    ),
    "decimal(38,18)": (
        pa.array([Decimal(0), Decimal("1E-18")], pa.decimal128(38, 18)),
        ["0." + "0" * 18, "0." + "0" * 17 + "1"],
    ),
    "decimal(76,38)": (pa.array([Decimal("9" * 38)], pa.decimal256(76, 38)), ["9" * 38 + "." + "0" * 38]),
    "decimal(5,2)": (pa.array([Decimal("0.01"), None], pa.decimal32(5, 2)), ["0.01", None]),
    "half": (pa.array([0.5, float("nan")], pa.float16()), ["0.5", "NaN"]),
    "float": (
        pa.array([0.1, 12.34, 1e20, 1e-7, float("nan"), float("inf"), float("-inf"), None], pa.float32()),
        ["0.1", "12.34", "1e+20", "1e-7", "NaN", "Infinity", "-Infinity", None],
    ),
    "double": (pa.array([0.1, 1e300, float("nan"), float("-inf")]), ["0.1", "1e+300", "NaN", "-Infinity"]),
    "uint64": (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1]),
    "int8": (pa.array([-128, None], pa.int8()), [-128, None]),
    "boolean": (pa.array([True, False, None]), [True, False, None]),
    "null": (pa.array([None], pa.null()), [None]),
    "string": (pa.array(['é"\\\n', "", None]), ['é"\\\n', "", None]),
    "large_string": (pa.array(["S-1"], pa.large_string()), ["S-1"]),
    "string_view": (pa.array(["S-1", None], pa.string_view()), ["S-1", None]),
    "dictionary": (pa.array(["a", None, "a", "b"]).dictionary_encode(), ["a", None, "a", "b"]),
    "dictionary of bytes": (pa.array([b"a", b"a"]).dictionary_encode(), ["a", "a"]),
    "binary": (pa.array([b"S-1", "é".encode(), None]), ["S-1", "é", None]),
    "large_binary": (pa.array([b"S-1"], pa.large_binary()), ["S-1"]),
    "binary_view": (pa.array([b"S-1"], pa.binary_view()), ["S-1"]),
    "fixed size": (pa.array([b"us"], pa.binary(2)), ["us"]),
    "uuid": (pa.array([UUID_.bytes, None], pa.uuid()), [str(UUID_), None]),
    "json": (pa.array(['{"a": 1.10}'], pa.json_()), ['{"a": 1.10}']),
    "bool8": (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, None], pa.int8())), [True, False, None]),
    "date": (pa.array([date(1, 1, 1), date(9999, 12, 31), None]), ["0001-01-01", "9999-12-31", None]),
    "date64": (pa.array([date(2026, 1, 5)], pa.date64()), ["2026-01-05"]),
    "seconds": (
        ticks(pa.timestamp("s"), 253402300799, -62135596800),
        ["9999-12-31T23:59:59.000000Z", "0001-01-01T00:00:00.000000Z"],
    ),
    "milliseconds": (
        ticks(pa.timestamp("ms"), 253402300799999, -1),
        ["9999-12-31T23:59:59.999000Z", "1969-12-31T23:59:59.999000Z"],
    ),
    "microseconds": (ticks(pa.timestamp("us"), 253402300799999999), ["9999-12-31T23:59:59.999999Z"]),
    "nanoseconds": (
        ticks(pa.timestamp("ns"), 1, 1000, -1, 2**63 - 1, -(2**63)),
        [
            "1970-01-01T00:00:00.000000001Z",
            "1970-01-01T00:00:00.000001Z",
            "1969-12-31T23:59:59.999999999Z",
            "2262-04-11T23:47:16.854775807Z",
            "1677-09-21T00:12:43.145224192Z",
        ],
    ),
    "a zone": (ticks(pa.timestamp("us", "Asia/Tokyo"), 0), ["1970-01-01T00:00:00.000000Z"]),
    "time": (pa.array([time(23, 59, 59, 999999), time(0)]), ["23:59:59.999999", "00:00:00.000000"]),
    "time32": (ticks(pa.time32("ms"), 1), ["00:00:00.001000"]),
    "time64": (ticks(pa.time64("ns"), 1), ["00:00:00.000000001"]),
    "duration": (ticks(pa.duration("us"), 90_000_000_001, -1), ["PT90000.000001S", "-PT0.000001S"]),
    "list": (
        pa.array(
            [[Decimal("0.00")], [], None, [None], [Decimal("1.50"), Decimal("2.50")]], pa.list_(pa.decimal128(38, 9))
        ),
        [["0.000000000"], [], None, [None], ["1.500000000", "2.500000000"]],
    ),
    "large list": (pa.array([[1], None, [2, 3]], pa.large_list(pa.int8())), [[1], None, [2, 3]]),
    "fixed list": (pa.array([[1, 2], None, [3, 4], [5, 6]], pa.list_(pa.int8(), 2)), [[1, 2], None, [3, 4], [5, 6]]),
    "list view": (pa.array([[1], None, [2, 3], []], pa.list_view(pa.int64())), [[1], None, [2, 3], []]),
    "list of dates": (pa.array([[[date(9999, 12, 31)], None]]), [[["9999-12-31"], None]]),
    "struct": (
        pa.array([{"a": {"at": datetime(9999, 12, 31), "id": b"S-1"}}, None, {"a": None}]),
        [{"a": {"at": "9999-12-31T00:00:00.000000Z", "id": "S-1"}}, None, {"a": None}],
    ),
    "map": (
        pa.array(
            [[("a", 1)], None, [], [("b", 2), ("c", None)], [("a", 3), ("a", 4)]], pa.map_(pa.string(), pa.int32())
        ),
        [[["a", 1]], None, [], [["b", 2], ["c", None]], [["a", 3], ["a", 4]]],
    ),
    "map of lists": (
        pa.array([[("a", [b"x"])], [("b", [b"y", None])]], pa.map_(pa.string(), pa.list_(pa.binary()))),
        [[["a", ["x"]]], [["b", ["y", None]]]],
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_a_value_lands_exactly(name):
    array, expected = EXACT[name]
    assert landed(array) == expected


UNREADABLE = {
    "bytes that are no text": pa.array([b"\xff\xfe"]),
    "bytes with a NUL": pa.array([b"a\0"]),
    "an id of 16 bytes without its logical type": pa.array([UUID_.bytes], pa.binary(16)),
    "a text that is no UTF-8": pa.array([b"\xff"]).view(pa.string()),
    "a large text that is no UTF-8": pa.array([b"\xff"], pa.large_binary()).view(pa.large_string()),
    "milliseconds in the year 10000": ticks(pa.timestamp("ms"), 253402300800000),
    "milliseconds far away": ticks(pa.timestamp("ms"), 2**63 - 1),
    "microseconds before the year 1": ticks(pa.timestamp("us"), -62135596800000001),
    "a day far away": ticks(pa.date32(), 2**31 - 1),
    "a day before the year 1": ticks(pa.date32(), -719163),
    "two members of one name": pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]),
    "bytes in a list": pa.array([[b"a", b"\xff"]]),
    "bytes in a struct": pa.array([{"a": {"b": b"\xff"}}]),
    "a time in a map": pa.array([[("a", 2**62)]], pa.map_(pa.string(), pa.int64())).cast(
        pa.map_(pa.string(), pa.timestamp("us"))
    ),
    "bytes in a dictionary": pa.array([b"\xff"]).dictionary_encode(),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_value_that_has_no_exact_text_makes_its_record_unreadable(name):
    (record,) = landed(UNREADABLE[name])
    assert list(record) == ["_unreadable"]


def test_int96_lands_the_time_that_was_written():
    times = [datetime(9999, 12, 31), datetime(1, 1, 1), datetime(2026, 1, 5, 8, 30, 0, 5), None]
    assert landed(pa.array(times, pa.timestamp("us")), use_deprecated_int96_timestamps=True) == [
        "9999-12-31T00:00:00.000000Z",
        "0001-01-01T00:00:00.000000Z",
        "2026-01-05T08:30:00.000005Z",
        None,
    ]


def test_the_shortest_decimals_of_a_float_are_the_same_float():
    values = [struct.unpack("f", struct.pack("I", bits))[0] for bits in range(1, 0x7F800000, 999_983)]
    texts = landed(pa.array(values, pa.float32()))
    assert [struct.unpack("f", struct.pack("f", float(text)))[0] for text in texts] == values
