"""The settings of every database session, so that none depends on the defaults of a server, a database or a role.

psycopg's sessions and dbt's get the same. Where `PGOPTIONS`, libpq's own variables or a connection string ask for
another value, `MEANING` wins over them, and they win over `patience`.
"""

from collections.abc import Mapping

import psycopg

# What decides the meaning of a statement and the form of its result.
MEANING = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "timezone_abbreviations": "Default",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "quote_all_identifiers": "off",
    "search_path": "public",
    # Rows that a policy hides raise an error: else they would look as if they did not exist.
    "row_security": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
}
# For the warehouse alone: the text of a `money` value at a source depends on the source's own lc_monetary.
WAREHOUSE_MEANING = MEANING | {"lc_monetary": "C", "lc_numeric": "C", "lc_time": "C"}

# PostgreSQL 17 and later; an older server would refuse the connection for an option that it does not know.
TRANSACTION_TIMEOUT = "transaction_timeout"


def patience(lock_wait_minutes: float) -> dict[str, str]:
    """Time-outs of a session. An operator's own value in `PGOPTIONS`, or in a source's URL, wins over them."""
    return {
        "statement_timeout": "0",
        "lock_timeout": f"{round(lock_wait_minutes * 60_000)}ms",
        "idle_in_transaction_session_timeout": "0",
        "idle_session_timeout": "0",
    }


def options(values: Mapping[str, str]) -> str:
    r"""In the form of libpq's `options` and of `PGOPTIONS`: `-c DateStyle=ISO,\ MDY -c …`."""
    escaped = {name: value.replace("\\", "\\\\").replace(" ", "\\ ") for name, value in values.items()}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())


def tell(connection: psycopg.Connection, values: Mapping[str, str], *, in_transaction: bool = False) -> None:
    """Set these in a session; those that an older server does not know are left out.

    Args:
        connection: in a transaction, when `in_transaction`.
        values: by name.
        in_transaction: only until the transaction ends, so that a pooler's next client gets the session unchanged.
    """
    connection.execute(
        # Only names that the server lists: an unknown one would be an error.
        "select count(set_config(name, value, %s)) from unnest(%s::text[], %s::text[]) as wanted (name, value) "
        "where lower(name) in (select lower(name) from pg_catalog.pg_settings)",
        [in_transaction, list(values), list(values.values())],
    )
