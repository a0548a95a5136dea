"""A shop as docs/sources.md wants it, an API over real HTTP, a folder of store files, and the command."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import psycopg
import pytest
import warm
from extract_scene import SHOP, Api

from extract_load.tables import TABLES
from storehouse.core.settings import DEMO, settings


@pytest.fixture
def new_house(house):
    """The module's house, emptied: quicker than a new one."""
    for database in (house.warehouse, house.shop):
        with psycopg.connect(database, autocommit=True) as connection:
            schemas = connection.execute(
                "select quote_ident(nspname) from pg_namespace "
                "where nspname !~ '^pg_' and nspname <> 'information_schema'"
            ).fetchall()
            for (schema,) in schemas:
                connection.execute(f"drop schema {schema} cascade")
            connection.execute("create schema public")
    settings.cache_clear()
    return house


@pytest.fixture
def shop(new_house):
    """A house with the documented tables in its shop, without rows."""
    new_house.execute_in_shop(SHOP)
    return new_house


@pytest.fixture
def run() -> Callable[..., subprocess.CompletedProcess]:
    """Run `python -m extract_load` in the environment of the test."""

    def run_it(*arguments: str) -> subprocess.CompletedProcess:
        return warm.run("extract_load", *arguments, env=dict(os.environ))

    return run_it


@pytest.fixture
def api(configure: Callable[..., None]) -> Iterator[Api]:
    """The API behind the variables that the declarations name."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            answer = api.answer(parts.path, dict(parse_qsl(parts.query)))
            self.send_response(answer.status)
            self.send_header("Content-Length", str(answer.promised_length or len(answer.body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    api.url = f"http://127.0.0.1:{server.server_port}"
    places = {t.connection: api.url + DEMO.get(t.connection, "") for t in TABLES if t.connector == "api"}
    configure(**places, HTTP_RETRIES=2, HTTP_TIMEOUT_SECONDS=5)
    yield api
    server.shutdown()
    server.server_close()


@pytest.fixture
def stores(tmp_path: Path, configure: Callable[..., None]) -> Path:
    """The folder above `sales/`, with none in it."""
    folder = tmp_path / "stores"
    folder.mkdir()
    configure(STORES_URL=folder)
    return folder


@pytest.fixture
def bucket(configure):
    """An S3 server with an empty bucket."""
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
        STORES_URL="s3://stores/shop",
    )
    client = boto3.client("s3")
    client.create_bucket(Bucket="stores")
    yield client
    server.stop()
