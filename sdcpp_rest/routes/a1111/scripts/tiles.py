"""Cuts a picture into tiles that overlap, and puts drawn tiles together again without seams.

Pure functions over Pillow images; sizes are (width, height) in pixels. Knows no script.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from sdcpp_rest.services.pictures.inpainting import extend_edges

Size = tuple[int, int]


@dataclass(frozen=True)
class Tiling:
    """Where the tiles of a picture lie: their left edges, their top edges, one size for all.

    ``size`` is the picture's; where it is smaller than a tile, its edges are drawn out to ``canvas``.
    """

    size: Size
    canvas: Size
    tile: Size
    overlap: int
    lefts: tuple[int, ...]
    tops: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.lefts) * len(self.tops)

    def box(self, number: int) -> tuple[int, int, int, int]:
        """Tile ``number`` on the canvas, counted row by row: left, top, right, bottom."""
        left, top = self.lefts[number % len(self.lefts)], self.tops[number // len(self.lefts)]
        return left, top, left + self.tile[0], top + self.tile[1]

    def cut(self, picture: Image.Image) -> list[Image.Image]:
        """The tiles of ``picture``, row by row."""
        canvas = self._to_canvas(picture)
        return [canvas.crop(self.box(number)) for number in range(len(self))]

    def join(self, tiles: Sequence[Image.Image]) -> Image.Image:
        """The picture of its drawn tiles: each fades into the one before it over the overlap."""
        whole = Image.new("RGB", self.canvas)
        width, height = self.tile
        for row, top in enumerate(self.tops):
            strip = Image.new("RGB", (self.canvas[0], height))
            for column, left in enumerate(self.lefts):
                tile = tiles[row * len(self.lefts) + column]
                strip.paste(tile, (left, 0), _fade((width, height), self.overlap if column else 0, is_upright=False))
            size = (self.canvas[0], height)
            whole.paste(strip, (0, top), _fade(size, self.overlap if row else 0, is_upright=True))
        left, top = self._offset()
        return whole.crop((left, top, left + self.size[0], top + self.size[1]))

    def _to_canvas(self, picture: Image.Image) -> Image.Image:
        if self.canvas == self.size:
            return picture
        canvas = extend_edges(picture, self.canvas)
        canvas.paste(picture, self._offset())
        return canvas

    def _offset(self) -> tuple[int, int]:
        return (self.canvas[0] - self.size[0]) // 2, (self.canvas[1] - self.size[1]) // 2


def plan_tiles(size: Size, tile: Size, overlap: int) -> Tiling:
    """As few tiles as cover a picture of ``size``, spread evenly; neighbours share at least ``overlap`` pixels, which
    must be fewer than a tile has."""
    canvas = (max(size[0], tile[0]), max(size[1], tile[1]))
    lefts, tops = (_spread(canvas[side], tile[side], overlap) for side in (0, 1))
    return Tiling(size, canvas, tile, overlap, lefts, tops)


def _spread(side: int, tile: int, overlap: int) -> tuple[int, ...]:
    count = max(1, math.ceil((side - overlap) / (tile - overlap)))
    if count == 1:
        return (0,)
    return tuple(k * (side - tile) // (count - 1) for k in range(count))


def _fade(size: Size, overlap: int, *, is_upright: bool) -> Image.Image:
    """A mask that begins as nothing and is all after ``overlap`` pixels, from left to right or from top to bottom."""
    mask = Image.new("L", size, 255)
    if overlap:
        ramp = Image.new("L", (1, overlap) if is_upright else (overlap, 1))
        ramp.putdata([k * 255 // overlap for k in range(overlap)])
        room = (size[0], overlap) if is_upright else (overlap, size[1])
        mask.paste(ramp.resize(room, Image.Resampling.NEAREST), (0, 0))
    return mask
