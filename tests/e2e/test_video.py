"""Videos as a client sees them: events on the way, one file that plays, a stop in the middle. The model is a Wan with
two experts, of random weights."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
import requests
from PIL import Image
from websockets.sync.client import ClientConnection, connect

from tests.e2e.families.family_server import SCRATCH, FamilyServer, encoded, scene

pytestmark = [pytest.mark.e2e, pytest.mark.native]
TIMEOUT = 120.0
ASKED: dict[str, Any] = {
    "prompt": "a lighthouse", "width": 56, "height": 40, "video_frames": 7, "fps": 12, "steps": 1, "cfg_scale": 1.0,
    "high_noise_steps": 1, "high_noise_cfg_scale": 1.0, "seed": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[FamilyServer]:
    """With the two experts loaded."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=SCRATCH))
    served = FamilyServer(folder)
    try:
        served.start()
        with served.stocked("wan21_experts"):
            served.load_family("wan21_experts")
            yield served
    finally:
        served.stop()
        shutil.rmtree(folder, ignore_errors=True)


def next_event(events: ClientConnection, job_id: str) -> tuple[str, dict[str, Any]]:
    """Name and data of the job's next event."""
    while True:
        message = json.loads(events.recv(timeout=TIMEOUT))
        if message["data"].get("job_id") == job_id:
            return message["event"], message["data"]


def submit(server: FamilyServer, **more: Any) -> str:
    answer = server.post("/txt2vid", {**ASKED, **more})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


def test_video_is_told_of_step_by_step_and_plays(server: FamilyServer) -> None:
    progress, previews = [], []
    with connect(server.ws_url) as events:
        # No autoencoder runs for it: the preview is the latent's own colours.
        requests.put(f"{server.url}/preview/settings", json={"enabled": True, "mode": "proj"}, timeout=TIMEOUT)
        job_id = submit(server, init_image_base64=encoded(scene()))
        while True:
            name, seen = next_event(events, job_id)
            if name == "job_progress":
                progress.append((seen["phase"], seen["step"], seen["total_steps"]))
            elif name == "job_preview":
                previews.append((seen["step"], seen["frame_count"]))
            elif name == "job_status_changed" and seen["status"] not in ("pending", "processing"):
                break
    job = server.job(job_id)
    assert job["status"] == "completed", job
    assert [one for one in progress if one[1] and one[0] == "sampling"] == [("sampling", 1, 2), ("sampling", 2, 2)]
    assert list(dict.fromkeys(phase for phase, _, _ in progress)) == [
        "conditioning",
        "sampling",
        "decoding",
        "encoding",
    ]
    assert previews == [(1, 2), (2, 2)], "both experts show their two latent frames"
    assert job["outputs"] == [f"{job_id}/video.mp4"]

    url = f"{server.url}/output/{job_id}/video.mp4"
    whole = requests.get(url, timeout=TIMEOUT)
    assert (whole.status_code, whole.headers["Content-Type"]) == (200, "video/mp4")
    part = requests.get(url, headers={"Range": "bytes=4-11"}, timeout=TIMEOUT)
    assert (part.status_code, part.content) == (206, whole.content[4:12])
    with av.open(io.BytesIO(whole.content)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert (stream.average_rate, stream.codec_context.name) == (12, "h264")
    assert [frame.shape for frame in frames] == [(40, 56, 3)] * 5
    assert all(frame.std() > 1 for frame in frames), "random weights make no flat colours"

    record = server.get(f"/output/{job_id}/config.json")
    assert (record["type"], record["params"]["video_frames"], record["params"]["fps"]) == ("txt2vid", 7, 12)
    assert any("5 will be made" in warning for warning in record["warnings"])
    assert any("64x48 was drawn and cropped to 56x40" in warning for warning in record["warnings"])
    assert any("init_image was ignored" in warning for warning in record["warnings"])
    assert job["timings"]["load_seconds"] < 0.5, "the model stays as it is: nothing is read"
    poster = requests.get(f"{server.url}/thumb/{job_id}/video.mp4", timeout=TIMEOUT)
    with Image.open(io.BytesIO(poster.content)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (120, 120))


def test_running_video_stops_within_a_step_of_the_first_expert(server: FamilyServer) -> None:
    engine = server.engine().pid
    with connect(server.ws_url) as events:
        job_id = submit(server, width=16, height=16, video_frames=1, high_noise_steps=1000)
        steps: list[int] = []
        while not steps or steps[-1] < 1:
            name, seen = next_event(events, job_id)
            if name == "job_progress" and seen["phase"] == "sampling":
                steps.append(seen["step"])
        assert requests.delete(f"{server.url}/queue/{job_id}", timeout=TIMEOUT).status_code == 200
        while True:
            name, seen = next_event(events, job_id)
            if name == "job_progress":
                steps.append(seen["step"])
            elif name == "job_status_changed" and seen["status"] == "cancelled":
                break
    assert steps[-1] - 1 <= 2, steps
    assert server.engine().pid == engine
