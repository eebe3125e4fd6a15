"""Better prompts over HTTP, against a local Ollama: the contract's shapes, settings that are kept, faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.routes.http.pools import pool_of
from sdcpp_rest.web.app import create_app
from tests.cases import for_each_case
from tests.routes.conftest import House
from tests.servers.language_model import Said
from tests.servers.ollama_server import OllamaServer
from tests.servers.openai_server import OpenAiServer

SETTINGS = {
    "enabled": True, "base_url": "http://localhost:11434", "model": "llama3.2", "timeout_seconds": 60,
    "max_history": 100, "api": "ollama", "system_prompt": "",
}  # fmt: skip
MASK = "***masked***"


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        server.says = [Said(["a beautiful ", "fluffy cat"])]
        yield server


@pytest.fixture
def client(make_house: Callable[..., House], server: OllamaServer) -> FlaskClient:
    """Of a house that is not started: nothing here needs the engine."""
    return make_house(ollama={"base_url": server.url}).client


def test_a_prompt_is_made_better_in_the_contracts_shape(client: FlaskClient) -> None:
    body = client.post("/ollama/enhance", json={"prompt": "a cat", "system_prompt": "Be brief."}).get_json()
    assert body.keys() == {"success", "id", "original_prompt", "enhanced_prompt", "model_used", "created_at"}
    assert (body["success"], body["original_prompt"], body["model_used"]) == (True, "a cat", "llama3.2")
    assert body["enhanced_prompt"] == "a beautiful fluffy cat"
    assert isinstance(body["created_at"], int)


def test_the_history_has_the_contracts_shape(client: FlaskClient) -> None:
    entry_id = client.post("/ollama/enhance", json={"prompt": "a cat"}).get_json()["id"]
    listed = client.get("/ollama/history").get_json()
    assert listed.keys() == {"total_count", "items"}
    (item,) = listed["items"]
    assert item == client.get(f"/ollama/history/{entry_id}").get_json()
    assert (item.pop("id"), item.pop("created_at") > 1_700_000_000) == (entry_id, True)
    assert item == {
        "original_prompt": "a cat", "enhanced_prompt": "a beautiful fluffy cat", "model_used": "llama3.2",
        "success": True, "error_message": "",
    }  # fmt: skip


def test_the_history_is_paged_and_forgotten(client: FlaskClient) -> None:
    ids = [client.post("/ollama/enhance", json={"prompt": f"p{number}"}).get_json()["id"] for number in range(3)]
    page = client.get("/ollama/history?limit=1&offset=1").get_json()
    assert (page["total_count"], [item["id"] for item in page["items"]]) == (3, [ids[1]])
    assert client.delete(f"/ollama/history/{ids[0]}").get_json() == {"success": True}
    assert client.get(f"/ollama/history/{ids[0]}").status_code == 404
    assert client.delete(f"/ollama/history/{ids[0]}").status_code == 404
    assert client.delete("/ollama/history").get_json() == {"success": True}
    assert client.get("/ollama/history").get_json() == {"total_count": 0, "items": []}


@for_each_case("query", ["limit=0", "limit=1001", "limit=x", "offset=-1", "offset=1.5"])
def test_a_page_that_cannot_be_is_refused(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/ollama/history?{query}")
    assert answer.status_code == 400
    assert answer.get_json()["field"] == query.partition("=")[0]


def test_status_and_models(client: FlaskClient, server: OllamaServer) -> None:
    assert client.get("/ollama/status").get_json() == {
        "enabled": True, "connected": True, "base_url": server.url, "model": "llama3.2", "max_history": 100,
        "history_count": 0,
    }  # fmt: skip
    assert client.get("/ollama/models").get_json() == {"models": ["llama3.2", "mistral"]}


@for_each_case(
    ("fault", "status", "code"),
    [
        (401, 502, "llm_key_refused"),
        (404, 502, "llm_model_not_found"),
        (429, 503, "llm_busy"),
        (500, 502, "llm_failed"),
        ("cut", 502, "llm_failed"),
        ("junk", 502, "llm_failed"),
        ("silent", 504, "llm_timeout"),
    ],
)
def test_a_fault_is_an_error_and_a_row(
    client: FlaskClient,
    server: OllamaServer,
    fault: Any,
    status: int,
    code: str,
    request: pytest.FixtureRequest,
) -> None:
    if fault == "silent":
        request.getfixturevalue("short_seconds")
    server.fault = fault
    client.put("/ollama/settings", json={"timeout_seconds": 1})
    answer = client.post("/ollama/enhance", json={"prompt": "a cat"})
    body = answer.get_json()
    assert (answer.status_code, body["code"]) == (status, code)
    row = client.get(f"/ollama/history/{body['id']}").get_json()
    assert (row["success"], row["enhanced_prompt"], row["error_message"]) == (False, "", body["error"])


def test_a_server_that_is_down_is_a_503_and_a_row(make_house: Callable[..., House]) -> None:
    client = make_house(ollama={"base_url": "http://127.0.0.1:1"}).client
    answer = client.post("/ollama/enhance", json={"prompt": "a cat"})
    assert (answer.status_code, answer.get_json()["code"]) == (503, "llm_unreachable")
    assert client.get("/ollama/history").get_json()["items"][0]["success"] is False
    assert client.get("/ollama/models").status_code == 503
    assert client.get("/ollama/status").get_json()["connected"] is False


def test_switched_off_it_says_so(client: FlaskClient) -> None:
    client.put("/ollama/settings", json={"enabled": False})
    answer = client.post("/ollama/enhance", json={"prompt": "a cat"})
    assert (answer.status_code, answer.get_json()["code"]) == (503, "llm_disabled")
    assert client.get("/ollama/history").get_json()["total_count"] == 0


@for_each_case(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "  "}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"prompt": "x" * 16_001}, "prompt"),
        ({"prompt": "a", "system_prompt": 5}, "system_prompt"),
        ({"prompt": "a", "system_prompt": "x" * 16_001}, "system_prompt"),
        ({"prompt": "a", "options": "fast"}, "options"),
        ({"prompt": "a", "options": {"temperature": "hot"}}, "options.temperature"),
        ({"prompt": "a", "options": {"temperature": -1}}, "options.temperature"),
        ({"prompt": "a", "options": {"max_tokens": 0}}, "options.max_tokens"),
        ({"prompt": "a", "options": {"model": ""}}, "options.model"),
    ],
)
def test_bad_input_names_the_field_and_calls_nobody(
    client: FlaskClient, server: OllamaServer, body: Any, field: str
) -> None:
    answer = client.post("/ollama/enhance", json=body)
    assert (answer.status_code, answer.get_json()["field"]) == (400, field)
    assert server.asked == []


def test_unknown_fields_are_told_and_null_is_not_given(client: FlaskClient) -> None:
    body = client.post("/ollama/enhance", json={"prompt": "a", "system_promt": "x", "system_prompt": None}).get_json()
    assert body["warnings"] == ["unknown field 'system_promt' ignored; did you mean 'system_prompt'?"]


@for_each_case("raw", [b"{", b"[]", b'"a cat"', b"\xff", b'{"prompt": "a\\u0000"}'])
def test_a_body_that_cannot_be_read_is_a_400(client: FlaskClient, raw: bytes) -> None:
    assert client.post("/ollama/enhance", data=raw).status_code == 400


# --- settings -------------------------------------------------------------------------------------------------------


def test_settings_have_the_contracts_defaults_and_shape(make_house: Callable[..., House]) -> None:
    client = make_house().client
    assert client.get("/ollama/settings").get_json() == {**SETTINGS, "api_key": ""}
    changed = client.put("/ollama/settings", json={**SETTINGS, "model": "mistral", "api_key": "a-secret"})
    assert changed.get_json() == {"success": True, "settings": {**SETTINGS, "model": "mistral"}}
    assert "a-secret" not in changed.text
    assert client.get("/ollama/settings").get_json() == {**SETTINGS, "model": "mistral", "api_key": MASK}


def test_a_masked_key_that_comes_back_changes_nothing(client: FlaskClient, server: OllamaServer) -> None:
    server.key = "a-secret"
    client.put("/ollama/settings", json={"api_key": "a-secret"})
    shown = client.get("/ollama/settings").get_json()
    assert shown["api_key"] == MASK
    assert client.put("/ollama/settings", json={**shown, "timeout_seconds": 5}).status_code == 200
    assert client.post("/ollama/enhance", json={"prompt": "a cat"}).status_code == 200
    client.put("/ollama/settings", json={"api_key": ""})
    assert client.post("/ollama/enhance", json={"prompt": "a cat"}).status_code == 502


def test_settings_are_kept_over_a_restart(make_house: Callable[..., House], tmp_path: Any) -> None:
    paths = {name: str(tmp_path / "kept" / name) for name in ("data_dir", "models_dir", "output_dir", "log_dir")}
    first = make_house(paths=paths)
    first.client.put("/ollama/settings", json={"model": "mistral", "api_key": "a-secret"})
    first.close()
    shown = make_house(paths=paths).client.get("/ollama/settings").get_json()
    assert (shown["model"], shown["api_key"]) == ("mistral", MASK)


@for_each_case(
    ("sent", "field"),
    [
        ({"enabled": "yes"}, "enabled"),
        ({"api": "gemini"}, "api"),
        ({"base_url": "localhost"}, "base_url"),
        ({"base_url": "ftp://localhost"}, "base_url"),
        ({"base_url": "http://me:secret@localhost"}, "base_url"),
        ({"base_url": ""}, "base_url"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"timeout_seconds": 3601}, "timeout_seconds"),
        ({"timeout_seconds": 1.5}, "timeout_seconds"),
        ({"max_history": 0}, "max_history"),
        ({"max_history": 10**9}, "max_history"),
        ({"system_prompt": "x" * 16_001}, "system_prompt"),
        ({"api_key": 5}, "api_key"),
        ({"api_key": "two words"}, "api_key"),
    ],
)
def test_bad_settings_name_the_field_and_change_nothing(shared_client: FlaskClient, sent: Any, field: str) -> None:
    before = shared_client.get("/ollama/settings").get_json()
    answer = shared_client.put("/ollama/settings", json=sent)
    assert (answer.status_code, answer.get_json()["field"]) == (400, field)
    assert shared_client.get("/ollama/settings").get_json() == before


@for_each_case(
    "url", ["http://169.254.169.254", "http://10.0.0.1", "http://example.org", "http://[::]", "http://0.0.0.0:11434"]
)
def test_other_hosts_cannot_be_named_over_the_api(shared_client: FlaskClient, url: str) -> None:
    answer = shared_client.put("/ollama/settings", json={"base_url": url})
    assert (answer.status_code, answer.get_json()["setting"]) == (403, "llm.allowed_hosts")


def test_who_shows_a_key_may_name_any_host(make_house: Callable[..., House]) -> None:
    client = make_house(auth={"api_keys": ["ours"]}).client
    assert client.put("/ollama/settings", json={"base_url": "http://gpu-box.lan:11434"}).status_code == 200


def test_hosts_of_the_configuration_may_be_named(make_house: Callable[..., House]) -> None:
    client = make_house(llm={"allowed_hosts": ["gpu-box.lan"]}).client
    assert client.put("/ollama/settings", json={"base_url": "http://gpu-box.lan:11434"}).status_code == 200


def test_an_openai_compatible_server_does_as_well(make_house: Callable[..., House]) -> None:
    with OpenAiServer() as server:
        server.says = [Said(["a fluffy cat"])]
        client = make_house(ollama={"base_url": server.url, "api": "openai"}).client
        assert client.post("/ollama/enhance", json={"prompt": "a cat"}).get_json()["enhanced_prompt"] == "a fluffy cat"
        assert client.get("/ollama/models").get_json() == {"models": ["llama3.2", "mistral"]}


def test_views_that_wait_for_the_model_do_not_keep_the_others() -> None:
    views = create_app(None).view_functions
    waiting = ("enhance_prompt", "show_enhancer_status", "list_language_models")
    assert {pool_of(views[f"ollama.{name}"]) for name in waiting} == {"blocking"}
    assert pool_of(views["ollama.show_enhancements"]) == "short"
