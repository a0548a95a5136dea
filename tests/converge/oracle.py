"""The marts as they must be, computed from what was landed in plain Python: no SQL of the project's, no dbt."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from histories import DAY_ZERO, Landed, Record

KNOWN_STATUSES = {"created", "approved", "shipped", "delivered", "canceled", "returned"}
KNOWN_CURRENCIES = {"USD", "EUR", "JPY", "GBP"}
REGIONS = {"US": "us", "DE": "eu", "GB": "eu", "JP": "apac"}
HIGH_VALUE_USD = 1000
Versions = list[tuple[tuple, Record]]


def cents(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP)


def money(value: object) -> Decimal:
    return Decimal(str(value or 0))


def currency(value: str | None) -> str:
    return (value or "USD").strip().upper()


def average(reviews: list[dict]) -> Decimal | None:
    return cents(Decimal(sum(r["rating"] for r in reviews)) / len(reviews)) if reviews else None


def sentiment(review: dict) -> str | None:
    if not review["text"]:
        return None
    # No French words are in the seed.
    return "neutral" if review["language"] == "fr" else "positive" if review["text"] == "Good" else "negative"


def in_future(moment: datetime | None, seen_until: datetime) -> bool:
    """More than a day after the end of its load's interval."""
    return moment is not None and moment > seen_until + timedelta(days=1)


def is_stale(changed: datetime, asked_from: datetime) -> bool:
    """Changed more than two weeks before its load's interval."""
    return changed < asked_from - timedelta(days=14)


def is_product(value: str | None) -> bool:
    return bool(value and value.isprintable())


