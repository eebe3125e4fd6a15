"""Reads bodies as sd-server does: what is of another JSON type counts as not given. Here that is told, besides.

Knows wire models, and not what their fields mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from sdcpp_rest.routes.http.answers import shorten, show_value
from sdcpp_rest.routes.http.wire_models import Wire, describe_allowed

_SHOWN_WARNINGS = 20
_ALIASES = {
    "vae_tiling_params.tile_size_w": "vae_tiling_params.tile_size_x",
    "vae_tiling_params.tile_size_h": "vae_tiling_params.tile_size_y",
    "vae_tiling_params.rel_size_w": "vae_tiling_params.rel_size_x",
    "vae_tiling_params.rel_size_h": "vae_tiling_params.rel_size_y",
}
"""As newer versions call them."""
_IDLE = frozenset(
    {
        "hires.custom_sigmas", "vae_tiling_params.temporal_tiling", "vae_tiling_params.extra_tiling_args",
        "sample_params.extra_sample_args", "high_noise_sample_params.shifted_timestep",
        "high_noise_sample_params.flow_shift", "high_noise_sample_params.custom_sigmas",
        "high_noise_sample_params.guidance.img_cfg", "qwen_image_layers", "ref_image_args", "image_preprocess",
        "ad_model", "ad_prompt", "ad_negative_prompt", "extra_ad_args",
    }
)  # fmt: skip
"""Fields that sd-server has and the pinned library has not, or not for this. Their defaults ask for nothing."""
_NOBODYS = frozenset({"ip_adapter_strength", "upscale_repeats", "preview", "preview_interval"})
"""Fields that say how, of something that was not asked for or cannot be."""


def read_leniently(model: type[Wire], body: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What ``body`` says by the names and types of ``model``, path (``sample_params.eta``) by path, and warnings about
    the rest. ``null`` means "not given"; lists of objects come as they are."""
    found: dict[str, Any] = {}
    warnings = []
    for path, field, value in _leaves(model, body):
        if path in _NOBODYS or (path in _IDLE and not value):
            continue
        if path in _IDLE:
            warnings.append(f"{path} has no effect here: ignored")
        elif field is None:
            warnings.append(f"unknown field {shorten(path)!r} ignored")
        elif (read := _read(field.annotation, value)) is None:
            warnings.append(f"{path} must be {describe_allowed(field)}, got {show_value(value)}: ignored")
        else:
            found[path] = read
    if len(warnings) > _SHOWN_WARNINGS:
        more = len(warnings) - _SHOWN_WARNINGS
        warnings[_SHOWN_WARNINGS:] = [f"{more} more fields ignored"]
    return found, warnings


def _leaves(
    model: type[Wire], body: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, FieldInfo | None, Any]]:
    """Path, field (``None`` for one that ``model`` does not have) and value of what is no object and no null."""
    for name, value in body.items():
        path = _ALIASES.get(f"{prefix}{name}", f"{prefix}{name}")
        field = model.model_fields.get(path.removeprefix(prefix))
        inner = _wire_of(field.annotation) if field is not None else None
        if value is None:
            continue
        if inner is not None and isinstance(value, dict):
            yield from _leaves(inner, value, f"{path}.")
        else:
            yield path, field, value


def _wire_of(annotation: Any) -> type[Wire] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, Wire) else None


def _read(annotation: Any, value: Any) -> Any:
    """``value`` as ``annotation`` has it; ``None`` where it is of another JSON type."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        annotation = str
    if get_origin(annotation) is list:
        return _read_list(get_args(annotation)[0], value)
    if annotation in (int, float):
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        # JSON has one kind of number: 20.0 is the integer 20.
        return (int(value) if value == int(value) else None) if annotation is int else value
    return value if isinstance(value, annotation) else None


def _read_list(inner: Any, value: Any) -> list[Any] | None:
    if not isinstance(value, list):
        return None
    if _wire_of(inner) is not None:
        return value
    items = [_read(inner, one) for one in value]
    return None if None in items else items
