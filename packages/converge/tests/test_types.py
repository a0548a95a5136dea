"""Columns of any type: what can be compared works in every run, and the rest is refused in the first."""

import random
import re

from corner_shop import Shop

pytest_plugins = ["corner_shop_fixtures"]

LANDING = """
    create table landing.values (
        kind text, value text, note text, updated_at timestamptz, _load_id bigint, _row bigint
    );
    create type public.size as enum ('large', 'small');
    create type public.spot as (shelf text, place integer);
    create domain public.tags as text[];
"""
ORDERED = {
    "text_array": ("text[]", ["{a,b}", "{a}", "{}", "{{a,b},{c,d}}", "{null}"]),
    "number_array": ("integer[]", ["{1}", "{1,2}", "{{1},{2}}"]),
    "tags": ("public.tags", ["{a}", "{b,c}"]),
    "enum": ("public.size", ["small", "large"]),
    "composite": ("public.spot", ["(a,1)", "(b,)"]),
    "letter": ('"char"', ["a", "b"]),
    "name": ("name", ["a", "B"]),
    "code": ("char(3)", ["a", "abc"]),
    "short": ("varchar(5)", ["a", "b "]),
    "money": ("money", ["1.00", "2.50"]),
    "uuid": ("uuid", [f"{n}0000000-0000-0000-0000-000000000000" for n in range(3)]),
    "bytes": ("bytea", [r"\x00", r"\xff00"]),
    "network": ("inet", ["10.0.0.1", "10.0.0.0/8"]),
    "mac": ("macaddr", ["08:00:2b:01:02:03", "08:00:2b:01:02:04"]),
    "flag": ("boolean", ["true", "false"]),
    "day": ("date", ["2026-01-01", "infinity"]),
    "moment": ("timestamptz", ["2026-01-01 00:00+02", "-infinity"]),
    "clock": ("timetz", ["10:00+01", "09:00+00"]),
    "bits": ("bit varying(4)", ["1", "01"]),
    "search": ("tsvector", ["a b", "c"]),
    "position": ("pg_lsn", ["0/1", "1/0"]),
    "relation": ("regclass", ["pg_class", "pg_type"]),
    "days": ("daterange", ["[2026-01-01,2026-02-01)", "empty"]),
    "jsonb": ("jsonb", ['{"a": [1]}', "null", "[]"]),
    "nothing_but_nan": ("double precision", ["NaN", "Infinity"]),
}
NOT_ORDERED = ["json", "xml", "point", "box", "line", "lseg", "path", "polygon", "circle", "xid", "jsonpath", "json[]"]

STAGED = """
    {{{{ config(unique_key='value', incremental_strategy='upsert') }}}}
    select cast(value as {type}) as value, note, updated_at as _version_at, _load_id, _row
    from {{{{ converge.landed(source('typed', 'values')) }}}} as landed where kind = '{kind}'
"""
MART = """
    {{{{ config(unique_key='value') }}}}
    {{% call converge.touched('value') %}}
        select value from {{{{ converge.changes(ref('staged_{kind}')) }}}}
    {{% endcall %}}
    select value, note from {{{{ converge.touched_rows(ref('staged_{kind}'), 'value') }}}} as staged
"""
SOURCE = "sources: [{name: typed, schema: landing, tables: [{name: values}]}]"


def test_any_type_that_has_an_order_may_be_a_key_and_a_touched_column(shop: Shop) -> None:
    dice = random.Random(1)
    shop.execute(LANDING)
    shop.write("models/typed/_sources.yml", SOURCE)
    for kind, (type_, _) in ORDERED.items():
        shop.write(f"models/typed/staged_{kind}.sql", STAGED.format(kind=kind, type=type_))
        shop.write(f"models/typed/mart_{kind}.sql", MART.format(kind=kind))
    for day in range(1, 4):
        shop.land(values=[
            {"kind": kind, "value": value, "note": f"{day}", "updated_at": f"2026-01-0{day}"}
            for kind, (_, values) in ORDERED.items()
            for value in dice.sample(values, 1 if day == 1 else 2)
        ])  # fmt: skip
        said = shop.run("--select", "path:models/typed")
    assert {message.split()[0] for name, message in said.items() if name.startswith("mart")} == {"INCREMENTAL"}
    for kind in ORDERED:
        staged = shop.query(f"select row(value, note)::text from main_shop.staged_{kind} order by 1")
        assert shop.query(f"select t::text from main_shop.mart_{kind} as t order by 1") == staged, kind
        assert ("3",) in shop.query(f"select note from main_shop.mart_{kind}"), kind


def test_a_type_without_an_order_is_refused_by_name_in_the_first_run(shop: Shop) -> None:
    for number, type_ in enumerate(NOT_ORDERED):
        shop.write(f"models/odd/key_{number}.sql", f"""
            {{{{ config(unique_key='odd', incremental_strategy='upsert') }}}}
            select cast(order_id as {type_}) as odd, updated_at as _version_at, _load_id, _row
            from {{{{ converge.landed(source('landing', 'orders')) }}}} as landed
        """)  # fmt: skip
        shop.write(f"models/odd/touched_{number}.sql", f"""
            {{{{ config(unique_key='order_id') }}}}
            {{% call converge.touched('odd') %}}
                select cast(order_id as {type_}) as odd from {{{{ converge.changes(ref('orders')) }}}}
            {{% endcall %}}
            select order_id, cast(order_id as {type_}) as odd from {{{{ ref('orders') }}}}
            where {{{{ converge.is_touched("cast(order_id as {type_})") }}}}
        """)  # fmt: skip
    told = shop.results("run", "--select", "odd")
    assert len(told) >= 2 * len(NOT_ORDERED)
    for number, type_ in enumerate(NOT_ORDERED):
        for model in (f"key_{number}", f"touched_{number}"):
            well, message = told[model]
            named = re.search(rf"has no order: .*odd {re.escape(type_)}[,.]", " ".join(message.split()))
            assert not well and named, (type_, message)


def test_a_tracked_column_may_have_a_type_without_an_order(shop: Shop) -> None:
    shop.edit(
        "models/stg_items.sql", "['order_id', 'line_number'],", "['order_id', 'line_number'], meta={'track': ['box']},"
    )
    shop.edit("models/stg_items.sql", "    _load_id,", "    to_json(amount) as box,\n    _load_id,")
    shop.run()
    shop.land(items=[{"order_id": "a", "line_number": 1, "amount": 7, "updated_at": "2026-02-01"}])
    shop.run("--select", "stg_items")
    logged = shop.query("select box::text from main_converge.main_shop__stg_items order by 1")
    assert logged == [("10.00",), ("7.00",)] or logged == [("10",), ("7",)]


def test_a_column_with_another_collation_is_a_new_table(shop: Shop) -> None:
    shop.edit("models/landed_orders.sql", "    country,\n", '    country collate "C" as country,\n')
    assert shop.run()["stg_orders"] == "CREATE 3"
