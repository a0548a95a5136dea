"""What dbt's build and the publication of marts tell OpenLineage, from dbt's own manifest and results.

OpenLineage's dbt integration makes the events. It knows only tables: it is shown a graph without ephemeral models, in
which the models that read one are children of the tables behind it.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storehouse.core import lineage, transform
from storehouse.core.lineage import Run
from storehouse.operate import columns, published

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

BUILD = "dbt build"


@contextmanager
def told_build(target: Path) -> Iterator[Run]:
    """Within, dbt builds; then what became of each model, snapshot and test is told. The caller says if it failed.

    Args:
        target: dbt's folder, with its manifest and its results.
    """
    began = datetime.now(UTC).isoformat()
    with lineage.run(BUILD) as told:
        try:
            yield told
        finally:
            lineage.send(lambda: events_of_build(target, began))


def events_of_build(target: Path, since: str) -> "list[RunEvent]":
    """The events of the build whose results stand there; none if it began before `since`: then no build has ended."""
    if not (file := target / "run_results.json").exists():
        return []  # it could not begin
    results = json.loads(file.read_text())
    if results["metadata"]["generated_at"] < since.replace("+00:00", "Z"):
        return []
    manifest = json.loads((target / "manifest.json").read_text())
    events = _processor()(manifest, results).parse().events()
    _tell_columns(events, manifest)
    _tell_why(events, {result["unique_id"]: result["message"] for result in results["results"]})
    return events


def _tell_why(events: "list[RunEvent]", messages: Mapping[str, str | None]) -> None:
    """Add to the end of what failed what dbt says of it, without rows."""
    from openlineage.client.event_v2 import RunState

    for event in events:
        said = messages.get(_node_of(event) or "")
        if said and event.eventType == RunState.FAIL:
            event.run.facets = {**(event.run.facets or {}), **lineage.why(transform.first_words(said), "SQL")}


def _node_of(event: "RunEvent") -> str | None:
    """The node of dbt that an event is of: its unique_id."""
    return getattr((event.job.facets or {}).get("dbt_node"), "unique_id", None)


def _tell_columns(events: "list[RunEvent]", manifest: dict) -> None:
    """Add of which columns those of a model are made, as `make docs` found, unless its file has changed since."""
    from openlineage.client.facet_v2 import column_lineage_dataset as facet

    tables, known = manifest["nodes"] | manifest["sources"], columns.kept()
    for event in events:
        node = _node_of(event)
        if node not in known or known[node]["checksum"] != manifest["nodes"][node]["checksum"]["checksum"]:
            continue
        fields = {
            column: facet.Fields(
                [
                    facet.InputField(
                        lineage.warehouse(), _name(tables[table]), of, [facet.Transformation("DIRECT", subtype=how)]
                    )
                    for table, of, how in found
                    if table in tables
                ]
            )
            for column, found in known[node]["columns"].items()
            if found
        }
        for output in event.outputs or []:
            output.facets = {**(output.facets or {}), "columnLineage": facet.ColumnLineageDatasetFacet(fields)}


def tell_published(names: Collection[str] = ()) -> None:
    """Tell that what is built of these groups, of all by default, is what readers see, unless one is held back."""
    lineage.send(lambda: _events_of_publication(names))


def _events_of_publication(names: Collection[str]) -> Iterator["RunEvent"]:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunState
    from openlineage.client.uuid import generate_new_uuid

    groups = {group.name for group in published.groups() if not group.held_back and (not names or group.name in names)}
    for model in transform.manifest()["nodes"].values():
        if transform.published_group(model) not in groups:
            continue
        schema, built = transform.published_schema(model), _name(model)
        namespace, name = lineage.warehouse(), _name(model | {"schema": schema})
        facets = lineage.copied(namespace, built, model["columns"])
        told = Run([InputDataset(namespace, built)], [OutputDataset(namespace, name, facets=facets)])
        job, run_id = f"publish.{schema}.{model['alias']}", str(generate_new_uuid())
        yield lineage.event(RunState.START, job, run_id, "PUBLICATION", told)
        yield lineage.event(RunState.COMPLETE, job, run_id, "PUBLICATION", told)


def _name(node: Mapping[str, Any]) -> str:
    """Of a model or a source: `database.schema.table`."""
    return f"{node['database']}.{node['schema']}.{node.get('alias') or node['name']}"


def tables_only(manifest: dict) -> dict:
    """The manifest as the integration takes it: each node's parents are tables, and each table is a model or a source.

    It reads no seed and no snapshot as a parent; here they are models of other names.
    """
    nodes, parents = manifest["nodes"], manifest["parent_map"]

    def named(unique_id: str) -> str:
        return f"model.{unique_id}" if unique_id.startswith(("seed.", "snapshot.")) else unique_id

    def tables(unique_id: str) -> Iterator[str]:
        for parent in parents.get(unique_id, []):
            if parent in nodes and nodes[parent]["config"]["materialized"] == "ephemeral":
                yield from tables(parent)
            else:
                yield named(parent)

    others = {named(unique_id): node for unique_id, node in nodes.items() if named(unique_id) != unique_id}
    return manifest | {
        "nodes": nodes | others,
        "parent_map": {unique_id: list(dict.fromkeys(tables(unique_id))) for unique_id in parents},
    }


def _processor() -> type:
    """OpenLineage's processor of dbt's artifacts, for this project; made when it is first needed, as all of it."""
    from openlineage.common.provider.dbt.facets import DbtRunRunFacet
    from openlineage.common.provider.dbt.processor import DbtArtifactProcessor
    from openlineage.common.provider.dbt.utils import PRODUCER, get_parent_run_metadata

    class Processor(DbtArtifactProcessor):
        def __init__(self, manifest: dict, results: dict) -> None:
            super().__init__(PRODUCER, lineage.namespace(), skip_errors=True)
            self.artifacts = tables_only(manifest), results
            self._dbt_run_metadata = get_parent_run_metadata()

        def get_dbt_metadata(self) -> tuple[dict, dict, dict, None]:
            return *self.artifacts, {"type": "postgres"}, None

        def extract_namespace(self, profile: dict) -> str:
            return lineage.warehouse()

        def dbt_run_run_facet(self) -> dict:
            manifest, results = self.artifacts
            return {
                "dbt_run": DbtRunRunFacet(
                    invocation_id=results["metadata"]["invocation_id"],
                    project_name=manifest["metadata"]["project_name"],
                    dbt_runtime="core",
                    full_refresh=self.full_refresh,
                )
            }

        def get_column_lineage(self, namespace: str, compiled_sql: str) -> None:
            """None: its parser does not see through `select *`; `columns` does."""

    return Processor
