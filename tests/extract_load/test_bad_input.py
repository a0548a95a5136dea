"""Each kind of bad input ends in one clear line on the standard error, a non-zero exit, and nothing half-landed."""

import socket

import pytest
from extract_scene import FLAG, HEADER, SHOP, Answer, order, write_day

import extract_load

# Bad input lands nothing, so that one house serves many tests; only its shop is made anew.
FRESH_SHOP = "drop schema public cascade; create schema public;" + SHOP


def rows_landed(house) -> int:
    if house.query("select to_regclass('raw.loads')") == [(None,)]:
        return 0
    return house.query("select coalesce(sum(rows), 0)::int from raw.loads")[0][0]


@pytest.fixture
def complaint(run, house):
    """Run the command, and return the line it complains with, having landed nothing."""

    def complain(*arguments: str) -> str:
        before = rows_landed(house)
        done = run(*arguments)
        assert done.returncode == 1, done
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert "Traceback" not in done.stderr + done.stdout
        assert rows_landed(house) == before
        return done.stderr

    return complain


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_no_warehouse(complaint, configure, free_port):
    configure(WAREHOUSE_PORT=free_port)
    said = complaint("shop")
    assert f"Cannot connect to the warehouse 127.0.0.1:{free_port}/" in said
    assert "Check that the server runs" in said


def test_no_shop(complaint, configure, free_port):
    configure(SHOP_DATABASE_URL=f"postgresql://reader:secret@127.0.0.1:{free_port}/shop")
    said = complaint("shop")
    assert f"Cannot connect to the shop database 127.0.0.1:{free_port}/shop (as reader)" in said
    assert "secret" not in said


def test_a_host_that_does_not_exist(complaint, configure):
    configure(SHOP_DATABASE_URL="postgresql://shop.invalid/shop")
    assert "Check the host" in complaint("shop")


def test_a_url_that_is_none(complaint, configure):
    configure(SHOP_DATABASE_URL="postgresql://reader:secret@[half/shop")
    said = complaint("shop")
    assert "SHOP_DATABASE_URL: it is not a URL" in said and "secret" not in said


def test_a_wrong_password(complaint, configure, server):
    configure(SHOP_DATABASE_URL=f"postgresql://postgres:wr0ng@127.0.0.1:{server.port}/postgres")
    said = complaint("shop")
    assert "password authentication failed" in said and "Check the user and the password: SHOP_DATABASE_URL" in said
    assert "wr0ng" not in said


def test_a_missing_database(complaint, configure, server):
    configure(SHOP_DATABASE_URL=f"postgresql://postgres:{server.password}@127.0.0.1:{server.port}/no_such_shop")
    assert 'database "no_such_shop" does not exist. Check the database\'s name' in complaint("shop")


def test_a_missing_table(complaint, house):
    house.execute_in_shop(FRESH_SHOP + "drop table payments")
    said = complaint("shop")
    assert "shop.payments: there is no table public.payments" in said and "docs/sources.md" in said


def test_a_missing_column(complaint, house):
    house.execute_in_shop(FRESH_SHOP + "alter table orders drop updated_at")
    assert "shop.orders: public.orders in the shop database" in (said := complaint("shop"))
    assert "lacks updated_at" in said


def test_an_updated_at_that_is_no_time(complaint, house):
    house.execute_in_shop(FRESH_SHOP + "alter table orders alter updated_at type text")
    assert "updated_at is text" in complaint("shop")


def test_a_table_that_may_not_be_read(complaint, house, server, configure):
    house.execute_in_shop(
        FRESH_SHOP + f"create role blind login password '{server.password}'; grant usage on schema public to blind"
    )
    try:
        configure(SHOP_DATABASE_URL=house.environment["SHOP_DATABASE_URL"].replace("user=postgres", "user=blind"))
        said = complaint("shop", "--tables", "orders")
    finally:
        house.execute_in_shop("drop owned by blind; drop role blind")
    assert "permission denied for table orders. Grant it: USAGE on the schema and SELECT" in said


def test_a_retyped_column(run, new_house):
    new_house.execute_in_shop(SHOP + order(1, "2026-01-01"))
    extract_load.load("shop", tables=["orders"])
    new_house.execute_in_shop("alter table orders alter customer_id type text")
    done = run("shop", "--tables", "orders")
    assert done.returncode == 1
    assert "shop.orders: the column customer_id is text at the source now; it was landed as bigint" in done.stderr
    assert new_house.query("select count(*) from raw.loads") == [(1,)]


def test_an_api_that_is_down(complaint, configure, free_port):
    configure(REVIEWS_URL=f"http://127.0.0.1:{free_port}", HTTP_RETRIES=2)
    said = complaint("reviews")
    assert f"GET http://127.0.0.1:{free_port}/reviews " in said and "the last of 2 tries" in said
    assert "REVIEWS_URL" in said


def test_an_api_that_is_slow(complaint, api, configure):
    import time

    configure(HTTP_TIMEOUT_SECONDS=0.3)
    api.instead = lambda *_: time.sleep(1)
    assert "no answer within 0.3 s" in complaint("reviews")


