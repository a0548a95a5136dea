"""Real runs under a real scheduler, as `make airflow` starts it: of each DAG, of one that fails, and its recovery."""

import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from airflow_scene import Airflow, environment, parse, run, running_airflow, start_the_demo

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
LARGE_LOAD_ROWS = 3000
SABOTAGE = """
create function public.refuse() returns trigger language plpgsql as
    $$ begin raise exception 'the accountant says no'; end $$;
create trigger refuse before insert or update on core.fct_payments for each row execute function public.refuse();
"""


class Notices(http.server.BaseHTTPRequestHandler):
    """A web hook: keeps what it is sent."""

    received: list[dict] = []  # noqa: RUF012

    def do_POST(self) -> None:
        self.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def hook() -> Iterator[http.server.HTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Notices)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    parse(home)
    return home


@pytest.fixture(scope="module")
def airflow(home: Path, hook: http.server.HTTPServer) -> Iterator[Airflow]:
    """The demo shop after twelve small days, and Airflow over it. Ten days take the large build, three the small one.

    Every run is late. One of the notices' two services is dead.
    """
    env = environment(
        home,
        NOTIFY_URL=f"json://127.0.0.1:{hook.server_port} json://127.0.0.1:1",
        LARGE_LOAD_ROWS=str(LARGE_LOAD_ROWS),
        LATE_HOURS="0.0003",
        DOCS_URL=str(home / "site"),
    )
    start_the_demo(home, until="2026-01-12", size=0.05)
    with running_airflow(home, env) as airflow:
        yield airflow


@pytest.fixture(scope="module")
def shop_run(airflow: Airflow) -> str:
    """The first run of the shop. The feedback's is on at the same time: neither needs what the other builds."""
    runs = {dag: airflow.trigger(dag, logical_date="2026-01-11T00:00:00Z") for dag in ("feedback_elt", "shop_elt")}
    for dag, run_id in runs.items():
        assert airflow.finish(dag, run_id) == "success", airflow.states(dag, run_id)
    return runs["shop_elt"]


def test_a_run_lands_its_interval_builds_every_node_tests_and_reports(airflow: Airflow, shop_run: str) -> None:
    states = airflow.states("shop_elt", shop_run)
    assert {task for task, state in states.items() if state != "success"} == {"dbt.build"}
    assert sum(task.startswith("land.extract_load[") for task in states) == 5

    loads = airflow.query(
        "storehouse",
        "select source, sum(rows), max(interval_until) from raw.loads where run_id = %s group by source",
        f"shop_elt {shop_run}",
    )
    assert {source for source, _, _ in loads} == {"shop", "marketplace", "stores"}
    assert sum(rows for _, rows, _ in loads) > 0
    assert max(until.isoformat() for _, _, until in loads if until) <= "2026-01-11T00:00:00+00:00"
    for mart in ("core.fct_orders", "core.fct_payments", "sales.agg_daily_sales"):
        assert airflow.query("storehouse", f"select count(*) > 0 from {mart}") == [(True,)], mart
    assert airflow.query("storehouse", "select max(order_date) < '2026-01-11' from core.fct_orders") == [(True,)]

    words = airflow.log("shop_elt", shop_run, "report")
    assert "shop.orders" in words and "core.fct_orders" in words
    assert re.search(r"tests: [1-9]\d* passed, \d+ warned, 0 failed", words), words
    assert "fct_orders: " in airflow.log("shop_elt", shop_run, "dbt.fct_orders")


def test_the_nodes_tasks_take_no_worker(airflow: Airflow, shop_run: str) -> None:
    workers = airflow.query(
        "airflow",
        "select task_id from task_instance where run_id = %s and task_id ~ '^dbt' and pid is not null",
        shop_run,
    )
    assert workers == [("dbt.build_large",)]


def test_nothing_but_names_and_counts_travels_between_tasks(airflow: Airflow, shop_run: str) -> None:
    for task, value in airflow.query("airflow", "select task_id, value from xcom where run_id = %s", shop_run):
        value = json.loads(value) if isinstance(value, str) and value[:1] in '{["' else value
        if task == "size":
            assert value in ("dbt.build_large", {"followed": ["dbt.build_large"]}), value
        else:
            assert all(isinstance(count, int) for count in value.values()), (task, value)


