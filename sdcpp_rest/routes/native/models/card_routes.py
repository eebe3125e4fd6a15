"""What model files are, for people, over HTTP: their cards and their previews."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Literal
from urllib.parse import quote

from flask import Blueprint, Response, request
from pydantic import Field

from sdcpp_rest.core.catalog import ModelFile, ModelType
from sdcpp_rest.core.download_source import check_address
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import InvalidRequest, NotFound
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.links import url_path
from sdcpp_rest.routes.http.mirrored_fields import mirror
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking, drawing
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Number, Text, Wire, optional, read_query, validate
from sdcpp_rest.routes.native.wire.model_wire import ModelPath
from sdcpp_rest.services.models.card_description import describe_card
from sdcpp_rest.services.models.files_beside import BesideFile
from sdcpp_rest.services.models.model_cards import ModelCard
from sdcpp_rest.services.pictures.input_images import decode_base64
from sdcpp_rest.services.pictures.outputs import version_of
from sdcpp_rest.services.pictures.small_pictures import shrink_file, shrink_picture
from sdcpp_rest.services.pictures.thumbnails import Shape, thumbnail

model_cards = Blueprint("model_cards", __name__)

_SIDE: Literal[512] = 512


class CardPreviewQuery(Wire):
    v: Text = Field(
        "", description="The version that is meant, as the card's `preview` tells it: that answer may be kept for ever."
    )


class CardRecommended(Wire):
    """Settings that suit the model, for people to choose; nothing is drawn with them by itself."""

    steps: Integer = mirror(ImageParams, "steps", "Sampling steps.", default=None)
    cfg_scale: Number = mirror(ImageParams, "cfg_scale", "How closely the prompt is followed.", default=None)
    sampler: Text = mirror(ImageParams, "sampler", "Sampler.", default=None, max_length=100)
    scheduler: Text = mirror(ImageParams, "scheduler", "Scheduler.", default=None, max_length=100)
    width: Integer = mirror(ImageParams, "width", "Pixels.", default=None)
    height: Integer = mirror(ImageParams, "height", "Pixels.", default=None)
    clip_skip: Integer = mirror(ImageParams, "clip_skip", "Layers of CLIP that are left out.", default=None)
    lora_weight: Number = optional("Weight of a LoRA.", ge=-10, le=10)
    negative_prompt: Text = optional("What is not to be in the picture.", max_length=5_000)
    hint: Text = optional("How to use it, in words.", max_length=5_000)


class CardBody(Wire):
    """What is to be said of the model. What is not given stays; what is empty is taken out of our sidecar, so that what
    others say shows again."""

    title: Text = optional("What people call it.", max_length=500)
    description: Text = optional("What it is.", max_length=20_000)
    base_model: Text = optional("Which models it goes with.", max_length=500, examples=["SDXL 1.0"])
    trigger_words: list[Text] = optional("Words that make it show; also split at commas.", max_length=100)
    tags: list[Text] = optional("Words to find it by.", max_length=100)
    source_url: Text = optional("Where it is from: http or https.", max_length=2_000)
    licence: Text = optional("Its licence.", max_length=500)
    nsfw: Flag = optional("Whether it draws what is not for everybody.")
    author: Text = optional("Who made it.", max_length=500)
    version: Text = optional("Which version of it.", max_length=500)
    recommended: CardRecommended = optional("Settings that suit it; takes the place of all that were noted here.")


class CardPreviewBody(Wire):
    """One of the two."""

    output: Text = optional(
        "A picture or video below `/output/`.",
        min_length=1,
        max_length=2_000,
        examples=["550e8400-e29b-41d4-a716-446655440000/image_0.png"],
    )
    image: Text = optional("A picture, as base64 or as a data URL.", min_length=1)


class CardRecommendedShown(Answer):
    """Settings that suit it; only those that somebody tells."""

    steps: int = optional("Sampling steps.")
    cfg_scale: float = optional("How closely the prompt is followed.")
    sampler: str = optional("In the words of whoever wrote it.")
    scheduler: str = optional("In the words of whoever wrote it.")
    width: int = optional("Pixels.")
    height: int = optional("Pixels.")
    clip_skip: int = optional("Layers of CLIP that are left out.")
    lora_weight: float = optional("Weight of a LoRA.")
    negative_prompt: str = optional("What is not to be in the picture.")
    hint: str = optional("How to use it, in words.")


class CardShown(Answer):
    """What is said of a model, by whom. Texts are plain: markup is taken out. Empty where nobody says anything."""

    model_name: str
    model_type: ModelType
    title: str
    description: str
    base_model: str
    trigger_words: list[str]
    tags: list[str]
    preview: str | None = Field(description="Where a small picture is served; null where there is none.")
    source_url: str | None = Field(description="Only ever http or https.")
    licence: str
    nsfw: bool | None = Field(description="Null where nobody says so.")
    author: str
    version: str
    recommended: CardRecommendedShown
    sources: dict[str, str] = Field(
        description="Where each field is from: a file beside the model, `header`, or `file name`.",
        examples=[{"title": "style.json", "recommended.steps": "style.json", "base_model": "header"}],
    )
    warnings: list[str] = optional("What was ignored.")


class CardPreviewGone(Answer):
    success: Literal[True]
    message: str


@model_cards.get("/models/<model_type>/<path:model_name>/card")
@needs("read")
@documents({200: CardShown}, errors=(400, 404), path=ModelPath)
@blocking
def show_model_card(model_type: str, model_name: str) -> Response:
    """Tell what a model is: title, trigger words, licence and so on. From the files beside it, and from its header."""
    return answer(_card_shown(_find(model_type, model_name)))


@model_cards.put("/models/<model_type>/<path:model_name>/card")
@needs("models")
@documents({200: CardShown}, errors=(404, 409), body=CardBody, path=ModelPath)
@blocking
def write_model_card(model_type: str, model_name: str) -> Response:
    """Write what a model is into the sidecar beside it. All else in there stays, such as how the model is loaded."""
    file = _find(model_type, model_name)
    body, ignored = validate(CardBody, read_body())
    runtime().upkeep.cards.write_card(file, _fields_of(body))
    shown = _card_shown(file)
    return answer({**shown, "warnings": ignored} if ignored else shown)


@model_cards.post("/models/<model_type>/<path:model_name>/card/refresh")
@needs("models")
@documents({200: CardShown}, errors=(400, 403, 404, 409, 502, 504), path=ModelPath)
@blocking
def refresh_model_card(model_type: str, model_name: str) -> Response:
    """Ask CivitAI what a model is, by its sum, and keep the answer beside it. Off unless downloads.civitai_cards says
    so. Takes as long as reading the file, where its sum is not known."""
    file = _find(model_type, model_name)
    runtime().upkeep.card_refreshing.refresh(file)
    return answer(_card_shown(file))


@model_cards.get("/models/<model_type>/<path:model_name>/preview")
@needs("read")
@documents({200: "image/jpeg", 304: ()}, errors=(400, 404), path=ModelPath, query=CardPreviewQuery)
@drawing
def show_model_preview(model_type: str, model_name: str) -> Response:
    """Get the picture that lies beside a model, as a JPEG of at most 512x512 pixels."""
    file, wanted = _find(model_type, model_name), read_query(CardPreviewQuery).v
    preview, version = _preview_of(runtime().models.cards.card(file))
    if preview is None:
        raise NotFound(f"{file.name} has no preview")
    response = Response(status=304)
    if not request.if_none_match.contains(version):
        small = shrink_file(preview.path, preview.size_bytes, preview.mtime_ns, _SIDE)
        if small is None:
            raise NotFound(f"The preview of {file.name} cannot be drawn")
        response = Response(small, mimetype="image/jpeg", headers={"X-Content-Type-Options": "nosniff"})
    is_meant = wanted == version
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable" if is_meant else "private, no-cache"
    response.set_etag(version)
    return response


@model_cards.put("/models/<model_type>/<path:model_name>/preview")
@needs("models")
@documents({200: CardShown}, errors=(404,), body=CardPreviewBody, path=ModelPath)
@drawing
def write_model_preview(model_type: str, model_name: str) -> Response:
    """Put a picture beside a model. An output, the first frame of a video, or a picture that is sent, made small."""
    file = _find(model_type, model_name)
    body, ignored = validate(CardPreviewBody, read_body())
    runtime().upkeep.cards.check_writable(file)
    runtime().upkeep.cards.write_preview(file, _picture_of(body))
    shown = _card_shown(file)
    return answer({**shown, "warnings": ignored} if ignored else shown)


@model_cards.delete("/models/<model_type>/<path:model_name>/preview")
@needs("models")
@documents({200: CardPreviewGone}, errors=(400, 404), path=ModelPath)
@blocking
def delete_model_preview(model_type: str, model_name: str) -> Response:
    """Delete the pictures beside a model, all of them: another one would show instead."""
    file = _find(model_type, model_name)
    count = runtime().upkeep.cards.delete_previews(file)
    return answer({"success": True, "message": f"{count} picture(s) beside {file.name} are deleted"})


def _find(model_type: str, model_name: str) -> ModelFile:
    return runtime().models.library.find(model_type, model_name)


def _fields_of(body: CardBody) -> dict[str, Any]:
    fields = body.sent_fields()
    if fields.get("source_url"):
        fields["source_url"] = check_address(fields["source_url"], "source_url")
    for name in ("trigger_words", "tags"):
        for index, word in enumerate(fields.get(name) or ()):
            if not word.strip() or len(word) > 200:
                raise InvalidRequest(f"{name}[{index}] must have 1 to 200 characters", field=f"{name}[{index}]")
    return fields


def _picture_of(body: CardPreviewBody) -> bytes:
    sent = body.sent_fields()
    if len(sent) != 1:
        raise InvalidRequest("Give output or image, one of the two", field="output")
    if "image" in sent:
        return shrink_picture("image", decode_base64("image", sent["image"]), _SIDE)
    small = thumbnail(runtime().jobs.outputs.path_of(body.output.rstrip("/")), Shape(_SIDE, "inside"))
    if small.is_placeholder:
        raise InvalidRequest("output: that picture cannot be drawn", field="output", value=body.output[:200])
    return small.body


def _preview_of(card: ModelCard) -> tuple[BesideFile | None, str]:
    preview = card.preview
    if preview is None or not runtime().models.cards.may_read(card.file, preview.path):
        return None, ""
    return preview, version_of(preview.size_bytes, preview.mtime_ns)


def _card_shown(file: ModelFile) -> dict[str, Any]:
    cards = runtime().models.cards
    card = cards.card(file)
    preview, version = _preview_of(card)
    address = f"/models/{file.type}/{quote(file.name)}/preview?v={version}"
    return {
        "model_name": file.name,
        "model_type": file.type,
        **asdict(describe_card(card, cards)),
        "preview": url_path(address) if preview is not None else None,
    }
