"""A pattern says which files are read, and what their paths say."""

from datetime import UTC, datetime

import pytest

from extract_load.declarations.file_patterns import form_of, read_pattern

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("*.csv", "a.csv", {}),
        ("*.csv", "A.CSV", {}),
        ("*.csv", "x/a.csv", None),
        ("*.csv", "_a.csv", None),
        ("*.csv", ".a.csv", None),
        ("_a.csv", "_a.csv", {}),
        ("**/*.csv", "a.csv", {}),
        ("**/*.csv", "x/y/a.csv", {}),
        ("**/*.csv", "x/_temporary/a.csv", None),
        ("x/**/y/*", "x/1/2/y/a", {}),
        ("*.{csv,csv.gz}", "a.csv.gz", {}),
        ("*.{csv,csv.gz}", "a.gz", None),
        ("a?.csv", "ab.csv", {}),
        ("a[1].csv", "a[1].csv", {}),
        ("region=*/*.csv", "region=eu/a.csv", {"region": "eu"}),
        ("region=*/*.csv", "REGION=eu/a.csv", None),
        ("{region}/orders_{date}.csv", "eu/orders_20260105.csv", {"region": "eu", "date": "20260105"}),
        ("{region}/orders_{date}.csv", "eu/orders_2026-01-05.csv", {"region": "eu", "date": "2026-01-05"}),
        ("{region}/orders_{date}.csv", "eu/orders_5.csv", None),
        ("{year}/{month}/{day}/*", "2026/1/5/a", {"year": "2026", "month": "1", "day": "5"}),
        ("{year}/{month}/{day}/*", "26/1/5/a", None),
    ],
)
def test_a_path_is_of_a_pattern_or_not(pattern: str, path: str, values: dict | None) -> None:
    assert read_pattern(pattern).values_of(path) == values


@pytest.mark.parametrize(
    ("pattern", "path", "day"),
    [
        ("year=*/month=*/day=*/*", "year=2026/month=01/day=05/a", datetime(2026, 1, 5, tzinfo=UTC)),
        ("dt={date}/*", "dt=2026-01-05/a", datetime(2026, 1, 5, tzinfo=UTC)),
        ("{date}.csv", "20260105.csv", datetime(2026, 1, 5, tzinfo=UTC)),
        ("{date}.csv", "20261305.csv", None),
        ("{year}/{month}.csv", "2026/01.csv", None),
    ],
)
def test_the_day_of_a_file(pattern: str, path: str, day: datetime | None) -> None:
    assert read_pattern(pattern).day_of(read_pattern(pattern).values_of(path) or {}) == day


@pytest.mark.parametrize("name", ["a.txt", "a", "a.parquet.gz", "a.gz", ".csv.bak"])
def test_a_name_that_does_not_say_how_it_is_written(name: str) -> None:
    assert form_of(name, None, None) is None
