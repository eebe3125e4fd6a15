"""Downloads through a real server process: cut connections, kill -9 in the middle, and a picture drawn meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import ServerProcess
from tests.servers.hub_server import HubServer, Repository
from tests.services.downloads.conftest import MODEL

pytestmark = pytest.mark.e2e

HALF = len(MODEL) // 2


def settings(hub: HubServer) -> tuple[str, ...]:
    return (
        'downloads.allow_private_hosts=["127.0.0.1"]',
        f"downloads.huggingface_endpoint={hub.url}",
        # The one in the environment of every server of the tests is no good one.
        'downloads.huggingface_token="hf_right"',
        "downloads.retry_pause_seconds=0.01",
        "engine.runner=fake",
    )


def has_half(job: dict[str, Any]) -> bool:
    return bool(job["progress"].get("downloaded_bytes", 0) >= HALF)


def test_a_download_survives_the_server_being_killed_again_and_again(
    make_server: Callable[..., ServerProcess], hub: HubServer
) -> None:
    file = hub.add("org/styles", Repository({"style.safetensors": MODEL}))["style.safetensors"]
    # The first connection is cut; the next ones stop after 300,000 bytes more.
    file.hold_after, file.cuts = 300_000, [100_000]
    server = make_server(*settings(hub), "queue.max_requeues=0")
    told = server.post("/models/download", {"model_type": "lora", "repo_id": "org/styles"}).json()
    job_id = told["download_job_id"]
    server.wait(job_id, lambda job: job["progress"].get("downloaded_bytes", 0) >= 400_000)
    for _ in range(2):
        server.kill()
        server.start()
        server.wait(job_id, lambda job: job["status"] == "processing" and "downloaded_bytes" in job["progress"])
    file.release.set()
    assert server.wait(job_id)["status"] == "completed"
    assert server.wait(told["hash_job_id"])["status"] == "completed"
    assert (server.folder / "models" / "loras" / "style.safetensors").read_bytes() == MODEL
    starts = [int(one.headers.get("range", "bytes=0-")[6:-1]) for one in hub.cdn.asked]
    assert starts[:3] == [0, 100_000, 400_000]
    assert starts == sorted(starts), "never again from the beginning"


def test_a_stop_in_the_middle_is_quick_and_loses_nothing(
    make_server: Callable[..., ServerProcess], hub: HubServer
) -> None:
    file = hub.add("org/styles", Repository({"style.safetensors": MODEL}))["style.safetensors"]
    file.hold_after = HALF
    server = make_server(*settings(hub))
    told = server.post("/models/download", {"model_type": "lora", "repo_id": "org/styles"}).json()
    server.wait(told["download_job_id"], has_half)
    drawn = server.submit("a red circle", steps=2)
    assert server.wait(drawn)["status"] == "completed"
    server.stop()
    file.release.set()
    server.start()
    assert server.wait(told["hash_job_id"])["status"] == "completed"
    assert hub.cdn.asked[-1].headers["range"] == f"bytes={HALF}-"
    log = server.log.read_text()
    assert "Traceback" not in log
