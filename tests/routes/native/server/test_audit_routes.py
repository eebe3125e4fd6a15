"""What changes models and settings leaves a line with who did it, whatever way it was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask.testing import FlaskClient

from tests.routes.conftest import House, ServedHouse
from tests.routes.mcp.agents import post, stateless

KEYS = {
    "painter": {"key": "paints", "scopes": ["generate"]},
    "keeper": {"key": "keeps", "scopes": ["models"]},
}
WHOLE, PAINTS = {"Authorization": "Bearer whole"}, {"Authorization": "Bearer paints"}


def entries_of(client: FlaskClient, **query: Any) -> list[dict[str, Any]]:
    return list(client.get("/audit", query_string=query).get_json()["entries"])


def test_a_setting_is_recorded_with_what_it_was(client: FlaskClient) -> None:
    assert (
        client.put("/settings/auto-unload", json={"main": {"enabled": True, "timeout_minutes": 7}}).status_code == 200
    )
    assert client.put("/settings/auto-unload", json={"main": {"timeout_minutes": 9}}).status_code == 200
    newest, older = entries_of(client, tail=2)
    assert (newest["key"], newest["call"], newest["status"]) == ("anybody", "PUT /settings/auto-unload", 200)
    (change,) = newest["changes"]
    assert change["name"] == "settings.auto-unload"
    assert (change["before"]["main"]["timeout_minutes"], change["after"]["main"]["timeout_minutes"]) == (7, 9)
    assert older["changes"][0]["before"] is None


def test_what_is_refused_or_only_looks_is_not_recorded(client: FlaskClient) -> None:
    before = entries_of(client)
    assert client.put("/settings/auto-unload", json={"main": {"timeout_minutes": "x"}}).status_code == 400
    assert client.get("/settings/auto-unload").status_code == 200
    assert client.put("/settings/preferences", json={"theme": "dark"}).status_code == 200
    assert client.post("/txt2img", json={"prompt": "a circle", "steps": 1}).status_code == 202
    assert client.delete("/models/checkpoint/none.gguf", json={"confirm": "none.gguf"}).status_code == 404
    assert entries_of(client) == before


def test_keys_of_language_models_are_not_in_the_record(client: FlaskClient) -> None:
    body = {"base_url": "http://127.0.0.1:1", "api_key": "sk-very-secret"}
    assert client.put("/ollama/settings", json=body).status_code == 200
    (entry,) = entries_of(client, tail=1)
    assert entry["changes"][0]["after"]["api_key"] == "***"
    assert "very-secret" not in client.get("/audit").text


def test_folders_of_the_server_are_not_in_the_answer(house: House) -> None:
    assert house.client.post("/models/unload", json={}).status_code == 200
    (entry,) = entries_of(house.client, tail=1)
    (change,) = entry["changes"]
    assert (change["name"], change["after"]) == ("models.model", None)
    assert change["before"]["model"] == "demo_dit_q8_0.gguf"
    assert str(house.config.paths.data_dir.parent) not in house.client.get("/audit").text


def test_a_model_file_that_is_moved_and_deleted_is_recorded(house: House) -> None:
    folder = house.config.paths.models_dir / "loras"
    folder.mkdir(parents=True)
    (folder / "one.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    house.client.post("/models/refresh")
    moved = house.client.patch("/models/lora/one.safetensors", json={"name": "two.safetensors"})
    assert moved.status_code == 200, moved.text
    gone = house.client.delete("/models/lora/two.safetensors", query_string={"confirm": "two.safetensors"})
    assert gone.status_code == 200, gone.text
    deleted, renamed = entries_of(house.client, tail=2)
    assert renamed["changes"] == [
        {"name": "models.file", "before": "lora/one.safetensors", "after": "lora/two.safetensors"}
    ]
    assert deleted["changes"] == [{"name": "models.file", "before": "lora/two.safetensors", "after": None}]


def test_the_record_is_read_with_admin_alone_and_names_the_key_that_changed(
    make_served: Callable[..., ServedHouse],
) -> None:
    served = make_served(auth={"api_keys": ["whole"], "keys": KEYS})
    for key in ("paints", "keeps"):
        assert served.get("/audit", headers={"Authorization": f"Bearer {key}"}).status_code == 403

    def newest() -> dict[str, Any]:
        return dict(served.get("/audit?tail=1", headers=WHOLE).json()["entries"][0])

    assert {change["name"] for change in newest()["changes"]} >= {
        "keys.auth.api_keys.0", "keys.painter", "keys.keeper"
    }, "the first start"  # fmt: skip
    assert served.post("/models/unload", json={}, headers=PAINTS).status_code == 200
    entry = newest()
    assert (entry["key"], entry["address"], entry["call"]) == ("painter", "127.0.0.1", "POST /models/unload")
    message, headers = stateless("tools/call", {"name": "load_model", "arguments": {"model": "demo_dit_q8_0.gguf"}},
                                 "load_model")  # fmt: skip
    result = post(served.url, message, {**headers, **PAINTS}).json()["result"]
    assert not result.get("isError"), result
    entry = newest()
    assert (entry["key"], entry["address"], entry["call"]) == ("painter", "127.0.0.1", "tool load_model")
    assert [change["name"] for change in entry["changes"]] == ["models.model"]
    assert "paints" not in served.get("/audit", headers=WHOLE).text
