"""A dbt node's task in this project: what it says, and what it asks of dbt."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from types import ModuleType, SimpleNamespace

import psycopg
import pytest
from houses import House

ORDERS = "model.storehouse.fct_orders"
MANIFEST = {"nodes": {}}


@pytest.fixture(scope="module", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Airflow, which the module imports, gets a home of the test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        yield


@pytest.fixture
def tasks(house: House, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the tasks, in a house where dbt runs."""
    from storehouse.orchestrate import dbt_tasks

    monkeypatch.setenv("DBT_TARGET_PATH", str(house.home / "target"))  # a task moves it
    (house.home / "target").mkdir(exist_ok=True)
    (house.home / "target" / "manifest.json").write_text(json.dumps(MANIFEST))
    return dbt_tasks


def context(**params: object) -> dict:
    run = SimpleNamespace(dag_id="shop_elt", run_id="a run", clear_number=0, conf=params)
    run.start_date = run.data_interval_start = run.data_interval_end = None
    return {"dag_run": run, "params": params, "ti": SimpleNamespace(xcom_push=lambda *_, **__: None)}


def build_task(tasks: ModuleType, **arguments: object) -> object:
    from one_build.tasks import DbtBuild

    return DbtBuild(task_id="build", site=tasks.site(), **{"select": [], "exclude": []} | arguments)


def task_of_a_node(tasks: ModuleType, name: str, node: str, group: object, select: Sequence[str] = ()) -> object:
    from one_build.tasks import DbtNodeTask

    return DbtNodeTask(task_id=name, site=tasks.site(), node=node, select=list(select), exclude=[], task_group=group)


def test_a_node_without_a_triggerer_builds_nothing_and_says_what_to_do(
    tasks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`airflow dags test` and `airflow tasks test`: the nodes' tasks come first there, before their sources land."""
    from airflow.sdk import DAG, TaskGroup

    from storehouse.orchestrate.notices import Told

    monkeypatch.setattr(tasks.transform, "build", lambda *_, **__: pytest.fail("it built"))
    with DAG("shop_elt", schedule=None), TaskGroup("dbt") as group:
        node = task_of_a_node(tasks, "fct_orders", ORDERS, group)
    with pytest.raises(Told, match=r"dags trigger shop_elt.*dbt build --select fct_orders"):
        node.execute(context())


def test_a_selection_of_nothing_fails_for_good_and_says_what_to_do(tasks: ModuleType) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    for selection in ("fct_ordres", "product_ratings"):  # mistyped; another DAG's
        build = build_task(tasks, exclude=["product_ratings"])
        with pytest.raises(AirflowFailException, match=f"no model of shop_elt is in the selection '{selection}'. Trig"):
            build.execute(context(selection=selection))


def test_a_build_that_takes_too_long_is_ended_in_the_warehouse_too_says_so_and_is_not_tried_again(
    tasks: ModuleType, house: House
) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    build = build_task(tasks, select=["currencies"], execution_timeout=timedelta(seconds=2))
    assert build.execute(context()) == {"success": 1, "failed": 0, "skipped": 0}
    with psycopg.connect(house.warehouse) as warehouse:
        warehouse.execute(
            "create function slow() returns trigger language plpgsql"
            " as $$ begin perform pg_sleep(60); return new; end $$;"
            "create trigger slow before insert or truncate on seeds.currencies execute function slow()"
        )
    sleeping = "select query from pg_stat_activity where wait_event = 'PgSleep'"

    def ring_when_it_sleeps() -> None:
        while not house.query(sleeping):
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGALRM)  # as Airflow's timer does

    threading.Thread(target=ring_when_it_sleeps).start()
    began = time.monotonic()
    with pytest.raises(AirflowFailException, match="dbt did not end within 0:00:02 and was stopped"):
        build.execute(context())
    assert house.query(sleeping) == []
    assert time.monotonic() - began < 30


