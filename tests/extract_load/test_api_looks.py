"""What `discover` finds at an API lands as it is, and `check` says what differs; no value of a record is shown."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from api_shapes import SHAPES, Said, Served, Shape, declare, put, serve
from extract_scene import Answer

import extract_load
from extract_load import tables
from extract_load.connectors.api import check, discover
from storehouse.core.errors import StorehouseError

CANARY = "canary.bird@example.com"


@pytest.fixture
def served(configure) -> Iterator[Callable[[Shape], Served]]:
    """Serves a shape at PUBLIC_URL."""
    running = []

    def start(shape: Shape) -> Served:
        running.append(serve(shape.answer))
        api = running[-1].__enter__()
        configure(PUBLIC_URL=api.url, OVERLAP_MINUTES=0, HTTP_RETRIES=2, HTTP_TIMEOUT_SECONDS=5, **shape.secrets)
        return api

    yield start
    tables._tables.cache_clear()
    for server in running:
        server.__exit__(None, None, None)


def declared(shape: Shape) -> dict:
    lines = [line.strip() for line in shape.declaration.strip().splitlines()]
    return yaml.safe_load("\n".join(lines))


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_found_lands_as_it_is(new_house, served, tmp_path: Path, monkeypatch, name):
    shape = SHAPES[name]
    api = served(shape)
    put(api, *range(1, 8))
    want = declared(shape)
    (found,) = discover("PUBLIC_URL", {field: want[field] for field in ("path", "auth") if field in want})
    got = found.meta
    assert got["key"] == want["key"] and got.get("records") == want.get("records")
    assert (got["read"], got.get("version")) == (want["read"], want.get("version"))
    assert got["pages"].items() >= {**want["pages"], "size": got["pages"]["size"]}.items()
    assert got.get("interval", {}).keys() >= want.get("interval", {}).keys() - {"from_excluded", "format"}
    assert set(got["columns"]) == set(want["columns"])
    declare(tmp_path, monkeypatch, records="\n".join(f"{name}: {json.dumps(said)}" for name, said in got.items()))
    assert extract_load.load("public")[0].rows == 7
    put(api, 9)
    assert extract_load.load("public")[0].rows in (1, 2)


def test_an_api_that_wants_an_interval_gets_one(new_house, api):
    api.put("/reviews", *({"review_id": f"R-{n}", "updated_at": f"2026-01-0{n}T00:00:00Z"} for n in range(1, 6)))

    def strict(number: int, path: str, query: dict[str, str]) -> Answer | None:
        if not {"from", "until"} <= query.keys():
            return Answer(b"{}", 422)
        query.setdefault("page", "1")
        return None

    api.instead = strict
    (found,) = discover("REVIEWS_URL", {"path": "/reviews"})
    assert found.name == "reviews"
    assert found.meta["interval"] == {"from": "from", "until": "until"}
    assert found.meta["pages"] == {
        "by": "number",
        "parameter": "page",
        "at": "page",
        "count": "pages",
        "total": "total",
    }
    assert (found.meta["records"], found.meta["key"], found.meta["version"]) == ("data", ["review_id"], "updated_at")


def test_people_are_found_by_the_names_of_members_and_the_form_of_values_and_no_value_is_shown(served):
    record = {
        "id": CANARY,
        "updated_at": "2026-01-01T00:00:00Z",
        "buyer": {"name": CANARY, "Email": CANARY, "address": {"street1": CANARY}},
        "phone_number": CANARY,
        "name": "a product",
        CANARY: 1,
    }
    api = served(SHAPES["github"])
    api.instead = lambda number, asked: Said([record, record | {"id": "b"}])
    (found,) = discover("PUBLIC_URL", {"path": "/v2/saleOrders"})
    assert found.name == "sale_orders"
    assert found.personal == {
        "id": "email",
        "buyer.name": "name",
        "buyer.Email": "email",
        "buyer.address.street1": "address",
        "phone_number": "text",
        "_unreadable": "text",
    }
    assert found.unsure["pii"] == "id by the form of the values"
    assert "canary" not in str(found)


@pytest.mark.parametrize(
    ("meta", "said", "words"),
    [
        ({}, Said([]), "Say which list of PUBLIC_URL to look at, such as path=/orders"),
        ({"path": "orders"}, Said([]), "path: it has another form; it is the path below the connection"),
        ({"path": "/a", "auth": {"by": "token"}}, Said([]), "auth.by: it must be 'bearer', 'basic', "),
        ({"path": "/a"}, Said([]), "has no list with records in it; name their place in records="),
        ({"path": "/a"}, Said({"id": CANARY}), "has no list with records in it"),
        ({"path": "/a"}, Said(b"<html>"), "is not JSON"),
        ({"path": "/a"}, Said("no", 403), "is not the 200 of a list. Name what it needs: auth, parameters"),
        ({"path": "/a"}, Said("no", 422), "is not the 200 of a list. Name what it needs: auth, parameters"),
    ],
)
def test_what_cannot_be_looked_at_is_told(served, meta, said, words):
    api = served(SHAPES["github"])
    api.instead = lambda number, asked: said
    with pytest.raises(StorehouseError) as told:
        discover("PUBLIC_URL", meta)
    assert words in str(told.value) and "canary" not in str(told.value)


# -- check


@pytest.mark.parametrize("name", SHAPES)
def test_an_api_that_is_as_declared_is_not_complained_of(served, tmp_path, monkeypatch, name):
    shape = SHAPES[name]
    api = served(shape)
    put(api, *range(1, 8))
    declare(tmp_path, monkeypatch, records=shape.declaration)
    (table,) = tables.TABLES
    assert check(table) == []
    api.records.clear()
    assert check(table) == ["public.records: its first page has no records, so nothing can be compared"]


def test_what_differs_is_told_without_a_value(served, tmp_path, monkeypatch):
    api = served(SHAPES["odata"])
    declare(tmp_path, monkeypatch, records=SHAPES["odata"].declaration)
    rows = [
        {"SalesOrderId": CANARY, "ModifiedAt": CANARY, "IsDeleted": "no", "Email": CANARY, CANARY: 1},
        {"SalesOrderId": CANARY, "ModifiedAt": "2026-01-01T00:00:00Z", "IsDeleted": False},
        {"ModifiedAt": "2026-01-01T00:00:00Z"},
        CANARY,
    ]
    api.instead = lambda number, asked: Said({"value": rows})
    (table,) = tables.TABLES
    assert check(table) == [
        f"public.records: {words}"
        for words in (
            "records: 1 of 4 records can't be read and land as text",
            "key: 2 of 4 records have no SalesOrderId",
            "key: 2 of 4 records have the SalesOrderId of another one",
            "version: 2 of 4 records have no time in ModifiedAt that is written as iso",
            "columns: records have Email too: they land, and can be declared",
            "deleted: 3 of 4 records have no true or false in IsDeleted",
            "interval: asked for what changed a year from now, it sends records: check from and its format",
        )
    ]


def test_an_answer_of_another_shape_is_an_error(served, tmp_path, monkeypatch):
    api = served(SHAPES["odata"])
    declare(tmp_path, monkeypatch, records=SHAPES["odata"].declaration)
    api.instead = lambda number, asked: Said({"data": []})
    (table,) = tables.TABLES
    with pytest.raises(StorehouseError, match="is not the promised JSON with a list of records at value"):
        check(table)
