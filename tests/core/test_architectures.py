from __future__ import annotations

from collections.abc import Mapping

import pytest

from sdcpp_rest.core import architectures, family_needs, family_signs
from sdcpp_rest.core.architectures import ARCHITECTURES
from sdcpp_rest.core.load_spec import ModelKind
from tests import model_files
from tests.cases import for_each_case

Tensors = Mapping[str, tuple[int, ...]]

UNET = architectures.DIFFUSION_PREFIX
LATE_ATTENTION = UNET + "output_blocks.7.1."
SDXS_512 = {name: shape for name, shape in model_files.unet(middle=False).items() if LATE_ATTENTION not in name}
SDXS_09 = {
    **model_files.unet(width=1024, middle=False),
    LATE_ATTENTION + "transformer_blocks.0.attn1.to_k.weight": (1024, 8),
}
SSD_1B = {
    **model_files.unet(second_encoder=True, middle=False),
    UNET + "output_blocks.3.1.transformer_blocks.1.norm1.weight": (8,),
}

FAMILIES: list[tuple[str, Tensors]] = [
    ("Ovis Image", model_files.OVIS),
    ("Flux", model_files.FLUX),
    ("Flux Fill", {**model_files.FLUX, "img_in.weight": (384, 128)}),
    ("Flux Control", {**model_files.FLUX, "img_in.weight": (128, 128)}),
    ("Flex.2", {**model_files.FLUX, "img_in.weight": (196, 128)}),
    ("Chroma", {**model_files.FLUX, "distilled_guidance_layer.in_proj.weight": (64, 64)}),
    ("Chroma Radiance", {**model_files.FLUX, "nerf_final_layer_conv.conv.weight": (3, 3, 64, 3)}),
    ("Flux.2 klein", model_files.KLEIN),
    ("Flux.2", {**model_files.KLEIN, "single_blocks.47.linear1.weight": (8, 8)}),
    ("SD3.x", model_files.SD3),
    ("Qwen Image", model_files.QWEN),
    ("Z-Image", {"cap_embedder.0.weight": (64,)}),
    ("Ernie Image", {"layers.0.adaLN_sa_ln.weight": (64,)}),
    ("Anima", {"llm_adapter.blocks.0.cross_attn.q_proj.weight": (8, 8)}),
    ("Wan 2.x", model_files.wan(30)),
    ("Wan 2.2 I2V", model_files.wan(40, channels=184_320)),
    ("Wan 2.2 TI2V", model_files.wan(30, channels=147_456)),
    ("Wan 2.x", {**model_files.wan(40, channels=184_320), "img_emb.proj.0.weight": (8,)}),
    ("SD 1.x", model_files.unet()),
    ("SD 1.x Inpaint", model_files.unet(inputs=9)),
    ("Instruct-Pix2Pix", model_files.unet(inputs=8)),
    ("SD 1.x Tiny UNet", model_files.unet(middle=False)),
    ("SD 2.x", model_files.unet(width=1024)),
    ("SD 2.x Inpaint", model_files.unet(width=1024, inputs=9)),
    ("SD 2.x Tiny UNet", model_files.unet(width=1024, middle=False)),
    ("SDXL", model_files.unet(second_encoder=True)),
    ("SDXL Inpaint", model_files.unet(second_encoder=True, inputs=9)),
    ("SDXL (Vega)", model_files.unet(second_encoder=True, middle=False)),
    ("SDXL (SSD1B)", SSD_1B),
    ("SDXL Instruct-Pix2Pix", model_files.unet(second_encoder=True, inputs=8)),
    ("SDXS (512-DS)", SDXS_512),
    ("SDXS (09)", SDXS_09),
    ("SVD", {"model.diffusion_model.input_blocks.8.0.time_mixer.mix_factor": (1,)}),
]


@for_each_case(("name", "tensors"), FAMILIES, ids=[name for name, _ in FAMILIES])
def test_families_are_told_apart_by_their_tensors(name: str, tensors: Tensors) -> None:
    found = family_signs.detect(tensors)
    assert found is not None
    assert found.name == name
    prefix = architectures.DIFFUSION_PREFIX
    if not any(tensor.startswith(prefix) for tensor in tensors):
        assert family_signs.natural_kind(tensors) == "diffusion"
        assert family_signs.detect({prefix + tensor: shape for tensor, shape in tensors.items()}) == found


