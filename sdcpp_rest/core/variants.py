"""Tells which variant of its family a model is: turbo or not, for text or for pictures, distilled or not.

Pure functions over tensor names and the file's name. Tensors are believed before names; where neither tells, the
family's most common variant is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from sdcpp_rest.core.architectures import Architecture
from sdcpp_rest.core.frozen import Frozen

Confidence = Literal["certain", "likely", "assumed"]


class Variant(Frozen):
    """A verdict. ``preset`` is an id of ``core.presets.PRESETS``.

    ``confidence``: ``certain`` where tensors told, ``likely`` where the file's name did, ``assumed`` where nothing did.
    ``why`` is one sentence.
    """

    preset: str
    confidence: Confidence
    why: str


@dataclass(frozen=True)
class _Sign:
    """One way to know a variant. All that is given must be so: ``name`` is found in the file's name, ``has`` in a
    tensor's name, ``lacks`` in none, ``beside`` among the roles of the components."""

    preset: str
    name: str = ""
    has: str = ""
    lacks: str = ""
    beside: str = ""


_TURBO = r"turbo"
# "Hyper" is a method of distillation; "hyperrealistic" is not.
_LIGHTNING = r"lightning|hyper[-_ ]?sd|(?<![a-z])hyper(?![a-z])|(?<![a-z])dmd2?(?![a-z])|turbo"
_LCM = r"(?<![a-z])lcm"
# The undistilled model is published under the bare name; what people train and rename is nearly always the turbo.
_Z_IMAGE_BASE = r"base|^z[-_ ]?image[-_. ]*(bf16|fp\d|f16|f32|i?q\d|ud|gguf|safetensors)"
_WAN_2_2 = r"wan[-_. ]?2[-_. ]?2|(high|low)[-_ ]?noise"

# In order: the first that fits decides. The last of each family fits always.
_SIGNS: dict[str, tuple[_Sign, ...]] = {
    "sd1": (_Sign("SD1-LCM", name=_LCM), _Sign("SD1")),
    "sd1_inpaint": (_Sign("SD1-Inpaint"),),
    "sd1_pix2pix": (_Sign("SD1-Pix2Pix"),),
    "sd1_tiny": (_Sign("SD1-Tiny"),),
    "sdxs_512": (_Sign("SDXS-512"),),
    "sdxs_09": (_Sign("SDXS-09"),),
    "sd2": (_Sign("SD-Turbo", name=_TURBO), _Sign("SD2-Base", name=r"base|512"), _Sign("SD2")),
    "sd2_inpaint": (_Sign("SD2-Inpaint"),),
    "sd2_tiny": (_Sign("SD2-Tiny"),),
    "sdxl": (
        _Sign("SDXL-Turbo", name=r"sd[-_ ]?xl[-_ ]?turbo"),
        _Sign("SDXL-LCM", name=_LCM),
        _Sign("SDXL-Lightning", name=_LIGHTNING),
        _Sign("SDXL"),
    ),
    "sdxl_inpaint": (_Sign("SDXL-Inpaint"),),
    "sdxl_pix2pix": (_Sign("SDXL-Pix2Pix"),),
    "sdxl_ssd1b": (_Sign("SSD-1B"),),
    "sdxl_vega": (_Sign("Vega"),),
    "svd": (_Sign("SVD"),),
    "sd3": (
        _Sign("SD3.5-Medium", has=".x_block.attn2."),
        _Sign("SD3.5-Large-Turbo", has="joint_blocks.37.", name=_TURBO),
        _Sign("SD3.5-Large", has="joint_blocks.37."),
        _Sign("SD3"),
    ),
    "flux": (
        _Sign("Flex.1", name=r"(?<![a-z])flex[-_. ]?1"),
        _Sign("Flux-Schnell", lacks="guidance_in."),
        _Sign("Flux-Kontext", name=r"kontext"),
        _Sign("Flux"),
    ),
    "flux_fill": (_Sign("Flux-Fill"),),
    "flux_control": (_Sign("Flux-Control"),),
    "flex2": (_Sign("Flex.2"),),
    "chroma": (_Sign("Chroma-Flash", name=r"flash"), _Sign("Chroma")),
    "chroma_radiance": (_Sign("Chroma-Radiance"),),
    "flux2": (_Sign("Flux.2"),),
    "flux2_klein": (_Sign("Flux.2-Klein-Base", name=r"base"), _Sign("Flux.2-Klein")),
    "z_image": (
        _Sign("Z-Image-Turbo", name=_TURBO),
        _Sign("Z-Image", name=_Z_IMAGE_BASE),
        _Sign("Z-Image-Turbo"),
    ),
    "qwen_image": (
        _Sign("Qwen-Image-Edit-2511", has="__index_timestep_zero__"),
        _Sign("Qwen-Image-Edit-2511", name=r"edit(?!ion|ed).*2511"),
        _Sign("Qwen-Image-Edit", name=r"edit(?!ion|ed)"),
        _Sign("Qwen-Image-Lightning", name=_LIGHTNING),
        _Sign("Qwen-Image"),
    ),
    "ovis_image": (_Sign("Ovis-Image"),),
    "anima": (_Sign("Anima"),),
    "ernie_image": (_Sign("ERNIE-Image-Turbo", name=_TURBO), _Sign("ERNIE-Image")),
    "wan2": (
        _Sign("Wan2.1-VACE", has="vace_blocks."),
        _Sign("Wan2.1-FLF2V", has="img_emb.emb_pos"),
        _Sign("Wan2.1-I2V", has="img_emb."),
        # The smaller of the two sizes exists in version 2.1 alone; the larger looks the same in both.
        _Sign("Wan2.1-T2V", lacks="blocks.39."),
        _Sign("Wan2.2-T2V-A14B", beside="high_noise_diffusion_model"),
        _Sign("Wan2.2-T2V-A14B", name=_WAN_2_2),
        _Sign("Wan2.1-T2V"),
    ),
    "wan2_2_i2v": (_Sign("Wan2.2-I2V-A14B"),),
    "wan2_2_ti2v": (_Sign("Wan2.2-TI2V-5B"),),
}


