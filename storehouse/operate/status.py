"""Can the data be trusted, what broke, since when, whom does it hurt, what to do: on one screen, and as one HTML page.

All figures are of one moment, of the views of `operations` alone, and asked for as the role that reports. The page
needs no network and runs no script: its plots are SVG that the template draws, in the colours of its own style.
"""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, LiteralString, NamedTuple

import psycopg
from markupsafe import Markup
from psycopg import errors
from psycopg.rows import dict_row

from storehouse.core import pages
from storehouse.core.databases import open_warehouse
from storehouse.core.errors import StorehouseError
from storehouse.core.queries import as_sql, one_value
from storehouse.core.settings import settings
from storehouse.core.shown import printable
from storehouse.operate import published

NAME = "status.html"
COLUMNS, LABEL = 100, 11  # of the screen, and of the words at its left
SHOWN = 3  # of what is amiss, worst first: the page has all
PATIENCE = 5  # seconds for each question: a build that makes a view anew waits as long
# A view is not there, a build has it for itself, or its server has too much to do.
NOT_NOW = (
    *(errors.UndefinedTable, errors.InvalidSchemaName, errors.LockNotAvailable, errors.QueryCanceled),
    errors.DataError,  # a value that it can't be computed with, or that Python does not know
)
# On Airflow a node that is tried alone is an invocation too.
_RECENT: LiteralString = """
    select invocation_id from operations.dbt_runs
    where started_at > now() - interval '28 days' order by started_at desc limit 28
"""
# By section of the page. What is first is worst.
QUERIES: dict[str, LiteralString] = {
    "published": """
        select group_name, position, run_id, code_version, published_at, held_back, held_back_at
        from operations.published_marts order by group_name
    """,
    "alerts": """
        select severity, kind, about, since, state, words, hurts, runbook, acknowledged_by, acknowledged_until
        from operations.alerts where state != 'resolved'
        order by state = 'acknowledged', severity, since, kind, about
    """,
    "ended": """
        select severity, kind, about, since, resolved_at, words from operations.alerts
        where state = 'resolved' and resolved_at > now() - interval '7 days'
        order by resolved_at desc, kind, about limit 20
    """,
    "failures": f"""
        with recent as ({_RECENT}),
        tests as (
            select distinct on (unique_id)
                name, 'test' as kind, status, failures, first_failed_at as since, is_flaky,
                coalesce(publish_group, group_name) as group_name,
                schema_name || '.' || relation_name as relation
            from operations.test_runs
            where invocation_id in (select invocation_id from recent) and status != 'skipped'
            order by unique_id, run_started_at desc
        ),
        models as (
            select
                *,
                max(run_started_at) filter (where status = 'success') over (partition by unique_id) as succeeded_at
            from operations.model_runs
            where invocation_id in (select invocation_id from recent) and status != 'skipped'
        )
        select * from (
            select * from tests where status != 'pass'
            union all
            select
                name, resource_type, (array_agg(status order by run_started_at desc))[1], null, min(run_started_at),
                false, group_name, null
            from models where run_started_at > coalesce(succeeded_at, '-infinity')
            group by unique_id, name, resource_type, group_name
        ) as failures
        order by status = 'warn', since, name
    """,
    "promises": """
        select group_name, objective, target, within_hours, achieved, error_budget_left, burn_rate, is_met, reason
        from operations.slo_status order by group_name desc, objective
    """,
    "sources": """
        select
            source || '.' || table_name as table_name, verdict, newest_change_at, last_loaded_at, hours_behind,
            warn_hours, hours_silent, error_hours
        from operations.source_freshness
        order by array_position(array['error', 'warn'], verdict), source, table_name
    """,
    "quality": """
        with days as (
            select
                *, source || '.' || table_name as name,
                row_number() over (partition by source, table_name order by day desc) as days_ago
            from operations.data_quality_daily where volume_verdict != 'incomplete'
        )
        select
            last.name as table_name, last.day, last.score, last.landed_rows, last.refused_rows, last.waiting_rows,
            last.volume_verdict, last.columns_out_of_line, last.freshness_verdict, history.*
        from days as last
        cross join lateral (
            select
                array_agg(day order by day) as days, array_agg(100 - score order by day) as lost,
                array_agg(landed_rows order by day) as landed, array_agg(refused_rows order by day) as refused
            from days where name = last.name and days_ago <= 28
        ) as history
        where last.days_ago = 1 order by last.score, last.name
    """,
    "refusals": """
        select
            source || '.' || table_name as table_name, code, error_type, words, refused_records, pending_records,
            first_refused_at, last_refused_at
        from operations.refusals_by_reason order by pending_records desc, refused_records desc, table_name, code
    """,
    "runs": """
        select pipeline, interval_until, run_id, state, broken_tasks, landed_rows, started_at, ended_at, seconds
        from operations.pipeline_runs order by ended_at desc limit 10
    """,
    "builds": """
        select command, started_by, status, started_at, seconds, nodes, failed, warned, skipped, code_version
        from operations.dbt_runs where started_at > now() - interval '28 days' order by started_at desc limit 28
    """,
    "slowest": f"""
        select
            name, group_name, array_agg(seconds::float8 order by run_started_at) as trend,
            array_agg(run_started_at order by run_started_at) as trend_at,
            (array_agg(seconds order by run_started_at desc))[1] as seconds,
            (array_agg(usual_seconds order by run_started_at desc))[1] as usual_seconds,
            (array_agg(times_usual order by run_started_at desc))[1] as times_usual,
            (array_agg(rows_affected order by run_started_at desc))[1] as rows_affected
        from operations.model_runs where status = 'success' and invocation_id in ({_RECENT})
        group by unique_id, name, group_name order by seconds desc, name limit 10
    """,
}


