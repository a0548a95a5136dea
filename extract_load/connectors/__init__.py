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
from typing import Any, NamedTuple, Protocol, cast

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


class Connector(Protocol):
    """What a connector's module has."""

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


@cache
def connector(name: str) -> Connector:
    """The connector of this name. Its module is imported here: a DAG file that asks for names shall not need it."""
    if name in MODELS:
        return cast(Connector, import_module(f"{__name__}.{name}"))
    (found,) = entry_points(group=GROUP, name=name)
    return cast(Connector, found.load())
