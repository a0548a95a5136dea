"""A store file that was wrong is put right by replacing it."""

from pathlib import Path

import extract_load
from storehouse.core import transform
from storehouse.core.transform import DAILY

HEADER = "store_id,receipt_id,line_number,sold_at,region,product_id,quantity,unit_price,currency"
CUT_OFF = "S-1,"


def good(receipt: int) -> str:
    return f"S-1,{receipt},1,2026-01-05T10:00:00Z,eu,P-1,1,10,EUR"


def test_refused_lines_are_resolved_when_their_file_is_replaced(new_house, configure, tmp_path: Path) -> None:
    configure(STORES_URL=tmp_path)
    day = tmp_path / "sales" / "year=2026" / "month=01" / "day=05"
    day.mkdir(parents=True)
    (day / "complete.flag").touch()

    def write(name: str, *lines: str) -> None:
        (day / name).write_text("\n".join((HEADER, *lines)) + "\n")

    mistyped = [good(receipt).replace("P-1,1", "P-1,x") for receipt in range(900, 915)]
    write("wrong.csv", *[CUT_OFF] * 15, *mistyped, good(1))
    write("other.csv", CUT_OFF, *map(good, range(100, 200)))
    extract_load.load("stores")
    (stopped,) = transform.build(DAILY)
    assert "stores.sales: 96.8 % of" in stopped

    write("wrong.csv", CUT_OFF, *map(good, range(40)))  # the mistyped receipts were no receipts at all
    extract_load.load("stores")
    assert transform.build(DAILY) == []
    assert new_house.query(
        "select _file, status, resolved_load_id, count(*) from quarantine.quarantined_records "
        "join raw_stores.sales on (_load_id, _row) = "
        "(last_load_id, cast(substring(record_id from '[0-9]+$') as bigint)) group by 1, 2, 3 order by 1, 2"
    ) == [
        (f"{day.relative_to(tmp_path)}/other.csv", "pending", None, 1),
        (f"{day.relative_to(tmp_path)}/wrong.csv", "pending", None, 1),
        (f"{day.relative_to(tmp_path)}/wrong.csv", "resolved", 3, 30),
    ]
