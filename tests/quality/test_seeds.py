"""The seeds that are shipped are whole. Those of exchange rates: tests/money/test_rates.py."""

import csv
from importlib.resources import files

import pytest

from storehouse.core.settings import PROJECT

pytestmark = pytest.mark.quick

NOBODY_LIVES_THERE = {"AQ", "BV", "GS", "HM"}


def test_every_country_of_iso_3166_has_a_region() -> None:
    listed = (files("tzdata") / "zoneinfo" / "iso3166.tab").read_text().splitlines()
    countries = {line.partition("\t")[0] for line in listed if not line.startswith("#")}
    with (PROJECT / "seeds" / "countries.csv").open() as seed:
        regions = {row["country"]: row["region"] for row in csv.DictReader(seed)}
    assert len(countries) > 240 and regions.keys() - {"XK"} == countries
    assert {country for country, region in regions.items() if region == "other"} == NOBODY_LIVES_THERE
