"""The roles that deploy/roles.sql makes: each does its part, and nothing else."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import warm
from mail_server import mail_server
from parsed import lend

from storehouse.core.settings import PROJECT
from storehouse.laptop.server import Server, binaries

ROLES = PROJECT / "deploy" / "roles.sql"
PASSWORD = "let me in"
OUR_VARIABLES = (
    "WAREHOUSE_",
    "SHOP_",
    "MARKETPLACE_",
    "REVIEWS_",
    "STORES_",
    "STOREHOUSE_",
    "DBT_",
    "EXTRACT_",
    "FORGET_",
    "REPORT_",
)
RAW = ("raw.loads", "raw_shop.orders", "raw_stores.sales")
OF_RUNS = ("raw_operations.dbt_runs", "raw_operations.node_results")
MARTS = ("core.fct_orders", "sales.agg_daily_sales", "feedback.product_ratings", "operations.pipeline_loads")
INNER = (
    "staging.stg_shop__orders",
    "intermediate.int_orders__unioned",
    "converge.inputs",
    "quarantine.refused_records",
    "build.fct_orders",
    "view_inputs.int_customers__valued",
)
BEGIN_A_BUILD_ON_AIRFLOW = (
    "from one_build import results; from storehouse.orchestrate.dbt_tasks import Storehouse; "
    "results.begin(lambda: Storehouse.connect(''), 'shop_elt', 'a run')"
)
SESSION_OPTIONS = "from storehouse.core.settings import settings; print(settings().session_environment()['PGOPTIONS'])"
# Who is asked, in a process that has read a DAG's file, as every task's has.
WHO_IS_TOLD_THE_KEY = """
import dags.shop_elt
from storehouse.core import databases
from publish.warehouse import EXPORT_LOCK, snapshot
from storehouse.orchestrate.dbt_tasks import Storehouse

shop = databases.open_source("SHOP_DATABASE_URL", "shop")
with shop, databases.open_warehouse() as extract, snapshot(EXPORT_LOCK, "a test") as reporting:
    for place in (shop, extract, reporting, Storehouse.connect("")):
        key = place.execute("select current_setting('storehouse.pii_key', true)").fetchone()[0]
        print("TOLD", place.info.user, place.info.dbname, key or "nothing")
