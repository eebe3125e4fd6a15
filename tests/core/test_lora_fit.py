"""A LoRA's tensors against a model's weights: what fits, what only merging can do, what ends a job."""

from __future__ import annotations

import pytest

from sdcpp_rest.core.architectures import Shapes
from sdcpp_rest.core.lora_fit import LoraFit, Weight, fit_lora, made_for
from sdcpp_rest.core.tensor_names import weight_name
from tests.cases import for_each_case

D = "model.diffusion_model."
QKV, LINEAR, IN = "double_blocks.0.img_attn.qkv", "single_blocks.0.linear1", "img_in"
SHAPES: dict[str, tuple[int, ...]] = {
    f"{D}{QKV}.weight": (128, 384),
    f"{D}{QKV}.bias": (384,),
    f"{D}{LINEAR}.weight": (128, 896),
    f"{D}{IN}.weight": (64, 128),
}
QUANTIZED = {name: Weight(shape, len(shape) == 2) for name, shape in SHAPES.items()}
FLOATS = {name: Weight(shape, False) for name, shape in SHAPES.items()}
KOHYA = "lora_unet_double_blocks_0_img_attn_qkv"


def pair(key: str, inside: int, out: int, down: str = "lora_down", up: str = "lora_up", rank: int = 4) -> Shapes:
    return {f"{key}.{down}.weight": (inside, rank), f"{key}.{up}.weight": (rank, out)}


def diffusers(block: str, *parts: str, out: int = 128, rank: int = 4) -> Shapes:
    found: dict[str, tuple[int, ...]] = {}
    for part in parts:
        found |= pair(f"transformer.{block}.{part}", 128, 512 if part == "proj_mlp" else out, "lora_A", "lora_B", rank)
    return found


LOHA = {
    f"{KOHYA}.hada_w1_a": (4, 384),
    f"{KOHYA}.hada_w1_b": (128, 4),
    f"{KOHYA}.hada_w2_a": (4, 384),
    f"{KOHYA}.hada_w2_b": (128, 4),
}
LOKR = {f"{KOHYA}.lokr_w1": (4, 4), f"{KOHYA}.lokr_w2_a": (4, 96), f"{KOHYA}.lokr_w2_b": (32, 4)}
WHOLE_LOKR = {f"{KOHYA}.lokr_w1": (4, 4), f"{KOHYA}.lokr_w2": (32, 96)}
CONV_SHAPED = {f"{KOHYA}.lora_down.weight": (1, 1, 128, 4), f"{KOHYA}.lora_up.weight": (1, 1, 4, 384)}
OFT = {f"{KOHYA}.oft_blocks": (8, 8, 4), f"{KOHYA}.alpha": (1,)}
DOUBLE, SINGLE = "transformer_blocks.0.attn", "single_transformer_blocks.0"


