"""Connections to sources and the warehouse, their locks, and their errors in words for the person at the command."""

import logging
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, Self

import psycopg
from psycopg import errors, sql
from psycopg.abc import ConnParam
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from tenacity import Retrying, retry_if_exception_message, stop_after_attempt, wait_exponential_jitter

from storehouse.core import sessions
from storehouse.core.errors import StorehouseError, TransientError, said_by
from storehouse.core.queries import one_row, one_value
from storehouse.core.settings import quoted, settings

logger = logging.getLogger("extract_load")  # a wait for a lock is told among the lines of the load that waits

Duty = Literal["extract", "transform", "reporting", "forget"]
Advice = Mapping[type[psycopg.Error], str]

_CONNECT_ADVICE = {
    "startup parameter": "A connection pooler answers here, which keeps no settings of a session: dbt and our loads "
    "need them. Name PostgreSQL itself (docs/deploy.md)",
    "conversion between": "Its encoding can't be read as UTF-8: dump it into a database of UTF8",
    "certificate": "Check sslmode and the files of sslrootcert, sslcert and sslkey, and that the host is the one that "
    "the server's certificate names (docs/deploy.md)",
    " alert ": "The server refused our certificate: check sslcert, sslkey and sslmode (docs/deploy.md)",
    "private key": "Check the file of sslkey: only its user may read it (mode 0600)",
    "does not support SSL": "Turn TLS on at the server, or ask for less with sslmode",
    "sslmode": "Check sslmode: disable, allow, prefer, require, verify-ca or verify-full",
    "WAL sender": "Let the role read the change log: alter role … replication (docs/sources/postgres.md)",
    "max_wal_senders": "Let others end, or raise max_wal_senders at the server",
    "password": "Check the user and the password",
    "no pg_hba.conf entry": "Let this user in from here (the server's pg_hba.conf), or use another",
    'database "': "Check the database's name",
    'role "': "Check the user",
    "refused": "Check that the server runs, and the host and the port",
    "resolve host": "Check the host",
    "translate host": "Check the host",
    "timeout": "Check the host and the port, and that no firewall stands between",
}
_NEEDS_A_PERSON = (
    *(
        "startup parameter",
        "conversion between",
        "certificate",
        " alert ",
        "private key",
        "does not support SSL",
        "sslmode",
    ),
    *("WAL sender", "password", "no pg_hba.conf entry", 'database "', 'role "'),
)
# Classes of SQLSTATE whose errors may pass by themselves: a lost or refused connection, a rollback that asks to be
# tried again, too few resources, an object in use, an operator's intervention, the system below.
_MAY_PASS = ("08", "40", "53", "55", "57", "58")
# Of these classes, but the same again ends the same: a full disk and a limit wait for a person.
_STAYS = (errors.DiskFull, errors.ConfigurationLimitExceeded, errors.ObjectNotInPrerequisiteState)

# Of who reads marts.
_NOT_THERE = "The mart is not published yet: run `make run`, or dbt build; `make published` says what holds it back."
READERS_ADVICE: Advice = {
    errors.UndefinedTable: _NOT_THERE,
    errors.InvalidSchemaName: _NOT_THERE,
    errors.UndefinedColumn: "The mart was built by another version of the models: run dbt build.",
    errors.InsufficientPrivilege: "The role needs what `reporting` has, and to see every row: deploy/roles.sql.",
}

# Of a session of the replication protocol: it is silent while what was read lands, and the server finds out by itself
# when nobody is there any more.
_REPLICATION = {
    "wal_sender_timeout": "0",
    "tcp_keepalives_idle": "60",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "6",
}
_BEGINNING = Retrying(
    retry=retry_if_exception_message(match=r"(?s).*FATAL: .* due to (lock|transaction) timeout"),
    stop=stop_after_attempt(5),
    wait=wait_exponential_jitter(multiplier=0.2, jitter=0.2),
    reraise=True,
)
_ROOM = 32 * 1024 * 1024  # bytes: with less the embedded server can't write its next WAL file
_TOLD_AFTER = 2  # seconds: a shorter wait for a lock is not worth a line
# Whose is an advisory lock: any role of the database may hold it. Other roles' times need pg_read_all_stats.
_HOLDERS = """
    select coalesce(string_agg(
        case
            when pid is null then 'a prepared transaction (pg_prepared_xacts)'
            else format(
                'pid %%s (role %%s, application %%s%%s)',
                pid, usename, coalesce(nullif(application_name, ''), 'unknown'),
                ', in a transaction since ' || to_char(xact_start, 'YYYY-MM-DD HH24:MI:SS TZ')
            )
        end,
        ' and '
    ), 'a session that has ended since')
    from pg_locks left join pg_stat_activity using (pid)
    where locktype = 'advisory' and granted and objsubid = 1
        and database = (select oid from pg_database where datname = current_database())
        and (classid::bigint << 32) | objid::bigint = %s
"""


