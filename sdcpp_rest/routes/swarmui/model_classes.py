"""Tells SwarmUI's classes of models: their ids, which of them are compatible, and which one a model file is of.

Pure tables over what a `ModelCard` says. SwarmUI's page shows and hides parameters by these ids.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sdcpp_rest.services.models.model_cards import ModelCard


class ModelClass(NamedTuple):
    """A class of models. Sides are in pixels."""

    id: str
    name: str
    compat: str
    width: int
    height: int


class CompatClass(NamedTuple):
    """Classes whose models share LoRAs."""

    id: str
    short_code: str
    loras_target_text_encoder: bool = True
    makes_video: bool = False
    needs_image: bool = False


_COMPAT = (
    CompatClass("stable-diffusion-v1", "SDv1"),
    CompatClass("stable-diffusion-v2", "SDv2"),
    CompatClass("stable-diffusion-v2-turbo", "SDv2"),
    CompatClass("stable-diffusion-xl-v1", "SDXL"),
    CompatClass("segmind-stable-diffusion-1b", "SSD1B"),
    CompatClass("stable-video-diffusion-img2vid-v1", "SVD", makes_video=True, needs_image=True),
    CompatClass("stable-diffusion-v3-medium", "SD3m"),
    CompatClass("stable-diffusion-v3.5-large", "SD35L"),
    CompatClass("stable-diffusion-v3.5-medium", "SD35m"),
    CompatClass("flux-1", "Flux", loras_target_text_encoder=False),
    CompatClass("flux-2", "Flux2", loras_target_text_encoder=False),
    CompatClass("flux-2-klein-4b", "Klein4", loras_target_text_encoder=False),
    CompatClass("flux-2-klein-9b", "Klein9", loras_target_text_encoder=False),
    CompatClass("chroma", "Chroma"),
    CompatClass("chroma-radiance", "ChrRad"),
    CompatClass("qwen-image", "Qwen", loras_target_text_encoder=False),
    CompatClass("z-image", "ZImg", loras_target_text_encoder=False),
    CompatClass("ovis", "Ovis", loras_target_text_encoder=False),
    CompatClass("anima", "Anima", loras_target_text_encoder=False),
    CompatClass("ernie-image", "Ernie", loras_target_text_encoder=False),
    CompatClass("wan-21-1_3b", "Wan1B", loras_target_text_encoder=False, makes_video=True),
    CompatClass("wan-21-14b", "Wan14B", loras_target_text_encoder=False, makes_video=True),
    CompatClass("wan-22-5b", "Wan5B", loras_target_text_encoder=False, makes_video=True),
)

_CLASSES = (
    ModelClass("stable-diffusion-v1", "Stable Diffusion v1", "stable-diffusion-v1", 512, 512),
    ModelClass("stable-diffusion-v1-inpainting", "Stable Diffusion v1 (Inpainting)", "stable-diffusion-v1", 512, 512),
    ModelClass("stable-diffusion-v2-512", "Stable Diffusion v2-512", "stable-diffusion-v2", 512, 512),
    ModelClass("stable-diffusion-v2-768-v", "Stable Diffusion v2-768v", "stable-diffusion-v2", 768, 768),
    ModelClass("stable-diffusion-v2-inpainting", "Stable Diffusion v2 (Inpainting)", "stable-diffusion-v2", 512, 512),
    ModelClass("stable-diffusion-v2-turbo", "Stable Diffusion v2 Turbo", "stable-diffusion-v2-turbo", 512, 512),
    ModelClass("stable-diffusion-xl-v1-base", "Stable Diffusion XL 1.0-Base", "stable-diffusion-xl-v1", 1024, 1024),
    ModelClass("segmind-stable-diffusion-1b", "Segmind Stable Diffusion 1B", "segmind-stable-diffusion-1b", 1024, 1024),
    ModelClass(
        "stable-video-diffusion-img2vid-v0_9",
        "Stable Video Diffusion Img2Vid 0.9",
        "stable-video-diffusion-img2vid-v1",
        1024,
        576,
    ),
    ModelClass("stable-diffusion-v3-medium", "Stable Diffusion 3 Medium", "stable-diffusion-v3-medium", 1024, 1024),
    ModelClass("stable-diffusion-v3.5-large", "Stable Diffusion 3.5 Large", "stable-diffusion-v3.5-large", 1024, 1024),
    ModelClass(
        "stable-diffusion-v3.5-medium", "Stable Diffusion 3.5 Medium", "stable-diffusion-v3.5-medium", 1024, 1024
    ),
    ModelClass("Flux.1-dev", "Flux.1 Dev", "flux-1", 1024, 1024),
    ModelClass("Flux.1-schnell", "Flux.1 Schnell", "flux-1", 1024, 1024),
    ModelClass("Flux.1-dev/kontext", "Flux.1 Kontext Dev", "flux-1", 1024, 1024),
    ModelClass("Flux.1-dev/inpaint", "Flux.1 Fill/Inpaint", "flux-1", 1024, 1024),
    ModelClass("Flux.1-dev/depth", "Flux.1 Depth", "flux-1", 1024, 1024),
    ModelClass("Flux.1-dev/canny", "Flux.1 Canny", "flux-1", 1024, 1024),
    ModelClass("flux.2-dev", "Flux.2 Dev", "flux-2", 1024, 1024),
    ModelClass("flux.2-klein-4b", "Flux.2 Klein 4B", "flux-2-klein-4b", 1024, 1024),
    ModelClass("flux.2-klein-9b", "Flux.2 Klein 9B", "flux-2-klein-9b", 1024, 1024),
    ModelClass("chroma", "Chroma", "chroma", 1024, 1024),
    ModelClass("chroma-radiance", "Chroma Radiance", "chroma-radiance", 1024, 1024),
    ModelClass("qwen-image", "Qwen Image", "qwen-image", 1328, 1328),
    ModelClass("qwen-image-edit", "Qwen Image Edit", "qwen-image", 1024, 1024),
    ModelClass("qwen-image-edit-plus", "Qwen Image Edit Plus", "qwen-image", 1024, 1024),
    ModelClass("z-image", "Z-Image", "z-image", 1024, 1024),
    ModelClass("ovis", "Ovis Image", "ovis", 1024, 1024),
    ModelClass("anima", "Anima", "anima", 1024, 1024),
    ModelClass("ernie-image", "ERNIE-Image", "ernie-image", 1024, 1024),
    ModelClass("wan-2_1-text2video-1_3b", "Wan 2.1 Text2Video 1.3B", "wan-21-1_3b", 640, 640),
    ModelClass("wan-2_1-image2video-1_3b", "Wan 2.1 Image2Video 1.3B", "wan-21-1_3b", 640, 640),
    ModelClass("wan-2_1-vace-1_3b", "Wan 2.1 Vace 1.3B", "wan-21-1_3b", 960, 960),
    ModelClass("wan-2_1-text2video-14b", "Wan 2.1 Text2Video 14B", "wan-21-14b", 960, 960),
    ModelClass("wan-2_1-image2video-14b", "Wan 2.1 Image2Video 14B", "wan-21-14b", 640, 640),
    ModelClass("wan-2_1-flf2v-14b", "Wan 2.1 First/LastFrame2Video 14B", "wan-21-14b", 960, 960),
    ModelClass("wan-2_1-vace-14b", "Wan 2.1 Vace 14B", "wan-21-14b", 960, 960),
    ModelClass("wan-2_2-image2video-14b", "Wan 2.2 Image2Video 14B", "wan-21-14b", 960, 960),
    ModelClass("wan-2_2-ti2v-5b", "Wan 2.2 Text/Image2Video 5B", "wan-22-5b", 960, 960),
)

_LORA_BASES = (
    "stable-diffusion-v1", "stable-diffusion-v2-768-v", "stable-diffusion-xl-v1-base", "stable-diffusion-v3-medium",
    "stable-diffusion-v3.5-large", "stable-diffusion-v3.5-medium", "Flux.1-dev", "flux.2-dev", "flux.2-klein-4b",
    "flux.2-klein-9b", "chroma", "qwen-image", "z-image", "ovis", "anima", "ernie-image", "wan-2_1-text2video-1_3b",
    "wan-2_1-text2video-14b", "wan-2_2-ti2v-5b",
)  # fmt: skip


def _side_class(base: ModelClass, ending: str, name: str) -> ModelClass:
    return base._replace(id=f"{base.id}/{ending}", name=f"{base.name} {name}")


def _all_classes() -> dict[str, ModelClass]:
    classes = {one.id: one for one in _CLASSES}
    loras = [_side_class(classes[id], "lora", "LoRA") for id in _LORA_BASES]
    embeddings = [
        _side_class(classes[id], "textual-inversion", "Embedding")
        for id in ("stable-diffusion-v1", "stable-diffusion-v2-768-v", "stable-diffusion-xl-v1-base")
    ]
    controls = [
        _side_class(classes[id], "controlnet", "ControlNet")
        for id in ("stable-diffusion-v1", "stable-diffusion-xl-v1-base", "Flux.1-dev")
    ]
    return classes | {one.id: one for one in (*loras, *embeddings, *controls)}


CLASSES: dict[str, ModelClass] = _all_classes()
COMPAT_CLASSES: dict[str, CompatClass] = {one.id: one for one in _COMPAT}

_BY_PRESET: dict[str, str] = {
    "SD1": "stable-diffusion-v1",
    "SD1-LCM": "stable-diffusion-v1",
    "SD1-Inpaint": "stable-diffusion-v1-inpainting",
    "SD1-Pix2Pix": "stable-diffusion-v1",
    "SD1-Tiny": "stable-diffusion-v1",
    "SDXS-512": "stable-diffusion-v1",
    "SDXS-09": "stable-diffusion-v2-512",
    "SD2": "stable-diffusion-v2-768-v",
    "SD2-Base": "stable-diffusion-v2-512",
    "SD-Turbo": "stable-diffusion-v2-turbo",
    "SD2-Inpaint": "stable-diffusion-v2-inpainting",
    "SD2-Tiny": "stable-diffusion-v2-512",
    "SDXL": "stable-diffusion-xl-v1-base",
    "SDXL-Turbo": "stable-diffusion-xl-v1-base",
    "SDXL-Lightning": "stable-diffusion-xl-v1-base",
    "SDXL-LCM": "stable-diffusion-xl-v1-base",
    "SDXL-Inpaint": "stable-diffusion-xl-v1-base",
    "SDXL-Pix2Pix": "stable-diffusion-xl-v1-base",
    "SSD-1B": "segmind-stable-diffusion-1b",
    "Vega": "stable-diffusion-xl-v1-base",
    "SVD": "stable-video-diffusion-img2vid-v0_9",
    "SD3": "stable-diffusion-v3-medium",
    "SD3.5-Medium": "stable-diffusion-v3.5-medium",
    "SD3.5-Large": "stable-diffusion-v3.5-large",
    "SD3.5-Large-Turbo": "stable-diffusion-v3.5-large",
    "Flux": "Flux.1-dev",
    "Flux-Schnell": "Flux.1-schnell",
    "Flux-Kontext": "Flux.1-dev/kontext",
    "Flux-Fill": "Flux.1-dev/inpaint",
    "Flex.1": "Flux.1-dev",
    "Flex.2": "Flux.1-dev",
    "Flux.2": "flux.2-dev",
    "Chroma": "chroma",
    "Chroma-Flash": "chroma",
    "Chroma-Radiance": "chroma-radiance",
    "Z-Image-Turbo": "z-image",
    "Z-Image": "z-image",
    "Qwen-Image": "qwen-image",
    "Qwen-Image-Lightning": "qwen-image",
    "Qwen-Image-Edit": "qwen-image-edit",
    "Qwen-Image-Edit-2511": "qwen-image-edit-plus",
    "Ovis-Image": "ovis",
    "Anima": "anima",
    "ERNIE-Image": "ernie-image",
    "ERNIE-Image-Turbo": "ernie-image",
    "Wan2.1-FLF2V": "wan-2_1-flf2v-14b",
    # Of the tensors of 2.1; SwarmUI tells them apart by nothing either.
    "Wan2.2-T2V-A14B": "wan-2_1-text2video-14b",
    "Wan2.2-I2V-A14B": "wan-2_2-image2video-14b",
    "Wan2.2-TI2V-5B": "wan-2_2-ti2v-5b",
}
_BY_SIZE: dict[str, tuple[int, str, str]] = {
    "Flux.2-Klein": (6_000_000_000, "flux.2-klein-4b", "flux.2-klein-9b"),
    "Flux.2-Klein-Base": (6_000_000_000, "flux.2-klein-4b", "flux.2-klein-9b"),
    "Wan2.1-T2V": (5_000_000_000, "wan-2_1-text2video-1_3b", "wan-2_1-text2video-14b"),
    "Wan2.1-I2V": (5_000_000_000, "wan-2_1-image2video-1_3b", "wan-2_1-image2video-14b"),
    "Wan2.1-VACE": (5_000_000_000, "wan-2_1-vace-1_3b", "wan-2_1-vace-14b"),
}
"""Presets of two sizes: the parameters from which on it is the larger one, and the ids of both."""

_BY_LOWERED: dict[str, str] = {id.lower(): id for id in CLASSES} | {
    "flux-1-dev": "Flux.1-dev",
    "flux-1-schnell": "Flux.1-schnell",
    "flux-1-dev/lora": "Flux.1-dev/lora",
    "flux-1/lora": "Flux.1-dev/lora",
    "stable-diffusion-xl-v1-base/lora": "stable-diffusion-xl-v1-base/lora",
    "stable-diffusion-v3-m": "stable-diffusion-v3-medium",
    "stable-diffusion-3-medium": "stable-diffusion-v3-medium",
    "stable-diffusion-3-medium/lora": "stable-diffusion-v3-medium/lora",
}
"""What headers call their architecture, in lower case."""

_BY_TRAINING_BASE: dict[str, str] = {
    "sd_v1": "stable-diffusion-v1/lora",
    "sd_v2": "stable-diffusion-v2-768-v/lora",
    "sd_v2_v": "stable-diffusion-v2-768-v/lora",
    "sdxl_base_v0-9": "stable-diffusion-xl-v1-base/lora",
    "sdxl_base_v1-0": "stable-diffusion-xl-v1-base/lora",
    "sd3": "stable-diffusion-v3-medium/lora",
    "sd3m": "stable-diffusion-v3-medium/lora",
    "flux1": "Flux.1-dev/lora",
}
"""What a trainer notes of the model that a LoRA was trained on (``ss_base_model_version``)."""


def class_of(card: ModelCard) -> ModelClass | None:
    """The class of a model; ``None`` where neither its tensors nor its notes tell one that SwarmUI has."""
    header = card.header
    if header is not None and header.preset is not None:
        found = _by_preset(header.preset, header.parameter_count, card.file.name)
        return CLASSES[found]
    declared = _BY_LOWERED.get(card.notes.get("architecture", "").lower())
    if declared is None and card.file.type == "lora":
        declared = _BY_TRAINING_BASE.get(card.notes.get("ss_base_model_version", "").lower())
    return CLASSES[declared] if declared is not None else None


def _by_preset(preset: str, parameter_count: int, name: str) -> str:
    if preset == "Flux-Control":
        return "Flux.1-dev/depth" if "depth" in name.lower() else "Flux.1-dev/canny"
    if preset in _BY_SIZE:
        bound, small, large = _BY_SIZE[preset]
        return large if parameter_count >= bound else small
    return _BY_PRESET[preset]


def describe_classes() -> dict[str, Any]:
    """``model_classes`` of ListT2IParams, by id."""
    return {
        one.id: {
            "id": one.id,
            "name": one.name,
            "compat_class": one.compat,
            "standard_width": one.width,
            "standard_height": one.height,
        }
        for one in CLASSES.values()
    }


def describe_compat_classes() -> dict[str, Any]:
    """``model_compat_classes`` of ListT2IParams, by id."""
    return {
        one.id: {
            "id": one.id,
            "short_code": one.short_code,
            "loras_target_text_enc": one.loras_target_text_encoder,
            "is_text2video": one.makes_video and not one.needs_image,
            "is_image2video": one.makes_video,
            "is_audio_model": False,
            "has_joint_av_latents": False,
            "resolution_precision": 16,
            "vae_family": None,
        }
        for one in COMPAT_CLASSES.values()
    }
