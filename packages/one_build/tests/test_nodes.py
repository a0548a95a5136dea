"""What a dbt node's task does with what the build says of it, and with what it does not say."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import psycopg
import pytest
from one_build import plugin
from one_build import results as node_results
from one_build.results import Recorder
from one_build.site import Site

BEGAN = datetime(2026, 1, 2, 3, tzinfo=UTC)
BEFORE, AFTER = BEGAN - timedelta(minutes=1), BEGAN + timedelta(minutes=1)
TRY_LASTS = timedelta(hours=12)
TIMED = {"began_ms": int(BEGAN.timestamp() * 1000), "took_ms": 3000}
ORDERS, PAYMENTS = "model.jaffle_shop.fct_orders", "model.jaffle_shop.fct_payments"


Connect = Callable[[], psycopg.Connection]


@dataclass(frozen=True)
class OneDatabase(Site):
    """Results in the test's own database."""

    tags_left_out = frozenset({"audit"})
    conninfo: ClassVar[str] = ""

    @classmethod
    def connect(cls, results: str) -> psycopg.Connection:
        return psycopg.connect(cls.conninfo, autocommit=True)


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The module; Airflow, which it imports, gets a home of the test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        from one_build import watch

        return watch


@pytest.fixture
def connect(database: str, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Leads to an empty database of the test's own, where a build has begun."""
    monkeypatch.setattr(OneDatabase, "conninfo", database)
    node_results.begin(where, "jaffle_shop", "a run")
    return where


def where() -> psycopg.Connection:
    return OneDatabase.connect("")


def recorder_at(tmp_path: Path) -> Recorder:
    return Recorder(OneDatabase(None, None), "jaffle_shop", "a run", tmp_path, MANIFEST)


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
            name: watch.Result(status, *said or ["said"], at, BEGAN, BEGAN + timedelta(seconds=3))
            for name, (status, at, *said) in (results or {}).items()
        },
    )
    event = trigger._decide(look, is_alone)
    return event and getattr(event, "task_instance_state", event.payload)


@pytest.mark.parametrize(
    ("status", "becomes"), [("success", "success"), ("skipped", None), ("failed", {"message": "said", "timing": TIMED})]
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
    for build in ("failed", "upstream_failed", "skipped"):
        assert decide(watch, build=build) == "skipped"


def test_the_tests_fail_with_a_build_that_failed_since_airflow_judges_a_run_by_its_last_tasks(
    watch: ModuleType,
) -> None:
    for build, fails in (("failed", True), ("upstream_failed", True), ("skipped", False)):
        ended = decide(watch, build=build, orders="skipped", parent="skipped", node="tests")
        assert (ended != "skipped" and ended["is_unreached"]) == fails, build


def test_a_cleared_task_runs_alone_after_all_that_it_stands_on(watch: ModuleType) -> None:
    old = {ORDERS: ("failed", BEFORE), "build": ("success", BEFORE)}
    for parent, becomes in (
        ("success", {"message": None, "timing": None}),
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
        ("success", "success", {"message": None, "timing": None}),  # it ran alone, and said so
        ("failed", "failed", "skipped"),
        # It ended well, then the build was killed, and the next one failed at it.
        ("success", "failed", {"message": "Not built: dbt.fct_payments did not succeed. "
                               "Clear it together with what stands on it.", "timing": None}),
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
    for said, becomes in (("Got 3 results", "skipped"), ("deadlock detected", {"message": None, "timing": None})):
        results = after_a_build("skipped", "success", "failed", said)
        assert decide(watch, build="success", results=results) == becomes


@pytest.mark.parametrize("status", ["skipped", "failed"])
def test_tests_that_were_skipped_or_met_trouble_run_alone_when_every_node_is_well_and_only_then(
    watch: ModuleType, status: str
) -> None:
    unreached = {
        "message": "Not built, because these failed: dbt.fct_payments.",
        "timing": None,
        "is_unreached": True,
    }
    for orders, becomes in (("success", {"message": None, "timing": None}), ("running", None), ("failed", unreached)):
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
    assert decide(watch, build="success", results=results) == {"message": None, "timing": None}


def test_the_tests_end_last(watch: ModuleType) -> None:
    results = {"tests": ("success", AFTER)}
    assert decide(watch, results=results, node="tests") is None
    assert decide(watch, build="success", results=results, node="tests") is None  # fct_orders is deferred still


STARTED, FINISHED = "2026-01-02T03:04:05.100000", "2026-01-02T03:04:05.600000"  # dbt's are in UTC
MANIFEST = {
    "nodes": {
        "test.one": {"resource_type": "test", "depends_on": {"nodes": [ORDERS]}, "tags": []},
        "test.both": {"resource_type": "test", "depends_on": {"nodes": [ORDERS, "model.other"]}, "tags": []},
        "test.source": {"resource_type": "test", "depends_on": {"nodes": ["source.raw.orders"]}, "tags": []},
        "test.audit": {"resource_type": "test", "depends_on": {"nodes": [ORDERS]}, "tags": ["audit"]},
    }
}


def finished(unique_id: str, status: str, message: str = "") -> SimpleNamespace:
    """dbt's event."""
    kind, name = unique_id.split(".")[0], unique_id.split(".")[-1]
    times = {} if status == "skipped" else {"node_started_at": STARTED, "node_finished_at": FINISHED}
    times = {"node_started_at": "", "node_finished_at": ""} | times
    node = SimpleNamespace(unique_id=unique_id, resource_type=kind, node_name=name, **times)
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
        ([("fail", "test.source"), ("skipped", ORDERS), ("skipped", "test.one")], ("skipped", "failed")),
        ([("error", ORDERS), ("skipped", "test.one"), ("skipped", "test.both")], ("failed", "skipped")),
        ([("skipped", ORDERS), ("skipped", "test.one"), ("skipped", "test.both")], ("skipped", "skipped")),
    ],
)
def test_a_nodes_result_is_its_own_and_that_of_the_tests_about_it_alone(
    connect: Connect, tmp_path: Path, events: list, expected: tuple[str, str]
) -> None:
    recorder = recorder_at(tmp_path)
    for status, unique_id in events:
        recorder(finished(unique_id, status))
    recorder(finished("exposure.jaffle_shop.a_dashboard", "skipped"))
    recorder.finish()
    results = node_results.read(connect, "jaffle_shop", "a run")
    assert (results[ORDERS].status, results["tests"].status) == expected
    assert set(results) == {ORDERS, "tests", "build"}
    node_results.begin(connect, "jaffle_shop", "a run")
    assert node_results.read(connect, "jaffle_shop", "a run") == {}


