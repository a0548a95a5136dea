"""What a run did, and where to look next. On a terminal of 24 lines and 100 columns it is one screen."""

import json
from collections import Counter
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import psycopg

from extract_load import tables
from storehouse.core.databases import open_warehouse
from storehouse.core.queries import as_sql, one_value
from storehouse.core.transform import target_folder, without_database
from storehouse.operate import published

MART_SCHEMAS = ["core", "sales", "customers", "feedback"]
# Of a larger table the planner's estimate is shown: a summary must not read all of history.
EXACT_ROWS = 1_000_000
# Where refused records are. A first run that was stopped has built only the second, and a project without rules none.
QUARANTINE = ["quarantine.quarantined_records", "quarantine.refused_records"]


def summarise(run_id: str | None = None, tests: Mapping[str, Any] | None = None, at_most: int | None = None) -> str:
    """Landed, accepted and refused rows of a run (the last one by default), rows per mart, what is published, tests.

    Args:
        run_id: of the ledger of loads.
        tests: as `count_tests` gives them; by default of the last build on this machine.
        at_most: how many lines the tests that warned may take; by default a line for each.
    """
    with open_warehouse("transform") as warehouse, warehouse.speaking():
        loads = (
            warehouse.execute(
                """
            select loads.source || '.' || loads.table_name, sum(loads.rows), sum(judged.accepted_rows),
                   sum(judged.refused_rows),
                   coalesce(round(100.0 * sum(judged.refused_rows) / nullif(sum(loads.rows), 0), 1), 0)
            from raw.loads as loads
            left join operations.pipeline_loads as judged using (load_id)
            where loads.run_id = coalesce(%s, (select run_id from raw.loads order by position desc limit 1))
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
        groups = published.read(warehouse)
        quarantine = [relation for relation in QUARANTINE if _exists(warehouse, relation)]
        counted = [
            (name, f"{estimate:,} about" if estimate > EXACT_ROWS else f"{_count(warehouse, relation):,}")
            for name, estimate, relation in marts
        ]
    limits = {table.label: table.declaration.refused.limit_percent for table in tables.TABLES}
    lines = [f"{'landed':<26}{'rows':>12}{'accepted':>12}{'refused':>12}{'share':>9}{'limit':>8}"]
    lines += [
        f"  {name:<24}{landed:>12,}{accepted or 0:>12,}{refused or 0:>12,}{share:>7} %{limits.get(name, 100):>6.0f} %"
        for name, landed, accepted, refused, share in loads
    ]
    cells = [f"  {name:<34}{count:>13}" for name, count in counted]
    half = (len(cells) + 1) // 2
    lines += [f"{'mart':<36}{'rows':>13}"]
    lines += [left + right for left, right in zip_longest(cells[:half], cells[half:], fillvalue="")]
    lines += published.lines(groups)
    tests = count_tests(target_folder()) if tests is None else tests
    said = ", ".join(f"{tests[how]} {how}" for how in ("passed", "warned", "failed")) if tests else "none ran"
    warnings = list(tests.get("warnings", ()))
    if at_most and len(warnings) > at_most:
        left_out = len(warnings) - at_most + 1
        warnings[at_most - 1 :] = [f"… and {left_out} more: .venv/bin/python -m storehouse summary"]
    lines += [f"tests: {said}", *(f"  {line}" for line in warnings)]
    refused = [f", then select * from {relation}" for relation in quarantine[:1]]
    lines += [f"Look next: make status; make psql{''.join(refused)}; make docs"]
    return "\n".join(lines)


def count_tests(target: Path) -> dict[str, Any]:
    """How many tests `passed`, `warned` and `failed` in the last build with this target folder; empty without one.

    `warnings` has a line for each test that warned: how many rows it found and the query that shows them. A test's
    name says what should be true, and its rows are in a table of that name.
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
    counted = f"{rows} row{'s' * (rows != 1)}"
    if not relation:
        return f"warned: {name}, {counted}"
    query = f"select * from {without_database(relation)}"
    return f"warned, {counted}: {query}" if name in query else f"warned: {name}, {counted}: {query}"


def _exists(warehouse: psycopg.Connection, relation: str) -> bool:
    return one_value(warehouse, "select to_regclass(%s) is not null", [relation])


def _count(warehouse: psycopg.Connection, relation: str) -> int:
    return one_value(warehouse, as_sql(f"select count(*) from {relation}"))
