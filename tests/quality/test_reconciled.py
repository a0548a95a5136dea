"""What reconciliation lands reaches the marts and wins there; the incremental result is that of a full refresh."""

import pytest
from houses import MODELS_ALONE, whole_shop

import extract_load
from storehouse.core import transform
from storehouse.operate import audit

BUILD = [*MODELS_ALONE, "--select", "+fct_orders", "+quarantined_records"]
ORDER = "insert into orders (order_id, status, currency, total_amount, placed_at, updated_at) values "
HERE = "select source_order_id, stated_amount from staging.stg_shop__orders where not _is_deleted order by 1"


def order(key: int, day: str, total: int = 10) -> str:
    return f"{ORDER} ('{key}', 'shipped', 'USD', {total}, '2026-01-01', '2026-01-{day}');"


@pytest.fixture(scope="module")
def built(house):
    """Eight orders stand in the marts, the ninth is refused; the watermark is the evening of 20 January."""
    house.execute_in_shop(
        whole_shop("create table orders (order_id text primary key, total_amount numeric, updated_at timestamptz);")
        + "".join(order(key, "05") for key in range(1, 9))
        + order(9, "05", total=-1)
        + order(10, "20")
    )
    extract_load.load("shop", tables=["orders"])
    assert transform.build(BUILD) == []
    return house


def reconciled(house) -> list[tuple]:
    """What the marts have after a load, a reconciliation and a build; it is the same as after a full refresh."""
    extract_load.load("shop", tables=["orders"])
    extract_load.reconcile("shop", tables=["orders"], compare="columns")
    assert transform.build(BUILD) == []
    assert [verdict.line for verdict in audit.audit("+fct_orders") if verdict.differences or verdict.note] == []
    return [(int(key), int(total)) for key, total in house.query(HERE)]


def test_the_marts_have_what_the_source_has_though_no_load_could_see_its_changes(built):
    built.execute_in_shop(
        "delete from orders where order_id in ('1', '2');"
        "update orders set total_amount = 13 where order_id = '3';"
        "update orders set total_amount = 14, updated_at = '2026-01-06' where order_id = '4';"
        "update orders set total_amount = 15, updated_at = '2026-01-02' where order_id = '5';"
        # One that is put right in the same moment, and one that becomes wrong.
        "update orders set total_amount = 19 where order_id = '9';"
        "update orders set total_amount = -16 where order_id = '6';" + order(11, "04", total=21)
    )
    rest = [(7, 10), (8, 10)]
    assert sorted(reconciled(built)) == [(3, 13), (4, 14), (5, 15), (6, 10), *rest, (9, 19), (10, 10), (11, 21)]
    assert built.query("select record_key, status from quarantine.quarantined_records order by 1") == [
        ("6", "pending"),
        ("9", "resolved"),
    ]


def test_what_had_been_gone_comes_back_and_what_was_refused_can_be_deleted(built):
    built.execute_in_shop(
        order(1, "01", total=31) + order(2, "21", total=32) + "delete from orders where order_id in ('6', '10');"
        "update orders set total_amount = 33 where order_id = '3';"
    )
    rows = dict(reconciled(built))
    assert (rows[1], rows[2], rows[3]) == (31, 32, 33)
    assert 6 not in rows and 10 not in rows


def test_the_audit_can_begin_at_the_source(built, capsys):
    assert audit.main("stg_shop__orders", from_source=True) == 0
    assert (
        "shop.orders                        9 source            9 raw            9 accepted        0 different\n"
        in (capsys.readouterr().out)
    )
    built.execute_in_shop("delete from orders where order_id = '1';" + order(12, "25"))
    loads = built.query("select count(*) from raw.loads")
    assert audit.main("stg_shop__orders", from_source=True) == 1
    said = capsys.readouterr().out
    assert (
        "        1 different  1 more not read yet: the next load\n    1 deleted at the source\n    keys, hashed: "
        in said
    )
    assert "Raw differs from its source in 1 tables: loads have missed changes. Land them with: make reconcile" in said
    assert built.query("select count(*) from raw.loads") == loads
    place = said.partition("select * from … ")[2].partition("\n")[0]
    assert built.query(f"select order_id from raw_shop.orders {place}") == [("1",)] * 3


def test_the_statistics_of_days_do_not_count_what_reconciliation_lands(built):
    assert transform.build([*MODELS_ALONE, "--select", "+int_table_days__counted", "+source_freshness"]) == []
    (days,) = built.query("select count(distinct kind) from intermediate.int_table_days__counted")[0]
    kinds = built.query("select distinct kind from intermediate.int_tables__last_loaded where source = 'shop'")
    assert (days, kinds) == (1, [("updated_at",)])
