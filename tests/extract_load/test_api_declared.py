"""A wrong declaration of an API is told with file, table, field and what would be right; a right one has no mistake."""

import json
from pathlib import Path

import pytest
import yaml
from api_shapes import SHAPES, declare

from extract_load import tables
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT

pytestmark = pytest.mark.quick

SECRET = "sk_live_hunter2"
NUMBER = {"by": "number", "parameter": "page"}

# What is changed (None takes a field away) of the shape whose lists are read by interval, and what is told.
WRONG: dict[str, tuple[dict, str]] = {
    "no path": ({"path": None}, "path: it is missing; it is the path below the connection, such as /orders"),
    "a path with a query": ({"path": "/a?b=1"}, "path: it has another form; it is the path below the connection"),
    "no connection": ({"connection": SECRET}, "connection: it has another form; it is the name of the variable"),
    "a token that is no variable": (
        {"auth": {"by": "bearer", "token": SECRET}},
        "auth.token: it has another form; it is the variable with the token, such as STRIPE_KEY",
    ),
    "a variable whose value messages would not hide": (
        {"auth": {"by": "bearer", "token": "STRIPE"}},
        "auth.token: it has another form; it is the variable with the token, such as STRIPE_KEY",
    ),
    "no way to sign in": ({"auth": {"token": "A_KEY"}}, "auth.by: it is missing"),
    "a way to sign in that there is not": (
        {"auth": {"by": "digest"}},
        "auth.by: it must be 'bearer', 'basic', 'header', 'query' or 'oauth'",
    ),
    "basic without a password": (
        {"auth": {"by": "basic", "user": "A_USER"}},
        "auth.password: it is missing; it is the variable with the password, such as STORE_PASSWORD",
    ),
    "a key without its header": (
        {"auth": {"by": "header", "key": "A_KEY"}},
        "auth.name: it is missing; it is the header or parameter that takes the key: X-Api-Key",
    ),
    "a field of another way to sign in": (
        {"auth": {"by": "bearer", "token": "A_KEY", "scope": "all"}},
        "auth.scope: leave it out: it belongs to by: oauth",
    ),
    "a token's URL that is written out": (
        {"auth": {"by": "oauth", "token_url": "https://a.example/t", "client_id": "A", "client_secret": "A_SECRET"}},
        "auth.token_url: it has another form; it is where a token is asked for: a path below the connection",
    ),
    "a field of auth with a slip": (
        {"auth": {"by": "bearer", "tokn": "A_KEY"}},
        "auth.tokn: there is no such field here; is it token?",
    ),
    "no interval": (
        {"interval": None},
        "interval: it is missing; it is how an interval is asked for: {from: updated_since, until: updated_before}",
    ),
    "an interval of nothing": (
        {"interval": {"format": "date"}},
        "interval.from: write the parameter of the start, such as updated_since, or else a filter",
    ),
    "a start and a filter": (
        {"interval": {"from": "since", "filter": {"q": "{from}"}}},
        "interval.from: write the parameter of the start, such as updated_since, or else a filter",
    ),
    "an end beside a filter": (
        {"interval": {"until": "before", "filter": {"q": "{from}"}}},
        "interval.until: leave it out: the filter has {until}",
    ),
    "a filter without its start": (
        {"interval": {"filter": {"q": "since {form}"}}},
        "interval.filter.q: it must have {from}, may have {until}, and nothing else in braces",
    ),
    "two filters": (
        {"interval": {"filter": {"q": "{from}", "r": "{until}"}}},
        "interval.filter: it must have one entry; it is a parameter with both in one text",
    ),
    "times as there are none": (
        {"interval": {"from": "since", "format": "epoch"}},
        "interval.format: it must be 'iso', 'iso_seconds', 'epoch_seconds', 'epoch_milliseconds' or 'date'",
    ),
    "an interval of a list that is read in full": (
        {"read": "full", "version": None},
        "interval: leave it out: a list that is read in full is compared with what has landed",
    ),
    "a version of a list that is read in full": (
        {"read": "full", "interval": None},
        "version: leave it out: a list that is read in full is compared with what has landed",
    ),
    "what is gone from an interval": (
        {"gone_is_deleted": True},
        "gone_is_deleted: leave it out: only a list that is read in full tells what is gone",
    ),
    "no version": ({"version": None}, "version: it is missing; it is the member that grows with every change"),
    "a version that is not among the columns": (
        {"version": "meta.changed"},
        "version: meta is not among its columns",
    ),
    "values of no member": ({"deleted": None}, "deleted: it is missing; it is the member that tells a delete"),
    "a way to page that there is not": (
        {"pages": {"by": "page"}},
        "pages.by: it must be 'none', 'number', 'offset', 'cursor', 'last', 'link' or 'next'",
    ),
    "numbers without their parameter": (
        {"pages": {"by": "number"}},
        "pages.parameter: it is missing; it is the parameter that asks for a page, such as page",
    ),
    "a cursor without its path": (
        {"pages": {"by": "cursor", "parameter": "cursor"}},
        "pages.cursor: it is missing; it is the path of the next cursor, such as meta.next_cursor",
    ),
    "a link in the body without its path": (
        {"pages": {"by": "next"}},
        "pages.next: it is missing; it is the path of the next page's URL, such as @odata.nextLink",
    ),
    "a field of another way to page": (
        {"pages": {"by": "link", "parameter": "page"}},
        "pages.parameter: leave it out: it belongs to by: number, offset, cursor or last",
    ),
    "a size without its parameter": (
        {"pages": NUMBER | {"size": 100}},
        "pages.size_parameter: it is missing beside size",
    ),
    "a total twice": (
        {"pages": NUMBER | {"total": "total", "total_header": "X-Total"}},
        "pages.total_header: leave it out: total says it; or leave total out",
    ),
    "a size that is text": (
        {"pages": NUMBER | {"size": "100", "size_parameter": "limit"}},
        "pages.size: it must be a valid integer; it is records a page to ask for, such as 100",
    ),
    "a page before the first": (
        {"pages": NUMBER | {"first": 2}},
        "pages.first: it must be less than or equal to 1; it is the number of the first page: 1 or 0",
    ),
    "a field of pages with a slip": (
        {"pages": NUMBER | {"totals": "total"}},
        "pages.totals: there is no such field here; is it total?",
    ),
    "pages in a word": ({"pages": "link"}, "pages: it must be a mapping; it is how pages follow: {by: number"),
    "no requests at all": (
        {"rate": 0.0},
        "rate: it must be greater than 0; it is requests a second at most, such as 2",
    ),
    "a host that is a URL": ({"hosts": ["https://b.example"]}, "hosts.0: it has another form; it is other hosts that"),
    "a health that is a URL": ({"health": "https://b.example/up"}, "health: it has another form; it is the path that"),
}


