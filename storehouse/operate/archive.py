"""Archives of landed loads: rows of raw and of its ledger as Parquet files, and back into a warehouse.

How long raw is kept is its owner's decision: nothing here deletes. An archive is a folder with `loads.parquet`, rows of
the ledger, and a file a raw table, with the rows of those loads. Each value is the text that PostgreSQL has for it, and
so is exact. The types stand in the files' metadata, under `postgresql`.
"""

import itertools
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import IsolationLevel, sql

import extract_load
from extract_load import ledger
from storehouse.core.databases import Database, open_warehouse, take_lock
from storehouse.core.errors import StorehouseError
from storehouse.core.progress import say
from storehouse.core.queries import one_value
from storehouse.core.settings import settings

LOADS = "loads.parquet"
# A folder that is being written: no archive.
PART = ".part"
BATCH = 20_000  # rows
# Of an archive, the numbers of the ledger that others know a load by.
NUMBERS = ("load_id", "position")

Row = dict[str, Any]  # texts by column, or None


def archive(folder: Path | None, before: datetime | None) -> int:
    """Write what was landed before a moment and is in no archive of the folder yet, and print what was made.

    Args:
        folder: of archives; `archives` in the home.
        before: loads that ended before this moment; None: all.

    Raises:
        StorehouseError: it failed; nothing that can be taken for an archive was left.
    """
    began = time.monotonic()
    folder = (folder or settings().home / "archives").expanduser().absolute()
    known = {(load["load_id"], load["finished_at"]) for one in _archives(folder) for load in _read(one / LOADS)}
    part = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}{PART}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.mkdir(mode=0o700)
        made = _write(part, known, before)
        if made:
            part.rename(part.with_suffix(""))
    except OSError as error:
        raise StorehouseError(f"{folder}: {error.strerror or type(error).__name__}. Nothing was archived.") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if not made:
        print(f"Nothing to archive: all loads of then are in {folder} already, or there are none.")
        return 0
    loads, rows = made
    size = sum(file.stat().st_size for file in part.with_suffix("").iterdir()) / 1e6
    print(
        f"{part.with_suffix('')}: {rows:,} rows of {loads:,} loads, {size:.1f} MB, {time.monotonic() - began:.0f} s. "
        "Raw has them still: docs/backup.md#archives says what it means to delete them there."
    )
    return 0


def replay(folder: Path | None) -> int:
    """Land what the archives of a folder have and the ledger lacks, under its numbers of then, and print what it was.

    Args:
        folder: of archives, or one archive; `archives` in the home.

    Raises:
        StorehouseError: there is no archive; it can't be read; the warehouse has other loads under the same numbers.
            Of an archive all is landed, or nothing.
    """
    folder = (folder or settings().home / "archives").expanduser().absolute()
    archives = [folder] if (folder / LOADS).is_file() else _archives(folder)
    if not archives:
        raise StorehouseError(f"{folder} has no archive. make archive makes one; FOLDER= is another folder.")
    extract_load.prepare()
    landed: list[Row] = []
    with open_warehouse("extract") as warehouse, warehouse.speaking():
        for one in archives:
            say("replay", one.name)
            try:
                landed += _land(warehouse, one)
            except (OSError, pa.ArrowException, KeyError) as error:
                # Without its words: they may quote what is stored.
                raise StorehouseError(
                    f"{one} can't be read ({type(error).__name__}). Nothing of it was landed; those before it were."
                ) from None
    rows = sum(int(load["rows"]) for load in landed)
    print(f"{len(landed):,} loads of {rows:,} rows were landed again; of {len(archives)} archives all is there now.")
    if not landed:
        return 0
    first = min(int(load["position"]) for load in landed)
    print(
        f"Models that were built beyond position {first:,} do not know all of them: dbt build --full-refresh"
        if _built_until() >= first
        else "Build them: make run, or dbt build."
    )
    print("Who was forgotten since they were archived is there again: make forget (docs/backup.md#archives).")
    return 0


def _archives(folder: Path) -> list[Path]:
    """In the order in which they were made. What has no ledger, or is being written, is none."""
    return sorted(path.parent for path in folder.glob(f"*/{LOADS}") if path.parent.suffix != PART)


def _write(part: Path, known: set[tuple[str, str]], before: datetime | None) -> tuple[int, int] | None:
    """Write the files; returns how many loads and rows they hold, None if there are none."""
    with open_warehouse("transform") as warehouse, warehouse.speaking():
        warehouse.isolation_level = IsolationLevel.REPEATABLE_READ
        with warehouse.transaction():
            of_loads = _columns(warehouse, "raw", "loads")
            loads = [
                load
                for load in _select(
                    warehouse, "raw", "loads", of_loads, "finished_at < coalesce(%s, 'infinity'::timestamptz)", before
                )
                if (load["load_id"], load["finished_at"]) not in known
            ]
            if not loads:
                return None
            rows = 0
            for schema, name in sorted({(f"raw_{load['source']}", load["table_name"]) for load in loads}):
                ids = [int(x["load_id"]) for x in loads if (f"raw_{x['source']}", x["table_name"]) == (schema, name)]
                if columns := _columns(warehouse, schema, name):
                    found = _select(warehouse, schema, name, columns, "_load_id = any(%s)", ids)
                    rows += _store(part / f"{schema}.{name}.parquet", columns, found)
                    say("archive", f"{schema}.{name}  {rows:,} rows so far")
            _store(part / LOADS, of_loads, iter(loads))
    return len(loads), rows


