"""
### The shop: orders of all channels, from their sources to the marts

`land`, mapped over sources and regions: `wait` → `extract_load`. Then `size` chooses how large a build the landed
rows need, `dbt` builds (a task a node), `publish_marts` lets readers see the build in one commit, `publish` hands
sales on, `report` sums up.

The interval's end bounds extraction, and only that: every load starts where the ledger says the last one ended,
so a skipped, repeated or overlapping interval leaves no hole. A run without a date lands all there is.
A source that stays away fails its own part; the rest is built from last good data, and the run ends as failed.
"""

from airflow.sdk import Asset, dag, task

from extract_load import SOURCES as DECLARED
from publish import daily_sales
from storehouse.core.settings import settings
from storehouse.orchestrate.dbt_tasks import dbt_build
from storehouse.orchestrate.defaults import DAG_DEFAULTS, every, no_vain_retries
from storehouse.orchestrate.landing import land, params, parts, size
from storehouse.orchestrate.publishing import publish_marts
from storehouse.orchestrate.report import report

# Every declared source, but the one that the feedback's DAG lands.
SOURCES = [source for source in DECLARED if source != "reviews"]
# The feedback's DAG builds these. Reviews are staged here too: the quarantine is of all sources.
NOT_OURS = ["path:models/intermediate/feedback+"]
# Whatever an operator takes may stand here: a `queue` of larger workers, or, for a distributed target, a `pool` of its
# own. In this warehouse the pool stays that of all builds, of one slot: a larger build must not go beside another.
LARGE = {"threads": settings().large_dbt_threads}


@dag(
    **DAG_DEFAULTS,
    schedule=every(settings().shop_elt_schedule),
    params=params(*SOURCES),
    tags=["shop", "elt"],
    doc_md=__doc__,
)
def shop_elt() -> None:
    """The picture of the pipeline."""

    @task(outlets=[Asset("shop_marts")])
    def publish() -> None:
        """What readers of the marts see: on to those who read it elsewhere."""
        with no_vain_retries():
            print(daily_sales())

    landed = land.expand(part=parts(*SOURCES))
    built = dbt_build(exclude=NOT_OURS, large=LARGE)
    published = publish()
    size(landed) >> built >> publish_marts("shop") >> published
    [landed, published] >> report()


shop_elt()
