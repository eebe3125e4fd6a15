"""LoRAs of a job against the files of its model: refused, warned about, or merged where only that works."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdcpp_rest.core.architectures import Shapes
from sdcpp_rest.core.load_spec import FileRef, LoadSpec
from sdcpp_rest.core.params import LoraUse
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.models.lora_checks import with_loras
from tests.model_files import FLUX, gguf_bytes, reversed_shapes, safetensors_bytes, write

KOHYA = "lora_unet_double_blocks_0_img_attn_qkv"
PLAIN: Shapes = {f"{KOHYA}.lora_down.weight": (128, 4), f"{KOHYA}.lora_up.weight": (4, 384)}
LOKR: Shapes = {f"{KOHYA}.lokr_w1": (4, 4), f"{KOHYA}.lokr_w2_a": (4, 96), f"{KOHYA}.lokr_w2_b": (32, 4)}
LOHA: Shapes = {
    f"{KOHYA}.hada_w1_a": (4, 384),
    f"{KOHYA}.hada_w1_b": (128, 4),
    f"{KOHYA}.hada_w2_a": (4, 384),
    f"{KOHYA}.hada_w2_b": (128, 4),
}


def model(folder: Path, kind: str = "f16", **options: object) -> LoadSpec:
    path = write(folder / f"flux-{kind}.gguf", gguf_bytes(FLUX, kind))
    spec = LoadSpec(model=FileRef(name=path.name, path=str(path)), kind="diffusion", architecture="Flux")
    return spec.model_copy(update={"options": spec.options.model_copy(update=options)})


def lora(folder: Path, tensors: Shapes, name: str = "style.safetensors", **more: bool) -> LoraUse:
    path = write(folder / name, safetensors_bytes(reversed_shapes(tensors)))
    return LoraUse(name=name, path=str(path), weight=1.0, **more)


def test_a_lora_that_fits_changes_nothing(tmp_path: Path) -> None:
    warnings: list[str] = []
    spec = model(tmp_path, "q8_0")
    assert with_loras(spec, [lora(tmp_path, PLAIN)], warnings) == spec
    assert warnings == []


def test_one_without_effect_is_refused_by_family_and_keys(tmp_path: Path) -> None:
    other = {
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (768, 4),
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_up.weight": (4, 320),
    }
    with pytest.raises(InvalidRequest) as refused:
        with_loras(model(tmp_path), [lora(tmp_path, other)], [])
    for words in ("style.safetensors", "none of its 2 tensors", "Flux", "kohya's keys", "made for SD 1.x"):
        assert words in refused.value.message
    assert refused.value.detail["field"] == "prompt"


def test_one_of_the_right_names_and_another_width_is_refused(tmp_path: Path) -> None:
    wide = {f"{KOHYA}.lora_down.weight": (3072, 4), f"{KOHYA}.lora_up.weight": (4, 9216)}
    with pytest.raises(InvalidRequest, match=r"style\.safetensors does not fit .*384 x 128"):
        with_loras(model(tmp_path), [lora(tmp_path, wide)], [])


def test_one_that_fits_in_part_is_told_with_numbers(tmp_path: Path) -> None:
    warnings: list[str] = []
    mixed = {**PLAIN, "lora_unet_nothing.lora_down.weight": (8, 4), "lora_unet_nothing.lora_up.weight": (4, 8)}
    with_loras(model(tmp_path), [lora(tmp_path, {**mixed, f"{KOHYA}.dora_scale": (1, 384)})], warnings)
    assert "2 of 5 tensors fit" in warnings[0]
    assert "DoRA" in warnings[1]


@pytest.mark.parametrize("tensors", [LOKR, LOHA], ids=["LoKr", "LoHa"])
def test_forms_that_end_the_engine_on_quantized_weights_are_refused_by_name(tmp_path: Path, tensors: Shapes) -> None:
    with pytest.raises(InvalidRequest, match=r"style\.safetensors cannot be applied to the quantized weights"):
        with_loras(model(tmp_path, "q8_0"), [lora(tmp_path, tensors)], [])
    with pytest.raises(InvalidRequest, match="quantized"):
        with_loras(model(tmp_path, "f16", weight_type="q8_0"), [lora(tmp_path, tensors)], [])


def test_what_only_merging_can_do_is_merged_into_unquantized_weights(tmp_path: Path) -> None:
    spec, factored = model(tmp_path, "f16"), lora(tmp_path, LOKR, "lokr.safetensors")
    merged = with_loras(spec, [factored], [])
    assert merged.options.lora_apply_mode == "immediately"
    assert merged.model == spec.model
    assert with_loras(spec, [lora(tmp_path, LOHA)], []) == spec
    with pytest.raises(InvalidRequest, match="lora_apply_mode"):
        with_loras(model(tmp_path, "f16", lora_apply_mode="at_runtime"), [factored], [])


LOKR_CONV: Shapes = {
    "lora_unet_down_blocks_0_resnets_0_conv1.lokr_w1": (4, 4),
    "lora_unet_down_blocks_0_resnets_0_conv1.lokr_w2": (3, 3, 80, 80),
}
ATTENTION = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
FACTORED: Shapes = {
    f"{ATTENTION}.lokr_w1": (4, 4),
    f"{ATTENTION}.lokr_w2_a": (4, 80),
    f"{ATTENTION}.lokr_w2_b": (192, 4),
}


def unet_model(folder: Path, **options: object) -> LoadSpec:
    tensors = {
        "model.diffusion_model.input_blocks.1.0.in_layers.2.weight": (3, 3, 320, 320),
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (768, 320),
    }
    path = write(folder / "sd.gguf", gguf_bytes(tensors, "f16"))
    spec = LoadSpec(model=FileRef(name=path.name, path=str(path)), kind="checkpoint", architecture="SD 1.x")
    return spec.model_copy(update={"options": spec.options.model_copy(update=options)})


def test_what_merging_would_spoil_is_never_merged(tmp_path: Path) -> None:
    conv, factored = lora(tmp_path, LOKR_CONV, "conv.safetensors"), lora(tmp_path, FACTORED, "factored.safetensors")
    spec = unet_model(tmp_path)
    assert with_loras(spec, [conv], []) == spec
    assert with_loras(spec, [factored], []).options.lora_apply_mode == "immediately"
    with pytest.raises(InvalidRequest, match=r"conv\.safetensors would be applied wrongly .* is 'immediately'"):
        with_loras(unet_model(tmp_path, lora_apply_mode="immediately"), [conv], [])
    for pair in ([conv, factored], [factored, conv]):
        with pytest.raises(InvalidRequest, match=r"conv\.safetensors .* LoRA factored\.safetensors needs that"):
            with_loras(spec, pair, [])


def test_keys_that_are_not_looked_for_are_told_apart_from_another_family(tmp_path: Path) -> None:
    peft = {f"base_model.model.double_blocks.0.img_attn.qkv.{x}.weight": (4, 128) for x in ("lora_A", "lora_B")}
    with pytest.raises(InvalidRequest, match=r"made for Flux; the library looks for keys as ComfyUI, kohya and diff"):
        with_loras(model(tmp_path), [lora(tmp_path, peft)], [])


def test_merging_waits_for_no_quantized_file_beside_the_model(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.gguf", gguf_bytes({"text_model.encoder.layers.0.mlp.fc1.weight": (64, 64)}, "q8_0"))
    spec = model(tmp_path).model_copy(update={"components": {"clip_l": FileRef(name="clip.gguf", path=str(clip))}})
    with pytest.raises(InvalidRequest, match=r"merged into the weights .* clip\.gguf is quantized"):
        with_loras(spec, [lora(tmp_path, LOKR)], [])


def test_text_encoder_tensors_fit_where_the_encoder_is_loaded(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.gguf", gguf_bytes({"text_model.encoder.layers.0.mlp.fc1.weight": (64, 64)}))
    key = "lora_te1_text_model_encoder_layers_0_mlp_fc1"
    text = lora(tmp_path, {**PLAIN, f"{key}.lora_down.weight": (64, 4), f"{key}.lora_up.weight": (4, 64)})
    warnings: list[str] = []
    with_loras(model(tmp_path), [text], warnings)
    assert "2 of 4 tensors fit" in warnings.pop()
    spec = model(tmp_path).model_copy(update={"components": {"clip_l": FileRef(name="clip.gguf", path=str(clip))}})
    with_loras(spec, [text], warnings)
    assert warnings == []


def test_a_model_that_is_not_known_is_not_judged(tmp_path: Path) -> None:
    spec = model(tmp_path).model_copy(update={"architecture": None})
    assert with_loras(spec, [lora(tmp_path, LOKR)], []) == spec


def test_a_lora_for_an_expert_that_is_not_there_is_told(tmp_path: Path) -> None:
    warnings: list[str] = []
    with_loras(model(tmp_path), [lora(tmp_path, PLAIN, is_high_noise=True)], warnings)
    assert "no high-noise expert" in warnings[0]
