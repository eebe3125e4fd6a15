"""Makes a picture larger, as newer versions of sd-server do in one call: reads the request, words the answer.

Submits nothing, and knows no HTTP.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import UpscalerSpec
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.routes.http.answers import shorten
from sdcpp_rest.routes.sdserver.reading import read_leniently
from sdcpp_rest.routes.sdserver.translate import output_format
from sdcpp_rest.routes.sdserver.wire import IMAGE_FORMATS, UpscaleBody
from sdcpp_rest.services.dispatch.upscaler_slot import UpscalerSlot
from sdcpp_rest.services.model_headers.autoencoders import upscale_factor
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.pictures.picture_formats import recode
from sdcpp_rest.services.submission.upscale_submission import UpscaleRequest

_MOST_PASSES = 4
_SMALLEST_TILE, _USUAL_TILE = 32, 128


@dataclass(frozen=True)
class Enlarging:
    """What is to be made larger with which upscaler, and how it is to be answered."""

    request: UpscaleRequest
    spec: UpscalerSpec
    output_format: str
    output_compression: int
    warnings: tuple[str, ...]


def to_enlarging(body: Mapping[str, Any], upscalers: UpscalerSlot, library: ModelLibrary) -> Enlarging:
    """What ``body`` asks for. Raises InvalidRequest."""
    form = output_format(body.get("output_format"), IMAGE_FORMATS)
    given, warnings = read_leniently(UpscaleBody, body)
    if not given.get("image"):
        raise InvalidRequest("image is required: base64 or a data URL", field="image")
    wanted = given.get("repeats", 1)
    repeats = max(1, min(_MOST_PASSES, wanted))
    if repeats != wanted:
        warnings.append(f"repeats {wanted} became {repeats}")
    spec = _upscaler(given.get("upscaler", ""), given.get("tile_size"), upscalers, library)
    quality = max(1, min(100, given.get("output_compression", 100)))
    scale = upscale_factor(spec.model)
    request = UpscaleRequest(image_base64=given["image"], upscale_factor=scale, repeats=repeats)
    return Enlarging(request, spec, form, quality, tuple(warnings))


def enlarged_object(asked: Enlarging, job: Job, png: bytes) -> dict[str, Any]:
    """The answer; ``png``: what the job has made."""
    with Image.open(io.BytesIO(png)) as picture:
        width, height = picture.size
    content = recode(png, asked.output_format, asked.output_compression)
    return {
        "upscaler": asked.spec.model.name,
        "scale": asked.request.upscale_factor,
        "repeats": asked.request.repeats,
        "width": width,
        "height": height,
        "output_format": asked.output_format,
        "images": [{"index": 0, "b64_json": base64.b64encode(content).decode("ascii")}],
        **({"warnings": list(job.warnings)} if job.warnings else {}),
    }


def _upscaler(name: str, tile_size: int | None, upscalers: UpscalerSlot, library: ModelLibrary) -> UpscalerSpec:
    """The upscaler of that name; without one the selected one, or the first there is."""
    selected, files = upscalers.selected, library.files("esrgan")
    wanted = name or (selected.model.name if selected else files[0].name if files else "")
    if not wanted:
        raise InvalidRequest("there is no upscaler here: put one into the folder esrgan", field="upscaler")
    try:
        return upscalers.build_spec(wanted, tile_size=max(_SMALLEST_TILE, tile_size or _USUAL_TILE))
    except (ModelNotFound, InvalidRequest):
        raise InvalidRequest(f"no image upscaler is called {shorten(name)!r}", field="upscaler") from None
