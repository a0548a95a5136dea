"""Ratings in a real Redis, read as docs/publish.md tells readers to."""

import select
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
from real_redis import wait_until

import publish
from publish.warehouse import RATINGS_LOCK
from storehouse.core.errors import StorehouseError

MANY = 10_000


def rate(marts: Callable[[str], None], products: int, reviews: int = 1) -> None:
    """So many products, each with so many reviews."""
    marts(
        "truncate feedback.product_ratings; insert into feedback.product_ratings (product_id, reviews, average_rating) "
        f"select 'P-' || n, {reviews}, 4.5 from generate_series(1, {products}) as n"
    )


def read(redis_server, *products: str) -> list[dict[str, str]]:
    """What a reader finds."""
    generation = redis_server.client.hget("storehouse:ratings", "generation")
    return [redis_server.client.hgetall(f"storehouse:ratings:{generation}:{product}") for product in products]


def generations(redis_server) -> dict[str, int]:
    """The products of each generation that is there."""
    keys = redis_server.client.keys("storehouse:ratings:*")
    return {key: redis_server.client.scard(key) for key in keys if key.count(":") == 2}


def test_a_reader_finds_each_rating_by_the_live_generation(marts, redis_server):
    marts(
        "insert into feedback.product_ratings (product_id, reviews, average_rating, last_review_date) "
        "values ('P-1', 3, 4.33, '2026-01-31'), ('Ä 2', 1, 5, null), ('a:b/c* ', 2, 4, null)"
    )
    published = publish.product_ratings()
    assert published.products == 3
    assert read(redis_server, "P-1", "Ä 2", "a:b/c* ", "P-3") == [
        {"product_id": "P-1", "reviews": "3", "average_rating": "4.33", "last_review_date": "2026-01-31"},
        {"product_id": "Ä 2", "reviews": "1", "average_rating": "5.00"},
        {"product_id": "a:b/c* ", "reviews": "2", "average_rating": "4.00"},
        {},
    ]
    live = redis_server.client.hgetall("storehouse:ratings")
    assert live.keys() == {"generation", "products", "published_at"}
    assert (live["generation"], live["products"]) == (published.generation, "3")


def test_every_key_outlives_a_missed_day_and_ends(marts, redis_server):
    rate(marts, 2_500)
    publish.product_ratings()
    lives = [redis_server.client.ttl(key) for key in redis_server.client.keys("*")]
    assert len(lives) == 2_502
    assert 48 * 3600 < min(lives) <= max(lives) <= 72 * 3600


def test_a_product_that_vanished_is_not_found_and_the_old_generation_ends_soon(marts, redis_server):
    rate(marts, 3_000)
    old = publish.product_ratings().generation
    rate(marts, 1)
    publish.product_ratings()
    assert [bool(found) for found in read(redis_server, "P-1", "P-2")] == [True, False]
    retired = redis_server.client.keys(f"storehouse:ratings:{old}*")
    assert len(retired) == 3_001
    assert 0 < min(map(redis_server.client.ttl, retired)) <= max(map(redis_server.client.ttl, retired)) <= 600


def test_readers_see_all_of_the_old_ratings_then_all_of_the_new(marts, redis_server):
    rate(marts, MANY, reviews=1)
    publish.product_ratings()
    rate(marts, MANY, reviews=2)
    seen, is_over = [], threading.Event()

    def look() -> None:
        while not is_over.is_set():
            seen.append({found.get("reviews") for found in read(redis_server, "P-1", f"P-{MANY // 2}", f"P-{MANY}")})

    reader = threading.Thread(target=look)
    reader.start()
    publish.product_ratings()
    is_over.set()
    reader.join()
    assert {"1"} in seen and all(found in ({"1"}, {"2"}) for found in seen)
    assert {found["reviews"] for found in read(redis_server, "P-1", f"P-{MANY}")} == {"2"}


@pytest.fixture
def half_way(marts, redis_server, start) -> Iterator:
    """The command after its first batches, with a complete older generation live."""
    rate(marts, MANY, reviews=1)
    old = publish.product_ratings().generation
    rate(marts, MANY, reviews=2)
    command = start("ratings")
    wait_until(lambda: redis_server.client.dbsize() > MANY + 2)
    yield command, old


def test_killed_half_way_the_old_generation_stays_live_and_nothing_is_left_for_ever(half_way, redis_server):
    command, old = half_way
    command.kill()
    assert command.wait() != 0
    assert redis_server.client.hget("storehouse:ratings", "generation") == old
    assert {found["reviews"] for found in read(redis_server, "P-1", f"P-{MANY}")} == {"1"}
    (half,) = [count for key, count in generations(redis_server).items() if not key.endswith(old)]
    assert 0 < half < MANY
    with redis_server.client.pipeline() as pipeline:
        for key in redis_server.client.keys("*"):
            pipeline.ttl(key)
        assert min(pipeline.execute()) > 0


def test_redis_that_dies_half_way_is_a_warning_and_the_next_run_publishes(half_way, marts, redis_server):
    command, _ = half_way
    redis_server.stop()
    _, said = command.communicate(timeout=300)
    assert command.returncode == 0, said
    assert "Redis does not take the ratings" in said and "the next run publishes all" in said
    redis_server.start()
    assert publish.product_ratings().products == MANY


