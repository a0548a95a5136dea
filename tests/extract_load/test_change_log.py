"""Tables read by their change log: what stands in raw is what stands at the source, whatever happens between."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from houses import House

import extract_load
from extract_load import tables
from extract_load.ledger import LoadResult
from storehouse.core.settings import settings

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
