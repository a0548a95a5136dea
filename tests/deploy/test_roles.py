"""The roles that deploy/roles.sql makes, on a server that asks for passwords: each does its part, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from storehouse.server import Server
from storehouse.settings import PROJECT

ROLES = PROJECT / "deploy" / "roles.sql"
PASSWORD = "let me in"
OUR_VARIABLES = ("WAREHOUSE_", "SHOP_", "MARKETPLACE_", "REVIEWS_", "STORES_", "STOREHOUSE_", "DBT_", "EXTRACT_")
RAW = ("raw.loads", "raw_shop.orders", "raw_stores.sales")
MARTS = ("core.fct_orders", "sales.agg_daily_sales", "feedback.product_ratings", "operations.pipeline_loads")
INNER = (
    "staging.stg_shop__orders",
    "intermediate.int_orders__unioned",
    "converge.inputs",
    "quarantine.refused_records",
)
BEGIN_A_BUILD_ON_AIRFLOW = "from storehouse import node_results; node_results.begin('shop_elt', 'a run')"
SESSION_OPTIONS = "from storehouse.settings import settings; print(settings().session_environment()['PGOPTIONS'])"
# Who is asked, in a process that has read a DAG's file, as every task's has.
WHO_IS_TOLD_THE_KEY = """
import dags.shop_elt
from extract_load import databases
from publish.warehouse import EXPORT_LOCK, snapshot
from storehouse import node_results

with databases.open_shop() as shop, databases.open_warehouse() as extract, snapshot(EXPORT_LOCK, "a test") as reporting:
    for place in (shop, extract, reporting, node_results._connect()):
        key = place.execute("select current_setting('storehouse.pii_key', true)").fetchone()[0]
        print("TOLD", place.info.user, place.info.dbname, key or "nothing")
