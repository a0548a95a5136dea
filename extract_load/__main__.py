"""The command line: `python -m extract_load SOURCE|all`, `discover WHAT`, `check SOURCE`, `reconcile [SOURCE]`."""

import argparse
import logging
import re
import sys
import time

import yaml

import extract_load
from extract_load import discovery, tables
from storehouse.core import progress
from storehouse.core.arguments import moment
from storehouse.core.errors import StorehouseError

HELP = """\
Land what the sources have in the raw schemas of the warehouse. Every load is one transaction: its rows and its row
in raw.loads become visible together, or not at all. Safe to repeat, to run beside another load, and to kill.

sources, and the variable that says where each is (the environment, or a file in STOREHOUSE_SECRETS)
{sources}
  all              all that are declared, one after the other; one that fails doesn't stop the others; none is
                   reconciled: `reconcile --due` after it does that, once a day, as it is declared
  prepare          land nothing, create what is missing of the raw schemas
  discover WHAT    print the declaration of a source to paste: of a URL, a variable that holds one, or a source
  check SOURCE     read a bit of each table as a load would, and say what differs from its declaration
  reconcile        compare what has landed with databases as they are now, and land what loads missed: deletes above all
Each is declared in models/staging/<source>/_<source>__sources.yml; docs/sources.md explains it.

the warehouse
  WAREHOUSE_HOST, WAREHOUSE_PORT, WAREHOUSE_USER, WAREHOUSE_PASSWORD, WAREHOUSE_DATABASE
  (without WAREHOUSE_HOST: the embedded server under STOREHOUSE_HOME; start it with `make start`)

other settings
  OVERLAP_MINUTES (60)        how far behind its watermark a load starts again, for rows that were committed late
  HTTP_TIMEOUT_SECONDS (30)   how long an API may be silent
  HTTP_RETRIES (5)            tries of one request, the first included
  HTTP_ANSWER_SECONDS (300), HTTP_ANSWER_MAX_MB (100)   limits of one answer of an API
  API_LOAD_MINUTES (50)       how long one load of an API may take in all

  STORE_FILE_MAX_MB (2000), STORE_LINE_MAX_MB (16), STORE_FILE_SECONDS (900), STORE_MEMORY_MB (4000),
  STORE_FILES_MAX (1000000)   limits of one file, and of how many there are
  AWS_ENDPOINT_URL            where s3:// is, if not at AWS; with the usual AWS credentials

how tables are read
  updated_at     rows whose version lies in [from, until), and rows without one (or with one before 1970-01-02)
  full           the whole table; what is new, changed or gone is landed, and --from and --until don't matter
  change_log     the changes in the log of the database since the last load; --from and --until don't matter
  interval       records of the API with a version in [from, until); day folders that touch it, one load a file;
                 a file with the contents that were landed before is left out
{tables}
Without --from: from where the loads so far have read without a gap (see raw.loads), less the overlap.
Without --until: all there is. With both: a backfill, which moves nothing.

exit code: 0 landed; 1 something failed or differs, and the message says what to do; 2 wrong usage; 130 interrupted

examples
  python -m extract_load all
  python -m extract_load {source} --tables {table} --from 2026-01-01 --until 2026-02-01
  python -m extract_load discover postgresql://user:password@host:5432/database
"""
DISCOVER = """\
Look at a database, an API or a folder, and print the declaration of its tables on the standard output. It never prints
a value of a row, or a password: what is printed names a variable. A password that is typed here stands in the list of
processes and in the shell's history; set a variable and give its name instead.
"""
RECONCILE = """\
Compare the current rows of raw with a database, row for row, by sums that both servers make. What is gone there lands
as a delete, what is missing or different here lands as it is read, all in one load of the kind `reconcile`. A line a
table says what was found. Run it after a load: what the next one reads is left to it. See docs/sources/postgres.md.
"""


