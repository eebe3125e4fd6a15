"""Makes a picture larger, as newer versions of sd-server do in one call: the upscaler, its passes, the answer.

Knows the upscaler's file and the enlarging service, and no HTTP.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from sdcpp_rest.core.load_spec import UpscalerSpec
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.routes.http.answers import shorten
from sdcpp_rest.routes.sdserver.reading import read_leniently
from sdcpp_rest.routes.sdserver.translate import output_format
from sdcpp_rest.routes.sdserver.wire import IMAGE_FORMATS, UpscaleBody
from sdcpp_rest.services.dispatch.upscaler_slot import UpscalerSlot
from sdcpp_rest.services.model_headers.autoencoders import upscale_factor
from sdcpp_rest.services.models.model_library import ModelLibrary
from sdcpp_rest.services.pictures.input_images import decode_base64, open_picture, to_rgb
from sdcpp_rest.services.pictures.picture_formats import encode
from sdcpp_rest.services.submission.picture_enlarging import Enlargement, PictureEnlarging

_MOST_PASSES = 3
_SMALLEST_TILE, _USUAL_TILE = 32, 128


def enlarge_picture(
    body: Mapping[str, Any],
    enlarging: PictureEnlarging,
    upscalers: UpscalerSlot,
    library: ModelLibrary,
    *,
    origin: str,
) -> dict[str, Any]:
    """The answer to ``body``; blocks. Raises InvalidRequest, and what the queue raises."""
    form = output_format(body.get("output_format"), IMAGE_FORMATS)
    given, warnings = read_leniently(UpscaleBody, body)
    if not given.get("image"):
        raise InvalidRequest("image is required: base64 or a data URL", field="image")
    picture = to_rgb(open_picture("image", decode_base64("image", given["image"])), None)
    spec = _upscaler(given.get("upscaler", ""), given.get("tile_size"), upscalers, library)
    repeats = max(1, min(_MOST_PASSES, given.get("repeats", 1)))
    scale = upscale_factor(spec.model)
    made = enlarging.enlarge(picture, spec, Enlargement(factor=scale**repeats), origin=origin, owner=origin)
    quality = max(1, min(100, given.get("output_compression", 100)))
    content = base64.b64encode(encode(made, form, quality, {})).decode("ascii")
    return {
        "upscaler": spec.model.name,
        "scale": scale,
        "repeats": repeats,
        "width": made.width,
        "height": made.height,
        "output_format": form,
        "images": [{"index": 0, "b64_json": content}],
        **({"warnings": warnings} if warnings else {}),
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
