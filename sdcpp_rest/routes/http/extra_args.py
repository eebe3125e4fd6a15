"""Reads what clients of stable-diffusion.cpp's own server put into prompts: ``<sd_cpp_extra_args>{json}</...>``.

For dialects whose requests lack fields of the library. Knows the words of that JSON, and no single route.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sdcpp_rest.core.params import ImageParams, SamplingParams
from sdcpp_rest.core.sampling_names import find_sampling, find_scheduler
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.http.mirrored_fields import mirror
from sdcpp_rest.routes.http.request_bodies import parse_body
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Number, Text, Wire, examine, optional

NAME = "sd_cpp_extra_args"
_NATIVE = "As the native API has it."
_OPENING, _CLOSING = f"<{NAME}>", f"</{NAME}>"

PLACES = {
    "sample_params.sample_steps": "steps",
    "sample_params.sample_method": "sampler",
    "sample_params.scheduler": "scheduler",
    "sample_params.eta": "eta",
    "sample_params.flow_shift": "flow_shift",
    "sample_params.shifted_timestep": "shifted_timestep",
    "sample_params.custom_sigmas": "custom_sigmas",
    "sample_params.guidance.txt_cfg": "cfg_scale",
    "sample_params.guidance.img_cfg": "img_cfg_scale",
    "sample_params.guidance.distilled_guidance": "distilled_guidance",
    "sample_params.guidance.slg.layers": "skip_layers",
    "sample_params.guidance.slg.layer_start": "slg_start",
    "sample_params.guidance.slg.layer_end": "slg_end",
    "sample_params.guidance.slg.scale": "slg_scale",
    "sample_steps": "steps",
    "sample_method": "sampler",
    "hires.enabled": "hires",
    "hires.upscaler": "hires_upscaler",
    "hires.scale": "hires_scale",
    "hires.target_width": "hires_width",
    "hires.target_height": "hires_height",
    "hires.steps": "hires_steps",
    "hires.denoising_strength": "hires_denoising_strength",
    "hires.upscale_tile_size": "hires_upscale_tile_size",
}
"""Path in the JSON -> field of `_Args`. Fields of `_Args` may also stand there flat."""


class _Args(Wire):
    """What is understood, in native words. Not published: it is text in a prompt."""

    negative_prompt: Text = mirror(SamplingParams, "negative_prompt", _NATIVE)
    width: Integer = mirror(SamplingParams, "width", _NATIVE)
    height: Integer = mirror(SamplingParams, "height", _NATIVE)
    seed: Integer = mirror(SamplingParams, "seed", _NATIVE)
    steps: Integer = mirror(SamplingParams, "steps", _NATIVE)
    cfg_scale: Number = mirror(SamplingParams, "cfg_scale", _NATIVE)
    img_cfg_scale: Number = mirror(ImageParams, "img_cfg_scale", _NATIVE)
    distilled_guidance: Number = mirror(SamplingParams, "distilled_guidance", _NATIVE)
    sampler: Text = optional(_NATIVE)
    scheduler: Text = optional(_NATIVE)
    eta: Number = mirror(SamplingParams, "eta", _NATIVE)
    flow_shift: Number = mirror(SamplingParams, "flow_shift", _NATIVE)
    shifted_timestep: Integer = mirror(ImageParams, "shifted_timestep", _NATIVE)
    custom_sigmas: list[Number] = mirror(SamplingParams, "custom_sigmas", _NATIVE)
    clip_skip: Integer = mirror(SamplingParams, "clip_skip", _NATIVE)
    strength: Number = mirror(SamplingParams, "strength", _NATIVE)
    control_strength: Number = mirror(ImageParams, "control_strength", _NATIVE)
    skip_layers: list[Integer] = mirror(SamplingParams, "skip_layers", _NATIVE)
    slg_scale: Number = mirror(SamplingParams, "slg_scale", _NATIVE)
    slg_start: Number = mirror(SamplingParams, "slg_start", _NATIVE)
    slg_end: Number = mirror(SamplingParams, "slg_end", _NATIVE)
    hires: Flag = optional(_NATIVE)
    hires_upscaler: Text = optional(_NATIVE)
    hires_scale: Number = mirror(ImageParams, "hires_scale", _NATIVE)
    hires_width: Integer = mirror(ImageParams, "hires_width", _NATIVE)
    hires_height: Integer = mirror(ImageParams, "hires_height", _NATIVE)
    hires_steps: Integer = mirror(ImageParams, "hires_steps", _NATIVE)
    hires_denoising_strength: Number = mirror(ImageParams, "hires_denoising_strength", _NATIVE)
    hires_upscale_tile_size: Integer = mirror(ImageParams, "hires_upscale_tile_size", _NATIVE)
    auto_resize_ref_image: Flag = optional(_NATIVE)
    increase_ref_index: Flag = optional(_NATIVE)


@dataclass(frozen=True)
class ExtraArgs:
    """A prompt without its tags, the parameters that they held, and the names of what is not understood."""

    prompt: str
    params: Mapping[str, Any]
    ignored: tuple[str, ...] = ()


def read_extra_args(prompt: str, limits: object = None) -> ExtraArgs:
    """What ``prompt`` says and what the first of its tags asks for; the others are taken out, as that server does.

    A tag that is not closed is words. Raises InvalidRequest for a tag that holds no JSON object, and for a value of the
    wrong type or out of range.
    """
    words, held = _take_out(prompt)
    if not held:
        return ExtraArgs(prompt, {})
    try:
        given = parse_body(held[0].encode("utf-8", "replace"))
        flat: dict[str, Any] = {}
        ignored = []
        for path, value in _leaves(given):
            name = PLACES.get(path, path)
            if name in _Args.model_fields:
                flat[name] = value
            else:
                ignored.append(f"{NAME}.{path[:80]}")
        params = examine(_Args, flat, limits=limits)[0].sent_fields()
    except InvalidRequest as error:
        raise InvalidRequest(f"prompt: {NAME}: {error.message}", field="prompt") from None
    _translate_sampling(params)
    return ExtraArgs(words.strip(), params, tuple(ignored[:20]))


def _take_out(prompt: str) -> tuple[str, list[str]]:
    kept: list[str] = []
    held: list[str] = []
    position = 0
    while (start := prompt.find(_OPENING, position)) >= 0:
        end = prompt.find(_CLOSING, start)
        if end < 0:
            break
        kept.append(prompt[position:start])
        held.append(prompt[start + len(_OPENING) : end])
        position = end + len(_CLOSING)
    kept.append(prompt[position:])
    return "".join(kept), held


def _leaves(given: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of everything that is no object, and no null."""
    for name, value in given.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value


def _translate_sampling(params: dict[str, Any]) -> None:
    """Names as other programs spell them; what nobody knows is left for the submission to refuse."""
    if "sampler" in params:
        named = find_sampling(params["sampler"])
        if named is not None and named.is_exact:
            params["sampler"] = named.sampler
            if named.scheduler is not None:
                params.setdefault("scheduler", named.scheduler)
    if "scheduler" in params:
        params["scheduler"] = find_scheduler(params["scheduler"]) or params["scheduler"]
