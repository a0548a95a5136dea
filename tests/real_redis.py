"""A redis-server of the test's own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from storehouse.laptop.server import free_port


def wait_until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


class Redis:
    """A redis-server with a password, in a folder of its own."""

    password = "let me in"

    def __init__(self, folder: Path) -> None:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.binary = shutil.which("redis-server", path=path)
        if self.binary is None:
            pytest.skip("no redis-server here: install Redis (Debian: apt install redis-server)")
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://:let%20me%20in@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "requirepass": self.password}
        self.process = subprocess.Popen(
            [self.binary, *(word for name, value in options.items() for word in (f"--{name}", str(value)))],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )
        self.client = redis.Redis.from_url(self.url, decode_responses=True)

        def answers() -> bool:
            try:
                return self.client.ping()
            except redis.exceptions.ConnectionError:
                return False

        wait_until(answers)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
