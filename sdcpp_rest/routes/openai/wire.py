"""The wire models of OpenAI's images API, with what this server takes besides.

Types and words are told here; limits are those of the parameters. What depends on the model or the files is the
submission's business.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, JsonValue

from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.routes.http.mirrored_fields import mirror
from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Number, Text, Wire, optional

Quality = Literal["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"]
OutputFormat = Literal["png", "jpeg", "webp"]
ShownQuality = Literal["low", "medium", "high", "xhigh", "max"]

MAX_IMAGES = 16
MAX_LORAS = 64

_EXAMPLE: dict[str, JsonValue] = {
    "prompt": "a red circle on a blue background",
    "size": "64x64",
    "n": 1,
    "response_format": "b64_json",
    "steps": 12,
    "seed": 42,
}


class LoraWish(Wire):
    """A LoRA of `loras`."""

    name: Text = Field(description="As `GET /models?type=lora` names it.")
    weight: Number = Field(1.0, ge=-100, le=100, description="How much it counts.")


class SharedWishes(Wire):
    """What all three ways to a picture have in common."""

    model: Text = Field(
        "",
        max_length=1000,
        description="A model of this server, by any of its names; any other name means an alias of the configuration's "
        "`openai.model_aliases`, or the selected model.",
    )
    n: Integer = Field(1, ge=1, le=10, description="How many pictures; picture k has seed + k.")
    size: Text = Field(
        "auto", max_length=20, description="`WIDTHxHEIGHT` in pixels, or `auto`: the model's own.", examples=["64x64"]
    )
    response_format: Literal["url", "b64_json"] = optional(
        "How the pictures come. Left out: as the configuration's `openai.response_format` says, by default `b64_json` "
        "where `model` is one of OpenAI's gpt-image models, else `url`."
    )
    user: Text = optional("Ignored.")
    seed: Integer = mirror(
        ImageParams, "seed", "Beyond OpenAI's API. Of the first picture; -1: drawn anew.", default=-1
    )
    steps: Integer = mirror(
        ImageParams, "steps", "Beyond OpenAI's API. Sampling steps; left out: as `quality` says.", default=None
    )
    cfg_scale: Number = mirror(
        ImageParams,
        "cfg_scale",
        "Beyond OpenAI's API. How closely the prompt is followed; left out: the model's own.",
        default=None,
    )
    negative_prompt: Text = mirror(
        ImageParams, "negative_prompt", "Beyond OpenAI's API. What the picture must not show."
    )
    sampler: Text = optional("Beyond OpenAI's API. A sampler of `GET /options`, or another program's name for one.")
    scheduler: Text = optional("Beyond OpenAI's API. A scheduler of `GET /options`.")
    loras: list[Any] = Field(
        [],
        max_length=MAX_LORAS,
        description='Beyond OpenAI\'s API. LoRAs: `{"name": ..., "weight": 0.8}`, or `["name", 0.8]`.',
    )


class MadeWishes(SharedWishes):
    """What generations and edits have in common."""

    prompt: Text = mirror(
        ImageParams,
        "prompt",
        "What the picture shows. `<lora:name:weight>` applies a LoRA.",
        examples=["a red circle on a blue background"],
    )
    quality: Quality = Field(
        "auto", description="How many steps, where `steps` does not say: low half of the model's own, high and hd more."
    )
    output_format: OutputFormat = Field("png", description="The pictures' format.")
    output_compression: Integer = Field(
        100, ge=0, le=100, description="Quality of a JPEG or WebP; 100 is the best and the largest."
    )
    background: Literal["auto", "opaque", "transparent"] = Field(
        "auto", description="Pictures are opaque; `transparent` is ignored, with a warning."
    )
    stream: Flag = Field(False, description="Answer with server-sent events, picture by picture.")
    partial_images: Integer = Field(
        0,
        ge=0,
        le=3,
        description="With `stream`: how many previews of each picture come before it, if it takes long enough "
        "(engine.preview_share).",
    )


class GenerationWishes(MadeWishes):
    """What to draw."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    style: Text = optional("Ignored, with a warning: say it in the prompt.")
    moderation: Text = optional("Ignored.")


