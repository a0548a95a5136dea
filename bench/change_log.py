"""What does it cost to land 20,000 changes of 2 million orders from the source's log, and what by `updated_at`?

    python -m bench.change_log [--rounds 5] [--orders 2000000] [--dlt PYTHON]

Both have all orders; in each round 20,000 of them change, and both land these, one after the other. dlt does the same
with the table that its verified source `pg_replication` keeps, if a Python is given that has `dlt[postgres]`,
`psycopg2-binary` and that source as the module `pg_replication`. After the rounds each is killed once, as soon as it
writes to its warehouse, and runs again: `wrong` is how many orders differ from the shop's then. CPU of clients is that
of the processes beside the servers, Python's start included. Servers and orders are those of bench/extract_load.py;
the replication slots are dropped at the end.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psycopg

from bench.extract_load import (
    CHANGED,
    DLT_SETTINGS,
    Cost,
    Scene,
    change,
    empty,
    environment,
    make_orders,
    measured,
    servers,
    urls,
    vacuum,
)
from storehouse.core.queries import as_sql, one_value
from storehouse.core.settings import PROJECT

DECLARATION = """
sources:
  - name: shop
    schema: raw_shop
    config: {{meta: {{connector: postgres, connection: SHOP_DATABASE_URL}}}}
    tables:
      - name: orders
        config:
          meta:
            key: [order_id]
            read: {read}
            deleted: deleted_at
            columns: {{order_id: text, customer_id: text, updated_at: timestamptz, deleted_at: timestamptz}}
            refused: {{limit_percent: 5, least_refused: 20, reason: None is judged}}
            freshness: {{warn_hours: 26, error_hours: 194, reason: None is judged}}
"""
READS = {"updated_at": "updated_at\n            version: updated_at", "change_log": "change_log"}
LAND = """
import sys
from pathlib import Path
from extract_load import tables
tables.STAGING = Path(sys.argv.pop(1))
from extract_load.__main__ import main
sys.exit(main())
"""
# As its README has it; the slot is made before the first load of the table, so that nothing is missed.
DLT = """
import sys, dlt
from pg_replication import replication_resource
from pg_replication.helpers import init_replication
shop, warehouse, folder, is_first = sys.argv[1:]
pipeline = dlt.pipeline("bench", folder, destination=dlt.destinations.postgres(warehouse), dataset_name="raw_shop")
slot = {"slot_name": "dlt", "pub_name": "dlt", "credentials": dlt.sources.credentials.ConnectionStringCredentials(shop)}
if is_first == "True":
    rows = init_replication(schema_name="public", table_names="orders", persist_snapshots=True, reset=True, **slot)
else:
    rows = replication_resource(**slot)
pipeline.run(rows).raise_on_failed_jobs()
"""
DLT_LEFTOVERS = "select oid::regclass::text from pg_class where relname like '\\_dlt\\_%' and relkind = 'r'"
WRITES = """
    select count(*) > 0 from pg_stat_activity
    where datname = current_database() and pid != pg_backend_pid() and backend_xid is not null
"""
# What a reader of the warehouse finds: raw keeps every version, dlt's table the last.
ORDERS = {
    "ours": """
        select order_id::bigint, updated_at from (
            select distinct on (order_id) * from raw_shop.orders order by order_id, _load_id desc, _row desc
        ) as latest where _op = 'u'
    """,
    "dlt": "select order_id, updated_at from raw_shop.orders",
}


class Contestant(NamedTuple):
    """Who lands the changes: its warehouse's name, its first command and the later ones, and their settings."""

    name: str
    first: list[str]
    again: list[str]
    settings: dict[str, str]


