"""Defines how settings name devices: ``cpu``, ``cuda:1``, or a GPU's number.

Knows no library: which devices there are is found out by an engine.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

_KINDS = ("cpu", "cuda", "vulkan", "hip", "rocm", "metal", "gpu")
_NAME = re.compile(r"^(?P<kind>[a-z]+)(?::(?P<index>[0-9]{1,3}))?$")
_NUMBER = re.compile(r"^[0-9]{1,3}$")


def check_name(name: str) -> str:
    """A device's name in the one form that is used everywhere. Raises ValueError."""
    match = _NAME.match(name.strip().lower())
    if match is None or match["kind"] not in _KINDS:
        raise ValueError(f"Input should be the name of a device: one of {', '.join(_KINDS)}, with its number (cuda:1)")
    kind = "hip" if match["kind"] == "rocm" else match["kind"]
    return f"{kind}:{int(match['index'] or 0)}"


def _from_number(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_choice(value: str) -> str:
    text = value.strip().lower()
    if text == "auto" or _NUMBER.match(text):
        return text
    try:
        return check_name(text)
    except ValueError:
        raise ValueError(
            "Input should be auto, cpu, the name of a device (cuda:1, vulkan:0), or the number of a GPU (0, 1, …)"
        ) from None


def _from_switch(value: Any) -> Any:
    """What the command line says is text. Raises ValueError."""
    words = {"true": True, "false": False, "auto": "auto"}
    read = words.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(read, bool) and read != "auto":
        raise ValueError("Input should be true, false or auto")
    return read


TextEncoders = Annotated[
    bool | Literal["auto"],
    BeforeValidator(_from_switch),
    Field(
        description="Where loads that say nothing keep text encoders when there is a GPU: true (in main memory), false "
        "(on the GPU), or auto (on the GPU if everything fits there). A load's own keep_clip_on_cpu takes the same.",
    ),
]
EngineDevice = Annotated[
    str,
    BeforeValidator(_from_number),
    AfterValidator(_check_choice),
    Field(
        description="What the engine computes on: auto (the first GPU that the library sees, else the CPU; with "
        "several GPUs an engine for each), cpu, a name such as cuda:1 or vulkan:0, or a GPU's number in the list of "
        "sdcpp-rest doctor. A device that is not there is refused, never replaced by another one. For several engines "
        "it is engines.devices, which goes without this.",
    ),
]
