"""What SwarmUI's calls about models answer with. Knows no request."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import Wire


class SwarmModel(BaseModel):
    """A model file. All keys are always there."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    name: str = Field(description="Relative to its type's folder, with / and its ending.")
    title: str
    author: str | None
    description: str
    preview_image: str = Field(description="An address, or a data URL if dataImages.")
    loaded: bool
    architecture: str | None = Field(description="The id of its class.")
    kind: str | None = Field(alias="class", description="The name of its class.")
    compat_class: str | None
    resolution: str
    standard_width: int
    standard_height: int
    license: str | None
    date: str | None
    prediction_type: str | None
    usage_hint: str | None
    trigger_phrase: str
    merged_from: str | None
    tags: list[str] | None
    is_supported_model_format: bool
    is_negative_embedding: bool
    lora_default_weight: str
    lora_default_confinement: str
    local: bool
    time_created: int = Field(description="Milliseconds since 1970; when the file was written last.")
    time_modified: int
    hash: str = Field(description="0x and the file's SHA-256; empty while it is not known.")
    hash_sha256: str
    special_format: str = Field(description="gguf, or empty.")


class SwarmModelList(Answer):
    """Models of one type below a folder."""

    folders: list[str]
    files: list[SwarmModel]


class SwarmWildcardListed(BaseModel):
    """A wildcard in a list."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="With /, and without its ending.")
    raw: str = Field(description="The beginning of its text.")
    image: str


class SwarmWildcardList(Answer):
    """Wildcards below a folder."""

    folders: list[str]
    files: list[SwarmWildcardListed]


class SwarmWildcard(Answer):
    """A wildcard."""

    name: str
    options: list[str] = Field(description="Its entries, without comments and blank lines.")
    raw: str = Field(description="Its text.")
    image: str


class SwarmModels(Answer):
    """Models."""

    models: list[SwarmModel]


class SwarmDescribed(Answer):
    """One model."""

    model: SwarmModel


class SwarmHash(Answer):
    """A model's sum."""

    hash: str = Field(description="0x and the SHA-256 of the whole file.")


class SwarmPreviewPath(Wire):
    path: str = Field(
        description="A type of models (or Preset), and a name.", examples=["Stable-Diffusion/model.safetensors"]
    )
