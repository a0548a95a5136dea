"""What the pipeline knows of itself, as Prometheus reads it: over HTTP, or pushed once to a gateway.

All figures are asked for when they are read, of `operations` and as the role that reports: nothing is kept here. Where
the warehouse can't be asked, `storehouse_up` is 0 and it has no other figure: old ones would look like good ones.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import LiteralString, NamedTuple

import httpx
from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg import errors

from storehouse.core.databases import Advice, open_warehouse
from storehouse.core.errors import StorehouseError
from storehouse.core.queries import as_sql
from storehouse.core.settings import settings
from storehouse.core.shown import shown

HEALTH = "api/v2/monitor/health"  # of Airflow's API; asks for no user
# Seconds for the answer to each question; to one of Airflow, without which the rest is worth having.
PATIENCE, AIRFLOWS = 10, 3
COMPONENTS = ("dag_processor", "metadatabase", "scheduler", "triggerer")
SLOW: Advice = {
    errors.QueryCanceled: f"A query of its own tables took longer than {PATIENCE} s: look what else it is doing"
}

logger = logging.getLogger(__name__)


class Figures(NamedTuple):
    """A query, whose last columns are these metrics: kind, name and what it says; those before are their labels."""

    query: LiteralString
    labels: list[str]
    metrics: list[tuple[type[CounterMetricFamily | GaugeMetricFamily], str, str]]


FIGURES = [
    Figures(
        "select source, table_name, sum(landed_rows), sum(refused_rows), extract(epoch from max(finished_at)) "
        "from operations.pipeline_loads group by source, table_name",
        ["source", "table"],
        [
            (CounterMetricFamily, "storehouse_landed_rows", "Rows that were landed, of all loads."),
            (CounterMetricFamily, "storehouse_refused_rows", "Rows that were refused, of all loads."),
            (GaugeMetricFamily, "storehouse_last_load_timestamp_seconds", "When the last load of the table ended."),
        ],
    ),
    Figures(
        "select distinct on (source, table_name) source, table_name, score from operations.data_quality_daily "
        "where volume_verdict not in ('incomplete', 'not_judged') order by source, table_name, day desc",
        ["source", "table"],
        [(GaugeMetricFamily, "storehouse_quality_score", "Of the table's last complete day, of 100.")],
    ),
    Figures(
        "select source, table_name, hours_behind, warn_hours, hours_silent, error_hours "
        "from operations.source_freshness where error_hours is not null",
        ["source", "table"],
        [
            (
                GaugeMetricFamily,
                "storehouse_behind_hours",
                "For how long the table has had nothing new, and others had.",
            ),
            (GaugeMetricFamily, "storehouse_behind_limit_hours", "After how many hours of that a test warns."),
            (GaugeMetricFamily, "storehouse_silent_hours", "For how long it was read without anything new."),
            (GaugeMetricFamily, "storehouse_silent_limit_hours", "After how many hours of that the run fails."),
        ],
    ),
    Figures(
        "select group_name, position, extract(epoch from published_at), held_back is not null "
        "from operations.published_marts",
        ["group"],
        [
            (GaugeMetricFamily, "storehouse_published_position", "Up to which load readers know their sources."),
            (
                GaugeMetricFamily,
                "storehouse_published_timestamp_seconds",
                "When the marts were published or confirmed.",
            ),
            (GaugeMetricFamily, "storehouse_held_back", "1 while the last build of the group is not published."),
        ],
    ),
    Figures(
        "select unnest(array['warning', 'critical']), unnest(array[count(*) filter (where severity = 'warning'), "
        "count(*) filter (where severity = 'critical')]) from operations.alerts where state = 'open'",
        ["severity"],
        [(GaugeMetricFamily, "storehouse_open_alerts", "Alerts of the warehouse that are open and not acknowledged.")],
    ),
    Figures(
        "select group_name, objective, error_budget_left, burn_rate from operations.slo_status",
        ["group", "objective"],
        [
            (
                GaugeMetricFamily,
                "storehouse_error_budget_left",
                "Of 28 days: 1 is all, below 0 the target is missed.",
            ),
            (
                GaugeMetricFamily,
                "storehouse_burn_rate",
                "Of the last 3 days: at 1 the budget lasts 28 days.",
            ),
        ],
    ),
]


class Warehouse(Collector):
    """The warehouse's figures, and Airflow's health if `AIRFLOW_URL` is set; asked by one reader at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now."""
        with self._lock:
            try:
                found, is_up = list(_of_the_warehouse()), 1
            except StorehouseError as error:
                logger.warning("the warehouse can't be asked: %s", error)
                found, is_up = [], 0
            yield GaugeMetricFamily("storehouse_up", "1 if the warehouse could be asked.", value=is_up)
            yield from found
            if url := settings().airflow_url:
                yield _of_airflow(url)


def registry() -> CollectorRegistry:
    """A registry of these figures alone."""
    made = CollectorRegistry()
    made.register(Warehouse())
    return made


def text() -> str:
    """All figures in Prometheus' text format."""
    return exposition.generate_latest(registry()).decode()


