from __future__ import annotations

import base64
import io
import json
import os
import tracemalloc

import pytest
from flask import Flask
from PIL import Image

from sdcpp_rest.routes.a1111 import painting
from sdcpp_rest.routes.a1111.errors import HTTPException
from sdcpp_rest.routes.a1111.painting import Source
from sdcpp_rest.services.pictures.picture_formats import encode, texts_of
from tests.cases import for_each_case

OPTIONS = {"samples_format": "png", "jpeg_quality": 80, "enable_pnginfo": True}


def png(colour: str = "red", size: tuple[int, int] = (8, 8)) -> bytes:
    return encode(Image.new("RGB", size, colour), "png", 80, {"parameters": "old"})


@for_each_case("sizes", [[], [0], [1], [3], [196_608], [196_609, 5, 400_000]])
def test_pictures_are_sent_as_one_json_object_of_the_length_that_was_told(sizes: list[int]) -> None:
    pictures = [os.urandom(size) for size in sizes]
    with Flask(__name__).test_request_context():
        answer = painting.pictures_answer(pictures, "images", {"info": 'a "quoted" 日本'})
        raw = answer.get_data()
    assert len(raw) == answer.content_length
    body = json.loads(raw)
    assert [base64.b64decode(text, validate=True) for text in body["images"]] == pictures
    assert body["info"] == 'a "quoted" 日本'


def test_a_single_picture_is_no_list() -> None:
    with Flask(__name__).test_request_context():
        answer = painting.pictures_answer([b"abcd"], "image", {"html_info": ""}, is_list=False)
    assert json.loads(answer.get_data()) == {"image": "YWJjZA==", "html_info": ""}


def test_a_large_picture_takes_no_second_place_in_memory() -> None:
    picture = os.urandom(8 << 20)
    with Flask(__name__).test_request_context():
        tracemalloc.start()
        answer = painting.pictures_answer([picture], "images", {})
        for _ in answer.response:
            pass
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < len(picture)


def test_a_png_gets_another_text_and_keeps_its_pixels() -> None:
    painted = painting.finish_picture(png(), Source({}), "new", OPTIONS)
    picture = Image.open(io.BytesIO(painted))
    assert texts_of(picture) == {"parameters": "new"}
    assert (
        painting.finish_picture(png(), Source({}), "new", {**OPTIONS, "enable_pnginfo": False}).count(b"parameters")
        == 0
    )


def test_a_preview_gets_the_pictures_size() -> None:
    preview = painting.encode_preview(encode(Image.new("RGB", (4, 4), "blue"), "jpg", 90, {}), (16, 24))
    assert preview is not None
    assert Image.open(io.BytesIO(preview)).size == (16, 24)
    assert painting.encode_preview(b"broken", (16, 24)) is None


@for_each_case(("count", "size"), [(2, (16, 8)), (3, (16, 16)), (4, (16, 16)), (5, (24, 16)), (9, (24, 24))])
def test_a_grid_is_about_square(count: int, size: tuple[int, int]) -> None:
    whole = Image.open(io.BytesIO(painting.grid([png()] * count, "x", OPTIONS)))
    assert sorted(whole.size) == sorted(size)
    assert texts_of(whole) == {"parameters": "x"}


@pytest.mark.parametrize("address", ["http://x/y.png", "HTTPS://x", "https://127.0.0.1/x"])
def test_addresses_are_refused(address: str) -> None:
    with pytest.raises(HTTPException, match="Requests not allowed"):
        painting.refuse_addresses(None, address)
    painting.refuse_addresses(None, "", "data:image/png;base64,xx")
