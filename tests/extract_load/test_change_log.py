"""Tables read by their change log: what stands in raw is what stands at the source, whatever happens between."""

import dataclasses
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from extract_scene import wait_until
from houses import House
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import extract_load
from extract_load import discovery, tables
from extract_load.connectors import connector
from extract_load.connectors.postgres import change_log, replication
from extract_load.ledger import LoadResult
from storehouse.core import databases
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT, settings
from storehouse.laptop.server import Server, binaries, not_root

KILLS = 30

BOOKS = """
    create type state as enum ('open', 'paid');
    create domain amount as numeric(18, 2);
    create table accounts (
        id bigint primary key, name text, note text, state state default 'open', code char(5), balance amount,
        rate double precision, is_active boolean, opened timestamp, seen timestamptz, tags text[], extra jsonb,
        place inet, wait interval, raw bytea, deleted_at timestamptz
    );
    create table "Order Lines" ("Order No" bigint, line int, "Total Amount" numeric, primary key ("Order No", line));
    drop publication if exists storehouse;
    create publication storehouse for table accounts, "Order Lines";
"""
LIMITS = """
            refused: {limit_percent: 5, least_refused: 20, reason: A test's}
            freshness: {warn_hours: 26, error_hours: 194, reason: A test's}
"""
SOURCE = """
sources:
  - name: books
    schema: raw_books
    config: {meta: {connector: postgres, connection: BOOKS_DATABASE_URL, read: change_log}}
    tables:
"""
DECLARED = {
    "accounts": """
            key: [id]
            deleted: deleted_at
            columns: {id: integer, name: text, balance: numeric, deleted_at: timestamptz}
            optional: [deleted_at]
""",
    "lines": """
            table: Order Lines
            key: [Order No, line]
            columns: {Order No: integer, line: integer, Total Amount: numeric}
""",
}
LONG = "(select string_agg(md5(n::text), '') from generate_series(1, 400) as n)"


@pytest.fixture
def declare(tmp_path, monkeypatch) -> Iterator[Callable[..., None]]:
    """Declare the source's tables, each by its fields; `source` is what all have."""
    monkeypatch.setattr(tables, "STAGING", tmp_path / "staging")

    def write(source: str = SOURCE, **of: str) -> None:
        file = tmp_path / "staging" / "books" / "_books__sources.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            source
            + "".join(
                f"      - name: {name}\n        config:\n          meta:{meta.rstrip()}{LIMITS.rstrip()}\n"
                for name, meta in (of or DECLARED).items()
            )
        )
        tables._tables.cache_clear()

    yield write
    tables._tables.cache_clear()


@pytest.fixture
def books(new_house: House, declare, configure) -> Iterator[House]:
    """A house whose source has the tables, without rows, and a publication of them."""
    configure(BOOKS_DATABASE_URL=new_house.shop)
    settings.cache_clear()
    drop_slots(new_house)
    new_house.execute_in_shop(BOOKS)
    declare()
    yield new_house
    drop_slots(new_house)


def drop_slots(house: House) -> None:
    """A database with a slot can't be dropped."""
    mine = "from pg_replication_slots where database = current_database()"
    with psycopg.connect(house.shop, autocommit=True) as connection:
        connection.execute(f"select pg_terminate_backend(active_pid, 5000) {mine}")
        connection.execute(f"select pg_drop_replication_slot(slot_name) {mine}")


def load(*names: str, **options) -> dict[str, int]:
    """Rows landed, by table."""
    return {result.table: result.rows for result in results(*names, **options)}


def results(*names: str, **options) -> list[LoadResult]:
    return extract_load.load("books", tables=names or None, **options)


PLACES = {"accounts": ("accounts", ["id"]), "lines": ('"Order Lines"', ["Order No", "line"])}


def in_shop(house: House, statement: str) -> list[tuple]:
    with psycopg.connect(house.shop) as connection:
        return connection.execute(statement).fetchall()


