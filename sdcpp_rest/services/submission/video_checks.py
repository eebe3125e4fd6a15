"""Checks what only videos have: frames, control frames, a second expert, and which pictures the model looks at.

Brings a request, whose numbers are in their bounds, to what can be made, with warnings about everything that the
library would leave out without a word, or refuses it. Nothing that is known to end the library's process goes past it.
It must not know the queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core import architectures
from sdcpp_rest.core.bounds import out_of_range
from sdcpp_rest.core.family_fields import LOOKS_AT, OF_SECOND_EXPERT, SECOND_EXPERT, Traits, why_idle
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import VideoParams
from sdcpp_rest.core.presets import Preset
from sdcpp_rest.engine.protocol import Ready, gpu_backend
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.model_headers import autoencoders
from sdcpp_rest.services.model_headers.inspection import NotAModel
from sdcpp_rest.services.models.architecture_presets import preset_of
from sdcpp_rest.services.models.fit_needs import memory_needed
from sdcpp_rest.services.models.lora_checks import with_loras
from sdcpp_rest.services.submission.submission_checks import (
    cache_warnings,
    check_names,
    check_work,
)
from sdcpp_rest.services.submission.wording_notes import wording_notes

_FRAME = "control_frames."
# These encode grey pictures where there are none: without an encoder every video of theirs ends the process.
_ALWAYS_READ = frozenset({"Wan2.1-I2V", "Wan2.1-FLF2V", "Wan2.1-VACE", "Wan2.2-I2V-A14B"})
# Below it the weights decide, and those were loaded.
_USUAL_PIXELS = 1024 * 1024
# An estimate may be wrong, and a job that runs out of memory costs itself and the engine only: what is refused is out
# of the question.
_OUT_OF_THE_QUESTION = 4
_GIB = 1 << 30


@dataclass(frozen=True)
class CheckedVideo:
    """A request that can be made: by which load spec, from which pictures (role -> base64)."""

    spec: LoadSpec
    images: Mapping[str, str]
    warnings: tuple[str, ...]


def check_makes_video(spec: LoadSpec) -> None:
    """Refuse a model that is known to make pictures. Raises InvalidRequest."""
    family = architectures.architecture_named(spec.architecture)
    if family is not None and not family.makes_video:
        raise InvalidRequest(f"{spec.model.name} ({family.name}) makes pictures, not videos")


def check_video(
    params: VideoParams,
    spec: LoadSpec,
    images: Mapping[str, str],
    asked: Mapping[str, Any],
    limits: LimitsConfig,
    ready: Ready | None,
    memory: int | None = None,
) -> CheckedVideo:
    """The spec that can make ``params`` from ``images``.

    ``asked`` is what the client sent: only that is warned about. ``ready`` tells which names the engine knows,
    and whether it has a GPU; ``memory`` is all there is of it in bytes, ``None`` where nobody should care. Raises
    InvalidRequest.
    """
    _check_work(params, spec, limits)
    second = {"high_noise_sampler": params.high_noise_sampler, "high_noise_scheduler": params.high_noise_scheduler}
    check_names({field: name for field, name in second.items() if name}, ready)
    _check_frames(params, images)
    warnings = []
    if params.frame_count != params.video_frames:
        warnings.append(
            f"video_frames {params.video_frames}: videos have 4n+1 frames; {params.frame_count} will be made."
        )
    preset = preset_of(spec)
    images = _used_images(preset, images, warnings)
    family = architectures.architecture_named(spec.architecture)
    warnings += [*_without_effect(params, spec, preset, asked), *cache_warnings(params, family)]
    warnings += wording_notes(params, family)
    spec = with_loras(spec, params.loras, warnings)
    if images or (preset is not None and preset.id in _ALWAYS_READ):
        spec = autoencoders.with_encoder(spec, warnings)
    if memory is not None and params.width * params.height * params.frame_count > _USUAL_PIXELS:
        _check_memory(params, spec, memory, gpu_backend(ready) is not None, warnings)
    return CheckedVideo(spec, images, tuple(warnings))


def _check_work(params: VideoParams, spec: LoadSpec, limits: LimitsConfig) -> None:
    pixels = params.width * params.height * params.video_frames
    if pixels > limits.video_pixels:
        raise InvalidRequest(
            f"width x height x video_frames is {pixels:.3g}; at most {limits.video_pixels:.3g} is allowed "
            "(limits.video_pixels)",
            field="video_frames",
            value=pixels,
        )
    steps = params.step_count(has_two_experts=SECOND_EXPERT in spec.components)
    words = "width x height x steps x video_frames"
    check_work(pixels * steps, f"{words} (with high_noise_steps)" if steps > params.steps else words, limits)


def _check_memory(params: VideoParams, spec: LoadSpec, memory: int, has_gpu: bool, warnings: list[str]) -> None:
    options = spec.options.model_copy(update={"vae_tiling": params.vae_tiling})
    spec = spec.model_copy(update={"options": options})
    try:
        needed = memory_needed(spec, params.width, params.height, params.frame_count, has_gpu=has_gpu)
    except NotAModel:
        return
    hint = "" if params.vae_tiling else "; vae_tiling takes less"
    text = (
        f"{params.frame_count} frames of {params.width}x{params.height} take about {needed / _GIB:.1f} GiB with "
        f"{spec.model.name}, and all memory of this machine is {memory / _GIB:.1f} GiB{hint}"
    )
    if needed > memory * _OUT_OF_THE_QUESTION:
        raise InvalidRequest(text, field="video_frames", value=needed, allowed=memory)
    if needed > memory:
        warnings.append(f"{text}.")


def _check_frames(params: VideoParams, images: Mapping[str, str]) -> None:
    count = sum(1 for role in images if role.startswith(_FRAME))
    if count > params.video_frames:
        raise out_of_range("control_frames", count, f"at most video_frames ({params.video_frames}) pictures")


def _used_images(preset: Preset | None, images: Mapping[str, str], warnings: list[str]) -> Mapping[str, str]:
    """Those of ``images`` that the library looks at."""
    if "control_image" in images and any(role.startswith(_FRAME) for role in images):
        warnings.append("control_image was ignored: control_frames were given.")
        images = {role: image for role, image in images.items() if role != "control_image"}
    looks_at = LOOKS_AT.get(preset.id) if preset is not None else None
    if preset is None or looks_at is None:
        return images
    dropped = dict.fromkeys(_role(name) for name in images if _kind(name) not in looks_at)
    warnings += [f"{role} was ignored: {preset.display_name} does not look at it." for role in dropped]
    return {name: image for name, image in images.items() if _role(name) not in dropped}


def _role(name: str) -> str:
    return name.partition(".")[0]


def _kind(name: str) -> str:
    # Frames one by one, or one picture for all of them: who reads the one reads the other.
    return "control_image" if name.startswith(_FRAME) else name


def _without_effect(
    params: VideoParams, spec: LoadSpec, preset: Preset | None, asked: Mapping[str, Any]
) -> Iterable[str]:
    """Sentences about what the client asked for and the library leaves out."""
    changed = {name for name in asked if name in VideoParams.model_fields and _differs(params, name)}
    if "strength" in changed:
        yield "strength has no effect: videos are drawn wholly anew, whatever they start from."
    traits = Traits(architectures.architecture_named(spec.architecture), preset)
    if "vace_strength" in changed and (reason := why_idle("vace_strength", traits)):
        yield reason
    if params.high_noise_scheduler and params.high_noise_scheduler != params.scheduler:
        yield "high_noise_scheduler has no effect: both phases share the noise levels of scheduler."
    if SECOND_EXPERT not in spec.components:
        ignored = [name for name in OF_SECOND_EXPERT if name in changed]
        if ignored:
            yield f"{', '.join(ignored)}: no effect without a {SECOND_EXPERT} loaded with the model."
        if any(lora.is_high_noise for lora in params.loras):
            yield f"LoRAs of |high_noise| have no effect without a {SECOND_EXPERT} loaded with the model."
        return
    if params.high_noise_steps == 0:
        yield "high_noise_steps 0: the high-noise model is left out."
    elif "high_noise_cfg_scale" in changed and params.cfg_scale == 1 != params.high_noise_cfg_scale:
        yield "high_noise_cfg_scale has no effect with a cfg_scale of 1: there is no negative prompt then."


def _differs(params: VideoParams, name: str) -> bool:
    return bool(getattr(params, name) != VideoParams.model_fields[name].default)
