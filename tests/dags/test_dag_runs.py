"""Real runs under a real scheduler, as `make airflow` starts it: of each DAG, of one that fails, and its recovery."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import httpx
import psutil
import psycopg
import pytest
from airflow_scene import Airflow, Notices, environment, run, running_airflow, start_the_demo, web_hook
from browser import browse, needs_browser
from mail_server import PASSWORD, Mails, mail_server
from openlineage_scene import Backend, backend, check, to_server
from real_prometheus import running, watching
from real_redis import wait_until

from storehouse.core.settings import PROJECT
from storehouse.laptop.server import free_port

LARGE_LOAD_ROWS = 3000
STATE_SHOWN = re.compile(r'truncated-text" title="([\w.]+)".*?"state-badge".*?</svg>([\w ]+)<', re.DOTALL)
SABOTAGE = """
create function public.refuse() returns trigger language plpgsql as
    $$ begin raise exception 'the accountant says no'
        using errcode = 'check_violation', detail = 'Failing row contains (Ada)'; end $$;
create trigger refuse before insert or update on build.fct_payments for each row execute function public.refuse();
"""

# The first statement that makes anything for the model loses a deadlock; a sequence knows no rollback.
DEADLOCK = """
create sequence public.deadlocks;
create function public.deadlock_once() returns event_trigger language plpgsql as $$
begin
    if current_query() like '%model.storehouse.int_product_days__rated"%' and nextval('public.deadlocks') = 1 then
        raise exception 'deadlock detected' using errcode = '40P01';
    end if;
end $$;
create event trigger deadlock_once on ddl_command_start execute function public.deadlock_once();
"""


@pytest.fixture(scope="module")
def hook() -> Iterator[str]:
    with web_hook() as url:
        yield url


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def listening() -> Iterator[Backend]:
    with backend() as found:
        yield found


@pytest.fixture(scope="module")
def mails() -> Iterator[Mails]:
    with mail_server() as mails:
        yield mails


@pytest.fixture(scope="module")
def airflow(home: Path, hook: str, listening: Backend, mails: Mails) -> Iterator[Airflow]:
    """The demo shop after twelve small days, and Airflow over it. Ten days take the large build, three the small one.

    Every run is late. One of the notices' two services is dead. OpenLineage is on. A report goes to a mail server.
    """
    env = environment(
        home,
        OPENLINEAGE__TRANSPORT=json.dumps(to_server(listening.url)),
        NOTIFY_URL=f"{hook} json://127.0.0.1:1",
        LARGE_LOAD_ROWS=str(LARGE_LOAD_ROWS),
        LATE_HOURS="0.0003",
        DOCS_URL=str(home / "site"),
        REPORT_URL=mails.url,
    )
    start_the_demo(home, until="2026-01-12", size=0.05)
    with running_airflow(home, env) as airflow:
        yield airflow


@pytest.fixture(scope="module")
def first_runs(airflow: Airflow) -> dict[str, str]:
    """The first runs of the shop and the feedback, at the same time: neither needs what the other builds.

    A model of the feedback's meets a deadlock.
    """
    with psycopg.connect(airflow.server.conninfo("storehouse")) as warehouse:
        warehouse.execute(DEADLOCK)
    runs = {dag: airflow.trigger(dag, logical_date="2026-01-11T00:00:00Z") for dag in ("feedback_elt", "shop_elt")}
    for dag, run_id in runs.items():
        assert airflow.finish(dag, run_id) == "success", airflow.states(dag, run_id)
    return runs


@pytest.fixture(scope="module")
def shop_run(first_runs: dict[str, str]) -> str:
    return first_runs["shop_elt"]


def test_each_report_puts_the_status_page_and_the_dashboard_where_the_docs_are(
    first_runs: dict[str, str], home: Path
) -> None:
    """What the docs' first page links to. Of two reports at once the last one may not know of the other."""
    page = (home / "site" / "status.html").read_text()
    assert any(f"{dag_id} {run_id}" in page for dag_id, run_id in first_runs.items())
    assert '"sales_cents"' in (home / "site" / "dashboard.html").read_text()


