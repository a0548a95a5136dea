"""What `discover` prints lands as it is, says what it is not sure of and shows no value; `check` says what differs."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import yaml
from extract_scene import order
from psycopg.conninfo import make_conninfo

import demo
import extract_load
from extract_load import discovery, tables
from extract_load.__main__ import main
from extract_load.declarations import STAGING, read_declarations
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT

ODD = """
    create schema "Sales Dept";
    set search_path to "Sales Dept";
    create table "Order Lines" (
        "Order No" bigint, line smallint, "Total Amount" bigint, modified timestamp not null, deleted_on timestamp,
        primary key ("Order No", line)
    );
    create index on "Order Lines" (modified);
    create table members (
        number integer not null unique, name text, reachable text, called text, "Birth Date" date, extra jsonb,
        last_update timestamptz
    );
    create function stamp() returns trigger language plpgsql as $$ begin new.last_update := now(); return new; end $$;
    create trigger stamp before update on members for each row execute function stamp();
    create table "no key" (shelf_id integer, item_id integer, at timestamptz, note text);
    create view "all lines" as select *, 1 as one from "Order Lines";
    create table empty (id integer, is_deleted boolean);
    create table mine (id integer primary key, _load_id integer);
    create table months (id integer primary key, stamped timestamptz) partition by range (id);
    create table months_1 partition of months for values from (0) to (10);
    insert into "Order Lines"
        select number, line, 100, timestamp '2026-01-01' + number * interval '1 hour', null
        from generate_series(1, 50) as number, generate_series(1, 2) as line;
    insert into members select number, 'A Secretive Person', 'secret' || number || '@example.com',
        '+49 30 12345' || number, '1980-01-01', '{}', now() from generate_series(1, 20) as number;
    insert into "no key" select number / 5, number % 5, now(), 'secret' from generate_series(0, 24) as number;
"""


@pytest.fixture
def odd(new_house, configure):
    new_house.execute_in_shop(ODD)
    configure(ODD_URL=new_house.shop)
    return new_house


@pytest.fixture
def declared(tmp_path, monkeypatch):
    """Declare a source by what was printed, and no other."""

    def declare(text: str) -> dict:
        (source,) = yaml.safe_load(text)["sources"]
        file = tmp_path / "staging" / source["name"] / f"_{source['name']}__sources.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        monkeypatch.setattr(tables, "STAGING", tmp_path / "staging")
        tables._tables.cache_clear()
        return source

    yield declare
    tables._tables.cache_clear()


def meta_of(source: dict, name: str) -> dict:
    (table,) = (table for table in source["tables"] if table["name"] == name)
    return source["config"]["meta"] | table["config"]["meta"]


def tags_of(source: dict, name: str) -> dict:
    (table,) = (table for table in source["tables"] if table["name"] == name)
    assert all(column["description"] for column in table.get("columns", ()))
    return {column["name"]: column["config"]["meta"]["pii"] for column in table.get("columns", ())}


@pytest.fixture
def played(new_house):
    """A house whose shop is the demo's, played for three days."""
    demo.advance(days=3, size=0.1)
    return new_house


def test_the_declaration_of_the_demo_shop_lands_as_it_is(played, declared):
    text = discovery.discover("shop")
    source = declared(text)
    assert "models/staging/shop/_shop__sources.yml is there already" in text
    own = {of.name: of for of in read_declarations(STAGING) if of.source == "shop"}
    assert {table["name"] for table in source["tables"]} == own.keys()
    for name, of in own.items():
        found = meta_of(source, name)
        assert (found["connection"], found["schema"]) == ("SHOP_DATABASE_URL", "SHOP_SCHEMA")
        assert found["key"] == of.declaration.key
        assert found["columns"].keys() >= of.declaration.columns.keys() - set(of.declaration.optional)
        assert found["read"] == "updated_at" and found["version"] == "updated_at"
    assert tags_of(source, "customers") == {
        "email": "email",
        "full_name": "name",
        "address": "address",
        "postal_code": "address",
    }
    landed = {result.table: result.rows for result in extract_load.load("shop")}
    assert landed.keys() == own.keys() and min(landed.values()) > 0
    assert all(not differs for differs in discovery.differences("shop").values())


