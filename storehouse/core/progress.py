"""Progress of a command, for the person who waits for it."""

import sys


def say(what: str, words: str) -> None:
    """One line of progress, on standard error: standard output is for results."""
    print(f"{what:<14}{words}", file=sys.stderr, flush=True)
