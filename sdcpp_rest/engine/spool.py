"""Stores a job's raw pixels in its spool folder and encodes them as PNG or video files.

Both sides of the wall use it: the worker writes the pixels before it takes the next job and encodes them beside the
next job's compute; if the worker dies in between, the server encodes what is here, so that a computed picture is never
lost. The folder lies on the output folder's filesystem, so that it can be renamed into place as a whole.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdcpp_rest.core.job import Failure
from sdcpp_rest.engine.raw_picture import RawPicture

if TYPE_CHECKING:
    from PIL import Image

PREVIEW_NAME = "preview.jpg"
_MANIFEST_NAME = "pixels.json"
_FRAMES_NAME = "frames.raw"
# The manifest's name when everything is encoded. Until the folder is published this alone says that the run is whole.
ENCODED_NAME = ".encoded.json"
_RESULTS = (_MANIFEST_NAME, ENCODED_NAME, "image_", "frame_", "video.", _FRAMES_NAME)
# Beside the pixels of a run that failed and left something to look at.
FAILURE_NAME = ".failure.json"
# An engine that is a thread "dies" without its encoder: that and the server must not encode the same folder at once.
_encoding = threading.Lock()
# Level 6 (zlib's default) takes 3x the time of 4 for files 2 % smaller.
_PNG_COMPRESS_LEVEL = 4


def import_encoders() -> None:
    """Import what writes PNGs and JPEGs, so that the first picture need not wait for it."""
    from PIL import JpegImagePlugin, PngImagePlugin  # noqa: F401


def write_pixels(folder: Path, pictures: list[RawPicture], captions: tuple[str, ...]) -> None:
    """Put a run's pixels into the spool. The manifest is renamed into place last: with it, the pixels are whole.

    Raises OSError when the disk is full or the folder cannot be written.
    """
    _begin(folder)
    entries = []
    for k, picture in enumerate(pictures):
        (folder / f"image_{k}.raw").write_bytes(picture.pixels)
        caption = captions[k] if k < len(captions) else ""
        entries.append([picture.width, picture.height, picture.channels, caption])
    _write_manifest(folder, entries)


def write_frames(folder: Path, frames: list[RawPicture], fps: int, video_format: str, caption: str) -> None:
    """Put a run's frames into the spool, all in one file, to become a video in one of `VIDEO_FORMATS`.

    The same promise as `write_pixels`. Raises OSError likewise, and ValueError for what can never be encoded: no
    frames, frames that are not RGB or not of one size, another format, ``fps`` below 1.
    """
    from sdcpp_rest.engine.video_encoding import VIDEO_FORMATS

    if video_format not in VIDEO_FORMATS:
        raise ValueError(f"video_format: {video_format!r} is none of {', '.join(VIDEO_FORMATS)}")
    if fps < 1:
        raise ValueError(f"fps: {fps} is less than 1")
    shapes = {(frame.width, frame.height, frame.channels) for frame in frames}
    if len(shapes) != 1 or next(iter(shapes))[2] != 3:
        raise ValueError(f"a video needs RGB frames of one size; these are {sorted(shapes)}")
    _begin(folder)
    with (folder / _FRAMES_NAME).open("wb") as file:
        for frame in frames:
            file.write(frame.pixels)
    width, height, _ = shapes.pop()
    _write_manifest(
        folder,
        {
            "width": width, "height": height, "count": len(frames), "fps": fps, "format": video_format,
            "caption": caption,
        },
    )  # fmt: skip


def write_failure(folder: Path, failure: Failure) -> None:
    """Note that the run failed whose pixels are put here next. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAILURE_NAME).write_text(failure.model_dump_json(), encoding="utf-8")


def read_failure(folder: Path) -> Failure | None:
    """Why the run failed whose results are here; ``None`` if it did not. Raises OSError and ValueError."""
    path = folder / FAILURE_NAME
    return Failure.model_validate_json(path.read_bytes()) if path.exists() else None


