"""Our kinds of error, and what may be shown of the errors of others: PostgreSQL's, dbt's, libraries'."""

import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from storehouse.core.shown import as_message

# Words of a database, a store or dbt whose error is transient: the same again may succeed.
_MAY_PASS = re.compile(
    r"connection|could not connect|timed? ?out|deadlock|could not serialize|shutting down|starting up|terminating"
    r"|too many clients|recovery mode|canceling statement due to (conflict|lock)|unexpected eof|eof detected"
    r"|temporary failure in name resolution|reduce your request rate|service ?unavailable|please try again",
    re.IGNORECASE,
)
# Words of an error that stays until a person does something, though it may be about a connection.
_NEEDS_A_PERSON = re.compile(
    r"password authentication|no password supplied|no pg_hba|does not exist|certificate|tlsv\d+ alert"
    r"|does not support SSL|startup parameter|temp_file_limit",
    re.IGNORECASE,
)
# The parts of PostgreSQL's messages that quote rows, which may hold personal data.
_QUOTES_ROWS = re.compile(r"\s*\b(DETAIL|CONTEXT|QUERY):.*", re.DOTALL)
# The place of the wrong record in what PostgreSQL was given: a number, never a value.
_POSITION = re.compile(r"COPY \w+, line (\d+)(?:, column (\w+))?")
# Classes of SQLSTATE whose sentence quotes names and never a value: connections, constraints, transactions, rights,
# syntax, resources. Errors about data (22) quote values; those that functions raise (P0) may quote anything.
_QUOTE_NAMES = frozenset(
    ("08", "0A", "23", "25", "28", "2B", "34", "3D", "3F", "40", "42", "53", "54", "55", "57", "58")
)
_DATA = "22"
_VALUE = re.compile(r'".*"|\b0x[0-9a-f]{2}(?: 0x[0-9a-f]{2})*', re.DOTALL)
# What libraries put in quotes of any kind, and e-mail addresses without quotes.
_QUOTED = re.compile(r"""(?<!\w)b?(['"`]).*\1|\S+@\S+""", re.DOTALL)
# psycopg's warnings quote the server's whole message. The errors that matter reach us as exceptions.
logging.getLogger("psycopg").setLevel(logging.CRITICAL)


class StorehouseError(Exception):
    """What happened, where, and what to do, in words for the person who runs the command.

    The message never holds a secret, even where it quotes another library. Where that library's error may hold one,
    raise this `from None`: a traceback would show it.
    """

    def __init__(self, message: str) -> None:
        """`message`: for people; secrets in it are hidden."""
        super().__init__(as_message(message))


class TransientError(StorehouseError):
    """An error that may end by itself, such as a server that is away or busy: the same again may succeed."""


def may_pass(message: str) -> bool:
    """True if the error that a database, a store or dbt reports looks transient."""
    return bool(_MAY_PASS.search(message)) and not _NEEDS_A_PERSON.search(message)


def as_error(message: str) -> StorehouseError:
    """What a database, a store or dbt reports, as an error of ours: a `TransientError` if it looks transient."""
    return (TransientError if may_pass(message) else StorehouseError)(message)


class _Diagnostic(Protocol):
    @property
    def sqlstate(self) -> str | None: ...

    @property
    def message_primary(self) -> str | None: ...

    @property
    def context(self) -> str | None: ...


class _DatabaseError(Protocol):
    """What psycopg's and psycopg2's errors have in common."""

    @property
    def diag(self) -> _Diagnostic: ...


def said_by(error: _DatabaseError) -> str:
    """A database's message in one sentence without any value of a row; with the record's number in a COPY, if known.

    Args:
        error: of psycopg or psycopg2.
    """
    diag, state = error.diag, error.diag.sqlstate or ""
    # Without a state it is the client's own message, about a connection.
    said = diag.message_primary or next(iter(str(error).strip().splitlines()), type(error).__name__)
    if state[:2] == _DATA:
        said = _VALUE.sub('"…"', said)
    elif state and state[:2] not in _QUOTE_NAMES:
        said = f"an error of the kind {type(error).__name__} (SQLSTATE {state}), whose words may quote a row"
    if place := _POSITION.search(diag.context or ""):
        said += f" (record {place[1]}{f', column {place[2]}' if place[2] else ''})"
    return said


def without_values(said: str) -> str:
    """A library's message without what it quotes."""
    return _QUOTED.sub("…", without_rows(said))


@contextmanager
def telling_no_values() -> Iterator[None]:
    """Within, the message of an unexpected error is replaced by its kind and its line of code.

    A message of Python or of a library may quote the record that it could not handle.
    """
    try:
        yield
    except StorehouseError:
        raise
    except Exception as error:
        raise StorehouseError(unexpected(error)) from None


def unexpected(error: BaseException) -> str:
    """The kind of an unexpected error and its line of code, without its message, which may quote a record."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        frame for frame in frames if Path(frame.filename).is_relative_to(_PROJECT) and ".venv" not in frame.filename
    ]
    # One that nobody raised was nowhere.
    where = [f" at {Path(at.filename).name}, line {at.lineno}, in {at.name}" for at in (ours or frames)[-1:]]
    return f"unexpected {type(error).__name__}{''.join(where)}. Its words are left out, they may quote a record"


_PROJECT = Path(__file__).resolve().parents[2]


def without_rows(message: str) -> str:
    """A database's message, cut before the part that quotes rows."""
    return _QUOTES_ROWS.sub("", message)
