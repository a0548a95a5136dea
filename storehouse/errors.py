"""The one kind of error that a user can cause."""


class StorehouseError(Exception):
    """What happened, where, and what to do, in words for the person who runs the command."""
