"""Houses that take local servers for Hugging Face and CivitAI, and what tests ask them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.routes.conftest import PATIENCE_SECONDS, House
from tests.servers.civitai_server import CivitaiServer
from tests.servers.hub_server import HubServer
from tests.services.downloads.conftest import MODEL

SUM = hashlib.sha256(MODEL).hexdigest()
HALF = len(MODEL) // 2
Houses = Callable[..., House]


@pytest.fixture
def make_ready(make_house: Houses, hub: HubServer, civitai: CivitaiServer, monkeypatch: pytest.MonkeyPatch) -> Houses:
    """Houses that take the local servers for the real ones; started unless told otherwise."""
    for name in ("HF_TOKEN", "CIVITAI_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def make(starts: bool = True, **downloads: Any) -> House:
        section = {
            "allow_private_hosts": ["127.0.0.1"],
            "huggingface_endpoint": hub.url,
            "civitai_endpoint": civitai.url,
            "retry_pause_seconds": 0.001,
            "retries": 3,
            "read_timeout_seconds": 5,
            **downloads,
        }
        house = make_house(downloads=section)
        return house.start() if starts else house

    return make


@pytest.fixture
def ready(make_ready: Houses) -> House:
    return make_ready()


def ask(house: House, **fields: Any) -> dict[str, Any]:
    answer = house.client.post("/models/download", json={"model_type": "lora", **fields})
    assert answer.status_code == 202, answer.text
    return dict(answer.get_json())


def refused(house: House, status: int, **fields: Any) -> dict[str, Any]:
    answer = house.client.post("/models/download", json={"model_type": "lora", **fields})
    assert answer.status_code == status, answer.text
    assert house.runtime.jobs.queue.list() == []
    return dict(answer.get_json())


def until_half(house: House, job_id: str) -> None:
    """Wait until half of the file has come."""
    with house.runtime.jobs.bus.subscribe(maxsize=10_000) as mailbox:
        for _ in range(PATIENCE_SECONDS * 50):
            active = house.runtime.jobs.active.get(job_id)
            if active is not None and active.transfer is not None and active.transfer.downloaded_bytes >= HALF:
                return
            mailbox.get(0.02)
    raise AssertionError("half of the file did not come")


def folder(house: House, type: str = "loras") -> Path:
    return house.config.paths.models_dir / type


def left(house: House) -> list[str]:
    return sorted(path.name for path in house.config.paths.models_dir.rglob("*") if path.is_file())


def listed(house: House) -> list[str]:
    return [
        one["name"] for one in house.client.get("/models?type=lora").get_json()["loras"] if "demo" not in one["name"]
    ]