def test_a_run_sends_the_report_of_the_last_whole_week(airflow: Airflow, shop_run: str, mails: Mails) -> None:
    # The run ends with the 10th, a Saturday: the week before is whole.
    (mail,) = mails.received
    assert mail["Subject"].startswith("Sales of week 1: $")
    log = airflow.log("shop_elt", shop_run, "report")
    assert PASSWORD not in log and "was not sent" not in log


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


def test_what_dbt_did_and_what_became_of_the_run_is_kept_with_airflows_names(airflow: Airflow, shop_run: str) -> None:
    runs = airflow.query(
        "storehouse",
        "select started_by, dag_id, task_id, try_number, run_id, failed from operations.dbt_runs where dag_run_id = %s "
        "and dag_id = 'shop_elt'",
        shop_run,
    )
    assert runs == [("airflow", "shop_elt", "dbt.build_large", 1, f"shop_elt {shop_run} 0", 0)]
    nodes = {task.removeprefix("dbt.") for task in airflow.states("shop_elt", shop_run) if task.startswith("dbt.")}
    built = airflow.query(
        "storehouse", "select name from operations.model_runs where run_id = %s", f"shop_elt {shop_run} 0"
    )
    # Ephemeral models have a task, and nothing that is built.
    assert {"fct_orders", "currencies", "product_prices"} < {name for (name,) in built} < nodes
    ((state, broken, tasks, is_landed),) = airflow.query(
        "storehouse",
        "select state, broken_tasks, tasks, landed_rows = (select sum(rows) from raw.loads where run_id = runs.run_id) "
        "from operations.pipeline_runs as runs where run_id = %s",
        f"shop_elt {shop_run}",
    )
    assert (state, broken, is_landed) == ("succeeded", None, True)
    assert tasks == len(airflow.states("shop_elt", shop_run))


def test_the_lines_of_a_tasks_log_have_the_keys_of_the_command_line(
    airflow: Airflow, home: Path, shop_run: str
) -> None:
    run_id = f"shop_elt {shop_run}"
    logs = home / "airflow" / "logs" / "dag_id=shop_elt" / f"run_id={shop_run}"

    def told(task: str) -> list[dict]:
        files = [*logs.glob(f"task_id={task}/**/attempt=1.log")]
        assert files, [path.name for path in logs.iterdir()]
        found = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return [line for line in found if line.get("run") == run_id]

    landed = {
        (line["load"], line["source"], line["table"], line["rows"])
        for line in told("land.extract_load")
        if "rows" in line  # not where a load waits for another's
    }
    assert landed == set(
        airflow.query("storehouse", "select load_id, source, table_name, rows from raw.loads where run_id = %s", run_id)
    )
    assert all("/" in line["interval"] for line in told("land.extract_load"))
    built = {(line["model"], line.get("rows")) for line in told("dbt.build_large") if "model" in line}
    assert built == set(
        airflow.query(
            "storehouse",
            "select name, rows_affected from operations.model_runs where run_id = %s and resource_type = 'model'",
            f"{run_id} 0",
        )
    )
    assert "shop_elt succeeded" in {line["event"] for line in told("report")}


def ended(listening: Backend, run: str, job: str) -> list[dict]:
    """The last events of the runs of a job, within the run of a DAG whose first event is known."""
    return [
        event
        for event in listening.events
        if event["job"]["name"] == job
        and event["eventType"] in ("COMPLETE", "FAIL")
        and run
        in (event["run"]["runId"], event["run"]["facets"].get("parent", {}).get("root", {}).get("run", {}).get("runId"))
    ]


