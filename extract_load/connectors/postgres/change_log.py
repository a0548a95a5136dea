"""Tables that are read by their change log: logical decoding, a batch a load, from where the ledger says each is known.

A load reads the slot's stream up to where the source is when it begins, keeps the changes of each table in a file,
and lands those of all tables in one transaction of the warehouse, with each table's new position in its ledger row.
Then the slot is confirmed up to the least position of all tables. Whatever a kill leaves, the slot sends again, and
what a table's position has passed is left out. A table without a position begins with a snapshot, taken together with
an LSN. `changes` has what becomes of one table's changes. docs/sources/postgres.md says what an operator must know.
"""

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import datetime
from functools import partial
from typing import NamedTuple

from psycopg import sql

from extract_load.connectors import Asked
from extract_load.connectors.postgres import pgoutput, replication
from extract_load.connectors.postgres.catalog import Column, columns_of, place_in_words, schema_of
from extract_load.connectors.postgres.changes import Changes, Layout, again, land_changes
from extract_load.connectors.postgres.intervals import settled
from extract_load.connectors.postgres.landing import adapt_raw, as_raw_holds_them, land_whole, raw_types
from extract_load.connectors.postgres.publication import (
    declared,
    fingerprint,
    lacking,
    made_of,
    oid_of,
    published,
    since,
    unreadable,
)
from extract_load.connectors.postgres.replication import (
    Slot,
    create_slot,
    drop_slot,
    export_snapshot,
    identity_of,
    left_at,
    lsn,
    slot_of,
    written_lsn,
)
from extract_load.connectors.postgres.source_rows import copy_across, op_of, source_columns
from extract_load.declarations.postgres import Postgres
from extract_load.ledger import Load, LoadResult, begin, each, land, landed, logger, record
from extract_load.tables import Table, tables_of
from storehouse.core.databases import Database, open_replication, open_source
from storehouse.core.errors import StorehouseError, TransientError, telling_no_values
from storehouse.core.queries import one_row, one_value
from storehouse.core.shown import printable

# Seconds: commits of synchronous_commit=off are on the source's disk by then; a slot is confirmed.
_FLUSHED_WITHIN, _CONFIRMED_WITHIN = 0.7, 10
_BEHIND = 1 << 20  # bytes of WAL: a record that is half on the disk is smaller


class Position(NamedTuple):
    """Up to where a table is known: all that was committed before `lsn` on this timeline of this server.

    `made` is the fingerprint of the table and its publication: with another, changes may be missing. `of` is what the
    table is made of, its files and columns: what `alter table` does to values is not in the log.
    """

    system: str
    timeline: int
    lsn: int
    made: str
    of: str

    def __str__(self) -> str:
        """As the ledger has it."""
        return f"{self.system}/{self.timeline}/{written_lsn(self.lsn)}/{self.made}/{self.of}"


def _position(text: str) -> Position:
    system, timeline, high, low, made, of = text.split("/", 5)
    return Position(system, int(timeline), lsn(f"{high}/{low}"), made, of)


class _Source(NamedTuple):
    """What a load works with: the warehouse, the source by SQL and by the replication protocol, and what was asked."""

    warehouse: Database
    shop: Database
    stream: Database
    name: str
    connection: str
    declaration: Postgres
    asked: Asked
    system: str
    timeline: int

    @property
    def slot(self) -> str:
        return self.declaration.slot or f"storehouse_{self.name}"

    def found_slot(self) -> Slot | None:
        with self.shop.speaking(), self.shop.snapshot():
            return slot_of(self.shop, self.slot)


def load(warehouse: Database, tables: list[Table], asked: Asked) -> list[LoadResult]:
    """Land what has changed in these tables of one source since they were landed, whatever interval is asked for.

    A table that has no position yet, and every table if a snapshot is asked for, is read in full, and compared.

    Raises:
        StorehouseError: what failed, a line each.
    """
    name, connection = tables[0].source, tables[0].connection
    # Closed without a word: it may be in the middle of its stream.
    with open_source(connection, name) as shop, closing(open_replication(connection, name)) as stream:
        with stream.speaking():
            system, timeline = identity_of(stream)
        source = _Source(warehouse, shop, stream, name, connection, declared(tables[0]), asked, system, timeline)
        lacks = {table.name: _lacks(source, table) for table in tables}
        fit = [table for table in tables if not lacks[table.name]]
        positions = _positions(source)
        known = [table for table in fit if table.name in positions and not asked.snapshot]
        new = [table for table in fit if table not in known]
        parts = [partial(_refuse, words) for words in lacks.values() if words]
        if fit:
            _ensure_slot(source, positions)
        if known:
            parts.append(partial(_read_changes, source, known, positions))
        if new:
            parts.append(partial(_take_snapshot, source, new))
        parts.append(partial(_look_at_wal, source))
        return each(lambda part: part(), parts)


