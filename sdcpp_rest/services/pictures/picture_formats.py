"""Encodes pictures as PNG, JPEG and WebP files with the text about them inside, and reads that text.

Knows Pillow and EXIF; knows no job and no request.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

KEY = "parameters"
FORMATS = ("png", "jpg", "jpeg", "webp")
_EXIF_IFD = 0x8769
_USER_COMMENT = 0x9286
_UNICODE, _ASCII, _UNDEFINED = b"UNICODE\0", b"ASCII\0\0\0", b"\0" * 8
# EXIF is one JPEG segment: longer texts do not fit into the file.
_EXIF_BYTES = 60_000


def encode(picture: Image.Image, form: str, quality: int, texts: Mapping[str, str]) -> bytes:
    """``picture`` as a file of ``form`` (one of `FORMATS`); ``quality`` 1..100 for all but PNG.

    ``texts`` become chunks of a PNG; in the other formats only the one called `KEY` is kept, as EXIF's UserComment.
    """
    buffer = io.BytesIO()
    if form == "png":
        chunks = PngInfo()
        for key, text in texts.items():
            chunks.add_text(key, text)
        picture.save(buffer, "PNG", pnginfo=chunks, compress_level=4)
        return buffer.getvalue()
    more: dict[str, Any] = {}
    text = texts.get(KEY, "")
    if text:
        more["exif"] = _exif(text)
    picture.convert("RGB").save(buffer, "WEBP" if form == "webp" else "JPEG", quality=quality, **more)
    return buffer.getvalue()


def texts_of(picture: Image.Image) -> dict[str, str]:
    """Every text in a picture's file by its key; the one about how it was made, wherever it stood, under `KEY`."""
    found = {key: value for key, value in picture.info.items() if isinstance(key, str) and isinstance(value, str)}
    if KEY not in found:
        comment = _user_comment(picture)
        if comment:
            found[KEY] = comment
    return found


def _exif(text: str) -> bytes:
    exif = Image.Exif()
    body = text.encode("utf-16-be", "replace")[:_EXIF_BYTES]
    exif.get_ifd(_EXIF_IFD)[_USER_COMMENT] = _UNICODE + body
    return exif.tobytes()


def _user_comment(picture: Image.Image) -> str:
    try:
        raw = picture.getexif().get_ifd(_EXIF_IFD).get(_USER_COMMENT)
    except Exception:  # Pillow raises whatever it likes on broken EXIF
        return ""
    if isinstance(raw, str):
        return raw
    if not isinstance(raw, bytes):
        return ""
    code, body = raw[:8], raw[8:]
    if code == _UNICODE:
        # No byte order is written down. Text about pictures is mostly Latin: its zeros tell.
        order = "utf-16-le" if body[1:2] == b"\0" and body[:1] != b"\0" else "utf-16-be"
        return body.decode(order, "replace").lstrip("\ufeff")
    return (body if code in (_ASCII, _UNDEFINED) else raw).decode("utf-8", "replace").strip("\0")
