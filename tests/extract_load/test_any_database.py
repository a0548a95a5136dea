"""Any database lands: a shop with other names, types and schemas, two databases at once, every kind of relation."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import psycopg
import pytest
from extract_scene import at
from psycopg.conninfo import make_conninfo

import extract_load
from extract_load import tables
from extract_load.connectors import postgres
from extract_load.ledger import snapshot_lock
from storehouse.core.errors import StorehouseError, TransientError
from storehouse.core.settings import settings

# A shop as somebody else built it: cents, an enum, `modified`, names that need quotes, in a schema of its own.
BILLING = """
    create schema "Sales Dept";
    set search_path to "Sales Dept";
    create type state as enum ('open', 'paid', 'void');
    create table "Order Lines" (
        "Order No" bigint, line smallint, "Total Amount" bigint, status state, modified timestamp not null,
        primary key ("Order No", line)
    );
    create table clients (id uuid primary key, "E-Mail" text, modified date);
    create table rates (code char(3) primary key, rate double precision);
    create view "paid lines" as select * from "Order Lines" where status = 'paid';
    create materialized view totals as select "Order No", sum("Total Amount") as cents from "Order Lines" group by 1;
    create table events (id bigint, modified timestamptz, kind text) partition by list (kind);
    create table "events a" partition of events for values in ('a');
    create table "events b" partition of events for values in ('b');
