"""Which tables are landed from which source, by which key and in which way: the one place to change that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["updated_at", "interval", "full"]  # `change_log` (logical decoding) will be the fourth.

SOURCES = ("shop", "marketplace", "reviews", "stores")
MARKETPLACE_REGIONS = ("us", "eu", "apac")


@dataclass(frozen=True)
class Table:
    """One landed table.

    Attributes:
        source: one of `SOURCES`.
        name: the table's name at the source and, in the schema `raw_<source>`, in the warehouse.
        key: the columns (or the members of a record) that identify a row at the source.
        kind: how it is read. `updated_at`: rows changed since the watermark, less an overlap. `full`: the whole
            table, of which the differences are landed. `interval`: the records (or day folders) of an interval.
        columns: for a database table, the columns that the source must have, with the type that raw gives them as
            long as nothing was landed; then the source's own types hold.
        optional: those of `columns` that the source may lack.
        members: what a record of an API or a file should have; records with others land too, with a message.
        partitions: what is read, and has its watermark, on its own.
    """

    source: str
    name: str
    key: tuple[str, ...]
    kind: Kind
    columns: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    members: frozenset[str] = frozenset()
    partitions: tuple[str | None, ...] = (None,)

    @property
    def label(self) -> str:
        """The name people read: `shop.orders`."""
        return f"{self.source}.{self.name}"

    @property
    def schema(self) -> str:
        """The schema it lands in."""
        return f"raw_{self.source}"


def _columns(text: str = "", **others: str) -> dict[str, str]:
    at = {"created_at": "timestamptz", "updated_at": "timestamptz"}
    return dict.fromkeys(text.split(), "text") | others | at


def _members(text: str) -> frozenset[str]:
    return frozenset(text.split())


TABLES = (
    Table(
        "shop",
        "customers",
        key=("customer_id",),
        kind="updated_at",
        columns=_columns("customer_id email full_name address postal_code city region country"),
    ),
    Table(
        "shop",
        "products",
        key=("product_id",),
        kind="full",
        columns=_columns("product_id name category currency", price="numeric", is_active="boolean"),
    ),
    Table(
        "shop",
        "orders",
        key=("order_id",),
        kind="updated_at",
        columns=_columns(
            "order_id customer_id status currency discount_code",
            total_amount="numeric",
            placed_at="timestamptz",
            approved_at="timestamptz",
            shipped_at="timestamptz",
            delivered_at="timestamptz",
            deleted_at="timestamptz",
        ),
        optional=("deleted_at",),
    ),
    Table(
        "shop",
        "order_items",
        key=("order_id", "line_number"),
        kind="updated_at",
        columns=_columns(
            "order_id product_id",
            line_number="integer",
            quantity="integer",
            unit_price="numeric",
            discount_amount="numeric",
            freight_amount="numeric",
            deleted_at="timestamptz",
        ),
        optional=("deleted_at",),
    ),
    Table(
        "shop",
        "payments",
        key=("payment_id",),
        kind="updated_at",
        columns=_columns(
            "payment_id order_id method currency status",
            installments="integer",
            amount="numeric",
            paid_at="timestamptz",
            deleted_at="timestamptz",
        ),
        optional=("deleted_at",),
    ),
    Table(
        "marketplace",
        "orders",
        key=("order_id",),
        kind="interval",
        members=_members(
            "order_id region status currency total_amount buyer discount_code placed_at updated_at deleted "
            "lines payments"
        ),
        partitions=MARKETPLACE_REGIONS,
    ),
    Table(
        "reviews",
        "reviews",
        key=("review_id", "order_id"),
        kind="interval",
        members=_members(
            "review_id order_id product_id customer_id rating title text language created_at updated_at deleted"
        ),
    ),
    Table(
        "stores",
        "sales",
        key=("store_id", "receipt_id", "line_number"),
        kind="interval",
        members=_members(
            "store_id receipt_id line_number sold_at updated_at region country product_id quantity unit_price "
            "discount_amount currency payment_method customer_id is_void"
        ),
    ),
)


def tables_of(source: str) -> list[Table]:
    """The tables of one source, in the order they are landed."""
    return [table for table in TABLES if table.source == source]
