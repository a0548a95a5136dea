"""Nothing but the whole dbt build, as our DAGs do it."""

from datetime import datetime

from airflow.sdk import dag

from storehouse.orchestrate.dbt_tasks import dbt_build


@dag(dag_id="bench_ours", schedule=None, start_date=datetime(2026, 1, 1))
def bench_ours() -> None:
    """One group."""
    dbt_build()


bench_ours()
