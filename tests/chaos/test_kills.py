"""SIGKILL to dbt, its publisher, extract-load, a PostgreSQL backend and the server, at random moments: nothing is lost.

KILLS=n kills so often (`make chaos KILLS=100`), by default each once; KILL_SEED=s draws the same moments again.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from houses import House, build_demo, land

import demo
from storehouse.core import transform
from storehouse.core.settings import PROJECT
from storehouse.core.transform import DAILY
from storehouse.laptop.server import Server
from storehouse.operate import audit, published

KILLS = int(os.environ.get("KILLS", "5"))
SEED = int(os.environ.get("KILL_SEED", random.randrange(2**32)))
VICTIMS = ["dbt", "publisher", "extract-load", "backend", "server"]
DBT = str(Path(sys.executable).parent / "dbt")
COMMANDS = {
    "dbt": [DBT, *DAILY, "--quiet"],
    "publisher": [DBT, "run-operation", "converge.publish", "--quiet"],
    "extract-load": [sys.executable, "-m", "extract_load", "all"],
}


@pytest.fixture(scope="module")
def doomed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for the warehouse alone, which may be killed; the shop lives on the other one."""
    server = Server(tmp_path_factory.mktemp("doomed")).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def scene(server: Server, doomed: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    yield from build_demo(doomed, tmp_path_factory.mktemp("home"), days=5, size=0.2, shop_server=server)


class Killer:
    """Starts a command, waits for a random moment of its work, and kills what it was told to."""

    def __init__(self, house: House, server: Server, dice: random.Random) -> None:
        self.house = house
        self.server = server
        self.dice = dice

    def kill(self, victim: str) -> str:
        """Returns what was going on when it struck, for the message of a failure."""
        command = self.dice.choice(list(COMMANDS)) if victim in ("backend", "server") else victim
        if command == "publisher":
            self.build_for_it()
        process = subprocess.Popen(
            COMMANDS[command], cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
        )
        self.wait_until_it_works(process)
        delay = self.dice.uniform(0, 3 if command != "extract-load" else 0.6)
        with suppress(subprocess.TimeoutExpired):
            process.wait(delay)
        was_running = process.poll() is None
        if victim == "server":
            os.kill(int((self.server.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        elif victim == "backend":
            for pid in self.backends()[:1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        else:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.server.start()
        self.wait_for_recovery()
        return f"{victim} while {command} {'ran' if was_running else 'had ended'}, {delay:.2f} s into its work"

    def build_for_it(self) -> None:
        """Give the publisher something to publish."""
        land()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CONVERGE_PUBLISH", "later")
            assert transform.build(DAILY) == []

    def wait_until_it_works(self, process: subprocess.Popen) -> None:
        while process.poll() is None and not self.backends():
            time.sleep(0.02)

    def backends(self) -> list[int]:
        return [
            row[0]
            for row in self.house.query(
                "select pid from pg_stat_activity where datname = current_database() and pid != pg_backend_pid()"
                " order by state = 'active' desc, random()"
            )
        ]

    def wait_for_recovery(self) -> None:
        for _ in range(200):
            with suppress(psycopg.OperationalError):
                # What a killed client began is still being undone while its backend lives.
                if not self.backends():
                    return
            time.sleep(0.1)
        raise AssertionError("the server did not come back")


def test_whatever_is_killed_a_plain_rerun_puts_it_right(scene: House, doomed: Server) -> None:
    dice = random.Random(SEED)
    killer = Killer(scene, doomed, dice)
    struck = []
    for number in range(KILLS):
        demo.advance(days=1)
        if dice.random() < 0.5:
            land()
        struck.append(killer.kill(VICTIMS[number % len(VICTIMS)]))
        context = f"KILL_SEED={SEED}, kill {number + 1}: {struck}"
        assert loads_that_are_not_whole(scene) == [], context
        land()
        assert transform.build(DAILY) == [], context
        assert published.held_back() == [], context
        assert leftovers(scene) == [], context
        assert lost_orders(scene) == [], context
        if number % len(VICTIMS) == len(VICTIMS) - 1 or number == KILLS - 1:
            assert [verdict.line for verdict in audit.audit() if verdict.differences or verdict.note] == [], context
    print(f"\n{KILLS} kills, KILL_SEED={SEED}: " + "; ".join(struck))
    assert any(" ran," in line for line in struck)


def loads_that_are_not_whole(house: House) -> list[tuple]:
    """Loads whose rows in raw are not as many as their ledger row says, and rows without a ledger row."""
    tables = [
        row[0]
        for row in house.query(
            "select schemaname || '.' || tablename from pg_tables"
            " where schemaname like 'raw\\_%' and schemaname != 'raw_operations'"
        )
    ]
    union = " union all ".join(f"select _load_id, count(*) as landed from {table} group by 1" for table in tables)
    return house.query(
        f"select load_id, _load_id, rows, landed from raw.loads full join ({union}) as r on load_id = _load_id"
        " where coalesce(rows, -1) != coalesce(landed, 0)"
    )


def leftovers(house: House) -> list[tuple]:
    """Relations that a run makes on its way, and must not leave."""
    return house.query(
        "select oid::regclass from pg_class where relkind in ('r', 'v')"
        " and relname ~ '__(building|new|gone|touched|publishing|retired|dbt_tmp|dbt_backup)'"
    )


def lost_orders(house: House) -> list[tuple]:
    """Orders of the shop whose latest state did not land, but for those that no reader by `updated_at` sees in time."""
    seen = "select order_id::text, updated_at from orders where not demo.is_committed_late(3 * order_id)"
    with psycopg.connect(house.shop) as shop:
        expected = set(shop.execute(seen).fetchall())
    return sorted(expected - set(house.query("select order_id::text, updated_at from raw_shop.orders")))[:3]
