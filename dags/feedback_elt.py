"""
### Feedback: reviews, from their API to the marts

`land`: `wait` → `extract_load`. Then `dbt` builds reviews and ratings, `publish_marts` lets readers see the build in
one commit, `publish` hands ratings on, `report` sums up.
Intervals and failures are as in `shop_elt`.
"""

from airflow.sdk import Asset, TriggerRule, dag, task

from publish import product_ratings
from storehouse.core.settings import settings
from storehouse.orchestrate.dbt_tasks import dbt_build
from storehouse.orchestrate.defaults import DAG_DEFAULTS, every, no_vain_retries
from storehouse.orchestrate.landing import land, params, parts
from storehouse.orchestrate.publishing import publish_marts
from storehouse.orchestrate.report import report

# With all that they stand on, the judgement of the loads included: it waits for no run of the shop.
MODELS = ["+path:models/marts/feedback", "pipeline_loads"]


@dag(
    **DAG_DEFAULTS,
    schedule=every(settings().feedback_elt_schedule),
    params=params("reviews"),
    tags=["feedback", "elt"],
    doc_md=__doc__,
)
def feedback_elt() -> None:
    """The picture of the pipeline."""

    @task(outlets=[Asset("feedback_marts")])
    def publish() -> None:
        """What readers of the marts see: on to those who read it elsewhere."""
        with no_vain_retries():
            print(product_ratings())

    landed = land.expand(part=parts("reviews"))
    built = dbt_build(select=MODELS, trigger_rule=TriggerRule.ALL_DONE)
    published = publish()
    landed >> built >> publish_marts("feedback") >> published
    [landed, published] >> report()


feedback_elt()
