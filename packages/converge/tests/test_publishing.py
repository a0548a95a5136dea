"""Publishing: readers see the last build whose tests passed, of all models at one bound."""

import itertools
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import psycopg
import pytest
from corner_shop import DATABASE, Refused, Shop, item, order
from dbt.adapters.postgres.connections import PostgresConnectionManager
from dbt.cli.main import dbtRunner

pytest_plugins = ["corner_shop_fixtures"]

PUBLISHED = ["orders", "daily_sales", "monthly_sales"]
META = "{publish: {schema: sales}}"
LARGE_ORDERS = """
    {{ config(materialized='view') }}
    select orders.order_id, orders.amount, '"main_shop"."orders" main_shop.orders' as "main_shop.orders"
    from {{ ref('orders') }} as orders
    where amount > 10
"""
NO_MONTH_IS_LARGE = "select * from {{ ref('monthly_sales') }} where amount > 1000"
TOO_MUCH = 9999


def configure(shop: Shop, **meta: str) -> None:
    """Have these models published: name and meta."""
    text = (shop.folder / "dbt_project.yml").read_text().split("    # published\n")
    lines = "".join(f"    {model}: {{+meta: {words}}}\n" for model, words in meta.items())
    head, tail = (text[0], text[2]) if len(text) == 3 else text[0].split("\nseeds:")
    start = "" if len(text) == 3 else "\n"
    tail = tail if len(text) == 3 else "\nseeds:" + tail
    shop.write("dbt_project.yml", f"{head}{start}    # published\n{lines}    # published\n{tail}")


