"""Readers of the corner shop's marts, a process of their own: `readers.py <conninfo> <schema>`.

Each line on standard output is one transaction, as JSON: how it read, and what it saw (`SEEN`) or the error it got.
They read until standard input ends.
"""

import json
import os
import random
import sys
import threading
import time

import psycopg

SEEN = {
    "bound": "select max(bound) from main_converge.published",
    "orders": "select count(*) from {}.orders",
    "amount": "select coalesce(sum(amount), 0) from {}.orders",
    "daily_orders": "select coalesce(sum(orders), 0) from {}.daily_sales",
    "daily_amount": "select coalesce(sum(amount), 0) from {}.daily_sales",
    "monthly_amount": "select coalesce(sum(amount), 0) from {}.monthly_sales",
    "amount_of_view": "select coalesce(sum(amount), 0) from {}.every_order",
}


def read_slowly(connection: psycopg.Connection, queries: list[str]) -> list[object]:
    """One transaction in repeatable read, with time between its queries for a publisher to come."""
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        values = []
        for query in random.sample(queries, len(queries)):
            values.append((query, connection.execute(query).fetchone()[0]))
            time.sleep(random.uniform(0, 0.02))
        seen = dict(values)
        return [seen[query] for query in queries]


def read_at_once(connection: psycopg.Connection, queries: list[str]) -> list[object]:
    """One statement in read committed."""
    time.sleep(random.uniform(0, 0.1))
    return list(connection.execute(f"select {', '.join(f'({query})' for query in queries)}").fetchone())


def read(conninfo: str, schema: str, how: object, is_over: threading.Event) -> None:
    """Read again and again."""
    queries = [query.format(schema) for query in SEEN.values()]
    with psycopg.connect(conninfo, autocommit=True) as connection:
        while not is_over.is_set():
            try:
                said = {"seen": [int(value) for value in how(connection, queries)]}
            except psycopg.Error as error:
                said = {"error": type(error).__name__}
            # In one piece: the other threads write too.
            os.write(1, f"{json.dumps({'how': how.__name__} | said)}\n".encode())


if __name__ == "__main__":
    over = threading.Event()
    threads = [
        threading.Thread(target=read, args=(*sys.argv[1:3], how, over)) for how in (read_slowly, read_at_once) * 2
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
