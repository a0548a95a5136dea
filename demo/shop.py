"""The shop's days: everything that happens is drawn in SQL, inside the shop's own database."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg import sql

from demo import stores
from demo.database import PLACE, Clock, connect, read_clock
from demo.statements import filled_by, shop_tables, statement
from storehouse.core.databases import take_lock
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import settings

START = date(2026, 1, 1)
ADVANCE_LOCK = 0x5EED_0007  # an advisory lock of the shop's database

# Days after which nothing more can happen to an order: sql/lives.sql draws at most 38.
LIFE = timedelta(days=40)

# Orders drawn at once. It bounds the temporary tables, not what is played.
CHUNK_ORDERS = 100_000


@dataclass(frozen=True)
class Channel:
    """Orders of one channel: how they differ from those of the others."""

    name: str
    key: int  # what the keys of its draws leave over, divided by 3; the stores' leave 2
    faults: str  # what can be wrong in an order's head


CHANNELS = (
    Channel(
        "web",
        0,
        "no_status negative_total absurd_total unknown_currency untidy_currency unknown_status far_future",
    ),
    Channel(
        "marketplace",
        1,
        "no_order_id no_buyer no_lines negative_total absurd_total unknown_currency untidy_currency unknown_status "
        "far_future unreadable_date malformed_product zero_quantity",
    ),
)


@dataclass(frozen=True)
class Advance:
    """The day through which the shop now stands, and the rows written to get there, by table, with `files`."""

    day: date
    rows: dict[str, int]


def advance(
    until: date | None = None,
    days: int | None = None,
    size: float | None = None,
    seed: int | None = None,
    start: date | None = None,
    error_rate: float | None = None,
    bad_orders: float = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Advance:
    """Play the shop through the end of a day; make it first where there is none.

    It is one transaction: others see the shop as it was, then as it is at the end of that day. The state of a day is
    the same whether it was reached at once or day by day.

    Args:
        until: the last day to play; a day that has been played already changes nothing.
        days: instead of `until`, so many days more; 1 when neither is given.
        size: of a new shop; 1 (the default) is about 2,000 orders a day.
        seed: of a new shop (7).
        start: a new shop's first day (2026-01-01).
        error_rate: a new shop's share of wrong records in each source (0.02).
        bad_orders: a share of the web orders that change on the last day; they go out with a negative total, and the
            shop corrects them when it plays on.
        report: called with one line for each thing done.

    Raises:
        StorehouseError: a wrong argument, another shop than the one that is there, or no database.
    """
    if not 0 <= bad_orders <= 1:
        raise StorehouseError(f"The share of bad orders is from 0 to 1, not {bad_orders:g}.")
    with connect() as connection:
        connection.execute("set local jit = off")
        take_lock(connection, ADVANCE_LOCK, "the demo shop, which another command plays on")
        wanted = {"size": size, "seed": seed, "start": start, "error_rate": error_rate}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        clock = read_clock(connection)
        is_new = clock is None
        clock = clock or _new_clock(**wanted)
        _check_same(clock, wanted)
        last = _last_day(clock, until, days)
        rows = {}
        if last > clock.day:
            rows = _play(connection, clock, last, is_new, bad_orders, report)
        else:
            report(f"The shop has already played until the end of {clock.day}.")
            last = clock.day
        rows["files"] = stores.write(connection, clock.start, last, report)
    return Advance(last, rows)


def _play(
    connection: psycopg.Connection,
    clock: Clock,
    last: date,
    is_new: bool,
    bad_orders: float,
    report: Callable[[str], None],
) -> dict[str, int]:
    """Play everything but the files from the clock through `last`; rows written, by table."""
    products = min(50_000, max(40, round(400 * clock.size)))
    values = {
        "shop": sql.Identifier(settings().shop_schema),
        "seed": clock.seed,
        "size": clock.size,
        "error_rate": clock.error_rate,
        "start": clock.start,
        "products": products,
        "growth": max(1, products // 200),
        "last_day": last,
        "last_index": (last - clock.start).days,
        # [previous, until) is what is played; a new shop begins with the eve of its first day.
        "previous": _midnight(clock.day if is_new else clock.day + timedelta(days=1)),
        "until": _midnight(last + timedelta(days=1)),
        "bad_orders": bad_orders,
    }

    def run(name: str, **more: object) -> int:
        cursor = connection.execute(statement(name, **values, **more))
        while cursor.nextset():
            pass
        return cursor.rowcount

    if is_new:
        _check_empty(connection)
        stores.clear()
        run("functions")
        run("schema")
    # Orders that went out wrong on purpose, until the shop plays on. A shop may be older than this table.
    connection.execute("create table if not exists demo.spoiled (order_id bigint primary key)")
    if not is_new:
        run("columns_added")
    if not is_new and (corrected := run("orders_corrected")):
        report(f"web: {corrected:,} orders corrected that went out wrong")
    run("days")
    rows = {name: run(name) for name in ("products", "products_gone", "customers")}
    report(f"shop: {rows['products']:,} products and {rows['customers']:,} customers new or changed")
    for channel in CHANNELS:
        tables = filled_by(channel.name)
        rows |= dict.fromkeys(tables, 0)
        for first, end in _chunks(connection, channel, clock.day - LIFE, last):
            connection.execute("drop table if exists pg_temp.lives, pg_temp.lines, pg_temp.pays")
            run(
                "lives",
                channel=sql.Identifier(channel.name),
                channel_first=sql.Identifier(f"first_{channel.name}"),
                channel_key=channel.key,
                order_faults=channel.faults,
                from_day=first,
                until_day=end,
            )
            connection.execute("analyze lives")
            for name in ("lines", "pays"):
                run(name)
                connection.execute(f"analyze {name}")
            for table in tables:
                rows[table] += run(f"{channel.name}/{table}")
            made = ", ".join(f"{rows[table]:,} {table.replace('_', ' ')}" for table in tables)
            report(f"{channel.name}: orders recorded through {end - timedelta(days=1)}: {made} new or changed")
    corrected, gone = run("payments_corrected"), run("orders_gone")
    report(f"web: {corrected:,} payments corrected without updated_at, {gone:,} orders deleted outright")
    if bad_orders:
        report(f"web: {run('orders_spoiled'):,} orders go out with a negative total")
    if is_new:
        names = sql.SQL(", ").join(sql.Identifier(settings().shop_schema, table) for table in shop_tables())
        connection.execute(sql.SQL("analyze {}, demo.marketplace_orders, demo.reviews").format(names))
    connection.execute("delete from demo.clock")
    connection.execute(
        "insert into demo.clock values (%s, %s, %s, %s, %s)",
        [last, clock.size, clock.seed, clock.start, clock.error_rate],
    )
    return rows


def _chunks(connection: psycopg.Connection, channel: Channel, since: date, last: date) -> Iterator[tuple[date, date]]:
    """The days since then whose orders can have changed, [first, end) at a time."""
    query = sql.SQL("select day, {} from demo.days where day >= {} and index >= 0 order by day")
    first, orders = None, 0
    for day, count in connection.execute(query.format(sql.Identifier(channel.name), sql.Literal(since))).fetchall():
        first, orders = first or day, orders + count
        if orders >= CHUNK_ORDERS or day == last:
            yield first, day + timedelta(days=1)
            first, orders = None, 0


def _new_clock(size: float = 1.0, seed: int = 7, start: date = START, error_rate: float = 0.02) -> Clock:
    """A clock at the day before a new shop's first day."""
    if not 0 < size <= 5000:
        raise StorehouseError(f"A shop's size is over 0 and at most 5000 (10 million orders a day), not {size:g}.")
    if not 0 <= error_rate <= 0.5:
        raise StorehouseError(f"The share of wrong records (error rate) is from 0 to 0.5, not {error_rate:g}.")
    return Clock(start - timedelta(days=1), size, seed, start, error_rate)


