"""Conversion over HTTP, in the shape of the contract."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.core.events import ModelsChanged
from tests.cases import for_each_case
from tests.model_files import safetensors_bytes, write
from tests.routes.conftest import House
from tests.split_models import split_gguf

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


def test_a_converted_model_is_told_to_who_shows_lists(house: House) -> None:
    with house.runtime.jobs.bus.subscribe() as mailbox:
        answer = house.client.post("/convert", json={"input_path": DEMO, "output_type": "q4_0"})
        house.finished(answer.get_json()["job_id"])
        told = [event for event in mailbox.drain() if isinstance(event, ModelsChanged)]
    assert told == [ModelsChanged(change="added", model_name="demo_dit_q8_0.q4_0.gguf", model_type="diffusion")]


@for_each_case(
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


def test_a_split_model_cannot_be_loaded_until_its_parts_are_merged(house: House, demo_folder: Path) -> None:
    folder = house.config.paths.models_dir / "diffusion_models"
    (name, *_) = (path.name for path in split_gguf(demo_folder / "diffusion_models" / DEMO, folder, 3, stem="big"))
    listed = {file["name"]: file.get("parts") for file in house.client.get("/models").get_json()["diffusion_models"]}
    assert listed == {name: 3, DEMO: None}
    refused = house.client.post("/models/load", json={"model_name": name})
    assert refused.status_code == 400
    assert f"`sdcpp-rest convert {name} keep` or POST /convert and output_type keep" in refused.get_json()["error"]
    answer = house.client.post("/convert", json={"input_path": name, "output_type": "keep"})
    assert (answer.status_code, answer.get_json()["output_path"]) == (202, str(folder.resolve() / "big.gguf"))
    job = house.finished(answer.get_json()["job_id"])
    assert (job["status"], job["params"]["output_type"]) == ("completed", "keep")
    assert job["params"]["parts"][2] == {"name": "big-00003-of-00003.gguf"}
    body = {"model_name": "big.gguf", "llm": "demo_llm_q4_0.gguf", "taesd": "demo_tae.safetensors"}
    assert house.client.post("/models/load", json=body).status_code == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"input_path": DEMO, "output_type": "keep"}, "output_type: 'keep' merges the parts of a split model"),
        ({"input_path": DEMO, "output_type": "none"}, "nvfp4, keep"),
    ],
)
def test_only_split_models_are_kept_as_they_are(client: FlaskClient, body: dict[str, str], words: str) -> None:
    answer = client.post("/convert", json=body)
    assert answer.status_code == 400
    assert words in answer.get_json()["error"]


def test_split_safetensors_are_told_what_merges_them(house: House) -> None:
    for number in (1, 2):
        content = safetensors_bytes({f"t{number}": (2,)})
        write(house.config.paths.models_dir / "checkpoints" / f"x-0000{number}-of-00002.safetensors", content)
    for kind in ("keep", "q8_0"):
        answer = house.client.post("/convert", json={"input_path": "x.safetensors", "output_type": kind})
        assert answer.status_code == 400
        assert "only GGUF files are merged here; the library loads whole files only" in answer.get_json()["error"]