def _refuse(words: str) -> list[LoadResult]:
    raise StorehouseError(words)


def _lacks(source: _Source, table: Table) -> str:
    """What the table lacks to be read by its change log, in one sentence; nothing: empty."""
    with source.shop.speaking(), source.shop.snapshot():
        if not columns_of(source.shop, schema_of(table), table.place):
            return (
                f"{table.label}: there is no table {place_in_words(table)} in {source.shop.where}. Nothing of it was "
                "landed. Create it, or take its entry out of the declaration: until then the slot keeps its log."
            )
        if not (lacks := lacking(source.shop, table)):
            return ""
    return f"{table.label} can't be read by its change log. Nothing of it was landed. At the source: {'; '.join(lacks)}"


def _positions(source: _Source) -> dict[str, Position]:
    """The position of each table of the source that is read by its change log and has one."""
    names = [table.name for table in tables_of(source.name) if table.kind == "change_log"]
    with source.warehouse.speaking():
        rows = source.warehouse.execute(
            "select distinct on (table_name) table_name, source_position from raw.loads "
            "where source = %s and table_name = any(%s) and source_position is not null "
            "order by table_name, position desc",
            [source.name, names],
        )
        return {name: _position(text) for name, text in rows}


def _ensure_slot(source: _Source, positions: dict[str, Position]) -> None:
    """Make the slot if there is none, before any snapshot: it keeps what changes from now on.

    Raises:
        StorehouseError: it was there, and is gone or can't be read: changes are lost, which only a snapshot finds.
    """
    slot = source.found_slot()
    if slot and not slot.is_ours:
        raise StorehouseError(
            f"{source.name}: the replication slot {source.slot} is of another database or another plugin. "
            "Give this source one of its own: slot in its declaration."
        )
    if slot and not slot.lost:
        return
    if positions and not source.asked.snapshot:
        why = f"can't be read any more ({slot.lost})" if slot else "is gone"
        raise StorehouseError(
            f"{source.name}: the replication slot {source.slot} {why}, and with it the changes since the last load. "
            f"Take a new snapshot, of which the differences land: python -m extract_load {source.name} --snapshot"
        )
    if slot:
        drop_slot(source.stream, source.slot)
    _tell_of_open_transactions(source)
    is_primary = not one_value(source.shop, "select pg_is_in_recovery()")
    has_failover = is_primary and source.shop.info.server_version >= 170_000
    create_slot(source.stream, source.slot, failover=has_failover and source.declaration.failover)


def _tell_of_open_transactions(source: _Source) -> None:
    """Say what is waited for: a slot begins when every transaction has ended that is open now."""
    if since := settled(source.shop).open_since:
        news = "%s: the change log begins when the transactions have ended that are open now, the oldest since %s"
        logger.info(news, source.name, f"{since:%Y-%m-%d %H:%M:%S %Z}", extra={"is_progress": True})


def _end_of_log(source: _Source) -> tuple[int, datetime]:
    """Where the source is now, as an LSN, and its time: a load reads up to there."""
    statement = (
        "select now(), "
        "case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end, "
        "case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() end"
    )

    def look() -> tuple:
        # Told how to write times: a role may have another DateStyle.
        with source.shop.speaking(), source.shop.snapshot():
            return one_row(source.shop, statement)

    now, end, flushed = look()
    waits_until = time.monotonic() + _FLUSHED_WITHIN
    # What is not on the source's disk yet is not sent. The next load reads it.
    while lsn(flushed) < lsn(end) and time.monotonic() < waits_until:
        time.sleep(0.05)
        _, _, flushed = look()
    return min(lsn(flushed), lsn(end)), now


def _read_changes(source: _Source, tables: list[Table], positions: dict[str, Position]) -> list[LoadResult]:
    slot = source.found_slot()
    assert slot
    # First where it ends, then the columns: no change before the end has a column that is not known.
    end, now = _end_of_log(source)
    parts, batch, altered, reached = [], [], [], {}
    with source.shop.speaking(), source.shop.snapshot():
        for table in tables:
            try:
                with telling_no_values(), source.shop.speaking(), source.shop.transaction():
                    reached[table.name] = _position_at(source, table, end)
                    if changes := _changes_of(source, table, positions[table.name], reached[table.name], slot, now):
                        batch.append(changes)
                    else:
                        altered.append(table)
            except StorehouseError as error:
                parts.append(partial(_refuse, str(error)))
    try:
        if batch:
            end = _receive(source, batch, end)
            for changes in batch:
                changes.load.source_position = str(reached[changes.table.name]._replace(lsn=max(end, changes.position)))
            parts.append(partial(_land, source, batch, positions))
        if altered:
            parts.append(partial(_take_snapshot, source, altered))
        return each(lambda part: part(), parts)
    finally:
        for changes in batch:
            changes.close()


