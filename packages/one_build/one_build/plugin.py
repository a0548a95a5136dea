"""What the scheduler does when a run ends, to the tasks of dbt's nodes: their dates, and `upstream_failed`.

A node's task waits from the start of the run, and Airflow counts that as its duration. When the run has ended, the task
gets the dates of its node: what `one_build.watch` and the worker left in an XCom.
What a failed run did not reach shows as `upstream_failed`: the tasks end in the triggerer, which knows success, failure
and `skipped`; so "clear failed tasks" takes along each skipped task below a failed one. It does so to nodes below a
failed test about several nodes too: that test is in `tests`, which is drawn below all nodes.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from airflow.listeners import hookimpl
from airflow.models import DagRun, TaskInstance
from airflow.models.xcom import XComModel
from airflow.plugins_manager import AirflowPlugin
from sqlalchemy import select
from sqlalchemy.orm import Session, object_session

NODE = "DbtNodeTask"  # as Airflow stores the name of the operator
TESTS, TIMING = "tests", "dbt_timing"
BROKEN = {"failed", "upstream_failed"}


class Listener:
    """Called in the scheduler, whose own session is used: another one would take its objects away from it."""

    @hookimpl
    def on_dag_run_success(self, dag_run: DagRun, msg: str) -> None:
        """Give the nodes' tasks the dates of their nodes."""
        _date(dag_run, _tasks(dag_run))

    @hookimpl
    def on_dag_run_failed(self, dag_run: DagRun, msg: str) -> None:
        """Mark what was not reached, and date likewise."""
        tasks = _tasks(dag_run)
        _mark(dag_run, tasks)
        _date(dag_run, tasks)


def _tasks(dag_run: DagRun) -> dict[str, TaskInstance]:
    session: Any = object_session(dag_run)
    found = dag_run.get_task_instances(session=session)
    return {task.task_id: task for task in found if task.map_index < 0}


def _date(dag_run: DagRun, tasks: dict[str, TaskInstance]) -> None:
    """Set start, end and duration of the nodes' tasks whose timing is known, and of this try."""
    nodes = {name for name, task in tasks.items() if task.operator == NODE}
    session: Session | None = object_session(dag_run)
    if not nodes or session is None:
        return
    timings = session.execute(
        select(XComModel.task_id, XComModel.value).where(
            XComModel.dag_id == dag_run.dag_id, XComModel.run_id == dag_run.run_id, XComModel.key == TIMING
        )
    )
    for row in timings:
        name, timing = row.task_id, XComModel.deserialize_value(row)
        task = tasks[name] if name in nodes else None
        if not task or not task.start_date or not task.end_date:
            continue
        began = datetime.fromtimestamp(timing["began_ms"] / 1000, UTC)
        # Else it is of a try before: the task was cleared, and ended without a word about its node.
        if began >= task.start_date.replace(microsecond=task.start_date.microsecond // 1000 * 1000):
            task.start_date, task.end_date = began, began + timedelta(milliseconds=timing["took_ms"])
            task.set_duration()


def _mark(dag_run: DagRun, tasks: dict[str, TaskInstance]) -> None:
    groups = {name.removesuffix(TESTS) for name, task in tasks.items() if task.operator == NODE and _is_tests(name)}
    if not groups:
        return
    broken = {name for name, task in tasks.items() if task.state in BROKEN}
    # But for a selection, every node is due.
    for group in groups:
        if group + TESTS in broken and not (dag_run.conf or {}).get("selection"):
            for name, task in tasks.items():
                if name.startswith(group) and task.operator == NODE and task.state == "skipped":
                    task.state = "upstream_failed"
    dag: Any = dag_run.dag
    # A run of before may have tasks that the DAG has not any more.
    upstream = {name: dag.get_task(name).upstream_task_ids for name in tasks if dag.has_task(name)}
    while below := {name for name in upstream if tasks[name].state == "skipped" and upstream[name] & broken}:
        for name in below:
            tasks[name].state = "upstream_failed"
        broken |= below


def _is_tests(name: str) -> bool:
    return name.rpartition(".")[2] == TESTS


class OneBuild(AirflowPlugin):
    """The plugin."""

    name = "one_build"
    listeners: ClassVar[list] = [Listener()]
