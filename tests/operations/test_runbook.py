"""Every alert has its limits and its entry in the runbook, and no entry is without an alert."""

import csv
import re

import pytest

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
