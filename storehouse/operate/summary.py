"""The summary of a run: what landed, what the marts hold, how the tests ended, where to look next."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from storehouse.core.databases import open_warehouse
from storehouse.core.transform import target_folder, without_database

MART_SCHEMAS = ["core", "sales", "customers", "feedback"]
# Of a larger table the planner's estimate is shown: a summary must not read all of history.
EXACT_ROWS = 1_000_000
PLACES = [
    ("sales.agg_daily_sales", "what was sold, by day, channel and region"),
    ("quarantine.quarantined_records", "what was refused, why, and what became of it"),
    ("quarantine.refused_records", "every landing that was refused, and why"),
]


def summarise(run_id: str | None = None, tests: Mapping[str, Any] | None = None) -> str:
    """Landed, accepted and refused rows of a pipeline run (the last one by default), rows per mart, tests.

    Args:
        run_id: of the ledger of loads.
        tests: as `count_tests` gives them; by default of the last build on this machine.
    """
    with open_warehouse("transform") as warehouse, warehouse.speaking():
        loads = (
            warehouse.execute(
                """
            select loads.source || '.' || loads.table_name, sum(loads.rows), sum(judged.accepted_rows),
                   sum(judged.refused_rows),
                   coalesce(round(100.0 * sum(judged.refused_rows) / nullif(sum(loads.rows), 0), 1), 0),
                   min(thresholds.limit_percent)
            from raw.loads as loads
            left join operations.pipeline_loads as judged using (load_id)
            left join seeds.quality_thresholds as thresholds
                on loads.source = thresholds.source and loads.table_name = thresholds.table_name
            where loads.run_id = coalesce(%s, (select run_id from raw.loads order by load_id desc limit 1))
            group by 1 order by min(loads.load_id)
            """,
                [run_id],
            ).fetchall()
            if _exists(warehouse, "operations.pipeline_loads")
            else []
        )
        marts = warehouse.execute(
            """
            select n.nspname || '.' || c.relname, c.reltuples::bigint, c.oid::regclass::text
            from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
            where n.nspname = any(%s) and c.relkind in ('r', 'v')
            order by array_position(%s, n.nspname::text), c.relname
            """,
            [MART_SCHEMAS, MART_SCHEMAS],
        ).fetchall()
        # Only what exists: a first run that was stopped has built no mart, and no view over the quarantine.
        places = [place for place in PLACES if _exists(warehouse, place[0])]
        counted = [
            (name, f"{estimate:,} about" if estimate > EXACT_ROWS else f"{_count(warehouse, relation):,}")
            for name, estimate, relation in marts
        ]
    lines = ["", f"{'landed':<26}{'rows':>12}{'accepted':>12}{'refused':>12}{'share':>9}{'limit':>8}"]
    lines += [
        f"  {name:<24}{landed:>12,}{accepted or 0:>12,}{refused or 0:>12,}{share:>7} %{limit or 100:>6.0f} %"
        for name, landed, accepted, refused, share, limit in loads
    ]
    lines += ["", f"{'mart':<38}{'rows':>12}"]
    lines += [f"  {name:<36}{count:>12}" for name, count in counted]
    tests = count_tests(target_folder()) if tests is None else tests
    said = ", ".join(f"{tests[how]} {how}" for how in ("passed", "warned", "failed")) if tests else "none ran"
    lines += ["", f"tests: {said}"]
    lines += [f"  {line}" for line in tests.get("warnings", ())]
    lines += [""]
    lines += ["Look next:", f"  {'make psql':<46} the warehouse; \\dt sales.* lists a schema"]
    lines += [f"  {f'select * from {relation};':<46} {what}" for relation, what in places]
    lines += [f"  {'make docs':<46} every model and column, with lineage"]
    return "\n".join(lines)


def count_tests(target: Path) -> dict[str, Any]:
    """How many tests `passed`, `warned` and `failed` in the last build with this target folder; empty without one.

    `warnings` has a line for each that warned: its name, how many rows it found, and the query that shows them.
    """
    results_file = target / "run_results.json"
    if not results_file.exists():
        return {}
    results = json.loads(results_file.read_text())["results"]
    tests = [r for r in results if r["unique_id"].split(".")[0] in ("test", "unit_test")]
    by_status = Counter(r["status"] for r in tests)
    return {
        "passed": by_status["pass"],
        "warned": by_status["warn"],
        "failed": by_status["fail"] + by_status["error"],
        "warnings": [_warning(r) for r in tests if r["status"] == "warn"],
    }


def _warning(result: Mapping[str, Any]) -> str:
    name, rows, relation = result["unique_id"].split(".")[2], result["failures"], result.get("relation_name")
    see = f": select * from {without_database(relation)}" if relation else ""
    return f"warned  {name}, {rows} row{'s' * (rows != 1)}{see}"


def _exists(warehouse: psycopg.Connection, relation: str) -> bool:
    return warehouse.execute("select to_regclass(%s) is not null", [relation]).fetchone()[0]


def _count(warehouse: psycopg.Connection, relation: str) -> int:
    return warehouse.execute(f"select count(*) from {relation}").fetchone()[0]
