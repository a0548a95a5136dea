"""A wrong declaration ends in one line that names the file, the table, the field and what would be right."""

import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from extract_load import tables
from extract_load.__main__ import main
from extract_load.declarations import STAGING, read_declarations
from storehouse.core.errors import StorehouseError

pytestmark = pytest.mark.quick

Source = dict
SECRET = "postgresql://shop:very-secret@db/shop"


def of_source(**meta: object) -> Callable[[Source], object]:
    return lambda source: source["config"]["meta"].update(meta)


def of_table(name: str, **meta: object) -> Callable[[Source], object]:
    """Change a table's declaration; None takes a field away."""

    def change(source: Source) -> None:
        declared = table(source, name)["config"]["meta"]
        for field, value in meta.items():
            declared[field] = value
            if value is None:
                del declared[field]

    return change


def table(source: Source, name: str) -> dict:
    return next(table for table in source["tables"] if table["name"] == name)


def in_other_partitions(declared: dict) -> dict:
    other = deepcopy(declared) | {"name": "returns"}
    other["config"]["meta"]["partitions"] = {"region": ["us"]}
    return other


# What is changed in a source that is right, and the line that follows: table, field and words.
WRONG: dict[str, tuple[str, Callable[[Source], object], str]] = {
    "no connector": (
        "shop",
        lambda source: source["config"]["meta"].pop("connector"),
        "shop.orders: connector: it is missing; write postgres, api or files",
    ),
    "a connector that there is not": (
        "shop",
        of_source(connector="postgresql"),
        "shop.orders: connector: it must be postgres, api or files, or a connector that an installed package brings",
    ),
    "two connectors in one source": (
        "shop",
        of_table("orders", connector="api"),
        "shop: connector: all tables of a source have the same; declare the others as a source of their own",
    ),
    "two publications in one source": (
        "shop",
        lambda source: [
            of_table(name, read="change_log", version=None, statistics=None, publication=name)(source)
            for name in ("orders", "payments")
        ],
        "shop: publication: all tables of a source have the same; declare the others as a source of their own",
    ),
    "a version of a change log": (
        "shop",
        of_table("orders", read="change_log", reconcile=None, statistics=None),
        "shop.orders: version: leave it out: the source's own log says which change is the last",
    ),
    "statistics of a change log": (
        "shop",
        of_table("orders", read="change_log", reconcile=None, version=None),
        "shop.orders: statistics: leave it out: a change log has no time of change by which they could be compared",
    ),
    "reconciliation of a change log": (
        "shop",
        of_table("orders", read="change_log", version=None, statistics=None),
        "shop.orders: reconcile: leave it out: the source's own log has every change",
    ),
    "a slot that can't be one": (
        "shop",
        of_table("products", read="change_log", slot="Shop-1"),
        "shop.products: slot: it has another form; it is the source's replication slot, lower case letters, digits and "
        "_: such as storehouse_shop",
    ),
    "a limit of WAL below its warning": (
        "shop",
        of_table("products", read="change_log", wal={"warn_gb": 10, "limit_gb": 5}),
        "shop.products: wal.limit_gb: it must be at least warn_gb",
    ),
    "another end of too much WAL": (
        "shop",
        of_table("products", read="change_log", wal={"beyond": "ignore"}),
        "shop.products: wal.beyond: it must be 'fail' or 'drop_slot'; it is what a load does when more is held after "
        "it: fail or drop_slot",
    ),
    "a connection that is a secret": (
        "shop",
        of_source(connection=SECRET),
        "shop.orders: connection: it has another form; it is the name of the variable that says where the source is, "
        "never its value: such as SHOP_DATABASE_URL",
    ),
    "two connections in one source": (
        "shop",
        of_table("orders", connection="OTHER_URL"),
        "shop: connection: all tables of a source have the same; declare the others as a source of their own",
    ),
    "no connection": (
        "reviews",
        lambda source: source["config"]["meta"].pop("connection"),
        "reviews.reviews: connection: it is missing; it is the name of the variable that says where the source is, "
        "never its value: such as SHOP_DATABASE_URL",
    ),
    "an empty schema": (
        "shop",
        of_source(schema=""),
        "shop.orders: schema: it must not be empty; it is a schema, or the variable that names it, such as SHOP_SCHEMA",
    ),
    "no path": (
        "marketplace",
        of_table("orders", path=None),
        "marketplace.orders: path: it is missing; it is the path below the connection, such as /orders",
    ),
    "a path that is a URL": (
        "marketplace",
        of_table("orders", path="https://api.example.com/orders"),
        "marketplace.orders: path: it has another form; it is the path below the connection, such as /orders",
    ),
    "a pattern above the connection": (
        "stores",
        of_table("sales", files="../sales/*.csv"),
        "stores.sales: files: it must be a path below the connection without .., ending in a file: sales/{date}/*.csv",
    ),
    "a pattern with two folders in one": (
        "stores",
        of_table("sales", files="sales/a**/*.csv"),
        "stores.sales: files: ** stands for folders, between two /; write * for a part of a name",
    ),
    "a pattern with strange braces": (
        "stores",
        of_table("sales", files="sales/{Year}/*.csv"),
        "stores.sales: files: braces hold the name of a value, such as {region}, or words, such as {csv,parquet}",
    ),
    "a pattern with a value twice": (
        "stores",
        of_table("sales", files="{region}/{region}/*.csv"),
        "stores.sales: files: the value region stands twice; write * in one of its places",
    ),
    "a value of the path that is not among the columns": (
        "stores",
        of_table("sales", files="{regoin}/*.csv"),
        "stores.sales: files: the value regoin is not among its columns; add it there, or write * in its place",
    ),
    "a pattern of files that nobody can read": (
        "stores",
        of_table("sales", files="sales/*.xlsx"),
        "stores.sales: files: it must end in .parquet, .csv, .jsonl, .ndjson or .json, all but the first also with "
        ".gz or .zst; or say format and compression",
    ),
    "a format that there is not": (
        "stores",
        of_table("sales", format="xlsx"),
        "stores.sales: format: it must be 'parquet', 'csv' or 'json'; "
        "it is how the files are written, where their ending does not say it",
    ),
    "a packed Parquet": (
        "stores",
        of_table("sales", files="*", format="parquet", compression="gzip"),
        "stores.sales: compression: leave it out: a Parquet file is packed within itself",
    ),
    "how a CSV is written that is none": (
        "stores",
        of_table("sales", files="*.jsonl", format="json", csv={"delimiter": ";"}),
        "stores.sales: csv: leave it out: the files are json",
    ),
    "an encoding that there is not": (
        "stores",
        of_table("sales", csv={"encoding": "latin-99"}),
        "stores.sales: csv.encoding: there is no such encoding; "
        "it is as Python names it, such as latin-1, cp1252 or utf-16",
    ),
    "an encoding of no text": (
        "stores",
        of_table("sales", csv={"encoding": "base64"}),
        "stores.sales: csv.encoding: there is no such encoding; "
        "it is as Python names it, such as latin-1, cp1252 or utf-16",
    ),
    "a delimiter of two characters": (
        "stores",
        of_table("sales", csv={"delimiter": "||"}),
        'stores.sales: csv.delimiter: it is too long; it is one character, such as ";" or "\\t"',
    ),
    "an escape that ends the line": (
        "stores",
        of_table("sales", csv={"escape": "\n"}),
        "stores.sales: csv.escape: it must be a character of its own, and no line break",
    ),
    "a text for no value that never comes": (
        "stores",
        of_table("sales", csv={"escape": "\\", "null_text": "\\N"}),
        "stores.sales: csv.null_text: write it without the escape, which is gone when values are compared with it",
    ),
    "a word of a CSV that there is not": (
        "stores",
        of_table("sales", csv={"separator": ";"}),
        "stores.sales: csv.separator: there is no such field here; there are delimiter, quote, escape, encoding, "
        "header, null_text, line_breaks",
    ),
    "ready by flag and by age": (
        "stores",
        of_table("sales", ready={"flag": "done", "minutes": 5}),
        "stores.sales: ready: it must have one of flag and minutes",
    ),
    "a flag in another folder": (
        "stores",
        of_table("sales", ready={"flag": "flags/done"}),
        "stores.sales: ready.flag: it has another form; it is the name of a file that says that its folder is written",
    ),
    "an age of nothing": (
        "stores",
        of_table("sales", ready={"minutes": 0}),
        "stores.sales: ready.minutes: it must be greater than 0; "
        "it is for how long nobody has changed the file, such as 30",
    ),
    "an age without end": (
        "stores",
        of_table("sales", ready={"minutes": float("inf")}),
        "stores.sales: ready.minutes: it must be less than or equal to 525600; "
        "it is for how long nobody has changed the file, such as 30",
    ),
    "hours beyond the calendar": (
        "shop",
        of_table("orders", freshness={"warn_hours": 26, "error_hours": 10**12, "reason": "None"}),
        "shop.orders: freshness.error_hours: it must be less than or equal to 87600; "
        "it is hours until the run fails, such as 194",
    ),
    "a name that PostgreSQL would cut": (
        "shop",
        lambda source: table(source, "orders").update(name="orders_" + "x" * 50),
        f"shop.orders_{'x' * 50}: name: it is too long: judged_shop__orders_{'x' * 50} would have more than "
        "63 characters",
    ),
    "no key": (
        "shop",
        of_table("orders", key=None),
        "shop.orders: key: it is missing; it is the columns that identify a row at the source, such as [order_id]",
    ),
    "a key that is no list": (
        "shop",
        of_table("orders", key="order_id"),
        "shop.orders: key: it must be a list; it is the columns that identify a row at the source, such as [order_id]",
    ),
    "an empty key": (
        "shop",
        of_table("orders", key=[]),
        "shop.orders: key: it must not be empty; "
        "it is the columns that identify a row at the source, such as [order_id]",
    ),
    "a key that is not among the columns": (
        "shop",
        of_table("orders", key=["orderid"]),
        "shop.orders: key: orderid is not among its columns; is it order_id?",
    ),
    "a column of the key twice": (
        "shop",
        of_table("order_items", key=["order_id", "order_id"]),
        "shop.order_items: key: order_id stands twice; keep one of them",
    ),
    "a key that the source may lack": (
        "shop",
        of_table("payments", optional=["deleted_at", "payment_id"]),
        "shop.payments: optional: payment_id is of the key: the source can't lack it",
    ),
    "a way of reading that there is not": (
        "shop",
        of_table("orders", read="incremental"),
        "shop.orders: read: it must be 'full', 'updated_at' or 'change_log'",
    ),
    "a way of reading that the connector has not": (
        "reviews",
        of_table("reviews", read="updated_at"),
        "reviews.reviews: read: it must be 'interval' or 'full'",
    ),
    "no version": (
        "shop",
        of_table("orders", version=None),
        "shop.orders: version: it is missing; it is the column that grows with every change: updated_at",
    ),
    "a version that is not among the columns": (
        "shop",
        of_table("orders", version="update_at"),
        "shop.orders: version: update_at is not among its columns; is it updated_at?",
    ),
    "a version that is no time": (
        "shop",
        of_table("orders", version="total_amount"),
        "shop.orders: version: total_amount must be promised as timestamptz in columns",
    ),
    "a version of a table that is read in full": (
        "shop",
        of_table("products", version="updated_at"),
        "shop.products: version: leave it out: a table that is read in full is compared with what has landed",
    ),
    "a delete that is told by no column": (
        "stores",
        of_table("sales", deleted="voided"),
        "stores.sales: deleted: voided is not among its columns; is it is_void?",
    ),
    "partitions of a database": (
        "shop",
        of_table("orders", partitions={"region": ["us"]}),
        "shop.orders: partitions: there is no such field here; there are connector, connection, key, person, refused, "
        "freshness, statistics, read, version, deleted, columns, schema, table, optional, reconcile, publication, "
        "slot, wal, failover",
    ),
    "partitions without their parameter": (
        "marketplace",
        of_table("orders", partitions=["us", "eu"]),
        "marketplace.orders: partitions: it must be a mapping; "
        "it is the parameter that asks for a part, and its values, such as {region: [us, eu]}",
    ),
    "a partition twice": (
        "marketplace",
        of_table("orders", partitions={"region": ["us", "us"]}),
        "marketplace.orders: partitions.region: each value must be there once and have no /",
    ),
    "no columns": (
        "shop",
        of_table("payments", columns=None),
        "shop.payments: columns: it is missing; it is names and types, such as {order_id: text}; text takes any type",
    ),
    "a type that is not promised": (
        "shop",
        of_table("products", columns={"product_id": "varchar(20)"}),
        "shop.products: columns.product_id: it must be 'text', 'boolean', 'integer', 'numeric' or 'timestamptz'; "
        "it is names and types, such as {order_id: text}; text takes any type",
    ),
    "types of a record's members": (
        "reviews",
        of_table("reviews", columns={"review_id": "text"}),
        "reviews.reviews: columns: it must be a list; it is the members of a record, such as [order_id, updated_at]",
    ),
    "a column of raw's own": (
        "shop",
        of_table("products", deleted=None, optional=[], columns={"product_id": "text", "_load_id": "text"}),
        "shop.products: columns: _load_id is a name that raw uses for itself; read a view that names it otherwise",
    ),
    "a field that there is not": (
        "shop",
        of_table("orders", primary_key=["order_id"]),
        "shop.orders: primary_key: there is no such field here; there are connector, connection, key, person, refused, "
        "freshness, statistics, read, version, deleted, columns, schema, table, optional, reconcile, publication, "
        "slot, wal, failover",
    ),
    "a field with a slip of the pen": (
        "shop",
        of_table("orders", statistic={"currency": "code"}),
        "shop.orders: statistic: there is no such field here; is it statistics?",
    ),
    "no limit of refused records": (
        "reviews",
        of_table("reviews", refused=None),
        "reviews.reviews: refused: it is missing; it is the share of refused records that stops a build: "
        "{limit_percent: 5, least_refused: 20, reason: …}",
    ),
    "a limit without a reason": (
        "shop",
        of_table("orders", refused={"limit_percent": 5, "least_refused": 20}),
        "shop.orders: refused.reason: it is missing; it is why the limit is this high, in words",
    ),
    "a limit over all": (
        "shop",
        of_table("orders", refused={"limit_percent": 500, "least_refused": 20, "reason": "None"}),
        "shop.orders: refused.limit_percent: it must be less than or equal to 100; "
        "it is the highest percentage of one run's records, such as 5",
    ),
    "a limit that is text": (
        "shop",
        of_table("orders", refused={"limit_percent": "5", "least_refused": 20, "reason": "None"}),
        "shop.orders: refused.limit_percent: it must be a valid number; "
        "it is the highest percentage of one run's records, such as 5",
    ),
    "a failure before the warning": (
        "shop",
        of_table("orders", freshness={"warn_hours": 26, "error_hours": 25, "reason": "None"}),
        "shop.orders: freshness.error_hours: it must be more than warn_hours",
    ),
    "a statistic that there is not": (
        "shop",
        of_table("orders", statistics={"stated_amount": "average"}),
        "shop.orders: statistics.stated_amount: it must be 'text', 'code' or 'number'; "
        "it is columns of the judged model, each text, code or number",
    ),
    "statistics of a table that is read in full": (
        "shop",
        of_table("products", statistics={"price": "number"}),
        "shop.products: statistics: leave it out: of a table that is read in full only the differences land",
    ),
    "a reconciliation of another kind": (
        "shop",
        of_table("orders", reconcile="daily"),
        "shop.orders: reconcile: it must be 'never', 'keys' or 'columns'; it is what is compared with the source once "
        "a day: never, keys or columns",
    ),
    "a reconciliation of a table that is read in full": (
        "shop",
        of_table("products", reconcile="keys"),
        "shop.products: reconcile: leave it out: a table that is read in full is compared with every load",
    ),
    "a source that is called as a command": (
        "shop",
        lambda source: source.update(name="reconcile", schema="raw_reconcile"),
        "reconcile: name: reconcile is a word of the command; choose another",
    ),
    "a source that is called as the pipeline itself": (
        "shop",
        lambda source: source.update(name="operations"),
        "operations: name: raw_operations is where the pipeline's own runs land; choose another",
    ),
    "a person of no column": (
        "shop",
        of_table("customers", person="web-{customer}"),
        "shop.customers: person: it must be a prefix and one of the columns in braces, such as web-{customer_id}",
    ),
    "a person outside of the record": (
        "marketplace",
        of_table("orders", person="mkt-{buyer.buyer_id}"),
        "marketplace.orders: person: it must be a prefix and one of the columns in braces, "
        "such as web-{payload.customer_id}",
    ),
    "a personal column that is not there": (
        "shop",
        lambda source: table(source, "customers")["columns"][0].update(name="e_mail"),
        "shop.customers: columns.e_mail.pii: "
        "it must be the kind of value (email, name, …) of one of the columns in meta",
    ),
    "a personal path that is not there": (
        "reviews",
        lambda source: table(source, "reviews")["columns"][0]["config"]["meta"].update(pii={"headline": "text"}),
        "reviews.reviews: columns.payload.pii: headline is no path that begins with one of the columns in meta",
    ),
    "Jinja": (
        "shop",
        of_source(connection="{{ env_var('SHOP') }}"),
        "shop.orders: connection: extract-load reads it without dbt: write the value itself, without {{ … }}",
    ),
    "meta beside config": (
        "shop",
        lambda source: table(source, "orders").update(meta={"key": ["order_id"]}),
        "shop.orders: meta: write it under config: config: {meta: {…}}",
    ),
    "an identifier": (
        "shop",
        lambda source: table(source, "orders").update(identifier="bestellungen"),
        "shop.orders: identifier: leave it out: a table lands under its name; its name at the source is meta.table",
    ),
    "another schema in the warehouse": (
        "shop",
        lambda source: source.update(schema="raw_store"),
        "shop: schema: it must be raw_shop, where the source lands",
    ),
    "a name with blanks": (
        "shop",
        lambda source: table(source, "orders").update(name="all orders"),
        "shop.all orders: name: it must be lower case letters, digits and _, such as orders",
    ),
    "a table twice": (
        "shop",
        lambda source: source["tables"].append(table(source, "orders")),
        "shop.orders: name: it stands twice; keep one of them",
    ),
    "other partitions in one source": (
        "marketplace",
        lambda source: source["tables"].append(in_other_partitions(table(source, "orders"))),
        "marketplace.returns: partitions: "
        "all tables of a source have the same; declare the others as a source of their own",
    ),
    "no tables": (
        "stores",
        lambda source: source.pop("tables"),
        "stores: tables: it must be a list of tables, each with name and config",
    ),
}


