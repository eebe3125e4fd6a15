"""A server without a model of its own draws with what lies in ComfyUI's folders."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.conftest import ServerProcess
from tests.model_files import write

pytestmark = pytest.mark.e2e
PROMPT = "a red circle on a blue background"
SIDECAR_KEYS = {"model_name": "demo_dit_q8_0", "llm": "demo_llm_q4_0", "taesd": "demo_tae"}


def picture(server: ServerProcess, prompt: str) -> Image.Image:
    job = server.wait(server.submit(prompt, seed=7, width=64, height=64, steps=12, cfg_scale=2.5, sampler="euler"))
    assert job["status"] == "completed", job
    return Image.open(io.BytesIO(server.picture(job["job_id"]))).convert("RGB")


def test_models_components_and_loras_of_comfyui_are_drawn_with(
    make_server: Callable[..., ServerProcess], demo_folder: Path, tmp_path: Path
) -> None:
    models = tmp_path / "ComfyUI" / "models"
    for source, folder in (
        ("diffusion_models/demo_dit_q8_0.gguf", "unet"), ("llm/demo_llm_q4_0.gguf", "text_encoders"),
        ("taesd/demo_tae.safetensors", "vae_approx"), ("loras/demo_lora.safetensors", "loras/styles"),
    ):  # fmt: skip
        (models / folder).mkdir(parents=True)
        shutil.copy(demo_folder / source, models / folder)
    text = (
        "comfyui:\n  base_path: models\n  unet: unet\n  text_encoders: text_encoders\n  vae_approx: vae_approx\n"
        "  loras: |\n    loras\n    missing\n  custom_nodes: custom_nodes\n"
    )
    file = write(tmp_path / "ComfyUI" / "extra_model_paths.yaml", text.encode())
    before = sorted(path for path in models.rglob("*"))
    server = make_server(f"paths.extra_model_dirs=['{file}']", "models.include_demo=false")
    listed = server.get("/models")
    assert [(one["name"], one["extra_folder"]) for one in listed["loras"]] == [
        ("styles/demo_lora.safetensors", str(models / "loras"))
    ]
    options = {"n_threads": 1, "tae_preview_only": False}
    loaded = server.post("/models/load", {**SIDECAR_KEYS, "options": options})
    assert loaded.status_code == 200, loaded.text
    plain, styled = picture(server, PROMPT), picture(server, f"{PROMPT} <lora:demo_lora:1>")
    red, _, blue = plain.getpixel((32, 32))  # type: ignore[misc]
    assert red > blue + 60
    assert plain.tobytes() != styled.tobytes()
    assert sorted(path for path in models.rglob("*")) == before
    log = (server.folder / "data" / "logs" / "server.log").read_text()
    assert f"loras: there is no folder {models}/missing" in log
    assert "not used, because no model is of that kind here: custom_nodes" in log
