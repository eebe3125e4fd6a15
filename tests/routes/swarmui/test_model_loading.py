from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import ClientConnection

from sdcpp_rest.runtime import DEMO_MODEL, DEMO_ROOT
from tests.routes.conftest import PATIENCE_SECONDS, House, ServedHouse
from tests.routes.swarmui.conftest import SwarmClient, next_message

STEM = DEMO_MODEL.removesuffix(".gguf")


def copy_demo(models_dir: Path, name: str) -> None:
    target = models_dir / "diffusion_models" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    for ending in (".gguf", ".json"):
        target.with_suffix(ending).write_bytes((DEMO_ROOT / "diffusion_models" / f"{STEM}{ending}").read_bytes())


@pytest.mark.parametrize("name", ["sub/other.gguf", "sub/other", "other", "OTHER.GGUF", "sub\\other", "//sub//other"])
def test_model_is_loaded_by_its_name_with_and_without_ending(swarm: SwarmClient, house: House, name: str) -> None:
    copy_demo(house.config.paths.models_dir, "sub/other.gguf")
    assert swarm.call("SelectModel", model=name, backendId="0") == {"success": True}
    resident = house.runtime.models.slot.resident
    assert resident is not None
    assert resident.model.name == "sub/other.gguf"


def test_selected_model_is_loaded_with_its_own_options(swarm: SwarmClient, house: House) -> None:
    before = house.runtime.models.slot.selected
    swarm.call("FreeBackendMemory")
    assert swarm.call("SelectModel", model=STEM) == {"success": True}
    assert house.runtime.models.slot.selected == before
    assert house.runtime.models.slot.resident == before


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"model": "none"}, "Model not found."),
        ({"model": "  "}, "Invalid empty name."),
        ({}, "Missing required parameter 'model'"),
        ({"model": DEMO_MODEL, "backendId": "7"}, "Model failed to load."),
    ],
)
def test_model_that_is_none_is_refused(swarm: SwarmClient, asked: dict[str, Any], words: str) -> None:
    assert swarm.refusal("SelectModel", **asked) == words


def test_model_that_cannot_be_loaded_says_why(swarm: SwarmClient, house: House) -> None:
    copy_demo(house.config.paths.models_dir, "refuse.gguf")
    words = swarm.refusal("SelectModel", model="refuse")
    assert words.startswith("Model failed to load. ")
    (house.config.paths.models_dir / "diffusion_models/broken.gguf").write_bytes(b"GGUF")
    assert swarm.refusal("SelectModel", model="broken").startswith("Model failed to load. ")


def open_socket(served: ServedHouse, route: str) -> tuple[ClientConnection, str]:
    session = str(served.post("/API/GetNewSession", json={}).json()["session_id"])
    return served.listen(f"/API/{route}"), session


def test_socket_tells_how_the_load_goes(served: ServedHouse) -> None:
    copy_demo(served.runtime.config.paths.models_dir, "other.gguf")
    socket, session = open_socket(served, "SelectModelWS")
    with socket:
        import json

        socket.send(json.dumps({"session_id": session, "model": "other"}))
        first, result, last = (next_message(socket) for _ in range(3))
        assert {*first} == {*last} == {"status", "backend_status", "supported_features"}
        assert result == {"success": True}
        with pytest.raises(ConnectionClosedOK):
            socket.recv(timeout=PATIENCE_SECONDS)
    resident = served.runtime.models.slot.resident
    assert resident is not None
    assert resident.model.name == "other.gguf"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ('{"model": "none"}', ["Model not found."]),
        ('{"model": ""}', ["Invalid empty name."]),
    ],
)
def test_socket_refuses_and_tells_the_status(served: ServedHouse, message: str, words: list[str]) -> None:
    socket, session = open_socket(served, "SelectModelWS")
    with socket:
        socket.send(message.replace("{", f'{{"session_id": "{session}", '))
        assert [next_message(socket)["error"] for _ in words] == words
        assert "status" in next_message(socket)


@pytest.mark.parametrize(
    ("message", "error_id"),
    [("{}", "basic_api"), ('{"session_id": "x", "model": "y"}', "invalid_session_id"), ("no JSON", "internal_error")],
)
def test_socket_without_a_session_is_refused(
    swarm_socket: Callable[[str], ClientConnection], message: str, error_id: str
) -> None:
    socket = swarm_socket("selectmodelws")
    socket.send(message)
    assert next_message(socket)["error_id"] == error_id
