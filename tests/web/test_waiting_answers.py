"""Calls that wait, on real sockets: who only looks gone, what ends otherwise, answers that begin early."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from sdcpp_rest.runtime import DEMO_MODEL
from tests.raw_calls import RawCall
from tests.routes.a1111.pictures import plain
from tests.routes.conftest import PATIENCE_SECONDS
from tests.servers.language_model import Said
from tests.servers.ollama_server import OllamaServer
from tests.web.watched_calls import AT_ONCE, DIALECTS, EVER, OPENAI, SMALL, SOON, Watched, shown

# --- who only looks gone ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short_doubt")
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("name", ["openai", "a1111", "sdcn"])
def test_a_client_that_closed_its_half_gets_its_answer(watch: Callable[..., Watched], name: str, version: str) -> None:
    watched = watch(AT_ONCE)
    with watched.call(*DIALECTS[name], version=version) as call:
        call.close_half()
        started = call.read_byte()
        watched.go_on()
        assert started == b"H", "which was sent to see whether anybody is there"
        rest = b"".join(iter(lambda: call._socket.recv(65536), b""))
    head, _, body = rest.partition(b"\r\n\r\n")
    assert head.startswith(b"TTP/1.1 200 OK\r\n")
    assert json.loads(body)
    assert [job.status for job in watched.jobs] == ["completed"]


def test_a_short_call_of_a_client_that_closed_its_half_is_answered_too(served: Any) -> None:
    with served.connection() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection.shutdown(1)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_request_whose_body_was_cut_off_is_nobodys(served: Any) -> None:
    with served.connection() as connection:
        connection.sendall(b"POST /v1/images/generations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        connection.shutdown(1)
        assert connection.recv(65536) == b""
    assert served.runtime.jobs.queue.counts()["total"] == 0


# --- what is not affected ---------------------------------------------------------------------------------------------


def test_jobs_that_were_only_submitted_are_nobodys_to_wait_for(watch: Callable[..., Watched]) -> None:
    watched = watch(AT_ONCE)
    # The word makes it a call that might wait.
    body = {**SMALL, "prompt": 'a "model" cat'}
    for _ in range(2):
        call = watched.call("/txt2img", body)
        response, _ = call.answer()
        assert response.status == 202
        call.leave()
    watched.go_on()
    assert [watched.until_ended("completed").status for _ in range(2)] == ["completed"] * 2
    assert watched.total == 2


def test_a_stream_ends_with_its_connection(watch: Callable[..., Watched]) -> None:
    watched, body = watch(EVER), {**OPENAI[1], "stream": True}
    with watched.call(OPENAI[0], body) as call:
        assert call.read_byte() == b"H", "the answer has begun"
        call.leave()
    jobs = watched.served.runtime.jobs
    # It may not have begun by then.
    watched.until(lambda: any(one.cancel_requested for one in jobs.active.all()) or jobs.queue.counts()["cancelled"])
    watched.go_on()
    watched.until_ended("cancelled")
    assert not watched.served.runtime.jobs.abandoned.count


def test_a_load_goes_on_and_its_answer_is_nobody_elses(watch: Callable[..., Watched]) -> None:
    watched = watch(AT_ONCE)
    watched.go_on()
    served = watched.served
    served.post("/models/unload")
    served.house.load_gate.clear()
    call = RawCall(watched.port, "/models/load", {"model_name": DEMO_MODEL})
    watched.until(lambda: served.shell.listeners)
    call.leave()
    watched.until(lambda: not served.shell.listeners)
    served.house.load_gate.set()
    watched.until(lambda: served.runtime.models.slot.resident is not None)


# --- language models --------------------------------------------------------------------------------------------------


@pytest.fixture
def model() -> Iterator[OllamaServer]:
    with OllamaServer() as server:
        server.says, server.fault = [Said(["a fluffy ", "cat"])], "stall"
        yield server


TALKS = {
    "enhance": ("/ollama/enhance", {"prompt": "a cat"}),
    "chat": ("/assistant/chat", {"message": "hi"}),
    "interrogate": ("/sdapi/v1/interrogate", {"image": plain(), "model": "clip"}),
    "sdcn-interrogate": ("/interrogate", {"image": plain(), "model": "clip"}),
}


def sections(model: OllamaServer) -> dict[str, Any]:
    place = {"base_url": model.url}
    return {"ollama": place, "assistant": place, "interrogate": {"vision_model": "mistral"}}


@pytest.mark.parametrize("name", TALKS)
def test_a_call_to_a_model_is_ended_for_who_has_gone(
    watch: Callable[..., Watched], model: OllamaServer, name: str
) -> None:
    watched = watch(SOON, **sections(model))
    call = RawCall(watched.port, *TALKS[name])
    assert model.stalled.wait(PATIENCE_SECONDS)
    call.leave()
    assert model.hung_up.wait(PATIENCE_SECONDS)
    watched.until(lambda: not watched.served.shell.blocking_in_flight)


def test_a_retry_waits_for_what_the_model_was_asked_before(watch: Callable[..., Watched], model: OllamaServer) -> None:
    watched = watch(EVER, **sections(model))
    path, body = TALKS["enhance"]
    call = RawCall(watched.port, path, body)
    assert model.stalled.wait(PATIENCE_SECONDS)
    call.leave()
    again = RawCall(watched.port, path, body)
    watched.until(lambda: watched.taken_over)
    assert len(model.chats) == 1
    assert not model.hung_up.is_set()
    again.leave()


# --- answers that begin early ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", DIALECTS)
def test_white_space_keeps_a_call_alive(watch: Callable[..., Watched], name: str) -> None:
    watched, (path, body) = watch(EVER, server={"blocking_keep_alive_seconds": 0.01}), DIALECTS[name]
    with requests.post(watched.served.url + path, json=body, stream=True, timeout=PATIENCE_SECONDS) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Accel-Buffering"] == "no"
        pieces = answer.iter_content(1)
        read = b"".join(next(pieces) for _ in range(3))
        watched.go_on()
        read += b"".join(pieces)
    assert read.startswith(b"   ")
    assert isinstance(json.loads(read), dict)


def test_pythons_own_client_reads_it_as_well(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER, server={"blocking_keep_alive_seconds": 0.01})
    with watched.call(*OPENAI) as call:
        assert call.read_byte() == b"H"
        watched.go_on()
        rest = b"".join(iter(lambda: call._socket.recv(1), b"}"))
    assert b"transfer-encoding: chunked" in rest.lower()


@pytest.mark.parametrize(
    ("name", "shape"),
    [("openai", {"error"}), ("a1111", {"error", "detail", "body", "errors"}), ("sdcn", {"msg", "detail"})],
)
def test_an_error_behind_white_space_has_the_dialects_shape_and_the_status_of_the_beginning(
    watch: Callable[..., Watched], name: str, shape: set[str]
) -> None:
    watched = watch(EVER, server={"blocking_keep_alive_seconds": 0.01})
    path, body = DIALECTS[name]
    # Nothing holds a run that fails: it has no steps.
    watched.served.runtime.jobs.queue.pause()
    with requests.post(
        watched.served.url + path, json={**body, "prompt": "fake:fail"}, stream=True, timeout=PATIENCE_SECONDS
    ) as answer:
        pieces = answer.iter_content(1)
        assert next(pieces) == b" "
        watched.served.runtime.jobs.queue.resume()
        told = json.loads(b"".join(pieces))
    assert (answer.status_code, told.keys()) == (200, shape)


def test_a_retry_of_a_call_that_was_kept_alive_takes_over_too(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER, server={"blocking_keep_alive_seconds": 0.01})
    with watched.call(*OPENAI) as call:
        call.read_byte()
    watched.until_left()
    answer = watched.post(*OPENAI)
    watched.until(lambda: watched.taken_over)
    watched.go_on()
    shown(answer.result(PATIENCE_SECONDS))
    assert watched.total == 1


def test_quick_answers_have_their_own_status(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER, server={"blocking_keep_alive_seconds": 3600})
    watched.go_on()
    assert watched.served.post("/v1/images/generations", json={}).status_code == 400
    assert "X-Request-Id" in watched.served.post(OPENAI[0], json=OPENAI[1]).headers


def test_streams_of_events_have_no_white_space(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER, server={"blocking_keep_alive_seconds": 0.01})
    body = {**OPENAI[1], "stream": True}
    with requests.post(watched.served.url + OPENAI[0], json=body, stream=True, timeout=PATIENCE_SECONDS) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert watched.served.house.running.wait(PATIENCE_SECONDS)
        watched.go_on()
        assert b"".join(answer.iter_content(None)).startswith(b"event: ")
