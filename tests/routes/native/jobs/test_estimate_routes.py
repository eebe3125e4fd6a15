from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from sdcpp_rest.routes.http.pools import pool_of
from sdcpp_rest.web.app import create_app
from tests.cases import for_each_case

DRAW = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 4}
GIB = 1 << 30


def png(width: int = 16, height: int = 16, colour: str = "red") -> str:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def estimate(house: Any, kind: str = "txt2img", **fields: Any) -> dict[str, Any]:
    answer = house.client.post("/estimate", json={"kind": kind, "request": {**DRAW, **fields}})
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def learn(house: Any) -> None:
    """Wait until all that has ended was learned from."""
    for lane in house.runtime.engine.pool.lanes:
        lane.finishing._thread.submit(lambda: None).result()


def give_memory(house: Any, monkeypatch: pytest.MonkeyPatch, available: int) -> None:
    told = house.runtime.status.memory()
    told["system"] |= {"available_bytes": available, "total_bytes": 64 * GIB}
    told["engine"]["rss_bytes"] = 0
    monkeypatch.setattr(house.runtime.estimates.jobs._fits, "_memory", lambda: told)


def test_an_estimate_tells_memory_at_once_and_time_when_something_was_drawn(house: Any) -> None:
    before = estimate(house)
    assert before["fits"] == "yes"
    assert 0 < before["needed_bytes"] < before["free_bytes"] <= before["total_bytes"]
    assert before["advice"] == []
    assert (before["seconds_estimate"], before["seconds_per_step"], before["based_on"]) == (None, None, None)
    assert before["queue_seconds_before"] == 0
    house.finished(house.submit(prompt="fake:step=0.01", width=64, height=64, steps=4))
    learn(house)
    after = estimate(house)
    assert after["based_on"] == {"jobs": 1, "how": "exact"}
    seconds = after["seconds_estimate"]
    assert seconds["load"] == seconds["hires"] == seconds["upscaling"] == 0
    # A pause of 0.01 s may end a little earlier.
    assert seconds["total"] >= seconds["sampling"] > 0.03
    assert abs(seconds["sampling"] - 4 * after["seconds_per_step"]) < 0.003
    assert estimate(house, width=512)["based_on"] == {"jobs": 1, "how": "scaled"}


def test_several_engines_share_out_what_waits(make_house: Any) -> None:
    house = make_house(engines={"devices": ("cpu", "cpu")}).start()
    house.finished(house.submit(prompt="fake:step=0.01", steps=4))
    learn(house)
    assert estimate(house)["queue_seconds_before"] == 0
    house.submit(prompt="fake:hold", steps=4)
    assert estimate(house)["queue_seconds_before"] == 0, "the other engine is free"


def test_nothing_is_created(house: Any) -> None:
    estimate(house, "img2img", init_image_base64=png())
    assert house.client.get("/queue").get_json()["total_count"] == 0
    inputs = house.config.paths.data_dir / "inputs"
    assert not inputs.exists() or not list(inputs.iterdir())


def test_a_picture_that_does_not_fit_gets_advice_that_makes_it_fit(house: Any, monkeypatch: Any) -> None:
    needed = estimate(house, width=2048, height=2048)["needed_bytes"]
    give_memory(house, monkeypatch, needed - 1)
    found = estimate(house, width=2048, height=2048)
    assert found["fits"] == "no"
    first = found["advice"][0]
    assert first["target"] == "request"
    again = estimate(house, **{"width": 2048, "height": 2048, **first["change"]})
    assert (again["fits"], again["needed_bytes"]) == (first["fits"], first["needed_bytes"])
    assert again["fits"] != "no"


def test_the_queue_before_it_counts_where_it_is_known(house: Any) -> None:
    house.finished(house.submit(prompt="fake:step=0.01", steps=4))
    learn(house)
    house.client.post("/queue/pause")
    house.submit(prompt="fake:step=0.01", steps=4)
    assert estimate(house)["queue_seconds_before"] is None, "nobody knows when it goes on"
    house.gate.clear()
    house.running.clear()
    house.client.post("/queue/resume")
    assert house.running.wait(20)
    running = estimate(house)["queue_seconds_before"]
    house.submit(prompt="fake:step=0.01", steps=400)
    waiting = estimate(house)["queue_seconds_before"]
    assert running is not None
    assert waiting > running


