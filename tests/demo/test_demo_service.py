"""The command line: it plays the shop, runs its own server and no other, and tells what is wrong in one line."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from houses import House

import demo
from demo import service
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT, settings


def run(house: House, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """`python -m demo` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "demo", *arguments],
        cwd=PROJECT,
        env=os.environ | house.environment | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def answers_to_this_machines_names_only(url: str) -> None:
    """A web page whose name leads here (DNS rebinding) is told nothing; and only loopback is listened on."""
    port = int(url.rpartition(":")[2])
    for path in ("/health", "/openapi.json", "/reviews"):
        assert httpx.get(url + path, headers={"Host": f"evil.example:{port}"}).status_code == 400
    assert httpx.get(f"{url}/health", headers={"Host": f"localhost:{port}"}).is_success
    listening = {c.laddr.ip for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port}
    assert listening == {"127.0.0.1"}


def test_the_commands_play_the_shop_and_run_its_server(new_house: House) -> None:
    played = run(new_house, "advance", "--until", "2026-01-03", "--size", "0.05", "--seed", "5")
    assert played.returncode == 0, played.stderr
    assert "The shop has played until the end of 2026-01-03" in played.stdout
    started = run(new_house, "start")
    assert started.returncode == 0, started.stderr
    try:
        assert f"MARKETPLACE_URL={settings().place('MARKETPLACE_URL')}" in started.stdout
        assert started.stdout.splitlines() == [f"{name}={url}" for name, url in demo.start().items()]
        status = run(new_house, "status").stdout
        assert "at the end of 2026-01-03, since 2026-01-01; size 0.05, seed 5" in status
        assert settings().place("REVIEWS_URL") in status
        assert httpx.get(f"{settings().place('MARKETPLACE_URL')}/health").json() == {"status": "ok"}
        answers_to_this_machines_names_only(settings().place("REVIEWS_URL"))
    finally:
        assert "is stopped" in run(new_house, "stop").stdout
    assert demo.stop() is False
    with pytest.raises(StorehouseError, match="not running"):
        settings().place("REVIEWS_URL")


def test_a_process_that_is_not_ours_is_never_stopped(new_house: House, tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        pid_file = settings().home / "demo" / "api.pid"
        pid_file.parent.mkdir(parents=True)
        pid_file.write_text(str(stranger.pid))
        assert not service.is_running()
        assert demo.stop() is False
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_two_servers_of_two_homes_live_side_by_side(new_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    first = demo.start()
    try:
        monkeypatch.setenv("STOREHOUSE_HOME", str(new_house.home / "other"))
        settings.cache_clear()
        assert demo.start() != first
        assert demo.stop()
        assert httpx.get(f"{first['REVIEWS_URL']}/health").is_success
    finally:
        monkeypatch.setenv("STOREHOUSE_HOME", str(new_house.home))
        settings.cache_clear()
        assert demo.stop()


def test_a_port_that_is_taken_is_named(new_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setenv("DEMO_PORT", str(other.getsockname()[1]))
        with pytest.raises(StorehouseError, match="can't be used: Address already in use"):
            demo.start()
    assert not service.is_running()


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "words"),
    [
        (["advance", "--until", "soon"], {}, 2, "'soon' is not a date such as 2026-01-31"),
        (["advance", "--size", "-1"], {}, 1, "demo: A shop's size is over 0"),
        (["advance"], {"SHOP_DATABASE_URL": "postgresql://127.0.0.1:1/shop"}, 1, "database can't be reached"),
        (["start"], {"SHOP_DATABASE_URL": "postgresql://127.0.0.1:1/shop"}, 1, "database can't be reached"),
        (["start"], {"DEMO_PORT": "many"}, 1, "DEMO_PORT is 'many'"),
        ([], {}, 2, "the following arguments are required: COMMAND"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    house: House, arguments: list[str], environment: dict[str, str], code: int, words: str
) -> None:
    done = run(house, *arguments, **environment)
    assert done.returncode == code
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_the_server_says_when_there_is_no_shop_yet(new_house: House) -> None:
    base = demo.start()["REVIEWS_URL"]
    try:
        window = {"from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
        answers = [httpx.get(f"{base}/reviews", params=window) for _ in range(2)]
        assert answers[1].status_code == 503
        assert "Make it with `python -m demo advance" in answers[1].json()["detail"]
    finally:
        demo.stop()
