"""Business metrics: each is what SQL says of the published marts, and of a small shop what a person counts by hand."""

import csv
import io
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import psycopg
import pytest
from houses import House, build_house, command, land

import demo
from storehouse.core import semantics, transform
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT
from storehouse.core.transform import DAILY
from storehouse.operate import metric

# Two customers and a guest, long before the demo shop began: refunds in full and in part, a cancelled order that was
# paid, a credit note and a cancelled one, and an order in a currency that has no rate.
SCENE = """
    insert into products values ('P-SCENE', 'A lamp', 'scene', 20, 'USD', true, '2024-03-01', '2024-03-01');
    insert into customers (customer_id, email, full_name, country, created_at, updated_at) values
        (900001, 'ada@example.org', 'Ada', 'GB', '2024-03-01', '2024-03-01'),
        (900002, 'bob@example.org', 'Bob', 'US', '2024-03-01', '2024-03-01');
    insert into orders (order_id, customer_id, status, currency, placed_at, created_at, updated_at)
    select *, placed_at, placed_at from (values
        (900001, 900001, 'delivered', 'USD', timestamptz '2024-03-05'),
        (900002, 900001, 'delivered', 'USD', '2024-03-20'),
        (900003, 900002, 'canceled', 'USD', '2024-04-02'),
        (900004, 900002, 'delivered', 'USD', '2024-04-03'),
        (900005, 900001, 'delivered', 'USD', '2024-04-10'),
        (900006, 900001, 'credited', 'USD', '2024-04-15'),
        (900007, null, 'delivered', 'ISK', '2024-04-16'),
        (900008, 900001, 'canceled', 'USD', '2024-04-17')
    ) as orders (order_id, customer_id, status, currency, placed_at);
    update orders set delivered_at = placed_at + interval '5 days', estimated_delivery_at = placed_at + estimate
    from (values (900001, interval '5 days'), (900002, '4 days'), (900003, '4 days'), (900004, '6 days'))
        as estimates (order_number, estimate)
    where order_id = order_number;
    insert into order_items
    select order_id, 1, 'P-SCENE', quantity, price, discount, freight, '2024-04-16', '2024-04-16' from (values
        (900001, 2, 50, 10, 5), (900002, 1, 30, 0, 0), (900003, 1, 40, 0, 0), (900004, 3, 20, 0, 0),
        (900005, 1, 25, 0, 0), (900006, -1, 25, 0, 0), (900007, 1, 1000, 0, 0), (900008, -1, 25, 0, 0)
    ) as lines (order_id, quantity, price, discount, freight);
    insert into payments
    select payment_id, order_id, 'voucher', 1, amount, currency, status, '2024-04-16', '2024-04-16', '2024-04-16'
    from (values
        (900001, 900001, 95, 'USD', 'captured'), (900002, 900002, 30, 'USD', 'refunded'),
        (900003, 900003, 40, 'USD', 'refunded'), (900004, 900004, 60, 'USD', 'captured'),
        (900005, 900004, -15, 'USD', 'refunded'), (900006, 900005, 25, 'USD', 'captured'),
        (900007, 900006, -25, 'USD', 'refunded'), (900008, 900007, 1000, 'ISK', 'captured')
    ) as payments (payment_id, order_id, amount, currency, status);
"""
# The demo shop's ratings fall after 60 days. Here one falls in what is published.
FALL = """
    insert into view_inputs.int_product_days__rated (product_id, review_date, reviews, rating_sum)
    select product_id, first_day, 5, rating_sum
    from (select product_id from feedback.product_ratings order by product_id limit 1) as product
    cross join (select max(review_date) as last_day from feedback.agg_daily_reviews) as days
    cross join lateral (values (last_day + 0, 5), (last_day - 40, 25)) as fall (first_day, rating_sum)
    on conflict (product_id, review_date) do update set reviews = 500, rating_sum = 100 * excluded.rating_sum
"""
BY_HAND = {
    "placed_orders": (2, 4),
    "cancelled_orders": (0, 1),
    "orders": (2, 3),
    "converted_orders": (2, 2),
    "refunded_orders": (1, 1),
    "gross_revenue": (125, 85),
    "credits": (0, 25),
    "refunds": (30, 15),
    "net_revenue": (95, 45),
    "sales": (125, 60),
    "average_order_value": ("62.50", "42.50"),
    "items": (3, 4),
    "goods": (130, 60),
    "discounts": (10, 0),
    "discount_share": ("0.0769", 0),
    "cancel_rate": (0, "0.25"),
    "refund_rate": ("0.5", "0.3333"),
    "refund_share": ("0.24", "0.1765"),
    "estimated_deliveries": (2, 1),
    "late_deliveries": (1, 0),
    "late_delivery_rate": ("0.5", 0),
    "customers": (1, 2),
    "new_customers": (1, 1),
    "returning_customers": (0, 1),
    # By the month of the first order: Ada's and Bob's.
    "buyers": (1, 1),
    "customer_spend": (125, 60),
    "lifetime_value": (125, 60),
    "product_revenue": (125, 85),
    "product_sales": (125, 60),
    "product_items": (3, 5),
}

