"""The scene: a house with three days of the demo shop, and commands on it."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
import warm
from houses import House, build_demo
from parsed import lend
from privacy_scene import Command

from storehouse.core.settings import PROJECT
from storehouse.laptop.server import Server


@pytest.fixture(scope="module")
def lived_in(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with three days of the demo shop, landed and built."""
    yield from build_demo(server, tmp_path_factory.mktemp("home"), days=3, size=0.1)


@pytest.fixture(scope="module")
def command(lived_in: House) -> Command:
    """`python -m storehouse …`, or another module, in the house."""

    def run(*arguments: str, module: str = "storehouse", **variables: str) -> subprocess.CompletedProcess:
        environment = os.environ | {"DBT_PROFILES_DIR": str(PROJECT)} | variables
        if module == "storehouse":
            lend(environment)
            return warm.run(module, *arguments, env=environment)
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=600)

    return run
