"""Reconciliation finds what loads by `updated_at` can't see, lands it once, and what it lands wins in the marts."""

import os
import signal
import subprocess
import threading
from dataclasses import replace
from importlib import import_module

import psycopg
import pytest
import yaml
from extract_scene import SHOP, at, command, order, wait_until

import extract_load
from extract_load.connectors import Reconciled
from extract_load.ledger import LEDGER_LOCK, snapshot_lock
from extract_load.tables import tables_of
from storehouse.core.errors import StorehouseError, TransientError
from storehouse.core.settings import PROJECT

MONDAY, TUESDAY, LONG_AGO = "2026-01-05 10:00", "2026-01-06 10:00", "2026-01-02 10:00"


def load(*tables: str) -> None:
    extract_load.load("shop", tables=tables or ["orders"])


def reconcile(table: str = "orders", **options) -> Reconciled:
    return extract_load.reconcile("shop", tables=[table], **options)[0]


def current(
    house, columns: str = "order_id, total_amount", table: str = "orders", key: str = "order_id"
) -> list[tuple]:
    """The living rows of raw, as dbt takes them: the greatest version, then load, then row."""
    return house.query(
        f"select {columns} from (select distinct on ({key}) * from raw_shop.{table} order by {key}, "
        "case when _op = 'd' and _supersedes is not null then _supersedes "
        "else greatest(updated_at, _supersedes, '1900-01-01') end desc, _load_id desc, _row desc) as current "
        f"where _op = 'u' order by {key}"
    )


@pytest.fixture
def landed(shop):
    """A shop with three orders that have landed, the watermark after the last."""
    shop.execute_in_shop(order(1, LONG_AGO) + order(2, MONDAY) + order(3, TUESDAY))
    load()
    return shop


def test_rows_as_at_the_source_land_nothing_and_one_ledger_row_says_so(landed):
    found = reconcile()
    assert (found.at_source, found.in_raw, found.found, found.unread) == (3, 3, {}, 0)
    assert found.load and found.load.rows == 0
    assert landed.query(
        "select kind, rows, interval_from, interval_until from raw.loads order by load_id desc limit 1"
    ) == [("reconcile", 0, None, None)]


def test_a_row_that_was_deleted_becomes_a_tombstone_with_its_last_known_values(landed):
    landed.execute_in_shop("delete from orders where order_id = 1")
    found = reconcile()
    assert found.found == {"deleted at the source": 1}
    assert landed.query("select order_id, total_amount, _op, _supersedes from raw_shop.orders where _load_id = 2") == [
        (1, 10, "d", at(LONG_AGO))
    ]
    assert current(landed) == [(2, 10), (3, 10)]
    assert reconcile().found == {}


def test_a_row_that_was_committed_late_is_landed_and_is_not_missing_again(landed):
    landed.execute_in_shop(order(4, LONG_AGO))
    assert reconcile(compare="keys").found == {"missing here (committed after their time had been read)": 1}
    assert (4, 10) in current(landed)
    assert reconcile().found == {}


@pytest.mark.parametrize(
    ("change", "words", "compare"),
    [
        ("total_amount = 12, updated_at = '2026-01-03 UTC'", "old here (a change was committed after its time", "keys"),
        ("total_amount = 12", "changed without updated_at", "columns"),
        ("total_amount = 12, updated_at = '2025-12-31 UTC'", "changed with updated_at set back", "keys"),
        ("deleted_at = '2026-01-03 UTC'", "marked as deleted without updated_at", "keys"),
    ],
)
def test_a_change_that_no_load_sees_is_landed_and_wins(landed, change, words, compare):
    landed.execute_in_shop(f"update orders set {change} where order_id = 1")
    load()
    assert (1, 10) in current(landed)
    (found,) = reconcile(compare=compare).found.items()
    assert found[0].startswith(words) and found[1] == 1
    assert current(landed) == ([] if "deleted" in change else [(1, 12)]) + [(2, 10), (3, 10)]
    assert reconcile(compare="columns").found == {}


