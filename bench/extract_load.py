"""What does extract-load cost over a pipe? The same orders by a binary COPY from server to server, and by us, in turn.

    python -m bench.extract_load [--rounds 5] [--orders 2000000] [--before PATH] [--dlt PYTHON]

A pipe is `psql … copy to stdout | psql … copy from stdin`, into a table of the orders' columns alone; ours is
`python -m extract_load shop --tables orders`, into raw with its ledger; before is the same from another worktree; dlt
(all orders only) is its quickest way, connectorx to Arrow to Parquet to ADBC, if a Python is given that has
`dlt[postgres,sql-database]`, `connectorx`, `pyarrow`, `psycopg[binary]` and `adbc-driver-postgresql`. Two tasks: all
orders into an empty warehouse, and 20,000 changed ones into one that has the rest. CPU of clients is that of the
processes beside the servers, Python's start included; `start` is what Python and our imports take by themselves. Two
servers of its own, in STOREHOUSE_HOME/bench_extract_load (3 GB, which stay).
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psycopg
from psycopg import sql

from bench import cpu
from storehouse.core.queries import as_sql, one_value
from storehouse.core.settings import PROJECT, settings
from storehouse.laptop.server import Server, binaries

CHANGED = 20_000
COLUMNS = {
    "order_id": "bigint",
    "customer_id": "bigint",
    "status": "text",
    "currency": "text",
    "total_amount": "numeric(18, 2)",
    "discount_code": "text",
    "placed_at": "timestamptz",
    "approved_at": "timestamptz",
    "shipped_at": "timestamptz",
    "delivered_at": "timestamptz",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "deleted_at": "timestamptz",
}
ORDERS = """
    create table orders ({columns});
    insert into orders
    select
        n, n %% 100000, (array['created', 'approved', 'shipped', 'delivered'])[1 + n %% 4],
        (array['USD', 'EUR'])[1 + n %% 2], n %% 100000 / 100.0, case when n %% 5 = 0 then 'SAVE10' end, at,
        at + interval '1 hour', at + interval '1 day', case when n %% 3 > 0 then at + interval '4 days' end, at,
        at + interval '4 days', null
    from generate_series(1, {orders}) as n
    cross join lateral (select timestamptz '2024-01-01' + n * (interval '460 days' / {orders})) as placed (at);
    alter table orders add primary key (order_id);
    create index on orders (updated_at);
"""
CHANGE = "update orders set updated_at = %s where order_id %% (select count(*) / %s from orders) = 0"
DLT = """
import sys, dlt
from dlt.sources.sql_database import sql_table
shop, warehouse, folder = sys.argv[1:]
orders = sql_table(credentials=shop, table="orders", backend="connectorx", backend_kwargs={"return_type": "arrow"})
pipeline = dlt.pipeline("bench", folder, destination=dlt.destinations.postgres(warehouse), dataset_name="raw_shop")
pipeline.run(orders, loader_file_format="parquet").raise_on_failed_jobs()
"""
DLT_SETTINGS = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"}
START = "import extract_load.__main__, extract_load.connectors.postgres"


class Cost(NamedTuple):
    """Seconds of wall, seconds of CPU of the clients and of both servers, the largest client in MB."""

    wall: float
    clients: float
    servers: float
    memory: float


class Scene(NamedTuple):
    """The two servers, a shop on the one, and a warehouse on the other for each contestant."""

    shop: Server
    warehouse: Server


def main() -> None:
    """Make the orders where they are not there yet, measure in turn, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--orders", type=int, default=2_000_000)
    parser.add_argument("--before", type=Path, help="a worktree of the code to compare with")
    parser.add_argument("--dlt", type=Path, help="a Python that has dlt")
    arguments = parser.parse_args()
    with servers() as scene:
        make_orders(scene.shop, arguments.orders)
        contestants: dict[str, Callable[[str], Cost]] = {"pipe": partial(pipe, scene)}
        contestants["ours"] = partial(ours, scene, PROJECT)
        if arguments.before:
            contestants["before"] = partial(ours, scene, arguments.before)
        of_all = contestants | ({"dlt": partial(dlt, scene, arguments.dlt)} if arguments.dlt else {})
        everything: dict[str, list[Cost]] = {name: [] for name in of_all}
        changes: dict[str, list[Cost]] = {name: [] for name in ("start", *contestants)}
        # The first round warms caches and is not counted.
        for number in range(arguments.rounds + 1):
            for name, run in of_all.items():
                empty(scene.warehouse, name)
                everything[name] += [run("true")] * (number > 0)
                vacuum(scene.warehouse, name)
            since = change(scene.shop)
            changes["start"] += [measured([[sys.executable, "-c", START]], scene)] * (number > 0)
            for name, run in contestants.items():
                changes[name] += [run(f"updated_at >= '{since}'")] * (number > 0)
            print(f"round {number}", flush=True)
    if not arguments.dlt:
        print("dlt was left out: it is not installed here (--dlt).")
    report(f"{arguments.orders:,} orders", everything)
    report(f"{CHANGED:,} changed of {arguments.orders:,}", changes)


@contextmanager
def servers(**of_shop: str) -> Iterator[Scene]:
    """Both servers, while they run; the shop's with these options too."""
    home = settings().home / "bench_extract_load"
    # No contestant's tables are vacuumed while another is measured.
    options = {"autovacuum": "off"}
    scene = Scene(
        Server(home / "shop", options=options | of_shop).start(),
        Server(home / "warehouse", options=options).start(),
    )
    try:
        yield scene
    finally:
        for server in scene:
            server.stop()


