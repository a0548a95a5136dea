"""Airflow's own backfill, backwards with holes, then forwards over all: the marts hold what has landed.

BACKFILL_DAYS=30 takes a month. It takes long, so only `make test-backfill` runs it; CI does, with two days.
"""

import os
import re
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from airflow_scene import (
    NO_RUN_IS_DUE,
    Airflow,
    environment,
    own_sources,
    run,
    running_airflow,
    set_policy,
    start_the_demo,
)

from demo.shop import START

pytestmark = pytest.mark.skipif("BACKFILL_DAYS" not in os.environ, reason="`make test-backfill` runs the backfill")
DAYS = int(os.environ.get("BACKFILL_DAYS", "0"))
HOLE_EVERY = 7
SIZE = float(os.environ.get("BACKFILL_SIZE", "0.05"))
FIRST, LAST = START, START + timedelta(days=DAYS - 1)


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The demo shop as anybody's sources: then the DAGs have their schedules. No run is due but the backfill's."""
    home = tmp_path_factory.mktemp("home")
    set_policy(home, NO_RUN_IS_DUE)
    start_the_demo(home, until=str(LAST + timedelta(days=1)), size=SIZE)
    return environment(home, **own_sources(home), AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION="True")


@pytest.fixture(scope="module")
def airflow(env: dict[str, str]) -> Iterator[Airflow]:
    with running_airflow(Path(env["STOREHOUSE_HOME"]), env) as airflow:
        yield airflow


# A run's id has its interval's end.
LOADS_BEYOND_THEIR_INTERVAL = """
select run_id, source, table_name, interval_until from raw.loads
where
    interval_until is not null
    and (interval_until <= substring(run_id from 'backfill__(.+)')::timestamptz) is not true
"""


def backfill(airflow: Airflow, first: date, last: date, **how: object) -> None:
    """As docs/runbook.md says it; returns when its last run has ended."""
    interval = {"from_date": f"{first}T00:00:00Z", "to_date": f"{last}T00:00:00Z"}
    how |= {"max_active_runs": 1}
    airflow.call("POST", "backfills", dag_id="shop_elt", **interval, **how)
    while any(not one["completed_at"] for one in airflow.pages("backfills?dag_id=shop_elt", "backfills")):
        time.sleep(1)


WHAT_DIFFERS = """
from storehouse.operate.audit import audit
compared = [verdict for verdict in audit() if not verdict.note]
for verdict in compared:
    if verdict.differences:
        print(verdict.line)
print(len(compared), "compared")
"""


def test_a_backfill_backwards_with_holes_and_one_forwards_over_all_leave_in_the_marts_what_has_landed(
    airflow: Airflow, env: dict[str, str]
) -> None:
    days = [FIRST + timedelta(days=number) for number in range(DAYS)]
    airflow.call("PATCH", "dags/shop_elt", is_paused=False)
    for first in range(1, DAYS, HOLE_EVERY):  # the day before each piece is a hole
        piece = days[first : first + HOLE_EVERY - 1]
        backfill(airflow, piece[0], piece[-1], run_backwards=True)
        assert days_in_the_order_of_their_runs(airflow)[-len(piece) :] == piece[::-1]
    assert lost_orders(airflow) == set()

    backfill(airflow, FIRST, LAST, reprocess_behavior="completed")
    assert days_in_the_order_of_their_runs(airflow) == days
    assert lost_orders(airflow) == set()
    assert airflow.query("storehouse", LOADS_BEYOND_THEIR_INTERVAL) == []
    found = run(env, "-c", WHAT_DIFFERS)
    assert re.fullmatch(r"[1-9]\d* compared\n", found.stdout), found.stdout + found.stderr


def days_in_the_order_of_their_runs(airflow: Airflow) -> list[date]:
    """The days that were run, and all of them well, and one at a time."""
    runs = airflow.query(
        "airflow",
        "select logical_date::date, state, start_date >= lag(end_date, 1, start_date) over (order by start_date)"
        " from dag_run where dag_id = 'shop_elt' and run_type = 'backfill' order by start_date",
    )
    assert {(state, is_after_the_other) for _, state, is_after_the_other in runs} == {("success", True)}, runs
    return [day for day, _, _ in runs]


def lost_orders(airflow: Airflow) -> set[tuple]:
    """Orders of the shop before the last interval's end whose latest state is not in raw, or not in core."""
    changed = "where updated_at < %s::date + 1"
    there = set(airflow.query("shop", f"select order_id::text, updated_at from orders {changed}", LAST))
    landed = airflow.query("storehouse", f"select order_id::text, updated_at from raw_shop.orders {changed}", LAST)
    assert there
    return there - set(landed)
