"""After any history of the shop's own database, raw has what the shop has, and the marts are those of that shop.

READ=full,updated_at plays these ways of reading alone. HISTORIES=n plays more of each, and larger ones
(`make fuzz READ=full HISTORIES=3`); HISTORY_SEED=s plays one again.
"""

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import psycopg
import pytest
import warm
from examples_in_project import of_dbt
from histories import Landed, Record
from houses import MODELS_ALONE, House, build_house
from oracle import QUERIES, Oracle, differences
from psycopg.conninfo import conninfo_to_dict
from shop_histories import (
    DAY_ZERO,
    GONE,
    KEY_COLUMNS,
    UNSTAMPED,
    Differences,
    Key,
    Shop,
    compare,
    current,
    declare,
    terminate,
    values_of,
)

import extract_load
from extract_load import tables
from storehouse.core import transform
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT
from storehouse.laptop.server import Server
from storehouse.operate import audit

HISTORIES = int(os.environ.get("HISTORIES", "0"))
ORDERS, DAYS, TRANSACTIONS = (1500, 8, 60) if HISTORIES else (100, 5, 15)
# What `make test` builds: the marts that the oracle knows of a shop.
MARTS = [mart for mart in QUERIES if HISTORIES or not ("review" in mart or "rating" in mart)]
SELECTED = [] if HISTORIES else ["--select", *(f"+{mart}" for mart in MARTS)]
SEED = int(os.environ.get("HISTORY_SEED", random.randrange(2**32)))


class Way(NamedTuple):
    """A way to read the shop.

    Attributes:
        read: what its tables are declared with.
        is_exact: raw has what the shop has.
        reconciles: each load is followed by a reconciliation.
        has_marts: they are built and compared by `make test` too. It takes dbt most of the time of a history.
    """

    read: str
    is_exact: bool = True
    reconciles: bool = False
    has_marts: bool = True


# What can end a load, and how often.
FAULTS = ["the load"] * 3 + ["its process", "the shop's backend", "the warehouse's backend", "the shop's server"]
# These lose changes, which the next load must say: only a snapshot finds them.
FAULTS_OF_SLOTS = ["the slot is dropped", "the slot is read by another", "the slot is invalidated"]
# What a reader by `updated_at` is not promised to see. What is committed late it is: it waits for open transactions.
EXPECTED = {*GONE, *UNSTAMPED}
WAYS = {
    "full": Way("full", has_marts=False),
    "updated_at": Way("updated_at", is_exact=False, has_marts=False),
    "reconcile": Way("updated_at", reconciles=os.environ.get("RECONCILE") != "off"),
    "change_log": Way("change_log"),
}
CHOSEN = [name for name in os.environ.get("READ", ",".join(WAYS)).split(",") if name]


def as_landed(shop: str) -> Landed:
    """The source as it stands, as if one load had landed all of it and nothing else ever had been."""
    landed = Landed()
    landed.intervals[1] = DAY_ZERO - timedelta(days=365), datetime.now(UTC)
    with psycopg.connect(shop, row_factory=psycopg.rows.dict_row) as source:
        source.execute("set timezone to 'UTC'")
        for table, key in KEY_COLUMNS.items():
            found = source.execute(f"select * from {table} where deleted_at is null").fetchall()
            for row in found:
                row |= {
                    name: str(row[name])
                    for name in {*key, "order_id", "customer_id"} & row.keys() - {"line_number"}
                    if row[name] is not None
                }
                row["updated_at"] = row["updated_at"] or DAY_ZERO
            records = [Record(f"shop.{table}", row) for row in found]
            landed.rows[f"shop.{table}"] = [(1, number, record) for number, record in enumerate(records, start=1)]
    return landed


class Killed(BaseException):
    """The load ends here."""


@contextmanager
def killed_at(line: int) -> Iterator[None]:
    """Whatever extract-load does within ends before it runs so many lines of its own."""
    left = line

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal left
        if not frame.f_code.co_filename.startswith(str(PROJECT / "extract_load")):
            return None
        if event == "line":
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise Killed
        return trace

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(None)


