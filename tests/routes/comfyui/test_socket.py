"""The whole way of a prompt as a client of ComfyUI's hears it, over real sockets."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from websockets.sync.client import ClientConnection

from sdcpp_rest.routes.comfyui import messages
from tests.routes.comfyui.conftest import Graph, node, simple_graph
from tests.routes.conftest import PATIENCE_SECONDS, ServedHouse, preview_before_second_step

Heard = list[Any]


def hear(socket: ClientConnection, until: Callable[[Any], bool]) -> Heard:
    """The messages up to one that is waited for; text is read as JSON."""
    heard: Heard = []
    while not heard or not until(heard[-1]):
        message = socket.recv(timeout=PATIENCE_SECONDS)
        heard.append(message if isinstance(message, bytes) else json.loads(message))
    return heard


def is_end(prompt_id: str) -> Callable[[Any], bool]:
    """As every client waits for it."""
    end = {"type": "executing", "data": {"node": None, "prompt_id": prompt_id}}
    return lambda message: message == end


def is_status(message: Any) -> bool:
    return isinstance(message, dict) and message["type"] == "status"


def names(heard: Heard) -> list[str]:
    """What the messages are: nodes with them, status left out, equal neighbours once."""
    told: list[str] = []
    for message in heard:
        if isinstance(message, bytes):
            name = f"binary {message[3]} {message[7]}"
        elif message["type"] == "executing":
            name = f"executing {message['data']['node']}"
        else:
            name = message["type"]
        if name != "status" and told[-1:] != [name]:
            told.append(name)
    return told


def submit(served: ServedHouse, graph: Graph, **more: Any) -> str:
    answer = served.post("/prompt", json={"prompt": graph, **more})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["prompt_id"])


def pictures(heard: Heard, form: int) -> list[bytes]:
    """The files in the binary messages of a format: 1 JPEG, 2 PNG."""
    found = [message for message in heard if isinstance(message, bytes)]
    return [message[8:] for message in found if struct.unpack(">II", message[:8]) == (1, form)]


@pytest.mark.usefixtures("frequent_previews")
@pytest.mark.parametrize("path", ["/ws", "/api/ws"])
def test_one_prompt_goes_through_the_whole_sequence(served: ServedHouse, path: str) -> None:
    with preview_before_second_step(served.house), served.listen(f"{path}?clientId=me") as socket:
        first = hear(socket, is_status)[-1]
        assert first["data"] == {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "me"}
        prompt_id = submit(served, simple_graph(), client_id="me")
        heard = hear(socket, is_end(prompt_id))
    told = [name for name in names(heard) if not name.startswith(("binary", "progress"))]
    assert told == [
        "execution_start", "execution_cached", "executing 6", "executing 3", "executing 8", "executing 9", "executed",
        "execution_success", "executing None",
    ]  # fmt: skip
    progress = [message["data"] for message in heard if isinstance(message, dict) and message["type"] == "progress"]
    assert [one["value"] for one in progress] == [1, 2]
    assert {(one["max"], one["node"], one["prompt_id"]) for one in progress} == {(2, "3", prompt_id)}
    previews = pictures(heard, form=1)
    assert previews
    assert {Image.open(io.BytesIO(preview)).format for preview in previews} == {"JPEG"}
    (executed,) = [m["data"] for m in heard if isinstance(m, dict) and m["type"] == "executed"]
    entry = served.get(f"/history/{prompt_id}").json()[prompt_id]
    assert executed["output"] == entry["outputs"]["9"]
    remaining = [message["data"]["status"]["exec_info"]["queue_remaining"] for message in heard if is_status(message)]
    assert remaining[0] == 1


def test_pictures_come_through_the_socket_where_a_node_sends_them(served: ServedHouse) -> None:
    graph = {**simple_graph(), "9": node("SaveImageWebsocket", images=["8", 0])}
    with served.listen("/ws?clientId=me") as socket:
        heard = hear(socket, is_end(submit(served, graph, client_id="me")))
    (file,) = pictures(heard, form=2)
    assert Image.open(io.BytesIO(file)).size == (64, 64)


def test_another_client_hears_only_how_much_waits(served: ServedHouse) -> None:
    with served.listen("/ws?clientId=me") as mine, served.listen("/ws?clientId=other") as others:
        prompt_id = submit(served, simple_graph(), client_id="me")
        hear(mine, is_end(prompt_id))
        own = submit(served, simple_graph(), client_id="other")
        heard = hear(others, is_end(own))
    ids = {m["data"].get("prompt_id") for m in heard if isinstance(m, dict) and not is_status(m)}
    assert ids == {own}
    assert len([m for m in heard if is_status(m)]) > 3


def test_what_nobody_put_a_name_to_is_heard_by_all(served: ServedHouse) -> None:
    with served.listen("/ws?clientId=a") as one, served.listen("/api/ws") as other:
        assert hear(other, is_status)[0]["data"]["sid"]
        prompt_id = submit(served, simple_graph())
        for socket in (one, other):
            assert "executed" in names(hear(socket, is_end(prompt_id)))


def test_native_listeners_at_the_same_path_hear_native_events(served: ServedHouse) -> None:
    with served.listen("/ws") as socket:
        assert json.loads(socket.recv(timeout=PATIENCE_SECONDS))["event"] == "server_status"


def test_a_prompt_that_is_stopped_says_so_and_ends(served: ServedHouse) -> None:
    served.house.gate.clear()
    with served.listen("/ws?clientId=me") as socket:
        prompt_id = submit(served, simple_graph(), client_id="me")
        assert served.house.running.wait(PATIENCE_SECONDS)
        assert served.post("/interrupt").status_code == 200
        served.house.gate.set()
        heard = hear(socket, is_end(prompt_id))
    assert names(heard)[-2:] == ["execution_interrupted", "executing None"]
    assert "executed" not in names(heard)
    again = served.get(f"/history/{prompt_id}").json()[prompt_id]
    assert again["status"]["status_str"] == "error"


def test_a_prompt_that_fails_says_why_and_ends(served: ServedHouse) -> None:
    with served.listen("/ws?clientId=me") as socket:
        heard = hear(socket, is_end(submit(served, simple_graph("fake:fail"), client_id="me")))
    assert names(heard)[-2:] == ["execution_error", "executing None"]
    (error,) = [m["data"] for m in heard if isinstance(m, dict) and m["type"] == "execution_error"]
    assert (error["exception_message"], error["node_type"]) == ("asked to fail", "KSampler")


def test_a_prompt_of_two_pictures_begins_and_ends_once(served: ServedHouse) -> None:
    graph = {**simple_graph(), "10": node("KSampler", **{**simple_graph()["3"]["inputs"], "seed": 6})}
    graph["11"] = node("VAEDecode", samples=["10", 0], vae=["4", 2])
    graph["12"] = node("PreviewImage", images=["11", 0])
    with served.listen("/ws?clientId=me") as socket:
        heard = hear(socket, is_end(submit(served, graph, client_id="me")))
    told = names(heard)
    for name in ("execution_start", "execution_success", "executing None"):
        assert told.count(name) == 1, name
    shown = [m["data"]["node"] for m in heard if isinstance(m, dict) and m["type"] == "executed"]
    assert shown == ["9", "12"]


def test_what_clients_say_is_taken_without_an_answer(served: ServedHouse) -> None:
    with served.listen("/ws?clientId=me") as socket:
        socket.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))
        socket.send(b"\0\0")
        heard = hear(socket, is_end(submit(served, simple_graph(), client_id="me")))
    assert "executed" in names(heard)


def test_binary_messages_begin_with_their_kind_and_their_format() -> None:
    assert messages.frame_preview(b"x") == b"\0\0\0\1\0\0\0\1x"
    assert messages.frame_picture(b"x") == b"\0\0\0\1\0\0\0\2x"
