"""Requests that cannot be served, to everything beside plain pictures: each is refused at once, in a sentence that
names the field.

One server takes them all: at the end it must still be the same engine, with the model it had.
"""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

import sdcpp_rest
from tests.e2e.conftest import TIMEOUT, ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.native]

DEMO = Path(sdcpp_rest.__file__).parent / "demo"
MODEL, X4 = "demo_dit_q8_0.gguf", "esrgan_x4.safetensors"
NAN, INFINITE = float("nan"), float("inf")


@pytest.fixture(scope="module")
def server(shared_server: ServerProcess) -> Iterator[ServerProcess]:
    """Judges at the end: the engine that started is the engine that is there, and it works."""
    pid = shared_server.engine().pid
    yield shared_server
    health = shared_server.get("/health")
    assert health["engine"] == {**health["engine"], "pid": pid, "restarts": 0}
    assert health["model_name"] == MODEL
    assert shared_server.wait(shared_server.submit("a red circle", steps=1))["status"] == "completed"


def picture(size: tuple[int, int] = (4, 4), mode: str = "RGB") -> str:
    file = io.BytesIO()
    Image.new(mode, size).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def refused(server: ServerProcess, path: str, body: Any, *words: str, status: int = 400, method: str = "POST") -> str:
    """Send it; the answer is an error of this status that says all ``words``."""
    # Not by the client's own encoder: that refuses NaN itself.
    answer = requests.request(method, server.url + path, data=json.dumps(body), timeout=TIMEOUT)
    assert answer.status_code == status, answer.text
    message = str(answer.json()["error"])
    for word in words:
        assert word in message, message
    assert len(message) < 700, "a sentence, not the input again"
    return message


# --- pictures ---------------------------------------------------------------------------------------------------------

PICTURES: list[tuple[str, Any]] = [
    ("hires", 1), ("hires", "yes"), ("hires_upscaler", "nope"), ("hires_upscaler", ""), ("hires_upscaler", "Model"),
    ("hires_upscaler", "../../etc/passwd"), ("hires_upscaler", "demo_lora"), ("hires_upscaler", 5),
    ("hires_scale", 0), ("hires_scale", 1e9), ("hires_width", -1), ("hires_width", 1), ("hires_width", 100_000),
    ("hires_steps", -1), ("hires_steps", 10**9), ("hires_denoising_strength", 0), ("hires_denoising_strength", NAN),
    ("hires_upscale_tile_size", 0), ("hires_upscale_tile_size", 2**40),
    ("cache_mode", "nope"), ("cache_mode", ""), ("cache_options", 5), ("cache_options", []),
    ("cache_options", {"threshold": -1}), ("cache_options", {"threshold": NAN}), ("cache_options", {"spectrum_m": 0}),
    ("cache_options", {"spectrum_m": 10**6}), ("cache_options", {"spectrum_window_size": 0}),
    ("cache_options", {"spectrum_warmup_steps": -5}), ("cache_options", {"taylorseer_n_derivatives": 99}),
    ("cache_options", {"taylorseer_skip_interval": -1}), ("cache_options", {"fn_compute_blocks": -1}),
    ("cache_options", {"max_cached_steps": -2}), ("cache_options", {"start": 2}),
    ("cache_options", {"scm_mask": "1,2"}),
    ("control_image_base64", picture()), ("preprocess", "nope"), ("control_strength", -1),
    ("pm_id_images", [picture()]), ("pm_id_images", ["AAAA"] * 100), ("pm_id_images", 5),
    ("pm_id_embed_path", "/etc/passwd"), ("pm_style_strength", 101),
    ("upscale_repeats", 0), ("upscale_repeats", 17),
    ("ref_images", [picture()] * 100), ("ref_images", [picture((1, 1000))]), ("ref_images", [""]), ("ref_images", [5]),
    ("init_image_base64", ""), ("init_image_base64", "####"), ("init_image_base64", picture((9000, 9000), "1")),
    ("init_image_base64", picture((64, 64))[:80]), ("init_image_base64", "PHN2Zy8+"), ("mask_image_base64", "@@"),
    ("strength", 1.01),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), PICTURES, ids=lambda value: str(value)[:24])
