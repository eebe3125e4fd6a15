"""What upscaling takes over the wire."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict, Field

from sdcpp_rest.core.load_spec import UpscalerSpec
from sdcpp_rest.core.params import UpscaleParams
from sdcpp_rest.routes.http.mirrored_fields import mirror
from sdcpp_rest.routes.http.wire_models import Integer, PictureText, Text, Wire, optional
from sdcpp_rest.routes.native.wire.engine_wire import DEVICE_WORDS, LONGEST_NAME
from sdcpp_rest.routes.native.wire.group_bodies import Group

_RED_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mO4IycHAALyARlNudhnAAAAAElFTkSuQmCC"


class UpscalerBody(Wire):
    """Which upscaler to load."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"model_name": "esrgan_x2.safetensors"}]})

    model_name: Text = Field(
        min_length=1, description="An ESRGAN file as `GET /models` names it.", examples=["esrgan_x2.safetensors"]
    )
    n_threads: Integer = mirror(UpscalerSpec, "n_threads", "CPU threads; -1: as many as physical cores.")
    tile_size: Integer = mirror(UpscalerSpec, "tile_size", "Pixels of the input that are worked on at a time.")


class UpscalerFile(Wire):
    """An ESRGAN file."""

    name: Text = Field(min_length=1, description="As `GET /models` names it.", examples=["esrgan_x2.safetensors"])


class UpscalerOfJob(Wire):
    """An upscaler as jobs tell the one that they were done with."""

    model: UpscalerFile = Field(description="Its file.")
    tile_size: Integer = mirror(UpscalerSpec, "tile_size", "Pixels of the input that are worked on at a time.")
    n_threads: Integer = mirror(UpscalerSpec, "n_threads", "CPU threads; -1: as many as physical cores.")


class UpscaleBody(Wire):
    """Which picture to make larger, and how much."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"image_base64": _RED_PIXEL, "upscale_factor": 2}]})

    carried: ClassVar[frozenset[str]] = frozenset({"caption"})

    image_base64: PictureText = Field("", description="The picture, as base64 or a data URL. This, or `job_id`.")
    job_id: Text = Field("", max_length=200, description="A finished job whose picture is meant instead.")
    image_index: Integer = Field(0, ge=0, le=100_000, description="Which of that job's pictures; the first is 0.")
    upscale_factor: Integer = mirror(
        UpscaleParams,
        "upscale_factor",
        "How many times wider and higher. Left out: what the upscaler is made for.",
        default=4,
    )
    tile_size: Integer = mirror(
        UpscalerSpec, "tile_size", "Pixels worked on at a time. Left out: as the upscaler was loaded."
    )
    upscaler: UpscalerOfJob = optional("Which upscaler to use for this job. Left out: the chosen one.")
    repeats: Integer = mirror(UpscaleParams, "repeats", "How often; each time by the whole factor.")
    title: Text = Field("", max_length=200, description="A name for lists; found by their search.")
    group: Group = optional("The job's place in a grid of jobs, which `GET /groups/{group_id}` shows.")
    device: Text = Field("", max_length=LONGEST_NAME, description=DEVICE_WORDS)
