"""Refuses the values that end the process or never return, before the library sees them.

Each was tried in a process of its own. What is merely odd (a flat picture, an ignored setting) is for the layers above.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from sdcpp_rest.native.requests import CACHE_MODES, CacheSettings, ImageRequest, VideoRequest

_SCM_MASK = re.compile(r"[01](,[01])*")
_HIGHEST_ORDER = 100
_SEGMENT_BORDER = re.compile(r"[()\[\]]|\bBREAK\b")
_TRIGGER = re.compile(r"(?<![^\W\d_])img(?![^\W\d_])", re.IGNORECASE)


def refuse_deadly_image(request: ImageRequest) -> None:
    """ValueError that names the field and the value."""
    _refuse_overflow(request)
    _refuse_size("a picture", request.width, request.height)
    _refuse_steps("steps", request.steps, request.scheduler)
    if request.batch_count < 1:
        raise ValueError(f"batch_count must be at least 1, got {request.batch_count}")
    if not request.strength >= 0:
        raise ValueError(f"strength must not be negative, got {request.strength}")
    _refuse_cache(request.cache)
    if request.hires is not None:
        _refuse_hires(request)


def refuse_deadly_video(request: VideoRequest) -> None:
    """ValueError that names the field and the value."""
    _refuse_overflow(request)
    _refuse_size("a video", request.width, request.height)
    if request.video_frames < 1:
        raise ValueError(f"video_frames must be at least 1, got {request.video_frames}")
    _refuse_steps("steps", request.sampling.steps, request.sampling.scheduler)
    if request.high_noise.steps < -1:
        raise ValueError(f"high-noise steps must be at least 0, or -1 for automatic, got {request.high_noise.steps}")
    _refuse_cache(request.cache)


def refuse_deadly_identity(request: ImageRequest) -> None:
    """What a PhotoMaker model needs besides: identity pictures, and the trigger word in the prompt. ValueError."""
    if not (request.photo_maker and request.photo_maker.id_images):
        raise ValueError("a PhotoMaker model needs identity pictures")
    found = False
    # The library looks up the token before the trigger within a part of one weight, without asking if there is one.
    for segment in _SEGMENT_BORDER.split(request.prompt):
        for trigger in _TRIGGER.finditer(segment):
            found = True
            if not segment[: trigger.start()].strip():
                raise ValueError(
                    "the trigger word img stands first in the prompt or in its brackets: write it after a noun"
                )
    if not found:
        raise ValueError("the prompt of a PhotoMaker model needs the trigger word img after a noun, as in: a man img")


def _refuse_overflow(request: object) -> None:
    # ctypes cuts integers off without a word: 2**31 steps would arrive as a negative number, and never end.
    for name, value in _integers(request):
        bits = 64 if name == "seed" else 32
        if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
            raise ValueError(f"{name} does not fit into {bits} bits: {value}")


def _integers(values: Any) -> Iterator[tuple[str, int]]:
    for one in fields(values):
        value = getattr(values, one.name)
        if isinstance(value, int):
            yield one.name, value
        elif isinstance(value, tuple):
            yield from ((one.name, item) for item in value if isinstance(item, int))
        elif is_dataclass(value):
            yield from _integers(value)


def _refuse_size(what: str, width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ValueError(f"{what} of {width}x{height} pixels cannot be drawn")


def _refuse_steps(field: str, steps: int, scheduler: str | None) -> None:
    if steps < 1:
        raise ValueError(f"{field} must be at least 1, got {steps}")
    if steps == 1 and scheduler == "gits":
        raise ValueError(f"the scheduler gits needs at least 2 {field}")


def _refuse_hires(request: ImageRequest) -> None:
    hires = request.hires
    assert hires is not None
    if hires.upscaler == "Model" and not hires.model_path:
        raise ValueError("the hires upscaler Model needs a model_path")
    if hires.upscaler == "Model" and hires.upscale_tile_size < 1:
        raise ValueError(f"hires upscale_tile_size must be at least 1, got {hires.upscale_tile_size}")
    if not 0 < hires.denoising_strength <= 1:
        raise ValueError(f"hires denoising_strength must be in (0, 1], got {hires.denoising_strength}")
    first_pass = request.steps
    if request.init_image is not None and request.strength < 1:
        first_pass = int(request.steps * request.strength)
    # The library makes a schedule this long, and goes through the last part of it.
    scheduled = int((hires.steps if hires.steps > 0 else max(1, first_pass)) / hires.denoising_strength)
    _refuse_steps("hires steps", scheduled, request.scheduler)


def _refuse_cache(cache: CacheSettings) -> None:
    if cache.mode not in CACHE_MODES:
        raise ValueError(f"unknown cache mode {cache.mode!r}; allowed: {', '.join(CACHE_MODES)}")
    # Both are sizes of tables: below 0 the library writes in front of them, and far above it fills the memory.
    for name in ("taylorseer_n_derivatives", "spectrum_m"):
        value = getattr(cache, name)
        if value is not None and not 0 <= value <= _HIGHEST_ORDER:
            raise ValueError(f"{name} must be in 0..{_HIGHEST_ORDER}, got {value}")
    if cache.scm_mask and not _SCM_MASK.fullmatch(cache.scm_mask):
        raise ValueError(f"scm_mask must be zeros and ones separated by commas, got {cache.scm_mask!r}")
