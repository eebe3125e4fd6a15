"""Requests about files that cannot be served: conversions, uploads, components, paths, lists and settings.

One server takes them all; at the end it is the same engine, and no file lies where none should.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import sdcpp_rest
from tests.e2e.conftest import TIMEOUT, ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.native]

DEMO = Path(sdcpp_rest.__file__).parent / "demo"
MODEL = "demo_dit_q8_0.gguf"


@pytest.fixture(scope="module")
def server(shared_server: ServerProcess) -> Iterator[ServerProcess]:
    """Judges at the end."""
    pid = shared_server.engine().pid
    folder = shared_server.folder / "models" / "diffusion_models"
    folder.mkdir(parents=True, exist_ok=True)
    own = (DEMO / "diffusion_models" / MODEL).read_bytes()
    (folder / "own.gguf").write_bytes(own)
    (folder / "cut.gguf").write_bytes(own[: len(own) // 2])
    before = _files(shared_server.folder)
    yield shared_server
    health = shared_server.get("/health")
    assert health["engine"] == {**health["engine"], "pid": pid, "restarts": 0}
    assert health["model_name"] == MODEL
    assert _files(shared_server.folder) == before


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in (folder / "models").rglob("*") if path.is_file())


def refused(answer: requests.Response, *words: str, status: int = 400) -> str:
    assert answer.status_code == status, answer.text
    message = str(answer.json()["error"])
    for word in words:
        assert word in message, message
    assert len(message) < 700, "a sentence, not the input again"
    return message


def raw(server: ServerProcess, method: str, path: str) -> tuple[int, bytes]:
    """Status and body of a request whose path no client library has put right."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2]


# --- conversions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["q8_1", "q8_K", "i8", "i16", "i32", "i64", "f64", "4", "5", "31", "36", "-1", "q4_2", "nope", "COUNT", "", 5],
)  # fmt: skip
def test_type_that_the_library_cannot_write_is_refused(server: ServerProcess, kind: Any) -> None:
    refused(server.post("/convert", {"input_path": "own.gguf", "output_type": kind}), "output_type")


RULES = [
    "(=f16", "[=f16", "x", "=f16", "a=", "a=q8_1", "(a+)+$=f16", "(a|aa)+$=f16", ".*.*.*.*x=f16", "a{1,100000}=f16",
    "(?=a)=f16", r"\1=f16", "[z-a]=f16", r"\=f16", "[[:foo:]]=f16", "a\0=f16", "é=f16", "^*=f16", r"\x=f16",
    "a" * 3000 + "=f16",
]  # fmt: skip


@pytest.mark.parametrize("rules", RULES, ids=lambda rules: rules[:20])
@pytest.mark.parametrize("path", ["/convert", "/models/load"])
def test_deadly_and_endless_patterns_are_refused(server: ServerProcess, path: str, rules: str) -> None:
    bodies: dict[str, Any] = {
        "/convert": {"input_path": "own.gguf", "output_type": "f16", "tensor_type_rules": rules},
        "/models/load": {"model_name": MODEL, "options": {"tensor_type_rules": rules}},
    }
    refused(server.post(path, bodies[path]), "tensor_type_rules")


@pytest.mark.parametrize(
    "path",
    [
        "../x.gguf", "/tmp/x.gguf", "/etc/x.gguf", "a/../../x.gguf", "..\\x.gguf", "x.bin", "x", ".gguf", ".x.gguf",
        "own.gguf", "folder/", "a\0b.gguf", "x" * 300 + ".gguf", "é" * 120 + ".gguf", "y" * 210 + "/x.gguf",
        "new\nline.gguf", "x.safetensors", "x.GGUF", 5,
    ],
    ids=lambda path: str(path)[:20],
)  # fmt: skip
def test_result_that_cannot_lie_there_is_refused(server: ServerProcess, path: Any) -> None:
    body = {"input_path": "own.gguf", "output_type": "q4_0", "output_path": path}
    refused(server.post("/convert", body), "output_path")


