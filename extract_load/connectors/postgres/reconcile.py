"""Reconciliation: raw's current rows against the rows of the source, and one load of what was missed.

Both servers hash their living rows, and add the hashes up in buckets by a hash of the key: one pass each, and as many
sums cross the network as there are buckets. Of buckets that differ the hashes of keys and rows do, and of keys that
differ the rows, as a load reads them. docs/sources/postgres.md has what that promises and costs.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import NamedTuple

from psycopg import sql

from extract_load.connectors import Asked, How, Reconciled
from extract_load.connectors.postgres.catalog import INTEGERS, WITH_ZONE, Column, place_of
from extract_load.connectors.postgres.intervals import within
from extract_load.connectors.postgres.landing import adapt_raw, as_raw_holds_them, doubled_keys, make_landing, raw_types
from extract_load.connectors.postgres.source_rows import (
    OP,
    UPSERT,
    copy_across,
    copy_query,
    deleted_of,
    source_columns,
    version_of,
)
from extract_load.ledger import (
    NO_TIME_BEFORE,
    Interval,
    Load,
    LoadResult,
    became_empty,
    copy_into,
    land,
    logger,
    starting_point,
)
from extract_load.tables import Table
from storehouse.core.databases import Database
from storehouse.core.errors import StorehouseError
from storehouse.core.progress import about
from storehouse.core.queries import as_sql, one_row, one_value

BUCKETS = 65_536  # a power of 2; of 10 million rows one has 150
# A condition with more keys than this is larger than the rows that it leaves out.
KEYS_IN_A_CONDITION = 100_000
EXAMPLES = 5

# A row that can't say when it changed: as macros/rules/version_at.sql has it, and its `clock_tolerance_hours`.
NO_VERSION = datetime(1900, 1, 1, tzinfo=UTC)
NO_DELETE_BEFORE = datetime(2000, 1, 1, tzinfo=UTC)
CLOCK_TOLERANCE_HOURS = 24

WORDS = {
    "gone": "deleted at the source",
    "missing": "missing here (committed after their time had been read)",
    "late": "old here (a change was committed after its time had been read)",
    "unversioned": "changed without {version}",
    "set back": "changed with {version} set back",
    "deleted": "marked as deleted without {version}",
    "different": "different",
}
# A table that is read in full or by its change log has no version: what differs has most likely changed since its load.
WITHOUT_VERSION = WORDS | {"missing": "missing here", "deleted": "marked as deleted"}


def reconcile_table(shop: Database, warehouse: Database, table: Table, asked: Asked, how: How) -> Reconciled:
    """Compare one table with the source's snapshot; land what was missed, unless `how.is_dry`.

    Args:
        shop: in a snapshot that was taken when no load of the source could land.
        warehouse: not in a transaction.
        table: the table.
        asked: the run, and whether an empty table is believed.
        how: what is compared.

    Raises:
        StorehouseError: it can't be compared; it is empty at the source; nothing was landed.
    """
    compare = how.compare or ("columns" if table.reconcile == "never" else table.reconcile)
    with shop.speaking(), shop.transaction():
        columns = as_raw_holds_them(warehouse, table, source_columns(shop, table))
        _check_hashes(shop, warehouse, table)
        compared = [name for name in table.columns if name in columns and name not in table.key]
        if compare == "keys":
            compared = [name for name in compared if name == table.version]
        # Elsewhere a text's bytes are others; SQL_ASCII has no encoding to convert.
        is_plain = one_value(shop, "select current_setting('server_encoding') in ('UTF8', 'SQL_ASCII')")
        hashes = _Hashes(table, columns, compared, is_plain)
        op = UPSERT
        if table.deleted in columns:
            op = OP.format(deleted_at=sql.Identifier(deleted_of(table)), earliest=NO_TIME_BEFORE, now=sql.SQL("now()"))
        source = _rows_at_source(warehouse, table, columns, hashes, op)
        raw = _rows_in_raw(table, hashes, raw_types(warehouse, table))
        with warehouse.speaking():
            with warehouse.transaction():
                for database in (shop, warehouse):
                    # With less the sums and the sort go to the disk.
                    database.execute("set local work_mem to '64MB'")
                theirs, ours = _sums_of_both(shop, source, warehouse, _current(raw, "key_hash"))
                buckets = [bucket for bucket in theirs.keys() | ours.keys() if theirs.get(bucket) != ours.get(bucket)]
                _find(shop, warehouse, table, source, raw, buckets)
            counts = dict(warehouse.execute("select verdict, count(*) from _different group by verdict").fetchall())
            at_source, in_raw = (sum(count for count, _ in sums.values()) for sums in (theirs, ours))
            load = None
            if not how.is_dry:
                if at_source == 0 < in_raw and not asked.allow_empty:
                    _check_empty(shop, table)
                load = _land(shop, warehouse, table, columns, asked, op, hashes)
            keys = warehouse.execute(
                "select key_hash from _different where verdict <> 'unread' order by verdict, key_hash limit %s",
                [EXAMPLES],
            ).fetchall()
    in_words = WORDS if table.version else WITHOUT_VERSION
    found = {words.format(version=table.version): counts[kind] for kind, words in in_words.items() if kind in counts}
    result = Reconciled(
        table.label,
        compare,
        at_source,
        in_raw,
        found,
        counts.get("unread", 0),
        load,
        [key for (key,) in keys],
        hashes.of_key(1, columns).as_string(warehouse),
    )
    with about(table=table.name):
        logger.info("%s", result.line)
    return result


class _Hashes(NamedTuple):
    """The SQL that hashes a row of a table, equal on both servers for equal rows.

    Of integers and times the value is hashed, of everything else the UTF-8 of its text, without a collation: 1.0 and
    1.00 differ. A column's hash has a seed of its own.
    """

    table: Table
    columns: Mapping[str, Column]
    compared: list[str]
    is_plain: bool

    def of_key(self, number: int, there: Mapping[str, Column] | None = None) -> sql.Composable:
        """The key's hash of this number, 1 or 2, of 64 bits each: at the source where `there` says what is cast."""
        parts = [self._of(name, 1000 * number + n, there) for n, name in enumerate(self.table.key)]
        return sql.SQL("hashint8extended({}, 0)").format(sql.SQL(" # ").join(parts))

    def of_row(
        self, there: Mapping[str, Column] | None = None, lacking: frozenset[str] = frozenset()
    ) -> sql.Composable:
        """The hash of the key and what is compared; a null, and a column that raw lacks, adds nothing."""
        parts = [self.of_key(1, there)]
        for n, name in enumerate(self.compared):
            if name not in lacking:
                parts.append(sql.SQL("coalesce({}, 0)").format(self._of(name, n, there)))
        return sql.SQL("hashint8extended({}, 1)").format(sql.SQL(" # ").join(parts))

    def _of(self, name: str, seed: int, there: Mapping[str, Column] | None) -> sql.Composable:
        type_, value = self.columns[name].landed_as, sql.Identifier(name)
        if there and there[name].is_cast:
            value = sql.SQL("{}::{}").format(value, as_sql(type_))
        if type_ in INTEGERS:
            form = "hashint8extended({}::bigint, {})"
        elif type_ == WITH_ZONE:
            form = "timestamp_hash_extended({} at time zone 'UTC', {})"
        elif type_ == "timestamp without time zone":
            # An empty raw may have another type yet.
            form = "timestamp_hash_extended({}::timestamp, {})"
        elif self.is_plain:
            form = 'hashtextextended({}::text collate "C", {})'
        else:
            form = "hashtextextended(encode(convert_to({}::text, 'UTF8'), 'hex') collate \"C\", {})"
        return as_sql(form).format(value, seed)


