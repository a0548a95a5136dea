"""SIGKILL to the parts of a running Airflow and to the database below it: every run ends, the next one puts it right.

What was killed is started again, as a service manager does. KILLS and KILL_SEED are as in `test_kills`; it takes long,
so only `make chaos` runs it.
"""

import os
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import httpx
import psycopg
import pytest
from airflow_scene import TRY_AGAIN_SOON, Airflow, environment, parse, run, set_policy
from houses import House
from test_kills import SEED, leftovers, loads_that_are_not_whole, lost_orders

import demo
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT, settings
from storehouse.laptop import airflow as house_airflow
from storehouse.laptop.server import Server, server_of_this_home
from storehouse.operate import audit

pytestmark = pytest.mark.skipif("KILLS" not in os.environ, reason="`make chaos` kills the parts of Airflow")
KILLS = int(os.environ.get("KILLS", "0"))
VICTIMS = ["scheduler", "task", "triggerer", "dag-processor", "api-server", "backend", "server"]
WITHIN = 600  # seconds
# Airflow's own patience, shortened, but not below what a busy machine needs: how long a part may be silent before its
# work is given to another.
IMPATIENT = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "40",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "20",
}


@dataclass(frozen=True)
class PatientAirflow(Airflow):
    """Asks again while the API or its database is away."""

    def call(self, method: str, path: str, **json_body: object) -> dict:
        deadline = time.monotonic() + WITHIN
        while True:
            try:
                return super().call(method, path, **json_body)
            except (httpx.HTTPError, AssertionError):
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.5)

    def wait_for_quiet(self) -> None:
        """Until no run is on: those that assets have started too."""
        while self.call("GET", "dags/~/dagRuns?state=queued&state=running")["total_entries"]:
            time.sleep(1)


@dataclass
class Services:
    """A service manager for Airflow's parts and the embedded server; and who kills them."""

    env: dict[str, str]
    server: Server
    logs: Path
    parts: dict[str, subprocess.Popen] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def keep_up(self) -> None:
        """Until the end: start what does not run, after killing what it left behind."""
        while not self.ended.wait(0.2):
            with suppress(StorehouseError):  # the killed one's children are still there: again
                self.server.start()
            for name, part in self.parts.items():
                if part.poll() is not None:
                    self.kill_session(part.pid)
                    self.start(name)

    def start(self, name: str) -> None:
        with (self.logs / f"airflow-{name}.log").open("ab") as log:
            self.parts[name] = subprocess.Popen(
                house_airflow.PARTS[name], cwd=PROJECT, env=self.env, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, victim: str, dice: random.Random) -> str:
        """Returns what it struck."""
        find: dict[str, Callable[[], list[int]]] = {
            "task": lambda: [pid for pid in self.session(self.parts["scheduler"].pid) if is_task(pid)],
            "backend": self.backends,
            "server": lambda: [int((self.server.data / "postmaster.pid").read_text().split()[0])],
        }
        deadline = time.monotonic() + 10
        pids: list[int] = []
        while not pids and time.monotonic() < deadline:
            with suppress(OSError, psycopg.Error, StorehouseError):
                pids = find.get(victim, lambda: [self.parts[victim].pid])()
            time.sleep(0.05)
        if not pids:
            return f"no {victim}"
        pid = dice.choice(sorted(pids))
        what = title(pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return f"{victim} ({what[:60]})"

    def backends(self) -> list[int]:
        with psycopg.connect(self.server.conninfo()) as connection:
            rows = connection.execute(
                "select pid from pg_stat_activity"
                " where datname in ('airflow', 'storehouse') and pid != pg_backend_pid()"
            )
            return [pid for (pid,) in rows]

    def session(self, leader: int) -> list[int]:
        """The processes of a part."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                if int(path.read_text().rpartition(")")[2].split()[3]) == leader:
                    found.append(int(path.parent.name))
        return found

    def kill_session(self, leader: int) -> None:
        for pid in self.session(leader):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        self.ended.set()
        for part in self.parts.values():
            self.kill_session(part.pid)
            part.wait()


def title(pid: int) -> str:
    with suppress(OSError):
        return Path("/proc", str(pid), "cmdline").read_text().replace("\0", " ").strip()
    return "gone"


def is_task(pid: int) -> bool:
    """A worker with a task, or the task's own process below it."""
    return title(pid).startswith("airflow worker -- ") and "<idle>" not in title(pid)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A home with its own embedded server, on which the warehouse, the shop and Airflow's metadata live."""
    home = tmp_path_factory.mktemp("home")
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment(home, **IMPATIENT))
    settings.cache_clear()
    try:
        parse(home)
        server = server_of_this_home().start()
        for database in ("storehouse", "airflow", "shop"):
            server.ensure_database(database)
        demo.advance(days=3, size=0.05)
        demo.start()
        yield House(home, server.conninfo("storehouse"), server.conninfo("shop"), dict(os.environ))
    finally:
        demo.stop()
        server_of_this_home().stop()
        os.environ.clear()
        os.environ.update(before)
        settings.cache_clear()


