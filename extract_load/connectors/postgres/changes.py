"""What becomes of the changes of one table: kept in a file as they come, completed from what raw has, and landed.

A source leaves out what it need not send: of a delete all but the key, of an update the large values that stayed as
they were. Those are the last that are known, of the same batch or of raw. A truncate deletes every row that lives.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from struct import Struct
from typing import IO, NamedTuple

from psycopg import sql

from extract_load.connectors.postgres.catalog import Column
from extract_load.connectors.postgres.pgoutput import DELETE, INSERT, KEPT, NULL, Relation, change
from extract_load.connectors.postgres.source_rows import OP, UPSERT, deleted_of, too_large
from extract_load.ledger import NO_TIME_BEFORE, Load, copy_into
from extract_load.payload import LARGEST_BYTES
from extract_load.tables import Table
from storehouse.core.databases import Database
from storehouse.core.errors import StorehouseError
from storehouse.core.queries import as_sql, one_row

_IN_MEMORY = 4 << 20  # bytes of a table's changes; more of them are in a file
_BLOCK = 1 << 20
# COPY's binary format: its signature and its end; a row begins with the count of its fields, its number, its `_op`.
_HEADER, _END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_NUMBER, _LENGTH = Struct(">hiq"), Struct(">i")


class Layout(NamedTuple):
    """Where a relation has the columns of its table.

    Attributes:
        places: of each column, its place in the relation; None: the relation lacks it.
        is_identity: of each column, whether an old row that is not whole has it.
        has_key: whether an old row has the key.
        lacks: whether it lacks a column that the table had when it was last read.
    """

    places: tuple[int | None, ...]
    is_identity: tuple[bool, ...]
    has_key: bool
    lacks: bool


@dataclass
class Changes:
    """The changes of one table since its position, in their order.

    Each is a row of a COPY: its number, its `_op`, its values as text. In the file `_op` is `u` or `d`; `t` for a
    truncate; `m` for an upsert whose key was another before, of the row with the number before its own. After it comes,
    if anything was left out, a digit for each column: 1 says that its value is the last that is known.

    Attributes:
        table: whose they are.
        oid: of the table at the source.
        columns: as raw holds them.
        added: those of them that came since the position: null in changes from before.
        load: what the ledger will say.
        position: LSN: the table is known up to here.
        now: the time at the source.
        is_new: whether the transaction that is being read is not known yet.
        rows: how many there are.
        has_truncates: whether one of them is a truncate.
        kept: the numbers of the columns of which a value was left out.
        failed: why they can't be landed.
    """

    table: Table
    oid: int
    columns: dict[str, Column]
    added: set[str]
    load: Load
    position: int
    now: datetime
    is_new: bool = False
    rows: int = 0
    has_truncates: bool = False
    kept: set[int] = field(default_factory=set)
    failed: StorehouseError | None = None
    _file: IO[bytes] = field(default_factory=lambda: tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115
    _block: list[bytes] = field(default_factory=lambda: [_HEADER])
    _size: int = 0

    def layout(self, relation: Relation) -> Layout:
        """Where this relation has the columns."""
        there = {name: place for place, name in enumerate(relation.columns)}
        places = tuple(there.get(name) for name in self.columns)
        is_identity = tuple(place is not None and relation.identity[place] for place in places)
        lacks = any(name not in there and name not in self.added for name in self.columns)
        return Layout(places, is_identity, all(is_identity[n] for n in self._key), lacks)

    def add(self, message: bytes, layout: Layout) -> None:
        """Keep an insert, an update or a delete."""
        self.load.account(message)
        if len(message) > LARGEST_BYTES:
            self.failed = StorehouseError(f"{too_large(self.table)} Then take a new snapshot (--snapshot).")
            return
        if message[0] != INSERT and not layout.has_key:
            self._fail(f"without the key ({', '.join(self.table.key)}), under another replica identity")
            return
        if message[0] != DELETE and layout.lacks:
            self._fail("while a column was missing, or had another name")
            return
        _, new, old, is_old_whole = change(message)
        before = None
        if old is not None:
            before = [KEPT if place is None else old[place] for place in layout.places]
            if not is_old_whole:
                before = [
                    value if is_identity else KEPT
                    for value, is_identity in zip(before, layout.is_identity, strict=True)
                ]
        if new is None:
            self._write("d", before or [])
            return
        after = [NULL if place is None else new[place] for place in layout.places]
        if before is not None:
            after = [was if value == KEPT else value for value, was in zip(after, before, strict=True)]
            if any(after[n] != before[n] for n in self._key):
                self._write("d", before)
                self._write("m" if KEPT in after else "u", after)
                return
        self._write("u", after)

    def _fail(self, how: str) -> None:
        self.failed = StorehouseError(
            f"{self.table.label}: changes were logged {how}. Nothing of it was landed. "
            f"Take a new snapshot: {again(self.table)}"
        )

    def truncate(self) -> None:
        """Keep a truncate."""
        self.has_truncates = True
        self._write("t", [NULL] * len(self.columns))

    def blocks(self) -> Iterator[bytes]:
        """What COPY takes."""
        self._flush(_END)
        self._file.seek(0)
        while block := self._file.read(_BLOCK):
            yield block

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @cached_property
    def _key(self) -> list[int]:
        return [n for n, name in enumerate(self.columns) if name in self.table.key]

    def _write(self, op: str, values: list[bytes]) -> None:
        if KEPT in values:
            self.kept.update(n for n, value in enumerate(values) if value == KEPT)
            op += "".join("1" if value == KEPT else "0" for value in values)
            values = [value or NULL for value in values]
        self.rows += 1
        row = (_NUMBER.pack(len(values) + 2, 8, self.rows), _LENGTH.pack(len(op)), op.encode(), *values)
        self._block += row
        self._size += sum(map(len, row))
        if self._size > _BLOCK:
            self._flush()

    def _flush(self, end: bytes = b"") -> None:
        try:
            self._file.write(b"".join(self._block) + end)
        except OSError as error:
            raise StorehouseError(
                f"{self.table.label}: its changes don't fit into the temporary folder {tempfile.gettempdir()}: "
                f"{error.strerror}. Make room, or let TMPDIR name another. Nothing was landed."
            ) from None
        self._block, self._size = [], 0


_CHANGES = sql.Identifier("pg_temp", "_changes")


def land_changes(warehouse: Database, changes: Changes, load_id: int) -> int:
    """Write the changes into raw under this load id; returns how many rows they became.

    Args:
        warehouse: in the transaction of the load.
        changes: all of them.
        load_id: of the load.

    Raises:
        StorehouseError: a value that was left out is not known.
    """
    if not changes.rows:
        return 0
    names = list(changes.columns)
    fields = [sql.SQL("_row bigint"), sql.SQL("_op text")]
    fields += [sql.SQL("{} text").format(sql.Identifier(name)) for name in names]
    warehouse.execute(sql.SQL("create temp table _changes ({}) on commit drop").format(sql.SQL(", ").join(fields)))
    with warehouse.cursor() as cursor, cursor.copy(copy_into(_CHANGES, ["_row", "_op", *names], binary=True)) as sink:
        for block in changes.blocks():
            sink.write(block)
    values = {name: _landed(name, column) for name, column in changes.columns.items()}
    if changes.has_truncates or changes.kept:
        # To the types of raw, so that raw's own rows can stand beside them.
        types = [
            sql.SQL("alter {} type {} using {}").format(sql.Identifier(name), as_sql(column.landed_as), values[name])
            for name, column in changes.columns.items()
        ]
        warehouse.execute(sql.SQL("alter table {} {}").format(_CHANGES, sql.SQL(", ").join(types)))
        values = {name: sql.Identifier(name) for name in names}
        _spread_truncates(warehouse, changes)
        if changes.kept:
            _complete(warehouse, changes)
    statement = sql.SQL(
        "insert into {raw} ({columns}, _load_id, _row, _op) "
        "select {values}, {load_id}, row_number() over (order by _row, {key}), {op} from {changes} "
        "order by _row, {key}"
    ).format(
        raw=sql.Identifier(changes.table.schema, changes.table.name),
        columns=_names(names),
        values=sql.SQL(", ").join(values.values()),
        load_id=load_id,
        key=sql.SQL(", ").join(values[name] for name in changes.table.key),
        op=_op(changes, values),
        changes=_CHANGES,
    )
    rows = warehouse.execute(statement).rowcount
    warehouse.execute(sql.SQL("drop table {}").format(_CHANGES))
    return rows


def again(table: Table) -> str:
    """The command that takes a new snapshot of the table."""
    return f"python -m extract_load {table.source} --tables {table.name} --snapshot"


def _names(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _landed(name: str, column: Column) -> sql.Composable:
    """The text of a value as what an ordinary load lands: where that casts at the source, by the same two steps."""
    value: sql.Composable = sql.Identifier(name)
    if column.is_same:
        value = sql.SQL("{}::{}").format(value, as_sql(column.type))
    return sql.SQL("{}::{}").format(value, as_sql(column.landed_as))


def _op(changes: Changes, values: Mapping[str, sql.Composable]) -> sql.Composable:
    """`_op` in raw: a delete, or what the column says that tells deletes."""
    upsert: sql.Composable = UPSERT
    if changes.table.deleted in values:
        deleted_at = values[deleted_of(changes.table)]
        upsert = OP.format(deleted_at=deleted_at, earliest=NO_TIME_BEFORE, now=sql.Literal(changes.now))
    return sql.SQL("case when _op = 'd' then 'd' else {} end").format(upsert)


def _spread_truncates(warehouse: Database, changes: Changes) -> None:
    """Put in the place of each truncate a delete of every key that lives there, in raw or by what was before it."""
    key = changes.table.key
    marks = "".join("0" if name in key else "1" for name in changes.columns)
    numbers = warehouse.execute(sql.SQL("select _row from {} where _op = 't' order by 1").format(_CHANGES)).fetchall()
    if numbers:
        changes.kept.update(n for n, mark in enumerate(marks) if mark == "1")
    for (number,) in numbers:
        statement = sql.SQL(
            """
            insert into {changes} ({key}, _row, _op)
            select {key}, {number}, {op}
            from (
                select distinct on ({key}) {key}, _op
                from (
                    select {key}, _op, 0 as _load_id, _row from {changes} where _row < {number} and _op <> 't'
                    union all
                    select {key}, _op, _load_id - {far}, _row from {raw}
                ) as known
                where row({key}) is not null
                order by {key}, _load_id desc, _row desc
            ) as last
            where left(_op, 1) <> 'd'
            """
        ).format(
            changes=_CHANGES,
            raw=sql.Identifier(changes.table.schema, changes.table.name),
            key=_names(key),
            number=sql.Literal(number),
            op=sql.Literal("d" + marks),
            far=sql.Literal(2**62),
        )
        warehouse.execute(statement)
    warehouse.execute(sql.SQL("delete from {} where _op = 't'").format(_CHANGES))


def _complete(warehouse: Database, changes: Changes) -> None:
    """Give every row the values that were left out, from the last row of its key before it, or of its key before that.

    A row of a key that was another before (`m`) has its values from the row before it, which deletes that other key. So
    it waits for that one, and what follows it in its own key waits for it: there are as many rounds as such rows lead
    one to the other.

    Raises:
        StorehouseError: such a value is not known: it is of an update, so it is not null.
    """
    table, names = changes.table, list(changes.columns)
    kept = {n: sql.Identifier(names[n]) for n in sorted(changes.kept)}
    warehouse.execute(sql.SQL("analyze {}").format(_CHANGES))
    parts = {
        "changes": _CHANGES,
        "raw": sql.Identifier(table.schema, table.name),
        "key": _names(table.key),
        "columns": _names(names),
        "of_needy": _same_key(table, "needy", "row"),
        "of_filled": _same_key(table, "filled", "changes"),
        "groups": sql.SQL(", ").join(
            sql.SQL("count(*) filter (where substr(_op, {}, 1) <> '1') over by_key as {}").format(
                n + 2, _of("group", n)
            )
            for n in kept
        ),
        "filled": sql.SQL(", ").join(
            sql.SQL("first_value({}) over (partition by {}, {} order by _row) as {}").format(
                name, _names(table.key), _of("group", n), _of("filled", n)
            )
            for n, name in kept.items()
        ),
        "from_filled": _given(kept, {n: sql.SQL("filled.{}").format(_of("filled", n)) for n in kept}),
        "from_before": _given(kept, {n: sql.SQL("before.{}").format(name) for n, name in kept.items()}),
    }
    of_own_key = sql.SQL(
        """
        with needy as materialized (
            select distinct {key} from {changes} where length(_op) > 1
        ),

        history as (
            select {columns}, _op, _row from {changes} as row where exists (select from needy where {of_needy})
            union all
            (
                select distinct on ({key}) {columns}, _op, 0 from {raw} as row
                where exists (select from needy where {of_needy}) order by {key}, _load_id desc, _row desc
            )
        ),

        -- A group is a row with a value, and those after it without one.
        grouped as (
            select *, bool_or(left(_op, 1) = 'm' and length(_op) > 1) over by_key as "is waiting", {groups}
            from history
            window by_key as (partition by {key} order by _row)
        ),

        filled as (
            select {key}, _row, "is waiting", {filled} from grouped
        )

        update {changes} as changes set {from_filled}
        from filled
        where changes._row = filled._row and {of_filled} and length(changes._op) > 1 and not "is waiting"
        """
    ).format(**parts)
    of_key_before = sql.SQL(
        "update {changes} as changes set {from_before} from {changes} as before "
        "where before._row = changes._row - 1 and length(before._op) = 1 and changes._op ~ '^m.'"
    ).format(**parts)
    state = sql.SQL("select count(*) filter (where length(_op) > 1), count(*) filter (where _op = '?') from {}")
    waiting, unknown = one_row(warehouse, state.format(_CHANGES))
    while waiting and not unknown:
        warehouse.execute(of_own_key)
        warehouse.execute(of_key_before)
        before, (waiting, unknown) = waiting, one_row(warehouse, state.format(_CHANGES))
        unknown += waiting == before
    if unknown:
        raise StorehouseError(
            f"{table.label}: changes leave out values that raw does not have. Nothing of it was landed. "
            f"Take a new snapshot: {again(table)}"
        )


def _same_key(table: Table, one: str, other: str) -> sql.Composed:
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(one, name), sql.Identifier(other, name)) for name in table.key
    )


def _of(what: str, number: int) -> sql.Identifier:
    return sql.Identifier(f"{what} of column {number}")


def _given(kept: dict[int, sql.Identifier], found: dict[int, sql.Composed]) -> sql.Composed:
    """What an update sets: each value that was left out, and `_op` without its marks; `?` where one is not known."""
    was_left_out = {n: sql.SQL("substr(changes._op, {}, 1) = '1'").format(n + 2) for n in kept}
    values = [
        sql.SQL("{} = case when {} then {} else changes.{} end").format(name, was_left_out[n], found[n], name)
        for n, name in kept.items()
    ]
    lacks = sql.SQL(" or ").join(sql.SQL("({} and {} is null)").format(was_left_out[n], found[n]) for n in kept)
    op = "_op = case when left(changes._op, 1) = 'd' then 'd' when {} then '?' else 'u' end"
    return sql.SQL(", ").join([*values, sql.SQL(op).format(lacks)])
