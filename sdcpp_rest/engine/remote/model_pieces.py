"""Takes in model files piece by piece from the server, beside the place where they belong; they are there as a whole or
not at all. What has come of one that was broken off is gone on with.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from sdcpp_rest.engine.remote.model_places import ModelPlaces, PlaceError

# What a machine keeps free for everything else.
_RESERVE_BYTES = 1024 * 1024 * 1024


class ModelPieces:
    """Takes in pieces for one engine.

    Args:
        mark: tells this engine's unfinished files from those of another one on the same machine.
        reserve_bytes: of the disk stay free.
    """

    def __init__(self, places: ModelPlaces, mark: str, reserve_bytes: int = _RESERVE_BYTES) -> None:
        self._places = places
        self._mark = mark
        self._reserve_bytes = reserve_bytes

    def find_missing(self, places: Sequence[str]) -> list[tuple[str, int]]:
        """Those that are not here, with how many bytes of each have come before."""
        missing = []
        for place in places:
            try:
                target, size = self._places.target_of(place)
            except PlaceError:
                continue  # whoever asks for it is told
            if not target.exists() and size is not None:
                missing.append((place, self._size_of(self._part_of(target), size)))
        return missing

    def add(self, place: str, offset: int, piece: bytes) -> None:
        """Take in the piece at ``offset``. Raises OSError, PlaceError."""
        target, size = self._places.target_of(place)
        part = self._part_of(target)
        part.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(part.parent).free
        if size is not None and free < size - offset + self._reserve_bytes:
            needed = f"{size - offset} are needed, and some to spare"
            raise OSError(errno.ENOSPC, f"{target.name}: the disk has {free} bytes free, {needed}")
        with part.open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.write(piece)
            file.truncate()
        if offset + len(piece) == size:
            os.replace(part, target)

    def _part_of(self, target: Path) -> Path:
        return target.with_name(f".{target.name}.{self._mark}.part")

    @staticmethod
    def _size_of(part: Path, most: int) -> int:
        try:
            size = part.stat().st_size
        except OSError:
            return 0
        return size if size < most else 0
