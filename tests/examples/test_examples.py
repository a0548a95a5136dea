"""Each example lands, converges and reaches its mart with what is in its folder, against a server of its shape."""

import re
from collections.abc import Iterator
from decimal import Decimal

import pytest
from examples_in_project import EXAMPLES, NAMES, with_examples
from houses import MODELS_ALONE, House
from other_sources import API_DAYS, SHOP_DAYS, write_files
from public_apis import APIS, served

import extract_load
from extract_load import tables
from storehouse.core import transform
from storehouse.core.settings import settings

SELECTED = ["--select", "+fct_orders", "+fct_payments"]
SECRETS = {
    "STRIPE_KEY": "stripe-key",
    "SHOPIFY_TOKEN": "shopify-token",
    "WOOCOMMERCE_USER": "ck",
    "WOOCOMMERCE_PASSWORD": "cs",
    "DYNAMICS_CLIENT": "storehouse",
    "DYNAMICS_SECRET": "dynamics-secret",
}


# The unit tests of the examples are run; those of the models around them are other tests' subject.
OF_OTHERS = [f"resource_type:unit_test,path:models/{name}" for name in ("marts", "intermediate", "operations")]
OF_OTHERS += [f"resource_type:unit_test,path:models/staging/{name}" for name in ("marketplace", "stores")]


