"""Daily sales as Parquet, in a folder and on a real S3 server, read as docs/publish.md tells readers to."""

import ast
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import boto3
import fsspec
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from real_redis import wait_until

import publish
from storehouse.core.errors import StorehouseError, TransientError
from storehouse.core.settings import PROJECT


def sell(marts: Callable[[str], None], days: int, orders: int = 1, first: str = "2026-01-30") -> None:
    """So many days from the first, each with two channels that have so many orders."""
    marts(
        "insert into sales.agg_daily_sales (order_date, channel, region, currency, orders, sales_usd) "
        f"select date '{first}' + day, channel, 'North', 'USD', {orders}, 12345678901234.56 "
        f"from generate_series(0, {days - 1}) as day, unnest(array['web', 'stores']) as channel"
    )


@pytest.fixture(params=["a folder", "a bucket"])
def target(request, tmp_path: Path, configure):
    """The file system and the root that sales are exported to."""
    url = str(tmp_path / "export")
    if request.param == "a bucket":
        request.getfixturevalue("bucket")
        url = "s3://marts/exports"
    configure(SALES_EXPORT_URL=url)
    return fsspec.url_to_fs(url, skip_instance_cache=True)


def files(target) -> dict[str, bytes]:
    """Every file that is there."""
    system, root = target
    system.invalidate_cache()
    return {path.removeprefix(root).lstrip("/"): system.cat_file(path) for path in system.find(root)}


def writes(target) -> dict[str, object]:
    """What is another one after a file was written, the same contents or not."""
    system, root = target
    if "file" in system.protocol:
        return {path: (info["ino"], info["mtime"]) for path, info in system.find(root, detail=True).items()}
    found = boto3.client("s3").list_object_versions(Bucket="marts")["Versions"]
    return {version["Key"]: version["VersionId"] for version in found if version["IsLatest"]}


def read(target) -> pa.Table:
    """What a reader of the folder finds, by the columns of the mart and the parts of the path."""
    system, root = target
    system.invalidate_cache()
    partitions = pa.dataset.HivePartitioning(pa.schema({"year": pa.int32(), "month": pa.int32(), "day": pa.int32()}))
    return pa.dataset.dataset(f"{root}/sales", filesystem=system, format="parquet", partitioning=partitions).to_table(
        use_threads=False
    )


def test_every_day_is_a_file_in_its_place_and_the_folder_is_one_table(marts, target):
    sell(marts, 3)
    assert publish.daily_sales() == (3, 0, 0, 6)
    assert [name for name in files(target) if "_manifest" not in name] == [
        "sales/year=2026/month=01/day=30/sales.parquet",
        "sales/year=2026/month=01/day=31/sales.parquet",
        "sales/year=2026/month=02/day=01/sales.parquet",
    ]
    table = read(target)
    assert table.num_rows == 6
    assert {(row["order_date"], row["year"], row["month"], row["day"]) for row in table.to_pylist()} == {
        (date(2026, 1, 30), 2026, 1, 30),
        (date(2026, 1, 31), 2026, 1, 31),
        (date(2026, 2, 1), 2026, 2, 1),
    }


def test_types_and_values_come_back_exactly(marts, house, target):
    sell(marts, 1)
    publish.daily_sales()
    (name,) = [name for name in files(target) if name.endswith(".parquet")]
    table = pq.read_table(pa.BufferReader(files(target)[name]))
    types = {field.name: field.type for field in table.schema}
    assert types["order_date"] == pa.date32() and types["channel"] == pa.string() and types["orders"] == pa.int64()
    assert types["sales_usd"] == pa.decimal128(18, 2)
    assert table["sales_usd"].to_pylist() == [Decimal("12345678901234.56")] * 2
    rows = house.query("select * from sales.agg_daily_sales order by order_date, channel, region")
    assert [tuple(row.values()) for row in table.to_pylist()] == rows


def test_unchanged_days_are_not_written_again(marts, target):
    sell(marts, 3)
    publish.daily_sales()
    before = writes(target)
    assert publish.daily_sales() == (0, 0, 3, 0)
    assert writes(target) == before
    marts("update sales.agg_daily_sales set orders = 7 where order_date = '2026-01-31' and channel = 'web'")
    assert publish.daily_sales() == (1, 0, 2, 2)
    written = {path for path, write in writes(target).items() if write != before[path]}
    assert {path.rpartition("/sales/")[2] for path in written} == {
        "_manifest.json",
        "year=2026/month=01/day=31/sales.parquet",
    }
    assert read(target).filter(pa.compute.field("orders") == 7).num_rows == 1