def written(tmp_path: Path, source: str, change: Callable[[Source], object]) -> Path:
    """A project's folder of sources: this one, changed."""
    content = yaml.safe_load((STAGING / source / f"_{source}__sources.yml").read_text())
    change(content["sources"][0])
    file = tmp_path / source / f"_{source}__sources.yml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(content))
    return tmp_path


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_declaration_is_named_with_file_table_and_field(what: str, tmp_path: Path) -> None:
    source, change, line = WRONG[what]
    with pytest.raises(StorehouseError) as told:
        read_declarations(written(tmp_path, source, change))
    lines = str(told.value).splitlines()
    assert f"{source}/_{source}__sources.yml: {line}" in lines
    # What stands once in the file is told once; what stands at the source, of each of its tables.
    assert {said.split(": ", 2)[2] for said in lines} == {line.split(": ", 1)[1]}
    assert SECRET not in str(told.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sources: [", "shop/_shop__sources.yml, line 2: it is not YAML: "),
        (
            "sources:\n  - name: shop\n    tables: [a]\n    tables: [b]",
            "shop/_shop__sources.yml, line 4: it is not YAML: tables stands twice; keep one of them",
        ),
        ("tables: []", "shop/_shop__sources.yml: sources: it must be a list of sources, each with name, "),
        ("sources: [shop]", "shop/_shop__sources.yml: sources: it must be a list of sources, each with name, "),
    ],
)
def test_a_file_that_is_none_is_named(text: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "_shop__sources.yml").write_text(text + "\n")
    with pytest.raises(StorehouseError) as told:
        read_declarations(tmp_path)
    assert str(told.value).startswith(line) and "\n" not in str(told.value)


