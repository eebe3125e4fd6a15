"""The native API's own table of fields and defaults, against what the server publishes.

Written down from the API's documentation; what differs on purpose is told in docs/dialects/sdcpp_restapi.md.
"""

from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.routes.http.openapi import document
from sdcpp_rest.web.app import create_app
from tests.cases import for_each_case

REQUIRED = object()
SLG: dict[str, Any] = {"slg_scale": 0.0, "skip_layers": [7, 8, 9], "slg_start": 0.01, "slg_end": 0.2}
CACHE: dict[str, Any] = {
    "easycache": False, "easycache_threshold": 0.2, "easycache_start": 0.15, "easycache_end": 0.95,
}  # fmt: skip
PICTURE: dict[str, Any] = {
    "prompt": REQUIRED, "negative_prompt": "", "width": 512, "height": 512, "steps": 20, "cfg_scale": 7.0,
    "distilled_guidance": 3.5, "eta": 0.0, "shifted_timestep": 0, "seed": -1, "sampler": "euler_a",
    "scheduler": "discrete", "batch_count": 1, "clip_skip": -1, **SLG, "custom_sigmas": [], "ref_images": [],
    "auto_resize_ref_image": True, "increase_ref_index": False, "control_image_base64": "", "control_strength": 0.9,
    "vae_tiling": False, "vae_tile_size_x": 0, "vae_tile_size_y": 0, "vae_tile_overlap": 0.5, **CACHE,
    "pm_id_images": [], "pm_id_embed_path": "", "pm_style_strength": 20.0, "upscale": False, "upscale_repeats": 1,
    "upscale_auto_unload": True,
}  # fmt: skip
BODIES: dict[str, dict[str, Any]] = {
    "/txt2img": PICTURE,
    "/img2img": {
        **PICTURE, "init_image_base64": REQUIRED, "strength": 0.75, "img_cfg_scale": -1.0, "mask_image_base64": "",
    },
    "/txt2vid": {
        "prompt": REQUIRED, "negative_prompt": "", "width": 832, "height": 480, "video_frames": 33, "fps": 16,
        "steps": 30, "cfg_scale": 6.0, "distilled_guidance": 3.5, "eta": 0.0, "seed": -1, "sampler": "euler",
        "scheduler": "discrete", "flow_shift": 3.0, "clip_skip": -1, **SLG, "init_image_base64": "",
        "end_image_base64": "", "strength": 0.75, "control_image_base64": "", "control_frames": [],
        "high_noise_steps": -1, "high_noise_cfg_scale": 7.0, "high_noise_sampler": "",
        "high_noise_distilled_guidance": 3.5, "high_noise_slg_scale": 0.0, "high_noise_skip_layers": [7, 8, 9],
        "high_noise_slg_start": 0.01, "high_noise_slg_end": 0.2, "moe_boundary": 0.875, "vace_strength": 1.0, **CACHE,
    },
    "/upscale": {"image_base64": "", "upscale_factor": 4, "tile_size": 128, "repeats": 1},
    "/upscaler/load": {"model_name": REQUIRED, "n_threads": -1, "tile_size": 128},
    "/convert": {
        "input_path": REQUIRED, "output_type": REQUIRED, "output_path": "", "vae_path": "", "tensor_type_rules": "",
    },
    "/models/load": {
        "model_name": REQUIRED, "model_type": "checkpoint", "vae": "", "clip_l": "", "clip_g": "", "clip_vision": "",
        "t5xxl": "", "controlnet": "", "llm": "", "llm_vision": "", "taesd": "", "high_noise_diffusion_model": "",
        "photo_maker": "",
    },
}  # fmt: skip
LOAD_OPTIONS: dict[str, Any] = {
    "n_threads": -1, "keep_clip_on_cpu": True, "keep_vae_on_cpu": False, "keep_controlnet_on_cpu": False,
    "vae_conv_direct": False, "diffusion_conv_direct": False, "flash_attn": True, "offload_to_cpu": False,
    "enable_mmap": True, "vae_decode_only": True, "tae_preview_only": False, "free_params_immediately": False,
    "weight_type": "", "tensor_type_rules": "", "rng_type": "cuda", "sampler_rng_type": "",
    "prediction": "", "lora_apply_mode": "auto", "vae_tiling": False, "vae_tile_size_x": 0, "vae_tile_size_y": 0,
    "vae_tile_overlap": 0.5, "chroma_use_dit_mask": True, "chroma_use_t5_mask": False, "chroma_t5_mask_pad": 1,
}  # fmt: skip
PREVIEW: dict[str, Any] = {"enabled": True, "mode": "tae", "interval": 1, "max_size": 256, "quality": 75}
ROUTES = [
    "GET /health", "GET /models", "POST /models/load", "POST /models/unload",
    "GET /models/hash/{model_type}/{model_name}", "POST /txt2img", "POST /img2img", "POST /txt2vid", "POST /upscale",
    "POST /upscaler/load", "POST /upscaler/unload", "GET /queue", "GET /queue/{job_id}", "DELETE /queue/{job_id}",
    "GET /preview/settings", "PUT /preview/settings", "GET /output", "GET /output/{path}", "GET /thumb/{path}",
    "GET /options", "POST /convert", "GET /architectures", "GET /models/paths",
    "POST /ollama/enhance", "GET /ollama/history", "GET /ollama/history/{entry_id}",
    "DELETE /ollama/history/{entry_id}", "DELETE /ollama/history", "GET /ollama/status", "GET /ollama/models",
    "GET /ollama/settings", "PUT /ollama/settings", "POST /assistant/chat", "GET /assistant/history",
    "DELETE /assistant/history", "GET /assistant/status", "GET /assistant/settings", "PUT /assistant/settings",
    "POST /models/download", "GET /models/huggingface",
]  # fmt: skip
JOB_FIELDS = {
    "job_id", "type", "status", "progress", "created_at", "started_at", "completed_at", "outputs", "params", "error",
}  # fmt: skip
PROGRESS_FIELDS = {
    "step", "total_steps", "current_image", "total_images", "all_steps", "current_all_steps", "percentage",
}  # fmt: skip
QUANTIZATION_TYPES = {
    "f32", "f16", "bf16", "q8_0", "q5_0", "q5_1", "q4_0", "q4_1", "q4_k", "q5_k", "q6_k", "q3_k", "q2_k",
}  # fmt: skip


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return document(create_app(None), "test")


