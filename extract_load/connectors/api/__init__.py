"""APIs that answer in JSON: each partition's records, a page at a time, as they came.

`http` asks, `pages` follows a list, `readings` reads one that may move, `records` finds the records in an answer, and
`looks` is what `discover` and `check` see. docs/sources/api.md has every field of the declaration.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
from psycopg import sql

from extract_load.connectors import Asked
from extract_load.connectors.api.looks import check, discover
from extract_load.connectors.api.pages import Page
from extract_load.connectors.api.readings import BEGINNING, Question, read_interval, read_whole, times
from extract_load.connectors.api.records import Record, look
from extract_load.declarations.api import Api
from extract_load.ledger import (
    NO_TIME_BEFORE,
    Load,
    LoadResult,
    check_not_empty,
    copy_into,
    copy_rows,
    each,
    land,
    one_at_a_time,
    starting_point,
)
from extract_load.payload import payload
from extract_load.tables import Table
from storehouse.core.databases import Database
from storehouse.core.errors import StorehouseError
from storehouse.core.queries import one_value
from storehouse.core.shown import shown

__all__ = ["check", "discover", "load", "ready"]

WELL = ("ok", "up", "pass", "healthy")  # the status that healthy APIs report
ANSWER_WITHIN = 10  # seconds, the question whether it is well


def ready(tables: list[Table], until: datetime | None, from_: datetime | None) -> str | None:
    """None when the API says that it is well, or, where no `health` is declared, answers each list's first page."""
    questions = [Question.of(table) for table in tables]
    asked: set[str] = set()
    for question in questions:
        place = question.api.health or question.api.path
        if place not in asked and (lacks := _why_not_ready(question, until, from_)):
            return lacks
        asked.add(place)
    return None


def _why_not_ready(question: Question, until: datetime | None, from_: datetime | None) -> str | None:
    with question.http() as http:
        if question.api.health:
            request = http.request(question.api.health)
        else:
            now = datetime.now(UTC)
            request = question.probe(http, from_ or now - timedelta(days=1), until or now)
        answer = http.ask(request, ANSWER_WITHIN)
    where = shown(str(answer.request.url.copy_with(query=None)))
    if answer.status_code == 200:
        if not question.api.health or _is_well(answer):
            return None
        return f'{where} answers 200, but not the {{"status": "ok"}} of one that is well'
    said = f"{where} answers {answer.status_code}"
    # As extract-load decides it.
    if answer.status_code == 429 or answer.status_code >= 500:
        return said
    raise StorehouseError(
        f"{said}. Check {http.checks}, with user and password if it needs them (docs/sources/api.md)."
    )


def _is_well(answer: httpx.Response) -> bool:
    """True if the answer says so. A sign-in page, an empty answer or `down` does not."""
    try:
        status = answer.json()["status"]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return False
    return isinstance(status, str) and status.lower() in WELL


def load(warehouse: Database, tables: list[Table], asked: Asked) -> list[LoadResult]:
    """Land the records of an interval, or of a whole list what is new and changed in it, a load for each partition.

    An interval is asked for up to now at most. What the ledger records ends after the last version that came, or where
    it began if nothing did: so an API whose clock is not ours can't move the watermark past what is still to come. The
    same holds where the API knows no end of an interval, and sends later records too: they land and move nothing.

    Raises:
        StorehouseError: what failed, a line each.
    """
    questions = [
        Question.of(table, partition)
        for table in tables
        for partition in ([asked.partition] if asked.partition else table.partitions)
    ]
    with one_at_a_time(tables):
        return each(lambda question: _load_partition(warehouse, question, asked), questions)


def _load_partition(warehouse: Database, question: Question, asked: Asked) -> LoadResult:
    table, partition = question.table, question.partition
    load = Load(table, partition, run_id=asked.run_id)
    op_of = _deletes(question.api)
    if question.api.read == "full":

        def write(load_id: int) -> int:
            landing = sql.Identifier("pg_temp", "_landing")
            warehouse.execute("create temp table _landing (payload jsonb, _op text, _row bigint) on commit drop")
            with question.http() as http, warehouse.cursor().copy(copy_into(landing, _LANDED)) as copy:
                for row, record in enumerate(_records(load, read_whole(http, question)), start=1):
                    copy.write_row((payload(record.text), op_of(record), row))
            return _append_differences(warehouse, question, load_id, asked.allow_empty)

        return land(warehouse, load, write)

    from_, until = starting_point(warehouse, table, asked.interval, partition)
    # What is dated in the future can change on and on while it is read: the next load takes it.
    now = datetime.now(UTC)
    until = max(min(until or now, now), from_ or BEGINNING)
    load.interval_from = load.interval_until = from_
    changed_at = times(question.api)

    def feed(write: Callable[..., None]) -> None:
        if from_ == until:
            return
        with question.http() as http:
            for record in _records(load, read_interval(http, question, from_ or BEGINNING, until)):
                write(payload(record.text), op_of(record), partition)
                changed = changed_at(record.value)
                if changed and NO_TIME_BEFORE <= changed < until:
                    just_after = changed + timedelta(microseconds=1)
                    load.interval_until = max(load.interval_until or just_after, just_after)

    columns = ["payload", "_op", "_partition"]
    return land(warehouse, load, lambda load_id: copy_rows(warehouse, table, columns, load_id, feed))