def assert_same(house: House, *names: str) -> None:
    """What lives in raw is what stands at the source, value for value, as an ordinary load lands it."""
    for name in names or PLACES:
        place, key = PLACES[name]
        columns = [
            column
            for (column,) in in_shop(
                house,
                f"select attname from pg_attribute where attrelid = '{place}'::regclass and attnum > 0 "
                "and not attisdropped order by attnum",
            )
        ]
        keys = ", ".join(f'"{column}"' for column in key)
        # As text, which an enum, an interval or a `char` is in raw.
        texts = ", ".join(f'"{column}"::text' for column in columns)
        landed = house.query(
            f"select {texts} from (select distinct on ({keys}) * from raw_books.{name} "
            f"order by {keys}, _load_id desc, _row desc) as current where _op = 'u' order by {keys}"
        )
        condition = "deleted_at is null" if "deleted_at" in columns else "true"
        assert landed == in_shop(house, f"select {texts} from {place} where {condition} order by {keys}")


def positions(house: House) -> dict[str, str]:
    return dict(
        house.query(
            "select distinct on (table_name) table_name, split_part(source_position, '/', 3) || '/' || "
            "split_part(source_position, '/', 4) from raw.loads order by table_name, position desc"
        )
    )


def confirmed(house: House) -> str:
    return in_shop(house, "select confirmed_flush_lsn::text from pg_replication_slots")[0][0]


FULL_ROW = f"""
    insert into accounts values (
        1, 'a\tb\\n"c"', {LONG}, 'paid', 'ab', 1.50, 0.1, true, '2026-01-01 12:00', '2026-01-01 12:00+02',
        '{{a,"b c"}}',
        '{{"a": [1, 2.50]}}', '10.0.0.1', '1 mon 2 days 03:04:05.6', '\\x00ff', null
    );
"""


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


def count(house: House, table: str = "accounts") -> int:
    return house.query(f"select count(*) from raw_books.{table}")[0][0]


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


# Kills.


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


# What breaks the log.


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


def test_a_change_that_was_logged_without_its_key_is_refused(books):
    books.execute_in_shop("insert into accounts (id, opened) values (1, now()), (2, '2026-01-01')")
    books.execute_in_shop(
        "alter table accounts alter opened set not null; create unique index other on accounts (opened)"
    )
    load()
    books.execute_in_shop("alter table accounts replica identity using index other; delete from accounts where id = 1")
    books.execute_in_shop("alter table accounts replica identity default")
    with pytest.raises(StorehouseError, match=r"changes were logged without the key \(id\).*--snapshot"):
        load()
    load("accounts", snapshot=True)
    assert_same(books)


@pytest.mark.parametrize(
    ("meanwhile", "words"),
    [
        # Nothing that identifies the row changes: so the log has no old row, and nobody knows of the key that is gone.
        (
            "alter table accounts replica identity using index other; update accounts set id = 3 where id = 1;"
            "alter table accounts replica identity default",
            "without the key",
        ),
        (
            "alter table accounts rename name to title;"
            "insert into accounts (id, title, opened) values (3, 'c', now());"
            "alter table accounts rename title to name",
            "while a column was missing, or had another name",
        ),
    ],
)
def test_changes_of_a_table_that_was_another_for_a_while_are_refused(books, meanwhile, words):
    books.execute_in_shop("insert into accounts (id, opened) values (1, now()), (2, '2026-01-01')")
    books.execute_in_shop(
        "alter table accounts alter opened set not null; create unique index other on accounts (opened)"
    )
    load()
    books.execute_in_shop(meanwhile)
    with pytest.raises(StorehouseError, match=rf"changes were logged {words}.*--snapshot"):
        load()
    load("accounts", snapshot=True)
    assert_same(books)


@pytest.mark.parametrize("away", ["rename to away", "set schema away"])
def test_a_table_that_has_another_name_for_a_while_is_read_all_the_same(books, away):
    books.execute_in_shop("create schema away; insert into accounts (id) values (1)")
    load()
    name = "away.accounts" if "schema" in away else "away"
    back = "set schema public" if "schema" in away else "rename to accounts"
    books.execute_in_shop(
        f"alter table accounts {away}; delete from {name}; insert into {name} (id) values (2);alter table {name} {back}"
    )
    assert load("accounts") == {"accounts": 2}
    assert_same(books)


