"""Text of a shop in another encoding lands as the same text; where that can't be, words say so and nothing lands."""

import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from extract_scene import SHOP
from psycopg import sql
from psycopg.conninfo import make_conninfo

import extract_load
from storehouse.core.errors import StorehouseError

Make = Callable[[str], str]


@pytest.fixture
def database(server) -> Iterator[Make]:
    """Makes an empty database in an encoding; gives its connection string."""
    made = []

    def make(encoding: str) -> str:
        name = f"db_{encoding.lower()}_{uuid.uuid4().hex[:6]}"
        with psycopg.connect(server.conninfo(), autocommit=True) as connection:
            connection.execute(f"create database {name} encoding '{encoding}' locale 'C' template template0")
        made.append(name)
        return server.conninfo(name)

    yield make
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        for name in made:
            connection.execute(f"drop database {name} with (force)")


def execute(database: str, script: str | sql.Composable) -> None:
    with psycopg.connect(database, client_encoding="utf8") as connection:
        connection.execute(script)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("LATIN1", "NESTLÉ® façade £"),
        ("WIN1252", "5 € “quoted” É"),
        ("EUC_KR", "한국어 이름"),
        ("EUC_JP", "日本語の名前"),
        ("WIN1251", "Привет"),
        ("SQL_ASCII", "UTF-8: É 한"),
    ],
)
def test_text_of_a_shop_in_another_encoding_lands_as_the_same_text(
    new_house, configure, database: Make, encoding, name
):
    place = database(encoding)
    execute(place, SHOP)
    execute(
        place,
        sql.SQL(
            "insert into products (product_id, name) values ('p', {0});"
            "insert into orders (order_id, discount_code, status, updated_at) values (1, {0}, 'created', '2026-01-01')"
        ).format(name),
    )
    configure(SHOP_DATABASE_URL=place)
    extract_load.load("shop", tables=["products", "orders"])
    assert new_house.query("select name from raw_shop.products") == [(name,)]
    assert new_house.query("select discount_code from raw_shop.orders") == [(name,)]
    extract_load.load("shop", tables=["products"])
    assert new_house.query("select count(*) from raw_shop.products") == [(1,)]


def test_a_shop_whose_encoding_has_no_way_to_utf8_is_refused_in_words(new_house, configure, database: Make):
    configure(SHOP_DATABASE_URL=database("MULE_INTERNAL"))
    with pytest.raises(StorehouseError, match=r"conversion between.*MULE_INTERNAL.*dump it into a database of UTF8"):
        extract_load.load("shop", tables=["products"])


def test_bytes_that_are_not_utf8_in_a_shop_without_an_encoding_are_told_with_what_to_do(
    new_house, configure, database: Make
):
    place = database("SQL_ASCII")
    execute(place, SHOP)
    execute(place, r"insert into products (product_id, name) values ('p', E'NESTL\xC9')")
    configure(SHOP_DATABASE_URL=place)
    with pytest.raises(StorehouseError, match=r"invalid byte sequence.*convert_to\(column, 'SQL_ASCII'\)") as error:
        extract_load.load("shop", tables=["products"])
    assert "NESTL" not in str(error.value)
    # What the message says to do.
    execute(
        place,
        "create schema readable; create view readable.products as select product_id, "
        "convert_from(convert(convert_to(name, 'SQL_ASCII'), 'LATIN1', 'UTF8'), 'UTF8') as name, category, price, "
        "currency, is_active, created_at, updated_at from products",
    )
    configure(SHOP_SCHEMA="readable")
    extract_load.load("shop", tables=["products"])
    assert new_house.query("select name from raw_shop.products") == [("NESTLÉ",)]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_warehouse_that_can_not_hold_every_text_is_refused_before_anything_lands(
    shop, configure, database: Make, encoding
):
    place = psycopg.conninfo.conninfo_to_dict(database(encoding))
    configure(WAREHOUSE_DATABASE=place["dbname"])
    with pytest.raises(StorehouseError, match=f"encoding is {encoding}.*create database .* encoding 'UTF8'"):
        extract_load.load("shop", tables=["orders"])


def test_a_client_encoding_in_the_environment_or_in_the_url_changes_nothing(
    shop, configure, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    configure(SHOP_DATABASE_URL=make_conninfo(shop.shop, client_encoding="LATIN1"))
    with psycopg.connect(shop.shop, client_encoding="utf8") as connection:
        connection.execute("insert into products (product_id, name) values ('p', 'É')")
    extract_load.load("shop", tables=["products"])
    with psycopg.connect(shop.warehouse, client_encoding="utf8") as connection:
        assert connection.execute("select name from raw_shop.products").fetchall() == [("É",)]
