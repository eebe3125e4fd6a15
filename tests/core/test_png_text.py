from __future__ import annotations

import io

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sdcpp_rest.core.png_text import chunks, replace_text
from tests.cases import for_each_case


def png(**texts: str) -> bytes:
    buffer, chunks = io.BytesIO(), PngInfo()
    for key, text in texts.items():
        chunks.add_text(key, text)
    Image.effect_noise((33, 17), 80).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


@for_each_case("text", ["plain", "naïve \xff", "日本 🎨 \u200b", 'a\nb: "c"', "x" * 200_000])
def test_a_text_takes_the_place_of_another_and_the_pixels_stay(text: str) -> None:
    before = png(parameters="old", other="kept")
    after = opened(replace_text(before, "parameters", text))
    assert after.info["parameters"] == text
    assert after.info["other"] == "kept"
    assert after.tobytes() == opened(before).tobytes()


def test_a_text_that_was_unicode_before_is_replaced_too() -> None:
    data = replace_text(replace_text(png(), "parameters", "日本"), "parameters", "plain")
    assert opened(data).info == {"parameters": "plain"}
    assert data.count(b"parameters") == 1


def test_a_text_is_taken_out() -> None:
    assert "parameters" not in opened(replace_text(png(parameters="x"), "parameters", None)).info


@for_each_case("data", [b"", b"\xff\xd8\xff", png()[:-5], png()[:40], b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_whole_png_comes_back_as_it_is(data: bytes) -> None:
    assert replace_text(data, "parameters", "x") == data


def test_chunks_are_told_up_to_the_first_that_is_not_whole() -> None:
    whole = png(parameters="x")
    assert [kind for kind, _, _ in chunks(whole)][:2] == [b"IHDR", b"tEXt"]
    assert [kind for kind, _, _ in chunks(whole[:50])] == [b"IHDR"]
    assert list(chunks(b"no picture")) == []
