from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
from datetime import datetime, timezone
from typing import Any

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from sdcpp_rest.core.events import (
    JobPreview,
    JobProgress,
    JobStatusChanged,
    ModelUnloaded,
    QueuePaused,
    QueueResumed,
    ServerStatus,
)
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.native.server.websocket import answer_to, message_text, read_place
from sdcpp_rest.web import native_stream, serving
from tests.cases import for_each_case

AT = datetime(2024, 1, 1, 12, 0, 30, 123456, tzinfo=timezone.utc)


# --- messages -------------------------------------------------------------------------------------------------------


def test_a_preview_is_shaped_as_the_contract_has_it() -> None:
    event = JobPreview(job_id="j", step=10, frame_count=1, width=256, height=256, is_noisy=False, jpeg=b"\xff\xd8")
    assert json.loads(message_text(event, AT)) == {
        "event": "job_preview",
        "timestamp": "2024-01-01T12:00:30.123Z",
        "data": {
            "job_id": "j", "step": 10, "frame_count": 1, "width": 256, "height": 256, "is_noisy": False,
            "image": "data:image/jpeg;base64,/9g=", "preview_url": "/jobs/j/preview",
        },
    }  # fmt: skip


def test_a_changed_status_is_shaped_as_the_contract_has_it() -> None:
    event = JobStatusChanged(job_id="j", status="completed", previous_status="processing", outputs=("j/image_0.png",))
    data = json.loads(message_text(event, AT))["data"]
    assert data["outputs"] == ["j/image_0.png"]
    assert (data["job_id"], data["status"], data["previous_status"]) == ("j", "completed", "processing")


def test_the_place_of_a_preview_is_below_the_path_that_the_listener_called() -> None:
    event = JobPreview(job_id="j", step=1, frame_count=1, width=8, height=8, is_noisy=False, jpeg=b"x")
    assert json.loads(message_text(event, AT))["data"]["preview_url"] == "/jobs/j/preview"
    assert json.loads(message_text(event, AT, "/my sd"))["data"]["preview_url"] == "/my%20sd/jobs/j/preview"
    status = ServerStatus(status={"model_name": None})
    assert message_text(status, AT, "/sd") == message_text(status, AT)


def test_messages_are_utf8_whatever_is_in_them() -> None:
    text = message_text(ServerStatus(status={"model_name": "half \ud83d", "x": float("nan")}), AT)
    assert json.loads(text.encode())["data"]["x"] is None


def test_pings_are_answered_in_their_own_spelling() -> None:
    assert answer_to("ping") == "pong"
    answer = json.loads(answer_to('{"type": "ping"}', AT) or "")
    assert answer == {"type": "pong", "event": "pong", "timestamp": "2024-01-01T12:00:30.123Z", "data": {}}


@for_each_case("heard", ["", "hello", "{}", "[]", '{"type":"other"}', "{", "[" * 100_000, "x" * 10_000, "null"])
def test_anything_else_is_not_answered(heard: str) -> None:
    assert answer_to(heard) is None


# --- sockets --------------------------------------------------------------------------------------------------------


@for_each_case("path", ["/", "/ws"])
@for_each_case("port", ["port", "ws_port"])
def test_both_paths_on_both_ports_greet_with_the_status(served: Any, path: str, port: str) -> None:
    with served.listen(path, getattr(served, port)) as connection:
        message = json.loads(connection.recv(timeout=20))
    assert message["event"] == "server_status"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", message["timestamp"])
    assert message["data"]["status"] == "ok"
    assert message["data"].keys() >= {"queue", "memory", "engine", "model_name"}


def test_the_events_of_a_job_come_in_order(served: Any, next_event: Any) -> None:
    with served.listen() as connection:
        next_event(connection, "server_status")
        job_id = served.post("/txt2img", json={"prompt": "x", "steps": 3}).json()["job_id"]
        seen = []
        while not seen or seen[-1] != ("job_status_changed", "completed"):
            message = json.loads(connection.recv(timeout=20))
            if message["event"] != "server_status":
                assert message["data"]["job_id"] == job_id
                seen.append((message["event"], message["data"].get("status")))
    assert seen[0] == ("job_added", "pending")
    assert seen[1] == ("job_status_changed", "processing")
    assert ("job_progress", None) in seen


