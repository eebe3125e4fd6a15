"""Arguments of the tools that agents call.

Every language model that is shown the tools reads all of these words again in each conversation: they are few. Limits
are not repeated in the schemas: a refusal tells them.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from sdcpp_rest.core.params import ImageParams, UpscaleParams, VideoParams
from sdcpp_rest.routes.http.mirrored_fields import mirror
from sdcpp_rest.routes.http.wire_models import Integer, Number, Text, Wire, optional

WAIT_SECONDS = 45
"""Less than the 60 seconds after which most clients give a tool up."""

MOST_LISTED = 50
_PICTURE = "job_id, job_id/file, sdcpp:// or http(s) URL, data URL or base64"


class Waiting(Wire):
    """How long a tool waits, and how it answers with pictures."""

    wait_seconds: Number = Field(WAIT_SECONDS, ge=0, le=600, description="0: do not wait")
    inline: Literal["auto", "none", "full"] = Field("auto", description="Pictures in the answer; auto: small")


class Drawing(Waiting):
    """What pictures and videos have in common."""

    prompt: Text = mirror(ImageParams, "prompt", "What to draw; <lora:name:0.8> applies a LoRA", min_length=1)
    negative_prompt: Text = mirror(ImageParams, "negative_prompt", "What to avoid")
    model: Text = optional("Of list_models; default: the selected one", min_length=1, max_length=1000)
    width: Integer = mirror(ImageParams, "width", "Pixels, multiple of 8", ge=1, default=None)
    height: Integer = mirror(ImageParams, "height", "Pixels", ge=1, default=None)
    steps: Integer = mirror(ImageParams, "steps", "Default: the model's", default=None)
    cfg_scale: Number = mirror(ImageParams, "cfg_scale", "Default: the model's", default=None)
    seed: Integer = mirror(ImageParams, "seed", "-1: random", default=None)


class GenerateImage(Drawing):
    """Arguments of generate_image."""

    sampler: Text = optional("Default: the model's", max_length=100)
    scheduler: Text = optional("Default: the model's", max_length=100)
    count: Integer = mirror(ImageParams, "batch_count", "Number of pictures", default=1)


class EditImage(GenerateImage):
    """Arguments of edit_image."""

    image: Text = optional(f"Picture to change: {_PICTURE}", min_length=1)
    mask: Text = optional("White: draw anew, black: keep", min_length=1)
    reference_images: list[Text] = optional("Pictures to look at, for models that edit by words", max_length=16)
    strength: Number = mirror(ImageParams, "strength", "0 keeps image, 1 ignores it")


class UpscaleImage(Waiting):
    """Arguments of upscale_image."""

    image: Text = Field(min_length=1, description=_PICTURE)
    upscaler: Text = optional("Of list_models", min_length=1, max_length=1000)
    factor: Integer = mirror(UpscaleParams, "upscale_factor", "Default: the upscaler's")


class GenerateVideo(Drawing):
    """Arguments of generate_video."""

    image: Text = optional("First frame", min_length=1)
    end_image: Text = optional("Last frame", min_length=1)
    frames: Integer = mirror(VideoParams, "video_frames", "Length", default=None)
    fps: Integer = mirror(VideoParams, "fps", "Frames a second", default=None)


class ListModels(Wire):
    """Arguments of list_models."""

    search: Text = optional("Part of the name", max_length=200)


class LoadModel(Wire):
    """Arguments of load_model."""

    model: Text = Field(min_length=1, max_length=1000, description="Of list_models")
    wait_seconds: Number = Field(WAIT_SECONDS, ge=0, le=600, description="0: do not wait")


class JobStatus(Waiting):
    """Arguments of job_status."""

    job_id: Text = Field(min_length=1, max_length=100, description="Of the tool that began it")


class CancelJob(Wire):
    """Arguments of cancel_job."""

    job_id: Text = Field(min_length=1, max_length=100, description="Of the tool that began it")


class ListImages(Wire):
    """Arguments of list_images."""

    search: Text = optional("Words of the prompt or the model", max_length=200)
    limit: Integer = Field(10, ge=1, le=MOST_LISTED, description="How many")
    offset: Integer = Field(0, ge=0, le=10_000, description="How many newer ones to skip")


def write_schema(model: type[Wire]) -> dict[str, Any]:
    """The JSON schema of a tool's arguments, without the words that say nothing to a language model."""
    whole = model.model_json_schema()
    required = whole.get("required", [])
    # What a call is about comes first, how it is answered last.
    names = sorted(whole["properties"], key=lambda name: (name not in required, name in Waiting.model_fields))
    shown = {name: _shorten(whole["properties"][name]) for name in names}
    return {"type": "object", "properties": shown, **({"required": required} if required else {})}


def _shorten(field: dict[str, Any]) -> dict[str, Any]:
    kept = {name: field[name] for name in ("type", "enum", "items", "description", "default") if name in field}
    return {name: value for name, value in kept.items() if value not in ("", None)}
