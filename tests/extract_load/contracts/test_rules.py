"""Every rule of staging is proved by a row that breaks it, in a unit test of its model; and every model lets rows pass.

No warehouse is needed: the SQL and the YAML are read. That the rows do what they say, `dbt test` shows.
"""

import re
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.quick

STAGING = Path(__file__).parents[3] / "models" / "staging"
MODELS = sorted(STAGING.glob("*/judged_*.sql"))
RULE = re.compile(r"^\s+\('(\w+)', '(\w+)', '(error|warn)', .*, '(.*)'\),$", re.MULTILINE)
TYPES = {"missing", "type", "range", "reference", "duplicate"}


def rules_of(model: Path) -> dict[str, tuple[str, str]]:
    """Of each rule, by what it says of a row: its code and its severity."""
    found = {
        f"{code} ({kind}): {words}": (code, severity) for code, kind, severity, words in RULE.findall(model.read_text())
    }
    judged = model.read_text().split("judge([")[1].split("\n    ], of_key=")[0]
    assert len(found) == sum(line.lstrip().startswith("(") for line in judged.splitlines()), "A rule is one line."
    return found


def rows_of(model: Path) -> list[dict]:
    """The rows that the model's unit tests expect."""
    tests = [
        test
        for file in model.parent.glob("*_unit_tests.yml")
        for test in yaml.safe_load(file.read_text())["unit_tests"]
        if test["model"] == model.stem
    ]
    return [row for test in tests for row in test["expect"]["rows"]]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.stem)
def test_each_rule_is_broken_by_a_row_of_its_models_unit_tests(model: Path) -> None:
    rules, rows = rules_of(model), rows_of(model)
    said = {"error": "_errors", "warn": "_warnings"}
    unproved = [
        code
        for words, (code, severity) in rules.items()
        if not any(words in (row.get(said[severity]) or []) for row in rows)
    ]
    assert unproved == [], (
        f"{model.stem}: no row of a unit test breaks {unproved}. Add one, and a neighbour that passes."
    )
    accepted = [row for row in rows if "_errors" in row and not row["_errors"]]
    print(f"{model.stem}: {len(rules)} rules, {len(rows)} rows, {len(accepted)} of them pass")
    assert len(accepted) >= 2, "What is accepted at the limit is as much a promise as what is refused."


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.stem)
def test_each_row_of_a_unit_test_speaks_of_rules_that_there_are(model: Path) -> None:
    rules = rules_of(model)
    said = {words for row in rows_of(model) for column in ("_errors", "_warnings") for words in row.get(column) or []}
    assert said - rules.keys() == set()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.stem)
def test_a_delete_is_asked_for_the_rules_of_its_key_only(model: Path) -> None:
    """A row of a unit test breaks each of them but `record_unreadable`, which has no key; another passes."""
    of_key = set(re.findall(r"\w+", model.read_text().split("of_key=[")[1].split("]")[0])) - {"record_unreadable"}
    deletes = [row["_errors"] or [] for row in rows_of(model) if row.get("_is_deleted")]
    assert [] in deletes
    assert {words.split()[0] for errors in deletes for words in errors} <= of_key
    assert any(errors for errors in deletes), (
        f"{model.stem}: no row of a unit test deletes with a key that can't be used."
    )


def test_rules_of_every_type_are_there() -> None:
    kinds = {re.search(r"\((\w+)\)", words)[1] for model in MODELS for words in rules_of(model)}
    assert kinds == TYPES
