from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdcpp_rest.errors import GenerationFailed, LoadFailed, NotSupported
from sdcpp_rest.services.describing import image_tagger
from sdcpp_rest.services.describing.image_tagger import ImageTagger, deepdanbooru_input, wd_input
from sdcpp_rest.services.describing.tag_words import Tag, TagStyle, write_tags
from tests.cases import for_each_case
from tests.onnx_files import write_colour_model, write_wd_tagger

TAGS = [
    Tag("solo", "general", 0.9),
    Tag("1girl", "general", 0.99),
    Tag("long_hair", "general", 0.36),
    Tag("smile", "general", 0.34),
    Tag("saber_(fate)", "character", 0.86),
    Tag("other", "character", 0.84),
    Tag("^_^", "general", 0.5),
    Tag("general", "rating", 1.0),
]
EYE = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


# --- words ----------------------------------------------------------------------------------------------------------


def test_sure_tags_are_told_the_surest_first() -> None:
    assert write_tags(TAGS, TagStyle()) == r"1girl, solo, saber \(fate\), ^_^, long hair"


@for_each_case(
    ("style", "expected"),
    [
        (TagStyle(sorts_by_name=True), r"1girl, ^_^, long hair, saber \(fate\), solo"),
        (TagStyle(uses_spaces=False, escapes=False), "1girl, solo, saber_(fate), ^_^, long_hair"),
        (TagStyle(general_threshold=0.95), r"1girl, saber \(fate\)"),
        (TagStyle(general_threshold=0.95, character_threshold=0.9), "1girl"),
        (TagStyle(general_threshold=0.9, shows_scores=True), r"(1girl:0.990), (solo:0.900), (saber \(fate\):0.860)"),
        (TagStyle(leaves_out=frozenset({"solo", "long_hair"})), r"1girl, saber \(fate\), ^_^"),
        (TagStyle(general_threshold=1, character_threshold=1), ""),
    ],
)
def test_tags_are_told_as_the_style_says(style: TagStyle, expected: str) -> None:
    assert write_tags(TAGS, style) == expected


def test_equals_are_told_by_name() -> None:
    tags = [Tag("b", "general", 0.5), Tag("a", "general", 0.5)]
    assert write_tags(tags, TagStyle()) == write_tags(tags[::-1], TagStyle()) == "a, b"


# --- pictures -------------------------------------------------------------------------------------------------------


def test_a_wd_tagger_gets_blue_first_on_a_white_square() -> None:
    values = wd_input(Image.new("RGB", (8, 4), (10, 20, 30)), (8, 8))
    assert (values.shape, values.dtype) == ((1, 8, 8, 3), np.float32)
    assert values[0, 4, 0].tolist() == [30, 20, 10]
    assert values[0, 0, 0].tolist() == values[0, 7, 7].tolist() == [255, 255, 255]


def test_deepdanbooru_gets_red_first_up_to_1_with_the_edge_repeated() -> None:
    picture = Image.new("RGB", (8, 4), (255, 0, 51))
    values = deepdanbooru_input(picture, (8, 6))
    assert (values.shape, values.dtype) == ((1, 6, 8, 3), np.float32)
    assert np.allclose(values, [1.0, 0.0, 0.2])


@for_each_case("size", [(1, 1), (1, 1024), (1024, 1), (3, 500)])
def test_pictures_of_any_proportions_are_brought_to_size(size: tuple[int, int]) -> None:
    for ready in (wd_input, deepdanbooru_input):
        assert ready(Image.new("RGB", size), (32, 48)).shape == (1, 48, 32, 3)


# --- models ---------------------------------------------------------------------------------------------------------


def scores(tagger: ImageTagger, colour: str) -> dict[str, float]:
    return {tag.name: round(tag.score, 3) for tag in tagger.tags(Image.new("RGB", (20, 20), colour))}


