"""Callers that hang up while their call waits, on real sockets: who has gone, who comes back, who was never away."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
import requests
from PIL import Image

from sdcpp_rest.core.events import JobCancelled, JobStatusChanged
from sdcpp_rest.core.job import Job
from sdcpp_rest.runtime import DEMO_MODEL
from sdcpp_rest.services.jobs.event_bus import Subscription
from tests.raw_calls import RawCall
from tests.routes.a1111.pictures import plain
from tests.routes.conftest import PATIENCE_SECONDS, ServedHouse
from tests.servers.language_model import Said
from tests.servers.ollama_server import OllamaServer

EVER = {"abandoned_grace_seconds": 3600}
AT_ONCE = {"abandoned_grace_seconds": 0}
SOON = {"abandoned_grace_seconds": 0.01}
SMALL = {"prompt": "a cat", "width": 64, "height": 64, "steps": 2}
OPENAI = ("/v1/images/generations", {"prompt": "a cat", "size": "64x64", "steps": 2})
A1111 = ("/sdapi/v1/txt2img", SMALL)
SDCN = ("/txt2img", {**SMALL, "model": DEMO_MODEL})
DIALECTS = {
    "openai": OPENAI,
    "a1111": A1111,
    "a1111-img2img": ("/sdapi/v1/img2img", {**SMALL, "init_images": [plain(size=(64, 64))]}),
    "sdcn": SDCN,
    "sdcn-img2img": ("/img2img", {**SDCN[1], "init_image": plain(size=(64, 64)), "denoising_strength": 0.5}),
    "sdcn-api": ("/api/sd/txt2img", SDCN[1]),
}
EXTRAS = ("/sdapi/v1/extra-single-image", {"image": plain(), "upscaler_1": "esrgan_x2", "upscaling_resize": 2})
"""Held by pausing the queue: the fake engine's gate is for steps, and this has none."""


