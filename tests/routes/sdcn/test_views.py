from __future__ import annotations

import ast
import base64
import hashlib
import io
import json
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image

from sdcpp_rest.runtime import DEMO_MODEL, DEMO_ROOT
from tests.cases import for_each_case
from tests.model_files import write
from tests.onnx_files import write_clip, write_wd_tagger
from tests.routes.conftest import PATIENCE_SECONDS, House, ServedHouse
from tests.servers.language_model import Said
from tests.servers.ollama_server import OllamaServer
from tests.services.conftest import copy_demo, png_text

DEMO_SUM = hashlib.sha256((DEMO_ROOT / "diffusion_models" / DEMO_MODEL).read_bytes()).hexdigest()
SMALL = {"prompt": "a dog", "model": DEMO_MODEL, "width": 64, "height": 64, "steps": 2, "seed": 5}

# The document's own example, but for the names of models and the size: Python reads what JSON does not, the last comma.
EXAMPLE = """
{
    "prompt": "A dog",
    "loras": [
        ["XXXXXXXX", 0.5],
        ["XXXXXXXX", 0.6]
    ],
    "seed": -1,
    "sampler_name": "DDIM",
    "steps": 20,
    "cfg_scale": 7,
    "width": 64,
    "height": 64,
    "negative_prompt": "",
    "model": "MODEL",
    "upscale": {
        "denoising_strength": 0.5,
        "scale": 2,
        "upscaler": "Latent",
    }
}
"""


def picture_of(answer: Any) -> Image.Image:
    assert answer.status_code == 200, answer.text
    shown = answer.get_json()
    assert shown.keys() == {"images"}
    (text,) = shown["images"]
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


def caption(answer: Any) -> str:
    return str(picture_of(answer).info["parameters"])


@pytest.fixture
def styled(make_house: Callable[..., House]) -> House:
    """A house with a LoRA."""
    house = make_house()
    folder = house.config.paths.models_dir / "loras"
    folder.mkdir(parents=True)
    # The demo model's own LoRA with another header: by its sum it is found under its new name.
    raw = (DEMO_ROOT / "loras" / "demo_lora.safetensors").read_bytes()
    size = struct.unpack_from("<Q", raw)[0]
    header = json.dumps({**json.loads(raw[8 : 8 + size]), "__metadata__": {"title": "style"}}).encode()
    write(folder / "style.safetensors", struct.pack("<Q", len(header)) + header + raw[8 + size :])
    return house.start()


def sum_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- the root -------------------------------------------------------------------------------------------------------


def test_the_documents_own_example_draws_a_picture(styled: House) -> None:
    lora = sum_of(styled.config.paths.models_dir / "loras" / "style.safetensors")
    body = ast.literal_eval(EXAMPLE.replace("XXXXXXXX", lora).replace("MODEL", DEMO_SUM))
    text = caption(styled.client.post("/txt2img", json=body))
    assert text.startswith("A dog,<lora:style.safetensors:0.5>,<lora:style.safetensors:0.6>\n")
    assert "Steps: 20," in text
    assert "CFG scale: 7.0," in text
    assert "Hires upscale: 2" in text


def test_a_picture_starts_from_a_picture(house: House) -> None:
    body = {**SMALL, "init_image": png_text(), "denoising_strength": 0.55}
    assert "Denoising strength: 0.55" in caption(house.client.post("/img2img", json=body))
    del body["denoising_strength"]
    assert "Denoising strength: 0.5," in caption(house.client.post("/img2img", json=body))


def test_a_body_with_a_native_key_is_answered_natively(house: House) -> None:
    for body in ({"prompt": "x", "sampler_name": "DDIM"}, {**SMALL, "sampler": "euler"}):
        answer = house.client.post("/txt2img", json=body)
        assert answer.status_code == 202
        assert answer.get_json()["warnings"]


@for_each_case("name", [DEMO_MODEL, "demo_dit_q8_0", DEMO_SUM, DEMO_SUM.upper(), f"x [{DEMO_SUM[:10]}]"])
def test_a_model_is_named_in_any_way(shared_client: FlaskClient, name: str) -> None:
    answer = shared_client.post("/txt2img", json={**SMALL, "model": name})
    assert answer.status_code == (400 if name.startswith("x ") else 200), answer.text


