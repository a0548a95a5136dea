"""What a run of dbt did is landed once, at its end, as dbt itself says it; and nothing of that can fail the run."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from houses import House

import extract_load
from storehouse.core import transform
from storehouse.core.queries import as_sql
from storehouse.core.settings import PROJECT, settings
from storehouse.core.transform import DAILY
from storehouse.operate import pipeline
from tests.converge.histories import Landed, Record
from tests.quality.test_deletes import MONDAY, ORDER, TUESDAY, WEDNESDAY

SMALL = ["build", "--select", "currencies", "--exclude-resource-type", "unit_test"]
NOT_LANDED = "What this run did was not landed in raw_operations"


def orders(*totals: object) -> list[Record]:
    return [
        Record("shop.orders", ORDER | {"order_id": str(n), "total_amount": total}) for n, total in enumerate(totals)
    ]


@pytest.fixture(scope="module")
def built(house: House) -> Iterator[House]:
    """A house after a first build of two orders."""
    extract_load.prepare()
    Landed().land("shop.orders", orders(10, 20), (MONDAY, TUESDAY))
    assert transform.build(DAILY) == []
    yield house


def dbts_own() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """`run_results.json` of the last invocation: its metadata, and its results without hooks and exposures."""
    said = json.loads((transform.target_folder() / "run_results.json").read_text())
    kinds = ("model", "seed", "snapshot", "test")
    return said["metadata"], [result for result in said["results"] if result["unique_id"].partition(".")[0] in kinds]


def by_hand(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """dbt's own command, by nothing of ours."""
    place = settings().dbt_environment() | variables
    return subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", *arguments],
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if name != "CI"} | place,
        capture_output=True,
        text=True,
    )


def landed(house: House, invocation_id: str) -> dict[str, tuple]:
    rows = house.query(
        "select unique_id, status, seconds, failures, message, rows_affected, thread, started_at, finished_at "
        "from raw_operations.node_results where invocation_id = %s",
        invocation_id,
    )
    return {row[0]: row[1:] for row in rows}


def scanned(plan: dict[str, Any]) -> dict[str, str]:
    """The relations that a plan reads, by the kind of the scan."""
    found = {plan["Node Type"]: plan["Relation Name"]} if "Relation Name" in plan else {}
    for part in plan.get("Plans", ()):
        found |= scanned(part)
    return found