class Database(psycopg.Connection):
    """A connection that can say where it leads, without its password.

    Attributes:
        where: the name of the place, its address, and as whom.
        server: whose disk and settings are meant.
        session: of a source, the settings that its transactions are told.
    """

    where: str
    server: str
    session: Mapping[str, str]

    @classmethod
    def connect(cls, conninfo: str, **parameters: Any) -> Self:
        """As psycopg's; tried again if the server's own time-outs, which hold until a session has begun, end it."""
        return _BEGINNING(super().connect, conninfo, **parameters)

    @contextmanager
    def speaking(self, advice: Advice | None = None) -> Iterator[None]:
        """Within, an error of PostgreSQL is this database's, and becomes one clear message.

        Args:
            advice: by kind of error, where the caller knows better what to do.

        Raises:
            StorehouseError: what it said, where, and what to do.
        """
        try:
            yield
        except psycopg.Error as error:
            kind = TransientError if _may_pass(error) else StorehouseError
            # Not from it: psycopg shows the row, and so would a log that shows where an error came from.
            raise kind(self._explain(error, advice or {})) from None

    @contextmanager
    def snapshot(self, exported: str | None = None) -> Iterator[None]:
        """A transaction at a source that reads one snapshot, in a session that is told all that ours need.

        To its end only: behind a pooler the session is the next client's, who is to find it as it was.

        Args:
            exported: the name of the snapshot that another session has exported; None: one of its own.
        """
        with self.transaction():
            if exported:
                self.execute(sql.SQL("set transaction snapshot {}").format(exported))
            sessions.tell(self, self.session, in_transaction=True)
            yield

    def search(self, schema: str) -> None:
        """In a snapshot: functions behind a view of this schema may name its tables without a schema."""
        sessions.tell(self, {"search_path": f"{quoted(schema)}, public"}, in_transaction=True)

    def _explain(self, error: psycopg.Error, theirs: Advice) -> str:
        if self.closed and not isinstance(error, errors.DiskFull):
            return f"The connection to {self.where} was lost. Nothing is half-landed: run it again.{_full_disk_here()}"
        said = _sentence(error)
        advice = next((words for kind, words in theirs.items() if isinstance(error, kind)), None)
        if advice is None:
            match error:
                case errors.DiskFull():
                    what = (
                        "There may be room by now: these were temporary files of one large statement. "
                        if "pgsql_tmp" in said
                        else "Tables, logs, or WAL that a replication slot keeps (pg_replication_slots) fill it. "
                    )
                    advice = (
                        f"The disk of {self.server} is full. {what}Give it room (never by deleting files in pg_wal), "
                        "then run it again: nothing is half-landed."
                    )
                case errors.ConfigurationLimitExceeded():
                    advice = f"That is a limit which {self.server} sets itself, not its disk: raise it there."
                case errors.InsufficientPrivilege() if "row-level security" in said:
                    advice = (
                        "Its policies hide rows from this role, and they would be missing without a word. "
                        "Let the role see all (alter role … bypassrls), or read a view whose owner does: "
                        "docs/sources.md."
                    )
                case errors.InsufficientPrivilege():
                    advice = (
                        "Grant it: USAGE on the schema and SELECT at the source; in the warehouse, as deploy/roles.sql."
                    )
                case errors.UndefinedTable() | errors.UndefinedColumn():
                    advice = "What must be there: docs/sources.md."
                case errors.LockNotAvailable():
                    advice = (
                        f"Another session holds a lock for longer than {_wait()} (LOCK_WAIT_MINUTES): "
                        "select pid, usename, application_name, query from pg_stat_activity where state != 'idle'."
                    )
                case errors.QueryCanceled():
                    advice = (
                        "Somebody canceled the statement, or a statement_timeout did that PGOPTIONS or the URL names."
                    )
                case errors.CharacterNotInRepertoire() | errors.UntranslatableCharacter():
                    # Not in its words: they show the bytes.
                    said = said.partition(":")[0]
                    advice = (
                        "A text is not in the encoding that its database says. Mend it there; or, if the database has "
                        "none (SQL_ASCII), read a view (docs/sources.md) with "
                        "convert_from(convert(convert_to(column, 'SQL_ASCII'), 'LATIN1', 'UTF8'), 'UTF8'), with the "
                        "encoding that its programs write for LATIN1."
                    )
                case _:
                    advice = "Nothing of this load was landed."
        return f"{self.where[0].upper()}{self.where[1:]}: {said}. {advice}"


