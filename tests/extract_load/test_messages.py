"""No message has the content of a record: not on the console, in Airflow's log, in a notice or in the server's log.

A record with an e-mail address that is looked for goes through every connector and every kind of failure.
"""

import io
import json
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from extract_scene import HEADER, SHOP, Answer, write_day

import extract_load
from storehouse.core.errors import StorehouseError
from storehouse.laptop.server import Server

CANARY = "canary.bird@example.com"
# As a part of it may be left of it, in any encoding of one byte a character.
TRACE = re.compile("canary|c\\.a\\.n", re.IGNORECASE)
FRESH_SHOP = "drop schema public cascade; create schema public;" + SHOP
CUSTOMER = f"insert into customers (customer_id, email, updated_at) values (1, '{CANARY}', '2026-01-01');"
REVIEW = {"review_id": "R-1", "text": f"Ask {CANARY}", "updated_at": "2026-01-02T00:00:00Z"}


def page(*records: str, **others: object) -> bytes:
    envelope = {"page": 1, "pages": 1, "total": len(records)} | others
    return (json.dumps(envelope)[:-1] + f', "data": [{", ".join(records)}]}}').encode()


@pytest.fixture(scope="module", autouse=True)
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Airflow's words for a failed task need a home of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        yield


@pytest.fixture
def told(
    house, server: Server, capfd: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> Callable[[str], tuple[str, str]]:
    """Load a source as Airflow's task does; returns the message, and all that was told anywhere."""
    from structlog.tracebacks import ExceptionDictTransformer

    from storehouse.orchestrate.defaults import no_vain_retries

    caplog.set_level(logging.INFO)  # as Airflow's is
    start = server.log.stat().st_size

    def load(source: str) -> tuple[str, str]:
        message, shown = "", []
        try:
            with no_vain_retries():
                extract_load.load(source)
        except Exception as error:
            message = str(error)
            frames = ExceptionDictTransformer(show_locals=False)((type(error), error, error.__traceback__))
            shown = [*traceback.format_exception(error), json.dumps(frames)]
        console = capfd.readouterr()
        with server.log.open(errors="replace") as log:
            log.seek(start)
            everywhere = [message, *shown, console.out, console.err, caplog.text, log.read()]
        return message, "\n".join(everywhere)

    return load


RAISES = """
    create function told(text) returns text language plpgsql as $$ begin raise exception 'bad %, it is', $1; end $$;
"""


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (RAISES + "{view} told(email) as email {from};", "SQLSTATE P0001"),
        ("{view} email::integer::text as email {from};", 'invalid input syntax for type integer: "…"'),
        ("{view} email::timestamptz::text as email {from};", "invalid input syntax for type timestamp"),
        ("{view} (email::json ->> 'x') as email {from};", "invalid input syntax for type json"),
        ("{view} email::xml::text as email {from};", ""),
        ("{view} convert_from(convert_to(email, 'UTF8') || '\\xff', 'UTF8') as email {from};", "invalid byte sequence"),
    ],
    ids=["its code raises", "no number", "no time", "no json", "no xml", "no text"],
)
def test_what_the_shops_database_says_of_a_record_is_not_told(house, told, spoilt, words):
    others = "customer_id, full_name, address, postal_code, city, region, country, created_at, updated_at"
    view = f"alter table customers rename to people; create view customers as select {others},"
    script = spoilt.replace("{view}", view).replace("{from}", "from people")
    house.execute_in_shop(FRESH_SHOP + CUSTOMER + script)
    message, everywhere = told("shop")
    assert "the shop database" in message.lower() and words in message
    assert not TRACE.search(everywhere), everywhere


def test_what_the_warehouse_says_of_a_row_that_it_refuses_is_not_told(house, told):
    house.execute_in_shop(FRESH_SHOP + CUSTOMER)
    extract_load.prepare()
    import psycopg

    with psycopg.connect(house.warehouse, autocommit=True) as warehouse:
        warehouse.execute("alter table raw_shop.customers add constraint no_birds check (email !~ 'canary')")
        try:
            message, everywhere = told("shop")
        finally:
            warehouse.execute("alter table raw_shop.customers drop constraint no_birds")
    assert "no_birds" in message
    assert not TRACE.search(everywhere), everywhere


