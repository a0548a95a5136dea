"""`make run`, `make psql` and the rest, as a person uses them: in an empty home, and with servers of one's own."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path

import psycopg
import pytest
from houses import Command, command
from parsed import lend

from storehouse.core.settings import PROJECT
from storehouse.laptop.server import Server

LAYERS = {
    *("raw", "raw_shop", "raw_marketplace", "raw_reviews", "raw_stores", "staging", "quarantine", "intermediate"),
    *("build", "core", "sales", "customers", "feedback", "view_inputs", "operations"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """An empty home with the embedded server and the demo shop, after its first run."""
    run = command(tmp_path_factory.mktemp("home"))
    first = run("run", "--days", "3", "--size", "0.2")
    run.first = first
    yield run
    run("stop")


def test_the_first_run_lands_builds_and_says_where_to_look(home: Command) -> None:
    assert home.first.returncode == 0, home.first.stdout + home.first.stderr
    for words in ("shop.orders", "core.fct_orders", "tests:", " 0 failed", "Look next", "make psql", "Done in"):
        assert words in home.first.stdout
    assert "transform" in home.first.stderr


def test_the_summary_of_a_run_fits_a_screen_with_the_tests_that_warned(home: Command) -> None:
    shown = home.first.stdout
    lines = shown.splitlines()
    assert len(lines) <= 24, shown
    assert max(len(line) for line in lines) <= 100, shown
    counted = next(line for line in lines if line.startswith("tests:"))
    named = [line for line in lines if line.startswith("  warned")]
    assert re.search(r" [1-9]\d* warned", counted) and named, shown
    for line in named:
        assert home("psql", "-At", given=line.partition(": ")[2]).stdout, line


def test_psql_runs_the_sql_on_its_standard_input_and_finds_a_schema_a_layer(home: Command) -> None:
    done = home("psql", "-At", given="select nspname from pg_namespace")
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) >= LAYERS
    stopped = home("psql", "-At", given="select 1/0;\nselect 'went on'")
    assert stopped.returncode and "division by zero" in stopped.stderr and "went on" not in stopped.stdout


def test_what_became_of_the_run_is_kept_with_what_it_landed_and_what_dbt_did(home: Command) -> None:
    query = """
        select
            runs.state, runs.broken_tasks, runs.landed_rows = loads.rows, runs.loads = loads.loads,
            invocations.started_by, invocations.status
        from operations.pipeline_runs as runs
        inner join operations.dbt_runs as invocations using (run_id)
        inner join (
            select run_id, sum(rows) as rows, count(*) as loads from raw.loads group by run_id
        ) as loads using (run_id)
        where runs.pipeline = 'make run'
    """
    assert home("psql", "-At", given=query).stdout == "succeeded||t|t|make run|warned\n"


def test_the_second_run_lands_the_next_day(home: Command) -> None:
    newest = "select max(order_date) from core.fct_orders"
    before = home("psql", "-At", given=newest).stdout
    second = home("run")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "was running" in second.stderr
    assert home("psql", "-At", given=newest).stdout > before


def test_an_audit_of_a_fresh_run_finds_nothing_and_of_a_hand_made_change_names_the_key(home: Command) -> None:
    # The last column would end the script that holds dbt's catalog, if it stood in it as it is.
    home("psql", given='create schema audit_trail; alter table build.dim_products add "</script><script>alert(1)" text')
    documented = home("docs")
    assert documented.returncode == 0, documented.stderr
    file, columns = map(Path, re.findall(r"(?:Open |column: )(\S+)", documented.stdout))
    assert columns.exists()
    page = file.read_text()
    # Its first page links to the status and the dashboard, which stand beside it.
    assert page.count("[Status page](status.html)") and "published" in (file.parent / "status.html").read_text()
    assert page.count("[Dashboard](dashboard.html)") and '"sales_cents"' in (file.parent / "dashboard.html").read_text()
    # Counted: of a text of megabytes pytest would look for hours for what is like it.
    assert not page.count("</script><script>alert(1)") and page.count("alert(1)") and page.count("fct_orders")
    # And below each model a link to its place in the page of columns.
    assert page.count("[From column to column](columns.html?model=model.storehouse.fct_orders&parents=1)")
    # Where readers find it, and not where it is built.
    assert page.count('"relation_name": "\\"storehouse\\".\\"core\\".\\"fct_orders\\""') > 1
    assert page.count('"relation_name": "\\"storehouse\\".\\"build\\"') == 0
    home("psql", given='alter table build.dim_products drop "</script><script>alert(1)"')
    assert home("audit").returncode == 0
    assert (
        home("psql", "-At", given="select nspname from pg_namespace where nspname like 'audit%'").stdout
        == "audit_trail\n"
    )
    home("psql", given="drop schema audit_trail")
    for schema, product in (("build", "P-000007"), ("core", "P-000008")):
        home("psql", given=f"update {schema}.dim_products set name = 'by hand' where product_id = '{product}'")
    spoilt = home("audit", "--select", "dim_products")
    assert spoilt.returncode == 1
    # By a hash of the key and lengths: a log of an audit keeps no value.
    assert f"{md5(b'P-000007').hexdigest()}: name has 7 characters, in raw " in spoilt.stdout
    assert f"{md5(b'P-000008').hexdigest()}: name has 7 characters, in what is built " in spoilt.stdout
    assert "2 tables with differences" in spoilt.stdout
    home("dbt", "run", "--select", "+dim_products")
    by_hand = "select count(*) from {}.dim_products where name = 'by hand'"
    mended = home("psql", "-At", given=by_hand.format("build"))
    assert mended.stdout.strip() == "1", "a plain run does not look for what was written by hand"
    advice = [shlex.split(line) for line in spoilt.stdout.splitlines() if line.startswith("  .venv/bin/python")]
    assert [words[4] for words in advice] == ["build", "run-operation"]
    for words, more in zip(
        advice, (["--exclude-resource-type", "unit_test", "--exclude", "tag:audit"], []), strict=True
    ):
        assert home(*words[3:], *more).returncode == 0
    for schema in ("build", "core"):
        assert home("psql", "-At", given=by_hand.format(schema)).stdout.strip() == "0", schema
    assert (
        "schema" not in home("psql", "-At", given="select nspname from pg_namespace where nspname like 'audit%'").stdout
    )


def test_every_unit_test_of_the_models_passes(home: Command) -> None:
    done = home("dbt", "test", "--select", "test_type:unit")
    assert done.returncode == 0, done.stdout + done.stderr


DOUBLED = """
    {{ config(unique_key='name', contract={'enforced': false}) }}
    {% call converge.touched('name') %}
        select product_id as name from {{ converge.changes(ref('dim_products')) }}
    {% endcall %}
    select product_id as name from {{ converge.touched_rows(ref('dim_products'), 'product_id') }} as one
    union all
    select product_id as name from {{ ref('dim_products') }}