ALTERED = {
    "renamed": "rename note to remark",
    "new with a default": "add gift int default 7",
    "new with a default of each row": "add gift uuid default gen_random_uuid()",
    "new under an old name": "drop rate, add rate double precision",
    "new, and rewritten": "add gift text; update accounts set gift = 5; "
    "alter table accounts alter gift type bigint using gift::bigint * 2",
    "rewritten": "alter rate type double precision using rate * 100",
    "rewritten with more digits": "alter balance type numeric(18, 4)",
}
NOT_ALTERED = {
    "new": "add gift text",
    "gone": "drop rate",
    "not null": "alter name set not null",
    "a default": "alter name set default 'x'",
    "wider": "alter title type varchar(20)",
}


@pytest.mark.parametrize("how", ALTERED | NOT_ALTERED)
def test_values_that_alter_table_has_changed_are_read_in_full(books, caplog, how):
    books.execute_in_shop("alter table accounts add title varchar(10)")
    books.execute_in_shop(
        "insert into accounts (id, name, note, rate, balance) select n, 'a', 'b', n, n from generate_series(1, 9) n"
    )
    load()
    books.execute_in_shop("update accounts set name = 'x' where id = 1")
    books.execute_in_shop(f"alter table accounts {(ALTERED | NOT_ALTERED)[how]}")
    books.execute_in_shop('delete from accounts where id = 2; insert into "Order Lines" values (1, 1, 1)')
    load()
    assert ("The log has no such values: read in full" in caplog.text) == (how in ALTERED)
    if how != "gone":
        assert_same(books)
    books.execute_in_shop("update accounts set name = 'y' where id = 3")
    assert load() == {"accounts": 1, "lines": 0}


def test_a_table_that_is_packed_is_not_read_in_full(books):
    books.execute_in_shop("insert into accounts (id) values (1), (2)")
    load()
    with psycopg.connect(books.shop, autocommit=True) as connection:
        connection.execute("vacuum full accounts")
    books.execute_in_shop("update accounts set name = 'x' where id = 1")
    assert load("accounts") == {"accounts": 1}


GAPS = {
    "the slot is dropped": ("select pg_drop_replication_slot(slot_name) from pg_replication_slots", "is gone"),
    "another has read it": (
        "select pg_replication_slot_advance(slot_name, pg_current_wal_insert_lsn()) from pg_replication_slots",
        "after the last load .*: another has read it, or the warehouse was restored",
    ),
    "the table is made anew": (
        "create table other (like accounts including all); drop table accounts; alter table other rename to accounts;"
        "alter publication storehouse add table accounts",
        "was made anew or altered",
    ),
    "it was out of the publication": (
        "alter publication storehouse drop table accounts; alter publication storehouse add table accounts",
        "was made anew or altered",
    ),
    "its schema was out of the publication": (
        "alter publication storehouse set tables in schema other;"
        "alter publication storehouse set tables in schema public",
        "was made anew or altered",
    ),
    "the publication had less": (
        "alter publication storehouse set (publish = 'insert');"
        "alter publication storehouse set (publish = 'insert, update, delete, truncate')",
        "was made anew or altered",
    ),
}


@pytest.mark.parametrize("gap", GAPS)
def test_a_gap_ends_in_words_and_a_new_snapshot_lands_the_differences(books, gap):
    books.execute_in_shop("insert into accounts (id, name) values (1, 'a'), (2, 'b'), (3, 'c')")
    if "schema" in gap:
        books.execute_in_shop("create schema other; alter publication storehouse set tables in schema public")
    load()
    books.execute_in_shop("delete from accounts where id = 1; update accounts set name = 'x' where id = 2")
    statement, words = GAPS[gap]
    books.execute_in_shop(statement)
    for _ in range(2):
        with pytest.raises(StorehouseError, match=rf"{words}.* python -m extract_load books .*--snapshot"):
            load("accounts")
    books.execute_in_shop("insert into accounts (id) values (4)")
    load(snapshot=True, allow_empty=True)
    assert_same(books)
    books.execute_in_shop("insert into accounts (id) values (5)")
    assert load()["accounts"] == 1
    assert_same(books)