def test_openlineage_hears_of_the_dag_its_tasks_and_what_they_do_in_one_tree(
    airflow: Airflow, shop_run: str, listening: Backend
) -> None:
    of_dag = [
        event for event in listening.events if event["job"]["name"] == "shop_elt" and event["eventType"] == "START"
    ]
    run = of_dag[0]["run"]["runId"]
    # The scheduler tells it when it finds that all tasks have ended.
    wait_until(lambda: ended(listening, run, "shop_elt"))
    check(listening.events)
    parents = {event["run"]["runId"]: event["run"]["facets"].get("parent") for event in listening.events}
    names = {event["run"]["runId"]: event["job"]["name"] for event in listening.events}

    def above(job: str) -> list[str]:
        found, run_id = [], ended(listening, run, job)[-1]["run"]["runId"]
        while parent := parents[run_id]:
            run_id = parent["run"]["runId"]
            found.append(names[run_id])
        return found

    dag = "shop_elt"
    assert above("extract_load.shop.orders") == ["extract_load.shop", f"{dag}.land.extract_load", dag]
    assert above("storehouse.build.storehouse.fct_orders.build.run") == ["dbt build", f"{dag}.dbt.build_large", dag]
    assert above("publish.core.fct_orders") == [f"{dag}.publish_marts", dag]
    tasks = {f"{dag}.{task.partition('[')[0]}" for task in airflow.states(dag, shop_run) if not task.startswith("dbt.")}
    assert {task for task in tasks if not ended(listening, run, task)} == set()


TROUBLES = [
    "A task is queued for ever",
    "A DAG is missing",
    "A result between tasks is missing",
    "A task runs, and its process is gone",
    "The triggerer is dead",
]
# One process for all: each would take seconds to import Airflow.
RUN_ALL = """
import contextlib, io, json, os, sys
from storehouse.laptop.airflow import environment
os.environ |= environment()
from airflow.cli import cli_parser
parser, said = cli_parser.get_parser(), []
for words in json.loads(sys.argv[1]):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            arguments = parser.parse_args(words)
            arguments.func(arguments)
        except SystemExit as end:
            assert not end.code, (words, end.code)
    said.append(output.getvalue())
print("said " + json.dumps(said))
"""


def test_the_commands_of_the_runbook_for_airflows_usual_troubles_say_what_it_says(
    airflow: Airflow, home: Path, shop_run: str
) -> None:
    runbook = (PROJECT / "docs/runbook.md").read_text()
    entries = {title: runbook.split(f"\n## {title}\n")[1].split("\n## ")[0] for title in TROUBLES}
    typed = {
        title: [line for line in re.findall(r"(?:^\$ |`)(airflow [a-z-]+ [^`\n]+)", entry, re.MULTILINE)]
        for title, entry in entries.items()
    }
    assert all(typed.values()), typed
    commands = [shlex.split(line.replace("RUN", shop_run))[1:] for lines in typed.values() for line in lines]
    done = run(environment(home), "-c", RUN_ALL, json.dumps(commands))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    said = dict(zip(map(" ".join, commands), json.loads(done.stdout.rpartition("said ")[2]), strict=True))
    for job in ("SchedulerJob", "DagProcessorJob", "TriggererJob"):
        assert "Found one alive job" in said[f"jobs check --job-type {job}"]
    assert "builds" in said["pools list"] and "shop_elt" in said["dags list"]
    assert "dbt.build_large" in said[f"tasks states-for-dag-run shop_elt {shop_run}"]
    found = airflow.call("GET", f"dags/shop_elt/dagRuns/{shop_run}/taskInstances/dbt.build_large/xcomEntries")
    assert {"tests", "return_value"} <= {entry["key"] for entry in found["xcom_entries"]}


WORKERS = "select task_id from task_instance where run_id = %s and dag_id = %s and task_id ~ '^dbt' and pid is not null"


def test_airflow_answers_to_this_machines_names_only(airflow: Airflow) -> None:
    """A web page whose name leads here (DNS rebinding) is told nothing, though everyone here is an administrator."""
    for path in ("/", "/api/v2/dags", "/execution/health"):
        assert httpx.get(airflow.url + path, headers={"Host": "evil.example:8080"}).status_code == 400
    assert httpx.get(f"{airflow.url}/api/v2/dags", headers={"Host": "localhost"}).status_code == 200


