"""With LOG_FORMAT=json every line on standard error is JSON, and one search tells the story of a row."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from airflow_scene import Notices, web_hook
from houses import Command, command

from storehouse.core.settings import PROJECT


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """A home after a run without the marketplace, and one that is stopped for refused records and sends a notice."""
    run = command(tmp_path_factory.mktemp("home"), LOG_FORMAT="json", HTTP_RETRIES="1")
    away = {"MARKETPLACE_URL": "http://127.0.0.1:1"}
    run.environment |= away
    run.first = run("run", "--days", "2", "--size", "0.05")
    for name in away:
        del run.environment[name]
    with web_hook() as run.environment["NOTIFY_URL"]:
        run.stopped = run("run", "--bad-orders", "0.4")
        run.notices = [notice["title"] for notice in Notices.received]
    yield run
    run("stop")


def lines(done: subprocess.CompletedProcess) -> list[dict]:
    """What a command wrote on standard error: a JSON object a line, each with a time, a level and words."""
    found = [json.loads(line) for line in done.stderr.splitlines()]
    assert all({"timestamp", "level", "event"} <= line.keys() for line in found)
    return found


def rows(home: Command, query: str) -> set[tuple]:
    """What psql prints."""
    return {tuple(line.split("|")) for line in home("psql", "-At", given=query).stdout.splitlines()}


def test_from_a_rows_load_one_search_leads_to_its_run_and_all_that_this_built(home: Command) -> None:
    told = lines(home.first)
    # Of any row of raw.
    ((load,),) = rows(home, "select min(_load_id) from raw_shop.orders")
    (landed,) = [line for line in told if line.get("load") == int(load) and "rows" in line]
    run_id = landed["run"]
    assert {(run_id, landed["source"], landed["table"])} == rows(
        home, f"select run_id, source, table_name from raw.loads where load_id = {load}"
    )
    assert landed["rows"] > 0 and landed["seconds"] >= 0 and "/" in landed["interval"]

    story = [line for line in told if line.get("run") == run_id]
    built = {(line["model"], str(line.get("rows", ""))) for line in story if "model" in line}
    assert built == rows(
        home,
        f"select name, rows_affected from operations.model_runs where run_id = '{run_id}' and resource_type = 'model'",
    )
    assert len(built) > 30 and all(line["seconds"] >= 0 for line in story if "model" in line)
    assert story[-1]["event"].startswith("make run failed")


def test_every_load_has_its_line_those_of_files_and_of_reconciliation_too(home: Command) -> None:
    told = {
        (str(line["load"]), line["source"], line["table"], str(line["rows"]))
        for done in (home.first, home.stopped)
        for line in lines(done)
        if "load" in line and "rows" in line
    }
    assert told == rows(home, "select load_id, source, table_name, rows from raw.loads")


def test_what_failed_is_an_error_with_its_source_and_the_rest_of_the_run_is_told(home: Command) -> None:
    assert home.first.returncode == 1
    wrong = [line for line in lines(home.first) if line["level"] == "error"]
    assert {line.get("source") for line in wrong} == {"marketplace", None}
    assert "core.fct_orders" in home.first.stdout and "Failed in" in home.first.stdout, "for people, as always"


def test_a_notice_to_people_stands_among_the_lines_of_its_run(home: Command) -> None:
    assert home.stopped.returncode == 1 and home.notices
    told = lines(home.stopped)
    assert len({line["run"] for line in told}) == 1
    assert [line["event"] for line in told if line["event"].startswith("notice sent")] == [
        f"notice sent: {title}" for title in home.notices
    ]
    (stopped,) = [line for line in told if line["level"] == "error" and "model" in line]
    assert "Too many refused records: shop.orders: " in stopped["event"]
    assert any(line["level"] == "error" and line["event"].startswith("not published") for line in told)


def test_extract_load_by_itself_has_results_on_its_output_and_its_lines_as_json(home: Command) -> None:
    done = home("shop", "--run-id", "by-hand", module="extract_load")
    assert done.returncode == 0 and done.stdout == ""
    told = lines(done)
    assert {line["table"] for line in told} == {"customers", "products", "orders", "order_items", "payments"}
    assert {(line["run"], line["source"]) for line in told} == {("by-hand", "shop")}
    for_people = dict(home.environment)
    home.environment["LOG_FORMAT"] = "text"
    done = home("shop", module="extract_load")
    home.environment |= for_people
    assert done.stderr == "" and "shop.orders" in done.stdout and "{" not in done.stdout


@pytest.mark.quick
@pytest.mark.parametrize(
    ("module", "arguments", "variables", "words"),
    [
        ("storehouse", ["nonsense"], {}, "invalid choice: 'nonsense'"),
        ("storehouse", ["alerts"], {"WAREHOUSE_PORT": "x"}, "WAREHOUSE_PORT: Input should be a valid integer"),
        ("storehouse", ["run", "--vars", "x"], {}, "VARS must be names with values"),
        ("storehouse", ["psql"], {"LOG_FORMAT": "yaml"}, "LOG_FORMAT: Input should be 'text' or 'json'"),
        ("extract_load", ["nothing"], {}, "invalid choice: 'nothing'"),
        ("extract_load", ["check", "nothing"], {}, "There is no source nothing"),
        ("publish", ["sales"], {"WAREHOUSE_PORT": "x"}, "publish sales: A setting in the environment is wrong"),
        ("demo", ["advance"], {"WAREHOUSE_PORT": "x"}, "demo: A setting in the environment is wrong"),
        ("storehouse.laptop.airflow", [], {"WAREHOUSE_PORT": "x"}, "A setting in the environment is wrong"),
    ],
)
def test_a_command_that_fails_says_so_in_json(
    tmp_path: Path, module: str, arguments: list[str], variables: dict[str, str], words: str
) -> None:
    done = run_python(tmp_path, "-m", module, *arguments, **{"LOG_FORMAT": "json"} | variables)
    assert done.returncode and not done.stdout
    if variables.get("LOG_FORMAT") == "yaml":
        assert words in done.stderr, "it can't be said in a form that there is not"
        return
    assert words in lines(done)[-1]["event"]


def run_python(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    env = os.environ | {"STOREHOUSE_HOME": str(home), "PYTHONPATH": str(PROJECT)} | variables
    return subprocess.run([sys.executable, *arguments], env=env, cwd=PROJECT, capture_output=True, text=True)


SPEAKERS: dict[str, Callable[[str], str]] = {
    "a library's logger": lambda said: f"logging.getLogger('library').warning({said!r})",
    "our logger": lambda said: f"logging.getLogger('storehouse.operate.metrics').warning({said!r})",
    "progress": lambda said: f"progress.say('server', {said!r})",
    "a warning": lambda said: f"warnings.warn({said!r})",
    "who writes on standard error": lambda said: f"print({said!r}, file=sys.stderr)",
}


@pytest.mark.quick
@pytest.mark.parametrize("speaker", SPEAKERS)
def test_no_line_has_a_secret_whoever_speaks(tmp_path: Path, speaker: str) -> None:
    said = "can't open https://r3ader:hunter2@host/a?token=s3cr3t, with w0rd-w0rd\nand a second line"
    script = f"""
