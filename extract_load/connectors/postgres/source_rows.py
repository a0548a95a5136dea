"""The source's end of a load: the columns as declared, how a row says that it is deleted, and its rows by COPY."""

from collections.abc import Callable, Iterator

from psycopg import errors, sql
from psycopg.abc import Buffer, PQGen
from psycopg.pq import ExecStatus
from psycopg.waiting import Wait

from extract_load.connectors.postgres.catalog import (
    Column,
    columns_of,
    place_in_words,
    place_of,
    schema_of,
    selected,
    written,
    wrong_types,
)
from extract_load.declarations.common import OWN_COLUMNS
from extract_load.declarations.postgres import Postgres
from extract_load.ledger import NO_TIME_BEFORE, Load, copy_into, logger
from extract_load.payload import LARGEST_BYTES
from extract_load.tables import Table
from storehouse.core.databases import Database
from storehouse.core.errors import StorehouseError
from storehouse.core.queries import one_value
from storehouse.core.settings import SCHEMA_VARIABLE
from storehouse.core.shown import printable


def source_columns(database: Database, table: Table) -> dict[str, Column]:
    """The table's columns from the source's catalog, in their order.

    Raises:
        StorehouseError: a declared column is missing or of another type.
    """
    schema, place = schema_of(table), place_in_words(table)
    columns = columns_of(database, schema, table.place)
    if not columns:
        raise StorehouseError(
            f"{table.label}: there is no table {place} in {database.where}. "
            f"Create it (docs/sources.md), or set {set_by(table)} to the schema it is in."
        )
    if missing := [name for name in table.columns if name not in columns and name not in table.optional]:
        more = [name for name in columns if name not in table.columns]
        raise StorehouseError(
            f"{table.label}: {place} in {database.where} lacks {', '.join(missing)}"
            + (f"; it has {printable(', '.join(more))}, which we don't know: was one renamed?" if more else ".")
            + " Nothing was landed. Add what is missing, or read a view that has it (docs/sources.md)."
        )
    if taken := OWN_COLUMNS & columns.keys():
        raise StorehouseError(
            f"{table.label}: {', '.join(sorted(taken))} of {place} has a name that raw uses for itself. "
            "Read a view that names it otherwise."
        )
    if wrong := wrong_types(table, columns):
        raise StorehouseError(
            f"{table.label}: {'; '.join(wrong)} ({place} in {database.where}). Nothing was landed. "
            "Read a view that casts it (docs/sources.md); a time of delete is null as long as the row lives."
        )
    return columns


# A row is deleted when the column that tells it holds a time that has come, by the source's own clock; the day is for
# clocks and time zones ahead of it. Zero times, times to come and infinity say that the row lives. Written as a query,
# the day is added once; PostgreSQL would add it again for each row.
OP = sql.SQL(
    "case when {deleted_at} >= {earliest} and {deleted_at} <= (select {now} + interval '1 day') then 'd' else 'u' end"
)

UPSERT = sql.SQL("'u'::text")


def op_of(shop: Database, table: Table, columns: dict[str, Column], condition: sql.Composable) -> sql.Composable:
    """What `_op` of these rows is, in SQL; says how many have a time of delete that can't be one."""
    if table.deleted not in columns:
        return UPSERT
    op = OP.format(deleted_at=sql.Identifier(deleted_of(table)), earliest=NO_TIME_BEFORE, now=sql.SQL("now()"))
    _tell_of_odd_deletes(shop, table, condition, op)
    return op


def _tell_of_odd_deletes(shop: Database, table: Table, condition: sql.Composable, op: sql.Composable) -> None:
    statement = sql.SQL("select count(*) from {} where {} is not null and {} = 'u' and ({})")
    odd = one_value(shop, statement.format(place_of(table), sql.Identifier(deleted_of(table)), op, condition))
    if odd:
        # A table that is read in full is asked again by every load.
        news = "%s: %s of %s is no time at which it can have been deleted; read as living" + (
            " until it changes again" if table.kind == "updated_at" else ""
        )
        logger.warning(news, table.label, table.deleted, f"{odd:,} row{'s' if odd > 1 else ''}")


