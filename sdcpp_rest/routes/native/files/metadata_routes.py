"""Settings that pictures and videos tell over HTTP, whichever tool has drawn them. What a file says is read by the
metadata service, and so is what of it can be used here.
"""

from __future__ import annotations

import io
from typing import Any, Literal

from flask import Blueprint, Response, request
from pydantic import ConfigDict, Field

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.multipart import FormFile, parts_of
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import transfer
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Wire, optional
from sdcpp_rest.services.pictures.metadata.found_settings import Kind, Tool
from sdcpp_rest.services.submission.picture_metadata import ToldSettings

metadata = Blueprint("metadata", __name__)

How = Literal["hash", "name"]


class PictureFileForm(Wire):
    """The file."""

    file: str = Field(
        description="A PNG, JPEG, WebP, AVIF, MP4 or WebM file of at most 64 MiB. The field may have any name.",
        json_schema_extra={"format": "binary"},
    )


class LoraTold(Answer):
    """A LoRA as the file names it."""

    name: str
    weight: float
    hash: str = optional("In hex, where the file tells one.")


class ModelTold(Answer):
    """A model as the file names it."""

    name: str = Field(description="Empty where the file tells the hash alone.")
    hash: str = Field(description="In hex; empty where the file tells none.")


class SettingsTold(Answer):
    """What the file tells, by the names and with the types of the bodies of `POST /txt2img`, `POST /img2img` and
    `POST /txt2vid`. A name that is missing was not told."""

    model_config = ConfigDict(extra="allow")

    prompt: str = optional("Without tags of LoRAs: those are in `loras`.")
    negative_prompt: str = optional("What it must not show.")
    steps: int = optional("Sampling steps.")
    sampler: str = optional("By the name it has here.")
    scheduler: str = optional("By the name it has here.")
    cfg_scale: float = optional("How closely the prompt was followed.")
    distilled_guidance: float = optional("Guidance of distilled models.")
    seed: int = optional("Of this picture.")
    width: int = optional("In pixels, before any hires fix.")
    height: int = optional("In pixels, before any hires fix.")
    clip_skip: int = optional("CLIP layers left out at the end.")
    strength: float = optional("How much of a picture was drawn anew.")
    loras: list[LoraTold] = optional("In their order.")
    vae: str = optional("As the file names it.")
    model: ModelTold = optional("As the file names it.")


class LoraMatch(Answer):
    """Which file here a LoRA is."""

    wanted: str = Field(description="As the file names it.")
    found: str | None = Field(description="As `GET /models` names it; `null`: it is not here.")
    how: How | None


class FilesMatched(Answer):
    """Which files here are meant. By the hash where it is known here, else by the name."""

    model: str | None = Field(description="As `GET /models` names it; `null`: it is not here, or is not told.")
    how: How | None
    loras: list[LoraMatch]
    vae: str | None
    vae_how: How | None


class SubmitTold(Answer):
    """What draws the same again with the model that is selected, as far as the file tells it."""

    kind: Kind = Field(description="Post the body to the route of this name.")
    body: dict[str, Any]
    needs: list[str] = Field(description="Fields of the body that no file tells: pictures to start from.")


class ReadSettings(Answer):
    """What a file says about how it was made."""

    tool: Tool = Field(description="Which tool wrote it.")
    format: Literal["png", "jpeg", "webp", "avif", "mp4", "webm"]
    fields: SettingsTold
    unmapped: dict[str, Any] = Field(
        description="What has no name here, and what is not allowed here, by the tool's names."
    )
    raw: dict[str, str] = Field(description="The texts of the file as they are, by their keys.")
    matches: FilesMatched
    submit: SubmitTold | None = Field(description="`null`: the file tells nothing to draw.")
    notes: list[str] = Field(description="What was replaced, left out or not read.")


@metadata.post("/metadata/read")
@needs("read")
@documents({200: ReadSettings}, errors=(400, 413), form=PictureFileForm)
@transfer
def read_metadata() -> Response:
    """Read the settings out of a picture or video of any tool. The file as it is, or in a form. A file that says
    nothing is of an `unknown` tool. Nothing is decoded or stored, and no model is looked into."""
    return answer(_show(runtime().metadata.read(_given_file())))


def _given_file() -> bytes:
    """The body, or the one file of a form."""
    if request.mimetype != "multipart/form-data":
        return request.get_data(cache=False)
    raw, files = io.BytesIO(request.get_data(cache=False)), []
    for part in parts_of(raw, request.headers.get("Content-Type", "")):
        if isinstance(part, FormFile):
            files.append(b"".join(part.chunks))
    if len(files) != 1:
        raise InvalidRequest(f"file must be there once in the form, got {len(files)} files", field="file")
    return files[0]


def _show(told: ToldSettings) -> dict[str, Any]:
    return {
        "tool": told.tool,
        "format": told.format,
        "fields": told.fields,
        "unmapped": told.unmapped,
        "raw": told.raw,
        "matches": {
            "model": told.model.name if told.model else None,
            "how": told.model.how if told.model else None,
            "loras": [
                {"wanted": lora.name, "found": match.name if match else None, "how": match.how if match else None}
                for lora, match in told.loras
            ],
            "vae": told.vae.name if told.vae else None,
            "vae_how": told.vae.how if told.vae else None,
        },
        "submit": {"kind": told.submit.kind, "body": told.submit.body, "needs": list(told.submit.needs)}
        if told.submit
        else None,
        "notes": told.notes,
    }
