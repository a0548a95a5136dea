"""One load is one transaction, positions grow in commit order, and the watermark is what the loads cover."""

import os
import re
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from extract_scene import at, command, order, wait_until

import extract_load
from extract_load.ledger import LEDGER_LOCK, watermark
from extract_load.tables import tables_of
from storehouse.core.databases import open_warehouse
from storehouse.core.errors import StorehouseError
from storehouse.core.queries import as_sql
from storehouse.core.settings import PROJECT

ORDERS = next(table for table in tables_of("shop") if table.name == "orders")


def waiting_for_the_ledger(house) -> bool:
    return house.query("select count(*) from pg_locks where locktype = 'advisory' and not granted")[0][0] > 0


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        command(*arguments),
        cwd=PROJECT,
        env=os.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # As at a terminal, where Ctrl-C is heard: what a script starts in the background ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_a_load_killed_in_the_middle_leaves_nothing_and_a_retry_lands_it(shop):
    shop.execute_in_shop("".join(order(n, "2026-01-01 10:00") for n in range(100)))
    extract_load.prepare()
    with psycopg.connect(shop.warehouse) as other:
        # The load has copied its rows and waits for its turn at the ledger when it is killed.
        other.execute("select pg_advisory_xact_lock(%s)", [LEDGER_LOCK])
        process = start("shop", "--tables", "orders")
        wait_until(lambda: waiting_for_the_ledger(shop))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.communicate()
    wait_until(
        lambda: (
            not shop.query(
                "select 1 from pg_locks where locktype = 'advisory' and database = "
                "(select oid from pg_database where datname = current_database())"
            )
        )
    )
    assert shop.query("select count(*) from raw.loads") == [(0,)]
    assert shop.query("select count(*) from raw_shop.orders") == [(0,)]

    (landed,) = extract_load.load("shop", tables=["orders"])

    assert landed.rows == 100
    assert shop.query("select count(*), count(distinct _load_id) from raw_shop.orders") == [(100, 1)]


