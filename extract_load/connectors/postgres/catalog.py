"""A declared table in its PostgreSQL database: where it is, its columns, and the types that they land as."""

import re
from typing import NamedTuple

from psycopg import sql

from extract_load.declarations.postgres import Postgres
from extract_load.tables import Table
from storehouse.core.databases import Database
from storehouse.core.queries import as_sql
from storehouse.core.settings import quoted, settings
from storehouse.core.shown import printable

# pg_catalog's types whose binary form every server since version 14 reads as the same value. All others are cast at the
# source: they name what only the source has (`regclass`, enums, composites, what an extension brings), lack in some
# servers (`xml`) or have values there that others don't know (infinite intervals, `jsonpath`). `json` is text because
# it may hold what `jsonb` can't.
_SAME_EVERYWHERE = """
    bool bytea int2 int4 int8 float4 float8 numeric text varchar bpchar uuid jsonb bit varbit
    date time timetz timestamp timestamptz inet cidr macaddr macaddr8 point line lseg box path polygon circle
    tsvector tsquery int4range int8range numrange daterange tsrange tstzrange
    int4multirange int8multirange nummultirange datemultirange tsmultirange tstzmultirange
"""
SAME_EVERYWHERE = frozenset(_SAME_EVERYWHERE.split())
# What the source calls a type becomes SQL in the warehouse, and its owner can have it say anything.
_PLAIN_TYPE = re.compile(r'("bit"|[a-z][a-z0-9 ]*)(\[\])?')
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")

# What a column of ours must be at the source: the types that mean what the type in `Table.columns` means.
WITH_ZONE = "timestamp with time zone"
TIMES = {WITH_ZONE, "timestamp without time zone", "date"}
INTEGERS = {"smallint", "integer", "bigint"}
NUMBERS = INTEGERS | {"numeric", "real", "double precision"}
_NUMBER = ("number", NUMBERS)
_MUST_BE = {
    "timestamptz": ("timestamp", TIMES),
    "numeric": _NUMBER,
    "integer": _NUMBER,
    "boolean": ("boolean", {"boolean"}),
}


class Column(NamedTuple):
    """A column of the source.

    Attributes:
        type: its type there, without length or precision; a domain's base.
        landed_as: its type in raw: the same where that means the same in any server, numeric for money, else text.
        is_cast: whether the source must cast it to that.
        is_nullable: whether it may be null.
        is_same: whether any server has the type, and reads its text as the same value.
    """

    type: str
    landed_as: str
    is_cast: bool
    is_nullable: bool
    is_same: bool


def schema_of(table: Table) -> str:
    """The schema that the table is in at the source."""
    assert isinstance(table.declaration, Postgres)
    return settings().schema_named(table.declaration.schema_)


def place_of(table: Table) -> sql.Identifier:
    """The table at the source, in SQL."""
    return sql.Identifier(schema_of(table), table.place)


def place_in_words(table: Table) -> str:
    """The table at the source for people, as SQL takes it: `public.orders`, `public."Order Lines"`."""
    return f"{written(schema_of(table))}.{written(table.place)}"


def written(name: str) -> str:
    """A name as SQL takes it, quoted only where it must be."""
    return printable(name if _PLAIN_NAME.fullmatch(name) else quoted(name))


def columns_of(database: Database, schema: str, relation: str) -> dict[str, Column]:
    """The columns of a table or view from the catalog, in their order; none if it is not there."""
    rows = database.execute(
        """
        with recursive columns as (
            select attnum, attname, attnotnull, atttypid as declared
            from pg_attribute
            join pg_class on pg_class.oid = attrelid
            join pg_namespace on pg_namespace.oid = relnamespace
            where nspname = %s and relname = %s and relkind in ('r', 'p', 'v', 'm', 'f') and attnum > 0
                and not attisdropped
        ),

        -- A domain may be based on another domain.
        bases as (
            select attnum, declared as base from columns
            union all
            select attnum, typbasetype from bases join pg_type on pg_type.oid = base where typtype = 'd'
        )

        select
            attname,
            format_type(base, -1),
            coalesce(element.typname, type.typname),
            coalesce(element.typnamespace, type.typnamespace) = 'pg_catalog'::regnamespace,
            element.oid is not null as is_array,
            base <> declared as is_domain,
            not attnotnull
        from columns
        join bases using (attnum)
        join pg_type as type on type.oid = base and type.typtype <> 'd'
        left join pg_type as element on element.typarray = type.oid
        order by attnum
        """,
        [schema, relation],
    ).fetchall()
    columns = {}
    for name, type_, base, is_of_postgres, is_array, is_domain, is_nullable in rows:
        is_same = bool(is_of_postgres and base in SAME_EVERYWHERE and _PLAIN_TYPE.fullmatch(type_))
        landed_as = type_ if is_same else "text"
        if is_of_postgres and base == "money":
            # As the source's lc_monetary has it: that says how many decimals the number that is stored has.
            landed_as = "numeric[]" if is_array else "numeric"
        elif is_of_postgres and base == "bpchar" and not is_array:
            # As JSON it would keep the blanks that it is padded with, and be another id than the one that it names.
            landed_as = "text"
        columns[name] = Column(type_, landed_as, is_domain or landed_as != type_, is_nullable, is_same)
    return columns


def wrong_types(table: Table, columns: dict[str, Column]) -> list[str]:
    """The columns that are of another type than declared, in words."""
    return [
        f"{name} is {columns[name].type}, and must be a {kind}"
        for name, type_ in table.columns.items()
        if name in columns and type_ in _MUST_BE
        for kind, types in [_MUST_BE[type_]]
        if columns[name].landed_as not in types
    ]


def selected(columns: dict[str, Column]) -> sql.Composed:
    """The list of a select that gives each column as the type that it lands as."""
    return sql.SQL(", ").join(
        sql.SQL("{}::{}").format(sql.Identifier(name), as_sql(column.landed_as))
        if column.is_cast
        else sql.Identifier(name)
        for name, column in columns.items()
    )
