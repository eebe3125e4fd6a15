"""Larger pictures and smaller models, by the real library through the real server."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import dequantize
from PIL import Image

from tests.e2e.conftest import ServerProcess
from tests.paired_files import Tensor, e4m3, f32, write_tensors
from tests.split_models import contents_of, split_gguf

pytestmark = pytest.mark.e2e
PROMPT = "a red circle on a blue background"


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def is_red_on_blue(picture: Image.Image) -> bool:
    red, _, blue = picture.getpixel((picture.width // 2, picture.height // 2))  # type: ignore[misc]
    edge_red, _, edge_blue = picture.getpixel((2, 2))  # type: ignore[misc]
    return bool(red > blue + 60 and edge_blue > edge_red + 60)


def test_a_drawn_picture_is_upscaled_by_each_upscaler(shared_server: ServerProcess) -> None:
    drawn = shared_server.wait(shared_server.submit(PROMPT, seed=7))
    for name, factor in (("esrgan_x2.safetensors", 2), ("esrgan_x4.safetensors", 4)):
        loaded = shared_server.post("/upscaler/load", {"model_name": name})
        assert (loaded.status_code, loaded.json()["upscale_factor"]) == (200, factor)
        answer = shared_server.post("/upscale", {"job_id": drawn["job_id"]})
        assert answer.status_code == 202, answer.text
        job = shared_server.wait(answer.json()["job_id"])
        assert job["status"] == "completed", job
        picture = opened(shared_server.picture(job["job_id"]))
        assert picture.size == (64 * factor, 64 * factor)
        assert is_red_on_blue(picture)


def test_factor_and_repeats_count(shared_server: ServerProcess) -> None:
    file = io.BytesIO()
    Image.new("RGB", (20, 12), "red").save(file, "PNG")
    given = base64.b64encode(file.getvalue()).decode()
    shared_server.post("/upscaler/load", {"model_name": "esrgan_x2.safetensors", "tile_size": 32})
    sizes = []
    for factor, repeats in ((3, 1), (2, 2)):
        answer = shared_server.post("/upscale", {"image_base64": given, "upscale_factor": factor, "repeats": repeats})
        job = shared_server.wait(answer.json()["job_id"])
        sizes.append(opened(shared_server.picture(job["job_id"])).size)
    assert sizes == [(60, 36), (80, 48)]
    assert shared_server.get("/health")["upscaler_name"] == "esrgan_x2.safetensors"
    assert shared_server.post("/upscaler/unload").status_code == 200
    assert shared_server.get("/health")["upscaler_loaded"] is False


@pytest.mark.parametrize("weight_type", ["q8_0", "q4_0", "f16"])
def test_a_converted_model_is_listed_loads_and_draws(
    make_server: Callable[..., ServerProcess], weight_type: str
) -> None:
    server = make_server()
    server.wait_loaded()
    answer = server.post("/convert", {"input_path": "demo_dit_q8_0.gguf", "output_type": weight_type})
    assert answer.status_code == 202, answer.text
    job = server.wait(answer.json()["job_id"])
    assert job["status"] == "completed", job
    name = f"demo_dit_q8_0.{weight_type}.gguf"
    (listed,) = (file for file in server.get("/models?type=diffusion")["diffusion_models"] if file["name"] == name)
    written, expected = listed["size_bytes"], job["params"]["expected_bytes"]
    assert 0.8 < written / expected < 1.25, (written, expected)
    body = {
        "model_name": name,
        "llm": "demo_llm_q4_0.gguf",
        "taesd": "demo_tae.safetensors",
        "options": {"n_threads": 1, "tae_preview_only": False},
    }
    loaded = server.post("/models/load", body)
    assert loaded.status_code == 200, loaded.text
    drawn = server.wait(server.submit(PROMPT, seed=7, width=64, height=64, steps=12, cfg_scale=2.5, sampler="euler"))
    assert drawn["status"] == "completed", drawn
    assert is_red_on_blue(opened(server.picture(drawn["job_id"])))


COMPONENTS = {
    "llm": "demo_llm_q4_0.gguf",
    "taesd": "demo_tae.safetensors",
    "options": {"n_threads": 1, "tae_preview_only": False},
}


def draw_by(server: ServerProcess, name: str) -> Image.Image:
    loaded = server.post("/models/load", {"model_name": name, **COMPONENTS})
    assert loaded.status_code == 200, loaded.text
    job = server.wait(server.submit(PROMPT, seed=7, width=64, height=64, steps=12, cfg_scale=2.5, sampler="euler"))
    assert job["status"] == "completed", job
    return opened(server.picture(job["job_id"]))


def convert_by(server: ServerProcess, name: str, output_type: str) -> Path:
    answer = server.post("/convert", {"input_path": name, "output_type": output_type})
    assert answer.status_code == 202, answer.text
    job = server.wait(answer.json()["job_id"])
    assert job["status"] == "completed", job
    return Path(answer.json()["output_path"])


def test_a_split_model_is_merged_and_draws_what_the_whole_one_draws(
    make_server: Callable[..., ServerProcess], demo_folder: Path
) -> None:
    server = make_server()
    server.wait_loaded()
    whole, folder = demo_folder / "diffusion_models" / "demo_dit_q8_0.gguf", server.folder / "models/diffusion_models"
    parts = split_gguf(whole, folder, 3, stem="big")
    refused = server.post("/models/load", {"model_name": parts[0].name, **COMPONENTS})
    assert refused.status_code == 400
    assert f"`sdcpp-rest convert {parts[0].name} keep`" in refused.json()["error"]

    merged = convert_by(server, parts[0].name, "keep")
    assert merged == folder / "big.gguf"
    assert contents_of(merged) == contents_of(whole)
    picture = draw_by(server, "big.gguf")
    assert is_red_on_blue(picture)
    assert picture.tobytes() == draw_by(server, whole.name).tobytes()

    smaller = convert_by(server, parts[0].name, "q4_0")
    assert smaller.name == "big.q4_0.gguf"
    ours, librarys = contents_of(smaller), contents_of(convert_by(server, whole.name, "q4_0"))
    assert ours[0] == librarys[0]
    # The library writes tensors in the order in which its threads are done with them.
    assert sorted(ours[1]) == sorted(librarys[1])
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def stored_as_scaled_fp8(source: Path, target: Path) -> None:
    """``source``, a GGUF file, with its matrices as small floats and a scale for each, as ComfyUI stores them."""
    table = np.array([e4m3(code) for code in range(127)])
    tensors: dict[str, Tensor] = {"scaled_fp8": ("F8_E4M3", (0,), b"")}
    for tensor in GGUFReader(source).tensors:
        values = dequantize(tensor.data, tensor.tensor_type).reshape(tuple(int(side) for side in tensor.shape)[::-1])
        if values.ndim < 2:
            tensors[tensor.name] = f32(values)
            continue
        scale = np.float32(np.abs(values).max() / 448)
        above = np.searchsorted(table, np.abs(values) / scale).clip(1, 126)
        is_nearer_below = np.abs(values) / scale - table[above - 1] < table[above] - np.abs(values) / scale
        found = np.where(is_nearer_below, above - 1, above).astype(np.uint8) | np.where(values < 0, 128, 0).astype(
            np.uint8
        )
        tensors[tensor.name] = "F8_E4M3", values.shape, found.tobytes()
        tensors[f"{tensor.name.removesuffix('.weight')}.scale_weight"] = f32(scale)
    write_tensors(target, tensors)


def psnr(one: Image.Image, other: Image.Image) -> float:
    error = np.mean((np.asarray(one, np.float64) - np.asarray(other, np.float64)) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else 99.0


def test_a_model_in_scaled_fp8_is_converted_and_draws_what_the_original_draws(
    make_server: Callable[..., ServerProcess], demo_folder: Path
) -> None:
    server = make_server()
    server.wait_loaded()
    whole, folder = demo_folder / "diffusion_models" / "demo_dit_q8_0.gguf", server.folder / "models/diffusion_models"
    stored_as_scaled_fp8(whole, folder / "small.safetensors")
    refused = server.post("/models/load", {"model_name": "small.safetensors", **COMPONENTS})
    assert refused.status_code == 400
    assert "is stored as scaled FP8" in refused.json()["error"]
    assert "`sdcpp-rest convert small.safetensors q8_0`" in refused.json()["error"]

    original = draw_by(server, whole.name)
    assert convert_by(server, "small.safetensors", "q8_0") == folder / "small.q8_0.gguf"
    answer = server.post("/convert", {"input_path": "small", "output_type": "f16", "output_path": "large.safetensors"})
    assert server.wait(answer.json()["job_id"])["status"] == "completed"
    quantized, restored = draw_by(server, "small.q8_0.gguf"), draw_by(server, "large.safetensors")
    assert is_red_on_blue(quantized)
    assert is_red_on_blue(restored)
    # What fp8 costs, and what q8_0 costs beside it.
    assert psnr(original, restored) > 32
    assert psnr(restored, quantized) > 45
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_the_command_merges_with_an_engine_of_its_own(tmp_path: Path, demo_folder: Path) -> None:
    whole, folder = demo_folder / "diffusion_models" / "demo_dit_q8_0.gguf", tmp_path / "models" / "diffusion_models"
    parts = split_gguf(whole, folder, 3, bare_first=True)
    folders = [f"--{name}-dir={tmp_path / name}" for name in ("data", "models", "output")]
    command = [sys.executable, "-m", "sdcpp_rest", "convert", parts[0].name, "keep", "-o", "again.gguf", *folders]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout) == (0, f"saved {folder / 'again.gguf'}\n"), run.stderr
    assert contents_of(folder / "again.gguf") == contents_of(whole)
