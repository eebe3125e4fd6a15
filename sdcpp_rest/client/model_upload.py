"""Reads a model file for an upload, piece by piece: it may be larger than the memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

PIECE_BYTES = 1 << 20


class ModelUpload:
    """Yields a file's bytes, to whoever iterates in either way. Raises OSError where it cannot be read."""

    def __init__(self, file: Path, report: Callable[[int, int], None] | None = None) -> None:
        self._file = file
        self._report = report
        self.size = file.stat().st_size

    def __iter__(self) -> Iterator[bytes]:
        sent = 0
        with self._file.open("rb") as opened:
            while piece := opened.read(PIECE_BYTES):
                yield piece
                sent += len(piece)
                if self._report is not None:
                    self._report(sent, self.size)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = iter(self)
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece
