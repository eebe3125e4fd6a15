from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.core.job import Job, utc_now
from tests.cases import for_each_case

PAGED = {"filtered_count", "limit", "offset", "page", "total_pages", "has_more", "has_prev", "all_titles"}


@pytest.fixture
def busy(house: Any) -> tuple[Any, str, str]:
    """A house whose engine holds one job, with another one waiting: house, running id, pending id."""
    house.gate.clear()
    running = house.submit(title="first")
    assert house.running.wait(20)
    return house, running, house.submit(prompt="a blue square")


def ids(answer: dict[str, Any]) -> list[str]:
    return [job["job_id"] for job in answer["items"]]


def queue_of(house: Any, query: str = "") -> dict[str, Any]:
    answer = house.client.get(f"/queue?{query}")
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def test_the_queue_is_counted_and_listed_newest_first(busy: Any) -> None:
    house, running, pending = busy
    queue = queue_of(house)
    assert list(queue) == [
        "pending_count", "processing_count", "completed_count", "failed_count", "cancelled_count", "total_count",
        "paused", "items",
    ]  # fmt: skip
    assert (queue["pending_count"], queue["processing_count"], queue["total_count"]) == (1, 1, 2)
    assert ids(queue) == [running, pending]


def test_a_listing_shows_each_job_as_it_is_shown_alone(busy: Any) -> None:
    house, running, pending = busy
    for _ in range(2):  # the second time from what was kept
        for job in queue_of(house)["items"]:
            assert job == house.client.get(f"/queue/{job['job_id']}").get_json()
    house.client.patch(f"/queue/{pending}", json={"title": "renamed"})
    house.gate.set()
    house.finished(running)
    done = house.finished(pending)
    assert done["title"] == "renamed"
    assert queue_of(house)["items"] == [done, house.client.get(f"/queue/{running}").get_json()]


def test_filters_pages_and_order(house: Any) -> None:
    jobs = [house.submit(prompt=prompt) for prompt in ("red one", "fake:fail two", "red three")]
    for job in jobs:
        house.finished(job)

    def listed(query: str) -> list[str]:
        return ids(queue_of(house, query))

    assert listed("order=asc") == jobs
    assert listed("order=desc") == jobs[::-1]
    assert listed("status=failed") == [jobs[1]]
    assert listed("status=completed,failed&order=asc") == jobs
    assert listed("type=img2img") == []
    assert listed("search=red&order=asc") == [jobs[0], jobs[2]]
    assert listed("limit=1&offset=1&order=asc") == [jobs[1]]
    assert listed("limit=&status=&unknown=1&order=asc") == jobs
    assert listed("sort=status&order=asc") == [jobs[0], jobs[2], jobs[1]]
    assert listed("architecture=OVIS&order=asc") == jobs
    assert listed("architecture=sdxl") == []


def test_titles_filter_exactly_and_are_all_told(house: Any) -> None:
    red, blue, none = house.submit(title="red"), house.submit(title="Blue"), house.submit()
    for job in (red, blue, none):
        house.finished(job)
    queue = queue_of(house, "titles=red,Blue&order=asc")
    assert (ids(queue), queue["all_titles"], queue["filtered_count"]) == ([red, blue], ["Blue", "red"], 2)
    assert ids(queue_of(house, "titles=red&titles=gone")) == [red]
    assert ids(queue_of(house, "titles=re")) == []


def test_pages_are_told_when_something_was_asked_for(busy: Any) -> None:
    house, running, pending = busy
    house.client.delete(f"/queue/{pending}")
    others = [house.submit() for _ in range(3)]
    first = queue_of(house, "page=1&limit=2")
    assert set(first) >= PAGED
    assert ids(first) == others[:0:-1]
    assert {name: first[name] for name in PAGED - {"all_titles"}} == {
        "filtered_count": 5, "limit": 2, "offset": 0, "page": 1, "total_pages": 3, "has_more": True, "has_prev": False,
    }  # fmt: skip
    last = queue_of(house, "page=3&limit=2")
    assert ids(last) == [running]
    assert (last["page"], last["has_more"], last["has_prev"]) == (3, False, True)
    assert ids(queue_of(house, "page=4&limit=2")) == []
    cancelled = queue_of(house, "status=cancelled")
    assert (ids(cancelled), cancelled["filtered_count"], cancelled["total_count"]) == ([pending], 1, 5)


