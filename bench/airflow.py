"""What does Airflow cost on top of dbt? The same `dbt build` as a bare command and as DagRuns, alternated.

    python -m bench.airflow [--rounds 3]

Needs a home (STOREHOUSE_HOME) with a built demo shop (`make run`) and a quiet machine. Each DagRun is a run of nothing
but the dbt group under the real LocalExecutor: Cosmos' ExecutionMode.LOCAL and WATCHER, and ours. CPU is that of all
processes of dbt and Airflow, from the trigger until all is quiet, less what the idle Airflow uses in that time;
PostgreSQL's is in none. A day of the shop is landed before each build, unmeasured.
"""

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import httpx
import psutil

import demo
from bench.scale import extract
from storehouse.core.settings import PROJECT, settings
from storehouse.core.transform import DAILY
from storehouse.laptop import local

RUN_WITHIN = 900  # seconds
PR_SET_CHILD_SUBREAPER = 36
DAGS = PROJECT / "bench" / "dags"
NAMES = {
    "bare": "bare `dbt build`",
    "bench_local": "Cosmos LOCAL",
    "bench_watcher": "Cosmos WATCHER",
    "bench_ours": "ours: one build, a task a node",
}


class Cost(NamedTuple):
    """Seconds of wall and of CPU."""

    wall: float
    cpu: float


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=NAMES, default=list(NAMES))
    arguments = parser.parse_args()
    costs: dict[str, list[Cost]] = {name: [] for name in arguments.only}
    adopt_orphans()
    with airflow() as url:
        idle = idle_share()
        print(f"idle Airflow: {idle:.2f} CPU s a second", flush=True)
        # The first round warms caches and is not counted.
        for number in range(arguments.rounds + 1):
            for name in costs:
                # Every build has a day of the shop to work in.
                demo.advance(days=1)
                extract()
                cost = measured(bare if name == "bare" else partial(dag_run, url, name), idle)
                print(f"round {number}: {name:<14} {cost.wall:6.1f} s wall {cost.cpu:6.1f} s CPU", flush=True)
                costs[name] += [cost] * (number > 0 or not arguments.rounds)
    report(costs)


@contextmanager
def airflow() -> Iterator[str]:
    """A running Airflow that sees only the DAGs of the benchmark, and reads them once."""
    output = settings().home / "bench_airflow.out"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "storehouse.laptop.airflow"],
            cwd=PROJECT,
            env=os.environ
            | {"STOREHOUSE_DAGS": str(DAGS), "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "7200"},
            stdout=file,
            stderr=file,
        )
    try:
        while "Airflow is ready: " not in output.read_text():
            if process.poll() is not None:
                sys.exit(output.read_text())
            time.sleep(0.5)
        url = output.read_text().split("Airflow is ready: ")[1].split()[0]
        while len(httpx.get(f"{url}/api/v2/dags", timeout=60).raise_for_status().json()["dags"]) < len(NAMES) - 1:
            if errors := httpx.get(f"{url}/api/v2/importErrors", timeout=60).json()["import_errors"]:
                sys.exit(errors[0]["stack_trace"])
            time.sleep(0.5)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(120)


def bare() -> float:
    """`dbt build` in a process of its own; returns seconds."""
    began = time.monotonic()
    env = os.environ | settings().dbt_environment() | {"DBT_PROFILES_DIR": str(PROJECT)}
    target = str(settings().home / "bare")
    command = [str(Path(sys.executable).parent / "dbt"), *DAILY, "--quiet", "--target-path", target]
    subprocess.run(command, cwd=PROJECT, env=env, check=True, timeout=RUN_WITHIN)
    return time.monotonic() - began


def dag_run(url: str, dag_id: str) -> float:
    """A triggered run, to its end; returns seconds."""
    api = f"{url}/api/v2/dags/{dag_id}/dagRuns"
    began = datetime.now(UTC)
    run = httpx.post(api, json={"logical_date": None}, timeout=60).raise_for_status().json()
    while run["state"] in ("queued", "running") and datetime.now(UTC) - began < timedelta(seconds=RUN_WITHIN):
        # Seldom: what the API answers is CPU of Airflow's. The run knows when it ended.
        time.sleep(5)
        run = httpx.get(f"{api}/{run['dag_run_id']}", timeout=60).raise_for_status().json()
    if run["state"] != "success":
        sys.exit(
            f"{dag_id} is {run['state']} after {datetime.now(UTC) - began}. Its logs: {settings().home}/airflow/logs"
        )
    return (datetime.fromisoformat(run["end_date"]) - began).total_seconds()


def measured(work: Callable[[], float], idle: float) -> Cost:
    """Its seconds, and the CPU until all is quiet again: what a run leaves to do (callbacks, clean-up) is its cost."""
    cpu, began = spent(), time.monotonic()
    wall = work()
    time.sleep(10)
    return Cost(wall, spent() - cpu - idle * (time.monotonic() - began))


def idle_share(seconds: float = 30) -> float:
    """CPU seconds a second of an Airflow that does nothing."""
    time.sleep(15)
    before = spent()
    time.sleep(seconds)
    return (spent() - before) / seconds


def adopt_orphans() -> None:
    """From now on, what our descendants leave behind is ours: a worker's helper that outlives it is counted too."""
    if sys.platform != "linux":
        raise SystemExit("make bench-airflow counts what processes spend as only Linux can: run it there.")
    # Not the server and the demo shop, which outlive us.
    local.start()
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def spent() -> float:
    """CPU seconds of all our descendants: the living, and those that somebody waited for."""
    ours = psutil.Process()
    own = ours.cpu_times()
    total = own.children_user + own.children_system
    for one in ours.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def report(costs: dict[str, list[Cost]]) -> None:
    """The table, as it stands in the README."""
    print("\n| | wall | CPU | wall, times bare | CPU, times bare |\n| --- | --- | --- | --- | --- |")
    for name in costs:
        wall, cpu = (median(values) for values in zip(*costs[name], strict=True))
        base = [median(values) for values in zip(*costs.get("bare", costs[name]), strict=True)]
        print(f"| {NAMES[name]} | {wall:.1f} s | {cpu:.1f} s | {wall / base[0]:.1f} | {cpu / base[1]:.1f} |")


if __name__ == "__main__":
    main()
