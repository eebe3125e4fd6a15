"""Requests with an Idempotency-Key, on real sockets: done once, answered as often as they are sent."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from sdcpp_rest.services.jobs import kept_answers
from sdcpp_rest.services.jobs.kept_answers import KeptAnswers
from tests.raw_calls import RawCall
from tests.routes.conftest import PATIENCE_SECONDS, House, ServedHouse, make_config
from tests.web.watched_calls import A1111, AT_ONCE, EVER, OPENAI, SMALL, Watched, shown

KEY = {"Idempotency-Key": "one-click"}
NATIVE = ("/txt2img", SMALL)
STREAM = (OPENAI[0], {**OPENAI[1], "stream": True, "partial_images": 0})


@pytest.fixture
def restart(tmp_path: Path) -> Iterator[Callable[..., ServedHouse]]:
    """Serve one data folder again and again: what was served before is stopped first."""
    with contextlib.ExitStack() as opened:

        def serve(**sections: Any) -> ServedHouse:
            opened.close()
            house = House(make_config(tmp_path / "house", **sections))
            served = ServedHouse(house)
            opened.callback(house.close)
            opened.callback(served.stop)
            return served.start()

        yield serve


def is_replayed(response: requests.Response) -> bool:
    return response.headers.get("Idempotency-Replayed") == "true"


def total(served: ServedHouse) -> int:
    return served.runtime.jobs.queue.counts()["total"]


# --- the same answer -------------------------------------------------------------------------------------------------


def test_the_same_request_gets_the_same_answer_and_makes_no_second_job(served: ServedHouse) -> None:
    first = served.post(NATIVE[0], json=SMALL, headers=KEY)
    second = served.post(NATIVE[0], json=dict(reversed(SMALL.items())), headers=KEY)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.content == second.content
    assert not is_replayed(first)
    assert is_replayed(second)
    assert second.headers["Content-Type"] == "application/json"
    assert total(served) == 1


def test_another_key_or_none_is_another_job(served: ServedHouse) -> None:
    for headers in (KEY, {"Idempotency-Key": "another"}, {}, {}):
        assert served.post(NATIVE[0], json=SMALL, headers=headers).status_code == 202
    assert total(served) == 4


@pytest.mark.parametrize(("path", "body"), [A1111, OPENAI, ("/txt2img", {**SMALL, "model": "demo_dit_q8_0.gguf"})])
def test_dialects_that_answer_with_pictures_answer_the_same_ones(
    served: ServedHouse, path: str, body: dict[str, Any]
) -> None:
    first, second = (served.post(path, json=body, headers=KEY) for _ in range(2))
    assert shown(first) == shown(second)
    assert is_replayed(second)
    assert total(served) == 1


def test_a_stream_is_answered_again_as_a_whole(served: ServedHouse) -> None:
    first, second = (served.post(STREAM[0], json=STREAM[1], headers=KEY) for _ in range(2))
    assert "image_generation.completed" in first.text
    assert first.text == second.text
    assert second.headers["Content-Type"].startswith("text/event-stream")
    assert total(served) == 1


def test_a_key_with_another_request_is_refused(served: ServedHouse) -> None:
    assert served.post(NATIVE[0], json=SMALL, headers=KEY).status_code == 202
    for path, body in ((NATIVE[0], {**SMALL, "seed": 7}), ("/img2img", SMALL), (NATIVE[0] + "?a=1", SMALL)):
        answer = served.post(path, json=body, headers=KEY)
        assert answer.status_code == 422, path
        assert answer.json()["code"] == "idempotency_key_reused"
        assert "Idempotency-Key" in answer.json()["error"]
    assert total(served) == 1


@pytest.mark.parametrize("key", [b"", b"k" * 201, "ä".encode("latin-1"), b"a\tb"])
def test_a_key_that_is_none_is_refused(served: ServedHouse, key: bytes) -> None:
    answer = served.post(NATIVE[0], json=SMALL, headers={"Idempotency-Key": key})
    assert answer.status_code == 400
    assert answer.json()["field"] == "Idempotency-Key"
    assert "1 to 200 printable ASCII characters" in answer.json()["error"]
    assert total(served) == 0


def test_callers_do_not_share_keys(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(auth={"api_keys": ["anna:one", "bob:two"]})
    for credentials in (("anna", "one"), ("bob", "two"), ("anna", "one")):
        assert served.post(NATIVE[0], json=SMALL, headers=KEY, auth=credentials).status_code == 202
    assert total(served) == 2


def test_views_that_make_no_jobs_pass_the_key_over(served: ServedHouse) -> None:
    for _ in range(2):
        assert served.post("/queue/pause", headers=KEY).json()["paused"] is True
    assert served.post("/queue/resume", headers=KEY).json()["changed"] is True


# --- what is not kept ------------------------------------------------------------------------------------------------


def test_a_refusal_is_not_kept(served: ServedHouse) -> None:
    bad = {**SMALL, "steps": 0}
    for _ in range(2):
        answer = served.post(NATIVE[0], json=bad, headers=KEY)
        assert answer.status_code == 400
        assert not is_replayed(answer)
    assert served.post(NATIVE[0], json=SMALL, headers=KEY).status_code == 202, "the key is free for what is right"


def test_a_full_queue_is_tried_again(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(limits={"pending_jobs": 1})
    served.runtime.jobs.queue.pause()
    other = served.post(NATIVE[0], json=SMALL).json()["job_id"]
    assert served.post(NATIVE[0], json=SMALL, headers=KEY).status_code == 429
    served.runtime.jobs.queue.cancel(other)
    answer = served.post(NATIVE[0], json=SMALL, headers=KEY)
    assert answer.status_code == 202
    assert not is_replayed(answer)


def test_a_day_later_the_key_is_new(served: ServedHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    first = served.post(NATIVE[0], json=SMALL, headers=KEY).json()["job_id"]
    monkeypatch.setattr(kept_answers, "LIFETIME", timedelta(seconds=-1))
    assert served.post(NATIVE[0], json=SMALL, headers=KEY).json()["job_id"] != first


def test_an_answer_beyond_the_limit_is_made_again_from_the_finished_job(
    make_served: Callable[..., ServedHouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_answers, "BYTES_IN_ROW", 100)
    served = make_served(queue={"kept_answers_bytes": 0})
    first, second = (served.post(A1111[0], json=A1111[1], headers=KEY).json() for _ in range(2))
    assert first["images"] == second["images"]
    assert json.loads(first["info"])["all_seeds"] == json.loads(second["info"])["all_seeds"]
    assert total(served) == 1


# --- while the first is under way ------------------------------------------------------------------------------------


def test_the_second_waits_for_the_answer_of_the_first(watch: Callable[..., Watched]) -> None:
    watched = watch(AT_ONCE)
    first = watched.post(*A1111, headers=KEY)
    watched.until(lambda: watched.total == 1)
    second = watched.post(*A1111, headers=KEY)
    watched.until(lambda: _waiting(watched) == 1)
    assert served_error(watched.served, (A1111[0], {**SMALL, "seed": 5})) == 422
    watched.go_on()
    assert shown(first.result(PATIENCE_SECONDS)) == shown(second.result(PATIENCE_SECONDS))
    assert is_replayed(second.result())
    assert watched.total == 1


def test_the_second_goes_on_with_the_call_of_a_first_that_leaves(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER)
    with watched.call(*A1111, headers=KEY) as first:
        second = watched.post(*A1111, headers=KEY)
        watched.until(lambda: _waiting(watched) == 1)
        first.leave()
    watched.until(lambda: watched.taken_over)
    watched.go_on()
    shown(second.result(PATIENCE_SECONDS))
    assert watched.total == 1


def test_a_retry_goes_on_with_a_call_that_was_left(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER)
    watched.call(*OPENAI, headers=KEY).leave()
    watched.until_left()
    answer = watched.post(*OPENAI, headers=KEY)
    watched.until(lambda: watched.taken_over)
    watched.go_on()
    text = shown(answer.result(PATIENCE_SECONDS))
    assert watched.total == 1
    assert watched.served.post(OPENAI[0], json=OPENAI[1], headers=KEY).text == text


def test_what_was_finished_for_nobody_is_kept_all_the_same(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER)
    watched.call(*OPENAI, headers=KEY).leave()
    watched.until_left()
    watched.go_on()
    watched.until_ended("completed")
    for _ in range(2):
        shown(watched.post(*OPENAI, headers=KEY).result(PATIENCE_SECONDS))
    assert watched.total == 1


def test_work_that_was_given_up_is_begun_anew(watch: Callable[..., Watched]) -> None:
    watched = watch(AT_ONCE)
    watched.served.runtime.jobs.queue.pause()
    watched.call(*A1111, headers=KEY).leave()
    watched.until_ended("cancelled")
    watched.served.runtime.jobs.queue.resume()
    watched.go_on()
    answer = watched.post(*A1111, headers=KEY).result(PATIENCE_SECONDS)
    assert answer.json()["images"]
    assert [job.status for job in watched.jobs] == ["cancelled", "completed"]


def test_a_stream_that_was_left_is_begun_anew(watch: Callable[..., Watched]) -> None:
    watched = watch(EVER)
    watched.served.runtime.jobs.queue.pause()
    watched.call(*STREAM, headers=KEY).leave()
    watched.until_ended("cancelled")
    watched.served.runtime.jobs.queue.resume()
    watched.go_on()
    answer = watched.post(*STREAM, headers=KEY).result(PATIENCE_SECONDS)
    assert "image_generation.completed" in answer.text
    assert watched.total == 2


def test_only_so_many_wait_for_one_answer(watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdcpp_rest.web.keyed_calls._MOST_WAITING", 0)
    watched = watch(AT_ONCE)
    first = watched.post(*A1111, headers=KEY)
    watched.until(lambda: watched.total == 1)
    assert served_error(watched.served, A1111) == 503
    watched.go_on()
    shown(first.result(PATIENCE_SECONDS))


# --- after a restart -------------------------------------------------------------------------------------------------


def test_answers_survive_a_restart(restart: Callable[..., ServedHouse], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_answers, "BYTES_IN_ROW", 1000)

    def send_both(served: ServedHouse) -> list[requests.Response]:
        return [served.post(path, json=SMALL, headers={"Idempotency-Key": path}) for path in (NATIVE[0], A1111[0])]

    first = send_both(restart())
    served = restart()
    assert len([*served.runtime.config.paths.data_dir.joinpath("answers").iterdir()]) == 1, "the large one is a file"
    second = send_both(served)
    assert [answer.content for answer in first] == [answer.content for answer in second]
    assert all(is_replayed(answer) for answer in second)
    assert total(served) == 2


def test_a_job_whose_answer_was_not_kept_before_the_server_died_is_found(
    restart: Callable[..., ServedHouse], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = restart()
    monkeypatch.setattr(KeptAnswers, "keep", lambda self, name, answer: None)
    first = served.post(NATIVE[0], json={**SMALL, "seed": -1}, headers=KEY)
    served = restart()
    second = served.post(NATIVE[0], json={**SMALL, "seed": -1}, headers=KEY)
    assert first.json()["job_id"] == second.json()["job_id"]
    assert total(served) == 1


def test_pictures_that_a_stop_put_off_come_with_the_retry(restart: Callable[..., ServedHouse]) -> None:
    served = restart()
    served.runtime.jobs.queue.pause()
    with RawCall(served.port, *A1111, headers=KEY) as call:
        while total(served) == 0:
            pass
        served = restart()
        assert call.answer()[0].status == 503
    served.runtime.jobs.queue.resume()
    assert served.post(A1111[0], json=A1111[1], headers=KEY).json()["images"]
    assert total(served) == 1


def served_error(served: ServedHouse, asked: tuple[str, dict[str, Any]]) -> int:
    return served.post(asked[0], json=asked[1], headers=KEY).status_code


def _waiting(watched: Watched) -> int:
    return sum(call._waiting for call in watched.served.shell._keyed._under_way.values())
