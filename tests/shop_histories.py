"""Random histories that begin at the shop's own database: transactions that overlap, fail, come late and forget."""

import json
import random
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import sql

from storehouse.laptop.server import Server

TIMES = "created_at timestamptz default now(), updated_at timestamptz, deleted_at timestamptz"
SHOP = f"""
    create table customers (
        customer_id bigint primary key, email text, full_name text, address text, postal_code text, city text,
        region text, country text, {TIMES}
    );
    create table products (
        product_id text primary key, name text, category text, currency text, price numeric(14, 2), is_active boolean,
        weight_g integer, length_cm integer, height_cm integer, width_cm integer, {TIMES}
    );
    create table orders (
        order_id bigint primary key, customer_id bigint, status text, currency text, discount_code text,
        total_amount numeric(14, 2), placed_at timestamptz, approved_at timestamptz, shipped_at timestamptz,
        delivered_at timestamptz, estimated_delivery_at timestamptz, credited_order_id text, notes text, {TIMES}
    );
    create table order_items (
        order_id bigint, line_number integer, product_id text, quantity integer, unit_price numeric(14, 2),
        discount_amount numeric(14, 2), freight_amount numeric(14, 2), seller_id text, ship_by_at timestamptz, {TIMES},
        primary key (order_id, line_number)
    );
    create table payments (
        payment_id bigint primary key, order_id bigint, method text, installments integer, amount numeric(14, 2),
        currency text, status text, paid_at timestamptz, refunds_payment_id text, payment_sequence integer, {TIMES}
    );
    -- Kept beside the row, whatever its size: an update that leaves it alone does not write it to the log of changes.
    alter table orders alter notes set storage external;
"""
DAY_ZERO = datetime(2026, 1, 1, tzinfo=UTC)
COUNTRIES = ["US", "DE", "JP", "GB", "XX", None]
SESSIONS = 5
# Customers that orders name. The country of an order's customer makes its region, and marts keep it of a customer who
# is gone: so none of these is deleted.
NAMED = 30
# Each so many-th key is wrong, and stays so: a row that becomes wrong would leave the one before it in the marts.
WRONG = 41
WIDE = 6000
# What a transaction does, and how often.
CHANGES = [*["write"] * 6, *["touch"] * 2, *["delete"] * 2, "soft", "again", "unstamped", "back", "null", "key"]

# What reading by `updated_at` can't see. The first three leave a row in raw that the source no longer has.
GONE = "deleted outright", "given another key", "truncated"
UNSTAMPED = "changed without updated_at", "updated_at set back", "updated_at set to null"
READ_ANEW = "written", "deleted by deleted_at"
LATE = "committed after a load that began later"


class Key(NamedTuple):
    """A key of a table: `number` counts them, and says whose it is."""

    table: str
    number: int


KEY_COLUMNS = {
    "customers": ("customer_id",),
    "products": ("product_id",),
    "orders": ("order_id",),
    "order_items": ("order_id", "line_number"),
    "payments": ("payment_id",),
}


def values_of(key: Key) -> tuple:
    """What stands in the columns of the key."""
    match key.table:
        case "products":
            return (f"P-{key.number}",)
        case "order_items":
            return key.number // 3, key.number % 3 + 1
        case _:
            return (key.number,)


def key_of(table: str, values: tuple) -> Key:
    match table:
        case "products":
            return Key(table, int(values[0].removeprefix("P-")))
        case "order_items":
            return Key(table, values[0] * 3 + values[1] - 1)
        case _:
            return Key(table, values[0])


@dataclass
class Session:
    """A connection to the shop. It alone changes the keys whose number leaves `part` over, divided by `SESSIONS`."""

    part: int
    connection: psycopg.Connection
    is_open: bool = False
    began: int = 0  # loads that had begun by then
    is_in_load: bool = False  # one of them was not over
    told: list[tuple[Key, str]] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)