def test_a_backend_killed_in_the_middle_is_one_clear_message_and_nothing_landed(shop, run):
    shop.execute_in_shop(order(1, "2026-01-01 10:00"))
    extract_load.prepare()
    with psycopg.connect(shop.warehouse, autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", [LEDGER_LOCK])
        process = start("shop", "--tables", "orders", "payments")
        wait_until(lambda: waiting_for_the_ledger(shop))
        other.execute("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and not granted")
        _, said = process.communicate(timeout=300)
    lines = said.decode().splitlines()
    assert process.returncode == 1
    assert len(lines) == 1 and lines[0].startswith("The connection to the warehouse 127.0.0.1:"), lines
    assert shop.query("select count(*) from raw_shop.orders") == [(0,)]


def test_control_c_ends_cleanly(shop):
    shop.execute_in_shop(order(1, "2026-01-01 10:00"))
    extract_load.prepare()
    with psycopg.connect(shop.warehouse, autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", [LEDGER_LOCK])
        process = start("shop", "--tables", "orders")
        wait_until(lambda: waiting_for_the_ledger(shop))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert said.decode().startswith("Interrupted.") and "Traceback" not in said.decode()
    assert shop.query("select count(*) from raw_shop.orders") == [(0,)]


def test_a_position_is_taken_when_a_load_commits_not_when_it_starts(shop, api):
    shop.execute_in_shop(order(1, "2026-01-01 10:00"))
    api.put("/reviews", {"review_id": "R-1", "updated_at": "2026-01-01T00:00:00Z"})
    asked, go_on = threading.Event(), threading.Event()

    def hold(number, path, query):
        asked.set()
        go_on.wait(10)

    api.instead = hold
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(extract_load.load, "reviews")
        assert asked.wait(10)
        (quick,) = extract_load.load("shop", tables=["orders"])
        go_on.set()
        (slow,) = slow.result()
    assert slow.load_id < quick.load_id
    positions = dict(shop.query("select load_id, position from raw.loads"))
    assert positions[quick.load_id] < positions[slow.load_id]


def test_once_a_position_is_visible_no_lower_one_appears(shop):
    shop.execute_in_shop("".join(order(n, "2026-01-01 10:00") for n in range(300)))
    extract_load.prepare()
    done, seen, broken = threading.Event(), set(), []

    def look() -> None:
        with psycopg.connect(shop.warehouse, autocommit=True) as reader:
            while not done.is_set():
                now = {position for (position,) in reader.execute("select position from raw.loads")}
                broken.extend(new for new in now - seen if seen and new < max(seen))
                seen.update(now)

    def load_often(tables: list[str]) -> None:
        for _ in range(25):
            extract_load.load("shop", tables=tables)

    looking = threading.Thread(target=look)
    looking.start()
    with ThreadPoolExecutor() as pool:
        list(pool.map(load_often, [["orders"], ["customers", "orders"], ["payments"], ["orders"]]))
    done.set()
    looking.join()
    assert not broken
    assert shop.query("select count(*) from raw.loads") == [(125,)]


def test_the_ledger_row_tells_what_was_landed(shop):
    shop.execute_in_shop(order(1, "2026-01-01 10:00") + order(2, "2026-01-02 10:00"))
    (landed,) = extract_load.load("shop", tables=["orders"], run_id="run-7")
    assert shop.query(
        "select source, table_name, partition, interval_from, interval_until, kind, rows, bytes, run_id, "
        "(started_at <= finished_at)::int, (checksum ~ '^crc32:[0-9a-f]{8}$')::int from raw.loads"
    ) == [
        ("shop", "orders", None, None, at("2026-01-02 10:00:00.000001"), "updated_at", 2, landed.bytes, "run-7", 1, 1)
    ]
    assert landed == (1, "shop", "orders", None, 2, landed.bytes)
    assert shop.query("select order_id, _load_id, _row, _op from raw_shop.orders order by 1") == [
        (1, 1, 1, "u"),
        (2, 1, 2, "u"),
    ]


def test_the_watermark_is_the_end_of_what_is_covered_without_a_gap(shop):
    extract_load.prepare()

    def covered(*intervals):
        with psycopg.connect(shop.warehouse) as connection:
            connection.execute("truncate raw.loads")
            for number, (from_, until) in enumerate(intervals):
                connection.execute(
                    "insert into raw.loads values "
                    "(%s, 'shop', 'orders', null, %s, %s, 'updated_at', 0, 0, '', now(), now(), null, %s)",
                    [number, from_, until, number],
                )
        with open_warehouse() as warehouse:
            return watermark(warehouse, ORDERS)

    day = [at(f"2026-01-{n:02}") for n in range(1, 10)]
    assert covered() is None
    assert covered((None, None)) is None
    assert covered((day[1], day[2])) is None
    assert covered((None, day[3])) == day[3]
    assert covered((None, day[3]), (day[0], day[1])) == day[3]
    assert covered((None, day[3]), (day[5], day[6])) == day[3]
    assert covered((day[5], day[6]), (None, day[3]), (day[3], day[5])) == day[6]
    assert covered((None, day[3]), (day[2], day[4])) == day[4]


@pytest.mark.parametrize(
    ("until", "starts_at"), [("0001-01-01", None), ("0044-03-15 BC", None), ("9999-12-31", "now"), ("infinity", "now")]
)
def test_an_odd_interval_in_the_ledger_breaks_no_later_load_and_hides_no_row(shop, until, starts_at):
    extract_load.prepare()
    with psycopg.connect(shop.warehouse) as connection:
        connection.execute(
            "insert into raw.loads values (nextval('raw.load_ids'), "
            "'shop', 'orders', null, null, %s, 'updated_at', 0, 0, '', now(), now(), null, 1)",
            [until],
        )
    shop.execute_in_shop(order(1, "2026-01-01") + order(2, "2026-01-01"))
    shop.execute_in_shop("update orders set updated_at = now() + interval '2 days' where order_id = 2")
    extract_load.load("shop", tables=["orders"])
    landed = [order_id for (order_id,) in shop.query("select order_id from raw_shop.orders order by 1")]
    assert landed == ([2] if starts_at else [1, 2])


def test_prepare_makes_every_table_and_can_run_at_once_and_again(new_house):
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: extract_load.prepare(), range(4)))
    extract_load.prepare()
    assert new_house.query(
        "select table_schema || '.' || table_name from information_schema.tables "
        "where starts_with(table_schema, 'raw') order by 1"
    ) == [
        ("raw.loads",),
        ("raw_marketplace.orders",),
        ("raw_operations.dbt_runs",),
        ("raw_operations.node_results",),
        ("raw_operations.pipeline_runs",),
        ("raw_operations.publications",),
        ("raw_reviews.reviews",),
        ("raw_shop.customers",),
        ("raw_shop.order_items",),
        ("raw_shop.orders",),
        ("raw_shop.payments",),
        ("raw_shop.products",),
        ("raw_stores.sales",),
    ]


def test_a_role_that_may_only_insert_can_load_and_is_told_what_it_lacks(shop, server, configure):
    shop.execute_in_shop(order(1, "2026-01-01 10:00"))
    role = f"lander_{shop.home.name[-8:]}".lower().replace("-", "_")
    with psycopg.connect(shop.warehouse, autocommit=True) as owner:
        owner.execute(f"create role {role} login password '{server.password}'")
        try:
            configure(WAREHOUSE_USER=role)
            database = shop.environment["WAREHOUSE_DATABASE"]
            advice = f"may not create them.*psql -d {database} .*-f deploy.*extract_load prepare"
            with pytest.raises(StorehouseError, match=advice):
                extract_load.load("shop", tables=["orders"])
            configure(WAREHOUSE_USER="postgres")
            extract_load.load("shop", tables=["orders"])
            owner.execute(
                f"grant usage on schema raw, raw_shop to {role}; grant usage on sequence raw.load_ids to {role};"
                f"grant select, insert on all tables in schema raw, raw_shop to {role};"
            )
            configure(WAREHOUSE_USER=role)
            (landed,) = extract_load.load("shop", tables=["orders"])
            assert landed.rows == 1
            shop.execute_in_shop("alter table orders add column gift_note text")
            with pytest.raises(StorehouseError, match=r"permission denied for function shape.*deploy/roles.sql"):
                extract_load.load("shop", tables=["orders"])
        finally:
            owner.execute(f"drop owned by {role}; drop role {role}")


