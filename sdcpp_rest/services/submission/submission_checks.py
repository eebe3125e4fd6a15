"""Checks the numbers and names of a request against the configured limits, before a job exists.

Bounds are those of the fields (`core.params`), for pictures and videos alike; what both have in common besides is
checked here too. Every refusal names the field, the value and what is allowed. It must not know files, models or the
queue.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core import prompts
from sdcpp_rest.core.architectures import Architecture
from sdcpp_rest.core.bounds import check_bounds, check_value, longest_of, marks_of, out_of_range
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.params import LARGEST_SEED, CacheOptions, SamplingParams
from sdcpp_rest.core.sampling import MINIMUM_STEPS, SAMPLERS, SCHEDULERS
from sdcpp_rest.engine.protocol import Ready
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.services.jobs.chance import draw_below
from sdcpp_rest.services.models.model_names import nearest_names

FOUND_HERE = frozenset({"loras", "hires_model", "pm_id_embed", "upscaler"})
"""Fields that hold files: they are found here by name, and never taken from a client or a sidecar."""

# Drawn seeds stay below 2^31, so that every client's integers can hold them.
_SEED_RANGE = 2**31
_SCM_MASK = re.compile(r"[01](,[01])*")

F = TypeVar("F", bound=Frozen)


def check_types(kind: type[F], values: Mapping[str, Any]) -> F:
    """Check the types once more: a dialect that lets a wrong one through must not make it the server's error."""
    if "prompt" in kind.model_fields and "prompt" not in values:
        raise InvalidRequest("prompt is required", field="prompt")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "literal_error":
            raise out_of_range(field, first["input"], f"one of {first['ctx']['expected']}") from None
        raise InvalidRequest(f"{field}: {first['msg']}", field=field) from None


def choose_seed(seed: int, limits: LimitsConfig) -> int:
    """The seed to use: ``seed`` itself, or a drawn one for -1. Picture k of a batch has ``seed + k``, which must be one
    too. Raises InvalidRequest."""
    largest = LARGEST_SEED - limits.batch
    if not -1 <= seed <= largest:
        raise out_of_range("seed", seed, f"-1 (random) or an integer from 0 to {largest}")
    return draw_below(_SEED_RANGE) if seed == -1 else seed


def check_prompts(params: SamplingParams, limits: LimitsConfig) -> None:
    """Refuse prompts that the library cannot take."""
    for field in ("prompt", "negative_prompt"):
        prompts.check_prompt(field, getattr(params, field), longest_of(SamplingParams, field, limits))


def check_sampling(params: SamplingParams, limits: LimitsConfig) -> None:
    """Refuse numbers out of the bounds of their fields, those of a step cache included."""
    check_bounds(params, limits)
    _check_sigmas(params.custom_sigmas, limits)
    check_bounds(params.cache_options, limits, "cache_options.")
    _check_mask(params.cache_options.scm_mask, limits)


def check_field(kind: type[SamplingParams], name: str, value: Any, limits: LimitsConfig) -> None:
    """Refuse one value of one field, where all that is said about it stands in it alone."""
    if name in ("prompt", "negative_prompt"):
        prompts.check_prompt(name, value, longest_of(SamplingParams, name, limits))
    elif name == "seed":
        choose_seed(value, limits)
    elif name == "custom_sigmas":
        _check_sigmas(value, limits)
    elif name == "cache_options":
        check_bounds(value, limits, "cache_options.")
        _check_mask(value.scm_mask, limits)
    elif name in marks_of(kind):
        check_value(kind, name, value, limits)


def _check_sigmas(sigmas: tuple[float, ...], limits: LimitsConfig) -> None:
    # One more than steps: the last one is where the last step ends.
    most = min(limits.steps + 1, longest_of(SamplingParams, "custom_sigmas", limits))
    if sigmas and (not 2 <= len(sigmas) <= most or not all(math.isfinite(sigma) and sigma >= 0 for sigma in sigmas)):
        raise out_of_range("custom_sigmas", list(sigmas)[:8], f"2 to {most} finite numbers of at least 0")


def _check_mask(mask: str | None, limits: LimitsConfig) -> None:
    if mask and (len(mask) > longest_of(CacheOptions, "scm_mask", limits) or not _SCM_MASK.fullmatch(mask)):
        raise out_of_range("cache_options.scm_mask", mask, "zeros and ones separated by commas, one for each step")


def step_count(params: SamplingParams) -> int:
    """How many steps the library takes, before anything is left out of them."""
    return max(params.steps, len(params.custom_sigmas) - 1)


def check_work(work: float, words: str, limits: LimitsConfig) -> None:
    """Refuse a job that never ends; ``work`` is width x height x steps x pictures, which ``words`` says better."""
    if work > limits.pixel_steps:
        raise InvalidRequest(
            f"{words} is {work:.3g}; at most {limits.pixel_steps:.3g} is allowed (limits.pixel_steps)",
            field="steps",
            value=work,
        )


def list_names(field: str, ready: Ready | None) -> tuple[str, ...]:
    """The samplers or schedulers, as the name of ``field`` says, of the engine (or of the library, while none runs)."""
    if field.endswith("scheduler"):
        return (ready.schedulers if ready else ()) or SCHEDULERS
    return (ready.samplers if ready else ()) or SAMPLERS


def check_names(names: Mapping[str, str], ready: Ready | None) -> None:
    """Refuse samplers and schedulers that the engine does not know; ``names`` by field."""
    for field, value in names.items():
        allowed = list_names(field, ready)
        if value not in allowed:
            error = out_of_range(field, value, "one of " + ", ".join(allowed))
            nearest = nearest_names(value.replace(" ", ""), allowed)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise InvalidRequest(error.message + hint, **error.detail)


def check_steps_of(scheduler: str, steps: int, field: str = "steps") -> None:
    """Refuse fewer steps than the scheduler can make a schedule of: the library would read beside a table."""
    least = MINIMUM_STEPS.get(scheduler, 1)
    if steps < least:
        raise out_of_range(field, steps, f"at least {least} with scheduler {scheduler}")


def one_step_warning(scheduler: str, steps: int) -> str | None:
    """A sentence about schedulers that make no noise at all of a single step."""
    if steps == 1 and scheduler in ("karras", "exponential"):
        return f"The scheduler '{scheduler}' needs at least 2 steps; with 1 the picture is flat."
    return None


def cache_warnings(params: SamplingParams, family: Architecture | None) -> list[str]:
    """Sentences about a step cache that does nothing for this model, or never."""
    mode = params.cache_mode
    start, end = params.cache_options.start, params.cache_options.end
    if mode == "disabled":
        if not params.easycache:
            return []
        mode, start, end = "easycache", params.easycache_start, params.easycache_end
    found = []
    if family is not None and mode != "spectrum" and (mode == "ucache") == family.is_flow:
        kind = "UNet models" if mode == "ucache" else "DiT models"
        found.append(f"The cache mode '{mode}' is for {kind}; with {family.name} it has no effect.")
    begins, stops = 0.15 if start is None else start, 0.95 if end is None else end
    if mode in ("easycache", "ucache") and (begins >= stops or begins >= 1):
        found.append(f"The cache mode '{mode}' has no effect: it would begin at {begins:g} and end at {stops:g}.")
    return found
