"""Commands that begin with everything imported: each is a fork of one process that a test worker keeps.

The imports of dbt, and what it makes at its first parse, are three to four seconds of a command's CPU. A fork has
arguments, an environment and streams of its own, and is a process like any other. What a test kills, or gives variables
that Python itself reads, it starts from scratch.
"""

import atexit
import fcntl
import gc
import json
import logging
import os
import random
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
MODULES = [
    *("dbt.adapters.postgres", "extract_load", "publish", "storehouse.laptop.local"),
    *("storehouse.operate.audit", "storehouse.operate.forget", "storehouse.operate.run"),
]
# Not what imports Arrow, as the demo does: it may have threads of its own, which a fork has not.
LARGEST = 1 << 20  # bytes of a request
DATABASE = "storehouse"  # of what is parsed here


def run(*arguments: str, env: dict[str, str], given: str = "", timeout: float = 900) -> subprocess.CompletedProcess:
    """`python -m` with these arguments, in the project's folder and this environment.

    Raises:
        TimeoutError: it took longer, in seconds, and was killed.
    """
    (stdin, to_stdin), (from_stdout, stdout), (from_stderr, stderr) = (os.pipe() for _ in range(3))
    told, tell = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with told, ThreadPoolExecutor() as threads:
        with tell:
            socket.send_fds(process(), [json.dumps([arguments, env]).encode()], [stdin, stdout, stderr, tell.fileno()])
        for end in (stdin, stdout, stderr):
            os.close(end)
        said = [threads.submit(_read, end) for end in (from_stdout, from_stderr)]
        threads.submit(_write, to_stdin, given)
        pid = int(told.recv(20))
        told.settimeout(timeout)
        try:
            code = int(told.recv(20))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(arguments, code, *(each.result() for each in said))


@contextmanager
def parsing(target: str = "default") -> Iterator[dict[str, str]]:
    """The environment in which dbt parses the project for a target, while no other process does.

    It writes into a folder that stays, `DBT_TARGET_PATH`, and parses anew what has changed since. It asks no server.
    """
    folder = PROJECT / "target" / "parsed" / target
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield os.environ | {
            "WAREHOUSE_HOST": "127.0.0.1",
            "WAREHOUSE_PORT": "1",
            "WAREHOUSE_DATABASE": DATABASE,
            "PII_KEY": "the-key-of-no-warehouse-in-the-tests",
            "DBT_TARGET_PATH": str(folder),
            "DBT_LOG_PATH": str(folder),
            "DBT_LOG_LEVEL_FILE": "none",
        }


def _read(end: int) -> str:
    with open(end) as file:
        return file.read()


def _write(end: int, text: str) -> None:
    with open(end, "w") as file:
        file.write(text)


@cache
def process() -> socket.socket:
    """What takes requests for the warm process, once that is ready. It ends with this one."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        warm = subprocess.Popen(
            [sys.executable, __file__, str(its.fileno())],
            cwd=PROJECT,
            env=os.environ | {"PYTHONPATH": str(PROJECT)},
            pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    atexit.register(warm.wait)
    atexit.register(ours.close)
    ours.recv(1)
    return ours


def _serve(asked: socket.socket) -> None:
    """Be the warm process: for each request fork a command, and one who tells its id, and how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path[0] = str(PROJECT)
    for name in MODULES:
        import_module(name)
    _warm_dbt()
    # One that dbt's import brings: a command that doesn't import dbt has none.
    logging.root.handlers.clear()
    gc.freeze()
    asked.send(b"!")
    tellers: set[int] = set()
    while True:
        request, ends, _, _ = socket.recv_fds(asked, LARGEST, 4)
        tellers -= {pid for pid in tellers if os.waitpid(pid, os.WNOHANG)[0]}
        if not request:
            return
        teller = os.fork()
        if teller:
            tellers.add(teller)
            for end in ends:
                os.close(end)
            continue
        asked.close()
        *streams, tell = ends
        command = os.fork()
        if command == 0:
            os.close(tell)
            _be(*json.loads(request), streams)
        for end in streams:
            os.close(end)
        # Who has killed it for its time may ask no more.
        with socket.socket(fileno=tell) as told, suppress(BrokenPipeError):
            told.send(str(command).encode())
            told.send(str(os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])).encode())
        os._exit(0)


def _warm_dbt() -> None:
    """Have dbt make what it makes at first use: how its classes are read and written, and its macros' templates."""
    from dbt.cli.main import dbtRunner
    from dbt_common.clients.jinja import template_cache

    parse = ["--quiet", "parse"]
    with parsing() as environment:
        os.environ.update(environment)
        # What has changed is parsed in a process of its own: dbt's extractor has threads, which no fork would have, and
        # each would wait for. Here it is only read.
        child = os.fork()
        if child == 0:
            os._exit(not dbtRunner().invoke(parse).success)
        assert os.waitpid(child, 0)[1] == 0, "dbt can't parse the project"
        parsed = dbtRunner().invoke(parse)
    tasks = Path("/proc/self/task")
    assert not tasks.exists() or len(list(tasks.iterdir())) == 1, "no fork would have this process' other threads"
    for macro in parsed.result.macros.values():
        template_cache.get_node_template(macro)


def _be(arguments: list[str], environment: dict[str, str], streams: list[int]) -> None:
    """Be `python -m` with these arguments, to the end."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()
    sys.argv[:] = arguments
    code: object = 0
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
