"""Translates sd-server's words about step caches: one text of knobs, by short names that depend on the mode.

Knows the words, and no request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from sdcpp_rest.core.params import CacheMode
from sdcpp_rest.routes.http.answers import shorten

_REUSE = {
    "threshold": "threshold",
    "start": "start",
    "end": "end",
    "decay": "error_decay_rate",
    "relative": "use_relative_threshold",
    "reset": "reset_error_on_compute",
}
_BLOCKS = {
    "fn": "fn_compute_blocks",
    "bn": "bn_compute_blocks",
    "threshold": "residual_diff_threshold",
    "warmup": "max_warmup_steps",
}
_SPECTRUM = {
    "w": "spectrum_w",
    "m": "spectrum_m",
    "lam": "spectrum_lam",
    "window": "spectrum_window_size",
    "flex": "spectrum_flex_window",
    "warmup": "spectrum_warmup_steps",
    "stop": "spectrum_stop_percent",
}
_KNOBS: Mapping[str, Mapping[str, str]] = {
    "easycache": _REUSE,
    "ucache": _REUSE,
    "dbcache": _BLOCKS,
    "taylorseer": _BLOCKS,
    "cache_dit": _BLOCKS,
    "spectrum": _SPECTRUM,
}
_FLAGS = ("use_relative_threshold", "reset_error_on_compute")
_WHOLE = (
    "fn_compute_blocks", "bn_compute_blocks", "max_warmup_steps", "spectrum_m", "spectrum_window_size",
    "spectrum_warmup_steps",
)  # fmt: skip


def read_cache(given: Mapping[str, Any], warnings: list[str]) -> dict[str, Any]:
    """``cache_mode`` and ``cache_options`` in native words; what is not understood is told and left out."""
    mode = str(given.get("cache_mode") or "disabled").lower().replace("-", "_")
    if mode not in get_args(CacheMode):
        warnings.append(f"cache_mode {shorten(mode)!r} is not known: no cache is used")
        mode = "disabled"
    if mode == "disabled":
        idle = [name for name in ("cache_option", "scm_mask") if given.get(name)]
        warnings += [f"{name} has no effect without a cache_mode: ignored" for name in idle]
        # Not left out where it was said: users may have chosen a cache for whoever says nothing.
        return {"cache_mode": mode} if "cache_mode" in given else {}
    options: dict[str, Any] = {}
    for part in filter(None, (text.strip() for text in str(given.get("cache_option", "")).split(","))):
        name, _, text = part.partition("=")
        knob = _KNOBS[mode].get(name.strip().lower())
        value = _number(knob, text.strip()) if knob is not None else None
        if knob is None or value is None:
            warnings.append(f"cache_option {shorten(part)!r} is no knob of {mode}, or no number: ignored")
        else:
            options[knob] = value
    for name in ("scm_mask", "scm_policy_dynamic"):
        if given.get(name) not in (None, ""):
            options[name] = given[name]
    return {"cache_mode": mode, **({"cache_options": options} if options else {})}


def _number(knob: str, text: str) -> float | bool | None:
    if knob in _FLAGS:
        return {"1": True, "true": True, "0": False, "false": False}.get(text.lower())
    try:
        return int(text) if knob in _WHOLE else float(text)
    except ValueError:
        return None
