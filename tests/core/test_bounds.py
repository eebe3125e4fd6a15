"""Marks say what a field may hold; values are judged by them, and pydantic leaves them alone."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any

import pytest

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.bounds import Bounds, Length, Marks, Words, check_bounds, longest_of, marks_of, out_of_range
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.errors import InvalidRequest
from tests.cases import for_each_case

LIMITS = LimitsConfig(steps=50, prompt_characters=10)


class Example(Frozen):
    free: int = 0
    steps: Annotated[int, Bounds(1, limit="steps")] = 20
    scale: Annotated[float | None, Bounds(0, 2.5)] = None
    threads: Annotated[int, Bounds(1, 256, besides=-1)] = -1
    layers: Annotated[tuple[Annotated[int, Bounds(0, 3)], ...], Length(2, items="layers")] = ()
    text: Annotated[str, Length(limit="prompt_characters")] = ""
    word: Annotated[str, Words(("a", "b"))] = "a"


def test_marks_of_every_field_are_found_in_order() -> None:
    marks = marks_of(Example)
    assert list(marks) == ["steps", "scale", "threads", "layers", "text", "word"]
    assert marks["scale"] == Marks(bounds=Bounds(0, 2.5))
    assert marks["layers"] == Marks(each=Bounds(0, 3), length=Length(2, items="layers"))
    assert marks["word"] == Marks(words=Words(("a", "b")))


def test_stored_value_beyond_todays_limits_can_still_be_read() -> None:
    stored = {"steps": 10**6, "scale": math.inf, "threads": 0, "layers": [9] * 9, "text": "x" * 99, "word": "c"}
    assert Example.model_validate(stored).steps == 10**6


@for_each_case(
    ("given", "sentence"),
    [
        ({"steps": 0}, "steps must be from 1 to 50, got 0"),
        ({"steps": 51}, "steps must be from 1 to 50, got 51"),
        ({"scale": -0.1}, "scale must be from 0 to 2.5, got -0.1"),
        ({"scale": math.nan}, "scale must be from 0 to 2.5, got nan"),
        ({"scale": math.inf}, "scale must be from 0 to 2.5, got inf"),
        ({"threads": 0}, "threads must be -1 (automatic) or from 1 to 256, got 0"),
        ({"threads": -2}, "threads must be -1 (automatic) or from 1 to 256, got -2"),
        ({"layers": (1, 4)}, "layers must be at most 2 layers from 0 to 3, got [1, 4]"),
        ({"layers": (1, -1)}, "layers must be at most 2 layers from 0 to 3, got [1, -1]"),
        ({"layers": (0, 0, 0)}, "layers must be at most 2 layers from 0 to 3, got [0, 0, 0]"),
    ],
)
def test_value_out_of_its_bounds_is_refused_with_a_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_bounds(Example(**given), LIMITS)
    assert caught.value.message == sentence
    assert caught.value.detail["field"] == next(iter(given))
    json.dumps(caught.value.detail, allow_nan=False)


@for_each_case(
    "given",
    [
        {}, {"free": -(10**9)}, {"steps": 1}, {"steps": 50}, {"scale": 0}, {"scale": 2.5}, {"threads": -1},
        {"threads": 1}, {"threads": 256}, {"layers": (0, 3)},
    ],
)  # fmt: skip
def test_bounds_themselves_and_nothing_at_all_are_allowed(given: dict[str, Any]) -> None:
    check_bounds(Example(**given), LIMITS)


def test_refused_field_is_named_with_where_it_stands() -> None:
    with pytest.raises(InvalidRequest, match=r"^options\.steps must be") as caught:
        check_bounds(Example(steps=0), LIMITS, "options.")
    assert caught.value.detail["field"] == "options.steps"


def test_large_integers_are_compared_exactly() -> None:
    assert Bounds(0, 2**63 - 1).allow(2**63 - 1)
    assert not Bounds(0, 2**63 - 1).allow(2**63)


def test_longest_is_the_fields_own_or_the_configurations() -> None:
    assert longest_of(Example, "layers") == 2
    assert longest_of(Example, "text", LIMITS) == 10
    with pytest.raises(LookupError, match=r"Example\.steps"):
        longest_of(Example, "steps")


def test_long_values_are_cut_in_messages() -> None:
    error = out_of_range("sampler", "x" * 10_000, "short")
    assert len(error.message) < 200
    assert len(error.detail["value"]) < 200
