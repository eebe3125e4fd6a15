"""What clients of diffusers, LocalAI and their like send along: every such field has its effect on every route."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import pytest

from tests.cases import for_each_case
from tests.routes.conftest import House

FIELDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"steps": 3}, {"steps": 3}),
    ({"num_inference_steps": 3}, {"steps": 3}),
    ({"seed": 77}, {"seed": 77}),
    ({"negative_prompt": "blurry"}, {"negative_prompt": "blurry"}),
    ({"guidance_scale": 2.5}, {"cfg_scale": 2.5}),
    ({"cfg_scale": 2.5}, {"cfg_scale": 2.5}),
    ({"sampler": "heun"}, {"sampler": "heun"}),
    ({"sampler": "DPM++ 2M Karras"}, {"sampler": "dpm++2m", "scheduler": "karras"}),
    ({"scheduler": "karras"}, {"scheduler": "karras"}),
]


def params_of(house: House) -> dict[str, Any]:
    (job,) = house.runtime.jobs.queue.list(limit=1)
    return job.params


@pytest.mark.slow
@for_each_case("route", ["/v1/images/generations", "/v1/images/edits", "/v1/images/variations"])
@for_each_case(("fields", "params"), FIELDS)
def test_a_field_has_its_effect_in_json(
    house: House, picture: Callable[..., bytes], route: str, fields: dict[str, Any], params: dict[str, Any]
) -> None:
    image = {} if "generations" in route else {"image": base64.b64encode(picture()).decode()}
    answer = house.client.post(route, json={"prompt": "x", "size": "64x64", "steps": 2, **image, **fields})
    assert answer.status_code == 200, answer.text
    expected = params if "num_inference_steps" not in fields else {"steps": 2}  # our own word wins
    assert expected.items() <= params_of(house).items()


@pytest.mark.slow
@for_each_case("route", ["/v1/images/edits", "/v1/images/variations"])
@for_each_case(("fields", "params"), FIELDS)
def test_a_field_has_its_effect_in_a_form(
    house: House, picture: Callable[..., bytes], route: str, fields: dict[str, Any], params: dict[str, Any]
) -> None:
    form = {name: str(value) for name, value in fields.items()}
    file = {"image": (io.BytesIO(picture()), "image.png")}
    answer = house.client.post(route, data={"prompt": "x", "size": "64x64", **form, **file})
    assert answer.status_code == 200, answer.text
    assert params.items() <= params_of(house).items()


def test_diffusers_word_counts_alone(house: House) -> None:
    answer = house.client.post(
        "/v1/images/generations", json={"prompt": "x", "size": "64x64", "num_inference_steps": 3}
    )
    assert "warnings" not in answer.get_json()
    assert params_of(house)["steps"] == 3
