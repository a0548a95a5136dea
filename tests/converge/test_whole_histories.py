"""After any history, every incremental table equals its full refresh, and the marts equal an oracle outside dbt.

HISTORIES=n plays more of them (`make fuzz HISTORIES=100`); HISTORY_SEED=s plays one again.
"""

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import psycopg
import pytest
from histories import Landed, World
from houses import build_house
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st
from oracle import Oracle, differences
from parsed import lend

import extract_load
from extract_load.tables import TABLES
from storehouse.core import transform
from storehouse.core.errors import StorehouseError
from storehouse.operate import audit

HISTORIES = int(os.environ.get("HISTORIES", "1"))
ORDERS, BATCHES = 600, 8

STAGING = ["stg_shop__orders", "stg_shop__payments", "stg_marketplace__orders", "stg_shop__customer_versions"]
MARTS = ["fct_orders", "fct_order_items", "agg_daily_sales", "cohort_retention", "int_orders__unioned"]
MARTS += ["int_reviews__scored", "fct_reviews", "int_product_days__rated"]

# What happens between two batches of loads: everything once, in any order, so that no history is a dull one.
MODELS = st.sampled_from(STAGING + MARTS)
STEPS = st.tuples(
    st.just(("run",)),
    st.just(("nothing",)),
    st.tuples(st.just("run some"), st.lists(MODELS, min_size=1, max_size=4, unique=True)),
    st.tuples(st.just("full refresh"), MODELS),
    st.just(("land while running",)),
    st.just(("commit late",)),
    st.tuples(st.just("edit seed"), st.integers(1, 40)),
    st.just(("stop over the limit",)),
    st.tuples(st.just("fail and retry"), st.floats(0.2, 2.0)),
).flatmap(st.permutations)


class History:
    """One history being played on a house of its own."""

    def __init__(self, house: object, world: World) -> None:
        self.house = house
        self.world = world
        self.landed = Landed()
        self.left = list(range(world.batches))

    def land_next(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Land a batch; `meanwhile` happens while its first load is not committed."""
        if self.left:
            number = self.left.pop(0)
            for table, records in self.world.batch(number).items():
                self.landed.land(table, records, self.world.interval(number), meanwhile)
                meanwhile = lambda: None  # noqa: E731

    def build(self, *command: str, percent: int = 100) -> list[str]:
        """Run dbt with this share of a load that may be refused: these histories bring more wrong than any shop.

        In a folder of its own, where what dbt parsed with these vars stays.
        """
        given = {"quality_limits": {table.label: percent for table in TABLES}}
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DBT_TARGET_PATH", str(self.house.home / f"target_{percent}"))
            lend(dict(os.environ), given=given)
            return transform.build([*command, "--vars", json.dumps(given)])

    def play(self, step: tuple) -> None:
        match step:
            case ("run",):
                assert self.build("run") == []
            case ("run some", models):
                # A model whose parents were never built says so; that is no failure of this history.
                self.build("run", "--select", *models)
            case ("full refresh", model):
                self.build("run", "--full-refresh", "--select", model)
            case ("land while running",):
                lander = threading.Thread(target=self.land_next)
                lander.start()
                assert self.build("run") == []
                lander.join()
            case ("commit late",):
                self.land_next(meanwhile=self.land_and_build)
            case ("edit seed", percent):
                self.execute(
                    f"update seeds.exchange_rates set usd_per_unit = 1 + {percent} / 100.0 where currency = 'EUR'"
                )
            case ("stop over the limit",):
                self.build("run", percent=5)
            case ("fail and retry", seconds):
                killer = threading.Thread(target=self.terminate_dbt, args=[seconds])
                killer.start()
                failed = []
                with suppress(StorehouseError):  # It struck before dbt had begun.
                    failed = self.build("run")
                killer.join()
                if failed:
                    self.build("retry")

    def land_and_build(self) -> None:
        self.land_next()
        assert self.build("run") == []

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.house.warehouse, autocommit=True) as warehouse:
            warehouse.execute(statement)

    def terminate_dbt(self, seconds: float) -> None:
        """End every connection of dbt's, wherever it stands."""
        time.sleep(seconds)
        self.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and application_name = 'dbt'"
        )


def check(house: object, landed: Landed) -> None:
    """Everything equals its full refresh, and the oracle; accepted + refused = landed."""
    assert [verdict.line for verdict in audit.audit() if verdict.differences or verdict.note] == []
    oracle = Oracle(landed, house.query("select currency, valid_from, usd_per_unit from seeds.exchange_rates"))
    assert differences(house.query, oracle) == []
    loads = house.query("select load_id, accepted_rows, refused_rows from operations.pipeline_loads")
    judged, expected = {load_id: (accepted, refused) for load_id, accepted, refused in loads}, oracle.loads()
    assert {load_id: judged[load_id] for load_id in expected} == expected
    landed_rows = Counter(load_id for rows in landed.rows.values() for load_id, _, _ in rows)
    assert {load_id: sum(counts) for load_id, counts in judged.items()} == landed_rows


@pytest.fixture(scope="module")
def played() -> list[int]:
    """Key histories played, counted for the last line."""
    counts: list[int] = []
    yield counts
    print(f"\n{sum(counts):,} key histories in {len(counts)} histories")


def test_every_history_converges(server, tmp_path_factory, played) -> None:
    @settings(
        max_examples=HISTORIES,
        deadline=None,
        database=None,
        print_blob=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**32), STEPS)
    def plays(world_seed: int, steps: list[tuple]) -> None:
        world = World(world_seed, ORDERS, BATCHES)
        note(f"World({world_seed}, {ORDERS}, {BATCHES}), steps {steps}")
        for house in build_house(server, tmp_path_factory.mktemp("history")):
            extract_load.prepare()
            history = History(house, world)
            history.land_next()
            assert transform.build(["seed"]) == []
            for step in steps:
                history.play(step)
                history.land_next()
            while history.left:
                history.land_next()
            assert history.build("run") == []
            check(house, history.landed)
        played.append(world.keys)

    plays = seed(int(os.environ.get("HISTORY_SEED", random.randrange(2**32))))(plays)
    plays()