# Each metric by month once more, in plain SQL: a table, the time that it counts by, and an expression.
SOLD = "(is_counted and not is_credit_note)"
ORDERS = ("core.fct_orders", "order_date")
FIRST_DAYS = (
    f"(select *, min(order_date) filter (where {SOLD}) over (partition by customer_id) as first_day "
    "from core.fct_orders) as orders",
    "order_date",
)
LINES = ("(select lines.*, is_counted, is_credit_note from core.fct_order_items as lines "
         "join core.fct_orders using (order_id)) as lines", "lines.order_date")  # fmt: skip
CUSTOMERS = ("customers.customer_lifetime_value", "first_order_date")
COHORTS = ("customers.cohort_retention", "order_month")
REVIEWS = ("core.fct_reviews", "review_date")
RATINGS = ("feedback.product_ratings", "as_of_date")
QUALITY = ("operations.data_quality_daily", "day")
IN_SQL = {
    "orders": (ORDERS, f"count(*) filter (where {SOLD})"),
    "placed_orders": (ORDERS, "count(*) filter (where not is_credit_note)"),
    "cancelled_orders": (ORDERS, "count(*) filter (where status = 'canceled' and not is_credit_note)"),
    "refunded_orders": (ORDERS, f"count(*) filter (where {SOLD} and refunded_usd > 0)"),
    "converted_orders": (ORDERS, f"count(total_usd) filter (where {SOLD})"),
    "gross_revenue": (ORDERS, f"sum(total_usd) filter (where {SOLD})"),
    "credits": (ORDERS, "-coalesce(sum(total_usd) filter (where is_credit_note and is_counted), 0)"),
    "refunds": (ORDERS, f"sum(refunded_usd) filter (where {SOLD})"),
    "sales": (ORDERS, "sum(total_usd) filter (where is_counted)"),
    "net_revenue": (
        ORDERS,
        f"sum(total_usd) filter (where is_counted) - coalesce(sum(refunded_usd) filter (where {SOLD}), 0)",
    ),
    "average_order_value": (ORDERS, f"round(avg(total_usd) filter (where {SOLD}), 2)"),
    "items": (ORDERS, "sum(item_count) filter (where is_counted)"),
    "goods": (ORDERS, "sum(items_usd) filter (where is_counted)"),
    "discounts": (ORDERS, "sum(discount_usd) filter (where is_counted)"),
    "discount_share": (
        ORDERS,
        "round(sum(discount_usd) filter (where is_counted) / sum(items_usd) filter (where is_counted), 4)",
    ),
    "cancel_rate": (
        ORDERS,
        "round(avg((status = 'canceled')::int) filter (where not is_credit_note), 4)",
    ),
    "refund_rate": (ORDERS, f"round(avg((coalesce(refunded_usd, 0) > 0)::int) filter (where {SOLD}), 4)"),
    "refund_share": (
        ORDERS,
        f"round(sum(refunded_usd) filter (where {SOLD}) / sum(total_usd) filter (where {SOLD}), 4)",
    ),
    "estimated_deliveries": (ORDERS, f"count(is_delivered_late) filter (where {SOLD})"),
    "late_deliveries": (ORDERS, f"count(*) filter (where {SOLD} and days_late > 0)"),
    "late_delivery_rate": (ORDERS, f"round(avg(is_delivered_late::int) filter (where {SOLD}), 4)"),
    "customers": (ORDERS, f"count(distinct customer_id) filter (where {SOLD})"),
    "new_customers": (FIRST_DAYS, "count(distinct customer_id) filter (where order_date = first_day)"),
    "returning_customers": (
        FIRST_DAYS,
        f"count(distinct customer_id) filter (where {SOLD} and first_day < date_trunc('month', order_date))",
    ),
    "product_revenue": (LINES, f"sum(total_usd) filter (where {SOLD})"),
    "product_sales": (LINES, "sum(total_usd) filter (where is_counted)"),
    "product_items": (LINES, f"sum(quantity) filter (where {SOLD})"),
    "buyers": (CUSTOMERS, "count(*)"),
    "customer_spend": (CUSTOMERS, "sum(spend_usd)"),
    "lifetime_value": (CUSTOMERS, "round(avg(spend_usd), 2)"),
    "cohort_buyers": (COHORTS, "sum(active_customers)"),
    "cohort_size": (COHORTS, "sum(cohort_customers)"),
    "retention": (COHORTS, "round(sum(active_customers) / sum(cohort_customers), 4)"),
    "reviews": (REVIEWS, "count(*)"),
    "rating_sum": (REVIEWS, "sum(rating)"),
    "rating": (REVIEWS, "round(avg(rating), 2)"),
    "dropped_products": (RATINGS, "count(*) filter (where has_dropped)"),
    "table_days": (QUALITY, "count(score)"),
    "score_sum": (QUALITY, "sum(score)"),
    "quality_score": (QUALITY, "round(avg(score), 1)"),
    "landed_rows": (QUALITY, "sum(landed_rows)"),
    "refused_rows": (QUALITY, "sum(refused_rows)"),
    "refused_share": (QUALITY, "round(sum(refused_rows) / nullif(sum(landed_rows), 0), 4)"),
}


