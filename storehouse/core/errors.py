"""The kinds of error that a user, or the world, can cause."""

import logging
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from storehouse.core.shown import as_message

# What a database, a store or dbt says when the same again may succeed.
_MAY_PASS = re.compile(
    r"connection|could not connect|timed? ?out|deadlock|could not serialize|shutting down|starting up|terminating"
    r"|too many clients|recovery mode|canceling statement due to (conflict|lock)|unexpected eof|eof detected"
    r"|temporary failure in name resolution|reduce your request rate|service ?unavailable|please try again",
    re.IGNORECASE,
)
# What it says when it won't, be it of a connection too.
_NEEDS_A_PERSON = re.compile(
    r"password authentication|no password supplied|no pg_hba|does not exist|certificate|tlsv\d+ alert"
    r"|does not support SSL|startup parameter|temp_file_limit",
    re.IGNORECASE,
)
# Where PostgreSQL quotes rows, which may have a person's data.
_QUOTES_ROWS = re.compile(r"\s*\b(DETAIL|CONTEXT|QUERY):.*", re.DOTALL)
# Where in what it was given, in the same words: a number, never a value.
_POSITION = re.compile(r"COPY \w+, line (\d+)(?:, column (\w+))?")
# Kinds of error (SQLSTATE) whose sentence quotes names and never a value: of connections, constraints, transactions,
# rights, syntax, resources. One of data (22) quotes values; what functions raise (P0) says what it likes.
_QUOTE_NAMES = frozenset(
    ("08", "0A", "23", "25", "28", "2B", "34", "3D", "3F", "40", "42", "53", "54", "55", "57", "58")
)
_DATA = "22"
_VALUE = re.compile(r'".*"|\b0x[0-9a-f]{2}(?: 0x[0-9a-f]{2})*', re.DOTALL)
# What libraries quote, in any kind of quotes, and an address without.
_QUOTED = re.compile(r"""(?<!\w)b?(['"`]).*\1|\S+@\S+""", re.DOTALL)
# psycopg's warnings quote the server whole. What matters of them reaches us as an exception.
logging.getLogger("psycopg").setLevel(logging.CRITICAL)


class StorehouseError(Exception):
    """What happened, where, and what to do, in words for the person who runs the command.

    No secret is in them, whoever's words they are. Raise it `from None` where another library's error may have one: a
    traceback would quote that.
    """

    def __init__(self, message: str) -> None:
        """`message`: as people will read it, but for what nobody may see."""
        super().__init__(as_message(message))


class TransientError(StorehouseError):
    """One that may pass by itself: a server that is away or busy. The same again may succeed; others need a person."""


def may_pass(message: str) -> bool:
    """True if the error that a database, a store or dbt reports looks transient."""
    return bool(_MAY_PASS.search(message)) and not _NEEDS_A_PERSON.search(message)


def as_error(message: str) -> StorehouseError:
    """What a database, a store or dbt reports, as an error of ours: a `TransientError` if it looks transient."""
    return (TransientError if may_pass(message) else StorehouseError)(message)


class _DatabaseError(Protocol):
    """What psycopg's and psycopg2's errors have in common."""

    diag: object


def said_by(error: _DatabaseError) -> str:
    """What a database said, in one sentence that has no value of a row; where in a COPY it was, when that is known.

    Args:
        error: of psycopg or psycopg2.
    """
    diag, state = error.diag, error.diag.sqlstate or ""
    # Without a state it is the client's own: of a connection.
    said = diag.message_primary or next(iter(str(error).strip().splitlines()), type(error).__name__)
    if state[:2] == _DATA:
        said = _VALUE.sub('"…"', said)
    elif state and state[:2] not in _QUOTE_NAMES:
        said = f"an error of the kind {type(error).__name__} (SQLSTATE {state}), whose words may quote a row"
    if place := _POSITION.search(diag.context or ""):
        said += f" (record {place[1]}{f', column {place[2]}' if place[2] else ''})"
    return said


def without_values(said: str) -> str:
    """What a library said, without what it quotes."""
    return _QUOTED.sub("…", without_rows(said))


@contextmanager
def telling_no_values() -> Iterator[None]:
    """Within, an error that nobody expected says what it is and where it was, and not in its own words.

    A message of Python or of a library may quote the record that it could not take.
    """
    try:
        yield
    except StorehouseError:
        raise
    except Exception as error:
        raise StorehouseError(unexpected(error)) from None


def unexpected(error: Exception) -> str:
    """An error that nobody expected, without its words: they may quote a record."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [
        frame for frame in frames if Path(frame.filename).is_relative_to(_PROJECT) and ".venv" not in frame.filename
    ]
    at = (ours or frames)[-1]
    where = f"{Path(at.filename).name}, line {at.lineno}, in {at.name}"
    return f"unexpected {type(error).__name__} at {where}. Its words are left out, they may quote a record"


_PROJECT = Path(__file__).resolve().parents[2]


def without_rows(message: str) -> str:
    """What a database said, to where it quotes rows."""
    return _QUOTES_ROWS.sub("", message)
