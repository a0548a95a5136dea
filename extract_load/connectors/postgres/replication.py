"""PostgreSQL's replication protocol, over libpq: a slot, the stream of what it has, and what confirms it.

psycopg opens such a connection and knows nothing more of it; libpq reads and writes its COPY in both directions.
"""

import time
from collections.abc import Callable, Generator
from struct import Struct
from typing import NamedTuple

from psycopg import errors, sql
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus
from psycopg.waiting import Ready, Wait

from extract_load.connectors.postgres import pgoutput
from storehouse.core.databases import Database
from storehouse.core.queries import as_sql, one_row

_DATA, _ALIVE = b"wk"
_DATA_HEADER = 25  # bytes: its kind, two positions and a time
_LSN, _STATUS = Struct(">Q"), Struct(">cQQQqB")
# Seconds: a server has noticed by then that a client has gone; one that gets no further, and waits, has sent all.
_SLOT_FREE_WITHIN, _STANDS_STILL = 15, 1.5


class Slot(NamedTuple):
    """A replication slot as the server has it.

    Attributes:
        is_ours: whether it is of this database, and of the plugin that we read.
        confirmed: LSN: what was committed before it is sent no more.
        held: bytes of WAL that the server keeps for it.
        lost: why it can't be read any more; None: it can.
    """

    is_ours: bool
    confirmed: int
    held: int
    lost: str | None


def lsn(text: str) -> int:
    """An LSN as PostgreSQL writes it, `16/B374D848`, as a number."""
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def written_lsn(position: int) -> str:
    """A number as an LSN."""
    return f"{position >> 32:X}/{position & 0xFFFF_FFFF:X}"


def slot_of(database: Database, name: str) -> Slot | None:
    """The slot of this name; None: there is none."""
    found = database.execute(
        """
        select
            coalesce(plugin = 'pgoutput' and database = current_database(), false),
            coalesce(confirmed_flush_lsn, '0/0')::text,
            coalesce(pg_wal_lsn_diff(
                case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn() end,
                restart_lsn
            ), 0)::bigint,
            case
                when wal_status = 'lost' or to_jsonb(slots) ->> 'invalidation_reason' is not null
                    then coalesce(to_jsonb(slots) ->> 'invalidation_reason', 'wal_removed')
            end
        from pg_replication_slots as slots
        where slot_name = %s
        """,
        [name],
    ).fetchone()
    return Slot(found[0], lsn(found[1]), found[2], found[3]) if found else None


def identity_of(replication: Database) -> tuple[str, int]:
    """The server's system identifier, and the timeline that it writes."""
    system, timeline, *_ = one_row(replication, "IDENTIFY_SYSTEM")
    return system, timeline


def left_at(replication: Database, timeline: int, current: int) -> int | None:
    """Where the server's history left this timeline for a later one, as an LSN; None: it has never been on it."""
    if timeline >= current:
        return None
    history = one_row(replication, sql.SQL("TIMELINE_HISTORY {}").format(current))[1]
    lines = (history.decode() if isinstance(history, bytes) else history).splitlines()
    turns = dict(line.split()[:2] for line in lines if line.strip() and not line.startswith("#"))
    return lsn(turns[str(timeline)]) if str(timeline) in turns else None


def create_slot(replication: Database, name: str, *, failover: bool) -> None:
    """Make a slot, from which all can be read that is committed from now on.

    Raises:
        StorehouseError: there is no free one, or a transaction at the source does not end.
    """
    options = "(SNAPSHOT 'nothing', FAILOVER true)" if failover else "NOEXPORT_SNAPSHOT"
    _create(replication, "CREATE_REPLICATION_SLOT {} LOGICAL pgoutput " + options, name)


def export_snapshot(replication: Database, name: str) -> tuple[int, str]:
    """A snapshot that holds exactly what was committed before an LSN: that, and its name.

    Its slot lives as long as this session, the snapshot until its next command.

    Raises:
        StorehouseError: there is no free slot, or a transaction at the source does not end.
    """
    row = _create(replication, "CREATE_REPLICATION_SLOT {} TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT", name)
    return lsn(row[1]), row[2]


def _create(replication: Database, command: str, name: str) -> tuple:
    advice = {
        errors.ConfigurationLimitExceeded: "Drop a slot that nobody reads (pg_replication_slots), or raise "
        "max_replication_slots at the server; a first load and a snapshot need one more for a moment.",
        errors.LockNotAvailable: "A slot begins when every transaction has ended that is open now. One has been open "
        "for longer than LOCK_WAIT_MINUTES: select pid, usename, xact_start from pg_stat_activity order by xact_start; "
        "or it was prepared: pg_prepared_xacts.",
        errors.InsufficientPrivilege: "Let the role read the change log: alter role … replication.",
    }
    with replication.speaking(advice):
        return one_row(replication, as_sql(command).format(sql.Identifier(name)))


