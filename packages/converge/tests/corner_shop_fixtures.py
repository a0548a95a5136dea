"""The corner shop as fixtures: built once, copied for every test."""

import shutil
from collections.abc import Iterator

import pytest
from corner_shop import DATABASE, PROJECT, Shop, item, order
from dbt.adapters.postgres.connections import PostgresConnectionManager
from dbt.cli.main import dbtRunner

from storehouse.laptop.server import Server

# As dbt has it: a project whose tests run in the same process may have changed how it tells errors.
TELLS_ERRORS = PostgresConnectionManager.exception_handler


@pytest.fixture(scope="module", autouse=True)
def plain_dbt() -> Iterator[None]:
    """dbt as it comes, whatever else runs in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PostgresConnectionManager, "exception_handler", TELLS_ERRORS)
        yield


@pytest.fixture(scope="session")
def built_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop with three orders, landed and built, in a database that is copied from then on."""
    server = Server(tmp_path_factory.mktemp("corner_shop_server"), options={"fsync": "off"}).start()
    folder = tmp_path_factory.mktemp("corner_shop") / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("target", "logs", "dbt_packages"))
    server.ensure_database(DATABASE)
    shop = Shop(folder, server)
    with shop.environment():
        assert dbtRunner().invoke(shop.arguments("deps")).success
        shop.execute((folder / "landing.sql").read_text())
        shop.land(
            orders=[order("a"), order("b", placed_at="2026-01-02"), order("c", placed_at="2026-02-01", country="US")],
            items=[item("a"), item("a", 2, 5), item("b", amount=20), item("c", amount=40)],
        )
        shop.dbt("seed")
        shop.run()
    shop.keep("built")
    yield shop
    server.stop()


@pytest.fixture
def shop(built_shop: Shop) -> Iterator[Shop]:
    """The built shop, in a database and with files of the test's own."""
    with built_shop.opened():
        yield built_shop