@pytest.fixture(scope="module")
def house(server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with twelve days of the demo shop, and the scene, built and published."""
    for house in build_house(server, tmp_path_factory.mktemp("home")):
        demo.advance(days=12, size=0.05)
        demo.start()
        house.execute_in_shop(SCENE)
        land()
        assert transform.build(DAILY) == []
        with psycopg.connect(house.warehouse) as warehouse:
            warehouse.execute(FALL)
        yield house
        demo.stop()


@pytest.fixture(scope="module")
def metrics(house: House) -> semantics.MetricFlowEngine:
    """MetricFlow over that house."""
    return semantics.engine()


def ask(metrics: semantics.MetricFlowEngine, *names: str, **how: object) -> list[tuple]:
    """The rows of an answer."""
    return semantics.answer(semantics.sql(metrics, names, **how)).rows


@pytest.mark.parametrize("name", IN_SQL)
def test_a_metric_is_what_sql_says(name: str, house: House, metrics) -> None:
    (relation, time), expression = IN_SQL[name]
    by_month = f"select date_trunc('month', {time})::date, {expression} from {relation} group by 1 order by 1"
    expected = {month: value or 0 for month, value in house.query(by_month)}
    found = dict(ask(metrics, name, by=["month"]))
    # A customer's first day may lie in a month in which there is nothing else to count.
    assert {month: value or 0 for month, value in found.items()} == expected
    assert any(expected.values())


def test_every_metric_stands_above(metrics) -> None:
    assert set(IN_SQL) == {each.name for each in metrics.list_metrics(include_dimensions=False)}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_metric_of_a_small_shop_is_what_a_person_counts(name: str, metrics) -> None:
    found = ask(metrics, name, by=["month"], since=date(2024, 3, 1), until=date(2024, 5, 1))
    march, april = (Decimal(value) for value in BY_HAND[name])
    assert found == [(date(2024, 3, 1), march), (date(2024, 4, 1), april)]


def test_a_cohort_of_a_small_shop_is_what_a_person_counts(metrics) -> None:
    found = ask(metrics, "retention", by=["cohort_month", "month_number"], until=date(2024, 6, 1))
    assert found == [(date(2024, 3, 1), 0, 1), (date(2024, 3, 1), 1, 1), (date(2024, 4, 1), 0, 1)]


def test_metrics_are_what_daily_sales_say(house: House, metrics) -> None:
    names = ["orders", "items", "gross_revenue", "credits", "discounts", "average_order_value"]
    found = {row[:4]: row[4:] for row in ask(metrics, *names, by=["day", "channel", "region", "currency"])}
    expected = house.query(
        "select order_date, channel, region, currency, orders, items, sales_usd, discount_usd, average_order_usd "
        "from sales.agg_daily_sales"
    )
    assert len(found) == len(expected) > 100
    for *key, orders, items, sales, discounts, average in expected:
        row = found[tuple(key)]
        assert (row[0], row[1], row[2] - row[3], *row[4:]) == (orders, items, sales, discounts, average), key


def test_metrics_are_what_monthly_figures_say(house: House, metrics) -> None:
    # Column by column, in the order of the metrics. The shop's refunds are of cancelled orders and credit notes too.
    names = ["orders", "placed_orders", "cancelled_orders", "cancel_rate", "items", "sales", "refunds", "net_revenue"]
    names += ["average_order_value", "discount_share", "customers", "new_customers", "returning_customers"]
    found = ask(metrics, *names, by=["month"])
    expected = house.query(
        "select order_month, orders, placed_orders, cancelled_orders, cancel_rate, items, sales_usd, refunded_usd,"
        " net_revenue_usd, average_order_usd, discount_share, customers, new_customers, returning_customers"
        " from sales.agg_monthly_kpis order by 1"
    )
    assert found == expected and len(found) >= 3


@pytest.mark.parametrize(("by", "start"), [("day", "order_date"), ("week", "date_trunc('week', order_date)")])
def test_a_customer_is_new_or_returning_whatever_the_period(by: str, start: str, house: House, metrics) -> None:
    bought = (
        f"select {start}::date as period, first_day, customer_id from {FIRST_DAYS[0]} where {SOLD} and not is_guest"
    )
    expected = house.query(
        "select period, count(distinct customer_id), count(distinct customer_id) filter (where first_day >= period), "
        f"count(distinct customer_id) filter (where first_day < period) from ({bought}) as bought group by 1 order by 1"
    )
    found = ask(metrics, "customers", "new_customers", "returning_customers", by=[by])
    assert [row for row in found if row[1]] == expected
    assert sum(row[3] for row in expected) > 10


def test_an_interval_is_exact_whatever_the_dimensions(house: House, metrics) -> None:
    since, until = date(2026, 1, 4), date(2026, 1, 9)
    expected = house.query(
        f"select count(*), sum(total_usd) from core.fct_orders where {SOLD} and order_date >= %s and order_date < %s",
        *(since, until),
    )
    names = ("orders", "gross_revenue")
    assert ask(metrics, *names, since=since, until=until) == expected
    (january,) = ask(metrics, *names, by=["month"], since=since, until=until)
    assert january == (date(2026, 1, 1), *expected[0])


def test_every_metric_can_be_asked_by_each_of_its_dimensions_in_what_is_published(house: House, metrics) -> None:
    for each in metrics.list_metrics(include_dimensions=False):
        by = [name for name in semantics.short_dimensions(metrics, [each.name]) if name not in ("week", "quarter")]
        query = semantics.sql(metrics, [each.name], by)
        assert set(re.findall(r'"(\w+)"\."\w+"', query)) <= {"core", "sales", "customers", "feedback", "operations"}
        columns = semantics.answer(f"select * from ({query}) as answer limit 0").columns
        assert columns == [*by, each.name]


def test_a_saved_query_answers_with_the_columns_of_its_own(metrics) -> None:
    answers = {
        each.name: semantics.answer(semantics.sql(metrics, [each.name])) for each in metrics.list_saved_queries()
    }
    assert answers["sales_by_day"].columns[:3] == ["day", "channel", "orders"]
    assert answers["cohorts"].columns == ["cohort_month", "month_number", "retention", "cohort_buyers", "cohort_size"]
    assert {name for name, answer in answers.items() if not answer.rows} == set()


def test_a_value_that_is_missing_is_one_row(house: House, metrics) -> None:
    # Each of these three is summed apart and joined: a null is equal to no other.
    found = ask(metrics, "customers", "new_customers", "returning_customers", by=["customer_region"])
    assert len({row[0] for row in found}) == len(found)


def test_nothing_is_asked_of_the_network(metrics, monkeypatch, capsys) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        pytest.fail(f"something wants to reach {address}")

    # The warehouse is reached by libpq, which has no Python sockets.
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert metric.main(["orders"], ["channel"], None, None) == 0
    assert "marketplace" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "how", "said"),
    [
        (["net_revenu"], {}, "There is no metric 'net_revenu'. Did you mean net_revenue"),
        (["orders"], {"by": ["chanel"]}, "orders can't be asked by 'chanel'. Did you mean channel?"),
        (["orders"], {"by": ["stars"]}, "What it can be asked by: day, week, month, quarter, year, "),
        (["orders", "quality_score"], {"by": ["channel"]}, "What they can be asked by: day, "),
        (["cohorts"], {"by": ["month"]}, "cohorts is a saved query, with metrics and dimensions of its own"),
        (["cohorts", "orders"], {}, "cohorts is a saved query, with metrics and dimensions of its own"),
        (["orders", "cohorts"], {}, "There is no metric 'cohorts'"),
        (["orders"], {"since": date(2026, 2, 1), "until": date(2026, 2, 1)}, "UNTIL is the day after the last"),
        (["retention"], {"since": date(2026, 1, 2)}, "retention count by month: FROM and UNTIL must be the first day"),
        (["cohorts"], {"until": date(2026, 1, 2)}, "FROM and UNTIL must be the first day"),
    ],
)
def test_a_question_that_has_no_answer_is_told_what_there_is(names, how, said: str, metrics) -> None:
    with pytest.raises(StorehouseError) as error:
        semantics.sql(metrics, names, **how)
    assert said in str(error.value)


def test_a_reader_needs_no_more_than_reporting_has(house: House, metrics, configure) -> None:
    with psycopg.connect(house.warehouse, autocommit=True) as warehouse:
        warehouse.execute("create role analyst login password 'open-sesame'")
        configure(REPORTING_USER="analyst", REPORTING_PASSWORD="open-sesame")
        try:
            with pytest.raises(StorehouseError, match=r"permission denied.*needs what `reporting` has"):
                ask(metrics, "orders")
            warehouse.execute("grant reporting to analyst")
            for each in metrics.list_saved_queries():
                assert ask(metrics, each.name)
        finally:
            warehouse.execute("drop role analyst")


def test_what_is_not_published_yet_is_said(house: House, metrics, new_house: House) -> None:
    with pytest.raises(StorehouseError, match="not published yet: run `make run`"):
        semantics.answer(semantics.sql(metrics, ["orders"]))


def test_the_command_prints_a_table_csv_or_sql(house: House) -> None:
    run = command(house.home, **house.environment)
    asked = ("metric", "orders,gross_revenue", "--by", "month channel", "--from", "2024-03-01", "--until", "2024-05-01")
    assert run(*asked).stdout.splitlines() == [
        "month       channel  orders  gross_revenue",
        "2024-03-01  web           2         125.00",
        "2024-04-01  web           3          85.00",
    ]
    rows = list(csv.reader(io.StringIO(run(*asked, "--csv").stdout)))
    assert rows == [
        ["month", "channel", "orders", "gross_revenue"],
        ["2024-03-01", "web", "2", "125.00"],
        ["2024-04-01", "web", "3", "85.00"],
    ]
    file = house.home / "orders.csv"
    assert run(*asked, "--csv", str(file)).stdout == f"2 rows are in {file}\n"
    assert list(csv.reader(file.open())) == rows
    query = run(*asked, "--sql").stdout
    assert [tuple(map(str, row)) for row in house.query(query)] == [tuple(row) for row in rows[1:]]
    listed = run("metric").stdout
    assert "\n  net_revenue: Gross revenue less " in listed and "\n  sales_by_day: " in listed


@pytest.mark.parametrize(
    "arguments",
    [("storehouse", "metric"), ("storehouse", "metric", "sales_by_day", "--csv"), ("extract_load", "discover", "shop")],
    ids=" ".join,
)
def test_a_command_whose_reader_has_enough_ends_without_a_word(house: House, arguments: tuple[str, ...]) -> None:
    """`make metric | head`: in a pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    environment = command(house.home, **house.environment).environment
    asked = [sys.executable, "-m", *arguments]
    try:
        done = subprocess.run(asked, cwd=PROJECT, env=environment, stdout=writer, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_spreadsheet_runs_no_text_of_a_csv_and_numbers_stay_numbers(house: House) -> None:
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", "\uff1d1", "plain - and = within", "'quoted"]
    with psycopg.connect(house.warehouse) as warehouse:
        ids = [key for (key,) in warehouse.execute("select product_id from core.fct_order_items group by 1 order by 1")]
        before = warehouse.execute("select product_id, name from core.dim_products").fetchall()
        for key, name in zip(ids, hostile, strict=False):
            warehouse.execute("update core.dim_products set name = %s where product_id = %s", [name, key])
        # More was given back than sold.
        warehouse.execute(
            "update core.fct_order_items set total_usd = -total_usd - 1e6 where product_id = %s", [ids[7]]
        )
    try:
        run = command(house.home, **house.environment)
        asked = ("metric", "product_revenue", "--by", "product_id,product_name")
        found = {row[0]: row[1:] for row in csv.reader(io.StringIO(run(*asked, "--csv").stdout))}
    finally:
        with psycopg.connect(house.warehouse) as warehouse:
            warehouse.execute(
                "update core.fct_order_items set total_usd = -total_usd - 1e6 where product_id = %s", [ids[7]]
            )
            for key, name in before:
                warehouse.execute("update core.dim_products set name = %s where product_id = %s", [name, key])
    assert [found[key][0] for key in ids[:9]] == [*(f"'{name}" for name in hostile[:7]), *hostile[7:]]
    assert Decimal(found[ids[7]][1]) < 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "2026-02-30", "orders"), "'2026-02-30' is not a day; write 2026-01-31"),
        (("ordres",), "Did you mean orders"),
        (("orders", "--csv", "/no/such/folder/x.csv"), "/no/such/folder/x.csv can't be written: No such file"),
    ],
)
def test_the_command_says_in_one_message_what_is_wrong(arguments, said: str, house: House) -> None:
    done = command(house.home, **house.environment)("metric", *arguments)
    assert done.returncode != 0 and said in done.stderr and "Traceback" not in done.stderr
