"""What became of each dbt node of a run, written as it happens, in the warehouse: where every machine can read.

One `dbt build` writes; the triggerer reads once for all the tasks that wait.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from storehouse.core.databases import connect_warehouse, take_lock
from storehouse.core.errors import TransientError, may_pass, said_by, without_rows
from storehouse.core.transform import NOT_DAILY_TAGS

SUCCESS, FAILED, SKIPPED = "success", "failed", "skipped"
TESTS = "tests"  # the tests that are about several nodes
BUILD = "build"  # recorded last: the build ran to its end
KEPT_DAYS = 30
TABLE_LOCK = 0x5EED_0006  # an advisory lock: of two first builds one makes the table
STATEMENT_WITHIN = 30  # seconds: a statement that hangs would hold the triggerer up
WRITE = (
    "insert into orchestration.node_results values (%s, %s, %s, %s, %s, clock_timestamp())"
    " on conflict (dag_id, run_id, node) do update set status = excluded.status,"
    " message = excluded.message, recorded_at = excluded.recorded_at"
)
BUILT = {"model", "seed", "snapshot", "test"}  # and not an exposure, which is skipped when what it shows is
WENT_WELL = {"success", "pass", "warn", "no-op", "reused"}
WENT_WRONG = {"error", "fail", "runtime error", "partial success"}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """One node's result.

    Attributes:
        status: `success`, `failed` or `skipped` (a parent failed).
        message: what dbt said.
        at: when it was recorded.
    """

    status: str
    message: str
    at: datetime


def begin(dag_id: str, run_id: str) -> None:
    """A build of this run begins: make the table when it is not there, forget an earlier build and old runs."""
    with _connect() as warehouse:
        if not warehouse.execute("select to_regclass('orchestration.node_results') is not null").fetchone()[0]:
            with warehouse.transaction():
                take_lock(warehouse, TABLE_LOCK, "orchestration.node_results")
                warehouse.execute(
                    "create schema if not exists orchestration;"
                    "create table if not exists orchestration.node_results ("
                    "dag_id text, run_id text, node text, status text not null, message text not null,"
                    " recorded_at timestamptz not null, primary key (dag_id, run_id, node))"
                )
        warehouse.execute(
            "delete from orchestration.node_results where (dag_id = %s and run_id = %s)"
            " or recorded_at < now() - make_interval(days => %s)",
            [dag_id, run_id, KEPT_DAYS],
        )


def read(dag_id: str, run_id: str) -> dict[str, Result]:
    """The results of a run so far, by node; empty while there is nothing to read."""
    with _connect() as warehouse:
        try:
            rows = warehouse.execute(
                "select node, status, message, recorded_at from orchestration.node_results"
                " where dag_id = %s and run_id = %s",
                [dag_id, run_id],
            ).fetchall()
        except psycopg.errors.UndefinedTable:
            return {}
    return {node: Result(*rest) for node, *rest in rows}


def record(dag_id: str, run_id: str, node: str) -> None:
    """The node, or `tests`, succeeded when it ran alone: those below it stand on it."""
    with _connect() as warehouse:
        warehouse.execute(WRITE, [dag_id, run_id, node, SUCCESS, ""])


def unbuilt(dag_id: str, run_id: str) -> set[str]:
    """The nodes of a run's selection that did not succeed: neither in the build, nor alone since."""
    results = read(dag_id, run_id)
    return {node for node, result in results.items() if result.status != SUCCESS and node not in (TESTS, BUILD)}


def has_landed_since(dag_id: str, run_id: str) -> bool:
    """True when a load of the run is beyond what its last build has read: its task was cleared, the build's was not."""
    with _connect() as warehouse:
        (later,) = warehouse.execute(
            "select max(load_id) > (select max(bound) from converge.runs where starts_with(run_id, %(run)s || ' '))"
            " from raw.loads where run_id = %(run)s",
            {"run": f"{dag_id} {run_id}"},
        ).fetchone()
    return bool(later)


def name(node: str) -> str:
    """Of a node, by its unique id: what its task is called."""
    return node.rpartition(".")[2]


