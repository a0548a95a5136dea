"""The scene of the DAGs' tests: a home of their own, and a real Airflow over the demo shop."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
import warm
from parsed import lend

from storehouse.core.settings import PROJECT
from storehouse.laptop.server import Server

OUR_VARIABLES = tuple(
    f"{name}_"
    for name in [
        "WAREHOUSE",
        "SHOP",
        "MARKETPLACE",
        "REVIEWS",
        "STORES",
        "STOREHOUSE",
        "DBT",
        "PII",
        "REDIS",
        "EXPORT",
        "AIRFLOW",
        "NOTIFY",
        "REPORT",
        "FEEDBACK",
        *("DOCS", "SALES_EXPORT", "PUSHGATEWAY", "OPENLINEAGE", "RUNBOOK", "LOG"),
    ]
)
RUN_WITHIN = 600


class Notices(http.server.BaseHTTPRequestHandler):
    """A web hook: keeps what it is sent."""

    received: list[dict] = []  # noqa: RUF012

    def do_POST(self) -> None:
        self.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def web_hook() -> Iterator[str]:
    """Where `Notices` listens, as Apprise reads it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Notices)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Notices.received.clear()
    yield f"json://127.0.0.1:{server.server_port}"
    server.shutdown()


def environment(home: Path, **variables: str) -> dict[str, str]:
    """The test's own home, with nothing else of ours in the environment."""
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(OUR_VARIABLES)}
    ours = {"STOREHOUSE_HOME": str(home), "DBT_TARGET_PATH": str(home / "target"), "PYTHONPATH": str(PROJECT)}
    return theirs | ours | variables


def run(env: dict[str, str], *command: str) -> subprocess.CompletedProcess:
    """A Python command in the project's folder."""
    return subprocess.run([sys.executable, *command], cwd=PROJECT, env=env, capture_output=True, text=True, timeout=300)


def parse(home: Path) -> None:
    """Make dbt's manifest."""
    env = environment(home, WAREHOUSE_HOST="127.0.0.1", PII_KEY="the-key-of-no-warehouse-in-the-tests")
    lend(env)
    parsed = warm.run("storehouse", "dbt", "parse", "--quiet", env=env)
    assert parsed.returncode == 0, parsed.stdout + parsed.stderr


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
        answer = httpx.request(method, f"{self.url}/api/v2/{path}", json=json_body or None, timeout=300)
        assert answer.is_success, answer.text
        return answer.json()

    def trigger(self, dag: str, **body: object) -> str:
        """Start a run; returns its id."""
        return self.call("POST", f"dags/{dag}/dagRuns", **({"logical_date": None} | body))["dag_run_id"]

    def finish(self, dag: str, run_id: str) -> str:
        """The state that a run ends in."""
        deadline = time.monotonic() + RUN_WITHIN
        while time.monotonic() < deadline:
            state = self.call("GET", f"dags/{dag}/dagRuns/{run_id}")["state"]
            if state in ("success", "failed"):
                return state
            time.sleep(1)
        raise AssertionError(f"the run did not end within {RUN_WITHIN} s")

    def states(self, dag: str, run_id: str) -> dict[str, str]:
        """The state of every task of a run; mapped ones have their index in the name."""
        found = self.pages(f"dags/{dag}/dagRuns/{run_id}/taskInstances", "task_instances")
        return {
            task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else ""): task["state"]
            for task in found
        }

    def pages(self, path: str, what: str) -> list[dict]:
        """All of a list, of which the API gives a hundred at once, whatever the limit."""
        found, page = [], {what: [], "total_entries": 1}
        while len(found) < page["total_entries"]:
            page = self.call("GET", f"{path}{'&' if '?' in path else '?'}limit=100&offset={len(found)}&order_by=id")
            found += page[what]
        return found

    def log(self, dag: str, run_id: str, task: str, attempt: int = 1) -> str:
        """A task's log, as the UI shows it."""
        path = f"dags/{dag}/dagRuns/{run_id}/taskInstances/{task}/logs/{attempt}"
        return str(self.call("GET", path))


def set_policy(home: Path, policy: str) -> None:
    """What Airflow applies to each DAG or task that it reads."""
    config = home / "airflow" / "config"
    config.mkdir(parents=True)
    (config / "airflow_local_settings.py").write_text(policy)


# Policies for `set_policy`.
TRY_AGAIN_SOON = """
from datetime import timedelta

def task_policy(task):
    task.retry_delay, task.retry_exponential_backoff = timedelta(seconds=5), 0
"""
NO_RUN_IS_DUE = """
from datetime import timedelta

def dag_policy(dag):
    dag.end_date = dag.start_date + timedelta(days=60)
"""


def own_sources(home: Path) -> dict[str, str]:
    """The demo shop as anybody's sources: with these variables the DAGs have their schedules."""
    api = f"http://127.0.0.1:{(home / 'demo' / 'port').read_text().strip()}"
    return {
        "SHOP_DATABASE_URL": Server(home / "postgres").conninfo("shop"),
        "MARKETPLACE_URL": f"{api}/marketplace",
        "REVIEWS_URL": api,
        "STORES_URL": str(home / "demo" / "stores"),
    }


def start_the_demo(home: Path, until: str, size: float) -> None:
    """The embedded server, the demo shop, played to the end of a day, and dbt's manifest."""
    env = environment(home)
    for target in ("default", "audit"):
        lend(env, target)
    for command in ("storehouse start", f"demo advance --until {until} --size {size}", "storehouse dbt parse --quiet"):
        done = warm.run(*command.split(), env=env)
        assert done.returncode == 0, done.stderr


@contextmanager
def running_airflow(home: Path, env: dict[str, str]) -> Iterator[Airflow]:
    """Airflow as `make airflow` starts it. At its end the embedded server stops too."""
    output = home / "airflow.out"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "storehouse.laptop.airflow"], cwd=PROJECT, env=env, stdout=file, stderr=file
        )
    try:
        while "Airflow is ready: " not in output.read_text():
            assert process.poll() is None, output.read_text()
            time.sleep(0.5)
        url = output.read_text().split("Airflow is ready: ")[1].split()[0]
        airflow = Airflow(process, output, url, Server(home / "postgres"))
        assert airflow.call("GET", "importErrors")["import_errors"] == []
        yield airflow
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(120)
        run(environment(home), "-m", "storehouse", "stop")
