"""Where dbt runs, and what a project may want otherwise."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from psycopg.conninfo import make_conninfo

if TYPE_CHECKING:  # the triggerer imports this module, and has no use for Cosmos
    from cosmos import ProfileConfig, ProjectConfig

# What a database or dbt says when the same again may succeed.
_TRANSIENT = re.compile(
    r"connection|could not connect|timed? ?out|deadlock|could not serialize|shutting down|starting up|terminating"
    r"|too many clients|recovery mode|canceling statement due to (conflict|lock)|unexpected eof|eof detected"
    r"|temporary failure in name resolution|service ?unavailable|please try again",
    re.IGNORECASE,
)
# What it says when it won't, be it of a connection too.
_PERMANENT = re.compile(
    r"password authentication|no password supplied|no pg_hba|does not exist|certificate|startup parameter",
    re.IGNORECASE,
)
WENT_WRONG = {"error", "fail", "runtime error", "partial success"}  # a result's status


class DbtError(Exception):
    """dbt could not begin, or broke off."""


def _home() -> Path:
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "one_build"


@dataclass(frozen=True)
class Site:
    """A dbt project with its profile, and where the results of its nodes stand.

    A project that wants something otherwise makes a subclass, in a module that the triggerer can import too.

    Attributes:
        project_config: Cosmos'; with a `manifest_path`.
        profile_config: Cosmos'.
        results: the id of an Airflow connection to a PostgreSQL database, the warehouse's or any other. A table
            `orchestration.node_results` is made there.
        home: a folder, on whichever machine runs a build, for what dbt parses and compiles.
    """

    project_config: "ProjectConfig"
    profile_config: "ProfileConfig"
    results: str = ""
    home: Path = field(default_factory=_home)
    # Tests with one of these tags are excluded from every build: no node waits for them.
    tags_left_out: ClassVar[frozenset[str]] = frozenset()
    # What `connect` raises while the database is away for a while.
    AWAY: ClassVar[tuple[type[Exception], ...]] = (psycopg.Error,)
    # The error of a task that needs no notice: another task's says what happened, or a person looks on.
    QUIET: ClassVar[type[Exception]] = AirflowFailException

    @property
    def manifest(self) -> Path:
        """The file of dbt's graph.

        Raises:
            FileNotFoundError: it is not there.
        """
        # Cosmos makes it a URL.
        path = Path(str(self.project_config.manifest_path).removeprefix("file://"))
        if not path.exists():
            raise FileNotFoundError(
                f"The dbt graph is not there: {path}. Make it with `dbt parse`, and name it in Cosmos' "
                "ProjectConfig(manifest_path=…)."
            )
        return path

    @classmethod
    def connect(cls, results: str) -> psycopg.Connection:
        """Connect to the database of the results, for a worker or the triggerer; in autocommit.

        Args:
            results: as the attribute.
        """
        return psycopg.connect(_conninfo(results), autocommit=True, connect_timeout=10, tcp_user_timeout=60_000)

    @staticmethod
    def is_transient(message: str) -> bool:
        """True if the error looks transient: the same again may succeed."""
        return bool(_TRANSIENT.search(message)) and not _PERMANENT.search(message)

    @staticmethod
    def shown(said: str | Exception) -> str:
        """What dbt or a database said, as it may be shown in logs and kept with the results."""
        return str(said)

    @staticmethod
    def selection(words: str | None) -> list[str]:
        """The words of a selection that a run was triggered with (`params.selection`).

        Raises:
            AirflowFailException: one of them is a flag.
        """
        found = (words or "").split()
        if flags := [word for word in found if word.startswith("-")]:
            raise AirflowFailException(f"A selection takes no flags, such as {flags[0]!r}.")
        return found

    def environment(self, context: Mapping[str, Any], target: Path, ends_run: bool) -> dict[str, str]:
        """Environment variables for dbt.

        Args:
            context: Airflow's, of the task.
            target: the folder that dbt writes to.
            ends_run: whether this invocation is the last one of the run that is planned.
        """
        return {}

    def run(self, arguments: list[str], target: Path, listen: Callable[[object], None] | None = None) -> list[str]:
        """Run dbt in this process; returns what failed, a line each.

        Args:
            arguments: of dbt, without the common ones.
            target: the folder that dbt writes to.
            listen: is given each of dbt's events, from dbt's threads.

        Raises:
            DbtError: dbt could not begin, or broke off. After an interrupt, that is its cause.
        """
        from dbt.cli.main import dbtRunner

        profile = self.profile_config
        with profile.ensure_profile() as (profiles, variables):
            os.environ.update(variables)
            common = ["--quiet", "--no-use-colors", "--project-dir", str(self.project_config.dbt_project_path)]
            common += ["--profiles-dir", str(profiles.parent), "--profile", profile.profile_name]
            common += ["--target", profile.target_name, "--target-path", str(target), "--log-path", str(target)]
            done = dbtRunner(callbacks=[listen] if listen else []).invoke([*arguments, *common])
        results = getattr(done.result, "results", None)
        if results is None:
            interrupt = done.exception if isinstance(done.exception, KeyboardInterrupt) else None
            raise DbtError(f"dbt {arguments[0]}: {self.shown(str(done.exception or done.result))}") from interrupt
        return [
            f"{result.node.name}: {self.shown(result.message or result.status)}"
            for result in results
            if result.status in WENT_WRONG
        ]

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Within, an error that is not transient fails the task for good: the same again would not help."""
        try:
            yield
        except DbtError as error:
            kind = AirflowException if self.is_transient(str(error)) else AirflowFailException
            raise kind(self.shown(error)) from error

    def built(self, context: Mapping[str, Any], target: Path, alone: bool) -> None:
        """Do something with dbt's `run_results.json` in `target`, after a build and after the tests ran alone."""


@cache
def _conninfo(results: str) -> str:
    found = Connection.get(results)
    tls = {name: value for name, value in found.extra_dejson.items() if name.startswith("ssl")}
    return make_conninfo(
        host=found.host, port=found.port, user=found.login, password=found.password, dbname=found.schema, **tls
    )
