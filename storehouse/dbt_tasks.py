"""The dbt graph as Airflow tasks: a node a task, from the manifest, dbt running inside the task's process."""

import os
import shutil
from pathlib import Path

from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import InvocationMode, LoadMode, TestBehavior, TestIndirectSelection
from cosmos.dbt.graph import DbtNode
from cosmos.operators.local import DbtBuildLocalOperator

from storehouse.errors import StorehouseError
from storehouse.settings import PROJECT, settings
from storehouse.transform import target_folder

# Unit tests test the code, not the day: they are in `make test`. Tests tagged `audit` read all of history.
NOT_DAILY = ["resource_type:unit_test", "tag:audit"]
ENVIRONMENT = {
    # One bound for all tasks of a run, and a new one when it is cleared. The run ends with its last task.
    "CONVERGE_RUN_ID": "{{ run_id }} {{ dag_run.clear_number }}",
    "CONVERGE_RUN_ENDS": "false",
    # Tasks run side by side: a target folder each, and nothing in it that nobody reads.
    "DBT_TARGET_PATH": "target",
    "DBT_WRITE_JSON": "false",
    "DBT_USE_COLORS": "false",
}


def dbt_build(group_id: str = "dbt") -> DbtTaskGroup:
    """A task a node, then one task for the tests.

    A node's task also runs the tests that are about it alone, and what stands on it waits for them.
    The last task runs those across nodes too, on what the run changed.

    Raises:
        StorehouseError: the manifest is not there, or no key to mask personal data with.
    """
    # A task reads this file too, and runs dbt in its own process.
    os.environ.update(settings().masking_environment())
    manifest = target_folder() / "manifest.json"
    if not manifest.exists():
        raise StorehouseError(f"The dbt graph is not there: {manifest}. Make it with: make manifest")
    profile = ProfileConfig("storehouse", "default", profiles_yml_filepath=PROJECT / "profiles.yml")
    group = DbtTaskGroup(
        group_id=group_id,
        project_config=ProjectConfig(PROJECT, manifest_path=manifest, install_dbt_deps=False, env_vars=ENVIRONMENT),
        profile_config=profile,
        execution_config=ExecutionConfig(
            invocation_mode=InvocationMode.DBT_RUNNER, test_indirect_selection=TestIndirectSelection.CAUTIOUS
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.BUILD,
            exclude=NOT_DAILY,
            emit_datasets=False,
            normalize_task_id=_name,
            normalize_task_display_name=_name,
        ),
    )
    nodes = list(group.get_leaves())
    tests = DbtBuildLocalOperator(
        task_id="tests",
        task_group=group,
        project_dir=PROJECT,
        profile_config=profile,
        invocation_mode=InvocationMode.DBT_RUNNER,
        install_deps=False,
        exclude=" ".join(NOT_DAILY),
        dbt_cmd_flags=["--resource-type", "test"],
        env=ENVIRONMENT | {"CONVERGE_RUN_ENDS": "true", "DBT_WRITE_JSON": "true"},
        callback=_keep_results,
        callback_args={"into": str(manifest.parent)},
        cache_dir=group.dbt_graph.cache_dir,
    )
    nodes >> tests
    return group


def _name(node: DbtNode) -> str:
    return node.name


def _keep_results(folder: str, into: str, **_: object) -> None:
    """Put the results of the tests where `dbt build` by hand would have left them: the summary counts them."""
    shutil.copy(Path(folder) / "target" / "run_results.json", into)
