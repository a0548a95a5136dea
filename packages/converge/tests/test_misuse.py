"""Misuse: each has its message, before anything is written."""

import re
from collections.abc import Iterator

import pytest
from corner_shop import Refused, Shop, item, order

pytest_plugins = ["corner_shop_fixtures"]

TOUCHED = (
    "{% call converge.touched('order_id') %}select order_id from {{ converge.changes(ref('orders')) }}{% endcall %}"
)
ORDERS = "select order_id from {{ converge.touched_rows(ref('orders'), 'order_id') }} as orders where true"
AND = " and order_id in (select order_id from {})"
LANDED = "select * from {{ converge.landed(source('landing', 'orders')) }}"

# name: (config, SQL, what the author is told)
WRONG = {
    "no_key": ("tags=[]", TOUCHED + ORDERS, "needs `unique_key`"),
    "unknown_strategy": (
        "unique_key='order_id', incremental_strategy='merge'",
        TOUCHED + ORDERS,
        "is `upsert` or `replace_keys`, not `merge`",
    ),
    "unlogged": ("unique_key='order_id', unlogged=true", TOUCHED + ORDERS, "never unlogged"),
    "no_touched": ("unique_key='order_id'", ORDERS, "needs one .* block.* It has 0"),
    "two_touched": ("unique_key='order_id'", TOUCHED + TOUCHED + ORDERS, "needs one .* block.* It has 2"),
    "upsert_touched": (
        "unique_key='order_id', incremental_strategy='upsert'",
        TOUCHED + LANDED,
        "An `upsert` model reads .* and has no `touched` block",
    ),
    "not_narrowed": (
        "unique_key='order_id'",
        TOUCHED + "select order_id from {{ ref('orders') }}",
        "No input is narrowed by",
    ),
    "too_many_columns": (
        "unique_key='order_id'",
        TOUCHED + "select order_id from {{ ref('orders') }} where {{ converge.is_touched('order_id', 'region') }}",
        "names more columns than the `touched` block",
    ),
    "changes_elsewhere": (
        "unique_key='order_id'",
        TOUCHED + ORDERS + AND.format("{{ converge.changes(ref('orders')) }}"),
        "belongs in the `touched` block",
    ),
    "bare_source": (
        "unique_key='order_id', incremental_strategy='upsert'",
        "select * from {{ source('landing', 'orders') }}",
        "read the source orders through",
    ),
    "half_bare_source": (
        "unique_key='order_id', incremental_strategy='upsert'",
        LANDED + " as new where order_id not in (select order_id from {{ source('landing', 'orders') }})",
        "read the source orders through .* and only so",
    ),
    "source_in_a_mart": (
        "unique_key='order_id'",
        TOUCHED + ORDERS + AND.format("{{ converge.landed(source('landing', 'orders')) }} as o"),
        "Stage it first with an `upsert` model",
    ),
    "parent_is_a_table": (
        "unique_key='order_id'",
        TOUCHED + ORDERS + AND.format("{{ ref('plain_table') }}"),
        "plain_table is table, not converging",
    ),
    "unnamed_changes": (
        "unique_key='order_id'",
        TOUCHED + ORDERS + AND.format("{{ ref('stg_items') }}"),
        r"name `converge.changes\(ref\('stg_items'\)\)` in the `touched` block",
    ),
    "upsert_over_a_model": (
        "unique_key='order_id', incremental_strategy='upsert'",
        "select * from {{ ref('stg_orders') }}",
        "cannot follow stg_orders. Make it `replace_keys`",
    ),
    "seed_not_loaded": (
        "unique_key='order_id'",
        TOUCHED + ORDERS + AND.format("{{ ref('unloaded') }}").replace("select order_id", "select country"),
        "The seed unloaded is not loaded yet. Load it first: dbt seed --select unloaded",
    ),
    "parent_not_built": (
        "unique_key='order_id'",
        TOUCHED.replace("'orders'", "'unbuilt'") + ORDERS.replace("'orders'", "'unbuilt'"),
        "main_shop.unbuilt has no converging table yet. Build it first",
    ),
    "source_not_landed": (
        "unique_key='order_id', incremental_strategy='upsert'",
        LANDED.replace("'landing', 'orders'", "'later', 'returns'"),
        "landing.returns does not exist yet. Land it first",
    ),
    "untracked_column": (
        "unique_key='order_id'",
        TOUCHED.replace("{% endcall", " where amount > 0{% endcall") + ORDERS,
        r"only its key and what its meta.track names: orders \(order_id, order_date, region\)"
        r'.*column "amount" does not exist',
    ),
    "touched_without_its_column": (
        "unique_key='order_id'",
        TOUCHED.replace("select order_id", "select region") + ORDERS,
        'The `touched` block gives order_id .*column "order_id" does not exist',
    ),
    "key_without_its_column": (
        "unique_key='id'",
        TOUCHED + ORDERS,
        "The model gives no column id, .* It gives order_id",
    ),
    "no_version": (
        "unique_key='order_id', incremental_strategy='upsert'",
        "select order_id, _load_id, _row from {{ converge.landed(source('landing', 'orders')) }} as landed",
        "The model gives no column _version_at",
    ),
    "nullable_key": (
        "unique_key='country'",
        TOUCHED + ORDERS.replace("order_id from", "order_id, cast(null as text) as country from"),
        r"The key of nullable_key \(country\) must be in every row, and unique.*contains null values",
    ),
    "nullable_touched": (
        "unique_key='order_id'",
        TOUCHED.replace("order_id", "region")
        + "select order_id, nullif(region, 'us') as region from {{ ref('orders') }}"
        + " where {{ converge.is_touched('region') }}",
        r"so must the columns of its `touched` block \(region\)",
    ),
    "touched_of_another_type": (
        "unique_key='day'",
        TOUCHED.replace("order_id", "day").replace("select day", "select cast(order_date as text) as day")
        + "select distinct order_date as day from {{ ref('orders') }} where {{ converge.is_touched('order_date') }}",
        "block gives day as text, the model as date, and these are compared differently .* Cast the column in",
    ),
    "touched_of_blanks": (
        "unique_key='order_id'",
        TOUCHED + ORDERS.replace("order_id from", "cast(order_id as char(3)) as order_id from"),
        r"block gives order_id as text, the model as character\(3\)",
    ),
    "touched_of_another_collation": (
        "unique_key='order_id'",
        TOUCHED + ORDERS.replace("order_id from", 'order_id collate "C" as order_id from'),
        "block gives order_id as text, the model as text, .* by collation",
    ),
    "narrowed_by_another_type": (
        "unique_key='order_id'",
        TOUCHED + ORDERS.replace("'order_id')", "'order_date')"),
        "must have the types that the `touched` block gives: order_id text.*operator does not exist",
    ),
    "version_tracked": (
        "unique_key='order_id', meta={'track': '_version'}",
        TOUCHED + ORDERS.replace("order_id from", "order_id, 1 as _version from"),
        "The log of changes has a column _version of its own",
    ),
    "a_word_of_sql": (
        "unique_key='order_id', meta={'track': 'user'}",
        TOUCHED + ORDERS.replace("order_id from", 'order_id, region as "user" from'),
        "The column user needs quotes wherever it is named",
    ),
    "key_twice": (
        "unique_key='region'",
        (TOUCHED + ORDERS).replace("order_id", "region"),
        r"The key of key_twice \(region\).*Key \(region\)=\(eu\) is duplicated",
    ),
}
MORE = {
    "models/wrong/plain_table.sql": "{{ config(materialized='table') }} select 'a' as order_id",
    "models/wrong/unbuilt.sql": "{{ config(unique_key='order_id') }}" + TOUCHED + ORDERS,
    "models/wrong/_sources.yml": "sources: [{name: later, schema: landing, tables: [{name: returns}]}]",
    "seeds/unloaded.csv": "country\nDE\n",
}


