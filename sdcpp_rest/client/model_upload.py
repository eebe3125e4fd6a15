"""Reads a model file for an upload, piece by piece: it may be larger than the memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

PIECE_BYTES = 1 << 20


class ModelUpload:
    """Yields a file's bytes, in either way. Raises OSError where it cannot be read."""

    def __init__(self, file: Path, report: Callable[[int, int], None] | None = None) -> None:
        self._file = file
        self._report = report
        self.size = file.stat().st_size

    def read(self) -> Iterator[bytes]:
        """Yield it piece by piece."""
        sent = 0
        with self._file.open("rb") as opened:
            while piece := opened.read(PIECE_BYTES):
                yield piece
                sent += len(piece)
                if self._report is not None:
                    self._report(sent, self.size)
        if sent != self.size:
            raise OSError(f"{self._file} has changed while it was read")

    async def read_beside(self) -> AsyncIterator[bytes]:
        """The same for an event loop, which does not wait for the disk."""
        pieces = self.read()
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece
