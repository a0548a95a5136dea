"""The sales report tells what the warehouse says, once a week and place, and fails nothing."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path

import psycopg
import pytest
from browser import Tab, needs_browser
from houses import House, build_house, command, land
from mail_server import NOBODY, PASSWORD, TO, USER, Mails, mail_server, text_of
from PIL import Image, ImageDraw

import demo
from dashboard import data
from storehouse.core import transform
from storehouse.core.databases import reading
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT, settings
from storehouse.core.transform import DAILY
from storehouse.operate import sales_chart, sales_report
from storehouse.operate.sales_report import Fall, Figure, Period, Reason, Report

# A year before the demo shop's fourth week: two orders, one of them of the week with the same weekdays.
YEAR_BEFORE = """
    insert into products
    values ('P-LAMP', 'Lamp <b>of</b> Ada & Co', 'lamps', 20, 'USD', true, '2025-01-01', '2025-01-01');
    insert into orders (order_id, status, currency, placed_at, created_at, updated_at)
    select *, placed_at, placed_at from (values
        (900001, 'delivered', 'USD', timestamptz '2025-01-02'), (900002, 'delivered', 'USD', '2025-01-21')
    ) as orders (order_id, status, currency, placed_at);
    insert into order_items
    select order_id, 1, 'P-LAMP', 1, 4000, 0, 0, '2025-01-21', '2025-01-21'
    from (values (900001), (900002)) as orders (order_id);
"""
WEEK = date(2026, 1, 19)
SOLD = "(is_counted and not is_credit_note)"
FIGURES = f"""
    select
        sum(total_usd) filter (where is_counted), count(*) filter (where {SOLD}),
        round(avg(total_usd) filter (where {SOLD}), 2), count(distinct customer_id) filter (where {SOLD}),
        coalesce(sum(refunded_usd) filter (where {SOLD}), 0)
    from core.fct_orders where order_date >= %s and order_date < %s
"""
PERSONAL = """
    select unnest(array[email, full_name, address]) from staging.stg_shop__customer_versions
    union select unnest(array[email, full_name]) from staging.stg_marketplace__buyers
    union select unnest(array[email, full_name]) from core.dim_customers
    union select unnest(array[review_text, title]) from core.fct_reviews
"""


@pytest.fixture(scope="module")
def house(server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house with 26 days of the demo shop, until a Monday, and two orders of the year before."""
    for house in build_house(server, tmp_path_factory.mktemp("home")):
        demo.advance(days=26, size=0.05)
        demo.start()
        house.execute_in_shop(YEAR_BEFORE)
        land()
        assert transform.build(DAILY) == []
        # In what is published, and not built, its sales fall.
        with psycopg.connect(house.warehouse) as warehouse:
            warehouse.execute(
                "update core.fct_order_items set product_id = 'P-LAMP', total_usd = total_usd + 90000 where order_id in"
                f" (select order_id from core.fct_orders where {SOLD} and order_date between %s and %s limit 3)",
                [WEEK - timedelta(days=7), WEEK - timedelta(days=1)],
            )
            # One of them is a credit note: no revenue, and part of the sales of its channel and product.
            warehouse.execute(
                "update core.fct_orders set is_credit_note = true where order_id ="
                " (select min(order_id) from core.fct_order_items where product_id = 'P-LAMP' and total_usd > 90000)"
            )
        yield house
        demo.stop()


@pytest.fixture
def mails(house: House, configure) -> Iterator[Mails]:
    """A mail server that reports go to, of which none was sent yet."""
    with psycopg.connect(house.warehouse) as warehouse:
        warehouse.execute("truncate operations.report_log")
    with mail_server() as mails:
        configure(
            REPORT_URL=mails.url, DOCS_URL="https://docs.example.com/shop", RUNBOOK_URL="https://git.example.com/r"
        )
        yield mails


def sent() -> list[str]:
    """The routes that took it, of those that were due."""
    return sales_report.send()[1]


def lines_of(mail: EmailMessage) -> list[str]:
    return [line for line in text_of(mail).splitlines() if line]


def amount(value: Decimal, places: int = 0) -> str:
    return f"${value:,.{places}f}"


def compared(now: Decimal, then: Decimal, words: str = "the week before") -> str:
    percent = round(100 * (Decimal(now) - Decimal(then)) / Decimal(then))
    return f"{abs(percent):,} % {'more' if percent > 0 else 'less'} than {words}" if percent else f"about as in {words}"


