"""What the page has: the rows of each query of `queries/`, of one moment, within a limit, as the role that reports.

What an earlier page has is kept where the same query of the same build would only be asked again.
"""

import csv
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import dict_row

from storehouse.core.databases import reading
from storehouse.core.errors import StorehouseError
from storehouse.core.queries import as_sql, one_value
from storehouse.core.settings import PROJECT
from storehouse.core.shown import printable

BYTES = 1_000_000  # of data, at most
MOST = (8, 4, 2, 1)  # channels, and products of each list, that have a name: fewer where the data would be too large
FOLDER = Path(__file__).parent / "queries"
WORDS = PROJECT / "seeds" / "sentiment_words.csv"
# The groups of marts that a query reads. `operations` is not published: its queries are asked each time.
OTHERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("sales", "cohorts", "value", "products"), ("shop",)),
    **dict.fromkeys(("reviews", "ratings", "words"), ("shop", "feedback")),
    **dict.fromkeys(("quality", "freshness"), ()),
}
_NOT_PUBLISHED = (errors.UndefinedTable, errors.InvalidSchemaName)
# Not published or not built yet, or a build has it for itself.
NOT_THERE = (*_NOT_PUBLISHED, errors.LockNotAvailable)
_NOTHING = (
    "No orders are published yet, so there is nothing to show: make run. `make published` says what holds them back."
)
_BUSY = "A build has the published orders for itself just now. Wait until it has ended, then ask again."
_DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """A query as it was run, what its first lines say of it, and its rows: None where its marts are not there.

    Attributes:
        is_kept: the rows are an earlier page's.
    """

    definition: str
    sql: str
    rows: list[dict[str, Any]] | None
    is_kept: bool = False


@dataclass(frozen=True)
class Data:
    """When it was asked for, the answers by query, and the days at which the slots and windows of the sums begin."""

    asked_at: datetime
    answers: dict[str, Answer]
    slots: list[date]
    windows: list[date]
    most: int

    @property
    def last(self) -> date | None:
        """The last whole day of sales."""
        return max((bar["ends_on"] for bar in self.answers["calendar"].rows or ()), default=None)

    @property
    def zone(self) -> str | None:
        """The time zone of the days."""
        return self.published("reporting_time_zone")

    def published(self, name: str) -> Any:
        """A column of what the marts of orders say of themselves."""
        rows = self.answers["published"].rows or ()
        return next((row[name] for row in rows if row["group_name"] == "shop"), None)

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
        made = {"made_by": _made_by(), "most": self.most, "slots": self.slots, "windows": self.windows}
        return _compact(made | {"queries": queries}).replace("<", "\\u003c")


def read(earlier: Path | None = None) -> Data:
    """Ask for what is not known yet, as of one moment; with fewer names where it would be over the limit.

    Args:
        earlier: a page that may be there: of the builds that it was made of, nothing is asked again.

    Raises:
        StorehouseError: nothing is published yet, the warehouse is away, or the role may not read it.
    """
    with reading() as warehouse:
        warehouse.execute("set local lock_timeout to '10s'")
        published = _ask_first(warehouse, "published", {})
        known = _Earlier.of(earlier, published)
        for most in known.most:
            data = _read(warehouse, most, published, known)
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
    bars = _ask_first(warehouse, "calendar", {}).rows
    return (min(bar["starts_on"] for bar in bars), max(bar["ends_on"] for bar in bars)) if bars else None


def _read(warehouse: psycopg.Connection, most: int, published: Answer, known: "_Earlier") -> Data:
    asked_at = one_value(warehouse, "select now()")
    answers = {"published": published, "calendar": _ask_first(warehouse, "calendar", {})}
    answers["channels"] = _ask_first(warehouse, "channels", {"most": most})
    bars, channels = answers["calendar"].rows or [], answers["channels"].rows or []
    last = max((bar["ends_on"] for bar in bars), default=date.min)
    slots = _borders(bars, last, "bar_starts_on", "bar_ends_on", "bar_before_starts_on", "bar_before_ends_on")
    windows = _borders(bars, last, "starts_on", "ends_on", "before_starts_on", "before_ends_on")
    given = {
        "most": most,
        "channels": [channel["channel"] for channel in channels if channel["is_named"]],
        "first": min(slots, default=last),
        "last": last,
        "slots": slots,
        "windows": windows,
        **_words(),
    }
    answers |= {name: _ask(warehouse, name, given, known) for name in OTHERS}
    return Data(asked_at, answers, slots, windows, most)


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


