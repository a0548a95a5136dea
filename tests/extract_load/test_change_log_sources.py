"""Sources whose log cannot be read, or not any more: gaps, `alter table`, rights, slots, restored servers, standbys."""

import dataclasses
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from change_log_scene import (
    BOOKS,
    DECLARED,
    FULL_ROW,
    LONG,
    SOURCE,
    assert_same,
    count,
    drop_slots,
    in_shop,
    load,
)
from extract_scene import wait_until
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from extract_load import discovery
from extract_load.connectors.postgres import replication
from storehouse.core import databases
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT
from storehouse.laptop.server import Server, binaries, not_root

pytest_plugins = ["change_log_fixtures"]


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
        server.give(signal_file)
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
