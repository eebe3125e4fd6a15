"""Pictures by chat completions."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from openai import OpenAI
from PIL import Image

from tests.cases import for_each_case
from tests.routes.conftest import PATIENCE_SECONDS, House, ServedHouse

CHAT = "/v1/chat/completions"
ASKED = [{"role": "user", "content": "a red circle"}]
SMALL: dict[str, Any] = {"messages": ASKED, "modalities": ["image", "text"], "size": "64x64", "seed": 5, "steps": 2}


def picture_of(image: dict[str, Any]) -> Image.Image:
    assert image["type"] == "image_url"
    head, _, data = image["image_url"]["url"].partition(",")
    picture = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
    assert head == f"data:{picture.get_format_mimetype()};base64"  # type: ignore[attr-defined]
    return picture


def test_a_conversation_is_answered_with_a_picture(house: House) -> None:
    earlier = [{"role": "system", "content": "be nice"}, {"role": "user", "content": "a cat"}]
    answer = house.client.post(
        CHAT, json={**SMALL, "messages": [*earlier, {"role": "assistant", "content": "no"}, *ASKED], "temperature": 0.7}
    )
    assert answer.status_code == 200, answer.text
    shown = answer.get_json()
    (choice,) = shown["choices"]
    assert (choice["index"], choice["finish_reason"], choice["message"]["content"]) == (0, "stop", "")
    (image,) = choice["message"]["images"]
    assert picture_of(image).size == (64, 64)
    assert picture_of(image).text["parameters"].startswith("a red circle\n")  # type: ignore[attr-defined]
    assert shown["model"] == "demo_dit_q8_0.gguf"
    assert shown["usage"]["total_tokens"] == shown["usage"]["prompt_tokens"] + shown["usage"]["completion_tokens"]
    assert "warnings" not in shown


def test_several_pictures_are_several_choices_of_the_wanted_format(house: House) -> None:
    shown = house.client.post(CHAT, json={**SMALL, "n": 2, "output_format": "webp"}).get_json()
    assert [choice["index"] for choice in shown["choices"]] == [0, 1]
    assert [picture_of(choice["message"]["images"][0]).format for choice in shown["choices"]] == ["WEBP"] * 2


def test_pictures_of_the_message_are_edited(house: House, picture: Callable[..., bytes]) -> None:
    url = "data:image/png;base64," + base64.b64encode(picture()).decode()
    parts = [{"type": "text", "text": "make it"}, {"type": "image_url", "image_url": {"url": url}}]
    parts.append({"type": "text", "text": "blue"})
    answer = house.client.post(CHAT, json={**SMALL, "messages": [{"role": "user", "content": parts}]})
    assert answer.status_code == 200, answer.text
    (job,) = house.runtime.jobs.queue.list(limit=1)
    assert (job.kind, job.params["prompt"]) == ("img2img", "make it\nblue")


def test_proportions_are_those_that_are_asked_for(house: House) -> None:
    shown = house.client.post(
        CHAT, json={**SMALL, "size": None, "image_config": {"aspect_ratio": "2:1", "image_size": "1K"}}
    ).get_json()
    width, height = picture_of(shown["choices"][0]["message"]["images"][0]).size
    assert width > height
    assert shown["warnings"] == ["image_config.image_size was ignored."]
    shown = house.client.post(CHAT, json={**SMALL, "image_config": {"aspect_ratio": "2:1"}}).get_json()
    assert shown["warnings"] == ["size was ignored: image_config.aspect_ratio is there, too."]


@for_each_case(
    ("change", "status", "words"),
    [
        ({"modalities": None}, 501, "writes no text"),
        ({"modalities": ["text"]}, 501, "writes no text"),
        ({"messages": None}, 400, "messages"),
        ({"messages": []}, 400, "messages must hold a message with the role 'user'"),
        ({"messages": ["x"]}, 400, "messages[0] must be an object"),
        ({"messages": [{"role": "user", "content": 5}]}, 400, "messages[0].content must be text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "audio"}]}]},
            400,
            "messages[0].content[0] must be a part",
        ),
        ({"messages": [{"role": "user", "content": " "}]}, 400, "no text to draw from"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "must hold a data URL"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "x"},
                            {"type": "image_url", "image_url": {"url": "http://127.0.0.1:1/x.png"}},
                        ],
                    }
                ]
            },
            400,
            "image",
        ),
        ({"image_config": {"aspect_ratio": "wide"}}, 400, "image_config.aspect_ratio must be two numbers"),
        ({"image_config": {"aspect_ratio": "0:5"}}, 400, "image_config.aspect_ratio must be two numbers"),
        ({"steps": 0}, 400, "steps"),
        ({"size": "9999999x1"}, 400, "size"),
    ],
)
def test_bad_requests_are_refused_by_name(
    shared_client: FlaskClient, change: dict[str, Any], status: int, words: str
) -> None:
    answer = shared_client.post(CHAT, json={**SMALL, **change})
    assert answer.status_code == status, answer.text
    assert words in answer.get_json()["error"]["message"]


@for_each_case("path", ["/v1/completions", "/v1/embeddings", "/v1/responses"])
def test_what_is_only_text_is_501(shared_client: FlaskClient, path: str) -> None:
    answer = shared_client.post(path, json={"model": "x", "input": "x", "prompt": "x"})
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (501, "not_supported")


@pytest.mark.parametrize("base", ["/v1", "/api/v1"])
def test_openais_client_reads_the_stream(make_served: Callable[..., ServedHouse], base: str) -> None:
    served = make_served()
    with OpenAI(base_url=served.url + base, api_key="none", max_retries=0, timeout=PATIENCE_SECONDS) as client:
        stream = client.chat.completions.create(
            model="demo_dit_q8_0",
            messages=ASKED,  # type: ignore[arg-type]
            stream=True,
            extra_body={"modalities": ["image"], "size": "64x64", "steps": 2},
        )
        deltas = [chunk.choices[0] for chunk in stream]
    assert deltas[0].delta.role == "assistant"
    (image,) = [image for one in deltas for image in (one.delta.model_extra or {}).get("images", [])]
    assert picture_of(image).size == (64, 64)
    assert deltas[-1].finish_reason == "stop"


def test_a_stream_that_fails_says_so_and_ends(house: House) -> None:
    body = {**SMALL, "messages": [{"role": "user", "content": "fake:fail"}], "stream": True}
    answer = house.client.post(CHAT, json=body)
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    assert json.loads(lines[-2])["error"]["message"]


def test_every_route_of_v1_has_the_alias(make_served: Callable[..., ServedHouse]) -> None:
    served = make_served()
    assert served.get("/api/v1/models").json() == served.get("/v1/models").json()
    made = served.post("/api/v1/images/generations", json={"prompt": "x", "size": "64x64", "steps": 2})
    assert made.status_code == 200
    unknown = served.get("/api/v1/nothing")
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "invalid_request_error")
    assert served.get("/api/v10").json()["error"].startswith("Unknown URL")