_LANDED = ["payload", "_op", "_row"]


def _records(load: Load, pages: Iterable[Page]) -> Iterator[Record]:
    """The records of pages; what the ledger tells of them is noted in the load."""
    for page in pages:
        load.account(page.body)
        for record in page.records:
            load.members.update(record.value if isinstance(record.value, dict) else ())
            yield record


def _deletes(api: Api) -> Callable[[Record], str]:
    """What says `d` of a record that is deleted, as its declaration tells, and `u` of any other."""
    path, values = api.deleted, set(api.deleted_values or ())
    if path is None:
        return lambda record: "u"
    if not values:
        return lambda record: "d" if look(record.value, path) is True else "u"
    return lambda record: "d" if str(look(record.value, path)) in values else "u"


def _append_differences(warehouse: Database, question: Question, load_id: int, allow_empty: bool) -> int:
    """Compare the list in `_landing` with the latest state in raw; land what is new, changed, and gone if that counts.

    A record without its whole key is compared as a whole, and never gone.

    Raises:
        StorehouseError: the list is empty and was not before, or has two records of one key.
    """
    table, api = question.table, question.api
    steps = [sql.SQL("payload #>> {}").format(name.split(".")) for name in table.key]
    has_key = sql.SQL(" and ").join(sql.SQL("{} is not null").format(step) for step in steps)
    key = sql.SQL("case when {} then jsonb_build_array({})::text else payload::text end").format(
        has_key, sql.SQL(", ").join(steps)
    )
    parts = {
        "raw": sql.Identifier(table.schema, table.name),
        "key": key,
        "has_key": has_key,
        "partition": question.partition,
        "load_id": load_id,
        "gone": sql.SQL("true" if api.gone_is_deleted else "false"),
    }
    doubled = one_value(
        warehouse,
        sql.SQL(
            "select count(*) from "
            "(select from _landing where {has_key} group by {key} having count(distinct payload::text) > 1) as doubled"
        ).format(**parts),
    )
    if doubled:
        raise StorehouseError(
            f"{question.label}: keys ({', '.join(table.key)}) with more than one record: {doubled:,}. It is read in "
            "full, and each load would take another record for the current one. Nothing of this load was landed. "
            "If one has only moved while the list was read, run it again; else declare a key that names one record."
        )
    current = sql.SQL(
        "select distinct on ({key}) {key} as _key, {has_key} as _has_key, payload, _op from {raw} "
        "where _partition is not distinct from {partition} order by {key}, _load_id desc, _row desc"
    ).format(**parts)
    if not allow_empty:
        check_not_empty(warehouse, question.label, current)
    statement = sql.SQL(
        """
        with current as materialized ({current}),

        snapshot as materialized (
            select distinct on ({key}) {key} as _key, payload, _row, _op from _landing order by {key}, _row desc
        ),

        changed as (
            select payload, _op, row_number() over (order by snapshot._row) as _row
            from snapshot
            where not exists (
                select from current
                where current._key = snapshot._key
                    and current._op = snapshot._op
                    and current.payload::text = snapshot.payload::text
            )
        ),

        gone as (
            select payload from current
            where {gone} and _has_key and _op <> 'd' and not exists (
                select from snapshot where snapshot._key = current._key
            )
        ),

        landed as (
            insert into {raw} (payload, _partition, _load_id, _row, _op)
            select payload, {partition}, {load_id}, _row, _op from changed
            union all
            select payload, {partition}, {load_id}, (select count(*) from changed) + row_number() over (), 'd' from gone
            returning 1
        )

        select count(*) from landed
        """
    ).format(current=current, **parts)
    return one_value(warehouse, statement)
