"""Houses to live in: on a test's own server, or a home folder and the commands that a person types."""

import atexit
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from extract_load.tables import tables_of
from storehouse.core.settings import PROJECT, settings
from storehouse.laptop.server import Server

OUR_VARIABLES = (
    *("WAREHOUSE_", "SHOP_", "MARKETPLACE_", "REVIEWS_", "STORES_", "STOREHOUSE_", "DBT_TARGET"),
    *("PII_KEY", "PGOPTIONS"),
)
# A build without dbt's tests, for what they are not the subject of.
MODELS_ALONE = ["build", "--exclude-resource-type", "unit_test", "test"]
Command = Callable[..., subprocess.CompletedProcess]
# dbt writes no lines for debugging to its log: they cost a tenth of a build. A test that looks for something in the log
# asks for them.
QUIET = {"DBT_LOG_LEVEL_FILE": "warn"}
# Of this process: the numbers of the houses that are open, and what dbt has parsed for a house of each number.
_OPEN: set[int] = set()
_PARSED = Path(tempfile.mkdtemp())
atexit.register(shutil.rmtree, _PARSED, ignore_errors=True)


@dataclass(frozen=True)
class House:
    """A home folder, an empty warehouse database and an empty shop database, both on the test server."""

    home: Path
    warehouse: str
    shop: str
    environment: dict[str, str]

    def query(self, statement: str, *parameters: object) -> list[tuple]:
        """Rows of a query on the warehouse."""
        with psycopg.connect(self.warehouse) as connection:
            return connection.execute(statement, parameters or None).fetchall()

    def execute_in_shop(self, script: str) -> None:
        """Run a script of statements on the shop database, in one transaction."""
        with psycopg.connect(self.shop) as connection:
            connection.execute(script)


def whole_shop(script: str) -> str:
    """A script that makes a shop, with what it lacks of the declared tables and columns: a scene names only its own."""
    lacking = [
        f"create table if not exists {table.place} ();"
        + "".join(
            f"alter table {table.place} add column if not exists {column} {kind};"
            for column, kind in table.columns.items()
            if column not in table.optional
        )
        for table in tables_of("shop")
    ]
    return script + "".join(lacking)


def build_house(server: Server, home: Path, shop_server: Server | None = None) -> Iterator[House]:
    """Two new databases, and an environment that points every command at them.

    Args:
        server: of the warehouse.
        home: the home folder.
        shop_server: of the shop, when that is another one.
    """
    number = next(number for number in itertools.count() if number not in _OPEN)
    _OPEN.add(number)
    places = {f"storehouse_{number}": server, f"shop_{number}": shop_server or server}
    warehouse, shop = places
    ours = _PARSED / f"{server.port}_{number}"
    # What dbt parsed for the last house whose warehouse was at this place holds for this one.
    _copy_parsed(ours, home / "target")
    for database, its_server in places.items():
        its_server.ensure_database(database)
    environment = {
        "STOREHOUSE_HOME": str(home),
        "WAREHOUSE_HOST": "127.0.0.1",
        "WAREHOUSE_PORT": str(server.port),
        "WAREHOUSE_USER": "postgres",
        "WAREHOUSE_PASSWORD": server.password,
        "WAREHOUSE_DATABASE": warehouse,
        "PII_KEY": "the-key-of-every-house-in-the-tests",
        "SHOP_DATABASE_URL": places[shop].conninfo(shop),
        "PYTHONPATH": str(PROJECT),
        "DBT_TARGET_PATH": str(home / "target"),
        **QUIET,
    }
    before = dict(os.environ)
    os.environ.update(environment)
    settings.cache_clear()
    yield House(home, server.conninfo(warehouse), places[shop].conninfo(shop), environment)
    os.environ.clear()
    os.environ.update(before)
    settings.cache_clear()
    _copy_parsed(home / "target", ours)
    # Autovacuum goes around all databases there are.
    for database, its_server in places.items():
        with psycopg.connect(its_server.conninfo(), autocommit=True) as connection:
            connection.execute(f"drop database {database} with (force)")
    _OPEN.remove(number)


def _copy_parsed(source: Path, destination: Path) -> None:
    """What dbt has parsed, for the target `default` and for the audit's."""
    for target in ("", "audit"):
        if (source / target / "partial_parse.msgpack").exists():
            (destination / target).mkdir(parents=True, exist_ok=True)
            shutil.copy(source / target / "partial_parse.msgpack", destination / target)


def command(home: Path, **variables: str) -> Command:
    """`python -m storehouse …` in a home, with nothing else of ours in the environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OUR_VARIABLES)}
    environment |= {"STOREHOUSE_HOME": str(home), "DBT_TARGET_PATH": str(home / "target")} | QUIET | variables

    def run(*arguments: str, module: str = "storehouse", given: str | None = None) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=PROJECT,
            env=environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=900,
        )

    run.environment = environment
    return run
