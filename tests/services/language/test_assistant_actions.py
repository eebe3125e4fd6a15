"""What a model proposes is carried out only when it can be; everything else becomes a note."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sdcpp_rest.core.chat import Action, ActionRequest, ToolCall
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.language.assistant_actions import (
    MAX_ACTIONS,
    ActionKind,
    Checked,
    answer_schema,
    calls_in,
    check_actions,
    describe_actions,
    tools_of,
)
from tests.cases import for_each_case


def check(given: Mapping[str, Any]) -> Checked:
    if not isinstance(given.get("steps", 1), int):
        raise InvalidRequest(f"steps must be an integer, got {given['steps']!r}")
    known = {name: value for name, value in given.items() if name in ("prompt", "steps", "hires", "cfg_scale")}
    return known, [f"unknown field '{name}' ignored" for name in given if name not in known]


SCHEMA = {
    "type": "object",
    "properties": {
        "prompt": {"type": "string"},
        "steps": {"type": "integer"},
        "cfg_scale": {"type": "number"},
        "hires": {"type": "boolean"},
    },
    "required": ["prompt"],
}
GENERATE = ActionKind(
    "generate",
    "Make a picture.",
    SCHEMA,
    check,
    lambda given: ActionRequest(method="POST", url="/txt2img", body=dict(given)),
    lambda given: f"I make {given.get('prompt', 'something')}.",
)
SHOW = ActionKind("switch_view", "Show a view.", {"type": "object", "properties": {}}, check)
KINDS = (GENERATE, SHOW)


def proposed(*calls: tuple[str, Any]) -> tuple[tuple[Action, ...], list[str]]:
    return check_actions([ToolCall(name=name, arguments=arguments) for name, arguments in calls], KINDS)


def test_a_proposal_comes_with_the_request_that_carries_it_out() -> None:
    (action,), notes = proposed(("generate", {"prompt": "a cat", "steps": 3}))
    body = {"prompt": "a cat", "steps": 3}
    assert action == Action(
        type="generate", parameters=body, request=ActionRequest(method="POST", url="/txt2img", body=body)
    )
    assert notes == []


def test_what_only_concerns_a_user_interface_has_no_request() -> None:
    (action,), _ = proposed(("switch_view", {}))
    assert action.request is None


@for_each_case(
    ("call", "note"),
    [
        (("fly", {}), "there is no 'fly'"),
        (("x'\n" * 100, {}), "there is no 'x??x??"),
        (("generate", {"steps": "many"}), "steps must be an integer, got 'many'"),
        (("generate", "a cat"), "no JSON object"),
        (("generate", [1]), "no JSON object"),
        (("generate", {"prompt": "x" * 70_000}), "at most 65536 are allowed"),
        (("generate", {"cfg_scale": float("nan")}), "no plain JSON"),
    ],
)
def test_what_cannot_be_done_is_left_out_with_a_note(call: tuple[str, Any], note: str) -> None:
    actions, notes = proposed(call, ("switch_view", {}))
    assert [action.type for action in actions] == ["switch_view"]
    assert len(notes) == 1
    assert note in notes[0]


def test_what_is_ignored_is_told() -> None:
    (action,), notes = proposed(("generate", {"prompt": "x", "mood": "good"}))
    assert (dict(action.parameters), notes) == ({"prompt": "x"}, ["generate: unknown field 'mood' ignored"])


@for_each_case(
    ("said", "meant"),
    [
        ({"steps": "20"}, {"steps": 20}),
        ({"steps": "20.0"}, {"steps": 20}),
        ({"cfg_scale": "2.5"}, {"cfg_scale": 2.5}),
        ({"hires": "True"}, {"hires": True}),
        ({"steps": "", "hires": "null"}, {}),
        ({"steps": None}, {}),
        ({"prompt": "20"}, {"prompt": "20"}),
        ({"prompt": ""}, {"prompt": ""}),
        (None, {}),
    ],
)
def test_numbers_and_truths_that_were_written_as_text_are_understood(said: Any, meant: dict[str, Any]) -> None:
    (action,), _ = proposed(("generate", said))
    assert action.parameters == meant


def test_the_same_thing_said_twice_is_one_action_and_too_many_are_cut() -> None:
    actions, _ = proposed(("generate", {"steps": 1}), ("generate", {"steps": 1}))
    assert len(actions) == 1
    actions, notes = proposed(*[("generate", {"steps": number}) for number in range(MAX_ACTIONS + 5)])
    assert len(actions) == MAX_ACTIONS
    assert "only the first" in notes[0]


def test_tools_and_schema_name_every_kind() -> None:
    tool = tools_of(KINDS)[0]
    assert tool == {
        "type": "function",
        "function": {"name": "generate", "description": "Make a picture.", "parameters": SCHEMA},
    }
    items = answer_schema(KINDS)["properties"]["actions"]["items"]
    assert items["properties"]["type"]["enum"] == ["generate", "switch_view"]


def test_actions_speak_for_a_model_that_said_nothing() -> None:
    actions, _ = proposed(("generate", {"prompt": "a cat"}), ("switch_view", {}))
    assert describe_actions(actions, KINDS) == "I make a cat."


@pytest.mark.parametrize(
    "text",
    [
        '{"message": "hi", "actions": [{"type": "generate", "parameters": {"steps": 1}}]}',
        '```json\n{"message": "hi", "actions": [{"type": "generate", "parameters": {"steps": 1}}]}\n```',
        'Sure {thing}: {"message": "hi", "actions": [{"name": "generate", "parameters": {"steps": 1}}]} done',
    ],
)
def test_a_json_answer_is_found(text: str) -> None:
    assert calls_in(text) == ("hi", [ToolCall(name="generate", arguments={"steps": 1})])


@for_each_case(
    ("text", "found"),
    [
        ("just text", None),
        ("", None),
        ('{"a": 1}', None),
        ("{" * 10_000, None),
        ('{"message": 5, "actions": "x"}', ("", [])),
        ('{"message": "hi"}', ("hi", [])),
        ('{"message": "hi", "actions": [1, null, {}]}', ("hi", [ToolCall(name="", arguments={})])),
        ('{"message": "cut', None),
    ],
)
def test_what_is_no_json_answer_is_text(text: str, found: Any) -> None:
    assert calls_in(text) == found