def _position_at(source: _Source, table: Table, at: int) -> Position:
    """The position of a table of which all is known that was committed before this LSN."""
    made, of = fingerprint(source.shop, table), made_of(source.shop, oid_of(source.shop, table))
    return Position(source.system, source.timeline, at, made, of)


def _changes_of(
    source: _Source, table: Table, position: Position, end: Position, slot: Slot, now: datetime
) -> Changes | None:
    """A table's changes, of which none has come yet; None: `alter table` has changed values, which no change tells.

    Raises:
        StorehouseError: the source can't send all since its position, or raw can't hold them.
    """
    if why := _gap(source, position, end, slot):
        raise StorehouseError(
            f"{table.label}: {why}. Changes may be missing. Nothing of it was landed. "
            f"Take a new snapshot, of which the differences land: {again(table)}"
        )
    columns, oid = _columns(source, table), oid_of(source.shop, table)
    found = since(source.shop, oid, position.of, columns, raw_types(source.warehouse, table))
    if found.altered:
        news = "%s: altered at the source, or new with a default: %s. The log has no such values: read in full"
        logger.warning(news, table.label, printable(", ".join(found.altered)))
        return None
    load = Load(table, run_id=source.asked.run_id)
    return Changes(table, oid, columns, found.added, load, position.lsn, now)


def _gap(source: _Source, position: Position, end: Position, slot: Slot) -> str | None:
    """Why what the source sends would not begin where the table is known up to; None: it does."""
    if position.system != source.system:
        return "the source is another server than the one it was read from (its system identifier differs)"
    if position.timeline != source.timeline:
        with source.stream.speaking():
            left = left_at(source.stream, position.timeline, source.timeline)
        if left is None or left < position.lsn:
            return (
                "the source was restored, or another server took over, at a time before the last load: "
                f"timeline {source.timeline} left {position.timeline} earlier than {written_lsn(position.lsn)}"
            )
    if position.lsn > end.lsn:
        there, here = written_lsn(end.lsn), written_lsn(position.lsn)
        return f"the source is at {there}, before the last load ({here}): was it restored?"
    if position.lsn < slot.confirmed:
        return (
            f"the slot {source.slot} is at {written_lsn(slot.confirmed)}, after the last load "
            f"({written_lsn(position.lsn)}): another has read it, or the warehouse was restored"
        )
    if position.made != end.made:
        return "the table, the publication or the table's place in it was made anew or altered since the last load"
    return None


def _columns(source: _Source, table: Table) -> dict[str, Column]:
    """The columns that land: those of the log, as raw holds them."""
    columns = published(source.shop, table, source_columns(source.shop, table))
    if wrong := unreadable(columns):
        raise StorehouseError(f"{table.label}: {'; '.join(wrong)}. Nothing of it was landed.")
    return as_raw_holds_them(source.warehouse, table, columns)


def _receive(source: _Source, batch: list[Changes], end: int) -> int:
    """Keep what the stream has of these tables up to the end; returns the LSN before which it has sent all."""
    # By its number: a table may have had another name for a while.
    wanted = {changes.oid: changes for changes in batch}
    found: dict[int, tuple[Changes, Layout]] = {}
    reached = end

    def messages() -> Iterator[bytes]:
        nonlocal reached
        reached = yield from replication.stream(
            source.stream,
            source.slot,
            source.declaration.publication,
            end,
            partial(replication.is_waiting, source.shop, source.stream),
        )

    for message in messages():
        kind = message[0]
        if kind in (pgoutput.INSERT, pgoutput.UPDATE, pgoutput.DELETE):
            if of := found.get(pgoutput.number_of(message)):
                changes, layout = of
                if changes.is_new and not changes.failed:
                    changes.add(message, layout)
        elif kind == pgoutput.BEGIN:
            committed = pgoutput.committed_at(message)
            for changes in batch:
                changes.is_new = committed >= changes.position
        elif kind == pgoutput.RELATION:
            number, relation = pgoutput.relation(message)
            if changes := wanted.get(number):
                found[number] = changes, changes.layout(relation)
        elif kind == pgoutput.TRUNCATE:
            for number in pgoutput.truncated(message):
                if (of := found.get(number)) and of[0].is_new:
                    of[0].truncate()
    if end - reached > _BEHIND:
        news = "%s: the source sends no more now than up to %s of %s: it may wait for a standby (%s)"
        logger.warning(news, source.name, written_lsn(reached), written_lsn(end), "synchronized_standby_slots")
    return reached


