"""The embedded server belongs to one user: whoever else can reach its port is asked for a password."""

import os
import re
import signal
import socket
import stat
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from houses import command
from real_redis import wait_until

from storehouse.laptop.server import Server, is_free

NO_PASSWORD = {"host": "127.0.0.1", "passfile": "/dev/null", "connect_timeout": 10}


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of a home folder, not started yet."""
    monkeypatch.delenv("PGPASSWORD", raising=False)
    server = Server(tmp_path / "postgres")
    yield server
    server.stop()


def make_it_trust_everybody(server: Server) -> None:
    """Leave it as homes were made before there was a password; it holds one table."""
    server.start().ensure_database("storehouse")
    with psycopg.connect(server.conninfo("storehouse")) as connection:
        connection.execute("create table kept as select 1 as n")
        connection.execute("alter role postgres password null")
    server.stop()
    rules = server.data / "pg_hba.conf"
    rules.write_text(rules.read_text().replace("scram-sha-256", "trust"))
    server.password_file.unlink()


def kept(server: Server) -> int:
    with psycopg.connect(server.conninfo("storehouse")) as connection:
        return connection.execute("select n from kept").fetchone()[0]


def refusal(server: Server, **options: str) -> str:
    with pytest.raises(psycopg.OperationalError) as refused:
        psycopg.connect(port=server.port, **NO_PASSWORD | options)
    return str(refused.value)


def test_nobody_connects_without_the_password(embedded: Server) -> None:
    embedded.start()
    assert "no password supplied" in refusal(embedded, user="postgres", dbname="postgres")
    assert "no password supplied" in refusal(embedded, user="anybody", dbname="postgres")
    assert "no password supplied" in refusal(embedded, user="postgres", replication="true")
    assert "password authentication failed" in refusal(embedded, user="postgres", password="postgres")


def test_the_password_and_the_logs_are_for_the_owner_alone(embedded: Server) -> None:
    embedded.start()
    assert stat.S_IMODE(embedded.password_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(embedded.folder.stat().st_mode) == 0o700
    assert len(embedded.password) >= 32
    assert embedded.password not in embedded.log.read_text()


def test_a_home_that_trusted_everybody_keeps_its_data_and_asks_from_its_next_start_on(embedded: Server) -> None:
    make_it_trust_everybody(embedded)
    embedded.start()
    assert kept(embedded) == 1
    assert "no password supplied" in refusal(embedded, user="postgres", dbname="storehouse")
    assert not re.search(r"^[^#\n]*\btrust\b", (embedded.data / "pg_hba.conf").read_text(), re.MULTILINE)
    assert embedded.password not in "".join(file.read_text() for file in embedded.folder.glob("*.log"))


@contextmanager
def squatter(port: int) -> Iterator[list[bytes]]:
    """Another user's program on a port of the server's: it asks everybody for the password in clear, and keeps it."""
    heard: list[bytes] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                with client:
                    client.settimeout(5)
                    client.recv(1024)  # May it be TLS? No.
                    client.sendall(b"N")
                    client.recv(1024)  # Who comes. It is asked for the password itself.
                    client.sendall(b"R" + struct.pack("!ii", 8, 3))
                    with suppress(TimeoutError, ConnectionError):
                        heard.append(client.recv(1024))

    with socket.create_server(("127.0.0.1", port)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield heard
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_who_takes_the_port_of_a_killed_server_is_neither_the_server_nor_told_the_password(embedded: Server) -> None:
    conninfo, port = embedded.start().conninfo(), embedded.port
    os.kill(int((embedded.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    wait_until(lambda: is_free(port))
    with squatter(port) as heard:
        assert not embedded.is_running
        # Not even by one who looked for the server before it was killed.
        with pytest.raises(psycopg.OperationalError, match="authentication"):
            psycopg.connect(conninfo)
    assert not any(embedded.password.encode() in said for said in heard)


def test_every_command_works_in_a_home_that_trusted_everybody(embedded: Server) -> None:
    make_it_trust_everybody(embedded)
    run = command(embedded.folder.parent)
    try:
        assert run("start").returncode == 0
        assert run("psql", "-At", given="select n from kept").stdout.strip() == "1"
        assert run("advance", "--days", "1", "--size", "0.01", module="demo").returncode == 0
        landed = run("shop", module="extract_load")
        assert landed.returncode == 0, landed.stderr
        checked = run("db", "check", module="storehouse.laptop.airflow")
        assert checked.returncode == 0, checked.stderr
    finally:
        run("stop")


def test_a_running_server_that_trusts_everybody_is_left_running_and_start_says_so(embedded: Server) -> None:
    make_it_trust_everybody(embedded)
    rules = embedded.data / "pg_hba.conf"
    trusting = rules.read_text()
    embedded.start()
    with psycopg.connect(embedded.conninfo()) as connection:
        rules.write_text(trusting)
        embedded.password_file.unlink()
        connection.execute("select pg_reload_conf()")
    run = command(embedded.folder.parent, SHOP_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    said = run("start").stderr
    assert "make stop" in said and "every user of this machine" in said
    assert run("psql", "-At", given="select n from kept").stdout.strip() == "1"


def test_a_lost_password_is_replaced_at_the_next_start(embedded: Server) -> None:
    make_it_trust_everybody(embedded)
    embedded.start()
    before = embedded.password
    embedded.stop()
    embedded.password_file.unlink()
    embedded.start()
    assert embedded.password != before
    assert kept(embedded) == 1


def test_a_lost_password_of_a_running_server_is_told_with_what_to_do(embedded: Server) -> None:
    embedded.start()
    embedded.password_file.unlink()
    run = command(embedded.folder.parent)
    done = run("psql", "-At", given="select 1")
    assert done.returncode == 1
    assert str(embedded.password_file) in done.stderr and "make stop" in done.stderr
    assert "Traceback" not in done.stderr