def test_a_full_disk_is_one_clear_message_and_nothing_landed(shop):
    shop.execute_in_shop(order(1, "2026-01-01 10:00"))
    extract_load.prepare()
    with psycopg.connect(shop.warehouse) as connection:
        connection.execute(
            "create function full_disk() returns trigger language plpgsql as $$ begin "
            "raise exception 'could not extend file' using errcode = 'disk_full'; end $$;"
            "create trigger full_disk before insert on raw.loads for each row execute function full_disk()"
        )
    with pytest.raises(StorehouseError, match=r"could not extend file. The disk of the warehouse's server is full"):
        extract_load.load("shop", tables=["orders"])
    assert shop.query("select count(*) from raw_shop.orders") == [(0,)]


def test_a_large_first_load_leaves_statistics_behind(shop):
    shop.execute_in_shop(
        "insert into orders (order_id, updated_at) select n, '2026-01-01' from generate_series(1, 50000) as n"
    )
    extract_load.load("shop", tables=["orders"])
    assert shop.query("select reltuples from pg_class where oid = 'raw_shop.orders'::regclass") == [(50000,)]


ADDED = re.compile(r"alter table (raw\w*\.\w+)((?:\s+add column if not exists \w+ \w+,?)+);")


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (table, re.findall(r"if not exists (\w+)", columns))
        for table, columns in ADDED.findall((PROJECT / "extract_load" / "raw.sql").read_text())
    ],
)
def test_a_warehouse_of_an_earlier_version_gets_each_column_that_was_added(shop, table: str, columns: list[str]):
    shop.execute_in_shop(order(1, "2026-01-01"))
    extract_load.load("shop", tables=["orders"])
    with psycopg.connect(shop.warehouse, autocommit=True) as connection:
        for column in columns:
            connection.execute(as_sql(f"alter table {table} drop column {column}"))
    extract_load.load("shop", tables=["orders"])
    assert shop.query(f"select count(*) >= 0 from (select {', '.join(columns)} from {table}) as those") == [(True,)]


def test_a_warehouse_of_an_earlier_version_gets_what_open_transactions_and_reconciliation_need(shop):
    shop.execute_in_shop(order(1, "2026-01-01"))
    extract_load.load("shop", tables=["orders", "payments"])
    with psycopg.connect(shop.warehouse, autocommit=True) as connection:
        connection.execute("alter table raw.loads drop column settled_until")
        connection.execute("alter table raw_shop.orders drop column _supersedes")
    extract_load.load("shop", tables=["orders"])
    assert shop.query("select settled_until is null from raw.loads order by load_id") == [(True,), (True,), (False,)]
    shop.execute_in_shop("update orders set total_amount = 12")
    (found,) = extract_load.reconcile("shop", tables=["orders"])
    assert found.unread == 1
    assert shop.query("select distinct _supersedes from raw_shop.orders") == [(None,)]


def test_a_warehouse_of_an_earlier_version_gets_positions_and_other_indexes(shop):
    shop.execute_in_shop(order(1, "2026-01-01"))
    extract_load.load("shop", tables=["orders", "payments"])
    with psycopg.connect(shop.warehouse, autocommit=True) as connection:
        connection.execute("alter table raw.loads drop column position, drop column source_position")
        connection.execute("drop index raw_shop.orders__load_id_idx")
        connection.execute("alter table raw_shop.orders add primary key (_load_id, _row)")
    shop.execute_in_shop(order(2, "2026-01-02"))
    extract_load.load("shop", tables=["orders"])
    assert shop.query("select load_id, position, source_position from raw.loads order by 1") == [
        (1, 1, None),
        (2, 2, None),
        (3, 3, None),
    ]
    assert shop.query("select indexdef from pg_indexes where schemaname = 'raw_shop' and tablename = 'orders'") == [
        ("CREATE INDEX orders__load_id_idx ON raw_shop.orders USING brin (_load_id)",)
    ]


def test_a_warehouse_of_the_version_before_gets_positions_at_the_source(shop):
    shop.execute_in_shop(order(1, "2026-01-01"))
    extract_load.load("shop", tables=["orders"])
    with psycopg.connect(shop.warehouse) as connection:
        connection.execute("alter table raw.loads drop column source_position")
    extract_load.load("shop", tables=["orders"])
    assert shop.query("select load_id, source_position from raw.loads order by 1") == [(1, None), (2, None)]
