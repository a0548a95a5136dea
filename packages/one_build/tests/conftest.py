"""A real PostgreSQL for the results."""

import uuid
from collections.abc import Iterator

import pytest

from storehouse.laptop.server import Server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the test run's own."""
    server = Server(tmp_path_factory.mktemp("one_build_server"), options={"fsync": "off"}).start()
    yield server
    server.stop()


@pytest.fixture
def database(postgres: Server) -> str:
    """How to connect to an empty database of the test's own."""
    name = f"results_{uuid.uuid4().hex[:8]}"
    postgres.ensure_database(name)
    return postgres.conninfo(name)
