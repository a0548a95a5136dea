"""The DAG: what it promises before it runs, and a whole run under a real scheduler, as `make airflow` starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import pytest

from storehouse.server import Server
from storehouse.settings import PROJECT

OUR_VARIABLES = (
    "WAREHOUSE_",
    "SHOP_",
    "MARKETPLACE_",
    "REVIEWS_",
    "STORES_",
    "STOREHOUSE_",
    "DBT_",
    "AIRFLOW",
    "PII_",
    "PGOPTIONS",
)
RUN_WITHIN = 600
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
LOOK_AT_THE_DAGS = """
import json
from airflow.dag_processing.dagbag import DagBag

bag = DagBag()
tasks = {
    f"{dag.dag_id}.{task.task_id}": {
        "owner": task.owner,
        "retries": task.retries,
        "backoff": bool(task.retry_exponential_backoff),
        "timeout": task.execution_timeout and task.execution_timeout.total_seconds(),
        "upstream": sorted(task.upstream_task_ids),
    }
    for dag in bag.dags.values()
    for task in dag.tasks
}
dags = {
    dag.dag_id: {
        "tags": sorted(dag.tags),
        "doc": dag.doc_md,
        "timetable": type(dag.timetable).__name__,
        "max_active_runs": dag.max_active_runs,
        "catchup": dag.catchup,
    }
    for dag in bag.dags.values()
}
print("SEEN " + json.dumps({"errors": list(bag.import_errors.values()), "dags": dags, "tasks": tasks}))
"""


def environment(home: Path, **variables: str) -> dict[str, str]:
    """The test's own home, with nothing else of ours in the environment."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(OUR_VARIABLES)}
    ours = {"STOREHOUSE_HOME": str(home), "DBT_TARGET_PATH": str(home / "target"), "PYTHONPATH": str(PROJECT)}
    return theirs | ours | variables


def run(env: dict[str, str], *command: str) -> subprocess.CompletedProcess:
    """A Python command in the project's folder."""
    return subprocess.run([sys.executable, *command], cwd=PROJECT, env=env, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with dbt's manifest, and nothing that runs."""
    home = tmp_path_factory.mktemp("home")
    parsed = run(environment(home), "-m", "dbt.cli.main", "parse", "--quiet", "--profiles-dir", str(PROJECT))
    assert parsed.returncode == 0, parsed.stdout + parsed.stderr
    return home


def look_at_the_dags(home: Path, **variables: str) -> dict:
    """Import the DAGs where no database answers: neither Airflow's, nor the warehouse, nor the shop."""
    nowhere = {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": NOWHERE,
        "AIRFLOW__COSMOS__ENABLE_DAG_VERSIONING": "False",
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
        "WAREHOUSE_HOST": "127.0.0.1",
        "WAREHOUSE_PORT": "1",
        "PII_KEY": "k" * 32,
        "SHOP_DATABASE_URL": NOWHERE,
        "MARKETPLACE_URL": "http://127.0.0.1:1",
        "REVIEWS_URL": "http://127.0.0.1:1",
        "STORES_URL": str(home / "nothing"),
    }
    done = run(environment(home, **nowhere | variables), "-c", LOOK_AT_THE_DAGS)
    assert done.returncode == 0, done.stdout + done.stderr
    (seen,) = [line for line in done.stdout.splitlines() if line.startswith("SEEN ")]
    return json.loads(seen.removeprefix("SEEN "))


@pytest.fixture(scope="module")
def seen(home: Path) -> dict:
    return look_at_the_dags(home)


def test_the_dags_import_with_no_database_in_reach(seen: dict) -> None:
    assert seen["errors"] == []
    assert set(seen["dags"]) == {"shop_elt"}


def test_every_dag_says_what_it_is_and_reads_intervals(seen: dict) -> None:
    for dag in seen["dags"].values():
        assert dag["tags"] and dag["doc"]
        assert dag["timetable"] == "CronDataIntervalTimetable"
        assert (dag["max_active_runs"], dag["catchup"]) == (1, False)


def test_every_task_has_an_owner_two_retries_with_backoff_and_a_timeout(seen: dict) -> None:
    for name, task in seen["tasks"].items():
        assert task["owner"] not in ("", "airflow"), name
        assert task["retries"] >= 2 and task["backoff"], name
        assert task["timeout"], name


def test_the_dag_is_wait_then_extract_load_then_the_dbt_graph_then_the_report(seen: dict) -> None:
    tasks = seen["tasks"]
    assert tasks["shop_elt.land.wait"]["upstream"] == []
    assert tasks["shop_elt.land.extract_load"]["upstream"] == ["land.wait"]
    assert "land.extract_load" in tasks["shop_elt.dbt.currencies"]["upstream"]
    assert tasks["shop_elt.dbt.fct_payments"]["upstream"] != []
    assert "dbt.customer_lifetime_value" in tasks["shop_elt.dbt.tests"]["upstream"]
    assert tasks["shop_elt.report"]["upstream"] == ["dbt.tests"]


def test_without_the_manifest_the_import_error_says_how_to_make_it(home: Path) -> None:
    (error,) = look_at_the_dags(home, DBT_TARGET_PATH=str(home / "nothing"))["errors"]
    assert error.splitlines()[-1].endswith("Make it with: make manifest")


@dataclass(frozen=True)
class Airflow:
    """A running Airflow, as `make airflow` starts it."""

    process: subprocess.Popen
    output: Path
    url: str
    server: Server

    def query(self, database: str, statement: str, *parameters: object) -> list[tuple]:
        with psycopg.connect(self.server.conninfo(database)) as connection:
            return connection.execute(statement, parameters or None).fetchall()

    def call(self, method: str, path: str, **json_body: object) -> dict:
        answer = httpx.request(method, f"{self.url}/api/v2/{path}", json=json_body or None, timeout=30)
        assert answer.is_success, answer.text
        return answer.json()

    def finish(self, run_id: str) -> str:
        """The state that a run ends in."""
        deadline = time.monotonic() + RUN_WITHIN
        while time.monotonic() < deadline:
            state = self.call("GET", f"dags/shop_elt/dagRuns/{run_id}")["state"]
            if state in ("success", "failed"):
                return state
            time.sleep(1)
        raise AssertionError(f"the run did not end within {RUN_WITHIN} s")


@pytest.fixture(scope="module")
def airflow(home: Path) -> Iterator[Airflow]:
    """The demo shop after four small days, and Airflow over it."""
    env = environment(home)
    for command in ("storehouse start", "demo advance --until 2026-01-05 --size 0.05"):
        done = run(env, "-m", *command.split())
        assert done.returncode == 0, done.stderr
    output = home / "airflow.out"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "storehouse.airflow"], cwd=PROJECT, env=env, stdout=file, stderr=file
        )
    try:
        while "Airflow is ready: " not in output.read_text():
            assert process.poll() is None, output.read_text()
            time.sleep(0.5)
        url = output.read_text().split("Airflow is ready: ")[1].split()[0]
        yield Airflow(process, output, url, Server(home / "postgres"))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(120)
        run(env, "-m", "storehouse", "stop")


