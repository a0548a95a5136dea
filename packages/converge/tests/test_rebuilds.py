"""Edits: code, seeds, columns and parents change, and a table becomes what it would be if it were new."""

import re
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest
from corner_shop import DATABASE, Refused, Shop, item, order
from dbt.cli.main import dbtRunner

from storehouse.laptop.server import binaries

pytest_plugins = ["corner_shop_fixtures"]


def oid(shop: Shop, model: str) -> int:
    return shop.value(f"select 'main_shop.{model}'::regclass::oid::bigint")


def test_a_parents_full_refresh_makes_its_children_compare_everything(shop: Shop) -> None:
    # Written by hand: nothing that landed says so.
    shop.execute("update main_shop.orders set amount = 0 where order_id = 'a'")
    said = shop.run("--full-refresh", "--select", "stg_items")
    said |= shop.run()
    assert (said["stg_items"], said["orders"], said["daily_sales"]) == (
        "UNCHANGED",
        "REBUILD +1 -0",
        "INCREMENTAL +0 -0",
    )
    assert shop.differences() == {}


def test_a_seed_edit_rebuilds_in_place_and_logs_only_what_differs(shop: Shop) -> None:
    before = oid(shop, "orders")
    shop.edit("seeds/regions.csv", "US,us", "US,america")
    shop.dbt("seed")
    said = shop.run()
    assert (said["stg_orders"], said["orders"], said["daily_sales"]) == (
        "UNCHANGED",
        "REBUILD +1 -0",
        "INCREMENTAL +1 -1",
    )
    assert oid(shop, "orders") == before
    assert shop.differences() == {}


def deferred(shop: Shop, *models: str) -> dict[str, tuple[bool, str]]:
    """A run of some models in a target that has nothing, which reads elsewhere what it does not build."""
    state = shop.folder / "state"
    shop.results("compile")
    shop.parsed.manifests["default"].writable_manifest().write(str(state / "manifest.json"))
    return shop.results("run", "--select", *models, "--defer", "--state", str(state), target="audit")


def test_an_edit_of_a_seed_that_another_target_has_is_seen(shop: Shop) -> None:
    models = ("stg_orders", "stg_items", "orders")
    assert deferred(shop, *models)["orders"] == (True, "CREATE 3")
    assert deferred(shop, *models)["orders"] == (True, "UNCHANGED")
    shop.edit("seeds/regions.csv", "US,us", "US,america")
    shop.dbt("seed")
    assert deferred(shop, *models)["orders"] == (True, "REBUILD +1 -0")
    # Its own, from now on.
    shop.edit("seeds/regions.csv", "US,america", "US,us")
    shop.dbt("seed", target="audit")
    assert deferred(shop, *models)["orders"] == (True, "REBUILD +1 -0")
    shop.dbt("seed")
    assert deferred(shop, *models)["orders"] == (True, "UNCHANGED")


def test_a_parent_that_another_target_has_is_refused(shop: Shop) -> None:
    well, message = deferred(shop, "daily_sales")["daily_sales"]
    assert not well and "orders is read from main_shop.orders (--defer)" in message
    assert shop.value("select to_regclass('audit_shop.daily_sales')") is None


def test_a_source_that_was_written_anew_with_another_type_is_read_again(shop: Shop) -> None:
    shop.edit("models/stg_items.sql", "cast(amount as numeric(12, 2))", "cast(amount as text)")
    shop.run("--select", "stg_items")
    before = shop.query("select order_id, line_number, amount from main_shop.stg_items order by 1, 2")
    shop.execute("alter table landing.items alter column amount type numeric(12, 3)")
    shop.execute("alter table landing.items add column note text")
    assert shop.run("--select", "stg_items")["stg_items"] == "REBUILD +4 -0"
    after = shop.query("select order_id, line_number, amount from main_shop.stg_items order by 1, 2")
    assert [(*row[:2], row[2] + ".000") for row in before] == after
    shop.execute("alter table landing.items add column gift text")
    assert shop.run("--select", "stg_items")["stg_items"] == "UNCHANGED"


