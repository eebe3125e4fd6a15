from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_rest.core import infotext
from sdcpp_rest.core.json_captions import read_object, to_infotext
from tests.cases import for_each_case

PARAMS = {
    "prompt": "a cat, red",
    "negativeprompt": "blue",
    "model": "folder/x",
    "seed": 7,
    "steps": 20,
    "cfgscale": 3.5,
    "width": 64,
    "height": 32,
    "sampler": "euler_ancestral",
    "scheduler": "karras",
    "loras": ["style"],
    "loraweights": ["0.5"],
}


def test_parameters_become_words_that_every_reader_knows() -> None:
    text = to_infotext(json.dumps({"sui_image_params": PARAMS, "sui_extra_data": {"date": "2026-01-01"}}, indent=2))
    assert text == (
        "a cat, red <lora:style:0.5>\nNegative prompt: blue\n"
        "Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 3.5, Seed: 7, Size: 64x32, Model: folder/x"
    )
    found = infotext.parse(text)
    assert (found["Prompt"], found["Seed"], found["Size-2"]) == ("a cat, red <lora:style:0.5>", "7", "32")


@for_each_case(
    "text", ["", "a cat\nSteps: 4", "[]", "{}", '{"sui_image_params": 5}', "sui_image_params" + "[" * 10_000]
)
def test_texts_of_other_programs_stay_as_they_are(text: str) -> None:
    assert read_object(text) is None
    assert to_infotext(text) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(PARAMS)), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(sorted(PARAMS)), JSON, max_size=6))
def test_any_object_is_read(params: dict[str, object]) -> None:
    infotext.parse(to_infotext(json.dumps({"sui_image_params": params})))
