"""Component files and upscalers against what their role needs."""

from __future__ import annotations

from collections.abc import Mapping

from sdcpp_rest.core.architectures import ARCHITECTURES
from sdcpp_rest.core.component_fit import component_fault, embedding_fault, upscaler_fault
from sdcpp_rest.core.family_signs import contents_of
from tests import model_files
from tests.cases import for_each_case

Tensors = Mapping[str, tuple[int, ...]]


def vae(channels: int) -> Tensors:
    return {"decoder.conv_in.weight": (3, 3, channels, 64), "decoder.mid.block_1.norm1.weight": (64,)}


def tae(channels: int) -> Tensors:
    return {"decoder.layers.0.weight": (3, 3, channels, 64)}


def control(width: int) -> Tensors:
    key = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    return {"control_model.zero_convs.0.0.weight": (1, 1, 8, 8), f"control_model.{key}": (width, 8)}


T5, UMT5, VISION = (
    model_files.t5(32_128),
    model_files.t5(256_384),
    {"vision_model.encoder.layers.0.mlp.fc1.weight": (8, 8)},
)
SMALL_T5 = {**T5, "shared.weight": (768, 32_128)}
L, G, H = model_files.clip(768), model_files.clip(1280), model_files.clip(1024)

# (family, role, file, what is said of it; nothing where it fits)
TABLE: list[tuple[str, str, Tensors, str]] = [
    ("flux", "vae", vae(16), ""),
    ("flux", "vae", vae(4), "is a VAE of 4 channels; Flux needs a VAE of 16 channels"),
    ("flux", "vae", vae(32), "is a VAE of 32 channels"),
    ("flux2", "vae", vae(32), ""),
    ("flux2", "vae", vae(16), "Flux.2 needs a VAE of 32 channels"),
    ("sdxl", "vae", vae(4), ""),
    ("sdxl", "vae", vae(16), "needs a VAE of 4 channels"),
    ("wan2", "vae", model_files.wan_vae(16), ""),
    ("wan2", "vae", model_files.wan_vae(48), "needs a Wan VAE of 16 channels"),
    ("wan2", "vae", vae(16), "is a VAE of 16 channels; Wan 2.x needs a Wan VAE"),
    ("qwen_image", "vae", model_files.wan_vae(16), ""),
    ("flux", "vae", model_files.wan_vae(16), "is a Wan VAE of 16 channels"),
    ("flux", "vae", tae(16), "tiny autoencoder of 16 channels; 'vae' needs a VAE of 16 channels; give it as 'taesd'"),
    ("flux", "vae", {"weight": (8, 8)}, "is no file that is recognised"),
    ("sd1", "vae", {"first_stage_model." + name: shape for name, shape in vae(4).items()}, "first_stage_model."),
    ("flux", "taesd", tae(16), ""),
    ("sd1", "taesd", tae(16), "needs a tiny autoencoder of 4 channels"),
    ("flux", "taesd", vae(16), "give it as 'vae'"),
    ("flux", "clip_l", L, ""),
    ("sd1", "clip_l", L, ""),
    ("sd2", "clip_l", H, ""),
    ("sd1", "clip_l", H, "is an OpenCLIP-H text encoder; SD 1.x needs a CLIP-L text encoder"),
    ("flux", "clip_l", G, "is a CLIP-G text encoder"),
    ("flux", "clip_l", T5, "give it as 't5xxl'"),
    ("sdxl", "clip_g", G, ""),
    ("sdxl", "clip_g", L, "SDXL needs a CLIP-G text encoder"),
    ("flux", "t5xxl", T5, ""),
    ("flux", "t5xxl", L, "is a CLIP-L text encoder; 't5xxl' needs a T5-XXL text encoder"),
    ("flux", "t5xxl", UMT5, "is a UMT5-XXL text encoder"),
    ("flux", "t5xxl", SMALL_T5, "of another size"),
    ("wan2", "t5xxl", UMT5, ""),
    ("wan2", "t5xxl", T5, "needs a UMT5-XXL text encoder"),
    ("z_image", "llm", model_files.LLM, ""),
    ("z_image", "llm", T5, "is a T5-XXL text encoder; 'llm' needs a language model"),
    ("flux2", "llm", L, "is a CLIP-L text encoder"),
    ("qwen_image", "llm_vision", {"v.blk.0.attn_q.weight": (8, 8)}, ""),
    ("qwen_image", "llm_vision", model_files.LLM, "llm_vision needs a vision part of a language model"),
    ("wan2", "clip_vision", VISION, ""),
    ("wan2", "clip_vision", {**L, **VISION}, ""),
    ("wan2", "clip_vision", L, "'clip_vision' needs a CLIP-H vision encoder"),
    ("sd1", "controlnet", control(768), ""),
    ("sdxl", "controlnet", control(768), "is a ControlNet for SD 1.x"),
    ("sd1", "controlnet", control(2048), "is a ControlNet for SDXL"),
    ("sd1", "controlnet", {"controlnet_cond_embedding.conv_in.weight": (3, 3, 3, 16)}, "diffusers' form"),
    ("sd1", "controlnet", vae(4), "'controlnet' needs a ControlNet; give it as 'vae'"),
]  # fmt: skip


