"""Forgetting a person: what is personal is overwritten where it landed, the models follow, and a search proves it.

The tags in YAML say what is personal (`meta: {pii: …}`) and whose a landed row is (`meta: {person: …}`).
docs/privacy.md says more.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import psycopg
from psycopg import sql

from extract_load.databases import open_warehouse, take_lock
from storehouse import local, transform
from storehouse.errors import StorehouseError
from storehouse.local import say
from storehouse.run import DAILY

# What stands in the place of a value. An e-mail address stays one, so that no rule judges the row otherwise.
WORDS = {"email": "forgotten@example.invalid"}
WORD = "forgotten"
# A value this short, or one that others have too, says nothing about where it stands: it is sought in own rows only.
TELLING = 8
PENDING = sql.Identifier("raw", "forgetting")


class Place(NamedTuple):
    """A tagged column, or a path in a JSON column: where it is, what kind of value it holds, whose the row is."""

    name: str
    table: sql.Composable
    column: str
    path: tuple[str, ...]
    kind: str
    person: sql.Composable | None

    @property
    def value(self) -> sql.Composable:
        """The value as text."""
        return _text(self.column, self.path)

    @property
    def word(self) -> sql.Composable:
        """What is written over the value."""
        return sql.Literal(WORDS.get(self.kind, WORD))

    @property
    def is_left(self) -> sql.Composable:
        """True while a value stands there. A word may have been cut to the column's length."""
        return sql.SQL("(trim({0}) != '' and not starts_with({1}, {0}))").format(self.value, self.word)

    def written(self, value: sql.Composable, into: sql.Composable, types: dict[tuple, tuple]) -> sql.Composable:
        """`into`, the column or a change of it, with this text in the place of the value."""
        if self.path:
            form = sql.SQL("jsonb_set({}, {}, to_jsonb({}::text), false)")
            return form.format(into, sql.Literal(list(self.path)), value)
        name, is_text = types[self.name, self.column]
        return sql.SQL("cast({} as {})").format(value, sql.SQL(name)) if is_text else sql.SQL("null")


def forget(customers: list[str]) -> int:
    """Erase the customers (`web-…`, `mkt-…`) from raw and from all that is built of it; returns the exit code.

    Safe to kill and to repeat: what was begun, and is not proven yet, is ended first.

    Raises:
        StorehouseError: nobody has such an id.
    """
    local.start()
    transform.names(["--resource-type", "source"])
    places = list(_landed_places())
    with open_warehouse("transform") as warehouse, warehouse.speaking():
        # No statement here has a value in it: a server that logs statements logs none.
        with warehouse.transaction():
            pending = _collect(warehouse, places, customers)
            if pending:
                _tell_of_shared(warehouse)
                for place, rows in _found(warehouse).items():
                    say("stands in", f"{place:<56}{rows:>9,} rows")
                _erase(warehouse, places)
            else:
                warehouse.execute(sql.SQL("drop table {}").format(PENDING))
        if not pending:
            print(f"{', '.join(customers)}: forgotten before, nothing of theirs is left.")
            return 0
        if failures := transform.build(DAILY):
            raise StorehouseError(
                "Raw is erased, but the build that carries it on failed. Mend it, then run this again:\n  "
                + "\n  ".join(failures)
            )
        for table in {place.name: place.table for place in (*places, *_built_places())}.values():
            # Old versions of a row, and samples of it in the planner's statistics, hold the values too.
            warehouse.execute(sql.SQL("vacuum (analyze) {}").format(table))
        return _prove(warehouse, places)


def _collect(warehouse: psycopg.Connection, places: list[Place], customers: list[str]) -> bool:
    """Write down what is to be erased and sought, until it is proven; True when there is anything.

    Raises:
        StorehouseError: nobody has such an id.
    """
    warehouse.execute(
        sql.SQL(
            "create table if not exists {} (n int generated always as identity, customer_id text, kind text, "
            "value text, is_telling boolean default false, unique (customer_id, kind, value))"
        ).format(PENDING)
    )
    known = set()
    for table, person in {place.name: (place.table, place.person) for place in places if place.person}.values():
        of = sql.SQL("select distinct {0} from {1} where {0} = any(%s)").format(person, table)
        known |= {row[0] for row in warehouse.execute(of, [customers])}
    if unknown := set(customers) - known:
        raise StorehouseError(
            f"There is no customer {', '.join(sorted(unknown))}. An id is web-… of the shop or mkt-… of the "
            "marketplace, as customer_id in core.dim_customers."
        )
    for place in places:
        if place.person:
            warehouse.execute(
                sql.SQL(
                    "insert into {0} (customer_id, kind, value) select {1}, {2}, lower(trim({3})) from {4} "
                    "where {1} = any(%s) and {5} on conflict do nothing"
                ).format(PENDING, place.person, sql.Literal(place.kind), place.value, place.table, place.is_left),
                [customers],
            )
    warehouse.execute(
        sql.SQL("update {} set is_telling = length(value) >= %s and (kind != 'name' or value like '%% %%')").format(
            PENDING
        ),
        [TELLING],
    )
    for place in places:
        if place.person:
            warehouse.execute(
                sql.SQL(
                    "update {0} as sought set is_telling = false where is_telling and kind = {1} and exists ("
                    "select 1 from {2} where {3} not in (select customer_id from {0}) "
                    "and strpos(lower({4}), sought.value) > 0)"
                ).format(PENDING, sql.Literal(place.kind), place.table, place.person, place.value)
            )
    return warehouse.execute(sql.SQL("select exists (select from {})").format(PENDING)).fetchone()[0]


