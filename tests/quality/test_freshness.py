"""A table is late by its own rhythm and by its loads; a holiday, a replay and a backfill fail no run."""

from datetime import timedelta

import psycopg
import pytest

import extract_load
from storehouse.core import transform
from storehouse.core.transform import DAILY
from tests.converge.histories import Landed, Record
from tests.quality.test_deletes import MARKETPLACE_ORDER, MONDAY, ORDER, sent

DAY = timedelta(days=1)
# What judges freshness, what it reads, and the tests that warn and fail.
FRESHNESS = ["build", "--indirect-selection", "empty", "--select", "+source_freshness"]
FRESHNESS += ["no_source_is_late", "every_source_is_fresh_enough"]


class Asked:
    """A shop that is asked every day, and a marketplace that always has something new."""

    def __init__(self, house) -> None:
        extract_load.prepare()
        self.house, self.landed = house, Landed()

    def days(self, first: int, until: int, has_orders: bool) -> None:
        for number in range(first, until):
            day = MONDAY + number * DAY
            order = {"order_id": f"{number}", "placed_at": day, "updated_at": day}
            orders = [Record("shop.orders", ORDER | order)] if has_orders else []
            self.land("shop.orders", orders, number)
            self.marketplace(number)

    def marketplace(self, number: int) -> None:
        day = (MONDAY + number * DAY).isoformat()
        order = MARKETPLACE_ORDER | {"order_id": f"{number}", "updated_at": day, "placed_at": day}
        self.land("marketplace.orders", [sent("marketplace.orders", order)], number)

    def land(self, table: str, records: list[Record], number: int) -> None:
        """One load, as if at the end of its day."""
        day = MONDAY + number * DAY
        self.landed.land(table, records, (day, day + DAY))
        with psycopg.connect(self.house.warehouse, autocommit=True) as warehouse:
            warehouse.execute(
                "update raw.loads set started_at = %s where load_id = (select max(load_id) from raw.loads)", [day + DAY]
            )

    def verdict(self) -> str:
        query = "select verdict from operations.source_freshness where source = 'shop' and table_name = 'orders'"
        return self.house.query(query)[0][0]


@pytest.fixture
def asked(new_house) -> Asked:
    return Asked(new_house)


def test_five_quiet_days_warn_and_eight_fail_with_table_hours_and_file(asked: Asked) -> None:
    asked.days(0, 3, has_orders=True)
    asked.days(3, 8, has_orders=False)
    assert transform.build(DAILY) == []
    assert asked.verdict() == "warn"
    asked.days(8, 12, has_orders=False)
    (failed,) = transform.build(DAILY)
    for words in (
        "shop.orders is 216 hours behind (a test warns after 26)",
        "was read for 216 hours without anything new (the run fails after 194)",
        "models/staging/shop/_shop__sources.yml",
    ):
        assert words in failed
    asked.days(12, 13, has_orders=True)
    assert transform.build(FRESHNESS) == []
    assert asked.verdict() == "ok"
    # It has rested so long before: the second time it is no news, and fails nothing.
    asked.days(13, 23, has_orders=False)
    assert transform.build(FRESHNESS) == []
    assert asked.verdict() == "ok"


def test_a_history_that_is_years_old_and_one_that_is_read_far_behind_another_load_green(asked: Asked) -> None:
    years = -15 * 365
    for number in range(years, years + 3):
        day = MONDAY + number * DAY
        order = ORDER | {"order_id": f"{number}", "placed_at": day, "updated_at": day}
        asked.landed.land("shop.orders", [Record("shop.orders", order)], (day, day + DAY))
    asked.landed.land(
        "marketplace.orders",
        [sent("marketplace.orders", MARKETPLACE_ORDER | {"order_id": "1"})],
        (MONDAY, MONDAY + DAY),
    )
    assert transform.build(DAILY) == []
    assert asked.verdict() == "ok"


def test_dbts_own_command_for_freshness_asks_the_ledger_by_the_clock(asked: Asked) -> None:
    asked.marketplace(0)
    assert transform.build(["source", "freshness"]) == []
    asked.house.query("update raw.loads set finished_at = now() - interval '3 days' returning 1")
    assert transform.build(["source", "freshness"]) == ["loads: error"]
