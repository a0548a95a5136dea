"""HTML pages of ours: written whole or not at all, and put beside dbt's documentation at the end of a run."""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from storehouse.core import stores
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import settings

logger = logging.getLogger(__name__)


def templates(folder: Path, finalize: Callable[[Any], Any] | None = None) -> Environment:
    """The templates of a folder: texts are escaped, and a name that is not there is an error.

    Args:
        folder: theirs.
        finalize: what becomes of each value before it is written.
    """
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )


def write(file: Path, page: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        StorehouseError: it can't be written.
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(page, encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise StorehouseError(f"The page can't be written to {file}: {error.strerror}. Another place: PAGE=") from None


def try_to_write(what: str, make: Callable[[Path], object], file: Path) -> bool:
    """Make a page beside something that is wanted more: what goes wrong is logged; False then.

    Args:
        what: the page, as the log names it.
        make: writes it into the file.
        file: the page's.
    """
    try:
        make(file)
    except Exception as error:
        _tell(what, error)
        return False
    return True


def try_to_put(what: str, make: Callable[[Path], object], name: str) -> None:
    """At the end of a run on Airflow: put a page beside dbt's documentation. What goes wrong fails no run.

    Args:
        what: the page, as the log names it.
        make: writes it into a file.
        name: of the file.
    """
    file, url = settings().home / "docs" / name, settings().docs_url
    if try_to_write(what, make, file) and url:
        try:
            stores.put(file, url, "DOCS_URL", name)
        except Exception as error:
            _tell(what, error)


def _tell(what: str, error: Exception) -> None:
    # Of an error that nobody expected not its words: they may quote anything.
    logger.warning("No %s: %s", what, error if isinstance(error, StorehouseError) else type(error).__name__)