def test_the_mail_has_the_figures_that_sql_has(house: House, mails: Mails) -> None:
    assert sent() == ["REPORT_URL 1"]
    (mail,) = mails.taken()
    assert mails.to == [[TO]]
    starts = (WEEK, WEEK - timedelta(days=7), WEEK - timedelta(days=364))
    week, before, year = (house.query(FIGURES, day, day + timedelta(days=7))[0] for day in starts)
    assert year[:2] == (4000, 1) and week[1] > 100
    assert mail["Subject"] == (f"Sales of week 4: {sales_report.in_short(week[0])}, {compared(week[0], before[0])}")
    lines = lines_of(mail)
    assert lines[0] == "2026-01-19 to 2026-01-25, whole days of the published sales (UTC), in US dollars."
    labels = ("Sales", "Orders", "Average order value", "Customers", "Refunded so far")
    for n, label in enumerate(labels):
        shown = [
            amount(row[n], 2 if n == 2 else 0) if n in (0, 2, 4) else f"{row[n]:,}" for row in (week, before, year)
        ]
        at = lines.index(f"{shown[0]} {label}")
        then, a_year = lines[at + 1].split("), ")
        assert then == f"{compared(week[n], before[n])} ({shown[1]}"
        if n in (0, 1, 2):
            assert a_year == f"{compared(week[n], year[n], 'the week 52 weeks before')} ({shown[2]})"
        else:
            assert a_year == f"the week 52 weeks before had none ({shown[2]})"
    # The year before has guests alone, and no refund.
    assert year[3:] == (0, 0)
    assert house.query("select count(*) from operations.report_log") == [(1,)]


@pytest.mark.parametrize(
    ("kind", "key", "rows"),
    [
        ("Channel", "channel", "select channel, order_date, total_usd as usd from core.fct_orders where is_counted"),
        ("Region", "region", "select region, order_date, total_usd as usd from core.fct_orders where is_counted"),
        (
            "Product",
            "product_id, name",
            "select lines.product_id, products.name, lines.order_date, lines.total_usd as usd "
            "from core.fct_order_items as lines join core.fct_orders using (order_id) "
            "left join core.dim_products as products using (product_id) where is_counted",
        ),
    ],
)
def test_what_fell_most_is_what_sql_finds(kind: str, key: str, rows: str, house: House, mails: Mails) -> None:
    name = key.rpartition(" ")[2]
    changes = house.query(
        f"select {name}, coalesce(sum(usd) filter (where order_date < %s), 0) as before, "
        "coalesce(sum(usd) filter (where order_date >= %s), 0) as now "
        f"from ({rows}) as sold where order_date >= %s and order_date < %s group by {key}",
        *(WEEK, WEEK, WEEK - timedelta(days=7), WEEK + timedelta(days=7)),
    )
    name, before, now = max(changes, key=lambda row: row[1] - row[2])
    assert len(changes) >= 3 and (kind != "Product" or "Ada" in name)
    sent()
    (mail,) = mails.taken()
    if now >= before:
        assert f"- No {kind.lower()} fell." in lines_of(mail)
    else:
        fell = f"- {kind} {name}: {amount(before - now)} less: {amount(now)} after {amount(before)}"
        assert fell in lines_of(mail)


def test_the_mail_says_what_stands_in_quarantine_and_where_to_look(house: House, mails: Mails) -> None:
    sent()
    (mail,) = mails.taken()
    lines, html = lines_of(mail), text_of(mail, "html")
    pending = house.query(
        "select source || '.' || table_name, words, pending_records from operations.refusals_by_reason "
        "order by 3 desc, source, table_name, code limit 3"
    )
    assert pending[0][2] > 0
    assert [f"- {words.rstrip('.')}: {records:,} pending in {table}" for table, words, records in pending] == lines[
        lines.index("In quarantine") + 1 : lines.index("Look further")
    ]
    for page in ("dashboard.html", "status.html", "index.html"):
        assert f'<a href="https://docs.example.com/shop/{page}">' in html
    assert "- Runbook: https://git.example.com/r" in lines
    asked = lines[-1].partition("make metric ")[2].split()
    given = dict(each.split("=") for each in asked)
    run = command(house.home, **house.environment)
    options = ("--by", given["BY"], "--from", given["FROM"], "--until", given["UNTIL"], "--csv")
    ((_, *figures),) = [line.split(",") for line in run("metric", given["NAME"], *options).stdout.splitlines()[1:]]
    assert amount(Decimal(figures[0])) + " Sales" in lines
    assert "Lamp <b>" not in html and "Lamp &lt;b&gt;of" in html


