"""A server, a database and a role whose defaults are odd change nothing: every session of ours says what it needs."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import psycopg2
import pytest
import yaml
from dbt.adapters.contracts.connection import Connection
from dbt.adapters.postgres.connections import PostgresConnectionManager, PostgresCredentials
from houses import Command, House, command

from storehouse.core import databases, sessions
from storehouse.core.settings import PROJECT, settings
from storehouse.laptop.server import Server

ODD = {
    "client_encoding": "LATIN1",
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kolkata",
    "timezone_abbreviations": "Australia",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "quote_all_identifiers": "on",
    "search_path": "nowhere",
    "row_security": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "lc_monetary": "C.UTF-8",
    "lc_numeric": "C.UTF-8",
    "lc_time": "C.UTF-8",
    "statement_timeout": "200ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "100ms",
    "idle_session_timeout": "30s",
    "transaction_timeout": "300ms",
}
# Of the tests' own sessions.
SOUND = "-c default_transaction_read_only=off -c statement_timeout=0 -c transaction_timeout=0 -c lock_timeout=0"
Told = dict[str, str]
DUTIES = ("extract", "transform", "reporting")
SETTINGS = "select name, setting from pg_settings"
LOCALES = {"lc_monetary", "lc_numeric", "lc_time"}  # the shop's own
LEVELS = {"server": "alter system", "database": "alter database {database}", "role": "alter role {role}"}


def make_odd(conninfo: str, *levels: str) -> None:
    """Give the server, the database and the role of this connection odd defaults, at these levels."""
    place = psycopg.conninfo.conninfo_to_dict(conninfo)
    with psycopg.connect(conninfo, autocommit=True, options=SOUND) as connection:
        for level in levels:
            head = LEVELS[level].format(database=place["dbname"], role=place["user"])
            for name, value in ODD.items():
                connection.execute(f"{head} set {name} to '{value}'")
        connection.execute("select pg_reload_conf()")


@pytest.fixture(scope="module")
def odd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of which the test may spoil the defaults."""
    server = Server(tmp_path_factory.mktemp("server"), options={"fsync": "off"})
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("level", LEVELS)
def test_no_session_of_ours_takes_a_default_of_the_(level: str, odd_server: Server, configure, monkeypatch) -> None:
    role, database = f"role_{level}", f"database_{level}"
    with psycopg.connect(odd_server.conninfo(), autocommit=True, options=SOUND) as own:
        own.execute(f"create role {role} superuser login password '{odd_server.password}'")
        own.execute(f"create database {database}")
    conninfo = psycopg.conninfo.make_conninfo(odd_server.conninfo(database), user=role)
    make_odd(conninfo, level)
    with psycopg.connect(conninfo, client_encoding="utf8") as plain:
        odd = dict(plain.execute(SETTINGS).fetchall())
    if level == "server":
        del odd["TimeZone"]  # the embedded server's own command line says it
    configure(
        WAREHOUSE_HOST="127.0.0.1",
        WAREHOUSE_PORT=odd_server.port,
        WAREHOUSE_USER=role,
        WAREHOUSE_PASSWORD=odd_server.password,
        WAREHOUSE_DATABASE=database,
        SHOP_DATABASE_URL=conninfo,
        PII_KEY="the-key-of-every-house-in-the-tests",
    )
    try:
        with databases.open_source("SHOP_DATABASE_URL", "shop") as shop, shop.snapshot():
            check(shop, sessions.MEANING, odd, LOCALES)
        for duty in DUTIES:
            with databases.open_warehouse(duty) as warehouse:
                check(warehouse, sessions.WAREHOUSE_MEANING, odd)
        for name, value in databases.dbt_environment().items():
            monkeypatch.setenv(name, value)
        # As dbt connects.
        dbts = psycopg2.connect(odd_server.conninfo(database), user=role)
        with dbts.cursor() as cursor:
            cursor.execute("select name, setting from pg_settings")
            found = dict(cursor.fetchall())
        assert_told(found, sessions.WAREHOUSE_MEANING, odd)
        dbts.close()
    finally:
        with psycopg.connect(odd_server.conninfo(), autocommit=True, options=SOUND) as own:
            own.execute("alter system reset all")
            own.execute("select pg_reload_conf()")


def ours(place: dict[str, Any]) -> None:
    databases.open_warehouse().close()


def dbts(place: dict[str, Any]) -> None:
    profile = yaml.safe_load((PROJECT / "profiles.yml").read_text())["storehouse"]["outputs"]["default"]
    credentials = PostgresCredentials(**place, schema="public", retries=profile["retries"])
    connection = PostgresConnectionManager.open(Connection(type="postgres", name="one", credentials=credentials))
    connection.handle.close()


