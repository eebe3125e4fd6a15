"""Checks the actions that the assistant proposes: their kinds, their JSON schemas for the model, what it said.

A proposal leaves this room only when it can be carried out as it stands. Which kinds there are, and what their
parameters must be, comes from outside: the wire models of the API know that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sdcpp_rest.core.chat import Action, ActionRequest, ToolCall
from sdcpp_rest.errors import SdcppRestError

MAX_ACTIONS = 10
_MAX_PARAMETER_BYTES = 65_536
_SHOWN_CHARACTERS = 60

Checked: TypeAlias = "tuple[dict[str, Any], list[str]]"
"""Parameters as they will be carried out, and notes about what was left out of them."""


@dataclass(frozen=True)
class ActionKind:
    """A kind of action.

    Args:
        name: as the model and the answer call it.
        description: one sentence for the model.
        schema: what parameters it may give; a part of what ``check`` accepts, so that small models understand it.
        check: the parameters as they will be carried out. Raises SdcppRestError for what cannot be.
        request: how they are carried out; ``None`` for what only concerns a user interface.
        said: what the assistant says when the model says nothing, from the parameters.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    check: Callable[[Mapping[str, Any]], Checked]
    request: Callable[[Mapping[str, Any]], ActionRequest] | None = None
    said: Callable[[Mapping[str, Any]], str] = lambda parameters: ""


def tools_of(kinds: Iterable[ActionKind]) -> list[dict[str, Any]]:
    """The kinds as the tools that both protocols understand."""
    return [
        {
            "type": "function",
            "function": {"name": kind.name, "description": kind.description, "parameters": dict(kind.schema)},
        }
        for kind in kinds
    ]


def answer_schema(kinds: Iterable[ActionKind]) -> dict[str, Any]:
    """What a model without tools must answer: a JSON object of text and actions."""
    action = {
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": [kind.name for kind in kinds]},
            "parameters": {"type": "object"},
        },
        "required": ["type", "parameters"],
    }
    return {
        "type": "object",
        "properties": {"message": {"type": "string"}, "actions": {"type": "array", "items": action}},
        "required": ["message", "actions"],
    }


def check_actions(calls: Sequence[ToolCall], kinds: Sequence[ActionKind]) -> tuple[tuple[Action, ...], list[str]]:
    """The proposals that can be carried out, in their order, and a note about each one that cannot, and why."""
    by_name = {kind.name: kind for kind in kinds}
    actions: list[Action] = []
    notes: list[str] = []
    for call in calls:
        kind = by_name.get(call.name.strip())
        if kind is None:
            notes.append(f"an action was left out: there is no '{_name_text(call.name)}'")
            continue
        try:
            parameters, told = _check(kind, call.arguments)
        except SdcppRestError as error:
            notes.append(f"the action {kind.name} was left out: {error.message}")
            continue
        notes += [f"{kind.name}: {text}" for text in told]
        action = Action(
            type=kind.name, parameters=parameters, request=kind.request(parameters) if kind.request else None
        )
        if action not in actions:  # models like to say things twice
            actions.append(action)
    if len(actions) > MAX_ACTIONS:
        notes.append(f"only the first {MAX_ACTIONS} of {len(actions)} actions are told")
    return tuple(actions[:MAX_ACTIONS]), notes


def describe_actions(actions: Iterable[Action], kinds: Iterable[ActionKind]) -> str:
    """What the assistant says about its actions when the model said nothing."""
    by_name = {kind.name: kind for kind in kinds}
    sentences = [by_name[action.type].said(action.parameters) for action in actions if action.type in by_name]
    return " ".join(sentence for sentence in sentences if sentence)


def calls_in(text: str) -> tuple[str, list[ToolCall]] | None:
    """Message and actions of a JSON answer, also with something around it; ``None`` when it is none."""
    start = text.find("{")
    while start >= 0:
        try:
            found, _ = json.JSONDecoder().raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1) if start < _MAX_PARAMETER_BYTES else -1
            continue
        if isinstance(found, dict) and ("message" in found or "actions" in found):
            message = found.get("message")
            listed = found.get("actions")
            entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
            calls = [
                ToolCall(name=str(entry.get("type") or entry.get("name") or ""), arguments=entry.get("parameters", {}))
                for entry in entries
            ]
            return message if isinstance(message, str) else "", calls
        return None
    return None


def _check(kind: ActionKind, arguments: Any) -> Checked:
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, Mapping):
        raise SdcppRestError("its parameters are no JSON object")
    try:
        size = len(json.dumps(arguments, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise SdcppRestError("its parameters are no plain JSON") from None
    if size > _MAX_PARAMETER_BYTES:
        raise SdcppRestError(f"its parameters have {size} bytes; at most {_MAX_PARAMETER_BYTES} are allowed")
    properties: Mapping[str, Any] = kind.schema.get("properties", {})
    given = {str(name): _coerce(value, properties.get(name, {})) for name, value in arguments.items()}
    return kind.check({name: value for name, value in given.items() if value is not None})


def _coerce(value: Any, schema: Mapping[str, Any]) -> Any:
    """Small models write numbers, truths and nothing as texts."""
    if not isinstance(value, str):
        return value
    kind, text = schema.get("type"), value.strip().lower()
    if kind != "string" and text in ("", "null", "none"):
        return None
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, value)
    if kind in ("integer", "number") and len(text) <= 40:
        try:
            number = float(text)
        except ValueError:
            return value
        return int(number) if number.is_integer() else number
    return value


def _name_text(name: str) -> str:
    name = name if len(name) <= _SHOWN_CHARACTERS else name[:_SHOWN_CHARACTERS] + "..."
    return "".join(character if character.isprintable() and character != "'" else "?" for character in name)
