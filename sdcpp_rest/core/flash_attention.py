"""Settles where a load uses flash attention: as asked, else as the device likes it, and never where the library draws
something wrong with it.

Knows options and families; must not know files, devices or the native library. The pinned library hands flash attention
every mask as it is, but that wants one row per token, each as long as the keys after they were padded to a multiple of
256. Chroma's mask of its prompt's padding is a single row: what is drawn is one flat colour. The mask of Qwen Image's
vision part has rows as long as the keys before: rows run into each other, and reference pictures are misread.
"""

from __future__ import annotations

from typing import NamedTuple

from sdcpp_rest.core.load_spec import LoadOptions

_MASKED_PROMPT = frozenset({"Chroma", "Chroma Radiance"})
_MASKED_VISION = "Qwen Image"


class FlashAttention(NamedTuple):
    """``everywhere`` includes the diffusion model: the library's two switches are added up."""

    everywhere: bool
    in_diffusion_model: bool


def choose_flash_attention(options: LoadOptions, architecture: str | None, *, has_gpu: bool) -> FlashAttention:
    """Flash attention of a load: what is left open is on for GPUs and off on the CPU, where it is slower; the diffusion
    model does as the rest unless it has a choice of its own. ``architecture`` is the family's name."""
    asked = _as_asked(options, has_gpu=has_gpu)
    if architecture in _MASKED_PROMPT and options.chroma_use_dit_mask:
        return FlashAttention(everywhere=False, in_diffusion_model=False)
    if architecture == _MASKED_VISION and not options.vae_decode_only:
        return FlashAttention(everywhere=False, in_diffusion_model=asked.in_diffusion_model)
    return asked


def flash_attention_warning(options: LoadOptions, architecture: str | None) -> str | None:
    """A sentence when a load asks for flash attention and gets less of it."""
    # Left open is not asked for: as on the CPU, so that nothing is said of what is on by itself.
    asked = _as_asked(options, has_gpu=False)
    chosen = choose_flash_attention(options, architecture, has_gpu=False)
    if chosen == asked:
        return None
    name = "flash_attn" if options.flash_attn else "diffusion_flash_attn"
    if architecture in _MASKED_PROMPT:
        return (
            f"options.{name}: true was not followed: with its mask, {architecture} draws one flat colour under flash "
            "attention; chroma_use_dit_mask=false makes it possible."
        )
    return (
        f"options.{name}: true was followed in the diffusion model only: {architecture} misreads reference pictures "
        "under flash attention."
    )


def _as_asked(options: LoadOptions, *, has_gpu: bool) -> FlashAttention:
    everywhere = has_gpu if options.flash_attn is None else options.flash_attn
    diffusion = everywhere if options.diffusion_flash_attn is None else options.diffusion_flash_attn
    return FlashAttention(everywhere, everywhere or diffusion)
