"""The scene of the tests of `change_log`: a source of two tables that are read by it, and raw compared with it."""

import psycopg
from houses import House

import extract_load
from extract_load.ledger import LoadResult

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


def count(house: House, table: str = "accounts") -> int:
    return house.query(f"select count(*) from raw_books.{table}")[0][0]
