from __future__ import annotations

import io
import json

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.cases import for_each_case
from tests.routes.conftest import House
from tests.services.pictures.metadata import made_files as made
from tests.services.pictures.metadata.sample_files import SAMPLES

TEXT = (
    "a fox <lora:demo_lora:0.5> <lora:gone:1>\n"
    "Steps: 3, Sampler: Euler, Seed: 4, Size: 64x64, Model: demo_dit_q8_0, X: 1"
)


def read(client: FlaskClient, file: bytes, content_type: str = "application/octet-stream") -> TestResponse:
    return client.post("/metadata/read", data=file, content_type=content_type)


@pytest.mark.slow
@for_each_case("name", SAMPLES)
def test_every_sample_is_answered_as_documented(name: str, shared_client: FlaskClient) -> None:
    answer = read(shared_client, SAMPLES[name].make())
    assert answer.status_code == 200
    assert answer.get_json()["tool"] == SAMPLES[name].tool


def test_settings_and_the_files_that_are_meant_are_told(shared_client: FlaskClient) -> None:
    answer = read(shared_client, made.png({"parameters": TEXT}), "image/png").get_json()
    assert {name: value for name, value in answer.items() if name not in ("fields", "notes")} == {
        "tool": "a1111",
        "format": "png",
        "unmapped": {"X": "1"},
        "raw": {"parameters": TEXT},
        "matches": {
            "model": "demo_dit_q8_0.gguf",
            "how": "name",
            "loras": [
                {"wanted": "demo_lora", "found": "demo_lora.safetensors", "how": "name"},
                {"wanted": "gone", "found": None, "how": None},
            ],
            "vae": None,
            "vae_how": None,
        },
        "submit": {
            "kind": "txt2img",
            "body": {
                "prompt": "a fox <lora:demo_lora.safetensors:0.5>",
                "steps": 3,
                "sampler": "euler",
                "seed": 4,
                "width": 64,
                "height": 64,
            },
            "needs": [],
        },
    }
    assert answer["fields"]["prompt"] == "a fox"
    assert answer["notes"] == ["The LoRA 'gone' is not here; it is not in what can be submitted."]


@for_each_case("content_type", ["image/png", "video/mp4", "", "text/plain", "application/json"])
def test_file_is_read_whatever_its_type_says(content_type: str, shared_client: FlaskClient) -> None:
    assert read(shared_client, made.png({"parameters": TEXT}), content_type).get_json()["tool"] == "a1111"


def test_file_of_a_form_is_read(shared_client: FlaskClient) -> None:
    form = {"other": "x", "picture": (io.BytesIO(made.png({"parameters": TEXT})), "a.png")}
    answer = shared_client.post("/metadata/read", data=form)
    assert answer.get_json()["fields"]["seed"] == 4


@for_each_case("count", [0, 2])
def test_form_needs_one_file(count: int, shared_client: FlaskClient) -> None:
    form = {f"file{number}": (io.BytesIO(made.png()), "a.png") for number in range(count)}
    answer = shared_client.post("/metadata/read", data={"other": "x", **form}, content_type="multipart/form-data")
    assert answer.status_code == 400
    assert answer.get_json()["error"] == f"file must be there once in the form, got {count} files"


def test_picture_without_a_text_is_a_picture_of_an_unknown_tool(shared_client: FlaskClient) -> None:
    answer = read(shared_client, made.png())
    assert answer.status_code == 200
    shown = answer.get_json()
    assert (shown["tool"], shown["fields"], shown["submit"], shown["notes"]) == ("unknown", {}, None, [])


@for_each_case("file", [b"", b"hello", b"GIF89a\0\0", b'{"a": 1}'])
def test_what_is_no_picture_is_refused(file: bytes, shared_client: FlaskClient) -> None:
    answer = read(shared_client, file)
    assert answer.status_code == 400
    assert answer.get_json()["field"] == "file"


def test_body_that_is_no_form_is_refused(shared_client: FlaskClient) -> None:
    assert read(shared_client, b"x", "multipart/form-data").status_code == 400
    assert read(shared_client, b"x", "multipart/form-data; boundary=y").status_code == 400


@pytest.mark.slow
def test_file_that_is_too_large_is_refused(shared_client: FlaskClient) -> None:
    answer = read(shared_client, made.png() + b"\0" * (64 * 1024 * 1024))
    assert answer.status_code == 413


def test_what_is_read_can_be_submitted(house: House) -> None:
    for name in ("a1111, PNG", "forge, PNG", "comfyui, two samplers", "fooocus, PNG", "novelai, PNG"):
        submit = read(house.client, SAMPLES[name].make()).get_json()["submit"]
        # The fake engine knows three schedulers.
        body = {**submit["body"], "width": 64, "height": 64, "steps": 2, "scheduler": "karras"}
        answer = house.client.post(f"/{submit['kind']}", json=body)
        assert answer.status_code == 202, (name, answer.text)
        assert "warnings" not in answer.get_json() or "unknown field" not in json.dumps(answer.get_json())
