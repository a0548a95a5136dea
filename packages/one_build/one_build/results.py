"""What became of each dbt node of a run, written as it happens, in a PostgreSQL that every machine can read.

One `dbt build` writes; the triggerer reads once for all the tasks that wait.
"""

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from one_build.site import WENT_WRONG, Site

SUCCESS, FAILED, SKIPPED = "success", "failed", "skipped"
TESTS = "tests"  # the tests that are about several nodes
BUILD = "build"  # recorded last: the build ran to its end
KEPT_DAYS = 30
TABLE_LOCK = 0x5EED_0006  # an advisory lock: of two first builds one makes the table
TABLE = """
    create schema if not exists orchestration;
    create table if not exists orchestration.node_results (
        dag_id text, run_id text, node text, status text not null, message text not null,
        recorded_at timestamptz not null, primary key (dag_id, run_id, node)
    );
    alter table orchestration.node_results add column if not exists started_at timestamptz;
    alter table orchestration.node_results add column if not exists finished_at timestamptz;
"""
STATEMENT_WITHIN = 30  # seconds: a statement that hangs would hold the triggerer up
WRITE = (
    "insert into orchestration.node_results values (%s, %s, %s, %s, %s, clock_timestamp(), %s, %s)"
    " on conflict (dag_id, run_id, node) do update set status = excluded.status, message = excluded.message,"
    " recorded_at = excluded.recorded_at, started_at = excluded.started_at, finished_at = excluded.finished_at"
)
BUILT = {"model", "seed", "snapshot", "test"}  # and not an exposure, which is skipped when what it shows is

logger = logging.getLogger(__name__)

Connect = Callable[[], psycopg.Connection]


@dataclass(frozen=True)
class Result:
    """One node's result.

    Attributes:
        status: `success`, `failed` or `skipped` (a parent failed).
        message: what dbt said.
        at: when it was recorded.
        started_at: when dbt began it, without its tests; None when dbt did not.
        finished_at: when dbt ended it.
    """

    status: str
    message: str
    at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None


def begin(connect: Connect, dag_id: str, run_id: str) -> None:
    """A build of this run begins: make the table when it is not there, delete the results of an earlier build and of
    old runs.
    """
    with _session(connect) as database:
        if not database.execute(
            "select from pg_attribute where attname = 'finished_at' and not attisdropped"
            " and attrelid = to_regclass('orchestration.node_results')"
        ).fetchone():
            with database.transaction():
                database.execute("select pg_advisory_xact_lock(%s)", [TABLE_LOCK])
                database.execute(TABLE)
        database.execute(
            "delete from orchestration.node_results where (dag_id = %s and run_id = %s)"
            " or recorded_at < now() - make_interval(days => %s)",
            [dag_id, run_id, KEPT_DAYS],
        )


def read(connect: Connect, dag_id: str, run_id: str) -> dict[str, Result]:
    """The results of a run so far, by node; empty while there is nothing to read."""
    with _session(connect) as database:
        try:
            rows = database.execute(
                "select node, status, message, recorded_at, started_at, finished_at from orchestration.node_results"
                " where dag_id = %s and run_id = %s",
                [dag_id, run_id],
            ).fetchall()
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
            return {}  # the build makes them
    return {node: Result(*rest) for node, *rest in rows}


def record(connect: Connect, dag_id: str, run_id: str, node: str) -> None:
    """Record that the node, or `tests`, succeeded when it ran alone: what is below it can be built."""
    with _session(connect) as database:
        database.execute(WRITE, [dag_id, run_id, node, SUCCESS, "", None, None])


def unbuilt(connect: Connect, dag_id: str, run_id: str) -> set[str]:
    """The nodes of a run's selection that did not succeed: neither in the build, nor alone since."""
    results = read(connect, dag_id, run_id)
    return {node for node, result in results.items() if result.status != SUCCESS and node not in (TESTS, BUILD)}


def name(node: str) -> str:
    """Of a node, by its unique id: what its task is called."""
    return node.rpartition(".")[2]


