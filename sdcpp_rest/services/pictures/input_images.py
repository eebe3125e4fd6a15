"""Decodes pictures that clients send, bounds them and brings them to the size the library needs, before a job exists.

They are kept as PNG files in the job's input folder; rows and events only carry the file names. Whatever Pillow cannot
read is refused here, so that nothing undecoded ever reaches the engine.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes

from PIL import Image, ImageOps, UnidentifiedImageError

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.pictures.pillow_setup import READABLE_FORMATS

# Decoded pixels of one input picture: 8192 x 8192. A "decompression bomb" is refused by its header, before decoding.
MAX_PIXELS = 67_108_864
_ORIENTATION = 0x0112
# The largest picture allowed needs some hundred megabytes while it is converted: a few at a time are enough.
_decoding = threading.BoundedSemaphore(2)
# Reference pictures keep their proportions. The library ends its process on sides that its grid does not divide, and on
# pictures so narrow that a side becomes 0 when it resizes them itself.
_REFERENCE_GRID = 16
_REFERENCE_SIDES = (64, 2048)
# What the library rounds to when it resizes a reference itself: 32 for one family, 16 for the others.
_LIBRARY_GRID = 32


def decode_base64(field: str, text: str) -> bytes:
    """Bytes of a base64 string or a ``data:`` URL (RFC 2397), percent-encoded or not; spaces, line breaks and missing
    padding are forgiven. Raises InvalidRequest."""
    body = text.strip()
    if not body:
        raise InvalidRequest(f"{field} must be a base64-encoded picture, got nothing", field=field)
    is_bare = False
    if body[:5].lower() == "data:":
        head, comma, body = body[5:].partition(",")
        if not comma:
            raise InvalidRequest(f"{field} is a data URL without content", field=field)
        # Many leave the word away and send base64 all the same.
        is_bare = not head.replace(" ", "").lower().endswith(";base64")
    packed = unquote(body, "latin-1") if "%" in body else body
    packed = "".join(packed.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError):
        if is_bare:
            return unquote_to_bytes(body.encode("utf-8", "surrogatepass"))
        raise InvalidRequest(f"{field} is not valid base64", field=field) from None


def open_picture(field: str, data: bytes) -> Image.Image:
    """The first frame of a picture in one of the formats that are read, turned as its EXIF says. Raises
    InvalidRequest."""
    return turn_upright(field, load_picture(field, data))


def turn_upright(field: str, picture: Image.Image) -> Image.Image:
    """``picture`` turned as its EXIF says. Raises InvalidRequest."""
    try:
        return ImageOps.exif_transpose(picture)
    except Exception as error:  # Pillow raises whatever it likes on broken EXIF
        raise InvalidRequest(f"{field} is damaged and cannot be decoded: {error}", field=field) from None


def load_picture(field: str, data: bytes) -> Image.Image:
    """The same as its file has it: not turned, with all texts of the file. Raises InvalidRequest."""
    try:
        picture = Image.open(io.BytesIO(data), formats=READABLE_FORMATS)
        _check_pixels(field, picture.width, picture.height)
        picture.load()
        return picture
    except InvalidRequest:
        raise
    except UnidentifiedImageError:
        raise _no_picture(field) from None
    except Exception as error:  # Pillow's decoders raise whatever they like on broken files
        raise InvalidRequest(f"{field} is damaged and cannot be decoded: {error}", field=field) from None


def _check_pixels(field: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise InvalidRequest(
            f"{field} is {width}x{height} pixels; at most {MAX_PIXELS} pixels are allowed", field=field
        )


def _no_picture(field: str) -> InvalidRequest:
    # Pillow's own sentence would name an object in memory.
    return InvalidRequest(f"{field} is not a picture in one of the formats {', '.join(READABLE_FORMATS)}", field=field)


def measure_picture(field: str, data: bytes) -> tuple[int, int]:
    """Width and height of a picture as it is shown, by the head of its file. Raises InvalidRequest."""
    try:
        with Image.open(io.BytesIO(data), formats=READABLE_FORMATS) as picture:
            width, height = picture.size
            # First: for its EXIF a PNG is decoded whole.
            _check_pixels(field, width, height)
            is_turned = picture.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except InvalidRequest:
        raise
    except UnidentifiedImageError:
        raise _no_picture(field) from None
    except Exception as error:  # Pillow raises whatever it likes on broken files
        raise InvalidRequest(f"{field} is not a picture that can be read: {error}", field=field) from None
    return (height, width) if is_turned else (width, height)


def to_rgb(picture: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    """8-bit RGB over white where it was transparent, resized to ``size`` (width, height) if given."""
    picture = _eight_bit(picture)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        picture = Image.alpha_composite(white, rgba)
    rgb = picture.convert("RGB")
    return rgb if size is None or rgb.size == size else rgb.resize(size, Image.Resampling.LANCZOS)


def has_transparency(picture: Image.Image) -> bool:
    """Whether any pixel of ``picture`` lets something through."""
    if picture.mode not in ("RGBA", "LA", "PA") and "transparency" not in picture.info:
        return False
    return picture.convert("RGBA").getchannel("A").getextrema() != (255, 255)


def to_mask(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """8-bit grey, white where the picture is drawn anew; transparent counts as kept (black)."""
    picture = _eight_bit(picture)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba)
    grey = picture.convert("L")
    return grey if grey.size == size else grey.resize(size, Image.Resampling.BILINEAR)


def to_reference(picture: Image.Image) -> Image.Image:
    """8-bit RGB of about its own size and proportions, within what the library can take."""
    rgb = to_rgb(picture, None)
    smallest, largest = _REFERENCE_SIDES
    scale = min(max(1.0, smallest / min(rgb.size)), largest / max(rgb.size))
    size = tuple(
        min(largest, max(smallest, round(side * scale / _REFERENCE_GRID) * _REFERENCE_GRID)) for side in rgb.size
    )
    return rgb if rgb.size == size else rgb.resize((size[0], size[1]), Image.Resampling.LANCZOS)


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Pillow's own conversion of 16-bit and floating-point greys clips at 255 instead of scaling."""
    if picture.mode in ("I;16", "I;16B", "I", "F"):
        highest = 65535.0 if picture.mode != "F" else max(1.0, float(picture.getextrema()[1]))  # type: ignore[arg-type]
        return picture.convert("F").point(lambda value: value * (255.0 / highest)).convert("L")
    return picture.convert("RGB") if picture.mode == "LAB" else picture


