"""A folder of one's own lands by its declaration alone: other patterns, places, formats, and ways to be ready."""

import gzip
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from extract_scene import at

import extract_load
from extract_load import tables
from extract_load.connectors import files
from extract_load.discovery import discover
from extract_load.tables import tables_of
from storehouse.core.errors import StorehouseError, TransientError

# A payment list of a bank, as spreadsheets of German companies write it.
BANK = """
sources:
  - name: bank
    schema: raw_bank
    config:
      meta: {connector: files, connection: BANK_FOLDER}
    tables:
      - name: payments
        description: Landed lines of the bank's payment lists.
        config:
          meta:
            files: "payments_{date}.csv"
            read: interval
            csv: {delimiter: ";", encoding: latin-1, null_text: ""}
            key: [Buchungsnummer]
            columns: [Buchungsnummer, Datum, Betrag, Empfänger]
            refused: {limit_percent: 5, least_refused: 20, reason: "A changed layout spoils all lines"}
            freshness: {warn_hours: 50, error_hours: 194, reason: "A list a working day"}
"""
# A till's event log: packed JSON lines, in a folder for each region.
EVENTS = """
sources:
  - name: tills
    schema: raw_tills
    config:
      meta: {connector: files, connection: TILLS_PLACE}
    tables:
      - name: sales
        description: Landed sales of the tills.
        config:
          meta:
            files: "{region}/{date}/*.jsonl.gz"
            ready: {flag: _SUCCESS}
            read: interval
            key: [region, sale_id]
            version: changed
            deleted: void
            columns: [region, sale_id, changed, total, void]
            refused: {limit_percent: 5, least_refused: 20, reason: "Tills send whole files"}
            freshness: {warn_hours: 50, error_hours: 194, reason: "A file a day"}
"""


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Make a text the only declaration of the project; fields of the first table's meta can be other ones."""
    monkeypatch.setattr(tables, "STAGING", tmp_path / "staging")

    def declare(text: str, **meta: object) -> None:
        content = yaml.safe_load(text)
        (source,) = content["sources"]
        source["tables"][0]["config"]["meta"].update(meta)
        file = tmp_path / "staging" / source["name"] / f"_{source['name']}__sources.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(content))
        tables._tables.cache_clear()

    yield declare
    tables._tables.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, configure: Callable[..., None]) -> Path:
    """What BANK_FOLDER and TILLS_PLACE name."""
    (tmp_path / "files").mkdir()
    configure(BANK_FOLDER=tmp_path / "files", TILLS_PLACE=tmp_path / "files")
    return tmp_path / "files"


@pytest.fixture
def served(folder: Path, configure: Callable[..., None]) -> Iterator[list[str]]:
    """The folder behind a web server with its index of files; the requests so far."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(f"{self.command} {self.path}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    place = f"http://127.0.0.1:{server.server_port}"
    configure(BANK_FOLDER=place, TILLS_PLACE=place)
    yield asked
    server.shutdown()
    server.server_close()


def write_event(folder: Path, path: str, *lines: str, flag: bool = True) -> None:
    """Write a file of the tills, and its flag."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(gzip.compress("\n".join(lines).encode()))
    if flag:
        (folder / path).with_name("_SUCCESS").touch()


def rows(house, table: str) -> list[tuple]:
    return house.query(f"select payload, _file, _line from {table} order by _file, _line")


LIST = (
    'Buchungsnummer;Datum;Betrag;Empfänger\r\n1;05.01.2026;1.234,50;"Müller; Söhne"\r\n2;05.01.2026;;\r\n3;zu kurz\r\n'
)


