"""Airflow's command line, with what a task imports already imported: who forks tasks hands it on, and no task pays.

`python -m one_build.preloaded scheduler`, and so the `dag-processor` and a `celery worker`, in whatever environment.
"""

import gc
from collections.abc import Sequence
from importlib import import_module

MODULES = [
    "airflow.providers.standard.decorators.python",
    "airflow.sdk.execution_time.task_runner",
    "cosmos.airflow.task_group",
    "cosmos.operators.local",
    "dbt.cli.main",
    "dbt.task.build",
    "openlineage.client",
    "one_build.tasks",
]


def main(also: Sequence[str] = ()) -> None:
    """Import these modules and `also`, then be `airflow` with the same arguments."""
    airflow = import_module("airflow.__main__")
    for name in (*MODULES, *also):
        import_module(name)
    gc.freeze()
    airflow.main()


if __name__ == "__main__":
    main()
