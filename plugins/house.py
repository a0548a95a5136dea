"""What the house adds to Airflow's own processes.

The deadline's reference is registered, and a run's deadline counts while it runs. And what a failed run did not reach
shows as `upstream_failed`: the tasks of dbt's nodes end in the triggerer, which knows success, failure and `skipped`;
when a run has failed, its scheduler gives each skipped task below a failed one the state that it would have had, so
that "clear failed tasks" takes it along.
So it does to nodes below a failed test about several nodes: that test is in `tests`, which is drawn below all nodes.
And `make airflow`, where whoever reaches the port is an administrator, answers to the names of this machine only: else
any web page could have its own name lead here, and send the reader's browser (DNS rebinding).
"""

import os
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin
from sqlalchemy.orm import object_session
from starlette.middleware.trustedhost import TrustedHostMiddleware

from storehouse.core.settings import LOCAL_HOSTS, settings
from storehouse.core.task_names import BUILD, DBT, LARGE_BUILD, TESTS
from storehouse.orchestrate.notices import NEVER, RunStarts

BROKEN = {"failed", "upstream_failed"}


class Listener:
    """Called in the scheduler."""

    @hookimpl
    def on_dag_run_running(self, dag_run: object, msg: str) -> None:
        """From now on it may become late."""
        _set_deadline(dag_run, datetime.now(UTC) + timedelta(hours=settings().late_hours))

    @hookimpl
    def on_dag_run_failed(self, dag_run: object, msg: str) -> None:
        """Mark them, in the scheduler's own session: another one would take its objects away from it."""
        _set_deadline(dag_run, NEVER)  # until it is cleared and starts again
        found = dag_run.get_task_instances(session=object_session(dag_run))
        tasks = {task.task_id: task for task in found if task.map_index < 0}
        broken = {name for name, task in tasks.items() if task.state in BROKEN}
        # But for a selection, every node is due.
        if TESTS in broken and not (dag_run.conf or {}).get("selection"):
            nodes = {name for name in tasks if name.startswith(f"{DBT}.")} - {BUILD, LARGE_BUILD}
            for name in nodes:
                if tasks[name].state == "skipped":
                    tasks[name].state = "upstream_failed"
        upstream = {name: dag_run.dag.get_task(name).upstream_task_ids for name in tasks}
        while below := {name for name in tasks if tasks[name].state == "skipped" and upstream[name] & broken}:
            for name in below:
                tasks[name].state = "upstream_failed"
            broken |= below


def _set_deadline(dag_run: object, when: datetime) -> None:
    for deadline in dag_run.deadlines:
        if not deadline.missed:
            deadline.deadline_time = when


class House(AirflowPlugin):
    """The plugin."""

    name = "storehouse"
    listeners: ClassVar[list] = [Listener()]
    deadline_references: ClassVar[list] = [RunStarts]
    fastapi_root_middlewares: ClassVar[list] = [
        {"name": "hosts", "middleware": TrustedHostMiddleware, "args": [], "kwargs": {"allowed_hosts": LOCAL_HOSTS}}
    ] * ("STOREHOUSE_LOCAL" in os.environ)