def test_a_database_of_other_names_is_declared_under_a_variable_and_lands(odd, declared):
    text = discovery.discover("ODD_URL")
    assert "Put this into models/staging/odd/_odd__sources.yml." in text
    assert "would be refused" not in text
    source = declared(text)
    assert source["config"]["meta"] == {"connector": "postgres", "connection": "ODD_URL", "schema": "Sales Dept"}
    assert {table["name"] for table in source["tables"]} == {
        *("all_lines", "empty", "members", "months", "no_key", "order_lines"),
    }
    lines = meta_of(source, "order_lines")
    assert (lines["table"], lines["key"], lines["read"]) == ("Order Lines", ["Order No", "line"], "updated_at")
    assert (lines["version"], lines["deleted"]) == ("modified", "deleted_on")
    assert lines["columns"] == {
        "Order No": "integer",
        "line": "integer",
        "Total Amount": "integer",
        "modified": "timestamptz",
        "deleted_on": "timestamptz",
    }
    assert meta_of(source, "members")["key"] == ["number"]
    assert meta_of(source, "members")["version"] == "last_update"
    assert meta_of(source, "no_key")["key"] == ["shelf_id", "item_id"]
    assert meta_of(source, "no_key")["read"] == "full"
    assert meta_of(source, "all_lines")["key"] == ["Order No", "line"]
    landed = {result.table: result.rows for result in extract_load.load("odd")}
    assert landed == {"all_lines": 100, "empty": 0, "members": 20, "months": 0, "no_key": 25, "order_lines": 100}


def test_it_says_what_it_is_not_sure_of(odd):
    text = discovery.discover("ODD_URL")

    def said_of(name: str) -> str:
        return text.partition(f"- name: {name}\n")[2].partition("      - name: ")[0]

    assert "# key: there is no primary key; it is a unique index" in said_of("members")
    assert "# version: no index begins with it" in said_of("members"), "a trigger sets it"
    assert "# version: no trigger sets it" in said_of("order_lines")
    assert "unique and never null in the first 25 rows" in said_of("no_key")
    assert "# key: it has no primary key, and no rows" in said_of("empty")
    assert "# deleted: is_deleted may tell deletes; it is no time" in said_of("empty")
    assert "# read: no time is named as one that changes" in said_of("months")
    assert "change_log reads what changed" in said_of("months") and "change_log" not in said_of("all_lines")
    assert "note may hold anything" in said_of("no_key")


def test_what_looks_personal_is_tagged_and_no_value_is_printed(odd, run):
    done = run("discover", "ODD_URL")
    assert done.returncode == 0, done.stderr
    (source,) = yaml.safe_load(done.stdout)["sources"]
    assert tags_of(source, "members") == {
        "name": "name",
        "reachable": "email",
        "called": "text",
        "Birth Date": "text",
    }
    assert "# pii: reachable, called by the form of the values; extra may hold anything" in done.stdout
    assert "left out: Sales Dept.mine: columns of it have names that raw uses for itself" in done.stderr
    assert not any(word in (done.stdout + done.stderr).lower() for word in ("secret", "12345", "1980"))


def test_a_url_is_declared_as_a_variable_to_set_and_its_password_is_not_printed(odd, run, server):
    user = {"user": "postgres", "password": server.password}
    with psycopg.connect(odd.shop) as connection:
        host, port, name = connection.info.host, connection.info.port, connection.info.dbname
    url = f"postgresql://{user['user']}:{user['password']}@{host}:{port}/{name}"
    done = run("discover", url, "--as", "billing", "--meta", "{table: members}")
    assert done.returncode == 0, done.stderr
    (source,) = yaml.safe_load(done.stdout)["sources"]
    assert (source["name"], source["schema"]) == ("billing", "raw_billing")
    assert source["config"]["meta"]["connection"] == "BILLING_DATABASE_URL"
    assert [table["name"] for table in source["tables"]] == ["members"]
    assert f"# Set BILLING_DATABASE_URL to postgresql://{host}:{port}/{name}" in done.stdout
    assert server.password not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("nothing_like_it", "nothing_like_it is no declared source, no URL and no variable. Declared: shop, "),
        ("NO_SUCH_URL", "NO_SUCH_URL is not set"),
        ("postgresql://reader:hunter2@127.0.0.1:1/shop", "Cannot connect to the source database 127.0.0.1:1/shop"),
        ("postgresql://reader:hunt@er2@host/shop", "SHOP_DATABASE_URL: it is not a URL of which user"),
    ],
)
def test_what_cannot_be_looked_at_is_told_in_a_line(new_house, run, what, told):
    done = run("discover", what)
    assert (done.returncode, done.stdout) == (1, "")
    assert told in done.stderr and "er2" not in done.stderr and len(done.stderr.splitlines()) == 1