def check_equal_to_dbts_own(house: House) -> None:
    """What landed of the last invocation is what dbt wrote into its file."""
    metadata, results = dbts_own()
    rows = landed(house, metadata["invocation_id"])
    assert rows.keys() == {result["unique_id"] for result in results}
    for result in results:
        status, seconds, failures, message, affected, thread, began, ended = rows[result["unique_id"]]
        is_test = result["unique_id"].startswith("test.")
        assert status == result["status"]
        assert seconds == pytest.approx(result["execution_time"])
        assert thread == result["thread_id"]
        assert failures == (result["failures"] if is_test else None)
        assert message == (result["message"] if status == "success" else None)
        said = result["adapter_response"].get("rows_affected", -1)
        assert affected == (said if said >= 0 and not is_test else None)
        spans = [span for span in result["timing"] if span["started_at"]]
        shown = [at and at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") for at in (began, ended)]
        assert shown == ([spans[0]["started_at"], spans[-1]["completed_at"]] if spans else [None, None])
    ((nodes, failed, warned, skipped, models, tests),) = house.query(
        "select nodes, failed, warned, skipped, "
        "(select count(*) from operations.model_runs as nodes where nodes.invocation_id = runs.invocation_id), "
        "(select count(*) from operations.test_runs as nodes where nodes.invocation_id = runs.invocation_id) "
        "from operations.dbt_runs as runs where invocation_id = %s",
        metadata["invocation_id"],
    )
    states = [result["status"] for result in results]
    assert nodes == len(results) == models + tests
    assert failed == states.count("error") + states.count("fail")
    assert (warned, skipped) == (states.count("warn"), states.count("skipped"))


def test_a_build_is_landed_as_dbt_itself_says_it(built: House) -> None:
    check_equal_to_dbts_own(built)
    assert transform.build(DAILY) == []
    check_equal_to_dbts_own(built)
    ((message, rows, size),) = built.query(
        "select message, rows_affected, bytes from operations.model_runs "
        "where name = 'fct_orders' order by run_started_at limit 1"
    )
    assert (message, rows) == ("CREATE 2", 2)
    assert size == built.query("select pg_total_relation_size('build.fct_orders')")[0][0]


def test_a_build_with_failures_is_landed_with_what_it_skipped_and_no_value_of_a_row(built: House) -> None:
    Landed().land("shop.orders", orders(11, 21), (TUESDAY, WEDNESDAY))
    with psycopg.connect(built.warehouse) as warehouse:
        warehouse.execute(
            "alter table staging.stg_shop__orders add constraint mine check (order_id != 'web-1') not valid"
        )
    done = by_hand(*DAILY)
    assert done.returncode == 1
    assert "violates check constraint" in done.stdout
    metadata, results = dbts_own()
    assert {"error", "skipped"} <= {result["status"] for result in results}
    check_equal_to_dbts_own(built)
    texts = built.query("select runs::text from operations.model_runs as runs where status <> 'success'")
    assert texts and not any("violates" in text for (text,) in texts)
    ((by, status),) = built.query(
        "select started_by, status from operations.dbt_runs where invocation_id = %s", metadata["invocation_id"]
    )
    assert (by, status) == ("by hand", "failed")
    with psycopg.connect(built.warehouse) as warehouse:
        warehouse.execute("alter table staging.stg_shop__orders drop constraint mine")
    assert transform.build(DAILY) == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CI": "true"}, ("ci", None, None, None, None)),
        ({"STOREHOUSE_STARTED_BY": "make run", "CI": "true"}, ("make run", None, None, None, None)),
        (
            {
                "AIRFLOW_CTX_DAG_ID": "shop_elt",
                "AIRFLOW_CTX_DAG_RUN_ID": "manual__'1'",
                "AIRFLOW_CTX_TASK_ID": "dbt.build",
                "AIRFLOW_CTX_TRY_NUMBER": "2",
            },
            ("airflow", "shop_elt", "manual__'1'", "dbt.build", 2),
        ),
    ],
)
def test_a_run_says_who_started_it(built: House, variables: dict[str, str], expected: tuple) -> None:
    done = by_hand(*SMALL, **variables)
    assert done.returncode == 0, done.stdout
    (who,) = built.query(
        "select started_by, dag_id, dag_run_id, task_id, try_number from operations.dbt_runs where invocation_id = %s",
        dbts_own()[0]["invocation_id"],
    )
    assert who == expected


BUFFERS = "select buffers from operations.model_runs where name = %s order by run_started_at desc limit 1"


def test_what_a_models_statements_look_up_is_counted_where_the_extension_is(built: House) -> None:
    assert transform.build(["run", "--select", "dim_dates"]) == []
    assert built.query(BUFFERS, "dim_dates") == [(None,)]
    with psycopg.connect(built.warehouse, autocommit=True) as warehouse:
        warehouse.execute("create schema elsewhere; create extension pg_stat_statements schema elsewhere")
        # The server's statistics are full of other tests' statements: some would be forgotten meanwhile.
        warehouse.execute("select elsewhere.pg_stat_statements_reset()")
        try:
            assert transform.build(["run", "--select", "dim_dates", "--full-refresh"]) == []
            ((first,),) = built.query(BUFFERS, "dim_dates")
            assert first > built.query("select count(*) from build.dim_dates")[0][0], "it wrote more rows than that"
            Landed().land("shop.orders", orders(12, 22), (TUESDAY, WEDNESDAY))
            assert transform.build(DAILY) == []
            ((again,),) = built.query(BUFFERS, "dim_dates")
            assert 0 < again < first / 10, "nothing of it has changed"
            # Several statements are sent at once; each that names a table of the model's own names the model.
            statements = warehouse.execute(
                "select query like '%\"model.storehouse.fct_orders\"%', query from elsewhere.pg_stat_statements "
                "where query ~ 'fct_orders__(new|old|gone)' and query not like 'do %' "
                "and dbid = (select oid from pg_database where datname = current_database())"
            ).fetchall()
            assert len(statements) > 8 and [query for is_named, query in statements if not is_named] == []
        finally:
            warehouse.execute("drop extension pg_stat_statements; drop schema elsewhere")


