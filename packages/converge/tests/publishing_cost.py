"""What publishing adds to a day.

`PYTHONPATH=. python packages/converge/tests/publishing_cost.py [orders] [days] [changed a day]`


Two corner shops on two servers get the same loads; one publishes its marts. Their builds take turns. It prints the
median seconds of a day's `dbt build`, those of `converge.publish` alone, and how large the published tables are.
"""

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corner_shop import DATABASE, PROJECT, Shop
from dbt.cli.main import dbtRunner
from test_publishing import META, PUBLISHED, configure, publish

from storehouse.laptop.server import Server

LAND = """
    insert into landing.orders
    select 'o' || n, 'DE', '2020-01-01'::timestamptz + n %% 2000 * interval '1 day', now(), 'u', {load}, n
    from generate_series({first}, {last}, {step}) as n;
    insert into landing.items select 'o' || n, 1, {load}, now(), 'u', {load}, n from generate_series({first}, {last}, {step}) as n;
    insert into landing.loads (load_id, position) values ({load}, {load})
"""  # noqa: E501


@contextmanager
def opened(folder: Path, publishes: bool) -> Iterator[Shop]:
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
        yield shop
    finally:
        server.stop()


def build(shop: Shop, *arguments: str) -> float:
    """Build it; returns seconds."""
    with shop.environment():
        began = time.perf_counter()
        shop.dbt("build", *arguments)
        return time.perf_counter() - began


def main(orders: int, days: int, changed: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with opened(folder / "plain", False) as plain, opened(folder / "publishing", True) as publishing:
            shops = {"plain": plain, "publishing": publishing}
            seconds = {"plain": [], "publishing": [], "publish alone": []}
            for load in range(1, days + 4):
                day = {"load": load, "first": 1 if load == 1 else load, "last": orders}
                day["step"] = 1 if load == 1 else orders // changed
                for which in [*shops][:: 1 if load % 2 else -1]:
                    shop = shops[which]
                    shop.execute(
                        (LAND.format(**day) + ("; analyze landing.orders, landing.items" * (load == 1))).replace(
                            "%%", "%"
                        )
                    )
                    alone = load == days + 3 and which == "publishing"
                    took = build(shop, *["--vars", "{converge_publish_at_run_end: false}"] * alone)
                    print(f"load {load} {which}: {took:.2f} s", flush=True)
                    if 2 < load < days + 3:
                        seconds[which].append(took)
                    if alone:
                        with shop.environment():
                            began = time.perf_counter()
                            publish(shop)
                            seconds["publish alone"].append(time.perf_counter() - began)
            medians = {which: statistics.median(times) for which, times in seconds.items()}
            size = """
                select sum(pg_total_relation_size(oid)) from pg_class
                where relkind = 'r' and relnamespace = '{}'::regnamespace
            """
            sizes = [int(publishing.value(size.format(schema))) for schema in ("landing", "main_shop", "main_sales")]
            print(
                f"{orders} orders, {changed} change a day, {days} days: {medians['plain']:.2f} s without, "
                f"{medians['publishing']:.2f} s with publishing: {medians['publishing'] / medians['plain']:.2f} times; "
                f"dbt run-operation alone {medians['publish alone']:.2f} s; "
                f"MB landed, built, published: {', '.join(str(size // 2**20) for size in sizes)}"
            )


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*(given + [1_000_000, 9, 1_000][len(given) :]))