def as_lines(meta: dict) -> str:
    """A line for each field."""
    return "\n".join(f"{field}: {json.dumps(value)}" for field, value in meta.items())


@pytest.fixture(autouse=True)
def forgotten() -> object:
    """The project's own declarations are read again afterwards."""
    yield
    tables._tables.cache_clear()


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_field_is_named_and_what_would_be_right(what, tmp_path: Path, monkeypatch) -> None:
    change, words = WRONG[what]
    meta = yaml.safe_load("\n".join(line.strip() for line in SHAPES["woocommerce"].declaration.splitlines()))
    changed = {field: value for field, value in (meta | change).items() if value is not None}
    declare(tmp_path, monkeypatch, records=as_lines(changed))
    with pytest.raises(StorehouseError) as told:
        tables.tables_of("public")
    lines = str(told.value).splitlines()
    assert any(line.startswith(f"public/_public__sources.yml: public.records: {words}") for line in lines), lines
    assert SECRET not in str(told.value)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_shapes_of_the_documentation_are_right(shape, tmp_path: Path, monkeypatch) -> None:
    declare(tmp_path, monkeypatch, records=SHAPES[shape].declaration)
    assert len(tables.tables_of("public")) == 1


def test_each_example_of_the_documentation_is_a_declaration(tmp_path: Path, monkeypatch) -> None:
    page = (PROJECT / "docs" / "sources" / "api.md").read_text()
    examples = [block.partition("```")[0] for block in page.split("```yaml\n")[1:]]
    assert len(examples) == 5
    for example in examples:
        declare(tmp_path, monkeypatch, records=example)
        assert len(tables.tables_of("public")) == 1


def test_each_field_stands_in_the_documentation() -> None:
    from extract_load.declarations import Declaration
    from extract_load.declarations.api import Api, AskedBy, Auth, Pages

    page = (PROJECT / "docs" / "sources" / "api.md").read_text()
    for model, start in ((Api, "`{}`"), (AskedBy, "`{}`"), (Pages, "`{}`"), (Auth, "{}:")):
        names = {field.alias or name for name, field in model.model_fields.items()} - {"connector"}
        for name in names - (set(Declaration.model_fields) if model is Api else {"scope", "audience"}):
            assert start.format(name) in page, name
