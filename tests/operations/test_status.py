"""The status, in the terminal and in a real browser: its figures are the warehouse's, and it asks nobody else."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import psycopg
import pytest
from browser import browse, needs_browser, visit
from houses import House, build_demo, command

from storehouse.core import pages
from storehouse.operate import pipeline, status

HOSTILE = "<script>document.title = 'taken over'</script>"
HIDDEN = "\u202e"  # turns what follows it around
CSP = re.compile(r'<meta http-equiv="Content-Security-Policy".*?>')
PERSONAL = """
    select unnest(array[email, full_name, address]) from staging.stg_shop__customer_versions
    union select unnest(array[email, full_name]) from staging.stg_marketplace__buyers
"""
# What lies outside of the window, what is cut off within it, and which table's name is broken over two lines.
MEASURE = """<script>
    parent.postMessage(JSON.stringify({
        width: innerWidth,
        outside: [...document.querySelectorAll('body *')].filter(each => !each.closest('thead, title')
            && each.getBoundingClientRect().right > innerWidth + 1).map(each => each.outerHTML.slice(0, 200)),
        cut: [...document.querySelectorAll('.wide')].filter(each => each.scrollWidth > each.clientWidth + 1)
            .map(each => each.closest('section').id),
        broken: [...document.querySelectorAll('#sources tbody th, #quality tbody th')].filter(each => {
            const name = document.createRange();
            name.selectNodeContents(each);
            return name.getClientRects().length > 1;
        }).map(each => each.innerText),
    }), '*');
</script>"""
# A window of a browser is not as narrow as a telephone.
FRAME = """<iframe src="measured.html" style="width: {}px; height: 900px; border: 0"></iframe>
<script>onmessage = told => document.body.dataset.found = told.data</script>"""


class Tables(HTMLParser):
    """The rows of each section's tables, as a person reads them, and the texts of all."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.section, self.in_svg, self.said = "", False, ""
        self.rows: dict[str, list[list[str]]] = {}
        self.cell: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "section":
            self.section = dict(attrs)["id"] or ""
            self.rows[self.section] = []
        elif tag == "tr" and self.section:
            self.rows[self.section].append([])
        elif tag in ("th", "td"):
            self.cell = ""
        elif tag == "svg":
            self.in_svg = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("th", "td") and self.cell is not None:
            self.rows[self.section][-1].append(" ".join(self.cell.split()))
            self.cell = None
        elif tag == "svg":
            self.in_svg = False

    def handle_data(self, data: str) -> None:
        self.said += data
        if self.cell is not None and not self.in_svg:
            self.cell += data

    def of(self, section: str, *heads: str) -> list[tuple[str, ...]]:
        """These columns of a section's first table."""
        first, *rows = self.rows[section]
        columns = [first.index(head) for head in heads]
        return [tuple(row[column] for column in columns) for row in rows if row != first]


def numbers(rows: list[tuple]) -> list[tuple[str, ...]]:
    return [
        tuple("-" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row)
        for row in rows
    ]


