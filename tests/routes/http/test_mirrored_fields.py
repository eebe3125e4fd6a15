"""A wire field says what the parameters' field says, but for what it says itself."""

from __future__ import annotations

import math
from typing import Annotated, Any

import pytest

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.bounds import Bounds, Length, Words
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.mirrored_fields import mirror
from sdcpp_rest.routes.http.wire_models import Integer, Number, Text, Wire, describe_allowed, examine
from tests.cases import for_each_case

LIMITS = LimitsConfig(steps=50, prompt_characters=10)


class Params(Frozen):
    prompt: Annotated[str, Length(limit="prompt_characters")]
    steps: Annotated[int, Bounds(1, limit="steps")] = 20
    strength: Annotated[float, Bounds(0, 10)] = 0.5
    threads: Annotated[int, Bounds(1, 256, besides=-1)] = -1
    shift: Annotated[float | None, Bounds(0, 1000, besides=math.inf)] = None
    layers: Annotated[tuple[Annotated[int, Bounds(0, 3)], ...], Length(2)] = (1,)
    word: Annotated[str, Words(("a", "b"))] = "a"


class Body(Wire):
    prompt: Text = mirror(Params, "prompt", "What.")
    steps: Integer = mirror(Params, "steps", "How often.", examples=[4])
    strength: Number = mirror(Params, "strength", "How much.", le=1)
    threads: Integer = mirror(Params, "threads", "How many.")
    shift: Number = mirror(Params, "shift", "How far.")
    layers: list[Integer] = mirror(Params, "layers", "Which.")
    word: Text = mirror(Params, "word", "Which word.")
    seldom: Integer = mirror(Params, "steps", "Maybe.", default=None, ge=None)


def test_schema_has_the_limits_and_defaults_of_the_parameters() -> None:
    properties: dict[str, Any] = Body.model_json_schema()["properties"]
    for shown in properties.values():
        del shown["title"]
    assert properties == {
        "prompt": {"description": "What.", "type": "string", "x-limit": "prompt_characters"},
        "steps": {
            "default": 20, "description": "How often.", "examples": [4], "minimum": 1, "type": "integer",
            "x-limit": "steps",
        },
        "strength": {"default": 0.5, "description": "How much.", "maximum": 1, "minimum": 0, "type": "number"},
        "threads": {"default": -1, "description": "How many.", "maximum": 256, "minimum": -1, "type": "integer"},
        "shift": {"description": "How far.", "maximum": 1000, "minimum": 0, "type": "number"},
        "layers": {
            "default": [1], "description": "Which.", "items": {"type": "integer"}, "maxItems": 2, "type": "array"
        },
        "word": {"default": "a", "description": "Which word.", "type": "string"},
        "seldom": {"description": "Maybe.", "type": "integer", "x-limit": "steps"},
    }  # fmt: skip
    assert Body.model_json_schema()["required"] == ["prompt"]


@for_each_case(
    ("given", "sentence"),
    [
        ({"steps": 0}, "steps must be an integer between 1 and 50, got 0"),
        ({"steps": 51}, "steps must be an integer between 1 and 50, got 51"),
        ({"strength": 1.5}, "strength must be a number between 0 and 1, got 1.5"),
        ({"threads": -2}, "threads must be an integer between -1 and 256, got -2"),
        ({"prompt": "x" * 11}, "prompt must be a string of at most 10 characters, got 11 characters"),
        ({"layers": [1, 1, 1]}, "layers must be an array of integers with at most 2 items, got an array of 3 items"),
    ],
)
def test_body_is_judged_by_the_limits_of_the_parameters(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        examine(Body, {"prompt": "x", **given}, limits=LIMITS)
    assert caught.value.message == sentence


def test_field_without_a_default_may_be_absent() -> None:
    body, _ = examine(Body, {"prompt": "x"}, limits=LIMITS)
    assert body.sent_fields() == {"prompt": "x"}
    assert body.shift is None
    assert describe_allowed(Body.model_fields["seldom"], LIMITS) == "an integer of at most 50"
