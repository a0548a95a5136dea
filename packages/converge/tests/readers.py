"""Readers of marts, a process of their own: `readers.py`, whose standard input begins with a line of what they read.

Each line on standard output is one transaction, as JSON: how it read, and what it saw (a text for each query) or the
error it got. They read until standard input ends.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg


@contextmanager
def reading(conninfo: str, queries: list[str], lines: Path, each: int = 2) -> Iterator[None]:
    """Readers at work: so many of `each` way of reading, who ask these queries together and write what they see."""
    with lines.open("w") as file:
        readers = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=file, text=True)
        try:
            readers.stdin.write(json.dumps([conninfo, queries, each]) + "\n")
            readers.stdin.flush()
            yield
        finally:
            readers.communicate()
            assert readers.returncode == 0


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
    time.sleep(random.uniform(0, 0.1))
    return list(connection.execute(f"select {', '.join(f'({query})' for query in queries)}").fetchone())


def read(conninfo: str, queries: list[str], how: object, is_over: threading.Event) -> None:
    """Read again and again."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        while not is_over.is_set():
            try:
                said = {"seen": [str(value) for value in how(connection, queries)]}
            except psycopg.Error as error:
                said = {"error": f"{type(error).__name__}: {error}"}
            # In one piece: the other threads write too.
            os.write(1, f"{json.dumps({'how': how.__name__} | said)}\n".encode())


def main() -> None:
    """Read until standard input ends."""
    conninfo, queries, each = json.loads(sys.stdin.readline())
    over = threading.Event()
    ways = (read_slowly, read_at_once) * each
    threads = [threading.Thread(target=read, args=(conninfo, queries, how, over)) for how in ways]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
