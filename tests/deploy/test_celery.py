"""docs/deploy.md, Celery: a real Redis between the scheduler and two workers, which share one run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from real_redis import Redis

from storehouse.server import Server, free_port
from storehouse.settings import PROJECT

OUR_VARIABLES = ("WAREHOUSE_", "SHOP_", "MARKETPLACE_", "REVIEWS_", "STORES_", "STOREHOUSE_", "DBT_", "AIRFLOW")
WITHIN = 600  # seconds
AIRFLOW = [sys.executable, "-m", "airflow"]
WORKERS = ("one", "two")
DAG = """
import os
from datetime import datetime
from airflow.sdk import dag, task

@dag(schedule=None, start_date=datetime(2026, 1, 1))
def on_celery():
    @task
    def land(source):
        from extract_load import load
        return {"worker": os.environ["WORKER"], "rows": sum(landed.rows for landed in load(source))}

    @task
    def build():
        from storehouse import transform
        no_tests = ["--exclude-resource-type", "test", "unit_test"]
        return transform.build(["build", "--select", "+stg_shop__orders", *no_tests])

    land.expand(source=["shop", "marketplace", "reviews", "stores"]) >> build()

on_celery()
"""


class Airflow:
    """The parts of an Airflow with the CeleryExecutor, each a process of its own."""

    def __init__(self, home: Path, broker: Redis) -> None:
        theirs = {name: value for name, value in os.environ.items() if not name.startswith(OUR_VARIABLES)}
        house = theirs | {
            "STOREHOUSE_HOME": str(home),
            "DBT_TARGET_PATH": str(home / "target"),
            "PYTHONPATH": str(PROJECT),
        }
        for command in ("storehouse start", "demo advance --until 2026-01-03 --size 0.05"):
            command = [sys.executable, "-m", *command.split()]
            done = subprocess.run(command, cwd=PROJECT, env=house, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, done.stderr
        self.server = Server(home / "postgres")
        self.server.ensure_database("airflow")
        (home / "dags").mkdir()
        (home / "dags" / "on_celery.py").write_text(DAG)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        metadata = f"postgresql+psycopg2://postgres@127.0.0.1:{self.server.port}/airflow"
        self.environment = house | {
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": metadata,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "the same secret for every part of this test",
            "AIRFLOW__CELERY__BROKER_URL": broker.url,
            "AIRFLOW__CELERY__RESULT_BACKEND": metadata.replace("postgresql+psycopg2", "db+postgresql"),
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "1",
            "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
        }
        self.logs = home / "logs"
        self.logs.mkdir(exist_ok=True)
        self.parts: dict[str, subprocess.Popen] = {}

    def start(self, name: str, *command: str, **variables: str) -> subprocess.Popen:
        with (self.logs / f"{name}.log").open("wb") as log:
            self.parts[name] = subprocess.Popen(
                [*AIRFLOW, *command],
                cwd=PROJECT,
                env=self.environment | variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.parts[name]

    def call(self, method: str, path: str, **body: object) -> dict | None:
        try:
            answer = httpx.request(method, f"{self.url}/api/v2/{path}", json=body or None, timeout=30)
        except httpx.HTTPError:
            return None
        return answer.json() if answer.is_success else None

    def wait_until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + WITHIN
        while not condition():
            ended = [name for name, part in self.parts.items() if part.poll() is not None]
            assert not ended and time.monotonic() < deadline, self.tails()
            time.sleep(0.5)

    def tails(self) -> str:
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-2000:]}" for log in self.logs.glob("*.log"))

    def query(self, statement: str, database: str = "airflow") -> list[tuple]:
        with psycopg.connect(self.server.conninfo(database)) as connection:
            return connection.execute(statement).fetchall()

    def stop(self) -> None:
        for part in self.parts.values():
            os.killpg(part.pid, signal.SIGKILL)
            part.wait()
        command = [sys.executable, "-m", "storehouse", "stop"]
        subprocess.run(command, cwd=PROJECT, env=self.environment, capture_output=True, timeout=60)


@pytest.fixture
def airflow(tmp_path: Path) -> Iterator[Airflow]:
    broker = Redis(tmp_path)
    airflow = Airflow(tmp_path, broker)
    try:
        migrated = airflow.start("migrate", "db", "migrate").wait(WITHIN)
        assert migrated == 0, airflow.tails()
        del airflow.parts["migrate"]
        airflow.start("api-server", "api-server")
        airflow.wait_until(lambda: airflow.call("GET", "monitor/health"))
        airflow.start("scheduler", "scheduler", "--skip-serve-logs")
        airflow.start("dag-processor", "dag-processor")
        for worker in WORKERS:
            name = ("--celery-hostname", f"{worker}@%h", "--skip-serve-logs", "--without-gossip", "--without-mingle")
            airflow.start(f"worker-{worker}", "celery", "worker", *name, WORKER=worker)
        yield airflow
    finally:
        airflow.stop()
        broker.stop()


def test_two_celery_workers_share_a_run_over_a_redis_broker(airflow: Airflow) -> None:
    airflow.wait_until(lambda: airflow.call("GET", "dags/on_celery"))
    for worker in WORKERS:
        log = airflow.logs / f"worker-{worker}.log"
        airflow.wait_until(lambda log=log: " ready." in log.read_text())
    run = airflow.call("POST", "dags/on_celery/dagRuns", logical_date=None)["dag_run_id"]

    def state() -> str:
        return (airflow.call("GET", f"dags/on_celery/dagRuns/{run}") or {}).get("state", "")

    airflow.wait_until(lambda: state() in ("success", "failed"))
    assert state() == "success", airflow.tails()
    landed = [value for (value,) in airflow.query("select value from xcom where task_id = 'land'")]
    assert {result["worker"] for result in landed} == set(WORKERS)
    assert len(landed) == 4 and sum(result["rows"] for result in landed) > 1000
    assert airflow.query("select value from xcom where task_id = 'build'") == [([],)]
    assert airflow.query("select count(*) > 0 from staging.stg_shop__orders", "storehouse") == [(True,)]
    assert airflow.query("select distinct status from celery_taskmeta") == [("SUCCESS",)]
