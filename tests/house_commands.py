"""The commands of a house, as a person types them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from storehouse.settings import PROJECT

OUR_VARIABLES = (
    *("WAREHOUSE_", "SHOP_", "MARKETPLACE_", "REVIEWS_", "STORES_", "STOREHOUSE_", "DBT_TARGET"),
    *("PII_KEY", "PGOPTIONS"),
)
Command = Callable[..., subprocess.CompletedProcess]


def command(home: Path, **variables: str) -> Command:
    """`python -m storehouse …` in a home, with nothing else of ours in the environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OUR_VARIABLES)}
    environment |= {"STOREHOUSE_HOME": str(home), "DBT_TARGET_PATH": str(home / "target")} | variables

    def run(*arguments: str, module: str = "storehouse", given: str | None = None) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=PROJECT,
            env=environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run
