"""Does a day cost what changed? The same daily transform over a small and a ten times longer history of the demo shop.

    python -m bench.scale [--size 4] [--small 125] [--large 1250] [--days 3] [--unpublished small|large]

Size 4 changes about 20,000 orders a day; 125 days of it are a million orders, 1,250 days ten million. Ten times the
history has ten times the customers, so ten times as many change on a day. That would measure another question: on a
measured day exactly CUSTOMERS older ones change in either history. The histories are in STOREHOUSE_HOME/small and
STOREHOUSE_HOME/large (about 50 GB together), each a home with a server of its own. Their days are measured alternately.
Both stay: a second call measures their next days.

With --unpublished one of them has a day that is published and one that is not, in turn: what publishing costs. What was
not published on a measured day is published after it, not measured, so that every day publishes one day.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any, LiteralString, NamedTuple

import psutil
import psycopg

import demo
import extract_load
from bench import cpu
from storehouse.core import progress, transform
from storehouse.core.queries import one_value
from storehouse.core.settings import PROJECT, settings
from storehouse.core.transform import DAILY
from storehouse.laptop import local

# Early enough that the large history ends before today: a shop's clock is never ahead of ours.
START = date(2022, 6, 1)
CUSTOMERS = 1000
HOLD_BACK = """
with older as (
    select customer_id
    from customers
    where updated_at > %(last)s and created_at <= %(last)s
    order by md5(customer_id::text)
    offset %(changed)s
)
update customers set updated_at = %(last)s - interval '2 days' where customer_id in (select customer_id from older)
"""


class Cost(NamedTuple):
    """What one daily transform took: seconds, seconds of CPU, 8-kB buffers."""

    wall: float
    database_cpu: float
    dbt_cpu: float
    buffers: int
    changed_orders: int


def main() -> None:
    """Build both histories where they are not there yet, measure their days in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=float, default=4)
    parser.add_argument("--small", type=int, default=125, help="days of the small history")
    parser.add_argument("--large", type=int, default=1250, help="days of the large one")
    parser.add_argument("--days", type=int, default=3, help="days measured on each")
    parser.add_argument(
        "--unpublished", choices=["small", "large"], help="measure this one with and without publishing"
    )
    arguments = parser.parse_args()
    small, large = settings().home / "small", settings().home / "large"
    if not small.exists():
        in_home(small, build, arguments.small, arguments.size)
    if not large.exists() and arguments.unpublished != "small":
        # What both have in common is played once.
        copy(small, large)
        in_home(large, build, arguments.large, arguments.size)
    days = {"small": (small, True), "large": (large, True)}
    if arguments.unpublished:
        home = settings().home / arguments.unpublished
        days = {"unpublished": (home, False), "published": (home, True)}
    costs: dict[str, list[Cost]] = {name: [] for name in days}
    # The first day warms caches and is not counted.
    for number in range(arguments.days + 1):
        for name, (home, is_published) in days.items():
            cost = in_home(home, measure_day, arguments.size, is_published)
            print(f"day {number}, {name}: {cost}", flush=True)
            costs[name] += [cost] * (number > 0)
    report(costs)
    for home in {home for home, _ in days.values()}:
        built, shown = in_home(home, megabytes)
        print(f"{home.name}: where marts are built {built:,} MB, where they are published {shown:,} MB")
        in_home(home, local.stop)


def copy(home: Path, into: Path) -> None:
    """The same history in another home."""
    in_home(home, local.stop)
    shutil.copytree(home, into)


def in_home(home: Path, work: Callable, *arguments: object) -> Any:
    """Call it in a process of its own, whose home this is; dbt parses anew for another warehouse: so its target too."""
    os.environ |= {"STOREHOUSE_HOME": str(home), "DBT_TARGET_PATH": str(home / "target")}
    context = get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context, initializer=progress.configure) as process:
        return process.submit(work, *arguments).result()


