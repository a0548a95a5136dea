"""OpenLineage events, sent where OpenLineage's own variables or file say; without these none of it is imported.

No event fails a run or holds it up: what is sent has some seconds, and the first failure is said and ends the sending
of this process. docs/lineage.md says which events there are, and how datasets are named.
"""

import copy
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from storehouse.core.errors import StorehouseError
from storehouse.core.progress import say
from storehouse.core.settings import settings
from storehouse.core.shown import as_message, first_line

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunEvent

PRODUCER = "urn:storehouse"
# Seconds: between two events that arrive, and in all, each time that some are sent.
STALLED_AFTER, WITHIN = 5.0, 30.0
# OpenLineage's own: whose child a run is, and the first of its parents, as JSON.
CONTEXT = "OPENLINEAGE_CONTEXT"


def is_on() -> bool:
    """True if OpenLineage is told where its events go, as its client looks for it, and is not disabled."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    if _clients == []:
        return False  # none can be reached
    if os.environ.get("OPENLINEAGE_URL") or any(name.startswith("OPENLINEAGE__TRANSPORT") for name in os.environ):
        return True
    # Where a home may not be looked into, there is no file for us.
    files = os.environ.get("OPENLINEAGE_CONFIG"), "openlineage.yml", "~/.openlineage/openlineage.yml"
    return any(os.path.isfile(os.path.expanduser(file)) for file in files if file)  # noqa: PTH111, PTH113


def namespace() -> str:
    """Of the jobs: `OPENLINEAGE_NAMESPACE`, or `storehouse`."""
    return os.environ.get("OPENLINEAGE_NAMESPACE") or "storehouse"


def warehouse() -> str:
    """The namespace of the warehouse's tables, whose names are `database.schema.table`."""
    place = settings().warehouse_environment()
    return postgres(place["WAREHOUSE_HOST"], place["WAREHOUSE_PORT"])


def postgres(host: object, port: object) -> str:
    """The namespace of a PostgreSQL server; of several hosts or ports the first counts, a socket is `localhost`."""
    first = [str(part or "").split(",")[0] for part in (host, port)]
    return f"postgres://{'localhost' if first[0].startswith('/') or not first[0] else first[0]}:{first[1] or 5432}"


def copied(namespace: str, name: str, columns: Iterable[str]) -> dict[str, Any]:
    """The facet columnLineage of a dataset whose columns are those of this one, unchanged; none if none are known."""
    from openlineage.client.facet_v2 import column_lineage_dataset as facet

    same = {column: facet.Fields([facet.InputField(namespace, name, column)]) for column in columns}
    return {"columnLineage": facet.ColumnLineageDatasetFacet(same)} if same else {}


@dataclass
class Run:
    """A job's run in progress.

    Attributes:
        inputs, outputs: datasets, told when it ends.
        failed: why it failed, in words that people may see; None while it has not.
    """

    inputs: list["InputDataset"] = field(default_factory=list)
    outputs: list["OutputDataset"] = field(default_factory=list)
    failed: str | None = None


@contextmanager
def run(job: str, kind: str = "JOB") -> Iterator[Run]:
    """Tell of a job's run when it begins and when it ends; what is told within is its child.

    It fails by an error, or by what the caller writes into `failed`.

    Args:
        job: its name, the same in every run.
        kind: of job, as OpenLineage's facet jobType has it.
    """
    told = Run()
    if not is_on():
        yield told
        return
    from openlineage.client.event_v2 import RunState
    from openlineage.client.uuid import generate_new_uuid

    run_id, before = str(generate_new_uuid()), os.environ.get(CONTEXT)
    send(lambda: [event(RunState.START, job, run_id, kind)])
    become_child_of(lambda: (Named(namespace(), job, run_id), _root()))
    try:
        yield told
    except BaseException as error:
        told.failed = str(error) if isinstance(error, StorehouseError) else type(error).__name__
        raise
    finally:
        os.environ.pop(CONTEXT, None) if before is None else os.environ.update({CONTEXT: before})
        state = RunState.FAIL if told.failed is not None else RunState.COMPLETE
        send(lambda: [event(state, job, run_id, kind, told)])


class Named(NamedTuple):
    """A run, as its children name it."""

    namespace: str
    job: str
    run_id: str

    def as_facet(self) -> dict[str, dict[str, str]]:
        """As OpenLineage's facet parent has it."""
        return {"run": {"runId": self.run_id}, "job": {"namespace": self.namespace, "name": self.job}}


def become_child_of(name: Callable[[], tuple[Named, Named | None]]) -> None:
    """From here on what this process tells, and those that it starts, is of the children of a run.

    Args:
        name: says which, and the first of its parents if it has any. That this can't be said fails nothing.
    """
    if not is_on():
        return
    try:
        parent, root = name()
    except Exception as error:
        say("lineage", f"Whose child this is can't be told ({type(error).__name__}). The run is not affected.")
        return
    os.environ[CONTEXT] = json.dumps({"parent": parent.as_facet() | {"root": (root or parent).as_facet()}})


