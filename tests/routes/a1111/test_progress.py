from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.engine.protocol import RunJob
from tests.routes.a1111.pictures import got, told
from tests.routes.conftest import PATIENCE_SECONDS, House

IDLE = {
    "progress": 0.0, "eta_relative": 0.0, "current_image": None, "textinfo": None,
    "state": {
        "skipped": False, "interrupted": False, "stopping_generation": False, "job": "", "job_count": 0,
        "job_timestamp": "0", "job_no": 0, "sampling_step": 0, "sampling_steps": 0,
    },
}  # fmt: skip
STEPS = 12


class Working:
    """A call of twelve steps a picture that stands still at a step until it is let go."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.stop_at = (1, 10)
        self._jobs: list[str] = []
        self._pool = ThreadPoolExecutor(4)
        house._on_step = self._on_step  # type: ignore[method-assign]

    def _on_step(self, command: RunJob, step: int) -> None:
        if command.job_id not in self._jobs:
            self._jobs.append(command.job_id)
        # The step before this one has been reported.
        if (len(self._jobs), step) == self.stop_at:
            self.reached.set()
            assert self.go_on.wait(PATIENCE_SECONDS)

    def begin(self, at: tuple[int, int] = (1, 11), **fields: Any) -> Future[dict[str, Any]]:
        """Begin a call and wait until it stands at step ``at[1]`` of its job number ``at[0]``."""
        self.stop_at = at
        future = self.call(**fields)
        assert self.reached.wait(PATIENCE_SECONDS)
        return future

    def call(self, **fields: Any) -> Future[dict[str, Any]]:
        client = self.house.client.application.test_client()
        body = {"prompt": "a cat", "width": 16, "height": 16, "steps": STEPS, "seed": 1, **fields}

        def work() -> dict[str, Any]:
            answer = client.post("/sdapi/v1/txt2img", json=body)
            assert answer.status_code == 200, answer.text
            return dict(answer.get_json())

        return self._pool.submit(work)

    def until_seen(self, client: FlaskClient, look: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask for progress until ``look`` is satisfied; the engine's reports come on another thread."""
        with self.house.runtime.jobs.bus.subscribe() as mailbox:
            for _ in range(500):
                seen = dict(client.get("/sdapi/v1/progress").get_json())
                if look(seen):
                    return seen
                mailbox.get(0.02)
        raise AssertionError(seen)


@pytest.fixture
def working(house: House) -> Iterator[Working]:
    working = Working(house)
    yield working
    working.go_on.set()


def test_nothing_to_do_is_all_zero(client: FlaskClient) -> None:
    assert client.get("/sdapi/v1/progress").get_json() == IDLE
    assert client.post("/sdapi/v1/interrupt").get_json() == {}
    answer = client.post("/sdapi/v1/skip")
    assert (answer.status_code, answer.text) == (200, "null")


def test_work_is_told_step_by_step_with_a_preview(working: Working, client: FlaskClient) -> None:
    future = working.begin()
    seen = working.until_seen(client, lambda one: one["state"]["sampling_step"] == 10 and one["current_image"])
    state = seen["state"]
    assert (state["job"], state["job_count"], state["job_no"]) == ("scripts_txt2img", 1, 0)
    assert (state["sampling_step"], state["sampling_steps"]) == (10, STEPS)
    assert seen["progress"] == pytest.approx(0.01 + 10 / STEPS, abs=1e-4)
    assert seen["eta_relative"] >= 0
    assert len(state["job_timestamp"]) == 14
    assert got(seen["current_image"]).format == "PNG"
    bare = client.get("/sdapi/v1/progress?skip_current_image=true").get_json()
    assert bare["current_image"] is None
    working.go_on.set()
    future.result(PATIENCE_SECONDS)
    assert client.get("/sdapi/v1/progress").get_json() == IDLE


