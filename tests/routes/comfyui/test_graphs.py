"""Graphs that well-known clients send, against the jobs they become: each file of `graphs` beside the one that says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.core.job import Job
from tests.routes.comfyui.conftest import Prompter, png_base64

FOLDER = Path(__file__).parent / "graphs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json") if not path.stem.endswith("_jobs"))
ALWAYS = ("width", "height", "steps", "cfg_scale", "sampler", "scheduler", "seed", "prompt", "negative_prompt")
SOMETIMES = {
    "batch_count": 1, "clip_skip": -1, "control_strength": 0.9, "distilled_guidance": 3.5, "flow_shift": None, "fps": 0,
    "hires": False, "output_format": "", "preprocess": "", "strength": 0.75, "upscale": False, "vae_tiling": False,
    "video_frames": 0, "loras": [], "upscaler": None,
}  # fmt: skip
HIRES = ("hires_width", "hires_height", "hires_steps", "hires_denoising_strength", "hires_upscaler")
TILES = ("vae_tile_size_x", "vae_tile_size_y", "vae_tile_overlap")


def describe(job: Job) -> dict[str, Any]:
    """What a job draws, as far as graphs decide: what everybody has is left out."""
    params = job.params
    names = [name for name in ALWAYS if name in params]
    names += [name for name, usual in SOMETIMES.items() if name in params and params[name] != usual]
    names += HIRES if params.get("hires") else ()
    names += TILES if params.get("vae_tiling") else ()
    told = {name: strip(params[name]) for name in names}
    spec = job.load_spec
    files = {"model": spec.model.name, **{role: file.name for role, file in spec.components.items()}} if spec else {}
    return {"kind": job.kind, "params": told, "files": files, "inputs": sorted(job.inputs), "warnings": [*job.warnings]}


def strip(value: Any) -> Any:
    """Files by their names: where they lie changes from test to test."""
    if isinstance(value, dict):
        return {name: strip(inner) for name, inner in value.items() if name != "path"}
    return [strip(inner) for inner in value] if isinstance(value, list) else value


def read(name: str) -> Any:
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    return json.loads(text.replace("@png@", png_base64()))


@pytest.mark.parametrize("name", NAMES)
def test_graph_becomes_the_jobs_beside_it(waiting: Prompter, name: str) -> None:
    jobs = waiting.jobs(waiting.submit(read(name)))
    assert [describe(job) for job in jobs] == read(f"{name}_jobs")
