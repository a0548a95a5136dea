"""The sales report: five figures of the last whole week, what fell and what stands in quarantine, by mail or Slack.

Every figure is a metric of `models/semantic`. The last whole week is that of the published days, whatever the clock
says. A report is noted as sent after a service has taken it: one that is away gets it at the next run, and a sender
that is killed between the two sends it again.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import psycopg

from dashboard import data, page
from storehouse.core import pages
from storehouse.core.databases import Database, only_one, open_warehouse, reading
from storehouse.core.errors import StorehouseError
from storehouse.core.notify import deliver
from storehouse.core.queries import one_row, one_value
from storehouse.core.settings import settings
from storehouse.core.shown import printable, shown
from storehouse.operate import status

Every = Literal["day", "week", "month"]

# Of the senders, in the warehouse: one at a time.
LOCK = 0x7265706F7274  # "report"
METRICS: Sequence[str] = ("sales", "orders", "average_order_value", "customers", "refunds")
MONEY = ("sales", "average_order_value", "refunds")
# Orders of the period may still be refunded: fewer refunds than before are no good news yet.
STILL_GROWING = ("refunds",)
# What may have fallen: the metric, and what it is asked by, the last of which has the name.
FALLS = {
    "channel": ("sales", ["channel"]),
    "region": ("sales", ["region"]),
    "product": ("product_sales", ["product_id", "product_name"]),
}
BARS = 13
PICTURE = "sales.png"
QUARANTINE = """
    select source || '.' || table_name, words, pending_records
    from operations.refusals_by_reason
    where pending_records > 0
    order by pending_records desc, source, table_name, code
    limit 3
