"""Queries of one row, and SQL that is put together from texts."""

from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql
from psycopg.abc import Params

Query = LiteralString | sql.SQL | sql.Composed


def one_row(connection: psycopg.Connection, query: Query, parameters: Params | None = None) -> tuple[Any, ...]:
    """The row of a query that always has one.

    Raises:
        LookupError: it had none.
    """
    row = connection.execute(query, parameters).fetchone()
    if row is None:
        raise LookupError("a query that always has a row had none")
    return row


def one_value(connection: psycopg.Connection, query: Query, parameters: Params | None = None) -> Any:
    """The value of a query that always has one row, of one column."""
    (value,) = one_row(connection, query, parameters)
    return value


def columns_of(connection: psycopg.Connection, relation: sql.Composable) -> list[psycopg.Column]:
    """The columns of a table or view, in order."""
    return connection.execute(sql.SQL("select * from {} limit 0").format(relation)).description or []


def as_sql(text: str) -> sql.SQL:
    """A text as SQL: a file of ours, or names and types that were checked or that PostgreSQL itself has quoted.

    Never what a person gave: psycopg's types take literals of the code alone, and this is the one way around them.
    """
    return sql.SQL(cast(LiteralString, text))
