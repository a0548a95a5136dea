"""The scene of every test: a real PostgreSQL server, and houses on it that nobody else lives in."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from houses import House, build_house

from storehouse.core.settings import settings
from storehouse.laptop.server import Server

# The longest first; and while one worker kills and plays histories, the other has Airflow, which needs much memory.
FIRST = [
    "tests/chaos/test_kills.py",
    "tests/dags/test_dag_runs.py",
    "tests/converge/",
    "tests/chaos/",
    "tests/dags/",
    "tests/deploy/",
    "packages/one_build/",
    "tests/olist/",
    "tests/examples/",
    "tests/privacy/",
    "tests/quality/",
    "tests/run/",
]

WORKERS_STOP_WITHIN = 120  # seconds


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files so that the workers of `make test` end together, and let no quick test ask for a server."""
    if slow := [item.nodeid for item in items if item.get_closest_marker("quick") and "server" in item.fixturenames]:
        raise pytest.UsageError(f"these ask for a server, so they are not quick: {' '.join(slow)}")
    items.sort(key=lambda item: next((n for n, start in enumerate(FIRST) if item.nodeid.startswith(start)), len(FIRST)))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """After Ctrl-C, let the workers stop what they have started: xdist itself kills them after a few seconds."""
    workers = session.config.pluginmanager.get_plugin("dsession")
    if workers and exitstatus == pytest.ExitCode.INTERRUPTED:
        for worker in list(workers._active_nodes):
            worker.shutdown()
            with suppress(worker.channel.TimeoutError, worker.channel.RemoteError, EOFError):
                worker.channel.waitclose(WORKERS_STOP_WITHIN)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL server of the test run's own."""
    server = Server(tmp_path_factory.mktemp("server"), options={"fsync": "off"}).start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def house(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One house for the tests of a module."""
    yield from build_house(server, tmp_path_factory.mktemp("home"))


@pytest.fixture
def new_house(server: Server, tmp_path: Path) -> Iterator[House]:
    """A house of the test's own."""
    yield from build_house(server, tmp_path)


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Set environment variables, for this process and for commands."""

    def set_all(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))
        settings.cache_clear()

    yield set_all
    monkeypatch.undo()
    settings.cache_clear()
