"""What customers write agrees with the stars they give: real reviews, most of them in hurried Portuguese."""

import hashlib
from collections import Counter

import pytest
from test_olist_replay import DATA, ReviewsApi, read

import extract_load
from storehouse.core import transform
from storehouse.core.settings import settings

LEAST = 0.75
# Guessing "positive" every time agrees with most of them: each side must be better than a coin by itself.
LEAST_A_SIDE = 0.6

pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"the Olist data is not in {DATA}: see docs/sources.md")


class Reviews:
    """The published reviews that have a message; which product they are of does not matter here."""

    def __init__(self) -> None:
        published = read("order_reviews_dataset.part") + read("order_reviews_dataset.more")
        self.reviews = [review for review in published if review["review_comment_message"].strip()]
        self.items: list[dict[str, str]] = []


def is_held_out(review_id: str) -> bool:
    """The half that nobody looks at: words are chosen and weighed with the other one only."""
    return hashlib.sha256(review_id.encode()).digest()[0] % 2 == 1


@pytest.fixture(scope="module")
def sentiments(house) -> list[tuple[str, int, str]]:
    """Review, stars and sentiment of every review with a message, by the real models."""
    api = ReviewsApi(Reviews())
    api.now = "9999"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("REVIEWS_URL", f"http://127.0.0.1:{api.server.server_port}")
        settings.cache_clear()
        extract_load.prepare()
        extract_load.load("reviews")
    api.server.shutdown()
    assert transform.build(["build", "--select", "+fct_reviews", "--exclude-resource-type", "test", "unit_test"]) == []
    return house.query(
        "select source_review_id, rating, sentiment from build.fct_reviews where review_text is not null"
    )


@pytest.mark.parametrize("half", ["held out", "looked at"])
def test_sentiment_agrees_with_stars(sentiments, half, record_property) -> None:
    rows = [row for row in sentiments if is_held_out(row[0]) == (half == "held out") and row[1] != 3]
    # A neutral one disagrees.
    said = Counter((stars > 3, sentiment == ("positive" if stars > 3 else "negative")) for _, stars, sentiment in rows)
    happy, unhappy = (said[side, True] / (said[side, True] + said[side, False]) for side in (True, False))
    agreement = (said[True, True] + said[False, True]) / len(rows)
    words = f"{half}: {agreement:.1%} of {len(rows):,} reviews agree (4 and 5 stars {happy:.1%}, 1 and 2 {unhappy:.1%})"
    record_property("agreement", words)
    print(f"\n{words}")
    assert agreement >= LEAST and min(happy, unhappy) >= LEAST_A_SIDE, words
    assert len(rows) > 6_000