def test_every_family_has_a_test() -> None:
    assert {entry.name for entry in ARCHITECTURES.values()} == {name for name, _ in FAMILIES}


@for_each_case(
    ("contents", "tensors", "declared"),
    [
        ("LoRA", model_files.LORA, ""),
        ("LoRA", model_files.KOHYA_LORA, ""),
        ("upscaler", model_files.ESRGAN, ""),
        ("VAE", model_files.VAE, ""),
        ("tiny autoencoder", model_files.TAE, ""),
        ("ControlNet", model_files.CONTROLNET, ""),
        ("ControlNet", {**model_files.FLUX, "controlnet_blocks.0.weight": (8, 8)}, ""),
        ("CLIP text encoder", model_files.CLIP_L, ""),
        ("CLIP vision encoder", {"vision_model.encoder.layers.0.mlp.fc1.weight": (8, 8)}, ""),
        ("PhotoMaker", {"fuse_module.mlp1.fc1.weight": (8, 8), **model_files.KOHYA_LORA}, ""),
        ("picture model", {"layers.0.adaLN_sa_ln.weight": (64,)}, ""),
        ("picture model", {"net.llm_adapter.blocks.0.cross_attn.q_proj.weight": (8, 8)}, ""),
        ("T5 text encoder", model_files.T5, "t5"),
        ("language model", model_files.LLM, ""),
        ("language model", model_files.LLAMA, "llama"),
        ("language model", {"blk.0.weight": (8, 8)}, "qwen3"),
        ("embedding", model_files.EMBEDDING, ""),
        ("picture model", model_files.OVIS, "ovis"),
        ("picture model", {**model_files.FLUX, "double_blocks.0.img_attn.qkv.lora_A.weight": (8, 8)}, "flux"),
        ("unknown", {"weight": (8, 8)}, ""),
        ("unknown", {}, ""),
    ],
)
def test_kinds_of_files_are_told_apart(contents: str, tensors: Tensors, declared: str) -> None:
    assert family_signs.contents_of(tensors, declared) == contents


@for_each_case(
    ("family", "components", "missing"),
    [
        ("flux", (), ["CLIP-L", "VAE"]),
        ("flux", ("clip_l", "vae"), []),
        ("flux", ("t5xxl", "taesd"), []),
        ("sd3", ("clip_l", "taesd"), ["CLIP-G"]),
        ("sd3", ("t5xxl", "vae"), ["CLIP-L", "CLIP-G"]),
        ("ovis_image", ("taesd",), ["language model"]),
        ("ovis_image", ("taesd", "llm"), []),
        ("chroma", ("vae",), []),
        ("chroma_radiance", (), []),
        ("wan2", ("taesd",), []),
        ("wan2", (), ["VAE"]),
    ],
)
def test_missing_parts_are_named(family: str, components: tuple[str, ...], missing: list[str]) -> None:
    sentences = family_needs.missing_components(ARCHITECTURES[family], (), components, kind="diffusion")
    assert len(sentences) == len(missing)
    for sentence, word in zip(sentences, missing, strict=True):
        assert word in sentence


@pytest.mark.parametrize(("kind", "count"), [("checkpoint", 0), ("diffusion", 2)])
def test_parts_inside_count_only_in_a_checkpoint(kind: ModelKind, count: int) -> None:
    names = ["first_stage_model.decoder.conv_in.weight", "text_encoders.clip_l.transformer.x"]
    assert len(family_needs.missing_components(ARCHITECTURES["flux"], names, (), kind=kind)) == count


def test_a_tae_for_previews_alone_does_not_replace_the_vae() -> None:
    given = ("llm", "taesd")
    assert family_needs.missing_components(ARCHITECTURES["ovis_image"], (), given, tae_preview_only=True)
    assert not family_needs.missing_components(ARCHITECTURES["ovis_image"], (), given)


