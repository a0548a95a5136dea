"""What a source must have for tables read by their change log; each lack in words, with the statement to run."""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from extract_load.connectors.postgres.catalog import Column, place_in_words, schema_of, written
from extract_load.connectors.postgres.source_rows import written_key
from extract_load.declarations.postgres import Postgres
from extract_load.tables import Table
from storehouse.core.databases import Database
from storehouse.core.queries import one_row, one_value

_EVENTS = ("insert", "update", "delete", "truncate")


class _Identity(NamedTuple):
    """How the log names a row of a table, or of a partition: `kind` is the catalog's letter, `columns` have the key.

    Attributes:
        place: the table in SQL.
        index: a unique index on the declared key, which could identify it.
    """

    place: str
    kind: str
    columns: list[str]
    index: str | None
    is_primary: bool


class Since(NamedTuple):
    """What became of a table's columns since it was last read.

    Attributes:
        added: the names of the new ones.
        altered: the names of those whose values may be others without a change in the log: renamed, added with a
            default or under an old name, rewritten by `alter table`.
    """

    added: set[str]
    altered: list[str]


def declared(table: Table) -> Postgres:
    """What is declared of it."""
    assert isinstance(table.declaration, Postgres)
    return table.declaration


def lacking(database: Database, table: Table) -> list[str]:
    """What the source lacks, in words: the server's setting, the publication, the table's place in it, its identity."""
    publication = declared(table).publication
    if (level := one_value(database, "select current_setting('wal_level')")) != "logical":
        return [f"the server's wal_level is {level}: alter system set wal_level = logical, and restart it"]
    found = database.execute(
        "select pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot from pg_publication where pubname = %s",
        [publication],
    ).fetchone()
    if not found:
        place = place_in_words(table)
        return [
            f"there is no publication {publication}: {_create(publication, place)} (deploy/change_log.sql does all)"
        ]
    lacks = []
    if not all(found[:4]):
        lacks.append(
            f"the publication {publication} leaves changes out: "
            f"alter publication {written(publication)} set (publish = '{', '.join(_EVENTS)}')"
        )
    return [*lacks, *_of_table(database, table, publication, found[4])]


def published(database: Database, table: Table, columns: dict[str, Column]) -> dict[str, Column]:
    """Of the table's columns those that its log has: generated ones may not be in it."""
    names = database.execute(
        """
        select attname from pg_attribute
        where attrelid = %s::oid and attnum > 0 and not attisdropped and (attgenerated = '' or (
            attgenerated = 's' and exists (
                select from pg_publication
                where pubname = %s and to_jsonb(pg_publication) ->> 'pubgencols' = 's'
            )
        ))
        """,
        [oid_of(database, table), declared(table).publication],
    )
    names = {name for (name,) in names}
    return {name: column for name, column in columns.items() if name in names}


def fingerprint(database: Database, table: Table) -> str:
    """Changes when the table, the publication or the table's place in it is made anew: then changes may be missing."""
    return one_value(
        database,
        """
        select left(md5(concat_ws(' ', %(table)s::oid, publication.oid, publication.xmin, place.oid, place.xmin, (
            -- A schema may be in it, from PostgreSQL 15 on.
            select string_agg(refobjid || ' ' || objid, ',' order by objid) from pg_depend
            where classid = to_regclass('pg_publication_namespace') and refclassid = 'pg_publication'::regclass
                and refobjid = publication.oid
        ))), 8)
        from pg_publication as publication
        left join pg_publication_rel as place on prpubid = publication.oid and prrelid = %(table)s::oid
        where pubname = %(publication)s
        """,
        {"table": oid_of(database, table), "publication": declared(table).publication},
    )


def made_of(database: Database, oid: int) -> str:
    """The files that the table is in, and of each column its name and when it was made: hashed, 8 letters, then 3 each.

    `since` says what became of them since then.
    """
    return one_value(
        database,
        """
        select concat(
            (
                select left(md5(string_agg(pg_relation_filenode(part)::text, ' ' order by part)), 8)
                from (
                    select %(table)s::oid as part
                    union
                    select relid::oid from pg_partition_tree(%(table)s::oid::regclass)
                ) as parts
            ),
            (
                select string_agg(left(encode(decode(md5(made), 'hex'), 'base64'), 3), '' order by attnum, number)
                from pg_attribute
                cross join unnest(array[attname::text, xmin::text]) with ordinality as hashed (made, number)
                where attrelid = %(table)s::oid and attnum > 0
            )
        )
        """,
        {"table": oid},
    )


