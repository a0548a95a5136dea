"""Asking for metrics at a terminal: a table, a CSV file, or the SQL."""

import csv
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from storehouse.core import semantics
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import settings
from storehouse.core.shown import as_text, printable
from storehouse.laptop import local


def main(
    names: Sequence[str],
    by: Sequence[str],
    since: date | None,
    until: date | None,
    csv_file: Path | None = None,
    *,
    is_sql: bool = False,
) -> int:
    """Answer a question and print it; without a name, the metrics that there are.

    Args:
        names: of metrics, or of one saved query.
        by: the dimensions.
        since: the first day.
        until: the day after the last.
        csv_file: write it there instead, `-` for the standard output.
        is_sql: print the query, and don't run it.

    Raises:
        StorehouseError: a name or a day that there is not; nothing is published yet; the file can't be written.
    """
    metrics = semantics.engine()
    if not names:
        print("\n".join(_listed(metrics)))
        return 0
    query = semantics.sql(metrics, names, by, since, until)
    if is_sql:
        print(query)
        return 0
    if settings().is_embedded and not settings().server.is_running:
        local.start()
    answer = semantics.answer(query)
    if csv_file is None:
        print("\n".join(_table(answer)))
    elif str(csv_file) == "-":
        _write(answer, sys.stdout)
    else:
        try:
            with csv_file.open("w", newline="", encoding="utf-8") as file:
                _write(answer, file)
        except OSError as error:
            raise StorehouseError(f"{csv_file} can't be written: {error.strerror}") from None
        print(f"{len(answer.rows):,} rows are in {csv_file}")
    return 0


def _listed(metrics: semantics.MetricFlowEngine) -> Iterator[str]:
    """Each metric and what it means, below the dimensions that it can be asked by, and the saved queries."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for metric in metrics.list_metrics(include_dimensions=False):
        dimensions = tuple(semantics.short_dimensions(metrics, [metric.name]))
        groups.setdefault(dimensions, []).append(f"  {metric.name}: {metric.description}")
    for dimensions, lines in groups.items():
        yield f"by {', '.join(dimensions)}"
        yield from lines
    yield "saved queries, with dimensions of their own"
    for query in metrics.list_saved_queries():
        yield f"  {query.name}: {query.description}"


def _write(answer: semantics.Answer, file: TextIO) -> None:
    """As CSV: what is missing is empty."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows([as_text(value) for value in row] for row in answer.rows)


def _table(answer: semantics.Answer) -> Iterator[str]:
    """For people: numbers to the right, with commas."""
    cells = [answer.columns, *([_cell(value) for value in row] for row in answer.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [any(isinstance(row[n], int | Decimal) for row in answer.rows) for n in range(len(widths))]
    for row in cells:
        yield "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()


def _cell(value: Any) -> str:
    """A value in a table."""
    if value is None:
        return ""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return f"{value:,}"
    return printable(str(value))
