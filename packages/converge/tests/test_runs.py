"""Runs: what is read, what is written with it, and what happens when two of them, or a failure, meet."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from corner_shop import Refused, Shop, item, order

pytest_plugins = ["corner_shop_fixtures"]

WATERMARKS = "select relation::regclass::text, input, bound from main_converge.inputs order by 1, 2"
FAIL = """
    create function public.fail() returns trigger language plpgsql
    as $$ begin raise exception 'pulled the plug'; end $$;
    create trigger fail before insert on {} for each row execute function public.fail();
"""


def log(shop: Shop, model: str) -> list[int]:
    """The versions in a model's log."""
    return [row[0] for row in shop.query(f"select distinct _version from main_converge.main_shop__{model} order by 1")]


@contextmanager
def running(shop: Shop, *arguments: str) -> Iterator[list]:
    """A run at the side, waiting for a lock that is held here; what it said, once it is over."""
    said: list = []
    side = threading.Thread(target=lambda: said.append(shop.results("run", *arguments)))
    side.start()
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    while side.is_alive() and not shop.value(waiting):
        time.sleep(0.02)
    yield said
    side.join()


def test_a_run_with_nothing_new_writes_nothing(shop: Shop) -> None:
    before = shop.query("select ctid, xmin, * from main_converge.inputs order by relation, input")
    assert {message for model, message in shop.run().items() if "on-run" not in model} == {"UNCHANGED"}
    assert shop.query("select ctid, xmin, * from main_converge.inputs order by relation, input") == before


@pytest.mark.parametrize("table", ["main_converge.inputs", "main_shop.orders", "main_converge.main_shop__orders"])
def test_rows_log_and_watermark_stand_or_fall_together(shop: Shop, table: str) -> None:
    shop.land(items=[item("a", 3, 1)])
    shop.run("--select", "stg_items", "stg_orders")
    before = shop.rows("orders"), shop.query(WATERMARKS), log(shop, "orders")
    shop.execute(FAIL.format(table))
    with pytest.raises(Refused, match="pulled the plug"):
        shop.run("--select", "orders")
    assert (shop.rows("orders"), shop.query(WATERMARKS), log(shop, "orders")) == before
    shop.execute("drop function public.fail() cascade")
    shop.run()
    assert shop.differences() == {}


def test_a_dropped_table_starts_from_nothing(shop: Shop) -> None:
    shop.execute("drop table main_shop.stg_orders")
    said = shop.run()
    assert (said["stg_orders"], said["orders"], said["daily_sales"]) == ("CREATE 3", "REBUILD +0 -0", "UNCHANGED")
    assert shop.differences() == {}


def test_a_table_that_something_else_stands_in_for_is_built_anew(shop: Shop) -> None:
    shop.execute("""
        drop table main_shop.daily_sales;
        create view main_shop.daily_sales as select 1 as order_date;
        alter table main_shop.orders rename to kept;
        create table main_shop.orders as table main_shop.kept;
    """)
    said = shop.run()
    assert (said["orders"], said["daily_sales"]) == ("CREATE 3", "CREATE 3")
    assert shop.differences() == {}


def test_a_lost_log_is_made_anew_with_its_table(shop: Shop) -> None:
    shop.execute("drop table main_converge.main_shop__orders")
    said = shop.run()
    assert (said["orders"], said["daily_sales"]) == ("CREATE 3", "REBUILD +0 -0")


def test_a_load_that_lands_during_a_run_belongs_to_the_next_one(shop: Shop) -> None:
    shop.land(items=[item("a", 3, 1)])
    with shop.connect() as loader:
        loader.execute("lock table landing.items in access exclusive mode")
        with running(shop) as said:
            loader.execute("insert into landing.items values ('a', 4, 1, '2026-01-01', 'u', 3, 1)")
            loader.execute("insert into landing.loads values (3, 3)")
            loader.commit()
    assert said[0]["stg_items"] == (True, "INCREMENTAL +1 -0")
    assert shop.run()["stg_items"] == "INCREMENTAL +1 -0"
    assert shop.differences() == {}


