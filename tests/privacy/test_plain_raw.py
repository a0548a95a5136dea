"""Raw is plain tables: whatever else could run code as a build or as `make forget` is refused before it is touched."""

from collections.abc import Iterator

import psycopg
import pytest
from houses import House

import extract_load
from storehouse.core import transform
from storehouse.core.errors import StorehouseError
from storehouse.operate.forget import forget
from storehouse.operate.forget.macros import sql_of

SPY = """
    create table public.seen (who text, pii_key text);
    create function public.spy() returns boolean language plpgsql security invoker as $$ begin
        insert into public.seen values (current_user, current_setting('storehouse.pii_key', true));
        return true;
    end $$;
    create function public.spy_on() returns trigger language plpgsql
        as $$ begin perform public.spy(); return new; end $$;
"""
OUT_OF_PLACE = {
    "a view": "drop table raw_shop.orders; create view raw_shop.orders as select public.spy()",
    "a materialized view": "create materialized view raw.m as select 1",
    "a partitioned table": "create table raw_shop.p (n int) partition by range (n)",
    "a foreign table": "create foreign data wrapper w; create server s foreign data wrapper w; "
    "create foreign table raw.f (n int) server s",
    "a trigger": "create trigger t before update on raw_shop.orders for each row execute function public.spy_on()",
    "a constraint trigger": "create constraint trigger t after update on raw_shop.orders deferrable "
    "for each row execute function public.spy_on()",
    "a foreign key": "create table public.t (id text primary key); "
    "alter table raw_shop.orders add foreign key (order_id) references public.t on update cascade",
    "a rule": "create rule r as on update to raw_shop.orders do also select public.spy()",
    "row security": "alter table raw_shop.orders enable row level security",
    "a policy": "create policy p on raw_shop.orders using (public.spy())",
    "a child": "create table public.t () inherits (raw_shop.orders)",
    "a parent": "create table public.t (); alter table raw_shop.orders inherit public.t",
    "a default": "alter table raw_shop.orders alter status set default public.spy()::text",
    "a generated column": "alter table raw_shop.orders add g text generated always as (lower(status)) stored",
    "a check": "alter table raw_shop.orders add check (public.spy())",
    "a check of our own column": "alter table raw_shop.orders add check (_op is not null and public.spy())",
    "an index of a function": "create function public.f(text) returns text immutable language sql as 'select $1'; "
    "create index on raw_shop.orders (public.f(status))",
    "an index of some rows": "create function public.f(text) returns bool immutable language sql as 'select true'; "
    "create index on raw_shop.orders (_row) where public.f(status)",
    "an exclusion": "alter table raw_shop.orders add exclude (status with =)",
    "a domain": "create domain public.d as text check (public.spy()); alter table raw_shop.orders add d public.d",
    "an enum": "create type public.e as enum ('x'); alter table raw_shop.orders add e public.e",
    "a composite type": "create type public.c as (n int); alter table raw_shop.orders add c public.c",
    "an array of a domain": "create domain public.d as text; alter table raw_shop.orders add d public.d[]",
    "a collation": "create collation public.c (provider = libc, locale = 'C'); "
    "alter table raw_shop.orders add c text collate public.c",
    "an operator class": "create operator class public.o for type text using btree as operator 1 <, "
    "operator 2 <=, "
    "operator 3 =, operator 4 >=, operator 5 >, function 1 bttextcmp; "
    "create index on raw_shop.orders (status public.o)",
    "an owner who can log in": "alter table raw_shop.orders owner to somebody",
    "a schema whose owner can log in": "alter schema raw_shop owner to somebody",
    "a ledger that is a view": "drop table raw.loads; create view raw.loads as select public.spy()",
}
PLAIN = {
    "as it is made": "select 1",
    "an index": "create index on raw_shop.orders (updated_at) where status is not null",
    "an index of PostgreSQL's own function": "create index on raw_shop.orders (lower(status))",
    "an owner who cannot log in": "alter table raw_shop.orders owner to nobody_at_all",
    "another column": "alter table raw_shop.orders add note text",
}


@pytest.fixture(scope="module")
def raw(house: House) -> Iterator[House]:
    """The raw tables, and roles that may own them."""
    extract_load.prepare()
    with psycopg.connect(house.warehouse, autocommit=True) as warehouse:
        warehouse.execute("create role somebody login; create role nobody_at_all")
        yield house
        warehouse.execute("drop owned by somebody, nobody_at_all; drop role somebody, nobody_at_all")


def odd(house: House, script: str) -> list[tuple[str, str]]:
    """What is out of place in raw after the script, which is not kept."""
    with psycopg.connect(house.warehouse) as warehouse:
        warehouse.execute(SPY + script)
        found = warehouse.execute(sql_of("access/odd_in_raw.sql")).fetchall()
        seen = warehouse.execute("select * from public.seen").fetchall()
        warehouse.rollback()
    assert seen == [], "asking ran it"
    return found


@pytest.mark.parametrize("script", OUT_OF_PLACE.values(), ids=OUT_OF_PLACE)
def test_what_could_run_code_in_raw_or_hide_rows_of_it_is_found(raw: House, script: str) -> None:
    assert odd(raw, script)


@pytest.mark.parametrize("script", PLAIN.values(), ids=PLAIN)
def test_a_plain_table_is_let_pass(raw: House, script: str) -> None:
    assert odd(raw, script) == []


@pytest.fixture
def spied_on(raw: House) -> Iterator[psycopg.Connection]:
    """The warehouse with a function that notes who runs it, and with what key."""
    with psycopg.connect(raw.warehouse, autocommit=True) as warehouse:
        warehouse.execute(SPY)
        yield warehouse
        warehouse.execute(
            "drop table public.seen; drop function public.spy cascade; drop function public.spy_on cascade"
        )


def test_a_build_refuses_a_ledger_that_is_a_view_before_its_code_runs(raw: House, spied_on: psycopg.Connection) -> None:
    spied_on.execute("alter table raw.loads rename to landed")
    try:
        spied_on.execute("create view raw.loads as select * from raw.landed where public.spy()")
        with pytest.raises(StorehouseError, match=r"Raw must be plain tables.*raw\.loads is a view"):
            transform.build(["run", "--select", "stg_ledger__loads"])
        assert spied_on.execute("select * from public.seen").fetchall() == []
    finally:
        spied_on.execute("drop view if exists raw.loads; alter table raw.landed rename to loads")


def test_forget_refuses_a_table_with_a_trigger_before_its_code_runs(raw: House, spied_on: psycopg.Connection) -> None:
    spied_on.execute(
        "insert into raw_shop.customers (customer_id, email, _load_id, _row, _op) "
        "values ('1', 'a.person@x.org', 1, 1, 'u')"
    )
    spied_on.execute(
        "create trigger t before update on raw_shop.customers for each row execute function public.spy_on()"
    )
    with pytest.raises(StorehouseError, match=r"raw_shop\.customers has the trigger t.*Nothing was erased"):
        forget(["web-1"])
    assert spied_on.execute("select * from public.seen").fetchall() == []
    assert raw.query("select email from raw_shop.customers") == [("a.person@x.org",)]
