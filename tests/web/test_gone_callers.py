"""Callers that hang up while their call waits, on real sockets: who comes back, who is not joined, what is ended."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from PIL import Image

from sdcpp_rest.core.events import JobCancelled
from tests.raw_calls import RawCall
from tests.routes.conftest import PATIENCE_SECONDS
from tests.web.watched_calls import A1111, AT_ONCE, DIALECTS, EVER, EXTRAS, OPENAI, SMALL, SOON, Watched, shown

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


@pytest.mark.usefixtures("short_doubt")
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


@pytest.mark.slow
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


@pytest.mark.slow
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