@pytest.mark.parametrize(
    "answer",
    [
        Answer(f"<title>{CANARY}</title>".encode(), headers={"Content-Type": "text/html"}),
        Answer(page(json.dumps(REVIEW))[:-20]),
        Answer(page(json.dumps(REVIEW), page=CANARY)),
        Answer(page(json.dumps(REVIEW), total=CANARY)),
        Answer(json.dumps({CANARY: [REVIEW]}).encode()),
        Answer(json.dumps(REVIEW).encode(), 404),
        Answer(json.dumps(REVIEW).encode(), 500),
        Answer(json.dumps(REVIEW).encode(), 302, {"Location": f"/{CANARY}"}),
        Answer(page(json.dumps(REVIEW)), 429, {"Retry-After": CANARY}),
        Answer(b"x", headers={"Content-Type": CANARY}),
        Answer(page(json.dumps(REVIEW)), headers={f"bad {CANARY}": "x"}),
        Answer(page(json.dumps(REVIEW)), headers={"Content-Encoding": "gzip"}),
        Answer(page(json.dumps(REVIEW)), promised_length=5_000),
        Answer(page(json.dumps(REVIEW)), headers={"Transfer-Encoding": "chunked"}),
        Answer(page(json.dumps(REVIEW)).replace(b"Ask", b"Ask \xff")),
        Answer(page(json.dumps(REVIEW | {"n": 0}).replace("0}", "1" * 140_000 + "}"))),
        Answer(page(json.dumps(REVIEW | {"n": 0}).replace("0}", "[" * 7_000 + "]" * 7_000 + "}"))),
    ],
    ids=[
        *("html", "half a page", "a wrong page", "a wrong total", "another shape", "404", "500", "a redirect"),
        *("too many requests", "a wrong type", "a wrong header", "no gzip", "broken off", "no chunks", "no utf-8"),
        *("a number that is too long", "too deep"),
    ],
)
def test_what_an_api_answers_is_not_told(house, api, told, answer):
    api.instead = lambda *_: answer
    message, everywhere = told("reviews")
    # No message: what jsonb can't hold has landed as unreadable.
    assert not message or "reviews" in message.lower() or "the warehouse" in message.lower()
    assert not TRACE.search(everywhere), everywhere


def test_a_member_that_is_named_as_a_value_is_counted_and_not_named(house, api, told):
    api.put("/reviews", REVIEW | {CANARY: 1, "verified": True})
    message, everywhere = told("reviews")
    assert message == ""
    assert "new member verified" in everywhere and "1 new members that are no plain names" in everywhere
    assert not TRACE.search(everywhere), everywhere


def parquet(**columns: pa.Array) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


NOT_TEXT = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\x18\0\0\0"), pa.py_buffer(CANARY.encode() + b"\xff"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a_csv", f"{CANARY},r1,1,1\n{CANARY},r2,1,1\n"),
        ("a_csv", f"store_id,store_id,receipt_id,line_number,{CANARY}\n"),
        ("a_csv", f'store_id,"{CANARY}\n'),
        ("a_csv", f"{CANARY},".encode() + b"\xff\n"),
        ("a_parquet", b"PAR1" + CANARY.encode() * 10 + b"PAR1"),
        ("a_parquet", CANARY.encode()),
        ("a_parquet", parquet(**{"store_id": pa.array([1]), CANARY: pa.array([1])})),
        ("a_parquet", parquet(store_id=NOT_TEXT, receipt_id=NOT_TEXT, line_number=NOT_TEXT)),
        ("a_parquet", parquet(store_id=["s"], receipt_id=["r"], line_number=[1], x=[CANARY])[:-40] + b"\0" * 40),
    ],
    ids=[
        *("a csv without a header", "a column twice", "an open quote", "no utf-8", "no parquet", "no parquet at all"),
        *("no key", "text that is none", "a footer of zeros"),
    ],
)
def test_what_a_file_has_is_not_told(house, stores: Path, told, name, content):
    write_day(stores, "2026-01-05", **{name: content})
    message, everywhere = told("stores")
    assert "can't be read" in message or message == ""
    assert not TRACE.search(everywhere), everywhere


def test_an_error_that_nobody_expected_keeps_its_words_to_itself(house, api, told, monkeypatch):
    def broken(record: str) -> str:
        raise KeyError(record)

    monkeypatch.setattr("extract_load.connectors.api.payload", broken)
    api.put("/reviews", REVIEW)
    message, everywhere = told("reviews")
    assert re.search(r"unexpected KeyError at test_messages.py, line \d+, in broken", message)
    assert not TRACE.search(everywhere), everywhere


def test_the_commands_tell_no_record_either(run, house, api, stores):
    house.execute_in_shop(FRESH_SHOP + CUSTOMER + "alter table customers alter email type bytea using email::bytea")
    api.instead = lambda *_: Answer(f"<p>{CANARY}</p>".encode())
    write_day(stores, "2026-01-05", a_csv=f"{CANARY},r1\n", b_csv=HEADER + f"{CANARY},r1,1\n")
    done = run("all")
    assert done.returncode == 1
    assert not TRACE.search(done.stdout + done.stderr), done.stdout + done.stderr


def test_an_error_without_words_has_no_cause_that_has_them(house, api):
    api.instead = lambda *_: Answer(page(json.dumps(REVIEW)), headers={f"bad {CANARY}": "x"})
    with pytest.raises(StorehouseError) as caught:
        extract_load.load("reviews")
    error: BaseException | None = caught.value
    while error:
        assert not TRACE.search(str(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
