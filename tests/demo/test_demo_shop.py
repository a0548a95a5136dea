"""The shop's database: the same by seed however it is reached, alive, wrong as real ones are, and linear in size."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from houses import House

import demo
from demo import stores
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import settings

KEYS = {
    "public.customers": 1,
    "public.products": 1,
    "public.orders": 1,
    "public.order_items": 2,
    "public.payments": 1,
    "demo.marketplace_orders": 2,
    "demo.reviews": 2,
}

# In the order of `KEYS`.
ADDED_LATER = {
    "public.products": ["weight_g", "length_cm", "height_cm", "width_cm"],
    "public.orders": ["estimated_delivery_at"],
    "public.order_items": ["seller_id", "ship_by_at"],
    "public.payments": ["payment_sequence"],
}


def rows(house: House, query: str) -> list[tuple]:
    with psycopg.connect(house.shop) as connection:
        return connection.execute(query).fetchall()


def one(house: House, query: str) -> object:
    return rows(house, query)[0][0]


def fingerprint(house: House) -> dict[str, str]:
    """A checksum of every table, and of every file with its name."""
    digests = {
        table: one(house, f"select md5(string_agg(t::text, '' order by t::text)) from {table} t") for table in KEYS
    }
    digests |= {table: str(rows(house, f"select * from {table} order by 1")) for table in ("demo.days", "demo.clock")}
    files = sorted(path for path in stores.folder().rglob("*") if path.is_file())
    return digests | {
        str(path.relative_to(stores.folder())): hashlib.md5(path.read_bytes()).hexdigest() for path in files
    }


def wipe(house: House) -> None:
    house.execute_in_shop("drop schema demo cascade; drop schema public cascade; create schema public")


def state(house: House, table: str) -> dict[tuple, tuple]:
    """Rows by key, each as (updated_at, all of it as text)."""
    keys = KEYS[table]
    found = rows(house, f"select t.*, t.updated_at, t::text from {table} t")
    return {row[:keys]: row[-2:] for row in found}


@pytest.fixture(scope="module")
def wrong_shop(house: House) -> Iterator[House]:
    """40 days of a shop in which a fifth of the records is wrong."""
    demo.advance(days=40, size=0.3, error_rate=0.2)
    yield house


def test_a_day_is_the_same_whether_reached_at_once_or_step_by_step(new_house: House) -> None:
    demo.advance(days=60, size=0.1, seed=3, error_rate=0.1)
    at_once = fingerprint(new_house)
    wipe(new_house)
    demo.advance(days=1, size=0.1, seed=3, error_rate=0.1)
    for days in (1, 1, 2, 30, 1, 1, 9, 1, 13):
        demo.advance(days=days)
    step_by_step = fingerprint(new_house)
    assert at_once.keys() == step_by_step.keys()
    assert [name for name in at_once if at_once[name] != step_by_step[name]] == []


def test_a_shop_from_before_a_column_gets_it(new_house: House) -> None:
    demo.advance(days=2, size=0.05)
    at_once = fingerprint(new_house)
    wipe(new_house)
    demo.advance(days=1, size=0.05)
    with psycopg.connect(new_house.shop) as shop:
        for table, columns in ADDED_LATER.items():
            for column in columns:
                shop.execute(f"alter table {table} drop column {column}")
    demo.advance(days=1)
    step_by_step = fingerprint(new_house)
    assert [name for name in at_once if at_once[name] != step_by_step[name]] == list(ADDED_LATER)
    for table, columns in ADDED_LATER.items():
        assert one(new_house, f"select count(({', '.join(columns)})) from {table} where {columns[0]} is not null")


def test_another_seed_is_another_shop(new_house: House) -> None:
    demo.advance(days=14, size=0.05, seed=1)
    first = fingerprint(new_house)
    wipe(new_house)
    demo.advance(days=14, size=0.05, seed=2)
    second = fingerprint(new_house)
    assert all(first[table] != second[table] for table in KEYS)


def test_playing_to_a_day_that_was_played_changes_nothing(new_house: House) -> None:
    demo.advance(until=date(2026, 1, 10), size=0.05)
    before = fingerprint(new_house)
    assert demo.advance(until=date(2026, 1, 10)).rows == {"files": 0}
    assert demo.advance(until=date(2026, 1, 4)).day == date(2026, 1, 10)
    assert fingerprint(new_house) == before


def test_every_change_of_a_day_carries_that_day_in_updated_at(new_house: House) -> None:
    """But for those that no reader by it can see, of which a shop without errors has none."""
    demo.advance(days=45, size=0.3, error_rate=0)
    changed = dict.fromkeys(KEYS, 0)
    for _ in range(2):
        before = {table: state(new_house, table) for table in KEYS}
        day = demo.advance(days=1).day
        midnight = datetime.combine(day, datetime.min.time(), UTC)
        for table in KEYS:
            after = state(new_house, table)
            gone = before[table].keys() - after.keys()
            assert not gone or table == "public.products"
            for key, (updated_at, text) in after.items():
                old = before[table].get(key)
                if old is None or old[1] != text:
                    assert midnight <= updated_at < midnight + timedelta(days=1), (table, key)
                    assert old is None or old[0] < updated_at, (table, key)
                    changed[table] += old is not None
    assert all(changed.values()), changed


def test_some_changes_cannot_be_seen_by_updated_at(new_house: House) -> None:
    """Orders deleted outright with all they had, orders committed a day late, and corrections without a time stamp."""
    demo.advance(days=30, size=0.2, error_rate=0.2)
    shop = [
        table for table in KEYS if table.startswith("public.") and table not in ("public.products", "public.customers")
    ]
    gone, late, unstamped = (dict.fromkeys(shop, 0) for _ in range(3))
    for _ in range(3):
        before = {table: state(new_house, table) for table in shop}
        day = demo.advance(days=1).day
        midnight = datetime.combine(day, datetime.min.time(), UTC)
        for table in shop:
            after = state(new_house, table)
            gone[table] += len(before[table].keys() - after.keys())
            for key, (updated_at, text) in after.items():
                old = before[table].get(key)
                if old is None and updated_at < midnight:
                    assert midnight - timedelta(days=1) <= updated_at, "it was open for a day at most"
                    late[table] += 1
                elif old is not None and old[1] != text and updated_at < midnight:
                    assert old[0] == updated_at
                    unstamped[table] += 1
    assert all(gone.values()) and all(late.values()), (gone, late)
    assert unstamped == dict.fromkeys(shop, 0) | {"public.payments": unstamped["public.payments"]}
    assert unstamped["public.payments"] > 0
    whole = "select count(*) from orders where not exists (select from order_items where order_id = orders.order_id)"
    assert one(new_house, whole) == 0
    left = "select count(*) from order_items where order_id not in (select order_id from orders)"
    assert one(new_house, left) == 0


def test_products_disappear_without_a_trace_and_prices_change(new_house: House) -> None:
    demo.advance(days=1, size=0.4)
    before = dict(rows(new_house, "select product_id, price from products"))
    demo.advance(days=50)
    after = dict(rows(new_house, "select product_id, price from products"))
    gone = before.keys() - after.keys()
    assert 0 < len(gone) < len(before) / 10
    assert sum(after[product] != price for product, price in before.items() if product in after) > len(before) / 2
    still_sold = f"select count(*) from order_items where product_id = any(array{sorted(gone)})"
    assert one(new_house, still_sold) > 0


def test_orders_come_to_every_end_and_their_money_adds_up(wrong_shop: House) -> None:
    statuses = {status for (status,) in rows(wrong_shop, "select status from orders")}
    assert statuses == {
        *("created", "approved", "processing", "invoiced", "shipped", "delivered"),
        *("canceled", "returned", "unavailable", "lost in transit", None),
    }
    assert {status for (status,) in rows(wrong_shop, "select status from payments")} == {
        *("authorized", "captured", "refunded", "failed", "in review"),
    }
    off = one(
        wrong_shop,
        """
        select count(*)
        from orders
        inner join (
            select order_id, sum(quantity * unit_price - discount_amount + freight_amount) as amount,
                bool_and(quantity between 1 and 1e6 and unit_price between 0 and 1e8 and discount_amount < 1e8)
                as is_right
            from order_items
            where deleted_at is null
            group by order_id
        ) as items using (order_id)
        inner join (
            select payment_id / 10 as order_id, sum(amount) as amount, bool_and(amount between 0 and 1e8) as is_right
            from payments
            where payment_id % 10 in (1, 2)
            group by payment_id / 10
        ) as payments using (order_id)
        where items.is_right and payments.is_right and total_amount between 0 and 1e8
            and (total_amount <> items.amount or total_amount <> payments.amount)
        """,
    )
    assert off == 0
    assert one(wrong_shop, "select count(*) from orders where total_amount > 1000 and currency = 'USD'") > 0
    assert one(wrong_shop, "select count(*) from order_items where deleted_at is not null") > 0
    assert one(wrong_shop, "select count(distinct discount_code) from orders") == 4
    assert one(wrong_shop, "select count(distinct currency) from orders where currency ~ '^[A-WYZ]{3}$'") == 7


@pytest.mark.parametrize(
    "wrong",
    [
        "orders where status is null",
        "orders where total_amount < 0",
        "orders where total_amount = 1000000000",
        "orders where currency = 'XXX'",
        "orders where currency = 'usd '",
        "orders where status = 'lost in transit'",
        "orders where placed_at > '2090-01-01'",
        "orders where placed_at < created_at - interval '20 hours'",
        "order_items where product_id is null",
        "order_items where product_id like 'P %/3'",
        "order_items where product_id = 'P-999999'",
        "order_items where quantity = 0",
        "order_items where quantity = 10000000",
        "order_items where unit_price < 0",
        "order_items where unit_price = 1000000000",
        "order_items where discount_amount = 1000000000",
        "payments where order_id is null",
        "payments where order_id is not null and not exists (select from orders where order_id = payments.order_id)",
        "payments where amount < 0",
        "payments where amount = 1000000000",
        "payments where currency = 'XXX'",
        "payments where status = 'in review'",
        "payments where paid_at > '2090-01-01'",
        "customers where email is null",
        "customers where email not like '%@%'",
        "customers where country is null",
        "customers where country = 'XX'",
        "customers where created_at > '2090-01-01'",
        "products where price < 0 or price = 1000000000 or currency = 'XXX' or name is null",
    ],
)
def test_some_records_are_wrong_in_the_ways_that_real_ones_are(wrong_shop: House, wrong: str) -> None:
    assert one(wrong_shop, f"select count(*) from {wrong}") > 0


def test_about_half_of_what_is_wrong_is_put_right_some_days_later(new_house: House) -> None:
    demo.advance(days=10, size=0.3, error_rate=0.2)
    wrong = {order for (order,) in rows(new_house, "select order_id from orders where status is null")}
    demo.advance(days=10)
    still = {order for (order,) in rows(new_house, "select order_id from orders where status is null")}
    assert 0.25 < len(wrong & still) / len(wrong) < 0.9


def test_a_shop_without_errors_has_none(new_house: House) -> None:
    demo.advance(days=20, size=0.1, error_rate=0)
    assert one(new_house, "select count(*) from orders where status is null or total_amount not between 0 and 1e6") == 0
    assert one(new_house, "select count(*) from payments left join orders using (order_id) where orders is null") == 0
    assert one(new_house, "select count(*) from demo.marketplace_orders where variant > 0") == 0


def test_rows_grow_with_size_and_a_day_of_size_1_has_2000_orders(new_house: House) -> None:
    def orders(size: float) -> float:
        demo.advance(days=7, size=size)
        counts = "select sum(web), sum(marketplace), sum(store) from demo.days"
        web, marketplace, store = rows(new_house, counts)[0]
        # Those of the last day that are committed late are to come.
        assert 0 <= web - one(new_house, "select count(*) from orders") < 20
        assert one(new_house, "select count(*) from demo.marketplace_orders where variant = 0") == marketplace
        wipe(new_house)
        return float(web + marketplace + store)

    assert orders(1) / 7 == pytest.approx(2000, rel=0.03)
    assert orders(0.1) * 3 == pytest.approx(orders(0.3), rel=0.01)


def test_a_shop_that_is_there_is_not_taken_for_another(new_house: House) -> None:
    demo.advance(days=1, size=0.05)
    with pytest.raises(StorehouseError, match=r"was made with size 0\.05, not 1"):
        demo.advance(days=1, size=1)
    with pytest.raises(StorehouseError, match="was made with seed 7, not 8"):
        demo.advance(days=1, seed=8)


@pytest.mark.parametrize("days", [1_000_001, 10**10])
def test_days_beyond_the_calendar_are_one_message(new_house: House, days: int) -> None:
    with pytest.raises(StorehouseError, match=f"can't be played on by {days:,} days"):
        demo.advance(days=days)


def test_tables_that_are_not_the_demos_are_left_alone(new_house: House) -> None:
    new_house.execute_in_shop("create table orders (mine integer)")
    with pytest.raises(StorehouseError, match=r"already has a table public.orders that the demo did not make"):
        demo.advance(days=1)
    assert one(new_house, "select count(*) from orders") == 0


def test_the_shop_can_live_in_a_schema_of_its_own(new_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_SCHEMA", "web_shop")
    settings.cache_clear()
    demo.advance(days=2, size=0.05)
    demo.advance(days=1)
    assert one(new_house, "select count(*) from web_shop.orders") > 100


def test_wrong_arguments_are_named(new_house: House) -> None:
    for arguments, words in (
        ({"size": 0}, "size is over 0"),
        ({"error_rate": 2}, "from 0 to 0.5, not 2"),
        ({"until": date(2025, 1, 1)}, "The shop opens on 2026-01-01"),
        ({"until": date(2026, 1, 2), "days": 1}, "not both"),
        ({"days": -1}, "can't go back"),
        ({"until": date(2999, 1, 1)}, "today is"),
        ({"days": 1, "bad_orders": 6}, "from 0 to 1, not 6"),
    ):
        with pytest.raises(StorehouseError, match=words):
            demo.advance(**arguments)


def test_a_shop_may_be_played_on_by_more_than_a_year_at_once(new_house):
    demo.advance(days=5, size=0.01, start=date(2024, 1, 1))
    demo.advance(days=400)
    at_once = fingerprint(new_house)
    wipe(new_house)
    demo.advance(days=405, size=0.01, start=date(2024, 1, 1))
    assert fingerprint(new_house) == at_once
