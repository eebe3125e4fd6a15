"""Draws thumbnails of pictures and of the first frame of videos, kept beside their files: 120x120 JPEGs, or larger ones
as WebP.

Decoding is bounded in pixels, in bytes and in how many go on at once: the files may be anybody's. What cannot be drawn
gets a placeholder instead. Knows files only; what may be looked at is decided by the outputs service.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from PIL import Image, ImageOps

from sdcpp_rest.durable_files import sync_file
from sdcpp_rest.errors import InvalidRequest, OutputNotFound
from sdcpp_rest.services.pictures.input_images import MAX_PIXELS, to_rgb
from sdcpp_rest.services.pictures.outputs import thumbnail_of, version_of

log = logging.getLogger(__name__)

SIDE: Literal[120] = 120
"""Of a thumbnail, in pixels, where nobody asks for another one."""
Size = Literal[120, 256, 512, 1024]
Fit = Literal["cover", "inside"]
IMAGE_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp"})
# With the container's name: by its content alone, a file might be taken for a playlist that names other files.
_CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".webm": "matroska", ".mkv": "matroska", ".avi": "avi"}
VIDEO_ENDINGS = frozenset(_CONTAINERS)
ENDINGS = IMAGE_ENDINGS | VIDEO_ENDINGS

_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
# Some decoders read the whole file into memory.
_MAX_IMAGE_BYTES = 256 * 1024 * 1024
_MAX_PACKETS = 300
# WebPs are decoded with 15 bytes per pixel, videos into several frames: a quarter and a half of what others may have.
_MAX_WEBP_PIXELS = MAX_PIXELS // 4
_MAX_VIDEO_PIXELS = MAX_PIXELS // 2
_QUALITY = 82
# Of WebP's seven: the ones above take twice and thrice as long, and save a tenth.
_WEBP_METHOD = 1
# Pixels that are looked at per side when a picture is not averaged as it is: 8x8 for each of the thumbnail's, and not
# more than the thumbnail of 512 has.
_SAMPLED, _SAMPLED_SIDE = 8, 4096
_THREADS = 2
# Of the drawing threads, where threads have one of their own (Linux): whoever waits for an answer goes first.
_NICE = 10
# Four bytes per pixel while it is decoded: of those above 16 million pixels, one at a time.
_LARGE_PIXELS = 16_777_216
_decoding_large = threading.Lock()

_PLAY = """\
<svg xmlns="http://www.w3.org/2000/svg" width="120" height="120" viewBox="0 0 120 120">
<rect width="120" height="120" fill="#2b303b"/>
<circle cx="60" cy="60" r="30" fill="#fff" fill-opacity=".9"/>
<path d="M52 45v30l24-15z" fill="#2b303b"/>
</svg>
"""
_PICTURE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="120" height="120" viewBox="0 0 120 120">
<rect width="120" height="120" fill="#2b303b"/>
<path d="M30 38h60v44H30z" fill="none" stroke="#fff" stroke-width="4" stroke-opacity=".9"/>
<circle cx="46" cy="52" r="5" fill="#fff" fill-opacity=".9"/>
<path d="M34 78l18-18 12 12 10-8 12 14z" fill="#fff" fill-opacity=".9"/>
</svg>
"""


@dataclass(frozen=True)
class Shape:
    """How a thumbnail is to look. ``cover``: the middle, square; ``inside``: all of it, the longer side of that size.
    Only the usual one is ever larger than its picture."""

    size: Size = SIDE
    fit: Fit = "cover"
    is_webp: bool = False

    @property
    def is_usual(self) -> bool:
        return self == USUAL

    @property
    def reducing_gap(self) -> float:
        """How far whole pixels are averaged before the rest is done well: for large ones as far as that goes, which
        takes a fifth of the time, and shows nowhere."""
        return 3.0 if self.is_usual else 1.0

    @property
    def media_type(self) -> str:
        return "image/webp" if self.is_webp else "image/jpeg"

    @property
    def ending(self) -> str:
        """Of the file it is kept in, behind the picture's name."""
        return ".jpg" if self.is_usual else f".{self.fit}{self.size}.{'webp' if self.is_webp else 'jpg'}"