def test_without_pages_the_limit_counts_finished_jobs_only(busy: Any) -> None:
    house, running, pending = busy
    house.client.delete(f"/queue/{pending}")
    waiting = house.submit()
    queue = queue_of(house, "limit=1")
    assert ids(queue) == [running, waiting, pending]
    assert (queue["total_pages"], queue["has_more"]) == (1, False)


def test_days_are_groups_with_labels_and_whole_counts(house: Any) -> None:
    moments = [utc_now(), utc_now() - timedelta(days=1), datetime(2024, 1, 31, 23, 59, tzinfo=timezone.utc)]
    names = []
    for number, moment in enumerate([*moments, moments[2] - timedelta(hours=1)]):
        job = Job(id=f"job-{number}", kind="txt2img", created_at=moment, params={"prompt": "x"})
        house.runtime.jobs.queue._store.insert(job, max_pending=10)
        house.runtime.jobs.queue._store.transition(job.id, "cancelled", ["pending"])
        names.append(job.id)
    queue = queue_of(house, "group_by=date&limit=3&sort=created_at&order=asc")
    assert (queue["items"], queue["group_by"], queue["filtered_count"]) == ([], "date", 4)
    shown = [(day["label"], day["count"], ids(day)) for day in queue["groups"]]
    assert shown == [("Today", 1, names[:1]), ("Yesterday", 1, names[1:2]), ("Jan 31, 2024", 2, names[2:3])]
    day = queue["groups"][2]
    assert (day["date"], day["timestamp"]) == ("2024-01-31", 1706659200)


@pytest.fixture
def winter(house: Any) -> Any:
    """A house with two jobs: ``a`` of a day in January, ``b`` of the next day's noon."""
    for name, moment in (("a", datetime(2024, 1, 31)), ("b", datetime(2024, 2, 1, 12))):
        job = Job(id=name, kind="txt2img", created_at=moment.replace(tzinfo=timezone.utc))
        house.runtime.jobs.queue._store.insert(job, max_pending=10)
        house.runtime.jobs.queue._store.transition(name, "cancelled", ["pending"])
    return house


@for_each_case(
    ("query", "found"),
    [
        ("before=2024-02-01", "a"),
        ("after=2024-02-01", "b"),
        ("after=2024-02-01T12:00:01Z", ""),
        ("after=2024-02-01T12:00:00", "b"),
        ("before=2024-02-01T14:00:00%2B02:00", "a"),
        ("before=2024-02-01T14:00:01+02:00", "ba"),
        ("before=1706788801", "ba"),
        ("before=1706788800.0", "a"),
        ("after=2024-01-01&before=2024-01-31", ""),
    ],
)
def test_moments_are_dates_times_or_seconds(winter: Any, query: str, found: str) -> None:
    assert "".join(ids(queue_of(winter, query))) == found


@for_each_case(
    "query",
    [
        "limit=0", "limit=1001", "limit=x", "limit=-1", "limit=1.5", "limit=" + "9" * 5000, "offset=-1", "offset=x",
        "status=done", "status=pending,odd", "type=picture", "type=txt2img,img2img", "order=up", "order=asc,desc",
        "page=0", "page=x", "page=2&offset=3", "page=1000001", "sort=prompt", "group_by=month", "before=tomorrow",
        "before=" + "9" * 400, "before=nan", "after=2024-13-01", "after=0001-01-01T00:00:00%2B10:00", "after=-5",
        "architecture=" + "x" * 101, "before=2024-01-01'; DROP TABLE jobs", "before=\u0661",
    ],
)  # fmt: skip
def test_a_bad_filter_is_refused_by_name(shared_client: FlaskClient, query: str) -> None:
    answer = shared_client.get(f"/queue?{query}")
    name = query.partition("=")[0]
    assert answer.status_code == 400
    assert name in answer.get_json()["error"]
    assert answer.get_json()["field"].partition("[")[0] == name