"""
LIMITS = """
            refused: {limit_percent: 5, least_refused: 20, reason: A test's}
            freshness: {warn_hours: 26, error_hours: 194, reason: A test's}
"""
SOURCE = """
sources:
  - name: billing
    schema: raw_billing
    config: {meta: {connector: postgres, connection: BILLING_DATABASE_URL, schema: Sales Dept}}
    tables:
"""
TABLES = {
    "lines": """
            table: Order Lines
            key: [Order No, line]
            read: updated_at
            version: modified
            columns: {Order No: integer, line: integer, Total Amount: integer, status: text, modified: timestamptz}
""",
    "clients": """
            key: [id]
            read: updated_at
            version: modified
            columns: {id: text, E-Mail: text, modified: timestamptz}
""",
    "rates": """
            key: [code]
            read: full
            columns: {code: text, rate: numeric}
""",
    "paid_lines": """
            table: paid lines
            key: [Order No, line]
            read: full
            columns: {Order No: integer, line: integer, Total Amount: integer}
""",
    "totals": """
            key: [Order No]
            read: full
            columns: {Order No: integer, cents: numeric}
""",
    "events": """
            key: [id]
            read: updated_at
            version: modified
            columns: {id: integer, modified: timestamptz, kind: text}
""",
}
ROWS = """
    set search_path to "Sales Dept";
    insert into "Order Lines" values (1, 1, 1999, 'paid', '2026-01-01 10:00'), (1, 2, 501, 'open', '2026-01-01 11:00');
    insert into clients values (gen_random_uuid(), 'somebody@example.com', '2026-01-01');
    insert into rates values ('EUR', 1.1);
    insert into events values (1, '2026-01-01 UTC', 'a'), (2, '2026-01-02 UTC', 'b');
    refresh materialized view totals;
"""


def declaration(source: str = SOURCE, **of: str) -> str:
    """The YAML of a source with these tables."""
    return source + "".join(
        f"      - name: {name}\n        config:\n          meta:{meta.rstrip()}{LIMITS.rstrip()}\n"
        for name, meta in of.items()
    )


@pytest.fixture
def declare(tmp_path, monkeypatch) -> Iterator[Callable[..., None]]:
    """Declare these sources, each by its YAML, and no other."""
    monkeypatch.setattr(tables, "STAGING", tmp_path / "staging")

    def write(**sources: str) -> None:
        for source, text in sources.items():
            file = tmp_path / "staging" / source / f"_{source}__sources.yml"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        tables._tables.cache_clear()

    yield write
    tables._tables.cache_clear()


@pytest.fixture
def billing(new_house, declare, configure):
    """A house whose `billing` is a database with other names."""
    new_house.execute_in_shop(BILLING + ROWS)
    configure(BILLING_DATABASE_URL=new_house.shop)
    declare(billing=declaration(**TABLES))
    return new_house


def rows_of(results) -> dict[str, int]:
    return {result.table: result.rows for result in results}


def test_tables_views_and_partitions_land_under_their_own_column_names(billing):
    assert rows_of(extract_load.load("billing")) == {
        "lines": 2,
        "clients": 1,
        "rates": 1,
        "paid_lines": 1,
        "totals": 1,
        "events": 2,
    }
    assert billing.query(
        'select "Order No", line, "Total Amount", status, modified from raw_billing.lines order by line'
    ) == [
        (1, 1, 1999, "paid", datetime(2026, 1, 1, 10)),
        (1, 2, 501, "open", datetime(2026, 1, 1, 11)),
    ]
    assert billing.query('select "E-Mail" from raw_billing.clients') == [("somebody@example.com",)]
    assert billing.query("select cents from raw_billing.totals") == [(2500,)]
    assert billing.query("select distinct source from raw.loads") == [("billing",)]


def test_a_version_of_any_name_and_type_moves_the_watermark(billing, configure):
    configure(OVERLAP_MINUTES=0)
    extract_load.load("billing")
    assert billing.query("select table_name, interval_until from raw.loads where kind = 'updated_at' order by 1") == [
        ("clients", at("2026-01-01 00:00:00.000001")),
        ("events", at("2026-01-02 00:00:00.000001")),
        ("lines", at("2026-01-01 11:00:00.000001")),
    ]
    billing.execute_in_shop(
        "set search_path to \"Sales Dept\"; update \"Order Lines\" set status = 'void', modified = '2026-01-03' "
        "where line = 2; insert into clients values (gen_random_uuid(), null, '2026-01-02');"
        "update rates set rate = 1.2"
    )
    again = rows_of(extract_load.load("billing"))
    assert (again["lines"], again["clients"], again["events"], again["rates"]) == (1, 1, 0, 1)


@pytest.mark.parametrize(("type_", "before", "after"), [("numeric", "1", "1.0"), ("float8", "0", "-0")])
def test_a_key_that_is_spelled_otherwise_is_another_key(new_house, declare, configure, type_, before, after):
    """Equal to the source's server and to raw's; staging reads keys as text, where one is new and the other gone."""
    new_house.execute_in_shop(f'create schema "Sales Dept"; create table "Sales Dept".spelled (id {type_} primary key)')
    new_house.execute_in_shop(f"insert into \"Sales Dept\".spelled values ('{before}'), (7)")
    configure(BILLING_DATABASE_URL=new_house.shop)
    declare(
        billing=declaration(
            spelled="\n            key: [id]\n            read: full\n            columns: {id: text}\n"
        )
    )
    landed = [rows_of(extract_load.load("billing"))]
    new_house.execute_in_shop(f"update \"Sales Dept\".spelled set id = '{after}' where id = '{before}'")
    landed += [rows_of(extract_load.load("billing")) for _ in range(2)]
    assert landed == [{"spelled": 2}, {"spelled": 2}, {"spelled": 0}]
    latest = "select distinct on (id::text) id::text, _op from raw_billing.spelled order by 1, _load_id desc, _row desc"
    assert dict(new_house.query(latest)) == {before: "d", after: "u", "7": "u"}


def test_two_databases_land_side_by_side(billing, server, declare, configure):
    server.ensure_database("stock")
    try:
        with psycopg.connect(server.conninfo("stock")) as stock:
            stock.execute("create table items (id integer primary key, modified timestamptz)")
            stock.execute("insert into items values (1, '2026-01-01 UTC'), (2, '2026-01-02 UTC')")
        configure(STOCK_URL=server.conninfo("stock"))
        other = SOURCE.replace("billing", "stock").replace("BILLING_DATABASE_URL", "STOCK_URL")
        meta = "\n            key: [id]\n            read: updated_at\n            version: modified\n"
        meta += "            columns: {id: integer, modified: timestamptz}"
        declare(stock=declaration(other.replace(", schema: Sales Dept", ""), items=meta))
        assert extract_load.in_use() == ["billing", "stock"]
        with ThreadPoolExecutor() as pool:
            landed = list(pool.map(extract_load.load, ["billing", "stock"]))
        assert rows_of(landed[1]) == {"items": 2}
        assert billing.query("select source, count(*) from raw.loads group by 1 order by 1") == [
            ("billing", 6),
            ("stock", 1),
        ]
    finally:
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute("drop database stock with (force)")


def test_a_load_of_one_source_does_not_wait_for_the_snapshots_of_another(billing, configure):
    configure(LOCK_WAIT_MINUTES=0.01)
    with psycopg.connect(billing.warehouse) as other:
        other.execute("select pg_advisory_lock(%s)", [snapshot_lock("shop")])
        assert extract_load.load("billing", tables=["rates"])
        other.execute("select pg_advisory_lock(%s)", [snapshot_lock("billing")])
        with pytest.raises(TransientError, match="The lock of loads of billing was not free"):
            extract_load.load("billing", tables=["rates"])


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            'drop view "paid lines"; drop materialized view totals; drop table "Order Lines"',
            r'billing.lines: there is no table "Sales Dept"."Order Lines" in the billing database .* '
            r"schema in its declaration to the schema it is in",
        ),
        (
            'alter table "Order Lines" rename "Total Amount" to amount',
            r'billing.lines: "Sales Dept"."Order Lines" in the billing database .* lacks Total Amount; it has amount',
        ),
        (
            'drop view "paid lines"; drop materialized view totals; '
            'alter table "Order Lines" alter "Total Amount" type text',
            r"billing.lines: Total Amount is text, and must be a number",
        ),
    ],
)
def test_what_is_wrong_is_told_with_the_names_of_this_source(billing, script, told):
    billing.execute_in_shop(f'set search_path to "Sales Dept"; {script}')
    with pytest.raises(StorehouseError, match=told) as refused:
        extract_load.load("billing", tables=["lines"])
    assert "shop." not in str(refused.value) and "SHOP_" not in str(refused.value)


def test_two_rows_of_a_key_are_found_by_the_query_of_the_message(billing):
    billing.execute_in_shop(
        'set search_path to "Sales Dept"; alter table "Order Lines" drop constraint "Order Lines_pkey";'
        "insert into \"Order Lines\" values (1, 1, 7, 'paid', '2026-01-05')"
    )
    with pytest.raises(StorehouseError, match=r'keys \("Order No", line\) with more than one row') as refused:
        extract_load.load("billing", tables=["paid_lines"])
    assert str(refused.value).endswith("or read a view with a row a key (schema in its declaration).")
    found = str(refused.value).partition("See them: ")[2].partition(";")[0]
    with psycopg.connect(billing.shop) as source:
        assert source.execute(found).fetchall() == [(1, 1, 2)]


def test_the_declared_tables_decide_whether_an_interval_is_ready(billing, declare):
    billing_tables = tables.tables_of("billing")
    day, later = at("2026-01-02"), at("2026-01-03")
    assert postgres.ready(billing_tables, later, day) is None, "an event of that day"
    missing = postgres.ready(billing_tables, later + timedelta(days=1), later)
    assert missing == "no table of billing has a row that changed from 2026-01-03 00:00 to 2026-01-04 00:00, or later"
    billing.execute_in_shop('drop table "Sales Dept".clients')
    assert postgres.ready(billing_tables, later, day) is None, "a table that fails does not hold the others up"
    billing.execute_in_shop(
        f'drop table "Sales Dept".events; update "Sales Dept"."Order Lines" set modified = \'{later}\''
    )
    assert postgres.ready(billing_tables, later + timedelta(days=1), later) is None
    billing.execute_in_shop('drop schema "Sales Dept" cascade')
    with pytest.raises(StorehouseError, match=r"billing database .*docs/sources.md"):
        postgres.ready(billing_tables, later, day)


def test_a_schema_may_be_named_by_a_variable(billing, declare, configure):
    by_variable = SOURCE.replace("schema: Sales Dept", "schema: BILLING_SCHEMA")
    declare(billing=declaration(by_variable, lines=TABLES["lines"]))
    with pytest.raises(StorehouseError, match="set BILLING_SCHEMA to the schema it is in"):
        extract_load.load("billing")
    configure(BILLING_SCHEMA="Sales Dept")
    assert rows_of(extract_load.load("billing")) == {"lines": 2}


def test_a_place_that_is_a_secret_is_found_in_the_folder_of_secrets(billing, configure, tmp_path, monkeypatch):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    monkeypatch.delenv("BILLING_DATABASE_URL")
    configure(STOREHOUSE_SECRETS=secrets)
    with pytest.raises(StorehouseError, match="BILLING_DATABASE_URL is not set, and billing needs it"):
        extract_load.load("billing")
    assert extract_load.in_use() == []
    (secrets / "BILLING_DATABASE_URL").write_text(billing.shop + "\n")
    settings.cache_clear()
    assert extract_load.in_use() == ["billing"]
    assert rows_of(extract_load.load("billing", tables=["rates"])) == {"rates": 1}


def test_no_message_has_a_password_whatever_its_variable_is_called(billing, configure):
    configure(BILLING_DATABASE_URL=make_conninfo(billing.shop, user="reader", password="hunter2-of-billing"))
    with pytest.raises(StorehouseError, match="Check the user and the password: BILLING_DATABASE_URL") as refused:
        extract_load.load("billing")
    assert "hunter2" not in str(refused.value)
    configure(BILLING_DATABASE_URL="postgresql://reader:p@ss/w0rd@host/billing")
    with pytest.raises(StorehouseError, match="BILLING_DATABASE_URL: it is not a URL of which") as refused:
        extract_load.load("billing")
    assert "w0rd" not in str(refused.value)


def test_functions_behind_a_view_find_the_tables_of_their_own_schema(billing, declare):
    both = ""
    for schema in ("one", "two"):
        billing.execute_in_shop(
            f"create schema {schema}; create table {schema}.items (id integer); insert into {schema}.items values (1);"
            f"create function {schema}.item() returns text language plpgsql as $$ begin "
            f"return (select '{schema} ' || id from items); end $$;"
            f"create view {schema}.named as select 1 as id, {schema}.item() as name"
        )
        both += f"      - name: {schema}\n        config:\n          meta:\n            schema: {schema}\n"
        both += "            table: named\n            key: [id]\n            read: full\n"
        both += "            columns: {id: integer, name: text}" + LIMITS
    declare(billing=SOURCE + both)
    extract_load.load("billing")
    assert billing.query("select name from raw_billing.one union all select name from raw_billing.two") == [
        ("one 1",),
        ("two 1",),
    ]


def test_a_wait_for_the_lock_of_a_table_at_the_source_ends(billing, configure):
    configure(LOCK_WAIT_MINUTES=0.01)
    with psycopg.connect(billing.shop) as other:
        other.execute('lock table "Sales Dept".rates')
        with pytest.raises(TransientError, match=r"The billing database .*LOCK_WAIT_MINUTES"):
            extract_load.load("billing", tables=["rates"])
