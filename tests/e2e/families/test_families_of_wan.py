"""Wan: videos through HTTP, and what is asked of the wrong kind of model."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.e2e.families.family_server import FamilyServer, encoded, every_family, scene

pytestmark = [pytest.mark.e2e, pytest.mark.native]


def film(server: FamilyServer, frames: int = 5, **fields: Any) -> bytes:
    """The file of a video job, which must be an MP4."""
    job = server.run("/txt2vid", video_frames=frames, fps=8, **fields)
    address = next(output for output in job["outputs"] if output.endswith("video.mp4"))
    answer = requests.get(f"{server.url}/output/{address.removeprefix('/output/')}", timeout=60)
    answer.raise_for_status()
    assert answer.content[4:8] == b"ftyp"
    assert len(answer.content) > 500
    return answer.content


def test_video_of_text(server: FamilyServer) -> None:
    with server.stocked("wan21"):
        server.load_family("wan21")
        film(server, frames=5)
        server.record("wan21", "video of 5 frames, 64x64")


def test_each_kind_of_model_refuses_the_other_kind_of_job(server: FamilyServer) -> None:
    with server.stocked("wan21", "klein"):
        pid = server.engine().pid
        server.load_family("wan21")
        answer = server.post("/txt2img", {"prompt": "a lighthouse", "width": 64, "height": 64, "steps": 1})
        assert answer.status_code == 400, answer.text
        server.load_family("klein")
        answer = server.post("/txt2vid", {"prompt": "a lighthouse", "width": 64, "height": 64, "steps": 1})
        assert answer.status_code == 400, answer.text
        assert server.draw().shape == (64, 64, 3)
        assert server.engine().pid == pid


def test_video_that_follows_a_control_picture(server: FamilyServer) -> None:
    with server.stocked("wan21_vace"):
        server.load_family("wan21_vace")
        film(server, control_frames=[encoded(scene())] * 5, vace_strength=0.5)
        server.record("wan21_vace", "video of 5 frames with control frames, 64x64")


@every_family
def test_video_from_a_first_frame(server: FamilyServer) -> None:
    with server.stocked("wan21_i2v"):
        server.load_family("wan21_i2v")
        film(server, init_image_base64=encoded(scene()))
        server.record("wan21_i2v", "video of 5 frames from a first frame, 64x64")


@every_family
def test_video_of_two_experts(server: FamilyServer) -> None:
    with server.stocked("wan21_experts"):
        server.load_family("wan21_experts")
        film(server, steps=2, high_noise_steps=1, high_noise_cfg_scale=1.0)
        server.record("wan21_experts", "video of 5 frames, a step of each expert, 64x64")


@every_family
@pytest.mark.parametrize("from_picture", [False, True])
def test_video_of_the_5b_model(server: FamilyServer, from_picture: bool) -> None:
    with server.stocked("wan22"):
        server.load_family("wan22")
        film(server, **({"init_image_base64": encoded(scene())} if from_picture else {}))
        server.record("wan22", f"video of 5 frames{' from a first frame' if from_picture else ''}, 64x64")