class History:
    """One history being played on a house of its own, whose shop lives on a server of its own.

    Args:
        house: where the shop and the warehouse of this history are.
        servers: the shop's, and the warehouse's.
        way: how the shop is read.
        seed: draws it.
    """

    def __init__(self, house: House, servers: tuple[Server, Server], way: Way, seed: int) -> None:
        self.house, self.way = house, way
        self.source, self.warehouse = servers
        self.dice = random.Random(seed)
        self.shop = Shop(seed, house.shop, ORDERS)
        self.story: list[str] = []
        self.has_marts = way.has_marts or HISTORIES > 0
        self.is_slot_lost = self.has_begun_again = False
        if way.read == "change_log":
            house.execute_in_shop(f"create publication storehouse for table {', '.join(KEY_COLUMNS)}")

    def play(self) -> None:
        """Days of work and loads, with all that can go wrong; at the end everything is read once more."""
        for day in range(DAYS):
            self.shop.work(TRANSACTIONS)
            if day and self.way.read == "change_log" and self.dice.random() < 0.3:
                self.lose(self.dice.choice(FAULTS_OF_SLOTS))
            fault = self.dice.choice(FAULTS) if day and self.dice.random() < 0.8 else None
            self.story.append(f"load {self.shop.loads + 1}" + (f", {fault} dies" if fault else ""))
            if self.needs_slot:
                # A slot is made when all transactions have ended that are open.
                self.shop.end()
            with self.shop.at_work(0 if self.needs_slot else self.dice.choice([0, TRANSACTIONS])), self.shop.read():
                self.fail(fault) if fault else self.land()
            if fault == "the shop's server":
                self.source.start()
                self.shop.revive()
            if day % 4 == 1:
                self.build()
        self.shop.end()
        with self.shop.read():
            self.land()
        self.build()

    @property
    def needs_slot(self) -> bool:
        """Whether the next load makes a replication slot."""
        if self.way.read != "change_log":
            return False
        with psycopg.connect(self.house.shop) as shop:
            there = "select 1 from pg_replication_slots where database = current_database() and wal_status <> 'lost'"
            return self.is_slot_lost or not shop.execute(there).fetchone()

    def land(self) -> None:
        """Land the shop, as a person does who reads what a load says."""
        if self.is_slot_lost:
            try:
                extract_load.load("shop", allow_empty=True)
            except StorehouseError as error:
                if "--snapshot" not in str(error):
                    raise
            else:
                assert self.has_begun_again, f"{self.story}: changes were lost, and the load does not say so"
            # If it is killed, it may have been at its very end.
            self.has_begun_again = True
            extract_load.load("shop", allow_empty=True, snapshot=True)
            self.is_slot_lost = self.has_begun_again = False
        else:
            extract_load.load("shop", allow_empty=True)
        if self.way.reconciles:
            extract_load.reconcile("shop", compare="columns", allow_empty=True)

    def lose(self, how: str) -> None:
        """Take changes from the slot, of which some are not landed."""
        self.story.append(how)
        ours = "from pg_replication_slots where database = current_database()"
        with psycopg.connect(self.house.shop, autocommit=True) as shop:
            match how:
                case "the slot is dropped":
                    shop.execute(f"select pg_drop_replication_slot(slot_name) {ours}")
                case "the slot is read by another":
                    # Nobody can, once it is invalidated.
                    advance = "select pg_replication_slot_advance(slot_name, pg_current_wal_flush_lsn())"
                    shop.execute(f"{advance} {ours} and wal_status <> 'lost'")
                    # Else it goes back, and loses nothing, where the server dies before the next one.
                    shop.execute("checkpoint")
                case "the slot is invalidated":
                    # It may hold a MB, and three files of 16 are written.
                    shop.execute("alter system set max_slot_wal_keep_size = '1MB'")
                    shop.execute("select pg_reload_conf()")
                    # The checkpointer reads its settings when it is told to, which a busy machine may do later.
                    while shop.execute(f"select 1 {ours} and wal_status <> 'lost'").fetchone():
                        for _ in range(3):
                            shop.execute("select pg_logical_emit_message(false, '', 'more'), pg_switch_wal()")
                        shop.execute("checkpoint")
                    shop.execute("alter system reset max_slot_wal_keep_size")
                    shop.execute("select pg_reload_conf()")
        self.is_slot_lost = True

    def fail(self, fault: str) -> None:
        """Land the shop, and have something end it at a random moment, if it is still at work."""
        delay = self.dice.expovariate(1 / 0.15)
        with suppress(Killed, TimeoutError, StorehouseError):
            if fault == "the load":
                with killed_at(self.dice.randrange(12000)):
                    self.land()
            elif fault == "its process":
                # It is killed outright: nothing of ours ends in order.
                given = [str(tables.STAGING), *(["reconcile"] if self.way.reconciles else [])]
                warm.run("tests.land_declared", *given, env=dict(os.environ), timeout=delay)
            else:
                killer = threading.Timer(delay, self.kill, [fault])
                killer.start()
                try:
                    self.land()
                finally:
                    killer.join()

    def kill(self, fault: str) -> None:
        if fault == "the shop's server":
            os.kill(int((self.source.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
            return
        server, place = (
            (self.source, self.house.shop) if fault == "the shop's backend" else (self.warehouse, self.house.warehouse)
        )
        terminate(server, conninfo_to_dict(place)["dbname"])

    def build(self) -> None:
        """Build every model from what has landed."""
        if self.has_marts:
            assert transform.build([*MODELS_ALONE, *SELECTED]) == []

    def differences(self) -> Differences:
        """Raw against the shop, as both are now."""
        return compare(self.house.shop, self.house.warehouse, current(self.way.read))

    def told(self, keys: set[Key]) -> str:
        """What happened to some of these keys, for the message of a failure."""
        gone_first = sorted(keys, key=lambda key: (GONE[0] not in self.shop.told[key], key))
        lines = [f"{key.table} {values_of(key)}: " + "; ".join(self.shop.log[key]) for key in gone_first[:5]]
        return "\n".join([f"HISTORY_SEED={SEED}, {len(keys)} keys: {self.story}", *lines])

    def check(self, *, is_exact: bool) -> None:
        """Raw is exact; or else what it lacks is what cannot be seen by `updated_at`."""
        found = self.differences()
        if is_exact:
            assert not found.all, self.told(found.all)
        unseen = {key for key in found.all if not self.shop.told[key] & EXPECTED}
        assert not unseen, self.told(unseen)

    def check_marts(self) -> None:
        """Incremental equals full refresh; where raw is exact, the marts are what the oracle makes of the shop."""
        if not self.has_marts:
            return
        if HISTORIES:
            assert [verdict.line for verdict in audit.audit() if verdict.differences or verdict.note] == []
            lost = "select * from operations.pipeline_loads where landed_rows <> accepted_rows + refused_rows"
            assert self.house.query(lost) == []
        if self.way.is_exact:
            rates = self.house.query("select currency, valid_from, usd_per_unit from seeds.exchange_rates")
            wrong = differences(self.house.query, Oracle(as_landed(self.house.shop), rates), MARTS)
            assert wrong == [], self.told(set())


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for shops alone, which may be killed: what it has told to be committed is."""
    server = Server(tmp_path_factory.mktemp("source"), options={"fsync": "off", "synchronous_commit": "on"}).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of the project as dbt reads it when the shop is read in another way."""

    @cache
    def project(read: str) -> Path:
        return read_otherwise(of_dbt(tmp_path_factory.mktemp("project")), read) if read != "updated_at" else PROJECT

    return project


def read_otherwise(project: Path, read: str) -> Path:
    """Read the shop's tables in this way."""
    folder = project / "models" / "staging" / "shop"
    declare(folder, read)
    # Then the order of the loads is the order of the versions.
    version = "'version': ['_load_id', '_row']"
    for name in ("customers", "orders", "order_items", "payments"):
        model = folder / f"stg_shop__{name}.sql"
        config, end, rest = model.read_text().partition(") }}")
        is_new = "meta={" not in config
        config = f"{config}, meta={{{version}}}" if is_new else config.replace("meta={", f"meta={{{version}, ")
        model.write_text(config + end + rest)
    return project


@pytest.fixture
def play(
    server: Server, source: Server, declared: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Iterator[History]]]:
    """Histories of a way, each on a house of its own, not begun yet."""
    begun: list[Generator[History, None, None]] = []

    def histories(way: Way, number: int = 1) -> Generator[History, None, None]:
        project = declared(way.read)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(transform, "PROJECT", project)
            patch.setattr(tables, "STAGING", project / "models" / "staging")
            patch.setenv("OVERLAP_MINUTES", "0")
            tables._tables.cache_clear()
            for turn in range(number):
                for house in build_house(server, tmp_path_factory.mktemp("history"), shop_server=source):
                    extract_load.prepare()
                    history = History(house, (source, server), way, SEED + turn)
                    try:
                        yield history
                    finally:
                        history.shop.close()

    def begin(way: Way, number: int = 1) -> Iterator[History]:
        begun.append(histories(way, number))
        return begun[-1]

    yield begin
    # One that failed has not ended: what it changed for its house would stay for the tests after it.
    for each in begun:
        each.close()
    tables._tables.cache_clear()


@pytest.mark.parametrize("name", CHOSEN)
def test_raw_has_what_the_shop_has_and_the_marts_follow(play: Callable[..., Iterator[History]], name: str) -> None:
    keys, way = 0, WAYS[name]
    for history in play(way, max(HISTORIES, 1)):
        history.play()
        history.check(is_exact=way.is_exact)
        history.check_marts()
        keys += history.shop.keys
    print(f"\n{name}: {keys:,} key histories in {max(HISTORIES, 1)} histories, HISTORY_SEED={SEED}")


def test_what_updated_at_cannot_see_is_found_and_named(play: Callable[..., Iterator[History]]) -> None:
    for history in play(WAYS["updated_at"]._replace(has_marts=False)):
        history.play()
        with pytest.raises(AssertionError, match=r"HISTORY_SEED=\d+, \d+ keys:(.|\n)*deleted outright, committed"):
            history.check(is_exact=True)
        assert any(history.shop.told[key] & set(GONE) for key in history.differences().extra)
