"""Readers work all the time, beside histories of builds that go well, fail and are killed: none sees builds mixed.

READERS is how many transactions of readers a history lasts at least; SEED repeats one (it is printed).
"""

import json
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from corner_shop import Refused, Shop, item, order
from readers import reading
from test_publishing import META, NO_MONTH_IS_LARGE, PUBLISHED, TOO_MUCH, configure, keep_undo, operate, publish

pytest_plugins = ["corner_shop_fixtures"]

MODELS = [*PUBLISHED, "every_order"]
SEEN = {
    "bound": "select max(bound) from main_converge.published",
    "orders": "select count(*) from {}.orders",
    "amount": "select coalesce(sum(amount), 0) from {}.orders",
    "daily_orders": "select coalesce(sum(orders), 0) from {}.daily_sales",
    "daily_amount": "select coalesce(sum(amount), 0) from {}.daily_sales",
    "monthly_amount": "select coalesce(sum(amount), 0) from {}.monthly_sales",
    "amount_of_view": "select coalesce(sum(amount), 0) from {}.every_order",
}
IN_A_TASK_OF_ITS_OWN = ("--vars", "{converge_publish_at_run_end: false}")
# What the marts must be, from what had landed up to a position: orders, their amount, and whether a build's tests pass.
LANDED = """
    with landed_orders as (
        select distinct on (order_id) orders.*
        from landing.orders inner join landing.loads on load_id = _load_id
        where position <= %(bound)s
        order by order_id, coalesce(updated_at, '1900-01-01') desc, _load_id desc, _row desc
    ),
    landed_items as (
        select distinct on (order_id, line_number) items.*
        from landing.items inner join landing.loads on load_id = _load_id
        where position <= %(bound)s
        order by order_id, line_number, updated_at desc, _load_id desc, _row desc
    ),
    months as (
        select date_trunc('month', placed_at) as month, country, count(distinct order_id) as orders, coalesce(sum(amount), 0) as amount
        from landed_orders left join landed_items using (order_id)
        where landed_orders._op != 'd'
        group by 1, 2
    )
    select coalesce(sum(orders), 0)::int, coalesce(sum(amount), 0)::int, coalesce(max(amount) <= 1000, true) from months
"""  # noqa: E501


@pytest.fixture
def shop(shop: Shop) -> Iterator[Shop]:
    """The shop with its marts and a view of them published, and a test that a large month fails."""
    configure(shop, **dict.fromkeys(MODELS, META))
    keep_undo(shop, days=7)
    view = "{{ config(materialized='view') }} select * from {{ ref('orders') }}"
    shop.write("models/every_order.sql", view)
    shop.write("tests/no_month_is_large.sql", NO_MONTH_IS_LARGE)
    shop.dbt("build")
    yield shop


def land(shop: Shop, dice: random.Random, large: bool) -> None:
    """New orders and lines, corrections, moves to another day, deletes, late and early; a large line if asked for."""
    ids = [f"o{dice.randrange(12)}" for _ in range(4)]

    def day() -> str:
        return f"2026-{dice.randint(1, 3):02}-{dice.randint(10, 13)} 12:00+00"

    def op() -> str:
        return "d" if dice.random() < 0.1 else "u"

    # The last word on this line, until the next load.
    last = shop.value("select timestamptz '2027-01-01' + count(*) * interval '1 second' from landing.loads")
    shop.land(
        orders=[order(name, day(), placed_at=day(), country=dice.choice(["DE", "US"]), _op=op()) for name in ids[:3]],
        items=[
            *(item(name, dice.randint(1, 2), dice.randint(1, 20), day()) for name in ids[1:]),
            item("a", 9, TOO_MUCH if large else 1, last),
        ],
    )


def killed(job: Callable[[], object], may_be: Callable[[], bool], after: float) -> None:
    """A process that works on the job, and is killed some seconds after the first moment at which it may be."""
    worker = multiprocessing.get_context("fork").Process(target=job)
    worker.start()
    while worker.is_alive() and not may_be():
        time.sleep(0.005)
    worker.join(after)
    worker.kill()
    worker.join()


