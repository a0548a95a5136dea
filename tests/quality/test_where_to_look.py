"""What a message names is there to be looked at."""

import re

import pytest

import extract_load
from storehouse.core import transform
from storehouse.core.errors import StorehouseError
from storehouse.core.transform import DAILY
from storehouse.operate.summary import summarise
from tests.converge.histories import Landed, Record
from tests.quality.test_deletes import MONDAY, ORDER, TUESDAY, sent

QUERY = re.compile(r"select (?:\*|record_id, errors, record) from [a-z_.]+(?: where .*?_load_id > \d+)?")


def test_the_messages_of_a_first_load_that_is_stopped_name_what_is_there(new_house) -> None:
    extract_load.prepare()
    landed = Landed()
    orders = [Record("shop.orders", ORDER | {"order_id": str(n), "total_amount": -1}) for n in range(30)]
    landed.land("shop.orders", orders, (MONDAY, TUESDAY))
    (stopped,) = transform.build(DAILY)
    assert stopped.startswith("stg_shop__orders: ")
    (shown,) = QUERY.findall(stopped)
    assert len(new_house.query(shown)) == 30
    summary = summarise()
    assert "refused_records" in summary
    for query in QUERY.findall(summary):
        new_house.query(query)


def test_the_summary_names_the_tests_that_warned_with_their_counts_and_a_query(new_house) -> None:
    extract_load.prepare()
    payment = {"payment_id": "1", "order_id": "nowhere", "amount": 1, "status": "captured", "updated_at": MONDAY}
    landed = Landed()
    landed.land(
        "shop.payments", [Record("shop.payments", payment | {"payment_id": n}) for n in "12"], (MONDAY, TUESDAY)
    )
    later = (MONDAY.replace(day=14), MONDAY.replace(day=15))
    landed.land("shop.orders", [Record("shop.orders", ORDER | {"order_id": "1", "updated_at": later[0]})], later)
    landed.land("reviews.reviews", [sent("reviews.reviews", {})], later)
    transform.build(DAILY)
    (line,) = [line for line in summarise().splitlines() if "no_record_waits_too_long_for_its_order" in line]
    assert "2 rows" in line
    (query,) = QUERY.findall(line)
    assert len(new_house.query(query)) == 2


def test_what_dbt_can_not_read_is_still_titled_a_compilation_error(new_house) -> None:
    with pytest.raises(StorehouseError, match="Compilation Error"):
        transform.compiled("{{ no_such_macro() }}")
