"""Notices to people that something failed, is late, or succeeds again; by Apprise, to mail, Slack and many others.

The place is `NOTIFY_URL`, or the password of the Airflow connection `storehouse_notices`: a URL as Apprise reads it,
several with spaces between. Without either nothing is sent. A service that is dead is logged, and fails nothing.
"""

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Connection, Variable
from airflow.sdk.definitions.deadline import BaseDeadlineReference
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowNotFoundException,
    AirflowTaskTimeout,
    TaskDeferralTimeout,
)

from storehouse.core import runbook
from storehouse.core.errors import without_rows
from storehouse.core.notify import deliver
from storehouse.core.settings import settings
from storehouse.core.shown import without_secrets
from storehouse.core.task_names import DBT

CONNECTION = "storehouse_notices"
FIRST_WORDS = 300  # characters
NEVER = datetime(9000, 1, 1, tzinfo=UTC)
TIMED_OUT = (AirflowTaskTimeout, TaskDeferralTimeout)
# The runbook's entry where the error has none, by the last part of the task's name. Tasks of dbt's nodes have others.
ENTRIES = {
    "wait": "a-source-is-not-ready",
    "extract_load": "a-load-failed",
    "build": "dbt-could-not-run",
    "build_large": "dbt-could-not-run",
    "tests": "a-test-failed",
    "publish_marts": "the-marts-are-held-back",
    "audit": "the-audit-found-a-difference",
}

logger = logging.getLogger(__name__)


class Told(AirflowFailException):
    """A task fails because others failed, which have sent their notices: it sends none."""


def failed(context: Any) -> None:
    """A task's `on_failure_callback`: DAG, task, interval, the error's first two lines, log, runbook entry."""
    if isinstance(context.get("exception"), Told):
        return
    task = context["ti"]
    name = task.task_id.rpartition(".")[2]
    of_task = ENTRIES.get(name) or ("a-model-failed" if task.task_id.startswith(f"{DBT}.") else "a-task-failed")
    entry = runbook.entry(str(context.get("exception")), of_task)
    _tell_failure(task, _named(task), [f"Error: {_said(context)}", *_where(context, entry)])


def run_failed(context: Any) -> None:
    """A DAG's `on_failure_callback`: a notice of what no task can report, such as a run that took too long."""
    reason = context["reason"]
    if reason == "task_failure":
        return
    if reason == "timed_out":
        reason = f"not done within {context['dag'].dagrun_timeout}, and stopped: what was left of it is skipped"
    where = [f"Run: {context['run_id']}"]
    if task := context.get("ti"):
        where = [f"It was at: {_named(task)}", *_where(context, "a-run-is-late")]
    _tell_failure(context["dag"], "the run", [f"Error: {reason.replace('_', ' ')}", *where])


def stopped(context: Any) -> None:
    """A task's `on_retry_callback`: it was stopped at its `execution_timeout`, and is tried again.

    Airflow 3.3 has deadline alerts for runs only: for a task, its time-out and this notice are the alert.
    """
    if isinstance(context.get("exception"), TIMED_OUT):
        task = context["ti"]
        lines = [f"Error: {_said(context)}", "It is tried again.", *_where(context, "a-run-is-late")]
        send(f"{task.dag_id} is late: {_named(task)}", lines)


def recovered(context: Any) -> None:
    """A DAG's `on_success_callback`: a notice that it succeeds again, if a failure was reported before."""
    dag = context["dag"]
    if Variable.get(_memory(dag), default=None):
        Variable.delete(_memory(dag))
        send(f"{dag.dag_id} is well again", [f"Interval: {_interval(context)}", f"Run: {context['run_id']}"])


class RunStarts(BaseDeadlineReference):
    """The deadline counts from the run's start: plugins/storehouse_plugin.py sets it then, and it is far ahead before.

    Airflow has no such reference, and counts a backfill's runs, queued for days, as late. `DAGRUN_QUEUED_AT` would be
    wrong in the same way, and in 3.3 no task of such a DAG can be cleared (apache/airflow#70368).
    """

    def _evaluate_with(self, **_: object) -> datetime:
        return NEVER


async def late(context: Any, after: str) -> None:
    """A deadline alert's callback: a notice that a run is late. The run goes on."""
    run = context["dag_run"]
    if run["state"] == "running":
        lines = [f"Run: {run['dag_run_id']}", "It goes on.", f"Runbook: {settings().runbook_url}#a-run-is-late"]
        await asyncio.to_thread(send, f"{run['dag_id']} is not done after {after}", lines)


def send(title: str, lines: list[str]) -> bool:
    """Send a notice. Errors are logged and not raised. Returns True if there is anyone to send it to."""
    if urls := urls_of_notices():
        deliver(urls, title, lines)
    return bool(urls)


def urls_of_notices() -> list[str]:
    """Where notices go: `NOTIFY_URL`, or the connection's password. None where neither is, or Airflow does not say."""
    if url := settings().notify_url:
        return url.split()
    try:
        return str(Connection.get(CONNECTION).password or "").split()
    except AirflowNotFoundException:
        return []
    except Exception as error:
        logger.warning("The connection %s can't be read (%s)", CONNECTION, type(error).__name__)
        return []


def _tell_failure(of: Any, what: str, lines: list[str]) -> None:
    """`of`: the task or the DAG. An Airflow variable remembers the failure until the DAG succeeds again."""
    if send(f"{of.dag_id} failed: {what}", lines):
        Variable.set(_memory(of), "told", description="It failed, and that was told: its next success is told too.")


def _memory(of: Any) -> str:
    return f"storehouse_failed_{of.dag_id}"


def _named(task: Any) -> str:
    return task.task_id + (f"[{task.map_index}]" if task.map_index is not None and task.map_index >= 0 else "")


def _said(context: Any) -> str:
    error = context.get("exception")
    if error is None:
        return "the worker ended without a word: it was killed, ran out of memory, or its machine is gone"
    if isinstance(error, AirflowTaskTimeout):
        return f"not done within {context['task'].execution_timeout}, its execution_timeout, and stopped"
    if isinstance(error, TaskDeferralTimeout):
        return "it waited in the triggerer for longer than it may: see whether the triggerer is well"
    # dbt's first line says where the error is, its second line what it is.
    lines = [line.strip() for line in without_secrets(without_rows(str(error))).strip().splitlines()]
    return (" ".join(lines[:2]) or type(error).__name__)[:FIRST_WORDS]


def _where(context: Any, entry: str) -> list[str]:
    return [
        f"Interval: {_interval(context)}",
        f"Log: {context['ti'].log_url}",
        f"Runbook: {settings().runbook_url}#{entry}",
    ]


def _interval(context: Any) -> str:
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    return (
        f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC" if start and end else "none (run by hand, or by assets)"
    )
