"""Of a table that is read by `updated_at`: which rows a load reads, and up to where all is read then."""

from datetime import datetime, timedelta
from typing import NamedTuple

from psycopg import sql

from extract_load.connectors.postgres.catalog import place_of
from extract_load.connectors.postgres.source_rows import version_of
from extract_load.ledger import NO_TIME_BEFORE, logger
from extract_load.tables import Table
from storehouse.core.databases import Database
from storehouse.core.queries import one_row, one_value
from storehouse.core.settings import settings


class Settled(NamedTuple):
    """How far the source's transactions had ended, as far as our role can see them.

    Attributes:
        until: each that began before this time has ended; what is open now may still commit rows with later times.
        open_since: when the oldest that is open began.
        hides: why others may be open that can't be seen, in words.
    """

    until: datetime
    open_since: datetime | None
    hides: str | None


def settled(database: Database) -> Settled:
    """Look at the open transactions of the database: before the snapshot is taken, which then has all that ended.

    One that looks closed here began later than this, or is in the snapshot. A prepared transaction has no time of its
    beginning: it is taken for its time of preparation, and the overlap is for the rest. On a standby, transactions of
    the primary are not seen, only how far it has replayed them.
    """
    with database.speaking(), database.snapshot():
        now, open_since, replayed_at, is_standby, is_hidden = one_row(
            database,
            """
            select
                now(),
                least(
                    (
                        select min(xact_start) from pg_stat_activity
                        where datname = current_database() and pid <> pg_backend_pid()
                            and backend_type not in ('walsender', 'autovacuum worker')
                    ),
                    (select min(prepared) from pg_prepared_xacts where database = current_database())
                ),
                pg_last_xact_replay_timestamp(),
                pg_is_in_recovery(),
                -- What a role may not see of a session is null.
                exists (select from pg_stat_activity where datname = current_database() and backend_type is null)
            """,
        )
    hides = None
    if is_standby:
        hides = "it is a standby, which does not show the transactions of its primary"
    elif is_hidden:
        hides = f"grant pg_read_all_stats to {database.info.user}, so that it sees when others' transactions began"
    bounds = [now, open_since, replayed_at if is_standby else None]
    return Settled(min(bound for bound in bounds if bound), open_since, hides)


def tell_of(source: str, found: Settled, is_first: bool) -> None:
    """Say what a person can change: with the first load, that transactions are hidden; that one is open for long."""
    minutes = settings().overlap_minutes
    if found.hides and is_first:
        news = "%s: what is committed more than %g minutes (OVERLAP_MINUTES) after its time, reconcile alone finds: %s"
        logger.warning(news, source, minutes, found.hides)
    if found.open_since and datetime.now(found.open_since.tzinfo) - found.open_since > timedelta(minutes=minutes):
        news = "%s: a transaction is open at the source since %s: until it ends, loads read again what changed since"
        logger.warning(news, source, f"{found.open_since:%Y-%m-%d %H:%M:%S %Z}")


def end_of_data(database: Database, table: Table, from_: datetime | None, until: datetime | None) -> datetime | None:
    """Where the interval ends that may count as read: just after the last change before `until`, or before now."""
    statement = sql.SQL(
        "select max({version})::timestamptz + interval '1 microsecond' from {table} "
        "where {version} < least({until}, now()) and {version} >= {earliest}"
    ).format(version=sql.Identifier(version_of(table)), table=place_of(table), until=until, earliest=NO_TIME_BEFORE)
    ends = one_value(database, statement)
    return max(ends, from_) if ends and from_ else ends or from_


def within(table: Table, from_: datetime | None, until: datetime | None, is_nullable: bool) -> sql.Composable:
    """The condition of the rows that a load of this interval reads."""
    version = sql.Identifier(version_of(table))
    bounds = [sql.SQL("{} >= {}").format(version, from_)] if from_ else []
    bounds += [sql.SQL("{} < {}").format(version, until)] if until else []
    if not bounds:
        return sql.SQL("true")
    condition = sql.SQL("({}) or {} < {}").format(sql.SQL(" and ").join(bounds), version, NO_TIME_BEFORE)
    return sql.SQL("{} or {} is null").format(condition, version) if is_nullable else condition