def test_a_change_without_its_version_is_found_by_columns_alone(landed):
    landed.execute_in_shop("update orders set total_amount = 12 where order_id = 1")
    assert reconcile(compare="keys").found == {}
    assert reconcile(compare="columns").differences == 1


def test_a_key_that_comes_back_with_an_older_version_lives_again(landed):
    landed.execute_in_shop("delete from orders where order_id = 2")
    reconcile()
    landed.execute_in_shop(order(2, "2026-01-01", total="7"))
    assert reconcile().differences == 1
    assert (2, 7) in current(landed)


def test_a_key_that_comes_back_lives_again_with_the_next_load(landed):
    landed.execute_in_shop("delete from orders where order_id in (1, 3)")
    reconcile()
    landed.execute_in_shop(order(1, "2026-01-07", total="7") + order(3, TUESDAY, total="8"))
    load()
    assert current(landed) == [(1, 7), (2, 10), (3, 8)]
    assert reconcile().found == {}


def test_what_the_next_load_reads_is_left_to_it(landed):
    landed.execute_in_shop(order(2, "2026-01-07", total="12") + order(4, "2026-01-08"))
    found = reconcile()
    assert (found.found, found.unread, found.load and found.load.rows) == ({}, 2, 0)
    load()
    assert current(landed) == [(1, 10), (2, 12), (3, 10), (4, 10)]
    assert reconcile().unread == 0


def test_before_the_first_load_all_is_left_to_it(shop):
    shop.execute_in_shop(order(1, MONDAY))
    found = reconcile()
    assert (found.at_source, found.in_raw, found.differences, found.unread) == (1, 0, 0, 1)
    load()
    assert current(shop) == [(1, 10)]


def test_all_tables_can_be_compared_before_they_were_ever_loaded(shop):
    found = extract_load.reconcile("shop", compare="columns")
    assert [table.table for table in found] == ["shop.customers", "shop.orders", "shop.order_items", "shop.payments"]
    extract_load.load("shop")
    assert [table.found for table in extract_load.reconcile("shop", compare="columns")] == [{}] * 4


def test_a_version_that_was_set_back_within_the_overlap_is_landed_because_a_load_could_not_make_it_win(landed):
    landed.execute_in_shop(order(3, "2026-01-06 09:30", total="12"))
    load()
    assert (3, 10) in current(landed)
    assert reconcile(compare="keys").found == {"changed with updated_at set back": 1}
    assert (3, 12) in current(landed)


def test_a_later_change_wins_over_what_reconciliation_landed(landed):
    landed.execute_in_shop("update orders set total_amount = 12, updated_at = '2025-12-31 UTC' where order_id = 1")
    reconcile()
    landed.execute_in_shop(order(1, "2026-01-08", total="13"))
    load()
    assert (1, 13) in current(landed)


def test_rows_without_a_version_die_and_come_back(shop):
    shop.execute_in_shop(order(1, None) + order(2, None) + order(3, TUESDAY))
    load()
    shop.execute_in_shop("delete from orders where order_id in (1, 2)")
    assert reconcile().found == {"deleted at the source": 2}
    shop.execute_in_shop(order(1, None, total="12"))
    load()
    assert current(shop) == [(1, 12), (3, 10)]
    assert reconcile().differences == 0


def test_a_row_of_the_future_that_is_deleted_dies_and_can_come_back(landed):
    landed.execute_in_shop(order(4, "2999-01-01"))
    load()
    landed.execute_in_shop("delete from orders where order_id = 4")
    assert reconcile().found == {"deleted at the source": 1}
    assert landed.query("select _supersedes from raw_shop.orders where _op = 'd'") == [(at("1900-01-01"),)]


