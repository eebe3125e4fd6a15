"""Defines the settings of several engines: on which devices they work."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from sdcpp_rest.config.device_names import check_name
from sdcpp_rest.config.sections import Section

_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
_MOST_ENGINES = 64


def _from_text(value: Any) -> Any:
    """A list on the command line is text: ``cuda:0,cuda:1``."""
    if isinstance(value, str) and value not in ("auto", "none"):
        return tuple(part.strip() for part in value.strip("[]").replace('"', "").split(",") if part.strip())
    return value


def check_engine(name: str) -> str:
    """An engine's name in its one form: a device's, and a mark where engines share one (``cuda:0#2``). Raises
    ValueError."""
    device, mark, number = name.strip().partition("#")
    return check_name(device) + mark + number


def _check_variables(variables: Mapping[str, Mapping[str, str]]) -> Mapping[str, Mapping[str, str]]:
    for name in (name for of_engine in variables.values() for name in of_engine):
        if not _VARIABLE.match(name):
            raise ValueError(f"{name!r} is no name of an environment variable")
    return {engine if engine == "*" else check_engine(engine): own for engine, own in variables.items()}


Device = Annotated[str, AfterValidator(check_name)]
Devices = Annotated[
    Literal["auto", "none"] | Annotated[tuple[Device, ...], Field(min_length=1, max_length=_MOST_ENGINES)],
    BeforeValidator(_from_text),
]


class EnginesConfig(Section):
    """How many engines there are, each a process of its own on a device of its own; one queue feeds all."""

    devices: Devices = Field(
        default="auto",
        description="auto: one engine for each GPU that the library sees, one on a machine without any; none: this "
        "server keeps the queue and computes nothing; or a list of devices, one engine for each: cpu, cuda:0, "
        "vulkan:1, hip:0, metal:0. A device may come twice.",
        examples=[["cuda:0", "cuda:1"]],
    )
    environment: Annotated[Mapping[str, Mapping[str, str]], AfterValidator(_check_variables)] = Field(
        default_factory=dict,
        description="Environment variables of engines, by the engine's name, or * for all; they win over those that "
        "show each engine its own device.",
        examples=[{"cuda:1": {"CUDA_VISIBLE_DEVICES": "GPU-1f2e3d"}, "*": {"GGML_CUDA_FORCE_MMQ": "1"}}],
    )