HIDDEN = "alter schema raw_operations rename to elsewhere", "alter schema elsewhere rename to raw_operations"
GONE = (
    "alter table raw_operations.node_results rename to elsewhere",
    "alter table raw_operations.elsewhere rename to node_results",
)
OLD = (
    "alter table raw_operations.node_results rename column seconds to elsewhere",
    "alter table raw_operations.node_results rename column elsewhere to seconds",
)


@pytest.mark.parametrize(("spoil", "mend"), [HIDDEN, GONE, OLD], ids=["no schema", "no table", "no column"])
def test_what_cannot_be_landed_fails_no_run_and_is_said(built: House, spoil: str, mend: str) -> None:
    count = "select count(*) from raw_operations.dbt_runs"
    before = built.query(count)
    with psycopg.connect(built.warehouse, autocommit=True) as warehouse:
        warehouse.execute(as_sql(spoil))
        try:
            done = by_hand("--quiet", *SMALL)
        finally:
            warehouse.execute(as_sql(mend))
    assert done.returncode == 0, done.stdout + done.stderr
    assert NOT_LANDED in done.stdout
    # All of a run lands, or nothing of it.
    assert built.query(count) == before


def test_a_lock_on_what_is_landed_holds_a_run_up_for_some_seconds_only(built: House) -> None:
    with psycopg.connect(built.warehouse) as other:
        other.execute("lock table raw_operations.dbt_runs")
        began = time.monotonic()
        done = by_hand(*SMALL)
        assert done.returncode == 0, done.stdout
        assert time.monotonic() - began < 60
    assert f"{NOT_LANDED} (55P03" in done.stdout


def test_an_audit_and_a_run_of_another_target_are_not_in_the_views_of_this_one(
    built: House, configure: Callable[..., None]
) -> None:
    before = built.query("select count(*) from operations.dbt_runs")
    done = by_hand("seed", "--select", "currencies", "--target", "dev")
    assert done.returncode == 0, done.stdout
    assert built.query("select count(*) from operations.dbt_runs") == before
    assert built.query("select command from raw_operations.dbt_runs where target = 'dev'") == [("seed",)]
    transform.build(["run", "--select", "stg_ledger__loads"], target="audit")
    assert built.query("select count(*) from raw_operations.dbt_runs where target = 'audit'") == [(0,)]


def test_a_run_of_years_of_history_looks_up_only_its_own_rows(built: House) -> None:
    """Plans, not seconds: the views over raw_operations use its indexes for what is asked of them."""
    with psycopg.connect(built.warehouse) as warehouse:
        warehouse.execute("""
            insert into raw_operations.dbt_runs
            select
                'old ' || days, run_id, command, target, started_by, null, null, null, null, null, false,
                code_version, dbt_version, position, now() - days * interval '1 day', now() - days * interval '1 day'
            from raw_operations.dbt_runs cross join generate_series(1, 2000) as days
            where invocation_id = (select invocation_id from raw_operations.dbt_runs where command = 'build' limit 1)
        """)
        warehouse.execute("""
            insert into raw_operations.node_results (
                invocation_id, unique_id, run_id, command, target, code_version, run_started_at, resource_type, name,
                status, seconds
            )
            select
                invocation_id, kind || '.storehouse.n' || n, run_id, command, target, code_version, started_at, kind,
                'n' || n, case when kind = 'model' then 'success' when n = 1 then 'fail' else 'pass' end, 1
            from raw_operations.dbt_runs
            cross join generate_series(1, 60) as n
            cross join unnest(array['model', 'test']) as kind
            where starts_with(invocation_id, 'old ')
            order by started_at
        """)
        warehouse.execute("analyze raw_operations.dbt_runs, raw_operations.node_results")
        for view in ("dbt_runs", "model_runs", "test_runs"):
            column = "started_at" if view == "dbt_runs" else "run_started_at"
            ((plan,),) = warehouse.execute(
                as_sql(
                    f"explain (format json) select * from operations.{view} where {column} > now() - interval '3 days'"
                )
            ).fetchall()
            assert "node_results" in scanned(plan[0]["Plan"]).values(), view
            assert "Seq Scan" not in scanned(plan[0]["Plan"]), f"{view} reads all that ever landed"
        warehouse.rollback()


