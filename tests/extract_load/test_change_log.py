"""Tables read by their change log: what stands in raw is what stands at the source, whatever happens between."""

import dataclasses
import os
import random
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from change_log_scene import (
    BOOKS,
    DECLARED,
    FULL_ROW,
    LONG,
    assert_same,
    confirmed,
    count,
    drop_slots,
    in_shop,
    load,
    positions,
)

import extract_load
from extract_load import tables
from extract_load.connectors import connector
from extract_load.connectors.postgres import change_log, replication
from storehouse.core.errors import StorehouseError

pytest_plugins = ["change_log_fixtures"]


KILLS = 30


def test_the_first_load_is_a_snapshot_and_the_next_ones_are_what_changed(books):
    books.execute_in_shop(FULL_ROW + 'insert into "Order Lines" values (1, 1, 2.50), (1, 2, null);')
    assert load() == {"accounts": 1, "lines": 2}
    assert_same(books)
    assert load() == {"accounts": 0, "lines": 0}
    books.execute_in_shop("""
        insert into accounts (id, name) values (2, 'two'), (3, null);
        update accounts set name = 'second' where id = 2;
        delete from accounts where id = 3;
        update "Order Lines" set "Total Amount" = 3.00 where line = 1;
    """)
    assert load() == {"accounts": 4, "lines": 1}
    assert books.query(
        "select id, name, _row, _op from raw_books.accounts where _load_id = (select max(load_id) from raw.loads "
        "where table_name = 'accounts') order by _row"
    ) == [(2, "two", 1, "u"), (3, None, 2, "u"), (2, "second", 3, "u"), (3, None, 4, "d")]
    assert_same(books)
    assert books.query("select distinct kind from raw.loads") == [("change_log",)]
    assert {confirmed(books)} == set(positions(books).values())


def test_a_row_reads_the_same_by_the_log_as_by_a_snapshot(books):
    load()
    books.execute_in_shop(FULL_ROW)
    assert load("accounts") == {"accounts": 1}
    columns = "id, name, note, state, code, balance, rate, is_active, opened, seen, tags, extra, place, wait, raw"
    by_log = books.query(f"select row({columns})::text from raw_books.accounts")
    assert load("accounts", snapshot=True) == {"accounts": 0}
    assert_same(books)
    assert len(by_log) == 1


def test_the_settings_of_a_role_or_a_database_do_not_matter(books):
    load()
    books.execute_in_shop(FULL_ROW)
    ((name,),) = in_shop(books, "select current_database()")
    odd = [
        "DateStyle = 'German, DMY'",
        "IntervalStyle = 'iso_8601'",
        "TimeZone = 'Asia/Kolkata'",
        "lock_timeout = '9ms'",
    ]
    odd += [
        "bytea_output = 'escape'",
        "extra_float_digits = -5",
        "search_path = 'nowhere'",
        "wal_sender_timeout = '1s'",
    ]
    books.execute_in_shop("".join(f"alter database {name} set {setting};" for setting in odd))
    try:
        assert load("accounts") == {"accounts": 1}
    finally:
        books.execute_in_shop(f"alter database {name} reset all")
    assert load("accounts", snapshot=True) == {"accounts": 0}


def test_a_text_that_is_not_in_the_encoding_of_its_database_is_told(books, configure, server):
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute("create database without_encoding encoding 'SQL_ASCII' locale 'C' template template0")
    other = dataclasses.replace(books, shop=server.conninfo("without_encoding"))
    try:
        configure(BOOKS_DATABASE_URL=other.shop)
        other.execute_in_shop(BOOKS)
        load()
        other.execute_in_shop("insert into accounts (id, name) select n, 'a' from generate_series(1, 100) as n")
        other.execute_in_shop("insert into accounts (id, name) values (101, convert_from('\\xe9', 'SQL_ASCII'))")
        with pytest.raises(StorehouseError, match="A text is not in the encoding that its database says"):
            load()
    finally:
        drop_slots(other)
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute("drop database without_encoding with (force)")


def test_an_unchanged_large_value_is_the_last_that_is_known(books):
    books.execute_in_shop(FULL_ROW)
    load()
    books.execute_in_shop("update accounts set name = 'x'; update accounts set balance = 7;")
    books.execute_in_shop(f"update accounts set note = {LONG} || 'other', name = 'y';")
    books.execute_in_shop("update accounts set name = 'z'; update accounts set id = 5; update accounts set name = 'w';")
    books.execute_in_shop("update accounts set id = 6, name = 'v';")
    assert load("accounts") == {"accounts": 9}
    assert_same(books, "accounts")
    assert books.query(
        "select id, name, note like '%other', _op from raw_books.accounts where _load_id > 2 order by _row"
    ) == [
        (1, "x", False, "u"),
        (1, "x", False, "u"),
        (1, "y", True, "u"),
        (1, "z", True, "u"),
        (1, "z", True, "d"),
        (5, "z", True, "u"),
        (5, "w", True, "u"),
        (5, "w", True, "d"),
        (6, "v", True, "u"),
    ]


