"""Nothing but the whole dbt build, as Cosmos' ExecutionMode.WATCHER."""

from datetime import datetime

from airflow.sdk import dag

from bench import cosmos_group


@dag(dag_id="bench_watcher", schedule=None, start_date=datetime(2026, 1, 1), default_args=cosmos_group.RULES)
def bench_watcher() -> None:
    """One group."""
    cosmos_group.watcher()


bench_watcher()
