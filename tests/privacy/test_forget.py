"""`make forget`: a person is erased everywhere, a search proves it, and the books still balance."""

import io
import json
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from typing import NamedTuple

import psycopg
import pytest
from houses import House
from privacy_scene import Command, dumped

from storehouse.core import transform
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT
from storehouse.core.transform import DAILY
from storehouse.operate import audit, forget

pytest_plugins = ["privacy_fixtures"]

LAND = """
    with load as (
        insert into raw.loads
        select load_id, %s, %s, null, null, null, 'updated_at', 1, 1, '', now(), now(), null, load_id
        from nextval('raw.load_ids') as load_id
        returning load_id
    )
"""


@pytest.fixture(scope="module")
def people(lived_in: House) -> list[str]:
    """Shop customers with an e-mail address, who ordered."""
    rows = lived_in.query(
        "select customer_id::text from raw_shop.customers where email ~ '@' "
        "and customer_id in (select customer_id from raw_shop.orders) group by 1 order by 1 limit 4"
    )
    return [row[0] for row in rows]


def email_of(house: House, customer: str) -> str:
    return house.query("select max(email) from raw_shop.customers where customer_id::text = %s", customer)[0][0]


def land(house: House, source: str, table: str, values: str, *parameters: object) -> None:
    """One record in a load of its own, as a source might send it."""
    with psycopg.connect(house.warehouse) as warehouse:
        warehouse.execute(f"{LAND} insert into raw_{source}.{table} {values}", [source, table, *parameters])


def books(house: House) -> list[tuple]:
    return house.query(
        "select (select sum(total_usd) from build.fct_orders), (select count(*) from raw_shop.customers), "
        "(select count(*) from raw_reviews.reviews), (select count(*) from build.dim_customers), "
        "(select sum(accepted_rows) from operations.pipeline_loads), "
        "(select sum(refused_rows) from operations.pipeline_loads)"
    )


def unreadable(house: House, source: str, table: str, text: str, row: int = 1) -> None:
    """A record that nobody could read."""
    extra = {"stores": ("_file, _line,", "'a.csv', 1,")}.get(source, ("", ""))
    values = f"(payload, {extra[0]} _load_id, _row, _op) select %s, {extra[1]} load_id, {row}, 'u' from load"
    land(house, source, table, values, json.dumps({"_unreadable": text}))


def person_named(house: House, customer: str, name: str) -> None:
    """A customer of this name, who has nothing else."""
    land(
        house,
        "shop",
        "customers",
        "(customer_id, email, full_name, updated_at, _load_id, _row, _op) "
        "select %s, 'x' || %s || '@example.net', %s, '2026-01-02', load_id, 1, 'u' from load",
        customer,
        customer,
        name,
    )


def texts(house: House) -> list[str]:
    """What stands in records that nobody could read, as landed and in quarantine."""
    return [
        row[0]
        for row in house.query(
            "select payload ->> '_unreadable' from raw_reviews.reviews where payload ? '_unreadable' "
            "union all select payload ->> '_unreadable' from raw_stores.sales where payload ? '_unreadable' "
            "union all select record::text from quarantine.refused_records where record::text ~ '_unreadable'"
        )
    ]


@pytest.fixture(scope="module")
def written(lived_in: House, people: list[str]) -> list[tuple]:
    """A review of the first person, records of them that say not whose they are, and all of the people at the end.

    Returns what the books say with these.
    """
    email = email_of(lived_in, people[0])
    land(
        lived_in,
        "shop",
        "customers",
        "(customer_id, email, full_name, updated_at, _load_id, _row, _op) "
        "select null, %s, 'A. Nonymous', now(), load_id, 1, 'u' from load",
        email.upper(),
    )
    review = {
        "review_id": "R-1",
        "product_id": "P-000001",
        "customer_id": people[0],
        "rating": 5,
        "title": "Fine",
        "text": 'As I "said"\nto my neighbours',
        "created_at": "2026-01-02T10:00:00Z",
        "updated_at": "2026-01-02T10:00:00Z",
    }
    unreadable = {"_unreadable": f'{{"review_id": "R-2", "text": "Ask \\"{email}\\"'}
    for record in (review, unreadable):
        values = "(payload, _load_id, _row, _op) select %s, load_id, 1, 'u' from load"
        land(lived_in, "reviews", "reviews", values, json.dumps(record))
    for write in (write_two_buyers, write_every_form_of_a_name, write_records_that_name_an_id):
        write(lived_in)
    person_named(lived_in, "880003", "Somebody Else Entirely")
    assert transform.build(DAILY) == []
    return books(lived_in)


