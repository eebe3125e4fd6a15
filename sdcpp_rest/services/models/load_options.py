"""The options of a load: defaults, a sidecar's, a request's; in the library's spelling, and none that it dies of."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sdcpp_rest.core import quantization
from sdcpp_rest.core.catalog import Sidecar
from sdcpp_rest.core.load_spec import LoadOptions
from sdcpp_rest.errors import InvalidRequest

RNG_TYPES = ("std_default", "cuda", "cpu")
PREDICTIONS = ("eps", "v", "edm_v", "sd3_flow", "flux_flow", "flux2_flow")
LORA_APPLY_MODES = ("auto", "immediately", "at_runtime")
MAX_THREADS = 256
MAX_TILE = 4_096
_LEFT_OPEN = frozenset({"qwen_image_zero_cond_t", "force_sdxl_vae_conv_scale", "diffusion_flash_attn", "max_vram"})


def load_options(
    asked: Mapping[str, Any], sidecar: Sidecar, preset: Mapping[str, Any], warnings: list[str]
) -> LoadOptions:
    """Defaults, then the preset's, the sidecar's, the request's; ``None`` in a request means silence.

    Of the preset only what the contract has no default for: clients rely on the rest.
    """
    known = LoadOptions.model_fields
    given: dict[str, Any] = {name: preset[name] for name in _LEFT_OPEN & preset.keys()} | sidecar.load_options
    for name, value in asked.items():
        if name in known:
            given.update({name: value} if value is not None else {})
        else:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            warnings.append(f"options.{name[:60]} is unknown and was ignored{hint}")
    try:
        options = LoadOptions.model_validate(given, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = str(first["loc"][0])
        value = first["input"]
        raise InvalidRequest(
            f"options.{name}: {str(value)[:80]!r} is not allowed; {first['msg']}",
            field=f"options.{name}",
            value=str(value)[:200],
            allowed=first["msg"],
        ) from None
    return _normalise(options, warnings)


def _normalise(options: LoadOptions, warnings: list[str]) -> LoadOptions:
    """The options in the library's own spelling, with the values that only mean "decide yourself" taken out."""
    changes: dict[str, Any] = {}
    weight = quantization.weight_type("options.weight_type", options.weight_type)
    if weight is not None:
        changes["weight_type"] = weight.native_name
    rules = quantization.tensor_type_rules("options.tensor_type_rules", options.tensor_type_rules)
    changes["tensor_type_rules"] = ",".join(f"{pattern}={entry.native_name}" for pattern, entry in rules)
    if options.n_threads == 0:
        changes["n_threads"] = -1
    if options.flow_shift in (0.0, math.inf):
        changes["flow_shift"] = None
    if options.free_params_immediately:
        warnings.append("options.free_params_immediately: the model is loaded again for every job.")
    if options.max_vram and not options.offload_to_cpu:
        warnings.append("options.max_vram has no effect without offload_to_cpu.")
    return options.model_copy(update=changes)


def check_options(options: LoadOptions) -> None:
    """Refuse option values that the library mistakes for others, hangs on or dies of. Raises InvalidRequest."""
    quantization.weight_type("options.weight_type", options.weight_type)
    quantization.tensor_type_rules("options.tensor_type_rules", options.tensor_type_rules)
    _one_of("rng_type", options.rng_type, RNG_TYPES)
    _one_of("sampler_rng_type", options.sampler_rng_type, ("", *RNG_TYPES))
    _one_of("prediction", options.prediction, ("", *PREDICTIONS))
    _one_of("lora_apply_mode", options.lora_apply_mode, LORA_APPLY_MODES)
    if options.n_threads != -1:
        _within("n_threads", options.n_threads, 1, MAX_THREADS, " or -1 for all cores")
    _within("vae_tile_size_x", options.vae_tile_size_x, 0, MAX_TILE, " (0 = the library's choice)")
    _within("vae_tile_size_y", options.vae_tile_size_y, 0, MAX_TILE, " (0 = the library's choice)")
    _within("vae_tile_overlap", options.vae_tile_overlap, 0.0, 1.0)
    _within("chroma_t5_mask_pad", options.chroma_t5_mask_pad, 0, 512)
    _within("max_vram", options.max_vram, 0.0, 1_048_576.0, " GiB (0 = no limit)")
    if options.flow_shift is not None and options.flow_shift != math.inf:
        _within("flow_shift", options.flow_shift, 0.0, 1_000.0, " or null for the model's own")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        words = ", ".join(repr(word) for word in allowed)
        raise InvalidRequest(
            f"options.{name}: {value[:80]!r} is unknown; allowed: {words}",
            field=f"options.{name}",
            value=value[:200],
            allowed=list(allowed),
        )


def _within(name: str, value: float, least: float, most: float, note: str = "") -> None:
    if not least <= value <= most:  # also false for NaN
        raise InvalidRequest(
            f"options.{name}: {value} is out of range; allowed: {least} to {most}{note}",
            field=f"options.{name}",
            value=str(value),
            allowed=f"{least} to {most}",
        )
