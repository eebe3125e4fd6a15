"""Writes a zip of pictures while it is sent: nothing is kept but the piece at hand.

Stored, not deflated: pictures are compressed already. Knows no gallery.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

_PIECE_BYTES = 256 * 1024
_NAME_CHARACTERS = 60
_NOT_IN_NAMES = re.compile(r"[^\w-]+")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)


class ZipEntry(NamedTuple):
    """A file and its name in the archive; no file for one that is gone."""

    name: str
    file: Path | None


class _Pipe(io.RawIOBase):
    """Hands out what was written to it, in order. Cannot seek: the archive tells sizes after each file."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]  # a buffer of any kind, as the base class has it
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def stream_zip(entries: Iterable[ZipEntry]) -> Iterator[bytes]:
    """The archive in pieces. A file that is gone, or cannot be read to its end, is named in ``missing.txt`` in it."""
    pipe = _Pipe()
    names: set[str] = set()
    missing: list[str] = []
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            name = _free_name(entry.name, names)
            if entry.file is None:
                missing.append(name)
                continue
            try:
                source = entry.file.open("rb")
            except OSError:
                missing.append(name)
                continue
            with source:
                yield from _add(archive, pipe, source, entry.file, name, missing)
        if missing:
            lines = "".join(f"{name}\n" for name in missing)
            archive.writestr("missing.txt", f"These could not be read:\n{lines}")
    yield pipe.take()


def name_picture(prompt: str, seed: int | None, path: str) -> str:
    """``a-lighthouse-at-dusk_42.png``: the words of the prompt and the seed, or what the file is called."""
    file = Path(path)
    words = _NOT_IN_NAMES.sub("-", prompt[: _NAME_CHARACTERS * 2]).strip("-_")[:_NAME_CHARACTERS].rstrip("-_")
    name = words or _NOT_IN_NAMES.sub("-", file.stem).strip("-_")[:_NAME_CHARACTERS] or "picture"
    if _RESERVED.fullmatch(name):
        name = f"{name}-"
    return f"{name}{'' if seed is None else f'_{seed}'}{file.suffix.lower()}"


def _add(
    archive: zipfile.ZipFile, pipe: _Pipe, source: io.BufferedReader, file: Path, name: str, missing: list[str]
) -> Iterator[bytes]:
    info = zipfile.ZipInfo.from_file(file, name, strict_timestamps=False)
    with archive.open(info, "w", force_zip64=info.file_size >= zipfile.ZIP64_LIMIT) as target:
        try:
            while piece := source.read(_PIECE_BYTES):
                target.write(piece)
                yield pipe.take()
        except OSError:
            # What was read of it is in the archive, and this says that it is not whole.
            missing.append(name)
    yield pipe.take()


def _free_name(name: str, taken: set[str]) -> str:
    """``name``, with a number where another file has it; whatever the case, as some systems see it."""
    stem, ending = Path(name).stem, Path(name).suffix
    free, number = name, 1
    while free.casefold() in taken:
        number += 1
        free = f"{stem}-{number}{ending}"
    taken.add(free.casefold())
    return free