# What becomes of each form: (fitting tensors, only merged, fails on quantized weights, ends the job)
OUTCOMES: dict[str, tuple[Shapes, int, bool, bool, bool]] = {
    "kohya": ({**pair(KOHYA, 128, 384), f"{KOHYA}.alpha": (1,)}, 3, False, False, False),
    "comfyui": (pair("diffusion_model." + QKV, 128, 384, "lora_A", "lora_B"), 2, False, False, False),
    "comfyui, adapter named default": (
        pair("diffusion_model." + QKV, 128, 384, "lora_A.default", "lora_B.default"), 2, False, False, False),
    "diffusers, q k v": (diffusers(DOUBLE, "to_q", "to_k", "to_v"), 6, False, False, False),
    "diffusers, q k": (diffusers(DOUBLE, "to_q", "to_k"), 4, True, True, False),
    "diffusers, q v": (diffusers(DOUBLE, "to_q", "to_v"), 2, True, True, False),
    "diffusers, k alone": (diffusers(DOUBLE, "to_k"), 0, False, False, False),
    "diffusers, q k v without mlp": (diffusers(SINGLE, "attn.to_q", "attn.to_k", "attn.to_v"), 6, True, True, False),
    "diffusers, q k v mlp": (
        diffusers(SINGLE, "attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"), 8, False, False, False),
    "peft": (pair("base_model.model." + QKV, 128, 384, "lora_A", "lora_B"), 0, False, False, False),
    "onetrainer": (pair("lora_transformer_transformer_blocks_0_attn_to_q", 128, 128), 0, False, False, False),
    "lycoris underlined": (pair("lycoris_double_blocks_0_img_attn_qkv", 128, 384), 0, False, False, False),
    "loha": ({**LOHA, f"{KOHYA}.alpha": (1,)}, 5, False, True, False),
    "half a loha": (dict(list(LOHA.items())[:3]), 0, False, False, False),
    "lokr": (LOKR, 3, True, True, False),
    "lokr of whole factors": (WHOLE_LOKR, 2, False, False, False),
    "lokr of a wrong size": ({**WHOLE_LOKR, f"{KOHYA}.lokr_w1": (8, 8)}, 0, False, False, True),
    "full difference": ({f"diffusion_model.{QKV}.diff": (128, 384)}, 1, False, True, False),
    "difference of a bias": ({f"diffusion_model.{QKV}.diff_b": (384,)}, 1, False, False, False),
    "set_weight": ({f"diffusion_model.{QKV}.set_weight": (128, 384)}, 0, False, False, False),
    "oft": (OFT, 0, False, False, False),
    "boft": ({f"{KOHYA}.boft_R": (8, 8, 4)}, 0, False, False, False),
    "dora": ({**pair(KOHYA, 128, 384), f"{KOHYA}.dora_scale": (1, 384)}, 2, False, False, False),
    "half a pair": (dict(list(pair(KOHYA, 128, 384).items())[:1]), 0, False, False, False),
    "other width": (pair(KOHYA, 3072, 9216), 0, False, False, True),
    "two ranks": ({**pair(KOHYA, 128, 384), f"{KOHYA}.lora_up.weight": (8, 384)}, 0, False, False, True),
    "convolutions for matrices": (CONV_SHAPED, 2, True, True, False),
    "other family": (pair("lora_unet_down_blocks_0_attentions_0_proj_in", 320, 320), 0, False, False, False),
}  # fmt: skip


@for_each_case("form", OUTCOMES)
def test_each_form_has_its_outcome(form: str) -> None:
    lora, fitting, only_merged, fails_on_quantized, ends_the_job = OUTCOMES[form]
    for weights, is_quantized in ((QUANTIZED, True), (FLOATS, False)):
        fit = fit_lora(lora, weights, "flux")
        assert (fit.total, fit.fitting, bool(fit.only_merged)) == (len(lora), fitting, only_merged)
        assert bool(fit.on_quantized) == (fails_on_quantized and is_quantized)
        assert bool(fit.wrong_shapes) == ends_the_job


def test_what_does_not_fit_is_counted() -> None:
    fit = fit_lora({**pair(KOHYA, 128, 384), **pair("lora_unet_nothing", 8, 8)}, FLOATS, "flux")
    assert (fit.fitting, fit.total) == (2, 4)


@pytest.mark.parametrize(
    ("lora", "form", "word"),
    [(OFT, "OFT", "kohya"), ({"diffusion_model.x.set_weight": (4,)}, "ComfyUI set_weight", "ComfyUI")],
)
def test_unknown_forms_are_called_by_their_names(lora: Shapes, form: str, word: str) -> None:
    fit = fit_lora(lora, FLOATS, "flux")
    assert list(fit.other_forms) == [form]
    assert word in fit.key_form


def test_magnitudes_of_a_dora_are_told_apart() -> None:
    lora = {**pair("diffusion_model." + QKV, 128, 384), f"diffusion_model.{QKV}.lora_magnitude_vector": (384,)}
    fit = fit_lora(lora, FLOATS, "flux")
    assert (fit.fitting, fit.magnitudes, fit.total) == (2, 1, 3)


def unet_weights() -> dict[str, Weight]:
    shapes = {
        "unet.down_blocks.0.attentions.0.proj_in.weight": (1, 1, 320, 320),
        "unet.down_blocks.0.resnets.0.conv1.weight": (3, 3, 320, 320),
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (768, 320),
    }
    return {weight_name(name, "sd1"): Weight(shape, False) for name, shape in shapes.items()}


