"""docs/deploy.md, Celery: the shop's DAG over a real Redis, on two workers with a home each, as on two machines."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from airflow_scene import (
    NO_RUN_IS_DUE,
    TRY_AGAIN_SOON,
    Airflow,
    environment,
    own_sources,
    run,
    set_policy,
    start_the_demo,
)
from real_redis import Redis

from storehouse.core.settings import PROJECT
from storehouse.laptop.server import Server, free_port

WITHIN = 300  # seconds
WORKERS = ("one", "two")
PRELOADED = ("scheduler", "dag-processor", "celery")


@dataclass
class Machines:
    """Processes of Airflow, each in the environment of its machine. They share databases, broker and logs alone."""

    folder: Path
    variables: dict[str, str]
    parts: dict[str, subprocess.Popen] = field(default_factory=dict)

    def environment(self, machine: str) -> dict[str, str]:
        home = self.folder / machine
        # A task's worker is known by its user's name: the host is the same.
        own = {"AIRFLOW_HOME": str(home / "airflow"), "LOGNAME": machine}
        return environment(home, **self.variables, **own)

    def start(self, machine: str, *command: str) -> None:
        name = f"{machine}-{command[0]}"
        with (self.folder / f"{name}.log").open("wb") as log:
            self.parts[name] = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "storehouse.orchestrate.preloaded" if command[0] in PRELOADED else "airflow",
                    *command,
                ],
                cwd=PROJECT,
                env=self.environment(machine),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + WITHIN
        while True:
            with suppress(httpx.HTTPError, AssertionError):
                if condition():
                    return
            ended = [name for name, part in self.parts.items() if part.poll() is not None]
            assert not ended and time.monotonic() < deadline, (ended, self.tails())
            time.sleep(0.5)

    def tails(self) -> str:
        logs = self.folder.glob("*.log")
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-2000:]}" for log in logs)

    def kill(self, name: str) -> None:
        part = self.parts.pop(name)
        os.killpg(part.pid, signal.SIGKILL)
        part.wait()


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A machine for scheduler and databases, and two workers."""
    folder = tmp_path_factory.mktemp("machines")
    home = folder / "front"
    set_policy(home, NO_RUN_IS_DUE + TRY_AGAIN_SOON)
    start_the_demo(home, until="2026-01-03", size=0.05)
    for worker in WORKERS:
        shutil.copytree(home / "target", folder / worker / "target")
    server = Server(home / "postgres")
    server.ensure_database("airflow")
    broker = Redis(folder)
    port = free_port()
    metadata = f"postgresql+psycopg2://postgres:{server.password}@127.0.0.1:{server.port}/airflow"
    machines = Machines(
        folder,
        own_sources(home)
        | {
            "WAREHOUSE_HOST": "127.0.0.1",
            "WAREHOUSE_PORT": str(server.port),
            "WAREHOUSE_PASSWORD": server.password,
            "PII_KEY": "the-key-of-every-machine-in-this-test",
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "the same secret for every part of this test",
            "AIRFLOW__CELERY__BROKER_URL": broker.url,
            "AIRFLOW__CELERY__RESULT_BACKEND": metadata.replace("postgresql+psycopg2", "db+postgresql"),
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "1",
            "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
            "AIRFLOW__COSMOS__ENABLE_DAG_VERSIONING": "False",
            "AIRFLOW__DAG_PROCESSOR__MAX_CALLBACKS_PER_LOOP": "500",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
        },
    )
    try:
        for step in (
            ["db", "migrate"],
            ["pools", "import", str(PROJECT / "storehouse" / "orchestrate" / "pools.json")],
        ):
            done = run(machines.environment("front"), "-m", "airflow", *step)
            assert done.returncode == 0, done.stdout + done.stderr
        machines.start("front", "api-server")
        machines.wait_until(lambda: httpx.get(f"http://127.0.0.1:{port}/api/v2/version").is_success)
        machines.start("front", "scheduler", "--skip-serve-logs")
        machines.start("front", "dag-processor")
        machines.start("front", "triggerer", "--skip-serve-logs")
        for worker in WORKERS:
            name = ("--celery-hostname", f"{worker}@%h", "--skip-serve-logs", "--without-gossip", "--without-mingle")
            machines.start(worker, "celery", "worker", *name)
        for worker in WORKERS:
            log = folder / f"{worker}-celery.log"
            machines.wait_until(lambda log=log: " ready." in log.read_text())
        yield machines
    finally:
        for name in list(machines.parts):
            machines.kill(name)
        broker.stop()
        run(environment(home), "-m", "storehouse", "stop")


@pytest.fixture(scope="module")
def airflow(machines: Machines) -> Airflow:
    url = f"http://127.0.0.1:{machines.variables['AIRFLOW__API__PORT']}"
    airflow = Airflow(None, machines.folder, url, Server(machines.folder / "front" / "postgres"))
    machines.wait_until(lambda: airflow.call("GET", "dags/shop_elt"))
    return airflow


def workers_of(airflow: Airflow, run_id: str, tasks: str) -> list[tuple[str, int]]:
    """Who ran the tasks whose names match, and the number of the try."""
    statement = "select unixname, try_number from task_instance where run_id = %s and task_id ~ %s and pid is not null"
    return airflow.query("airflow", statement, run_id, tasks)


def test_two_workers_share_a_run_and_nothing_but_the_databases(airflow: Airflow, machines: Machines) -> None:
    run_id = airflow.trigger("shop_elt")
    assert airflow.finish("shop_elt", run_id) == "success", (airflow.states("shop_elt", run_id), machines.tails())
    assert {worker for worker, _ in workers_of(airflow, run_id, ".")} == set(WORKERS)
    assert airflow.query("storehouse", "select count(*) > 0 from core.fct_orders") == [(True,)]
    # Celery hears of the last task's end a moment after Airflow.
    statuses = "select distinct status from celery_taskmeta"
    machines.wait_until(lambda: airflow.query("airflow", statuses) == [("SUCCESS",)])
    # Whichever of the two makes the report.
    assert " passed, " in airflow.log("shop_elt", run_id, "report")


def test_a_build_whose_machine_dies_is_taken_over_by_the_other(airflow: Airflow, machines: Machines) -> None:
    assert run(environment(machines.folder / "front"), "-m", "demo", "advance", "--days", "1").returncode == 0
    run_id = airflow.trigger("shop_elt")
    results = "select count(*) > 5 from orchestration.node_results where run_id = %s"
    machines.wait_until(lambda: airflow.query("storehouse", results, run_id) == [(True,)])
    ((worker, _),) = workers_of(airflow, run_id, "^dbt.build$")
    machines.kill(f"{worker}-celery")
    assert airflow.finish("shop_elt", run_id) == "success", (airflow.states("shop_elt", run_id), machines.tails())
    ((other, attempt),) = workers_of(airflow, run_id, "^dbt.build$")
    assert {worker, other} == set(WORKERS) and attempt == 2
    assert airflow.query("storehouse", "select max(order_date)::text from core.fct_orders") == [("2026-01-04",)]