class Recorder:
    """A callback for dbt's events: records each node's result, together with those of the tests about it alone."""

    def __init__(self, site: Site, dag_id: str, run_id: str, target: Path, manifest: Mapping) -> None:
        """`target`: the folder of the compiled SQL; `manifest`: as dbt writes it."""
        self.site = site
        self.run = (dag_id, run_id)
        self.target = target
        self.parent_of = _tests_about_one_node(manifest, site.tags_left_out)
        self.open_tests: dict[str, set[str]] = {}
        for test, node in self.parent_of.items():
            self.open_tests.setdefault(node, set()).add(test)
        self.messages: dict[str, list[str]] = {}
        self.times: dict[str, tuple[datetime, datetime]] = {}
        self.failed: set[str] = set()
        self.settled: set[str] = set()
        self.unsent: list[tuple[str, str, str, datetime | None, datetime | None]] = []
        self.counts = {SUCCESS: 0, FAILED: 0, SKIPPED: 0}
        self.lock = threading.Lock()  # dbt's threads call at the same time
        self.database: psycopg.Connection | None = None

    def __call__(self, event: Any) -> None:
        """Take one event."""
        if event.info.name != "NodeFinished":
            return
        node, result = event.data.node_info, event.data.run_result
        if node.resource_type not in BUILT:
            return
        with self.lock:
            self._take(node, result)
            self._send()

    def finish(self) -> dict[str, int]:
        """Record what is left, and that the build ended; returns how many nodes ended how.

        Raises:
            psycopg.Error: the database of the results is away: they did not arrive.
        """
        with self.lock:
            for node in self.messages.keys() - {TESTS}:
                self._settle(node, SUCCESS)
            # A transient error is left out beside one that is not: the tests would be tried again in vain.
            if lasting := [words for words in self.messages.get(TESTS, []) if not self.site.is_transient(words)]:
                self.messages[TESTS] = lasting
            is_whole = self.counts[SUCCESS] == sum(self.counts.values())
            self._settle(TESTS, SUCCESS if is_whole else SKIPPED)
            self.unsent.append((BUILD, SUCCESS, "", None, None))
            self._send(is_last=True)
        return self.counts

    def _take(self, info: Any, result: Any) -> None:
        unique_id, kind, name = info.unique_id, info.resource_type, info.node_name
        said = self.site.shown(result.message) or result.status
        went_wrong = result.status in WENT_WRONG
        if went_wrong:
            words = f"{name} failed in {result.execution_time:.2f} s: {said}"
            words += "" if "compiled code at" in said else self._where_the_sql_is(name)
        else:
            words = f"{name}: {said} in {result.execution_time:.2f} s"
        if kind == "test":
            node = self.parent_of.get(unique_id, TESTS)
            self._open(node).discard(unique_id)
        else:
            node = unique_id
        if kind != "test" or node == TESTS:
            self._time(node, info)
        if went_wrong:
            self.failed.add(node)
        if went_wrong or kind != "test":
            # First what went wrong: a notice quotes the first lines.
            said = self.messages.setdefault(node, [])
            said.insert(0 if went_wrong else len(said), words)
        if kind != "test" and result.status == SKIPPED:
            self.messages[node] = [f"{name}: not built, a parent or its test failed"]
            self._settle(node, SKIPPED)
        elif (kind != "test" and went_wrong) or (node != TESTS and node in self.messages and not self._open(node)):
            self._settle(node, SUCCESS)

    def _settle(self, node: str, status: str) -> None:
        if node in self.settled:
            return  # its tests were skipped with it
        self.settled.add(node)
        status = FAILED if node in self.failed else status
        self.counts[status] += node != TESTS
        began, ended = self.times.get(node, (None, None))
        self.unsent.append((node, status, "\n".join(self.messages.get(node, [])), began, ended))

    def _time(self, node: str, info: Any) -> None:
        """Keep when dbt began and ended it; of the tests about several nodes, the first and the last."""
        if not info.node_started_at or not info.node_finished_at:
            return  # it was skipped
        began, ended = (_utc(said) for said in (info.node_started_at, info.node_finished_at))
        first, last = self.times.get(node, (began, ended))
        self.times[node] = (min(first, began), max(last, ended))

    def _open(self, node: str) -> set[str]:
        return self.open_tests.get(node, set())

    def _where_the_sql_is(self, name: str) -> str:
        for folder in ("run", "compiled"):
            if found := next((self.target / folder).rglob(f"{name}.sql"), None):
                return f"\n  compiled SQL: {found}"
        return ""

    def _send(self, is_last: bool = False) -> None:
        """Write what is not written yet. A database that does not answer is tried again at the next node."""
        try:
            self.database = self.database or _session(lambda: self.site.connect(self.site.results))
            with self.database.cursor() as cursor:
                cursor.executemany(WRITE, [(*self.run, *row) for row in self.unsent])
            self.unsent.clear()
        except (psycopg.Error, *self.site.AWAY) as error:
            logger.warning("The result of a node could not be recorded yet: %s", self.site.shown(error))
            if self.database:
                self.database.close()
                self.database = None
            if is_last:
                raise
        if is_last and self.database:
            self.database.close()


def _tests_about_one_node(manifest: Mapping, tags_left_out: Collection[str]) -> dict[str, str]:
    """The tests of a build that have one parent, and that parent. A source has no task that could wait for its test."""
    return {
        unique_id: node["depends_on"]["nodes"][0]
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "test"
        and len(set(node["depends_on"]["nodes"])) == 1
        and not node["depends_on"]["nodes"][0].startswith("source.")
        and not set(tags_left_out) & set(node["tags"])
    }


def _utc(said: str) -> datetime:
    """A time as dbt's events say it: in UTC, with or without a zone."""
    time = datetime.fromisoformat(said)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _session(connect: Connect) -> psycopg.Connection:
    database = connect()
    database.execute(sql.SQL("set statement_timeout to {}").format(f"{STATEMENT_WITHIN}s"))
    return database