@pytest.mark.parametrize(
    ("command", "said_then"), [([], "INCREMENTAL +2 -0"), (["--full-refresh"], "CREATE 6")], ids=["incremental", "full"]
)
def test_a_load_that_began_before_others_and_commits_after_them_is_read_whole_by_the_next_run(
    shop: Shop, command: list[str], said_then: str
) -> None:
    with shop.connect() as slow:
        slow.execute("insert into landing.items values ('a', 4, 1, '2026-01-01', 'u', 3, 1)")
        shop.land(items=[item("a", 3, 1)])
        shop.land(load_id=4, items=[item("b", 2, 1)])
        slow.execute("lock table landing.items in access exclusive mode")
        with running(shop, *command) as said:
            slow.execute("insert into landing.loads values (3, 4)")
            slow.commit()
    assert said[0]["stg_items"] == (True, said_then)
    assert shop.run()["stg_items"] == "INCREMENTAL +1 -0"
    assert shop.differences() == {}


def test_a_parent_that_only_a_hook_names_is_waited_for_and_not_read(shop: Shop) -> None:
    hooked = "incremental_strategy='upsert', post_hook=\"{% do ref('stg_items') %}\""
    shop.edit("models/stg_orders.sql", "incremental_strategy='upsert'", hooked)
    shop.run()
    inputs = "select input from main_converge.inputs where relation = 'main_shop.stg_orders'::regclass order by 1"
    assert [row[0] for row in shop.query(inputs)] == ["(code)", "(self)", "(shape)", "landing.orders"]
    shop.execute(FAIL.format("main_converge.main_shop__stg_items"))
    shop.land(orders=[order("z")], items=[item("z")])
    assert shop.results("run")["stg_orders"] == (False, "skipped")


def test_an_older_run_that_comes_late_takes_nothing_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.land(items=[item("a", 3, 1)])
    monkeypatch.setenv("CONVERGE_RUN_ID", "monday's")
    shop.dbt("run", "--select", "stg_orders")
    monkeypatch.setenv("CONVERGE_RUN_ID", "")
    shop.land(items=[item("a", 4, 1)])
    shop.run()
    before = shop.query(WATERMARKS), shop.rows("stg_items")
    monkeypatch.setenv("CONVERGE_RUN_ID", "monday's")
    shop.run()
    shop.run("--full-refresh", "--select", "stg_items")
    assert shop.rows("stg_items") == before[1]
    assert [row[2] for row in shop.query(WATERMARKS) if row[1] == "landing.items"] == [3]


