"""Who sees what: readers see masked values in public marts alone, and nobody can change that unnoticed."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from houses import House
from privacy_scene import Command
from psycopg import sql
from psycopg.conninfo import make_conninfo

from storehouse.core import transform
from storehouse.core.settings import PROJECT, settings
from storehouse.laptop.server import Server

pytest_plugins = ["privacy_fixtures"]


@pytest.fixture
def reader(lived_in: House) -> Iterator[psycopg.Connection]:
    """A person who is a member of `reporting`, and nothing else."""
    with psycopg.connect(lived_in.warehouse, autocommit=True) as owner:
        owner.execute(f"create role an_analyst login password '{owner.info.password}' in role reporting")
        with psycopg.connect(make_conninfo(lived_in.warehouse, user="an_analyst"), autocommit=True) as connection:
            yield connection
        owner.execute("drop role an_analyst")


def public_tables() -> list[tuple[str, str]]:
    nodes = transform.manifest()["nodes"].values()
    return [
        (transform.published_schema(node) or node["schema"], node["alias"])
        for node in nodes
        if node["config"].get("access") == "public"
    ]


def test_a_reader_reads_every_public_model_and_meets_no_personal_value(
    lived_in: House, reader: psycopg.Connection
) -> None:
    personal = {
        value
        for (value,) in lived_in.query(
            "select unnest(array[email, full_name, address]) from staging.stg_shop__customer_versions "
            "union select unnest(array[email, full_name]) from staging.stg_marketplace__buyers"
        )
        if value
    }
    assert len(personal) > 500
    assert len(public_tables()) > 10
    for name in public_tables():
        rows = reader.execute(sql.SQL("select * from {}").format(sql.Identifier(*name))).fetchall()
        assert not personal & {value for row in rows for value in row if isinstance(value, str)}, name


def test_a_reader_is_refused_every_other_table(lived_in: House, reader: psycopg.Connection) -> None:
    others = lived_in.query(
        "select schemaname, tablename from pg_tables where schemaname !~ '^pg_|information_schema' "
        "and (schemaname, tablename) != all(select * from json_to_recordset(%s::json) as t (a name, b name))",
        json.dumps([{"a": schema, "b": table} for schema, table in public_tables()]),
    )
    schemas = {schema for schema, _ in others}
    inner = {
        "raw",
        "raw_shop",
        "staging",
        "quarantine",
        "intermediate",
        "build",
        "view_inputs",
        "converge",
        "snapshots",
    }
    assert inner <= schemas
    for name in others:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(sql.SQL("select * from {}").format(sql.Identifier(*name)))


def test_a_reader_is_shown_no_sample_of_what_is_not_published(lived_in: House, reader: psycopg.Connection) -> None:
    with psycopg.connect(lived_in.warehouse, autocommit=True) as owner:
        owner.execute("analyze")
    sampled = reader.execute("select distinct schemaname from pg_stats where schemaname !~ '^pg_'").fetchall()
    theirs = {"core", "sales", "customers", "feedback", "operations", "information_schema"}
    assert {schema for (schema,) in sampled} <= theirs
    assert ("core",) in sampled


def test_a_way_for_readers_to_what_is_being_built_is_closed_at_the_next_run(lived_in: House, command: Command) -> None:
    with psycopg.connect(lived_in.warehouse, autocommit=True) as owner:
        owner.execute("grant usage on schema build to public, reporting")
        owner.execute("revoke usage on schema core from reporting")
    assert command("dbt", "run", "--select", "dim_dates").returncode == 0
    may = "select has_schema_privilege('reporting', %s, 'usage')"
    assert [lived_in.query(may, schema) for schema in ("build", "core")] == [[(False,)], [(True,)]]


def test_a_masked_value_counts_and_joins_as_the_value_does(lived_in: House) -> None:
    plain = (
        "(select customer_id, email, full_name from staging.stg_shop__customers where not _is_deleted "
        "union all select customer_id, email, full_name from staging.stg_marketplace__buyers)"
    )
    counts = "select count(distinct email), count(distinct full_name) from {} as people"
    assert lived_in.query(counts.format("build.dim_customers")) == lived_in.query(counts.format(plain))
    assert lived_in.query(
        "select distinct email ~ '^[0-9a-f]{16}$' from build.dim_customers where email is not null"
    ) == [(True,)]


def test_the_key_is_in_no_log_and_in_no_file_of_dbts(lived_in: House, server: Server, command: Command) -> None:
    asked = ("dbt", "--debug", "build", "--select", "dim_customers", "--full-refresh")
    done = command(*asked, DBT_LOG_LEVEL_FILE="debug")
    assert done.returncode == 0, done.stdout
    key = os.environ["PII_KEY"]
    files = [f for folder in (lived_in.home, server.folder, PROJECT / "logs") for f in folder.rglob("*") if f.is_file()]
    assert [file for file in files if file.parent.name == "target"]
    assert "create " in (lived_in.home / "logs" / "dbt.log").read_text(), "with dbt's statements"
    assert [file for file in files if key.encode() in file.read_bytes()] == []
    assert key not in done.stdout + done.stderr


def test_another_key_masks_everything_anew_at_the_next_run(lived_in: House, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(lived_in.query("select customer_id, email from build.dim_customers where email is not null"))
    key = os.environ["PII_KEY"]
    masked = ["run", "--select", "dim_customers", "dim_customers_history"]
    for now, same in (("another-key-of-more-than-32-characters", 0), (key, len(before))):
        monkeypatch.setenv("PII_KEY", now)
        settings.cache_clear()
        assert transform.build(masked) == []
        after = dict(lived_in.query("select customer_id, email from build.dim_customers where email is not null"))
        assert after.keys() == before.keys()
        assert sum(before[customer] == email for customer, email in after.items()) == same


def test_without_a_key_dbt_parses_and_a_masked_model_says_what_to_do(lived_in: House, command: Command) -> None:
    # In a new folder, where dbt parses all.
    folder = ["--target-path", str(lived_in.home / "keyless")]
    done = command("run", "--select", "dim_customers", *folder, module="dbt.cli.main", PGOPTIONS="")
    assert done.returncode == 1
    assert (lived_in.home / "keyless" / "manifest.json").exists()
    assert "no key to mask personal data with" in done.stdout
    assert 'eval "$(make -s env)"' in done.stdout


@pytest.mark.parametrize(("key", "words"), [("", "PII_KEY is not set"), ("short secret", "PII_KEY is not a key")])
def test_an_own_warehouse_asks_for_a_key_before_anything_is_landed(
    lived_in: House, command: Command, key: str, words: str
) -> None:
    loads = lived_in.query("select count(*) from raw.loads")
    done = command("run", PII_KEY=key)
    assert done.returncode == 1
    assert words in done.stderr
    assert "openssl rand -hex 32" in done.stderr
    assert "short secret" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert lived_in.query("select count(*) from raw.loads") == loads


def test_the_embedded_server_gets_a_key_of_its_own_that_only_its_owner_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WAREHOUSE_HOST", "PII_KEY", "PGOPTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STOREHOUSE_HOME", str(tmp_path))
    settings.cache_clear()
    options = settings().session_environment()["PGOPTIONS"]
    assert (tmp_path / "pii_key").stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("PGOPTIONS", f"-c statement_timeout=0 {options}")
    told = settings().session_environment()["PGOPTIONS"]
    # What it says already, the key with it, is said once; what was asked for beside it stays.
    assert sorted(told.split("-c ")) == sorted(f"-c statement_timeout=0 {options}".split("-c "))
    assert [file.name for file in tmp_path.iterdir()] == ["pii_key"]
    settings.cache_clear()


@pytest.fixture
def copy(lived_in: House, tmp_path: Path) -> Path:
    """A copy of the project, to be spoilt."""
    ours = shutil.ignore_patterns(".*", "target", "logs", "__pycache__", "uv.lock")
    project = Path(shutil.copytree(PROJECT, tmp_path / "project", symlinks=True, ignore=ours))
    # dbt parses what is edited, and no more.
    (project / "target").mkdir()
    shutil.copy(lived_in.home / "target" / "partial_parse.msgpack", project / "target")
    return project


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def dbt(command, copy: Path, *arguments: str):
    places = ["--project-dir", str(copy), "--target-path", str(copy / "target"), "--log-path", str(copy / "logs")]
    environment = settings().dbt_environment()
    return command(*arguments, *places, module="dbt.cli.main", **environment)


def test_a_column_that_is_tagged_or_named_as_one_above_and_not_masked_stops_the_run_before_it_writes(
    copy: Path, command: Command
) -> None:
    models = copy / "models/marts/core/_core__models.yml"
    edit(models, "{pii: email, masked: true}", "{pii: email}")
    edit(models, "config: {meta: {pii: name, masked: true}}", "")
    done = dbt(command, copy, "run", "--select", "dim_customers")
    assert done.returncode != 0
    said = done.stdout.partition("Personal data would be readable in public models: ")[2]
    assert "dim_customers.email (email)" in said and "dim_customers.full_name (name)" in said
    assert "dim_customers ....." not in done.stdout


def test_a_personal_value_under_another_name_fails_the_daily_build_and_the_audit(
    lived_in: House, copy: Path, command
) -> None:
    edit(
        copy / "models/marts/core/dim_customers.sql", "cast(unioned.city as varchar)", "cast(unioned.email as varchar)"
    )
    daily = dbt(command, copy, "build", "--select", "dim_customers", "--exclude", "tag:audit", "test_type:unit")
    assert daily.returncode == 1
    assert "FAIL" in daily.stdout
    assert "customers_show_no_personal_value" in daily.stdout
    audit = dbt(command, copy, "test", "--select", "no_public_model_shows_a_personal_value")
    assert "FAIL 1" in audit.stdout
    assert transform.build(["build", "--select", "dim_customers", "--exclude", "test_type:unit"]) == []
    assert transform.build(["test", "--select", "no_public_model_shows_a_personal_value"]) == []


def test_a_role_that_may_not_create_readers_says_what_to_run(lived_in: House, command: Command) -> None:
    with psycopg.connect(lived_in.warehouse, autocommit=True) as owner:
        owner.execute("alter role reporting rename to reporting_for_a_moment")
        owner.execute(f"create role weak login superuser password '{owner.info.password}'")
        owner.execute("alter role weak nosuperuser")
        owner.execute(sql.SQL("grant all on database {} to weak").format(sql.Identifier(owner.info.dbname)))
        owner.execute("grant usage on schema converge, raw to weak")
        owner.execute("grant all on all tables in schema converge, raw to weak")
        try:
            own = {"WAREHOUSE_USER": "weak", "DBT_TARGET_PATH": str(lived_in.home / "target" / "weak")}
            done = command("dbt", "run", "--select", "dim_dates", **own)
        finally:
            owner.execute("drop owned by weak")
            owner.execute("drop role weak")
            owner.execute("alter role reporting_for_a_moment rename to reporting")
    assert done.returncode != 0
    assert "weak may not create it. Let an administrator run, once: create role reporting nologin" in done.stdout
