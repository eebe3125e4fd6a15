"""Conversion over HTTP, in the shape of the contract."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.routes.conftest import House

DEMO = "demo_dit_q8_0.gguf"


def test_converting_answers_202_with_the_place_of_the_result(house: House) -> None:
    answer = house.client.post("/convert", json={"input_path": DEMO, "output_type": "Q4_0", "title": "smaller"})
    assert answer.status_code == 202
    body = answer.get_json()
    assert (body["status"], body["position"]) == ("pending", 1)
    assert body["output_path"].endswith("/diffusion_models/demo_dit_q8_0.q4_0.gguf")
    job = house.finished(body["job_id"])
    assert (job["type"], job["status"], job["title"], job["outputs"]) == ("convert", "completed", "smaller", [])
    assert job["params"]["output"] == {"name": "demo_dit_q8_0.q4_0.gguf"}
    listed = [file["name"] for file in house.client.get("/models").get_json()["diffusion_models"]]
    assert listed == [DEMO, "demo_dit_q8_0.q4_0.gguf"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "input_path"),
        ({"input_path": DEMO}, 400, "output_type"),
        ({"input_path": DEMO, "output_type": "q8_1"}, 400, "output_type"),
        ({"input_path": DEMO, "output_type": 7}, 400, "output_type"),
        ({"input_path": "nothing", "output_type": "f16"}, 404, "Model not found: nothing"),
        ({"input_path": DEMO, "output_type": "f16", "output_path": "../../x.gguf"}, 400, "output_path"),
    ],
)
def test_bad_fields_are_named(client: FlaskClient, body: dict[str, object], status: int, words: str) -> None:
    answer = client.post("/convert", json=body)
    assert answer.status_code == status
    assert words in answer.get_json()["error"]


def test_a_taken_name_is_a_409(house: House) -> None:
    body = {"input_path": DEMO, "output_type": "q8_0"}
    house.finished(house.client.post("/convert", json=body).get_json()["job_id"])
    answer = house.client.post("/convert", json=body)
    assert answer.status_code == 409
    assert "overwrite=true" in answer.get_json()["error"]
