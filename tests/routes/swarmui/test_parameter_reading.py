from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.swarmui.model_types import MODEL_TYPES
from sdcpp_rest.routes.swarmui.parameter_list import FIXED_LISTS, describe_parameters
from sdcpp_rest.routes.swarmui.parameter_reading import clean_id, find_loosely, read_parameters
from sdcpp_rest.routes.swarmui.parameters import BY_ID, GROUPS, PARAMETERS
from tests.cases import for_each_case

LISTS: dict[str, Any] = {
    **FIXED_LISTS,
    "Stable-Diffusion": ["SDXL/base_1.0.safetensors", "demo_dit_q8_0.gguf", "demo.gguf"],
    "VAE": ["ae.safetensors"],
    "LoRA": ["style.safetensors"],
    "samplers": ["euler", "euler_ancestral", "dpmpp_2m"],
    "schedulers": ["normal", "karras"],
    "upscalers": ["pixel-lanczos", "model-4x.pth"],
}


@for_each_case(
    ("name", "id"),
    [
        ("cfg_scale", "cfgscale"),
        ("Text2Video Frames", "textvideoframes"),
        ("T5-XXL Model", "txxlmodel"),
        ("SEED", "seed"),
        ("text2video fps", "videofps"),
    ],
)
def test_ids_are_their_letters(name: str, id: str) -> None:
    assert clean_id(name) == id
    assert id in BY_ID


@for_each_case(
    ("name", "value", "read"),
    [
        ("steps", "4", 4),
        ("steps", 4.0, 4),
        ("steps", "20.0", 20),
        ("cfgscale", "3.5", 3.5),
        ("cfgscale", 3, 3.0),
        ("donotsave", "True", True),
        ("donotsave", True, True),
        ("sampler", "Euler", "euler"),
        ("sampler", "2m", "dpmpp_2m"),
        ("model", "BASE_ (1.0)", "SDXL/base_1.0.safetensors"),
        ("model", "SDXL\\base_1.0", "SDXL/base_1.0.safetensors"),
        ("model", "demo", "demo.gguf"),
        ("vae", "None", "None"),
        ("vae", "Automatic", "Automatic"),
        ("loras", ["a", "b"], ("a", "b")),
        ("loras", "a,b", ("a", "b")),
        ("loras", "a\n|||\nb", ("a", "b")),
        ("promptimages", "x|y", ("x", "y")),
        ("prompt", ["a", "b"], "a\n|||\nb"),
        ("seed", "-1", -1),
    ],
)
def test_values_are_read_from_any_of_their_forms(name: str, value: Any, read: Any) -> None:
    assert read_parameters({name: value}, LISTS).values == {clean_id(name): read}


@for_each_case(
    ("name", "value"),
    [
        ("images", "1"), ("vae", ""), ("negativeprompt", ""), ("donotsave", "false"), ("loras", ""), ("loras", []),
        ("controlnetmodel", "(None)"), ("refinerupscale", "1"), ("session_id", "x"), ("prompt", None),
        ("junk", {"a": 1}), ("exactbackendid", 3), ("forwardswarmdata", True),
    ],
)  # fmt: skip
def test_values_that_mean_nothing_are_left_out(name: str, value: Any) -> None:
    assert read_parameters({name: value}, LISTS).values == {}


@for_each_case(
    ("name", "value", "words"),
    [
        ("width", 8, "Width: Invalid integer value for param Width - '8' - must be between 64 and 16384"),
        ("steps", "x", "Steps: Invalid integer value for param Steps - 'x' - must be a valid integer (eg "),
        ("steps", True, "Steps: Invalid integer value for param Steps - 'true' - must be a valid integer"),
        ("steps", "9" * 5000, "Steps: Invalid integer value for param Steps - '999"),
        ("cfgscale", "nan", "CFG Scale: Invalid decimal value for param CFG Scale - 'nan' - must be a valid decimal"),
        ("cfgscale", 101, "CFG Scale: Invalid decimal value for param CFG Scale - '101' - must be between 0 and 100"),
        ("donotsave", 1, "Do Not Save: Invalid boolean value for param Do Not Save - '1' - must be exactly"),
        ("sampler", "zzz", "Sampler: Invalid value for param Sampler - 'zzz' - must be one of: `euler`, "),
        (
            "model",
            "zzz",
            "Model: Invalid model value for param Model - 'zzz' - are you sure that model name is correct?",
        ),
    ],
)
def test_wrong_values_are_told_in_upstreams_words(name: str, value: Any, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_parameters({name: value}, LISTS)
    assert refused.value.message.startswith(f"Invalid value for parameter {words}")
    assert len(refused.value.message) < 400


def test_what_has_no_effect_here_is_noted() -> None:
    assert read_parameters({"Refiner Model": "x", "zeronegative": "true"}, LISTS).unknown == [
        "refinermodel",
        "zeronegative",
    ]
    silent = {"zeronegative": False, "loraSectionConfinement": ["0", "0"], "refinermodel": "(None)", "videosteps": ""}
    assert read_parameters(silent, LISTS).unknown == []


@for_each_case(
    ("wanted", "found"),
    [("AE", "ae.safetensors"), ("b", "b"), ("a[1]", "a1"), ("", None), ("  ", None), ("[]", None), ("q", None)],
)
def test_names_are_found_loosely(wanted: str, found: str | None) -> None:
    assert find_loosely(wanted, ["ab", "b", "ae.safetensors", "a1"]) == found


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(["a", "b"])


@given(st.sampled_from([one.id for one in PARAMETERS]), VALUES)
def test_any_value_is_read_or_refused(id: str, value: Any) -> None:
    parameter = BY_ID[id]
    try:
        found = read_parameters({id: value}, LISTS).values
    except InvalidRequest:
        assert parameter.kind in ("integer", "decimal", "boolean", "dropdown", "model")
        return
    assert found.keys() <= {id}
    if id in found and parameter.kind in ("integer", "decimal"):
        assert parameter.least <= float(str(found[id])) <= parameter.most


def test_described_parameters_are_whole() -> None:
    shown = describe_parameters(LISTS, {})
    groups = {group["id"] for group in shown["groups"]}
    assert len(groups) == len(GROUPS)
    for one in shown["list"]:
        assert one["group"] in (None, *groups)
        assert isinstance(one["default"], str)
        assert one["feature_flag"] is None
        if one["type"] in ("integer", "decimal"):
            assert one["min"] < one["max"], one["id"]
            assert one["view_min"] < one["view_max"], one["id"]
            assert one["min"] <= float(one["default"]) <= one["max"], one["id"]
            assert (one["type"] == "integer") == (float(one["default"]).is_integer() and one["step"] >= 1), one["id"]
        if one["type"] == "dropdown":
            assert len(one["values"]) == len(one["value_names"])
            assert one["default"] in one["values"], one["id"]
        else:
            assert one["values"] is None
        assert (one["subtype"] is None) or one["subtype"] in MODEL_TYPES
    assert len({one["id"] for one in shown["list"]}) == len(shown["list"])
    assert all(one.id == clean_id(one.id) for one in PARAMETERS)
