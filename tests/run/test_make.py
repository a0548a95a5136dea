"""What is given to `make` on its command line reaches the commands as it is, and no shell reads it."""

import os
import subprocess
from pathlib import Path

import pytest
from houses import command

from storehouse.core.settings import PROJECT

NASTY = "it's; touch gone `touch gone` \"&& touch gone"

OF_MAKE = "$(shell touch gone)$(PATH)$$x"


@pytest.fixture
def run(tmp_path: Path):
    """`make` in the project; its Python prints the arguments that it is given, a line each."""
    for name in ("python", "dbt"):
        tool = tmp_path / "bin" / name
        tool.parent.mkdir(exist_ok=True)
        tool.write_text('#!/bin/sh\nprintf "<%s>\\n" "$@"\n')
        tool.chmod(0o755)
    made = ["dbt_packages/.installed", ".venv/.installed", "target/manifest.json"]

    def run(*words: str, **environment: str) -> list[str]:
        command = ["make", "-s", *(word for file in made for word in ("-o", file)), *words, f"BIN={tmp_path / 'bin'}"]
        theirs = {name: value for name, value in os.environ.items() if name not in ("ARGS", "VARS", "MAKEFLAGS")}
        done = subprocess.run(command, cwd=PROJECT, env=theirs | environment, capture_output=True, text=True)
        assert not (PROJECT / "gone").exists()
        return [line.strip("<>") for line in done.stdout.splitlines()] or [done.stderr]

    yield run
    (PROJECT / "gone").unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("target", "variable", "option"),
    [
        ("run", "VARS", "--vars"),
        ("run", "DAYS", "--days"),
        ("run", "UNTIL", "--until"),
        ("run", "SIZE", "--size"),
        ("run", "BAD_ORDERS", "--bad-orders"),
        ("audit", "SELECT", "--select"),
    ],
)
@pytest.mark.parametrize("value", [NASTY, "--full-refresh", "a b", OF_MAKE])
def test_a_value_is_one_word_whatever_stands_in_it(run, target: str, variable: str, option: str, value: str) -> None:
    assert f"{option}={value}" in run(target, f"{variable}={value}")
    assert f"{option}={value}" in run(target, **{variable: value})


def test_nothing_given_is_no_option(run) -> None:
    assert run("run") == ["-m", "storehouse", "run"]
    assert run("audit") == ["-m", "storehouse", "audit"]
    assert run("snapshot", "SOURCE=bank") == ["-m", "extract_load", "bank", "--snapshot"]
    assert "make snapshot SOURCE=billing" in run("snapshot")[0]
    assert run("unpublish", "GROUP=shop") == ["-m", "storehouse", "unpublish", "--", "shop"]
    assert run("unpublish", "GROUP=shop", "TO=17") == ["-m", "storehouse", "unpublish", "--to=17", "--", "shop"]
    assert "make republish GROUP=shop" in run("republish")[0]
    assert run("discover", "SOURCE=BANK_URL") == ["-m", "extract_load", "discover", "--", "BANK_URL"]


def test_a_key_is_words_and_an_order_is_one(run) -> None:
    trace = ["-m", "storehouse", "trace"]
    assert run("trace", f"ORDER={NASTY}") == [*trace, "--", NASTY]
    assert run("trace", f"CUSTOMER={OF_MAKE}", "JSON=1") == [*trace, "--model=dim_customers", "--json", "--", OF_MAKE]
    assert run("trace", "KEY=web-1 'a b';touch gone", "MODEL=fct_order_items") == [
        *trace, "--model=fct_order_items", "--", "web-1", "a b;touch", "gone",
    ]  # fmt: skip
    assert "make trace ORDER=web-123" in run("trace")[0]


def test_the_page_of_the_status_is_one_word(run) -> None:
    assert run("status") == ["-m", "storehouse", "status"]
    assert run("status", f"PAGE={NASTY}") == ["-m", "storehouse", "status", f"--page={NASTY}"]
    assert run("status", f"PAGE={OF_MAKE}") == ["-m", "storehouse", "status", f"--page={OF_MAKE}"]


