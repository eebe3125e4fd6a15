"""Every way that LoRA files call their tensors, for two small models: a transformer (Flux) and a UNet (SDXS).

Each form holds one file's tensors and the model that it means, by weight. Knows no library and no verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from tools.model_tables import lora_changes as changes
from tools.model_tables.lora_changes import Array, Stored


class LoraForm(NamedTuple):
    """``tensors`` by key, as in the file; ``change`` by the name that the model's own files give the weight."""

    title: str
    tensors: Mapping[str, Array]
    change: Mapping[str, Array]

    @property
    def example(self) -> str:
        """The first key."""
        return next(iter(self.tensors))


_Way = Callable[[str, int, int], Stored]


def _a_b(seed: str, outputs: int, inputs: int) -> Stored:
    return changes.without_alpha(changes.low_rank(seed, outputs, inputs, "lora_A", "lora_B"))


def _convolutions(seed: str, outputs: int, inputs: int) -> Stored:
    return changes.convolution_shaped(changes.low_rank(seed, outputs, inputs))


def _whole_lokr(seed: str, outputs: int, inputs: int) -> Stored:
    return changes.lokr(seed, outputs, inputs, factored=False)


def _factored_lokr(seed: str, outputs: int, inputs: int) -> Stored:
    return changes.lokr(seed, outputs, inputs, factored=True)


def _default_a_b(seed: str, outputs: int, inputs: int) -> Stored:
    return changes.without_alpha(changes.low_rank(seed, outputs, inputs, "lora_A.default", "lora_B.default"))


def _old_pair(seed: str, outputs: int, inputs: int) -> Stored:
    return changes.without_alpha(changes.low_rank(seed, outputs, inputs, "lora.down", "lora.up"))


def _name_tensors(key: str, stored: Stored, joint: str = ".") -> dict[str, Array]:
    return {key + joint + ending: array for ending, array in stored.tensors.items()}


# --- for Flux ---------------------------------------------------------------------------------------------------------

_QKV, _LINEAR, _TEXT = "double_blocks.0.img_attn.qkv", "single_blocks.0.linear1", "text_model.encoder.layers.0.mlp.fc1"
_SHAPES = {_QKV: (384, 128), _LINEAR: (896, 128), _TEXT: (3072, 768)}
_KOHYA = "lora_unet_double_blocks_0_img_attn_qkv"
_KOHYA_TEXT = "text_model_encoder_layers_0_mlp_fc1"
_DIFFUSERS = "single_transformer_blocks.0"
_PIECES = {
    "q": ("attn.to_q", 0, 128),
    "k": ("attn.to_k", 128, 128),
    "v": ("attn.to_v", 256, 128),
    "m": ("proj_mlp", 384, 512),
}


def _whole(title: str, key: str, way: _Way = changes.low_rank, layer: str = _QKV, more: Iterable[str] = ()) -> LoraForm:
    """One change of one weight; ``more``: endings of tensors beside it that the library does not look for."""
    stored = way(layer, *_SHAPES[layer])
    extra = {f"{key}.{ending}": np.ones((_SHAPES[layer][0],), np.float32) for ending in more}
    return LoraForm(title, {**_name_tensors(key, stored), **extra}, {f"{layer}.weight": stored.change})


def _pieces(
    title: str, start: str, parts: str = "qkvm", way: _Way = _a_b, joint: str = ".", seen: str = ""
) -> LoraForm:
    """Changes of pieces of the fused weight of a single block, whose layers diffusers call apart: q, k, v and the MLP.

    ``seen``: the pieces that the library finds, where that is not all of ``parts``.
    """
    outputs, inputs = _SHAPES[_LINEAR]
    change = np.zeros((outputs, inputs), np.float32)
    tensors: dict[str, Array] = {}
    for part in parts:
        layer, row, rows = _PIECES[part]
        stored = way(f"{_LINEAR} {part}", rows, inputs)
        tensors |= _name_tensors(f"{start}{joint}{layer.replace('.', joint)}", stored)
        if part in (seen or parts):
            change[row : row + rows] = stored.change
    return LoraForm(title, tensors, {f"{_LINEAR}.weight": change})


def _strange(title: str, key: str, *endings: str) -> LoraForm:
    return LoraForm(title, _name_tensors(key, changes.unknown(*_SHAPES[_QKV], *endings)), {})


def _join(title: str, *forms: LoraForm) -> LoraForm:
    tensors: dict[str, Array] = {}
    change: dict[str, Array] = {}
    for form in forms:
        tensors |= form.tensors
        change |= form.change
    return LoraForm(title, tensors, change)


