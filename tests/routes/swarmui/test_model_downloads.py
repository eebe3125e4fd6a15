from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import ClientConnection

from sdcpp_rest.core.events import JobAdded
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.swarmui.calls import Arguments
from sdcpp_rest.routes.swarmui.model_downloads import download_request, notes_to_write
from tests.cases import for_each_case
from tests.routes.conftest import PATIENCE_SECONDS, ServedHouse
from tests.routes.swarmui.conftest import next_message
from tests.servers.fault_server import FaultServer, ServedFile
from tests.services.downloads.conftest import MODEL

URL = "https://models.example/files/model.gguf"


@pytest.fixture
def web() -> Iterator[FaultServer]:
    one = FaultServer()
    yield one
    one.close()


@pytest.fixture
def house(make_served: Callable[..., ServedHouse]) -> ServedHouse:
    return make_served(downloads={"allow_private_hosts": ["127.0.0.1"], "retries": 0, "retry_pause_seconds": 0.001})


@contextlib.contextmanager
def ask(house: ServedHouse, **arguments: Any) -> Iterator[ClientConnection]:
    session = house.post("/API/GetNewSession", json={}).json()["session_id"]
    with house.listen("/API/DoModelDownloadWS") as socket:
        socket.send(json.dumps({"session_id": session, **arguments}))
        yield socket


def messages(socket: ClientConnection) -> list[dict[str, Any]]:
    """All of them, to the end."""
    found = []
    with contextlib.suppress(ConnectionClosedOK):
        while True:
            found.append(next_message(socket))
    return found


def test_download_tells_its_progress_and_ends_in_success(house: ServedHouse, web: FaultServer) -> None:
    web.files["/model"] = ServedFile(MODEL)
    with ask(
        house, url=f"{web.url}/model", type="LoRA", name="my lora/one", metadata='{"modelspec.title": "T"}'
    ) as one:
        *frames, last = messages(one)
    assert last == {"success": True}
    assert frames, "the last frame always comes"
    for frame in frames:
        assert {*frame} == {"current_percent", "overall_percent", "per_second"}
        assert 0 <= frame["current_percent"] <= 1
    folder = house.runtime.config.paths.models_dir / "loras/my_lora"
    assert (folder / "one.safetensors").read_bytes() == MODEL
    assert json.loads((folder / "one.swarm.json").read_text()) == {"modelspec.title": "T"}
    session = house.post("/API/GetNewSession", json={}).json()["session_id"]
    asked = {"session_id": session, "modelName": "my_lora/one", "subtype": "LoRA"}
    assert house.post("/API/DescribeModel", json=asked).json()["model"]["title"] == "T"


def test_name_that_is_taken_is_refused(house: ServedHouse, web: FaultServer) -> None:
    web.files["/model"] = ServedFile(MODEL)
    for expected in ({"success": True}, {"error": "Model at that save path already exists."}):
        with ask(house, url=f"{web.url}/model", type="VAE", name="one") as socket:
            assert messages(socket)[-1] == expected


def test_failure_is_told(house: ServedHouse, web: FaultServer) -> None:
    with ask(house, url=f"{web.url}/none", type="VAE", name="one") as socket:
        (refused,) = messages(socket)
    assert refused["error"]
    assert "error_id" not in refused


def test_client_cancels(house: ServedHouse, web: FaultServer) -> None:
    held = web.files["/model"] = ServedFile(MODEL, hold_after=len(MODEL) // 2)
    with ask(house, url=f"{web.url}/model", type="VAE", name="one") as socket:
        assert held.held.wait(PATIENCE_SECONDS)
        socket.send('{"signal": "cancel"}')
        assert messages(socket)[-1] == {"error": "Download was cancelled."}
    held.release.set()
    assert not (house.runtime.config.paths.models_dir / "vae/one.safetensors").exists()


def test_client_that_leaves_leaves_the_download_to_go_on(house: ServedHouse, web: FaultServer) -> None:
    held = web.files["/model"] = ServedFile(MODEL, hold_after=len(MODEL) // 2)
    with (
        house.runtime.jobs.bus.subscribe() as mailbox,
        ask(house, url=f"{web.url}/model", type="VAE", name="one"),
    ):
        event = mailbox.get(PATIENCE_SECONDS)
        while not (isinstance(event, JobAdded) and event.type == "model_download"):
            assert event is not None, "the download was not begun"
            event = mailbox.get(PATIENCE_SECONDS)
    held.release.set()
    assert house.runtime.jobs.queue.wait(event.job_id, PATIENCE_SECONDS).status == "completed"


@for_each_case(
    ("asked", "kind", "place"),
    [
        ({"type": "Stable-Diffusion", "name": "a"}, "diffusion", ("", "a.gguf")),
        ({"type": "Stable-Diffusion", "name": "a.safetensors"}, "checkpoint", ("", "a.safetensors")),
        ({"type": "LoRA", "name": "folder/sub/a b"}, "lora", ("folder/sub", "a_b.gguf")),
        ({"type": "LoRA", "name": "v1.5", "url": "https://x.example/api/1"}, "lora", ("", "v1.5.safetensors")),
        ({"type": "Clip", "name": '\\x\\<a>:"|?*~&@;#$^'}, "clip", ("x", "a.gguf")),
        ({"type": "VAE", "name": "a", "url": f"{URL}?x=1#part"}, "vae", ("", "a.gguf")),
    ],
)
def test_place_of_a_download(asked: dict[str, str], kind: str, place: tuple[str, str]) -> None:
    found = download_request(Arguments({"url": URL, **asked}))
    assert (found.model_type, (found.subfolder, found.name)) == (kind, place)
    assert "#" not in found.url


@for_each_case(
    ("asked", "words"),
    [
        ({"url": "ftp://x.example/a"}, "Invalid URL."),
        ({"url": "/etc/passwd"}, "Invalid URL."),
        ({"url": None}, "Missing required parameter 'url'"),
        ({"type": "lora"}, "Invalid type."),
        ({"name": ""}, "Invalid empty name."),
        ({"name": "folder/"}, "Invalid empty name."),
        ({"name": "../../a"}, "name: '../../a' leads out of the model folders"),
        ({"name": "x/..\\..\\a"}, "name: 'x/..\\..\\a' leads out of the model folders"),
    ],
)
def test_wrong_download_is_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        download_request(Arguments({"url": URL, "type": "LoRA", "name": "a", **asked}))
    assert refused.value.message == words


@for_each_case("given", ["[]", "{", "5", "[" * 100_000, '{"x": "' + "y" * 300_000 + '"}'])
def test_metadata_that_is_no_object_is_refused(given: str) -> None:
    with pytest.raises(InvalidRequest, match="metadata"):
        notes_to_write(Arguments({"metadata": given}))
    assert notes_to_write(Arguments({"metadata": "  "})) == ""
