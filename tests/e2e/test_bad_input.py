"""Every request value that is known to end or hang the library's process is refused before it gets there.

One server takes them all: at the end it must still be the same engine, with the model it had, drawing the same picture.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.conftest import TIMEOUT, ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.native]

PROMPT = "a red circle on a blue background"
LORA = "demo_lora.safetensors"


@pytest.fixture(scope="module")
def server(shared_server: ServerProcess) -> Iterator[ServerProcess]:
    """Judges at the end: whatever was sent, the engine that started is the engine that is there."""
    pid = shared_server.engine().pid
    before = _drawn(shared_server)
    yield shared_server
    health = shared_server.get("/health")
    assert health["engine"] == {**health["engine"], "pid": pid, "restarts": 0}
    assert _drawn(shared_server) == before


def _drawn(server: ServerProcess) -> bytes:
    assert server.post("/models/load", {"model_name": "demo_dit_q8_0.gguf"}).status_code == 200
    job = server.wait(server.submit(PROMPT, steps=2, seed=1))
    return server.picture(job["job_id"])


def raw_post(server: ServerProcess, path: str, body: bytes) -> requests.Response:
    return requests.post(server.url + path, data=body, timeout=TIMEOUT)


_HUGE = 2**31 - 1
GENERATION: list[tuple[str, Any]] = [
    # ends the process with a signal
    ("steps", 0), ("sampler", "euler_x"), ("sampler", 1_000_000), ("sampler", -1), ("sampler", ""),
    ("prompt", "a" * 30_000), ("negative_prompt", "a" * 30_000),
    # ends it with an exception or an assertion
    ("width", 0), ("height", 0), ("width", -64), ("height", -1), ("width", _HUGE), ("height", _HUGE),
    ("width", 100_000),
    ("strength_img", -0.1), ("prompt", "(a:.)"), ("prompt", f"(a:{'9' * 46})"), ("prompt", f"(a:0.{'0' * 50}1)"),
    ("negative_prompt", "(a:.)"),
    # hangs or never ends
    ("steps", -1), ("steps", -100), ("steps", 100_000_000), ("width", 20_000),
    # silently wrong
    ("batch_count", 0), ("batch_count", -1), ("batch_count", 100_000), ("cfg_scale", float("nan")),
    ("cfg_scale", float("inf")), ("scheduler", 99), ("scheduler", "nope"), ("clip_skip", 99), ("seed", -2),
    ("seed", 2**64), ("seed", 1.5), ("custom_sigmas", [float("nan"), 0]), ("custom_sigmas", [1.0]),
    ("custom_sigmas", ["a"]), ("slg_scale", float("nan")), ("skip_layers", [-1]), ("skip_layers", "7"),
    ("eta", float("nan")), ("distilled_guidance", float("inf")), ("vae_tile_overlap", 2), ("vae_tile_size_x", -1),
    ("easycache_threshold", float("nan")), ("easycache_start", -1), ("shifted_timestep", -1),
    # types
    ("prompt", 5), ("prompt", None), ("prompt", ["a"]), ("width", "64.5"), ("width", "wide"), ("width", 64.5),
    ("width", True),
    ("steps", [12]), ("cfg_scale", "seven"), ("vae_tiling", "yes"), ("ref_images", "x"), ("title", 3),
    ("prompt", "a <lora:nothing_like_it:1>"), ("prompt", "a <lora:demo_lora:nan>"),
    ("prompt", "a <lora:../../etc/passwd:1>"),
    ("prompt", "nul \0 inside"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), GENERATION, ids=lambda value: str(value)[:24])
def test_deadly_generation_value_is_a_clear_400(server: ServerProcess, field: str, value: Any) -> None:
    path, field = ("/img2img", "strength") if field == "strength_img" else ("/txt2img", field)
    body = {"prompt": PROMPT, "steps": 2, "width": 64, "height": 64, field: value}
    if path == "/img2img":
        body["init_image_base64"] = "iVBORw0KGgo="
    answer = raw_post(server, path, json.dumps(body).encode())
    assert answer.status_code == 400, answer.text
    message = answer.json()["error"]
    assert field in message, message
    assert len(message) < 600, "a sentence, not the input again"


def test_gits_with_one_step_is_refused_by_name(server: ServerProcess) -> None:
    answer = server.post("/txt2img", {"prompt": PROMPT, "steps": 1, "scheduler": "gits"})
    assert answer.status_code == 400
    assert "steps" in answer.json()["error"]
    assert "gits" in answer.json()["error"]


def test_product_of_sizes_and_steps_is_bounded(server: ServerProcess) -> None:
    answer = server.post(
        "/txt2img", {"prompt": PROMPT, "width": 4096, "height": 4096, "steps": 10_000, "batch_count": 64}
    )
    assert answer.status_code == 400
    assert "limits.pixel_steps" in answer.json()["error"]


@pytest.mark.parametrize(
    ("field", "value"), [("control_image_base64", "AAAA"), ("pm_id_images", ["AAAA"]), ("upscale", True)]
)
def test_what_needs_another_file_says_which(server: ServerProcess, field: str, value: Any) -> None:
    answer = server.post("/txt2img", {"prompt": PROMPT, field: value})
    assert answer.status_code == 400, answer.text
    assert answer.json()["field"] == field
    assert "ControlNet" in answer.text or "load" in answer.json()["error"]


# --- /models/load -----------------------------------------------------------------------------------------------------


def _gguf(architecture: str) -> bytes:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    header = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    return header + text("general.architecture") + struct.pack("<I", 8) + text(architecture)


def _safetensors(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


FILES: dict[str, bytes] = {
    "empty.safetensors": b"",
    "empty.gguf": b"",
    "random.gguf": bytes(range(256)) * 16,
    "random.safetensors": bytes(range(255, -1, -1)) * 16,
    "random.ckpt": bytes(range(256)) * 16,
    "old_version.gguf": b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
    "absurd.gguf": b"GGUF" + struct.pack("<IQQ", 3, 2**62, 2**62),
    "llama.gguf": _gguf("llama"),
    "array.safetensors": _safetensors(b"[1, 2, 3]"),
    "no_dtype.safetensors": _safetensors(b'{"a": {"shape": [1], "data_offsets": [0, 4]}}', b"1234"),
    "no_offsets.safetensors": _safetensors(b'{"a": {"dtype": "F32", "shape": [1]}}', b"1234"),
    "text_shape.safetensors": _safetensors(b'{"a": {"dtype": "F32", "shape": "1", "data_offsets": [0, 4]}}', b"1234"),
    "truncated.safetensors": _safetensors(
        b'{"a": {"dtype": "F32", "shape": [100], "data_offsets": [0, 400]}}', b"1234"
    ),
    "page.safetensors": b"<!DOCTYPE html><html><body>Not found</body></html>",
    "pointer.safetensors": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 10\n",
}


@pytest.fixture(scope="module")
def files(shared_server: ServerProcess) -> Path:
    folder = shared_server.folder / "models"
    for kind in ("checkpoints", "diffusion_models", "vae", "llm", "taesd"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for name, content in FILES.items():
            (folder / kind / name).write_bytes(content)
    demo = Path(__file__).parents[2] / "sdcpp_rest" / "demo"
    for path in (
        demo / "loras" / LORA,
        demo / "esrgan" / "esrgan_x4.safetensors",
        demo / "taesd" / "demo_tae.safetensors",
    ):
        (folder / "diffusion_models" / f"wrong_{path.name}").write_bytes(path.read_bytes())
    whole = (demo / "diffusion_models" / "demo_dit_q8_0.gguf").read_bytes()
    (folder / "diffusion_models" / "cut.gguf").write_bytes(whole[: len(whole) // 2])
    (folder / "checkpoints" / "folder.safetensors").mkdir()
    return folder


def refused(server: ServerProcess, body: dict[str, Any], *words: str) -> str:
    answer = raw_post(server, "/models/load", json.dumps(body).encode())
    assert answer.status_code in (400, 404, 500, 501), answer.text
    message = str(answer.json()["error"])
    for word in words:
        assert word in message, message
    assert len(message) < 1200
    assert server.get("/health")["engine"]["restarts"] == 0
    return message


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("model_type", ["checkpoint", "diffusion"])
def test_file_that_is_no_model_is_named(server: ServerProcess, files: Path, name: str, model_type: str) -> None:
    refused(server, {"model_name": name, "model_type": model_type}, name)


@pytest.mark.parametrize("role", ["vae", "llm", "taesd"])
@pytest.mark.parametrize("name", FILES)
def test_component_that_is_no_model_is_named(server: ServerProcess, files: Path, role: str, name: str) -> None:
    refused(server, {"model_name": "demo_dit_q8_0.gguf", role: name}, name)


@pytest.mark.parametrize(
    "name", [f"wrong_{LORA}", "wrong_esrgan_x4.safetensors", "wrong_demo_tae.safetensors", "cut.gguf"]
)
def test_file_of_another_kind_is_not_loaded_as_a_model(server: ServerProcess, files: Path, name: str) -> None:
    refused(server, {"model_name": name, "model_type": "diffusion"}, name)


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "/etc/passwd",
        "..\\..\\x",
        "a\x00b",
        "",
        ".",
        "..",
        "nope.gguf",
        "folder.safetensors",
        5,
        None,
        ["x"],
    ],
)
def test_name_that_is_no_file_is_refused(server: ServerProcess, files: Path, name: Any) -> None:
    refused(server, {"model_name": name})


OPTIONS: list[tuple[str, Any]] = [
    ("weight_type", "q8_1"), ("weight_type", "q8_k"), ("weight_type", "i8"), ("weight_type", "i64"),
    ("weight_type", "f64"),
    ("weight_type", "q4_2"), ("weight_type", "nope"), ("weight_type", -1), ("weight_type", 9),
    ("tensor_type_rules", "(=f16"), ("tensor_type_rules", "^vae=nope"), ("tensor_type_rules", "x"),
    ("tensor_type_rules", "[=f16"), ("rng_type", "nope"), ("rng_type", 99), ("sampler_rng_type", "nope"),
    ("prediction", "nope"), ("prediction", 99), ("lora_apply_mode", "nope"), ("lora_apply_mode", "immediately"),
    ("n_threads", -5), ("n_threads", 10**9), ("n_threads", 1.5), ("n_threads", "4.5"),
    ("vae_tile_size_x", -1), ("vae_tile_overlap", 7), ("vae_tile_overlap", float("nan")), ("flow_shift", float("nan")),
    ("keep_clip_on_cpu", "yes"), ("flash_attn", 3), ("chroma_t5_mask_pad", -1), ("chroma_t5_mask_pad", 10**9),
]  # fmt: skip


@pytest.mark.parametrize(("option", "value"), OPTIONS, ids=str)
def test_deadly_load_option_is_refused_by_name(server: ServerProcess, option: str, value: Any) -> None:
    message = refused(server, {"model_name": "demo_dit_q8_0.gguf", "options": {option: value}}, option)
    assert "Internal error" not in message


def test_missing_components_are_named(server: ServerProcess, files: Path) -> None:
    demo = Path(__file__).parents[2] / "sdcpp_rest" / "demo" / "diffusion_models" / "demo_dit_q8_0.gguf"
    (files / "diffusion_models" / "alone.gguf").write_bytes(demo.read_bytes())
    refused(server, {"model_name": "alone.gguf", "model_type": "diffusion"}, "llm")


# --- bodies and paths -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/txt2img", "/models/load"])
@pytest.mark.parametrize(
    "body", [b"{", b"[1]", b'"x"', b"5", b"null", b"\xff\xfe", b"{'a': 1}", b'{"prompt": "a",}', b"[" * 100_000]
)
def test_body_that_is_no_json_object_is_refused(server: ServerProcess, path: str, body: bytes) -> None:
    answer = raw_post(server, path, body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_empty_body_names_what_is_missing(server: ServerProcess) -> None:
    assert raw_post(server, "/txt2img", b"").json()["error"].startswith("prompt")
    assert raw_post(server, "/models/load", b"").json()["error"] == "model_name is required"


def test_oversized_body_is_refused_before_it_is_read(server: ServerProcess) -> None:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as connection:
        connection.sendall(b"POST /txt2img HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n")
        assert b" 413 " in connection.recv(4096)


def test_oversized_chunked_body_is_refused(make_server: Callable[..., ServerProcess]) -> None:
    server = make_server("limits.body_bytes=2000", 'engine.runner="fake"')

    def chunks() -> Iterator[bytes]:
        for _ in range(50):
            yield b"x" * 100

    answer = requests.post(f"{server.url}/txt2img", data=chunks(), timeout=TIMEOUT)
    assert answer.status_code == 413
    assert "limits.body_bytes" in answer.json()["error"]


def test_chunked_body_without_content_type_works(server: ServerProcess) -> None:
    body = json.dumps({"prompt": PROMPT, "steps": 1}).encode()
    answer = requests.post(f"{server.url}/txt2img", data=iter([body[:10], body[10:]]), timeout=TIMEOUT)
    assert answer.status_code == 202
    server.wait(answer.json()["job_id"])


@pytest.mark.parametrize(
    "path",
    [
        "/output/../data/sdcpp_rest.db",
        "/output/%2e%2e/data/sdcpp_rest.db",
        "/output/..%2fdata",
        "/output/.spool",
        "/output/%00",
        "/output//etc/passwd",
        "/output/..%5cdata",
    ],
)
def test_output_paths_never_leave_the_folder(server: ServerProcess, path: str) -> None:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    status = int(answer.split()[1])
    assert status in (400, 404), answer[:300]
    assert b"SQLite" not in answer
    assert b'{"error"' in answer