def _erase(warehouse: psycopg.Connection, places: list[Place]) -> None:
    """Overwrite the values, and tell converge that what landed has changed: its readers compare all of it next time."""
    tables = sorted({place.name for place in places})
    states = [
        sql.Identifier(*row)
        for row in warehouse.execute(
            "select nspname, relname from pg_class join pg_namespace on pg_namespace.oid = relnamespace "
            "where relname = 'inputs' and nspname like '%converge'"
        )
    ]
    for state in states:
        # A reader that is at work has read the old values: it ends first.
        readers = warehouse.execute(
            sql.SQL(
                "select hashtextextended('converge ' || nspname || '.' || relname, 0), nspname || '.' || relname "
                "from (select distinct relation from {} where input = any(%s)) as readers "
                "join pg_class on relation = pg_class.oid join pg_namespace on pg_namespace.oid = relnamespace"
            ).format(state),
            [tables],
        )
        for key, reader in readers.fetchall():
            take_lock(warehouse, key, reader)
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
    for state in states:
        warehouse.execute(sql.SQL("delete from {} where input = any(%s)").format(state), [list(changed)])


def _erase_mentions(warehouse: psycopg.Connection, place: Place, types: dict[tuple, tuple]) -> bool:
    """Telling values that stand in rows of others, or of nobody: a record without an id, a line that nobody could read.

    True when there were any.
    """
    mentioned = sql.SQL("select distinct n from {} join {} on is_telling and strpos(lower({}), value) > 0 order by n")
    found = warehouse.execute(mentioned.format(place.table, PENDING, place.value)).fetchall()
    for (n,) in found:
        sought = sql.SQL("(select value from {} where n = {})").format(PENDING, n)
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


def _prove(warehouse: psycopg.Connection, places: list[Place]) -> int:
    """Seek what was erased, everywhere; print where it still is, or how far was sought. Returns the exit code."""
    found = _found(warehouse)
    for place in (*places, *_built_places(), *map(_refused, filter(lambda place: place.person, places))):
        if place.person and (rows := _count_left(warehouse, place)):
            found[f"{'.'.join([place.name, place.column, *place.path])}, rows of their own"] = rows
    customers, telling, others = warehouse.execute(
        sql.SQL(
            "select string_agg(distinct customer_id, ', '), count(*) filter (where is_telling), "
            "count(*) filter (where not is_telling) from {}"
        ).format(PENDING)
    ).fetchone()
    if found:
        print(f"{customers}: NOT forgotten. Their values still stand in")
        for place, rows in found.items():
            print(f"  {place:<56}{rows:>9,} rows")
        print(
            "A column that holds them needs its tag (docs/privacy.md); a schema of another target its own dbt build; "
            "a table that no model makes is yours to clean.\n"
            "Then run this again. What is sought stands in raw.forgetting till then."
        )
        return 1
    columns = _text_columns(warehouse)
    tables = len({column[:2] for column in columns})
    warehouse.execute(sql.SQL("drop table {}").format(PENDING))
    print(
        f"{customers}: forgotten. {telling} values are not found any more in {len(columns)} columns of {tables} "
        f"tables; {others} short or shared ones are gone from their own rows."
    )
    return 0