def copy_across(
    shop: Database,
    warehouse: Database,
    table: Table,
    columns: dict[str, Column],
    condition: sql.Composable,
    op: sql.Composable,
    load: Load,
    load_id: int,
    target: sql.Composable,
) -> int:
    """COPY the rows of this condition into a table of the warehouse, with what raw adds to them; returns how many."""
    statement = sql.SQL("select {}, {}::bigint, row_number() over (), {} from {} where {}").format(
        selected(columns), load_id, op, place_of(table), condition
    )
    landing = copy_into(target, [*columns, "_load_id", "_row", "_op"], binary=True)
    return copy_query(shop, warehouse, table, statement, landing, load.account)


def copy_query(
    shop: Database,
    warehouse: Database,
    table: Table,
    query: sql.Composed,
    into: sql.Composed,
    account: Callable[[bytes], None] = lambda block: None,
) -> int:
    """What a query at the source gives, by a COPY in binary form of the warehouse's; returns how many rows."""
    # Nobody touches them on their way.
    words = too_large(table)
    with warehouse.cursor() as cursor:
        with (
            cursor.copy(into) as sink,
            shop.speaking({errors.ProgramLimitExceeded: words}),
            shop.cursor().copy(sql.SQL("copy ({}) to stdout (format binary)").format(query)),
        ):
            for block in _blocks(shop, words):
                with warehouse.speaking():
                    sink.write(block)
                account(block)
        return cursor.rowcount


def _blocks(shop: Database, words: str) -> Iterator[bytes]:
    """What the shop's COPY brings, in blocks of whole rows.

    psycopg hands over a row at a time, which is most of what a load costs us: so all that has arrived is taken from
    libpq, whose buffer holds some 16 kB, or a row that is longer.
    """
    count, is_over = 0, False

    def arrived() -> PQGen[list[Buffer]]:
        nonlocal is_over
        rows, get = [], shop.pgconn.get_copy_data
        while True:
            length, row = get(1)
            if length > 0:
                rows.append(row)
            elif rows or length < 0:
                # To the warehouse with them: more arrives meanwhile, and is read at once.
                is_over = length < 0
                return rows
            else:
                while not (yield Wait.R):
                    continue
                shop.pgconn.consume_input()

    while not is_over:
        rows = shop.wait(arrived())
        if is_over:
            for result in list(iter(shop.pgconn.get_result, None)):
                if result.status != ExecStatus.COMMAND_OK:
                    raise errors.error_from_result(result)
        block = b"".join(rows)
        if len(block) > LARGEST_BYTES:
            for number, row in enumerate(rows, start=count + 1):
                if len(row) > LARGEST_BYTES:
                    size = f"{len(row) / 2**20:,.1f} MB"
                    raise StorehouseError(f"Row {number:,} of those to read is of {size}. {words}")
        count += len(rows)
        if block:
            yield block


def too_large(table: Table) -> str:
    """What to do about a row that would land, and then stop staging for ever: `jsonb` can't hold it."""
    place = place_in_words(table)
    return (
        f"{table.label}: a row is larger than {LARGEST_BYTES >> 20} MB, which no later layer can hold. Nothing was "
        f"landed. Find it at the source: select {written_key(table)} from {place} as found "
        f"where octet_length(found::text) > {LARGEST_BYTES}; shorten it there, or read a view that does "
        f"({set_by(table)})."
    )


def written_key(table: Table) -> str:
    """Its key as SQL takes it."""
    return ", ".join(map(written, table.key))


def set_by(table: Table) -> str:
    """Where the schema at the source is set."""
    assert isinstance(table.declaration, Postgres)
    named = table.declaration.schema_
    return named if SCHEMA_VARIABLE.fullmatch(named) else "schema in its declaration"


def version_of(table: Table) -> str:
    """The column by which a table that is not read in full is read."""
    assert table.version
    return table.version


def deleted_of(table: Table) -> str:
    """The column that tells its deletes, of a table that declares one."""
    assert table.deleted
    return table.deleted
