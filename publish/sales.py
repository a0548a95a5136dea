"""Daily sales as Parquet: a file a day under `sales/year=…/month=…/day=…`, and a manifest of what each file has.

A day is written when its rows differ from those in the manifest, or its file is not the one that was written.
The manifest comes last: what a killed export has written, the next one writes again.
"""

import errno
import io
import itertools
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import NamedTuple, cast

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from psycopg import sql
from psycopg.rows import dict_row

from publish.warehouse import EXPORT_LOCK, snapshot
from storehouse.core.errors import StorehouseError, TransientError, as_error, without_values
from storehouse.core.queries import columns_of
from storehouse.core.settings import settings
from storehouse.core.shown import first_line, shown
from storehouse.core.stores import AWAY, open_store

logger = logging.getLogger("publish")

MART = sql.SQL("sales.agg_daily_sales")
DATE, ORDER = "order_date", sql.SQL("order_date, channel, region, currency")
MANIFEST = "sales/_manifest.json"  # readers of Parquet folders leave out what begins with _ or .
BATCH = 10_000  # rows fetched at once
_DAYS_FILE = re.compile(r"sales/year=\d{4}/month=\d\d/day=\d\d/\.?sales\.parquet")
_ARROW = {
    "bool": pa.bool_(),
    "date": pa.date32(),
    "float8": pa.float64(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "text": pa.string(),
    "timestamptz": pa.timestamp("us", "UTC"),
    "varchar": pa.string(),
}


class Exported(NamedTuple):
    """What an export did, in days; `rows` are those of the days written."""

    written: int
    removed: int
    unchanged: int
    rows: int


class Day(NamedTuple):
    """What the mart has of a day; `content` is a hash of its rows and their types."""

    day: date
    rows: int
    content: str


def export() -> Exported:
    """Export the days that changed; see `publish.daily_sales`."""
    target = _Target(settings().resolved_sales_export_url())
    with snapshot(EXPORT_LOCK, "the export of daily sales") as warehouse:
        schema = _schema(warehouse)
        wanted = {_path(day.day): day for day in _days(warehouse, schema)}
        if not wanted:
            logger.warning("sales     sales.agg_daily_sales is empty: %s stays as it is", target.url)
            return Exported(0, 0, 0, 0)
        manifest, sizes = target.read_manifest(), target.sizes()
        kept = {
            path: entry
            for path, entry in manifest.items()
            if path in wanted and entry["content"] == wanted[path].content and entry["bytes"] == sizes.get(path)
        }
        written = {}
        for table in _tables(warehouse, schema, [day.day for path, day in wanted.items() if path not in kept]):
            path = _path(table[DATE][0].as_py())
            size = target.replace(path, table, wanted[path].rows)
            written[path] = {"rows": table.num_rows, "bytes": size, "content": wanted[path].content}
        gone = sorted(sizes.keys() - wanted.keys())
        for path in gone:
            target.remove(path)
        # Still under the lock: who waits for it reads this manifest.
        if kept | written != manifest:
            target.write_manifest(kept | written)
    done = Exported(len(written), len(gone), len(kept), sum(entry["rows"] for entry in written.values()))
    words = "sales     %d days written (%s rows), %d removed, %d unchanged: %s"
    logger.info(words, done.written, f"{done.rows:,}", done.removed, done.unchanged, target.url)
    return done


def _schema(warehouse: psycopg.Connection) -> pa.Schema:
    """The mart's columns in Arrow's types: exact ones, or an error."""
    fields = []
    for column in columns_of(warehouse, MART):
        type_ = psycopg.postgres.types[column.type_code].name
        if type_ == "numeric" and column.precision is not None:
            fields.append((column.name, pa.decimal128(column.precision, column.scale)))
        elif type_ in _ARROW:
            fields.append((column.name, _ARROW[type_]))
        else:
            raise StorehouseError(
                f"sales.agg_daily_sales.{column.name} is {column.type_display}: no exact Parquet type is known for it. "
                f"Known are numeric with a precision, {', '.join(_ARROW)}: publish/sales.py."
            )
    return pa.schema(fields)


def _days(warehouse: psycopg.Connection, schema: pa.Schema) -> list[Day]:
    """Every day of the mart, in order: the aggregate is small, and reading it all needs no memory of what changed."""
    statement = sql.SQL(
        "select {day}, count(*), md5(%s || string_agg(mart::text, chr(10) order by {order})) "
        "from {mart} as mart group by {day} order by {day}"
    ).format(day=sql.Identifier(DATE), order=ORDER, mart=MART)
    return [Day(*row) for row in warehouse.execute(statement, [str(schema)])]


def _tables(warehouse: psycopg.Connection, schema: pa.Schema, days: list[date]) -> Iterator[pa.Table]:
    """The rows of these days, a table a day, from a server-side cursor."""
    statement = sql.SQL("select * from {mart} where {day} = any(%s) order by {order}").format(
        mart=MART, day=sql.Identifier(DATE), order=ORDER
    )
    with warehouse.cursor(name="sales", row_factory=dict_row) as cursor:
        cursor.itersize = BATCH
        cursor.execute(statement, [days])
        for _, rows in itertools.groupby(cursor, key=lambda row: row[DATE]):
            yield pa.Table.from_pylist(list(rows), schema)


def _path(day: date) -> str:
    return f"sales/{day:year=%Y/month=%m/day=%d}/sales.parquet"


class _Target:
    """The folder or bucket above `sales/`; what goes wrong with it becomes one message."""

    def __init__(self, url: str) -> None:
        self.url = shown(url.rstrip("/"))  # for people
        self.system, self.base = open_store(url.rstrip("/"), "SALES_EXPORT_URL", is_new=True)

    def read_manifest(self) -> dict[str, dict]:
        """Rows, bytes and content of each file, as the last export that ended well has left them."""
        with self._speaking(MANIFEST):
            try:
                return json.loads(self.system.cat_file(self._at(MANIFEST)))
            except FileNotFoundError:
                return {}
            except ValueError:
                logger.warning("sales     %s/%s can't be read: every day is written again", self.url, MANIFEST)
                return {}

    def write_manifest(self, manifest: dict[str, dict]) -> None:
        """Replace the manifest."""
        with self._speaking(MANIFEST):
            self._put(MANIFEST, json.dumps(manifest, indent=0, sort_keys=True).encode())

    def sizes(self) -> dict[str, int]:
        """The bytes of every file of a day that stands there, those of a killed export among them."""
        with self._speaking("sales"):
            found = dict(self.system.find(self._at("sales"), detail=True))
        names = {path.removeprefix(self.base).lstrip("/"): entry["size"] for path, entry in found.items()}
        return {name: size for name, size in names.items() if _DAYS_FILE.fullmatch(name)}

    def replace(self, path: str, table: pa.Table, rows: int) -> int:
        """Write a day's file in place of the one before, read it back, and return its size.

        Raises:
            StorehouseError: it does not hold what was written, or could not be written.
        """
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        with self._speaking(path):
            self._put(path, buffer.getvalue())
            stored = cast(bytes, self.system.cat_file(self._at(path)))
        try:
            # Arrow's own threads, which `read_table` starts whatever its arguments, may abort a process that ends
            # (apache/arrow#34314).
            held = pq.ParquetFile(io.BytesIO(stored), pre_buffer=False).read(use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise self._not_what_was_written(path, f"it can't be read: {without_values(first_line(error))}") from None
        if (len(stored), held.num_rows) != (len(buffer.getvalue()), rows) or not held.equals(table):
            wanted = f"{rows:,} rows in {len(buffer.getvalue()):,} bytes were written"
            raise self._not_what_was_written(path, f"{held.num_rows:,} rows in {len(stored):,} bytes, {wanted}")
        return len(stored)

    def remove(self, path: str) -> None:
        """Remove the file of a day that is no more, or what a killed export left, unless it was just moved away."""
        with self._speaking(path), suppress(FileNotFoundError):
            self.system.rm_file(self._at(path))

    def _put(self, path: str, content: bytes) -> None:
        """Readers see the old file or the new one: a put into an object store is atomic, a file is moved."""
        if not isinstance(self.system, LocalFileSystem):
            self.system.pipe_file(self._at(path), content)
            return
        file = Path(self._at(path))
        file.parent.mkdir(parents=True, exist_ok=True)
        building = file.with_name(f".{file.name}")
        building.write_bytes(content)
        building.replace(file)

    def _at(self, path: str) -> str:
        return f"{self.base}/{path}"

    def _not_what_was_written(self, path: str, found: str) -> TransientError:
        return TransientError(
            f"{self.url}/{path} does not hold what was written: {found}. "
            "Run it again: it writes the day again. If the error stays, the store returns wrong data."
        )

    def _is_none(self, error: Exception) -> StorehouseError:
        return as_error(f"SALES_EXPORT_URL={self.url}: {first_line(error)}. Give a folder or s3://bucket/path.")

    @contextmanager
    def _speaking(self, path: str) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise self._is_none(error) from None
        except AWAY as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorehouseError(
                    f"{self.url}/{path} can't be written: {error.strerror}. Make room there and run it again: "
                    "readers keep what they have."
                ) from None
            raise as_error(
                f"{self.url}/{path} can't be read or written: {first_line(error)}. "
                "Check SALES_EXPORT_URL and, for s3://, AWS_ENDPOINT_URL and the AWS credentials."
            ) from None