@for_each_case(
    ("change", "expected"),
    [
        ({"prompt": 5}, "Steps: 2"),
        ({"steps": "3"}, "Steps: 3"),
        ({"steps": 0}, "Steps: 1,"),
        ({"steps": None}, "Steps: 12"),
        ({"steps": [1]}, "Steps: 12"),
        ({"cfg_scale": 99}, "CFG scale: 30.0"),
        ({"width": 67, "height": 71.9}, "Size: 64x64"),
        ({"width": None, "height": "wide"}, "Size: 64x64"),
        ({"seed": 7.0}, "Seed: 7"),
        ({"sampler_name": "Euler a"}, "Sampler: Euler a"),
        ({"sampler_name": "DPM++ 2M Karras"}, "Sampler: DPM++ 2M, Schedule type: Karras"),
        ({"sampler_name": "nonsense"}, "Steps: 2"),
        ({"loras": []}, "a dog"),
    ],
)
def test_values_are_brought_into_their_range(shared_client: FlaskClient, change: dict[str, Any], expected: str) -> None:
    assert expected in caption(shared_client.post("/txt2img", json={**SMALL, **change}))


@for_each_case(
    ("url", "change", "msg"),
    [
        ("/txt2img", {"model": "nothing-like-it"}, "Invalid model"),
        ("/txt2img", {"model": "0" * 64}, "Invalid model"),
        ("/txt2img", {"model": "../../x"}, "Invalid model"),
        ("/txt2img", {"loras": "style"}, "Invalid lora param"),
        ("/txt2img", {"loras": [["style"]]}, "Invalid lora param"),
        ("/txt2img", {"loras": [["style", "strong"]]}, "Invalid lora param"),
        ("/txt2img", {"loras": [["nowhere", 1]]}, "Invalid lora param"),
        ("/txt2img", {"upscale": {"upscaler": "magic"}}, "Invalid upscaler: there is no 'magic' here"),
        ("/img2img", {}, "Invalid init_image"),
        ("/img2img", {"init_image": "?"}, "init_image is not valid base64"),
    ],
)
def test_the_golden_pairs_of_refusals(shared_client: FlaskClient, url: str, change: dict[str, Any], msg: str) -> None:
    answer = shared_client.post(url, json={**SMALL, **change})
    assert (answer.status_code, answer.get_json()["msg"]) == (400, msg)
    assert answer.get_json()["detail"]


def test_a_failed_picture_and_a_missing_worker_are_told_in_its_words(make_house: Callable[..., House]) -> None:
    house = make_house(limits={"pending_jobs": 1}).start()
    answer = house.client.post("/txt2img", json={**SMALL, "prompt": "fake:fail"})
    assert answer.status_code == 500
    assert answer.get_json() == {"msg": "Internal error, backend failed to response", "detail": "asked to fail"}
    house.gate.clear()
    house.submit()
    assert house.running.wait(PATIENCE_SECONDS)
    house.submit()
    answer = house.client.post("/txt2img", json=SMALL)
    assert (answer.status_code, answer.get_json()["msg"]) == (503, "No available worker")


