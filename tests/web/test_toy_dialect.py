"""A dialect is one folder and one line: a toy with views, a WebSocket and a mount, added as CONTRIBUTING says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
import requests
from flask import Blueprint, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from sdcpp_rest.core.events import Event, JobAdded, JobCancelled
from sdcpp_rest.errors import InvalidRequest, SdcppRestError
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.dialect import Dialect, ErrorShape
from sdcpp_rest.routes.http.late_dialect import LateDialect
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.services.jobs.event_bus import Subscription
from sdcpp_rest.services.submission.picture_rounds import PictureRequest, select_completed
from sdcpp_rest.web.app import DIALECTS
from tests.raw_calls import RawCall
from tests.routes.conftest import PATIENCE_SECONDS, House, ServedHouse

E = TypeVar("E", bound=Event)


class ToyError(Answer):
    """An error of the toy's."""

    oops: str


def toy_error(error: SdcppRestError) -> dict[str, Any]:
    return {"oops": error.message}


def count_toys(response: Response, seconds: float) -> None:
    response.headers["X-Toy"] = "yes"


@needs("read")
async def serve_toy_socket(runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
    socket = WebSocket(scope, receive, send)
    await socket.accept()
    await socket.send_text(f"{runtime.version}: {await socket.receive_text()}")
    await socket.close()


@needs("read")
def make_toy_mount(runtime: Runtime) -> ASGIApp:
    """Answers with the path it was asked for and the size of the body it was given."""

    async def mount(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        text = f"{runtime.version} {scope['path']} {len(message['body'])} {message['more_body']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": text})

    return mount


class ToyClock:
    """Counts its requests, and how often it was stopped."""

    def __init__(self) -> None:
        self.requests = 0
        self.stops = 0
        self.loops: set[int] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        self.loops.add(id(asyncio.get_running_loop()))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"tick"})

    async def stop(self) -> None:
        self.stops += 1
        self.loops.add(id(asyncio.get_running_loop()))


def make_toy() -> Dialect:
    blueprint = Blueprint("toy", __name__)

    @blueprint.get("/toy/ball")
    @needs("read")
    @documents({200: ToyError}, refusals=(ToyError,))
    def ball() -> Response:
        """Show the ball."""
        return answer({"oops": runtime().version})

    @blueprint.get("/toy/broken")
    @needs("read")
    @documents({200: ToyError}, refusals=(ToyError,))
    def broken() -> Response:
        """Refuse."""
        raise InvalidRequest("it is broken")

    @blueprint.post("/toy/draw")
    @needs("generate")
    @documents({200: ToyError}, refusals=(ToyError,))
    @blocking
    def draw() -> Response:
        """Draw a toy, as the recipe says."""
        rounds = runtime().submission.rounds
        with rounds.open("toys", "txt2img", 1) as opened:
            rounds.submit_series(opened, PictureRequest("txt2img", {"prompt": "a toy", "steps": 2}), origin="toy")
            (job,) = select_completed(rounds.take_all(opened))
        return answer({"oops": job.id})

    return Dialect(
        "toy",
        blueprints=(blueprint,),
        error_shapes={"/toy": ErrorShape("toy", ToyError, toy_error, lambda error: error.status + 10)},
        after_request=count_toys,
        sockets={"/toy/socket": serve_toy_socket},
        mounts={"/toy/mount": make_toy_mount, "/toy/clock": needs("read")(lambda running: ToyClock())},
    )


@pytest.fixture
def make_toy_server(make_house: Callable[..., House]) -> Iterator[Callable[..., ServedHouse]]:
    opened: list[ServedHouse] = []

    def make(**sections: dict[str, Any]) -> ServedHouse:
        served = ServedHouse(make_house(**sections), (*DIALECTS, make_toy()))
        opened.append(served)
        return served.start()

    yield make
    for served in opened:
        served.stop()


def test_views_of_a_dialect_answer_and_refuse_in_its_words(make_toy_server: Callable[..., ServedHouse]) -> None:
    served = make_toy_server()
    shown = served.get("/toy/ball")
    assert (shown.status_code, shown.json(), shown.headers["X-Toy"]) == (200, {"oops": served.runtime.version}, "yes")
    refused = served.get("/toy/broken")
    assert (refused.status_code, refused.json()) == (410, {"oops": "it is broken"})
    unknown = served.get("/toy/nothing")
    assert (unknown.status_code, list(unknown.json())) == (414, ["oops"])
    native = served.get("/health")
    assert native.status_code == 200
    assert "X-Toy" not in native.headers


