"""Our verdict on every family against the library's own, on files that hold names and shapes and not one weight."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sdcpp_rest.core import family_signs
from sdcpp_rest.native.context import Context, ContextOptions, NativeError
from sdcpp_rest.native.library import Library
from sdcpp_rest.services.model_headers.inspection import inspect_file
from tools.synthetic_models.families import FAMILIES, FILES, Family, write_file

pytestmark = pytest.mark.native

_FILES_WITHOUT_FAMILY = {
    "clip_l": "CLIP text encoder",
    "clip_g": "CLIP text encoder",
    "t5xxl": "T5 text encoder",
    "qwen3": "language model",
    "mistral": "language model",
    "qwen2_5_vl": "language model",
    "vae_sd": "VAE",
    "vae_flux": "VAE",
    "taesd": "tiny autoencoder",
    "taef1": "tiny autoencoder",
    "taew2_1": "tiny autoencoder",
    "controlnet": "ControlNet",
    "esrgan_x2": "upscaler",
    "esrgan_x4": "upscaler",
    "embedding_sd1": "embedding",
    "lora_flux": "LoRA",
    "lora_sdxs": "LoRA",
}


def library_verdict(library: Library, path: Path, family: Family) -> str:
    """What the library calls the file. The load itself must fail cleanly: there is nothing to read."""
    lines: list[str] = []
    library.set_log(lambda level, line: lines.append(line))
    role = "model_path" if family.kind == "checkpoint" else "diffusion_model_path"
    with pytest.raises(NativeError):
        Context.load(ContextOptions(n_threads=1, **{role: str(path)}), library)
    verdicts = [found[1].strip() for line in lines if (found := re.search(r" - Version: (.+)$", line))]
    assert len(verdicts) == 1, lines
    if verdicts == ["Flux"] and any("pruned modulation (Chroma)" in line for line in lines):
        return "Chroma"
    return verdicts[0]


@pytest.mark.parametrize("name", FAMILIES)
def test_our_verdict_is_the_library_s(library: Library, tmp_path: Path, name: str) -> None:
    family = FAMILIES[name]
    path = write_file(tmp_path, family.model, fill="none")
    found = family_signs.detect({tensor: shape for tensor, shape, _ in FILES[family.model].recipe()})
    assert found is not None
    assert found.name == library_verdict(library, path, family) == family.version


@pytest.mark.parametrize(("name", "contents"), _FILES_WITHOUT_FAMILY.items())
def test_other_files_are_told_apart_by_their_header(tmp_path: Path, name: str, contents: str) -> None:
    path = write_file(tmp_path, name, fill="zero")
    assert inspect_file(str(path)).contents == contents
