"""What analysts are given to copy runs as it stands, as `reporting`: the query of each model, docs/for-analysts.md.

A model's description has one query in a block of SQL. The page's questions have their SQL and, where there is one, the
metric that says the same.
"""

import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from duckdb_extensions import import_extension
from houses import House, build_demo
from psycopg.conninfo import conninfo_to_dict

from publish import sales
from storehouse.core.settings import PROJECT

PAGE = (PROJECT / "docs/for-analysts.md").read_text()
SQL = re.compile(r"^```sql\n(.+?)^```$", re.DOTALL | re.MULTILINE)
QUESTIONS = dict(re.findall(r"^### (\d+)\. (?:.+?)\n(.+?)(?=^### |\Z)", PAGE, re.DOTALL | re.MULTILINE))
PYTHON = re.compile(r"^```python\n(.+?)^```$", re.DOTALL | re.MULTILINE)
MADE = re.compile(r"^\$ make metric (.+)$", re.MULTILINE)
# Without rows in a house of tests, where everything goes well and nothing is run but a build.
NONE_HERE = {"alerts", "alert_conditions", "pipeline_runs", "unused_relations"}
# Of the questions that no metric answers: the same of the facts.
OF_FACTS = {
    "2": """
        select region, sum(total_usd) filter (where age < 28), sum(total_usd) filter (where age >= 28 and age < 56)
        from (select *, max(order_date) over () - order_date as age from core.fct_orders) as orders
        where is_counted group by region
    """,
    "10": """
        select product_id, max(name), count(*), round(avg(rating), 2), count(*) filter (where rating < 3)
        from core.fct_reviews left join core.dim_products using (product_id)
        where product_id is not null group by product_id having count(*) > 4
        order by avg(rating), count(*) desc, product_id limit 10
    """,
}
Model = tuple[str, dict[str, Any]]


def people_read() -> Iterator[Model]:
    """The models that people read, each with its schema."""
    for layer in ("marts/*", "operations", "quarantine"):
        for path in PROJECT.glob(f"models/{layer}/*__models.yml"):
            yield from ((path.parent.name, model) for model in yaml.safe_load(path.read_text())["models"])


MODELS = list(people_read())


@pytest.mark.quick
def test_every_model_that_people_read_has_one_query_to_begin_with() -> None:
    without = [
        f"{schema}.{model['name']}"
        for schema, model in MODELS
        if not re.search(rf"\b{schema}\.{model['name']}\b", "".join(SQL.findall(model["description"])))
        or len(SQL.findall(model["description"])) != 1
    ]
    assert len(MODELS) > 30
    assert without == [], "their descriptions lack a block of SQL that reads them where people find them"


@pytest.mark.quick
def test_the_first_page_of_the_docs_leads_to_what_is_there() -> None:
    text = (PROJECT / "models/_overview.md").read_text()
    defined = {path.stem for path in (PROJECT / "models").rglob("*.sql")}
    for path in (PROJECT / "models").rglob("*.yml"):
        defined |= set(re.findall(r"^ +-? ?name: (\w+)", path.read_text(), re.MULTILINE))
    assert set(re.findall(r"#!/(\w+)/", text)) == {"model", "metric", "exposure"}
    assert {name for name in re.findall(r"#!/\w+/\w+\.storehouse\.(\w+)", text) if name not in defined} == set()


@pytest.mark.quick
def test_there_are_ten_questions_each_with_its_sql() -> None:
    assert list(QUESTIONS) == [str(number) for number in range(1, 11)]
    assert {number for number, text in QUESTIONS.items() if len(SQL.findall(text)) != 1} == set()
    assert {number for number, text in QUESTIONS.items() if not MADE.search(text)} == set(OF_FACTS)


