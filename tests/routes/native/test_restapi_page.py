"""SDCPP-RESTAPI's own page on this server: every call that it makes, and the fields that it reads there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests import model_files
from tests.cases import for_each_case
from tests.routes.conftest import House, ServedHouse

Fields = dict[str, set[str]]

READ: Fields = {
    "/health": {
        "status", "version", "git_commit", "ws_enabled", "model_loaded", "model_loading", "loading_model_name",
        "loading_step", "loading_total_steps", "last_error", "model_name", "model_type", "model_architecture",
        "loaded_components", "load_options", "upscaler_loaded", "upscaler_name", "memory", "features",
        "supports_image_generation", "supports_video_generation",
    },
    "/health:memory": {"system", "process", "gpu"},
    "/health:features": {"auth_required", "auto_unload", "controlnet_hotswap"},
    "/memory": {"system", "process", "gpu"},
    "/options": {"samplers", "schedulers", "quantization_types"},
    "/options/descriptions": {"samplers", "schedulers"},
    "/options/generation": {"options"},
    "/models": {
        "checkpoints", "diffusion_models", "vae", "loras", "clip", "t5", "embeddings", "controlnets", "llm", "esrgan",
        "taesd", "loaded_model", "loaded_model_type",
    },
    "/models/paths": {"checkpoints", "diffusion_models", "vae", "lora", "controlnet", "llm", "esrgan", "taesd"},
    "/queue": {"items", "pending_count", "processing_count", "completed_count", "failed_count", "total_count"},
    "/queue/recycle-bin": {"items", "count"},
    "/settings/generation": {"txt2img", "img2img", "txt2vid"},
    "/settings/preferences": set(),
    "/settings/auto-unload": {"main", "upscaler", "adetailer"},
    "/settings/auto-unload:adetailer": {"enabled", "timeout_minutes"},
    "/settings/output": {"output_group_folders"},
    "/settings/recycle-bin": {"enabled", "retention_minutes"},
    "/preview/settings": {"enabled", "mode", "interval", "max_size", "quality"},
    "/assistant/status": {"enabled", "connected", "model", "available_models", "proactive_suggestions"},
    "/assistant/settings": {
        "enabled", "endpoint", "model", "temperature", "max_tokens", "max_history_turns", "proactive_suggestions",
        "has_api_key",
    },
    "/assistant/history": {"messages"},
    "/architectures": {"architectures"},
    "/controlnet/status": {"loaded", "name"},
}  # fmt: skip
"""Path (and the object within its answer) -> the fields that the page reads there."""


@for_each_case("path", READ)
def test_the_page_finds_what_it_reads(shared_client: FlaskClient, path: str) -> None:
    url, _, within = path.partition(":")
    answer = shared_client.get(url)
    assert answer.status_code == 200, answer.text
    body = answer.get_json()
    for name in within.split(".") if within else ():
        body = body[name]
    assert READ[path] - body.keys() == set()


JOB = {
    "job_id", "type", "status", "progress", "created_at", "started_at", "completed_at", "outputs", "params", "title",
    "model_settings",
}  # fmt: skip
EVENTS: Fields = {
    "job_added": {"job_id", "type", "queue_position"},
    "job_status_changed": {"job_id", "status", "previous_status", "outputs", "started_at", "completed_at"},
    "job_progress": {"job_id", "step", "total_steps"},
}


def test_the_page_shows_jobs(house: House) -> None:
    job_id = house.submit(width=64, height=64)
    job = house.finished(job_id)
    assert JOB - job.keys() == set()
    assert {"step", "total_steps"} <= job["progress"].keys()
    settings = {"model_name", "model_type", "loaded_components", "load_options", "upscaler_loaded"}
    assert settings - job["model_settings"].keys() == set()
    page = house.client.get("/queue?page=1&limit=20").get_json()
    assert {"items", "page", "limit", "total_pages", "has_more", "all_titles"} - page.keys() == set()
    assert [set(group) >= {"date", "items"} for group in house.client.get("/queue?group_by=date").get_json()["groups"]]


@pytest.mark.parametrize("list_name", ["diffusion_models", "esrgan"])
def test_the_page_lists_models(shared_client: FlaskClient, list_name: str) -> None:
    (model, *_) = shared_client.get("/models").get_json()[list_name]
    wanted = {"name", "type", "file_extension", "size_bytes", "hash", "is_loaded"}
    assert wanted - ({"is_loaded"} if list_name == "esrgan" else set()) - model.keys() == set()
    refreshed = shared_client.post("/models/refresh").get_json()
    assert (refreshed["success"], list_name in refreshed["models"]) == (True, True)


def test_the_page_knows_what_a_family_needs(house: House) -> None:
    presets = house.client.get("/architectures").get_json()["architectures"]
    wanted = {"id", "name", "description", "aliases", "requiredComponents", "optionalComponents", "loadOptions",
              "generationDefaults"}  # fmt: skip
    for preset in presets.values() if isinstance(presets, dict) else presets:
        assert wanted - preset.keys() == set(), preset["id"]
    model_files.write(
        house.config.paths.models_dir / "checkpoints" / "sd1.gguf", model_files.gguf_bytes(model_files.unet())
    )
    found = house.client.get("/architectures/detect?model=sd1.gguf").get_json()
    assert found["detected"] is True
    assert wanted - found["architecture"].keys() == set()


@pytest.mark.parametrize("mode", ["txt2img", "img2img", "txt2vid"])
def test_forms_come_back_as_they_were_put(house: House, mode: str) -> None:
    form = {"prompt": "a dot", "cfgScale": 7, "negativePrompt": "", "hiresFix": True, "clipSkip": -1}
    answer = house.client.put(f"/settings/generation/{mode}", json=form)
    assert answer.status_code == 200, answer.text
    assert house.client.get(f"/settings/generation/{mode}").get_json() == form


def test_the_page_hears_of_jobs(served: ServedHouse, next_event: Callable[..., dict[str, Any]]) -> None:
    with served.listen() as connection:
        served.post("/txt2img", json={"prompt": "a dot", "width": 64, "height": 64, "steps": 2})
        for name, fields in EVENTS.items():
            heard = next_event(connection, name)
            assert {"event", "timestamp", "data"} <= heard.keys()
            optional = {"started_at", "completed_at", "outputs"}
            assert fields - optional - heard["data"].keys() == set()
