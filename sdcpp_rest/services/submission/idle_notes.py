"""Warnings about fields that a client has sent and that the model makes no use of.

Knows parameters and load specs; must not know the queue. Fields that are told of elsewhere, together with what they
depend on, are not told here again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdcpp_rest.core.architectures import architecture_named
from sdcpp_rest.core.family_fields import SECOND_EXPERT, Traits, why_idle
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import ImageParams, SamplingParams, VideoParams
from sdcpp_rest.services.models.architecture_presets import preset_of

_FIELDS = (
    "negative_prompt", "distilled_guidance", "flow_shift", "img_cfg_scale", "auto_resize_ref_image",
    "increase_ref_index", "control_strength", "pm_style_strength", "skip_layers", "slg_start", "slg_end",
    "easycache_threshold", "easycache_start", "easycache_end",
)  # fmt: skip


def traits_of(spec: LoadSpec, cfg_scale: float | None, family_name: str | None = None) -> Traits:
    """What decides which fields count with a model that is loaded so; ``family_name`` as `preset_of` has it."""
    return Traits(
        family=architecture_named(spec.architecture) or architecture_named(family_name),
        preset=preset_of(spec, family_name),
        cfg_scale=cfg_scale,
        has_controlnet="controlnet" in spec.components,
        has_photo_maker="photo_maker" in spec.components,
        has_second_expert=SECOND_EXPERT in spec.components,
    )


def idle_warnings(asked: Mapping[str, Any], params: SamplingParams, spec: LoadSpec) -> list[str]:
    """Sentences about fields in ``asked`` that have another value than they have by themselves, and no effect."""
    changed = [name for name in _FIELDS if name in asked and _differs(params, name)]
    if not changed:
        return []
    traits = traits_of(spec, None if _guides_otherwise(params, spec) else params.cfg_scale)
    return [reason for name in changed if (reason := why_idle(name, traits))]


def _differs(params: SamplingParams, name: str) -> bool:
    field = type(params).model_fields.get(name)
    return field is not None and getattr(params, name) != field.default


def _guides_otherwise(params: SamplingParams, spec: LoadSpec) -> bool:
    """Whether the negative prompt is read for another guidance than cfg_scale."""
    if isinstance(params, ImageParams):
        return params.img_cfg_scale not in (None, params.cfg_scale)
    if isinstance(params, VideoParams) and SECOND_EXPERT in spec.components:
        return params.high_noise_cfg_scale != 1
    return False
