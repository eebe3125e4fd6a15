from __future__ import annotations

from typing import Any, get_args

from flask.testing import FlaskClient

from sdcpp_rest.routes.native.server.options_routes import OptionShown
from sdcpp_rest.routes.native.wire.generation_bodies import Img2ImgBody
from sdcpp_rest.routes.native.wire.generation_defaults import MODE_BODIES
from sdcpp_rest.routes.native.wire.load_bodies import LoadOptionsBody


def test_every_field_of_every_request_is_described(shared_client: FlaskClient) -> None:
    shown = shared_client.get("/options/generation").get_json()
    options = shown["options"]
    for mode, body in MODE_BODIES.items():
        for name in body.model_fields:
            assert mode in options[name]["modes"], name
    assert options["repeats"]["modes"] == ["upscale"]
    assert all(option["label"] and option["description"] for option in options.values())
    kinds = {option["type"] for option in options.values()}
    assert kinds <= set(get_args(OptionShown.model_fields["type"].annotation))
    assert shown["samplers"] == shared_client.get("/options").get_json()["samplers"]


def test_words_and_ranges_are_those_of_the_wire_models(shared_client: FlaskClient) -> None:
    options = shared_client.get("/options/generation").get_json()["options"]
    steps = options["steps"]
    assert (steps["type"], steps["default"], steps["minimum"], steps["maximum"]) == ("number", 20, 1, 10_000)
    assert (options["cfg_scale"]["label"], options["cfg_scale"]["maximum"]) == ("CFG scale", 1000)
    assert steps["integer"] is True
    assert "integer" not in options["cfg_scale"]
    assert options["prompt"]["required"] is True
    assert "default" not in options["prompt"]
    assert options["vae_tiling"] | {"modes": [], "description": ""} == {
        "label": "VAE tiling", "type": "boolean", "required": False, "default": False, "modes": [], "description": "",
    }  # fmt: skip
    assert options["strength"]["description"] == Img2ImgBody.model_fields["strength"].description
    assert next(iter(options["cache_mode"]["values"])) == "disabled"


def test_a_default_that_differs_by_request_is_told_for_each(shared_client: FlaskClient) -> None:
    options = shared_client.get("/options/generation").get_json()["options"]
    assert (options["width"]["default"], options["width"]["mode_defaults"]) == (512, {"txt2vid": 832})
    assert "mode_defaults" not in options["clip_skip"]


def test_a_configured_limit_is_the_range(make_house: Any) -> None:
    options = make_house(limits={"steps": 77}).client.get("/options/generation").get_json()["options"]
    assert options["steps"]["maximum"] == 77


def test_samplers_and_schedulers_come_with_a_sentence(shared_client: FlaskClient) -> None:
    options = shared_client.get("/options").get_json()
    described = shared_client.get("/options/descriptions").get_json()
    generation = shared_client.get("/options/generation").get_json()["options"]
    for kind in ("sampler", "scheduler"):
        assert list(described[f"{kind}s"]) == options[f"{kind}s"]
        assert all(described[f"{kind}s"].values())
        assert generation[kind]["type"] == "select"
        assert generation[kind]["values"] == described[f"{kind}s"]


def test_every_load_option_is_described(shared_client: FlaskClient) -> None:
    options = shared_client.get("/options/descriptions").get_json()["options"]
    assert list(options) == list(LoadOptionsBody.model_fields)
    assert options["enable_mmap"]["default"] is True
    assert all(option["description"] for option in options.values())


def test_options_are_told_while_the_engine_is_down(make_house: Any) -> None:
    client = make_house().client
    assert client.get("/options/descriptions").get_json()["samplers"]["euler"]


def test_fields_that_the_current_model_makes_no_use_of_say_why(client: FlaskClient) -> None:
    options = client.get("/options/generation").get_json()["options"]
    assert options["clip_skip"]["no_effect"] == "clip_skip is for CLIP text encoders; with Ovis Image it has no effect."
    assert "no_effect" not in options["steps"]
    client.post("/models/unload")
    assert "no_effect" not in client.get("/options/generation").get_json()["options"]["clip_skip"]