class Shop:
    """The shop's database, and what its sessions do to it.

    Args:
        seed: draws the history. Times are the server's, and threads meet as they meet: it is not the same to the row.
        place: the connection string of an empty database.
        orders: web orders; everything else is in proportion.

    Attributes:
        told: of each key what happened to it that a reader by `updated_at` can't see, since it last was read anew.
        log: all that happened to it, for the message of a failure.
        loads: how many loads have begun.
    """

    def __init__(self, seed: int, place: str, orders: int) -> None:
        self.dice = random.Random(seed)
        self.place = place
        self.numbers = {
            "customers": NAMED * 2,
            "products": 40,
            "orders": orders,
            "order_items": orders * 2,
            "payments": orders,
        }
        self.fresh = {table: count + SESSIONS for table, count in self.numbers.items()}
        self.told: dict[Key, set[str]] = defaultdict(set)
        self.log: dict[Key, list[str]] = defaultdict(list)
        self.loads, self.is_read = 0, False
        with psycopg.connect(place) as connection:
            connection.execute(SHOP)
        self.sessions = [Session(part, self._connect()) for part in range(SESSIONS)]
        for session in self.sessions:
            self._begin(session)
            for table in KEY_COLUMNS:
                share = 1 if table == "customers" else 0.6
                numbers = [number for number in self._numbers(session, table) if self.dice.random() < share]
                self._write(session, [Key(table, number) for number in numbers], "now()")
            self._commit(session)

    @property
    def keys(self) -> int:
        """How many there have been, in all tables."""
        return len(self.log)

    def work(self, transactions: int) -> None:
        """So many times: begin a transaction, or go on with one; then commit it, roll it back, or leave it open."""
        for _ in range(transactions):
            session = self.dice.choice(self.sessions)
            if not session.is_open:
                self._begin(session)
                if self.dice.random() < 0.04:
                    self._truncate(session)
                    continue
            for _ in range(self.dice.choice([1, 1, 2, 4])):
                self._change(session)
            match self.dice.choice(["commit"] * 6 + ["roll back", "die", "leave open", "leave open"]):
                case "commit":
                    self._commit(session)
                case "roll back":
                    self._forget(session)
                    session.connection.rollback()
                case "die":
                    self._die(session)

    @contextmanager
    def at_work(self, transactions: int) -> Iterator[None]:
        """The sessions work while something else is done."""

        def work() -> None:
            # The server may be killed meanwhile.
            with suppress(psycopg.OperationalError):
                self.work(transactions)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            yield
        finally:
            worker.join()

    @contextmanager
    def read(self) -> Iterator[None]:
        """A load reads it within."""
        self.loads, self.is_read = self.loads + 1, True
        try:
            yield
        finally:
            self.is_read = False

    def end(self) -> None:
        """Commit or roll back what is open; the last transaction deletes rows, so that no history is without."""
        for session in self.sessions:
            if session.is_open and self.dice.random() < 0.8:
                self._commit(session)
            elif session.is_open:
                self._die(session)

        session = self.sessions[0]
        self._begin(session)
        for table in ("orders", "payments"):
            self._delete(session, [Key(table, number) for number in self._numbers(session, table)[:10]])
        self._commit(session)

    def close(self) -> None:
        """Leave the shop."""
        for session in self.sessions:
            session.connection.close()

    def revive(self) -> None:
        """Connect again after the server was killed; what was open is lost."""
        for session in self.sessions:
            self._forget(session)
            session.connection.close()
            session.connection = self._connect()

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self.place, application_name="shop", options="-c timezone=UTC")

    def _numbers(self, session: Session, table: str) -> range:
        return range(session.part + SESSIONS, self.numbers[table] + SESSIONS, SESSIONS)

    def _begin(self, session: Session) -> None:
        session.is_open, session.began, session.is_in_load = True, self.loads, self.is_read
        session.connection.execute("select now()")

    def _commit(self, session: Session) -> None:
        session.connection.commit()
        is_late = session.is_in_load or self.loads > session.began
        for key, what in session.told:
            self.log[key].append(f"{what}, committed after load {self.loads}, begun after load {session.began}")
            if what in READ_ANEW:
                self.told[key].clear()
            else:
                self.told[key].add(what)
            if is_late:
                self.told[key].add(LATE)
        self._forget(session)

    def _forget(self, session: Session) -> None:
        session.is_open = False
        session.told.clear()
        session.tables.clear()

    def _die(self, session: Session) -> None:
        with psycopg.connect(self.place, autocommit=True) as other:
            other.execute("select pg_terminate_backend(%s)", [session.connection.info.backend_pid])
        self._forget(session)
        session.connection.close()
        session.connection = self._connect()

    def _change(self, session: Session) -> None:
        if self.dice.random() < 0.15:
            told = len(session.told)
            with suppress(psycopg.errors.RaiseException), session.connection.transaction():
                self._change_one(session)
                session.connection.execute("do $$ begin raise 'a savepoint is rolled back'; end $$")
            del session.told[told:]
        else:
            self._change_one(session)

    def _change_one(self, session: Session) -> None:
        table = self.dice.choice(["orders", "orders", "order_items", "order_items", *KEY_COLUMNS])
        session.tables.add(table)
        its = self._numbers(session, table)
        keys = [Key(table, number) for number in self.dice.sample(its, k=min(len(its), self.dice.choice([1, 3, 12])))]
        mortal = [key for key in keys if key.table != "customers" or key.number >= NAMED + SESSIONS]
        match self.dice.choice(CHANGES):
            case "write":
                self._write(session, keys, self.dice.choice(["now()", "now()", "clock_timestamp()"]))
            case "touch":
                self._update(session, keys, READ_ANEW[0], "updated_at = now(), created_at = created_at")
            case "delete":
                self._delete(session, mortal)
            case "soft":
                self._update(session, mortal, READ_ANEW[1], "updated_at = now(), deleted_at = now()")
            case "again":
                self._delete(session, mortal)
                self._write(session, mortal[:2], "now()")
            case "unstamped":
                self._update(session, keys, UNSTAMPED[0], self._other_value(table))
            case "back":
                back = "updated_at = updated_at - interval '2 hours', "
                self._update(session, keys, UNSTAMPED[1], back + self._other_value(table))
            case "null":
                self._update(session, keys, UNSTAMPED[2], "updated_at = null, " + self._other_value(table))
            case "key":
                for key in [key for key in mortal if key.number % WRONG][:2]:
                    self._give_key(session, key)

    def _other_value(self, table: str) -> str:
        """An assignment that changes a declared column: reconciliation compares no others."""
        return {
            "customers": "city = city || '.'",
            "products": "name = name || '.'",
            "orders": "notes = repeat(md5(random()::text), 200), total_amount = total_amount + 1",
            # Not the quantity: a wrong one would become right.
            "order_items": "unit_price = unit_price + 1, discount_amount = 0",
            "payments": "amount = amount + 1",
        }[table]

    def _write(self, session: Session, keys: list[Key], stamp: str) -> None:
        """Insert these rows, or update them; an update leaves the wide value alone."""
        if not keys:
            return
        table = keys[0].table
        rows = [dict(zip(KEY_COLUMNS[table], values_of(key), strict=True)) | self._row(key) for key in keys]
        columns = [*rows[0], "deleted_at"]
        names = ", ".join(columns)
        kept = [*KEY_COLUMNS[table], "notes"]
        updates = ", ".join(f"{name} = excluded.{name}" for name in [*columns, "updated_at"] if name not in kept)
        self._run(
            session,
            table,
            READ_ANEW[0],
            f"insert into {table} ({names}, updated_at) select {names}, {stamp} "
            f"from json_populate_recordset(null::{table}, %s) on conflict ({', '.join(KEY_COLUMNS[table])}) "
            f"do update set {updates}",
            json.dumps(rows, default=str),
        )

    def _update(self, session: Session, keys: list[Key], what: str, assignments: str) -> None:
        if keys:
            self._of_keys(session, keys, what, f"update {keys[0].table} set {assignments}")

    def _delete(self, session: Session, keys: list[Key]) -> None:
        if keys:
            self._of_keys(session, keys, GONE[0], f"delete from {keys[0].table}")

    def _of_keys(self, session: Session, keys: list[Key], what: str, statement: str) -> None:
        table = keys[0].table
        columns = ", ".join(KEY_COLUMNS[table])
        rows = [dict(zip(KEY_COLUMNS[table], values_of(key), strict=True)) for key in keys]
        found = f"where ({columns}) in (select {columns} from json_populate_recordset(null::{table}, %s))"
        self._run(session, table, what, f"{statement} {found}", json.dumps(rows))

    def _give_key(self, session: Session, key: Key) -> None:
        """Give a row a key that there never was."""
        fresh = self.fresh[key.table]
        fresh = next(n for n in range(fresh, fresh + 3 * SESSIONS) if n % SESSIONS == session.part and n % WRONG)
        self.fresh[key.table] = fresh + 1
        new, is_stamped = Key(key.table, fresh), self.dice.random() < 0.5
        columns = KEY_COLUMNS[key.table]
        changes = ", ".join(f"{column} = %s" for column in columns) + (", updated_at = now()" if is_stamped else "")
        found = " and ".join(f"{column} = %s" for column in columns)
        statement = f"update {key.table} set {changes} where {found}"
        if self._run(
            session,
            key.table,
            READ_ANEW[0] if is_stamped else UNSTAMPED[0],
            statement,
            *values_of(new),
            *values_of(key),
        ):
            session.told.append((key, GONE[1]))

    def _truncate(self, session: Session) -> None:
        """Truncate a table of which no other transaction holds a row, and fill it again in part, at once."""
        held = set().union(*(other.tables for other in self.sessions))
        free = [table for table in ("orders", "order_items", "payments", "products") if table not in held]
        if not free:
            return
        table = self.dice.choice(free)
        columns = KEY_COLUMNS[table]
        found = session.connection.execute(f"select {', '.join(columns)} from {table}").fetchall()
        session.connection.execute(f"truncate {table}")
        session.told += [(key_of(table, values), GONE[2]) for values in found]
        self._write(session, [Key(table, number) for number in self._numbers(session, table)], "now()")
        self._commit(session)

    def _run(self, session: Session, table: str, what: str, statement: str, *parameters: object) -> int:
        returning = f"{statement} returning {', '.join(f'{table}.{column}' for column in KEY_COLUMNS[table])}"
        found = session.connection.execute(returning, parameters).fetchall()
        session.told += [(key_of(table, values), what) for values in found]
        return len(found)

    def _money(self, most: int = 400) -> float:
        return self.dice.randrange(100, most * 100) / 100

    def _moment(self) -> datetime:
        return DAY_ZERO - timedelta(hours=self.dice.randrange(80 * 24))

    def _row(self, key: Key) -> dict:
        """The columns that are not of the key, in what the rules accept; of a wrong key, in what they refuse."""
        dice, is_wrong = self.dice, not key.number % WRONG
        match key.table:
            case "customers":
                return {
                    "email": f"{key.number}@example.com",
                    "city": dice.choice(["Here", "There"]),
                    "country": COUNTRIES[key.number % len(COUNTRIES)],
                }
            case "products":
                return {
                    "name": f"Product {dice.random()}",
                    "price": -1 if is_wrong else self._money(),
                    "is_active": True,
                }
            case "orders":
                return {
                    "customer_id": dice.choice([None, *[SESSIONS + dice.randrange(NAMED) for _ in range(9)]]),
                    "status": "bogus" if is_wrong else dice.choice(["created", "shipped ", "canceled", "credit_note"]),
                    "currency": dice.choice(["USD", "EUR", "JPY", None]),
                    "total_amount": self._money(2000),
                    "placed_at": self._moment(),
                    "notes": dice.randbytes(WIDE // 2).hex(),
                }
            case "order_items":
                return {
                    "product_id": f"P-{dice.randrange(40)}",
                    "quantity": 0 if is_wrong else dice.choice([1, 1, 2, 5]),
                    "unit_price": self._money() + 1,
                    "discount_amount": dice.choice([0, 0, 0.5]),
                    "freight_amount": dice.choice([0, 4.99]),
                }
            case _:
                return {
                    "order_id": key.number if dice.random() < 0.9 else dice.randrange(self.numbers["orders"]),
                    "method": dice.choice(["card", "Voucher ", None]),
                    "installments": 1,
                    "amount": self._money(),
                    "currency": dice.choice(["USD", "EUR", "JPY", None]),
                    "status": "odd" if is_wrong else dice.choice(["authorized", "captured", "refunded", "failed"]),
                    "paid_at": self._moment(),
                }


class Differences(NamedTuple):
    """Keys whose row in raw is not that of the source: in raw alone, at the source alone, or other values."""

    extra: set[Key]
    missing: set[Key]
    changed: set[Key]

    @property
    def all(self) -> set[Key]:
        return self.extra | self.missing | self.changed


def rows_of(connection: psycopg.Connection, table: str, statement: str) -> dict[Key, tuple]:
    """The living rows of a table by key, as text."""
    columns = [
        name
        for (name,) in connection.execute(
            "select column_name from information_schema.columns where table_schema || '.' || table_name = %s"
            " and column_name not like '\\_%%' order by 1",
            [table],
        )
    ]
    name = table.split(".")[1]
    keys = sql.SQL(", ").join(map(sql.Identifier, KEY_COLUMNS[name]))
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns)
    query = sql.SQL("select {}, {} from ({}) as found").format(keys, texts, sql.SQL(statement))
    width = len(KEY_COLUMNS[name])
    return {key_of(name, row[:width]): row[width:] for row in connection.execute(query)}


