"""The main job: a prompt goes in over HTTP, the right picture comes out, pixel for pixel what the library draws."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sdcpp_rest.core.sampling import SAMPLERS
from tests.e2e.conftest import ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.native]

_COLOURS = {"red": (220, 40, 40), "blue": (30, 60, 220), "green": (40, 160, 60), "yellow": (240, 220, 40), "white":
(245, 245, 245), "black": (15, 15, 15)}  # fmt: skip


def pixels_of(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def nearest_colour(pixel: np.ndarray) -> str:
    return min(_COLOURS, key=lambda name: float(np.abs(pixel - np.array(_COLOURS[name])).sum()))


@pytest.mark.parametrize(
    ("foreground", "shape", "background"),
    [
        ("red", "circle", "blue"),
        ("yellow", "square", "black"),
        ("green", "circle", "white"),
        ("blue", "square", "yellow"),
    ],
)
def test_picture_shows_what_the_prompt_says(
    shared_server: ServerProcess, foreground: str, shape: str, background: str
) -> None:
    job = shared_server.wait(shared_server.submit(f"a {foreground} {shape} on a {background} background", seed=5))
    assert job["status"] == "completed", job
    pixels = pixels_of(shared_server.picture(job["job_id"]))
    assert pixels.shape == (64, 64, 3)
    assert nearest_colour(np.median(pixels[28:36, 28:36].reshape(-1, 3), axis=0)) == foreground
    corners = np.concatenate([pixels[:4, :4].reshape(-1, 3), pixels[-4:, -4:].reshape(-1, 3)])
    assert nearest_colour(np.median(corners, axis=0)) == background


COMBINATIONS = [
    {"sampler": "euler", "scheduler": "discrete", "width": 64, "height": 64, "cfg_scale": 2.5, "seed": 1},
    {"sampler": "euler_a", "scheduler": "discrete", "width": 64, "height": 64, "cfg_scale": 2.5, "seed": 2},
    {"sampler": "heun", "scheduler": "karras", "width": 64, "height": 64, "cfg_scale": 2.0, "seed": 3},
    {"sampler": "dpm2", "scheduler": "exponential", "width": 64, "height": 96, "cfg_scale": 2.5, "seed": 4},
    {"sampler": "dpm++2s_a", "scheduler": "sgm_uniform", "width": 96, "height": 64, "cfg_scale": 3.0, "seed": 5},
    {"sampler": "dpm++2m", "scheduler": "simple", "width": 64, "height": 64, "cfg_scale": 1.0, "seed": 6},
    {"sampler": "dpm++2mv2", "scheduler": "smoothstep", "width": 32, "height": 64, "cfg_scale": 2.5, "seed": 7},
    {"sampler": "ipndm", "scheduler": "discrete", "width": 64, "height": 32, "cfg_scale": 2.5, "seed": 8},
    {"sampler": "ipndm_v", "scheduler": "kl_optimal", "width": 64, "height": 64, "cfg_scale": 1.5, "seed": 9},
    {"sampler": "lcm", "scheduler": "lcm", "width": 64, "height": 64, "cfg_scale": 1.0, "seed": 10},
    {"sampler": "ddim_trailing", "scheduler": "discrete", "width": 48, "height": 48, "cfg_scale": 2.5, "seed": 11},
    {"sampler": "res_multistep", "scheduler": "bong_tangent", "width": 64, "height": 64, "cfg_scale": 2.5, "seed": 12},
    {"sampler": "er_sde", "scheduler": "simple", "width": 64, "height": 64, "cfg_scale": 2.5, "seed": 2**31 + 5},
]


def test_pictures_are_bit_identical_to_the_raw_librarys(shared_server: ServerProcess, tmp_path: Path) -> None:
    """The reference calls the binding's raw functions in a process of its own, with nothing of ours in between."""
    prompt = "a red circle on a blue background"
    requests = [{"prompt": prompt, "steps": 4, "eta": 0.0, **fields} for fields in COMBINATIONS]
    (tmp_path / "requests.json").write_text(json.dumps(requests))
    script = Path(__file__).with_name("raw_reference.py")
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, timeout=300)
    assert len(requests) >= 12
    jobs = [shared_server.submit(**request) for request in requests]
    for index, job_id in enumerate(jobs):
        assert shared_server.wait(job_id)["status"] == "completed"
        ours = pixels_of(shared_server.picture(job_id))
        expected = np.load(tmp_path / f"{index}.npy")
        assert np.array_equal(ours, expected), COMBINATIONS[index]