def main() -> int:
    """Run the command and return its exit code."""
    progress.configure()
    others = {"discover": _discover, "check": _check, "reconcile": _reconcile}
    if other := others.get(next(iter(sys.argv[1:]), "")):
        try:
            return other(sys.argv[2:])
        except StorehouseError as error:
            progress.fail(str(error))
            return 1
        except KeyboardInterrupt:
            return 130
    try:
        arguments = _arguments()
    except StorehouseError as error:  # a declaration is wrong
        progress.fail(str(error))
        return 1
    _tell_progress()
    progress.bind(run=arguments.run_id)
    sources = extract_load.SOURCES if arguments.source == "all" else [arguments.source]
    landed, failed = [], []
    try:
        for source in sources:
            try:
                if source == "prepare":
                    extract_load.prepare()
                    continue
                landed += extract_load.load(
                    source,
                    getattr(arguments, "from"),
                    arguments.until,
                    tables=arguments.tables,
                    partition=arguments.partition,
                    run_id=arguments.run_id,
                    allow_empty=arguments.allow_empty,
                    snapshot=arguments.snapshot,
                )
            except StorehouseError as error:
                failed.append(source)
                progress.fail(str(error), source=source)
    except KeyboardInterrupt:
        progress.fail("Interrupted. The load in progress was not landed; the next one lands it.")
        return 130
    if arguments.source == "all":
        rows = sum(result.rows for result in landed)
        print(f"landed {rows:,} rows in {len(landed)} loads" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    first = tables.TABLES[0] if tables.TABLES else None
    parser = argparse.ArgumentParser(
        prog="python -m extract_load",
        description=HELP.format(
            sources="\n".join(f"  {source:<16} {tables.tables_of(source)[0].connection}" for source in tables.SOURCES),
            tables="".join(f"  {of.label:<20} {of.kind:<11} key {', '.join(of.key)}\n" for of in tables.TABLES),
            source=first.source if first else "SOURCE",
            table=first.name if first else "TABLE",
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choices = (*extract_load.SOURCES, "all", "prepare")
    parser.add_argument("source", choices=choices, metavar="SOURCE", help=", ".join(choices))
    parser.add_argument("--from", type=moment, metavar="TIME", help="inclusive; ISO 8601, UTC where it has no zone")
    parser.add_argument("--until", type=moment, metavar="TIME", help="exclusive")
    parser.add_argument("--tables", nargs="+", metavar="TABLE", help="only these tables of the source")
    parser.add_argument("--partition", metavar="PARTITION", help="only this partition of the source")
    parser.add_argument("--run-id", metavar="ID", help="of the pipeline run, for raw.loads")
    parser.add_argument("--allow-empty", action="store_true", help="believe a full table that has become empty")
    parser.add_argument(
        "--snapshot", action="store_true", help="of tables read by change_log: read all, land what differs"
    )
    arguments = parser.parse_args()
    if arguments.source in ("all", "prepare") and (arguments.tables or arguments.partition or arguments.snapshot):
        parser.error("--tables, --partition and --snapshot go with one source")
    return arguments


def _discover(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m extract_load discover",
        description=DISCOVER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", metavar="WHAT", help="a URL, a folder, a variable that holds one, or a declared source")
    parser.add_argument("--as", dest="name", metavar="NAME", type=_name, help="what the source is to be called")
    parser.add_argument("--connector", help="what reads it, when its URL does not say so")
    parser.add_argument(
        "--meta", type=_mapping, metavar="YAML", help="fields that narrow it: '{schema: sales}', '{path: /orders}'"
    )
    given = parser.parse_args(arguments)
    # The YAML is on the standard output alone.
    progress.show("extract_load", logging.StreamHandler(sys.stderr))
    logging.getLogger("psycopg").addHandler(logging.NullHandler())
    print(discovery.discover(given.what, given.name, given.connector, given.meta), end="")
    return 0


def _check(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m extract_load check")
    parser.add_argument("source", metavar="SOURCE", help="a declared source")
    logging.getLogger("psycopg").addHandler(logging.NullHandler())
    found = discovery.differences(parser.parse_args(arguments).source)
    for label, differs in found.items():
        print(f"{label:<24} " + (f"{len(differs)} differ from the declaration" if differs else "as declared"))
        for words in differs:
            print(f"  {words}")
    return 1 if any(found.values()) else 0


def _reconcile(given: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m extract_load reconcile",
        description=RECONCILE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", nargs="?", help="a declared source; without it all databases")
    parser.add_argument("--tables", nargs="+", metavar="TABLE", help="only these tables of the source")
    parser.add_argument("--compare", choices=["keys", "columns"], help="instead of what is declared")
    parser.add_argument("--due", action="store_true", help="only what is declared so, and not done for 20 hours")
    parser.add_argument("--dry-run", action="store_true", help="land nothing; exit code 1 when anything differs")
    parser.add_argument("--run-id", metavar="ID", help="of the pipeline run, for raw.loads")
    parser.add_argument("--allow-empty", action="store_true", help="believe a table that has become empty")
    arguments = parser.parse_args(given)
    if arguments.tables and not arguments.source:
        parser.error("--tables goes with one source")
    _tell_progress()
    progress.bind(run=arguments.run_id)
    found, failed = [], False
    for source in [arguments.source] if arguments.source else extract_load.in_use():
        try:
            found += extract_load.reconcile(
                source,
                tables=arguments.tables,
                compare=arguments.compare,
                is_dry=arguments.dry_run,
                is_due=arguments.due,
                run_id=arguments.run_id,
                allow_empty=arguments.allow_empty,
            )
        except StorehouseError as error:
            failed = True
            progress.fail(str(error), source=source)
    if not found and not failed and arguments.due:
        print("No table is due.")
    elif not found and not failed:
        print("No table is read by updated_at: there is nothing that a load can have missed.")
    return 1 if failed or (arguments.dry_run and any(table.differences for table in found)) else 0


def _tell_progress() -> None:
    progress.show("extract_load", _Teller())
    # What psycopg says of a lost connection is said by us, once.
    logging.getLogger("psycopg").addHandler(logging.NullHandler())


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", text):
        raise argparse.ArgumentTypeError("it must be lower case letters, digits and _, such as billing")
    return text


def _mapping(text: str) -> dict:
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError:
        given = None
    if not isinstance(given, dict):
        raise argparse.ArgumentTypeError("it must be names with values, as YAML: '{path: /orders}'")
    return given


class _Teller(logging.Handler):
    """Lines to the standard output; progress of a long load on a terminal's last line, else now and then a line."""

    def __init__(self) -> None:
        super().__init__()
        self.status = None
        if sys.stderr.isatty():
            from rich.console import Console

            self.status = Console(stderr=True).status("")
        self.told_at = time.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if not getattr(record, "is_progress", False):
            if self.status:
                self.status.stop()
            print(message, flush=True)
        elif self.status:
            self.status.update(message)
            self.status.start()
        elif time.monotonic() - self.told_at > 10:
            self.told_at = time.monotonic()
            print(message, flush=True)


if __name__ == "__main__":
    sys.exit(progress.while_read(main))