def test_the_nodes_tasks_take_no_worker(airflow: Airflow, shop_run: str) -> None:
    assert airflow.query("airflow", WORKERS, shop_run, "shop_elt") == [("dbt.build_large",)]
    # They all wait before it begins, `tests` among them, which would need the slot of the builds to run.
    which = "from task_instance where run_id = %s and dag_id = 'shop_elt' and task_id ~ '^dbt' and"
    nodes = f"{which} pid is null and state = 'success'"
    waiting = airflow.query("airflow", f"select trigger_timeout - interval '12 hours' {nodes}", shop_run)
    ((began, ended),) = airflow.query("airflow", f"select start_date, end_date {which} pid is not null", shop_run)
    assert len(waiting) > 40
    assert max(waiting) < (began,)
    # Not how long they waited: when dbt built each.
    for start, end, duration in airflow.query("airflow", f"select start_date, end_date, duration {nodes}", shop_run):
        assert began < start <= end < ended and duration == (end - start).total_seconds()


def test_after_a_deadlock_a_node_and_what_stands_on_it_run_alone_then_the_tests_and_all_is_published(
    airflow: Airflow, first_runs: dict[str, str]
) -> None:
    run_id = first_runs["feedback_elt"]
    assert airflow.query("storehouse", "select last_value > 1 from public.deadlocks") == [(True,)]
    assert set(airflow.states("feedback_elt", run_id).values()) == {"success"}
    ran = {task.removeprefix("dbt.") for (task,) in airflow.query("airflow", WORKERS, run_id, "feedback_elt")}
    assert ran == {"build", "int_product_days__rated", "int_products__rated", "product_ratings", "tests"}
    assert "deadlock detected" in airflow.log("feedback_elt", run_id, "dbt.int_product_days__rated")
    passed = "select (value ->> 'passed')::int from xcom where run_id = %s and dag_id = 'feedback_elt' and task_id = %s"
    build, alone = (airflow.query("airflow", passed, run_id, task)[0][0] for task in ("dbt.build", "dbt.tests"))
    assert build < alone and f"tests: {alone} passed" in airflow.log("feedback_elt", run_id, "report")
    assert airflow.query("storehouse", "select count(*) > 0 from feedback.product_ratings") == [(True,)]


def test_nothing_but_names_and_counts_travels_between_tasks(airflow: Airflow, shop_run: str) -> None:
    for task, value in airflow.query("airflow", "select task_id, value from xcom where run_id = %s", shop_run):
        value = json.loads(value) if isinstance(value, str) and value[:1] in '{["' else value
        if task == "size":
            assert value in ("dbt.build_large", {"followed": ["dbt.build_large"]}), value
        else:
            # A test that warned is its name, how many rows it found, and where they are.
            warned = value.pop("warnings", [])
            assert all(re.fullmatch(r"warned, \d+ rows?: select \* from [\w.]+", line) for line in warned), warned
            assert all(isinstance(count, int) for count in value.values()), (task, value)


def test_who_wants_to_know_is_told_of_a_run_that_is_late_and_goes_on(airflow: Airflow, shop_run: str) -> None:
    (told,) = notices("shop_elt is not done after ")
    assert shop_run in told["message"] and "runbook.md#a-run-is-late" in told["message"], told


def test_readers_see_what_a_run_built_and_tested_of_all_marts_of_its_group(
    airflow: Airflow, first_runs: dict[str, str]
) -> None:
    stands = airflow.query(
        "storehouse", "select group_name, run_id, held_back from operations.published_marts order by 1"
    )
    assert stands == [
        ("feedback", f"feedback_elt {first_runs['feedback_elt']} 0", None),
        ("shop", f"shop_elt {first_runs['shop_elt']} 0", None),
    ]
    log = airflow.log("shop_elt", first_runs["shop_elt"], "publish_marts")
    assert "published: shop: position " in log
    assert "published: shop: position " in airflow.log("shop_elt", first_runs["shop_elt"], "report")
    ((orders, days, customers),) = airflow.query(
        "storehouse",
        "select (select count(*) from core.fct_orders where customer_id is not null"
        " and is_counted and not is_credit_note), "
        "(select sum(orders) from sales.agg_daily_sales), (select sum(orders) from customers.customer_lifetime_value)",
    )
    assert orders == customers > 0 and days > 0


