"""Headers tell whether pictures can be read, and how much larger they become."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdcpp_rest.core.load_spec import FileRef, LoadOptions, LoadSpec
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.runtime import DEMO_ROOT
from sdcpp_rest.services.model_headers.autoencoders import upscale_factor, with_encoder, without_encoder
from tests import model_files

DECODER = {"decoder.conv_in.weight": (3, 3, 4, 32), "decoder.conv_out.bias": (3,)}
ENCODER = {"encoder.conv_in.weight": (3, 3, 3, 128)}
TEXT = {"cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.bias": (4,)}


def file(folder: Path, name: str, tensors: dict[str, tuple[int, ...]]) -> FileRef:
    return FileRef(name=name, path=str(model_files.write(folder / name, model_files.safetensors_bytes(tensors))))


def inside(tensors: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {f"first_stage_model.{name}": shape for name, shape in tensors.items()}


def spec(main: FileRef, architecture: str | None = None, *, preview: bool = False, **components: FileRef) -> LoadSpec:
    options = LoadOptions(tae_preview_only=preview)
    return LoadSpec(model=main, kind="checkpoint", architecture=architecture, components=components, options=options)


def test_checkpoint_reads_pictures_by_what_is_inside(tmp_path: Path) -> None:
    whole = file(tmp_path, "whole.safetensors", inside({**DECODER, **ENCODER}) | TEXT)
    half = file(tmp_path, "half.safetensors", inside(DECODER) | TEXT)
    assert without_encoder(spec(whole)) is None
    assert without_encoder(spec(half)) == "half.safetensors", "the text encoder is not the autoencoder's"


@pytest.mark.parametrize("prefix", ["", "first_stage_model.", "vae."])
def test_vae_beside_the_model_counts_instead(tmp_path: Path, prefix: str) -> None:
    main = file(tmp_path, "main.safetensors", inside(DECODER))
    both = {f"{prefix}{name}": shape for name, shape in {**DECODER, **ENCODER}.items()}
    vae = file(tmp_path, "vae.safetensors", both)
    assert without_encoder(spec(main, vae=vae)) is None
    bare = file(tmp_path, "bare.safetensors", DECODER)
    assert without_encoder(spec(main, vae=bare)) == "bare.safetensors"


def test_tiny_autoencoder_needs_one_too_also_for_previews_only(tmp_path: Path) -> None:
    main = file(tmp_path, "main.safetensors", inside(DECODER))
    whole = file(tmp_path, "tae.safetensors", {"decoder.layers.0.bias": (4,), "encoder.layers.0.bias": (4,)})
    half = file(tmp_path, "half.safetensors", {"decoder.layers.0.bias": (4,)})
    vae = file(tmp_path, "vae.safetensors", {**DECODER, **ENCODER})
    assert without_encoder(spec(main, taesd=whole)) is None
    assert without_encoder(spec(main, taesd=half)) == "half.safetensors"
    assert without_encoder(spec(main, taesd=half, vae=vae, preview=True)) == "half.safetensors"
    assert without_encoder(spec(main, taesd=whole, preview=True)) == "main.safetensors"
    assert without_encoder(spec(main, "SDXS (512-DS)", taesd=whole, preview=True)) is None


def test_what_cannot_be_looked_into_is_the_librarys_to_judge(tmp_path: Path) -> None:
    gone = FileRef(name="gone.gguf", path=str(tmp_path / "gone.gguf"))
    pickled = FileRef(name="x.ckpt", path=str(model_files.write(tmp_path / "x.ckpt", b"\x80\x02}q\x00." + b"x" * 600)))
    assert without_encoder(spec(gone)) is None
    assert without_encoder(spec(gone, vae=pickled)) is None


def test_family_without_an_autoencoder_lacks_nothing(tmp_path: Path) -> None:
    main = file(tmp_path, "main.safetensors", {"nerf_final_layer_conv.norm.scale": (4,)})
    assert without_encoder(spec(main, "Chroma Radiance")) is None


@pytest.mark.parametrize(("name", "factor"), [("esrgan_x2.safetensors", 2), ("esrgan_x4.safetensors", 4)])
def test_factor_of_the_bundled_upscalers(name: str, factor: int) -> None:
    assert upscale_factor(FileRef(name=name, path=str(DEMO_ROOT / "esrgan" / name))) == factor


def test_factor_that_nothing_tells_is_the_usual_one(tmp_path: Path) -> None:
    assert upscale_factor(FileRef(name="gone", path=str(tmp_path / "gone"))) == 4
    assert upscale_factor(file(tmp_path, "old.safetensors", {"model.0.weight": (3, 3, 3, 64)})) == 4
    assert upscale_factor(file(tmp_path, "x1.safetensors", {"conv_first.weight": (3, 3, 3, 64)})) == 1


def test_tiny_autoencoder_that_reads_frames_in_groups_reads_no_picture(tmp_path: Path) -> None:
    main = file(tmp_path, "main.safetensors", {})
    tiny = file(tmp_path, "tae.safetensors", {"decoder.layers.0.bias": (4,), "encoder.layers.0.bias": (4,)})
    assert without_encoder(spec(main, "Qwen Image", taesd=tiny)) is None, "it can be loaded"
    with pytest.raises(InvalidRequest, match=r"tae\.safetensors has no encoder that works for it"):
        with_encoder(spec(main, "Qwen Image", taesd=tiny), [])
    vae = file(tmp_path, "vae.safetensors", {**DECODER, **ENCODER})
    assert not with_encoder(spec(main, "Qwen Image", taesd=tiny, vae=vae, preview=True), []).options.vae_decode_only
