from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from sdcpp_rest.errors import InvalidRequest, NotAuthenticated
from sdcpp_rest.routes.http.answers import json_text, render_native_error
from sdcpp_rest.routes.http.pools import blocking, pool_of, transfer
from sdcpp_rest.routes.http.request_bodies import parse_body
from sdcpp_rest.routes.http.wire_models import AtMost, Flag, Integer, Number, Text, Wire, examine
from tests.cases import for_each_case


class Inner(Wire):
    depth: Integer = Field(0, ge=0, le=9)


class Sample(Wire):
    prompt: Annotated[Text, AtMost("prompt_characters")]
    steps: Annotated[Integer, AtMost("steps")] = Field(20, ge=1)
    width: Integer = Field(512, ge=8, le=4096)
    scale: Number = 7.0
    hires: Flag = False
    kind: Literal["a", "b"] = "a"
    layers: list[Integer] = []
    options: Inner = Inner()


LIMITS = SimpleNamespace(steps=10000, prompt_characters=20)


def refusal(body: dict[str, Any], **more: Any) -> str:
    with pytest.raises(InvalidRequest) as refused:
        examine(Sample, {"prompt": "x", **body}, limits=LIMITS, **more)
    return refused.value.message


# --- parse_body -----------------------------------------------------------------------------------------------------


@for_each_case("raw", [b"", b"  \n", b"{}", b"\xef\xbb\xbf{}"])
def test_an_empty_body_is_an_empty_object(raw: bytes) -> None:
    assert parse_body(raw) == {}


def test_utf16_and_bom_are_read() -> None:
    assert parse_body('{"a":"ü"}'.encode("utf-16")) == {"a": "ü"}
    assert parse_body(b"\xef\xbb\xbf" + '{"a":"ü"}'.encode()) == {"a": "ü"}


def test_malformed_json_is_refused_with_the_place() -> None:
    with pytest.raises(InvalidRequest, match="line 3 column 3") as refused:
        parse_body(b'{\n  "a": 1\n  "b": 2}')
    assert refused.value.detail["line"] == 3


@for_each_case("raw", [b"[]", b"null", b"1", b'"x"', b"true", b"[" * 50 + b"]" * 50])
def test_a_body_that_is_not_an_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match="must be a JSON object"):
        parse_body(raw)


