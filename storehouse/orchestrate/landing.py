"""Landing on Airflow: the task group that waits for a part of a source and lands it, and what follows from how much."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Param, TriggerRule, task, task_group

from extract_load import in_use, load, partitions, reconcile
from storehouse.core.settings import settings
from storehouse.core.task_names import BUILD, LARGE_BUILD
from storehouse.orchestrate.defaults import SOURCES_POOL, build_params, no_vain_retries
from storehouse.orchestrate.readiness import WaitForSource


def parts(*sources: str) -> list[str]:
    """The parts of these sources that get a task each, such as `shop` and `marketplace/eu`; none of an unset source."""
    chosen = [source for source in sources if source in in_use()]
    return ["/".join(filter(None, (source, part))) for source in chosen for part in partitions(source)]


def params(*sources: str) -> dict[str, Param]:
    """The form of a run by hand: what is landed, and what dbt builds."""
    known = parts(*sources)
    time = {"type": ["null", "string"], "format": "date-time"}
    return {
        "from": Param(None, **time, description="Land again from here (with `until`); else where the last load ended."),
        "until": Param(None, **time, description="Land up to here; else to the end of the run's interval."),
        "parts": Param(known, type="array", items={"enum": known}, description="Land only these."),
        **build_params(),
    }


@task(map_index_template="{{ task.op_kwargs.part }}", multiple_outputs=False, pool=SOURCES_POOL)
def extract_load(
    part: str,
    data_interval_end: datetime | None = None,
    dag_run: Any = None,
    params: Any = None,
) -> dict[str, int]:
    """Land a part, and once a day what reconciliation finds; returns rows by table. Safe to repeat."""
    source, _, partition = part.partition("/")
    rows = Counter[str]()
    from_, until = (params[name] and datetime.fromisoformat(params[name]) for name in ("from", "until"))
    run_id = f"{dag_run.dag_id} {dag_run.run_id}"
    with no_vain_retries():
        for landed in load(source, from_, until or data_interval_end, partition=partition or None, run_id=run_id):
            rows[landed.table] += landed.rows
        for found in reconcile(source, is_due=True, run_id=run_id):
            if found.load:
                rows[found.load.table] += found.load.rows
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
    """Choose the small build or the large one, by the rows that landed. A source that is away counts as none."""
    if (params or {}).get("full_refresh"):
        return LARGE_BUILD  # it reads all that ever landed
    # Of a run that landed one part alone, Airflow gives that part's counts, not a list with them.
    counts = [landed] if isinstance(landed, dict) else landed or ()
    rows = sum(sum(tables.values()) for tables in counts if tables)
    return LARGE_BUILD if rows >= settings().large_load_rows else BUILD
