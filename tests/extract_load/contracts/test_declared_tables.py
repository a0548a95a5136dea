"""What a declared table still lacks before its rows reach a mart, and what is left of one that is declared no more.

Everything is named at once.

No warehouse is needed: the declarations, the SQL and the YAML are read.
"""

import re
from pathlib import Path

import pytest
import yaml
from test_rules import rows_of, rules_of

from extract_load.declarations import OURS, STAGING, Declared, read_declarations
from storehouse.core.settings import PROJECT

pytestmark = pytest.mark.quick

SAMPLES = Path(__file__).parent / "samples"


def lacks(declared: Declared) -> list[str]:
    """What this table lacks, a line each: the file, and what to write there."""
    label, name = f"{declared.source}.{declared.name}", f"{declared.source}__{declared.name}"
    folder = STAGING / declared.source
    judged = folder / f"judged_{name}.sql"
    found = [
        (f"macros/quality/landed_tables.sql: its name '{label}', for the gate and quarantine", label in named()),
        (
            f"{SAMPLES.relative_to(PROJECT)}/{label}.yml: what is sent, what is made of it",
            label in samples(),
        ),
    ]
    described = descriptions(folder)
    for model, what in ((f"judged_{name}", "its rules, one a line"), (f"stg_{name}", "its accepted rows")):
        file = (folder / f"{model}.sql").relative_to(PROJECT)
        found += [
            (f"{file}: {what}", (PROJECT / file).exists()),
            (f"{folder.relative_to(PROJECT)}: a description of {model}", bool(described.get(model))),
        ]
    found.append((f"{folder.relative_to(PROJECT)}: a description of {label}", bool(described.get(label))))
    if judged.exists():
        sql, rows = judged.read_text(), rows_of(judged)
        found += [
            (f"{judged.relative_to(PROJECT)}: the column {column}, of statistics", gives(sql, column))
            for column in declared.declaration.statistics
        ]
        found += [
            (f"{judged.relative_to(PROJECT)}: {column} among what is `optional` there", lacks_nothing(sql, column))
            for column in getattr(declared.declaration, "optional", ())
        ]
        found += [
            (
                f"{folder.relative_to(PROJECT)}: a row of a unit test that breaks {code}",
                any(words in (row.get("_errors" if severity == "error" else "_warnings") or []) for row in rows),
            )
            for words, (code, severity) in rules_of(judged).items()
        ]
    return [f"{label} lacks {what}" for what, is_there in found if not is_there]


def named() -> list[str]:
    """The tables that dbt's models over all tables read."""
    return re.findall(r"'(\w+\.\w+)'", (PROJECT / "macros" / "quality" / "landed_tables.sql").read_text())


def samples() -> list[str]:
    """The tables that have a sample."""
    return [file.stem for file in SAMPLES.glob("*.yml")]


def left_over(labels: set[str]) -> list[str]:
    """What is of no declared table any more, a line each."""
    sources = {label.partition(".")[0] for label in labels}
    judged = {file: file.stem.removeprefix("judged_").replace("__", ".") for file in STAGING.glob("*/judged_*.sql")}
    staged = {file: file.stem.removeprefix("stg_").partition("__")[0] for file in STAGING.glob("*/stg_*.sql")}
    return [
        *(f"macros/quality/landed_tables.sql: the name '{label}'" for label in named() if label not in labels),
        *(f"{SAMPLES.relative_to(PROJECT)}/{label}.yml" for label in samples() if label not in labels),
        *(str(file.relative_to(PROJECT)) for file, label in judged.items() if label not in labels),
        *(str(file.relative_to(PROJECT)) for file, of in staged.items() if of not in sources | {"ledger", OURS}),
    ]


def descriptions(folder: Path) -> dict[str, str]:
    """By model, and by source and table."""
    found = {}
    for file in folder.glob("_*.yml"):
        content = yaml.safe_load(file.read_text())
        found |= {model["name"]: model.get("description", "") for model in content.get("models", [])}
        for source in content.get("sources", []):
            found |= {f"{source['name']}.{table['name']}": table.get("description", "") for table in source["tables"]}
    return found


def gives(sql: str, column: str) -> bool:
    """Whether the outermost `select` gives a column of this name."""
    return bool(re.search(rf"^\s+(.* as )?{column},$", sql.rpartition("\n)\n")[2], re.MULTILINE))


def lacks_nothing(sql: str, column: str) -> bool:
    """Whether it reads no column of this name but one that raw may lack."""
    said = sql.partition("optional={")[2].partition("}")[0]
    rest = sql.replace(said, "") if said else sql
    return f"'{column}':" in said or not re.search(rf"\b{column}\b", rest)


def test_no_declared_table_lacks_anything() -> None:
    assert [line for declared in read_declarations(STAGING) for line in lacks(declared)] == []


def test_nothing_is_left_of_a_table_that_is_not_declared() -> None:
    assert left_over({f"{source}.{name}" for source, name, _ in read_declarations(STAGING)}) == []


def test_what_is_left_of_a_retired_source_is_named_as_its_page_says() -> None:
    kept = {f"{source}.{name}" for source, name, _ in read_declarations(STAGING) if source != "stores"}
    page = (PROJECT / "docs" / "how-to" / "retire-a-source.md").read_text()
    (named,) = re.findall(r"^```\n(macros/.*?)\n```$", page, re.DOTALL | re.MULTILINE)
    assert left_over(kept) == named.split("\n")


def test_what_a_new_table_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = next(declared for declared in read_declarations(STAGING) if declared.name == "orders")
    assert lacks(orders._replace(name="vouchers")) == [
        "shop.vouchers lacks macros/quality/landed_tables.sql: its name 'shop.vouchers', for the gate and quarantine",
        "shop.vouchers lacks tests/extract_load/contracts/samples/shop.vouchers.yml: what is sent, what is made of it",
        "shop.vouchers lacks models/staging/shop/judged_shop__vouchers.sql: its rules, one a line",
        "shop.vouchers lacks models/staging/shop: a description of judged_shop__vouchers",
        "shop.vouchers lacks models/staging/shop/stg_shop__vouchers.sql: its accepted rows",
        "shop.vouchers lacks models/staging/shop: a description of stg_shop__vouchers",
        "shop.vouchers lacks models/staging/shop: a description of shop.vouchers",
    ]


def test_a_statistic_of_no_column_and_a_rule_without_a_row_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    orders = next(declared for declared in read_declarations(STAGING) if declared.name == "orders")
    watched = orders.declaration.model_copy(update={"statistics": {"total": "number"}, "optional": ["shipped_at"]})
    monkeypatch.setattr("test_declared_tables.rows_of", lambda _: [])
    found = lacks(orders._replace(declaration=watched))
    assert "shop.orders lacks models/staging/shop/judged_shop__orders.sql: the column total, of statistics" in found
    file = "models/staging/shop/judged_shop__orders.sql"
    assert f"shop.orders lacks {file}: shipped_at among what is `optional` there" in found
    assert "shop.orders lacks models/staging/shop: a row of a unit test that breaks total_negative" in found