class LosesTheAnswer(socketserver.BaseRequestHandler):
    """Between a client and Redis: the switch arrives, and the line is cut before its answer comes back."""

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.redis_port)) as redis:
            while True:
                for source in select.select([self.request, redis], [], [])[0]:
                    if not (said := source.recv(65536)):
                        return
                    if source is redis:
                        self.request.sendall(said)
                        continue
                    redis.sendall(said)
                    if b"published_at" in said:
                        redis.recv(65536)
                        return


def test_a_switch_whose_answer_is_lost_leaves_readers_whole_ratings_that_last(marts, redis_server, configure):
    rate(marts, 10, reviews=1)
    old = publish.product_ratings().generation
    rate(marts, 10, reviews=2)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), LosesTheAnswer) as line:
        line.redis_port = redis_server.port
        threading.Thread(target=line.serve_forever, daemon=True).start()
        configure(REDIS_URL=redis_server.url.replace(str(redis_server.port), str(line.server_address[1])))
        assert "does not take the ratings" in publish.product_ratings().note
        line.shutdown()
    live = redis_server.client.hget("storehouse:ratings", "generation")
    assert live != old and {found["reviews"] for found in read(redis_server, "P-1", "P-10")} == {"2"}
    assert min(map(redis_server.client.ttl, redis_server.client.keys(f"storehouse:ratings:{live}*"))) > 48 * 3600


def test_of_two_publishers_the_second_waits_and_its_newer_ratings_stay(marts, redis_server, start, house):
    rate(marts, MANY, reviews=1)
    with psycopg.connect(house.warehouse) as other:
        other.execute("select pg_advisory_xact_lock(%s)", [RATINGS_LOCK])
        commands = [start("ratings"), start("ratings")]
        waiting = "select count(*) = 2 from pg_locks where locktype = 'advisory' and not granted"
        wait_until(lambda: house.query(waiting) == [(True,)])
        rate(marts, MANY, reviews=2)
    assert [command.wait(300) for command in commands] == [0, 0]
    assert {found["reviews"] for found in read(redis_server, "P-1", f"P-{MANY}")} == {"2"}
    live = redis_server.client.hget("storehouse:ratings", "generation")
    assert redis_server.client.ttl(f"storehouse:ratings:{live}") > 48 * 3600


def test_redis_that_is_down_is_a_warning_and_the_result_says_so(marts, redis_server, start):
    rate(marts, 1)
    redis_server.stop()
    published = publish.product_ratings()
    assert (published.products, published.generation) == (0, None)
    assert "does not take the ratings" in published.note
    command = start("ratings")
    _, said = command.communicate(timeout=300)
    assert command.returncode == 0 and published.note.split(":")[0] in said


def test_a_full_redis_keeps_its_ratings_and_the_half_written_ones_end_soon(marts, redis_server):
    rate(marts, 10, reviews=1)
    publish.product_ratings()
    rate(marts, MANY, reviews=2)
    used = redis_server.client.info("memory")["used_memory"]
    redis_server.client.config_set("maxmemory", used + 2_000_000)
    published = publish.product_ratings()
    assert published.generation is None and "memory" in published.note
    assert read(redis_server, "P-1")[0]["reviews"] == "1"
    redis_server.client.config_set("maxmemory", 0)
    half = [key for key in generations(redis_server) if redis_server.client.scard(key) != 10]
    assert [redis_server.client.ttl(key) <= 600 for key in half] == [True]
    assert publish.product_ratings().products == MANY


def test_without_a_url_nothing_is_published_and_it_says_so(marts, start):
    rate(marts, 1)
    assert publish.product_ratings().note == "REDIS_URL is not set: ratings are not published"
    command = start("ratings")
    assert "REDIS_URL is not set" in command.communicate(timeout=300)[1]
    assert command.returncode == 0


def test_no_rating_at_all_replaces_none(marts, redis_server):
    rate(marts, 2)
    old = publish.product_ratings().generation
    rate(marts, 0)
    assert "is empty" in publish.product_ratings().note
    assert redis_server.client.hget("storehouse:ratings", "generation") == old


def test_what_waiting_does_not_mend_is_an_error_without_the_password(marts, redis_server, configure, start):
    rate(marts, 1)
    configure(REDIS_URL=redis_server.url.replace("let%20me%20in", "knock"))
    command = start("ratings")
    _, said = command.communicate(timeout=300)
    assert command.returncode == 1
    assert "Redis refused the ratings" in said and "REDIS_URL" in said
    assert "knock" not in said and "Traceback" not in said
    configure(REDIS_URL="http://knock@nowhere")
    with pytest.raises(StorehouseError, match="no URL of a Redis") as error:
        publish.product_ratings()
    assert "knock" not in str(error.value)


def test_a_key_that_is_not_ours_is_named_and_left(marts, redis_server):
    rate(marts, 1)
    redis_server.client.set("storehouse:ratings", "mine")
    with pytest.raises(StorehouseError, match="storehouse:ratings"):
        publish.product_ratings()
    assert redis_server.client.get("storehouse:ratings") == "mine"


def test_a_mart_that_is_not_built_is_one_clear_message(marts, redis_server):
    marts("drop table feedback.product_ratings")
    with pytest.raises(StorehouseError, match=r"product_ratings.*not published yet"):
        publish.product_ratings()
