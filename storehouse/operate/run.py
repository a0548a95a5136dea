"""One daily run from the command line: what the DAGs do on a scheduler, in one process, up to the published marts."""

import logging
import os
import time
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import extract_load
from storehouse.core import lineage, runbook, transform
from storehouse.core.errors import StorehouseError
from storehouse.core.progress import about, bind, note, say, show
from storehouse.core.selection import variables
from storehouse.core.settings import settings
from storehouse.laptop import local
from storehouse.operate import alerts, pipeline, published
from storehouse.operate.lineage import tell_published, told_build
from storehouse.operate.summary import summarise

COMMAND = "make run"
FIRST_DAYS = 30
# The summary fits a screen.
WARNINGS_SHOWN = 2


def run(dbt_vars: str | None = None, **played: Any) -> int:
    """Play the demo on (when it is the source), land every source, build, and print the summary.

    A source that fails does not stop the others: the rest is built from last good data, and the exit code is 1.

    Args:
        dbt_vars: dbt's `--vars` for this run, as YAML.
        **played: how far the demo plays: arguments of `demo.advance`.
    """
    with lineage.run("run") as told:
        failures = _run(dbt_vars, **played)
        told.failed = "; ".join(failures) or None
    return 1 if failures else 0


def _run(dbt_vars: str | None, **played: Any) -> list[str]:
    """The run itself; returns what failed, a line each."""
    began, started_at = time.monotonic(), datetime.now(UTC)
    given = variables(dbt_vars)
    run_id = f"run-{uuid4().hex[:12]}"
    bind(run=run_id)
    settings().session_environment()
    local.start()
    if extract_load.is_demo():
        _play_on(**played)
    failures = _land(run_id)
    entries = [runbook.entry(failure, "a-load-failed") for failure in failures]
    say("transform", "dbt reads the project (some seconds), then builds and tests the models")
    # What is published names the run, as the ledger does; what dbt did, who began it.
    os.environ |= {"CONVERGE_RUN_ID": run_id, "STOREHOUSE_STARTED_BY": COMMAND}
    try:
        with told_build(transform.target_folder()) as told:
            broken = transform.build([*transform.DAILY, *given])
            told.failed = "; ".join(broken) or None
        held_back = [group for group in published.groups() if group.held_back]
    except (StorehouseError, KeyboardInterrupt):
        pipeline.record(COMMAND, run_id, started_at, broken=[*_names(failures), "dbt"])
        raise
    for group in held_back:
        note(group.waits, logging.ERROR)
    pipeline.record(
        COMMAND,
        run_id,
        started_at,
        broken=[*_names([*failures, *broken]), *(f"marts of {group.name}" for group in held_back)],
    )
    tell_published()
    broken += [group.waits for group in held_back]
    failures += broken
    entries += [runbook.entry(failure, "a-model-failed") for failure in broken]
    print(summarise(run_id, at_most=WARNINGS_SHOWN))
    alerts.try_to_send()
    if settings().pushgateway_url:
        from storehouse.operate import metrics

        metrics.try_to_push()
    if settings().report_url:
        from storehouse.operate import sales_report

        sales_report.try_to_send()
    print(f"{'Failed' if failures else 'Done'} in {time.monotonic() - began:.0f} s.")
    for failure in failures:
        print(f"  {failure}")
    if failures:
        print("What to do:", *(f"{settings().runbook_url}#{entry}" for entry in dict.fromkeys(entries)))
    return failures


def _names(failures: list[str]) -> list[str]:
    """Of failures, a line each, what failed: without words, which may name more."""
    return [failure.partition(":")[0] for failure in failures]


def _play_on(days: int | None, until: date | None, **others: Any) -> None:
    from demo import database, shop

    with database.connect() as connection:
        is_new = database.read_clock(connection) is None
    if days is None and until is None:
        days = FIRST_DAYS if is_new else 1
    played = shop.advance(days=days, until=until, report=lambda line: say("demo shop", line), **others)
    say("demo shop", f"has played until the end of {played.day}")


def _land(run_id: str) -> list[str]:
    """Land every source; returns what failed, a line each."""
    show("extract_load", _Teller())
    failures = []
    used = extract_load.in_use()
    if unset := [source for source in extract_load.SOURCES if source not in used]:
        say("extract-load", f"not read, as the variable of its declaration is not set: {', '.join(unset)}")
    for source in used:
        with about(source=source):
            failures += _land_source(source, run_id)
    return failures


def _land_source(source: str, run_id: str) -> list[str]:
    began = time.monotonic()
    say("extract-load", f"{source:<12}reading")
    try:
        loads = extract_load.load(source, run_id=run_id)
        found = extract_load.reconcile(source, is_declared=True, run_id=run_id)
    except StorehouseError as error:
        say("extract-load", f"{source} FAILED: {error}", logging.ERROR)
        return [f"{source}: {error}"]
    rows = sum(load.rows for load in loads)
    say("extract-load", f"{source:<12}{rows:>10,} rows in {len(loads)} loads, {time.monotonic() - began:.1f} s")
    for table in found:
        say("reconcile", table.line)
    return []


class _Teller(logging.Handler):
    """Shows the progress of a long load, and warnings about changes of a source."""

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "is_progress", False) or record.levelno >= logging.WARNING:
            say("extract-load", record.getMessage())
