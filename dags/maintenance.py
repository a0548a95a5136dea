"""
### Once a week: is what stands here what raw says, and is it in good order?

`audit` rebuilds every model from raw beside the warehouse and compares; a difference fails it, and says where it is.
`vacuum` frees and analyses, `docs` writes dbt's documentation and the page of columns to `DOCS_URL`, or to `docs/` in
STOREHOUSE_HOME.
Nothing is ever dropped from raw: docs/decisions/0005 says why.
"""

import subprocess
import sys
from datetime import timedelta

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

from storehouse.core import stores
from storehouse.core.errors import as_error
from storehouse.core.settings import PROJECT, settings
from storehouse.orchestrate.defaults import DAG_DEFAULTS, MAINTENANCE_POOL, every, no_vain_retries
from storehouse.orchestrate.notices import urls_of_notices


@dag(**DAG_DEFAULTS, schedule=every("0 3 * * 0"), tags=["maintenance"], doc_md=__doc__)
def maintenance() -> None:
    """The picture of the week."""

    @task(pool=MAINTENANCE_POOL, execution_timeout=timedelta(hours=8))
    def audit() -> None:
        from storehouse.operate import alerts
        from storehouse.operate.audit import audit

        with no_vain_retries():
            verdicts = audit()
        alerts.try_to_send(urls_of_notices())
        print(*(verdict.line for verdict in verdicts), sep="\n")
        # A mart that waits for its next run is behind, not wrong: the verdict has a note.
        if wrong := [verdict.line for verdict in verdicts if verdict.differences and not verdict.note]:
            raise AirflowFailException("The audit found differences:\n" + "\n".join(wrong))

    @task(pool=MAINTENANCE_POOL, execution_timeout=timedelta(hours=4))
    def vacuum() -> None:
        from storehouse.operate import vacuum

        vacuum.vacuum()

    @task
    def docs() -> None:
        folder = settings().home / "docs"
        command = [sys.executable, "-m", "storehouse", "docs", str(folder)]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
        with no_vain_retries():
            if done.returncode:
                raise as_error(done.stderr)
        if url := settings().docs_url:
            with no_vain_retries():
                stores.put(folder / "static_index.html", url, "DOCS_URL", "index.html")
                if (page := folder / "columns.html").exists():
                    stores.put(page, url, "DOCS_URL", page.name)

    audit() >> vacuum()
    docs()


maintenance()
