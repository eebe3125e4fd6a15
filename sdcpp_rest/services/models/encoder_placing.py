"""Decides where a model's text encoders are kept when that is left to the server: on the GPU if everything fits there.

Reads file headers and the memory that was told; must not know the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from sdcpp_rest.core.byte_sizes import format_size
from sdcpp_rest.core.family_sizes import usual_side
from sdcpp_rest.core.fit import Size
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.services.models.fit_needs import load_of, on_device, resident_bytes
from sdcpp_rest.services.models.load_checks import check_computable
from sdcpp_rest.services.models.load_options import OPTION

_MOST_SHARE = 0.9  # as an estimate's "tight": what takes more may fail when anything else wants some


class Placed(NamedTuple):
    """The option's value, and why, in a sentence."""

    keep_clip_on_cpu: bool
    why: str


@dataclass(frozen=True)
class EncoderPlacing:
    """Chooses by what is free on the home engine's GPU, where what it holds makes room.

    Args:
        default: the setting models.keep_clip_on_cpu, for loads that say nothing.
        memory: the body of ``GET /memory``, of the home engine.
        held: what that engine holds.
    """

    default: bool | Literal["auto"]
    memory: Callable[[], Mapping[str, Any]]
    held: Callable[[], Sequence[LoadSpec]]

    def choose(self, spec: LoadSpec) -> Placed:
        """Where ``spec`` has its text encoders. Never raises: what cannot be known leaves them where they always fit.

        A model that is loaded stays as it is: a little more or less of free memory is no reason to load it again.
        """
        held = self.held()
        for keep in (False, True):
            if any(one.serves(_with(spec, keep)) for one in held):
                return Placed(keep, f"auto is {_word(keep)}: the model is loaded so")
        gpu = next((device for device in self.memory()["devices"] if device["is_gpu"]), None)
        if gpu is None:
            return Placed(True, "auto is true: no engine has told of a GPU")
        try:
            check_computable(_with(spec, False), gpu.get("backend", ""))
            load = load_of(_with(spec, False), Size(0, 0))
            side = usual_side(load.model.architecture)
            load = replace(load, size=Size(side, side), backend=gpu.get("backend", ""))
            needed = on_device(load, True) + load.kept_bytes
        except (SdcppRestError, OSError, ValueError):
            return Placed(
                True, f"auto is true: a file cannot be read, or {gpu['name']} cannot compute with what it holds"
            )
        free = min(int(gpu["free_bytes"]) + sum(map(resident_bytes, held)), int(gpu["total_bytes"]))
        keep = needed > free * _MOST_SHARE
        return Placed(
            keep,
            f"auto is {_word(keep)}: with the text encoders on {gpu['name']} a picture of {side}x{side} takes "
            f"{format_size(needed)} of the {format_size(free)} that are free there",
        )


def _with(spec: LoadSpec, keep: bool) -> LoadSpec:
    return spec.model_copy(update={"options": spec.options.model_copy(update={OPTION: keep})})


def _word(value: bool) -> str:
    return "true" if value else "false"