@pytest.fixture(scope="module")
def played(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The warehouse after two days, each landed and built, beside the servers and folders of the sources."""
    project = with_examples(tmp_path_factory.mktemp("project"))
    bank, terminals = tmp_path_factory.mktemp("bank"), tmp_path_factory.mktemp("terminals")
    records: dict[str, list] = {}
    with served(records) as url, pytest.MonkeyPatch.context() as patch:
        patch.setattr(transform, "PROJECT", project)
        patch.setattr(tables, "STAGING", project / "models" / "staging")
        tables._tables.cache_clear()
        places = {"BANK_URL": str(bank), "TERMINALS_URL": str(terminals), "DBT_TARGET_PATH": str(project / "target")}
        urls = {f"{name.upper()}_URL": url for name in APIS}
        for name, value in (urls | places | SECRETS).items():
            patch.setenv(name, value)
        settings.cache_clear()
        for day, rest in enumerate((OF_OTHERS, ["resource_type:unit_test"])):
            records.update(API_DAYS[day])
            write_files(day, bank, terminals)
            house.execute_in_shop(f"set timezone to 'UTC'; {SHOP_DAYS[day]}")
            for source in ("shop", *APIS, "bank", "terminals"):
                extract_load.load(source)
            assert transform.build(["build", *SELECTED, "--exclude", "resource_type:test", *rest]) == []
        yield house
    tables._tables.cache_clear()
    settings.cache_clear()


def test_orders_of_each_source_reach_fct_orders(played: House) -> None:
    """With their states, currencies and regions as ours are, and totals that are those of their lines."""
    query = "select order_id, channel, region, status, currency, total_amount from build.fct_orders"
    assert {str(order): rest for order, *rest in played.query(query)} == {
        "web-1": ["web", "eu", "approved", "EUR", Decimal("25.98")],
        "web-2": ["web", "us", "delivered", "USD", Decimal(5)],
        "web-5": ["web", "eu", "shipped", "EUR", Decimal("12.99")],
        "shopify-101": ["shopify", "eu", "approved", "EUR", Decimal("20.5")],
        "shopify-102": ["shopify", "eu", "shipped", "EUR", Decimal("20.5")],
        "shopify-104": ["shopify", "eu", "canceled", "EUR", Decimal("20.5")],
        "shopify-105": ["shopify", "eu", "approved", "EUR", Decimal("20.5")],
        "woocommerce-201": ["woocommerce", "us", "processing", "USD", Decimal(21)],
        "woocommerce-202": ["woocommerce", "us", "delivered", "USD", Decimal(21)],
        "woocommerce-205": ["woocommerce", "us", "processing", "USD", Decimal(21)],
        "dynamics-SO-1": ["dynamics", "eu", "processing", "GBP", Decimal("106.5")],
        "dynamics-SO-2": ["dynamics", "eu", "invoiced", "GBP", Decimal("106.5")],
        "dynamics-SO-5": ["dynamics", "eu", "shipped", "GBP", Decimal("106.5")],
    }
    assert played.query("select distinct stated_difference from build.fct_orders") == [(0,)]
    late = "select order_id from build.fct_orders where order_date = '2025-11-20' order by 1"
    assert played.query(late) == [("dynamics-SO-5",), ("shopify-105",), ("web-5",), ("woocommerce-205",)]


def test_payments_of_each_source_reach_fct_payments(played: House) -> None:
    """In the currency's unit, and each with its order, whichever channel that came through."""
    query = "select source_payment_id, channel, order_id, method, status, currency, amount from build.fct_payments"
    assert {str(payment).rpartition("-")[2]: rest for payment, *rest in played.query(query)} == {
        "000000000001": ["web", "web-1", "card", "captured", "EUR", Decimal("25.98")],
        "000000000002": ["web", "web-2", "card", "captured", "USD", Decimal(5)],
        "ch_1": ["stripe", "web-1", "card", "captured", "EUR", Decimal("25.98")],
        "ch_2": ["stripe", "web-2", "card", "captured", "USD", Decimal("10.5")],
        "ch_4": ["stripe", "web-2", "card", "refunded", "USD", Decimal("10.5")],
        "ch_5": ["stripe", "web-2", "card", "captured", "JPY", Decimal(1050)],
        "ch_6": ["stripe", "web-2", "card", "captured", "JPY", Decimal(1050)],
        "1/201": ["vouchers", "woocommerce-201", "voucher", "captured", "USD", Decimal(5)],
        "2/201": ["vouchers", "woocommerce-201", "voucher", "captured", "USD", Decimal("6.5")],
        "2/202": ["vouchers", "woocommerce-202", "voucher", "captured", "USD", Decimal(7)],
        "5/201": ["vouchers", "woocommerce-201", "voucher", "captured", "USD", Decimal(9)],
        "B1": ["bank", "web-1", "bank_transfer", "captured", "EUR", Decimal("1025.98")],
        "B2": ["bank", "web-2", "bank_transfer", "captured", "EUR", Decimal("5.5")],
        "B5": ["bank", "web-5", "bank_transfer", "captured", "EUR", Decimal("12.99")],
        "1": ["terminals", "shopify-101", "card", "authorized", "EUR", Decimal("20.5")],
        "2": ["terminals", "shopify-102", "card", "captured", "EUR", Decimal("20.5")],
        "5": ["terminals", "shopify-105", "card", "captured", "JPY", Decimal(2050)],
    }
    assert played.query("select distinct has_order from build.fct_payments") == [(True,)]
    names = "select distinct payload ->> 'Auftraggeber' from raw_bank.transfers"
    assert {name for (name,) in played.query(names)} == {"Jörg Müller", "Große; Söhne", "Ann", "Bob", "Cem"}


def test_what_is_wrong_is_refused_with_its_reason(played: House) -> None:
    query = "select distinct source, table_name, record_key, errors from quarantine.refused_records"
    refused = {
        f"{source}.{table} {key}": [error.split()[0] for error in said]
        for source, table, key, said in played.query(query)
    }
    assert refused == {
        "shop.orders 3": ["currency_unknown"],
        "shop.payments 00000000-0000-0000-0000-000000000003": ["amount_impossible"],
        "stripe.charges ch_3": ["order_id_malformed"],
        "shopify.orders 103": ["currency_unknown"],
        "woocommerce.orders 203": ["status_unknown"],
        "vouchers.redemptions V-3/202": ["amount_impossible"],
        "dynamics.orders SO-3": ["total_impossible"],
        "bank.transfers B3": ["amount_impossible"],
        "terminals.payments T-3": ["status_unknown"],
    }


def test_a_full_refresh_makes_the_same_rows(played: House) -> None:
    built = [
        (node["schema"], node["alias"])
        for node in transform.manifest()["nodes"].values()
        if node["config"]["materialized"] == "converging"
    ]
    there = {tuple(row) for row in played.query("select schemaname, tablename from pg_tables")}
    built = [table for table in built if table in there]
    day_by_day = {table: rows_of(played, *table) for table in built}
    assert transform.build([*MODELS_ALONE, "--full-refresh", *SELECTED]) == []
    assert [table for table in built if rows_of(played, *table) != day_by_day[table]] == []
    assert len(built) > 20 and all(day_by_day["build", table] for table in ("fct_orders", "fct_payments"))


def rows_of(house: House, schema: str, table: str) -> list[str]:
    """All rows of a table, each as one text."""
    return [row for (row,) in house.query(f'select found::text from "{schema}"."{table}" as found order by 1')]


@pytest.mark.quick
def test_the_readme_shows_every_example() -> None:
    readme = (EXAMPLES / "README.md").read_text()
    assert sorted(set(re.findall(r"^\| \[(\w+)\]", readme, re.MULTILINE))) == NAMES
    for place in re.findall(r"\]\(([^)#]+)", readme):
        assert (EXAMPLES / place).exists(), place