def test_a_code_edit_rebuilds_in_place_and_its_children_stay_incremental(shop: Shop) -> None:
    before = oid(shop, "orders")
    shop.edit("models/orders.sql", "sum(amount) as amount", "max(amount) as amount")
    said = shop.run()
    assert (said["orders"], said["daily_sales"]) == ("REBUILD +1 -0", "INCREMENTAL +1 -0")
    assert oid(shop, "orders") == before
    assert shop.differences() == {}


def test_a_code_edit_of_staging_takes_rows_back(shop: Shop) -> None:
    shop.edit("models/landed_orders.sql", "where order_id is not null", "where order_id != 'c'")
    assert shop.run()["stg_orders"] == "REBUILD +0 -1"
    assert shop.differences() == {}


def test_words_in_a_contract_rebuild_nothing(shop: Shop) -> None:
    shop.edit("models/_models.yml", "The shop's key.", "The key that the shop gives.")
    assert shop.run()["orders"] == "UNCHANGED"


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("models/_models.yml", "data_type: numeric(12, 2)", "data_type: numeric(14, 2)"),
        ("models/orders.sql", "'track': ['order_date', 'region']", "'track': ['region', 'order_date', 'amount']"),
        ("models/orders.sql", "'columns': ['order_date', 'region']", "'columns': ['region']"),
    ],
    ids=["type", "track", "indexes"],
)
def test_another_shape_is_a_new_table(shop: Shop, file: str, old: str, new: str) -> None:
    shop.edit(file, old, new)
    said = shop.run()
    assert (said["orders"], said["daily_sales"]) == ("CREATE 3", "REBUILD +0 -0")
    assert shop.differences() == {}


def test_another_type_is_a_new_table_without_a_contract_too(shop: Shop) -> None:
    shop.edit("models/stg_items.sql", "numeric(12, 2)", "numeric(14, 4)")
    shop.land(items=[item("a", 3, 1.2345)])
    assert shop.run()["stg_items"] == "CREATE 5"
    assert shop.value("select amount from main_shop.stg_items where line_number = 3") == Decimal("1.2345")


def test_another_key_is_a_new_table(shop: Shop) -> None:
    shop.edit("models/stg_items.sql", "['order_id', 'line_number']", "'order_id'")
    assert shop.run()["stg_items"] == "CREATE 3"


def test_a_column_added_to_a_model_is_filled_for_rows_that_landed_long_ago(shop: Shop) -> None:
    shop.execute("alter table landing.orders add column note text")
    shop.land(orders=[order("d", note="fragile")])
    shop.land(orders=[order("e")])
    said = shop.run()
    assert said["stg_orders"] == "INCREMENTAL +2 -0"
    shop.edit("models/landed_orders.sql", "    country,\n", "    country,\n    note,\n")
    said = shop.run()
    assert (said["stg_orders"], said["orders"], said["daily_sales"]) == ("CREATE 5", "REBUILD +0 -0", "UNCHANGED")
    assert dict(shop.query("select order_id, note from main_shop.stg_orders"))["d"] == "fragile"
    assert shop.differences() == {}


def test_a_column_that_the_source_gains_reaches_a_model_of_all_columns(shop: Shop) -> None:
    shop.write("models/every_column.sql", """
        {{ config(unique_key='order_id', incremental_strategy='upsert', meta={'version': ['_load_id', '_row']}) }}
        select * from {{ converge.landed(source('landing', 'orders')) }} as landed
    """)  # fmt: skip
    shop.run()
    shop.execute("alter table landing.orders add column note text")
    shop.land(orders=[order("d", note="fragile")])
    assert shop.run()["every_column"] == "CREATE 4"
    assert shop.value("select note from main_shop.every_column where order_id = 'd'") == "fragile"


def test_landed_rows_that_had_to_change_are_read_again_when_their_input_is_invalidated(shop: Shop) -> None:
    shop.execute("update landing.orders set country = 'US' where order_id = 'a'")
    assert shop.run()["stg_orders"] == "UNCHANGED"
    shop.invalidate("landing.orders")
    said = shop.run()
    assert (said["stg_orders"], said["orders"], said["daily_sales"]) == (
        "REBUILD +1 -0",
        "INCREMENTAL +1 -0",
        "INCREMENTAL +1 -1",
    )
    assert shop.differences() == {}
    assert shop.run()["stg_orders"] == "UNCHANGED"


