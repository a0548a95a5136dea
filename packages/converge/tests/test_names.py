"""Names: long ones in any alphabet, without quotes, and the schema of the state as the project's own macro names it."""

import pytest
from corner_shop import Refused, Shop, item

pytest_plugins = ["corner_shop_fixtures"]

COPY = """
    {{% call converge.touched('order_id') %}}
        select order_id from {{{{ converge.changes(ref('{parent}')) }}}}
    {{% endcall %}}
    select * from {{{{ converge.touched_rows(ref('{parent}'), 'order_id') }}}} as parent
"""
CYRILLIC = "продажи_по_дням_и_по_регионам"


def copy(parent: str, **config: str) -> str:
    """A model that is its parent."""
    words = ", ".join(f"{name}={value!r}" for name, value in ({"unique_key": "order_id"} | config).items())
    return f"{{{{ config({words}) }}}}" + COPY.format(parent=parent)


def test_a_name_of_many_bytes_is_built_once_and_then_followed(shop: Shop) -> None:
    # 29 letters, 54 bytes: with what is put behind it for a log or a temporary table it is more than PostgreSQL keeps.
    shop.write("models/long.sql", copy("orders", alias=CYRILLIC))
    shop.write("models/longer.sql", copy("long", alias=CYRILLIC + "_все"))
    shop.write("models/child.sql", copy("longer"))
    shop.run()
    for day in (5, 6):
        shop.land(items=[item("a", amount=day, updated_at=f"2026-02-0{day}")])
        said = shop.run()
        assert [said[name] for name in ("long", "longer", "child")] == ["INCREMENTAL +1 -0"] * 3
    assert shop.query(f'table main_shop."{CYRILLIC}" except table main_shop.child') == []


def test_a_name_that_postgres_would_cut_is_refused(shop: Shop) -> None:
    shop.write("models/long.sql", copy("orders", alias="ж" * 32))
    with pytest.raises(Refused, match=r"(?s)cuts a name at 63 bytes.*has 9 and 64. Give the model a shorter `alias`"):
        shop.run("--select", "long")


def test_two_tables_never_share_a_log(shop: Shop) -> None:
    shop.write("models/one.sql", copy("orders", schema="a", alias="b__c"))
    shop.write("models/two.sql", copy("orders", schema="a__b", alias="c"))
    shop.write("models/three.sql", copy("orders", schema="a_", alias="b__c"))
    shop.write("models/four.sql", copy("orders", schema="a", alias="_b__c"))
    names = ("one", "two", "three", "four")
    shop.run()
    shop.land(items=[item("a", amount=5, updated_at="2026-02-05")])
    said = shop.run()
    assert [said[name] for name in names] == ["INCREMENTAL +1 -0"] * 4
    said = shop.run()
    assert [said[name] for name in names] == ["UNCHANGED"] * 4
    logs = "select count(distinct input_oid), count(*) from main_converge.inputs where input = '(self)'"
    assert shop.query(logs) == [(9, 9)]


NODE_MACRO = """
    {% macro generate_schema_name(custom_schema_name, node) -%}
        {%- set layer = 'seeds' if node.resource_type == 'seed' else node.fqn[1] if node.fqn | length > 5 else '' -%}
        {%- if node.name.startswith('x') or 'x' in node.tags or node.config.materialized == 'x' -%}
            x
        {%- elif node.version or node.group or node.path.startswith('x/') or node.original_file_path == 'x' -%}
            y
        {%- elif node.package_name == 'z' or node.unique_id == 'z' or node.meta.get('z') or node.config.get('z') -%}
            z
        {%- else -%}
            {{ target.schema }}{{ '_' ~ custom_schema_name if custom_schema_name }}{{ layer }}
        {%- endif -%}
    {%- endmacro %}
"""


def test_a_project_may_name_schemas_by_what_it_reads_of_the_node(shop: Shop) -> None:
    shop.write("macros/generate_schema_name.sql", NODE_MACRO)
    shop.dbt("seed")
    shop.run()
    shop.land(items=[item("a", amount=5, updated_at="2026-02-05")])
    assert shop.run()["orders"] == "INCREMENTAL +1 -0"
    assert shop.value("select count(*) from main_converge.inputs") > 0


def test_a_project_may_go_without_quotes(shop: Shop) -> None:
    project = shop.folder / "dbt_project.yml"
    plain = "\nquoting: {database: false, schema: false, identifier: false}\n"
    shop.write("dbt_project.yml", project.read_text() + plain)
    shop.write("models/Mixed.sql", copy("orders", schema="Odd"))
    shop.write("models/order.sql", copy("Mixed", alias="orders_2"))
    shop.write("models/child.sql", copy("order"))
    shop.run()
    shop.land(items=[item("a", amount=5, updated_at="2026-02-05")])
    said = shop.run()
    assert [said[name] for name in ("orders", "Mixed", "order", "child")] == ["INCREMENTAL +1 -0"] * 4
    assert shop.differences() == {}
    ran = (shop.folder / "target/run/corner_shop/models/orders.sql").read_text()
    assert "as narrowed on narrowed.order_id = any" in ran
    assert {message for name, message in shop.run().items() if "on-run" not in name} == {"UNCHANGED"}


