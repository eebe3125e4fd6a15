from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import ClientConnection

from sdcpp_rest.core.events import JobCancelled
from sdcpp_rest.routes.swarmui import generation_socket
from tests.routes.conftest import PATIENCE_SECONDS, House, ServedHouse
from tests.routes.swarmui.conftest import SwarmClient, next_message

PICTURE = {"prompt": "a red circle", "steps": 2, "width": 64, "height": 64, "seed": 5}


class Painter:
    """A client of GenerateText2ImageWS."""

    def __init__(self, served: ServedHouse, socket: ClientConnection, session: str) -> None:
        self.served = served
        self.socket = socket
        self.session = session

    def ask(self, **fields: Any) -> None:
        self.socket.send(json.dumps({"session_id": self.session, "images": 1, **PICTURE, **fields}))

    def until(self, key: str) -> list[dict[str, Any]]:
        """The messages up to one that has ``key``."""
        seen = [next_message(self.socket)]
        while key not in seen[-1]:
            seen.append(next_message(self.socket))
        return seen

    def rest(self) -> list[dict[str, Any]]:
        """The messages until the server closes."""
        seen = []
        with contextlib.suppress(ConnectionClosedOK):
            while True:
                seen.append(next_message(self.socket))
        return seen


@pytest.fixture
def make_painter(
    make_served: Callable[..., ServedHouse], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Painter]]:
    monkeypatch.setattr(generation_socket, "GRACE_SECONDS", 0.2)
    with contextlib.ExitStack() as opened:

        def make(served: ServedHouse | None = None, **sections: dict[str, Any]) -> Painter:
            served = served or make_served(**sections)
            session = served.post("/API/GetNewSession", json={}).json()["session_id"]
            socket = opened.enter_context(served.listen("/API/GenerateText2ImageWS"))
            return Painter(served, socket, session)

        yield make


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    """What the messages are, those about the status left out, equal neighbours once."""
    names = [next(iter(message)) for message in messages if "status" not in message]
    return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]


@pytest.mark.slow
def test_one_request_goes_through_the_whole_sequence(make_painter: Callable[..., Painter]) -> None:
    painter = make_painter()
    painter.ask(images=2)
    seen = painter.rest()
    assert "status" in seen[0]
    assert "status" in seen[-1]
    assert seen[-1]["status"]["waiting_gens"] == 0
    names = kinds(seen)
    assert names[-2:] == ["discard_indices", "socket_intention"]
    assert names.count("keep_alive") == names.count("image") == 2
    images = [message for message in seen if "image" in message]
    assert [message["batch_index"] for message in images] == ["0", "1"]
    assert len({message["request_id"] for message in images}) == 1
    assert json.loads(images[1]["metadata"])["sui_image_params"]["seed"] == 6
    assert "generation_time" in json.loads(images[0]["metadata"])["sui_extra_data"]
    for message in images:
        shown = painter.served.get("/" + message["image"])
        assert (shown.status_code, shown.headers["Content-Type"]) == (200, "image/png")


def test_progress_only_grows_and_tells_the_metadata_once(make_painter: Callable[..., Painter]) -> None:
    painter = make_painter()
    painter.ask(steps=4)
    progress = [message["gen_progress"] for message in painter.until("image") if "gen_progress" in message]
    percents = [one["overall_percent"] for one in progress]
    assert percents == sorted(percents)
    assert 0 < percents[-1] <= 1
    assert ["metadata" in one for one in progress].count(True) == 1
    assert {one["batch_index"] for one in progress} == {"0"}


def test_requests_on_one_socket_count_on(make_painter: Callable[..., Painter], monkeypatch: pytest.MonkeyPatch) -> None:
    painter = make_painter()
    monkeypatch.setattr(generation_socket, "GRACE_SECONDS", PATIENCE_SECONDS)
    painter.ask(images=2)
    painter.until("socket_intention")
    painter.socket.send(json.dumps({"images": 1, **PICTURE}))  # needs no session of its own
    seen = painter.until("socket_intention")
    (image,) = [message for message in seen if "image" in message]
    assert image["batch_index"] == "2"


