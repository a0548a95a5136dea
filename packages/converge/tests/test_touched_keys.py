"""Marts: whole keys are rebuilt, those that a change touches and those that it left."""

import re
from datetime import date
from decimal import Decimal

import psycopg
from corner_shop import Shop, item, order

pytest_plugins = ["corner_shop_fixtures"]


def places(shop: Shop, model: str) -> dict[tuple, object]:
    """Where each row of a model stands on disk: a row that was not written stays."""
    return dict(
        shop.query(f"select {'order_date' if model == 'daily_sales' else 'order_id'}, ctid from main_shop.{model}")
    )


def test_a_moved_key_rebuilds_the_group_it_left_and_the_one_it_joined(shop: Shop) -> None:
    shop.land(orders=[order("a", "2026-01-05", placed_at="2026-01-02")])
    shop.run()
    assert shop.rows("daily_sales") == [
        (date(2026, 1, 2), "eu", 2, Decimal("35.00")),
        (date(2026, 2, 1), "us", 1, Decimal("40.00")),
    ]
    assert shop.differences() == {}


def test_a_group_is_followed_through_two_moves_that_its_reader_slept_through(shop: Shop) -> None:
    shop.land(orders=[order("a", "2026-01-05", placed_at="2026-03-01")])
    shop.run("--select", "stg_orders", "orders")
    shop.land(orders=[order("a", "2026-01-06", placed_at="2026-01-02")])
    shop.run()
    assert [row[0] for row in shop.rows("daily_sales")] == [date(2026, 1, 2), date(2026, 2, 1)]
    assert shop.differences() == {}


def test_a_change_reaches_the_child_of_a_child(shop: Shop) -> None:
    shop.land(items=[item("c", 2, 1)])
    said = shop.run()
    assert said["stg_orders"] == "INCREMENTAL +0 -0"
    assert [said[model] for model in ("orders", "daily_sales", "monthly_sales")] == ["INCREMENTAL +1 -0"] * 3
    assert shop.rows("monthly_sales")[-1] == (date(2026, 2, 1), "us", 1, Decimal("41.00"))


def test_rows_that_did_not_change_are_not_written(shop: Shop) -> None:
    before = {model: places(shop, model) for model in ("orders", "daily_sales")}
    # Order `a` is touched and stays what it is; `b` changes.
    shop.land(orders=[order("a", "2026-01-05")], items=[item("b", 2, 7)])
    shop.run()
    after = {model: places(shop, model) for model in ("orders", "daily_sales")}
    moved = {key for model in before for key in before[model] if after[model][key] != before[model][key]}
    assert moved == {"b", date(2026, 1, 2)}


def test_an_input_that_is_not_narrowed_costs_and_does_no_harm(shop: Shop) -> None:
    # Without it the items of untouched orders are missing, and the orders are there.
    shop.edit(
        "models/orders.sql", "{{ converge.touched_rows(ref('stg_orders'), 'order_id') }}", "{{ ref('stg_orders') }}"
    )
    shop.run()
    shop.land(items=[item("b", 2, 7)])
    assert shop.run()["orders"] == "INCREMENTAL +1 -0"
    assert shop.differences() == {}


def test_bounds_are_literals_and_a_run_probes_indexes(shop: Shop) -> None:
    shop.execute("""
        insert into landing.orders
        select 'o' || n, 'DE', '2020-01-01'::timestamptz + n * interval '10 minutes', '2026-01-01', 'u', 2, n
        from generate_series(1, 200000) as n;
        insert into landing.items select 'o' || n, 1, 10, '2026-01-01', 'u', 2, n from generate_series(1, 200000) as n;
        insert into landing.loads (load_id, position) values (2, 2);
        analyze landing.orders, landing.items;
    """)
    shop.run("--full-refresh")
    shop.land(orders=[order(f"o{n}", "2026-01-05") for n in range(1, 200_000, 20_000)])
    read = """
        select relid::regclass::text, seq_tup_read from pg_stat_user_tables
        where schemaname in ('landing', 'main_shop') and n_live_tup > 100000
    """
    before = dict(shop.query(read))
    said = shop.run()
    assert said["orders"] == "INCREMENTAL +10 -0"
    assert {"landing.orders", "main_shop.stg_orders", "main_shop.orders"} <= before.keys()
    assert dict(shop.query(read)) == before
    ran = (shop.folder / "target/run/corner_shop/models/stg_orders.sql").read_text()
    assert "_load_id between 3 and 3" in ran


def test_only_an_index_on_the_touched_key_is_probed(shop: Shop) -> None:
    # Without it, a probe for every ten touched keys would look through the whole input.
    shop.edit("models/stg_items.sql", "['order_id', 'line_number']", "['line_number', 'order_id']")
    shop.run()
    shop.land(items=[item("b", 2, 7)])
    assert shop.run()["orders"] == "INCREMENTAL +1 -0"
    ran = (shop.folder / "target/run/corner_shop/models/orders.sql").read_text()
    assert re.findall(r'"(\w+)" as narrowed on narrowed.order_id = any', ran) == ["stg_orders"]
    assert "(order_id) in (select order_id from" in ran
    assert shop.differences() == {}


