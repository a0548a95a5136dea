"""What the sources of the examples have, on their first day and on their second.

Each brings new rows, on the second day also a changed one, a late one (of November) and a deleted one where the source
can delete, and one that must be refused.
"""

import gzip
import json
from pathlib import Path

# -- the other shop's database

SHOP = """
    create schema trade;
    create type trade.purchase_state as enum ('open', 'paid', 'sent', 'received', 'void');
    create type trade.money_state as enum ('reserved', 'booked', 'returned', 'refused');
    create table trade.client (
        client_no bigint primary key, mail text, client_name text, street text, zip text, town text, land char(2),
        since timestamp, modified timestamp not null
    );
    create table trade.article (
        article_no text primary key, title text, range text, price_cents bigint, currency char(3), on_sale boolean,
        added timestamp, modified timestamp
    );
    create table trade.purchase (
        purchase_no bigint primary key, client_no bigint, state trade.purchase_state, currency char(3),
        total_cents bigint, voucher text, bought timestamp, sent timestamp, received timestamp,
        modified timestamp not null, removed timestamp
    );
    create table trade.purchase_line (
        purchase_no bigint, pos int, article_no text, pieces int, cents bigint, rebate_cents bigint,
        shipping_cents bigint, modified timestamp not null, removed timestamp, primary key (purchase_no, pos)
    );
    create table trade.money_in (
        money_id uuid primary key, purchase_no bigint, kind text, cents bigint, currency char(3),
        state trade.money_state, booked timestamp, modified timestamp not null, removed timestamp
    );
"""
SHOP_DAYS = [
    SHOP
    + """
    insert into trade.client values
        (1, 'a@example.com', 'Ann', 'Weg 1', '10115', 'Berlin', 'DE', '2025-12-01', '2026-01-05'),
        (2, 'b@example.com', 'Bob', '1 Road', '10001', 'New York', 'US', '2025-12-01', '2026-01-05');
    insert into trade.article values ('A-1', 'Lamp', 'home', 1299, 'EUR', true, '2025-01-01', '2025-01-01');
    insert into trade.purchase values
        (1, 1, 'paid', 'EUR', 2598, null, '2026-01-05 10:00', null, null, '2026-01-05 10:00'),
        (2, 2, 'open', 'USD', 500, 'NEW', '2026-01-05 11:00', null, null, '2026-01-05 11:00'),
        (3, 1, 'open', 'XXX', 1299, null, '2026-01-05 12:00', null, null, '2026-01-05 12:00'),
        (4, 1, 'open', 'EUR', 1299, null, '2026-01-05 13:00', null, null, '2026-01-05 13:00');
    insert into trade.purchase_line values
        (1, 1, 'A-1', 2, 1299, null, null, '2026-01-05 10:00'), (2, 1, 'A-1', 1, 600, 100, null, '2026-01-05 11:00'),
        (3, 1, 'A-1', 1, 1299, null, null, '2026-01-05 12:00'), (4, 1, 'A-1', 1, 1299, 0, 0, '2026-01-05 13:00');
    insert into trade.money_in values
        ('00000000-0000-0000-0000-000000000001', 1, 'Card', 2598, 'EUR', 'booked', '2026-01-05', '2026-01-05 10:01'),
        ('00000000-0000-0000-0000-000000000002', 2, 'card', 500, 'USD', 'reserved', null, '2026-01-05 11:01'),
        ('00000000-0000-0000-0000-000000000003', 2, 'card', -1, 'USD', 'booked', null, '2026-01-05 11:02');
    """,
    """
    update trade.purchase set state = 'received', received = '2026-01-06 09:00', modified = '2026-01-06 09:00'
    where purchase_no = 2;
    update trade.purchase set removed = '2026-01-06 09:00', modified = '2026-01-06 09:00' where purchase_no = 4;
    insert into trade.purchase values
        (5, 1, 'sent', 'EUR', 1299, null, '2025-11-20', '2025-11-21', null, '2026-01-06 10:00');
    insert into trade.purchase_line values (5, 1, 'A-1', 1, 1299, null, 0, '2026-01-06 10:00');
    update trade.money_in set state = 'booked', booked = '2026-01-06 09:00', modified = '2026-01-06 09:00'
    where state = 'reserved';
    """,
]

# -- the APIs: what each has on a day

DAY = [1767607200 + 86400 * day for day in range(2)]  # 10 o'clock on the 5th and on the 6th of January 2026


