"""The wait of a dbt node's task for its result: in the triggerer, where a thousand waits cost one process.

All waits of a run share one look at the results and at Airflow's states.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import BaseTrigger, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent

from one_build import results as node_results
from one_build.results import BUILD, FAILED, SKIPPED, SUCCESS, TESTS, Result
from one_build.site import Site

TIMING = "dbt_timing"  # the key of a node's XCom: when dbt began it, and how long it took, in milliseconds

TERMINAL = {"success", "failed", "skipped", "upstream_failed", "removed"}
BROKEN = {"failed", "upstream_failed"}
BUILDS = ("build", "build_large")
LOOK_EVERY = 0.5  # seconds, while the build runs, and until the last task has heard that it ended
IDLE_EVERY = 2.0  # seconds, before it
# Seconds between two times that the tasks hear the news, until the build ends. Airflow sends the DAG processor a
# callback for each task that a trigger ends, and reads the DAG's file for those that come together: so they do.
TELL_EVERY = 8.0
WRITTEN_WITHIN = 0.3  # seconds: the triggerer drops what a trigger has logged and it has not read when the trigger ends
# Seconds without an answer of Airflow's database, then the waits fail; or of the results', then they go on without.
PATIENCE = 300

logger = logging.getLogger(__name__)


class Look:
    """What is known of a run, looked up again and again while anyone waits for it."""

    shared: ClassVar[dict[tuple[str, str], "Look"]] = {}

    def __init__(self, dag_id: str, run_id: str, group: str, site: type[Site] = Site, connection: str = "") -> None:
        """`group`: the task group of the dbt tasks; `connection`: to the results, as `Site.results`."""
        self.run, self.group = (dag_id, run_id), group
        self.site, self.connection = site, connection
        self.waiting = 0
        self.results: dict[str, Result] = {}
        self.states: dict[str, str | None] = {}
        self.news = asyncio.Condition()
        self.looking: asyncio.Task | None = None

    @classmethod
    def at(cls, dag_id: str, run_id: str, group: str, *site: Any) -> "Look":
        """The one look at this group of this run."""
        return cls.shared.setdefault((dag_id, run_id), cls(dag_id, run_id, group, *site))

    async def __aenter__(self) -> "Look":
        """Wait with the others."""
        self.waiting += 1
        if not self.looking or self.looking.done():
            self.looking = asyncio.create_task(self._go_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        """The last one out ends it."""
        self.waiting -= 1
        if not self.waiting and self.looking:
            self.looking.cancel()
            self.shared.pop(self.run, None)

    async def next(self) -> None:
        """Wait for the next look.

        Raises:
            RuntimeError: the looking ended in an error.
        """
        if self.looking and self.looking.done():
            raise RuntimeError(f"The results of {self.run} can't be looked up") from self.looking.exception()
        async with self.news:
            await self.news.wait()

    async def _go_on(self) -> None:
        told_at, is_away = float("-inf"), False
        heard_at = answered_at = time.monotonic()
        try:
            while True:
                # The states first: when they say that the build ended, its results are all there.
                try:
                    states, results = await asyncio.to_thread(self._read_states), self.results
                except AirflowRuntimeError:
                    if time.monotonic() > heard_at + PATIENCE:
                        raise
                    await asyncio.sleep(IDLE_EVERY)
                    continue
                heard_at = time.monotonic()
                # While their database is away nothing is told: without the results of a build that ended well, nodes
                # that nobody asked for would be built. When it stays away, the build ends in an error, in its state.
                try:
                    results, is_away = await asyncio.to_thread(node_results.read, self._connect, *self.run), False
                    answered_at = time.monotonic()
                except (psycopg.Error, *self.site.AWAY) as error:
                    if not is_away:
                        logger.warning(
                            "The triggerer cannot read what the build of %s made: %s. Asking on; "
                            "what it cannot read when the build ends, each node's task builds again.",
                            self.run,
                            self.site.shown(error),
                        )
                    is_away = True
                    if time.monotonic() < answered_at + PATIENCE:
                        await asyncio.sleep(IDLE_EVERY)
                        continue
                # Both at once: a task that is late to hear must not see new states beside old results.
                self.states, self.results = states, results
                goes_on = any(state == "running" and _is_build(task, self.group) for task, state in states.items())
                if not goes_on or BUILD in results or time.monotonic() - told_at > TELL_EVERY:
                    told_at = time.monotonic()
                    async with self.news:
                        self.news.notify_all()
                await asyncio.sleep(LOOK_EVERY if goes_on or BUILD in results else IDLE_EVERY)
        finally:
            async with self.news:
                self.news.notify_all()

    def _connect(self) -> psycopg.Connection:
        return self.site.connect(self.connection)

    def _read_states(self) -> dict[str, str | None]:
        """Of the builds; of the whole group once they ended: before that nobody asks, and each is a row to read."""
        builds = self._states_of(task_ids=[f"{self.group}.{name}" for name in BUILDS])
        return self._states_of() if set(builds.values()) <= TERMINAL else builds

    def _states_of(self, task_ids: list[str] | None = None) -> dict[str, str | None]:
        dag_id, run_id = self.run
        # Not by task group: Airflow would read the run twice, and the DAG.
        found = RuntimeTaskInstance.get_task_states(dag_id=dag_id, task_ids=task_ids, run_ids=[run_id])
        states = found.get(run_id, {}).items()
        return {task: state and str(state) for task, state in states if task.startswith(f"{self.group}.")}


class NodeResult(BaseTrigger):
    """Ends a node's task with its result, or sends it to a worker: to fail there, or to run the node alone."""

    if TYPE_CHECKING:  # the triggerer sets them
        task_instance: Any
        task: Any
        timeout_after: datetime

    def __init__(self, node: str, group: str, site: str = "one_build.site.Site", results: str = "") -> None:
        """`node`: its unique id, or `tests`; `group`: the task group; `site`: the class; `results`: as there."""
        super().__init__()
        self.node, self.group = node, group
        self.site_class, self.results = site, results
        module, _, name = site.rpartition(".")
        self.site: type[Site] = getattr(import_module(module), name)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, as the triggerer stores them."""
        arguments = {"node": self.node, "group": self.group, "site": self.site_class, "results": self.results}
        return "one_build.watch.NodeResult", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event."""
        task = self.task_instance
        async with Look.at(task.dag_id, task.run_id, self.group, self.site, self.results) as look:
            await look.next()
            # After the build, a task that failed or was cleared is tried again: nobody will bring its result.
            is_alone = _ended(look) is not None and task.try_number > 1
            while (event := self._decide(look, is_alone)) is None:
                await look.next()
        await asyncio.sleep(WRITTEN_WITHIN)
        yield event

    def _decide(self, look: Look, is_alone: bool) -> TriggerEvent | None:
        if self.node == TESTS and not self._others_ended(look):
            return None  # the last of the group: what follows it follows them all
        return self._brought(look) or self._left(look, is_alone)

    def _brought(self, look: Look) -> TriggerEvent | None:
        """What the build says of the node, when it built it."""
        result = self._fresh(look, self.node)
        if not result or result.status == SKIPPED:
            return None
        self.log.info("%s", result.message or "No test about several nodes or a source failed.")
        if self.node == TESTS and self._is_transient(result):
            return None  # tried again when all nodes are well: what follows asks for no more than these tests
        timing = timing_of(result.started_at, result.finished_at)
        if result.status == FAILED:
            return TriggerEvent({"message": result.message, "timing": timing})
        return TaskSuccessEvent(xcoms={TIMING: timing})

    def _left(self, look: Look, is_alone: bool) -> TriggerEvent | None:
        """What to do when the build ended and did not build it."""
        ended = _ended(look)
        if not ended:
            return None
        if ended != "success" and not is_alone:
            why = f"Not built: the build ended before it. See the log of {self.group}.build."
            return self._unreached(why) if ended in BROKEN else self._skipped(why)
        if BUILD in look.results and self.node not in look.results:
            return self._skipped("Not in the selection of this run.")
        # What the build skipped is built alone once all that it stands on is well after all: a deadlock has passed.
        is_skipped = self._fresh(look, self.node) is not None
        if is_skipped and BUILD not in look.results:
            return None  # the last results are on their way
        if is_skipped and look.results[TESTS].status == FAILED and not self._is_transient(look.results[TESTS]):
            return self._skipped(f"Not built: a test about several nodes failed. See the log of {self.group}.{TESTS}.")
        states = {name: look.states.get(name) for name in self._ancestors()}
        if broken := sorted(name for name, state in states.items() if state in BROKEN):
            return self._unreached(f"Not built, because these failed: {', '.join(broken)}.")
        if not set(states.values()) <= TERMINAL:
            return None
        # A second build, after a kill, may have failed at a node whose task had ended well. But who clears a task is
        # believed: a person may have marked what it stands on.
        failed = {node_results.name(node) for node, result in look.results.items() if result.status != SUCCESS}
        unbuilt = {name for name, state in states.items() if is_skipped or state != "success"}
        unbuilt &= {f"{self.group}.{name}" for name in failed}
        words = f"Not built: {', '.join(sorted(unbuilt))} did not succeed. Clear it together with what stands on it."
        return TriggerEvent({"message": words if unbuilt else None, "timing": None})

    def _unreached(self, why: str) -> TriggerEvent:
        """Skip a node; fail the tests: Airflow judges a run by its last tasks, and else calls it a success."""
        if self.node != TESTS:
            return self._skipped(why)
        return TriggerEvent({"message": why, "timing": None, "is_unreached": True})

    def _skipped(self, why: str) -> TriggerEvent:
        self.log.info("%s", why)
        return TaskSkippedEvent(xcoms={TIMING: timing_of()})

    def _is_transient(self, result: Result) -> bool:
        return result.status == FAILED and self.site.is_transient(result.message)

    def _others_ended(self, look: Look) -> bool:
        return {state for name, state in look.states.items() if name != self.task_id} <= TERMINAL

    def _ancestors(self) -> set[str]:
        prefix = f"{self.group}."
        ids = self.task.get_flat_relative_ids(upstream=True)
        return {name for name in ids if name.startswith(prefix) and not _is_build(name, self.group)}

    def _fresh(self, look: Look, node: str) -> Result | None:
        """The node's result, unless it is of a build before this try of the task began."""
        began = self.timeout_after - self.task.execution_timeout
        result = look.results.get(node)
        return result if result and result.at >= began else None


def timing_of(began: datetime | None = None, ended: datetime | None = None) -> dict[str, Any]:
    """What `one_build.plugin` makes the task's dates of; without times: this moment, for what did not run."""
    began = began or datetime.now(UTC)
    took = (ended - began) / timedelta(milliseconds=1) if ended else 0
    return {"began_ms": int(began.timestamp() * 1000), "took_ms": round(took)}


def _is_build(task_id: str, group: str) -> bool:
    return task_id.removeprefix(f"{group}.") in BUILDS


def _ended(look: Look) -> str | None:
    """How the build ended; None while it goes on, or will."""
    states = {state for task, state in look.states.items() if _is_build(task, look.group)}
    if not states or not states <= TERMINAL:
        return None
    return next(state for state in ("success", "failed", "upstream_failed", "skipped", "removed") if state in states)
