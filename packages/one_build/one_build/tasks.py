"""The dbt graph as Airflow tasks: one `dbt build` does the work, and every node has a task with its state and its log.

Tasks that are processes, one a node, cost ten times the build. So the nodes' tasks start in the triggerer, side by
side, and end there as the build reports on them (`one_build.watch`). A worker takes a node's task only when it
failed, or is tried again, or was cleared: then it runs that node alone.
"""

import gc
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from airflow.sdk import BaseOperator, TaskGroup, TriggerRule
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout
from airflow.triggers.base import StartTriggerArgs
from cosmos import DbtTaskGroup, RenderConfig
from cosmos.constants import DbtResourceType, LoadMode, TestBehavior
from cosmos.dbt.graph import DbtNode

from one_build import results
from one_build.results import TESTS
from one_build.site import Site
from one_build.watch import TIMING, timing_of

# A unit test tests the code, not the day.
NO_TASKS = ["resource_type:unit_test", "resource_type:operation", "resource_type:exposure"]
# Of a build, whatever its size: a full refresh reads everything.
LONGEST_BUILD = timedelta(hours=4)
LONGEST_WAIT = timedelta(hours=12)  # of a node's task, the waiting for what comes before the build included


def dbt_build(
    site: Site,
    group_id: str = "dbt",
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    large: dict[str, Any] | None = None,
    pool: str = "default_pool",
    **build: Any,
) -> DbtTaskGroup:
    """A task a node of the selection, one for the tests that are about several nodes, and the one that builds them all.

    Args:
        site: the project, its profile, and where results stand.
        group_id: of the task group.
        select: in dbt's selection syntax; all by default.
        exclude: likewise.
        large: of a second task `build_large`, for days with many rows: a branch before the group chooses one of both.
        pool: of the builds, and of the tests when they run alone.
        build: of the task `build`, as of any operator: `trigger_rule`, …

    Raises:
        FileNotFoundError: the manifest is not there.
        ValueError: the DAG has such a group already.
    """
    shown = {DbtResourceType(kind): _converter(site) for kind in ("model", "seed", "snapshot")}
    left_out = _left_out(site)
    site.manifest  # noqa: B018  for its error
    group = DbtTaskGroup(
        group_id=group_id,
        project_config=site.project_config,
        profile_config=site.profile_config,
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.NONE,
            select=list(select),
            exclude=[*left_out, *NO_TASKS, *exclude],
            emit_datasets=False,
            normalize_task_id=_name,
            normalize_task_display_name=_name,
            node_converters=shown,
        ),
    )
    if any(isinstance(task, DbtBuild) for task in group.dag.tasks):
        raise ValueError(f"{group.dag.dag_id} has a dbt_build already. Two in one DAG would take each other's results.")
    chosen = {"site": site, "select": list(select), "exclude": [*left_out, *exclude], "task_group": group}
    leaves = list(group.get_leaves())
    # In the builds' pool too: when they run alone they end the run, as a build does. A node that runs alone ends none,
    # and shares the warehouse with a build model by model. In the pool a broken one would wait for the end of the build
    # to say so.
    leaves >> DbtNodeTask(task_id=TESTS, node=TESTS, pool=pool, **chosen)
    roots = list(group.get_roots())
    build = {"pool": pool, "execution_timeout": LONGEST_BUILD} | build
    DbtBuild(task_id="build", **chosen, **build) >> roots
    if large:
        DbtBuild(task_id="build_large", **chosen, **build | large) >> roots
    return group


def _name(node: DbtNode) -> str:
    return node.name


def _left_out(site: Site) -> list[str]:
    return [f"tag:{tag}" for tag in sorted(site.tags_left_out)]


def _converter(site: Site) -> Callable[..., BaseOperator]:
    """Cosmos' node converter."""

    def node_task(node: DbtNode, dag: object, task_group: TaskGroup, task_id: str, **_: object) -> BaseOperator:
        mine = {"site": site, "node": node.unique_id, "select": [node.name], "exclude": _left_out(site)}
        return DbtNodeTask(task_id=task_id, task_group=task_group, dag=dag, **mine)

    return node_task