@pytest.fixture(scope="module")
def told(built_shop: Shop) -> Iterator[dict[str, str]]:
    """What the author of each wrong model is told, all of them built in one run."""
    with built_shop.opened():
        for name, (config, sql, _) in WRONG.items():
            built_shop.write(f"models/wrong/{name}.sql", f"{{{{ config({config}) }}}}{sql}")
        for file, text in MORE.items():
            built_shop.write(file, text)
        results = built_shop.results("run", "--select", "wrong", "--exclude", "unbuilt")
    yield {name: "" if well else " ".join(message.split()) for name, (well, message) in results.items()}


@pytest.mark.parametrize("name", WRONG)
def test_the_author_is_told(told: dict[str, str], name: str) -> None:
    assert re.search(WRONG[name][2], told[name]), told[name] or "nothing"


def test_a_key_that_comes_twice_later_is_named_too(shop: Shop) -> None:
    shop.edit(
        "models/orders.sql",
        "from orders\n",
        "from orders cross join generate_series(1, case when order_id = 'd' then 2 else 1 end)\n",
    )
    shop.run()
    shop.land(orders=[order("d")], items=[item("d")])
    with pytest.raises(Refused, match=r"(?s)The key of orders \(order_id\).*Key \(order_id\)=\(d\) is duplicated"):
        shop.run("--select", "+orders")


@pytest.mark.parametrize("flag", ["--empty", "--sample=1 day"])
def test_less_than_all_is_never_written(shop: Shop, flag: str) -> None:
    with pytest.raises(Refused, match="A converging table holds all there is"):
        shop.run(flag)
    assert len(shop.rows("orders")) == 3


def test_a_missing_ledger_is_named(shop: Shop) -> None:
    shop.execute("alter table landing.loads rename position to place")
    with pytest.raises(Refused, match=r"The ledger landing.loads has no column position, a load's place in the order"):
        shop.run()
    shop.execute("alter table landing.loads rename to elsewhere")
    with pytest.raises(Refused, match=r"the ledger landing.loads does not exist"):
        shop.run("--select", "stg_items")


def test_a_test_that_asks_for_a_column_that_no_log_has_says_so(shop: Shop) -> None:
    shop.write("tests/amounts_are_positive.sql", """
        select * from {{ ref('orders') }} where amount < 0 and {{ converge.is_tested(ref('orders'), 'amount') }}
    """)  # fmt: skip
    shop.land(items=[item("a", 2, 7, "2026-01-02")])
    well, message = shop.results("build")["amounts_are_positive"]
    assert not well and "column logged.amount does not exist" in message