@pytest.mark.parametrize(
    ("of", "words"),
    [
        ("'1' || source_position", "is another server than the one it was read from"),
        ("regexp_replace(source_position, '/1/', '/7/')", "was restored, or another server took over"),
        ("regexp_replace(source_position, '/1/[^/]+/[^/]+/', '/1/FFFF/0/')", "before the last load"),
    ],
    ids=["another server", "another timeline", "an earlier time"],
)
def test_a_source_that_is_not_where_it_was_read_from_ends_in_words(books, of, words):
    load()
    with psycopg.connect(books.warehouse) as connection:
        connection.execute(f"update raw.loads set source_position = {of}")
    with pytest.raises(StorehouseError, match=words):
        load()
    load(snapshot=True)
    assert load() == {"accounts": 0, "lines": 0}


def test_a_slot_that_the_source_has_given_up_ends_in_words(books):
    load()
    with psycopg.connect(books.shop, autocommit=True) as connection:
        connection.execute("alter system set max_slot_wal_keep_size = '1MB'")
        connection.execute("select pg_reload_conf()")
        try:
            for _ in range(4):
                connection.execute("select pg_logical_emit_message(false, 'a', 'b'), pg_switch_wal()")
            connection.execute("insert into accounts (id) values (1)")
            connection.execute("checkpoint")
        finally:
            connection.execute("alter system reset max_slot_wal_keep_size")
            connection.execute("select pg_reload_conf()")
    with pytest.raises(StorehouseError, match=r"slot storehouse_books can't be read any more \(wal_removed\)"):
        load()
    assert load(snapshot=True) == {"accounts": 1, "lines": 0}


LACKS = {
    "a key that two rows may have for a moment": "alter table accounts drop constraint accounts_pkey, "
    "add primary key (id) deferrable, replica identity full",
    "a key that two rows may have": "alter table accounts drop constraint accounts_pkey, replica identity full",
    "no publication": "drop publication storehouse",
    "a table that is not in it": "alter publication storehouse drop table accounts",
    "deletes that are not in it": "alter publication storehouse set (publish = 'insert, update, truncate')",
    "no identity": "alter table accounts replica identity nothing",
    "an identity that is another index": (
        "create unique index other on accounts (opened); alter table accounts alter opened set not null;"
        "alter table accounts replica identity using index other"
    ),
    "a filter": "alter publication storehouse drop table accounts;"
    "alter publication storehouse add table accounts where (id > 5)",
    "a list of columns": "alter publication storehouse drop table accounts;"
    "alter publication storehouse add table accounts (id, name, balance, deleted_at)",
    "a generated column": "alter table accounts drop name; alter table accounts add name text "
    "generated always as (note || 'x') stored",
}


@pytest.mark.parametrize("lack", LACKS)
def test_what_a_source_lacks_is_told_with_the_statement_that_mends_it(books, lack):
    books.execute_in_shop(LACKS[lack])
    with pytest.raises(StorehouseError, match=r"books.accounts can't be read by its change log\. ") as error:
        load()
    (told,) = [line for line in str(error.value).splitlines() if "books.accounts" in line]
    assert any("change log" in words for words in discovery.differences("books")["books.accounts"])
    statement = re.search(
        r"(?:alter|create) (?:table|publication|unique index)[^;(]*(?:\([^)]*\)[^;(]*)*(?:; alter[^;]*)?", told
    )
    books.execute_in_shop(re.split(", with which|, or read it| \\(deploy", statement[0])[0])
    books.execute_in_shop("insert into accounts (id, note, opened) values (7, 'a', now())")
    if lack == "no publication":
        books.execute_in_shop('alter publication storehouse add table "Order Lines"')
    # What alters the publication makes the other table's place in it a new one.
    load(snapshot=True)
    books.execute_in_shop("update accounts set note = 'b'; delete from accounts")
    load()
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


