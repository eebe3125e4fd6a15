from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

SEED_FIELDS = {
    "status", "model_loaded", "model_loading", "loading_model_name", "last_error", "model_name", "model_type",
    "model_architecture", "loaded_components", "upscaler_loaded", "upscaler_name",
}  # fmt: skip


def test_health_has_every_field_of_the_contract_and_ours(client: FlaskClient) -> None:
    health = client.get("/health").get_json()
    assert health.keys() >= SEED_FIELDS | {"version", "engine"}
    assert health["status"] == "ok"
    assert health["model_loaded"] is True
    assert health["model_name"] == "demo_dit_q8_0.gguf"
    assert set(health["loaded_components"]) == {"vae", "clip_l", "clip_g", "t5xxl", "controlnet", "llm", "llm_vision"}
    assert health["engine"].keys() == {"pid", "state", "backend", "restarts", "library_version"}


def test_health_of_a_server_that_is_not_started_is_answered_too(make_house: Any) -> None:
    health = make_house().client.get("/health").get_json()
    assert (health["status"], health["model_loaded"], health["loaded_components"]) == ("ok", False, {})


def test_a_caller_without_a_key_learns_only_that_the_server_lives(client: FlaskClient) -> None:
    answer = client.get("/health", environ_overrides={"asgi.scope": {"sdcpp_rest.known": False}})
    assert answer.get_json() == {"status": "ok"}


def test_options_are_what_the_engine_named(client: FlaskClient) -> None:
    options = client.get("/options").get_json()
    assert options["samplers"] == ["euler", "euler_a", "heun", "dpm++2m"]
    assert options["schedulers"] == ["discrete", "karras", "gits"]
    assert options["quantization_types"][0].keys() >= {"id", "name", "bits"}


def test_memory_is_told(client: FlaskClient) -> None:
    assert client.get("/memory").get_json()["server"]["rss_bytes"] > 0


def test_the_root_gives_links_to_programs(client: FlaskClient) -> None:
    answer = client.get("/", headers={"Accept": "*/*"})
    assert answer.mimetype == "application/json"
    for url in answer.get_json()["links"].values():
        assert client.get(url).status_code == 200, url


def test_the_root_gives_a_page_to_browsers(client: FlaskClient) -> None:
    answer = client.get("/", headers={"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"})
    assert answer.mimetype == "text/html"
    assert "demo_dit_q8_0.gguf" in answer.text
    assert "http://" not in answer.text, "the page must need nothing from elsewhere"


def test_names_of_models_cannot_write_into_the_page(client: FlaskClient, house: Any, monkeypatch: Any) -> None:
    health = {**house.runtime.health(), "model_name": "<script>alert(1)</script>"}
    monkeypatch.setattr(house.runtime, "health", lambda: health)
    assert "<script>" not in client.get("/", headers={"Accept": "text/html"}).text


def test_the_icon_that_browsers_ask_for_is_not_an_error(client: FlaskClient) -> None:
    assert client.get("/favicon.ico").status_code == 204


@pytest.mark.parametrize("path", ["/health", "/queue", "/models", "/options"])
def test_a_final_slash_is_the_same_url(client: FlaskClient, path: str) -> None:
    assert client.get(path + "/").status_code == 200
