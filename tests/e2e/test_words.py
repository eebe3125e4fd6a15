"""Styles, wildcards, expansion and tokens, before a real server with the real library."""

from __future__ import annotations

import time

import pytest

from sdcpp_rest.client import Client
from tests.e2e.conftest import ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.native]


def test_tokens_of_the_loaded_model_are_counted(shared_server: ServerProcess) -> None:
    shared_server.wait_loaded()
    with Client(shared_server.url) as client:
        counted = client.count_prompt_tokens(prompt="a (red:1.2) circle, don't <lora:x>", negative_prompt="😀")
        started = time.perf_counter()
        client.count_prompt_tokens(prompt="word " * 3_000)
        seconds = time.perf_counter() - started
    assert counted["model"] == "demo_dit_q8_0.gguf"
    assert [(one["encoder"], one["count"], one["exact"]) for one in counted["prompt"]] == [("llm", 7, True)]
    assert counted["negative_prompt"][0]["exact"] is False
    assert seconds < 5


def test_words_are_those_that_the_job_draws(shared_server: ServerProcess) -> None:
    shared_server.wait_loaded()
    with Client(shared_server.url) as client:
        client.keep_wildcard("colours", entries=["red", "green", "blue"])
        client.keep_style("Plain", prompt="{prompt} on a white background")
        asked = {"prompt": "a <wildcard:colours> {circle|square}", "styles": ["Plain"], "seed": 11}
        (expanded,) = client.expand_prompt(**asked)["prompts"]  # type: ignore[arg-type]
        job = client.txt2img(**asked, expand_prompt=True, width=64, height=64, steps=1)  # type: ignore[arg-type]
        assert job.answer["resolved_prompt"] == expanded["prompt"]
        job.result(120)
        assert expanded["wildcards"] == ["colours"]
        client.remove_wildcard("colours")
        client.remove_style("Plain")
