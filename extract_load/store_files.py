"""Store files: day folders in a folder or bucket, read when their flag stands; one load a file, a payload a line."""

import csv
import hashlib
import io
import itertools
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import BinaryIO, NamedTuple

import fsspec
import psycopg
import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError

from extract_load import parquet
from extract_load.databases import Database
from extract_load.ledger import Interval, Load, LoadResult, Progress, append_rows, each, land, logger
from extract_load.payload import payload, unreadable
from extract_load.tables import Table
from storehouse.errors import StorehouseError, TransientError, without_values
from storehouse.settings import settings
from storehouse.shown import first_line, printable, shown

FLAG = "complete.flag"
BATCH_ROWS = 10_000
_DAY_FOLDER = re.compile(r"sales/year=(\d{4})/month=(\d{1,2})/day=(\d{1,2})$")
_AWAY = (OSError, BotoCoreError, ClientError)


class File(NamedTuple):
    """A file of a flagged day: where it is, its name in the ledger, its day, and its ETag if the store has one."""

    path: str
    name: str
    day: datetime
    etag: str | None


def load(warehouse: Database, table: Table, asked: Interval, run_id: str | None) -> list[LoadResult]:
    """Land the files of flagged day folders that were not landed with these contents before.

    An interval bounds the days. Without `from`, a day without its flag is left for later; with it, it is an error.

    Raises:
        StorehouseError: what failed, a line each, after the other files were landed.
    """
    files = _Files(settings().resolved_stores_url())
    found, waiting = files.of(asked)
    with warehouse.speaking():
        landed = dict(
            warehouse.execute(
                "select distinct on (partition) partition, checksum from raw.loads "
                "where source = %s and table_name = %s order by partition, load_id desc",
                [table.source, table.name],
            ).fetchall()
        )
    if waiting and not asked.from_:
        logger.info("%s  not read, no %s yet: %s", table.label, FLAG, ", ".join(waiting))
        waiting = []

    def load_one(item: File | str) -> LoadResult | None:
        if isinstance(item, str):
            raise TransientError(
                f"{table.label}: {files.root}/{item} has no {FLAG}: the day is not written yet, and was not read. "
                "Wait for the flag, or write it."
            )
        checksum = files.checksum(item)
        if landed.get(item.name) == checksum:
            return None
        load = Load(table, item.name, item.day, item.day + timedelta(days=1), run_id, checksum, is_one_of_many=True)
        results.append(_load_file(warehouse, files, item, load))
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
    """The folder or bucket above `sales/`, and what goes wrong with it in words."""

    def __init__(self, root: str) -> None:
        self.root = shown(root)  # for people
        try:
            self.system, self.base = fsspec.url_to_fs(root)
        except (ValueError, ImportError) as error:
            raise self._is_none(error) from None
        except OSError as error:  # some stores are connected to at once
            raise self._away(error) from None

    def of(self, asked: Interval) -> tuple[list[File], list[str]]:
        """The files of the flagged days in the interval, and the day folders there that have no flag, in order."""
        try:
            self.system.invalidate_cache()
            entries = self.system.find(f"{self.base}/sales", detail=True)
        except ValueError as error:
            raise self._is_none(error) from None
        except _AWAY as error:
            raise self._away(error) from None
        if not entries:
            raise StorehouseError(f"There is no file below {self.root}/sales. Check STORES_URL (docs/sources.md).")
        flagged = {path.rpartition("/")[0] for path in entries if path.endswith(f"/{FLAG}")}
        files, waiting, strangers = [], set(), []
        for path, entry in sorted(entries.items()):
            name = path.removeprefix(self.base).lstrip("/")
            folder, _, base_name = name.rpartition("/")
            if base_name == FLAG or base_name.startswith((".", "_")):
                continue
            day = _day(folder)
            # To read a pipe or a device has no end.
            if day is None or not base_name.lower().endswith((".parquet", ".csv")) or entry["type"] != "file":
                strangers.append(name)
            elif (asked.from_ and day + timedelta(days=1) <= asked.from_) or (asked.until and day >= asked.until):
                continue
            elif path.rpartition("/")[0] in flagged:
                files.append(File(path, name, day, entry.get("ETag")))
            else:
                waiting.add(folder)
        if strangers:
            logger.warning(
                "stores: %d files are not read: no plain .parquet or .csv in sales/year=…/month=…/day=…, such as %s",
                len(strangers),
                strangers[0],
            )
        return files, sorted(waiting)

    def checksum(self, file: File) -> str:
        """What tells that a file is still the same: the store's ETag, else a hash of its bytes."""
        if file.etag:
            return f"etag:{file.etag.strip(chr(34))}"
        with self.open(file) as stream:
            return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"

    def open(self, file: File) -> BinaryIO:
        """The file's bytes."""
        try:
            return self.system.open(file.path, "rb")
        except _AWAY as error:
            raise self._away(error, file.name) from None

    def _is_none(self, error: Exception) -> StorehouseError:
        return StorehouseError(f"STORES_URL={self.root}: {first_line(error)}. Give a folder or s3://bucket/path.")

    def _away(self, error: Exception, name: str = "sales") -> StorehouseError:
        return TransientError(
            f"{self.root}/{printable(name)} can't be read: {first_line(error)}. "
            "Check STORES_URL and, for s3://, AWS_ENDPOINT_URL and the AWS credentials."
        )


