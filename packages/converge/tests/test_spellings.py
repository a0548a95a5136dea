"""Keys that are equal and not the same, such as 1 and 1.0: every column is that of the winning version, the key too."""

import random
from collections.abc import Iterator

import psycopg
import pytest
from corner_shop import Shop

pytest_plugins = ["corner_shop_fixtures"]

SOURCE = "sources: [{name: spelt, schema: landing, tables: [{name: spellings}]}]"
LANDING = """
    create table landing.spellings (
        kind text, spelled text, note text, updated_at timestamptz, _load_id bigint, _row bigint
    );
    create domain public.price as numeric;
    create type public.money_of as (amount numeric, currency text);
"""
# kind: (type, spellings that are equal in pairs), and what the server must have for it.
KINDS = {
    "numeric": ("numeric", ["1", "1.0", "2.50", "2.5"], None),
    "float": ("double precision", ["0", "-0", "1", "1.0"], None),
    "real": ("real", ["0", "-0"], None),
    "blanks": ("bpchar", ["a", "a ", "b", "b  "], None),
    "interval": ("interval", ["1 day", "24 hours", "1 month", "30 days"], None),
    "jsonb": ("jsonb", ["1", "1.0", '{"a": 1}', '{"a": 1.00}'], None),
    "array": ("numeric[]", ["{1}", "{1.0}", "{2,3}", "{2.0,3}"], None),
    "range": ("numrange", ["[1,2)", "[1.0,2)"], None),
    "multirange": ("nummultirange", ["{[1,2)}", "{[1.0,2)}"], None),
    "domain": ("public.price", ["1", "1.0"], None),
    "composite": ("public.money_of", ["(1,EUR)", "(1.0,EUR)"], None),
    "citext": ("citext", ["a", "A", "b", "B"], "create extension citext"),
    "no_case": (
        'text collate public."no_case"',
        ["a", "A", "b", "B"],
        "create collation public.no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
    ),
}
MODELS = {
    "staged": """
        {{ config(unique_key='spelled', incremental_strategy='upsert') }}
        select cast(spelled as #type#) as spelled, note, updated_at as _version_at, _load_id, _row
        from {{ converge.landed(source('spelt', 'spellings')) }} as landed where kind = '#kind#'
    """,
    # Its key is something else, and the spelling is what its readers group by.
    "held": """
        {{ config(unique_key='note', incremental_strategy='upsert', meta={'track': ['spelled']}) }}
        select note, cast(spelled as #type#) as spelled, updated_at as _version_at, _load_id, _row
        from {{ converge.landed(source('spelt', 'spellings')) }} as landed where kind = '#kind#'
    """,
    "mart": """
        {{ config(unique_key='spelled') }}
        {% call converge.touched('spelled') %}
            select spelled from {{ converge.changes(ref('staged_#kind#')) }}
        {% endcall %}
        select spelled, note from {{ converge.touched_rows(ref('staged_#kind#'), 'spelled') }} as staged
    """,
    "texts": """
        {{ config(unique_key='as_text') }}
        {% call converge.touched('as_text') %}
            select format('%s', spelled) as as_text from {{ converge.changes(ref('mart_#kind#')) }}
        {% endcall %}
        select format('%s', spelled) as as_text, count(*) as n, min(note) as note from {{ ref('mart_#kind#') }}
        where {{ converge.is_touched("format('%s', spelled)") }} group by 1
    """,
    "held_texts": """
        {{ config(unique_key='as_text') }}
        {% call converge.touched('as_text') %}
            select format('%s', spelled) as as_text from {{ converge.changes(ref('held_#kind#')) }}
        {% endcall %}
        select format('%s', spelled) as as_text, count(*) as n
        from {{ converge.touched_rows(ref('held_#kind#'), "format('%s', spelled)") }} as held group by 1
    """,
}


@pytest.fixture(scope="module")
def spelling_shop(built_shop: Shop) -> Iterator[tuple[Shop, list[str]]]:
    """The shop with models of every type that the server has, and the names of these kinds."""
    with built_shop.opened() as shop:
        shop.execute(LANDING)
        shop.write("models/spelt/_sources.yml", SOURCE)
        kinds = []
        for kind, (type_, _, needs) in KINDS.items():
            if needs:
                try:
                    shop.execute(needs)
                except psycopg.Error:  # This server does not have it.
                    continue
            kinds.append(kind)
            for model, text in MODELS.items():
                text = text.replace("#kind#", kind).replace("#type#", type_)
                shop.write(f"models/spelt/{model}_{kind}.sql", text)
        yield shop, kinds


def land(shop: Shop, rows: list[tuple[str, str, str, str]]) -> None:
    """One load of (kind, spelling, note, day)."""
    names = ("kind", "spelled", "note", "updated_at")
    shop.land(spellings=[dict(zip(names, row, strict=True)) for row in rows])


def content(shop: Shop) -> dict[str, list[str]]:
    """Every row of the models of spellings, as it is written."""
    tables = shop.query("select relname from pg_class where relnamespace = 'main_shop'::regnamespace and relkind = 'r'")
    names = sorted(name for (name,) in tables if name.split("_")[0] in ("staged", "held", "mart", "texts"))
    return {
        name: [row[0] for row in shop.query(f"select t::text from main_shop.{name} as t order by 1")] for name in names
    }


def test_a_row_is_spelled_as_its_greatest_version_whatever_the_type(spelling_shop: tuple[Shop, list[str]]) -> None:
    shop, kinds = spelling_shop
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    for _ in range(4):
        for _ in range(dice.randrange(1, 3)):
            land(shop, [
                (kind, dice.choice(KINDS[kind][1]), dice.choice("xyz"), f"2026-01-{dice.randrange(1, 20):02}")
                for kind in kinds
                for _ in range(dice.randrange(4))
            ])  # fmt: skip
        shop.run("--select", "path:models/spelt")
    incremental = content(shop)
    assert len(incremental) == len(kinds) * len(MODELS)
    said = shop.run("--select", "path:models/spelt", "--full-refresh")
    assert all(message.startswith("CREATE") for name, message in said.items() if name.startswith("staged"))
    fresh = content(shop)
    differ = {name: (incremental[name], fresh[name]) for name in fresh if incremental[name] != fresh[name]}
    assert differ == {}, f"seed {seed}"
    # What is compared whole finds the same: nothing to write.
    shop.execute("delete from main_converge.inputs where input in ('landing.spellings')")
    said = shop.run("--select", "path:models/spelt")
    assert {said[name] for name in said if name.startswith(("staged", "held_"))} <= {"REBUILD +0 -0", "UNCHANGED"}