def test_the_slot_is_one_that_goes_on_at_a_standby_unless_it_shall_not(books, declare):
    load()
    assert in_shop(books, "select failover from pg_replication_slots") == [(True,)]
    drop_slots(books)
    declare(SOURCE.replace("read: change_log", "read: change_log, failover: false"))
    load(snapshot=True)
    assert in_shop(books, "select failover from pg_replication_slots") == [(False,)]


def test_wal_that_is_held_is_told_and_limited_as_declared(books, declare, caplog):
    load()
    books.execute_in_shop(f"insert into accounts (id, note) select n, {LONG} from generate_series(1, 5000) as n")
    held = "read: change_log, wal: {warn_gb: 0.001, limit_gb: %s, beyond: %s}"
    declare(SOURCE.replace("read: change_log", held % (50, "fail")))
    load("lines")
    assert re.search("books: the source holds 0.. GB of WAL for the slot storehouse_books, .* wal.warn_gb", caplog.text)
    declare(SOURCE.replace("read: change_log", held % (0.001, "fail")))
    with pytest.raises(
        StorehouseError, match=r"more than wal.limit_gb. .* pg_drop_replication_slot\('storehouse_books'\)"
    ):
        load("lines")
    declare(SOURCE.replace("read: change_log", held % (0.001, "drop_slot")))
    with pytest.raises(StorehouseError, match=r"the slot was dropped. .*extract_load books --snapshot"):
        load("lines")
    assert in_shop(books, "select count(*) from pg_replication_slots") == [(0,)]
    with pytest.raises(StorehouseError, match=r"slot storehouse_books is gone"):
        load()


def test_wal_is_limited_too_when_no_table_can_be_read(books, declare):
    load()
    books.execute_in_shop(f"insert into accounts (id, note) select n, {LONG} from generate_series(1, 5000) as n")
    books.execute_in_shop("drop publication storehouse")
    limits = "read: change_log, wal: {warn_gb: 0.001, limit_gb: 0.001, beyond: drop_slot}"
    declare(SOURCE.replace("read: change_log", limits))
    with pytest.raises(StorehouseError, match=r"there is no publication(.|\n)*the slot was dropped"):
        load()
    assert in_shop(books, "select count(*) from pg_replication_slots") == [(0,)]


def test_a_large_transaction_of_other_tables_does_not_end_a_load_before_its_time(books, monkeypatch):
    monkeypatch.setattr(replication, "_STANDS_STILL", 0.05)
    books.execute_in_shop("create table other (id int)")
    load()
    books.execute_in_shop("insert into other select generate_series(1, 500000)")
    books.execute_in_shop("insert into accounts (id) values (1)")
    assert load("accounts") == {"accounts": 1}


def test_a_source_that_waits_for_its_standby_is_told_of(books, caplog):
    load()
    books.execute_in_shop(f"insert into accounts (id, note) select n, {LONG} from generate_series(1, 500) as n")
    with psycopg.connect(books.shop, autocommit=True) as connection:
        connection.execute("select pg_create_physical_replication_slot('standby')")
        try:
            connection.execute("alter system set synchronized_standby_slots = 'standby'")
            connection.execute("select pg_reload_conf()")
            assert load("accounts") == {"accounts": 0}
        finally:
            connection.execute("alter system reset synchronized_standby_slots")
            connection.execute("select pg_reload_conf()")
            connection.execute("select pg_drop_replication_slot('standby')")
    assert "it may wait for a standby (synchronized_standby_slots)" in caplog.text
    assert load("accounts") == {"accounts": 500}


def test_a_snapshot_is_of_tables_of_the_change_log_alone(books, declare):
    fields = ("key: [id]", "read: full", "columns: {id: integer}")
    declare(accounts="".join(f"\n            {field}" for field in fields), lines=DECLARED["lines"])
    assert load(snapshot=True) == {"lines": 0}
    with pytest.raises(StorehouseError, match=r"tables that are read by change_log\. Of books that is: lines"):
        load("accounts", snapshot=True)


