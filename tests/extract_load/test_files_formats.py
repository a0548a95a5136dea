"""What a file holds lands as it is written, whatever its delimiter, encoding or packing; a broken record is kept."""

import gzip
import json
from io import BufferedReader, BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from extract_load.connectors.files.formats import records
from extract_load.declarations.file_patterns import form_of
from extract_load.declarations.files import Files
from extract_load.ledger import Load
from extract_load.tables import Table

pytestmark = pytest.mark.quick

FIELDS = {
    "connector": "files",
    "connection": "BANK_URL",
    "files": "*",
    "read": "interval",
    "key": ["id"],
    "columns": ["id", "text"],
    "refused": {"limit_percent": 5, "least_refused": 20, "reason": "None"},
    "freshness": {"warn_hours": 26, "error_hours": 194, "reason": "None"},
}


def landed(content: bytes, name: str = "a.csv", values: dict | None = None, **fields: object) -> list[tuple[int, dict]]:
    """Line and record of what a file of this content holds."""
    said = Files.model_validate(FIELDS | fields)
    table = Table("bank", "payments", "files", "BANK_URL", "*", tuple(said.key), "interval", said)
    form = form_of(name, said.format, said.compression)
    assert form
    stream = BufferedReader(BytesIO(content))  # type: ignore[arg-type]
    found = list(records(stream, Load(table), said, form, values or {}))
    assert not stream.closed, "the loader looks whether the file has changed"
    return [(line, json.loads(text, parse_float=str, parse_int=short_int)) for line, text in found]


def short_int(digits: str) -> int | str:
    """The number, or its digits where Python refuses to read them."""
    return int(digits) if len(digits) < 100 else digits


def texts(content: bytes, name: str = "a.csv", **fields: object) -> list[object]:
    """The member `text` of each record, or what could not be read."""
    return [record.get("text", record.get("_unreadable")) for _, record in landed(content, name, **fields)]


@pytest.mark.parametrize(
    ("content", "csv", "expected"),
    [
        (b"id;text\n1;a,b\n", {"delimiter": ";"}, "a,b"),
        (b"id\ttext\n1\ta\n", {"delimiter": "\t"}, "a"),
        ("id,text\n1,Müller\n".encode("latin-1"), {"encoding": "latin-1"}, "Müller"),
        ("id,text\n1,3 €\n".encode("cp1252"), {"encoding": "cp1252"}, "3 €"),
        ("id,text\n1,東京\n".encode("shift_jis"), {"encoding": "shift_jis"}, "東京"),
        ("id,text\r\n1,naïve\r\n".encode("utf-16"), {"encoding": "utf-16"}, "naïve"),
        ("\ufeffid,text\n1,a\n".encode("utf-16-le"), {"encoding": "utf-16-le"}, "a"),
        ("\ufeffid,text\n1,ü\n".encode(), {}, "ü"),
        (b"id,text\n1,'a,b'\n", {"quote": "'"}, "a,b"),
        (b'id,text\n1,"a"b\n', {"quote": ""}, '"a"b'),
        (b'id,text\n1,"a\\",b"\n', {"escape": "\\"}, 'a",b'),
        (b'id,text\n1,"a"",b"\n', {}, 'a",b'),
        (b"id,text\n1,\n", {}, ""),
        (b"id,text\n1,\n", {"null_text": ""}, None),
        (b"id,text\n1,\\N\n", {"null_text": "\\N"}, None),
        (b"1,a\n", {"header": False}, "a"),
        (b'id,text\n1,"a\r\nb"\n', {"line_breaks": True}, "a\r\nb"),
        (b"id,text\n1," + b"x" * 1_000_000, {}, "x" * 1_000_000),
    ],
)
def test_a_csv_is_read_as_it_is_declared(content: bytes, csv: dict, expected: object) -> None:
    assert texts(content, csv=csv) == [expected]


def test_a_name_of_a_column_may_hold_anything() -> None:
    assert landed(b'id,"100 %s ""x"""\n1,a\n') == [(2, {"id": "1", '100 %s "x"': "a"})]


def test_a_quote_that_is_never_closed_spoils_one_line() -> None:
    content = b'id,text\n1,"a\n2,b\n3,"c"\n'
    assert texts(content) == ['1,"a', "b", "c"]
    assert texts(b'id,text\n1,"a\n2,b"\n') == ['1,"a', 'b"']
    assert landed(content, csv={"line_breaks": True}) == [
        (2, {"_unreadable": '1,"a'}),
        (3, {"id": "2", "text": "b"}),
        (4, {"id": "3", "text": "c"}),
    ]
    assert texts(b'id,text\n1,a\n2,"b\n3,c', csv={"line_breaks": True}) == ["a", '2,"b', "c"]


def test_a_record_of_several_lines_has_the_number_of_its_first() -> None:
    content = b'id,text\n1,"a\n\nb"\n\n2,c\n3,"d\ne",f\n4,"g\nh"\n'
    assert landed(content, csv={"line_breaks": True}) == [
        (2, {"id": "1", "text": "a\n\nb"}),
        (6, {"id": "2", "text": "c"}),
        (7, {"_unreadable": '3,"d\ne",f'}),
        (9, {"id": "4", "text": "g\nh"}),
    ]


