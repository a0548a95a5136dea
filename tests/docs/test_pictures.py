"""The pictures that pages show are those that `make pictures` makes, and small enough to live in git."""

import os
import re
import subprocess
import sys
from io import BytesIO
from itertools import product
from pathlib import Path

import pictures
import pytest
from PIL import Image, ImageChops, ImageDraw

from storehouse.core.settings import PROJECT

pytestmark = pytest.mark.quick

PAGES = [PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md")]
# Each with its page: what it shows in words, and its file.
SHOWN = [
    (page, *found)
    for page in PAGES
    for found in re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
]
LARGEST = 150_000  # bytes


def test_pages_show_each_picture_that_is_made_and_no_other() -> None:
    shown = {(page.parent / place).resolve() for page, _, place in SHOWN}
    made = {pictures.IMAGES / f"{name}.png" for name in pictures.VIEWS | pictures.AIRFLOW}
    assert shown == made == set(pictures.IMAGES.iterdir())
    assert len([page for page, _, _ in SHOWN if page.name == "README.md"]) == 3


def test_a_picture_is_small_as_large_as_its_window_and_told_in_words() -> None:
    for page, words, place in SHOWN:
        assert len(words) > 25, f"{page.name}: say what {place} shows to who can't see it"
    for name, view in (pictures.VIEWS | pictures.AIRFLOW).items():
        file = pictures.IMAGES / f"{name}.png"
        assert file.stat().st_size < LARGEST, name
        assert Image.open(file).size == (view.width, view.height), name


def test_a_small_picture_looks_like_the_whole_one_though_colours_are_rare() -> None:
    # White with many pale tints, and spots of twelve colours, as icons and badges are.
    whole = Image.new("RGB", (400, 400), "white")
    for x, y in product(range(400), range(100)):
        whole.putpixel((x, y), (200 + x // 8, 200 + y // 2, 255 - x // 16))
    for n in range(12):
        ImageDraw.Draw(whole).rectangle((30 * n, 200, 30 * n + 4, 204), f"hsl({30 * n}, 90%, 45%)")
    whole.save(file := BytesIO(), "PNG")
    small = Image.open(BytesIO(pictures.small(file.getvalue())))
    assert len(whole.getcolors(1 << 24)) > 2000 and len(small.getcolors()) <= 256
    difference = ImageChops.difference(whole, small.convert("RGB"))
    assert max(most for _, most in difference.getextrema()) < 16


def test_without_a_chromium_it_says_so_at_once_and_changes_nothing(tmp_path: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in pictures.IMAGES.iterdir()}
    done = subprocess.run(
        [sys.executable, str(PROJECT / "tests" / "pictures.py")],
        cwd=PROJECT,
        env=os.environ | {"PATH": str(tmp_path), "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "make pictures needs Chromium, and none is on the PATH: apt-get install chromium\n"
    assert {file: file.stat().st_mtime_ns for file in pictures.IMAGES.iterdir()} == before
