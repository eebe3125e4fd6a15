from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.routes.a1111.scripts.axis_values import read_numbers, read_orders
from tests.cases import for_each_case


@for_each_case(
    ("text", "found"),
    [
        ("5", [5]), ("-1", [-1]), ("20.0", [20]), ("1-5", [1, 2, 3, 4, 5]), ("1-10 (+3)", [1, 4, 7, 10]),
        ("10-5 (-3)", [10, 7]), ("10-4(-3)", [10, 7, 4]), ("1-10 [5]", [1, 3, 5, 7, 10]), ("3-9[1]", [3]),
        ("-3--1", [-3, -2, -1]), (" 1 - 3 ( +2 ) ", [1, 3]), ("7-7", [7]), ("3-9[0]", []),
        ("9007199254740993-9007199254740994", [9007199254740993, 9007199254740994]),
    ],
)  # fmt: skip
def test_whole_numbers(text: str, found: list[int]) -> None:
    assert read_numbers([text], int, 100) == found


@for_each_case(
    ("text", "found"),
    [
        ("7", [7.0]), ("0.5", [0.5]), ("1-3 (+0.5)", [1.0, 1.5, 2.0, 2.5, 3.0]),
        ("0.0-1.0 [6]", [0, 0.2, 0.4, 0.6, 0.8, 1]),
        ("0-1 (+0.1)", [k / 10 for k in range(11)]), ("0-1 (+0.3)", [0, 0.3, 0.6, 0.9]), ("1-2", [1.0, 2.0]),
        ("1e-2", [0.01]),
    ],
)  # fmt: skip
def test_numbers(text: str, found: list[float]) -> None:
    assert read_numbers([text], float, 100) == pytest.approx(found)


def test_several_and_empty_ones() -> None:
    assert read_numbers(["1-2", "", " ", "9"], int, 100) == [1, 2, 9]


@for_each_case(
    ("text", "kind", "words"),
    [
        ("a", int, "'a' is not a whole number, nor a range such as 1-10 (+3) or 1-10 [5]"),
        ("x", float, "'x' is not a number, nor a range"),
        ("inf", float, "'inf' is not a number"),
        ("1-10 (+0)", int, "'1-10 (+0)' never reaches its end"),
        ("1-10 (-1)", int, "'1-10 (-1)' never reaches its end"),
        ("10-1", int, "'10-1' never reaches its end"),
        ("1-2 (+0.5)", int, "'1-2 (+0.5)' is no range of whole numbers"),
        ("1-999999999999", int, "1-999999999999 makes more than 100 values"),
        ("0-1 (+0.0000001)", float, "makes more than 100 values"),
        ("1-2 [99999999]", float, "makes more than 100 values"),
        ("9" * 5000, int, "is not a whole number"),
        ("1-" + "9" * 5000, int, "is not a whole number"),
    ],
)
def test_what_is_no_number_is_told(text: str, kind: Any, words: str) -> None:
    with pytest.raises(ValueError, match=r"[a-z]+") as caught:
        read_numbers([text], kind, 100)
    assert words in caught.value.args[0]
    assert len(caught.value.args[0]) < 200


def test_orders() -> None:
    assert read_orders(["a", "b"], 100) == [("a", "b"), ("b", "a")]
    assert read_orders([], 100) == []
    assert len(read_orders(["a", "b", "c", "d"], 24)) == 24


@pytest.mark.parametrize("count", [5, 100_000])
def test_too_many_orders_are_refused_without_making_them(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} values have more than 100 orders"):
        read_orders([str(k) for k in range(count)], 100)