@for_each_case(
    ("lora", "fitting", "only_merged"),
    [
        (pair("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 768, 320), 2, False),
        ({"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (1, 1, 320, 8),
          "lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight": (1, 1, 8, 320)}, 2, False),
        (pair("lora_unet_down_blocks_0_attentions_0_proj_in", 320, 320), 2, False),
        (pair("lora_unet_down_blocks_0_resnets_0_conv1", 2880, 320), 2, True),
        ({"lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight": (3, 3, 320, 8),
          "lora_unet_down_blocks_0_resnets_0_conv1.lora_up.weight": (1, 1, 8, 320)}, 2, False),
        ({"lora_unet_down_blocks_0_resnets_0_conv1.lora_down.weight": (1, 1, 320, 8),
          "lora_unet_down_blocks_0_resnets_0_conv1.lora_mid.weight": (3, 3, 8, 8),
          "lora_unet_down_blocks_0_resnets_0_conv1.lora_up.weight": (1, 1, 8, 320)}, 3, False),
        ({"lora_unet_down_blocks_0_resnets_0_conv1.hada_w1_a": (8, 320),
          "lora_unet_down_blocks_0_resnets_0_conv1.hada_w1_b": (2880, 8),
          "lora_unet_down_blocks_0_resnets_0_conv1.hada_w2_a": (8, 320),
          "lora_unet_down_blocks_0_resnets_0_conv1.hada_w2_b": (2880, 8)}, 4, False),
    ],
)  # fmt: skip
def test_convolutions_of_a_unet(lora: Shapes, fitting: int, only_merged: bool) -> None:
    fit: LoraFit = fit_lora(lora, unet_weights(), "sd1")
    assert (fit.fitting, bool(fit.only_merged), fit.wrong_shapes) == (fitting, only_merged, [])


@pytest.mark.parametrize(
    ("second", "only_beside"),
    [
        ({"lokr_w2": (3, 3, 80, 80)}, True),
        ({"lokr_w2": (720, 80)}, False),
        ({"lokr_w2_a": (4, 80), "lokr_w2_b": (720, 4)}, False),
    ],
)
def test_a_lokr_of_convolutions_is_only_right_beside_the_weights(second: Shapes, only_beside: bool) -> None:
    key = "lora_unet_down_blocks_0_resnets_0_conv1"
    lora = {f"{key}.lokr_w1": (4, 4), **{f"{key}.{part}": shape for part, shape in second.items()}}
    fit = fit_lora(lora, unet_weights(), "sd1")
    assert (fit.fitting, fit.only_merged, fit.wrong_shapes) == (len(lora), "", [])
    assert bool(fit.only_beside) == only_beside


def test_a_lora_of_the_high_noise_expert_is_merged() -> None:
    weights = {"model.high_noise_diffusion_model.blocks.0.ffn.0.weight": Weight((8, 8), True)}
    lora = pair("diffusion_model.blocks.0.ffn.0", 8, 8, "lora_A", "lora_B")
    fit = fit_lora(lora, weights, "wan2", is_high_noise=True)
    assert fit.fitting == 2
    assert fit.only_merged == fit.on_quantized == "it is for the high-noise expert"


@for_each_case(
    ("key", "inside", "family"),
    [
        ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", 2048, "SDXL"),
        ("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", 768, "SD 1.x"),
        ("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_v", 1024, "SD 2.x"),
        ("transformer.single_transformer_blocks.0.attn.to_q", 3072, "Flux"),
        ("transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj", 3072, "Flux.2"),
        ("diffusion_model.blocks.0.cross_attn.q", 1536, "Wan 2.x"),
        ("transformer.transformer_blocks.0.img_mlp.net.2", 3072, "Qwen Image"),
        ("diffusion_model.layers.0.attention.qkv", 3840, "Z-Image"),
        ("something.else", 8, None),
    ],
)
def test_the_family_that_it_was_made_for(key: str, inside: int, family: str | None) -> None:
    assert made_for(pair(key, inside, 64)) == family
