"""The commands behind the Makefile: `python -m storehouse COMMAND`."""

import argparse
import os
import shlex
import sys
from datetime import date
from pathlib import Path

import psycopg

from storehouse.core import databases, progress
from storehouse.core.arguments import day, moment, words
from storehouse.core.errors import StorehouseError, said_by
from storehouse.core.settings import PROJECT, settings
from storehouse.laptop import local
from storehouse.laptop.server import binaries


def main() -> int:
    """Run one command; a user's error is one message on standard error and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m storehouse", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("start", help="start the embedded PostgreSQL and the demo shop's API")
    commands.add_parser("stop", help="stop them, and nothing else")
    run = commands.add_parser("run", help="play the demo on, extract-load, transform, summarise")
    run.add_argument("--days", type=int, help="play the demo on by so many days (first run: 30, later: 1)")
    run.add_argument("--until", type=date.fromisoformat, help="or play it up to this day, not included")
    run.add_argument("--size", type=float, help="orders a day in units of 2,000, when the demo begins (1)")
    run.add_argument("--seed", type=int, help="the demo's seed, when it begins")
    run.add_argument(
        "--bad-orders", type=float, default=0, help="share of the day's web orders that the demo sends out wrong"
    )
    run.add_argument("--vars", help="dbt's variables for this run, such as '{quality_limits: {shop.orders: 8}}'")
    audit = commands.add_parser("audit", help="rebuild every converging model from raw beside it, and compare")
    audit.add_argument("--select", help="only these models, in dbt's selection syntax")
    audit.add_argument(
        "--from",
        dest="from_",
        choices=["raw", "source"],
        default="raw",
        help="source: compare raw with its databases too",
    )
    forget = commands.add_parser("forget", help="erase a person from raw and all that is built of it, and prove it")
    forget.add_argument("customer", nargs="+", help="their customer_id: web-…, mkt-…")
    backup = commands.add_parser("backup", help="back the whole server up: in full the first time, then what changed")
    backup.add_argument("--to", type=Path, help="the folder of back-ups (backups/ in the home)")
    backup.add_argument("--full", action="store_true", help="in full")
    restore = commands.add_parser("restore", help="restore a back-up; without --from, list them")
    restore.add_argument("--from", dest="from_", type=Path, help="the folder of a back-up")
    restore.add_argument("--into", type=Path, help="another home folder than this one")
    restore.add_argument("--force", action="store_true", help="in the place of what is there, which is kept aside")
    archive = commands.add_parser("archive", help="write landed loads as Parquet files, that can be replayed")
    archive.add_argument("--folder", type=Path, help="of archives (archives/ in the home)")
    archive.add_argument("--before", type=moment, help="only loads that ended before: 2026-01-31, in UTC")
    replay = commands.add_parser("replay", help="land again what archives have and the ledger lacks")
    replay.add_argument("--folder", type=Path, help="of archives, or one of them (archives/ in the home)")
    trace = commands.add_parser("trace", help="what became of a key of a mart, from its landed versions to its readers")
    trace.add_argument("key", nargs="+", help="the values of its columns")
    trace.add_argument("--model", default="fct_orders", help="the mart (fct_orders)")
    trace.add_argument("--json", action="store_true", help="for programs")
    alerts = commands.add_parser(
        "alerts", help="say what is amiss now, whom it hurts, and where the runbook tells more"
    )
    alerts.add_argument("--send", action="store_true", help="first tell people what opened and ended, as a run does")
    status = commands.add_parser(
        "status", help="say in one look whether the data can be trusted, and write it as a page"
    )
    status.add_argument("--page", type=Path, help="the file of the page (target/status.html)")
    dashboard = commands.add_parser("dashboard", help="write the analysts' page, of the published marts")
    dashboard.add_argument("--page", type=Path, help="the file of the page (target/dashboard.html)")
    report = commands.add_parser("report", help="print the sales report of the last whole week")
    report.add_argument("--send", action="store_true", help="and send it to REPORT_URL, as a run does: once a period")
    rates = commands.add_parser("rates", help="monthly exchange rates of the ECB into seeds/exchange_rates.csv")
    rates.add_argument("currencies", nargs="*", help="more of them than the seed has: SEK PLN")
    commands.add_parser("env", help="print the warehouse's place as shell exports, for dbt and psql by hand")
    commands.add_parser("dbt", help="run dbt against the warehouse: dbt build --select …", add_help=False)
    docs = commands.add_parser("docs", help="write dbt's documentation and lineage, as one HTML file")
    docs.add_argument("folder", nargs="?", type=Path, help="where to (target/)")
    commands.add_parser("psql", help="open the warehouse, or run the SQL on standard input", add_help=False)
    commands.add_parser("summary", help="print the summary of the last run")
    commands.add_parser("published", help="say which build readers see, what holds back the next, which can be gone to")
    unpublish = commands.add_parser("unpublish", help="take readers of a group of marts back to an earlier build")
    unpublish.add_argument("group", help="shop or feedback")
    unpublish.add_argument("--to", type=int, help="a number that `published` lists (the one before)")
    republish = commands.add_parser("republish", help="end that: on to what is built")
    republish.add_argument("group", help="shop or feedback")
    metric = commands.add_parser("metric", help="answer a question about the business; without a name, list metrics")
    metric.add_argument("names", nargs="?", type=words, default=[], help="metrics, or one saved query")
    metric.add_argument("--by", type=words, default=[], help="dimensions: month,channel")
    metric.add_argument("--from", dest="from_", type=day, help="the first day: 2026-01-01")
    metric.add_argument("--until", type=day, help="the day after the last: 2026-02-01")
    metric.add_argument(
        "--csv", type=Path, nargs="?", const=Path("-"), help="as CSV, into a file or on standard output"
    )
    metric.add_argument("--sql", action="store_true", help="print the query, and don't run it")
    metrics = commands.add_parser("metrics", help="print what the pipeline knows of itself, in Prometheus' text format")
    metrics.add_argument("--serve", type=int, metavar="PORT", help="answer Prometheus on this port, until interrupted")
    metrics.add_argument("--host", default="127.0.0.1", help="and on this address (127.0.0.1)")
    metrics.add_argument("--push", action="store_true", help="push them to PUSHGATEWAY_URL")
    progress.configure()
    arguments, rest = parser.parse_known_args()
    if rest and arguments.command not in ("psql", "dbt"):
        parser.error(f"unknown arguments: {' '.join(rest)}")
    try:
        return COMMANDS[arguments.command](arguments, rest)
    except StorehouseError as error:
        progress.fail(f"storehouse {arguments.command}: {error}")
        return 1
    except psycopg.OperationalError as error:
        said = said_by(error)
        progress.fail(f"storehouse {arguments.command}: the embedded server: {said}. Its log: make start")
        return 1
    except psycopg.Error as error:
        progress.fail(f"storehouse {arguments.command}: the warehouse: {said_by(error)}.")
        return 1
    except KeyboardInterrupt:
        progress.fail(f"storehouse {arguments.command}: interrupted. What was landed stays; run it again.")
        return 130


def _start(_: argparse.Namespace, __: list[str]) -> int:
    local.start()
    return 0


def _stop(_: argparse.Namespace, __: list[str]) -> int:
    local.stop()
    return 0


def _run(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.operate import run

    played = {name: getattr(arguments, name) for name in ("days", "until", "size", "seed", "bad_orders")}
    return run.run(arguments.vars, **played)


def _audit(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.operate import audit

    return audit.main(arguments.select, from_source=arguments.from_ == "source")


def _alerts(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.operate import alerts

    if settings().is_embedded and not settings().server.is_running:
        local.start()
    return alerts.main(is_sent=arguments.send)


def _status(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.core.transform import target_folder
    from storehouse.operate import status

    if settings().is_embedded and not settings().server.is_running:
        local.start()
    return status.main(arguments.page or target_folder() / status.NAME)


def _dashboard(arguments: argparse.Namespace, _: list[str]) -> int:
    from dashboard import page
    from storehouse.core.transform import target_folder

    if settings().is_embedded and not settings().server.is_running:
        local.start()
    return page.main(arguments.page or target_folder() / page.NAME)


def _report(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.operate import sales_report

    if settings().is_embedded and not settings().server.is_running:
        local.start()
    return sales_report.main(is_sent=arguments.send)


def _forget(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.operate import forget

    return forget.forget(arguments.customer)


def _backup(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.operate import backup

    return backup.main(arguments.to, is_full=arguments.full)


def _restore(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.operate import restore

    return restore.main(arguments.from_, arguments.into, is_forced=arguments.force)


def _archive(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.operate import archive

    if settings().is_embedded and not settings().server.is_running:
        local.start()
    return archive.archive(arguments.folder, arguments.before)


def _replay(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.operate import archive

    if settings().is_embedded and not settings().server.is_running:
        local.start()
    return archive.replay(arguments.folder)


def _trace(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.operate import trace

    return trace.main(arguments.model, arguments.key, is_json=arguments.json)


def _rates(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.operate import rates

    print(rates.refresh(arguments.currencies))
    return 0


def _metric(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.operate import metric

    return metric.main(
        arguments.names, arguments.by, arguments.from_, arguments.until, arguments.csv, is_sql=arguments.sql
    )


def _metrics(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.operate import metrics

    if arguments.serve is not None:
        metrics.serve(arguments.serve, arguments.host)
    elif arguments.push:
        print(f"The metrics stand at {metrics.push()}")
    else:
        print(metrics.text(), end="")
    return 0


def _env(_: argparse.Namespace, __: list[str]) -> int:
    for name, value in settings().dbt_environment().items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _docs(arguments: argparse.Namespace, _: list[str]) -> int:
    from dashboard import page
    from storehouse.core import pages, transform
    from storehouse.operate import columns, status

    if settings().is_embedded and not settings().server.is_running:
        local.start()
    print(f"Open {transform.document(folder := arguments.folder or transform.target_folder())}")
    # Its first page links to these.
    pages.try_to_write("status page", status.write, folder / status.NAME)
    pages.try_to_write("dashboard", page.write, folder / page.NAME)
    print(columns.try_to_document(folder))
    return 0


def _psql(_: argparse.Namespace, rest: list[str]) -> int:
    if settings().is_embedded and not settings().server.is_running:
        local.start()
    place = {name.replace("WAREHOUSE_", "PG"): value for name, value in settings().warehouse_environment().items()}
    # A script that is given ends at its first error, and says so by its exit code; a person reads it, and goes on.
    stop = [] if sys.stdin.isatty() else ["--set", "ON_ERROR_STOP=1"]
    sys.stdout.flush()
    os.execve(binaries() / "psql", ["psql", *stop, *rest], os.environ | place)


def _dbt(_: argparse.Namespace, rest: list[str]) -> int:
    from storehouse.core.transform import speak_plainly, target_folder, uncollected

    # A project can be parsed while the warehouse is away.
    known = settings().dbt_environment() if OFFLINE & set(rest) else databases.dbt_environment()
    place = known | {"DBT_PROFILES_DIR": str(PROJECT), "DBT_PROJECT_DIR": str(PROJECT)}
    form = {"DBT_LOG_FORMAT": settings().log_format} if settings().log_format == "json" else {}
    os.environ.update({"DBT_LOG_PATH": str(settings().home / "logs")} | form | os.environ | place)
    with uncollected():
        from dbt.cli.main import cli

        speak_plainly()
        if not TOLD & set(rest[:1]) or OFFLINE & set(rest):
            cli(rest, prog_name="dbt")
            return 0
        from storehouse.operate import lineage

        with lineage.told_build(target_folder()) as told:
            code: int | str | None = 0
            try:
                cli(rest, prog_name="dbt")
            except SystemExit as end:
                code = end.code
                told.failed = f"dbt ended with exit code {code}" if code else None
        lineage.tell_published()
    sys.exit(code)


def _summary(_: argparse.Namespace, __: list[str]) -> int:
    from storehouse.operate.summary import summarise

    print(summarise())
    return 0


def _published(_: argparse.Namespace, __: list[str]) -> int:
    from storehouse.operate import published

    return published.main()


def _unpublish(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.operate import published

    return published.unpublish(arguments.group, arguments.to)


def _republish(arguments: argparse.Namespace, _: list[str]) -> int:
    from storehouse.operate import published

    return published.republish(arguments.group)


OFFLINE = {"parse", "deps", "clean", "ls", "list", "--help", "--version"}
# OpenLineage hears of these.
TOLD = {"build", "run", "seed", "snapshot", "test"}
COMMANDS = {
    "start": _start,
    "stop": _stop,
    "run": _run,
    "audit": _audit,
    "alerts": _alerts,
    "status": _status,
    "dashboard": _dashboard,
    "report": _report,
    "forget": _forget,
    "backup": _backup,
    "restore": _restore,
    "archive": _archive,
    "replay": _replay,
    "trace": _trace,
    "rates": _rates,
    "env": _env,
    "dbt": _dbt,
    "docs": _docs,
    "psql": _psql,
    "summary": _summary,
    "published": _published,
    "unpublish": _unpublish,
    "republish": _republish,
    "metric": _metric,
    "metrics": _metrics,
}

if __name__ == "__main__":
    sys.exit(progress.while_read(main))