def name_pattern(preset: str) -> str | None:
    """A regular expression for names of files that give the variant away, whatever their case; ``None`` where tensors
    tell it, or nothing does."""
    signs = (sign for family in _SIGNS.values() for sign in family if sign.preset == preset)
    return next((sign.name for sign in signs if sign.name and not (sign.has or sign.lacks or sign.beside)), None)


def variant(
    architecture: Architecture, tensors: Iterable[str], file_name: str = "", components: Collection[str] = ()
) -> Variant:
    """The variant that a model of this family is.

    ``tensors`` are names, or a mapping by name, and may be empty (a file that is not looked into). Of ``file_name``
    only what follows its last folder counts. ``components`` are the roles of the files that are loaded with it.
    """
    names = list(tensors)
    own_name = re.split(r"[/\\]", file_name)[-1]
    signs = _SIGNS[architecture.id]
    for sign in signs:
        verdict = _judge(sign, architecture, names, own_name, components, len(signs) == 1)
        if verdict is not None:
            return verdict
    raise AssertionError(f"the last sign of {architecture.id} fits always")


def _judge(
    sign: _Sign,
    architecture: Architecture,
    names: list[str],
    file_name: str,
    components: Collection[str],
    is_only: bool,
) -> Variant | None:
    found = re.search(sign.name, file_name, re.IGNORECASE) if sign.name else None
    if sign.name and found is None:
        return None
    if sign.beside and sign.beside not in components:
        return None
    if sign.has and not any(sign.has in name for name in names):
        return None
    if sign.lacks and (not names or any(sign.lacks in name for name in names)):
        return None
    if found is not None:
        return Variant(preset=sign.preset, confidence="likely", why=f"Its name says {found.group()!r}.")
    if sign.beside:
        why = f"It is loaded with a file as {sign.beside!r}."
        return Variant(preset=sign.preset, confidence="certain", why=why)
    if sign.has:
        return Variant(preset=sign.preset, confidence="certain", why=f"It has tensors named {sign.has.strip('.')!r}.")
    if sign.lacks:
        return Variant(
            preset=sign.preset, confidence="certain", why=f"It has no tensor named {sign.lacks.strip('.')!r}."
        )
    if is_only:
        why = f"Its tensors are those of {architecture.name}, which has one variant."
        return Variant(preset=sign.preset, confidence="certain", why=why)
    why = f"Its tensors are those of {architecture.name}; neither they nor its name say which variant it is."
    return Variant(preset=sign.preset, confidence="assumed", why=why)
