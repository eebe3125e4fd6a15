"""Native requests that name their model: which one draws, by whose rules they are checked, and what is not there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.routes.http.pools import pool_of
from sdcpp_rest.web.app import create_app
from tests import model_files
from tests.routes.conftest import House
from tests.services.conftest import copy_demo

DEMO = "demo_dit_q8_0.gguf"
DRAW = {"prompt": "a dot", "width": 64, "height": 64, "seed": 7}


@pytest.fixture
def pair(make_house: Callable[..., House]) -> House:
    """A started house with the demo model selected, and a copy of it whose own settings are others."""
    house = make_house()
    file = copy_demo(house.config, "other.gguf")
    sidecar = file.with_suffix(".json")
    told = json.loads(sidecar.read_text())
    told["generation_defaults"] = {**told["generation_defaults"], "steps": 3, "sampler": "euler"}
    sidecar.write_text(json.dumps(told))
    return house.start()


def drawn(house: House, path: str, **body: Any) -> dict[str, Any]:
    answer = house.client.post(path, json={**DRAW, **body})
    assert answer.status_code == 202, answer.text
    return house.finished(answer.get_json()["job_id"])


def test_a_request_that_names_a_model_is_drawn_with_it_and_by_its_own_settings(pair: House) -> None:
    mine, named = drawn(pair, "/txt2img"), drawn(pair, "/txt2img", model_name="other")
    assert (mine["model"], named["model"]) == (DEMO, "other.gguf")
    assert mine["params"]["steps"] != named["params"]["steps"] == 3
    assert named["params"]["sampler"] == "euler"
    assert "model_name" not in named["params"]
    assert named["model_settings"]["model_name"] == "other.gguf"
    assert pair.runtime.models.slot.selected.model.name == DEMO, "the choice of all others is left alone"
    assert drawn(pair, "/txt2img", model_name="")["model"] == DEMO


def test_a_model_is_named_in_every_way_that_others_name_one(pair: House) -> None:
    spec = pair.runtime.submission.model_choice.spec_named("other.gguf")
    digest = pair.runtime.models.hashes.hash_of("diffusion", spec.model.name).hash
    for name in ("other.gguf", "OTHER", f"other.gguf [{digest[:10]}]"):
        assert drawn(pair, "/txt2img", model_name=name)["model"] == "other.gguf"


def test_the_selected_model_keeps_its_options_when_it_is_named(pair: House) -> None:
    pair.client.post("/models/load", json={"model_name": DEMO, "options": {"vae_decode_only": False}})
    named = drawn(pair, "/txt2img", model_name=DEMO)
    assert named["model_settings"]["load_options"] == {"vae_decode_only": False}


def test_a_job_keeps_the_model_it_named_when_it_is_made_again(pair: House) -> None:
    first = drawn(pair, "/txt2img", model_name="other")

    def again(**body: Any) -> str:
        answer = pair.client.post(f"/jobs/{first['job_id']}/again", json=body)
        assert answer.status_code == 202, answer.text
        return str(pair.finished(answer.get_json()["job_id"])["model"])

    assert again() == again(seed=3) == "other.gguf"
    assert again(model="selected") == DEMO
    assert again(overrides={"model_name": DEMO}) == DEMO
    Path(pair.runtime.models.library.find("diffusion", "other").path).unlink()
    assert again(overrides={"model_name": DEMO}) == DEMO, "the job's own model is not needed"


@pytest.mark.parametrize("path", ["/txt2img", "/img2img", "/txt2vid", "/estimate"])
def test_a_model_that_is_not_there_is_told_with_those_like_it(pair: House, path: str) -> None:
    body = {**DRAW, "model_name": "othr.gguf", "init_image_base64": _dot()}
    answer = pair.client.post(path, json=body if path != "/estimate" else {"kind": "img2img", "request": body})
    told = answer.get_json()
    assert answer.status_code == 404
    assert (told["field"], told["nearest"][0]) == ("model_name", "other.gguf")
    assert told["error"] == "Model not found: othr.gguf"


@pytest.mark.parametrize(("name", "said"), [("../x", "model_name"), ("x" * 1001, "at most 1000"), (3, "a string")])
def test_what_is_no_name_of_a_model_is_refused(pair: House, name: Any, said: str) -> None:
    answer = pair.client.post("/txt2img", json={**DRAW, "model_name": name})
    assert answer.status_code == 400
    assert answer.get_json()["field"] == "model_name"
    assert said in answer.get_json()["error"]


def test_a_request_is_checked_by_the_family_of_the_model_it_names(pair: House) -> None:
    answer = pair.client.post("/txt2vid", json={**DRAW, "model_name": "other"})
    assert answer.status_code == 400
    assert "other.gguf" in answer.get_json()["error"]


def test_parts_that_a_model_needs_are_those_here_that_fit_it(pair: House) -> None:
    folder = pair.config.paths.models_dir
    model_files.write(folder / "diffusion_models" / "wan.gguf", model_files.gguf_bytes(model_files.wan(30)))
    body = {**DRAW, "video_frames": 5, "steps": 2, "model_name": "wan"}
    refused = pair.client.post("/txt2vid", json=body)
    assert refused.status_code == 400
    assert refused.get_json()["field"] == "model_name"
    assert "vae" in refused.get_json()["error"]
    vae = model_files.safetensors_bytes(model_files.wan_vae(16))
    model_files.write(folder / "vae" / "mine.safetensors", vae)
    accepted = pair.client.post("/txt2vid", json=body)
    assert accepted.status_code == 202, accepted.text
    told = "wan.gguf draws with these files, which fit it: vae mine.safetensors."
    assert told in accepted.get_json()["warnings"]
    job = pair.finished(accepted.get_json()["job_id"])
    assert job["model_settings"]["loaded_components"] == {"vae": "mine.safetensors"}


def test_an_estimate_is_of_the_model_that_is_named(pair: House) -> None:
    def estimate(**more: Any) -> dict[str, Any]:
        answer = pair.client.post("/estimate", json={"kind": "txt2img", "request": {**DRAW, **more}})
        assert answer.status_code == 200, answer.text
        return dict(answer.get_json())

    pair.finished(pair.submit(width=64, height=64, steps=3))
    pair.runtime.engine.finishing._thread.submit(lambda: None).result()
    assert estimate()["seconds_estimate"]["load"] == 0
    assert estimate(model_name=DEMO)["seconds_estimate"]["load"] == 0
    named = estimate(model_name="other")
    assert named["based_on"] is None or named["seconds_estimate"]["load"] != 0


def test_the_current_preset_is_of_the_selected_model_while_another_one_draws(make_house: Callable[..., House]) -> None:
    house = make_house()
    folder = house.config.paths.models_dir
    model_files.write(folder / "diffusion_models" / "wan.gguf", model_files.gguf_bytes(model_files.wan(30)))
    vae = model_files.safetensors_bytes(model_files.wan_vae(16))
    model_files.write(folder / "vae" / "wan_vae.safetensors", vae)
    house.start()
    before = house.client.get("/architectures").get_json()["current_preset"]
    house.gate.clear()
    house.client.post("/txt2vid", json={**DRAW, "video_frames": 5, "steps": 2, "model_name": "wan"})
    assert house.running.wait(20)
    assert house.client.get("/health").get_json()["model_name"] == "wan.gguf"
    assert house.client.get("/architectures").get_json()["current_preset"] == before


def test_prompts_are_expanded_with_the_settings_of_the_model_that_is_named(pair: House) -> None:
    job = drawn(pair, "/txt2img", model_name="other", prompt="a dot in <param:steps>", expand_prompt=True)
    assert (job["model"], job["resolved_prompt"]) == ("other.gguf", "a dot in 3")


def test_a_body_that_names_a_model_does_not_wait_among_those_that_answer_at_once() -> None:
    app = create_app(None)  # type: ignore[arg-type]
    view = app.view_functions["generation.txt2img"]
    assert pool_of(view, b'{"prompt": "x"}') == "short"
    assert pool_of(view, b'{"prompt": "x", "model_name": "y"}') == "blocking"


def _dot() -> str:
    return "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mO4IycHAALyARlNudhnAAAAAElFTkSuQmCC"
