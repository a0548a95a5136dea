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
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import IsolationLevel, sql

import extract_load
from extract_load import ledger
from storehouse.core.databases import Database, only_one, open_warehouse, take_lock
from storehouse.core.errors import StorehouseError
from storehouse.core.progress import say
from storehouse.core.queries import one_value
from storehouse.core.settings import settings

LOCK = 0x7265706C6179  # "replay": two would land the same rows twice
LOADS = "loads.parquet"
# A folder that is being written: no archive.
PART = ".part"
# Of a file's metadata: the types of its columns.
TYPES = "postgresql"
BATCH = 20_000  # rows
# By which a load is known again.
IDENTITY = ("load_id", "position", "finished_at")

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
    known = {_identity(load) for one in _archives(folder) for load in _read(one / LOADS)}
    part = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}{PART}"
    made = part.with_suffix("")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.mkdir(mode=0o700)
        written = _write(part, known, before)
        if written:
            part.rename(made)
            _to_disk(made)
            _to_disk(folder)
    except OSError as error:
        raise StorehouseError(f"{folder}: {error.strerror or type(error).__name__}. Nothing was archived.") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if not written:
        print(f"Nothing to archive: all loads of then are in {folder} already, or there are none.")
        return 0
    loads, rows = written
    size = sum(file.stat().st_size for file in made.iterdir()) / 1e6
    print(
        f"{made}: {rows:,} rows of {loads:,} loads, {size:.1f} MB, {time.monotonic() - began:.0f} s. "
        "Raw has them still: docs/backup.md#archives says what it means to delete them there."
    )
    return 0


def replay(folder: Path | None) -> int:
    """Land what the archives of a folder have and raw lacks, under its numbers of then, and print what it was.

    Args:
        folder: of archives, or one archive; `archives` in the home.

    Raises:
        StorehouseError: there is no archive; it can't be read; it is of another warehouse. Of an archive all is landed,
            or nothing.
    """
    folder = (folder or settings().home / "archives").expanduser().absolute()
    archives = [folder] if (folder / LOADS).is_file() else _archives(folder)
    if not archives:
        raise StorehouseError(f"{folder} has no archive. make archive makes one; FOLDER= is another folder.")
    extract_load.prepare()
    landed: list[Row] = []
    try:
        with only_one("extract", LOCK, "replays"), open_warehouse("extract") as warehouse, warehouse.speaking():
            _check_whose(warehouse, archives)
            for one in archives:
                say("replay", one.name)
                landed += _land(warehouse, one)
    finally:
        _tell(landed)
    print(f"Of {len(archives)} archives all is there now.")
    return 0


def _tell(landed: list[Row]) -> None:
    """What was landed, and what that asks for: also when a later archive could not be."""
    rows = sum(int(load["rows"]) for load in landed)
    print(f"{len(landed):,} loads of {rows:,} rows were landed again.")
    if not landed:
        return
    first = min(int(load["position"]) for load in landed)
    print(
        f"Models that were built without them, beyond position {first:,}, need dbt build --full-refresh."
        if _built_until() >= first
        else "Build them: .venv/bin/python -m storehouse dbt build. With the demo shop, not make run."
    )
    print("Who was forgotten since they were archived is there again: make forget (docs/backup.md#archives).")


def _archives(folder: Path) -> list[Path]:
    """In the order in which they were made. What is being written is none.

    Raises:
        StorehouseError: one has lost its ledger.
    """
    found = sorted({file.parent for file in folder.glob("*/*.parquet")} - {*folder.glob(f"*{PART}")})
    if broken := [one for one in found if not (one / LOADS).is_file()]:
        raise StorehouseError(f"{broken[0]} has no {LOADS}: take another copy of this archive, or move it away.")
    return found


def _identity(load: Row) -> tuple[str, ...]:
    return tuple(load[name] for name in IDENTITY)


def _write(part: Path, known: set[tuple[str, ...]], before: datetime | None) -> tuple[int, int] | None:
    """Write the files; returns how many loads and rows they hold, None if there are none."""
    with open_warehouse("transform") as warehouse, warehouse.speaking():
        warehouse.isolation_level = IsolationLevel.REPEATABLE_READ
        with warehouse.transaction():
            of_loads = _columns(warehouse, "raw", "loads")
            until = "finished_at < coalesce(%s, 'infinity'::timestamptz) order by position"
            loads = [
                x for x in _select(warehouse, "raw", "loads", of_loads, until, before) if _identity(x) not in known
            ]
            if not loads:
                return None
            total = 0
            for schema, name in sorted({_table_of(load) for load in loads}):
                due = {load["load_id"]: int(load["rows"]) for load in loads if _table_of(load) == (schema, name)}
                found: Counter[str] = Counter()
                columns = _columns(warehouse, schema, name)
                if columns:
                    rows = _select(warehouse, schema, name, columns, "_load_id = any(%s)", [int(x) for x in due])
                    total += _store(part / f"{schema}.{name}.parquet", columns, _counted(rows, found))
                _check_whole(due, found, f"{schema}.{name} in raw")
                say("archive", f"{schema}.{name}  {total:,} rows so far")
            _store(part / LOADS, of_loads, iter(loads))
    return len(loads), total


def _table_of(load: Row) -> tuple[str, str]:
    return f"raw_{load['source']}", load["table_name"]


def _counted(rows: Iterator[Row], found: "Counter[str]") -> Iterator[Row]:
    """The rows, which are counted by load as they come."""
    for row in rows:
        found[row["_load_id"]] += 1
        yield row


