"""The numbers and names of a request, judged by the configured limits before a job exists.

What pictures and videos have in common is checked here for both. Every refusal names the field, the value and what is
allowed. It must not know files, models or the queue.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core import prompts
from sdcpp_rest.core.architectures import Architecture
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.params import CacheOptions, SamplingParams
from sdcpp_rest.core.sampling import MINIMUM_STEPS, SAMPLERS, SCHEDULERS
from sdcpp_rest.engine.protocol import Ready
from sdcpp_rest.errors import InvalidRequest

SMALLEST_SIDE = 8
"""The library crops nothing below this: a VAE factor of 8."""
MAX_FPS = 120
FOUND_HERE = frozenset({"loras", "hires_model", "pm_id_embed", "upscaler"})
"""Fields that hold files: they are found here by name, and never taken from a client or a sidecar."""

# Drawn seeds stay below 2^31, so that every client's integers can hold them.
_SEED_RANGE = 2**31
_LARGEST_SEED = 2**63 - 1
# Of a refused value in its error message.
_SHOWN_CHARACTERS = 100

Bounds = tuple[float, float]
# Two of these are sizes of the library's tables: it writes in front of them below 0, and fills the memory with large
# ones. The others are bounded so that they fit its types.
_CACHE_BOUNDS: dict[str, Bounds] = {
    "threshold": (0, 1000),
    "start": (0, 1),
    "end": (0, 1),
    "error_decay_rate": (0, 1),
    "fn_compute_blocks": (0, 1000),
    "bn_compute_blocks": (0, 1000),
    "residual_diff_threshold": (0, 1000),
    "max_warmup_steps": (0, 10_000),
    "max_cached_steps": (-1, 10_000),
    "max_continuous_cached_steps": (-1, 10_000),
    "taylorseer_n_derivatives": (0, 10),
    "taylorseer_skip_interval": (0, 10_000),
    "spectrum_w": (0, 1),
    "spectrum_m": (1, 32),
    "spectrum_lam": (0.000001, 1000),
    "spectrum_window_size": (1, 10_000),
    "spectrum_flex_window": (0, 1000),
    "spectrum_warmup_steps": (0, 10_000),
    "spectrum_stop_percent": (0, 1),
}
_SCM_MASK = re.compile(r"[01](,[01])*")

F = TypeVar("F", bound=Frozen)


def out_of_range(field: str, value: Any, allowed: str) -> InvalidRequest:
    """The one sentence for a value that is not allowed: it names the field, the value and what is."""
    shown = repr(value)
    if len(shown) > _SHOWN_CHARACTERS:
        shown = f"{shown[:_SHOWN_CHARACTERS]}..."
        value = shown
    message = f"{field} must be {allowed}, got {shown}"
    return InvalidRequest(message, field=field, value=_json_safe(value), allowed=allowed)


def check_bounds(params: Frozen, bounds: Mapping[str, Bounds], prefix: str = "") -> None:
    """Refuse the first field that is out of its bounds, called ``prefix`` and its name; ``None`` is in all bounds."""
    for name, (low, high) in bounds.items():
        value = getattr(params, name)
        # Written so that NaN fails too.
        if value is not None and not low <= value <= high:
            raise out_of_range(f"{prefix}{name}", value, f"from {low:g} to {high:g}")


def check_types(kind: type[F], values: Mapping[str, Any]) -> F:
    """The last word on types: a dialect that lets a wrong one through must not make it the server's error."""
    if "prompt" in kind.model_fields and "prompt" not in values:
        raise InvalidRequest("prompt is required", field="prompt")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidRequest(f"{field}: {first['msg']}", field=field) from None


def choose_seed(seed: int, limits: LimitsConfig) -> int:
    """The seed to use: ``seed`` itself, or a drawn one for -1. Raises InvalidRequest."""
    largest = _LARGEST_SEED - limits.batch
    if not -1 <= seed <= largest:
        raise out_of_range("seed", seed, f"-1 (random) or an integer from 0 to {largest}")
    return random.randrange(_SEED_RANGE) if seed == -1 else seed


def check_prompts(params: SamplingParams, limits: LimitsConfig) -> None:
    """Refuse prompts that the library cannot take."""
    prompts.check_prompt("prompt", params.prompt, limits.prompt_characters)
    prompts.check_prompt("negative_prompt", params.negative_prompt, limits.prompt_characters)


