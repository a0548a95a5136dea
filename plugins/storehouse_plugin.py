"""What this project adds to Airflow's own processes.

The deadline's reference is registered, and a run's deadline counts while it runs.
And `make airflow`, where whoever reaches the port is an administrator, answers to the names of this machine only: else
any web page could have its own name lead here, and send the reader's browser (DNS rebinding).
"""

import os
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from airflow.listeners import hookimpl
from airflow.models import DagRun
from airflow.plugins_manager import AirflowPlugin
from starlette.middleware.trustedhost import TrustedHostMiddleware

from storehouse.core.settings import LOCAL_HOSTS, settings
from storehouse.orchestrate.notices import NEVER, RunStarts


class Listener:
    """Called in the scheduler."""

    @hookimpl
    def on_dag_run_running(self, dag_run: DagRun, msg: str) -> None:
        """From now on it may become late."""
        _set_deadline(dag_run, datetime.now(UTC) + timedelta(hours=settings().late_hours))

    @hookimpl
    def on_dag_run_failed(self, dag_run: DagRun, msg: str) -> None:
        """Until it is cleared and starts again it can't become late."""
        _set_deadline(dag_run, NEVER)


def _set_deadline(dag_run: DagRun, when: datetime) -> None:
    for deadline in dag_run.deadlines:
        if not deadline.missed:
            deadline.deadline_time = when


class Storehouse(AirflowPlugin):
    """The plugin."""

    name = "storehouse"
    listeners: ClassVar[list] = [Listener()]
    deadline_references: ClassVar[list] = [RunStarts]
    fastapi_root_middlewares: ClassVar[list] = [
        {"name": "hosts", "middleware": TrustedHostMiddleware, "args": [], "kwargs": {"allowed_hosts": LOCAL_HOSTS}}
    ] * ("STOREHOUSE_LOCAL" in os.environ)
