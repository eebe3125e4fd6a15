"""Names where engines work (``cuda:1``, ``cpu:0``), and finds the variables that show each process its own device only.

Knows ggml's names of devices and the variables of its backends. Must not start anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
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
    if it ``chooses_threads``. ``asked``: the setting engine.device, in a first engine, which has all devices to choose
    from; ``name`` is empty then."""

    name: str
    environment: tuple[tuple[str, str], ...] = ()
    wants_gpu: bool = False
    n_threads: int = -1
    chooses_threads: bool = False
    asked: str = ""

    def find_fault(self, ready: Ready) -> str | None:
        """What is wrong with an engine here that says this of itself."""
        if (fault := refuse_choice(self.asked or "auto", ready)) is not None:
            return fault
        found = name_of(ready)
        if self.wants_gpu and found == "cpu:0":
            return (
                f"{self.name}: there is no such device any more; the engine sees no GPU (engine.device or "
                f"engines.devices names it, the library was built for {', '.join(ready.backends)})"
            )
        if self.name and _kind(self.name) not in (_kind(found), "gpu"):
            return (
                f"{self.name}: the engine would compute on {found}, which cannot be hidden from this build of the "
                f"library (it was built for {', '.join(ready.backends)})"
            )
        return None


def engine_file(number: int, ending: str) -> str:
    """The name of a file of the engine of this number, which counts from 1: the first one's is the name that it has
    where there is no other."""
    return f"engine{'' if number == 1 else f'-{number}'}.{ending}"


def name_of(ready: Ready) -> str:
    """What an engine is called that nobody has given a device: by the one it computes on."""
    gpu = next((device for device in ready.devices if device.is_gpu), None)
    return "cpu:0" if gpu is None else name_of_device(gpu.name)


def find_device(asked: str, ready: Ready) -> str | None:
    """The name of the device that the setting engine.device means: a name, or the number of a GPU; ``None`` where the
    engine sees no such device."""
    names = [name_of_device(device.name) for device in ready.devices if device.is_gpu]
    number = asked.removeprefix("gpu:")
    if asked not in names and number.isdigit():
        return names[int(number)] if int(number) < len(names) else None
    return asked if asked in (*names, "cpu:0") else None


def refuse_choice(asked: str, ready: Ready) -> str | None:
    """A sentence that refuses what engine.device asks for, with what it could be; ``None`` where it is there."""
    if asked == "auto" or find_device(asked, ready) is not None:
        return None
    gpus = [device for device in ready.devices if device.is_gpu]
    listed = [f"{number} or {name_of_device(one.name)} ({one.description})" for number, one in enumerate(gpus)]
    return (
        f"engine.device: {asked} is not here; there are: {', '.join([*listed, 'cpu'])} (the library was built for "
        f"{', '.join(ready.backends)})"
    )


def used_devices(asked: str, places: str | Sequence[str], ready: Ready) -> frozenset[str]:
    """Which of the devices that the library sees, by its own names, engines work on, or would: by engine.device
    (``asked``) and engines.devices (``places``)."""
    if places == "none":
        return frozenset()
    if not isinstance(places, str):
        names = set(places)
    elif asked != "auto":
        names = {find_device(asked, ready) or ""}
    else:
        names = set(gpu_names(ready) or ("cpu:0",))
    # Accelerators beside the CPU (BLAS) are nobody's choice.
    listed = {one.name: name_of_device(one.name) for one in ready.devices if one.is_gpu or one.name == "CPU"}
    return frozenset(name for name, place in listed.items() if place in names)


def gpu_kinds(ready: Ready) -> frozenset[str]:
    """The kinds of all GPUs that an engine sees: ``cuda``, ``vulkan``."""
    return frozenset(_kind(name_of_device(device.name)) for device in ready.devices if device.is_gpu)


def gpu_names(ready: Ready) -> tuple[str, ...]:
    """The GPUs that models can run on, by name: those of the main one's backend."""
    names = [name_of_device(device.name) for device in ready.devices if device.is_gpu]
    kind = names[0].partition(":")[0] if names else ""
    return tuple(name for name in names if name.startswith(f"{kind}:"))


def places_of(
    names: Sequence[str],
    overrides: Mapping[str, Mapping[str, str]],
    *,
    cores: int,
    n_threads: int | Literal["auto"],
    kinds: Collection[str] = (),
) -> tuple[EnginePlace, ...]:
    """One place for each name, in order; the cores are shared out unless ``n_threads`` says how many each has. With
    ``auto`` each chooses among those of its share. ``kinds``: those of all GPUs that were seen; of other kinds than its
    own an engine sees none.

    ``overrides``: variables by name of the place; ``*`` for all. A name that comes twice gets another number on the
    CPU, and a mark on a GPU that engines share.
    """
    given = -1 if n_threads == "auto" else n_threads
    threads = given if given > 0 or len(names) < 2 else max(1, cores // len(names))
    chooses = n_threads == "auto"
    places: list[EnginePlace] = []
    for name in names:
        own = _distinct(name, [place.name for place in places])
        others = {_VISIBLE[kind]: "" for kind in kinds if kind in _VISIBLE and kind != _kind(name)}
        environment = {**others, **_environment(name), **overrides.get("*", {}), **overrides.get(own, {})}
        is_gpu = not name.startswith("cpu:")
        variables = tuple(sorted(environment.items()))
        places.append(EnginePlace(own, variables, wants_gpu=is_gpu, n_threads=threads, chooses_threads=chooses))
    return tuple(places)


def _kind(name: str) -> str:
    return name.partition(":")[0]


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
    kind = {"rocm": "hip", "mtl": "metal"}.get(kind, kind)
    if match is None or kind not in ("cpu", "metal", *_VISIBLE):
        return f"gpu:{re.sub(r'[^0-9]', '', device)[:3] or 0}"
    return f"{kind}:{int(match[2] or 0)}"
