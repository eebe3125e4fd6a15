"""Prepares masks as SwarmUI's parameters ask for it: grown, then blurred.

Knows pictures; must not know requests.
"""

from __future__ import annotations

import base64
import io

from PIL import Image, ImageChops

from sdcpp_rest.services.pictures.inpainting import blur
from sdcpp_rest.services.pictures.input_images import decode_base64, load_picture, to_mask

_FIELD = "maskimage"


def grow_and_blur(text: str, size: tuple[int, int], grow: int, blur_pixels: int) -> str:
    """A mask (base64 or data URL) at ``size``, grown and blurred by so many pixels, as base64 of a PNG.

    Raises InvalidRequest for what is no picture.
    """
    mask = to_mask(load_picture(_FIELD, decode_base64(_FIELD, text)), size)
    for across, down in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        mask = _grow(mask, across, down, grow)
    if blur_pixels > 0:
        mask = blur(mask, blur_pixels, blur_pixels)
    return _encode(mask)


def _grow(mask: Image.Image, across: int, down: int, pixels: int) -> Image.Image:
    """``mask``, its white parts longer in one direction. Each pass doubles how far it reaches."""
    reached = 0
    while reached < pixels:
        step = min(reached + 1, pixels - reached)
        moved = Image.new("L", mask.size)
        moved.paste(mask, (across * step, down * step))
        mask = ImageChops.lighter(mask, moved)
        reached += step
    return mask


def _encode(mask: Image.Image) -> str:
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
