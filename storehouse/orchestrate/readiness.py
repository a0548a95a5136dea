"""Waiting for a source: the operator that asks its connector again and again without keeping a worker busy."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.triggers.base import BaseTrigger, TriggerEvent
from botocore.exceptions import NoCredentialsError

from extract_load.connectors import connector
from extract_load.tables import tables_of
from storehouse.core.errors import StorehouseError, TransientError, without_values
from storehouse.core.shown import first_line
from storehouse.core.stores import AWAY

LOOK_WITHIN = 60  # seconds, a look at any source
MINUTE = timedelta(minutes=1)
# So long after the deadline Airflow itself ends a wait, if the triggerer has not.
GRACE = timedelta(minutes=10)

_MAY_PASS = (TransientError, httpx.HTTPError, *AWAY)


def why_not_ready(source: str, until: datetime | None, from_: datetime | None = None) -> str | None:
    """What the source still lacks before it can be read up to `until`, in words; None when it is ready.

    Args:
        source: one of the declared sources.
        until: the end of the interval to land; None asks only whether the source answers.
        from_: its beginning; with it a database must have a row that changed then or later.

    Raises:
        StorehouseError: waiting will not help: a wrong password, a missing table, an invalid URL.
    """
    declared = tables_of(source)
    try:
        missing = connector(declared[0].connector).ready(declared, until, from_)
    except (PermissionError, NoCredentialsError) as error:
        raise StorehouseError(f"{source} can't be read: {first_line(error)}. Check its credentials.") from None
    except OverflowError:
        raise StorehouseError(f"No source can be read up to {until}. Give a time within the years 2 to 9998.") from None
    except _MAY_PASS as error:
        said = without_values(first_line(error))
        missing = str(error) if isinstance(error, TransientError) else f"{type(error).__name__}: {said}"
    return missing


class SourceReady(BaseTrigger):
    """Asks every `every` seconds until the source is ready, waiting is pointless, or the deadline is past.

    The event is None if the source is ready. Else it has `missing`, what the source lacks, or `broken`, the reason why
    waiting will not help.
    """

    def __init__(
        self, source: str, until: datetime | None, from_: datetime | None, deadline: datetime, every: float
    ) -> None:
        """`every`: seconds between two checks; the rest as in `why_not_ready`."""
        super().__init__()
        self.arguments = {"source": source, "until": until, "from_": from_, "deadline": deadline, "every": every}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and its arguments, as the triggerer stores them."""
        return "storehouse.orchestrate.readiness.SourceReady", self.arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event."""
        source, until, from_, deadline, every = self.arguments.values()
        look: asyncio.Task | None = None
        while True:
            # A check that hangs is awaited again and no second one begins: it holds one of the triggerer's few threads.
            look = look or asyncio.create_task(asyncio.to_thread(why_not_ready, source, until, from_))
            done, _ = await asyncio.wait([look], timeout=LOOK_WITHIN)
            try:
                missing = look.result() if done else f"{source} gave no answer within {LOOK_WITHIN} s"
            except StorehouseError as error:
                yield TriggerEvent({"broken": str(error)})
                return
            if not missing or datetime.now(UTC) >= deadline:
                break
            look = None if done else look
            self.log.info("%s is not ready: %s", source, missing)
            await asyncio.sleep(every)
        yield TriggerEvent(missing and {"missing": missing})


class WaitForSource(BaseOperator):
    """Succeeds when the source can be read up to the end of the run's interval; fails for good after the time-out."""

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
        try:
            missing = why_not_ready(source, until, from_)
        except StorehouseError as error:
            raise AirflowFailException(str(error)) from None
        if missing:
            self.log.info("%s is not ready, waiting: %s", self.source, missing)
            deadline = datetime.now(UTC) + self.timeout
            trigger = SourceReady(source, until, from_, deadline, self.every.total_seconds())
            self.defer(trigger=trigger, method_name="resume", timeout=self.timeout + GRACE)

    def resume(self, context: Any, event: dict[str, str] | None) -> None:
        """Fail with what was missing, if anything was."""
        if not event:
            return
        raise AirflowFailException(
            event.get("broken")
            or f"Source {self.source} was not ready within {self.timeout}: {event['missing']}. "
            "Bring it back, then clear this task: nothing was landed, and the next run closes the gap."
        )
