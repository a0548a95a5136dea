"""Waiting for a source: what is missing is said, no worker is held, and who stays away fails with a clear message."""

import asyncio
import http.server
import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import psycopg
import pytest
from houses import House

import demo
from extract_load import SOURCES

END_OF_DAY = datetime(2026, 1, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECRET = "hunter2"


@pytest.fixture(scope="module")
def readiness(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The module; Airflow, which it imports, gets a home of the test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        return importlib.import_module("storehouse.orchestrate.readiness")


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
        ("marketplace", "MARKETPLACE_URL", f"http://shop:{SECRET}@127.0.0.1:1", "refused"),
        ("reviews", "REVIEWS_URL", "http://127.0.0.1:1", "refused"),
        ("stores", "STORES_URL", "/no/such/folder", "/no/such/folder/sales is not there"),
    ],
)
def test_a_source_that_is_away_says_what_is_missing(
    new_house: House,
    readiness: ModuleType,
    configure: Callable[..., None],
    source: str,
    variable: str,
    place: str,
    words: str,
) -> None:
    configure(**{variable: place})
    assert words in readiness.why_not_ready(source, None)


@pytest.mark.parametrize(
    ("source", "variable", "place", "words"),
    [
        ("shop", "SHOP_DATABASE_URL", f"postgresql:/shop:{SECRET}@db/shop", "SHOP_DATABASE_URL is not a PostgreSQL"),
        ("shop", "SHOP_DATABASE_URL", f"{{shop}} user=nobody password={SECRET}", "the password: SHOP_DATABASE_URL"),
        ("shop", "SHOP_DATABASE_URL", "{shop}", "docs/sources.md"),  # it has no orders
        ("marketplace", "MARKETPLACE_URL", "", "API is not running"),
        ("marketplace", "MARKETPLACE_URL", f"http://shop:{SECRET}/x@api", "MARKETPLACE_URL: it is not a URL"),
        ("reviews", "REVIEWS_URL", f"ftp://shop:{SECRET}@api", "REVIEWS_URL is not a URL"),
        ("stores", "STORES_URL", f"s4://shop:{SECRET}@bucket", "STORES_URL: "),
    ],
)
def test_what_waiting_does_not_help_fails_at_once_and_tells_no_secret(
    new_house: House,
    readiness: ModuleType,
    configure: Callable[..., None],
    source: str,
    variable: str,
    place: str,
    words: str,
) -> None:
    configure(**{variable: place.replace("{shop}", new_house.shop)})
    says(fails_at_once(readiness, source), words)


def test_an_api_is_waited_for_when_it_may_come_back_and_fails_at_once_when_it_refuses(
    new_house: House, readiness: ModuleType, configure: Callable[..., None]
) -> None:
    with answering(503, 401, 404) as place:
        configure(REVIEWS_URL=f"http://shop:{SECRET}@{place}")
        assert readiness.why_not_ready("reviews", None) == f"http://{place}/health answers 503"
        says(fails_at_once(readiness, "reviews"), f"http://{place}/health answers 401. Check REVIEWS_URL")
        assert asyncio.run(one_event(readiness, "reviews")) == {
            "broken": f"http://{place}/health answers 404. Check REVIEWS_URL, with user and password if it needs them "
            "(docs/sources/api.md)."
        }


@pytest.mark.parametrize(
    ("body", "is_ready"),
    [
        (b'{"status": "ok"}', True),
        (b'{"status": "UP", "parts": {}}', True),
        (b'{"status": "pass"}', True),
        (b'{"status": "down"}', False),
        (b'{"status": "degraded"}', False),
        (b'{"status": ""}', False),
        (b'{"status": ["ok"]}', False),
        (b'{"health": "ok"}', False),
        (b'["ok"]', False),
        (b'"status"', False),
        (b"<html>Sign in</html>", False),
        (b"ok", False),
        (b"", False),
        (b"[" * 100_000, False),
    ],
)
def test_an_api_is_ready_when_it_answers_that_it_is_well(
    new_house: House, readiness: ModuleType, configure: Callable[..., None], body: bytes, is_ready: bool
) -> None:
    with answering(200, body=body) as place:
        configure(REVIEWS_URL=f"http://shop:{SECRET}@{place}")
        missing = readiness.why_not_ready("reviews", None)
    words = f'http://{place}/health answers 200, but not the {{"status": "ok"}} of one that is well'
    assert missing == (None if is_ready else words)


