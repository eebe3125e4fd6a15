from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from sdcpp_rest.core.events import JobPreview
from sdcpp_rest.core.job import Job, Progress
from sdcpp_rest.routes.queue import job_object

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
PROGRESS = {
    "step",
    "total_steps",
    "current_image",
    "total_images",
    "all_steps",
    "current_all_steps",
    "percentage",
    "phase",
}
TIMINGS = {"queued_seconds", "load_seconds", "native_seconds", "encode_seconds"}


@pytest.fixture
def busy(house: Any) -> tuple[Any, str, str]:
    """A house whose engine holds one job, with another one waiting: house, running id, pending id."""
    house.gate.clear()
    running = house.submit(title="first")
    assert house.running.wait(20)
    return house, running, house.submit(prompt="a blue square")


def test_a_finished_job_has_every_field_of_the_contract(house: Any) -> None:
    job = house.finished(house.submit(steps=3, batch_count=2, seed=7, title="t"))
    assert list(job)[:9] == [
        "job_id", "type", "status", "progress", "created_at", "started_at", "completed_at", "outputs", "params",
    ]  # fmt: skip
    assert (job["type"], job["status"]) == ("txt2img", "completed")
    assert job["progress"] == {
        "step": 3, "total_steps": 3, "current_image": 1, "total_images": 2, "all_steps": 6, "current_all_steps": 6,
        "percentage": 100.0, "phase": "done",
    }  # fmt: skip
    assert all(ISO.fullmatch(job[name]) for name in ("created_at", "started_at", "completed_at"))
    assert job["outputs"] == [f"{job['job_id']}/image_0.png", f"{job['job_id']}/image_1.png"]
    assert job["params"]["prompt"] == "a red circle"
    assert "error" not in job
    assert "position" not in job
    assert set(job["timings"]) == TIMINGS
    assert (job["title"], job["origin"], job["seed"], job["model"]) == ("t", "native", 7, "demo_dit_q8_0.gguf")
    assert isinstance(job["warnings"], list)


def test_a_pending_job_has_a_place_and_no_times(busy: Any) -> None:
    house, running, pending = busy
    job = house.client.get(f"/queue/{pending}").get_json()
    assert (job["status"], job["position"], job["outputs"]) == ("pending", 1, [])
    assert not job.keys() & {"started_at", "completed_at", "error"}
    assert set(job["progress"]) == PROGRESS
    running_job = house.client.get(f"/queue/{running}").get_json()
    assert running_job["status"] == "processing"
    assert not running_job.keys() & {"position", "completed_at"}


def test_a_failed_job_says_why(house: Any) -> None:
    job = house.finished(house.submit(prompt="fake:fail"))
    assert job["status"] == "failed"
    assert "asked to fail" in job["error"]


def test_an_unknown_job_is_told_in_the_words_of_the_contract(client: FlaskClient) -> None:
    answer = client.get("/queue/550e8400-e29b-41d4-a716-446655440000")
    assert (answer.status_code, answer.get_json()["error"]) == (404, "Job not found")


def test_the_queue_is_counted_and_listed_newest_first(busy: Any) -> None:
    house, running, pending = busy
    queue = house.client.get("/queue").get_json()
    assert list(queue) == [
        "pending_count", "processing_count", "completed_count", "failed_count", "cancelled_count", "total_count",
        "items",
    ]  # fmt: skip
    assert (queue["pending_count"], queue["processing_count"], queue["total_count"]) == (1, 1, 2)
    assert {job["job_id"] for job in queue["items"]} == {running, pending}


