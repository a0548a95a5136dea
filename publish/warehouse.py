"""The warehouse as a reader of marts sees it: one snapshot, read-only, in the role of reports."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from storehouse.core.databases import READERS_ADVICE, only_one, open_warehouse

# Held by one publisher at a time.
EXPORT_LOCK = 0x5EED_0004
RATINGS_LOCK = 0x5EED_0005


@contextmanager
def snapshot(lock: int, what: str) -> Iterator[psycopg.Connection]:
    """A transaction that sees the marts as they are at its beginning.

    Args:
        lock: wait for this advisory lock before the snapshot is taken; it is held to the end.
        what: what the lock is for, as messages name it.

    Raises:
        TransientError: the server is away or busy, or another publisher held the lock for too long.
        StorehouseError: no mart, or no right to read it.
    """
    # The lock has its own connection: waiting in the reading transaction would take the snapshot too early.
    with (
        only_one("reporting", lock, what),
        open_warehouse("reporting") as warehouse,
        warehouse.speaking(READERS_ADVICE),
    ):
        warehouse.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        warehouse.read_only = True
        with warehouse.transaction():
            yield warehouse
