"""The connectors: the modules of this folder, by name, and those that other packages bring.

A connector is a module that has what `Connector` says. Another package brings one with an entry point of the group
`storehouse.connectors`, whose name is what a declaration gives as `connector`.
"""

from datetime import datetime
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import NamedTuple, Protocol, cast

from extract_load.ledger import Interval, LoadResult
from extract_load.tables import Table
from storehouse.core.databases import Database

OWN = ("postgres", "api", "files")
GROUP = "storehouse.connectors"


class Asked(NamedTuple):
    """What of a source's tables is to be landed, and for whom.

    Attributes:
        interval: from and until; either may be None.
        partition: only this one; None: all.
        run_id: the pipeline run, for the ledger.
        allow_empty: believe an empty snapshot of a table that had rows.
    """

    interval: Interval
    partition: str | None = None
    run_id: str | None = None
    allow_empty: bool = False


class Connector(Protocol):
    """What a connector's module has."""

    def ready(self, table: Table, until: datetime | None, from_: datetime | None) -> str | None:
        """What the source of this table still lacks before it can be read up to `until`, in words; None: nothing.

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


@cache
def connector(name: str) -> Connector:
    """The connector of this name. Its module is imported here: a DAG file that asks for names shall not need it."""
    if name in OWN:
        return cast(Connector, import_module(f"{__name__}.{name}"))
    (found,) = entry_points(group=GROUP, name=name)
    return cast(Connector, found.load())