def test_filters_pages_and_order(house: Any) -> None:
    jobs = [house.submit(prompt=prompt) for prompt in ("red one", "fake:fail two", "red three")]
    for job in jobs:
        house.finished(job)

    def listed(query: str) -> list[str]:
        return [job["job_id"] for job in house.client.get(f"/queue?{query}").get_json()["items"]]

    assert listed("order=asc") == jobs
    assert listed("order=desc") == jobs[::-1]
    assert listed("status=failed") == [jobs[1]]
    assert listed("status=completed,failed&order=asc") == jobs
    assert listed("type=img2img") == []
    assert listed("search=red&order=asc") == [jobs[0], jobs[2]]
    assert listed("limit=1&offset=1&order=asc") == [jobs[1]]
    assert listed("limit=&status=&unknown=1&order=asc") == jobs


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=1001", "limit=x", "limit=-1", "limit=1.5", "limit=" + "9" * 5000, "offset=-1", "offset=x",
        "status=done", "status=pending,odd", "type=picture", "type=txt2img,img2img", "order=up", "order=asc,desc",
    ],
)  # fmt: skip
def test_a_bad_filter_is_refused_by_name(shared_client: FlaskClient, query: str) -> None:
    answer = shared_client.get(f"/queue?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.get_json()["error"]


def test_cancel_of_a_pending_job_is_answered_as_the_contract_has_it(busy: Any) -> None:
    house, _, pending = busy
    answer = house.client.delete(f"/queue/{pending}")
    assert (answer.status_code, answer.get_json()) == (200, {"success": True, "message": "Job cancelled"})
    assert house.client.get(f"/queue/{pending}").get_json()["status"] == "cancelled"


def test_cancel_of_a_running_job_stops_it(busy: Any) -> None:
    house, running, _ = busy
    answer = house.client.delete(f"/queue/{running}")
    assert answer.status_code == 200
    assert answer.get_json() == {"success": True, "message": "Job cancelled", "status": "cancelling"}
    house.gate.set()
    job = house.finished(running)
    assert (job["status"], job["outputs"]) == ("cancelled", [])
    assert "error" not in job


@pytest.mark.parametrize("which", ["unknown", "finished", "cancelled"])
def test_cancel_of_anything_else_is_one_sentence_of_the_contract(house: Any, which: str) -> None:
    job = "550e8400-e29b-41d4-a716-446655440000"
    if which != "unknown":
        house.gate.clear()
        first, job = house.submit(), house.submit()
        if which == "cancelled":
            house.client.delete(f"/queue/{job}")
        house.gate.set()
        house.finished(first)
        house.finished(job)
    answer = house.client.delete(f"/queue/{job}")
    assert answer.status_code == 400
    assert answer.get_json()["error"] == "Cannot cancel job (not found or already processing)"


def test_the_other_cancel_tells_unknown_from_finished(busy: Any) -> None:
    house, running, pending = busy
    assert house.client.post("/queue/nothing/cancel").status_code == 404
    assert house.client.post(f"/queue/{pending}/cancel").status_code == 200
    assert house.client.post(f"/queue/{pending}/cancel").status_code == 409
    assert house.client.post(f"/queue/{running}/cancel").get_json()["status"] == "cancelling"


@pytest.mark.parametrize("job_id", ["..", "%00", "a" * 5000, "%F0%9F%98%80", "x%20y", "'; DROP TABLE jobs; --", "%FF"])
def test_an_odd_job_id_is_just_not_found(shared_client: FlaskClient, job_id: str) -> None:
    answer = shared_client.get(f"/queue/{job_id}")
    assert answer.status_code == 404
    assert answer.is_json


def test_paths_on_the_servers_disk_are_not_shown() -> None:
    params = {
        "prompt": "x",
        "loras": [{"name": "l", "path": "/secret/l.safetensors", "weight": 1.0}],
        "eta": float("inf"),
    }
    job = Job(id="j", kind="txt2img", params=params, created_at=datetime(2024, 1, 1, 12, tzinfo=timezone.utc))
    shown = job_object(job, Progress())
    assert shown["params"]["loras"] == [{"name": "l", "weight": 1.0}]
    assert shown["created_at"] == "2024-01-01T12:00:00Z"
    assert job.params["loras"][0]["path"], "the job itself must keep it"


def test_a_listing_tells_every_place_and_asks_for_them_once(house: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house.gate.clear()
    house.submit()
    assert house.running.wait(20)
    waiting = [house.submit() for _ in range(5)]
    house.client.delete(f"/queue/{waiting.pop(1)}")
    places = {job: house.runtime.queue.position(job) for job in waiting}
    assert list(places.values()) == [1, 2, 3, 4]
    assert house.runtime.queue.positions() == places

    def asked(job_id: str) -> int:
        raise AssertionError("a listing must not ask once per job")

    monkeypatch.setattr(house.runtime.queue, "position", asked)
    items = house.client.get("/queue?status=pending").get_json()["items"]
    assert {job["job_id"]: job["position"] for job in items} == places


# --- previews -------------------------------------------------------------------------------------------------------


class OneStep:
    """A gate that lets a run's first step through, and holds the second."""

    def __init__(self) -> None:
        self._first = threading.Lock()
        self._opened = threading.Event()

    def wait(self, timeout_seconds: float) -> bool:
        return self._first.acquire(blocking=False) or self._opened.wait(timeout_seconds)

    def set(self) -> None:
        self._opened.set()


@pytest.fixture
def previewed(house: Any) -> Iterator[tuple[Any, str, JobPreview]]:
    """A house whose engine has made a preview of a job and holds it: house, job id, the event."""
    house.gate = OneStep()
    with house.runtime.bus.subscribe() as mailbox:
        job = house.submit(steps=3)
        while not isinstance(event := mailbox.get(20), JobPreview):
            assert event is not None, "no preview came"
        yield house, job, event


def test_the_latest_preview_of_a_running_job_is_served(previewed: tuple[Any, str, JobPreview]) -> None:
    house, job, event = previewed
    answer = house.client.get(f"/jobs/{job}/preview")
    assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.data == event.jpeg
    assert Image.open(io.BytesIO(answer.data)).format == "JPEG"


def test_a_job_and_its_event_say_where_the_preview_is(previewed: tuple[Any, str, JobPreview]) -> None:
    house, job, event = previewed
    url = f"/jobs/{job}/preview"
    assert event.data()["preview_url"] == url
    assert house.client.get(f"/queue/{job}").get_json()["preview_url"] == url
    (listed,) = house.client.get("/queue").get_json()["items"]
    assert listed["preview_url"] == url


def test_a_finished_job_has_no_preview(previewed: tuple[Any, str, JobPreview]) -> None:
    house, job, _ = previewed
    house.gate.set()
    assert "preview_url" not in house.finished(job)
    answer = house.client.get(f"/jobs/{job}/preview")
    assert (answer.status_code, answer.get_json()["status"]) == (404, "completed")


def test_without_a_preview_there_is_none(busy: Any) -> None:
    house, running, pending = busy
    assert "preview_url" not in house.client.get(f"/queue/{running}").get_json()
    for job in (running, pending):
        answer = house.client.get(f"/jobs/{job}/preview")
        assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found")


def test_the_preview_of_an_unknown_job_is_told_in_the_words_of_the_contract(shared_client: FlaskClient) -> None:
    answer = shared_client.get("/jobs/nothing/preview")
    assert (answer.status_code, answer.get_json()["error"]) == (404, "Job not found")
