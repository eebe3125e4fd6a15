"""Names where engines work (``cuda:1``, ``cpu:0``), and finds the variables that show each process its own device only.

Knows ggml's names of devices and the variables of its backends. Must not start anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sdcpp_rest.engine.protocol import Ready

# The variable that lists the devices of a kind that a process may see.
_VISIBLE: Mapping[str, str] = {
    "cuda": "CUDA_VISIBLE_DEVICES",
    "vulkan": "GGML_VK_VISIBLE_DEVICES",
    "hip": "HIP_VISIBLE_DEVICES",
}


@dataclass(frozen=True)
class EnginePlace:
    """Where one engine works. ``environment``: variables of its process; ``wants_gpu``: an engine that finds none is
    none for this place; ``n_threads`` counts where a load spec says -1, and is the most of those that it chooses among
    if it ``chooses_threads``."""

    name: str
    environment: tuple[tuple[str, str], ...] = ()
    wants_gpu: bool = False
    n_threads: int = -1
    chooses_threads: bool = False

    def find_fault(self, ready: Ready) -> str | None:
        """What is wrong with an engine here that says this of itself."""
        if self.wants_gpu and not any(device.is_gpu for device in ready.devices):
            return (
                f"{self.name}: there is no such device any more; the engine sees no GPU (engines.devices names it, the "
                f"library was built for {', '.join(ready.backends)})"
            )
        return None


def name_of(ready: Ready) -> str:
    """What an engine is called that nobody has given a device: by the one it computes on."""
    gpu = next((device for device in ready.devices if device.is_gpu), None)
    return "cpu:0" if gpu is None else name_of_device(gpu.name)


def gpu_names(ready: Ready) -> tuple[str, ...]:
    """The GPUs that models can run on, by name: those of the main one's backend."""
    names = [name_of_device(device.name) for device in ready.devices if device.is_gpu]
    kind = names[0].partition(":")[0] if names else ""
    return tuple(name for name in names if name.startswith(f"{kind}:"))


def places_of(
    names: Sequence[str], overrides: Mapping[str, Mapping[str, str]], *, cores: int, n_threads: int | Literal["auto"]
) -> tuple[EnginePlace, ...]:
    """One place for each name, in order; the cores are shared out unless ``n_threads`` says how many each has. With
    ``auto`` each chooses among those of its share.

    ``overrides``: variables by name of the place; ``*`` for all. A name that comes twice gets another number on the
    CPU, and a mark on a GPU that engines share.
    """
    given = -1 if n_threads == "auto" else n_threads
    threads = given if given > 0 or len(names) < 2 else max(1, cores // len(names))
    chooses = n_threads == "auto"
    places: list[EnginePlace] = []
    for name in names:
        own = _distinct(name, [place.name for place in places])
        environment = {**_environment(name), **overrides.get("*", {}), **overrides.get(own, {})}
        is_gpu = not name.startswith("cpu:")
        variables = tuple(sorted(environment.items()))
        places.append(EnginePlace(own, variables, wants_gpu=is_gpu, n_threads=threads, chooses_threads=chooses))
    return tuple(places)


def _distinct(name: str, taken: Sequence[str]) -> str:
    kind, _, index = name.partition(":")
    number = int(index)
    if kind == "cpu":
        while f"cpu:{number}" in taken:
            number += 1
        return f"cpu:{number}"
    same = sum(1 for other in taken if other.partition("#")[0] == name)
    return f"{name}#{same + 1}" if same else name


def _environment(name: str) -> dict[str, str]:
    """What shows a process this device and no other one of its kind."""
    kind, _, index = name.partition(":")
    if kind == "cpu":
        return dict.fromkeys(_VISIBLE.values(), "")
    if kind not in _VISIBLE:
        return {}
    variable = _VISIBLE[kind]
    # Where the server itself sees a part of the devices, numbers count within that part.
    shown = [one.strip() for one in os.environ.get(variable, "").split(",") if one.strip()]
    number = int(index)
    return {variable: shown[number] if number < len(shown) else index if not shown else "-1"}


def name_of_device(device: str) -> str:
    """What the library calls a device, as people write it: ``CUDA0`` is ``cuda:0``, ``ROCm1`` is ``hip:1``."""
    match = re.match(r"^([A-Za-z]+)(\d*)$", device)
    kind = match[1].lower() if match is not None else ""
    kind = "hip" if kind == "rocm" else kind
    if match is None or kind not in ("cpu", "metal", *_VISIBLE):
        return f"gpu:{re.sub(r'[^0-9]', '', device)[:3] or 0}"
    return f"{kind}:{int(match[2] or 0)}"
