"""What each source promises, as a recorded sample: it goes the real way into staging and comes out as recorded.

A source of another shape fails here, with words that name the table, the column and what to do. `samples/` has a file
for each landed table: what its source sends, and what staging makes of it, without `_load_id`, `_row`. The shop's
tables are the demo's. The records of a source of your own are put into raw as they are: no server of its shape is here,
and `make check-source` looks at the real one. To change a promise: change the sample and what is expected of it.
"""

import csv
import io
import json
import logging
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal

import psycopg
import pytest
import yaml
from extract_scene import Api, at, write_day

import extract_load
from demo.statements import shop_tables
from extract_load import ledger
from extract_load.connectors.api.records import look
from extract_load.tables import TABLES, Table
from storehouse.core import databases, transform
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import DEMO
from storehouse.operate import audit

SAMPLES = Path(__file__).parent / "samples"
TABLE_OF = {table.label: table for table in TABLES}
SHOP_TABLES = [label for label in TABLE_OF if label.startswith("shop.")]
SENT_TABLES = [label for label, table in TABLE_OF.items() if table.connection in DEMO and label not in SHOP_TABLES]
PUT_TABLES = [label for label in TABLE_OF if label not in (*SHOP_TABLES, *SENT_TABLES)]
UNTIL = at("2026-02-01")
NO_TESTS = ("--exclude-resource-type", "unit_test", "test")


def sample(label: str, part: Literal["sent", "accepted"] = "sent") -> str:
    return yaml.safe_load((SAMPLES / f"{label}.yml").read_text())[part]


def open_shop(house) -> None:
    """The shop with its sample, and nothing else."""
    tables = "".join(shop_tables().values()).format(shop="public")
    house.execute_in_shop("drop schema public cascade; create schema public;" + tables)
    with psycopg.connect(house.shop) as shop:
        for label in SHOP_TABLES:
            name = TABLE_OF[label].name
            rows = sample(label)
            columns = rows.partition("\n")[0]
            with shop.cursor().copy(f"copy {name} ({columns}) from stdin (format csv, header)") as copy:
                copy.write(rows)


def records(label: str) -> list[dict]:
    """What is sent, a record each: a list in JSON, or CSV with commas and a header."""
    sent = sample(label)
    return json.loads(sent) if sent.lstrip().startswith("[") else list(csv.DictReader(io.StringIO(sent)))


def put(label: str) -> None:
    """Land a sample without its connector. A delete is what `deleted` of the declaration tells."""
    table = TABLE_OF[label]
    gone = {None, "", False, "false"}
    told = set(getattr(table.declaration, "deleted_values", None) or ())

    def op(record: dict) -> str:
        value = look(record, table.deleted) if table.deleted else None
        return "d" if (value in told if told else value not in gone) else "u"

    if table.columns:
        columns = [name for name in table.columns if name in records(label)[0]]
        rows = [[op(record), *(record[name] or None for name in columns)] for record in records(label)]
    elif table.connector == "files":
        columns = ["payload", "_file", "_line"]
        rows = [[op(record), json.dumps(record), label, line] for line, record in enumerate(records(label), 1)]
    else:
        columns, rows = ["payload"], [[op(record), json.dumps(record)] for record in records(label)]

    def feed(write: Callable[..., None]) -> None:
        for row in rows:
            write(*row)

    with databases.open_warehouse() as warehouse:
        ledger.prepare(warehouse)
        ledger.land(
            warehouse,
            ledger.Load(table),
            lambda load_id: ledger.copy_rows(warehouse, table, ["_op", *columns], load_id, feed),
        )


def send(label: str, sent: list[dict], api: Api, stores: Path, day: str = "2026-01-05") -> None:
    """Let the API answer these records, or the folder hold them."""
    table = TABLE_OF[label]
    if table.connector == "files":
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(name for record in sent for name in record)))
        writer.writeheader()
        writer.writerows(sent)
        write_day(stores, day, store_csv=text.getvalue())
    else:
        below = DEMO.get(table.connection, "")
        for part in table.partitions:
            mine = [json.dumps(record) for record in sent if part in (None, record.get(table.partition_by or ""))]
            api.records[(below + table.place, part)] = mine


