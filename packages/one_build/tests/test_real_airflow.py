"""`integration/` as its DAG file says, under a real Airflow: scheduler, workers, triggerer."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from storehouse.laptop.server import Server

INTEGRATION = Path(__file__).parent.parent / "integration"
READY_WITHIN, ENDS_WITHIN = 240, 240  # seconds
TASKS = (
    "select split_part(task_id, '.', 2), state, start_date, end_date, duration, pid is null"
    " from task_instance where run_id = %s"
)


@dataclass(frozen=True)
class Airflow:
    """A running Airflow, its environment and its database."""

    env: dict[str, str]
    database: str
    home: Path
    url: str

    def __call__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    def query(self, statement: str, *parameters: object) -> list[tuple]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(statement, parameters).fetchall()

    def finish(self, run_id: str) -> str:
        deadline = time.monotonic() + ENDS_WITHIN
        while time.monotonic() < deadline:
            ((state,),) = self.query("select state from dag_run where run_id = %s", run_id)
            if state in ("success", "failed"):
                return state
            time.sleep(1)
        raise AssertionError(f"the run did not end: {self.query(TASKS, run_id)}")


@pytest.fixture(scope="module")
def airflow(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    home = tmp_path_factory.mktemp("airflow")
    project = home / "project"
    shutil.copytree(INTEGRATION, project, ignore=shutil.ignore_patterns("target", "logs"))
    for name in ("airflow", "jaffle_shop"):
        postgres.ensure_database(name)
    place = conninfo_to_dict(postgres.conninfo("jaffle_shop"))
    user = f"{place['user']}:{place.get('password', '')}@{place['host']}:{place['port']}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DBT_", "PG"))}
    env = theirs | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PGHOST": place["host"],
        "PGPORT": str(place["port"]),
        "PGUSER": place["user"],
        "PGPASSWORD": place.get("password", ""),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONN_WAREHOUSE": f"postgres://{user}/jaffle_shop",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{user}/airflow",
        "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
    }
    dbt = [sys.executable, "-m", "dbt.cli.main", "parse", "--project-dir", project, "--profiles-dir", project]
    subprocess.run([*dbt, "--target-path", project / "target"], env=env, cwd=project, check=True, capture_output=True)
    running = Airflow(env, postgres.conninfo("airflow"), home, f"http://127.0.0.1:{port}")
    running("db", "migrate")
    output = home / "standalone.out"
    with output.open("w") as file:
        command = [sys.executable, "-m", "airflow", "standalone"]
        process = subprocess.Popen(command, env=env, cwd=home, stdout=file, stderr=file, start_new_session=True)
    try:
        deadline = time.monotonic() + READY_WITHIN
        while not running.query("select 1 from serialized_dag") or not _is_healthy(running):
            assert process.poll() is None and time.monotonic() < deadline, output.read_text()[-4000:]
            time.sleep(1)
        yield running
    finally:
        parts = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        for part in (process, *parts):
            with suppress(psutil.NoSuchProcess):
                part.kill()


def _is_healthy(airflow: Airflow) -> bool:
    """The API answers too: a task that starts before it does is lost."""
    try:
        health = httpx.get(f"{airflow.url}/api/v2/monitor/health", timeout=5).json()
    except (httpx.HTTPError, ValueError):
        return False
    return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "triggerer"))


@pytest.fixture(scope="module")
def well(airflow: Airflow) -> str:
    """A run that ended well; its id."""
    airflow("dags", "trigger", "jaffle_shop", "--run-id", "well")
    assert airflow.finish("well") == "success", airflow.query(TASKS, "well")
    return "well"


def test_every_node_has_a_task_that_took_no_worker(airflow: Airflow, well: str) -> None:
    tasks = {name: (state, is_in_the_triggerer) for name, state, *_, is_in_the_triggerer in airflow.query(TASKS, well)}
    nodes = dict.fromkeys(("raw_orders", "orders", "customers", "tests"), ("success", True))
    assert tasks == nodes | {"build": ("success", False)}


def test_each_tasks_duration_is_that_of_its_node_as_dbt_measured_it(airflow: Airflow, well: str) -> None:
    results = json.loads((airflow.home / "one_build" / "jaffle_shop" / "run_results.json").read_text())["results"]
    took = {result["unique_id"].split(".")[2]: result["execution_time"] for result in results}
    dates = {name: (start, end, duration) for name, _, start, end, duration, _ in airflow.query(TASKS, well)}
    for name in ("raw_orders", "orders", "customers"):
        start, end, duration = dates[name]
        assert duration == pytest.approx(took[name], abs=0.2), name
        assert duration == (end - start).total_seconds()
    assert dates["orders"][2] > 3 > dates["customers"][2]
    assert dates["raw_orders"][1] <= dates["orders"][0] and dates["orders"][1] <= dates["customers"][0]
    assert dates["build"][0] < dates["raw_orders"][0] and dates["tests"][1] < dates["build"][1]


def test_a_broken_node_fails_its_task_and_what_is_below_it_is_upstream_failed(airflow: Airflow, well: str) -> None:
    models = airflow.home / "project" / "models"
    broken = (models / "orders.sql").read_text()
    (models / "orders.sql").write_text(broken + "where 1 / 0 = 1")
    airflow("dags", "trigger", "jaffle_shop", "--run-id", "broken")
    assert airflow.finish("broken") == "failed"
    tasks = {name: (state, duration) for name, state, _, _, duration, _ in airflow.query(TASKS, "broken")}
    assert {name: state for name, (state, _) in tasks.items()} == {
        "raw_orders": "success",
        "build": "success",
        "orders": "failed",
        "customers": "upstream_failed",
        "tests": "failed",  # Airflow judges a run by its last tasks
    }
    assert tasks["customers"][1] == 0, "it did not run"
