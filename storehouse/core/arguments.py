"""Arguments of commands that several of them take."""

import argparse
from datetime import UTC, date, datetime


def moment(text: str) -> datetime:
    """A day or a time, in UTC where it names no zone; for argparse."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; write 2026-01-31 or 2026-01-31T12:00:00Z") from None
    return given if given.tzinfo else given.replace(tzinfo=UTC)


def day(text: str) -> date:
    """A day; for argparse."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day; write 2026-01-31") from None


def words(text: str) -> list[str]:
    """Words with commas or blanks between, each once; for argparse."""
    return list(dict.fromkeys(text.replace(",", " ").split()))