def test_the_picture_has_a_bar_for_each_week_as_high_as_its_sales(house: House, mails: Mails) -> None:
    sent()
    (mail,) = mails.taken()
    (attached,) = mail.iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("sales.png", "image/png")
    content = attached.get_payload(decode=True)
    (house.home / "sales.png").write_bytes(content)
    picture = Image.open(BytesIO(content))
    assert (picture.format, picture.size) == ("PNG", (sales_chart.WIDTH, sales_chart.HEIGHT))
    assert 5_000 < len(content) < 100_000
    weeks = [WEEK - timedelta(days=7 * ago) for ago in reversed(range(13))]
    sales = [house.query(FIGURES, day, day + timedelta(days=7))[0][0] or 0 for day in weeks]
    assert sum(1 for each in sales if each) == 4
    step = (sales_chart.WIDTH - 2 * sales_chart.LEFT) / 13
    heights = []
    for n in range(13):
        x = int(sales_chart.LEFT + (n + 0.1) * step)
        pixels = [picture.getpixel((x, y)) for y in range(picture.height)]
        colour = sales_chart.NOW if n == 12 else sales_chart.PALE
        heights.append(sum(pixel == tuple(bytes.fromhex(colour[1:])) for pixel in pixels))
    highest, most = max(heights), max(sales)
    assert highest > 250
    # The line of the year before, four pixels, may lie across a bar.
    for height, value in zip(heights, sales, strict=True):
        assert abs(height - highest * float(value / most)) <= 6


def test_no_value_of_a_person_is_in_it(house: House, mails: Mails) -> None:
    sent()
    (mail,) = mails.taken()
    personal = {value for (value,) in house.query(PERSONAL) if value and len(value) > 8}
    assert len(personal) > 100
    text = text_of(mail) + text_of(mail, "html") + str(mail["Subject"])
    assert not [value for value in personal if value in text]


def test_it_is_sent_once_a_week_when_two_runs_end_at_once(mails: Mails) -> None:
    together = threading.Barrier(2)

    def send() -> list[str]:
        together.wait()
        return sent()

    with ThreadPoolExecutor(2) as senders:
        routes = [sender.result() for sender in [senders.submit(send) for _ in range(2)]]
    assert sorted(routes) == [[], ["REPORT_URL 1"]]
    assert sent() == []
    sales_report.try_to_send()
    assert len(mails.taken()) == 1


def test_a_day_and_a_month_are_reports_of_their_own(house: House, mails: Mails, configure) -> None:
    ((last, before),) = house.query(
        "select sum(total_usd) filter (where order_date = '2026-01-26'), "
        "sum(total_usd) filter (where order_date = '2026-01-25') from core.fct_orders where is_counted"
    )
    ((december,),) = house.query(
        "select sum(total_usd) from core.fct_orders where is_counted and to_char(order_date, 'YYYY-MM') = '2025-12'"
    )
    for every, subject in (
        ("day", f"Sales of 2026-01-26: {sales_report.in_short(last)}, {compared(last, before, 'the day before')}"),
        # Of January days are missing still; the month before December had no sale.
        ("month", f"Sales of December 2025: {sales_report.in_short(december)}, the month before had none"),
    ):
        configure(REPORT_EVERY=every)
        assert sent() == ["REPORT_URL 1"] and sent() == []
        (mail,) = mails.taken()
        assert mail["Subject"] == subject


def test_a_place_that_is_away_gets_it_the_next_time_and_the_others_not_again(
    house: House, mails: Mails, configure, capsys: pytest.CaptureFixture
) -> None:
    away = mails.url.replace(f":{mails.port}/", ":1/")
    configure(REPORT_URL=f"{mails.url} {away}")
    assert sales_report.main(is_sent=True) == 1
    said = capsys.readouterr().out
    assert "REPORT_URL 1: sent" in said
    assert "REPORT_URL 2: no service took the report. It is sent the next time." in said
    assert len(mails.taken()) == 1
    with mail_server() as back:
        configure(REPORT_URL=f"{mails.url} {back.url}")
        assert sales_report.main(is_sent=True) == 0
        assert "REPORT_URL 2: sent" in capsys.readouterr().out
        assert len(back.taken()) == 1 and mails.taken() == []
        assert sales_report.main(is_sent=True) == 0
        assert "Not sent again: REPORT_URL has had the report of week 4." in capsys.readouterr().out
        assert back.taken() == mails.taken() == []


