"""Undo: readers are taken back to an earlier publication, and forward again.

SEED repeats a history (it is printed); UNDO_STEPS is how long it is.
"""

import os
import random
from collections.abc import Iterator

import pytest
from corner_shop import Refused, Shop, item, order
from test_publishing import META, NO_MONTH_IS_LARGE, PUBLISHED, TOO_MUCH, configure, keep_undo, operate, publish
from test_publishing_readers import IN_A_TASK_OF_ITS_OWN, killed, land

pytest_plugins = ["corner_shop_fixtures"]

LOG = "main_converge.undo__main_sales__orders"
OTHER_INDEX = ("models/orders.sql", "'columns': ['order_date', 'region']", "'columns': ['region']")


@pytest.fixture
def shop(shop: Shop) -> Iterator[Shop]:
    """The shop with its marts published, and undone for a week."""
    configure(shop, **dict.fromkeys(PUBLISHED, META))
    keep_undo(shop, days=7)
    shop.write("tests/no_month_is_large.sql", NO_MONTH_IS_LARGE)
    shop.dbt("build")
    yield shop


def day(shop: Shop, number: int) -> None:
    """A day on which an order comes, one goes and one is corrected."""
    shop.land(
        orders=[order(f"n{number}"), order("c", f"2026-03-{number:02}", _op="du"[number % 2])],
        items=[item("a", amount=number, updated_at=f"2026-03-{number:02}"), item(f"n{number}")],
    )
    shop.dbt("build")


def seen(shop: Shop, schema: str = "main_sales") -> dict[str, list[tuple]]:
    return {model: sorted(shop.query(f"table {schema}.{model}")) for model in PUBLISHED}


def built(shop: Shop) -> dict[str, list[tuple]]:
    return seen(shop, "main_shop")


def stands(shop: Shop) -> tuple:
    """Which publication stands, up to which position, and what holds back the next one."""
    return shop.query("select publication, bound, held_back from main_converge.published")[0]


def kept(shop: Shop) -> list[int]:
    """The publications to which the group can be taken."""
    return [row[0] for row in shop.query("select publication from main_converge.publications order by publication")]


def test_a_group_is_taken_back_and_forward_row_for_row(shop: Shop) -> None:
    states = {1: (1, seen(shop))}
    for number in (2, 3, 4):
        day(shop, number)
        states[number] = (number, seen(shop))
    assert kept(shop) == [1, 2, 3, 4] and stands(shop) == (4, 4, None)
    for to in (3, 1, 2, 4, 1):
        operate(shop, "unpublish", to=to)
        assert (stands(shop)[1], seen(shop)) == states[to]
        assert stands(shop)[::2] == (to, f"it was taken back to publication {to} and waits for converge.republish")
    operate(shop, "republish")
    assert (stands(shop)[1], seen(shop)) == states[4]
    assert stands(shop) == (4, 4, None) and kept(shop) == [1, 2, 3, 4]
    # By default to the one before.
    operate(shop, "unpublish")
    assert (stands(shop)[1], seen(shop)) == states[3]


def test_what_was_taken_back_stays_so_until_it_is_republished(shop: Shop) -> None:
    day(shop, 2)
    operate(shop, "unpublish")
    before = seen(shop)
    day(shop, 3)
    publish(shop)
    day(shop, 4)
    assert seen(shop) == before and stands(shop)[:2] == (1, 1)
    operate(shop, "republish")
    assert seen(shop) == built(shop) and stands(shop) == (3, 4, None)
    # And from then on as always, by the log.
    places = set(shop.query("select ctid, order_id from main_sales.orders"))
    day(shop, 5)
    assert seen(shop) == built(shop) and stands(shop) == (4, 5, None)
    assert len(places & set(shop.query("select ctid, order_id from main_sales.orders"))) == len(places) - 1
    operate(shop, "unpublish", to=1)
    assert seen(shop) == before


def test_what_is_built_and_not_good_is_not_published_by_going_forward(shop: Shop) -> None:
    before = seen(shop)
    day(shop, 2)
    operate(shop, "unpublish")
    shop.land(items=[item("a", 3, TOO_MUCH)])
    assert not shop.results("build")["no_month_is_large"][0]
    operate(shop, "republish")
    # Nor is what readers were taken back from.
    assert seen(shop) == before
    publication, bound, words = stands(shop)
    assert (publication, bound) == (1, 1)
    assert words.startswith("main_shop.monthly_sales waits for no_month_is_large to go well; it was taken back to")


def test_a_build_that_changes_nothing_is_no_publication_of_its_own(shop: Shop) -> None:
    day(shop, 2)
    shop.land()
    shop.dbt("build")
    shop.dbt("build", "--full-refresh")
    assert kept(shop) == [1, 2] and stands(shop) == (2, 3, None)


