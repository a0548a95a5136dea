"""Notices to people: that something failed, is late, or is well again. One provider, Apprise, for mail, Slack, ….

The place is `NOTIFY_URL`, or the password of the Airflow connection `storehouse_notices`: a URL as Apprise reads it,
several with spaces between. Without either nothing is sent. A service that is dead is logged, and fails nothing.
"""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.definitions.deadline import BaseDeadlineReference

from storehouse.settings import settings

CONNECTION = "storehouse_notices"
FIRST_WORDS = 300  # characters
# The runbook's entry for a task, by the end of its name; a node of dbt's graph has any name.
ENTRIES = {
    "wait": "a-source-is-not-ready",
    "extract_load": "a-load-failed",
    "build": "dbt-could-not-run",
    "build_large": "dbt-could-not-run",
    "tests": "a-test-failed",
    "audit": "the-audit-found-a-difference",
}

logger = logging.getLogger(__name__)


def failed(context: Any) -> None:
    """Airflow's `on_failure_callback`: DAG, task, interval, the error's first two lines, log, runbook entry."""
    task = context["ti"]
    name = task.task_id.rpartition(".")[2]
    entry = ENTRIES.get(name) or ("a-model-failed" if task.task_id.startswith("dbt.") else "a-task-failed")
    error = context.get("exception")
    # dbt says where in its first line, and what in the second. A database's DETAIL may have a person's data.
    lines = [line.strip() for line in str(error or "").strip().splitlines() if not line.strip().startswith("DETAIL")]
    said = " ".join(lines[:2]) or type(error).__name__
    where = f"[{task.map_index}]" if (task.map_index or -1) >= 0 else ""
    send(
        f"{task.dag_id} failed: {task.task_id}{where}",
        [
            f"Error: {said[:FIRST_WORDS]}",
            f"Interval: {_interval(context)}",
            f"Log: {task.log_url}",
            f"Runbook: {settings().runbook_url}#{entry}",
        ],
    )


def recovered(context: Any) -> None:
    """Say that a DAG that had failed is well again."""
    run = context["dag_run"]
    send(f"{run.dag_id} is well again", [f"Interval: {_interval(context)}", f"Run: {run.run_id}"])


class RunMade(BaseDeadlineReference):
    """The deadline counts from when the run was made.

    Airflow's own `DAGRUN_QUEUED_AT` would do, but in 3.3 no task of such a DAG can be cleared (apache/airflow#70368).
    """

    def _evaluate_with(self, **_: object) -> datetime:
        return datetime.now(UTC)


async def late(context: Any = None, after: str = "", **_: object) -> None:
    """A deadline alert's callback: a run is not done in time. It goes on."""
    run = (context or {}).get("dag_run") or {}
    known = run if isinstance(run, dict) else vars(run)
    lines = [f"Run: {known.get('run_id') or known.get('dag_run_id') or 'see Airflow'}"]
    lines += ["It goes on.", f"Runbook: {settings().runbook_url}#a-run-is-late"]
    await asyncio.to_thread(send, f"{known.get('dag_id', 'A run')} is not done after {after}", lines)


def send(title: str, lines: list[str]) -> None:
    """Send a notice; whatever goes wrong is logged, and only logged."""
    try:
        if not (urls := _urls()):
            return
        import apprise

        service = apprise.Apprise()
        if not service.add(urls) or not service.notify(title=title, body="\n".join(lines)):
            logger.warning("The notice did not reach every service: %s", title)
    except Exception:
        logger.warning("The notice was not delivered: %s", title, exc_info=True)


def _urls() -> list[str]:
    if url := settings().notify_url:
        return url.split()
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return (Connection.get(CONNECTION).password or "").split()
    except AirflowNotFoundException:
        return []


def _interval(context: Any) -> str:
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    return (
        f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC" if start and end else "none (run by hand, or by assets)"
    )