@for_each_case(("family", "role", "tensors", "words"), TABLE)
def test_each_role_takes_what_its_family_needs(family: str, role: str, tensors: Tensors, words: str) -> None:
    fault = component_fault(ARCHITECTURES[family], role, tensors, contents_of(tensors), {})
    if words:
        assert fault is not None
        assert words in fault
    else:
        assert fault is None


@for_each_case(
    ("tensors", "words"),
    [
        (model_files.ESRGAN, None),
        ({"model.0.weight": (3, 3, 3, 64), "model.1.sub.0.RDB1.conv1.0.weight": (3, 3, 64, 32)}, None),
        ({"conv_first.weight": (3, 3, 12, 64)}, "12 channels, as RealESRGAN_x2plus"),
        ({**model_files.ESRGAN, "conv_up3.weight": (3, 3, 64, 64)}, "8 times"),
        ({"model.0.weight": (3, 3, 3, 64), "model.13.weight": (3, 3, 64, 64)}, "8 times"),
        ({"conv_first.weight": (3, 3, 3, 48)}, "48 features"),
        ({**model_files.ESRGAN, "layers.0.residual_group.blocks.0.attn.qkv.weight": (8, 8)}, "SwinIR"),
        ({**model_files.ESRGAN, "layers.0.blocks.0.attn.attns.0.pos.pos_proj.weight": (8, 8)}, "DAT"),
        ({**model_files.ESRGAN, "layers.0.residual_group.overlap_attn.qkv.weight": (8, 8)}, "HAT"),
        ({"body.0.weight": (3, 3, 3, 64), "body.1.weight": (64,)}, "SRVGG"),
    ],
)
def test_upscalers_that_cannot_be_used_are_told_by_kind(tensors: Tensors, words: str | None) -> None:
    fault = upscaler_fault(tensors)
    assert (fault is None) if words is None else (words in str(fault))


@for_each_case(
    ("family", "tensors", "words"),
    [
        ("sd1", {"emb_params": (768, 2)}, None),
        ("sd1", {"emb_params": (1024, 2)}, "is an embedding for SD 2.x; SD 1.x needs vectors 768 wide"),
        ("sd2", {"*": (1024, 2)}, None),
        ("sdxl", {"clip_l": (768, 2), "clip_g": (1280, 2)}, None),
        ("sdxl", {"emb_params": (768, 2)}, "for SD 1.x; SDXL needs vectors 768 and 1280 wide"),
        ("sd1", {"clip_l": (768, 2), "clip_g": (1280, 2)}, "for SDXL"),
        ("flux", {"emb_params": (768, 2)}, None),
    ],
)
def test_embeddings_have_the_width_of_the_text_encoder(family: str, tensors: Tensors, words: str | None) -> None:
    fault = embedding_fault(ARCHITECTURES[family], tensors)
    assert (fault is None) if words is None else (words in str(fault))