def test_one_run_in_many_invocations_reads_up_to_one_bound(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVERGE_RUN_ID", "tuesday's")
    shop.land(orders=[order("d")])
    shop.run("--select", "stg_orders")
    shop.land(items=[item("d")])
    assert shop.run("--select", "stg_items")["stg_items"] == "INCREMENTAL +0 -0"


def test_an_empty_run_id_is_none(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVERGE_RUN_ID", "")
    shop.run("--select", "stg_orders")
    shop.land(items=[item("d")])
    assert shop.run("--select", "stg_items")["stg_items"] == "INCREMENTAL +1 -0"


def test_a_first_run_waits_for_another_first_run(shop: Shop) -> None:
    shop.execute("drop schema main_converge cascade")
    with shop.connect() as other:
        other.execute("select pg_advisory_xact_lock(hashtextextended('converge.start_run', 0))")
        other.execute("create schema main_converge")
        with running(shop, "--select", "stg_items") as said:
            other.commit()
    assert said[0]["stg_items"] == (True, "CREATE 4")


def test_a_first_run_keeps_its_lock_until_its_state_is_made(shop: Shop) -> None:
    locks = "select count(*) from pg_locks join pg_database on pg_database.oid = database where locktype = 'advisory'"
    shop.execute("drop schema main_converge cascade")
    with shop.connect() as other:
        other.execute("create schema main_converge")
        with running(shop, "--select", "stg_items") as said:
            held = shop.value(f"{locks} and granted and datname = current_database()")
            other.rollback()
    assert (held, said[0]["stg_items"]) == (1, (True, "CREATE 4"))


def test_two_first_runs_at_once_both_succeed(shop: Shop) -> None:
    shop.execute("drop schema main_converge cascade")
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *shop.arguments("run")]
    runs = [
        subprocess.Popen(
            [*command, "--target-path", str(shop.folder / f"target_{n}")], stdout=subprocess.PIPE, text=True
        )
        for n in range(2)
    ]
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert shop.differences() == {}


def test_a_second_run_of_a_model_waits_and_finds_its_work_done(shop: Shop) -> None:
    shop.land(items=[item("a", 3, 1)])
    with shop.connect() as other:
        other.execute("select pg_advisory_xact_lock(hashtextextended('converge main_shop.stg_items', 0))")
        with running(shop, "--select", "stg_items") as said:
            # The other run's merge, as it would leave it.
            other.execute("insert into main_shop.stg_items values ('a', 3, 1, '2026-01-01', false, 2, 1)")
            other.execute("update main_converge.inputs set bound = 2 where input = 'landing.items'")
            other.commit()
    assert said[0]["stg_items"] == (True, "UNCHANGED")


def test_readers_wait_for_the_swap_only(shop: Shop) -> None:
    shop.execute("""
        create function public.slow(text) returns text immutable language plpgsql
        as $$ begin perform pg_sleep(0.3); return $1; end $$;
    """)
    shop.edit("models/orders.sql", "'columns': ['order_date', 'region']", "'columns': ['(public.slow(order_id))']")
    building = "select count(*) from pg_stat_activity where query ilike '%%create%%slow%%' and pid != pg_backend_pid()"
    reads = 0
    side = threading.Thread(target=lambda: shop.results("run", "--select", "orders"))
    with shop.connect(autocommit=True) as reader:
        reader.execute("set statement_timeout = '100ms'")
        side.start()
        while side.is_alive():
            if reader.execute(building).fetchone()[0]:
                try:
                    assert reader.execute("select count(*) from main_shop.orders").fetchone() == (3,)
                except psycopg.errors.QueryCanceled:
                    # The swap may take this moment, not the next one too.
                    time.sleep(0.1)
                    reader.execute("select count(*) from main_shop.orders")
                reads += 1
            time.sleep(0.01)
    assert reads > 10


def test_a_view_on_a_table_that_is_made_anew_is_made_again(shop: Shop) -> None:
    shop.write("models/seen.sql", "{{ config(materialized='view') }} select count(*) as n from {{ ref('orders') }}")
    for _ in range(2):
        shop.run("--full-refresh", "--select", "orders", "seen")
        assert shop.value("select n from main_shop.seen") == 3


def test_the_log_keeps_what_a_reader_has_not_read(shop: Shop) -> None:
    shop.land(items=[item("a", 3, 1)])
    shop.run("--select", "stg_items")
    assert log(shop, "stg_items") == [2]
    shop.land(items=[item("b", 3, 1)])
    shop.run("--select", "stg_items")
    assert log(shop, "stg_items") == [2, 3]
    assert shop.run()["orders"] == "INCREMENTAL +2 -0"
    assert log(shop, "stg_items") == []


def test_an_invocation_that_does_not_end_the_run_keeps_the_logs(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.land(items=[item("a", 3, 1)])
    monkeypatch.setenv("CONVERGE_RUN_ENDS", "false")
    shop.run()
    assert log(shop, "orders") == [2]
    monkeypatch.setenv("CONVERGE_RUN_ENDS", "true")
    shop.run()
    assert log(shop, "orders") == []


def test_a_reader_that_is_no_model_any_more_holds_nothing_back(shop: Shop) -> None:
    model = (shop.folder / "models/monthly_sales.sql").read_text()
    shop.remove("models/monthly_sales.sql")
    shop.land(items=[item("a", 3, 1)])
    shop.run()
    assert log(shop, "daily_sales") == []
    # When it comes back, its parent's log no longer reaches back to where it stopped.
    shop.write("models/monthly_sales.sql", model)
    assert shop.run()["monthly_sales"] == "REBUILD +1 -0"
    assert shop.differences() == {}


def test_a_model_that_reads_a_parent_no_more_holds_nothing_back(shop: Shop) -> None:
    shop.write(
        "models/daily_sales.sql",
        (shop.folder / "models/daily_sales.sql").read_text().replace("ref('orders')", "ref('copied')"),
    )
    shop.write("models/copied.sql", """
        {{ config(unique_key='order_id', meta={'track': ['order_date', 'region']}) }}
        {% call converge.touched('order_id') %}
            select order_id from {{ converge.changes(ref('orders')) }}
        {% endcall %}
        select * from {{ ref('orders') }} where {{ converge.is_touched('order_id') }}
    """)  # fmt: skip
    shop.run()
    shop.land(items=[item("a", 3, 1)])
    shop.run()
    assert log(shop, "orders") == []


def test_a_ledger_that_went_back_is_named(shop: Shop) -> None:
    shop.land(items=[item("a", 3, 1)])
    shop.run()
    shop.execute("delete from landing.loads where load_id = 2; delete from landing.items where _load_id = 2")
    with pytest.raises(Refused, match="ends at position 1, but an earlier run has read up to position 2"):
        shop.run()
    shop.execute("drop schema main_converge cascade")
    shop.run()
    assert shop.differences() == {}


def behind(shop: Shop) -> list[tuple]:
    """The tables that have not read all of an input, as the view tells."""
    return shop.query("select relation, input from main_converge.lag where is_behind order by 1, 2")


def test_the_view_of_lag_tells_what_each_table_has_not_read(shop: Shop) -> None:
    shop.land(items=[item("a", 3, 1)])
    assert behind(shop) == []
    shop.run("--select", "stg_items")
    assert behind(shop) == [("main_shop.orders", "main_shop.stg_items")]
    of_items = "select consumed, available from main_converge.lag where input = 'main_shop.stg_items'"
    assert shop.query(of_items) == [(1, 2)]
    assert shop.value("select consumed from main_converge.lag where input = 'landing.items'") == 2
    shop.run()
    assert behind(shop) == [] and shop.query(of_items) == [(2, 2)]


def test_the_view_of_lag_tells_of_an_input_that_is_another_or_is_gone(shop: Shop) -> None:
    shop.run("--full-refresh", "--select", "stg_items")
    shop.execute("drop table main_shop.daily_sales")
    # The same table in another file is no other input.
    shop.execute("vacuum full main_shop.stg_orders", autocommit=True)
    shop.invalidate("main_shop.regions")
    assert behind(shop) == [
        ("main_shop.monthly_sales", "main_shop.daily_sales"),
        ("main_shop.orders", "main_shop.regions"),
        ("main_shop.orders", "main_shop.stg_items"),
    ]
    shop.run()
    assert behind(shop) == []


@pytest.mark.parametrize("before", ["", "create view main_converge.lag as select 1 as consumed, 2 as of_another_name"])
def test_a_state_of_before_gets_the_view_of_lag_as_it_is_now(shop: Shop, before: str) -> None:
    shop.execute(f"drop view main_converge.lag; {before}")
    assert shop.run("--select", "orders")["orders"] == "UNCHANGED"
    assert behind(shop) == []


def test_an_audit_reads_as_far_as_the_table_that_it_mirrors(shop: Shop) -> None:
    shop.land(items=[item("a", 3, 1)])
    shop.dbt("seed", target="audit")
    shop.dbt("run", target="audit")
    assert shop.query("table audit_shop.orders except table main_shop.orders") == []
    assert shop.value("select max(bound) from audit_converge.runs") == 2


@pytest.mark.parametrize("name", ["every_order_has_a_region", "every_order_is_in_a_region"])
def test_a_build_tests_what_changed_and_what_a_failed_run_left_untested(shop: Shop, name: str) -> None:
    shop.execute("update main_shop.orders set region = 'other' where order_id = 'a'")
    shop.land(items=[item("b", 2, 1)])
    assert shop.dbt("build")[name] == "pass"
    assert not shop.results("test")[name][0]
    shop.land(orders=[order("d", country="XX")])
    assert not shop.results("build")[name][0]
    assert not shop.results("build")[name][0]
    shop.execute("delete from main_converge.main_shop__orders")
    assert shop.dbt("build")[name] == "pass"


def test_a_run_of_some_models_that_ends_well_leaves_to_the_next_what_others_left_untested(shop: Shop) -> None:
    shop.write("tests/no_month_is_large.sql", """
        select * from {{ ref('monthly_sales') }}
        where amount > 1000 and {{ converge.is_tested(ref('monthly_sales'), 'order_month', 'region') }}
    """)  # fmt: skip
    shop.land(items=[item("a", 3, 9999)])
    assert not shop.results("build")["no_month_is_large"][0]
    shop.dbt("build", "--select", "stg_items")
    assert not shop.results("build")["no_month_is_large"][0]


def test_a_run_of_tests_alone_ends_what_they_look_at(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.land(items=[item("a", 3, 1)])
    monkeypatch.setenv("CONVERGE_RUN_ENDS", "false")
    shop.run()
    monkeypatch.delenv("CONVERGE_RUN_ENDS")
    shop.dbt("build", "--resource-type", "test")
    assert log(shop, "orders") == [] and log(shop, "monthly_sales") == [2]