def test_keys_of_several_columns_and_rows_without_a_key(shop):
    lines = "insert into order_items (order_id, line_number, quantity, updated_at) values "
    shop.execute_in_shop(
        "alter table order_items drop constraint order_items_pkey, alter order_id drop not null, "
        "alter line_number drop not null;"
        f"{lines} (1, 2, 1, '{LONG_AGO}'), (2, 1, 1, '{LONG_AGO}'), (1, null, 1, '{LONG_AGO}'), "
        f"(null, null, 5, '{LONG_AGO}'), (null, null, 6, '{LONG_AGO}'), (9, 9, 1, '{TUESDAY}')"
    )
    load("order_items")
    shop.execute_in_shop(
        "delete from order_items where (order_id, line_number) = (1, 2) or quantity = 5;"
        f"{lines} (1, 1, 1, '{LONG_AGO}')"
    )
    assert sorted(reconcile("order_items").found.values()) == [1, 1]
    columns, key = "order_id, line_number", "order_id, line_number"
    whole = [row for row in current(shop, columns, "order_items", key) if None not in row]
    assert whole == [(1, 1), (2, 1), (9, 9)]


def test_keys_of_text_are_told_apart_though_the_source_takes_them_for_equal(shop):
    shop.execute_in_shop(
        "create extension citext; alter table payments alter payment_id type citext;"
        f"insert into payments (payment_id, updated_at) values ('straße', '{LONG_AGO}'), ('b ', '{TUESDAY}')"
    )
    load("payments")
    assert reconcile("payments").found == {}
    shop.execute_in_shop("update payments set payment_id = 'Straße' where payment_id = 'STRAßE'")
    assert sorted(reconcile("payments").found.values()) == [1, 1]
    assert current(shop, "payment_id", "payments", "payment_id") == [("Straße",), ("b ",)]
    assert reconcile("payments").found == {}


def test_columns_that_nobody_promised_are_not_compared_and_land_all_the_same(landed):
    landed.execute_in_shop("alter table orders add note text; update orders set note = 'x'")
    assert reconcile().found == {}
    landed.execute_in_shop("update orders set total_amount = 12 where order_id = 1")
    reconcile()
    assert landed.query("select order_id, note from raw_shop.orders where note is not null") == [(1, "x")]


def test_columns_may_be_called_as_anything_that_reconciliation_calls_its_own(landed):
    names = (
        "key_hash key_hash_2 row_hash op counts_as is_read verdict in_load in_row supersedes landed different hashed"
    )
    names += " landing load_id ended_at latest_at started_at interval_until kind living there current"
    for name in names.split():
        landed.execute_in_shop(f"alter table orders add {name} text default 'x'")
    landed.execute_in_shop(
        "delete from orders where order_id = 1; update orders set total_amount = 12;" + order(4, LONG_AGO)
    )
    load()
    assert sorted(reconcile().found.values()) == [1, 1, 1]
    assert current(landed, "order_id, total_amount, verdict") == [(2, 12, "x"), (3, 12, "x"), (4, 10, "x")]
    landed.execute_in_shop("delete from orders where order_id = 4")
    assert reconcile().differences == 1
    assert landed.query("select in_row from raw_shop.orders where order_id = 4 and _op = 'd'") == [("x",)]


def test_an_optional_column_may_come_and_go(shop):
    shop.execute_in_shop(
        f"insert into customers (customer_id, updated_at) values (1, '{LONG_AGO} UTC'), (2, '{TUESDAY} UTC')"
    )
    load("customers")
    shop.execute_in_shop("alter table customers add deleted_at timestamptz")
    assert reconcile("customers").found == {}
    shop.execute_in_shop("update customers set deleted_at = '2026-01-03' where customer_id = 1")
    assert reconcile("customers").differences == 1
    assert current(shop, "customer_id", "customers", "customer_id") == [(2,)]
    shop.execute_in_shop("alter table customers drop deleted_at")
    assert reconcile("customers").differences == 1
    assert current(shop, "customer_id", "customers", "customer_id") == [(1,), (2,)]


