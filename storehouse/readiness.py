"""Waiting for a source: one check each, and the operator that repeats it without holding a worker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import fsspec
import httpx
import psycopg
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.triggers.base import BaseTrigger, TriggerEvent
from psycopg import sql

from storehouse.errors import StorehouseError
from storehouse.settings import settings

ANSWER_WITHIN = 10  # seconds
MINUTE = timedelta(minutes=1)


def why_not_ready(source: str, until: datetime | None, from_: datetime | None = None) -> str | None:
    """What the source still lacks before it can be read up to `until`, in words; None when it is ready.

    Args:
        source: `shop`, `marketplace`, `reviews` or `stores`.
        until: the end of the interval to land; None asks only whether the source answers.
        from_: its beginning; with it the shop must have changed orders in the interval.
    """
    try:
        return CHECKS[source](until, from_)
    except StorehouseError as error:
        return str(error)
    except (psycopg.Error, httpx.HTTPError, OSError) as error:
        return f"{type(error).__name__}: {error}"


def _shop(until: datetime | None, from_: datetime | None) -> str | None:
    with psycopg.connect(settings().shop_conninfo(), connect_timeout=ANSWER_WITHIN) as connection:
        if not (until and from_ and from_ < until):
            return None
        orders = sql.Identifier(settings().shop_schema, "orders")
        # As extract-load reads them: a time without zone is UTC.
        connection.execute("set timezone to 'UTC'")
        changed = sql.SQL("select exists (select from {} where updated_at >= %s and updated_at < %s)").format(orders)
        if connection.execute(changed, [from_, until]).fetchone()[0]:
            return None
    return f"the shop has no order that changed from {from_:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}"


def _api(url: str) -> str | None:
    answer = httpx.get(f"{url.rstrip('/')}/health", timeout=ANSWER_WITHIN)
    return None if answer.status_code == 200 else f"{answer.request.url} answers {answer.status_code}"


def _stores(until: datetime | None, _: datetime | None) -> str | None:
    files, root = fsspec.url_to_fs(settings().resolved_stores_url())
    wanted = f"{root.rstrip('/')}/sales"
    if until:
        wanted += f"/{until.astimezone(UTC) - timedelta(days=1):year=%Y/month=%m/day=%d}/complete.flag"
    return None if files.exists(wanted) else f"{files.unstrip_protocol(wanted)} is not there"


CHECKS: dict[str, Callable[[datetime | None, datetime | None], str | None]] = {
    "shop": _shop,
    "marketplace": lambda *_: _api(settings().resolved_marketplace_url()),
    "reviews": lambda *_: _api(settings().resolved_reviews_url()),
    "stores": _stores,
}


class SourceReady(BaseTrigger):
    """Asks every `every` seconds until the source is ready or the deadline is past; the event says what is missing."""

    def __init__(
        self, source: str, until: datetime | None, from_: datetime | None, deadline: datetime, every: float
    ) -> None:
        """`every`: seconds between two checks; the rest as in `why_not_ready`."""
        super().__init__()
        self.arguments = {"source": source, "until": until, "from_": from_, "deadline": deadline, "every": every}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, as the triggerer stores them."""
        return "storehouse.readiness.SourceReady", self.arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event: None when ready, else what was missing at the deadline."""
        source, until, from_, deadline, every = self.arguments.values()
        while missing := await asyncio.to_thread(why_not_ready, source, until, from_):
            self.log.info("%s is not ready: %s", source, missing)
            if datetime.now(UTC) >= deadline:
                break
            await asyncio.sleep(every)
        yield TriggerEvent(missing)


class WaitForSource(BaseOperator):
    """Succeeds when the source can be read up to the end of the run's interval; fails for good when it stays away."""

    template_fields = ("source",)

    def __init__(self, *, source: str, timeout: timedelta, every: timedelta = MINUTE, **kwargs: Any) -> None:
        """`source`: or a part of it, `marketplace/eu`; `timeout`: in all; `every`: between two looks."""
        super().__init__(map_index_template="{{ task.source }}", **kwargs)
        self.source, self.timeout, self.every = source, timeout, every

    def execute(self, context: Any) -> None:
        """Ask once; if the source is not ready, leave the worker and let the triggerer ask on."""
        params = context.get("params") or {}
        if self.source not in params.get("parts", [self.source]):
            raise AirflowSkipException(f"{self.source} is not among the parts that this run asks for.")
        source = self.source.partition("/")[0]
        from_, until = (
            datetime.fromisoformat(asked) if (asked := params.get(name)) else context.get(f"data_interval_{edge}")
            for name, edge in (("from", "start"), ("until", "end"))
        )
        if missing := why_not_ready(source, until, from_):
            self.log.info("%s is not ready, waiting: %s", self.source, missing)
            deadline = datetime.now(UTC) + self.timeout
            trigger = SourceReady(source, until, from_, deadline, self.every.total_seconds())
            self.defer(trigger=trigger, method_name="resume")

    def resume(self, context: Any, event: str | None) -> None:
        """Fail with what was missing, if anything was."""
        if event:
            raise AirflowFailException(
                f"Source {self.source} was not ready within {self.timeout}: {event}. "
                "Bring it back, then clear this task: nothing was landed, and the next run closes the gap."
            )
