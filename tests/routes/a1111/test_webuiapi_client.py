"""A client from the package index, `webuiapi`, against a server on a socket: every method of it that applies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import webuiapi
from PIL import Image

from sdcpp_rest.engine.protocol import RunJob
from sdcpp_rest.runtime import DEMO_MODEL
from tests.onnx_files import write_clip, write_wd_tagger
from tests.routes.conftest import PATIENCE_SECONDS, ServedHouse

SMALL = {"width": 16, "height": 16, "steps": 2}
RED = (255, 0, 0)


@pytest.fixture
def api(served: ServedHouse) -> Any:
    api = webuiapi.WebUIApi(host="127.0.0.1", port=served.port, sampler="Euler a", steps=2)
    yield api
    api.session.close()


def test_pictures_from_words(api: Any) -> None:
    result = api.txt2img(
        prompt="cute squirrel", negative_prompt="ugly, out of frame", seed=1003, cfg_scale=7, n_iter=2, **SMALL
    )
    assert [picture.size for picture in result.images] == [(16, 16)] * 2
    assert result.image.info["parameters"] == result.info["infotexts"][0]
    assert (result.info["seed"], result.info["all_seeds"]) == (1003, [1003, 1004])
    assert result.info["sampler_name"] == "Euler a"
    assert result.parameters["steps"] == 2
    assert "Ignored" not in result.info["extra_generation_params"], "what this client sends unasked is no complaint"


def test_hires_fix(api: Any) -> None:
    result = api.txt2img(
        prompt="x", enable_hr=True, hr_scale=2, hr_upscaler=webuiapi.HiResUpscaler.Latent, denoising_strength=0.5,
        **SMALL,
    )  # fmt: skip
    assert "Hires upscaler: Latent" in result.info["infotexts"][0]


def test_pictures_from_pictures(api: Any) -> None:
    first = api.txt2img(prompt="x", **SMALL)
    result = api.img2img(images=[first.image], prompt="cute cat", seed=5555, cfg_scale=6.5, denoising_strength=0.6,
                         **SMALL)  # fmt: skip
    assert result.image.size == (16, 16)
    assert result.info["denoising_strength"] == 0.6


def test_inpainting(api: Any) -> None:
    mask = Image.new("RGB", (16, 16), "black")
    mask.paste("white", (0, 0, 8, 16))
    result = api.img2img(images=[Image.new("RGB", (16, 16), RED)], mask_image=mask, inpainting_fill=1, mask_blur=0,
                         prompt="cute cat", denoising_strength=0.7, **SMALL)  # fmt: skip
    assert result.image.getpixel((14, 8)) == RED
    assert result.image.getpixel((2, 8)) != RED


def test_extras(api: Any) -> None:
    picture = Image.new("RGB", (16, 24), RED)
    one = api.extra_single_image(image=picture, upscaler_1=webuiapi.Upscaler.Lanczos, upscaling_resize=1.5)
    assert one.image.size == (24, 32)
    many = api.extra_batch_images(images=[picture, picture], upscaler_1="esrgan_x2", upscaling_resize=2)
    assert [made.size for made in many.images] == [(32, 48)] * 2
    assert "Postprocess upscaler" in many.info


def test_png_info(api: Any) -> None:
    drawn = api.txt2img(prompt="a cat", seed=3, **SMALL)
    found = api.png_info(drawn.image)
    assert found.info == drawn.info["infotexts"][0]
    assert found.parameters["Seed"] == "3"


def test_everything_that_is_listed(api: Any) -> None:
    assert api.get_options()["sd_model_checkpoint"].startswith(DEMO_MODEL)
    assert api.get_cmd_flags()["api"] is True
    assert api.get_progress()["progress"] == 0
    assert "Euler a" in api.util_get_sampler_names()
    assert "karras" in api.util_get_scheduler_names()
    assert api.get_schedulers()[0]["label"] == "Automatic"
    assert [row["name"] for row in api.get_upscalers()][:3] == ["None", "Lanczos", "Nearest"]
    assert api.get_latent_upscale_modes()[0]["name"] == "Latent"
    assert api.get_loras()[0]["alias"] == "demo_lora"
    assert api.get_sd_models()[0]["model_name"] == "demo_dit_q8_0"
    assert api.get_realesrgan_models()[0]["scale"] == 2
    assert api.get_hypernetworks() == api.get_face_restorers() == api.get_prompt_styles() == api.get_sd_vae() == []
    assert api.get_embeddings() == {"loaded": {}, "skipped": {}}
    assert "x/y/z plot" in api.get_scripts()["txt2img"]
    assert api.get_memory()["ram"]["total"] > 0
    assert api.refresh_checkpoints() is None
    assert api.interrupt() == {}
    assert api.skip() is None


def test_choosing_models_by_a_name_that_is_nearly_right(api: Any) -> None:
    api.util_set_model("demo")
    assert api.util_get_current_model() == api.util_get_model_names()[0]
    assert api.set_options({"samples_format": "png"}) is None
    api.util_wait_for_ready(check_interval=0.01)


def test_interrogation(api: Any, served: ServedHouse) -> None:
    folder = served.runtime.config.paths.models_dir / "interrogate"
    write_wd_tagger(folder / "tagger")
    write_clip(folder / "clip")
    assert api.interrogate(Image.new("RGB", (16, 16), RED)).info == "a red wall"
    assert api.interrogate(Image.new("RGB", (16, 16), RED), model="deepdanbooru").info == ">_<, red hair"


def test_interrogation_says_what_is_missing(api: Any) -> None:
    with pytest.raises(RuntimeError) as caught:
        api.interrogate(Image.new("RGB", (16, 16), RED))
    status, text = caught.value.args
    assert status >= 400
    assert "detail" in text


def test_what_is_refused_is_an_error_of_the_client(api: Any) -> None:
    with pytest.raises(RuntimeError) as caught:
        api.txt2img(prompt="x", script_name="sd upscale", script_args=["", 8, "Lanczos", 2.0], **SMALL)
    assert caught.value.args[0] == 422


def test_a_user_with_a_password(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth={"api_keys": ["anna:secret"]})
    api = webuiapi.WebUIApi(port=served.port, username="anna", password="secret")
    assert api.txt2img(prompt="x", **SMALL).image.size == (16, 16)
    api.session.auth = ("anna", "wrong")
    assert api.get_samplers()["detail"] == "Incorrect username or password"
    api.session.close()


def test_interrupting_from_another_thread(api: Any, served: ServedHouse) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def at_step(command: RunJob, step: int) -> None:
        if step == 3 and command.params.seed == 2:  # type: ignore[union-attr]
            reached.set()
            assert go_on.wait(PATIENCE_SECONDS)

    served.house._on_step = at_step  # type: ignore[method-assign]
    other = webuiapi.WebUIApi(port=served.port)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(lambda: api.txt2img(prompt="x", seed=1, n_iter=3, **{**SMALL, "steps": 5}))
        assert reached.wait(PATIENCE_SECONDS)
        state = other.get_progress()["state"]
        assert (state["job"], state["job_count"]) == ("Batch 2 out of 3", 3)
        assert other.interrupt() == {}
        go_on.set()
        result = future.result(PATIENCE_SECONDS)
    assert len(result.images) == 2
    assert result.info["all_seeds"] == [1, 2, 3]
    other.session.close()


def test_the_asynchronous_calls(api: Any) -> None:
    async def two() -> list[Any]:
        calls = [api.txt2img(prompt="x", seed=seed, use_async=True, **SMALL) for seed in (1, 2)]
        return [await call for call in calls]

    assert [result.info["seed"] for result in asyncio.run(two())] == [1, 2]
