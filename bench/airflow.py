"""What does Airflow cost on top of dbt? The same `dbt build` as a bare command and as DagRuns, alternated.

    python -m bench.airflow [--rounds 3]

Needs a home (STOREHOUSE_HOME) with a built demo shop (`make run`) and a quiet machine. Each DagRun is a run of nothing
but the dbt group under the real LocalExecutor: Cosmos' ExecutionMode.LOCAL and WATCHER, and ours. CPU is that of all
of Airflow's processes from the trigger to the end of the run, less what the idle Airflow uses in that time.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import httpx
import psutil

from storehouse.run import DAILY
from storehouse.settings import PROJECT, settings

RUN_WITHIN = 900  # seconds
DAGS = """
from datetime import datetime, timedelta
from airflow.sdk import dag
from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestBehavior
from storehouse.dbt_tasks import NOT_DAILY, NO_TASKS, dbt_build
from storehouse.settings import PROJECT
from storehouse.transform import target_folder

RULES = {"schedule": None, "start_date": datetime(2026, 1, 1), "default_args": {"execution_timeout": timedelta(1)}}


def cosmos_group(mode):
    local = {"invocation_mode": InvocationMode.DBT_RUNNER} if mode == ExecutionMode.LOCAL else {}
    return DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(
            PROJECT,
            manifest_path=target_folder() / "manifest.json",
            install_dbt_deps=False,
            env_vars={"CONVERGE_RUN_ID": "{{ dag.dag_id }} {{ run_id }}", "CONVERGE_RUN_ENDS": "false"},
        ),
        profile_config=ProfileConfig("storehouse", "default", profiles_yml_filepath=PROJECT / "profiles.yml"),
        execution_config=ExecutionConfig(execution_mode=mode, **local),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.BUILD if mode == ExecutionMode.LOCAL else TestBehavior.NONE,
            exclude=[*NOT_DAILY, *NO_TASKS],
            emit_datasets=False,
        ),
    )


@dag(dag_id="bench_local", **RULES)
def local():
    cosmos_group(ExecutionMode.LOCAL)


@dag(dag_id="bench_watcher", **RULES)
def watcher():
    cosmos_group(ExecutionMode.WATCHER)


@dag(dag_id="bench_ours", **RULES)
def ours():
    dbt_build()


local()
watcher()
ours()
"""


class Cost(NamedTuple):
    """Seconds of wall and of CPU."""

    wall: float
    cpu: float


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=["bare", "bench_local", "bench_watcher", "bench_ours"])
    arguments = parser.parse_args()
    folder = settings().home / "bench_dags"
    folder.mkdir(exist_ok=True)
    (folder / "bench.py").write_text(DAGS)
    costs: dict[str, list[Cost]] = {name: [] for name in arguments.only}
    with airflow(folder) as (process, url):
        idle = idle_share(process)
        print(f"idle Airflow: {idle:.2f} CPU s a second", flush=True)
        # The first round warms caches and is not counted.
        for number in range(arguments.rounds + 1):
            for name in costs:
                cost = bare() if name == "bare" else dag_run(process, url, name, idle)
                print(f"round {number}: {name:<14} {cost.wall:6.1f} s wall {cost.cpu:6.1f} s CPU", flush=True)
                costs[name] += [cost] * (number > 0)
    report(costs)


@contextmanager
def airflow(folder: Path) -> Iterator[tuple[psutil.Process, str]]:
    """A running Airflow that sees only the folder's DAGs."""
    output = settings().home / "bench_airflow.out"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "storehouse.airflow"],
            cwd=PROJECT,
            env=os.environ | {"STOREHOUSE_DAGS": str(folder)},
            stdout=file,
            stderr=file,
        )
    try:
        while "Airflow is ready: " not in output.read_text():
            if process.poll() is not None:
                sys.exit(output.read_text())
            time.sleep(0.5)
        yield psutil.Process(process.pid), output.read_text().split("Airflow is ready: ")[1].split()[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(120)


def bare() -> Cost:
    """`dbt build` in a process of its own."""
    children = os.times()
    began = time.monotonic()
    env = os.environ | settings().dbt_environment() | {"DBT_PROFILES_DIR": str(PROJECT)}
    command = [
        str(Path(sys.executable).parent / "dbt"),
        *DAILY,
        "--quiet",
        "--target-path",
        str(settings().home / "bare"),
    ]
    subprocess.run(command, cwd=PROJECT, env=env, check=True)
    wall, after = time.monotonic() - began, os.times()
    return Cost(wall, after.children_user + after.children_system - children.children_user - children.children_system)


def dag_run(process: psutil.Process, url: str, dag_id: str, idle: float) -> Cost:
    """A triggered run, to its end."""
    api = f"{url}/api/v2/dags/{dag_id}/dagRuns"
    cpu, began = cpu_of(process), time.monotonic()
    run_id = httpx.post(api, json={"logical_date": None}, timeout=60).raise_for_status().json()["dag_run_id"]
    while time.monotonic() - began < RUN_WITHIN:
        time.sleep(0.5)
        run = httpx.get(f"{api}/{run_id}", timeout=RUN_WITHIN).raise_for_status().json()
        if run["state"] in ("success", "failed"):
            break
    wall = time.monotonic() - began
    if run["state"] != "success":
        sys.exit(f"{dag_id} ended as {run['state']}: {url}/dags/{dag_id}/runs/{run_id}")
    # What the run leaves to do (callbacks, clean-up) is part of its cost.
    time.sleep(10)
    seconds = time.monotonic() - began
    return Cost(wall, cpu_of(process) - cpu - idle * seconds)


def idle_share(process: psutil.Process, seconds: float = 30) -> float:
    """CPU seconds a second of an Airflow that does nothing."""
    time.sleep(10)
    before = cpu_of(process)
    time.sleep(seconds)
    return (cpu_of(process) - before) / seconds


def cpu_of(process: psutil.Process) -> float:
    """CPU seconds of a process, its living descendants, and those that they waited for."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def report(costs: dict[str, list[Cost]]) -> None:
    """The table, as it stands in the README."""
    names = {"bare": "bare `dbt build`", "bench_local": "Cosmos LOCAL", "bench_watcher": "Cosmos WATCHER"}
    print("\n| | wall | CPU | wall, times bare | CPU, times bare |\n| --- | --- | --- | --- | --- |")
    for name in costs:
        wall, cpu = (median(values) for values in zip(*costs[name], strict=True))
        base = [median(values) for values in zip(*costs.get("bare", costs[name]), strict=True)]
        shown = names.get(name, "ours: one build, a task a node")
        print(f"| {shown} | {wall:.1f} s | {cpu:.1f} s | {wall / base[0]:.1f} | {cpu / base[1]:.1f} |")


if __name__ == "__main__":
    main()
