from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.routes.http.pools import pool_of
from sdcpp_rest.web.app import create_app
from tests import model_files

MODEL = "sd1.gguf"
CANNY, DEPTH = "canny.gguf", "depth.gguf"
CONTROLNET = {
    "control_model.zero_convs.0.0.weight": (1, 1, 8, 8),
    "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (768, 8),
}


def write_models(folder: Path) -> None:
    write = model_files.write
    write(folder / "checkpoints" / MODEL, model_files.gguf_bytes(model_files.unet()))
    for name in (CANNY, DEPTH):
        write(folder / "controlnet" / name, model_files.gguf_bytes(CONTROLNET))


@pytest.fixture
def sd1(house: Any) -> Any:
    """A house with a model that takes ControlNets, loaded without one."""
    write_models(house.config.paths.models_dir)
    answer = house.client.post("/models/load", json={"model_name": MODEL})
    assert answer.status_code == 200, answer.text
    return house


def status(client: FlaskClient) -> dict[str, Any]:
    return dict(client.get("/controlnet/status").get_json())


def test_a_controlnet_is_loaded_swapped_and_taken_out_by_reloads(sd1: Any) -> None:
    client = sd1.client
    assert status(client) == {"loaded": False, "name": None, "selected": None}
    for name in (CANNY, DEPTH):
        body = client.post("/controlnet/load", json={"controlnet": name}).get_json()
        assert (body["success"], body["name"], body["reloaded"], body["model_name"]) == (True, name, True, MODEL)
        assert "loaded again" in body["message"]
        assert status(client) == {"loaded": True, "name": name, "selected": name}
        assert client.get("/health").get_json()["loaded_components"]["controlnet"] == name
    again = client.post("/controlnet/load", json={"controlnet": DEPTH}).get_json()
    assert (again["reloaded"], again["load_seconds"]) == (False, 0.0)
    assert client.post("/controlnet/unload").get_json()["reloaded"] is True
    assert client.post("/controlnet/unload", json={}).get_json()["reloaded"] is False
    assert status(client) == {"loaded": False, "name": None, "selected": None}


def test_the_rest_of_the_model_stays_as_it_was_loaded(sd1: Any) -> None:
    client = sd1.client
    client.post("/models/load", json={"model_name": MODEL, "options": {"vae_tiling": True, "vae_decode_only": False}})
    before = client.get("/health").get_json()["load_options"]
    client.post("/controlnet/load", json={"controlnet": CANNY})
    assert client.get("/health").get_json()["load_options"] == before


def test_jobs_that_run_or_wait_are_a_conflict_unless_forced(sd1: Any) -> None:
    client = sd1.client
    sd1.gate.clear()
    running = sd1.submit(width=64, height=64)
    assert sd1.running.wait(20)
    for path, body in (("load", {"controlnet": CANNY}), ("unload", {})):
        answer = client.post(f"/controlnet/{path}", json=body)
        assert (answer.status_code, answer.get_json()["code"]) == (409, "conflict")
    waiting = sd1.submit(width=64, height=64)
    sd1.gate.set()
    forced = client.post("/controlnet/load", json={"controlnet": CANNY, "force": True})
    assert forced.status_code == 200
    assert [sd1.finished(job)["status"] for job in (running, waiting)] == ["completed", "completed"]


def test_without_a_model_there_is_nothing_to_load_it_with(client: FlaskClient) -> None:
    client.post("/models/unload")
    answer = client.post("/controlnet/load", json={"controlnet": CANNY})
    assert (answer.status_code, answer.get_json()["error"]) == (400, "No model loaded")


def test_an_unknown_one_is_refused_with_the_nearest(sd1: Any) -> None:
    answer = sd1.client.post("/controlnet/load", json={"controlnet": "cany.gguf"})
    assert answer.status_code == 404
    assert CANNY in answer.get_json()["nearest"]
    assert sd1.client.post("/controlnet/load", json={}).status_code == 400


def test_a_file_that_is_none_leaves_the_model_alone(sd1: Any) -> None:
    folder = sd1.config.paths.models_dir / "controlnet"
    model_files.write(folder / "lora.gguf", model_files.gguf_bytes(model_files.LORA))
    answer = sd1.client.post("/controlnet/load", json={"controlnet": "lora.gguf"})
    assert (answer.status_code, answer.get_json()["field"]) == (400, "controlnet")
    assert sd1.client.get("/health").get_json()["model_name"] == MODEL


def test_a_load_that_fails_brings_the_model_back(sd1: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(spec: LoadSpec) -> None:
        if "controlnet" in spec.components:
            raise RuntimeError("it does not fit")

    monkeypatch.setattr(sd1, "_on_load", refuse)
    with sd1.runtime.jobs.bus.subscribe() as mailbox:
        assert sd1.client.post("/controlnet/load", json={"controlnet": CANNY}).status_code == 500
        while (event := mailbox.get(20)) is not None and event.name != "model_loaded":
            pass
    assert status(sd1.client) == {"loaded": False, "name": None, "selected": None}
    assert sd1.client.get("/health").get_json()["selected_model_name"] == MODEL


def test_changing_it_waits_on_its_own_threads() -> None:
    views: dict[str, Callable[..., Any]] = create_app(None).view_functions
    assert {pool_of(views[f"controlnet.{name}"]) for name in ("load_controlnet", "unload_controlnet")} == {"blocking"}
    assert pool_of(views["controlnet.show_controlnet"]) == "short"
