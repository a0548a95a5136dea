"""Forgetting a person: what is personal is overwritten where it landed, the models follow, and a search proves it.

The tags in YAML say what is personal (`meta: {pii: …}`) and whose a landed row is (`meta: {person: …}`).
docs/privacy.md says more.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal, NamedTuple

import jinja2
import psycopg
from psycopg import errors, sql

from storehouse.core import transform
from storehouse.core.databases import Database, open_warehouse
from storehouse.core.errors import StorehouseError
from storehouse.core.progress import say
from storehouse.core.settings import PROJECT, settings
from storehouse.core.transform import DAILY
from storehouse.laptop import local

# What stands in the place of a value. An e-mail address stays one, so that no rule judges the row otherwise.
WORDS = {"email": "forgotten@example.invalid"}
WORD = "forgotten"
# A value this short, or one that others have too, says nothing about where it stands: it is sought in own rows only.
TELLING = 8
# Until it is proven: what is sought, the forms in which it may stand, and the raw tables that were changed.
PENDING, FORMS, CHANGED = (sql.Identifier("forgetting", name) for name in ("sought", "forms", "changed"))
SHOWN = 5
UNREADABLE = "_unreadable"
NOT_REACHED = """\
Not reached: backups and the write-ahead log; published copies; the source; and logs, where an earlier version, or a
server with other settings, quoted a record: {home}/logs/dbt.log*, Airflow's task logs, PostgreSQL's own log.
docs/privacy.md says how long each lives."""


class Place(NamedTuple):
    """A tagged column, or a path in a JSON column: where it is, what kind of value it holds, whose the row is.

    `whose`: of a source, the prefix of a customer's id and the column or member that has the rest.
    """

    name: str
    table: sql.Composable
    column: str
    path: tuple[str, ...]
    kind: str
    person: sql.Composable | None
    whose: tuple[str, str] | None = None

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

    Raw is updated as the role of the duty `forget`, the rest is built and searched as `transform`: neither needs more.
    Safe to kill and to repeat: what was begun, and is not proven yet, is ended first.

    Raises:
        StorehouseError: nobody has such an id; raw is not plain tables; the role may not.
    """
    local.start()
    transform.names(["--resource-type", "source"])
    places = list(_landed_places())
    with _connect("forget") as raw, raw.speaking(_ADVICE), _connect("transform") as warehouse:
        # No statement here has a value in it: a server that logs statements logs none.
        with raw.transaction():
            _hold_plain(raw, places)
            if not _collect(raw, places, customers):
                _drop(raw)
                print(f"{', '.join(customers)}: forgotten before, nothing of theirs is left.")
                return 0
            _tell_of_shared(raw)
        for place, rows in _found(warehouse).items():
            say("stands in", f"{place:<56}{rows:>9,} rows")
        with raw.transaction():
            _hold_plain(raw, places)
            _erase(raw, places)
        _invalidate(warehouse)
        if failures := transform.build(DAILY):
            raise StorehouseError(
                "Raw is erased, but the build that carries it on failed. Mend it, then run this again:\n  "
                + "\n  ".join(failures)
            )
        # Old versions of a row, and samples of it in the planner's statistics, hold the values too.
        for owner, tables in ((raw, places), (warehouse, _built_places())):
            for table in {place.name: place.table for place in tables}.values():
                owner.execute(sql.SQL("vacuum (analyze) {}").format(table))
        return _prove(raw, warehouse, places)


_ADVICE = {
    errors.InsufficientPrivilege: "Set FORGET_USER and FORGET_PASSWORD to the role that may update raw: "
    "deploy/roles.sql makes one (docs/deploy.md). What was begun is ended by running this again."
}


@contextmanager
def _connect(duty: Literal["forget", "transform"]) -> Iterator[Database]:
    with open_warehouse(duty) as connection:
        connection.execute("set search_path to pg_catalog")
        connection.add_notice_handler(_tell_of_a_skipped_vacuum)
        yield connection


def _tell_of_a_skipped_vacuum(notice: errors.Diagnostic) -> None:
    """Before PostgreSQL 17 only its owner may vacuum a table."""
    if notice.severity_nonlocalized == "WARNING" and notice.message_primary.startswith("permission denied"):
        say("vacuum", f"{notice.message_primary}: let an administrator run vacuum (analyze) on it")


@cache
def _odd_in_raw() -> str:
    """The query that builds ask too; its macro has nothing of dbt's."""
    file = PROJECT / "macros" / "access" / "odd_in_raw.sql"
    return jinja2.Environment().from_string(file.read_text()).module.odd_in_raw()


