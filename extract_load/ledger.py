"""The raw schemas, and the transaction of a load: rows and their ledger row become visible together."""

import json
import logging
import re
import shlex
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

from psycopg import errors, sql
from psycopg.abc import Buffer

from extract_load import tables
from extract_load.tables import Table
from storehouse.core.databases import Database, only_one, take_lock
from storehouse.core.errors import StorehouseError, TransientError, telling_no_values
from storehouse.core.progress import about, interval
from storehouse.core.queries import as_sql, one_row, one_value
from storehouse.core.settings import settings

logger = logging.getLogger("extract_load")

# Advisory locks of this database. The ledger's is held from taking a load's position to its commit, by all tables
# alike: so positions grow in commit order, and once position n is visible nothing at or below n can appear later.
LEDGER_LOCK = 0x5EED_0001
SCHEMA_LOCK = 0x5EED_0002

# A load this large is followed by `analyze`: a planner that has not heard of it takes it for a row.
ANALYZE_ROWS = 10_000

# What a member of a record may be called in a message.
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")

# No change and no delete is older: such a time is the zero of a language or a clock (year 1 in Go, 1970 in Unix, in any
# time zone), and says nothing.
NO_TIME_BEFORE = datetime(1970, 1, 2, tzinfo=UTC)

Item = TypeVar("Item")
Result = TypeVar("Result")


class LoadResult(NamedTuple):
    """One load that was landed."""

    load_id: int
    source: str
    table: str
    partition: str | None
    rows: int
    bytes: int


class Interval(NamedTuple):
    """From inclusive, until exclusive. As asked, None is the watermark less the overlap, and all there is."""

    from_: datetime | None
    until: datetime | None


class Progress:
    """Logs the progress of something long, at most once a second."""

    def __init__(self) -> None:
        self._told_at = time.monotonic()

    def tell(self, message: str, *values: object) -> None:
        """Log it as progress, unless something was logged within the last second."""
        if time.monotonic() - self._told_at > 1:
            self._told_at = time.monotonic()
            logger.info(message, *values, extra={"is_progress": True})


@dataclass
class Load:
    """A load in progress: what its ledger row will say.

    Attributes:
        kind: how its rows were found, when not as the table is read.
        settled_until: where the next load begins when that is before the interval's end: transactions were open.
        is_one_of_many: no person is shown a line of it: a file, or one that its caller tells of.
        source_position: of a table that is read by its change log, up to where in it the table is known.
    """

    table: Table
    partition: str | None = None
    interval_from: datetime | None = None
    interval_until: datetime | None = None
    run_id: str | None = None
    checksum: str | None = None
    is_one_of_many: bool = False
    source_position: str | None = None
    kind: str | None = None
    settled_until: datetime | None = None
    bytes: int = 0
    members: set[str] = field(default_factory=set)
    _crc: int = 0
    _progress: Progress = field(default_factory=Progress)

    @property
    def label(self) -> str:
        """The name people read: `marketplace.orders us`."""
        return f"{self.table.label} {self.partition}" if self.partition else self.table.label

    def account(self, block: Buffer) -> None:
        """Count what came in, and say so now and then."""
        self.bytes += len(block)
        self._crc = zlib.crc32(block, self._crc)
        self._progress.tell("%s  %.0f MB so far", self.label, self.bytes / 1e6)

    @property
    def fingerprint(self) -> str:
        """The checksum given, or the CRC-32 of the bytes that came in."""
        return self.checksum or f"crc32:{self._crc:08x}"


def land(
    warehouse: Database,
    load: Load,
    write: Callable[[int], int],
    adapt: Callable[[int], None] = lambda load_id: None,
) -> LoadResult:
    """Land one load: its rows and its ledger row become visible together, or nothing does.

    Its id is drawn first, so that rows are written once, with it. Its position in the order of commits is given last.

    Args:
        warehouse: the connection; not in a transaction.
        load: what the ledger will say. `write` may still change its interval and its bytes.
        write: writes the rows into raw under the load id it is given; returns how many.
        adapt: gives raw the columns that the rows will have, before the transaction: adding one locks the table.

    Raises:
        StorehouseError: it was not landed, and nothing of it is there.
    """
    started = time.monotonic()
    with about(table=load.table.name, partition=load.partition), warehouse.speaking():
        load_id = begin(warehouse, adapt)
        with about(load=load_id), warehouse.transaction():
            rows = write(load_id)
            record(warehouse, load, load_id, rows)
    return landed(warehouse, load, load_id, rows, started)


