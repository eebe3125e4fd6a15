"""What a load may bring along: embeddings, PhotoMaker, an encoder; and what is refused before the library sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdcpp_rest.core.catalog import Sidecar
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.services.model_headers.inspection import NotAModel
from sdcpp_rest.services.models.load_options import load_options
from sdcpp_rest.services.models.load_specs import LoadRequest, build_spec
from sdcpp_rest.services.models.model_library import ModelLibrary
from tests import model_files
from tests.model_files import gguf_bytes, reversed_shapes, safetensors_bytes, write
from tests.torch_files import torch_bytes

DEMO = "demo_dit_q8_0.gguf"
PHOTO_MAKER = {"fuse_module.mlp1.fc1.weight": (8, 8), "vision_model.post_layernorm.bias": (8,)}
PAGE = b"<!doctype html><html><body>Not found</body></html>"


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    write(folder / "checkpoints/sd15.gguf", gguf_bytes(model_files.unet()))
    write(folder / "checkpoints/sdxl.gguf", gguf_bytes(model_files.unet(second_encoder=True)))
    return folder


@pytest.fixture
def library(models_dir: Path, demo_folder: Path) -> ModelLibrary:
    return ModelLibrary(models_dir, {}, demo_folder)


def embedding(models_dir: Path, name: str, content: bytes | None = None) -> None:
    write(models_dir / "embeddings" / name, content or safetensors_bytes(reversed_shapes(model_files.EMBEDDING)))


def loaded(library: ModelLibrary, name: str, **more: object) -> LoadSpec:
    return build_spec(library, LoadRequest.model_validate({"model_name": name, **more}))[0]


# --- embeddings -------------------------------------------------------------------------------------------------------


def test_embeddings_of_the_folder_come_along_where_clip_reads_the_prompt(
    library: ModelLibrary, models_dir: Path
) -> None:
    embedding(models_dir, "EasyNegative.safetensors")
    embedding(models_dir, "styles/ink.safetensors")
    names = [file.name for file in loaded(library, "sd15").embeddings]
    assert names == ["EasyNegative.safetensors", "styles/ink.safetensors"]
    assert loaded(library, DEMO).embeddings == ()


def test_files_that_are_no_embeddings_are_left_out(library: ModelLibrary, models_dir: Path) -> None:
    embedding(models_dir, "good.safetensors")
    embedding(models_dir, "page.safetensors", PAGE)
    embedding(models_dir, "lora.safetensors", safetensors_bytes(reversed_shapes(model_files.LORA)))
    embedding(models_dir, "old.pt", torch_bytes({"*": (2, 768)}, wrapper="string_to_param"))
    embedding(models_dir, "half.pt", torch_bytes({"*": (2, 768)}, wrapper="string_to_param")[:-30])
    with open(models_dir / "embeddings" / "huge.pt", "wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(17 << 20)
    assert [file.name for file in loaded(library, "sd15").embeddings] == ["good.safetensors", "old.pt"]


def test_the_library_tells_them_apart_by_lower_case_stems(library: ModelLibrary, models_dir: Path) -> None:
    embedding(models_dir, "a/Ink.safetensors")
    embedding(models_dir, "b/ink.safetensors")
    assert [file.name for file in loaded(library, "sd15").embeddings] == ["a/Ink.safetensors"]


def test_a_request_chooses_embeddings_or_none(library: ModelLibrary, models_dir: Path) -> None:
    embedding(models_dir, "one.safetensors")
    embedding(models_dir, "two.safetensors")
    assert [file.name for file in loaded(library, "sd15", embeddings=("two",)).embeddings] == ["two.safetensors"]
    assert loaded(library, "sd15", embeddings=()).embeddings == ()
    with pytest.raises(ModelNotFound, match="Model not found: three"):
        loaded(library, "sd15", embeddings=("three",))
    embedding(models_dir, "lora.safetensors", safetensors_bytes(reversed_shapes(model_files.LORA)))
    with pytest.raises(InvalidRequest, match=r"embeddings: lora\.safetensors is no embedding"):
        loaded(library, "sd15", embeddings=("lora",))


# --- PhotoMaker -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("photo_maker/pm.safetensors", "photo_maker/pm.safetensors"),
        ("checkpoints/pm.safetensors", "pm"),
        ("embeddings/pm.safetensors", "pm.safetensors"),
    ],
)
def test_photo_maker_is_found_below_the_models_folder(
    library: ModelLibrary, models_dir: Path, place: str, name: str
) -> None:
    write(models_dir / place, safetensors_bytes(reversed_shapes(PHOTO_MAKER)))
    spec = loaded(library, "sdxl", components={"photo_maker": name})
    assert spec.components["photo_maker"].path == str((models_dir / place).resolve())


def test_photo_maker_never_leaves_the_models_folder(
    library: ModelLibrary, models_dir: Path, tmp_path: Path, demo_folder: Path
) -> None:
    outside = write(tmp_path / "outside.safetensors", safetensors_bytes(reversed_shapes(PHOTO_MAKER)))
    (models_dir / "link.safetensors").symlink_to(outside)
    for name in ("../outside.safetensors", str(outside)):
        with pytest.raises((InvalidRequest, ModelNotFound)):
            loaded(library, "sdxl", components={"photo_maker": name})
    assert loaded(library, "sdxl", components={"photo_maker": "link.safetensors"}).components["photo_maker"]
    bounded = ModelLibrary(models_dir, {}, demo_folder, follow_links=False)
    with pytest.raises(ModelNotFound):
        loaded(bounded, "sdxl", components={"photo_maker": "link.safetensors"})


def test_photo_maker_is_refused_where_it_would_end_the_engine(library: ModelLibrary, models_dir: Path) -> None:
    write(models_dir / "checkpoints/pm.safetensors", safetensors_bytes(reversed_shapes(PHOTO_MAKER)))
    with pytest.raises(InvalidRequest, match=r"SD 1\.x cannot be used with PhotoMaker"):
        loaded(library, "sd15", components={"photo_maker": "pm"})
    write(models_dir / "loras/style.safetensors", safetensors_bytes(reversed_shapes(model_files.LORA)))
    with pytest.raises(NotAModel, match=r"photo_maker: style\.safetensors is no PhotoMaker model"):
        loaded(library, "sdxl", components={"photo_maker": "style"})


# --- the encoder ------------------------------------------------------------------------------------------------------


def test_an_encoder_that_is_not_there_cannot_be_loaded(library: ModelLibrary, models_dir: Path) -> None:
    decoder = {name: shape for name, shape in model_files.VAE.items() if not name.startswith("encoder.")}
    write(models_dir / "vae/decoder.safetensors", safetensors_bytes(reversed_shapes(decoder)))
    asked = {"components": {"vae": "decoder", "taesd": ""}}
    assert loaded(library, DEMO, options={"vae_decode_only": True}, **asked).options.vae_decode_only
    with pytest.raises(InvalidRequest, match=r"vae_decode_only: false needs .* decoder\.safetensors has none"):
        loaded(library, DEMO, options={"vae_decode_only": False}, **asked)


# --- options ----------------------------------------------------------------------------------------------------------


def test_presets_fill_in_only_what_the_contract_leaves_open() -> None:
    preset = {"qwen_image_zero_cond_t": True, "chroma_use_dit_mask": False, "vae_decode_only": False}
    options = load_options({}, Sidecar(), preset, [])
    assert (options.qwen_image_zero_cond_t, options.chroma_use_dit_mask, options.vae_decode_only) == (True, True, True)
    assert load_options({"qwen_image_zero_cond_t": False}, Sidecar(), preset, []).qwen_image_zero_cond_t is False


def test_embeddings_of_another_width_stay_behind_and_are_refused_by_name(
    library: ModelLibrary, models_dir: Path
) -> None:
    embedding(models_dir, "old.safetensors")
    embedding(models_dir, "wide.safetensors", safetensors_bytes({"clip_l": (2, 768), "clip_g": (2, 1280)}))
    assert [file.name for file in loaded(library, "sd15").embeddings] == ["old.safetensors"]
    assert [file.name for file in loaded(library, "sdxl").embeddings] == ["wide.safetensors"]
    with pytest.raises(InvalidRequest, match=r"embeddings: old\.safetensors is an embedding for SD 1\.x"):
        loaded(library, "sdxl", embeddings=("old",))
