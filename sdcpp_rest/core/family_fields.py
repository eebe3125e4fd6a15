"""Tells which fields of a request a family of models makes no use of, and why: the one source of what submissions warn
of and of what user interfaces hide.

Pure words and names. Fields are called as on the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sdcpp_rest.core.architectures import Architecture
from sdcpp_rest.core.presets import Preset

_GUIDANCE_INSIDE = frozenset({"flux", "flux_fill", "flux_control", "flex2", "flux2"})
_GUIDED_BY_PICTURES = ("_inpaint", "_pix2pix", "flux_fill", "flux_control", "flex2")
# Their networks get a second picture beside the latent one, which the library does not enlarge for the hires fix: two
# sizes that do not fit end the process.
WITH_A_SECOND_PICTURE = ("_inpaint", "_pix2pix", "flux_fill", "flux_control")
_BOTH_ENDS, _CONTROL = frozenset({"init_image", "end_image"}), frozenset({"init_image", "control_image"})
LOOKS_AT: Mapping[str, frozenset[str]] = {
    "Wan2.1-T2V": frozenset(),
    "Wan2.1-I2V": _BOTH_ENDS,
    "Wan2.1-FLF2V": _BOTH_ENDS,
    "Wan2.1-VACE": _CONTROL,
    "Wan2.2-T2V-A14B": frozenset(),
    "Wan2.2-I2V-A14B": _BOTH_ENDS,
    "Wan2.2-TI2V-5B": frozenset({"init_image"}),
}
"""Which pictures the library looks at when it makes a video, by the variant that it takes the model for. The others it
drops without a word."""
SECOND_EXPERT = "high_noise_diffusion_model"
OF_SECOND_EXPERT = (
    "high_noise_steps", "high_noise_cfg_scale", "high_noise_sampler", "high_noise_eta",
    "high_noise_distilled_guidance", "high_noise_slg_scale", "high_noise_skip_layers", "high_noise_slg_start",
    "high_noise_slg_end", "moe_boundary",
)  # fmt: skip


@dataclass(frozen=True)
class Traits:
    """What decides which fields count. ``family`` of ``None``: not recognised. ``cfg_scale`` of ``None``: anything.
    What is loaded with the model (a ControlNet, a PhotoMaker, a second expert) is ``None`` where it may be or not."""

    family: Architecture | None
    preset: Preset | None = None
    cfg_scale: float | None = None
    has_controlnet: bool | None = None
    has_photo_maker: bool | None = None
    has_second_expert: bool | None = None


def why_idle(field: str, traits: Traits) -> str | None:
    """A sentence when ``field`` has no effect, or cannot be used, with a model of these traits; ``None`` where it may
    have one."""
    rule = _RULES.get(field)
    if rule is None or (traits.family is None and field not in _WITHOUT_FAMILY):
        return None
    return rule(traits)


def idle_fields(traits: Traits) -> dict[str, str]:
    """All such fields of the requests that the family takes, with why."""
    family = traits.family
    found = {}
    for field in _RULES:
        is_of_videos, is_of_pictures = field in _OF_VIDEOS, field in _OF_PICTURES
        if family is not None and (is_of_pictures if family.makes_video else is_of_videos):
            continue
        if reason := why_idle(field, traits):
            found[field] = reason
    return found


def _name(traits: Traits) -> str:
    return traits.family.name if traits.family is not None else ""


def _negative_prompt(traits: Traits) -> str | None:
    if traits.cfg_scale != 1:
        return None
    return "negative_prompt has no effect with a cfg_scale of 1: nothing is guided away from it."


def _clip_skip(traits: Traits) -> str | None:
    family = traits.family
    assert family is not None
    encoders = {*family.needs, *family.needs_any, *family.helped_by}
    if not encoders or encoders & {"clip_l", "clip_g"}:
        return None
    return f"clip_skip is for CLIP text encoders; with {family.name} it has no effect."


def _distilled_guidance(traits: Traits) -> str | None:
    family, preset = traits.family, traits.preset
    assert family is not None
    if family.id in _GUIDANCE_INSIDE and (preset is None or preset.id != "Flux-Schnell"):
        return None
    name = preset.display_name if preset is not None and family.id == "flux" else family.name
    return f"distilled_guidance is for models that were trained with it (Flux dev); with {name} it has no effect."


def _flow_shift(traits: Traits) -> str | None:
    if traits.family is None or traits.family.is_flow:
        return None
    return f"flow_shift is for flow models; with {_name(traits)} it has no effect."


def _img_cfg_scale(traits: Traits) -> str | None:
    if traits.family is None or traits.family.id.endswith(_GUIDED_BY_PICTURES):
        return None
    return f"img_cfg_scale is for models that fill or edit pictures; with {_name(traits)} it has no effect."


def _shifted_timestep(traits: Traits) -> str | None:
    if traits.family is None or traits.family.id.startswith("sdxl"):
        return None
    return f"shifted_timestep is for SDXL models; with {_name(traits)} it has no effect."


def _slg_scale(traits: Traits) -> str | None:
    if traits.family is None or traits.family.is_flow:
        return None
    return f"Skip-layer guidance is for DiT models; with {_name(traits)} it has no effect."


def _easycache(traits: Traits) -> str | None:
    if traits.family is None or traits.family.is_flow:
        return None
    return f"The cache mode 'easycache' is for DiT models; with {_name(traits)} it has no effect."


def _of_transformers(field: str, what: str) -> Callable[[Traits], str | None]:
    def rule(traits: Traits) -> str | None:
        if traits.family is None or traits.family.is_flow:
            return None
        return f"{field} has no effect: {what} is for DiT models, and {_name(traits)} is none."

    return rule


def _ref_images(traits: Traits) -> str | None:
    if traits.family is None or traits.family.takes_reference_images:
        return None
    return f"{_name(traits)} does not look at reference pictures; ref_images was ignored."


def _of_references(field: str) -> Callable[[Traits], str | None]:
    def rule(traits: Traits) -> str | None:
        if _ref_images(traits) is None:
            return None
        return f"{field} has no effect: {_name(traits)} does not look at reference pictures."

    return rule


def _control_image(traits: Traits) -> str | None:
    family = traits.family
    assert family is not None
    if family.id == "flux_control":
        return None
    if not family.takes_controlnet:
        return f"control_image cannot be used: {family.name} does not work with a ControlNet"
    if traits.has_controlnet is False:
        return "control_image needs a ControlNet that is loaded with the model"
    return None


def _control_strength(traits: Traits) -> str | None:
    if traits.family is None or traits.family.takes_controlnet:
        return None
    return f"control_strength has no effect: {_name(traits)} does not work with a ControlNet."


def _preprocess(traits: Traits) -> str | None:
    return None if _control_image(traits) is None else "preprocess has no effect without a control image."


def _of_photo_maker(field: str) -> Callable[[Traits], str | None]:
    def rule(traits: Traits) -> str | None:
        assert traits.family is not None
        if traits.has_photo_maker or (traits.has_photo_maker is None and traits.family.takes_photo_maker):
            return None
        if field == "pm_style_strength":
            return "pm_style_strength has no effect without a PhotoMaker model loaded with the model."
        return f"{field} needs a PhotoMaker model that is loaded with the model"

    return rule


def _hires(traits: Traits) -> str | None:
    if traits.family is None or not traits.family.id.endswith(WITH_A_SECOND_PICTURE):
        return None
    return f"hires: {_name(traits)} cannot be drawn with the hires fix"


def _strength(traits: Traits) -> str | None:
    if traits.family is None or not traits.family.makes_video:
        return None
    return "strength has no effect: videos are drawn wholly anew, whatever they start from."


def _vace_strength(traits: Traits) -> str | None:
    if traits.preset is None or traits.preset.id == "Wan2.1-VACE":
        return None
    return f"vace_strength has no effect: {traits.preset.display_name} is no VACE model."


def _high_noise_scheduler(traits: Traits) -> str | None:
    return "high_noise_scheduler has no effect: both phases share the noise levels of scheduler."


def _of_second_expert(field: str) -> Callable[[Traits], str | None]:
    def rule(traits: Traits) -> str | None:
        preset = traits.preset
        may_have_one = preset is None or SECOND_EXPERT in preset.optional
        if traits.has_second_expert or (traits.has_second_expert is None and may_have_one):
            return None
        return f"{field}: no effect without a high_noise_diffusion_model loaded with the model."

    return rule


def _of_video(role: str) -> Callable[[Traits], str | None]:
    kind = "control_image" if role == "control_frames" else role

    def rule(traits: Traits) -> str | None:
        looks_at = LOOKS_AT.get(traits.preset.id) if traits.preset is not None else None
        if traits.preset is None or looks_at is None or kind in looks_at:
            return None
        return f"{role} was ignored: {traits.preset.display_name} does not look at it."

    return rule


def _control_image_of_either(traits: Traits) -> str | None:
    of_video = traits.family is not None and traits.family.makes_video
    return _of_video("control_image")(traits) if of_video else _control_image(traits)


def _init_image_of_either(traits: Traits) -> str | None:
    return _of_video("init_image")(traits) if traits.family is not None and traits.family.makes_video else None


_OF_SKIP_LAYERS = ("skip_layers", "slg_start", "slg_end")
_OF_EASYCACHE = ("easycache_threshold", "easycache_start", "easycache_end")
_RULES: Mapping[str, Callable[[Traits], str | None]] = {
    "negative_prompt": _negative_prompt,
    "distilled_guidance": _distilled_guidance,
    "flow_shift": _flow_shift,
    "clip_skip": _clip_skip,
    "slg_scale": _slg_scale,
    **{field: _of_transformers(field, "skip-layer guidance") for field in _OF_SKIP_LAYERS},
    "easycache": _easycache,
    **{field: _of_transformers(field, "easycache") for field in _OF_EASYCACHE},
    "init_image_base64": _init_image_of_either,
    "strength": _strength,
    "control_image_base64": _control_image_of_either,
    "img_cfg_scale": _img_cfg_scale,
    "shifted_timestep": _shifted_timestep,
    "ref_images": _ref_images,
    "auto_resize_ref_image": _of_references("auto_resize_ref_image"),
    "increase_ref_index": _of_references("increase_ref_index"),
    "control_strength": _control_strength,
    "preprocess": _preprocess,
    "hires": _hires,
    "pm_id_images": _of_photo_maker("pm_id_images"),
    "pm_id_embed_path": _of_photo_maker("pm_id_embed_path"),
    "pm_style_strength": _of_photo_maker("pm_style_strength"),
    "end_image_base64": _of_video("end_image"),
    "control_frames": _of_video("control_frames"),
    "vace_strength": _vace_strength,
    "high_noise_scheduler": _high_noise_scheduler,
    **{field: _of_second_expert(field) for field in OF_SECOND_EXPERT},
}
_WITHOUT_FAMILY = frozenset({"negative_prompt"})
_OF_PICTURES = frozenset(
    {
        "img_cfg_scale", "shifted_timestep", "ref_images", "auto_resize_ref_image", "increase_ref_index",
        "control_strength", "preprocess", "hires", "pm_id_images", "pm_id_embed_path", "pm_style_strength",
    }
)  # fmt: skip
_OF_VIDEOS = frozenset(
    {"end_image_base64", "control_frames", "vace_strength", "high_noise_scheduler", *OF_SECOND_EXPERT}
)
