from __future__ import annotations

from collections.abc import Mapping

from sdcpp_rest.core.architectures import ARCHITECTURES
from sdcpp_rest.core.component_forms import (
    fitting_forms,
    form_of,
    language_model_widths,
    latent_channels,
    name_score,
    vocabulary_of,
)
from sdcpp_rest.core.family_signs import contents_of
from tests import model_files
from tests.cases import for_each_case

Tensors = Mapping[str, tuple[int, ...]]


@for_each_case(
    ("form", "tensors"),
    [
        ("CLIP-L text encoder", model_files.clip(768)),
        ("CLIP-G text encoder", model_files.clip(1280)),
        ("OpenCLIP-H text encoder", model_files.clip(1024)),
        (None, model_files.CLIP_L),
        ("T5-XXL text encoder", model_files.t5(32_128)),
        ("UMT5-XXL text encoder", model_files.t5(256_384)),
        ("T5-XXL text encoder", {"enc.blk.0.attn_q.weight": (4096, 4096), "token_embd.weight": (4096, 32_128)}),
        (None, model_files.T5),
        ("VAE of 16 channels", model_files.VAE),
        ("VAE of 4 channels", {"first_stage_model.decoder.conv_in.weight": (3, 3, 4, 64)}),
        ("Wan VAE of 16 channels", model_files.wan_vae(16)),
        ("Wan VAE of 48 channels", model_files.wan_vae(48)),
        ("Wan VAE of 48 channels", {"decoder.conv1.weight": (3, 3, 3, 48), "decoder.conv1.bias": (1024,)}),
        ("tiny autoencoder of 16 channels", model_files.TAE),
        ("tiny Wan autoencoder of 16 channels", {"decoder.1.weight": (3, 3, 16, 256)}),
        ("language model 64 wide", model_files.LLM),
        ("language model 64 wide", model_files.LLAMA),
        ("CLIP vision encoder", {"vision_model.encoder.layers.0.mlp.fc1.weight": (8, 8)}),
        ("vision part of a language model", {"v.blk.0.attn_q.weight": (8, 8)}),
        ("vision part of a language model", {"patch_embed.proj.weight": (14, 14, 2, 3840)}),
        ("PhotoMaker", {"fuse_module.mlp1.fc1.weight": (8, 8)}),
        (None, model_files.LORA),
        (None, model_files.FLUX),
        (None, {}),
    ],
)
def test_the_form_of_a_file_is_told_by_its_tensors(form: str | None, tensors: Tensors) -> None:
    assert form_of(tensors, contents_of(tensors, "llama" if "blk.0.attn_q.weight" in tensors else "")) == form


@for_each_case(
    ("family", "channels"),
    [("sd1", 4), ("sdxl", 4), ("sd3", 16), ("flux", 16), ("z_image", 16), ("flux2", 32), ("ernie_image", 32),
     ("wan2", 16), ("wan2_2_ti2v", 48), ("qwen_image", 16), ("chroma_radiance", 0)],
)  # fmt: skip
def test_latents_have_the_channels_that_the_library_gives_them(family: str, channels: int) -> None:
    assert latent_channels(ARCHITECTURES[family]) == channels


@for_each_case(
    ("family", "role", "forms"),
    [
        ("flux", "vae", ("VAE of 16 channels",)),
        ("sd1", "taesd", ("tiny autoencoder of 4 channels",)),
        ("qwen_image", "vae", ("Wan VAE of 16 channels",)),
        ("wan2_2_ti2v", "taesd", ("tiny Wan autoencoder of 48 channels",)),
        ("chroma_radiance", "vae", ()),
        ("sdxl", "clip_g", ("CLIP-G text encoder",)),
        ("sd2", "clip_l", ("OpenCLIP-H text encoder",)),
        ("flux", "clip_l", ("CLIP-L text encoder",)),
        ("flux", "t5xxl", ("T5-XXL text encoder",)),
        ("wan2", "t5xxl", ("UMT5-XXL text encoder",)),
        ("wan2", "clip_vision", ("CLIP-H vision encoder", "CLIP vision encoder")),
        ("qwen_image", "llm_vision", ("vision part of a language model",)),
        ("sdxl", "photo_maker", ("PhotoMaker",)),
        ("sd1", "photo_maker", ()),
    ],
)
def test_families_ask_for_forms(family: str, role: str, forms: tuple[str, ...]) -> None:
    assert fitting_forms(ARCHITECTURES[family], role, {}) == forms


@for_each_case(
    ("family", "tensors", "widths"),
    [
        ("ovis_image", model_files.OVIS, (64,)),
        ("ovis_image", {}, (2048,)),
        ("z_image", {"cap_embedder.1.weight": (2560, 3840)}, (2560,)),
        ("flux2_klein", {"txt_in.weight": (7680, 3072)}, (2560, 7680)),
        ("flux2", {"txt_in.weight": (15_360, 6144)}, (5120, 15_360)),
        ("flux2_klein", {}, ()),
        ("anima", {"llm_adapter.blocks.0.cross_attn.k_proj.weight": (1024, 1024)}, (1024,)),
        ("ernie_image", {"text_proj.weight": (3072, 4096)}, (3072,)),
        ("flux", {}, ()),
    ],
)
def test_the_language_model_is_as_wide_as_the_model_reads(
    family: str, tensors: Tensors, widths: tuple[int, ...]
) -> None:
    assert language_model_widths(ARCHITECTURES[family], tensors) == widths


@for_each_case(
    ("family", "role", "name", "score"),
    [
        ("flux", "vae", "ae.safetensors", 1),
        ("flux", "vae", "sd3_vae.safetensors", -1),
        ("sd3", "vae", "sd3_vae.safetensors", 1),
        ("flux", "vae", "mine.safetensors", 0),
        ("sdxl", "vae", "sdxl_vae.safetensors", 1),
        ("sd1", "vae", "sdxl_vae.safetensors", -1),
        ("sd1", "vae", "vae-ft-mse-840000.safetensors", 1),
        ("sd1", "taesd", "taesd_decoder.safetensors", 1),
        ("sd1", "taesd", "taesdxl.safetensors", -1),
        ("flux2", "vae", "flux2_ae.safetensors", 1),
        ("flux", "vae", "flux2_ae.safetensors", 1),
        ("qwen_image", "vae", "qwen_image_vae.safetensors", 1),
        ("wan2", "vae", "wan_2.1_vae.safetensors", 1),
        ("wan2", "vae", "qwen_image_vae.safetensors", -1),
        ("z_image", "llm", "Qwen3-4B-Instruct-2507-Q4_K_M.gguf", 1),
        ("qwen_image", "llm", "Qwen2.5-VL-7B-Instruct-Q8_0.gguf", 1),
        ("flux2", "llm", "Mistral-Small-3.2-24B-Instruct-2506.gguf", 1),
        ("ernie_image", "llm", "Ministral-3-3B-Instruct-2512.gguf", 1),
        ("flux2", "llm", "Ministral-3-3B-Instruct-2512.gguf", -1),
    ],
)
def test_names_say_for_which_family_a_file_was_made(family: str, role: str, name: str, score: int) -> None:
    assert name_score(ARCHITECTURES[family], role, name) == score


def test_the_vocabulary_is_the_other_side_of_the_table() -> None:
    assert vocabulary_of(model_files.LLM) == 151_936
    assert vocabulary_of(model_files.FLUX) == 0
