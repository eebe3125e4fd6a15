"""kill -9 at every moment of a job, of the engine and of the server: one job is lost at most, and no half file is
listed."""

from __future__ import annotations

import base64
import io
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.e2e.conftest import TIMEOUT, ServerProcess, children_of
from tools.synthetic_models.families import write_file

pytestmark = [pytest.mark.e2e, pytest.mark.native]

PROMPT = "a red circle on a blue background"


def reach(server: ServerProcess, job_id: str, phase: str) -> None:
    """Wait until the job is in this phase."""
    seen = server.wait(
        job_id, lambda job: job["progress"]["phase"] == phase or job["status"] not in ("pending", "processing")
    )
    assert seen["progress"]["phase"] == phase, seen


def upscaling(server: ServerProcess) -> str:
    file = io.BytesIO()
    Image.new("RGB", (512, 512), "red").save(file, "PNG")
    answer = server.post("/upscale", {"image_base64": base64.b64encode(file.getvalue()).decode()})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


PHASES: dict[str, Callable[[ServerProcess], str]] = {
    "conditioning": lambda server: server.submit("word " * 3000, steps=1),
    "sampling": lambda server: server.submit(PROMPT, steps=1000),
    "decoding": lambda server: server.submit(PROMPT, steps=1, width=512, height=512, batch_count=4),
    "upscaling": upscaling,
}


@pytest.mark.parametrize("phase", PHASES)
def test_engine_killed_in_any_phase_costs_that_job_alone(shared_server: ServerProcess, phase: str) -> None:
    assert shared_server.post("/upscaler/load", {"model_name": "esrgan_x4.safetensors"}).status_code == 200
    engine = shared_server.engine()
    doomed = PHASES[phase](shared_server)
    after = shared_server.submit(PROMPT, steps=1)
    reach(shared_server, doomed, phase)
    engine.kill()
    job = shared_server.wait(doomed)
    assert (job["status"], job["error_code"], job["outputs"]) == ("failed", "engine_crashed", [])
    assert "SIGKILL" in job["error"]
    assert shared_server.wait(after)["status"] == "completed"
    assert not (shared_server.folder / "output" / doomed).exists()
    assert list((shared_server.folder / "output" / ".spool").iterdir()) == []


def converting(server: ServerProcess) -> tuple[str, Path]:
    """A conversion that has begun to write: its job, and the folder of the half file."""
    if not (server.folder / "models" / "clip" / "clip_l.gguf").exists():
        write_file(server.folder / "models", "clip_l", fill="zero")
    answer = server.post("/convert", {"input_path": "clip_l.gguf", "output_type": "f32"})
    assert answer.status_code == 202, answer.text
    folder = Path(answer.json()["output_path"]).parent
    server.until(lambda: list(folder.glob(".*.part.gguf")), bool)
    return answer.json()["job_id"], folder


def test_converter_killed_leaves_no_half_file_and_the_model_loaded(shared_server: ServerProcess) -> None:
    engine = shared_server.engine()
    before = {child.pid for child in children_of(shared_server.process.pid)}  # type: ignore[union-attr]
    job_id, folder = converting(shared_server)
    after = shared_server.submit(PROMPT, steps=1)
    apart = [
        child for child in children_of(shared_server.process.pid)  # type: ignore[union-attr]
        if child.pid not in before
    ]  # fmt: skip
    for child in apart:
        child.kill()
    job = shared_server.wait(job_id)
    assert (job["status"], job["error_code"]) == ("failed", "engine_crashed"), job
    assert [path.name for path in folder.iterdir()] == ["clip_l.gguf"]
    assert shared_server.wait(after)["status"] == "completed"
    assert shared_server.engine().pid == engine.pid


def test_server_killed_in_mid_conversion_begins_it_again(make_server: Callable[..., ServerProcess]) -> None:
    server = make_server()
    server.wait_loaded()
    job_id, folder = converting(server)
    family = children_of(server.process.pid)  # type: ignore[union-attr]
    server.kill()
    assert psutil.wait_procs(family, timeout=TIMEOUT)[1] == [], "no converter is left alone"
    assert "clip_l.f32.gguf" not in [path.name for path in folder.iterdir()]
    server.start()
    assert server.wait(job_id)["status"] == "completed"
    assert sorted(path.name for path in folder.iterdir()) == ["clip_l.f32.gguf", "clip_l.gguf"]


def test_upload_that_breaks_off_leaves_nothing_and_one_of_a_killed_server_is_not_listed(
    make_server: Callable[..., ServerProcess],
) -> None:
    server = make_server('engine.runner="fake"', "models.include_demo=false")
    folder = server.folder / "models" / "loras"

    def begin() -> socket.socket:
        host, _, port = server.url.removeprefix("http://").rpartition(":")
        connection = socket.create_connection((host, int(port)), timeout=TIMEOUT)
        connection.sendall(
            b"POST /models/upload?type=lora&name=x.safetensors HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 10000000\r\n\r\n" + b"x" * 500_000
        )
        server.until(lambda: list(folder.glob(".upload-*")), bool)
        return connection

    with begin():
        pass
    server.until(lambda: list(folder.glob(".upload-*")), lambda found: not found)
    with begin():
        server.kill()
    server.start()
    assert server.get("/models")["loras"] == []
    started = time.monotonic()
    shutil.rmtree(folder)
    with begin():
        server.stop()
    assert time.monotonic() - started < 30
    assert list(folder.iterdir()) == []
