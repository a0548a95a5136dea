"""The stores' files: a flag a day, Parquet and CSV that can be read, late lines, corrections and broken lines."""

import csv
import shutil
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet
import pytest
from houses import House

import demo
from demo import stores

DAYS = 12


@pytest.fixture(scope="module")
def sales(house: House) -> Path:
    """The folder of 12 days of a shop in which a fifth of the records is wrong."""
    demo.advance(days=DAYS, size=1, error_rate=0.2)
    return stores.folder() / "sales"


def csv_lines(sales: Path) -> list[tuple[str, list[str]]]:
    """Each CSV line as (folder's day, fields), read line by line."""
    return [
        (path.parent.name, next(csv.reader([line])))
        for path in sorted(sales.rglob("*.csv"))
        for line in path.read_text(encoding="utf-8").splitlines()[1:]
    ]


def parquet_rows(sales: Path) -> list[dict]:
    """Each Parquet row, with its folder's day as `folder`."""
    return [
        row | {"folder": path.parent.name}
        for path in sorted(sales.rglob("*.parquet"))
        for row in pyarrow.parquet.read_table(path, partitioning=None).to_pylist()
    ]


def test_every_day_has_its_files_and_its_flag(sales: Path) -> None:
    days = sorted(sales.glob("year=*/month=*/day=*"))
    assert [str(day.relative_to(sales)) for day in days] == [
        f"year=2026/month=01/day={number:02}" for number in range(1, DAYS + 1)
    ]
    for day in days:
        names = sorted(path.name for path in day.iterdir())
        assert names == sorted([*(f"S-0{n}.{'csv' if n % 2 == 0 else 'parquet'}" for n in range(1, 9)), stores.FLAG])
        assert (day / stores.FLAG).stat().st_size == 0
        assert all((day / name).stat().st_mtime_ns <= (day / stores.FLAG).stat().st_mtime_ns for name in names)


def test_both_formats_have_the_columns_of_the_contract(sales: Path) -> None:
    day = sales / "year=2026/month=01/day=01"
    assert (day / "S-02.csv").read_text().splitlines()[0].split(",") == stores.SCHEMA.names
    assert pyarrow.parquet.read_schema(day / "S-01.parquet").remove_metadata().equals(stores.SCHEMA)


def test_a_correction_comes_in_a_later_folder_with_a_later_updated_at(sales: Path) -> None:
    first, corrected, voided = {}, 0, 0
    for row in parquet_rows(sales):
        if row["receipt_id"] is None:
            continue
        key = (row["store_id"], row["receipt_id"], row["line_number"])
        earlier = first.setdefault(key, row)
        if earlier["updated_at"] < row["updated_at"]:
            assert earlier["folder"] < row["folder"]
            corrected += 1
            voided += row["is_void"]
    assert corrected > 0
    assert voided > 0


def test_some_lines_come_days_late(sales: Path) -> None:
    late = [
        row
        for row in parquet_rows(sales)
        if row["updated_at"] == row["sold_at"] and f"day={row['sold_at']:%d}" < row["folder"]
    ]
    assert late


@pytest.mark.parametrize(
    "is_wrong",
    [
        pytest.param(lambda row: row["receipt_id"] is None, id="no receipt"),
        pytest.param(lambda row: row["product_id"] is None, id="no product"),
        pytest.param(lambda row: (row["product_id"] or "").startswith("P "), id="malformed product"),
        pytest.param(lambda row: row["unit_price"] < 0, id="negative price"),
        pytest.param(lambda row: row["unit_price"] == 1_000_000_000, id="absurd price"),
        pytest.param(lambda row: row["quantity"] == 0, id="zero quantity"),
        pytest.param(lambda row: row["currency"] == "XXX", id="unknown currency"),
        pytest.param(lambda row: row["currency"] == "usd ", id="untidy currency"),
        pytest.param(lambda row: row["sold_at"].year > 2090, id="far future"),
    ],
)
def test_some_parquet_rows_are_wrong(sales: Path, is_wrong: object) -> None:
    assert any(is_wrong(row) for row in parquet_rows(sales))


def test_some_csv_lines_are_broken_unreadable_or_there_twice(sales: Path) -> None:
    lines = [fields for _, fields in csv_lines(sales)]
    width = len(stores.SCHEMA)
    assert any(len(fields) < width for fields in lines)
    assert any(len(fields) > width for fields in lines)
    assert any(len(fields) == width and fields[3].startswith("31/02/") for fields in lines)
    for path in sorted(sales.rglob("*.csv")):
        assert all(line.count('"') % 2 == 0 for line in path.read_text().splitlines()[:-1])
    assert any(path.read_text().splitlines()[-1].count('"') == 1 for path in sales.rglob("*.csv"))
    assert any(one == other for one, other in pairwise(csv_lines(sales)))


def test_a_day_that_lost_its_flag_is_written_again_just_the_same(sales: Path) -> None:
    day = sales / "year=2026/month=01/day=07"
    before = {path.name: path.read_bytes() for path in day.iterdir()}
    shutil.rmtree(day)
    assert demo.advance(days=0).rows == {"files": 8}
    assert {path.name: path.read_bytes() for path in day.iterdir()} == before
