from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from sdcpp_rest.core.presets import PRESETS
from sdcpp_rest.routes.http.pools import pool_of
from sdcpp_rest.web.app import create_app
from tests import model_files
from tests.cases import for_each_case
from tests.model_files import gguf_bytes, write

DEMO = "demo_dit_q8_0.gguf"
SIDECAR = {"width": 64, "height": 64, "steps": 12, "cfg_scale": 2.5, "sampler": "euler", "scheduler": "discrete"}


def test_architectures_have_the_shape_of_the_contract(client: FlaskClient) -> None:
    body = client.get("/architectures").get_json()
    assert list(body) == ["architectures", "current_architecture", "current_preset"]
    assert list(body["architectures"]) == list(PRESETS)
    sd1 = body["architectures"]["SD1"]
    assert sd1["display_name"] == "Stable Diffusion 1.5"
    assert sd1["requiredComponents"] == ["clip"]
    assert sd1["optionalComponents"][:3] == ["vae", "lora", "controlnet"]
    assert {"width": 512, "height": 512, "steps": 20, "cfg_scale": 7.0}.items() <= sd1["generationDefaults"].items()
    assert body["architectures"]["SDXL"]["requiredComponents"] == ["clip_l", "clip_g"]
    assert body["architectures"]["Flux"]["requiredComponents"] == ["clip_l", "t5xxl", "vae"]


def test_a_preset_has_the_words_of_later_pages(client: FlaskClient) -> None:
    presets = client.get("/architectures").get_json()["architectures"]
    assert all(preset["id"] == name for name, preset in presets.items())
    turbo = presets["SDXL-Turbo"]
    assert turbo["name"] == turbo["display_name"]
    assert turbo["match"]["architecture"] == turbo["architecture"] == presets["SDXL"]["match"]["architecture"]
    assert re.search(turbo["match"]["nameRegex"], "SDXL_Turbo.safetensors", re.IGNORECASE)
    assert "nameRegex" not in presets["SDXL"]["match"]
    assert presets["SD1-Inpaint"]["loadOptions"] == presets["SD1-Inpaint"]["loadDefaults"] == {"vae_decode_only": False}
    assert (presets["Flux-Kontext"]["imageEditMode"], presets["SD1"]["imageEditMode"]) == ("ref_images", None)


def test_the_current_preset_is_that_of_the_loaded_model_with_its_own_defaults(client: FlaskClient) -> None:
    body = client.get("/architectures").get_json()
    current = body["current_architecture"]
    assert body["current_preset"]["architecture"] == client.get("/health").get_json()["model_architecture"]
    assert body["current_preset"]["generationDefaults"] == SIDECAR
    assert body["architectures"][current]["generationDefaults"]["width"] == 1024


def test_without_a_model_there_is_no_current_one(client: FlaskClient) -> None:
    client.post("/models/unload")
    body = client.get("/architectures").get_json()
    assert (body["current_architecture"], body["current_preset"]) == (None, None)
    assert body["architectures"]


def test_the_model_that_is_being_loaded_is_current(make_house: Callable[..., Any]) -> None:
    house = make_house()
    house.load_gate.clear()
    house.runtime.start()
    body = house.client.get("/architectures").get_json()
    assert body["current_preset"]["generationDefaults"] == SIDECAR


def test_detection_tells_what_a_file_is_and_what_goes_with_it(client: FlaskClient) -> None:
    body = client.get(f"/architectures/detect?model={DEMO}").get_json()
    assert (body["model"], body["type"], body["contents"]) == (DEMO, "diffusion", "picture model")
    assert body["preset"] == client.get("/architectures").get_json()["current_architecture"]
    assert body["detected"] is True
    assert body["architecture"]["requiredComponents"] == ["llm", "vae"]
    assert body["architecture"] == client.get("/architectures").get_json()["architectures"][body["preset"]]
    assert body["model_architecture"] == client.get("/health").get_json()["model_architecture"]
    assert body["suggestions"]["llm"][0]["name"] == "demo_llm_q4_0.gguf"
    assert body["suggestions"]["taesd"][0]["name"] == "demo_tae.safetensors"
    assert body["missing"]
    assert body["left_out"] == 0


def test_detection_of_a_file_that_draws_nothing(house: Any) -> None:
    write(house.config.paths.models_dir / "loras/style.gguf", gguf_bytes(model_files.LORA))
    body = house.client.get("/architectures/detect?model=style&type=lora").get_json()
    assert (body["contents"], body["architecture"], body["preset"]) == ("LoRA", None, None)
    assert (body["detected"], body["model_architecture"]) == (False, None)


@for_each_case(
    ("query", "status", "field"),
    [
        ("", 400, "model"),
        ("?type=diffusion", 400, "model"),
        ("?model=../../etc/passwd", 400, "model"),
        (f"?model={'x' * 1001}", 400, "model"),
        (f"?model={DEMO}&type=picture", 400, "type"),
        ("?model=nothing-like-it", 404, "model"),
        (f"?model={DEMO}&type=lora", 404, "model"),
    ],
)
def test_bad_questions_are_refused_by_name(shared_client: FlaskClient, query: str, status: int, field: str) -> None:
    answer = shared_client.get(f"/architectures/detect{query}")
    assert answer.status_code == status
    assert answer.get_json()["field"] == field


