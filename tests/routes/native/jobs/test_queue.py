from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from sdcpp_rest.core.events import JobPreview
from sdcpp_rest.services.jobs.active_jobs import ActiveJob
from tests.cases import for_each_case

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


def test_a_running_job_tells_how_long_it_will_take(house: Any) -> None:
    house.finished(house.submit(steps=4))
    house.runtime.engine.finishing._thread.submit(lambda: None).result()
    house.gate.clear()
    house.running.clear()
    job_id = house.submit(steps=4)
    assert house.running.wait(20)
    progress = house.client.get(f"/queue/{job_id}").get_json()["progress"]
    assert progress["seconds_per_step"] >= 0
    assert progress["eta_seconds"] >= progress["picture_eta_seconds"] >= 0
    house.gate.set()
    assert "eta_seconds" not in house.finished(job_id)["progress"]


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


@for_each_case("job_id", ["..", "%00", "a" * 5000, "%F0%9F%98%80", "x%20y", "'; DROP TABLE jobs; --", "%FF"])
def test_an_odd_job_id_is_just_not_found(shared_client: FlaskClient, job_id: str) -> None:
    answer = shared_client.get(f"/queue/{job_id}")
    assert answer.status_code == 404
    assert answer.is_json


# --- renaming, moving, pausing ----------------------------------------------------------------------------------------


def test_a_job_gets_another_title_whatever_its_status(busy: Any) -> None:
    house, running, pending = busy
    for job in (running, pending):
        answer = house.client.patch(f"/queue/{job}", json={"title": "another"})
        assert (answer.status_code, answer.get_json()["title"]) == (200, "another")
    assert house.client.patch(f"/queue/{pending}", json={"title": ""}).get_json()["title"] is None
    house.gate.set()
    assert house.finished(running)["title"] == "another"
    assert house.finished(pending)["title"] is None


@for_each_case("body", [{}, {"title": 5}, {"title": "x" * 201}, {"title": None}])
def test_a_bad_title_is_refused(busy: Any, body: dict[str, Any]) -> None:
    house, _, pending = busy
    answer = house.client.patch(f"/queue/{pending}", json=body)
    assert (answer.status_code, answer.get_json()["field"]) == (400, "title")
    assert house.client.patch("/queue/nothing", json={"title": "x"}).status_code == 404


def test_a_waiting_job_is_moved_to_the_front(busy: Any) -> None:
    house, running, first = busy
    second = house.submit()
    answer = house.client.post(f"/queue/{second}/front")
    assert (answer.status_code, answer.get_json()["position"]) == (200, 1)
    assert house.client.get(f"/queue/{first}").get_json()["position"] == 2
    assert house.client.post("/queue/nothing/front").status_code == 404
    refused = house.client.post(f"/queue/{running}/front")
    assert (refused.status_code, refused.get_json()["status"]) == (409, "processing")
    house.gate.set()
    assert house.finished(second)["started_at"] <= house.finished(first)["started_at"]


def test_a_full_queue_says_when_to_try_again(make_house: Any) -> None:
    house = make_house(limits={"pending_jobs": 1}).start()
    house.client.post("/queue/pause")
    house.submit()
    answer = house.client.post("/txt2img", json={"prompt": "one too many"})
    assert (answer.status_code, answer.get_json()["code"]) == (429, "queue_full")
    assert int(answer.headers["Retry-After"]) >= 1


def test_the_queue_is_paused_and_resumed(busy: Any) -> None:
    house, running, pending = busy
    assert house.client.post("/queue/pause").get_json() == {"success": True, "paused": True, "changed": True}
    assert house.client.post("/queue/pause").get_json()["changed"] is False
    house.gate.set()
    assert house.finished(running)["status"] == "completed"
    assert house.client.post("/models/load", json={"model_name": "demo_dit_q8_0"}).status_code == 200
    assert house.client.get(f"/queue/{pending}").get_json()["status"] == "pending"
    assert house.client.post("/queue/resume").get_json() == {"success": True, "paused": False, "changed": True}
    assert house.finished(pending)["status"] == "completed"


# --- previews -------------------------------------------------------------------------------------------------------


class OneStep:
    """A gate that lets a run's first step through, and holds the second."""

    def __init__(self) -> None:
        self._first = threading.Lock()
        self._open = threading.Event()

    def wait(self, timeout_seconds: float) -> bool:
        return self._first.acquire(blocking=False) or self._open.wait(timeout_seconds)

    def set(self) -> None:
        self._open.set()


@pytest.fixture
def previewed(house: Any) -> Iterator[tuple[Any, str, JobPreview]]:
    """A house whose engine has made a preview of a job and holds it: house, job id, the event."""
    house.gate = OneStep()
    with house.runtime.jobs.bus.subscribe() as mailbox:
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


def test_who_only_polls_is_served_the_preview_of_a_job_that_nobody_watches(
    house: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    there_is_one, take = threading.Event(), ActiveJob.note_preview

    def note(active: ActiveJob, path: str) -> None:
        take(active, path)
        there_is_one.set()

    monkeypatch.setattr(ActiveJob, "note_preview", note)
    house.gate = OneStep()
    job = house.submit(steps=3)
    assert there_is_one.wait(20)
    assert not list(house.runtime.jobs.outputs.spool_of(job).glob("*.jpg")), "nobody has asked for it"
    assert house.client.get(f"/queue/{job}").get_json()["preview_url"] == f"/jobs/{job}/preview"
    answer = house.client.get(f"/jobs/{job}/preview")
    assert (answer.status_code, answer.mimetype) == (200, "image/jpeg")


def test_a_job_and_its_event_say_where_the_preview_is(previewed: tuple[Any, str, JobPreview]) -> None:
    house, job, event = previewed
    url = f"/jobs/{job}/preview"
    assert event.data()["preview_url"] == url
    assert house.client.get(f"/queue/{job}").get_json()["preview_url"] == url
    (listed,) = house.client.get("/queue").get_json()["items"]
    assert listed["preview_url"] == url


def test_where_the_preview_is_has_the_path_before_the_server(previewed: tuple[Any, str, JobPreview]) -> None:
    house, job_id, _ = previewed
    shown = house.client.get(f"/queue/{job_id}", environ_overrides={"SCRIPT_NAME": "/sd"}).get_json()
    assert shown["preview_url"] == f"/sd/jobs/{job_id}/preview"


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