"""


class Warehouse:
    """A database on that server, and the environment in which its three roles do their parts."""

    def __init__(self, server: Server, home: Path, name: str) -> None:
        self.server, self.name = server, name
        theirs = {key: value for key, value in os.environ.items() if not key.startswith(OUR_VARIABLES)}
        self.environment = theirs | {
            "STOREHOUSE_HOME": str(home),
            "DBT_TARGET_PATH": str(home / "target"),
            "SHOP_DATABASE_URL": f"postgresql://owner:let%20me%20in@127.0.0.1:{server.port}/webshop",
            "STORES_URL": str(home / "demo" / "stores"),
            "WAREHOUSE_HOST": "127.0.0.1",
            "WAREHOUSE_PORT": str(server.port),
            "WAREHOUSE_DATABASE": name,
            "WAREHOUSE_USER": "transform",
            "WAREHOUSE_PASSWORD": PASSWORD,
            "EXTRACT_USER": "extract",
            "EXTRACT_PASSWORD": PASSWORD,
            "REPORTING_USER": "reporting",
            "REPORTING_PASSWORD": PASSWORD,
            "PII_KEY": "the-key-of-a-warehouse-in-a-test",
        }

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        """`python -m …` in that environment."""
        return self._python("-m", *arguments, **variables)

    def said(self, code: str, **variables: str) -> str:
        """What the code prints in that environment."""
        done = self._python("-c", code, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _python(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        command, environment = [sys.executable, *arguments], self.environment | variables
        return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=600)

    def query(self, statement: str) -> list[tuple]:
        with psycopg.connect(self.server.conninfo(self.name)) as connection:
            return connection.execute(statement).fetchall()

    def connect(self, role: str) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1", port=self.server.port, dbname=self.name, user=role, password=PASSWORD, autocommit=True
        )

    def may(self, role: str, statement: str) -> bool:
        """Whether the statement is allowed; it is not kept."""
        with self.connect(role) as connection:
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                return False
        return True


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Warehouse]]:
    """Makes an empty database, owned by `owner`, who may create roles and is no superuser."""
    server = Server(tmp_path_factory.mktemp("server"), auth="scram-sha-256", password=PASSWORD).start()
    home = tmp_path_factory.mktemp("home")

    def make_it(name: str) -> Warehouse:
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute(f"create database {name} owner owner")
        return Warehouse(server, home, name)

    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        connection.execute(f"create role owner login createrole password '{PASSWORD}'")
        connection.execute("create database webshop owner owner")
    yield make_it
    server.stop()


def give_roles(warehouse: Warehouse, by: str = "owner") -> None:
    """What an administrator does: the script, and a password each."""
    with warehouse.connect(by) as connection:
        connection.execute(ROLES.read_text())
        for role in ("extract", "transform", "reporting"):
            connection.execute(f"alter role {role} password '{PASSWORD}'")


@pytest.fixture(scope="module")
def warehouse(make) -> Warehouse:
    """An empty database with its roles, given twice, after a run that extracted, built and published as they."""
    warehouse = make("warehouse")
    give_roles(warehouse)
    give_roles(warehouse)
    for command in ("demo advance --days 2 --size 0.1", "storehouse run", "publish sales"):
        done = warehouse.run(*command.split())
        assert done.returncode == 0, done.stdout + done.stderr
    return warehouse


def test_a_run_lands_builds_and_publishes_without_a_superuser(warehouse):
    with psycopg.connect(warehouse.server.conninfo(warehouse.name)) as connection:
        owners = connection.execute(
            "select distinct split_part(nspname, '_', 1), pg_get_userbyid(relowner), pg_get_userbyid(nspowner) "
            "from pg_class join pg_namespace as n on n.oid = relnamespace "
            "where nspname !~ '^pg_' and nspname not in ('public', 'information_schema') and relkind in ('r', 'v', 'S')"
        ).fetchall()
        rows = connection.execute("select count(*) from core.fct_orders").fetchone()[0]
        supers = connection.execute(
            "select count(*) from pg_roles where rolname in ('extract', 'transform', 'reporting') "
            "and (rolsuper or rolcreaterole or rolcreatedb or rolbypassrls)"
        ).fetchone()[0]
    assert rows > 0 and supers == 0
    assert {(schema, *who) for schema, *who in owners if schema == "raw"} == {("raw", "extract", "extract")}
    assert {tuple(who) for schema, *who in owners if schema != "raw"} == {("transform", "transform")}
    assert list(Path(warehouse.environment["STOREHOUSE_HOME"]).rglob("sales.parquet"))


def test_extract_sees_and_writes_raw_alone(warehouse):
    assert all(warehouse.may("extract", f"select from {table}") for table in RAW)
    assert not any(warehouse.may("extract", f"select from {table}") for table in MARTS + INNER)
    assert not warehouse.may("extract", "create schema mine")
    assert not warehouse.may("extract", "create table core.mine ()")


def test_transform_reads_raw_and_never_writes_it(warehouse):
    assert all(warehouse.may("transform", f"select from {table}") for table in RAW + MARTS + INNER)
    for table in RAW:
        assert not warehouse.may("transform", f"delete from {table}")
        column = "rows" if table == "raw.loads" else "_row"
        assert not warehouse.may("transform", f"update {table} set {column} = 0")
        assert not warehouse.may("transform", f"insert into {table} default values")
        assert not warehouse.may("transform", f"truncate {table}")
        assert not warehouse.may("transform", f"drop table {table}")
    assert not warehouse.may("transform", "create table raw.mine ()")
    assert not warehouse.may("transform", "select nextval('raw.load_ids')")


def test_reporting_reads_marts_and_operations_and_writes_nothing(warehouse):
    assert all(warehouse.may("reporting", f"select from {table}") for table in MARTS)
    assert not any(warehouse.may("reporting", f"select from {table}") for table in RAW + INNER)
    for table in ("core.fct_orders", "sales.agg_daily_sales"):
        assert not warehouse.may("reporting", f"delete from {table}")
    for statement in ("create temp table mine ()", "create table public.mine ()", "create table core.mine ()"):
        assert not warehouse.may("reporting", statement), statement


def test_a_mart_that_is_built_anew_is_read_as_before(warehouse):
    done = warehouse.run("storehouse", "dbt", "build", "--full-refresh", "--select", "agg_daily_sales product_ratings")
    assert done.returncode == 0, done.stdout
    assert all(warehouse.may("reporting", f"select from {table}") for table in MARTS)


def test_passwords_may_come_from_a_password_file(warehouse, tmp_path):
    file = tmp_path / "pgpass"
    file.touch(mode=0o600)
    none = {"WAREHOUSE_PASSWORD": "", "EXTRACT_PASSWORD": "", "REPORTING_PASSWORD": "", "PGPASSFILE": str(file)}
    commands = ("extract_load shop", "storehouse dbt run --select stg_shop__orders", "publish sales")
    assert [warehouse.run(*command.split(), **none).returncode for command in commands] == [1, 1, 1]
    roles = ("extract", "transform", "reporting")
    file.write_text("".join(f"127.0.0.1:*:{warehouse.name}:{role}:{PASSWORD}\n" for role in roles))
    assert [warehouse.run(*command.split(), **none).returncode for command in commands] == [0, 0, 0]


def test_settings_may_be_files_that_a_vault_keeps(warehouse, tmp_path):
    secrets = tmp_path / "secrets"
    gone = warehouse.run("extract_load", "shop", STOREHOUSE_SECRETS=str(secrets))
    assert gone.returncode == 1 and f"{secrets}: No such file or directory. Mount" in gone.stderr, gone.stderr
    # As Kubernetes mounts them: links to the folder of the moment.
    names = ("SHOP_DATABASE_URL", "EXTRACT_PASSWORD", "WAREHOUSE_PASSWORD", "PII_KEY")
    (secrets / "..2026").mkdir(parents=True)
    (secrets / "..data").symlink_to("..2026")
    for name in names:
        (secrets / "..2026" / name).write_text(warehouse.environment[name] + "\n")
        (secrets / name).symlink_to(f"..data/{name}")
    mounted = dict.fromkeys(names, "") | {"STOREHOUSE_SECRETS": str(secrets)}
    for command in ("extract_load shop", "storehouse dbt run --select stg_shop__orders"):
        done = warehouse.run(*command.split(), **mounted)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_key_of_personal_data_is_told_to_dbts_sessions_alone(warehouse, tmp_path):
    for options in ("", warehouse.said(SESSION_OPTIONS).strip()):
        said = warehouse.said(WHO_IS_TOLD_THE_KEY, PGOPTIONS=options, AIRFLOW_HOME=str(tmp_path))
        told = [line.removeprefix("TOLD ") for line in said.splitlines() if line.startswith("TOLD ")]
        everybody = ["owner webshop", *(f"{role} {warehouse.name}" for role in ("extract", "reporting", "transform"))]
        assert told == [f"{who} nothing" for who in everybody]


def test_the_weekly_vacuum_reaches_every_table_whoever_owns_it(warehouse):
    said = warehouse.said("from storehouse.vacuum import vacuum; vacuum()")
    assert warehouse.query("select relid::regclass::text from pg_stat_user_tables where last_vacuum is null") == []
    assert "WARNING" not in said, said


def test_nobody_else_connects(warehouse):
    with psycopg.connect(warehouse.server.conninfo(), autocommit=True) as connection:
        connection.execute(f"create role stranger login password '{PASSWORD}'")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        warehouse.connect("stranger")


def test_a_warehouse_that_one_user_has_built_is_handed_over_and_runs_on(make, warehouse):
    old = make("grown")
    alone = {"WAREHOUSE_USER": "owner", "EXTRACT_USER": "owner", "REPORTING_USER": "owner"}
    first = old.run("storehouse", "run", **alone)
    assert first.returncode == 0, first.stdout + first.stderr
    old.said(BEGIN_A_BUILD_ON_AIRFLOW, **alone)
    give_roles(old)
    old.said(BEGIN_A_BUILD_ON_AIRFLOW)
    # A schema that the script does not know stays with whoever made it.
    assert old.query("select nspname from pg_namespace where nspowner = 'owner'::regrole") == []
    assert old.run("demo", "advance", "--days", "1").returncode == 0
    second = old.run("storehouse", "run")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "CREATE" not in second.stderr
    assert all(old.may("reporting", f"select from {table}") for table in MARTS)
    assert not old.may("transform", "delete from raw_shop.orders")
