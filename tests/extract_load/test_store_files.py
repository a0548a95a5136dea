"""Store files land once, a line each; a broken line lands as it is, a broken file lands nothing and names itself."""

import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from extract_scene import FLAG, HEADER, at, write_day

import extract_load
from storehouse.core.errors import StorehouseError


def lines(house) -> list[tuple]:
    return house.query("select payload, _line from raw_stores.sales order by _load_id, _row")


def landed_files(landed) -> list[str]:
    return [result.partition.rpartition("/")[2] for result in landed]


def test_a_csv_lands_a_line_a_payload_with_text_values(new_house, stores):
    write_day(stores, "2026-01-05", a_csv=HEADER + 's1,r1,1,2\r\n"s,1",r1,2,\n')
    (landed,) = extract_load.load("stores")
    assert landed.partition == "sales/year=2026/month=01/day=05/a.csv"
    assert lines(new_house) == [
        ({"store_id": "s1", "receipt_id": "r1", "line_number": "1", "quantity": "2"}, 2),
        ({"store_id": "s,1", "receipt_id": "r1", "line_number": "2", "quantity": ""}, 3),
    ]
    assert new_house.query("select distinct _file, _op from raw_stores.sales") == [(landed.partition, "u")]
    assert new_house.query("select interval_from, interval_until, checksum like 'sha256:%%' from raw.loads") == [
        (at("2026-01-05"), at("2026-01-06"), True)
    ]


def test_a_broken_line_lands_as_it_is_and_the_others_as_usual(new_house, stores):
    broken = [b"s1,r1,3", b"s1,r1,4,5,6", b's1,"r1,5,1', b's1,"r"1,6,1', b"s1,\xff,7,1", b"s1,nul\0,8,1"]
    body = HEADER.encode() + b"s1,r1,1,1\n" + b"\n".join(broken) + b"\n\ns1,r1,9,1"
    write_day(stores, "2026-01-05", a_csv=b"\xef\xbb\xbf" + body)
    extract_load.load("stores")
    landed = lines(new_house)
    assert [line for _, line in landed] == [2, 3, 4, 5, 6, 7, 8, 10]
    assert [payload.get("line_number") for payload, _ in landed] == ["1", None, None, None, None, None, None, "9"]
    assert [payload["_unreadable"] for payload, _ in landed[1:6]] == [
        "s1,r1,3",
        "s1,r1,4,5,6",
        's1,"r1,5,1',
        's1,"r"1,6,1',
        "s1,\\xff,7,1",
    ]
    assert "nul\\u0000" in landed[6][0]["_unreadable"]


def write_parquet(path: Path, **columns) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"store_id": ["s1"], "receipt_id": ["r1"], "line_number": [1]} | columns), path)


def test_a_parquet_lands_exactly(new_house, stores):
    folder = write_day(stores, "2026-01-05")
    write_parquet(
        folder / "a.parquet",
        sold_at=pa.array([datetime(2026, 1, 5, 8, 30, 0, 5, UTC)], pa.timestamp("us", "America/New_York")),
        local=pa.array([datetime(2026, 1, 5, 8, 30)], pa.timestamp("ns")),
        on=[date(2026, 1, 5)],
        unit_price=pa.array([Decimal("12.50")], pa.decimal128(18, 2)),
        ratio=[0.1],
        is_void=[False],
        customer_id=pa.array([None], pa.string()),
        tags=[["a", "b"]],
    )
    extract_load.load("stores")
    assert lines(new_house) == [
        (
            {
                "store_id": "s1",
                "receipt_id": "r1",
                "line_number": 1,
                "sold_at": "2026-01-05T08:30:00.000005Z",
                "local": "2026-01-05T08:30:00.000000Z",
                "on": "2026-01-05",
                "unit_price": "12.50",
                "ratio": 0.1,
                "is_void": False,
                "customer_id": None,
                "tags": ["a", "b"],
            },
            1,
        )
    ]