def test_a_view_is_compared_and_one_with_two_rows_a_key_says_what_to_do(landed):
    landed.execute_in_shop("alter table orders rename to stored; create view orders as select * from stored")
    assert reconcile().found == {}
    landed.execute_in_shop("create or replace view orders as select * from stored union all select * from stored")
    with pytest.raises(StorehouseError, match=r"keys \(order_id\) with more than one row in public.orders: 3.*view"):
        reconcile()


def test_an_empty_table_is_refused_unless_it_is_believed(landed):
    landed.execute_in_shop("delete from orders")
    with pytest.raises(StorehouseError, match=r"shop.orders is empty at the source and had rows before.*--allow-empty"):
        reconcile()
    assert reconcile(is_dry=True).differences == 3
    assert len(current(landed)) == 3
    assert reconcile(allow_empty=True).differences == 3
    assert current(landed) == []


def test_a_dry_run_lands_nothing_and_its_exit_code_says_that_something_differs(landed, run):
    landed.execute_in_shop("delete from orders where order_id = 1")
    dry = run("reconcile", "shop", "--tables", "orders", "--dry-run")
    assert dry.returncode == 1
    assert dry.stdout == "shop.orders: 1 differed: 1 deleted at the source; nothing was landed\n"
    assert landed.query("select count(*) from raw.loads") == [(1,)]
    real = run("reconcile", "shop", "--tables", "orders")
    assert real.returncode == 0
    assert real.stdout == (
        "shop.orders: 1 differed: 1 deleted at the source; see them: select * from raw_shop.orders where _load_id = 2\n"
    )
    again = run("reconcile", "shop", "--tables", "orders", "--dry-run")
    assert (again.returncode, again.stdout) == (0, "shop.orders: as at the source, columns of 2 rows\n")


def test_many_differences_are_landed_as_few_are(landed, monkeypatch):
    module = import_module("extract_load.connectors.postgres.reconcile")
    monkeypatch.setattr(module, "KEYS_IN_A_CONDITION", 1)
    monkeypatch.setattr(module, "BUCKETS", 2)
    landed.execute_in_shop("".join(order(n, LONG_AGO) for n in range(10, 30)) + "delete from orders where order_id = 1")
    assert sorted(reconcile().found.values()) == [1, 20]
    assert [key for key, _ in current(landed)] == [2, 3, *range(10, 30)]
    assert reconcile().found == {}


def test_a_table_that_is_read_in_full_can_be_compared_too(shop):
    shop.execute_in_shop(
        "alter table products add deleted_at timestamptz;"
        "insert into products (product_id, price) values ('a', 1), ('b', 2), ('c', 3)"
    )
    load("products")
    shop.execute_in_shop(
        "delete from products where product_id = 'a'; update products set price = 3 where product_id = 'b';"
        "update products set deleted_at = now() where product_id = 'c'; insert into products (product_id) values ('d')"
    )
    assert reconcile("products").found == {
        "deleted at the source": 1,
        "different": 1,
        "marked as deleted": 1,
        "missing here": 1,
    }
    load("products")
    assert shop.query("select rows from raw.loads order by load_id desc limit 1") == [(0,)]


