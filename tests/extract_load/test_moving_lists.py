"""Lists that change while they are read page by page: no record is missed, and what can't be read is told."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from extract_scene import Answer, at
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import extract_load
from extract_load.connectors.api import readings
from storehouse.core.errors import StorehouseError, TransientError

REVIEWS = ("/reviews", None)
DAY = at("2026-01-01")
UNTIL = at("2026-01-02")
NOW = datetime.now(UTC)


def review(number: int, updated_at: str | None = None, **more) -> dict:
    """A review; without a time, the day's second of that number."""
    updated_at = updated_at or (DAY + timedelta(seconds=number)).isoformat()
    return {"review_id": f"R-{number}", "order_id": str(number), "updated_at": updated_at} | more


def ids(house) -> list[str]:
    rows = house.query("select payload ->> 'review_id' from raw_reviews.reviews order by _load_id, _row")
    return [review_id for (review_id,) in rows]


def is_after(text: str, until: datetime | None) -> bool:
    """True for a record that the load leaves to the next one."""
    return datetime.fromisoformat(json.loads(text)["updated_at"]) >= min(until or NOW, NOW)


def at_request(api, number: int, change) -> None:
    """Let the list change just before this request is answered."""

    def instead(asked: int, path: str, query: dict[str, str]) -> None:
        if asked == number:
            change(api.records[REVIEWS])

    api.instead = instead


def test_a_record_that_leaves_while_another_commits_late_hides_none(new_house, api):
    api.put("/reviews", *(review(n) for n in range(6)))

    def one_leaves_and_one_comes(records: list[str]) -> None:
        records.pop(0)
        records.append(json.dumps(review(9)))

    at_request(api, 2, one_leaves_and_one_comes)
    extract_load.load("reviews", until=UNTIL)
    assert ids(new_house) == ["R-1", "R-2", "R-3", "R-4", "R-5", "R-9"]


def test_a_record_that_changes_within_an_interval_that_is_still_open_hides_none(new_house, api):
    api.put("/reviews", *(review(n) for n in range(6)))

    def the_first_changes(records: list[str]) -> None:
        records.pop(0)
        records.append(json.dumps(review(0, "2026-01-01T12:00:00Z")))

    at_request(api, 3, the_first_changes)
    extract_load.load("reviews")
    assert sorted(set(ids(new_house))) == [f"R-{n}" for n in range(6)]


def test_a_change_between_two_readings_is_read(new_house, api):
    api.put("/reviews", *(review(n) for n in range(6)))

    def one_leaves_and_one_comes(records: list[str]) -> None:
        records.pop(0)
        records.insert(0, json.dumps(review(9)))

    at_request(api, 4, one_leaves_and_one_comes)
    extract_load.load("reviews", until=UNTIL)
    assert sorted(ids(new_house)) == ["R-1", "R-2", "R-3", "R-4", "R-5", "R-9"]


def test_one_page_is_asked_for_once_and_more_than_one_twice(new_house, api):
    api.put("/reviews", review(1), review(2))
    extract_load.load("reviews", DAY, UNTIL)
    assert len(api.asked) == 1
    api.put("/reviews", review(3))
    extract_load.load("reviews", DAY, UNTIL)
    assert [query["page"] for query in api.asked[1:]] == ["1", "2", "1", "2"]


@pytest.mark.parametrize("until", [UNTIL, None, at("2999-01-01")])
def test_a_list_that_never_keeps_still_is_read_in_shorter_intervals(new_house, api, until):
    api.put("/reviews", *(review(n * 1000) for n in range(20)))
    changes = iter(range(1, 1_000_000))

    def the_oldest_changes(asked: int, path: str, query: dict[str, str]) -> None:
        records = api.records[REVIEWS]
        oldest = json.loads(records.pop(0))
        records.append(json.dumps(oldest | {"updated_at": f"{UNTIL + timedelta(days=next(changes)):%FT%TZ}"}))

    api.instead = the_oldest_changes
    extract_load.load("reviews", until=until)
    left = {json.loads(text)["review_id"] for text in api.records[REVIEWS] if is_after(text, until)}
    assert set(ids(new_house)) | left == {f"R-{n * 1000}" for n in range(20)}


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seconds=st.lists(st.integers(0, 40), min_size=1, max_size=14, unique=True),
    changes=st.lists(st.tuples(st.integers(1, 30), st.integers(0, 13), st.booleans()), max_size=8),
)
def test_whatever_changes_between_two_answers_each_record_is_read(house, api, seconds, changes):
    """Each change takes one record out of the interval or to its end; late commits come in between."""
    api.records.clear()
    api.asked.clear()
    api.put("/reviews", *(review(second) for second in seconds))
    left, clock = set(), 100

    def change(asked: int, path: str, query: dict[str, str]) -> None:
        nonlocal clock
        records = api.records[REVIEWS]
        for when, which, comes in changes:
            if when != asked:
                continue
            clock += 1
            changed = json.loads(records.pop(which % len(records)))
            if comes:
                changed["updated_at"] = (DAY + timedelta(seconds=clock)).isoformat()
                records.append(json.dumps(changed))
            else:
                left.add(changed["review_id"])
                records.append(json.dumps(review(clock)))

    api.instead = change
    extract_load.load("reviews", DAY, UNTIL)
    (load_id,) = house.query("select max(load_id) from raw.loads")[0]
    landed = house.query(f"select payload from raw_reviews.reviews where _load_id = {load_id}")
    versions = {(payload["review_id"], payload["updated_at"]) for (payload,) in landed}
    now = {(record["review_id"], record["updated_at"]) for record in map(json.loads, api.records[REVIEWS])}
    # What was changed or came after the last answer's moment is the next load's.
    missed = {review_id for review_id, _ in now - versions} - {review_id for review_id, _ in versions}
    assert not missed - {f"R-{n}" for n in range(101, clock + 1)}, (missed, left)


