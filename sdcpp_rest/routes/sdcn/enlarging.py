"""What SDCN calls upscaling: a finished picture, made larger by one upscaler or by two of them laid over each other."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

from PIL import Image

from sdcpp_rest.core.load_spec import UpscalerSpec
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.services.pictures import picture_formats
from sdcpp_rest.services.pictures.input_images import decode_base64, open_picture, to_rgb
from sdcpp_rest.services.submission.picture_enlarging import Enlargement, PictureEnlarging, Resampler, blend

_LARGEST_RATE = 100


def enlarge_picture(enlarging: PictureEnlarging, body: Mapping[str, Any], *, origin: str) -> str:
    """The larger picture's PNG file as base64; blocks. Raises InvalidRequest in SDCN's words, and what the queue
    raises."""
    rate = _number(body, "upscalingRate", 2.0)
    if not 1 < rate <= _LARGEST_RATE:
        raise InvalidRequest("Invalid upscalingRate: it must be above 1 and at most 100", field="upscalingRate")
    share = _number(body, "upscaler2_factor", 0.0)
    if not 0 <= share < 1:
        raise InvalidRequest("Invalid upscaler2_factor: it must be from 0 up to below 1", field="upscaler2_factor")
    first = _upscaler(enlarging, body, "upscaler") or "Lanczos"
    second = _upscaler(enlarging, body, "upscaler2") if share > 0 else None
    picture, wanted = _open(body), Enlargement(factor=rate)
    made = enlarging.enlarge(picture, first, wanted, origin=origin, owner=origin)
    if second is not None:
        made = blend(made, enlarging.enlarge(picture, second, wanted, origin=origin, owner=origin), share)
    return base64.b64encode(picture_formats.encode(made, "png", 100, {})).decode("ascii")


def _open(body: Mapping[str, Any]) -> Image.Image:
    image = body.get("image")
    try:
        if not isinstance(image, str):
            raise InvalidRequest("image must be a base64-encoded picture")
        return to_rgb(open_picture("image", decode_base64("image", image)), None)
    except InvalidRequest as error:
        raise InvalidRequest(f"Invalid image: {error.message}", field="image") from None


def _upscaler(enlarging: PictureEnlarging, body: Mapping[str, Any], field: str) -> UpscalerSpec | Resampler | None:
    name = body.get(field) or ""
    try:
        return enlarging.upscaler(name if isinstance(name, str) else "?")
    except (ModelNotFound, InvalidRequest) as error:
        raise InvalidRequest(f"Invalid {field}: {error.message}", field=field) from None


def _number(body: Mapping[str, Any], field: str, default: float) -> float:
    value = body.get(field)
    if value is None:
        return default
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    return number
