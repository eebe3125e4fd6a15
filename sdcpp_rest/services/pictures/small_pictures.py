"""Shrinks pictures to small JPEGs, from bytes or from files that may be anybody's.

Decoding is bounded in bytes and pixels. Keeps nothing on the disk; must not know what the pictures are of.
"""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.pictures.input_images import open_picture, to_rgb

SIDE = 256
"""The longer side of a small picture, in pixels."""

MAX_BYTES = 32 << 20
"""Of a file that is shrunk."""

_QUALITY = 82
_KEPT = 512


def shrink_picture(field: str, data: bytes, side: int = SIDE) -> bytes:
    """A JPEG of at most ``side`` x ``side`` pixels, in the picture's proportions. Raises InvalidRequest."""
    if len(data) > MAX_BYTES:
        raise InvalidRequest(f"{field} is {len(data)} bytes; at most {MAX_BYTES} are allowed", field=field)
    picture = open_picture(field, data)
    # Before it is converted: that takes whole copies.
    if picture.mode in ("RGB", "L", "RGBA"):
        picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    small = to_rgb(picture, None)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _jpeg(small)


@lru_cache(maxsize=_KEPT)
def shrink_file(path: str, size_bytes: int, mtime_ns: int, side: int = SIDE) -> bytes | None:
    """As `shrink_picture`, of the file at ``path``, which has that size and time; ``None`` for what cannot be drawn."""
    try:
        if size_bytes > MAX_BYTES:
            return None
        with open(path, "rb") as file:
            return shrink_picture("preview", file.read(MAX_BYTES + 1), side)
    except (OSError, InvalidRequest):
        return None


@lru_cache(maxsize=1)
def draw_placeholder() -> bytes:
    """A JPEG to show where there is no picture."""
    picture = Image.new("RGB", (SIDE, SIDE), (43, 48, 59))
    edge = SIDE // 4
    picture.paste((96, 104, 120), (edge, edge, SIDE - edge, SIDE - edge))
    picture.paste((43, 48, 59), (edge + 6, edge + 6, SIDE - edge - 6, SIDE - edge - 6))
    return _jpeg(picture)


def _jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY, optimize=True)
    return file.getvalue()
