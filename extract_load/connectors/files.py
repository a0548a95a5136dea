"""Store files: day folders in a folder or bucket, read once their flag is there; a load a file, a payload a line."""

import csv
import hashlib
import itertools
import json
import os
import re
import resource
import stat
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from botocore.exceptions import NoCredentialsError
from fsspec.asyn import AsyncFileSystem, sync
from fsspec.callbacks import Callback
from fsspec.exceptions import FSTimeoutError
from fsspec.implementations.local import LocalFileSystem

from extract_load import parquet
from extract_load.connectors import Asked
from extract_load.ledger import Interval, Load, LoadResult, Progress, copy_rows, each, land, logger
from extract_load.payload import payload, unreadable
from extract_load.tables import Table
from storehouse.core.databases import Database
from storehouse.core.errors import StorehouseError, TransientError, unexpected, without_values
from storehouse.core.settings import settings
from storehouse.core.shown import first_line, printable, shown
from storehouse.core.stores import AWAY, open_store

FLAG = "complete.flag"
BATCH_ROWS = 10_000
_DAY_FOLDER = re.compile(r"sales/year=([0-9]{4})/month=([0-9]{1,2})/day=([0-9]{1,2})")
# Why a file is not read.
_HIDDEN = "a name that begins with _ or . is one that is still written, or no data"
_OTHER_ENDING = "only .csv and .parquet are read"
_OTHER_FOLDER = "only the days in sales/year=YYYY/month=MM/day=DD are read"
_LINKED_FOLDER = "a folder that is a link is not followed"
_OTHER_FLAG = f"the flag is {FLAG}, in these letters"


class File(NamedTuple):
    """A file of a flagged day.

    Attributes:
        path: where it is.
        name: in the ledger, and for people: its path below the folder or bucket.
        day: midnight, UTC.
        size: in bytes, where the list says so.
        etag: if the store has one.
        is_file: False for a pipe, a device, a socket, and a link that leads out of the folder or nowhere.
    """

    path: str
    name: str
    day: datetime
    size: int | None
    etag: str | None
    is_file: bool


def ready(table: Table, until: datetime | None, _: datetime | None) -> str | None:
    """None when the day folder before `until` has its flag."""
    files, root = open_store(settings().place(table.connection), table.connection)
    wanted = f"{root}/sales"
    if until:
        wanted += f"/{until.astimezone(UTC) - timedelta(days=1):year=%Y/month=%m/day=%d}/{FLAG}"
    return None if files.exists(wanted) else f"{shown(files.unstrip_protocol(wanted))} is not there"


def load(warehouse: Database, tables: list[Table], asked: Asked) -> list[LoadResult]:
    """Land the files of flagged day folders that were not landed with these contents before.

    An interval bounds the days. Without `from`, a day without its flag is left for later; with it, it is an error.

    Raises:
        StorehouseError: what failed, a line each, after the other files were landed.
    """
    (table,) = tables
    files = _Files(settings().place(table.connection))
    found, waiting = files.of(asked.interval)
    with warehouse.speaking():
        landed = dict(
            warehouse.execute(
                "select distinct on (partition) partition, checksum from raw.loads "
                "where source = %s and table_name = %s order by partition, load_id desc",
                [table.source, table.name],
            ).fetchall()
        )
    if waiting and not asked.interval.from_:
        logger.info("%s  not read, no %s yet: %s", table.label, FLAG, ", ".join(waiting))
        waiting = []

    def load_one(item: File | str) -> LoadResult | None:
        if isinstance(item, str):
            raise TransientError(
                f"{table.label}: {files.root}/{item} has no {FLAG}: the day is not written yet, and was not read. "
                "Wait for the flag, or write it."
            )
        checksum = item.etag and f"etag:{item.etag.strip(chr(34))}"
        if checksum and landed.get(item.name) == checksum:
            return None
        with files.open(item) as stream:
            stamp = _stamp(stream)
            checksum = checksum or _hash(stream)
            if landed.get(item.name) == checksum:
                return None
            load = Load(
                table, item.name, item.day, item.day + timedelta(days=1), asked.run_id, checksum, is_one_of_many=True
            )
            results.append(_load_file(warehouse, f"{files.root}/{printable(item.name)}", stream, stamp, load))
        progress.tell("%s  %d of %d files so far", table.label, len(results), len(found))
        return results[-1]

    results: list[LoadResult] = []
    progress = Progress()
    started = time.monotonic()
    try:
        return each(load_one, [*found, *waiting])
    finally:
        rows, seconds = f"{sum(result.rows for result in results):,}", time.monotonic() - started
        news = "%-24s %12s rows   %d of %d files new or changed   %.1f s"
        logger.info(news, table.label, rows, len(results), len(found), seconds)


