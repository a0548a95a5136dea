"""What a dbt node's task does with what the build says of it, and with what it does not say."""

import asyncio
import importlib
import json
import os
import re
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import psycopg
import pytest
from houses import House

from storehouse.core.settings import PROJECT

BEGAN = datetime(2026, 1, 2, 3, tzinfo=UTC)
BEFORE, AFTER = BEGAN - timedelta(minutes=1), BEGAN + timedelta(minutes=1)
TRY_LASTS = timedelta(hours=12)
ORDERS, PAYMENTS = "model.storehouse.fct_orders", "model.storehouse.fct_payments"


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The module; Airflow, which it imports, gets a home of the test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        from storehouse import dbt_watch

        return dbt_watch


def decide(
    watch: ModuleType,
    build: str | None = "running",
    results: dict[str, tuple] | None = None,
    parent: str | None = "success",
    orders: str = "deferred",
    node: str = ORDERS,
    is_alone: bool = False,
) -> str | dict | None:
    """How the node's task ends, the payload that it takes to a worker, or None while it waits."""
    trigger = watch.NodeResult(node, "dbt")
    trigger.timeout_after = BEGAN + TRY_LASTS
    upstream = SimpleNamespace(
        execution_timeout=TRY_LASTS,
        template_ext=(),
        start_trigger_args=None,
        get_flat_relative_ids=lambda upstream: {"dbt.fct_payments", "dbt.build", "land.wait"},
    )
    trigger.task_instance = SimpleNamespace(task_id="dbt." + node.rpartition(".")[2], task=upstream)
    look = SimpleNamespace(
        group="dbt",
        states={"dbt.build": build, "dbt.fct_payments": parent, "dbt.fct_orders": orders},
        results={
            name: watch.Result(status, *said or ["said"], at) for name, (status, at, *said) in (results or {}).items()
        },
    )
    event = trigger._decide(look, is_alone)
    return event and getattr(event, "task_instance_state", event.payload)


@pytest.mark.parametrize(
    ("status", "becomes"), [("success", "success"), ("skipped", None), ("failed", {"message": "said"})]
)
def test_it_ends_as_the_build_says_while_the_build_goes_on(watch: ModuleType, status: str, becomes: object) -> None:
    assert decide(watch, results={ORDERS: (status, AFTER)}) == becomes


def test_it_waits_while_the_build_says_nothing_and_for_a_build_that_is_tried_again(watch: ModuleType) -> None:
    for build in (None, "queued", "running", "up_for_retry"):
        assert decide(watch, build=build) is None


def test_what_was_said_before_this_try_is_not_believed(watch: ModuleType) -> None:
    assert decide(watch, results={ORDERS: ("success", BEFORE)}) is None


def test_a_node_that_is_not_in_the_selection_is_skipped(watch: ModuleType) -> None:
    assert decide(watch, build="success", results={"build": ("success", AFTER)}) == "skipped"


def test_when_the_build_failed_before_it_it_is_not_run(watch: ModuleType) -> None:
    for build in ("failed", "upstream_failed"):
        assert decide(watch, build=build) == "skipped"


def test_a_cleared_task_runs_alone_after_all_that_it_stands_on(watch: ModuleType) -> None:
    old = {ORDERS: ("failed", BEFORE), "build": ("success", BEFORE)}
    for parent, becomes in (
        ("success", {"message": None}),
        ("deferred", None),
        ("running", None),
        ("failed", "skipped"),
    ):
        assert decide(watch, build="success", results=old, parent=parent, is_alone=True) == becomes, parent


def after_a_build(orders: str, payments: str, tests: str, *said: str) -> dict[str, tuple]:
    built = {ORDERS: (orders, AFTER), PAYMENTS: (payments, AFTER), "tests": (tests, AFTER, *said)}
    return built | {"build": ("success", AFTER)}


@pytest.mark.parametrize(
    ("parent", "payments", "becomes"),
    [
        ("deferred", "failed", None),
        ("up_for_retry", "failed", None),
        ("success", "success", {"message": None}),  # it ran alone, and said so
        ("failed", "failed", "skipped"),
        # It ended well, then the build was killed, and the next one failed at it.
        ("success", "failed", {"message": "Not built: dbt.fct_payments did not succeed. "
                               "Clear it together with what stands on it."}),
    ],
)  # fmt: skip
def test_what_the_build_skipped_runs_alone_once_all_that_it_stands_on_is_well(
    watch: ModuleType, parent: str, payments: str, becomes: object
) -> None:
    results = after_a_build("skipped", payments, "skipped")
    assert decide(watch, build="success", results=results, parent=parent) == becomes
    assert decide(watch, build="running", results=results, parent=parent) is None


def test_the_last_results_are_waited_for_before_anything_runs_alone(watch: ModuleType) -> None:
    results = after_a_build("skipped", "success", "skipped")
    del results["build"]
    assert decide(watch, build="success", results=results) is None