def flux_forms() -> list[LoraForm]:
    kohya, text = _whole("kohya", _KOHYA), _whole("kohya, CLIP-L as te1", f"lora_te1_{_KOHYA_TEXT}", layer=_TEXT)
    return [
        kohya,
        _whole("kohya, shaped as convolutions", _KOHYA, _convolutions),
        text,
        _whole("kohya, CLIP-L as te", f"lora_te_{_KOHYA_TEXT}", layer=_TEXT),
        _whole("kohya, CLIP-G as te2", f"lora_te2_{_KOHYA_TEXT}", layer=_TEXT),
        _join("kohya, transformer and CLIP-L", kohya, text),
        _join("kohya, with layers of another model", kohya, _other_family()),
        _pieces("diffusers: all of q, k, v and MLP", f"transformer.{_DIFFUSERS}"),
        _pieces("diffusers: q, k and v", f"transformer.{_DIFFUSERS}", "qkv"),
        _pieces("diffusers: q and v", f"transformer.{_DIFFUSERS}", "qv", seen="q"),
        _pieces("diffusers: k and v", f"transformer.{_DIFFUSERS}", "kv"),
        _pieces("diffusers, without a prefix", _DIFFUSERS),
        _pieces("diffusers, adapter named default", f"transformer.{_DIFFUSERS}", way=_default_a_b),
        _pieces("diffusers, kohya's endings (OneTrainer)", f"transformer.{_DIFFUSERS}", way=changes.low_rank),
        _pieces("OneTrainer", "lora_transformer_single_transformer_blocks_0", way=changes.low_rank, joint="_"),
        _pieces("OneTrainer, with dots", f"lora_transformer.{_DIFFUSERS}", way=changes.low_rank),
        _whole("PEFT", f"base_model.model.{_QKV}", _a_b),
        _pieces("PEFT, diffusers' layers", f"base_model.model.{_DIFFUSERS}"),
        _whole("ComfyUI", f"diffusion_model.{_QKV}", _a_b),
        _whole("ComfyUI, whole prefix", f"model.diffusion_model.{_QKV}"),
        _whole("original layers, without a prefix", _QKV, _a_b),
        _control_lora(),
        _strange("XLabs", "double_blocks.0.processor", "qkv_lora1.down.weight", "qkv_lora1.up.weight"),
        _pieces("LyCORIS, diffusers' layers", "lycoris_single_transformer_blocks_0", way=changes.low_rank, joint="_"),
        _whole("LyCORIS, original layers", "lycoris_double_blocks_0_img_attn_qkv"),
        _whole("LoHa", _KOHYA, changes.loha),
        _whole("LoKr, whole factors", _KOHYA, _whole_lokr),
        _whole("LoKr, factored", _KOHYA, _factored_lokr),
        _strange("OFT", _KOHYA, "oft_blocks"),
        _strange("BOFT", _KOHYA, "boft_R"),
        _strange("IA3", _KOHYA, "weight", "on_input"),
        _strange("GLoRA", _KOHYA, "a1.weight", "a2.weight", "b1.weight", "b2.weight"),
        _whole("DoRA (kohya)", _KOHYA, more=("dora_scale",)),
        _whole("DoRA (PEFT)", f"diffusion_model.{_QKV}", _a_b, more=("lora_magnitude_vector",)),
        _whole("full difference", f"diffusion_model.{_QKV}", changes.difference),
        _bias("difference of a bias", f"diffusion_model.{_QKV}", f"{_QKV}.bias", 384),
        _strange("ComfyUI set_weight", f"diffusion_model.{_QKV}", "set_weight"),
        _other_width(),
        _other_family(),
    ]  # fmt: skip


def _bias(title: str, key: str, weight: str, outputs: int) -> LoraForm:
    change = changes.low_rank(weight, outputs, 1).change[:, 0] * np.float32(4)
    return LoraForm(title, {f"{key}.diff_b": change}, {weight: change})


def _control_lora() -> LoraForm:
    """What Black Forest Labs publish for edges and depth: it also makes the input wider."""
    first = changes.low_rank("img_in", 128, 128, "lora_A", "lora_B")
    tensors = _name_tensors("img_in", changes.without_alpha(first))
    tensors |= _name_tensors(_QKV, _a_b(_QKV, *_SHAPES[_QKV]))
    tensors[f"{_QKV}.lora_B.bias"] = np.zeros(384, np.float32)
    tensors["double_blocks.0.img_attn.norm.key_norm.scale"] = np.ones(128, np.float32)
    return LoraForm("control-LoRA of Flux's makers", tensors, {})


def _other_width() -> LoraForm:
    return LoraForm("kohya, of a wider model", _name_tensors(_KOHYA, changes.low_rank("wide", 1152, 384)), {})


def _other_family() -> LoraForm:
    key = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_v"
    return LoraForm("kohya, of SDXL", _name_tensors(key, changes.low_rank("xl", 640, 2048)), {})


# --- for a UNet -------------------------------------------------------------------------------------------------------

