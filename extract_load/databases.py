"""Connections to the shop and the warehouse, and their errors in words for the person who runs the command."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from storehouse.errors import StorehouseError, TransientError, said_by
from storehouse.settings import settings

_CONNECT_ADVICE = {
    "password": "Check the user and the password",
    "no pg_hba.conf entry": "Let this user in from here (the server's pg_hba.conf), or use another",
    'database "': "Check the database's name",
    'role "': "Check the user",
    "refused": "Check that the server runs, and the host and the port",
    "resolve host": "Check the host",
    "translate host": "Check the host",
    "timeout": "Check the host and the port, and that no firewall stands between",
}

_NEEDS_A_PERSON = ("password", "no pg_hba.conf entry", 'database "', 'role "')
# Lost connections, deadlocks, shutdowns, full disks; what the statement says is none of them.
_MAY_PASS = (psycopg.OperationalError, psycopg.InterfaceError)


class Database(psycopg.Connection):
    """A connection that can say where it leads, without its password."""

    where: str

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Within, an error of PostgreSQL is this database's, and becomes one clear message.

        Raises:
            StorehouseError: what it said, where, and what to do.
        """
        try:
            yield
        except psycopg.Error as error:
            kind = TransientError if isinstance(error, _MAY_PASS) else StorehouseError
            # Not from it: psycopg shows the row, and so would a log that shows where an error came from.
            raise kind(self._explain(error)) from None

    def _explain(self, error: psycopg.Error) -> str:
        if self.closed:
            return f"The connection to {self.where} was lost. Nothing is half-landed: run it again."
        match error:
            case errors.DiskFull():
                advice = "Its disk is full. Nothing is half-landed: make room and run it again."
            case errors.InsufficientPrivilege():
                advice = "Grant it: USAGE on the schema and SELECT at the shop; in the warehouse, as deploy/roles.sql."
            case errors.UndefinedTable() | errors.UndefinedColumn():
                advice = "What must be there: docs/sources.md."
            case errors.QueryCanceled():
                advice = "The server stopped the statement: see its statement_timeout."
            case _:
                advice = "Nothing of this load was landed."
        return f"{self.where[0].upper()}{self.where[1:]}: {_sentence(error)}. {advice}"


def open_warehouse() -> Database:
    """The warehouse, in autocommit: a load opens its own transaction."""
    warehouse = _connect(settings().warehouse_conninfo("extract"), "the warehouse", "WAREHOUSE_HOST, _PORT, _USER, …")
    warehouse.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    return warehouse


def open_shop() -> Database:
    """The shop database, for transactions that read one snapshot."""
    shop = _connect(settings().shop_conninfo(), "the shop database", "SHOP_DATABASE_URL")
    shop.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    shop.read_only = True
    return shop


def _connect(conninfo: str, name: str, setting: str) -> Database:
    place = conninfo_to_dict(conninfo)
    address = f"{place.get('host', 'localhost')}:{place.get('port', 5432)}/{place.get('dbname', '')}"
    where = f"{name} {address}" + (f" (as {place['user']})" if "user" in place else "")
    try:
        database = Database.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as error:
        said = _sentence(error)
        advice = next((words for sign, words in _CONNECT_ADVICE.items() if sign in said), "Check the connection")
        kind = StorehouseError if any(sign in said for sign in _NEEDS_A_PERSON) else TransientError
        raise kind(f"Cannot connect to {where}: {said}. {advice}: {setting}.") from error
    database.where = where
    with database.speaking():
        # A `timestamp` without zone is read as UTC.
        database.execute("set timezone to 'UTC'")
    return database


def _sentence(error: psycopg.Error) -> str:
    """The server's own sentence, without libpq's words about each address it tried, and without a value of a row."""
    return said_by(error).rpartition("FATAL:")[2].strip(" .")
