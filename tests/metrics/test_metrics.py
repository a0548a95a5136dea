"""The figures as a real Prometheus, Alertmanager and Pushgateway read them, and the files that we give to these."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import yaml
from airflow_scene import Notices, web_hook
from houses import House, build_demo, land
from prometheus_client.parser import text_string_to_metric_families
from real_prometheus import RULES, running, tool, watching
from real_redis import wait_until

import demo
from storehouse.core import transform
from storehouse.core.settings import PROJECT
from storehouse.core.transform import DAILY
from storehouse.laptop.server import free_port
from storehouse.operate import metrics

DASHBOARD = PROJECT / "deploy/grafana/storehouse.json"
PASSWORD = "open-sesame"


def figures(text: str) -> dict[tuple[str, ...], float]:
    """The samples of Prometheus' text: by name, then the values of the labels in the order of their names."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture(scope="module")
def house(server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with two days of the demo shop, built and published."""
    yield from build_demo(server, tmp_path_factory.mktemp("home"), days=2, size=0.05)


def test_figures_are_what_the_warehouse_says(house: House) -> None:
    found = figures(metrics.text())
    assert found["storehouse_up",] == 1
    for source, table in house.query("select distinct source, table_name from raw.loads"):
        landed, ended = house.query(
            f"select count(*), (select extract(epoch from max(finished_at)) from raw.loads "
            f"where (source, table_name) = (%s, %s)) from raw_{source}.{table}",
            *(source, table),
        )[0]
        refused = house.query(
            "select count(*) from quarantine.refused_records where (source, table_name) = (%s, %s)", source, table
        )[0][0]
        assert found["storehouse_landed_rows_total", source, table] == landed
        assert found["storehouse_refused_rows_total", source, table] == refused
        assert found["storehouse_last_load_timestamp_seconds", source, table] == pytest.approx(float(ended))
    assert 0 <= found["storehouse_behind_hours", "shop", "orders"] < 26
    assert found["storehouse_behind_limit_hours", "shop", "orders"] == 26
    for name in ("storehouse_landed_rows_total", "storehouse_refused_rows_total", "storehouse_quality_score"):
        assert sum(value for (of, *_), value in found.items() if of == name) > 0
    for group, position, at in house.query(
        "select group_name, bound, extract(epoch from published_at) from converge.published"
    ):
        assert found["storehouse_published_position", group] == position > 0
        assert found["storehouse_published_timestamp_seconds", group] == pytest.approx(float(at))
        assert found["storehouse_held_back", group] == 0


def test_a_view_that_is_away_or_in_use_costs_its_own_figures_alone(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(house.warehouse) as builder:
        builder.execute("drop view operations.data_quality_daily cascade")
        # Not `lock table`, which locks what the view reads too: others read that.
        builder.execute("alter view operations.source_freshness rename to in_use")
        names = {name for name, *_ in figures(metrics.text())}
        builder.rollback()
    assert {"storehouse_landed_rows_total", "storehouse_held_back"} <= names
    assert not names & {"storehouse_quality_score", "storehouse_behind_hours"}
    with psycopg.connect(house.warehouse, autocommit=True) as warehouse:
        warehouse.execute("alter view operations.data_quality_daily rename to away")
        assert figures(metrics.text())["storehouse_up",] == 1 and "left out: storehouse_quality_score" in caplog.text
        warehouse.execute("alter view operations.away rename to data_quality_daily")


def test_of_a_warehouse_that_cannot_be_asked_there_is_no_figure(
    house: House, configure: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    configure(WAREHOUSE_PORT=free_port(), WAREHOUSE_PASSWORD=PASSWORD)
    assert figures(metrics.text()) == {("storehouse_up",): 0}
    assert "the warehouse can't be asked" in caplog.text and PASSWORD not in caplog.text


def test_prometheus_reads_them_and_alertmanager_tells_of_what_is_held_back(
    house: House, tmp_path: Path, configure: Callable[..., None]
) -> None:
    of_us = free_port()

    def told(status: str, name: str) -> list[dict]:
        alerts = [alert for notice in Notices.received for alert in notice["alerts"]]
        return [a for a in alerts if (a["status"], a["labels"]["alertname"]) == (status, name)]

    with web_hook() as hook:
        # Airflow is away, which is a figure too.
        configure(AIRFLOW_URL=f"http://127.0.0.1:{free_port()}")
        exporter = [sys.executable, "-m", "storehouse", "metrics", "--serve", str(of_us)]
        with (
            running(*exporter, answers=f"http://127.0.0.1:{of_us}/metrics"),
            watching(tmp_path, of_us, hook) as ask,
        ):
            wait_until(lambda: ask("storehouse_up == 1"))
            wait_until(lambda: ask("count_over_time(storehouse_up[1m]) > 2"))
            wait_until(lambda: told("firing", "StorehouseAirflowIsNotWell"))
            assert told("firing", "StorehouseMartsAreHeldBack") == []
            # A mart was built and not tested: it waits.
            transform.build(["run", "--select", "agg_daily_sales", "--full-refresh"])
            transform.operate("converge.publish", groups=["shop"])
            wait_until(lambda: told("firing", "StorehouseMartsAreHeldBack"))
            (alert,) = told("firing", "StorehouseMartsAreHeldBack")
            assert alert["labels"] == {
                **{"alertname": "StorehouseMartsAreHeldBack", "severity": "critical", "group": "shop"},
                **{"job": "storehouse", "instance": f"127.0.0.1:{of_us}"},
            }
            assert alert["annotations"]["summary"] == "The last build of shop is not published."
            demo.advance(days=1)
            land()
            assert transform.build(DAILY) == []
            wait_until(lambda: told("resolved", "StorehouseMartsAreHeldBack"))
            for panel in json.loads(DASHBOARD.read_text())["panels"]:
                for target in panel["targets"]:
                    assert ask(target["expr"]), f"{panel['title']} is empty: {target['expr']}"


def test_a_run_pushes_them_once_and_a_gateway_that_is_away_fails_nothing(
    house: House, configure: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    push = [sys.executable, "-m", "storehouse", "metrics", "--push"]

    def said(**variables: str) -> subprocess.CompletedProcess:
        return subprocess.run(push, cwd=PROJECT, env=os.environ | variables, capture_output=True, text=True)

    away = said(PUSHGATEWAY_URL=f"http://us:{PASSWORD}@127.0.0.1:{port}")
    assert away.returncode == 1 and away.stderr.count("\n") == 1 and PASSWORD not in away.stderr
    assert f"the Pushgateway at {url} did not take the metrics" in away.stderr
    assert "PUSHGATEWAY_URL is not set" in said().stderr
    configure(PUSHGATEWAY_URL=url)
    metrics.try_to_push()
    assert "did not take the metrics" in caplog.text
    with running(tool("prometheus-pushgateway"), f"--web.listen-address=127.0.0.1:{port}", answers=f"{url}/-/ready"):
        assert said().stdout == f"The metrics stand at {url}\n"
        stands = figures(httpx.get(f"{url}/metrics").text)
    ours = {name: value for name, value in stands.items() if name[0].startswith("storehouse")}
    rows = house.query("select count(*) from raw_shop.orders")[0][0]
    # The gateway adds the job, and an instance that is empty.
    assert ours["storehouse_landed_rows_total", "", "storehouse", "shop", "orders"] == rows


def test_a_port_that_is_taken_is_one_message(house: House, tmp_path: Path) -> None:
    port = house.environment["WAREHOUSE_PORT"]
    done = subprocess.run(
        [sys.executable, "-m", "storehouse", "metrics", "--serve", port], cwd=PROJECT, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stderr == (
        f"storehouse metrics: 127.0.0.1:{port} can't be listened at: Address already in use. Another one: PORT=\n"
    )


@pytest.mark.quick
def test_rules_do_what_their_tests_say_and_each_names_an_entry_of_the_runbook() -> None:
    tests = RULES.with_suffix("").with_suffix(".rules.test.yml")
    done = subprocess.run([tool("promtool"), "test", "rules", tests.name], cwd=tests.parent, capture_output=True)
    assert done.returncode == 0, done.stdout.decode()
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    tested = {
        case["alertname"] for test in yaml.safe_load(tests.read_text())["tests"] for case in test["alert_rule_test"]
    }
    assert {rule["alert"] for rule in rules} == tested
    headings = re.findall(r"^## (.*)$", (PROJECT / "docs/runbook.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert {rule["annotations"]["runbook"].partition("#")[2] for rule in rules} <= anchors


@pytest.mark.quick
def test_the_dashboard_shows_metrics_that_there_are() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    families = [kind(name, says) for figures in metrics.FIGURES for kind, name, says in figures.metrics]
    known = {family.name + "_total" * (family.type == "counter") for family in families}
    known |= {"storehouse_up", "storehouse_airflow_healthy"}
    shown = {name for panel in panels for t in panel["targets"] for name in re.findall(r"storehouse_\w+", t["expr"])}
    assert shown <= known
    assert all(panel["title"] and panel["description"] for panel in panels)
