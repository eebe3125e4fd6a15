from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.routes.a1111.errors import Unreadable
from sdcpp_rest.routes.a1111.scripts.arguments import (
    Argument,
    join_values,
    read_arguments,
    split_values,
)
from tests.cases import for_each_case

ARGUMENTS = (
    Argument("info", "", "note", "text of a page"),
    Argument("loops", "Loops", "whole", 4, 1, 32, 1),
    Argument("strength", "Strength", "real", 0.5, 0, 1, 0.01),
    Argument("curve", "Curve", "word", "Linear", choices=("Linear", "Lazy")),
    Argument("upscaler", "Upscaler", "index", 0, choices=("None", "Lanczos")),
    Argument("legend", "Draw legend", "switch", True),
    Argument("prompts", "Prompts", "text", ""),
    Argument("values", "Values", "texts", []),
)
USUAL = ["", 4, 0.5, "Linear", 0, True, "", []]


def read(**changed: Any) -> dict[str, Any]:
    sent = dict(zip([one.name for one in ARGUMENTS], USUAL, strict=True))
    return read_arguments("Demo", ARGUMENTS, [*{**sent, **changed}.values()])


def test_values_are_read_by_their_places() -> None:
    assert read() == {
        "info": None, "loops": 4, "strength": 0.5, "curve": "Linear", "upscaler": 0, "legend": True, "prompts": "",
        "values": [],
    }  # fmt: skip


@for_each_case(
    ("name", "sent", "found"),
    [
        ("loops", "7", 7), ("loops", 7.0, 7), ("loops", None, 4), ("strength", "0.25", 0.25), ("strength", 1, 1.0),
        ("curve", "lazy", "Lazy"), ("curve", None, "Linear"), ("upscaler", "lanczos", 1), ("upscaler", 1.0, 1),
        ("upscaler", "1", 1), ("legend", "False", False), ("legend", 0, False), ("legend", "", False),
        ("prompts", 5, "5"), ("values", "a, b", ["a", "b"]), ("values", [1, "x"], ["1", "x"]), ("values", "", []),
        ("info", {"any": "thing"}, None),
    ],
)  # fmt: skip
def test_values_come_in_other_guises(name: str, sent: Any, found: Any) -> None:
    assert read(**{name: sent})[name] == found


@for_each_case(
    ("name", "sent", "place", "words"),
    [
        ("loops", 33, 1, "Demo: loops is 33; it must be a whole number from 1 to 32"),
        ("loops", "many", 1, "Demo: loops is 'many'; it must be a whole number from 1 to 32"),
        ("loops", True, 1, "Demo: loops is True; it must be a whole number from 1 to 32"),
        ("strength", -0.5, 2, "Demo: strength is -0.5; it must be a number from 0 to 1"),
        ("strength", "nan", 2, "Demo: strength is 'nan'; it must be a number from 0 to 1"),
        ("curve", "Steep", 3, "Demo: curve is 'Steep'; it must be one of Linear, Lazy"),
        ("curve", 1, 3, "Demo: curve is 1; it must be one of Linear, Lazy"),
        ("upscaler", 2, 4, "Demo: upscaler is 2; it must be a number from 0 to 1, or one of None, Lanczos"),
        ("upscaler", -1, 4, "Demo: upscaler is -1; it must be a number from 0 to 1, or one of None, Lanczos"),
        ("upscaler", True, 4, "Demo: upscaler is True; it must be a number from 0 to 1, or one of None, Lanczos"),
        ("legend", "maybe", 5, "Demo: legend is 'maybe'; it must be true or false"),
        ("prompts", ["a"], 6, "Demo: prompts is ['a']; it must be text"),
        ("values", 5, 7, "Demo: values is 5; it must be a list of texts"),
        ("values", [None], 7, "Demo: values is [None]; it must be a list of texts"),
        ("values", '"a', 7, "Demo: values is '\"a'; it must be text whose quotes match"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, sent: Any, place: int, words: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(**{name: sent})
    assert caught.value.complaints == [{"loc": ["body", "script_args", place], "msg": words, "type": "value_error"}]


def test_a_long_value_is_shortened() -> None:
    with pytest.raises(Unreadable) as caught:
        read(loops="9" * 5000)
    assert len(caught.value.complaints[0]["msg"]) < 200


@pytest.mark.parametrize("count", [0, 7, 9])
def test_another_number_of_arguments_is_refused(count: int) -> None:
    with pytest.raises(Unreadable) as caught:
        read_arguments("Demo", ARGUMENTS, [0] * count)
    (told,) = caught.value.complaints
    assert told["loc"] == ["body", "script_args"]
    assert told["msg"] == (
        f"Demo takes 8 arguments (info, loops, strength, curve, upscaler, legend, prompts, values); {count} were sent"
    )


def test_arguments_are_described() -> None:
    told = [one.describe() for one in ARGUMENTS]
    assert told[1] == {"label": "Loops", "value": 4, "minimum": 1, "maximum": 32, "step": 1, "choices": None}
    assert told[4]["value"] == "None", "as the page shows it"
    assert told[4]["choices"] == ["None", "Lanczos"]
    assert (told[7]["value"], told[7]["choices"]) == ([], [])


@for_each_case("values", [["a", "b"], ["a, b", 'say "x"'], ["Euler a"], ["", "b"]])
def test_lines_of_values_are_read_as_they_are_written(values: list[str]) -> None:
    assert split_values(join_values(values)) == values


def test_spaces_around_values_do_not_count() -> None:
    assert split_values(' a ,"b, c", d ') == ["a", "b, c", "d"]
