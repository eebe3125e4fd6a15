"""Translates a preset's settings between the native API's fields and SwarmUI's parameters, where both mean the same.

What has no counterpart, or a value that the other could not hold, is left to whoever wrote it. Pure.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sdcpp_rest.core.prompt_language.surroundings import parameter_id
from sdcpp_rest.core.prompt_style import PLACE
from sdcpp_rest.core.sampling_names import NODE_SAMPLERS, NODE_SCHEDULERS, find_sampling, find_scheduler

_VALUE = "{value}"
_WHOLE = re.compile(r"-?[0-9]{1,19}")
_SIZES = ("width", "height")
_ASPECT, _CUSTOM = "aspectratio", "Custom"


class _Pair(NamedTuple):
    """One field under both names. Either way gives ``None`` for what the other side cannot hold."""

    id: str
    name: str
    to_text: Callable[[Any], str | None]
    from_text: Callable[[str], Any]


def _write_whole(value: Any) -> str | None:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _read_whole(text: str) -> int | None:
    return int(text) if _WHOLE.fullmatch(text) else None


def _write_number(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        return None
    return repr(value)


def _read_number(text: str) -> float | int | None:
    if (whole := _read_whole(text)) is not None:
        return whole
    try:
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _write_layer(value: Any) -> str | None:
    # Layers are counted from the end there, as negative numbers.
    return _write_whole(-value) if _write_whole(value) is not None and value > 0 else None


def _read_layer(text: str) -> int | None:
    layer = _read_whole(text)
    return -layer if layer is not None and layer < 0 else None


def _write_prompt(value: Any) -> str | None:
    return value.replace(PLACE, _VALUE) if isinstance(value, str) and _VALUE not in value else None


def _read_prompt(text: str) -> str | None:
    return text.replace(_VALUE, PLACE) if PLACE not in text else None


def _write_sampler(value: Any) -> str | None:
    text = NODE_SAMPLERS.get(value, value) if isinstance(value, str) else None
    return text if text is not None and _read_sampler(text) == value else None


def _read_sampler(text: str) -> str | None:
    found = find_sampling(text)
    return found.sampler if found is not None and found.is_exact and found.scheduler is None else None


def _write_scheduler(value: Any) -> str | None:
    text = NODE_SCHEDULERS.get(value, value) if isinstance(value, str) else None
    return text if text is not None and find_scheduler(text) == value else None


_PAIRS = (
    _Pair("prompt", "prompt", _write_prompt, _read_prompt),
    _Pair("negativeprompt", "negative_prompt", _write_prompt, _read_prompt),
    _Pair("steps", "steps", _write_whole, _read_whole),
    _Pair("seed", "seed", _write_whole, _read_whole),
    _Pair("width", "width", _write_whole, _read_whole),
    _Pair("height", "height", _write_whole, _read_whole),
    _Pair("images", "batch_count", _write_whole, _read_whole),
    _Pair("clipstopatlayer", "clip_skip", _write_layer, _read_layer),
    _Pair("cfgscale", "cfg_scale", _write_number, _read_number),
    _Pair("fluxguidancescale", "distilled_guidance", _write_number, _read_number),
    _Pair("sigmashift", "flow_shift", _write_number, _read_number),
    _Pair("initimagecreativity", "strength", _write_number, _read_number),
    _Pair("sampler", "sampler", _write_sampler, _read_sampler),
    _Pair("scheduler", "scheduler", _write_scheduler, find_scheduler),
    _Pair("textvideoframes", "video_frames", _write_whole, _read_whole),
    _Pair("videofps", "fps", _write_whole, _read_whole),
)
_BY_NAME = {pair.name: pair for pair in _PAIRS}
_BY_ID = {pair.id: pair for pair in _PAIRS}


def to_parameters(settings: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """SwarmUI's parameters that mean the same as ``settings``, and the settings that none means."""
    parameters: dict[str, str] = {}
    rest: dict[str, Any] = {}
    for name, value in settings.items():
        pair = _BY_NAME.get(name)
        text = pair.to_text(value) if pair is not None else None
        if pair is None or text is None or pair.from_text(text) != value:
            rest[name] = value
        else:
            parameters[pair.id] = text
    if any(name in parameters for name in _SIZES):
        # Any other form would win over them.
        parameters[_ASPECT] = _CUSTOM
    return parameters, rest


def to_settings(parameters: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The native fields that mean the same as SwarmUI's ``parameters``, and the parameters that none means."""
    by_id = {parameter_id(id): text for id, text in parameters.items()}
    has_own_size = by_id.get(_ASPECT, _CUSTOM) == _CUSTOM and "rawresolution" not in by_id
    settings: dict[str, Any] = {}
    rest: dict[str, str] = {}
    for given, text in parameters.items():
        id = parameter_id(given)
        pair = _BY_ID.get(id)
        if id == _ASPECT and text == _CUSTOM and any(name in by_id for name in _SIZES):
            continue
        value = pair.from_text(text) if pair is not None and (has_own_size or id not in _SIZES) else None
        if pair is None or value is None:
            rest[given] = text
        else:
            settings[pair.name] = value
    return settings, rest