def test_a_full_refresh_is_taken_back_too(shop: Shop) -> None:
    before = seen(shop)
    shop.land(items=[item("a", 3, 1)])
    shop.dbt("build", "--full-refresh")
    after = seen(shop)
    operate(shop, "unpublish")
    assert seen(shop) == before
    shop.dbt("build", "--full-refresh")
    operate(shop, "republish")
    assert seen(shop) == after == built(shop)


def test_another_shape_ends_what_can_be_taken_back(shop: Shop) -> None:
    day(shop, 2)
    shop.edit(*OTHER_INDEX)
    day(shop, 3)
    assert kept(shop) == [3]
    with pytest.raises(Refused, match=r"Publication 1 of all is not kept. Kept are: 3 \(up to position 3, "):
        operate(shop, "unpublish", to=1)
    with pytest.raises(Refused, match="No earlier publication of all is kept"):
        operate(shop, "unpublish")
    day(shop, 4)
    operate(shop, "unpublish", to=3)
    assert stands(shop)[:2] == (3, 3)


@pytest.mark.parametrize(
    "change", ["alter table main_sales.orders add column mine text", "drop table main_sales.daily_sales cascade"]
)
def test_a_change_by_hand_ends_what_can_be_taken_back(shop: Shop, change: str) -> None:
    day(shop, 2)
    shop.execute(change)
    with pytest.raises(Refused, match="are not what they were when they were last published"):
        operate(shop, "unpublish")
    day(shop, 3)
    assert kept(shop) == [3] and seen(shop) == built(shop)


def test_a_model_that_leaves_its_group_ends_what_can_be_taken_back(shop: Shop) -> None:
    day(shop, 2)
    alone = {"daily_sales": "{publish: {schema: sales, group: days}}"}
    configure(shop, **(dict.fromkeys(PUBLISHED, META) | alone))
    shop.dbt("build")
    assert len(kept(shop)) == 2
    day(shop, 3)
    assert len(kept(shop)) == 4 and seen(shop) == built(shop)
    after = seen(shop)
    operate(shop, "unpublish", group="days")
    assert seen(shop)["orders"] == after["orders"] and seen(shop)["daily_sales"] != after["daily_sales"]


def test_a_model_that_leaves_a_group_that_is_taken_back_converges(shop: Shop) -> None:
    day(shop, 2)
    operate(shop, "unpublish")
    configure(shop, **dict.fromkeys(PUBLISHED, "{publish: {schema: sales, group: other}}"))
    shop.dbt("build")
    assert seen(shop) == built(shop)


def test_publications_are_forgotten_after_their_days(shop: Shop) -> None:
    day(shop, 2)
    day(shop, 3)
    past = "update main_converge.publications set published_at = now() - interval '{}' where publication <= {}"
    shop.execute(past.format("8 days", 2))
    # 2 stood until 3 came, a moment ago.
    shop.dbt("build")
    assert kept(shop) == [2, 3]
    assert shop.query(f"select distinct _publication from {LOG}") == [(3,)]
    keep_undo(shop, days=0)
    shop.dbt("build")
    assert kept(shop) == [3]
    logs = "select relname from pg_class where relname like 'undo%' and relkind = 'r'"
    assert shop.query(logs) == []
    day(shop, 4)
    assert kept(shop) == [4] and shop.query(logs) == []
    with pytest.raises(Refused, match=r"No earlier publication of all is kept.*converge_undo_days \(0 here\)"):
        operate(shop, "unpublish")


def test_what_a_comparison_only_mends_is_not_gone_back_to(shop: Shop) -> None:
    before = seen(shop)
    day(shop, 2)
    shop.execute("update main_sales.orders set amount = 0")
    operate(shop, "publish", compare=True)
    assert seen(shop) == built(shop) and kept(shop) == [1, 2]
    operate(shop, "unpublish")
    assert seen(shop) == before
    operate(shop, "republish")
    assert seen(shop) == built(shop)
    told = "select published_at from main_converge.published"
    before = shop.query(told)
    operate(shop, "republish")
    assert shop.query(told) == before, "nothing was taken back"


def test_nothing_is_kept_by_default(shop: Shop) -> None:
    keep_undo(shop, days=0)
    day(shop, 2)
    assert shop.query("select 1 from pg_class where relname like 'undo%'") == []


