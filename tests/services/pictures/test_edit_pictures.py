from __future__ import annotations

import base64
import io
import struct
import zlib

import pytest
from PIL import Image, ImageFile

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.pictures.edit_pictures import fit_size, mask_of
from sdcpp_rest.services.pictures.input_images import measure_picture
from tests.cases import for_each_case


def file_of(picture: Image.Image, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form)
    return buffer.getvalue()


def shown(mask: str | None) -> Image.Image:
    assert mask is not None
    return Image.open(io.BytesIO(base64.b64decode(mask)))


def test_transparent_is_drawn_anew() -> None:
    picture = Image.new("RGBA", (4, 2), (200, 0, 0, 255))
    picture.putpixel((1, 1), (0, 0, 0, 0))
    picture.putpixel((2, 0), (0, 0, 0, 155))
    mask = shown(mask_of("mask", file_of(picture)))
    assert (mask.mode, mask.size) == ("L", (4, 2))
    assert [mask.getpixel(place) for place in ((0, 0), (1, 1), (2, 0))] == [0, 255, 100]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_without_transparency_white_is_drawn_anew(mode: str) -> None:
    picture = Image.new("L", (4, 2), 0)
    picture.putpixel((1, 1), 255)
    file = file_of(picture.convert(mode))
    assert [shown(mask_of("mask", file)).getpixel(place) for place in ((0, 0), (1, 1))] == [0, 255]
    assert mask_of("image", file, only_alpha=True) is None


def test_what_is_no_picture_is_refused_by_name() -> None:
    for call in (measure_picture, mask_of):
        with pytest.raises(InvalidRequest, match=r"^mask is not a picture in one of the formats") as refused:
            call("mask", b"nothing")
        assert "object at" not in refused.value.message


def test_a_picture_too_large_to_decode_is_not_decoded_for_its_exif(monkeypatch: pytest.MonkeyPatch) -> None:
    # A PNG of 60 thousand million pixels in a hundred bytes: `getexif` reads chunks behind the pixels, too.
    whole = file_of(Image.new("RGB", (4, 4)))
    sides = struct.pack(">IIBBBBB", 6_000_000, 10_000, 8, 2, 0, 0, 0)
    huge = whole[:12] + b"IHDR" + sides + struct.pack(">I", zlib.crc32(b"IHDR" + sides)) + whole[33:]
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(InvalidRequest, match=r"^image is 6000000x10000 pixels; at most"):
        measure_picture("image", huge)


def test_a_photo_is_as_wide_as_it_is_shown() -> None:
    picture, exif = Image.new("RGB", (40, 20)), Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", exif=exif)
    assert measure_picture("image", buffer.getvalue()) == (20, 40)


@for_each_case(
    ("given", "usual", "expected"),
    [
        ((64, 64), (64, 64), (64, 64)),
        ((3000, 2000), (1024, 1024), (1248, 832)),
        ((20, 30), (512, 512), (416, 624)),
        ((1, 1), (1024, 1024), (1024, 1024)),
        ((8000, 1), (1024, 1024), (4096, 64)),
        ((1, 8000), (1024, 1024), (64, 4096)),
    ],
)
def test_a_size_has_the_pictures_proportions_and_the_models_area(
    given: tuple[int, int], usual: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert fit_size(given, usual, 4096) == expected
