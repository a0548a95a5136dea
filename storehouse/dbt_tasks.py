"""The dbt graph as Airflow tasks: one `dbt build` does the work, and every node has a task with its state and its log.

Tasks that are processes, one a node, cost ten times the build. So the nodes' tasks start in the triggerer, side by
side, and end there as the build reports on them (`storehouse.dbt_watch`). A worker takes a node's task only when it
failed, or is tried again, or was cleared: then it runs that node alone.
"""

import gc
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, TaskGroup, TriggerRule
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout
from airflow.triggers.base import StartTriggerArgs
from cosmos import DbtTaskGroup, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import DbtResourceType, LoadMode, TestBehavior
from cosmos.dbt.graph import DbtNode

from storehouse import node_results
from storehouse.core import transform
from storehouse.core.errors import StorehouseError, may_pass
from storehouse.core.selection import words
from storehouse.core.settings import PROJECT, settings
from storehouse.core.transform import target_folder
from storehouse.node_results import TESTS
from storehouse.operate.summary import count_tests
from storehouse.orchestrate.notices import Told
from storehouse.orchestrate.rules import BUILDS_POOL, no_vain_retries

# Unit tests test the code, not the day: they are in `make test`. Tests tagged `audit` read all of history.
NOT_DAILY = ["resource_type:unit_test", "tag:audit"]
NO_TASKS = ["resource_type:operation", "resource_type:exposure"]
# Of a build, whatever its size: a full refresh reads all of raw, in a DAG without a large build too.
LONGEST_BUILD = timedelta(hours=4)
LONGEST_WAIT = timedelta(hours=12)  # of a node's task, the waiting for the sources before the build included


def dbt_build(
    group_id: str = "dbt",
    select: Sequence[str] = (),
    exclude: Sequence[str] = (),
    large: dict[str, Any] | None = None,
    **build: Any,
) -> DbtTaskGroup:
    """A task a node of the selection, one for the tests that are about several nodes, and the one that builds them all.

    Args:
        group_id: of the task group.
        select: in dbt's selection syntax; all by default.
        exclude: likewise.
        large: of a second task `build_large`, for days with many rows: a branch before the group chooses one of both.
        build: of the task `build`, as of any operator: `trigger_rule`, …

    Raises:
        StorehouseError: the manifest is not there, or no key to mask personal data with.
    """
    settings().session_environment()  # for its error: dbt itself gets the key where it runs, and nobody else
    manifest = target_folder() / "manifest.json"
    if not manifest.exists():
        raise StorehouseError(f"The dbt graph is not there: {manifest}. Make it with: .venv/bin/dbt parse")
    shown = dict.fromkeys((DbtResourceType.MODEL, DbtResourceType.SEED, DbtResourceType.SNAPSHOT), _node_task)
    group = DbtTaskGroup(
        group_id=group_id,
        project_config=ProjectConfig(PROJECT, manifest_path=manifest, install_dbt_deps=False),
        profile_config=ProfileConfig("storehouse", "default", profiles_yml_filepath=PROJECT / "profiles.yml"),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.NONE,
            select=list(select),
            exclude=[*NOT_DAILY, *NO_TASKS, *exclude],
            emit_datasets=False,
            normalize_task_id=_name,
            normalize_task_display_name=_name,
            node_converters=shown,
        ),
    )
    chosen = {"select": list(select), "exclude": [*NOT_DAILY, *exclude], "task_group": group}
    leaves = list(group.get_leaves())
    # In the builds' pool too: when they run alone they end the run, and its end forgets what tests of others look at
    # where both DAGs build a model. A node that runs alone ends none, and shares the warehouse with a build model by
    # model. In the pool a broken one would wait for the end of the build to say so.
    leaves >> DbtNodeTask(task_id=TESTS, node=TESTS, pool=BUILDS_POOL, **chosen)
    roots = list(group.get_roots())
    build = {"pool": BUILDS_POOL, "execution_timeout": LONGEST_BUILD} | build
    DbtBuild(task_id="build", **chosen, **build) >> roots
    if large:
        DbtBuild(task_id="build_large", **chosen, **build | large) >> roots
    return group


def _name(node: DbtNode) -> str:
    return node.name


def _node_task(node: DbtNode, dag: object, task_group: TaskGroup, task_id: str, **_: object) -> BaseOperator:
    """Cosmos' node converter."""
    return DbtNodeTask(
        task_id=task_id, node=node.unique_id, select=[node.name], exclude=NOT_DAILY, task_group=task_group, dag=dag
    )


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

    def __init__(self, *, select: list[str], exclude: list[str], **kwargs: Any) -> None:
        """`select`, `exclude`: in dbt's selection syntax."""
        super().__init__(**kwargs)
        self.select, self.exclude = select, exclude

    def build(self, context: Any, target: Path, arguments: list[str], is_last: bool, listen: Any = None) -> list[str]:
        """Run it; returns what failed, a line each.

        Raises:
            AirflowFailException: it did not end in time.
            TransientError: dbt could not begin or broke off, and may not the next time.
            StorehouseError: dbt could not begin, or broke off: the project is broken.
        """
        run = context["dag_run"]
        target.mkdir(parents=True, exist_ok=True)
        # What dbt parsed for the whole DAG, or for `make run`, need not be parsed again.
        for folder in (settings().home / "dbt" / run.dag_id, target_folder()):
            for parsed in folder.glob("partial_parse.msgpack"):
                if not (target / parsed.name).exists():
                    shutil.copy(parsed, target)
        os.environ.update(
            # One bound for all tasks of a run, and a new one when it is cleared.
            CONVERGE_RUN_ID=f"{run.dag_id} {run.run_id} {run.clear_number}",
            # A selection leaves tests out that look at what it built, and at something else.
            CONVERGE_RUN_ENDS="" if is_last and not self.asked(context)[0] else "false",
            DBT_TARGET_PATH=str(target),
        )
        try:
            with _an_alarm_that_dbt_hears():
                return transform.build(["build", *arguments], listen)
        except StorehouseError as error:
            if isinstance(error.__cause__, TooLong):
                raise AirflowFailException(
                    f"dbt did not end within {self.execution_timeout} and was stopped. What it built stays: clear the "
                    "task to go on from there. More time for a build: LONGEST_BUILD in storehouse/dbt_tasks.py."
                ) from error
            raise
        finally:
            gc.collect()

    def count_tests(self, context: Any, target: Path) -> None:
        """For the report, which another machine may make, and which takes the last count there is."""
        context["ti"].xcom_push("tests", count_tests(target) | {"at": int(time.time())})

    def asked(self, context: Any) -> tuple[list[str], list[str]]:
        """What a run by hand asks for: a selection in dbt's syntax, and dbt's flags.

        Raises:
            AirflowFailException: the selection is none. A form refuses it; not every run was begun by one.
        """
        params = context["params"]
        with no_vain_retries():
            selection = words(params.get("selection"))
        return selection, ["--full-refresh"] * bool(params.get("full_refresh"))


