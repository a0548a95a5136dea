"""What is erased and sought: the person's values, in tables of the schema `forgetting` until it is proven."""

import psycopg
from psycopg import sql

from storehouse.core.errors import StorehouseError
from storehouse.core.progress import say
from storehouse.core.queries import as_sql, one_value
from storehouse.operate.forget.macros import sql_of
from storehouse.operate.forget.places import UNREADABLE, Place

# A value this short, or one that others have too, says nothing about where it stands: it is sought in own rows only.
TELLING = 8
# What is sought, the forms in which it may stand, and the raw tables that were changed.
PENDING, FORMS, CHANGED = (sql.Identifier("forgetting", name) for name in ("sought", "forms", "changed"))

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


def collect(warehouse: psycopg.Connection, places: list[Place], customers: list[str]) -> bool:
    """Write down what is to be erased and sought, until it is proven; True when there is anything.

    Raises:
        StorehouseError: nobody has such an id.
    """
    if one_value(warehouse, "select to_regnamespace('forgetting') is null"):
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
        warehouse.execute(sql.SQL("create table if not exists {} ({})").format(table, as_sql(columns)))
    known = set()
    for table, person in {place.name: (place.table, place.person) for place in places if place.person}.values():
        of = sql.SQL("select distinct {0} from {1} where {0} = any(%s)").format(person, table)
        known |= {row[0] for row in warehouse.execute(of, [customers])}
    if unknown := set(customers) - known:
        raise StorehouseError(
            f"There is no customer {', '.join(sorted(unknown))}. An id is one of customer_id in core.dim_customers, "
            "with the prefix of its source: `person` in the declarations."
        )
    for place in places:
        if place.person:
            warehouse.execute(
                sql.SQL(
                    "insert into {0} (customer_id, kind, value, spelled) "
                    "select {1}, {2}, lower({3}), {3} from {4} "
                    "where {1} = any(%s) and {5} on conflict do nothing"
                ).format(
                    PENDING, place.person, sql.Literal(place.kind), _trimmed(place.value), place.table, place.is_left
                ),
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
                ).format(PENDING, place.table, place.is_left, names_person(place, sql.Identifier("customer"))),
                [customers],
            )
    warehouse.execute(sql.SQL(SPELLED).format(forms=FORMS, sought=PENDING, windows=sql.Literal(WINDOWS)))
    return one_value(warehouse, sql.SQL("select exists (select from {})").format(PENDING))


def _trimmed(value: sql.Composable) -> sql.Composable:
    """As staging has it, and as others may have written it."""
    return as_sql(sql_of("text/trimmed.sql", "{}")).format(value)


def tell_of_shared(warehouse: psycopg.Connection) -> None:
    """Print how many values are sought in rows of their own only."""
    shared = warehouse.execute(
        sql.SQL("select kind, count(*) from {} where not is_telling group by kind order by kind").format(PENDING)
    ).fetchall()
    if shared:
        words = ", ".join(f"{rows} {kind}" for kind, rows in shared)
        say("shared", f"{words}: short, or others have it too. Erased and sought in rows of their own only")


def names_person(place: Place, customer: sql.Composable, is_surely: bool = True) -> sql.Composable:
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


def drop(raw: psycopg.Connection) -> None:
    """Forget what was sought: it is proven, or there is nothing."""
    raw.execute(sql.SQL("drop table {}, {}, {}").format(PENDING, FORMS, CHANGED))
