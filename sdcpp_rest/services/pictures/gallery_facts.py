"""Reads what the gallery tells of pictures: from the record in a job's folder, or from the files that lie in others.

Reads headers and small files, never pixels. Knows no database.
"""

from __future__ import annotations

import json
import logging
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

import sdcpp_rest.services.pictures.pillow_setup  # noqa: F401
from sdcpp_rest.core.gallery import PictureFacts, PictureKind, fold_of
from sdcpp_rest.services.pictures.metadata.found_settings import FoundSettings
from sdcpp_rest.services.pictures.metadata.reading import read_file
from sdcpp_rest.services.pictures.outputs import RECORD_NAME

log = logging.getLogger(__name__)

_KINDS: Mapping[str, PictureKind] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp"), "image"),
    **dict.fromkeys((".mp4", ".webm", ".mov", ".mkv", ".avi"), "video"),
}
_MOST_RECORD_BYTES = 4 * 1024 * 1024
_MOST_TEXT_CHARACTERS = 20_000
_MOST_GROUP_CHARACTERS = 100
_MOST_READ_BYTES = 64 * 1024 * 1024
_PNG_HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_LARGEST_NUMBER = 2**63 - 1


def read_folder(root: Path, folder: str) -> tuple[PictureFacts, ...]:
    """The pictures in ``folder`` (relative to the output folder ``root``; empty: that one itself). Of a job's folder
    those that the job made, none where it failed. Raises OSError."""
    record = _read_record(root / folder / RECORD_NAME)
    if record is not None:
        return tuple(_of_job(root, folder, record))
    return tuple(_of_folder(root, folder))


def _of_job(root: Path, folder: str, record: Mapping[str, Any]) -> Iterator[PictureFacts]:
    if record.get("error_code"):
        return
    params = _mapping(record.get("params"))
    spec = _mapping(record.get("model"))
    model = _text(_mapping(spec.get("model")).get("name")) or _text(params.get("model_name"))
    fold = fold_of(folder, _text(_mapping(record.get("group")).get("id"))[:_MOST_GROUP_CHARACTERS] or None)
    for number, path in enumerate(_texts(record.get("outputs"))):
        kind = _KINDS.get(Path(path).suffix.lower())
        status = _status(root / path) if Path(path).parent.as_posix() == folder and kind else None
        if kind is None or status is None:
            continue
        width, height = _size_of(root / path) if kind == "image" else _size_in(params)
        frames = _whole(params.get("video_frames")) if kind == "video" else None
        fps = _whole(params.get("fps"))
        yield PictureFacts(
            path=path,
            folder=folder,
            job_id=folder,
            number=number,
            # The later ones of a job are told after the earlier: newest first, the first one stands first.
            taken_ms=(_finished_ms(record) or status.st_mtime_ns // 1_000_000) - number,
            kind=kind,
            size_bytes=status.st_size,
            modified_ns=status.st_mtime_ns,
            width=width,
            height=height,
            frames=frames,
            duration=round(frames / fps, 3) if frames and fps else None,
            prompt=_text(params.get("prompt")),
            negative_prompt=_text(params.get("negative_prompt")),
            title=_text(record.get("title")),
            model=model,
            architecture=_text(spec.get("architecture")),
            seed=_seed(params.get("seed"), number),
            loras=tuple(dict.fromkeys(_text(_mapping(one).get("name")) for one in _list(params.get("loras")))),
            fold=fold,
        )


def _of_folder(root: Path, folder: str) -> Iterator[PictureFacts]:
    with os.scandir(root / folder) as entries:
        found = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    for name in found:
        kind = _KINDS.get(Path(name).suffix.lower())
        status = _status(root / folder / name) if kind else None
        if kind is None or status is None or name.encode("utf-8", "replace").decode() != name:
            continue
        words = _read_words(root / folder / name, status.st_size)
        width, height = _size_of(root / folder / name) if kind == "image" else (None, None)
        yield PictureFacts(
            path=f"{folder}/{name}" if folder else name,
            folder=folder,
            job_id=None,
            number=0,
            taken_ms=status.st_mtime_ns // 1_000_000,
            kind=kind,
            size_bytes=status.st_size,
            modified_ns=status.st_mtime_ns,
            width=width,
            height=height,
            prompt=_text(words.values.get("prompt")),
            negative_prompt=_text(words.values.get("negative_prompt")),
            model=_text(words.model.name),
            seed=_seed(words.values.get("seed"), 0),
            loras=tuple(dict.fromkeys(one.name for one in words.loras)),
        )


def _read_record(path: Path) -> Mapping[str, Any] | None:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_RECORD_BYTES:
            return None
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    is_ours = isinstance(record, dict) and isinstance(record.get("outputs"), list)
    return record if is_ours and record.get("job_id") == path.parent.name else None


def _read_words(path: Path, size_bytes: int) -> FoundSettings:
    """What a picture says of itself, whichever tool has written it."""
    if size_bytes > _MOST_READ_BYTES:
        return FoundSettings()
    try:
        read = read_file(path.read_bytes())
    except Exception:  # a damaged file must not end the scan
        log.debug("%s cannot be read", path, exc_info=True)
        return FoundSettings()
    return FoundSettings() if read is None else read.found


def _size_of(path: Path) -> tuple[int | None, int | None]:
    try:
        with path.open("rb") as file:
            head = file.read(24)
        if head.startswith(_PNG_HEAD) and len(head) == 24:
            width, height = struct.unpack(">II", head[16:])
            return (width, height) if 0 < width < 2**31 and 0 < height < 2**31 else (None, None)
        with Image.open(path) as picture:
            width, height = picture.size
            return width, height
    except Exception:  # as above
        return None, None


def _size_in(params: Mapping[str, Any]) -> tuple[int | None, int | None]:
    return _whole(params.get("width")), _whole(params.get("height"))


def _status(path: Path) -> os.stat_result | None:
    """Of a file that is no link: what links lead to may lie anywhere."""
    try:
        status = path.lstat()
    except (OSError, ValueError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _finished_ms(record: Mapping[str, Any]) -> int | None:
    """When the job was done: its submission and what it took."""
    timings = _mapping(record.get("timings"))
    names = ("queued_seconds", "load_seconds", "native_seconds", "encode_seconds")
    taken = [timings.get(name) for name in names]
    try:
        begin = datetime.fromisoformat(record["created_at"].replace("Z", "+00:00")).timestamp()
        moment = int((begin + sum(one for one in taken if isinstance(one, (int, float)))) * 1000)
    except (KeyError, ValueError, AttributeError, OverflowError, OSError):
        return None
    return moment if 0 <= moment < 2**53 else None


def _seed(value: Any, number: int) -> int | None:
    """Picture k of a job has the seed of the job and k more. Texts in pictures spell numbers out."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value + number if 0 <= value + number <= _LARGEST_NUMBER else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31 else None


def _text(value: Any) -> str:
    # Half of an emoji can be written in JSON and cannot be stored.
    return value[:_MOST_TEXT_CHARACTERS].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    return [one for one in _list(value) if isinstance(one, str)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