def accepted(house, table: Table) -> str:
    """What staging has of a table, as CSV."""
    name = f"stg_{table.source}__{table.name}"
    with psycopg.connect(house.warehouse) as warehouse:
        warehouse.execute("set timezone = 'UTC'")
        columns = ", ".join(
            column
            for (column,) in warehouse.execute(
                "select quote_ident(attname) from pg_attribute where attrelid = %s::regclass and attnum > 0"
                " and not attisdropped and attname not in ('_load_id', '_row') order by attnum",
                [f"staging.{name}"],
            )
        )
        statement = f"copy (select {columns} from staging.{name} order by 1, 2) to stdout (format csv, header)"
        with warehouse.cursor().copy(statement) as copy:
            return b"".join(map(bytes, copy)).decode()


def build(*models: str) -> None:
    """Run models and what they read; their tests need the marts."""
    assert transform.build(["build", "--select", *(f"+{model}" for model in models), *NO_TESTS]) == []


@pytest.fixture
def all_sent(house, api, stores):
    """Every sample is landed and staged."""
    open_shop(house)
    for label in SENT_TABLES:
        send(label, records(label), api, stores)
    for source in dict.fromkeys(TABLE_OF[label].source for label in (*SHOP_TABLES, *SENT_TABLES)):
        extract_load.load(source, until=UNTIL)
    for label in PUT_TABLES:
        put(label)
    build("refused_records", "path:models/staging")


def test_every_sample_is_accepted_as_recorded(house, all_sent):
    assert house.query("select table_name, record_key, errors from quarantine.refused_records") == []
    for label, table in TABLE_OF.items():
        made = accepted(house, table)
        assert made == sample(label, "accepted"), (
            f"{label}: what staging makes of samples/{label}.yml is not what was recorded. If the source "
            f"promises something else now, change the sample; if not, mend the staging model. It makes:\n{made}"
        )


def test_a_failing_row_is_kept_and_explains_itself(house, all_sent):
    """The message says how to see it; it is gone when the test passes again. A test that passes leaves no table."""

    def spoil(status: str) -> list[str]:
        with psycopg.connect(house.warehouse) as warehouse:
            warehouse.execute(
                "update staging.stg_shop__payments set status = %s where payment_id = 'web-311'", [status]
            )
        return transform.build(["test", "--select", "web_payments_have_a_known_status", "web_lines_have_a_quantity"])

    (said,) = spoil("lost")
    assert said.startswith("web_payments_have_a_known_status: Got 1 result")
    statement = said.partition("To see them: ")[2]
    assert [row[:4] for row in house.query(statement)] == [("web-311", "lost", "web-31", Decimal("4039.87"))]
    assert spoil("captured") == []
    assert house.query("select count(*) from pg_tables where schemaname = 'test_failures'") == [(0,)]


def test_a_sample_has_every_column_that_its_source_promises():
    for label, table in TABLE_OF.items():
        if table.columns:
            assert set(sample(label).partition("\n")[0].split(",")) >= table.columns.keys() - set(table.optional)
        else:
            for record in records(label):
                assert record.keys() == table.members, label


@pytest.fixture
def shop_landed(house):
    """The shop's sample is landed."""
    open_shop(house)
    extract_load.load("shop", until=UNTIL)


