"""What the tests of this folder share: commands on a house, and all that it holds."""

import subprocess
from collections.abc import Callable

from houses import House

from storehouse.laptop.server import binaries

Command = Callable[..., subprocess.CompletedProcess]


def dumped(house: House) -> str:
    """Everything that the warehouse has, as PostgreSQL's own dump says it."""
    done = subprocess.run([binaries() / "pg_dump", "--data-only", house.warehouse], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