def _check_same(clock: Clock, wanted: dict[str, object]) -> None:
    for name, value in wanted.items():
        if getattr(clock, name) != value:
            raise StorehouseError(
                f"The shop that is there was made with {name.replace('_', ' ')} {getattr(clock, name)}, not {value}. "
                "Leave it out to go on with that shop, or make another one in an empty STOREHOUSE_HOME. "
                f"Where SHOP_DATABASE_URL is set: {PLACE}"
            )


def _check_empty(connection: psycopg.Connection) -> None:
    """A database that holds someone's shop is not ours to play in."""
    schema = settings().shop_schema
    taken = connection.execute(
        "select table_name from information_schema.tables where table_schema = %s and table_name = any(%s)",
        [schema, list(shop_tables())],
    ).fetchone()
    if taken:
        raise StorehouseError(
            f"The shop's database already has a table {schema}.{taken[0]} that the demo did not make. {PLACE}"
        )


def _last_day(clock: Clock, until: date | None, days: int | None) -> date:
    if until and days is not None:
        raise StorehouseError("Give the day to play to or the number of days, not both.")
    if days is not None and days < 0:
        raise StorehouseError(f"The shop can't go back: {days} days.")
    if days is not None and days > 1_000_000:
        raise StorehouseError(f"The shop can't be played on by {days:,} days: nothing after today is history yet.")
    last = until or clock.day + timedelta(days=1 if days is None else days)
    if last < clock.start:
        raise StorehouseError(f"The shop opens on {clock.start}: it can't be played to the end of {last}.")
    if last > (today := datetime.now(UTC).date()):
        raise StorehouseError(
            f"The shop can't be played to the end of {last}: today is {today}, and what is dated in the future is no "
            "history yet. For a longer one, make a new shop that opens earlier: python -m demo advance --start DATE"
        )
    return last


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)
