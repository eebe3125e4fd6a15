from __future__ import annotations

import json
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sdcpp_rest.core import infotext
from sdcpp_rest.core.load_spec import FileRef, UpscalerSpec
from sdcpp_rest.core.params import ImageParams, VideoParams
from tests.cases import for_each_case


def params(**changed: Any) -> ImageParams:
    plain = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 12, "cfg_scale": 2.5, "seed": 1}
    return ImageParams.model_validate({**plain, "sampler": "euler", **changed})


def test_layout_is_the_one_that_a1111_tools_read() -> None:
    text = infotext.write(params(negative_prompt="blurry"), "demo_dit_q8_0.gguf", None, "sdcpp-rest 0.1.0")
    assert text == (
        "a red circle\n"
        "Negative prompt: blurry\n"
        "Steps: 12, Sampler: Euler, Schedule type: Discrete, CFG scale: 2.5, Seed: 1, Size: 64x64, "
        "Model: demo_dit_q8_0, Version: sdcpp-rest 0.1.0"
    )


def test_an_empty_negative_prompt_has_no_line() -> None:
    assert "Negative" not in infotext.write(params(), None, None, "v1")


def test_picture_k_has_the_seed_plus_k() -> None:
    assert infotext.parse(infotext.write(params(seed=41), "m", None, "v1", picture=2))["Seed"] == "43"


def test_hash_strength_and_clip_skip_are_shown_where_they_mean_something() -> None:
    text = infotext.write(
        params(clip_skip=2, strength=0.6), "sub/m.x.safetensors", "6ce0161689" * 6, "v1", is_img2img=True
    )
    read = infotext.parse(text)
    assert read["Model hash"] == "6ce0161689"
    assert read["Model"] == "m.x"
    assert read["Denoising strength"] == "0.6"
    assert read["Clip skip"] == "2"


@for_each_case("name", ['a, b: "c"', "x:y", '"', "ünïcode, 猫", " lead", "back\\slash, x"])
def test_odd_names_survive_by_quoting(name: str) -> None:
    read = infotext.parse(infotext.write(params(), "m", None, name))
    assert read["Version"] == name
    assert read["Steps"] == "12"


def told(*, is_img2img: bool = False, **changed: Any) -> dict[str, str]:
    return infotext.parse(infotext.write(params(**changed), None, None, "v", is_img2img=is_img2img))


def test_hires_fix_is_told_as_those_tools_tell_it() -> None:
    words = told(hires=True, hires_scale=1.5, hires_denoising_strength=0.4)
    assert (words["Hires upscale"], words["Hires upscaler"], words["Denoising strength"]) == ("1.5", "Latent", "0.4")
    assert "Hires steps" not in words
    assert "Hires upscaler" not in told(hires_scale=1.5)


def test_hires_fix_with_sizes_and_a_model_is_told_by_them() -> None:
    file = FileRef(name="sub/esrgan_x2.safetensors", path="/x")
    sides = {"hires_width": 96, "hires_height": 80, "hires_steps": 7}
    words = told(is_img2img=True, hires=True, hires_model=file, hires_upscaler="Model", strength=0.6, **sides)
    assert (words["Hires resize-1"], words["Hires resize-2"], words["Hires steps"]) == ("96", "80", "7")
    assert words["Hires upscaler"] == "esrgan_x2"
    assert words["Denoising strength"] == "0.6", "of the picture it started from"
    assert "Hires upscale" not in words


def test_upscaler_that_followed_is_told() -> None:
    upscaler = UpscalerSpec(model=FileRef(name="sub/esrgan_x4.pth", path="/x"))
    assert told(upscale=True, upscaler=upscaler)["Postprocess upscaler"] == "esrgan_x4"
    assert "Postprocess upscaler" not in told()


def test_what_has_no_key_and_is_not_as_usual_is_told_as_settings() -> None:
    assert "Settings" not in told()
    words = told(distilled_guidance=2.0, custom_sigmas=(3.0, 0.0), cache_options={"threshold": 0.1}, batch_count=3)
    assert json.loads(words["Settings"]) == {
        "distilled_guidance": 2.0,
        "custom_sigmas": [3.0, 0.0],
        "cache_options": {"threshold": 0.1},
    }