def _ask(warehouse: psycopg.Connection, name: str, given: dict[str, Any], known: "_Earlier") -> Answer:
    """What a query answers; no rows where its marts are not there."""
    try:
        with warehouse.transaction():
            return _answer(warehouse, name, given, known)
    except NOT_THERE:
        return Answer(*_query(name, given, warehouse), None)


def _ask_first(warehouse: psycopg.Connection, name: str, given: dict[str, Any]) -> Answer:
    """The same of a query without which there is no page."""
    try:
        return _answer(warehouse, name, given)
    except errors.LockNotAvailable:
        raise StorehouseError(_BUSY) from None
    except _NOT_PUBLISHED:
        raise StorehouseError(_NOTHING) from None


def _answer(warehouse: psycopg.Connection, name: str, given: dict[str, Any], known: "_Earlier | None" = None) -> Answer:
    definition, sql = _query(name, given, warehouse)
    if known and (kept := known.rows(name, sql)) is not None:
        return Answer(definition, sql, kept, is_kept=True)
    with psycopg.ClientCursor(warehouse, row_factory=dict_row) as cursor:
        rows = [
            {column: printable(value) if isinstance(value, str) else value for column, value in row.items()}
            for row in cursor.execute(as_sql(sql))
        ]
    return Answer(definition, sql, rows)


def _query(name: str, given: dict[str, Any], warehouse: psycopg.Connection) -> tuple[str, str]:
    """The words of the comment that a query begins with, and the query as it is run."""
    lines = (FOLDER / f"{name}.sql").read_text(encoding="utf-8").splitlines()
    said = [line.removeprefix("--").strip() for line in lines if line.startswith("--")]
    text = "\n".join(lines[len(said) :]) + "\n"
    return " ".join(said), psycopg.ClientCursor(warehouse).mogrify(as_sql(text), given)


@dataclass(frozen=True)
class _Earlier:
    """An earlier page's data, as its JSON has them; empty where there is none that this code has made."""

    data: Mapping[str, Any]
    groups: frozenset[str]  # of marts, that are still as they were

    @classmethod
    def of(cls, file: Path | None, published: Answer) -> "_Earlier":
        """What a page has.

        Args:
            file: the page's.
            published: what is published now.
        """
        try:
            found = _DATA.search(file.read_text(encoding="utf-8")) if file and file.is_file() else None
            data = json.loads(found[1]) if found else {}
        except (OSError, ValueError):
            data = {}
        if not isinstance(data, dict) or data.get("made_by") != _made_by():
            return cls({}, frozenset())
        builds = _builds(_unpacked(data["queries"]["published"]["columns"]))
        now = _builds(published.rows or [])
        return cls(data, frozenset(group for group, build in now.items() if builds.get(group) == build))

    @property
    def most(self) -> tuple[int, ...]:
        """How many names to try: the same rows would be as many bytes as they were."""
        return MOST[MOST.index(self.data["most"]) :] if {"shop", "feedback"} <= self.groups else MOST

    def rows(self, name: str, sql: str) -> list[dict[str, Any]] | None:
        """What the same query answered, of the same builds; None where it must be asked."""
        groups = OTHERS[name]
        if not groups or not self.groups.issuperset(groups) or self.data["queries"][name]["sql"] != sql:
            return None
        columns = self.data["queries"][name]["columns"]
        return None if columns is None else _unpacked(columns)


def _builds(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Of each group of marts, what names the rows that readers see."""
    return {row["group_name"]: _compact([row["changed_at"], row["code_version"]]) for row in rows if row["changed_at"]}


def _made_by() -> str:
    """Names this code: a page of another's is made anew."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def _columns(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: _packed([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def _packed(values: list[Any]) -> list[Any] | dict[str, list[Any]]:
    """What is shorter: the values, or pairs of a value and how often it comes in a row."""
    runs = list(chain.from_iterable((value, len(list(run))) for value, run in groupby(values)))
    return {"runs": runs} if len(_compact(runs)) < len(_compact(values)) else values


def _unpacked(columns: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of `_columns`; a date or a time is text."""
    values = [
        [value for value, times in zip(packed["runs"][::2], packed["runs"][1::2], strict=True) for _ in range(times)]
        if isinstance(packed, dict)
        else packed
        for packed in columns.values()
    ]
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]


def _compact(value: Any) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(type(value).__name__)
