"""Tensor type rules as the library reads them."""

from __future__ import annotations

import pytest

from sdcpp_rest.native.context import Context, ContextOptions
from sdcpp_rest.native.library import Library
from sdcpp_rest.native.type_rules import encode_type_rules, parse_type_rules

pytestmark = pytest.mark.native


def test_rules_keep_their_order_and_get_the_librarys_type_names(library: Library) -> None:
    rules = parse_type_rules(library, "^vae\\.=F16,,blk.[0-9]+.attn=q4_k, ")
    assert [(pattern, weight_type.id) for pattern, weight_type in rules] == [
        ("^vae\\.", "f16"),
        ("blk.[0-9]+.attn", "q4_k"),
    ]
    assert encode_type_rules(library, rules) == b"^vae\\.=f16,blk.[0-9]+.attn=q4_K"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("f16", "'f16' is not of the form pattern=type"),
        ("=f16", "'=f16' is not of the form pattern=type"),
        ("a=", "weight type ''"),
        ("a=q8_k", "weight type 'q8_k' cannot be written"),
        ("a=f16=f32", "weight type 'f16=f32'"),
        ("(=f16", r"'\(' is not a regular expression"),
        ("*=f16", "is not a regular expression"),
        ("(?<=a)b=f16", "not of the form|is not a regular expression|cannot be written"),
        ("(?P<n>a)=f16", "is not a regular expression"),
        ("a{99}{99}{99}=f16", "is not a regular expression"),
        ("a\0=f16", "NUL"),
    ],
)
def test_rule_that_the_library_would_skip_or_die_of_is_refused(library: Library, rules: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_type_rules(library, rules)


def test_bad_rule_is_refused_when_a_model_is_loaded(demo_options: ContextOptions) -> None:
    from dataclasses import replace

    with pytest.raises(ValueError, match="is not a regular expression"):
        Context.load(replace(demo_options, tensor_type_rules="[=f16"))
