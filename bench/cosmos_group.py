"""The dbt group as Cosmos makes it by itself, as well configured as we know how: what ours is measured against."""

import os
from datetime import timedelta
from typing import Any

from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestBehavior
from one_build.tasks import NO_TASKS

from storehouse.core.settings import PROJECT, settings
from storehouse.core.transform import NOT_DAILY_TAGS, target_folder

NOT_DAILY = [f"tag:{tag}" for tag in NOT_DAILY_TAGS]

# Airflow fails a task whose trigger fires before the scheduler has heard that its worker ended: it happens to WATCHER's
# sensors on a busy machine. Then they need another try.
RULES = {"retries": 2, "retry_delay": timedelta(seconds=5)}


def local() -> DbtTaskGroup:
    """A process a node, which builds it and runs its tests, and one for each test that is about several nodes."""
    # Many dbt invocations that are one run: none of them is the last.
    return _group(ExecutionMode.LOCAL, test_behavior=TestBehavior.BUILD, run_ends=False)


def watcher() -> DbtTaskGroup:
    """One `dbt build` with all the tests, and a deferrable sensor a node."""
    # Tests without sensors of their own: with them (AFTER_EACH) it would be two tasks a node. The producer runs them
    # all the same, when its flags say so.
    return _group(
        ExecutionMode.WATCHER,
        test_behavior=TestBehavior.NONE,
        run_ends=True,
        setup_operator_args={"dbt_cmd_flags": ["--resource-type", "test"]},
        operator_args={"poke_interval": 2, "deferrable": True},
    )


def _group(
    mode: ExecutionMode,
    test_behavior: TestBehavior,
    run_ends: bool,
    setup_operator_args: dict[str, Any] | None = None,
    operator_args: dict[str, Any] | None = None,
) -> DbtTaskGroup:
    # A task reads this file too, and runs dbt in its own process, which inherits it.
    os.environ.update(settings().dbt_environment())
    return DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(
            PROJECT,
            manifest_path=target_folder() / "manifest.json",
            install_dbt_deps=False,
            env_vars={"CONVERGE_RUN_ID": "{{ dag.dag_id }} {{ run_id }}", "CONVERGE_RUN_ENDS": str(run_ends).lower()},
        ),
        profile_config=ProfileConfig("storehouse", "default", profiles_yml_filepath=PROJECT / "profiles.yml"),
        execution_config=ExecutionConfig(
            execution_mode=mode, invocation_mode=InvocationMode.DBT_RUNNER, setup_operator_args=setup_operator_args
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=test_behavior,
            # Else LOCAL would run them with each of their nodes, the first time before the others are built.
            should_detach_multiple_parents_tests=True,
            exclude=[*NOT_DAILY, *NO_TASKS],
            emit_datasets=False,
        ),
        operator_args=operator_args or {},
    )
