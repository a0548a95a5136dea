"""What every DAG has in common: its intervals, what is tried again, when it is late, who is told, and its pools."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import psycopg
from airflow.sdk import CronDataIntervalTimetable, Param
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.log import mask_secret

from extract_load import is_demo
from storehouse.core import lineage
from storehouse.core.errors import StorehouseError, TransientError, said_by, unexpected
from storehouse.core.progress import bind, interval
from storehouse.core.selection import PATTERN
from storehouse.core.settings import settings
from storehouse.core.shown import secrets
from storehouse.orchestrate import notices

CRONS = {"hourly": "0 * * * *", "daily": "0 0 * * *"}
# Created by `make airflow`; elsewhere: `airflow pools import storehouse/orchestrate/pools.json`.
BUILDS_POOL, MAINTENANCE_POOL, SOURCES_POOL = "builds", "maintenance", "sources"
# No message of ours shows a secret, but a library's error might: Airflow masks these in its logs.
for _secret in secrets():
    mask_secret(_secret)
LATE_AFTER = timedelta(hours=settings().late_hours)


def name_the_run(context: Any) -> None:
    """A task's `pre_execute`: each line of its log has the run, as the ledger of loads names it, and the interval."""
    run = context["dag_run"]
    read = interval(run.data_interval_start, run.data_interval_end)
    bind(run=f"{run.dag_id} {run.run_id}", interval=read)
    lineage.become_child_of(lambda: as_airflow_names(context["ti"]))


def as_airflow_names(ti: Any) -> tuple[lineage.Named, lineage.Named]:
    """A task's run, and the run of its DAG, as Airflow's own integration tells OpenLineage of them."""
    from airflow.providers.openlineage.plugins import macros as named

    of_task = named.lineage_job_namespace(), named.lineage_job_name(ti), named.lineage_run_id(ti)
    of_dag = named.lineage_root_job_namespace(ti), named.lineage_root_job_name(ti), named.lineage_root_run_id(ti)
    return lineage.Named(*of_task), lineage.Named(*of_dag)


TASK_DEFAULTS = {
    "owner": "data-engineering",
    # Not tried again: an error of ours that is not transient. It raises AirflowFailException (`no_vain_retries`).
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    # A task has no deadline alert in Airflow 3.3: this is its form, and the notice says that it was stopped.
    "execution_timeout": timedelta(hours=1),
    "pre_execute": name_the_run,
    "on_failure_callback": notices.failed,
    "on_retry_callback": notices.stopped,
}
# A DAG's own arguments. Old intervals are safe to run too: a load starts where the ledger ends, whatever the interval.
DAG_DEFAULTS: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1),
    "catchup": False,
    "max_active_runs": 1,
    "dagrun_timeout": timedelta(hours=12),
    "default_args": TASK_DEFAULTS,
    "deadline": DeadlineAlert(
        reference=notices.RunStarts(),
        interval=LATE_AFTER,
        callback=AsyncCallback(notices.late, kwargs={"after": str(LATE_AFTER)}),
    ),
    "on_failure_callback": notices.run_failed,
    "on_success_callback": notices.recovered,
}


def every(schedule: str) -> CronDataIntervalTimetable | None:
    """The intervals of `hourly`, `daily` or a cron line, in UTC; None for the demo shop: it has a clock of its own."""
    if is_demo():
        return None
    return CronDataIntervalTimetable(CRONS.get(schedule, schedule), timezone="UTC")


def build_params() -> dict[str, Param]:
    """The form of a run by hand: what dbt builds."""
    return {
        "full_refresh": Param(False, type="boolean", description="Build from all of raw, not from what changed."),
        "selection": Param(
            "", type="string", pattern=PATTERN, description="Build only these of the DAG's models, as dbt selects."
        ),
    }


@contextmanager
def no_vain_retries() -> Iterator[None]:
    """Within, only what may help is tried again: an error of ours that is not transient fails the task for good.

    An unexpected error is tried again too, but without its words: Airflow would log them, and they may quote a record.
    """
    try:
        yield
    except (TransientError, AirflowException):
        raise
    except StorehouseError as error:
        raise AirflowFailException(str(error)) from error
    except psycopg.Error as error:
        raise TransientError(f"The warehouse: {said_by(error)}") from None
    except Exception as error:
        raise AirflowException(unexpected(error)) from None