def test_a_run_by_hand_lands_and_builds_what_it_is_asked_for(airflow: Airflow, shop_run: str) -> None:
    def tables() -> list[list[tuple]]:
        names = ("build.fct_orders", "build.fct_payments", "core.fct_orders")
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
    assert nodes == {"dbt.build_large", "dbt.fct_orders", "dbt.tests"}
    after = tables()
    assert after[0] != before[0] and after[1:] == before[1:]
    # The view of sellers went with the old table: readers keep what they have, and nothing has failed.
    assert states["publish_marts"] == states["publish"] == "skipped"
    ((why,),) = airflow.query(
        "storehouse", "select held_back from operations.published_marts where group_name = 'shop'"
    )
    assert '"build"."dim_sellers" is not built yet' in why


@pytest.fixture(scope="module")
def failed_run(airflow: Airflow, shop_run: str, home: Path) -> str:
    """A run of the shop in which one model failed."""
    assert run(environment(home), "-m", "demo", "advance", "--days", "1").returncode == 0
    type_in_psql(home, SABOTAGE)
    run_id = airflow.trigger("shop_elt")
    assert airflow.finish("shop_elt", run_id) == "failed"
    return run_id


def type_in_psql(home: Path, script: str) -> None:
    command = [sys.executable, "-m", "storehouse", "psql"]
    subprocess.run(command, env=environment(home), input=script, text=True, check=True)


def test_a_failed_model_shows_its_error_and_its_descendants_are_upstream_failed(
    airflow: Airflow, failed_run: str
) -> None:
    states = airflow.states("shop_elt", failed_run)
    assert {task for task, state in states.items() if state == "failed"} == {
        "dbt.fct_payments",
        "dbt.tests",
        "publish_marts",
        "report",
    }
    below = {task for task, state in states.items() if state == "upstream_failed"}
    assert {"dbt.fct_orders", "dbt.agg_daily_sales", "publish"} <= below
    assert states["dbt.dim_customers"] == states["dbt.build"] == "success" and states["dbt.build_large"] == "skipped"
    log = airflow.log("shop_elt", failed_run, "dbt.fct_payments")
    assert "the accountant says no" in log and "fct_payments.sql" in log
    tries = "select try_number from task_instance where task_id = 'dbt.fct_payments' and run_id = %s"
    assert airflow.query("airflow", tries, failed_run) == [(1,)]

    (told,) = notices("shop_elt failed")
    assert told["title"] == "shop_elt failed: dbt.fct_payments"
    assert notices("shop_elt is well again") == []
    for words in ("the accountant says no", "Interval: ", f"/runs/{quote(failed_run)}", "runbook.md#a-model-failed"):
        assert words in told["message"], told
    # PostgreSQL's detail quotes rows, which may have a person's data.
    messages = airflow.query("storehouse", "select string_agg(message, ' ') from orchestration.node_results")
    assert "accountant" in str(messages) and "Ada" not in f"{messages} {told}"


def test_openlineage_hears_why_a_model_failed_without_the_row(
    airflow: Airflow, failed_run: str, listening: Backend
) -> None:
    failures = [event for event in listening.events if event["eventType"] == "FAIL"]
    for job in ("storehouse.build.storehouse.fct_payments.build.run", "dbt build"):
        told = [event["run"]["facets"]["errorMessage"]["message"] for event in failures if event["job"]["name"] == job]
        assert any("the accountant says no" in message for message in told), told
    assert not any("(Ada)" in json.dumps(event) for event in listening.events)
    check(failures)


@needs_browser
def test_the_ui_shows_a_green_run_and_one_with_a_failed_model(
    airflow: Airflow, shop_run: str, failed_run: str, home: Path
) -> None:
    """Keeps the screens in SCREENS, when that is set."""
    folder = Path(os.environ.get("SCREENS", home))
    for name, run_id, state in (("green", shop_run, "Success"), ("failed", failed_run, "Failed")):
        url = f"{airflow.url}/dags/shop_elt/runs/{run_id}"
        screen = folder / f"{name}.png"
        dom = browse(home, "--dump-dom", f"--screenshot={screen}", "--virtual-time-budget=30000", url)
        assert state in dom, name
        # 50 of the tasks, in no order: each as the API says it.
        found = {task: shown.lower().replace(" ", "_") for task, shown in STATE_SHOWN.findall(dom)}
        found = {task: shown for task, shown in found.items() if task.startswith("dbt.")}
        assert len(found) > 30 and found.items() <= airflow.states("shop_elt", run_id).items(), (name, found)
        assert screen.stat().st_size > 20_000