import logging, sys, warnings
from storehouse.core import progress
progress.configure()
{SPEAKERS[speaker](said)}
"""
    done = run_python(tmp_path, "-c", script, LOG_FORMAT="json", REDIS_URL="redis://:w0rd-w0rd@host")
    (line,) = lines(done)
    assert "can't open https://host/a" in line["event"] and "second line" in line["event"]
    assert not any(secret in done.stderr for secret in ("hunter2", "s3cr3t", "w0rd", "r3ader"))


@pytest.mark.quick
def test_of_an_error_that_nobody_caught_and_of_one_that_is_logged_no_line_has_words(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("""
import json, logging
from storehouse.core import progress
progress.configure()
record = json.loads('{"email": "ada@example.org"}')
try:
    record["emails"], int(record["email"])
except (KeyError, ValueError):
    logging.getLogger("library").exception("it broke")
int(record["email"])
""")
    done = run_python(tmp_path, str(script), LOG_FORMAT="json")
    logged, last = lines(done)
    assert done.returncode == 1 and "ada@" not in done.stderr
    assert logged["exception"].startswith("unexpected KeyError at script.py, line 7")
    assert last["level"] == "critical" and last["event"].startswith("unexpected ValueError at script.py, line 10")
    assert last["stack"][-1].endswith("script.py, line 10, in <module>")


@pytest.mark.quick
def test_for_people_a_line_is_told_once_and_notes_are_not_whatever_dbt_does_to_logging() -> None:
    script = """
import logging
from storehouse.core import progress
progress.configure()
import dbt.tracking
progress.note("a note")
progress.say("step", "words")
progress.fail("what failed")
logging.getLogger("extract_load").warning("a warning")
logging.getLogger("another").info("not for people")
"""
    env = {name: value for name, value in os.environ.items() if name != "LOG_FORMAT"}
    done = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, env=env, capture_output=True, text=True)
    assert done.stderr.splitlines() == ["step          words", "what failed", "a warning"]