def sampling_bounds(limits: LimitsConfig) -> dict[str, Bounds]:
    """Lowest and highest value of the numbers that pictures and videos share, by field."""
    return {
        "width": (SMALLEST_SIDE, limits.side),
        "height": (SMALLEST_SIDE, limits.side),
        "steps": (1, limits.steps),
        "cfg_scale": (0, 1000),
        "distilled_guidance": (0, 1000),
        "eta": (0, 1000),
        "flow_shift": (0, 1000),
        "strength": (0, 1),
        "clip_skip": (-1, 12),
        "slg_scale": (0, 1000),
        "slg_start": (0, 1),
        "slg_end": (0, 1),
        "vae_tile_size_x": (0, limits.side),
        "vae_tile_size_y": (0, limits.side),
        "vae_tile_overlap": (0, 1),
        "vae_tile_rel_size_x": (0, 256),
        "vae_tile_rel_size_y": (0, 256),
        "easycache_threshold": (0, 1000),
        "easycache_start": (0, 1),
        "easycache_end": (0, 1),
    }


def picture_bounds(limits: LimitsConfig) -> dict[str, Bounds]:
    """The same of what only pictures have."""
    return {
        "batch_count": (1, limits.batch),
        "img_cfg_scale": (0, 1000),
        "shifted_timestep": (0, 1000),
        "control_strength": (0, 10),
        "hires_scale": (1, 16),
        "hires_width": (0, limits.side),
        "hires_height": (0, limits.side),
        "hires_steps": (0, limits.steps),
        "hires_denoising_strength": (0.01, 1),
        "hires_upscale_tile_size": (16, 4096),
        "pm_style_strength": (0, 100),
        "upscale_repeats": (1, 16),
    }


def video_bounds(limits: LimitsConfig) -> dict[str, Bounds]:
    """The same of what only videos have. ``high_noise_steps`` of -1 leaves them to the library, 0 does without."""
    return {
        "video_frames": (1, limits.video_frames),
        "fps": (1, MAX_FPS),
        "high_noise_steps": (-1, limits.steps),
        "high_noise_cfg_scale": (0, 1000),
        "high_noise_eta": (0, 1000),
        "high_noise_distilled_guidance": (0, 1000),
        "high_noise_slg_scale": (0, 1000),
        "high_noise_slg_start": (0, 1),
        "high_noise_slg_end": (0, 1),
        "moe_boundary": (0, 1),
        "vace_strength": (0, 10),
    }


def check_sampling(params: SamplingParams, limits: LimitsConfig) -> None:
    """Refuse numbers out of range, of the fields that pictures and videos share."""
    check_bounds(params, sampling_bounds(limits))
    check_layers("skip_layers", params.skip_layers)
    sigmas = params.custom_sigmas
    if sigmas and (not 2 <= len(sigmas) <= limits.steps + 1 or not all(math.isfinite(s) and s >= 0 for s in sigmas)):
        raise out_of_range("custom_sigmas", list(sigmas)[:8], f"2 to {limits.steps + 1} finite numbers of at least 0")
    _check_cache(params.cache_options)


def check_layers(field: str, layers: tuple[int, ...]) -> None:
    """Refuse layers of skip-layer guidance that no model has."""
    if len(layers) > 256 or not all(0 <= layer < 1024 for layer in layers):
        raise out_of_range(field, list(layers), "at most 256 layer numbers from 0 to 1023")


def _check_cache(options: CacheOptions) -> None:
    check_bounds(options, _CACHE_BOUNDS, "cache_options.")
    mask = options.scm_mask
    if mask and (len(mask) > 20_001 or not _SCM_MASK.fullmatch(mask)):
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


def known_names(field: str, ready: Ready | None) -> tuple[str, ...]:
    """The samplers or schedulers, as the name of ``field`` says, of the engine (or of the library, while none runs)."""
    if field.endswith("scheduler"):
        return (ready.schedulers if ready else ()) or SCHEDULERS
    return (ready.samplers if ready else ()) or SAMPLERS


def check_names(names: Mapping[str, str], ready: Ready | None) -> None:
    """Refuse samplers and schedulers that the engine does not know; ``names`` by field."""
    for field, value in names.items():
        allowed = known_names(field, ready)
        if value not in allowed:
            raise out_of_range(field, value, "one of " + ", ".join(allowed))


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


def _json_safe(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
