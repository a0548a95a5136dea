"""What a file holds, a payload a record: of Parquet, CSV and JSON lines, packed or not, within the limits."""

import codecs
import csv
import io
import itertools
import json
import resource
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BufferedReader
from json.encoder import encode_basestring as quoted
from pathlib import Path

import psycopg
import pyarrow as pa

from extract_load.connectors.files import parquet
from extract_load.connectors.files.places import File, Place, stamp, too_slow
from extract_load.declarations.file_patterns import Compression, Form
from extract_load.declarations.files import Csv, Files
from extract_load.ledger import Load
from extract_load.payload import payload, unreadable
from storehouse.core.errors import StorehouseError, TransientError, unexpected, without_values
from storehouse.core.settings import settings
from storehouse.core.shown import first_line

BATCH_ROWS = 10_000
BUFFER_BYTES = 1 << 18
# What an encoding must leave as it is, for lines to be found before they are decoded.
_PLAIN = "".join(map(chr, (9, 10, 13, *range(32, 127))))
# Not parsed as numbers: those of a record stay as they came, however long.
_JSON = json.JSONDecoder(parse_int=str, parse_float=str)


def records(
    stream: BufferedReader, load: Load, said: Files, form: Form, values: dict[str, str]
) -> Iterator[tuple[int, str]]:
    """Number (of the row, or of the first of its lines, from 1) and payload of each record.

    Args:
        stream: the file's bytes.
        load: its table has the key; its members become those of the records.
        said: the declaration of the files.
        form: how this one is written.
        values: what its path says, by name; those among the declared columns become members of each record.

    Raises:
        ValueError, TimeoutError: a limit, or what is wrong with the file.
        csv.Error, pa.ArrowException, OSError, MemoryError: it can't be read.
    """
    values = {name: value for name, value in values.items() if name in said.columns}
    load.members.update(values)
    if form.compression:
        stream = unpacked(stream, form.compression)
    match form.format:
        case "csv":
            found = csv_records(stream, load, said, values)
        case "json":
            found = json_records(stream, load)
        case "parquet":
            found = parquet_records(stream, load, values)
    return _within_limits(_with_values(found, values) if values else found)