def test_what_runs_alone_is_asked_what_the_run_is_asked_and_what_became_of_it_is_told(
    tasks: ModuleType, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk import DAG, TaskGroup
    from one_build import results

    from storehouse.orchestrate.report import report

    with psycopg.connect(house.warehouse) as warehouse:
        warehouse.execute(
            "create schema raw; create table raw.loads (position, run_id) as values (7, 'shop_elt a run')"
        )
        warehouse.execute("create schema if not exists converge")
        warehouse.execute("create table if not exists converge.runs (run_id text, bound bigint)")
        warehouse.execute("insert into converge.runs values ('shop_elt a run 0', 7), ('shop_elt a run2 0', 8)")
    asked = []
    monkeypatch.setattr(tasks.transform, "build", lambda arguments, *_: asked.append(" ".join(arguments)) or [])
    with DAG("shop_elt", schedule=None):
        group = TaskGroup("dbt")
        node = task_of_a_node(tasks, "fct_orders", ORDERS, group, select=["fct_orders"])
        tests = task_of_a_node(tasks, "tests", "tests", group)
    results.begin(node.connect, "shop_elt", "a run")
    with node.connect() as warehouse:
        warehouse.execute(results.WRITE, ["shop_elt", "a run", ORDERS, "skipped", "", None, None])
    assert results.unbuilt(node.connect, "shop_elt", "a run") == {ORDERS}

    # fct_payments was not in the selection.
    states = {
        "dbt.build": "success",
        "dbt.fct_orders": "skipped",
        "dbt.tests": "skipped",
        "dbt.fct_payments": "skipped",
    }
    ti = SimpleNamespace(dag_id="shop_elt", run_id="a run", try_number=1, xcom_pull=lambda *_, **__: [{}])
    ti.get_task_states = lambda **_: {"a run": states}
    ti.get_previous_dagrun = lambda: None
    with pytest.raises(Exception, match=r"2 tasks did not succeed: dbt\.fct_orders, dbt\.tests"):
        report.function(ti, context()["dag_run"])

    for task in (node, tests):
        task.resume(context(full_refresh=True, selection="fct_orders"), {"message": None, "timing": None})
    assert "--select fct_orders " in asked[0] and asked[0].endswith(" --full-refresh")
    assert "--resource-type test " in asked[1] and asked[1].endswith("--select fct_orders")
    assert results.unbuilt(node.connect, "shop_elt", "a run") == set()
    assert results.read(node.connect, "shop_elt", "a run")["tests"].status == "success"
    states |= {"dbt.fct_orders": "success", "dbt.tests": "success"}
    report.function(ti, context()["dag_run"])
    with psycopg.connect(house.warehouse) as warehouse:
        warehouse.execute("update converge.runs set bound = 6 where run_id = 'shop_elt a run 0'")
    with pytest.raises(Exception, match="What landed last came after the build"):
        report.function(ti, context()["dag_run"])


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ("a wrong URL", False),
        ("the connection was lost", True),
        ("SSL SYSCALL error: EOF detected", True),
        ('could not translate host name "db" to address: Temporary failure in name resolution', True),
        ('could not translate host name "db" to address: Name or service not known', False),
        ('connection to server at "db" failed: FATAL: password authentication failed for user "x"', False),
        ('column "connection_id" does not exist', False),
    ],
)
def test_what_can_not_pass_fails_a_task_for_good_and_trouble_is_tried_again(
    tasks: ModuleType, said: str, passes: bool
) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from storehouse.core.errors import TransientError, as_error

    becomes = TransientError if passes else AirflowFailException
    with pytest.raises(becomes, match=re.escape(said)), tasks.no_vain_retries():
        raise as_error(said)


def test_a_full_refresh_takes_the_large_build_however_little_landed(tasks: ModuleType) -> None:
    from storehouse.orchestrate.landing import size

    assert size.function([{"orders": 1}], {"full_refresh": True}) == "dbt.build_large"
    assert size.function([{"orders": 1}], {"full_refresh": False}) == "dbt.build"
