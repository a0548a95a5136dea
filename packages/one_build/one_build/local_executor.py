"""Airflow's LocalExecutor, with one thing more: a task that a killed worker took along is queued again."""

from airflow.executors import local_executor
from airflow.models.taskinstance import TaskInstance


class LocalExecutor(local_executor.LocalExecutor):
    """Without `revoke_task` the scheduler leaves such a task in `queued` for good, and its DAG stands still."""

    def revoke_task(self, *, ti: TaskInstance) -> None:
        """Forget a task that did not start within `scheduler.task_queued_timeout`; the scheduler queues it again.

        Should the old one start after all, the API lets only one of the two run.
        """
        self.queued_tasks.pop(ti.key, None)
        self.running.discard(ti.key)
