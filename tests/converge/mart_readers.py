"""Readers of the marts, a process of their own: `mart_readers.py <conninfo> shown|built`.

Each line on standard output is one transaction, as JSON: what it saw (`SEEN`), or the error it got. They read until
standard input ends. `built` reads the same marts where they are built: what readers would see if nothing was published.
"""

import json
import os
import random
import sys
import threading
import time

import psycopg

SEEN = {
    "shop_position": "select position from operations.published_marts where group_name = 'shop'",
    "feedback_position": "select position from operations.published_marts where group_name = 'feedback'",
    "orders": "select count(*) from {core}.fct_orders",
    "sales": "select sum(total_usd) from {core}.fct_orders where not is_cancelled",
    "days_orders": "select sum(orders) from {sales}.agg_daily_sales",
    "days_sales": "select sum(sales_usd) from {sales}.agg_daily_sales",
    # A customer with credit notes only never bought.
    "buyers_sales": """
        select sum(spend) from (
            select sum(total_usd) as spend from {core}.fct_orders where customer_id is not null and not is_cancelled
            group by customer_id having sum(case when is_credit_note then 0 else 1 end) > 0
        ) as buyers
    """,
    "customers_sales": "select sum(spend_usd) from {customers}.customer_lifetime_value",
    "cohorts_sales": "select sum(spend_usd) from {customers}.cohort_retention",
    "reviews": "select count(*) from {core}.fct_reviews",
    "days_reviews": "select sum(reviews) from {feedback}.agg_daily_reviews",
    "reviews_of_products": "select count(*) from {core}.fct_reviews where product_id is not null",
    "products_reviews": "select sum(reviews) from {feedback}.product_ratings",
}
# What must be the same in every transaction.
AGREE = [
    ("orders", "days_orders"),
    ("sales", "days_sales"),
    ("buyers_sales", "customers_sales"),
    ("customers_sales", "cohorts_sales"),
    ("reviews", "days_reviews"),
    ("reviews_of_products", "products_reviews"),
]
MARTS = ("core", "sales", "customers", "feedback")


def read_slowly(connection: psycopg.Connection, queries: list[str]) -> list[object]:
    """One transaction in repeatable read, with time between its queries for a publisher to come."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        seen = {}
        for query in random.sample(queries, len(queries)):
            seen[query] = connection.execute(query).fetchone()[0]
            time.sleep(random.uniform(0, 0.02))
        return [seen[query] for query in queries]


def read_at_once(connection: psycopg.Connection, queries: list[str]) -> list[object]:
    """One statement in read committed."""
    time.sleep(random.uniform(0, 0.3))
    return list(connection.execute(f"select {', '.join(f'({query})' for query in queries)}").fetchone())


def read(conninfo: str, side: str, how: object, is_over: threading.Event) -> None:
    """Read again and again."""
    schemas = {mart: mart if side == "shown" else "build" for mart in MARTS}
    queries = [f"select coalesce(({query.format(**schemas)}), 0)" for query in SEEN.values()]
    with psycopg.connect(conninfo, autocommit=True) as connection:
        while not is_over.is_set():
            try:
                said = {"seen": [str(value) for value in how(connection, queries)]}
            except psycopg.Error as error:
                said = {"error": type(error).__name__}
            # In one piece: the other thread writes too.
            os.write(1, f"{json.dumps(said)}\n".encode())


if __name__ == "__main__":
    over = threading.Event()
    threads = [threading.Thread(target=read, args=(*sys.argv[1:3], how, over)) for how in (read_slowly, read_at_once)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
