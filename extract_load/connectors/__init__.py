"""The connectors: the packages of this folder, by name, and those that other packages bring.

A connector is a module that has what `Connector` says. Another package brings one with an entry point of the group
`storehouse.connectors`, whose name is what a declaration gives as `connector`; its module has a `Declaration` too, a
class derived from `extract_load.declarations.Declaration`, against which the YAML is checked: its fields, and what its
`wrong` says of them together. Those of the packages here stand in `extract_load.declarations`.
"""

from datetime import datetime
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Literal, NamedTuple, Protocol, cast

from extract_load.declarations import GROUP, MODELS
from extract_load.ledger import Interval, LoadResult
from extract_load.tables import Table
from storehouse.core.databases import Database


class Asked(NamedTuple):
    """What of a source's tables is to be landed, and for whom.

    Attributes:
        interval: from and until; either may be None.
        partition: only this one; None: all.
        run_id: the pipeline run, for the ledger.
        allow_empty: believe an empty snapshot of a table that had rows.
        snapshot: of tables read by their change log, take a new snapshot and land what differs.
    """

    interval: Interval
    partition: str | None = None
    run_id: str | None = None
    allow_empty: bool = False
    snapshot: bool = False


class Found(NamedTuple):
    """A table that `discover` or `check` has seen at a source.

    Attributes:
        name: what it may be called in the warehouse.
        meta: its declaration, as far as the source tells it: what `config.meta` of its entry would hold.
        personal: columns (of a record: paths) that look personal, and the kind of each, such as email.
        unsure: what a person must decide, in words, by the field that it is about.
    """

    name: str
    meta: dict[str, Any]
    personal: dict[str, str]
    unsure: dict[str, str]


class How(NamedTuple):
    """How tables are reconciled with their source.

    Attributes:
        compare: `keys`: which keys live, and their versions; `columns`: the promised columns too; None: as is declared.
        is_dry: say what differs, and land nothing.
    """

    compare: Literal["keys", "columns"] | None = None
    is_dry: bool = False


class Reconciled(NamedTuple):
    """What comparing raw's current rows of a table with its source found.

    Attributes:
        table: its label, such as `shop.orders`.
        compare: what was compared, `keys` or `columns`.
        at_source: living rows at the source.
        in_raw: living rows in raw.
        found: rows that differ, by how they do, in words that say why they may have been missed.
        unread: rows that changed at the source since the last load, which the next one reads.
        load: what was landed; None in a dry run.
        keys: hashes of the keys of some of the rows that differ.
        key_hash: the SQL that makes such a hash, here and at the source.
    """

    table: str
    compare: str
    at_source: int
    in_raw: int
    found: dict[str, int]
    unread: int
    load: LoadResult | None
    keys: list[int]
    key_hash: str

    @property
    def differences(self) -> int:
        """How many rows differ, without those that the next load reads."""
        return sum(self.found.values())

    @property
    def line(self) -> str:
        """What it found, for people, and where to look next."""
        if found := ", ".join(f"{rows:,} {words}" for words, rows in self.found.items()):
            look = "nothing was landed"
            if self.load:
                look = f"see them: select * from raw_{self.table} where _load_id = {self.load.load_id}"
            found = f"{self.differences:,} differed: {found}; {look}"
        else:
            found = f"as at the source, {self.compare} of {self.at_source:,} rows"
        unread = f"; {self.unread:,} more changed since the last load: the next one reads them" if self.unread else ""
        return f"{self.table}: {found}{unread}"


class Connector(Protocol):
    """What a connector's module has. One whose source can be reconciled has `reconcile` too (`Reconciles`)."""

    def ready(self, tables: list[Table], until: datetime | None, from_: datetime | None) -> str | None:
        """What the source of these tables still lacks before it can be read up to `until`, in words; None: nothing.

        Raises:
            StorehouseError: waiting will not help.
            TransientError: it may.
        """
        ...

    def load(self, warehouse: Database, tables: list[Table], asked: Asked) -> list[LoadResult]:
        """Land these tables of one source, each load by `ledger.land`.

        Raises:
            StorehouseError: what failed, a line each; whatever did not fail was landed.
        """
        ...

    def discover(self, connection: str, meta: dict[str, Any]) -> list[Found]:
        """What the source behind this variable looks like: all its tables, or what `meta` (path, files, auth) narrows.

        Raises:
            StorehouseError: it can't be read, or has nothing to land.
        """
        ...

    def check(self, table: Table) -> list[str]:
        """Read one page, row or file of a declared table as a load would; what differs from its declaration, in words.

        Raises:
            StorehouseError: it can't be read at all.
        """
        ...


class Reconciles(Protocol):
    """What the module of a connector has whose sources can compute sums."""

    def reconcile(self, warehouse: Database, tables: list[Table], asked: Asked, how: How) -> list[Reconciled]:
        """Compare raw with the source, and land what was missed by `ledger.land`, in loads of the kind `reconcile`.

        Raises:
            StorehouseError: what failed, a line each.
        """
        ...


@cache
def connector(name: str) -> Connector:
    """The connector of this name. Its module is imported here: a DAG file that asks for names shall not need it."""
    if name in MODELS:
        return cast(Connector, import_module(f"{__name__}.{name}"))
    (found,) = entry_points(group=GROUP, name=name)
    return cast(Connector, found.load())
