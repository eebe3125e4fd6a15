"""The real clients over real sockets: what they send, what comes back, and every way in which it can fail."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sdcpp_rest.core.chat import ChatMessage, ToolCall
from sdcpp_rest.errors import EngineUnavailable, SdcppRestError
from sdcpp_rest.services.language import llm_client
from sdcpp_rest.services.language.llm_client import ChatRequest, LlmClient, LlmEndpoint
from sdcpp_rest.services.language.llm_connection import Line, OpenCalls
from sdcpp_rest.services.language.llm_errors import (
    CallEnded,
    LlmBusy,
    LlmFailed,
    LlmKeyRefused,
    LlmModelNotFound,
    LlmTimeout,
    LlmUnreachable,
)
from tests.cases import for_each_case
from tests.servers.language_model import LanguageModelServer, Said, Wire
from tests.servers.ollama_server import OllamaServer
from tests.servers.openai_server import OpenAiServer

SERVERS: dict[Any, type[LanguageModelServer]] = {"ollama": OllamaServer, "openai": OpenAiServer}
ASKED = ChatRequest(messages=(ChatMessage(role="user", content="a cat"),))
TOOL = {"type": "function", "function": {"name": "load_model", "description": "Load.", "parameters": {}}}


@pytest.fixture(params=["ollama", "openai"])
def api(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(api: str) -> Iterator[Any]:
    with SERVERS[api]() as server:
        yield server


def endpoint(server: LanguageModelServer, timeout_seconds: float = 20, **fields: Any) -> LlmEndpoint:
    api = "ollama" if isinstance(server, OllamaServer) else "openai"
    return LlmEndpoint(
        **{"api": api, "base_url": server.url, "model": "llama3.2", **fields}, timeout_seconds=timeout_seconds
    )


def chat(server: LanguageModelServer, asked: ChatRequest = ASKED, **fields: Any) -> list[Any]:
    return [piece for piece in LlmClient(endpoint(server, **fields), Line()).chat(asked) if piece != ""]


def test_text_comes_in_pieces_and_calls_come_whole(server: Any) -> None:
    server.says = [Said(["Hel", "lo"], [("load_model", {"model_name": "ä"}), ("unload_model", {})])]
    calls = [ToolCall(name="load_model", arguments={"model_name": "ä"}), ToolCall(name="unload_model", arguments={})]
    assert chat(server) == ["Hel", "lo", *calls]


def test_what_is_asked_arrives(server: Any, api: str) -> None:
    asked = ChatRequest(ASKED.messages, tools=[TOOL], temperature=0.5, seed=7, max_tokens=9, context_tokens=4096)
    chat(server, asked)
    body = server.chats[0]
    assert body["messages"] == [{"role": "user", "content": "a cat"}]
    assert (body["model"], body["stream"], len(body["tools"])) == ("llama3.2", True, 1)
    if api == "ollama":
        assert body["options"] == {"temperature": 0.5, "seed": 7, "num_predict": 9, "num_ctx": 4096}
    else:
        assert (body["temperature"], body["seed"], body["max_tokens"]) == (0.5, 7, 9)


def test_pictures_arrive_in_each_protocols_own_place(server: Any, api: str) -> None:
    messages = (
        ChatMessage(role="system", content="look"),
        ChatMessage(role="user", content="?", pictures=(b"a", b"b")),
    )
    chat(server, ChatRequest(messages))
    system, user = server.chats[0]["messages"]
    assert system == {"role": "system", "content": "look"}
    if api == "ollama":
        assert user == {"role": "user", "content": "?", "images": ["YQ==", "Yg=="]}
    else:
        urls = [{"url": f"data:image/jpeg;base64,{text}"} for text in ("YQ==", "Yg==")]
        pictures = [{"type": "image_url", "image_url": url} for url in urls]
        assert user == {"role": "user", "content": [{"type": "text", "text": "?"}, *pictures]}


def test_a_schema_arrives_in_each_protocols_own_place(server: Any, api: str) -> None:
    schema = {"type": "object"}
    chat(server, ChatRequest(ASKED.messages, schema=schema))
    body = server.chats[0]
    assert (body["format"] if api == "ollama" else body["response_format"]["json_schema"]["schema"]) == schema


def test_models_are_listed(server: Any) -> None:
    assert LlmClient(endpoint(server), Line()).models() == ["llama3.2", "mistral"]


def test_facts_about_a_model(server: Any, api: str) -> None:
    facts = LlmClient(endpoint(server), Line()).facts()
    assert facts.context_length == (131072 if api == "ollama" else 32768)
    assert facts.capabilities == (("completion", "tools") if api == "ollama" else None)


def test_facts_about_a_model_that_is_not_there(server: Any) -> None:
    with pytest.raises(LlmModelNotFound):
        LlmClient(endpoint(server, model="other"), Line()).facts()


# --- keys -----------------------------------------------------------------------------------------------------------


def test_the_key_is_sent_and_shown_nowhere(server: Any) -> None:
    server.key = "a-secret"
    assert chat(server, api_key="a-secret") == ["Hello"]
    assert "a-secret" not in repr(endpoint(server, api_key="a-secret"))


def test_a_key_of_the_environment_is_not_sent(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "of-the-environment")
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-environment")
    chat(server)
    assert "authorization" not in server.asked[0].headers


def test_a_proxy_of_the_environment_is_not_used(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert chat(server) == ["Hello"]


# --- faults ---------------------------------------------------------------------------------------------------------

FAULTS: list[tuple[Any, type[SdcppRestError], int, str]] = [
    (401, LlmKeyRefused, 502, "refused the key: out of order ***"),
    (403, LlmKeyRefused, 502, "refused the key: out of order ***"),
    (404, LlmModelNotFound, 502, "has no such model or URL: out of order ***"),
    (429, LlmBusy, 503, "is busy: out of order ***"),
    (500, LlmFailed, 502, "answered with status 500: out of order ***"),
    (503, LlmBusy, 503, "is busy: out of order ***"),
    ("cut", LlmFailed, 502, "broke off"),
    ("end", LlmFailed, 502, "broke off"),
    ("junk", LlmFailed, 502, "answered with something that is not its protocol"),
    ("redirect", LlmFailed, 502, "answered with status 302"),
]


@for_each_case(("fault", "kind", "status", "words"), FAULTS)
def test_each_fault_has_its_own_words(
    server: Any, fault: Any, kind: type[SdcppRestError], status: int, words: str
) -> None:
    server.fault, server.fault_text = fault, "out of order a-secret"
    server.says = [Said(["one", "two"])]
    with pytest.raises(SdcppRestError) as refused:
        chat(server, api_key="a-secret")
    assert (type(refused.value), refused.value.status) == (kind, status)
    assert words in refused.value.message
    assert server.url in refused.value.message
    assert "a-secret" not in refused.value.message


@pytest.mark.parametrize("fault", ["silent", "stall"])
def test_a_silence_ends_after_the_timeout(server: Any, fault: str) -> None:
    server.fault, server.says = fault, [Said(["one", "two"])]
    with pytest.raises(LlmTimeout, match=r"silent for 0\.05 seconds"):
        chat(server, timeout_seconds=0.05)
    assert server.hung_up.wait(20)


def test_a_server_that_is_down_is_unreachable(api: Any) -> None:
    with SERVERS[api]() as server:
        gone = endpoint(server)
    for call in (lambda: [*LlmClient(gone, Line()).chat(ASKED)], LlmClient(gone, Line()).models):
        with pytest.raises(LlmUnreachable, match="cannot be reached"):
            call()


def test_a_model_that_does_not_come_to_an_end_is_stopped(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm_client, "MAX_ANSWER_CHARACTERS", 10)
    server.says = [Said(["123456"] * 3)]
    with pytest.raises(LlmFailed, match="does not come to an end"):
        chat(server)


def test_a_compressed_answer_is_refused(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(wire: Wire, body: Any) -> None:
        wire.answer(200, {}, gzip.compress(b"x" * 100), **{"content-encoding": "gzip"})

    monkeypatch.setattr(server, "serve", serve)
    with pytest.raises(LlmFailed, match="compressed"):
        LlmClient(endpoint(server), Line()).models()


@for_each_case(
    "raw", [b"[]", b"null", b"5", b'{"models": 5, "data": 5}', b'{"models": [5], "data": [5]}', b"[" * 100_000, b"\xff"]
)
def test_junk_of_every_shape_is_one_error(server: Any, monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr(server, "serve", lambda wire, body: wire.answer(200, {}, raw))
    with pytest.raises(LlmFailed, match="not its protocol"):
        LlmClient(endpoint(server), Line()).models()
    with pytest.raises(LlmFailed, match="not its protocol"):
        chat(server)


@for_each_case("said", ["[1]", '{"a": ', "", "null", '"x"'])
def test_arguments_that_are_no_json_come_as_text(said: str) -> None:
    with OpenAiServer() as server:
        server.says = [Said([], [("load_model", said)])]
        (call,) = chat(server)
    assert call.arguments == ({"": {}, "[1]": [1], "null": None, '"x"': "x"}.get(said, said))


def test_a_server_that_does_not_stream_is_understood() -> None:
    with OpenAiServer() as server:
        server.streams = False
        server.says = [Said(["Hello"], [("unload_model", {})])]
        assert chat(server) == ["Hello", ToolCall(name="unload_model", arguments={})]


@pytest.mark.parametrize("path", ["", "/v1", "/"])
def test_the_path_of_chat_completions_is_found(path: str) -> None:
    with OpenAiServer() as server:
        url = server.url + path.rstrip("/")
        assert "Hello" in [*LlmClient(LlmEndpoint("openai", url, "llama3.2", 20), Line()).chat(ASKED)]


# --- lines ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["silent", "stall"])
def test_a_call_is_ended_from_another_thread(server: Any, fault: str) -> None:
    server.fault, server.says = fault, [Said(["one", "two"])]
    line, errors = Line(), []

    def call() -> None:
        try:
            list(LlmClient(endpoint(server), line).chat(ASKED))
        except SdcppRestError as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert server.stalled.wait(20)
    line.hang_up()
    thread.join(10)
    assert [type(error) for error in errors] == [CallEnded]
    assert server.hung_up.wait(20)


def test_a_line_that_was_hung_up_before_connects_to_nothing(server: Any) -> None:
    line = Line()
    line.hang_up()
    with pytest.raises(CallEnded):
        list(LlmClient(endpoint(server), line).chat(ASKED))


def test_an_iterator_that_is_closed_ends_the_call(server: Any) -> None:
    server.fault, server.says = "stall", [Said(["one", "two"])]
    pieces = LlmClient(endpoint(server), Line()).chat(ASKED)
    assert next(pieces) == "one"
    pieces.close()  # type: ignore[attr-defined]
    assert server.hung_up.wait(20)


def test_a_time_limit_counts_the_whole_call(server: Any) -> None:
    server.fault = "silent"
    line = Line()
    with pytest.raises(LlmTimeout, match="did not finish"), line.limit_time(0.1):
        list(LlmClient(endpoint(server), line).chat(ASKED))


def test_closing_ends_open_calls_and_refuses_new_ones(server: Any) -> None:
    server.fault = "silent"
    lines, errors = OpenCalls(), []

    def call() -> None:
        try:
            with lines.open() as line:
                list(LlmClient(endpoint(server), line).chat(ASKED))
        except SdcppRestError as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    assert server.stalled.wait(20)
    lines.close()
    thread.join(10)
    assert [type(error) for error in errors] == [EngineUnavailable]
    with pytest.raises(EngineUnavailable), lines.open():
        pass
