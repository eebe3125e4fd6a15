from __future__ import annotations

import io

import pytest
from PIL import Image

from sdcpp_rest.services.pictures.labelled_grids import Label, add_labels, make_grid, megapixels, prompt_labels

WHITE, BLACK, RED, BLUE = (255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 0, 255)


def file(colour: tuple[int, int, int], size: tuple[int, int] = (16, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def labels(*texts: str) -> list[list[Label]]:
    return [[Label(text)] for text in texts]


def ink(picture: Image.Image) -> bool:
    """Whether there is anything written."""
    return picture.convert("L").getextrema()[0] < 200


def test_pictures_lie_in_rows() -> None:
    grid, cell = make_grid([file(RED), file(BLUE), None, file(RED)], 2, (16, 8))
    assert (grid.size, cell) == ((32, 16), (16, 8))
    assert [grid.getpixel(place) for place in ((0, 0), (16, 0), (0, 8), (16, 8))] == [RED, BLUE, BLACK, RED]


def test_smaller_pictures_lie_in_the_middle_of_their_cells() -> None:
    grid, cell = make_grid([file(RED, (4, 4)), file(BLUE, (8, 8))], 1, (16, 8))
    assert (grid.size, cell) == ((16, 8), (8, 8))
    assert [grid.getpixel(place) for place in ((1, 1), (2, 2), (5, 5), (6, 6))] == [WHITE, RED, RED, WHITE]


def test_cells_without_pictures_are_black() -> None:
    grid, _ = make_grid([None, None, None], 2, (16, 8))
    assert grid.size == (32, 16)
    assert grid.getcolors() == [(512, BLACK)]


def test_texts_stand_above_and_beside() -> None:
    grid, cell = make_grid([file(RED, (64, 64)), file(BLUE, (64, 64))], 1, (64, 64))
    both = add_labels(grid, cell, labels("left", "right"), labels("row"))
    top, beside = both.height - 64, both.width - 128
    assert (beside, top > 0) == (48, True)
    assert both.crop((beside, top, both.width, both.height)).tobytes() == grid.tobytes()
    for k in (0, 1):
        assert ink(both.crop((beside + 64 * k, 0, beside + 64 * (k + 1), top)))
    assert ink(both.crop((0, top, beside, both.height)))
    assert not ink(both.crop((0, 0, beside, top)))


def test_texts_that_are_empty_take_no_room() -> None:
    grid, cell = make_grid([file(RED, (64, 64))], 1, (64, 64))
    assert add_labels(grid, cell, labels(""), labels("")).size == (64, 64)
    assert add_labels(grid, cell, labels(""), labels("row")).size == (112, 64)
    assert add_labels(grid, cell, labels("x"), labels("")).width == 64


def test_margins_lie_between_cells() -> None:
    grid, cell = make_grid([file(RED), file(RED), file(RED), file(RED)], 2, (16, 8))
    wide = add_labels(grid, cell, labels("", ""), labels("", ""), margin=10)
    assert wide.size == (42, 26)
    assert [wide.getpixel(place) for place in ((15, 7), (16, 7), (25, 17), (26, 18))] == [RED, WHITE, WHITE, RED]


def test_long_texts_are_wrapped_and_have_an_end() -> None:
    grid, cell = make_grid([file(RED, (64, 64))], 1, (64, 64))
    short = add_labels(grid, cell, labels("word"), labels(""))
    long = add_labels(grid, cell, labels("some words in a line"), labels(""))
    endless = add_labels(grid, cell, labels("word " * 100_000), labels(""))
    assert short.height < long.height < endless.height < 3000


def test_texts_that_are_not_active_are_grey() -> None:
    grid, cell = make_grid([file(WHITE, (64, 64))], 1, (64, 64))
    faint = add_labels(grid, cell, [[Label("word", is_active=False)]], labels(""))
    assert 100 < faint.convert("L").getextrema()[0] < 200


def test_the_first_half_of_a_matrix_changes_along_its_columns() -> None:
    columns, rows = prompt_labels(["a", "b", "c"])
    assert [[(one.text, one.is_active) for one in lines] for lines in columns] == [
        [("a", False), ("b", False)], [("a", True), ("b", False)], [("a", False), ("b", True)],
        [("a", True), ("b", True)],
    ]  # fmt: skip
    assert [[(one.text, one.is_active) for one in lines] for lines in rows] == [[("c", False)], [("c", True)]]
    assert prompt_labels([]) == ([[]], [[]])


def test_megapixels() -> None:
    assert megapixels(10, (1000, 500)) == pytest.approx(5.0)
