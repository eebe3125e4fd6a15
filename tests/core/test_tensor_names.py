"""Names of tensors in files become the names of the library's own weights."""

from __future__ import annotations

from sdcpp_rest.core.tensor_names import LoraPart, lora_part, weight_name
from tests.cases import for_each_case

D = "model.diffusion_model."
CLIP = "cond_stage_model.transformer.text_model.encoder.layers.0."


@for_each_case(
    ("family", "name", "expected"),
    [
        ("flux", D + "transformer_blocks.3.attn.to_k.weight", D + "double_blocks.3.img_attn.qkv.weight.1"),
        ("flux", D + "single_transformer_blocks.37.proj_mlp.bias", D + "single_blocks.37.linear1.bias.3"),
        ("flux", D + "single_transformer_blocks.38.proj_mlp.bias", D + "single_transformer_blocks.38.proj_mlp.bias"),
        ("flux", D + "proj_out.weight", D + "final_layer.linear.weight"),
        ("flux", D + "double_blocks.0.img_mlp.0.weight", D + "double_blocks.0.img_mlp.0.weight"),
        ("sd3", D + "transformer_blocks.0.attn.add_q_proj.weight", D + "joint_blocks.0.context_block.attn.qkv.weight"),
        ("z_image", D + "layers.4.attention.to_v.weight", D + "layers.4.attention.qkv.weight.2"),
        ("z_image", D + "all_x_embedder.2-1.weight", D + "x_embedder.weight"),
        ("anima", D + "blocks.0.attn.weight", D + "net.blocks.0.attn.weight"),
        ("sd1", "unet.conv_in.weight", D + "input_blocks.0.0.weight"),
        ("sd1", "unet.down_blocks.1.resnets.0.conv1.weight", D + "input_blocks.4.0.in_layers.2.weight"),
        ("sd1", "unet.down_blocks.0.downsamplers.0.conv.weight", D + "input_blocks.3.0.op.weight"),
        ("sdxl", "unet.up_blocks.0.upsamplers.0.conv.weight", D + "output_blocks.2.2.conv.weight"),
        ("sd1", "unet.up_blocks.1.upsamplers.0.conv.bias", D + "output_blocks.5.2.conv.bias"),
        ("sd1", "unet.mid_block.resnets.1.conv1.weight", D + "middle_block.2.in_layers.2.weight"),
        (
            "sdxl",
            "conditioner.embedders.1.model.transformer.resblocks.0.attn.in_proj_weight",
            "cond_stage_model.1.transformer.text_model.encoder.layers.0.self_attn.in_proj.weight",
        ),
        ("sd1", "cond_stage_model.transformer.text_model.a.weight", "cond_stage_model.transformer.text_model.a.weight"),
        (
            "flux",
            "text_encoders.t5xxl.transformer.enc.blk.2.attn_q.weight",
            "text_encoders.t5xxl.transformer.encoder.block.2.layer.0.SelfAttention.q.weight",
        ),
    ],
)
def test_weights_are_called_as_the_library_calls_them(family: str, name: str, expected: str) -> None:
    assert weight_name(name, family) == expected


@for_each_case(
    ("family", "name", "weight", "part"),
    [
        (
            "flux",
            "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight",
            D + "double_blocks.0.img_attn.qkv.weight",
            "lora_down",
        ),
        (
            "flux",
            "transformer.transformer_blocks.0.attn.to_v.lora_B.weight",
            D + "double_blocks.0.img_attn.qkv.weight.2",
            "lora_up",
        ),
        (
            "flux",
            "transformer_blocks.0.attn.to_q.lora_A.weight",
            D + "double_blocks.0.img_attn.qkv.weight",
            "lora_down",
        ),
        ("flux", "diffusion_model.img_in.diff", D + "img_in.weight", "diff"),
        ("flux", "diffusion_model.img_in.diff_b", D + "img_in.bias", "diff"),
        (
            "flux",
            "lora_te1_text_model_encoder_layers_0_mlp_fc1.alpha",
            "text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1.weight",
            "alpha",
        ),
        ("sd1", "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", CLIP + "mlp.fc1.weight", "lora_up"),
        ("sd1", "lora_unet_mid_block_attentions_0_proj_in.lokr_w2_a", D + "middle_block.1.proj_in.weight", "lokr_w2_a"),
        ("sdxl", "lycoris_input_blocks_4_1_proj_in.hada_w1_a", "input_blocks.4.1.proj_in.weight", "hada_w1_a"),
        (
            "sd1",
            "unet.up_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.up.weight",
            D + "output_blocks.3.1.transformer_blocks.0.attn1.to_q.weight",
            "lora_up",
        ),
        # Forms that the library does not know lead nowhere: these are not its weights.
        (
            "flux",
            "base_model.model.double_blocks.0.img_attn.qkv.lora_A.weight",
            "base_model.model.double_blocks.0.img_attn.qkv.weight",
            "lora_down",
        ),
        (
            "flux",
            "lora_transformer_single_transformer_blocks_0_proj_mlp.lora_up.weight",
            "transformer_single_transformer_blocks_0_proj_mlp.weight",
            "lora_up",
        ),
    ],
)
def test_tensors_of_loras_find_their_weight(family: str, name: str, weight: str, part: str) -> None:
    assert lora_part(name, family) == LoraPart(weight, part)


def test_the_second_clip_has_one_weight_for_q_k_and_v() -> None:
    name = "lora_te2_text_model_encoder_layers_3_self_attn_k_proj.lora_up.weight"
    apart = "cond_stage_model.1.transformer.text_model.encoder.layers.3.self_attn.k_proj.weight"
    assert lora_part(name, "sdxl") == LoraPart(apart, "lora_up")
    fused = apart.replace("k_proj.weight", "in_proj.weight.1")
    assert lora_part(name, "sdxl", has_fused_clip=True) == LoraPart(fused, "lora_up")


def test_loras_of_the_high_noise_expert_have_its_prefix() -> None:
    found = lora_part("diffusion_model.blocks.0.ffn.0.lora_A.weight", "wan2", is_high_noise=True)
    assert found == LoraPart("model.high_noise_diffusion_model.blocks.0.ffn.0.weight", "lora_down")


@for_each_case("ending", ["oft_blocks", "dora_scale", "set_weight", "nonsense"])
def test_other_endings_are_no_part_that_the_library_knows(ending: str) -> None:
    assert lora_part(f"lora_unet_img_in.{ending}", "flux") is None
