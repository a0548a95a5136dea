"""The task group that builds dbt's graph, as every DAG of ours has it: packages/one_build says how it works."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from cosmos import DbtTaskGroup, ProfileConfig, ProjectConfig
from one_build.site import Site
from one_build.tasks import dbt_build as build_by_node

from storehouse.core import transform
from storehouse.core.databases import connect_warehouse
from storehouse.core.errors import StorehouseError, TransientError, may_pass, said_by, without_rows
from storehouse.core.selection import words
from storehouse.core.settings import PROJECT, settings
from storehouse.core.task_names import DBT
from storehouse.core.transform import NOT_DAILY_TAGS, target_folder
from storehouse.operate.lineage import told_build
from storehouse.operate.summary import count_tests
from storehouse.orchestrate.defaults import BUILDS_POOL, no_vain_retries
from storehouse.orchestrate.notices import Told


@dataclass(frozen=True)
class Storehouse(Site):
    """This project, with its warehouse and its errors."""

    tags_left_out = frozenset(NOT_DAILY_TAGS)
    AWAY = (psycopg.Error, TransientError)
    QUIET = Told

    @classmethod
    def connect(cls, results: str) -> psycopg.Connection:
        """To the warehouse."""
        return connect_warehouse("transform", tcp_user_timeout=60_000)

    @staticmethod
    def is_transient(message: str) -> bool:
        """As everywhere in this project."""
        return may_pass(message)

    @staticmethod
    def shown(said: str | Exception) -> str:
        """Without the values of rows."""
        return said_by(said) if isinstance(said, psycopg.Error) else without_rows(str(said))

    @staticmethod
    def selection(said: str | None) -> list[str]:
        """Checked as on the command line."""
        return words(said)

    def environment(self, context: Mapping[str, Any], target: Path, ends_run: bool) -> dict[str, str]:
        """For the package converge, and for whoever asks for dbt's folder."""
        run = context["dag_run"]
        return {
            # One bound for all tasks of a run, and a new one when it is cleared.
            "CONVERGE_RUN_ID": f"{run.dag_id} {run.run_id} {run.clear_number}",
            "CONVERGE_RUN_ENDS": "" if ends_run else "false",
            # A task of its own does it.
            "CONVERGE_PUBLISH": "later",
            "DBT_TARGET_PATH": str(target),
        }

    def run(self, arguments: list[str], target: Path, listen: Callable[[object], None] | None = None) -> list[str]:
        """As `make run` does, with its progress and its words."""
        with told_build(target) as told:
            failures = transform.build(arguments, listen)
            told.failed = "; ".join(failures) or None
        return failures

    def judging(self) -> AbstractContextManager[None]:
        """As every task of ours."""
        return no_vain_retries()

    def built(self, context: Mapping[str, Any], target: Path, alone: bool) -> None:
        """Count tests, for the report, which another machine may make, and which takes the last count there is."""
        context["ti"].xcom_push("tests", count_tests(target) | {"at": int(time.time())})
        if not alone:
            shutil.copy(target / "run_results.json", self.manifest.parent)  # where `dbt build` by hand leaves it


def site() -> Storehouse:
    """Ours, as it stands.

    Raises:
        StorehouseError: the manifest is not there, or no key to mask personal data with.
    """
    settings().session_environment()  # for its error: dbt itself gets the key where it runs, and nobody else
    manifest = target_folder() / "manifest.json"
    if not manifest.exists():
        raise StorehouseError(f"The dbt graph is not there: {manifest}. Make it with: .venv/bin/dbt parse")
    return Storehouse(
        ProjectConfig(PROJECT, manifest_path=manifest, install_dbt_deps=False),
        ProfileConfig("storehouse", "default", profiles_yml_filepath=PROJECT / "profiles.yml"),
        home=settings().home / "dbt",
    )


def dbt_build(select: Sequence[str] = (), exclude: Sequence[str] = (), **more: Any) -> DbtTaskGroup:
    """`one_build.tasks.dbt_build` of this project: the group `dbt`. Its builds share a pool of one slot.

    Args:
        select: in dbt's selection syntax; all by default.
        exclude: likewise.
        more: of the group's other parameters.

    Raises:
        StorehouseError: the manifest is not there, or no key to mask personal data with.
    """
    return build_by_node(site(), DBT, select=select, exclude=exclude, pool=BUILDS_POOL, **more)