def test_more_than_a_page_in_one_second_that_never_keeps_still_is_told_and_lands_nothing(new_house, api):
    at_once = "2026-01-01T10:00:00Z"
    api.put("/reviews", *(review(n, at_once) for n in range(6)))

    def another_comes(asked: int, path: str, query: dict[str, str]) -> None:
        api.records[REVIEWS].pop(0)
        api.records[REVIEWS].append(json.dumps(review(100 + asked, at_once)))

    api.instead = another_comes
    with pytest.raises(TransientError, match=r"reviews.reviews: .*other records.*Nothing of this load was landed"):
        extract_load.load("reviews", until=UNTIL)
    assert new_house.query("select count(*) from raw.loads") == [(0,)]
    assert len(api.asked) < 400


def test_a_record_that_comes_on_two_pages_is_not_taken_for_a_whole_list(new_house, api):
    at_once = "2026-01-01T10:00:00Z"
    api.put("/reviews", *(review(n, at_once) for n in range(4)))

    def page_one_for_all(asked: int, path: str, query: dict[str, str]) -> Answer | None:
        if query["page"] == "2":
            data = ", ".join(api.records[REVIEWS][:2])
            return Answer(f'{{"page": 2, "pages": 2, "total": 4, "data": [{data}]}}'.encode())
        return None

    api.instead = page_one_for_all
    with pytest.raises(StorehouseError, match="on two pages"):
        extract_load.load("reviews", until=UNTIL)
    assert new_house.query("select count(*) from raw.loads") == [(0,)]


def test_an_api_that_sends_records_twice_costs_a_request_more_for_each_that_stands_on_two_pages(new_house, api):
    api.put("/reviews", *(review(n) for n in (0, 1, 1, 2, 3, 3)))
    extract_load.load("reviews", DAY, UNTIL)
    assert ids(new_house) == ["R-0", "R-1", "R-1", "R-2", "R-3", "R-3"]
    assert len(api.asked) == 2 * 3 + 1


def test_a_member_that_differs_in_each_answer_is_no_change(new_house, api):
    def signed_anew(asked: int, path: str, query: dict[str, str]) -> None:
        api.records[REVIEWS] = [json.dumps(review(n, image=f"https://host/{n}?signed={asked}")) for n in range(4)]

    api.instead = signed_anew
    extract_load.load("reviews", DAY, UNTIL)
    assert ids(new_house) == ["R-0", "R-1", "R-2", "R-3"] and len(api.asked) == 4


@pytest.mark.parametrize("member", ["pages", "total"])
def test_an_api_that_counts_up_for_ever_is_left(new_house, api, member):
    def one_more(asked: int, path: str, query: dict[str, str]) -> Answer:
        page = int(query["page"])
        counts = {"pages": 2, "total": 2} | {member: page + 1}
        return Answer(json.dumps({"page": page, "data": [review(page)]} | counts).encode())

    api.instead = one_more
    with pytest.raises(TransientError, match=f"{member} .* became"):
        extract_load.load("reviews", until=UNTIL)
    assert len(api.asked) < 300


def test_an_empty_page_in_the_middle_of_a_list_is_told(new_house, api):
    api.put("/reviews", *(review(n, "2026-01-01T10:00:00Z") for n in range(6)))
    api.instead = lambda asked, path, query: (
        Answer(b'{"page": 2, "pages": 3, "total": 6, "data": []}') if query["page"] == "2" else None
    )
    with pytest.raises(TransientError, match="6 records were promised and 4 came"):
        extract_load.load("reviews", until=UNTIL)
    assert new_house.query("select count(*) from raw.loads") == [(0,)]


def test_a_long_list_is_read_a_stretch_at_a_time_and_lands_once(new_house, api, monkeypatch):
    monkeypatch.setattr(readings, "STRETCH_PAGES", 4)
    api.put("/reviews", *(review(n, f"{DAY + n * timedelta(minutes=14):%FT%TZ}") for n in range(100)))
    (landed,) = extract_load.load("reviews", DAY, UNTIL)
    assert landed.rows == 100
    assert ids(new_house) == [f"R-{n}" for n in range(100)]
    assert len(api.asked) < 2.5 * 50


def test_an_api_that_does_not_heed_the_interval_is_told(new_house, api, monkeypatch):
    monkeypatch.setattr(readings, "STRETCH_PAGES", 4)

    def all_of_it(asked: int, path: str, query: dict[str, str]) -> Answer:
        data = [review(2 * int(query["page"]) + n) for n in range(2)]
        return Answer(json.dumps({"page": int(query["page"]), "pages": 50, "total": 100, "data": data}).encode())

    api.instead = all_of_it
    with pytest.raises(StorehouseError, match="does not heed from and until"):
        extract_load.load("reviews", until=UNTIL)
    assert len(api.asked) < 10
