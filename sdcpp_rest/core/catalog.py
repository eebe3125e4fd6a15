"""Defines the catalogue's words: model types, where each type lives, and what a model file and its sidecar say.

Pure values. It must not know where the folders are, nor read a file.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from pydantic import AliasChoices, ConfigDict, Field, ValidationError, field_validator

from sdcpp_rest.config.sections import TYPE_FOLDERS, ModelType
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.load_spec import Component, LoadOptions
from sdcpp_rest.core.params import ImageParams

__all__ = [
    "COMPONENT_TYPES",
    "EXTENSIONS",
    "INDEX_ENDING",
    "LIST_NAMES",
    "TYPE_FOLDERS",
    "ModelFile",
    "ModelType",
    "PartName",
    "RecommendedSides",
    "Sidecar",
    "part_name",
]

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

INDEX_ENDING = ".safetensors.index.json"
"""Of the file that says over which other files a model's tensors are spread."""

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
    "photo_maker": ("checkpoint", "diffusion", "lora", "embedding", "clip"),
}
"""Where a component is looked for, first choice first. ``photo_maker`` has no folder of its own: it may also be a path
below the models folder."""


class ModelFile(Frozen):
    """One model file of the catalogue.

    ``name`` is relative to its type folder, with ``/`` on every system; ``path`` and ``root`` (the type folder it was
    found in) are absolute. ``hash`` is the SHA-256 in hex where it has been computed.

    A model that is split over several files is one of these: ``parts`` are the absolute paths of all of them in order
    (empty for a whole file), ``name`` and ``path`` are the first one's, or the index's where the parts have no numbers;
    the size is their sum and the time the newest of theirs. ``is_extra``: it lies in another program's folder.
    """

    name: str
    type: ModelType
    path: str
    root: str
    size_bytes: int
    mtime_ns: int
    file_extension: str
    hash: str | None = None
    parts: tuple[str, ...] = ()
    is_extra: bool = False


class PartName(NamedTuple):
    """What the name of one file of a split model says; ``base`` is the name of the whole, ``number`` counts from 1 to
    ``total``."""

    base: str
    number: int
    total: int


_PART = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<extension>\.(?:gguf|safetensors))$", re.I)
_MAX_PARTS = 1_000


def part_name(name: str) -> PartName | None:
    """How ``name`` counts itself among the parts of a split model (``x-00002-of-00003.gguf``), or ``None``."""
    match = _PART.match(name)
    if match is None:
        return None
    number, count = int(match["number"]), int(match["count"])
    if not 1 <= number <= count <= _MAX_PARTS or count == 1:
        return None
    return PartName(match["stem"] + match["extension"], number, count)


class RecommendedSides(Frozen):
    """Picture sides in pixels within which a model draws well."""

    min_side: int = Field(default=64, ge=1)
    max_side: int = Field(ge=1)


class Sidecar(Frozen):
    """What ``<model>.json`` beside a model file may say about it. Keys of other programs are left alone.

    ``activation_text``: words that make a LoRA show. ``components`` maps a role to a file name; ``load_options`` and
    ``generation_defaults`` hold fields of LoadOptions and ImageParams, used where a request is silent.
    """

    model_config = ConfigDict(extra="ignore")

    display_name: str = ""
    description: str = ""
    licence: str = ""
    components: dict[Component, str] = Field(default_factory=dict)
    load_options: dict[str, Any] = Field(default_factory=dict)
    generation_defaults: dict[str, Any] = Field(default_factory=dict)
    recommended_sides: RecommendedSides | None = None
    activation_text: str = Field(default="", validation_alias=AliasChoices("activation_text", "activation text"))

    @field_validator("activation_text", mode="before")
    @classmethod
    def _is_text(cls, given: Any) -> Any:
        # Another program's key: what it says wrong must not cost the rest of the sidecar.
        return given if isinstance(given, str) else ""

    @field_validator("load_options")
    @classmethod
    def _are_load_options(cls, given: dict[str, Any]) -> dict[str, Any]:
        # The one option that a sidecar may leave to the server.
        _check(LoadOptions, {k: v for k, v in given.items() if (k, v) != ("keep_clip_on_cpu", "auto")})
        return given

    @field_validator("generation_defaults")
    @classmethod
    def _are_generation_fields(cls, given: dict[str, Any]) -> dict[str, Any]:
        own = {"prompt", "original_prompt", "original_negative_prompt", "seed", "loras"} & given.keys()
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
