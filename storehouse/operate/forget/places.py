"""Where personal data stands, and whose it is: the tags in YAML, as places in tables.

`meta: {pii: …}` says what is personal, `meta: {person: …}` whose a landed row is.
"""

from collections.abc import Iterable
from typing import NamedTuple

from psycopg import sql

from storehouse.core import transform

# What stands in the place of a value. An e-mail address stays one, so that no rule judges the row otherwise.
WORDS = {"email": "forgotten@example.invalid"}
WORD = "forgotten"
UNREADABLE = "_unreadable"


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


def landed() -> Iterable[Place]:
    """The tagged places in raw."""
    for source in transform.manifest()["sources"].values():
        name = (source["schema"], source["identifier"])
        template = source["config"]["meta"].get("person")
        person = whose = None
        if template:
            prefix, member = _parts(template)
            person, whose = _person(prefix, member), (prefix, member[-1])
        for column in source["columns"].values():
            tags = column["config"]["meta"].get("pii", {})
            for path, kind in tags.items() if isinstance(tags, dict) else [("", tags)]:
                steps = tuple(filter(None, path.split(".")))
                yield Place(".".join(name), sql.Identifier(*name), column["name"], steps, kind, person, whose)


def built() -> Iterable[Place]:
    """The tagged columns of tables that are built, and of what readers see of them; masked ones hold no value."""
    for node in transform.manifest()["nodes"].values():
        if node["resource_type"] == "model" and node["config"]["materialized"] != "ephemeral":
            for column in node["columns"].values():
                meta = column["config"]["meta"]
                if "pii" in meta and not meta.get("masked"):
                    whose = sql.Identifier("customer_id") if "customer_id" in node["columns"] else None
                    for schema in filter(None, (node["schema"], transform.published_schema(node))):
                        name = (schema, node["alias"])
                        yield Place(".".join(name), sql.Identifier(*name), column["name"], (), meta["pii"], whose)


def refused(place: Place) -> Place:
    """The same place in the quarantined copies of landed records."""
    table = sql.SQL(
        "(select record, {} as person from quarantine.refused_records join {} using (_load_id, _row)) as refused"
    ).format(place.person, place.table)
    path = place.path or (place.column,)
    return Place("quarantine.refused_records", table, "record", path, place.kind, sql.Identifier("person"))


def _person(prefix: str, member: list[str]) -> sql.Composable:
    """Whose a landed row is, such as `web-17`; null when it does not say."""
    column, *path = member
    # To the letter, as staging has it: ids that only blanks tell apart are two people's.
    return sql.SQL("({} || nullif({}, ''))").format(sql.Literal(prefix), _text(column, tuple(path)))


def _parts(template: str) -> tuple[str, list[str]]:
    """Of `mkt-{payload.buyer.buyer_id}`: the prefix of a customer's id, and the member that has the rest."""
    prefix, member = template.removesuffix("}").split("{")
    return prefix, member.split(".")


def _text(column: str, path: tuple[str, ...]) -> sql.Composable:
    if path:
        return sql.SQL("({} #>> {})").format(sql.Identifier(column), sql.Literal(list(path)))
    return sql.SQL("({}::text)").format(sql.Identifier(column))
