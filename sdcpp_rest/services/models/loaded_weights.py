"""Lists the weights that the library will hold for a load spec, as the headers of its files tell: names, shapes, and
whether they are quantized in memory.

Reads headers only; must not know jobs.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from typing import Any

from sdcpp_rest.core import quantization
from sdcpp_rest.core.architectures import Architecture, architecture_named
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.lora_fit import Weight, Weights
from sdcpp_rest.core.tensor_names import is_unet, weight_name
from sdcpp_rest.services.model_headers.inspection import inspect_file

_KEPT = 4
# A weight type that is asked for does not reach these.
_KEEP_THEIR_TYPE = re.compile(
    r"\.bias$|\.scale$|(img|txt|time|vector|guidance)_in\.|final_layer\.|[xty]_embedder\.|pos_embed|context_embedder\.|"
    r"time_embed\.|label_emb\.|embedding"
)
_NUMBERED = re.compile(r"(.+\.(?:weight|bias))\.([1-9])")


def weights_of(spec: LoadSpec) -> tuple[Architecture, Weights] | None:
    """The family and the weights of ``spec``; ``None`` where the family is not known. Raises NotAModel."""
    family = architecture_named(spec.architecture)
    if family is None:
        return None
    files = [("", spec.model) if spec.kind == "checkpoint" else ("model.diffusion_model.", spec.model)]
    prefixes = _prefixes(family)
    files += [(prefixes[role], file) for role, file in spec.components.items() if role in prefixes]
    inspected = [(prefix, inspect_file(file.path)) for prefix, file in files]
    key = (spec.key, *(id(one) for _, one in inspected))
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
            return family, _cache[key][1]
    asked = _AskedTypes(spec)
    weights: dict[str, Weight] = {}
    for prefix, one in inspected:
        for name, shape in one.tensors.items():
            own = weight_name(name if name.startswith(prefix) else prefix + name, family.id)
            weights[own] = Weight(shape, asked.is_quantized(own, shape, one.tensor_types.get(name, "")))
    _join_pieces(weights)
    with _lock:
        # The inspections are kept beside: their identities are the key.
        _cache[key] = (inspected, weights)
        while len(_cache) > _KEPT:
            _cache.popitem(last=False)
    return family, weights


_lock = threading.Lock()
_cache: OrderedDict[tuple[Any, ...], tuple[Any, Weights]] = OrderedDict()


def _prefixes(family: Architecture) -> dict[str, str]:
    """Under which prefix the library takes in the file of each role."""
    clip_l, clip_g = "text_encoders.clip_l.transformer.", "text_encoders.clip_g.transformer."
    if is_unet(family.id):
        clip_l, clip_g = "cond_stage_model.transformer.", "cond_stage_model.1.transformer."
    return {
        "high_noise_diffusion_model": "model.high_noise_diffusion_model.",
        "clip_l": clip_l,
        "clip_g": clip_g,
        "t5xxl": "text_encoders.t5xxl.transformer.",
        "llm": "text_encoders.llm.",
    }


class _AskedTypes:
    """Tells what the options of a load make of the files' own number formats."""

    def __init__(self, spec: LoadSpec) -> None:
        options = spec.options
        self._all = quantization.weight_type("options.weight_type", options.weight_type)
        self._rules = [
            (re.compile(pattern), entry)
            for pattern, entry in quantization.tensor_type_rules("options.tensor_type_rules", options.tensor_type_rules)
        ]

    def is_quantized(self, name: str, shape: tuple[int, ...], stored: str) -> bool:
        if len(shape) != 2:
            return False  # the library keeps convolutions as F16, and biases and norms as F32
        own = quantization.BY_NAME.get(stored)
        asked = next((entry for pattern, entry in self._rules if pattern.search(name)), self._all)
        if asked is None or _KEEP_THEIR_TYPE.search(name) or asked.row_bytes(shape[0]) is None:
            return own is not None and own.is_quantized
        return asked.is_quantized


def _join_pieces(weights: dict[str, Weight]) -> None:
    """Fused weights whose pieces lie apart in the file: the library puts them together."""
    for name in sorted(name for name in weights if _NUMBERED.fullmatch(name)):
        match = _NUMBERED.fullmatch(name)
        base = weights.get(match[1]) if match else None
        if match and base is not None:
            piece = weights.pop(name)
            rows = base.shape[-1] + piece.shape[-1]
            weights[match[1]] = Weight((*base.shape[:-1], rows), base.is_quantized or piece.is_quantized)