@pytest.mark.parametrize(
    ("name", "status", "word"),
    [
        ("../x", 400, "input_path"), ("", 400, "input_path"), ("a\0b", 400, "input_path"), (5, 400, "input_path"),
        (None, 400, "input_path"), ("nope", 404, "nope"), ("/etc/passwd", 404, "/etc/passwd"),
        ("cut.gguf", 400, "truncated"),
    ],
)  # fmt: skip
def test_input_that_is_no_model_is_refused(server: ServerProcess, name: Any, status: int, word: str) -> None:
    refused(server.post("/convert", {"input_path": name, "output_type": "q4_0"}), word, status=status)


def test_vae_that_is_none_is_refused(server: ServerProcess) -> None:
    body = {"input_path": "own.gguf", "output_type": "q4_0"}
    refused(server.post("/convert", {**body, "vae_path": "../x"}), "vae_path")
    refused(server.post("/convert", {**body, "vae_path": "own.gguf"}), "own.gguf", status=404)


# --- components and uploads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "role",
    [
        "vae", "clip_l", "clip_g", "clip_vision", "t5xxl", "controlnet", "llm", "llm_vision", "taesd",
        "high_noise_diffusion_model", "photo_maker", "embeddings",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("value", "status"), [("../x", 400), (" ", 400), (5, 400), ("nope", 500)])
def test_component_that_is_no_file_is_blamed_by_its_role(
    server: ServerProcess, role: str, value: Any, status: int
) -> None:
    asked = [value] if role == "embeddings" else value
    answer = server.post("/models/load", {"model_name": MODEL, role: asked})
    refused(answer, role if status == 400 else "Model not found: nope", status=status)


LORA = (DEMO / "loras" / "demo_lora.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("query", "body", "word"),
    [
        ("name=x.safetensors", LORA, "type"), ("type=lora", LORA, "name"),
        ("type=nope&name=x.safetensors", LORA, "type"),
        ("type=lora&name=x.exe", LORA, "name"), ("type=lora&name=../x.safetensors", LORA, "name"),
        ("type=lora&name=a%0ab.safetensors", LORA, "name"), ("type=lora&name=.x.safetensors", LORA, "name"),
        (f"type=lora&name={'x' * 300}.safetensors", LORA, "name"),
        ("type=lora&name=x.safetensors&subfolder=../y", LORA, "subfolder"),
        ("type=lora&name=x.safetensors&overwrite=zz", LORA, "overwrite"),
        ("type=lora&name=x.safetensors", b"", "empty"), ("type=lora&name=x.safetensors", b"x" * 1000, "not a model"),
        ("type=lora&name=x.safetensors", LORA[:1000], "truncated"),
        ("type=lora&name=x.safetensors", b"<!doctype html><html>", "web page"),
    ],
    ids=lambda value: str(value)[:32],
)  # fmt: skip
def test_upload_that_is_no_model_or_has_no_place_is_refused(
    server: ServerProcess, query: str, body: bytes, word: str
) -> None:
    refused(requests.post(f"{server.url}/models/upload?{query}", data=body, timeout=TIMEOUT), word)


# --- paths, lists and settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "path",
    ["../data", "%2e%2e/data", "..%2fdata", "..%5cdata", ".spool", ".bin", "%00", "/etc/passwd", "a" * 5000, "%ff"],
    ids=lambda path: path[:16],
)  # fmt: skip
def test_no_path_leaves_the_output_folder(server: ServerProcess, method: str, path: str) -> None:
    for place in ("/output/", "/thumb/"):
        if (method, place) == ("DELETE", "/thumb/"):
            continue
        status, body = raw(server, method, f"{place}{path}")
        assert status in (400, 404), (place, body)
        assert b'{"error"' in body
    assert (server.folder / "data" / "sdcpp_rest.db").exists()
    assert (server.folder / "output" / ".spool").is_dir()


