"""Running dbt in this process: its progress on one line, its failures as text."""

import gc
import io
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

from storehouse.core import databases
from storehouse.core.errors import StorehouseError, as_error, said_by, without_rows
from storehouse.core.progress import about, bound, is_for_people, note, say
from storehouse.core.queries import as_sql
from storehouse.core.settings import PROJECT, settings

# Tests with these tags read all of history: they are in `make audit` and in `make test`.
NOT_DAILY_TAGS = {"audit"}
# dbt's arguments for a day's build. Unit tests test the code, not the day: they are in `make test`.
DAILY = ["build", "--exclude-resource-type", "unit_test", "--exclude", *(f"tag:{tag}" for tag in NOT_DAILY_TAGS)]
RESULT_EVENTS = {"LogModelResult", "LogTestResult", "LogSeedResult", "LogSnapshotResult", "LogNodeResult"}
BUILT = {"model", "seed", "snapshot", "test", "unit_test"}
# Beside dbt's documentation, which links to it: storehouse/operate/columns.py writes it.
COLUMNS_PAGE = "columns.html"
# Of the line of a node that did not go well, by its status.
LEVELS = {"warn": logging.WARNING, "error": logging.ERROR, "fail": logging.ERROR, "runtime error": logging.ERROR}


class Progress:
    """A callback for dbt's events: a line a node for programs; for people now and then how far the build is."""

    def __init__(self, every: float = 2.0) -> None:
        """`every`: seconds between two lines; on a terminal the line is written over."""
        self.keys = bound()  # dbt calls from threads of its own
        self.every = 0.1 if sys.stderr.isatty() else every
        self.told_at = 0.0
        self.reached = ""  # `3 of 50`, once a node has ended

    def __call__(self, event: Any) -> None:
        """Take one event: dbt's `EventMsg`, whose `data` has other members for each kind."""
        if event.info.name == "NodeFinished":
            self._note(event.data.node_info, event.data.run_result)
        if event.info.name not in RESULT_EVENTS:
            return
        # A test's event has another name for the total.
        index, total = event.data.index, getattr(event.data, "num_models", None) or event.data.total
        self.reached = f"{index} of {total}"
        if is_for_people() and (time.monotonic() - self.told_at > self.every or index == total):
            self.told_at = time.monotonic()
            line = f"{'transform':<14}{self.reached}  {event.data.node_info.node_name:<60.60}"
            terminal = sys.stderr.isatty() and index != total
            print(line.rstrip(), end="\r" if terminal else "\n", file=sys.stderr, flush=True)

    def _note(self, node: Any, result: Any) -> None:
        if node.resource_type not in BUILT or node.materialized == "ephemeral":
            return
        name, level = node.node_name, LEVELS.get(result.status, logging.INFO)
        rows = dict(result.adapter_response).get("rows_affected", -1)
        words = f"{name}: {result.status} in {result.execution_time:.2f} s"
        if level > logging.INFO:
            words += f": {first_words(result.message)}"
        # As macros/operations/describe_results.sql has them: of a test its failures, else what its statement wrote.
        is_test = node.resource_type in ("test", "unit_test")
        counted = {"failures": result.num_failures} if is_test else {"rows": int(rows) if rows >= 0 else None}
        with about(**self.keys):
            note(words, level, **{node.resource_type: name}, **counted, seconds=round(result.execution_time, 3))


def target_folder() -> Path:
    """Where dbt writes its manifest and results."""
    return Path(os.environ.get("DBT_TARGET_PATH", PROJECT / "target"))


def manifest() -> dict:
    """dbt's graph, as last parsed."""
    return json.loads((target_folder() / "manifest.json").read_text())


def published_schema(node: Mapping[str, Any]) -> str | None:
    """The schema in which readers find a model, a node of the manifest, that is published; None of any other."""
    publish = node["config"]["meta"].get("publish")
    return publish["schema"] if publish else None


def published_group(node: Mapping[str, Any]) -> str | None:
    """The group in which a model, a node of the manifest, is published; None of any other."""
    publish = node["config"]["meta"].get("publish")
    return publish.get("group", "all") if publish else None