USUAL = Shape()


@dataclass(frozen=True)
class Thumbnail:
    """A small picture as a file's bytes. ``is_placeholder``: the file could not be drawn, and this is an SVG."""

    body: bytes
    media_type: str
    is_placeholder: bool = False


class _TooLarge(Exception):
    """More pixels or bytes than are decoded here."""


def stamp_of(path: Path) -> str:
    """What changes when the file is replaced by another one.

    Raises InvalidRequest for what is neither picture nor video by its name, OutputNotFound when it is gone.
    """
    if path.suffix.lower() not in ENDINGS or path.is_dir():
        raise InvalidRequest("Not a picture or a video", field="path", allowed=sorted(ENDINGS))
    try:
        status = path.stat()
    except OSError:
        raise OutputNotFound(f"Not found: {path.name}") from None
    return version_of(status.st_size, status.st_mtime_ns)


def thumbnail(path: Path, shape: Shape = USUAL) -> Thumbnail:
    """The small picture of a file that the outputs service gave: from ``.thumbs`` beside it, or drawn and put there.

    Raises as `stamp_of` does. Takes seconds at worst; two callers that draw the same one do not disturb each other.
    """
    stamp = stamp_of(path)
    body = _read_kept(thumbnail_of(path, shape.ending), stamp)
    if body is None:
        body = _pool().submit(_read_or_draw, path, stamp, shape).result()
        if body is None:
            placeholder = _PLAY if path.suffix.lower() in VIDEO_ENDINGS else _PICTURE
            return Thumbnail(placeholder.encode(), "image/svg+xml", is_placeholder=True)
    return Thumbnail(body, shape.media_type)


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    """All drawing happens on these threads, whoever asks."""
    return ThreadPoolExecutor(_THREADS, "thumbnails", initializer=_step_back)


def _step_back() -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def _read_or_draw(path: Path, stamp: str, shape: Shape) -> bytes | None:
    # Whoever was here before may have drawn the same one.
    return _read_kept(thumbnail_of(path, shape.ending), stamp) or _draw(path, stamp, shape)


def _read_kept(kept: Path, stamp: str) -> bytes | None:
    """A thumbnail that was drawn before, if it is whole and of the file as it is now: its comment says of which."""
    try:
        body = kept.read_bytes() if kept.is_file() else b""
    except OSError:
        return None
    if body.startswith(b"RIFF"):
        # WebP has its notes at the end.
        is_whole, notes = int.from_bytes(body[4:8], "little") + 8 == len(body), body[-1000:]
    else:
        is_whole, notes = body.startswith(b"\xff\xd8") and body.endswith(b"\xff\xd9"), body[:1000]
    return body if is_whole and _comment(stamp) in notes else None


def _draw(path: Path, stamp: str, shape: Shape) -> bytes | None:
    """``None`` for what cannot be drawn."""
    try:
        small = _poster(path, shape) if path.suffix.lower() in VIDEO_ENDINGS else _shrunk(path, shape)
    except ImportError:
        log.info("no thumbnail of %s: the library for videos is not installed", path.name)
        return None
    except Exception as error:  # decoders raise whatever they like on broken files
        log.info("no thumbnail of %s: %s", path.name, error)
        return None
    file = io.BytesIO()
    if shape.is_webp:
        small.save(file, "WEBP", quality=_QUALITY, method=_WEBP_METHOD, xmp=_comment(stamp))
    else:
        small.save(file, "JPEG", quality=_QUALITY, optimize=True, comment=_comment(stamp))
    body = file.getvalue()
    try:
        _keep(thumbnail_of(path, shape.ending), body)
    except OSError as error:
        # Not writable, full, or just removed: drawn again the next time.
        log.debug("the thumbnail of %s is not kept: %s", path.name, error)
    return body


def _comment(stamp: str) -> bytes:
    return f"of {stamp};".encode()


