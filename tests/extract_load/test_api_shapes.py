"""Public APIs land as declared, without a line of Python: each shape of paging and asking, and lists that move."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from api_shapes import SHAPES, Asked, Said, Served, Shape, declare, put, serve
from extract_scene import wait_until

import extract_load
from extract_load import tables
from extract_load.connectors.api import readings, ready
from extract_load.ledger import LEDGER_LOCK
from storehouse.core.errors import StorehouseError, TransientError

Public = Callable[..., Served]


@pytest.fixture
def public(new_house, configure, tmp_path: Path, monkeypatch) -> Iterator[Public]:
    """Serves a shape, declares it as `public.records`, and sets what its declaration names."""
    running = []

    def start(shape: Shape, **changes: str) -> Served:
        server = serve(shape.answer)
        running.append(server)
        api = server.__enter__()
        lines = [line.strip() for line in shape.declaration.strip().splitlines()]
        text = "\n".join(line for line in lines if line.partition(":")[0] not in changes)
        text += "".join(f"\n{field}: {value}" for field, value in changes.items() if value)
        declare(tmp_path, monkeypatch, records=text)
        configure(PUBLIC_URL=api.url, OVERLAP_MINUTES=0, HTTP_RETRIES=1, HTTP_TIMEOUT_SECONDS=5, **shape.secrets)
        return api

    yield start
    tables._tables.cache_clear()
    for server in running:
        server.__exit__(None, None, None)


def landed(house, shape: Shape, load_id: int = 0) -> list[str]:
    """The ids that landed in loads after this one."""
    rows = house.query(
        f"select payload ->> '{shape.id}' from raw_public.records where _load_id > {load_id} order by _load_id, _row"
    )
    return [record_id for (record_id,) in rows]


def ids(*numbers: int) -> list[str]:
    return [f"R{number}" for number in numbers]


each_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


@each_shape
def test_all_its_records_land(new_house, public, shape):
    api = public(shape)
    put(api, *range(1, 8))
    (result,) = extract_load.load("public")
    assert result.rows == 7 and sorted(landed(new_house, shape)) == ids(*range(1, 8))
    assert new_house.query("select distinct _op, _partition from raw_public.records") == [("u", None)]


@each_shape
def test_the_next_load_lands_what_changed_since(new_house, public, shape):
    api = public(shape)
    put(api, *range(1, 8))
    (first,) = extract_load.load("public")
    put(api, 8, 9)
    put(api, 3, at=600, price=2)
    extract_load.load("public")
    # The last one is asked for again where times are written in whole seconds.
    assert {"R3", "R8", "R9"} <= set(landed(new_house, shape, first.load_id)) <= {"R3", "R7", "R8", "R9"}
    # Nothing new.
    (_, third) = (extract_load.load("public"), extract_load.load("public")[0])
    assert third.rows <= 1


@each_shape
def test_an_empty_list_lands_nothing(new_house, public, shape):
    public(shape)
    (result,) = extract_load.load("public")
    assert result.rows == 0


@each_shape
@pytest.mark.parametrize("request_", [2, 3, 5])
def test_a_list_that_moves_while_it_is_read_hides_no_record(new_house, public, shape, request_):
    api = public(shape)
    put(api, *range(1, 8))

    def one_leaves_and_one_comes(number: int) -> None:
        if number == request_:
            # From the first page, of whatever order: those behind it move up.
            api.records = [record for record in api.records if record["id"] not in ("R1", "R7")]
            put(api, 20, 21)

    api.change = one_leaves_and_one_comes
    extract_load.load("public")
    # What came meanwhile may be the next load's.
    assert set(ids(2, 3, 4, 5, 6)) <= set(landed(new_house, shape))
    extract_load.load("public")
    assert set(ids(2, 3, 4, 5, 6, 20, 21)) <= set(landed(new_house, shape))


@each_shape
def test_an_interval_or_the_whole_can_be_read_again(new_house, public, shape):
    api = public(shape)
    put(api, *range(1, 8))
    extract_load.load("public")
    start = readings.BEGINNING.replace(year=2026)
    (again,) = extract_load.load("public", start, start.replace(minute=5))
    assert again.rows == {"offset": 0, "github": 7}.get(shape.answer.__name__, 4)


@each_shape
def test_it_is_ready_when_its_first_page_comes(public, shape):
    api = public(shape)
    (table,) = tables.TABLES
    assert ready([table], None, None) is None and len(api.asked) == 1
    api.instead = lambda number, asked: Said("busy", 503)
    assert str(ready([table], None, None)).endswith("answers 503")
    api.instead = lambda number, asked: Said("no", 404)
    with pytest.raises(StorehouseError, match=r"answers 404\. Check PUBLIC_URL"):
        ready([table], None, None)


# -- what is deleted


def test_a_value_tells_a_delete(new_house, public):
    api = public(SHAPES["woocommerce"])
    put(api, 1, status="trash")
    put(api, 2)
    extract_load.load("public")
    assert new_house.query("select payload ->> 'id', _op from raw_public.records order by 1") == [
        ("R1", "d"),
        ("R2", "u"),
    ]


def test_a_member_that_is_true_tells_a_delete(new_house, public):
    api = public(SHAPES["odata"])
    put(api, 1, gone=True)
    put(api, 2, gone="true")
    put(api, 3)
    extract_load.load("public")
    assert new_house.query("select _op from raw_public.records order by _row") == [("d",), ("u",), ("u",)]


def test_of_a_full_list_what_changed_and_what_is_gone_lands(new_house, public):
    shape = SHAPES["offset"]
    api = public(shape)
    put(api, 1, 2, 3)
    (first,) = extract_load.load("public")
    api.records = [record for record in api.records if record["id"] != "R2"]
    put(api, 3, price=9)
    extract_load.load("public")
    rows = new_house.query(f"select payload ->> 'sku', _op from raw_public.records where _load_id > {first.load_id}")
    assert sorted(rows) == [("R2", "d"), ("R3", "u")]
    assert extract_load.load("public")[0].rows == 0
    put(api, 2)
    assert extract_load.load("public")[0].rows == 1
    assert new_house.query("select distinct kind, interval_until from raw.loads") == [("full", None)]


def test_of_a_full_list_what_is_gone_stays_where_that_is_no_delete(new_house, public):
    api = public(SHAPES["offset"], gone_is_deleted="")
    put(api, 1, 2, 3)
    extract_load.load("public")
    api.records.pop()
    assert extract_load.load("public")[0].rows == 0


def test_a_full_list_that_has_become_empty_is_not_believed_at_once(new_house, public):
    api = public(SHAPES["offset"])
    put(api, 1)
    extract_load.load("public")
    api.records.clear()
    with pytest.raises(StorehouseError, match=r"public.records is empty at the source .*--allow-empty"):
        extract_load.load("public")
    assert extract_load.load("public", allow_empty=True)[0].rows == 1


def test_full_lists_are_compared_in_the_order_they_were_read(new_house, public):
    api = public(SHAPES["offset"])
    put(api, 1, price=1)
    extract_load.load("public")
    put(api, 1, price=2)

    def waiting() -> int:
        return new_house.query("select count(*) from pg_locks where not granted")[0][0]

    with psycopg.connect(new_house.warehouse) as other, ThreadPoolExecutor() as pool:
        # The first load has compared what it read, and waits to land it.
        other.execute("select pg_advisory_xact_lock(%s)", [LEDGER_LOCK])
        first = pool.submit(extract_load.load, "public")
        wait_until(lambda: waiting() == 1)
        put(api, 1, price=1)
        second = pool.submit(extract_load.load, "public")
        wait_until(lambda: waiting() == 2)
        other.rollback()
        assert [load.result()[0].rows for load in (first, second)] == [1, 1]
    latest = "select payload ->> 'price' from raw_public.records order by _load_id desc limit 1"
    assert new_house.query(latest) == [("1",)]


def test_a_full_list_with_two_records_of_one_key_is_told(new_house, public):
    api = public(SHAPES["offset"])
    api.records = [{"id": "R1", "at": 0, "price": price} for price in (1, 2)]
    with pytest.raises(StorehouseError, match=r"keys \(sku\) with more than one record: 1\."):
        extract_load.load("public")
    assert new_house.query("select count(*) from raw.loads") == [(0,)]


def test_a_record_without_its_key_lands_once_and_is_never_gone(new_house, public):
    api = public(SHAPES["offset"])
    api.instead = lambda number, asked: Said({"meta": {"count": 2}, "results": [{"price": 1}, {"sku": "R1"}]})
    assert extract_load.load("public")[0].rows == 2
    assert extract_load.load("public")[0].rows == 0
    api.instead = lambda number, asked: Said({"meta": {"count": 1}, "results": [{"sku": "R1"}]})
    assert extract_load.load("public")[0].rows == 0


# -- with what it is asked


def test_a_token_is_asked_for_once_and_again_before_it_expires(new_house, public):
    api = public(SHAPES["odata"])
    put(api, *range(1, 8))
    extract_load.load("public")
    assert len(api.tokens) == 1
    api.token_seconds = 1

    def slowly(number: int) -> None:
        time.sleep(0.4)

    api.change = slowly
    extract_load.load("public", readings.BEGINNING, readings.BEGINNING.replace(year=2027))
    assert len(api.tokens) >= 4
    assert {asked.headers["authorization"] for asked in api.asked} == {f"Bearer {token}" for token in api.tokens}


def test_a_token_that_is_withdrawn_is_asked_for_again(new_house, public):
    api = public(SHAPES["odata"])
    put(api, *range(1, 8))
    api.change = lambda number: api.tokens.append("another") if number == 3 else None
    (result,) = extract_load.load("public")
    assert result.rows == 7


@pytest.mark.parametrize(
    ("shape", "secrets", "words"),
    [
        ("stripe", {"PUBLIC_TOKEN": "hunter3"}, r"status 401, .*Check PUBLIC_URL and PUBLIC_TOKEN"),
        ("woocommerce", {"PUBLIC_PASSWORD": "hunter3"}, r"status 401, .*PUBLIC_URL, PUBLIC_USER and PUBLIC_PASSWORD"),
        ("offset", {"PUBLIC_KEY": "hunter3"}, r"status 403, .*Check PUBLIC_URL and PUBLIC_KEY"),
        ("odata", {"PUBLIC_SECRET": "hunter3"}, r"POST .*/oauth/token: the answer has no access_token: status 401"),
        ("stripe", {"PUBLIC_TOKEN": ""}, r"PUBLIC_TOKEN is not set, and public needs it"),
        ("stripe", {"PUBLIC_TOKEN": "hunter2 ☃"}, r"PUBLIC_TOKEN can't stand in a header: write ASCII"),
    ],
)
def test_a_wrong_secret_is_named_and_not_shown(new_house, public, configure, shape, secrets, words):
    api = public(SHAPES[shape])
    configure(**secrets)
    with pytest.raises(StorehouseError, match=words) as told:
        extract_load.load("public")
    assert "hunter" not in str(told.value) and len(api.asked) <= 2


def test_a_key_in_the_query_is_sent_with_each_request_and_shown_in_no_message(new_house, public, caplog):
    shape = SHAPES["github"]
    shape = Shape(shape.answer, shape.declaration, shape.id, {"PUBLIC_KEY": "hunter2"})
    api = public(shape, auth="{by: query, name: api_key, key: PUBLIC_KEY}")
    put(api, *range(1, 8))
    extract_load.load("public")
    assert {asked.query["api_key"] for asked in api.asked} == {"hunter2"}
    api.instead = lambda number, asked: Said("no", 404)
    with caplog.at_level("INFO"), pytest.raises(StorehouseError, match="status 404") as told:
        extract_load.load("public")
    assert "hunter2" not in str(told.value) + caplog.text


def test_a_user_in_the_url_beside_auth_is_told(new_house, public, configure):
    api = public(SHAPES["stripe"])
    configure(PUBLIC_URL=api.url.replace("//", "//me:hunter2@"))
    with pytest.raises(StorehouseError, match=r"PUBLIC_URL has a user, and auth is declared\. Keep one") as told:
        extract_load.load("public")
    assert "hunter2" not in str(told.value)


# -- where its links lead


@pytest.mark.parametrize("shape", ["github", "odata"])
def test_a_link_to_another_host_is_not_followed(new_house, public, shape):
    api = public(SHAPES[shape])
    put(api, *range(1, 4))
    with serve(SHAPES[shape].answer) as other:
        link = f"{other.url}/canary?token=canary"
        page = {
            "github": Said([{"id": "R1"}], headers={"Link": f'<{link}>; rel="next"'}),
            "odata": Said({"value": [{"SalesOrderId": "R1"}], "@odata.nextLink": link}),
        }
        api.instead = lambda number, asked: page[shape]
        with pytest.raises(StorehouseError, match="leads to another host for its next page, which was not") as told:
            extract_load.load("public")
        assert other.asked == [] and "canary" not in str(told.value)


def test_a_link_to_a_host_that_is_declared_is_followed_with_what_it_needs(new_house, public):
    shape = SHAPES["odata"]
    with serve(shape.answer) as other:
        api = public(shape, hosts=f'["{other.url.removeprefix("http://")}"]', auth="")
        link = f"{other.url}/data/more"
        api.instead = lambda number, asked: Said({"value": [{"SalesOrderId": "R1"}], "@odata.nextLink": link})
        other.instead = lambda number, asked: Said({"value": [{"SalesOrderId": "R2"}]})
        (result,) = extract_load.load("public")
        assert result.rows == 2


# -- lists that don't end, or not as they should


def a_cursor(api: Served, asked: Asked) -> Said:
    """A cursor in the body, and a flag."""
    start = int(asked.query.get("cursor", "c0")[1:])
    found = api.between(int(asked.query.get("from", 0)) / 1000 - 1767225600, 1e12)
    data = [{"id": record["id"], "v": at_ms(record)} for record in found[start : start + 2]]
    following = f"c{start + 2}" if start + 2 < len(found) else None
    return Said({"page": {"next": following, "has_more": following is not None}, "data": {"items": data}})


def at_ms(record: dict) -> int:
    return (1767225600 + record["at"]) * 1000


CURSOR = Shape(
    a_cursor,
    """
    path: /items
    read: interval
    interval: {from: from, format: epoch_milliseconds}
    pages: {by: cursor, parameter: cursor, cursor: page.next, more: page.has_more}
    records: data.items
    key: [id]
    version: v
    version_format: epoch_milliseconds
    columns: [id, v]
    """,
    "id",
)


def test_a_cursor_in_the_body_is_followed(new_house, public):
    api = public(CURSOR)
    put(api, *range(1, 8))
    assert extract_load.load("public")[0].rows == 7
    # Twice: it may shift.
    assert [asked.query.get("cursor") for asked in api.asked] == [None, "c2", "c4", "c6"] * 2
    put(api, 9)
    # The last one is asked for again: its millisecond is not over with the microsecond after it.
    assert extract_load.load("public")[0].rows == 2
    assert api.asked[-1].query["from"] == str(at_ms({"at": 420}))


def test_a_list_that_is_declared_not_to_shift_is_read_once(new_house, public):
    api = public(CURSOR, pages="{by: cursor, parameter: cursor, cursor: page.next, shifts: false}")
    put(api, *range(1, 8))
    assert extract_load.load("public")[0].rows == 7 and len(api.asked) == 4


@pytest.mark.parametrize(
    "link",
    [
        "<{}>; rel=next",
        '<{}>; REL="Next last"',
        '<{}>; title="a=b; rel=prev"; rel="next"',
        '</other;x=1>; rel="prev", <{};v=1,2>; rel="next"',
    ],
)
def test_a_link_is_followed_however_its_header_is_written(new_house, public, link):
    api = public(SHAPES["github"])

    def answer(number: int, asked: Asked) -> Said:
        page = 2 if "page" in asked.query else 1
        headers = {"Link": link.format("/repos/me/shop/issues?page=2")} if page == 1 else {}
        return Said([{"id": page, "updated_at": f"2026-01-01T00:00:0{page}Z"}], headers=headers)

    api.instead = answer
    assert extract_load.load("public")[0].rows == 2


def test_a_link_header_that_nobody_can_read_is_not_the_end_of_a_list(new_house, public):
    api = public(SHAPES["github"])
    api.instead = lambda number, asked: Said([{"id": 1}], headers={"Link": "https://elsewhere; rel=next"})
    with pytest.raises(StorehouseError, match="has a Link header that can't be read"):
        extract_load.load("public")


def test_a_page_that_comes_again_is_not_taken_for_the_rest_of_the_list(new_house, public):
    shape = SHAPES["offset"]
    api = public(shape, pages="{by: offset, parameter: start, total: meta.count, shifts: false}")
    put(api, *range(1, 5))
    # Such as one that does not know the parameter.
    page = [{"sku": "R1"}, {"sku": "R2"}]
    api.instead = lambda number, asked: Said({"meta": {"count": 4}, "results": page})
    with pytest.raises(StorehouseError, match="has the records of the page before: start is not heeded"):
        extract_load.load("public")
    assert new_house.query("select count(*) from raw.loads") == [(0,)]


def test_a_list_that_never_keeps_still_and_has_no_end_to_ask_for_is_told(new_house, public):
    api = public(CURSOR)
    put(api, *range(1, 8))
    api.change = lambda number: put(api, number % 7 + 1, at=600 + number)
    with pytest.raises(TransientError, match=r"public.records: .*3 times over\. Nothing of this load was landed"):
        extract_load.load("public")
    assert new_house.query("select count(*) from raw.loads") == [(0,)] and len(api.asked) < 30


def test_a_list_that_must_be_held_and_is_too_long_is_told(new_house, public, monkeypatch):
    monkeypatch.setattr(readings, "HELD_BYTES", 300)
    api = public(CURSOR)
    put(api, *range(1, 20))
    with pytest.raises(StorehouseError, match=r"public.records: the list is longer than .*shifts: false"):
        extract_load.load("public")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"page": {"next": "c1", "has_more": True}, "data": {"items": [{"id": 1}]}}, "goes on where it was before"),
        ({"page": {"next": "c1", "has_more": "yes"}, "data": {"items": []}}, "lacks page.has_more as true or false"),
        ({"page": {"next": ["c"], "has_more": True}, "data": {"items": []}}, "has no text at page.next"),
        ({"page": {}, "data": []}, "is not the promised JSON with a list of records at data.items"),
        ({"page": {}, "data": {"items": {"id": 1}}}, "is not the promised JSON with a list of records at data.items"),
        ([{"id": 1}], "is not the promised JSON with a list of records at data.items"),
    ],
)
def test_an_answer_that_is_not_what_was_declared_is_told(new_house, public, said, words):
    api = public(CURSOR)
    api.instead = lambda number, asked: Said(said)
    with pytest.raises(StorehouseError, match=words):
        extract_load.load("public")
    assert len(api.asked) <= 4 and new_house.query("select count(*) from raw.loads") == [(0,)]


def test_the_last_cursor_again_with_nothing_is_the_end(new_house, public):
    api = public(CURSOR, pages="{by: cursor, parameter: cursor, cursor: page.next}")
    pages = {None: ("c1", [{"id": 1, "v": 9}]), "c1": ("c1", [])}

    def answer(number: int, asked: Asked) -> Said:
        following, items = pages[asked.query.get("cursor")]
        return Said({"page": {"next": following}, "data": {"items": items}})

    api.instead = answer
    assert extract_load.load("public")[0].rows == 1


def test_a_list_of_more_pages_than_declared_is_told(new_house, public):
    api = public(CURSOR, pages="{by: cursor, parameter: cursor, cursor: page.next, most: 3}")
    put(api, *range(1, 8))
    with pytest.raises(StorehouseError, match=r"is page 3, and there are more: pages.most is 3"):
        extract_load.load("public")


@pytest.mark.parametrize("first", [0, 1])
def test_numbered_pages_without_a_total_end_with_an_empty_one(new_house, public, first):
    def answer(api: Served, asked: Asked) -> Said:
        page = int(asked.query["page"]) - first
        return Said([{"id": record["id"], "v": iso_of(record)} for record in api.records[page * 2 : page * 2 + 2]])

    def iso_of(record: dict) -> str:
        return f"2026-01-01T00:00:{record['at'] // 60:02}Z"

    shape = Shape(
        answer,
        f"""
        path: /items
        read: interval
        interval: {{from: day, format: date}}
        pages: {{by: number, parameter: page, first: {first}}}
        key: [id]
        version: v
        columns: [id, v]
        """,
        "id",
    )
    api = public(shape)
    put(api, *range(1, 5))
    assert extract_load.load("public")[0].rows == 4
    assert [int(asked.query["page"]) - first for asked in api.asked] == [0, 1, 2] * 2
    extract_load.load("public")
    assert [asked.query["day"] for asked in api.asked][::6] == ["1970-01-01", "2026-01-01"]
    # One that answers its first page whatever is asked for.
    api.instead = lambda number, asked: Said([{"id": "R1", "v": "2026-01-01T00:00:01Z"}])
    with pytest.raises(StorehouseError, match="has the records of the page before: page is not heeded"):
        extract_load.load("public")


def test_an_api_is_asked_no_oftener_than_declared(new_house, public):
    api = public(CURSOR, rate="10")
    put(api, *range(1, 8))
    began = time.monotonic()
    extract_load.load("public")
    assert len(api.asked) == 8 and time.monotonic() - began >= 0.7


def test_several_tables_of_one_api_land(new_house, public, tmp_path, monkeypatch):
    api = public(CURSOR)
    put(api, 1, 2, 3)
    declare(tmp_path, monkeypatch, items=CURSOR.declaration, more_items=CURSOR.declaration)
    results = extract_load.load("public")
    assert [(result.table, result.rows) for result in results] == [("items", 3), ("more_items", 3)]
