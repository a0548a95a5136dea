"""Of which columns each column is made: a page beside dbt's documentation, and a facet of events. By dbt-colibri."""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from storehouse.core.errors import unexpected
from storehouse.core.settings import settings
from storehouse.core.transform import COLUMNS_PAGE as PAGE

# What it opens on when its address names no model: else the first of all, in no order that a reader knows.
_OPENS_ON = "model.storehouse.fct_orders"
# It zooms in on that model, beside which nothing of what it reads has room: its own button shows all.
_OPENING = f"""<script>
location.search || history.replaceState(null, "", "?model={_OPENS_ON}&parents=1");
const opening = setInterval(() => {{
    if (document.querySelectorAll(".react-flow__node").length < 2) return;
    clearInterval(opening);
    setTimeout(() => document.querySelector(".react-flow__controls-fitview")?.click(), 1000);
}}, 100);
</script>"""
# Its name for a column of no table: what conditions read.
_FILTER = "__colibri"
# OpenLineage's words for how a column is made of another: as it is, or computed.
_HOW = {"pass-through": "IDENTITY", "rename": "IDENTITY"}


def document(folder: Path) -> list[str]:
    """Write the page of all columns, which needs no network and tells nobody, beside dbt's documentation.

    Args:
        folder: has dbt's manifest and catalog, both of `dbt docs generate`.

    Returns:
        The models whose SQL dbt-colibri can't read: of their columns nothing is known.
    """
    from dbt_colibri.lineage_extractor.extractor import DbtColumnLineageExtractor
    from dbt_colibri.report.generator import DbtColibriReportGenerator

    # It logs every column that it does not understand, and each several times.
    for name in ("colibri", "sqlglot"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    manifest, catalog = folder / "manifest.json", folder / "catalog.json"
    extractor = DbtColumnLineageExtractor(str(manifest), str(catalog))
    report = DbtColibriReportGenerator(extractor, light_mode=True, disable_telemetry=True)
    with TemporaryDirectory(dir=folder) as made:
        report.generate_report(made)
        (page := Path(made) / "index.html").write_text(page.read_text().replace("<head>", f"<head>{_OPENING}", 1))
        page.replace(folder / PAGE)
        found = json.loads((Path(made) / "colibri-manifest.json").read_text())
        errors = Path(made) / "colibri-parsing-errors.json"
        unread = json.loads(errors.read_text()) if errors.exists() else []
    _keep(json.loads(manifest.read_text())["nodes"], found["lineage"]["parents"])
    return sorted({error["node_id"].rpartition(".")[2] for error in unread})


def try_to_document(folder: Path) -> str:
    """The same beside what is wanted more: returns what was written, or that it could not be, in words for people."""
    try:
        unread = document(folder)
    except Exception as error:
        (folder / PAGE).unlink(missing_ok=True)
        return f"  without the page of columns, which could not be written: {unexpected(error)}."
    untraced = f"; not of {', '.join(unread)}, whose SQL it can't read" if unread else ""
    return f"  from column to column: {folder / PAGE}{untraced}"


def kept() -> dict[str, Any]:
    """What the last page said, by model: the checksum of its file, and of each column what it is made of."""
    file = _file()
    return json.loads(file.read_text()) if file.exists() else {}


def _keep(nodes: dict, parents: dict) -> None:
    """Keep it for events: of tables only, ephemeral models are read through."""

    def of_tables(node: str, column: str, how: str = "IDENTITY") -> Iterator[list[str]]:
        for parent in parents.get(node, {}).get(column, ()):
            above, name = parent["dbt_node"], parent["column"]
            both = how if how != "IDENTITY" else _HOW.get(parent["lineage_type"], "TRANSFORMATION")
            if above in nodes and nodes[above]["config"]["materialized"] == "ephemeral":
                yield from of_tables(above, name, both)
            else:
                yield [above, name, both]

    columns = {
        node: {
            "checksum": nodes[node]["checksum"]["checksum"],
            "columns": {
                column: sorted(map(list, {*map(tuple, of_tables(node, column))}))
                for column in of_node
                if not column.startswith(_FILTER)
            },
        }
        for node, of_node in parents.items()
    }
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True)
    # Whole at once: a build may read it meanwhile.
    made = file.with_suffix(f".{os.getpid()}")
    made.write_text(json.dumps(columns))
    made.replace(file)


def _file() -> Path:
    return settings().home / "dbt" / "columns.json"
