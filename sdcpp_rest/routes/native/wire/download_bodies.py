"""The body of `POST /models/download`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from sdcpp_rest.core.download_source import MAX_ADDRESS_CHARACTERS
from sdcpp_rest.routes.http.wire_models import Flag, Text, Wire, optional


class DownloadBody(Wire):
    """What to download, and where to. One of `url`, `model_id` and `repo_id` says from where."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model_type": "checkpoint", "url": "https://huggingface.co/stabilityai/sd-turbo/blob/main/sd_turbo.safetensors"},
                {"model_type": "lora", "model_id": "123456:789012"},
            ]
        }
    )  # fmt: skip

    carried: ClassVar[frozenset[str]] = frozenset({"version_id", "licence", "size_bytes", "sha256", "hash_job_id"})

    model_type: Text = Field(description="The model type whose folder it goes to.", examples=["checkpoint"])
    source: Literal["url", "civitai", "huggingface"] = optional("Where from; found out where it is left out.")
    url: Text = Field(
        "",
        max_length=MAX_ADDRESS_CHARACTERS,
        description="An address: of the file, or of a page at Hugging Face or CivitAI.",
    )
    model_id: Text = Field(
        "",
        max_length=200,
        description="CivitAI: a model's number, also with a version's (123456:789012).",
        examples=["123456"],
    )
    repo_id: Text = Field(
        "", max_length=300, description="Hugging Face: the repository.", examples=["stabilityai/sd-turbo"]
    )
    filename: Text = Field(
        "",
        max_length=1000,
        description="Hugging Face: the file's path in the repository. CivitAI: which of the version's files. Others: "
        "what to call the file. Left out: the only one, or the main one.",
        examples=["sd_turbo.safetensors"],
    )
    revision: Text = Field("", max_length=200, description="Hugging Face: branch, tag or commit. Default: main.")
    subfolder: Text = Field("", max_length=400, description="Folder below that of the type; made when it is missing.")
    name: Text = Field("", max_length=200, description="What to call the file. Left out: what its source calls it.")
    overwrite: Flag = Field(False, description="Replace a file that has this name.")
    title: Text = Field("", max_length=200, description="A name for lists; found by their search.")
