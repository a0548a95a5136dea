"""The marts' days are those of the reporting time zone; changing it computes again what depends on it, no more."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from examples_in_project import of_dbt
from histories import Landed, World
from houses import House, build_house
from oracle import Oracle, differences
from parsed import lend

import extract_load
from extract_load.tables import TABLES
from storehouse.core import transform
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT
from storehouse.operate import audit

# The models whose SQL names the zone. What stands on them follows by their changes, as after any other.
OF_THE_ZONE = {"int_orders__unioned", "fct_payments", "fct_reviews"}


def in_zone(project: Path, zone: str) -> None:
    """Set the zone as a person does, in dbt_project.yml. These histories bring more wrong than any shop: let it in."""
    file = project / "dbt_project.yml"
    text = (PROJECT / "dbt_project.yml").read_text()
    limits = json.dumps({table.label: 100 for table in TABLES})
    text = text.replace("reporting_time_zone: UTC", f"reporting_time_zone: {zone}")
    text = text.replace("quality_limits: {}", f"quality_limits: {limits}")
    file.unlink(missing_ok=True)
    file.write_text(text)


@pytest.fixture
def shop(server, tmp_path, monkeypatch) -> Iterator[tuple[House, Path]]:
    """A house, and a copy of the project whose zone can be set."""
    project = of_dbt(tmp_path)
    monkeypatch.setattr(transform, "PROJECT", project)
    for house in build_house(server, tmp_path / "home"):
        extract_load.prepare()
        yield house, project


def run() -> dict[str, str]:
    """Build every model; what converge did with each."""
    did = {}

    def listen(event) -> None:
        if event.info.name == "LogModelResult":
            did[event.data.node_info.node_name] = event.data.status.split()[0]

    assert transform.build(["run"], listen=listen) == []
    return did


def test_every_mart_follows_the_zone_and_equals_its_full_refresh(shop) -> None:
    house, project = shop
    landed, world = Landed(), World(7, orders=200, batches=3)

    def land(number: int) -> None:
        for table, records in world.batch(number).items():
            landed.land(table, records, world.interval(number))

    def wrong(zone: str) -> list[str]:
        rates = house.query("select currency, valid_from, usd_per_unit from seeds.exchange_rates")
        return differences(house.query, Oracle(landed, rates, zone))

    in_zone(project, "UTC")
    land(0)
    assert transform.build(["seed"]) == []
    run()
    in_utc = house.query("select order_id, order_date from build.fct_orders order by 1")

    # Nothing has landed: what is compared anew is what names the zone.
    in_zone(project, "America/Sao_Paulo")
    did = run()
    assert {name for name, what in did.items() if what == "REBUILD"} == OF_THE_ZONE
    assert {name for name, what in did.items() if what == "CREATE"} == set()
    moved = house.query("select order_id, order_date from build.fct_orders order by 1")
    assert len(set(in_utc) - set(moved)) > 20
    land(1)
    run()
    assert wrong("America/Sao_Paulo") == []

    # 14 hours ahead: nearly every order is of another day. Records land before it is built.
    in_zone(project, "Pacific/Kiritimati")
    land(2)
    run()
    assert wrong("Pacific/Kiritimati") == []
    assert [verdict.line for verdict in audit.audit() if verdict.differences or verdict.note] == []


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("Sao Paulo", r"'Sao Paulo': it must be .*, such as America/Sao_Paulo\. Nothing was built"),
        ("america/sao_paulo", r"such as America/Sao_Paulo\."),
        ("Mars/Olympus", "such as America/Sao_Paulo"),
        # PostgreSQL knows these, and means something else than who writes them, or another thing on each server.
        *[(zone, "it must be UTC, or the IANA's name") for zone in ("BRT-3", "CET", "localtime", "posix/Asia/Tokyo")],
        ("UTC') or ('x", r"'UTC'\) or \('x'"),
        ("", "''"),
        (None, "None"),
    ],
)
def test_what_is_no_zone_is_refused_with_what_would_be_right(house: House, zone: object, said: str) -> None:
    with pytest.raises(StorehouseError, match=said):
        transform.operate("check_time_zone", zone=zone)


@pytest.mark.parametrize("zone", ["UTC", "America/Sao_Paulo", "Asia/Kolkata", "America/Argentina/Buenos_Aires"])
def test_a_zone_is_taken(house: House, zone: str) -> None:
    transform.operate("check_time_zone", zone=zone)


def test_a_build_in_no_zone_builds_nothing(new_house: House, tmp_path: Path, monkeypatch) -> None:
    given = {"reporting_time_zone": "Lisbon"}
    monkeypatch.setenv("DBT_TARGET_PATH", str(tmp_path / "lisbon"))
    lend({**new_house.environment, "DBT_TARGET_PATH": str(tmp_path / "lisbon")}, given=given)
    extract_load.prepare()
    with pytest.raises(StorehouseError, match=r"^dbt build could not begin: .*such as Europe/Lisbon\."):
        transform.build(["build", "--vars", json.dumps(given)])
    # dbt itself makes schemas before it asks.
    made = "select relname from pg_class where relnamespace = any(array['seeds', 'staging', 'build']::regnamespace[])"
    assert new_house.query(made) == []
