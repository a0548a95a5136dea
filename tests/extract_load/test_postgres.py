"""Loading the shop's database: intervals, late rows, deletes, full tables, column types, schema changes."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import psycopg
import pytest
from extract_scene import SHOP, at, order, wait_until
from houses import build_house

import extract_load
from extract_load.tables import tables_of
from storehouse.core.errors import StorehouseError
from storehouse.laptop.server import Server


def load(table: str, *interval, **options) -> int:
    """Load one table; returns how many rows landed."""
    return extract_load.load("shop", *interval, tables=[table], **options)[0].rows


def last_until(house):
    return house.query("select interval_until from raw.loads order by load_id desc limit 1")[0][0]


def test_the_next_load_starts_at_the_watermark_less_the_overlap(shop, configure):
    configure(OVERLAP_MINUTES=30)
    shop.execute_in_shop("".join(order(n, f"2026-01-01 {n:02}:00") for n in range(1, 11)))
    assert load("orders") == 10
    shop.execute_in_shop(order(11, "2026-01-01 11:00"))
    assert load("orders") == 2
    assert shop.query("select order_id from raw_shop.orders where _load_id = 2 order by 1") == [(10,), (11,)]
    assert shop.query("select interval_from, interval_until from raw.loads where load_id = 2") == [
        (at("2026-01-01 09:30:00.000001"), at("2026-01-01 11:00:00.000001"))
    ]


def test_a_row_committed_late_is_landed_while_within_the_overlap(shop):
    shop.execute_in_shop(order(1, "2026-01-01 10:00"))
    load("orders")
    shop.execute_in_shop(order(2, "2026-01-01 09:30"))
    load("orders")
    assert shop.query("select distinct order_id from raw_shop.orders order by 1") == [(1,), (2,)]


def test_a_load_without_changes_writes_a_ledger_row_and_keeps_the_watermark(shop):
    shop.execute_in_shop(order(1, "2026-01-01 10:00"))
    load("orders")
    load("orders")
    assert last_until(shop) == at("2026-01-01 10:00:00.000001")
    assert load("payments") == load("payments") == 0
    assert shop.query("select count(*) from raw.loads where table_name = 'payments'") == [(2,)]


def test_a_backfill_lands_its_interval_and_leaves_the_watermark(shop, configure):
    configure(OVERLAP_MINUTES=0)
    shop.execute_in_shop("".join(order(n, f"2026-01-{n:02}") for n in range(1, 11)))
    load("orders")
    assert load("orders", at("2026-01-03"), at("2026-01-06")) == 3
    shop.execute_in_shop(order(11, "2026-01-11"))
    assert load("orders") == 1


def test_an_interval_that_was_skipped_is_read_by_the_next_load(shop, configure):
    configure(OVERLAP_MINUTES=0)
    shop.execute_in_shop("".join(order(n, f"2026-01-{n:02}") for n in range(1, 11)))
    assert load("orders", None, at("2026-01-03")) == 2
    assert load("orders", at("2026-01-06"), at("2026-01-08")) == 2
    load("orders")
    assert shop.query("select count(distinct order_id) from raw_shop.orders") == [(10,)]


def test_until_bounds_a_load_and_an_interval_before_the_watermark_is_empty(shop):
    shop.execute_in_shop("".join(order(n, f"2026-01-{n:02}") for n in range(1, 11)))
    assert load("orders", None, at("2026-01-05")) == 4
    assert load("orders", None, at("2026-01-02")) == 0
    assert load("orders", None, at("2026-01-06")) == 2


def test_an_until_beyond_the_data_does_not_move_the_watermark_past_rows_to_come(shop):
    shop.execute_in_shop(order(1, "2026-01-01 10:00"))
    load("orders", None, at("2099-01-01"))
    shop.execute_in_shop(order(2, "2026-01-01 11:00"))
    load("orders")
    assert shop.query("select distinct order_id from raw_shop.orders order by 1") == [(1,), (2,)]


def test_a_row_dated_in_the_future_is_landed_and_hides_nothing(shop):
    shop.execute_in_shop(order(1, "2026-01-01") + order(2, "2999-01-01") + order(3, None))
    shop.execute_in_shop("update orders set updated_at = 'infinity' where order_id = 3")
    assert load("orders") == 3
    shop.execute_in_shop(order(4, "2026-01-02"))
    load("orders")
    assert (4,) in shop.query("select order_id from raw_shop.orders where _load_id = 2")


def test_rows_without_updated_at_are_landed_each_time(shop):
    shop.execute_in_shop(order(1, None) + order(2, "2026-01-02"))
    assert load("orders") == 2
    assert load("orders") == 2
    assert last_until(shop) == at("2026-01-02 00:00:00.000001")


def test_a_timestamp_without_zone_is_read_as_utc(shop, configure):
    configure(OVERLAP_MINUTES=0, PGTZ="America/New_York")
    shop.execute_in_shop(
        "insert into order_items (order_id, line_number, updated_at) values (1, 1, '2026-01-01 10:00')"
    )
    load("order_items")
    assert last_until(shop) == at("2026-01-01 10:00:00.000001")
    shop.execute_in_shop(
        "insert into order_items (order_id, line_number, updated_at) values (1, 2, '2026-01-01 10:01')"
    )
    assert load("order_items") == 1


def test_a_deleted_at_makes_the_row_a_delete(shop):
    shop.execute_in_shop(order(1, "2026-01-01") + order(2, "2026-01-01", deleted_at="2026-01-01"))
    load("orders")
    assert shop.query("select order_id, _op from raw_shop.orders order by 1") == [(1, "u"), (2, "d")]


@pytest.mark.parametrize(
    "zero", ["infinity", "-infinity", "0001-01-01", "0044-03-15 BC", "1970-01-01", "1969-12-31 19:00", "9999-12-31"]
)
def test_a_deleted_at_that_is_no_time_of_a_delete_leaves_the_row_living_and_is_told(shop, run, zero):
    shop.execute_in_shop(order(1, "2026-01-01") + order(2, "2026-01-01", deleted_at="2026-01-01"))
    shop.execute_in_shop(
        f"alter table orders alter deleted_at type timestamp; update orders set deleted_at = '{zero}' "
        "where order_id = 1"
    )
    said = run("shop", "--tables", "orders").stdout
    assert shop.query("select order_id, _op from raw_shop.orders order by 1") == [(1, "u"), (2, "d")]
    assert "shop.orders: deleted_at of 1 row is no time at which it can have been deleted" in said
    shop.execute_in_shop("update orders set deleted_at = null where order_id = 1")
    assert "deleted_at" not in run("shop", "--tables", "orders").stdout


def test_a_delete_by_a_clock_that_is_a_little_ahead_counts(shop):
    shop.execute_in_shop(order(1, "2026-01-01"))
    shop.execute_in_shop("update orders set deleted_at = now() + interval '20 minutes'")
    load("orders")
    assert shop.query("select _op from raw_shop.orders") == [("d",)]


@pytest.mark.parametrize(
    ("column", "type_", "table"),
    [
        ("deleted_at", "bigint default 0", "orders"),
        ("deleted_at", "boolean default false", "orders"),
        ("deleted_at", "text default ''", "orders"),
        ("deleted_at", "timestamptz[]", "orders"),
        ("updated_at", "bigint", "orders"),
        ("total_amount", "text", "orders"),
        ("placed_at", "text", "orders"),
        ("line_number", "text", "order_items"),
        ("is_active", "integer", "products"),
    ],
)
def test_a_column_whose_meaning_needs_another_type_is_refused_by_name(shop, column, type_, table):
    shop.execute_in_shop(f"alter table {table} drop column if exists {column} cascade")
    shop.execute_in_shop(f"alter table {table} add {column} {type_}")
    with pytest.raises(StorehouseError, match=rf"shop.{table}: {column} is [a-z]+.*, and must be a "):
        load(table)
    assert shop.query("select count(*) from raw.loads") == [(0,)]


ZERO_TIMES = ["0001-01-01", "0044-03-15 BC", "-infinity", "1970-01-01"]
FAR_TIMES = ["9999-12-31 23:59:59.999999", "294276-12-31", "infinity", "2999-01-01"]


@pytest.mark.parametrize("odd", ZERO_TIMES + FAR_TIMES)
@pytest.mark.parametrize("until", [None, "9999-12-31 23:59:59.999999"])
def test_an_odd_updated_at_is_landed_and_moves_no_watermark(shop, odd, until):
    until = until and at(until)
    shop.execute_in_shop(order(1, "2026-01-01"))
    shop.execute_in_shop(f"update orders set updated_at = '{odd}'")
    shop.execute_in_shop("insert into payments (payment_id) values (gen_random_uuid())")
    for _ in range(2):
        extract_load.load("shop", None, until)
    assert shop.query("select interval_until from raw.loads where table_name = 'orders'") == [(None,), (None,)]
    shop.execute_in_shop(order(2, "2026-01-02"))
    load("orders")
    assert last_until(shop) == at("2026-01-02 00:00:00.000001")
    # A row that is written later with such a time is no older than the watermark: it has no time.
    shop.execute_in_shop(order(3, "2026-01-02") + f"update orders set updated_at = '{odd}' where order_id = 3;")
    shop.execute_in_shop(order(4, "2026-01-03"))
    load("orders")
    assert shop.query("select distinct order_id from raw_shop.orders order by 1") == [(1,), (2,), (3,), (4,)]
    # The tables after this one landed too.
    assert shop.query("select count(*) from raw_shop.payments") == [(2,)]


@pytest.mark.parametrize("type_", ["timestamp", "date"])
def test_odd_times_of_other_types_than_timestamptz_are_landed_too(shop, type_):
    shop.execute_in_shop(order(1, "2026-01-01") + f"alter table orders alter updated_at type {type_}")
    shop.execute_in_shop(order(2, None) + order(3, None) + order(4, None))
    times = {"date": "5874897-12-31", "timestamp": "294276-12-31"}
    for number, odd in enumerate(("4713-01-01 BC", times[type_], "infinity"), start=2):
        shop.execute_in_shop(f"update orders set updated_at = '{odd}' where order_id = {number}")
    for _ in range(3):
        assert load("orders") == 4
    assert last_until(shop) == at("2026-01-01 00:00:00.000001")


def test_an_until_that_lies_ahead_does_not_let_a_row_dated_ahead_hide_what_comes(shop):
    shop.execute_in_shop(order(1, "2026-01-01") + order(2, "2150-01-01"))
    load("orders", None, at("2200-01-01"))
    shop.execute_in_shop(order(3, "2026-06-01"))
    load("orders")
    assert (3,) in shop.query("select order_id from raw_shop.orders")


def test_all_tables_of_a_load_come_from_one_snapshot(shop):
    shop.execute_in_shop(order(1, "2026-01-01"))
    extract_load.prepare()
    with psycopg.connect(shop.warehouse) as other, ThreadPoolExecutor() as pool:
        # The load has its snapshot, and waits to land the first table.
        other.execute("lock table raw_shop.customers")
        landing = pool.submit(extract_load.load, "shop")
        wait_until(lambda: shop.query("select count(*) from pg_locks where not granted")[0][0])
        shop.execute_in_shop("insert into payments (payment_id, order_id) values (gen_random_uuid(), 1)")
        other.rollback()
        rows = {result.table: result.rows for result in landing.result()}
    assert rows == dict.fromkeys((table.name for table in tables_of("shop")), 0) | {"orders": 1}


def test_a_table_that_fails_does_not_keep_the_others_from_landing(shop):
    shop.execute_in_shop(order(1, "2026-01-01") + "drop table customers; alter table products rename to old_products;")
    shop.execute_in_shop(product("P-1").replace("products", "old_products"))
    shop.execute_in_shop("create view products as select *, 1 / (price - 1) as broken from old_products")
    with pytest.raises(StorehouseError, match=r"there is no table public.customers in .*\n.*: division by zero"):
        extract_load.load("shop")
    assert shop.query("select table_name from raw.loads order by 1") == [("order_items",), ("orders",), ("payments",)]


# Tables that are read in full.


def product(product_id: str, price: str = "1.00") -> str:
    return (
        f"insert into products (product_id, price, name) values ('{product_id}', {price}, 'a name') "
        "on conflict (product_id) do update set price = excluded.price;"
    )


def test_of_a_full_table_only_the_differences_are_landed(shop):
    def landed():
        load("products")
        return shop.query(
            "select product_id, price, name, _row, _op from raw_shop.products "
            "where _load_id = (select max(load_id) from raw.loads) order by _row"
        )

    shop.execute_in_shop(product("P-1") + product("P-2") + product("P-3"))
    assert [(row[0], row[-1]) for row in landed()] == [("P-1", "u"), ("P-2", "u"), ("P-3", "u")]
    assert landed() == []
    one, two = Decimal("1.00"), Decimal("2.00")
    shop.execute_in_shop(product("P-2", "2.00") + product("P-4") + "delete from products where product_id = 'P-3';")
    assert landed() == [("P-2", two, "a name", 1, "u"), ("P-4", one, "a name", 2, "u"), ("P-3", one, "a name", 3, "d")]
    assert landed() == []
    shop.execute_in_shop(product("P-3"))
    assert landed() == [("P-3", one, "a name", 1, "u")]
    assert shop.query("select rows from raw.loads order by load_id") == [(3,), (0,), (3,), (0,), (1,)]


def test_a_null_and_an_empty_text_are_a_difference(shop):
    shop.execute_in_shop("insert into products (product_id, category) values ('P-1', null)")
    assert load("products") == 1
    shop.execute_in_shop("update products set category = ''")
    assert load("products") == 1
    shop.execute_in_shop("update products set category = null")
    assert load("products") == 1


def test_a_full_table_that_became_empty_is_refused_unless_allowed(shop):
    shop.execute_in_shop(product("P-1"))
    load("products")
    shop.execute_in_shop("delete from products")
    with pytest.raises(StorehouseError, match=r"shop.products is empty at the source and had rows.*--allow-empty"):
        load("products")
    assert shop.query("select _op from raw_shop.products") == [("u",)]
    assert load("products", allow_empty=True) == 1
    assert load("products") == 0


def test_snapshots_are_compared_in_the_order_they_were_taken(shop):
    shop.execute_in_shop(product("P-1"))
    load("products")
    with psycopg.connect(shop.warehouse) as other, ThreadPoolExecutor() as pool:
        # The first load has its snapshot and waits to land it; the second must not overtake it.
        other.execute("lock table raw_shop.products")
        first = pool.submit(load, "products")
        wait_until(lambda: shop.query("select count(*) from pg_locks where not granted")[0][0] == 1)
        shop.execute_in_shop(product("P-1", "2.00"))
        second = pool.submit(load, "products")
        wait_until(lambda: shop.query("select count(*) from pg_locks where not granted")[0][0] == 2)
        other.rollback()
        assert (first.result(), second.result()) == (0, 1)


# Types and the changing schema.


def test_every_type_lands_exactly(shop):
    shop.execute_in_shop("""
        create domain positive as integer check (value > 0);
        create domain small_positive as positive check (value < 10);
        create type point_of_sale as (till integer, shop text);
        alter table orders
            add n numeric, add big numeric(38, 10), add f double precision, add b bytea, add j json, add jb jsonb,
            add tags text[], add statuses order_status[], add matrix integer[][], add u uuid, add ts timestamp,
            add tz timestamptz(3), add d date, add t time, add i interval, add flag boolean, add c char(5),
            add v varchar(7), add p positive, add sp small_positive, add pos point_of_sale,
            add r int4range, add ip inet, add bits bit(3);
        insert into orders values (1, 2, 'approved', 'USD', 118.40, null, '2026-01-01 12:00+02', null, null, null,
            null, '2026-01-01', null, 'NaN', 1234567890123456789012345678.0123456789, 0.1, '\\x00ff',
            '{"b": 1, "a": 1.10}',
            '{"x": 1.10, "t": "\\ttab"}', '{"a,b", NULL, "c\\"d"}', '{created,shipped}', '{{1,2},{3,4}}',
            '00000000-0000-0000-0000-000000000001', '2026-01-01 00:00:00.123456', '2026-01-01 00:00:00.123+00',
            '0044-03-15 BC', '24:00', '1 mon 2 days 3.5 secs', true, 'ab', 'tab\tend', 7, 8, row(3, 'north'),
            '[1,5)', '10.0.0.1/8', B'101');
    """)
    load("orders")
    names = (
        "status currency total_amount placed_at n big f b j jb tags statuses matrix u ts tz d t i flag c v p sp pos "
        "r ip bits"
    )
    expressions = ", ".join(f"{name}::text" for name in names.split())
    with psycopg.connect(shop.shop, options="-c timezone=UTC") as source:
        expected = source.execute(f"select {expressions} from orders").fetchall()
    with psycopg.connect(shop.warehouse, options="-c timezone=UTC") as target:
        assert target.execute(f"select {expressions} from raw_shop.orders").fetchall() == expected
    types = dict(
        shop.query(
            "select column_name, data_type from information_schema.columns "
            "where table_schema = 'raw_shop' and table_name = 'orders'"
        )
    )
    expected_types = (
        "order_id bigint, status text, total_amount numeric, statuses text, pos text, p integer, sp integer, u uuid"
    )
    assert types.items() >= dict(pair.split() for pair in expected_types.split(", ")).items()


# Types that another server could not read from their binary form, or would read as something else.
TYPES_THAT_LAND_AS_TEXT = {
    "reg_class": ("regclass", "'orders'"),
    "reg_type": ("regtype", "'order_status'"),
    "reg_classes": ("regclass[]", "'{orders,payments}'"),
    "an_oid": ("oid", "'orders'::regclass"),
    "an_xid": ("xid", "'7'"),
    "a_cid": ("cid", "'7'"),
    "a_tid": ("tid", "'(1,2)'"),
    "a_lsn": ("pg_lsn", "'1/2'"),
    "a_snapshot": ("pg_snapshot", "'10:20:12,13'"),
    "a_vector": ("int2vector", "'1 2'"),
    "a_right": ("aclitem[]", "'{postgres=r/postgres}'"),
    "one_char": ('"char"', "'x'"),
    "a_name": ("name", "'a name'"),
    "names": ("name[]", """'{"a name",b}'"""),
    "a_path": ("jsonpath", "'$.a.bigint()'"),
    "a_json": ("json", """'{"a": "\\u0000", "a": 1e999999}'"""),
    "an_interval": ("interval", "'infinity'"),
    "intervals": ("interval[]", "'{1 mon 24:00,infinity}'"),
    "status_domain": ("status_of_statuses", "'created'"),
    "status_domains": ("status_of_statuses[]", "'{created,shipped}'"),
    "status_range": ("status_range", "'[created,shipped]'"),
    "status_ranges": ("status_multirange", "'{[created,approved),[shipped,shipped]}'"),
    "name_range": ("name_range", "'[a,b)'"),
    "composite": ("point_of_sale", "row(3, 'north', 'created')"),
    "composites": ("point_of_sale[]", "array[row(3, 'north', 'created')]::point_of_sale[]"),
    "embedding": ("vector(2)", "'[1,2]'"),
    "embeddings": ("vector(2)[]", """'{"[1,2]"}'"""),
    "composite_domain": ("named_point_of_sale", "row(3, 'north', 'created')"),
}


def test_a_type_that_another_server_reads_otherwise_lands_as_the_text_that_it_says(shop):
    shop.execute_in_shop("""
        create extension vector;
        create domain status_of_orders as order_status; create domain status_of_statuses as status_of_orders;
        create type status_range as range (subtype = order_status);
        create type name_range as range (subtype = name);
        create type point_of_sale as (till integer, shop text, status order_status);
        create domain named_point_of_sale as point_of_sale;
    """)
    shop.execute_in_shop(order(1, "2026-01-01"))
    for name, (type_, value) in TYPES_THAT_LAND_AS_TEXT.items():
        shop.execute_in_shop(f"alter table orders add {name} {type_}; update orders set {name} = {value}")
    load("orders")
    names = ", ".join(f"{name}::text" for name in TYPES_THAT_LAND_AS_TEXT)
    with psycopg.connect(shop.shop) as source:
        expected = source.execute(f"select {names} from orders").fetchall()
    names = ", ".join(TYPES_THAT_LAND_AS_TEXT)
    assert shop.query(f"select {names} from raw_shop.orders") == expected
    assert shop.query("select count(to_jsonb(orders)) from raw_shop.orders") == [(1,)]


def test_domains_and_arrays_of_types_that_mean_the_same_everywhere_keep_their_type(shop):
    shop.execute_in_shop("""
        create domain number as integer; create domain small_number as number check (value < 10);
        create domain numbers as integer[]; create domain some_numbers as numbers;
        alter table orders add n small_number default 7, add ns some_numbers default '{1,2}',
            add days daterange default '[2026-01-01,2026-01-03)', add spans int4multirange default '{[1,3),[5,7)}',
            add words tsvector default 'a:1 b:2', add codes char(3)[] default '{a,bc}', add mask bit(3) default '101',
            add masks bit varying[] default '{1,10}';
    """)
    shop.execute_in_shop(order(1, "2026-01-01"))
    load("orders")
    names = ["n", "ns", "days", "spans", "words", "codes", "mask", "masks"]
    types = shop.query(
        "select string_agg(attname || ' ' || format_type(atttypid, -1), ', ' order by attnum) from pg_attribute "
        "where attrelid = 'raw_shop.orders'::regclass and attname = any(%s)",
        names,
    )
    assert types == [
        (
            "n integer, ns integer[], days daterange, spans int4multirange, words tsvector, codes bpchar[], "
            'mask "bit", masks bit varying[]',
        )
    ]
    (values,) = shop.query(f"select {', '.join(f'{name}::text' for name in names)} from raw_shop.orders")
    expected = ("7", "{1,2}", "[2026-01-01,2026-01-03)", "{[1,3),[5,7)}", "'a':1 'b':2", '{"a  ","bc "}', "101")
    assert values == (*expected, "{1,10}")


def test_an_extension_that_lives_in_pg_catalog_is_not_taken_for_a_type_of_every_server(shop):
    # What `create extension … with schema pg_catalog` leaves: a type of the shop's own that is named without a schema.
    with psycopg.connect(shop.shop) as connection:
        connection.execute("set allow_system_table_mods = on; create type pg_catalog.grade as enum ('a', 'b')")
        connection.execute("create domain pg_catalog.graded as pg_catalog.grade")
    shop.execute_in_shop("alter table orders add g grade, add gs grade[], add gd graded" + ";" + order(1, "2026-01-01"))
    shop.execute_in_shop("update orders set g = 'a', gs = '{a,b}', gd = 'b'")
    load("orders")
    assert shop.query("select g, gs, gd from raw_shop.orders") == [("a", "{a,b}", "b")]


def test_an_xml_column_lands_in_a_warehouse_without_xml(shop):
    shop.execute_in_shop("alter table orders add receipt xml, add receipts xml[];" + order(1, "2026-01-01"))
    load("orders")
    assert shop.query(
        "select receipt is null, pg_typeof(receipt)::text, pg_typeof(receipts)::text from raw_shop.orders"
    ) == [(True, "text", "text")]


@pytest.fixture
def yen_shop(tmp_path, server, monkeypatch):
    """A shop on a server whose currency has no cents, beside a warehouse whose currency has."""
    locale = tmp_path / "locales" / "ja_JP.UTF-8"
    locale.parent.mkdir()
    made = shutil.which("localedef") and subprocess.run(["localedef", "-i", "ja_JP", "-f", "UTF-8", locale])
    if not locale.exists():
        pytest.skip(f"localedef made no Japanese locale here (Debian: apt-get install locales): {made}")
    monkeypatch.setenv("LOCPATH", str(locale.parent))
    shop_server = Server(tmp_path / "shop_server", options={"fsync": "off", "lc_monetary": "ja_JP.UTF-8"}).start()
    try:
        for house in build_house(server, tmp_path / "home", shop_server):
            house.execute_in_shop(SHOP)
            yield house
    finally:
        shop_server.stop()


def test_money_lands_as_the_number_that_the_shop_means(yen_shop):
    yen_shop.execute_in_shop("""
        create domain price as money;
        alter table orders alter total_amount type money, add paid price, add parts money[];
    """)
    yen_shop.execute_in_shop(order(1, "2026-01-01", total="1000::money"))
    yen_shop.execute_in_shop("update orders set paid = 5::money, parts = array[1, 2]::money[]")
    load("orders")
    assert yen_shop.query("select total_amount, paid, parts from raw_shop.orders") == [(1000, 5, [1, 2])]


def test_a_new_column_lands_from_now_on_and_is_told_once(shop, run):
    shop.execute_in_shop(order(1, "2026-01-01"))
    load("orders")
    shop.execute_in_shop("alter table orders add gift_note text;" + order(2, "2026-01-02"))
    shop.execute_in_shop("update orders set gift_note = 'for you'")
    assert "shop.orders: new column gift_note (text), landed from load 2 on" in run("shop", "--tables", "orders").stdout
    assert "gift_note" not in run("shop", "--tables", "orders").stdout
    assert shop.query("select order_id, gift_note from raw_shop.orders where _load_id <= 2 order by _load_id, 1") == [
        (1, None),
        (1, "for you"),
        (2, "for you"),
    ]


def test_a_column_that_is_gone_stays_in_raw_and_is_told_once(shop, run):
    shop.execute_in_shop("alter table orders add gift_note text;" + order(1, "2026-01-01"))
    shop.execute_in_shop("update orders set gift_note = 'for you'")
    load("orders")
    shop.execute_in_shop("alter table orders drop gift_note")
    assert "the column gift_note is gone at the source; null from load 2 on" in run("shop", "--tables", "orders").stdout
    assert "gift_note" not in run("shop", "--tables", "orders").stdout
    assert shop.query("select gift_note from raw_shop.orders order by _load_id") == [("for you",), (None,), (None,)]


def test_a_retyped_column_stops_with_the_statement_that_helps(shop):
    shop.execute_in_shop("alter table orders add points integer;" + order(1, "2026-01-01"))
    shop.execute_in_shop("update orders set points = 5")
    load("orders")
    shop.execute_in_shop("alter table orders alter points type text using 'five'")
    with pytest.raises(StorehouseError, match="points is text at the source now; it was landed as integer") as caught:
        load("orders")
    with psycopg.connect(shop.warehouse) as warehouse:
        warehouse.execute(str(caught.value).rpartition("holds both: ")[2])
    load("orders")
    shop.execute_in_shop("alter table orders alter points type bigint using 6")
    load("orders")
    assert shop.query("select points from raw_shop.orders order by _load_id") == [("5",), ("five",), ("6",)]


def test_a_longer_or_wider_type_is_no_change(shop):
    shop.execute_in_shop(order(1, "2026-01-01"))
    load("orders")
    shop.execute_in_shop("""
        alter table orders alter discount_code type varchar(200), alter total_amount type numeric(30, 6);
        update orders set discount_code = repeat('x', 100), total_amount = 1.123456;
    """)
    load("orders")
    assert shop.query("select length(discount_code), total_amount::text from raw_shop.orders where _load_id = 2") == [
        (100, "1.123456")
    ]


def test_a_new_column_of_a_full_table_lands_for_all_its_rows(shop):
    shop.execute_in_shop(product("P-1") + product("P-2"))
    load("products")
    shop.execute_in_shop("alter table products add weight numeric default 3")
    assert load("products") == 2
    shop.execute_in_shop("alter table products drop weight")
    assert load("products") == 0


def test_a_missing_documented_column_is_named_with_what_may_have_replaced_it(shop):
    shop.execute_in_shop("alter table orders rename total_amount to amount; alter table orders drop shipped_at")
    with pytest.raises(
        StorehouseError,
        match=r"shop.orders: public.orders in .* lacks total_amount, shipped_at; it has amount, which we don't know",
    ):
        load("orders")


def test_names_that_need_quoting_work(shop, configure):
    shop.execute_in_shop('create schema "My Shop"; alter table orders set schema "My Shop"')
    shop.execute_in_shop(
        'alter table "My Shop".orders add "Gift Note" text; set search_path to "My Shop";' + order(1, "2026-01-01")
    )
    configure(SHOP_SCHEMA="My Shop")
    assert load("orders") == 1


THEIR_TYPES = """
    create function pg_catalog.their_type() returns text language sql as $$
        select 'text) on commit drop; create table if not exists public.pwned (); commit; begin; '
            'create temp table if not exists _other (_x text'
    $$;
    alter function pg_catalog.format_type(oid, integer) rename to old_format_type;
    create function pg_catalog.format_type(oid, integer) returns text language sql stable as $$
        select case when $1 = 'text'::regtype then their_type() else old_format_type($1, $2) end
    $$;
