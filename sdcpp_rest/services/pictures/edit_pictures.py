"""Reads the mask of a picture that is to be edited, and chooses the size of what becomes of it.

Pure: bytes in, numbers and base64 out. The house's masks are white where a picture is drawn anew; others' are
transparent there.
"""

from __future__ import annotations

import base64
import io
import math
import threading

from PIL import ImageOps

from sdcpp_rest.services.pictures.input_images import open_picture

# The largest picture allowed needs some hundred megabytes while it is looked at: a few at a time are enough.
_decoding = threading.BoundedSemaphore(2)
_GRID = 16
_SMALLEST = 64


def mask_of(field: str, file: bytes, *, only_alpha: bool = False) -> str | None:
    """The house's mask, base64, of one whose transparent parts are to be drawn anew.

    One without transparency is taken for the house's own kind; with ``only_alpha`` it is none. Raises InvalidRequest.
    """
    written = io.BytesIO()
    with _decoding:
        picture = open_picture(field, file)
        has_alpha = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
        alpha = picture.convert("RGBA").getchannel("A") if has_alpha else None
        if alpha is not None and alpha.getextrema()[0] == 255:
            alpha = None
        if alpha is None and only_alpha:
            return None
        mask = picture.convert("L") if alpha is None else ImageOps.invert(alpha)
        mask.save(written, "PNG", compress_level=1)
    return base64.b64encode(written.getvalue()).decode("ascii")


def fit_size(given: tuple[int, int], usual: tuple[int, int], largest: int) -> tuple[int, int]:
    """A size with about the proportions of ``given`` and the area of ``usual``: models draw badly far from theirs.

    Sides are multiples of 16, from 64 to ``largest``.
    """
    area, ratio = usual[0] * usual[1], given[0] / given[1]
    width, height = math.sqrt(area * ratio), math.sqrt(area / ratio)
    return _on_grid(width, largest), _on_grid(height, largest)


def _on_grid(side: float, largest: int) -> int:
    return max(min(_SMALLEST, largest), min(round(side / _GRID) * _GRID, largest // _GRID * _GRID))