def _hold_plain(raw: psycopg.Connection, places: list[Place]) -> None:
    """Keep the raw tables as they are till the transaction ends, rows apart.

    Raises:
        StorehouseError: one of them is more than a plain table: what is done to it could run code.
    """
    tables = {place.name: place.table for place in places}.values()
    raw.execute(sql.SQL("lock table {} in row exclusive mode").format(sql.SQL(", ").join(tables)))
    if odd := raw.execute(_odd_in_raw()).fetchall():
        words = "; ".join(f"{name} {what}" for name, what in sorted(odd)[:SHOWN])
        raise StorehouseError(
            f"Raw must be plain tables, or what stands there could run code with the rights of this command: {words}. "
            "Nothing was erased. Let an administrator look at it and remove it, and run deploy/roles.sql again."
        )


def _drop(raw: psycopg.Connection) -> None:
    raw.execute(sql.SQL("drop table {}, {}, {}").format(PENDING, FORMS, CHANGED))


# The forms of a telling value, in lower case: as it is and decomposed (é as e and an accent), in JSON with its escapes
# and those of letters beyond ASCII (\u00eb), as bytes in Latin-1 or Windows-1252 that are no UTF-8 (\xeb), each with
# its backslashes doubled, as JSON within JSON has them. An escape knows upper case: each is made of several spellings.
WINDOWS = bytes(range(0x80, 0xA0)).decode("cp1252", errors="replace")  # where Latin-1 has nothing
SPELLED = r"""
insert into {forms}
with spellings as (
    select n, spelling
    from {sought}, unnest(array[value, spelled, upper(value), initcap(value)]) as spelling
    where is_telling
),

normal as (
    select n, spelling from spellings
    union
    select n, case when getdatabaseencoding() = 'UTF8' then normalize(spelling, nfd) else spelling end from spellings
    union
    select n, case when getdatabaseencoding() = 'UTF8' then normalize(spelling, nfc) else spelling end from spellings
),

quoted as (
    select n, spelling from normal
    union
    select n, substr(to_jsonb(spelling)::text, 2, length(to_jsonb(spelling)::text) - 2) from normal
),

escaped as (
    select n, spelling from quoted
    union
    select n, (
        select string_agg(
            case
                when ascii(letter) < 128 then letter
                when ascii(letter) < 65536 then '\u' || lpad(to_hex(ascii(letter)), 4, '0')
                else '\u' || to_hex(55296 + ((ascii(letter) - 65536) >> 10))
                    || '\u' || to_hex(56320 + ((ascii(letter) - 65536) & 1023))
            end, '' order by place
        )
        from string_to_table(spelling, null) with ordinality as letters (letter, place)
    )
    from quoted
    union
    select n, (
        select string_agg(
            case
                when ascii(letter) between 128 and 255 then '\x' || to_hex(ascii(letter))
                when strpos({windows}, letter) > 0 then '\x' || to_hex(127 + strpos({windows}, letter))
                else letter
            end, '' order by place
        )
        from string_to_table(spelling, null) with ordinality as letters (letter, place)
    )
    from quoted
)

select n, lower(spelling) from escaped
union
select n, lower(replace(spelling, '\', '\\')) from escaped
on conflict do nothing
"""


def _collect(warehouse: psycopg.Connection, places: list[Place], customers: list[str]) -> bool:
    """Write down what is to be erased and sought, until it is proven; True when there is anything.

    Raises:
        StorehouseError: nobody has such an id.
    """
    if warehouse.execute("select to_regnamespace('forgetting') is null").fetchone()[0]:
        warehouse.execute("create schema forgetting")
    for table, columns in (
        (
            PENDING,
            "n int generated always as identity, customer_id text, kind text, value text, spelled text, "
            "is_telling boolean default false, unique (customer_id, kind, value)",
        ),
        (FORMS, "n int, form text, unique (n, form)"),
        (CHANGED, "name text primary key"),
    ):
        warehouse.execute(sql.SQL("create table if not exists {} ({})").format(table, sql.SQL(columns)))
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
                    "insert into {0} (customer_id, kind, value, spelled) "
                    "select {1}, {2}, lower(trim({3})), trim({3}) from {4} "
                    "where {1} = any(%s) and {5} on conflict do nothing"
                ).format(PENDING, place.person, sql.Literal(place.kind), place.value, place.table, place.is_left),
                [customers],
            )
    warehouse.execute(
        sql.SQL(
            "update {} set is_telling = "
            "value is not null and length(value) >= %s and (kind != 'name' or value like '%% %%')"
        ).format(PENDING),
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
    for place in places:
        if place.path == (UNREADABLE,):
            warehouse.execute(
                sql.SQL(
                    "insert into {0} (customer_id, kind) select customer, 'id' from unnest(%s::text[]) as customer "
                    "where not exists (select from {0} where kind = 'id' and customer_id = customer) "
                    "and exists (select from {1} where {2} and {3})"
                ).format(PENDING, place.table, place.is_left, _names(place, sql.Identifier("customer"))),
                [customers],
            )
    warehouse.execute(sql.SQL(SPELLED).format(forms=FORMS, sought=PENDING, windows=sql.Literal(WINDOWS)))
    return warehouse.execute(sql.SQL("select exists (select from {})").format(PENDING)).fetchone()[0]


def _erase(warehouse: psycopg.Connection, places: list[Place]) -> None:
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


def _invalidate(warehouse: psycopg.Connection) -> None:
    """Have the tables that have read the changed raw tables compare all of them in the next build."""
    changed = warehouse.execute(sql.SQL("select name from {} order by name").format(CHANGED)).fetchall()
    transform.operate("converge.invalidate", inputs=[name for (name,) in changed])


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
            _names(place, sql.Identifier("customer_id")),
        )
    )
    if done.rowcount:
        say("erased", f"unreadable records with the person's id, in {place.name}: {done.rowcount:,} rows")
    return bool(done.rowcount)