class _Files:
    """The folder or bucket above `sales/`, with its errors as messages."""

    def __init__(self, root: str) -> None:
        self.system, self.base = open_store(root, "STORES_URL", is_new=True)
        self.is_local = isinstance(self.system, LocalFileSystem)
        self.root = printable(self.base) if self.is_local else shown(root.rstrip("/"))  # for people

    def of(self, asked: Interval) -> tuple[list[File], list[str]]:
        """The files of the flagged days in the interval, and the day folders there that have no flag, in order.

        Files that are not read are reported: how many, why, and the name of one.
        """
        entries = self._entries()
        flagged = {path.rpartition("/")[0] for path in entries if path.endswith(f"/{FLAG}")}
        files, waiting, left = [], set(), defaultdict(list)
        for path, entry in sorted(entries.items()):
            name = path.removeprefix(self.base).lstrip("/")
            folder, _, base_name = name.rpartition("/")
            day = _day(folder)
            if base_name == FLAG:
                continue
            if entry["type"] == "linked folder":
                left[_LINKED_FOLDER].append(name)
            elif day is None:
                left[_OTHER_FOLDER].append(name)
            elif base_name.lower() == FLAG:
                left[_OTHER_FLAG].append(name)
            elif base_name.startswith((".", "_")):
                left[_HIDDEN].append(name)
            elif not base_name.lower().endswith((".parquet", ".csv")):
                left[_OTHER_ENDING].append(name)
            elif (asked.from_ and day + timedelta(days=1) <= asked.from_) or (asked.until and day >= asked.until):
                continue
            elif path.rpartition("/")[0] in flagged:
                files.append(File(path, name, day, entry.get("size"), entry.get("ETag"), entry["type"] == "file"))
            else:
                waiting.add(folder)
        for why, names in left.items():
            logger.warning("stores: %d files are not read: %s; such as %s", len(names), why, printable(names[0]))
        return files, sorted(waiting)

    def _entries(self) -> dict[str, dict]:
        """Everything below `sales/` that is no folder, by its path."""
        sales, most = f"{self.base}/sales", settings().store_files_max
        try:
            if not self.is_local:
                self.system.invalidate_cache()
                entries = self._in_time("sales", "find", sales, detail=True)
            elif not self._is_within(sales):
                raise StorehouseError(
                    f"{self.root}/sales leads out of its folder. "
                    "Set STORES_URL to the folder above the one that it leads to."
                )
            else:
                found = self._below(sales) if Path(sales).is_dir() else ()
                entries = {entry.path: {"type": self._type(entry)} for entry in itertools.islice(found, most + 1)}
        except ValueError as error:
            raise StorehouseError(f"STORES_URL={self.root}: {without_values(first_line(error))}.") from None
        except AWAY as error:
            raise self._away(error) from None
        if not entries:
            raise StorehouseError(f"There is no file below {self.root}/sales. Check STORES_URL (docs/sources.md).")
        if len(entries) > most:
            raise StorehouseError(
                f"{self.root}/sales holds more than STORE_FILES_MAX ({most:,}) files. "
                "Move old days away, or allow more."
            )
        return entries

    def open(self, file: File) -> BufferedReader:
        """The file's bytes, to read and to seek in: the file itself, or a copy of what is in the bucket.

        Raises:
            StorehouseError: it is no file of this folder, or too large.
            TransientError: it is away, or is replaced meanwhile.
        """
        if not file.is_file:
            raise self._is_no_file(file)
        try:
            if file.size is not None:
                _check_size(file.size)
            stream = self._opened(file) if self.is_local else self._fetched(file)
            _check_size(_stamp(stream)[0])
        except ValueError as error:
            raise _unread(f"{self.root}/{printable(file.name)}", str(error)) from None
        except AWAY as error:
            raise self._away(error, file.name) from None
        return stream

    def _opened(self, file: File) -> BufferedReader:
        path = os.path.realpath(file.path)
        if not self._is_within(path):
            raise self._is_no_file(file)
        # A pipe that took the file's place meanwhile would not open before somebody writes to it.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise self._is_no_file(file)
        return os.fdopen(handle, "rb")

    def _fetched(self, file: File) -> BufferedReader:
        with tempfile.NamedTemporaryFile(prefix="storehouse-") as copy:
            self._in_time(file.name, "get_file", file.path, copy.name, callback=_Limit())
            if file.etag:
                self.system.invalidate_cache()
                if self._in_time(file.name, "info", file.path).get("ETag") != file.etag:
                    raise _changed(f"{self.root}/{printable(file.name)}")
            # It stays readable after its name is gone.
            return Path(copy.name).open("rb")

    def _in_time(self, name: str, method: str, *args: Any, **kwargs: Any) -> Any:
        """What the store answers, within `STORE_FILE_SECONDS` if it is one that can be left."""
        seconds = settings().store_file_seconds
        if not isinstance(self.system, AsyncFileSystem):
            return getattr(self.system, method)(*args, **kwargs)
        try:
            return sync(self.system.loop, getattr(self.system, f"_{method}"), *args, timeout=seconds, **kwargs)
        except FSTimeoutError:
            raise self._away(TimeoutError(_too_slow()), name) from None

    def _below(self, folder: str) -> Iterator[os.DirEntry]:
        """Not by fsspec, for which a folder that may not be read is an empty one."""
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._below(entry.path)
                else:
                    yield entry

    def _type(self, entry: os.DirEntry) -> str:
        if not entry.is_symlink():
            return "file" if entry.is_file() else "other"
        try:
            if entry.is_dir():
                return "linked folder"
            return "file" if entry.is_file() and self._is_within(entry.path) else "other"
        except OSError:  # it leads back to itself
            return "other"

    def _is_within(self, path: str) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.base))

    def _is_no_file(self, file: File) -> StorehouseError:
        return StorehouseError(
            f"stores.sales: {self.root}/{printable(file.name)} is no file of this folder, but a pipe, a device, "
            "a socket, or a link that leads out of it or nowhere. It was not read. "
            "Put the file itself there, or remove it."
        )

    def _away(self, error: Exception, name: str = "sales") -> StorehouseError:
        kind = StorehouseError if isinstance(error, PermissionError | NoCredentialsError) else TransientError
        return kind(
            f"{self.root}/{printable(name)} can't be read: {first_line(error)}. "
            "Check STORES_URL and, for s3://, AWS_ENDPOINT_URL and the AWS credentials."
        )


