"""Pictures inside results stay below what clients take, whatever was drawn."""

from __future__ import annotations

import base64
import io
import json
import random
from pathlib import Path

import pytest
from PIL import Image

from sdcpp_rest.routes.mcp.content import MOST_INLINE, MOST_INLINE_CHARACTERS, ShownFile, inline_pictures, make_result


def _noise(folder: Path, side: int, seed: int = 0) -> Path:
    """A picture that can hardly be compressed."""
    path = folder / f"noise_{side}_{seed}.png"
    if not path.exists():
        pixels = random.Random(seed).randbytes(side * side * 3)
        Image.frombytes("RGB", (side, side), pixels).save(path, compress_level=0)
    return path


def _plain(folder: Path, name: str, size: tuple[int, int]) -> Path:
    Image.new("RGB", size, "red").save(folder / name)
    return folder / name


def _size_of(block: dict[str, str]) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(block["data"]))).size


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, MOST_INLINE, MOST_INLINE + 1])
@pytest.mark.parametrize("inline", ["auto", "full"])
def test_all_pictures_of_a_result_fit_together(tmp_path: Path, count: int, inline: str) -> None:
    paths = [_noise(tmp_path, 1500, k % 2) for k in range(count)]
    blocks, note = inline_pictures(paths, inline)  # type: ignore[arg-type]
    assert sum(len(block["data"]) for block in blocks) <= MOST_INLINE_CHARACTERS
    if len(blocks) < count:
        assert str(count) in note or "too large" in note
    if inline == "auto":
        assert blocks
        assert all(max(_size_of(block)) <= 1024 for block in blocks)


def test_quality_goes_before_size(tmp_path: Path) -> None:
    (block,), note = inline_pictures([_noise(tmp_path, 900)], "auto")
    assert (_size_of(block), note) == ((900, 900), "")


def test_more_than_some_pictures_are_told_by_the_first_alone(tmp_path: Path) -> None:
    path = _plain(tmp_path, "a.png", (8, 8))
    blocks, note = inline_pictures([path] * (MOST_INLINE + 1), "auto")
    assert len(blocks) == 1
    assert note == f"Only the first of {MOST_INLINE + 1} pictures is shown here; see their urls."


def test_full_brings_the_file_itself_where_it_fits(tmp_path: Path) -> None:
    path = _plain(tmp_path, "a.png", (1600, 8))
    (block,), _ = inline_pictures([path], "full")
    assert (base64.b64decode(block["data"]), block["mimeType"]) == (path.read_bytes(), "image/png")
    (small,), _ = inline_pictures([path], "auto")
    assert _size_of(small) == (1024, 5)


def test_none_and_files_that_are_gone_or_damaged_leave_a_result_without_pictures(tmp_path: Path) -> None:
    path = _plain(tmp_path, "a.png", (8, 8))
    assert inline_pictures([path], "none") == ([], "")
    damaged = tmp_path / "b.png"
    damaged.write_bytes(b"no picture")
    for bad in (damaged, tmp_path / "gone.png"):
        blocks, note = inline_pictures([path, bad], "auto")
        assert not blocks
        assert note.startswith("No picture is shown here")
        assert str(tmp_path) not in note


def test_a_result_has_words_facts_pictures_and_links_and_no_base64_elsewhere(tmp_path: Path) -> None:
    path = _plain(tmp_path, "a.png", (8, 8))
    film = tmp_path / "b.mp4"
    film.write_bytes(b"x")
    files = [ShownFile(one, f"http://h/output/j/{one.name}", f"sdcpp://output/j/{one.name}") for one in (path, film)]
    result = make_result("Done.", {"job_id": "j", "warnings": []}, files, "auto")
    assert [block["type"] for block in result["content"]] == ["text", "image", "resource_link", "resource_link"]
    sentence, _, facts = result["content"][0]["text"].partition("\n")
    assert sentence == "Done."
    assert json.loads(facts) == result["structuredContent"] == {"job_id": "j", "warnings": []}
    assert [link["mimeType"] for link in result["content"][2:]] == ["image/png", "video/mp4"]
    assert result["content"][1]["data"] not in result["content"][0]["text"]