def test_a_late_dialect_is_there_with_its_first_request(make_house: Callable[..., House]) -> None:
    loads: list[str] = []

    def load() -> Dialect:
        loads.append("toy")
        return make_toy()

    served = ServedHouse(make_house(), (*DIALECTS, LateDialect(("/toy/",), load))).start()
    try:
        assert served.get("/health").status_code == 200
        assert served.get("/toys").status_code == 404
        assert loads == []
        shown = served.get("/toy/ball")
        assert (shown.status_code, shown.headers["X-Toy"]) == (200, "yes")
        assert served.get("/toy/nothing").status_code == 414
        assert served.get("/toy/clock").text == "tick"
        with served.listen("/toy/socket") as socket:
            socket.send("hello")
            assert socket.recv(timeout=PATIENCE_SECONDS) == f"{served.runtime.version}: hello"
        assert loads == ["toy"], "once, for all of its paths"
        document = served.get("/openapi.json").json()
        assert {"/toy/ball", "/health", "/sdapi/v1/txt2img"} <= document["paths"].keys()
    finally:
        served.stop()


def test_a_late_dialect_whose_import_fails_is_a_fault_of_the_server_s_own(make_house: Callable[..., House]) -> None:
    def load() -> Dialect:
        raise ImportError("half an installation")

    served = ServedHouse(make_house(), (*DIALECTS, LateDialect(("/toy/",), load))).start()
    try:
        refused = served.get("/toy/ball")
        assert (refused.status_code, refused.json()["error"]) == (500, "Internal error")
        assert served.get("/health").status_code == 200
    finally:
        served.stop()


def test_a_round_of_a_dialect_is_taken_over_and_given_up_like_all_others(
    make_toy_server: Callable[..., ServedHouse],
) -> None:
    served = make_toy_server(queue={"abandoned_grace_seconds": 3600})
    queue = served.runtime.jobs.queue
    queue.pause()
    with served.runtime.jobs.bus.subscribe() as mailbox:
        call = RawCall(served.port, "/toy/draw", {})
        added = _next(mailbox, JobAdded)
        call.leave()
        while not served.runtime.jobs.abandoned.count:
            served.get("/health")
        queue.resume()
        assert served.post("/toy/draw", json={}).json() == {"oops": added.job_id}
        queue.pause()
        call = RawCall(served.port, "/toy/draw", {})
        added = _next(mailbox, JobAdded)
        call.leave()
        while not served.runtime.jobs.abandoned.count:
            served.get("/health")
        served.runtime.jobs.abandoned.close()
        assert _next(mailbox, JobCancelled).job_id == added.job_id
        assert queue.get(added.job_id).error_code == "caller_gone"


def _next(mailbox: Subscription, kind: type[E]) -> E:
    while (event := mailbox.get(PATIENCE_SECONDS)) is not None:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind.__name__} came")


def test_sockets_of_a_dialect_are_served_beside_the_native_stream(make_toy_server: Callable[..., ServedHouse]) -> None:
    served = make_toy_server()
    with served.listen("/toy/socket") as socket:
        socket.send("hello")
        assert socket.recv(timeout=PATIENCE_SECONDS) == f"{served.runtime.version}: hello"
    with served.listen("/ws") as stream:
        assert "server_status" in stream.recv(timeout=PATIENCE_SECONDS)


def test_a_mount_answers_below_its_path_alone(make_toy_server: Callable[..., ServedHouse]) -> None:
    served = make_toy_server()
    for path in ("/toy/mount", "/toy/mount/below/it"):
        shown = served.post(path, data=b"x" * 1000)
        assert shown.text == f"{served.runtime.version} {path} 1000 False"
    assert served.get("/toy/mounted").status_code == 414


def test_a_mount_that_keeps_something_running_is_stopped_on_its_own_loop(
    make_toy_server: Callable[..., ServedHouse],
) -> None:
    served = make_toy_server()
    clock = served.shell.mounts.app_at("/toy/clock")
    assert isinstance(clock, ToyClock)
    assert served.get("/toy/clock").text == "tick"
    assert clock.stops == 0
    served.stop()
    assert clock.stops >= 1
    assert len(clock.loops) == 1


def test_access_and_bounds_hold_for_sockets_and_mounts(make_toy_server: Callable[..., ServedHouse]) -> None:
    served = make_toy_server(auth={"api_keys": ["secret"]}, limits={"body_bytes": 2000})
    key = {"Authorization": "Bearer secret"}
    assert served.post("/toy/mount").status_code == 411, "401, as the toy words it"
    assert served.post("/toy/mount", headers={**key, "Origin": "http://elsewhere.example"}).status_code == 413
    assert served.post("/toy/mount", headers=key, data=b"x" * 3000).status_code == 423
    assert served.post("/toy/mount", headers=key, data=b"x" * 2000).status_code == 200
    with pytest.raises(InvalidStatus) as refused:
        connect(served.url.replace("http", "ws") + "/toy/socket", open_timeout=PATIENCE_SECONDS)
    assert refused.value.response.status_code == 411
    assert requests.get(served.url + "/toy/ball", headers=key, timeout=PATIENCE_SECONDS).status_code == 200
