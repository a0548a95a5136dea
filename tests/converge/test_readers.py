"""Readers work beside histories of the demo shop: in each of their transactions all marts are of one good build.

Builds go well, fail a test, are stopped by the gate, select a part, and are killed, and so is the publisher. READERS is
how many transactions a history lasts at least; HISTORY_SEED=n plays another.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from houses import House, build_demo, land

import demo
from packages.converge.tests.readers import reading
from storehouse.core import transform
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT
from storehouse.core.transform import DAILY
from storehouse.operate import audit, published

READERS = int(os.environ.get("READERS", "300"))
GROUPS = ["feedback", "shop"]
SEEN = {
    "shop_position": "select position from operations.published_marts where group_name = 'shop'",
    "feedback_position": "select position from operations.published_marts where group_name = 'feedback'",
    "orders": "select count(*) from {core}.fct_orders",
    "sales": "select sum(total_usd) from {core}.fct_orders where is_counted",
    "days_orders": "select sum(all_orders) from {sales}.agg_daily_sales",
    "days_sales": "select sum(sales_usd) from {sales}.agg_daily_sales",
    # A customer with credit notes only never bought.
    "buyers_sales": """
        select sum(spend) from (
            select sum(total_usd) as spend from {core}.fct_orders where customer_id is not null and is_counted
            group by customer_id having sum(case when is_credit_note then 0 else 1 end) > 0
        ) as buyers
    """,
    "customers_sales": "select sum(spend_usd) from {customers}.customer_lifetime_value",
    "cohorts_sales": "select sum(spend_usd) from {customers}.cohort_retention",
    "reviews": "select count(*) from {core}.fct_reviews",
    "days_reviews": "select sum(reviews) from {feedback}.agg_daily_reviews",
    "reviews_of_products": "select count(*) from {core}.fct_reviews where product_id is not null",
    "products_reviews": "select sum(reviews) from {feedback}.product_ratings",
}
# What must be the same in every transaction.
AGREE = [
    ("orders", "days_orders"),
    ("sales", "days_sales"),
    ("buyers_sales", "customers_sales"),
    ("customers_sales", "cohorts_sales"),
    ("reviews", "days_reviews"),
    ("reviews_of_products", "products_reviews"),
]
MARTS = ("core", "sales", "customers", "feedback")
WRONG_DAYS = """
create function public.miscount() returns trigger language plpgsql as $$ begin new.orders := new.orders + 1; return new; end $$;
create trigger miscount before insert on build.agg_daily_sales for each row execute function public.miscount();
"""  # noqa: E501
PUBLISHING = """
select exists (
    select 1 from pg_locks
    where relation = 'converge.published'::regclass and mode = 'ShareRowExclusiveLock' and granted
)
"""


@pytest.fixture(scope="module")
def house(server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Eight days of the demo shop, landed and built."""
    yield from build_demo(server, tmp_path_factory.mktemp("home"), days=8, size=0.05)


