"""Marts as their contracts say, without rows; settings by the test; a real Redis and a real S3 server."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
import redis
import yaml

from storehouse.server import _free_port
from storehouse.settings import PROJECT, settings

MARTS = ("sales.agg_daily_sales", "feedback.product_ratings")


def contract(mart: str) -> dict[str, str]:
    """Columns and types that the mart promises."""
    schema, table = mart.split(".")
    models = yaml.safe_load((PROJECT / f"models/marts/{schema}/_{schema}__models.yml").read_text())["models"]
    (model,) = [model for model in models if model["name"] == table]
    return {column["name"]: column["data_type"].replace("string", "text") for column in model["columns"]}


@pytest.fixture
def marts(house) -> Callable[[str], None]:
    """The module's house with both marts, empty; called with SQL, it runs it there."""

    def run(script: str) -> None:
        with psycopg.connect(house.warehouse) as connection:
            connection.execute(script)

    for mart in MARTS:
        columns = ", ".join(f"{name} {type_}" for name, type_ in contract(mart).items())
        schema = mart.split(".")[0]
        run(f"drop schema if exists {schema} cascade; create schema {schema}; create table {mart} ({columns})")
    return run


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Set environment variables, for this process and for commands."""

    def set_all(**values: object) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))
        settings.cache_clear()

    yield set_all
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def start() -> Iterator[Callable[[str], subprocess.Popen]]:
    """Start `python -m publish …` in the environment of the test."""
    started = []

    def start_it(what: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "publish", what]
        process = subprocess.Popen(
            command, cwd=PROJECT, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start_it
    for process in started:
        process.kill()
        process.communicate()


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


@pytest.fixture
def redis_server(tmp_path: Path, configure: Callable[..., None]) -> Iterator[Redis]:
    """The Redis behind REDIS_URL, empty."""
    binary = shutil.which("redis-server", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if binary is None:
        pytest.skip("no redis-server here: install Redis (Debian: apt install redis-server)")
    server = Redis(binary, tmp_path)
    configure(REDIS_URL=server.url)
    yield server
    server.stop()


@pytest.fixture
def bucket(configure: Callable[..., None]) -> Iterator[object]:
    """An S3 server with an empty bucket `marts` that numbers its objects' versions; gives the client."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    configure(
        AWS_ENDPOINT_URL=f"http://{host}:{port}",
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
        AWS_DEFAULT_REGION="us-east-1",
    )
    # What earlier servers of this process hold is in the process.
    httpx.post(f"http://{host}:{port}/moto-api/reset").raise_for_status()
    client = boto3.client("s3")
    client.create_bucket(Bucket="marts")
    client.put_bucket_versioning(Bucket="marts", VersioningConfiguration={"Status": "Enabled"})
    yield client
    server.stop()
