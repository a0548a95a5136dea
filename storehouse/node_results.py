"""What became of a run's nodes and of its loads, for the report."""

from one_build import results

from extract_load.databases import connect_warehouse


def unbuilt(dag_id: str, run_id: str) -> set[str]:
    """The nodes of a run's selection that did not succeed, by unique id: neither in the build, nor alone since."""
    return results.unbuilt(lambda: connect_warehouse("transform"), dag_id, run_id)


def has_landed_since(dag_id: str, run_id: str) -> bool:
    """True when a load of the run is beyond what its last build has read: its task was cleared, the build's was not."""
    with connect_warehouse("transform") as warehouse:
        (later,) = warehouse.execute(
            "select max(load_id) > (select max(bound) from converge.runs where starts_with(run_id, %(run)s || ' '))"
            " from raw.loads where run_id = %(run)s",
            {"run": f"{dag_id} {run_id}"},
        ).fetchone()
    return bool(later)
