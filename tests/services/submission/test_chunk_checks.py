from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.core.tokenizing.encoders import Encoder, TokenCount
from sdcpp_rest.errors import InvalidRequest, NotSupported
from sdcpp_rest.services.submission.chunk_checks import ChunkChecks
from tests.cases import for_each_case


class Counts:
    """As many tokens as a prompt has words, and twice as many for T5."""

    is_known = True

    def count(self, field: str, prompt: str, spec: LoadSpec) -> Sequence[TokenCount]:
        if not self.is_known:
            raise NotSupported("no vocabulary")
        words = len(prompt.split())
        return [
            TokenCount(Encoder(name, "clip", chunk), count, max(1, -(-count // chunk)), None, True)
            for name, chunk, count in (("clip_l", 75, words), ("t5xxl", 76, 2 * words))
        ]


def spec(architecture: str) -> LoadSpec:
    file = FileRef(name="m.gguf", path="/m.gguf")
    return LoadSpec(model=file, kind="diffusion", architecture=architecture)


def check(architecture: str = "SD3.x", counts: Any = None, **fields: Any) -> None:
    params = ImageParams(**{"prompt": "a", "cfg_scale": 5.0, **fields})
    ChunkChecks(cast(Any, counts or Counts())).check(params, spec(architecture))


@for_each_case(
    ("fields", "field"),
    [
        ({"prompt": "cat " * 40}, "prompt"),
        ({"prompt": "cat " * 100}, "prompt"),
        ({"negative_prompt": "cat " * 40}, "negative_prompt"),
    ],
)
def test_a_prompt_whose_parts_are_not_as_many_for_all_is_refused(fields: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidRequest, match="t5xxl has") as refused:
        check(**fields)
    assert refused.value.detail["field"] == field


@for_each_case(
    ("architecture", "fields"),
    [
        ("SD3.x", {"prompt": "cat " * 38}),
        ("SD3.x", {"negative_prompt": "cat " * 40, "cfg_scale": 1.0}),
        ("Flux", {"prompt": "cat " * 40}),
        ("SD3.x", {"prompt": ""}),
    ],
)
def test_all_others_are_drawn(architecture: str, fields: dict[str, Any]) -> None:
    check(architecture, **fields)


def test_where_tokens_cannot_be_counted_nothing_is_refused() -> None:
    counts = Counts()
    counts.is_known = False
    check(counts=counts, prompt="cat " * 40)
