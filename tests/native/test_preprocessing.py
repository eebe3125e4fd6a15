"""The library's own edge detector."""

from __future__ import annotations

import pytest

from sdcpp_rest.native.images import RawImage
from sdcpp_rest.native.preprocessing import canny

pytestmark = pytest.mark.native

HALVES = RawImage(32, 16, 3, (b"\x00" * 48 + b"\xff" * 48) * 16)


def _column(image: RawImage, x: int, y: int = 8) -> tuple[int, ...]:
    at = 3 * (y * image.width + x)
    return tuple(image.pixels[at : at + 3])


def test_edge_is_white_where_the_halves_meet() -> None:
    edges = canny(HALVES)
    assert (edges.width, edges.height, edges.channels) == (32, 16, 3)
    assert (255, 255, 255) in [_column(edges, x) for x in (14, 15, 16, 17)]
    assert _column(edges, 8) == _column(edges, 24) == (0, 0, 0)


def test_inverse_draws_black_on_white() -> None:
    edges, inverse = canny(HALVES), canny(HALVES, inverse=True)
    assert inverse.pixels == bytes(255 - value for value in edges.pixels)


def test_strong_is_the_brightness_of_edges() -> None:
    assert max(canny(HALVES, strong=0.5).pixels) == 128


def test_input_is_not_modified() -> None:
    pixels = HALVES.pixels
    before = bytes(bytearray(pixels))
    canny(HALVES)
    assert HALVES.pixels is pixels
    assert pixels == before


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 9), (3, 2)])
def test_smallest_pictures_keep_their_size(width: int, height: int) -> None:
    edges = canny(RawImage(width, height, 3, bytes(3 * width * height)))
    assert (edges.width, edges.height) == (width, height)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e30])
def test_strange_thresholds_are_survived(value: float) -> None:
    assert canny(HALVES, high_threshold=value, low_threshold=value, weak=value, strong=value).width == 32


@pytest.mark.parametrize("channels", [1, 4])
def test_wrong_channels_are_refused_before_the_call(channels: int) -> None:
    with pytest.raises(ValueError, match=f"canny needs 3 channels, got {channels}"):
        canny(RawImage(4, 4, channels, bytes(16 * channels)))
