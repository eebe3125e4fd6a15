from __future__ import annotations

import inspect
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from sdcpp_rest import errors
from sdcpp_rest.engine.protocol import RunJob
from sdcpp_rest.errors import NotFound, SdcppRestError
from sdcpp_rest.routes.comfyui.errors import COMFY_ERROR
from sdcpp_rest.routes.dialects import DialectTable
from sdcpp_rest.routes.http.dialect import NATIVE_ERROR, Dialect, ErrorShape, speak
from sdcpp_rest.routes.ollama.errors import OLLAMA_ERROR
from sdcpp_rest.routes.openai.errors import OPENAI_ERROR
from sdcpp_rest.routes.sdcn.errors import SDCN_API_ERROR, SDCN_ERROR, SDCN_INTERROGATE_ERROR
from sdcpp_rest.routes.sdserver.errors import SD_SERVER_ERROR
from sdcpp_rest.runtime import DEMO_MODEL
from sdcpp_rest.web.app import DIALECTS
from tests.cases import for_each_case
from tests.routes.conftest import PATIENCE_SECONDS, House

TABLE = DialectTable(DIALECTS)
CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, SdcppRestError)]
PATHS = {
    NATIVE_ERROR: "/txt2img",
    OPENAI_ERROR: "/v1/images/edits",
    SDCN_API_ERROR: "/api/sd/txt2img",
    SDCN_INTERROGATE_ERROR: "/interrogate",
    SD_SERVER_ERROR: "/sdcpp/v1/img_gen",
    OLLAMA_ERROR: "/api/generate",
    COMFY_ERROR: "/prompt",
}

# Calls that wait for pictures, one for each dialect that has such.
WAITING: list[tuple[str, dict[str, Any]]] = [
    ("/sdapi/v1/txt2img", {"width": 16, "height": 16, "steps": 2}),
    ("/v1/images/generations", {"size": "64x64", "steps": 2, "response_format": "b64_json"}),
    ("/txt2img", {"model": DEMO_MODEL, "width": 64, "height": 64, "steps": 2}),
    ("/api/sd/txt2img", {"model": DEMO_MODEL, "width": 64, "height": 64, "steps": 2}),
    ("/api/generate", {"model": DEMO_MODEL, "width": 64, "height": 64, "steps": 2, "stream": False}),
]


@for_each_case(
    ("path", "shape"),
    [
        ("/v1", OPENAI_ERROR),
        ("/v1/", OPENAI_ERROR),
        ("/v1/models", OPENAI_ERROR),
        ("/v10", NATIVE_ERROR),
        ("/api/sd/x", SDCN_API_ERROR),
        ("/api/sdx", NATIVE_ERROR),
        ("/interrogate", SDCN_INTERROGATE_ERROR),
        ("/api/prompt", COMFY_ERROR),
        ("/history/x", COMFY_ERROR),
        ("/queue", NATIVE_ERROR),
        ("/models/x", NATIVE_ERROR),
        ("/txt2img", NATIVE_ERROR),
        ("/", NATIVE_ERROR),
        ("", NATIVE_ERROR),
    ],
)
def test_a_path_tells_the_shape_of_its_errors(path: str, shape: ErrorShape) -> None:
    assert TABLE.shape_of(path) is shape


@for_each_case("kind", CLASSES, ids=lambda kind: kind.__name__)
@for_each_case("shape", [*PATHS, SDCN_ERROR], ids=lambda shape: shape.name)
def test_every_error_has_its_shape_in_every_dialect(shape: ErrorShape, kind: type[SdcppRestError]) -> None:
    app = Flask("x")
    with app.test_request_context("/txt2img"):
        speak(shape)
        status, headers, body = TABLE.render_error("/txt2img", kind("told so", field="steps", error_id="abcd"))
    shape.refusal.model_validate(json.loads(body))
    assert b"told so" in body
    assert 400 <= status < 600
    assert (dict(headers).get("Retry-After") == "1") == (kind.status in (429, 503))
    if shape in PATHS:
        assert (status, headers, body) == TABLE.render_error(
            PATHS[shape], kind("told so", field="steps", error_id="abcd")
        )