def compare(shop: str, warehouse: str, current: dict[str, str]) -> Differences:
    """Raw's current rows against the source's.

    Args:
        shop: the connection string of the source.
        warehouse: and of the warehouse.
        current: for each table the order by which the first of a key's rows in raw is its current one.
    """
    extra, missing, changed = set(), set(), set()
    with psycopg.connect(shop) as source, psycopg.connect(warehouse) as ours:
        for connection in (source, ours):
            connection.execute("set timezone to 'UTC'")
        for table, order in current.items():
            key = ", ".join(KEY_COLUMNS[table])
            there = rows_of(source, f"public.{table}", f"select * from {table} where deleted_at is null")
            latest = f"select distinct on ({key}) * from raw_shop.{table} order by {key}, {order}"
            here = rows_of(ours, f"raw_shop.{table}", f"select * from ({latest}) as latest where _op <> 'd'")
            extra |= here.keys() - there.keys()
            missing |= there.keys() - here.keys()
            changed |= {key for key in here.keys() & there.keys() if here[key] != there[key]}
    return Differences(extra, missing, changed)


def terminate(server: Server, database: str, *, but: str = "shop") -> None:
    """End every connection to a database, but those of the application of this name."""
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and application_name <> %s",
            [database, but],
        )


# The order by which the first of a key's rows in raw is its current one: that of the loads, or that of the versions.
LANDED_LAST = "_load_id desc, _row desc"
# A tombstone of reconciliation has the version of what it buries, any other row of it that or its own. A row that is
# deleted and does not say when was so when its load had read it.
LATEST_VERSION = f"""
    case
        when _op = 'd' and _supersedes is not null then _supersedes
        when _op = 'd' and updated_at is null
            then (select coalesce(interval_until, started_at) from raw.loads where load_id = _load_id)
        else greatest(_supersedes, updated_at)
    end desc nulls last, {LANDED_LAST}
"""


def current(read: str) -> dict[str, str]:
    """What `compare` takes of a shop whose tables are read in this way; the products are read in full then too."""
    return {
        table: LATEST_VERSION if read == "updated_at" and table != "products" else LANDED_LAST for table in KEY_COLUMNS
    }


def declare(folder: Path, read: str) -> None:
    """Let the declaration of the shop in this folder read its tables in another way, as docs/sources.md says."""
    if read == "updated_at":
        return
    declaration = folder / "_shop__sources.yml"
    text = declaration.read_text().replace("read: updated_at", f"read: {read}")
    declaration.write_text(re.sub(r"^ +(version|statistics|reconcile): .*\n", "", text, flags=re.MULTILINE))
