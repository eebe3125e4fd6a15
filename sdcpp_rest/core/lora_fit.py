"""Tells which tensors of a LoRA fit a model, and in which way the library can apply them.

Pure functions over names, shapes (ggml order: the fastest-running dimension first) and number formats, as headers tell
them. It must not know any file.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from sdcpp_rest.core.architectures import Shapes
from sdcpp_rest.core.tensor_names import lora_part

Form = Literal["LoRA", "full difference", "LoHa", "LoKr"]
_NUMBERED = re.compile(r"(.+\.(?:weight|bias))\.(\d{1,2})")
_LOHA = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
# Endings that no code of the library looks for, by what they are called among those who train them.
_OTHER_FORMS: tuple[tuple[str, str], ...] = (
    (r"\.boft_", "BOFT"),
    (r"\.oft_|\.oft_blocks|\.oft_diag|\.oft_R", "OFT"),
    (r"\.(a1|a2|b1|b2|bm1|bm2|c1|c2)\.weight$", "GLoRA"),
    (r"\.(w_norm|b_norm)$", "LyCORIS norm"),
    (r"\.on_input$", "IA3"),
    (r"\.processor\.\w+_lora\d\.(down|up)\.weight$", "XLabs' LoRA"),
    (r"\.set_weight$", "ComfyUI set_weight"),
    (r"\.reshape_weight$", "ComfyUI reshape_weight"),
    (r"\.lokr_t2$", "LoKr with a Tucker core"),
    (r"\.vera_|\.lora_E$|\.lora_xs", "another PEFT method"),
)
# A magnitude beside each pair: without it the rest is applied as a plain LoRA, which is close, and not the same.
_MAGNITUDE = re.compile(r"\.dora_scale$|\.lora_magnitude_vector(\.|$)|\.magnitude$")
_KEY_FORMS: tuple[tuple[str, str], ...] = (
    (r"lora_transformer_", "OneTrainer's keys (lora_transformer_...)"),
    (r"lycoris_", "LyCORIS' keys (lycoris_...)"),
    (r"lora_(unet|te\d?|vae)_", "kohya's keys (lora_unet_...)"),
    (r"base_model\.model\.", "PEFT's keys (base_model.model....)"),
    (r"(transformer|unet|text_encoder(_2)?)\.", "diffusers' keys (transformer....)"),
    (r"diffusion_model\.", "ComfyUI's keys (diffusion_model....)"),
    (r"(single_)?transformer_blocks\.|double_blocks\.|single_blocks\.|blocks\.|layers\.", "keys without a prefix"),
)


class Weight(NamedTuple):
    """One weight of a loaded model: its shape, and whether it is quantized in memory."""

    shape: tuple[int, ...]
    is_quantized: bool


Weights = Mapping[str, Weight]


@dataclass
class LoraFit:
    """How a LoRA fits a model.

    ``total`` counts its tensors, ``fitting`` those that the library will apply. ``wrong_shapes`` are sentences about
    tensors that are for a weight of the model and cannot be added to it: such a file ends the job. ``only_merged``
    says why the LoRA can only be merged into the weights ("immediately"), not beside them; ``only_beside`` why merging
    it would draw something else. ``on_quantized`` says why it does not work on quantized weights, as they are here.
    """

    total: int = 0
    fitting: int = 0
    key_form: str = ""
    other_forms: Counter[str] = field(default_factory=Counter)
    magnitudes: int = 0
    wrong_shapes: list[str] = field(default_factory=list)
    only_merged: str = ""
    only_beside: str = ""
    on_quantized: str = ""


class _Piece(NamedTuple):
    """One change of one weight, or of one piece of a fused one."""

    form: Form
    names: tuple[str, ...]
    width: int
    rows: int
    elements: int
    fault: str = ""
    only_merged: str = ""
    only_beside: str = ""


def fit_lora(lora: Shapes, weights: Weights, family: str, *, is_high_noise: bool = False) -> LoraFit:
    """Compare a LoRA's tensors with the weights of a model of ``family`` (an id).

    ``weights`` carry the names that the library gives them, as `weight_name` makes them.
    """
    fit = LoraFit(total=len(lora), key_form=_key_form(lora))
    groups = _groups(lora, weights, family, is_high_noise, fit)
    by_weight: dict[str, dict[int, dict[str, str]]] = {}
    for target, parts in groups.items():
        match = _NUMBERED.fullmatch(target)
        base, number = (match[1], int(match[2])) if match else (target, 0)
        by_weight.setdefault(base, {})[number] = parts
    for base, numbered in by_weight.items():
        weight = weights.get(base)
        if weight is not None:
            _judge(fit, base, weight, numbered, lora, is_high_noise)
    return fit


def _groups(
    lora: Shapes, weights: Weights, family: str, is_high_noise: bool, fit: LoraFit
) -> dict[str, dict[str, str]]:
    """The LoRA's tensors by the weight they are for: part -> name. What is of another form is counted in ``fit``."""
    has_fused_clip = "cond_stage_model.1.transformer.text_model.encoder.layers.0.self_attn.in_proj.weight" in weights
    groups: dict[str, dict[str, str]] = {}
    for name in lora:
        other = next((word for pattern, word in _OTHER_FORMS if re.search(pattern, name)), None)
        if other is not None:
            fit.other_forms[other] += 1
        elif _MAGNITUDE.search(name):
            fit.magnitudes += 1
        else:
            found = lora_part(name, family, is_high_noise=is_high_noise, has_fused_clip=has_fused_clip)
            if found is not None:
                groups.setdefault(found.weight, {})[found.part] = name
    return groups


