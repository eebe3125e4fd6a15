"""Repeats an upscaler's passes until a picture is as large as was asked for.

Knows no library, only a function that does one pass.
"""

from __future__ import annotations

from collections.abc import Callable

from sdcpp_rest.engine.raw_picture import RawPicture

OnePass = Callable[[RawPicture], RawPicture]


def passes(native_factor: int, factor: int | None, repeats: int) -> int:
    """How many times the upscaler runs to make a picture ``factor`` (``None``: its own) times larger, ``repeats``
    times over."""
    return _passes_for(native_factor, factor or native_factor) * repeats


def enlarge(
    picture: RawPicture, one_pass: OnePass, *, native_factor: int, factor: int | None = None, repeats: int = 1
) -> RawPicture:
    """``picture``, made ``factor`` ** ``repeats`` times wider and higher.

    Args:
        one_pass: makes a picture ``native_factor`` times larger. What it overshoots is taken back by resampling.
    """
    wanted = factor or native_factor
    for _ in range(repeats):
        width, height = picture.width * wanted, picture.height * wanted
        for _ in range(_passes_for(native_factor, wanted)):
            picture = one_pass(picture)
        picture = _resize(picture, width, height)
    return picture


def _passes_for(native_factor: int, wanted: int) -> int:
    count, reached = 0, 1
    # A factor of 1 still runs once: the upscaler also cleans a picture up. A file that enlarges nothing runs once too.
    while count == 0 or (reached < wanted and native_factor > 1):
        count, reached = count + 1, reached * native_factor
    return count


def _resize(picture: RawPicture, width: int, height: int) -> RawPicture:
    if (picture.width, picture.height) == (width, height):
        return picture
    from PIL import Image

    mode = {1: "L", 3: "RGB", 4: "RGBA"}[picture.channels]
    image = Image.frombytes(mode, (picture.width, picture.height), picture.pixels)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    return RawPicture(width, height, picture.channels, image.tobytes())