def test_rows_of_every_type_have_equal_sums(shop, monkeypatch):
    (orders,) = [table for table in tables_of("shop") if table.name == "orders"]
    types = "n big f b j jb tags matrix u ts tz d t i flag c v r ip bits words money pair"
    names = types.split()
    promised = replace(orders, columns=orders.columns | {name: "text" for name in names})
    monkeypatch.setattr(extract_load, "_known", lambda source: [promised])
    shop.execute_in_shop("""
        create type pair as (a integer, b text);
        alter table orders
            add n numeric, add big numeric(38, 10), add f double precision, add b bytea, add j json, add jb jsonb,
            add tags text[], add matrix integer[][], add u uuid, add ts timestamp, add tz timestamptz(3), add d date,
            add t time, add i interval, add flag boolean, add c char(5), add v varchar(7), add r int4range,
            add ip inet, add bits bit(3), add words tsvector, add money money, add pair pair;
        insert into orders (order_id, updated_at, n, big, f, b, j, jb, tags, matrix, u, ts, tz, d, t, i, flag, c, v, r,
            ip, bits, words, money, pair)
        values (1, '2026-01-01', '1.10', 1234567890123456789012345678.0123456789, 0.1, '\\x00ff',
            '{"b": 1, "a": 1.10}', '{"x": 1.10, "t": "\\ttab"}', '{"a,b", NULL, "c\\"d"}', '{{1,2},{3,4}}',
            '00000000-0000-0000-0000-000000000001', '2026-01-01 00:00:00.123456', 'infinity', '0044-03-15 BC', '24:00',
            '1 mon 2 days 3.5 secs', true, 'ab', e'tab\tend', '[1,5)', '10.0.0.1/8', B'101', 'a:1 b:2', 12.5,
            row(3, 'north')), (2, '2026-01-02', 'NaN', null, '-0', '', null, 'null', '{}', null, null, '-infinity',
            null, 'infinity', null, null, false, '', '', 'empty', null, null, null, null, null);
    """)
    load()
    assert reconcile().found == {}
    for name in names:
        shop.execute_in_shop(f"update orders set {name} = null where order_id = 1")
        assert reconcile(is_dry=True).differences == 1
        reconcile()
    shop.execute_in_shop("update orders set n = 1.1 where order_id = 1")
    reconcile()
    shop.execute_in_shop("update orders set n = 1.10 where order_id = 1")
    assert reconcile().differences == 1


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_source_of_another_encoding_has_equal_sums(new_house, configure, server, encoding):
    name = f"reconciled_{encoding.lower()}"
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(f"create database {name} encoding '{encoding}' locale 'C' template template0")
    try:
        configure(SHOP_DATABASE_URL=server.conninfo(name))
        with psycopg.connect(server.conninfo(name), autocommit=True, client_encoding="utf8") as source:
            source.execute(SHOP)
            source.execute(
                "alter table payments alter payment_id type text;"
                f"insert into payments (payment_id, method, updated_at) values ('É', 'façade £', '{LONG_AGO}'), "
                f"('È', null, '{TUESDAY}')"
            )
            load("payments")
            assert reconcile("payments").found == {}
            source.execute("update payments set method = 'facade £' where payment_id = 'É'")
            assert reconcile("payments").differences == 1
            source.execute("delete from payments where payment_id = 'È'")
            assert reconcile("payments").found == {"deleted at the source": 1}
            assert new_house.query("select payment_id from raw_shop.payments where _op = 'd'") == [("È",)]
    finally:
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute(f"drop database {name} with (force)")


def waiting_for_the_ledger(house) -> bool:
    return house.query("select count(*) from pg_locks where locktype = 'advisory' and not granted")[0][0] > 0


def test_what_changes_at_the_source_meanwhile_is_not_landed_wrongly(landed):
    landed.execute_in_shop("delete from orders where order_id = 1")
    with psycopg.connect(landed.warehouse) as other:
        # It has compared and written its rows, and waits for its turn at the ledger.
        other.execute("select pg_advisory_xact_lock(%s)", [LEDGER_LOCK])
        reconciling = threading.Thread(target=reconcile)
        reconciling.start()
        wait_until(lambda: waiting_for_the_ledger(landed))
        landed.execute_in_shop(
            "delete from orders where order_id = 3;" + order(1, "2026-01-07", "7") + order(2, "2026-01-07", "8")
        )
        other.rollback()
        reconciling.join()
    assert current(landed) == [(2, 10), (3, 10)]
    load()
    assert current(landed) == [(1, 7), (2, 8), (3, 10)]
    assert reconcile().found == {"deleted at the source": 1}


def test_a_transaction_that_is_open_meanwhile_is_neither_missed_nor_taken_for_a_delete(landed):
    with psycopg.connect(landed.shop) as other:
        other.execute(order(4, LONG_AGO) + "delete from orders where order_id = 1")
        assert reconcile().found == {}
        other.commit()
    assert sorted(reconcile().found.values()) == [1, 1]
    assert [key for key, _ in current(landed)] == [2, 3, 4]