def has_pixels(folder: Path) -> bool:
    """Whether a whole run's pixels are waiting to be encoded here."""
    return (folder / _MANIFEST_NAME).is_file()


def has_pictures(folder: Path) -> bool:
    """Whether a whole run's results are here, as pixels or as files; then `encode_pixels` answers with their names."""
    return has_pixels(folder) or (folder / ENCODED_NAME).is_file()


def encode_pixels(folder: Path) -> tuple[str, ...]:
    """Encode what is waiting, remove the pixels, return the file names.

    Pictures become ``image_<k>.png``, each with its caption; frames become ``video.mp4`` (``.webm``, ``.webp``), or
    ``frame_<kkkk>.png``. May be called again after it was interrupted, or when all is done: what is encoded already is
    kept. Raises OSError (disk full) and ValueError (the manifest and the pixels do not fit together).
    """
    with _encoding:
        manifest = folder / (_MANIFEST_NAME if has_pixels(folder) else ENCODED_NAME)
        entries = json.loads(manifest.read_text(encoding="utf-8"))
        names = _encode_pictures(folder, entries) if isinstance(entries, list) else _encode_frames(folder, entries)
        os.replace(manifest, folder / ENCODED_NAME)
        (folder / PREVIEW_NAME).unlink(missing_ok=True)
        return names


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


class _StoredFrames:
    """Reads the frames of one raw file, one at a time."""

    def __init__(self, path: Path, width: int, height: int, count: int) -> None:
        self._path, self._width, self._height, self._count = path, width, height, count
        self._frame_bytes = width * height * 3
        if path.stat().st_size != self._frame_bytes * count:
            raise ValueError(f"not enough image data, or too much, for {count} frames of {width}x{height}")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, k: int, /) -> RawPicture:
        with self._path.open("rb") as file:
            file.seek(k * self._frame_bytes)
            return RawPicture(self._width, self._height, 3, file.read(self._frame_bytes))


def _begin(folder: Path) -> None:
    """Make room for a run's pixels: what an earlier attempt left would be taken for this one's."""
    try:
        folder.mkdir(parents=True)
        return
    except FileExistsError:
        pass
    stale = [name for name in os.listdir(folder) if name.startswith(_RESULTS)]
    # The manifests first: without one, nothing here is taken for a result.
    for name in sorted(stale, key=lambda name: name not in (_MANIFEST_NAME, ENCODED_NAME)):
        (folder / name).unlink(missing_ok=True)


def _write_manifest(folder: Path, entries: Any) -> None:
    temporary = folder / (_MANIFEST_NAME + ".part")
    temporary.write_text(json.dumps(entries), encoding="utf-8")
    os.replace(temporary, folder / _MANIFEST_NAME)


def _encode_pictures(folder: Path, entries: list[Any]) -> tuple[str, ...]:
    names = []
    for k, (width, height, channels, caption) in enumerate(entries):
        raw, name = folder / f"image_{k}.raw", f"image_{k}.png"
        if raw.exists():
            _write_png(folder / name, RawPicture(width, height, channels, raw.read_bytes()), caption)
            raw.unlink()
        names.append(name)
    return tuple(names)


def _encode_frames(folder: Path, video: dict[str, Any]) -> tuple[str, ...]:
    raw, count, caption = folder / _FRAMES_NAME, video["count"], video["caption"]
    as_pictures = video["format"] == "frames"
    names = [f"frame_{k:04d}.png" for k in range(count)] if as_pictures else [f"video.{video['format']}"]
    if raw.exists():
        frames = _StoredFrames(raw, video["width"], video["height"], count)
        if as_pictures:
            for k, name in enumerate(names):
                if not (folder / name).exists():
                    _write_png(folder / name, frames[k], caption)
        else:
            from sdcpp_rest.engine.video_encoding import encode_video

            encode_video(folder / names[0], frames, video["fps"], video["format"], caption)
        raw.unlink()
    return tuple(names)


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