def test_a_run_lands_its_interval_builds_every_node_tests_and_reports(airflow: Airflow) -> None:
    dag_run = airflow.call("POST", "dags/shop_elt/dagRuns", logical_date="2026-01-04T00:00:00Z")["dag_run_id"]
    state = airflow.finish(dag_run)

    tasks = airflow.query("airflow", "select task_id, map_index, state from task_instance where run_id = %s", dag_run)
    assert state == "success", [task for task in tasks if task[2] != "success"]
    assert {task[2] for task in tasks} == {"success"}
    assert sum(task[0] == "land.extract_load" for task in tasks) == 4
    assert len(tasks) > 40

    loads = airflow.query(
        "storehouse",
        "select source, sum(rows), max(interval_until) from raw.loads where run_id = %s group by source",
        dag_run,
    )
    assert {source for source, _, _ in loads} == {"shop", "marketplace", "reviews", "stores"}
    assert sum(rows for _, rows, _ in loads) > 0
    assert max(until.isoformat() for _, _, until in loads if until) <= "2026-01-04T00:00:00+00:00"
    for mart in ("core.fct_orders", "core.fct_payments", "sales.agg_daily_sales", "customers.customer_lifetime_value"):
        assert airflow.query("storehouse", f"select count(*) > 0 from {mart}") == [(True,)], mart
    assert airflow.query("storehouse", "select max(order_date) < '2026-01-04' from core.fct_orders") == [(True,)]

    log = airflow.call("GET", f"dags/shop_elt/dagRuns/{dag_run}/taskInstances/report/logs/1")
    words = json.dumps(log)
    assert "shop.orders" in words and "core.fct_orders" in words and " 0 failed" in words


def test_nothing_but_names_and_counts_travels_between_tasks(airflow: Airflow) -> None:
    values = airflow.query("airflow", "select task_id, key, value from xcom")
    assert [(task, key) for task, key, _ in values] == [("land.extract_load", "return_value")] * 4
    for _, _, rows in values:
        assert rows.keys() <= {"customers", "orders", "order_items", "payments", "products", "reviews", "sales"}
        assert all(isinstance(count, int) for count in rows.values())


def test_ctrl_c_stops_airflow_and_leaves_the_rest_running(airflow: Airflow) -> None:
    airflow.process.send_signal(signal.SIGINT)
    assert airflow.process.wait(120) == 0, airflow.output.read_text()
    with pytest.raises(httpx.HTTPError):
        httpx.get(airflow.url, timeout=5)
    assert airflow.server.is_running
    left = [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/environ")
        if os.access(path, os.R_OK) and str(airflow.output.parent / "airflow").encode() in _read(path)
    ]
    assert left == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