class Recorder:
    """A callback for dbt's events: records each node's result, together with those of the tests about it alone."""

    def __init__(self, dag_id: str, run_id: str, target: Path, manifest: Mapping) -> None:
        """`target`: the folder of the compiled SQL; `manifest`: as dbt writes it."""
        self.run = (dag_id, run_id)
        self.target = target
        self.parent_of = _tests_about_one_node(manifest)
        self.open_tests: dict[str, set[str]] = {}
        for test, node in self.parent_of.items():
            self.open_tests.setdefault(node, set()).add(test)
        self.messages: dict[str, list[str]] = {}
        self.failed: set[str] = set()
        self.settled: set[str] = set()
        self.unsent: list[tuple[str, str, str]] = []
        self.counts = {SUCCESS: 0, FAILED: 0, SKIPPED: 0}
        self.lock = threading.Lock()  # dbt's threads call at the same time
        self.warehouse: psycopg.Connection | None = None

    def __call__(self, event: object) -> None:
        """Take one event."""
        if event.info.name != "NodeFinished":
            return
        node, result = event.data.node_info, event.data.run_result
        if node.resource_type not in BUILT:
            return
        with self.lock:
            self._take(node.unique_id, node.resource_type, node.node_name, result)
            self._send()

    def finish(self) -> dict[str, int]:
        """Record what is left, and that the build ended; returns how many nodes ended how.

        Raises:
            psycopg.Error, TransientError: the warehouse is away: the results did not arrive.
        """
        with self.lock:
            for node in self.messages.keys() - {TESTS}:
                self._settle(node, SUCCESS)
            # Trouble that may pass is not told beside a failure that won't: the tests would be tried again in vain.
            if lasting := [words for words in self.messages.get(TESTS, []) if not may_pass(words)]:
                self.messages[TESTS] = lasting
            is_whole = self.counts[SUCCESS] == sum(self.counts.values())
            self._settle(TESTS, SUCCESS if is_whole else SKIPPED)
            self.unsent.append((BUILD, SUCCESS, ""))
            self._send(is_last=True)
        return self.counts

    def _take(self, unique_id: str, kind: str, name: str, result: object) -> None:
        words = f"{name}: {without_rows(result.message) or result.status} in {result.execution_time:.2f} s"
        went_wrong = result.status in WENT_WRONG
        if went_wrong:
            words += self._where_the_sql_is(name)
        if kind == "test":
            node = self.parent_of.get(unique_id, TESTS)
            self._open(node).discard(unique_id)
        else:
            node = unique_id
        if went_wrong:
            self.failed.add(node)
        if went_wrong or kind != "test":
            self.messages.setdefault(node, []).append(words)
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
        self.unsent.append((node, status, "\n".join(self.messages.get(node, []))))

    def _open(self, node: str) -> set[str]:
        return self.open_tests.get(node, set())

    def _where_the_sql_is(self, name: str) -> str:
        for folder in ("run", "compiled"):
            if found := next((self.target / folder).rglob(f"{name}.sql"), None):
                return f"\n  compiled SQL: {found}"
        return ""

    def _send(self, is_last: bool = False) -> None:
        """Write what is not written yet. A warehouse that does not listen is tried again at the next node."""
        try:
            self.warehouse = self.warehouse or _connect()
            with self.warehouse.cursor() as cursor:
                cursor.executemany(WRITE, [(*self.run, *row) for row in self.unsent])
            self.unsent.clear()
        except (psycopg.Error, TransientError) as error:
            said = said_by(error) if isinstance(error, psycopg.Error) else error
            logger.warning("The result of a node could not be recorded yet: %s", said)
            if self.warehouse:
                self.warehouse.close()
                self.warehouse = None
            if is_last:
                raise
        if is_last:
            self.warehouse.close()


def _tests_about_one_node(manifest: Mapping) -> dict[str, str]:
    """The daily tests that have one parent, and that parent."""
    return {
        unique_id: node["depends_on"]["nodes"][0]
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "test"
        and len(set(node["depends_on"]["nodes"])) == 1
        and not NOT_DAILY_TAGS & set(node["tags"])
    }


def _connect() -> psycopg.Connection:
    warehouse = connect_warehouse("transform", tcp_user_timeout=60_000)
    warehouse.execute(f"set statement_timeout to '{STATEMENT_WITHIN}s'")
    return warehouse
