"""Jobs that ask for one engine of several."""

from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.core.events import JobStatusChanged
from tests.routes.conftest import House
from tests.routes.native.jobs.test_resubmission import SMALL, X2, picture, sent


@pytest.fixture
def two_engines(make_house: Any) -> House:
    house: House = make_house(engines={"devices": ("cpu", "cpu")}).start()
    return house


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/txt2img", {**SMALL, "prompt": "a dot"}),
        ("/img2img", {**SMALL, "prompt": "a dot", "init_image_base64": picture()}),
        ("/upscale", {"image_base64": picture()}),
    ],
)
def test_job_runs_on_the_engine_that_it_asks_for_and_so_does_its_repetition(
    two_engines: House, path: str, body: dict[str, Any]
) -> None:
    two_engines.client.post("/upscaler/load", json={"model_name": X2})
    first = sent(two_engines, path, {**body, "device": "CPU:1"})
    assert (first["device"], first["engine"], first["status"]) == ("cpu:1", "cpu:1", "completed")
    answer = two_engines.client.post(f"/jobs/{first['job_id']}/again", json={})
    again = two_engines.finished(answer.get_json()["job_id"])
    assert (again["device"], again["engine"]) == ("cpu:1", "cpu:1")
    answer = two_engines.client.post(f"/jobs/{first['job_id']}/again", json={"overrides": {"device": ""}})
    assert two_engines.finished(answer.get_json()["job_id"])["device"] is None


def test_conversion_runs_on_the_engine_that_it_asks_for(two_engines: House) -> None:
    body = {"input_path": "demo_dit_q8_0.gguf", "output_type": "q4_0", "device": "cpu:1"}
    answer = two_engines.client.post("/convert", json=body)
    assert answer.status_code == 202, answer.text
    shown = two_engines.finished(answer.get_json()["job_id"])
    assert (shown["device"], shown["engine"]) == ("cpu:1", "cpu:1")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/txt2img", {"prompt": "a dot"}),
        ("/img2img", {"prompt": "a dot", "init_image_base64": picture()}),
        ("/upscale", {"image_base64": picture()}),
        ("/convert", {"input_path": "demo_dit_q8_0.gguf", "output_type": "q4_0"}),
        ("/estimate", {"kind": "txt2img", "request": {"prompt": "a dot"}}),
    ],
)
def test_engine_that_is_not_there_is_refused_with_those_that_are(
    two_engines: House, path: str, body: dict[str, Any]
) -> None:
    two_engines.client.post("/upscaler/load", json={"model_name": X2})
    asked = {**body, "device": "cuda:1"}
    if path == "/estimate":
        asked = {**body, "request": {**body["request"], "device": "cuda:1"}}
    answer = two_engines.client.post(path, json=asked)
    assert answer.status_code == 400, answer.text
    told = answer.get_json()
    assert told["error"] == "device must be one of cpu:0, cpu:1, or empty, got 'cuda:1'"
    assert two_engines.runtime.jobs.queue.counts()["total"] == 0


def test_name_that_is_too_long_is_refused(two_engines: House) -> None:
    answer = two_engines.client.post("/txt2img", json={"prompt": "x", "device": "c" * 41})
    assert answer.status_code == 400
    assert "device" in answer.get_json()["error"]


def test_every_engine_may_compute_a_job_at_the_same_time(two_engines: House) -> None:
    two_engines.gate.clear()
    with two_engines.runtime.jobs.bus.subscribe() as mailbox:
        jobs = [two_engines.submit(device=name) for name in ("cpu:0", "cpu:1")]
        begun: set[str] = set()
        while begun != set(jobs):
            event = mailbox.get(20)
            assert event is not None, "not both jobs began"
            if isinstance(event, JobStatusChanged) and event.status == "processing":
                begun.add(event.job_id)
    queue = two_engines.client.get("/queue").get_json()
    assert queue["processing_count"] == 2
    assert {job["engine"] for job in queue["items"]} == {"cpu:0", "cpu:1"}
    assert "sdcpp_rest_processing 2.0" in two_engines.client.get("/metrics").text
    assert two_engines.client.get("/ui/bootstrap").status_code == 200
    two_engines.gate.set()
    for job_id in jobs:
        two_engines.finished(job_id)