@pytest.mark.parametrize("is_taken_back", [False, True])
def test_the_rows_that_were_replaced_can_be_forgotten(shop: Shop, is_taken_back: bool) -> None:
    day(shop, 2)
    day(shop, 3)
    if is_taken_back:
        operate(shop, "unpublish", to=1)
    assert shop.value(f"select count(*) from {LOG}") > 0
    operate(shop, "forget_undo")
    assert shop.query("select 1 from pg_class where relname like 'undo%'") == []
    assert kept(shop) == [1 if is_taken_back else 3]
    if is_taken_back:
        day(shop, 4)
        assert stands(shop)[0] == 1
        operate(shop, "republish")
        assert seen(shop) == built(shop)
    day(shop, 5)
    before = seen(shop)
    day(shop, 6)
    operate(shop, "unpublish")
    assert seen(shop) == before


def test_the_change_log_of_a_table_in_a_schema_undo_is_no_undo_log(shop: Shop) -> None:
    shop.execute("""
        create table main_converge.undo__orders__x ();
        insert into main_converge.inputs (relation, input, input_oid, bound)
        values ('main_shop.regions'::regclass, '(self)', 'main_converge.undo__orders__x'::regclass, 1)
    """)
    day(shop, 2)
    operate(shop, "forget_undo")
    assert shop.query("select relname from pg_class where relname like 'undo%' and relkind = 'r'") == [
        ("undo__orders__x",)
    ]


def test_a_state_that_knew_nothing_of_undo_is_brought_up(shop: Shop) -> None:
    shop.execute("""
        drop table main_converge.publications;
        alter table main_converge.published drop column publication, drop column taken_back_at
    """)
    shop.dbt("build")
    assert stands(shop) == (1, 1, None)
    before = seen(shop)
    day(shop, 2)
    operate(shop, "unpublish")
    assert seen(shop) == before


def test_a_word_that_is_wrong_is_refused(shop: Shop) -> None:
    with pytest.raises(Refused, match=r"No group is called sales\. There are: all"):
        operate(shop, "unpublish", group="sales")
    with pytest.raises(Refused, match="Publication 7 of all is not kept"):
        operate(shop, "unpublish", to=7)
    assert stands(shop) == (1, 1, None)


def test_keys_that_are_written_otherwise_and_columns_of_any_name_come_back(shop: Shop) -> None:
    shop.write("models/numbered.sql", """
        {{ config(unique_key='"the key"', meta={'publish': {'schema': 'sales'}}) }}
        {% call converge.touched('order_id') %}select order_id from {{ converge.changes(ref('orders')) }}{% endcall %}
        select cast(amount as text)::numeric as "the key", order_id, null::json as "it's", region as "Region"
        from {{ converge.touched_rows(ref('orders'), 'order_id') }} as o where order_id = 'c'
    """)  # fmt: skip
    shop.dbt("build")
    table = 'select "the key"::text, order_id, "it\'s"::text, "Region" from main_sales.numbered'
    before = shop.query(table)
    last = stands(shop)[0]
    shop.land(items=[item("c", amount=7, updated_at="2026-03-01")])
    shop.dbt("build")
    after = shop.query(table)
    assert before != after
    operate(shop, "unpublish", to=last)
    assert shop.query(table) == before
    operate(shop, "republish")
    assert shop.query(table) == after


def test_what_stands_is_what_was_built_for_it_whatever_happened(shop: Shop) -> None:
    """Random histories of builds, publishers, undone and killed: a publication always shows the same rows."""
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    dice = random.Random(seed)
    publications = {1: seen(shop)}

    def publisher(job: object) -> None:
        killed(job, lambda: True, dice.uniform(0.2, 1.2)) if dice.random() < 0.4 else job()

    def taken_back() -> None:
        publisher(lambda: operate(shop, "unpublish", to=dice.choice(kept(shop))))

    def built_only() -> None:
        land(shop, dice, dice.random() < 0.2)
        shop.results("build", *IN_A_TASK_OF_ITS_OWN, *["--full-refresh"] * (dice.random() < 0.15))

    kinds = [
        built_only,
        built_only,
        lambda: publisher(lambda: publish(shop)),
        taken_back,
        lambda: publisher(lambda: operate(shop, "republish")),
    ]
    for _ in range(int(os.environ.get("UNDO_STEPS", "30"))):
        dice.choice(kinds)()
        publication = stands(shop)[0]
        assert seen(shop) == publications.setdefault(publication, built(shop)), f"SEED={seed}"
        is_free = shop.value("select taken_back_at is null from main_converge.published")
        assert is_free <= (publication == kept(shop)[-1]), f"SEED={seed}"
    land(shop, dice, large=False)
    shop.dbt("build")
    operate(shop, "republish")
    assert seen(shop) == built(shop), f"SEED={seed}"
    print(f"SEED={seed}: {len(publications)} publications")
