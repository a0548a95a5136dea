"""The fault drill: what people hear of a fault, once, what the runbook says of it, and that they hear of its end.

Here an API that is away for a day. A flood of bad rows and a halved volume: test_alerts. A broken model, a full disk
under the export and a dead scheduler, under a real Airflow: tests/dags/test_dag_runs.
"""

from collections.abc import Iterator

import psycopg
import pytest
from airflow_scene import Notices, web_hook
from houses import House, build_demo

import demo
from storehouse.core.settings import PROJECT
from storehouse.operate import alerts
from storehouse.operate.run import run


@pytest.fixture(scope="module")
def house(server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with two days of the demo shop, whose clock is ours from here on."""
    yield from build_demo(server, tmp_path_factory.mktemp("home"), days=2, size=0.02)


def test_an_api_that_is_away_for_a_day_is_told_once_and_so_is_its_end(
    house: House, configure, capsys: pytest.CaptureFixture[str]
) -> None:
    played = {"days": 1, "until": None, "size": None, "seed": None, "bad_orders": 0}
    with web_hook() as hook:
        # Nothing answers at its address. The shop goes on.
        demo.advance(days=1)
        configure(NOTIFY_URL=hook, REVIEWS_URL="http://127.0.0.1:1")
        assert run(**played) == 1
        said = capsys.readouterr().out
        assert "reviews: " in said and "What to do: docs/runbook.md" in said
        landed = "select sum(rows) > 0 from raw.loads where source = %s and run_id is not null"
        assert house.query(landed, "shop") == [(True,)] and house.query(landed, "reviews") == [(None,)]
        with psycopg.connect(house.warehouse) as warehouse:
            # A day goes by, and the sources go with the clock.
            for table in ("staging.stg_ledger__loads", "intermediate.int_tables__last_loaded"):
                warehouse.execute(
                    f"update {table} set finished_at = now() - interval '27 hours', "
                    "started_at = now() - interval '27 hours', interval_until = now() - interval '27 hours' "
                    "where source = 'reviews'"
                )
        for _ in range(2):
            assert alerts.send() == []
        heard = [f"{notice['title']}\n{notice['message']}" for notice in Notices.received]
        (message,) = [message for message in heard if "run missing, reviews" in message]
        assert "Nothing of reviews was loaded and built since " in message and "runbook.md#run_missing" in message
        assert "### run_missing" in (PROJECT / "docs/runbook.md").read_text()

        configure(REVIEWS_URL=f"http://127.0.0.1:{(house.home / 'demo' / 'port').read_text().strip()}")
        demo.advance(days=1)
        assert run(**played) == 0, capsys.readouterr()
        assert house.query(landed, "reviews") != [(None,)]
        assert alerts.send() == []
        heard = [f"{notice['title']}\n{notice['message']}" for notice in Notices.received]
        assert sum("ended: run missing, reviews" in message for message in heard) == 1, heard
        assert sum("run missing, reviews" in message for message in heard) == 2
        asked = "select state, resolved_at is not null from operations.alerts where kind = 'run_missing'"
        assert house.query(asked) == [("resolved", True)]
