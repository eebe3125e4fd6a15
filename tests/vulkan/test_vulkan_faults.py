"""A Vulkan device with faults: what it does not give or loses costs one load or one job, and is called by its name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.vulkan.conftest import Faults, VulkanServer

pytestmark = [pytest.mark.vulkan, pytest.mark.slow]

# In bytes: the weights of the demo model ask for more than this; between those, at 32 x 32 pixels, only the VAE does.
WEIGHTS, VAE_BUFFER = 1_000_000, (1_500_000, 2_500_000)


@pytest.fixture(scope="module")
def server(faults: Faults, make_vulkan_server: Callable[..., VulkanServer]) -> VulkanServer:
    made = make_vulkan_server()
    assert made.draw()["status"] == "completed"
    return made


def test_weights_without_memory_fail_the_load_with_507(server: VulkanServer, faults: Faults) -> None:
    faults.refuse(WEIGHTS)
    refused = server.load(enable_mmap=False)
    assert refused.status_code == 507, refused.text
    assert "Not enough memory: the " in refused.json()["error"]
    assert " on Vulkan0" in refused.json()["error"]
    faults.end()
    assert server.load().status_code == 200
    assert server.draw()["status"] == "completed"


def test_vae_without_memory_fails_the_job_by_name_and_the_next_one_is_drawn(
    server: VulkanServer, faults: Faults
) -> None:
    faults.refuse(*VAE_BUFFER)
    failed = server.draw()
    assert failed["status"] == "failed"
    assert failed["error_code"] == "out_of_memory"
    assert "Not enough memory: the VAE asked for " in failed["error"]
    faults.end()
    assert server.draw()["status"] == "completed"


def test_lost_device_costs_one_job(server: VulkanServer, faults: Faults) -> None:
    faults.lose()
    lost = server.draw()
    assert lost["status"] == "failed"
    assert "ErrorDeviceLost" in lost["error"]
    assert server.draw()["status"] == "completed", "the next job gets an engine that has a device"


def test_free_memory_is_never_more_than_there_is(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    # A driver may have given away more than it is allowed to: the library's difference is then 18 quintillion bytes.
    monkeypatch.setenv("BUDGET", f"{1 << 20} {1 << 30}")
    told = subprocess.run([sys.executable, "-m", "sdcpp_rest", "doctor", "--json"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    gpu = next(device for device in json.loads(told.stdout)["devices"] if device["is_gpu"])
    assert 0 <= gpu["free_bytes"] <= gpu["total_bytes"]