"""


class Warehouse:
    """A database on that server, and the environment in which its three roles do their parts."""

    def __init__(self, server: Server, home: Path, name: str) -> None:
        self.server, self.name, self.home = server, name, home
        theirs = {key: value for key, value in os.environ.items() if not key.startswith(OUR_VARIABLES)}
        self.environment = theirs | {
            "STOREHOUSE_HOME": str(home),
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
            "FORGET_USER": "forget",
            "FORGET_PASSWORD": PASSWORD,
            "PII_KEY": "the-key-of-a-warehouse-in-a-test",
        }

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        """`python -m …` in that environment."""
        environment = self._environment(variables)
        if arguments[0] == "storehouse":
            lend(environment)
        return warm.run(*arguments, env=environment)

    def said(self, code: str, **variables: str) -> str:
        """What the code prints in that environment."""
        command, environment = [sys.executable, "-c", code], self._environment(variables)
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        environment = self.environment | variables
        # What dbt has parsed for one database and user does not hold for another.
        folder = self.home / "target" / self.name / environment["WAREHOUSE_USER"]
        return environment | {"DBT_TARGET_PATH": str(folder)}

    def query(self, statement: str) -> list[tuple]:
        with psycopg.connect(self.server.conninfo(self.name)) as connection:
            return connection.execute(statement).fetchall()

    def password_of(self, role: str) -> str:
        """The test's own, but for the superuser's."""
        return self.server.password if role == "postgres" else PASSWORD

    def connect(self, role: str) -> psycopg.Connection:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.server.port,
            dbname=self.name,
            user=role,
            password=self.password_of(role),
            autocommit=True,
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
    server = Server(tmp_path_factory.mktemp("server")).start()
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


LOGINS = ("extract", "transform", "reporting", "forget")


def run_roles(warehouse: Warehouse, by: str = "owner", *options: str) -> subprocess.CompletedProcess:
    """What an administrator types."""
    place = ["-h", "127.0.0.1", "-p", str(warehouse.server.port), "-U", by, "-d", warehouse.name]
    command = [str(binaries() / "psql"), "-X", *place, *options, "-f", str(ROLES)]
    password = warehouse.password_of(by)
    return subprocess.run(command, env={"PGPASSWORD": password}, capture_output=True, text=True, timeout=60)


def give_roles(warehouse: Warehouse, by: str = "owner") -> None:
    """The script, and a password each."""
    done = run_roles(warehouse, by)
    assert done.returncode == 0, done.stderr
    with warehouse.connect(by) as connection:
        for role in LOGINS:
            connection.execute(f"alter role {role} password '{PASSWORD}'")


@pytest.fixture(scope="module")
def warehouse(make) -> Warehouse:
    """An empty database with its roles, given twice, after a run that extracted, built and published as they."""
    warehouse = make("storehouse")
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
            "select count(*) from pg_roles "
            "where rolname in ('extract', 'transform', 'reporting', 'forget', 'raw_owner') "
            "and (rolsuper or rolcreaterole or rolcreatedb or rolbypassrls)"
        ).fetchone()[0]
    assert rows > 0 and supers == 0
    assert {(schema, *who) for schema, *who in owners if schema == "raw"} == {("raw", "raw_owner", "raw_owner")}
    assert {tuple(who) for schema, *who in owners if schema != "raw"} == {("transform", "transform")}
    assert warehouse.query("select rolname from pg_roles where rolname = 'raw_owner' and not rolcanlogin")
    assert list(Path(warehouse.environment["STOREHOUSE_HOME"]).rglob("sales.parquet"))


def test_the_status_is_what_the_role_that_reports_may_see(warehouse):
    done = warehouse.run("storehouse", "status", REPORTING_USER="reporting", WAREHOUSE_PASSWORD="of nobody")
    assert done.returncode == 0, done.stderr
    assert "published  feedback, shop: position" in done.stdout and "not known" not in done.stdout


def test_extract_sees_and_writes_raw_alone(warehouse):
    assert all(warehouse.may("extract", f"select from {table}") for table in RAW)
    assert not any(warehouse.may("extract", f"select from {table}") for table in MARTS + INNER)
    assert not warehouse.may("extract", "create schema mine")
    assert not warehouse.may("extract", "create table core.mine ()")


def test_extract_appends_to_raw_and_can_change_nothing_that_stands_there(warehouse):
    for table in RAW:
        column = "rows" if table == "raw.loads" else "_row"
        assert warehouse.may("extract", f"insert into {table} select * from {table} limit 0")
        assert not warehouse.may("extract", f"delete from {table}")
        assert not warehouse.may("extract", f"update {table} set {column} = 0")
        assert not warehouse.may("extract", f"truncate {table}")


@pytest.mark.parametrize(
    "statement",
    [
        "drop table raw_shop.orders",
        "alter table raw_shop.orders rename to other",
        "alter table raw_shop.orders add column more text",
        "alter table raw_shop.orders alter column status set default 'x'",
        "alter table raw_shop.orders add check (true)",
        "alter table raw_shop.orders enable row level security",
        "alter table raw_shop.orders inherit raw_shop.customers",
        "alter table raw_shop.orders owner to extract",
        "create policy p on raw_shop.orders using (true)",
        "create rule r as on update to raw_shop.orders do also select 1",
        "create trigger t after update on raw_shop.orders execute function suppress_redundant_updates_trigger()",
        "create index on raw_shop.orders ((lower(status)))",
        "create statistics s on status, currency from raw_shop.orders",
        *(f"create view {schema}.v as select 1" for schema in ("raw", "raw_shop", "public", "staging", "converge")),
        "create table raw_shop.mine ()",
        "create temp table mine () inherits (raw_shop.orders)",
        "create type raw.t as enum ('x')",
        "create domain raw.d as text",
        "create function raw.f() returns int language sql return 1",
        "create or replace function raw.shape(text, text, json, text[]) returns void language sql as ''",
        "alter function raw.shape(text, text, json, text[]) owner to extract",
        "create function public.f() returns int language sql return 1",
        "create operator raw.=== (leftarg = text, rightarg = text, function = texteq)",
        'create collation raw.c from "C"',
        "create aggregate raw.a (text) (sfunc = text_concat, stype = text)",
        "create cast (text as int) with inout as implicit",
        "create schema extract",
        "create schema mine",
        "create publication p",
        "create event trigger e on ddl_command_start execute function suppress_redundant_updates_trigger()",
        "alter default privileges for role raw_owner grant all on tables to extract",
        "alter default privileges for role transform grant all on tables to extract",
        "set role raw_owner",
        "set role transform",
        "set session authorization transform",
        "alter role transform set search_path = raw",
        "alter database storehouse set search_path = raw",
        "set session_preload_libraries = 'x'",
        "select setval('raw.load_ids', 1)",
        "select pg_read_file('/etc/hostname')",
        "copy raw_shop.orders to program 'true'",
        "comment on table raw_shop.orders is 'mine'",
        "lock table staging.stg_shop__orders",
        "create table forgetting.mine ()",
        "table forgetting.sought",
    ],
)
def test_extract_can_put_nothing_where_another_role_would_run_it(warehouse, statement):
    try:
        assert not warehouse.may("extract", statement)
    except (psycopg.errors.UndefinedObject, psycopg.errors.FeatureNotSupported) as error:
        pytest.fail(f"not refused for want of the right: {error}")


def test_extract_lands_a_column_that_the_shop_has_added(warehouse):
    with psycopg.connect(warehouse.server.conninfo("webshop"), autocommit=True) as shop:
        shop.execute("alter table products add column if not exists colour text default 'blue'")
    done = warehouse.run("extract_load", "shop", "--tables", "products")
    assert done.returncode == 0, done.stderr
    assert "new column colour" in done.stdout
    assert warehouse.query("select distinct colour from raw_shop.products") == [(None,), ("blue",)]
    made = "select pg_get_userbyid(relowner), relacl::text from pg_class where oid = 'raw_shop.products'::regclass"
    ((owner, rights),) = warehouse.query(made)
    assert owner == "raw_owner" and "extract=ar" in rights and "transform=r" in rights


@pytest.mark.parametrize(
    ("schema", "column", "type_"),
    [
        ("raw_shop", "c", "public.mine"),
        ("raw_shop", "c", "pg_temp.mine"),
        ("raw_shop", "c", "text default pg_read_file('/etc/hostname')"),
        ("raw_shop", "c", "text); drop table raw.loads; --"),
        ("raw_shop", "c", "record"),
        ("raw_shop", "c", "pg_class"),
        ("core", "c", "text"),
        ("public", "c", "text"),
    ],
)
def test_through_raw_shape_extract_gets_plain_columns_of_raw_and_nothing_else(warehouse, schema, column, type_):
    with psycopg.connect(warehouse.server.conninfo(warehouse.name), autocommit=True) as connection:
        connection.execute("drop domain if exists public.mine; create domain public.mine as text check (true)")
    with warehouse.connect("extract") as connection:
        connection.execute("create domain pg_temp.mine as text check (true)")
        columns = "json_build_object(%s::text, %s::text, '_load_id', 'bigint', '_op', 'text')"
        shape = f"select raw.shape(%s, 'mine', {columns}, '{{}}')"
        with pytest.raises(psycopg.Error):
            connection.execute(shape, [schema, column, type_])
    assert warehouse.query("select count(*) from pg_class where relname = 'mine' and relkind = 'r'") == [(0,)]


def test_a_source_of_another_name_is_handed_over_and_stays_so(make):
    own = make("own")
    theirs = "select nspname::text from pg_namespace where nspowner = 'raw_owner'::regrole"
    assert run_roles(own, "owner", "-v", "sources=billing stock").returncode == 0
    assert {name for (name,) in own.query(theirs)} == {"raw", "raw_operations", "raw_billing", "raw_stock"}
    assert run_roles(own).returncode == 0
    assert {name for (name,) in own.query(theirs)} > {"raw_billing", "raw_stock", "raw_shop"}
    columns = '{"_load_id": "bigint", "_op": "text"}'
    assert own.may("extract", f"select raw.shape('raw_billing', 'lines', '{columns}', '{{}}')")


def test_transform_appends_what_its_runs_did_and_can_change_nothing_of_it(warehouse):
    ((runs, by),) = warehouse.query("select count(*), max(started_by) from operations.dbt_runs")
    assert (runs, by) == (1, "make run")
    for table in OF_RUNS:
        assert warehouse.may("transform", f"insert into {table} select * from {table} limit 0")
        for role in ("extract", "reporting", "forget"):
            assert not warehouse.may(role, f"insert into {table} select * from {table} limit 0")
        for statement in (
            "delete from {}",
            "truncate {}",
            "alter table {} add c int",
            "create trigger t after insert on {} execute function suppress_redundant_updates_trigger()",
        ):
            assert not warehouse.may("transform", statement.format(table))
        assert not warehouse.may("reporting", f"select from {table}")
    assert warehouse.may("reporting", "select from operations.dbt_runs")


def test_a_builder_without_the_right_to_say_what_it_did_builds_all_the_same(warehouse):
    with warehouse.connect("owner") as connection:
        connection.execute("revoke insert on all tables in schema raw_operations from transform")
    try:
        done = warehouse.run("storehouse", "dbt", "--quiet", "build", "--select", "currencies")
    finally:
        assert run_roles(warehouse).returncode == 0
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not landed in raw_operations (42501, permission denied for table " in done.stdout
    assert warehouse.query("select count(*) from raw_operations.dbt_runs where command = 'build'") == [(1,)]


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
    done = warehouse.run("storehouse", "dashboard", f"--page={warehouse.home / 'dashboard.html'}")
    assert (done.returncode, done.stderr) == (0, "") and "sums in" in done.stdout
    assert '"columns":null' not in (warehouse.home / "dashboard.html").read_text()
    assert not any(warehouse.may("reporting", f"select from {table}") for table in RAW + INNER)
    for table in ("core.fct_orders", "sales.agg_daily_sales", "operations.report_log"):
        assert not warehouse.may("reporting", f"delete from {table}")
    for statement in (
        "create temp table mine ()",
        "create table public.mine ()",
        "create table core.mine ()",
        "create schema mine",
        "create schema reporting",
        "create function pg_temp.f() returns int language sql return 1",
        "create function public.f() returns int language sql return 1",
        "create operator public.=== (leftarg = text, rightarg = text, function = texteq)",
    ):
        assert not warehouse.may("reporting", statement), statement


def test_the_sales_report_is_read_by_who_reports_and_noted_by_who_builds(warehouse):
    with mail_server() as mails:
        variables = {"REPORT_URL": mails.url, "REPORT_EVERY": "day"}
        done = warehouse.run("storehouse", "report", "--send", **variables)
        assert (done.returncode, done.stderr) == (0, "") and "REPORT_URL 1: sent" in done.stdout
        assert len(mails.taken()) == 1
        done = warehouse.run("storehouse", "report", "--send", **variables | {"REPORTING_USER": "extract"})
        assert done.returncode == 1 and "needs what `reporting` has" in done.stderr
    assert warehouse.query("select every, route from operations.report_log") == [("day", "REPORT_URL 1")]


def test_nobody_makes_large_objects_where_a_superuser_ran_the_script_and_else_it_says_who_must(make, warehouse):
    said = run_roles(warehouse).stderr
    assert "WARNING:  Only a superuser can forbid reporting to make large objects" in said
    place = make("by_a_superuser")
    give_roles(place, by="postgres")
    makes = ("lo_create(0)", "lo_creat(-1)", "lo_from_bytea(0, 'x')")
    for role in ("extract", "reporting"):
        assert not any(place.may(role, f"select {made}") for made in makes)
    with place.connect("extract") as extract:
        assert extract.execute("show log_error_verbosity").fetchone() == ("terse",)
        assert extract.execute("show log_min_messages").fetchone() == ("log",)


def test_nobody_looks_for_names_where_another_role_could_make_them(warehouse):
    assert warehouse.may("transform", "create schema extract")
    for role in ("extract", "reporting", "forget"):
        with warehouse.connect(role) as connection:
            assert connection.execute("show search_path").fetchone() == ("pg_catalog",)


def test_forget_reads_and_updates_raw_and_nothing_else(warehouse):
    assert all(warehouse.may("forget", f"update {table} set _row = _row where false") for table in RAW[1:])
    for table in RAW:
        assert not warehouse.may("forget", f"delete from {table}")
        assert not warehouse.may("forget", f"truncate {table}")
        assert not warehouse.may("forget", f"drop table {table}")
    assert not any(warehouse.may("forget", f"select from {table}") for table in MARTS + INNER)
    assert not warehouse.may("forget", "create schema mine")
    assert not warehouse.may("forget", "set role raw_owner")


def test_a_person_is_forgotten_without_a_superuser(warehouse):
    person, email = warehouse.query(
        "select customer_id::text, max(email) from raw_shop.customers where email ~ '@' group by 1 order by 1 limit 1"
    )[0]
    done = warehouse.run("storehouse", "forget", f"web-{person}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"web-{person}: forgotten. " in done.stdout and email not in done.stdout + done.stderr
    for table in ("raw_shop.customers", "staging.stg_shop__customers"):
        assert warehouse.query(f"select count(*) from {table} where email = '{email}'") == [(0,)]
    assert warehouse.query("select from pg_class where relnamespace = 'forgetting'::regnamespace") == []
    theirs = (
        "select distinct pg_get_userbyid(relowner) from pg_class "
        "where relkind in ('r', 'v') and relnamespace = any(array['staging', 'core']::regnamespace[])"
    )
    assert warehouse.query(theirs) == [("transform",)], "no script needs to be run after it"


def test_forgetting_without_the_right_to_update_raw_says_who_may(warehouse):
    done = warehouse.run("storehouse", "forget", "web-1", FORGET_USER="", FORGET_PASSWORD="")
    assert done.returncode == 1 and "FORGET_USER" in done.stderr and "Traceback" not in done.stderr


def test_a_view_that_others_read_shows_a_readers_condition_its_own_rows_alone(warehouse):
    views = warehouse.query(
        "select relname, coalesce('security_barrier=true' = any(reloptions), false) from pg_class "
        "where relkind = 'v' and has_table_privilege('reporting', oid, 'select') "
        "and relnamespace = any(array['core', 'sales', 'customers', 'feedback', 'operations']::regnamespace[])"
    )
    assert len(views) >= 5 and all(is_barrier for _, is_barrier in views), views


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
    said = warehouse.said("from storehouse.operate.vacuum import vacuum; vacuum()")
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


def test_a_warehouse_with_the_roles_of_an_earlier_version_is_repaired_by_the_script(make, warehouse):
    old = make("of_an_earlier_version")
    give_roles(old)
    assert old.run("extract_load", "prepare").returncode == 0
    raw = ("raw", "raw_shop", "raw_marketplace", "raw_reviews", "raw_stores")
    with psycopg.connect(old.server.conninfo(old.name)) as connection:
        # As it was: extract owned all of raw.
        for schema in raw:
            connection.execute(f"alter schema {schema} owner to extract")
            grant = "grant select on tables to transform"
            connection.execute(f"alter default privileges for role extract in schema {schema} {grant}")
        for kind, name in connection.execute(
            "select case relkind when 'S' then 'sequence' else 'table' end, oid::regclass::text from pg_class "
            "where relkind in ('r', 'S') and relnamespace = any(%s::regnamespace[])",
            [list(raw)],
        ).fetchall():
            connection.execute(f"alter {kind} {name} owner to extract")
        connection.execute("alter function raw.shape(text, text, json, text[]) owner to extract")
    assert old.may("extract", "drop table raw_shop.orders")
    built = old.run("storehouse", "dbt", "run", "--select", "stg_shop__orders")
    assert built.returncode != 0 and "raw.loads belongs to extract, who can log in" in built.stdout, built.stdout
    give_roles(old)
    assert not old.may("extract", "drop table raw_shop.orders")
    assert old.run("extract_load", "shop").returncode == 0
    built = old.run("storehouse", "dbt", "run", "--select", "stg_ledger__loads")
    assert built.returncode == 0, built.stdout


def test_what_extract_has_made_under_an_earlier_version_is_named_and_nothing_is_handed_over(make, warehouse):
    old = make("with_a_hostile_view")
    give_roles(old)
    assert old.run("extract_load", "prepare").returncode == 0
    with psycopg.connect(old.server.conninfo(old.name)) as connection:
        connection.execute("alter schema raw_shop owner to extract; drop table raw_shop.orders; set role extract")
        connection.execute("create function raw_shop.f() returns int language sql as 'select 1'")
        connection.execute("create view raw_shop.orders as select raw_shop.f()")
    done = run_roles(old)
    assert done.returncode != 0
    for made in ("function raw_shop.f() of extract", "view raw_shop.orders of extract"):
        assert made in done.stderr, done.stderr
    owner = "select pg_get_userbyid(nspowner) from pg_namespace where nspname = 'raw_shop'"
    assert old.query(owner) == [("extract",)]