def test_an_address_that_is_refused_makes_it_come_to_no_other_again(
    mails: Mails, configure, caplog: pytest.LogCaptureFixture
) -> None:
    configure(REPORT_URL=mails.url.replace(f"to={TO}", f"to={NOBODY},{TO},both@example.org"))
    assert sent() == ["REPORT_URL 1"]
    assert mails.to == [[TO], ["both@example.org"]] and len(mails.taken()) == 2
    assert "The notice did not reach every service: sales report of week 4" in caplog.text
    assert sent() == [] and mails.taken() == []


def test_several_addresses_of_a_server_that_is_away_all_get_it_the_next_time(mails: Mails, configure) -> None:
    several = mails.url.replace(f"to={TO}", f"to={TO},both@example.org")
    configure(REPORT_URL=several.replace(f":{mails.port}/", ":1/"))
    assert sales_report.send()[1:] == ([], ["REPORT_URL 1"])
    configure(REPORT_URL=several)
    assert sent() == ["REPORT_URL 1"] and len(mails.taken()) == 2


def test_a_day_is_whole_when_it_is_over_in_the_reporting_time_zone(house: House, mails: Mails, configure) -> None:
    # All is read to the end of the 26th in UTC. Where clocks are ahead, orders of the 27th are there.
    house.execute("create table of_a_day as select * from sales.agg_daily_sales where order_date = '2026-01-26'")
    house.execute("update of_a_day set order_date = '2026-01-27'")
    house.execute("insert into sales.agg_daily_sales select * from of_a_day")
    configure(REPORT_EVERY="day")
    try:
        for zone, last_whole in (
            ("Asia/Tokyo", "2026-01-26"),
            ("Asia/Kolkata", "2026-01-26"),
            ("Europe/Berlin", "2026-01-26"),
            ("UTC", "2026-01-26"),
            ("America/Sao_Paulo", "2026-01-25"),
        ):
            house.execute("truncate operations.report_log")
            with house.days_of(zone):
                assert sent() == ["REPORT_URL 1"]
            (mail,) = mails.taken()
            assert mail["Subject"].startswith(f"Sales of {last_whole}: $"), zone
            assert f"{last_whole} to {last_whole}, whole days of the published sales ({zone})," in text_of(mail)
    finally:
        house.execute("delete from sales.agg_daily_sales where order_date = '2026-01-27'")


def test_a_day_is_whole_once_readers_see_all_loads_of_it(house: House) -> None:
    def last_day() -> date:
        with reading() as readers:
            days = data.whole_days(readers)
        assert days is not None
        return days[1]

    assert last_day() == date(2026, 1, 26)
    ((bound,),) = house.query("select bound from converge.published where group_name = 'shop'")
    with psycopg.connect(house.warehouse, autocommit=True) as warehouse:
        # The last hour of the 26th has landed, and the build that has it is held back.
        warehouse.execute("create table kept_loads as select * from staging.stg_ledger__loads")
        warehouse.execute(
            "update staging.stg_ledger__loads set interval_until = least(interval_until, '2026-01-26 23:00Z'),"
            " started_at = '2026-01-26 23:05Z'"
        )
        warehouse.execute(
            "insert into staging.stg_ledger__loads select (jsonb_populate_record(kept_loads,"
            " jsonb_build_object('load_id', load_id + 100000, 'position', %s::bigint + 1,"
            " 'started_at', timestamptz '2026-01-27 00:05Z'))).* from kept_loads",
            [bound],
        )
        try:
            assert last_day() == date(2026, 1, 25)
            warehouse.execute("update converge.published set bound = bound + 1 where group_name = 'shop'")
            assert last_day() == date(2026, 1, 26)
            # Every table that sales are made of is waited for, and no other.
            label, waited_for = "source || '.' || table_name", set()
            for (table,) in warehouse.execute(f"select distinct {label} from kept_loads").fetchall():
                warehouse.execute("create table known_loads as select * from staging.stg_ledger__loads")
                warehouse.execute(
                    "update staging.stg_ledger__loads set interval_until = least(interval_until, '2026-01-25 12:00Z'),"
                    f" started_at = '2026-01-25 12:00Z' where {label} = %s",
                    [table],
                )
                if last_day() < date(2026, 1, 26):
                    waited_for.add(table)
                warehouse.execute("truncate staging.stg_ledger__loads")
                warehouse.execute("insert into staging.stg_ledger__loads select * from known_loads")
                warehouse.execute("drop table known_loads")
            of_shop = {f"shop.{table}" for table in ("orders", "order_items", "payments", "customers")}
            assert waited_for == of_shop | {"marketplace.orders", "stores.sales"}
        finally:
            warehouse.execute("update converge.published set bound = %s where group_name = 'shop'", [bound])
            warehouse.execute("truncate staging.stg_ledger__loads")
            warehouse.execute("insert into staging.stg_ledger__loads select * from kept_loads")
            warehouse.execute("drop table kept_loads")


