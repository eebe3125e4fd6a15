from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.core.events import JobAdded
from sdcpp_rest.engine.protocol import RunJob
from tests.routes.a1111.pictures import SMALL, got, plain, told
from tests.routes.a1111.scripts.calls import plot_args, run, statuses
from tests.routes.conftest import PATIENCE_SECONDS, House

TILE = {"width": 64, "height": 64}


class Script:
    """A call of a script that stands still in its job number ``job``, until it is let go."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.reached, self.go_on = threading.Event(), threading.Event()
        self._stop_at = 0
        self._jobs: list[str] = []
        self._pool = ThreadPoolExecutor(1)
        house._on_step = self._on_step  # type: ignore[method-assign]

    def _on_step(self, command: RunJob, step: int) -> None:
        if command.job_id not in self._jobs:
            self._jobs.append(command.job_id)
            if len(self._jobs) == self._stop_at:
                self.reached.set()
                assert self.go_on.wait(PATIENCE_SECONDS)

    def begin(self, job: int, path: str, name: str, args: list[Any], **fields: Any) -> Future[dict[str, Any]]:
        self._stop_at = job
        future = self.call(path, name, args, **fields)
        assert self.reached.wait(PATIENCE_SECONDS)
        return future

    def call(self, path: str, name: str, args: list[Any], **fields: Any) -> Future[dict[str, Any]]:
        client = self.house.client.application.test_client()
        return self._pool.submit(lambda: run(client, path, name, args, **fields))

    def end(self, future: Future[dict[str, Any]]) -> dict[str, Any]:
        self.go_on.set()
        return future.result(PATIENCE_SECONDS)


@pytest.fixture
def script(house: House) -> Iterator[Script]:
    script = Script(house)
    yield script
    script.go_on.set()


def test_progress_covers_all_pictures(script: Script, client: FlaskClient) -> None:
    future = script.begin(3, "txt2img", "x/y/z plot", plot_args(x_type=1, x_values="1-4"), force_task_id="plot")
    seen = client.get("/sdapi/v1/progress").get_json()
    assert (seen["state"]["job"], seen["state"]["job_count"], seen["state"]["job_no"]) == ("Batch 3 out of 4", 4, 2)
    assert seen["progress"] == pytest.approx(0.51, abs=0.01)
    assert client.post("/internal/progress", json={"id_task": "plot"}).get_json()["active"] is True
    script.end(future)
    assert client.get("/sdapi/v1/progress").get_json()["state"]["job_count"] == 0
    assert client.post("/internal/progress", json={"id_task": "plot"}).get_json()["completed"] is True


def test_an_interrupt_stops_a_plot_and_its_grid_has_what_is_finished(
    script: Script, house: House, client: FlaskClient
) -> None:
    args = plot_args(x_type=1, x_values="1-4", draw_legend=False, include_lone_images=True)
    future = script.begin(3, "txt2img", "x/y/z plot", args)
    client.post("/sdapi/v1/interrupt")
    body = script.end(future)
    grid, *pictures = [got(text) for text in body["images"]]
    assert grid.size == (64, 16)
    assert grid.crop((0, 0, 16, 16)).tobytes() == pictures[0].convert("RGB").tobytes()
    assert grid.crop((48, 0, 64, 16)).getcolors() == [(256, (0, 0, 0))]
    assert told(body)["all_seeds"][:2] == [1, 2]
    assert len(told(body)["all_seeds"]) == len(pictures) < 4
    assert statuses(house) == ["cancelled", "cancelled", "completed", "completed"]


def test_skip_leaves_one_cell_out(script: Script, house: House, client: FlaskClient) -> None:
    args = plot_args(x_type=1, x_values="1-3", draw_legend=False, include_lone_images=True)
    future = script.begin(2, "txt2img", "x/y/z plot", args)
    client.post("/sdapi/v1/skip")
    body = script.end(future)
    assert told(body)["all_seeds"][-1] == 3
    assert statuses(house) == ["cancelled", "completed", "completed"]


def test_an_interrupt_stops_a_matrix(script: Script, client: FlaskClient) -> None:
    future = script.begin(2, "txt2img", "prompt matrix", [False, False, "positive", "comma", 0], prompt="a|b|c")
    client.post("/sdapi/v1/interrupt")
    body = script.end(future)
    assert told(body)["all_prompts"][0] == "a"
    assert 1 <= len(told(body)["all_prompts"]) < 3
    assert len(body["images"]) == len(told(body)["all_prompts"]) + 1


def test_an_interrupt_stops_a_loopback(script: Script, house: House, client: FlaskClient) -> None:
    future = script.begin(
        3, "img2img", "loopback", [4, 0.5, "Linear", "None"], init_images=[plain()], n_iter=2
    )  # fmt: skip
    state = client.get("/sdapi/v1/progress").get_json()["state"]
    assert (state["job_count"], state["job_no"]) == (8, 2)
    client.post("/sdapi/v1/interrupt")
    body = script.end(future)
    assert body["images"] == []
    assert statuses(house) == ["cancelled", "completed", "completed"], "nothing more is submitted"


def test_a_skipped_loop_ends_its_run_alone(script: Script, house: House, client: FlaskClient) -> None:
    future = script.begin(2, "img2img", "loopback", [2, 0.5, "Linear", "None"], init_images=[plain()], n_iter=2)
    client.post("/sdapi/v1/skip")
    info = told(script.end(future))
    assert info["all_seeds"] == [10]
    assert statuses(house) == ["cancelled", "completed", "completed", "completed"]


def test_tiles_that_were_not_drawn_stay_as_they_were_enlarged(script: Script, client: FlaskClient) -> None:
    args = ["", 0, "Nearest", 2.0]
    future = script.begin(2, "img2img", "sd upscale", args, init_images=[plain("red", (64, 32))], n_iter=2, **TILE)
    client.post("/sdapi/v1/interrupt")
    body = script.end(future)
    (picture,) = [got(text).convert("RGB") for text in body["images"]]
    assert picture.size == (128, 64)
    assert [picture.getpixel((x, 30)) == (255, 0, 0) for x in (10, 100)] == [False, True]


def test_an_interrupt_while_the_picture_is_enlarged(script: Script, house: House, client: FlaskClient) -> None:
    args, fields = ["", 8, "esrgan_x2", 2.0], {"init_images": [plain("red", (64, 64))], **TILE}
    house.runtime.jobs.queue.pause()
    with house.runtime.jobs.bus.subscribe() as mailbox:
        future = script.call("img2img", "sd upscale", args, **fields)
        while not isinstance(mailbox.get(PATIENCE_SECONDS), JobAdded):
            pass
    state = client.get("/sdapi/v1/progress").get_json()["state"]
    assert (state["job_count"], state["job_no"]) == (10, 0)
    client.post("/sdapi/v1/interrupt")
    body = future.result(PATIENCE_SECONDS)
    info = told(body)
    assert body["images"] == info["infotexts"] == []
    assert (info["seed"], info["width"]) == (7, 64)
    assert [(job.kind, job.status) for job in house.runtime.jobs.queue.list()] == [("upscale", "cancelled")]


def test_a_picture_that_fails_ends_the_script(house: House, client: FlaskClient) -> None:
    args = [False, False, "start", "a\nfake:fail\nfake:hold"]
    body = {**SMALL, "script_name": "prompts from file or textbox", "script_args": args}
    answer = client.post("/sdapi/v1/txt2img", json=body)
    assert answer.status_code == 500
    assert statuses(house) == ["cancelled", "completed", "failed"]


def test_the_request_is_told_back_as_it_was_sent(client: FlaskClient) -> None:
    args = plot_args(x_type=4, x_values="1,2")
    body = run(client, "txt2img", "X/Y/Z plot", args, n_iter=3)
    assert (body["parameters"]["script_name"], body["parameters"]["script_args"]) == ("X/Y/Z plot", args)
    assert body["parameters"]["n_iter"] == 3


def test_overrides_may_stay_after_a_script(client: FlaskClient) -> None:
    more = {"override_settings": {"samples_format": "webp"}, "override_settings_restore_afterwards": False}
    body = run(client, "txt2img", "x/y/z plot", plot_args(x_type=4, x_values="1,2"), **more)
    assert got(body["images"][0]).format == "WEBP"
    assert client.get("/sdapi/v1/options").get_json()["samples_format"] == "webp"


def test_a_grid_that_its_format_cannot_hold_is_a_png(client: FlaskClient) -> None:
    fields = {"override_settings": {"samples_format": "webp"}, "width": 2048, "height": 16}
    body = run(client, "txt2img", "x/y/z plot", plot_args(x_type=1, x_values="1-9", draw_legend=False), **fields)
    assert (got(body["images"][0]).format, got(body["images"][0]).size) == ("PNG", (18432, 16))


def test_a_text_gives_what_is_not_sent(client: FlaskClient) -> None:
    text = "a dog|red\nSteps: 3, Sampler: Heun, CFG scale: 2, Seed: 99, Size: 24x16"
    body = {"infotext": text, "script_name": "Prompt matrix", "script_args": [False, False, "positive", "comma", 0]}
    info = told(client.post("/sdapi/v1/txt2img", json=body).get_json())
    assert info["all_prompts"] == ["a dog", "a dog, red"]
    assert "Steps: 3, Sampler: Heun" in info["infotexts"][1]
    assert info["all_seeds"] == [99, 99]
