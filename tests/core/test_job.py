"""What a job says about itself."""

from __future__ import annotations

from typing import Any

from sdcpp_rest.core.job import Job, JobKind
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from tests.cases import for_each_case

FILE = FileRef(name="a.gguf", path="/a.gguf")
ONE = LoadSpec(model=FILE, kind="diffusion")
TWO = LoadSpec(model=FILE, kind="diffusion", components={"high_noise_diffusion_model": FILE})


@for_each_case(("kind", "spec", "params", "steps"), [
    ("txt2img", ONE, {"steps": 20}, 20),
    ("txt2vid", ONE, {"steps": 20, "high_noise_steps": 7}, 20),
    ("txt2vid", TWO, {"steps": 20, "high_noise_steps": 7}, 27),
    ("txt2vid", TWO, {"steps": 20, "high_noise_steps": -1}, 20),
    ("txt2vid", TWO, {"steps": 20, "custom_sigmas": [1.0, 0.5, 0.0]}, 2),
    ("txt2vid", None, {"steps": 20}, 20),
    ("upscale", None, {}, 0),
])  # fmt: skip
def test_steps_are_those_of_both_experts(
    kind: JobKind, spec: LoadSpec | None, params: dict[str, Any], steps: int
) -> None:
    assert Job(id="j", kind=kind, load_spec=spec, params=params).step_count == steps