def test_batch_draws_seed_plus_k(shared_server: ServerProcess) -> None:
    fields = {"steps": 4, "sampler": "euler"}
    batch = shared_server.wait(
        shared_server.submit("a red circle on a blue background", batch_count=3, seed=20, **fields)
    )
    single = shared_server.wait(shared_server.submit("a red circle on a blue background", seed=22, **fields))
    assert len(batch["outputs"]) == 3
    assert batch["progress"] == {
        "step": 4, "total_steps": 4, "current_image": 2, "total_images": 3, "all_steps": 12, "current_all_steps": 12,
        "percentage": 100.0, "phase": "done",
    }  # fmt: skip
    third, alone = shared_server.picture(batch["job_id"], 2), shared_server.picture(single["job_id"])
    assert np.array_equal(pixels_of(third), pixels_of(alone))
    assert "Seed: 22" in Image.open(io.BytesIO(third)).text["parameters"]


def test_size_off_the_grid_is_cropped_to_what_was_asked_with_a_warning(shared_server: ServerProcess) -> None:
    job = shared_server.wait(shared_server.submit("a red circle on a blue background", width=65, height=50, steps=2))
    assert pixels_of(shared_server.picture(job["job_id"])).shape == (50, 65, 3)
    assert any("cropped to 65x50" in warning for warning in job["warnings"])


def test_smallest_size_works(shared_server: ServerProcess) -> None:
    job = shared_server.wait(shared_server.submit("a red circle", width=8, height=8, steps=1))
    assert job["status"] == "completed", job
    assert pixels_of(shared_server.picture(job["job_id"])).shape == (8, 8, 3)


def test_512_works_and_warns_that_the_demo_model_draws_smaller(shared_server: ServerProcess) -> None:
    response = shared_server.post("/txt2img", {"prompt": "a red circle", "width": 512, "height": 512, "steps": 1})
    assert response.status_code == 202
    assert any("64" in warning and "128" in warning for warning in response.json()["warnings"])
    assert shared_server.wait(response.json()["job_id"])["status"] == "completed"


def test_record_draws_the_same_picture_again(shared_server: ServerProcess) -> None:
    first = shared_server.wait(shared_server.submit("a yellow star on a black background", steps=4))
    record = shared_server.get(f"/output/{first['job_id']}/config.json")
    params = {name: value for name, value in record["params"].items() if value is not None and name != "loras"}
    second = shared_server.wait(shared_server.submit(**params))
    assert first["seed"] == second["seed"] >= 0
    assert shared_server.picture(first["job_id"]) == shared_server.picture(second["job_id"])


def test_lora_changes_the_picture_and_its_absence_restores_it(shared_server: ServerProcess) -> None:
    prompt, fields = "a red circle on a blue background", {"seed": 3, "steps": 8}
    pictures = []
    for tag in ("", " <lora:demo_lora:1>", ""):
        job = shared_server.wait(shared_server.submit(prompt + tag, **fields))
        assert job["status"] == "completed", job
        pictures.append(pixels_of(shared_server.picture(job["job_id"])))
    assert np.array_equal(pictures[0], pictures[2]), "the LoRA leaves nothing behind"
    assert np.abs(pictures[0] - pictures[1]).mean() > 5


def test_load_by_name_alone_corrects_the_type(shared_server: ServerProcess) -> None:
    response = shared_server.post("/models/load", {"model_name": "demo_dit_q8_0.gguf", "model_type": "checkpoint"})
    body = response.json()
    assert response.status_code == 200, body
    assert body["model_type"] == "diffusion"
    assert body["loaded_components"]["llm"] == "demo_llm_q4_0.gguf"
    assert any("checkpoint" in warning for warning in body["warnings"])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_completes(shared_server: ServerProcess, sampler: str) -> None:
    assert sampler in shared_server.get("/options")["samplers"]
    job = shared_server.wait(shared_server.submit("a red circle", width=16, height=16, steps=2, sampler=sampler))
    assert job["status"] == "completed", job
