"""Shows what a failed run did not reach as `upstream_failed`.

The tasks of dbt's nodes end in the triggerer, which knows success, failure and `skipped`. When a run has failed, its
scheduler gives each skipped task below a failed one the state that it would have had: so that "clear failed tasks"
takes it along.
"""

from typing import ClassVar

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin
from sqlalchemy.orm import object_session

BROKEN = {"failed", "upstream_failed"}


class Listener:
    """Called in the scheduler."""

    @hookimpl
    def on_dag_run_failed(self, dag_run: object, msg: str) -> None:
        """Mark them, in the scheduler's own session: another one would take its objects away from it."""
        found = dag_run.get_task_instances(session=object_session(dag_run))
        tasks = {task.task_id: task for task in found if task.map_index < 0}
        broken = {name for name, task in tasks.items() if task.state in BROKEN}
        for operator in dag_run.dag.topological_sort():
            task = tasks.get(operator.task_id)
            if task and task.state == "skipped" and operator.upstream_task_ids & broken:
                task.state = "upstream_failed"
                broken.add(operator.task_id)


class UpstreamFailed(AirflowPlugin):
    """The plugin."""

    name = "storehouse_upstream_failed"
    listeners: ClassVar[list] = [Listener()]