def test_after_the_fix_a_failed_run_is_completed(airflow: Airflow, failed_run: str, home: Path) -> None:
    told = notices("shop_elt failed")
    type_in_psql(home, "drop function public.refuse cascade")
    body = {"dry_run": False, "dag_run_id": failed_run, "only_failed": True, "reset_dag_runs": True}
    airflow.call("POST", "dags/shop_elt/clearTaskInstances", **body)
    assert airflow.finish("shop_elt", failed_run) == "success", airflow.states("shop_elt", failed_run)
    states = airflow.states("shop_elt", failed_run)
    assert {task for task, state in states.items() if state != "success"} == {"dbt.build_large"}
    for _ in range(60):
        if recovered := notices("shop_elt is well again"):
            break
        time.sleep(1)
    assert failed_run in recovered[0]["message"]
    assert airflow.call("GET", "variables")["variables"] == [], "that it failed is forgotten"
    assert notices("shop_elt failed") == told


def test_a_full_disk_under_the_export_is_told_once_and_that_it_is_well_again_too(
    airflow: Airflow, failed_run: str, home: Path
) -> None:
    """After the fix: the same run exports again."""
    disk = home / "export"
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]).returncode:
        pytest.skip("no small disk here: mount tmpfs, as root")
    body = {"dry_run": False, "dag_run_id": failed_run, "reset_dag_runs": True}
    before = len(notices("shop_elt is well again"))
    try:
        with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        airflow.call(
            "POST", "dags/shop_elt/clearTaskInstances", task_ids=["publish", "report"], only_failed=False, **body
        )
        assert airflow.finish("shop_elt", failed_run) == "failed"
    finally:
        subprocess.run(["umount", disk], check=True)
    airflow.call("POST", "dags/shop_elt/clearTaskInstances", only_failed=True, **body)
    assert airflow.finish("shop_elt", failed_run) == "success", airflow.states("shop_elt", failed_run)
    (told,) = notices("shop_elt failed: publish")
    assert "No space left on device. Make room there" in told["message"]
    assert "runbook.md#a-disk-is-full-or-a-lock-is-not-free" in told["message"]
    wait_until(lambda: len(notices("shop_elt is well again")) == before + 1)


def test_the_reports_of_runs_have_told_once_that_the_marts_were_held_back_and_once_that_they_are_not(
    airflow: Airflow, failed_run: str
) -> None:
    """After the fix: the marts were held back from the run of a selection on."""
    said = [f"{notice['title']}\n{notice['message']}" for notice in Notices.received]
    for words in ("warning: marts held back, shop", "ended: marts held back, shop"):
        (message,) = [message for message in said if words in message]
        assert "The marts of shop are not published: " in message, message


def notices(title: str) -> list[dict]:
    """Those with a title that begins so."""
    return [notice for notice in Notices.received if notice["title"].startswith(title)]


def test_the_maintenance_audits_vacuums_and_documents(airflow: Airflow, home: Path) -> None:
    run_id = airflow.trigger("maintenance")
    assert airflow.finish("maintenance", run_id) == "success", airflow.log("maintenance", run_id, "audit")
    log = airflow.log("maintenance", run_id, "audit")
    assert "core.fct_orders" in log and " 0 different" in log
    vacuumed = "select last_vacuum is not null from pg_stat_all_tables where relid = 'core.fct_orders'::regclass"
    assert airflow.query("storehouse", vacuumed) == [(True,)]
    for page in ("index.html", "columns.html"):
        assert (home / "site" / page).stat().st_size > 100_000
    # In the house's home: elsewhere the project's folder may be read-only.
    assert "docs generate" in (home / "logs" / "dbt.log").read_text()


