"""
### The customers' marts, whenever what they stand on is new

Runs when `shop_elt` and `feedback_elt` have both published since its last run: at no guessed hour.
"""

from airflow.sdk import Asset, dag

from storehouse.orchestrate.dbt_tasks import dbt_build
from storehouse.orchestrate.defaults import DAG_DEFAULTS, build_params
from storehouse.orchestrate.report import report

MODELS = ["path:models/intermediate/customers+"]


@dag(
    **DAG_DEFAULTS,
    schedule=Asset("shop_marts") & Asset("feedback_marts"),
    params=build_params(),
    tags=["customers"],
    doc_md=__doc__,
)
def customer_marts() -> None:
    """The picture of the pipeline."""
    dbt_build(select=MODELS) >> report()


customer_marts()