@pytest.fixture(scope="module")
def house(server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Nine weeks of the demo shop, so that there are a month before and 28 days before the last 28."""
    yield from build_demo(server, tmp_path_factory.mktemp("home"), days=63, size=0.05)


def as_reporting(house: House, query: str) -> list[tuple]:
    """What an analyst gets."""
    with psycopg.connect(house.warehouse, options="-c role=reporting -c search_path=pg_catalog") as analyst:
        return analyst.execute(query).fetchall()


@pytest.mark.parametrize(("schema", "model"), MODELS, ids=[model["name"] for _, model in MODELS])
def test_the_query_of_a_model_runs_as_reporting(house: House, schema: str, model: dict[str, Any]) -> None:
    (query,) = SQL.findall(model["description"])
    if schema == "quarantine":
        # Its records are as they landed: the role must not read them.
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_reporting(house, query)
        rows = house.query(query)
    else:
        rows = as_reporting(house, query)
    assert bool(rows) is (model["name"] not in NONE_HERE), rows


@pytest.mark.parametrize("number", QUESTIONS)
def test_an_answer_is_what_the_metric_or_the_facts_say(house: House, number: str) -> None:
    from storehouse.core import semantics  # not for the quick tests: it is large

    (query,) = SQL.findall(QUESTIONS[number])
    found = as_reporting(house, query)
    if made := MADE.search(QUESTIONS[number]):
        given = dict(word.split("=") for word in shlex.split(made[1]))
        asked = semantics.sql(semantics.engine(), given["NAME"].split(","), given["BY"].split(","))
        expected = semantics.answer(asked).rows
    else:
        expected = house.query(OF_FACTS[number])
    assert len(found) > 1 and any(any(row[1:]) for row in found)
    if "limit 10" in query:
        expected = sorted(expected, key=lambda row: row[1], reverse=True)[:10] if made else expected
        assert len(found) == 10
    assert Counter(found) == Counter(expected)


@pytest.fixture
def anna(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A login made as the page says, in libpq's variables."""
    place = conninfo_to_dict(house.warehouse)
    with psycopg.connect(house.warehouse, autocommit=True) as warehouse:
        for statement in re.findall(r"storehouse=# (create role .+;)", PAGE):
            warehouse.execute(statement)
        warehouse.execute("alter role anna password 'open-sesame'")
        for name in ("host", "port"):
            monkeypatch.setenv(f"PG{name.upper()}", str(place[name]))
        monkeypatch.setenv("PGDATABASE", place["dbname"])
        monkeypatch.setenv("PGUSER", "anna")
        monkeypatch.setenv("PGPASSWORD", "open-sesame")
        yield
        warehouse.execute("drop role anna")


def run(tool: str, house: House) -> dict[str, Any]:
    """The page's lines for this tool, and what they leave behind."""
    (code,) = (block for block in PYTHON.findall(PAGE) if tool in block)
    exec(code.replace(".storehouse/", f"{house.home}/"), left := {})
    return left


def by_channel(house: House) -> dict[str, Any]:
    """What all three are asked for, by SQL."""
    return dict(house.query("select channel, sum(sales_usd) from sales.agg_daily_sales group by channel"))


def test_pandas_reads_a_mart_as_the_page_says(house: House, anna: None) -> None:
    found = run("pandas", house)["by_channel"].to_dict()
    assert found == {channel: pytest.approx(float(amount)) for channel, amount in by_channel(house).items()}


def test_duckdb_reads_a_mart_as_the_page_says(
    house: House, anna: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where DuckDB keeps its extensions. This one is from a wheel: the page's `install` finds it there.
    monkeypatch.setenv("HOME", str(tmp_path))
    import_extension("postgres_scanner")
    assert dict(run("attach", house)["by_channel"].fetchall()) == by_channel(house)


def test_duckdb_reads_the_exported_files_as_the_page_says(house: House) -> None:
    sales.export()
    assert dict(run("read_parquet", house)["by_channel"]) == by_channel(house)


@pytest.mark.quick
def test_a_file_of_the_page_is_there() -> None:
    for link in re.findall(r"\]\(([^)#]+)", PAGE):
        assert Path(PROJECT / "docs" / link).exists(), link