def _keep(target: Path, body: bytes) -> None:
    folder = target.parent
    if not folder.is_dir():
        before = folder.parent.stat()
        folder.mkdir(exist_ok=True)
        # To be looked at must not make a folder the newest one.
        with contextlib.suppress(OSError):
            os.utime(folder.parent, ns=(before.st_atime_ns, before.st_mtime_ns))
    if folder.is_symlink():
        raise NotADirectoryError(f"{folder} is a link")
    number, temporary = tempfile.mkstemp(dir=folder, suffix=".part")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(body)
        sync_file(Path(temporary))
        os.replace(temporary, target)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _shrunk(path: Path, shape: Shape) -> Image.Image:
    """A picture's first frame, smaller. Raises anything on a file that is none."""
    if path.stat().st_size > _MAX_IMAGE_BYTES:
        raise _TooLarge(f"more than {_MAX_IMAGE_BYTES} bytes")
    with Image.open(path, formats=_FORMATS) as picture:
        _check_size(*picture.size, at_most=_MAX_WEBP_PIXELS if picture.format == "WEBP" else MAX_PIXELS)
        # JPEGs can be decoded at an eighth of their size; for other formats this does nothing.
        factor = 2 * shape.size / min(picture.size)
        picture.draft(None, (int(picture.width * factor) + 1, int(picture.height * factor) + 1))
        is_large = picture.width * picture.height > _LARGE_PIXELS
        with _decoding_large if is_large else contextlib.nullcontext():
            picture.load()
            small = _shrink(picture, shape)
    with contextlib.suppress(Exception):  # a damaged EXIF block does not spoil the pixels
        small = ImageOps.exif_transpose(small)
    return small


def _shrink(picture: Image.Image, shape: Shape) -> Image.Image:
    box, size = _cut(picture.size, shape)
    if picture.mode in ("RGB", "L"):
        return to_rgb(picture.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=shape.reducing_gap), None)
    # Averaging these (palettes, transparency, 16 bits) takes whole copies in another mode: of a sample, not of all.
    most = min(shape.size * _SAMPLED, _SAMPLED_SIDE)
    sampled = (min(box[2] - box[0], most), min(box[3] - box[1], most))
    few = to_rgb(picture.resize(sampled, Image.Resampling.NEAREST, box=box), None)
    few.info = picture.info
    return few.resize(size, Image.Resampling.LANCZOS, reducing_gap=shape.reducing_gap)


def _cut(size: tuple[int, int], shape: Shape) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """What is shown of a picture of ``size``, and how large."""
    width, height = size
    if shape.fit == "inside":
        factor = min(1.0, shape.size / max(size))
        return (0, 0, width, height), (max(1, round(width * factor)), max(1, round(height * factor)))
    side = min(size)
    left, top = (width - side) // 2, (height - side) // 2
    shown = SIDE if shape.is_usual else min(shape.size, side)
    return (left, top, left + side, top + side), (shown, shown)


def _poster(path: Path, shape: Shape) -> Image.Image:
    """A video's first frame, smaller. Raises anything on a file that is none."""
    import av

    options = {"protocol_whitelist": "file"}
    container_format = _CONTAINERS[path.suffix.lower()]
    with av.open(str(path), format=container_format, container_options=options, timeout=5.0) as container:
        stream = container.streams.video[0]
        _check_size(stream.codec_context.width, stream.codec_context.height, at_most=_MAX_VIDEO_PIXELS)
        # For streams that are larger than their header says. The decoder counts some edges, too.
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        stream.codec_context.thread_count = 1
        for count, packet in enumerate(container.demux(stream)):
            for frame in packet.decode():
                _check_size(frame.width, frame.height, at_most=_MAX_VIDEO_PIXELS)
                factor = min(1.0, 2 * shape.size / min(frame.width, frame.height))
                width, height = (max(1, round(side * factor)) for side in (frame.width, frame.height))
                return _shrink(frame.to_image(width=width, height=height), shape)
            if count >= _MAX_PACKETS:
                break
    raise ValueError("no frame in it")


def _check_size(width: int, height: int, *, at_most: int) -> None:
    if width * height > at_most or min(width, height) < 1:
        raise _TooLarge(f"{width}x{height} pixels; at most {at_most} are decoded")
