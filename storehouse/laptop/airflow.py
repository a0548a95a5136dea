"""Airflow on a laptop: all of it in one foreground command, or one of its own commands in the same environment.

`python -m storehouse.laptop.airflow` starts the scheduler, the DAG processor, the triggerer, and the API server with
the UI.
`python -m storehouse.laptop.airflow dags list` (any arguments) is Airflow's own command line.
Loopback only, everyone who reaches the port is an administrator: for a laptop, not for production.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import httpx

from extract_load import is_demo
from storehouse.core import lineage, progress
from storehouse.core.embedded import SUPERUSER
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT, settings
from storehouse.core.task_names import BUILD, DBT, LARGE_BUILD
from storehouse.laptop.server import free_port, is_free, server_of_this_home

DAGS = PROJECT / "dags"
POOLS = PROJECT / "storehouse" / "orchestrate" / "pools.json"
DATABASE = "airflow"
METADATA = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
HEALTHY_WITHIN = 180  # seconds; a cold start on two busy cores takes about 40
STOP_WITHIN = 20  # seconds; running tasks that take longer are killed, and leave nothing half-landed

AIRFLOW = [sys.executable, "-m", "airflow"]
PLAY = "  The demo shop plays no day by itself here: .venv/bin/python -m demo advance --days 1\n"
PRELOADED = [sys.executable, "-m", "storehouse.orchestrate.preloaded"]
# The parts that keep running, in the order of their start. The API comes first: a task that the scheduler starts before
# the API answers would be lost. Logs are read from the folder: no log server listens.
PARTS = {
    "api-server": [*AIRFLOW, "api-server"],
    "scheduler": [*PRELOADED, "scheduler", "--skip-serve-logs"],
    "dag-processor": [*PRELOADED, "dag-processor"],
    "triggerer": [*AIRFLOW, "triggerer", "--skip-serve-logs"],
}


def environment() -> dict[str, str]:
    """The environment variables of an Airflow process here.

    What this project needs is always set. How much Airflow does at once, how often it looks, and where its metadata
    lives are defaults that `AIRFLOW__…` variables override.

    Raises:
        StorehouseError: the embedded server holds the metadata or the warehouse and does not run.
    """
    configured = settings()
    home = configured.home / "airflow"
    port = _port(home)
    defaults = {
        "AIRFLOW__CORE__PARALLELISM": str(2 * (os.cpu_count() or 1)),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
        # A trigger that ends a task sends a callback: 500 at a time, instead of a process for every twenty.
        "AIRFLOW__DAG_PROCESSOR__MAX_CALLBACKS_PER_LOOP": "500",
        # Of its own parts; logs of tasks are JSON lines anyway.
        "AIRFLOW__LOGGING__JSON_LOGS": str(configured.log_format == "json"),
        # Of tasks and DAGs, as of all that they start; their names and states: no code, which is in no other event.
        "AIRFLOW__OPENLINEAGE__NAMESPACE": lineage.namespace(),
        "AIRFLOW__OPENLINEAGE__DISABLE_SOURCE_CODE": "True",
    }
    if METADATA not in os.environ:
        server = configured.server
        defaults[METADATA] = f"postgresql+psycopg2://{SUPERUSER}:{server.password}@127.0.0.1:{server.port}/{DATABASE}"
    # Not WAREHOUSE_HOST of the embedded server: with it set, the settings ask for a PII_KEY.
    fixed = {
        "STOREHOUSE_HOME": str(configured.home),
        "STOREHOUSE_LOCAL": "true",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH", "")])),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": os.environ.get("STOREHOUSE_DAGS", str(DAGS)),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": "one_build.local_executor.LocalExecutor",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        # Cosmos would hash the whole folder of the project at every parse; the manifest says what the DAG is.
        "AIRFLOW__COSMOS__ENABLE_DAG_VERSIONING": "False",
        "AIRFLOW__COSMOS__CACHE_DIR": str(home / "cosmos"),
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
    }
    return defaults | os.environ | fixed


def serve() -> None:
    """Start every part of Airflow, say where it is once it is healthy, and stay until Ctrl-C.

    Raises:
        StorehouseError: a part ended, or was not healthy in time; the message has the end of its log.
    """
    configured = settings()
    _start_server()
    _claim_port(configured.home / "airflow")
    env = environment()
    url = env["AIRFLOW__API__BASE_URL"]
    logs = configured.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    began = datetime.now(UTC)
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, _interrupt)
    parts: dict[str, subprocess.Popen[bytes]] = {}
    try:
        print("Airflow: preparing its database …", flush=True)
        for step in (["db", "migrate"], ["pools", "import", str(POOLS)]):
            name = "-".join(step[:2])
            parts[name] = _start(name, [*AIRFLOW, *step], env, logs)
            if parts[name].wait():
                raise StorehouseError(_ended(name, logs))
            del parts[name]
        print(f"Airflow: starting; logs in {logs}", flush=True)
        for name, command in PARTS.items():
            parts[name] = _start(name, command, env, logs)
            if name == "api-server":
                _wait_until(lambda: _get(url, "monitor/health"), parts, logs)
        _wait_until(lambda: _is_healthy(url, began) and _knows_its_dags(url, env), parts, logs)
        print(
            f"Airflow is ready: {url}\n"
            "  Everyone on this machine who opens it is an administrator: for a laptop, not for production.\n"
            "  Run the pipeline: the Trigger button of shop_elt, or in another terminal\n"
            "    .venv/bin/python -m storehouse.laptop.airflow dags trigger shop_elt\n"
            f"{PLAY if is_demo() else ''}"
            "  Ctrl-C stops it.",
            flush=True,
        )
        while True:
            _check(parts, logs)
            time.sleep(1)
    except KeyboardInterrupt:
        print("\nAirflow: stopping …", flush=True)
    finally:
        _stop(list(parts.values()))


def main(arguments: list[str]) -> int:
    """Become Airflow's command line with the arguments, or without any start everything. Returns the exit code."""
    progress.configure()
    try:
        if not arguments:
            serve()
            return 0
        _refuse_tests(arguments)
        _start_server()
        os.execve(sys.executable, [*AIRFLOW, *arguments], environment())
    except StorehouseError as error:
        progress.fail(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def _refuse_tests(arguments: list[str]) -> None:
    """`airflow dags test` and `tasks test` have no triggerer, where the tasks of dbt's nodes wait for the build.

    Raises:
        StorehouseError: one of them is asked for, of a DAG or of a task that waits there.
    """
    waiting = {file.stem for file in DAGS.glob("*.py") if "dbt_build(" in file.read_text()} & set(arguments)
    is_node = any(word.startswith(f"{DBT}.") and word not in (BUILD, LARGE_BUILD) for word in arguments)
    if waiting and (arguments[:2] == ["dags", "test"] or (arguments[:2] == ["tasks", "test"] and is_node)):
        raise StorehouseError(
            f"`airflow {' '.join(arguments[:2])}` has no triggerer, and there the tasks of {min(waiting)} that show "
            f"dbt's nodes wait for the build: nothing was run. Run the DAG: `make airflow`, then "
            f"python -m storehouse.laptop.airflow dags trigger {min(waiting)}; without Airflow: `make run`; "
            "one node: python -m storehouse dbt build --select NAME"
        )


def _start_server() -> None:
    """Start the embedded server when the warehouse or Airflow's metadata is on it."""
    if settings().is_embedded or METADATA not in os.environ:
        server_of_this_home().start().ensure_database(DATABASE)


def _port(home: Path) -> int:
    """`AIRFLOW_PORT`, or the port of the last time, or a free one that is remembered from now on."""
    if wanted := os.environ.get("AIRFLOW_PORT"):
        if not wanted.isdigit():
            raise StorehouseError(f"AIRFLOW_PORT={wanted!r} is not a port. Set a number, or nothing for a free one.")
        return int(wanted)
    file = home / "port"
    if not file.exists():
        home.mkdir(parents=True, exist_ok=True)
        file.write_text(str(free_port()))
    return int(file.read_text())


def _claim_port(home: Path) -> None:
    """Make sure that the port is free. A remembered port that another program has taken by now is forgotten."""
    port = _port(home)
    if is_free(port):
        return
    if _get(f"http://127.0.0.1:{port}", "monitor/health"):
        raise StorehouseError(f"Airflow already runs: http://127.0.0.1:{port}")
    if "AIRFLOW_PORT" in os.environ:
        raise StorehouseError(f"Port {port} is taken by another program. Set AIRFLOW_PORT to a free one, or unset it.")
    (home / "port").unlink()


def _start(name: str, command: list[str], env: dict[str, str], logs: Path) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C does not reach it, and its children can be stopped with it.
    with (logs / f"airflow-{name}.log").open("wb") as log:
        return subprocess.Popen(
            command, env=env, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _wait_until(happens: Callable[[], object], parts: dict[str, subprocess.Popen[bytes]], logs: Path) -> None:
    deadline = time.monotonic() + HEALTHY_WITHIN
    while not happens():
        _check(parts, logs)
        if time.monotonic() > deadline:
            raise StorehouseError(f"Airflow was not healthy after {HEALTHY_WITHIN} s. Its logs: {logs}/airflow-*.log")
        time.sleep(0.5)


def _check(parts: dict[str, subprocess.Popen[bytes]], logs: Path) -> None:
    for name, part in parts.items():
        if part.poll() is not None:
            raise StorehouseError(_ended(name, logs))


def _get(url: str, what: str) -> dict[str, Any] | None:
    """The API's answer; None while there is none."""
    try:
        # The server is on this machine: a proxy from the environment can't reach it.
        answer = httpx.get(f"{url}/api/v2/{what}", timeout=5, trust_env=False)
        return answer.json() if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        return None


def _is_healthy(url: str, since: datetime) -> bool:
    """True if every part is healthy, with a heartbeat later than `since`."""
    parts = (_get(url, "monitor/health") or {"api": {"status": "away"}}).values()
    beats = [beat for part in parts for name, beat in part.items() if name.startswith("latest_") and beat]
    return all(part["status"] == "healthy" for part in parts) and min(map(datetime.fromisoformat, beats)) > since


def _knows_its_dags(url: str, env: dict[str, str]) -> bool:
    """True if the DAG files were read: each of ours has a DAG or an import error. Elsewhere, any DAG will do."""
    dags, errors = (_get(url, what) or {} for what in ("dags", "importErrors"))
    known = {dag["relative_fileloc"] for dag in dags.get("dags", [])}
    known |= {error["filename"] for error in errors.get("import_errors", [])}
    is_ours = env["AIRFLOW__CORE__DAGS_FOLDER"] == str(DAGS)
    return known >= {file.name for file in DAGS.glob("*.py")} if is_ours else bool(known)


def _ended(name: str, logs: Path) -> str:
    log = logs / f"airflow-{name}.log"
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    return f"Airflow's {name} ended. The end of {log}:\n{tail}"


def _stop(parts: list[subprocess.Popen[bytes]]) -> None:
    """Stop the parts, the API last: a task that ends meanwhile can still say so. Another Ctrl-C ends the waiting."""
    try:
        for together in (parts[1:], parts[:1]):
            for part in together:
                part.terminate()
            for part in together:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    part.wait(STOP_WITHIN)
    finally:
        for part in parts:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(part.pid, signal.SIGKILL)


def _interrupt(signal_number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