def test_odd_words_are_only_words(shared_client: FlaskClient) -> None:
    for word in ("%25", "_", "'", '"', "%00", "%F0%9F%98%80", "a" * 100):
        for name in ("search", "titles", "architecture"):
            assert shared_client.get(f"/queue?{name}={word}").get_json()["items"] == []


def test_a_listing_tells_every_place_and_asks_for_them_once(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house.gate.clear()
    house.submit()
    assert house.running.wait(20)
    waiting = [house.submit() for _ in range(5)]
    house.client.delete(f"/queue/{waiting.pop(1)}")
    places = {job: house.runtime.jobs.queue.position(job) for job in waiting}
    assert list(places.values()) == [1, 2, 3, 4]
    assert house.runtime.jobs.queue.positions() == places

    def asked(job_id: str) -> int:
        raise AssertionError("a listing must not ask once per job")

    monkeypatch.setattr(house.runtime.jobs.queue, "position", asked)
    for _ in range(2):
        items = house.client.get("/queue?status=pending").get_json()["items"]
        assert {job["job_id"]: job["position"] for job in items} == places


def test_a_listing_of_some_waiting_jobs_tells_their_places_among_all(house: Any) -> None:
    """Whatever leaves others out, or has its own order."""
    house.client.post("/queue/pause")
    first, second, third = (house.submit(title=title) for title in ("xylo", "zebra", "yak"))
    house.client.post(f"/queue/{third}/front")
    places = {third: 1, first: 2, second: 3}
    for query, found in (
        ("", [third, first, second]),
        ("?status=pending", [third, first, second]),
        ("?status=pending,failed&limit=1", [third, first, second]),
        ("?search=zebra", [second]),
        ("?titles=zebra,yak", [third, second]),
        ("?type=txt2img", [third, first, second]),
        ("?page=1&limit=2", [third, second]),
        ("?sort=title", [second, third, first]),
        ("?status=completed", []),
        ("?offset=1", []),
    ):
        items = house.client.get(f"/queue{query}").get_json()["items"]
        assert [(job["job_id"], job["position"]) for job in items] == [(job, places[job]) for job in found], query
    (day,) = house.client.get("/queue?group_by=date").get_json()["groups"]
    assert {job["job_id"]: job["position"] for job in day["items"]} == places


def test_whole_listings_ask_nobody_for_places(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house.client.post("/queue/pause")
    waiting = [house.submit() for _ in range(3)]
    monkeypatch.setattr(house.runtime.jobs.queue, "positions", None)
    items = house.client.get("/queue").get_json()["items"]
    assert [(job["job_id"], job["position"]) for job in items] == [*zip(waiting, (1, 2, 3), strict=True)]


def test_a_second_listing_reads_only_what_has_changed(busy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house, running, pending = busy
    first = queue_of(house)
    read: list[list[str]] = []
    get_many = house.runtime.jobs.queue.get_many
    monkeypatch.setattr(house.runtime.jobs.queue, "get_many", lambda names: read.append(list(names)) or get_many(names))
    assert queue_of(house)["items"][1] == first["items"][1]
    house.client.delete(f"/queue/{pending}")
    assert queue_of(house)["items"][1]["status"] == "cancelled"
    assert read == [[running], [running, pending]]


def test_a_job_deleted_between_two_looks_is_left_out(busy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house, running, _ = busy
    get_many = house.runtime.jobs.queue.get_many
    monkeypatch.setattr(house.runtime.jobs.queue, "get_many", lambda names: get_many([running]))
    assert ids(queue_of(house)) == [running]


def test_a_paused_queue_says_so(house: Any) -> None:
    assert queue_of(house)["paused"] is False
    house.client.post("/queue/pause")
    assert queue_of(house, "limit=5")["paused"] is True


def test_a_listing_is_json_whatever_the_prompts(house: Any) -> None:
    prompt = 'a "quoted" \\ \u2028 \U0001f600 {curly} ]}'
    job = house.submit(prompt=prompt)
    house.finished(job)
    (item,) = json.loads(house.client.get("/queue").data)["items"]
    assert item["params"]["prompt"] == prompt
