"""The command line: `python -m publish ratings|sales|all`."""

import argparse
import logging
import sys

import publish
from storehouse.core import progress
from storehouse.core.errors import StorehouseError

HELP = """\
Hand marts on to their readers. Safe to repeat and to kill: readers see what was there before, or all of the new.

what, and where it goes
  ratings   feedback.product_ratings to Redis: REDIS_URL (redis://user:password@host:6379/0; unset: not published),
            RATINGS_TTL_HOURS (72), how long ratings live without a new run
  sales     sales.agg_daily_sales to Parquet, the days that changed: SALES_EXPORT_URL, a folder or s3://bucket/path
            with AWS_ENDPOINT_URL and the usual AWS credentials (default: export/ in STOREHOUSE_HOME)
  all       both; one that fails doesn't stop the other
docs/publish.md shows how to read them.

exit code: 0 published, or Redis is away and the next run publishes; 1 failed, and the message says what to do
"""


def main() -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m publish", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    whats = {"ratings": publish.product_ratings, "sales": publish.daily_sales}
    parser.add_argument("what", choices=[*whats, "all"], metavar="WHAT", help="ratings, sales or all")
    progress.configure()
    what = parser.parse_args().what
    progress.show("publish", logging.StreamHandler(sys.stderr))
    failed = False
    for name in whats if what == "all" else [what]:
        try:
            whats[name]()
        except StorehouseError as error:
            failed = True
            progress.fail(f"publish {name}: {error}")
        except KeyboardInterrupt:
            progress.fail(f"publish {name}: interrupted. Run it again.")
            return 130
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(progress.while_read(main))
