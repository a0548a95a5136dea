"""`make archive` and `make replay`: what landed, out of raw into Parquet files and back, to the letter."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest
from houses import House, build_house, command, land
from real_redis import wait_until

import demo
import extract_load
from storehouse.core import transform
from storehouse.core.errors import StorehouseError
from storehouse.core.settings import PROJECT
from storehouse.core.transform import DAILY
from storehouse.operate import archive

# Values whose texts are easily changed on the way, and a column that no declaration has.
ODD = r"""
    alter table raw_shop.orders add odd_range tstzrange, add odd_bytes bytea, add "Odd, too" float8;
    update raw_shop.orders
    set status = e'a\tb\\n\n"é\u2028', odd_range = '[2026-01-01 00:00:00.000001+00,infinity)',
        odd_bytes = '\x00ff', "Odd, too" = 0.1::float8 + 0.2, total_amount = 'NaN', placed_at = '-infinity'
    where _load_id = (select max(_load_id) from raw_shop.orders) and _row = 1
"""
RAW = """
    select table_schema || '.' || quote_ident(table_name) from information_schema.tables
    where table_schema ~ '^raw' and table_schema <> 'raw_operations' order by 1
"""


@pytest.fixture(scope="module")
def house(server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house that two days of the demo shop have landed in, and values that are odd."""
    for house in build_house(server, tmp_path_factory.mktemp("home")):
        demo.advance(days=2, size=0.02)
        demo.start()
        land()
        demo.advance(days=1)
        land()
        with psycopg.connect(house.warehouse) as warehouse:
            warehouse.execute(ODD)
        yield house
        demo.stop()


def raw(house: House) -> dict[str, list[tuple]]:
    """All rows of raw and its ledger, as texts; columns by name, for their order is that of their arrival."""
    row = "select jsonb_object_agg(key, value) from jsonb_each_text(to_jsonb(t)) where value is not null"
    return {name: house.query(f"select ({row})::text from {name} as t order by 1") for (name,) in house.query(RAW)}


def marts(house: House) -> dict[str, list[tuple]]:
    names = house.query(
        "select table_schema || '.' || table_name from information_schema.tables "
        "where table_schema in ('core', 'sales', 'customers', 'feedback') and table_type = 'BASE TABLE' order by 1"
    )
    return {name: house.query(f"select t::text from {name} as t order by 1") for (name,) in names}


def test_what_was_archived_is_replayed_into_an_empty_warehouse_to_the_letter(
    house: House, server, configure, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    middle = house.query("select percentile_disc(0.5) within group (order by finished_at) from raw.loads")[0][0]
    assert archive.archive(tmp_path, middle) == 0
    assert archive.archive(tmp_path, None) == 0
    assert archive.archive(tmp_path, None) == 0
    assert "Nothing to archive" in capsys.readouterr().out
    first, second = sorted(tmp_path.iterdir())
    counts = [pq.read_metadata(one / archive.LOADS).num_rows for one in (first, second)]
    assert sum(counts) == house.query("select count(*) from raw.loads")[0][0] and min(counts) > 0
    before = raw(house)
    assert transform.build(DAILY) == []
    built = marts(house)
    for other in build_house(server, tmp_path / "other"):
        for _ in range(2):
            # The second time all is there.
            assert archive.replay(tmp_path) == 0
            assert raw(other) == before
        said = capsys.readouterr().out
        assert (
            "Build them: .venv/bin/python -m storehouse dbt build" in said
            and "0 loads of 0 rows were landed again" in said
        )
        assert transform.build(DAILY) == []
        assert marts(other) == built
        # New loads come after all that were replayed.
        configure(SHOP_DATABASE_URL=house.shop)
        (*_, load) = extract_load.load("shop")
        ((is_last,),) = other.query(
            "select position = max(position) over () from raw.loads where load_id = %s", load.load_id
        )
        assert is_last


@pytest.mark.parametrize("deleted", ["rows alone", "the ledger's rows too"])
def test_what_was_deleted_comes_back_and_models_that_lack_it_are_named(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str], deleted: str
) -> None:
    assert transform.build(DAILY) == []
    assert archive.archive(tmp_path, None) == 0
    before = raw(house)
    with psycopg.connect(house.warehouse) as warehouse:
        ids = "(select load_id from raw.loads where table_name = 'orders' and source = 'shop')"
        warehouse.execute(f"delete from raw_shop.orders where _load_id in {ids}")
        if deleted != "rows alone":
            warehouse.execute(f"delete from raw.loads where load_id in {ids}")
    # Of loads whose rows are gone there is no other archive.
    if deleted == "rows alone":
        with pytest.raises(StorehouseError, match=r"has 0 rows of load .* were some deleted"):
            archive.archive(tmp_path / "other", None)
    for _ in range(2):
        assert archive.replay(tmp_path) == 0
        assert raw(house) == before
    said = capsys.readouterr().out
    assert "dbt build --full-refresh" in said and "0 loads of 0 rows were landed again" in said


