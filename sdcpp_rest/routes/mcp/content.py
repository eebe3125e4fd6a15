"""Makes the content of a tool's result: words, small pictures inside it, links to the whole ones.

Clients refuse results above a megabyte, so that all pictures inside one have a share of `MOST_INLINE_CHARACTERS`.
Knows files and mappings; knows no job.
"""

from __future__ import annotations

import base64
import io
import mimetypes
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.answers import json_text
from sdcpp_rest.services.pictures.input_images import open_picture, to_rgb

Inline = Literal["auto", "none", "full"]

MOST_INLINE_CHARACTERS = 700_000
"""Base64 of all pictures of one result together."""

MOST_INLINE = 8
"""Pictures in one result; of more than these, only the first is."""

SIDE = 1024
_MOST_FILE_BYTES = 64 << 20
# Quality goes down first, then size.
_TRIES = ((1.0, 88), (1.0, 75), (1.0, 60), (0.75, 60), (0.5, 60), (0.35, 50))
# The largest picture allowed needs some hundred megabytes while it is decoded.
_decoding = threading.BoundedSemaphore(2)


@dataclass(frozen=True)
class ShownFile:
    """A finished file: where it lies, and the links to it. ``local``: its path, for callers who can open it."""

    path: Path
    url: str
    resource: str
    local: str | None = None

    @property
    def media_type(self) -> str:
        return mimetypes.guess_type(self.path.name)[0] or "application/octet-stream"

    @property
    def is_picture(self) -> bool:
        return self.path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp")

    def describe(self) -> dict[str, Any]:
        """The file in a result's ``images``."""
        shown = {"url": self.url, "resource": self.resource, "mime_type": self.media_type}
        return {**shown, "file": self.local} if self.local is not None else shown


def make_result(sentence: str, facts: Mapping[str, Any], files: Sequence[ShownFile], inline: Inline) -> dict[str, Any]:
    """A tool's result. ``facts`` become its structured content, and stand in its text for clients that read no
    other."""
    pictures, note = inline_pictures([file.path for file in files if file.is_picture], inline)
    if note:
        facts = {**facts, "warnings": [*facts.get("warnings", ()), note]}
    links = [
        {
            "type": "resource_link",
            "uri": file.url,
            "name": file.path.name,
            "mimeType": file.media_type,
            "description": f"The whole file; also {file.resource}",
        }
        for file in files
    ]
    text = {"type": "text", "text": f"{sentence}\n{json_text(facts)}"}
    return {"content": [text, *pictures, *links], "structuredContent": dict(facts)}


def inline_pictures(paths: Sequence[Path], inline: Inline) -> tuple[list[dict[str, Any]], str]:
    """Picture blocks for the files, as far as they fit, and a sentence where some are left out."""
    if inline == "none" or not paths:
        return [], ""
    note = ""
    wanted = list(paths) if len(paths) <= MOST_INLINE else list(paths[:1])
    try:
        with _decoding:
            made = _encode_all(wanted, inline)
            if made is None and len(wanted) > 1:
                wanted = wanted[:1]
                made = _encode_all(wanted, inline)
    except InvalidRequest as error:
        return [], f"No picture is shown here: {error.message}"
    except OSError as error:
        return [], f"No picture is shown here: {error.strerror or 'it cannot be read'}"
    if made is None:
        return [], "No picture is shown here: it is too large; see its url."
    if len(wanted) < len(paths):
        note = f"Only the first of {len(paths)} pictures is shown here; see their urls."
    return [_picture_block(file, media_type) for file, media_type in made], note


def _encode_all(paths: Sequence[Path], inline: Inline) -> list[tuple[bytes, str]] | None:
    """The files in a form of which all fit together; ``None`` if there is none."""
    if inline == "full":
        as_they_are = [path.read_bytes() for path in paths if path.stat().st_size <= MOST_INLINE_CHARACTERS]
        if len(as_they_are) == len(paths) and _fit(as_they_are):
            types = [mimetypes.guess_type(path.name)[0] or "image/png" for path in paths]
            return list(zip(as_they_are, types, strict=True))
    pictures = [_open(path, SIDE if inline == "auto" else None) for path in paths]
    for files in _smaller_and_smaller(pictures):
        if _fit(files):
            return [(file, "image/jpeg") for file in files]
    return None


def _smaller_and_smaller(pictures: Sequence[Image.Image]) -> Iterator[list[bytes]]:
    for scale, quality in _TRIES:
        yield [_encode(picture, scale, quality) for picture in pictures]


def _open(path: Path, side: int | None) -> Image.Image:
    if path.stat().st_size > _MOST_FILE_BYTES:
        raise InvalidRequest(f"{path.name} is larger than {_MOST_FILE_BYTES >> 20} MiB")
    picture = open_picture(path.name, path.read_bytes())
    if side is not None:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return to_rgb(picture, None)


def _encode(picture: Image.Image, scale: float, quality: int) -> bytes:
    if scale < 1.0:
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


def _fit(files: Sequence[bytes]) -> bool:
    return sum(-(-len(file) // 3) * 4 for file in files) <= MOST_INLINE_CHARACTERS


def _picture_block(file: bytes, media_type: str) -> dict[str, Any]:
    return {
        "type": "image",
        "data": base64.b64encode(file).decode("ascii"),
        "mimeType": media_type,
        "annotations": {"audience": ["user", "assistant"]},
    }