"""
OF_MARTS = "select reporting_time_zone, behind from operations.published_marts where group_name = 'shop'"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Period:
    """A day, a week that begins on Monday, or a month: its first day, and the day after its last."""

    every: Every
    starts_on: date
    ends_before: date

    @classmethod
    def of(cls, day: date, every: Every) -> "Period":
        """The period that contains a day."""
        match every:
            case "day":
                return cls(every, day, day + timedelta(days=1))
            case "week":
                monday = day - timedelta(days=day.weekday())
                return cls(every, monday, monday + timedelta(days=7))
            case "month":
                first = day.replace(day=1)
                return cls(every, first, (first + timedelta(days=31)).replace(day=1))

    @property
    def last_day(self) -> date:
        """The last day of it."""
        return self.ends_before - timedelta(days=1)

    @property
    def before(self) -> "Period":
        """The one before it."""
        return self.of(self.starts_on - timedelta(days=1), self.every)

    @property
    def year_before(self) -> "Period":
        """The same month a year before; of a day or week the one 52 weeks before: it has the same weekdays."""
        first = self.starts_on
        is_month = self.every == "month"
        return self.of(first.replace(year=first.year - 1) if is_month else first - timedelta(days=364), self.every)

    @property
    def name(self) -> str:
        """`week 10`, `March 2026`, `2026-03-11`."""
        match self.every:
            case "day":
                return f"{self.starts_on}"
            case "week":
                return f"week {self.starts_on.isocalendar().week}"
            case "month":
                return f"{self.starts_on:%B %Y}"

    @property
    def short_name(self) -> str:
        """Below its bar."""
        return {"day": f"{self.starts_on:%m-%d}", "week": self.name[5:], "month": f"{self.starts_on:%b}"}[self.every]

    @property
    def before_words(self) -> str:
        """With what it is compared first."""
        return f"the {self.every} before"

    @property
    def year_before_words(self) -> str:
        """With what it is compared then."""
        return "the same month a year before" if self.every == "month" else f"the {self.every} 52 weeks before"


@dataclass(frozen=True)
class Figure:
    """A metric of the period, of the one before, and of a year before; None where there are no whole days of that."""

    name: str
    label: str
    value: Any
    before: Any
    year_before: Any

    @property
    def title(self) -> str:
        """What it is."""
        return f"{self.label} so far" if self.name in STILL_GROWING else self.label

    def amount(self, value: Any) -> str:
        """In words."""
        if value is None:
            return "none"
        if self.name not in MONEY:
            return f"{value:,}"
        return dollars(value, is_exact=self.name == "average_order_value")

    def change(self, other: Any, words: str) -> str:
        """Against another period: `4 % less than the week before ($640,000)`."""
        if other is None:
            return f"nothing is known of {words}"
        if self.value is None:
            return f"it was {self.amount(other)} {words}"
        return f"{changed(self.value, other, words)} ({self.amount(other)})"

    def is_good(self, other: Any) -> bool | None:
        """Whether the change is; None where there is none, or where nobody can say yet."""
        if other is None or self.value is None or self.value == other or self.name in STILL_GROWING:
            return None
        return self.value > other


@dataclass(frozen=True)
class Fall:
    """What fell most of one kind, such as the channels; without a name if none did."""

    kind: str
    name: str | None
    value: Decimal
    before: Decimal

    @property
    def words(self) -> str:
        """As a line of the report."""
        if self.name is None:
            return f"No {self.kind} fell."
        fell = f"{dollars(self.before - self.value)} less: {dollars(self.value)} after {dollars(self.before)}"
        return f"{self.kind.capitalize()} {printable(self.name)}: {fell}"


@dataclass(frozen=True)
class Reason:
    """For which records of a table stand in quarantine; one that has several counts for each."""

    table: str
    reason: str
    records: int

    @property
    def words(self) -> str:
        """As a line of the report."""
        return printable(f"{self.reason.rstrip('.')}: {self.records:,} pending in {self.table}")


@dataclass(frozen=True)
class Report:
    """What is told of a period and its time zone, of one moment; and the periods of the picture, with their sales."""

    period: Period
    zone: str
    figures: list[Figure]
    falls: list[Fall]
    quarantine: list[Reason]
    behind: str | None
    bars: list[tuple[Period, Decimal, Decimal | None]]

    @property
    def title(self) -> str:
        """The news: the subject of the mail."""
        sales = self.figures[0]
        news = f"Sales of {self.period.name}: {in_short(sales.value)}"
        if sales.before is None:
            return news
        return f"{news}, {changed(sales.value, sales.before, self.period.before_words)}"

    @property
    def knows_a_year_before(self) -> bool:
        """Whether the year before can be told of."""
        return any(figure.year_before is not None for figure in self.figures)

    @property
    def log_name(self) -> str:
        """What the log calls it: its title has a figure."""
        return f"sales report of {self.period.name}"

    @property
    def command(self) -> str:
        """What prints the figures again."""
        period = self.period
        asked = f"NAME={','.join(METRICS)} BY={period.every}"
        return f"make metric {asked} FROM={period.starts_on} UNTIL={period.ends_before}"

    @property
    def html(self) -> str:
        """The mail."""
        template = pages.templates(Path(__file__).parent).get_template("sales_report.html.jinja")
        return template.render(report=self, links=links())

    @property
    def picture(self) -> bytes:
        """The sales chart, as PNG."""
        from storehouse.operate.sales_chart import Bar, draw

        bars = [Bar(each.short_name, in_short(value), value, before) for each, value, before in self.bars]
        return draw(self.title, bars)


def links() -> dict[str, str]:
    """Where a reader of a mail finds more, by what it is."""
    known = {}
    place = shown(settings().docs_url or "").rstrip("/")
    if place.startswith(("https://", "http://")):
        known = {
            "Dashboard": f"{place}/{page.NAME}",
            "Status of the data": f"{place}/{status.NAME}",
            "What each column means": f"{place}/index.html",
        }
    return (known or {"Dashboard and status": "make dashboard, make status"}) | {"Runbook": settings().runbook_url}


def changed(value: Any, other: Any, words: str) -> str:
    """What became of a figure: `4 % less than the week before`."""
    if value == other:
        return f"as in {words}"
    if not other:
        return f"{words} had none"
    if not (percent := round(100 * (value - other) / abs(other))):
        return f"about as in {words}"
    return f"{abs(percent):,} % {'more' if percent > 0 else 'less'} than {words}"


def dollars(amount: Decimal, *, is_exact: bool = False) -> str:
    """An amount: `$612,345`, exact `$84.20`."""
    return f"{'-' if amount < 0 else ''}${abs(amount):,.{2 if is_exact else 0}f}"


def in_short(amount: Decimal) -> str:
    """An amount in a few characters: `$1.2M`, `$612K`, `$940`."""
    size = abs(amount)
    if size >= 999_500:
        return f"{'-' if amount < 0 else ''}${size / 1_000_000:,.1f}M"
    if size >= 9_999.5:
        return f"{'-' if amount < 0 else ''}${size / 1000:,.0f}K"
    return f"{'-' if amount < 0 else ''}${size:,.0f}"


def last_whole(readers: psycopg.Connection, every: Every) -> tuple[Period | None, tuple[date, date] | None]:
    """The last period of which every day is published and whole, or None; and the whole days that there are.

    Args:
        readers: within `reading`.
        every: how long it is.

    Raises:
        StorehouseError: nothing is published yet.
    """
    days = data.whole_days(readers)
    if days is None:
        return None, None
    period = Period.of(days[1] + timedelta(days=1), every).before
    return (period if period.starts_on >= days[0] else None), days


def read(readers: psycopg.Connection, period: Period, first_day: date) -> Report:
    """What there is to tell of a period.

    Args:
        readers: within `reading`.
        period: whole.
        first_day: of the published sales: what begins before it is compared with nothing.

    Raises:
        StorehouseError: dbt has parsed nothing here.
    """
    from storehouse.core import semantics

    engine = semantics.engine()

    def ask(names: Sequence[str], by: Sequence[str], since: date, until: date) -> list[tuple[Any, ...]]:
        return semantics.answer(semantics.sql(engine, names, [period.every, *by], since, until), readers).rows

    periods = [period]
    while len(periods) < BARS and periods[0].before.starts_on >= first_day:
        periods.insert(0, periods[0].before)
    years_before = [each.year_before for each in periods]
    rows = ask(METRICS, [], periods[0].starts_on, period.ends_before)
    if period.year_before.starts_on >= first_day:
        rows += ask(METRICS, [], years_before[0].starts_on, years_before[-1].ends_before)
    found = {day: dict(zip(METRICS, figures, strict=True)) for day, *figures in rows}

    def figure(of: Period, name: str) -> Any:
        """None of days that are not known; a period in which nothing happened has no row."""
        if of.starts_on < first_day:
            return None
        return found.get(of.starts_on, {}).get(name) or (None if name == "average_order_value" else Decimal(0))

    labels = {metric.name: metric.label for metric in engine.list_metrics(include_dimensions=False)}
    figures = [
        Figure(
            name,
            labels[name] or name,
            figure(period, name),
            figure(period.before, name),
            figure(period.year_before, name),
        )
        for name in METRICS
    ]
    falls = []
    if period.before.starts_on >= first_day:
        for kind, (metric, by) in FALLS.items():
            falls.append(_fall(kind, ask([metric], by, period.before.starts_on, period.ends_before), period))
    bars = [
        (each, figure(each, "sales"), figure(before, "sales"))
        for each, before in zip(periods, years_before, strict=True)
    ]
    quarantine = [Reason(*row) for row in readers.execute(QUARANTINE)]
    zone, behind = one_row(readers, OF_MARTS)
    return Report(period, zone, figures, falls, quarantine, behind, bars)


def _fall(kind: str, rows: list[tuple[Any, ...]], period: Period) -> Fall:
    """Of rows of both periods, each with the first day, what it is, and its amount."""
    sums: dict[tuple[Any, ...], list[Decimal]] = {}
    for day, *of, amount in rows:
        sums.setdefault(tuple(of), [Decimal(0), Decimal(0)])[day == period.starts_on] = amount or Decimal(0)
    falls = [Fall(kind, str(of[-1] or of[0] or "unknown"), value, before) for of, (before, value) in sums.items()]
    most = max(falls, key=lambda fall: (fall.before - fall.value, fall.name), default=None)
    return most if most and most.value < most.before else Fall(kind, None, Decimal(0), Decimal(0))


def send() -> tuple[Report | None, list[str], list[str]]:
    """Send the report of the last whole period to each place of `REPORT_URL` that has not had it.

    Of two senders at once the second waits for the first, and finds nothing left to send.

    Returns:
        The report, if there was any to send; the routes that took it; and those at which nobody answered: they get it
        the next time.

    Raises:
        StorehouseError: the warehouse is away, or nothing is published or built yet.
    """
    urls = (settings().report_url or "").split()
    routes = {f"REPORT_URL {number}": url for number, url in enumerate(urls, 1)}
    with only_one("transform", LOCK, "the sales report"), open_warehouse("transform") as log, log.speaking():
        if one_value(log, "select to_regclass('operations.report_log') is null"):
            raise StorehouseError("operations.report_log is not there yet. Build it: make run, or dbt build.")
        with reading() as readers:
            period, days = last_whole(readers, settings().report_every)
            due = _due(log, period, routes) if period else {}
            if not (period and days and due):
                return None, [], []
            report = read(readers, period, days[0])
        html, pictures = report.html, {PICTURE: report.picture}
        sent = []
        for route, url in due.items():
            if deliver([url], report.title, [html], is_html=True, pictures=pictures, log_name=report.log_name):
                log.execute(
                    "insert into operations.report_log (every, starts_on, route) values (%s, %s, %s)",
                    [period.every, period.starts_on, route],
                )
                sent.append(route)
    return report, sent, [route for route in due if route not in sent]


def _due(log: Database, period: Period, routes: dict[str, str]) -> dict[str, str]:
    """The routes that have not had the report of the period, or a later one."""
    had = log.execute(
        "select distinct route from operations.report_log where every = %s and starts_on >= %s",
        [period.every, period.starts_on],
    ).fetchall()
    return {route: url for route, url in routes.items() if (route,) not in had}


def try_to_send() -> None:
    """At the end of a run: as `send`, but whatever goes wrong is logged and fails nothing."""
    try:
        send()
    except Exception as error:
        # Of one that nobody expected not its words: they may quote a row.
        said = error if isinstance(error, StorehouseError) else type(error).__name__
        where = "docs/runbook.md#the-sales-report-was-not-sent"
        logger.warning("The sales report was not sent; the next run sends it. %s (%s)", said, where)


def main(*, is_sent: bool) -> int:
    """Print the report of the last whole period; with `is_sent` send it first: the exit code is 1 if a route is silent.

    Raises:
        StorehouseError: nothing is published yet, or there is nowhere to send it to.
    """
    if is_sent and not settings().report_url:
        raise StorehouseError(
            "REPORT_URL is not set, so there is nowhere to send the report to. Set it as Apprise reads it, such as "
            "mailtos://user:password@example.com?to=sales@example.com (docs/report.md)."
        )
    report, sent, silent = send() if is_sent else (None, [], [])
    every = settings().report_every
    if report is None:
        with reading() as readers:
            period, days = last_whole(readers, every)
            if period and days:
                report = read(readers, period, days[0])
    if report is None:
        known = f" Whole days are there from {days[0]} to {days[1]}." if days else ""
        print(f"No whole {every} is published yet.{known}")
        return 0
    import apprise.conversion

    print(report.title, apprise.conversion.html_to_text(report.html), sep="\n\n")
    for route in sent:
        print(f"{route}: sent")
    for route in silent:
        print(f"{route}: no service took the report. It is sent the next time.")
    if is_sent and not (sent or silent):
        print(f"Not sent again: REPORT_URL has had the report of {report.period.name}.")
    return 1 if silent else 0