def test_a_day_that_vanished_is_removed_and_files_of_others_stay(marts, target):
    sell(marts, 2)
    publish.daily_sales()
    system, root = target
    system.pipe_file(f"{root}/sales/year=2026/month=01/day=30/notes.txt", b"mine")
    marts("delete from sales.agg_daily_sales where order_date = '2026-01-30'")
    assert publish.daily_sales() == (0, 1, 1, 0)
    assert sorted(files(target)) == [
        "sales/_manifest.json",
        "sales/year=2026/month=01/day=30/notes.txt",
        "sales/year=2026/month=01/day=31/sales.parquet",
    ]


def test_a_file_that_was_lost_or_changed_is_written_again(marts, target):
    sell(marts, 3)
    publish.daily_sales()
    whole = files(target)
    system, root = target
    lost, cut = sorted(name for name in whole if name.endswith(".parquet"))[:2]
    system.rm_file(f"{root}/{lost}")
    system.pipe_file(f"{root}/{cut}", whole[cut][:100])
    assert publish.daily_sales() == (2, 0, 1, 4)
    assert files(target) == whole


def test_another_type_writes_every_day_again(marts, target):
    sell(marts, 2)
    publish.daily_sales()
    marts("alter table sales.agg_daily_sales alter orders type integer")
    assert publish.daily_sales().written == 2
    assert read(target).schema.field("orders").type == pa.int32()


def test_an_empty_mart_removes_nothing(marts, target):
    sell(marts, 2)
    publish.daily_sales()
    marts("truncate sales.agg_daily_sales")
    assert publish.daily_sales() == (0, 0, 0, 0)
    assert read(target).num_rows == 4


def test_killed_half_way_every_file_is_whole_and_the_next_export_finishes(marts, tmp_path, configure, start):
    configure(SALES_EXPORT_URL=tmp_path / "export")
    target = fsspec.url_to_fs(str(tmp_path / "export"))
    sell(marts, 300, orders=1)
    publish.daily_sales()
    marts("update sales.agg_daily_sales set orders = 2")
    manifest = files(target)["sales/_manifest.json"]
    first = tmp_path / "export/sales/year=2026/month=01/day=30/sales.parquet"
    before = first.stat().st_ino
    command = start("sales")
    wait_until(lambda: first.stat().st_ino != before)
    command.kill()
    command.wait()
    seen = read(target)["orders"].to_pylist()
    assert len(seen) == 600 and set(seen) == {1, 2}
    assert files(target)["sales/_manifest.json"] == manifest
    (tmp_path / "export/sales/year=2026/month=01/day=31/.sales.parquet").write_bytes(b"half of it")
    assert publish.daily_sales().written == 300
    assert set(read(target)["orders"].to_pylist()) == {2}
    assert publish.daily_sales() == (0, 0, 300, 0)
    assert not list((tmp_path / "export").rglob(".*"))


def test_two_exports_at_once_wait_for_each_other(marts, tmp_path, configure, start):
    configure(SALES_EXPORT_URL=tmp_path)
    sell(marts, 300)
    both = [start("sales"), start("sales")]
    said = [command.communicate(timeout=120)[1] for command in both]
    assert [command.returncode for command in both] == [0, 0], said
    assert sorted(words.splitlines()[-1].split()[1] for words in said) == ["0", "300"]
    assert read(fsspec.url_to_fs(str(tmp_path))).num_rows == 600


