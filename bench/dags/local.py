"""Nothing but the whole dbt build, as Cosmos' ExecutionMode.LOCAL."""

from datetime import datetime

from airflow.sdk import dag

from bench import cosmos_group


@dag(dag_id="bench_local", schedule=None, start_date=datetime(2026, 1, 1), default_args=cosmos_group.RULES)
def bench_local() -> None:
    """One group."""
    cosmos_group.local()


bench_local()