def begin(warehouse: Database, adapt: Callable[[int], None]) -> int:
    """Draw the id of a load, and give raw the columns that its rows will have; not in a transaction."""
    load_id = one_value(warehouse, "select nextval('raw.load_ids')")
    with about(load=load_id):
        adapt(load_id)
    return load_id


def record(warehouse: Database, load: Load, load_id: int, rows: int) -> None:
    """Write the ledger row of a load whose rows are written; its transaction must end soon, for others wait."""
    take_lock(warehouse, LEDGER_LOCK, "raw.loads, the ledger")
    # The load's id, unless one that was drawn later is there already.
    position = one_value(warehouse, "select greatest(%s, max(position) + 1) from raw.loads", [load_id])
    warehouse.execute(
        "insert into raw.loads (load_id, source, table_name, partition, interval_from, interval_until, settled_until, "
        "kind, rows, bytes, checksum, run_id, position, source_position, started_at, finished_at) "
        "values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, now(), clock_timestamp())",
        [
            load_id,
            load.table.source,
            load.table.name,
            load.partition,
            load.interval_from,
            load.interval_until,
            load.settled_until,
            load.kind or load.table.kind,
            rows,
            load.bytes,
            load.fingerprint,
            load.run_id,
            position,
            load.source_position,
        ],
    )


def landed(warehouse: Database, load: Load, load_id: int, rows: int, started: float) -> LoadResult:
    """After the commit of a load that began at this time of `time.monotonic`: statistics, and what the log says."""
    read = interval(load.interval_from, load.interval_until)
    with about(table=load.table.name, partition=load.partition, load=load_id, interval=read):
        _analyze(warehouse, load.table, rows)
        if load.members:
            _tell_of_drift(warehouse, load, load_id)
        seconds = time.monotonic() - started
        with about(rows=rows, seconds=round(seconds, 3)):
            news = "%-24s %12s rows   load %d   %.1f s"
            is_note = {"is_note": load.is_one_of_many}
            logger.info(news, load.label, f"{rows:,}", load_id, seconds, extra=is_note)
    result = LoadResult(load_id, load.table.source, load.table.name, load.partition, rows, load.bytes)
    if (listening := _heard.get()) is not None:
        listening.append(result)
    return result


@contextmanager
def heard() -> Iterator[list[LoadResult]]:
    """A list of what is landed within it: also when another load fails, whose error is all that the caller gets."""
    token = _heard.set(loads := [])
    try:
        yield loads
    finally:
        _heard.reset(token)


_heard: ContextVar[list[LoadResult] | None] = ContextVar("heard", default=None)


@contextmanager
def one_at_a_time(tables: list[Table]) -> Iterator[None]:
    """What is compared with raw must land in the order it was read: one load or reconciliation of a source at a time.

    Of what is read by intervals alone, any loads may run side by side. Within it, the source is read and landed.
    """
    if all(table.kind == "interval" for table in tables):
        yield
        return
    source = tables[0].source
    with only_one("extract", snapshot_lock(source), f"loads of {source}"):
        yield


def snapshot_lock(source: str) -> int:
    """The key of the advisory lock of a source's snapshots."""
    return (zlib.crc32(source.encode()) & 0x7FFF_FFFF) << 32 | 0x5EED_0003


def copy_into(relation: sql.Composable, columns: Iterable[str], *, binary: bool = False) -> sql.Composed:
    """The COPY that writes these columns of raw rows."""
    return sql.SQL("copy {} ({}) from stdin {}").format(
        relation, sql.SQL(", ").join(map(sql.Identifier, columns)), sql.SQL("(format binary)" if binary else "")
    )


def copy_rows(
    warehouse: Database, table: Table, columns: Iterable[str], load_id: int, feed: Callable[[Callable[..., None]], None]
) -> int:
    """Write rows into raw as they come, numbered in their order; returns how many.

    Args:
        warehouse: in the transaction of `land`.
        table: where they land.
        columns: the columns that are given. A row is an upsert unless `_op` is one of them.
        load_id: of the load.
        feed: is given what writes one row, from the values of its columns, and calls it for each.
    """
    own = {"_load_id": load_id} | ({} if "_op" in (columns := list(columns)) else {"_op": "u"})
    values, rows = tuple(own.values()), 0
    statement = copy_into(sql.Identifier(table.schema, table.name), [*columns, *own, "_row"])
    with warehouse.cursor() as cursor, cursor.copy(statement) as copy:

        def write(*row: object) -> None:
            nonlocal rows
            rows += 1
            copy.write_row((*row, *values, rows))

        feed(write)
    return rows