def _judge(
    fit: LoraFit,
    base: str,
    weight: Weight,
    numbered: Mapping[int, dict[str, str]],
    lora: Shapes,
    is_high_noise: bool,
) -> None:
    """Add to ``fit`` what becomes of the pieces for one weight. The library takes them from number 0 on, and stops at
    the first that is not there."""
    pieces: list[_Piece] = []
    while len(pieces) in numbered:
        piece = _piece(numbered[len(pieces)], lora, weight)
        if piece is None or (pieces and piece.form != pieces[0].form):
            break
        pieces.append(piece)
    if not pieces:
        return
    short = base.split("diffusion_model.")[-1]
    fault = next((piece.fault for piece in pieces if piece.fault), "")
    elements, have = sum(piece.elements for piece in pieces), math.prod(weight.shape)
    # The first pieces of a fused weight alone: merging fills up with zeros, adding beside the weights does not.
    is_first_rows = (
        elements < have
        and len(weight.shape) == 2
        and all(piece.width == weight.shape[0] for piece in pieces)
        and elements % weight.shape[0] == 0
    )
    if not fault and elements != have and not is_first_rows:
        fault = f"make {elements} numbers"
    if fault:
        fit.wrong_shapes.append(f"its tensors for {short} {fault}, where the model has {_shape_text(weight.shape)}")
        return
    fit.fitting += sum(len(piece.names) for piece in pieces)
    form = pieces[0].form
    merged = next((piece.only_merged for piece in pieces if piece.only_merged), "")
    if is_first_rows:
        merged = f"it changes only a part of the fused weight {short}"
    elif is_high_noise:
        merged = "it is for the high-noise expert"
    fit.only_merged = fit.only_merged or merged
    fit.only_beside = fit.only_beside or next((piece.only_beside for piece in pieces if piece.only_beside), "")
    if weight.is_quantized and (merged or form in ("LoHa", "full difference")):
        fit.on_quantized = fit.on_quantized or merged or f"it is a {form}"


def _piece(parts: Mapping[str, str], lora: Shapes, weight: Weight) -> _Piece | None:
    """The change that these tensors make together, in the library's own order of preference; ``None`` where they are
    not whole."""
    for read in (_plain, _difference, _loha, _lokr):
        piece = read(parts, {part: lora[name] for part, name in parts.items()}, weight)
        if piece is not None:
            return piece
    return None


def _plain(parts: Mapping[str, str], shapes: Shapes, weight: Weight) -> _Piece | None:
    if not {"lora_up", "lora_down"} <= shapes.keys():
        return None
    down, up, mid = _four(shapes["lora_down"]), _four(shapes["lora_up"]), shapes.get("lora_mid")
    flat = len(weight.shape) < 3
    rank, out = (down[3], up[3]) if _is_conv(shapes["lora_down"]) else (down[1], up[1])
    if _is_conv(shapes["lora_up"]):
        out, up_rank = up[3], up[2]
    else:
        out, up_rank = up[1], up[0]
    inside = down[2] if _is_conv(shapes["lora_down"]) else down[0]
    kernel = down[0] * down[1] if _is_conv(shapes["lora_down"]) else 1
    if mid is not None:
        kernel = _four(mid)[0] * _four(mid)[1]
    fault = "" if rank == up_rank else f"are of two ranks ({rank} and {up_rank})"
    merged = ""
    if flat and (_is_conv(shapes["lora_down"]) or _is_conv(shapes["lora_up"])):
        merged = "its tensors have the shape of convolutions, the model's weights that of matrices"
    elif not flat and not _is_conv(shapes["lora_down"]) and inside != weight.shape[2]:
        # A matrix is taken for a convolution of 1x1, which one that stands for a larger kernel is not.
        merged = "its tensors have the shape of matrices, the model's weights that of convolutions"
    names = tuple(parts[part] for part in ("lora_up", "lora_down", "lora_mid", "alpha", "scale") if part in parts)
    return _Piece("LoRA", names, inside * kernel, out, inside * kernel * out, fault, merged)


def _difference(parts: Mapping[str, str], shapes: Shapes, weight: Weight) -> _Piece | None:
    shape = shapes.get("diff")
    if shape is None:
        return None
    return _Piece("full difference", (parts["diff"],), shape[0], _last(shape), math.prod(shape))