def test_what_failed_is_told_first(connect: Connect, tmp_path: Path) -> None:
    recorder = recorder_at(tmp_path)
    recorder(finished(ORDERS, "success", "SELECT 99"))
    recorder(finished("test.one", "fail", "Got 3 results"))
    recorder.finish()
    message = node_results.read(connect, "jaffle_shop", "a run")[ORDERS].message
    assert message.splitlines() == ["one failed in 0.50 s: Got 3 results", "fct_orders: SELECT 99 in 0.50 s"]


def test_trouble_that_may_pass_is_not_told_beside_a_failed_test(connect: Connect, tmp_path: Path) -> None:
    for failures, told in (
        (["deadlock detected"], "deadlock detected"),
        (["deadlock detected", "Got 3 results"], "Got 3 results"),
    ):
        node_results.begin(connect, "jaffle_shop", "a run")
        recorder = recorder_at(tmp_path)
        for number, message in enumerate(failures):
            recorder(finished(f"test.many_{number}", "error", message))
        recorder.finish()
        said = node_results.read(connect, "jaffle_shop", "a run")["tests"].message
        assert told in said and (len(failures) == 1 or "deadlock" not in said)


def test_a_result_is_not_told_before_the_nodes_tests_have_ended(connect: Connect, tmp_path: Path) -> None:
    recorder = recorder_at(tmp_path)
    recorder(finished(ORDERS, "success"))
    assert ORDERS not in node_results.read(connect, "jaffle_shop", "a run")
    recorder(finished("test.one", "pass"))
    result = node_results.read(connect, "jaffle_shop", "a run")[ORDERS]
    assert result.status == "success"
    assert (result.finished_at - result.started_at).total_seconds() == 0.5


