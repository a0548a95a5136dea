"""What the dashboard costs: seconds to write it for so many orders, its bytes, and how long a browser draws or filters.

    python -m bench.dashboard [--orders 1000000] [--keep]

After `make run`. What is published is copied into a database `dashboard_bench`, and repeated there at earlier days
until there are so many orders: 1 million take 2 GB and half a minute, 10 million 20 GB and five. Without a Chromium on
the PATH no browser is measured.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

from dashboard import data
from dashboard.page import page
from storehouse.core.queries import as_sql, one_row, one_value
from storehouse.core.settings import settings
from storehouse.laptop import local

DATABASE = "dashboard_bench"
TABLES = (
    "core.fct_orders",
    "core.fct_order_items",
    "core.fct_reviews",
    "sales.agg_daily_sales",
    "view_inputs.int_customers__valued",
)
# What differs in a copy. The days of all history are moved back by its length.
MOVED = {
    **{
        name: f"{name} - %(days)s * copy"
        for name in ("order_date", "review_date", "first_order_date", "last_order_date")
    },
    **{name: f"{name} - make_interval(days => %(days)s * copy)" for name in ("placed_at", "reviewed_at")},
    **{name: f"{name} || '-' || copy" for name in ("order_id", "customer_id", "review_id")},
    "cohort_month": "cast(date_trunc('month', first_order_date - %(days)s * copy) as date)",
}
# Script and layout, from the start of the navigation and from a choice; painting comes on top.
MEASURE = """<script>
    const laidOut = () => document.body.offsetHeight && performance.now();
    const first = laidOut();
    choose("channel", OPTIONS.channel[0]);
    const then = laidOut();
    document.body.dataset.told = `${Math.round(first)} ms until it is drawn, ${Math.round(then - first)} ms to filter`;
</script>"""


def main() -> None:
    """Copy, repeat, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--keep", action="store_true", help="keep the database")
    arguments = parser.parse_args()
    local.start()
    _fill(arguments.orders)
    os.environ["WAREHOUSE_DATABASE"] = DATABASE
    settings.cache_clear()
    try:
        _measure()
    finally:
        if not arguments.keep:
            _drop()


def _fill(orders: int) -> None:
    """The published side of the warehouse, copied and repeated."""
    _drop()
    source = settings().warehouse_database
    with psycopg.connect(settings().warehouse_conninfo(), dbname="postgres", autocommit=True) as server:
        server.execute(as_sql(f"create database {DATABASE} template {source}"))
    with psycopg.connect(settings().warehouse_conninfo(), dbname=DATABASE, autocommit=True) as warehouse:
        warehouse.execute("set synchronous_commit to off")
        days, known = one_row(warehouse, "select max(order_date) - min(order_date) + 1, count(*) from core.fct_orders")
        for table in TABLES:
            schema, name = table.split(".")
            columns = [
                column
                for (column,) in warehouse.execute(
                    "select column_name from information_schema.columns where table_schema = %s and table_name = %s",
                    [schema, name],
                )
            ]
            moved = ", ".join(f"{MOVED.get(column, column)}" for column in columns)
            warehouse.execute(
                as_sql(
                    f"insert into {table} ({', '.join(columns)}) select {moved} from {table}"
                    f" cross join generate_series(1, {orders // known}) as copy"
                ),
                {"days": days},
            )
            warehouse.execute(as_sql(f"vacuum (analyze) {table}"))
            count = one_value(warehouse, as_sql(f"select count(*) from {table}"))
            print(f"{table:<36}{count:>12,} rows", flush=True)


def _drop() -> None:
    with psycopg.connect(settings().warehouse_conninfo(), dbname="postgres", autocommit=True) as server:
        server.execute(as_sql(f"drop database if exists {DATABASE} with (force)"))


def _measure() -> None:
    began = time.monotonic()
    found = data.read()
    for name, answer in found.answers.items():
        print(f"{name:<36}{len(answer.rows or ()):>12,} sums")
    text = page(found)
    print(f"written in {time.monotonic() - began:.1f} s: {len(text.encode()):,} bytes, {found.size:,} of them data")
    with tempfile.TemporaryDirectory() as folder:
        (file := Path(folder, "page.html")).write_text(text)
        began = time.monotonic()
        page(data.read(file))
        print(f"written again in {time.monotonic() - began:.1f} s, as nothing new is published")
        if browser := shutil.which("chromium"):
            file.write_text(text.replace("Content-Security-Policy", "none") + MEASURE)
            command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile"]
            dom = subprocess.run(
                [*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, check=True
            ).stdout
            print(dom.partition('data-told="')[2].partition('"')[0])


if __name__ == "__main__":
    main()