class Watched:
    """A served house whose engine is held, and what has happened to its jobs."""

    def __init__(self, served: ServedHouse, mailbox: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
        self.served = served
        self.port = served.port
        self.mailbox = mailbox
        self.served.house.gate.clear()
        self.taken_over: list[Any] = []
        self._pool = ThreadPoolExecutor(4)
        abandoned = served.runtime.jobs.abandoned
        take_over = abandoned.take_over

        def note_taking(*arguments: Any) -> Any:
            call = take_over(*arguments)
            if call is not None:
                self.taken_over.append(call)
            return call

        monkeypatch.setattr(abandoned, "take_over", note_taking)

    def call(self, path: str, body: Any, **more: Any) -> RawCall:
        """A call that waits for its first job, or for its call to a model, by now."""
        before = self.total
        sent = RawCall(self.port, path, body, **more)
        self.until(lambda: self.total > before)
        return sent

    def post(self, path: str, body: Any, **more: Any) -> Future[requests.Response]:
        """The same on a thread, with a real client."""
        return self._pool.submit(self.served.post, path, json=body, **more)

    @property
    def total(self) -> int:
        return self.served.runtime.jobs.queue.counts()["total"]

    @property
    def jobs(self) -> list[Job]:
        """The oldest first."""
        return self.served.runtime.jobs.queue.list(limit=100, order="asc")

    def go_on(self) -> None:
        self.served.house.gate.set()

    def until(self, look: Callable[[], Any]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not look():
            assert time.monotonic() < deadline, "it did not come about"

    def until_ended(self, status: str) -> Job:
        """Wait for the next job that ends so."""
        while (event := self.mailbox.get(PATIENCE_SECONDS)) is not None:
            if isinstance(event, JobStatusChanged) and event.status == status:
                return self.served.runtime.jobs.queue.get(event.job_id)
        raise AssertionError(f"no job is {status}")

    def until_left(self) -> None:
        """Wait until the server has noticed that a caller has gone."""
        self.until(lambda: self.served.runtime.jobs.abandoned.count)

    def id_of(self, response: requests.Response) -> str:
        return response.headers["X-Request-Id"]


@pytest.fixture
def watch(make_served: Callable[..., ServedHouse], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watched]:
    def make(queue: dict[str, Any], **sections: Any) -> Watched:
        served = make_served(queue=queue, **sections)
        return Watched(served, served.runtime.jobs.bus.subscribe(100_000), monkeypatch)

    return make


def shown(response: requests.Response) -> str:
    """What tells one answer from another: pictures and links in it."""
    assert response.status_code == 200, response.text
    return response.text


# --- the retry ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("end", [RawCall.leave, RawCall.reset])
def test_a_retry_takes_the_job_over(watch: Callable[..., Watched], name: str, end: Callable[[RawCall], None]) -> None:
    watched, (path, body) = watch(EVER), DIALECTS[name]
    end(watched.call(path, body))
    answer = watched.post(path, body)
    watched.until(lambda: watched.taken_over)
    watched.go_on()
    shown(answer.result(PATIENCE_SECONDS))
    (job,) = watched.jobs
    assert job.status == "completed"


def test_so_does_that_of_a_call_that_enlarges(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER)
    watched.served.runtime.jobs.queue.pause()
    watched.call(*EXTRAS).leave()
    answer = watched.post(*EXTRAS)
    watched.until(lambda: watched.taken_over)
    watched.served.runtime.jobs.queue.resume()
    shown(answer.result(PATIENCE_SECONDS))
    assert watched.total == 1


def test_a_retry_gets_what_was_finished_meanwhile(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER)
    watched.call(*OPENAI).leave()
    watched.until_left()
    watched.go_on()
    job = watched.until_ended("completed")
    answer = watched.post(*OPENAI).result(PATIENCE_SECONDS)
    assert watched.id_of(answer) == job.id
    assert watched.total == 1
    assert watched.id_of(watched.post(*OPENAI).result(PATIENCE_SECONDS)) != job.id, "and gets it once"


def test_a_random_seed_is_that_of_the_first_try_in_picture_and_text(watch: Callable[..., Watched]) -> None:
    watched, path, body = watch(EVER), A1111[0], {**SMALL, "seed": -1, "batch_size": 2, "n_iter": 2}
    with watched.call(path, body) as call:
        watched.until(lambda: watched.total == 2)
        seeds = [job.params["seed"] for job in watched.jobs]
        call.leave()
    answer = watched.post(path, body)
    watched.until(lambda: watched.taken_over)
    watched.go_on()
    told = json.loads(answer.result(PATIENCE_SECONDS).json()["info"])
    assert told["all_seeds"] == [seed + k for seed in seeds for k in (0, 1)]
    assert watched.total == 2, "the whole round was taken over"


def test_pictures_that_came_out_before_are_in_the_retrys_answer(watch: Callable[..., Watched]) -> None:
    watched, body = watch(EVER), {**OPENAI[1], "n": 3}
    watched.go_on()
    watched.served.runtime.jobs.queue.pause()
    with RawCall(watched.port, OPENAI[0], body) as call:
        watched.until(lambda: watched.total == 3)
        call.leave()
    watched.until_left()
    watched.served.house.gate.clear()
    watched.served.runtime.jobs.queue.resume()
    answer = watched.post(OPENAI[0], body)
    watched.until(lambda: watched.taken_over)
    watched.go_on()
    assert len(answer.result(PATIENCE_SECONDS).json()["data"]) == 3
    assert watched.total == 3


def test_a_body_may_be_written_otherwise_the_second_time(watch: Callable[..., Watched]) -> None:
    watched, (path, body) = watch(EVER), OPENAI
    watched.call(path, json.dumps(body, indent=4).encode()).leave()
    answer = watched.post(path, dict(reversed(body.items())))
    watched.until(lambda: watched.taken_over)
    watched.go_on()
    shown(answer.result(PATIENCE_SECONDS))
    assert watched.total == 1


def test_a_form_has_another_boundary_the_second_time(watch: Callable[..., Watched]) -> None:
    watched, buffer = watch(EVER), io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "PNG")
    forms = [
        requests.Request(
            "POST",
            watched.served.url + "/v1/images/edits",
            files={"image": ("a.png", buffer.getvalue())},
            data={"prompt": "a cat", "size": "64x64"},
        ).prepare()
        for _ in range(2)
    ]
    assert forms[0].body != forms[1].body
    headers = {"Content-Type": str(forms[0].headers["Content-Type"])}
    watched.call("/v1/images/edits", forms[0].body, headers=headers).leave()
    with requests.Session() as session, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(session.send, forms[1], timeout=PATIENCE_SECONDS)
        watched.until(lambda: watched.taken_over)
        watched.go_on()
        shown(answer.result(PATIENCE_SECONDS))
    assert watched.total == 1


def test_who_hangs_up_again_and_again_still_has_one_job(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER)
    watched.call(*OPENAI).leave()
    for count in range(5):
        with RawCall(watched.port, *OPENAI):
            watched.until(lambda count=count: len(watched.taken_over) > count)
    answer = watched.post(*OPENAI)
    watched.go_on()
    shown(answer.result(PATIENCE_SECONDS))
    assert watched.total == 1


def test_a_retry_needs_no_room_among_the_calls_that_wait(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER, server={"blocking_threads": 1})
    watched.call(*OPENAI).leave()
    watched.until_left()
    assert watched.served.post(*A1111[:1], json=A1111[1]).status_code == 503
    answer = watched.post(*OPENAI)
    watched.until(lambda: watched.taken_over)
    watched.go_on()
    shown(answer.result(PATIENCE_SECONDS))


# --- who is not joined ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["openai", "a1111", "sdcn"])
def test_two_equal_requests_are_two_pictures(watch: Callable[..., Watched], name: str) -> None:
    watched, (path, body) = watch(EVER), DIALECTS[name]
    answers = [watched.post(path, body) for _ in range(2)]
    watched.until(lambda: watched.total == 2)
    watched.go_on()
    for answer in answers:
        shown(answer.result(PATIENCE_SECONDS))
    assert [job.status for job in watched.jobs] == ["completed", "completed"]


def test_a_client_that_closed_its_half_is_there_and_is_not_joined(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER)
    with watched.call(*OPENAI) as call:
        call.close_half()
        other = watched.post(*OPENAI)
        watched.until(lambda: watched.total == 2)
        watched.go_on()
        response, _ = call.answer()
    assert {response.headers["X-Request-Id"], watched.id_of(other.result(PATIENCE_SECONDS))} == {
        job.id for job in watched.jobs
    }


@pytest.mark.parametrize("other", [{"prompt": "a dog"}, {"n": 2}, {"steps": 2.0}, {"seed": 1}])
def test_another_body_is_another_request(watch: Callable[..., Watched], other: dict[str, Any]) -> None:
    watched, (path, body) = watch(EVER), OPENAI
    watched.call(path, body).leave()
    watched.until_left()
    answer = watched.post(path, {**body, **other})
    watched.until(lambda: watched.total > 1)
    watched.go_on()
    shown(answer.result(PATIENCE_SECONDS))


def test_another_caller_takes_nothing_over(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER, server={"trusted_proxies": ["127.0.0.1"]})
    watched.call(*OPENAI, headers={"X-Forwarded-For": "192.0.2.1"}).leave()
    watched.until_left()
    others = watched.post(*OPENAI, headers={"X-Forwarded-For": "192.0.2.2"})
    watched.until(lambda: watched.total == 2)
    mine = watched.post(*OPENAI, headers={"X-Forwarded-For": "192.0.2.1"})
    watched.go_on()
    first, second = watched.jobs
    assert watched.id_of(others.result(PATIENCE_SECONDS)) == second.id
    assert watched.id_of(mine.result(PATIENCE_SECONDS)) == first.id


def test_another_key_takes_nothing_over(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER, auth={"api_keys": ["one", "two"]})
    one, two = ({"Authorization": f"Bearer {key}"} for key in ("one", "two"))
    watched.call(*OPENAI, headers=one).leave()
    watched.until_left()
    assert watched.served.post(OPENAI[0], json=OPENAI[1]).status_code == 401
    others = watched.post(*OPENAI, headers=two)
    watched.until(lambda: watched.total == 2)
    watched.go_on()
    assert watched.id_of(others.result(PATIENCE_SECONDS)) == watched.jobs[1].id


# --- without a retry --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("end", [RawCall.leave, RawCall.reset])
def test_without_a_retry_the_job_is_cancelled_and_says_why(
    watch: Callable[..., Watched], name: str, end: Callable[[RawCall], None]
) -> None:
    watched = watch(SOON)
    call = watched.call(*DIALECTS[name])
    assert watched.served.house.running.wait(PATIENCE_SECONDS)
    end(call)
    # The engine hears it at its next step.
    watched.until(lambda: any(active.cancel_requested for active in watched.served.runtime.jobs.active.all()))
    watched.go_on()
    job = watched.until_ended("cancelled")
    assert (job.error_code, job.status) == ("caller_gone", "cancelled")
    assert job.error is not None
    assert re.match(r"The caller hung up and did not ask again within 0.01 s", job.error)
    wire = watched.served.get(f"/queue/{job.id}").json()
    assert (wire["status"], wire["error"], wire["error_code"]) == ("cancelled", job.error, "caller_gone")


def test_what_waits_is_cancelled_too_and_a_retry_draws_anew(watch: Callable[..., Watched]) -> None:
    watched = watch(SOON)
    watched.served.runtime.jobs.queue.pause()
    watched.call(OPENAI[0], {**OPENAI[1], "n": 3}).leave()
    for _ in range(3):
        assert watched.until_ended("cancelled").error_code == "caller_gone"
    watched.served.runtime.jobs.queue.resume()
    watched.go_on()
    answer = watched.post(OPENAI[0], {**OPENAI[1], "n": 3}).result(PATIENCE_SECONDS)
    assert len(answer.json()["data"]) == 3
    assert watched.total == 6
    watched.until(lambda: not watched.served.shell.blocking_in_flight)


@pytest.mark.parametrize("call", [A1111, EXTRAS])
def test_without_a_grace_it_is_cancelled_at_once(watch: Callable[..., Watched], call: tuple[str, Any]) -> None:
    watched = watch(AT_ONCE)
    watched.served.runtime.jobs.queue.pause()
    watched.call(*call).leave()
    assert watched.until_ended("cancelled").error == "The caller hung up"


def test_work_is_finished_where_that_is_wanted(watch: Callable[..., Watched]) -> None:
    watched = watch({**AT_ONCE, "finish_abandoned": True})
    watched.call(OPENAI[0], {**OPENAI[1], "n": 2}).leave()
    watched.until_left()
    watched.go_on()
    assert [watched.until_ended("completed").error for _ in range(2)] == [None, None]
    # Its answer is kept for no time.
    watched.until(lambda: not watched.served.runtime.jobs.abandoned.count)
    assert {job.status for job in watched.jobs} == {"completed"}


def test_a_cancel_by_hand_has_no_reason(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER)
    watched.served.runtime.jobs.queue.pause()
    watched.call(*OPENAI).leave()
    watched.until_left()
    (job,) = watched.jobs
    watched.served.runtime.jobs.queue.cancel(job.id)
    while not isinstance(watched.mailbox.get(PATIENCE_SECONDS), JobCancelled):
        pass
    assert "error" not in watched.served.get(f"/queue/{job.id}").json()
    assert watched.post(*OPENAI).result(PATIENCE_SECONDS).status_code == 409, "which is what the retry is told"


def test_a_server_that_stops_cancels_what_nobody_waits_for(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER)
    watched.served.runtime.jobs.queue.pause()
    watched.call(*OPENAI).leave()
    watched.until_left()
    watched.served.runtime.begin_stop()
    assert watched.until_ended("cancelled").error == "The caller hung up, and the server stops"


def test_a_server_that_stops_keeps_the_jobs_of_those_it_releases(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER)
    watched.served.runtime.jobs.queue.pause()
    answer = watched.post(*OPENAI)
    watched.until(lambda: watched.total)
    watched.served.runtime.begin_stop()
    assert answer.result(PATIENCE_SECONDS).status_code == 503
    assert [job.status for job in watched.jobs] == ["pending"]


# --- who only looks gone ----------------------------------------------------------------------------------------------


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
    watched.until(lambda: watched.served.runtime.jobs.active.all()[0].cancel_requested)
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
