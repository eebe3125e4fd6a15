from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.cases import for_each_case
from tests.routes.a1111.pictures import SMALL
from tests.routes.conftest import House


def test_memory_is_told_in_bytes(shared_client: FlaskClient) -> None:
    memory = shared_client.get("/sdapi/v1/memory").get_json()
    assert memory["ram"].keys() == {"free", "used", "total"}
    assert 0 < memory["ram"]["used"] < memory["ram"]["total"]
    assert "error" in memory["cuda"]


def test_memory_of_a_gpu(house: House, client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = house.runtime.status.memory()
    device = {"name": "CUDA0", "is_gpu": True, "free_bytes": 3, "total_bytes": 10}
    monkeypatch.setattr(house.runtime.status, "memory", lambda: {**memory, "devices": [device]})
    cuda = client.get("/sdapi/v1/memory").get_json()["cuda"]
    assert cuda["system"] == {"free": 3, "used": 7, "total": 10}
    assert {"active", "allocated", "reserved", "inactive", "events"} <= cuda.keys()


def test_an_unloaded_model_comes_back_when_it_is_needed(house: House, client: FlaskClient) -> None:
    models = house.runtime.models.slot
    assert client.post("/sdapi/v1/unload-checkpoint").get_json() == {}
    assert models.resident is None
    assert models.selected is not None
    assert client.post("/sdapi/v1/txt2img", json={"prompt": "x", **SMALL}).status_code == 200
    client.post("/sdapi/v1/unload-checkpoint")
    assert client.post("/sdapi/v1/reload-checkpoint").get_json() == {}
    assert models.resident is not None


def test_without_a_model_there_is_nothing_to_reload(house: House, client: FlaskClient) -> None:
    house.runtime.models.slot.unload()
    answer = client.post("/sdapi/v1/reload-checkpoint")
    assert (answer.status_code, answer.get_json()["error"]) == (400, "NoModelLoaded")
    assert client.post("/sdapi/v1/unload-checkpoint").status_code == 200


@for_each_case("path", ["create/embedding", "create/hypernetwork", "train/embedding", "train/hypernetwork"])
def test_training_is_not_possible(shared_client: FlaskClient, path: str) -> None:
    answer = shared_client.post(f"/sdapi/v1/{path}", json={"name": "x"})
    assert answer.status_code == 501
    assert answer.get_json()["error"] == "NotSupported"
    assert "only draws" in answer.get_json()["detail"]


def test_the_page_of_those_programs_has_nothing_on_it(shared_client: FlaskClient) -> None:
    assert shared_client.get("/config").get_json() == {"components": []}
