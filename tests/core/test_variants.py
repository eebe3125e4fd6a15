from __future__ import annotations

from collections.abc import Mapping

from sdcpp_rest.core.architectures import ARCHITECTURES
from sdcpp_rest.core.presets import PRESETS
from sdcpp_rest.core.variants import variant
from tests import model_files
from tests.cases import for_each_case

GUIDED = {**model_files.FLUX, "guidance_in.in_layer.weight": (256, 128)}
SDXL = model_files.unet(second_encoder=True)
SD35_MEDIUM = {**model_files.SD3, "joint_blocks.0.x_block.attn2.qkv.weight": (64, 192)}
SD35_LARGE = {**model_files.SD3, "joint_blocks.37.x_block.attn.qkv.weight": (64, 192)}
EDIT_2511 = {**model_files.QWEN, "__index_timestep_zero__": (1,)}


@for_each_case(
    ("family", "tensors", "name", "preset", "confidence"),
    [
        ("flux", model_files.FLUX, "whatever.gguf", "Flux-Schnell", "certain"),
        ("flux", GUIDED, "flux1-dev-q8_0.gguf", "Flux", "assumed"),
        ("flux", GUIDED, "flux1-kontext-dev.safetensors", "Flux-Kontext", "likely"),
        ("flux", GUIDED, "Flex.1-alpha.safetensors", "Flex.1", "likely"),
        ("flux", GUIDED, "reflex1.gguf", "Flux", "assumed"),
        ("flux_fill", model_files.FLUX, "", "Flux-Fill", "certain"),
        ("flux_control", model_files.FLUX, "", "Flux-Control", "certain"),
        ("sd1", model_files.unet(), "v1-5-pruned.safetensors", "SD1", "assumed"),
        ("sd1", model_files.unet(), "dreamshaper-LCM.safetensors", "SD1-LCM", "likely"),
        ("sd1", model_files.unet(), "calcm.safetensors", "SD1", "assumed"),
        ("sd2", model_files.unet(width=1024), "sd_turbo.safetensors", "SD-Turbo", "likely"),
        ("sd2", model_files.unet(width=1024), "512-base-ema.ckpt", "SD2-Base", "likely"),
        ("sd2", model_files.unet(width=1024), "v2-1_768-ema-pruned.safetensors", "SD2", "assumed"),
        ("sdxl", SDXL, "sd_xl_turbo_1.0_fp16.safetensors", "SDXL-Turbo", "likely"),
        ("sdxl", SDXL, "DreamShaperXL_Turbo_v2.safetensors", "SDXL-Lightning", "likely"),
        ("sdxl", SDXL, "sdxl_lightning_4step.safetensors", "SDXL-Lightning", "likely"),
        ("sdxl", SDXL, "hyperrealism_xl.safetensors", "SDXL", "assumed"),
        ("sdxl", SDXL, "juggernaut_Hyper.safetensors", "SDXL-Lightning", "likely"),
        ("sdxl", SDXL, "lcm_sdxl.safetensors", "SDXL-LCM", "likely"),
        ("sd3", model_files.SD3, "sd3_medium.safetensors", "SD3", "assumed"),
        ("sd3", SD35_MEDIUM, "", "SD3.5-Medium", "certain"),
        ("sd3", SD35_LARGE, "x.safetensors", "SD3.5-Large", "certain"),
        ("sd3", SD35_LARGE, "sd3.5_large_turbo.safetensors", "SD3.5-Large-Turbo", "likely"),
        ("chroma", model_files.FLUX, "Chroma1-HD-Flash-Q8_0.gguf", "Chroma-Flash", "likely"),
        ("chroma", model_files.FLUX, "chroma-unlocked-v40.gguf", "Chroma", "assumed"),
        ("flux2_klein", model_files.KLEIN, "flux-2-klein-base-4b.gguf", "Flux.2-Klein-Base", "likely"),
        ("flux2_klein", model_files.KLEIN, "flux-2-klein-9b.gguf", "Flux.2-Klein", "assumed"),
        ("z_image", {"cap_embedder.0.weight": (64,)}, "z_image_turbo-Q3_K.gguf", "Z-Image-Turbo", "likely"),
        ("z_image", {"cap_embedder.0.weight": (64,)}, "z_image_bf16.safetensors", "Z-Image", "likely"),
        ("z_image", {"cap_embedder.0.weight": (64,)}, "z-image-Q8_0.gguf", "Z-Image", "likely"),
        ("z_image", {"cap_embedder.0.weight": (64,)}, "z-image-moody-v3.gguf", "Z-Image-Turbo", "assumed"),
        ("z_image", {"cap_embedder.0.weight": (64,)}, "Z-Image.base/moody.gguf", "Z-Image-Turbo", "assumed"),
        ("qwen_image", model_files.QWEN, "Qwen_Image_Edit-Q8_0.gguf", "Qwen-Image-Edit", "likely"),
        ("qwen_image", model_files.QWEN, "qwen-image-edit-2511-Q4_K_M.gguf", "Qwen-Image-Edit-2511", "likely"),
        ("qwen_image", EDIT_2511, "mine.safetensors", "Qwen-Image-Edit-2511", "certain"),
        ("qwen_image", model_files.QWEN, "qwen-image-Lightning-8steps.gguf", "Qwen-Image-Lightning", "likely"),
        ("qwen_image", model_files.QWEN, "qwen-special-edition.gguf", "Qwen-Image", "assumed"),
        ("ernie_image", {}, "ernie-image-turbo.safetensors", "ERNIE-Image-Turbo", "likely"),
        ("ernie_image", {}, "ernie-image.safetensors", "ERNIE-Image", "assumed"),
        ("wan2", model_files.wan(30), "wan2.2-mine.gguf", "Wan2.1-T2V", "certain"),
        ("wan2", model_files.wan(40), "wan2.1-t2v-14b-Q8_0.gguf", "Wan2.1-T2V", "assumed"),
        ("wan2", model_files.wan(40), "Wan2.2-T2V-A14B-LowNoise-Q8_0.gguf", "Wan2.2-T2V-A14B", "likely"),
        ("wan2", {**model_files.wan(40), "img_emb.proj.0.weight": (8,)}, "wan2.2.gguf", "Wan2.1-I2V", "certain"),
        ("wan2", {**model_files.wan(40), "img_emb.proj.0.bias": (8,), "img_emb.emb_pos": (8, 514)}, "",
         "Wan2.1-FLF2V", "certain"),
        ("wan2", {**model_files.wan(30), "vace_blocks.0.after_proj.weight": (8, 8)}, "", "Wan2.1-VACE", "certain"),
        ("wan2_2_i2v", model_files.wan(40, channels=184_320), "", "Wan2.2-I2V-A14B", "certain"),
        ("wan2_2_ti2v", model_files.wan(30, channels=147_456), "", "Wan2.2-TI2V-5B", "certain"),
    ],
)  # fmt: skip
def test_variants_are_told_apart(
    family: str, tensors: Mapping[str, tuple[int, ...]], name: str, preset: str, confidence: str
) -> None:
    found = variant(ARCHITECTURES[family], tensors, name)
    assert (found.preset, found.confidence) == (preset, confidence)
    assert PRESETS[found.preset].family == family
    assert found.why.startswith("It")
    assert found.why.endswith(".")


