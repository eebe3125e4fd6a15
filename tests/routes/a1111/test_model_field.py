"""``model``, which clients of servers that route by it send along with every call."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient

from sdcpp_rest.web.app import create_app, route_table
from tests.cases import for_each_case
from tests.routes.a1111.pictures import SMALL, told
from tests.routes.conftest import House
from tests.services.conftest import copy_demo

GETS = sorted(
    route.url
    for route in route_table(create_app(None))
    if route.url.startswith("/sdapi/v1/") and route.method == "GET" and "<" not in route.url
)
POSTS = sorted(
    route.url
    for route in route_table(create_app(None))
    if route.url.startswith("/sdapi/v1/") and route.method == "POST" and "<" not in route.url
)


def draw(house: House, **fields: Any) -> tuple[dict[str, Any], str | None]:
    answer = house.client.post("/sdapi/v1/txt2img", json={"prompt": "a cat", **SMALL, **fields})
    assert answer.status_code == 200, answer.text
    (job,) = house.runtime.jobs.queue.list(limit=1)
    return told(answer.get_json()), job.model_name


def test_a_model_of_ours_draws_this_call_and_stays_unchosen(house: House) -> None:
    copy_demo(house.config, "other.gguf")
    house.client.post("/models/refresh")
    assert draw(house, model="other")[1] == "other.gguf"
    assert draw(house, model="other.gguf")[1] == "other.gguf"
    assert draw(house)[1] == "demo_dit_q8_0.gguf"
    chosen = {"sd_model_checkpoint": "demo_dit_q8_0"}
    assert draw(house, model="other", override_settings=chosen)[1] == "demo_dit_q8_0.gguf", "that is the nearer word"


@for_each_case("model", ["gpt-image-1", 5, ["x"], {"a": 1}, "../../etc/passwd", "x" * 5000])
def test_any_other_name_is_ignored_and_told(house: House, model: object) -> None:
    info, name = draw(house, model=model)
    assert name == "demo_dit_q8_0.gguf"
    assert "model " in str(info["extra_generation_params"])


@for_each_case("url", GETS)
def test_every_list_takes_it_in_its_query(shared_client: FlaskClient, url: str) -> None:
    plain, named = shared_client.get(url), shared_client.get(f"{url}?model=gpt-image-1")
    assert named.status_code == plain.status_code < 500 or named.status_code == 501


@for_each_case("url", [url for url in POSTS if url.rpartition("/")[2] not in ("interrogate", "server-kill")])
def test_every_call_takes_it_in_its_body(house: House, url: str) -> None:
    """It changes no answer's status; a call that wants more is refused for that alone."""
    plain, named = (house.client.post(url, json={**SMALL, **more}) for more in ({}, {"model": "gpt-image-1"}))
    assert named.status_code == plain.status_code, (url, named.text)
