"""The warehouse as a reader of marts sees it: one snapshot, read-only, in the role of reports."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from storehouse.errors import judged, said_by
from storehouse.settings import settings

# Held by one publisher at a time.
EXPORT_LOCK = 0x5EED_0004
RATINGS_LOCK = 0x5EED_0005


@contextmanager
def snapshot(lock: int) -> Iterator[psycopg.Connection]:
    """A transaction that sees the marts as they are at its beginning.

    Args:
        lock: wait for this advisory lock before the snapshot is taken; it is held to the end.

    Raises:
        TransientError: the server is away or busy.
        StorehouseError: no mart, or no right to read it.
    """
    try:
        with psycopg.connect(settings().warehouse_conninfo("reporting"), autocommit=True) as connection:
            connection.execute("select pg_advisory_lock(%s)", [lock])
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with connection.transaction():
                yield connection
    except psycopg.Error as error:
        match error:
            case errors.UndefinedTable() | errors.InvalidSchemaName():
                advice = "The mart is not built yet: run `make run`, or dbt build."
            case errors.UndefinedColumn():
                advice = "The mart was built by another version of the models: run dbt build."
            case errors.InsufficientPrivilege():
                advice = "The role needs what `reporting` has: deploy/roles.sql."
            case _:
                advice = "Check WAREHOUSE_HOST, _PORT and REPORTING_USER (or WAREHOUSE_USER) and the password."
        raise judged(f"The warehouse can't be read: {said_by(error).rstrip('. ')}. {advice}") from None