def test_tables_without_a_right_to_read_them_are_left_out_by_name(odd, run, configure):
    odd.execute_in_shop("""
        drop role if exists half_blind;
        create role half_blind login password 'sees';
        grant usage on schema "Sales Dept" to half_blind;
        grant select on "Sales Dept".members to half_blind
    """)
    try:
        configure(ODD_URL=make_conninfo(odd.shop, user="half_blind", password="sees"))
        done = run("discover", "ODD_URL")
        assert [table["name"] for table in yaml.safe_load(done.stdout)["sources"][0]["tables"]] == ["members"]
        assert "left out, as our role has no right to select: Sales Dept.Order Lines, " in done.stderr
    finally:
        odd.execute_in_shop("drop owned by half_blind; drop role half_blind")


def test_a_view_that_fails_is_declared_without_a_sample(odd):
    odd.execute_in_shop(
        'create view "Sales Dept".broken as select 1 / (line - line) as id from "Sales Dept"."Order Lines"'
    )
    text = discovery.discover("ODD_URL", meta={"table": "broken"})
    assert "# columns: the sample of it could not be read: " in text and "division by zero" in text


# check


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            "alter table orders rename total_amount to amount",
            ["total_amount is not there", "amount (numeric) is not decl"],
        ),
        ("alter table orders alter placed_at type text", ["placed_at is text, and must be a timestamp"]),
        ("alter table orders add gift_note text", ["gift_note (text) is not declared; it lands too"]),
        (
            "alter table orders drop constraint orders_pkey; insert into orders select * from orders",
            ["the key (order_id) is that of another row in 1 of the first 2 rows"],
        ),
        (
            "update orders set updated_at = null",
            ["updated_at is null in 1 of the first 1 rows: they land with every load"],
        ),
        (
            "insert into orders (order_id, updated_at) select n, '2026-01-01' from generate_series(2, 20000) as n; "
            "analyze orders",
            ["updated_at does not grow: it is the same in all", "no index begins with updated_at"],
        ),
        ("alter table orders enable row level security, force row level security", []),
        ("drop table orders", ["there is no table public.orders in the shop database"]),
    ],
)
def test_check_says_what_differs(shop, script, told):
    shop.execute_in_shop(order(1, "2026-01-01"))
    before = discovery.differences("shop")
    assert before["shop.orders"] == [] and before["shop.customers"] == []
    shop.execute_in_shop(script)
    after = discovery.differences("shop")
    assert len(after["shop.orders"]) == len(told)
    for words, said in zip(told, after["shop.orders"], strict=True):
        assert words in said
    assert after["shop.customers"] == [], "of the others nothing differs"


def test_check_needs_the_rights_that_a_load_needs(shop, run, configure):
    shop.execute_in_shop("""
        drop role if exists half_blind;
        create role half_blind login password 'sees';
        grant usage on schema public to half_blind;
        grant select on customers, products, order_items, payments to half_blind;
        alter table payments enable row level security
    """)
    try:
        configure(SHOP_DATABASE_URL=make_conninfo(shop.shop, user="half_blind", password="sees"))
        done = run("check", "shop")
        assert done.returncode == 1
        assert "our role has no right to read it: grant usage on its schema, and select on public.orders" in done.stdout
        assert "row policies hide rows from our role" in done.stdout
        assert "shop.customers           as declared" in done.stdout
    finally:
        shop.execute_in_shop("drop owned by half_blind; drop role half_blind")