def _check_hashes(shop: Database, warehouse: Database, table: Table) -> None:
    """Both servers must hash alike: all of PostgreSQL 14 and later do on machines of the same byte order."""
    asked = (
        "select hashint8extended(-42, 1), timestamp_hash_extended('2026-01-31 12:00:00.5', 2), "
        "hashtextextended('Storehouse, and more than twelve bytes' collate \"C\", 3)"
    )
    if one_row(shop, asked) != one_row(warehouse, asked):
        raise StorehouseError(
            f"{table.label}: {shop.where} hashes in another way than the warehouse (a machine of another byte order, "
            "or no PostgreSQL), so their sums can't be compared. Let reconcile in its declaration be never."
        )


def _rows_at_source(
    warehouse: Database, table: Table, columns: Mapping[str, Column], hashes: _Hashes, op: sql.Composable
) -> sql.Composable:
    """The source's rows with a key, and whether the next load reads them."""
    counts_as, is_read = sql.SQL("null::timestamptz"), sql.SQL("false")
    if table.version:
        version = sql.SQL("{}::timestamptz").format(sql.Identifier(table.version))
        latest_at = sql.SQL("now() + interval '{} hours'").format(CLOCK_TOLERANCE_HOURS)
        counts_as = _counts_as(version, op, sql.SQL("now()"), latest_at)
        from_, _ = starting_point(warehouse, table, Interval(None, None))
        is_read = within(table, from_, None, columns[version_of(table)].is_nullable)
    return sql.SQL(
        "select {} as key_hash, {} as key_hash_2, {} as row_hash, {} as op, {} as counts_as, ({}) as is_read "
        "from {} where row({}) is not null"
    ).format(
        hashes.of_key(1, columns),
        hashes.of_key(2, columns),
        hashes.of_row(columns),
        op,
        counts_as,
        is_read,
        place_of(table),
        _listed(table.key),
    )


