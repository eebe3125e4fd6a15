from __future__ import annotations

import json
from typing import Any

from sdcpp_rest.core import infotext, novelai_text
from tests.cases import for_each_case

NOTE: dict[str, Any] = {
    "prompt": "1girl",
    "steps": 28,
    "height": 1216,
    "width": 832,
    "scale": 5.0,
    "seed": 42,
    "sampler": "k_euler_ancestral",
    "noise_schedule": "karras",
    "uc": "lowres",
}


def entries(note: Any, **more: str) -> dict[str, str]:
    return {"Software": "NovelAI", "Description": "words", "Comment": json.dumps(note), **more}


def test_what_was_written_is_read_as_an_infotext() -> None:
    assert infotext.parse(novelai_text.write(entries(NOTE, Source="NAI 3"), (8, 8))) == {
        "Prompt": "1girl", "Negative prompt": "lowres", "Steps": "28", "Sampler": "Euler a",
        "Schedule type": "Karras", "CFG scale": "5.0", "Seed": "42", "Size-1": "832", "Size-2": "1216",
        "Model": "NAI 3",
    }  # fmt: skip


def test_prompts_are_found_where_newer_versions_put_them() -> None:
    note = {**NOTE, "prompt": None, "uc": "", "v4_prompt": {"caption": {"base_caption": "new"}}}
    note["v4_negative_prompt"] = {"caption": {"base_caption": "worse"}}
    read = infotext.parse(novelai_text.write(entries(note), (8, 8)))
    assert (read["Prompt"], read["Negative prompt"]) == ("new", "worse")
    del note["v4_prompt"]
    assert infotext.parse(novelai_text.write(entries(note), (8, 8)))["Prompt"] == "words"


def test_a_size_that_is_missing_is_the_pictures() -> None:
    assert "Size: 8x16" in novelai_text.write(entries({"steps": 1}), (8, 16))


@for_each_case(
    "found",
    [
        {},
        {"Software": "another", "Comment": "{}"},
        {"Software": "NovelAI"},
        {"Software": "NovelAI", "Comment": "{"},
        {"Software": "NovelAI", "Comment": "[]"},
        {"Software": "NovelAI", "Comment": "[" * 100_000},
        {"Software": "NovelAI", "Comment": '{"seed":' + "9" * 10_000 + "}"},
    ],
)
def test_what_is_not_its_own_is_nothing(found: dict[str, str]) -> None:
    assert novelai_text.write(found, (8, 8)) == ""


def test_values_of_the_wrong_kind_are_left_out() -> None:
    note = {"steps": "x", "seed": True, "scale": float("inf"), "sampler": 5, "uc": [], "width": {}, "prompt": 1}
    note["v4_prompt"] = {"caption": "no object"}
    assert novelai_text.write(entries(note), (8, 8)) == "words\nSize: 8x8"