def test_make_passes_on_what_was_asked(odd):
    done = subprocess.run(
        ["make", "--no-print-directory", "discover", "SOURCE=ODD_URL", "AS=elsewhere", "META={table: members}"],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env=os.environ,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (source,) = yaml.safe_load(done.stdout)["sources"]
    assert (source["name"], source["config"]["meta"]["connection"]) == ("elsewhere", "ODD_URL")


# A connector of another package.

CONNECTOR = '''
"""Lands the lines of a text."""
from extract_load.declarations import Declaration as Common
from extract_load.ledger import Load, copy_rows, each, land
from extract_load.payload import payload
from storehouse.core.settings import settings


class Declaration(Common, frozen=True):
    """The lines of a text."""

    separator: str
    columns: list[str]


def ready(tables, until, from_):
    return None


def load(warehouse, tables, asked):
    def load_one(table):
        text = settings().place(table.connection, table.source)

        def feed(write):
            for line in text.split(table.declaration.separator):
                write(payload('{"word": "%s"}' % line))

        return land(warehouse, Load(table, run_id=asked.run_id),
                    lambda load_id: copy_rows(warehouse, table, ["payload"], load_id, feed))

    return each(load_one, tables)
'''
WORDS = """
sources:
  - name: words
    schema: raw_words
    config: {meta: {connector: lines, connection: WORDS}}
    tables:
      - name: words
        config:
          meta:
            separator: "-"
            key: [word]
            read: full
            columns: [word]
            refused: {limit_percent: 5, least_refused: 20, reason: A test's}
            freshness: {warn_hours: 26, error_hours: 194, reason: A test's}
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A distribution that is installed, with a connector."""
    site = tmp_path / "site"
    info = site / "storehouse_lines-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: storehouse-lines\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[storehouse.connectors]\nlines = storehouse_lines\n")
    (site / "storehouse_lines.py").write_text(CONNECTOR)
    monkeypatch.syspath_prepend(str(site))
    extract_load.connectors.connector.cache_clear()
    yield site
    sys.modules.pop("storehouse_lines", None)
    extract_load.connectors.connector.cache_clear()


def test_an_installed_package_brings_a_connector(new_house, declared, package, configure):
    configure(WORDS="one-two-three")
    declared(WORDS)
    (result,) = extract_load.load("words")
    assert (result.source, result.table, result.rows) == ("words", "words", 3)
    assert new_house.query("select payload ->> 'word' from raw_words.words order by _row") == [
        ("one",),
        ("two",),
        ("three",),
    ]


def test_its_declaration_is_checked_by_its_own_fields(tmp_path, package):
    file = tmp_path / "words" / "_words__sources.yml"
    file.parent.mkdir()
    file.write_text(WORDS.replace("separator", "seperator"))
    with pytest.raises(StorehouseError) as told:
        read_declarations(tmp_path)
    assert "words.words: seperator: there is no such field here; is it separator?" in str(told.value)
    (package / "storehouse_lines.py").write_text("")
    sys.modules.pop("storehouse_lines", None)
    with pytest.raises(StorehouseError, match=r"The connector lines \(storehouse_lines\) has no Declaration"):
        read_declarations(tmp_path)


def test_the_help_names_the_sources_that_are_declared(declared, package, capsys, monkeypatch):
    declared(WORDS)
    monkeypatch.setattr(sys, "argv", ["extract_load", "-h"])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().out
    assert "words            WORDS" in said and "words.words" in said and "MARKETPLACE" not in said


def test_no_source_is_named_in_the_code():
    """A source is what the declarations say: of the demo's, only its settings are known by name."""
    files = [*Path(PROJECT, "extract_load").rglob("*.py"), *Path(PROJECT, "storehouse").rglob("*.py")]
    names = ('"shop"', '"marketplace"', '"reviews"', '"stores"', "raw_shop", "raw_marketplace")
    known = {Path(PROJECT, "storehouse", *path) for path in (("core", "settings.py"), ("laptop", "local.py"))}
    found = {
        str(file.relative_to(PROJECT)): [name for name in names if name in text]
        for file in files
        if file not in known and any(name in (text := file.read_text()) for name in names)
    }
    assert found == {}
