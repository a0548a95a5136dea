"""Random histories: thousands of keys that live independent lives, and the loads in which their records arrive."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from extract_load import ledger
from extract_load.tables import TABLES, Table
from storehouse.core import databases

DAY_ZERO = datetime(2026, 1, 1, tzinfo=UTC)
COUNTRIES = ["US", "DE", "JP", "GB", "XX", None]
CURRENCIES = ["USD", "EUR", "JPY", " gbp ", None]
STATUSES = ["created", "approved", "shipped", "delivered", "canceled", "unavailable", "returned", "credit_note"]
# What reviews say, and the language they name.
TEXTS = [
    ("Good", "en"),
    ("Not good", "en-US"),
    ("PESSIMO", "pt"),
    ("Good", "fr"),
    ("Good", None),
    ("", "en"),
    (None, None),
]
# What a column of a table that this file does not speak of may hold, where no other table has one of its name.
ANY = {"text": ["x", " x ", "\u200b", ""], "boolean": [True, False], "integer": [-1, 0, 2], "numeric": [-0.5, 0, 12.5]}
PAYLOAD = ["payload"]
FILES = ["payload", "_file", "_line"]


@dataclass
class Record:
    """One version of a key as its source sent it, and the loads in which it arrives (one or more)."""

    table: str
    values: dict
    op: str = "u"
    arrives: list[int] = field(default_factory=list)


class World:
    """All records of one history, drawn from a seed.

    Args:
        seed: the same seed draws the same history.
        orders: web orders; everything else is in proportion.
        batches: moments at which loads arrive.
    """

    def __init__(self, seed: int, orders: int, batches: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.batches = batches
        self.keys = 0
        customers, products = orders // 4, 40
        self.records = [
            *self._lives(customers, self._customer),
            *self._lives(products, self._product),
            *self._lives(orders, lambda key, at: self._order(key, at, customers)),
            *self._lives(orders * 2, lambda key, at: self._item(key, at, orders)),
            *self._lives(orders, lambda key, at: self._payment(key, at, orders)),
            *self._lives(orders // 2, self._marketplace_order),
            *self._lives(orders // 2, lambda key, at: self._review(key, at, orders)),
            *self._lives(orders // 2, self._store_line),
        ]
        spoken_of = {record.table for record in self.records}
        self.seen: dict[str, list] = {}
        for record in self.records:
            for name, value in record.values.items():
                self.seen.setdefault(name, []).append(value)
        for table in TABLES:
            if table.label not in spoken_of:
                self.records += self._lives(orders // 2, partial(self._declared, table))
        for record in self.records:
            # Mostly once; sometimes again, later, or before the version that it replaces.
            record.arrives = sorted(self.dice.choices(range(batches), k=self.dice.choice([1, 1, 1, 2, 3])))

    def batch(self, number: int) -> dict[str, list[Record]]:
        """The records that arrive in a batch, by table, in an order of their own; some twice in one load."""
        arriving: dict[str, list[Record]] = {}
        for record in self.records:
            arriving.setdefault(record.table, []).extend([record] * record.arrives.count(number))
        for records in arriving.values():
            self.dice.shuffle(records)
        return {table: records for table, records in arriving.items() if records}

    def interval(self, number: int) -> tuple[datetime, datetime]:
        """What the loads of a batch asked for: all of the history, or not its start, or not its end."""
        dice = random.Random(f"{self.seed} {number}")
        return DAY_ZERO + timedelta(days=dice.choice([0, 0, 25])), DAY_ZERO + timedelta(days=dice.choice([60, 60, 45]))

    def _lives(self, keys: int, version: object) -> Iterator[Record]:
        for key in range(keys):
            self.keys += 1
            moments = sorted(self.dice.sample(range(60 * 24), k=self.dice.choice([1, 1, 2, 3, 5])))
            for moment in moments:
                yield version(key, DAY_ZERO + timedelta(hours=moment))

    def _money(self, most: int = 400, least: int = 0) -> float:
        return self.dice.randrange(least * 100, most * 100) / 100

    def _moment(self) -> datetime:
        """A day before all versions; seldom one after every load's interval, which is refused."""
        return DAY_ZERO + timedelta(days=90 if self._sometimes(0.03) else -self.dice.randrange(80))

    def _sometimes(self, share: float) -> bool:
        return self.dice.random() < share

    def _customer(self, key: int, at: datetime) -> Record:
        values = {
            "customer_id": str(key),
            "email": f"{key}@example.com",
            "full_name": f"Customer {key} {self.dice.randrange(3)}",
            "city": self.dice.choice(["Here", "There"]),
            "region": f"State {at.day % 4}",
            "country": self.dice.choice(COUNTRIES),
            "created_at": DAY_ZERO,
            "updated_at": at,
        }
        return Record("shop.customers", values)

    def _product(self, key: int, at: datetime) -> Record:
        wrong = self._sometimes(0.1)
        values = {
            "product_id": f"P-{key}",
            "name": f"Product {key}",
            "category": self.dice.choice(["toys", "Books ", None]),
            "price": -1 if wrong else self._money(),
            "currency": "USD",
            "is_active": True,
            "created_at": DAY_ZERO,
            "updated_at": at,
        }
        return Record("shop.products", values, op="d" if self._sometimes(0.1) else "u")

    def _order(self, key: int, at: datetime, customers: int) -> Record:
        values = {
            "order_id": str(key),
            # A customer may be one that is not there, or none: a guest.
            "customer_id": None if self._sometimes(0.05) else str(self.dice.randrange(customers + 5)),
            "status": self.dice.choice([*STATUSES, "Shipped ", "bogus"]),
            "currency": self.dice.choice([*CURRENCIES, "ZZZ"]),
            "total_amount": self._money(2000, least=-20),
            # A key moves between days.
            "placed_at": self._moment() + timedelta(hours=key % 24),
            # Of some it is not known, others are on their way; each version may say another time.
            "estimated_delivery_at": at + timedelta(hours=key % 48) if key % 5 else None,
            "delivered_at": at + timedelta(hours=36) if key % 3 else None,
            "created_at": DAY_ZERO,
            "updated_at": at,
        }
        return Record("shop.orders", values, op="d" if self._sometimes(0.1) else "u")

    def _item(self, key: int, at: datetime, orders: int) -> Record:
        values = {
            # Some lines belong to an order that is not there.
            "order_id": str(key % (orders + 10)),
            "line_number": key // (orders + 10) + 1,
            "product_id": self.dice.choice(["P-1", "P-1 ", "P.2/a", "P\t3", None]) if self._sometimes(0.2) else "P-7",
            "quantity": self.dice.choice([1, 1, 2, 3, 0, -1]),
            "unit_price": self._money() / self.dice.choice([1, 1, 1000]),
            "discount_amount": self.dice.choice([0, 0, 1.5, 20, -0.125]),
            "freight_amount": self.dice.choice([0, 4.99]),
            "seller_id": f"S-{at.day % 4}",
            "created_at": DAY_ZERO,
            "updated_at": at,
        }
        return Record("shop.order_items", values, op="d" if self._sometimes(0.15) else "u")

    def _payment(self, key: int, at: datetime, orders: int) -> Record:
        values = {
            "payment_id": str(key),
            # A key moves between orders.
            "order_id": str(self.dice.randrange(orders)) if self._sometimes(0.2) else str(key),
            "method": self.dice.choice(["card", "Voucher ", None]),
            "installments": 1,
            "payment_sequence": at.day,
            "amount": self._money(least=-5),
            "currency": self.dice.choice(CURRENCIES),
            "status": self.dice.choice(["authorized", "captured", "refunded", "failed", "odd"]),
            "paid_at": self.dice.choice([None, self._moment()]),
            "created_at": DAY_ZERO,
            "updated_at": at,
        }
        return Record("shop.payments", values)

    def _marketplace_order(self, key: int, at: datetime) -> Record:
        lines = [
            {
                "line_number": number,
                "product_id": f"P-{self.dice.randrange(40)}",
                "quantity": self.dice.choice([1, 2, -1, 0]) if self._sometimes(0.1) else 1,
                "unit_price": self._money(),
                "discount_amount": 0,
                "freight_amount": 2.5,
            }
            for number in range(1, self.dice.choice([0, 2, 2, 3, 4]) + 1)
        ]
        payments = [
            {
                "payment_id": f"MP-{key}-{number}",
                "method": "card",
                "installments": 1,
                "amount": self._money(),
                "status": self.dice.choice(["captured", "refunded"]),
                "paid_at": at.isoformat(),
            }
            | ({"refunds_payment_id": f"MP-{key}-0", "status": "refunded"} if number else {})
            for number in range(self.dice.choice([0, 1, 2]))
        ]
        payload = {
            "order_id": f"M-{key}",
            "region": self.dice.choice(["us", "EU", "apac"]),
            "status": self.dice.choice(STATUSES),
            "currency": self.dice.choice(["USD", "eur", "ZZZ"]),
            "total_amount": self._money(),
            "buyer": None
            if self._sometimes(0.1)
            else {"buyer_id": f"B-{self.dice.randrange(1 + key % 50)}", "country": "US", "email": "b@example.com"},
            "placed_at": self._moment().isoformat(),
            "updated_at": "yesterday" if self._sometimes(0.03) else at.isoformat(),
            "deleted": self._sometimes(0.1),
            "lines": lines,
            "payments": payments,
        }
        return Record("marketplace.orders", {"payload": json.dumps(payload)})

    def _review(self, key: int, at: datetime, orders: int) -> Record:
        text, language = self.dice.choice(TEXTS)
        payload = {
            "review_id": f"R-{key // 2}",
            "order_id": str(key % orders) if key % 2 else None,
            "product_id": self.dice.choice(["P-1", "P-2", f"P-{key % 40}", "bad\u200bid"]),
            "customer_id": "1",
            "rating": self.dice.choice([0, 1, 2, 3, 4, 5, 6]),
            "text": text,
            "language": language,
            "created_at": self._moment().isoformat(),
            "updated_at": at.isoformat(),
            "deleted": self._sometimes(0.1),
        }
        return Record("reviews.reviews", {"payload": json.dumps(payload)})

    def _store_line(self, key: int, at: datetime) -> Record:
        receipt = key // 2
        payload = {
            "store_id": f"S{receipt % 5}",
            "receipt_id": f"X{receipt}",
            "line_number": str(1 + key % 2),
            "sold_at": (DAY_ZERO - timedelta(days=receipt % 60)).isoformat(),
            "updated_at": at.isoformat(),
            "region": ["us", "eu", "apac"][receipt % 3],
            "country": "DE",
            "product_id": "P-3",
            "quantity": self.dice.choice(["1", "2", "two", "-1"]),
            "unit_price": f"{self._money():.2f}",
            "discount_amount": self.dice.choice(["", "1.00", "-0.005"]),
            "currency": "EUR",
            "payment_method": "cash",
            "customer_id": str(receipt % 20) if receipt % 3 else "",
            "is_void": self.dice.choice(["false", "false", "true"]),
        }
        return Record("stores.sales", {"payload": json.dumps(payload), "_file": "f.csv", "_line": key})

    def _declared(self, table: Table, key: int, at: datetime) -> Record:
        """A record of a table that this file does not speak of: of its declaration, and of what other tables hold."""
        kinds = table.columns or dict.fromkeys(sorted(table.members), "text")
        values = {name: self.dice.choice([None, *self._any(name, kind)]) for name, kind in kinds.items()}
        values |= {name: key if kinds[name] in ("integer", "numeric") else str(key) for name in table.key}
        values |= {name: at for name in [table.version] if name} | {name: None for name in [table.deleted] if name}
        if table.columns:
            return Record(table.label, values, op="d" if self._sometimes(0.1) else "u")
        values |= {table.deleted: self._sometimes(0.1)} if table.deleted else {}
        return Record(table.label, {"payload": json.dumps(values, default=str), "_file": "f", "_line": key})

    def _any(self, name: str, kind: str) -> list:
        """Values for a column: of the columns of its name, else of its type."""
        if name in self.seen:
            return self.dice.choices(self.seen[name], k=4)
        return [self._moment()] if kind == "timestamptz" else ANY[kind]


class Landed:
    """What has really been landed, with the load ids that it got: the truth that an oracle starts from."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[int, int, Record]]] = {}
        self.intervals: dict[int, tuple[datetime, datetime]] = {}

    def land(
        self,
        table_name: str,
        records: list[Record],
        interval: tuple[datetime, datetime],
        meanwhile: Callable[[], object] = lambda: None,
    ) -> None:
        """Land records as one load of an interval, through extract-load's own transaction.

        `meanwhile` happens when the load's rows are written, and before it is committed.
        """
        (table,) = (t for t in TABLES if t.label == table_name)
        columns = list(table.columns) or (FILES if table.connector == "files" else PAYLOAD)

        def feed(write: Callable[..., None]) -> None:
            for record in records:
                write(record.op, *(record.values.get(column) for column in columns))

        with databases.open_warehouse() as warehouse:

            def append(load_id: int) -> int:
                rows = ledger.copy_rows(warehouse, table, ["_op", *columns], load_id, feed)
                meanwhile()
                return rows

            result = ledger.land(warehouse, ledger.Load(table, None, *interval), append)
        self.intervals[result.load_id] = interval
        rows = self.rows.setdefault(table_name, [])
        rows += [(result.load_id, position, record) for position, record in enumerate(records, start=1)]
