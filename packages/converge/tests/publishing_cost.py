"""What publishing adds to a day, and what undo adds to that.

`PYTHONPATH=. python packages/converge/tests/publishing_cost.py [orders] [days] [changed a day]`

Corner shops on servers of their own get the same loads: one plain, one that publishes its marts, one that can be taken
back too. Their builds take turns. It prints the median seconds of a day's `dbt build`, those of `converge.publish`
alone, of going back all days and forward again, and how large the published tables and the undo logs are.
"""

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from corner_shop import DATABASE, PROJECT, Shop
from dbt.cli.main import dbtRunner
from test_publishing import META, PUBLISHED, configure, keep_undo, operate, publish

from storehouse.laptop.server import Server

APART = "{converge_publish_at_run_end: false}"
LAND = """
    insert into landing.orders
    select 'o' || n, 'DE', '2020-01-01'::timestamptz + n % 2000 * interval '1 day', now(), 'u', {load}, n
    from generate_series({first}, {last}, {step}) as n;
    insert into landing.items select 'o' || n, 1, {load}, now(), 'u', {load}, n from generate_series({first}, {last}, {step}) as n;
    insert into landing.loads (load_id, position) values ({load}, {load})
"""  # noqa: E501


@contextmanager
def opened(folder: Path, publishes: bool, undo_days: int = 0) -> Iterator[Shop]:
    """A shop on a server of its own."""
    server = Server(folder / "server", options={"shared_buffers": "512MB", "random_page_cost": "1.1"}).start()
    try:
        shutil.copytree(PROJECT, folder / "project", ignore=shutil.ignore_patterns("target", "logs", "dbt_packages"))
        server.ensure_database(DATABASE)
        shop = Shop(folder / "project", server)
        with shop.environment():
            dbtRunner().invoke(shop.arguments("deps"))
        shop.execute((shop.folder / "landing.sql").read_text())
        if publishes:
            configure(shop, **dict.fromkeys(PUBLISHED, META))
            keep_undo(shop, undo_days)
        yield shop
    finally:
        server.stop()


def timed(shop: Shop, job: Callable[[], object]) -> float:
    """Seconds that a job takes in this shop."""
    with shop.environment():
        began = time.perf_counter()
        job()
        return time.perf_counter() - began


def land(shop: Shop, load: int, orders: int, changed: int) -> None:
    """All orders with the first load, then some."""
    shop.execute(LAND.format(load=load, first=load, last=orders, step=1 if load == 1 else orders // changed))
    if load == 1:
        shop.execute("analyze landing.orders, landing.items")


def main(orders: int, days: int, changed: int) -> None:
    """Measure and print."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        shops = {
            "plain": stack.enter_context(opened(folder / "plain", False)),
            "publishing": stack.enter_context(opened(folder / "publishing", True)),
            "undo": stack.enter_context(opened(folder / "undo", True, undo_days=7)),
        }
        seconds = {which: [] for which in shops}
        for load in range(1, days + 3):
            for which in [*shops][:: 1 if load % 2 else -1]:
                land(shops[which], load, orders, changed)
                took = timed(shops[which], lambda shop=shops[which]: shop.dbt("build"))
                print(f"load {load} {which}: {took:.2f} s", flush=True)
                if load > 2:
                    seconds[which].append(took)
        medians = {which: statistics.median(times) for which, times in seconds.items()}
        for which in ("publishing", "undo"):
            land(shops[which], days + 3, orders, changed)
            timed(shops[which], lambda shop=shops[which]: shop.dbt("build", "--vars", APART))
            medians[f"{which}, publish alone"] = timed(shops[which], lambda shop=shops[which]: publish(shop))
        undo = shops["undo"]
        medians["all days back"] = timed(undo, lambda: operate(undo, "unpublish", to=1))
        medians["and forward"] = timed(undo, lambda: operate(undo, "republish"))
        print(f"{orders} orders, {changed} change a day, {days} days")
        for what, median in medians.items():
            print(f"{what:26} {median:6.2f} s, {median / medians['plain']:5.2f} times plain")
        for schema, name in (
            ("landing", "%"),
            ("main_shop", "%"),
            ("main_sales", "%"),
            ("main_converge", "undo\\_\\_%"),
        ):
            size = f"""
                select coalesce(sum(pg_total_relation_size(oid)), 0) from pg_class
                where relkind = 'r' and relnamespace = '{schema}'::regnamespace and relname like '{name}'
            """
            print(f"{schema} {name}: {int(undo.value(size)) / 2**20:.1f} MB")


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*(given + [1_000_000, 9, 1_000][len(given) :]))