def drop_slot(replication: Database, name: str) -> None:
    """Drop a slot: the server lets go of the WAL that it held."""
    with replication.speaking():
        replication.execute(sql.SQL("DROP_REPLICATION_SLOT {} WAIT").format(sql.Identifier(name)))


def is_waiting(database: Database, replication: Database) -> bool:
    """Whether the server's end of the stream waits for more to send, as another session sees it; else it is busy."""
    with database.speaking():
        return one_row(
            database,
            # Where it computes, it waits for nothing; while it decodes much it writes an answer now and then.
            "select not exists (select from pg_stat_activity where pid = %s and "
            "(wait_event is null or wait_event_type not in ('Activity', 'Client') or wait_event ~* 'WriteData'))",
            [replication.info.backend_pid],
        )[0]


def stream(
    replication: Database, slot: str, publication: str, until: int, has_sent_all: Callable[[], bool]
) -> Generator[bytes, None, int]:
    """The messages of all transactions whose commit lies between what is confirmed and an LSN, in their order.

    Args:
        replication: a session in which nothing else happens.
        slot: its name.
        publication: its name.
        until: the LSN.
        has_sent_all: asked when the server gets no further: it may be busy with a large transaction of other tables.

    Returns:
        The LSN before which all was sent: `until`, or less, if the server has nothing more to send.

    Raises:
        StorehouseError: another reads the slot, or it can't be read.
    """
    with replication.speaking(
        {
            errors.ObjectNotInPrerequisiteState: "If this is a standby, it keeps the slot for its promotion: read the "
            "primary, or through another slot (slot in the declaration).",
            errors.ObjectInUse: f"Another session reads the slot {slot}: let it end, or give each its own (slot).",
            errors.UndefinedObject: f"The publication {publication} was made after the slot, which can't be read with "
            "it: drop the slot, and take a new snapshot (--snapshot).",
        }
    ):
        _start(replication, slot, publication)
        reached, moved_at = 0, time.monotonic()
        while True:
            for message in replication.wait(_arrived(replication)):
                if message[0] == _DATA:
                    data, moved_at = message[_DATA_HEADER:], time.monotonic()
                    if data[0] == pgoutput.BEGIN and pgoutput.committed_at(data) >= until:
                        return until
                    yield data
                elif message[0] == _ALIVE:
                    before, reached = reached, _LSN.unpack_from(message, 1)[0]
                    if reached >= until:
                        return until
                    if reached != before:
                        moved_at = time.monotonic()
                    # It may have half a record on its disk, and writes the rest when somebody needs it.
                    elif time.monotonic() - moved_at > _STANDS_STILL and has_sent_all():
                        return reached


def confirm(replication: Database, position: int) -> None:
    """Tell the server, after `stream`, that what was committed before this LSN is not needed any more."""
    with replication.speaking():
        _tell(replication, position)


def _start(replication: Database, slot: str, publication: str) -> None:
    quoted = '"' + publication.replace('"', '""') + '"'
    command = sql.SQL("START_REPLICATION SLOT {} LOGICAL 0/0 (proto_version '1', publication_names {})").format(
        sql.Identifier(slot), sql.Literal(quoted)
    )
    until = time.monotonic() + _SLOT_FREE_WITHIN
    while True:
        result = replication.pgconn.exec_(command.as_bytes(replication))
        if result.status == ExecStatus.COPY_BOTH:
            return
        error = errors.error_from_result(result)
        # The server may not have noticed yet that the load before this one has gone.
        if not isinstance(error, errors.ObjectInUse) or time.monotonic() > until:
            raise error
        time.sleep(0.2)


def _arrived(replication: Database) -> PQGen[list[bytes]]:
    """What has arrived, at least one message; while nothing does, the server is asked how far it is."""
    connection, messages = replication.pgconn, []
    while True:
        length, data = connection.get_copy_data(1)
        if length > 0:
            messages.append(bytes(data))
        elif length < 0:
            for result in list(iter(connection.get_result, None)):
                if result.status != ExecStatus.COMMAND_OK:
                    raise errors.error_from_result(result)
            raise errors.OperationalError("the stream of changes has ended")
        elif messages:
            return messages
        elif (yield Wait.R) == Ready.NONE:
            _tell(replication, 0)
        else:
            connection.consume_input()


def _tell(replication: Database, confirmed: int) -> None:
    """A status: the position that is confirmed (0: none), and the wish for an answer."""
    replication.pgconn.put_copy_data(_STATUS.pack(b"r", confirmed, confirmed, confirmed, 0, 1))
    replication.pgconn.flush()
