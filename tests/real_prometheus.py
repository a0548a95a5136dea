"""A real Prometheus and Alertmanager over our metrics, with our rules, that tell a web hook."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from real_redis import wait_until

from storehouse.core.settings import PROJECT
from storehouse.laptop.server import free_port

RULES = PROJECT / "deploy/prometheus/storehouse.rules.yml"


def tool(name: str) -> str:
    """Where a tool of Prometheus is; skips without it."""
    package = "prometheus" if name == "promtool" else name
    return shutil.which(name) or pytest.skip(f"no {name} here (Debian: apt install {package})")


@contextmanager
def running(*command: str, answers: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen]:
    """A service, from when this URL answers on."""

    def is_there() -> bool:
        assert process.poll() is None, process.communicate()
        try:
            return httpx.get(answers).is_success
        except httpx.TransportError:
            return False

    process = subprocess.Popen(
        command, cwd=PROJECT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_until(is_there)
        yield process
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def watching(folder: Path, port: int, hook: str) -> Iterator[Callable[[str], list[dict]]]:
    """Both, reading the exporter on this port each second; yields what asks Prometheus an expression.

    How long a condition must last is a second here: our own times are tested by promtool.
    """
    of_prometheus, of_alertmanager = free_port(), free_port()
    url = f"http://127.0.0.1:{of_prometheus}"

    def ask(expression: str) -> list[dict]:
        answer = httpx.get(f"{url}/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    configurations = {
        "prometheus": {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(folder / "rules.yml")],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{of_alertmanager}"]}]}]},
            "scrape_configs": [
                {"job_name": "storehouse", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]},
            ],
        },
        "alertmanager": {
            "route": {"receiver": "people", "group_wait": "0s", "group_interval": "1s", "group_by": ["..."]},
            "receivers": [{"name": "people", "webhook_configs": [{"url": hook.replace("json:", "http:")}]}],
        },
    }
    for name, configuration in configurations.items():
        (folder / f"{name}.yml").write_text(yaml.safe_dump(configuration))
    (folder / "rules.yml").write_text(re.sub(r"for: \d+m", "for: 1s", RULES.read_text()))
    prometheus = [tool("prometheus"), f"--config.file={folder / 'prometheus.yml'}"]
    prometheus += [f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{of_prometheus}"]
    alertmanager = [tool("prometheus-alertmanager"), f"--config.file={folder / 'alertmanager.yml'}"]
    alertmanager += [f"--web.listen-address=127.0.0.1:{of_alertmanager}", "--cluster.listen-address="]
    alertmanager += [f"--storage.path={folder / 'alertmanager'}"]
    with (
        running(*alertmanager, answers=f"http://127.0.0.1:{of_alertmanager}/-/ready"),
        running(*prometheus, answers=f"{url}/-/ready"),
    ):
        yield ask
        groups = httpx.get(f"{url}/api/v1/rules").json()["data"]["groups"]
        assert [rule["lastError"] for group in groups for rule in group["rules"] if "lastError" in rule] == []