def build(days: int, size: float) -> None:
    """So many days of the shop, landed and built."""
    local.start()
    step("play", partial(demo.advance, until=START + timedelta(days=days - 1), size=size, start=START))
    step("extract-load", extract)
    step("full build", lambda: transform.build([*DAILY, "--full-refresh"]))
    execute("vacuum analyze")
    print(f"{query('select count(*) from core.fct_orders'):,} orders, {disk():.1f} GB", flush=True)


def step(name: str, work: Callable[[], object]) -> None:
    """Do it, and say how long it took."""
    began = time.monotonic()
    work()
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)


def extract() -> None:
    """Land what every source has."""
    for source in extract_load.SOURCES:
        extract_load.load(source)


def measure_day(size: float, is_published: bool) -> Cost:
    """Land a day, then measure the whole daily `dbt build`, tests included, in a process of its own."""
    os.environ["CONVERGE_PUBLISH"] = "at run end" if is_published else "never"
    local.start()
    land_a_day(size)
    before = query("select coalesce(max(consumed), 0) from converge.lag where input = 'raw_shop.orders'")
    changed = query(
        "select count(distinct order_id) from raw_shop.orders "
        "where _load_id in (select load_id from raw.loads where position > %s)",
        before,
    )
    execute("checkpoint")
    used, buffers = cpu(settings().server), blocks()
    began = time.monotonic()
    command = [
        str(Path(sys.executable).parent / "dbt"),
        *DAILY,
        "--quiet",
        "--target-path",
        str(transform.target_folder()),
    ]
    process = psutil.Popen(command, cwd=PROJECT, env=os.environ | settings().dbt_environment())
    dbt_cpu = 0.0
    while process.poll() is None:
        times = process.cpu_times()
        dbt_cpu = times.user + times.system
        time.sleep(0.05)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    wall = time.monotonic() - began
    time.sleep(1)
    cost = Cost(wall, cpu(settings().server) - used, dbt_cpu, blocks() - buffers, changed)
    if not is_published:
        os.environ["CONVERGE_PUBLISH"] = "at run end"
        transform.build(DAILY)
    return cost


def land_a_day(size: float) -> None:
    """Play and land one day; of the customers who were there before, CUSTOMERS change."""
    with psycopg.connect(settings().source_conninfo("SHOP_DATABASE_URL"), autocommit=True) as shop:
        last = one_value(shop, "select max(updated_at) from customers")
        demo.advance(days=1, size=size)
        shop.execute(HOLD_BACK, {"last": last, "changed": CUSTOMERS})
    extract()


def blocks() -> int:
    """Buffers that were read, from memory or disk."""
    return query("select blks_read + blks_hit from pg_stat_database where datname = current_database()")


def disk() -> float:
    """Size of the warehouse, in GB."""
    return float(query("select pg_database_size(current_database())")) / 1e9


def megabytes() -> tuple[int, int]:
    """Size of the marts where they are built, and of all that is published, with their indexes."""
    local.start()
    size = (
        "select coalesce(sum(pg_total_relation_size(pg_class.oid)), 0)::bigint / 1000000 from pg_class "
        "inner join pg_namespace on pg_namespace.oid = relnamespace where relkind = 'r' and nspname in "
    )
    return query(size + "('build')"), query(size + "('core', 'sales', 'customers', 'feedback', 'view_inputs')")


def query(statement: LiteralString, *parameters: int) -> Any:
    """The value that a query on the warehouse gives."""
    with psycopg.connect(settings().warehouse_conninfo()) as warehouse:
        return one_value(warehouse, statement, parameters or None)


def execute(statement: LiteralString) -> None:
    """Run a statement outside a transaction."""
    with psycopg.connect(settings().warehouse_conninfo(), autocommit=True) as warehouse:
        warehouse.execute(statement)


def report(costs: dict[str, list[Cost]]) -> None:
    """The table for the README: medians, and the second over the first."""
    one, other = costs
    print(f"{'median of a day':<24}{one:>20}{other:>20}{'ratio':>8}")
    for field in Cost._fields:
        low, high = (median(getattr(cost, field) for cost in measured) for measured in costs.values())
        print(f"{field:<24}{low:>20,.1f}{high:>20,.1f}{high / low:>8.2f}")


if __name__ == "__main__":
    main()