def test_a_proxy_that_cannot_be_used_fails_at_once_and_tells_no_secret(
    new_house: House, readiness: ModuleType, configure: Callable[..., None]
) -> None:
    configure(REVIEWS_URL="http://10.1.2.3", ALL_PROXY=f"socks://shop:{SECRET}@proxy:1")
    says(fails_at_once(readiness, "reviews"), "The proxy for REVIEWS_URL can't be used")


def fails_at_once(readiness: ModuleType, source: str) -> str:
    """The message that the task fails with for good."""
    from airflow.sdk.exceptions import AirflowFailException

    wait = readiness.WaitForSource(task_id="wait", source=source, timeout=HOUR)
    with pytest.raises(AirflowFailException) as failed:
        wait.execute({"data_interval_start": END_OF_DAY - HOUR, "data_interval_end": END_OF_DAY})
    with pytest.raises(AirflowFailException, match=r"^the same$"):
        wait.resume({}, {"broken": "the same"})
    return str(failed.value)


def says(message: str, words: str) -> None:
    assert words in message and SECRET not in message, message


async def one_event(readiness: ModuleType, source: str) -> object:
    """What the trigger says that asks once."""
    trigger = readiness.SourceReady(source, END_OF_DAY, END_OF_DAY - HOUR, deadline=datetime.now(UTC), every=0.05)
    return (await anext(trigger.run())).payload


@contextmanager
def answering(*statuses: int, body: bytes = b"") -> Iterator[str]:
    """An API that gives these answers, one after another; its host and port."""
    left = iter(statuses)

    class Api(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(next(left))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_quiet_interval_is_ready_when_the_shop_has_changed_after_it_and_an_index_tells(
    new_house: House, readiness: ModuleType
) -> None:
    # A long history, which is in order in the table: looked for there, the end of it would be found last.
    new_house.execute_in_shop(
        "create table orders as select number as order_id,"
        f" '{END_OF_DAY - 2 * HOUR}'::timestamptz - (50000 - number) * interval '1 minute' as updated_at"
        " from generate_series(1, 50000) as number;"
        "create index on orders (updated_at); analyze orders"
    )

    def scans() -> tuple[int]:
        with psycopg.connect(new_house.shop) as shop:
            return shop.execute("select seq_scan from pg_stat_user_tables where relname = 'orders'").fetchone()

    before = scans()

    def missing(of: datetime) -> str | None:
        return readiness.why_not_ready("shop", of + HOUR, of)

    assert missing(END_OF_DAY - HOUR) == (
        "no table of shop has a row that changed from 2026-01-02 23:00 to 2026-01-03 00:00, or later"
    )
    new_house.execute_in_shop("insert into orders values (0, now() + interval '1 year')")
    assert missing(END_OF_DAY - HOUR), "an order of next year says nothing of today"
    assert missing(END_OF_DAY - 3 * HOUR) is None
    new_house.execute_in_shop(f"insert into orders values (0, '{END_OF_DAY + HOUR}')")
    assert missing(END_OF_DAY - HOUR) is None, "it was quiet, and the shop goes on"
    assert missing(END_OF_DAY - timedelta(days=20)) is None
    assert scans() == before


def test_a_source_that_hangs_holds_nobody_up(
    new_house: House, readiness: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_house.execute_in_shop("create table orders (updated_at timestamptz)")
    with psycopg.connect(new_house.shop) as other:
        other.execute("lock table orders")
        monkeypatch.setattr("extract_load.connectors.postgres.READ_WITHIN", 1)
        says(readiness.why_not_ready("shop", END_OF_DAY, END_OF_DAY - HOUR), "statement timeout")
        monkeypatch.setattr(readiness, "LOOK_WITHIN", 0.2)
        assert asyncio.run(one_event(readiness, "shop")) == {"missing": "shop gave no answer within 0.2 s"}


def test_a_late_source_is_waited_for_outside_the_worker(new_house: House, readiness: ModuleType) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    wait = readiness.WaitForSource(task_id="wait", source="stores", timeout=timedelta(minutes=1))
    with pytest.raises(TaskDeferred) as deferred:
        wait.execute({"data_interval_end": END_OF_DAY})
    assert deferred.value.timeout > wait.timeout
    place, arguments = deferred.value.trigger.serialize()
    assert place == "storehouse.orchestrate.readiness.SourceReady"

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
