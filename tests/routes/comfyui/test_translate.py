from __future__ import annotations

import base64
import io
import json
import math
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from sdcpp_rest.core.architectures import ARCHITECTURES
from sdcpp_rest.routes.comfyui.translate import Drawing, render_mask
from sdcpp_rest.routes.comfyui.values import GivenPicture, Mask
from tests.cases import for_each_case
from tests.routes.comfyui.conftest import Graph, Prompter, node, simple_graph


def given(picture: Image.Image) -> GivenPicture:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return GivenPicture("1", buffer.getvalue(), *picture.size)


def rendered(mask: Mask) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(render_mask(mask, lambda data, name: (0, 0)))))


def square(left: int, right: int) -> Image.Image:
    picture = Image.new("RGB", (40, 40))
    picture.paste((255, 0, 0), (left, left, right, right))
    return picture


@for_each_case(("amount", "left", "right"), [(0, 15, 25), (1, 14, 26), (7, 8, 32), (-3, 18, 22), (30, 0, 40)])
def test_masks_grow_on_all_sides_by_as_much_as_they_should(amount: int, left: int, right: int) -> None:
    steps = (("grow", amount),)
    expected = square(left, right).getchannel("R")
    assert ImageChops.difference(rendered(Mask(given(square(15, 25)), "red", steps)), expected).getbbox() is None


def test_a_picture_without_transparency_has_nothing_to_draw_anew() -> None:
    assert rendered(Mask(given(square(15, 25)), "alpha", (("invert", 0),))).getextrema() == (0, 0)


def test_a_mask_that_is_turned_around_twice_is_as_it_was(waiting: Prompter) -> None:
    graph = {**simple_graph(), "a": node("LoadImageMask", image="holes.png", channel="alpha")}
    graph["b"], graph["c"] = node("InvertMask", mask=["a", 0]), node("InvertMask", mask=["b", 0])
    graph["d"] = node("LoadImage", image="given.png")
    graph["e"] = node("VAEEncode", pixels=["d", 0], vae=["4", 2])
    graph["f"] = node("SetLatentNoiseMask", samples=["e", 0], mask=["c", 0])
    graph["3"]["inputs"]["latent_image"] = ["f", 0]
    (job,) = waiting.jobs(waiting.submit(graph))
    with Image.open(waiting.runtime.jobs.outputs.inputs_of(job.id) / "mask_image.png") as mask:
        assert mask.getextrema() == (255, 255)


@for_each_case(
    ("family", "is_exponent", "shift", "expected"),
    [
        ("flux", True, 1.15, 1.15),
        ("flux", False, 2.718281828, 1.0),
        ("flux", False, 0.5, 0.0),
        ("wan2", False, 8.0, 8.0),
        ("sd3", True, 1.0, 2.718281828),
    ],
)
def test_shifts_are_counted_as_the_family_counts_them(
    family: str, is_exponent: bool, shift: float, expected: float
) -> None:
    drawing = Drawing("txt2img", [], shift=shift, is_exponent=is_exponent)
    assert drawing.asked_with(ARCHITECTURES[family].name)["flow_shift"] == pytest.approx(expected)
    assert "flow_shift" not in Drawing("txt2img", []).asked_with(ARCHITECTURES[family].name)


def test_a_shift_without_effect_is_told() -> None:
    shifted = Drawing("txt2img", [], shift=3.0)
    for family, is_told in (("flux", False), ("sd3", False), ("flux2", True), ("sdxl", True)):
        assert bool(shifted.notes_with(ARCHITECTURES[family].name)) == is_told, family
    assert Drawing("txt2img", []).notes_with(ARCHITECTURES["sdxl"].name) == []


def custom_graph(guided: str, scheduled: str) -> Graph:
    """A graph of a sampler's parts, with the models that the guider and the scheduler have."""
    graph = simple_graph()
    graph["a"] = node("ModelSamplingSD3", model=["4", 0], shift=5)
    graph["b"] = node("ModelSamplingSD3", model=["4", 0], shift=2)
    graph["c"] = node("CFGGuider", model=[guided, 0], positive=["6", 0], negative=["7", 0], cfg=3)
    graph["d"] = node("BasicScheduler", model=[scheduled, 0], scheduler="karras", steps=4, denoise=1)
    graph["e"] = node("KSamplerSelect", sampler_name="heun")
    graph["f"] = node("RandomNoise", noise_seed=3)
    graph["3"] = node(
        "SamplerCustomAdvanced", noise=["f", 0], guider=["c", 0], sampler=["e", 0], sigmas=["d", 0],
        latent_image=["5", 0],
    )  # fmt: skip
    return graph