def test_no_node_is_built_past_a_test_that_failed_but_past_one_that_could_not_run(watch: ModuleType) -> None:
    for said, becomes in (("Got 3 results", "skipped"), ("deadlock detected", {"message": None})):
        results = after_a_build("skipped", "success", "failed", said)
        assert decide(watch, build="success", results=results) == becomes


@pytest.mark.parametrize("status", ["skipped", "failed"])
def test_tests_that_were_skipped_or_met_trouble_run_alone_when_every_node_is_well_and_only_then(
    watch: ModuleType, status: str
) -> None:
    for orders, becomes in (("success", {"message": None}), ("running", None), ("failed", "skipped")):
        results = after_a_build("success", "success", status, "deadlock detected")
        decided = decide(watch, build="success", results=results, orders=orders, parent=orders, node="tests")
        assert decided == becomes, orders
    unbuilt = after_a_build("success", "failed", status, "deadlock detected")
    decided = decide(watch, build="success", results=unbuilt, orders="success", node="tests")
    assert "dbt.fct_payments did not succeed" in decided["message"]


def test_a_cleared_task_that_was_not_in_the_selection_is_skipped_again(watch: ModuleType) -> None:
    results = {PAYMENTS: ("success", BEFORE), "tests": ("success", BEFORE), "build": ("success", BEFORE)}
    assert decide(watch, build="success", results=results, is_alone=True) == "skipped"


def test_a_task_that_is_tried_again_while_the_build_ends_is_run_and_not_taken_for_unselected(watch: ModuleType) -> None:
    results = {ORDERS: ("failed", BEFORE), "build": ("success", AFTER)}
    assert decide(watch, build="success", results=results) == {"message": None}


def test_the_tests_end_last(watch: ModuleType) -> None:
    results = {"tests": ("success", AFTER)}
    assert decide(watch, results=results, node="tests") is None
    assert decide(watch, build="success", results=results, node="tests") is None  # fct_orders is deferred still


MANIFEST = {
    "nodes": {
        "test.one": {"resource_type": "test", "depends_on": {"nodes": [ORDERS]}, "tags": []},
        "test.both": {"resource_type": "test", "depends_on": {"nodes": [ORDERS, "model.other"]}, "tags": []},
        "test.audit": {"resource_type": "test", "depends_on": {"nodes": [ORDERS]}, "tags": ["audit"]},
    }
}


def finished(unique_id: str, status: str, message: str = "") -> SimpleNamespace:
    """dbt's event."""
    kind, name = unique_id.split(".")[0], unique_id.split(".")[-1]
    node = SimpleNamespace(unique_id=unique_id, resource_type=kind, node_name=name)
    result = SimpleNamespace(status=status, message=message, execution_time=0.5)
    return SimpleNamespace(
        info=SimpleNamespace(name="NodeFinished"), data=SimpleNamespace(node_info=node, run_result=result)
    )


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([("success", ORDERS), ("pass", "test.one"), ("pass", "test.both")], ("success", "success")),
        ([("success", ORDERS), ("fail", "test.one"), ("skipped", "test.both")], ("failed", "skipped")),
        ([("success", ORDERS), ("pass", "test.one"), ("fail", "test.both")], ("success", "failed")),
        ([("error", ORDERS), ("skipped", "test.one"), ("skipped", "test.both")], ("failed", "skipped")),
        ([("skipped", ORDERS), ("skipped", "test.one"), ("skipped", "test.both")], ("skipped", "skipped")),
    ],
)
def test_a_nodes_result_is_its_own_and_that_of_the_tests_about_it_alone(
    new_house: House, tmp_path: Path, events: list, expected: tuple[str, str]
) -> None:
    from storehouse import node_results

    node_results.begin("shop_elt", "a run")
    recorder = node_results.Recorder("shop_elt", "a run", tmp_path, MANIFEST)
    for status, unique_id in events:
        recorder(finished(unique_id, status))
    recorder(finished("exposure.storehouse.daily_sales_export", "skipped"))
    recorder.finish()
    results = node_results.read("shop_elt", "a run")
    assert (results[ORDERS].status, results["tests"].status) == expected
    assert set(results) == {ORDERS, "tests", "build"}
    node_results.begin("shop_elt", "a run")
    assert node_results.read("shop_elt", "a run") == {}


def test_trouble_that_may_pass_is_not_told_beside_a_failed_test(new_house: House, tmp_path: Path) -> None:
    from storehouse import node_results

    for failures, told in (
        (["deadlock detected"], "deadlock detected"),
        (["deadlock detected", "Got 3 results"], "Got 3 results"),
    ):
        node_results.begin("shop_elt", "a run")
        recorder = node_results.Recorder("shop_elt", "a run", tmp_path, MANIFEST)
        for number, message in enumerate(failures):
            recorder(finished(f"test.many_{number}", "error", message))
        recorder.finish()
        said = node_results.read("shop_elt", "a run")["tests"].message
        assert told in said and (len(failures) == 1 or "deadlock" not in said)


