"""Fixtures of the tests on a Vulkan device made of software: servers whose engines see it, and its faults."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sdcpp_rest.native.build import source_home
from sdcpp_rest.native.vulkan_headers import fetched_folder
from tests.e2e.conftest import ServerProcess

SHIM = Path(__file__).with_name("device_faults.c")
# Shaders are compiled for llvmpipe when they are used first, which takes a minute of a busy machine.
PATIENCE_SECONDS = 600.0
PICTURE = {"prompt": "a red circle on a blue background", "width": 32, "height": 32, "steps": 2, "seed": 3}


class VulkanServer(ServerProcess):
    """A server with the demo model, and what these tests ask of it."""

    patience_seconds = PATIENCE_SECONDS
    pause_seconds = 0.25  # the device computes on the cores that would answer

    def __init__(self, folder: Path, *settings: str) -> None:
        super().__init__(folder, "engine.nice=0", *settings)

    def load(self, **options: Any) -> Any:
        return self.post(
            "/models/load", {"model_name": "demo_dit_q8_0.gguf", "model_type": "diffusion", "options": options}
        )

    def draw(self, **changes: Any) -> dict[str, Any]:
        """The finished job of a small picture."""
        return self.wait(self.submit(**{**PICTURE, **changes}))

    def draw_pixels(self, **changes: Any) -> np.ndarray:
        job = self.draw(**changes)
        assert job["status"] == "completed", job
        with Image.open(io.BytesIO(self.picture(job["job_id"]))) as picture:
            return np.asarray(picture.convert("RGB")).astype(float)


@dataclass(frozen=True)
class Faults:
    """The faults of the device that processes see which begin from here on."""

    path: Path

    def refuse(self, from_bytes: int, to_bytes: int = 1 << 40) -> None:
        """From now on nobody gets a piece of the device's memory that is so large."""
        self._write(f"refuse {from_bytes} {to_bytes}")

    def lose(self) -> None:
        """The process that uses the device next has lost it, the one after that has not."""
        self._write("lose")

    def end(self) -> None:
        self.path.unlink(missing_ok=True)

    def _write(self, line: str) -> None:
        # Renamed: the device may be reading.
        fresh = self.path.with_suffix(".new")
        fresh.write_text(line)
        fresh.replace(self.path)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """How alike two pictures are, in dB; infinite where they are the same."""
    error = float(np.mean((one - other) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


@pytest.fixture(scope="session", autouse=True)
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """The device of these tests, with no fault until one is asked for."""
    # They pass on no other device: without it they are not to look as if they had been tried.
    assert os.environ.get("GGML_VK_VISIBLE_DEVICES"), "start these tests with `make test-vulkan`"
    folder = tmp_path_factory.mktemp("faults")
    # The system's headers, or those that the library was built with because they are too old.
    built, includes = folder / "device_faults.so", fetched_folder(source_home())
    where = [f"-I{includes}"] if includes else []
    compiler = ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*compiler, *where, "-o", built, SHIM, "-ldl"], check=True)
    with pytest.MonkeyPatch.context() as patch:
        # Only processes that begin from here on see the shim: servers, and their engines.
        patch.setenv("LD_PRELOAD", str(built))
        patch.setenv("DEVICE_FAULTS", str(folder / "fault"))
        yield Faults(folder / "fault")


@pytest.fixture(scope="module")
def make_vulkan_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., VulkanServer]]:
    """``make_vulkan_server("key=value", ...)`` starts one; all are stopped at the end of the module."""
    servers: list[VulkanServer] = []

    def make(*settings: str) -> VulkanServer:
        server = VulkanServer(tmp_path_factory.mktemp("vulkan"), *settings)
        servers.append(server)
        server.start()
        server.wait_loaded()
        return server

    yield make
    for server in servers:
        server.stop()