def _day(folder: str) -> datetime | None:
    try:
        year, month, day = map(int, _DAY_FOLDER.fullmatch(folder).groups())
        midnight = datetime.combine(date(year, month, day), datetime.min.time(), UTC)
        # The last day of the calendar has no end.
        return midnight if midnight + timedelta(days=1) else None
    except (AttributeError, ValueError, OverflowError):
        return None


def _load_file(warehouse: Database, files: _Files, file: File, load: Load) -> LoadResult:
    def feed(copy: psycopg.Copy) -> None:
        with files.open(file) as stream:
            try:
                size = stream.seek(0, io.SEEK_END)
                stream.seek(0)
                if not size:
                    raise ValueError("it is empty")
                lines = _csv_lines if file.name.lower().endswith(".csv") else _parquet_lines
                for line, text in lines(stream, load):
                    copy.write_row((text, line))
                load.bytes = size
            except (ValueError, csv.Error, pa.ArrowException, *_AWAY) as error:
                raise StorehouseError(
                    f"{load.table.label}: {files.root}/{printable(file.name)} can't be read: "
                    f"{without_values(first_line(error))}. "
                    "Nothing of it was landed. Write it again; the next load takes it."
                ) from None

    def append(load_id: int) -> int:
        return append_rows(warehouse, load.table, ["payload", "_line"], load_id, _file=file.name)

    return land(warehouse, load, {"payload": "jsonb", "_line": "bigint"}, feed, append)


def _csv_lines(stream: BinaryIO, load: Load) -> Iterator[tuple[int, str]]:
    """Line number (the header is 1) and payload, values as text. A field can't hold a line break."""
    buffered = io.BufferedReader(stream) if not isinstance(stream, io.BufferedIOBase) else stream
    header = _fields(next(iter(buffered)).decode("utf-8-sig").rstrip("\r\n"))
    _check_columns(header, load, "header line")
    for number, line in enumerate(buffered, start=2):
        try:
            text = line.decode().rstrip("\r\n")
            if not text:
                continue
            record = dict(zip(header, _fields(text), strict=True))
        except (csv.Error, ValueError):
            yield number, unreadable(line.decode(errors="backslashreplace").rstrip("\r\n"))
        else:
            yield number, payload(json.dumps(record, ensure_ascii=False))


def _fields(line: str) -> list[str]:
    return next(csv.reader((line,), strict=True))


def _parquet_lines(stream: BinaryIO, load: Load) -> Iterator[tuple[int, str]]:
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
