"""One bad file, many good ones: the others land, nothing is read without end, and each message says what to do."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from extract_scene import FLAG, HEADER, write_day

import extract_load
from extract_load.connectors.files import formats, places
from storehouse.core.errors import StorehouseError, TransientError

DAY = "2026-01-05"
GOOD = HEADER + "s1,r1,1,1\n"
FOLDER = "sales/year=2026/month=01/day=05"


def landed(house) -> list[str]:
    return [name.rpartition("/")[2] for (name,) in house.query("select partition from raw.loads order by 1")]


def complaint(house, words: str, kind: type[StorehouseError] = StorehouseError, others: tuple = ("a.csv", "z.csv")):
    """Load, and return the one line of what failed; the others landed."""
    with pytest.raises(StorehouseError, match=words) as caught:
        extract_load.load("stores")
    assert type(caught.value) is kind
    assert len(str(caught.value).splitlines()) == 1
    assert landed(house) == list(others)
    return str(caught.value)


@pytest.fixture
def day(stores) -> Path:
    """A day folder with two good files; what a test adds comes between them."""
    return write_day(stores, DAY, a_csv=GOOD, z_csv=GOOD)


# -- what is no file


def test_a_pipe_a_socket_and_a_device_are_refused_and_nobody_waits_for_them(new_house, day):
    os.mkfifo(day / "pipe.csv")
    with chdir(day):  # The path of a socket has a limit of about a hundred bytes.
        socket.socket(socket.AF_UNIX).bind("s.csv")
    (day / "zero.csv").symlink_to("/dev/zero")
    began = time.monotonic()
    with pytest.raises(StorehouseError) as caught:
        extract_load.load("stores")
    assert time.monotonic() - began < 10
    lines = str(caught.value).splitlines()
    assert [line.partition("day=05/")[2].partition(" ")[0] for line in lines] == ["pipe.csv", "s.csv", "zero.csv"]
    assert all("is no file of this folder" in line for line in lines)
    assert landed(new_house) == ["a.csv", "z.csv"]


def test_a_link_that_leads_out_of_the_folder_is_refused_and_one_within_is_read(new_house, day, tmp_path, stores):
    (tmp_path / "outside.csv").write_text(GOOD)
    (stores / "inside.csv").write_text(GOOD)
    (day / "b.csv").symlink_to(stores / "inside.csv")
    (day / "out.csv").symlink_to(tmp_path / "outside.csv")
    complaint(new_house, "out.csv is no file of this folder", others=("a.csv", "b.csv", "z.csv"))


@pytest.mark.parametrize("to", ["nowhere", "loop.csv"])
def test_a_link_to_nothing_is_refused(new_house, day, to):
    (day / "loop.csv").symlink_to(day / to)
    complaint(new_house, "loop.csv is no file of this folder")


def test_a_file_that_becomes_a_pipe_after_it_was_found_is_refused(new_house, day, monkeypatch):
    (day / "b.csv").write_text(GOOD)
    find = places.Place.of

    def found(*asked):
        result = find(*asked)
        (day / "b.csv").unlink()
        os.mkfifo(day / "b.csv")
        return result

    monkeypatch.setattr(places.Place, "of", found)
    complaint(new_house, "b.csv is no file of this folder")


def test_sales_that_is_a_link_out_of_the_folder_is_refused(new_house, stores, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (stores / "sales").symlink_to(tmp_path / "elsewhere")
    write_day(stores, DAY, a_csv=GOOD)
    with pytest.raises(StorehouseError, match=r"sales leads out of .*Set STORES_URL to the folder above"):
        extract_load.load("stores")


def test_a_folder_given_by_a_link_is_read(new_house, day, stores, tmp_path, configure):
    (tmp_path / "link").symlink_to(stores)
    configure(STORES_URL=tmp_path / "link")
    extract_load.load("stores")
    assert landed(new_house) == ["a.csv", "z.csv"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become one who may not read")
def test_a_folder_that_may_not_be_read_is_told_and_not_passed_over(new_house, day, tmp_path):
    (day.parent / "day=06").mkdir(mode=0)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o555)
    os.seteuid(65534)
    try:
        with pytest.raises(StorehouseError, match=r"sales can't be read: .*Permission denied"):
            extract_load.load("stores")
    finally:
        os.seteuid(0)


# -- too large, too long, too many


def test_a_line_without_end_is_left_at_its_limit(new_house, day, configure):
    configure(STORE_LINE_MAX_MB=1)
    (day / "b.csv").write_text(HEADER + "s1,r1,1,1\n" + "x" * 5_000_000)
    said = complaint(new_house, r"b.csv can't be read: line 3 is longer than STORE_LINE_MAX_MB \(1 MB\)")
    assert "Nothing of it was landed" in said


def test_a_header_without_end_is_left_at_its_limit(new_house, day, configure):
    configure(STORE_LINE_MAX_MB=1)
    (day / "b.csv").write_text("x" * 5_000_000)
    complaint(new_house, "line 1 is longer than STORE_LINE_MAX_MB")


def test_a_line_of_the_limit_lands(new_house, day, configure):
    configure(STORE_LINE_MAX_MB=0.01)
    (day / "b.csv").write_text(HEADER + "s1,r1,1," + "x" * 9_000 + "\n")
    extract_load.load("stores")
    assert landed(new_house) == ["a.csv", "b.csv", "z.csv"]


def test_a_file_that_is_too_large_is_not_read(new_house, day, configure):
    configure(STORE_FILE_MAX_MB=1)
    with (day / "b.csv").open("wb") as file:
        file.truncate(5_000_000_000)
    began = time.monotonic()
    complaint(new_house, r"b.csv can't be read: it is larger than STORE_FILE_MAX_MB \(1 MB\)")
    assert time.monotonic() - began < 10


def bomb(path: Path, value: str | bytes, rows: int, groups: int = 1) -> None:
    """A Parquet of few bytes and many rows, all of one value."""
    keys = {name: pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [value]) for name in ("store_id",)}
    keys |= {name: pa.array(["r1"] * rows) for name in ("receipt_id", "line_number")}
    table = pa.table(keys)
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(groups):
            writer.write_table(table)


def test_a_parquet_that_unpacks_to_too_many_rows_is_left_at_its_limit(new_house, day, configure):
    configure(STORE_FILE_MAX_MB=1)
    bomb(day / "b.parquet", "s1", 100_000, groups=3)
    assert (day / "b.parquet").stat().st_size < 100_000
    complaint(new_house, "b.parquet can't be read: it unpacks to more than ten times STORE_FILE_MAX_MB")


def test_a_parquet_that_needs_too_much_memory_leaves_the_others_and_the_process_alone(new_house, day, configure):
    configure(STORE_MEMORY_MB=300)
    bomb(day / "b.parquet", "x" * 10_000_000, 10_000)
    assert (day / "b.parquet").stat().st_size < 1_000_000
    complaint(new_house, r"b.parquet can't be read: it takes more memory than STORE_MEMORY_MB \(300 MB\)")
    assert len(bytearray(500_000_000)), "the limit was the file's alone"


def test_a_parquet_with_a_row_that_is_too_long_is_told(new_house, day, configure):
    configure(STORE_LINE_MAX_MB=1)
    bomb(day / "b.parquet", "x" * 2_000_000, 1)
    complaint(new_house, "row 1 is longer than STORE_LINE_MAX_MB")


def test_a_file_that_takes_too_long_is_left_in_time(new_house, day, configure, monkeypatch):
    (day / "b.csv").write_text(HEADER + "s1,r1,1,1\n" * 10)
    lines = formats.csv_records

    def slowly(stream, load, *form) -> Iterator[tuple[int, str]]:
        for line in lines(stream, load, *form):
            time.sleep(0.3 if load.partition.endswith("b.csv") else 0)
            yield line

    monkeypatch.setattr(formats, "csv_records", slowly)
    configure(STORE_FILE_SECONDS=1)
    complaint(new_house, r"takes longer than STORE_FILE_SECONDS \(1 s\)", TransientError)


def test_too_many_files_are_told(new_house, day, configure):
    configure(STORE_FILES_MAX=2)
    with pytest.raises(StorehouseError, match=r"holds more than STORE_FILES_MAX \(2\) files"):
        extract_load.load("stores")


def test_whatever_breaks_while_a_file_is_read_the_others_land(new_house, day, monkeypatch):
    (day / "b.csv").write_text(GOOD)
    lines = formats.csv_records

    def breaking(stream, load, *form) -> Iterator[tuple[int, str]]:
        if load.partition.endswith("b.csv"):
            raise ZeroDivisionError("r1 is secret")
        yield from lines(stream, load, *form)

    monkeypatch.setattr(formats, "csv_records", breaking)
    assert "secret" not in complaint(new_house, "b.csv can't be read: unexpected ZeroDivisionError")


# -- what changes while it is read


def at_line(monkeypatch, name: str, change: Callable[[], None]) -> None:
    """Do something after the first line of a file was read."""
    lines = formats.csv_records

    def watched(stream, load, *form) -> Iterator[tuple[int, str]]:
        for number, line in lines(stream, load, *form):
            yield number, line
            if load.partition.endswith(name) and number == 2:
                change()

    monkeypatch.setattr(formats, "csv_records", watched)


@pytest.mark.parametrize("change", ["grows", "shrinks", "is written again"])
def test_a_file_that_changes_while_it_is_read_lands_nothing_and_the_next_load_takes_it(
    new_house, day, monkeypatch, change
):
    file = day / "b.csv"
    file.write_text(HEADER + "s1,r1,1,1\n" * 30_000)

    def changes() -> None:
        if change == "grows":
            with file.open("a") as more:
                more.write("s1,r2,1,1\n")
        elif change == "shrinks":
            os.truncate(file, 200_001)
        else:
            file.write_text(HEADER + "s1,r9,1,1\n" * 30_000)

    with monkeypatch.context() as patch:
        at_line(patch, "b.csv", changes)
        complaint(new_house, "b.csv changed while it was read", TransientError)
    extract_load.load("stores")
    assert landed(new_house) == ["a.csv", "b.csv", "z.csv"]


def test_a_file_that_vanishes_before_it_is_read_may_be_there_the_next_time(new_house, day, monkeypatch):
    (day / "b.csv").write_text(GOOD)
    find = places.Place.of

    def found(*asked):
        result = find(*asked)
        (day / "b.csv").unlink()
        return result

    monkeypatch.setattr(places.Place, "of", found)
    complaint(new_house, "b.csv can't be read: .*No such file", TransientError)


def test_a_file_that_is_replaced_while_it_is_read_lands_as_it_was(new_house, day, monkeypatch):
    """Moved into its place, as a writer should: the old file is read to its end."""
    (day / "b.csv").write_text(HEADER + "s1,r1,1,1\n" * 30_000)

    def replaced() -> None:
        (day / ".b.csv").write_text(HEADER + "s1,r9,1,1\n")
        (day / ".b.csv").replace(day / "b.csv")

    with monkeypatch.context() as patch:
        at_line(patch, "b.csv", replaced)
        extract_load.load("stores")
    assert new_house.query("select rows from raw.loads where partition like '%%b.csv'") == [(30_000,)]
    assert len(extract_load.load("stores")) == 1


# -- a bucket


@pytest.fixture
def proxied(bucket, configure) -> Iterator[type]:
    """The bucket behind a server that passes on what is asked, but for what `Proxy.instead` answers itself."""
    import http.client

    host, port = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://").split(":")

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        instead: Callable[[BaseHTTPRequestHandler], bool] = staticmethod(lambda handler: False)

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if type(self).instead(self):
                self.close_connection = True
                return
            upstream = http.client.HTTPConnection(host, int(port))
            upstream.request(self.command, self.path, body, dict(self.headers))
            answer = upstream.getresponse()
            content = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = pass_on

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    for name, body in {"a.csv": GOOD, "b.csv": GOOD * 1000, "z.csv": GOOD, FLAG: ""}.items():
        bucket.put_object(Bucket="stores", Key=f"shop/{FOLDER}/{name}", Body=body)
    configure(AWS_ENDPOINT_URL=f"http://127.0.0.1:{server.server_port}")
    yield Proxy
    for entry in bucket.list_objects_v2(Bucket="stores")["Contents"]:
        bucket.delete_object(Bucket="stores", Key=entry["Key"])
    server.shutdown()
    server.server_close()


def is_of(handler: BaseHTTPRequestHandler, name: str) -> bool:
    return handler.command == "GET" and handler.path.partition("?")[0].endswith(name)


def test_a_file_of_a_bucket_that_breaks_off_may_come_the_next_time_and_the_others_land(new_house, proxied):
    def breaks_off(handler: BaseHTTPRequestHandler) -> bool:
        if not is_of(handler, "b.csv"):
            return False
        handler.send_response_only(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        handler.wfile.write(GOOD.encode())
        return True

    proxied.instead = staticmethod(breaks_off)
    complaint(new_house, "b.csv can't be read: .*STORES_URL", TransientError)


def test_a_file_of_a_bucket_that_comes_a_byte_at_a_time_is_left_in_time(new_house, proxied, configure):
    configure(STORE_FILE_SECONDS=3)

    def dribbles(handler: BaseHTTPRequestHandler) -> bool:
        if not is_of(handler, "b.csv"):
            return False
        handler.send_response_only(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        for _ in range(600):
            handler.wfile.write(b"a")
            time.sleep(0.1)
        return True

    proxied.instead = staticmethod(dribbles)
    began = time.monotonic()
    complaint(new_house, r"takes longer than STORE_FILE_SECONDS \(3 s\)", TransientError)
    assert time.monotonic() - began < 20


def test_a_list_of_a_bucket_that_does_not_come_is_left_in_time(new_house, proxied, configure):
    configure(STORE_FILE_SECONDS=2)

    def hangs(handler: BaseHTTPRequestHandler) -> bool:
        if "list-type" in handler.path:
            time.sleep(30)
        return False

    proxied.instead = staticmethod(hangs)
    began = time.monotonic()
    complaint(new_house, r"sales can't be read: .*STORE_FILE_SECONDS \(2 s\)", TransientError, others=())
    assert time.monotonic() - began < 20


def test_a_file_of_a_bucket_that_is_replaced_while_it_is_read_lands_nothing(new_house, proxied, bucket):
    def replaced(handler: BaseHTTPRequestHandler) -> bool:
        if is_of(handler, "b.csv"):
            bucket.put_object(Bucket="stores", Key=f"shop/{FOLDER}/b.csv", Body=HEADER + "s1,r9,1,1\n")
        return False

    proxied.instead = staticmethod(replaced)
    complaint(new_house, "b.csv changed while it was read", TransientError)
    proxied.instead = staticmethod(lambda handler: False)
    assert len(extract_load.load("stores")) == 1


def test_a_file_of_a_bucket_that_is_too_large_is_not_fetched(new_house, proxied, configure):
    configure(STORE_FILE_MAX_MB=0.01)
    asked = []
    proxied.instead = staticmethod(lambda handler: asked.append(handler.path) if is_of(handler, "b.csv") else False)
    complaint(new_house, "b.csv can't be read: it is larger than STORE_FILE_MAX_MB")
    assert asked == []


# -- what is not read is told


def test_each_kind_of_file_that_is_not_read_is_told_with_a_count_and_an_example(new_house, stores, run):
    hidden = {"_store9_csv": GOOD, "_SUCCESS_": "", "_c_csv": GOOD}
    day = write_day(stores, DAY, a_csv=GOOD, B_CSV=GOOD, d_txt="x", e_gz="", **hidden)
    (day.parent / "day=07").symlink_to(day)
    (day / ".hidden.parquet").write_text("x")
    (day / "_temporary").mkdir()
    (day / "_temporary" / "f.csv").write_text(GOOD)
    for folder in ("year=2026/month=13/day=01", "year=2026/month=02/day=30", "year=26/month=1/day=1", "2026-01-05"):
        (stores / "sales" / folder).mkdir(parents=True)
        (stores / "sales" / folder / "g.csv").write_text(GOOD)
        (stores / "sales" / folder / FLAG).touch()
    waiting = write_day(stores, "2026-01-06", is_complete=False, h_csv=GOOD)
    (waiting / FLAG.upper()).touch()
    done = run("stores")
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "4 files are not read: a name that begins with _ or . is one that is still written, or no data; such as sales/",
        "2 files are not read: only .csv and .parquet are read; such as sales/",
        "5 files are not read: only the days in sales/year=YYYY/month=MM/day=DD are read; such as sales/",
        f"1 files are not read: a folder that is a link is not followed; such as {FOLDER[:-1]}7",
        f"1 files are not read: the flag is {FLAG}, in these letters; such as sales/",
    ):
        assert words in done.stdout
    assert f"not read, no {FLAG} yet: {FOLDER[:-1]}6" in done.stdout
    assert landed(new_house) == ["B.CSV", "a.csv"]


@pytest.mark.parametrize("day", ["day=\u0660\u0665", "day=5", "day=005"])
def test_a_day_is_written_with_two_digits_or_with_one(new_house, stores, day):
    folder = stores / "sales" / "year=2026" / "month=01" / day
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text(GOOD)
    (folder / FLAG).touch()
    assert len(extract_load.load("stores")) == (day == "day=5")


# -- stores that can't be used


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://me:hunter2@127.0.0.1:1/x", "ftp:// is no store"),
        ("github://me:hunter2@host/x", "github:// is no store"),
        ("memory://x", "memory:// is no store"),
        ("zip://a::s3://bucket/x", "is no store"),
        ("simplecache::s3://bucket/x", "is no store"),
        ("nope://me:hunter2@host/x", "nope:// is no store"),
        ("S3://bucket/x", "S3:// is no store"),
        ("gs://bucket/x", "gcsfs"),
        ("abfs://box@host/x", "adlfs"),
        ("s3://", "names no bucket"),
        ("file://no/such/folder", "There is no file below /.*/no/such/folder/sales"),
        ("no/such/folder", "There is no file below /.*/no/such/folder/sales"),
        ("~nobody-here/x", "There is no file below /.*/~nobody-here/x/sales"),
        ("s3:/bucket", "There is no file below .*s3:/.*/sales"),
        ("/dev/null", "There is no file below /dev/null/sales"),
    ],
)
def test_a_store_that_cannot_be_used_is_one_clear_message(new_house, configure, run, url, words):
    configure(STORES_URL=url)
    done = run("stores")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    with pytest.raises(StorehouseError, match=words):
        extract_load.load("stores")
    assert "hunter2" not in done.stderr and "STORES_URL" in done.stderr


@pytest.mark.parametrize("form", ["file://{}", "{}/", "{}//", "{}/../stores", "~/stores", "file://~/stores", "stores"])
def test_each_form_of_a_folder_is_read_alike(new_house, day, stores, configure, monkeypatch, form):
    monkeypatch.chdir(stores.parent)
    configure(HOME=stores.parent, STORES_URL=form.format(stores))
    (result, _) = extract_load.load("stores")
    assert result.partition == f"{FOLDER}/a.csv"


@pytest.mark.parametrize(
    "environment",
    [
        {"HTTP_PROXY": "socks://me:hunter2@127.0.0.1:1"},
        {"HTTP_PROXY": "http://me:hunter2@127.0.0.1:1"},
        {"AWS_CA_BUNDLE": "/no/such/file"},
        {"AWS_PROFILE": "nobody"},
    ],
)
def test_an_environment_that_the_bucket_cannot_be_read_with_is_one_clear_message(
    new_house, configure, run, environment
):
    at = {"AWS_ENDPOINT_URL": "http://10.1.2.3:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    configure(STORES_URL="s3://bucket/x", STORE_FILE_SECONDS=5, **at | environment)
    done = run("stores")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "hunter2" not in done.stderr and "STORES_URL" in done.stderr
