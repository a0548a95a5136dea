"""The kinds of error that a user, or the world, can cause."""

import re

# What a database, a store or dbt says when the same again may succeed.
MAY_PASS = re.compile(
    r"connection|could not connect|timed? ?out|deadlock|could not serialize|shutting down|starting up|terminating"
    r"|too many clients|recovery mode|canceling statement due to (conflict|lock)"
    r"|reduce your request rate|service ?unavailable|please try again",
    re.IGNORECASE,
)


class StorehouseError(Exception):
    """What happened, where, and what to do, in words for the person who runs the command."""


class TransientError(StorehouseError):
    """One that may pass by itself: a server that is away or busy. The same again may succeed; others need a person."""


def judged(message: str) -> StorehouseError:
    """The error of what others said: a transient one when their words are of trouble that may pass."""
    return (TransientError if MAY_PASS.search(message) else StorehouseError)(message)
