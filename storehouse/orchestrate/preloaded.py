"""Airflow's command line, with what a task of ours imports already imported: `one_build.preloaded` says more.

`python -m storehouse.orchestrate.preloaded scheduler`, and so the `dag-processor` and a `celery worker`.
"""

import sys

from one_build import preloaded

from storehouse.core.errors import StorehouseError

MODULES = [
    "dbt.adapters.postgres",
    "extract_load",
    "storehouse.orchestrate.dbt_tasks",
    "storehouse.orchestrate.landing",
    "storehouse.orchestrate.report",
]


def main() -> None:
    """Import, then be `airflow` with the same arguments."""
    try:
        preloaded.main(MODULES)
    except StorehouseError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