def test_of_a_file_the_readable_records_land_beside_the_unreadable(new_house, stores):
    columns = {
        "store_id": pa.array([b"S-1", b"\xff", b"S-3"]),
        "receipt_id": ["r1", "r2", "r3"],
        "line_number": [1, 1, 1],
        "unit_price": pa.array([Decimal(0), Decimal(1), Decimal("1E-9")], pa.decimal128(38, 9)),
    }
    pq.write_table(pa.table(columns), write_day(stores, "2026-01-05") / "a.parquet")
    (result,) = extract_load.load("stores")
    assert result.rows == 3
    first, second, third = [
        payload for (payload,) in new_house.query("select payload from raw_stores.sales order by 1")
    ]
    read = {payload.get("store_id"): payload.get("unit_price") for payload in (first, second, third)}
    assert read == {"S-1": "0.000000000", "S-3": "0.000000001", None: None}
    (unreadable,) = new_house.query("select payload ->> '_unreadable' from raw_stores.sales where _line = 2")[0]
    assert unreadable.startswith('{"store_id": "\\\\xff", "receipt_id": "r2"')


def test_a_file_lands_once_and_again_when_it_changed(new_house, stores):
    folder = write_day(stores, "2026-01-05", a_csv=HEADER + "s1,r1,1,1\n", b_csv=HEADER + "s2,r1,1,1\n")
    assert landed_files(extract_load.load("stores")) == ["a.csv", "b.csv"]
    os.utime(folder / "a.csv")
    assert extract_load.load("stores") == []
    (folder / "b.csv").write_text(HEADER + "s2,r1,1,9\n")
    assert landed_files(extract_load.load("stores")) == ["b.csv"]
    (folder / "b.csv").write_text(HEADER + "s2,r1,1,1\n")
    assert landed_files(extract_load.load("stores")) == ["b.csv"]
    assert extract_load.load("stores") == []


def test_a_day_without_its_flag_waits_for_it(new_house, stores, run):
    write_day(stores, "2026-01-05", a_csv=HEADER)
    waiting = write_day(stores, "2026-01-06", is_complete=False, a_csv=HEADER)
    done = run("stores")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"not read, no {FLAG} yet: sales/year=2026/month=01/day=06" in done.stdout
    (waiting / FLAG).touch()
    assert len(extract_load.load("stores")) == 1


def test_an_interval_bounds_the_days(new_house, stores):
    for day in ("2026-01-04", "2026-01-05", "2026-01-06", "2026-01-07"):
        write_day(stores, day, a_csv=HEADER)
    landed = extract_load.load("stores", at("2026-01-05"), at("2026-01-07"))
    assert [result.partition.split("/")[3] for result in landed] == ["day=05", "day=06"]


def test_day_folders_at_the_edges_of_the_calendar_keep_no_other_from_landing(new_house, stores, run):
    for day in ("0000-01-01", "0001-01-01", "2026-01-05", "9999-12-30", "9999-12-31"):
        write_day(stores, day, a_csv=HEADER + f"s1,{day},1,1\n")
    done = run("stores")
    assert (done.returncode, done.stderr) == (0, "")
    landed = {payload["receipt_id"] for payload, _ in lines(new_house)}
    assert landed == {"0001-01-01", "2026-01-05", "9999-12-30"}
    assert "2 files are not read" in done.stdout
    for interval in (("0001-01-01", "9999-12-31"), ("9999-12-31", "9999-12-31T23:59:59.999999Z")):
        assert run("stores", "--from", interval[0], "--until", interval[1]).returncode == 0