def at(day: int, time: str = "10:00:00Z") -> str:
    return f"2026-01-0{5 + day}T{time}"


NOVEMBER = "2025-11-20T10:00:00Z"


def event(number: int, happened: int, charge: str, order: int | None, **more: object) -> dict:
    """An event of Stripe's: how a charge was then."""
    common = {"object": "charge", "amount": 1050, "amount_refunded": 0, "captured": True, "status": "succeeded"}
    common |= {"currency": "usd", "created": DAY[0], "payment_method_details": {"type": "card"}}
    charged = common | {"id": charge, "metadata": {"order_id": order} if order else {}} | more
    return {
        "id": f"evt_{number}",
        "object": "event",
        "type": "charge.updated",
        "created": happened,
        "data": {"object": charged},
    }


STRIPE = [
    event(1, DAY[0], "ch_1", 1, amount=2598, currency="eur"),
    event(2, DAY[0], "ch_2", 2, status="pending"),
    event(3, DAY[0] + 1, "ch_3", None),
    event(4, DAY[0] + 2, "ch_4", 2),
    event(5, DAY[0] + 3, "ch_5", 2, amount=1050, currency="jpy"),
]
STRIPE_DAYS = [
    STRIPE,
    [
        *STRIPE,
        event(6, DAY[1], "ch_2", 2),
        # In one second; the list has the later one first.
        event(8, DAY[1] + 1, "ch_4", 2, amount_refunded=1050),
        event(7, DAY[1] + 1, "ch_4", 2, amount_refunded=500),
        event(9, DAY[1] + 2, "ch_6", 2, created=1763632800, currency="jpy"),
    ],
]


def shopify(number: int, updated_at: str, **more: object) -> dict:
    common = {"email": "c@example.com", "financial_status": "paid", "fulfillment_status": None, "cancelled_at": None}
    common |= {"currency": "EUR", "total_price": "20.50", "customer": {"id": 9}, "created_at": at(0)}
    common |= {"shipping_address": {"country_code": "FR"}, "updated_at": updated_at}
    lines = [{"id": 1, "sku": "A-1", "quantity": 2, "price": "10.75", "total_discount": "1.00"}]
    return {"id": number, "line_items": lines} | common | more


SHOPIFY = [
    shopify(101, at(0)),
    shopify(102, at(0), financial_status="pending"),
    shopify(103, at(0), currency="euros"),
    shopify(104, at(0)),
]
SHOPIFY_DAYS = [
    SHOPIFY,
    [
        shopify(101, at(0)),
        shopify(102, "2026-01-06T11:00:00+01:00", fulfillment_status="fulfilled"),
        shopify(103, at(0), currency="euros"),
        shopify(104, at(1), cancelled_at=at(1)),
        shopify(105, at(1), created_at=NOVEMBER),
    ],
]


def woocommerce(number: int, modified: str, **more: object) -> dict:
    common = {
        "status": "processing",
        "currency": "USD",
        "total": "21.00",
        "customer_id": 0,
        "billing": {"country": "US"},
    }
    lines = [{"id": 1, "product_id": 11, "quantity": 2, "price": 10.5}]
    times = {"date_created_gmt": at(0, "10:00:00"), "date_modified_gmt": modified.removesuffix("Z")}
    return {"id": number, "line_items": lines} | common | times | more


WOOCOMMERCE_DAYS = [
    [
        woocommerce(201, at(0)),
        woocommerce(202, at(0), status="pending"),
        woocommerce(203, at(0), status="checkout-draft"),
        woocommerce(204, at(0)),
    ],
    [
        woocommerce(201, at(0)),
        woocommerce(202, at(1), status="completed", customer_id=9),
        woocommerce(203, at(0), status="checkout-draft"),
        woocommerce(204, at(1), status="trash"),
        woocommerce(205, at(1), date_created_gmt=NOVEMBER.removesuffix("Z")),
    ],
]


def redemption(code: str, order: int, amount: str, redeemed_at: str = at(0)) -> dict:
    return {"code": code, "order": order, "amount": amount, "currency": "USD", "redeemed_at": redeemed_at}


