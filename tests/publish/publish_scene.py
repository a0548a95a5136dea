"""What the scenes of these tests are made of: contracts of the marts, a Redis to start and stop."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import redis
import yaml

from storehouse.server import _free_port
from storehouse.settings import PROJECT

MARTS = ("sales.agg_daily_sales", "feedback.product_ratings")


def contract(mart: str) -> dict[str, str]:
    """Columns and types that the mart promises."""
    schema, table = mart.split(".")
    models = yaml.safe_load((PROJECT / f"models/marts/{schema}/_{schema}__models.yml").read_text())["models"]
    (model,) = [model for model in models if model["name"] == table]
    return {column["name"]: column["data_type"].replace("string", "text") for column in model["columns"]}


def wait_until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


class Redis:
    """A redis-server with a password, in a folder of its own."""

    password = "let me in"

    def __init__(self, binary: str, folder: Path) -> None:
        self.binary, self.folder, self.port = binary, folder, _free_port()
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
