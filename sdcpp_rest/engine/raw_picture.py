"""Holds pixels as the native library returns them.

Knows no file format and no library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class RawPicture:
    """Pixels as the library returns them: rows from the top, ``channels`` interleaved bytes per pixel."""

    width: int
    height: int
    channels: int
    pixels: bytes

    def crop(self, width: int, height: int) -> RawPicture:
        """The top left ``width`` x ``height`` pixels (the library rounds sizes up; users get what they asked for)."""
        if (width, height) == (self.width, self.height):
            return self
        width, height = min(width, self.width), min(height, self.height)
        stride, kept = self.width * self.channels, width * self.channels
        rows = (self.pixels[y * stride : y * stride + kept] for y in range(height))
        return RawPicture(width, height, self.channels, b"".join(rows))