@for_each_case(
    ("raw", "says"),
    [
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b'{"a":' + b"[" * 100 + b"]" * 100 + b"}", "nested too deeply"),
        (b'{"a":' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"cfg_scale": NaN}', "cfg_scale must be a finite number"),
        (b'{"options": {"flow_shift": Infinity}}', r"options\.flow_shift must be a finite number"),
        (b'{"custom_sigmas": [1, -Infinity]}', r"custom_sigmas\[1\] must be a finite number"),
        (b'{"cfg_scale": 1e999}', "cfg_scale must be a finite number"),
        (b'{"steps": 1, "steps": 2}', '"steps" is given more than once'),
        (b'{"o": {"a": 1, "a": 1}}', '"a" is given more than once'),
        (b'{"prompt": "a\\u0000b"}', "prompt must not contain NUL"),
        (b'{"pro\\u0000mpt": 1}', "must not contain NUL"),
        (b'{"a": "\xff"}', "not valid UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "not valid UTF-8"),
        (b"prompt=a+cat&steps=3", "not valid JSON"),
        (b'{"a": 1} trailing', "not valid JSON"),
    ],
)
def test_what_could_hurt_further_down_is_refused(raw: bytes, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        parse_body(raw)


def test_half_an_emoji_becomes_a_replacement_character() -> None:
    body = parse_body(b'{"prompt": "cat \\ud83d", "x\\udc00": ["\\uD800"], "whole": "\\ud83d\\ude00"}')
    assert body == {"prompt": "cat \ufffd", "x\ufffd": ["\ufffd"], "whole": "\U0001f600"}
    json.dumps(body).encode()


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(raw: bytes) -> None:
    try:
        body = parse_body(raw)
    except InvalidRequest as refused:
        refused.message.encode()
    else:
        assert isinstance(body, dict)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.slow
@given(st.dictionaries(st.text() | st.sampled_from(sorted(Sample.model_fields)), _json, max_size=6))
def test_no_object_breaks_validation(body: dict[str, Any]) -> None:
    try:
        instance, warnings = examine(Sample, body, limits=LIMITS)
    except InvalidRequest as refused:
        told = [refused.message]
    else:
        told = warnings
        assert isinstance(instance, Sample)
    assert all(0 < len(text) < 2000 for text in told)


# --- examine --------------------------------------------------------------------------------------------------------


def test_only_what_was_sent_is_passed_on() -> None:
    instance, warnings = examine(Sample, {"prompt": "x", "steps": 20.0, "scale": 3, "width": None, "hires": True})
    assert instance.sent_fields() == {"prompt": "x", "steps": 20, "scale": 3.0, "hires": True}
    assert type(instance.steps) is int
    assert warnings == []


@for_each_case(
    ("sent", "read"),
    [
        ({"steps": "20"}, 20),
        ({"steps": " 20 "}, 20),
        ({"steps": "20.0"}, 20),
        ({"scale": "7.0"}, 7.0),
        ({"scale": "-7"}, -7.0),
        ({"scale": "1e-1"}, 0.1),
        ({"scale": ".5"}, 0.5),
        ({"hires": "true"}, True),
        ({"hires": "False"}, False),
        ({"layers": ["1", 2]}, [1, 2]),
    ],
)
def test_numbers_and_switches_may_come_as_text(sent: dict[str, Any], read: Any) -> None:
    (name,) = sent
    value = examine(Sample, {"prompt": "x", **sent})[0].sent_fields()[name]
    assert (value, type(value)) == (read, type(read))


def test_the_schemas_of_numbers_say_nothing_of_text() -> None:
    shown = Sample.model_json_schema()["properties"]
    assert [shown[name]["type"] for name in ("steps", "scale", "hires")] == ["integer", "number", "boolean"]


@for_each_case(
    ("body", "says"),
    [
        ({"steps": 0}, "steps must be an integer between 1 and 10000, got 0"),
        ({"steps": 10001}, "steps must be an integer between 1 and 10000, got 10001"),
        ({"steps": "20.5"}, 'steps must be an integer between 1 and 10000, got "20.5"'),
        ({"steps": "10001"}, "steps must be an integer between 1 and 10000, got 10001"),
        ({"steps": "2e1"}, 'steps must be an integer between 1 and 10000, got "2e1"'),
        ({"steps": "1_0"}, 'steps must be an integer between 1 and 10000, got "1_0"'),
        ({"steps": ""}, 'steps must be an integer between 1 and 10000, got ""'),
        ({"steps": "true"}, 'steps must be an integer between 1 and 10000, got "true"'),
        ({"steps": True}, "steps must be an integer between 1 and 10000, got true"),
        ({"steps": 1.5}, "steps must be an integer between 1 and 10000, got 1.5"),
        ({"steps": [1]}, "steps must be an integer between 1 and 10000, got an array of 1 items"),
        ({"steps": 10**400}, "steps must be an integer between 1 and 10000, got 1000000"),
        ({"width": {}}, "width must be an integer between 8 and 4096, got an object"),
        ({"scale": "seven"}, 'scale must be a number, got "seven"'),
        ({"scale": "nan"}, 'scale must be a number, got "nan"'),
        ({"scale": "1e999"}, 'scale must be a number, got "1e999"'),
        ({"scale": "7,5"}, 'scale must be a number, got "7,5"'),
        ({"scale": False}, "scale must be a number, got false"),
        ({"hires": 1}, "hires must be true or false, got 1"),
        ({"hires": "yes"}, 'hires must be true or false, got "yes"'),
        ({"hires": "1"}, 'hires must be true or false, got "1"'),
        ({"prompt": 5}, "prompt must be a string of at most 20 characters, got 5"),
        ({"prompt": "x" * 21}, "prompt must be a string of at most 20 characters, got 21 characters"),
        ({"prompt": None}, "prompt is required"),
        ({"kind": "c"}, "kind must be one of 'a', 'b', got \"c\""),
        ({"layers": 5}, "layers must be an array of integers, got 5"),
        ({"layers": [1, "x"]}, 'layers[1] must be an integer, got "x"'),
        ({"layers": [True]}, "layers[0] must be an integer, got true"),
        ({"options": []}, "options must be an object, got an array of 0 items"),
        ({"options": {"depth": 10}}, "options.depth must be an integer between 0 and 9, got 10"),
    ],
)
def test_a_refusal_names_the_field_the_value_and_what_is_allowed(body: dict[str, Any], says: str) -> None:
    assert refusal(body).startswith(says)


def test_several_mistakes_are_told_at_once() -> None:
    told = refusal({"steps": 0, "width": 1})
    assert "steps must be" in told
    assert "width must be" in told


def test_a_long_value_is_cut() -> None:
    assert len(refusal({"steps": "9" * 100_000})) < 300


def test_unknown_fields_are_warned_of_with_the_nearest_name() -> None:
    _, warnings = examine(Sample, {"prompt": "x", "step": 3, "zzzz": 1, "options": {"dept": 1}})
    assert warnings == [
        "unknown field 'step' ignored; did you mean 'steps'?",
        "unknown field 'zzzz' ignored",
        "unknown field 'options.dept' ignored; did you mean 'options.depth'?",
    ]


def test_unknown_fields_are_refused_when_strict() -> None:
    assert refusal({"step": 3}, strict=True) == "unknown field 'step'; did you mean 'steps'?"


def test_a_thousand_unknown_fields_make_a_short_answer() -> None:
    _, warnings = examine(Sample, {"prompt": "x", **{f"field {number} {'y' * 500}": 1 for number in range(1000)}})
    assert len(json.dumps(warnings)) < 5000
    assert warnings[-1] == "980 more unknown fields ignored"


# --- answers --------------------------------------------------------------------------------------------------------


def test_json_is_compact_ordered_and_has_no_nan() -> None:
    assert json_text({"b": 1, "a": [math.nan, math.inf, 1.5]}) == '{"b":1,"a":[null,null,1.5]}'


def test_errors_are_rendered_with_code_and_detail() -> None:
    status, headers, body = render_native_error("/txt2img", InvalidRequest("no", field="steps"))
    assert (status, json.loads(body)) == (400, {"error": "no", "code": "invalid_request", "field": "steps"})
    assert ("Content-Type", "application/json") in headers


def test_a_missing_key_is_answered_with_a_challenge() -> None:
    _, headers, _ = render_native_error("/x", NotAuthenticated("no"))
    assert ("WWW-Authenticate", 'Bearer realm="sdcpp-rest"') in headers


def test_views_are_short_unless_marked() -> None:
    assert pool_of(lambda: None) == "short"
    assert pool_of(blocking(lambda: None)) == "blocking"
    assert pool_of(transfer(lambda: None)) == "transfer"
    assert pool_of(None) == "short"
