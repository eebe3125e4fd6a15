"""The upscaler class against the real library."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdcpp_rest.native.context import NativeCancelled, NativeError, RawImage
from sdcpp_rest.native.library import Library
from sdcpp_rest.native.upscaler import Upscaler

pytestmark = pytest.mark.native


@pytest.mark.parametrize("factor", [2, 4])
def test_picture_grows_by_the_files_factor(demo_folder: Path, factor: int) -> None:
    half = b"\xff\x00\x00" * 16 + b"\x00\x00\xff" * 16
    image = RawImage(32, 16, 3, half * 16)
    with Upscaler.load(str(demo_folder / f"esrgan/esrgan_x{factor}.safetensors"), n_threads=1) as upscaler:
        assert upscaler.factor == factor
        larger = upscaler.upscale(image)
        assert upscaler.upscale(image).pixels == larger.pixels
    assert (larger.width, larger.height, larger.channels) == (32 * factor, 16 * factor, 3)
    middle = 8 * factor * larger.width
    left, right = 3 * (middle + 4 * factor), 3 * (middle + 28 * factor)
    assert larger.pixels[left] > larger.pixels[left + 2] + 60
    assert larger.pixels[right + 2] > larger.pixels[right] + 60


def test_file_that_is_no_upscaler_is_refused(demo_folder: Path) -> None:
    with pytest.raises(NativeError):
        Upscaler.load(str(demo_folder / "taesd/demo_tae.safetensors"), n_threads=1)


def test_wrong_channels_are_refused_before_the_call(demo_folder: Path) -> None:
    path = str(demo_folder / "esrgan/esrgan_x2.safetensors")
    with Upscaler.load(path, n_threads=1) as upscaler, pytest.raises(ValueError, match="3 channels, got 4"):
        upscaler.upscale(RawImage(8, 8, 4, bytes(256)))


def test_closed_upscaler_refuses_and_closes_twice(demo_folder: Path) -> None:
    upscaler = Upscaler.load(str(demo_folder / "esrgan/esrgan_x2.safetensors"), n_threads=1)
    upscaler.close()
    upscaler.close()
    with pytest.raises(ValueError, match="unloaded"):
        upscaler.upscale(RawImage(8, 8, 3, bytes(192)))


@pytest.mark.parametrize("tile_size", [1, 2, 7, 16, 64, 2**31 - 1])
def test_any_tile_size_fills_the_whole_picture(demo_folder: Path, tile_size: int) -> None:
    grey = RawImage(20, 13, 3, b"\x80" * (20 * 13 * 3))
    path = str(demo_folder / "esrgan/esrgan_x2.safetensors")
    with Upscaler.load(path, n_threads=1, tile_size=tile_size) as upscaler:
        larger = upscaler.upscale(grey)
    assert (larger.width, larger.height) == (40, 26)
    assert min(larger.pixels) > 64


def test_smallest_pictures_grow(demo_folder: Path) -> None:
    with Upscaler.load(str(demo_folder / "esrgan/esrgan_x4.safetensors"), n_threads=1) as upscaler:
        assert upscaler.upscale(RawImage(1, 1, 3, b"\x80" * 3)).width == 4
        assert upscaler.upscale(RawImage(1, 40, 3, b"\x80" * 120)).height == 160


@pytest.mark.parametrize("tile_size", [0, -1])
def test_no_tile_is_refused(demo_folder: Path, tile_size: int) -> None:
    with pytest.raises(ValueError, match="tile_size must be at least 1 pixel"):
        Upscaler.load(str(demo_folder / "esrgan/esrgan_x2.safetensors"), tile_size=tile_size)


def test_file_decides_the_factor_whatever_is_asked(demo_folder: Path) -> None:
    with Upscaler.load(str(demo_folder / "esrgan/esrgan_x2.safetensors"), n_threads=1) as upscaler:
        assert upscaler.upscale(RawImage(8, 8, 3, bytes(192)), 1_000_000).width == 16


def test_cancel_stops_between_tiles_and_the_upscaler_goes_on(demo_folder: Path, library: Library) -> None:
    image = RawImage(64, 64, 3, bytes(range(192)) * 64)
    # Numbers of their own: a cancelled one is remembered for the life of the process.
    path = str(demo_folder / "esrgan/esrgan_x2.safetensors")
    with Upscaler.load(path, n_threads=1, tile_size=16) as upscaler:
        whole = upscaler.upscale(image, run=701)
        tiles: list[int] = []

        def cancel_at_tile_two(tile: int, _tiles: int, _seconds: float) -> None:
            tiles.append(tile)
            if tile == 2:
                library.cancel(702)

        library.set_progress(cancel_at_tile_two)
        with pytest.raises(NativeCancelled):
            upscaler.upscale(image, run=702)
        library.set_progress(None)
        assert tiles == [0, 1, 2]
        assert upscaler.upscale(image, run=703) == whole