def _names(place: Place, customer: sql.Composable, is_surely: bool = True) -> sql.Composable:
    """True when an unreadable record names the customer's id.

    Surely: as the member that tells whose the record is, or as a word that is long enough to be nothing else. Else as
    any word.
    """
    number = sql.SQL("regexp_replace({}, '^[^-]*-', '')").format(customer)
    literal = sql.SQL(r"regexp_replace({}, '([^[:alnum:]])', '\\\1', 'g')").format(number)
    word = sql.SQL("({} ~ ('(^|[^[:alnum:]])' || {} || '([^[:alnum:]]|$)'))").format(place.value, literal)
    if not is_surely:
        return word
    named = sql.SQL("length({}) >= {} and {}").format(number, TELLING, word)
    if place.whose:
        prefix, member = map(sql.Literal, place.whose)
        before, after = sql.Literal(r'"\s*:\s*"?'), sql.Literal(r'"?\s*([,}]|$)')
        form = sql.SQL("({}) or starts_with({}, {}) and {} ~ ('\"' || {} || {} || {} || {})")
        named = form.format(named, customer, prefix, place.value, member, before, literal, after)
    return sql.SQL("({})").format(named)


def _prove(raw: psycopg.Connection, warehouse: psycopg.Connection, places: list[Place]) -> int:
    """Seek what was erased, everywhere; print where it still is, or how far was sought. Returns the exit code."""
    found = _found(warehouse)
    for place in (*places, *_built_places(), *map(_refused, filter(lambda place: place.person, places))):
        if place.person and (rows := _count_left(warehouse, place)):
            found[f"{'.'.join([place.name, place.column, *place.path])}, rows of their own"] = rows
    customers, telling, others = warehouse.execute(
        sql.SQL(
            "select string_agg(distinct customer_id, ', '), count(*) filter (where is_telling), "
            "count(value) filter (where not is_telling) from {}"
        ).format(PENDING)
    ).fetchone()
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
    _drop(raw)
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
                _names(place, sql.Identifier("customer_id"), is_surely=False),
                SHOWN,
            )
        ).fetchall()
        if rows:
            print(
                f"Look at {rows[0][1]:,} unreadable records of {place.name}, they may name the id: "
                f"{'; '.join(where for where, _ in rows)}{' …' if rows[0][1] > SHOWN else ''}. "
                "docs/privacy.md says how to erase one."
            )


def _found(warehouse: psycopg.Connection) -> dict[str, int]:
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
        for column, rows in zip(columns, warehouse.execute(query).fetchone(), strict=True):
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
        template = source["config"]["meta"].get("person")
        person = _person(template)
        whose = re.fullmatch(r"([^{]*){(?:.*\.)?([^.}]+)}", template).groups() if template else None
        for column in source["columns"].values():
            tags = column["config"]["meta"].get("pii", {})
            for path, kind in tags.items() if isinstance(tags, dict) else [("", tags)]:
                steps = tuple(filter(None, path.split(".")))
                yield Place(".".join(name), sql.Identifier(*name), column["name"], steps, kind, person, whose)


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
    # To the letter, as staging has it: ids that only blanks tell apart are two people's.
    return sql.SQL("({} || nullif({}, ''))").format(sql.Literal(prefix), _text(column, tuple(path)))


def _text(column: str, path: tuple[str, ...]) -> sql.Composable:
    if path:
        return sql.SQL("({} #>> {})").format(sql.Identifier(column), sql.Literal(list(path)))
    return sql.SQL("({}::text)").format(sql.Identifier(column))