def test_a_wd_tagger_sees_colours(tmp_path: Path) -> None:
    tagger = ImageTagger(write_wd_tagger(tmp_path), threads=1)
    picture = Image.new("RGB", (20, 20), "red")
    assert write_tags(tagger.tags(picture), TagStyle()) == "red hair, >_<"
    assert write_tags(tagger.tags(picture), TagStyle(character_threshold=0.7)) == r"red hair, >_<, ruby \(gem\)"
    assert write_tags(tagger.tags(Image.new("RGB", (9, 9), "#0000ff")), TagStyle()) == "blue sky"


def test_deepdanbooru_sees_colours(tmp_path: Path) -> None:
    write_colour_model(tmp_path / "model.onnx", EYE)
    (tmp_path / "tags.txt").write_text("red\n\ngreen_eyes\nrating:safe\n")
    tagger = ImageTagger(tmp_path, threads=1)
    assert scores(tagger, "red") == {"red": 1.0, "green_eyes": 0.0, "rating:safe": 0.0}
    assert write_tags(tagger.tags(Image.new("RGB", (9, 9), "white")), TagStyle()) == "green eyes, red"


def test_a_model_without_a_fixed_size_gets_that_of_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wd_tagger(tmp_path)
    write_colour_model(tmp_path / "model.onnx", [[1] * 6] * 3, shape=("count", "height", "width", 3))
    asked = []

    def ready(picture: Image.Image, size: tuple[int, int]) -> object:
        asked.append(size)
        return wd_input(picture, size)

    monkeypatch.setattr(image_tagger, "wd_input", ready)
    ImageTagger(tmp_path, threads=1).tags(Image.new("RGB", (9, 9)))
    assert asked == [(448, 448)]


@pytest.mark.parametrize("missing", ["model.onnx", "selected_tags.csv"])
def test_a_missing_file_is_asked_for(tmp_path: Path, missing: str) -> None:
    (write_wd_tagger(tmp_path) / missing).unlink()
    with pytest.raises(NotSupported, match=r"put model\.onnx and selected_tags\.csv .* interrogate/tagger"):
        ImageTagger(tmp_path, threads=1)


@for_each_case(
    ("text", "said"),
    [
        (b"", "must begin with the line"),
        (b"id,tag\n1,x", "must begin with the line"),
        (b"name,category\nx", "line 2 has no name or no category"),
        (b"name,category\n,0", "line 2 has no name or no category"),
        (b"name,category\n\xff,0", "cannot be read"),
        (b'name,category\n"' + b"x" * 200_000 + b'",0', "cannot be read: field larger"),
    ],
)
def test_a_list_that_cannot_be_read_is_told(tmp_path: Path, text: bytes, said: str) -> None:
    (write_wd_tagger(tmp_path) / "selected_tags.csv").write_bytes(text)
    with pytest.raises(LoadFailed, match=said):
        ImageTagger(tmp_path, threads=1)


def test_a_list_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_tagger, "MAX_LIST_BYTES", 20)
    with pytest.raises(LoadFailed, match="larger than 20 bytes"):
        ImageTagger(write_wd_tagger(tmp_path), threads=1)


def test_a_model_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_wd_tagger(tmp_path)
    write_colour_model(tmp_path / "model.onnx", EYE, shape=(1, 3, 4, 4), is_channels_first=True)
    with pytest.raises(LoadFailed, match=r"it takes \[1, 3, 4, 4\]"):
        ImageTagger(tmp_path, threads=1)
    write_colour_model(tmp_path / "model.onnx", EYE, shape=(1, 9999, 4, 3))
    with pytest.raises(LoadFailed, match="at most 2048"):
        ImageTagger(tmp_path, threads=1)


def test_a_list_of_another_model_is_noticed(tmp_path: Path) -> None:
    write_wd_tagger(tmp_path)
    write_colour_model(tmp_path / "model.onnx", EYE)
    with pytest.raises(GenerationFailed, match=r"has 3 outputs, but selected_tags\.csv has 6 tags"):
        ImageTagger(tmp_path, threads=1).tags(Image.new("RGB", (9, 9)))


def test_a_list_may_begin_with_a_mark_and_have_more_columns(tmp_path: Path) -> None:
    path = write_wd_tagger(tmp_path) / "selected_tags.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"tag_id", b"whatever"))
    assert scores(ImageTagger(tmp_path, threads=1), "red")["red_hair"] == 1.0