@for_each_case(
    ("guided", "scheduled", "shift", "notes"),
    [("4", "4", None, 0), ("a", "4", 5, 0), ("4", "a", 5, 0), ("b", "a", 5, 1)],
)
def test_the_shift_is_that_of_the_schedule(
    waiting: Prompter, guided: str, scheduled: str, shift: float | None, notes: int
) -> None:
    (job,) = waiting.jobs(waiting.submit(custom_graph(guided, scheduled)))
    # The bundled model's family counts its shift as an exponent.
    assert job.params["flow_shift"] == (None if shift is None else pytest.approx(math.log(shift)))
    assert (job.params["scheduler"], job.params["sampler"]) == ("karras", "heun")
    assert len([sentence for sentence in job.warnings if "shift" in sentence]) == notes


def test_what_the_negative_words_have_besides_is_told_not_to_count(waiting: Prompter) -> None:
    graph = simple_graph(negative=["b", 0])
    graph["a"] = node("CLIPSetLastLayer", clip=["4", 1], stop_at_clip_layer=-2)
    graph["7"]["inputs"]["clip"] = ["a", 0]
    graph["b"] = node("FluxGuidance", conditioning=["7", 0], guidance=2)
    (job,) = waiting.jobs(waiting.submit(graph))
    assert len([sentence for sentence in job.warnings if "of negative" in sentence]) == 2


@for_each_case(("steps", "denoise"), [(20, 0.6), (12, 0.75), (7, 0.35), (1, 0.01), (30, 0.99), (20, 1)])
def test_as_many_steps_are_done_as_were_asked_for(waiting: Prompter, steps: int, denoise: float) -> None:
    graph = simple_graph(latent_image=["b", 0], steps=steps, denoise=denoise)
    graph["a"] = node("LoadImage", image="given.png")
    graph["b"] = node("VAEEncode", pixels=["a", 0], vae=["4", 2])
    (job,) = waiting.jobs(waiting.submit(graph))
    assert int(job.params["steps"] * job.params["strength"]) == steps


@for_each_case(
    ("scaling", "method", "told"),
    [
        (node("ImageScaleBy", upscale_method="lanczos", scale_by=2), "Lanczos", []),
        (node("ImageScaleBy", upscale_method="nearest-exact", scale_by=2), "Nearest", []),
        (node("ImageScaleBy", upscale_method="area", scale_by=2), "Lanczos", ["upscale_method area"]),
        (node("ImageScale", upscale_method="lanczos", width=128, height=64, crop="center"), "Lanczos", ["crop"]),
        (node("ImageScale", upscale_method="lanczos", width=128, height=128, crop="center"), "Lanczos", []),
        (node("ImageScale", upscale_method="lanczos", width=128, height=64, crop="disabled"), "Lanczos", []),
    ],
)
def test_a_picture_between_two_samplers_is_scaled_as_was_asked_for_or_told(
    waiting: Prompter, scaling: Graph, method: str, told: list[str]
) -> None:
    graph = simple_graph()
    inputs = graph["3"]["inputs"]
    graph["a"] = {**scaling, "inputs": {**scaling["inputs"], "image": ["8", 0]}}
    graph["b"] = node("VAEEncode", pixels=["a", 0], vae=["4", 2])
    graph["c"] = node("KSampler", **{**inputs, "latent_image": ["b", 0], "denoise": 0.5})
    graph["d"] = node("VAEDecode", samples=["c", 0], vae=["4", 2])
    graph["9"]["inputs"]["images"] = ["d", 0]
    (job,) = waiting.jobs(waiting.submit(graph))
    assert job.params["hires_upscaler"] == method
    assert len(job.warnings) == len(told), job.warnings
    assert all(sentence.startswith(words) for sentence, words in zip(job.warnings, told, strict=True))


def test_a_video_has_whole_frames_a_second_and_a_fraction_is_told(waiting: Prompter) -> None:
    graph = json.loads((Path(__file__).parent / "graphs" / "wan.json").read_text(encoding="utf-8"))
    for one in graph.values():
        if "fps" in one["inputs"]:
            one["inputs"]["fps"] = 23.976
    jobs = waiting.jobs(waiting.submit(graph))
    assert {job.params["fps"] for job in jobs} == {24}
    assert all(any(text.startswith("fps 23.976 became 24") for text in job.warnings) for job in jobs)
