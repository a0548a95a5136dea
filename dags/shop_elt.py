"""
### The shop, from its sources to the marts

`land`, mapped over the sources: `wait` → `extract_load`; then `dbt`, a task a node; then `report`.

The interval's end bounds extraction, and only that: every load starts where the ledger says the last one ended,
so a skipped, repeated or overlapping interval leaves no hole. A run without a date lands all there is.
"""

import logging
from collections import Counter
from datetime import datetime, timedelta

from airflow.sdk import CronDataIntervalTimetable, dag, task, task_group

from extract_load import load
from storehouse.dbt_tasks import dbt_build
from storehouse.readiness import WaitForSource
from storehouse.settings import settings
from storehouse.summary import summarise

# The demo shop has a clock of its own: it is run by hand.
DAILY = None if settings().is_demo else CronDataIntervalTimetable("0 0 * * *", timezone="UTC")


@dag(
    schedule=DAILY,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    tags=["shop", "elt"],
    doc_md=__doc__,
    default_args={
        "owner": "data-engineering",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=10),
        "execution_timeout": timedelta(hours=1),
    },
)
def shop_elt() -> None:
    """The picture of the pipeline."""

    @task(map_index_template="{{ task.op_kwargs.source }}", multiple_outputs=False)
    def extract_load(
        source: str, data_interval_end: datetime | None = None, run_id: str | None = None
    ) -> dict[str, int]:
        rows = Counter[str]()
        for landed in load(source, until=data_interval_end, run_id=run_id):
            rows[landed.table] += landed.rows
        return dict(rows)

    @task_group
    def land(source: str) -> None:
        wait = WaitForSource(task_id="wait", source=source, timeout=timedelta(hours=6))
        wait >> extract_load(source=source)

    @task
    def report(run_id: str | None = None) -> None:
        logging.getLogger(__name__).info("%s", summarise(run_id))

    land.expand(source=settings().sources) >> dbt_build() >> report()


shop_elt()