def test_two_replays_land_what_was_deleted_once_and_a_load_that_is_there_in_part_is_refused(
    house: House, tmp_path: Path
) -> None:
    archive.archive(tmp_path, None)
    before = raw(house)
    with psycopg.connect(house.warehouse, autocommit=True) as warehouse:
        warehouse.execute("delete from raw_shop.order_items")
        # Both have begun when the first may write.
        warehouse.execute("begin; lock table raw_shop.order_items in share mode")
        replay = [sys.executable, "-m", "storehouse", "replay", "--folder", str(tmp_path)]
        both = [subprocess.Popen(replay, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
        waiting = "select count(*) from pg_locks where not granted"
        wait_until(lambda: house.query(waiting)[0][0] >= 2)
        warehouse.execute("rollback")
        assert [process.wait() for process in both] == [0, 0], [process.communicate() for process in both]
        for process in both:
            process.communicate()
        assert raw(house) == before
        warehouse.execute("delete from raw_shop.order_items where _row = 1")
        with pytest.raises(StorehouseError, match=r"order_items in raw has \d+ rows of load \d+, and the ledger says"):
            archive.replay(tmp_path)
        warehouse.execute("delete from raw_shop.order_items")
    assert archive.replay(tmp_path) == 0 and raw(house) == before


def test_an_archive_of_another_warehouse_is_refused_whole(house: House, server, tmp_path: Path) -> None:
    archive.archive(tmp_path, None)
    for other in build_house(server, tmp_path / "other"):
        demo.advance(days=1, size=0.02)
        extract_load.load("shop")
        before = raw(other)
        with pytest.raises(StorehouseError, match=r"other loads than .*: an archive is replayed into its own"):
            archive.replay(tmp_path)
        assert raw(other) == before


def test_what_is_no_archive_or_is_broken_is_said_and_nothing_of_it_lands(house: House, server, tmp_path: Path) -> None:
    with pytest.raises(StorehouseError, match="has no archive"):
        archive.replay(tmp_path)
    archive.archive(tmp_path, None)
    (made,) = tmp_path.iterdir()
    # Rows lie in its middle.
    file = made / "raw_shop.orders.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 0xFF
    file.write_bytes(content)
    for other in build_house(server, tmp_path / "other"):
        with pytest.raises(StorehouseError, match=r"can't be read \(\w+\): take another copy"):
            archive.replay(tmp_path)
        assert other.query("select count(*) from raw.loads") == [(0,)]
        file.unlink()
        with pytest.raises(StorehouseError, match=r"orders.parquet can't be read \(FileNotFoundError\)"):
            archive.replay(tmp_path)
        assert other.query("select count(*) from raw.loads") == [(0,)]
    (made / archive.LOADS).unlink()
    for command_of_ours in (lambda: archive.replay(tmp_path), lambda: archive.archive(tmp_path, None)):
        with pytest.raises(StorehouseError, match=r"has no loads\.parquet: take another copy"):
            command_of_ours()
    taken = tmp_path / "taken"
    taken.write_text("")
    with pytest.raises(StorehouseError, match=r"taken: .*Nothing was archived"):
        archive.archive(taken, None)


def test_what_was_killed_is_taken_for_no_archive(house: House, tmp_path: Path) -> None:
    lines = [sys.executable, "-m", "storehouse", "archive", "--folder", str(tmp_path)]
    with psycopg.connect(house.warehouse) as builder:
        # It has begun its folder, and waits for a table.
        builder.execute("lock table raw_shop.orders in access exclusive mode")
        killed = subprocess.Popen(lines, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_until(lambda: any(tmp_path.glob("*.part")))
        time.sleep(0.5)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
    assert [path.suffix for path in tmp_path.iterdir()] == [archive.PART]
    with pytest.raises(StorehouseError, match="has no archive"):
        archive.replay(tmp_path)
    archive.archive(tmp_path, None)
    assert len(archive._archives(tmp_path)) == 1


def test_a_moment_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    done = command(tmp_path)("archive", "--before", "yesterday")
    assert done.returncode == 2 and "--before: 'yesterday' is not a time; write 2026-01-31" in done.stderr
