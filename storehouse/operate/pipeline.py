"""What became of a run of a pipeline, on the command line or on Airflow: a row in raw_operations, appended at its end.

`operations.pipeline_runs` shows the last run of each interval.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

import psycopg

from storehouse.core.databases import open_warehouse
from storehouse.core.errors import StorehouseError, said_by
from storehouse.core.progress import note, say


def record(
    pipeline: str,
    run_id: str,
    began: datetime | None,
    interval: tuple[datetime | None, datetime | None] = (None, None),
    *,
    broken: Sequence[str] = (),
    tasks: int | None = None,
    has_failed: bool = False,
) -> None:
    """Append the row of a run that ends now. That this can't be done is said, and fails nothing.

    Args:
        pipeline: the DAG, or `make run`.
        run_id: as in the ledger of loads, which says what it landed.
        began: when it did.
        interval: of the DAG's run, if it has one.
        broken: names of what failed: tasks, sources or nodes.
        tasks: how many the run has.
        has_failed: it failed though nothing of it did.
    """
    state = "failed" if broken or has_failed else "succeeded"
    words = f"{pipeline} {state}{': ' if broken else ''}{', '.join(broken)}"
    note(words, logging.INFO if state == "succeeded" else logging.ERROR, run=run_id)
    try:
        with open_warehouse("transform") as warehouse:
            warehouse.execute("set lock_timeout = '5s'")
            warehouse.execute(
                "insert into raw_operations.pipeline_runs (pipeline, run_id, interval_from, interval_until, state, "
                "tasks, broken_tasks, landed_rows, loads, started_at, ended_at) "
                "select %(pipeline)s, %(run_id)s, %(from)s, %(until)s, %(state)s, %(tasks)s, %(broken)s, "
                "coalesce(sum(rows), 0), count(*), coalesce(%(began)s, clock_timestamp()), clock_timestamp() "
                "from raw.loads where run_id = %(run_id)s",
                {
                    "pipeline": pipeline,
                    "run_id": run_id,
                    "from": interval[0],
                    "until": interval[1],
                    "state": state,
                    "tasks": tasks,
                    "broken": ", ".join(broken) or None,
                    "began": began,
                },
            )
    except (psycopg.Error, StorehouseError) as error:
        said = said_by(error) if isinstance(error, psycopg.Error) else str(error)
        news = f"What became of this run was not landed in raw_operations ({said}). The run is not affected: "
        news += "docs/runbook.md#what-a-run-did-was-not-landed"
        say("report", news, logging.WARNING)