def test_a_semicolon_latin_1_csv_lands_by_its_declaration(new_house, declared, folder) -> None:
    declared(BANK)
    (folder / "payments_20260105.csv").write_bytes(LIST.encode("latin-1"))
    (folder / "payments_20260106.csv").write_bytes(LIST.encode("latin-1")[:40] + b"\r\n4;06.01.2026;9,99;a")
    extract_load.load("bank", at("2026-01-05"), at("2026-01-06"))
    first = {"Buchungsnummer": "1", "Datum": "05.01.2026", "Betrag": "1.234,50", "Empfänger": "Müller; Söhne"}
    name = "payments_20260105.csv"
    assert rows(new_house, "raw_bank.payments") == [
        (first, name, 2),
        ({"Buchungsnummer": "2", "Datum": "05.01.2026", "Betrag": None, "Empfänger": None}, name, 3),
        ({"_unreadable": "3;zu kurz"}, name, 4),
    ]
    assert new_house.query("select source, table_name, interval_from, interval_until from raw.loads") == [
        ("bank", "payments", at("2026-01-05"), at("2026-01-06"))
    ]


def test_packed_json_lines_land_by_their_declaration_with_the_region_of_their_folder(
    new_house, declared, folder
) -> None:
    declared(EVENTS)
    write_event(
        folder, "eu/2026-01-05/a.jsonl.gz", '{"sale_id": 1, "total": 9.90}', "{", '{"sale_id": 2, "void": true}'
    )
    write_event(folder, "us/2026-01-05/a.jsonl.gz", '{"sale_id": 1, "total": 1e2}')
    write_event(folder, "us/2026-01-06/a.jsonl.gz", '{"sale_id": 3}', flag=False)
    assert len(extract_load.load("tills")) == 2
    assert rows(new_house, "raw_tills.sales") == [
        ({"region": "eu", "sale_id": 1, "total": 9.90}, "eu/2026-01-05/a.jsonl.gz", 1),
        ({"region": "eu", "_unreadable": "{"}, "eu/2026-01-05/a.jsonl.gz", 2),
        ({"region": "eu", "sale_id": 2, "void": True}, "eu/2026-01-05/a.jsonl.gz", 3),
        ({"region": "us", "sale_id": 1, "total": 100}, "us/2026-01-05/a.jsonl.gz", 1),
    ]
    with pytest.raises(TransientError, match=r"us/2026-01-06 has no _SUCCESS: it is not written yet, and was not read"):
        extract_load.load("tills", at("2026-01-06"))
    (folder / "us" / "2026-01-06" / "_SUCCESS").touch()
    (result,) = extract_load.load("tills")
    assert result.partition == "us/2026-01-06/a.jsonl.gz"


def test_a_web_server_with_an_index_is_read_like_a_folder(new_house, declared, folder, served) -> None:
    declared(EVENTS)
    write_event(folder, "eu/2026-01-05/a b=ü.jsonl.gz", '{"sale_id": 1}')
    write_event(folder, "us/2026-01-05/b.jsonl.gz", '{"sale_id": 2}')
    write_event(folder, "us/2026-01-06/c.jsonl.gz", '{"sale_id": 3}', flag=False)
    (folder / "us" / "d.txt").write_text("no sales")
    assert [result.partition for result in extract_load.load("tills")] == [
        "eu/2026-01-05/a b=ü.jsonl.gz",
        "us/2026-01-05/b.jsonl.gz",
    ]
    assert extract_load.load("tills") == []
    write_event(folder, "us/2026-01-05/b.jsonl.gz", '{"sale_id": 4}')
    (result,) = extract_load.load("tills")
    assert result.partition == "us/2026-01-05/b.jsonl.gz"
    assert files.ready(tables_of("tills"), at("2026-01-06"), None) is None
    assert "us/2026-01-06 has no _SUCCESS" in str(files.ready(tables_of("tills"), at("2026-01-07"), None))


@pytest.mark.parametrize(
    ("place", "words"), [("127.0.0.1:1", "can't be read: .*Check BANK_FOLDER"), ("{}/no", "no file")]
)
def test_a_web_server_that_cannot_be_read_is_one_clear_message(
    new_house, declared, served, configure, place: str, words: str
) -> None:
    declared(BANK)
    server = os.environ["BANK_FOLDER"].removeprefix("http://")
    configure(BANK_FOLDER=f"http://shop:hunter2@{place.format(server)}")
    with pytest.raises(StorehouseError, match=words) as told:
        extract_load.load("bank")
    assert "hunter2" not in str(told.value)


