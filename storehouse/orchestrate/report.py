"""The last task of a run: it prints the summary, sends alerts, metrics and the sales report, writes the status page and
the dashboard; it fails if the run is not whole."""

from typing import Any

from airflow.sdk import TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException
from one_build import results

from dashboard import page
from storehouse.core import pages
from storehouse.core.databases import connect_warehouse
from storehouse.core.queries import one_value
from storehouse.core.settings import settings
from storehouse.core.task_names import BUILD, DBT, LARGE_BUILD, TESTS
from storehouse.operate import alerts, pipeline, status
from storehouse.operate.summary import summarise
from storehouse.orchestrate import notices


@task(trigger_rule=TriggerRule.ALL_DONE)
def report(ti: Any = None, dag_run: Any = None) -> None:
    """Print the run's summary, send alerts, write the pages; fail if a task failed or a load was not built."""
    run_id = f"{dag_run.dag_id} {dag_run.run_id}"
    counts = ti.xcom_pull([BUILD, LARGE_BUILD, TESTS], key="tests")
    tests = max(filter(None, counts), key=lambda count: count["at"], default={})
    print(summarise(run_id, tests))
    states = _states(ti)
    problem: Exception | None
    try:
        problem = _problem(dag_run, states)
    except Exception as error:
        # What is known of the run is kept and told all the same.
        problem = error
    pipeline.record(
        dag_run.dag_id,
        run_id,
        dag_run.start_date,
        (dag_run.data_interval_start, dag_run.data_interval_end),
        broken=sorted(_broken(states)),
        tasks=len(states),
        has_failed=problem is not None,
    )
    alerts.try_to_send(notices.urls_of_notices())
    if settings().pushgateway_url:
        from storehouse.operate import metrics

        metrics.try_to_push()
    pages.try_to_put("status page", status.write, status.NAME)
    pages.try_to_put("dashboard", page.write, page.NAME)
    if settings().report_url:
        from storehouse.operate import sales_report

        sales_report.try_to_send()
    if problem:
        raise problem


def _problem(dag_run: Any, states: dict[str, str]) -> AirflowFailException | None:
    """Why the run is not whole, as the error that the report ends with; None when it is."""
    # A skipped task is fine unless the build had selected its node. Every build that ends well must be tested.
    unbuilt = results.unbuilt(lambda: connect_warehouse("transform"), dag_run.dag_id, dag_run.run_id)
    due = {TESTS, *(f"{DBT}.{results.name(node)}" for node in unbuilt)}
    broken = _broken(states)
    if lacking := sorted(broken | {name for name in due if states.get(name) != "success"}):
        # Tasks that failed have sent their own notices.
        error = notices.Told if broken else AirflowFailException
        return error(f"{len(lacking)} tasks did not succeed: {', '.join(lacking)}")
    if has_landed_since(dag_run.dag_id, dag_run.run_id):
        return AirflowFailException(
            "What landed last came after the build. Clear the build with all below it, or leave it to the next run."
        )
    return None


def broken_tasks(ti: Any) -> set[str]:
    """The tasks of the run that have failed, and those that were not tried because of them."""
    return _broken(_states(ti))


def _broken(states: dict[str, str]) -> set[str]:
    return {name for name, state in states.items() if state in ("failed", "upstream_failed")}


def _states(ti: Any) -> dict[str, str]:
    return ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])[ti.run_id]


def has_landed_since(dag_id: str, run_id: str) -> bool:
    """True when a load of the run is beyond what its last build has read: its task was cleared, the build's was not."""
    with connect_warehouse("transform") as warehouse:
        later = one_value(
            warehouse,
            "select max(position) > (select max(bound) from converge.runs where starts_with(run_id, %(run)s || ' '))"
            " from raw.loads where run_id = %(run)s",
            {"run": f"{dag_id} {run_id}"},
        )
    return bool(later)