def open_warehouse(duty: Duty = "extract") -> Database:
    """The warehouse, in autocommit: a load opens its own transaction.

    Raises:
        StorehouseError: it can't be reached, or can't be worked with.
    """
    setting = "WAREHOUSE_HOST, _PORT, _USER, …" if duty != "reporting" else "WAREHOUSE_HOST, _PORT, REPORTING_USER, …"
    with _connecting(settings().warehouse_conninfo(duty), "the warehouse", setting):
        return connect_warehouse(duty)


@contextmanager
def reading() -> Iterator[Database]:
    """What readers see in the warehouse, as of one moment, and as the role that reports.

    Raises:
        StorehouseError: it is away; or within, what is asked for is not published yet, or not for this role.
    """
    with open_warehouse("reporting") as warehouse, warehouse.speaking(READERS_ADVICE):
        warehouse.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        warehouse.read_only = True
        with warehouse.transaction():
            yield warehouse


def connect_warehouse(duty: Duty, **parameters: ConnParam) -> Database:
    """As `open_warehouse`, with psycopg's own errors; `parameters` are libpq's, such as `tcp_user_timeout`.

    Raises:
        psycopg.Error: it can't be reached.
        StorehouseError: a pooler stands between, or its encoding can't hold every text.
    """
    conninfo = settings().warehouse_conninfo(duty)
    # Comes back from a session of our own alone: a pooler that passes over what it is asked has none, or another's.
    mark = secrets.token_hex(8)
    options = f"{conninfo_to_dict(conninfo)['options']} -c storehouse.session={mark}"
    warehouse = Database.connect(make_conninfo(conninfo, options=options, **parameters), autocommit=True)
    warehouse.where = _where(conninfo, "the warehouse")
    warehouse.server = "the warehouse's server"
    try:
        returned, encoding = one_row(
            warehouse, "select current_setting('storehouse.session', true), current_setting('server_encoding')"
        )
        if returned != mark:
            raise StorehouseError(
                f"{warehouse.where}: a connection pooler stands before it, which does not pass on what a session is "
                "told: dbt and our loads need that. Let WAREHOUSE_HOST and WAREHOUSE_PORT name PostgreSQL itself "
                "(docs/deploy.md)."
            )
        if encoding != "UTF8":
            raise StorehouseError(
                f"{warehouse.where}: its encoding is {encoding}, which can't hold every text or can't say what it "
                f"holds. Make another: create database {warehouse.info.dbname} encoding 'UTF8' template template0"
            )
        told = sessions.WAREHOUSE_MEANING | {sessions.TRANSACTION_TIMEOUT: "0"}
        # Again: libpq's variables (PGDATESTYLE, PGTZ) come after the options.
        sessions.tell(warehouse, told)
        warehouse.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    except BaseException:
        warehouse.close()
        raise
    return warehouse


def dbt_environment() -> dict[str, str]:
    """What a dbt process needs, of a warehouse that answered and that dbt can work with.

    Raises:
        StorehouseError: it does not, or there is no usable `PII_KEY`.
    """
    environment = settings().dbt_environment()
    with open_warehouse("transform") as warehouse:
        if warehouse.info.server_version >= 170_000:
            environment["PGOPTIONS"] = f"-c {sessions.TRANSACTION_TIMEOUT}=0 {environment['PGOPTIONS']}"
    return environment


def open_source(connection: str, source: str) -> Database:
    """A source's database, for transactions that read one snapshot: `with database.snapshot()`.

    Args:
        connection: the name of the variable that says where it is.
        source: the source's name, for messages.

    Raises:
        StorehouseError: the variable is not set or holds no connection string; or it can't be reached.
    """
    conninfo, name = settings().source_conninfo(connection, source), f"the {source} database"
    with _connecting(conninfo, name, connection):
        # A pooler's next client must not meet statements that we prepared.
        database = Database.connect(conninfo, autocommit=True, prepare_threshold=None)
    database.where = _where(conninfo, name)
    database.server = f"the {source} database's server"
    database.session = settings().source_session(conninfo)
    database.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    database.read_only = True
    return database


