"""Hires fix, batches, upscaling after generation, step caches: by the real library with the demo model, looked at."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdcpp_rest.core.infotext import parse
from tests.e2e.conftest import ServerProcess
from tests.e2e.test_pictures import nearest_colour, pixels_of

pytestmark = [pytest.mark.e2e, pytest.mark.native]

PROMPT = "a red circle on a blue background"


def drawn(server: ServerProcess, **body: Any) -> tuple[dict[str, Any], list[Any]]:
    """The finished job and its pictures as pixels."""
    job = server.wait(server.submit(PROMPT, **{"steps": 10, "seed": 1, "width": 64, "height": 64, **body}))
    assert job["status"] == "completed", job
    return job, [pixels_of(server.picture(job["job_id"], index)) for index in range(len(job["outputs"]))]


def refusal(server: ServerProcess, path: str = "/txt2img", **body: Any) -> dict[str, Any]:
    answer = server.post(path, {"prompt": PROMPT, "steps": 1, **body})
    assert answer.status_code == 400, answer.text
    return dict(answer.json())


def is_red_on_blue(pixels: Any) -> bool:
    height, width = pixels.shape[:2]
    middle = pixels[height * 7 // 16 : height * 9 // 16, width * 7 // 16 : width * 9 // 16].reshape(-1, 3)
    corner = pixels[: height // 8, : width // 8].reshape(-1, 3)
    return (nearest_colour(np.median(middle, axis=0)), nearest_colour(np.median(corner, axis=0))) == ("red", "blue")


@pytest.mark.parametrize("upscaler", ["latent (bicubic)", "Lanczos", "esrgan_x2"])
def test_hires_fix_draws_the_picture_again_and_larger(shared_server: ServerProcess, upscaler: str) -> None:
    fields = {"hires": True, "hires_upscaler": upscaler, "hires_steps": 5, "hires_denoising_strength": 0.4}
    job, (pixels,) = drawn(shared_server, **fields)
    assert pixels.shape == (128, 128, 3)
    assert is_red_on_blue(pixels)
    text = Image.open(io.BytesIO(shared_server.picture(job["job_id"]))).text["parameters"]  # type: ignore[attr-defined]
    told = parse(text)
    assert told["Hires upscaler"].lower() == upscaler.lower()
    assert (told["Hires steps"], told["Denoising strength"]) == ("5", "0.4")


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"hires_width": 96}, (96, 96)),
        ({"hires_width": 100, "hires_height": 72}, (100, 72)),
        ({"hires_scale": 1.3, "width": 72}, (94, 83)),
    ],
)
def test_hires_fix_has_the_size_that_was_asked_for(
    shared_server: ServerProcess, fields: dict[str, Any], size: tuple[int, int]
) -> None:
    _, (pixels,) = drawn(shared_server, hires=True, steps=2, **fields)
    assert (pixels.shape[1], pixels.shape[0]) == size


def test_batch_draws_the_pictures_of_consecutive_seeds(shared_server: ServerProcess) -> None:
    job, pictures = drawn(shared_server, batch_count=3, seed=40)
    assert len(pictures) == 3
    assert all(is_red_on_blue(pixels) for pixels in pictures)
    assert not any(np.array_equal(pictures[0], other) for other in pictures[1:])
    _, (second,) = drawn(shared_server, seed=41)
    assert np.array_equal(pictures[1], second)
    assert job["progress"]["total_images"] == 3


def test_picture_is_upscaled_after_it_was_drawn(shared_server: ServerProcess) -> None:
    assert "No upscaler loaded" in refusal(shared_server, upscale=True)["error"]
    loaded = shared_server.post("/upscaler/load", {"model_name": "esrgan_x2"})
    assert (loaded.status_code, loaded.json()["upscale_factor"]) == (200, 2)
    fields = {"upscale": True, "upscale_repeats": 2, "upscale_auto_unload": False}
    _, (pixels,) = drawn(shared_server, **fields)
    assert pixels.shape == (256, 256, 3)
    assert is_red_on_blue(pixels)
    assert shared_server.get("/health")["upscaler_loaded"] is True
    refused = refusal(shared_server, width=64, height=64, upscale=True, upscale_repeats=9)
    assert (refused["field"], "32768x32768" in refused["error"]) == ("upscale_repeats", True)
    _, pictures = drawn(shared_server, upscale=True, hires=True, batch_count=2, steps=2)
    assert [pixels.shape for pixels in pictures] == [(256, 256, 3)] * 2
    shared_server.until(lambda: shared_server.get("/health"), lambda health: not health["upscaler_loaded"])
    assert shared_server.get("/health")["model_loaded"] is True


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("easycache", {}),
        ("dbcache", {"max_warmup_steps": 2, "residual_diff_threshold": 0.5}),
        ("dbcache", {"scm_mask": "1,1,1,0,0,1", "scm_policy_dynamic": False}),
        ("taylorseer", {"taylorseer_n_derivatives": 2, "taylorseer_skip_interval": 2}),
        ("cache_dit", {"max_warmup_steps": 2, "residual_diff_threshold": 0.5}),
        ("spectrum", {"spectrum_m": 32, "spectrum_lam": 0.000001}),
    ],
)
def test_step_cache_still_draws_what_was_asked_for(
    shared_server: ServerProcess, mode: str, options: dict[str, Any]
) -> None:
    job, (pixels,) = drawn(shared_server, cache_mode=mode, cache_options=options, steps=16)
    assert is_red_on_blue(pixels)
    assert job["params"]["cache_mode"] == mode


def test_easycache_is_short_for_its_cache_mode_and_changes_the_picture(shared_server: ServerProcess) -> None:
    fields = {"steps": 16, "seed": 5}
    _, (plain,) = drawn(shared_server, **fields)
    _, (short,) = drawn(shared_server, easycache=True, easycache_threshold=0.3, **fields)
    options = {"threshold": 0.3, "start": 0.15, "end": 0.95}
    _, (long,) = drawn(shared_server, cache_mode="easycache", cache_options=options, **fields)
    assert np.array_equal(short, long)
    assert not np.array_equal(plain, short), "steps were left out"


def test_cache_of_other_models_is_ignored_with_a_warning(shared_server: ServerProcess) -> None:
    job, (pixels,) = drawn(shared_server, cache_mode="ucache")
    _, (plain,) = drawn(shared_server)
    assert np.array_equal(pixels, plain)
    assert "for UNet models" in job["warnings"][0]


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"control_image_base64": "AAAA", "preprocess": "canny"}, "control_image_base64", "ControlNet"),
        ({"pm_id_images": ["AAAA"]}, "pm_id_images", "PhotoMaker"),
        ({"hires": True, "hires_upscaler": "demo_lora"}, "hires_upscaler", "ESRGAN"),
        ({"hires": True, "scheduler": "gits", "hires_steps": 1, "steps": 4}, "hires_steps", "at least 2"),
        ({"scheduler": "gits", "steps": 1}, "steps", "at least 2"),
        ({"prompt": "(a:.)"}, "prompt", "attention weight"),
        ({"prompt": "a <lora:nobody:1>"}, "prompt", "no LoRA named 'nobody'"),
    ],
)
def test_what_would_end_the_engine_never_reaches_it(
    shared_server: ServerProcess, body: dict[str, Any], field: str, words: str
) -> None:
    refused = refusal(shared_server, **body)
    assert refused["field"] == field
    assert words in refused["error"]
    assert shared_server.get("/health")["engine"]["restarts"] == 0


def test_custom_sigmas_and_a_picture_to_start_from_and_the_hires_fix_go_together(shared_server: ServerProcess) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (20, 60, 220)).save(buffer, "PNG")
    body = {"prompt": PROMPT, "custom_sigmas": [1.0, 0.8, 0.5, 0.2, 0.0], "steps": 3, "strength": 0.5, "hires": True,
            "init_image_base64": base64.b64encode(buffer.getvalue()).decode()}  # fmt: skip
    answer = shared_server.post("/img2img", body)
    assert answer.status_code == 202, answer.text
    assert shared_server.wait(answer.json()["job_id"])["status"] == "completed"
