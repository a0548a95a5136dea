"""The page itself: the data, what draws it, and how it looks, in one file that asks nothing of the network."""

import base64
import hashlib
from pathlib import Path

from markupsafe import Markup

from dashboard import data
from storehouse.core import pages

NAME = "dashboard.html"


def main(file: Path) -> int:
    """Write the page, and say where it is and what it has.

    Raises:
        StorehouseError: nothing is published yet, the warehouse is away, or the page can't be written.
    """
    found = data.read(file)
    pages.write(file, page(found))
    rows = sum(len(answer.rows or ()) for answer in found.answers.values())
    kept = sum(answer.is_kept for answer in found.answers.values())
    print(f"dashboard  {file.resolve()}")
    days = f"whole days up to {found.last} ({found.zone})" if found.last else "no whole day"
    print(f"           {rows:,} sums in {found.size / 1000:,.0f} KB, of {days}")
    if kept:
        print(f"           {kept} of {len(found.answers)} queries are the last page's: their marts have not changed")
    return 0


def write(file: Path) -> None:
    """Write the page as it is now, whole or not at all; nothing is read of marts that are as they were.

    Raises:
        StorehouseError: as `main`.
    """
    pages.write(file, page(data.read(file)))


def page(found: data.Data) -> str:
    """The file's text. Its own policy lets this script run and no other, and nothing be fetched."""
    folder = Path(__file__).parent
    script = (folder / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        pages.templates(folder)
        .get_template("page.html.jinja")
        .render(
            asked_at=found.asked_at,
            behind=found.published("behind"),
            data=Markup(found.as_json()),
            digest=digest,
            last=found.last,
            script=Markup(script),
            style=Markup((folder / "page.css").read_text(encoding="utf-8")),
            zone=found.zone,
        )
    )
