"""What `models/semantic` defines is described, documented, and made of columns that the marts promise."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from storehouse.core.settings import PROJECT

pytestmark = pytest.mark.quick

FILES = [yaml.safe_load(path.read_text()) for path in sorted((PROJECT / "models/semantic").glob("*.yml"))]
MODELS = [model for file in FILES for model in file.get("semantic_models", [])]
MEASURES = [measure for model in MODELS for measure in model.get("measures", [])]
METRICS = [each for each in MEASURES if each.get("create_metric")] + [
    metric for file in FILES for metric in file.get("metrics", [])
]
SAVED = [query for file in FILES for query in file.get("saved_queries", [])]
CONTRACTS = {
    model["name"]: {column["name"] for column in model["columns"]}
    for path in [*PROJECT.glob("models/marts/*/*__models.yml"), *PROJECT.glob("models/operations/*__models.yml")]
    for model in yaml.safe_load(path.read_text())["models"]
}
# In an expression: SQL's own words and texts are no columns.
SQL = {
    "in",
    "unavailable",
    "written_off",
    "case",
    "when",
    "then",
    "else",
    "end",
    "is",
    "not",
    "null",
    "and",
    "or",
    "coalesce",
}


@pytest.mark.parametrize("each", METRICS + SAVED, ids=lambda each: each["name"])
def test_a_metric_is_described_and_documented(each: dict[str, Any]) -> None:
    assert len(each["description"]) > 15 and each["label"]
    assert f"`{each['name']}`" in (PROJECT / "docs/metrics.md").read_text()


def test_a_name_is_one_thing() -> None:
    names = Counter(each["name"] for each in METRICS + SAVED)
    assert [name for name, times in names.items() if times > 1] == []
    # So that a person can ask by it without a prefix.
    dimensions = Counter(
        each["name"] for model in MODELS for each in model["dimensions"] if each["type"] == "categorical"
    )
    assert [name for name, times in dimensions.items() if times > 1] == []


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model["name"])
def test_a_semantic_model_reads_columns_that_its_mart_promises(model: dict[str, Any]) -> None:
    (mart,) = re.findall(r"ref\('(\w+)'\)", model["model"])
    assert set(columns_of(model)) - CONTRACTS[mart] == set()


def columns_of(model: dict[str, Any]) -> Iterator[str]:
    """The columns that the expressions of a semantic model name."""
    for each in [*model.get("entities", []), *model["dimensions"], *model.get("measures", [])]:
        yield from set(re.findall(r"\b[a-z]\w*", str(each.get("expr", each["name"])))) - SQL