def test_callers_that_wait_do_not_keep_the_native_route_waiting(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(server={"short_threads": 1, "blocking_threads": 4})
    served.house.gate.clear()
    statuses: list[int] = []
    callers = [
        threading.Thread(target=lambda: statuses.append(served.post("/txt2img", json=SMALL).status_code))
        for _ in range(3)
    ]
    with served.runtime.jobs.bus.subscribe() as mailbox:
        for caller in callers:
            caller.start()
        for _ in callers:
            assert mailbox.get(PATIENCE_SECONDS) is not None
    assert served.house.running.wait(PATIENCE_SECONDS)
    assert served.post("/txt2img", json={"prompt": "x", "steps": 1}).status_code == 202
    served.house.gate.set()
    for caller in callers:
        caller.join(PATIENCE_SECONDS)
    assert statuses == [200, 200, 200]


def test_the_model_that_is_named_draws(make_house: Callable[..., House]) -> None:
    house = make_house()
    copy_demo(house.config, "other.gguf")
    house.start()
    assert "Model: other" in caption(house.client.post("/txt2img", json={**SMALL, "model": "other"}))
    (job,) = house.runtime.jobs.queue.list(limit=1)
    assert (job.origin, job.status) == ("sdcn", "completed")


# --- interrogation --------------------------------------------------------------------------------------------------


@for_each_case(
    ("body", "status"),
    [
        ({}, 404),
        ({"image": png_text()}, 404),
        ({"image": png_text(), "model": "other"}, 404),
        ({"image": png_text(), "model": "clip"}, 501),
        ({"image": png_text(), "model": "deepdanbooru"}, 501),
    ],
)
def test_an_interrogation_is_refused_in_its_shape(
    shared_client: FlaskClient, body: dict[str, Any], status: int
) -> None:
    answer = shared_client.post("/interrogate", json=body)
    assert answer.status_code == status
    assert answer.get_json().keys() == {"detail"}
    assert shared_client.post("/api/sd/interrogate", json=body).get_json().keys() == {"code", "message"}


def test_a_picture_is_described_by_a_tagger_and_by_clip(make_house: Callable[..., House]) -> None:
    house = make_house()
    folder = house.config.paths.models_dir / "interrogate"
    write_wd_tagger(folder / "tagger")
    write_clip(folder / "clip")
    for model, caption in (("deepdanbooru", "red hair, >_<"), ("clip", "a red wall")):
        body = {"image": png_text(), "model": model}
        assert house.client.post("/interrogate", json=body).get_json() == {"caption": caption}
        wrapped = house.client.post("/api/sd/interrogate", json=body).get_json()
        assert wrapped == {"code": 200, "data": {"caption": caption}, "message": "success"}


def test_a_picture_is_described_by_a_vision_model(make_house: Callable[..., House]) -> None:
    body = {"image": png_text(), "model": "clip"}
    with OllamaServer() as server:
        server.models, server.says = ["llava"], [Said(["A red wall."])]
        house = make_house(interrogate={"vision_model": "llava"}, ollama={"base_url": server.url})
        assert house.client.post("/interrogate", json=body).get_json() == {"caption": "A red wall."}
        server.fault = 500
        answer = house.client.post("/interrogate", json=body)
        assert (answer.status_code, answer.get_json().keys()) == (502, {"detail"})
        answer = house.client.post("/api/sd/interrogate", json=body)
        assert (answer.status_code, answer.get_json()["code"]) == (502, 4000)
    answer = house.client.post("/interrogate", json=body)
    assert (answer.status_code, answer.get_json().keys()) == (503, {"detail"})


@pytest.mark.parametrize("image", ["!", "abcd", "http://127.0.0.1/x.png"])
def test_what_is_no_picture_cannot_be_described(shared_client: FlaskClient, image: str) -> None:
    for model in ("clip", "deepdanbooru"):
        answer = shared_client.post("/interrogate", json={"image": image, "model": model})
        assert (answer.status_code, answer.get_json().keys()) == (400, {"detail"})


# --- below /api/sd --------------------------------------------------------------------------------------------------


def test_the_later_api_wraps_the_picture(shared_client: FlaskClient) -> None:
    drawn = shared_client.post("/api/sd/txt2img", json=SMALL).get_json()
    assert (drawn["code"], drawn["message"], drawn["data"].keys()) == (200, "success", {"images"})
    same = shared_client.post("/txt2img", json=SMALL).get_json()
    assert drawn["data"]["images"] == same["images"]
    body = {**SMALL, "init_image": png_text()}
    assert shared_client.post("/api/sd/img2img", json=body).get_json()["code"] == 200


@for_each_case(
    ("change", "code", "message"),
    [
        ({"model": None}, 3000, "model is required: the SHA-256 of a model's file, or its name"),
        ({"prompt": 5}, 3000, "Invalid prompt"),
        ({"sampler_name": "nonsense"}, 3000, "Invalid sampler_name: 'nonsense'"),
        ({"control_net": [{}]}, 3000, "Control net requires an input image"),
        (
            {"control_net": [{"image": "x", "preprocess": "openpose"}]},
            3000,
            "Invalid control net preprocess; here there are canny and none",
        ),
        ({"control_net": [{"image": "x", "model": "y"}]}, 3000, "Invalid control net model: Model not found: y"),
    ],
)
def test_the_later_apis_refusals(shared_client: FlaskClient, change: dict[str, Any], code: int, message: str) -> None:
    answer = shared_client.post("/api/sd/txt2img", json={**SMALL, **change})
    assert (answer.status_code, answer.get_json()) == (400, {"code": code, "message": message})


def test_a_failure_below_the_later_api_is_the_backends(shared_client: FlaskClient) -> None:
    answer = shared_client.post("/api/sd/txt2img", json={**SMALL, "prompt": "fake:fail"})
    assert (answer.status_code, answer.get_json()) == (500, {"code": 4000, "message": "asked to fail"})


def test_a_picture_without_memory_is_the_backends_failure(shared_client: FlaskClient) -> None:
    asked = {**SMALL, "prompt": "fake:hungry"}
    answer = shared_client.post("/txt2img", json=asked)
    assert (answer.status_code, answer.get_json()["detail"]) == (500, "asked to be hungry")
    answer = shared_client.post("/api/sd/txt2img", json=asked)
    assert (answer.status_code, answer.get_json()) == (507, {"code": 4000, "message": "asked to be hungry"})


def test_a_blank_picture_is_a_failure_without_pictures(house: House) -> None:
    asked = {**SMALL, "prompt": "fake:blank"}
    answer = house.client.post("/txt2img", json=asked)
    assert (answer.status_code, answer.get_json()["detail"]) == (500, "asked to be blank")
    answer = house.client.post("/api/sd/txt2img", json=asked)
    assert (answer.status_code, answer.get_json()) == (500, {"code": 4000, "message": "asked to be blank"})
    wanted = {"taskId": house.client.post("/api/sd/txt2img/async", json=asked).get_json()["data"]["taskId"]}
    house.runtime.jobs.queue.wait(wanted["taskId"], PATIENCE_SECONDS)
    told = house.client.post("/api/sd/task/status", json=wanted).get_json()["data"]
    assert (told["status"], told["images"]) == (3, [])


def test_a_submitted_picture_is_asked_for_later(house: House) -> None:
    house.gate.clear()
    house.submit()
    assert house.running.wait(PATIENCE_SECONDS)
    told = house.client.post("/api/sd/txt2img/async", json=SMALL).get_json()["data"]
    assert (told["status"], told["queuePosition"]) == (0, 1)
    wanted = {"taskId": told["taskId"]}
    assert house.client.post("/api/sd/task/status", json=wanted).get_json()["data"] == {**wanted, **told}
    house.gate.set()
    house.runtime.jobs.queue.wait(told["taskId"], PATIENCE_SECONDS)
    done = house.client.post("/api/sd/task/status", json=wanted).get_json()["data"]
    assert (done["status"], done["queuePosition"], len(done["images"])) == (2, 0, 1)
    failing = {**SMALL, "prompt": "fake:fail", "init_image": png_text()}
    told = house.client.post("/api/sd/img2img/async", json=failing).get_json()["data"]
    house.runtime.jobs.queue.wait(told["taskId"], PATIENCE_SECONDS)
    failed = house.client.post("/api/sd/task/status", json={"taskId": told["taskId"]}).get_json()["data"]
    assert (failed["status"], failed["images"]) == (3, [])
    assert house.client.post("/api/sd/task/status", json={"taskId": "nobody"}).get_json()["data"] is None


def test_keys_are_asked_for_in_its_shape(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth={"api_keys": ["secret"]})
    answer = served.post("/api/sd/txt2img", json=SMALL)
    assert (answer.status_code, answer.json()["code"]) == (401, 1000)
    answer = served.post("/api/sd/txt2img", json=SMALL, headers={"Authorization": "Bearer secret"})
    assert answer.json()["code"] == 200


@pytest.mark.parametrize("path", ["/txt2img", "/api/sd/txt2img"])
def test_numbers_beyond_any_float_are_brought_into_their_limits(client: FlaskClient, path: str) -> None:
    for field in ("cfg_scale", "width", "steps", "seed"):
        for number in (10**400, -(10**400)):
            answer = client.post(path, json={**SMALL, field: number, **({} if field != "width" else {"steps": 1})})
            assert answer.status_code == 200, (field, answer.text)
    # As long as JSON can have it: a weight is refused by its name, and no fault.
    answer = client.post(path, json={**SMALL, "loras": [["nope", 10**400]]})
    assert answer.status_code == 400, answer.text
    assert "loras[0]" in answer.text