def test_advice_names_text_encoders_that_are_not_needed() -> None:
    assert "T5-XXL" in family_needs.component_advice(ARCHITECTURES["chroma"], (), ())[0]
    assert not family_needs.component_advice(ARCHITECTURES["flux"], (), ("clip_l", "t5xxl"))


@for_each_case(
    ("tensors", "fault"),
    [
        ({"double_blocks.0.img_attn.qkv.weight": (128, 384)}, "norms of its first attention block"),
        ({**model_files.FLUX, "txt_in.weight": (64, 64)}, "wider than the whole network"),
        (model_files.wan(1), "this file has 1"),
        (model_files.wan(31), "this file has 31"),
        ({**model_files.FLUX, "img_in.weight": (196, 128)}, "Flex.2"),
        ({"model.diffusion_model.input_blocks.8.0.time_mixer.mix_factor": (1,)}, "SVD"),
    ],
)
def test_structures_that_end_the_process_are_faults(tensors: Tensors, fault: str) -> None:
    found = family_signs.detect(tensors)
    assert found is not None
    assert fault in " ".join(family_needs.structural_faults(found, tensors))


@for_each_case(
    "tensors", [model_files.FLUX, model_files.OVIS, model_files.KLEIN, model_files.wan(30), model_files.wan(40)]
)
def test_whole_models_have_no_faults(tensors: Tensors) -> None:
    found = family_signs.detect(tensors)
    assert found is not None
    assert family_needs.structural_faults(found, tensors) == []


def test_a_language_model_of_another_size_is_a_fault() -> None:
    ovis = ARCHITECTURES["ovis_image"]
    table = "model.embed_tokens.weight"
    assert family_needs.language_model_faults(ovis, model_files.OVIS, {table: (64, 151_936)}) == []
    assert "2560 wide" in family_needs.language_model_faults(ovis, model_files.OVIS, {table: (2560, 151_936)})[0]
    assert "32000 tokens" in family_needs.language_model_faults(ovis, model_files.OVIS, {table: (64, 32_000)})[0]
    assert family_needs.language_model_faults(ovis, model_files.OVIS, {"unknown": (1, 2)}) == []


@for_each_case(("width", "fits"), [(2560, True), (7680, True), (4096, False), (2048, False)])
def test_three_layers_of_a_language_model_go_into_a_klein(width: int, fits: bool) -> None:
    klein, model = architectures.ARCHITECTURES["flux2_klein"], {"txt_in.weight": (7680, 3072)}
    found = family_needs.language_model_faults(klein, model, {"model.embed_tokens.weight": (width, 151_936)})
    assert (found == []) is fits
    assert fits or "2560 or 7680" in found[0]


@for_each_case(
    ("name", "scheduler", "warned"),
    [
        ("Ovis Image", "ays", True),
        ("Ovis Image", "gits", True),
        ("Ovis Image", "karras", False),
        ("SD 1.x", "ays", False),
        ("SDXL", "gits", False),
        ("SD 2.x", "ays", True),
    ],
)
def test_schedulers_that_draw_noise_are_warned_of(name: str, scheduler: str, warned: bool) -> None:
    family = architectures.architecture_named(name)
    assert family is not None
    assert (architectures.scheduler_warning(family, scheduler) is not None) is warned


def test_families_are_known_by_name_and_strangers_are_not() -> None:
    video = architectures.architecture_named("Wan 2.x")
    assert video is not None
    assert (video.makes_images, video.makes_video) == (False, True)
    assert architectures.architecture_named("something new") is None
    assert architectures.architecture_named(None) is None


def test_only_models_of_the_xl_family_take_photo_maker() -> None:
    assert {entry.id for entry in ARCHITECTURES.values() if entry.takes_photo_maker} == {
        "sdxl", "sdxl_inpaint", "sdxl_pix2pix", "sdxl_vega", "sdxl_ssd1b",
    }  # fmt: skip


@for_each_case(
    ("family", "takes"),
    [("flux", True), ("qwen_image", True), ("flux2_klein", True), ("sd1_pix2pix", True), ("sd1", False),
     ("anima", False)],
)  # fmt: skip
def test_families_that_look_at_reference_pictures_are_known(family: str, takes: bool) -> None:
    assert ARCHITECTURES[family].takes_reference_images is takes