class EditWishes(MadeWishes):
    """What to make of which picture, as JSON."""

    image: list[Text] = Field(
        min_length=1,
        max_length=MAX_IMAGES,
        description="The picture to edit, base64 or a data URL; more than one for models that look at several. One may "
        "come bare, and `images` with an `image_url` each is understood too.",
    )
    mask: Text = optional(
        "What to draw anew: transparent is, opaque is kept. Without transparency: white is, black is kept."
    )
    strength: Number = mirror(
        ImageParams,
        "strength",
        "Beyond OpenAI's API. How much is drawn anew: 0 nothing, 1 everything. Left out: 1 with a mask, else the "
        "model's own.",
        default=None,
    )
    input_fidelity: Text = optional("Ignored, with a warning: `strength` says it.")


class VariationWishes(SharedWishes):
    """Of which picture to make variations, as JSON."""

    image: list[Text] = Field(min_length=1, max_length=1, description="The picture, base64 or a data URL.")
    prompt: Text = mirror(ImageParams, "prompt", "Beyond OpenAI's API. What the picture shows.", default="")
    strength: Number = mirror(ImageParams, "strength", "Beyond OpenAI's API. How much is drawn anew.", default=0.6)


class EditForm(MadeWishes):
    """What to make of which picture, as a form. All fields but the files are text."""

    image: str = Field(
        description="The picture to edit; also as `image[]`, which may be there up to 16 times.",
        json_schema_extra={"format": "binary"},
    )
    mask: str = optional(
        "What to draw anew: transparent is, opaque is kept. Without transparency: white is, black is kept.",
        json_schema_extra={"format": "binary"},
    )
    strength: Number = mirror(
        ImageParams, "strength", "Beyond OpenAI's API. How much is drawn anew: 0 nothing, 1 everything.", default=None
    )


class VariationForm(SharedWishes):
    """Of which picture to make variations, as a form."""

    image: str = Field(description="The picture.", json_schema_extra={"format": "binary"})
    prompt: Text = mirror(ImageParams, "prompt", "Beyond OpenAI's API. What the picture shows.", default="")
    strength: Number = mirror(ImageParams, "strength", "Beyond OpenAI's API. How much is drawn anew.", default=0.6)


# --- answers --------------------------------------------------------------------------------------------------------


class OpenAiModel(Answer):
    """A model."""

    id: str
    object: Literal["model"]
    created: int = Field(description="When its file was last changed, in seconds since 1970.")
    owned_by: str


class OpenAiModels(Answer):
    """All models and aliases, the selected one first."""

    object: Literal["list"]
    data: list[OpenAiModel]


class InputTokens(Answer):
    """What went in."""

    text_tokens: int
    image_tokens: int


class Usage(Answer):
    """How much was worked, in OpenAI's coin: four bytes of text are a token, and so are 16 x 16 pixels."""

    input_tokens: int
    input_tokens_details: InputTokens
    output_tokens: int
    output_tokens_details: InputTokens
    total_tokens: int


class MadePicture(Answer):
    """One picture."""

    b64_json: str = optional("The file, base64.")
    url: str = optional("Where the file is.")
    seed: int = Field(description="Beyond OpenAI's API. What it takes to draw it again.")


class MadePictures(Answer):
    """The pictures."""

    created: int = Field(description="In seconds since 1970.")
    data: list[MadePicture]
    background: Literal["opaque"]
    output_format: OutputFormat
    quality: ShownQuality
    size: str = Field(description="`WIDTHxHEIGHT`.")
    usage: Usage
    warnings: list[str] = optional("Beyond OpenAI's API. What was ignored, and what will not look right.")
