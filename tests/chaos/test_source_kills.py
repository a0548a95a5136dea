"""SIGKILL to what reads a change log, and to what reconciles: around the snapshot, the commit and the confirmation.

KILLS=n kills the one so often, and the other half as often (`make chaos KILLS=30`); KILL_SEED=s draws the same moments
again.
"""

import random
import shutil
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


@pytest.fixture
def shop_house(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], House]]:
    """A house whose shop is declared to be read in a way."""
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
    """What lands the shop in a process of its own, ready to begin."""

    def __init__(self, house: House, *given: str) -> None:
        self.house = house
        command = [sys.executable, "-m", "tests.land_declared", str(tables.STAGING), *given]
        self.process = subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout and self.process.stdout.readline() == "ready\n"

    def kill(self, moment: str, dice: random.Random) -> None:
        """Begin, and die at that moment."""
        assert self.process.stdin
        landed = self.loads()
        with psycopg.connect(self.house.warehouse) as holder, psycopg.connect(self.house.shop, autocommit=True) as shop:
            if moment == "before the commit":
                holder.execute("select pg_advisory_xact_lock(%s)", [LEDGER_LOCK])
            self.process.stdin.close()
            match moment:
                case "the slot is made":
                    self.wait(lambda: shop.execute("select from pg_replication_slots").fetchone())
                case "before the commit":
                    waits = "select from pg_locks where locktype = 'advisory' and not granted"
                    self.wait(lambda: self.house.query(waits))
                case "after the commit":
                    later = dice.choice([1, 2, 5, 6])  # a load is of five tables, and of four a reconciliation
                    self.wait(lambda: self.loads() >= landed + later)
                case _:
                    time.sleep(dice.uniform(0, 1))
            self.process.kill()
            self.process.wait()

    def wait(self, until: Callable[[], object]) -> None:
        while not until() and self.process.poll() is None:
            time.sleep(0.001)

    def loads(self) -> int:
        if self.house.query("select to_regclass('raw.loads')") == [(None,)]:
            return 0
        return self.house.query("select count(*) from raw.loads")[0][0]


@pytest.mark.parametrize("way", MOMENTS)
def test_whatever_reads_a_database_is_killed_nothing_is_lost_or_doubled(
    shop_house: Callable[[str], House], way: str
) -> None:
    read = "updated_at" if way == "reconcile" else way
    house, dice, struck = shop_house(read), random.Random(SEED), []
    shop = Shop(SEED, house.shop, orders=100)
    if way == "change_log":
        house.execute_in_shop(f"create publication storehouse for table {', '.join(KEY_COLUMNS)}")
    kills = KILLS if way == "change_log" else KILLS // 2
    for number in range(kills):
        moment = MOMENTS[way][number % len(MOMENTS[way])]
        shop.work(10)
        needs_snapshot = moment == "the slot is made"
        if needs_snapshot:
            # It is made when all transactions have ended that are open.
            shop.end()
            with psycopg.connect(house.shop) as source:
                source.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
        given = {"reconcile": ["reconcile"], "change_log": ["snapshot"] * needs_snapshot}[way]
        with shop.at_work(0 if needs_snapshot else 5):
            Loader(house, *given).kill(moment, dice)
        struck.append(moment)
        context = f"KILL_SEED={SEED}, {way}, kill {number + 1}: {struck}"
        assert loads_that_are_not_whole(house) == [], context
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
    """As a person does: a plain rerun; where the slot was made anew it may say that only a snapshot finds the rest."""
    try:
        extract_load.load("shop", allow_empty=True)
    except StorehouseError as error:
        assert may_need_snapshot and "--snapshot" in str(error), error
        extract_load.load("shop", allow_empty=True, snapshot=True)


def doubled(house: House, table: str) -> int:
    """Living rows that a later load has landed again as they were: no change of the shop's leaves them so."""
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
