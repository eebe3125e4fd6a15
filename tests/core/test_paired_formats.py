"""Files whose numbers and scales lie apart are told by name, and no others."""

from __future__ import annotations

from sdcpp_rest.core.paired_formats import describe_paired, obstacle_to_conversion, paired_format
from tests.cases import for_each_case

W = "transformer_blocks.0.attn.to_q"


@for_each_case(
    ("types", "format"),
    [
        ({f"{W}.weight": "F8_E4M3", f"{W}.scale_weight": "F32", "scaled_fp8": "F8_E4M3"}, "scaled FP8"),
        ({f"{W}.weight": "F8_E4M3", f"{W}.weight_scale": "F32", f"{W}.comfy_quant": "U8"}, "scaled FP8"),
        ({f"{W}.weight": "F8_E5M2", f"{W}.weight_scale": "F32", f"{W}.input_scale": "F32"}, "scaled FP8"),
        ({f"{W}.weight": "F8_E4M3", f"{W}.weight_scale_inv": "F32"}, "a scale for each block"),
        ({f"{W}.weight": "U8", f"{W}.weight.absmax": "F32", f"{W}.weight.quant_state.bitsandbytes__nf4": "U8"}, "NF4"),
        ({f"{W}.weight": "U8", f"{W}.weight.absmax": "F32", f"{W}.weight.quant_state.bitsandbytes__fp4": "U8"}, "FP4"),
        ({f"{W}.weight": "U8", f"{W}.weight.absmax": "U8", f"{W}.weight.quant_map": "F32"}, "bitsandbytes 4-bit"),
        ({f"{W}.weight": "I8", f"{W}.SCB": "F32"}, "bitsandbytes 8-bit"),
        ({f"{W}.weight": "I8", f"{W}.weight_scale": "F32"}, "8-bit numbers with scales"),
        ({f"{W}.qweight": "I8", f"{W}.wscales": "BF16", f"{W}.smooth_factor": "BF16"}, "SVDQuant"),
        ({f"{W}.qweight": "I32", f"{W}.qzeros": "I32", f"{W}.scales": "F16", f"{W}.g_idx": "I32"}, "GPTQ"),
        ({f"{W}.qweight": "I32", f"{W}.qzeros": "I32", f"{W}.scales": "F16"}, "AWQ"),
        ({f"{W}.weight": "U8", f"{W}.weight_scale": "F8_E4M3", f"{W}.weight_scale_2": "F32"}, "NVFP4"),
        ({"mlp.experts.down_proj_blocks": "U8", "mlp.experts.down_proj_scales": "U8"}, "MXFP4"),
        ({f"{W}.weight": "U8", f"{W}.weight_scale": "U8"}, "packed format"),
        ({f"{W}.weight_packed": "U8", f"{W}.weight_scale": "F8_E4M3", f"{W}.weight_global_scale": "F32"}, "NVFP4"),
        (
            {f"{W}.weight_packed": "I32", f"{W}.weight_shape": "I64", f"{W}.weight_scale": "BF16"},
            "packed whole numbers",
        ),
        ({f"{W}.weight": "F8_E4M3", f"{W}.bias": "BF16"}, None),
        ({f"{W}.weight": "F8_E4M3", "scaled_fp8": "F8_E4M3"}, None),
        ({f"{W}.weight": "F16", "norm.weight_scale": "F32"}, None),
        ({f"{W}.weight": "F16", "ids": "I32"}, None),
        ({}, None),
    ],
)
def test_each_format_is_known_by_its_names(types: dict[str, str], format: str | None) -> None:
    found = paired_format(types)
    assert (found is None) if format is None else (format in str(found))


@for_each_case(
    "format",
    ["SVDQuant (nunchaku)", "GPTQ", "AWQ", "bitsandbytes 4-bit", "packed whole numbers (compressed-tensors)", "MXFP4"],
)
def test_what_cannot_be_converted_is_told_with_a_way_out(format: str) -> None:
    why = obstacle_to_conversion(format)
    assert why
    told = describe_paired("a.safetensors", format)
    assert told.startswith(f"a.safetensors is stored as {format}: ")
    assert f"it cannot be converted either ({why}); take a file of f16, bf16 or plain fp8, or a GGUF" in told


@for_each_case("format", ["scaled FP8", "bitsandbytes NF4", "NVFP4", "8-bit numbers with scales"])
def test_what_can_be_converted_is_told_with_the_call(format: str) -> None:
    assert obstacle_to_conversion(format) == ""
    told = describe_paired("my model.safetensors", format)
    assert "`sdcpp-rest convert 'my model.safetensors' q8_0` or POST /convert and output_type q8_0" in told
