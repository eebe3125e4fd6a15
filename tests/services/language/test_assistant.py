"""The assistant over real sockets: tools, models without tools, streams, and what is remembered."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.config import AssistantConfig, LlmConfig
from sdcpp_rest.core.chat import ActionRequest
from sdcpp_rest.errors import InvalidRequest, SdcppRestError
from sdcpp_rest.services.language.assistant import Assistant, Delta, Question, Reply
from sdcpp_rest.services.language.assistant_actions import ActionKind, Checked
from sdcpp_rest.services.language.llm_connection import Line, OpenCalls
from sdcpp_rest.services.language.llm_errors import CallEnded, LlmDisabled, LlmFailed, LlmModelNotFound, LlmTimeout
from sdcpp_rest.services.language.llm_settings import LlmSettings
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.history_store import Conversation
from sdcpp_rest.store.settings_store import SettingsStore
from tests.servers.language_model import LanguageModelServer, Said
from tests.servers.ollama_server import OllamaServer
from tests.servers.openai_server import OpenAiServer

Make = Callable[..., Assistant]
SERVERS: dict[Any, type[LanguageModelServer]] = {"ollama": OllamaServer, "openai": OpenAiServer}
CALL = ("load_model", {"model_name": "demo"})
AS_JSON = json.dumps({"message": "I load it.", "actions": [{"type": CALL[0], "parameters": CALL[1]}]})


def check(given: Mapping[str, Any]) -> Checked:
    if given.get("model_name") != "demo":
        raise InvalidRequest(f"Model not found: {given.get('model_name')}")
    return dict(given), []


LOAD = ActionKind(
    "load_model",
    "Load a model.",
    {"type": "object", "properties": {"model_name": {"type": "string"}}, "required": ["model_name"]},
    check,
    lambda given: ActionRequest(method="POST", url="/models/load", body=dict(given)),
    lambda given: f"I load {given['model_name']}.",
)


@pytest.fixture(params=["ollama", "openai"])
def api(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(api: str) -> Iterator[Any]:
    with SERVERS[api]() as server:
        yield server


@pytest.fixture
def make(tmp_path: Path, server: Any, api: str) -> Iterator[Make]:
    db = Database(tmp_path / "rest.db")

    def make(**config: Any) -> Assistant:
        defaults = AssistantConfig(**{"base_url": server.url, "api": api, **config})
        settings = LlmSettings(SettingsStore(db), "llm.assistant", defaults, LlmConfig())
        facts = {"health": {"model_name": "demo"}}
        return Assistant(settings, Conversation(db), OpenCalls(), lambda: facts, context_tokens=4096)

    yield make
    db.close()


def ask(message: str = "load the demo model", **context: Any) -> Question:
    return Question(message=message, context=context, kinds=[LOAD])


def test_a_call_of_a_tool_becomes_an_action(make: Make, server: Any) -> None:
    server.says = [Said(["I load ", "it."], [CALL])]
    reply = make().chat(ask(current_view="dashboard"))
    assert reply.message == "I load it."
    assert [action.type for action in reply.actions] == ["load_model"]
    assert reply.actions[0].request == ActionRequest(method="POST", url="/models/load", body={"model_name": "demo"})
    assert reply.warnings == ()
    body = server.chats[0]
    assert body["tools"][0]["function"]["name"] == "load_model"
    assert "dashboard" in body["messages"][0]["content"]


def test_a_proposal_that_cannot_be_carried_out_is_left_out_and_told(make: Make, server: Any) -> None:
    server.says = [Said([], [("load_model", {"model_name": "made up"}), ("fly", {})])]
    reply = make().chat(ask())
    assert reply.actions == ()
    assert reply.warnings == (
        "the action load_model was left out: Model not found: made up",
        "an action was left out: there is no 'fly'",
    )
    assert reply.message


def test_an_action_without_words_is_described(make: Make, server: Any) -> None:
    server.says = [Said(["  "], [CALL])]
    assert make().chat(ask()).message == "I load demo."


# --- models without tools -------------------------------------------------------------------------------------------


def test_a_model_without_tools_answers_in_json(make: Make, server: Any) -> None:
    server.has_tools, server.says = False, [Said([AS_JSON[:20], AS_JSON[20:]])]
    reply = make().chat(ask())
    assert (reply.message, reply.actions[0].parameters) == ("I load it.", CALL[1])
    with_tools, with_schema = server.chats
    assert with_tools["tools"]
    assert not with_schema.get("tools")
    assert with_schema.get("format") or with_schema["response_format"]["type"] == "json_schema"


def test_what_a_model_can_do_is_remembered(make: Make, server: Any) -> None:
    server.has_tools, server.says = False, [Said([AS_JSON])]
    assistant = make()
    assistant.chat(ask())
    assistant.chat(ask())
    assert len(server.chats) == 3
    assistant.change({"timeout_seconds": 9}, any_host=False)
    assistant.chat(ask())
    assert len(server.chats) == 5


def test_a_server_without_schemas_is_asked_in_words(make: Make, server: Any) -> None:
    server.has_tools = server.has_schemas = False
    server.says = [Said([f"Sure!\n```json\n{AS_JSON}\n```"])]
    assert make().chat(ask()).actions[0].type == "load_model"
    assert len(server.chats) == 3


def test_text_instead_of_json_is_a_message(make: Make, server: Any) -> None:
    server.has_tools, server.says = False, [Said(["I have no idea."])]
    reply = make().chat(ask())
    assert (reply.message, reply.actions) == ("I have no idea.", ())


def test_a_server_that_refuses_everything_fails(make: Make, server: Any) -> None:
    server.fault = 500
    with pytest.raises(LlmFailed):
        make().chat(ask())
    assert len(server.chats) == 3


@pytest.mark.parametrize("fault", [401, 404, 429])
def test_what_has_nothing_to_do_with_tools_is_not_tried_again(make: Make, server: Any, fault: int) -> None:
    server.fault = fault
    with pytest.raises(SdcppRestError):
        make().chat(ask())
    assert len(server.chats) == 1


# --- streams --------------------------------------------------------------------------------------------------------


def test_a_stream_brings_text_as_it_comes_and_then_the_whole(make: Make, server: Any) -> None:
    server.says = [Said(["<think>hm", "</think>I load ", "it."], [CALL])]
    *deltas, reply = make().stream(ask(), Line())
    assert [delta.text for delta in deltas if isinstance(delta, Delta)] == ["", "I load ", "it."]
    assert isinstance(reply, Reply)
    assert (reply.message, len(reply.actions)) == ("I load it.", 1)


def test_json_is_not_shown_but_its_message_is(make: Make, server: Any) -> None:
    server.has_tools, server.says = False, [Said([AS_JSON[:20], AS_JSON[20:]])]
    began, delta, reply = make().stream(ask(), Line())
    assert began == Delta(text="")
    assert isinstance(delta, Delta)
    assert isinstance(reply, Reply)
    assert delta.text == reply.message == "I load it."


def test_a_stream_that_is_cut_fails_after_its_beginning_and_is_not_remembered(make: Make, server: Any) -> None:
    server.fault, server.says = "cut", [Said(["one", "two"])]
    assistant = make()
    pieces = assistant.stream(ask(), Line())
    assert [next(pieces), next(pieces)] == [Delta(text=""), Delta(text="one")]
    with pytest.raises(LlmFailed):
        next(pieces)
    assert assistant.history() == []


def test_hanging_up_ends_the_model_too(make: Make, server: Any) -> None:
    server.fault, server.says = "stall", [Said(["one", "two"])]
    line = Line()
    pieces = make().stream(ask(), line)
    assert [next(pieces), next(pieces)] == [Delta(text=""), Delta(text="one")]
    hanging_up = threading.Thread(target=line.hang_up)
    hanging_up.start()
    with pytest.raises(CallEnded):
        next(pieces)
    hanging_up.join(10)
    assert server.hung_up.wait(20)


@pytest.mark.usefixtures("short_seconds")
@pytest.mark.parametrize("fault", ["silent", "stall"])
def test_a_chat_ends_after_its_timeout(make: Make, server: Any, fault: str) -> None:
    server.fault, server.says = fault, [Said(["one", "two"])]
    with pytest.raises(LlmTimeout):
        make(timeout_seconds=1).chat(ask())


# --- the conversation -----------------------------------------------------------------------------------------------


def test_the_conversation_is_remembered_and_told_to_the_model(make: Make, server: Any) -> None:
    server.says = [Said(["I load it."], [CALL]), Said(["You are welcome."])]
    assistant = make()
    assistant.chat(ask())
    assistant.chat(ask("thanks"))
    said = assistant.history()
    assert [(message.role, message.content) for message in said] == [
        ("user", "load the demo model"),
        ("assistant", "I load it."),
        ("user", "thanks"),
        ("assistant", "You are welcome."),
    ]
    assert [action.type for action in said[1].actions] == ["load_model"]
    assert [message["role"] for message in server.chats[1]["messages"]] == ["system", "user", "assistant", "user"]


def test_a_question_that_failed_is_not_remembered(make: Make, server: Any) -> None:
    server.fault = 404
    assistant = make()
    with pytest.raises(LlmModelNotFound):
        assistant.chat(ask())
    assert assistant.history() == []


def test_an_empty_answer_is_a_failure(make: Make, server: Any) -> None:
    server.says = [Said(["<think>hm</think>"])]
    with pytest.raises(LlmFailed, match="answered nothing"):
        make().chat(ask())


def test_the_conversation_keeps_as_much_as_the_settings_say(make: Make, server: Any) -> None:
    assistant = make(max_history=4)
    for number in range(4):
        assistant.chat(ask(str(number)))
    assert len(assistant.history()) == 4
    assistant.change({"max_history": 2}, any_host=False)
    assert [said.role for said in assistant.history()] == ["user", "assistant"]
    assistant.clear()
    assert assistant.history() == []


def test_switched_off_it_calls_nobody(make: Make, server: Any) -> None:
    assistant = make(enabled=False)
    with pytest.raises(LlmDisabled):
        assistant.chat(ask())
    assert assistant.status()["connected"] is False
    assert server.asked == []


def test_status_and_facts(make: Make, server: Any) -> None:
    assistant = make()
    assistant.chat(ask("hi"))
    assert assistant.status() == {
        "enabled": True, "connected": True, "base_url": server.url, "model": "llama3.2", "timeout_seconds": 120,
        "history_count": 2, "available_models": ["llama3.2", "mistral"], "proactive_suggestions": True,
    }  # fmt: skip
    assert assistant.model_facts().model == "llama3.2"