def at(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


# What of each table is accepted, in a load that asked for what lies between `a` and `z`.
ACCEPTS: dict[str, Callable[[dict, datetime, datetime], bool]] = {
    "shop.customers": lambda r, a, z: not in_future(r["updated_at"], z),
    "shop.products": lambda r, a, z: r["price"] >= 0,
    "shop.orders": lambda r, a, z: (
        r["customer_id"] is not None
        and r["status"].strip().lower() in KNOWN_STATUSES
        and currency(r["currency"]) in KNOWN_CURRENCIES
        and r["total_amount"] >= 0
        and not in_future(r["placed_at"], z)
        and not in_future(r["updated_at"], z)
    ),
    "shop.order_items": lambda r, a, z: (
        is_product(r["product_id"])
        and r["quantity"] > 0
        and money(r["discount_amount"]) <= r["quantity"] * money(r["unit_price"])
        and not in_future(r["updated_at"], z)
    ),
    "shop.payments": lambda r, a, z: (
        r["amount"] >= 0
        and r["status"] != "odd"
        and not in_future(r["paid_at"], z)
        and not in_future(r["updated_at"], z)
    ),
    "marketplace.orders": lambda r, a, z: (
        at(r["updated_at"]) is not None
        and not in_future(at(r["updated_at"]), z)
        and not is_stale(at(r["updated_at"]), a)
        and not in_future(at(r["placed_at"]), z)
        and currency(r["currency"]) in KNOWN_CURRENCIES
        and bool(r["lines"])
        and all(line["quantity"] > 0 for line in r["lines"])
        and not any(in_future(at(payment["paid_at"]), z) for payment in r["payments"])
    ),
    "reviews.reviews": lambda r, a, z: (
        is_product(r["product_id"])
        and 1 <= r["rating"] <= 5
        and not in_future(at(r["created_at"]), z)
        and not in_future(at(r["updated_at"]), z)
        and not is_stale(at(r["updated_at"]), a)
    ),
    "stores.sales": lambda r, a, z: (
        r["quantity"].isdigit()
        and money(r["discount_amount"]) <= int(r["quantity"]) * money(r["unit_price"])
        and not in_future(at(r["sold_at"]), z)
        and not in_future(at(r["updated_at"]), z)
        and not is_stale(at(r["updated_at"]), a)
    ),
}


def content(record: Record) -> dict:
    return json.loads(record.values["payload"]) if "payload" in record.values else record.values


def is_deleted(record: Record) -> bool:
    values = content(record)
    return record.op == "d" or values.get("deleted") is True or values.get("is_void") == "true"


def version(record: Record, load_id: int, row: int, asked_from: datetime, seen_until: datetime) -> tuple:
    if record.table == "shop.products":
        return load_id, row
    moment = content(record)["updated_at"]
    moment = at(moment) if isinstance(moment, str) else moment
    # Deleted at a time that its load cannot have seen: before the end of what the load asked for.
    if is_deleted(record) and (not moment or in_future(moment, seen_until) or is_stale(moment, asked_from)):
        moment = seen_until
    return moment, load_id, row


class Oracle:
    """Everything that the marts are compared with.

    Args:
        landed: what was landed, with load ids.
        rates: currency, first day and rate, as the warehouse's seed has them.
    """

    def __init__(self, landed: Landed, rates: list[tuple[str, date, Decimal]]) -> None:
        self.landed = landed
        self.rates = sorted(rates, key=lambda rate: rate[1])
        self.orders = self._orders()
        self.items = self._items()
        self.payments = self._payments()

    def rate(self, code: str, day: date) -> Decimal:
        return [rate for rate_code, since, rate in self.rates if rate_code == code and since <= day][-1]

    def accepts(self, table: str, load_id: int, record: Record) -> bool:
        return is_deleted(record) or ACCEPTS[table](content(record), *self.landed.intervals[load_id])

    def accepted(self, table: str) -> list[tuple[int, int, Record]]:
        return [row for row in self.landed.rows.get(table, []) if self.accepts(table, row[0], row[2])]

    def latest(self, table: str, key: Callable[[dict], object]) -> dict[object, dict]:
        """The greatest accepted version of each key, without the deleted ones."""
        best: dict[object, tuple[tuple, Record]] = {}
        for load_id, row, record in self.accepted(table):
            mine = version(record, load_id, row, *self.landed.intervals[load_id])
            name = key(content(record))
            if name not in best or mine > best[name][0]:
                best[name] = (mine, record)
        return {name: content(record) for name, (_, record) in best.items() if not is_deleted(record)}

    def loads(self) -> dict[int, tuple[int, int]]:
        """Accepted and refused rows of each load."""
        counts: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        for table, rows in self.landed.rows.items():
            for load_id, _, record in rows:
                counts[load_id][0 if self.accepts(table, load_id, record) else 1] += 1
        return {load_id: tuple(count) for load_id, count in counts.items()}

    def _country_when(self, customer: str, moment: datetime) -> str | None:
        versions = self.customer_versions.get(customer, {})
        before = [v for v in versions if v <= moment]
        return versions[max(before) if before else min(versions)] if versions else None

    def _orders(self) -> dict[str, dict]:
        self.customer_versions: dict[str, dict[datetime, str | None]] = defaultdict(dict)
        for _, _, record in self.accepted("shop.customers"):
            self.customer_versions[record.values["customer_id"]][record.values["updated_at"]] = record.values["country"]
        orders = {}
        for key, order in self.latest("shop.orders", lambda r: r["order_id"]).items():
            country = self._country_when(order["customer_id"], order["placed_at"])
            orders[f"web-{key}"] = {
                "channel": "web",
                "customer": f"web-{order['customer_id']}",
                "region": REGIONS.get(country, "other"),
                "status": order["status"].strip().lower(),
                "currency": currency(order["currency"]),
                "date": order["placed_at"].date(),
            }
        self.marketplace = self.latest("marketplace.orders", lambda r: r["order_id"])
        for key, order in self.marketplace.items():
            orders[f"mkt-{key}"] = {
                "channel": "marketplace",
                "customer": f"mkt-{order['buyer']['buyer_id']}",
                "region": order["region"].lower(),
                "status": order["status"],
                "currency": currency(order["currency"]),
                "date": at(order["placed_at"]).date(),
            }
        self.store_lines = self.latest(
            "stores.sales", lambda r: (r["store_id"], r["receipt_id"], int(r["line_number"]))
        )
        for (store, receipt, _), line in sorted(self.store_lines.items()):
            orders.setdefault(
                f"store-{store}/{receipt}",
                {
                    "channel": "stores",
                    "customer": f"web-{line['customer_id']}" if line["customer_id"] else None,
                    "region": line["region"],
                    "status": "delivered",
                    "currency": "EUR",
                    "date": at(line["sold_at"]).date(),
                },
            )
        return orders

    def _items(self) -> dict[tuple[str, int], tuple]:
        lines = []
        for (order, number), line in self.latest(
            "shop.order_items", lambda r: (r["order_id"], r["line_number"])
        ).items():
            lines.append((f"web-{order}", number, line))
        for order, values in self.marketplace.items():
            lines += [(f"mkt-{order}", line["line_number"], line) for line in values["lines"]]
        for (store, receipt, number), line in self.store_lines.items():
            lines.append((f"store-{store}/{receipt}", number, line))
        return {
            (order, number): (
                line["product_id"],
                int(line["quantity"]),
                int(line["quantity"]) * money(line["unit_price"]),
                money(line["discount_amount"]),
                money(line.get("freight_amount")),
            )
            for order, number, line in lines
            if order in self.orders
        }

    def _payments(self) -> dict[str, tuple]:
        payments = {}
        for key, payment in self.latest("shop.payments", lambda r: r["payment_id"]).items():
            payments[f"web-{key}"] = (f"web-{payment['order_id']}", payment, payment["paid_at"])
        for order, values in self.marketplace.items():
            for payment in values["payments"]:
                whole = payment | {"currency": values["currency"]}
                payments[f"mkt-{order}/{payment['payment_id']}"] = (f"mkt-{order}", whole, at(payment["paid_at"]))
        for (store, receipt, _), line in self.store_lines.items():
            order = f"store-{store}/{receipt}"
            sum_of = payments.get(f"{order}/1", (None, {"amount": Decimal(0)}))[1]["amount"]
            amount = int(line["quantity"]) * money(line["unit_price"]) - money(line["discount_amount"])
            payment = {"method": "cash", "amount": sum_of + amount, "currency": "EUR", "status": "captured"}
            payments[f"{order}/1"] = (order, payment, at(line["sold_at"]))
        result = {}
        for key, (order, payment, paid_at) in payments.items():
            code = currency(payment["currency"])
            day = paid_at.date() if paid_at else self.orders[order]["date"] if order in self.orders else None
            amount = money(payment["amount"])
            usd = cents(amount * self.rate(code, day)) if day else None
            result[key] = (order, (payment["method"] or "unknown").strip().lower(), payment["status"], amount, usd)
        return result

    # What the tests compare, each as the rows of one query of test_whole_histories.

    def fct_order_items(self) -> Iterable[tuple]:
        for (order, number), (product, quantity, items, discount, freight) in self.items.items():
            head = self.orders[order]
            usd = cents((items - discount + freight) * self.rate(head["currency"], head["date"]))
            yield order, number, product, quantity, items - discount + freight, usd

    def fct_payments(self) -> Iterable[tuple]:
        for key, (order, method, status, amount, usd) in self.payments.items():
            yield key, order, method, status, amount, usd

    def measured_orders(self) -> dict[str, dict]:
        sums: dict[str, list] = defaultdict(lambda: [0, Decimal(0), Decimal(0), Decimal(0)])
        for (order, _), (_, quantity, items, discount, freight) in self.items.items():
            for index, value in enumerate((quantity, items, discount, freight)):
                sums[order][index] += value
        paid: Counter = Counter()
        for order, _, status, _, usd in self.payments.values():
            paid[order, status] += usd or 0
        measured = {}
        for order, head in self.orders.items():
            quantity, items, discount, freight = sums[order]
            rate = self.rate(head["currency"], head["date"])
            share = (discount / items).quantize(Decimal("0.0001"), ROUND_HALF_UP) if items else Decimal(0)
            measured[order] = head | {
                "quantity": quantity,
                "usd": cents((items - discount + freight) * rate),
                "paid": paid[order, "captured"] + paid[order, "refunded"],
                "refunded": paid[order, "refunded"],
                "tier": next((t for t, least in TIERS if share >= least), None) if share < Decimal("1.0001") else None,
            }
        return measured

    def fct_orders(self) -> Iterable[tuple]:
        for order, m in self.measured_orders().items():
            head = (order, m["channel"], m["region"], m["customer"], m["status"], m["date"], m["quantity"])
            yield *head, m["usd"], m["paid"], m["refunded"], m["tier"], m["usd"] >= HIGH_VALUE_USD

    def agg_daily_sales(self) -> Iterable[tuple]:
        days: dict[tuple, list] = defaultdict(lambda: [0, 0, set(), 0, Decimal(0), Decimal(0), 0])
        for m in self.measured_orders().values():
            day = days[m["date"], m["channel"], m["region"]]
            sold = m["status"] != "canceled"
            day[0] += 1
            day[1] += not sold
            day[2] |= {m["customer"]} - {None}
            day[3] += m["quantity"] * sold
            day[4] += m["usd"] * sold
            day[5] += m["refunded"]
            day[6] += sold and m["usd"] >= HIGH_VALUE_USD
        for key, (orders, cancelled, customers, *rest) in days.items():
            yield *key, orders, cancelled, len(customers), *rest

    def cohort_retention(self) -> Iterable[tuple]:
        bought: dict[str, Counter] = defaultdict(Counter)
        for m in self.measured_orders().values():
            if m["customer"] and m["status"] != "canceled":
                bought[m["customer"]][m["date"].replace(day=1)] += m["usd"]
        cohorts: dict[tuple, list] = defaultdict(lambda: [0, Decimal(0)])
        for months in bought.values():
            for month, spend in months.items():
                cohorts[min(months), month][0] += 1
                cohorts[min(months), month][1] += spend
        for (cohort, month), (customers, spend) in cohorts.items():
            yield cohort, month, cohorts[cohort, cohort][0], customers, spend

    def reviews(self) -> list[dict]:
        return [
            review | {"date": at(review["created_at"]).date(), "sentiment": sentiment(review)}
            for review in self.latest("reviews.reviews", lambda r: (r["review_id"], r["order_id"])).values()
        ]

    def fct_reviews(self) -> Iterable[tuple]:
        for r in self.reviews():
            yield f"{r['review_id']}:{r['order_id'] or ''}", r["product_id"], r["rating"], r["sentiment"], r["date"]

    def product_ratings(self) -> Iterable[tuple]:
        reviews = self.reviews()
        last = max((r["date"] for r in reviews), default=None)
        products: dict[str, list[dict]] = defaultdict(list)
        for review in reviews:
            products[review["product_id"]].append(review)
        for product, given in products.items():
            windows = [[r for r in given if (last - r["date"]).days // 30 == age] for age in (0, 1)]
            now, before = map(average, windows)
            change = None if now is None or before is None else now - before
            dropped = change is not None and change <= Decimal("-0.5") and min(map(len, windows)) >= 5
            positive = sum(r["sentiment"] == "positive" for r in given)
            yield product, len(given), average(given), positive, *map(len, windows), change, dropped

    def agg_daily_reviews(self) -> Iterable[tuple]:
        days: dict[tuple, list[dict]] = defaultdict(list)
        for review in self.reviews():
            days[review["date"], (review["language"] or "unknown").lower()].append(review)
        for key, given in days.items():
            said = Counter(r["sentiment"] for r in given)
            written = len(given) - said[None]
            yield *key, len(given), average(given), written, said["positive"], said["neutral"], said["negative"]


TIERS = [("high", Decimal("0.2")), ("medium", Decimal("0.1")), ("low", Decimal("0.0001")), ("none", Decimal(0))]
assert DAY_ZERO.tzinfo is not None