def _rows_in_raw(table: Table, hashes: _Hashes, raw: Mapping[str, str]) -> sql.Composable:
    """All of raw's rows with a key; the current one of each is the greatest by `counts_as`, load and row."""
    counts_as = sql.SQL("null::timestamptz")
    if table.version:
        version = sql.SQL("{}::timestamptz").format(sql.Identifier(table.version))
        counts_as = sql.SQL(
            "case when _op = 'd' and _supersedes is not null then _supersedes else greatest({}, _supersedes) end"
        ).format(_counts_as(version, sql.SQL("_op"), sql.SQL("_load_ended_at"), sql.SQL("_load_latest_at")))
    return sql.SQL(
        "select {} as key_hash, {} as key_hash_2, {} as row_hash, _op as op, {} as counts_as, _load_id, _row "
        # By `offset 0` the times are computed once a load, and not once a row.
        "from {} left join (select load_id as _load_id, coalesce(interval_until, started_at) as _load_ended_at, "
        "coalesce(interval_until, started_at) + interval '{} hours' as _load_latest_at from raw.loads offset 0"
        ") as loads using (_load_id) where row({}) is not null"
    ).format(
        hashes.of_key(1),
        hashes.of_key(2),
        hashes.of_row(lacking=frozenset(hashes.compared) - raw.keys()),
        counts_as,
        sql.Identifier(table.schema, table.name),
        CLOCK_TOLERANCE_HOURS,
        _listed(table.key),
    )


def _counts_as(
    version: sql.Composable, op: sql.Composable, ended_at: sql.Composable, latest_at: sql.Composable
) -> sql.Composable:
    """The version that dbt takes a row for: the rule of macros/rules/version_at.sql."""
    return sql.SQL(
        "case when {version} <= {latest_at} and ({op} = 'u' or {version} >= {earliest}) then {version} "
        "when {op} = 'd' then {ended_at} else {none} end"
    ).format(version=version, op=op, ended_at=ended_at, latest_at=latest_at, earliest=NO_DELETE_BEFORE, none=NO_VERSION)


def _current(rows: sql.Composable, key: str) -> sql.Composable:
    """The current row of each key, of raw's."""
    return sql.SQL(
        "select distinct on ({key}) * from ({rows}) as landed order by {key}, counts_as desc, _load_id desc, _row desc"
    ).format(key=as_sql(key), rows=rows)


def _sums_of_both(
    shop: Database, source: sql.Composable, warehouse: Database, raw: sql.Composable
) -> tuple[dict[int, tuple[int, int]], dict[int, tuple[int, int]]]:
    """The sums of the source and of raw, which both servers make at the same time."""
    with ThreadPoolExecutor(1) as beside:
        theirs = beside.submit(_sums, shop, source)
        try:
            ours = _sums(warehouse, raw)
            return theirs.result(), ours
        except BaseException:
            # Else the pool would wait for the source's.
            shop.cancel()
            raise


def _sums(database: Database, rows: sql.Composable) -> dict[int, tuple[int, int]]:
    """By bucket: how many living rows it has, and their hashes together."""
    statement = sql.SQL(
        "select (key_hash & {})::integer, count(*), bit_xor(row_hash) from ({}) as living where op = 'u' group by 1"
    ).format(BUCKETS - 1, rows)
    with database.speaking():
        return {bucket: (count, sum_) for bucket, count, sum_ in database.execute(statement)}


_HASHED = ["key_hash", "key_hash_2", "row_hash", "op", "counts_as", "is_read"]


def _find(
    shop: Database,
    warehouse: Database,
    table: Table,
    source: sql.Composable,
    raw: sql.Composable,
    buckets: list[int],
) -> None:
    """Compare the keys of these buckets one by one: `_different` has those that differ, and how they do."""
    warehouse.execute(
        "drop table if exists pg_temp._at_source, pg_temp._different; "
        "create temp table _at_source (key_hash bigint, key_hash_2 bigint, row_hash bigint, op text, "
        "counts_as timestamptz, is_read boolean)"
    )
    in_buckets = sql.SQL("select * from ({}) as hashed where (key_hash & {})::integer = any({}::integer[])")
    if buckets:
        copy_query(
            shop,
            warehouse,
            table,
            in_buckets.format(source, BUCKETS - 1, buckets),
            copy_into(sql.Identifier("pg_temp", "_at_source"), _HASHED, binary=True),
        )
    _check_keys(warehouse, table)
    warehouse.execute("analyze pg_temp._at_source")
    # With no buckets nothing of raw need be read again.
    of_raw = (
        in_buckets.format(raw, BUCKETS - 1, buckets)
        if buckets
        else sql.SQL("select * from ({}) as hashed where false").format(raw)
    )
    current = _current(of_raw, "key_hash, key_hash_2")
    warehouse.execute(
        sql.SQL(
            """
            create temp table _different as
            select
                key_hash,
                key_hash_2,
                current._load_id as in_load,
                current._row as in_row,
                current.counts_as as supersedes,
                case
                    when there.op is null then 'gone'
                    when there.is_read and (current.op is null or there.counts_as >= current.counts_as) then 'unread'
                    when current.op is null or current.op = 'd' then 'missing'
                    when there.op = 'd' then 'deleted'
                    when current.counts_as is null then 'different'
                    when there.counts_as > current.counts_as then 'late'
                    when there.counts_as = current.counts_as then 'unversioned'
                    else 'set back'
                end as verdict
            from _at_source as there
            full join ({current}) as current using (key_hash, key_hash_2)
            where
                case
                    when there.op = 'u' and current.op = 'u' then there.row_hash <> current.row_hash
                    else coalesce(there.op, 'd') <> coalesce(current.op, 'd')
                end
            """
        ).format(current=current)
    )