_BLOCK = "down_blocks.1.attentions.0.transformer_blocks.0"
_KEYS = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
_CONV = "model.diffusion_model.input_blocks.4.0.in_layers.2.weight"
_PROJECTION = "model.diffusion_model.input_blocks.4.1.proj_in.weight"
_CLIP = "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight"
_UNET_SHAPES = {_KEYS: (640, 768), _PROJECTION: (640, 640), _CONV: (640, 2880), _CLIP: (3072, 768)}
_KOHYA_UNET = f"lora_unet_{_BLOCK.replace('.', '_')}_attn2_to_k"


def _unet(title: str, key: str, way: _Way = changes.low_rank, weight: str = _KEYS, joint: str = ".") -> LoraForm:
    stored = way(weight, *_UNET_SHAPES[weight])
    change = stored.change
    if weight == _PROJECTION:
        change = change[:, :, None, None]
    if weight == _CONV:
        change = change.reshape(640, 320, 3, 3)
    return LoraForm(title, _name_tensors(key, stored, joint), {weight: change})


def _locon(seed: str, outputs: int, inputs: int) -> Stored:
    stored = changes.low_rank(seed, outputs, inputs)
    down, up = stored.tensors["lora_down.weight"], stored.tensors["lora_up.weight"]
    shaped = {"lora_down.weight": down.reshape(-1, 320, 3, 3), "lora_up.weight": up[:, :, None, None]}
    return Stored({**stored.tensors, **shaped}, stored.change)


def _lokr_conv(title: str, key: str, *, factored: bool) -> LoraForm:
    """The large factor carries the 3x3 kernel: [outputs / 4, inputs / 4, 3, 3]."""
    stored = changes.lokr(_CONV, 640, 320 * 9, factored=factored)
    large = changes.large_factor(stored.tensors).reshape(160, 80, 3, 3)
    tensors = dict(stored.tensors) if factored else {**stored.tensors, "lokr_w2": large}
    change = np.einsum("ab,cdhw->acbdhw", stored.tensors["lokr_w1"], large).reshape(640, 320, 3, 3)
    return LoraForm(title, _name_tensors(key, Stored(tensors, change)), {_CONV: change})


def unet_forms() -> list[LoraForm]:
    projection = "lora_unet_down_blocks_1_attentions_0_proj_in"
    resnet = "lora_unet_down_blocks_1_resnets_0"
    text = "text_encoder.text_model.encoder.layers.0.mlp.fc1"
    return [
        _unet("kohya", _KOHYA_UNET),
        _unet("kohya, original layers", "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"),
        _unet("kohya, CLIP-L as te", f"lora_te_{_KOHYA_TEXT}", weight=_CLIP),
        _unet("kohya, CLIP-L as te1", f"lora_te1_{_KOHYA_TEXT}", weight=_CLIP),
        _unet("kohya, CLIP-G as te2", f"lora_te2_{_KOHYA_TEXT}", weight=_CLIP),
        _unet("diffusers", f"unet.{_BLOCK}.attn2.to_k", _a_b),
        _unet("diffusers, text encoder", text, _a_b, _CLIP),
        _unet("old diffusers", f"unet.{_BLOCK}.attn2.to_k", _old_pair),
        _unet("old diffusers, processors", f"unet.{_BLOCK}.attn2.processor.to_k", _old_pair, joint="_"),
        _unet("old diffusers, processors without a prefix", f"{_BLOCK}.attn2.processor.to_k", _old_pair, joint="_"),
        _unet("PEFT", f"base_model.model.{_BLOCK}.attn2.to_k", _a_b),
        _unet("LoCon: a convolution", f"{resnet}_conv1", _locon, _CONV),
        _unet("1x1 convolutions", projection, _convolutions, _PROJECTION),
        _unet("matrices for a 1x1 convolution", projection, weight=_PROJECTION),
        _unet("LoHa", _KOHYA_UNET, changes.loha),
        _unet("LoHa of a convolution", f"{resnet}_conv1", changes.loha, _CONV),
        _unet("LoKr, whole factors", _KOHYA_UNET, _whole_lokr),
        _unet("LoKr, factored", _KOHYA_UNET, _factored_lokr),
        _lokr_conv("LoKr of a convolution, whole factors", f"{resnet}_conv1", factored=False),
        _lokr_conv("LoKr of a convolution, factored", f"{resnet}_conv1", factored=True),
        _unet("full difference", f"diffusion_model.{_BLOCK}.attn2.to_k", changes.difference),
        LoraForm("IA3", _name_tensors(_KOHYA_UNET, changes.unknown(640, 768, "weight", "on_input")), {}),
        _norm(f"{resnet}_norm1"),
    ]  # fmt: skip


def _norm(key: str) -> LoraForm:
    """LyCORIS trains norms too, under endings of its own."""
    return LoraForm(
        "LyCORIS norms", {f"{key}.w_norm": np.ones(320, np.float32), f"{key}.b_norm": np.ones(320, np.float32)}, {}
    )
