"""Copies pictures into and out of the library: plain bytes with a size.

Knows the layout of ``sd_image_t`` and who frees what; knows nothing of files or formats.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RawImage:
    """Interleaved 8-bit pixels, row after row: ``len(pixels) == width * height * channels``."""

    width: int
    height: int
    channels: int
    pixels: bytes

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1 or self.channels < 1:
            raise ValueError(f"an image of {self.width}x{self.height} with {self.channels} channels does not exist")
        expected = self.width * self.height * self.channels
        if len(self.pixels) != expected:
            raise ValueError(f"{len(self.pixels)} bytes of pixels where {expected} are needed")


class LentImages:
    """Points ``sd_image_t`` structs at our own bytes. The library reads them during the call: keep this object till
    then."""

    def __init__(self, raw: Any, images: Sequence[RawImage], *, channels: int, role: str) -> None:
        # One picture that stands for all frames of a video is lent many times and copied once.
        self._buffers: dict[int, Any] = {}
        self.array = (raw.sd_image_t * len(images))()
        for struct, image in zip(self.array, images, strict=True):
            if image.channels != channels:
                # The library asserts on any other count, which would cost the process.
                raise ValueError(f"{role} needs {channels} channels, got {image.channels}")
            if id(image) not in self._buffers:
                self._buffers[id(image)] = (ctypes.c_uint8 * len(image.pixels)).from_buffer_copy(image.pixels)
            buffer = self._buffers[id(image)]
            struct.width, struct.height, struct.channel = image.width, image.height, image.channels
            struct.data = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_uint8))

    def __len__(self) -> int:
        return len(self.array)


def copy_image(struct: Any) -> RawImage | None:
    """A copy of one ``sd_image_t``; ``None`` where the library left it empty."""
    size = struct.width * struct.height * struct.channel
    if not struct.data or size == 0:
        return None
    return RawImage(struct.width, struct.height, struct.channel, ctypes.string_at(struct.data, size))
