"""Staging: of all versions that landed of a key, the greatest stands, however they came."""

import random

import pytest
from corner_shop import Refused, Shop, item, order

pytest_plugins = ["corner_shop_fixtures"]


def countries(shop: Shop) -> dict[str, str]:
    """The country of each staged order; `deleted` for a tombstone."""
    rows = shop.query(
        "select order_id, case when _is_deleted then 'deleted' else country end from main_shop.stg_orders"
    )
    return dict(rows)


def test_a_late_older_version_loses(shop: Shop) -> None:
    shop.land(orders=[order("a", "2026-01-09", country="FR")])
    shop.run()
    shop.land(orders=[order("a", "2026-01-05", country="US")])
    shop.run()
    assert countries(shop)["a"] == "FR"
    assert shop.differences() == {}


def test_equal_versions_are_decided_by_load_and_then_by_row(shop: Shop) -> None:
    shop.land(orders=[order("a", country="FR"), order("a", country="US"), order("b", country="US")])
    shop.run()
    assert (countries(shop)["a"], countries(shop)["b"]) == ("US", "US")
    shop.land(orders=[order("a", country="FR")])
    shop.run()
    assert countries(shop)["a"] == "FR"


def test_a_tombstone_beats_an_older_update_and_loses_to_a_newer_one(shop: Shop) -> None:
    shop.land(orders=[order("a", "2026-01-05", _op="d")])
    shop.run()
    shop.land(orders=[order("a", "2026-01-04", country="FR")])
    shop.run()
    assert countries(shop)["a"] == "deleted"
    assert "a" not in [row[0] for row in shop.rows("orders")]
    shop.land(orders=[order("a", "2026-01-06", country="US")])
    shop.run()
    assert countries(shop)["a"] == "US"
    assert shop.differences() == {}


def test_landing_everything_again_changes_nothing(shop: Shop) -> None:
    before = shop.query("select ctid, * from main_shop.orders")
    shop.land(orders=[order("a"), order("b", placed_at="2026-01-02")], items=[item("a"), item("a", 2, 5)])
    said = shop.run()
    assert said["orders"].startswith("INCREMENTAL +0 -0")
    assert shop.query("select ctid, * from main_shop.orders") == before


def test_a_null_version_is_refused_with_the_column_named(shop: Shop) -> None:
    shop.land(items=[item("a", updated_at=None)])
    with pytest.raises(Refused, match='null value in column "_version_at"'):
        shop.run("--select", "stg_items")


def test_whatever_lands_in_whatever_order_every_table_is_what_its_sql_gives(shop: Shop) -> None:
    seed = random.randrange(2**32)
    dice = random.Random(seed)

    def day(most: int = 28) -> str:
        return f"2026-{dice.randrange(1, 4):02}-{dice.randrange(1, most):02}"

    for _ in range(4):
        for _ in range(dice.randrange(1, 3)):
            orders = [
                order(str(dice.randrange(40)), day(), placed_at=day(4), country=dice.choice(["DE", "US", "XX", None]))
                for _ in range(30)
            ]
            for row in orders:
                row["_op"] = dice.choice("uuud")
            items = [
                item(str(dice.randrange(40)), dice.randrange(3), dice.randrange(100), day())
                | {"_op": dice.choice("uud")}
                for _ in range(30)
            ]
            shop.land(orders=orders, items=items)
        models = dice.sample(["stg_orders", "stg_items", "orders", "daily_sales"], k=dice.randrange(5))
        shop.run(*(["--select", *models] if models else []))
    shop.run()
    assert shop.differences() == {}, f"seed {seed}"