def test_a_change_log_that_waits_for_open_transactions_says_so(books, caplog):
    caplog.set_level("INFO", logger="extract_load")
    with psycopg.connect(books.shop) as other, ThreadPoolExecutor() as pool:
        other.execute("insert into accounts (id, note) values (77, 'late')")
        first = pool.submit(load)
        wait_until(lambda: "books: the change log begins when the transactions have ended that are open" in caplog.text)
        assert not first.done()
        other.commit()
        assert first.result()["accounts"] == count(books)


def test_without_a_free_slot_or_with_one_that_another_reads_a_load_says_so(books, monkeypatch):
    monkeypatch.setattr(replication, "_SLOT_FREE_WITHIN", 0.2)
    load()
    with psycopg.connect(books.shop, autocommit=True) as connection:
        with closing(databases.open_replication("BOOKS_DATABASE_URL", "books")) as other:
            replication._start(other, "storehouse_books", "storehouse")
            with pytest.raises(StorehouseError, match="Another session reads the slot storehouse_books"):
                load()
        drop_slots(books)
        free = connection.execute("select current_setting('max_replication_slots')::int").fetchone()[0]
        connection.execute(
            "select pg_create_physical_replication_slot('other_' || n) from generate_series(1, %s) as n", [free]
        )
        try:
            with pytest.raises(StorehouseError, match=r"all replication slots are in use.* max_replication_slots"):
                load(snapshot=True)
        finally:
            connection.execute(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_type = 'physical'"
            )


def test_the_set_up_script_gives_a_role_that_can_load_and_nothing_else(books, declare, configure, server):
    role, database = f"reader_{books.home.name[-8:]}".lower().replace("-", "_"), books.shop
    books.execute_in_shop("drop publication storehouse; create table other (id int)")
    place = conninfo_to_dict(database)
    command = [str(binaries() / "psql"), "-X", "-h", place["host"], "-p", place["port"], "-U", "postgres"]
    command += ["-d", place["dbname"], "-f", str(PROJECT / "deploy" / "change_log.sql"), "-v", f"role={role}"]

    def set_up(tables: str) -> subprocess.CompletedProcess:
        environment = {"PGPASSWORD": server.password}
        return subprocess.run([*command, "-v", f"tables={tables}"], env=environment, capture_output=True, text=True)

    assert "has no primary key" in set_up("public.accounts public.other").stderr
    assert in_shop(books, "select count(*) from pg_publication") == [(0,)]
    try:
        for _ in range(2):
            done = set_up('public.accounts, public."Order Lines"')
            assert done.returncode == 0, done.stderr
        books.execute_in_shop(f"alter role {role} password '{server.password}'")
        configure(BOOKS_DATABASE_URL=make_conninfo(database, user=role))
        books.execute_in_shop(FULL_ROW)
        load()
        books.execute_in_shop("update accounts set name = 'b'; insert into accounts (id) values (2)")
        assert load() == {"accounts": 2, "lines": 0}
        assert_same(books)
        assert discovery.differences("books")["books.lines"] == []
        with psycopg.connect(make_conninfo(database, user=role)) as reader:
            for forbidden in ("select * from other", "delete from accounts", "create table public.mine ()"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege), reader.transaction():
                    reader.execute(forbidden)
        books.execute_in_shop(f"alter role {role} noreplication")
        with pytest.raises(StorehouseError, match=r"permission denied to start WAL sender.* alter role .* replication"):
            load()
    finally:
        books.execute_in_shop(f"drop owned by {role}; drop role {role}")


