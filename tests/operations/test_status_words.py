"""What the status says of what it has found, and whether everybody can read it."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from storehouse.core.settings import PROJECT
from storehouse.operate.status import COLUMNS, QUERIES, Status, lines, page

pytestmark = pytest.mark.quick

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
TEMPLATE = (PROJECT / "storehouse/operate/status.html.jinja").read_text()
THEMES = [dict(re.findall(r"--(\w+): (#\w+);", theme)) for theme in re.findall(r":root \{(.*?)\}", TEMPLATE, re.DOTALL)]


def group(**more: Any) -> dict[str, Any]:
    given = {"group_name": "shop", "position": 9, "run_id": "run-1", "code_version": "abc", "published_at": AT}
    return given | {"held_back": None, "held_back_at": None} | more


def alert(severity: str = "warning", state: str = "open", **more: Any) -> dict[str, Any]:
    given = {"severity": severity, "kind": "volume_low", "about": "shop.orders", "since": AT, "state": state}
    known = {"words": "few rows", "hurts": "Dashboard", "runbook": "#volume_low"}
    return given | known | {"acknowledged_by": "Ada", "acknowledged_until": AT.date()} | more


def failure(state: str, name: str = "a_sentence") -> dict[str, Any]:
    given = {"kind": "test", "name": name, "status": state, "failures": 3, "since": AT}
    return given | {"is_flaky": False, "group_name": "shop", "relation": None}


def status(**found: list[dict[str, Any]] | None) -> Status:
    return Status(AT, {section: [] for section in QUERIES} | {"published": [group()]} | found)


HELD = group(held_back="a test waits", held_back_at=AT)


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        ({}, "good", "Yes: readers see the last build, its tests passed, and no alert is open."),
        ({"alerts": [alert(state="acknowledged")]}, "good", "Yes: readers see"),
        ({"alerts": [alert(), alert()]}, "warning", "Yes, with 2 warning alerts."),
        (
            {"alerts": [alert("critical"), alert()]},
            "bad",
            "Not before you have looked: 1 critical alert, 1 warning alert.",
        ),
        ({"published": [HELD]}, "warning", "Yes, but it is not of the last build: shop waits."),
        ({"published": [HELD], "alerts": [alert()]}, "warning", "last build: shop waits, and 1 warning alert."),
        ({"published": [HELD], "alerts": [alert("critical")]}, "bad", "Not before you have looked: 1 critical alert."),
        ({"published": [group(published_at=None)]}, "bad", "There is none: nothing of shop is published yet."),
        ({"published": []}, "bad", "There is none: nothing of any group is published yet."),
        (
            {"published": None, "alerts": None},
            "unknown",
            "Nobody can say: published and alerts could not be asked for.",
        ),
        ({"alerts": None}, "unknown", "Nobody can say: alerts could not be asked for."),
        ({"failures": [failure("warn")], "quality": None}, "good", "Yes: readers see"),
        ({"failures": [failure("fail"), failure("warn")]}, "warning", "Yes, with 1 failed model or test."),
        ({"failures": None}, "unknown", "Nobody can say: failures could not be asked for."),
    ],
)
def test_what_is_trusted_depends_on_what_is_published_and_on_open_alerts(
    found: dict[str, Any], level: str, words: str
) -> None:
    verdict = status(**found).verdict
    assert verdict.level == level and words in verdict.words
    assert words in " ".join(" ".join(lines(status(**found))).split())
    assert f'class="verdict {level}"' in page(status(**found))


@pytest.mark.parametrize("section", QUERIES)
def test_of_a_section_that_could_not_be_asked_for_nothing_good_is_said(section: str) -> None:
    said, shown = "\n".join(lines(status(**{section: None}))), page(status(**{section: None}))
    assert "not known" in shown and page(status()).count("not known") == 0
    # The terminal has no lines for these two.
    assert ("not known" in said) == (section not in ("ended", "builds"))


def test_however_much_is_amiss_it_is_a_screen_and_the_worst_comes_first() -> None:
    long = "a name that goes on and on " * 20
    worst = status(
        published=[HELD | {"group_name": name, "held_back": long} for name in ("shop", "feedback", "third")],
        alerts=[alert("critical", about=long), *(alert(about=f"{long}{n}", hurts=long) for n in range(50))],
        failures=[failure("fail", long)] * 50,
    )
    said = list(lines(worst))
    assert len(said) <= 40 and max(map(len, said)) <= COLUMNS
    assert next(line for line in said if line.startswith("alerts")).startswith("alerts     critical: ")
    assert "           and 48 more: make alerts" in said and "           and 47 more: the page" in said
    assert page(worst).count("<article") == 51


def test_every_colour_of_a_text_can_be_read_on_its_ground_in_both_themes() -> None:
    """Contrast as WCAG 2 counts it: 4.5 for a text, 3 for a plot."""
    assert len(THEMES) == 2 and THEMES[0].keys() == THEMES[1].keys()
    for theme in THEMES:
        for ground in ("page", "card"):
            for colour in ("text", "faint", "good", "warning", "bad", "bar"):
                assert contrast(theme[colour], theme[ground]) >= 4.5, (colour, ground)


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    shares = [int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
