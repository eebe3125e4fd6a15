"""Pictures of a Vulkan device are the CPU's, whatever the model was loaded with and whatever was cancelled before."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import requests

from tests.e2e.conftest import TIMEOUT
from tests.vulkan.conftest import PICTURE, VulkanServer, psnr

pytestmark = [pytest.mark.vulkan, pytest.mark.slow]

ALIKE_DB = 40
# A picture that is done: noise that is left, in fewer steps and pixels, is where devices differ most.
WHOLE = {"width": 64, "height": 64, "steps": 8}


@pytest.fixture(scope="module")
def server(make_vulkan_server: Callable[..., VulkanServer]) -> VulkanServer:
    return make_vulkan_server()


@pytest.fixture(scope="module")
def picture(server: VulkanServer) -> np.ndarray:
    """The device's picture, with the usual options."""
    return server.draw_pixels()


def test_doctor_names_backend_and_device() -> None:
    told = subprocess.run([sys.executable, "-m", "sdcpp_rest", "doctor", "--json"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    gpu = next(device for device in found["devices"] if device["is_gpu"])
    assert found["backend"] == gpu["backend"] == "Vulkan"
    assert gpu["name"] == "Vulkan0"
    assert gpu["description"]
    assert 0 < gpu["free_bytes"] <= gpu["total_bytes"]


def test_the_server_computes_on_the_device(server: VulkanServer) -> None:
    assert [engine["name"] for engine in server.get("/engines")["engines"]] == ["vulkan:0"]


def test_picture_is_the_cpus_but_for_rounding(
    make_vulkan_server: Callable[..., VulkanServer], server: VulkanServer, record_property: Callable[..., None]
) -> None:
    on_cpu = make_vulkan_server("engines.devices=cpu")
    assert [engine["name"] for engine in on_cpu.get("/engines")["engines"]] == ["cpu:0"]
    alike = psnr(server.draw_pixels(**WHOLE), on_cpu.draw_pixels(**WHOLE))
    record_property("psnr_db", round(alike, 1))
    assert ALIKE_DB <= alike < float("inf"), "a device draws other last bits than the CPU"


def test_same_seed_draws_the_same_bytes(server: VulkanServer, picture: np.ndarray) -> None:
    assert not np.array_equal(server.draw_pixels(seed=PICTURE["seed"] + 1), picture)
    assert np.array_equal(server.draw_pixels(), picture)


def test_cancel_leaves_the_next_picture_as_it_was(server: VulkanServer, picture: np.ndarray) -> None:
    job_id = server.submit(**{**PICTURE, "steps": 3000})
    server.wait_running(job_id)
    assert requests.delete(f"{server.url}/queue/{job_id}", timeout=TIMEOUT).status_code == 200
    assert server.wait(job_id)["status"] == "cancelled"
    assert np.array_equal(server.draw_pixels(), picture)
    assert server.get("/health")["engine"]["restarts"] == 0


@pytest.mark.parametrize("options", [{"offload_to_cpu": True}, {"offload_to_cpu": True, "max_vram": 0.01}])
def test_weights_that_wait_in_main_memory_draw_the_same_picture(
    server: VulkanServer, picture: np.ndarray, options: dict[str, object]
) -> None:
    loaded = server.load(**options)
    assert loaded.status_code == 200, loaded.text
    assert np.array_equal(server.draw_pixels(), picture)
    assert server.load().status_code == 200