def _check_whole(due: dict[str, int], found: "Counter[str]", what: str) -> None:
    """Refuse loads whose rows are not all there: an archive of them would be taken for whole.

    Raises:
        StorehouseError: which load it is.
    """
    for load, rows in due.items():
        if found[load] != rows:
            raise StorehouseError(
                f"{what} has {found[load]:,} rows of load {load}, and the ledger says {rows:,}: were some deleted? "
                "Nothing of it was archived or landed. A load is deleted whole (docs/backup.md#archives)."
            )


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
    """Rows, each value as the text that PostgreSQL has for it in any session of ours."""
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns)
    statement = sql.SQL("select {} from {} as rows where {}").format(
        texts, sql.Identifier(schema, name), sql.SQL(where)
    )
    with warehouse.cursor(name="archived") as cursor:
        cursor.itersize = BATCH
        for row in cursor.execute(statement, [parameter]):
            yield dict(zip(columns, row, strict=True))


def _store(file: Path, columns: dict[str, str], rows: Iterator[Row]) -> int:
    """Write a file, to the disk; returns how many rows it has."""
    schema = pa.schema([(column, pa.string()) for column in columns], {TYPES: json.dumps(columns)})
    count = 0
    with pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer:
        while batch := list(itertools.islice(rows, BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))
            count += len(batch)
    _to_disk(file)
    return count


def _to_disk(path: Path) -> None:
    """Whoever deletes from raw what an archive has must find it after a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        # Without its words: they may quote what is stored.
        raise StorehouseError(
            f"{file} can't be read ({type(error).__name__}): take another copy of this archive."
        ) from None


def _read(file: Path) -> Iterator[Row]:
    with _reading(file), pq.ParquetFile(file, page_checksum_verification=True) as stored:
        for batch in stored.iter_batches(BATCH):
            yield from batch.to_pylist()


def _types(file: Path) -> dict[str, str]:
    with _reading(file):
        return json.loads(pq.read_schema(file).metadata[TYPES.encode()])


def _check_whose(warehouse: Database, archives: list[Path]) -> None:
    """Refuse archives of another warehouse: one that has loads of its own and none of these.

    Raises:
        StorehouseError: it is so, or another load has the number of one of these.
    """
    archived = [(_identity(load), one) for one in archives for load in _read(one / LOADS)]
    with warehouse.transaction():
        there = {_identity(load) for load in _select(warehouse, "raw", "loads", IDENTITY, "%s", True)}
    others = there - {load for load, _ in archived}
    taken = {numbers for load_id, position, _ in others for numbers in (("load_id", load_id), ("position", position))}
    for load, one in archived:
        is_other = load not in there and {("load_id", load[0]), ("position", load[1])} & taken
        if is_other or (there and len(others) == len(there)):
            raise StorehouseError(
                f"This warehouse has other loads than {one} (load {load[0]}, position {load[1]}): an archive "
                "is replayed into its own warehouse, or into one where nothing landed. Nothing was landed."
            )


def _land(warehouse: Database, archived: Path) -> list[Row]:
    """Land the loads of an archive that the ledger, or raw, lacks, in one transaction; returns their ledger rows."""
    with warehouse.transaction():
        there = {load["load_id"] for load in _select(warehouse, "raw", "loads", ["load_id"], "%s", True)}
    loads = list(_read(archived / LOADS))
    wanted: list[Row] = []
    with warehouse.transaction():
        for table in sorted({_table_of(load) for load in loads}):
            of_table = {load["load_id"]: load for load in loads if _table_of(load) == table and int(load["rows"])}
            kept = _counts(warehouse, *table, list(of_table))
            # What was deleted in part would be doubled.
            _check_whole({load: int(of_table[load]["rows"]) for load in kept}, kept, f"{'.'.join(table)} in raw")
            lacking = [load for load_id, load in of_table.items() if load_id not in kept]
            if not lacking:
                continue
            wanted += lacking
            schema, name = table
            if one_value(warehouse, "select to_regnamespace(%s) is null", [f'"{schema}"']):
                warehouse.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
            file = archived / f"{schema}.{name}.parquet"
            columns = _types(file)
            ledger.shape(warehouse, schema, name, columns)
            due, found = {load["load_id"]: int(load["rows"]) for load in lacking}, Counter()
            rows = (row for row in _read(file) if row["_load_id"] in due)
            _copy(warehouse, sql.Identifier(schema, name), list(columns), _counted(rows, found))
            _check_whole(due, found, str(file))
            warehouse.execute(sql.SQL("analyze {}").format(sql.Identifier(schema, name)))
        new = [load for load in loads if load["load_id"] not in there]
        if new:
            # What is drawn from now on comes after them; whoever draws meanwhile finds its position taken at most.
            last = max(int(load["load_id"]) for load in new)
            drawn = one_value(warehouse, "select nextval('raw.load_ids')")
            if last > drawn:
                warehouse.execute("select nextval('raw.load_ids') from generate_series(1, %s)", [last - drawn])
            take_lock(warehouse, ledger.LEDGER_LOCK, "raw.loads, the ledger")
            _copy(warehouse, sql.Identifier("raw", "loads"), list(new[0]), iter(new))
    return [*new, *(load for load in wanted if load["load_id"] in there)]


def _counts(warehouse: Database, schema: str, name: str, loads: list[str]) -> "Counter[str]":
    """How many rows of each of these loads raw has; those without any are left out."""
    if one_value(warehouse, "select to_regclass(format('%%I.%%I', %s::text, %s::text)) is null", [schema, name]):
        return Counter()
    statement = sql.SQL("select _load_id::text, count(*) from {} where _load_id = any(%s) group by _load_id")
    counted = warehouse.execute(statement.format(sql.Identifier(schema, name)), [[int(load) for load in loads]])
    return Counter(dict(counted.fetchall()))


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