class _Limit(Callback):
    """Stops the copying of a file that is larger than it was said to be."""

    def relative_update(self, inc: int = 1) -> None:
        """Count bytes that came."""
        super().relative_update(inc)
        _check_size(self.value)


def _check_size(size: int) -> None:
    if not size:
        raise ValueError("it is empty")
    if size > settings().store_file_max_mb * 1e6:
        raise ValueError(f"it is larger than STORE_FILE_MAX_MB ({settings().store_file_max_mb:g} MB)")


def _stamp(stream: BufferedReader) -> tuple[int, int]:
    """What changes when a file is written to."""
    now = os.fstat(stream.fileno())
    return now.st_size, now.st_mtime_ns


def _hash(stream: BufferedReader) -> str:
    digest = hashlib.file_digest(stream, "sha256").hexdigest()
    stream.seek(0)
    return f"sha256:{digest}"


def _unread(place: str, why: str) -> StorehouseError:
    return StorehouseError(
        f"stores.sales: {place} can't be read: {why}. Nothing of it was landed. Write it again; the next load takes it."
    )


def _changed(place: str) -> TransientError:
    return TransientError(
        f"stores.sales: {place} changed while it was read. Nothing of it was landed; the next load takes it. "
        f"Write a day's files before its {FLAG}, and move a file that is corrected into its place."
    )


def _too_slow() -> str:
    return f"it takes longer than STORE_FILE_SECONDS ({settings().store_file_seconds:g} s)"


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


def _day(folder: str) -> datetime | None:
    named = _DAY_FOLDER.fullmatch(folder)
    if named is None:
        return None
    try:
        year, month, day = map(int, named.groups())
        midnight = datetime.combine(date(year, month, day), datetime.min.time(), UTC)
        # The last day of the calendar has no end.
        return midnight if midnight + timedelta(days=1) else None
    except (ValueError, OverflowError):
        return None


