from __future__ import annotations

import pytest

from sdcpp_rest.core import architectures
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.services.submission.wording_notes import wording_notes
from tests.cases import for_each_case


@for_each_case(
    ("family", "clip_skip", "is_told"),
    [
        ("Qwen Image", 2, True),
        ("Z-Image", 1, True),
        ("Qwen Image", -1, False),
        ("Flux", 2, False),
        ("SD 1.x", 2, False),
        (None, 2, False),
    ],
)
def test_clip_skip_is_told_to_be_idle_where_no_clip_reads(family: str | None, clip_skip: int, is_told: bool) -> None:
    known = architectures.architecture_named(family)
    assert (known is None) == (family is None)
    notes = wording_notes(ImageParams(prompt="a", clip_skip=clip_skip), known)
    assert bool(notes) == is_told
    assert not is_told or notes == [f"clip_skip is for CLIP text encoders; with {family} it has no effect."]


@pytest.mark.parametrize("field", ["prompt", "negative_prompt"])
def test_a_prompt_that_no_encoder_was_made_for_is_told_with_its_length(field: str) -> None:
    fields = {"prompt": "a", "negative_prompt": "b"}
    assert wording_notes(ImageParams(**{**fields, field: "c" * 2048}), None) == []
    (note,) = wording_notes(ImageParams(**{**fields, field: "c" * 14_000}), None)
    assert note.startswith(f"{field} is 14000 characters long, about 3500 tokens. ")
