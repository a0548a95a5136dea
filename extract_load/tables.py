"""Which tables are landed, from which source and in which way: what the declarations in models/staging say of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from extract_load.declarations import STAGING, Declared, read_declarations
from extract_load.declarations.common import Declaration, Kind, Reconcile


@dataclass(frozen=True)
class Table:
    """One landed table, as its source's YAML declares it; docs/sources.md explains the fields.

    Attributes:
        source: the source's name.
        name: the table's name in the warehouse, in the schema `raw_<source>`.
        connector: what reads it.
        connection: the name of the variable that says where the source is.
        place: where it is there: a table, the path of an API, a pattern of files.
        key: the columns (or the members of a record) that identify a row at the source.
        kind: how it is read. `updated_at`: rows changed since the watermark, less an overlap. `full`: the whole
            table, of which the differences are landed. `interval`: the records (or day folders) of an interval.
            `change_log`: the changes that the source's log has since the last load.
        version: the column or member that says when a row changed; None for a table read by `full` or `change_log`.
        deleted: the column or member that says that a row was deleted; None where rows that are gone say it.
        columns: for a database table, the columns that the source must have, with the type that raw gives them as
            long as nothing was landed; then the source's own types hold.
        optional: those of `columns` that the source may lack.
        reconcile: what of it is compared with the source once a day: `never`, `keys` or `columns`.
        members: what a record of an API or a file should have; records with others land too, with a message.
        partitions: what is read, and has its watermark, on its own.
        partition_by: the parameter with which an API is asked for a partition.
        declaration: all that the YAML says, for the connector: its own fields.
    """

    source: str
    name: str
    connector: str
    connection: str
    place: str
    key: tuple[str, ...]
    kind: Kind
    declaration: Declaration = field(repr=False)
    version: str | None = None
    deleted: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    reconcile: Reconcile = "never"
    members: frozenset[str] = frozenset()
    partitions: tuple[str | None, ...] = (None,)
    partition_by: str | None = None

    @property
    def label(self) -> str:
        """The name people read: `shop.orders`."""
        return f"{self.source}.{self.name}"

    @property
    def schema(self) -> str:
        """The schema it lands in."""
        return f"raw_{self.source}"


TABLES: tuple[Table, ...]
SOURCES: tuple[str, ...]


def __getattr__(name: str) -> object:
    """`TABLES` and `SOURCES`, in the order they are landed.

    They are read when they are first used: a wrong declaration is an error of the command that needs it, with the
    command's exit code and a line for each mistake, and not of an import.
    """
    if name == "TABLES":
        return _tables()
    if name == "SOURCES":
        return tuple(dict.fromkeys(table.source for table in _tables()))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def tables_of(source: str) -> list[Table]:
    """The tables of one source, in the order they are landed."""
    return [table for table in _tables() if table.source == source]


@cache
def _tables() -> tuple[Table, ...]:
    return tuple(map(_table, read_declarations(STAGING)))


def _table(declared: Declared) -> Table:
    said = declared.declaration
    by, partitions = next(iter(getattr(said, "partitions", {}).items()), (None, (None,)))
    return Table(
        declared.source,
        declared.name,
        said.connector,
        said.connection,
        said.place or declared.name,
        tuple(said.key),
        said.read,
        said,
        version=said.version,
        deleted=said.deleted,
        columns=said.columns if isinstance(said.columns, Mapping) else {},
        optional=tuple(getattr(said, "optional", ())),
        reconcile=getattr(said, "reconcile", "never"),
        members=frozenset() if isinstance(said.columns, Mapping) else frozenset(said.columns),
        partitions=tuple(partitions),
        partition_by=by,
    )
