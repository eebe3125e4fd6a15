"""What a load may bring along: embeddings, PhotoMaker, an encoder; and what is refused before the library sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sdcpp_rest.core.catalog import Sidecar
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import InvalidRequest, ModelNotFound
from sdcpp_rest.services.model_headers.inspection import NotAModel
from sdcpp_rest.services.models.load_checks import check_computable
from sdcpp_rest.services.models.load_options import load_options
from sdcpp_rest.services.models.load_specs import LoadRequest, build_spec
from sdcpp_rest.services.models.model_library import ModelLibrary
from tests import model_files
from tests.cases import for_each_case
from tests.model_files import gguf_bytes, reversed_shapes, safetensors_bytes, write
from tests.torch_files import torch_bytes
from tools.synthetic_models.families import FAMILIES, write_file

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


def test_flash_attention_that_is_not_followed_is_a_warning(library: ModelLibrary, models_dir: Path) -> None:
    write(models_dir / "diffusion_models/chroma.gguf", gguf_bytes(model_files.CHROMA))
    write(models_dir / "vae/vae.gguf", gguf_bytes(model_files.VAE))
    request = {"model_name": "chroma", "components": {"vae": "vae"}}

    def warnings(**options: bool) -> list[str]:
        told = build_spec(library, LoadRequest.model_validate({**request, "options": options}))[1]
        return [text for text in told if "flash" in text]

    assert warnings() == warnings(flash_attn=True, chroma_use_dit_mask=False) == []
    (told,) = warnings(flash_attn=True)
    assert told.startswith("options.flash_attn: true was not followed: with its mask, Chroma draws one flat colour")


# --- number formats that GPUs cannot compute with ---------------------------------------------------------------------


# With rows of whole blocks. Tensors called img_in and txt_in are never converted.
CONVERTED = {
    "double_blocks.0.img_attn.qkv.weight": (256, 768),
    "distilled_guidance_layer.in_proj.weight": (256, 512),
    "double_blocks.0.txt_attn.norm.key_norm.scale": (256,),
    "single_blocks.0.norm.key_norm.scale": (256,),
}
WHOLE = {**CONVERTED, "img_in.weight": (256, 256), "txt_in.weight": (256, 256)}
ENCODER = {"encoder.block.0.layer.0.SelfAttention.q.weight": (4096, 64), "shared.weight": (4096, 64)}


@pytest.fixture
def ternary(models_dir: Path) -> LoadRequest:
    write(models_dir / "diffusion_models/plain.gguf", gguf_bytes(WHOLE, "q8_0"))
    write(models_dir / "diffusion_models/ternary.gguf", gguf_bytes(CONVERTED, "tq1_0"))
    write(models_dir / "t5/plain.gguf", gguf_bytes(ENCODER, "q8_0"))
    write(models_dir / "t5/ternary.gguf", gguf_bytes(ENCODER, "tq2_0"))
    write(models_dir / "taesd/taef1.gguf", gguf_bytes(model_files.TAE))
    return LoadRequest(model_name="plain", components={"t5xxl": "plain", "taesd": "taef1"})


def refusal(library: ModelLibrary, request: LoadRequest, backend: str | None, **changes: Any) -> InvalidRequest | None:
    components = {**request.components, **changes.pop("components", {})}
    asked = request.model_copy(update={"components": components, **changes})
    spec = build_spec(library, asked)[0]
    try:
        check_computable(spec, backend)
    except InvalidRequest as error:
        return error
    return None


CONVERT = "set options.weight_type to another one, such as q4_0, or convert the file"


@for_each_case("backend", ["CUDA", "ROCm", "MUSA", "Vulkan"])
@for_each_case(
    ("changes", "field", "value", "advice"),
    [
        ({"model_name": "ternary"}, "model_name", "ternary.gguf holds tq1_0", CONVERT),
        (
            {"options": {"weight_type": "TQ2_0"}},
            "options.weight_type",
            "'tq2_0'",
            "choose another one, such as q4_0",
        ),
        (
            {"options": {"tensor_type_rules": "^double=q8_0,single=tq1_0"}},
            "options.tensor_type_rules",
            "'single=tq1_0'",
            "choose another type there, such as q4_0",
        ),
        (
            {"components": {"t5xxl": "ternary"}, "options": {"keep_clip_on_cpu": False}},
            "t5xxl",
            "ternary.gguf holds tq2_0",
            CONVERT,
        ),
    ],
)
def test_ternary_weights_are_refused_where_a_gpu_computes(
    library: ModelLibrary,
    ternary: LoadRequest,
    backend: str,
    changes: dict[str, Any],
    field: str,
    value: str,
    advice: str,
) -> None:
    error = refusal(library, ternary, backend, **changes)
    assert error is not None
    assert error.message == f"{field}: {value}, which {backend} cannot compute with, only the CPU; {advice}"
    assert error.detail["field"] == field
    assert error.detail["type"] in ("tq1_0", "tq2_0")
    assert error.status == 400
    assert refusal(library, ternary, None, **changes) is None


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"options": {"weight_type": "q4_0"}},
        {"components": {"t5xxl": "ternary"}},  # stays on the CPU
        {"model_name": "ternary", "options": {"weight_type": "q8_0"}},
        {"model_name": "ternary", "options": {"tensor_type_rules": "single=q8_0,.*=f16"}},
    ],
)
def test_ternary_weights_that_no_gpu_sees_are_loaded(
    library: ModelLibrary, ternary: LoadRequest, changes: dict[str, Any]
) -> None:
    assert refusal(library, ternary, "CUDA", **changes) is None


def test_ternary_weights_that_are_not_converted_are_refused(
    library: ModelLibrary, ternary: LoadRequest, models_dir: Path
) -> None:
    write(models_dir / "diffusion_models/stays.gguf", gguf_bytes(WHOLE, "tq1_0"))
    error = refusal(library, ternary, "CUDA", model_name="stays", options={"weight_type": "q8_0"})
    assert error is not None
    assert error.detail["field"] == "model_name"


@pytest.mark.parametrize(
    ("family", "components", "words"),
    [
        ("radiance", {"vae": "vae_flux"}, "draws pixels itself: the vae vae_flux.gguf is not used."),
        ("qwen", {}, ""),
    ],
)
def test_components_without_effect_are_told(
    library: ModelLibrary, models_dir: Path, family: str, components: dict[str, str], words: str
) -> None:
    whole = {**FAMILIES[family].components, **components}
    paths = {name: write_file(models_dir, name, fill="zero") for name in (family, *whole.values())}
    library.refresh()
    files = {role: paths[name].name for role, name in whole.items()}
    request = LoadRequest(model_name=paths[family].name, model_type="diffusion", components=files)
    _, warnings = build_spec(library, request)
    said = " ".join(warnings)
    assert words in said
    assert words or "is not used" not in said


def test_a_language_model_without_a_vision_part_is_refused_as_one(library: ModelLibrary, models_dir: Path) -> None:
    whole = {**FAMILIES["qwen"].components, "llm_vision": "qwen2_5_vl"}
    paths = {name: write_file(models_dir, name, fill="zero") for name in ("qwen", *whole.values())}
    library.refresh()
    files = {role: paths[name].name for role, name in whole.items()}
    request = LoadRequest(model_name=paths["qwen"].name, model_type="diffusion", components=files)
    with pytest.raises(NotAModel, match="llm_vision needs a vision part") as caught:
        build_spec(library, request)
    assert caught.value.detail["field"] == "llm_vision"
