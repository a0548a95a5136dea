"""Lineage as a backend gets it: one graph from the shop's tables to the marts, of valid events without a secret."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from browser import Tab, needs_browser, visit
from houses import Command, House, command, whole_shop
from openlineage_scene import (
    NEEDS_AUTHORIZATION,
    Backend,
    backend,
    check,
    columns_of,
    read,
    sources_of,
    to_all,
    to_file,
    to_server,
)

from storehouse.core.lineage import WITHIN
from storehouse.core.settings import PROJECT

DAYS = ("run", "--days", "2", "--size", "0.05")


class Scene(NamedTuple):
    """A home after a run that told a backend and a file."""

    run: Command
    first: subprocess.CompletedProcess
    backend: Backend
    file: Path

    @property
    def events(self) -> list[dict]:
        """What the backend got of the first run."""
        return self.backend.events


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    home = tmp_path_factory.mktemp("home")
    file = home / "events.jsonl"
    with backend() as listening:
        variable = {"OPENLINEAGE__TRANSPORT": to_all(to_file(file), to_server(listening.url))}
        run = command(home)
        run.environment.update(variable)
        first = run(*DAYS)
        del run.environment["OPENLINEAGE__TRANSPORT"]
        yield Scene(run, first, listening, file)
    run("stop")


def of_job(events: list[dict], name: str) -> list[dict]:
    return [event for event in events if event["job"]["name"] == name]


def kind(event: dict) -> str:
    return event["job"]["facets"]["jobType"]["jobType"]


def test_every_event_is_valid_and_reaches_every_place_that_is_configured(told: Scene) -> None:
    assert told.first.returncode == 0, told.first.stderr
    assert "lineage" not in told.first.stderr
    assert told.backend.refused == 0 and told.events == read(told.file)
    check(told.events)
    kinds = Counter(map(kind, told.events))
    assert kinds.keys() == {"JOB", "LOAD", "MODEL", "SNAPSHOT", "TEST", "PUBLICATION"}
    assert kinds["MODEL"] > 100


def test_every_run_has_a_start_and_one_end(told: Scene) -> None:
    states: dict[str, list[str]] = {}
    for event in told.events:
        states.setdefault(event["run"]["runId"], []).append(event["eventType"])
    assert set(map(tuple, states.values())) == {("START", "COMPLETE")}


def test_one_graph_leads_from_each_table_of_the_shop_to_the_mart_that_readers_see(told: Scene) -> None:
    (output,) = of_job(told.events, "publish.core.fct_orders")[-1]["outputs"]
    warehouse = output["namespace"]
    assert re.fullmatch(r"postgres://127\.0\.0\.1:\d+", warehouse)
    assert output["name"] == "storehouse.core.fct_orders"
    found = sources_of(told.events, f"{warehouse}/storehouse.core.fct_orders")
    steps = ("shop.public.orders", "storehouse.raw_shop.orders", "storehouse.staging.stg_shop__orders")
    steps += ("storehouse.intermediate.int_orders__unioned", "storehouse.build.fct_orders")
    steps += ("shop.public.order_items", "shop.public.payments", "storehouse.seeds.exchange_rates")
    assert found >= {f"{warehouse}/{step}" for step in steps}
    others = {name.removeprefix(warehouse) for name in found if not name.startswith(warehouse)}
    assert any(name.endswith("/marketplace/orders") for name in others), others
    assert any(name.startswith("file//") and name.endswith(".{csv,parquet}") for name in others), others


def test_no_model_hangs_in_the_air(told: Scene) -> None:
    """What dbt reads is a table that something writes: an ephemeral model is none."""
    made = {output["name"] for event in told.events for output in event["outputs"]}
    read = {of["name"] for event in told.events if kind(event) == "MODEL" for of in event["inputs"]}
    ours = re.compile(r"storehouse\.(seeds|raw|raw_operations)\..*")
    assert {name for name in read - made if not ours.fullmatch(name)} == set()


def test_what_a_run_does_is_its_child(told: Scene) -> None:
    (run_id,) = {event["run"]["runId"] for event in of_job(told.events, "run")}
    parents = {event["run"]["runId"]: event["run"]["facets"].get("parent") for event in told.events}
    jobs = {event["run"]["runId"]: event["job"]["name"] for event in told.events}
    assert parents.pop(run_id) is None
    assert {parent["root"]["run"]["runId"] for parent in parents.values()} == {run_id}
    above = {jobs[child]: jobs[parent["run"]["runId"]] for child, parent in parents.items()}
    assert above["extract_load.shop.orders"] == "extract_load.shop"
    assert above["extract_load.shop"] == above["dbt build"] == above["publish.core.fct_orders"] == "run"
    assert above["storehouse.build.storehouse.fct_orders.build.run"] == "dbt build"


def test_rows_are_counted_as_they_are_in_the_ledger(told: Scene) -> None:
    (output,) = of_job(told.events, "extract_load.shop.orders")[-1]["outputs"]
    statement = (
        "select rows, bytes from raw.loads where source = 'shop' and table_name = 'orders' and kind <> 'reconcile'"
    )
    rows, size = told.run("psql", "-AtF", " ", given=statement).stdout.split()
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == int(rows) > 0
    assert output["outputFacets"]["outputStatistics"]["size"] == int(size)


def test_no_event_has_a_secret_or_anything_of_a_record(told: Scene) -> None:
    text = "\n".join(map(json.dumps, told.events))
    home = Path(told.run.environment["STOREHOUSE_HOME"])
    keys = [file.read_text().strip() for file in (home / "pii_key", *home.glob("postgres/*password*"))]
    assert len(keys) >= 2
    people = told.run("psql", "-At", given="select email, full_name from raw_shop.customers").stdout
    orders = told.run("psql", "-At", given="select order_id from core.fct_orders").stdout
    values = {value for line in people.splitlines() for value in line.split("|") if len(value) > 5}
    assert len(values) > 20
    # Some names are words of our own; an e-mail address or a whole name is not.
    for secret in (*keys, NEEDS_AUTHORIZATION.split()[1], *values):
        assert secret and secret not in text, "a secret or a value stands in an event"
    assert len(orders.split()) > 20 and not set(orders.split()) & set(re.findall(r"[\w-]+", text))


def test_a_run_without_openlineages_variables_imports_none_of_it_and_tells_nobody(told: Scene) -> None:
    before = len(told.events)
    script = (
        "import sys\nfrom storehouse.__main__ import main\nsys.argv[1:] = ['run', '--days', '1']\ncode = main()\n"
        "print('imported', sorted(name for name in sys.modules if 'openlineage' in name))\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, env=told.run.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported []"
    assert len(told.events) == before


@pytest.fixture(scope="module")
def documented(told: Scene) -> Scene:
    """The same home when the docs are written."""
    docs = told.run("docs")
    assert docs.returncode == 0, docs.stderr
    assert "columns.html" in docs.stdout and "can't read" not in docs.stdout, docs.stdout
    return told


def test_columns_lead_from_the_mart_to_the_shop_once_the_docs_are_written(documented: Scene) -> None:
    told = documented
    before = len(told.events)
    told.run.environment["OPENLINEAGE__TRANSPORT"] = json.dumps(to_server(told.backend.url))
    built = told.run("dbt", "run", "--select", "+fct_orders")
    del told.run.environment["OPENLINEAGE__TRANSPORT"]
    assert built.returncode == 0, built.stdout + built.stderr
    check(told.events[before:])
    assert of_job(told.events[before:], "dbt build")[-1]["eventType"] == "COMPLETE"
    found = columns_of(told.events, "storehouse.core.fct_orders", "status")
    assert found >= {
        ("storehouse.build.fct_orders", "status"),
        ("storehouse.intermediate.int_orders__unioned", "status"),
        ("storehouse.staging.stg_shop__orders", "source_status"),
        ("storehouse.raw_shop.orders", "status"),
        ("shop.public.orders", "status"),
        ("storehouse.staging.stg_marketplace__orders", "source_status"),
        ("storehouse.raw_marketplace.orders", "payload"),
        ("storehouse.seeds.order_statuses", "status"),
    }
    assert not found & {("shop.public.orders", "currency"), ("shop.public.orders", "total_amount")}
    # Of a column that a shop may lack too.
    estimated = columns_of(told.events, "storehouse.core.fct_orders", "estimated_delivery_at")
    assert ("shop.public.orders", "estimated_delivery_at") in estimated
    # One that is computed says so.
    ((how,),) = {
        tuple(one["subtype"] for one in of["transformations"])
        for event in told.events[before:]
        for output in event["outputs"]
        if output["name"] == "storehouse.build.fct_orders"
        for of in output["facets"]["columnLineage"]["fields"]["total_usd"]["inputFields"]
    }
    assert how == "TRANSFORMATION"


def test_of_a_model_that_has_changed_since_the_docs_no_columns_are_told(documented: Scene) -> None:
    told = documented
    kept = Path(told.run.environment["STOREHOUSE_HOME"]) / "dbt" / "columns.json"
    of = json.loads(kept.read_text())
    of["model.storehouse.dim_products"]["checksum"] = "of-before"
    kept.write_text(json.dumps(of))
    before = len(told.events)
    told.run.environment["OPENLINEAGE__TRANSPORT"] = json.dumps(to_server(told.backend.url))
    told.run("dbt", "run", "--select", "dim_products", "fct_payments")
    del told.run.environment["OPENLINEAGE__TRANSPORT"]
    facets = {
        output["name"]: "columnLineage" in output["facets"]
        for event in told.events[before:]
        if kind(event) == "MODEL"
        for output in event["outputs"]
    }
    assert facets == {"storehouse.build.dim_products": False, "storehouse.build.fct_payments": True}


@needs_browser
def test_the_page_of_columns_needs_no_network_and_tells_nobody(documented: Scene, tmp_path: Path) -> None:
    told = documented
    page = Path(told.run.environment["DBT_TARGET_PATH"]) / "columns.html"
    content = page.read_text()
    off = "window.colibriTelemetry = false;"
    assert off in content and str(PROJECT) not in content
    (telling := tmp_path / "telling.html").write_text(content.replace(off, ""))
    shown, asked = visit(tmp_path, page)
    # Not of its data, but of what its script has made of them.
    drawn = re.sub(r"<script.*?</script>", "", shown, flags=re.DOTALL)
    assert "Model Info" in drawn
    assert not asked, asked
    assert visit(tmp_path, telling)[1], "this test would not see what a page tells"


@needs_browser
def test_the_page_of_columns_opens_on_orders_and_from_a_models_documentation_on_that_model(
    documented: Scene, tmp_path: Path
) -> None:
    folder = Path(documented.run.environment["DBT_TARGET_PATH"])
    link = r"\(columns\.html(\?model=model\.storehouse\.(\w+)&parents=1)\)"
    links = {name: query for query, name in re.findall(link, (folder / "static_index.html").read_text())}
    assert len(links) > 50
    drawn = "[...document.querySelectorAll('.react-flow__node')].map(each => each.dataset.id.split('.').at(-1))"
    shown = []
    with Tab(tmp_path) as tab:
        for query, parent in (("", "fct_payments"), (links["cohort_retention"], "int_cohort_months__summed")):
            tab.open((folder / "columns.html").as_uri() + query)
            tab.wait(f"({drawn}).includes('{parent}')")
            shown.append(set(tab.run(drawn)))
    at_first, retention = shown
    assert {"fct_orders", "fct_payments"} <= at_first and "cohort_retention" not in at_first
    assert {"cohort_retention", "int_cohort_months__summed"} <= retention and "fct_orders" not in retention


@needs_browser
def test_the_page_of_columns_opens_with_what_a_model_reads_in_its_window(documented: Scene, tmp_path: Path) -> None:
    page = Path(documented.run.environment["DBT_TARGET_PATH"]) / "columns.html"
    seen = """
        [...document.querySelectorAll('.react-flow__node')].filter(each => {
            const {left, right, top} = each.getBoundingClientRect();
            return left > 0 && right < innerWidth && top > 0 && top < innerHeight;
        }).map(each => each.dataset.id.split('.').at(-1))
    """
    with Tab(tmp_path) as tab:
        tab.look()
        tab.open(page)
        tab.wait(f"({seen}).length > 4")
        assert {"fct_orders", "int_orders__unioned", "fct_order_items", "fct_payments"} <= set(tab.run(seen))


def test_a_build_that_stops_is_told_as_failed_and_nothing_as_published(told: Scene) -> None:
    # The last one in this house: it stays stopped.
    before = len(told.events)
    told.run.environment["OPENLINEAGE__TRANSPORT"] = json.dumps(to_server(told.backend.url))
    stopped = told.run("run", "--days", "1", "--bad-orders", "0.9")
    del told.run.environment["OPENLINEAGE__TRANSPORT"]
    assert stopped.returncode == 1
    events = told.events[before:]
    check(events)
    for job in ("run", "dbt build"):
        end = of_job(events, job)[-1]
        assert end["eventType"] == "FAIL"
        assert "shop.orders" in end["run"]["facets"]["errorMessage"]["message"]
    published = {event["job"]["name"] for event in events if kind(event) == "PUBLICATION"}
    assert "publish.core.fct_orders" not in published
    assert of_job(events, "extract_load.shop.orders")[-1]["eventType"] == "COMPLETE"


@pytest.fixture
def shop(new_house: House) -> House:
    """A shop whose payments can't be landed."""
    new_house.execute_in_shop(whole_shop("") + ";drop table payments")
    return new_house