def test_who_wants_to_know_is_told_of_a_run_that_is_late_and_goes_on(airflow: Airflow, shop_run: str) -> None:
    (told,) = [notice for notice in Notices.received if notice["title"].startswith("shop_elt is not done after ")]
    assert shop_run in told["message"] and "runbook.md#a-run-is-late" in told["message"], told


def test_a_run_by_hand_lands_and_builds_what_it_is_asked_for(airflow: Airflow, shop_run: str) -> None:
    def tables() -> list[list[tuple]]:
        names = ("core.fct_orders", "core.fct_payments")
        return [airflow.query("storehouse", "select %s::regclass::oid", name) for name in names]

    before = tables()
    interval = {"from": "2026-01-08T00:00:00Z", "until": "2026-01-09T00:00:00Z"}
    conf = {"parts": ["shop"], "full_refresh": True, "selection": "fct_orders"} | interval
    run_id = airflow.trigger("shop_elt", conf=conf)
    assert airflow.finish("shop_elt", run_id) == "success", airflow.states("shop_elt", run_id)

    loads = airflow.query(
        "storehouse",
        "select source, table_name, rows > 0, interval_from::text, interval_until::text"
        " from raw.loads where run_id = %s",
        f"shop_elt {run_id}",
    )
    assert {source for source, *_ in loads} == {"shop"}
    ((landed, since, until),) = [rest for _, table, *rest in loads if table == "orders"]
    assert landed and since == "2026-01-08 00:00:00+00" and since < until <= "2026-01-09 00:00:00+00"
    states = airflow.states("shop_elt", run_id)
    parts = {name: state for name, state in states.items() if name.startswith("land.extract_load")}
    assert sorted(parts.values()) == ["skipped"] * 4 + ["success"]
    nodes = {name for name, state in states.items() if name.startswith("dbt.") and state == "success"}
    assert nodes == {"dbt.build", "dbt.fct_orders", "dbt.tests"}
    after = tables()
    assert after[0] != before[0] and after[1] == before[1]


def test_the_customers_marts_are_built_when_the_shop_and_the_feedback_are_published(
    airflow: Airflow, shop_run: str
) -> None:
    assert airflow.query("storehouse", "select count(*) > 0 from core.fct_reviews") == [(True,)]
    for _ in range(60):
        if runs := airflow.call("GET", "dags/customer_marts/dagRuns")["dag_runs"]:
            break
        time.sleep(1)
    assert [run["run_type"] for run in runs] == ["asset_triggered"]
    assert airflow.finish("customer_marts", runs[0]["dag_run_id"]) == "success"
    assert airflow.query("storehouse", "select count(*) > 0 from customers.customer_lifetime_value") == [(True,)]


def test_a_failed_model_shows_its_error_its_descendants_are_upstream_failed_and_after_the_fix_the_run_is_completed(
    airflow: Airflow, shop_run: str, home: Path
) -> None:
    assert run(environment(home), "-m", "demo", "advance", "--days", "1").returncode == 0
    sabotaged = subprocess.run(
        [sys.executable, "-m", "storehouse", "psql"], env=environment(home), input=SABOTAGE, text=True, check=True
    )
    assert sabotaged.returncode == 0
    run_id = airflow.trigger("shop_elt")
    assert airflow.finish("shop_elt", run_id) == "failed"
    states = airflow.states("shop_elt", run_id)
    assert {task for task, state in states.items() if state == "failed"} == {"dbt.fct_payments", "report"}
    below = {task for task, state in states.items() if state == "upstream_failed"}
    assert {"dbt.fct_orders", "dbt.agg_daily_sales", "dbt.tests", "publish"} <= below
    assert states["dbt.dim_customers"] == states["dbt.build"] == "success" and states["dbt.build_large"] == "skipped"
    log = airflow.log("shop_elt", run_id, "dbt.fct_payments")
    assert "the accountant says no" in log and "fct_payments.sql" in log
    assert airflow.query("airflow", "select try_number from task_instance where task_id = 'dbt.fct_payments'"
                         " and run_id = %s", run_id) == [(1,)]  # fmt: skip

    told = [notice for notice in Notices.received if "dbt.fct_payments" in notice["title"]]
    assert len(told) == 1, Notices.received
    for words in ("the accountant says no", "Interval: ", f"/runs/{quote(run_id)}", "runbook.md#a-model-failed"):
        assert words in told[0]["message"], told[0]

    subprocess.run(
        [sys.executable, "-m", "storehouse", "psql"],
        env=environment(home),
        input="drop function public.refuse cascade",
        text=True,
        check=True,
    )
    body = {"dry_run": False, "dag_run_id": run_id, "only_failed": True, "reset_dag_runs": True}
    airflow.call("POST", "dags/shop_elt/clearTaskInstances", **body)
    assert airflow.finish("shop_elt", run_id) == "success", airflow.states("shop_elt", run_id)
    states = airflow.states("shop_elt", run_id)
    assert {task for task, state in states.items() if state != "success"} == {"dbt.build_large"}
    assert any(notice["title"] == "shop_elt is well again" for notice in Notices.received)