"""


def test_what_converge_refuses_is_one_message_of_the_run_in_its_own_words(home: Command, tmp_path: Path) -> None:
    ours = shutil.ignore_patterns(".*", "target", "logs", "__pycache__", "uv.lock")
    project = Path(shutil.copytree(PROJECT, tmp_path / "project", symlinks=True, ignore=ours))
    (project / "models" / "intermediate" / "orders" / "doubled.sql").write_text(DOUBLED)
    environment = home.environment | {"DBT_TARGET_PATH": str(project / "target")}
    lend(environment)
    command = [sys.executable, "-m", "storehouse", "run", "--days", "0"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1
    (said,) = [line for line in done.stdout.splitlines() if line.startswith("  doubled: ")]
    assert "The key of doubled (name) must be in every row, and unique. (could not create unique index" in said
    assert "P-0" not in done.stdout + done.stderr, "no message quotes a row"
    assert "Traceback" not in done.stdout + done.stderr


def test_stop_stops_only_its_own(home: Command, server: Server) -> None:
    assert home("stop").returncode == 0
    assert server.is_running
    again = home("psql", "-At", given="select 1")
    assert again.stdout.strip() == "1"


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Another PostgreSQL server."""
    server = Server(tmp_path_factory.mktemp("outside")).start()
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute("create role loader login password 'let me in'")
        connection.execute("create role reporting nologin")
        connection.execute("create database storehouse owner loader")
        connection.execute("create database webshop owner loader")
    yield server
    server.stop()


def test_an_outside_warehouse_and_an_outside_shop_are_used_as_they_are(outside: Server, tmp_path: Path) -> None:
    shop = f"postgresql://loader:let%20me%20in@127.0.0.1:{outside.port}/webshop"
    assert (
        command(tmp_path, SHOP_DATABASE_URL=shop)("advance", "--days", "2", "--size", "0.1", module="demo").returncode
        == 0
    )
    run = command(
        tmp_path / "own",
        SHOP_DATABASE_URL=shop,
        STORES_URL=str(tmp_path / "demo" / "stores"),
        WAREHOUSE_HOST="127.0.0.1",
        WAREHOUSE_PORT=str(outside.port),
        WAREHOUSE_USER="loader",
        WAREHOUSE_PASSWORD="let me in",
        PII_KEY="the-key-of-an-outside-warehouse-in-a-test",
    )
    done = run("run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "demo shop" not in done.stderr
    counted = run("psql", "-At", given="select channel from core.fct_orders group by 1 order by 1")
    assert counted.stdout.split() == ["stores", "web"]
    assert not (tmp_path / "own" / "postgres").exists()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"WAREHOUSE_PORT": "many"}, "WAREHOUSE_PORT"),
        ({"WAREHOUSE_HOST": "127.0.0.1", "WAREHOUSE_PORT": "1", "PII_KEY": "k" * 32}, "127.0.0.1"),
        ({"OVERLAP_MINUTES": "-5"}, "OVERLAP_MINUTES"),
    ],
)
def test_a_wrong_setting_is_one_clear_message(variables: dict[str, str], words: str, tmp_path: Path) -> None:
    done = command(tmp_path, SHOP_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", **variables)("run")
    assert done.returncode == 1
    assert words in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_a_warehouse_that_does_not_answer_is_one_clear_message(tmp_path: Path) -> None:
    done = command(tmp_path, WAREHOUSE_HOST="127.0.0.1", WAREHOUSE_PORT="1")("summary")
    assert done.returncode == 1
    assert "WAREHOUSE_HOST" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_named(server: Server, tmp_path: Path) -> None:
    done = command(tmp_path, STOREHOUSE_PORT=str(server.port))("start")
    assert done.returncode == 1
    assert f"Port {server.port} is taken" in done.stderr