def csv_records(stream: BufferedReader, load: Load, said: Files, values: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Number of the line (the header is 1) and payload, values as text."""
    longest = _longest()
    csv.field_size_limit(longest)
    lines = _CsvLines(stream, said.csv, longest)
    rows = csv.reader(
        lines,
        strict=True,
        delimiter=said.csv.delimiter,
        quotechar=said.csv.quote or None,
        quoting=csv.QUOTE_MINIMAL if said.csv.quote else csv.QUOTE_NONE,
        escapechar=said.csv.escape,
    )
    if said.csv.header:
        names = next(rows, None)
        if names is None:
            raise ValueError("it is empty")
        lines.next_record()
    else:
        names = [name for name in said.columns if name not in values]
    _check_columns(names, load, "header line", values)
    template = "{" + ", ".join(quoted(name).replace("%", "%%") + ": %s" for name in names) + "}"
    null = said.csv.null_text
    while True:
        try:
            row = next(rows, None)
        except (csv.Error, UnicodeDecodeError):
            lines.leave_all_but_first()
            yield lines.number, unreadable(lines.text())
        else:
            if row is None:
                return
            if len(row) == len(names):
                texts = map(quoted, row) if null is None else ("null" if v == null else quoted(v) for v in row)
                yield lines.number, payload(template % tuple(texts))
            elif row:
                yield lines.number, unreadable(lines.text())
        lines.next_record()


def json_records(stream: BufferedReader, load: Load) -> Iterator[tuple[int, str]]:
    """Number of the line and payload: the record as it came."""
    for number, line in enumerate(_lines(stream, _longest()), start=1):
        line = line.removeprefix(codecs.BOM_UTF8)
        if number == 1 and line.lstrip().startswith(b"["):
            raise ValueError("it is one list: write its records as lines, each an object without line breaks")
        try:
            text = line.decode().strip(" \t\r\n")
            if not text:
                continue
            record = _JSON.decode(text)
        except (ValueError, RecursionError):
            yield number, unreadable(_as_came(line))
        else:
            if isinstance(record, dict):
                load.members.update(record)
            yield number, payload(text)


def parquet_records(stream: BufferedReader, load: Load, values: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Number of the row and payload."""
    file = parquet.read(stream)
    _check_columns(file.schema_arrow.names, load, "schema", values)
    numbers = itertools.count(1)
    # With threads of Arrow's own, a process may abort when it ends (apache/arrow#34314).
    for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
        for text in parquet.payloads(batch):
            yield next(numbers), text


@contextmanager
def reading(place: Place, file: File, stream: BufferedReader, as_opened: tuple[int, int]) -> Iterator[None]:
    """Within, whatever breaks is an error that names the file.

    Raises:
        StorehouseError: it can't be read.
        TransientError: it changed meanwhile, or takes too long.
    """
    try:
        with _memory_limit():
            yield
    except psycopg.Error:
        raise
    except Exception as error:
        # The file breaks while it is read, in whatever way: the others land.
        raise (place.changed(file) if stamp(stream) != as_opened else _broken(place, file, error)) from None
    if stamp(stream) != as_opened:
        raise place.changed(file)


def _broken(place: Place, file: File, error: Exception) -> StorehouseError:
    match error:
        case MemoryError():
            limit = f"STORE_MEMORY_MB ({settings().store_memory_mb:g} MB)"
            return place.unread(file, f"it takes more memory than {limit}")
        case TimeoutError():
            return TransientError(str(place.unread(file, str(error))))
        case ValueError() | csv.Error() | OSError():  # Arrow's errors are of these kinds
            return place.unread(file, without_values(first_line(error)))
        case _:
            return place.unread(file, unexpected(error))


@cache
def is_read_by_line(encoding: str) -> bool:
    """True if a line of this encoding ends where its bytes say so: not in UTF-16."""
    try:
        return _PLAIN.encode(encoding) == _PLAIN.encode()
    except UnicodeEncodeError:
        return False


class _CsvLines:
    """The lines of a CSV as `csv.reader` asks for them; those of the record that it reads are kept as they came.

    Where a value may hold no line break, the text ends with each line: a quote that is never closed spoils one line.
    Where it may, such a quote is known by what follows it: then the record's first line is left alone, and the others
    are read again.
    """

    def __init__(self, stream: BufferedReader, said: Csv, longest: int) -> None:
        encoding = said.encoding
        if not is_read_by_line(encoding):
            stream, encoding = _recoded(stream, encoding), "utf-8"
        self.decode = codecs.getdecoder(encoding)
        self.encoding = encoding
        self.lines = _lines(stream, longest)
        self.breaks, self.longest = said.line_breaks, longest
        self.number = 1
        self.size = 0
        self.taken: list[bytes] = []
        self.again: deque[bytes] = deque()

    def __iter__(self) -> "_CsvLines":
        return self

    def __next__(self) -> str:
        taken = self.taken
        if taken and (not self.breaks or self.size > self.longest):
            raise StopIteration
        line = self.again.popleft() if self.again else next(self.lines)
        if self.number == 1 and not taken:
            line = line.removeprefix(codecs.BOM_UTF8)
        taken.append(line)
        self.size += len(line)
        return self.decode(line)[0]

    def next_record(self) -> None:
        """The record that was read is done with."""
        self.number += len(self.taken)
        self.size = 0
        self.taken.clear()

    def leave_all_but_first(self) -> None:
        """The lines of the record but the first are to be read again."""
        self.again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]

    def text(self) -> str:
        """The record as it came."""
        return _as_came(b"".join(self.taken), self.encoding)


def _as_came(line: bytes, encoding: str = "utf-8") -> str:
    return line.decode(encoding, errors="backslashreplace").rstrip("\r\n")


def _lines(stream: BufferedReader, longest: int) -> Iterator[bytes]:
    for number in itertools.count(1):
        line = stream.readline(longest + 1)
        if len(line) > longest:
            raise ValueError(_too_long("line", number))
        if not line:
            return
        yield line


