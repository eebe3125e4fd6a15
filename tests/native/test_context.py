"""The owning class against the real library, drawing with the demo model."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.native.context import (
    CacheSettings,
    Context,
    ContextOptions,
    Guidance,
    HiresFix,
    LoraFile,
    RawImage,
    Tiling,
    VideoRequest,
)
from sdcpp_rest.native.library import Library
from tests.native.drawing import Ended, digest, picture

pytestmark = pytest.mark.native


# --- the same picture as the library alone ----------------------------------------------------------------------------

# (sampler, scheduler) as we name them and as the C header does; width, height, steps, cfg, seed, negative prompt, batch
CASES: list[tuple[str, str, str, str, int, int, int, float, int, str, int]] = [
    ("euler", "EULER", "discrete", "DISCRETE", 64, 64, 4, 2.5, 1, "", 1),
    ("euler", "EULER", "discrete", "DISCRETE", 64, 64, 4, 1.0, 1, "", 1),
    ("euler", "EULER", "karras", "KARRAS", 64, 64, 4, 2.5, 2, "", 1),
    ("euler_a", "EULER_A", "discrete", "DISCRETE", 64, 64, 4, 2.5, 3, "", 1),
    ("heun", "HEUN", "discrete", "DISCRETE", 64, 64, 3, 2.5, 4, "", 1),
    ("dpm2", "DPM2", "exponential", "EXPONENTIAL", 64, 64, 3, 2.5, 5, "", 1),
    ("dpm++2s_a", "DPMPP2S_A", "discrete", "DISCRETE", 64, 64, 3, 2.5, 6, "", 1),
    ("dpm++2m", "DPMPP2M", "karras", "KARRAS", 64, 64, 4, 3.5, 7, "", 1),
    ("dpm++2mv2", "DPMPP2Mv2", "sgm_uniform", "SGM_UNIFORM", 64, 64, 4, 2.5, 8, "", 1),
    ("ipndm", "IPNDM", "simple", "SIMPLE", 64, 64, 4, 2.5, 9, "", 1),
    ("lcm", "LCM", "lcm", "LCM", 64, 64, 4, 1.0, 10, "", 1),
    ("ddim_trailing", "DDIM_TRAILING", "smoothstep", "SMOOTHSTEP", 64, 64, 4, 2.5, 11, "", 1),
    ("res_multistep", "RES_MULTISTEP", "kl_optimal", "KL_OPTIMAL", 64, 64, 4, 2.5, 12, "", 1),
    ("euler", "EULER", "discrete", "DISCRETE", 96, 64, 3, 2.5, 2**40 + 7, "", 1),
    ("euler", "EULER", "discrete", "DISCRETE", 64, 64, 4, 2.5, 13, "a green square", 1),
    ("euler", "EULER", "discrete", "DISCRETE", 64, 64, 3, 2.5, 14, "", 2),
]


def test_pictures_are_bit_identical_to_those_of_the_bare_binding(
    context: Context, demo_options: ContextOptions, tmp_path: Path
) -> None:
    prompt = "a yellow star on a purple background"
    cases_path, results_path = tmp_path / "cases.json", tmp_path / "results.json"
    cases = [
        {"prompt": prompt, "sampler": c_sampler, "scheduler": c_scheduler, "width": width, "height": height,
         "steps": steps, "cfg": cfg, "seed": seed, "negative_prompt": negative, "batch_count": batch}
        for _, c_sampler, _, c_scheduler, width, height, steps, cfg, seed, negative, batch in CASES
    ]  # fmt: skip
    paths = {name: getattr(demo_options, name) for name in ("diffusion_model_path", "llm_path", "taesd_path")}
    cases_path.write_text(json.dumps({"paths": paths, "cases": cases}))
    raw_binding = Path(__file__).with_name("raw_binding.py")
    subprocess.run(
        [sys.executable, str(raw_binding), str(cases_path), str(results_path)],
        check=True,
        timeout=300,
        stdout=subprocess.DEVNULL,
    )
    expected = json.loads(results_path.read_text())

    drawn = []
    for run, (sampler, _, scheduler, _, width, height, steps, cfg, seed, negative, batch) in enumerate(CASES, 1):
        request = picture(
            prompt, negative_prompt=negative, width=width, height=height, steps=steps, sampler=sampler,
            scheduler=scheduler, seed=seed, batch_count=batch, guidance=Guidance(txt_cfg=cfg),
        )  # fmt: skip
        drawn.append(digest(context.generate_image(request, run)))

    assert len(expected) == len(CASES) >= 12
    assert drawn == expected
    assert len(set(drawn)) == len(drawn), "different requests drew the same picture: the comparison proves nothing"


def test_picture_shows_what_the_prompt_says(context: Context) -> None:
    image = context.generate_image(picture(steps=12), 1)[0]
    assert (image.width, image.height, image.channels) == (64, 64, 3)

    def colour(x: int, y: int) -> tuple[int, int, int]:
        at = 3 * (y * image.width + x)
        red, green, blue = image.pixels[at : at + 3]
        return red, green, blue

    centre, corner = colour(32, 32), colour(2, 2)
    assert centre[0] > centre[2] + 60, f"the circle is not red: {centre}"
    assert corner[2] > corner[0] + 60, f"the background is not blue: {corner}"


# --- what a request can carry -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"init_image": RawImage(64, 64, 3, bytes(range(192)) * 64), "strength": 0.6}, id="init image"),
        pytest.param(
            {
                "init_image": RawImage(64, 64, 3, bytes(64 * 64 * 3)),
                "mask_image": RawImage(64, 64, 1, b"\xff" * 2048 + bytes(2048)),
            },
            id="mask",
        ),
        pytest.param({"custom_sigmas": (1.0, 0.7, 0.4, 0.1, 0.0)}, id="custom sigmas"),
        pytest.param({"flow_shift": 5.0}, id="flow shift"),
        pytest.param({"sampler": "euler_a", "eta": 0.0}, id="eta"),
        pytest.param({"cache": CacheSettings("easycache", 0.5, 0.1, 1.0), "steps": 12}, id="cache"),
        pytest.param({"cache": CacheSettings("spectrum", spectrum_m=1), "steps": 12}, id="spectrum"),
        pytest.param({"hires": HiresFix(target_width=96, target_height=96, steps=2)}, id="hires"),
    ],
)
def test_setting_reaches_the_library(context: Context, changes: dict[str, Any]) -> None:
    plain = {key: value for key, value in changes.items() if key in ("sampler", "steps")}
    before = digest(context.generate_image(picture(**plain), 1))
    changed = digest(context.generate_image(picture(**changes), 2))
    assert changed != before
    assert digest(context.generate_image(picture(**plain), 3)) == before


def test_vae_tiling_reaches_the_library(context: Context, library: Library) -> None:
    tiles: list[tuple[int, int]] = []
    library.set_progress(lambda step, steps, _seconds: tiles.append((step, steps)))
    context.generate_image(picture(steps=2, width=128, height=128), 1)
    without = len(tiles)
    tiles.clear()
    context.generate_image(
        picture(steps=2, width=128, height=128, vae_tiling=Tiling(True, tile_size_x=8, tile_size_y=8)), 2
    )
    assert len(tiles) > without + 4


@pytest.mark.parametrize("upscaler", ["Latent (bicubic)", "Lanczos", "Model"])
def test_second_pass_draws_larger(context: Context, demo_folder: Path, upscaler: str) -> None:
    path = str(demo_folder / "esrgan/esrgan_x2.safetensors") if upscaler == "Model" else None
    hires = HiresFix(upscaler, path, target_width=96, target_height=80, steps=2)
    image = context.generate_image(picture(steps=2, hires=hires), 1)[0]
    assert (image.width, image.height) == (96, 80)
    assert len(set(image.pixels)) > 20


def test_lora_changes_the_picture_and_leaves_no_trace(context: Context, demo_folder: Path) -> None:
    lora = LoraFile(str(demo_folder / "loras/demo_lora.safetensors"), 1.0)
    before = digest(context.generate_image(picture(), 1))
    assert digest(context.generate_image(picture(loras=(lora,)), 2)) != before
    assert digest(context.generate_image(picture(), 3)) == before


def test_previews_arrive_as_copies(context: Context, library: Library) -> None:
    seen: list[tuple[int, list[RawImage], bool]] = []
    library.set_preview(lambda step, frames, is_noisy: seen.append((step, list(frames), is_noisy)), "proj", 2)
    context.generate_image(picture(steps=4), 1)
    assert [step for step, _, _ in seen] == [2, 4]
    for _, frames, is_noisy in seen:
        assert [frame.channels for frame in frames] == [3]
        assert not is_noisy
    assert seen[0][1][0].pixels != seen[1][1][0].pixels


def test_failing_callback_does_not_disturb_the_picture(
    context: Context, library: Library, caplog: pytest.LogCaptureFixture
) -> None:
    before = digest(context.generate_image(picture(), 1))

    def fail(*_: object) -> None:
        raise RuntimeError("a listener broke")

    library.set_progress(fail)
    library.set_log(fail)
    library.set_preview(fail)
    assert digest(context.generate_image(picture(), 2)) == before
    assert "a progress callback failed" in caplog.text


# --- life of a context ------------------------------------------------------------------------------------------------


def test_load_reports_what_the_file_is(context: Context) -> None:
    assert context.architecture == "Ovis Image"
    assert context.supports_images
    assert not context.supports_video


def test_video_of_an_image_model_is_refused(context: Context) -> None:
    with pytest.raises(ValueError, match="does not draw videos"):
        context.generate_video(VideoRequest("a cat"), 1)


def test_closed_context_refuses_to_draw_and_closes_twice(demo_options: ContextOptions) -> None:
    loaded = Context.load(demo_options)
    loaded.close()
    loaded.close()
    with pytest.raises(ValueError, match="unloaded"):
        loaded.generate_image(picture(), 1)


def _safetensors(path: Path, header: object, body: bytes = b"") -> None:
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + body)


def test_failed_loads_say_why_and_leave_a_usable_library(own_process: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "random.safetensors").write_bytes(bytes(i * 37 % 251 for i in range(4096)))
    (tmp_path / "random.gguf").write_bytes(bytes(i * 41 % 251 for i in range(4096)))
    (tmp_path / "empty.gguf").write_bytes(b"")
    _safetensors(tmp_path / "array.safetensors", ["not", "an", "object"])
    _safetensors(tmp_path / "strange.safetensors", {"weight": {"dtype": "F32", "shape": "2x2"}})
    ended = own_process("""
        for name in ("missing.gguf", "random.safetensors", "random.gguf", "empty.gguf", "array.safetensors",
                     "strange.safetensors"):
            try:
                Context.load(ContextOptions(model_path=str(scratch / name), n_threads=1))
                report([name, "loaded", ""])
            except NativeError as error:
                report([name, error.kind, error.message])
        with Context.load(options) as context:
            report(digest(context.generate_image(picture(), 1)))
    """)
    assert ended.exit_code == 0, ended.stderr
    *failures, drawn = ended.reported
    assert len(failures) == 6
    for name, kind, message in failures:
        assert kind in ("failed", "exception"), (name, kind)
        assert len(message) > 10, name
    assert failures[0][2].count("missing.gguf") >= 1
    assert len(drawn) == 64
