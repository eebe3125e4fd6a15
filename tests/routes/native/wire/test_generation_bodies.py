"""What stands in a body is of the right type and within its range, or is refused by name."""

from __future__ import annotations

from typing import Any, Literal, get_origin

import pytest
from flask.testing import FlaskClient

from sdcpp_rest.core.params import CacheOptions, SamplingParams
from sdcpp_rest.routes.native.wire.generation_bodies import CacheOptionsBody, Img2ImgBody, SamplingBody, Txt2ImgBody
from tests.cases import for_each_case


def wrong_values(model: type, prefix: str = "") -> list[Any]:
    """For every field of a wire model, values of each JSON type that it does not take."""
    wrong: dict[Any, list[Any]] = {
        int: ["20.5", True, 1.5, [], {}, 10**30, -(10**30)],
        float: ["seven", False, [], {}],
        str: [5, True, 1.5, [], {}],
        bool: [1, 0, "yes", [], {}],
        # A switch that may be left to the server.
        bool | Literal["auto"]: [1, 0, "yes", [], {}],
        list: ["x", 5, True, {}, ["x", {}], [None]],
    }
    cases = []
    for name, field in model.model_fields.items():  # type: ignore[attr-defined]
        kind = field.annotation if field.annotation in wrong else get_origin(field.annotation) or field.annotation
        for value in wrong.get(kind, [5, True, "x", []]):
            cases.append(pytest.param(name, value, id=f"{prefix}{name}={str(value)[:12]}"))
    return cases


TXT2IMG_CASES = [case for case in wrong_values(Txt2ImgBody) if case.values != ("cache_options", {})]
CACHE_CASES = wrong_values(CacheOptionsBody, "cache_options.")
IMG2IMG_CASES = [case for case in wrong_values(Img2ImgBody) if case.values[0] not in Txt2ImgBody.model_fields]


def test_every_field_of_the_wire_is_tried_with_wrong_types() -> None:
    assert len(TXT2IMG_CASES) >= 280
    assert len(CACHE_CASES) >= 90
    assert len(IMG2IMG_CASES) >= 12


@for_each_case(("field", "value"), TXT2IMG_CASES)
def test_a_wrong_type_in_txt2img_is_refused_by_name(shared_client: FlaskClient, field: str, value: Any) -> None:
    answer = shared_client.post("/txt2img", json={"prompt": "x", field: value})
    assert answer.status_code == 400, answer.text
    assert field in answer.get_json()["error"]


@for_each_case(("field", "value"), CACHE_CASES)
def test_a_wrong_type_in_cache_options_is_refused_by_name(shared_client: FlaskClient, field: str, value: Any) -> None:
    answer = shared_client.post("/txt2img", json={"prompt": "x", "cache_options": {field: value}})
    assert answer.status_code == 400, answer.text
    assert f"cache_options.{field}" in answer.get_json()["error"]


@for_each_case(("field", "value"), IMG2IMG_CASES)
def test_a_wrong_type_in_img2img_is_refused_by_name(shared_client: FlaskClient, field: str, value: Any) -> None:
    answer = shared_client.post("/img2img", json={"prompt": "x", "init_image_base64": "x", field: value})
    assert answer.status_code == 400, answer.text
    assert field in answer.get_json()["error"]


@for_each_case(
    ("field", "value"),
    [
        ("width", 0), ("width", -64), ("width", 2**31 - 1), ("height", 100_000), ("steps", 0), ("steps", -1),
        ("steps", 10_001), ("steps", 100_000_000), ("batch_count", 0), ("batch_count", -1), ("batch_count", 65),
        ("seed", -2), ("seed", 2**63), ("cfg_scale", -1), ("cfg_scale", 1e30), ("eta", -1), ("slg_start", 2),
        ("slg_end", -0.1), ("vae_tile_overlap", 1.1), ("vae_tile_size_x", -1), ("easycache_threshold", -1),
        ("easycache_start", 2), ("clip_skip", -2), ("clip_skip", 1000), ("shifted_timestep", -5),
        ("skip_layers", list(range(2000))), ("skip_layers", [-1]), ("custom_sigmas", [-1.0, 0.0]),
        ("prompt", "x" * 16_001), ("prompt", "x" * 100_000), ("negative_prompt", "x" * 16_001), ("sampler", "magic"),
        ("scheduler", "magic"), ("title", "x" * 201), ("ref_images", ["x"] * 17), ("upscale_repeats", 0),
        ("prompt", "a\u0000b"), ("hires_scale", 0.5), ("hires_width", 4097), ("hires_denoising_strength", 0),
        ("hires_steps", -1), ("hires_upscale_tile_size", 0), ("upscale_repeats", 17), ("pm_style_strength", 101),
        ("pm_id_images", ["x"] * 17), ("control_strength", 1.5), ("preprocess", "depth"), ("cache_mode", "magic"),
        ("cache_options", {"spectrum_m": 0}), ("cache_options", {"scm_mask": "1;0"}), ("flow_shift", -1),
        ("vae_tile_rel_size", 1000), ("img_cfg_scale", 1001),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_by_name(shared_client: FlaskClient, field: str, value: Any) -> None:
    answer = shared_client.post("/txt2img", json={"prompt": "x", field: value})
    assert answer.status_code == 400, answer.text
    assert field in answer.get_json()["error"]
    assert len(answer.get_json()["error"]) < 1000


@for_each_case("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_refused_by_name(shared_client: FlaskClient, literal: str) -> None:
    answer = shared_client.post("/txt2img", data='{"prompt":"x","cfg_scale":' + literal + "}")
    assert answer.status_code == 400
    assert "cfg_scale" in answer.get_json()["error"]


def test_one_relative_tile_size_stands_for_both() -> None:
    body = Txt2ImgBody.model_validate({"prompt": "x", "vae_tile_rel_size": 0.5, "vae_tile_rel_size_y": 2})
    assert body.sent_fields() == {"prompt": "x", "vae_tile_rel_size_x": 0.5, "vae_tile_rel_size_y": 2}


def test_only_what_was_sent_is_told() -> None:
    assert Txt2ImgBody.model_validate({"prompt": "x"}).sent_fields() == {"prompt": "x"}
    sent = {"prompt": "x", "cache_options": {"start": 0.5}}
    assert Txt2ImgBody.model_validate(sent).sent_fields() == sent


def test_documented_defaults_are_those_of_the_parameters() -> None:
    """But for eta, whose documented default is the table's and whose absence is the library's choice."""
    told = {
        name: field.default
        for name, field in SamplingBody.model_fields.items()
        if name in SamplingParams.model_fields and not field.is_required() and field.default_factory is None
    }
    assert len(told) >= 25
    for name in told.keys() - {"seed", "eta", "cache_options"}:
        meant = SamplingParams.model_fields[name].default
        assert told[name] == (list(meant) if isinstance(meant, tuple) else meant), name


def test_every_knob_of_the_caches_is_on_the_wire() -> None:
    assert CacheOptionsBody.model_fields.keys() == CacheOptions.model_fields.keys()
