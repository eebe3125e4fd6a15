from __future__ import annotations

import json

import pytest

from sdcpp_rest.core.job import Job, Timings
from sdcpp_rest.routes.swarmui.metadata import describe_job, strip_ending


def test_job_of_another_dialect_is_described_from_its_parameters() -> None:
    params = {
        "prompt": "a cat",
        "seed": 7,
        "steps": 4,
        "cfg_scale": 1.5,
        "width": 64,
        "height": 32,
        "negative_prompt": "",
    }
    loras = [{"name": "style.safetensors", "path": "/x", "weight": 0.5}]
    job = Job(id="1", kind="txt2img", params={**params, "loras": loras}, timings=Timings(native_seconds=2.314))
    found = json.loads(describe_job(job, "1.0"))
    shown = found["sui_image_params"]
    assert (shown["prompt"], shown["seed"], shown["cfgscale"]) == ("a cat", 7, 1.5)
    assert (shown["loras"], shown["loraweights"], shown["swarm_version"]) == (["style"], ["0.5"], "1.0")
    assert "negativeprompt" not in shown
    assert found["sui_extra_data"]["generation_time"] == "2.31 sec"


def test_caption_of_a_job_is_kept_and_gets_its_times() -> None:
    caption = json.dumps({"sui_image_params": {"prompt": "é"}, "sui_extra_data": {"date": "2026-01-01"}})
    found = json.loads(describe_job(Job(id="1", kind="txt2img", caption=caption), "1.0"))
    assert found["sui_image_params"] == {"prompt": "é"}
    assert found["sui_extra_data"]["date"] == "2026-01-01"
    assert found["sui_extra_data"]["prep_time"].endswith(" sec")
    assert "\\u00e9" in describe_job(Job(id="1", kind="txt2img", caption=caption), "1.0")


@pytest.mark.parametrize(
    ("name", "shown"), [("a/b.safetensors", "a/b"), ("a\\b.safetensors", "a/b"), ("m.gguf", "m.gguf")]
)
def test_models_lose_their_ending(name: str, shown: str) -> None:
    assert strip_ending(name) == shown
