"""What does it cost to compare a table with its source, and to find a thousand differences? By keys and by columns.

    python -m bench.reconcile [--rounds 5] [--orders 2000000]

The shop's orders are those of bench/extract_load.py, and stand in the same servers. They are loaded once; then, in each
round, they are reconciled when nothing differs, and after 400 were deleted, 400 committed late and 200 changed late.
`all again` is what it would cost to read everything instead: a load from the beginning. CPU of clients is that of
`python -m extract_load`, Python's start included.
"""

import argparse
from statistics import median

import psycopg

from bench.extract_load import COLUMNS, Cost, Scene, command, empty, make_orders, servers, vacuum
from storehouse.core.queries import as_sql, one_value

DELETE = "delete from orders where order_id in (select order_id from orders order by random() limit 400)"
INSERT = f"""
    insert into orders ({", ".join(COLUMNS)})
    select (select max(order_id) from orders) + row_number() over (), {", ".join(list(COLUMNS)[1:])}
    from (select * from orders order by random() limit 400) as late
"""
UPDATE = """
    update orders set total_amount = total_amount + 1, updated_at = updated_at + interval '1 second'
    where order_id in (select order_id from orders where updated_at < now() order by random() limit 200)
"""
WAREHOUSE = "ours"
TABLE = ["shop", "--tables", "orders"]


def main() -> None:
    """Make and load the orders where they are not there yet, measure in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--orders", type=int, default=2_000_000)
    arguments = parser.parse_args()
    with servers() as scene:
        make_orders(scene.shop, arguments.orders)
        costs: dict[str, list[Cost]] = {}
        # The first round warms caches and is not counted.
        for number in range(arguments.rounds + 1):
            empty(scene.warehouse, WAREHOUSE)
            taken = {"all again": command(scene, TABLE)}
            vacuum(scene.warehouse, WAREHOUSE)
            for compare in ("keys", "columns"):
                taken[f"{compare}, nothing differs"] = command(scene, ["reconcile", *TABLE, "--compare", compare])
                spoil(scene)
                taken[f"{compare}, 1,000 differ"] = command(scene, ["reconcile", *TABLE, "--compare", compare])
                # Some changes are of the same row.
                assert 990 <= landed(scene) <= 1000
            for name, cost in taken.items():
                costs.setdefault(name, []).extend([cost] * (number > 0))
            print(f"round {number}", flush=True)
    print(f"\n{f'{arguments.orders:,} orders':<28}{'wall':>8}{'clients':>9}{'servers':>9}{'MB':>6}")
    for name, found in costs.items():
        cost = Cost(*map(median, zip(*found, strict=True)))
        print(f"{name:<28}{cost.wall:>8.2f}{cost.clients:>9.2f}{cost.servers:>9.2f}{cost.memory:>6.0f}")


def landed(scene: Scene) -> int:
    """How many rows the last reconciliation landed."""
    with psycopg.connect(scene.warehouse.conninfo(WAREHOUSE)) as warehouse:
        return one_value(warehouse, "select rows from raw.loads order by load_id desc limit 1")


def spoil(scene: Scene) -> None:
    """Make a thousand differences that no load finds."""
    with psycopg.connect(scene.shop.conninfo("shop"), autocommit=True) as shop:
        for statement in (DELETE, INSERT, UPDATE):
            shop.execute(as_sql(statement))
        shop.execute("vacuum analyze orders")
        shop.execute("checkpoint")


if __name__ == "__main__":
    main()