def test_a_job_that_was_never_done_leaves_the_queues_time_open(house: Any) -> None:
    house.gate.clear()
    house.submit(steps=4)
    assert house.running.wait(20)
    assert estimate(house)["queue_seconds_before"] is None


def test_upscaling_is_estimated(house: Any) -> None:
    answer = house.client.post("/upscaler/load", json={"model_name": "esrgan_x4"})
    assert answer.status_code == 200
    request = {"image_base64": png(64, 64), "upscale_factor": 4}
    answer = house.client.post("/estimate", json={"kind": "upscale", "request": request})
    found = answer.get_json()
    assert answer.status_code == 200
    assert found["fits"] == "yes"
    assert found["needed_bytes"] > 100 << 20
    assert found["seconds_estimate"] is None
    job_id = house.client.post("/upscale", json=request).get_json()["job_id"]
    assert house.finished(job_id)["status"] == "completed"
    learn(house)
    found = house.client.post("/estimate", json={"kind": "upscale", "request": request}).get_json()
    assert found["seconds_estimate"]["sampling"] == 0
    assert found["based_on"]["how"] == "exact"


def test_the_warnings_are_those_of_the_submission(house: Any) -> None:
    fields = {**DRAW, "stepps": 3, "clip_skip": 2, "ref_images": [png()]}
    submitted = house.client.post("/txt2img", json=fields).get_json()["warnings"]
    assert estimate(house, **fields)["warnings"] == submitted
    assert "warnings" not in estimate(house)


@for_each_case(
    ("kind", "fields"),
    [
        ("txt2img", {"steps": 0}),
        ("txt2img", {"steps": "many"}),
        ("txt2img", {"prompt": None}),
        ("txt2img", {"group": {"id": "!!", "kind": "grid", "axes": [{"field": "seed", "values": [1]}], "cell": [9]}}),
        ("txt2img", {"sampler": "nope"}),
        ("txt2img", {"prompt": "<lora:nothing:1>"}),
        ("txt2img", {"control_image_base64": png()}),
        ("txt2img", {"upscale": True}),
        ("txt2img", {"width": 16384, "height": 16384, "steps": 1000}),
        ("img2img", {}),
        ("img2img", {"init_image_base64": "no picture"}),
        ("img2img", {"init_image_base64": "job:nothing/init_image"}),
        ("txt2vid", {}),
        ("upscale", {}),
        ("upscale", {"job_id": "nothing"}),
    ],
)
def test_a_bad_request_is_refused_as_its_own_endpoint_does(
    shared_client: FlaskClient, kind: str, fields: dict[str, Any]
) -> None:
    request = {**DRAW, **fields} if kind != "upscale" else fields
    submitted = shared_client.post(f"/{kind}", json=request)
    asked = shared_client.post("/estimate", json={"kind": kind, "request": request})
    assert submitted.status_code >= 400
    assert (asked.status_code, asked.get_json()) == (submitted.status_code, submitted.get_json())


@for_each_case(
    ("body", "field"),
    [
        ({}, "kind"),
        ({"kind": "convert", "request": {}}, "kind"),
        ({"kind": "txt2img"}, "request"),
        ({"kind": "txt2img", "request": "a red circle"}, "request"),
        ({"kind": "txt2img", "request": [1]}, "request"),
        ({"kind": 3, "request": DRAW}, "kind"),
    ],
)
def test_a_body_that_is_no_estimate_is_refused_by_name(
    shared_client: FlaskClient, body: dict[str, Any], field: str
) -> None:
    answer = shared_client.post("/estimate", json=body)
    assert answer.status_code == 400
    assert answer.get_json()["field"] == field


def test_without_a_model_there_is_nothing_to_estimate(house: Any) -> None:
    house.client.post("/models/unload")
    answer = house.client.post("/estimate", json={"kind": "txt2img", "request": DRAW})
    assert answer.status_code == house.client.post("/txt2img", json=DRAW).status_code


def test_it_decodes_pictures_on_the_threads_for_them() -> None:
    assert pool_of(create_app(None).view_functions["estimates.estimate_job"]) == "transfer"