def _found(warehouse: psycopg.Connection) -> dict[str, int]:
    """Where telling values stand, anywhere in the database, and in how many rows."""
    seeks = "exists (select 1 from {} where is_telling and (strpos({}, value) > 0 or strpos({}, {}) > 0))"
    json = sql.SQL("trim(both '\"' from to_jsonb(value)::text)")
    tables: dict[tuple[str, str], list[str]] = {}
    for schema, table, column in _text_columns(warehouse):
        tables.setdefault((schema, table), []).append(column)
    found = {}
    for name, columns in tables.items():
        texts = [sql.SQL("lower({}::text)").format(sql.Identifier(column)) for column in columns]
        counts = [
            sql.SQL("count(*) filter (where {})").format(sql.SQL(seeks).format(PENDING, text, text, json))
            for text in texts
        ]
        query = sql.SQL("select {} from {}").format(sql.SQL(", ").join(counts), sql.Identifier(*name))
        for column, rows in zip(columns, warehouse.execute(query).fetchone(), strict=True):
            if rows:
                found[".".join([*name, column])] = rows
    samples = sql.SQL("lower(concat(most_common_vals::text, histogram_bounds::text))")
    statistics = sql.SQL("select schemaname, tablename, attname from pg_stats where tablename != 'forgetting' and ")
    for row in warehouse.execute(statistics + sql.SQL(seeks).format(PENDING, samples, samples, json)):
        found[f"{'.'.join(row)}, the planner's statistics"] = 1
    return found


def _text_columns(warehouse: psycopg.Connection) -> list[tuple[str, str, str]]:
    """Schema, table and column of everything that can hold a text and may be read."""
    return warehouse.execute(
        """
        select nspname, relname, attname
        from pg_attribute
        join pg_class on pg_class.oid = attrelid
        join pg_namespace on pg_namespace.oid = relnamespace
        join pg_type as types on types.oid = atttypid
        left join pg_type as elements on elements.oid = types.typelem
        where relkind in ('r', 'm', 'f') and attnum > 0 and not attisdropped
          and nspname !~ '^pg_' and nspname != 'information_schema' and (nspname, relname) != ('raw', 'forgetting')
          and ('S' in (types.typcategory, elements.typcategory) or types.typname in ('json', 'jsonb', 'xml', 'hstore'))
          and has_table_privilege(pg_class.oid, 'select')
        order by nspname, relname, attnum
        """
    ).fetchall()


def _count_left(warehouse: psycopg.Connection, place: Place) -> int:
    count = sql.SQL("select count(*) from {} where {} in (select customer_id from {}) and {}")
    return warehouse.execute(count.format(place.table, place.person, PENDING, place.is_left)).fetchone()[0]


def _tell_of_shared(warehouse: psycopg.Connection) -> None:
    shared = warehouse.execute(
        sql.SQL("select kind, count(*) from {} where not is_telling group by kind order by kind").format(PENDING)
    ).fetchall()
    if shared:
        words = ", ".join(f"{rows} {kind}" for kind, rows in shared)
        say("shared", f"{words}: short, or others have it too. Erased and sought in rows of their own only")


def _landed_places() -> Iterable[Place]:
    """The tagged places in raw."""
    for source in transform.manifest()["sources"].values():
        name = (source["schema"], source["identifier"])
        person = _person(source["config"]["meta"].get("person"))
        for column in source["columns"].values():
            tags = column["config"]["meta"].get("pii", {})
            for path, kind in tags.items() if isinstance(tags, dict) else [("", tags)]:
                steps = tuple(filter(None, path.split(".")))
                yield Place(".".join(name), sql.Identifier(*name), column["name"], steps, kind, person)


def _built_places() -> Iterable[Place]:
    """The tagged columns of tables that are built, where the row says whose it is; masked ones hold no value."""
    for node in transform.manifest()["nodes"].values():
        if node["resource_type"] == "model" and node["config"]["materialized"] != "ephemeral":
            for column in node["columns"].values():
                meta = column["config"]["meta"]
                if "pii" in meta and not meta.get("masked"):
                    whose = sql.Identifier("customer_id") if "customer_id" in node["columns"] else None
                    name = (node["schema"], node["alias"])
                    yield Place(".".join(name), sql.Identifier(*name), column["name"], (), meta["pii"], whose)


def _refused(place: Place) -> Place:
    """The same place in the quarantined copies of landed records."""
    table = sql.SQL(
        "(select record, {} as person from quarantine.refused_records join {} using (_load_id, _row)) as refused"
    ).format(place.person, place.table)
    path = place.path or (place.column,)
    return Place("quarantine.refused_records", table, "record", path, place.kind, sql.Identifier("person"))


def _person(template: str | None) -> sql.Composable | None:
    """`web-{customer_id}`, `mkt-{payload.buyer.buyer_id}`: whose a landed row is; null when it does not say."""
    if not template:
        return None
    prefix, column = re.fullmatch(r"([^{]*){([^}]+)}", template).groups()
    column, *path = column.split(".")
    return sql.SQL("({} || nullif(trim({}), ''))").format(sql.Literal(prefix), _text(column, tuple(path)))


def _text(column: str, path: tuple[str, ...]) -> sql.Composable:
    if path:
        return sql.SQL("({} #>> {})").format(sql.Identifier(column), sql.Literal(list(path)))
    return sql.SQL("({}::text)").format(sql.Identifier(column))
