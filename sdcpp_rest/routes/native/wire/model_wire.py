"""How a model file looks in answers, for every view that shows one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic import Field

from sdcpp_rest.core.catalog import ModelFile, ModelType
from sdcpp_rest.core.load_spec import LoadSpec, ModelKind
from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import Wire, optional
from sdcpp_rest.services.models.hashing import ModelHashes
from sdcpp_rest.services.models.model_library import ModelLibrary


class ModelPath(Wire):
    model_type: str = Field(description="A model type.", examples=["diffusion"])
    model_name: str = Field(
        description="A name of `GET /models`; its slashes may be encoded.", examples=["demo_dit_q8_0.gguf"]
    )


class ModelShown(Answer):
    """A model file."""

    name: str = Field(description="Relative to the folder of its type.", examples=["SD1x/some_model.safetensors"])
    type: ModelType
    file_extension: str = Field(examples=[".safetensors"])
    size_bytes: int
    hash: str | None = Field(description="SHA-256 in hex, once `GET /models/hash/...` has computed it.")
    is_loaded: bool = optional(
        "Whether it is the current model of the home engine; told of checkpoints and diffusion models."
    )
    kept_by: list[str] = optional("Names of the engines that hold it; told of checkpoints and diffusion models.")
    parts: int = optional("How many files it is split into; told of split models, which are shown as one.")
    extra_folder: str = optional("The folder of the setting paths.extra_model_dirs that it lies in; it is only read.")


def model_object(
    file: ModelFile, sha256: str | None, resident: LoadSpec | None, kept_by: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """``file`` in the shape of `ModelShown`; ``kept_by``: names of engines by the path of what they hold."""
    shown: dict[str, Any] = {
        "name": file.name,
        "type": file.type,
        "file_extension": file.file_extension,
        "size_bytes": file.size_bytes,
        "hash": sha256,
    }
    if file.type in ("checkpoint", "diffusion"):
        shown["is_loaded"] = resident is not None and resident.model.path == file.path
        shown["kept_by"] = list(kept_by.get(file.path, ()))
    if file.parts:
        shown["parts"] = len(file.parts)
    if file.is_extra:
        shown["extra_folder"] = file.root
    return shown


class SidesShown(Answer):
    """Sides of pictures in pixels."""

    min_side: int
    max_side: int


class ModelNotThere(SdcppRestError):
    """The native API answers 500 where a load names a file that does not exist; clients match its text."""

    code = "model_not_found"
    status = 500


class ModelsShown(Answer):
    """All model files, a list per type."""

    checkpoints: list[ModelShown]
    diffusion_models: list[ModelShown]
    vae: list[ModelShown]
    loras: list[ModelShown]
    clip: list[ModelShown]
    t5: list[ModelShown]
    controlnets: list[ModelShown]
    llm: list[ModelShown]
    esrgan: list[ModelShown]
    taesd: list[ModelShown]
    embeddings: list[ModelShown]
    loaded_model: str | None = Field(description="Name of the model that the engine holds.")
    loaded_model_type: ModelKind | None
    applied_filters: dict[str, str] = optional("The filters that were given.")


def model_lists(
    library: ModelLibrary,
    hashes: ModelHashes,
    resident: LoadSpec | None,
    kept_by: Mapping[str, Sequence[str]],
    applied: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """In the shape of `ModelsShown`, without filters' names; ``applied`` are those of `GET /models`."""
    found = library.list(
        type=applied.get("type"),
        extension=applied.get("extension"),
        search=applied.get("search") or applied.get("name"),
    )
    sums = hashes.known_sums()
    shown: dict[str, Any] = {
        name: [
            model_object(file, sums.get(file.path, file.size_bytes, file.mtime_ns), resident, kept_by) for file in files
        ]
        for name, files in found.items()
    }
    shown["loaded_model"] = resident.model.name if resident else None
    shown["loaded_model_type"] = resident.kind if resident else None
    return shown
