"""Prompts whose tags are resolved on request: the answer and the job tell what became of them."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.cases import for_each_case
from tests.routes.native.jobs.test_video_routes import SMALL as SMALL_VIDEO
from tests.routes.native.jobs.test_video_routes import choose_wan
from tests.routes.test_root_pictures import png

SMALL = {"width": 8, "height": 8, "steps": 1, "seed": 1}
PROMPT = "a <random:red,blue> {cat|dog}"


def test_answer_and_job_tell_the_words_that_are_drawn(house: Any) -> None:
    sent = {**SMALL, "prompt": PROMPT, "negative_prompt": "{x}", "expand_prompt": True}
    answer = house.client.post("/txt2img", json=sent)
    assert answer.status_code == 202, answer.text
    body = answer.get_json()
    assert (body["resolved_prompt"], body["resolved_negative_prompt"]) == ("a red dog", "{x}")
    assert not [warning for warning in body.get("warnings", []) if "prompt" in warning]
    job = house.finished(body["job_id"])
    assert (job["resolved_prompt"], job["resolved_negative_prompt"]) == ("a red dog", "{x}")
    assert (job["params"]["prompt"], job["params"]["original_prompt"]) == ("a red dog", PROMPT)
    assert house.client.get("/queue").get_json()["items"][0]["resolved_prompt"] == "a red dog"


def test_the_same_words_come_in_a_picture_of_a_picture(house: Any) -> None:
    sent = {**SMALL, "prompt": PROMPT, "init_image_base64": png(8), "expand_prompt": True}
    body = house.client.post("/img2img", json=sent).get_json()
    assert body["resolved_prompt"] == "a red dog"
    assert "resolved_negative_prompt" not in body


def test_and_in_a_video(house: Any) -> None:
    choose_wan(house)
    sent = {**SMALL_VIDEO, "prompt": PROMPT, "seed": 1, "expand_prompt": True, "output_format": "frames"}
    body = house.client.post("/txt2vid", json=sent).get_json()
    assert body["resolved_prompt"] == "a red dog"
    assert house.finished(body["job_id"])["params"]["original_prompt"] == PROMPT


@pytest.mark.parametrize("more", [{}, {"expand_prompt": False}])
def test_tags_are_text_where_nobody_asks(house: Any, more: dict[str, Any]) -> None:
    body = house.client.post("/txt2img", json={**SMALL, "prompt": PROMPT, **more}).get_json()
    assert "resolved_prompt" not in body
    job = house.finished(body["job_id"])
    assert job["params"]["prompt"] == PROMPT
    assert "resolved_prompt" not in job
    assert "original_prompt" not in job["params"]


def test_warnings_are_those_of_the_answer_and_of_the_job(house: Any) -> None:
    sent = {**SMALL, "prompt": "a <wildcard:nobody> <random:x,y>", "batch_count": 2, "expand_prompt": True}
    body = house.client.post("/txt2img", json=sent).get_json()
    told = body["warnings"][:2]
    assert told[0] == "prompt: there is no wildcard 'nobody'; '<wildcard:nobody>' stays as it is."
    assert told[1].startswith("prompt: its words were drawn once, for all 2 pictures of this job;")
    job = house.finished(body["job_id"])
    assert job["warnings"][:2] == told
    assert len(job["outputs"]) == 2


def test_wildcard_of_the_folder_is_drawn_and_what_a_tag_sets_is_checked(house: Any) -> None:
    house.runtime.models.wildcards.write("animals", "owl <param[steps]:2>")
    body = house.client.post("/txt2img", json={**SMALL, "prompt": "__animals__", "expand_prompt": True}).get_json()
    assert body["resolved_prompt"] == "owl"
    assert house.finished(body["job_id"])["params"]["steps"] == 2
    sent = {**SMALL, "prompt": "<param[steps]:0>", "expand_prompt": True}
    refused = house.client.post("/txt2img", json=sent)
    assert (refused.status_code, refused.get_json()["field"]) == (400, "steps")


@for_each_case(
    ("prompt", "message"),
    [
        ("<repeat[1000]:<repeat[1000]:x>>", "prompt: its tags make too much;"),
        ("<repeat[10000]:xxxxxxx>", "prompt: 79999 characters are too many"),
        ("<lora:nobody:1>", "prompt: there is no LoRA named 'nobody'"),
        ("<param[width]:wide>", "prompt: <param[width]:wide> cannot be used"),
    ],
)
def test_what_cannot_be_drawn_is_refused(shared_client: FlaskClient, prompt: str, message: str) -> None:
    answer = shared_client.post("/txt2img", json={"prompt": prompt, "expand_prompt": True})
    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith(message)