def test_the_maintenance_audits_vacuums_and_documents(airflow: Airflow, home: Path) -> None:
    run_id = airflow.trigger("maintenance")
    assert airflow.finish("maintenance", run_id) == "success", airflow.log("maintenance", run_id, "audit")
    log = airflow.log("maintenance", run_id, "audit")
    assert "core.fct_orders" in log and " 0 different" in log
    vacuumed = "select last_vacuum is not null from pg_stat_all_tables where relid = 'core.fct_orders'::regclass"
    assert airflow.query("storehouse", vacuumed) == [(True,)]
    assert (home / "site" / "index.html").stat().st_size > 100_000


def test_a_source_that_stays_away_fails_its_part_and_the_rest_is_built(airflow: Airflow, home: Path) -> None:
    assert run(environment(home), "-m", "demo", "advance", "--days", "1").returncode == 0
    conf = {"parts": ["shop", "stores"], "from": "2031-01-01T00:00:00Z", "until": "2031-01-02T00:00:00Z"}
    # An interval in the future: the shop has no order in it. Nobody waits for hours here: the wait is failed by hand.
    run_id = airflow.trigger("shop_elt", conf=conf)
    for _ in range(120):
        states = airflow.states("shop_elt", run_id)
        if states.get("land.wait[0]") == "deferred":
            break
        time.sleep(1)
    assert states["land.wait[0]"] == "deferred"
    for index in (0, 4):
        airflow.call(
            "PATCH",
            f"dags/shop_elt/dagRuns/{run_id}/taskInstances/land.wait/{index}",
            new_state="failed",
        )
    assert airflow.finish("shop_elt", run_id) == "failed"
    states = airflow.states("shop_elt", run_id)
    assert states["land.wait[1]"] == "skipped" and states["land.extract_load[0]"] == "upstream_failed"
    assert states["dbt.fct_orders"] == states["publish"] == "success"


@pytest.mark.skipif(not BROWSER, reason="no chromium here: apt-get install chromium")
def test_the_ui_shows_a_green_run_and_the_states_of_a_failed_one(airflow: Airflow, shop_run: str, home: Path) -> None:
    """Keeps the screens in SCREENS, when that is set."""
    folder = Path(os.environ.get("SCREENS", home))
    failed = [run["dag_run_id"] for run in airflow.call("GET", "dags/shop_elt/dagRuns?state=failed")["dag_runs"]]
    for name, run_id, expected in (("green", shop_run, {"Success"}), ("failed", failed[-1], {"Failed", "Success"})):
        page = f"{airflow.url}/dags/shop_elt/runs/{run_id}"
        shown = browse(home, page, "--dump-dom", "--virtual-time-budget=30000")
        assert "dbt" in shown and all(state in shown for state in expected), name
        browse(
            home, page, f"--screenshot={folder / name}.png", "--window-size=1800,1100", "--virtual-time-budget=30000"
        )
        assert (folder / f"{name}.png").stat().st_size > 20_000


def browse(home: Path, page: str, *arguments: str) -> str:
    """What a headless browser gives for a page."""
    command = [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={home / 'browser'}"]
    return subprocess.run([*command, *arguments, page], capture_output=True, text=True, timeout=120, check=True).stdout


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
