"""`discover` tells from files how they are to be declared, and never a value; `check` tells what differs."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract_load.connectors import Found, files
from extract_load.connectors.files.looks import patterns_of
from extract_load.declarations.files import Files
from extract_load.tables import Table
from storehouse.core.errors import StorehouseError

pytestmark = pytest.mark.quick

SECRET = "ada.lovelace"
REST = {
    "refused": {"limit_percent": 5, "least_refused": 20, "reason": "None"},
    "freshness": {"warn_hours": 50, "error_hours": 194, "reason": "None"},
}


@pytest.fixture
def folder(tmp_path: Path, configure: Callable[..., None]) -> Path:
    configure(TILLS_URL=tmp_path)
    return tmp_path


def write(folder: Path, path: str, content: str | bytes) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())


def found(**meta: object) -> Found:
    """The only table; nothing of it has a value, and it is a declaration as it is."""
    (table,) = files.discover("TILLS_URL", meta)
    assert SECRET not in str(table)
    Files.model_validate({"connector": "files", "connection": "TILLS_URL"} | table.meta | REST)
    return table


def declared(**meta: object) -> Table:
    fields = {"connector": "files", "connection": "TILLS_URL", "read": "interval", "key": ["id"]} | meta | REST
    said = Files.model_validate(fields)
    members = frozenset(said.columns)
    return Table(
        "tills",
        "sales",
        "files",
        "TILLS_URL",
        said.files,
        tuple(said.key),
        "interval",
        said,
        said.version,
        members=members,
    )


@pytest.mark.parametrize(
    ("names", "patterns"),
    [
        (["sales/year=2026/month=01/day=05/S-001.csv"], ["sales/year=*/month=*/day=*/S-*.csv"]),
        (["2026/01/05/orders.csv", "2026/01/06/orders.csv"], ["{year}/{month}/{day}/orders.csv"]),
        (["orders_20260105.csv", "customers_20260105.csv"], ["customers_{date}.csv", "orders_{date}.csv"]),
        (["x/2026-01-05/a.csv.gz", "x/2026-01-06/b.parquet"], ["x/{date}/a.csv.gz", "x/{date}/b.parquet"]),
        (["d/1.csv", "d/2.parquet"], ["d/*.{csv,parquet}"]),
        ([f"d/{letter}.csv" for letter in "abcde"], ["d/*.csv"]),
        (["eu/sales.csv", "us/sales.csv"], ["*/sales.csv"]),
        (["dt=2026-01-05/region=eu/a.jsonl"], ["dt={date}/region=*/a.jsonl"]),
        (["_tmp/a.csv", ".a.csv", "read me.txt"], []),
    ],
)
def test_files_that_are_alike_have_one_pattern(names: list[str], patterns: list[str]) -> None:
    assert sorted(patterns_of(names)) == patterns


def test_a_csv_of_spreadsheets(folder: Path) -> None:
    lines = [f"{n};05.01.2026;1,50;{SECRET}{n}@example.com;Jürgen\r\n" for n in range(9)]
    write(folder, "list_20260105.csv", "Belegnummer;Datum;Betrag;Kontakt;Vorname\r\n" + "".join(lines))
    write(
        folder, "list_20260106.csv", ("Belegnummer;Datum;Betrag;Kontakt;Vorname\r\n" + "".join(lines)).encode("cp1252")
    )
    table = found()
    assert table.name == "list"
    assert table.meta == {
        "files": "list_{date}.csv",
        "csv": {"encoding": "latin-1", "delimiter": ";"},
        "read": "interval",
        "key": ["Belegnummer"],
        "columns": ["Belegnummer", "Datum", "Betrag", "Kontakt", "Vorname"],
    }
    assert table.personal == {"Kontakt": "email", "Vorname": "name", "_unreadable": "text"}
    assert set(table.unsure) == {"csv", "key", "pii", "ready", "version"}
    assert files.check(declared(**table.meta)) == []


def test_packed_json_lines_with_flags(folder: Path) -> None:
    records = [
        {"sale": {"id": n}, "store_id": n % 2, "sale_no": n // 2, "updated_at": f"2026-01-05T10:00:0{n}Z",
         "void": False, "buyer": {"email": f"{SECRET}{n}@example.com"}}
        for n in range(8)
    ]  # fmt: skip
    packed = gzip.compress("\n".join(map(json.dumps, records)).encode())
    for region in ("eu", "us"):
        write(folder, f"region={region}/2026-01-05/part-1.jsonl.gz", packed)
        write(folder, f"region={region}/2026-01-05/_SUCCESS", "")
    table = found()
    assert table.meta == {
        "files": "region=*/{date}/part-*.jsonl.gz",
        "ready": {"flag": "_SUCCESS"},
        "read": "interval",
        "key": ["store_id", "sale_no"],
        "version": "updated_at",
        "deleted": "void",
        "columns": ["region", "sale", "store_id", "sale_no", "updated_at", "void", "buyer"],
    }
    assert table.personal == {"buyer.email": "email", "_unreadable": "text"}


def test_a_parquet_and_what_does_not_say_how_it_is_written(folder: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2], "modified": pa.array([1, 2], pa.timestamp("us"))}), folder / "a.dat")
    table = found(files="*.dat")
    assert table.meta == {
        "files": "*.dat",
        "format": "parquet",
        "read": "interval",
        "key": ["id"],
        "version": "modified",
        "columns": ["id", "modified"],
    }


def test_a_csv_without_a_header_with_line_breaks_and_escapes(folder: Path) -> None:
    write(folder, "a.csv", '1|"a\nb"|\\N\n2|"c \\" d"|x\n')
    table = found()
    assert table.meta["csv"] == {
        "delimiter": "|", "escape": "\\", "line_breaks": True, "header": False,
    }  # fmt: skip
    assert table.meta["columns"] == ["column_1", "column_2", "column_3"]
    assert "no header" in table.unsure["columns"]


@pytest.mark.parametrize("content", ["", "x"])
def test_a_place_without_files_of_rows_is_told(folder: Path, content: str) -> None:
    if content:
        write(folder, "read me.txt", content)
    with pytest.raises(StorehouseError, match=r"There is no file .*Check TILLS_URL"):
        files.discover("TILLS_URL", {})


def test_check_tells_what_differs_and_no_value(folder: Path) -> None:
    write(folder, "a_20260105.csv", "id,updated_at\n1,2026-01-05\n")
    write(folder, "a_20260106.csv", f"id,updated_at,extra\n1,,{SECRET}\n1,,\n,2026,\n{SECRET}\n")
    table = declared(files="a_{date}.csv", version="updated_at", columns=["id", "updated_at", "total"])
    assert files.check(table) == [
        "total is not there",
        "extra is not declared; it lands too",
        "1 of the 4 records of a_20260106.csv can't be read",
        "updated_at is empty in 2 of the 4 records of a_20260106.csv",
        "id is empty in 1 of the 4 records of a_20260106.csv",
        "the key (id, updated_at) is that of another record in 1 of the 4 records of a_20260106.csv",
    ]


def test_check_of_files_that_wait_or_break(folder: Path) -> None:
    table = declared(files="{date}/a.csv", ready={"flag": "done"}, columns=["id"])
    write(folder, "2026-01-05/a.csv", "id\n1\n")
    assert files.check(table) == [f"no file of 1 below {folder} can be read: 1 folders or files wait"]
    write(folder, "2026-01-05/done", "")
    assert files.check(table) == []
    write(folder, "2026-01-05/a.csv", "x\n1\n")
    with pytest.raises(StorehouseError, match="its header line lacks id"):
        files.check(table)