def test_rows_that_an_or_lets_pass_beside_the_touched_ones_are_read(shop: Shop) -> None:
    for parent in ("stg_orders", "stg_items"):
        shop.edit(
            "models/orders.sql",
            f"{{{{ converge.touched_rows(ref('{parent}'), 'order_id') }}}}",
            f"{{{{ ref('{parent}') }}}}",
        )
    shop.edit(
        "models/orders.sql",
        "where not _is_deleted",
        "where {{ converge.is_touched('order_id') }} and not _is_deleted or touched.order_id = 'nobody'",
    )
    shop.run()
    shop.land(items=[item("b", 2, 7)])
    assert shop.run()["orders"] == "INCREMENTAL +1 -0"
    ran = (shop.folder / "target/run/corner_shop/models/orders.sql").read_text()
    assert "as narrowed" not in ran
    assert shop.differences() == {}


def test_names_that_need_quotes_are_quoted(shop: Shop) -> None:
    shop.write("models/Order.sql", """
        {{ config(alias='Order By', schema='Odd-Schema', unique_key='"order"', meta={'track': '"Day Placed"'}) }}
        {% call converge.touched('"order"') %}
            select order_id as "order" from {{ converge.changes(ref('orders')) }}
        {% endcall %}
        select order_id as "order", order_date as "Day Placed", amount as position
        from {{ converge.touched_rows(ref('orders'), 'order_id') }} as orders
    """)  # fmt: skip
    long_name = "a_name_as_long_as_postgres_lets_a_table_have_one_which_is_short"
    shop.write(f"models/{long_name}.sql", """
        {{ config(unique_key='"Day Placed"', schema=none) }}
        {% call converge.touched('"Day Placed"') %}
            select "Day Placed" from {{ converge.changes(ref('Order')) }}
        {% endcall %}
        select "Day Placed", count(*) as "select"
        from {{ converge.touched_rows(ref('Order'), '"Day Placed"') }} as orders group by 1
    """)  # fmt: skip
    assert len(long_name) == 63
    shop.run()
    for day in (5, 6):
        shop.land(orders=[order("a", f"2026-01-0{day}", placed_at=f"2026-01-0{day}")])
        said = shop.run()
        assert (said["Order"], said[long_name]) == ("INCREMENTAL +1 -0", "INCREMENTAL +1 -1")
    assert shop.value('select count(*) from main_converge."main_Odd-Schema__Order By"') == 0
    assert shop.value('select "Day Placed" from "main_Odd-Schema"."Order By" where "order" = \'a\'') == date(2026, 1, 6)


def test_sql_is_taken_as_it_is_written(shop: Shop) -> None:
    shop.write("models/odd_sql.sql", r"""
        {{ config(unique_key='order_id') }}
        {% call converge.touched('order_id') %}
            /* a comment: with @ and : in it */ select order_id from {{ converge.changes(ref('orders')) }}
            where order_id != '@' -- and one more
        {% endcall %}
        select order_id, $$a '$1' \1 \\ 100% @ "b"$$ || '%s {}' as oddity, found
        from (select order_id, true as found from {{ ref('orders') }}
        where {{ converge.is_touched("coalesce(order_id,
            'none')") }}) as odd -- the end""")  # fmt: skip
    shop.run()
    shop.land(items=[item("b", 2, 7)])
    shop.land(orders=[order("d")])
    assert shop.run()["odd_sql"] == "INCREMENTAL +1 -0"
    assert shop.query("select distinct oddity from main_shop.odd_sql") == [("a '$1' \\1 \\\\ 100% @ \"b\"%s {}",)]


def test_any_type_is_compared_by_its_bytes(shop: Shop) -> None:
    shop.write("models/typed.sql", """
        {{ config(unique_key='order_id', meta={'track': ['tags']}) }}
        {% call converge.touched('order_id') %}
            select order_id from {{ converge.changes(ref('stg_items')) }}
        {% endcall %}
        select order_id, to_json(max(amount)) as as_json, to_jsonb(max(amount)) as as_jsonb,
            array['a'] as tags, cast('NaN' as float) as as_float, cast('(1,2)' as point) as as_point,
            case when max(amount) > 90 then 1.00 else 1.0 end as scaled
        from {{ converge.touched_rows(ref('stg_items'), 'order_id') }} as items group by order_id
    """)  # fmt: skip
    shop.run()
    shop.land(items=[item("a", updated_at="2026-01-02"), item("b", amount=99, updated_at="2026-01-02")])
    assert shop.run()["typed"] == "INCREMENTAL +1 -0"
    assert shop.value("select scaled::text from main_shop.typed where order_id = 'b'") == "1.00"


def test_a_role_that_may_not_create_schemas_uses_the_one_it_is_given(shop: Shop, monkeypatch) -> None:
    shop.execute(f"""
        drop schema main_converge cascade;
        drop schema main_shop cascade;
        create role modest login password '{shop.server.password}';
        create schema main_converge authorization modest;
        create schema main_shop authorization modest;
        grant usage on schema landing to modest;
        grant select on all tables in schema landing to modest;
    """)
    monkeypatch.setenv("PGUSER", "modest")
    try:
        shop.dbt("seed")
        assert shop.run()["orders"] == "CREATE 3"
    finally:
        with psycopg.connect(shop.server.conninfo("corner_shop")) as connection:
            connection.execute("drop owned by modest cascade; drop role modest")


def test_a_unit_test_runs_the_models_own_sql(shop: Shop) -> None:
    said = shop.dbt("test", "--select", "test_type:unit")
    assert said["an_order_is_worth_what_its_lines_that_remain_add_up_to"] == "pass"
