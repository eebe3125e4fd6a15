"""Encodes pictures as PNG, JPEG, WebP and AVIF files with the text about them inside, and reads that text.

Knows Pillow and EXIF; knows no job and no request.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

from PIL import Image, features
from PIL.PngImagePlugin import PngInfo, iTXt

from sdcpp_rest.core import novelai_text, png_text
from sdcpp_rest.services.pictures.user_comment import decode_bytes, decode_comment, encode_comment

KEY = "parameters"
# Only this one is asked for: asking for all of them imports Tk and its fonts.
CAN_AVIF = "avif" in features.modules and features.check_module("avif")
"""Pillow reads and writes AVIF from version 11.3 on, where its build has the codec."""
FORMATS = ("png", "jpg", "jpeg", "webp", *(("avif",) if CAN_AVIF else ()))
_PILLOW_NAMES = {"jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP", "avif": "AVIF"}
_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286
# EXIF is one JPEG segment: longer texts do not fit into the file.
_EXIF_BYTES = 60_000


def encode(
    picture: Image.Image, form: str, quality: int, texts: Mapping[str, str], *, is_lossless: bool = False
) -> bytes:
    """``picture`` as a file of ``form`` (one of `FORMATS`); ``quality`` 1..100 for all but PNG, ``is_lossless`` for
    WebP.

    ``texts`` become chunks of a PNG; in the other formats only the one called `KEY` is kept, as EXIF's UserComment.
    """
    buffer = io.BytesIO()
    if form == "png":
        chunks = PngInfo()
        for key, text in texts.items():
            # Readers take Latin-1 that could be UTF-8 for that: such a text says what it is.
            chunks.add_itxt(key, text) if png_text.read_text(text) != text else chunks.add_text(key, text)
        picture.save(buffer, "PNG", pnginfo=chunks, compress_level=4)
        return buffer.getvalue()
    more: dict[str, Any] = {"lossless": True} if is_lossless else {}
    text = texts.get(KEY, "")
    if text:
        more["exif"] = _exif(text)
    picture.convert("RGB").save(buffer, _PILLOW_NAMES[form], quality=quality, **more)
    return buffer.getvalue()


def recode(png: bytes, form: str, quality: int, *, is_lossless: bool = False) -> bytes:
    """A finished picture's file in another format, with what it says about itself; a PNG stays as it is.

    ``quality`` 0..100. Raises OSError and ValueError when the format does not take it: WebP ends at 16383 pixels.
    """
    if form == "png":
        return png
    with Image.open(io.BytesIO(png)) as picture:
        picture.load()
        # Quality 0 is a picture of blocks, but Pillow takes it for "not given".
        return encode(picture, form, max(1, quality), texts_of(picture), is_lossless=is_lossless)


def texts_of(picture: Image.Image) -> dict[str, str]:
    """Every text in a picture's file by its key; the one about how it was made, wherever it stood, under `KEY`.

    Texts behind the pixels of a PNG are there once it is loaded. How long texts are is bounded by Pillow, compressed
    ones too: it refuses to open a file with longer ones.
    """
    found = {
        key: value if isinstance(value, iTXt) else png_text.read_text(value)
        for key, value in picture.info.items()
        if isinstance(key, str) and isinstance(value, str)
    }
    if KEY in found:
        return found
    comment = _user_comment(picture) or _plain_comment(picture)
    entries = found
    if comment.startswith("{"):
        # NovelAI's files that are no PNG hold all its entries there, as JSON.
        entries = _entries_of(comment)
    text = novelai_text.write(entries, picture.size) or comment
    return {**found, KEY: text} if text else found


def _entries_of(comment: str) -> dict[str, str]:
    try:
        found = json.loads(comment)
    except (ValueError, RecursionError):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def _plain_comment(picture: Image.Image) -> str:
    """The comment of a GIF or a JPEG, which has no key, if it says how the picture was made."""
    raw = picture.info.get("comment")
    return decode_bytes(raw) if isinstance(raw, bytes) and b"Steps:" in raw else ""


def _exif(text: str) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = encode_comment(text, _EXIF_BYTES)
    return exif.tobytes()


def _user_comment(picture: Image.Image) -> str:
    try:
        exif = picture.getexif()
        raw = exif.get_ifd(_EXIF_IFD).get(_USER_COMMENT) or exif.get(_USER_COMMENT)
        is_little_endian = exif.endian == "<"
    except Exception:  # Pillow raises whatever it likes on broken EXIF
        return ""
    if isinstance(raw, str):
        # An entry of the wrong type: Pillow took its bytes for Latin-1.
        raw = raw.encode("latin-1", "replace")
    return decode_comment(raw, is_little_endian=is_little_endian) if isinstance(raw, bytes) else ""
