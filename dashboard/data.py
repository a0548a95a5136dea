"""What the page has: the rows of each query of `queries/`, of one moment, within a limit, as the role that reports."""

import csv
import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import dict_row

from storehouse.core.databases import open_warehouse
from storehouse.core.errors import StorehouseError
from storehouse.core.queries import as_sql, one_value
from storehouse.core.settings import PROJECT
from storehouse.core.shown import printable

BYTES = 1_000_000  # of data, at most
MOST = (8, 4, 2, 1)  # channels, and products of each list, that have a name: fewer where the data would be too large
FOLDER = Path(__file__).parent / "queries"
WORDS = PROJECT / "seeds" / "sentiment_words.csv"
FIRST = ("calendar", "channels")  # the others are asked with what these say
OTHERS = ("sales", "cohorts", "value", "products", "reviews", "ratings", "words", "quality", "freshness", "published")
# Not published or not built yet, or a build has it for itself.
NOT_THERE = (errors.UndefinedTable, errors.InvalidSchemaName, errors.LockNotAvailable)
_ADVICE = {
    errors.InsufficientPrivilege: "The role needs what `reporting` has: deploy/roles.sql.",
    errors.UndefinedColumn: "The mart was built by another version of the models: run dbt build.",
}
_NOTHING = (
    "No orders are published yet, so there is nothing to show: make run. `make published` says what holds them back."
)


@dataclass(frozen=True)
class Answer:
    """A query as it was run, what its first lines say of it, and its rows: None where its marts are not there."""

    definition: str
    sql: str
    rows: list[dict[str, Any]] | None


@dataclass(frozen=True)
class Data:
    """When it was asked for, the answers by query, and the days at which the slots and windows of the sums begin."""

    asked_at: datetime
    answers: dict[str, Answer]
    slots: list[date]
    windows: list[date]

    @property
    def last(self) -> date | None:
        """The last whole day of sales."""
        return max((bar["ends_on"] for bar in self.answers["calendar"].rows or ()), default=None)

    @property
    def zone(self) -> str | None:
        """The time zone of the days."""
        return next((row["reporting_time_zone"] for row in self.answers["published"].rows or ()), None)

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.as_json().encode())

    def as_json(self) -> str:
        """For the page's script, and safe in one: columns instead of rows."""
        queries = {
            name: {
                "definition": answer.definition,
                "sql": answer.sql,
                "columns": None if answer.rows is None else _columns(answer.rows),
            }
            for name, answer in self.answers.items()
        }
        return _compact({"slots": self.slots, "windows": self.windows, "queries": queries}).replace("<", "\\u003c")


def read() -> Data:
    """Ask for all of it, as of one moment; with fewer names where it would be over the limit.

    Raises:
        StorehouseError: nothing is published yet, the warehouse is away, or the role may not read it.
    """
    with open_warehouse("reporting") as warehouse, warehouse.speaking(_ADVICE):
        warehouse.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        warehouse.read_only = True
        with warehouse.transaction():
            warehouse.execute("set local lock_timeout to '10s'")
            for most in MOST:
                data = _read(warehouse, most)
                if data.size <= BYTES:
                    return data
    raise StorehouseError(
        f"The data of the page would be over {BYTES:,} bytes. Which column has so many values? "
        "select channel, region, count(*) from sales.agg_daily_sales group by channel, region"
    )


def whole_days(warehouse: psycopg.Connection) -> tuple[date, date] | None:
    """The first day and the last whole day of the published sales; None where there is no whole one.

    Args:
        warehouse: in a transaction, as the role that reports.

    Raises:
        StorehouseError: nothing is published yet.
    """
    bars = _ask(warehouse, "calendar", {}).rows
    if bars is None:
        raise StorehouseError(_NOTHING)
    return (min(bar["starts_on"] for bar in bars), max(bar["ends_on"] for bar in bars)) if bars else None


def _read(warehouse: psycopg.Connection, most: int) -> Data:
    asked_at = one_value(warehouse, "select now()")
    answers = {name: _ask(warehouse, name, {"most": most}) for name in FIRST}
    bars, channels = (answers[name].rows for name in FIRST)
    if bars is None or channels is None:
        raise StorehouseError(_NOTHING)
    last = max((bar["ends_on"] for bar in bars), default=date.min)
    slots = _borders(bars, last, "bar_starts_on", "bar_ends_on", "bar_before_starts_on", "bar_before_ends_on")
    windows = _borders(bars, last, "starts_on", "ends_on", "before_starts_on", "before_ends_on")
    given = {
        "most": most,
        "channels": [channel["channel"] for channel in channels],
        "first": min(slots, default=last),
        "last": last,
        "slots": slots,
        "windows": windows,
        **_words(),
    }
    answers |= {name: _ask(warehouse, name, given) for name in OTHERS}
    return Data(asked_at, answers, slots, windows)


def _words() -> dict[str, list[Any]]:
    """The words of the seed and their weights: readers have no right to its table, and of a review's text no other word
    may be told."""
    with WORDS.open(encoding="utf-8", newline="") as file:
        known = [(row["word"], int(row["weight"])) for row in csv.DictReader(file) if row["kind"] == "word"]
    return {"words": [word for word, _ in known], "weights": [weight for _, weight in known]}


def _borders(bars: list[dict[str, Any]], last: date, *names: str) -> list[date]:
    """The days at which one of these stretches begins, or the one after it."""
    starts = {bar[name] for bar in bars for name in names[::2]}
    ends = {bar[name] + timedelta(days=1) for bar in bars for name in names[1::2] if bar[name]}
    return sorted(day for day in starts | ends if day and day <= last)


def _ask(warehouse: psycopg.Connection, name: str, given: dict[str, Any]) -> Answer:
    definition, text = _parted((FOLDER / f"{name}.sql").read_text(encoding="utf-8"))
    with psycopg.ClientCursor(warehouse, row_factory=dict_row) as cursor:
        asked = cursor.mogrify(as_sql(text), given)
        try:
            with warehouse.transaction():
                rows = [
                    {column: printable(value) if isinstance(value, str) else value for column, value in row.items()}
                    for row in cursor.execute(as_sql(asked))
                ]
        except NOT_THERE:
            rows = None
    return Answer(definition, asked, rows)


def _parted(text: str) -> tuple[str, str]:
    """The words of the comment that a query begins with, and the query."""
    lines = text.splitlines()
    said = [line.removeprefix("--").strip() for line in lines if line.startswith("--")]
    return " ".join(said), "\n".join(lines[len(said) :]) + "\n"


def _columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: _packed([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def _packed(values: list[Any]) -> list[Any] | dict[str, list[Any]]:
    """What is shorter: the values, or pairs of a value and how often it comes in a row."""
    runs = list(chain.from_iterable((value, len(list(run))) for value, run in groupby(values)))
    return {"runs": runs} if len(_compact(runs)) < len(_compact(values)) else values


def _compact(value: Any) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value).__name__)