def test_the_preview_comes_from_the_step_of_the_option_on(working: Working, client: FlaskClient) -> None:
    future = working.begin(at=(1, 5))
    seen = working.until_seen(client, lambda one: one["state"]["sampling_step"] == 4)
    assert seen["current_image"] is None, "10 is the default"
    client.post("/sdapi/v1/options", json={"show_progress_every_n_steps": 2})
    working.until_seen(client, lambda one: one["current_image"] is not None)
    client.post("/sdapi/v1/options", json={"live_previews_enable": False})
    assert client.get("/sdapi/v1/progress").get_json()["current_image"] is None
    working.go_on.set()
    future.result(PATIENCE_SECONDS)


def test_iterations_are_counted(working: Working, client: FlaskClient) -> None:
    future = working.begin(at=(2, 7), n_iter=4)
    seen = working.until_seen(client, lambda one: one["state"]["sampling_step"] == 6 and one["state"]["job_no"] == 1)
    assert (seen["state"]["job"], seen["state"]["job_count"]) == ("Batch 2 out of 4", 4)
    assert seen["progress"] == pytest.approx(0.01 + 1.5 / 4, abs=1e-3)
    working.go_on.set()
    assert len(future.result(PATIENCE_SECONDS)["images"]) == 4


def test_interrupt_answers_with_the_finished_pictures_and_the_last_preview(
    working: Working, client: FlaskClient
) -> None:
    future = working.begin(at=(2, 7), n_iter=4, seed=50)
    working.until_seen(client, lambda one: one["state"]["sampling_step"] == 6 and one["state"]["job_no"] == 1)
    assert client.post("/sdapi/v1/interrupt").get_json() == {}
    assert client.get("/sdapi/v1/progress").get_json()["state"]["interrupted"] is True
    working.go_on.set()
    body = future.result(PATIENCE_SECONDS)
    info = told(body)
    assert len(body["images"]) == len(info["infotexts"]) == 2
    assert info["all_seeds"] == [50, 51, 52, 53]
    unfinished = got(body["images"][1])
    assert unfinished.size == (16, 16)
    assert "Seed: 51" in unfinished.info["parameters"]
    assert client.get("/sdapi/v1/progress").get_json() == IDLE


def test_skip_leaves_one_picture_unfinished_and_goes_on(working: Working, client: FlaskClient) -> None:
    future = working.begin(at=(1, 7), n_iter=3)
    working.until_seen(client, lambda one: one["state"]["sampling_step"] == 6)
    client.post("/sdapi/v1/skip")
    assert client.get("/sdapi/v1/progress").get_json()["state"]["skipped"] is True
    working.go_on.set()
    body = future.result(PATIENCE_SECONDS)
    assert len(body["images"]) == 3


def test_interrupt_needs_no_body_and_takes_any(client: FlaskClient) -> None:
    for more in ({}, {"data": b""}, {"data": b"x", "content_type": "text/plain"}, {"json": {}}):
        assert client.post("/sdapi/v1/interrupt", **more).status_code == 200


def test_work_of_others_is_neither_told_nor_stopped(working: Working, client: FlaskClient) -> None:
    house = working.house
    working.stop_at = (1, 3)
    job_id = house.submit(steps=STEPS)
    assert working.reached.wait(PATIENCE_SECONDS)
    assert client.get("/sdapi/v1/progress").get_json() == IDLE
    client.post("/sdapi/v1/interrupt")
    working.go_on.set()
    assert house.finished(job_id)["status"] == "completed"


def test_with_the_global_scope_anybodys_work_is_meant(make_house: Callable[..., House]) -> None:
    house = make_house(interrupt={"scope": "global"}).start()
    working = Working(house)
    working.stop_at = (1, 3)
    job_id = house.submit(steps=STEPS)
    assert working.reached.wait(PATIENCE_SECONDS)
    assert house.client.get("/sdapi/v1/progress").get_json()["state"]["job_count"] == 1
    house.client.post("/sdapi/v1/interrupt")
    working.go_on.set()
    assert house.finished(job_id)["status"] == "cancelled"