def test_the_view_decides_where_two_share_a_path() -> None:
    app = Flask("x")
    with app.test_request_context("/txt2img"):
        assert "error" in json.loads(TABLE.render_error("/txt2img", NotFound("no"))[2])
        speak(SDCN_ERROR)
        assert "msg" in json.loads(TABLE.render_error("/txt2img", NotFound("no"))[2])


def test_a_picture_that_failed_is_not_to_be_tried_again() -> None:
    for kind in CLASSES:
        headers = dict(TABLE.render_error("/v1/images/edits", kind("no"))[1])
        assert ("x-should-retry" in headers) == (kind.status not in (429, 503))


def test_two_dialects_cannot_have_the_same_place() -> None:
    first = Dialect("first", error_shapes={"/x": OPENAI_ERROR})
    with pytest.raises(ValueError, match="two dialects have errors at /x"):
        DialectTable([first, Dialect("second", error_shapes={"/x": SDCN_ERROR})])


def test_the_longest_path_decides() -> None:
    above, below = Dialect("a", error_shapes={"/x": OPENAI_ERROR}), Dialect("b", error_shapes={"/x/y": SDCN_ERROR})
    table = DialectTable([above, below])
    assert table.shape_of("/x/y/z") is SDCN_ERROR
    assert table.shape_of("/x/z") is OPENAI_ERROR
    assert table.dialect_of("/x/y") is below


@pytest.mark.parametrize(("path", "body"), WAITING)
def test_an_engine_that_ends_is_503_in_every_dialect(house: House, path: str, body: dict[str, Any]) -> None:
    answer = house.client.post(path, json={**body, "prompt": "fake:die"})
    assert answer.status_code == 503, answer.text
    (job,) = house.runtime.jobs.queue.list(limit=1)
    assert job.error_code == "engine_crashed"


@pytest.mark.parametrize(("path", "body"), WAITING)
def test_a_server_that_stops_leaves_the_jobs_of_every_dialect(house: House, path: str, body: dict[str, Any]) -> None:
    house.runtime.jobs.queue.pause()
    statuses: list[int] = []
    caller = threading.Thread(
        target=lambda: statuses.append(house.client.post(path, json={**body, "prompt": "a cat"}).status_code)
    )
    with house.runtime.jobs.bus.subscribe() as mailbox:
        caller.start()
        assert mailbox.get(PATIENCE_SECONDS) is not None, "no job was submitted"
        house.runtime.begin_stop()
        caller.join(PATIENCE_SECONDS)
    assert statuses == [503]
    assert house.runtime.jobs.queue.counts()["pending"] == 1


def test_a_stop_of_anybodys_work_keeps_the_finished_pictures(make_house: Callable[..., House]) -> None:
    house = make_house(interrupt={"scope": "global"}).start()
    jobs: list[str] = []
    at_second, go_on = threading.Event(), threading.Event()

    def on_step(command: RunJob, step: int) -> None:
        if command.job_id not in jobs:
            jobs.append(command.job_id)
        if len(jobs) == 2:
            at_second.set()
            assert go_on.wait(PATIENCE_SECONDS)

    house._on_step = on_step  # type: ignore[method-assign]
    path, body = WAITING[1]
    answers: list[Any] = []
    asked = {**body, "prompt": "a cat", "n": 3, "seed": 7}
    caller = threading.Thread(target=lambda: answers.append(house.client.post(path, json=asked)))
    caller.start()
    assert at_second.wait(PATIENCE_SECONDS)
    state = house.client.get("/sdapi/v1/progress").get_json()["state"]
    assert (state["job"], state["job_count"]) == ("Batch 2 out of 3", 3)
    house.client.post("/sdapi/v1/interrupt")
    go_on.set()
    caller.join(PATIENCE_SECONDS)
    assert [one["seed"] for one in answers[0].get_json()["data"]] == [7]
    assert house.runtime.jobs.queue.counts()["pending"] == 0