def watermark(warehouse: Database, table: Table, partition: str | None = None) -> datetime | None:
    """Up to where the table was read without a gap, or None: what the loads' intervals, put together, cover.

    It is derived from the ledger alone. An interval that was read on its own doesn't move it past what lies between,
    and a backfill of the past doesn't move it back. It lies between `NO_TIME_BEFORE` and a day after the load, whatever
    a ledger row says.
    """
    with warehouse.speaking():
        found = warehouse.execute(
            """
            select upper(covered)
            from (
                select unnest(range_agg(tstzrange(interval_from, ended_at))) as covered
                from raw.loads
                cross join lateral (
                    select least(interval_until, settled_until, finished_at + interval '1 day') as ended_at
                ) as ended
                where source = %s and table_name = %s and partition is not distinct from %s
                  and interval_until >= %s and (interval_from <= ended_at or interval_from is null)
            ) as stretches
            where lower_inf(covered)
            """,
            [table.source, table.name, partition, NO_TIME_BEFORE],
        ).fetchone()
    return found[0] if found else None


def starting_point(warehouse: Database, table: Table, asked: Interval, partition: str | None = None) -> Interval:
    """The interval to read: as asked, or from the watermark less the overlap; from None is from the beginning."""
    if asked.from_:
        return asked
    reached = watermark(warehouse, table, partition)
    from_ = reached and reached - timedelta(minutes=settings().overlap_minutes)
    # An interval that lies before what was read holds nothing new.
    return Interval(min(from_, asked.until) if from_ and asked.until else from_, asked.until)


def each(load_one: Callable[[Item], Result | list[Result] | None], items: Iterable[Item]) -> list[Result]:
    """Load every item, those after a failure too; None is an item that had nothing to land, a list one of many tables.

    Raises:
        StorehouseError: what failed, a line each, after the others were landed.
    """
    results: list[Result] = []
    failures: dict[str, StorehouseError] = {}
    for item in items:
        try:
            with telling_no_values():
                if result := load_one(item):
                    results += result if isinstance(result, list) else [result]
        except StorehouseError as error:
            failures[str(error)] = error
    if failures:
        # Those that may pass decide: what succeeded already is not landed twice.
        may_pass = any(isinstance(error, TransientError) for error in failures.values())
        kind = TransientError if may_pass else StorehouseError
        raise kind("\n".join(failures)) from next(iter(failures.values()))
    return results


def prepare(warehouse: Database) -> None:
    """Create what is missing of `raw` and the raw tables; a role that may not create can run where all is there.

    Raises:
        StorehouseError: something is missing and the role may not create it.
    """
    with warehouse.speaking():
        raw = [f"{table.schema}.{table.name}" for table in tables.TABLES]
        wanted = [*LEDGER, *raw, *(f"{name}._supersedes" for name in raw)]
        there = {
            name
            for (name,) in warehouse.execute(
                # Not by to_regclass: that needs the use of the schema.
                "select nspname || '.' || name from pg_namespace join (select relnamespace, relname from pg_class "
                "union all select pronamespace, proname from pg_proc "
                "union all select relnamespace, relname || '.' || attname from pg_class join pg_attribute "
                "on attrelid = pg_class.oid "
                "where attname in ('settled_until', 'source_position', '_supersedes', 'counted_buffers')"
                ") as named (schema, name) "
                "on pg_namespace.oid = schema where nspname || '.' || name = any(%s)",
                [wanted],
            )
        }
        if there.issuperset(wanted):
            return
        try:
            with warehouse.transaction():
                take_lock(warehouse, SCHEMA_LOCK, "the raw schemas")
                if not there.issuperset(LEDGER):
                    warehouse.execute(as_sql(_RAW.read_text()))
                for schema in (f"raw_{source}" for source in tables.SOURCES):
                    # Asked first: `if not exists` needs the right to create even where there is nothing to do.
                    if one_value(warehouse, "select to_regnamespace(%s) is null", [schema]):
                        warehouse.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
                for table in tables.TABLES:
                    if f"{table.schema}.{table.name}" not in there:
                        columns = _columns(table)
                        required = columns.keys() - table.columns.keys() - {"_partition", *_SUPERSEDES}
                        shape(warehouse, table.schema, table.name, columns, required)
                    elif f"{table.schema}.{table.name}._supersedes" not in there:
                        shape(warehouse, table.schema, table.name, _SUPERSEDES)
        except errors.InsufficientPrivilege as error:
            if all(name.startswith("raw_operations.") for name in set(wanted) - there):
                # Of no load: what runs of dbt did lands there, and they say so themselves.
                return
            raise StorehouseError(
                f"The raw schemas are not complete in {warehouse.where}, and this role may not create them: "
                f"{error.diag.message_primary}. Let the database's owner run: "
                f"psql -d {shlex.quote(settings().warehouse_database)} "
                f"-v sources={shlex.quote(' '.join(tables.SOURCES))} -f deploy/roles.sql; "
                "without roles of their own: python -m extract_load prepare"
            ) from None