def test_a_broken_file_names_itself_and_the_others_land(new_house, stores, run):
    folder = write_day(
        stores,
        "2026-01-05",
        a_csv=HEADER + "s1,r1,1,1\n",
        empty_csv="",
        headless_csv="s1,r1,1,1\n",
        twice_csv="store_id,receipt_id,line_number,line_number\n",
        binary_csv=b"\xff\xfe\n",
        empty_parquet="",
        garbage_parquet="not a parquet file",
    )
    write_parquet(folder / "whole.parquet")
    truncated = (folder / "whole.parquet").read_bytes()
    (folder / "truncated.parquet").write_bytes(truncated[: len(truncated) // 2])
    pq.write_table(pa.table({"a": [1]}), folder / "other.parquet")
    done = run("stores")
    messages = {line.partition(" can't be read")[0].rpartition("/")[2]: line for line in done.stderr.splitlines()}
    assert done.returncode == 1
    assert sorted(messages) == [
        "binary.csv",
        "empty.csv",
        "empty.parquet",
        "garbage.parquet",
        "headless.csv",
        "other.parquet",
        "truncated.parquet",
        "twice.csv",
    ]
    assert "can't be read: it is empty." in messages["empty.csv"] and "it is empty" in messages["empty.parquet"]
    assert "its header line lacks store_id, receipt_id, line_number" in messages["headless.csv"]
    assert "names a column twice" in messages["twice.csv"]
    assert "Parquet magic bytes not found in footer" in messages["truncated.parquet"]
    assert "its schema lacks store_id, receipt_id, line_number" in messages["other.parquet"]
    assert len(lines(new_house)) == 2
    assert new_house.query("select count(*) from raw.loads") == [(2,)]


def test_a_parquet_that_breaks_off_in_the_middle_lands_nothing(new_house, stores):
    folder = write_day(stores, "2026-01-05")
    path = folder / "a.parquet"
    write_parquet(path, text=["x" * 100_000])
    content = bytearray(path.read_bytes())
    content[200:-2000] = os.urandom(len(content) - 2200)
    path.write_bytes(content)
    with pytest.raises(StorehouseError, match=r"a.parquet can't be read"):
        extract_load.load("stores")
    assert lines(new_house) == []


def test_files_that_are_no_sales_are_named_and_left(new_house, stores, run):
    write_day(stores, "2026-01-05", a_csv=HEADER, _SUCCESS_="", a_txt="x")
    done = run("stores")
    assert done.returncode == 0
    assert "1 files are not read: only .csv and .parquet are read; such as" in done.stdout and "a.txt" in done.stdout


def test_a_folder_that_is_not_there_is_named(new_house, stores):
    with pytest.raises(StorehouseError, match=f"no file below {stores}/sales. Check STORES_URL"):
        extract_load.load("stores")


def test_a_bucket_is_read_like_a_folder(new_house, bucket, tmp_path):
    day = "shop/sales/year=2026/month=01/day=05"
    write_parquet(tmp_path / "b.parquet")
    for name, body in {
        "a.csv": HEADER + "s1,r1,1,1\ns1,r1,2\n",
        "b.parquet": (tmp_path / "b.parquet").read_bytes(),
        FLAG: b"",
    }.items():
        bucket.put_object(Bucket="stores", Key=f"{day}/{name}", Body=body)
    landed = extract_load.load("stores")
    assert [(result.partition, result.rows) for result in landed] == [
        ("sales/year=2026/month=01/day=05/a.csv", 2),
        ("sales/year=2026/month=01/day=05/b.parquet", 1),
    ]
    assert extract_load.load("stores") == []
    bucket.put_object(Bucket="stores", Key=f"{day}/a.csv", Body=HEADER + "s1,r1,1,3\n")
    assert landed_files(extract_load.load("stores")) == ["a.csv"]
    assert new_house.query("select count(*) from raw.loads where checksum like 'etag:%%'") == [(3,)]


def test_a_bucket_that_is_not_there_or_not_ours_is_one_clear_message(new_house, bucket, configure):
    configure(STORES_URL="s3://nowhere/shop")
    with pytest.raises(StorehouseError, match=r"s3://nowhere/shop.*Check STORES_URL"):
        extract_load.load("stores")
