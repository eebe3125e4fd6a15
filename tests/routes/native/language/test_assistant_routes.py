"""The assistant over HTTP: the contract's shapes, actions that are carried out as they stand, streams and their end."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient

from sdcpp_rest.routes.http.pools import pool_of
from sdcpp_rest.services.jobs.departure import Departure
from sdcpp_rest.services.language.assistant_prompt import INSTRUCTIONS
from sdcpp_rest.web import waiting_call
from sdcpp_rest.web.app import create_app
from tests.cases import for_each_case
from tests.routes.conftest import House, ServedHouse
from tests.routes.documented_answers import validate
from tests.servers.language_model import Said
from tests.servers.ollama_server import OllamaServer
from tests.servers.openai_server import OpenAiServer

DEMO = "demo_dit_q8_0.gguf"
LOAD = ("load_model", {"model_name": "demo_dit_q8_0", "model_type": "diffusion"})


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        server.says = [Said(["I'll load ", "the demo model."], [LOAD])]
        yield server


@pytest.fixture
def client(make_house: Callable[..., House], server: OllamaServer) -> FlaskClient:
    """Of a house that is not started: nothing here needs the engine."""
    return make_house(assistant={"base_url": server.url}).client


@pytest.fixture
def served(make_served: Callable[..., ServedHouse], server: OllamaServer) -> ServedHouse:
    return make_served(assistant={"base_url": server.url})


def events_of(answer: requests.Response) -> list[tuple[str, Any]]:
    """Name and data of every event; comments are left out."""
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def test_an_answer_has_the_contracts_shape(client: FlaskClient) -> None:
    body = client.post(
        "/assistant/chat",
        json={
            "message": "Load the demo model",
            "context": {"current_view": "dashboard", "settings": {}, "model_info": {}, "available_models": {}},
        },
    ).get_json()
    parameters = {"model_name": DEMO, "model_type": "diffusion"}
    assert body == {
        "success": True,
        "message": "I'll load the demo model.",
        "actions": [
            {
                "type": "load_model",
                "parameters": parameters,
                "request": {"method": "POST", "url": "/models/load", "body": parameters},
            }
        ],
    }


def test_an_action_is_carried_out_as_it_stands(served: ServedHouse) -> None:
    assert served.post("/models/unload", json={"force": True}).status_code == 200
    assert served.get("/health").json()["model_loaded"] is False
    (action,) = served.post("/assistant/chat", json={"message": "load demo"}).json()["actions"]
    request = action["request"]
    done = requests.request(request["method"], served.url + request["url"], json=request["body"], timeout=20)
    assert done.status_code == 200, done.text
    health = served.get("/health").json()
    assert (health["model_loaded"], health["model_name"]) == (True, DEMO)


def test_the_model_knows_how_the_server_stands(served: ServedHouse, server: OllamaServer) -> None:
    job = served.post("/txt2img", json={"prompt": "a red circle", "steps": 1}).json()["job_id"]
    served.runtime.jobs.queue.wait(job, 20)
    served.post("/assistant/chat", json={"message": "hi", "context": {"current_view": "gallery of mine"}})
    told = server.chats[0]["messages"][0]["content"]
    for fact in (DEMO, "euler", job, "a red circle", "gallery of mine"):
        assert fact in told


def test_a_proposal_that_cannot_be_is_a_warning(client: FlaskClient, server: OllamaServer) -> None:
    server.says = [Said([], [("load_model", {"model_name": "sdxl"})])]
    body = client.post("/assistant/chat", json={"message": "load SDXL", "stream": True}).get_json()
    assert body["actions"] == []
    assert body["warnings"][0].startswith("unknown field 'stream' ignored")
    assert body["warnings"][1].startswith("the action load_model was left out: Model not found: sdxl")


def test_the_conversation_has_the_contracts_shape(client: FlaskClient) -> None:
    client.post("/assistant/chat", json={"message": "Load demo"})
    body = client.get("/assistant/history").get_json()
    assert body["count"] == 2
    user, assistant = body["messages"]
    assert user.keys() == {"role", "content", "timestamp"}
    assert (user["role"], user["content"]) == ("user", "Load demo")
    assert (assistant["role"], assistant["content"]) == ("assistant", "I'll load the demo model.")
    assert assistant["actions"][0]["type"] == "load_model"
    assert isinstance(assistant["timestamp"], int)
    assert client.delete("/assistant/history").get_json() == {"success": True}
    assert client.get("/assistant/history").get_json() == {"messages": [], "count": 0}


def test_status_has_the_contracts_shape(client: FlaskClient, server: OllamaServer) -> None:
    assert client.get("/assistant/status").get_json() == {
        "enabled": True, "connected": True, "base_url": server.url, "model": "llama3.2", "timeout_seconds": 120,
        "history_count": 0, "endpoint": server.url, "proactive_suggestions": True,
        "available_models": ["llama3.2", "mistral"],
    }  # fmt: skip


def test_settings_have_the_contracts_defaults_and_shape(make_house: Callable[..., House]) -> None:
    client = make_house().client
    settings = {
        "enabled": True, "base_url": "http://localhost:11434", "model": "llama3.2", "timeout_seconds": 120,
        "max_history": 50, "api": "ollama", "system_prompt": "", "endpoint": "http://localhost:11434",
        "temperature": 0.7, "max_tokens": 4096, "max_history_turns": 25, "proactive_suggestions": True,
        "default_system_prompt": INSTRUCTIONS, "has_api_key": False,
    }  # fmt: skip
    assert client.get("/assistant/settings").get_json() == {**settings, "api_key": ""}
    changed = client.put("/assistant/settings", json={"api_key": "a-secret", "max_history": 10})
    assert changed.get_json() == {
        "success": True,
        "settings": {**settings, "max_history": 10, "max_history_turns": 5, "has_api_key": True},
    }
    assert client.get("/assistant/settings").get_json()["api_key"] == "***masked***"
    assert client.get("/ollama/settings").get_json()["max_history"] == 100


def test_settings_may_be_sent_back_with_one_of_them_changed(make_house: Callable[..., House]) -> None:
    client = make_house().client
    shown = client.get("/assistant/settings").get_json()
    same = client.put("/assistant/settings", json=shown).get_json()
    assert same == {"success": True, "settings": {name: shown[name] for name in shown if name != "api_key"}}
    changes = {
        "endpoint": "http://127.0.0.1:8000", "max_history_turns": 7, "temperature": 0, "max_tokens": 99,
        "proactive_suggestions": False, "system_prompt": INSTRUCTIONS,
    }  # fmt: skip
    changed = client.put("/assistant/settings", json=shown | changes).get_json()
    assert "warnings" not in changed
    expected = {"base_url": "http://127.0.0.1:8000", "max_history": 14, **changes, "system_prompt": ""}
    assert expected.items() <= changed["settings"].items()
    both = client.put(
        "/assistant/settings", json={"base_url": "http://[::1]:1", "endpoint": "http://[::1]:2"}
    ).get_json()
    assert (both["settings"]["endpoint"], len(both["warnings"])) == ("http://[::1]:1", 1)


def test_temperature_and_length_reach_the_model(client: FlaskClient, server: OllamaServer) -> None:
    client.put("/assistant/settings", json={"temperature": 0.25, "max_tokens": 77})
    client.post("/assistant/chat", json={"message": "hi"})
    assert server.chats[0]["options"].items() >= {"temperature": 0.25, "num_predict": 77}.items()


def test_another_model_can_be_asked_about(client: FlaskClient) -> None:
    info = client.get("/assistant/model-info?model=not-there").get_json()
    assert (info["model"], info["available"], info["has_vision"]) == ("not-there", False, False)


def test_what_the_model_is(client: FlaskClient, server: OllamaServer) -> None:
    server.capabilities = ["completion", "vision"]
    assert client.get("/assistant/model-info").get_json() == {
        "model": "llama3.2", "api": "ollama", "available": True, "family": "llama", "parameter_size": "3.2B",
        "quantization": "Q4_K_M", "context_length": 131072, "capabilities": ["completion", "vision"],
        "supports_tools": False, "supports_vision": True, "has_vision": True,
    }  # fmt: skip
    client.put("/assistant/settings", json={"model": "not-there"})
    assert client.get("/assistant/model-info").get_json()["available"] is False


def test_an_openai_compatible_server_does_as_well(make_house: Callable[..., House]) -> None:
    with OpenAiServer() as server:
        server.says = [Said([], [LOAD])]
        client = make_house(assistant={"base_url": server.url + "/v1", "api": "openai"}).client
        body = client.post("/assistant/chat", json={"message": "load demo"}).get_json()
        assert body["message"] == f"I load the model {DEMO}."
        info = client.get("/assistant/model-info").get_json()
        assert (info["context_length"], info["supports_tools"]) == (32768, None)


@pytest.mark.slow
@for_each_case("path", ["/assistant/chat", "/assistant/chat/stream"])
@for_each_case(
    ("fault", "status", "code"),
    [
        (401, 502, "llm_key_refused"),
        (404, 502, "llm_model_not_found"),
        (429, 503, "llm_busy"),
        (500, 502, "llm_failed"),
        ("junk", 502, "llm_failed"),
        ("silent", 504, "llm_timeout"),
    ],
)
def test_what_fails_before_the_first_word_is_an_error_like_any_other(
    client: FlaskClient,
    server: OllamaServer,
    path: str,
    fault: Any,
    status: int,
    code: str,
    request: pytest.FixtureRequest,
) -> None:
    if fault == "silent":
        request.getfixturevalue("short_seconds")
    server.fault = fault
    client.put("/assistant/settings", json={"timeout_seconds": 1})
    answer = client.post(path, json={"message": "hi"})
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert client.get("/assistant/history").get_json()["count"] == 0


@for_each_case("path", ["/assistant/chat", "/assistant/chat/stream"])
@for_each_case(
    ("body", "field"),
    [
        ({}, "message"),
        ({"message": ""}, "message"),
        ({"message": " \n"}, "message"),
        ({"message": 5}, "message"),
        ({"message": "x" * 16_001}, "message"),
        ({"message": "x", "context": "dashboard"}, "context"),
        ({"message": "x", "context": []}, "context"),
        ({"message": "x", "context": {"settings": "y" * 300_000}}, "context"),
    ],
)
def test_bad_input_names_the_field_and_calls_nobody(
    client: FlaskClient, server: OllamaServer, path: str, body: Any, field: str
) -> None:
    answer = client.post(path, json=body)
    assert (answer.status_code, answer.get_json()["field"]) == (400, field)
    assert server.asked == []


# --- streams --------------------------------------------------------------------------------------------------------


def test_a_stream_brings_text_actions_and_the_whole(served: ServedHouse) -> None:
    answer = served.post("/assistant/chat/stream", json={"message": "load demo"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    events = events_of(answer)
    assert [name for name, _ in events] == ["delta", "content", "delta", "content", "actions", "done"]
    assert [told["content"] for name, told in events if name == "content"] == [
        told["text"] for name, told in events if name == "delta"
    ]
    assert "".join(told["text"] for name, told in events if name == "delta") == "I'll load the demo model."
    done = events[-1][1]
    validate("#/components/schemas/ChatAnswer", done)
    assert events[-2][1]["actions"] == done["actions"]
    assert served.get("/assistant/history").json()["count"] == 2


def test_each_piece_leaves_at_once(served: ServedHouse, server: OllamaServer) -> None:
    server.fault, server.says = "stall", [Said(["one", "two"])]
    url = served.url + "/assistant/chat/stream"
    with requests.post(url, json={"message": "hi"}, stream=True, timeout=20) as answer:
        lines = answer.iter_lines()
        assert [next(lines), next(lines), next(lines)] == [b": thinking", b"", b"event: delta"]
        assert server.stalled.wait(20)
        assert not server.hung_up.is_set()


def test_a_stream_that_breaks_ends_with_an_error(served: ServedHouse, server: OllamaServer) -> None:
    server.fault, server.says = "cut", [Said(["one", "two"])]
    events = events_of(served.post("/assistant/chat/stream", json={"message": "hi"}))
    assert [name for name, _ in events] == ["delta", "content", "error"]
    validate("#/components/schemas/Error", events[-1][1])
    assert events[-1][1]["code"] == "llm_failed"
    assert served.get("/assistant/history").json()["count"] == 0


@pytest.mark.parametrize("fault", ["silent", "stall"])
def test_a_client_that_leaves_takes_the_call_to_the_model_along(
    served: ServedHouse, server: OllamaServer, fault: str
) -> None:
    server.fault, server.says = fault, [Said(["one", "two"])]
    body = b'{"message": "hi"}'
    with served.connection() as connection:
        head = f"POST /assistant/chat/stream HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        assert server.stalled.wait(20)
        # A hard end, as a browser that was closed: nothing is read any more.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert server.hung_up.wait(20)
    server.fault = None
    assert served.post("/assistant/chat", json={"message": "load demo"}).status_code == 200
    for _ in range(1000):  # its thread ends a moment after its answer
        if served.shell.blocking_in_flight and served.get("/health"):
            continue
    assert served.shell.blocking_in_flight == 0


def test_a_silent_stream_says_that_it_lives(
    served: ServedHouse, server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_call, "_STREAM_SILENCE_SECONDS", 0.02)
    server.fault, server.says = "stall", [Said(["one", "two"])]
    url = served.url + "/assistant/chat/stream"
    with requests.post(url, json={"message": "hi"}, stream=True, timeout=20) as answer:
        # Within a few lines: the event, then one comment after the other.
        assert b": still here" in [next(lines) for lines in [answer.iter_lines()] * 10]


@pytest.mark.usefixtures("short_seconds")
def test_an_error_before_a_stream_has_no_comments_in_it(
    served: ServedHouse, server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_call, "_STREAM_SILENCE_SECONDS", 0.01)
    server.fault = "silent"
    served.house.client.put("/assistant/settings", json={"timeout_seconds": 1})
    answer = served.post("/assistant/chat/stream", json={"message": "hi"})
    assert (answer.status_code, answer.json()["code"]) == (504, "llm_timeout")


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/assistant/chat", "/assistant/chat/stream"])
def test_a_server_that_stops_waits_for_no_model(
    make_served: Callable[..., ServedHouse], server: OllamaServer, path: str
) -> None:
    served = make_served(assistant={"base_url": server.url})
    server.fault, server.says = "silent", [Said(["one"])]
    body = b'{"message": "hi"}'
    with served.connection() as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        assert server.stalled.wait(20)
        served.runtime.begin_stop()
        assert b" 503 " in connection.recv(65_536).splitlines()[0]
    assert server.hung_up.wait(20)


def test_streams_count_among_the_calls_that_wait(make_served: Callable[..., ServedHouse], server: OllamaServer) -> None:
    served = make_served(assistant={"base_url": server.url}, server={"blocking_threads": 1})
    server.fault, server.says = "stall", [Said(["one", "two"])]
    url = served.url + "/assistant/chat/stream"
    with requests.post(url, json={"message": "hi"}, stream=True, timeout=20) as answer:
        lines = answer.iter_lines()
        assert [next(lines), next(lines), next(lines)] == [b": thinking", b"", b"event: delta"]
        refused = served.post("/assistant/chat/stream", json={"message": "hi"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert served.get("/health").status_code == 200


def test_who_leaves_is_told_of_once_whenever_somebody_asks() -> None:
    left, calls = Departure(), []
    left.on_leaving(lambda: calls.append("early"))
    left.leave()
    left.leave()
    left.on_leaving(lambda: calls.append("late"))
    assert calls == ["early", "late"]


def test_views_that_wait_for_the_model_do_not_keep_the_others() -> None:
    views = create_app(None).view_functions
    assert pool_of(views["assistant.chat_as_it_comes"]) == "stream"
    waiting = ("chat", "show_assistant_status", "show_assistant_model")
    assert {pool_of(views[f"assistant.{name}"]) for name in waiting} == {"blocking"}
