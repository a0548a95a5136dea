"""Descriptions say what they describe: every doc block is used, in its own domain, and no column is without words.

A block is named for the column that it describes (`customer_id`). Where one name means different things, it is named
`<domain>__<column>`, and only models about that domain use it: `order__status` in `fct_orders`, `payment__status` in
`fct_payments`. Marts and operations have enforced contracts, so their YAML names every column that a reader sees. In
staging and intermediate models a column has its block by its name (`make docs` shows it): the YAML does not repeat it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.quick

PROJECT = Path(__file__).parents[2]
FOLDERS = ["models", "seeds", "snapshots"]
Described = tuple[str, str, str]  # model, column (empty: the model itself), description


def test_every_doc_block_is_used() -> None:
    used = {block for _, _, description in described() for block in blocks_of(description)}
    by_name = {word for path in (PROJECT / "models").rglob("*.sql") if not_read(path) for word in words_of(path)}
    unused = {block for block in defined() - used if block.rpartition("__")[2] not in by_name}
    assert unused == set(), "doc blocks that no description uses: delete them"
    assert used - defined() == set(), "descriptions name doc blocks that do not exist"


def test_a_column_that_nobody_reads_does_not_repeat_its_block() -> None:
    repeated = [
        f"{path.name}: {node['name']}.{column['name']}"
        for path in (PROJECT / "models").rglob("*__models.yml")
        if not_read(path)
        for node in yaml.safe_load(path.read_text())["models"]
        for column in node.get("columns", [])
        if column.keys() == {"name", "description"} and blocks_of(column["description"])
    ]
    assert repeated == [], "these say no more than the doc block of their name: leave them out"


def test_doc_blocks_describe_columns_of_their_domain() -> None:
    wrong = [
        f"{model}.{column}: {block}"
        for model, column, description in described()
        for block in blocks_of(description)
        if not fits(block, model, column, defined())
    ]
    assert wrong == [], "doc blocks used on a column that they do not describe"


def test_every_model_and_column_has_a_description() -> None:
    without = [f"{model}.{column}" for model, column, description in described() if not description.strip()]
    assert without == [], "say in `description` what each of these holds"


@pytest.mark.parametrize(
    ("block", "model", "column", "expected"),
    [
        ("city", "dim_customers", "city", True),
        ("full_name", "dim_products", "name", False),
        ("payment__status", "fct_payments", "status", True),
        ("payment__status", "fct_orders", "status", False),
        ("payment__status", "fct_payments", "state", False),
        ("region", "fct_orders", "region", False),
        ("region", "dim_customers", "region", True),
        ("volume__verdict", "data_quality_daily", "volume_verdict", True),
    ],
)
def test_a_block_fits_its_own_column_and_domain_only(block: str, model: str, column: str, *, expected: bool) -> None:
    assert fits(block, model, column, {"city", "full_name", "region", "order__region", "payment__status"}) is expected


def fits(block: str, model: str, column: str, all_blocks: set[str]) -> bool:
    """Whether a block may describe this column: its name, and the domain where the name has several meanings."""
    words = {word.rstrip("s") for word in re.split("_+", model)}
    domain, _, name = block.rpartition("__")
    if domain:
        return (name == column and domain.rstrip("s") in words) or column == f"{domain}_{name}"
    has_one_of_its_domain = any(f"{word}__{column}" in all_blocks for word in words)
    return block == column and not has_one_of_its_domain


def not_read(path: Path) -> bool:
    """Whether a file is of a layer that only other models read."""
    return path.relative_to(PROJECT / "models").parts[0] in ("staging", "intermediate")


def words_of(path: Path) -> list[str]:
    """The words of a file, column names among them."""
    return re.findall(r"\w+", path.read_text())


def defined() -> set[str]:
    """Names of all doc blocks, but of the one that dbt itself shows: the first page of the documentation."""
    texts = [path.read_text() for folder in FOLDERS for path in (PROJECT / folder).rglob("*.md")]
    names = [name for text in texts for name in re.findall(r"{%-?\s*docs (\w+)\s*-?%}", text)]
    assert len(names) == len(set(names)), "dbt parses no project that has two blocks of one name"
    return set(names) - {"__overview__"}


def blocks_of(description: str) -> list[str]:
    """Names of the doc blocks that a description uses."""
    return re.findall(r"""doc\(['"](\w+)['"]\)""", description)


def described() -> Iterator[Described]:
    """Every model, seed, snapshot and source table in the YAML, and every column of it."""
    for folder in FOLDERS:
        for path in (PROJECT / folder).rglob("*.yml"):
            content = yaml.safe_load(path.read_text()) or {}
            nodes = [node for kind in FOLDERS for node in content.get(kind, [])]
            nodes += [table for source in content.get("sources", []) for table in source["tables"]]
            for node in nodes:
                yield node["name"], "", node.get("description", "")
                for column in node.get("columns", []):
                    yield node["name"], column["name"], column.get("description", "")