def test_fields_of_an_anchor_may_be_told_otherwise_where_it_is_merged(tmp_path: Path) -> None:
    written(tmp_path, "reviews", lambda source: None)
    file = tmp_path / "reviews" / "_reviews__sources.yml"
    content = yaml.safe_load(file.read_text())
    content["sources"][0]["tables"][0]["config"]["meta"]["refused"] = "HERE"
    merged = "{<<: {limit_percent: 7, least_refused: 9}, least_refused: 20, reason: As measured}"
    file.write_text(yaml.safe_dump(content).replace("HERE", merged))
    (declared,) = read_declarations(tmp_path)
    refused = declared.declaration.refused
    assert (refused.limit_percent, refused.least_refused) == (7, 20)


def test_a_source_that_stands_in_two_files_is_named(tmp_path: Path) -> None:
    written(tmp_path, "shop", lambda source: None)
    (tmp_path / "shop" / "_web__sources.yml").write_text((tmp_path / "shop" / "_shop__sources.yml").read_text())
    with pytest.raises(StorehouseError) as told:
        read_declarations(tmp_path)
    said = "shop/_web__sources.yml: shop: name: shop/_shop__sources.yml declares this source too; keep one of them"
    assert str(told.value) == said


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    def spoil(source: Source) -> None:
        of_table("orders", key=None, read="daily")(source)
        of_table("products", columns={})(source)

    with pytest.raises(StorehouseError) as told:
        read_declarations(written(tmp_path, "shop", spoil))
    fields = [line.split(": ")[1:3] for line in str(told.value).splitlines()]
    assert sorted(fields) == [["shop.orders", "key"], ["shop.orders", "read"], ["shop.products", "columns"]]