def test_a_sender_that_is_killed_before_it_is_noted_is_followed_by_one_that_sends_it(
    house: House, mails: Mails
) -> None:
    noting = "select pid from pg_stat_activity where query like 'insert into operations.report_log%%'"
    with psycopg.connect(house.warehouse) as warehouse:
        warehouse.execute("lock table operations.report_log in exclusive mode")
        sender = subprocess.Popen(
            [sys.executable, "-m", "storehouse", "report", "--send"],
            cwd=PROJECT,
            env=dict(os.environ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 120
        while not house.query(noting):
            assert time.monotonic() < until and sender.poll() is None
            time.sleep(0.2)
        sender.kill()
        sender.wait()
        house.query(f"select pg_terminate_backend(pid) from ({noting}) as noting")
    assert len(mails.taken()) == 1 and house.query("select count(*) from operations.report_log") == [(0,)]
    assert sent() == ["REPORT_URL 1"] and sent() == []
    assert len(mails.taken()) == 1


@pytest.mark.parametrize("wrong", ["password", "host", "scheme"])
def test_what_goes_wrong_fails_nothing_and_tells_no_secret(
    wrong: str, mails: Mails, configure, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    url = {
        "password": mails.url.replace(PASSWORD, "wr0ngwr0ng"),
        "host": f"mailto://{USER}:{PASSWORD}@127.0.0.1:1/?to={TO}",
        "scheme": f"nowhere://{USER}:{PASSWORD}@example.org/",
    }[wrong]
    configure(REPORT_URL=url)
    caplog.set_level(logging.DEBUG, "storehouse")
    sales_report.try_to_send()
    told = caplog.text + "".join(capfd.readouterr())
    assert "The notice did not reach every service: sales report of week 4" in told
    assert not [secret for secret in (USER, PASSWORD, "wr0ngwr0ng") if secret in told]
    configure(REPORT_URL=mails.url)
    assert sent() == ["REPORT_URL 1"], "and the next run sends it"
    told = caplog.text + "".join(capfd.readouterr())
    assert "notice sent: sales report of week 4" in told and "$" not in told, "no figure of the shop is in a log"


def test_a_warehouse_that_is_away_is_said_and_fails_nothing(mails: Mails, configure, caplog) -> None:
    configure(WAREHOUSE_PORT=1)
    sales_report.try_to_send()
    assert "The sales report was not sent; the next run sends it. Cannot connect to the warehouse" in caplog.text
    assert "docs/runbook.md#the-sales-report-was-not-sent" in caplog.text and mails.taken() == []


def test_it_is_printed_and_not_sent_without_an_address(
    house: House, configure, capsys: pytest.CaptureFixture, mails: Mails
) -> None:
    assert sales_report.main(is_sent=False) == 0
    said = capsys.readouterr().out
    assert said.startswith("Sales of week 4: $") and " Orders\n" in said and mails.taken() == []
    # What a reader of a mail can't open is not in it.
    configure(DOCS_URL="s3://docs/shop")
    assert sales_report.main(is_sent=False) == 0
    assert "s3://" not in (said := capsys.readouterr().out) and "make dashboard, make status" in said
    configure(REPORT_URL="", DOCS_URL="")
    assert settings().report_url is None
    with pytest.raises(StorehouseError, match=r"REPORT_URL is not set, .* Set it as Apprise reads it"):
        sales_report.main(is_sent=True)
    assert sales_report.main(is_sent=False) == 0
    assert "- Dashboard and status: make dashboard, make status\n" in capsys.readouterr().out


def test_where_no_week_is_whole_it_says_which_days_there_are(
    house: House, mails: Mails, capsys: pytest.CaptureFixture
) -> None:
    with psycopg.connect(house.warehouse) as warehouse:
        warehouse.execute("create table kept as select * from sales.agg_daily_sales")
        warehouse.execute("delete from sales.agg_daily_sales where order_date < '2026-01-21'")
    try:
        assert sales_report.main(is_sent=True) == 0
        said = capsys.readouterr().out
        assert said == "No whole week is published yet. Whole days are there from 2026-01-21 to 2026-01-26.\n"
        with psycopg.connect(house.warehouse) as warehouse:
            warehouse.execute("delete from sales.agg_daily_sales")
        assert sales_report.main(is_sent=True) == 0
        assert capsys.readouterr().out == "No whole week is published yet.\n" and mails.taken() == []
    finally:
        with psycopg.connect(house.warehouse) as warehouse:
            warehouse.execute("truncate sales.agg_daily_sales")
            warehouse.execute("insert into sales.agg_daily_sales select * from kept")


def test_it_says_of_what_not_all_has_landed(house: House, capsys: pytest.CaptureFixture) -> None:
    with psycopg.connect(house.warehouse) as warehouse:
        warehouse.execute("create table kept_loads as select * from staging.stg_ledger__loads")
        # Each was read when its interval ended; the stores not since a Tuesday.
        warehouse.execute("update staging.stg_ledger__loads set started_at = coalesce(interval_until, started_at)")
        warehouse.execute(
            "delete from staging.stg_ledger__loads where source = 'stores' and interval_until > '2026-01-21'"
        )
    try:
        assert sales_report.main(is_sent=False) == 0
        said = capsys.readouterr().out
    finally:
        with psycopg.connect(house.warehouse) as warehouse:
            warehouse.execute("truncate staging.stg_ledger__loads")
            warehouse.execute("insert into staging.stg_ledger__loads select * from kept_loads")
            warehouse.execute("drop table kept_loads")
    assert said.startswith("Sales of week 4: $")
    assert "After these days something is missing, so figures may be too low: stores.sales after 2026-01-20.\n" in said
    assert sales_report.main(is_sent=False) == 0
    assert "missing" not in capsys.readouterr().out


def test_where_nothing_is_published_the_command_says_what_to_do(new_house: House) -> None:
    done = command(new_house.home, **new_house.environment)("report")
    assert (done.returncode, done.stdout) == (1, "")
    assert "storehouse report: No orders are published yet" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.quick
@pytest.mark.parametrize(
    ("every", "day", "starts", "before", "a_year_before", "name"),
    [
        ("week", date(2026, 3, 8), date(2026, 3, 2), date(2026, 2, 23), date(2025, 3, 3), "week 10"),
        # A year of 53 weeks: the week with the same weekdays, whatever its number.
        ("week", date(2026, 12, 31), date(2026, 12, 28), date(2026, 12, 21), date(2025, 12, 29), "week 53"),
        ("month", date(2024, 2, 29), date(2024, 2, 1), date(2024, 1, 1), date(2023, 2, 1), "February 2024"),
        ("day", date(2024, 2, 29), date(2024, 2, 29), date(2024, 2, 28), date(2023, 3, 2), "2024-02-29"),
    ],
)
def test_a_period_has_one_before_it_and_one_a_year_before(
    every: sales_report.Every, day: date, starts: date, before: date, a_year_before: date, name: str
) -> None:
    period = Period.of(day, every)
    assert (period.starts_on, period.before.starts_on, period.year_before.starts_on) == (starts, before, a_year_before)
    assert period.name == name and period.before.ends_before == period.starts_on
    assert Period.of(period.last_day, every) == period != Period.of(period.ends_before, every)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("name", "value", "before", "words", "is_good"),
    [
        ("sales", Decimal(96), Decimal(100), "4 % less than the week before ($100)", False),
        ("sales", Decimal(2100), Decimal(100), "2,000 % more than the week before ($100)", True),
        ("sales", Decimal("100.4"), Decimal(100), "about as in the week before ($100)", True),
        ("sales", Decimal(100), Decimal(100), "as in the week before ($100)", None),
        ("sales", Decimal(100), Decimal(-50), "300 % more than the week before (-$50)", True),
        ("sales", Decimal(100), Decimal(0), "the week before had none ($0)", True),
        ("sales", Decimal(100), None, "nothing is known of the week before", None),
        ("average_order_value", None, Decimal(84), "it was $84.00 the week before", None),
        # Of a week that may still be refunded nobody can say yet.
        ("refunds", Decimal(110), Decimal(100), "10 % more than the week before ($100)", None),
        ("refunds", Decimal(12), Decimal(100), "88 % less than the week before ($100)", None),
    ],
)
def test_a_change_is_said_in_words(name: str, value: object, before: object, words: str, is_good: bool | None) -> None:
    figure = Figure(name, "", value, before, None)
    assert figure.change(before, "the week before") == words
    assert figure.is_good(before) is is_good


@pytest.mark.quick
@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "$0"), (9999, "$9,999"), ("9999.5", "$10K"), (999_499, "$999K"), (999_500, "$1.0M"), (-1_234_567, "-$1.2M")],
)
def test_an_amount_of_the_subject_is_short(value: object, words: str) -> None:
    assert sales_report.in_short(Decimal(str(value))) == words


