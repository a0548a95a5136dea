"""The analysts' page in a real browser: its figures are the warehouse's under every filter, and it asks nobody else."""

import csv
import importlib.util
import io
import json
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote, urlencode

import psycopg
import pytest
from browser import Tab, needs_browser
from houses import House, build_demo, command

from dashboard import data
from dashboard.page import NAME, page, write
from storehouse.core import pages, semantics
from storehouse.core.errors import StorehouseError

NOTHING = "\N{EN DASH}"
HOSTILE = "=1+1</script><script>document.title = 'taken over'</script>"
PERSONAL = """
    select unnest(array[email, full_name, address]) from staging.stg_shop__customer_versions
    union select unnest(array[email, full_name]) from staging.stg_marketplace__buyers
    union select unnest(array[email, full_name]) from core.dim_customers
    union select unnest(array[review_text, title]) from core.fct_reviews
"""
STATES = [
    {"period": "28 days"},
    {"period": "7 days", "channel": "web"},
    {"period": "last month", "source": "shop", "region": "eu"},
    {"period": "28 days", "tier": "high", "region": "us"},
    {"period": "all", "channel": "marketplace", "tier": "none"},
    {"period": "all"},
]
AXE = Path(next(iter(importlib.util.find_spec("axe_playwright_python").submodule_search_locations)), "axe.min.js")

pytestmark = needs_browser