def test_a_metric_is_asked_for_as_it_is(run) -> None:
    metric = ["-m", "storehouse", "metric"]
    assert run("metric") == metric
    # Not one of the environment: there it is the machine's.
    assert run("metric", NAME="DESKTOP-1") == metric
    assert run("metric", f"NAME={NASTY}", "BY=month, channel", f"CSV={OF_MAKE}", "SQL=1") == [
        *metric, "--by=month, channel", f"--csv={OF_MAKE}", "--sql", "--", NASTY,
    ]  # fmt: skip
    assert run("metric", "NAME=orders", "FROM=2026-01-01", "UNTIL=x y", "CSV=-") == [
        *metric, "--from=2026-01-01", "--until=x y", "--csv=-", "--", "orders",
    ]  # fmt: skip


def test_back_ups_are_asked_for_as_they_are(run) -> None:
    assert run("backup") == ["-m", "storehouse", "backup"]
    assert run("backup", f"TO={NASTY}", "FULL=1") == ["-m", "storehouse", "backup", f"--to={NASTY}", "--full"]
    restore = ["-m", "storehouse", "restore"]
    assert run("restore") == restore
    assert run("restore", "FROM=a b", f"INTO={OF_MAKE}", "FORCE=1") == [
        *restore, "--from=a b", f"--into={OF_MAKE}", "--force",
    ]  # fmt: skip


def test_customers_are_words_with_quotes_as_in_a_shell(run) -> None:
    forget = ["-m", "storehouse", "forget", "--"]
    assert run("forget", "CUSTOMER=web-1 mkt-2") == [*forget, "web-1", "mkt-2"]
    assert run("forget", "CUSTOMER='web-a b' web-2;touch gone") == [*forget, "web-a b", "web-2;touch", "gone"]
    assert run("forget", "CUSTOMER=-h * ~") == [*forget, "-h", "*", "~"]
    assert run("forget", f"CUSTOMER='web-{OF_MAKE}'") == [*forget, f"web-{OF_MAKE}"]
    assert "make forget CUSTOMER=web-123" in run("forget")[0]
    assert "unmatched" in run("forget", "CUSTOMER=web-o'brien")[0]


@pytest.mark.parametrize("target", ["test", "bench", "bench-airflow", "fuzz", "chaos", "test-backfill"])
def test_arguments_for_pytest_and_the_benchmarks_are_words_with_quotes_as_in_a_shell(run, target: str) -> None:
    said = run(target, "-o", "start", "ARGS=-k 'a or b' ; touch gone")
    assert said[-5:] == ["-k", "a or b", ";", "touch", "gone"]


def test_the_numbers_of_the_long_tests_are_read_by_no_shell(run) -> None:
    for target, variable in (("fuzz", "HISTORIES"), ("chaos", "KILLS"), ("test-backfill", "BACKFILL_DAYS")):
        assert "pytest" in run(target, f"{variable}=1; touch gone;")


def test_clean_removes_in_a_home_of_any_name_and_nothing_else(run, tmp_path: Path) -> None:
    home = tmp_path / 'a home\'s "folder"; touch gone'
    (home / "logs").mkdir(parents=True)
    (home / "mine").mkdir()
    # In a project of its own: `clean` also removes what dbt made there.
    (tmp_path / "Makefile").write_text((PROJECT / "Makefile").read_text())
    subprocess.run(["make", "-s", "clean"], cwd=tmp_path, env=os.environ | {"STOREHOUSE_HOME": str(home)}, check=True)
    assert [file.name for file in home.iterdir()] == ["mine"]
    assert not (tmp_path / "gone").exists()


def test_the_printed_environment_holds_for_a_password_with_any_character(tmp_path: Path) -> None:
    password = "it's $HOME `touch gone` \"; touch gone\n\\"
    place = {"WAREHOUSE_HOST": "db", "WAREHOUSE_PASSWORD": password, "PII_KEY": "k" * 32}
    printed = command(tmp_path, **place)("env").stdout
    script = f'{printed}\nprintf %s "$WAREHOUSE_PASSWORD"'
    said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert (said.stdout, said.stderr) == (password, "")


def test_an_id_that_looks_like_a_flag_is_a_customer(tmp_path: Path) -> None:
    done = command(tmp_path, WAREHOUSE_HOST="127.0.0.1", WAREHOUSE_PORT="1", PII_KEY="k" * 32)("forget", "--", "-h")
    assert done.returncode == 1 and "usage" not in done.stdout