def since(database: Database, oid: int, before: str, columns: Collection[str], raw: Collection[str]) -> Since:
    """What became of the columns of a table of which `made_of` was this before.

    Args:
        database: in a snapshot.
        oid: of the table.
        before: what it was made of.
        columns: those that land.
        raw: those that have landed.
    """
    now = made_of(database, oid)
    is_rewritten = now[:8] != before[:8]
    was, is_ = ([made[n : n + 6] for n in range(8, len(made), 6)] for made in (before, now))
    found = database.execute(
        "select attname, attnum - 1, atthasdef or atthasmissing from pg_attribute "
        "where attrelid = %s::oid and attname = any(%s)",
        [oid, list(columns)],
    ).fetchall()
    added = {name: has_default for name, n, has_default in found if n >= len(was)}
    altered = {name for name, has_default in added.items() if has_default or is_rewritten or name in raw}
    for name, n, _ in found:
        if name not in added and (was[n][:3] != is_[n][:3] or (is_rewritten and was[n] != is_[n])):
            altered.add(name)
    return Since(set(added), sorted(altered))


def oid_of(database: Database, table: Table) -> int:
    """The table's own number at the source, which stays when it is renamed."""
    statement = "select pg_class.oid from pg_class join pg_namespace on pg_namespace.oid = relnamespace "
    return one_value(database, statement + "where nspname = %s and relname = %s", [schema_of(table), table.place])


def _create(publication: str, place: str) -> str:
    return f"create publication {written(publication)} for table {place} with (publish_via_partition_root = true)"


def _of_table(database: Database, table: Table, publication: str, is_via_root: bool) -> Iterator[str]:
    place, oid = place_in_words(table), oid_of(database, table)
    kind, is_logged, has_children, has_generated = one_row(
        database,
        """
        select
            relkind::text, relpersistence = 'p', exists (select from pg_inherits where inhparent = pg_class.oid),
            array(
                select attname from pg_attribute
                where attrelid = pg_class.oid and attgenerated <> '' and not attisdropped
            )::text[]
        from pg_class where oid = %s::oid
        """,
        [oid],
    )
    if kind not in ("r", "p") or not is_logged:
        yield f"{place} is no table that has a log (a view, a foreign or an unlogged table has none): read it otherwise"
        return
    if kind == "r" and has_children:
        yield f"tables inherit from {place}, whose rows the log does not have under its name: read it otherwise"
    if kind == "p" and not is_via_root:
        yield (
            f"{place} is partitioned, and the log names the partitions: "
            f"alter publication {written(publication)} set (publish_via_partition_root = true)"
        )
        return
    membership = database.execute(
        "select to_jsonb(found) ->> 'attnames', to_jsonb(found) ->> 'rowfilter' from pg_publication_tables as found "
        "where pubname = %s and schemaname = %s and tablename = %s",
        [publication, schema_of(table), table.place],
    ).fetchone()
    if not membership:
        yield f"{place} is not in the publication: alter publication {written(publication)} add table {place}"
        return
    if membership[1] is not None or _has_column_list(database, publication, oid):
        what = "some of its rows" if membership[1] is not None else "some of its columns"
        yield (
            f"the publication has {what} only: alter publication {written(publication)} drop table {place}; "
            f"alter publication {written(publication)} add table {place}"
        )
    if generated := sorted(set(has_generated) & (table.columns.keys() - set(table.optional))):
        names = set(generated) - published(database, table, dict.fromkeys(generated)).keys()  # type: ignore[arg-type]
        if names:
            yield (
                f"{', '.join(sorted(names))} is generated, and not in the log: leave it out of columns; or, "
                f"if it is stored, in PostgreSQL 18: alter publication {written(publication)} "
                "set (publish_generated_columns = stored)"
            )
    if not _is_unique(database, table, oid):
        yield (
            f"no unique index of {place} has only columns of the key ({written_key(table)}) and is checked row by row, "
            "so the log can't tell two rows of one key apart: "
            f"create unique index on {place} ({written_key(table)}), or read it otherwise"
        )
    for identity in _identities(database, table, oid):
        yield from _of_identity(table, identity)