def test_the_tasks_hear_together_of_what_the_build_says_and_at_once_of_its_end(
    watch: ModuleType, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "TELL_EVERY", 3600)
    monkeypatch.setattr(watch.Look, "_read_states", lambda look: {"dbt.build": "running"})
    recorder = recorder_at(tmp_path)

    async def hear() -> tuple[bool, set[str]]:
        async with watch.Look.at("jaffle_shop", "a run", "dbt", OneDatabase) as look:
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
    watch: ModuleType, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse

    answers = iter([None, {"a run": {"dbt.build": "running"}}])

    def get_task_states(**_: object) -> dict:
        if answer := next(answers, {}):
            return answer
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))

    async def look_once() -> dict:
        async with watch.Look.at("jaffle_shop", "a run", "dbt", OneDatabase) as look:
            await look.next()
            return look.states

    monkeypatch.setattr(watch.RuntimeTaskInstance, "get_task_states", get_task_states)
    monkeypatch.setattr(watch, "IDLE_EVERY", 0.01)
    assert asyncio.run(look_once()) == {"dbt.build": "running"}
    monkeypatch.setattr(watch, "PATIENCE", 0)
    with pytest.raises(RuntimeError, match="can't be looked up"):
        asyncio.run(look_twice(watch))


def test_a_warehouse_that_is_away_or_hangs_is_told_once_and_asked_again(
    watch: ModuleType, connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch.Look, "_read_states", lambda look: {"dbt.build": None})
    monkeypatch.setattr(watch, "IDLE_EVERY", 0.01)
    monkeypatch.setattr(node_results, "STATEMENT_WITHIN", 1)
    with where() as other, other.transaction():
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
    async with asyncio.timeout(within), watch.Look.at("jaffle_shop", "a run", "dbt", OneDatabase) as look:
        await look.next()
        await look.next()


@pytest.mark.parametrize(("conf", "shown"), [({}, "upstream_failed"), ({"selection": "fct_payments"}, "skipped")])
def test_what_a_failed_test_about_several_nodes_kept_from_being_built_shows_it(
    watch: ModuleType, monkeypatch: pytest.MonkeyPatch, conf: dict, shown: str
) -> None:
    from airflow.sdk import DAG, BaseOperator

    monkeypatch.setattr(plugin, "object_session", lambda _: None)
    states = {"dbt.build_large": "skipped", "dbt.fct_orders": "skipped", "dbt.tests": "failed", "publish": "skipped"}
    operators = {"dbt.build_large": "DbtBuild", "publish": "PythonOperator"}
    tasks = [
        SimpleNamespace(task_id=name, map_index=-1, state=state, operator=operators.get(name, "DbtNodeTask"))
        for name, state in states.items()
    ]
    upstream = {"publish": {"dbt.tests"}, "dbt.fct_orders": {"dbt.build_large"}, "dbt.tests": {"dbt.fct_orders"}}
    with DAG("jaffle_shop", schedule=None) as dag:
        drawn = {name: BaseOperator(task_id=name) for name in states}
        for name, parents in upstream.items():
            drawn[name].set_upstream([drawn[parent] for parent in parents])
    # A task of a run of before, which the DAG has not any more.
    tasks.append(SimpleNamespace(task_id="dbt.gone", map_index=-1, state="skipped", operator="DbtNodeTask"))
    run = SimpleNamespace(conf=conf, dag=dag, deadlines=[], get_task_instances=lambda session: tasks)
    plugin.Listener().on_dag_run_failed(run, "")
    assert {task.task_id: task.state for task in tasks} == states | {
        "dbt.fct_orders": shown,
        "dbt.gone": shown,
        "publish": "upstream_failed",
    }


def test_a_second_group_in_a_dag_is_refused_in_words(watch: ModuleType, tmp_path: Path) -> None:
    from airflow.sdk import DAG, TaskGroup
    from cosmos import ProfileConfig, ProjectConfig
    from one_build.tasks import DbtBuild, dbt_build

    project = Path(__file__).parent.parent / "integration"
    manifest = tmp_path / "manifest.json"
    manifest.write_text('{"nodes": {}, "sources": {}, "exposures": {}}')
    site = Site(
        ProjectConfig(project, manifest_path=manifest),
        ProfileConfig("jaffle_shop", "dev", profiles_yml_filepath=project / "profiles.yml"),
    )
    with DAG("jaffle_shop", schedule=None), TaskGroup("dbt"):
        DbtBuild(task_id="build", site=site, select=[], exclude=[])
        with pytest.raises(ValueError, match="jaffle_shop has a dbt_build already"):
            dbt_build(site, "again")


def test_the_results_are_reached_by_tls_as_the_connection_says(
    watch: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    from one_build import site

    monkeypatch.setenv("AIRFLOW_CONN_RESULTS", "postgres://me:secret@db:5432/results?sslmode=verify-full")
    assert "sslmode=verify-full" in site._conninfo("results").split()