def _check_keys(warehouse: Database, table: Table) -> None:
    """Of two living rows of one key at the source, nobody can say which is the current one."""
    count = one_value(
        warehouse,
        "select count(*) from (select from _at_source where op = 'u' group by key_hash, key_hash_2 "
        "having count(*) > 1) as doubled",
    )
    if count:
        raise doubled_keys(table, count, "Nobody can say which of them is the current one, so they can't be compared.")


def _check_empty(shop: Database, table: Table) -> None:
    if not one_value(shop, sql.SQL("select exists (select from {})").format(place_of(table))):
        raise became_empty(table.label)


def _land(
    shop: Database,
    warehouse: Database,
    table: Table,
    columns: dict[str, Column],
    asked: Asked,
    op: sql.Composable,
    hashes: _Hashes,
) -> LoadResult:
    """Land what `_different` has: first what is gone, with its last known values, then the rows as they are read.

    Each says which version it supersedes: so it wins over all that had landed, and a later change wins over it.
    """
    load = Load(table, kind="reconcile", run_id=asked.run_id, is_one_of_many=True)
    raw = sql.Identifier(table.schema, table.name)

    def write(load_id: int) -> int:
        known = raw_types(warehouse, table)
        gone = warehouse.execute(
            sql.SQL(
                "insert into {raw} ({known}, _load_id, _row, _op, _supersedes) "
                "select {last_known}, {load_id}, row_number() over (), 'd', different.supersedes "
                "from {raw} as landed join _different as different "
                "on landed._load_id = different.in_load and landed._row = different.in_row "
                "where different.verdict = 'gone'"
            ).format(raw=raw, known=_listed(known), last_known=_listed(known, "landed"), load_id=load_id)
        ).rowcount
        wanted = [
            key
            for (key,) in warehouse.execute("select key_hash from _different where verdict not in ('gone', 'unread')")
        ]
        if not wanted:
            return gone
        condition, key = sql.SQL("{} = any({}::bigint[])"), hashes.of_key(1, columns)
        if len(wanted) > KEYS_IN_A_CONDITION:
            key, wanted = sql.SQL("({} & {})").format(key, BUCKETS - 1), list({key & BUCKETS - 1 for key in wanted})
        landing = make_landing(warehouse, columns)
        copy_across(shop, warehouse, table, columns, condition.format(key, wanted), op, load, load_id, landing)
        return (
            gone
            + warehouse.execute(
                sql.SQL(
                    "insert into {raw} ({columns}, _load_id, _row, _op, _supersedes) "
                    "select {as_read}, {load_id}, {gone} + row_number() over (order by landing._row), landing._op, "
                    "different.supersedes from {landing} as landing "
                    "join (select _row, {key_hash} as key_hash, {key_hash_2} as key_hash_2 from {landing}) as hashed "
                    "on landing._row = hashed._row join _different as different "
                    "on hashed.key_hash = different.key_hash and hashed.key_hash_2 = different.key_hash_2 "
                    "where different.verdict not in ('gone', 'unread')"
                ).format(
                    raw=raw,
                    columns=_listed(columns),
                    as_read=_listed(columns, "landing"),
                    load_id=load_id,
                    gone=gone,
                    landing=landing,
                    key_hash=hashes.of_key(1),
                    key_hash_2=hashes.of_key(2),
                )
            ).rowcount
        )

    return land(warehouse, load, write, lambda load_id: adapt_raw(warehouse, table, columns, load_id))


def _listed(names: Iterable[str], *of: str) -> sql.Composed:
    """Columns with commas between them, those of a relation of this alias."""
    return sql.SQL(", ").join(sql.Identifier(*of, name) for name in names)