def build(arguments: list[str], listen: Callable[[Any], None] | None = None, target: str | None = None) -> list[str]:
    """Run dbt with these arguments against the warehouse; returns what failed, a line each.

    Args:
        arguments: of dbt, without the common ones.
        listen: is given each of dbt's events too, from dbt's threads.
        target: of profiles.yml, when it is not the default one.

    Raises:
        TransientError: dbt could not begin or broke off, and may not the next time: no connection.
        StorehouseError: dbt could not begin, or broke off: a broken project or hook.
    """
    progress = Progress()
    done = _invoke(arguments, [progress, *([listen] if listen else [])], target)
    if not hasattr(done.result, "results"):
        how = f"broke off after {progress.reached} nodes" if progress.reached else "could not begin"
        said = without_rows(str(done.exception or done.result))
        # Not `from` dbt's error, whose whole message a log would show; but the caller must see an interrupt.
        cause = done.exception if isinstance(done.exception, KeyboardInterrupt) else None
        raise as_error(f"dbt {arguments[0]} {how}: {said}") from cause
    return [
        f"{result.node.name}: {first_words(result.message or result.status)}{_where_to_look(result)}"
        for result in done.result.results
        if result.status in ("error", "fail", "runtime error")
    ]


def operate(macro: str, **arguments: object) -> None:
    """Run a macro of the project or of a package by itself (`dbt run-operation`), with these arguments.

    The manifest stays as it is: a DAG file might read half of it.

    Raises:
        TransientError: it failed, and may not the next time: a lock that was not free.
        StorehouseError: it failed.
    """
    done = _invoke(["--no-write-json", "run-operation", macro, "--args", json.dumps(arguments)], [])
    if not done.success:
        said = str(done.exception or done.result.results[0].message)
        raise as_error(f"{macro} failed: {first_words(said)}")


def compiled(text: str) -> str:
    """The SQL that dbt makes of a query with Jinja. No text of a person's may be in it: Jinja would run it.

    Raises:
        StorehouseError: dbt could not compile it.
    """
    say("transform", "dbt reads the project (some seconds)")
    # dbt prints it: it must not get into the output of our command.
    with redirect_stdout(io.StringIO()):
        done = _invoke(["--no-write-json", "compile", "--inline", text], [])
    if not done.success:
        raise as_error(f"dbt could not compile a query: {first_words(str(done.exception or done.result))}")
    return done.result.results[0].node.compiled_code


def document(folder: Path) -> Path:
    """Write dbt's documentation as one HTML file that needs no network; returns the file.

    Args:
        folder: for it, and for what it is made of.

    Raises:
        StorehouseError: dbt could not write it.
    """
    say("docs", "dbt describes the project and the warehouse (some seconds)")
    done = _invoke(["docs", "generate"], [], folder=folder)
    if not done.success:
        raise as_error(f"dbt's documentation could not be written: {without_rows(str(done.exception or done.result))}")
    page = (folder / "index.html").read_text()
    manifest, catalog = (json.loads((folder / f"{name}.json").read_text()) for name in ("manifest", "catalog"))
    _describe(manifest, catalog)
    _show_published(manifest, catalog)
    _link_columns(manifest, catalog)
    for name, content in (("manifest", manifest), ("catalog", catalog)):
        # dbt's own --static writes it into a script as it is, and a column of a source may be named `</script>`.
        page = page.replace(f'"{name.upper()}.JSON INLINE DATA"', json.dumps(content).replace("<", "\\u003c"))
    file = folder / "static_index.html"
    file.write_text(page)
    return file


def _describe(manifest: dict, catalog: dict) -> None:
    """A column without a description gets the doc block of its name: of orders `order__status`, else `status`."""
    blocks = {block["name"]: block["block_contents"] for block in manifest["docs"].values()}
    for unique_id, table in catalog["nodes"].items():
        model = manifest["nodes"][unique_id]
        domains = [word.rstrip("s") + "__" for word in re.split("_+", model["name"])]
        for column in table["columns"].keys() - model["columns"].keys():
            if found := next((domain + column for domain in [*domains, ""] if domain + column in blocks), None):
                model["columns"][column] = {"name": column, "description": blocks[found]}


def _show_published(manifest: dict, catalog: dict) -> None:
    """A model that is published is shown where its readers find it, and not where it is built."""
    for unique_id, model in manifest["nodes"].items():
        if schema := published_schema(model):
            model["relation_name"] = model["relation_name"].replace(f'"{model["schema"]}"', f'"{schema}"', 1)
            model["schema"] = schema
            if unique_id in catalog["nodes"]:
                catalog["nodes"][unique_id]["metadata"]["schema"] = schema
    for semantic in manifest["semantic_models"].values():
        model = manifest["nodes"][semantic["depends_on"]["nodes"][0]]
        semantic["node_relation"] |= {"schema_name": model["schema"], "relation_name": model["relation_name"]}


