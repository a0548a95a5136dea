"""Kill (SIGKILL) a load by change log, and a reconciliation: around slot, commit and confirmation.

KILLS=n kills the change-log load n times and the reconciliation half as often (`make chaos KILLS=30`); KILL_SEED=s
repeats the same choices.
"""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from houses import House, build_house
from shop_histories import KEY_COLUMNS, Shop, compare, current, declare
from test_kills import KILLS, SEED, loads_that_are_not_whole

import extract_load
from extract_load import tables
from extract_load.ledger import LEDGER_LOCK
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT
from storehouse.laptop.server import Server

MOMENTS = {
    "change_log": ["the slot is made", "before the commit", "after the commit", "at random"],
    "reconcile": ["before the commit", "after the commit", "at random", "at random"],
}
# How many ledger rows there are more: a load writes five, by change log four of them at once, a reconciliation four.
AFTER = {"change_log": [1, 2, 5], "reconcile": [1, 2, 5, 6]}


@pytest.fixture
def shop_house(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], House]]:
    """Builds a house whose shop tables are declared with the given `read`."""
    houses = build_house(server, tmp_path / "home")

    def build(read: str) -> House:
        staging = tmp_path / "staging"
        shutil.copytree(PROJECT / "models" / "staging" / "shop", staging / "shop")
        declare(staging / "shop", read)
        monkeypatch.setattr(tables, "STAGING", staging)
        tables._tables.cache_clear()
        return next(houses)

    yield build
    next(houses, None)
    tables._tables.cache_clear()


class Loader:
    """A child process that lands the shop: everything is imported; it begins when its input is closed."""

    def __init__(self, house: House, way: str, *given: str) -> None:
        self.house = house
        self.way = way
        command = [sys.executable, "-m", "tests.land_declared", str(tables.STAGING), *given]
        self.process = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout and self.process.stdout.readline() == "ready\n"

    def kill(self, moment: str, dice: random.Random) -> None:
        """Let it begin, and kill it at that moment."""
        assert self.process.stdin
        landed = self.loads()
        with psycopg.connect(self.house.warehouse) as holder, psycopg.connect(self.house.shop, autocommit=True) as shop:
            ledger_lock = "select pg_advisory_xact_lock(%s)", [LEDGER_LOCK]
            if moment == "before the commit" and self.way == "change_log":
                holder.execute(*ledger_lock)
            self.process.stdin.close()
            match moment:
                case "the slot is made":
                    self.wait(lambda: shop.execute("select slot_name from pg_replication_slots").fetchone())
                case "before the commit":
                    if self.way == "reconcile":
                        self.wait(lambda: self.loads() >= landed + 5)
                        holder.execute(*ledger_lock)
                    waits = "select from pg_locks where locktype = 'advisory' and not granted"
                    self.wait(lambda: self.house.query(waits))
                case "after the commit":
                    later = dice.choice(AFTER[self.way])
                    self.wait(lambda: self.loads() >= landed + later)
                case _:
                    time.sleep(dice.uniform(0, 1))
            self.process.kill()
            self.process.wait()
        if moment in ("the slot is made", "before the commit"):
            assert self.process.returncode == -signal.SIGKILL, f"it had ended before it was killed: {moment}"

    def wait(self, until: Callable[[], object]) -> None:
        end = time.monotonic() + 120
        while not until() and self.process.poll() is None:
            assert time.monotonic() < end, "the moment did not come"
            time.sleep(0.001)

    def loads(self) -> int:
        if self.house.query("select to_regclass('raw.loads')") == [(None,)]:
            return 0
        return self.house.query("select count(*) from raw.loads")[0][0]


@pytest.mark.parametrize("way", MOMENTS)
def test_a_killed_load_or_reconciliation_loses_and_doubles_nothing(
    shop_house: Callable[[str], House], way: str
) -> None:
    read = "updated_at" if way == "reconcile" else way
    house, dice, struck = shop_house(read), random.Random(SEED), []
    shop = Shop(SEED, house.shop, orders=100)
    if way == "change_log":
        house.execute_in_shop(f"create publication storehouse for table {', '.join(KEY_COLUMNS)}")
    kills = KILLS if way == "change_log" else max(1, KILLS // 2)
    for number in range(kills):
        moment = MOMENTS[way][number % len(MOMENTS[way])]
        shop.work(10)
        needs_snapshot = moment == "the slot is made"
        if needs_snapshot:
            # A new slot waits for all open transactions to end, so end them first.
            shop.end()
            with psycopg.connect(house.shop) as source:
                source.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
        given = ["reconcile"] if way == "reconcile" else ["snapshot"] if needs_snapshot else []
        with shop.at_work(0 if needs_snapshot else 5):
            Loader(house, way, *given).kill(moment, dice)
        struck.append(moment)
        context = f"KILL_SEED={SEED}, {way}, kill {number + 1}: {struck}"
        assert loads_that_are_not_whole(house) == [], context
        # The first time there was no slot, so that a plain load takes the snapshot.
        load_again(needs_snapshot and number > 0)
        if way == "reconcile":
            extract_load.reconcile("shop", compare="columns", allow_empty=True)
        found = compare(house.shop, house.warehouse, current(read))
        assert not found.all, f"{context}: {[(key, shop.log[key]) for key in sorted(found.all)[:3]]}"
        assert loads_that_are_not_whole(house) == [], context
        if way == "change_log":
            assert {table: doubled(house, table) for table in KEY_COLUMNS} == dict.fromkeys(KEY_COLUMNS, 0), context
    shop.close()
    print(f"\n{way}: {kills} kills, KILL_SEED={SEED}: {', '.join(struck)}")


def load_again(may_need_snapshot: bool) -> None:
    """Load again as a person would. If the slot is a new one, the load may demand a snapshot; then take one."""
    try:
        extract_load.load("shop", allow_empty=True)
    except StorehouseError as error:
        assert may_need_snapshot and "--snapshot" in str(error), error
        extract_load.load("shop", allow_empty=True, snapshot=True)


def doubled(house: House, table: str) -> int:
    """Live rows that a later load landed again unchanged: no change of the shop leaves a row as it was."""
    key = ", ".join(KEY_COLUMNS[table])
    return house.query(
        f"""
        select count(*)
        from (
            select
                _load_id,
                lag(_load_id) over by_key as load_before,
                to_jsonb(landed) - array['_load_id', '_row'] as content,
                lag(to_jsonb(landed) - array['_load_id', '_row']) over by_key as content_before
            from raw_shop.{table} as landed
            window by_key as (partition by {key} order by _load_id, _row)
        ) as following
        where _load_id <> load_before and content = content_before and content ->> '_op' = 'u'
        """
    )[0][0]
