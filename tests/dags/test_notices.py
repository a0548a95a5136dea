"""Notices to people: one for each failure, one for each recovery, and none that is not true."""

import asyncio
import importlib
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace

import pytest
import structlog
from airflow_scene import Notices, web_hook

from storehouse.core.settings import settings

START = datetime(2026, 1, 2, tzinfo=UTC)
RUN = "scheduled__2026-01-03"


@pytest.fixture(scope="module")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        yield


@pytest.fixture
def notices(
    airflow_home: None, configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """The module, a web hook that it sends to, and a memory in place of Airflow's variables."""
    remembered: dict[str, str] = {}
    memory = SimpleNamespace(
        get=lambda key, default: remembered.get(key, default),
        set=lambda key, value, description: remembered.update({key: value}),
        delete=remembered.pop,
    )
    with web_hook() as url:
        configure(NOTIFY_URL=url, LATE_HOURS=4)
        module = importlib.import_module("storehouse.orchestrate.notices")
        monkeypatch.setattr(module, "Variable", memory)
        yield module


@pytest.fixture
def dag(notices: ModuleType) -> object:
    """A DAG with the rules of the house."""
    from airflow.sdk import DAG, BaseOperator

    from storehouse.orchestrate.defaults import DAG_DEFAULTS
    from storehouse.orchestrate.report import report

    with DAG("shop_elt", **DAG_DEFAULTS) as dag:
        BaseOperator(task_id="publish") >> report()
    return dag


def told() -> list[str]:
    """The titles of what was sent since one asked last."""
    titles = [notice["title"] for notice in Notices.received]
    Notices.received.clear()
    return titles


def words() -> str:
    """The one notice that was sent since one asked last."""
    (notice,) = Notices.received
    Notices.received.clear()
    return f"{notice['title']}\n{notice['message']}"


def of_server(task_id: str, map_index: int = -1) -> tuple:
    """A task and its run, as Airflow's server tells of them."""
    from airflow.api_fastapi.execution_api.datamodels.taskinstance import DagRun, TaskInstance, TIRunContext

    run = DagRun(
        dag_id="shop_elt",
        run_id=RUN,
        logical_date=START,
        data_interval_start=START,
        data_interval_end=START + timedelta(days=1),
        run_after=START + timedelta(days=1),
        start_date=START,
        end_date=None,
        run_type="scheduled",
        state="running",
        consumed_asset_events=[],
        partition_key=None,
    )
    place = {"dag_id": "shop_elt", "run_id": RUN, "task_id": task_id, "map_index": map_index}
    task = TaskInstance(id=uuid.uuid4(), dag_version_id=uuid.uuid4(), try_number=1, **place)
    return task, run, TIRunContext(dag_run=run, max_tries=2)


def end(
    dag: object, task_id: str, error: BaseException, kind: str = "on_failure_callback", map_index: int = -1
) -> None:
    """A task ends in its worker, as Airflow's task runner lets it."""
    from airflow.sdk.execution_time import task_runner

    task, _, context = of_server(task_id, map_index)
    running = task_runner.RuntimeTaskInstance.model_construct(
        **task.model_dump(), task=dag.get_task(task_id), _ti_context_from_server=context
    )
    context = running.get_template_context()
    context["exception"] = error
    task_runner._run_task_state_change_callbacks(running.task, kind, context, structlog.get_logger())


def call_back(dag: object, what: str, **more: object) -> None:
    """Airflow's DAG processor calls back."""
    from airflow.callbacks import callback_requests
    from airflow.dag_processing.processor import _execute_callbacks

    place = {"filepath": "shop_elt.py", "bundle_name": "dags-folder", "bundle_version": None}
    request = getattr(callback_requests, what)(**place, **more)
    _execute_callbacks(SimpleNamespace(dags={"shop_elt": dag}), [request], structlog.get_logger())


def end_run(dag: object, reason: str) -> None:
    """A run ends, the scheduler asks for what the DAG says then."""
    from airflow.callbacks.callback_requests import DagRunContext

    task, run, _ = of_server("publish")
    context = DagRunContext(dag_run=run, last_ti=task)
    more = {"is_failure_callback": reason != "success", "msg": reason, "context_from_server": context}
    call_back(dag, "DagCallbackRequest", dag_id="shop_elt", run_id=RUN, **more)


def test_a_task_that_fails_tells_what_where_and_what_to_do(dag: object) -> None:
    end(dag, "publish", ValueError("first\nsecond DETAIL:  (ada@example.com,\nAda)\nthird"), map_index=0)
    notice = words()
    assert notice.startswith(
        "shop_elt failed: publish[0]\nError: first second\nInterval: 2026-01-02 00:00 to 2026-01-03"
    )
    assert f"/runs/{RUN}/tasks/publish" in notice and "runbook.md#a-task-failed" in notice


def test_a_worker_that_was_killed_is_told_in_honest_words_and_only_when_the_task_is_given_up(dag: object) -> None:
    task, _, context = of_server("publish")
    for becomes in ("up_for_retry", "failed"):
        assert told() == []
        call_back(dag, "TaskCallbackRequest", ti=task, task_callback_type=becomes, context_from_server=context)
    assert "shop_elt failed: publish\nError: the worker ended without a word" in words()


def test_a_task_that_takes_too_long_is_told_at_each_try(dag: object) -> None:
    from airflow.sdk.exceptions import AirflowTaskTimeout

    end(dag, "publish", AirflowTaskTimeout("Timeout, PID: 7"), "on_retry_callback")
    late = words()
    assert late.startswith("shop_elt is late: publish\nError: not done within 1:00:00, its execution_timeout")
    assert "It is tried again." in late
    end(dag, "publish", ConnectionError("lost"), "on_retry_callback")
    assert told() == []
    end(dag, "publish", AirflowTaskTimeout("Timeout, PID: 7"))
    assert words().startswith("shop_elt failed: publish\nError: not done within 1:00:00, its execution_timeout")


def test_the_report_tells_of_its_own_failure_and_not_again_of_others(dag: object, notices: ModuleType) -> None:
    end(dag, "report", notices.Told("2 tasks did not succeed: publish, size"))
    assert told() == []
    end(dag, "report", ConnectionError("the warehouse is away"))
    assert words().startswith("shop_elt failed: report\nError: the warehouse is away")


def test_a_run_that_was_stopped_is_told_and_one_whose_tasks_told_is_not(dag: object) -> None:
    end_run(dag, "task_failure")
    assert told() == []
    end_run(dag, "timed_out")
    notice = words()
    assert notice.startswith("shop_elt failed: the run\nError: not done within 12:00:00, and stopped")
    assert "It was at: publish" in notice and "Interval: 2026-01-02" in notice


def test_a_recovery_is_told_once_and_only_after_a_failure_that_was_told(
    dag: object, configure: Callable[..., None]
) -> None:
    end_run(dag, "success")
    assert told() == []
    for how in ("task", "run"):
        end(dag, "publish", ValueError("broken")) if how == "task" else end_run(dag, "timed_out")
        end_run(dag, "success")
        end_run(dag, "success")
        assert told()[1:] == ["shop_elt is well again"], how
    url = settings().notify_url
    configure(NOTIFY_URL="")
    end(dag, "publish", ValueError("nobody hears it"))
    configure(NOTIFY_URL=url)
    end_run(dag, "success")
    assert told() == []


@pytest.mark.parametrize(("state", "titles"), [("running", ["shop_elt is not done after 4:00:00"]), ("failed", [])])
def test_only_a_run_that_goes_on_is_late(notices: ModuleType, state: str, titles: list[str]) -> None:
    run = {"dag_id": "shop_elt", "dag_run_id": RUN, "state": state}
    asyncio.run(notices.late(context={"dag_run": run}, after="4:00:00"))
    assert told() == titles


def test_a_deadline_counts_while_its_run_runs(notices: ModuleType) -> None:
    from plugins import storehouse_plugin

    made = notices.RunStarts()._evaluate_with()
    open_, missed = (SimpleNamespace(deadline_time=made, missed=is_missed) for is_missed in (False, True))
    run = SimpleNamespace(deadlines=[open_, missed])
    for _ in range(2):  # the second time it was cleared
        storehouse_plugin.Listener().on_dag_run_running(run, "started")
        assert abs(open_.deadline_time - datetime.now(UTC) - timedelta(hours=4)) < timedelta(minutes=1)
        assert missed.deadline_time == made
        storehouse_plugin.Listener().on_dag_run_failed(run, "task_failure")
        assert open_.deadline_time == made > datetime.now(UTC) + timedelta(days=365)


def test_what_an_error_quotes_is_text_and_no_markup_of_the_service(
    notices: ModuleType, configure: Callable[..., None]
) -> None:
    configure(NOTIFY_URL=f"{settings().notify_url}/?format=html")
    notices.send("shop_elt failed", ["Error: <a href='https://evil.example'>clear it here</a>"])
    said = words()
    assert "<a " not in said and "&lt;a" in said