def _columns(warehouse: Database, schema: str, name: str) -> dict[str, str]:
    """The columns of a table and their types; none if it is not there."""
    return dict(
        warehouse.execute(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = to_regclass(format('%%I.%%I', %s::text, %s::text)) and attnum > 0 and not attisdropped "
            "order by attnum",
            [schema, name],
        ).fetchall()
    )


def _select(
    warehouse: Database, schema: str, name: str, columns: Iterable[str], where: LiteralString, parameter: object
) -> Iterator[Row]:
    """Rows in the order of loads, each value as the text that PostgreSQL has for it in any session of ours."""
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns)
    order = sql.SQL("position" if name == "loads" and schema == "raw" else "_load_id, _row")
    statement = sql.SQL("select {} from {} where {} order by {}").format(
        texts, sql.Identifier(schema, name), sql.SQL(where), order
    )
    with warehouse.cursor(name="archived") as cursor:
        cursor.itersize = BATCH
        for row in cursor.execute(statement, [parameter]):
            yield dict(zip(columns, row, strict=True))


def _store(file: Path, columns: dict[str, str], rows: Iterator[Row]) -> int:
    """Write a file, to the disk; returns how many rows it has."""
    schema = pa.schema([(column, pa.string()) for column in columns], {"postgresql": json.dumps(columns)})
    count = 0
    with pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer:
        while batch := list(itertools.islice(rows, BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
            count += len(batch)
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())
    return count


def _read(file: Path) -> Iterator[Row]:
    with pq.ParquetFile(file, page_checksum_verification=True) as stored:
        for batch in stored.iter_batches(BATCH):
            yield from batch.to_pylist()


def _land(warehouse: Database, archived: Path) -> list[Row]:
    """Land the loads of an archive that the ledger lacks, in one transaction; returns their rows of the ledger."""
    with warehouse.transaction():
        take_lock(warehouse, ledger.LEDGER_LOCK, "raw.loads, the ledger")
        there = {
            (load["load_id"], load["position"]): load["finished_at"]
            for load in _select(warehouse, "raw", "loads", (*NUMBERS, "finished_at"), "%s", True)
        }
        ids, positions = ({numbers[place] for numbers in there} for place in (0, 1))
        lacking = []
        for load in _read(archived / LOADS):
            numbers = load["load_id"], load["position"]
            if numbers not in there and (numbers[0] in ids or numbers[1] in positions):
                there[numbers] = None
            if numbers not in there:
                lacking.append(load)
            elif there[numbers] != load["finished_at"]:
                raise StorehouseError(
                    f"This warehouse has another load {numbers[0]} (position {numbers[1]}) than {archived}: an archive "
                    "is replayed into its own warehouse, or into one where nothing landed. Nothing of it was landed."
                )
        wanted = {load["load_id"] for load in lacking}
        for file in sorted(archived.glob("raw_*.parquet")):
            schema, _, name = file.stem.partition(".")
            if one_value(warehouse, "select to_regnamespace(%s) is null", [f'"{schema}"']):
                warehouse.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
            columns = json.loads(pq.read_schema(file).metadata[b"postgresql"])
            ledger.shape(warehouse, schema, name, columns)
            rows = (row for row in _read(file) if row["_load_id"] in wanted)
            _copy(warehouse, sql.Identifier(schema, name), list(columns), rows)
        if lacking:
            _copy(warehouse, sql.Identifier("raw", "loads"), list(lacking[0]), iter(lacking))
            # What is drawn from now on comes after them.
            last = max(int(load["load_id"]) for load in lacking)
            drawn = one_value(warehouse, "select nextval('raw.load_ids')")
            if last > drawn:
                warehouse.execute("select nextval('raw.load_ids') from generate_series(1, %s)", [last - drawn])
    return lacking


def _copy(warehouse: Database, relation: sql.Identifier, columns: Sequence[str], rows: Iterator[Row]) -> None:
    with warehouse.cursor() as cursor, cursor.copy(ledger.copy_into(relation, columns)) as copy:
        for row in rows:
            copy.write_row(tuple(row[column] for column in columns))


def _built_until() -> int:
    """The position up to which any model has been built; 0 if none was."""
    with open_warehouse("transform") as warehouse:
        if one_value(warehouse, "select to_regclass('converge.runs') is null"):
            return 0
        return one_value(warehouse, "select coalesce(max(bound), 0) from converge.runs")
