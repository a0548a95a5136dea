"""A month's revenue is one number, wherever a first-time reader meets it: docs, metric, dashboard, its SQL, mail."""

import csv
import io
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote

import pictures
import pytest
from browser import Tab, needs_browser
from houses import Command, command
from mail_server import Mails, mail_server, text_of
from PIL import Image, ImageStat

pytestmark = needs_browser


@pytest.fixture(scope="module")
def mails() -> Iterator[Mails]:
    with mail_server() as mails:
        yield mails


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, mails: Mails) -> Iterator[Command]:
    """A home after `make run` has published January; a report of each month goes to the mail server."""
    run = command(tmp_path_factory.mktemp("home"), REPORT_URL=f"{mails.url}&inline=yes", REPORT_EVERY="month")
    done = run("run", "--until", "2026-02-02", "--size", "0.05")
    assert done.returncode == 0, done.stdout + done.stderr
    yield run
    run("stop")


def test_a_month_has_one_number_from_the_docs_to_the_mail(home: Command, mails: Mails, tmp_path: Path) -> None:
    # The docs say what revenue is, before credit notes and after them: `sales`, the metric that is asked for.
    documented = home("docs")
    assert documented.returncode == 0, documented.stderr
    file = Path(re.findall(r"Open (\S+)", documented.stdout)[0])
    page = file.read_text()
    assert '"metric.storehouse.sales"' in page and "Gross revenue less what credit notes gave back: `sales_usd`" in page

    month = ("--by", "month", "--from", "2026-01-01", "--until", "2026-02-01", "--csv")
    names = ("sales", "gross_revenue", "credits", "refunds", "net_revenue")
    (answered,) = csv.DictReader(io.StringIO(home("metric", ",".join(names), *month).stdout))
    number, gross, credits, refunds, net = (Decimal(answered[name]) for name in names)
    assert number > 100_000 and refunds > 0
    assert number == gross - credits and net == number - refunds

    # The dashboard stands beside the docs; its charts have the figures and the SQL.
    href = "document.querySelector('#%s a[download]').getAttribute('href')"
    with Tab(tmp_path) as tab:
        tab.open(file.parent / "dashboard.html", "period=last%20month")
        days, of_orders = (
            list(csv.DictReader(io.StringIO(unquote(tab.run(href % chart).partition(",")[2]))))
            for chart in ("sales", "orders")
        )
        tab.run("document.querySelector('#sales [id$=SQL]').click()")
        query, slots = tab.run("[document.querySelector('#sales .panel').innerText, JSON.stringify(DATA.slots)]")
    assert (days[0]["starts_on"], len(days)) == ("2026-01-01", 31)
    assert sum(Decimal(day["sales_usd"]) for day in days) == number
    assert sum(Decimal(day["refunded_usd"]) for day in of_orders) == refunds
    first, after = (json.loads(slots).index(day) for day in ("2026-01-01", "2026-02-01"))
    within = f"select sum(sales_cents) from ({query}) as shown where slot > {first} and slot <= {after}"
    assert Decimal(home("psql", "-At", given=within).stdout) == 100 * number
    of_days = "select sum(sales_usd) from sales.agg_daily_sales where order_date between '2026-01-01' and '2026-01-31'"
    assert Decimal(home("psql", "-At", given=of_days).stdout) == number

    # The run itself has sent the mail, once.
    (mail,) = mails.taken()
    (file.parent / "mail.html").write_text(pictures.as_page(mail))
    assert mail["Subject"] == f"Sales of January 2026: ${number / 1000:,.0f}K"
    lines = text_of(mail).splitlines()
    assert f"${number:,.0f} Sales" in lines and f"${refunds:,.0f} Refunded so far" in lines


@pytest.mark.parametrize("name", ["dashboard-narrow-dark", "columns", "report"])
def test_make_pictures_takes_a_picture_of_a_page_that_is_drawn(home: Command, name: str, tmp_path: Path) -> None:
    """After the docs and the mail of the test before."""
    folder, view = Path(home.environment["DBT_TARGET_PATH"]), pictures.VIEWS[name]
    pictures.take((folder / view.page).as_uri(), view, file := tmp_path / "picture.png")
    picture = Image.open(file)
    assert picture.size == (view.width, view.height) and file.stat().st_size > 15_000
    colours, (brightness,) = picture.getcolors(), ImageStat.Stat(picture.convert("L")).mean
    assert len(colours) > 100 and (brightness < 80) == (view.theme == "dark")


def test_a_run_without_an_address_sends_nothing(home: Command) -> None:
    sent = "select count(*) from operations.report_log"
    before = home("psql", "-At", given=sent).stdout
    unset = {name: home.environment.pop(name) for name in ("REPORT_URL", "REPORT_EVERY")}
    try:
        # A week of its own would be due.
        done, due = home("run"), home("report").stdout
    finally:
        home.environment.update(unset)
    assert done.returncode == 0 and "eport" not in done.stderr
    assert before == home("psql", "-At", given=sent).stdout == "1\n"
    assert due.startswith("Sales of week 5: $")
