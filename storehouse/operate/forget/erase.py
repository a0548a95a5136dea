"""Erasing in raw: the person's values are overwritten where they landed, and the models that read them follow."""

import psycopg
from psycopg import sql

from storehouse.core import transform
from storehouse.core.errors import StorehouseError
from storehouse.core.progress import say
from storehouse.core.queries import as_sql
from storehouse.operate.forget.macros import sql_of
from storehouse.operate.forget.places import UNREADABLE, Place
from storehouse.operate.forget.sought import CHANGED, FORMS, PENDING, names_person

# How many wrong tables a message names.
SHOWN = 5


def hold_plain(raw: psycopg.Connection, places: list[Place]) -> None:
    """Keep the raw tables as they are till the transaction ends, rows apart.

    Raises:
        StorehouseError: one of them is more than a plain table: what is done to it could run code.
    """
    tables = {place.name: place.table for place in places}.values()
    raw.execute(sql.SQL("lock table {} in row exclusive mode").format(sql.SQL(", ").join(tables)))
    if odd := raw.execute(as_sql(sql_of("access/odd_in_raw.sql"))).fetchall():
        words = "; ".join(f"{name} {what}" for name, what in sorted(odd)[:SHOWN])
        raise StorehouseError(
            f"Raw must be plain tables, or what stands there could run code with the rights of this command: {words}. "
            "Nothing was erased. Let an administrator look at it and remove it, and run deploy/roles.sql again."
        )


def wait_for_loads(raw: psycopg.Connection, places: list[Place]) -> None:
    """Wait until the loads are over that have written rows: nobody else sees these rows yet."""
    tables = {place.name: place.table for place in places}.values()
    raw.execute(sql.SQL("lock table {} in share mode").format(sql.SQL(", ").join(tables)))


def overwrite(warehouse: psycopg.Connection, places: list[Place]) -> None:
    """Overwrite the values, and write down which tables were changed."""
    tables = sorted({place.name for place in places})
    types = {
        (table, column): (type_, is_text)
        for table, column, type_, is_text in warehouse.execute(
            "select nspname || '.' || relname, attname, format_type(atttypid, atttypmod), typcategory = 'S' "
            "from pg_attribute join pg_class on pg_class.oid = attrelid "
            "join pg_namespace on pg_namespace.oid = relnamespace "
            "join pg_type on pg_type.oid = atttypid where nspname like 'raw%'"
        )
    }
    changed = set()
    for table in tables:
        theirs = [place for place in places if place.name == table]
        if not theirs[0].person:
            continue
        changes: dict[str, sql.Composable] = {}
        for place in theirs:
            into = changes.get(place.column, sql.Identifier(place.column))
            changes[place.column] = sql.SQL("case when {} then {} else {} end").format(
                place.is_left, place.written(place.word, into, types), into
            )
        done = warehouse.execute(
            sql.SQL("update {} set {} where {} in (select customer_id from {}) and ({})").format(
                theirs[0].table,
                sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(c), e) for c, e in changes.items()),
                theirs[0].person,
                PENDING,
                sql.SQL(" or ").join(place.is_left for place in theirs),
            )
        )
        if done.rowcount:
            changed.add(table)
            say("erased", f"{table:<56}{done.rowcount:>9,} rows")
    changed |= {place.name for place in places if _erase_mentions(warehouse, place, types)}
    changed |= {place.name for place in places if _erase_unreadable(warehouse, place, types)}
    mark = sql.SQL("insert into {} select unnest(%s::text[]) on conflict do nothing").format(CHANGED)
    warehouse.execute(mark, [list(changed)])


def _erase_mentions(warehouse: psycopg.Connection, place: Place, types: dict[tuple, tuple]) -> bool:
    """Telling values that stand in rows of others, or of nobody: a record without an id, a line that nobody could read.

    True when there were any.
    """
    mentioned = sql.SQL(
        "select n, form from {1} where exists (select from {0} where strpos(lower({2}), form) > 0) "
        "order by length(form) desc, n"
    ).format(place.table, FORMS, place.value)
    # Not the form itself: no statement has a value in it.
    found = warehouse.execute(sql.SQL("select n, md5(form) from ({}) as mentioned").format(mentioned)).fetchall()
    for n, digest in found:
        sought = sql.SQL("(select form from {} where n = {} and md5(form) = {})").format(FORMS, n, digest)
        # `***=` takes what follows literally.
        value = sql.SQL("regexp_replace({}, '***=' || {}, {}, 'gi')").format(place.value, sought, place.word)
        done = warehouse.execute(
            sql.SQL("update {} set {} = {} where strpos(lower({}), {}) > 0").format(
                place.table,
                sql.Identifier(place.column),
                place.written(value, sql.Identifier(place.column), types),
                place.value,
                sought,
            )
        )
        say("erased", f"a mention of a {place.kind}, in {place.name}: {done.rowcount:,} rows")
    return bool(found)


def _erase_unreadable(warehouse: psycopg.Connection, place: Place, types: dict[tuple, tuple]) -> bool:
    """What nobody could read, and names the person's id where an id stands: all of it. True when there was any."""
    if place.path != (UNREADABLE,):
        return False
    done = warehouse.execute(
        sql.SQL("update {} set {} = {} where {} and exists (select from {} where {})").format(
            place.table,
            sql.Identifier(place.column),
            place.written(place.word, sql.Identifier(place.column), types),
            place.is_left,
            PENDING,
            names_person(place, sql.Identifier("customer_id")),
        )
    )
    if done.rowcount:
        say("erased", f"unreadable records with the person's id, in {place.name}: {done.rowcount:,} rows")
    return bool(done.rowcount)


def invalidate(warehouse: psycopg.Connection) -> None:
    """Have the tables that have read the changed raw tables compare all of them in the next build."""
    changed = warehouse.execute(sql.SQL("select name from {} order by name").format(CHANGED)).fetchall()
    transform.operate("converge.invalidate", inputs=[name for (name,) in changed])