def test_a_person_is_erased_from_raw_to_the_marts_and_the_audit_holds(
    lived_in: House,
    people: list[str],
    written: list[tuple],
    capsys: pytest.CaptureFixture,
    caplog: pytest.LogCaptureFixture,
) -> None:
    person = people[0]
    caplog.set_level("INFO", "storehouse")
    email = email_of(lived_in, person)
    (address,) = lived_in.query("select max(address) from raw_shop.customers where customer_id::text = %s", person)[0]
    masked = lived_in.query("select email from build.dim_customers where customer_id = %s", f"web-{person}")
    before = dumped(lived_in).lower()
    assert before.count(email) == 7  # raw, both stagings, and twice two records, in raw and in quarantine
    assert forget.forget([f"web-{person}"]) == 0
    said = capsys.readouterr()
    assert f"web-{person}: forgotten" in said.out
    assert "raw_shop.customers.email" in caplog.text
    assert email not in said.out + said.err + caplog.text, "a log must not keep what was erased"

    assert email not in dumped(lived_in).lower()
    own = "select email, full_name, postal_code, address from staging.{} where customer_id = %s"
    for table in ("stg_shop__customers", "stg_shop__customer_versions"):
        for row in lived_in.query(own.format(table), f"web-{person}"):
            assert row == ("forgotten@example.invalid", "forgotten", "forgotten", "forgotten")
    assert address not in str(lived_in.query("select * from raw_shop.customers where customer_id::text = %s", person))
    for schema in ("build", "core"):
        theirs = f"select title, review_text from {schema}.fct_reviews where customer_id = %s"
        assert lived_in.query(theirs, f"web-{person}") == [("forgotten", "forgotten")], schema
    assert "neighbours" in before
    assert "neighbours" not in dumped(lived_in)
    assert lived_in.query("select email from build.dim_customers where customer_id = %s", f"web-{person}") != masked
    assert books(lived_in) == written, "orders, rows and verdicts stay"
    assert [verdict.line for verdict in audit.audit() if verdict.differences] == []


def test_forgetting_again_finds_nothing_left(
    lived_in: House, people: list[str], written: list[tuple], capsys: pytest.CaptureFixture
) -> None:
    assert forget.forget([f"web-{people[0]}"]) == 0
    assert "forgotten before" in capsys.readouterr().out
    assert lived_in.query("select to_regclass('forgetting.sought')") == [(None,)]


