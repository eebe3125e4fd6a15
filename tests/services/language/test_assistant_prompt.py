"""What the assistant's model reads: everything that matters, within what it can read at a time."""

from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.core.chat import Action, ConversationMessage
from sdcpp_rest.services.language.assistant_actions import ActionKind
from sdcpp_rest.services.language.assistant_prompt import INSTRUCTIONS, cut_facts, messages_for

SCHEMA = {
    "properties": {"model_name": {"type": "string"}, "model_type": {"enum": ["checkpoint", "diffusion"]}},
    "required": ["model_name"],
}
KIND = ActionKind("load_model", "Load a model.", SCHEMA, lambda given: (dict(given), []))


def told(mode: Any = "tools", history: tuple[ConversationMessage, ...] = (), **more: Any) -> list[Any]:
    arguments: dict[str, Any] = {
        "instructions": "",
        "kinds": [KIND],
        "facts": {"health": {"model_name": "demo"}},
        "context": {},
        "context_tokens": 8192,
        **more,
    }
    return messages_for(mode, "load it", history=history, **arguments)


def said(role: Any, content: str, *actions: str) -> ConversationMessage:
    return ConversationMessage(role=role, content=content, actions=tuple(Action(type=name) for name in actions))


def test_a_model_learns_who_it_is_how_things_stand_and_what_is_asked() -> None:
    system, question = told(context={"current_view": "dashboard"})
    assert system.content.startswith(INSTRUCTIONS)
    assert 'health: {"model_name": "demo"}' in system.content
    assert 'current_view: "dashboard"' in system.content
    assert (question.role, question.content) == ("user", "load it")


def test_own_instructions_replace_the_built_in_ones_but_not_the_facts() -> None:
    system, _ = told(instructions="Be a pirate.")
    assert system.content.startswith("Be a pirate.")
    assert "demo" in system.content


@pytest.mark.parametrize("mode", ["json", "plain"])
def test_a_model_without_tools_is_told_the_actions_in_words(mode: str) -> None:
    system, _ = told(mode)
    assert "- load_model(model_name: string, model_type?: checkpoint|diffusion): Load a model." in system.content
    assert '"message"' in system.content


def test_the_conversation_comes_between_with_what_was_proposed() -> None:
    history = (said("user", "hi"), said("assistant", "I load it", "load_model"))
    messages = told(history=history)
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[2].content == "I load it (proposed: load_model)"


def test_an_old_conversation_is_cut_at_its_beginning() -> None:
    history = tuple(said("user" if number % 2 == 0 else "assistant", f"{number:05}" * 100) for number in range(40))
    messages = told(history=history, context_tokens=4096)
    kept = messages[1:-1]
    assert 0 < len(kept) < 40
    assert kept[0].role == "user"
    assert kept[-1].content.startswith("00039")


def test_everything_fits_into_what_the_model_can_read() -> None:
    facts = {"health": {"last_error": "x" * 99_999}, "models": ["y" * 100] * 9999, "samplers": ["euler"]}
    history = (said("user", "z" * 50_000), said("assistant", "z" * 50_000))
    messages = told(facts=facts, context={"settings": "c" * 99_999}, history=history, context_tokens=4096)
    assert sum(len(message.content) for message in messages) < 4096 * 3
    assert "euler" in messages[0].content


def test_a_long_fact_is_cut_and_leaves_room_for_the_others() -> None:
    text = cut_facts({"short": 1, "long": "x" * 10_000, "last": "here"}, 600)
    assert len(text) < 700
    assert "(cut)" in text
    assert text.endswith('last: "here"')


def test_file_names_that_are_no_text_can_be_sent() -> None:
    assert cut_facts({"models": ["odd\udcff.gguf"]}, 1000).encode() == b'models: ["odd?.gguf"]'


def test_no_facts_are_no_text() -> None:
    assert cut_facts({}, 100) == ""
