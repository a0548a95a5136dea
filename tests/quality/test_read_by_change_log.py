"""In dbt a table that is read by its change log behaves as one that is read in full: the marts are the same."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from examples_in_project import OF_DBT, OF_DBT_ALONE
from houses import MODELS_ALONE, House, whole_shop

import extract_load
from extract_load import tables
from storehouse.core import transform
from storehouse.core.settings import PROJECT, settings
from storehouse.laptop.server import Server
from storehouse.operate import audit

DAYS = [
    whole_shop("""
        create table products (
            product_id text primary key, name text, category text, price numeric(18, 2), currency char(3),
            is_active boolean, created_at timestamptz, updated_at timestamptz, deleted_at timestamptz
        );
        insert into products (product_id, name, price, currency, updated_at) values
            ('P-1', 'one', 1, 'USD', '2026-01-01'), ('P-2', 'two', 2, 'EUR', '2026-01-01'),
            ('P-3', 'three', -3, 'USD', null), ('P-4', 'four', 4, 'USD', null), ('P-5', 'five', 5, 'USD', null);
        create publication storehouse for table products;
    """),
    """
        update products set price = 1.50 where product_id = 'P-1';
        delete from products where product_id = 'P-2';
        update products set price = 3 where product_id = 'P-3';
        update products set product_id = 'P-40' where product_id = 'P-4';
        update products set deleted_at = now() where product_id = 'P-5';
    """,
    """
        truncate products;
        insert into products (product_id, name, price, currency)
        values ('P-2', 'back', 2.20, 'EUR'), ('P-6', 'six', 6, 'XXX');
    """,
]
PRODUCTS = (
    "select product_id, name, category, price, currency, is_active, is_deleted from build.dim_products order by 1"
)


@contextmanager
def as_declared(project: Path, house: House, warehouse: str) -> Iterator[None]:
    """Loads and builds in this block use the given project, and the given database as their warehouse."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transform, "PROJECT", project)
        patch.setattr(tables, "STAGING", project / "models" / "staging")
        patch.setenv("WAREHOUSE_DATABASE", warehouse)
        patch.setenv("DBT_TARGET_PATH", str(house.home / f"target of {warehouse}"))
        tables._tables.cache_clear()
        settings.cache_clear()
        yield
    tables._tables.cache_clear()
    settings.cache_clear()


@pytest.fixture
def by_change_log(tmp_path: Path) -> Path:
    """What dbt reads of the project, with the products read by their change log."""
    project = tmp_path / "project"
    for folder in OF_DBT:
        shutil.copytree(PROJECT / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in OF_DBT_ALONE:
        (project / name).symlink_to(PROJECT / name)
    file = project / "models" / "staging" / "shop" / "_shop__sources.yml"
    declared = file.read_text()
    assert declared.count("read: full") == 1
    file.write_text(declared.replace("read: full", "read: change_log"))
    return project


@pytest.fixture
def drop_slot(house: House) -> Iterator[Callable[[], None]]:
    yield
    with psycopg.connect(house.shop, autocommit=True) as connection:
        connection.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active")


@pytest.mark.usefixtures("drop_slot")
def test_marts_are_the_same_by_the_change_log_and_in_full(house: House, server: Server, by_change_log: Path) -> None:
    mine, other = house.environment["WAREHOUSE_DATABASE"], "warehouse_read_in_full"
    server.ensure_database(other)
    try:
        for day in DAYS:
            house.execute_in_shop(day)
            seen = []
            for project, warehouse in ((by_change_log, mine), (PROJECT, other)):
                with as_declared(project, house, warehouse):
                    extract_load.load("shop")
                    extract_load.prepare()
                    assert transform.build([*MODELS_ALONE, "--select", "+dim_products"]) == []
                with psycopg.connect(server.conninfo(warehouse)) as connection:
                    seen.append(connection.execute(PRODUCTS).fetchall())
            assert seen[0] == seen[1] != []
        with as_declared(by_change_log, house, mine):
            assert (
                transform.build([*MODELS_ALONE, "--full-refresh", "--select", "+dim_products", "+source_freshness"])
                == []
            )
            lines, wrong = audit.audit_sources("+dim_products")
            assert wrong == 0 and any(line.startswith("shop.products ") for line in lines)
            house.execute_in_shop("delete from products where product_id = 'P-6'")
            assert audit.audit_sources("+dim_products")[1] == 1
        assert house.query(PRODUCTS) == seen[0]
        assert house.query(
            "select hours_silent, verdict from operations.source_freshness where table_name = 'products'"
        ) == [(0, "ok")]
    finally:
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute(f"drop database {other} with (force)")
