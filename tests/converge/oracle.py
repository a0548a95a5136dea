"""The marts as they must be, computed from what was landed in plain Python: no SQL of the project's, no dbt."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zoneinfo import ZoneInfo

from histories import DAY_ZERO, Landed, Record

NOT_COUNTED = {"canceled", "unavailable"}
KNOWN_STATUSES = {"created", "approved", "shipped", "delivered", "returned", "credit_note", *NOT_COUNTED}
OUR_WORDS = {"credit_note": "credited"}
KNOWN_CURRENCIES = {"USD", "EUR", "JPY", "GBP"}
REGIONS = {"US": "us", "DE": "eu", "GB": "eu", "JP": "apac"}
DECIMALS = {"JPY": 0}  # the other currencies here have cents
HIGH_VALUE_USD = 1000
Versions = list[tuple[tuple, Record]]


def is_sale(order: dict) -> bool:
    """One of what every mart calls `orders`."""
    return order["status"] not in NOT_COUNTED and not order["gives_back"]


def cents(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP)


def rounded(value: Decimal, code: str) -> Decimal:
    """An amount in the decimals of its currency."""
    return value.quantize(Decimal(1).scaleb(-DECIMALS.get(code, 2)), ROUND_HALF_UP)


def is_line(line: dict) -> bool:
    """Sells some pieces or takes some back, and its discount goes their way and is no more than they cost."""
    if not re.fullmatch(r"-?[0-9]+", str(line["quantity"])) or not int(line["quantity"]):
        return False
    way = 1 if int(line["quantity"]) > 0 else -1
    discount = way * money(line["discount_amount"])
    return discount >= 0 and cents(discount) <= cents(way * int(line["quantity"]) * money(line["unit_price"]))


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
        r["status"].strip().lower() in KNOWN_STATUSES
        and currency(r["currency"]) in KNOWN_CURRENCIES
        and (r["total_amount"] >= 0 or r["status"] == "credit_note")
        and not in_future(r["placed_at"], z)
        and not in_future(r["updated_at"], z)
    ),
    "shop.order_items": lambda r, a, z: (
        is_product(r["product_id"]) and is_line(r) and not in_future(r["updated_at"], z)
    ),
    "shop.payments": lambda r, a, z: (
        (r["amount"] >= 0 or r["status"] == "refunded")
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
        and all(is_line(line) for line in r["lines"])
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
        is_line(r)
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
        zone: whose days and hours the marts have.
    """

    def __init__(self, landed: Landed, rates: list[tuple[str, date, Decimal]], zone: str = "UTC") -> None:
        self.landed = landed
        self.zone = ZoneInfo(zone)
        self.rates = sorted(rates, key=lambda rate: rate[1])
        self.orders = self._orders()
        self.items = self._items()
        self.payments = self._payments()

    def rate(self, code: str, day: date) -> Decimal:
        return [rate for rate_code, since, rate in self.rates if rate_code == code and since <= day][-1]

    def day(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()

    def days_late(self, order: dict) -> int | None:
        """Of a web order; the others have no estimate."""
        delivered, estimated = order["delivered_at"], order["estimated_delivery_at"]
        return (self.day(delivered) - self.day(estimated)).days if delivered and estimated else None

    def placed(self, moment: datetime) -> dict:
        return {"date": self.day(moment), "hour": moment.astimezone(self.zone).hour}

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
        """Accepted and refused rows of each load of the tables whose rules are known here."""
        counts: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        for table in ACCEPTS.keys() & self.landed.rows.keys():
            for load_id, _, record in self.landed.rows[table]:
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
            customer = order["customer_id"]
            country = self._country_when(customer, order["placed_at"])
            status = order["status"].strip().lower()
            orders[f"web-{key}"] = {
                "channel": "web",
                "customer": f"web-{customer}" if customer else None,
                "region": REGIONS.get(country, "other"),
                "status": OUR_WORDS.get(status, status),
                "currency": currency(order["currency"]),
                "late": self.days_late(order),
                **self.placed(order["placed_at"]),
            }
        self.marketplace = self.latest("marketplace.orders", lambda r: r["order_id"])
        for key, order in self.marketplace.items():
            buyer = (order["buyer"] or {}).get("buyer_id")
            orders[f"mkt-{key}"] = {
                "channel": "marketplace",
                "customer": f"mkt-{buyer}" if buyer else None,
                "region": order["region"].lower(),
                "status": OUR_WORDS.get(order["status"], order["status"]),
                "currency": currency(order["currency"]),
                **self.placed(at(order["placed_at"])),
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
                    **self.placed(at(line["sold_at"])),
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
        items = {}
        for order, number, line in lines:
            if order in self.orders:
                code, quantity = self.orders[order]["currency"], int(line["quantity"])
                price, discount, freight = (
                    money(line.get(f"{n}")) for n in ("unit_price", "discount_amount", "freight_amount")
                )
                amounts = (rounded(amount, code) for amount in (quantity * price, discount, freight))
                items[order, number] = (line["product_id"], quantity, *amounts)
        return items

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
            goods = rounded(int(line["quantity"]) * money(line["unit_price"]), "EUR")
            amount = goods - rounded(money(line["discount_amount"]), "EUR")
            payment = {"method": "cash", "amount": sum_of + amount, "currency": "EUR", "status": "captured"}
            payment["status"] = "refunded" if payment["amount"] < 0 else "captured"
            payments[f"{order}/1"] = (order, payment, at(line["sold_at"]))
        result = {}
        self.refunded_by_name = set()  # only the marketplace's do here
        for key, (order, payment, paid_at) in payments.items():
            code = currency(payment["currency"])
            day = self.day(paid_at) if paid_at else self.orders[order]["date"] if order in self.orders else None
            given = money(payment["amount"])
            is_refund = payment["status"] == "refunded" and (given < 0 or bool(payment.get("refunds_payment_id")))
            amount = rounded(abs(given), code)
            usd = cents(amount * self.rate(code, day)) if day else None
            own = self.orders[order]["currency"] if order in self.orders else None
            # Of another currency than its order, by way of dollars.
            by_way = own and rounded(amount * self.rate(code, day) / self.rate(own, day), own)
            in_own = amount if code == own else by_way
            method = (payment["method"] or "unknown").strip().lower()
            result[key] = (order, method, payment["status"], is_refund, amount, usd, in_own)
            if is_refund and payment.get("refunds_payment_id"):
                self.refunded_by_name.add((order, f"{order}/{payment['refunds_payment_id']}"))
        return result

    # What the tests compare, each as the rows of one of `QUERIES`.

    def fct_order_items(self) -> Iterable[tuple]:
        for (order, number), (product, quantity, items, discount, freight) in self.items.items():
            head = self.orders[order]
            usd = cents((items - discount + freight) * self.rate(head["currency"], head["date"]))
            yield order, number, product, quantity, items - discount + freight, usd

    def waiting_records(self) -> Iterable[tuple]:
        for order, number in self.latest("shop.order_items", lambda r: (r["order_id"], r["line_number"])):
            if f"web-{order}" not in self.orders:
                yield (f"shop.order_items/{order}/{number}",)
        for key, payment in self.latest("shop.payments", lambda r: r["payment_id"]).items():
            if f"web-{payment['order_id']}" not in self.orders:
                yield (f"shop.payments/{key}",)

    def fct_payments(self) -> Iterable[tuple]:
        for key, (order, *rest) in self.payments.items():
            yield key, order, *rest

    def measured_orders(self) -> dict[str, dict]:
        sums: dict[str, list] = defaultdict(lambda: [0, *[Decimal(0)] * 5])
        for (order, _), (_, quantity, items, discount, freight) in self.items.items():
            for index, value in enumerate((quantity, items, discount, freight, abs(items), abs(discount))):
                sums[order][index] += value
        paid: Counter = Counter()
        refunded: Counter = Counter()
        for key, (order, _, status, is_refund, _, usd, own) in self.payments.items():
            for name, amount in (("usd", usd or 0), ("own", own or 0)):
                if status in ("captured", "refunded"):
                    paid[order, name] += 0 if is_refund else amount
                    gives_back = is_refund or (order, key) not in self.refunded_by_name
                    refunded[order, name] += amount if status == "refunded" and gives_back else 0
        measured = {}
        for order, head in self.orders.items():
            quantity, items, discount, freight, goods, off = sums[order]
            total = items - discount + freight
            rate = self.rate(head["currency"], head["date"])
            share = min((off / goods).quantize(Decimal("0.0001"), ROUND_HALF_UP), Decimal(1)) if goods else Decimal(0)
            gives_back = head["status"] == "credited" or total < 0 or (not total and quantity < 0)
            measured[order] = head | {
                "quantity": quantity,
                "usd": cents(total * rate),
                "gives_back": gives_back,
                "total": total,
                "paid": paid[order, "usd"],
                "refunded": refunded[order, "usd"],
                "own": (paid[order, "own"], refunded[order, "own"]),
                "tier": next(tier for tier, least in TIERS if share >= least),
                "size": None if gives_back else next(size for size, least in SIZES if cents(total * rate) >= least),
            }
        return measured

    def fct_orders(self) -> Iterable[tuple]:
        for order, m in self.measured_orders().items():
            head = (order, m["channel"], m["region"], m["customer"], m["status"], m["date"], m["hour"], m["quantity"])
            tiers = (m["tier"], m["size"], m["usd"] >= HIGH_VALUE_USD)
            late = m.get("late")
            lateness = late, None if late is None else late > 0
            yield *head, m["gives_back"], m["usd"], m["paid"], m["refunded"], *m["own"], *tiers, *lateness

    def agg_daily_sales(self) -> Iterable[tuple]:
        days: dict[tuple, Counter] = defaultdict(Counter)
        customers: dict[tuple, set] = defaultdict(set)
        for m in self.measured_orders().values():
            key = m["date"], m["channel"], m["region"], m["currency"]
            counts, is_order = m["status"] not in NOT_COUNTED, is_sale(m)
            customers[key] |= {m["customer"]} - {None} if is_order else set()
            days[key].update(
                all=1,
                placed=not m["gives_back"],
                orders=is_order,
                cancelled=m["status"] == "canceled" and not m["gives_back"],
                unavailable=m["status"] == "unavailable",
                credits=m["gives_back"] and m["status"] != "unavailable",
                guests=is_order and m["customer"] is None,
                items=m["quantity"] * counts,
                usd=m["usd"] * counts,
                refunded=m["refunded"] * is_order,
                sales_amount=m["total"] * counts,
                refunded_amount=m["own"][1] * is_order,
                high=is_order and m["usd"] >= HIGH_VALUE_USD,
                **{size: is_order and m["size"] == size for size, _ in SIZES},
            )
        names = ("all", "placed", "orders", "cancelled", "unavailable", "credits", "guests", "items", "usd", "refunded")
        names += ("high", "small", "medium", "large", "sales_amount", "refunded_amount")
        for key, day in days.items():
            yield *key, len(customers[key]), *(day[name] for name in names)

    def agg_monthly_kpis(self) -> Iterable[tuple]:
        months: dict[date, list[dict]] = defaultdict(list)
        first: dict[str, date] = {}
        for m in sorted(self.measured_orders().values(), key=lambda m: m["date"]):
            months[m["date"].replace(day=1)].append(m)
            if is_sale(m) and m["customer"]:
                first.setdefault(m["customer"], m["date"].replace(day=1))
        sales = {
            month: sum((m["usd"] for m in given if m["status"] not in NOT_COUNTED), Decimal(0))
            for month, given in months.items()
        }
        for month, given in months.items():
            sold = [m for m in given if is_sale(m)]
            customers = {m["customer"] for m in sold} - {None}
            new = sum(first[customer] == month for customer in customers)
            gross = sum((m["usd"] for m in sold), Decimal(0))
            before = (month - timedelta(days=1)).replace(day=1)
            yield (
                *(month, given[-1]["date"], len(sold), len(given), len(customers), new, sales[month]),
                *(sum(m["refunded"] for m in sold), cents(gross / len(sold)) if sold else None, sales.get(before)),
            )

    def agg_daily_region_sales(self) -> Iterable[tuple]:
        days: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
        for m in self.measured_orders().values():
            days[m["region"], m["date"]] += m["usd"] if m["status"] not in NOT_COUNTED else 0
        for (region, day), usd in days.items():
            so_far = (
                days[region, day.replace(day=n)] for n in range(1, day.day + 1) if (region, day.replace(day=n)) in days
            )
            yield day, region, usd, days.get((region, day - timedelta(days=7))), sum(so_far)

    def cohort_retention(self) -> Iterable[tuple]:
        sold: dict[str, list] = defaultdict(list)
        for m in self.measured_orders().values():
            if m["customer"] and m["status"] not in NOT_COUNTED:
                sold[m["customer"]].append((m["date"].replace(day=1), m["gives_back"], m["usd"]))
        cohorts: dict[tuple, list] = defaultdict(lambda: [set(), Decimal(0)])
        for customer, orders in sold.items():
            bought = {month for month, gives_back, _ in orders if not gives_back}
            for month, gives_back, usd in orders if bought else ():
                cohort = cohorts[min(bought), max(month, min(bought))]
                cohort[0] |= set() if gives_back else {customer}
                cohort[1] += usd
        for (cohort, month), (customers, spend) in cohorts.items():
            yield cohort, month, len(cohorts[cohort, cohort][0]), len(customers), spend

    def reviews(self) -> list[dict]:
        return [
            review | {"date": self.day(at(review["created_at"])), "sentiment": sentiment(review)}
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


SIZES = [("large", 500), ("medium", 100), ("small", 0)]
TIERS = [("high", Decimal("0.2")), ("medium", Decimal("0.1")), ("low", Decimal("0.0001")), ("none", Decimal(0))]
assert DAY_ZERO.tzinfo is not None

QUERIES = {
    "fct_order_items": "select order_id, line_number, product_id, quantity, total_amount, total_usd"
    " from build.fct_order_items",
    "waiting_records": "select record_id from quarantine.waiting_records",
    "fct_payments": "select payment_id, order_id, method, status, is_refund, amount, amount_usd,"
    " amount_in_order_currency from build.fct_payments",
    "fct_orders": "select order_id, channel, region, customer_id, status, order_date, order_hour, item_count,"
    " is_credit_note, total_usd, paid_usd, refunded_usd, paid_amount, refunded_amount, discount_tier, size_tier,"
    " is_high_value, days_late, is_delivered_late from build.fct_orders",
    "agg_daily_sales": "select order_date, channel, region, currency, customers, all_orders, placed_orders, orders,"
    " cancelled_orders, unavailable_orders, credit_notes, guest_orders, items, sales_usd, refunded_usd,"
    " high_value_orders, small_orders, medium_orders, large_orders, sales_amount, refunded_amount"
    " from build.agg_daily_sales",
    "agg_monthly_kpis": "select order_month, last_order_date, orders, all_orders, customers, new_customers, sales_usd,"
    " refunded_usd, average_order_usd, sales_usd_month_before from build.agg_monthly_kpis",
    "agg_daily_region_sales": "select order_date, region, sales_usd, sales_usd_week_before, sales_usd_month_to_date"
    " from build.agg_daily_region_sales",
    "cohort_retention": "select cohort_month, order_month, cohort_customers, active_customers, spend_usd"
    " from build.cohort_retention",
    "fct_reviews": "select review_id, product_id, rating, sentiment, review_date from build.fct_reviews",
    "product_ratings": "select product_id, reviews, average_rating, positive_reviews, reviews_30_days,"
    " reviews_30_days_before, rating_change, has_dropped from build.product_ratings",
    "agg_daily_reviews": "select review_date, language, reviews, average_rating, written_reviews, positive_reviews,"
    " neutral_reviews, negative_reviews from build.agg_daily_reviews",
}


def differences(query: Callable[[str], list[tuple]], oracle: Oracle, marts: Iterable[str] = QUERIES) -> list[str]:
    """The marts that are not what the oracle says, a line each.

    Args:
        query: runs one of `QUERIES` on the warehouse.
        oracle: what they must be.
        marts: those that are built.
    """
    lines = []
    for mart in marts:
        ours, expected = set(query(QUERIES[mart])), set(getattr(oracle, mart)())
        extra, missing = sorted(ours - expected, key=str), sorted(expected - ours, key=str)
        if extra or missing:
            lines.append(f"{mart}: {len(extra)} extra {extra[:3]}, {len(missing)} missing {missing[:3]}")
    return lines