class DbtBuild(DbtTask):
    """Builds every node of the selection in one go, and records what became of each; fails only when dbt can't run."""

    ui_color = "#ffd9a0"

    def __init__(self, *, threads: int | None = None, **kwargs: Any) -> None:
        """`threads`: how many nodes dbt builds at once; by default what `DBT_THREADS` says."""
        super().__init__(**kwargs)
        self.threads = threads

    def execute(self, context: Any) -> dict[str, int]:
        """Returns how many nodes succeeded, failed and were skipped."""
        run = context["dag_run"]
        # Read before dbt gets a folder of its own for what it compiles.
        graph = target_folder()
        target = settings().home / "dbt" / run.dag_id
        selection, flags = self.asked(context)
        arguments = _selection(self.select, selection, self.exclude) + flags
        arguments += ["--threads", str(self.threads)] * bool(self.threads)
        with no_vain_retries():
            node_results.begin(run.dag_id, run.run_id)
            manifest = json.loads((graph / "manifest.json").read_text())
            recorder = node_results.Recorder(run.dag_id, run.run_id, target, manifest)
            failures = self.build(context, target, arguments, is_last=True, listen=recorder)
            if not json.loads((target / "run_results.json").read_text())["results"]:
                raise StorehouseError(
                    f"Nothing to build: no model of {run.dag_id} is in the selection {' '.join(selection)!r}. Trigger "
                    "the DAG that has them, or with names as this DAG's graph shows them; what landed stays landed."
                )
        for failure in failures:
            self.log.error("%s", failure)
        self.count_tests(context, target)
        shutil.copy(target / "run_results.json", graph)  # where `dbt build` by hand would have left it
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
            trigger_cls="storehouse.dbt_watch.NodeResult",
            trigger_kwargs={"node": node, "group": task_group.group_id},
            next_method="resume",
        )

    def execute(self, context: Any) -> None:
        """Refuse: only a command that has no triggerer comes here, and it would build the node before its sources land.

        Raises:
            Told: always; nobody is to be sent a notice of it.
        """
        raise Told(
            f"{self.task_id} waits in the triggerer for the build, which `airflow dags test` and `airflow tasks test` "
            f"do not have: nothing was built. Run the DAG: airflow dags trigger {self.dag_id}, on a laptop `make run`; "
            f"one node: dbt build --select {self.task_id.rpartition('.')[2]}"
        )

    def resume(self, context: Any, event: dict[str, Any]) -> None:
        """Fail with what the build said, or run the node alone: after the build, or when the trouble may be past.

        Raises:
            AirflowFailException: the node is broken: the same again would not help.
            AirflowException: it may.
        """
        message = event["message"]
        if not message or may_pass(message):
            if message:
                self.log.warning("%s", message)
            message = self._run_alone(context)
        if message:
            self.log.error("%s", message)
            raise (AirflowException if may_pass(message) else AirflowFailException)(message)

    def _run_alone(self, context: Any) -> str:
        self.log.info("Running %s alone.", self.node)
        target = settings().home / "dbt" / f"{context['dag_run'].dag_id}.{self.task_id}"
        selection, flags = self.asked(context)
        if self.node == TESTS:
            arguments = ["--resource-type", "test", *_selection(self.select, selection, self.exclude)]
        else:
            arguments = _selection(self.select, [], self.exclude, tests="cautious") + flags
        with no_vain_retries():
            failures = self.build(context, target, arguments, is_last=self.node == TESTS)
        if self.node == TESTS:
            self.count_tests(context, target)
        if not failures:
            node_results.record(context["dag_run"].dag_id, context["dag_run"].run_id, self.node)
        return "\n".join(failures)


def _selection(select: list[str], also: list[str], exclude: list[str], tests: str = "buildable") -> list[str]:
    """dbt's arguments for what is in both selections; an empty one is everything.

    By default a DAG's selection brings the tests that read nothing beyond it: another DAG may not have built that yet.
    """
    both = [f"{one},{other}" for one in select for other in also] if select and also else select or also
    arguments = ["--exclude-resource-type", "unit_test"]
    exclude = [what for what in exclude if what != "resource_type:unit_test"]
    arguments += ["--select", *both] if both else []
    arguments += ["--indirect-selection", tests] if select else []
    return arguments + (["--exclude", *exclude] if exclude else [])
