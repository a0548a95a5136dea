"""The stores' files: a folder a day, a file a store, and the flag that says the day is written."""

import io
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from demo.statements import statement
from storehouse.core.settings import settings

FLAG = "complete.flag"

SCHEMA = pa.schema(
    [
        ("store_id", pa.string()),
        ("receipt_id", pa.string()),
        ("line_number", pa.int32()),
        ("sold_at", pa.timestamp("us", "UTC")),
        ("updated_at", pa.timestamp("us", "UTC")),
        ("region", pa.string()),
        ("country", pa.string()),
        ("product_id", pa.string()),
        ("quantity", pa.int32()),
        ("unit_price", pa.decimal128(14, 2)),
        ("discount_amount", pa.decimal128(14, 2)),
        ("currency", pa.string()),
        ("payment_method", pa.string()),
        ("customer_id", pa.string()),
        ("is_void", pa.bool_()),
    ]
)
HEADER = ",".join(SCHEMA.names)

# Receipts whose lines are drawn at once.
CHUNK_RECEIPTS = 100_000


def folder() -> Path:
    """The demo's own stores folder, whatever `STORES_URL` says."""
    return settings().home / "demo" / "stores"


def clear() -> None:
    """Take away the files of a shop that is no more."""
    shutil.rmtree(folder() / "sales", ignore_errors=True)


def write(
    connection: psycopg.Connection, first: date, last: date, report: Callable[[str], None] = lambda line: None
) -> int:
    """Write each day of [first, last] that has no flag yet; the number of files written.

    A day's files are the same whenever they are written, so a day that was left half-written is simply written again.
    """
    files = 0
    for start, end in _chunks(connection, first, last):
        query = statement("store_sales", start=first, from_day=start, until_day=end + timedelta(days=1))
        with connection.cursor("store_files") as cursor:
            cursor.itersize = 8
            for day, store_id, is_parquet, lines in cursor.execute(query):
                _write_file(_day_folder(day), store_id, is_parquet, f"{HEADER}\n{lines}\n".encode())
                files += 1
        for number in range((end - start).days + 1):
            place = _day_folder(start + timedelta(days=number))
            place.mkdir(parents=True, exist_ok=True)
            (place / FLAG).touch()
        report(f"stores: through {end}: {files:,} files in {folder()}")
    return files


def _chunks(connection: psycopg.Connection, first: date, last: date) -> list[tuple[date, date]]:
    """The days without a flag, in runs of neighbours that are not too large."""
    chunks: list[tuple[date, date]] = []
    receipts = 0
    for day, count in connection.execute(
        "select day, store from demo.days where day between %s and %s order by day", [first, last]
    ):
        if (_day_folder(day) / FLAG).exists():
            continue
        if chunks and chunks[-1][1] == day - timedelta(days=1) and receipts + count <= CHUNK_RECEIPTS:
            chunks[-1] = (chunks[-1][0], day)
            receipts += count
        else:
            chunks.append((day, day))
            receipts = count
    return chunks


def _day_folder(day: date) -> Path:
    return folder() / "sales" / f"year={day:%Y}" / f"month={day:%m}" / f"day={day:%d}"


def _write_file(place: Path, store_id: str, is_parquet: bool, content: bytes) -> None:
    """Write under a hidden name first: a reader sees a whole file or none."""
    place.mkdir(parents=True, exist_ok=True)
    target = place / f"{store_id}.{'parquet' if is_parquet else 'csv'}"
    unfinished = place / f".{target.name}.part"
    if is_parquet:
        options = pyarrow.csv.ConvertOptions(column_types=SCHEMA, strings_can_be_null=True, null_values=[""])
        pyarrow.parquet.write_table(pyarrow.csv.read_csv(io.BytesIO(content), convert_options=options), unfinished)
    else:
        unfinished.write_bytes(content)
    unfinished.rename(target)
