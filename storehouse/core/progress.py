"""What a command tells while it works: lines for the person who waits, or with `LOG_FORMAT=json` a JSON object a line.

All of it goes through Python's logging, on standard error: standard output is for results. Airflow configures logging
itself: its task logs are JSON lines, and get the same keys.
"""

import io
import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from storehouse.core.errors import StorehouseError, unexpected
from storehouse.core.settings import settings
from storehouse.core.shown import as_message

OURS = ("storehouse", "extract_load", "publish")
logger = logging.getLogger("storehouse")


def say(what: str, words: str, level: int = logging.INFO) -> None:
    """One line of progress; in JSON the key `step` says what it is about."""
    with about(step=what):
        logger.log(level, "%s", words, extra={"step": what})


def note(words: str, level: int = logging.INFO, **keys: object) -> None:
    """One line for programs alone: a person reads it in a summary, or on the standard output."""
    with about(**keys):
        logger.log(level, "%s", words, extra={"is_note": True})


def fail(words: str, **keys: object) -> None:
    """What a command could not do, in words for people."""
    with about(**keys):
        logger.error("%s", words)


@contextmanager
def about(**keys: object) -> Iterator[None]:
    """Within, every line of the log has these keys, such as `run`, `source`, `table`, `load`, `model`; not of None."""
    # Whoever writes keys has imported it, Airflow or `configure`: for a terminal it would take a third of a second.
    if structlog := sys.modules.get("structlog"):
        with structlog.contextvars.bound_contextvars(**_known(keys)):
            yield
    else:
        yield


def bind(**keys: object) -> None:
    """As `about`, from now on."""
    if structlog := sys.modules.get("structlog"):
        structlog.contextvars.bind_contextvars(**_known(keys))


def bound() -> dict[str, Any]:
    """The keys of here and now, for a thread that does not know them."""
    structlog = sys.modules.get("structlog")
    return structlog.contextvars.get_contextvars() if structlog else {}


def is_for_people() -> bool:
    """True if `configure` has chosen lines for people."""
    return any(isinstance(handler, _ForPeople) for handler in logger.handlers)


def interval(from_: object, until: object) -> str | None:
    """Two times as one key, such as `2026-01-01 00:00:00+00:00/..`; None of two that are open."""
    return f"{from_ or '..'}/{until or '..'}" if from_ or until else None


def configure() -> None:
    """At the start of a command: from now on its lines are written as `LOG_FORMAT` says."""
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    if not _is_json():
        if is_for_people():
            return
        # dbt brings a library that gives the root logger a handler of its own, if it has none: it would show notes too,
        # and the rest twice. This one does what Python does without any.
        others = logging.StreamHandler()
        others.setLevel(logging.WARNING)
        others.addFilter(lambda record: not logging.getLogger(record.name.partition(".")[0]).handlers)
        logging.getLogger().addHandler(others)
        handler = _ForPeople()
        handler.addFilter(_is_no_note)
        logger.addHandler(handler)
        return
    import structlog

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.processors.TimeStamper(fmt="iso"),
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _as_json],
        )
    )
    logging.getLogger().addHandler(handler)
    logging.raiseExceptions = False  # what it would say goes where the line could not be written
    sys.stderr, sys.excepthook = _Lines(), _last_line
    threading.excepthook = lambda of: _last_line(of.exc_type, of.exc_value or of.exc_type(), of.exc_traceback)
    sys.unraisablehook = lambda of: _last_line(of.exc_type, of.exc_value or of.exc_type(), of.exc_traceback)


def while_read(command: Callable[[], int]) -> int:
    """The exit code of a command; 141, as the shell has it, where who reads its output has enough, as `head` has."""
    try:
        code = command()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # As it ends, Python flushes once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def show(name: str, handler: logging.Handler) -> None:
    """Have the lines of a logger shown to people by this handler, but notes. As JSON they are written without it."""
    if is_for_people():
        handler.addFilter(_is_no_note)
        logging.getLogger(name).addHandler(handler)


def _known(keys: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in keys.items() if value is not None}


def _is_json() -> bool:
    try:
        return settings().log_format == "json"
    except StorehouseError:  # the command says what is wrong, in this form if it can
        return os.environ.get("LOG_FORMAT") == "json"


def _as_json(_: object, __: str, event: MutableMapping[str, Any]) -> str:
    """A line as Airflow writes them; without secrets, and of an unexpected error without its words."""
    if (error := event.pop("exc_info", None)) and error[1]:
        event["exception"] = unexpected(error[1])
    first = {name: event.pop(name) for name in ("timestamp", "level")} | {"event": as_message(event.pop("event"))}
    return json.dumps(first | dict(event), separators=(",", ":"), default=str)


def _is_no_note(record: logging.LogRecord) -> bool:
    return not getattr(record, "is_note", False)


class _ForPeople(logging.Handler):
    """Progress, what is amiss, and errors."""

    def emit(self, record: logging.LogRecord) -> None:
        step, words = getattr(record, "step", None), record.getMessage()
        print(f"{step:<14}{words}" if step else words, file=sys.stderr, flush=True)


class _Lines(io.TextIOBase):
    """Standard error, for who writes there without logging, such as argparse: what is written at once is one line."""

    def __init__(self) -> None:
        self.of_thread = threading.local()

    def write(self, text: str) -> int:
        """Take some of it."""
        self.of_thread.pending = getattr(self.of_thread, "pending", "") + text
        if text.endswith("\n"):
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Write the thread's line."""
        said, self.of_thread.pending = getattr(self.of_thread, "pending", "").strip(), ""
        if said:
            logging.getLogger("stderr").warning("%s", said)

    def fileno(self) -> int:
        """For processes that are started."""
        return 2


def _last_line(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """Of an error that nobody caught: its kind and the lines of code, never its words, which may quote a record."""
    with about(stack=[f"{at.filename}, line {at.lineno}, in {at.name}" for at in traceback.extract_tb(where)]):
        logger.critical("%s", unexpected(error))