VOUCHERS_DAYS = [
    [
        redemption("V-1", 201, "5.00"),
        redemption("V-2", 201, "6.00"),
        redemption("V-2", 202, "7.00"),
        redemption("V-3", 202, "-1.00"),
        redemption("V-4", 202, "8.00"),
    ],
    [
        redemption("V-1", 201, "5.00"),
        redemption("V-2", 201, "6.50"),
        redemption("V-2", 202, "7.00"),
        redemption("V-3", 202, "-1.00"),
        redemption("V-5", 201, "9.00", NOVEMBER),
    ],
]


def dynamics(number: int, modified: str, **more: object) -> dict:
    common = {"Status": "Backorder", "CurrencyCode": "GBP", "TotalAmount": 106.5, "CustomerId": "C-1"}
    common |= {"CountryCode": "GB", "OrderedAt": at(0), "ModifiedAt": modified, "IsDeleted": False}
    lines = [{"LineNumber": 10, "ItemNumber": "A-1", "Quantity": 10, "UnitPrice": 10.5}]
    lines += [{"LineNumber": 20, "ItemNumber": "A-2", "Quantity": 1, "UnitPrice": 5, "DiscountAmount": 5}]
    lines[1]["ChargeAmount"] = 1.5
    return {"SalesOrderId": f"SO-{number}", "Lines": lines} | common | more


DYNAMICS_DAYS = [
    [dynamics(1, at(0)), dynamics(2, at(0)), dynamics(3, at(0), TotalAmount=-1), dynamics(4, at(0))],
    [
        dynamics(1, at(0)),
        dynamics(2, at(1), Status="Invoiced"),
        dynamics(3, at(0), TotalAmount=-1),
        dynamics(4, at(1), IsDeleted=True),
        dynamics(5, at(1), OrderedAt=NOVEMBER, Status="Delivered"),
    ],
]

API_DAYS = [
    {"stripe": s, "shopify": o, "woocommerce": w, "vouchers": v, "dynamics": d}
    for s, o, w, v, d in zip(STRIPE_DAYS, SHOPIFY_DAYS, WOOCOMMERCE_DAYS, VOUCHERS_DAYS, DYNAMICS_DAYS, strict=True)
]

# -- the files of a day

BANK = "Umsatz-Nr;Buchungstag;Auftraggeber;Verwendungszweck;Betrag;Währung;Storno;Stand\n"
BANK_DAYS = [
    """\
B1;05.01.2026;Jörg Müller;Bestellung 1;1.025,98;EUR;N;2026-01-05T18:00:00Z
B2;05.01.2026;"Große; Söhne";Bestellung 2;5,00;EUR;N;2026-01-05T18:00:00Z
B3;05.01.2026;Ann;Bestellung 2;fünf;EUR;N;2026-01-05T18:00:00Z
B4;05.01.2026;Bob;Bestellung 2;5;EUR;N;2026-01-05T18:00:00Z
""",
    """\
B2;05.01.2026;"Große; Söhne";Bestellung 2;5,50;EUR;N;2026-01-06T18:00:00Z
B4;05.01.2026;Bob;Bestellung 2;5;EUR;J;2026-01-06T18:00:00Z
B5;20.11.2025;Cem;Bestellung 5;12,99;EUR;N;2026-01-06T18:00:00Z
""",
]


def card(number: int, order: int, changed_at: str, **more: object) -> dict:
    common = {"minor_amount": 2050, "currency": "EUR", "state": "approved", "paid_at": at(0), "void": False}
    return {"id": f"T-{number}", "order": order, "changed_at": changed_at} | common | more


TERMINALS_DAYS = [
    [card(1, 101, at(0)), card(2, 102, at(0)), card(3, 102, at(0), state="lost"), card(4, 102, at(0))],
    [
        card(2, 102, at(1), state="settled"),
        card(4, 102, at(1), void=True),
        card(5, 105, at(1), paid_at=NOVEMBER, currency="JPY", state="settled"),
    ],
]


def write_files(day: int, bank: Path, terminals: Path) -> None:
    """What the bank and the terminals write on a day."""
    date = f"2026-01-0{5 + day}"
    (bank / "statements").mkdir(parents=True, exist_ok=True)
    (bank / "statements" / f"{date}.csv").write_text(BANK + BANK_DAYS[day], encoding="latin-1")
    folder = terminals / "payments" / date
    folder.mkdir(parents=True)
    with gzip.open(folder / "all.jsonl.gz", "wt") as file:
        file.write("".join(json.dumps(record) + "\n" for record in TERMINALS_DAYS[day]))
    (folder / "done.flag").touch()
