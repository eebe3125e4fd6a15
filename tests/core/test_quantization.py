from __future__ import annotations

import re

import pytest
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from hypothesis import given
from hypothesis import strategies as st

from sdcpp_rest.core import quantization
from sdcpp_rest.errors import InvalidRequest
from tests.cases import for_each_case


def test_ids_and_names_are_unique_and_removed_ids_are_absent() -> None:
    assert len(quantization.BY_ID) == len(quantization.BY_NAME) == len(quantization.WEIGHT_TYPES) == 33
    assert not quantization.BY_ID.keys() & quantization.REMOVED_IDS
    assert quantization.BY_ID.keys() | quantization.REMOVED_IDS == set(range(41))


def test_the_packages_formats_are_known_but_for_one_that_the_library_lacks() -> None:
    known = {int(kind): kind.name for kind in GGMLQuantizationType}
    assert known.keys() - quantization.BY_ID.keys() == {41}
    assert known[41] == "Q1_0"
    assert not known.keys() & quantization.REMOVED_IDS


def test_sizes_are_the_packages_but_for_one_that_it_has_wrong() -> None:
    differing = {
        entry.name: (entry.block_bytes, GGML_QUANT_SIZES[GGMLQuantizationType(entry.id)][1])
        for entry in quantization.WEIGHT_TYPES
        if (entry.block_size, entry.block_bytes) != GGML_QUANT_SIZES[GGMLQuantizationType(entry.id)]
    }
    assert differing == {"q8_1": (36, 40)}


@for_each_case(("name", "bits"), [("f32", 32), ("q8_0", 8.5), ("q4_0", 4.5), ("q2_k", 2.625), ("iq1_s", 1.5625)])
def test_bits_count_the_scales_of_a_block(name: str, bits: float) -> None:
    assert quantization.BY_NAME[name].bits_per_weight == bits


def test_a_row_must_divide_into_blocks() -> None:
    assert quantization.BY_NAME["q4_k"].row_bytes(512) == 288
    assert quantization.BY_NAME["q4_k"].row_bytes(128) is None
    assert quantization.BY_NAME["q4_k"].tensor_bytes((512, 3, 2)) == 6 * 288
    assert quantization.BY_NAME["q4_k"].tensor_bytes((128, 4)) is None
    assert quantization.BY_NAME["f32"].tensor_bytes((3,)) == 12


@for_each_case("name", ["Q8_0", "q4_k", "Q4_K", "nvfp4"])
def test_weight_types_are_found_in_any_case(name: str) -> None:
    found = quantization.weight_type("weight_type", name)
    assert found is not None
    assert found.name == name.lower()


def test_an_empty_weight_type_keeps_the_files_own() -> None:
    assert quantization.weight_type("weight_type", "") is None


@for_each_case("name", ["q8_1", "q8_K", "i8", "i16", "i32", "i64", "f64", "-1", "4", "31", "q9_0", "default", "q4_0 "])
def test_weight_types_that_end_the_process_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match=r"options\.weight_type") as caught:
        quantization.weight_type("options.weight_type", name)
    assert caught.value.detail["value"] == name
    assert "q8_0" in caught.value.detail["allowed"]
    assert "q8_1" not in caught.value.detail["allowed"]


def test_tensor_type_rules_are_read_in_order() -> None:
    rules = quantization.tensor_type_rules("rules", r"^vae\.=f16,model\.diffusion_model\..*attn.*=Q4_K,(?:a|b)?c=q8_0,")
    assert [(pattern, entry.native_name) for pattern, entry in rules] == [
        (r"^vae\.", "f16"),
        (r"model\.diffusion_model\..*attn.*", "q4_K"),
        ("(?:a|b)?c", "q8_0"),
    ]


@for_each_case(
    "rules",
    [
        "[=f16", "(=f16", "*=f16", "a**=f16", "a", "=f16", "a=", "a=q8_1", "a=zz", "(?i)a=f16", "(?P<n>a)=f16",
        r"\Aa=f16",
        "(a+)+b=f16", "(a|a)*b=f16", "a{1000}=f16", ".*.*.*.*x=f16", "[]a]=f16", "[[:alpha:]]=f16", "é=f16", "a\n=f16",
        r"(a)\1=f16", "]=f16", "a" * 3000 + "=f16", "(" * 900 + ")" * 900 + "=f16",
    ],
)  # fmt: skip
def test_rules_that_would_kill_or_block_the_load_are_refused(rules: str) -> None:
    with pytest.raises(InvalidRequest, match="tensor_type_rules"):
        quantization.tensor_type_rules("options.tensor_type_rules", rules)


@given(st.text(max_size=60))
def test_any_rules_pass_or_are_refused(rules: str) -> None:
    try:
        accepted = quantization.tensor_type_rules("rules", rules)
    except InvalidRequest:
        return
    for pattern, _ in accepted:
        re.compile(pattern)