class TooLong(AirflowTaskTimeout, KeyboardInterrupt):
    """The task's time is over. At an interrupt dbt ends its queries; at Airflow's own alarm it would wait for them."""


@contextmanager
def _an_alarm_that_dbt_hears() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TooLong

    airflows = signal.signal(signal.SIGALRM, ring)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, airflows)


class DbtTask(BaseOperator):
    """A task that runs `dbt build` in its own process."""

    def __init__(self, *, site: Site, select: list[str], exclude: list[str], **kwargs: Any) -> None:
        """`select`, `exclude`: in dbt's selection syntax."""
        super().__init__(**kwargs)
        self.site, self.select, self.exclude = site, select, exclude

    def build(self, context: Any, target: Path, arguments: list[str], is_last: bool, listen: Any = None) -> list[str]:
        """Run it; returns what failed, a line each.

        Raises:
            AirflowFailException: it did not end in time.
            Exception: dbt could not begin or broke off; as `Site.run` raises it.
        """
        run = context["dag_run"]
        target.mkdir(parents=True, exist_ok=True)
        # What dbt parsed for the whole DAG, or by hand, need not be parsed again.
        for folder in (self.site.home / run.dag_id, self.site.manifest.parent):
            for parsed in folder.glob("partial_parse.msgpack"):
                if not (target / parsed.name).exists():
                    shutil.copy(parsed, target)
        # A selection leaves tests out that look at what it built, and at something else.
        ends_run = is_last and not self.asked(context)[0]
        os.environ.update(self.site.environment(context, target, ends_run))
        try:
            with _an_alarm_that_dbt_hears():
                return self.site.run(["build", *arguments], target, listen)
        except Exception as error:
            if isinstance(error.__cause__, TooLong):
                raise AirflowFailException(
                    f"dbt did not end within {self.execution_timeout} and was stopped. What it built stays: clear the "
                    "task to go on from there. More time for a build: its execution_timeout."
                ) from error
            raise
        finally:
            gc.collect()

    def connect(self) -> psycopg.Connection:
        """Connect to the results."""
        return self.site.connect(self.site.results)

    def asked(self, context: Any) -> tuple[list[str], list[str]]:
        """What a run by hand asks for: a selection in dbt's syntax, and dbt's flags.

        Raises:
            AirflowFailException: the selection is none. A form refuses it; not every run was begun by one.
        """
        params = context["params"]
        with self.site.judging():
            selection = self.site.selection(params.get("selection"))
        return selection, ["--full-refresh"] * bool(params.get("full_refresh"))


class DbtBuild(DbtTask):
    """Builds every node of the selection in one go, and records what became of each; fails only when dbt can't run."""

    ui_color = "#ffd9a0"

    def __init__(self, *, threads: int | None = None, **kwargs: Any) -> None:
        """`threads`: how many nodes dbt builds at once; by default what the profile says."""
        super().__init__(**kwargs)
        self.threads = threads

    def execute(self, context: Any) -> dict[str, int]:
        """Returns how many nodes succeeded, failed and were skipped."""
        run = context["dag_run"]
        target = self.site.home / run.dag_id
        selection, flags = self.asked(context)
        arguments = _selection(self.select, selection, self.exclude) + flags
        arguments += ["--threads", str(self.threads)] * bool(self.threads)
        with self.site.judging():
            results.begin(self.connect, run.dag_id, run.run_id)
            manifest = json.loads(self.site.manifest.read_text())
            recorder = results.Recorder(self.site, run.dag_id, run.run_id, target, manifest)
            failures = self.build(context, target, arguments, is_last=True, listen=recorder)
            if not json.loads((target / "run_results.json").read_text())["results"]:
                raise AirflowFailException(
                    f"Nothing to build: no model of {run.dag_id} is in the selection {' '.join(selection)!r}. Trigger "
                    "the DAG that has them, or with names as this DAG's graph shows them; what landed stays landed."
                )
        for failure in failures:
            self.log.error("%s", failure)
        self.site.built(context, target, alone=False)
        return recorder.finish()


