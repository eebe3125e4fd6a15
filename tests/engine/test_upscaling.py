"""How often an upscaler runs, and what comes out."""

from __future__ import annotations

from sdcpp_rest.engine.raw_picture import RawPicture
from sdcpp_rest.engine.upscaling import enlarge, passes
from tests.cases import for_each_case


def tripled(picture: RawPicture) -> RawPicture:
    return RawPicture(picture.width * 3, picture.height * 3, 3, picture.pixels * 9)


def same(picture: RawPicture) -> RawPicture:
    return picture


@for_each_case(
    ("native", "factor", "repeats", "expected"),
    [(3, None, 1, 1), (3, 3, 2, 2), (3, 4, 1, 2), (3, 2, 1, 1), (3, 1, 1, 1), (1, 4, 1, 1), (2, 16, 1, 4)],
)
def test_passes_are_as_many_as_the_factor_needs(native: int, factor: int | None, repeats: int, expected: int) -> None:
    assert passes(native, factor, repeats) == expected


@for_each_case(("factor", "size"), [(None, (6, 3)), (3, (6, 3)), (2, (4, 2)), (4, (8, 4)), (1, (2, 1))])
def test_the_picture_has_the_size_that_was_asked_for(factor: int | None, size: tuple[int, int]) -> None:
    picture = RawPicture(2, 1, 3, bytes([9, 8, 7] * 2))
    larger = enlarge(picture, tripled, native_factor=3, factor=factor)
    assert (larger.width, larger.height) == size
    assert larger.pixels == bytes([9, 8, 7]) * (size[0] * size[1])


def test_repeats_multiply() -> None:
    larger = enlarge(RawPicture(2, 1, 3, bytes(6)), tripled, native_factor=3, factor=2, repeats=3)
    assert (larger.width, larger.height) == (16, 8)


def test_an_upscaler_that_enlarges_nothing_ends() -> None:
    larger = enlarge(RawPicture(2, 1, 3, bytes(6)), same, native_factor=1, factor=4)
    assert (larger.width, larger.height) == (8, 4)
