"""
### The customers' marts, whenever what they stand on is new

Runs when `shop_elt` and `feedback_elt` have both published since its last run: at no guessed hour.
"""

from airflow.sdk import Asset, dag

from storehouse.orchestrate.dbt_tasks import dbt_build
from storehouse.orchestrate.report import report
from storehouse.orchestrate.rules import RULES, build_params

MODELS = ["path:models/intermediate/customers+"]


@dag(
    **RULES,
    schedule=Asset("shop_marts") & Asset("feedback_marts"),
    params=build_params(),
    tags=["customers"],
    doc_md=__doc__,
)
def customer_marts() -> None:
    """The picture of the pipeline."""
    dbt_build(select=MODELS) >> report()


customer_marts()