def _land(source: _Source, batch: list[Changes], positions: dict[str, Position]) -> list[LoadResult]:
    """Land the changes of all tables in one transaction, then let the source forget what all tables have."""
    started, warehouse, parts, done = time.monotonic(), source.warehouse, [], []
    with warehouse.speaking():
        ids = [begin(warehouse, partial(adapt_raw, warehouse, changes.table, changes.columns)) for changes in batch]
        with warehouse.transaction():
            for changes, load_id in zip(batch, ids, strict=True):
                try:
                    with telling_no_values(), warehouse.speaking(), warehouse.transaction():
                        if changes.failed:
                            raise changes.failed
                        done.append((changes, load_id, land_changes(warehouse, changes, load_id)))
                except StorehouseError as error:
                    if warehouse.closed or isinstance(error, TransientError):
                        raise
                    parts.append(partial(_refuse, str(error)))
            for changes, load_id, rows in done:
                record(warehouse, changes.load, load_id, rows)
    _confirm(
        source, positions | {changes.table.name: _position(str(changes.load.source_position)) for changes, *_ in done}
    )
    results = [landed(warehouse, changes.load, load_id, rows, started) for changes, load_id, rows in done]
    return [*results, *each(lambda part: part(), parts)]


def _confirm(source: _Source, positions: dict[str, Position]) -> None:
    """Confirm what every table of the source has. Where it fails nothing is lost: the next load knows what it has."""
    least, until = min(position.lsn for position in positions.values()), time.monotonic() + _CONFIRMED_WITHIN
    with suppress(StorehouseError):
        replication.confirm(source.stream, least)
        while time.monotonic() < until:
            if (slot := source.found_slot()) and slot.confirmed >= least:
                return
            time.sleep(0.02)
    logger.warning("%s: the slot %s is not confirmed; the next load does it", source.name, source.slot)


def _take_snapshot(source: _Source, tables: list[Table]) -> list[LoadResult]:
    """Read these tables in full from one snapshot, whose LSN is their position; the differences from raw land."""
    with closing(open_replication(source.connection, source.name)) as keeper:
        at, exported = export_snapshot(keeper, f"{source.slot[:40]}_{source.stream.info.backend_pid}")
        with source.shop.speaking(), source.shop.snapshot(exported):
            keeper.close()
            return each(partial(_snapshot_of, source, at), tables)


def _snapshot_of(source: _Source, at: int, table: Table) -> LoadResult:
    shop, warehouse = source.shop, source.warehouse
    with shop.speaking(), shop.transaction():
        columns = _columns(source, table)
        load = Load(table, run_id=source.asked.run_id, source_position=str(_position_at(source, table, at)))
        everything = sql.SQL("true")
        op = op_of(shop, table, columns, everything)

        def write(load_id: int) -> int:
            copy = partial(copy_across, shop, warehouse, table, columns, everything, op, load, load_id)
            return land_whole(warehouse, table, columns, load_id, source.asked.allow_empty, copy)

        return land(warehouse, load, write, lambda load_id: adapt_raw(warehouse, table, columns, load_id))


def _look_at_wal(source: _Source) -> list[LoadResult]:
    """Say how much WAL the slot holds back after the load, and do what is declared about too much."""
    slot, wal = source.found_slot(), source.declaration.wal
    if not slot:
        return []
    held = slot.held / 2**30
    logger.info("%s: the source holds %.2f GB of WAL for the slot %s", source.name, held, source.slot)
    if held <= wal.warn_gb:
        return []
    words = f"{source.name}: the source holds {held:,.1f} GB of WAL for the slot {source.slot}"
    if held <= wal.limit_gb:
        logger.warning("%s, more than wal.warn_gb. A table that is not loaded, or fails, holds it", words)
        return []
    if wal.beyond == "drop_slot":
        # It is in use as long as its stream is open.
        source.stream.close()
        with closing(open_replication(source.connection, source.name)) as other:
            drop_slot(other, source.slot)
        words += ", more than wal.limit_gb: the slot was dropped. Mend what failed, then take a new snapshot: "
        raise StorehouseError(f"{words}python -m extract_load {source.name} --snapshot")
    raise StorehouseError(
        f"{words}, more than wal.limit_gb. A table that is not loaded, or fails, holds it: mend it, or drop the slot, "
        f"and take a new snapshot later: select pg_drop_replication_slot('{source.slot}')"
    )
