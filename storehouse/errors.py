"""The kinds of error that a user, or the world, can cause."""


class StorehouseError(Exception):
    """What happened, where, and what to do, in words for the person who runs the command."""


class TransientError(StorehouseError):
    """One that may pass by itself: a server that is away or busy. The same again may succeed; others need a person."""
