"""What extract-load tells OpenLineage: a run a source, in it one a table, from its place to its table in raw."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from extract_load.declarations.postgres import Postgres
from extract_load.ledger import LoadResult, heard
from extract_load.tables import Table
from storehouse.core import lineage
from storehouse.core.settings import settings
from storehouse.core.shown import shown

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent


class Place(NamedTuple):
    """A dataset, as OpenLineage names it."""

    namespace: str
    name: str


@contextmanager
def told(tables: Sequence[Table], what: str = "extract_load") -> Iterator[None]:
    """Within, tables of one source are loaded, and what lands of each is told, also when others fail."""
    if not lineage.is_on():
        yield
        return
    with lineage.run(f"{what}.{tables[0].source}"), heard() as loads:
        began = datetime.now(UTC).isoformat()
        try:
            yield
        finally:
            lineage.send(lambda: _events(tables, what, loads, began))


def _events(tables: Sequence[Table], what: str, loads: list[LoadResult], began: str) -> Iterator["RunEvent"]:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunState
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics
    from openlineage.client.uuid import generate_new_uuid

    for table in tables:
        if not (of_table := [load for load in loads if load.table == table.name]):
            continue
        place = place_of(table)
        output = OutputDataset(
            lineage.warehouse(),
            f"{settings().warehouse_database}.{table.schema}.{table.name}",
            # Its columns land as they are; of the records of an API or a file, raw has one column.
            facets=lineage.copied(*place, table.columns),
            outputFacets={
                "outputStatistics": statistics.OutputStatisticsOutputDatasetFacet(
                    rowCount=sum(load.rows for load in of_table), size=sum(load.bytes for load in of_table)
                )
            },
        )
        told = lineage.Run([InputDataset(*place)], [output])
        job, run_id = f"{what}.{table.label}", str(generate_new_uuid())
        yield lineage.event(RunState.START, job, run_id, "LOAD", told, began)
        yield lineage.event(RunState.COMPLETE, job, run_id, "LOAD", told)


def place_of(table: Table) -> Place:
    """Where a table is at its source: host, port and path, and nothing of a URL that may be secret."""
    place = settings().place(table.connection, table.source)
    if isinstance(table.declaration, Postgres):
        try:
            of = conninfo_to_dict(place)
        except ProgrammingError:  # the load says so
            of = {}
        host = of.get("host") or of.get("hostaddr") or os.environ.get("PGHOST")
        database = of.get("dbname") or of.get("user")
        schema = settings().schema_named(table.declaration.schema_)
        return Place(lineage.postgres(host, of.get("port")), f"{database}.{schema}.{table.place}")
    parts = urlsplit(shown(place))
    if not parts.netloc:
        return Place("file", str(Path(place).expanduser().absolute() / table.place))
    path = f"{parts.path.rstrip('/')}/{table.place.lstrip('/')}"
    is_api = parts.scheme.startswith("http")
    return Place(f"{parts.scheme}://{parts.netloc}", path if is_api else path.lstrip("/"))