def steps(shop: Shop, dice: random.Random) -> Iterator[Callable[[], object]]:
    """What may happen to a build, each in turn, in another order every time."""
    publishing = """
        select exists (
            select 1 from pg_locks
            where relation = 'main_converge.published'::regclass and mode = 'ShareRowExclusiveLock' and granted
        )
    """
    some = ["stg_orders", "stg_items", "orders", "daily_sales", "monthly_sales", "orders+", "stg_items+"]

    def well(*arguments: str) -> None:
        if all(is_well for is_well, _ in shop.results("build", *arguments).values()):
            assert_published(shop)

    def publisher_killed() -> None:
        shop.results("build", *IN_A_TASK_OF_ITS_OWN)
        killed(lambda: publish(shop), lambda: shop.value(publishing), dice.uniform(0, 0.08))

    def publisher_tried_again() -> None:
        shop.results("build", *IN_A_TASK_OF_ITS_OWN)
        publish(shop)

    def taken_back() -> None:
        kept = shop.query("select publication from main_converge.publications")
        operate(shop, "unpublish", to=dice.choice(kept)[0])
        shop.results("build")
        if dice.random() < 0.5:
            work = lambda: operate(shop, "republish")  # noqa: E731
            killed(work, lambda: shop.value(publishing), dice.uniform(0, 0.08))
        operate(shop, "republish")

    def two_builds() -> None:
        other = multiprocessing.get_context("fork").Process(target=lambda: shop.results("build"))
        other.start()
        shop.results("build", "--select", *dice.choice([["+monthly_sales"], ["stg_items+"], ["*"]]))
        other.join()
        assert other.exitcode == 0

    kinds = {
        "build": well,
        "build again": well,
        "selection": lambda: shop.results("build", "--select", *dice.sample(some, 2)),
        "full refresh": lambda: well("--full-refresh"),
        "run without tests": lambda: shop.results("run"),
        "killed build": lambda: killed(lambda: shop.results("build"), lambda: True, dice.uniform(0.1, 2.5)),
        "killed publisher": publisher_killed,
        "publisher tried again": publisher_tried_again,
        "taken back": taken_back,
        "two builds at once": two_builds,
    }
    while True:
        names = [*kinds]
        dice.shuffle(names)
        yield from (kinds[name] for name in names)


def assert_published(shop: Shop) -> None:
    """What readers see after a good build is what is built, row for row; where they were taken back to, till then."""
    if shop.value("select taken_back_at is not null from main_converge.published"):
        operate(shop, "republish")
    for model in MODELS:
        built, shown = (f"table {schema}.{model}" for schema in ("main_shop", "main_sales"))
        assert shop.query(f"({built} except all {shown}) union all ({shown} except all {built})") == [], model


def seen_in(line: dict) -> dict[str, int]:
    """What a transaction saw, by name."""
    return {name: int(Decimal(value)) for name, value in zip(SEEN, line["seen"], strict=True)}


def mixed(line: dict) -> bool:
    """Marts of different builds: they do not agree. Or there is no mart for a moment."""
    if "error" in line:
        return True
    seen = seen_in(line)
    amounts = {seen[name] for name in ("amount", "daily_amount", "monthly_amount", "amount_of_view")}
    return len(amounts) > 1 or seen["orders"] != seen["daily_orders"]


def test_no_reader_sees_builds_mixed_or_what_was_not_tested(shop: Shop, tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED", random.randrange(10**6)))
    wanted = int(os.environ.get("READERS", "300"))
    dice = random.Random(seed)
    shown, built = tmp_path / "shown.jsonl", tmp_path / "built.jsonl"
    is_large, count = False, 0
    conninfo = shop.server.conninfo("corner_shop")
    of_shown, of_built = ([query.format(schema) for query in SEEN.values()] for schema in ("main_sales", "main_shop"))
    with reading(conninfo, of_shown, shown), reading(conninfo, of_built, built):
        for step in steps(shop, dice):
            is_large = dice.random() < (0.3 if is_large else 0.25)
            land(shop, dice, is_large)
            try:
                step()
            except Refused as refused:
                pytest.fail(f"SEED={seed}: {refused}")
            count += 1
            if count >= 10 and len(shown.read_text().splitlines()) >= wanted:
                break
        land(shop, dice, large=False)
        shop.dbt("build")
        assert_published(shop)
    assert shop.differences() == {}

    said = {side: [json.loads(line) for line in side.read_text().splitlines()] for side in (shown, built)}
    assert [line for line in said[shown] if mixed(line)] == [], f"SEED={seed}"
    expected = {}
    for line in said[shown]:
        seen = seen_in(line)
        if seen["bound"] not in expected:
            with shop.connect() as connection:
                expected[seen["bound"]] = connection.execute(LANDED, {"bound": seen["bound"]}).fetchone()
        orders, amount, is_good = expected[seen["bound"]]
        assert (seen["orders"], seen["amount"]) == (orders, amount), f"SEED={seed}: {line}"
        assert is_good, f"SEED={seed}: {line}"
    # The same readers of the tables that are being built: what this test would notice.
    mixed_built = [line for line in said[built] if mixed(line)]
    print(
        f"SEED={seed}: {count} steps, {len(expected)} bounds; {len(said[shown])} transactions saw no mixed builds; "
        f"of {len(said[built])} on the built side {len(mixed_built)} did"
    )
    assert len(expected) > 1 and mixed_built
