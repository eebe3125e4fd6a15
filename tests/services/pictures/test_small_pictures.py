from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.pictures import small_pictures
from sdcpp_rest.services.pictures.small_pictures import draw_placeholder, shrink_file, shrink_picture
from tests.cases import for_each_case


def picture_bytes(mode: str, size: tuple[int, int], format: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, format)
    return file.getvalue()


def size_of(body: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(body)) as picture:
        assert picture.format == "JPEG"
        return picture.size


@for_each_case("mode", ["RGB", "RGBA", "L", "P", "I;16", "1"])
@for_each_case(("size", "small"), [((1024, 512), (256, 128)), ((100, 50), (100, 50)), ((3, 2000), (1, 256))])
def test_picture_is_small_and_keeps_its_proportions(mode: str, size: tuple[int, int], small: tuple[int, int]) -> None:
    assert size_of(shrink_picture("preview", picture_bytes(mode, size))) == small


def test_transparent_picture_is_white_there() -> None:
    with Image.open(io.BytesIO(shrink_picture("preview", picture_bytes("RGBA", (8, 8))))) as small:
        assert small.convert("RGB").getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("data", [b"", b"no picture", picture_bytes("RGB", (8, 8))[:45]])
def test_what_is_no_picture_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        shrink_picture("preview", data)
    path = tmp_path / "a.png"
    path.write_bytes(data)
    assert shrink_file(str(path), len(data), 1) is None


def test_what_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = picture_bytes("RGB", (8, 8))
    monkeypatch.setattr(small_pictures, "MAX_BYTES", len(data) - 1)
    with pytest.raises(InvalidRequest, match="at most"):
        shrink_picture("preview", data)
    path = tmp_path / "a.png"
    path.write_bytes(data)
    assert shrink_file(str(path), len(data), 1) is None


def test_file_is_shrunk_anew_when_it_is_another(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(picture_bytes("RGB", (300, 300)))
    before = shrink_file(str(path), 1, 1)
    path.write_bytes(picture_bytes("RGB", (300, 150)))
    after = shrink_file(str(path), 1, 2)
    assert before is not None
    assert after is not None
    assert (size_of(before), size_of(after)) == ((256, 256), (256, 128))
    path.unlink()
    assert shrink_file(str(path), 1, 3) is None


def test_placeholder_is_a_picture() -> None:
    assert size_of(draw_placeholder()) == (256, 256)
