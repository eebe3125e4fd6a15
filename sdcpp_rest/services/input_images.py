"""Pictures that clients send: decoded, bounded and brought to the size the library needs, before a job exists.

They are kept as PNG files in the job's input folder; rows and events only carry the file names. Whatever Pillow cannot
read is refused here, so that nothing undecoded ever reaches the engine.
"""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from sdcpp_rest.errors import InvalidRequest

# Decoded pixels of one input picture: 8192 x 8192. A "decompression bomb" is refused by its header, before decoding.
MAX_PIXELS = 67_108_864
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


def decode_base64(field: str, text: str) -> bytes:
    """Bytes of a base64 string or a ``data:`` URL; spaces and missing padding are forgiven. Raises InvalidRequest."""
    if not text.strip():
        raise InvalidRequest(f"{field} must be a base64-encoded picture, got nothing", field=field)
    body = text.strip()
    if body.startswith("data:"):
        _, comma, body = body.partition(",")
        if not comma:
            raise InvalidRequest(f"{field} is a data URL without content", field=field)
    body = "".join(body.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest(f"{field} is not valid base64", field=field) from None


def open_picture(field: str, data: bytes) -> Image.Image:
    """The first frame of a PNG, JPEG, WebP, GIF, BMP or TIFF, turned as its EXIF says. Raises InvalidRequest."""
    try:
        with warnings.catch_warnings():
            # Ours is the limit that counts; it is checked below, before any pixel is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=_FORMATS)
            if picture.width * picture.height > MAX_PIXELS:
                size = f"{picture.width}x{picture.height}"
                raise InvalidRequest(f"{field} is {size} pixels; at most {MAX_PIXELS} pixels are allowed", field=field)
            picture.load()
            return ImageOps.exif_transpose(picture)
    except InvalidRequest:
        raise
    except UnidentifiedImageError:
        raise InvalidRequest(
            f"{field} is not a picture in one of the formats {', '.join(_FORMATS)}", field=field
        ) from None
    except Image.DecompressionBombError:
        raise InvalidRequest(f"{field} has too many pixels; at most {MAX_PIXELS} are allowed", field=field) from None
    except Exception as error:  # Pillow's decoders raise whatever they like on broken files
        raise InvalidRequest(f"{field} is damaged and cannot be decoded: {error}", field=field) from None


def to_rgb(picture: Image.Image, size: tuple[int, int] | None) -> Image.Image:
    """8-bit RGB over white where it was transparent, resized to ``size`` (width, height) if given."""
    picture = _eight_bit(picture)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        picture = Image.alpha_composite(white, rgba)
    rgb = picture.convert("RGB")
    return rgb if size is None or rgb.size == size else rgb.resize(size, Image.Resampling.LANCZOS)


def to_mask(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """8-bit grey, white where the picture is drawn anew; transparent counts as kept (black)."""
    picture = _eight_bit(picture)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba)
    grey = picture.convert("L")
    return grey if grey.size == size else grey.resize(size, Image.Resampling.BILINEAR)


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Pillow's own conversion of 16-bit and floating-point greys clips at 255 instead of scaling."""
    if picture.mode in ("I;16", "I;16B", "I", "F"):
        highest = 65535.0 if picture.mode != "F" else max(1.0, float(picture.getextrema()[1]))  # type: ignore[arg-type]
        return picture.convert("F").point(lambda value: value * (255.0 / highest)).convert("L")
    return picture.convert("RGB") if picture.mode == "LAB" else picture


def save_inputs(folder: Path, images: dict[str, str], size: tuple[int, int]) -> dict[str, str]:
    """Decode ``images`` (role -> base64) into ``folder``; returns role -> file name.

    Init, end and control images and masks get the picture's size; reference images keep theirs. Raises InvalidRequest
    naming the role; then nothing is left in the folder.
    """
    decoded: dict[str, Image.Image] = {}
    for role, text in images.items():
        picture = open_picture(role, decode_base64(role, text))
        if role == "mask_image":
            decoded[role] = to_mask(picture, size)
        else:
            decoded[role] = to_rgb(picture, None if role.startswith("ref_images") else size)
    if decoded:
        folder.mkdir(parents=True, exist_ok=True)
    names = {}
    for role, picture in decoded.items():
        names[role] = f"{role}.png"
        picture.save(folder / names[role], "PNG", compress_level=1)
    return names
