"""Jobs that are made again, with changes or without; what cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.core.events import QueueReordered
from tests.routes.conftest import House
from tests.routes.native.jobs.test_resubmission import SMALL, X2, picture, pixels_of, sent, without_ids


def again(house: House, job_id: str, **body: Any) -> dict[str, Any]:
    answer = house.client.post(f"/jobs/{job_id}/again", json=body)
    assert answer.status_code == 202, answer.text
    return house.finished(answer.get_json()["job_id"])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/txt2img", {"prompt": "a dot", "title": "mine", "batch_count": 2}),
        ("/img2img", {"prompt": "a dot", "init_image_base64": picture(), "mask_image_base64": picture("white")}),
        ("/upscale", {"image_base64": picture(), "upscale_factor": 2}),
    ],
)
def test_a_job_is_made_again_as_it_was(house: House, path: str, body: dict[str, Any]) -> None:
    house.client.post("/upscaler/load", json={"model_name": X2})
    first = sent(house, path, body if path == "/upscale" else {**SMALL, **body})
    second = again(house, first["job_id"])
    assert second["job_id"] != first["job_id"]
    assert second["warnings"] == first["warnings"]
    assert second["title"] == first["title"]
    assert without_ids(second) == without_ids(first)
    assert pixels_of(house, second) == pixels_of(house, first)


def test_an_upscaler_that_is_asked_for_counts_with_either_model(house: House) -> None:
    house.client.post("/upscaler/load", json={"model_name": X2})
    job_id = sent(house, "/upscale", {"image_base64": picture()})["job_id"]
    for model in ("own", "selected"):
        body = {"model": model, "overrides": {"upscaler": {"model": {"name": "nothing.safetensors"}}}}
        assert house.client.post(f"/jobs/{job_id}/again", json=body).status_code == 404
    assert again(house, job_id, model="selected")["status"] == "completed"


def test_another_seed_and_other_fields_replace_the_jobs(house: House) -> None:
    first = sent(house, "/txt2img", {**SMALL, "prompt": "a dot", "seed": 7})
    second = again(house, first["job_id"], seed=8, title="", overrides={"steps": 3, "prompt": "a line"})
    assert {**without_ids(second), "seed": 7, "steps": 2, "prompt": "a dot"} == without_ids(first)
    assert (second["seed"], second["params"]["steps"], second["params"]["prompt"]) == (8, 3, "a line")
    assert again(house, first["job_id"], seed=-1)["seed"] not in (-1, 7)


def test_a_cancelled_job_and_a_failed_one_are_made_again(house: House) -> None:
    house.client.post("/queue/pause")
    job_id = house.submit()
    house.client.post(f"/queue/{job_id}/cancel")
    house.client.post("/queue/resume")
    assert again(house, job_id)["status"] == "completed"


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"overrides": {"step": 3}}, "overrides", "did you mean 'steps'?"),
        ({"overrides": {"steps": 0}}, "steps", "steps must be an integer"),
        ({"overrides": 3}, "overrides", "overrides must be an object, got 3"),
        ({"seed": "x"}, "seed", "seed must be an integer"),
        ({"model": "other"}, "model", "model must be one of 'own', 'selected'"),
    ],
)
def test_changes_are_checked_as_a_fresh_submission(house: House, body: dict[str, Any], field: str, said: str) -> None:
    job_id = house.submit()
    house.finished(job_id)
    answer = house.client.post(f"/jobs/{job_id}/again", json=body)
    assert answer.status_code == 400
    assert answer.get_json()["field"] == field
    assert said in answer.get_json()["error"]


def test_what_waits_and_what_is_unknown_is_not_made_again(house: House) -> None:
    house.client.post("/queue/pause")
    waiting = house.submit()
    answer = house.client.post(f"/jobs/{waiting}/again")
    assert answer.status_code == 409
    assert "this one is pending" in answer.get_json()["error"]
    assert house.client.post("/jobs/nope/again").status_code == 404


# --- the order, and the end, of what waits ---------------------------------------------------------------------------


def waiting_ids(house: House) -> list[str]:
    positions = house.runtime.jobs.queue.positions()
    return sorted(positions, key=lambda job_id: positions[job_id])


def test_waiting_jobs_are_moved_and_those_who_listen_hear_of_it(house: House) -> None:
    house.client.post("/queue/pause")
    a, b, c, d = (house.submit() for _ in range(4))
    with house.runtime.jobs.bus.subscribe() as mailbox:
        assert house.client.post(f"/queue/{d}/move", json={"before": b}).get_json()["position"] == 2
        assert waiting_ids(house) == [a, d, b, c]
        house.client.post(f"/queue/{c}/move", json={"to": "first"})
        house.client.post(f"/queue/{a}/move", json={"to": "last"})
        assert waiting_ids(house) == [c, d, b, a]
        told = [(event.job_id, event.position) for event in mailbox.drain() if isinstance(event, QueueReordered)]
    assert told == [(d, 2), (c, 1), (a, 4)]
    e = house.submit()
    assert waiting_ids(house)[-1] == e, "a new job is the last"
    house.client.post("/queue/resume")
    house.finished(e)
    begun = {house.runtime.jobs.queue.get(job_id).started_at: job_id for job_id in (a, b, c, d, e)}
    assert [begun[moment] for moment in sorted(filter(None, begun))] == [c, d, b, a, e]


def test_only_jobs_that_wait_are_moved(house: House) -> None:
    done = house.submit()
    house.finished(done)
    house.client.post("/queue/pause")
    waiting = house.submit()
    for job_id, body, status in (
        (done, {"to": "first"}, 409),
        (done, {"to": "last"}, 409),
        (waiting, {"before": done}, 409),
        (waiting, {"before": "nope"}, 404),
        ("nope", {"to": "last"}, 404),
        (waiting, {}, 400),
        (waiting, {"before": waiting, "to": "last"}, 400),
        (waiting, {"to": "middle"}, 400),
    ):
        answer = house.client.post(f"/queue/{job_id}/move", json=body)
        assert answer.status_code == status, (job_id, body, answer.text)
    assert house.client.post(f"/queue/{waiting}/move", json={"before": waiting}).status_code == 200


def test_all_that_waits_is_cancelled(house: House) -> None:
    house.client.post("/queue/pause")
    waiting = [house.submit() for _ in range(3)]
    assert house.client.delete("/queue/pending").get_json() == {"success": True, "cancelled": 3}
    assert {house.finished(job_id)["status"] for job_id in waiting} == {"cancelled"}
    assert house.client.delete("/queue/pending").get_json()["cancelled"] == 0