class Verdict(NamedTuple):
    """Whether the data can be trusted: `good`, `warning`, `bad` or `unknown`, and in words."""

    level: str
    words: str


@dataclass(frozen=True)
class Status:
    """When it was asked for, and rows by section: None where that could not be said."""

    asked_at: datetime
    found: dict[str, list[dict[str, Any]] | None]

    def __getitem__(self, section: str) -> list[dict[str, Any]]:
        """The rows of a section."""
        return self.found[section] or []

    @property
    def missing(self) -> list[str]:
        """The sections that could not be asked for."""
        return [section for section, rows in self.found.items() if rows is None]

    @property
    def groups(self) -> list[published.Group]:
        """What readers see, as `make published` knows it."""
        return [published.Group(*group.values()) for group in self["published"]]

    @property
    def open(self) -> list[dict[str, Any]]:
        """The alerts that nobody has acknowledged."""
        return [alert for alert in self["alerts"] if alert["state"] == "open"]

    @property
    def verdict(self) -> Verdict:
        """Of what readers see, the open alerts, and what failed when it last ran: nothing else decides."""
        if lacking := [section for section in ("published", "alerts", "failures") if self.found[section] is None]:
            return Verdict("unknown", f"Nobody can say: {' and '.join(lacking)} could not be asked for.")
        critical = sum(alert["severity"] == "critical" for alert in self.open)
        counts = {
            "critical alert": critical,
            "warning alert": len(self.open) - critical,
            "failed model or test": sum(row["status"] != "warn" for row in self["failures"]),
        }
        amiss = ", ".join(f"{count} {what}{'s' * (count > 1)}" for what, count in counts.items() if count)
        unseen = [group.name for group in self.groups if not group.published_at]
        waiting = [group.name for group in self.groups if group.held_back and group.published_at]
        if len(unseen) == len(self.groups):
            return Verdict("bad", f"There is none: nothing of {' and '.join(unseen) or 'any group'} is published yet.")
        if unseen:
            amiss = ", ".join(filter(None, [f"nothing of {' and '.join(unseen)} published yet", amiss]))
        if critical:
            return Verdict("bad", f"Not before you have looked: {amiss}.")
        if waiting:
            more = f", and {amiss}" if amiss else ""
            return Verdict("warning", f"Yes, but it is not of the last build: {' and '.join(waiting)} waits{more}.")
        if amiss:
            return Verdict("warning", f"Yes, with {amiss}.")
        return Verdict("good", "Yes: readers see the last build, its tests passed, and no alert is open.")