def test_a_truncate_deletes_what_lives_at_its_place(books):
    books.execute_in_shop("insert into accounts (id, name) values (1, 'a'), (2, 'b')")
    load()
    books.execute_in_shop("delete from accounts where id = 2; insert into accounts (id, name) values (3, 'c'); ")
    books.execute_in_shop("truncate accounts; insert into accounts (id, name) values (3, 'again'), (4, 'd')")
    books.execute_in_shop("truncate accounts; insert into accounts (id, name) values (4, 'e')")
    load()
    assert_same(books)
    assert books.query("select id, name, _op from raw_books.accounts where _load_id > 2 order by _row, id") == [
        (2, "b", "d"),
        (3, "c", "u"),
        (1, "a", "d"),
        (3, "c", "d"),
        (3, "again", "u"),
        (4, "d", "u"),
        (3, "again", "d"),
        (4, "d", "d"),
        (4, "e", "u"),
    ]


def test_of_several_tables_whole_transactions_land_together_and_what_was_rolled_back_does_not(books):
    load()
    with psycopg.connect(books.shop) as open_, psycopg.connect(books.shop) as other:
        open_.execute("insert into accounts (id) values (1)")
        open_.execute('insert into "Order Lines" values (1, 1, 1)')
        other.execute("insert into accounts (id) values (2)")
        other.execute("savepoint a; insert into accounts (id) values (3); rollback to a; savepoint b")
        other.execute("update accounts set name = 'b' where id = 2; release b")
        other.commit()
        other.execute("insert into accounts (id) values (4)")
        other.rollback()
        assert load() == {"accounts": 2, "lines": 0}
        open_.commit()
    assert load() == {"accounts": 1, "lines": 1}
    assert_same(books)
    assert books.query("select id, name from raw_books.accounts order by _load_id, _row") == [
        (2, None),
        (2, "b"),
        (1, None),
    ]
    # One transaction of the warehouse a load.
    assert books.query("select count(distinct xmin::text) from raw.loads where load_id > 4") == [(1,)]


def test_a_change_of_the_key_is_a_delete_and_an_upsert_whatever_the_identity(books):
    books.execute_in_shop('alter table "Order Lines" replica identity full; insert into "Order Lines" values (1, 1, 5)')
    load()
    books.execute_in_shop('update "Order Lines" set line = 2; update "Order Lines" set "Total Amount" = 6')
    books.execute_in_shop('delete from "Order Lines"; insert into "Order Lines" values (1, 2, 7)')
    assert load("lines") == {"lines": 5}
    assert books.query(
        'select line, "Total Amount"::int, _op from raw_books.lines where _load_id > 2 order by _row'
    ) == [
        (1, 5, "d"),
        (2, 5, "u"),
        (2, 6, "u"),
        (2, 6, "d"),
        (2, 7, "u"),
    ]


def test_keys_that_change_places_keep_their_large_values(books):
    books.execute_in_shop(f"insert into accounts (id, note) select n, {LONG} || n from generate_series(1, 3) as n;")
    load()
    books.execute_in_shop(
        "update accounts set id = 10 where id = 1; update accounts set id = 1 where id = 2;"
        "update accounts set id = 2 where id = 10; update accounts set name = 'moved';"
        "update accounts set id = id + 100; update accounts set id = id - 99;"
    )
    load()
    assert_same(books)


def test_a_column_that_tells_deletes_means_what_it_means_otherwise(books):
    books.execute_in_shop("insert into accounts (id) values (1), (2)")
    load()
    books.execute_in_shop("update accounts set deleted_at = now() where id = 1")
    books.execute_in_shop("update accounts set deleted_at = 'infinity' where id = 2")
    load()
    assert books.query("select id, _op from raw_books.accounts where _load_id > 2 order by _row") == [
        (1, "d"),
        (2, "u"),
    ]


def test_a_load_of_one_table_keeps_for_the_others_what_they_have_not_read(books):
    load()
    books.execute_in_shop('insert into accounts (id) values (1); insert into "Order Lines" values (1, 1, 1)')
    assert load("accounts") == {"accounts": 1}
    assert confirmed(books) == positions(books)["lines"] != positions(books)["accounts"]
    books.execute_in_shop("update accounts set name = 'a'")
    assert load() == {"accounts": 1, "lines": 1}
    assert_same(books)