def test_an_api_that_answers_html(complaint, api):
    api.instead = lambda *_: Answer(b"<!doctype html>\n<title>Sign in</title>", headers={"Content-Type": "text/html"})
    said = complaint("reviews")
    assert "status 200, 38 bytes, text/html" in said and "Sign in" not in said


def test_an_api_that_sends_half_a_page(complaint, api):
    api.instead = lambda *_: Answer(b'{"page": 1, "pages": 1, "total": 2, "data": [{"review_id": "R-1"}, {"rev')
    assert "is not the promised JSON with a list of records" in complaint("reviews")


def test_an_api_that_breaks_off(complaint, api):
    api.instead = lambda *_: Answer(b'{"page": 1, "pages"', promised_length=1000)
    assert "the last of 2 tries with: peer closed connection" in complaint("reviews")


def test_an_api_of_another_shape(complaint, api):
    api.instead = lambda *_: Answer(b'{"orders": []}')
    said = complaint("reviews")
    assert "is not the promised JSON with a list of records at data" in said and "status 200, 14 bytes" in said


def test_an_api_that_refuses(complaint, api):
    api.instead = lambda *_: Answer(b'{"error": "no such route"}', 404)
    assert "is not the 200 that was promised: status 404" in (complaint("reviews"))
    assert len(api.asked) == 1


def test_an_api_that_fails_on_and_on(complaint, api):
    api.instead = lambda *_: Answer(b"database is locked", 500)
    assert "the last of 2 tries with: status 500, 18 bytes" in complaint("reviews")


def test_an_api_url_without_a_scheme(complaint, configure):
    configure(REVIEWS_URL="reviews.example.com")
    assert "REVIEWS_URL is not a URL" in complaint("reviews")


def test_an_api_url_that_is_none_and_has_a_password(complaint, configure):
    configure(REVIEWS_URL="https://us:hunter2/x@reviews.example.com")
    said = complaint("reviews")
    assert "REVIEWS_URL: it is not a URL" in said and "hunter2" not in said


def test_a_truncated_parquet(complaint, stores):
    write_day(stores, "2026-01-05", a_parquet=b"PAR1" + b"\0" * 100)
    assert "day=05/a.parquet can't be read" in complaint("stores")


def test_a_csv_without_a_header(complaint, stores):
    write_day(stores, "2026-01-05", a_csv="s1,r1,1,1\n")
    assert "its header line lacks store_id" in complaint("stores")


def test_a_day_without_its_flag_that_was_asked_for(complaint, stores):
    write_day(stores, "2026-01-05", is_complete=False, a_csv=HEADER)
    said = complaint("stores", "--from", "2026-01-05", "--until", "2026-01-06")
    assert f"sales/year=2026/month=01/day=05 has no {FLAG}" in said


def test_no_store_files(complaint, stores):
    assert f"There is no file below {stores}/sales" in complaint("stores")


def test_an_interval_that_ends_before_it_begins(complaint):
    assert "The interval is empty" in complaint("shop", "--from", "2026-01-02", "--until", "2026-01-01")


@pytest.mark.parametrize("edge", [("--from", "0001-01-01T00:00:00+05:00"), ("--until", "9999-12-31T23:00:00-05:00")])
@pytest.mark.parametrize("source", ["shop", "reviews", "stores"])
def test_an_interval_at_the_edge_of_the_calendar(complaint, source, edge):
    assert "lies outside the years 1 to 9999 in UTC" in complaint(source, *edge)


def test_an_unknown_table(complaint):
    assert "shop has no table refunds. It has: customers, products" in complaint("shop", "--tables", "refunds")


def test_a_wrong_setting(complaint, configure):
    configure(HTTP_RETRIES="many")
    assert "HTTP_RETRIES: Input should be a valid integer" in complaint("reviews")


@pytest.mark.parametrize("arguments", [(), ("shop", "--from", "yesterday"), ("all", "--tables", "orders")])
def test_wrong_usage_exits_with_2(run, new_house, arguments):
    done = run(*arguments)
    assert done.returncode == 2 and "error:" in done.stderr


def test_of_all_sources_a_failing_one_does_not_stop_the_others(run, new_house, api, stores):
    new_house.execute_in_shop(SHOP + order(1, "2026-01-01"))
    write_day(stores, "2026-01-05", a_csv=HEADER + "s1,r1,1,1\n")
    api.instead = lambda number, path, query: Answer(b"no", 403) if path == "/reviews" else None
    done = run("all", "--run-id", "run-1")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and "/reviews " in done.stderr
    assert done.stdout.splitlines()[-1] == "landed 2 rows in 9 loads; failed: reviews"
    assert new_house.query("select distinct run_id from raw.loads") == [("run-1",)]
    assert new_house.query("select count(*) from raw_stores.sales") == [(1,)]


def test_the_help_tells_all(run):
    said = run("--help").stdout
    words = (
        "SHOP_DATABASE_URL MARKETPLACE_URL REVIEWS_URL STORES_URL AWS_ENDPOINT_URL WAREHOUSE_HOST OVERLAP_MINUTES "
        "HTTP_RETRIES updated_at full interval shop.orders --from --until --tables --partition --run-id --allow-empty"
    )
    assert [word for word in words.split() if word not in said] == []
    assert "exit code: 0" in said and "examples" in said
