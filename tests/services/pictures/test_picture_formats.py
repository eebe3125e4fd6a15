from __future__ import annotations

import io

import pytest
from PIL import Image

from sdcpp_rest.services.pictures.picture_formats import FORMATS, KEY, encode, texts_of

TEXT = "a cat, naïve 日本 🎨\nNegative prompt: x\nSteps: 20, Sampler: Euler"


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("form", FORMATS)
def test_the_text_about_a_picture_survives_every_format(form: str) -> None:
    picture = opened(encode(Image.new("RGB", (24, 16), "red"), form, 90, {KEY: TEXT}))
    assert picture.format == {"png": "PNG", "webp": "WEBP"}.get(form, "JPEG")
    assert picture.size == (24, 16)
    assert texts_of(picture) == {KEY: TEXT}


@pytest.mark.parametrize("form", FORMATS)
def test_without_texts_there_are_none(form: str) -> None:
    assert texts_of(opened(encode(Image.new("RGBA", (8, 8), (1, 2, 3, 4)), form, 50, {}))) == {}


def test_a_png_keeps_all_its_texts() -> None:
    data = encode(Image.new("RGB", (8, 8)), "png", 80, {KEY: "x", "postprocessing": "y"})
    assert texts_of(opened(data)) == {KEY: "x", "postprocessing": "y"}


def test_quality_makes_a_file_smaller() -> None:
    noise = Image.effect_noise((64, 64), 90)
    assert len(encode(noise, "jpeg", 20, {})) < len(encode(noise, "jpeg", 95, {}))


def test_a_text_too_long_for_exif_is_cut_and_still_read() -> None:
    found = texts_of(opened(encode(Image.new("RGB", (8, 8)), "jpg", 80, {KEY: "x" * 100_000})))
    assert found[KEY].startswith("x" * 1000)


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        (b"UNICODE\0" + "Steps: 1".encode("utf-16-le"), "Steps: 1"),
        (b"UNICODE\0" + "Steps: 1".encode("utf-16-be"), "Steps: 1"),
        (b"ASCII\0\0\0Steps: 1", "Steps: 1"),
        (b"\0\0\0\0\0\0\0\0Steps: 1", "Steps: 1"),
        (b"Steps: 12345", "Steps: 12345"),
    ],
)
def test_comments_of_other_programs_are_read(comment: bytes, expected: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", exif=exif.tobytes())
    assert texts_of(opened(buffer.getvalue())) == {KEY: expected}