@pytest.fixture(scope="module")
def house(server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Ten weeks of the demo shop; of two products that sell well one has a hostile name, and one is in no dimension."""
    for house in build_demo(server, tmp_path_factory.mktemp("home"), days=70, size=0.1):
        with psycopg.connect(house.warehouse) as warehouse:
            warehouse.execute(
                "update core.dim_products set name = %s where product_id = "
                "(select product_id from core.fct_order_items group by 1 order by sum(total_usd) desc limit 1)",
                [HOSTILE],
            )
            warehouse.execute(
                "delete from core.dim_products where product_id = "
                "(select product_id from core.fct_order_items group by 1 order by sum(total_usd) desc limit 1 offset 1)"
            )
        yield house


@pytest.fixture(scope="module")
def written(house: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    write(file := tmp_path_factory.mktemp("site") / "new" / NAME)
    return file


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with Tab(tmp_path_factory.mktemp("profile")) as tab:
        tab.look()
        yield tab


def rows_of(tab: Tab, chart: str) -> list[dict[str, str]]:
    """What the chart's CSV has."""
    href = tab.run(f"document.querySelector('#{chart} a[download]').getAttribute('href')")
    kind, _, text = href.partition(",")
    assert kind == "data:text/csv;charset=utf-8"
    return list(csv.DictReader(io.StringIO(unquote(text))))


def column(rows: list[dict[str, str]], *names: str) -> list[tuple]:
    """These columns; a figure as a number, nothing as None."""

    def value(text: str) -> Decimal | str | None:
        return Decimal(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else text or None

    return [tuple(value(row[name]) for name in names) for row in rows]


def where(state: dict[str, str], orders: str = "o") -> str:
    """The filters as SQL, in words of the test's own."""
    channels = {"shop": "web", "marketplace": "marketplace", "stores": "stores"}
    said = {"channel": state.get("channel"), "region": state.get("region"), "discount_tier": state.get("tier")}
    terms = [f"{orders}.{name} = '{value}'" for name, value in said.items() if value]
    if source := state.get("source"):
        terms.append(f"{orders}.channel = '{channels[source]}'")
    return " and ".join(terms or ["true"])


def days(house: House, period: str) -> tuple[date, date, date | None]:
    """The first and last day of a period, and the first of the same days before: as a person counts them."""
    ((first, last),) = house.query("select min(order_date), max(order_date) from core.fct_orders")
    if period == "all":
        return first, last, None
    if period == "last month":
        ends = (last + timedelta(days=1)).replace(day=1) - timedelta(days=1)
        starts = ends.replace(day=1)
        return starts, ends, (starts - timedelta(days=1)).replace(day=1)
    length = int(period.split()[0])
    return last - timedelta(days=length - 1), last, last - timedelta(days=2 * length - 1)


@pytest.mark.parametrize("state", STATES, ids=lambda state: " ".join(state.values()))
def test_the_figures_are_what_the_warehouse_says_under_every_filter(
    house: House, written: Path, tab: Tab, state: dict[str, str]
) -> None:
    tab.open(written, urlencode(state))
    starts, ends, before = days(house, state["period"])
    wanted, between = where(state), "o.order_date between %s and %s"

    by_day = f"""
        select day::date::text, coalesce(sum(o.total_usd) filter (where o.is_counted), 0),
            count(o.order_id) filter (where o.is_counted and not o.is_credit_note),
            count(*) filter (where not o.is_counted and not o.is_credit_note),
            coalesce(sum(o.refunded_usd) filter (where o.is_counted and not o.is_credit_note), 0)
        from generate_series(%s::timestamp, %s, '1 day') as day
        left join core.fct_orders as o on o.order_date = day and {wanted}
        group by day order by day
    """
    expected = house.query(by_day, starts, ends)
    sales, orders = rows_of(tab, "sales"), rows_of(tab, "orders")
    assert column(sales, "starts_on", "sales_usd") == [row[:2] for row in expected]
    found = column(orders, "starts_on", "orders", "lost_orders", "refunded_usd")
    assert found == [(day, *figures) for day, _, *figures in expected]
    if before:
        then = house.query(by_day, before, starts - timedelta(days=1))[: len(sales)]
        known = [row for row in column(sales, "sales_usd_before") if row[0] is not None]
        assert known == [(row[1],) for row in then]

    total = f"select sum(o.total_usd) from core.fct_orders as o where o.is_counted and {between} and {wanted}"
    ((sum_of_all,),) = house.query(total, starts, ends)
    for chart in ("sales", "channels", "regions", "tiers"):
        assert sum(row[0] for row in column(rows_of(tab, chart), "sales_usd")) == sum_of_all, chart
    by_region = f"""
        select o.region, coalesce(sum(o.total_usd) filter (where o.is_counted), 0),
            count(*) filter (where o.is_counted and not o.is_credit_note)
        from core.fct_orders as o where {between} and {wanted} group by 1
    """
    assert sorted(
        row for row in column(rows_of(tab, "regions"), "region", "sales_usd", "orders") if row[2]
    ) == house.query(by_region + "order by 1", starts, ends)

    lines = f"""
        from core.fct_order_items as l join core.fct_orders as o using (order_id)
        where o.is_counted and o.order_date between %s and %s and {wanted}
    """
    by_product = dict(house.query(f"select l.product_id, sum(l.total_usd) {lines} group by 1", starts, ends))
    best = column(rows_of(tab, "best"), "product", "sales_usd")
    assert sum(amount for _, amount in best) == sum_of_all
    named = [(re.findall(r"\b(P-\d+)\)?$", name)[0], amount) for name, amount in best if name != "all others"]
    assert len(named) >= 8 and all(by_product[key] == amount for key, amount in named if amount)
    assert [amount for _, amount in named] == sorted((amount for _, amount in named), reverse=True)
    if before:
        falling = column(rows_of(tab, "falling"), "product", "sales_usd", "sales_usd_before")
        assert falling and all(now < then for _, now, then in falling)

    reviews = f"""
        select r.rating, count(*) from core.fct_reviews as r left join core.fct_orders as o using (order_id)
        where r.review_date between %s and %s and {wanted} group by 1 order by 1 desc
    """
    stars = [row for row in column(rows_of(tab, "reviews"), "rating", "reviews") if row[1]]
    assert stars == house.query(reviews, starts, ends)
    said = reviews.replace("r.rating", "r.sentiment").replace("where", "where r.sentiment is not null and")
    texts = [row for row in column(rows_of(tab, "said"), "sentiment", "reviews") if row[1]]
    assert sorted(texts) == sorted(house.query(said, starts, ends))

    known = "select word, weight from seeds.sentiment_words where kind = 'word' and word ~ '^[a-z]+$'"
    weights, checked = dict(house.query(known)), 0
    text = f"{reviews.replace('r.rating, ', '').partition('group by')[0]} and concat_ws(' ', r.title, r.review_text)"
    for word, is_good, count in column(rows_of(tab, "words"), "word", "is_good", "reviews"):
        if word in weights:
            checked += 1
            assert (is_good == "true") == (weights[word] > 0)
            assert house.query(f"{text} ~* %s", starts, ends, rf"\y{word}\y") == [(count,)], word
    assert checked > 2 or sum(count for _, count in texts) < 20

    customers = f"""
        select segment, count(*), sum(spend_usd) from (
            select distinct on (customer_id) v.segment, v.spend_usd, o.channel, o.region, o.discount_tier
            from customers.customer_lifetime_value as v join core.fct_orders as o using (customer_id)
            where o.is_counted and not o.is_credit_note and v.first_order_date between %s and %s
            order by customer_id, o.placed_at, o.order_id
        ) as o where {wanted} group by 1 order by 1
    """
    segments = column(rows_of(tab, "value"), "segment", "customers", "spend_usd")
    assert sorted(segments) == house.query(customers, starts, ends)

    scores = "select source || '.' || table_name, day::text, score from operations.data_quality_daily "
    judged = {"shop": "shop", "web": "shop", "marketplace": "marketplace"}.get(
        state.get("source") or state.get("channel", "")
    )
    scores += "where volume_verdict != 'incomplete' and day between greatest(%s, %s::date - 90) and %s"
    scores += f" and source = '{judged}'" if judged else ""
    assert sorted(column(rows_of(tab, "quality"), "table", "day", "score")) == sorted(
        house.query(scores, starts, ends, ends)
    )
    assert tab.console == []


def test_without_filters_the_figures_are_those_of_the_marts(house: House, written: Path, tab: Tab) -> None:
    tab.open(written, "period=all")
    ((sales, orders),) = house.query("select sum(sales_usd), sum(orders) from sales.agg_daily_sales")
    shown = column(rows_of(tab, "channels"), "sales_usd", "orders")
    assert (sum(row[0] for row in shown), sum(row[1] for row in shown)) == (sales, orders)
    cohorts = (
        "select cohort_month::text, month_number, cohort_customers, active_customers from customers.cohort_retention"
    )
    found = column(rows_of(tab, "cohorts"), "cohort_month", "month_number", "cohort_customers", "active_customers")
    assert found == house.query(cohorts + " order by 1, 2") and len(found) >= 6
    dropped = "select product_id, average_rating from feedback.product_ratings where has_dropped"
    shown = {re.findall(r"\b(P-\d+)\)?$", row["product"])[0] for row in rows_of(tab, "dropped")}
    assert shown == {key for key, _ in house.query(dropped)} != set()
    ((average,),) = house.query(
        "select round(sum(sales_usd + credited_usd) / sum(converted_orders)) from sales.agg_daily_sales"
        " where unconverted_orders = 0"
    )
    assert f"${average}" in tab.run("document.getElementById('figures').innerText")


def test_what_is_shown_as_sql_is_what_was_run(house: House, written: Path, tab: Tab) -> None:
    tab.open(written)
    queries = json.loads(tab.run("JSON.stringify(DATA.queries)"))
    with psycopg.connect(house.warehouse) as warehouse:
        for name, query in queries.items():
            packed = next(iter(query["columns"].values()), [])
            values = sum(packed["runs"][1::2]) if isinstance(packed, dict) else len(packed)
            assert len(warehouse.execute(query["sql"]).fetchall()) == values, name
    shown = tab.run("""
        [...document.querySelectorAll('section')].map(each => {
            each.querySelector('[id$=SQL]').click();
            const sql = each.querySelector('.panel').innerText;
            each.querySelector('[id$=Definition]').click();
            return [each.id, sql, each.querySelector('.panel').innerText, each.querySelector('.trust').innerText];
        })
    """)
    assert len(shown) == 14
    for chart, sql, definition, trust in shown:
        assert any(sql.strip() == query["sql"].strip() for query in queries.values()), chart
        assert len(definition) > 60 and "--" not in definition, chart
        assert re.fullmatch(r"Quality \d+\s*(Fresh|Late), \d+ h behind", trust), (chart, trust)


def test_the_corner_of_a_chart_tells_of_the_tables_it_stands_on(house: House, written: Path, tab: Tab) -> None:
    lowest = """
        select min(score) from (
            select distinct on (source, table_name) score from operations.data_quality_daily
            where volume_verdict != 'incomplete' and source = any(%s)
                and day <= (select max(order_date) from core.fct_orders)
            order by source, table_name, day desc
        ) as last
    """
    for state, chart, sources in (
        ("", "sales", ["shop", "marketplace", "stores"]),
        ("channel=stores", "sales", ["stores"]),
        ("source=shop", "regions", ["shop"]),
        ("", "reviews", ["reviews"]),
    ):
        tab.open(written, state)
        ((score,),) = house.query(lowest, sources)
        corner = tab.run(f"document.querySelector('#{chart} .trust b').innerText")
        assert corner == f"Quality {score}", (state, chart)


def test_a_table_and_a_csv_have_the_same_and_a_name_is_only_text(written: Path, tab: Tab) -> None:
    tab.open(written)
    for chart in ("sales", "best", "cohorts"):
        tab.run(f"document.getElementById('{chart}-Table').click()")
        cells = tab.run(
            f"[...document.querySelectorAll('#{chart} .panel tbody tr')]"
            ".map(row => [...row.cells].map(cell => cell.innerText))"
        )
        listed = [[cell.replace(",", "").removeprefix(NOTHING) for cell in row] for row in cells]
        read = [list(row.values()) for row in rows_of(tab, chart)]
        assert len(listed) == len(read) > 5
        for shown, given in zip(listed, read, strict=True):
            for cell, value in zip(shown, given, strict=True):
                is_figure = re.fullmatch(r"-?\d+(\.\d+)?", value)
                assert float(cell) == float(value) if is_figure else cell == value.removeprefix("'")
    best = rows_of(tab, "best")[0]["product"]
    # What a spreadsheet would run begins with an apostrophe.
    assert best.startswith(f"'{HOSTILE} (P-")
    assert HOSTILE in tab.run("document.querySelector('#best tbody th').innerText")
    assert tab.run("document.title") == "Storehouse: sales, customers, reviews" and tab.console == []


def test_a_product_that_no_dimension_has_is_told_by_its_id_once(house: House, written: Path, tab: Tab) -> None:
    ((key,),) = house.query(
        "select product_id from core.fct_order_items as lines where not exists "
        "(select from core.dim_products as known where known.product_id = lines.product_id) "
        "group by 1 order by sum(total_usd) desc limit 1"
    )
    tab.open(written, "period=all")
    assert [row["product"] for row in rows_of(tab, "best") if key in row["product"]] == [key]


def test_the_state_of_the_filters_is_in_the_address(written: Path, tab: Tab) -> None:
    tab.open(written)
    assert tab.run("state.period") == "28 days"
    chosen = {"period": "7 days", "channel": "web", "source": "shop", "region": "us", "tier": "none"}
    for name, value in chosen.items():
        tab.run(
            f"(select => {{ select.value = '{value}'; select.dispatchEvent(new Event('change')) }})"
            f"(document.getElementById('filter-{name}'))"
        )
    shown, address = tab.run("document.getElementById('charts').innerText"), tab.run("location.hash.slice(1)")
    assert address == urlencode(chosen)
    assert tab.run("document.getElementById('headline').innerText").startswith("Web, Shop, Americas, no discount: $")
    tab.open(written, address)
    assert tab.run("document.getElementById('charts').innerText") == shown
    assert tab.run("[...document.querySelectorAll('select')].map(each => each.value)") == list(chosen.values())
    tab.run("document.getElementById('reset').click()")
    assert tab.run("location.hash") == "#period=7+days"
    tab.run("history.back(); new Promise(done => addEventListener('popstate', () => setTimeout(done)))")
    assert tab.run("document.getElementById('charts').innerText") == shown
    tab.open(written, "period=next+year&channel=<b>&tier=none")
    assert tab.run("state") == {"period": "28 days", "channel": "", "source": "", "region": "", "tier": "none"}


def test_it_can_be_used_with_the_keys_alone(written: Path, tab: Tab) -> None:
    tab.open(written)
    tab.press("Tab")
    assert tab.run("document.activeElement.className") == "skip"
    reached = []
    for _ in range(8):
        tab.press("Tab")
        reached.append(tab.run("document.activeElement.id || document.activeElement.dataset.plot"))
    assert reached[:6] == [*(f"filter-{name}" for name in ("period", "channel", "source", "region", "tier")), "sales"]
    tab.run("document.querySelector('[data-plot=sales]').focus()")
    tip = "document.querySelector('[data-plot=sales] output').innerText"
    first, last = rows_of(tab, "sales")[0], rows_of(tab, "sales")[-1]
    for key, row in (("ArrowRight", first), ("End", last), ("Home", first)):
        tab.press(key)
        day = date.fromisoformat(row["starts_on"])
        assert f"{day.day} {day:%b} {day.year}" in tab.run(tip)
    tab.run("document.getElementById('channel-web').focus()")
    tab.press("Enter")
    assert tab.run("location.hash") == "#period=28+days&channel=web"
    assert tab.run("document.activeElement.id") == "channel-web"
    assert tab.run("document.activeElement.getAttribute('aria-pressed')") == "true"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_window(
    written: Path, tab: Tab, width: int, theme: str
) -> None:
    tab.look(width, 900, theme)
    tab.open(written, "period=28+days&region=us")
    tab.run("for (const each of document.querySelectorAll('[id$=-Table]')) each.click()")
    outside = """
        [...document.querySelectorAll('body *')].filter(each => !each.closest('.scroll, .panel, .skip')
            && each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML.slice(0, 150))
    """
    assert (tab.run("innerWidth"), tab.run(outside)) == (width, [])
    tab.run(AXE.read_text() + ";0")
    found = tab.run("axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)")
    serious = [
        (each["id"], each["nodes"][0]["html"], each["nodes"][0].get("failureSummary"))
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
    tab.look()
    assert serious == []


def test_it_asks_nothing_of_the_network_and_its_policy_lets_no_other_script_run(
    written: Path, tab: Tab, tmp_path: Path
) -> None:
    tab.open(written)
    tab.run("new Promise(done => setTimeout(done, 500))")
    assert (tab.asked, tab.console) == ([], [])
    text = written.read_text()
    assert not re.findall(
        r"(?:src|href)=[\"']?(?!data:|#)[^\"' >]+", re.sub(r"<script.*?</script>", "", text, flags=re.S)
    )
    (tmp_path / "other.html").write_text(
        text.replace("</body>", "<img src=http://images.test/a.png><script>document.title = 'ran'</script></body>")
    )
    tab.open(tmp_path / "other.html")
    assert tab.run("document.title") != "ran"
    # Refused before anybody was asked.
    assert len(tab.console) == 2 and all("Content Security Policy" in said for said in tab.console)
    tab.console.clear()


def test_the_file_has_no_personal_value_and_no_text_of_a_review(house: House, written: Path) -> None:
    personal = {
        value for (value,) in house.query(PERSONAL) if value and len(value) > 8
    }  # 'Good' is a title, and a word of ours
    assert len(personal) > 100
    text = written.read_text()
    assert not [value for value in personal if value in text]


# An order in each of twelve channels, each region and tier, on each day that begins a bar of twelve years.
LONG = """
    create schema kept;
    create table kept.orders as select * from core.fct_orders;
    create table kept.lines as select * from core.fct_order_items;
    create table kept.sales as select * from sales.agg_daily_sales;
    truncate core.fct_orders, core.fct_order_items, sales.agg_daily_sales;
    create temp table days as
        select cast(day as date) as day from generate_series(date '2014-01-01', date '2024-02-01', '1 month') as day
        union select cast(day as date) from generate_series(date '2024-02-07', date '2026-03-11', '7 days') as day
        union select cast(day as date) from generate_series(date '2026-01-01', date '2026-03-11', '1 day') as day;
    create temp table orders as
        select kept.orders.* from kept.orders
        where total_usd > 0 and is_counted and customer_id is not null limit 1;
    create temp table spread as
        select
            day, region, tier,
            coalesce((array['web', 'marketplace', 'stores'])[channel], 'market ' || channel) as channel,
            row_number() over () as number
        from days
        cross join generate_series(1, 12) as channel
        cross join unnest(array['us', 'eu', 'apac', 'mea', 'other']) as region
        cross join unnest(array['none', 'low', 'medium', 'high']) as tier;
"""


@pytest.fixture
def long_history(house: House) -> Iterator[None]:
    """Twelve years in the place of ten weeks, as far as the page reads them."""
    told = {
        "order_id": "'long-' || number",
        "customer_id": "'web-' || number % 900",
        "total_usd": "number % 50000 + 0.37",
        "discount_usd": "number % 7000 + 0.11",
        "refunded_usd": "number % 9000 + 0.53",
        "item_count": "number % 400",
        "order_date": "day",
        "placed_at": "day",
        "discount_tier": "tier",
        "channel": "spread.channel",
        "region": "spread.region",
    }
    columns = (
        "select column_name from information_schema.columns where table_schema = 'core' and table_name = 'fct_orders'"
    )
    orders = ", ".join(f"{told.get(name, 'orders.' + name)} as {name}" for (name,) in house.query(columns))
    names = ", ".join(name for (name,) in house.query(columns))
    with psycopg.connect(house.warehouse) as warehouse:
        warehouse.execute(LONG)
        warehouse.execute(f"insert into core.fct_orders ({names}) select {orders} from orders cross join spread")
        warehouse.execute("""
            insert into core.fct_order_items (
                order_id, line_number, channel, order_date, product_id, quantity, currency, unit_price, items_amount,
                discount_amount, freight_amount, total_amount, total_usd
            )
            select
                order_id, 1, channel, order_date, 'P-' || hashtext(order_id) % 400, 1, currency, 1, 1, 0, 0, 1,
                total_usd
            from core.fct_orders
        """)
        daily = [
            name for (name,) in house.query(columns.replace("core", "sales").replace("fct_orders", "agg_daily_sales"))
        ]
        known = {"order_date": "day", "channel": "channel", "region": "region", "orders": "count(*)"}
        values = ", ".join(known.get(name, "0") for name in daily)
        warehouse.execute(
            f"insert into sales.agg_daily_sales ({', '.join(daily)}) select {values} from spread"
            " group by day, channel, region"
        )
    yield
    with psycopg.connect(house.warehouse) as warehouse:
        for mart, kept in (
            ("core.fct_orders", "orders"),
            ("core.fct_order_items", "lines"),
            ("sales.agg_daily_sales", "sales"),
        ):
            warehouse.execute(f"truncate {mart}")
            warehouse.execute(f"insert into {mart} select * from kept.{kept}")
        warehouse.execute("drop schema kept cascade")


def test_however_long_the_history_the_data_is_at_most_a_megabyte_and_exact(
    house: House, long_history: None, tab: Tab, tmp_path: Path
) -> None:
    found = data.read()
    size = len(found.as_json().encode())
    assert 300_000 < size <= data.BYTES == 1_000_000
    # Fewer channels have a name; the others are one.
    channels = {row["channel"] for row in found.answers["sales"].rows or ()}
    assert "others" in channels and 2 <= len(channels) < 9
    (tmp_path / NAME).write_text(page(found))
    tab.open(tmp_path / NAME, "period=all")
    shown = column(rows_of(tab, "channels"), "sales_usd", "orders")
    ((sales, orders),) = house.query(
        "select sum(total_usd) filter (where is_counted), count(*) filter (where is_counted and not is_credit_note) "
        "from core.fct_orders"
    )
    assert (sum(row[0] for row in shown), sum(row[1] for row in shown)) == (sales, orders)
    for period, bars in (("all", 49), ("52 weeks", 52), ("13 weeks", 13), ("28 days", 28)):
        tab.open(tmp_path / NAME, urlencode({"period": period}))
        assert len(rows_of(tab, "sales")) == bars, period
    by_week = column(rows_of(tab, "sales"), "starts_on", "sales_usd", "sales_usd_before")
    assert all(before is not None for *_, before in by_week)


# As a shop that runs all the time: a load is read, and ends, when its interval does.
LIVE = """
    update staging.stg_ledger__loads set
        started_at = coalesce(interval_until, (select max(interval_until) from staging.stg_ledger__loads))
"""


@pytest.fixture
def copy(house: House, configure: Callable[..., None]) -> Iterator[Callable[[str], None]]:
    """Runs a script in a copy of the warehouse, which the page then reads."""
    with psycopg.connect(house.warehouse, autocommit=True, dbname="postgres") as server:
        server.execute("create database kept_whole template storehouse")

    def run(script: str) -> None:
        with psycopg.connect(house.warehouse, dbname="kept_whole") as warehouse:
            warehouse.execute(script)

    configure(WAREHOUSE_DATABASE="kept_whole")
    try:
        yield run
    finally:
        with psycopg.connect(house.warehouse, autocommit=True, dbname="postgres") as server:
            server.execute("drop database kept_whole with (force)")


def test_a_day_that_is_not_over_is_not_compared(house: House, tab: Tab, tmp_path: Path) -> None:
    # All is read to the end of the last day in UTC: in São Paulo three hours of it are missing.
    ((last,),) = house.query("select max(order_date) from core.fct_orders")
    with house.days_of("America/Sao_Paulo"):
        found = data.read()
    assert found.last == last - timedelta(days=1)
    assert {bar["ends_on"] for bar in found.answers["calendar"].rows or ()} <= {
        found.last,
        found.last.replace(day=1) - timedelta(days=1),
    }
    (tmp_path / NAME).write_text(page(found))
    tab.open(tmp_path / NAME)
    words = tab.run("document.body.innerText")
    assert f"whole days up to {found.last} (America/Sao_Paulo)" in words
    assert "Only whole days count, those of the time zone America/Sao_Paulo" in words


def test_a_source_that_is_behind_hides_no_day_and_is_told(
    house: House, copy: Callable[[str], None], tab: Tab, tmp_path: Path
) -> None:
    """And one that was retired long ago is neither waited for nor told."""
    ((last,),) = house.query("select max(order_date) from core.fct_orders")
    stalled = last - timedelta(days=5)
    copy(f"""
        update staging.stg_ledger__loads set interval_until = '{last + timedelta(days=1)}'
        where source != 'stores' and interval_until > '{last}';
        {LIVE}; delete from staging.stg_ledger__loads where source = 'stores' and started_at > '{stalled}'
    """)
    (tmp_path / NAME).write_text(page(found := data.read()))
    assert (found.last, found.published("behind")) == (last, f"stores.sales after {stalled - timedelta(days=1)}")
    tab.open(tmp_path / NAME)
    assert "figures may be too low: stores.sales after" in tab.run("document.querySelector('header').innerText")
    assert rows_of(tab, "sales")[-1]["ends_on"] == str(last)
    copy("update staging.stg_ledger__loads set started_at = started_at - interval '100 days' where source = 'stores'")
    (tmp_path / NAME).write_text(page(found := data.read()))
    assert (found.last, found.published("behind")) == (last, None)
    assert 'id="behind"' not in (tmp_path / NAME).read_text()


def test_of_marts_that_have_not_changed_nothing_is_read(
    house: House, copy: Callable[[str], None], tmp_path: Path
) -> None:
    write(file := tmp_path / NAME)
    before = data.read()
    marts = {name for name, groups in data.OTHERS.items() if groups}
    copy("alter schema core rename to away")  # whoever reads it fails
    assert data.read().answers["sales"].rows is None
    found = data.read(file)
    assert {name for name, answer in found.answers.items() if answer.is_kept} == marts
    assert found.as_json() == before.as_json()
    copy("alter schema away rename to core")

    def kept() -> set[str]:
        return {name for name, answer in data.read(file).answers.items() if answer.is_kept}

    of_reviews = {"reviews", "ratings", "words"}
    publish = "update converge.publications set published_at = published_at + interval '1 second' where group_name = "
    copy(publish + "'feedback'")
    assert kept() == marts - of_reviews
    copy(publish + "'shop'")
    assert kept() == set()
    write(file)
    assert kept() == marts
    # A build of other models may have other rows under the same number, and other code other sums.
    copy("update converge.published set code_version = 'another' where group_name = 'shop'")
    assert kept() == set()
    write(file)
    file.write_text(file.read_text().replace('"made_by":"', '"made_by":"0'))
    assert kept() == set()
    write(file)
    file.write_text(file.read_text().replace("width_bucket(order_date", "width_bucket( order_date"))
    assert kept() == marts - {"sales"}
    for text in (
        "",
        "<p>Another page</p>",
        '<script type="application/json" id="data">{"made</script>',
        '<script type="application/json" id="data">[]</script>',
    ):
        file.write_text(text)
        assert kept() == set()


def test_while_a_build_has_the_orders_for_itself_the_command_says_so(house: House) -> None:
    with psycopg.connect(house.warehouse) as warehouse:
        warehouse.execute("lock table sales.agg_daily_sales in access exclusive mode")
        with pytest.raises(StorehouseError, match=r"for itself just now. Wait until it has ended"):
            data.read()


@pytest.mark.parametrize("period", ["28 days", "last month", "all"])
def test_the_figures_are_the_metrics(house: House, written: Path, tab: Tab, period: str) -> None:
    starts, ends, _ = days(house, period)
    names = ["sales", "orders", "average_order_value", "refund_share", "refunds"]
    query = semantics.sql(semantics.engine(), names, since=starts, until=ends + timedelta(days=1))
    ((sales, orders, average, refunded, refunds),) = semantics.answer(query).rows
    tab.open(written, urlencode({"period": period}))
    tiles = dict(
        tab.run(
            "[...document.querySelectorAll('#figures li')]"
            ".map(each => [each.querySelector('.kind').innerText, each.querySelector('b').innerText])"
        )
    )
    shown = rows_of(tab, "orders")
    assert sum(row[0] for row in column(rows_of(tab, "sales"), "sales_usd")) == sales
    assert tiles["Orders"] == f"{orders:,}" and sum(row[0] for row in column(shown, "orders")) == orders
    assert tiles["Average order"] == f"${average:,.0f}"
    assert tiles["Refunded, of revenue"] == f"{100 * refunded:.1f}\u00a0%"
    assert sum(row[0] for row in column(shown, "refunded_usd")) == refunds > 0


def test_the_sources_of_channels_without_a_name_are_known(
    house: House, monkeypatch: pytest.MonkeyPatch, tab: Tab, tmp_path: Path
) -> None:
    """And a review that names no known order is of none of them."""
    monkeypatch.setattr(data, "MOST", (1,))
    write(tmp_path / NAME)
    ((named, others),) = house.query("""
        select channel, (select array_agg(distinct channel) from core.fct_orders where channel != most.channel)
        from core.fct_orders as most group by channel order by count(*) desc limit 1
    """)
    assert named == "web" and sorted(others) == ["marketplace", "stores"]
    of_others, of_none = house.query("""
        select count(*) from core.fct_reviews join core.fct_orders using (order_id) where channel != 'web'
        union all
        select count(*) from core.fct_reviews left join core.fct_orders using (order_id) where channel is null
    """)
    assert of_none[0] > 0
    for state in ("period=all&source=others", "period=all&channel=others"):
        tab.open(tmp_path / NAME, state)
        assert sum(row[0] for row in column(rows_of(tab, "reviews"), "reviews")) == of_others[0], state
        tables = {row["table"] for row in rows_of(tab, "quality")}
        assert {name.partition(".")[0] for name in tables} == set(others), state
        assert "Quality unknown" not in tab.run("document.querySelector('#sales .trust').innerText"), state


def test_marts_without_a_row_say_so_in_words(
    house: House, configure: Callable[..., None], tab: Tab, tmp_path: Path
) -> None:
    with psycopg.connect(house.warehouse, autocommit=True, dbname="postgres") as server:
        server.execute("create database without_rows template storehouse")
    try:
        with psycopg.connect(house.warehouse, dbname="without_rows") as warehouse:
            warehouse.execute("truncate core.fct_orders, core.fct_order_items, sales.agg_daily_sales")
        configure(WAREHOUSE_DATABASE="without_rows")
        write(tmp_path / NAME)
    finally:
        with psycopg.connect(house.warehouse, autocommit=True, dbname="postgres") as server:
            server.execute("drop database without_rows with (force)")
    tab.open(tmp_path / NAME)
    words = tab.run("document.body.innerText")
    assert "No orders are published yet" in words and "make published" in words and "NaN" not in words
    assert tab.console == []


def test_a_mart_that_is_not_there_costs_its_own_charts_alone(house: House, tab: Tab, tmp_path: Path) -> None:
    with psycopg.connect(house.warehouse, autocommit=True) as warehouse:
        warehouse.execute("alter table core.fct_reviews rename to away")
        try:
            write(tmp_path / NAME)
        finally:
            warehouse.execute("alter table core.away rename to fct_reviews")
    tab.open(tmp_path / NAME)
    heads = tab.run(
        "Object.fromEntries([...document.querySelectorAll('section')]"
        ".map(each => [each.id, each.querySelector('h2').innerText]))"
    )
    missing = {chart for chart, words in heads.items() if "not published yet" in words}
    assert missing == {"reviews", "said", "words", "dropped"} and tab.console == []


def test_where_nothing_is_published_the_command_says_what_to_do(new_house: House) -> None:
    done = command(new_house.home, **new_house.environment)("dashboard")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "storehouse dashboard: No orders are published yet, so there is nothing to show: make run. "
        "`make published` says what holds them back.\n"
    )
    assert not list(new_house.home.rglob(NAME))


def test_the_command_says_where_the_page_is_and_what_prevents_it(house: House, tmp_path: Path) -> None:
    run = command(house.home, **house.environment)
    done = run("dashboard", f"--page={tmp_path / 'here.html'}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"dashboard  {tmp_path / 'here.html'}\n") and "up to 2026-" in done.stdout
    (taken := tmp_path / "a folder" / "kept").mkdir(parents=True)
    done = run("dashboard", f"--page={taken.parent}")
    assert done.returncode == 1 and "Another place: PAGE=" in done.stderr and str(taken.parent) in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a folder", "here.html"]
    away = command(house.home, **house.environment | {"WAREHOUSE_PORT": "1"})("dashboard")
    assert (
        away.returncode == 1 and away.stderr.startswith("storehouse dashboard: ") and len(away.stderr.splitlines()) == 1
    )
    assert "the warehouse" in away.stderr


def test_that_the_page_cannot_be_put_fails_no_run(
    house: House, configure: Callable[..., None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    configure(DOCS_URL=str(tmp_path / "site"))
    pages.try_to_put("dashboard", write, NAME)
    assert "application/json" in (tmp_path / "site" / NAME).read_text() and not caplog.text
    configure(WAREHOUSE_PORT=1)
    pages.try_to_put("dashboard", write, NAME)
    assert "No dashboard: " in caplog.text