def _loha(parts: Mapping[str, str], shapes: Shapes, weight: Weight) -> _Piece | None:
    if not shapes.keys() >= set(_LOHA):
        return None
    core = math.prod(_four(shapes["hada_t1"])[:2]) if "hada_t1" in shapes else 1
    first_up, first_down = _four(shapes["hada_w1_a"]), _four(shapes["hada_w1_b"])
    second_up, second_down = _four(shapes["hada_w2_a"]), _four(shapes["hada_w2_b"])
    # With a Tucker core the outer matrix lies the other way round.
    out = first_up[0] if "hada_t1" in shapes else first_up[1]
    same = (first_up[0], first_up[1]) == (second_up[0], second_up[1]) and first_down[0] == second_down[0]
    fault = "" if same else "are two products of different sizes"
    names = tuple(parts[part] for part in (*_LOHA, "hada_t1", "hada_t2", "alpha") if part in parts)
    return _Piece("LoHa", names, first_down[0] * core, out, first_down[0] * core * out, fault)


def _lokr(parts: Mapping[str, str], shapes: Shapes, weight: Weight) -> _Piece | None:
    sizes: list[tuple[int, int]] = []
    names: list[str] = []
    is_factored = False
    for factor in ("lokr_w1", "lokr_w2"):
        whole = shapes.get(factor)
        if whole is not None:
            sizes.append((math.prod(whole) // _last(whole), _last(whole)))
            names.append(parts[factor])
            continue
        outer, inner = shapes.get(f"{factor}_a"), shapes.get(f"{factor}_b")
        if outer is None or inner is None:
            return None
        is_factored = True
        sizes.append((math.prod(inner) // _last(inner), _last(outer)))
        names += [parts[f"{factor}_a"], parts[f"{factor}_b"]]
    if "alpha" in parts:
        names.append(parts["alpha"])
    width, rows = sizes[0][0] * sizes[1][0], sizes[0][1] * sizes[1][1]
    merged = beside = ""
    if len(weight.shape) == 2:
        merged = "it is a LoKr whose factors are products themselves" if is_factored else ""
    elif not is_factored and _is_conv(shapes["lokr_w2"]):
        # Merging multiplies the kernel's sides with the other factor instead of the channels.
        beside = "it is a LoKr of convolutions"
    return _Piece("LoKr", tuple(names), width, rows, width * rows, only_merged=merged, only_beside=beside)


def _is_conv(shape: tuple[int, ...]) -> bool:
    return len(shape) > 2


def _four(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    padded = (*shape, 1, 1, 1, 1)
    return padded[0], padded[1], padded[2], padded[3]


def _last(shape: tuple[int, ...]) -> int:
    return shape[-1] if len(shape) > 1 else 1


def _shape_text(shape: tuple[int, ...]) -> str:
    return " x ".join(str(side) for side in reversed(shape))


def _key_form(lora: Shapes) -> str:
    for pattern, words in _KEY_FORMS:
        matched = sum(1 for name in lora if re.match(pattern, name))
        if matched * 2 > len(lora):
            return words
    first = next(iter(lora), "")
    return f"keys such as {first[:60]}"


# --- what a LoRA was made for -----------------------------------------------------------------------------------------

_ATTENTION_WIDTHS = {768: "SD 1.x", 1024: "SD 2.x", 2048: "SDXL"}
_MADE_FOR: tuple[tuple[str, str], ...] = (
    (r"noise_refiner|context_refiner|[._]layers[._]\d+[._]attention", "Z-Image"),
    (r"joint_blocks|transformer_blocks[._]\d+[._]attn2[._]add_", "SD3.x"),
    (r"transformer_blocks[._]\d+[._](img|txt)_(mlp|mod)", "Qwen Image"),
    (r"single_transformer_blocks|double_blocks|single_blocks", "Flux"),
    (r"(^|[._])blocks[._]\d+[._](cross_attn|self_attn|ffn)", "Wan 2.x"),
    (r"distilled_guidance_layer", "Chroma"),
)
_FLUX_2_ONLY = re.compile(r"to_qkv_mlp_proj|double_stream_modulation|single_stream_modulation|ff\.linear_in")


def made_for(lora: Shapes) -> str | None:
    """The family that a LoRA was trained on, as far as its tensors' names and widths tell."""
    if any(_FLUX_2_ONLY.search(name) for name in lora):
        return "Flux.2"
    for name, shape in lora.items():
        if re.search(r"attn2[._]to_[kv][._]lora[._](down|A)", name):
            width = shape[2] if len(shape) > 2 else shape[0]
            if width in _ATTENTION_WIDTHS:
                return _ATTENTION_WIDTHS[width]
    for pattern, family in _MADE_FOR:
        if any(re.search(pattern, name) for name in lora):
            return family
    if any(re.search(r"(down|up|mid|input|output|middle)_blocks?[._]", name) for name in lora):
        return "Stable Diffusion"
    if any(name.startswith(("lora_te", "text_encoder", "te")) for name in lora):
        return "a text encoder"
    return None
