"""What stops a run or raises an alert has its entry in the runbook, and no entry is about nothing."""

import csv
import re
from pathlib import Path

import dbt.task.test
import pytest

from storehouse.core.runbook import ENTRIES, entry
from storehouse.core.settings import PROJECT

pytestmark = pytest.mark.quick

RUNBOOK = (PROJECT / "docs/runbook.md").read_text()
CONDITIONS = (PROJECT / "models/operations/alert_conditions.sql").read_text()
LIMITS = list(csv.DictReader((PROJECT / "seeds/alert_thresholds.csv").read_text().splitlines()))
# A kind is a text of the model that stands alone: 'volume_low' as kind, or one of two that a case chooses.
KINDS = {
    kind
    for said in re.findall(r"(.*) as kind\b", CONDITIONS)
    for kind in re.findall(r"(?:^\s*|then |else )'(\w+)'", said)
}


def test_kinds_limits_and_entries_are_the_same() -> None:
    assert len(KINDS) >= 12
    assert {limit["kind"] for limit in LIMITS} == KINDS
    entries = re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE)
    assert sorted(entries) == sorted(KINDS)


def test_a_limit_has_a_severity_a_comparison_and_a_reason_and_critical_is_worse() -> None:
    for limit in LIMITS:
        assert limit["severity"] in ("warning", "critical") and limit["comparison"] in ("below", "from"), limit
        assert limit["reason"].endswith("."), limit
    of = {(limit["kind"], limit["severity"]): limit for limit in LIMITS}
    assert len(of) == len(LIMITS), "one limit a kind and severity"
    for (kind, severity), limit in of.items():
        if severity == "critical" and (milder := of.get((kind, "warning"))):
            assert milder["comparison"] == limit["comparison"]
            is_lower = float(limit["limit_value"]) < float(milder["limit_value"])
            assert is_lower == (limit["comparison"] == "below"), kind


HEADINGS = {
    re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")
    for heading in re.findall(r"^##* (.*)$", RUNBOOK, re.MULTILINE)
}


def texts(*patterns: str) -> str:
    return "\n".join(path.read_text() for pattern in patterns for path in PROJECT.glob(pattern))


def linked() -> set[str]:
    """Every entry that an error, a task, a rule of Prometheus or a page leads to."""
    named = re.findall(
        r'"((?:an?|the|dbt)(?:-[a-z]+)+)"', texts("storehouse/orchestrate/notices.py", "storehouse/operate/run.py")
    )
    pages = texts("README.md", "docs/**/*.md", "deploy/prometheus/*.yml", "storehouse/**/*.py", "macros/**/*.sql")
    links = re.findall(r"runbook\.md#([\w-]+)", pages) + re.findall(r"\]\(#([\w-]+)\)", RUNBOOK)
    return {*ENTRIES.values(), *named, *links}


def test_every_entry_that_is_named_is_there_and_none_is_without_what_leads_to_it() -> None:
    assert linked() <= HEADINGS, linked() - HEADINGS
    assert linked() >= (of_errors := HEADINGS - KINDS), of_errors - linked()


def test_the_words_by_which_an_error_is_known_are_those_that_it_is_told_with() -> None:
    ours = texts(
        "extract_load/**/*.py",
        "macros/**/*.sql",
        "packages/converge/macros/**/*.sql",
        "storehouse/[!c]*/**/*.py",
        "publish/*.py",
    )
    ours += texts("storehouse/core/databases.py")
    dbts = Path(dbt.task.test.__file__).read_text()
    for words in ENTRIES:
        assert words in ours or words in dbts, words


def test_an_error_leads_to_its_own_entry_before_that_of_its_task() -> None:
    assert entry("stg_shop__orders: Too many refused records: shop.orders: 6 %", "a-model-failed") == (
        "too-many-refused-records"
    )
    assert entry("fct_orders: Database Error: division by zero", "a-model-failed") == "a-model-failed"
