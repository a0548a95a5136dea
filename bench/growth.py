"""Do tables swell? Thirty daily runs of the demo shop, and each table's size beside a fresh build of the same rows.

    python -m bench.growth [--days 30] [--size 1] [--pause 12]

The home (STOREHOUSE_HOME) must be empty. Between two runs it waits `--pause` seconds, in which autovacuum does what it
has a day for otherwise.
"""

import argparse
import time

import psycopg

import demo
from bench.scale import extract
from storehouse.core import progress, transform
from storehouse.core.settings import settings
from storehouse.core.transform import DAILY
from storehouse.laptop import local
from storehouse.operate import audit
from storehouse.operate.run import FIRST_DAYS

SIZES = """
select format('%I.%I', n.nspname, c.relname), pg_table_size(c.oid), pg_table_size(twin.oid)
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
join pg_class as twin on twin.oid = to_regclass(format('audit_%I.%I', n.nspname, c.relname))
where c.relkind = 'r' and pg_table_size(twin.oid) > 1000000
order by 3 desc
"""


def main() -> None:
    """Play, run, rebuild beside it, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--size", type=float, default=1)
    parser.add_argument("--pause", type=float, default=12)
    arguments = parser.parse_args()
    progress.configure()
    local.start()
    demo.advance(days=FIRST_DAYS, size=arguments.size)
    extract()
    transform.build(DAILY)
    for day in range(arguments.days):
        demo.advance(days=1)
        extract()
        transform.build(DAILY)
        print(f"day {day + 1} of {arguments.days}", flush=True)
        time.sleep(arguments.pause)
    transform.build(["run", "--target", audit.SCRATCH, "--select", "config.materialized:converging"])
    with psycopg.connect(settings().warehouse_conninfo()) as warehouse:
        sizes = warehouse.execute(SIZES).fetchall()
    audit.drop_scratch()
    print(f"{'table':<48}{'grown MB':>10}{'fresh MB':>10}{'ratio':>8}")
    for name, grown, fresh in [*sizes, ("all", sum(s[1] for s in sizes), sum(s[2] for s in sizes))]:
        print(f"{name:<48}{grown / 1e6:>10.1f}{fresh / 1e6:>10.1f}{grown / fresh:>8.2f}")
    local.stop()


if __name__ == "__main__":
    main()
