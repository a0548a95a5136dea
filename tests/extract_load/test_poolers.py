"""pgbouncer in transaction mode: before the shop it does no harm, before the warehouse it is refused in words."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from extract_scene import order, wait_until
from psycopg.conninfo import make_conninfo

import extract_load
from storehouse.core import databases
from storehouse.core.errors import StorehouseError, TransientError
from storehouse.laptop.server import free_port, is_free, not_root

Pooler = Callable[..., int]


@pytest.fixture
def pooler(server, tmp_path: Path) -> Iterator[Pooler]:
    """Starts a pgbouncer before the test server, with one session a database; gives its port."""
    binary = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if binary is None:
        pytest.skip("no pgbouncer here (Debian: apt install pgbouncer)")
    started = []

    def start(**more: str) -> int:
        port = free_port()
        config = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": "transaction",
            "default_pool_size": 1,
        } | more
        file = tmp_path / "pgbouncer.ini"
        lines = "\n".join(f"{name} = {value}" for name, value in config.items())
        place = f"host=127.0.0.1 port={server.port} user=postgres password={server.password}"
        file.write_text(f"[databases]\n* = {place}\n[pgbouncer]\n{lines}\n")
        file.chmod(0o644)
        tmp_path.chmod(0o755)
        started.append(subprocess.Popen([*not_root(), binary, file], stderr=(tmp_path / "pgbouncer.log").open("w")))
        wait_until(lambda: not is_free(port), 20)
        return port

    yield start
    for process in started:
        process.terminate()
        process.wait()


def test_a_shop_behind_a_transaction_pooler_lands_and_its_sessions_stay_as_they_were(shop, configure, pooler: Pooler):
    shop.execute_in_shop(order(1, "2026-01-01 10:00") + "insert into products (product_id) values ('p')")
    # The pooler itself asks nobody for a password.
    pooled = make_conninfo(shop.shop, port=pooler(), require_auth="none")
    asked = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings where context = 'user' "
    asked += "and name != 'application_name'"  # the pooler's own affair
    with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as application:
        (before,) = application.execute(asked).fetchone()
        configure(SHOP_DATABASE_URL=pooled)
        for _ in range(2):
            extract_load.load("shop")
        with databases.open_source("SHOP_DATABASE_URL", "shop") as ours, ours.snapshot():
            assert ours.execute("show row_security").fetchone() == ("off",)
        assert application.execute(asked).fetchone() == (before,)
        assert application.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)
    assert shop.query(
        "select count(distinct order_id), count(distinct product_id) from raw_shop.orders, raw_shop.products"
    ) == [(1, 1)]


@pytest.mark.parametrize("config", [{}, {"ignore_startup_parameters": "options"}], ids=["refuses", "passes over"])
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_pooler_before_the_warehouse_is_refused_in_words_and_holds_no_lock(
    shop, configure, pooler: Pooler, config: dict[str, str], mode: str
):
    configure(WAREHOUSE_PORT=pooler(pool_mode=mode, **config))
    for ask in (lambda: extract_load.load("shop"), databases.dbt_environment):
        with pytest.raises(StorehouseError, match=r"pooler.*PostgreSQL itself \(docs/deploy.md\)") as error:
            ask()
        assert not isinstance(error.value, TransientError)
    assert shop.query("select count(*) from pg_locks where locktype = 'advisory'") == [(0,)]
