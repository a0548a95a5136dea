"""Waiting for a source: what is missing is said, no worker is held, and who stays away fails with a clear message."""

import asyncio
import importlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest
from houses import House

import demo
from extract_load import SOURCES
from storehouse.settings import settings

END_OF_DAY = datetime(2026, 1, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def readiness(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The module; Airflow, which it imports, gets a home of the test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        return importlib.import_module("storehouse.readiness")


def flag(house: House) -> Path:
    return house.home / "demo" / "stores" / "sales" / "year=2026" / "month=01" / "day=02" / "complete.flag"


def test_the_demo_shop_is_ready_up_to_the_day_it_has_played(new_house: House, readiness: ModuleType) -> None:
    demo.advance(until=(END_OF_DAY - timedelta(days=1)).date(), size=0.02)
    demo.start()
    try:
        assert {source: readiness.why_not_ready(source, END_OF_DAY) for source in SOURCES} == dict.fromkeys(SOURCES)
        assert readiness.why_not_ready("stores", END_OF_DAY + timedelta(days=1)).endswith("complete.flag is not there")
    finally:
        demo.stop()


def test_an_interval_that_ends_within_a_day_waits_for_the_day_before(new_house: House, readiness: ModuleType) -> None:
    flag(new_house).parent.mkdir(parents=True)
    flag(new_house).touch()
    assert readiness.why_not_ready("stores", END_OF_DAY + timedelta(hours=5)) is None


@pytest.mark.parametrize(
    ("source", "variable", "place", "words"),
    [
        ("shop", "SHOP_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/shop", "refused"),
        ("marketplace", "MARKETPLACE_URL", "", "API is not running"),
        ("reviews", "REVIEWS_URL", "http://127.0.0.1:1", "refused"),
        ("stores", "STORES_URL", "/no/such/folder", "/no/such/folder/sales is not there"),
    ],
)
def test_a_source_that_is_away_says_what_is_missing(
    new_house: House,
    readiness: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    variable: str,
    place: str,
    words: str,
) -> None:
    monkeypatch.setenv(variable, place)
    settings.cache_clear()
    assert words in readiness.why_not_ready(source, None)


def test_a_late_source_is_waited_for_outside_the_worker(new_house: House, readiness: ModuleType) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    wait = readiness.WaitForSource(task_id="wait", source="stores", timeout=timedelta(minutes=1))
    with pytest.raises(TaskDeferred) as deferred:
        wait.execute({"data_interval_end": END_OF_DAY})
    place, arguments = deferred.value.trigger.serialize()
    assert place == "storehouse.readiness.SourceReady"

    async def it_comes_while_we_wait() -> object:
        trigger = readiness.SourceReady(**arguments | {"every": 0.05})
        event = asyncio.ensure_future(anext(trigger.run()))
        await asyncio.sleep(0.2)
        assert not event.done()
        flag(new_house).parent.mkdir(parents=True)
        flag(new_house).touch()
        return (await event).payload

    assert wait.resume({}, asyncio.run(it_comes_while_we_wait())) is None


def test_a_source_that_stays_away_fails_for_good_and_says_what_to_do(new_house: House, readiness: ModuleType) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    async def nobody_comes() -> object:
        trigger = readiness.SourceReady("stores", END_OF_DAY, None, deadline=datetime.now(UTC), every=0.05)
        return (await anext(trigger.run())).payload

    wait = readiness.WaitForSource(task_id="wait", source="stores", timeout=timedelta(hours=6))
    with pytest.raises(AirflowFailException, match=r"not ready within 6:00:00: .*complete\.flag is not there"):
        wait.resume({}, asyncio.run(nobody_comes()))