def test_a_server_that_went_on_from_a_restore_is_read_on_unless_it_lost_what_was_read(books, configure, tmp_path):
    server = Server(tmp_path / "other", options={"fsync": "off", "restore_command": "/bin/false"}).start()
    try:
        shop = server.conninfo("postgres")
        configure(BOOKS_DATABASE_URL=shop)
        other = dataclasses.replace(books, shop=shop)
        other.execute_in_shop(BOOKS)
        load()
        other.execute_in_shop("insert into accounts (id) values (1)")
        server.stop()
        signal_file = server.data / "recovery.signal"
        signal_file.touch()
        server._give(signal_file)
        server.start()
        configure(BOOKS_DATABASE_URL=server.conninfo("postgres"))
        other = dataclasses.replace(books, shop=server.conninfo("postgres"))
        wait_until(lambda: in_shop(other, "select pg_is_in_recovery()") == [(False,)])
        assert load() == {"accounts": 1, "lines": 0}
        assert_same(other)
        assert books.query("select distinct split_part(source_position, '/', 2) from raw.loads order by 1") == [
            ("1",),
            ("2",),
        ]
        with psycopg.connect(books.warehouse) as connection:
            # As if it had been read further on the timeline that was left.
            connection.execute(
                "update raw.loads set source_position = "
                "regexp_replace(source_position, '/2/[^/]+/[^/]+/', '/1/FFFF/0/')"
            )
        with pytest.raises(StorehouseError, match="timeline 2 left 1 earlier than FFFF/0"):
            load()
    finally:
        server.stop()


def test_a_transaction_that_commits_just_where_a_load_ended_is_read_by_the_next_one(books, configure, tmp_path):
    # On a server of its own, on which nothing else is written in between.
    server = Server(tmp_path / "other", options={"fsync": "off", "synchronous_commit": "on"}).start()
    try:
        other = dataclasses.replace(books, shop=server.conninfo("postgres"))
        configure(BOOKS_DATABASE_URL=other.shop)
        other.execute_in_shop(BOOKS)
        load()
        with psycopg.connect(other.shop) as open_:
            open_.execute("insert into accounts (id) values (1)")
            other.execute_in_shop("insert into accounts (id) values (2)")
            assert load("accounts") == {"accounts": 1}
            open_.commit()
        assert load("accounts") == {"accounts": 1}
        assert_same(other)
    finally:
        server.stop()


def test_a_standby_that_takes_over_is_read_on(books, configure, tmp_path):
    primary = Server(tmp_path / "primary", options={"fsync": "off"}).start()
    keeps = {"hot_standby_feedback": "on", "sync_replication_slots": "on"}
    standby = Server(tmp_path / "standby", options={"fsync": "off"} | keeps)
    try:
        first = dataclasses.replace(books, shop=primary.conninfo("postgres"))
        configure(BOOKS_DATABASE_URL=first.shop)
        first.execute_in_shop(BOOKS)
        load()
        first.execute_in_shop("select pg_create_physical_replication_slot('standby', true)")
        standby.folder.mkdir(mode=0o700)
        shutil.copy(primary.password_file, standby.password_file)
        copy = [binaries() / "pg_basebackup", "-d", first.shop, "-D", standby.data, "-R", "-S", "standby", "-c", "fast"]
        subprocess.run([*not_root(), *map(str, copy)], check=True, cwd="/")
        second = dataclasses.replace(books, shop=standby.start().conninfo("postgres"))

        def has_slot() -> bool:
            first.execute_in_shop("insert into accounts (id) select coalesce(max(id), 0) + 1 from accounts")
            load()
            return in_shop(second, "select count(*) from pg_replication_slots where synced and not temporary") == [(1,)]

        wait_until(has_slot)
        first.execute_in_shop("update accounts set name = 'read of the first'")
        load()
        first.execute_in_shop("insert into accounts (id) values (-1); delete from accounts where id = 1")
        wait_until(lambda: in_shop(second, "select count(*) from accounts where id = -1") == [(1,)])
        primary.stop()
        in_shop(second, "select pg_promote()")
        wait_until(lambda: in_shop(second, "select pg_is_in_recovery()") == [(False,)])
        configure(BOOKS_DATABASE_URL=second.shop)
        second.execute_in_shop("update accounts set name = 'of the second' where id = -1")
        assert load() == {"accounts": 3, "lines": 0}
        assert_same(second)
    finally:
        primary.stop()
        standby.stop()