def test_refused_parameter_leaves_the_socket_open_for_another_try(
    make_painter: Callable[..., Painter], monkeypatch: pytest.MonkeyPatch
) -> None:
    painter = make_painter()
    monkeypatch.setattr(generation_socket, "GRACE_SECONDS", PATIENCE_SECONDS)
    painter.ask(width=8)
    seen = painter.until("socket_intention")
    assert "discard_indices" not in kinds(seen)
    assert "must be between 64 and 16384" in next(message["error"] for message in seen if "error" in message)
    painter.socket.send("{")
    assert "An internal error occurred" in painter.until("error")[-1]["error"]
    painter.ask()
    assert "error" not in kinds(painter.until("image"))


@pytest.mark.parametrize(
    ("first", "error_id"),
    [("{}", "basic_api"), ("junk", "internal_error"), ('{"session_id": "x", "images": 1}', "invalid_session_id")],
)
def test_call_that_is_none_closes_at_once(make_painter: Callable[..., Painter], first: str, error_id: str) -> None:
    painter = make_painter()
    painter.socket.send(first)
    assert [message["error_id"] for message in painter.rest()] == [error_id]


def test_missing_count_closes_at_once(make_painter: Callable[..., Painter]) -> None:
    painter = make_painter()
    painter.socket.send(json.dumps({"session_id": painter.session, **PICTURE}))
    assert painter.rest() == [{"error": "Missing required parameter 'images'"}]


@pytest.mark.slow
def test_interrupt_is_told_once_for_the_running_picture(make_painter: Callable[..., Painter]) -> None:
    painter = make_painter()
    house = painter.served.house
    house.gate.clear()
    painter.ask(images=3)
    assert house.running.wait(PATIENCE_SECONDS)
    painter.served.post("/API/InterruptAll", json={"session_id": painter.session})
    house.gate.set()
    seen = painter.rest()
    assert [message["error"] for message in seen if "error" in message] == ["Generation session interrupted."]
    assert kinds(seen)[-2:] == ["discard_indices", "socket_intention"]


@pytest.mark.slow
def test_client_that_leaves_with_its_picture_is_no_fault(
    make_painter: Callable[..., Painter], caplog: pytest.LogCaptureFixture
) -> None:
    painter = make_painter()
    for _ in range(5):
        other = make_painter(painter.served)
        other.ask()
        other.until("image")
        other.socket.close()
    painter.ask()
    painter.rest()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("is_kept", [False, True])
def test_client_that_leaves_takes_its_jobs_along_unless_they_are_kept(
    make_painter: Callable[..., Painter], is_kept: bool
) -> None:
    painter = make_painter(swarm={"keep_jobs_of_closed_sockets": is_kept})
    house, queue = painter.served.house, painter.served.runtime.jobs.queue
    house.gate.clear()
    painter.ask(images=2)
    assert house.running.wait(PATIENCE_SECONDS)
    with painter.served.runtime.jobs.bus.subscribe() as mailbox:
        painter.socket.close()
        if not is_kept:
            while not isinstance(event := mailbox.get(PATIENCE_SECONDS), JobCancelled):
                assert event is not None, "nothing was cancelled"
            # The one that waits goes first; the running one is stopped at its next step.
            active = painter.served.runtime.jobs.active
            deadline = time.monotonic() + PATIENCE_SECONDS
            while not all(one.cancel_requested for one in active.all()):
                assert time.monotonic() < deadline, "the running job was not cancelled"
        house.gate.set()
    statuses = {queue.wait(job.id, PATIENCE_SECONDS).status for job in queue.list(limit=10)}
    assert statuses == ({"completed"} if is_kept else {"cancelled"})


@pytest.mark.slow
def test_two_sessions_do_not_see_each_other(make_painter: Callable[..., Painter]) -> None:
    painter = make_painter()
    other = make_painter(painter.served)
    painter.ask()
    other.ask(prompt="another")
    for one, prompt in ((painter, "a red circle"), (other, "another")):
        (image,) = [message for message in one.rest() if "image" in message]
        assert json.loads(image["metadata"])["sui_image_params"]["prompt"] == prompt


def test_socket_route_by_http_is_told_so(shared_swarm: SwarmClient) -> None:
    shown = shared_swarm.call("GenerateText2ImageWS", status=400, images=1)
    assert shown["error_id"] == "bad_request_method"


def test_path_of_the_socket_may_have_any_case(make_painter: Callable[..., Painter], house: House) -> None:
    painter = make_painter()
    with painter.served.listen("/api/generatetext2imagews") as socket:
        socket.send(json.dumps({"session_id": painter.session, "images": 1, **PICTURE}))
        assert "status" in next_message(socket)
