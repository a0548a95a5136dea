"""Product ratings to Redis, a generation at a time: readers see all of the old one, then all of the new one.

`storehouse:ratings`                        hash: `generation` (the live one), `products`, `published_at`
`storehouse:ratings:<generation>`           set: the products of a generation
`storehouse:ratings:<generation>:<product>` hash: the fields of a product
"""

import logging
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import NamedTuple
from uuid import uuid4

import psycopg
import redis
from psycopg import sql
from redis import exceptions
from redis.typing import FieldT

from publish.warehouse import RATINGS_LOCK, snapshot
from storehouse.core.errors import StorehouseError, without_values
from storehouse.core.settings import settings
from storehouse.core.shown import first_line

logger = logging.getLogger("publish")

LIVE = "storehouse:ratings"
FIELDS = (
    *("product_id", "reviews", "average_rating", "rating_change", "has_dropped"),
    *("positive_reviews", "neutral_reviews", "negative_reviews", "last_review_date"),
)
BATCH = 1_000  # products
# A reader that got the generation's name just before the switch still finds its products.
GRACE = timedelta(minutes=10)
ANSWER_WITHIN = 10  # seconds

# Errors that may be gone in the next run. The first two are subclasses of the third.
_WRONG = (exceptions.AuthenticationError, exceptions.AuthorizationError)
_AWAY = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,
    exceptions.OutOfMemoryError,
    exceptions.ClusterError,
)


class Published(NamedTuple):
    """What a run published.

    Attributes:
        products: how many.
        generation: the live generation now; None when nothing was published.
        note: why nothing was.
    """

    products: int
    generation: str | None
    note: str = ""


def publish() -> Published:
    """Publish all ratings; see `publish.product_ratings`."""
    url = settings().redis_url
    if url is None:
        return _nothing(logging.INFO, "REDIS_URL is not set: ratings are not published")
    try:
        client = redis.Redis.from_url(
            url, decode_responses=True, socket_timeout=ANSWER_WITHIN, socket_connect_timeout=ANSWER_WITHIN
        )
    except ValueError:
        # Not in its words: they may quote the password.
        raise StorehouseError("REDIS_URL is no URL of a Redis, such as redis://user:password@host:6379/0") from None
    with client:
        try:
            return _publish(client)
        except (TypeError, exceptions.RedisError) as error:
            if said := _wrong_with_tls(error, url):
                raise StorehouseError(
                    f"REDIS_URL can't be used: {said}. Check its options ssl_ca_certs, ssl_certfile and ssl_keyfile, "
                    "the files that they name, and that the host is the one that the certificate of Redis names "
                    "(docs/publish.md). Readers keep what they have."
                ) from None
            if isinstance(error, TypeError):
                raise
            said = without_values(first_line(error))
            if isinstance(error, _WRONG) or not (isinstance(error, _AWAY) or str(error).startswith("MISCONF")):
                raise StorehouseError(
                    f"Redis refused the ratings: {said}. "
                    f"Check the user, the password and the database of REDIS_URL, "
                    f"and that {LIVE}* is ours alone. Readers keep what they have."
                ) from None
            return _nothing(
                logging.WARNING,
                f"Redis does not take the ratings: {said}. Readers keep what they have, the next run publishes all",
            )


def _wrong_with_tls(error: Exception, url: str) -> str:
    """What is wrong with the options of the URL or with a certificate; nothing when it is something else."""
    if isinstance(error, TypeError):  # redis-py's own word for an option that it does not know
        return "it has an option that is unknown" if "unexpected keyword" in str(error) else ""
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return ""  # the server went away meanwhile
    if isinstance(cause, ssl.SSLError) or (
        url.startswith("rediss:") and isinstance(cause, FileNotFoundError | PermissionError)
    ):
        return str(cause.strerror or cause)
    return ""


def _publish(client: redis.Redis) -> Published:
    lives = timedelta(hours=settings().ratings_ttl_hours)
    # Asked first: when Redis is away, the warehouse is not read.
    client.ping()
    # One at a time, to the switch: an older one that is slow must not put its ratings in the place of newer ones.
    with snapshot(RATINGS_LOCK, "the publishing of ratings") as warehouse:
        now = datetime.now(UTC)
        generation = f"{now:%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}"
        try:
            products = _write(client, warehouse, generation, lives)
        except Exception:
            _retire(client, generation)
            raise
        if not products:
            return _nothing(logging.WARNING, "feedback.product_ratings is empty: readers keep what they have")
        # When the answer is lost, the switch may have been made: what may be live is not retired.
        with client.pipeline(transaction=True) as pipeline:
            pipeline.hget(LIVE, "generation")
            pipeline.hset(
                LIVE,
                mapping={
                    "generation": generation,
                    "products": products,
                    "published_at": now.isoformat(timespec="seconds"),
                },
            )
            pipeline.expire(LIVE, lives)
            before = pipeline.execute()[0]
    if before and before != generation:
        _retire(client, before)
    logger.info("ratings   %s products, generation %s", f"{products:,}", generation)
    return Published(products, generation)


def _write(client: redis.Redis, warehouse: psycopg.Connection, generation: str, lives: timedelta) -> int:
    """Write a generation that no reader knows of yet; returns how many products it has."""
    products = 0
    for batch in _batches(warehouse):
        products += len(batch)
        # A transaction: nothing is ever there without its end.
        with client.pipeline(transaction=True) as pipeline:
            pipeline.sadd(_key(generation), *(record["product_id"] for record in batch))
            pipeline.expire(_key(generation), lives)
            for record in batch:
                key = _key(generation, record["product_id"])
                pipeline.hset(key, mapping=record)
                pipeline.expire(key, lives)
            pipeline.execute()
    if products != (held := client.scard(_key(generation))):
        raise StorehouseError(
            f"Redis holds {held:,} of {products:,} products that were just written: something else writes to {LIVE}*, "
            "or evicts it. Readers keep what they have."
        )
    return products


def _batches(warehouse: psycopg.Connection) -> Iterator[list[dict[FieldT, str]]]:
    """The ratings as Redis keeps them, from a server-side cursor; a field without a value is left out."""
    fields = sql.SQL(", ").join(map(sql.Identifier, FIELDS))
    with warehouse.cursor(name="ratings") as cursor:
        cursor.execute(sql.SQL("select {} from feedback.product_ratings").format(fields))
        while rows := cursor.fetchmany(BATCH):
            yield [
                {field: str(value) for field, value in zip(FIELDS, row, strict=True) if value is not None}
                for row in rows
            ]


def _retire(client: redis.Redis, generation: str) -> None:
    """Let a generation that nobody is sent to end soon; where that fails, it ends in its own time."""
    with suppress(exceptions.RedisError):
        for products in _in_batches(client.sscan_iter(_key(generation), count=BATCH)):
            with client.pipeline(transaction=False) as pipeline:
                for product in products:
                    pipeline.expire(_key(generation, product), GRACE)
                pipeline.execute()
        client.expire(_key(generation), GRACE)


def _in_batches(products: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(products, BATCH)):
        yield batch


def _key(generation: str, product: str | None = None) -> str:
    return ":".join(filter(None, (LIVE, generation, product)))


def _nothing(level: int, note: str) -> Published:
    logger.log(level, "ratings   %s", note)
    return Published(0, None, note)
