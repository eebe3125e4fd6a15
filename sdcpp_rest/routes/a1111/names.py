"""Samplers and schedulers as AUTOMATIC1111's clients see them: the labels in its lists and texts, and what a name that
they send becomes here. Nothing they send is refused: a name that nobody knows is that program's own first sampler.

Pure tables and look-ups over `core.sampling_names`. Which names the running engine has is told by the caller.
"""

from __future__ import annotations

from collections.abc import Collection

from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.infotext import SAMPLER_LABELS
from sdcpp_rest.core.sampling_names import find_sampling, find_scheduler

AUTOMATIC = "Automatic"
FALLBACK_SAMPLER = "dpm++2m"

SCHEDULER_LABELS: dict[str, str] = {
    "discrete": AUTOMATIC,
    "karras": "Karras",
    "exponential": "Exponential",
    "sgm_uniform": "SGM Uniform",
    "simple": "Simple",
    "ays": "Align Your Steps",
    "gits": "Align Your Steps GITS",
    "kl_optimal": "KL Optimal",
    "smoothstep": "Smoothstep",
    "lcm": "LCM",
    "bong_tangent": "Bong Tangent",
}
"""The library's schedulers by their labels; the library's default is what those programs call automatic."""

SAMPLER_ALIASES: dict[str, tuple[str, ...]] = {
    "euler": ("k_euler",),
    "euler_a": ("k_euler_a", "k_euler_ancestral"),
    "heun": ("k_heun",),
    "dpm2": ("k_dpm_2",),
    "dpm++2s_a": ("k_dpmpp_2s_a",),
    "dpm++2m": ("k_dpmpp_2m",),
    "ddim_trailing": ("ddim",),
    "lcm": ("k_lcm",),
}
"""Other names of the same samplers, as lists show them."""

USES_ETA = frozenset({"euler_a", "dpm++2s_a", "ddim_trailing", "tcd"})
"""Samplers for which those programs read ``eta``. Their clients send it always, and the others do not look at it."""

_SAME_AS_DISCRETE = frozenset({"", "automatic", "discrete", "normal", "uniform", "none", "use same scheduler"})


class Sampling(Frozen):
    """What names mean here. ``scheduler`` of ``None``: nothing was said, or that it be automatic. ``unlike`` names what
    had no equal here."""

    sampler: str
    scheduler: str | None = None
    unlike: tuple[str, ...] = ()


def sampler_label(name: str) -> str:
    """The library's sampler as those clients call it."""
    return SAMPLER_LABELS.get(name, name)


def scheduler_label(name: str) -> str:
    """The library's scheduler as those clients call it."""
    return SCHEDULER_LABELS.get(name, name)


def sampling(name: str, scheduler: str, samplers: Collection[str], schedulers: Collection[str]) -> Sampling:
    """What a client's sampler and scheduler become; ``DPM++ 2M Karras`` is both, unless a scheduler says otherwise.

    ``samplers`` and ``schedulers`` are what the engine has.
    """
    unlike: list[str] = []
    found = find_sampling(name)
    chosen = found.sampler if found is not None else FALLBACK_SAMPLER
    if found is None or not found.is_exact or chosen not in samplers:
        unlike.append(name)
    if chosen not in samplers:
        chosen = FALLBACK_SAMPLER if FALLBACK_SAMPLER in samplers else next(iter(samplers), chosen)
    schedule = found.scheduler if found is not None else None
    said = scheduler.strip().casefold()
    if said and said != AUTOMATIC.casefold():
        schedule = "discrete" if said in _SAME_AS_DISCRETE else find_scheduler(scheduler)
        if schedule is None or schedule not in schedulers or not is_same(said, schedule):
            unlike.append(scheduler)
    if schedule is not None and schedule not in schedulers:
        schedule = "discrete"
    return Sampling(sampler=chosen, scheduler=schedule, unlike=tuple(unlike))


def is_same(said: str, schedule: str) -> bool:
    """Whether a client's word for a schedule is another name of the library's, and not only its nearest relative."""
    folded = said.replace("_", " ").casefold()
    if schedule == "discrete":
        return folded in _SAME_AS_DISCRETE
    label = scheduler_label(schedule).casefold()
    return folded in (label, schedule.replace("_", " "), "gits", "ays") or folded.startswith(label)