@pytest.mark.parametrize("connect", [ours, dbts])
def test_a_session_that_the_server_ends_as_it_begins_is_tried_again(
    connect: Callable, odd_server: Server, configure
) -> None:
    place = {"host": "127.0.0.1", "port": odd_server.port, "user": "postgres", "password": odd_server.password}
    configure(**{f"WAREHOUSE_{name.upper()}": value for name, value in place.items()}, WAREHOUSE_DATABASE="postgres")
    with psycopg.connect(odd_server.conninfo(), autocommit=True, options=SOUND) as own:
        own.execute("alter system set lock_timeout to '1ms'")
        own.execute("select pg_reload_conf()")
        try:
            # As vacuum does, when it gives the room at a catalog's end back.
            own.execute("begin")
            own.execute("lock table pg_database in access exclusive mode")
            with pytest.raises(psycopg.OperationalError, match="due to lock timeout"):
                psycopg.connect(odd_server.conninfo())
            release = threading.Timer(0.7, own.execute, ["rollback"])
            release.start()
            connect(place | {"database": "postgres"})
        finally:
            release.join()
            own.execute("alter system reset all")
            own.execute("select pg_reload_conf()")


def check(connection: psycopg.Connection, wanted: Told, odd: Told, left: set[str] = frozenset()) -> None:
    assert_told(dict(connection.execute(SETTINGS).fetchall()), wanted, odd, left)


def assert_told(found: Told, wanted: Told, odd: Told, left: set[str] = frozenset()) -> None:
    """The settings are the wanted ones, and none that is odd is as a session has it that is told nothing."""
    assert {name: found[name] for name in wanted} == wanted
    assert found["lock_timeout"] == "1800000"
    same = {name for name in ODD.keys() - left - {"client_encoding"} if found[name] == odd.get(name)}
    assert not same and odd["IntervalStyle"] == "sql_standard"


def test_pgoptions_and_the_variables_of_libpq_undo_nothing_but_the_time_outs(
    house: House, configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(
        PGOPTIONS=r"-c DateStyle=German -c row_security=on -c default_transaction_isolation=serializable "
        r"-c statement_timeout=70s --work_mem=3MB",
        PGDATESTYLE="SQL, DMY",
        PGTZ="Asia/Kolkata",
        PGCLIENTENCODING="LATIN1",
    )
    told = "select string_agg(setting, '|' order by name) from pg_settings where name = any(%s)"
    names = ["DateStyle", "TimeZone", "client_encoding", "default_transaction_isolation", "row_security"]
    for _ in range(2):  # the second time as a process below another one
        with databases.open_warehouse() as warehouse:
            assert warehouse.execute(told, [names]).fetchone() == ("ISO, MDY|UTC|UTF8|read committed|off",)
            assert warehouse.execute("show statement_timeout").fetchone() == ("70s",)
            assert warehouse.execute("show work_mem").fetchone() == ("3MB",)
        environment = databases.dbt_environment()
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        place = {"host": "127.0.0.1", "port": os.environ["WAREHOUSE_PORT"], "user": "postgres"}
        with psycopg2.connect(password=os.environ["WAREHOUSE_PASSWORD"], **place) as dbts:
            cursor = dbts.cursor()
            cursor.execute(told, [names])
            assert cursor.fetchone() == ("ISO, MDY|UTC|UTF8|read committed|off",)
            cursor.execute("select current_setting('statement_timeout'), current_setting('random_page_cost')")
            assert cursor.fetchone() == ("70s", "1.1")
        dbts.close()
    assert environment["PGOPTIONS"].count("DateStyle=ISO") == 1
    assert settings().dbt_environment()["PGOPTIONS"].count("lock_timeout") == 1


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """A home with the embedded server and the demo shop, whose server, databases and role are all odd."""
    home = tmp_path_factory.mktemp("home")
    run = command(home)
    assert run("start").returncode == 0
    server = Server(home / "postgres")
    for database in ("shop", "storehouse"):
        make_odd(server.conninfo(database), "database")
    make_odd(server.conninfo("storehouse"), "server", "role")
    yield run
    run("stop")


def test_everything_works_where_every_default_is_odd(odd: Command) -> None:
    done = odd("run", "--days", "3", "--size", "0.05")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failed" in done.stdout
    # The second build, of a day more, is that of `forget`.
    for module, arguments in (("demo", ("advance", "--days", "1")), ("extract_load", ("all",))):
        done = odd(*arguments, module=module)
        assert done.returncode == 0, done.stdout + done.stderr
    newest = "select max(customer_id) from core.dim_customers where customer_id like 'web-%'"
    customer = odd("psql", "-At", given=newest).stdout.strip()
    done = odd("forget", customer)
    assert done.returncode == 0, done.stdout + done.stderr
    done = odd("audit")
    assert done.returncode == 0, done.stdout + done.stderr
    done = odd("sales", module="publish")
    assert done.returncode == 0 and "days written" in done.stdout + done.stderr, done.stderr
    assert odd("summary").returncode == 0
    done = subprocess.run(
        [sys.executable, "-c", "from storehouse.operate.vacuum import vacuum; vacuum()"],
        cwd=PROJECT, env=odd.environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_project_is_parsed_while_the_warehouse_is_away(house: House, tmp_path, configure) -> None:
    configure(WAREHOUSE_PORT=1, DBT_TARGET_PATH=tmp_path)
    asked = [sys.executable, "-m", "storehouse", "dbt", "--quiet"]
    assert subprocess.run([*asked, "parse"], cwd=PROJECT, capture_output=True).returncode == 0
    refused = subprocess.run([*asked, "run"], cwd=PROJECT, capture_output=True, text=True)
    assert refused.returncode == 1 and "Cannot connect to the warehouse 127.0.0.1:1/" in refused.stderr
