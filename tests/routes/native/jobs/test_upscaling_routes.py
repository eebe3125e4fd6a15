"""Upscaling over HTTP, in the shapes of the contract."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.routes.conftest import House

X2 = "esrgan_x2.safetensors"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mO4IycHAALyARlNudhnAAAAAElFTkSuQmCC"


def test_loading_answers_in_the_shape_of_the_contract(client: FlaskClient) -> None:
    answer = client.post("/upscaler/load", json={"model_name": X2})
    assert answer.status_code == 200
    assert answer.get_json() == {
        "success": True,
        "message": "Upscaler loaded successfully",
        "model_name": X2,
        "upscale_factor": 4,
    }
    health = client.get("/health").get_json()
    assert (health["upscaler_loaded"], health["upscaler_name"]) == (True, X2)


def test_unloading_needs_no_body_and_no_upscaler(client: FlaskClient) -> None:
    answer = client.post("/upscaler/unload")
    assert (answer.status_code, answer.get_json()) == (200, {"success": True, "message": "Upscaler unloaded"})


def test_an_upscaler_that_is_not_there_is_a_500_as_for_models(client: FlaskClient) -> None:
    answer = client.post("/upscaler/load", json={"model_name": "esrgan_x3"})
    assert answer.status_code == 500
    body = answer.get_json()
    assert body["error"].startswith("Internal error: Model not found: esrgan_x3")
    assert X2 in body["nearest"]


def test_upscaling_answers_202_and_makes_a_picture(house: House) -> None:
    house.client.post("/upscaler/load", json={"model_name": X2})
    answer = house.client.post("/upscale", json={"image_base64": PIXEL, "title": "larger"})
    assert answer.status_code == 202
    body = answer.get_json()
    assert {"job_id", "status", "position"} == body.keys()
    job = house.finished(body["job_id"])
    assert (job["type"], job["status"], job["title"]) == ("upscale", "completed", "larger")
    assert job["progress"]["percentage"] == 100.0
    assert job["outputs"] == [f"{body['job_id']}/image_0.png"]
    assert "path" not in str(job["params"]["upscaler"])


def test_upscaling_without_an_upscaler_is_a_400(client: FlaskClient) -> None:
    answer = client.post("/upscale", json={"image_base64": PIXEL})
    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith("No upscaler loaded")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"upscale_factor": 0, "image_base64": PIXEL}, "upscale_factor"),
        ({"tile_size": "small", "image_base64": PIXEL}, "tile_size"),
        ({"repeats": 99, "image_base64": PIXEL}, "repeats"),
        ({}, "image_base64"),
    ],
)
def test_bad_fields_are_named(client: FlaskClient, body: dict[str, object], words: str) -> None:
    client.post("/upscaler/load", json={"model_name": X2})
    answer = client.post("/upscale", json=body)
    assert answer.status_code == 400
    assert words in answer.get_json()["error"]


def test_a_job_that_is_not_there_is_a_404(client: FlaskClient) -> None:
    client.post("/upscaler/load", json={"model_name": X2})
    answer = client.post("/upscale", json={"job_id": "nobody"})
    assert (answer.status_code, answer.get_json()["error"]) == (404, "Job not found")