def test_progress_tells_how_quick_a_job_is_and_what_is_left_of_it(served: Any, next_event: Any) -> None:
    with served.listen() as connection:
        served.house.submit(steps=3)
        first = next_event(connection, "job_progress")["data"]
        assert (first["seconds_per_step"], first["picture_eta_seconds"], first["eta_seconds"]) == (None, None, None)
        while (told := next_event(connection, "job_progress")["data"])["step"] < 3:
            pass
    assert told["seconds_per_step"] >= 0
    assert told["eta_seconds"] >= told["picture_eta_seconds"] == 0


def test_a_cancelled_job_is_told(served: Any, next_event: Any) -> None:
    served.house.gate.clear()
    with served.listen() as connection:
        served.house.submit()
        pending = served.house.submit()
        requests_answer = served.house.client.delete(f"/queue/{pending}")
        assert requests_answer.status_code == 200
        ended_at = served.get(f"/queue/{pending}").json()["completed_at"]
        assert next_event(connection, "job_cancelled")["data"] == {"job_id": pending, "completed_at": ended_at}


def test_a_change_of_status_says_when_the_job_began_and_ended(served: Any, next_event: Any) -> None:
    with served.listen() as connection:
        job_id = served.house.submit()
        assert next_event(connection, "job_added")["data"]["queue_position"] == 1
        began, ended = (next_event(connection, "job_status_changed")["data"] for _ in range(2))
    job = served.get(f"/queue/{job_id}").json()
    assert (began["status"], began["started_at"], "completed_at" in began) == ("processing", job["started_at"], False)
    assert (ended["status"], ended["completed_at"]) == ("completed", job["completed_at"])


def test_a_load_is_counted_in_steps(served: Any, next_event: Any) -> None:
    assert served.post("/models/unload").status_code == 200
    with served.listen() as connection:
        assert served.post("/models/load", json={"model_name": "demo_dit_q8_0.gguf"}).status_code == 200
        begun = next_event(connection, "model_loading_progress")["data"]
    assert begun == {"model_name": "demo_dit_q8_0.gguf", "progress": 0.0, "step": 0, "total_steps": 100}


def test_the_heart_beats(make_served: Any, next_event: Any) -> None:
    served = make_served(events={"heartbeat_seconds": 0.05})
    with served.listen() as connection:
        for _ in range(3):
            assert next_event(connection, "server_status")["data"]["status"] == "ok"


