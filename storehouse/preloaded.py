"""Airflow's command line, with what a task imports already imported: who forks tasks hands it on, and no task pays.

`python -m storehouse.preloaded scheduler`, and so the `dag-processor` and a `celery worker`, in whatever environment.
"""

import gc
import sys
from importlib import import_module

from storehouse.core.errors import StorehouseError

MODULES = [
    "airflow.providers.standard.decorators.python",
    "airflow.sdk.execution_time.task_runner",
    "cosmos.airflow.task_group",
    "cosmos.operators.local",
    "dbt.adapters.postgres",
    "dbt.cli.main",
    "dbt.task.build",
    "openlineage.client",
    "extract_load",
    "storehouse.dbt_tasks",
    "storehouse.orchestrate.landing",
    "storehouse.orchestrate.report",
]


def main() -> None:
    """Import, then be `airflow` with the same arguments."""
    airflow = import_module("airflow.__main__")
    try:
        for name in MODULES:
            import_module(name)
    except StorehouseError as error:
        sys.exit(str(error))
    gc.freeze()
    airflow.main()


if __name__ == "__main__":
    main()
