"""The picture in the sales report: a bar for each period, and what was sold a year before as a line across it.

Pillow draws it: matplotlib brings Pillow, NumPy and more, several times its weight, and these are bars alone.
"""

import io
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from storehouse.core.shown import printable

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 1200, 560, 40, 130, 50  # pixels: twice those of a mail, for screens that have them
GROUND, INK, SOFT, LINE, NOW, BEFORE, PALE = "#ffffff", "#16191d", "#5a616a", "#e2e2dc", "#2456c7", "#16191d", "#a9c0f0"


class Bar(NamedTuple):
    """A period: its name, what was sold in it, in words and as a number, and a year before; None where not known."""

    name: str
    words: str
    value: Decimal
    year_before: Decimal | None


def draw(title: str, bars: Sequence[Bar]) -> bytes:
    """The picture as PNG; the last bar is the one that the report is about.

    Args:
        title: says what is seen.
        bars: from old to new, one at least.
    """
    picture = Image.new("RGB", (WIDTH, HEIGHT), GROUND)
    pen = ImageDraw.Draw(picture)
    fonts = {size: ImageFont.load_default(size) for size in (24, 28, 34)}
    pen.text((LEFT, 24), printable(title), INK, fonts[34])
    line = "; the line across is a year before" if any(bar.year_before is not None for bar in bars) else ""
    pen.text((LEFT, 78), f"US dollars{line}", SOFT, fonts[28])
    most = max([Decimal(1), *(value for bar in bars for value in (bar.value, bar.year_before or Decimal(0)))])
    floor, step = HEIGHT - BOTTOM, (WIDTH - 2 * LEFT) / len(bars)

    def height(value: Decimal) -> float:
        """Of the picture, where an amount ends. One below zero, of credit notes alone, has no bar."""
        return floor - (floor - TOP) * float(max(value, Decimal(0)) / most)

    for number, bar in enumerate(bars):
        left, right = LEFT + (number + 0.08) * step, LEFT + (number + 0.92) * step
        middle, top, is_last = (left + right) / 2, height(bar.value), number == len(bars) - 1
        pen.rectangle((left, top, right, floor), NOW if is_last else PALE)
        if bar.year_before is not None:
            line = height(bar.year_before)
            pen.rectangle((left - 4, line - 2, right + 4, line + 1), BEFORE)
        # At the foot, where no line is that it could be taken for.
        on = GROUND if is_last and floor - top > 46 else INK
        pen.text((middle, floor - 8), printable(bar.words), on, fonts[24], anchor="md")
        pen.text((middle, floor + 10), printable(bar.name), INK if is_last else SOFT, fonts[28], anchor="mt")
    pen.line((LEFT, floor, WIDTH - LEFT, floor), LINE, 2)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