def test_a_source_that_stays_away_fails_its_part_and_the_rest_is_built(airflow: Airflow, home: Path) -> None:
    assert run(environment(home), "-m", "demo", "advance", "--days", "1").returncode == 0
    conf = {"parts": ["shop", "stores"], "from": "2031-01-01T00:00:00Z", "until": "2031-01-02T00:00:00Z"}
    conf["selection"] = "fct_orders"  # one model for the rest of them
    # An interval in the future: the shop has no order in it. Nobody waits for hours here: the wait is failed by hand.
    run_id = airflow.trigger("shop_elt", conf=conf)
    end_the_waits(airflow, run_id, shop="failed", stores="failed")
    assert airflow.finish("shop_elt", run_id) == "failed"
    states = airflow.states("shop_elt", run_id)
    assert states["land.wait[1]"] == "skipped" and states["land.extract_load[0]"] == "upstream_failed"
    assert states["dbt.fct_orders"] == states["publish"] == "success"

    airflow.call("POST", "dags/shop_elt/clearTaskInstances", dry_run=False, dag_run_id=run_id, only_failed=True)
    end_the_waits(airflow, run_id, shop="success", stores="success")
    assert airflow.finish("shop_elt", run_id) == "failed"
    states = airflow.states("shop_elt", run_id)
    assert {task for task, state in states.items() if state == "failed"} == {"report"}, states
    assert "came after the build" in airflow.log("shop_elt", run_id, "report", attempt=2)
    # Both ends of the run are kept, and the last one counts.
    kept = "select state, broken_tasks from raw_operations.pipeline_runs where run_id = %s order by ended_at"
    first, second = airflow.query("storehouse", kept, f"shop_elt {run_id}")
    assert first[0] == second[0] == "failed" and "land.wait" in first[1] and second[1] is None
    shown = "select state, broken_tasks, ends from operations.pipeline_runs where run_id = %s"
    assert airflow.query("storehouse", shown, f"shop_elt {run_id}") == [("failed", None, 2)]


def end_the_waits(airflow: Airflow, run_id: str, **states: str) -> None:
    """When both wait, in the triggerer, and nothing has been reported yet."""
    waits = {"shop": "land.wait[0]", "stores": "land.wait[4]"}
    for _ in range(120):
        now = airflow.states("shop_elt", run_id)
        if {now.get(wait) for wait in waits.values()} == {"deferred"}:
            break
        time.sleep(1)
    assert {now[wait] for wait in waits.values()} == {"deferred"} and not now["report"], now
    for source, state in states.items():
        path = waits[source].removesuffix("]").replace("[", "/")
        airflow.call("PATCH", f"dags/shop_elt/dagRuns/{run_id}/taskInstances/{path}", new_state=state)


def test_a_scheduler_that_hangs_is_told_once_from_outside_and_its_end_too(
    airflow: Airflow, home: Path, hook: str, tmp_path: Path
) -> None:
    port, parts = free_port(), ["api", "dag_processor", "metadatabase", "scheduler", "triggerer"]
    env = environment(home, AIRFLOW_URL=airflow.url)
    exporter = [sys.executable, "-m", "storehouse", "metrics", "--serve", str(port)]
    processes = psutil.Process(airflow.process.pid).children()
    (scheduler,) = [process for process in processes if "scheduler" in process.cmdline()]

    def told(status: str) -> list[str]:
        alerts = [alert for notice in Notices.received for alert in notice.get("alerts", [])]
        return [alert["labels"]["component"] for alert in alerts if alert["status"] == status]

    with (
        running(*exporter, answers=f"http://127.0.0.1:{port}/metrics", env=env),
        watching(tmp_path, port, hook) as ask,
    ):
        wait_until(lambda: ask("storehouse_airflow_healthy"))
        healthy = {one["metric"]["component"]: one["value"][1] for one in ask("storehouse_airflow_healthy")}
        assert healthy == dict.fromkeys(parts, "1")
        scheduler.suspend()
        try:
            wait_until(lambda: told("firing"), 120)
        finally:
            scheduler.resume()
        wait_until(lambda: told("resolved"), 120)
        assert told("firing") == told("resolved") == ["scheduler"]


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