def test_of_a_load_that_fails_what_landed_is_told_and_that_it_failed(shop: House, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    load = command(shop.home, **shop.environment, OPENLINEAGE__TRANSPORT=json.dumps(to_file(file)))
    failed = load("shop", module="extract_load")
    assert failed.returncode == 1
    events = read(file)
    check(events)
    assert of_job(events, "extract_load.shop.orders")[-1]["eventType"] == "COMPLETE"
    assert not of_job(events, "extract_load.shop.payments")
    _, end = of_job(events, "extract_load.shop")
    assert end["eventType"] == "FAIL" and "payments" in end["run"]["facets"]["errorMessage"]["message"]


@pytest.mark.parametrize("how", ["silent", "closed", "refusing"])
def test_a_backend_that_is_away_costs_seconds_and_one_line_and_the_file_nothing(
    new_house: House, tmp_path: Path, how: str
) -> None:
    new_house.execute_in_shop(whole_shop(""))
    file = tmp_path / "events.jsonl"
    with socket.create_server(("127.0.0.1", 0)) as silent, backend() as refusing:
        port = silent.getsockname()[1]
        if how == "closed":
            silent.close()
        away = {"type": "http", "url": refusing.url if how == "refusing" else f"http://user:se-cret@127.0.0.1:{port}"}
        given = new_house.environment | {"OPENLINEAGE__TRANSPORT": to_all(away, to_file(file))}
        load = command(new_house.home, **given)
        began = time.monotonic()
        done = load("shop", module="extract_load")
        seconds = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    assert (
        done.stderr.count("OpenLineage events") == 1 and "can't be sent" in done.stderr and "se-cret" not in done.stderr
    )
    assert "Retrying" not in done.stderr and "Traceback" not in done.stderr
    # In turn with the same without it; the patience is of both sending at the beginning and at the end.
    began = time.monotonic()
    command(new_house.home, **new_house.environment)("shop", module="extract_load")
    assert seconds - (time.monotonic() - began) < 2 * WITHIN, "it held the load up"
    assert [event["eventType"] for event in of_job(read(file), "extract_load.shop")] == ["START", "COMPLETE"]


@pytest.mark.parametrize(
    ("transport", "said"),
    [('{"type": "telegraph"}', "telegraph"), ('{"type": "file", "log_file_path": "/nowhere/x"}', "nowhere")],
)
def test_a_wrong_transport_is_said_and_fails_nothing(tmp_path: Path, transport: str, said: str) -> None:
    done = one_run(tmp_path, OPENLINEAGE__TRANSPORT=transport)
    assert done.stderr.count("\n") == 1 and said in done.stderr, done.stderr


def test_the_token_of_a_git_remote_is_in_no_event(tmp_path: Path) -> None:
    for arguments in (["init", "-q"], ["remote", "add", "origin", "https://me:t0ken-of-git@git.example/shop.git"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    file = tmp_path / "events.jsonl"
    one_run(tmp_path, OPENLINEAGE__TRANSPORT=json.dumps(to_file(file)))
    assert len(read(file)) == 2 and "t0ken" not in file.read_text()


def test_openlineages_own_file_in_the_folder_turns_it_on_and_its_own_variable_off(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    (tmp_path / "openlineage.yml").write_text(json.dumps({"transport": to_file(file)}))
    one_run(tmp_path, OPENLINEAGE_DISABLED="True")
    assert not file.exists()
    one_run(tmp_path, OPENLINEAGE_PARENT_ID="dags/a_dag.a_task/0190f8a0-0000-7000-8000-000000000000")
    check(events := read(file))
    assert {event["run"]["facets"]["parent"]["job"]["name"] for event in events} == {"a_dag.a_task"}


def test_a_namespace_may_be_a_path(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    transport = json.dumps(to_file(file))
    one_run(tmp_path, "outer", "inner", OPENLINEAGE__TRANSPORT=transport, OPENLINEAGE_NAMESPACE="prod/eu")
    check(events := read(file))
    ((_, inner),) = [of_job(events, "inner")]
    (outer, _) = of_job(events, "outer")
    parent = inner["run"]["facets"]["parent"]
    assert parent["job"] == parent["root"]["job"] == {"namespace": "prod/eu", "name": "outer"}
    assert parent["run"] == {"runId": outer["run"]["runId"]} and "parent" not in outer["run"]["facets"]


NOTHING = """
import sys
from contextlib import ExitStack
from storehouse.core import lineage, progress
progress.configure()
with ExitStack() as runs:
    for job in sys.argv[1:]:
        runs.enter_context(lineage.run(job))
"""


def one_run(folder: Path, *jobs: str, **variables: str) -> subprocess.CompletedProcess:
    """A run of a job that does nothing, in this folder; of several, each within the one before."""
    done = subprocess.run(
        [sys.executable, "-c", NOTHING, *(jobs or ["nothing"])],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(PROJECT), "HOME": str(folder)} | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_a_place_names_no_more_than_host_port_and_path(house: House, configure) -> None:
    from extract_load.lineage import place_of
    from extract_load.tables import tables_of

    (orders,) = (table for table in tables_of("shop") if table.name == "orders")
    configure(SHOP_DATABASE_URL="postgresql://reader:se-cret@db.example:5433/web?sslmode=require", SHOP_SCHEMA="sales")
    assert place_of(orders) == ("postgres://db.example:5433", "web.sales.orders")
    configure(SHOP_DATABASE_URL="host=one.example,two.example dbname=web password=se-cret")
    assert place_of(orders) == ("postgres://one.example:5432", "web.sales.orders")
    (marketplace,) = tables_of("marketplace")
    configure(MARKETPLACE_URL="https://token:se-cret@api.example/v2?key=se-cret")
    assert place_of(marketplace) == ("https://api.example", "/v2/orders")
    (stores,) = tables_of("stores")
    configure(STORES_URL="s3://tills/north")
    assert place_of(stores) == ("s3://tills", f"north/{stores.place}")
