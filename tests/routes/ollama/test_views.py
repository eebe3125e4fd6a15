"""Ollama's dialect, through Ollama's own client where that can say it."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from ollama import Client, ResponseError
from PIL import Image

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.engine.protocol import RunJob
from sdcpp_rest.runtime import DEMO_MODEL
from tests.cases import for_each_case
from tests.routes.conftest import PATIENCE_SECONDS, House, ServedHouse, make_config
from tests.services.conftest import copy_demo, png_text

SMALL: dict[str, Any] = {"model": "demo_dit_q8_0", "prompt": "a red circle", "width": 64, "height": 64, "steps": 3}


@pytest.fixture(scope="module")
def shared_served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHouse]:
    served = ServedHouse(House(make_config(tmp_path_factory.mktemp("ollama"))))
    yield served.start()
    served.stop()


@pytest.fixture
def ollama(shared_served: ServedHouse) -> Iterator[Client]:
    client = Client(shared_served.url, timeout=PATIENCE_SECONDS)
    yield client
    client._client.close()


def picture_of(text: str | None) -> Image.Image:
    assert text
    return Image.open(io.BytesIO(base64.b64decode(text, validate=True)))


def newest(house: House) -> Any:
    (job,) = house.runtime.jobs.queue.list(limit=1)
    return job


def test_its_client_is_told_every_step_and_has_the_picture(ollama: Client) -> None:
    lines = list(ollama.generate(**SMALL, options={"seed": 77}, stream=True))
    assert [(line.completed, line.total) for line in lines[:-1]][-1] == (3, 3)
    assert all(not line.done for line in lines[:-1])
    last = lines[-1]
    assert (last.done, last.done_reason, last.response) == (True, "stop", "")
    assert last.total_duration
    picture = picture_of(last.image)
    assert (picture.format, picture.size) == ("PNG", (64, 64))
    assert "Seed: 77" in picture.info["parameters"]


def test_without_a_stream_the_picture_comes_at_once(ollama: Client) -> None:
    made = ollama.generate(**{**SMALL, "model": "demo_dit_q8_0:latest"}, stream=False)
    assert (made.model, made.done) == ("demo_dit_q8_0:latest", True)
    assert picture_of(made.image).size == (64, 64)


def test_what_is_left_out_is_the_models_own(house: House) -> None:
    answer = house.client.post("/api/generate", json={"prompt": "x", "width": 0, "steps": 0, "stream": False})
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["model"] == DEMO_MODEL
    drawn = newest(house).params
    usual = house.client.post("/txt2img", json={"prompt": "x"}).get_json()
    house.finished(usual["job_id"])
    params = house.runtime.jobs.queue.get(usual["job_id"]).params
    assert (drawn["width"], drawn["height"], drawn["steps"]) == (params["width"], params["height"], params["steps"])


@for_each_case("keep_alive", [0, "0", "0s"])
def test_a_model_that_is_not_freed_after_a_picture_is_told(shared_client: FlaskClient, keep_alive: Any) -> None:
    shown = shared_client.post("/api/generate", json={**SMALL, "stream": False, "keep_alive": keep_alive}).get_json()
    assert shown["warnings"] == ["keep_alive was ignored: the model stays until another one takes its place."]


def test_a_picture_is_edited(ollama: Client, shared_served: ServedHouse) -> None:
    made = ollama.generate(**SMALL, images=[png_text(64, 64), png_text(8, 8)], stream=False)
    assert picture_of(made.image).size == (64, 64)
    job = newest(shared_served.house)
    assert (job.kind, job.origin) == ("img2img", "ollama")
    assert "Only the first of 2 images was used" in job.warnings[0]


def test_models_are_listed_and_described(ollama: Client) -> None:
    (model,) = ollama.list().models
    assert (model.model, model.details.format if model.details else None) == (DEMO_MODEL, "gguf")
    assert model.modified_at is not None
    shown = ollama.show("demo_dit_q8_0")
    assert shown.capabilities == ["image"]
    assert shown.modelinfo is not None
    assert shown.modelinfo["general.parameter_count"] > 1000
    (running,) = ollama.ps().models
    assert running.name == DEMO_MODEL


def test_the_version_is_one_that_draws(shared_client: FlaskClient) -> None:
    assert shared_client.get("/api/version").get_json() == {"version": "0.14.0"}


def test_an_empty_prompt_loads_the_model_and_no_keep_alive_frees_it(make_house: Callable[..., House]) -> None:
    house = make_house()
    copy_demo(house.config, "other.gguf")
    house.start()
    for model, left in (("other", [DEMO_MODEL]), ("demo_dit_q8_0", [])):
        freed = house.client.post("/api/generate", json={"model": model, "keep_alive": 0})
        assert freed.get_json()["done_reason"] == "unload"
        assert [one["name"] for one in house.client.get("/api/ps").get_json()["models"]] == left, "the named one alone"
    assert house.finished(house.submit())["status"] == "completed", "it is still the selected one"
    loaded = house.client.post("/api/generate", json={"model": "other"})
    assert (loaded.get_json()["done"], loaded.get_json()["done_reason"]) == (True, "load")
    assert [one["name"] for one in house.client.get("/api/ps").get_json()["models"]] == ["other.gguf"]


@for_each_case(
    ("change", "status", "words"),
    [
        ({"model": "llama3"}, 404, "model 'llama3' not found"),
        ({"model": "../../etc/passwd"}, 400, "model: '../../etc/passwd' leads out of the model folders"),
        ({"model": "demo_dit_q8"}, 404, "did you mean demo_dit_q8_0.gguf"),
        ({"model": 5}, 400, "model must be a string"),
        ({"prompt": ["x"]}, 400, "prompt must be a string"),
        ({"width": -5}, 400, "width must be"),
        ({"width": 10**9}, 400, "width must be"),
        ({"steps": 10**9}, 400, "steps must be"),
        ({"steps": "many"}, 400, "steps must be"),
        ({"options": {"seed": "x"}}, 400, "seed must be"),
        ({"images": ["nothing"]}, 400, "images[0]"),
        ({"images": "x"}, 400, "images must be"),
        ({"prompt": "x" * 100_000}, 400, "prompt"),
    ],
)
@pytest.mark.parametrize("is_stream", [True, False])
def test_bad_requests_are_refused_by_name(
    shared_client: FlaskClient, change: dict[str, Any], status: int, words: str, is_stream: bool
) -> None:
    answer = shared_client.post("/api/generate", json={**SMALL, "stream": is_stream, **change})
    assert answer.status_code == status, answer.text
    assert answer.get_json().keys() == {"error"}
    assert words in answer.get_json()["error"]


@for_each_case("path", ["/api/chat", "/api/embed", "/api/pull"])
def test_what_is_only_text_is_501(shared_client: FlaskClient, path: str) -> None:
    answer = shared_client.post(path, json={"model": "x", "messages": []})
    assert (answer.status_code, list(answer.get_json())) == (501, ["error"])


def test_its_client_raises_what_is_wrong(ollama: Client) -> None:
    with pytest.raises(ResponseError, match="not found") as refused:
        ollama.show("llama3")
    assert refused.value.status_code == 404
    with pytest.raises(ResponseError, match="writes no text"):
        ollama.chat("demo_dit_q8_0", [{"role": "user", "content": "x"}])
    with pytest.raises(ResponseError, match=r"."):
        list(ollama.generate(**{**SMALL, "prompt": "fake:fail"}, stream=True))


def test_who_leaves_a_stream_takes_the_job_along(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served(queue={"abandoned_grace_seconds": 0})
    response = served.post("/api/generate", json={**SMALL, "prompt": "fake:hold", "steps": 9}, stream=True)
    assert served.house.running.wait(PATIENCE_SECONDS)
    job = newest(served.house)
    response.close()
    assert served.runtime.jobs.queue.wait(job.id, PATIENCE_SECONDS).status == "cancelled"


def test_lines_come_one_by_one(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served()
    steps: list[int] = []

    def note(command: RunJob, step: int) -> None:
        steps.append(step)

    served.house._on_step = note  # type: ignore[method-assign]
    response = served.post("/api/generate", json=SMALL, stream=True)
    assert response.headers["Content-Type"].startswith("application/x-ndjson")
    told = [json.loads(line) for line in response.iter_lines()]
    assert [line.get("completed") for line in told[:-1]] == sorted({line["completed"] for line in told[:-1]})
    assert told[-1]["image"]


def test_routes_of_swarmui_are_left_to_it(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served()
    assert "session_id" in served.post("/api/getnewsession", json={}).json()
    assert served.get("/api/tags").json()["models"]


def test_a_model_is_named_as_the_spec_is(house: House) -> None:
    house.client.post("/api/generate", json={**SMALL, "stream": False})
    spec = newest(house).load_spec
    assert isinstance(spec, LoadSpec)
    assert spec.model.name == DEMO_MODEL
