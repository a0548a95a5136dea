"""The pages of docs/how-to are walked: each change, kept beside its page as a patch, is made in a copy of the project.

There the quick checks pass, the demo shop is played, landed and built, and a reader finds what the page promises.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from houses import MODELS_ALONE, OUR_VARIABLES

from storehouse.core.settings import PROJECT

PAGES = PROJECT / "docs" / "how-to"
NOT_COPIED = shutil.ignore_patterns(
    *(".git", ".venv", ".tools", ".storehouse", "target", "logs", "dbt_packages", "__pycache__", ".[a-z]*_cache")
)
# The tests of `make check` that look at declarations and descriptions.
QUICK = ["tests/extract_load/contracts", "tests/extract_load/test_declarations.py", "tests/docs"]
MOST_FILES = {"add-a-column": 8, "add-a-table": 10, "add-an-api": 8}


def files_of(page: str) -> set[str]:
    """The files that a patch changes or adds."""
    return set(re.findall(r"^diff --git a/(\S+)", (PAGES / f"{page}.patch").read_text(), re.MULTILINE))


@pytest.mark.quick
@pytest.mark.parametrize("page", MOST_FILES)
def test_a_page_lists_the_files_of_its_change_and_they_are_few(page: str) -> None:
    listed = re.findall(r"^\| `([^`]+/[^`]+)` \|", (PAGES / f"{page}.md").read_text(), re.MULTILINE)
    assert set(listed) == files_of(page)
    assert len(listed) <= MOST_FILES[page]


@pytest.mark.quick
def test_every_page_is_found_and_the_files_that_it_links_to_are_there() -> None:
    readme, contributing = ((PROJECT / name).read_text() for name in ("README.md", "CONTRIBUTING.md"))
    for page in PAGES.glob("*.md"):
        assert f"docs/how-to/{page.name}" in readme
        assert f"docs/how-to/{page.name}" in contributing
        for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert (PAGES / link).exists(), f"{page.name}: {link}"


class Copy:
    """A copy of the project with a change, and a home of its own."""

    def __init__(self, folder: Path, page: str) -> None:
        self.project, home = folder / "project", folder / "home"
        shutil.copytree(PROJECT, self.project, ignore=NOT_COPIED)
        subprocess.run(["git", "apply", PAGES / f"{page}.patch"], cwd=self.project, check=True)
        (self.project / "dbt_packages").mkdir()
        (self.project / "dbt_packages" / "converge").symlink_to(self.project / "packages" / "converge")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(OUR_VARIABLES)}
        self.environment |= {
            "STOREHOUSE_HOME": str(home),
            "DBT_TARGET_PATH": str(home / "target"),
            "PYTHONPATH": str(self.project),
        }

    def run(self, *arguments: str, given: str | None = None) -> str:
        """What `python …` prints in the copy."""
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.project,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def check(self) -> None:
        """What `make check` asks of declarations and descriptions."""
        self.run("-m", "pytest", "-n", "0", "-q", "-m", "quick", *QUICK)

    def ask(self, query: str) -> str:
        return self.run("-m", "storehouse", "psql", "-qtA", given=query).strip()


@pytest.fixture
def copy(tmp_path: Path, request: pytest.FixtureRequest):
    copied = Copy(tmp_path, request.param)
    yield copied
    copied.run("-m", "storehouse", "stop")


@pytest.mark.parametrize("copy", ["add-a-column"], indirect=True)
def test_a_column_reaches_the_mart(copy: Copy) -> None:
    copy.check()
    copy.run("-m", "storehouse", "run", "--size", "0.05", "--days", "3")
    copy.run("-m", "storehouse", "dbt", "test", "--select", "judged_shop__orders,test_type:unit")
    assert copy.ask("select string_agg(distinct coupon_code, ' ') from core.fct_orders") == "WELCOME"


@pytest.mark.parametrize("copy", ["add-a-table"], indirect=True)
def test_a_table_reaches_the_marts(copy: Copy) -> None:
    copy.check()
    copy.run("-m", "storehouse", "run", "--size", "0.05", "--days", "30")
    copy.run("-m", "storehouse", "dbt", "test", "--select", "judged_shop__returns,test_type:unit")
    assert int(copy.ask("select count(*) from core.fct_returns where order_date is not null")) > 0


KNOWN_CHANNEL = "orders_come_through_a_known_channel"
LAND = """
from histories import DAY_ZERO, Landed, Record
import extract_load, json
extract_load.prepare()
payload = {"id": "A.1", "state": "shipped", "country": "DE", "region": "eu", "currency": "EUR", "cents": 1250,
    "created_at": "2026-01-05T10:00:00Z", "updated_at": "2026-01-05T10:00:00Z"}
interval = (DAY_ZERO, DAY_ZERO.replace(month=2))
Landed().land("outlet.orders", [Record("outlet.orders", {"payload": json.dumps(payload)})], interval)
"""


@pytest.mark.parametrize("copy", ["add-an-api"], indirect=True)
def test_an_order_of_a_new_channel_reaches_the_mart(copy: Copy) -> None:
    copy.check()
    samples = "tests/extract_load/contracts/test_samples.py"
    copy.run("-m", "pytest", "-n", "0", "-q", samples, "-k", "as_recorded")
    copy.run("-m", "storehouse", "start")
    copy.environment["PYTHONPATH"] += f":{copy.project / 'tests' / 'converge'}"
    copy.run("-", given=LAND)
    copy.run("-m", "storehouse", "dbt", *MODELS_ALONE, "--select", "+fct_orders")
    rules, tests = "judged_outlet__orders,test_type:unit", ["every_accepted_order_is_in_fct_orders", KNOWN_CHANNEL]
    copy.run("-m", "storehouse", "dbt", "test", "--select", rules, *tests)
    assert (
        copy.ask("select channel || ':' || region || ':' || stated_amount from build.fct_orders") == "outlet:eu:12.5000"
    )
