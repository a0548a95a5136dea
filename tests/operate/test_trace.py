"""`make trace`: the story of one key, from its landed versions to its readers, without personal data."""

import json
import os

import pytest
import warm
from houses import MODELS_ALONE, House, whole_shop

import extract_load
from storehouse.core import transform
from storehouse.core.errors import StorehouseError
from storehouse.operate import trace

PERSON = {"email": "ada@example.org", "full_name": "Ada Byron", "street": "St James 12", "phone": "020 1815"}
SHOP = whole_shop("""
    create table orders (
        order_id bigint primary key, customer_id bigint, status text, currency text, total_amount numeric,
        placed_at timestamptz, updated_at timestamptz, deleted_at timestamptz
    );
    create table customers (
        customer_id bigint primary key, email text, full_name text, country text, updated_at timestamptz
    );
    insert into customers values (7, 'ada@example.org', 'Ada Byron', 'GB', '2026-01-01');
    insert into orders values
        (1, 7, 'lost in the post', 'USD', 10, '2026-01-01', '2026-01-01'),
        (2, 7, 'created', 'USD', 20, '2026-01-01', '2026-01-01');
""")
DAYS = (
    "update orders set status = 'still lost', updated_at = '2026-01-02' where order_id = 1",
    "update orders set status = 'created', updated_at = '2026-01-03' where order_id = 1;"
    "update orders set deleted_at = '2026-01-03', updated_at = '2026-01-03' where order_id = 2",
)


@pytest.fixture(scope="module")
def told(house: House) -> House:
    """A house with an order that was refused twice and then accepted, and one that was deleted."""
    house.execute_in_shop(SHOP)
    extract_load.load("shop", run_id="day 1")
    assert transform.build(MODELS_ALONE) == []
    for number, day in enumerate(DAYS, 2):
        house.execute_in_shop(day)
        extract_load.load("shop", run_id=f"day {number}")
    assert transform.build(transform.DAILY) == []
    return house


def test_an_order_that_was_refused_twice_and_then_accepted_is_told_in_that_order(told, capsys) -> None:
    assert trace.main("fct_orders", ["web-1"], is_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    orders = [version for version in found["versions"] if version["table"] == "shop.orders"]
    assert [version["run_id"] for version in orders] == ["day 1", "day 2", "day 3"]
    assert [[reason.split(" ")[0] for reason in version["_errors"] or []] for version in orders] == [
        ["status_unknown"],
        ["status_unknown"],
        [],
    ]
    assert [version["status"] for version in orders] == ["resolved", "resolved", None]
    assert orders[2]["shown"]["source_status"] == "created" and not orders[2]["_is_deleted"]
    (row,) = found["rows"]["core.fct_orders"]
    assert row["order_id"] == "web-1" and row["status"] and row == found["rows"]["build.fct_orders"][0]
    assert found["rows"]["staging.stg_shop__orders"] and not found["rows"]["staging.stg_marketplace__orders"]
    assert found["published"]["position"] >= max(version["position"] for version in orders)
    trace.main("fct_orders", ["web-1"], is_json=False)
    said = capsys.readouterr().out
    assert said.index("day 1") < said.index("day 2") < said.index("day 3") < said.index("accepted")
    assert said.count("refused (resolved): status_unknown") == 2 and "readers of shop see position" in said


def test_a_deleted_order_has_its_versions_and_no_row_that_readers_see(told) -> None:
    found = trace.trace("fct_orders", ["web-2"])
    # A load reads back some way: a version may land twice.
    deleted = [version["_is_deleted"] for version in found["versions"]]
    assert not deleted[0] and deleted[-1]
    assert found["rows"]["core.fct_orders"] == [] and found["rows"]["staging.stg_shop__orders"]


@pytest.mark.parametrize("model", ["dim_customers", "dim_customers_history", "customer_lifetime_value"])
def test_no_personal_value_is_told_of_a_person(told, capsys, model: str) -> None:
    for is_json in (True, False):
        trace.main(model, ["web-7"], is_json=is_json)
    said = capsys.readouterr().out
    assert "shop.customers" in said and "web-7" in said
    assert not [value for value in PERSON.values() if value in said]
    # What stands in their place is masked, as readers see it.
    if model != "customer_lifetime_value":
        (email,) = told.query("select distinct email from core.dim_customers where customer_id = 'web-7'")[0]
        assert email in said


WORDS = ["web-1' or '1'='1", "'; drop table raw.loads; -- {{ this_is_jinja }} {% raw %} %s %(x)s", ""]


@pytest.mark.parametrize("key", WORDS)
def test_a_key_that_nobody_knows_is_one_sentence_whatever_it_says(told, key: str) -> None:
    with pytest.raises(StorehouseError, match="Nothing has landed of order_id "):
        trace.trace("fct_orders", [key])
    assert told.query("select count(*) > 2 from raw.loads") == [(True,)]


@pytest.mark.parametrize("model", ["fct_order", "stg_shop__orders", 'fct_orders"; drop table raw.loads; --'])
def test_a_model_that_is_no_mart_is_told_with_those_that_are(told, model: str) -> None:
    with pytest.raises(StorehouseError, match=r"There are: .*fct_orders"):
        trace.trace(model, ["web-1"])


def test_a_longer_key_may_be_given_in_part_but_not_with_too_much(told) -> None:
    assert trace.trace("fct_order_items", ["web-1"])["key"] == {"order_id": "web-1"}
    with pytest.raises(StorehouseError, match="has 2 columns: order_id, line_number"):
        trace.trace("fct_order_items", ["web-1", "1", "2"])


def test_every_mart_has_a_key_that_can_be_traced(told) -> None:
    nodes = transform.manifest()["nodes"]
    models = {id_: node for id_, node in nodes.items() if node["resource_type"] == "model"}
    marts = [node for node in models.values() if transform.published_schema(node)]
    assert len(marts) > 10 and not [node["name"] for node in marts if not trace._key(models, node)]


def test_the_command_ends_with_one_message_and_exit_code_1(told) -> None:
    done = warm.run("storehouse", "trace", "web-404", env={**os.environ, **told.environment})
    *progress, message = done.stderr.splitlines()
    assert done.returncode == 1 and message.startswith("storehouse trace: ")
    assert all(line.startswith("transform ") for line in progress), progress