@pytest.mark.quick
def test_the_picture_takes_a_week_below_zero_and_one_of_nothing() -> None:
    bars = [sales_chart.Bar("1", "-$5", Decimal(-5), None), sales_chart.Bar("2", "$0", Decimal(0), Decimal(-7))]
    assert Image.open(BytesIO(sales_chart.draw("x", bars))).size == (sales_chart.WIDTH, sales_chart.HEIGHT)


@pytest.mark.quick
def test_nothing_written_in_the_picture_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its pen writes stays within the picture and within its bar, in a large shop and with a long name."""
    period = Period.of(date(2026, 9, 1), "month")
    figure = Figure("sales", "", Decimal(999_900_000), Decimal(40_000_000), None)
    title = Report(period, "UTC", [figure], [], [], None, []).title
    assert title == "Sales of September 2026: $999.9M, 2,400 % more than the month before"
    written = []

    def write(pen: ImageDraw.ImageDraw, place: tuple, text: str, _: str, font: object, anchor: str = "la") -> None:
        written.append((text, pen.textbbox(place, text, font, anchor)))

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", write)
    sales_chart.draw(title, [sales_chart.Bar("09-30", "$99.9M", Decimal(n), Decimal(n)) for n in range(13)])
    assert len(written) == 2 + 2 * 13
    step = (sales_chart.WIDTH - 2 * sales_chart.LEFT) / 13
    for text, (left, top, right, bottom) in written:
        assert left >= 0 and right <= sales_chart.WIDTH and top >= 0 and bottom <= sales_chart.HEIGHT, text
        assert text in (title, "US dollars; the line across is a year before") or right - left < step, text


@pytest.mark.quick
def test_the_year_before_is_told_of_once_where_nothing_is_known_of_it() -> None:
    def html(year_before: Decimal | None) -> str:
        figures = [Figure(name, name, Decimal(2), Decimal(1), year_before) for name in sales_report.METRICS]
        return Report(Period.of(WEEK, "week"), "UTC", figures, [], [], None, []).html

    words = "the week 52 weeks before"
    assert html(None).count(words) == 1 and f"Nothing is known of {words}." in html(None)
    assert html(Decimal(1)).count(words) == len(sales_report.METRICS)


@pytest.mark.quick
@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_in_the_mail_is_wider_than_the_window(width: int, tmp_path: Path) -> None:
    figures = [Figure(name, name, Decimal(10**9), Decimal(7), Decimal(3)) for name in sales_report.METRICS]
    falls = [Fall("product", "Lamp" * 30, Decimal(1), Decimal(2))]
    report = Report(Period.of(WEEK, "week"), "UTC", figures, falls, [Reason("shop.orders", "long" * 30, 1)], None, [])
    head = '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    (file := tmp_path / "mail.html").write_text(head + report.html)
    with Tab(tmp_path) as tab:
        tab.look(width)
        tab.open(file)
        assert tab.run("innerWidth") == width and tab.run("document.documentElement.scrollWidth") <= width


@pytest.mark.quick
def test_pillow_is_loaded_where_it_draws_alone(tmp_path: Path) -> None:
    script = "import sys, storehouse.operate.sales_report, storehouse.operate.run; print('PIL' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env=dict(os.environ) | {"PYTHONPATH": str(PROJECT), "STOREHOUSE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "False\n", done.stderr
