"""How a model file looks in answers, for every view that shows one."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from sdcpp_rest.core.catalog import ModelFile, ModelType
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import optional


class ModelShown(Answer):
    """A model file."""

    name: str = Field(description="Relative to the folder of its type.", examples=["SD1x/some_model.safetensors"])
    type: ModelType
    file_extension: str = Field(examples=[".safetensors"])
    size_bytes: int
    hash: str | None = Field(description="SHA-256 in hex, once `GET /models/hash/...` has computed it.")
    is_loaded: bool = optional("Whether the engine holds it; told of checkpoints and diffusion models.")
    parts: int = optional("How many files it is split into; told of split models, which are shown as one.")
    extra_folder: str = optional("The folder of the setting paths.extra_model_dirs that it lies in; it is only read.")


def model_object(file: ModelFile, sha256: str | None, resident: LoadSpec | None) -> dict[str, Any]:
    """``file`` in the shape of `ModelShown`."""
    shown: dict[str, Any] = {
        "name": file.name,
        "type": file.type,
        "file_extension": file.file_extension,
        "size_bytes": file.size_bytes,
        "hash": sha256,
    }
    if file.type in ("checkpoint", "diffusion"):
        shown["is_loaded"] = resident is not None and resident.model.path == file.path
    if file.parts:
        shown["parts"] = len(file.parts)
    if file.is_extra:
        shown["extra_folder"] = file.root
    return shown


class ModelNotThere(SdcppRestError):
    """The native API answers 500 where a load names a file that does not exist; clients match its text."""

    code = "model_not_found"
    status = 500
