"""Marts as their contracts say, without rows; settings by the test; a real Redis and a real S3 server."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from publish_scene import MARTS, contract
from real_redis import Redis

from storehouse.core.settings import PROJECT


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


@pytest.fixture
def redis_server(tmp_path: Path, configure: Callable[..., None]) -> Iterator[Redis]:
    """The Redis behind REDIS_URL, empty."""
    server = Redis(tmp_path)
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
