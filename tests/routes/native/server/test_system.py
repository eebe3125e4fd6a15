from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

from sdcpp_rest.engine.protocol import Device
from sdcpp_rest.services.server_status import _first_gpu
from tests.cases import for_each_case

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


def test_health_tells_what_user_interfaces_show(client: FlaskClient) -> None:
    health = client.get("/health").get_json()
    assert health["ws_enabled"] is True
    assert (health["loading_step"], health["loading_total_steps"]) == (None, None)
    assert health["load_options"].items() >= {"enable_mmap": True, "rng_type": "cuda", "max_vram": 0.0}.items()
    assert (health["supports_image_generation"], health["supports_video_generation"]) == (True, False)
    assert health["features"]["auth_required"] is False
    assert health["features"]["mcp"] is True
    memory = client.get("/memory").get_json()
    assert health["memory"].keys() == memory.keys()
    system = memory["system"]
    assert system["used_bytes"] + system["free_bytes"] == system["total_bytes"]
    assert system["total_mb"] == system["total_bytes"] // 1024**2
    assert 0 < system["usage_percent"] < 100
    assert memory["process"]["rss_mb"] >= 1


def test_the_first_gpu_is_told_in_every_unit() -> None:
    devices = (
        Device(name="CPU", description="", backend="CPU"),
        Device(
            name="CUDA0", description="A card", backend="CUDA", total_bytes=4 << 20, free_bytes=1 << 20, is_gpu=True
        ),
    )
    assert _first_gpu(devices) == {
        "available": True, "name": "A card", "total_bytes": 4 << 20, "used_bytes": 3 << 20, "free_bytes": 1 << 20,
        "total_mb": 4, "used_mb": 3, "free_mb": 1, "usage_percent": 75.0,
    }  # fmt: skip
    none = _first_gpu(devices[:1])
    assert (none["available"], none["name"], none["usage_percent"]) == (False, "", 0.0)


def test_health_tells_how_far_a_load_is(make_house: Any) -> None:
    house = make_house()
    house.load_gate.clear()
    with house.runtime.jobs.bus.subscribe() as mailbox:
        house.runtime.start()
        while (event := mailbox.get(20)) is not None and event.name != "model_loading_progress":
            pass
    health = house.client.get("/health").get_json()
    assert (health["model_loading"], health["loading_step"], health["loading_total_steps"]) == (True, 0, 100)
    assert health["load_options"] == {}


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


def test_options_are_told_also_while_the_engine_is_down(make_house: Any) -> None:
    house = make_house(engine={"stop_timeout_seconds": 1, "backoff_initial_seconds": 600, "backoff_max_seconds": 600})
    before = house.start().client.get("/options").get_json()
    job = house.finished(house.submit(prompt="fake:die"))
    assert job["error_code"] == "engine_crashed"
    assert house.client.get("/health").get_json()["engine"]["pid"] is None
    assert house.client.get("/options").get_json() == before
    assert before["quantization_types"]


def test_options_of_a_server_that_is_not_started_are_the_contracts(make_house: Any) -> None:
    options = make_house().client.get("/options").get_json()
    assert {"euler", "euler_a"} <= set(options["samplers"])
    assert "discrete" in options["schedulers"]


def test_metrics_count_jobs_and_requests(house: Any) -> None:
    house.finished(house.submit())
    house.finished(house.submit(prompt="fake:fail"))
    house.client.get("/nothing/like/it")
    answer = house.client.get("/metrics")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    for line in (
        'sdcpp_rest_jobs_finished_total{kind="txt2img",status="completed"} 1.0',
        'sdcpp_rest_jobs_finished_total{kind="txt2img",status="failed"} 1.0',
        'sdcpp_rest_job_native_seconds_count{kind="txt2img"} 1.0',
        'sdcpp_rest_jobs{status="completed"} 1.0',
        'sdcpp_rest_http_requests_total{endpoint="/txt2img",method="POST",status="202"} 2.0',
        'sdcpp_rest_http_requests_total{endpoint="/queue/<job_id>",method="GET",status="200"} 2.0',
        'sdcpp_rest_http_requests_total{endpoint="unknown",method="GET",status="404"} 1.0',
        "sdcpp_rest_engine_up 1.0",
        "sdcpp_rest_processing 0.0",
    ):
        assert line in answer.text.splitlines()
    assert 'name="demo_dit_q8_0.gguf"' in answer.text


def test_metrics_make_nobody_believe_that_somebody_watches(house: Any) -> None:
    house.client.get("/metrics")
    assert house.runtime.jobs.bus.subscriber_count == 0


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
    health = {**house.runtime.status.health(), "model_name": "<script>alert(1)</script>"}
    monkeypatch.setattr(house.runtime.status, "health", lambda: health)
    assert "<script>" not in client.get("/", headers={"Accept": "text/html"}).text


def test_the_icon_that_browsers_ask_for_is_not_an_error(client: FlaskClient) -> None:
    assert client.get("/favicon.ico").status_code == 204


@for_each_case("path", ["/health", "/queue", "/models", "/options"])
def test_a_final_slash_is_the_same_url(client: FlaskClient, path: str) -> None:
    assert client.get(path + "/").status_code == 200