def _is_unique(database: Database, table: Table, oid: int) -> bool:
    """Whether no two rows have one key at any moment; a deferrable constraint allows that within a transaction.

    A partitioned table's index must have what it is partitioned by, too: then nobody can do more.
    """
    return one_value(
        database,
        """
        select exists (
            select from pg_index
            where indrelid = %(table)s::oid and indisunique and indisvalid and indimmediate
                and indpred is null and indexprs is null
                and %(key)s::text[] || array(
                    select attname::text
                    from pg_partition_tree(%(table)s::oid::regclass)
                    join pg_partitioned_table on partrelid = relid
                    cross join unnest(partattrs::smallint[]) as number
                    join pg_attribute on attrelid = relid and attnum = number
                ) @> array(
                    select attname::text from unnest(indkey::smallint[]) with ordinality as of_index (number, place)
                    join pg_attribute on attrelid = indrelid and attnum = number
                    where place <= indnkeyatts
                )
        )
        """,
        {"table": oid, "key": list(table.key)},
    )


def _has_column_list(database: Database, publication: str, oid: int) -> bool:
    return one_value(
        database,
        "select exists (select from pg_publication_rel as place join pg_publication on prpubid = pg_publication.oid "
        "where pubname = %s and prrelid = %s::oid and to_jsonb(place) ->> 'prattrs' is not null)",
        [publication, oid],
    )


def _identities(database: Database, table: Table, oid: int) -> list[_Identity]:
    rows = database.execute(
        """
        with leaves as (
            select relid::oid as leaf from pg_partition_tree(%(table)s::oid::regclass) where isleaf
            union
            select oid from pg_class where oid = %(table)s::oid and relkind = 'r'
        ),

        indexes as (
            select
                indrelid, indexrelid, indisprimary, indisreplident,
                array(
                    select attname::text from unnest(indkey::smallint[]) with ordinality as of_index (number, place)
                    join pg_attribute on attrelid = indrelid and attnum = number
                    where place <= indnkeyatts
                ) as names,
                indisunique and indimmediate and indpred is null and indexprs is null and not exists (
                    select from unnest(indkey::smallint[]) as number
                    join pg_attribute on attrelid = indrelid and attnum = number
                    where not attnotnull
                ) as is_fit
            from pg_index join leaves on indrelid = leaf
            where indisvalid
        )

        select
            leaf::regclass::text, relreplident::text,
            coalesce((
                select names from indexes
                where indrelid = leaf
                    and ((relreplident = 'd' and indisprimary) or (relreplident = 'i' and indisreplident))
            ), '{}'),
            fit.name, coalesce(fit.indisprimary, false)
        from leaves
        join pg_class on pg_class.oid = leaf
        left join lateral (
            select quote_ident(relname) as name, indisprimary from indexes join pg_class on pg_class.oid = indexrelid
            where indrelid = leaf and is_fit and names @> %(key)s and names <@ %(key)s
            order by indisprimary desc limit 1
        ) as fit on true
        order by 1
        """,
        {"table": oid, "key": list(table.key)},
    )
    return [_Identity(*row) for row in rows]


def _of_identity(table: Table, identity: _Identity) -> Iterator[str]:
    if identity.kind == "f" or set(table.key) <= set(identity.columns):
        return
    alter = f"alter table {identity.place} replica identity"
    if identity.index:
        remedy = f"{alter} default" if identity.is_primary else f"{alter} using index {identity.index}"
    else:
        remedy = (
            f"{alter} full, with which every change writes the whole old row to the log; or give it a primary key "
            f"({written_key(table)})"
        )
    yield f"the log of {identity.place} does not say of which key ({written_key(table)}) a change is: {remedy}"


def unreadable(columns: dict[str, Column]) -> list[str]:
    """Columns whose text in the log is another than what an ordinary load lands, in words."""
    return [
        f"{name} is {column.type}, whose text depends on the server's lc_monetary: alter it to numeric "
        "there, or read the table otherwise"
        for name, column in columns.items()
        if column.type in ("money", "money[]")
    ]