"""
POSTGRES_TYPES = """
    drop function pg_catalog.format_type(oid, integer), pg_catalog.their_type();
    alter function pg_catalog.old_format_type(oid, integer) rename to format_type;
"""


def test_a_type_name_from_the_source_is_never_run_as_sql_in_the_warehouse(shop, run):
    # The owner of a server can have its catalog say anything.
    shop.execute_in_shop(THEIR_TYPES)
    try:
        done = run("shop", "--tables", "customers")
    finally:
        shop.execute_in_shop(POSTGRES_TYPES)
    assert done.returncode == 0, done.stderr
    assert shop.query("select to_regclass('public.pwned')") == [(None,)]


SIZED = "insert into products (product_id, name, category, updated_at) values ('P-1', {}, {}, now());"


@pytest.mark.parametrize(
    ("name", "category"),
    [("repeat('x', 34000000)", "null"), ("repeat('x', 17000000)", "repeat('y', 17000000)")],
    ids=["in one value", "in two"],
)
def test_a_row_that_no_later_layer_can_hold_is_refused_in_words_and_other_tables_land(shop, name, category):
    shop.execute_in_shop(SIZED.format(name, category) + order(1, "2026-01-01 10:00"))
    with pytest.raises(StorehouseError, match=r"(?s)Row 1 of .* 32.4 MB.* shop.products: .*SHOP_SCHEMA") as refused:
        extract_load.load("shop", tables=["products", "orders"])
    assert shop.query("select table_name, rows from raw.loads") == [("orders", 1)]
    found = str(refused.value).partition("at the source: ")[2].partition(";")[0]
    with psycopg.connect(shop.shop) as source:
        assert source.execute(found).fetchall() == [("P-1",)], "the message's query finds it"
    shop.execute_in_shop("update products set name = repeat('x', 15000000)")
    assert load("products") == 1


def test_a_row_that_its_server_cannot_send_is_refused_in_words(shop):
    # What PostgreSQL says of a row of more than 1 GB; making one takes half a minute.
    shop.execute_in_shop(
        "create function large() returns text language plpgsql as $$ begin "
        "raise 'string buffer exceeds maximum allowed length' using errcode = 'program_limit_exceeded'; end $$;"
        "alter table products rename to narrow; insert into narrow (product_id) values ('P-1');"
        "create view products as select product_id, large() as name, category, price, currency, is_active, created_at, "
        "updated_at from narrow"
    )
    with pytest.raises(StorehouseError, match=r"string buffer .* larger than 32 MB, which no later layer can hold"):
        load("products")


def test_a_deleted_at_counts_in_a_table_that_is_read_in_full_too(shop):
    shop.execute_in_shop(
        "alter table products add column deleted_at timestamptz;"
        "insert into products (product_id, name, deleted_at) values "
        "('living', 'a', null), ('never seen alive', 'b', '2026-01-01'), ('not yet', 'c', '2999-01-01')"
    )
    ops = "select product_id, name, _op from raw_shop.products where _load_id = (select max(load_id) from raw.loads)"
    assert load("products") == 3
    assert sorted(shop.query(ops)) == [
        ("living", "a", "u"),
        ("never seen alive", "b", "d"),
        ("not yet", "c", "u"),
    ]
    assert load("products") == 0
    shop.execute_in_shop("update products set deleted_at = '2026-01-02' where product_id = 'living'")
    assert load("products") == 1
    assert shop.query(ops) == [("living", "a", "d")]
    assert load("products") == 0
    shop.execute_in_shop("update products set deleted_at = null where product_id = 'living'")
    assert load("products") == 1
    assert shop.query(ops) == [("living", "a", "u")]
    shop.execute_in_shop("delete from products where product_id in ('living', 'never seen alive')")
    assert load("products") == 1
    assert shop.query(ops) == [("living", "a", "d")]


def test_rows_that_live_again_because_deleted_at_is_gone_are_told_once(shop, run):
    shop.execute_in_shop("alter table products add column deleted_at timestamptz")
    shop.execute_in_shop("insert into products (product_id, deleted_at) values ('gone', '2026-01-01'), ('other', null)")
    load("products")
    shop.execute_in_shop("update products set name = 'new' where product_id = 'other'")
    load("products")
    shop.execute_in_shop("alter table products drop column deleted_at")
    said = run("shop", "--tables", "products").stdout
    assert (
        "the column deleted_at is gone at the source; from load 3 on, 1 row that it marked as deleted lives again"
        in said
    )
    assert "lives again" not in run("shop", "--tables", "products").stdout


def test_deletes_that_were_landed_as_living_are_landed_as_deletes_by_the_next_load(shop):
    shop.execute_in_shop("alter table products add column deleted_at timestamptz")
    shop.execute_in_shop("insert into products (product_id, deleted_at) values ('gone', '2026-01-01')")
    load("products")
    with psycopg.connect(shop.warehouse) as warehouse:
        # As loads did before deleted_at counted in such tables.
        warehouse.execute("update raw_shop.products set _op = 'u'")
    assert load("products") == 1
    assert shop.query("select _op from raw_shop.products order by _load_id") == [("u",), ("d",)]


def test_two_rows_of_one_key_in_a_table_that_is_read_in_full_are_refused_in_words(shop):
    shop.execute_in_shop(
        "alter table products drop constraint products_pkey; alter table products alter product_id drop not null;"
        "insert into products (product_id, name) values "
        "('P-1', 'one'), ('P-1', 'other'), ('P-2', 'fine'), (null, 'a'), (null, 'b')"
    )
    with pytest.raises(
        StorehouseError, match=r"keys \(product_id\) with more than one row in public.products: 1\."
    ) as refused:
        load("products")
    found = str(refused.value).partition("See them: ")[2].partition(";")[0]
    with psycopg.connect(shop.shop) as source:
        assert ("P-1", 2) in source.execute(found).fetchall()
    shop.execute_in_shop("delete from products where name = 'other'")
    assert load("products") == 4