def test_files_and_what_was_drawn_from_are_no_settings() -> None:
    lora = {"name": "x", "path": "/secret/x", "weight": 1.0}
    upscaler = UpscalerSpec(model=FileRef(name="x.pth", path="/secret/x.pth"))
    words = told(loras=(lora,), upscale=True, upscaler=upscaler, pm_id_embed=FileRef(name="x", path="/secret/x"))
    assert "Settings" not in words
    assert "/secret" not in str(words)


def test_strength_of_the_hires_fix_of_a_given_picture_is_told_apart() -> None:
    words = told(is_img2img=True, hires=True, strength=0.6, hires_denoising_strength=0.3)
    assert (words["Denoising strength"], words["Settings"]) == ("0.6", '{"hires_denoising_strength": 0.3}')


def test_video_tells_its_frames_and_their_rate() -> None:
    video = VideoParams(prompt="a cat", video_frames=36, fps=24)
    read = infotext.parse(infotext.write(video, "wan", None, "v1"))
    assert (read["Frames"], read["FPS"], read["Flow shift"]) == ("33", "24", "3.0")
    assert "FPS" not in told()


def test_size_comes_apart() -> None:
    read = infotext.parse(infotext.write(params(width=96), "m", None, "v1"))
    assert (read["Size-1"], read["Size-2"]) == ("96", "64")


def test_a_text_without_pairs_is_all_prompt() -> None:
    assert infotext.parse("a cat: grey\nand so on") == {"Prompt": "a cat: grey\nand so on", "Negative prompt": ""}


def test_a1111s_own_text_is_read() -> None:
    read = infotext.parse(
        "masterpiece, (best:1.2)\nsecond line\nNegative prompt: bad,\nworse\n"
        "Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7.0, Seed: 123, Size: 512x768, "
        'Model hash: 6ce0161689, Model: v1-5, Lora hashes: "a: 1234, b: 5678", Version: v1.10.1'
    )
    assert read["Prompt"] == "masterpiece, (best:1.2)\nsecond line"
    assert read["Negative prompt"] == "bad,\nworse"
    assert read["Lora hashes"] == "a: 1234, b: 5678"
    assert read["Size-2"] == "768"
    assert read["Version"] == "v1.10.1"


PAIRS = "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x64"


@for_each_case("end", ["\r\n", "\r", "\n", " \n"])
def test_lines_may_end_as_on_any_system(end: str) -> None:
    read = infotext.parse(end.join(["a cat", "in a hat", "Negative prompt: bad", "worse", PAIRS, ""]))
    assert (read["Prompt"], read["Negative prompt"], read["Seed"]) == ("a cat\nin a hat", "bad\nworse", "5")


@for_each_case(
    "below",
    [
        "Template: a {cat|dog}",
        "Template: a {cat|dog}, b: 1, c: 2, d: 3",
        "Template: x\n\nNegative Template: y",
        "words",
    ],
)
def test_what_stands_below_the_line_of_pairs_is_no_prompt(below: str) -> None:
    read = infotext.parse(f"a cat\nNegative prompt: bad\n{PAIRS}\n{below}")
    assert (read["Prompt"], read["Negative prompt"], read["Seed"]) == ("a cat", "bad", "5")
    if below.startswith("Template: a"):
        assert read["Template"] == below.removeprefix("Template: ")


def test_the_last_line_of_pairs_counts() -> None:
    read = infotext.parse(f"{PAIRS}\n{PAIRS.replace('5', '6')}")
    assert (read["Prompt"], read["Seed"]) == (PAIRS, "6")


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=80).map(str.strip)


@given(words, words)
def test_prompts_survive_a_round_trip(prompt: str, negative: str) -> None:
    if prompt.startswith("Negative prompt:"):
        return
    read = infotext.parse(infotext.write(params(prompt=prompt, negative_prompt=negative), "m", None, "v1"))
    assert (read["Prompt"], read["Negative prompt"]) == (prompt, negative)
    assert read["Seed"] == "1"


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    assert {"Prompt", "Negative prompt"} <= infotext.parse(text).keys()


@for_each_case("piece", ["a", "a:", 'a:"', 'a:"\\', "a,", " ", 'a:"b,', "a: 1, "])
def test_no_text_takes_long_to_read(piece: str) -> None:
    start = time.perf_counter()
    infotext.parse(piece * 50_000)
    assert time.perf_counter() - start < 2.0