class DbtNodeTask(DbtTask):
    """One node: waits in the triggerer for what the build says of it; runs it alone when it is tried again."""

    start_from_trigger = True

    def __init__(self, *, node: str, task_group: TaskGroup, **kwargs: Any) -> None:
        """`node`: its unique id, or `tests`."""
        # Side by side: the order of the nodes is dbt's affair, and a round of the scheduler a level would cost more
        # than the build. What depends on what is drawn all the same.
        kwargs |= {"trigger_rule": TriggerRule.ALWAYS, "execution_timeout": LONGEST_WAIT}
        super().__init__(task_group=task_group, **kwargs)
        self.node = node
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="one_build.watch.NodeResult",
            trigger_kwargs={
                "node": node,
                "group": task_group.group_id,
                "site": f"{type(self.site).__module__}.{type(self.site).__qualname__}",
                "results": self.site.results,
            },
            next_method="resume",
        )

    def execute(self, context: Any) -> None:
        """Refuse: only a command that has no triggerer comes here, and it would build the node before its sources land.

        Raises:
            Exception: always.
        """
        node = self.task_id.rpartition(".")[2]
        raise self.site.QUIET(
            f"{node} waits in the triggerer for the build, which `airflow dags test` and `airflow tasks test` do not "
            f"have: this task built nothing. Run the DAG: airflow dags trigger {self.dag_id}; "
            f"one node: dbt build --select {node}"
        )

    def resume(self, context: Any, event: dict[str, Any]) -> None:
        """Fail with what the build said, or run the node alone: after the build, or when the trouble may be past.

        Raises:
            AirflowFailException: the node is broken: the same again would not help.
            AirflowException: it may.
        """
        message, timing = event["message"], event["timing"]
        if event.get("is_unreached"):
            context["ti"].xcom_push(TIMING, timing_of())
            raise self.site.QUIET(message)
        if not message or self.site.is_transient(message):
            if message:
                self.log.warning("%s", message)
            began = datetime.now(UTC)
            try:
                message = self._run_alone(context)
            finally:
                timing = timing_of(began, datetime.now(UTC))
                context["ti"].xcom_push(TIMING, timing)
        else:
            context["ti"].xcom_push(TIMING, timing or timing_of())
        if message:
            self.log.error("%s", message)
            raise (AirflowException if self.site.is_transient(message) else AirflowFailException)(message)

    def _run_alone(self, context: Any) -> str:
        self.log.info("Running %s alone.", self.node)
        run = context["dag_run"]
        target = self.site.home / f"{run.dag_id}.{self.task_id}"
        selection, flags = self.asked(context)
        if self.node == TESTS:
            arguments = ["--resource-type", "test", *_selection(self.select, selection, self.exclude)]
        else:
            arguments = _selection(self.select, [], self.exclude, tests="cautious") + flags
        with self.site.judging():
            failures = self.build(context, target, arguments, is_last=self.node == TESTS)
        if self.node == TESTS:
            self.site.built(context, target, alone=True)
        if not failures:
            self.log.info("%s succeeded.", self.node)
            results.record(self.connect, run.dag_id, run.run_id, self.node)
        return "\n".join(failures)


def _selection(select: list[str], also: list[str], exclude: list[str], tests: str = "buildable") -> list[str]:
    """dbt's arguments for what is in both selections; an empty one is everything.

    By default a DAG's selection brings the tests that read nothing beyond it: another DAG may not have built that yet.
    """
    both = [f"{one},{other}" for one in select for other in also] if select and also else select or also
    arguments = ["--exclude-resource-type", "unit_test"]
    arguments += ["--select", *both] if both else []
    arguments += ["--indirect-selection", tests] if select else []
    return arguments + (["--exclude", *exclude] if exclude else [])
