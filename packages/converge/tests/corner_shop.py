"""The scene: the package's integration project on a PostgreSQL of its own, built once, copied for every test."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from dbt.artifacts.schemas.results import NodeStatus
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt_common.behavior_flags import BehaviorFlagRendered
from psycopg import sql

from storehouse.laptop.server import Server

PACKAGE = Path(__file__).resolve().parent.parent
PROJECT = PACKAGE / "integration"
DATABASE = "corner_shop"
KEYS = {
    "stg_orders": ["order_id"],
    "stg_items": ["order_id", "line_number"],
    "orders": ["order_id"],
    "daily_sales": ["order_date", "region"],
    "monthly_sales": ["order_month", "region"],
}


class Refused(Exception):
    """dbt, or one of its models, failed."""


class Parsed(NamedTuple):
    """What dbt made of the project's files: a manifest for each target, and the SQL of each model."""

    manifests: dict[str, Manifest]
    sql: dict[str, str]


class Shop:
    """The corner shop: its landing zone, its warehouse, and dbt.

    Args:
        folder: a copy of the integration project, which tests may edit.
        server: the PostgreSQL server that has the shop's database.
    """

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server
        self.parsed = self.parsed_as_built = Parsed({}, {})
        self.edited: dict[Path, str | None] = {}

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Point dbt at this shop."""
        place = {"PGHOST": "127.0.0.1", "PGPORT": str(self.server.port), "PGDATABASE": DATABASE}
        place |= {"PGUSER": "postgres", "PGPASSWORD": self.server.password}
        paths = {"DBT_TARGET_PATH": str(self.folder / "target"), "DBT_LOG_PATH": str(self.folder / "logs")}
        # No test reads dbt's log, and its lines cost a tenth of a run.
        paths |= {"DBT_LOG_LEVEL_FILE": "none"}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (place | paths | {"CONVERGE_PACKAGE": str(PACKAGE)}).items():
                patch.setenv(name, value)
            # dbt walks the stack for each of its flags, and has one flag more in each invocation of a process.
            patch.setattr(BehaviorFlagRendered, "_default_source", staticmethod(lambda: "dbt"))
            yield

    @contextmanager
    def opened(self, state: str = "built") -> Iterator["Shop"]:
        """The shop in a state in which it was kept: a copy of its database, and files that are put back."""
        self.administer(f"create database {DATABASE} template {DATABASE}_{state}")
        try:
            with self.environment():
                yield self
        finally:
            self.put_back()
            self.administer(f"drop database {DATABASE} with (force)")

    def keep(self, state: str) -> None:
        """Keep the shop as it is, database and files, to be opened again and again."""
        self.edited = {}
        self.parsed_as_built = self.parsed
        self.administer(f"alter database {DATABASE} rename to {DATABASE}_{state}")

    def administer(self, statement: str) -> None:
        with psycopg.connect(self.server.conninfo(), autocommit=True) as connection:
            connection.execute(statement)

    def connect(self, **options: object) -> psycopg.Connection:
        return psycopg.connect(self.server.conninfo(DATABASE), **options)

    def query(self, statement: str) -> list[tuple]:
        with self.connect() as connection:
            return connection.execute(statement).fetchall()

    def value(self, statement: str) -> object:
        return self.query(statement)[0][0]

    def execute(self, script: str, **options: object) -> None:
        with self.connect(**options) as connection:
            connection.execute(script)

    def land(self, load_id: int | None = None, **tables: list[dict]) -> int:
        """One load: rows and their ledger row, in one transaction, under the ledger's lock."""
        with self.connect() as connection:
            connection.execute("select pg_advisory_xact_lock(1)")
            (last, position) = connection.execute(
                "select coalesce(max(load_id), 0), coalesce(max(position), 0) + 1 from landing.loads"
            ).fetchone()
            load_id = load_id or last + 1
            for table, rows in tables.items():
                for number, row in enumerate(rows, start=1):
                    values = row | {"_load_id": load_id, "_row": number}
                    statement = sql.SQL("insert into {} ({}) values ({})").format(
                        sql.Identifier("landing", table),
                        sql.SQL(", ").join(map(sql.Identifier, values)),
                        sql.SQL(", ").join(sql.Placeholder() * len(values)),
                    )
                    connection.execute(statement, list(values.values()))
            connection.execute("insert into landing.loads values (%s, %s)", [load_id, position])
        return load_id

    def write(self, file: str, text: str) -> None:
        """Write a file of the project, until the end of the test."""
        path = self.folder / file
        self.edited.setdefault(path, path.read_text() if path.exists() else None)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.parsed = Parsed({}, {})

    def remove(self, file: str) -> None:
        """Remove a file of the project, until the end of the test."""
        path = self.folder / file
        self.edited.setdefault(path, path.read_text())
        path.unlink()
        self.parsed = Parsed({}, {})

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text in a file of the project, until the end of the test."""
        text = (self.folder / file).read_text()
        assert old in text
        self.write(file, text.replace(old, new))

    def put_back(self) -> None:
        for path, text in self.edited.items():
            path.unlink(missing_ok=True)
            if text is not None:
                path.write_text(text)
        self.edited = {}
        self.parsed = self.parsed_as_built

    def arguments(self, *arguments: str) -> list[str]:
        places = ["--project-dir", str(self.folder), "--profiles-dir", str(self.folder)]
        return [*arguments, *places, "--quiet", "--no-write-json"]

    def results(self, *arguments: str, target: str = "default") -> dict[str, tuple[bool, str]]:
        """Run dbt; for each node whether it went well, and what it said."""
        if target not in self.parsed.manifests:
            done = dbtRunner().invoke([*self.arguments("parse"), "--target", target])
            if not done.success:
                raise Refused(str(done.exception))
            self.parsed.manifests[target] = done.result
        # A manifest of its own: compiling marks the ephemeral models as done.
        manifest = self.parsed.manifests[target].deepcopy()
        done = dbtRunner(manifest=manifest).invoke([*self.arguments(*arguments), "--target", target])
        if done.exception:
            raise Refused(str(done.exception))
        bad = {NodeStatus.Error, NodeStatus.Fail, NodeStatus.Skipped}
        if arguments[0] == "compile":
            self.parsed.sql.update({result.node.name: result.node.compiled_code for result in done.result})
        return {
            result.node.name: (result.status not in bad, result.message or str(result.status)) for result in done.result
        }

    def dbt(self, *arguments: str, target: str = "default") -> dict[str, str]:
        """Run dbt; what each node said.

        Raises:
            Refused: a node failed.
        """
        results = self.results(*arguments, target=target)
        failed = {name: message for name, (well, message) in results.items() if not well}
        if failed:
            raise Refused("\n".join(f"{name}: {message}" for name, message in failed.items()))
        return {name: message for name, (_, message) in results.items()}

    def invalidate(self, *inputs: str) -> None:
        """Run `converge.invalidate`.

        Raises:
            Refused: it failed.
        """
        arguments = self.arguments("run-operation", "converge.invalidate", "--args", json.dumps({"inputs": inputs}))
        done = dbtRunner().invoke(arguments)
        if not done.success:
            raise Refused(str(done.exception or done.result.results[0].message))

    def run(self, *arguments: str) -> dict[str, str]:
        return self.dbt("run", *arguments)

    def rows(self, model: str) -> list[tuple]:
        return self.query(f"select * from main_shop.{model} order by {', '.join(KEYS[model])}")

    def differences(self) -> dict[str, list]:
        """For each model, the rows that are not what its SQL gives on what its parents hold: none, after a run."""
        if not self.parsed.sql:
            self.results("compile")
        differences = {}
        for model, key in KEYS.items():
            fresh = self.parsed.sql[model]
            if model.startswith("stg_"):
                order = ", ".join([*key, "_version_at desc", "_load_id desc", "_row desc"])
                fresh = f"select distinct on ({', '.join(key)}) * from ({fresh}) as versions order by {order}"
            table = f"table main_shop.{model}"
            pairs = [(f"({fresh})", table, "missing"), (table, f"({fresh})", "extra")]
            found = [(word, self.query(f"{one} except all {other}")) for one, other, word in pairs]
            if any(rows for _, rows in found):
                differences[model] = found
        return differences


def order(order_id: str, updated_at: str = "2026-01-01", **values: object) -> dict:
    """A landed version of an order."""
    defaults = {"order_id": order_id, "country": "DE", "placed_at": "2026-01-01", "updated_at": updated_at}
    return defaults | values


def item(order_id: str, line_number: int = 1, amount: float = 10, updated_at: str = "2026-01-01", **values) -> dict:
    """A landed version of a line."""
    return {"order_id": order_id, "line_number": line_number, "amount": amount, "updated_at": updated_at} | values
