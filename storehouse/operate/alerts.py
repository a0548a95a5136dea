"""Alerts: what is open (`operations.alerts`), and telling people once when one opens and once when it ends.

What is an alert is SQL (models/operations); here it is noted, sent and marked as sent. It is marked after a service has
taken its notice. So a service that is away is told the next time, and a sender that is killed between the two tells
that message again: at least once, and twice only then.
"""

import logging
from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

import psycopg
from psycopg.rows import class_row

from storehouse.core.databases import Database, only_one, open_warehouse
from storehouse.core.errors import StorehouseError
from storehouse.core.notify import deliver
from storehouse.core.queries import one_value
from storehouse.core.settings import settings
from storehouse.core.shown import printable

# Of the senders, in the warehouse: one at a time.
LOCK = 0x616C657274  # "alert"
# A message of more is read by nobody: `make alerts` has them all.
AT_MOST = 20
DEFAULT_ROUTE, CRITICAL_ROUTE = "NOTIFY_URL", "NOTIFY_CRITICAL_URL"

# Conditions that nobody knew of yet open; those that are no more have ended.
NOTE = """
    insert into operations.alert_log (alert_id, event, kind, about, severity, group_name, since, words)
    select
        coalesce(alert_id, nextval('operations.alert_log_alert_id_seq')),
        case when alert_id is null then 'opened' else 'resolved' end,
        kind, about, severity, group_name, since, words
    from operations.alerts
    where alert_id is null or (state = 'resolved' and resolved_at is null)
"""
READ = """
    select
        alert_id, kind, severity, about, group_name, since, state, words, hurts, runbook,
        acknowledged_by, acknowledged_until,
        array(
            select route from operations.alert_log as log
            where log.alert_id = alerts.alert_id and event = 'told' and log.severity in (alerts.severity, 'critical')
        ) as told,
        array(select route from operations.alert_log as log where log.alert_id = alerts.alert_id and event = 'told')
            as told_any,
        array(
            select route from operations.alert_log as log
            where log.alert_id = alerts.alert_id and event = 'told_resolved'
        ) as told_end
    from operations.alerts
    where state != 'resolved' or alert_id in (
        select alert_id from (
            select alert_id, route from operations.alert_log where event = 'told'
            except select alert_id, route from operations.alert_log where event = 'told_resolved'
        ) as untold
    )
    order by severity, kind, about
"""
MARK = """
    insert into operations.alert_log (alert_id, event, kind, about, severity, group_name, words, route)
    values (%s, %s, %s, %s, %s, %s, %s, %s)
"""

logger = logging.getLogger(__name__)


class Alert(NamedTuple):
    """A row of `operations.alerts`, and the routes that were told of it at this severity, at any, and of its end."""

    alert_id: int | None
    kind: str
    severity: str
    about: str
    group_name: str
    since: datetime | None
    state: str
    words: str
    hurts: str | None
    runbook: str
    acknowledged_by: str | None
    acknowledged_until: date | None
    told: list[str]
    told_any: list[str]
    told_end: list[str]

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        state = "ended" if self.state == "resolved" else self.severity
        return printable(f"{state}: {self.kind.replace('_', ' ')}, {self.about}")

    @property
    def lines(self) -> list[str]:
        """What a person reads of it."""
        said = [self.title, f"  {printable(self.words)}"]
        if self.state == "resolved":
            return [said[0], f"  It was: {printable(self.words)}"]
        since = f"Since {self.since:%Y-%m-%d %H:%M} UTC. " if self.since else ""
        said.append(f"  {since}Hurts: {self.hurts or 'no reader that dbt knows of'}.")
        if self.acknowledged_by:
            said.append(printable(f"  Acknowledged by {self.acknowledged_by} until {self.acknowledged_until}."))
        return [*said, f"  Runbook: {settings().runbook_url}{self.runbook}"]


def show() -> int:
    """Print what is open, in words. The exit code is 0, whatever that is."""
    with open_warehouse("transform") as warehouse, warehouse.speaking():
        alerts = [alert for alert in _read(warehouse) if alert.state != "resolved"]
    for alert in alerts:
        print(*alert.lines, sep="\n")
    print("No alert is open." if not alerts else f"Open alerts: {len(alerts)}")
    return 0


