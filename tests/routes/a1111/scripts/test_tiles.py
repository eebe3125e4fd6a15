from __future__ import annotations

import itertools

from PIL import Image, ImageChops

from sdcpp_rest.routes.a1111.scripts.tiles import plan_tiles
from tests.cases import for_each_case


def slope(size: tuple[int, int]) -> Image.Image:
    """A picture in which every place has its own colour, nearly."""
    across = Image.linear_gradient("L").rotate(90).resize(size)
    down = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (across, down, Image.new("L", size, 90)))


@for_each_case(
    ("size", "tile", "overlap", "lefts", "tops"),
    [
        ((1024, 1024), (512, 512), 64, (0, 256, 512), (0, 256, 512)),
        ((128, 128), (64, 64), 8, (0, 32, 64), (0, 32, 64)),
        ((128, 64), (64, 64), 0, (0, 64), (0,)),
        ((100, 64), (64, 64), 16, (0, 36), (0,)),
        ((64, 64), (64, 64), 63, (0,), (0,)),
        ((32, 200), (64, 128), 16, (0,), (0, 72)),
    ],
)
def test_tiles_cover_the_picture(
    size: tuple[int, int], tile: tuple[int, int], overlap: int, lefts: tuple[int, ...], tops: tuple[int, ...]
) -> None:
    tiling = plan_tiles(size, tile, overlap)
    assert (tiling.lefts, tiling.tops) == (lefts, tops)
    assert len(tiling) == len(lefts) * len(tops)
    for edges, side in ((lefts, tile[0]), (tops, tile[1])):
        assert all(before + side - after >= overlap for before, after in itertools.pairwise(edges))


@for_each_case("size", [(160, 96), (64, 64), (40, 200), (30, 30), (61, 131)])
@for_each_case("overlap", [0, 8, 32])
def test_tiles_that_are_left_alone_make_the_same_picture(size: tuple[int, int], overlap: int) -> None:
    picture = slope(size)
    tiling = plan_tiles(size, (64, 64), overlap)
    tiles = tiling.cut(picture)
    assert {one.size for one in tiles} == {(64, 64)}
    # A blend of two equal pixels may be one less.
    assert max(high for _, high in ImageChops.difference(tiling.join(tiles), picture).getextrema()) <= 1


def test_tiles_fade_into_each_other() -> None:
    tiling = plan_tiles((112, 64), (64, 64), 16)
    assert tiling.lefts == (0, 48)
    whole = tiling.join([Image.new("RGB", (64, 64), "black"), Image.new("RGB", (64, 64), "white")])
    row = [whole.getpixel((x, 30))[0] for x in range(112)]  # type: ignore[index]
    assert set(row[:48]) == {0}
    assert set(row[64:]) == {255}
    assert row[48:64] == sorted(row[48:64])
    assert len(set(row[48:64])) == 16
