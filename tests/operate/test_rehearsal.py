"""The rehearsal: back up while a build is at work, go on for two days, restore, run: nothing is lost."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from houses import Command, command
from parsed import lend

from storehouse.core.settings import PROJECT
from storehouse.laptop.server import Server
from storehouse.operate.backup import backups

SHOP = "rehearsed_shop"
PUBLISHED = ("core", "sales", "customers", "feedback")


def well(run: Command, *arguments: str, module: str = "storehouse") -> str:
    """The output of a command that goes well."""
    done = run(*arguments, module=module)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def marts(home: Path) -> dict[str, list[tuple]]:
    """All rows of all that readers see, as text."""
    with psycopg.connect(Server(home / "postgres").conninfo("storehouse")) as warehouse:
        names = warehouse.execute(
            "select table_schema || '.' || table_name from information_schema.tables where table_schema = any(%s)",
            [list(PUBLISHED)],
        ).fetchall()
        return {
            name: warehouse.execute(f"select row::text from {name} as row order by 1").fetchall() for (name,) in names
        }


@pytest.fixture
def shop(server: Server) -> Iterator[str]:
    """A shop's own database, on a server that nobody restores."""
    server.ensure_database(SHOP)
    yield server.conninfo(SHOP)
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(f"drop database {SHOP} with (force)")


def back_up_while_it_builds(home: Path, run: Command) -> Path:
    """A back-up that begins when a run has built some models and not all."""
    lend(run.environment, "default")
    building = subprocess.Popen(
        [sys.executable, "-m", "storehouse", "run"],
        cwd=PROJECT,
        env=run.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    built = 0
    for line in building.stdout:
        built += line.startswith("transform")
        if built == 3:
            break
    well(run, "backup")
    assert building.poll() is None, "the run was over before the back-up"
    said = building.communicate()[0]
    assert building.returncode == 0, said
    return backups(home / "backups")[-1].folder


def test_what_was_backed_up_while_it_was_built_and_is_restored_loses_nothing(tmp_path, shop) -> None:
    home, restored = tmp_path / "home", tmp_path / "restored"
    run, again = (command(folder, SHOP_DATABASE_URL=shop) for folder in (home, restored))
    try:
        well(run, "start")
        well(run, "advance", "--days", "3", "--size", "0.2", module="demo")
        well(run, "run")
        well(run, "backup")
        well(run, "advance", "--days", "1", module="demo")
        backup = back_up_while_it_builds(home, run)
        assert backup.name.endswith("incremental")
        for _ in range(2):
            well(run, "advance", "--days", "1", module="demo")
            well(run, "run")
        with psycopg.connect(shop) as connection:
            connection.execute("delete from orders where order_id in (select min(order_id) from orders)")
        well(run, "reconcile", "shop", "--compare", "columns", module="extract_load")
        well(run, "run")
        well(run, "restore", "--from", str(backup), "--into", str(restored))
        well(again, "run")
        with psycopg.connect(Server(restored / "postgres").conninfo("storehouse")) as warehouse:
            (positions,) = warehouse.execute("select count(*) - max(position) from raw.loads").fetchone()
        assert positions == 0
        well(again, "reconcile", "shop", "--compare", "columns", module="extract_load")
        well(again, "run")
        assert marts(restored) == marts(home)
        assert len(marts(home)["core.fct_orders"]) > 1000
        assert "0 tables with differences" in well(again, "audit", "--from", "source")
    finally:
        run("stop")
        again("stop")
