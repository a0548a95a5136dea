"""The task between the build and all that reads it: what was built and tested well becomes what readers see."""

from typing import Any

from airflow.sdk import TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from storehouse.core.errors import StorehouseError, TransientError
from storehouse.operate import published
from storehouse.operate.lineage import tell_published
from storehouse.orchestrate import notices
from storehouse.orchestrate.defaults import no_vain_retries
from storehouse.orchestrate.report import broken_tasks


@task(trigger_rule=TriggerRule.ALL_DONE)
def publish_marts(group: str, ti: Any = None, params: Any = None) -> None:
    """Publish a group in one commit, or say why not: then its readers keep what they have.

    Tried after every build, whatever became of it: the database knows what was tested. For a selection it is no failure
    that the group is not whole.
    """
    with no_vain_retries():
        try:
            print(*published.lines(published.publish([group])), sep="\n")
            tell_published([group])
        except TransientError:
            raise
        except StorehouseError as error:
            if (params or {}).get("selection"):
                raise AirflowSkipException(str(error)) from None
            # Tasks that failed before have sent their own notices.
            raise (notices.Told if broken_tasks(ti) else AirflowFailException)(str(error)) from None