def main(file: Path) -> int:
    """Print the status and write it as a page too; the exit code is 0, whatever it is.

    Raises:
        StorehouseError: nothing was built yet, the warehouse is away, or the page can't be written.
    """
    status = read()
    print(*lines(status), sep="\n", flush=True)
    pages.write(file, page(status))
    print(f"{'page':<{LABEL}}{file.resolve()}")
    return 0


def read() -> Status:
    """Ask for all of it, as of one moment.

    Raises:
        StorehouseError: nothing was built yet, or the warehouse is away.
    """
    with open_warehouse("reporting") as warehouse, warehouse.speaking():
        warehouse.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        warehouse.read_only = True
        with warehouse.transaction():
            # Of two that wait for each other this gives up before PostgreSQL ends one, which might be a build.
            warehouse.execute(as_sql(f"set statement_timeout to '{PATIENCE}s'; set lock_timeout to '500ms'"))
            found = {section: _ask(warehouse, query) for section, query in QUERIES.items()}
            asked_at = one_value(warehouse, "select now()")
    if all(rows is None for rows in found.values()):
        raise StorehouseError("Nothing was built here yet, so there is nothing to tell: make run")
    return Status(asked_at, found)


def _ask(warehouse: psycopg.Connection, query: LiteralString) -> list[dict[str, Any]] | None:
    """The rows; None if that can't be said now."""
    try:
        with warehouse.transaction(), warehouse.cursor(row_factory=dict_row) as cursor:
            return [
                {name: printable(value) if isinstance(value, str) else value for name, value in row.items()}
                for row in cursor.execute(query)
            ]
    except NOT_NOW:
        return None


def lines(status: Status) -> Iterator[str]:
    """What a person reads in a terminal: one screen. Of what is amiss the first `SHOWN`, the worst."""
    yield f"{'status':<{LABEL}}{_at(status.asked_at)} UTC"
    yield from textwrap.wrap(f"{'trust':<{LABEL}}{status.verdict.words}", COLUMNS, subsequent_indent=" " * LABEL)
    for label, (section, said, rest) in _said(status).items():
        shown = ["not known: its view is in use, slow, or was not built yet"] if status.found[section] is None else said
        for n, line in enumerate(shown[:rest]):
            yield f"{'' if n else label:<{LABEL}}{textwrap.shorten(line, COLUMNS - LABEL, placeholder=' …')}"
        if len(shown) > rest:
            yield f"{'':<{LABEL}}and {len(shown) - rest} more: the page"


def page(status: Status) -> str:
    """The same and more, as one HTML page without network and script."""
    environment = pages.templates(Path(__file__).parent, finalize=lambda value: "-" if value is None else value)
    environment.filters |= {"at": _at, "time": _time, "hours": _hours, "share": _share, "plain": _plain}
    runbook = settings().runbook_url
    # A path is one in the project: the page may be anywhere.
    is_linked = runbook.startswith(("https://", "http://"))
    return environment.get_template(f"{NAME}.jinja").render(status=status, runbook=runbook, is_linked=is_linked)


def write(file: Path) -> Path:
    """Write the page as it is now, whole or not at all; returns the file.

    Raises:
        StorehouseError: as `read`, or it can't be written.
    """
    pages.write(file, page(read()))
    return file