def test_a_reconciliation_that_is_killed_leaves_nothing_and_the_next_one_lands_all(landed):
    landed.execute_in_shop("delete from orders where order_id = 1;" + order(4, LONG_AGO))
    with psycopg.connect(landed.warehouse) as other:
        other.execute("select pg_advisory_xact_lock(%s)", [LEDGER_LOCK])
        process = subprocess.Popen(command("reconcile", "shop"), cwd=PROJECT, env=os.environ, stdout=subprocess.DEVNULL)
        wait_until(lambda: waiting_for_the_ledger(landed))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert [key for key, _ in current(landed)] == [1, 2, 3]
    reconcile()
    assert [key for key, _ in current(landed)] == [2, 3, 4]
    assert landed.query("select count(*) from raw_shop.orders where _load_id > 1") == [(2,)]


def test_sums_that_fail_here_end_those_at_the_source(landed):
    landed.execute_in_shop(
        "alter table orders rename to all_orders; create view orders as select * from all_orders "
        "where pg_sleep(case order_id when 1 then 3600 else 0 end) is not null"
    )
    with psycopg.connect(landed.warehouse) as warehouse:
        warehouse.execute("update raw.loads set interval_until = '294276-12-31 23:59 UTC'")
    said = []

    def compare() -> None:
        with pytest.raises(StorehouseError) as error:
            reconcile()
        said.append(str(error.value))

    threading.Thread(target=compare, daemon=True).start()
    wait_until(lambda: said)
    assert "The warehouse" in said[0] and "timestamp out of range" in said[0]


def test_loads_and_reconciliations_of_a_source_wait_for_each_other(landed, configure):
    configure(LOCK_WAIT_MINUTES=0.01)
    with psycopg.connect(landed.warehouse) as other:
        other.execute("select pg_advisory_xact_lock(%s)", [snapshot_lock("shop")])
        for work in (reconcile, load):
            with pytest.raises(TransientError, match="The lock of loads of shop was not free"):
                work()


def test_what_is_declared_is_due_once_a_day(landed, monkeypatch):
    daily = [replace(table, reconcile="keys") for table in tables_of("shop") if table.name == "orders"]
    monkeypatch.setattr(extract_load, "_known", lambda source: daily)
    assert [found.compare for found in extract_load.reconcile("shop", is_due=True)] == ["keys"]
    assert extract_load.reconcile("shop", is_due=True) == []
    assert len(extract_load.reconcile("shop", is_declared=True)) == 1
    with psycopg.connect(landed.warehouse) as warehouse:
        warehouse.execute("update raw.loads set started_at = started_at - interval '20 hours'")
    assert len(extract_load.reconcile("shop", is_due=True)) == 1
    monkeypatch.undo()
    assert extract_load.reconcile("shop", is_declared=True, tables=["products"]) == []


def test_a_command_compares_what_is_due_and_nothing_twice(landed, run):
    landed.execute_in_shop("delete from orders where order_id = 1")
    assert "1 deleted at the source" in run("reconcile", "shop", "--due").stdout
    assert run("reconcile", "shop", "--due").stdout == "No table is due.\n"


def test_only_a_database_can_be_reconciled(new_house, api):
    assert extract_load.reconcile("reviews") == []
    with pytest.raises(StorehouseError, match="reviews can't be reconciled: only a database can add up what it has"):
        extract_load.reconcile("reviews", tables=["reviews"])


def test_reconciliation_does_not_move_the_watermark(landed):
    landed.execute_in_shop(order(4, LONG_AGO))
    reconcile()
    landed.execute_in_shop(order(5, "2026-01-06 10:30"))
    load()
    assert (5, 10) in current(landed)


def test_a_row_without_a_usable_version_counts_here_as_it_does_in_dbt():
    module = import_module("extract_load.connectors.postgres.reconcile")
    variables = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]["storehouse"]
    assert variables["clock_tolerance_hours"] == module.CLOCK_TOLERANCE_HOURS
