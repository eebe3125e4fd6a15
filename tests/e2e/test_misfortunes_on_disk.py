"""Disks that fill up, folders that cannot be written, files that are replaced: what cannot be saved fails with the
reason, nothing half is listed, and the queue goes on in the same engine."""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from PIL import Image

import sdcpp_rest
from tests.e2e.conftest import TIMEOUT, ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.native]

MakeServer = Callable[..., ServerProcess]
DEMO = Path(sdcpp_rest.__file__).parent / "demo"
PROMPT = "a red circle on a blue background"

# Who may read and write everything is not stopped by a folder's permissions.
MORTAL = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


def small_disk(folder: Path, size: str) -> tuple[str, ...]:
    """A prefix: the server sees ``folder`` on a disk of its own, of this size."""
    script = f'mount -t tmpfs -o size={size} tmpfs {folder}; exec "$@"'
    return ("unshare", "--mount", "sh", "-e", "-c", script, "sh")


def _can_mount(tmp_path_factory: pytest.TempPathFactory) -> bool:
    prefix = small_disk(tmp_path_factory.mktemp("mount"), "1m")
    try:
        return subprocess.run([*prefix, "true"], capture_output=True, timeout=TIMEOUT).returncode == 0
    except OSError:
        return False


@pytest.fixture
def mounts(tmp_path_factory: pytest.TempPathFactory) -> None:
    if not _can_mount(tmp_path_factory):
        pytest.skip("disks of a size cannot be made here")