def save_inputs(
    folder: Path,
    images: Mapping[str, str],
    size: tuple[int, int],
    *,
    resizes_references: bool = True,
    warn: Callable[[str], None] = lambda sentence: None,
) -> dict[str, str]:
    """Decode ``images`` (role -> base64) into ``folder``; returns role -> file name.

    Init, end and control images, control frames and masks get the picture's size; reference images and PhotoMaker's
    faces about keep theirs, and the library brings references to the picture's area if it ``resizes_references``.
    ``warn`` is told of pictures that ask for nothing. Raises InvalidRequest naming the role, or OSError; then the
    folder is gone again.
    """
    names: dict[str, str] = {}
    try:
        for role, picture in _prepare_all(images, size, resizes_references, warn):
            folder.mkdir(parents=True, exist_ok=True)
            names[role] = f"{role}.png"
            picture.save(folder / names[role], "PNG", compress_level=1)
    except Exception:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return names


def check_inputs(
    images: Mapping[str, str],
    size: tuple[int, int],
    *,
    resizes_references: bool = True,
    warn: Callable[[str], None] = lambda sentence: None,
) -> dict[str, tuple[int, int]]:
    """What `save_inputs` would refuse or warn of, without storing anything; returns role -> size of its picture."""
    return {role: picture.size for role, picture in _prepare_all(images, size, resizes_references, warn)}


def _prepare_all(
    images: Mapping[str, str], size: tuple[int, int], resizes_references: bool, warn: Callable[[str], None]
) -> Iterator[tuple[str, Image.Image]]:
    """Each picture in turn, decoded and brought to its size. Raises InvalidRequest."""
    for role, text in images.items():
        with _decoding:
            picture = _prepare(role, open_picture(role, decode_base64(role, text)), size)
            if resizes_references and role.startswith("ref_images"):
                _check_reference(role, picture.size, size)
            if role == "mask_image" and picture.getextrema() == (0, 0):
                warn("mask_image is black everywhere: nothing is drawn anew. White is what is to change.")
            yield role, picture


def stored_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture that was stored here, by the head of its file. Raises OSError."""
    with Image.open(path) as picture:
        width, height = picture.size
    return width, height


def _check_reference(role: str, given: tuple[int, int], size: tuple[int, int]) -> None:
    """Refuse a reference of which the library would make a picture without width or height: it ends its process."""
    area = min(1024 * 1024, size[0] * size[1])
    for one, other in (given, given[::-1]):
        if math.floor(math.sqrt(area * one / other) / _LIBRARY_GRID + 0.5) < 1:
            raise InvalidRequest(
                f"{role} is too narrow ({given[0]}x{given[1]}) to be used for a picture of {size[0]}x{size[1]}; "
                "cut it nearer to a square",
                field=role,
            )


def _prepare(role: str, picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    if role == "mask_image":
        return to_mask(picture, size)
    keeps_its_size = role.startswith(("ref_images.", "pm_id_images."))
    return to_reference(picture) if keeps_its_size else to_rgb(picture, size)
