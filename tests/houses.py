"""Houses to live in: on a test's own server, or a home folder and the commands that a person types."""

import itertools
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import warm
from parsed import lend

import demo
import extract_load
from extract_load.tables import tables_of
from storehouse.core import transform
from storehouse.core.settings import PROJECT, settings
from storehouse.core.transform import DAILY
from storehouse.laptop.server import Server

OUR_VARIABLES = (
    *("WAREHOUSE_", "SHOP_", "MARKETPLACE_", "REVIEWS_", "STORES_", "STOREHOUSE_", "DBT_TARGET"),
    *("PII_KEY", "PGOPTIONS", "REPORT_"),
)
# A build without dbt's tests, for what they are not the subject of.
MODELS_ALONE = ["build", "--exclude-resource-type", "unit_test", "test"]
# Of the commands that begin dbt: the target that they do so with.
TARGETS = {"run": "default", "dbt": "default", "forget": "default", "audit": "audit"}
Command = Callable[..., subprocess.CompletedProcess]
# dbt has no log: its lines cost a tenth of a build. A test that looks for something in it asks for one.
QUIET = {"DBT_LOG_LEVEL_FILE": "none"}
# The numbers of the houses that are open, of this process: a new one has the first that is free.
_OPEN: set[int] = set()


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

    def execute(self, statement: str) -> None:
        """Run a statement on the warehouse."""
        with psycopg.connect(self.warehouse) as connection:
            connection.execute(statement)

    @contextmanager
    def days_of(self, zone: str) -> Iterator[None]:
        """Within it readers are told that days are those of this time zone; no day of a mart is computed again."""
        named = "create or replace view operations.published_marts with (security_barrier) as "
        ((is_utc,),) = self.query("select pg_get_viewdef('operations.published_marts'::regclass)")
        assert "'UTC'" in is_utc
        self.execute(named + is_utc.replace("'UTC'", f"'{zone}'"))
        try:
            yield
        finally:
            self.execute(named + is_utc)

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
    places = {f"storehouse{number or ''}": server, f"shop{number or ''}": shop_server or server}
    warehouse, shop = places
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
    for target in ("default", "audit"):
        lend(environment, target)
    before = dict(os.environ)
    os.environ.update(environment)
    settings.cache_clear()
    try:
        yield House(home, server.conninfo(warehouse), places[shop].conninfo(shop), environment)
    finally:
        os.environ.clear()
        os.environ.update(before)
        settings.cache_clear()
        # Autovacuum goes around all databases there are.
        for database, its_server in places.items():
            with psycopg.connect(its_server.conninfo(), autocommit=True) as connection:
                connection.execute(f"drop database {database} with (force)")
        _OPEN.remove(number)


def land() -> None:
    """Land what every source has."""
    for source in extract_load.SOURCES:
        extract_load.load(source)


def build_demo(
    server: Server, home: Path, days: int, size: float, shop_server: Server | None = None
) -> Iterator[House]:
    """A house with so many days of the demo shop, landed and built; its API runs."""
    for house in build_house(server, home, shop_server):
        demo.advance(days=days, size=size)
        demo.start()
        land()
        assert transform.build(DAILY) == []
        yield house
        demo.stop()


def command(home: Path, **variables: str) -> Command:
    """`python -m storehouse …` in a home, with nothing else of ours in the environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(OUR_VARIABLES)}
    environment |= {"STOREHOUSE_HOME": str(home), "DBT_TARGET_PATH": str(home / "target")} | QUIET | variables

    def run(*arguments: str, module: str = "storehouse", given: str = "") -> subprocess.CompletedProcess:
        if module == "storehouse" and arguments[0] in TARGETS:
            lend(environment, TARGETS[arguments[0]])
        return warm.run(module, *arguments, env=environment, given=given)

    run.environment = environment
    return run
