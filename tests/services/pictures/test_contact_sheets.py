"""Contact sheets: pictures scaled down, cells without one black."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from sdcpp_rest.services.pictures.contact_sheets import draw_sheet


def test_pictures_are_scaled_down_and_what_is_none_is_black(tmp_path: Path) -> None:
    Image.new("RGBA", (200, 100), "red").save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    paths = [tmp_path / "a.png", tmp_path / "b.png", None, tmp_path / "gone.png"]
    sheet = Image.open(io.BytesIO(draw_sheet(paths, ["", ""], ["", ""], 50)))
    assert sheet.size == (2 * 50 + 4, 2 * 25 + 4)
    assert sheet.getpixel((25, 12)) == (255, 0, 0)
    assert [sheet.getpixel(place) for place in ((79, 12), (25, 41), (79, 41))] == [(0, 0, 0)] * 3