def test_a_result_is_not_told_before_the_nodes_tests_have_ended(new_house: House, tmp_path: Path) -> None:
    from storehouse import node_results

    node_results.begin("shop_elt", "a run")
    recorder = node_results.Recorder("shop_elt", "a run", tmp_path, MANIFEST)
    recorder(finished(ORDERS, "success"))
    assert ORDERS not in node_results.read("shop_elt", "a run")
    recorder(finished("test.one", "pass"))
    assert node_results.read("shop_elt", "a run")[ORDERS].status == "success"


def test_the_tasks_hear_together_of_what_the_build_says_and_at_once_of_its_end(
    watch: ModuleType, new_house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from storehouse import node_results

    monkeypatch.setattr(watch, "TELL_EVERY", 3600)
    monkeypatch.setattr(watch.Look, "_read_states", lambda look: {"dbt.build": "running"})
    node_results.begin("shop_elt", "a run")
    recorder = node_results.Recorder("shop_elt", "a run", tmp_path, MANIFEST)

    async def hear() -> tuple[bool, set[str]]:
        async with watch.Look.at("shop_elt", "a run", "dbt") as look:
            await look.next()
            recorder(finished(ORDERS, "success"))
            recorder(finished("test.one", "pass"))
            more = asyncio.create_task(look.next())
            await asyncio.sleep(3 * watch.LOOK_EVERY)
            was_told_early = more.done()
            recorder.finish()
            await asyncio.wait_for(more, 60)
            return was_told_early, set(look.results)

    assert asyncio.run(hear()) == (False, {ORDERS, "tests", "build"})


def test_a_wait_outlives_a_database_of_airflow_that_is_away_for_a_while(
    watch: ModuleType, new_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse

    answers = iter([None, {"a run": {"dbt.build": "running"}}])

    def get_task_states(**_: object) -> dict:
        if answer := next(answers, {}):
            return answer
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))

    async def look_once() -> dict:
        async with watch.Look.at("shop_elt", "a run", "dbt") as look:
            await look.next()
            return look.states

    monkeypatch.setattr(watch.RuntimeTaskInstance, "get_task_states", get_task_states)
    monkeypatch.setattr(watch, "IDLE_EVERY", 0.01)
    assert asyncio.run(look_once()) == {"dbt.build": "running"}
    monkeypatch.setattr(watch, "PATIENCE", 0)
    with pytest.raises(RuntimeError, match="can't be looked up"):
        asyncio.run(look_twice(watch))