def test_the_output_folder_itself_is_not_removed(server: ServerProcess) -> None:
    for path in ("/output", "/output/", "/output/.", "/output/./", "/output/%2e"):
        assert raw(server, "DELETE", path)[0] in (400, 405), path


@pytest.mark.parametrize(
    "url",
    [
        "/queue?status=nope", "/queue?type=nope", "/queue?limit=0", "/queue?limit=1000000", "/queue?limit=x",
        "/queue?offset=-1", "/queue?offset=99999999999999999999", "/queue?page=0", "/queue?before=2026-13-45",
        "/queue?before=nan", "/queue?after=9999999999999999999", "/queue?sort=nope", "/queue?order=up",
        "/output?sort=nope", "/output?order=up", "/output?page=-1", "/models?type=nope",
        "/models/diffusion/own.gguf/fit?width=0", "/models/diffusion/own.gguf/fit?height=-1",
        "/models/diffusion/own.gguf/fit?width=99999999999", "/models/diffusion/own.gguf/fit?batch_count=0",
        "/models/diffusion/own.gguf/fit?video_frames=-1", "/models/diffusion/own.gguf/fit?weight_type=q8_1",
        "/models/diffusion/own.gguf/fit?component=vae", "/models/diffusion/own.gguf/fit?component=nope:own.gguf",
        "/architectures/detect?model=", "/architectures/detect?model=../x", "/architectures/detect?model=cut.gguf",
        "/models/diffusion/cut.gguf/inspect", "/models/nope/own.gguf/inspect",
    ],
)  # fmt: skip
def test_query_is_refused_by_name(server: ServerProcess, url: str) -> None:
    answer = requests.get(server.url + url, timeout=TIMEOUT)
    field = url.partition("?")[2].partition("=")[0]
    refused(answer, field if "cut.gguf" not in url else "truncated")


@pytest.mark.parametrize("job_id", ["nope", "%2e%2e", "%00", "a" * 3000, "%27;drop%20table%20jobs"])
def test_job_that_is_none_is_not_found(server: ServerProcess, job_id: str) -> None:
    for method, path in (
        ("GET", ""), ("POST", "/cancel"), ("POST", "/front"), ("POST", "/restore"), ("DELETE", "/purge"),
    ):  # fmt: skip
        assert raw(server, method, f"/queue/{job_id}{path}")[0] == 404, path


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/settings/generation", {"txt2img": 5}), ("/settings/generation", {"txt2img": {"width": 0}}),
        ("/settings/generation/txt2img", {"steps": -1}), ("/settings/generation/txt2img", {"sampler": "nope"}),
        ("/settings/generation/txt2img", {"width": 64.5}), ("/settings/generation/txt2vid", {"video_frames": 0}),
        ("/settings/generation/txt2img", {"cfg_scale": float("nan")}),
        ("/settings/recycle-bin", {"retention_minutes": -1}), ("/preview/settings", {"mode": "x"}),
        ("/preview/settings", {"interval": 0}), ("/preview/settings", {"quality": 101}),
        ("/settings/auto-unload", {"main": {"timeout_minutes": 0}}), ("/settings/preferences", [1]),
    ],
    ids=str,
)  # fmt: skip
def test_setting_is_refused_and_nothing_changes(server: ServerProcess, path: str, body: Any) -> None:
    before = server.get(path)
    answer = requests.put(server.url + path, data=json.dumps(body), timeout=TIMEOUT)
    refused(answer)
    assert server.get(path) == before


@pytest.mark.parametrize("mode", ["nope", "upscale", "%00"])
def test_settings_of_a_mode_that_is_none_are_not_found(server: ServerProcess, mode: str) -> None:
    assert requests.put(f"{server.url}/settings/generation/{mode}", json={}, timeout=TIMEOUT).status_code == 404
