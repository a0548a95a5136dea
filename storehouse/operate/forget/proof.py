"""The proof: what was erased is sought in the whole database; what is still found, or was not searched, is printed."""

import psycopg
from psycopg import sql

from storehouse.core.queries import one_row, one_value
from storehouse.core.settings import settings
from storehouse.operate.forget.places import UNREADABLE, Place, built, refused
from storehouse.operate.forget.sought import FORMS, PENDING, drop, names_person

# How many records are named that a person must look at.
SHOWN = 5
NOT_REACHED = """\
Not reached: backups and the write-ahead log; published copies; the source; and logs, where an earlier version, or a
server with other settings, quoted a record: {home}/logs/dbt.log*, Airflow's task logs, PostgreSQL's own log.
docs/privacy.md says how long each lives."""


def prove(raw: psycopg.Connection, warehouse: psycopg.Connection, places: list[Place]) -> int:
    """Seek what was erased, everywhere; print where it still is, or how far was sought. Returns the exit code."""
    found = found_in(warehouse)
    for place in (*places, *built(), *map(refused, filter(lambda place: place.person, places))):
        if place.person and (rows := _count_left(warehouse, place)):
            found[f"{'.'.join([place.name, place.column, *place.path])}, rows of their own"] = rows
    customers, telling, others = one_row(
        warehouse,
        sql.SQL(
            "select string_agg(distinct customer_id, ', '), count(*) filter (where is_telling), "
            "count(value) filter (where not is_telling) from {}"
        ).format(PENDING),
    )
    if found:
        print(f"{customers}: NOT forgotten. Their values still stand in")
        for place, rows in found.items():
            print(f"  {place:<56}{rows:>9,} rows")
        print(
            "A column that holds them needs its tag (docs/privacy.md); a schema of another target its own dbt build; "
            "a table that no model makes is yours to clean.\n"
            "Then run this again. What is sought stands in the schema forgetting till then."
        )
        return 1
    columns = _text_columns(warehouse)
    tables = len({column[:2] for column in columns})
    print(
        f"{customers}: forgotten. {telling} values are not found any more in {len(columns)} columns of {tables} "
        f"tables; {others} short or shared ones are gone from their own rows."
    )
    _list_unreadable(warehouse, places)
    if unsought := sorted({f"{schema}.{table}" for schema, table, _ in _text_columns(warehouse, is_readable=False)}):
        print(f"Not searched, {warehouse.info.user} may not read it: {', '.join(unsought)}")
    print(NOT_REACHED.format(home=settings().home))
    drop(raw)
    return 0


def _list_unreadable(warehouse: psycopg.Connection, places: list[Place]) -> None:
    """Print where the unreadable records are that may name the person: only who looks at one knows."""
    for place in places:
        if place.path != (UNREADABLE,):
            continue
        rows = warehouse.execute(
            sql.SQL(
                "select format('load %s, row %s', _load_id, _row), count(*) over () from {} where {} "
                "and exists (select from {} where {}) order by _load_id, _row limit {}"
            ).format(
                place.table,
                place.is_left,
                PENDING,
                names_person(place, sql.Identifier("customer_id"), is_surely=False),
                SHOWN,
            )
        ).fetchall()
        if rows:
            print(
                f"Look at {rows[0][1]:,} unreadable records of {place.name}, they may name the id: "
                f"{'; '.join(where for where, _ in rows)}{' …' if rows[0][1] > SHOWN else ''}. "
                "docs/privacy.md says how to erase one."
            )


def found_in(warehouse: psycopg.Connection) -> dict[str, int]:
    """Where telling values stand, in any of their forms, anywhere in the database, and in how many rows."""
    seeks = sql.SQL("exists (select 1 from {} where strpos({}, form) > 0)")
    tables: dict[tuple[str, str], list[str]] = {}
    for schema, table, column in _text_columns(warehouse):
        tables.setdefault((schema, table), []).append(column)
    found = {}
    for name, columns in tables.items():
        texts = [sql.SQL("lower({}::text)").format(sql.Identifier(column)) for column in columns]
        counts = [sql.SQL("count(*) filter (where {})").format(seeks.format(FORMS, text)) for text in texts]
        query = sql.SQL("select {} from {}").format(sql.SQL(", ").join(counts), sql.Identifier(*name))
        for column, rows in zip(columns, one_row(warehouse, query), strict=True):
            if rows:
                found[".".join([*name, column])] = rows
    samples = sql.SQL("lower(concat(most_common_vals::text, histogram_bounds::text))")
    statistics = sql.SQL("select schemaname, tablename, attname from pg_stats where schemaname != 'forgetting' and {}")
    for row in warehouse.execute(statistics.format(seeks.format(FORMS, samples))):
        found[f"{'.'.join(row)}, the planner's statistics"] = 1
    return found


def _text_columns(warehouse: psycopg.Connection, is_readable: bool = True) -> list[tuple[str, str, str]]:
    """Schema, table and column of everything that can hold a text, and may be read, or may not.

    A table with row security is not read: its policies would run as whoever searches, and hide rows. Nor is a type of
    somebody's own: its cast to text would.
    """
    return warehouse.execute(
        """
        select nspname, relname, attname
        from pg_attribute
        join pg_class on pg_class.oid = attrelid
        join pg_namespace on pg_namespace.oid = relnamespace
        join pg_type as types on types.oid = atttypid
        left join pg_type as elements on elements.oid = types.typelem
        where relkind in ('r', 'm', 'f') and attnum > 0 and not attisdropped
          and nspname !~ '^pg_' and nspname != 'information_schema' and nspname != 'forgetting'
          and ('S' in (types.typcategory, elements.typcategory) or types.typname in ('json', 'jsonb', 'xml', 'hstore'))
          and (
            has_table_privilege(pg_class.oid, 'select') and not relrowsecurity
            and (types.typnamespace = 'pg_catalog'::regnamespace or types.typtype in ('b', 'd'))
          ) = %s
        order by nspname, relname, attnum
        """,
        [is_readable],
    ).fetchall()


def _count_left(warehouse: psycopg.Connection, place: Place) -> int:
    count = sql.SQL("select count(*) from {} where {} in (select customer_id from {}) and {}")
    return one_value(warehouse, count.format(place.table, place.person, PENDING, place.is_left))
