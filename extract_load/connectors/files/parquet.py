"""Parquet columns as JSON, decoded by the schema and exactly; a value that can't be makes its record unreadable."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from json.encoder import encode_basestring as quoted
from operator import add
from typing import Any, BinaryIO
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as is_type

from extract_load.payload import payload, unreadable

_EPOCH = datetime(1970, 1, 1)
# Seconds from 1970 to the first and past the last second of the years 1 to 9999.
_FIRST_SECOND = (datetime.min - _EPOCH) // timedelta(seconds=1)
_PAST_LAST_SECOND = (datetime.max - _EPOCH) // timedelta(seconds=1) + 1
_IN_A_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DAY = 24 * 60 * 60
_NOT_FINITE = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}


class Undecodable(str):
    """What is shown of a value that has no exact text."""


def read(stream: BinaryIO) -> pq.ParquetFile:
    """A Parquet file, to be read so that no value is changed on the way.

    Raises:
        pa.ArrowException, OSError: it is none.
    """
    # int96 in nanoseconds ends in 2262, and further times wrap around.
    return pq.ParquetFile(stream, coerce_int96_timestamp_unit="us")


def payloads(batch: pa.RecordBatch) -> Iterator[str]:
    """The payload of each row: an object by column name.

    Numbers are JSON numbers; decimals text without exponent; times ISO 8601 in UTC, dates and times of day ISO 8601,
    durations ISO 8601 in seconds; NaN and the infinities the texts `NaN`, `Infinity`, `-Infinity`; UUIDs their usual
    text; bytes the text that they are in UTF-8; maps lists of pairs. A row with any other value (bytes that are no
    text, a time outside the years 1 to 9999, a type that Parquet may get one day) is unreadable.
    """
    for text in _objects(batch.schema.names, batch.columns, batch.num_rows):
        yield unreadable(text) if isinstance(text, Undecodable) else payload(text)


def _objects(names: list[str], columns: list[pa.Array], count: int) -> list[str]:
    """The text of an object for each of the rows."""
    starts = [quoted(name) + ": " for name in names]
    texts = [_texts(column) for column in columns]
    rows = zip(*texts, strict=True) if texts else itertools.repeat((), count)
    # Of two members of one name an object keeps one.
    kind = str if len(set(names)) == len(names) else Undecodable
    if kind is str and not any(isinstance(text, Undecodable) for column in texts for text in column):
        return ["{" + ", ".join(map(add, starts, row)) + "}" for row in rows]
    pairs = ([type(value)(start + value) for start, value in zip(starts, row, strict=True)] for row in rows)
    return [kind(text) if kind is Undecodable else text for text in (_joined("{", row, "}") for row in pairs)]


def _joined(opening: str, parts: Sequence[str], closing: str) -> str:
    kind = Undecodable if any(isinstance(part, Undecodable) for part in parts) else str
    return kind(opening + ", ".join(parts) + closing)


def _texts(array: pa.Array) -> list[str]:
    """The JSON text of each value."""
    kind = array.type
    if is_type.is_dictionary(kind):
        return _texts(array.dictionary_decode())
    if isinstance(kind, pa.UuidType):
        return _each(array.storage, lambda value: quoted(str(UUID(bytes=value))))
    if isinstance(kind, pa.Bool8Type):
        return _each(array.storage, lambda value: "true" if value else "false")
    if isinstance(kind, pa.BaseExtensionType):
        return _texts(array.storage)
    if is_type.is_map(kind):
        pairs = list(zip(_texts(array.keys), _texts(array.items), strict=True))
        return _lists(array, [_joined("[", pair, "]") for pair in pairs], array.offsets[0].as_py())
    if is_type.is_struct(kind):
        return _structs(array)
    if isinstance(kind, pa.ListType | pa.LargeListType | pa.FixedSizeListType | pa.ListViewType | pa.LargeListViewType):
        return _lists(array, _texts(array.flatten()), 0)
    return _leaves(array)


def _structs(array: pa.StructArray) -> list[str]:
    texts = _objects([field.name for field in array.type], array.flatten(), len(array))
    return [text if is_there else "null" for text, is_there in zip(texts, array.is_valid().to_pylist(), strict=True)]


def _lists(array: pa.Array, elements: list[str], start: int) -> list[str]:
    """The text of each list, given those of all elements in order, from `start` on."""
    found, at = [], start
    for value in array:
        if not value.is_valid:
            found.append("null")
            continue
        size = len(value)
        found.append(_joined("[", elements[at : at + size], "]"))
        at += size
    return found


def _each(array: pa.Array, text_of: Callable[[Any], str]) -> list[str]:
    return ["null" if value is None else text_of(value) for value in array.to_pylist()]


def _leaves(array: pa.Array) -> list[str]:
    kind = array.type
    if is_type.is_null(kind):
        return ["null"] * len(array)
    if is_type.is_boolean(kind):
        return _each(array, lambda value: "true" if value else "false")
    if is_type.is_integer(kind):
        return _each(array, str)
    if is_type.is_float64(kind):
        return _each(array, lambda value: _NOT_FINITE.get(repr(value)) or repr(value))
    if is_type.is_floating(kind):
        # The shortest decimals that read back as the same value: 0.1, not 0.10000000149011612.
        shortest = array.cast(pa.float32()).cast(pa.string())
        return _each(shortest, lambda value: _NOT_FINITE.get(value) or value)
    if is_type.is_decimal(kind):
        return _each(array, _decimal)
    if is_type.is_timestamp(kind):
        return _each(array.cast(pa.int64()), lambda value: _time(value, _IN_A_SECOND[kind.unit]))
    if is_type.is_date32(kind):
        return _each(array.cast(pa.int32()), lambda value: _date(value))
    if is_type.is_date64(kind):
        return _each(array.cast(pa.int64()), lambda value: _date(*divmod(value, _DAY * 1000)))
    if is_type.is_time(kind):
        ticks = array.cast(pa.int32() if is_type.is_time32(kind) else pa.int64())
        return _each(ticks, lambda value: _time_of_day(value, _IN_A_SECOND[kind.unit]))
    if is_type.is_duration(kind):
        return _each(array.cast(pa.int64()), lambda value: _duration(value, _IN_A_SECOND[kind.unit]))
    if is_type.is_string(kind) or is_type.is_large_string(kind) or is_type.is_large_binary(kind):
        return _each(array.cast(pa.large_binary()), _text)
    if is_type.is_string_view(kind):
        return _each(array.cast(pa.binary_view()), _text)
    if is_type.is_binary(kind) or is_type.is_binary_view(kind) or is_type.is_fixed_size_binary(kind):
        return _each(array, _text)
    return ["null" if not value.is_valid else Undecodable(quoted(f"({kind})")) for value in array]


def _text(value: bytes) -> str:
    try:
        return quoted(value.decode())
    except UnicodeDecodeError:
        return Undecodable(quoted("\\x" + value.hex()))


def _decimal(value: Decimal) -> str:
    return f'"{value:f}"'


def _fraction(ticks: int, in_a_second: int) -> str:
    """The part of a second, in microseconds; in nanoseconds where those say more."""
    nanoseconds = ticks * (1_000_000_000 // in_a_second)
    return f"{nanoseconds:09}" if nanoseconds % 1000 else f"{nanoseconds // 1000:06}"


def _time(ticks: int, in_a_second: int) -> str:
    seconds, rest = divmod(ticks, in_a_second)
    if not _FIRST_SECOND <= seconds < _PAST_LAST_SECOND:
        return Undecodable(f'"{ticks}/{in_a_second} seconds from 1970"')
    return f'"{(_EPOCH + timedelta(seconds=seconds)).isoformat()}.{_fraction(rest, in_a_second)}Z"'


def _date(days: int, rest: int = 0) -> str:
    if rest or not _FIRST_SECOND <= days * _DAY < _PAST_LAST_SECOND:
        return Undecodable(f'"{days} days from 1970"')
    return f'"{(_EPOCH + timedelta(days=days)).date().isoformat()}"'


def _time_of_day(ticks: int, in_a_second: int) -> str:
    seconds, rest = divmod(ticks, in_a_second)
    if not 0 <= seconds < _DAY:
        return Undecodable(f'"{ticks}/{in_a_second} seconds from midnight"')
    minutes, second = divmod(seconds, 60)
    return f'"{minutes // 60:02}:{minutes % 60:02}:{second:02}.{_fraction(rest, in_a_second)}"'


def _duration(ticks: int, in_a_second: int) -> str:
    seconds, rest = divmod(abs(ticks), in_a_second)
    return f'"{"-" if ticks < 0 else ""}PT{seconds}.{_fraction(rest, in_a_second)}S"'
