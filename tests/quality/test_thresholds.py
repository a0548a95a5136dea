"""A load with too much that is wrong stops below staging, and what was wrong is counted until it is put right."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from houses import MODELS_ALONE, Command, command

SALES = ("build.fct_orders", "build.fct_order_items", "build.fct_payments", "build.agg_daily_sales")
MARTS = (
    *SALES,
    "build.dim_customers",
    "build.dim_products",
    "build.cohort_retention",
    "build.customer_lifetime_value",
)
# The same marts, where their readers find them.
SHOWN = tuple(
    {"agg_": "sales", "coho": "customers", "cust": "customers"}.get(mart[6:10], "core") + mart[5:] for mart in MARTS
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(scope="module")
def five_days(folder: Path) -> Iterator[Command]:
    """The home of a shop after five days in which every record was right; it is stopped."""
    home = command(folder / "home")
    try:
        assert home("start").returncode == 0
        land(home, "--days", "5", "--size", "0.3", "--error-rate", "0")
        built = home("dbt", *MODELS_ALONE)
        assert built.returncode == 0, built.stdout + built.stderr
        assert home("stop").returncode == 0
        yield home
    finally:
        home("stop")


@pytest.fixture(scope="module")
def wanted(folder: Path, five_days: Command) -> list[str]:
    """What a copy of the shop has after three days more in which no day goes wrong."""
    # `cp`, because a server that root starts may own its files.
    subprocess.run(["cp", "-a", folder / "home", folder / "twin"], check=True)
    twin = command(folder / "twin")
    try:
        assert twin("start").returncode == 0
        land(twin, "--days", "3")
        built = twin("dbt", *MODELS_ALONE)
        assert built.returncode == 0, built.stdout + built.stderr
        return content(twin, MARTS)
    finally:
        twin("stop")


@pytest.fixture
def home(five_days: Command, wanted: list[str]) -> Command:
    """The shop whose days go wrong. After its twin, at the same port: what dbt has parsed holds for both."""
    return five_days


def land(home: Command, *played: str) -> None:
    """Play the shop on, and land all."""
    for module, arguments in (("demo", ("advance", *played)), ("extract_load", ("all",))):
        done = home(*arguments, module=module)
        assert done.returncode == 0, done.stdout + done.stderr


def content(home: Command, tables: tuple[str, ...]) -> list[str]:
    """A hash of each table, times of change and ids of loads apart: a correction is a change."""
    hashed = "md5(string_agg((to_jsonb(t) - '{updated_at}'::text[])::text, '' order by t::text))"
    script = "".join(f"select '{table}', {hashed} from {table} as t;" for table in tables)
    found = home("psql", "-At", given=script).stdout.splitlines()
    assert len(found) == len(tables)
    return found


def hashes(tables: list[str]) -> list[str]:
    """Without the tables' names."""
    return [line.partition("|")[2] for line in tables]


def value(home: Command, query: str) -> str:
    return home("psql", "-At", given=query).stdout.strip()


STATUS = "select string_agg(distinct status, ' ') from quarantine.quarantined_records where table_name = 'orders'"


def test_too_much_that_is_wrong_stops_the_day_until_the_source_corrects_it(
    folder: Path, home: Command, wanted: list[str]
) -> None:
    few = home("run", "--days", "1", "--bad-orders", "0.04")
    assert few.returncode == 0, few.stdout + few.stderr
    (line,) = [line for line in few.stdout.splitlines() if "shop.orders" in line]
    assert 3 < float(line.split()[-4]) < 5
    assert value(home, STATUS) == "pending"

    before, shown_before = content(home, SALES), content(home, SHOWN)
    customers_before = content(home, ("build.dim_customers",))
    assert hashes(shown_before) == hashes(content(home, MARTS))
    orders_before = value(home, "select count(*) from staging.stg_shop__orders")
    many = home("run", "--days", "1", "--bad-orders", "0.06")
    assert many.returncode == 1
    for words in ("shop.orders: 5.", "the limit is 5.00 %", "total_negative", "(load ", "stay as they were"):
        assert words in many.stdout
    # In dbt's own output, in its results, and in the list of what failed.
    titled = "Too many refused records: shop.orders: 5."
    assert f"  {titled}" in many.stdout and f"stg_shop__orders: {titled}" in many.stdout
    results = json.loads((folder / "home" / "target" / "run_results.json").read_text())["results"]
    (message,) = [result["message"] for result in results if result["unique_id"].endswith(".stg_shop__orders")]
    assert message.startswith(titled)
    assert "Compilation Error" not in many.stdout + many.stderr
    assert content(home, SALES) == before
    assert value(home, "select count(*) from staging.stg_shop__orders") > orders_before
    # Nor is anything else of the day seen: readers have all marts at one bound.
    assert content(home, ("build.dim_customers",)) != customers_before
    assert content(home, SHOWN) == shown_before
    assert (
        "not published: shop, " in many.stdout
        and "staging.stg_shop__orders waits for the model's own build" in many.stdout
    )
    assert "not published: feedback" not in many.stdout
    assert home("published").returncode == 1

    again = home("dbt", *MODELS_ALONE)
    assert again.returncode == 1, "what was stopped once is not forgotten"
    assert titled in again.stdout and "Compilation Error" not in again.stdout
    assert content(home, SALES) == before

    after = home("run", "--days", "1")
    assert after.returncode == 0, after.stdout
    assert value(home, STATUS) == "resolved"
    assert content(home, MARTS) == wanted
    assert hashes(content(home, SHOWN)) == hashes(wanted)
    assert home("published").returncode == 0
    assert home("audit").returncode == 0


def test_a_raised_limit_lets_one_run_pass_and_a_waiver_what_it_names(folder: Path, home: Command) -> None:
    assert home("run", "--days", "1", "--bad-orders", "0.2").returncode == 1
    # With vars dbt parses all anew: in another folder, so that the next run has what was parsed without them.
    raised = command(folder / "home", DBT_TARGET_PATH=str(folder / "raised"))
    passed = raised("run", "--days", "0", "--vars", "{quality_limits: {shop.orders: 30}}")
    assert passed.returncode == 0, passed.stdout
    newest = "select max(load_id) from raw.loads where source = 'shop' and table_name = 'orders' and rows > 0"
    assert value(home, "select load_id from converge.passed_loads where label = 'shop.orders'") == value(home, newest)
    stopped = home("run", "--days", "1", "--bad-orders", "0.2")
    assert stopped.returncode == 1, "the limit was raised for one run"
    home(
        "psql",
        given="""
        insert into seeds.quarantine_waivers
        select record_id, 'tests', 'nobody asks for them', '2100-01-01'
        from quarantine.quarantined_records where status = 'pending'
    """,
    )
    waived = home("dbt", *MODELS_ALONE, "seed")
    assert waived.returncode == 0, waived.stdout
    assert value(home, STATUS) == "resolved waived"


def test_the_accepted_side_of_every_judged_table_has_the_gate_and_no_other_model(folder: Path, home: Command) -> None:
    """Its configuration is of a whole folder; a model that it is for reads what the gate asks."""
    nodes = json.loads((folder / "home" / "target" / "manifest.json").read_text())["nodes"]
    staging = {node["name"]: node for node in nodes.values() if "staging" in node["fqn"]}
    gated = {
        name for name, node in staging.items() if "model.storehouse.int_loads__judged" in node["depends_on"]["nodes"]
    }
    assert gated == {name.replace("judged_", "stg_") for name in staging if name.startswith("judged_")}
