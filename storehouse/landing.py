"""What every DAG of the house has in common, and the task group that lands a part of a source."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import psycopg
from airflow.sdk import (
    AsyncCallback,
    CronDataIntervalTimetable,
    DeadlineAlert,
    Param,
    TriggerRule,
    task,
    task_group,
)
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.log import mask_secret
from one_build import results

from extract_load import load, partitions
from storehouse import node_results, notices
from storehouse.errors import StorehouseError, TransientError, said_by, unexpected
from storehouse.readiness import WaitForSource
from storehouse.selection import PATTERN
from storehouse.settings import settings
from storehouse.shown import secrets
from storehouse.summary import summarise

CRONS = {"hourly": "0 * * * *", "daily": "0 0 * * *"}
# Created by `make airflow`; elsewhere: `airflow pools import storehouse/pools.json`.
BUILDS, MAINTENANCE, SOURCES = "builds", "maintenance", "sources"
# What no message of ours shows, a library's error might: Airflow leaves it out of its logs.
for _secret in secrets():
    mask_secret(_secret)
LATE_AFTER = timedelta(hours=settings().late_hours)

DEFAULTS = {
    "owner": "data-engineering",
    # What can't pass by itself is not tried again: such an error fails for good (AirflowFailException).
    "retries": 2,
    "retry_delay": timedelta(seconds=30),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    # A task has no deadline alert in Airflow 3.3: this is its form, and the notice says that it was stopped.
    "execution_timeout": timedelta(hours=1),
    "on_failure_callback": notices.failed,
    "on_retry_callback": notices.stopped,
}
# Of the DAGs: safe to run for old intervals too, since a load starts where the ledger ends, whatever the interval.
RULES: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1),
    "catchup": False,
    "max_active_runs": 1,
    "dagrun_timeout": timedelta(hours=12),
    "default_args": DEFAULTS,
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
    if settings().is_demo:
        return None
    return CronDataIntervalTimetable(CRONS.get(schedule, schedule), timezone="UTC")


def parts(*sources: str) -> list[str]:
    """What is landed by a task of its own: `shop`, `marketplace/eu`, … of the sources that are set."""
    chosen = [source for source in sources if source in settings().sources]
    return ["/".join(filter(None, (source, part))) for source in chosen for part in partitions(source)]


def params(*sources: str) -> dict[str, Param]:
    """What a run by hand may ask for."""
    known = parts(*sources)
    time = {"type": ["null", "string"], "format": "date-time"}
    return {
        "from": Param(None, **time, description="Land again from here (with `until`); else where the last load ended."),
        "until": Param(None, **time, description="Land up to here; else to the end of the run's interval."),
        "parts": Param(known, type="array", items={"enum": known}, description="Land only these."),
        **build_params(),
    }


def build_params() -> dict[str, Param]:
    """What a run by hand may ask of dbt."""
    return {
        "full_refresh": Param(False, type="boolean", description="Build from all of raw, not from what changed."),
        "selection": Param(
            "", type="string", pattern=PATTERN, description="Build only these of the DAG's models, as dbt selects."
        ),
    }


@contextmanager
def no_vain_retries() -> Iterator[None]:
    """What can't pass by itself fails the task for good, in its own words; a TransientError is tried again.

    What nobody expected is tried again too, and keeps its words to itself: Airflow would log them, and they may quote a
    record.
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


@task(map_index_template="{{ task.op_kwargs.part }}", multiple_outputs=False, pool=SOURCES)
def extract_load(
    part: str,
    data_interval_end: datetime | None = None,
    dag_run: Any = None,
    params: dict[str, Any] | None = None,
) -> dict[str, int]:
    """Land a part; returns rows by table. Safe to repeat."""
    source, _, partition = part.partition("/")
    rows = Counter[str]()
    from_, until = (params[name] and datetime.fromisoformat(params[name]) for name in ("from", "until"))
    run_id = f"{dag_run.dag_id} {dag_run.run_id}"
    with no_vain_retries():
        for landed in load(source, from_, until or data_interval_end, partition=partition or None, run_id=run_id):
            rows[landed.table] += landed.rows
    return dict(rows)


@task_group
def land(part: str) -> Any:
    """Wait for a part of a source, then land it."""
    wait = WaitForSource(task_id="wait", source=part, timeout=timedelta(hours=settings().wait_hours))
    landed = extract_load(part=part)
    wait >> landed
    return landed


@task.branch(trigger_rule=TriggerRule.ALL_DONE, retries=2)
def size(landed: Any, params: dict[str, Any] | None = None) -> str:
    """The small build or the large one, by the rows to read. A source that stayed away holds nobody up."""
    if (params or {}).get("full_refresh"):
        return "dbt.build_large"  # it reads all that ever landed
    # Of a run that landed one part alone, Airflow gives that part's counts, not a list with them.
    counts = [landed] if isinstance(landed, dict) else landed or ()
    rows = sum(sum(tables.values()) for tables in counts if tables)
    return "dbt.build_large" if rows >= settings().large_load_rows else "dbt.build"


@task(trigger_rule=TriggerRule.ALL_DONE)
def report(ti: Any = None, dag_run: Any = None) -> None:
    """The summary of the run, which fails when anything in it did, or when what landed was not built."""
    counts = ti.xcom_pull(["dbt.build", "dbt.build_large", "dbt.tests"], key="tests")
    tests = max(filter(None, counts), key=lambda count: count["at"], default={})
    print(summarise(f"{dag_run.dag_id} {dag_run.run_id}", tests))
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])[ti.run_id]
    # A skipped task is well, unless the build had it in its selection; and every build that ends well is tested.
    unbuilt = node_results.unbuilt(dag_run.dag_id, dag_run.run_id)
    due = {"dbt.tests", *(f"dbt.{results.name(node)}" for node in unbuilt)}
    broken = {name for name, state in states.items() if state in ("failed", "upstream_failed")}
    if lacking := sorted(broken | {name for name in due if states.get(name) != "success"}):
        # What failed has told why.
        error = notices.Told if broken else AirflowFailException
        raise error(f"{len(lacking)} tasks did not succeed: {', '.join(lacking)}")
    if node_results.has_landed_since(dag_run.dag_id, dag_run.run_id):
        raise AirflowFailException(
            "What landed last came after the build. Clear the build with all below it, or leave it to the next run."
        )
