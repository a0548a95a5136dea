"""Names that a source gives (files, columns, members) are printed escaped: none moves the cursor or fakes a line."""

import json

import pytest
from extract_scene import HEADER, order, write_day

from storehouse.core.errors import StorehouseError
from storehouse.core.shown import printable

# A colour, a line of its own, a carriage return, the C1 form of an escape, text that runs backwards.
NASTY = "a\x1b[31m\nlanded 0 rows\r\x9b2K\u202eb"
ESCAPED = r"a\x1b[31m\nlanded 0 rows\r\x9b2K\u202eb"


def test_control_characters_are_escaped_and_letters_of_any_script_are_not() -> None:
    assert printable(NASTY) == ESCAPED
    assert printable("Zürich, 東京, naïve 😀") == "Zürich, 東京, naïve 😀"
    assert printable("half \ud83d") == r"half \ud83d"


def test_an_error_keeps_its_own_lines_and_nothing_else() -> None:
    assert str(StorehouseError("one\ntwo\x1b[2J")) == "one\ntwo" + r"\x1b[2J"


def says(done) -> str:
    said = done.stdout + done.stderr
    assert not any(sign in said for sign in ("\x1b", "\r", "\x9b", "\u202e"))
    assert not any(line.startswith("landed 0 rows") for line in said.splitlines())
    return said


def test_the_names_of_store_files(new_house, stores, run):
    folder = write_day(stores, "2026-01-05", a_csv=HEADER + "s1,r1,1,1\n")
    (folder / f"{NASTY}.csv").write_text("no header\n")
    (folder / f"{NASTY}.txt").write_text("a stranger\n")
    (stores / "sales" / NASTY).mkdir()
    (stores / "sales" / NASTY / "b.csv").write_text(HEADER)
    said = says(run("stores"))
    assert f"{ESCAPED}.csv can't be read" in said
    assert f"only .csv and .parquet are read; such as sales/year=2026/month=01/day=05/{ESCAPED}.txt" in said
    assert f"day=DD are read; such as sales/{ESCAPED}/b.csv" in said


def test_the_members_of_records(new_house, api, run):
    api.put("/reviews", {NASTY: 1, "updated_at": "2026-01-01T00:00:00Z"})
    # A name may be a value: one that is no plain name is counted, not shown.
    assert "1 new members that are no plain names" in says(run("reviews"))


def test_the_columns_of_a_shop(house, run):
    house.execute_in_shop("drop schema public cascade; create schema public")
    from extract_scene import SHOP

    name = NASTY.replace('"', '""')
    house.execute_in_shop(SHOP + order(1, "2026-01-01"))
    assert run("shop", "--tables", "orders").returncode == 0
    house.execute_in_shop(f'alter table orders add column "{name}" text;' + order(2, "2026-01-02"))
    assert f"new column {ESCAPED} (text)" in says(run("shop", "--tables", "orders"))
    house.execute_in_shop(f'alter table orders alter column "{name}" type integer using 1')
    house.execute_in_shop("alter table orders rename total_amount to amount")
    assert ESCAPED in says(run("shop", "--tables", "orders"))


@pytest.mark.parametrize("name", [NASTY])
def test_a_record_as_json_is_not_changed(name: str) -> None:
    from extract_load.payload import payload

    record = json.dumps({name: name})
    assert payload(record) == record
