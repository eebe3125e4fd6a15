"""The words of the model catalogue: model types, where each type lives, and what a model file and its sidecar say.

Pure values. It must not know where the folders are, nor read a file.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator

from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.load_spec import Component, LoadOptions
from sdcpp_rest.core.params import ImageParams

ModelType = Literal[
    "checkpoint", "diffusion", "vae", "lora", "clip", "t5", "controlnet", "llm", "esrgan", "taesd", "embedding",
]  # fmt: skip

LIST_NAMES: dict[ModelType, str] = {
    "checkpoint": "checkpoints",
    "diffusion": "diffusion_models",
    "vae": "vae",
    "lora": "loras",
    "clip": "clip",
    "t5": "t5",
    "controlnet": "controlnets",
    "llm": "llm",
    "esrgan": "esrgan",
    "taesd": "taesd",
    "embedding": "embeddings",
}
"""The name of each type's list in the answer of ``GET /models``, in the order of that answer."""

TYPE_FOLDERS: dict[ModelType, str] = {
    **LIST_NAMES,
    "controlnet": "controlnet",
}
"""Default folder of each type below a model root."""

EXTENSIONS: frozenset[str] = frozenset({".gguf", ".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin"})

COMPONENT_TYPES: dict[Component, tuple[ModelType, ...]] = {
    "vae": ("vae",),
    "clip_l": ("clip",),
    "clip_g": ("clip",),
    "clip_vision": ("clip",),
    "t5xxl": ("t5", "clip"),
    "controlnet": ("controlnet",),
    "llm": ("llm", "clip"),
    "llm_vision": ("llm", "clip"),
    "taesd": ("taesd",),
    "high_noise_diffusion_model": ("diffusion",),
}
"""Where a component is looked for, first choice first. Not listed: ``photo_maker``, which is not supported yet."""


class ModelFile(Frozen):
    """One model file of the catalogue.

    ``name`` is relative to its type folder, with ``/`` on every system; ``path`` and ``root`` (the type folder it was
    found in) are absolute. ``hash`` is the SHA-256 in hex where it has been computed.
    """

    name: str
    type: ModelType
    path: str
    root: str
    size_bytes: int
    mtime_ns: int
    file_extension: str
    hash: str | None = None


class RecommendedSides(Frozen):
    """Picture sides in pixels within which a model draws well."""

    min_side: int = Field(default=64, ge=1)
    max_side: int = Field(ge=1)


class Sidecar(Frozen):
    """What ``<model>.json`` beside a model file may say about it. Keys of other programs are left alone.

    ``components`` maps a role to a file name; ``load_options`` and ``generation_defaults`` hold fields of LoadOptions
    and ImageParams, used where a request is silent.
    """

    model_config = ConfigDict(extra="ignore")

    display_name: str = ""
    description: str = ""
    licence: str = ""
    components: dict[Component, str] = Field(default_factory=dict)
    load_options: dict[str, Any] = Field(default_factory=dict)
    generation_defaults: dict[str, Any] = Field(default_factory=dict)
    recommended_sides: RecommendedSides | None = None

    @field_validator("load_options")
    @classmethod
    def _are_load_options(cls, given: dict[str, Any]) -> dict[str, Any]:
        _check(LoadOptions, given)
        return given

    @field_validator("generation_defaults")
    @classmethod
    def _are_generation_fields(cls, given: dict[str, Any]) -> dict[str, Any]:
        own = {"prompt", "seed", "loras"} & given.keys()
        if own:
            raise ValueError(f"{', '.join(sorted(own))} cannot have a default")
        _check(ImageParams, {"prompt": "", **given})
        return given


def _check(model: type[Frozen], given: dict[str, Any]) -> None:
    try:
        model.model_validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