def _load_file(
    warehouse: Database, place: str, stream: BufferedReader, stamp: tuple[int, int], load: Load
) -> LoadResult:
    """Land what a file holds, as it was when it had this stamp; `place` is where it is, for messages."""

    def feed(write: Callable[..., None]) -> None:
        lines = _csv_lines if (load.partition or "").lower().endswith(".csv") else _parquet_lines
        try:
            with _memory_limit():
                for line, text in _within_limits(lines(stream, load)):
                    write(text, load.partition, line)
        except psycopg.Error:
            raise
        except Exception as error:
            # The file breaks while it is read, in whatever way: the others land.
            raise (_changed(place) if _stamp(stream) != stamp else _broken(place, error)) from None
        if _stamp(stream) != stamp:
            raise _changed(place)
        load.bytes = stamp[0]

    columns = ["payload", "_file", "_line"]
    return land(warehouse, load, lambda load_id: copy_rows(warehouse, load.table, columns, load_id, feed))


def _broken(place: str, error: Exception) -> StorehouseError:
    match error:
        case MemoryError():
            return _unread(place, f"it takes more memory than STORE_MEMORY_MB ({settings().store_memory_mb:g} MB)")
        case TimeoutError():
            return TransientError(str(_unread(place, str(error))))
        case ValueError() | csv.Error() | OSError():  # Arrow's errors are of these kinds
            return _unread(place, without_values(first_line(error)))
        case _:
            return _unread(place, unexpected(error))


def _within_limits(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """The lines of a file, until they are too many, too long, or too slow.

    Raises:
        ValueError, TimeoutError: which limit it was.
    """
    limits = settings()
    until, most, longest = time.monotonic() + limits.store_file_seconds, limits.store_file_max_mb * 1e6, _longest()
    unpacked = 0
    for number, text in lines:
        unpacked += len(text)
        if len(text) > longest:
            raise ValueError(_too_long("row", number))
        # A line of CSV grows by its members' names.
        if unpacked > most * 10:
            raise ValueError(f"it unpacks to more than ten times STORE_FILE_MAX_MB ({limits.store_file_max_mb:g} MB)")
        if time.monotonic() > until:
            raise TimeoutError(_too_slow())
        yield number, text


def _longest() -> int:
    return int(settings().store_line_max_mb * 1e6)


def _too_long(what: str, number: int) -> str:
    return f"{what} {number} is longer than STORE_LINE_MAX_MB ({settings().store_line_max_mb:g} MB)"


def _csv_lines(stream: BufferedReader, load: Load) -> Iterator[tuple[int, str]]:
    """Line number (the header is 1) and payload, values as text. A field can't hold a line break."""
    lines = _raw_lines(stream)
    header = _fields(next(lines).decode("utf-8-sig").rstrip("\r\n"))
    _check_columns(header, load, "header line")
    for number, line in enumerate(lines, start=2):
        try:
            text = line.decode().rstrip("\r\n")
            if not text:
                continue
            record = dict(zip(header, _fields(text), strict=True))
        except (csv.Error, ValueError):
            yield number, unreadable(line.decode(errors="backslashreplace").rstrip("\r\n"))
        else:
            yield number, payload(json.dumps(record, ensure_ascii=False))


def _raw_lines(stream: BufferedReader) -> Iterator[bytes]:
    longest = _longest()
    for number in itertools.count(1):
        line = stream.readline(longest + 1)
        if len(line) > longest:
            raise ValueError(_too_long("line", number))
        if not line:
            return
        yield line


def _fields(line: str) -> list[str]:
    return next(csv.reader((line,), strict=True))


def _parquet_lines(stream: BufferedReader, load: Load) -> Iterator[tuple[int, str]]:
    """Row number from 1 and payload."""
    file = parquet.read(stream)
    _check_columns(file.schema_arrow.names, load, "schema")
    numbers = itertools.count(1)
    # With threads of Arrow's own, a process may abort when it ends (apache/arrow#34314).
    for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
        for text in parquet.payloads(batch):
            yield next(numbers), text


def _check_columns(names: list[str], load: Load, where: str) -> None:
    load.members.update(names)
    if missing := [name for name in load.table.key if name not in names]:
        raise ValueError(f"its {where} lacks {', '.join(missing)}")
    if len(set(names)) < len(names):
        raise ValueError(f"its {where} names a column twice")
