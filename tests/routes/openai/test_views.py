"""What goes over the wire, request by request: the shapes are checked by the client against the published schemas."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests
from flask.testing import FlaskClient
from PIL import Image

from sdcpp_rest.core.events import JobCancelled
from sdcpp_rest.core.presets import PRESETS
from sdcpp_rest.routes.openai.translate import TranslationContext, model_for, to_request
from sdcpp_rest.routes.openai.views import make_context
from sdcpp_rest.routes.openai.wire import EditWishes
from sdcpp_rest.services.models import architecture_presets
from tests.cases import for_each_case
from tests.routes.conftest import PATIENCE_SECONDS, House, ServedHouse
from tests.routes.openai.conftest import opened as picture_of
from tests.services.conftest import copy_demo

GENERATIONS, EDITS, VARIATIONS = (f"/v1/images/{name}" for name in ("generations", "edits", "variations"))
SMALL = {"prompt": "a cat", "size": "64x64", "steps": 2, "seed": 7, "response_format": "b64_json"}


def without_files(shown: dict[str, Any]) -> dict[str, Any]:
    """What can be compared: files and times left out."""
    pictures = [{name: value for name, value in one.items() if name != "b64_json"} for one in shown["data"]]
    return {**shown, "created": 0, "data": pictures}


def context_of(house: House) -> TranslationContext:
    with house.client.application.app_context():
        return make_context()


def form(picture: bytes, **fields: Any) -> dict[str, Any]:
    return {"image": (io.BytesIO(picture), "x.png"), **{name: str(value) for name, value in fields.items()}}


def test_the_golden_pair_of_generations(shared_client: FlaskClient) -> None:
    answer = shared_client.post(GENERATIONS, json={**SMALL, "n": 2, "background": "transparent", "stile": "x"})
    assert answer.status_code == 200, answer.text
    assert without_files(answer.get_json()) == {
        "created": 0,
        "data": [{"seed": 7}, {"seed": 8}],
        "background": "opaque",
        "output_format": "png",
        "quality": "medium",
        "size": "64x64",
        "usage": {
            "input_tokens": 2,
            "input_tokens_details": {"text_tokens": 2, "image_tokens": 0},
            "output_tokens": 32,
            "output_tokens_details": {"text_tokens": 0, "image_tokens": 32},
            "total_tokens": 34,
        },
        "warnings": [
            "unknown field 'stile' ignored; did you mean 'style'?",
            "background was ignored: pictures are opaque.",
        ],
    }
    assert answer.headers["X-Request-Id"]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (
            {},
            400,
            {
                "message": "Missing required parameter: 'prompt'",
                "type": "invalid_request_error",
                "param": "prompt",
                "code": "missing_required_parameter",
            },
        ),
        (
            {"prompt": "x", "n": 0},
            400,
            {
                "message": "n must be an integer between 1 and 10, got 0",
                "type": "invalid_request_error",
                "param": "n",
                "code": "invalid_value",
            },
        ),
        (
            {"prompt": "x", "size": "1024"},
            400,
            {
                "message": "size must be WIDTHxHEIGHT or auto, got '1024'",
                "type": "invalid_request_error",
                "param": "size",
                "code": "invalid_value",
            },
        ),
    ],
)
def test_the_golden_pairs_of_refusals(
    shared_client: FlaskClient, body: dict[str, Any], status: int, error: dict[str, Any]
) -> None:
    answer = shared_client.post(GENERATIONS, json=body)
    assert (answer.status_code, answer.get_json()) == (status, {"error": error})
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(("url", "prompt"), [(GENERATIONS, ""), (GENERATIONS, " \n"), (EDITS, "")])
def test_an_empty_prompt_is_refused(
    shared_client: FlaskClient, picture: Callable[..., bytes], url: str, prompt: str
) -> None:
    image = base64.b64encode(picture()).decode()
    answer = shared_client.post(url, json={**SMALL, "image": image, "prompt": prompt})
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, "prompt")


@for_each_case(
    "change",
    [
        {"n": "1"},
        {"size": "64*64"},
        {"size": "64X64"},
        {"size": "64\u00d764"},
        {"size": "auto", "width": "64", "height": 64},
        {"steps": None, "num_inference_steps": 12},
        {"seed": "42", "stream": "false"},
    ],
)
def test_the_spellings_of_neighbours_draw_the_same_picture(shared_client: FlaskClient, change: dict[str, Any]) -> None:
    plain = {**SMALL, "seed": 42, "steps": 12}
    first, second = (shared_client.post(GENERATIONS, json=body) for body in (plain, {**plain, **change}))
    assert second.status_code == 200, second.text
    assert second.get_json()["data"] == first.get_json()["data"]
    assert second.get_json().get("warnings") == first.get_json().get("warnings")


@pytest.mark.parametrize("spelt", ["jpg", "JPG", "image/jpeg"])
def test_jpg_is_jpeg(shared_client: FlaskClient, spelt: str) -> None:
    told = shared_client.post(GENERATIONS, json={**SMALL, "output_format": spelt}).get_json()
    assert told["output_format"] == "jpeg"
    assert picture_of(told["data"][0]["b64_json"]).format == "JPEG"


def test_the_paths_work_without_v1_and_so_do_their_errors(
    shared_client: FlaskClient, picture: Callable[..., bytes]
) -> None:
    image = base64.b64encode(picture()).decode()
    for url in (GENERATIONS, EDITS, VARIATIONS):
        short = url.removeprefix("/v1")
        body = SMALL if url == GENERATIONS else {**SMALL, "image": image}
        same = [shared_client.post(place, json=body) for place in (url, short)]
        assert [answer.status_code for answer in same] == [200, 200], same[1].text
        assert same[0].get_json()["data"] == same[1].get_json()["data"]
        assert shared_client.post(short, json={}).get_json()["error"]["type"] == "invalid_request_error"
        assert shared_client.get(short).get_json()["error"]["type"] == "invalid_request_error"
    assert shared_client.post("/images/nothing").get_json()["error"]["type"] == "invalid_request_error"


def test_equal_seeds_draw_equal_pictures(shared_client: FlaskClient) -> None:
    first, second = (shared_client.post(GENERATIONS, json={**SMALL, "n": 2}).get_json()["data"] for _ in range(2))
    assert first == second
    assert first[0]["b64_json"] != first[1]["b64_json"]


def test_a_body_is_read_whatever_its_content_type_says(shared_client: FlaskClient) -> None:
    for content_type in ("text/plain", "", "application/x-www-form-urlencoded"):
        answer = shared_client.post(GENERATIONS, data=json.dumps(SMALL), content_type=content_type)
        assert answer.status_code == 200


@for_each_case("raw", [b"{", b"[]", b"\xff", b'{"prompt":"x","prompt":"y"}'])
def test_what_is_no_json_object_is_refused(shared_client: FlaskClient, raw: bytes) -> None:
    answer = shared_client.post(GENERATIONS, data=raw)
    assert answer.status_code == 400
    assert answer.get_json()["error"]["type"] == "invalid_request_error"


def test_an_edit_comes_as_a_form_or_as_json(shared_client: FlaskClient, picture: Callable[..., bytes]) -> None:
    as_form = shared_client.post(EDITS, data=form(picture(), **SMALL, stream="false", cfg_scale="3"))
    text = base64.b64encode(picture()).decode()
    bodies = [{"image": text}, {"image": [text]}, {"images": [{"image_url": f"data:image/png;base64,{text}"}]}]
    answers = [as_form, *(shared_client.post(EDITS, json={**SMALL, "cfg_scale": 3, **body}) for body in bodies)]
    assert [answer.status_code for answer in answers] == 4 * [200], answers[0].text
    assert len({answer.get_json()["data"][0]["b64_json"] for answer in answers}) == 1
    assert answers[0].get_json()["usage"]["input_tokens_details"] == {"text_tokens": 2, "image_tokens": 16}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"image": (io.BytesIO(b"GIF89a, not"), "x.gif")}, "image"),
        ({"image": (io.BytesIO(b""), "x.png")}, "image"),
        ({"mask": (io.BytesIO(b"nothing"), "m.png")}, "mask"),
        ({"n": "many"}, "n"),
        ({"strength": "2"}, "strength"),
        ({"steps": "1.5"}, "steps"),
        ({"stream": "perhaps"}, "stream"),
        ({"size": "0x0"}, "width"),
    ],
)
def test_a_form_with_something_wrong_is_refused_by_name(
    shared_client: FlaskClient, picture: Callable[..., bytes], change: dict[str, Any], param: str
) -> None:
    answer = shared_client.post(EDITS, data={**form(picture(), prompt="x"), **change})
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, param), answer.text


@pytest.mark.parametrize(("url", "missing"), [(EDITS, "image"), (VARIATIONS, "image")])
def test_a_picture_is_required(shared_client: FlaskClient, url: str, missing: str) -> None:
    for sent in ({"json": {"prompt": "x"}}, {"data": {"prompt": "x"}, "content_type": "multipart/form-data"}):
        answer = shared_client.post(url, **sent)
        assert answer.status_code == 400
        assert answer.get_json()["error"]["param"] == missing


def test_a_large_prompt_fits_into_a_form(shared_client: FlaskClient, picture: Callable[..., bytes]) -> None:
    answer = shared_client.post(EDITS, data=form(picture(), **{**SMALL, "prompt": "é" * 9_000}))
    assert answer.status_code == 200, answer.text


def test_transparent_parts_of_a_mask_are_drawn_anew(house: House, picture: Callable[..., bytes]) -> None:
    half = Image.new("RGBA", (64, 64), (9, 9, 9, 255))
    half.paste((0, 0, 0, 0), (0, 0, 32, 64))
    mask = io.BytesIO()
    half.save(mask, "PNG")
    body = {**SMALL, "image": base64.b64encode(picture()).decode(), "mask": base64.b64encode(mask.getvalue()).decode()}
    assert house.client.post(EDITS, json=body).status_code == 200
    (job,) = house.runtime.jobs.queue.list(limit=1)
    assert (job.kind, job.params["strength"]) == ("img2img", 1.0)
    kept = Image.open(house.runtime.jobs.outputs.inputs_of(job.id) / job.inputs["mask_image"])
    assert (kept.getpixel((5, 5)), kept.getpixel((60, 5))) == (255, 0)


def test_the_first_models_take_a_picture_for_its_own_mask(house: House, picture: Callable[..., bytes]) -> None:
    image = base64.b64encode(picture(colour=(255, 0, 0, 0))).decode()
    for model, roles in (("dall-e-2", {"init_image", "mask_image"}), ("gpt-image-1", {"init_image"})):
        assert house.client.post(EDITS, json={**SMALL, "image": image, "model": model}).status_code == 200
        (job,) = house.runtime.jobs.queue.list(limit=1)
        assert job.inputs.keys() == roles


def test_models_that_edit_are_shown_the_pictures(
    house: House, picture: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PRESETS.keys() >= architecture_presets._EDITORS
    monkeypatch.setattr(architecture_presets, "_EDITORS", frozenset({"Ovis-Image"}))
    text = base64.b64encode(picture()).decode()
    asked = to_request(EditWishes(prompt="x", image=[text, text]), context_of(house)).request
    assert (asked.kind, sorted(asked.images)) == ("txt2img", ["ref_images.0", "ref_images.1"])
    masked = to_request(EditWishes(prompt="x", image=[text, text], mask=text), context_of(house)).request
    assert (masked.kind, sorted(masked.images)) == ("img2img", ["init_image", "mask_image", "ref_images.0"])


def test_a_name_that_nobody_knows_is_the_selected_model(make_house: Callable[..., House]) -> None:
    house = make_house(openai={"model_aliases": {"dall-e-3": "other", "dall-e-2": "nowhere"}})
    copy_demo(house.config, "other.gguf")
    house.start()
    selected = house.runtime.models.slot.selected
    for name in ("", "gpt-image-1", "../../etc/passwd", "a/b:c", "demo_dit_q8_0"):
        assert model_for(name, context_of(house)) == selected, name
    for name in ("other", "other.gguf", "dall-e-3"):
        assert model_for(name, context_of(house)).model.name == "other.gguf"
    answer = house.client.post(GENERATIONS, json={**SMALL, "model": "dall-e-2"})
    assert answer.status_code == 404
    assert answer.get_json()["error"]["param"] == "model"
    assert [one["id"] for one in house.client.get("/v1/models").get_json()["data"]] == [
        "demo_dit_q8_0.gguf",
        "other.gguf",
        "dall-e-3",
        "dall-e-2",
    ]
    assert house.client.get("/v1/models/dall-e-3").get_json()["id"] == "dall-e-3"


def test_the_model_that_is_named_draws_and_the_selected_one_stays(make_house: Callable[..., House]) -> None:
    house = make_house()
    copy_demo(house.config, "other.gguf")
    house.start()
    assert house.client.post(GENERATIONS, json={**SMALL, "model": "other"}).status_code == 200
    (job,) = house.runtime.jobs.queue.list(limit=1)
    assert (job.model_name, job.origin) == ("other.gguf", "openai")
    assert house.client.get("/health").get_json()["selected_model_name"] == "demo_dit_q8_0.gguf"


def test_without_a_model_nothing_is_drawn(make_house: Callable[..., House]) -> None:
    house = make_house(models={"include_demo": False})
    house.runtime.start()
    answer = house.client.post(GENERATIONS, json=SMALL)
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (400, "no_model_loaded")


def test_a_full_queue_takes_none_of_several_pictures(make_house: Callable[..., House]) -> None:
    house = make_house(limits={"pending_jobs": 2})
    house.start()
    house.gate.clear()
    house.submit()
    assert house.running.wait(PATIENCE_SECONDS)
    answer = house.client.post(GENERATIONS, json={**SMALL, "n": 3})
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert "x-should-retry" not in answer.headers
    assert house.runtime.jobs.queue.counts()["pending"] == 0


def test_who_cancels_the_rest_leaves_the_finished_pictures(house: House) -> None:
    house.gate.clear()
    answers: list[Any] = []
    caller = threading.Thread(target=lambda: answers.append(house.client.post(GENERATIONS, json={**SMALL, "n": 2})))
    caller.start()
    assert house.running.wait(PATIENCE_SECONDS)
    pending: list[Any] = []
    while not pending:
        pending = house.runtime.jobs.queue.list(status={"pending"})
    house.runtime.jobs.queue.cancel(pending[0].id)
    house.gate.set()
    caller.join(PATIENCE_SECONDS)
    assert [one["seed"] for one in answers[0].get_json()["data"]] == [7]


def test_pictures_that_were_all_cancelled_are_a_conflict(house: House) -> None:
    house.gate.clear()
    answers: list[Any] = []
    caller = threading.Thread(target=lambda: answers.append(house.client.post(GENERATIONS, json=SMALL)))
    caller.start()
    assert house.running.wait(PATIENCE_SECONDS)
    (job,) = house.runtime.jobs.queue.list(limit=1)
    house.runtime.jobs.queue.cancel(job.id)
    house.gate.set()
    caller.join(PATIENCE_SECONDS)
    assert answers[0].status_code == 409


@for_each_case("name", ["image_0.exe", "image_7.png", "config.json", "..%2Fimage_0.png", "image_0.png%00", ".spool"])
def test_links_lead_to_pictures_only(shared_client: FlaskClient, name: str) -> None:
    url = shared_client.post(GENERATIONS, json={**SMALL, "response_format": "url", "output_format": "jpeg"})
    path = url.get_json()["data"][0]["url"].removeprefix("http://localhost").partition("?")[0]
    assert shared_client.get(path).mimetype == "image/jpeg"
    assert shared_client.get(path.rpartition("/")[0] + "/" + name).status_code == 404


# --- streams --------------------------------------------------------------------------------------------------------


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith(":")]
        if lines:
            assert lines[0].startswith("event: ")
            assert lines[1].startswith("data: ")
            found.append((lines[0][7:], json.loads(lines[1][6:])))
    return found


@pytest.mark.usefixtures("frequent_previews")
def test_the_golden_pair_of_a_stream(served: ServedHouse) -> None:
    body = {**SMALL, "stream": True, "partial_images": 1, "prompt": "fake:step=0.03", "output_format": "webp"}
    answer = served.post(GENERATIONS, json=body)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    (first, partial), (last, completed) = events_of(answer.text)
    for shown in (partial, completed):
        assert shown.pop("b64_json")
        assert shown.pop("created_at") > 1_500_000_000
    shared = {"size": "64x64", "quality": "medium", "background": "opaque", "output_format": "webp"}
    assert (first, partial) == (
        "image_generation.partial_image",
        {"type": "image_generation.partial_image", **shared, "partial_image_index": 0},
    )
    assert completed.pop("usage")["total_tokens"] == 20
    assert (last, completed) == ("image_generation.completed", {"type": "image_generation.completed", **shared})


def test_a_stream_that_fails_says_why_and_ends(served: ServedHouse) -> None:
    answer = served.post(GENERATIONS, json={**SMALL, "stream": True, "prompt": "fake:fail", "n": 2})
    assert answer.status_code == 200
    ((name, shown),) = events_of(answer.text)
    assert (name, shown["type"]) == ("error", "error")
    assert shown["error"] == {
        "message": "asked to fail",
        "type": "server_error",
        "param": None,
        "code": "generation_failed",
    }


def test_a_blank_picture_is_an_error_with_a_code_of_its_own(served: ServedHouse) -> None:
    answer = served.post(GENERATIONS, json={**SMALL, "prompt": "fake:blank"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["message"]) == (500, "picture_is_blank", "asked to be blank")
    assert answer.headers["x-should-retry"] == "false"


def test_a_picture_without_memory_is_a_507_that_is_not_tried_again(served: ServedHouse) -> None:
    answer = served.post(GENERATIONS, json={**SMALL, "prompt": "fake:hungry"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (507, "out_of_memory")
    assert answer.headers["x-should-retry"] == "false"


def test_who_leaves_a_stream_takes_the_jobs_along(make_served: Callable[..., ServedHouse]) -> None:
    # Nothing moves while the gate is closed: the next thing the stream hears of is the heartbeat.
    served = make_served(events={"heartbeat_seconds": 0.05})
    served.house.gate.clear()
    with served.runtime.jobs.bus.subscribe() as mailbox:
        body = {**SMALL, "stream": True, "n": 2}
        answer = requests.post(served.url + GENERATIONS, json=body, stream=True, timeout=PATIENCE_SECONDS)
        assert served.house.running.wait(PATIENCE_SECONDS)
        answer.close()
        cancelled = set()
        while len(cancelled) < 2:
            event = mailbox.get(PATIENCE_SECONDS)
            assert event is not None, "the jobs were not cancelled"
            served.house.gate.set() if cancelled else None
            if isinstance(event, JobCancelled):
                cancelled.add(event.job_id)
    assert served.runtime.jobs.queue.counts()["cancelled"] == 2


def test_a_server_that_stops_ends_its_streams_with_a_reason(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served()
    served.house.gate.clear()
    texts: list[str] = []
    body = {**SMALL, "stream": True}
    caller = threading.Thread(target=lambda: texts.append(served.post(GENERATIONS, json=body).text))
    caller.start()
    assert served.house.running.wait(PATIENCE_SECONDS)
    served.runtime.begin_stop()
    caller.join(PATIENCE_SECONDS)
    ((name, shown),) = events_of(texts[0])
    assert (name, shown["error"]["code"]) == ("error", "engine_unavailable")


def test_arguments_in_the_prompt_are_fields_and_no_words(
    shared_client: FlaskClient, picture: Callable[..., bytes]
) -> None:
    tag = '<sd_cpp_extra_args>{"seed": 42, "sample_params": {"sample_steps": 3}, "x": 1}</sd_cpp_extra_args>'
    image = base64.b64encode(picture()).decode()
    for url in (GENERATIONS, EDITS, VARIATIONS):
        more = {} if url == GENERATIONS else {"image": image}
        wanted = shared_client.post(url, json={**SMALL, **more, "seed": 42, "steps": 3}).get_json()
        made = shared_client.post(url, json={**SMALL, **more, "prompt": f"{SMALL['prompt']} {tag}"}).get_json()
        assert made["data"] == wanted["data"]
        assert made["data"][0]["seed"] == 42
        assert "sd_cpp_extra_args.x was ignored." in made["warnings"]
    for prompt in (tag, "x <sd_cpp_extra_args>{</sd_cpp_extra_args>"):
        answer = shared_client.post(GENERATIONS, json={**SMALL, "prompt": prompt})
        assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, "prompt")