def main() -> None:
    """Load all orders once, then measure in turn, kill, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--orders", type=int, default=2_000_000)
    parser.add_argument("--dlt", type=Path, help="a Python that has dlt and pg_replication")
    arguments = parser.parse_args()
    with servers(wal_level="logical") as scene, TemporaryDirectory() as folder, orders(scene, arguments.orders):
        contestants = [ours(scene, name, declared(Path(folder, name), read)) for name, read in READS.items()]
        if arguments.dlt:
            contestants.append(dlt(scene, arguments.dlt, Path(folder, "dlt")))
        for name, first, _, settings in contestants:
            empty(scene.warehouse, name)
            cost = measured([first], scene, environment=settings)
            vacuum(scene.warehouse, name)
            print(f"{name}: {arguments.orders:,} orders in {cost.wall:.1f} s", flush=True)
        costs: dict[str, list[Cost]] = {contestant.name: [] for contestant in contestants}
        # The first round warms caches and is not counted.
        for number in range(arguments.rounds + 1):
            change(scene.shop)
            for name, _, again, settings in contestants:
                costs[name] += [measured([again], scene, environment=settings)] * (number > 0)
            print(f"round {number}", flush=True)
        change(scene.shop)
        wrong = {contestant.name: killed_once(scene, contestant) for contestant in contestants}
    print(f"\n{f'{CHANGED:,} of {arguments.orders:,}':<28}{'wall':>8}{'clients':>9}{'servers':>9}{'MB':>6}{'wrong':>7}")
    for name, taken in costs.items():
        cost = Cost(*map(median, zip(*taken, strict=True)))
        figures = f"{cost.wall:>8.2f}{cost.clients:>9.2f}{cost.servers:>9.2f}{cost.memory:>6.0f}{wrong[name]:>7,}"
        print(f"{name:<28}{figures}")


def declared(folder: Path, read: str) -> Path:
    """This folder, with the orders declared so in it."""
    (folder / "shop").mkdir(parents=True)
    (folder / "shop" / "_shop__sources.yml").write_text(DECLARATION.format(read=read))
    return folder


def ours(scene: Scene, name: str, folder: Path) -> Contestant:
    """Extract-load, with the declaration in this folder."""
    command = [sys.executable, "-c", LAND, str(folder), "shop"]
    return Contestant(name, command, command, environment(scene, name))


def dlt(scene: Scene, python: Path, folder: Path) -> Contestant:
    """dlt, which keeps its state in this folder."""
    first, again = (
        [str(python), "-W", "ignore", "-c", DLT, *urls(scene, "dlt"), str(folder), str(is_first)]
        for is_first in (True, False)
    )
    return Contestant("dlt", first, again, DLT_SETTINGS)


@contextmanager
def orders(scene: Scene, count: int) -> Iterator[None]:
    """The shop's orders, published; at the end no slot is left that would hold the shop's log back."""
    make_orders(scene.shop, count)
    with psycopg.connect(scene.shop.conninfo("shop"), autocommit=True) as shop:
        shop.execute("drop publication if exists storehouse")
        shop.execute("create publication storehouse for table orders")
        for (left,) in shop.execute(DLT_LEFTOVERS).fetchall():
            shop.execute(as_sql(f"drop table {left}"))
        try:
            yield
        finally:
            shop.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active")


def killed_once(scene: Scene, contestant: Contestant) -> int:
    """Kill it when it has begun to write, let it run again; how many orders are not then as the shop has them."""
    with psycopg.connect(scene.warehouse.conninfo(contestant.name), autocommit=True) as warehouse:
        process = subprocess.Popen(contestant.again, env=os.environ | contestant.settings, cwd=PROJECT)
        while process.poll() is None and not one_value(warehouse, WRITES):
            time.sleep(0.001)
        if process.poll() is not None:
            raise SystemExit(f"{contestant.name} ended before it could be killed. Run the benchmark again.")
        process.kill()
        process.wait()
        while one_value(warehouse, WRITES):
            time.sleep(0.01)
        measured([contestant.again], scene, environment=contestant.settings)
        found = warehouse.execute(as_sql(ORDERS.get(contestant.name, ORDERS["ours"]))).fetchall()
    with psycopg.connect(scene.shop.conninfo("shop")) as shop:
        wanted = set(shop.execute("select order_id, updated_at from orders").fetchall())
    return len(wanted ^ set(found)) + len(found) - len(set(found))


if __name__ == "__main__":
    main()