def test_what_commits_after_a_load_began_is_of_the_next_one(books, monkeypatch):
    load()
    end_of_log = change_log._end_of_log

    def and_more(source) -> tuple:
        found = end_of_log(source)
        books.execute_in_shop("set synchronous_commit = on; insert into accounts (id) values (2)")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(change_log, "_end_of_log", and_more)
        books.execute_in_shop("insert into accounts (id) values (1)")
        assert load("accounts") == {"accounts": 1}
    assert load("accounts") == {"accounts": 1}
    assert books.query("select id from raw_books.accounts order by _load_id, _row") == [(1,), (2,)]


def test_what_commits_after_a_snapshot_was_taken_is_of_the_next_load(books, monkeypatch):
    export_snapshot = change_log.export_snapshot

    def and_more(*given) -> tuple:
        found = export_snapshot(*given)
        books.execute_in_shop("set synchronous_commit = on; insert into accounts (id) values (2)")
        return found

    books.execute_in_shop("insert into accounts (id) values (1)")
    with monkeypatch.context() as patch:
        patch.setattr(change_log, "export_snapshot", and_more)
        assert load("accounts") == {"accounts": 1}
    assert load("accounts") == {"accounts": 1}
    assert_same(books, "accounts")


def test_an_interval_that_is_asked_for_does_not_matter(books):
    load()
    books.execute_in_shop("insert into accounts (id) values (1)")
    day = datetime(2026, 1, 1, tzinfo=UTC)
    extract_load.load("books", day, day + timedelta(days=1))
    assert connector("postgres").ready(tables.tables_of("books"), day + timedelta(days=1), day) is None
    assert_same(books)


def test_a_table_that_comes_late_begins_with_a_snapshot_of_its_own(books, declare):
    declare(accounts=DECLARED["accounts"])
    books.execute_in_shop('alter publication storehouse drop table "Order Lines"')
    load()
    books.execute_in_shop('insert into accounts (id) values (1); insert into "Order Lines" values (1, 1, 1)')
    declare()
    with pytest.raises(StorehouseError, match=r'"Order Lines" is not in the publication: .* add table public\."Order'):
        load()
    books.execute_in_shop('alter publication storehouse add table "Order Lines"')
    assert load() == {"accounts": 0, "lines": 1}
    books.execute_in_shop('update accounts set name = \'a\'; update "Order Lines" set "Total Amount" = 2')
    assert load() == {"accounts": 1, "lines": 1}
    assert_same(books)


def test_a_table_that_was_read_in_another_way_goes_on_by_its_change_log(books, declare):
    fields = ("key: [id]", "read: updated_at", "version: seen", "columns: {id: integer, seen: timestamptz}")
    declare(accounts="".join(f"\n            {field}" for field in fields))
    books.execute_in_shop("insert into accounts (id, seen) select n, now() from generate_series(1, 3) as n")
    load()
    books.execute_in_shop("delete from accounts where id = 1; update accounts set name = 'x' where id = 2")
    declare()
    assert load() == {"accounts": 2, "lines": 0}
    assert_same(books)


class Killed(BaseException):
    """Nothing of ours runs after it."""


AT = {
    "the slot is made": (change_log, "create_slot"),
    "the snapshot is there": (change_log, "export_snapshot"),
    "a first load has landed": (change_log, "land"),
    "the changes have come": (change_log, "_receive"),
    "some changes are written": (change_log, "land_changes"),
    "a ledger row is written": (change_log, "record"),
    "all has landed": (replication, "confirm"),
}


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("moment", AT)
def test_a_kill_loses_and_doubles_nothing(books, monkeypatch, moment, is_after):
    module, name = AT[moment]
    books.execute_in_shop("insert into accounts (id) values (1), (2)")
    begins_with_snapshot = module is change_log and name in ("create_slot", "export_snapshot", "land")
    if not begins_with_snapshot:
        load()
    books.execute_in_shop("insert into accounts (id) values (3); delete from accounts where id = 2; ")
    real = getattr(module, name)

    def killed(*arguments, **named):
        if is_after:
            real(*arguments, **named)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, name, killed)
        with pytest.raises(Killed):
            load()
    books.execute_in_shop("update accounts set name = 'x' where id = 3")
    load()
    assert_same(books)
    versions = books.query("select id, name, _op from raw_books.accounts order by _load_id, _row")
    assert sorted(set(versions), key=versions.index) == versions
    assert load() == {"accounts": 0, "lines": 0}


