"""The nodes that sample: KSampler, and the five parts that do the same piece by piece."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sdcpp_rest.routes.comfyui.node_types import (
    NodeClass,
    Surroundings,
    choice,
    link,
    number,
    refuse,
    switch,
    text,
    whole,
)
from sdcpp_rest.routes.comfyui.values import Conditioning, Guider, Latent, Model, Noise, Sampled, Schedule

_SAMPLING = "sampling"
_CUSTOM = "sampling/custom_sampling"
_LARGEST_SEED = 2**64 - 1
_KEPT_SEEDS = 2**62
_ON_OFF = ("enable", "disable")


def _seed(seed: int, around: Surroundings) -> int:
    """Seeds are 63 bits long here, and counted on for each picture of a batch."""
    if seed < _KEPT_SEEDS:
        return seed
    around.note(f"The seed {seed} is too large here: {seed % _KEPT_SEEDS} is used in its place.")
    return seed % _KEPT_SEEDS


def _sample(
    around: Surroundings,
    guider: Guider,
    noise: Noise,
    sampler: str,
    schedule: Schedule,
    start: Latent,
) -> tuple[Any, ...]:
    model, positive = _shift_by(schedule, guider.model, around), guider.positive
    if positive.is_zeroed:
        raise refuse("positive must have words: a conditioning that is zeroed draws nothing here", "positive")
    if schedule.denoise <= 0:
        raise refuse("denoise must be above 0: with 0 nothing is drawn", "denoise", schedule.denoise)
    if schedule.denoise < 1 and start.picture is None and start.drawn is None:
        raise refuse("denoise below 1 needs a picture to start from, and this latent is empty", "denoise")
    sampled = Sampled(
        around.node_id,
        model,
        positive,
        guider.negative,
        guider.cfg,
        _seed(noise.seed, around),
        schedule.steps,
        sampler,
        schedule.scheduler,
        schedule.denoise,
        start,
    )
    latent = Latent(around.node_id, start.width, start.height, start.batch, start.frames, drawn=sampled)
    return (latent,)


def _shift_by(schedule: Schedule, model: Model, around: Surroundings) -> Model:
    """``model`` with the shift that the schedule was made with, where that has a model of its own."""
    other = schedule.model
    if other is None or other == model:
        return model
    if other.file != model.file:
        raise refuse("sigmas were made for another model than the guider has", "sigmas")
    if None not in (model.shift, other.shift) and (model.shift, model.is_exponent) != (other.shift, other.is_exponent):
        around.note("The guider's model has another shift than the scheduler's, which counts.")
    shifted = other if other.shift is not None else model
    return dataclasses.replace(model, shift=shifted.shift, is_exponent=shifted.is_exponent)


def _guider(inputs: Mapping[str, Any]) -> Guider:
    return Guider(inputs["model"], inputs["positive"], inputs["negative"], inputs["cfg"])


def _sample_simply(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    schedule = Schedule(inputs["scheduler"], inputs["steps"], inputs["denoise"])
    noise = Noise(inputs["seed"])
    return _sample(around, _guider(inputs), noise, inputs["sampler_name"], schedule, inputs["latent_image"])


def _sample_partly(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    """From step ``start_at_step`` to the end, with noise of its own: what ``denoise`` does."""
    steps, first = inputs["steps"], inputs["start_at_step"]
    if inputs["add_noise"] != "enable":
        raise refuse("add_noise must be enable: a sampler cannot go on with another one's noise here", "add_noise")
    if inputs["return_with_leftover_noise"] != "disable" or inputs["end_at_step"] < steps:
        raise refuse(
            "end_at_step must be at least steps, and return_with_leftover_noise disable: nothing is left over here",
            "end_at_step",
            inputs["end_at_step"],
        )
    if first >= steps:
        raise refuse("start_at_step must be below steps", "start_at_step", first)
    schedule = Schedule(inputs["scheduler"], steps - first, (steps - first) / steps)
    noise = Noise(inputs["noise_seed"])
    return _sample(around, _guider(inputs), noise, inputs["sampler_name"], schedule, inputs["latent_image"])


def _sample_in_parts(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    (latent,) = _sample(
        around, inputs["guider"], inputs["noise"], inputs["sampler"], inputs["sigmas"], inputs["latent_image"]
    )
    return latent, latent


def _make_schedule(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return (Schedule(inputs["scheduler"], inputs["steps"], inputs["denoise"], inputs["model"]),)


def _guide_basically(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    model: Model = inputs["model"]
    positive: Conditioning = inputs["conditioning"]
    return (Guider(model, positive, None, 1.0),)


def _guide_by_cfg(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return (_guider(inputs),)


_WORDS = (link("positive", "CONDITIONING"), link("negative", "CONDITIONING"))
_STEPS = whole("steps", 20, param="steps")
_CFG = number("cfg", 8.0, param="cfg_scale")
_NAMES = (choice("sampler_name", "samplers"), choice("scheduler", "schedulers"))
_DENOISE = number("denoise", 1.0, high=1)
_STEP_HIGH = 10_000

SAMPLING_NODES = (
    NodeClass(
        "KSampler",
        _SAMPLING,
        "Draws. steps are those that are done, also with a denoise below 1.",
        (
            link("model", "MODEL"),
            whole("seed", 0, high=_LARGEST_SEED),
            _STEPS,
            _CFG,
            *_NAMES,
            *_WORDS,
            link("latent_image", "LATENT"),
            _DENOISE,
        ),
        ("LATENT",),
        _sample_simply,
    ),
    NodeClass(
        "KSamplerAdvanced",
        _SAMPLING,
        "Draws from step start_at_step to the end, with noise of its own.",
        (
            link("model", "MODEL"),
            choice("add_noise", _ON_OFF),
            whole("noise_seed", 0, high=_LARGEST_SEED),
            _STEPS,
            _CFG,
            *_NAMES,
            *_WORDS,
            link("latent_image", "LATENT"),
            whole("start_at_step", 0, high=_STEP_HIGH),
            whole("end_at_step", _STEP_HIGH, high=_STEP_HIGH),
            choice("return_with_leftover_noise", ("disable", "enable")),
        ),
        ("LATENT",),
        _sample_partly,
    ),
    NodeClass(
        "SamplerCustomAdvanced",
        _CUSTOM,
        "Draws with the parts that the five nodes below name.",
        (
            link("noise", "NOISE"),
            link("guider", "GUIDER"),
            link("sampler", "SAMPLER"),
            link("sigmas", "SIGMAS"),
            link("latent_image", "LATENT"),
        ),
        ("LATENT", "LATENT"),
        _sample_in_parts,
        ("output", "denoised_output"),
    ),
    NodeClass(
        "RandomNoise",
        f"{_CUSTOM}/noise",
        "The seed.",
        (whole("noise_seed", 0, high=_LARGEST_SEED),),
        ("NOISE",),
        lambda inputs, around: (Noise(inputs["noise_seed"]),),
    ),
    NodeClass(
        "BasicGuider",
        f"{_CUSTOM}/guiders",
        "A prompt without a negative one.",
        (link("model", "MODEL"), link("conditioning", "CONDITIONING")),
        ("GUIDER",),
        _guide_basically,
    ),
    NodeClass(
        "CFGGuider",
        f"{_CUSTOM}/guiders",
        "A prompt and a negative one.",
        (link("model", "MODEL"), *_WORDS, _CFG),
        ("GUIDER",),
        _guide_by_cfg,
    ),
    NodeClass(
        "BasicScheduler",
        f"{_CUSTOM}/schedulers",
        "The schedule and its steps.",
        (link("model", "MODEL"), choice("scheduler", "schedulers"), _STEPS, _DENOISE),
        ("SIGMAS",),
        _make_schedule,
    ),
    NodeClass(
        "KSamplerSelect",
        f"{_CUSTOM}/samplers",
        "The sampler.",
        (choice("sampler_name", "samplers"),),
        ("SAMPLER",),
        lambda inputs, around: (inputs["sampler_name"],),
    ),
)


def _hand_on(inputs: Mapping[str, Any], around: Surroundings) -> tuple[Any, ...]:
    return (inputs["value"],)


def _primitive(name: str, type: str) -> NodeClass:
    value = {
        "INT": whole("value", 0, low=-(2**63), high=2**64 - 1),
        "FLOAT": number("value", 0.0, low=-1e12, high=1e12),
        "BOOLEAN": switch("value", default=False),
    }
    given = value.get(type) or text("value", is_long=name.endswith("Multiline"))
    return NodeClass(name, "utils/primitive", "A value for other nodes' inputs.", (given,), (type,), _hand_on)


PRIMITIVE_NODES = (
    _primitive("PrimitiveInt", "INT"),
    _primitive("PrimitiveFloat", "FLOAT"),
    _primitive("PrimitiveBoolean", "BOOLEAN"),
    _primitive("PrimitiveString", "STRING"),
    _primitive("PrimitiveStringMultiline", "STRING"),
)