def open_replication(connection: str, source: str) -> Database:
    """A source's database, for commands of the replication protocol; each statement must come without parameters.

    Args:
        connection: the name of the variable that says where it is.
        source: the source's name, for messages.

    Raises:
        StorehouseError: as `open_source`; or the role may not replicate.
    """
    conninfo, name = settings().source_conninfo(connection, source), f"the {source} database"
    with _connecting(conninfo, name, connection):
        database = Database.connect(
            conninfo,
            autocommit=True,
            prepare_threshold=None,
            cursor_factory=psycopg.ClientCursor,
            replication="database",
        )
    database.where = _where(conninfo, name)
    database.server = f"the {source} database's server"
    database.session = settings().source_session(conninfo)
    with database.speaking():
        sessions.tell(database, database.session | _REPLICATION)
    return database


def take_lock(connection: psycopg.Connection, key: int, what: str) -> None:
    """Take an advisory lock to the end of the transaction: one that is told when it lasts, and that ends.

    Args:
        connection: in a transaction.
        key: of the lock, in this database.
        what: it is for, in words.

    Raises:
        TransientError: somebody else held it for `LOCK_WAIT_MINUTES`; who.
    """
    if one_value(connection, "select pg_try_advisory_xact_lock(%s)", [key]):
        return
    whole = settings().lock_wait_minutes * 60
    for seconds in (min(_TOLD_AFTER, whole), whole):
        try:
            with connection.transaction():
                _wait_for_locks(connection, seconds)
                connection.execute("select pg_advisory_xact_lock(%s)", [key])
                _wait_for_locks(connection, whole)
                return
        except errors.LockNotAvailable:
            holder = one_value(connection, _HOLDERS, [key])
            if seconds < whole:
                logger.warning("waiting for the lock of %s, held by %s", what, holder)
    raise TransientError(
        f"The lock of {what} was not free within {_wait()} (LOCK_WAIT_MINUTES). It is held by {holder}. "
        "Let that end, or end it with pg_terminate_backend; then run this again. Nothing is half-done."
    )


@contextmanager
def only_one(duty: Duty, key: int, what: str) -> Iterator[None]:
    """Within, no other holds this lock: it lasts over transactions, on a connection that does nothing else.

    Args:
        duty: as whom.
        key: of the lock, in the warehouse.
        what: it is for, in words.
    """
    with open_warehouse(duty) as keeper, keeper.speaking(), keeper.transaction():
        take_lock(keeper, key, what)
        yield


def _wait_for_locks(connection: psycopg.Connection, seconds: float) -> None:
    connection.execute("select set_config('lock_timeout', %s, true)", [f"{round(seconds * 1000)}ms"])


def _wait() -> str:
    return f"{settings().lock_wait_minutes:g} minutes"


@contextmanager
def _connecting(conninfo: str, name: str, setting: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        said = _sentence(error)
        advice = next((words for sign, words in _CONNECT_ADVICE.items() if sign in said), "Check the connection")
        kind = StorehouseError if any(sign in said for sign in _NEEDS_A_PERSON) else TransientError
        raise kind(
            f"Cannot connect to {_where(conninfo, name)}: {said}. {advice}: {setting}.{_full_disk_here()}"
        ) from None


def _where(conninfo: str, name: str) -> str:
    place = conninfo_to_dict(conninfo)
    address = f"{place.get('host', 'localhost')}:{place.get('port', 5432)}/{place.get('dbname', '')}"
    return f"{name} {address}" + (f" (as {place['user']})" if "user" in place else "")


def _may_pass(error: psycopg.Error) -> bool:
    if error.sqlstate is None:  # of the connection, not of a statement
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(_MAY_PASS) and not isinstance(error, _STAYS)


def _full_disk_here() -> str:
    """Of a connection that broke: that the embedded server's disk is full, which stops the server and is not said."""
    if settings().is_embedded and settings().home.exists() and shutil.disk_usage(settings().home).free < _ROOM:
        return f" The disk of {settings().home} is full, and the embedded server needs room to run: make room first."
    return ""


def _sentence(error: psycopg.Error) -> str:
    """The server's own sentence, without libpq's words about each address it tried, and without a value of a row."""
    return said_by(error).rpartition("FATAL:")[2].strip(" .")