def test_field_of_a_picture_is_refused_by_name(server: ServerProcess, field: str, value: Any) -> None:
    body = {"prompt": "x", "steps": 2, "width": 64, "height": 64}
    path = "/txt2img"
    if field.startswith(("init", "mask", "strength")):
        path, body = "/img2img", {**body, "init_image_base64": picture()}
    if field.startswith("hires_"):
        body = {**body, "hires": True}
    refused(server, path, {**body, field: value}, field)


def test_upscale_without_an_upscaler_says_what_to_do(server: ServerProcess) -> None:
    assert server.post("/upscaler/unload").status_code == 200
    refused(server, "/upscale", {"image_base64": picture()}, "POST /upscaler/load")
    refused(server, "/txt2img", {"prompt": "x", "upscale": True}, "POST /upscaler/load")


VIDEOS: list[tuple[str, Any]] = [
    ("video_frames", 0), ("video_frames", -3), ("video_frames", 10**6), ("video_frames", "five"), ("fps", 0),
    ("fps", 1.5),
    ("width", 0), ("height", 0), ("width", -8), ("steps", 0), ("steps", -1), ("high_noise_steps", -2),
    ("high_noise_cfg_scale", NAN), ("high_noise_skip_layers", "7"), ("moe_boundary", 2), ("vace_strength", -1),
    ("strength", -0.1), ("output_format", "avi"), ("control_frames", "x"), ("control_frames", [5]),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), VIDEOS, ids=str)
def test_field_of_a_video_is_refused_by_name(server: ServerProcess, field: str, value: Any) -> None:
    refused(server, "/txt2vid", {"prompt": "x", field: value}, field)


def test_video_on_an_image_model_is_refused_with_its_family(server: ServerProcess) -> None:
    message = refused(server, "/txt2vid", {"prompt": "x", "video_frames": 5}, MODEL, "Ovis Image", "not videos")
    assert "load" not in message


# --- upscalers --------------------------------------------------------------------------------------------------------


class _Command:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