def test_a_line_in_another_encoding_spoils_itself() -> None:
    assert texts(b"id,text\n1,\xfc\n2,b\n") == ["1,\\xfc", "b"]
    assert texts(b'id,text\n1,"a\n\xfc"\n2,b\n', csv={"line_breaks": True})[-1] == "b"


def test_a_json_line_lands_as_it_came() -> None:
    large = "1" * 5000
    content = '\ufeff{"id": 1, "text": "a", "amount": 10.10}\n\n{"id": 2, "large": ' + large + "}\r\n"
    assert landed(content.encode(), "a.jsonl") == [
        (1, {"id": 1, "text": "a", "amount": "10.10"}),
        (3, {"id": 2, "large": large}),
    ]


@pytest.mark.parametrize(
    "line",
    [b"{", b"[1]", b'"a"', b"nothing", b'{"id": "\xff"}', b'{"a": ' * 3000 + b"1", b'{"id": NaN}', b'{"a": "\t"}'],
)
def test_a_json_line_that_is_no_record_lands_as_it_is_and_the_others_as_usual(line: bytes) -> None:
    first, bad, last = landed(b'{"id": 1}\n' + line + b'\n{"id": 3}', "a.ndjson")
    assert (first, last) == ((1, {"id": 1}), (3, {"id": 3}))
    assert bad == (2, {"_unreadable": line.decode(errors="backslashreplace")})


def test_a_list_is_no_json_lines() -> None:
    with pytest.raises(ValueError, match="one list: write its records as lines"):
        landed(b'[\n{"id": 1}\n]', "a.json")


def zstd(content: bytes) -> bytes:
    return pa.Codec("zstd").compress(content).to_pybytes()


@pytest.mark.parametrize("name", ["a.csv.gz", "A.CSV.GZ", "a.csv.gzip"])
def test_gzip_is_unpacked_by_its_ending(name: str) -> None:
    assert texts(gzip.compress(b"id,text\n1,a\n") + gzip.compress(b"2,b\n"), name) == ["a", "b"]


def test_zstd_is_unpacked_by_its_ending_and_what_is_declared_goes_before_it() -> None:
    assert texts(zstd(b"id,text\n1,a\n"), "a.csv.zst") == ["a"]
    assert texts(zstd(b"id,text\n1,a\n"), "a.dat", format="csv", compression="zstd") == ["a"]
    assert texts(b"id,text\n1,a\n", "a.csv.gz", compression="none") == ["a"]
    assert texts(b'{"text": "a"}', "a.txt", format="json") == ["a"]


@pytest.mark.parametrize(
    "content", [b"id,text\n1,a\n", gzip.compress(b"id,text\n" * 999)[:-20], b""], ids=["plain", "half", "empty"]
)
def test_what_is_packed_wrongly_is_an_error_of_its_file(content: bytes) -> None:
    with pytest.raises((OSError, ValueError)):
        landed(content, "a.csv.gz")


@pytest.mark.parametrize(
    "filler",
    [b" " * 99 + b"\n", b"1," + b"a" * 97 + b"\n", b"x" * 100],
    ids=["blanks", "records", "one line"],
)
@pytest.mark.parametrize(("pack", "ending"), [(gzip.compress, "gz"), (zstd, "zst")])
def test_a_bomb_is_left_at_the_limit(configure, pack, ending: str, filler: bytes) -> None:
    configure(STORE_FILE_MAX_MB=1, STORE_LINE_MAX_MB=100)
    packed = pack(b"id,text\n" + filler * 300_000)
    assert len(packed) < 200_000
    with pytest.raises(ValueError, match="unpacks to more than ten times STORE_FILE_MAX_MB"):
        landed(packed, f"a.csv.{ending}")


def test_what_the_path_says_becomes_a_member_and_the_records_own_goes_before_it() -> None:
    fields = {"columns": ["id", "text", "region"], "key": ["region", "id"]}
    values = {"region": 'e"u', "year": "2026"}
    assert landed(b"id,text\n1,a\n2\n", values=values, **fields) == [
        (2, {"region": 'e"u', "id": "1", "text": "a"}),
        (3, {"region": 'e"u', "_unreadable": "2"}),
    ]
    assert landed(b"{}\n", "a.jsonl", values, **fields) == [(1, {"region": 'e"u'})]
    assert landed(b'{"region": "us"}', "a.jsonl", values, **fields) == [(1, {"region": "us"})]
    assert landed(b"1,a\n", values=values, csv={"header": False}, **fields) == [
        (1, {"region": 'e"u', "id": "1", "text": "a"})
    ]
    file = BytesIO()
    pq.write_table(pa.table({"id": [1], "text": ["a"]}), file)
    assert landed(file.getvalue(), "a.parquet", values, **fields) == [(1, {"region": 'e"u', "id": 1, "text": "a"})]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"text\na\n", "header line lacks id"), (b"id,id\n", "names a column twice"), (b"\nid,text\n", "lacks id")],
)
def test_a_header_without_the_key_is_an_error_of_its_file(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        landed(content)
