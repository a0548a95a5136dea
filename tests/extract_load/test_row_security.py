"""Row policies of the shop: rows that they hide from our role are never taken for rows that are not there."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from extract_scene import order
from psycopg.conninfo import make_conninfo

import extract_load
from storehouse.core import databases
from storehouse.core.errors import StorehouseError, TransientError

PRODUCTS = "insert into products (product_id, name) values ('p1', 'one'), ('p2', 'two')"
HIDE = """
    alter table {table} enable row level security;
    create policy few on {table} using (false);
"""


@pytest.fixture
def reader(shop, configure) -> Iterator[str]:
    """The role that reads the shop: it may select all tables, and is no superuser."""
    role = f"reader_{shop.home.name[-8:]}".lower().replace("-", "_")
    with psycopg.connect(shop.shop, autocommit=True) as owner:
        owner.execute(
            f"create role {role} login password 'reads'; grant usage on schema public to {role};"
            f"grant select on all tables in schema public to {role}"
        )
        configure(SHOP_DATABASE_URL=make_conninfo(shop.shop, user=role, password="reads"))
        yield role
        owner.execute(f"drop owned by {role}; drop role {role}")


def test_a_table_with_a_row_policy_lands_nothing_and_says_why(shop, reader):
    shop.execute_in_shop(order(1, "2026-01-01 10:00"))
    shop.execute_in_shop(HIDE.format(table="orders"))
    with pytest.raises(StorehouseError, match=r"row-level security.*would be missing.*bypassrls") as error:
        extract_load.load("shop", tables=["orders"])
    assert not isinstance(error.value, TransientError)
    assert "Grant it: USAGE" not in str(error.value)
    assert shop.query("select count(*) from raw.loads") == [(0,)]


def test_products_that_a_row_policy_hides_are_not_landed_as_deletes(shop, reader):
    shop.execute_in_shop(PRODUCTS)
    extract_load.load("shop", tables=["products"])
    shop.execute_in_shop(HIDE.format(table="products"))
    with pytest.raises(StorehouseError, match="row-level security"):
        extract_load.load("shop", tables=["products"], allow_empty=True)
    assert shop.query("select _op, count(*) from raw_shop.products group by _op") == [("u", 2)]


def test_the_other_tables_of_a_shop_with_a_row_policy_land(shop, reader):
    shop.execute_in_shop(order(1, "2026-01-01 10:00") + PRODUCTS)
    shop.execute_in_shop(HIDE.format(table="products"))
    with pytest.raises(StorehouseError, match="row-level security"):
        extract_load.load("shop")
    assert shop.query("select count(*) from raw_shop.orders") == [(1,)]


def test_a_role_that_bypasses_row_policies_reads_every_row(shop, reader):
    shop.execute_in_shop(PRODUCTS)
    shop.execute_in_shop(HIDE.format(table="products") + f"alter role {reader} bypassrls")
    (landed,) = extract_load.load("shop", tables=["products"])
    assert landed.rows == 2


def test_a_row_policy_in_the_warehouse_is_an_error_for_every_role_of_ours(shop, configure: Callable[..., None]):
    role = f"all_{shop.home.name[-8:]}".lower().replace("-", "_")
    with psycopg.connect(shop.warehouse, autocommit=True) as owner:
        owner.execute(
            f"create role {role} login password 'reads'; grant usage on schema public to {role};"
            f"create table public.mart (n int); grant select on public.mart to {role};"
            + HIDE.format(table="public.mart")
        )
        configure(WAREHOUSE_USER=role, WAREHOUSE_PASSWORD="reads")
        try:
            for duty in ("extract", "transform", "reporting"):
                with (
                    pytest.raises(StorehouseError, match="row-level security"),
                    databases.open_warehouse(duty) as warehouse,
                    warehouse.speaking(),
                ):
                    warehouse.execute("select * from public.mart")
        finally:
            owner.execute(f"drop owned by {role}; drop role {role}")
