"""A full disk, on real disks of 1 to 160 MB: the message says which disk and what to do. One limit is no full disk."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from extract_scene import wait_until
from houses import House

import extract_load
import publish
from publish.warehouse import EXPORT_LOCK, snapshot
from storehouse.core import databases
from storehouse.core.errors import StorehouseError, TransientError
from storehouse.laptop.server import Server, is_free

FILL = """
    insert into orders (order_id, status, updated_at)
    select n, 'created', '2026-01-01' from generate_series(1, 9000) as n
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A folder on a disk of so many megabytes."""
    mounted = []

    def mount(megabytes: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        options = ["-o", f"size={megabytes}m,mode=0777"]
        if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", folder]).returncode:
            pytest.skip("a small disk can't be mounted here: that needs root")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def tablespace(shop: House, small_disk, server: Server) -> Iterator[Callable[[str, str], None]]:
    """Puts a database's `tables` (raw_shop.orders) or its `temporary files` on a disk of 2 MB."""
    put = []

    def put_it(database: str, what: str) -> None:
        folder = small_disk(2)
        with psycopg.connect(database, autocommit=True) as own:
            name = f"small_{len(put)}_{os.getpid()}"
            own.execute(f"create tablespace {name} location '{folder}'")
            put.append(name)
            if what == "tables":
                own.execute(f"alter table raw_shop.orders set tablespace {name}")
            else:
                for setting in (f"temp_tablespaces = {name}", "work_mem = '64kB'"):
                    own.execute(f"alter role postgres in database {own.info.dbname} set {setting}")

    yield put_it
    for database in (shop.warehouse, shop.shop):
        with psycopg.connect(database, autocommit=True) as own:
            own.execute(f"alter role postgres in database {own.info.dbname} reset all")
            own.execute("drop schema if exists raw_shop cascade")
    with psycopg.connect(shop.warehouse, autocommit=True) as own:
        for name in put:
            own.execute(f"drop tablespace {name}")


def test_the_disk_of_the_warehouse_is_full_while_rows_land(shop: House, tablespace):
    shop.execute_in_shop(FILL)
    extract_load.prepare()
    tablespace(shop.warehouse, "tables")
    with pytest.raises(StorehouseError, match=r"The warehouse .*The disk of the warehouse's server is full") as error:
        for _ in range(9):
            extract_load.load("shop", tables=["orders"])
            shop.execute_in_shop("update orders set updated_at = updated_at + interval '1 hour'")
    assert "WAREHOUSE_HOST" not in str(error.value) and "temporary" not in str(error.value)
    assert not isinstance(error.value, TransientError), "the same again ends the same"
    landed = shop.query("select sum(rows) from raw.loads")
    assert shop.query("select count(*) from raw_shop.orders") == landed


def test_the_disk_of_the_shop_is_full_while_it_sorts(shop: House, tablespace, configure):
    shop.execute_in_shop(
        "insert into products (product_id, name) select n, repeat(md5(n::text), 9) from generate_series(1, 30000) n;"
        "create schema sorted; create view sorted.products as select * from products order by name"
    )
    tablespace(shop.shop, "temporary files")
    configure(SHOP_SCHEMA="sorted")
    with pytest.raises(
        StorehouseError, match=r"The shop database.*The disk of the shop database's server is full.*temporary"
    ):
        extract_load.load("shop", tables=["products"])


SORT = "select count(*) from (select n from generate_series(1, 900000) as n order by md5(n::text)) as sorted"


def test_a_publisher_says_that_the_disk_is_full_and_does_not_send_to_the_password(shop: House, tablespace):
    tablespace(shop.warehouse, "temporary files")
    with (
        pytest.raises(StorehouseError, match=r"The disk of the warehouse's server is full.*temporary") as error,
        snapshot(EXPORT_LOCK, "a test") as warehouse,
    ):
        warehouse.execute(SORT)
    assert "password" not in str(error.value)


def test_a_limit_on_temporary_files_is_no_full_disk_and_is_not_tried_again(shop: House):
    with psycopg.connect(shop.warehouse, autocommit=True) as own:
        try:
            for setting in ("temp_file_limit = '1MB'", "work_mem = '64kB'"):
                own.execute(f"alter role postgres in database {own.info.dbname} set {setting}")
            with (
                pytest.raises(StorehouseError, match=r"temp_file_limit.*not its disk: raise it there") as error,
                databases.open_warehouse() as warehouse,
                warehouse.speaking(),
            ):
                warehouse.execute(SORT)
            assert not isinstance(error.value, TransientError)
        finally:
            own.execute(f"alter role postgres in database {own.info.dbname} reset all")


def answers(server: Server) -> bool:
    """True when it has come up again."""
    try:
        return psycopg.connect(server.conninfo()).info.server_version > 0
    except (psycopg.OperationalError, TransientError):
        return False


def fill_its_log(warehouse: databases.Database) -> None:
    """Until it falls: a full disk may refuse a block of a table first, and such an error it survives."""
    while True:
        try:
            with warehouse.speaking():
                warehouse.execute("select pg_logical_emit_message(false, 'to the log', repeat('x', 1000000))")
        except StorehouseError as error:
            if "could not write blocks" not in str(error):
                raise


def test_an_embedded_server_that_falls_for_want_of_room_says_so(small_disk, configure, monkeypatch):
    home = small_disk(160)
    home.chmod(0o700)
    server = Server(
        home / "postgres", options={"min_wal_size": "32MB", "max_wal_size": "64MB", "shared_buffers": "8MB"}
    )
    server.start()
    server.ensure_database("storehouse")
    port = server.port
    for name in ("WAREHOUSE_HOST", "WAREHOUSE_PORT", "WAREHOUSE_PASSWORD", "WAREHOUSE_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    configure(STOREHOUSE_HOME=home)
    try:
        with databases.open_warehouse() as warehouse, databases.open_warehouse() as bystander:
            with (home / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
                while True:
                    filler.write(bytes(1 << 12))
            with pytest.raises(StorehouseError, match=r"pg_wal.*The disk of the warehouse's server is full"):
                fill_its_log(warehouse)
            with pytest.raises(TransientError, match=f"was lost.* The disk of {home} is full, .* make room first"):
                while True:
                    with bystander.speaking():
                        bystander.execute("select 1")
    finally:
        (home / "filler").unlink()
        # It comes up again, or has given up: its recovery needs room too.
        wait_until(lambda: answers(server) or is_free(port))
        server.stop()


def test_an_export_to_a_full_disk_says_so(shop: House, small_disk, configure):
    target = small_disk(1)
    configure(SALES_EXPORT_URL=target)
    with psycopg.connect(shop.warehouse) as own:
        own.execute(
            "create schema sales;"
            "create table sales.agg_daily_sales (order_date date, channel text, region text, currency text);"
            "insert into sales.agg_daily_sales select date '2026-01-01' + n, md5(n::text || m), md5(m::text) "
            "from generate_series(0, 20) n, generate_series(1, 2000) m"
        )
    with pytest.raises(StorehouseError, match=r"can't be written: No space left on device. Make room there") as error:
        publish.daily_sales()
    assert "AWS" not in str(error.value)