def test_ratings_that_fail_do_not_hold_sales_back(marts, tmp_path, configure, start):
    configure(SALES_EXPORT_URL=tmp_path, REDIS_URL="nonsense")
    sell(marts, 2)
    command = start("all")
    _, said = command.communicate(timeout=300)
    assert command.returncode == 1 and "publish ratings: REDIS_URL is no URL" in said
    assert read(fsspec.url_to_fs(str(tmp_path))).num_rows == 4


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in Linux' /proc")
def test_publishing_starts_none_of_arrows_threads_which_may_abort_a_process_that_ends(marts, tmp_path, configure):
    # Arrow imports numpy where it is, as in an environment of tests, with pandas: that has threads of its own.
    configure(SALES_EXPORT_URL=tmp_path, OPENBLAS_NUM_THREADS=1)
    sell(marts, 2)
    count = "from pathlib import Path; print([t.read_text() for t in Path('/proc/self/task').glob('*/comm')])"
    command = [sys.executable, "-c", f"import publish; publish.daily_sales(); {count}"]
    threads = ast.literal_eval(subprocess.run(command, cwd=PROJECT, capture_output=True, check=True, text=True).stdout)
    assert [name for name in threads if not name.startswith("jemalloc")] == [threads[0]]


class LossyFileSystem(MemoryFileSystem):
    """A store that answers that all is well, and has kept something else."""

    protocol = "lossy"
    store: ClassVar[dict] = {}
    keep = staticmethod(lambda content: content)

    def pipe_file(self, path: str, value: bytes, **options: object) -> None:
        super().pipe_file(path, type(self).keep(value) if path.endswith(".parquet") else value, **options)


def _one_row_less(content: bytes) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(pq.read_table(pa.BufferReader(content)).slice(1), buffer)
    return buffer.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (lambda content: content[:-1], "can't be read"),
        (lambda content: b"", "can't be read"),
        (_one_row_less, "1 rows in"),
        (lambda content: content[:4] + b"\0" + content[5:], "."),
    ],
)
def test_a_store_that_keeps_something_else_is_found_out_and_the_next_export_mends_it(marts, configure, keep, words):
    fsspec.register_implementation("lossy", LossyFileSystem, clobber=True)
    configure(SALES_EXPORT_URL="lossy://marts")
    sell(marts, 2)
    LossyFileSystem.store.clear()
    LossyFileSystem.keep = staticmethod(keep)
    with pytest.raises(TransientError, match=f"day=30/sales.parquet does not hold what was written.*{words}"):
        publish.daily_sales()
    LossyFileSystem.keep = staticmethod(lambda content: content)
    assert publish.daily_sales() == (2, 0, 0, 4)


def test_a_store_that_is_unknown_is_one_clear_message_without_the_password(configure):
    configure(SALES_EXPORT_URL="nowhere://ada:secret@host/exports")
    with pytest.raises(StorehouseError, match=r"nowhere://host/exports .*Give a folder") as error:
        publish.daily_sales()
    assert "secret" not in str(error.value)


def test_a_store_that_is_not_there_is_one_clear_message(marts, bucket, configure, start):
    sell(marts, 1)
    configure(SALES_EXPORT_URL="s3://nowhere/exports")
    command = start("sales")
    _, said = command.communicate(timeout=300)
    assert command.returncode == 1
    assert "s3://nowhere/exports" in said and "Check SALES_EXPORT_URL" in said and "Traceback" not in said


def test_a_store_or_a_warehouse_that_is_away_is_trouble_that_may_pass_and_a_missing_mart_is_not(
    marts, tmp_path, configure, monkeypatch
):
    sell(marts, 1)
    for name, value in (("ACCESS_KEY_ID", "any"), ("SECRET_ACCESS_KEY", "any"), ("MAX_ATTEMPTS", "1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    configure(SALES_EXPORT_URL="s3://marts/exports")
    with pytest.raises(TransientError, match="can't be read or written"):
        publish.daily_sales()
    configure(SALES_EXPORT_URL=tmp_path)
    marts("drop table sales.agg_daily_sales")
    with pytest.raises(StorehouseError, match="The mart is not published yet") as missing:
        publish.daily_sales()
    assert not isinstance(missing.value, TransientError)
    configure(WAREHOUSE_PORT=1)
    with pytest.raises(TransientError, match="Cannot connect to the warehouse"):
        publish.daily_sales()


def test_a_type_that_parquet_would_blur_is_named(marts, tmp_path, configure):
    configure(SALES_EXPORT_URL=tmp_path)
    marts("alter table sales.agg_daily_sales alter sales_usd type numeric")
    with pytest.raises(StorehouseError, match="sales_usd is numeric: no exact Parquet type"):
        publish.daily_sales()