def test_a_file_is_left_alone_until_nobody_has_changed_it_for_some_minutes(new_house, declared, folder) -> None:
    declared(BANK, ready={"minutes": 10})
    for name, age in {"payments_20260105.csv": 11 * 60, "payments_20260106.csv": 9 * 60}.items():
        (folder / name).write_bytes(LIST.encode("latin-1"))
        os.utime(folder / name, (time.time() - age,) * 2)
    assert [result.partition for result in extract_load.load("bank")] == ["payments_20260105.csv"]
    said = "payments_20260106.csv changed less than 10 minutes ago: it may not be written yet"
    assert said in str(files.ready(tables_of("bank"), at("2026-01-07"), None))
    with pytest.raises(TransientError, match=said):
        extract_load.load("bank", at("2026-01-06"))


def test_the_age_of_a_file_on_a_web_server(new_house, declared, folder, served) -> None:
    declared(BANK, ready={"minutes": 10})
    (folder / "payments_20260105.csv").write_bytes(LIST.encode("latin-1"))
    assert extract_load.load("bank") == []
    os.utime(folder / "payments_20260105.csv", (time.time() - 660,) * 2)
    assert len(extract_load.load("bank")) == 1


def test_a_file_of_a_web_server_is_looked_at_as_a_file(folder, served, monkeypatch) -> None:
    monkeypatch.setenv("BANK_URL", "")
    (folder / "payments_20260105.csv").write_bytes(LIST.encode("latin-1"))
    said = discover(f"{os.environ['BANK_FOLDER']}/payments_20260105.csv", "bank")
    assert "connector: files" in said and "Buchungsnummer" in said


@pytest.mark.parametrize("place", ["s3://key:hunter2@bank", "sftp://user:hunter2@localhost:1/"])
def test_no_name_is_made_of_a_password(place, monkeypatch) -> None:
    variable = f"{'BANK' if 'bank' in place else 'LOCALHOST'}_URL"
    monkeypatch.setenv(variable, "")
    with pytest.raises(StorehouseError) as told:
        discover(place)
    assert "hunter2" not in str(told.value).lower() and os.environ[variable] == place


@pytest.mark.parametrize("said", ["Mon, 05 Jan 2026 10:00:00 -0000", "Mon, 05 Jan 2026 10:00:00"])
def test_an_age_without_a_time_zone_is_of_utc(new_house, declared, folder, served, monkeypatch, said) -> None:
    monkeypatch.setattr(SimpleHTTPRequestHandler, "date_time_string", lambda *_: said)
    declared(BANK, ready={"minutes": 10})
    (folder / "payments_20260105.csv").write_bytes(LIST.encode("latin-1"))
    assert len(extract_load.load("bank")) == 1


def test_an_age_that_nobody_can_read_is_told(new_house, declared, folder, served, monkeypatch) -> None:
    monkeypatch.setattr(SimpleHTTPRequestHandler, "date_time_string", lambda *_: "yesterday")
    declared(BANK, ready={"minutes": 10})
    (folder / "payments_20260105.csv").write_bytes(LIST.encode("latin-1"))
    with pytest.raises(StorehouseError, match="does not say when a file was changed"):
        extract_load.load("bank")


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_a_flag_of_a_folder_of_many_days_says_nothing_of_one_day(
    new_house, declared, folder, bucket, configure, place
) -> None:
    declared(BANK, ready={"flag": "done"})
    if place == "bucket":
        configure(BANK_FOLDER="s3://stores/shop")
    for name in ("payments_20260105.csv", "done"):
        (folder / name).write_bytes(LIST.encode("latin-1"))
        bucket.put_object(Bucket="stores", Key=f"shop/{name}", Body=LIST.encode("latin-1"))
    assert files.ready(tables_of("bank"), at("2026-01-06"), None) is None
    assert str(files.ready(tables_of("bank"), at("2026-01-07"), None)).endswith(
        "has no file of 2026-01-06 that can be read"
    )


