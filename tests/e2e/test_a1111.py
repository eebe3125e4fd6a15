"""AUTOMATIC1111's dialect over the real library: a client from the package index draws with the demo model."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import webuiapi
from PIL import Image

from tests.e2e.conftest import TIMEOUT, ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.native]

RED_ON_BLUE = "a red circle on a blue background"
SMALL = {"width": 64, "height": 64, "steps": 12, "cfg_scale": 2.5, "sampler_name": "Euler"}


@pytest.fixture
def api(shared_server: ServerProcess) -> Iterator[Any]:
    api = webuiapi.WebUIApi(baseurl=f"{shared_server.url}/sdapi/v1")
    yield api
    api.session.close()


def is_red(pixel: Any) -> bool:
    red, green, blue = pixel[:3]
    return bool(red > green + 60 and red > blue + 60)


def is_blue(pixel: Any) -> bool:
    red, green, blue = pixel[:3]
    return bool(blue > red + 40 and blue > green + 40)


def test_a_picture_shows_what_the_prompt_says_and_tells_how_it_was_made(api: Any) -> None:
    result = api.txt2img(prompt=RED_ON_BLUE, seed=42, **SMALL)
    picture = result.image.convert("RGB")
    assert is_red(picture.getpixel((32, 32)))
    assert is_blue(picture.getpixel((3, 3)))
    found = api.png_info(result.image)
    assert found.info == result.info["infotexts"][0]
    assert found.parameters["Model hash"] == result.info["sd_model_hash"]
    again = api.txt2img(prompt=RED_ON_BLUE, seed=found.parameters["Seed"], **SMALL)
    assert again.image.tobytes() == result.image.tobytes()


def test_what_was_drawn_here_is_what_the_native_api_draws(api: Any, shared_server: ServerProcess) -> None:
    result = api.txt2img(prompt=RED_ON_BLUE, seed=7, **SMALL)
    job_id = shared_server.submit(RED_ON_BLUE, seed=7, width=64, height=64, steps=12, cfg_scale=2.5, sampler="euler")
    shared_server.wait(job_id)
    with Image.open(io.BytesIO(shared_server.picture(job_id))) as native:
        assert native.convert("RGB").tobytes() == result.image.convert("RGB").tobytes()


def test_only_the_masked_part_of_a_picture_is_drawn_anew(api: Any) -> None:
    green = Image.new("RGB", (96, 64), (0, 160, 0))
    mask = Image.new("L", (96, 64), 0)
    mask.paste(255, (32, 0, 96, 64))
    result = api.img2img(images=[green], mask_image=mask, prompt=RED_ON_BLUE, denoising_strength=1.0,
                         inpainting_fill=1, mask_blur=0, seed=3, **SMALL)  # fmt: skip
    picture = result.image.convert("RGB")
    assert picture.size == (96, 64)
    assert picture.getpixel((8, 8)) == (0, 160, 0)
    assert picture.getpixel((64, 32)) != (0, 160, 0)


def test_a_picture_is_made_larger_by_a_model(api: Any) -> None:
    drawn = api.txt2img(prompt=RED_ON_BLUE, seed=42, **SMALL)
    larger = api.extra_single_image(image=drawn.image, upscaler_1="esrgan_x2", upscaling_resize=2)
    assert larger.image.size == (128, 128)
    assert is_red(larger.image.convert("RGB").getpixel((64, 64)))
    assert "Postprocess upscaler: esrgan_x2" in api.png_info(larger.image).info


def test_a_long_call_is_followed_and_interrupted(api: Any, shared_server: ServerProcess) -> None:
    drawn: list[Any] = []
    caller = webuiapi.WebUIApi(baseurl=f"{shared_server.url}/sdapi/v1")
    wanted = {**SMALL, "steps": 500}
    thread = threading.Thread(
        target=lambda: drawn.append(caller.txt2img(prompt=RED_ON_BLUE, seed=1, n_iter=3, **wanted))
    )
    thread.start()
    trace = []

    def look() -> Any:
        progress = api.get_progress()
        trace.append((progress["progress"], progress["state"]["sampling_step"], progress["eta_relative"]))
        return progress

    seen = shared_server.until(look, lambda one: one["current_image"] is not None)
    assert seen["state"]["job"] == "Batch 1 out of 3"
    assert [part for part, _, _ in trace] == sorted(part for part, _, _ in trace), "it only grows"
    assert api.interrupt() == {}
    thread.join(TIMEOUT)
    assert not thread.is_alive()
    (result,) = drawn
    print("\n  progress, step, eta: " + ", ".join(f"{p:.3f} {s} {e:.1f}s" for p, s, e in trace[-4:]))
    assert len(result.images) == 1, "the unfinished one"
    assert result.image.size == (64, 64)
    assert result.info["all_seeds"] == [1, 2, 3]
    shared_server.until(api.get_progress, lambda one: one["progress"] == 0 and one["state"]["job_count"] == 0)
    assert shared_server.get("/health")["model_loaded"]
    caller.session.close()