class _Recoded(io.RawIOBase):
    """A text in UTF-8 that is in another encoding in the file."""

    def __init__(self, stream: BufferedReader, encoding: str) -> None:
        self.stream = stream
        self.decoder = codecs.getincrementaldecoder(encoding)()
        self.rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self.rest:
            packed = self.stream.read(BUFFER_BYTES)
            self.rest = self.decoder.decode(packed, final=not packed).encode()
            if not packed:
                break
        part, self.rest = self.rest[: len(buffer)], self.rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def _recoded(stream: BufferedReader, encoding: str) -> BufferedReader:
    return BufferedReader(_Recoded(stream, encoding), BUFFER_BYTES)


class _Borrowed(io.RawIOBase):
    """A stream that stays open when its reader, such as Arrow's, is gone."""

    def __init__(self, stream: BufferedReader) -> None:
        self.stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self.stream.readinto(buffer)


class _Unpacked(io.RawIOBase):
    """What a packed file holds, until it is too much or takes too long, whether or not there are lines in it."""

    def __init__(self, stream: BufferedReader, compression: Compression) -> None:
        self.stream = pa.CompressedInputStream(_Borrowed(stream), compression)
        self.left = settings().store_file_max_mb * 1e6 * 10
        self.until = time.monotonic() + settings().store_file_seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        size = self.stream.readinto(buffer)
        self.left -= size
        if self.left < 0:
            raise ValueError(_too_much())
        if time.monotonic() > self.until:
            raise TimeoutError(too_slow())
        return size


def unpacked(stream: BufferedReader, compression: Compression) -> BufferedReader:
    """The bytes that a packed file holds, within the limits of size and time."""
    return BufferedReader(_Unpacked(stream, compression), BUFFER_BYTES)


def _with_values(found: Iterator[tuple[int, str]], values: dict[str, str]) -> Iterator[tuple[int, str]]:
    """The payloads with these members; of two of one name `jsonb` keeps the record's own, which comes later."""
    start = "{" + ", ".join(f"{quoted(name)}: {quoted(value)}" for name, value in values.items())
    for number, text in found:
        rest = text[1:]
        yield number, f"{start}{'' if rest.lstrip().startswith('}') else ', '}{rest}"


def _within_limits(found: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The records of a file, until they are too many, too long, or too slow.

    Raises:
        ValueError, TimeoutError: which limit it was.
    """
    limits = settings()
    until, most, longest = time.monotonic() + limits.store_file_seconds, limits.store_file_max_mb * 1e6, _longest()
    unpacked = 0
    for number, text in found:
        unpacked += len(text)
        if len(text) > longest:
            raise ValueError(_too_long("row", number))
        # A line of CSV grows by its members' names.
        if unpacked > most * 10:
            raise ValueError(_too_much())
        if time.monotonic() > until:
            raise TimeoutError(too_slow())
        yield number, text


def _longest() -> int:
    return int(settings().store_line_max_mb * 1e6)


def _too_long(what: str, number: int) -> str:
    return f"{what} {number} is longer than STORE_LINE_MAX_MB ({settings().store_line_max_mb:g} MB)"


def _too_much() -> str:
    return f"it unpacks to more than ten times STORE_FILE_MAX_MB ({settings().store_file_max_mb:g} MB)"


def _check_columns(names: list[str], load: Load, where: str, values: dict[str, str]) -> None:
    load.members.update(names)
    if missing := [name for name in load.table.key if name not in names and name not in values]:
        raise ValueError(f"its {where} lacks {', '.join(missing)}")
    if len(set(names)) < len(names):
        raise ValueError(f"its {where} names a column twice")


@contextmanager
def _memory_limit() -> Iterator[None]:
    """Within, this process can take `STORE_MEMORY_MB` more: what would need more raises MemoryError.

    On Linux only: macOS has no /proc and does not enforce RLIMIT_AS, so that there a file is limited by its size alone.
    """
    if sys.platform != "linux":
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = taken + int(settings().store_memory_mb * 1e6)
    if soft != resource.RLIM_INFINITY:
        most = min(most, soft)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
