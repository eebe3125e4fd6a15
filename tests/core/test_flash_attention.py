"""Which parts of a load use flash attention: as asked, by device, and not where the library draws something wrong."""

from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.core.flash_attention import choose_flash_attention, flash_attention_warning
from sdcpp_rest.core.load_spec import LoadOptions
from tests.cases import for_each_case

ON = (True, True)
OFF = (False, False)
DIFFUSION_ONLY = (False, True)


@for_each_case(
    ("options", "on_cpu", "on_gpu"),
    [
        ({}, OFF, ON),
        ({"flash_attn": True}, ON, ON),
        ({"flash_attn": False}, OFF, OFF),
        ({"diffusion_flash_attn": True}, DIFFUSION_ONLY, ON),
        ({"flash_attn": False, "diffusion_flash_attn": True}, DIFFUSION_ONLY, DIFFUSION_ONLY),
        # The library adds its two switches up: there is no flash attention everywhere but there.
        ({"flash_attn": True, "diffusion_flash_attn": False}, ON, ON),
    ],
)
@for_each_case("family", ["Flux", "Qwen Image", None])
def test_what_is_left_open_is_on_for_gpus(
    options: dict[str, Any], on_cpu: tuple[bool, bool], on_gpu: tuple[bool, bool], family: str | None
) -> None:
    load = LoadOptions(**options)
    assert choose_flash_attention(load, family, has_gpu=False) == on_cpu
    assert choose_flash_attention(load, family, has_gpu=True) == on_gpu
    assert flash_attention_warning(load, family) is None


@for_each_case("family", ["Chroma", "Chroma Radiance"])
@for_each_case("asked", [{}, {"flash_attn": True}, {"diffusion_flash_attn": True}])
def test_chroma_has_none_unless_its_mask_is_off(family: str, asked: dict[str, bool]) -> None:
    assert choose_flash_attention(LoadOptions(**asked), family, has_gpu=True) == OFF
    unmasked = LoadOptions(**asked, chroma_use_dit_mask=False)
    assert choose_flash_attention(unmasked, family, has_gpu=True) == ON
    assert flash_attention_warning(unmasked, family) is None


@pytest.mark.parametrize("option", ["flash_attn", "diffusion_flash_attn"])
def test_chroma_that_is_asked_for_it_says_what_makes_it_possible(option: str) -> None:
    sentence = flash_attention_warning(LoadOptions(**{option: True}), "Chroma")
    assert sentence is not None
    assert sentence.startswith(f"options.{option}: true was not followed")
    assert "chroma_use_dit_mask=false" in sentence
    assert flash_attention_warning(LoadOptions(**{option: False}), "Chroma") is None
    assert flash_attention_warning(LoadOptions(), "Chroma") is None


def test_qwen_image_that_reads_pictures_has_it_in_the_diffusion_model_only() -> None:
    reads = LoadOptions(vae_decode_only=False)
    assert choose_flash_attention(reads, "Qwen Image", has_gpu=True) == DIFFUSION_ONLY
    assert flash_attention_warning(reads, "Qwen Image") is None
    asked = reads.model_copy(update={"flash_attn": True})
    assert choose_flash_attention(asked, "Qwen Image", has_gpu=False) == DIFFUSION_ONLY
    assert "in the diffusion model only" in (flash_attention_warning(asked, "Qwen Image") or "")
    diffusion = reads.model_copy(update={"diffusion_flash_attn": True})
    assert flash_attention_warning(diffusion, "Qwen Image") is None