def test_a_warehouse_that_is_away_or_hangs_is_told_once_and_asked_again(
    watch: ModuleType, new_house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from storehouse import node_results

    monkeypatch.setattr(watch.Look, "_read_states", lambda look: {"dbt.build": None})
    monkeypatch.setattr(watch, "IDLE_EVERY", 0.01)
    monkeypatch.setattr(node_results, "STATEMENT_WITHIN", 1)
    node_results.begin("shop_elt", "a run")
    with psycopg.connect(new_house.warehouse) as other:
        other.execute("lock table orchestration.node_results")
        # The build may have ended well: nobody hears of it without its results.
        with pytest.raises(TimeoutError):
            asyncio.run(look_twice(watch, within=3))
        (told,) = caplog.records
        assert "statement timeout" in told.message and "each node's task builds again" in told.message
        monkeypatch.setattr(watch, "PATIENCE", 0)
        asyncio.run(look_twice(watch))
    assert len(caplog.records) == 2
    asyncio.run(look_twice(watch))
    assert len(caplog.records) == 2


async def look_twice(watch: ModuleType, within: float = 60) -> None:
    async with asyncio.timeout(within), watch.Look.at("shop_elt", "a run", "dbt") as look:
        await look.next()
        await look.next()


@pytest.fixture
def tasks(watch: ModuleType, house: House, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the tasks, in a house where dbt runs."""
    from storehouse import dbt_tasks

    monkeypatch.setenv("DBT_TARGET_PATH", str(house.home / "target"))  # a task moves it
    (house.home / "target").mkdir(exist_ok=True)
    (house.home / "target" / "manifest.json").write_text(json.dumps(MANIFEST))
    return dbt_tasks


def context(**params: object) -> dict:
    run = SimpleNamespace(dag_id="shop_elt", run_id="a run", clear_number=0, conf=params)
    return {"dag_run": run, "params": params, "ti": SimpleNamespace(xcom_push=lambda *_, **__: None)}


def test_a_node_without_a_triggerer_builds_nothing_and_says_what_to_do(
    tasks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`airflow dags test` and `airflow tasks test`: the nodes' tasks come first there, before their sources land."""
    from airflow.sdk import DAG, TaskGroup

    from storehouse.orchestrate.notices import Told

    monkeypatch.setattr(tasks.transform, "build", lambda *_, **__: pytest.fail("it built"))
    with DAG("shop_elt", schedule=None), TaskGroup("dbt") as group:
        node = tasks.DbtNodeTask(task_id="fct_orders", node=ORDERS, select=[], exclude=[], task_group=group)
    with pytest.raises(Told, match=r"dags trigger shop_elt.*`make run`.*dbt build --select fct_orders"):
        node.execute(context())


def test_a_selection_of_nothing_fails_for_good_and_says_what_to_do(tasks: ModuleType) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    for selection in ("fct_ordres", "product_ratings"):  # mistyped; another DAG's
        build = tasks.DbtBuild(task_id="build", select=[], exclude=["product_ratings"])
        with pytest.raises(AirflowFailException, match=f"no model of shop_elt is in the selection '{selection}'. Trig"):
            build.execute(context(selection=selection))


def test_a_build_that_takes_too_long_is_ended_in_the_warehouse_too_says_so_and_is_not_tried_again(
    tasks: ModuleType, house: House
) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    build = tasks.DbtBuild(task_id="build", select=["currencies"], exclude=[], execution_timeout=timedelta(seconds=2))
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

    from storehouse import node_results
    from storehouse.orchestrate.report import report

    with psycopg.connect(house.warehouse) as warehouse:
        warehouse.execute("create schema raw; create table raw.loads (load_id, run_id) as values (7, 'shop_elt a run')")
        warehouse.execute("create schema if not exists converge")
        warehouse.execute("create table if not exists converge.runs (run_id text, bound bigint)")
        warehouse.execute("insert into converge.runs values ('shop_elt a run 0', 7), ('shop_elt a run2 0', 8)")
    asked = []
    monkeypatch.setattr(tasks.transform, "build", lambda arguments, *_: asked.append(" ".join(arguments)) or [])
    with DAG("shop_elt", schedule=None):
        group = TaskGroup("dbt")
        node = tasks.DbtNodeTask(task_id="fct_orders", node=ORDERS, select=["fct_orders"], exclude=[], task_group=group)
        tests = tasks.DbtNodeTask(task_id="tests", node="tests", select=[], exclude=[], task_group=group)
    node_results.begin("shop_elt", "a run")
    recorder = node_results.Recorder("shop_elt", "a run", house.home, MANIFEST)
    recorder(finished(ORDERS, "skipped"))
    recorder.finish()
    assert node_results.unbuilt("shop_elt", "a run") == {ORDERS}

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
        task.resume(context(full_refresh=True, selection="fct_orders"), {"message": None})
    assert "--select fct_orders " in asked[0] and asked[0].endswith(" --full-refresh")
    assert "--resource-type test " in asked[1] and asked[1].endswith("--select fct_orders")
    assert node_results.unbuilt("shop_elt", "a run") == set()
    assert node_results.read("shop_elt", "a run")["tests"].status == "success"
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


@pytest.mark.parametrize(("conf", "shown"), [({}, "upstream_failed"), ({"selection": "fct_payments"}, "skipped")])
def test_what_a_failed_test_about_several_nodes_kept_from_being_built_shows_it(
    watch: ModuleType, monkeypatch: pytest.MonkeyPatch, conf: dict, shown: str
) -> None:
    monkeypatch.syspath_prepend(str(PROJECT / "plugins"))
    house = importlib.import_module("house")
    monkeypatch.setattr(house, "object_session", lambda _: None)
    states = {"dbt.build_large": "skipped", "dbt.fct_orders": "skipped", "dbt.tests": "failed", "publish": "skipped"}
    tasks = [SimpleNamespace(task_id=name, map_index=-1, state=state) for name, state in states.items()]
    upstream = {"publish": {"dbt.tests"}, "dbt.fct_orders": {"dbt.build_large"}, "dbt.tests": {"dbt.fct_orders"}}
    dag = SimpleNamespace(get_task=lambda name: SimpleNamespace(upstream_task_ids=upstream.get(name, set())))
    run = SimpleNamespace(conf=conf, dag=dag, deadlines=[], get_task_instances=lambda session: tasks)
    house.Listener().on_dag_run_failed(run, "")
    assert {task.task_id: task.state for task in tasks} == states | {
        "dbt.fct_orders": shown,
        "publish": "upstream_failed",
    }


def test_a_full_refresh_takes_the_large_build_however_little_landed(tasks: ModuleType) -> None:
    from storehouse.orchestrate.landing import size

    assert size.function([{"orders": 1}], {"full_refresh": True}) == "dbt.build_large"
    assert size.function([{"orders": 1}], {"full_refresh": False}) == "dbt.build"