def serve(port: int, host: str) -> None:
    """Answer Prometheus at `/metrics`, until interrupted.

    Raises:
        StorehouseError: the port can't be listened at.
    """
    # A setting that is wrong is said now, and not with every scrape.
    settings().warehouse_conninfo("reporting")
    try:
        server, thread = exposition.start_http_server(port, host, registry())
    except (OSError, OverflowError, UnicodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "that is no port, or no address"
        raise StorehouseError(f"{host}:{port} can't be listened at: {said}. Another one: PORT=") from None
    place = f"http://{host}:{server.server_port}/metrics"
    print(f"Metrics for Prometheus: {place} (docs/monitoring.md); Ctrl-C ends it", flush=True)
    try:
        thread.join()
    finally:
        server.shutdown()


def push() -> str:
    """Replace what the Pushgateway at `PUSHGATEWAY_URL` has of us by what is now; returns its URL for people.

    Raises:
        StorehouseError: it is not set, or did not take it.
    """
    url = settings().pushgateway_url
    if not url:
        raise StorehouseError("PUSHGATEWAY_URL is not set: where to push, such as http://pushgateway:9091")
    place, headers = f"{url.rstrip('/')}/metrics/job/storehouse", {"Content-Type": exposition.CONTENT_TYPE_LATEST}
    content = text()
    try:
        _answer(PATIENCE, lambda: httpx.put(place, content=content, headers=headers, timeout=PATIENCE))
    except Exception as error:
        said = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else type(error).__name__
        # What the error itself says may quote the URL.
        raise StorehouseError(
            f"the Pushgateway at {shown(url)} did not take the metrics: {said}. Check PUSHGATEWAY_URL."
        ) from None
    return shown(url)


def try_to_push() -> None:
    """At the end of a run: the same to `PUSHGATEWAY_URL`. What goes wrong is logged, and fails no run."""
    try:
        push()
    except Exception as error:
        # Of an error that nobody expected not its words: they may quote anything.
        logger.warning("%s", error if isinstance(error, StorehouseError) else f"no metrics: {type(error).__name__}")


def _answer(seconds: float, ask: Callable[[], httpx.Response]) -> httpx.Response:
    """A good answer that has come within so many seconds, however it drips: httpx limits each piece."""
    answer: Future[httpx.Response] = Future()

    def work() -> None:
        try:
            answer.set_result(ask().raise_for_status())
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return answer.result(seconds)


def _of_the_warehouse() -> Iterator[Metric]:
    with open_warehouse("reporting") as warehouse, warehouse.speaking(SLOW):
        # A build that wants a view for itself is not kept waiting: it would be the one that ends in a deadlock.
        warehouse.execute(as_sql(f"set statement_timeout to '{PATIENCE}s'; set lock_timeout to '500ms'"))
        for figures in FIGURES:
            try:
                rows = warehouse.execute(figures.query).fetchall()
            except (errors.UndefinedTable, errors.LockNotAvailable, errors.DataError) as error:
                # It was not built yet, is being built anew, or can't count what it finds: the others can.
                logger.warning("left out: %s (%s)", figures.metrics[0][1], type(error).__name__)
                continue
            families = [kind(name, says, labels=figures.labels) for kind, name, says in figures.metrics]
            for row in rows:
                labels = [str(label) for label in row[: len(figures.labels)]]
                for family, value in zip(families, row[len(figures.labels) :], strict=True):
                    if value is not None:
                        family.add_metric(labels, float(value))
            yield from families


def _of_airflow(url: str) -> Metric:
    """Health as Airflow's API tells it. Where that does not answer, its own is 0 and nothing is known of the others."""
    family = GaugeMetricFamily("storehouse_airflow_healthy", "1 if it is.", labels=["component"])
    try:
        place = f"{url.rstrip('/')}/{HEALTH}"
        told = _answer(AIRFLOWS, lambda: httpx.get(place, timeout=AIRFLOWS)).json()
        states = {name: told[name]["status"] for name in COMPONENTS if told.get(name)}
        states = {name: state for name, state in states.items() if state}
    except Exception as error:
        logger.warning("Airflow's API at %s can't be asked: %s", shown(url), type(error).__name__)
        states = {"api": "away"}
    else:
        states["api"] = "healthy"
    for component, state in sorted(states.items()):
        family.add_metric([component], float(state == "healthy"))
    return family
