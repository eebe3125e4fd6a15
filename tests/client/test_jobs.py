"""A job that was submitted is waited for, followed, cancelled, and its pictures are fetched."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from PIL import Image

from sdcpp_rest.client import (
    Client,
    Conflict,
    JobFailed,
    JobWasCancelled,
    NoEventStream,
    NotFound,
    ResultTimeout,
    SubmittedJob,
    following,
)
from sdcpp_rest.core.events import JobPreview, JobProgress, JobStatusChanged
from tests.routes.conftest import PATIENCE_SECONDS, House, ServedHouse, preview_before_second_step

Draw = Callable[..., SubmittedJob]


def test_result_has_the_pictures(draw: Draw, tmp_path: Path) -> None:
    submitted = draw(batch_count=2, seed=7)
    assert submitted.answer["position"] == 1
    done = submitted.result()
    assert done.shown["status"] == "completed"
    assert done.shown["seed"] == 7
    first, second = done.images()
    assert Image.open(io.BytesIO(first)).size == (64, 64)
    saved = done.save(tmp_path / "new")
    assert [path.name for path in saved] == [f"{done.id}_image_0.png", f"{done.id}_image_1.png"]
    assert [path.read_bytes() for path in saved] == [first, second]
    assert sorted((tmp_path / "new").iterdir()) == saved


@pytest.mark.usefixtures("frequent_previews")
def test_events_tell_progress_and_previews_and_the_end(draw: Draw, client: Client, served: ServedHouse) -> None:
    client.change_preview_settings(enabled=True, mode="proj", interval=1)
    served.house.gate.clear()
    told = []
    with preview_before_second_step(served.house):
        for event in draw(steps=3).events():
            told.append(event)
            # Only now: a client that listens late would be told of the end alone.
            served.house.gate.set()
    assert {type(event) for event in told} >= {JobStatusChanged, JobProgress, JobPreview}
    preview = next(event for event in told if isinstance(event, JobPreview))
    assert Image.open(io.BytesIO(preview.jpeg)).format == "JPEG"
    steps = [event.step for event in told if isinstance(event, JobProgress) and event.phase == "sampling"]
    assert steps == sorted(steps)
    last = told[-1]
    assert isinstance(last, JobStatusChanged)
    assert (last.status, len(last.outputs)) == ("completed", 1)
    assert last.completed_at is not None


def test_events_of_a_job_that_has_ended_are_its_end(draw: Draw, client: Client) -> None:
    job = draw()
    job.result()
    told = list(client.job(job.id).events())
    assert [type(event) for event in told] == [JobStatusChanged]


def test_cancelled_job_has_no_result(draw: Draw, served: ServedHouse) -> None:
    job = draw(prompt="fake:hold")
    assert served.house.running.wait(PATIENCE_SECONDS)
    assert job.cancel()["success"]
    with pytest.raises(JobWasCancelled, match="was cancelled") as caught:
        job.result()
    assert caught.value.job["status"] == "cancelled"
    with pytest.raises(Conflict):
        job.cancel()


@pytest.mark.parametrize(("prompt", "code"), [("fake:fail", "generation_failed"), ("fake:die", "engine_crashed")])
def test_failed_job_raises_with_its_reason(draw: Draw, prompt: str, code: str) -> None:
    with pytest.raises(JobFailed, match=r"The job failed: \w") as caught:
        draw(prompt=prompt).result()
    assert not isinstance(caught.value, JobWasCancelled)
    assert caught.value.code == code


def test_result_that_takes_too_long_leaves_the_job_alone(draw: Draw, served: ServedHouse) -> None:
    served.house.gate.clear()
    job = draw()
    with pytest.raises(ResultTimeout, match=r"within 0\.05 seconds"):
        job.result(timeout=0.05)
    with pytest.raises(TimeoutError):
        list(job.events(timeout=0.05))
    served.house.gate.set()
    assert job.result(timeout=PATIENCE_SECONDS).outputs


def test_unknown_job_is_not_waited_for(client: Client) -> None:
    with pytest.raises(NotFound, match="Job not found"):
        client.job("nobody").result()


def test_job_is_looked_at_where_there_is_no_stream(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transport without sockets is as a proxy that lets no WebSocket through."""
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.001)
    house.gate.clear()
    told = []
    with Client(transport=httpx.WSGITransport(app=house.client.application)) as client:
        for event in client.txt2img(prompt="a red circle", steps=2, width=64, height=64).events():
            told.append(event)
            if isinstance(event, JobProgress):
                house.gate.set()
    assert {type(event) for event in told} == {JobStatusChanged, JobProgress}
    assert isinstance(told[-1], JobStatusChanged)
    assert (told[-1].status, len(told[-1].outputs)) == ("completed", 1)


def test_all_jobs_cannot_be_followed_where_there_is_no_stream() -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(404))
    with Client(transport=transport) as client, pytest.raises(NoEventStream, match="no event stream"):
        next(client.events())


def test_stream_that_is_left_early_is_closed(draw: Draw, served: ServedHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten, bus = threading.Event(), served.runtime.jobs.bus
    forget = bus._forget
    monkeypatch.setattr(bus, "_forget", lambda subscription: (forget(subscription), forgotten.set()))
    served.house.gate.clear()
    before = bus.subscriber_count
    events = draw().events()
    next(events)
    events.close()
    assert forgotten.wait(PATIENCE_SECONDS)
    assert bus.subscriber_count == before


def test_all_events_are_told(client: Client, draw: Draw) -> None:
    events = client.events()
    assert next(events).name == "server_status"
    job = draw()
    names = []
    for event in events:
        names.append(event.name)
        if isinstance(event, JobStatusChanged) and event.status == "completed":
            assert event.job_id == job.id
            break
    assert names.index("job_added") < names.index("job_status_changed")