@pytest.mark.parametrize("label", SHOP_TABLES)
def test_a_shop_table_of_another_shape_lands_nothing_and_is_told(house, shop_landed, label):
    table = TABLE_OF[label]
    others = {"created_at", "updated_at", *table.optional}
    column = next(name for name in reversed(table.columns) if name not in others)
    shapes = {
        f'drop column "{column}"': f"{label}: public.{table.name} .* lacks {column}.*Add what is missing",
        f'rename column "{column}" to "renamed"': f"{label}: .* lacks {column}; it has renamed.* was one renamed",
        "alter column created_at type text": f"{label}: created_at is text, and must be a timestamp .*"
        "Read a view that casts it",
    }
    for change, words in shapes.items():
        open_shop(house)
        house.execute_in_shop(f"alter table {table.name} {change}")
        before = house.query("select count(*) from raw.loads")
        with pytest.raises(StorehouseError, match=words):
            extract_load.load("shop", until=UNTIL, tables=[table.name])
        assert house.query("select count(*) from raw.loads") == before


@pytest.mark.parametrize("label", SENT_TABLES)
def test_records_of_another_shape_land_and_are_told(house, api, stores, label, caplog):
    """A member that is renamed is one that is new and one that is gone."""
    source, table = TABLE_OF[label].source, TABLE_OF[label]
    others = {*table.key, table.version, table.deleted, table.partition_by}
    member = next(name for name in sorted(table.members, reverse=True) if name not in others)
    send(label, records(label), api, stores, "2026-01-06")
    extract_load.load(source, from_=at("2026-01-01"), until=UNTIL)
    renamed = [{("renamed" if name == member else name): value for name, value in r.items()} for r in records(label)]
    send(label, renamed, api, stores, "2026-01-07")
    with caplog.at_level(logging.WARNING, "extract_load"):
        extract_load.load(source, from_=at("2026-01-01"), until=UNTIL)
    assert f"{label}: new member renamed, kept in payload" in caplog.text
    assert f"{label}: no record has the member {member} any more" in caplog.text
    assert "Ask the source" in caplog.text


def test_a_file_without_a_column_of_its_key_lands_nothing_and_is_told(house, api, stores):
    cut = [
        {name: value for name, value in record.items() if name != "receipt_id"} for record in records("stores.sales")
    ]
    send("stores.sales", cut, api, stores, "2026-01-08")
    with pytest.raises(
        StorehouseError, match=r"store\.csv can't be read: its header line lacks receipt_id.*Write it again"
    ):
        extract_load.load("stores", until=UNTIL)


# What the record is refused as when a member is this.
RETYPED = {
    "marketplace.orders": {
        "order_id": (None, "order_id_missing"),
        "status": ({"is": "shipped"}, "status_unknown"),
        "currency": (840, "currency_unknown"),
        "total_amount": ("forty", "total_unreadable"),
        "buyer": ("B-us-000332", "buyer_unreadable"),
        "placed_at": (1767225600, "placed_at_unreadable"),
        "updated_at": (1767225600, "updated_at_unreadable"),
        "deleted": ("no", "deleted_unreadable"),
        "lines": ({"1": {}}, "lines_unreadable"),
        "payments": ("paid", "payments_unreadable"),
    },
    "reviews.reviews": {
        "review_id": (None, "review_id_missing"),
        "product_id": ("P\t1", "product_id_malformed"),
        "rating": ("five", "rating_unreadable"),
        "created_at": (1767225600, "created_at_unreadable"),
        "updated_at": (1767225600, "updated_at_unreadable"),
        "deleted": (0, "deleted_unreadable"),
    },
    "stores.sales": {
        "store_id": ("", "store_id_missing"),
        "receipt_id": ("", "receipt_id_missing"),
        "line_number": ("one", "line_number_unreadable"),
        "sold_at": ("05.01.2026 06:54", "sold_at_unreadable"),
        "updated_at": ("05.01.2026 06:54", "updated_at_unreadable"),
        "region": ("north", "region_unknown"),
        "product_id": ("P\u200b1", "product_id_malformed"),
        "quantity": ("2 pieces", "quantity_unreadable"),
        "unit_price": ("252,56", "unit_price_unreadable"),
        "discount_amount": ("0 %", "discount_unreadable"),
        "currency": ("$", "currency_unknown"),
        "is_void": ("nein", "void_unreadable"),
    },
}