def test_files_without_a_day_are_in_every_interval(new_house, declared, folder) -> None:
    declared(BANK, files="**/*.csv")
    (folder / "x" / "y").mkdir(parents=True)
    (folder / "x" / "y" / "a.csv").write_bytes(LIST.encode("latin-1"))
    assert len(extract_load.load("bank", at("2020-01-01"), at("2020-01-02"))) == 1
    assert new_house.query("select partition, interval_from, interval_until from raw.loads") == [
        ("x/y/a.csv", None, None)
    ]
    assert files.ready(tables_of("bank"), datetime.now(UTC), None) is None


def test_a_day_without_a_file_is_waited_for(new_house, declared, folder) -> None:
    declared(BANK)
    (folder / "payments_20260105.csv").write_bytes(LIST.encode("latin-1"))
    assert files.ready(tables_of("bank"), at("2026-01-06"), None) is None
    assert (
        files.ready(tables_of("bank"), at("2026-01-07"), None) == f"{folder} has no file of 2026-01-06 that can be read"
    )


def test_a_file_lands_again_when_it_is_to_be_read_in_another_way(new_house, declared, folder) -> None:
    declared(BANK, csv={"delimiter": ";", "encoding": "utf-8"}, key=["Datum"])
    (folder / "payments_20260105.csv").write_bytes(LIST.replace("fä", "fae").encode("latin-1"))
    assert len(extract_load.load("bank")) == 1
    assert extract_load.load("bank") == []
    declared(BANK, key=["Datum"])
    assert len(extract_load.load("bank")) == 1
    latest = "select count(*) from raw_bank.payments where _load_id = 2 and payload ? '_unreadable'"
    assert new_house.query(latest) == [(1,)]


def test_a_file_of_another_table_is_none_that_is_not_read(new_house, declared, folder, caplog) -> None:
    both = yaml.safe_load(BANK)
    meta = both["sources"][0]["tables"][0]["config"]["meta"]
    both["sources"][0]["tables"].append({"name": "fees", "config": {"meta": meta | {"files": "fees_{date}.csv"}}})
    declared(yaml.safe_dump(both))
    for name in ("payments_20260105.csv", "fees_20260105.csv", "read me.txt"):
        (folder / name).write_bytes(LIST.encode("latin-1"))
    assert sorted(result.table for result in extract_load.load("bank")) == ["fees", "payments"]
    assert [text for text in caplog.messages if "not read" in text] == [
        "bank: 1 files are not read: only payments_YYYY-MM-DD.csv are read; such as read me.txt",
        "bank: 1 files are not read: only fees_YYYY-MM-DD.csv are read; such as read me.txt",
    ]


def test_two_tables_of_one_folder_and_a_failing_one_does_not_stop_the_other(new_house, declared, folder) -> None:
    both = yaml.safe_load(BANK)
    meta = both["sources"][0]["tables"][0]["config"]["meta"]
    fees = {"name": "fees", "config": {"meta": meta | {"files": "fees/*.csv"}}}
    both["sources"][0]["tables"].insert(0, fees)
    declared(yaml.safe_dump(both))
    (folder / "payments_20260105.csv").write_bytes(LIST.encode("latin-1"))
    with pytest.raises(StorehouseError, match=r"There is no file below .*/fees\. Check BANK_FOLDER"):
        extract_load.load("bank")
    assert len(rows(new_house, "raw_bank.payments")) == 3
    assert "files/fees is not there" in str(files.ready(tables_of("bank"), None, None))


@pytest.mark.parametrize(("scheme", "extra"), [("gs", "gcs"), ("az", "azure"), ("abfs", "azure"), ("sftp", "sftp")])
def test_a_package_that_is_missing_is_named(new_house, declared, configure, scheme: str, extra: str) -> None:
    declared(BANK)
    configure(BANK_FOLDER=f"{scheme}://somewhere/x")
    with pytest.raises(StorehouseError, match=f"BANK_FOLDER: .* a package is missing.*uv sync --extra {extra}"):
        extract_load.load("bank")
