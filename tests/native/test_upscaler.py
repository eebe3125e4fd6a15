"""The upscaler class against the real library."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdcpp_rest.native.context import NativeError, RawImage
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
