"""The shop's database and its clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import psycopg

from storehouse.core import sessions
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import quoted, settings

# What helps wherever the demo can't have a database.
PLACE = (
    "Unset SHOP_DATABASE_URL, so that the shop is played on the embedded server; or set it to an empty database "
    "and a user who may create schemas and tables there."
)


@dataclass(frozen=True)
class Clock:
    """How far the shop has been played (through `day`), and what it was made with."""

    day: date
    size: float
    seed: int
    start: date
    error_rate: float


@contextmanager
def connect() -> Iterator[psycopg.Connection]:
    """A connection to the shop's database for one transaction; the embedded server's `shop` is made if it is not there.

    Raises:
        StorehouseError: the database can't be reached, or refuses what is asked of it.
    """
    place = settings()
    try:
        if place.shop_database_url is None:
            place.server.ensure_database("shop")
        conninfo = place.source_conninfo("SHOP_DATABASE_URL")
        connection = psycopg.connect(conninfo, autocommit=True)
        schemas = {"search_path": f"{quoted(place.shop_schema)}, public"}
        sessions.tell(connection, place.source_session(conninfo) | schemas)
        connection.autocommit = False
    except psycopg.OperationalError as error:
        raise StorehouseError(
            f"The demo shop's database can't be reached: {_one_line(error)}. "
            f"{'Start the embedded server with `make start`.' if place.is_demo else PLACE}"
        ) from error
    try:
        with connection:
            yield connection
    except psycopg.Error as error:
        raise StorehouseError(f"The demo shop's database refused: {_one_line(error)}. {PLACE}") from error


def read_clock(connection: psycopg.Connection) -> Clock | None:
    """The shop's clock; None where no shop has been made."""
    if connection.execute("select to_regclass('demo.clock')").fetchone() == (None,):
        return None
    row = connection.execute("select day, size::float8, seed, start, error_rate::float8 from demo.clock").fetchone()
    return Clock(*row) if row else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
