"""What readers see of the real project: where an earlier version left it, and when one thing is in the way."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from houses import House, build_house, land

import demo
from storehouse.core import transform
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT, settings
from storehouse.core.transform import DAILY
from storehouse.operate import audit, published

READERS = """
create schema bi;
create view bi.weekdays as
    select weekday, sum(total_usd) as usd from core.fct_orders inner join core.dim_dates on date_day = order_date
    group by weekday;
create view bi.customers as select * from customers.customer_lifetime_value;
"""
KEPT = """
select
    'core.fct_orders'::regclass::oid,
    'customers.customer_lifetime_value'::regclass::oid,
    'bi.weekdays'::regclass::oid
"""


def land_a_day() -> None:
    demo.advance(days=1)
    land()


def unpublished(folder: Path) -> Path:
    """A copy of the project as it was before: marts stand in their folder's schema, and are built there."""
    ours = shutil.ignore_patterns(".*", "target", "logs", "__pycache__", "uv.lock")
    project = Path(shutil.copytree(PROJECT, folder / "project", symlinks=True, ignore=ours))
    for file in [project / "dbt_project.yml", *(project / "models").rglob("*.sql")]:
        text = file.read_text()
        before = re.sub(r"\+meta: \{publish: \{schema: (\w+), group: \w+\}\}", r"+schema: \1", text)
        before = re.sub(r",?\s*'publish': \{[^}]*\},?", "", before)
        if before != text:
            file.write_text(before)
    dates = project / "models/marts/core/dim_dates.sql"
    dates.write_text(dates.read_text().replace("unique_key='date_day'", "materialized='table'"))
    assert "publish:" not in (project / "dbt_project.yml").read_text().partition("\nvars:")[0]
    return project


@pytest.fixture(scope="module")
def house(server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose marts were built before there was a build side, with views of readers on them."""
    for house in build_house(server, tmp_path_factory.mktemp("home")):
        demo.advance(days=1, size=0.05)
        demo.start()
        land_a_day()
        project = unpublished(tmp_path_factory.mktemp("before"))
        command = [sys.executable, "-m", "dbt.cli.main", *DAILY, "published_marts+", "--project-dir", str(project)]
        command += ["--profiles-dir", str(PROJECT), "--target-path", str(project / "target")]
        env = os.environ | settings().dbt_environment()
        done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout
        yield house
        demo.stop()


def execute(house: House, script: str) -> None:
    with psycopg.connect(house.warehouse, autocommit=True) as warehouse:
        warehouse.execute(script)


def orders(house: House) -> set[tuple]:
    """Where the rows of a published table stand on disk, and what they are: one that was not written stays."""
    return set(house.query("select ctid::text, order_id, total_usd from core.fct_orders"))


def test_marts_of_an_earlier_version_are_taken_over_where_they_stand(house: House) -> None:
    execute(house, READERS)
    before, rows = house.query(KEPT), orders(house)
    customers = house.query("select * from bi.customers order by 1")
    land_a_day()
    # A build that is not whole leaves them as they are.
    transform.build([*DAILY, "--select", "+fct_orders"])
    assert orders(house) == rows and "is not built" in " ".join(published.held_back(["shop"]))
    assert transform.build(DAILY) == []
    assert published.held_back() == []
    assert house.query(KEPT) == before
    assert len(orders(house) & rows) > len(rows) / 3 and orders(house) != rows
    assert house.query("select * from bi.customers order by 1") != customers
    assert house.query("select sum(usd) from bi.weekdays") == house.query("select sum(total_usd) from core.fct_orders")
    assert [verdict.line for verdict in audit.audit("fct_orders dim_dates") if verdict.differences] == []


def test_readers_are_taken_back_to_an_earlier_build_and_forward_again(
    house: House, capsys: pytest.CaptureFixture
) -> None:
    def seen() -> list[tuple]:
        totals = "select {} from {}".format
        return house.query(
            totals("'orders', count(*), sum(total_usd)", "core.fct_orders union all ")
            + totals("'days', sum(orders), sum(sales_usd)", "sales.agg_daily_sales union all ")
            + totals("'customers', count(*), sum(spend_usd)", "customers.customer_lifetime_value")
        )

    assert transform.build(DAILY) == []
    before = seen()
    land_a_day()
    assert transform.build(DAILY) == []
    assert seen() != before
    assert published.unpublish("shop", None) == 0
    assert seen() == before
    assert "make republish GROUP=shop" in capsys.readouterr().out
    land_a_day()
    assert transform.build(DAILY) == []
    assert seen() == before and "was taken back to publication" in published.held_back(["shop"])[0]
    assert published.held_back(["feedback"]) == []
    assert published.republish("shop") == 0
    assert "<- readers see it" in capsys.readouterr().out
    assert [verdict.line for verdict in audit.audit("fct_orders agg_daily_sales") if verdict.differences] == []
    with pytest.raises(StorehouseError, match=r"No group is called sales\. There are: "):
        published.unpublish("sales", None)
    with pytest.raises(StorehouseError, match=r"Publication 0 of shop is not kept\. Kept are: "):
        published.unpublish("shop", 0)


def test_what_is_held_back_is_told_in_words_and_is_no_difference_for_the_audit(
    house: House, capsys: pytest.CaptureFixture
) -> None:
    assert transform.build(DAILY) == []
    rows = orders(house)
    land_a_day()
    assert transform.build(["run"]) == []
    with pytest.raises(StorehouseError, match=r"not published: shop, .* was not tested since.* keep what they have"):
        published.publish(["shop"])
    assert orders(house) == rows
    assert published.main() == 1
    assert "published: feedback, shop: position " in capsys.readouterr().out
    verdicts = {f"{verdict.model.schema}.{verdict.model.table}": verdict for verdict in audit.audit("fct_orders")}
    assert verdicts["build.fct_orders"].differences == 0
    assert verdicts["core.fct_orders"].differences > 0 and verdicts["core.fct_orders"].waits
    assert transform.build(DAILY) == []
    assert published.main() == 0
    assert orders(house) != rows and audit.audit("fct_orders")[-1].line.startswith("core.fct_orders")
    (shop,) = published.publish(["shop"])
    assert shop.position == house.query("select max(position) from raw.loads")[0][0]
