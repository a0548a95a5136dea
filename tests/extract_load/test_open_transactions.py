"""What a transaction commits late is read by the next load, however long it was open."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from extract_scene import SHOP, order, wait_until
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import extract_load
from extract_load.ledger import watermark
from extract_load.tables import tables_of
from storehouse.core.databases import open_warehouse
from storehouse.core.settings import settings
from storehouse.laptop.server import Server

ORDERS = next(table for table in tables_of("shop") if table.name == "orders")
# A row that is dated when its transaction began, as by a default, a trigger or a program.
DATED = "insert into orders (order_id, updated_at) values ({}, now())"


def load() -> None:
    extract_load.load("shop", tables=["orders"])


def landed(house) -> list[int]:
    return [key for (key,) in house.query("select distinct order_id from raw_shop.orders order by 1")]


@pytest.fixture
def shop(shop, configure):
    """Nothing but open transactions is read again."""
    configure(OVERLAP_MINUTES=0)
    return shop


def test_rows_that_are_committed_after_a_load_that_saw_later_ones_are_read_by_the_next(shop):
    with psycopg.connect(shop.shop) as other:
        other.execute(DATED.format(1))
        shop.execute_in_shop(DATED.format(2))
        load()
        assert landed(shop) == [2]
        other.commit()
    shop.execute_in_shop(DATED.format(3))
    load()
    assert landed(shop) == [1, 2, 3]


def test_a_transaction_that_has_written_nothing_yet_may_write_later(shop):
    with psycopg.connect(shop.shop) as other:
        other.execute("select now()")
        shop.execute_in_shop(DATED.format(2))
        load()
        other.execute(DATED.format(1))
        load()
        other.commit()
    load()
    assert landed(shop) == [1, 2]


def test_the_interval_of_the_ledger_is_what_was_read_and_the_watermark_waits(shop):
    with psycopg.connect(shop.shop) as other, open_warehouse() as warehouse:
        began_at = other.execute("select now()").fetchone()
        shop.execute_in_shop(DATED.format(1))
        load()
        ((until, settled_until),) = shop.query("select interval_until, settled_until from raw.loads")
        assert watermark(warehouse, ORDERS) == settled_until < until
        assert abs((settled_until - began_at[0]).total_seconds()) < 1
        other.rollback()
        load()
        assert watermark(warehouse, ORDERS) == until


def test_transactions_of_other_databases_do_not_matter(shop):
    with psycopg.connect(shop.warehouse) as other, open_warehouse() as warehouse:
        other.execute("select now()")
        shop.execute_in_shop(DATED.format(1))
        load()
        ((until,),) = shop.query("select interval_until from raw.loads")
        assert watermark(warehouse, ORDERS) == until


def test_a_transaction_that_is_open_for_longer_than_the_overlap_is_told(shop, run):
    with psycopg.connect(shop.shop) as other:
        other.execute("select now()")
        told = r"shop: a transaction is open at the source since 20.* UTC: until it ends, loads read again what changed"
        assert re.search(told, run("shop", "--tables", "orders").stdout)
    assert "transaction" not in run("shop", "--tables", "orders").stdout


@pytest.fixture
def reader(shop, configure) -> Iterator[psycopg.Connection]:
    """A role that may read the shop's tables and nothing else is the one that loads; gives its owner's connection."""
    role = f"plain_{shop.home.name[-8:]}".lower().replace("-", "_")
    with psycopg.connect(shop.shop, autocommit=True) as owner:
        owner.execute(
            f"create role {role} login password 'reads'; grant usage on schema public to {role};"
            f"grant select on all tables in schema public to {role}"
        )
        configure(SHOP_DATABASE_URL=make_conninfo(shop.shop, user=role, password="reads"))
        yield owner
        owner.execute(f"drop owned by {role}; drop role {role}")


def test_a_role_that_does_not_see_other_sessions_is_told_so_once_and_how_to_see_them(shop, reader, run):
    shop.execute_in_shop(order(1, "2026-01-01"))
    first = run("shop", "--tables", "orders").stdout
    assert re.search(
        r"shop: what is committed more than 0 minutes \(OVERLAP_MINUTES\) after its time, reconcile alone finds: "
        r"grant pg_read_all_stats to plain_\S+, so that it sees when others' transactions began\n",
        first,
    )
    assert "reconcile" not in run("shop", "--tables", "orders").stdout


def test_a_role_that_is_granted_to_see_sessions_waits_for_them(shop, reader):
    role = conninfo_to_dict(settings().source_conninfo("SHOP_DATABASE_URL", "shop"))["user"]
    reader.execute(f"grant pg_read_all_stats to {role}")
    with psycopg.connect(shop.shop) as other:
        other.execute(DATED.format(1))
        shop.execute_in_shop(DATED.format(2))
        load()
        other.commit()
    load()
    assert landed(shop) == [1, 2]


@pytest.fixture(scope="module")
def primary(tmp_path_factory) -> Iterator[Server]:
    """A server of its own, which takes prepared transactions and has standbys."""
    options = {"fsync": "off", "max_prepared_transactions": "4"}
    server = Server(tmp_path_factory.mktemp("primary"), options=options).start()
    yield server
    server.stop()


@pytest.fixture
def shop_of_primary(primary, new_house, configure) -> Iterator[str]:
    """A shop on that server; gives its connection string."""
    primary.ensure_database("shop")
    place = primary.conninfo("shop")
    configure(SHOP_DATABASE_URL=place, OVERLAP_MINUTES=0)
    with psycopg.connect(place, autocommit=True) as connection:
        connection.execute(f"drop schema public cascade; create schema public; {SHOP}")
    yield place


def test_a_prepared_transaction_is_waited_for(shop_of_primary, new_house):
    with psycopg.connect(shop_of_primary, autocommit=True) as connection:
        connection.execute("begin")
        connection.execute(f"{DATED.format(1)}; update orders set updated_at = now() + interval '0.2 seconds'")
        connection.execute("prepare transaction 'late'")
        connection.execute(f"select pg_sleep(0.4); {DATED.format(2)}")
        load()
        assert landed(new_house) == [2]
        connection.execute("commit prepared 'late'")
    load()
    assert landed(new_house) == [1, 2]


@pytest.fixture
def standby(primary: Server, shop_of_primary, tmp_path: Path) -> Iterator[Server]:
    """A hot standby of that server."""
    server = Server(tmp_path / "standby", options={"fsync": "off", "max_prepared_transactions": "4"})
    server.folder.mkdir(mode=0o700)
    shutil.copy(primary.password_file, server.password_file)
    server.data.mkdir(mode=0o700)
    server.give(server.data)
    url = f"postgresql://postgres:{primary.password}@127.0.0.1:{primary.port}"
    server._run("pg_basebackup", "-D", server.data, "-R", "-c", "fast", "-d", url, "--no-sync")
    server.start()
    yield server
    server.stop()


def test_a_standby_is_read_up_to_what_it_has_replayed_and_says_what_it_does_not_show(
    primary, shop_of_primary, standby, new_house, configure, run
):
    replica = standby.conninfo("shop")
    configure(SHOP_DATABASE_URL=replica)

    def write(key: int) -> None:
        with psycopg.connect(shop_of_primary, autocommit=True) as connection:
            connection.execute(DATED.format(key))
            end = connection.execute("select pg_current_wal_insert_lsn()").fetchone()
        with psycopg.connect(replica, autocommit=True) as connection:
            replayed = "select pg_last_wal_replay_lsn() >= %s"
            wait_until(lambda: connection.execute(replayed, end).fetchone() == (True,))

    write(1)
    said = run("shop", "--tables", "orders").stdout
    assert "reconcile alone finds: it is a standby, which does not show the transactions of its primary" in said
    ((settled_until,),) = new_house.query("select settled_until from raw.loads")
    with psycopg.connect(replica) as connection:
        assert (settled_until,) == connection.execute("select pg_last_xact_replay_timestamp()").fetchone()
    write(2)
    load()
    assert landed(new_house) == [1, 2]
    with psycopg.connect(shop_of_primary) as connection:
        connection.execute("delete from orders where order_id = 1")
        connection.commit()
        write(3)
    assert "1 deleted at the source" in run("reconcile", "shop").stdout