def _root() -> Named | None:
    """The first of the parents of what is told here."""
    from openlineage.common.provider.dbt.utils import get_parent_run_metadata

    of = get_parent_run_metadata()
    if not of:
        return None
    return Named(
        of.root_parent_job_namespace or of.job_namespace,
        of.root_parent_job_name or of.job_name,
        of.root_parent_run_id or of.run_id,
    )


def event(state: Any, job: str, run_id: str, kind: str, told: Run | None = None, at: str | None = None) -> "RunEvent":
    """An event of a run of ours: its state, its datasets, its parent, and why it failed.

    Args:
        state: OpenLineage's `RunState`.
        job: as in `run`.
        run_id: a UUID.
        kind: as in `run`.
        told: its datasets, and whether it failed.
        at: when; now by default.
    """
    from openlineage.client.event_v2 import Job, Run, RunEvent
    from openlineage.client.facet_v2 import job_type_job
    from openlineage.common.provider.dbt.utils import get_parent_run_metadata

    facets: dict[str, Any] = {}
    if parent := get_parent_run_metadata():
        facets["parent"] = parent.to_openlineage()
    if told and told.failed is not None:
        facets |= why(told.failed, "Python")
    job_type = job_type_job.JobTypeJobFacet(processingType="BATCH", integration="STOREHOUSE", jobType=kind)
    return RunEvent(
        eventTime=at or datetime.now(UTC).isoformat(),
        producer=PRODUCER,
        run=Run(run_id, facets),
        job=Job(namespace(), job, {"jobType": job_type}),
        eventType=state,
        inputs=told.inputs if told else [],
        outputs=told.outputs if told else [],
    )


def why(words: str, language: str) -> dict[str, Any]:
    """The facet errorMessage: why a run failed, in words that people may see, of a program in this language."""
    from openlineage.client.facet_v2 import error_message_run

    return {"errorMessage": error_message_run.ErrorMessageRunFacet(as_message(words), language)}


def send(make: Callable[[], Iterable["RunEvent"]]) -> None:
    """Make events and send them; that this can't be done is said once, and fails nothing.

    Each place that is configured gets them by a thread of its own: one that is away costs the others nothing.
    """
    global _clients
    if not is_on():
        return
    try:
        events = list(make())
    except Exception as error:  # whatever it is: the run goes on, and so do its other events
        say("lineage", f"Some OpenLineage events can't be made ({type(error).__name__}). The run is not affected.")
        return
    try:
        clients = _configured() if _clients is None else _clients
    except Exception as error:
        _clients = []
        said = f"{type(error).__name__}: {first_line(error)}"
        hint = "OPENLINEAGE__TRANSPORT is JSON (docs/lineage.md)"
        say("lineage", f"OpenLineage can't be set up ({said}): {hint}. No events are sent; the run is not affected.")
        return
    try:
        senders = [_Sender(client, events) for client in clients]
        for sender in senders:
            sender.start()
        ends_at = time.monotonic() + WITHIN
        _clients = [sender.client for sender in senders if sender.has_sent(ends_at)]
    except Exception as error:
        _clients = []
        _say(error)


class _Sender(threading.Thread):
    """Sends events to one place. A daemon: what hangs in it ends with the process."""

    def __init__(self, client: "OpenLineageClient", events: list["RunEvent"]) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.events = copy.deepcopy(events)  # a client adds to them
        self.sent, self.error = 0, None

    def run(self) -> None:
        """Send them all, or end at the first that can't be sent."""
        try:
            for one in self.events:
                self.client.emit(one)
                self.sent += 1
            # Of a transport with a queue: what is in it.
            wait = getattr(self.client.transport, "wait_for_completion", None)
            if wait and wait(STALLED_AFTER) is False:
                raise TimeoutError("its queue is not sent in time")
        except Exception as error:
            self.error = error

    def has_sent(self, ends_at: float) -> bool:
        """Wait for it, as long as events arrive and until then; False, and said, if not all did."""
        sent = -1
        while self.is_alive() and sent < self.sent and (left := ends_at - time.monotonic()) > 0:
            sent = self.sent
            self.join(min(STALLED_AFTER, left))
        if self.is_alive() or self.error:
            _say(self.error or TimeoutError("not all arrived in time"))
            return False
        return True


# Where events go to: None until the first is sent, and none after a failure.
_clients: list["OpenLineageClient"] | None = None


def _configured() -> list["OpenLineageClient"]:
    """A client a place."""
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.composite import CompositeTransport

    # What they log of a failure, at every attempt, is said once by `_say`, without secrets.
    for name in ("openlineage", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    whole = OpenLineageClient()
    many = whole.transport
    if not isinstance(many, CompositeTransport):
        return [whole]
    if not (many.config.continue_on_failure and many.config.continue_on_success):
        return [whole]  # not all are to get every event: it chooses itself
    return [OpenLineageClient(transport=transport) for transport in many.transports]


def _say(error: Exception) -> None:
    said = f"{type(error).__name__}: {first_line(error)}"
    say("lineage", f"OpenLineage events can't be sent ({said}); no more are sent there. The run is not affected.")