def _said(status: Status) -> dict[str, tuple[str, list[str], int]]:
    """By label the section that it stands for, the lines of it, and how many of these are shown."""
    late = [row for row in status["sources"] if row["verdict"] in ("warn", "error")]
    pending = [row for row in status["refusals"] if row["pending_records"]]
    below = [f"{row['table_name']} {row['score']}" for row in status["quality"] if row["score"] < 100]
    slow = [f"{row['name']} {row['seconds']:.1f} s{_times(row['times_usual'])}" for row in status["slowest"]]
    return {
        "published": (
            "published",
            [line.removeprefix("published: ") for line in published.lines(status.groups)],
            2 * SHOWN,
        ),
        "alerts": ("alerts", _alert_lines(status.open) or ["none is open"], 3 * SHOWN + 1),
        "failures": (
            "failures",
            [
                f"{row['kind']} {row['name']}: {row['status']}{_rows(row['failures'])}, since {_at(row['since'])}"
                for row in status["failures"]
            ]
            or ["none"],
            SHOWN,
        ),
        "promises": (
            "promises",
            [
                f"{row['group_name']} {row['objective']}: {_share(row['achieved'])} of {_share(row['target'])}, budget "
                f"left {_share(row['error_budget_left'])}, burns {_plain(row['burn_rate'])}"
                f"{' - MISSED' if row['is_met'] is False else ''}"
                for row in status["promises"]
            ],
            2 * SHOWN,
        ),
        "sources": (
            "sources",
            [f"{row['table_name']}: {row['hours_behind']} h behind, of {row['warn_hours']}" for row in late]
            or [f"none of {len(status['sources'])} tables is late"],
            SHOWN,
        ),
        "quality": ("quality", [f"of 100, worst first: {', '.join(below)}" if below else "100 of 100"], 1),
        "refused": (
            "refusals",
            [f"{row['pending_records']:,} in {row['table_name']}: {row['words']}" for row in pending]
            or ["no record is pending"],
            SHOWN,
        ),
        "runs": (
            "runs",
            [
                f"{_at(row['ended_at'])}, {row['pipeline']}: {row['state']}{_broken(row['broken_tasks'])}, "
                f"{row['seconds']:,.0f} s, {row['landed_rows']:,} rows landed"
                for row in status["runs"][:SHOWN]
            ]
            or ["none is known"],
            SHOWN,
        ),
        "slowest": ("slowest", [", ".join(slow) or "no model is known"], 1),
    }


def _alert_lines(alerts: list[dict[str, Any]]) -> list[str]:
    lines = []
    for alert in alerts[:SHOWN]:
        since = f", since {_at(alert['since'])}" if alert["since"] else ""
        lines += [
            f"{alert['severity']}: {alert['kind'].replace('_', ' ')}, {alert['about']}{since}",
            f"hurts {alert['hurts'] or 'no reader that dbt knows of'}",
            f"{settings().runbook_url}{alert['runbook']}",
        ]
    return lines + ([f"and {len(alerts) - SHOWN} more: make alerts"] if len(alerts) > SHOWN else [])


def _at(time: date | None) -> str | None:
    """A time, without its zone: the sessions of the warehouse are in UTC. Or a day."""
    return f"{time:%Y-%m-%d %H:%M}" if isinstance(time, datetime) else time and f"{time}"


def _time(time: date | None) -> Markup | None:
    """The same for the page."""
    return Markup('<time datetime="{}">{}</time>').format(time.isoformat(), _at(time)) if time else None


def _share(share: Any) -> str | None:
    return None if share is None else f"{100 * share:.1f}".removesuffix(".0") + " %"


def _plain(number: Any) -> str:
    return "-" if number is None else f"{number:,}".removesuffix(".00")


def _hours(hours: int | None) -> str | None:
    return None if hours is None else f"{hours:,} h"


def _times(times: Any) -> str:
    return "" if times is None else f" ({times:.1f} of usual)"


def _rows(failures: int | None) -> str:
    return "" if failures is None else f", {failures:,} row{'s' * (failures != 1)}"


def _broken(tasks: str | None) -> str:
    return f" ({tasks})" if tasks else ""