def _link_columns(manifest: dict, catalog: dict) -> None:
    """Below its description, each model leads to the page that draws of which columns its own are made."""
    for unique_id in catalog["nodes"]:
        model = manifest["nodes"][unique_id]
        model["description"] += f"\n\n[From column to column]({COLUMNS_PAGE}?model={unique_id}&parents=1)"


def names(arguments: list[str]) -> set[str]:
    """The unique ids that `dbt ls` with these arguments lists.

    Raises:
        StorehouseError: dbt could not read the project or the selection.
    """
    # dbt prints the names: they must not get into the output of our command.
    with redirect_stdout(io.StringIO()):
        done = _invoke(["ls", *arguments, "--output", "json", "--output-keys", "unique_id"], [])
    if not done.success:
        raise StorehouseError(f"dbt ls failed: {done.exception}")
    return {json.loads(line)["unique_id"] for line in done.result}


def first_words(message: str) -> str:
    """The message without its stack of macros; dbt's log has that."""
    return " ".join(without_rows(message).split("\n  > in macro")[0].split())[:1500]


def _where_to_look(result: Any) -> str:
    """For a failed test that found rows: the query that shows them, and their `words` if it has such a column."""
    if result.status != "fail" or not result.node.should_store_failures:
        return ""
    relation = without_database(result.node.relation_name)
    with databases.open_warehouse("transform") as warehouse:
        words = warehouse.execute(
            as_sql(f"select to_jsonb(found) ->> 'words' from {relation} as found limit 3")
        ).fetchall()
    return "".join(f" {said}." for (said,) in words if said) + f" To see them: select * from {relation}"


def without_database(relation_name: str) -> str:
    """The name that a person types in that database: `core.fct_orders` for `"storehouse"."core"."fct_orders"`."""
    return relation_name.replace('"', "").split(".", 1)[1]


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection within: dbt makes few cycles of objects, and the search is a tenth of a build's cost."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def speak_plainly() -> None:
    """Make dbt, in this process, quote no rows, and title what a macro refuses with the macro's own words."""
    _quote_no_rows()
    _title_refusals()


def _title_refusals() -> None:
    """dbt titles what a macro raises "Compilation Error in model …", be it that too many records were refused."""
    from dbt.context.exceptions_jinja import CONTEXT_EXPORTS
    from dbt_common.exceptions import CompilationError

    class Refusal(CompilationError):
        """What a macro has raised: not of dbt itself, which titles a model that it can't read."""

        def __str__(self, prefix: str = "! ") -> str:
            return super().__str__(prefix).partition("\n")[2].lstrip()

    def raise_compiler_error(msg: str, node: Any = None) -> NoReturn:
        raise Refusal(msg, node)

    CONTEXT_EXPORTS[raise_compiler_error.__name__] = raise_compiler_error


def _quote_no_rows() -> None:
    """Make dbt, in this process, hand on PostgreSQL's errors without the values of rows that they quote.

    dbt writes those errors to its log, its results, the console and Airflow's task logs.
    """
    import psycopg2
    from dbt.adapters.postgres.connections import PostgresConnectionManager

    dbts_own = PostgresConnectionManager.exception_handler
    if hasattr(dbts_own, "quotes_no_rows"):
        return

    @contextmanager
    def exception_handler(self: PostgresConnectionManager, sql: str) -> Iterator[None]:
        with dbts_own(self, sql):
            try:
                yield
            except psycopg2.DatabaseError as error:
                raise type(error)(said_by(error)) from None

    exception_handler.quotes_no_rows = True
    PostgresConnectionManager.exception_handler = exception_handler


@uncollected()
def _invoke(arguments: list[str], callbacks: list, target: str | None = None, folder: Path | None = None) -> Any:
    """Run dbt: its `dbtRunnerResult`, whose `result` has another type for each command."""
    os.environ.update(databases.dbt_environment())
    from dbt.cli.main import dbtRunner

    speak_plainly()
    common = ["--quiet", "--no-use-colors", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
    common += ["--log-path", str(settings().home / "logs")]
    if not (PROJECT / "dbt_packages" / "converge").exists():
        say("transform", "installing dbt's local packages")
        dbtRunner().invoke(["deps", *common])
    if target:
        # In a folder of its own: what dbt parsed for one target does not hold for another.
        common += ["--target", target]
        folder = target_folder() / target
    common += ["--target-path", str(folder or target_folder())]
    return dbtRunner(callbacks=callbacks).invoke([*arguments, *common])