def make_orders(server: Server, orders: int) -> None:
    """The shop's orders, if they are not these already."""
    server.ensure_database("shop")
    with psycopg.connect(server.conninfo("shop"), autocommit=True) as shop:
        if one_value(shop, "select to_regclass('orders') is not null"):
            if one_value(shop, "select count(*) from orders") == orders:
                return
            shop.execute("drop table orders")
        shop.execute(sql.SQL(ORDERS).format(columns=table_columns(), orders=orders), [])
        shop.execute("vacuum analyze orders")


def change(server: Server) -> str:
    """Change CHANGED orders, later than any before; returns since when."""
    with psycopg.connect(server.conninfo("shop"), autocommit=True) as shop:
        last = one_value(shop, "select max(updated_at) + interval '1 minute' from orders")
        shop.execute(CHANGE, [last, CHANGED])
        shop.execute("vacuum analyze orders")
        shop.execute("checkpoint")
    return last


def empty(server: Server, name: str) -> None:
    """A contestant's warehouse, without rows."""
    with psycopg.connect(server.conninfo("postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
    server.ensure_database(name)
    with psycopg.connect(server.conninfo(name), autocommit=True) as warehouse:
        if name == "pipe":
            warehouse.execute(sql.SQL("create table orders ({})").format(table_columns()))
        warehouse.execute("checkpoint")


def vacuum(server: Server, name: str) -> None:
    """What autovacuum does before the next day."""
    with psycopg.connect(server.conninfo(name), autocommit=True) as warehouse:
        warehouse.execute("vacuum analyze")


def table_columns() -> sql.SQL:
    """Names and types, for `create table`."""
    return as_sql(", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items()))


def pipe(scene: Scene, condition: str) -> Cost:
    """A binary COPY from one server into the other."""
    psql = [str(binaries() / "psql"), "-X", "-q"]
    query = f"copy (select * from orders where {condition}) to stdout (format binary)"
    return measured(
        [
            [*psql, scene.shop.conninfo("shop"), "-c", query],
            [*psql, scene.warehouse.conninfo("pipe"), "-c", "copy orders from stdin (format binary)"],
        ],
        scene,
    )


def ours(scene: Scene, project: Path, _: str) -> Cost:
    """A load, from where the last one ended."""
    return command(scene, ["shop", "--tables", "orders"], project)


def command(scene: Scene, arguments: list[str], project: Path = PROJECT) -> Cost:
    """`python -m extract_load` with these arguments, of this worktree, into the warehouse that is its own."""
    to = environment(scene, "ours" if project == PROJECT else "before")
    return measured([[sys.executable, "-m", "extract_load", *arguments]], scene, project, to)


def environment(scene: Scene, warehouse: str) -> dict[str, str]:
    """Where a load finds the shop and its warehouse."""
    return {
        "SHOP_DATABASE_URL": scene.shop.conninfo("shop"),
        "WAREHOUSE_HOST": "127.0.0.1",
        "WAREHOUSE_PORT": str(scene.warehouse.port),
        "WAREHOUSE_USER": "postgres",
        "WAREHOUSE_PASSWORD": scene.warehouse.password,
        "WAREHOUSE_DATABASE": warehouse,
        "OVERLAP_MINUTES": "0",
    }


def urls(scene: Scene, warehouse: str) -> list[str]:
    """The shop, and a database of the warehouse's server, as URLs."""
    return [
        f"postgresql://postgres:{server.password}@127.0.0.1:{server.port}/{name}"
        for server, name in zip(scene, ("shop", warehouse), strict=True)
    ]


def dlt(scene: Scene, python: Path, _: str) -> Cost:
    """The orders by dlt, which keeps its state in a folder that is new."""
    with TemporaryDirectory() as folder:
        command = [str(python), "-W", "ignore", "-c", DLT, *urls(scene, "dlt"), folder]
        return measured([command], scene, environment=DLT_SETTINGS)


def measured(
    commands: list[list[str]], scene: Scene, folder: Path = PROJECT, environment: dict[str, str] | None = None
) -> Cost:
    """Run commands that pipe into each other; what they and the servers took."""
    before, began = sum(map(cpu, scene)), time.monotonic()
    running: list[subprocess.Popen] = []
    for command in commands:
        given = running[-1].stdout if running else None
        to = subprocess.DEVNULL if command is commands[-1] else subprocess.PIPE
        ours = os.environ | (environment or {})
        running.append(subprocess.Popen(command, stdin=given or subprocess.DEVNULL, stdout=to, cwd=folder, env=ours))
        if given:
            given.close()
    clients = memory = 0.0
    for process in running:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args)
        clients += usage.ru_utime + usage.ru_stime
        memory = max(memory, usage.ru_maxrss / 1000)
    wall = time.monotonic() - began
    time.sleep(1)
    return Cost(wall, clients, sum(map(cpu, scene)) - before, memory)


def report(what: str, costs: dict[str, list[Cost]]) -> None:
    """The table for the README: medians, and how many times those of the pipe."""
    print(f"\n{what:<28}{'wall':>8}{'clients':>9}{'servers':>9}{'MB':>6}{'times':>9}{'times':>8}")
    medians = {name: Cost(*map(median, zip(*taken, strict=True))) for name, taken in costs.items()}
    for name, cost in medians.items():
        times = cost.wall / medians["pipe"].wall, cost.clients / medians["pipe"].clients
        print(
            f"{name:<28}{cost.wall:>8.2f}{cost.clients:>9.2f}{cost.servers:>9.2f}{cost.memory:>6.0f}{times[0]:>9.2f}{times[1]:>8.2f}"
        )


if __name__ == "__main__":
    main()