@pytest.fixture(scope="module")
def services(house: House) -> Iterator[Services]:
    set_policy(house.home, TRY_AGAIN_SOON)
    for step in (["db", "migrate"], ["pools", "import", str(PROJECT / "storehouse" / "orchestrate" / "pools.json")]):
        done = run(house.environment, "-m", "storehouse.laptop.airflow", *step)
        assert done.returncode == 0, done.stdout + done.stderr
    logs = house.home / "logs"
    logs.mkdir(exist_ok=True)
    services = Services(house_airflow.environment(), server_of_this_home(), logs)
    for name in house_airflow.PARTS:
        services.start(name)
    keeper = threading.Thread(target=services.keep_up)
    keeper.start()
    try:
        yield services
    finally:
        services.ended.set()
        keeper.join()
        services.stop()


@pytest.fixture(scope="module")
def airflow(house: House, services: Services) -> PatientAirflow:
    url = services.env["AIRFLOW__API__BASE_URL"]
    airflow = PatientAirflow(None, house.home / "logs", url, services.server)
    deadline = time.monotonic() + WITHIN
    while len(airflow.call("GET", "dags")["dags"]) < 3:
        assert time.monotonic() < deadline, airflow.call("GET", "importErrors")
        time.sleep(0.5)
    return airflow


def test_whatever_is_killed_the_runs_end_the_next_ones_succeed_and_nothing_is_lost(
    airflow: PatientAirflow, services: Services, house: House
) -> None:
    dice = random.Random(SEED)
    victims = islice(cycle(dice.sample(VICTIMS, len(VICTIMS))), KILLS)
    struck: list[str] = []
    failed: list[str] = []
    while len(struck) < KILLS:
        demo.advance(days=1)
        runs = {dag: airflow.trigger(dag) for dag in ("shop_elt", "feedback_elt")}
        for victim in islice(victims, dice.randint(2, 3)):
            time.sleep(dice.uniform(0, 15))
            struck.append(services.kill(victim, dice))
        context = f"KILL_SEED={SEED}, killed so far: {struck}"
        broken = [dag for dag, run_id in runs.items() if airflow.finish(dag, run_id) == "failed"]
        for dag in runs.keys() - set(broken):
            states = airflow.states(dag, runs[dag])
            nodes = {name: state for name, state in states.items() if re.match(r"dbt\.(?!build)", name)}
            assert set(nodes.values()) == {"success"}, (context, nodes)
        failed += broken
        for dag in broken:
            again = airflow.trigger(dag)
            assert airflow.finish(dag, again) == "success", (context, airflow.states(dag, again))
        airflow.wait_for_quiet()
        assert loads_that_are_not_whole(house) == [], context
        assert lost_orders(house) == [], context
        assert leftovers(house) == [], context
    assert [verdict.line for verdict in audit.audit() if verdict.differences or verdict.note] == [], context
    print(f"\n{len(struck)} kills, {len(failed)} runs failed, KILL_SEED={SEED}: " + "; ".join(struck))
