"""Marts to their readers: ratings to Redis, daily sales to Parquet. See `python -m publish -h` and docs/publish.md."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from publish.ratings import Published
    from publish.sales import Exported

__all__ = ["daily_sales", "product_ratings"]


# The modules late: a DAG file that asks for names shall not import pyarrow.
def product_ratings() -> "Published":
    """Publish every product's rating to Redis, and switch readers to the new ones at once.

    Returns:
        What was published. Nothing (`generation` is None) when `REDIS_URL` is unset, when there is no rating yet, or
        when Redis is away or full: `note` says which, readers keep what they have, and the next run publishes all.

    Raises:
        StorehouseError: an error that waiting can't solve: a wrong URL or password, no mart, no warehouse.
    """
    from publish import ratings

    return ratings.publish()


def daily_sales() -> "Exported":
    """Bring the Parquet files of daily sales up to date: those of the days that changed, and no other.

    Returns:
        How many days were written, removed, and left as they were.

    Raises:
        StorehouseError: the target can't be written, or does not hold what was written; no mart, no warehouse.
    """
    from publish import sales

    return sales.export()