@pytest.fixture(scope="module")
def upscalers(shared_server: ServerProcess) -> Path:
    """Files that call themselves upscalers."""
    folder = shared_server.folder / "models" / "esrgan"
    folder.mkdir(parents=True, exist_ok=True)
    real = (DEMO / "esrgan" / X4).read_bytes()
    files = {
        "lora.safetensors": (DEMO / "loras" / "demo_lora.safetensors").read_bytes(),
        "tae.safetensors": (DEMO / "taesd" / "demo_tae.safetensors").read_bytes(),
        "llm.gguf": (DEMO / "llm" / "demo_llm_q4_0.gguf").read_bytes(),
        "random.safetensors": bytes(range(255, -1, -1)) * 8,
        "random.pth": bytes(range(256)) * 8,
        "empty.pth": b"",
        "cut.safetensors": real[: len(real) // 2],
        "pickle.pth": pickle.dumps(_Command(shared_server.folder / "unpickled"), 2),
        "deep.safetensors": _renamed(real, "body.0.", "body.100000."),
        "half.safetensors": _renamed(real, "conv_last.", "elsewhere."),
        "shaped.safetensors": real.replace(b"[64, 3, 3, 3]", b"[64, 1, 3, 9]").replace(b"[64,3,3,3]", b"[64,1,3,9]"),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with zipfile.ZipFile(folder / "torch.pth", "w") as torch:
        torch.writestr("archive/data.pkl", pickle.dumps(_Command(shared_server.folder / "unpickled"), 2))
    (folder / "folder.pth").mkdir()
    os.mkfifo(folder / "pipe.safetensors")
    return folder


def _renamed(content: bytes, old: str, new: str) -> bytes:
    """The same safetensors file with other tensor names; with none of the old ones, one of the new ones is added."""
    length = int.from_bytes(content[:8], "little")
    tensors = json.loads(content[8 : 8 + length])
    renamed = {name.replace(old, new): entry for name, entry in tensors.items()}
    if renamed.keys() == tensors.keys():
        renamed[f"{new}weight"] = next(entry for name, entry in tensors.items() if name.endswith("weight"))
    header = json.dumps(renamed).encode()
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


@pytest.mark.parametrize(
    ("name", "status", "why"),
    [
        ("lora.safetensors", 400, "LoRA"), ("tae.safetensors", 400, "tiny autoencoder"),
        ("llm.gguf", 400, "language model"), ("random.safetensors", 400, "not a model file"),
        ("random.pth", 400, "not a model file"), ("empty.pth", 400, "empty"), ("cut.safetensors", 400, "truncated"),
        ("deep.safetensors", 400, "layer"), ("half.safetensors", 500, "conv_last"),
        ("shaped.safetensors", 400, "pictures of 1 channels"),
        ("pickle.pth", 400, "holds no tensors"), ("torch.pth", 400, "holds no tensors"),
        ("folder.pth", 500, "not found"), ("pipe.safetensors", 500, "not found"),
    ],
)  # fmt: skip
def test_file_that_is_no_upscaler_is_not_loaded(
    server: ServerProcess, upscalers: Path, name: str, status: int, why: str
) -> None:
    refused(server, "/upscaler/load", {"model_name": name}, name, why, status=status)
    assert server.get("/health")["upscaler_loaded"] is False
    assert not (server.folder / "unpickled").exists(), "somebody unpickled it"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model_name", ""), ("model_name", 5), ("model_name", None), ("model_name", "../x"),
        ("model_name", "/etc/passwd"),
        ("model_name", "a\0b"), ("tile_size", 0), ("tile_size", 5000), ("tile_size", 16.5), ("n_threads", 0),
        ("n_threads", 1000),
    ],
)  # fmt: skip
def test_field_of_an_upscaler_is_refused_by_name(server: ServerProcess, field: str, value: Any) -> None:
    refused(server, "/upscaler/load", {"model_name": X4, field: value}, field)


@pytest.fixture
def upscaler(server: ServerProcess) -> Iterator[None]:
    assert server.post("/upscaler/load", {"model_name": X4}).status_code == 200
    yield
    assert server.post("/upscaler/unload").status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_base64", ""), ("image_base64", "@@"), ("image_base64", "aGVsbG8="),
        ("image_base64", picture((9000, 9000), "1")),
        ("image_base64", 5), ("upscale_factor", 0), ("upscale_factor", 17), ("upscale_factor", 1.5), ("repeats", 0),
        ("repeats", 16), ("tile_size", 0), ("tile_size", 4097), ("image_index", -1),
    ],
    ids=lambda value: str(value)[:24],
)  # fmt: skip
def test_field_of_an_upscaling_is_refused_by_name(
    server: ServerProcess, upscaler: None, field: str, value: Any
) -> None:
    word = "limits.upscaled_side" if (field, value) == ("repeats", 16) else field
    refused(server, "/upscale", {"image_base64": picture(), field: value}, word)


def test_picture_of_a_job_that_is_none_is_not_found(server: ServerProcess, upscaler: None) -> None:
    for job_id in ("nope", "../.."):
        refused(server, "/upscale", {"job_id": job_id}, "Job not found", status=404)


@pytest.mark.parametrize(
    ("size", "mode"),
    [((1, 1), "RGB"), ((1, 40), "L"), ((8, 8), "RGBA"), ((8, 8), "I;16"), ((8, 8), "1"), ((8, 8), "P")],
)
def test_picture_of_any_kind_is_upscaled(
    server: ServerProcess, upscaler: None, size: tuple[int, int], mode: str
) -> None:
    answer = server.post("/upscale", {"image_base64": picture(size, mode)})
    assert answer.status_code == 202, answer.text
    job = server.wait(answer.json()["job_id"])
    assert job["status"] == "completed", job
    with Image.open(io.BytesIO(server.picture(job["job_id"]))) as larger:
        assert larger.size == (size[0] * 4, size[1] * 4)