def resolved(published: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = published["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def body_of(published: dict[str, Any], path: str) -> dict[str, Any]:
    content = published["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return resolved(published, content["schema"])


def differences(schema: dict[str, Any], fields: dict[str, Any]) -> list[str]:
    found = []
    for name, default in fields.items():
        shown = schema["properties"].get(name)
        if shown is None:
            found.append(f"{name} is missing")
        elif default is REQUIRED:
            if name not in schema.get("required", []):
                found.append(f"{name} is not required")
        elif shown.get("default") != default:
            found.append(f"{name} defaults to {shown.get('default')!r}, not {default!r}")
    return found


def test_every_route_of_the_api_is_there(published: dict[str, Any]) -> None:
    there = {f"{method.upper()} {path}" for path, methods in published["paths"].items() for method in methods}
    assert [route for route in ROUTES if route not in there] == []


@for_each_case("path", BODIES)
def test_every_field_of_a_body_is_taken_with_its_default(published: dict[str, Any], path: str) -> None:
    assert differences(body_of(published, path), BODIES[path]) == []


def test_every_load_option_is_taken_with_its_default(published: dict[str, Any]) -> None:
    options = resolved(published, body_of(published, "/models/load")["properties"]["options"])
    assert differences(options, LOAD_OPTIONS) == []
    assert "flow_shift" in options["properties"]


def test_a_job_has_every_field(published: dict[str, Any]) -> None:
    job = resolved(
        published,
        published["paths"]["/queue/{job_id}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"],
    )
    assert JOB_FIELDS - job["properties"].keys() == set()
    progress = resolved(published, job["properties"]["progress"])
    assert PROGRESS_FIELDS - progress["properties"].keys() == set()


def test_previews_start_as_documented() -> None:
    from sdcpp_rest.config import load_config

    assert load_config().preview.model_dump() == PREVIEW


def test_quantization_types_are_offered_but_for_one_that_ends_the_library() -> None:
    from sdcpp_rest.core.quantization import WRITABLE

    assert QUANTIZATION_TYPES - {entry.name for entry in WRITABLE} == set()
    assert "q8_k" not in {entry.name for entry in WRITABLE}
