"""Merges the options of a load: defaults, a sidecar's, a request's; in the library's spelling, and none that it dies
of."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sdcpp_rest.core import quantization
from sdcpp_rest.core.bounds import Bounds, marks_of
from sdcpp_rest.core.catalog import Sidecar
from sdcpp_rest.core.load_spec import LoadOptions
from sdcpp_rest.errors import InvalidRequest

OPTION, AUTO = "keep_clip_on_cpu", "auto"
"""The option that may be left to the server (`encoder_placing`)."""
_LEFT_OPEN = frozenset({"qwen_image_zero_cond_t", "force_sdxl_vae_conv_scale", "diffusion_flash_attn", "max_vram"})
_OTHERWISE = {
    "n_threads": " or -1 for all cores",
    "vae_tile_size_x": " (0 = the library's choice)",
    "vae_tile_size_y": " (0 = the library's choice)",
    "max_vram": " GiB (0 = no limit)",
    "flow_shift": " or null for the model's own",
}
"""What a refusal says after the range of an option."""


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
        options = LoadOptions.model_validate(without_auto(given), strict=True)
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


def without_auto(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a load, with what is left to the server at its usual value."""
    return {name: value for name, value in options.items() if (name, value) != (OPTION, AUTO)}


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
    for name, marks in marks_of(LoadOptions).items():
        value = getattr(options, name)
        if marks.words is not None and value not in marks.words.allowed:
            raise _unknown_word(name, value, marks.words.allowed)
        if marks.bounds is not None and value is not None and not marks.bounds.allow(value):
            raise _out_of_range(name, value, marks.bounds)


def _unknown_word(name: str, value: str, allowed: tuple[str, ...]) -> InvalidRequest:
    words = ", ".join(repr(word) for word in allowed)
    return InvalidRequest(
        f"options.{name}: {value[:80]!r} is unknown; allowed: {words}",
        field=f"options.{name}",
        value=value[:200],
        allowed=list(allowed),
    )


def _out_of_range(name: str, value: float, bounds: Bounds) -> InvalidRequest:
    # In the value's own spelling: 0 to 256, but 0.0 to 1.0.
    allowed = f"{type(value)(bounds.low)} to {type(value)(bounds.highest())}"
    return InvalidRequest(
        f"options.{name}: {value} is out of range; allowed: {allowed}{_OTHERWISE.get(name, '')}",
        field=f"options.{name}",
        value=str(value),
        allowed=allowed,
    )
