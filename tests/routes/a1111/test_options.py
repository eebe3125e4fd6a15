from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.runtime import DEMO_MODEL
from tests.routes.a1111.pictures import SMALL
from tests.routes.conftest import House
from tests.services.conftest import copy_demo


def shown(client: FlaskClient) -> dict[str, object]:
    return dict(client.get("/sdapi/v1/options").get_json())


def test_the_selected_model_is_one_of_the_list(client: FlaskClient) -> None:
    titles = [row["title"] for row in client.get("/sdapi/v1/sd-models").get_json()]
    assert shown(client)["sd_model_checkpoint"] in titles
    client.post("/sdapi/v1/txt2img", json={"prompt": "x", **SMALL})
    after = shown(client)
    rows = client.get("/sdapi/v1/sd-models").get_json()
    (row,) = [row for row in rows if row["title"] == after["sd_model_checkpoint"]]
    assert row["title"] == f"{DEMO_MODEL} [{row['hash']}]"
    assert after["sd_checkpoint_hash"] == row["sha256"]


def test_options_are_kept_across_restarts(make_house: Callable[..., House]) -> None:
    house = make_house().start()
    answer = house.client.post("/sdapi/v1/options", json={"samples_format": "jpg", "jpeg_quality": "60"})
    assert (answer.status_code, answer.text) == (200, "null")
    house.runtime.stop()
    again = House(house.config)
    try:
        assert again.client.get("/sdapi/v1/options").get_json()["samples_format"] == "jpg"
        assert again.client.get("/sdapi/v1/options").get_json()["jpeg_quality"] == 60
    finally:
        again.close()


def test_everything_can_be_sent_back_and_nothing_is_loaded_again(client: FlaskClient, house: House) -> None:
    loaded = []
    house._on_load = lambda spec: loaded.append(spec)  # type: ignore[method-assign, assignment]
    before = shown(client)
    assert client.post("/sdapi/v1/options", json=before).status_code == 200
    assert shown(client) == before
    assert loaded == []
    assert house.runtime.settings.a1111_options.get() == {}, "what is a default is not stored"


@pytest.mark.parametrize("name", ["other", "other.gguf", "OTHER", "other.gguf [0123456789]"])
def test_choosing_a_model_waits_until_it_is_loaded(client: FlaskClient, house: House, name: str) -> None:
    copy_demo(house.config, "other.gguf")
    answer = client.post("/sdapi/v1/options", json={"sd_model_checkpoint": name})
    assert (answer.status_code, answer.text) == (200, "null")
    resident = house.runtime.models.slot.resident
    assert resident is not None
    assert resident.model.name == "other.gguf"
    title = str(shown(client)["sd_model_checkpoint"])
    assert title.startswith("other.gguf")
    assert client.post("/sdapi/v1/options", json={"sd_model_checkpoint": title}).status_code == 200


def test_a_model_that_is_not_there(client: FlaskClient) -> None:
    answer = client.post("/sdapi/v1/options", json={"sd_model_checkpoint": "nope", "samples_format": "jpg"})
    assert answer.status_code == 500
    assert answer.get_json() == {
        "error": "RuntimeError", "detail": "", "body": "", "errors": "model 'nope' not found"
    }  # fmt: skip
    assert shown(client)["samples_format"] == "png", "all or nothing"


def test_a_model_that_cannot_be_loaded(client: FlaskClient, house: House) -> None:
    copy_demo(house.config, "refuse.gguf")
    answer = client.post("/sdapi/v1/options", json={"sd_model_checkpoint": "refuse"})
    assert answer.status_code == 500
    assert answer.get_json()["error"] == "LoadFailed"


def test_an_autoencoder_that_is_not_there(client: FlaskClient) -> None:
    answer = client.post("/sdapi/v1/options", json={"sd_vae": "nope.safetensors"})
    assert (answer.status_code, answer.get_json()["errors"]) == (500, "VAE 'nope.safetensors' not found")
    assert client.post("/sdapi/v1/options", json={"sd_vae": "Automatic"}).status_code == 200
    assert client.post("/sdapi/v1/options", json={"sd_vae": "None"}).status_code == 200


def test_values_that_are_not_taken_are_named(client: FlaskClient) -> None:
    answer = client.post("/sdapi/v1/options", json={"jpeg_quality": "best", "samples_format": "gif"})
    assert answer.status_code == 422
    assert {one["loc"][1] for one in answer.get_json()["detail"]} == {"jpeg_quality", "samples_format"}


def test_options_that_nobody_knows_and_nulls_are_left_alone(client: FlaskClient) -> None:
    before = shown(client)
    answer = client.post("/sdapi/v1/options", json={"forge_preset": "flux", "jpeg_quality": None})
    assert answer.status_code == 200
    assert shown(client) == before


def test_clip_skip_is_an_option(client: FlaskClient, house: House) -> None:
    client.post("/sdapi/v1/options", json={"CLIP_stop_at_last_layers": 2})
    client.post("/sdapi/v1/txt2img", json={"prompt": "x", **SMALL})
    assert house.runtime.jobs.queue.list()[0].params["clip_skip"] == 2


def test_the_switches_that_clients_look_for(client: FlaskClient) -> None:
    assert client.get("/sdapi/v1/cmd-flags").get_json()["api"] is True


def test_an_unknown_format_of_one_call_is_refused(client: FlaskClient) -> None:
    answer = client.post("/sdapi/v1/txt2img", json={"prompt": "x", "override_settings": {"samples_format": "gif"}})
    assert answer.status_code == 422
    assert answer.get_json()["detail"][0]["loc"] == ["body", "override_settings", "samples_format"]
