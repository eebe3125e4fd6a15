"""One job's spool folder: raw pixels go in, finished picture files come out.

Both sides of the wall use it: the worker writes the pixels before it takes the next job and encodes them beside the
next job's compute; if the worker dies in between, the server encodes what is here, so that a computed picture is never
lost. The folder lies on the output folder's filesystem, so that it can be renamed into place as a whole.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

PREVIEW_NAME = "preview.jpg"
_MANIFEST_NAME = "pixels.json"
# The manifest's name when everything is encoded. Until the folder is published this alone says that the run is whole.
ENCODED_NAME = ".encoded.json"
# An engine that is a thread "dies" without its encoder: that and the server must not encode the same folder at once.
_encoding = threading.Lock()
# Level 6 (zlib's default) takes 3x the time of 4 for files 2 % smaller.
_PNG_COMPRESS_LEVEL = 4


@dataclass(frozen=True)
class RawPicture:
    """Pixels as the library returns them: rows from the top, ``channels`` interleaved bytes per pixel."""

    width: int
    height: int
    channels: int
    pixels: bytes

    def cropped(self, width: int, height: int) -> RawPicture:
        """The top left ``width`` x ``height`` pixels (the library rounds sizes up; users get what they asked for)."""
        if (width, height) == (self.width, self.height):
            return self
        width, height = min(width, self.width), min(height, self.height)
        stride, kept = self.width * self.channels, width * self.channels
        rows = (self.pixels[y * stride : y * stride + kept] for y in range(height))
        return RawPicture(width, height, self.channels, b"".join(rows))


def write_pixels(folder: Path, pictures: list[RawPicture], captions: tuple[str, ...]) -> None:
    """Put a run's pixels into the spool. The manifest is renamed into place last: with it, the pixels are whole.

    Raises OSError when the disk is full or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ENCODED_NAME).unlink(missing_ok=True)
    entries = []
    for k, picture in enumerate(pictures):
        (folder / f"image_{k}.raw").write_bytes(picture.pixels)
        caption = captions[k] if k < len(captions) else ""
        entries.append([picture.width, picture.height, picture.channels, caption])
    temporary = folder / (_MANIFEST_NAME + ".part")
    temporary.write_text(json.dumps(entries), encoding="utf-8")
    os.replace(temporary, folder / _MANIFEST_NAME)


def has_pixels(folder: Path) -> bool:
    """Whether a whole run's pixels are waiting to be encoded here."""
    return (folder / _MANIFEST_NAME).is_file()


def has_pictures(folder: Path) -> bool:
    """Whether a whole run's pictures are here, as pixels or as files; then `encode_pixels` answers with their names."""
    return has_pixels(folder) or (folder / ENCODED_NAME).is_file()


def encode_pixels(folder: Path) -> tuple[str, ...]:
    """Encode every waiting picture as ``image_<k>.png`` with its caption, remove the pixels, return the file names.

    May be called again after it was interrupted, or when all is done: what is encoded already is kept. Raises OSError
    (disk full) and ValueError (the manifest and the pixels do not fit together).
    """
    with _encoding:
        manifest = folder / (_MANIFEST_NAME if has_pixels(folder) else ENCODED_NAME)
        entries = json.loads(manifest.read_text(encoding="utf-8"))
        names = []
        for k, (width, height, channels, caption) in enumerate(entries):
            raw, name = folder / f"image_{k}.raw", f"image_{k}.png"
            if raw.exists():
                _write_png(folder / name, RawPicture(width, height, channels, raw.read_bytes()), caption)
                raw.unlink()
            names.append(name)
        os.replace(manifest, folder / ENCODED_NAME)
        (folder / PREVIEW_NAME).unlink(missing_ok=True)
        return tuple(names)


def write_preview(path: Path, picture: RawPicture, max_size: int, quality: int) -> tuple[int, int]:
    """Write ``picture`` as a JPEG no larger than ``max_size`` on its longer side; returns its (width, height).

    Replaced in one rename, so that a reader never sees half a file. Raises OSError.
    """
    image = _image_of(picture).convert("RGB")
    image.thumbnail((max_size, max_size))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    image.save(temporary, "JPEG", quality=quality)
    os.replace(temporary, path)
    return image.width, image.height


def _image_of(picture: RawPicture) -> Image.Image:
    from PIL import Image

    mode = {1: "L", 3: "RGB", 4: "RGBA"}[picture.channels]
    return Image.frombytes(mode, (picture.width, picture.height), picture.pixels)


def _write_png(path: Path, picture: RawPicture, caption: str) -> None:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    if caption:
        text.add_text("parameters", caption)
    temporary = path.with_suffix(".part")
    _image_of(picture).save(temporary, "PNG", pnginfo=text, compress_level=_PNG_COMPRESS_LEVEL)
    os.replace(temporary, path)