def test_an_api_and_a_folder_may_have_several_tables(tmp_path: Path) -> None:
    def add(source: Source) -> None:
        source["tables"].append(deepcopy(source["tables"][0]) | {"name": "others"})

    for source in ("marketplace", "stores"):
        written(tmp_path, source, add)
    labels = [f"{declared.source}.{declared.name}" for declared in read_declarations(tmp_path)]
    assert labels == ["marketplace.orders", "marketplace.others", "stores.sales", "stores.others"]


def test_databases_are_landed_first_and_tables_as_the_file_has_them() -> None:
    declared = read_declarations(STAGING)
    databases = [table.declaration.connector == "postgres" for table in declared]
    assert databases == sorted(databases, reverse=True)
    assert {"shop", "marketplace", "reviews", "stores"} <= {table.source for table in declared}
    (shop,) = yaml.safe_load((STAGING / "shop" / "_shop__sources.yml").read_text())["sources"]
    assert [table.name for table in declared if table.source == "shop"] == [table["name"] for table in shop["tables"]]


def test_a_command_ends_with_the_line_and_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(tables, "STAGING", written(tmp_path, "shop", of_table("orders", key=["orderid"])))
    monkeypatch.setattr(sys, "argv", ["extract_load", "shop"])
    tables._tables.cache_clear()
    try:
        assert main() == 1
    finally:
        tables._tables.cache_clear()
    said = "shop/_shop__sources.yml: shop.orders: key: orderid is not among its columns; is it order_id?\n"
    assert capsys.readouterr() == ("", said)
