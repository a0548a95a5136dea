"""The DAGs before they run: they import anywhere and quickly, and every task keeps the rules of the house."""

import json
from pathlib import Path

import pytest
from airflow_scene import environment, parse, run

from storehouse.core.settings import PROJECT

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
DAGS = {"shop_elt", "feedback_elt", "maintenance"}
IMPORTED_WITHIN = 2.0  # seconds of CPU, after Airflow itself
LOOK_AT_THE_DAGS = """
import json, time
import airflow.sdk, airflow.dag_processing.dagbag, airflow.providers.standard.operators.python

began = time.process_time()
bag = airflow.dag_processing.dagbag.DagBag()
took = time.process_time() - began
tasks = {
    f"{dag.dag_id}.{task.task_id}": {
        "owner": task.owner,
        "retries": task.retries,
        "backoff": bool(task.retry_exponential_backoff),
        "timeout": task.execution_timeout and task.execution_timeout.total_seconds(),
        "tells": bool(task.on_failure_callback),
        "pool": task.pool,
        "node": getattr(task, "node", None),
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
        "zone": str(getattr(dag.timetable, "timezone", "")),
        "cron": getattr(dag.timetable, "expression", None),
        "max_active_runs": dag.max_active_runs,
        "deadline": [alert.interval.total_seconds() for alert in dag.deadline or []],
        "params": sorted(dag.params),
        "tells": bool(dag.on_failure_callback and dag.on_success_callback),
    }
    for dag in bag.dags.values()
}
print("SEEN " + json.dumps({"took": took, "errors": list(bag.import_errors.values()), "dags": dags, "tasks": tasks}))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with dbt's manifest, and nothing that runs."""
    home = tmp_path_factory.mktemp("home")
    parse(home)
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


@pytest.fixture(scope="module")
def hourly(home: Path) -> dict:
    return look_at_the_dags(home, SHOP_ELT_SCHEDULE="hourly")


def test_the_dags_import_with_no_database_in_reach(seen: dict) -> None:
    assert seen["errors"] == []
    assert set(seen["dags"]) == DAGS


def test_all_dags_import_within_two_seconds_after_airflow(seen: dict, hourly: dict) -> None:
    assert min(seen["took"], hourly["took"]) < IMPORTED_WITHIN


def test_every_dag_says_what_it_is_and_how_it_ends_runs_once_at_a_time_and_has_a_deadline(seen: dict) -> None:
    for name, dag in seen["dags"].items():
        assert dag["tags"] and dag["doc"], name
        assert dag["max_active_runs"] == 1, name
        assert dag["deadline"] == [4 * 3600], name
        assert dag["tells"], name


def test_dags_have_intervals_in_utc(seen: dict, hourly: dict) -> None:
    timetables = {name: dag["timetable"] for name, dag in seen["dags"].items()}
    assert set(timetables.values()) == {"CronDataIntervalTimetable"}
    assert {seen["dags"][name]["zone"] for name in timetables} == {"UTC"}
    assert [found["dags"]["shop_elt"]["cron"] for found in (seen, hourly)] == ["0 0 * * *", "0 * * * *"]


def test_every_task_has_an_owner_retries_with_backoff_a_timeout_and_tells_of_its_failure(seen: dict) -> None:
    for name, task in seen["tasks"].items():
        assert task["owner"] not in ("", "airflow"), name
        assert task["retries"] >= 2 and task["backoff"], name
        assert task["timeout"], name
        assert task["tells"], name


def test_what_uses_the_warehouse_or_an_api_has_a_pool(seen: dict) -> None:
    pools = set(json.loads((PROJECT / "storehouse" / "orchestrate" / "pools.json").read_text()))
    for name, task in seen["tasks"].items():
        if name.endswith((".build", ".build_large", ".extract_load", ".audit", ".vacuum")):
            assert task["pool"] in pools, name


def test_dbt_builds_one_at_a_time_and_has_hours(seen: dict) -> None:
    builds = [task for name, task in seen["tasks"].items() if name.endswith((".build", ".build_large"))]
    assert {task["timeout"] for task in builds} == {4 * 3600}
    # The tests end a run when they run alone: no build may go on meanwhile.
    tests = [task for name, task in seen["tasks"].items() if name.endswith(".tests")]
    assert {task["pool"] for task in builds + tests} == {"builds"} and len(tests) == 2
    assert json.loads((PROJECT / "storehouse" / "orchestrate" / "pools.json").read_text())["builds"]["slots"] == 1


def test_the_shop_is_landed_sized_built_published_and_reported(seen: dict) -> None:
    upstream = {name.removeprefix("shop_elt."): task["upstream"] for name, task in seen["tasks"].items()}
    assert upstream["land.wait"] == [] and upstream["land.extract_load"] == ["land.wait"]
    assert upstream["size"] == ["land.extract_load"]
    assert upstream["dbt.build"] == upstream["dbt.build_large"] == ["size"]
    assert "dbt.build" in upstream["dbt.currencies"]
    assert {"dbt.fct_payments", "dbt.fct_order_items"} <= set(upstream["dbt.fct_orders"])
    assert upstream["publish_marts"] == ["dbt.tests"] and upstream["publish"] == ["publish_marts"]
    assert upstream["report"] == ["land.extract_load", "publish"]
    assert {"from", "until", "parts", "full_refresh", "selection"} == set(seen["dags"]["shop_elt"]["params"])


def test_what_readers_see_in_one_commit_is_built_in_one_dag(seen: dict, home: Path) -> None:
    nodes = json.loads((home / "target" / "manifest.json").read_text())["nodes"]
    groups: dict[str, set[str]] = {}
    for unique_id, node in nodes.items():
        if publish := node["config"]["meta"].get("publish"):
            groups.setdefault(publish["group"], set()).add(unique_id)
    built = {
        dag: {task["node"] for name, task in seen["tasks"].items() if name.startswith(f"{dag}.")}
        for dag in seen["dags"]
    }
    assert groups["shop"] <= built["shop_elt"] and groups["feedback"] <= built["feedback_elt"]
    assert groups.keys() == {"shop", "feedback"}


def test_every_node_of_the_dbt_graph_has_a_task(seen: dict, home: Path) -> None:
    manifest = json.loads((home / "target" / "manifest.json").read_text())["nodes"]
    nodes = {
        unique_id
        for unique_id, node in manifest.items()
        if node["resource_type"] in ("model", "seed", "snapshot") and node["config"]["materialized"] != "ephemeral"
    }
    assert nodes <= {task["node"] for task in seen["tasks"].values()}


def test_without_the_manifest_the_import_error_says_how_to_make_it(home: Path) -> None:
    errors = look_at_the_dags(home, DBT_TARGET_PATH=str(home / "nothing"))["errors"]
    assert len(errors) == 2
    assert all(error.splitlines()[-1].endswith("Make it with: .venv/bin/dbt parse") for error in errors)


@pytest.mark.parametrize(
    "words", ["dags test shop_elt", "dags test feedback_elt 2026-01-02", "tasks test shop_elt dbt.fct_orders"]
)
def test_a_test_command_of_airflow_that_would_build_before_landing_is_refused_in_words(tmp_path: Path, words: str):
    done = run(environment(tmp_path), "-m", "storehouse.laptop.airflow", *words.split())
    assert done.returncode == 1 and not (tmp_path / "postgres").exists()
    assert "has no triggerer" in done.stderr and "make run" in done.stderr and "Traceback" not in done.stderr
