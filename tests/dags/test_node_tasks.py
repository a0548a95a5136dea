"""What a dbt node's task does with what the build says of it, and with what it does not say."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import psycopg
import pytest
from houses import House

BEGAN = datetime(2026, 1, 2, 3, tzinfo=UTC)
BEFORE, AFTER = BEGAN - timedelta(minutes=1), BEGAN + timedelta(minutes=1)
TRY_LASTS = timedelta(hours=12)
ORDERS = "model.storehouse.fct_orders"


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
    results: dict[str, tuple[str, datetime]] | None = None,
    parent: str | None = "success",
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
        states={"dbt.build": build, "dbt.fct_payments": parent, "dbt.fct_orders": "deferred"},
        results={name: watch.Result(status, "said", at) for name, (status, at) in (results or {}).items()},
    )
    event = trigger._decide(look, is_alone)
    return event and getattr(event, "task_instance_state", event.payload)


@pytest.mark.parametrize(
    ("status", "becomes"), [("success", "success"), ("skipped", "skipped"), ("failed", {"message": "said"})]
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
    recorder.finish()
    results = node_results.read("shop_elt", "a run")
    assert (results[ORDERS].status, results["tests"].status) == expected
    assert set(results) == {ORDERS, "tests", "build"}
    node_results.begin("shop_elt", "a run")
    assert node_results.read("shop_elt", "a run") == {}


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
        asyncio.run(look_twice(watch))
    (told,) = caplog.records
    assert "statement timeout" in told.message and "each node's task builds again" in told.message
    asyncio.run(look_twice(watch))
    assert caplog.records == [told]


async def look_twice(watch: ModuleType) -> None:
    async with watch.Look.at("shop_elt", "a run", "dbt") as look:
        await look.next()
        await look.next()