def test_a_second_expert_beside_it_makes_it_wan_2_2() -> None:
    family = ARCHITECTURES["wan2"]
    assert variant(family, model_files.wan(40), "a.gguf", ("t5xxl",)).preset == "Wan2.1-T2V"
    found = variant(family, model_files.wan(40), "a.gguf", ("high_noise_diffusion_model",))
    assert (found.preset, found.confidence) == ("Wan2.2-T2V-A14B", "certain")


def test_a_file_that_is_not_looked_into_is_not_told_by_what_it_lacks() -> None:
    assert variant(ARCHITECTURES["flux"], (), "flux1-dev.pt").preset == "Flux"
    assert variant(ARCHITECTURES["flux"], (), "folder\\flux1-kontext.pt").preset == "Flux-Kontext"


@for_each_case("family", ARCHITECTURES.values(), ids=list(ARCHITECTURES))
def test_every_family_has_a_variant_for_a_file_that_says_nothing(family: object) -> None:
    assert isinstance(family, type(ARCHITECTURES["sd1"]))
    found = variant(family, ())
    assert PRESETS[found.preset].family == family.id


def test_every_preset_can_be_reached() -> None:
    names = ["x", "lcm", "turbo", "sdxl_turbo", "lightning", "base", "kontext", "flex.1", "edit", "edit_2511", "flash",
             "z_image.gguf", "wan2.2"]  # fmt: skip
    tensors = [
        {}, {"a": (1,)}, SD35_MEDIUM, SD35_LARGE, GUIDED, {"vace_blocks.0": (1,)}, {"img_emb.0": (1,)},
        {"img_emb.emb_pos": (1,)},
    ]  # fmt: skip
    reached = {
        variant(family, held, name).preset for family in ARCHITECTURES.values() for held in tensors for name in names
    }
    assert reached == PRESETS.keys()
