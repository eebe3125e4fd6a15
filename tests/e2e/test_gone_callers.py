"""Callers that hang up on the real server: their work waits for their retry, or ends; who is there gets the answer."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from sdcpp_rest.runtime import DEMO_MODEL
from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.raw_calls import RawCall

pytestmark = [pytest.mark.e2e, pytest.mark.native]
SMALL = {"prompt": "a red circle", "width": 64, "height": 64, "steps": 12, "seed": -1}
CALLS = {
    "a1111": ("/sdapi/v1/txt2img", SMALL),
    "openai": ("/v1/images/generations", {"prompt": "a red circle", "size": "64x64", "steps": 12}),
    "sdcn": ("/txt2img", {**SMALL, "model": DEMO_MODEL}),
}
WAYS: dict[str, Callable[[RawCall], None]] = {"fin": RawCall.leave, "rst": RawCall.reset}
EVER, SOON = "queue.abandoned_grace_seconds=3600", "queue.abandoned_grace_seconds=0.01"


class Busy:
    """A server, and the jobs of it that are listed."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.port = int(urlsplit(server.url).port or 0)

    def jobs(self) -> list[dict[str, Any]]:
        """Newest first."""
        return list(self.server.get("/queue?limit=50")["items"])

    def call(self, path: str, body: Any) -> tuple[RawCall, str]:
        """A call that waits for its job, and the job's id."""
        known = {job["job_id"] for job in self.jobs()}
        sent = RawCall(self.port, path, body)
        found = self.server.until(lambda: [job for job in self.jobs() if job["job_id"] not in known], bool)
        return sent, str(found[0]["job_id"])

    def pause(self) -> None:
        assert self.server.post("/queue/pause").status_code == 200

    def resume(self) -> None:
        assert self.server.post("/queue/resume").status_code == 200


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server that keeps everything for a retry."""
    server = ServerProcess(tmp_path_factory.mktemp("patient"), EVER).start()
    server.wait_loaded()
    yield Busy(server)
    server.stop()


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server that keeps nothing for long, and begins its answers early."""
    server = ServerProcess(
        tmp_path_factory.mktemp("impatient"), SOON, "server.blocking_keep_alive_seconds=0.01"
    ).start()
    server.wait_loaded()
    yield Busy(server)
    server.stop()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CALLS)
def test_a_retry_takes_over_the_job_where_it_stands(patient: Busy, name: str, way: str) -> None:
    path, body = CALLS[name]
    before = len(patient.jobs())
    call, job_id = patient.call(path, {**body, "steps": 60})
    patient.server.wait_running(job_id)
    WAYS[way](call)
    answer = requests.post(patient.server.url + path, json={**body, "steps": 60}, timeout=TIMEOUT)
    assert answer.status_code == 200, answer.text
    job = patient.server.job(job_id)
    assert (job["status"], len(patient.jobs())) == ("completed", before + 1)
    assert job["created_at"] <= job["started_at"]
    if name == "a1111":
        assert json.loads(answer.json()["info"])["seed"] == job["seed"], "the seed that was left to chance"
    if name == "openai":
        assert answer.headers["X-Request-Id"] == job_id


def test_a_client_that_tries_three_times_has_one_job(patient: Busy) -> None:
    before = len(patient.jobs())
    path, body = CALLS["openai"]
    patient.pause()
    for _ in range(3):
        with pytest.raises(requests.Timeout):
            requests.post(patient.server.url + path, json={**body, "prompt": "three"}, timeout=(TIMEOUT, 0.5))
    patient.resume()
    answer = requests.post(patient.server.url + path, json={**body, "prompt": "three"}, timeout=TIMEOUT)
    assert answer.status_code == 200
    assert len(patient.jobs()) == before + 1


@pytest.mark.parametrize("name", CALLS)
def test_two_that_are_there_have_two_pictures(patient: Busy, name: str) -> None:
    before = len(patient.jobs())
    path, body = CALLS[name]
    patient.pause()
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(requests.post, patient.server.url + path, json=body, timeout=TIMEOUT) for _ in range(2)]
        patient.server.until(lambda: len(patient.jobs()), lambda count: count == before + 2)
        patient.resume()
        assert [answer.result().status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CALLS)
def test_without_a_retry_the_job_is_cancelled_and_the_next_call_draws_anew(
    impatient: Busy, name: str, way: str
) -> None:
    path, body = CALLS[name]
    # More steps than anybody waits for: only a cancel ends them.
    call, job_id = impatient.call(path, {**body, "steps": 1000})
    impatient.server.wait_running(job_id)
    WAYS[way](call)
    job = impatient.server.wait(job_id)
    assert (job["status"], job["error_code"]) == ("cancelled", "caller_gone")
    assert "hung up" in job["error"]
    assert f"job {job_id} is cancelled: The caller hung up" in impatient.server.log.read_text()
    before = len(impatient.jobs())
    answer = requests.post(impatient.server.url + path, json={**body, "steps": 2}, timeout=TIMEOUT)
    assert answer.status_code == 200
    assert len(impatient.jobs()) == before + 1


def test_a_client_that_closed_its_half_gets_its_answer(make_server: Callable[..., ServerProcess]) -> None:
    server = make_server("queue.abandoned_grace_seconds=0")
    server.wait_loaded()
    busy = Busy(server)
    for path, body in CALLS.values():
        call, job_id = busy.call(path, body)
        with call:
            call.close_half()
            response, text = call.answer()
        assert response.status == 200
        assert json.loads(text)
        assert server.job(job_id)["status"] == "completed"


@pytest.mark.parametrize("name", CALLS)
def test_clients_read_the_json_behind_white_space(impatient: Busy, name: str) -> None:
    path, body = CALLS[name]
    answer = requests.post(impatient.server.url + path, json=body, timeout=TIMEOUT)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.text.startswith(" ")
    assert answer.json()
    connection = http.client.HTTPConnection("127.0.0.1", impatient.port, timeout=TIMEOUT)
    for _ in range(2):  # the second one on the same connection
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        text = connection.getresponse().read()
        assert text.startswith(b" ")
        assert json.loads(text)
    connection.close()