def test_what_a_kill_cut_short_the_next_call_ends(lived_in: House, people: list[str], command: Command) -> None:
    person = people[1]
    email = email_of(lived_in, person)
    arguments = [sys.executable, "-m", "storehouse", "forget", f"web-{person}"]
    process = subprocess.Popen(arguments, cwd=PROJECT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    for line in process.stderr:
        if line.startswith("transform"):
            break
    process.kill()
    process.wait()
    assert email not in str(lived_in.query("select * from raw_shop.customers where customer_id::text = %s", person))
    assert email in dumped(lived_in)
    done = command("forget", f"web-{person}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"web-{person}: forgotten." in done.stdout
    assert email not in dumped(lived_in)


@pytest.fixture
def by_hand(lived_in: House, people: list[str]) -> Iterator[str]:
    """A table that no model makes, with somebody's address in a JSON document."""
    with psycopg.connect(lived_in.warehouse, autocommit=True) as warehouse:
        warehouse.execute(
            "create table public.mailing as select to_jsonb(array[%s]) as list", [email_of(lived_in, people[2])]
        )
        yield "public.mailing"
        warehouse.execute("drop table if exists public.mailing")


def test_what_is_still_found_is_named_and_fails(
    lived_in: House, people: list[str], by_hand: str, capsys: pytest.CaptureFixture
) -> None:
    assert forget.forget([f"web-{people[2]}"]) == 1
    said = capsys.readouterr().out
    assert "NOT forgotten" in said
    assert "public.mailing.list" in said
    with psycopg.connect(lived_in.warehouse) as warehouse:
        warehouse.execute("drop table public.mailing")
    assert forget.forget([f"web-{people[2]}"]) == 0


class Many(NamedTuple):
    """What there was before many people were forgotten in one call, and what it printed."""

    buyer: str
    email: str
    orders: int
    texts: int
    said: str


@pytest.fixture(scope="module")
def many(lived_in: House, written: list[tuple]) -> Many:
    """The people of the tests from here on are forgotten; one table of those days is hidden from the search."""
    ((buyer, email, orders),) = lived_in.query(
        "select payload #>> '{buyer,buyer_id}', max(payload #>> '{buyer,email}'), count(*) from raw_marketplace.orders "
        "where payload #>> '{buyer,email}' ~ '@' group by 1 order by 3 desc, 1 limit 1"
    )
    before = len(texts(lived_in))
    people = [
        f"mkt-{buyer}",
        "mkt-B 7 ",
        *(f"web-{number}" for number in (880001, 880002, 880003, 880004, 7731, 880088001)),
    ]
    with psycopg.connect(lived_in.warehouse, autocommit=True) as warehouse:
        warehouse.execute("create table public.hidden as select 'x' as note")
        warehouse.execute("alter table public.hidden enable row level security")
        try:
            with redirect_stdout(io.StringIO()) as said:
                assert forget.forget(people) == 0
        finally:
            warehouse.execute("drop table public.hidden")
    return Many(buyer, email, orders, before, said.getvalue())


def test_a_buyer_of_the_marketplace_is_erased_from_orders_kept_whole(lived_in: House, many: Many) -> None:
    assert many.email not in dumped(lived_in)
    kept = "select count(*) from raw_marketplace.orders where payload #>> '{buyer,buyer_id}' = %s and payload ? 'lines'"
    assert lived_in.query(kept, many.buyer) == [(many.orders,)]


def test_a_load_that_is_not_over_is_waited_for(lived_in: House) -> None:
    email = "in-flight@example.com"
    with psycopg.connect(lived_in.warehouse) as loading, ThreadPoolExecutor() as pool:
        customer = (
            "insert into raw_shop.customers (customer_id, email, updated_at, _load_id, _row, _op) "
            "select 990001, %s, now(), load_id, 1, 'u' from load"
        )
        land(lived_in, "shop", "customers", customer.partition("customers ")[2], email)
        loading.execute(f"{LAND} {customer}", ["shop", "customers", email])
        forgetting = pool.submit(forget.forget, ["web-990001"])
        waits = "select 1 from pg_locks where relation is not null and not granted"
        while not (forgetting.done() or lived_in.query(waits)):
            time.sleep(0.05)
        loading.commit()
        assert forgetting.result() == 0
    assert email not in dumped(lived_in)


def write_two_buyers(house: House) -> None:
    for order, buyer in (("blank-1", "B 7"), ("blank-2", "B 7 ")):
        record = {"order_id": order, "buyer": {"buyer_id": buyer, "email": f"{order}@example.net"}}
        values = "(payload, _partition, _load_id, _row, _op) select %s, 'eu', load_id, 1, 'u' from load"
        land(house, "marketplace", "orders", values, json.dumps(record))


def test_ids_that_only_blanks_tell_apart_are_two_people(lived_in: House, many: Many) -> None:
    kept = "select payload #>> '{buyer,email}' from raw_marketplace.orders where payload ->> 'order_id' = %s"
    assert lived_in.query(kept, "blank-1") == [("blank-1@example.net",)]
    assert lived_in.query(kept, "blank-2") == [("forgotten@example.invalid",)]


def write_every_form_of_a_name(house: House) -> None:
    name = "Zoë O\u2019Brien-Łęcka"
    person_named(house, "880001", name)
    decomposed = unicodedata.normalize("NFD", name)
    forms = {
        "as it is": name,
        "upper case": name.upper(),
        "decomposed": decomposed,
        "escaped in JSON": json.dumps(name).strip('"'),
        "upper case escaped in JSON": json.dumps(name.upper()).strip('"'),
        "decomposed and escaped": json.dumps(decomposed).strip('"'),
        "with upper case digits": json.dumps(name).strip('"').replace("00eb", "00EB"),
    }
    for text in forms.values():
        unreadable(house, "reviews", "reviews", f'{{"review_id": "R-9", "text": "Ask {text}')
    person_named(house, "880002", "Zoë Weißenbäck\u2019s")
    # Staging takes every kind of blank away, and so do those who write the name elsewhere.
    person_named(house, "880004", "\u00a0Perpetua Whiteside\t\n")
    unreadable(house, "reviews", "reviews", '{"review_id": "R-9", "text": "Ask Perpetua Whiteside')
    line = "s1,r1,Zoë Weißenbäck\u2019s,1".encode("cp1252").decode(errors="backslashreplace")
    unreadable(house, "stores", "sales", line)


def test_a_name_is_found_in_every_form_in_which_it_may_stand(lived_in: House, many: Many) -> None:
    left = texts(lived_in)
    assert len(left) == many.texts, "records stay"
    for trace in ("brien", "łęcka", "Łęcka", "0142", "enb", "\\xeb", "00eb", "whiteside"):
        assert not [text for text in left if trace.lower() in text.lower()], trace


def write_records_that_name_an_id(house: House) -> None:
    for customer in ("7731", "77", "880088001"):
        person_named(house, customer, f"Person Number {customer}")
    theirs = ['{"customer_id": "7731", "text": "secret one', '{"customer_id":7731,"text":"secret two']
    others = ['{"customer_id": "77310", "text": "kept one', '{"review_id": "7731", "text": "perhaps']
    for text in theirs + others:
        unreadable(house, "reviews", "reviews", text)
    unreadable(house, "stores", "sales", 's1,r1,1,"secret three,880088001,EUR')
    unreadable(house, "stores", "sales", 's1,r1,1,"kept two,7731,EUR')


def test_unreadable_records_that_name_the_id_are_erased_and_where_it_may_be_it_they_are_listed(
    lived_in: House, many: Many
) -> None:
    left = "\n".join(texts(lived_in))
    assert "secret" not in left and left.count("kept one") == 2 and left.count("kept two") == 2
    ((perhaps,),) = lived_in.query(
        "select format('load %s, row %s', _load_id, _row) from raw_stores.sales "
        "where payload ->> '_unreadable' ~ 'kept'"
    )
    assert f"Look at 1 unreadable records of raw_stores.sales, they may name the id: {perhaps}." in many.said
    assert "unreadable records of raw_reviews.reviews" in many.said


def test_what_forget_does_not_reach_is_named(lived_in: House, many: Many) -> None:
    said = many.said
    assert "Not searched" in said and "public.hidden" in said
    assert f"{lived_in.home}/logs/dbt.log" in said and "Airflow's task logs" in said and "PostgreSQL's own log" in said


def test_no_message_of_dbts_and_none_of_its_logs_has_a_row(
    lived_in: House, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_LOG_LEVEL_FILE", "debug")
    with psycopg.connect(lived_in.warehouse, autocommit=True) as warehouse:
        warehouse.execute("alter table seeds.countries add constraint none check (country != 'BR') not valid")
        try:
            failures = transform.build(["seed", "--select", "countries"])
        finally:
            warehouse.execute("alter table seeds.countries drop constraint none")
    console = capfd.readouterr()
    results = (lived_in.home / "target" / "run_results.json").read_text()
    log = "".join(file.read_text() for file in (lived_in.home / "logs").glob("dbt.log*"))
    assert "insert into" in log, "with dbt's statements"
    everywhere = "\n".join([*failures, console.out, console.err, results, log])
    assert 'violates check constraint "none"' in failures[0]
    assert "Failing row" not in everywhere and "CONTEXT" not in everywhere
    assert transform.build(["seed", "--select", "countries"]) == []


def test_an_unknown_customer_is_one_message_and_changes_nothing(lived_in: House, people: list[str]) -> None:
    email = email_of(lived_in, people[3])
    with pytest.raises(StorehouseError, match="There is no customer web-nobody"):
        forget.forget([f"web-{people[3]}", "web-nobody"])
    assert email_of(lived_in, people[3]) == email
