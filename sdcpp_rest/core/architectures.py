"""Lists the model families: their names, what each one can make, and what it needs in general.

Pure functions over tensor names and shapes. It must not read files, and it refuses only what is certain: a file that is
not recognised is the library's to judge. Shapes are in ggml order everywhere: the fastest-running dimension first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sdcpp_rest.core.frozen import Frozen

Shapes = Mapping[str, tuple[int, ...]]

DIFFUSION_PREFIX = "model.diffusion_model."

Contents = Literal[
    "picture model", "LoRA", "upscaler", "VAE", "tiny autoencoder", "ControlNet", "PhotoMaker", "language model",
    "CLIP text encoder", "CLIP vision encoder", "T5 text encoder", "embedding", "unknown",
]  # fmt: skip

_QWEN_VOCABULARY = 151_669  # one past the last special token that the Qwen tokenizer puts into a prompt
_MISTRAL_VOCABULARY = 131_072


class Architecture(Frozen):
    """One family.

    ``name`` is close to what the library prints as ``Version``. ``needs`` lists text encoders that must all be there,
    ``needs_any`` a choice of which one is enough, ``helped_by`` those without which the prompt counts for little or
    nothing. ``has_vae``: pixels come from an autoencoder (only Radiance draws pixels itself).
    ``takes_reference_images``: the library shows it the pictures of ``ref_images``; whether it was trained to look at
    them differs by variant. ``unusable`` says why this version of the library cannot use the family at all.
    """

    id: str
    name: str
    makes_images: bool = True
    makes_video: bool = False
    is_flow: bool = True
    needs: tuple[str, ...] = ()
    needs_any: tuple[str, ...] = ()
    helped_by: tuple[str, ...] = ()
    has_vae: bool = True
    takes_controlnet: bool = False
    takes_photo_maker: bool = False
    takes_reference_images: bool = False
    min_vocabulary: int = 0
    unusable: str = ""


def _unet(id: str, name: str, *needs: str, takes_controlnet: bool = True) -> Architecture:
    return Architecture(
        id=id,
        name=name,
        is_flow=False,
        needs=needs,
        takes_controlnet=takes_controlnet,
        takes_photo_maker="clip_g" in needs,
        takes_reference_images=id.endswith("_pix2pix"),
    )


def _flux(id: str, name: str, unusable: str = "") -> Architecture:
    encoders = ("clip_l", "t5xxl")
    return Architecture(
        id=id,
        name=name,
        needs_any=encoders,
        helped_by=encoders,
        # The others have more channels, for a second picture of their own: references beside them end the process.
        takes_reference_images=id == "flux",
        unusable=unusable,
    )


def _llm(id: str, name: str, min_vocabulary: int = _QWEN_VOCABULARY) -> Architecture:
    blind = id in ("anima", "ernie_image")
    return Architecture(
        id=id, name=name, needs=("llm",), min_vocabulary=min_vocabulary, takes_reference_images=not blind
    )


def _wan(id: str, name: str) -> Architecture:
    return Architecture(id=id, name=name, makes_images=False, makes_video=True, helped_by=("t5xxl",))


_ALL = (
    _unet("sd1", "SD 1.x", "clip_l"),
    _unet("sd1_inpaint", "SD 1.x Inpaint", "clip_l"),
    _unet("sd1_pix2pix", "Instruct-Pix2Pix", "clip_l"),
    _unet("sd1_tiny", "SD 1.x Tiny UNet", "clip_l", takes_controlnet=False),
    _unet("sd2", "SD 2.x", "clip_l"),
    _unet("sd2_inpaint", "SD 2.x Inpaint", "clip_l"),
    _unet("sd2_tiny", "SD 2.x Tiny UNet", "clip_l", takes_controlnet=False),
    _unet("sdxs_512", "SDXS (512-DS)", "clip_l", takes_controlnet=False),
    _unet("sdxs_09", "SDXS (09)", "clip_l", takes_controlnet=False),
    _unet("sdxl", "SDXL", "clip_l", "clip_g"),
    _unet("sdxl_inpaint", "SDXL Inpaint", "clip_l", "clip_g"),
    _unet("sdxl_pix2pix", "SDXL Instruct-Pix2Pix", "clip_l", "clip_g"),
    _unet("sdxl_vega", "SDXL (Vega)", "clip_l", "clip_g"),
    _unet("sdxl_ssd1b", "SDXL (SSD1B)", "clip_l", "clip_g"),
    Architecture(
        id="svd",
        name="SVD",
        is_flow=False,
        makes_images=False,
        makes_video=True,
        unusable="Stable Video Diffusion ends the engine while it is loaded",
    ),
    Architecture(id="sd3", name="SD3.x", needs=("clip_l", "clip_g"), helped_by=("t5xxl",)),
    _flux("flux", "Flux"),
    _flux("flux_fill", "Flux Fill"),
    _flux("flux_control", "Flux Control"),
    _flux("flex2", "Flex.2", unusable="every picture of Flex.2 ends the engine"),
    Architecture(id="chroma", name="Chroma", helped_by=("t5xxl",), takes_reference_images=True),
    Architecture(id="chroma_radiance", name="Chroma Radiance", helped_by=("t5xxl",), has_vae=False),
    _wan("wan2", "Wan 2.x"),
    _wan("wan2_2_i2v", "Wan 2.2 I2V"),
    _wan("wan2_2_ti2v", "Wan 2.2 TI2V"),
    _llm("qwen_image", "Qwen Image"),
    _llm("anima", "Anima", min_vocabulary=0),
    _llm("flux2", "Flux.2", _MISTRAL_VOCABULARY),
    _llm("flux2_klein", "Flux.2 klein"),
    _llm("z_image", "Z-Image"),
    _llm("ovis_image", "Ovis Image"),
    _llm("ernie_image", "Ernie Image", min_vocabulary=0),
)
ARCHITECTURES: dict[str, Architecture] = {entry.id: entry for entry in _ALL}


def architecture_named(name: str | None) -> Architecture | None:
    """The family of that ``name``, as load specs carry it; ``None`` for a model that was not recognised."""
    return next((entry for entry in _ALL if entry.name == name), None)


FLUX_FAMILY = frozenset(
    {"flux", "flux_fill", "flux_control", "flex2", "chroma", "chroma_radiance", "ovis_image", "flux2", "flux2_klein"}
)
WAN_FAMILY = frozenset({"wan2", "wan2_2_i2v", "wan2_2_ti2v"})

LLM_TABLES = ("model.embed_tokens.weight", "token_embd.weight")

# --- what is in a file ------------------------------------------------------------------------------------------------


def side(shape: tuple[int, ...] | None, index: int) -> int:
    return shape[index] if shape is not None and index < len(shape) else 1


# --- what goes with it ------------------------------------------------------------------------------------------------


def scheduler_warning(architecture: Architecture, scheduler: str) -> str | None:
    """A sentence when ``scheduler`` makes noise instead of pictures with this family."""
    if scheduler == "ays":
        fits = architecture.id.startswith(("sd1", "sdxl", "sdxs_512", "svd"))
    else:
        fits = scheduler != "gits" or not architecture.is_flow
    if fits:
        return None
    name = architecture.name
    return f"The scheduler '{scheduler}' was made for Stable Diffusion 1 and XL; with {name} it draws noise."
