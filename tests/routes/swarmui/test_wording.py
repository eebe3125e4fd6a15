from __future__ import annotations

import json
from typing import Any

import pytest

from sdcpp_rest.core.job import Job
from tests.routes.conftest import House
from tests.routes.swarmui.conftest import SwarmClient

SMALL = {"steps": 1, "width": 64, "height": 64, "seed": 5}


def drawn(house: House, count: int = 1) -> list[Job]:
    return list(house.runtime.jobs.queue.list(limit=count, order="desc"))[::-1]


def caption(job: Job) -> dict[str, Any]:
    return dict(json.loads(job.caption or "{}"))


def test_each_picture_has_words_of_its_own_and_the_same_again(swarm: SwarmClient, house: House) -> None:
    prompt = "<random:one|two|three|four|five|six|seven|eight> things"
    fields = {**SMALL, "images": 4, "prompt": prompt}
    rounds = []
    for _ in range(2):
        swarm.call("GenerateText2Image", **fields)
        rounds.append([job.params["prompt"] for job in drawn(house, 4)])
    assert rounds[0] == rounds[1]
    assert len({*rounds[0]}) > 1
    assert all(text.endswith(" things") and "<" not in text for text in rounds[0])
    assert caption(drawn(house)[0])["sui_extra_data"]["original_prompt"] == prompt


def test_wildcard_lora_and_parameter_tags_do_what_they_say(swarm: SwarmClient, house: House) -> None:
    house.runtime.models.wildcards.write("colours/warm", "red\n")
    name = house.runtime.models.library.list()["loras"][0].name
    stem = name.rpartition(".")[0]
    swarm.call("GenerateText2Image", **SMALL, images=1, prompt=f"a <wc:warm> circle<lora:{stem}:0.5><param[steps]:2>")
    (job,) = drawn(house)
    assert job.params["prompt"].startswith("a red circle")
    assert job.params["steps"] == 2
    assert [use["weight"] for use in job.params["loras"]] == [0.5]
    text = caption(job)
    assert text["sui_image_params"]["prompt"] == "a red circle"
    assert text["sui_image_params"]["loraweights"] == ["0.5"]
    assert text["sui_extra_data"]["used_wildcards"] == ["colours/warm"]
    assert text["sui_extra_data"]["prompted_loras"] == text["sui_image_params"]["loras"]


def test_what_cannot_be_drawn_is_cut_out_and_told(swarm: SwarmClient, house: House) -> None:
    swarm.call("GenerateText2Image", **SMALL, images=1, prompt="a circle <segment:face> a smile")
    (job,) = drawn(house)
    assert job.params["prompt"].strip() == "a circle"
    assert any("segment" in line for line in caption(job)["sui_extra_data"]["parser_warnings"])


@pytest.mark.parametrize("prompt", ["<random:" * 10_000, "x" * 2_000_000, "<repeat[999999]:<repeat[999999]:x>>"])
def test_hostile_prompts_are_refused_or_drawn_in_bounds(shared_swarm: SwarmClient, prompt: str) -> None:
    shown = shared_swarm.call("GenerateText2Image", **SMALL, images=1, prompt=prompt)
    assert "prompt" in shown.get("error", "") or len(shown["images"]) == 1


def test_unknown_lora_is_told_and_the_picture_drawn(swarm: SwarmClient, house: House) -> None:
    swarm.call("GenerateText2Image", **SMALL, images=1, prompt="a circle <lora:nobody:1>")
    (job,) = drawn(house)
    assert job.params["prompt"].strip() == "a circle"
    assert any("nobody" in line for line in caption(job)["sui_extra_data"]["parser_warnings"])
    assert "<lora:nobody:1>" in caption(job)["sui_image_params"]["prompt"]


def test_unknown_preset_is_refused(shared_swarm: SwarmClient) -> None:
    refused = shared_swarm.refusal("GenerateText2Image", **SMALL, images=1, prompt="x", presets=["none"])
    assert refused == "Invalid preset 'none': there is none of that title"
