"""Files in a folder, a bucket or on a server, read once they are ready; a load a file, a payload a record.

`places` finds them and hands out their bytes, `formats` makes payloads of these (`parquet` of columns), and `looks` is
what `discover` and `check` see. docs/sources/files.md has every field of the declaration.
"""

import hashlib
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BufferedReader
from typing import cast

from extract_load.connectors import Asked
from extract_load.connectors.files.formats import reading, records
from extract_load.connectors.files.looks import check, discover
from extract_load.connectors.files.places import File, Place, stamp
from extract_load.declarations.file_patterns import on_day, read_pattern
from extract_load.declarations.files import Files
from extract_load.ledger import Interval, Load, LoadResult, Progress, copy_rows, each, land, logger
from extract_load.tables import Table, tables_of
from storehouse.core.databases import Database
from storehouse.core.errors import TransientError
from storehouse.core.shown import printable

__all__ = ["check", "discover", "load", "ready"]


def ready(tables: list[Table], until: datetime | None, _: datetime | None) -> str | None:
    """None when the files of the day before `until` can be read, of all tables.

    Where the paths say no day, when the folder is there; where no flag says that a day is written, when it has a file.
    """
    return next(filter(None, (_missing(table, until) for table in tables)), None)


def _missing(table: Table, until: datetime | None) -> str | None:
    said = _said(table)
    pattern = read_pattern(said.files)
    if until is None or not pattern.has_day:
        place = Place(table.label, table.connection, pattern.start)
        wanted = said.files if pattern.is_one_file else pattern.start
        return None if place.exists(wanted) else f"{'/'.join(filter(None, (place.root, wanted)))} is not there"
    day = until.astimezone(UTC) - timedelta(days=1)
    of_day = read_pattern(on_day(said.files, day.date()))
    place = Place(table.label, table.connection, of_day.start)
    # A folder of one day: its flag says all. One of many days has the flag since the first of them.
    if said.ready.flag and of_day.is_one_folder and not pattern.is_one_folder:
        return (
            None
            if place.exists(f"{of_day.start}/{said.ready.flag}")
            else f"{place.where}/{said.ready.flag} is not there"
        )
    midnight = datetime.combine(day.date(), datetime.min.time(), UTC)
    found = place.of(said, Interval(midnight, midnight + timedelta(days=1)))
    if found.waiting:
        return f"{place.root}/{printable(found.waiting[0])} {_why_waiting(said)}"
    return None if found.files else f"{place.where} has no file of {day:%Y-%m-%d} that can be read"


def load(warehouse: Database, tables: list[Table], asked: Asked) -> list[LoadResult]:
    """Land the files that are ready and were not landed with these contents, read in this way, before.

    An interval bounds the days that paths say; a file without one is in every interval. Without `from`, a file that is
    not ready is left for later; with it, it is an error.

    Raises:
        StorehouseError: what failed, a line each, after the other files were landed.
    """
    results: list[LoadResult] = []
    each(lambda table: results.extend(_load_table(warehouse, table, asked)), tables)
    return results


def _load_table(warehouse: Database, table: Table, asked: Asked) -> list[LoadResult]:
    said = _said(table)
    place = Place(table.label, table.connection, read_pattern(said.files).start)
    others = [read_pattern(_said(other).files) for other in tables_of(table.source) if other != table]
    found = place.of(said, asked.interval, others)
    if not found.seen:
        raise place.is_empty()
    waiting = found.waiting
    with warehouse.speaking():
        landed = dict(
            warehouse.execute(
                "select distinct on (partition) partition, checksum from raw.loads "
                "where source = %s and table_name = %s order by partition, load_id desc",
                [table.source, table.name],
            ).fetchall()
        )
    if waiting and not asked.interval.from_:
        logger.info("%s  not read, %s: %s", table.label, _not_ready(said), ", ".join(waiting))
        waiting = []
    way = _way_of_reading(said)

    def load_one(item: File | str) -> LoadResult | None:
        if isinstance(item, str):
            raise TransientError(
                f"{table.label}: {place.root}/{printable(item)} {_why_waiting(said)}, and was not read. {_advice(said)}"
            )
        item = item._replace(etag=place.etag_of(item))
        checksum = item.etag and f"etag:{item.etag.strip(chr(34))}{way}"
        if checksum and landed.get(item.name) == checksum:
            return None
        with place.open(item) as stream:
            as_opened = stamp(stream)
            checksum = checksum or _hash(stream) + way
            if landed.get(item.name) == checksum:
                return None
            until = item.day and item.day + timedelta(days=1)
            load = Load(table, item.name, item.day, until, asked.run_id, checksum, is_one_of_many=True)
            results.append(_load_file(warehouse, place, item, stream, as_opened, load))
        progress.tell("%s  %d of %d files so far", table.label, len(results), len(found.files))
        return results[-1]

    results: list[LoadResult] = []
    progress = Progress()
    started = time.monotonic()
    try:
        return each(load_one, [*found.files, *waiting])
    finally:
        rows, seconds = f"{sum(result.rows for result in results):,}", time.monotonic() - started
        news = "%-24s %12s rows   %d of %d files new or changed   %.1f s"
        logger.info(news, table.label, rows, len(results), len(found.files), seconds)


def _load_file(
    warehouse: Database, place: Place, file: File, stream: BufferedReader, as_opened: tuple[int, int], load: Load
) -> LoadResult:
    """Land what a file holds, as it was when it had this stamp."""

    def feed(write: Callable[..., None]) -> None:
        with reading(place, file, stream, as_opened):
            for line, text in records(stream, load, _said(load.table), file.form, file.values):
                write(text, load.partition, line)
        load.bytes = as_opened[0]

    columns = ["payload", "_file", "_line"]
    return land(warehouse, load, lambda load_id: copy_rows(warehouse, load.table, columns, load_id, feed))


def _said(table: Table) -> Files:
    """The table's declaration."""
    return cast(Files, table.declaration)


def _way_of_reading(said: Files) -> str:
    """For the checksum: a file that is to be read in another way than by its name is landed again in that way."""
    way = said.model_dump(include={"format", "compression", "csv"}, exclude_defaults=True)
    if not said.csv.header:
        way["columns"] = said.columns
    if values := sorted(read_pattern(said.files).values.intersection(said.columns)):
        way["values"] = values
    return f" read:{zlib.crc32(repr(way).encode()):08x}" if way else ""


def _not_ready(said: Files) -> str:
    return f"no {said.ready.flag} yet" if said.ready.flag else f"changed less than {said.ready.minutes:g} minutes ago"


def _why_waiting(said: Files) -> str:
    if said.ready.flag:
        return f"has no {said.ready.flag}: it is not written yet"
    return f"changed less than {said.ready.minutes:g} minutes ago: it may not be written yet"


def _advice(said: Files) -> str:
    return "Wait for the flag, or write it." if said.ready.flag else "The next load takes it."


def _hash(stream: BufferedReader) -> str:
    digest = hashlib.file_digest(stream, "sha256").hexdigest()
    stream.seek(0)
    return f"sha256:{digest}"