@pytest.mark.slow
def test_a_listener_outlives_the_patience_with_silent_connections(
    make_served: Any, next_event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who connects and says nothing is hung up on after a while; a WebSocket is silent by nature."""
    monkeypatch.setattr(serving, "_SILENCE_SECONDS", 0.2)
    served = make_served(events={"heartbeat_seconds": 0.1})
    with served.listen() as connection, socket.create_connection(("127.0.0.1", served.port), timeout=20) as silent:
        silent.sendall(b"GET / HTTP/1.1\r\n")
        assert silent.recv(1) == b"", "hung up on"
        for _ in range(4):
            assert next_event(connection, "server_status")["data"]["status"] == "ok"


def test_pings_get_their_pong(served: Any, next_event: Any) -> None:
    with served.listen() as connection:
        next_event(connection, "server_status")
        connection.send("ping")
        assert connection.recv(timeout=20) == "pong"
        connection.send(b"binary")
        connection.send("not understood")
        connection.send('{"type":"ping"}')
        assert json.loads(connection.recv(timeout=20))["type"] == "pong"


@for_each_case("path", ["/nothing", "/ws/x", "/health", "/txt2img", "/%00"])
def test_an_unknown_path_is_refused_in_json(served: Any, path: str) -> None:
    assert _refused(served, path) == (404, "not_found")


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_a_foreign_page_cannot_listen(served: Any, origin: str) -> None:
    assert _refused(served, "/ws", origin=origin) == (403, "not_allowed")
    assert served.runtime.jobs.bus.subscriber_count == 0


def test_a_page_of_this_machine_can_listen(served: Any, next_event: Any) -> None:
    with served.listen(origin="http://localhost:5173") as connection:
        next_event(connection, "server_status")


def test_a_foreign_host_cannot_listen(served: Any) -> None:
    with contextlib.closing(served.connection()) as connection:
        connection.sendall(_handshake("rebound.example"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 403")


def test_with_keys_a_listener_needs_one(make_served: Any, next_event: Any) -> None:
    served = make_served(auth={"api_keys": ["sesame"]})
    assert _refused(served, "/ws") == (401, "not_authenticated")
    assert _refused(served, "/ws?token=wrong") == (401, "not_authenticated")
    with served.listen("/ws?token=sesame") as connection:
        next_event(connection, "server_status")
    with served.listen(additional_headers={"Authorization": "Bearer sesame"}) as connection:
        next_event(connection, "server_status")


def test_a_client_that_left_is_noticed(served: Any, next_event: Any) -> None:
    with served.listen() as connection:
        next_event(connection, "server_status")
        assert served.runtime.jobs.bus.subscriber_count == 1
    _until(lambda: served.runtime.jobs.bus.subscriber_count == 0, served)
    # Gone without a word: the connection is reset.
    with served.connection() as rude:
        rude.sendall(_handshake("localhost"))
        assert rude.recv(65536).startswith(b"HTTP/1.1 101")
        _until(lambda: served.runtime.jobs.bus.subscriber_count == 1, served)
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _until(lambda: served.runtime.jobs.bus.subscriber_count == 0, served)


@pytest.mark.slow
def test_a_slow_client_loses_progress_but_no_change_of_status(served: Any, next_event: Any) -> None:
    with _slow_listener(served) as connection:
        next_event(connection, "server_status")
        bus = served.runtime.jobs.bus
        for step in range(20_000):
            bus.publish(_progress(step))
            if step % 1000 == 0:
                bus.publish(_changed(f"job{step}"))
        bus.publish(_changed("last"))
        seen = []
        while not seen or seen[-1] != "last":
            message = json.loads(connection.recv(timeout=20))
            if message["event"] == "job_status_changed":
                seen.append(message["data"]["job_id"])
    assert seen == [f"job{step}" for step in range(0, 20_000, 1000)] + ["last"]


@pytest.mark.slow
def test_a_client_too_slow_for_what_it_must_not_miss_is_cut_off_and_others_are_not(
    make_served: Any, next_event: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_stream, "_MAILBOX_EVENTS", 200)
    served = make_served()
    with served.listen() as good, _slow_listener(served) as slow:
        next_event(good, "server_status")
        next_event(slow, "server_status")
        bus = served.runtime.jobs.bus
        for number in range(30_000):
            bus.publish(_changed(f"job{number}", words=1000))
            if number % 100 == 0:
                # A listener that keeps up: wait until it has seen everything so far.
                while next_event(good, "job_status_changed")["data"]["job_id"] != f"job{number}":
                    pass
            if bus.subscriber_count == 1:
                break
        # It never reads what is in flight, so that a polite close would not come to an end.
        _until(lambda: _websockets_of(served) == 1, served)
        assert bus.subscriber_count == 1
        with pytest.raises(ConnectionClosed):
            _read_to_the_end(slow)
        bus.publish(_changed("still here"))
        while next_event(good, "job_status_changed")["data"]["job_id"] != "still here":
            pass


def test_the_reason_for_hanging_up_is_told(make_served: Any, next_event: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(native_stream, "_MAILBOX_EVENTS", 1)
    served = make_served()
    with served.listen() as connection:
        next_event(connection, "server_status")
        for number in range(1000):
            served.runtime.jobs.bus.publish(_changed(f"job{number}"))
        with pytest.raises(ConnectionClosed) as closed:
            _read_to_the_end(connection)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013


def test_listeners_are_told_when_the_server_stops(served: Any, next_event: Any) -> None:
    with served.listen() as connection:
        next_event(connection, "server_status")
        served.stop()
        with pytest.raises(ConnectionClosed) as closed:
            _read_to_the_end(connection)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


def _progress(step: int) -> JobProgress:
    return JobProgress(job_id="j" * 200, step=step, total_steps=20_000)


def _changed(job_id: str, words: int = 100) -> JobStatusChanged:
    # Long enough to fill the sockets' buffers within a test's patience; random enough not to be compressed away.
    filler = tuple(f"{job_id}/{number * 2654435761 % 2**32:x}" for number in range(words))
    return JobStatusChanged(job_id=job_id, status="failed", previous_status="processing", outputs=filler)


def _slow_listener(served: Any) -> ClientConnection:
    """A client that takes very little at a time out of a small buffer, and only when asked to."""
    plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect(("127.0.0.1", served.port))
    return served.listen(sock=plain, max_queue=1, compression=None)  # type: ignore[no-any-return]


def _websockets_of(served: Any) -> int:
    return sum(isinstance(kept, WebSocketsSansIOProtocol) for kept in list(served.server.server_state.connections))


def _read_to_the_end(connection: ClientConnection) -> None:
    while True:
        connection.recv(timeout=20)


def _refused(served: Any, path: str, **more: Any) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as refused, served.listen(path, **more):
        pass
    response = refused.value.response
    return response.status_code, json.loads(response.body)["code"]


def _handshake(host: str) -> bytes:
    return (
        f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def _until(true: Any, served: Any) -> None:
    for _ in range(5000):
        if true():
            return
        served.get("/health")
    raise AssertionError("it never became true")


# --- numbers, and what was missed -----------------------------------------------------------------------------------


def read(connection: ClientConnection) -> dict[str, Any]:
    """The next message that is no heartbeat."""
    for _ in range(3):
        message = dict(json.loads(connection.recv(timeout=20)))
        if message["event"] != "server_status":
            return message
    raise AssertionError("only heartbeats come")


def greeting_of(connection: ClientConnection) -> dict[str, Any]:
    message = dict(json.loads(connection.recv(timeout=20)))
    assert message["event"] == "server_status"
    return message


def test_messages_are_numbered_alike_for_all_listeners(served: Any) -> None:
    bus = served.runtime.jobs.bus
    with served.listen() as one, served.listen() as two:
        assert greeting_of(one)["seq"] == greeting_of(two)["seq"] == bus.seq
        first = bus.seq
        for event in (QueuePaused(), QueueResumed()):
            bus.publish(event)
        heard = [[read(connection) for _ in range(2)] for connection in (one, two)]
    assert heard[0] == heard[1]
    assert [(message["seq"], message["epoch"]) for message in heard[0]] == [
        (first + 1, bus.epoch),
        (first + 2, bus.epoch),
    ]
    assert list(heard[0][0]) == ["event", "timestamp", "data", "seq", "epoch"]


def test_who_was_cut_off_gets_what_was_missed_and_then_what_comes(served: Any) -> None:
    bus = served.runtime.jobs.bus
    with served.listen() as connection:
        place = greeting_of(connection)["seq"]
        bus.publish(QueuePaused())
        heard = read(connection)
    bus.publish(QueueResumed())
    for _ in range(2):  # the same again: nobody was told that it has arrived
        with served.listen(f"/ws?since={place}&epoch={bus.epoch}") as connection:
            assert greeting_of(connection)["seq"] == place, "what follows begins behind it"
            assert read(connection) == heard, "with the moment at which it was published"
            assert read(connection)["event"] == "queue_resumed"
            bus.publish(ModelUnloaded())
            assert read(connection)["event"] == "model_unloaded"


def test_a_preview_that_was_missed_leads_below_the_path_of_its_listener(make_served: Any) -> None:
    served = make_served(server={"trusted_proxies": ["127.0.0.1"]})
    bus = served.runtime.jobs.bus
    place = bus.seq
    bus.publish(JobPreview(job_id="j", step=1, frame_count=1, width=8, height=8, is_noisy=False, jpeg=b"x"))
    with served.listen(f"/ws?since={place}", additional_headers={"X-Forwarded-Prefix": "/sd"}) as connection:
        greeting_of(connection)
        assert read(connection)["data"]["preview_url"] == "/sd/jobs/j/preview"


def test_what_is_not_kept_is_told(served: Any) -> None:
    bus = served.runtime.jobs.bus
    for query, reason in ((f"since={bus.seq + 1000}", "from_the_future"), ("since=0&epoch=other", "other_epoch")):
        with served.listen(f"/ws?{query}") as connection:
            greeting = greeting_of(connection)
            told = read(connection)
            assert (told["event"], told["data"], told["seq"]) == ("resync", {"reason": reason}, greeting["seq"])
            bus.publish(QueuePaused())
            assert read(connection)["seq"] == greeting["seq"] + 1


@for_each_case(
    "query",
    ["since=", "since=-1", "since=1.5", "since=x", "since=1&since=2", "since=" + "9" * 17, "since=%C2%B2", "epoch=abc"],
)
def test_a_place_that_is_none_is_refused_before_the_connection_is_made(served: Any, query: str) -> None:
    assert _refused(served, f"/ws?{query}") == (400, "invalid_request")


def test_an_epoch_that_is_none_is_refused_in_one_sentence() -> None:
    for epoch in ("", "a/b", "x" * 65):
        with pytest.raises(InvalidRequest, match=r"^epoch must be the epoch of a message of this stream, once, got "):
            read_place(f"since=1&epoch={epoch}".encode())
    assert read_place(b"token=x") is None