def test_a_member_of_another_type_is_refused_in_words(house, api, stores):
    """dbt goes on: what can't be read is a record in quarantine, not a failed run."""
    expected = []
    ((last,),) = house.query("select max(load_id) from raw.loads")
    for label, members in RETYPED.items():
        first = records(label)[0]
        # Each another version: an API sends none twice.
        changed = datetime.fromisoformat(first["updated_at"])
        sent = [
            first | {"updated_at": (changed + timedelta(seconds=n)).isoformat(), name: value}
            for n, (name, (value, _)) in enumerate(members.items())
        ]
        send(label, sent, api, stores, "2026-01-09")
        extract_load.load(TABLE_OF[label].source, from_=at("2026-01-01"), until=UNTIL)
        expected += [(*label.split("."), code) for _, code in members.values()]
    build("refused_records")
    refused = house.query(
        "select source, table_name, split_part(errors[1], ' ', 1) from quarantine.refused_records "
        "where _load_id > %s and cardinality(errors) = 1",
        last,
    )
    assert sorted(refused) == sorted(expected)


def test_an_audit_tells_a_value_that_is_equal_and_not_the_same(house, shop_landed):
    house.execute_in_shop(
        "update orders set total_amount = -1.50, updated_at = updated_at + '2 hours' where order_id = 31"
    )
    extract_load.load("shop", until=UNTIL, tables=["orders"])
    build("refused_records")

    def spell(old: str, new: str) -> None:
        with psycopg.connect(house.warehouse) as warehouse:
            warehouse.execute(
                "update quarantine.refused_records set record = replace(record::text, %s, %s)::jsonb"
                " where record_key = '31'",
                [f'"total_amount": {old}', f'"total_amount": {new}'],
            )

    # jsonb says that the two are equal.
    spell("-1.50", "-1.5")
    (verdict,) = audit.audit("refused_records")
    spell("-1.5", "-1.50")
    assert verdict.differences == 1
    here, there = map(int, re.search(r"record has (\d+) characters, in raw (\d+) characters", verdict.line).groups())
    assert there == here + 1


def test_a_refused_record_is_what_landed_whenever_it_is_built(house, shop_landed):
    """Whatever columns the shop gains, and whatever types it changes: the audit finds what the warehouse has."""
    shown = "select record from quarantine.refused_records where table_name = 'orders' order by _load_id, _row"

    def refuse(change: str, *statements: str) -> list[tuple]:
        house.execute_in_shop(f"{change}; update orders set total_amount = -1.50, updated_at = updated_at + '1 hour'")
        for statement in statements:
            with pytest.raises(StorehouseError) as told:
                extract_load.load("shop", until=UNTIL, tables=["orders"])
            assert f"run in the warehouse: {statement}; " in str(told.value)
            with psycopg.connect(house.warehouse) as warehouse:
                # Whatever time zone the session has.
                warehouse.execute("set timezone = 'Asia/Tokyo'")
                warehouse.execute(statement)
        extract_load.load("shop", until=UNTIL, tables=["orders"])
        build("refused_records", "stg_shop__orders")
        return house.query(shown)

    def differing() -> list[str]:
        found = audit.audit("refused_records stg_shop__orders")
        return [verdict.line for verdict in found if verdict.differences]

    before = refuse("select")
    assert before and "gift_note" not in before[0][0]
    gained = refuse("alter table orders add column gift_note text, add column landed integer default 7")
    assert gained[: len(before)] == before and gained[-1][0]["landed"] == 7
    # Before raw is written anew, which would build all of them again.
    assert differing() == []
    alter = "alter table raw_shop.orders alter column"
    retyped = refuse(
        "alter table orders alter column created_at type timestamp, alter column landed type text",
        f"""{alter} "created_at" type timestamp without time zone using "created_at" at time zone 'UTC'""",
        f'{alter} "landed" type text',
    )
    assert len(retyped) > len(gained) and retyped[len(gained) - 1][0]["landed"] == "7"
    assert differing() == []