@pytest.fixture(scope="session")
def publishing_shop(built_shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop with its marts and a view of them published, and a test that a large month fails."""
    folder = shutil.copytree(built_shop.folder, tmp_path_factory.mktemp("publishing") / "project", symlinks=True)
    shop = Shop(folder, built_shop.server)
    shop.administer(f"create database {DATABASE} template {DATABASE}_built")
    with shop.environment():
        configure(shop, **dict.fromkeys([*PUBLISHED, "large_orders"], META))
        shop.write("models/large_orders.sql", LARGE_ORDERS)
        shop.write("tests/no_month_is_large.sql", NO_MONTH_IS_LARGE)
        shop.dbt("build")
    shop.keep("published")
    yield shop


@pytest.fixture
def shop(publishing_shop: Shop) -> Iterator[Shop]:
    """The same, before its first build that publishes."""
    with publishing_shop.opened():
        yield publishing_shop


@pytest.fixture
def published(publishing_shop: Shop) -> Iterator[Shop]:
    """The same, after a good build."""
    with publishing_shop.opened("published"):
        yield publishing_shop


def state(shop: Shop, group: str = "all") -> tuple:
    """Up to where a group is published, and what holds it back."""
    return shop.query(f"select bound, held_back from main_converge.published where group_name = '{group}'")[0]


def seen(shop: Shop) -> dict[str, list[tuple]]:
    """What readers see."""
    relations = [*PUBLISHED, "large_orders"]
    return {relation: sorted(shop.query(f"table main_sales.{relation}")) for relation in relations}


def is_published(shop: Shop) -> bool:
    """Readers see what is built, row for row."""
    relations = [*PUBLISHED, "large_orders"]
    return seen(shop) == {relation: sorted(shop.query(f"table main_shop.{relation}")) for relation in relations}


def keep_undo(shop: Shop, days: float) -> None:
    """Have publications kept for so many days."""
    lines = (shop.folder / "dbt_project.yml").read_text().split("\n")
    kept = [line for line in lines if "converge_undo_days" not in line]
    shop.write("dbt_project.yml", "\n".join([*kept, f"  converge_undo_days: {days}"]))


def operate(shop: Shop, operation: str, **arguments: object) -> None:
    """Run an operation of the package.

    Raises:
        Refused: it failed.
    """
    done = dbtRunner().invoke(shop.arguments("run-operation", f"converge.{operation}", "--args", json.dumps(arguments)))
    if not done.success:
        raise Refused(str(done.exception or done.result.results[0].message))


def publish(shop: Shop) -> None:
    operate(shop, "publish")


def oid(shop: Shop, relation: str) -> int:
    return shop.value(f"select '{relation}'::regclass::oid::bigint")


def places(shop: Shop, model: str) -> set[tuple]:
    """Where the rows of a published table stand on disk: a row that was not written stays."""
    return set(shop.query(f"select ctid, * from main_sales.{model}"))


def test_a_good_build_publishes_all_at_one_bound(published: Shop) -> None:
    assert is_published(published) and state(published) == (1, None)
    published.land(orders=[order("d", placed_at="2026-01-02")], items=[item("a", 3, 1), item("d")])
    said = published.dbt("build")
    assert said["orders"] == "INCREMENTAL +2 -0"
    assert is_published(published) and state(published) == (2, None)
    assert published.value("select sum(amount) from main_sales.daily_sales") == 86
    assert published.differences() == {}


def test_what_fails_a_test_is_not_seen_and_the_next_good_build_publishes_all(published: Shop) -> None:
    before = seen(published)
    published.land(items=[item("a", 3, TOO_MUCH)])
    assert not published.results("build")["no_month_is_large"][0]
    assert seen(published) == before
    assert state(published) == (1, "main_shop.monthly_sales waits for no_month_is_large to go well")
    # Another selection that goes well does not make the month smaller, nor does trying again.
    published.dbt("build", "--select", "stg_items", "orders")
    publish(published)
    assert seen(published) == before
    published.land(items=[item("a", 3, 1, updated_at="2026-01-05")])
    published.dbt("build")
    assert is_published(published) and state(published) == (3, None)


def test_a_failed_test_that_passes_on_retry_is_waited_for_no_more(published: Shop) -> None:
    published.land(items=[item("a", 3, TOO_MUCH)])
    arguments = [argument for argument in published.arguments("build") if argument != "--no-write-json"]
    assert not dbtRunner().invoke(arguments).success
    published.write("tests/no_month_is_large.sql", NO_MONTH_IS_LARGE.replace("1000", "100000"))
    assert dbtRunner().invoke(published.arguments("retry")).success
    assert is_published(published) and state(published) == (2, None)


def test_a_run_without_tests_publishes_nothing(published: Shop) -> None:
    before = seen(published)
    published.land(items=[item("a", 3, 1)])
    published.run()
    published.dbt("build", "--exclude-resource-type", "test")
    publish(published)
    assert seen(published) == before
    assert "main_shop.orders waits for every_order_has_a_region, every_order_is_in_a_region" in state(published)[1]
    published.dbt("build", "--resource-type", "test")
    assert is_published(published) and state(published) == (2, None)


def test_what_changed_outside_a_build_is_not_published(published: Shop) -> None:
    before = seen(published)
    published.land(items=[item("a", 3, 1)])
    published.run()
    publish(published)
    assert seen(published) == before
    assert "main_shop.stg_items has changed and was not tested since" in state(published)[1]


@pytest.mark.parametrize(
    ("selection", "reason"),
    [
        (["stg_items"], "main_shop.orders has not read all of main_shop.stg_items"),
        (["stg_orders"], "main_shop.stg_orders stands at position 2 of the ledger, main_shop.stg_items at 1"),
        (["stg_orders", "stg_items", "orders"], "main_shop.daily_sales has not read all of main_shop.orders"),
        (
            ["stg_orders", "stg_items", "orders", "daily_sales", "monthly_sales"],
            "main_shop.large_orders waits for the model's own build to go well",
        ),
    ],
)
def test_a_selection_publishes_only_what_is_whole(published: Shop, selection: list[str], reason: str) -> None:
    before = seen(published)
    published.land(items=[item("a", 3, 1)])
    published.dbt("build", "--select", *selection)
    assert seen(published) == before
    assert reason in state(published)[1]
    published.dbt("build")
    assert is_published(published) and state(published) == (2, None)


def test_a_seed_that_some_tables_have_not_read_yet_holds_all_back(published: Shop) -> None:
    text = (published.folder / "models/monthly_sales.sql").read_text()
    more = "\nhaving count(*) < (select count(*) from {{ ref('regions') }}) + 1000\n"
    published.write("models/monthly_sales.sql", text + more)
    published.dbt("build")
    before = seen(published)
    # A country that nobody orders from: no row changes, and the months are not behind their parent.
    published.edit("seeds/regions.csv", "US,us", "US,us\nGB,eu")
    published.dbt("build", "--select", "regions", "orders", "daily_sales", "large_orders")
    assert seen(published) == before
    assert "has read another main_shop.regions than other tables" in state(published)[1]
    published.dbt("build")
    assert is_published(published) and state(published) == (1, None)


def test_publishing_may_be_a_task_of_its_own_that_is_tried_again(published: Shop) -> None:
    before = seen(published)
    published.land(items=[item("a", 3, 1)])
    project = published.folder / "dbt_project.yml"
    published.write("dbt_project.yml", project.read_text() + "\n  converge_publish_at_run_end: false\n")
    published.dbt("build")
    assert seen(published) == before
    logged = "select count(*) from main_converge.main_shop__orders"
    assert published.value(logged) > 0
    for _ in range(2):
        publish(published)
        assert is_published(published) and state(published) == (2, None)
    assert published.value(logged) == 0


def test_many_invocations_that_are_one_run_publish_at_its_end(published: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = seen(published)
    published.land(items=[item("a", 3, 1)])
    monkeypatch.setenv("CONVERGE_RUN_ID", "tuesday's")
    monkeypatch.setenv("CONVERGE_RUN_ENDS", "false")
    for model in ("stg_orders", "stg_items", *PUBLISHED, "large_orders"):
        published.dbt("build", "--select", model, "--indirect-selection", "cautious")
    assert seen(published) == before
    monkeypatch.setenv("CONVERGE_RUN_ENDS", "true")
    published.dbt("build", "--select", "monthly_sales")
    assert is_published(published) and state(published) == (2, None)
    assert published.value("select run_id from main_converge.published") == "tuesday's"


def test_only_rows_that_differ_are_written(published: Shop) -> None:
    before = {model: places(published, model) for model in PUBLISHED}
    published.land(orders=[order("a", "2026-01-05")], items=[item("b", 2, 7)])
    published.dbt("build")
    moved = {model: places(published, model) - before[model] for model in PUBLISHED}
    assert {model: [row[1] for row in rows] for model, rows in moved.items()} == {
        "orders": ["b"],
        "daily_sales": [date(2026, 1, 2)],
        "monthly_sales": [date(2026, 1, 1)],
    }


def test_readers_that_are_at_work_are_not_waited_for(published: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    published.land(items=[item("a", 3, 1)])
    monkeypatch.setenv("PGOPTIONS", "-c lock_timeout=500ms")
    with published.connect() as reader:
        before = [reader.execute(f"table main_sales.{model}").fetchall() for model in [*PUBLISHED, "large_orders"]]
        published.dbt("build")
        assert is_published(published)
        published.dbt("build", "--full-refresh")
        assert is_published(published)
        reader.execute("rollback")
        after = [reader.execute(f"table main_sales.{model}").fetchall() for model in [*PUBLISHED, "large_orders"]]
    assert before != after


def test_a_full_refresh_writes_differences_only(published: Shop) -> None:
    before = {model: places(published, model) for model in PUBLISHED}, oid(published, "main_sales.orders")
    published.dbt("build", "--full-refresh")
    assert ({model: places(published, model) for model in PUBLISHED}, oid(published, "main_sales.orders")) == before
    published.land(items=[item("a", 3, 1)])
    published.dbt("build")
    assert is_published(published)


@pytest.mark.parametrize("lost", ["the log", "a row", "the table", "the watermark"])
def test_what_the_log_does_not_tell_is_compared(published: Shop, lost: str) -> None:
    published.land(items=[item("a", 3, 1)])
    watermark = "delete from main_converge.inputs where relation = 'main_sales.orders'::regclass"
    loses = {
        "the log": "delete from main_converge.main_shop__orders",
        "a row": f"delete from main_sales.orders where order_id = 'c'; {watermark}",
        "the table": "drop table main_sales.orders cascade",
        "the watermark": watermark,
    }
    project = published.folder / "dbt_project.yml"
    published.write("dbt_project.yml", project.read_text() + "\n  converge_publish_at_run_end: false\n")
    published.dbt("build")
    published.execute(loses[lost])
    publish(published)
    assert is_published(published)


def test_a_publisher_that_is_lost_leaves_all_as_it_was(published: Shop) -> None:
    before = seen(published), state(published)
    published.execute("""
        create function public.fail() returns trigger language plpgsql
        as $$ begin raise exception 'pulled the plug'; end $$;
        create trigger fail before insert on main_sales.monthly_sales for each row execute function public.fail();
    """)
    published.land(items=[item("a", 3, 1)])
    with pytest.raises(Refused, match="pulled the plug"):
        published.dbt("build")
    assert (seen(published), state(published)) == before
    with pytest.raises(Refused, match="pulled the plug"):
        publish(published)
    published.execute("drop function public.fail() cascade")
    publish(published)
    assert is_published(published) and state(published) == (2, None)


def test_two_publishers_at_once_both_succeed(published: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with published.connect() as other:
        other.execute("lock table main_converge.published in share row exclusive mode")
        monkeypatch.setenv("PGOPTIONS", "-c lock_timeout=200ms")
        with pytest.raises(Refused, match="lock timeout"):
            publish(published)
    publish(published)


def test_key_indexes_comments_and_grants_are_those_of_the_built_table(shop: Shop) -> None:
    shop.execute("do $$ begin create role clerk; exception when duplicate_object then null; end $$")
    meta = "{publish: {schema: sales}}, +grants: {select: [clerk]}, +persist_docs: {relation: true, columns: true}"
    configure(shop, **dict.fromkeys([*PUBLISHED, "large_orders"], meta))
    shop.dbt("build")
    shape = """
        select string_agg(pg_get_indexdef(indexrelid)::text, ',' order by indkey::text) from pg_index
        where indrelid = '{}.orders'::regclass
    """
    built, shown = (shop.value(shape.format(schema)) for schema in ("main_shop", "main_sales"))
    assert shown.count("INDEX") == built.count("INDEX") == 2 and "orders_pkey" in shown
    comment = "select obj_description('{0}.orders'::regclass), col_description('{0}.orders'::regclass, 4)"
    assert shop.query(comment.format("main_sales")) == shop.query(comment.format("main_shop"))
    assert shop.query(comment.format("main_sales"))[0][1] == "What the lines add up to."
    may = "select has_table_privilege('clerk', 'main_sales.{}', 'select')"
    assert [shop.value(may.format(relation)) for relation in ("orders", "large_orders")] == [True, True]
    # Words and grants follow without a new table.
    before = oid(shop, "main_sales.orders")
    shop.edit("models/_models.yml", "What the lines add up to.", "What the lines come to.")
    shop.execute("do $$ begin create role waiter; exception when duplicate_object then null; end $$")
    shop.edit("dbt_project.yml", "[clerk]", "[waiter]")
    shop.dbt("build")
    assert shop.query(comment.format("main_sales"))[0][1] == "What the lines come to."
    assert shop.value(may.format("orders")) is False
    assert oid(shop, "main_sales.orders") == before


READERS = """
    create schema bi;
    create view bi.regions with (security_barrier = true) as select region, sum(amount) as amount from main_sales.orders group by region;
    create view bi.of_view as select order_id from main_sales.large_orders;
    create view bi.of_both as select regions.amount from bi.regions inner join main_sales.daily_sales using (region);
    do $$ begin create role analyst; exception when duplicate_object then null; end $$;
    grant select on bi.regions to analyst;
    grant select, insert on main_sales.orders to analyst;
"""  # noqa: E501


def test_views_of_readers_survive_another_shape(published: Shop) -> None:
    published.execute(READERS)
    before = [oid(published, f"bi.{view}") for view in ("regions", "of_view", "of_both")]
    published.edit("models/orders.sql", "    orders.order_date,\n", "    orders.country,\n    orders.order_date,\n")
    contract = "      - name: order_id\n        data_type: text\n"
    published.edit("models/_models.yml", contract, "      - {name: country, data_type: text}\n" + contract)
    published.land(items=[item("a", 3, 1)])
    table = oid(published, "main_sales.orders")
    published.dbt("build")
    assert is_published(published) and state(published) == (2, None)
    assert oid(published, "main_sales.orders") != table
    assert [oid(published, f"bi.{view}") for view in ("regions", "of_view", "of_both")] == before
    assert published.value("select amount from bi.regions where region = 'eu'") == 36
    options = "select reloptions::text from pg_class where oid = 'bi.regions'::regclass"
    assert published.value(options) == "{security_barrier=true}"
    assert published.value("select has_table_privilege('analyst', 'main_sales.orders', 'insert')")
    leftovers = "select relname from pg_class where relname like '%%retired%%' or relname like '%%publishing%%'"
    assert published.query(f"{leftovers} and relkind in ('r', 'v')") == []
    # And from then on as always.
    before = places(published, "orders")
    published.land(items=[item("a", 4, 1)])
    published.dbt("build")
    assert [row[1] for row in places(published, "orders") - before] != [] and is_published(published)


def test_a_view_of_a_reader_that_cannot_survive_is_named_and_nothing_is_published(published: Shop) -> None:
    published.execute(READERS + "create materialized view bi.kept as select order_id from main_sales.orders;")
    before = seen(published)
    published.edit("models/orders.sql", "as numeric(12, 2)) as amount", "as numeric(14, 2)) as amount")
    published.edit("models/_models.yml", "data_type: numeric(12, 2)", "data_type: numeric(14, 2)")
    published.execute("create view bi.amounts as select amount from main_sales.orders")
    published.dbt("build")
    assert seen(published) == before
    held_back = state(published)[1]
    assert "the view bi.amounts (cannot change data type of view column" in held_back
    published.execute("drop view bi.amounts")
    publish(published)
    assert seen(published) == before and "bi.kept depends on" in state(published)[1]
    published.execute("drop materialized view bi.kept")
    publish(published)
    assert is_published(published) and state(published) == (1, None)


def test_a_policy_on_a_published_table_is_not_lost(published: Shop) -> None:
    published.execute("create policy mine on main_sales.orders using (region = 'eu')")
    published.edit("models/orders.sql", "'columns': ['order_date', 'region']", "'columns': ['region']")
    published.dbt("build")
    assert "main_sales.orders with its policy mine" in state(published)[1]


def test_a_published_view_reads_published_tables_only(published: Shop) -> None:
    reads = """
        select distinct refobjid::regclass::text from pg_depend inner join pg_rewrite on pg_rewrite.oid = objid
        where ev_class = 'main_sales.large_orders'::regclass and refclassid = 'pg_class'::regclass and refobjid != ev_class
    """  # noqa: E501
    assert published.query(reads) == [("main_sales.orders",)]
    assert published.value('select "main_shop.orders" from main_sales.large_orders limit 1') == (
        '"main_shop"."orders" main_shop.orders'
    )
    before = oid(published, "main_sales.large_orders")
    published.dbt("build")
    assert oid(published, "main_sales.large_orders") == before


def test_another_definition_of_a_view_is_published_with_the_rows(published: Shop) -> None:
    published.execute(READERS)
    before = oid(published, "bi.of_view")
    # A column in the middle, which PostgreSQL does not add to a view that is there.
    published.edit("models/large_orders.sql", "orders.order_id,", "orders.order_id, orders.region,")
    published.write("models/of_view.sql", "{{ config(materialized='view') }} select max(region) as r from {{ ref('large_orders') }}")  # noqa: E501  # fmt: skip
    configure(published, **dict.fromkeys([*PUBLISHED, "large_orders", "of_view"], META))
    published.dbt("build")
    assert is_published(published) and state(published) == (1, None)
    assert published.value("select r from main_sales.of_view") == "us"
    assert oid(published, "bi.of_view") == before


def test_a_group_does_not_wait_for_another(published: Shop) -> None:
    published.write("models/by_region.sql", """
        {{ config(unique_key='region') }}
        {% call converge.touched('region') %}select region from {{ converge.changes(ref('orders')) }}{% endcall %}
        select region, count(*) as orders from {{ converge.touched_rows(ref('orders'), 'region') }} as o group by region
    """)  # fmt: skip
    alone = "{publish: {schema: regions, group: regions}}"
    configure(published, **dict.fromkeys([*PUBLISHED, "large_orders"], META), by_region=alone)
    published.land(items=[item("a", 3, TOO_MUCH)], orders=[order("d")])
    assert not published.results("build")["no_month_is_large"][0]
    assert published.value("select orders from main_regions.by_region where region = 'eu'") == 3
    assert state(published, "regions") == (2, None) and state(published)[0] == 1


def test_a_group_that_is_no_more_is_not_told_of(published: Shop) -> None:
    configure(published, **dict.fromkeys([*PUBLISHED, "large_orders"], "{publish: {schema: sales, group: shop}}"))
    published.dbt("build")
    assert published.query("select group_name from main_converge.published") == [("shop",)]


def test_a_project_without_quotes_publishes_too(shop: Shop) -> None:
    project = shop.folder / "dbt_project.yml"
    plain = "\nquoting: {database: false, schema: false, identifier: false}\n"
    shop.write("dbt_project.yml", project.read_text() + plain)
    shop.write("models/Mixed.sql", """
        {{ config(unique_key='order_id', schema='Odd', meta={'publish': {'schema': 'Shown'}}) }}
        {% call converge.touched('order_id') %}select order_id from {{ converge.changes(ref('orders')) }}{% endcall %}
        select * from {{ converge.touched_rows(ref('orders'), 'order_id') }} as parent
    """)  # fmt: skip
    view = "{{ config(materialized='view', meta={'publish': {'schema': 'Shown'}}) }} select * from {{ ref('Mixed') }}"
    shop.write("models/Seen.sql", view)
    for amount in (10, 11):
        shop.land(items=[item("a", amount=amount, updated_at=f"2026-02-{amount}")])
        shop.dbt("build")
        assert shop.value("select amount from main_shown.seen where order_id = 'a'") == amount + 5
    assert is_published(shop) and state(shop) == (3, None)


def test_tables_of_one_name_in_two_schemas_and_columns_of_any_name(published: Shop) -> None:
    published.write("models/doubled.sql", """
        {{ config(unique_key='order_id', alias='orders', schema='more', meta={'publish': {'schema': 'shown'}}) }}
        {% call converge.touched('order_id') %}select order_id from {{ converge.changes(ref('orders')) }}{% endcall %}
        select order_id, 2 * amount as "twice, or so"  from {{ converge.touched_rows(ref('orders'), 'order_id') }} as o
    """)  # fmt: skip
    for amount in (10, 11):
        published.land(items=[item("a", amount=amount, updated_at=f"2026-02-{amount}")])
        published.dbt("build")
        both = "table main_shown.orders", "table main_more.orders"
        assert published.query(f"({both[0]} except {both[1]}) union all ({both[1]} except {both[0]})") == []
    assert is_published(published) and state(published) == (3, None)


def test_a_failure_of_what_nothing_published_is_built_from_holds_back_all(published: Shop) -> None:
    published.write("models/broken.sql", "{{ config(materialized='table') }} select 1 / 0 as n")
    published.land(items=[item("a", 3, 1)])
    assert not published.results("build")["broken"][0]
    assert state(published)[0] == 1 and "wait for broken to go well" in state(published)[1]
    published.dbt("build", "--exclude", "broken")
    assert is_published(published) and state(published) == (2, None)


def test_a_test_that_is_left_out_every_day_is_not_waited_for(published: Shop) -> None:
    published.write("tests/no_month_is_large.sql", "{{ config(tags=['weekly']) }}" + NO_MONTH_IS_LARGE)
    published.land(items=[item("a", 3, 1)])
    published.dbt("build", "--exclude", "tag:weekly")
    assert state(published) == (1, "main_shop.monthly_sales waits for no_month_is_large to go well")
    project = published.folder / "dbt_project.yml"
    published.write("dbt_project.yml", project.read_text() + "\n  converge_tests_left_out: [weekly]\n")
    published.dbt("build", "--exclude", "tag:weekly")
    assert is_published(published) and state(published) == (2, None)


def test_the_code_that_was_tested_is_named(published: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    version = "select code_version from main_converge.published"
    before = published.value(version)
    published.edit("models/orders.sql", "sum(amount) as amount", "max(amount) as amount")
    published.dbt("build")
    assert published.value(version) not in (before, None) and len(before) == 12
    monkeypatch.setenv("CONVERGE_CODE_VERSION", "v1.2")
    published.dbt("build")
    assert published.value(version) == "v1.2"


def test_a_project_that_publishes_nothing_has_nothing_of_it(shop: Shop) -> None:
    configure(shop)
    shop.dbt("build")
    tables = "select to_regclass('main_converge.published'), to_regclass('main_converge.tested')"
    assert shop.query(tables) == [(None, None)]
    with pytest.raises(Refused, match="Nothing is configured to be published"):
        publish(shop)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"orders": "{publish: true}"}, "meta.publish of orders needs the schema that readers read"),
        ({"orders": "{publish: {group: all}}"}, "meta.publish of orders needs the schema"),
        ({"plain": META}, "plain is table. Only converging models, and views on them, can be published"),
        ({"orders": "{publish: {schema: shop}}"}, "to be published as main_shop.orders, which is the place of another"),
        ({"large_orders": META}, "The published view large_orders reads orders, which is not published in its group"),
        (
            {"orders": "{publish: {schema: sales, group: other}}", "large_orders": META},
            r"large_orders reads orders, which is not published in its group \(all\)",
        ),
    ],
)
def test_a_wrong_configuration_stops_the_run_at_its_start(shop: Shop, meta: dict[str, str], message: str) -> None:
    shop.write("models/plain.sql", "{{ config(materialized='table') }} select 1 as n")
    configure(shop, **meta)
    with pytest.raises(Refused, match=message):
        shop.dbt("build", "--select", "orders")


def test_a_published_place_that_something_else_has_holds_its_group_back_and_no_other(published: Shop) -> None:
    published.execute("drop table main_sales.monthly_sales; create view main_sales.monthly_sales as select 1 as n")
    configure(published, monthly_sales=META, daily_sales="{publish: {schema: sales, group: days}}")
    published.land(items=[item("a", 3, 1)])
    published.dbt("build")
    bound, held_back = state(published)
    assert bound == 1 and held_back.startswith("main_sales.monthly_sales is no table: drop it, or publish monthly_sale")
    assert state(published, "days") == (2, None)


def test_a_view_that_reads_around_ref_holds_its_group_back(published: Shop) -> None:
    before = seen(published)
    published.write("models/large_orders.sql", LARGE_ORDERS + " and order_id in (select order_id from landing.orders)")
    published.land(items=[item("a", 3, 1)])
    published.dbt("build")
    bound, held_back = state(published)
    assert bound == 1 and held_back.startswith("the view main_shop.large_orders stands on landing.orders, of which no")
    assert seen(published) == before


def test_publishing_before_anything_was_built_says_so(shop: Shop) -> None:
    with pytest.raises(Refused, match="Nothing was built yet"):
        publish(shop)
    assert json.dumps(shop.results("build")) and is_published(shop)
    with pytest.raises(psycopg.errors.UndefinedTable):
        shop.query("table main_sales.stg_orders")


def test_what_was_skipped_because_of_another_group_holds_nothing_back(published: Shop) -> None:
    configure(
        published,
        **dict.fromkeys([*PUBLISHED, "large_orders"], META),
        regional="{publish: {schema: more, group: regional}}",
    )
    published.write("models/regional.sql", """
        {{ config(unique_key='region') }}
        {% call converge.touched('region') %}select region from {{ converge.changes(ref('orders')) }}{% endcall %}
        select region, 1 / count(*) as n from {{ converge.touched_rows(ref('orders'), 'region') }} as o group by region
    """)  # fmt: skip
    published.write("models/onlooker.sql", "{{ config(materialized='view') }} select * from {{ ref('regional') }}")
    published.dbt("build")
    published.edit("models/regional.sql", "1 / count(*)", "1 / (count(*) - count(*))")
    published.land(items=[item("a", 3, 1)])
    results = published.results("build")
    assert not results["regional"][0] and not results["onlooker"][0]
    assert is_published(published) and state(published) == (2, None)
    bound, held_back = state(published, "regional")
    assert bound == 1 and held_back.startswith("main_shop.regional waits for the model's own build to go well")


def test_what_only_a_hook_names_is_no_part_of_a_group(published: Shop) -> None:
    published.write("models/gate.sql", """
        {{ config(unique_key=['order_id', 'line_number'], incremental_strategy='upsert') }}
        select order_id, line_number, updated_at as _version_at, _load_id, _row
        from {{ converge.landed(source('landing', 'items')) }} as landed
    """)  # fmt: skip
    published.write("models/ungated.sql", "{{ config(materialized='view') }} select * from {{ ref('gate') }}")
    published.edit(
        "models/orders.sql", "{{ config(", "{{ config(\n    post_hook=\"select count(*) from {{ ref('gate') }}\","
    )
    published.dbt("build")
    published.land(items=[item("a", 3, 1)])
    published.dbt("build", "--select", "gate")
    assert state(published) == (1, None)
    # But when it fails, it fails like anything that nothing published is built from.
    published.write("tests/gate_is_closed.sql", "select * from {{ ref('gate') }}")
    assert not published.results("build")["gate_is_closed"][0]
    assert "gate_is_closed to go well" in state(published)[1]


def test_an_invocation_may_leave_publishing_to_a_later_one(published: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = seen(published)
    published.land(items=[item("a", 3, 1)])
    monkeypatch.setenv("CONVERGE_PUBLISH", "later")
    published.dbt("build")
    assert seen(published) == before
    publish(published)
    assert is_published(published) and state(published) == (2, None)
    monkeypatch.setenv("CONVERGE_PUBLISH", "never")
    published.land(items=[item("a", 4, 1)])
    published.dbt("build")
    assert not is_published(published) and state(published) == (2, None)
    monkeypatch.delenv("CONVERGE_PUBLISH")
    published.dbt("build")
    assert is_published(published) and state(published) == (3, None)


def test_where_nothing_was_ever_published_models_can_say_so(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVERGE_PUBLISH", "never")
    shop.write("models/told.sql", "{{ config(materialized='view') }} select * from main_converge.published")
    shop.dbt("build")
    assert shop.query("table main_shop.told") == []


def test_a_run_that_tested_nothing_of_a_group_is_not_the_one_that_is_told(
    published: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.write("models/unrelated.sql", "{{ config(materialized='view') }} select 1 as n")
    published.land(items=[item("a", 3, 1)])
    for run_id, selection in (("monday's", []), ("tuesday's", ["--select", "unrelated"])):
        monkeypatch.setenv("CONVERGE_RUN_ID", run_id)
        published.dbt("build", *selection)
    assert published.value("select run_id from main_converge.published") == "monday's"


def test_what_somebody_wrote_on_the_published_side_is_mended_by_a_comparison(published: Shop) -> None:
    published.execute(
        "delete from main_sales.orders where order_id = 'c'; update main_sales.daily_sales set orders = 9"
    )
    published.land(items=[item("a", 3, 1)])
    published.dbt("build")
    assert not is_published(published)
    published.land(items=[item("a", 4, 1)])
    published.dbt("build", "--vars", "{converge_publish_at_run_end: false}")
    operate(published, "publish", compare=True)
    assert is_published(published)


def test_some_groups_can_be_published_alone(published: Shop) -> None:
    configure(published, orders=META, large_orders=META, daily_sales="{publish: {schema: sales, group: days}}")
    published.land(items=[item("a", 3, 1)])
    published.dbt("build", "--vars", "{converge_publish_at_run_end: false}")
    operate(published, "publish", groups=["days"])
    assert state(published, "days") == (2, None) and state(published)[0] == 1
    with pytest.raises(Refused, match=r"No group is called weeks\. There are: all, days"):
        operate(published, "publish", groups="weeks")


@pytest.mark.parametrize("of", ["ref('regions')", "source('landing', 'items')"])
def test_a_failed_test_of_an_input_is_waited_for_whatever_is_built_meanwhile(published: Shop, of: str) -> None:
    published.write("tests/inputs_are_good.sql", f"select 1 from {{{{ {of} }}}} as input where input::text like '%77%'")
    published.dbt("build")
    assert is_published(published) and state(published) == (1, None)
    published.edit("seeds/regions.csv", "US,us", "US,us\n77,eu")
    published.land(items=[item("a", 3, 77)])
    assert not published.results("build")["inputs_are_good"][0]
    published.dbt("build", "--select", "stg_orders+", "stg_items+", "--exclude", "inputs_are_good")
    assert state(published)[0] == 1 and "waits for inputs_are_good to go well" in state(published)[1]
    published.write("tests/inputs_are_good.sql", f"select 1 from {{{{ {of} }}}} where false")
    published.dbt("build")
    assert is_published(published) and state(published) == (2, None)


def test_a_failed_unit_test_is_named(published: Shop) -> None:
    published.edit("models/_models.yml", "line_number: 1, amount: 10.00", "line_number: 1, amount: 11.00")
    published.land(items=[item("a", 3, 1)])
    published.results("build")
    assert "for an_order_is_worth_what_its_lines_that_remain_add_up_to to go well" in state(published)[1]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("alter table main_sales.orders enable row level security", "its row level security"),
        ("create publication mine for table main_sales.orders", "its place in the publication mine"),
        ("create statistics main_sales.mine on region, amount from main_sales.orders", "its statistics mine"),
        ("create rule mine as on update to main_sales.orders do instead nothing", "its rule mine"),
        ("alter table main_sales.orders owner to landlord", "its owner landlord"),
    ],
)
def test_what_would_be_dropped_with_a_table_without_a_word_is_named(published: Shop, made: str, words: str) -> None:
    published.execute("do $$ begin create role landlord; exception when duplicate_object then null; end $$")
    published.execute(made)
    before = seen(published)
    published.edit("models/orders.sql", "'columns': ['order_date', 'region']", "'columns': ['region']")
    published.land(items=[item("a", 3, 1)])
    published.dbt("build")
    assert f"main_sales.orders with {words}" in state(published)[1] and seen(published) == before


def test_a_reader_is_never_cancelled_for_a_change_of_shape(published: Shop) -> None:
    """A reader and the publisher wait for each other: it is the publisher that lets go."""
    text = (published.folder / "models/daily_sales.sql").read_text()
    published.write("models/daily_sales.sql", text.replace("sum(amount) as amount", "sum(amount) as amount, 1 as one"))
    published.edit("models/orders.sql", "'columns': ['order_date', 'region']", "'columns': ['region']")
    waits = "select 1 from pg_locks where relation = 'main_sales.daily_sales'::regclass and not granted"
    with published.connect() as reader, ThreadPoolExecutor() as thread:
        reader.execute("select count(*) from main_sales.daily_sales")
        build = thread.submit(published.dbt, "build")
        while not published.query(waits):
            assert not build.done()
        # Longer than PostgreSQL waits before it looks for a deadlock.
        time.sleep(1.5)
        reader.execute("select count(*) from main_sales.orders")
        reader.commit()
        build.result()
    assert is_published(published) and state(published) == (1, None)


def test_a_view_is_not_replaced_while_a_publisher_is_at_work(published: Shop) -> None:
    published.land(items=[item("a", 3, 1)])
    published.dbt("build", "--vars", "{converge_publish_at_run_end: false}")
    waits = "select 1 from pg_locks where relation = 'main_sales.orders'::regclass and not granted"
    with published.connect() as other, ThreadPoolExecutor() as thread:
        other.execute("lock table main_sales.orders in share mode")
        publisher = thread.submit(publish, published)
        while not published.query(waits):
            assert not publisher.done()
        try:
            with pytest.raises(psycopg.errors.LockNotAvailable):
                published.execute("set lock_timeout = '300ms'; alter view main_shop.large_orders rename to replaced")
        finally:
            other.rollback()
        publisher.result()
    assert is_published(published) and state(published) == (2, None)


@pytest.mark.parametrize("is_of_another_shape", [False, True])
def test_a_publisher_may_be_killed_after_any_statement(published: Shop, is_of_another_shape: bool) -> None:
    published.land(items=[item("a", 3, 1)])
    if is_of_another_shape:
        published.edit("models/orders.sql", "'columns': ['order_date', 'region']", "'columns': ['region']")
    published.dbt("build", "--vars", "{converge_publish_at_run_end: false}")
    before = seen(published), state(published)
    adds = PostgresConnectionManager.add_query

    def work(last: int) -> None:
        numbers = itertools.count(1)

        def add_query(self: PostgresConnectionManager, *arguments: object, **named: object) -> object:
            added = adds(self, *arguments, **named)
            if next(numbers) == last:
                os._exit(9)
            return added

        PostgresConnectionManager.add_query = add_query
        publish(published)

    for last in range(1, 100):
        worker = multiprocessing.get_context("fork").Process(target=work, args=(last,))
        worker.start()
        worker.join()
        assert worker.exitcode == 9
        if (seen(published), state(published)) != before:
            break
    assert last > 10 and is_published(published) and state(published) == (2, None)
    publish(published)
    assert is_published(published)