def test_a_damaged_file_is_refused_with_what_is_wrong(house: Any) -> None:
    write(house.config.paths.models_dir / "diffusion_models/broken.gguf", b"GGUF")
    answer = house.client.get("/architectures/detect?model=broken")
    assert answer.status_code == 400
    assert "broken.gguf is truncated" in answer.get_json()["error"]


def test_detection_waits_on_its_own_threads() -> None:
    views = create_app(None).view_functions
    assert pool_of(views["architectures.detect_architecture"]) == "blocking"
    assert pool_of(views["architectures.list_architectures"]) == "short"


def test_a_job_without_fields_is_drawn_as_its_preset_says(house: Any) -> None:
    tensors = {**model_files.FLUX, "guidance_in.in_layer.weight": (256, 128)}
    models = house.config.paths.models_dir
    write(models / "diffusion_models/flux.gguf", gguf_bytes(tensors))
    write(models / "clip/clip_l.gguf", gguf_bytes(model_files.clip(768)))
    write(models / "vae/ae.gguf", gguf_bytes(model_files.VAE))
    load = {"model_name": "flux", "clip_l": "clip_l", "vae": "ae"}
    assert house.client.post("/models/load", json=load).status_code == 200
    assert house.client.get("/architectures").get_json()["current_architecture"] == "Flux"
    house.gate.clear()
    answer = house.client.post("/txt2img", json={"prompt": "a cat"})
    assert answer.status_code == 202
    params = house.client.get(f"/queue/{answer.get_json()['job_id']}").get_json()["params"]
    assert (params["width"], params["height"], params["steps"], params["cfg_scale"]) == (1024, 1024, 20, 1.0)
    assert (params["sampler"], params["distilled_guidance"]) == ("euler", 3.5)
    own = house.client.post("/txt2img", json={"prompt": "a cat", "steps": 3, "width": 64}).get_json()["job_id"]
    asked = house.client.get(f"/queue/{own}").get_json()["params"]
    assert (asked["width"], asked["height"], asked["steps"]) == (64, 1024, 3)
    house.client.post(f"/queue/{own}/cancel")


def test_a_preset_tells_what_it_uses_and_in_which_sizes_it_draws(client: FlaskClient) -> None:
    presets = client.get("/architectures").get_json()["architectures"]
    ignored = {one["field"]: one["reason"] for one in presets["Z-Image-Turbo"]["ignores"]}
    assert ignored["negative_prompt"].startswith("negative_prompt has no effect with a cfg_scale of 1")
    assert {"clip_skip", "distilled_guidance", "control_image_base64"} <= ignored.keys()
    assert not ignored.keys() & set(presets["Z-Image-Turbo"]["uses"])
    assert {"prompt", "steps", "init_image_base64", "flow_shift"} <= set(presets["Z-Image-Turbo"]["uses"])
    assert "video_frames" in presets["Wan2.1-T2V"]["uses"]
    sdxl = presets["SDXL"]
    assert (sdxl["native_pixels"], sdxl["size_multiple"]) == (1024 * 1024, 64)
    assert sdxl["sizes"][0] == {"ratio": "1:1", "width": 1024, "height": 1024}
    assert sdxl["recommended"]["steps"] == {"min": 12, "max": 50, "recommended": 25}
    assert (sdxl["recommended"]["sampler"], sdxl["recommended"]["scheduler"]) == ("euler_a", "discrete")
    assert "model" not in sdxl


def test_the_current_preset_tells_what_the_sidecar_says_for_people(house: Any) -> None:
    current = house.client.get("/architectures").get_json()["current_preset"]
    words = current["model"]
    assert words["name"] == DEMO
    assert words["display_name"]
    assert words["licence"]
    assert words["recommended_sides"]["max_side"] >= 64
    assert current["recommended"]["steps"]["recommended"] == SIDECAR["steps"]
    assert current["native_pixels"] == 64 * 64
    assert "negative_prompt" in current["uses"], "its own cfg_scale counts"
    inspected = house.client.get(f"/models/diffusion/{DEMO}/inspect").get_json()["sidecar"]
    assert inspected["recommended_sides"] == words["recommended_sides"]


def test_long_words_of_a_sidecar_are_cut(house: Any) -> None:
    content = house.runtime.models.library.find("diffusion", DEMO)
    model = write(house.config.paths.models_dir / "diffusion_models" / "own.gguf", Path(content.path).read_bytes())
    components = {"llm": "demo_llm_q4_0.gguf", "taesd": "demo_tae.safetensors"}
    sidecar = {"description": "x" * 5_000, "components": components}
    model.with_suffix(".json").write_text(json.dumps(sidecar))
    house.client.post("/models/refresh")
    assert house.client.post("/models/load", json={"model_name": "own", "model_type": "diffusion"}).status_code == 200
    words = house.client.get("/architectures").get_json()["current_preset"]["model"]
    assert len(words["description"]) == 4_000
    assert words["recommended_sides"] is None
