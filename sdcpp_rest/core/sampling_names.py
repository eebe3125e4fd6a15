"""Translates other programs' names of samplers and schedulers into the library's.

Pure words: "DPM++ 2M Karras" is a sampler and a scheduler, and some samplers that others have are not here at all and
get their nearest relative. Whether the running engine knows a name is the submission's to say.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sdcpp_rest.core.infotext import SAMPLER_LABELS, SCHEDULER_LABELS
from sdcpp_rest.core.sampling import SAMPLERS, SCHEDULERS


class NamedSampling(NamedTuple):
    """What a name means. ``scheduler`` of ``None``: it says nothing of one; ``is_exact`` is false for a relative."""

    sampler: str
    scheduler: str | None = None
    is_exact: bool = True


# Relatives by order and by whether they add noise.
_RELATIVES: dict[str, str] = {
    "plms": "ipndm",
    "lms": "ipndm",
    "unipc": "dpm++2m",
    "uni pc": "dpm++2m",
    "uni pc bh2": "dpm++2m",
    "dpm++ sde": "dpm++2s_a",
    "dpm++ 2m sde": "dpm++2m",
    "dpm++ 2m sde heun": "dpm++2m",
    "dpm++ 3m sde": "dpm++2m",
    "dpm2 a": "dpm++2s_a",
    "dpm fast": "dpm++2m",
    "dpm adaptive": "dpm++2m",
    "restart": "heun",
    "heunpp2": "heun",
    "ddpm": "euler_a",
    "ddim cfg++": "ddim_trailing",
}
# The node editor's spellings, which some clients send everywhere.
_SPELLINGS: dict[str, str] = {
    "euler ancestral": "euler_a",
    "dpm 2": "dpm2",
    "dpm 2 ancestral": "dpm++2s_a",
    "dpmpp 2s ancestral": "dpm++2s_a",
    "dpmpp 2m": "dpm++2m",
    "dpmpp 2m sde": "dpm++2m",
    "dpmpp sde": "dpm++2s_a",
    "dpmpp 3m sde": "dpm++2m",
    "k euler": "euler",
    "k euler a": "euler_a",
    "k euler ancestral": "euler_a",
    "k heun": "heun",
    "k lms": "ipndm",
    "k lcm": "lcm",
    "k dpm 2": "dpm2",
    "k dpmpp 2m": "dpm++2m",
    "k dpmpp 2s a": "dpm++2s_a",
    "ddim": "ddim_trailing",
    "er sde": "er_sde",
}
_INEXACT_SPELLINGS = frozenset({"dpm 2 ancestral", "dpmpp 2m sde", "dpmpp sde", "dpmpp 3m sde", "k lms"})
_SCHEDULER_NAMES: dict[str, str] = {
    "automatic": "discrete",
    "normal": "discrete",
    "uniform": "discrete",
    "align your steps gits": "gits",
    "align your steps": "ays",
    "kl optimal": "kl_optimal",
    "sgm uniform": "sgm_uniform",
    "ddim uniform": "discrete",
    "ddim": "discrete",
    "beta": "discrete",
    "polyexponential": "exponential",
}
_NEAR_SCHEDULERS = frozenset({"beta", "ddim", "ddim uniform", "polyexponential"})
NODE_SAMPLERS: dict[str, str] = {
    "euler_a": "euler_ancestral",
    "dpm2": "dpm_2",
    "dpm++2s_a": "dpmpp_2s_ancestral",
    "dpm++2m": "dpmpp_2m",
    "ddim_trailing": "ddim",
}
"""The library's samplers as the node editor spells them, where it spells them otherwise."""
NODE_SCHEDULERS: dict[str, str] = {"discrete": "normal"}
_LONGEST_ENDING = 4
_BLANKS = re.compile(r"[\s_]+")
_SPEED_ENDING = re.compile(r" (?:gpu|cfg pp)$")


def find_sampling(name: str) -> NamedSampling | None:
    """The library's sampler (and scheduler) that ``name`` means, in any program's spelling; ``None`` for neither."""
    folded = _SPEED_ENDING.sub("", _fold(name))
    found = _sampler(folded)
    if found is not None:
        return found
    # "dpm++ 2m karras": the longest ending that is a scheduler's name.
    words = folded.split(" ")
    for cut in range(max(1, len(words) - _LONGEST_ENDING), len(words)):
        scheduler = find_scheduler(" ".join(words[cut:]))
        found = _sampler(" ".join(words[:cut])) if scheduler else None
        if found is not None:
            return found._replace(scheduler=scheduler)
    return None


def find_scheduler(name: str) -> str | None:
    """The library's scheduler that ``name`` means; ``None`` for none."""
    folded = _fold(name)
    return _OWN_SCHEDULERS.get(folded) or _SCHEDULER_NAMES.get(folded)


def is_near_scheduler(name: str) -> bool:
    """Whether the scheduler that `find_scheduler` finds for ``name`` is only its nearest relative."""
    return _fold(name) in _NEAR_SCHEDULERS


def _sampler(folded: str) -> NamedSampling | None:
    if folded in _OWN_SAMPLERS:
        return NamedSampling(_OWN_SAMPLERS[folded])
    if folded in _SPELLINGS:
        return NamedSampling(_SPELLINGS[folded], is_exact=folded not in _INEXACT_SPELLINGS)
    if folded in _RELATIVES:
        return NamedSampling(_RELATIVES[folded], is_exact=False)
    return None


def _fold(name: str) -> str:
    return _BLANKS.sub(" ", name.strip().casefold())


_OWN_SAMPLERS: dict[str, str] = {
    **{_fold(label): name for name, label in SAMPLER_LABELS.items()},
    **{_fold(name): name for name in SAMPLERS},
}
_OWN_SCHEDULERS: dict[str, str] = {
    **{_fold(label): name for name, label in SCHEDULER_LABELS.items()},
    **{_fold(name): name for name in SCHEDULERS},
}
