"""Locks: they end with a transaction, a wait is told with who holds the lock, and it has an end."""

import logging
import subprocess
import sys
import threading

import psycopg
import pytest
from extract_scene import order, wait_until

import extract_load
from extract_load.ledger import LEDGER_LOCK, snapshot_lock
from publish.warehouse import EXPORT_LOCK, snapshot
from storehouse.core import databases
from storehouse.core.errors import TransientError

HOLDER = {"application_name": "a stranger's session"}
SECONDS = 1.5 / 60  # of a minute


def holds(connection: psycopg.Connection, key: int) -> int:
    """Takes the lock, to the end of the connection; returns its process."""
    connection.execute("select pg_advisory_lock(%s)", [key])
    return connection.info.backend_pid


@pytest.mark.parametrize(
    ("key", "tables"),
    [(LEDGER_LOCK, ["orders"]), (snapshot_lock("shop"), ["orders"])],
    ids=["the ledger", "the snapshots"],
)
def test_a_load_says_who_holds_the_lock_that_it_waits_for_and_gives_up_in_time(shop, configure, key, tables):
    shop.execute_in_shop(order(1, "2026-01-01 10:00"))
    configure(LOCK_WAIT_MINUTES=SECONDS)
    extract_load.prepare()
    with psycopg.connect(shop.warehouse, **HOLDER) as other:
        pid = holds(other, key)
        expected = rf"not free within .* \(LOCK_WAIT_MINUTES\).*pid {pid} \(role postgres, application a stranger's"
        with pytest.raises(TransientError, match=expected) as error:
            extract_load.load("shop", tables=tables)
        assert "in a transaction since 20" in str(error.value)
    extract_load.load("shop", tables=tables)


def test_a_wait_is_told_while_it_lasts_and_ends_when_the_lock_is_free(shop, caplog, monkeypatch):
    monkeypatch.setattr(databases, "_TOLD_AFTER", 0.1)
    shop.execute_in_shop(order(1, "2026-01-01 10:00"))
    extract_load.prepare()
    with psycopg.connect(shop.warehouse, **HOLDER) as other, caplog.at_level(logging.WARNING):
        pid = holds(other, LEDGER_LOCK)
        load = threading.Thread(target=lambda: extract_load.load("shop", tables=["orders"]))
        load.start()
        wait_until(lambda: f"held by pid {pid}" in caplog.text)
        other.close()
        load.join()
    assert shop.query("select count(*) from raw_shop.orders") == [(1,)]


def test_a_role_that_may_not_see_other_sessions_is_told_who_holds_the_lock_all_the_same(shop, configure):
    role = f"blind_{shop.home.name[-8:]}".lower().replace("-", "_")
    configure(LOCK_WAIT_MINUTES=SECONDS, REPORTING_USER=role, REPORTING_PASSWORD="blind")
    with psycopg.connect(shop.warehouse, autocommit=True, **HOLDER) as other:
        other.execute(f"create role {role} login password 'blind'")
        pid = holds(other, EXPORT_LOCK)
        with (
            pytest.raises(TransientError, match=rf"lock of a test .*pid {pid} \(role postgres, application a stranger"),
            snapshot(EXPORT_LOCK, "a test"),
        ):
            pass
        other.execute(f"drop role {role}")


def test_a_table_that_another_locks_is_not_waited_for_for_ever(shop, configure):
    shop.execute_in_shop(order(1, "2026-01-01 10:00"))
    extract_load.prepare()
    configure(LOCK_WAIT_MINUTES=SECONDS)
    for database in (shop.warehouse, shop.shop):
        with psycopg.connect(database) as other:
            other.execute("lock table " + ("raw_shop.orders" if database == shop.warehouse else "orders"))
            with pytest.raises(TransientError, match=r"lock timeout.*LOCK_WAIT_MINUTES"):
                extract_load.load("shop", tables=["orders"])


def test_nobody_waits_behind_a_load_that_waits_to_add_a_column(shop):
    shop.execute_in_shop(order(1, "2026-01-01 10:00"))
    extract_load.load("shop", tables=["orders"])
    shop.execute_in_shop("alter table orders add column coupon text")
    waits = "select 1 from pg_locks where relation = 'raw_shop.orders'::regclass and mode = 'AccessExclusiveLock'"
    with psycopg.connect(shop.warehouse) as other:
        # Such as a first load of hours.
        other.execute("lock table raw_shop.orders in row exclusive mode")
        load = threading.Thread(target=lambda: extract_load.load("shop", tables=["orders"]))
        load.start()
        wait_until(lambda: shop.query(waits))
        with psycopg.connect(shop.warehouse, options="-c lock_timeout=10s") as reader:
            assert reader.execute("select count(*) from raw_shop.orders").fetchall() == [(1,)]
        other.rollback()
        load.join()
    assert shop.query("select count(*), count(coupon) from raw_shop.orders") == [(2, 0)]


def test_no_lock_of_a_load_or_a_publisher_outlives_its_transaction(shop):
    """Behind a pooler another client has the session then, and would keep a lock of the session for ever."""
    locks = []
    watched = databases.Database.execute

    def execute(self, query, *rest, **more):
        locks.append(str(query))
        return watched(self, query, *rest, **more)

    databases.Database.execute = execute
    try:
        extract_load.load("shop")
        with snapshot(EXPORT_LOCK, "a test"):
            pass
    finally:
        databases.Database.execute = watched
    taken = [query for query in locks if "advisory_lock" in query or "advisory_xact_lock" in query]
    assert taken and all("xact" in query for query in taken)


def test_two_publishers_go_one_after_the_other_and_each_sees_what_was_there_when_its_turn_came(house):
    seen = []

    def publish() -> None:
        with snapshot(EXPORT_LOCK, "a test") as warehouse:
            seen.append(warehouse.execute("select n from public.numbers").fetchone()[0])

    with psycopg.connect(house.warehouse, autocommit=True) as other:
        other.execute("create table if not exists public.numbers (n int); insert into public.numbers values (1)")
        with snapshot(EXPORT_LOCK, "a test"):
            second = threading.Thread(target=publish)
            second.start()
            wait_until(
                lambda: house.query("select count(*) from pg_locks where locktype = 'advisory' and not granted")[0][0]
            )
            other.execute("update public.numbers set n = 2")
        second.join()
    assert seen == [2]


def test_the_lock_of_a_model_is_told_with_its_holder_and_dbt_gives_up_in_time(house, configure):
    configure(LOCK_WAIT_MINUTES=SECONDS)
    with psycopg.connect(house.warehouse, **HOLDER) as other:
        other.execute("create schema if not exists raw; create table if not exists raw.loads (load_id bigint)")
        other.commit()
        other.execute("select pg_advisory_lock(hashtextextended('converge.start_run', 0))")
        pid = other.info.backend_pid
        done = subprocess.run(
            [sys.executable, "-m", "storehouse", "dbt", "--quiet", "run", "--select", "int_exchange_rates__ranged"],
            capture_output=True,
            text=True,
        )
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"waiting for the lock of the state of converge, held by pid {pid} (role postgres" in said
    assert "lock timeout: the lock of the state of converge was not free within 1500ms" in said