def test_a_model_without_inputs_is_built_and_left(shop: Shop) -> None:
    shop.write("models/constant.sql", """
        {{ config(unique_key='id', incremental_strategy='upsert', meta={'version': 'id'}) }}
        select 1 as id, 'one' as name
    """)  # fmt: skip
    assert [shop.run("--select", "constant")["constant"] for _ in range(2)] == ["CREATE 1", "UNCHANGED"]
    shop.edit("models/constant.sql", "'one'", "'eins'")
    assert shop.run("--select", "constant")["constant"] == "REBUILD +1 -0"


def test_a_parent_whose_name_begins_as_anothers_does_is_another(shop: Shop) -> None:
    project = shop.folder / "dbt_project.yml"
    plain = "\nquoting: {database: false, schema: false, identifier: false}\n"
    shop.write("dbt_project.yml", project.read_text() + plain)
    shop.write("models/daily.sql", "{{ config(materialized='table') }} select 1 as n")
    text = (shop.folder / "models/monthly_sales.sql").read_text()
    hooked = """'region'], pre_hook="{% do ref('daily') %}") }}"""
    shop.write("models/monthly_sales.sql", text.replace("'region']) }}", hooked, 1))
    assert shop.run()["monthly_sales"] == "REBUILD +0 -0"


# Columns that have the names which the SQL of the package gives to its own tables.
ALIASES = ["seed", "old", "new", "gone", "touched", "tens", "narrowed", "model", "versions", "changed", "changes"]
ALIASES += ["target", "seen", "now_at", "excluded", "keys", "key", "ten", "logged", "landed"]


def test_a_column_may_have_any_name_that_the_package_uses_itself(shop: Shop) -> None:
    columns = ", ".join(ALIASES)
    shop.execute(
        f"create table landing.alike ({', '.join(f'{name} text' for name in ALIASES)}, "
        "updated_at timestamptz, _load_id bigint, _row bigint)"
    )
    shop.write("models/alike/_sources.yml", "sources: [{name: alike, schema: landing, tables: [{name: alike}]}]")
    for name in ALIASES:
        shop.write(f"models/alike/staged_{name}.sql", f"""
            {{{{ config(unique_key='{name}', incremental_strategy='upsert', meta={{'track': {ALIASES}}}) }}}}
            select {columns}, updated_at as _version_at, _load_id, _row
            from {{{{ converge.landed(source('alike', 'alike')) }}}} as landed
        """)  # fmt: skip
        shop.write(f"models/alike/mart_{name}.sql", f"""
            {{{{ config(unique_key='{name}') }}}}
            {{% call converge.touched('{name}') %}}
                select {name} from {{{{ converge.changes(ref('staged_{name}')) }}}}
            {{% endcall %}}
            select {columns} from {{{{ converge.touched_rows(ref('staged_{name}'), '{name}') }}}} as staged
        """)  # fmt: skip
    for day in range(1, 4):
        shop.land(alike=[
            {name: f"{key}" if name == key_name else f"{day}" for name in ALIASES} | {"updated_at": f"2026-01-0{day}"}
            for key_name in ALIASES
            for key in (1, day)
        ])  # fmt: skip
        said = shop.run("--select", "path:models/alike")
        kinds = {message.split()[0] for name, message in said.items() if name.startswith(("staged", "mart"))}
        assert kinds == {"CREATE" if day == 1 else "INCREMENTAL"}
    for name in ALIASES:
        both = f"table main_shop.mart_{name}", f"select {columns} from main_shop.staged_{name}"
        assert shop.query(f"({both[0]} except all {both[1]}) union all ({both[1]} except all {both[0]})") == [], name


def test_an_edit_of_a_seed_is_seen_whatever_its_columns_are_called(shop: Shop) -> None:
    shop.write("seeds/named.csv", f"country,{','.join(ALIASES)},word\nDE{',1' * len(ALIASES)},before\n")
    shop.write("models/reader.sql", """
        {{ config(unique_key='order_id') }}
        {% call converge.touched('order_id') %}
            select order_id from {{ converge.changes(ref('orders')) }}
        {% endcall %}
        select order_id, (select max(word) from {{ ref('named') }}) as word from {{ ref('orders') }}
        where {{ converge.is_touched('order_id') }}
    """)  # fmt: skip
    shop.dbt("seed")
    shop.run()
    shop.edit("seeds/named.csv", "before", "after")
    shop.dbt("seed", "--select", "named")
    assert shop.run("--select", "reader")["reader"] == "REBUILD +3 -0"


def test_a_parent_that_is_named_without_its_database_is_an_input(shop: Shop) -> None:
    shop.edit("models/orders.sql", "{{ ref('regions') }}", "{{ ref('regions').include(database=false) }}")
    shop.run()
    shop.edit("seeds/regions.csv", "US,us", "US,america")
    shop.dbt("seed")
    assert shop.run()["orders"] == "REBUILD +1 -0"