def test_a_process_that_is_killed_at_any_moment_loses_and_doubles_nothing(books):
    books.execute_in_shop("insert into accounts (id, name) select n, 'a' from generate_series(1, 2000) as n")
    chance, number = random.Random(7), 2000
    for _ in range(KILLS):
        number += 1
        books.execute_in_shop(
            f"insert into accounts (id, note) values ({number}, {LONG});"
            f"update accounts set name = name || 'b' where id % 100 = {number % 100};"
            f"update accounts set id = -id where id = {number - 5}; delete from accounts where id = {number - 50};"
        )
        if not (child := os.fork()):
            with suppress(BaseException):
                load()
            os._exit(0)
        time.sleep(chance.uniform(0.02, 0.6))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    load()
    assert_same(books)
    # Each version was landed once.
    assert books.query(
        "select count(*) from (select id, name, _op from raw_books.accounts where id <= 2000 and id > 0 "
        "group by 1, 2, 3 having count(*) > 1) as doubled"
    ) == [(0,)]


def test_a_transaction_larger_than_memory_passes_through_a_file(books):
    load()

    def peak() -> int:
        """MB that a load needs, in a process of its own."""
        if not (child := os.fork()):
            load()
            os._exit(0)
        _, status, used = os.wait4(child, 0)
        assert status == 0
        return used.ru_maxrss >> 10

    without = peak()
    books.execute_in_shop(
        "insert into accounts (id, note) select n, repeat(md5(n::text), 20) from generate_series(1, 150000) as n"
    )
    assert peak() < without + 40
    assert count(books) == 150_000


def test_a_change_that_can_not_land_keeps_its_table_back_and_no_other(books):
    books.execute_in_shop(FULL_ROW)
    load()
    with psycopg.connect(books.warehouse) as connection:
        connection.execute("update raw_books.accounts set note = null")
    books.execute_in_shop("update accounts set name = 'a'; insert into \"Order Lines\" values (1, 1, 1)")
    with pytest.raises(StorehouseError, match=r"changes leave out values that raw does not have.* --snapshot"):
        load()
    assert count(books, "lines") == count(books) == 1
    assert confirmed(books) == positions(books)["accounts"] != positions(books)["lines"]
    load("accounts", snapshot=True)
    assert load() == {"accounts": 0, "lines": 0}
    assert_same(books)


def test_partitions_are_read_under_the_name_of_their_table(books):
    books.execute_in_shop("""
        drop table accounts;
        create table accounts (id int, name text, balance numeric, deleted_at timestamptz, primary key (id, name))
            partition by list (name);
        create table accounts_a partition of accounts for values in ('a');
        create table accounts_b partition of accounts for values in ('b');
        alter publication storehouse add table accounts;
    """)
    with pytest.raises(
        StorehouseError, match=r"alter publication storehouse set \(publish_via_partition_root = true\)"
    ):
        load()
    books.execute_in_shop("alter publication storehouse set (publish_via_partition_root = true)")
    load(snapshot=True)
    books.execute_in_shop("insert into accounts values (1, 'a'), (2, 'b'); update accounts set name = 'b' where id = 1")
    load()
    assert_same(books)
    books.execute_in_shop("truncate accounts")
    load()
    assert_same(books)


def test_a_column_that_comes_or_goes_lands_as_in_other_ways_and_a_changed_type_is_refused(books, caplog):
    books.execute_in_shop("insert into accounts (id, name) values (1, 'a')")
    load()
    books.execute_in_shop("update accounts set name = 'b'; alter table accounts add gift text, drop rate;")
    books.execute_in_shop("update accounts set gift = 'c'; insert into accounts (id, gift) values (2, 'd')")
    assert load("accounts") == {"accounts": 3}
    assert "books.accounts: new column gift (text), landed from load 3 on" in caplog.text
    assert_same(books)
    books.execute_in_shop("insert into accounts (id) values (3); alter table accounts alter balance type text")
    with pytest.raises(StorehouseError, match=r"books.accounts: balance is text, and must be a number"):
        load()
    books.execute_in_shop("alter table accounts alter balance type bigint using 1")
    with pytest.raises(StorehouseError, match=r"books.accounts: the column balance is bigint at the source now"):
        load()
    # The other table went on, and the slot holds what this one has not read.
    assert confirmed(books) == positions(books)["accounts"] != positions(books)["lines"]
    with psycopg.connect(books.warehouse) as connection:
        connection.execute("alter table raw_books.accounts alter balance type bigint")
    load()
    assert_same(books)