def check_not_empty(warehouse: Database, label: str, current: sql.Composed) -> None:
    """Refuse a snapshot in `_landing` without rows, if one of the `current` rows in raw lives.

    Raises:
        StorehouseError: it is so.
    """
    statement = sql.SQL(
        "select exists (select from _landing), exists (select from ({}) as current where _op <> 'd')"
    ).format(current)
    has_rows, had_rows = one_row(warehouse, statement)
    if had_rows and not has_rows:
        raise became_empty(label)


def became_empty(label: str) -> StorehouseError:
    """What is said of a table that had rows and is empty at the source."""
    return StorehouseError(
        f"{label} is empty at the source and had rows before. Nothing was landed. "
        "If all of them are really gone, run again with --allow-empty."
    )


def shape(
    warehouse: Database,
    schema: str,
    name: str,
    columns: Mapping[str, str],
    required: Iterable[str] = (),
) -> None:
    """Make the raw table, or give it the columns that it lacks, and their types to those of an empty one.

    The function raw.shape (`raw.sql`) does it with its owner's rights: after deploy/roles.sql the role that lands owns
    nothing in raw.

    Args:
        columns: name and type; the types are PostgreSQL's own.
        required: the columns of a new table that can't be null.
    """
    warehouse.execute("select raw.shape(%s, %s, %s::json, %s)", [schema, name, json.dumps(columns), list(required)])


_RAW = Path(__file__).with_name("raw.sql")
# What raw.sql makes; its newest stand last.
LEDGER = (
    *("raw.shape", "raw.load_ids", "raw.loads", "raw.loads_position_key"),
    *("raw.loads.source_position", "raw.loads.settled_until"),
    *(f"raw_operations.{name}" for name in ("dbt_runs", "node_results", "publications", "pipeline_runs")),
    "raw_operations.node_results.counted_buffers",
)
# Of a row that reconciliation landed: the version that it counts as at least, the greatest that had landed of its key.
_SUPERSEDES = {"_supersedes": "timestamptz"}


def _columns(table: Table) -> dict[str, str]:
    """The columns of a raw table before anything was landed."""
    return table.declaration.lands_in | {"_load_id": "bigint", "_row": "bigint", "_op": "text"} | _SUPERSEDES


def _tell_of_drift(warehouse: Database, load: Load, load_id: int) -> None:
    """Log that records have other members than promised, unless the load before this one had them too."""
    appeared, vanished = load.members - load.table.members, load.table.members - load.members
    if not appeared and not vanished:
        return
    raw = sql.Identifier(load.table.schema, load.table.name)
    with warehouse.speaking():
        before = one_value(
            warehouse,
            sql.SQL(
                "select array_agg(distinct member) from {raw}, jsonb_object_keys(payload) as member where _load_id = "
                "(select max(load_id) from raw.loads "
                "where source = %s and table_name = %s and rows > 0 and load_id < %s) and not payload ? '_unreadable'"
            ).format(raw=raw),
            [load.table.source, load.table.name, load_id],
        )
    known = load.table.members if before is None else set(before)
    if strange := [member for member in appeared - known if not _PLAIN_NAME.fullmatch(member)]:
        # Such as an object keyed by customer id or e-mail: its member names are data, so they are not shown.
        news = "%s: %d new members that are no plain names, kept in payload from load %d on"
        logger.warning(news, load.table.label, len(strange), load_id)
    for member in sorted((appeared - known).difference(strange)):
        news = "%s: new member %s, kept in payload from load %d on. To use it: add it to the staging model"
        logger.warning(news, load.table.label, member, load_id)
    for member in sorted(vanished & known):
        news = "%s: no record has the member %s any more, from load %d on. Ask the source; staging reads it as missing"
        logger.warning(news, load.table.label, member, load_id)


def _analyze(warehouse: Database, table: Table, rows: int) -> None:
    """Update the planner's statistics of the column by which raw is read, before queries are planned."""
    if rows >= ANALYZE_ROWS:
        with warehouse.speaking():
            # Autovacuum sees to the other columns.
            warehouse.execute(sql.SQL("analyze {} (_load_id)").format(sql.Identifier(table.schema, table.name)))
