"""The table of everything that can be written: files, and the families that are put together from them.

Families share files (CLIP-L, tiny autoencoders), so a models folder with several of them holds each file once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tools.synthetic_models import addons, autoencoders, flux_like, text_encoders, transformers, unets, wan
from tools.synthetic_models.files import Fill, file_bytes, write_model
from tools.synthetic_models.storage import Format
from tools.synthetic_models.tensors import Recipe, prefixed


@dataclass(frozen=True)
class ModelFile:
    """One file: the type folder it lies in, its tensors, and the storage and format it wants unless told otherwise."""

    folder: str
    recipe: Recipe
    storage: str = "q4_0"
    format: Format = "gguf"


@dataclass(frozen=True)
class Family:
    """A loadable model: what the server calls its architecture (the library's name for it, but for Chroma, which that
    calls a Flux), how it is loaded, and its files by role.

    ``encodes``: its autoencoder also reads pictures, so that img2img works (the tiny video autoencoder, with which
    Qwen Image and Anima draw, only reads videos). ``is_slow``: more than a gigabyte, or
    many seconds a step.
    """

    version: str
    model: str
    components: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["checkpoint", "diffusion"] = "diffusion"
    encodes: bool = True
    makes_video: bool = False
    is_slow: bool = False

    @property
    def files(self) -> tuple[str, ...]:
        """Names in FILES, the model first."""
        return (self.model, *dict.fromkeys(self.components.values()))


def _checkpoint(plan: unets.Unet, channels: int = 4, storage: str = "q4_0") -> ModelFile:
    return ModelFile("checkpoints", lambda: unets.checkpoint(plan, channels, encoder=channels != 4), storage)


def _diffusion(recipe: Recipe, storage: str = "q4_0") -> ModelFile:
    return ModelFile("diffusion_models", recipe, storage)


def _sd_lora(plan: unets.Unet) -> ModelFile:
    recipe = lambda: addons.lora(prefixed("unet.", unets.unet(plan)), ("attn2.to_k",))  # noqa: E731
    return ModelFile("loras", recipe, format="safetensors")


FILES: dict[str, ModelFile] = {
    "sdxs": _checkpoint(unets.SDXS_512),
    "sdxs09": _checkpoint(unets.SDXS_09),
    "sd1_tiny": _checkpoint(unets.SD1_TINY),
    "sd15": _checkpoint(unets.SD1, storage="tq1_0"),
    "sd15_inpaint": _checkpoint(unets.SD1, 9),
    "sd15_pix2pix": _checkpoint(unets.SD1, 8),
    "sd2": _checkpoint(unets.SD2),
    "sd2_inpaint": _checkpoint(unets.SD2, 9),
    "sd2_tiny": _checkpoint(unets.SD2_TINY),
    "sdxl": _checkpoint(unets.SDXL, storage="tq1_0"),
    "sdxl_inpaint": _checkpoint(unets.SDXL, 9, "tq1_0"),
    "sdxl_pix2pix": _checkpoint(unets.SDXL, 8, "tq1_0"),
    "ssd1b": _checkpoint(unets.SSD_1B, storage="tq1_0"),
    "vega": _checkpoint(unets.VEGA),
    "flux": _diffusion(flux_like.flux),
    "flux_schnell": _diffusion(lambda: flux_like.flux(guidance=False)),
    "flux_fill": _diffusion(lambda: flux_like.flux(384)),
    "flux_control": _diffusion(lambda: flux_like.flux(128)),
    "flex2": _diffusion(lambda: flux_like.flux(196)),
    "flux2": _diffusion(flux_like.flux2),
    "klein": _diffusion(flux_like.klein),
    "chroma": _diffusion(flux_like.chroma, "tq1_0"),
    "radiance": _diffusion(flux_like.radiance, "tq1_0"),
    "ovis": _diffusion(flux_like.ovis),
    "sd3": _diffusion(transformers.sd3, "tq1_0"),
    "sd35": _diffusion(transformers.sd35, "tq1_0"),
    "qwen": _diffusion(transformers.qwen_image),
    "zimage": _diffusion(transformers.z_image, "tq1_0"),
    "anima": _diffusion(transformers.anima),
    "ernie": _diffusion(transformers.ernie_image),
    "wan21": _diffusion(wan.wan21, "tq1_0"),
    "wan21_i2v": _diffusion(wan.wan21_i2v, "tq1_0"),
    "wan21_flf2v": _diffusion(wan.wan21_flf2v, "tq1_0"),
    "wan21_vace": _diffusion(wan.wan21_vace, "tq1_0"),
    "wan22": _diffusion(wan.wan22, "tq1_0"),
    "wan22_i2v": _diffusion(wan.wan22_i2v, "tq1_0"),
    "clip_l": ModelFile("clip", text_encoders.clip_l),
    "clip_g": ModelFile("clip", text_encoders.clip_g),
    "clip_vision_h": ModelFile("clip", text_encoders.clip_vision_h, "tq1_0"),
    "t5xxl": ModelFile("t5", text_encoders.t5),
    "umt5": ModelFile("t5", text_encoders.umt5),
    "qwen3": ModelFile("llm", lambda: text_encoders.qwen3(64)),
    "qwen3_600m": ModelFile("llm", lambda: text_encoders.qwen3(1024)),
    "qwen3_4b": ModelFile("llm", lambda: text_encoders.qwen3(2560)),
    "mistral": ModelFile("llm", lambda: text_encoders.mistral(64)),
    "qwen2_5_vl": ModelFile("llm", text_encoders.qwen2_5_vl),
    "qwen2_5_vision": ModelFile("llm", text_encoders.qwen2_5_vision),
    "vae_sd": ModelFile("vae", lambda: autoencoders.vae(4, quantized=True, encoder=True)),
    "vae_flux": ModelFile("vae", lambda: autoencoders.vae(16, quantized=False)),
    "vae_flux_full": ModelFile("vae", lambda: autoencoders.vae(16, quantized=False, encoder=True)),
    "vae_flux2": ModelFile("vae", lambda: autoencoders.vae(32, quantized=True)),
    "taesd": ModelFile("taesd", lambda: autoencoders.tae(4)),
    "taef1": ModelFile("taesd", lambda: autoencoders.tae(16), format="safetensors"),
    "taef2": ModelFile("taesd", lambda: autoencoders.tae(32, middle=True)),
    "taew2_1": ModelFile("taesd", lambda: autoencoders.video_tae(16)),
    "taew2_2": ModelFile("taesd", lambda: autoencoders.video_tae(48, patch=2)),
    "controlnet": ModelFile("controlnet", unets.controlnet, "tq1_0"),
    "esrgan_x2": ModelFile("esrgan", lambda: addons.esrgan(2)),
    "esrgan_x4": ModelFile("esrgan", lambda: addons.esrgan(4)),
    "embedding_sd1": ModelFile("embeddings", addons.embedding, "f32", "safetensors"),
    "lora_flux": ModelFile(
        "loras",
        lambda: addons.lora(prefixed("diffusion_model.", flux_like.flux(guidance=False)), ("qkv", "linear1")),
        format="safetensors",
    ),
    "lora_sd1": _sd_lora(unets.SD1),
    "lora_sdxs": _sd_lora(unets.SDXS_512),
    "photo_maker": ModelFile("photo_maker", addons.photo_maker),
    "photo_maker_v2": ModelFile("photo_maker", addons.photo_maker_v2),
}

_FLUX = {"clip_l": "clip_l", "taesd": "taef1"}
_SD3 = {"clip_l": "clip_l", "clip_g": "clip_g", "taesd": "taef1"}
_WAN = {"taesd": "taew2_1"}


def _unet(version: str, model: str, *, encodes: bool = False, is_slow: bool = False) -> Family:
    return Family(version, model, kind="checkpoint", encodes=encodes, is_slow=is_slow)


def _wan(version: str, model: str, *, is_slow: bool = False, **components: str) -> Family:
    return Family(version, model, {**_WAN, **components}, makes_video=True, is_slow=is_slow)


FAMILIES: dict[str, Family] = {
    "sdxs": _unet("SDXS (512-DS)", "sdxs", encodes=True),
    "sdxs09": _unet("SDXS (09)", "sdxs09", encodes=True, is_slow=True),
    "sd1_tiny": _unet("SD 1.x Tiny UNet", "sd1_tiny"),
    "sd15": _unet("SD 1.x", "sd15"),
    "sd15_inpaint": _unet("SD 1.x Inpaint", "sd15_inpaint", encodes=True, is_slow=True),
    "sd15_pix2pix": _unet("Instruct-Pix2Pix", "sd15_pix2pix", encodes=True, is_slow=True),
    "sd2": _unet("SD 2.x", "sd2", is_slow=True),
    "sd2_inpaint": _unet("SD 2.x Inpaint", "sd2_inpaint", encodes=True, is_slow=True),
    "sd2_tiny": _unet("SD 2.x Tiny UNet", "sd2_tiny", is_slow=True),
    "sdxl": _unet("SDXL", "sdxl", is_slow=True),
    "sdxl_inpaint": _unet("SDXL Inpaint", "sdxl_inpaint", encodes=True, is_slow=True),
    "sdxl_pix2pix": _unet("SDXL Instruct-Pix2Pix", "sdxl_pix2pix", encodes=True, is_slow=True),
    "ssd1b": _unet("SDXL (SSD1B)", "ssd1b", is_slow=True),
    "vega": _unet("SDXL (Vega)", "vega"),
    "flux": Family("Flux", "flux", {"clip_l": "clip_l", "vae": "vae_flux"}, encodes=False),
    "flux_schnell": Family("Flux", "flux_schnell", _FLUX),
    "flux_fill": Family("Flux Fill", "flux_fill", _FLUX),
    "flux_control": Family("Flux Control", "flux_control", _FLUX),
    "flex2": Family("Flex.2", "flex2", _FLUX),
    "flux2": Family("Flux.2", "flux2", {"llm": "mistral", "taesd": "taef2"}),
    "klein": Family("Flux.2 klein", "klein", {"llm": "qwen3", "vae": "vae_flux2"}, encodes=False),
    "chroma": Family("Chroma", "chroma", {"taesd": "taef1"}),
    "radiance": Family("Chroma Radiance", "radiance"),
    "ovis": Family("Ovis Image", "ovis", {"llm": "qwen3", "taesd": "taef1"}),
    "sd3": Family("SD3.x", "sd3", _SD3),
    "sd35": Family("SD3.x", "sd35", _SD3, is_slow=True),
    "qwen": Family("Qwen Image", "qwen", {"llm": "qwen2_5_vl", "taesd": "taew2_1"}, encodes=False),
    "qwen_edit": Family(
        "Qwen Image",
        "qwen",
        {"llm": "qwen2_5_vl", "llm_vision": "qwen2_5_vision", "taesd": "taew2_1"},
        encodes=False,
        is_slow=True,
    ),
    "zimage": Family("Z-Image", "zimage", {"llm": "qwen3_4b", "taesd": "taef1"}, is_slow=True),
    "anima": Family("Anima", "anima", {"llm": "qwen3_600m", "taesd": "taew2_1"}, encodes=False),
    "ernie": Family("Ernie Image", "ernie", {"llm": "mistral", "vae": "vae_flux2"}, encodes=False),
    "wan21": _wan("Wan 2.x", "wan21"),
    "wan21_i2v": _wan("Wan 2.x", "wan21_i2v", clip_vision="clip_vision_h", is_slow=True),
    "wan21_flf2v": _wan("Wan 2.x", "wan21_flf2v", clip_vision="clip_vision_h", is_slow=True),
    "wan21_vace": _wan("Wan 2.x", "wan21_vace", is_slow=True),
    "wan21_experts": _wan("Wan 2.x", "wan21", high_noise_diffusion_model="wan21_high_noise", is_slow=True),
    "wan22": _wan("Wan 2.2 TI2V", "wan22", taesd="taew2_2", is_slow=True),
    "wan22_i2v": _wan("Wan 2.2 I2V", "wan22_i2v", high_noise_diffusion_model="wan22_i2v", is_slow=True),
}
FILES["wan21_high_noise"] = FILES["wan21"]


def files_of(names: Iterable[str]) -> tuple[str, ...]:
    """The names of all files of these families and files, each once. Raises KeyError with the name that is neither."""
    found: dict[str, None] = {}
    for name in names:
        if name in FAMILIES:
            found.update(dict.fromkeys(FAMILIES[name].files))
        elif name in FILES:
            found[name] = None
        else:
            raise KeyError(name)
    return tuple(found)


def path_below(models_folder: Path, name: str, file_format: Format | None = None) -> Path:
    file = FILES[name]
    return models_folder / file.folder / f"{name}.{file_format or file.format}"


def write_file(
    models_folder: Path,
    name: str,
    *,
    storage: str | None = None,
    file_format: Format | None = None,
    fill: Fill = "random",
    seed: int = 1,
) -> Path:
    """Write one file into the folder of its type below ``models_folder``; answers its path."""
    path = path_below(models_folder, name, file_format)
    write_model(path, FILES[name].recipe(), storage or FILES[name].storage, fill=fill, seed=seed)
    return path


def weight_bytes(name: str) -> int:
    """The size of a file's weights; its header comes on top."""
    file = FILES[name]
    return file_bytes(file.recipe(), file.storage, file.format)


def family_bytes(name: str) -> int:
    """The size of all files of a family."""
    return sum(weight_bytes(file) for file in FAMILIES[name].files)
