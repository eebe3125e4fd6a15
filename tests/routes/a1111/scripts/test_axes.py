from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.routes.a1111.scripts.axes import axes_of
from sdcpp_rest.routes.a1111.wire import A1111Txt2Img
from tests.cases import for_each_case

# Numbers are what clients send: none may change.
TXT2IMG = [
    "Nothing", "Seed", "Var. seed", "Var. strength", "Steps", "Hires steps", "CFG Scale", "Prompt S/R", "Prompt order",
    "Sampler", "Hires sampler", "Checkpoint name", "Negative Guidance minimum sigma", "Sigma Churn", "Sigma min",
    "Sigma max", "Sigma noise", "Schedule type", "Schedule min sigma", "Schedule max sigma", "Schedule rho",
    "Beta schedule alpha", "Beta schedule beta", "Eta", "Clip skip", "Denoising", "Initial noise multiplier",
    "Extra noise", "Hires upscaler", "VAE", "Styles", "UniPC Order", "Face restore", "Token merging ratio",
    "Token merging ratio high-res", "Always discard next-to-last sigma", "SGM noise multiplier", "Refiner checkpoint",
    "Refiner switch at", "RNG source", "FP8 mode", "Size",
]  # fmt: skip
IMG2IMG = [
    "Nothing", "Seed", "Var. seed", "Var. strength", "Steps", "CFG Scale", "Image CFG Scale", "Prompt S/R",
    "Prompt order", "Sampler", "Checkpoint name", "Negative Guidance minimum sigma", "Sigma Churn", "Sigma min",
    "Sigma max", "Sigma noise", "Schedule type", "Schedule min sigma", "Schedule max sigma", "Schedule rho",
    "Beta schedule alpha", "Beta schedule beta", "Eta", "Clip skip", "Denoising", "Initial noise multiplier",
    "Extra noise", "Cond. Image Mask Weight", "VAE", "Styles", "UniPC Order", "Face restore", "Token merging ratio",
    "Token merging ratio high-res", "Always discard next-to-last sigma", "SGM noise multiplier", "Refiner checkpoint",
    "Refiner switch at", "RNG source", "FP8 mode", "Size",
]  # fmt: skip


def change(label: str, value: Any, values: list[Any] | None = None, **fields: Any) -> dict[str, Any]:
    axis = next(one for one in axes_of("txt2img") if one.label == label)
    assert axis.apply is not None
    return axis.apply(A1111Txt2Img(**fields), value, values or [value])


def test_axes_have_the_numbers_that_clients_send() -> None:
    assert [axis.label for axis in axes_of("txt2img")] == TXT2IMG
    assert [axis.label for axis in axes_of("img2img")] == IMG2IMG


@for_each_case(
    ("label", "value", "fields"),
    [
        ("Nothing", 0, {}), ("Seed", 5, {"seed": 5}), ("Var. seed", 6, {"subseed": 6}), ("Steps", 3, {"steps": 3}),
        ("Var. strength", 1.0, {"subseed_strength": 1.0}), ("Hires steps", 4, {"hr_second_pass_steps": 4}),
        ("CFG Scale", 2.5, {"cfg_scale": 2.5}), ("Sampler", "Euler a", {"sampler_name": "Euler a"}),
        ("Schedule type", "Karras", {"scheduler": "Karras"}), ("Eta", 0.5, {"eta": 0.5}),
        ("Clip skip", 2, {"clip_skip": 2}), ("Denoising", 0.3, {"denoising_strength": 0.3}),
        ("Hires upscaler", "Lanczos", {"hr_upscaler": "Lanczos"}), ("Size", "64x128", {"width": 64, "height": 128}),
    ],
)  # fmt: skip
def test_what_an_axis_changes(label: str, value: Any, fields: dict[str, Any]) -> None:
    assert change(label, value) == fields


def test_axes_that_add_to_what_is_there() -> None:
    changed = change("Checkpoint name", "a.safetensors", override_settings={"samples_format": "jpg"})
    assert changed == {"override_settings": {"samples_format": "jpg", "sd_model_checkpoint": "a.safetensors"}}
    assert change("VAE", "None")["override_settings"] == {"sd_vae": "None"}
    assert change("Styles", "film, noir", styles=["x"]) == {"styles": ["x", "film", "noir"]}


def test_words_are_replaced_in_both_prompts() -> None:
    changed = change("Prompt S/R", "dog", ["cat", "dog"], prompt="a cat", negative_prompt="cats")
    assert changed == {"prompt": "a dog", "negative_prompt": "dogs"}
    with pytest.raises(ValueError, match="'bird' is neither in the prompt nor in the negative prompt"):
        change("Prompt S/R", "dog", ["bird", "dog"], prompt="a cat")


def test_words_change_places() -> None:
    prompt = "a cat and a dog in a box"
    assert change("Prompt order", ("box", "cat", "dog"), prompt=prompt) == {"prompt": "a box and a cat in a dog"}
    assert change("Prompt order", ("cat", "dog", "box"), prompt=prompt) == {"prompt": prompt}
    with pytest.raises(ValueError, match="'bird' is not in the prompt"):
        change("Prompt order", ("cat", "bird"), prompt=prompt)


@for_each_case("text", ["64", "axb", "64x", "-1x64", "64x64x64", "9999999x1"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size such as 512x768"):
        change("Size", text)


def test_a_strength_that_cannot_be_drawn() -> None:
    with pytest.raises(ValueError, match=r"0\.5 is a strength that the library cannot draw"):
        change("Var. strength", 0.5)


@for_each_case(
    ("label", "value", "told"),
    [
        ("Nothing", 0, ""), ("Steps", 20, "Steps: 20"), ("CFG Scale", 0.1 + 0.2, "CFG Scale: 0.3"),
        ("Prompt S/R", "dog", "dog"), ("Prompt order", ("a", "b"), "a, b"), ("Sampler", "Euler a", "Euler a"),
        ("Checkpoint name", "sdxl/base.safetensors", "base.safetensors"), ("VAE", "None", "VAE: None"),
    ],
)  # fmt: skip
def test_labels(label: str, value: Any, told: str) -> None:
    assert next(one for one in axes_of("txt2img") if one.label == label).tell(value) == told
