"""The scene of every test: a real PostgreSQL server, and houses on it that nobody else lives in."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from storehouse.server import Server
from storehouse.settings import PROJECT, settings


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


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL server of the test run's own."""
    server = Server(tmp_path_factory.mktemp("server"), options={"fsync": "off"}).start()
    yield server
    server.stop()


def build_house(server: Server, home: Path, shop_server: Server | None = None) -> Iterator[House]:
    """Two new databases, and an environment that points every command at them.

    Args:
        server: of the warehouse.
        home: the home folder.
        shop_server: of the shop, when that is another one.
    """
    name = uuid.uuid4().hex[:8]
    places = {f"storehouse_{name}": server, f"shop_{name}": shop_server or server}
    warehouse, shop = places
    for database, its_server in places.items():
        its_server.ensure_database(database)
    environment = {
        "STOREHOUSE_HOME": str(home),
        "WAREHOUSE_HOST": "127.0.0.1",
        "WAREHOUSE_PORT": str(server.port),
        "WAREHOUSE_USER": "postgres",
        "WAREHOUSE_PASSWORD": "",
        "WAREHOUSE_DATABASE": warehouse,
        "PII_KEY": "the-key-of-every-house-in-the-tests",
        "SHOP_DATABASE_URL": places[shop].conninfo(shop),
        "PYTHONPATH": str(PROJECT),
        "DBT_TARGET_PATH": str(home / "target"),
    }
    before = dict(os.environ)
    os.environ.update(environment)
    settings.cache_clear()
    yield House(home, server.conninfo(warehouse), places[shop].conninfo(shop), environment)
    os.environ.clear()
    os.environ.update(before)
    settings.cache_clear()


@pytest.fixture(scope="module")
def house(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for the tests of a module."""
    yield from build_house(server, tmp_path_factory.mktemp("home"))


@pytest.fixture
def new_house(server: Server, tmp_path: Path) -> Iterator[House]:
    """A house of the test's own."""
    yield from build_house(server, tmp_path)
