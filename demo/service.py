"""The API server as a background process.

It holds a lock on its pid file for as long as it lives: if the lock is taken, the file holds the server's
pid, or nothing yet while a server is being started.
"""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import httpx

from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT, settings

WAIT_SECONDS = 30


def start() -> dict[str, str]:
    """Start the server if it is not running, wait until it answers, and return its URLs.

    It listens on the port of `DEMO_PORT`, or on a free one.

    Raises:
        StorehouseError: the port is taken, or the server did not come up; the message says why.
    """
    _pid_file().parent.mkdir(parents=True, exist_ok=True)
    with _pid_file().open("a+") as file:
        if _lock(file):
            # Of a server that has ended: who finds the lock taken must not take them for the new one's.
            file.truncate(0)
            _port_file().unlink(missing_ok=True)
            port = _port()
            process = _spawn(file, port)
            try:
                _wait_for_health(process, port)
            except BaseException:
                process.kill()
                process.wait()
                raise
            _port_file().write_text(str(port))
    return urls()


def stop() -> bool:
    """Stop the server that `start` started, and no other. True when there was one to stop."""
    if not is_running():
        _port_file().unlink(missing_ok=True)
        return False
    with _pid_file().open("r+") as file:
        if not (pid := file.read()):
            raise StorehouseError("The demo's API server is starting. Stop it in half a minute: python -m demo stop")
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGTERM)
        if not _lock_within(file, WAIT_SECONDS):
            raise StorehouseError(f"The demo's API server (process in {_pid_file()}) did not stop when asked to.")
        file.truncate(0)
    _port_file().unlink(missing_ok=True)
    return True


def is_running() -> bool:
    """True while the server that `start` started lives."""
    if not _pid_file().exists():
        return False
    with _pid_file().open("r+") as file:
        return not _lock(file)


def urls() -> dict[str, str]:
    """The running server's URLs, by the names of their settings."""
    if not _port_file().exists():
        raise StorehouseError(
            "The demo's API server is starting. Try again in half a minute; if it is still not up: python -m demo stop"
        )
    base = f"http://127.0.0.1:{_port_file().read_text().strip()}"
    return {"MARKETPLACE_URL": f"{base}/marketplace", "REVIEWS_URL": base}


def _spawn(file: IO[str], port: int) -> subprocess.Popen:
    log = _log_file()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo", "serve", "--port", str(port)],
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # The open pid file, and with it our lock, pass to the server.
            pass_fds=[file.fileno()],
        )
    file.write(str(process.pid))
    file.flush()
    return process


def _wait_for_health(process: subprocess.Popen, port: int) -> None:
    """Wait until the server reports that it is healthy; otherwise stop it and raise the reason."""
    trouble = f"it gave no answer within {WAIT_SECONDS} seconds"
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/health", timeout=WAIT_SECONDS, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if answer.is_success:
            return
        trouble = f"it answered {answer.status_code} {answer.text[:200]}"
        break
    if process.poll() is not None:
        trouble = f"it exited with code {process.returncode}"
    raise StorehouseError(f"The demo's API server did not come up on port {port}: {trouble} (log: {_log_file()})")


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_within(file: IO[str], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if _lock(file):
            return True
        time.sleep(0.05)
    return False


def _port() -> int:
    """The port of `DEMO_PORT`, or a free one."""
    text = os.environ.get("DEMO_PORT") or "0"
    if not text.isdigit() or int(text) > 65535:
        raise StorehouseError(f"DEMO_PORT is {text!r}: it must be a port number, or empty to choose a free one.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except OSError as error:
            raise StorehouseError(
                f"Port {text} can't be used: {error.strerror}. Set DEMO_PORT to a free one, or leave it empty."
            ) from error
        return probe.getsockname()[1]


def _pid_file() -> Path:
    return settings().home / "demo" / "api.pid"


def _port_file() -> Path:
    return settings().home / "demo" / "port"


def _log_file() -> Path:
    return settings().home / "logs" / "demo-api.log"
