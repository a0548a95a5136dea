"""What every database session of ours is told, so that nothing depends on what a server, database or role defaults to.

The one list of it. Sessions of psycopg and of dbt are told the same; where another value is asked for in `PGOPTIONS`,
in libpq's own variables or in a connection string, `MEANING` wins, and `PATIENCE` gives way.
"""

from collections.abc import Mapping

import psycopg

# What a statement means, and what its answer looks like.
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
    # Rows that a policy hides are an error: they would be taken for rows that are not there.
    "row_security": "off",
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
}
# Only the warehouse is told: at the shop, what a `money` says depends on the shop's own lc_monetary.
WAREHOUSE_MEANING = MEANING | {"lc_monetary": "C", "lc_numeric": "C", "lc_time": "C"}

# PostgreSQL 17 and later; an older server would refuse the connection for an option that it does not know.
TRANSACTION_TIMEOUT = "transaction_timeout"


def patience(lock_wait_minutes: float) -> dict[str, str]:
    """How long a session may take. An operator's own value in `PGOPTIONS`, or in the shop's URL, stands."""
    return {
        "statement_timeout": "0",
        "lock_timeout": f"{round(lock_wait_minutes * 60_000)}ms",
        "idle_in_transaction_session_timeout": "0",
        "idle_session_timeout": "0",
    }


def options(values: Mapping[str, str]) -> str:
    r"""As libpq's `options` and `PGOPTIONS` say it: `-c DateStyle=ISO,\ MDY -c …`."""
    escaped = {name: value.replace("\\", "\\\\").replace(" ", "\\ ") for name, value in values.items()}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())


def tell(connection: psycopg.Connection, values: Mapping[str, str], *, in_transaction: bool = False) -> None:
    """Give a session these settings; what an older server does not know is left out.

    Args:
        connection: in a transaction, when `in_transaction`.
        values: by name.
        in_transaction: to the end of the transaction only, so that a pooler's next client gets the session as it was.
    """
    connection.execute(
        # Asked by name first: an unknown name would be an error.
        "select count(set_config(name, value, %s)) from unnest(%s::text[], %s::text[]) as wanted (name, value) "
        "where lower(name) in (select lower(name) from pg_catalog.pg_settings)",
        [in_transaction, list(values), list(values.values())],
    )