def test_what_waits_behind_others_does_not_look_idle(working: Working, client: FlaskClient) -> None:
    working.stop_at = (1, 3)
    job_id = working.house.submit(steps=STEPS)
    assert working.reached.wait(PATIENCE_SECONDS)
    future = working.call(force_task_id="task(mine)")
    seen = working.until_seen(client, lambda one: one["state"]["job_count"] == 1)
    assert seen["progress"] == 0.01
    assert client.get("/internal/pending-tasks").get_json() == {"size": 1, "tasks": ["task(mine)"]}
    waiting = client.post("/internal/progress", json={"id_task": "task(mine)"}).get_json()
    assert (waiting["active"], waiting["queued"], waiting["textinfo"]) == (False, True, "In queue: 1/1")
    working.go_on.set()
    future.result(PATIENCE_SECONDS)
    working.house.finished(job_id)
    over = client.post("/internal/progress", json={"id_task": "task(mine)"}).get_json()
    assert (over["active"], over["queued"], over["completed"]) == (False, False, True)


def test_one_call_is_followed_by_its_name(working: Working, client: FlaskClient) -> None:
    future = working.begin(at=(1, 7), force_task_id="task(mine)")
    working.until_seen(client, lambda one: one["state"]["sampling_step"] == 6)
    ask = {"id_task": "task(mine)", "id_live_preview": -1}
    with working.house.runtime.jobs.bus.subscribe() as mailbox:
        for _ in range(500):
            seen = client.post("/internal/progress", json=ask).get_json()
            if seen["live_preview"]:
                break
            mailbox.get(0.02)
    assert seen["active"] is True
    assert seen["progress"] == pytest.approx(0.5, abs=0.01)
    assert seen["eta"] >= 0
    jpeg = seen["live_preview"].removeprefix("data:image/jpeg;base64,")
    assert base64.b64decode(jpeg).startswith(b"\xff\xd8")
    again = client.post("/internal/progress", json={**ask, "id_live_preview": seen["id_live_preview"]}).get_json()
    assert again["live_preview"] is None, "it has been seen"
    working.go_on.set()
    future.result(PATIENCE_SECONDS)


def test_a_call_that_was_never_made(client: FlaskClient) -> None:
    seen = client.post("/internal/progress", json={"id_task": "nope"}).get_json()
    assert (seen["active"], seen["queued"], seen["completed"], seen["textinfo"]) == (False, False, False, "Waiting...")
    assert client.get("/internal/ping").get_json() == {}


def test_a_model_that_is_being_loaded_does_not_look_idle(make_house: Callable[..., House]) -> None:
    house = make_house()
    house.load_gate.clear()
    house.runtime.start()
    state = house.client.get("/sdapi/v1/progress").get_json()["state"]
    assert (state["job"], state["job_count"]) == ("load-model", 1)
    house.load_gate.set()


def test_wrong_words_in_a_query_are_422(client: FlaskClient) -> None:
    answer = client.get("/sdapi/v1/progress?skip_current_image=perhaps")
    assert (answer.status_code, answer.get_json()["detail"][0]["loc"]) == (422, ["body", "skip_current_image"])


def test_with_several_engines_the_oldest_running_picture_is_the_one_that_is_interrupted(
    make_house: Callable[..., House],
) -> None:
    house = make_house(engines={"devices": ("cpu", "cpu")}).start()
    house.gate.clear()
    body = {"prompt": "a cat", "width": 16, "height": 16, "steps": 2, "seed": 1}
    app, running = house.client.application, house.runtime.jobs.active
    with ThreadPoolExecutor(2) as pool, house.runtime.jobs.bus.subscribe() as mailbox:
        calls = []
        for number in (1, 2):
            calls.append(pool.submit(app.test_client().post, "/sdapi/v1/txt2img", json=body))
            while len(running.all()) < number:
                assert mailbox.get(PATIENCE_SECONDS) is not None
        jobs = [active.job.id for active in running.all()]
        house.client.post("/sdapi/v1/interrupt")
        house.gate.set()
        assert [call.result(PATIENCE_SECONDS).status_code for call in calls] == [200, 200]
    assert [house.finished(job_id)["status"] for job_id in jobs] == ["cancelled", "completed"]