class History:
    """What happens to the builds of one house, and which positions no build that was good stands at."""

    def __init__(self, house: House, dice: random.Random) -> None:
        self.house, self.dice = house, dice
        self.bad: set[int] = set()

    def position(self) -> int:
        return self.house.query("select max(position) from raw.loads")[0][0]

    def execute(self, script: str) -> None:
        with psycopg.connect(self.house.warehouse, autocommit=True) as warehouse:
            warehouse.execute(script)

    def steps(self) -> Iterator[Callable[[], object]]:
        """Each in turn, in another order every time."""
        kinds = [
            self.well,
            self.test_fails,
            self.gate_closes,
            self.a_selection,
            self.without_tests,
            self.full_refresh,
            self.build_killed,
            self.publisher_killed,
            self.in_a_task_of_its_own,
        ]
        while True:
            yield from self.dice.sample(kinds, len(kinds))

    def well(self) -> None:
        assert transform.build(DAILY) == []
        assert published.held_back() == []

    def test_fails(self) -> None:
        self.execute(WRONG_DAYS)
        failures = transform.build(DAILY)
        self.execute("drop function public.miscount() cascade")
        assert "every_order_is_in_daily_sales" in str(failures)
        self.bad.add(self.position())
        # The days that were miscounted are right again when the table is built anew: in a later step, or at the end.
        assert transform.build(["run", "--full-refresh", "--select", "agg_daily_sales"]) == []

    def gate_closes(self) -> None:
        demo.advance(days=1, bad_orders=0.3)
        land()
        assert "the limit is" in str(transform.build(DAILY))
        self.bad.add(self.position())
        # The shop corrects its orders a day later.
        demo.advance(days=1)
        land()
        self.well()

    def a_selection(self) -> None:
        some = self.dice.choice(["stg_shop__orders+1", "fct_orders", "+agg_daily_sales", "stg_reviews__reviews+"])
        transform.build([*DAILY, "--select", some])

    def without_tests(self) -> None:
        transform.build(["run"])

    def full_refresh(self) -> None:
        transform.build([*DAILY, "--full-refresh", "--select", self.dice.choice(["fct_orders+", "fct_reviews+"])])

    def build_killed(self) -> None:
        self.killed(["dbt", *DAILY], lambda: True, self.dice.uniform(4, 18))

    def publisher_killed(self) -> None:
        self.build_only()
        operation = ["dbt", "run-operation", "converge.publish"]
        self.killed(operation, lambda: self.house.query(PUBLISHING)[0][0], self.dice.uniform(0, 0.3))

    def in_a_task_of_its_own(self) -> None:
        self.build_only()
        published.publish(GROUPS)

    def build_only(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CONVERGE_PUBLISH", "later")
            assert transform.build(DAILY) == []

    def killed(self, command: list[str], may_be: Callable[[], bool], after: float) -> None:
        """A command that is killed some seconds after the first moment at which it may be."""
        process = subprocess.Popen(
            [sys.executable, "-m", "storehouse", *command],
            cwd=PROJECT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        while process.poll() is None and not may_be():
            time.sleep(0.01)
        with suppress(subprocess.TimeoutExpired):
            process.wait(after)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def queries(schemas: dict[str, str]) -> list[str]:
    """What readers ask, where the marts stand in these schemas."""
    return [f"select coalesce(({query.format(**schemas)}), 0)" for query in SEEN.values()]


def mixed(line: dict) -> bool:
    """Marts of different builds, or of one that a test refused: they do not agree. Or there is no mart for a moment."""
    if "error" in line:
        return True
    seen = dict(zip(SEEN, line["seen"], strict=True))
    return any(seen[one] != seen[other] for one, other in AGREE)


def test_no_reader_sees_builds_mixed_or_what_was_not_good(house: House, tmp_path: Path) -> None:
    seed = int(os.environ.get("HISTORY_SEED", "2222"))
    history = History(house, random.Random(seed))
    shown, built = tmp_path / "shown.jsonl", tmp_path / "built.jsonl"
    count = 0
    of_shown, of_built = queries({mart: mart for mart in MARTS}), queries(dict.fromkeys(MARTS, "build"))
    with reading(house.warehouse, of_shown, shown, each=1), reading(house.warehouse, of_built, built, each=1):
        for step in history.steps():
            demo.advance(days=1)
            land()
            try:
                step()
            except (AssertionError, StorehouseError) as error:
                pytest.fail(f"HISTORY_SEED={seed}, {step.__name__}: {error}")
            count += 1
            if count >= 9 and len(shown.read_text().splitlines()) >= READERS:
                break
        demo.advance(days=1)
        land()
        history.well()
    assert [verdict.line for verdict in audit.audit() if verdict.differences or verdict.note] == [], seed

    said = {side: [json.loads(line) for line in side.read_text().splitlines()] for side in (shown, built)}
    assert [line for line in said[shown] if mixed(line)] == [], f"HISTORY_SEED={seed}"
    shop, feedback = ({int(line["seen"][group]) for line in said[shown]} for group in (0, 1))
    assert shop & history.bad == set(), f"HISTORY_SEED={seed}"
    assert feedback & history.bad, "ratings do not wait for orders"
    # The same readers of the tables as they are built: what this test would notice.
    mixed_built = [line for line in said[built] if mixed(line)]
    print(
        f"HISTORY_SEED={seed}: {count} steps, {len(shop)} positions of the shop; {len(said[shown])} transactions of "
        f"readers saw no mixed builds; of {len(said[built])} where marts are built {len(mixed_built)} did"
    )
    assert len(shop) > 3 and mixed_built
