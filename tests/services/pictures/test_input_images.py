"""Whatever a client may send as a picture: it becomes 8-bit pixels of the right size, or one clear sentence."""

from __future__ import annotations

import base64
import contextlib
import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.pictures.input_images import (
    MAX_PIXELS,
    decode_base64,
    open_picture,
    save_inputs,
    to_mask,
    to_reference,
    to_rgb,
)
from tests.cases import for_each_case

RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)


def encoded(picture: Image.Image, kind: str = "PNG", **more: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **more)
    return file.getvalue()


def paletted(index: int) -> Image.Image:
    """One index everywhere, in a palette of 256 times white."""
    picture = Image.new("P", (4, 4), index)
    picture.putpalette(bytes([255] * 768))
    return picture


def red_palette() -> Image.Image:
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette(bytes([*RED, 0, 0, 0]))
    return picture


def png_header(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG whose header says what it likes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def rgb_of(content: bytes, size: tuple[int, int] | None = None) -> Image.Image:
    return to_rgb(open_picture("init_image", content), size)


# --- base64 -----------------------------------------------------------------------------------------------------------


@for_each_case(
    "dress",
    [
        lambda text: text,
        lambda text: "data:image/png;base64," + text,
        lambda text: "  \n" + "\n".join(text[k : k + 4] for k in range(0, len(text), 4)),
        lambda text: text.rstrip("="),
        lambda text: text.replace("+", "-").replace("/", "_"),
        lambda text: "DATA:image/PNG;Base64," + text,
        lambda text: "data:image/png;charset=utf-8; base64," + text,
        lambda text: "data:," + text,
        lambda text: "data:image/png;base64," + quote(text, safe=""),
        lambda text: "data:image/png;base64," + "%0D%0A".join(text[k : k + 76] for k in range(0, len(text), 76)),
        lambda text: "data:image/png;base64,\n " + text + "\r\n",
        lambda text: "data:image/png," + quote(base64.b64decode(text), safe=""),
    ],
    ids=[
        "plain",
        "data URL",
        "white space",
        "no padding",
        "URL alphabet",
        "capitals",
        "parameters",
        "no base64 said",
        "percent-encoded",
        "encoded line breaks",
        "spaces in a data URL",
        "percent-encoded bytes",
    ],
)
@for_each_case("content", [b"\xfb\xff\xfe", b"\xfb\xff\xfe\x01", b"\x89PNG \xfb" + b"a" * 1000])
def test_base64_is_read_in_every_common_dress(content: bytes, dress: Callable[[str], str]) -> None:
    assert decode_base64("init_image", dress(base64.b64encode(content).decode())) == content


@for_each_case(
    "text",
    [
        "",
        "   ",
        "!!!",
        "a",
        "äöü",
        "data:",
        "data:image/png",
        "a\0bc",
        "http://host/a.png",
        "\ud800",
        "data:image/png;base64,!",
        "data:image/png;base64,%",
        "DATA:image/png",
        "%",
        "%ZZ",
    ],
)
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^init_image ") as caught:
        decode_base64("init_image", text)
    assert caught.value.detail["field"] == "init_image"


# --- kinds of pictures ------------------------------------------------------------------------------------------------


@for_each_case("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_listed_format_is_read(kind: str) -> None:
    picture = rgb_of(encoded(Image.new("RGB", (20, 10), RED), kind))
    assert (picture.mode, picture.size) == ("RGB", (20, 10))
    assert all(abs(is_ - should) <= 2 for is_, should in zip(picture.getpixel((5, 5)), RED, strict=True))


@for_each_case(
    ("picture", "kind", "more", "expected"),
    [
        (Image.new("L", (4, 4), 100), "PNG", {}, (100, 100, 100)),
        (Image.new("1", (4, 4), 1), "PNG", {}, WHITE),
        (Image.new("LA", (4, 4), (100, 255)), "PNG", {}, (100, 100, 100)),
        (Image.new("LA", (4, 4), (100, 0)), "PNG", {}, WHITE),
        (Image.new("RGBA", (4, 4), (*RED, 255)), "PNG", {}, RED),
        (Image.new("RGBA", (4, 4), (*RED, 0)), "PNG", {}, WHITE),
        (Image.new("RGBA", (4, 4), (0, 0, 0, 128)), "PNG", {}, (127, 127, 127)),
        (Image.new("I;16", (4, 4), 0x8000), "PNG", {}, (127, 127, 127)),
        (Image.new("I;16", (4, 4), 0xFFFF), "TIFF", {}, WHITE),
        (Image.new("I", (4, 4), 70_000), "TIFF", {}, WHITE),
        (Image.new("F", (4, 4), 0.5), "TIFF", {}, (127, 127, 127)),
        (Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF", {}, RED),
        (red_palette(), "PNG", {}, RED),
        (red_palette(), "PNG", {"transparency": 0}, WHITE),
        (red_palette(), "PNG", {"transparency": bytes(2)}, WHITE),
        (Image.new("RGB", (4, 4), RED), "PNG", {"transparency": RED}, WHITE),
        (Image.new("L", (4, 4), 7), "PNG", {"transparency": 7}, WHITE),
    ],
)
def test_every_pixel_format_becomes_rgb_over_white(
    picture: Image.Image, kind: str, more: dict[str, Any], expected: tuple[int, int, int]
) -> None:
    result = rgb_of(encoded(picture, kind, **more), (8, 8))
    assert (result.mode, result.size) == ("RGB", (8, 8))
    assert result.getpixel((4, 4)) == expected


def test_cmyk_jpeg_is_read() -> None:
    red, green, blue = rgb_of(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")).getpixel((8, 8))
    assert red > 240
    assert green < 20
    assert blue < 20


@for_each_case(
    ("picture", "more", "expected"),
    [
        (Image.new("L", (4, 4), 255), {}, 255),
        (Image.new("RGB", (4, 4), "white"), {}, 255),
        (Image.new("RGBA", (4, 4), (255, 255, 255, 0)), {}, 0),
        (Image.new("RGBA", (4, 4), (255, 255, 255, 255)), {}, 255),
        (Image.new("1", (4, 4), 1), {}, 255),
        (Image.new("I;16", (4, 4), 0x1000), {}, 15),
        (Image.new("I;16", (4, 4), 0xFFFF), {}, 255),
        (paletted(3), {"transparency": 3}, 0),
        (paletted(3), {"transparency": 4}, 255),
    ],
)
def test_every_pixel_format_becomes_a_mask(picture: Image.Image, more: dict[str, Any], expected: int) -> None:
    mask = to_mask(open_picture("mask_image", encoded(picture, **more)), (8, 8))
    assert (mask.mode, mask.size) == ("L", (8, 8))
    assert mask.getpixel((4, 4)) == expected


def test_lab_picture_is_no_surprise() -> None:
    content = encoded(Image.new("LAB", (4, 4), (128, 0, 0)), "TIFF")
    assert rgb_of(content).mode == "RGB"
    assert to_mask(open_picture("mask_image", content), (8, 8)).mode == "L"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_floating_point_picture_with_odd_numbers_is_read(value: float) -> None:
    content = encoded(Image.new("F", (4, 4), value), "TIFF")
    assert rgb_of(content).size == (4, 4)
    assert to_mask(open_picture("mask_image", content), (4, 4)).size == (4, 4)


@for_each_case("size", [(1, 1), (1, 1000), (1000, 1), (3, 7)])
def test_odd_sizes_are_resized(size: tuple[int, int]) -> None:
    assert rgb_of(encoded(Image.new("RGB", size, RED)), (64, 32)).size == (64, 32)
    assert rgb_of(encoded(Image.new("RGB", size, RED))).size == size, "reference pictures keep their size"


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        more = {"lossless": True} if kind == "WEBP" else {}
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **more)
        assert rgb_of(content).getpixel((4, 4)) == RED


def test_picture_is_turned_as_its_exif_says() -> None:
    picture = Image.new("RGB", (20, 10), "black")
    picture.paste(RED, (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the left of the sensor is the top
    turned = rgb_of(encoded(picture, "PNG", exif=exif))
    assert turned.size == (10, 20)
    assert turned.getpixel((5, 2)) == RED
    assert turned.getpixel((5, 17)) == BLACK


# --- what is no picture -----------------------------------------------------------------------------------------------

WHOLE = encoded(Image.effect_noise((64, 64), 50))


@for_each_case(
    "content",
    [
        b"",
        b"\0",
        b"\x89PNG\r\n\x1a\n",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='10' height='10'/>",
        b"<!doctype html><img src='a.png'>",
        b"GIF89a",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        b"%PDF-1.7",
        b"\0\0\1\0" + bytes(100),
        bytes(range(256)) * 16,
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:40],
        WHOLE[:60] + b"\0" * 100 + WHOLE[160:],
        encoded(Image.new("RGB", (64, 64), RED), "JPEG")[:200],
        encoded(Image.new("RGB", (64, 64), RED), "TIFF")[:50],
        png_header(0, 0),
        png_header(0, 10),
        png_header(10, 10),
    ],
    ids=lambda content: repr(content[:12]),
)
def test_what_cannot_be_decoded_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"^init_image ") as caught:
        open_picture("init_image", content)
    assert caught.value.detail["field"] == "init_image"


@for_each_case("size", [(50_000, 50_000), (50_000, 1_500), (2**31 - 1, 2**31 - 1), (8193, 8192), (12_000, 12_000)])
def test_picture_that_would_fill_the_memory_is_refused_by_its_header(size: tuple[int, int]) -> None:
    content = png_header(*size)
    assert len(content) < 100
    with pytest.raises(InvalidRequest, match=f"{MAX_PIXELS}"):
        open_picture("init_image", content)


def test_rows_that_never_end_are_not_unpacked() -> None:
    """A kilobyte that would unpack to gigabytes behind a small header."""
    bomb = png_header(4, 4, bytes(50_000_000))
    assert len(bomb) < 100_000
    tracemalloc.start()
    try:
        with contextlib.suppress(InvalidRequest):
            open_picture("init_image", bomb)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_text_chunk_that_unpacks_to_gigabytes_is_refused() -> None:
    packed = zlib.compress(bytes(100_000_000))
    chunk = b"zTXt" + b"Comment\0\0" + packed
    whole = encoded(Image.new("L", (4, 4)))
    bomb = whole[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + whole[33:]
    with pytest.raises(InvalidRequest, match="damaged"):
        open_picture("init_image", bomb)


# --- on disk ----------------------------------------------------------------------------------------------------------


def test_pictures_are_saved_by_role(tmp_path: Path) -> None:
    text = base64.b64encode(encoded(Image.new("RGB", (10, 20), RED))).decode()
    names = save_inputs(tmp_path / "job", {"init_image": text, "ref_images.1": text, "mask_image": text}, (32, 16))
    assert names == {"init_image": "init_image.png", "ref_images.1": "ref_images.1.png", "mask_image": "mask_image.png"}
    sizes = {}
    for role, name in names.items():
        with Image.open(tmp_path / "job" / name) as picture:
            sizes[role] = (picture.mode, picture.size)
    assert sizes == {"init_image": ("RGB", (32, 16)), "ref_images.1": ("RGB", (64, 128)), "mask_image": ("L", (32, 16))}


def test_no_pictures_make_no_folder(tmp_path: Path) -> None:
    assert save_inputs(tmp_path / "job", {}, (8, 8)) == {}
    assert not (tmp_path / "job").exists()


def test_one_bad_picture_leaves_nothing_of_the_good_ones(tmp_path: Path) -> None:
    good = base64.b64encode(encoded(Image.new("RGB", (8, 8)))).decode()
    with pytest.raises(InvalidRequest, match=r"^ref_images.0 "):
        save_inputs(tmp_path / "job", {"init_image": good, "ref_images.0": "AAAA"}, (8, 8))
    assert not (tmp_path / "job").exists()


@pytest.mark.slow
@for_each_case(
    ("given", "stored"),
    [
        ((640, 480), (640, 480)),
        ((650, 470), (656, 464)),
        ((30, 20), (96, 64)),
        ((4000, 2000), (2048, 1024)),
        ((1, 1000), (64, 2048)),
    ],
)
def test_references_are_brought_to_the_grid_in_their_proportions(
    given: tuple[int, int], stored: tuple[int, int]
) -> None:
    assert to_reference(Image.new("RGB", given)).size == stored


@pytest.mark.parametrize(("size", "area"), [((10, 1000), (16, 16)), ((1000, 10), (32, 32))])
def test_reference_that_the_library_would_make_a_side_of_zero_of_is_refused(
    tmp_path: Path, size: tuple[int, int], area: tuple[int, int]
) -> None:
    text = base64.b64encode(encoded(Image.new("RGB", size))).decode()
    with pytest.raises(InvalidRequest, match=r"^ref_images.0 is too narrow"):
        save_inputs(tmp_path / "job", {"ref_images.0": text}, area)
    assert not (tmp_path / "job").exists()
    assert save_inputs(tmp_path / "job", {"ref_images.0": text}, area, resizes_references=False)


# --- roles ------------------------------------------------------------------------------------------------------------


def test_every_role_gets_its_size_and_channels(tmp_path: Path) -> None:
    text = base64.b64encode(encoded(Image.new("RGB", (100, 52), RED))).decode()
    sized = ("init_image", "end_image", "control_image", "control_frames.0", "control_frames.11")
    kept = ("ref_images.0", "pm_id_images.0", "pm_id_images.1")
    names = save_inputs(tmp_path / "job", dict.fromkeys((*sized, *kept, "mask_image"), text), (48, 24))
    shapes = {}
    for role, name in names.items():
        with Image.open(tmp_path / "job" / name) as picture:
            shapes[role] = (picture.mode, picture.size)
    assert shapes == {
        **dict.fromkeys(sized, ("RGB", (48, 24))),
        **dict.fromkeys(kept, ("RGB", (128, 64))),
        "mask_image": ("L", (48, 24)),
    }


def test_avif_comes_in() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(buffer, "AVIF")
    assert open_picture("image", buffer.getvalue()).size == (64, 48)
    with pytest.raises(InvalidRequest, match=r"damaged|not a picture"):
        open_picture("image", buffer.getvalue()[:200])