class Disk:
    """A folder as the server sees it."""

    def __init__(self, server: ServerProcess, folder: Path) -> None:
        assert server.process is not None
        self.folder = Path(f"/proc/{server.process.pid}/root{folder}")

    def fill(self, spare_bytes: int = 0) -> None:
        """Leave ``spare_bytes`` free."""
        status = os.statvfs(self.folder)
        with (self.folder / "filling").open("wb") as file:
            for _ in range(max(0, status.f_bavail - spare_bytes // status.f_bsize)):
                file.write(b"x" * status.f_bsize)

    def clear(self) -> None:
        (self.folder / "filling").unlink()

    def names(self) -> list[str]:
        """All files and folders, the hidden ones as well, but not the spool's."""
        found = (str(path.relative_to(self.folder)) for path in self.folder.rglob("*"))
        return sorted(name for name in found if name not in (".spool", "filling"))


def failed(server: ServerProcess, job_id: str, *words: str) -> None:
    job = server.wait(job_id)
    assert (job["status"], job["outputs"]) == ("failed", []), job
    for word in words:
        assert word in job["error"], job["error"]
    assert not (server.folder / "output" / job_id).exists()


def completed(server: ServerProcess, job_id: str) -> dict[str, Any]:
    job = server.wait(job_id)
    assert job["status"] == "completed", job
    return job


def given(size: tuple[int, int] = (8, 8)) -> str:
    file = io.BytesIO()
    Image.effect_noise(size, 64).convert("RGB").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def job_of(answer: requests.Response) -> str:
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


# --- full disks -------------------------------------------------------------------------------------------------------


def test_full_output_disk_costs_the_jobs_that_need_it_and_says_so(make_server: MakeServer, mounts: None) -> None:
    server = make_server(start=False)
    (server.folder / "output").mkdir()
    server.prefix = small_disk(server.folder / "output", "600k")
    server.start()
    server.wait_loaded()
    pid, disk = server.engine().pid, Disk(server, server.folder / "output")
    server.post("/upscaler/load", {"model_name": "esrgan_x2.safetensors"})
    failed(server, server.submit(PROMPT, steps=1, width=256, height=256, batch_count=4), "No space left on device")
    assert disk.names() == []
    # Room for the pixels, but not for the picture beside them.
    disk.fill(256 * 256 * 3 + 16_384)
    failed(server, server.submit(PROMPT, steps=1, width=256, height=256), "No space left on device")
    disk.clear()
    disk.fill()
    full = [server.submit(PROMPT, steps=1), job_of(server.post("/upscale", {"image_base64": given()}))]
    for job_id in full:
        failed(server, job_id, "No space left on device")
    disk.clear()
    assert disk.names() == []
    done = completed(server, server.submit(PROMPT, steps=1))["job_id"]
    assert disk.names() == [done, f"{done}/config.json", f"{done}/image_0.png"]
    assert server.engine().pid == pid


def test_full_model_disk_costs_the_conversion_and_says_so(make_server: MakeServer, mounts: None) -> None:
    server = make_server(start=False)
    (server.folder / "models").mkdir()
    server.prefix = small_disk(server.folder / "models", "100m")
    server.start()
    server.wait_loaded()
    disk = Disk(server, server.folder / "models")
    first = server.submit(PROMPT, steps=30)
    body = {"input_path": "demo_dit_q8_0.gguf", "output_type": "f32"}
    conversion = job_of(server.post("/convert", body))
    disk.fill(100_000)
    completed(server, first)
    failed(server, conversion, "No space left on device")
    assert disk.names() == ["diffusion_models"]
    assert "free on its disk" in server.post("/convert", body).json()["error"]
    upload = requests.post(
        f"{server.url}/models/upload?type=lora&name=x.safetensors",
        data=(DEMO / "loras" / "demo_lora.safetensors").read_bytes(),
        timeout=TIMEOUT,
    )
    assert upload.status_code == 507, upload.text
    disk.clear()
    completed(server, job_of(server.post("/convert", {**body, "output_type": "q4_0"})))
    name = "diffusion_models/demo_dit_q8_0.q4_0"
    assert [found for found in disk.names() if "/" in found] == [f"{name}.gguf", f"{name}.json"]


# --- folders that cannot be written -----------------------------------------------------------------------------------


def test_output_folder_that_becomes_unwritable_in_mid_job(make_server: MakeServer) -> None:
    server = make_server(prefix=MORTAL)
    server.wait_loaded()
    pid, output = server.engine().pid, server.folder / "output"
    running = server.submit(PROMPT, steps=30)
    server.wait_running(running)
    waiting = server.submit(PROMPT, steps=1)
    folders = [output, output / ".spool", *(output / ".spool").iterdir()]
    for folder in folders:
        folder.chmod(0o555)
    failed(server, running, "Permission denied")
    failed(server, waiting, "Permission denied")
    for folder in folders:
        folder.chmod(0o755)
    # The pixels can be kept, the folder cannot get its place.
    running = server.submit(PROMPT, steps=30)
    server.wait_running(running)
    output.chmod(0o555)
    failed(server, running, "Permission denied")
    output.chmod(0o755)
    completed(server, server.submit(PROMPT, steps=1))
    # Not even there any more: it is made again.
    running = server.submit(PROMPT, steps=30)
    server.wait_running(running)
    shutil.rmtree(output)
    completed(server, running)
    assert server.engine().pid == pid


def test_pictures_that_cannot_be_kept_are_refused_with_the_reason(make_server: MakeServer) -> None:
    server = make_server(prefix=MORTAL)
    server.wait_loaded()
    server.post("/upscaler/load", {"model_name": "esrgan_x2.safetensors"})
    inputs = server.folder / "data" / "inputs"
    inputs.chmod(0o555)
    asked = {"/img2img": {"prompt": PROMPT, "init_image_base64": given()}, "/upscale": {"image_base64": given()}}
    for path, body in asked.items():
        answer = server.post(path, body)
        assert answer.status_code == 500
        assert answer.json()["error"] == "The input pictures could not be stored: Permission denied"
    assert server.get("/queue")["total_count"] == 0
    inputs.chmod(0o755)
    running = server.submit(PROMPT, steps=30)
    robbed = job_of(server.post("/img2img", {**asked["/img2img"], "steps": 4}))
    shutil.rmtree(inputs)
    completed(server, running)
    failed(server, robbed, "init_image.png cannot be read")
    completed(server, job_of(server.post("/img2img", {**asked["/img2img"], "steps": 4})))


# --- files that change ------------------------------------------------------------------------------------------------


def become_pipe(path: Path) -> None:
    """Whoever opens it waits for a writer, for ever."""
    path.unlink()
    os.mkfifo(path)


def own_model(server: ServerProcess) -> Path:
    """The demo model under another name, loaded."""
    folder = server.folder / "models" / "diffusion_models"
    folder.mkdir(parents=True)
    for ending in ("gguf", "json"):
        shutil.copyfile(DEMO / "diffusion_models" / f"demo_dit_q8_0.{ending}", folder / f"own.{ending}")
    assert server.post("/models/load", {"model_name": "own.gguf"}).status_code == 200
    return folder / "own.gguf"


def test_loaded_model_does_not_need_its_file(server: ServerProcess) -> None:
    model = own_model(server)
    pid = server.engine().pid
    expected = server.picture(completed(server, server.submit(PROMPT, steps=2, seed=1))["job_id"])
    model.unlink()
    drawn = completed(server, server.submit(PROMPT, steps=2, seed=1))
    assert server.picture(drawn["job_id"]) == expected
    assert server.engine().pid == pid


def test_model_that_is_rewritten_in_place_is_another_one(server: ServerProcess) -> None:
    model = own_model(server)
    pid, whole = server.engine().pid, model.read_bytes()
    expected = server.picture(completed(server, server.submit(PROMPT, steps=2, seed=1))["job_id"])
    for content in (whole[: len(whole) // 3], b"something else" * 1000):
        model.write_bytes(content)
        failed = server.wait(server.submit(PROMPT, steps=2, seed=1))
        assert (failed["status"], failed["error_code"]) == ("failed", "load_failed"), failed
        assert model.name in failed["error"]
    model.write_bytes(whole)
    drawn = completed(server, server.submit(PROMPT, steps=2, seed=1))
    assert server.picture(drawn["job_id"]) == expected
    assert server.engine().pid == pid


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda path: os.truncate(path, path.stat().st_size // 2), "truncated"),
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: path.write_bytes((DEMO / "loras" / "demo_lora.safetensors").read_bytes()), "LoRA"),
        (become_pipe, "not a regular file"),
    ],
    ids=["cut", "gone", "replaced", "pipe"],
)
def test_model_changed_while_its_job_waits_costs_that_job(
    server: ServerProcess, change: Callable[[Path], Any], why: str
) -> None:
    model = own_model(server)
    running, bound = server.submit(PROMPT, steps=30), server.submit(PROMPT, steps=1)
    server.wait_running(running)
    # Loads go before jobs: when its turn comes, the job's own model has to be loaded again.
    assert server.post("/models/load?wait=false", {"model_name": "demo_dit_q8_0.gguf"}).status_code == 202
    change(model)
    failed(server, bound, "own.gguf", why)
    completed(server, server.submit(PROMPT, steps=1))
    assert server.get("/health")["engine"]["restarts"] == 0


def test_upscaler_changed_while_its_jobs_wait_costs_those_jobs(server: ServerProcess) -> None:
    folder = server.folder / "models" / "esrgan"
    folder.mkdir(parents=True)
    upscaler, real = folder / "own.safetensors", (DEMO / "esrgan" / "esrgan_x2.safetensors").read_bytes()
    changes: list[tuple[Callable[[], Any], str]] = [
        (upscaler.unlink, "does not exist"),
        (lambda: upscaler.write_bytes(real[: len(real) // 2]), "truncated"),
        (lambda: shutil.copyfile(DEMO / "loras" / "demo_lora.safetensors", upscaler), "LoRA"),
        (lambda: become_pipe(upscaler), "not a regular file"),
    ]
    for change, why in changes:
        upscaler.unlink(missing_ok=True)
        upscaler.write_bytes(real)
        assert server.post("/upscaler/load", {"model_name": "own.safetensors"}).status_code == 200
        running = server.submit(PROMPT, steps=12)
        server.wait_running(running)
        # Another tile size: the upscaler is loaded again when the job's turn comes.
        bound = job_of(server.post("/upscale", {"image_base64": given(), "tile_size": 64}))
        after = server.submit(PROMPT, steps=1)
        change()
        failed(server, bound, "own.safetensors", why)
        completed(server, after)
    assert server.get("/health")["engine"]["restarts"] == 0


def test_lora_changed_while_its_job_waits_never_costs_the_engine(server: ServerProcess) -> None:
    folder = server.folder / "models" / "loras"
    folder.mkdir(parents=True)
    lora = folder / "own.safetensors"
    for content in (
        b"",
        b"\x07\0\0\0\0\0\0\0[1,2,3]",
        os.urandom(1000),
        (DEMO / "taesd" / "demo_tae.safetensors").read_bytes(),
    ):
        shutil.copyfile(DEMO / "loras" / "demo_lora.safetensors", lora)
        running = server.submit(PROMPT, steps=12)
        server.wait_running(running)
        bound = server.submit(f"{PROMPT} <lora:own:1>", steps=1)
        lora.write_bytes(content)
        assert server.wait(bound)["status"] in ("completed", "failed")
    completed(server, server.submit(PROMPT, steps=1))
    assert server.get("/health")["engine"]["restarts"] == 0


@pytest.mark.parametrize(
    "sidecar",
    [
        b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"x" * 10**7, b'{"components": 5}',
        b'{"components": {"llm": "../../etc/passwd"}}', b'{"load_options": {"n_threads": "x"}}',
        b'{"generation_defaults": {"steps": 0}}', b'{"generation_defaults": {"sampler": "nope"}}',
        b'{"generation_defaults": {"cfg_scale": 1e400}}',
    ],
    ids=lambda content: content[:40].decode(errors="replace"),
)  # fmt: skip
def test_sidecar_that_is_replaced_never_costs_the_server(shared_server: ServerProcess, sidecar: bytes) -> None:
    folder = shared_server.folder / "models" / "diffusion_models"
    if not folder.exists():
        own_model(shared_server)
    (folder / "own.json").write_bytes(sidecar)
    asked = {} if b"steps" in sidecar else {"steps": 2}
    submitted = shared_server.post("/txt2img", {"prompt": PROMPT, "width": 64, "height": 64, **asked})
    assert submitted.status_code in (202, 400), submitted.text
    if submitted.status_code == 202:
        completed(shared_server, submitted.json()["job_id"])
    body = {"model_name": "own.gguf", "llm": "demo_llm_q4_0.gguf", "taesd": "demo_tae.safetensors"}
    assert shared_server.post("/models/load", body).status_code in (200, 400)
    for path in ("/models", "/models/diffusion/own.gguf/inspect", "/architectures/detect?model=own.gguf"):
        assert requests.get(shared_server.url + path, timeout=TIMEOUT).status_code == 200
    assert psutil.pid_exists(shared_server.engine().pid)
    assert shared_server.get("/health")["engine"]["restarts"] == 0