def test_a_relation_that_no_node_makes_any_more_is_named(built: House) -> None:
    unused = "select schema_name, relation_name, kind from operations.unused_relations order by relation_name"
    assert built.query(unused) == []
    with psycopg.connect(built.warehouse) as warehouse:
        warehouse.execute("create schema bi; create view bi.ours as select 1 as one")
        warehouse.execute("create table core.fct_visits (n int); create view staging.old as select 1 as one")
    assert built.query(unused) == [("core", "fct_visits", "table"), ("staging", "old", "view")]
    with psycopg.connect(built.warehouse) as warehouse:
        warehouse.execute("drop table core.fct_visits; drop view staging.old; drop schema bi cascade")


def test_objectives_are_measured_from_the_first_build_on(built: House) -> None:
    query = "select group_name, objective, measured is not null, bad, is_met from operations.slo_status order by 1, 2"
    (feedback, feedback_builds, shop, shop_builds) = built.query(query)
    assert shop == ("shop", "freshness", True, 0, True)
    assert feedback[:2] == ("feedback", "freshness") and feedback_builds[:2] == ("feedback", "success")
    # One build failed, above, and another was not published: it was of a model alone.
    assert shop_builds[:4] == ("shop", "success", True, 1)
    ((builds, seconds),) = built.query("select max(runs), sum(share_of_day) from operations.model_costs")
    assert builds > 1 and abs(seconds - 1) < 0.001


def test_what_became_of_a_run_cannot_be_landed_and_that_fails_nothing(
    built: House, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(built.warehouse) as other:
        other.execute("lock table raw_operations.pipeline_runs")
        pipeline.record("make run", "run-1", None)
    assert "was not landed in raw_operations (canceling statement due to lock timeout)" in caplog.text
    assert built.query("select count(*) from operations.pipeline_runs") == [(0,)]
    pipeline.record("make run", "run-1", None, broken=["shop", "dbt"])
    shown = "select state, broken_tasks, loads, landed_rows, interval_until from operations.pipeline_runs"
    assert built.query(shown) == [("failed", "shop, dbt", 0, 0, None)]


VIEW = "operations.source_freshness"
CHANGES = {
    "nothing": "select 1",
    "its first column had another name": f"alter view {VIEW} rename column source to origin",
    "a table stands in its place": f"drop view {VIEW} cascade; create table {VIEW} (n int)",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_view_is_made_where_it_stands(built: House, change: str) -> None:
    """What stands on it stays if it can; rights that are not in the configuration go."""
    with psycopg.connect(built.warehouse) as warehouse:
        warehouse.execute(as_sql(CHANGES[change]))
        warehouse.execute(as_sql(f"create schema bi; create view bi.ours as select * from {VIEW}"))
        warehouse.execute(as_sql(f"create role guest; grant select on {VIEW} to guest"))
    ((before,),) = built.query("select %s::regclass::oid", VIEW)
    try:
        assert transform.build(["run", "--select", "source_freshness"]) == []
        ((columns,),) = built.query(
            "select array_agg(attname::text order by attnum) from pg_attribute where attrelid = %s::regclass", VIEW
        )
        assert {"source", "verdict"} <= set(columns) and "origin" not in columns
        ((after, kind, is_ours_there, may_guest),) = built.query(
            "select oid, relkind::text, to_regclass('bi.ours') is not null, "
            "has_table_privilege('guest', oid, 'select') from pg_class where oid = %s::regclass",
            VIEW,
        )
        assert (kind, may_guest) == ("v", False)
        assert is_ours_there == (after == before) == (change == "nothing")
        if change != "nothing":
            assert transform.build(["run", "--select", "operations"]) == []
    finally:
        with psycopg.connect(built.warehouse) as warehouse:
            warehouse.execute("drop schema bi cascade; drop owned by guest; drop role guest")


def test_loads_go_on_where_their_role_may_not_make_what_runs_land_in(
    built: House, configure: Callable[..., None]
) -> None:
    """As after an upgrade, before deploy/roles.sql has run again."""
    with psycopg.connect(built.warehouse) as warehouse:
        warehouse.execute("create role lander login password 'open'")
        warehouse.execute("alter schema raw_operations rename to kept")
    try:
        configure(EXTRACT_USER="lander", EXTRACT_PASSWORD="open")
        extract_load.prepare()
    finally:
        with psycopg.connect(built.warehouse) as warehouse:
            warehouse.execute("alter schema kept rename to raw_operations; drop role lander")