def send(default: Sequence[str] = ()) -> list[str]:
    """Note what has opened and ended since the last time, and tell each route what it was not told yet, in one message.

    Of two senders at once the second waits for the first, and finds nothing left to tell.

    Args:
        default: where notices go while `NOTIFY_URL` is not set.

    Returns:
        The routes that nobody answered at: they are told the next time.

    Raises:
        StorehouseError: the warehouse is away, or was not built yet.
    """
    silent = []
    with only_one("transform", LOCK, "the alerts"), open_warehouse("transform") as warehouse, warehouse.speaking():
        # One moment for both. What opens between them all the same, such as WAL that grows, is told the next time.
        warehouse.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with warehouse.transaction():
            _check(warehouse)
            warehouse.execute(NOTE)
            known = [alert for alert in _read(warehouse) if alert.alert_id]
        for route, alerts in _due(known, default).items():
            if deliver(_urls(route, default), _title(alerts), _body(alerts)):
                _mark(warehouse, route, alerts)
            else:
                silent.append(route)
    return silent


def try_to_send(default: Sequence[str] = ()) -> None:
    """At the end of a run: as `send`, but whatever goes wrong is logged and fails nothing."""
    try:
        send(default)
    except (StorehouseError, psycopg.Error) as error:
        logger.warning("Alerts were not sent; the next run sends them. %s", error)
    except Exception as error:
        # Without its words: they may quote a row.
        logger.warning("Alerts were not sent; the next run sends them (%s)", type(error).__name__)


def main(*, is_sent: bool) -> int:
    """Print what is open; with `is_sent` send it first: the exit code is 1 if a route did not answer."""
    silent = send() if is_sent else []
    show()
    for route in silent:
        print(f"{route}: no service took the notice. It is sent the next time.")
    return 1 if silent else 0


def _read(warehouse: Database) -> list[Alert]:
    _check(warehouse)
    with warehouse.cursor(row_factory=class_row(Alert)) as cursor:
        return cursor.execute(READ).fetchall()


def _check(warehouse: Database) -> None:
    if one_value(warehouse, "select to_regclass('operations.alerts') is null"):
        raise StorehouseError("operations.alerts is not there yet. Build it: make run, or dbt build --select +alerts.")


def _due(alerts: Sequence[Alert], default: Sequence[str]) -> dict[str, list[Alert]]:
    """By route, what it was not told yet. What is acknowledged opens for nobody; its end is told to who knew of it."""
    due: dict[str, list[Alert]] = {}
    for alert in alerts:
        if alert.state == "resolved":
            routes = set(alert.told_any) - set(alert.told_end)
        else:
            routes = set(_routes(alert)) - set(alert.told) if alert.state == "open" else set()
        for route in routes:
            if _urls(route, default):
                due.setdefault(route, []).append(alert)
    return due


def _routes(alert: Alert) -> list[str]:
    """The variables that say where it is told: its group's or the default, and the critical ones' besides."""
    of_group = f"NOTIFY_{alert.group_name.upper()}_URL"
    route = of_group if settings().given(of_group) else DEFAULT_ROUTE
    return [route, CRITICAL_ROUTE] if alert.severity == "critical" else [route]


def _urls(route: str, default: Sequence[str]) -> Sequence[str]:
    return (settings().given(route) or "").split() or (default if route == DEFAULT_ROUTE else [])


def _title(alerts: Sequence[Alert]) -> str:
    if len(alerts) == 1:
        return alerts[0].title
    counts = {
        "critical": sum(alert.state != "resolved" and alert.severity == "critical" for alert in alerts),
        "warning": sum(alert.state != "resolved" and alert.severity == "warning" for alert in alerts),
        "ended": sum(alert.state == "resolved" for alert in alerts),
    }
    return "Alerts: " + ", ".join(f"{number} {word}" for word, number in counts.items() if number)


def _body(alerts: Sequence[Alert]) -> list[str]:
    if len(alerts) == 1:
        return alerts[0].lines[1:]
    lines = [line for alert in alerts[:AT_MOST] for line in alert.lines]
    return lines + ([f"And {len(alerts) - AT_MOST} more: make alerts"] if len(alerts) > AT_MOST else [])


def _mark(warehouse: Database, route: str, alerts: Sequence[Alert]) -> None:
    with warehouse.transaction(), warehouse.cursor() as cursor:
        cursor.executemany(
            MARK,
            [
                (
                    alert.alert_id,
                    "told_resolved" if alert.state == "resolved" else "told",
                    *(alert.kind, alert.about, alert.severity, alert.group_name, alert.words, route),
                )
                for alert in alerts
            ],
        )
