from __future__ import annotations

import pytest

from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.models.model_names import FileIndex, check_name
from tests.cases import for_each_case


def shelf(*names: str) -> FileIndex:
    return FileIndex(
        ModelFile(name=name, type="vae", path=f"/m/{name}", root="/m", size_bytes=1, mtime_ns=1, file_extension=".gguf")
        for name in names
    )


def found(on: FileIndex, wanted: str) -> list[str]:
    return [file.name for file in on.find(wanted)]


def test_files_are_sorted_without_regard_to_case() -> None:
    assert [file.name for file in shelf("b.gguf", "A.gguf", "a.gguf").files] == ["A.gguf", "a.gguf", "b.gguf"]


@for_each_case(
    ("wanted", "expected"),
    [
        ("a.gguf", ["a.gguf"]),
        ("x/a.gguf", ["x/a.gguf"]),
        ("a", ["a.gguf"]),
        ("A", ["A.gguf"]),
        ("x/A", ["x/a.gguf"]),
        ("B", ["x/b.gguf"]),
        ("nothing", []),
        ("gguf", []),
    ],
)
def test_the_strictest_reading_that_fits_decides(wanted: str, expected: list[str]) -> None:
    assert found(shelf("a.gguf", "x/a.gguf", "A.gguf", "x/b.gguf"), wanted) == expected


@for_each_case("wanted", ["s/big.gguf", "big.gguf", "big", "s/big", "BIG", "big-00001-of-00002"])
def test_a_split_model_is_called_by_the_name_of_the_whole_too(wanted: str) -> None:
    assert found(shelf("s/big-00001-of-00002.gguf", "other.gguf"), wanted) == ["s/big-00001-of-00002.gguf"]


def test_a_file_of_that_very_name_comes_before_a_split_model() -> None:
    assert found(shelf("big-00001-of-00002.gguf", "big.gguf"), "big") == ["big.gguf"]


@for_each_case("name", ["", " ", "a\0b", "..", "a/../b", "/a", "a//b", "C:\\a", "x" * 1001])
def test_what_is_no_name_is_refused_under_the_field_that_held_it(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^subfolder: "):
        check_name(name, "subfolder")


def test_both_slashes_part_a_name() -> None:
    assert check_name(" a\\b/c ") == "a/b/c"
