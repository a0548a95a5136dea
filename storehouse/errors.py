"""The kinds of error that a user, or the world, can cause."""

import re

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
_QUOTES_ROWS = re.compile(r"\s*\b(DETAIL|CONTEXT):.*", re.DOTALL)


class StorehouseError(Exception):
    """What happened, where, and what to do, in words for the person who runs the command."""


class TransientError(StorehouseError):
    """One that may pass by itself: a server that is away or busy. The same again may succeed; others need a person."""


def may_pass(message: str) -> bool:
    """True when what others said is of trouble that may pass by itself."""
    return bool(_MAY_PASS.search(message)) and not _NEEDS_A_PERSON.search(message)


def judged(message: str) -> StorehouseError:
    """The error of what others said: a transient one when their words are of trouble that may pass."""
    return (TransientError if may_pass(message) else StorehouseError)(message)


def without_rows(message: str) -> str:
    """What a database said, to where it quotes rows."""
    return _QUOTES_ROWS.sub("", message)


def without_password(said: str) -> str:
    """Without what stands before the host in a URL."""
    return re.sub(r"(?<=://)[^/\s]*@", "", said)
