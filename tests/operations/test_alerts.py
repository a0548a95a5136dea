"""People are told once when something is amiss, and once when it ends; and the runbook says what to do."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import psycopg
import pytest
from airflow_scene import Notices, web_hook
from houses import House
from mail_server import NOBODY, TO, mail_server
from psycopg.types.json import Jsonb

import extract_load
from storehouse.core import transform
from storehouse.core.settings import PROJECT
from storehouse.core.transform import DAILY
from storehouse.operate import alerts, audit
from tests.converge.histories import Landed, Record
from tests.quality.test_deletes import MONDAY, ORDER, REVIEW, sent

DAY = timedelta(days=1)
USUAL = 24  # orders a day
DAYS = 61
RUNBOOK = (PROJECT / "docs/runbook.md").read_text()
ENTRY = re.compile(r"^### (\w+)\n(.*?)(?=^##)", re.MULTILINE | re.DOTALL)
ENTRIES: dict[str, str] = dict(ENTRY.findall(RUNBOOK))


class Shop:
    """A shop whose orders of a day land at its end, and whose product P-1 is rated."""

    def __init__(self, house: House) -> None:
        extract_load.prepare()
        self.house, self.landed, self.today = house, Landed(), 0

    def day(self, orders: int = USUAL, wrong: int = 0, customer_id: str | None = None) -> None:
        """Land the next day."""
        day = MONDAY + self.today * DAY
        at = {"placed_at": day, "updated_at": day + DAY / 2, "customer_id": customer_id}
        self.review(f"day {self.today}", "P-2", 5, day)
        self.land([at | {"total_amount": -1 if number < wrong else 10} for number in range(orders)], day)
        self.today += 1

    def land(self, orders: list[dict], day: datetime) -> None:
        rows = [Record("shop.orders", ORDER | {"order_id": f"{day:%j}{n}"} | order) for n, order in enumerate(orders)]
        self.landed.land("shop.orders", rows, (day, day + DAY))

    def review(self, review_id: str, product_id: str, rating: int, day: datetime) -> None:
        at = {"created_at": day.isoformat(), "updated_at": day.isoformat()}
        review = REVIEW | {"review_id": review_id, "product_id": product_id, "rating": rating} | at
        self.landed.land("reviews.reviews", [sent("reviews.reviews", review)], (day, day + DAY))

    def build(self, *, is_well: bool = True) -> None:
        failures = transform.build(DAILY)
        assert bool(failures) != is_well, failures


def received() -> list[str]:
    """What the web hook was sent since one asked last, as a person reads it."""
    messages = [f"{notice['title']}\n{notice['message']}" for notice in Notices.received]
    Notices.received.clear()
    return messages


@pytest.fixture(scope="module")
def hook() -> Iterator[str]:
    with web_hook() as url:
        yield url


@pytest.fixture
def told(hook: str, configure) -> str:
    """The web hook is where notices go."""
    configure(NOTIFY_URL=hook)
    return hook


@pytest.fixture(scope="module")
def shop(house: House) -> Shop:
    """Two months of usual days."""
    shop = Shop(house)
    for _ in range(DAYS):
        shop.day()
    for days_ago in range(6):
        shop.review(f"recent {days_ago}", "P-1", 2, MONDAY + (DAYS - 1 - days_ago) * DAY)
        shop.review(f"before {days_ago}", "P-1", 5, MONDAY + (DAYS - 40 - days_ago) * DAY)
    shop.build()
    with psycopg.connect(house.warehouse, autocommit=True) as warehouse:
        # What is reviewed is known, to readers: a load of products would be late in its turn.
        known = "insert into core.dim_products select (jsonb_populate_record(null::core.dim_products, %s)).*"
        for product in ("P-1", "P-2"):
            flags = {"category": "toys", "currency": "USD", "is_active": True, "is_deleted": False}
            warehouse.execute(known, [Jsonb(flags | {"product_id": product})])
    return shop


def test_a_history_of_bad_days_is_told_once_each_and_their_ends_too(shop: Shop, told: str, configure, capsys) -> None:
    assert alerts.send() == []
    assert received() == []
    # The second build is the first that has readers' marts to read, such as ratings.
    shop.day(orders=6)
    shop.build()
    assert alerts.send() == []
    (message,) = received()
    assert message.startswith("Alerts: 1 critical, 2 warning\ncritical: quality low, shop.orders\n")
    assert "warning: volume low, shop.orders\n  shop.orders: 6 rows changed on 2026-03-07, 25 % of the 24 " in message
    assert "Since 2026-03-07 00:00 UTC. Hurts: Analysts' dashboard, Daily sales as Parquet." in message
    assert "warning: rating drop, P-1\n  Product P-1: 2.00 stars on average" in message
    assert "5.00 in the 30 before" in message
    assert "Hurts: Analysts' dashboard, Ratings on the product page.\n  Runbook: docs/runbook.md#rating_drop" in message
    for _ in range(2):
        assert alerts.send() == []
        assert received() == [], "it is told once"
    assert alerts.show() == 0
    assert "critical: quality low, shop.orders" in (said := capsys.readouterr().out) and "Open alerts: 3" in said

    shop.day()
    shop.build()
    assert alerts.send() == []
    (message,) = received()
    assert message.startswith("Alerts: 2 ended\nended: quality low, shop.orders\n  It was: ")
    assert "ended: volume low, shop.orders\n" in message
    assert alerts.send() == [] and received() == []

    # A flood of bad rows stops the build at the gate, while the service is away; two senders meet when it is back.
    shop.day(wrong=20)
    shop.build(is_well=False)
    configure(NOTIFY_URL="json://127.0.0.1:1")
    assert alerts.send() == ["NOTIFY_URL"]
    assert alerts.main(is_sent=True) == 1
    assert "NOTIFY_URL: no service took the notice." in capsys.readouterr().out
    configure(NOTIFY_URL=told)
    together = threading.Barrier(2)

    def send_together() -> list[str]:
        together.wait()
        return alerts.send()

    with ThreadPoolExecutor(2) as senders:
        assert [sender.result() for sender in [senders.submit(send_together) for _ in range(2)]] == [[], []]
    (message,) = received()
    assert "warning: marts held back, shop\n  The marts of shop are not published: " in message
    assert "stg_shop__orders" in message and "#marts_held_back" in message

    # Corrected at the source: what was stopped is published, and all that it had opened ends.
    day = MONDAY + (shop.today - 1) * DAY
    shop.land([{"placed_at": day, "updated_at": day + DAY * 0.9, "customer_id": None}] * USUAL, day)
    shop.build()
    assert alerts.send() == []
    (message,) = received()
    assert "ended: marts held back, shop" in message
    assert "critical" not in message and "warning" not in message

    told_of = shop.house.query("select alert_id, kind, event from operations.alert_log where route is not null")
    assert len(told_of) == len(set(told_of)), "each once"
    ended = {alert_id for alert_id, _, event in told_of if event == "told_resolved"}
    assert {kind for alert_id, kind, _ in told_of if alert_id in ended} == {
        "volume_low",
        "quality_low",
        "marts_held_back",
    }
    # The day of the flood had its share of refused rows, corrected or not: that ends with the next good day.
    assert {kind for alert_id, kind, _ in told_of if alert_id not in ended} == {"rating_drop", "quality_low"}


def conditions(shop: Shop) -> dict[str, tuple[str, str, str]]:
    """By kind: the severity, what it is about, its words, of what is open that was not when the history ended."""
    rows = shop.house.query(
        "select kind, severity, about, words from operations.alerts where state != 'resolved' and kind != 'rating_drop'"
    )
    return {kind: rest for kind, *rest in rows}


def test_what_is_acknowledged_is_told_to_nobody_until_its_day(shop: Shop, told: str) -> None:
    received()
    acknowledge = (
        "insert into seeds.alert_acknowledgements values ('unknown_customers', 'core.fct_orders', {}, 'Ada', 'known')"
    )
    with psycopg.connect(shop.house.warehouse, autocommit=True) as warehouse:
        # Half of the week's orders name a customer that never landed.
        warehouse.execute("update core.fct_orders set customer_id = 'web-7' where order_id like '%%1'")
        warehouse.execute(acknowledge.format("current_date + 1"))
        assert alerts.send() == [] and received() == []
        ((state, by),) = shop.house.query(
            "select state, acknowledged_by from operations.alerts where kind = 'unknown_customers'"
        )
        assert (state, by) == ("acknowledged", "Ada")
        warehouse.execute("update seeds.alert_acknowledgements set until = current_date - 1")
        assert alerts.send() == []
        (message,) = received()
        assert message.startswith("critical: unknown customers, core.fct_orders")
        # It ends, and that is told to who knew of it, acknowledged or not.
        warehouse.execute("update seeds.alert_acknowledgements set until = current_date + 1")
        warehouse.execute("update core.fct_orders set customer_id = null")
        assert alerts.send() == []
        (message,) = received()
        assert message.startswith("ended: unknown customers, core.fct_orders\n")


def test_what_facts_name_and_dimensions_lack_is_told_from_its_share_on(shop: Shop) -> None:
    """Of lines and of reviews, each with its share and its days; what no dimension has is in every sum still."""
    asked = "select about, severity, words from operations.alerts where kind = 'unknown_products' and state = 'open'"
    line = {"line_number": 1, "channel": "web", "quantity": 1, "currency": "USD", "total_amount": 10}
    line |= dict.fromkeys(["unit_price", "items_amount", "discount_amount", "freight_amount"], 0)
    with psycopg.connect(shop.house.warehouse) as warehouse:
        try:
            warehouse.execute(
                "insert into core.fct_order_items "
                "select (jsonb_populate_record(null::core.fct_order_items, %s || jsonb_build_object("
                "    'order_id', order_id, 'order_date', order_date,"
                "    'product_id', case when order_id like '%%1' then 'P-9' else 'P-1' end))).* from core.fct_orders",
                [Jsonb(line)],
            )
            ((about, severity, words),) = warehouse.execute(asked).fetchall()
            assert (about, severity) == ("core.fct_order_items", "critical")
            assert re.match(
                r"\d+ of the \d+ lines of the week until [\d-]+ name a product that core.dim_products ", words
            )
            # Below a percent of the week, it is a matter of the test that warns.
            warehouse.execute(
                "update core.fct_order_items set product_id = 'P-1' where order_date > (select max(order_date) - 7"
                " from core.fct_orders)"
            )
            assert warehouse.execute(asked).fetchall() == []
            warehouse.execute("delete from core.dim_products where product_id = 'P-2'")
            ((about, severity, words),) = warehouse.execute(asked).fetchall()
            assert (about, severity) == ("core.fct_reviews", "critical")
            assert " reviews of the week until " in words
        finally:
            warehouse.rollback()


def test_routes_take_groups_and_what_is_critical_and_worse_is_told_again(shop: Shop, told: str, configure) -> None:
    received()
    configure(NOTIFY_PLATFORM_URL=f"{told}/platform", NOTIFY_CRITICAL_URL=f"{told}/critical")
    alerts.send()
    received()
    with psycopg.connect(shop.house.warehouse, autocommit=True) as warehouse:
        warehouse.execute("select pg_create_physical_replication_slot('forgotten', true)")
        try:
            for limit, routes in ((0, {"NOTIFY_PLATFORM_URL"}), (-1, {"NOTIFY_PLATFORM_URL", "NOTIFY_CRITICAL_URL"})):
                severity = "critical" if limit else "warning"
                warehouse.execute(
                    "update seeds.alert_thresholds set limit_value = %s where kind = 'wal_held' and severity = %s",
                    [limit, severity],
                )
                for _ in range(2):
                    assert alerts.send() == []
                messages = received()
                assert len(messages) == len(routes)
                assert all(message.startswith(f"{severity}: wal held, forgotten\n") for message in messages)
                marked = shop.house.query(
                    "select route from operations.alert_log "
                    "where event = 'told' and kind = 'wal_held' and severity = %s",
                    severity,
                )
                assert {route for (route,) in marked} == routes
        finally:
            warehouse.execute("select pg_drop_replication_slot('forgotten')")
    # One of the routes does not answer.
    configure(NOTIFY_CRITICAL_URL="json://127.0.0.1:1")
    assert alerts.send() == ["NOTIFY_CRITICAL_URL"]
    assert len(received()) == 1
    configure(NOTIFY_CRITICAL_URL=f"{told}/critical")
    assert alerts.send() == []
    assert len(received()) == 1, "each route is told of the end that was told of the beginning"
    assert alerts.send() == [] and received() == []


def test_an_address_that_is_refused_makes_no_alert_come_again(shop: Shop, configure) -> None:
    with mail_server() as mails, psycopg.connect(shop.house.warehouse, autocommit=True) as warehouse:
        configure(NOTIFY_PLATFORM_URL=mails.url.replace(f"to={TO}", f"to={NOBODY},{TO}"))
        warehouse.execute("select pg_create_physical_replication_slot('forgotten', true)")
        limit = "update seeds.alert_thresholds set limit_value = %s where kind = 'wal_held' and severity = %s"
        warehouse.execute(limit, [0, "warning"])
        warehouse.execute(limit, [1e9, "critical"])
        try:
            assert [alerts.send(), alerts.send()] == [[], []]
            (mail,) = mails.taken()
            assert mail["Subject"] == "warning: wal held, forgotten" and mails.to == [[TO]]
        finally:
            warehouse.execute("select pg_drop_replication_slot('forgotten')")
        assert [alerts.send(), alerts.send()] == [[], []]
        (mail,) = mails.taken()
        assert mail["Subject"] == "ended: wal held, forgotten"


def test_a_missing_run_and_an_old_audit_are_told_where_sources_go_by_the_clock(shop: Shop) -> None:
    with psycopg.connect(shop.house.warehouse, autocommit=True) as warehouse:
        for table in ("staging.stg_ledger__loads", "intermediate.int_tables__last_loaded"):
            warehouse.execute(f"update {table} set finished_at = now() - interval '9 days' where source = 'shop'")
        assert not {"run_missing", "audit_old"} & conditions(shop).keys(), "a replay has a time of its own"
        for table in ("staging.stg_ledger__loads", "intermediate.int_tables__last_loaded"):
            warehouse.execute(
                f"update {table} set started_at = now() - interval '3 days', finished_at = now() - interval '3 days', "
                "interval_until = now() - interval '3 days' where source = 'shop'"
            )
        assert conditions(shop)["run_missing"][:2] == ["critical", "shop"]
        warehouse.execute("update staging.stg_ledger__loads set finished_at = now() - interval '9 days'")
        assert conditions(shop)["audit_old"][0] == "warning"
        warehouse.execute(
            "insert into operations.audit_log (relation, rows, differences) values ('core.fct_orders', 9, 0)"
        )
        assert "audit_old" not in conditions(shop)


def test_a_months_budget_that_is_used_within_days_is_told(shop: Shop) -> None:
    """By builds that fail, wherever; by age of what readers see, where sources go by the clock."""
    asked = "select about, severity, words from operations.alerts where kind = 'slo_burn' and state = 'open' order by 1"
    builds = "select count(distinct run_id) from raw_operations.node_results where publish_group = 'shop'"
    ((before,),) = shop.house.query(builds)
    with psycopg.connect(shop.house.warehouse, autocommit=True) as warehouse:
        for number in range(before):
            # As many as went well: half of the builds is five times what may fail.
            warehouse.execute(
                "insert into raw_operations.node_results (invocation_id, unique_id, run_id, command, target, "
                "code_version, run_started_at, resource_type, name, publish_group, status, seconds) "
                "select 'burnt', 'model.of.' || %(number)s, 'burnt ' || %(number)s, 'build', target, code_version, "
                "now(), 'model', 'of', 'shop', 'error', 1 from raw_operations.node_results limit 1",
                {"number": number},
            )
        ((about, severity, words),) = shop.house.query(asked)
        assert (about, severity) == ("shop success", "warning")
        assert re.match(r"The error budget for success of the marts of shop is used [\d.]+ times as fast as", words), (
            words
        )
        warehouse.execute("delete from raw_operations.node_results where invocation_id = 'burnt'")
        assert shop.house.query(asked) == []

        warehouse.execute(
            "insert into raw_operations.publications (invocation_id, target, group_name, noted_at, published_at) "
            "select 'burnt', target, 'feedback', now(), now() - interval '10 days' "
            "from raw_operations.publications limit 1"
        )
        warehouse.execute("update staging.stg_ledger__loads set started_at = interval_until - interval '9 days'")
        assert shop.house.query(asked) == [], "a replay has a time of its own"
        warehouse.execute("update staging.stg_ledger__loads set started_at = interval_until")
        ((about, severity, words),) = shop.house.query(asked)
        assert (about, severity) == ("feedback freshness", "critical"), words
        warehouse.execute("delete from raw_operations.publications where invocation_id = 'burnt'")


def test_an_audit_leaves_a_trace_and_what_it_finds_is_an_alert_until_it_finds_nothing(shop: Shop) -> None:
    with psycopg.connect(shop.house.warehouse, autocommit=True) as warehouse:
        warehouse.execute("update build.agg_daily_reviews set reviews = reviews + 1")
    assert any(verdict.differences for verdict in audit.audit("agg_daily_reviews"))
    severity, about, words = conditions(shop)["audit_difference"]
    assert severity == "critical" and about.endswith("agg_daily_reviews") and "differ from a rebuild" in words
    # Whom it hurts is known where it is built too.
    asked = "select hurts from operations.alerts where kind = 'audit_difference' and starts_with(about, 'build.')"
    ((hurts,),) = shop.house.query(asked)
    assert "Analysts' dashboard" in hurts
    # An audit that can't judge a table ends nothing.
    built, *_ = audit.audit("agg_daily_reviews")
    audit._note([built._replace(differences=0, note="it is behind")])
    assert "audit_difference" in conditions(shop)
    with psycopg.connect(shop.house.warehouse) as warehouse:
        warehouse.execute("alter table build.agg_daily_reviews rename to gone")
        gone = "select count(*) from operations.alert_conditions where kind = 'audit_difference'"
        assert warehouse.execute(f"{gone} and starts_with(about, 'build.')").fetchone() == (0,), (
            "what is dropped or renamed has no difference any more"
        )
        warehouse.rollback()
    with psycopg.connect(shop.house.warehouse, autocommit=True) as warehouse:
        warehouse.execute("update build.agg_daily_reviews set reviews = reviews - 1")
    audit.audit("agg_daily_reviews")
    assert "audit_difference" not in conditions(shop)


def test_the_end_of_a_run_fails_by_nothing_that_goes_wrong_with_its_alerts(
    shop: Shop, told: str, configure, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(shop.house.warehouse, autocommit=True) as warehouse:
        warehouse.execute("alter view operations.alerts rename to gone")
        try:
            alerts.try_to_send()
        finally:
            warehouse.execute("alter view operations.gone rename to alerts")
    assert "Alerts were not sent" in caplog.text and "operations.alerts is not there yet" in caplog.text
    configure(WAREHOUSE_PORT=1)
    alerts.try_to_send()
    assert "Cannot connect" in caplog.text


@pytest.mark.parametrize("kind", ENTRIES)
def test_the_queries_of_a_runbooks_entry_run(shop: Shop, kind: str) -> None:
    (script,) = re.findall(r"```sql\n(.*?)```", ENTRIES[kind], re.DOTALL)
    for query in filter(str.strip, script.split(";")):
        shop.house.query(query)
