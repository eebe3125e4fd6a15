"""Pictures are read back, and drawn again to the last bit from what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import requests

from tests.e2e.conftest import TIMEOUT, ServerProcess
from tests.e2e.test_img2img import encoded, img2img, scene
from tests.e2e.test_pictures import pixels_of

pytestmark = [pytest.mark.e2e, pytest.mark.native]


def read(server: ServerProcess, file: bytes) -> dict[str, Any]:
    answer = requests.post(f"{server.url}/metadata/read", data=file, timeout=TIMEOUT)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def draw_again(server: ServerProcess, told: dict[str, Any], **more: str) -> np.ndarray:
    answer = server.post(f"/{told['submit']['kind']}", {**told["submit"]["body"], **more})
    assert answer.status_code == 202, answer.text
    assert "warnings" not in answer.json(), answer.text
    job = server.wait(answer.json()["job_id"])
    assert job["status"] == "completed", job
    return pixels_of(server.picture(job["job_id"]))


ODD = [
    {"sampler": "dpm++2m", "scheduler": "karras", "width": 96, "height": 64, "cfg_scale": 3.25, "steps": 7},
    {"sampler": "euler_a", "eta": 0.37, "seed": 2**40 + 1, "negative_prompt": "green, (square:1.3)", "steps": 5},
    {"custom_sigmas": [1.0, 0.8, 0.45, 0.1, 0.0], "sampler": "euler", "steps": 4},
    {"flow_shift": 1.7, "slg_scale": 1.5, "skip_layers": [1], "slg_start": 0.1, "slg_end": 0.9},
    {"cache_mode": "easycache", "cache_options": {"threshold": 0.9, "start": 0.1, "end": 0.9}, "steps": 16},
    {
        "hires": True,
        "hires_scale": 1.5,
        "hires_steps": 4,
        "hires_denoising_strength": 0.55,
        "hires_upscaler": "Lanczos",
    },
    {"hires": True, "hires_width": 96, "hires_height": 128, "hires_upscaler": "Latent (bicubic)"},
    {"vae_tiling": True, "vae_tile_size_x": 4, "vae_tile_size_y": 4, "vae_tile_overlap": 0.25},
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: next(iter(odd)))
def test_picture_is_drawn_again_to_the_last_bit(shared_server: ServerProcess, odd: dict[str, Any]) -> None:
    fields = {"seed": 77, **odd}
    job = shared_server.wait(shared_server.submit("a red circle\non a (blue:1.1) background", **fields))
    assert job["status"] == "completed", job
    picture = shared_server.picture(job["job_id"])
    told = read(shared_server, picture)
    assert (told["tool"], told["submit"]["kind"], told["unmapped"].keys()) == ("sdcpp-rest", "txt2img", {"Version"})
    assert {name: told["fields"][name] for name in fields if told["fields"].get(name) != fields[name]} == {}
    assert (draw_again(shared_server, told) == pixels_of(picture)).all()


def test_second_picture_of_a_batch_is_drawn_again_alone(shared_server: ServerProcess) -> None:
    job = shared_server.wait(shared_server.submit("a green square", batch_count=2, seed=5, steps=4))
    picture = shared_server.picture(job["job_id"], 1)
    told = read(shared_server, picture)
    assert told["fields"]["seed"] == 6
    assert (draw_again(shared_server, told) == pixels_of(picture)).all()


def test_picture_with_a_lora_is_drawn_again(shared_server: ServerProcess) -> None:
    job = shared_server.wait(shared_server.submit("a red circle <lora:demo_lora:0.123456789>", seed=9, steps=4))
    picture = shared_server.picture(job["job_id"])
    told = read(shared_server, picture)
    assert told["fields"]["loras"] == [{"name": "demo_lora", "weight": 0.123456789}]
    assert (draw_again(shared_server, told) == pixels_of(picture)).all()


@pytest.mark.parametrize("more", [{}, {"hires": True, "hires_scale": 1.5, "hires_denoising_strength": 0.45}], ids=str)
def test_picture_from_a_picture_is_drawn_again_with_that_picture(
    shared_server: ServerProcess, more: dict[str, Any]
) -> None:
    source = encoded(scene())
    job = img2img(shared_server, init_image_base64=source, strength=0.62, **more)
    picture = shared_server.picture(job["job_id"])
    told = read(shared_server, picture)
    assert (told["submit"]["kind"], told["submit"]["needs"]) == ("img2img", ["init_image_base64"])
    assert told["fields"]["strength"] == 0.62
    assert (draw_again(shared_server, told, init_image_base64=source) == pixels_of(picture)).all()