@pytest.fixture(scope="module")
def house(server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Four days of the demo shop; then the shop's marts are held back, and a run fails, both with hostile words."""
    for house in build_demo(server, tmp_path_factory.mktemp("home"), days=4, size=0.2):
        with psycopg.connect(house.warehouse) as warehouse:
            warehouse.execute(
                "update converge.published set held_back = %s, held_back_at = now() where group_name = 'shop'",
                [f"a test waits {HOSTILE}"],
            )
        pipeline.record("make run", f"run {HIDDEN}1", datetime.now(UTC), broken=[f"task {HOSTILE}"])
        yield house


@pytest.fixture(scope="module")
def written(house: House, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return status.write(tmp_path_factory.mktemp("site") / "new" / status.NAME)


@pytest.fixture(scope="module")
def page(written: Path) -> str:
    return written.read_text()


@pytest.fixture(scope="module")
def shown(written: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page as a browser has understood it."""
    return browse(tmp_path_factory.mktemp("profile"), "--dump-dom", written.as_uri())


@needs_browser
def test_the_figures_of_the_page_are_what_the_warehouse_says(house: House, shown: str) -> None:
    tables = Tables(shown)
    groups = "select group_name, bound, run_id, code_version from converge.published order by 1"
    assert tables.of("published", "marts", "up to load", "by run", "code") == numbers(house.query(groups))

    refused = """
        select table_label, reason, count(distinct record_id) as refused,
            count(distinct record_id) filter (where is_last and status = 'pending') as pending
        from (
            select refused.source || '.' || refused.table_name as table_label, record_id, status,
                refused._load_id = records.last_load_id as is_last, unnest(refused.errors) as reason
            from quarantine.refused_records as refused join quarantine.quarantined_records as records using (record_id)
        ) as reasons group by 1, 2
    """
    expected = {
        (re.sub(r"^(\w+) \((\w+)\): (.*)$", r"\3 (\1)", reason), label, f"{pending:,}", f"{ever:,}")
        for label, reason, ever, pending in house.query(refused)
    }
    assert len(expected) > 12 and set(tables.of("refusals", "reason", "table", "pending", "ever")) == expected

    days = """
        select distinct on (source, table_name)
            source || '.' || table_name, day::text, landed_rows, refused_rows
        from operations.table_volumes_daily where verdict != 'incomplete' order by source, table_name, day desc
    """
    assert sorted(tables.of("quality", "table", "day", "rows", "refused")) == sorted(numbers(house.query(days)))
    scores = [int(score) for (score,) in tables.of("quality", "score of 100")]
    assert scores == sorted(scores) and scores[0] < 100

    builds = (
        "select command, count(*), count(*) filter (where status = 'warn') from raw_operations.node_results "
        "group by command, invocation_id"
    )
    assert tables.of("builds", "command", "nodes", "warned") == numbers(house.query(builds))
    slowest = (
        "select name, round(seconds::numeric, 2) from raw_operations.node_results where status = 'success' "
        "and resource_type in ('model', 'seed', 'snapshot') order by seconds desc limit 10"
    )
    found = [(name, round(float(seconds), 1)) for name, seconds in tables.of("slowest", "model", "seconds")]
    assert found == [(name, pytest.approx(float(seconds), abs=0.06)) for name, seconds in house.query(slowest)]
    warned = "select name, failures from raw_operations.node_results where status = 'warn' order by name"
    told = tables.of("failures", "model or test", "state", "rows")
    assert told == [(f"test {name}", "warn", f"{rows:,}") for name, rows in house.query(warned)] != []

    sources = (
        "select source || '.' || table_name, replace(verdict, '_', ' '), hours_behind || ' h' "
        "from operations.source_freshness order by 1"
    )
    assert sorted(tables.of("sources", "table", "verdict", "behind")) == numbers(house.query(sources))
    promises = (
        "select group_name, case is_met when true then 'yes' when false then 'missed' end from operations.slo_status"
    )
    assert sorted(tables.of("promises", "marts", "kept")) == sorted(numbers(house.query(promises)))
    for words, hurts in house.query("select words, hurts from operations.alerts where state = 'open'"):
        assert words in tables.said and hurts in tables.said
    assert "docs/runbook.md#marts_held_back" in tables.said


@needs_browser
def test_what_others_have_named_is_text(page: str, shown: str) -> None:
    tables = Tables(shown)
    assert f"a test waits {HOSTILE}" in tables.said
    ((run, state, failed),) = tables.of("runs", "run", "state", "what failed")
    assert (run, state, failed) == (r"run \u202e1", "failed", f"task {HOSTILE}")
    assert "taken over" not in re.findall(r"<title>(.*?)</title>", shown)[0]
    assert "<script" not in page + shown


@needs_browser
def test_plots_are_there_and_say_what_they_show(page: str, shown: str) -> None:
    plots = re.findall(r'<svg class="bars" role="img".*?aria-label="([^"]+)".*?</svg>', shown, re.DOTALL)
    assert len(plots) > 15
    assert any(re.fullmatch(r"rows, \d+ values from [-\d]+ to [-\d]+: the last is .*", said) for said in plots)
    assert not re.findall(r"<svg(?![^>]*aria-label=\"[^\"]+\")", shown)
    assert not re.findall(r'="(?:[^"]* )?(?:nan|-[\d.]+)"', " ".join(re.findall(r"<rect.*?>", page)))


def test_the_page_shows_no_personal_value(house: House, page: str) -> None:
    personal = {value for (value,) in house.query(PERSONAL) if value}
    assert len(personal) > 100
    texts = set(re.findall(r"[^<>]+", page))
    assert not [value for value in personal if any(value in text for text in texts)]


@needs_browser
@pytest.mark.parametrize("size", [400, 1021, 1400])
def test_nothing_is_cut_off_or_wider_than_the_window(page: str, size: int, tmp_path: Path) -> None:
    # Its own policy lets no script run. Details are opened: what they hide must fit too.
    measured = CSP.sub("", page).replace("<details>", "<details open>") + MEASURE
    (tmp_path / "measured.html").write_text(measured)
    (tmp_path / "frame.html").write_text(FRAME.format(size))
    dom = browse(tmp_path, "--dump-dom", "--virtual-time-budget=2000", (tmp_path / "frame.html").as_uri())
    found = json.loads(re.findall(r'data-found="(.*?)"', dom)[0].replace("&quot;", '"'))
    assert found == {"width": size, "outside": [], "cut": [], "broken": []}


@needs_browser
def test_the_page_asks_nothing_of_the_network(page: str, tmp_path: Path) -> None:
    def asked_by(page: str) -> set[str]:
        (file := tmp_path / "page.html").write_text(page)
        return visit(tmp_path, file)[1]

    everything = "<link rel=stylesheet href=https://cdn.test/a.css><img src=http://images.test/a.png>"
    assert asked_by(everything) == {"cdn.test", "images.test"}
    assert CSP.search(page)
    # Without its policy too: there is nothing to forbid.
    assert asked_by(CSP.sub("", page)) == set()


def test_the_command_tells_it_on_one_screen_and_where_the_page_is(house: House, tmp_path: Path) -> None:
    done = command(house.home, **house.environment)("status", f"--page={tmp_path / 'here.html'}")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= 40 and max(map(len, lines[:-1])) <= 100
    assert lines[1] == "trust      Yes, but it is not of the last build: shop waits, and 1 warning alert."
    assert "alerts     warning: marts held back, shop, since" in done.stdout
    assert "           docs/runbook.md#marts_held_back" in lines
    assert lines[-1] == f"page       {tmp_path / 'here.html'}"
    assert "shop waits" in (tmp_path / "here.html").read_text()


def test_a_view_that_is_away_or_in_use_costs_its_own_section_alone(house: House, tmp_path: Path) -> None:
    with psycopg.connect(house.warehouse) as builder:
        builder.execute("drop view operations.refusals_by_reason")
        builder.execute("alter view operations.slo_status rename to in_use")
        found = status.read()
        builder.rollback()
    assert found.missing == ["alerts", "promises", "refusals"] or found.missing == [
        "alerts",
        "ended",
        "promises",
        "refusals",
    ]
    assert found["quality"] and found["builds"] and found["published"] and found["sources"]


def test_without_alerts_nobody_says_that_the_data_can_be_trusted(house: House) -> None:
    with psycopg.connect(house.warehouse, autocommit=True) as warehouse:
        warehouse.execute("alter view operations.alerts rename to away")
        try:
            found = status.read()
        finally:
            warehouse.execute("alter view operations.away rename to alerts")
    assert found.verdict == ("unknown", "Nobody can say: alerts could not be asked for.")
    assert "alerts     not known: its view is in use, slow, or was not built yet" in list(status.lines(found))
    assert "not known" in Tables(status.page(found)).said


def test_where_nothing_was_built_the_command_says_what_to_do(new_house: House) -> None:
    done = command(new_house.home, **new_house.environment)("status")
    assert done.returncode == 1
    assert done.stderr == "storehouse status: Nothing was built here yet, so there is nothing to tell: make run\n"
    assert not list(new_house.home.rglob("status.html"))


def test_a_page_that_cannot_be_written_is_said_and_what_was_there_stays(house: House, tmp_path: Path) -> None:
    file = tmp_path / "a folder"
    (file / "kept").mkdir(parents=True)
    done = command(house.home, **house.environment)("status", f"--page={file}")
    assert done.returncode == 1 and "Another place: PAGE=" in done.stderr and str(file) in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a folder"]


def test_that_the_page_cannot_be_put_fails_no_run(
    house: House, configure: Callable[..., None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    configure(DOCS_URL=str(tmp_path / "site"))
    pages.try_to_put("status page", status.write, status.NAME)
    assert "can the data be trusted?" in (tmp_path / "site" / "status.html").read_text() and not caplog.text
    (tmp_path / "file").touch()
    configure(DOCS_URL=str(tmp_path / "file"))
    pages.try_to_put("status page", status.write, status.NAME)
    assert "No status page: DOCS_URL=" in caplog.text
    caplog.clear()
    configure(WAREHOUSE_PORT=1)
    pages.try_to_put("status page", status.write, status.NAME)
    assert "No status page: " in caplog.text