def test_an_input_is_invalidated_for_the_tables_of_every_target(shop: Shop) -> None:
    shop.dbt("seed", target="audit")
    shop.dbt("run", target="audit")
    shop.execute("update landing.orders set country = 'US' where order_id = 'a'")
    # Another table of that name, which is no state of converge.
    shop.execute("create schema other; create table other.inputs (input text)")
    shop.invalidate("landing.orders", "landing.it's not there")
    assert shop.run()["stg_orders"] == "REBUILD +1 -0"
    assert shop.dbt("run", target="audit")["stg_orders"] == "REBUILD +1 -0"


def test_an_input_is_invalidated_once_a_run_that_may_have_read_it_has_ended(shop: Shop) -> None:
    with shop.connect() as run:
        run.execute("select pg_advisory_xact_lock(hashtextextended('converge main_shop.stg_orders', 0))")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PGOPTIONS", "-c lock_timeout=200ms")
            with pytest.raises(Refused, match=r"the lock of the model main_shop\.stg_orders was not free within 200ms"):
                shop.invalidate("landing.orders")
    assert shop.run()["stg_orders"] == "UNCHANGED"
    shop.invalidate("landing.orders")
    assert shop.run()["stg_orders"] == "REBUILD +0 -0"


def test_where_nothing_was_built_nothing_is_invalidated(shop: Shop) -> None:
    shop.execute("drop schema main_converge cascade")
    shop.invalidate("landing.orders")
    assert shop.value("select to_regnamespace('main_converge')") is None


def test_a_model_that_reads_nothing_is_built_when_its_code_changes(shop: Shop) -> None:
    shop.write("models/days.sql", "{{ config(unique_key='n') }} select 1 as n, 'one' as word union all select 2, 'two'")
    assert shop.run()["days"] == "CREATE 2"
    assert shop.run()["days"] == "UNCHANGED"
    shop.edit("models/days.sql", "'two'", "'zwei'")
    assert shop.run()["days"] == "REBUILD +1 -0"
    assert shop.query("select * from main_shop.days order by n") == [(1, "one"), (2, "zwei")]


def dump_and_restore(shop: Shop, folder: Path) -> None:
    """Put in the database's place what `pg_dump` says of it, restored by `pg_restore`."""
    dump = folder / "dump"
    subprocess.run([binaries() / "pg_dump", "-Fc", "-f", dump, shop.server.conninfo(DATABASE)], check=True)
    shop.administer(f"drop database {DATABASE} with (force)")
    shop.administer(f"create database {DATABASE}")
    # Tables get other oids than they had.
    shop.execute("create table first (n int); drop table first")
    restored = [binaries() / "pg_restore", "--exit-on-error", "-d", shop.server.conninfo(DATABASE), dump]
    subprocess.run(restored, check=True)


def test_a_database_that_was_made_from_a_dump_is_built_anew_once_and_the_run_says_so(
    shop: Shop, tmp_path, capfd
) -> None:
    def said() -> str:
        words = [word for word in shop.arguments("run") if word != "--quiet"]
        done = dbtRunner().invoke(words)
        assert done.success
        return capfd.readouterr().out

    shop.run()
    assert "made from a dump" not in said()
    dump_and_restore(shop, tmp_path)
    shop.land(orders=[order("dumped", country="US")], items=[item("dumped", amount=7)])
    first = said()
    assert first.count("made from a dump") == 1
    for model in ("stg_orders", "stg_items", "orders", "daily_sales", "monthly_sales"):
        assert re.search(rf"main_shop\.{model} \.* ?\[CREATE \d", first), first
    assert shop.differences() == {} and shop.value("select amount from main_shop.orders where order_id = 'dumped'") == 7
    shop.land(orders=[order("later")])
    second = said()
    assert "made from a dump" not in second and "[INCREMENTAL +1 -0" in second and "[CREATE" not in second
