"""Defines the settings of engines: how one works, and on which devices several do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sdcpp_rest.config.device_names import EngineDevice, check_name
from sdcpp_rest.config.sections import Integer, Number, Section

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


class EngineConfig(Section):
    """The process that computes."""

    device: EngineDevice = "auto"
    n_threads: Literal["auto"] | Annotated[Integer, Field(ge=-1, le=1024)] = Field(
        default="auto",
        description="CPU threads: a number; -1 for as many as there are physical cores; or auto for those of them that "
        "are fastest now, found out by the steps of the pictures that are drawn (docs/cpu.md). Pictures do not depend "
        "on the number.",
    )
    nice: Integer = Field(
        default=0,
        ge=0,
        le=19,
        description="POSIX niceness of the engine process: above 0, other programs go before it (docs/cpu.md).",
    )
    start_timeout_seconds: Number = Field(
        default=60.0, gt=0, description="How long a new engine process may take to report."
    )
    cancel_timeout_seconds: Number = Field(
        default=30.0, gt=0, description="How long a cancelled job may go on before its engine process is ended."
    )
    stop_timeout_seconds: Number = Field(
        default=10.0,
        ge=0,
        description="How long a running job may finish when the server is stopped; then it is queued again.",
    )
    backoff_initial_seconds: Number = Field(
        default=0.2,
        ge=0,
        description="Pause before a crashed engine is started again; doubles with each crash in a row.",
    )
    backoff_max_seconds: Number = Field(default=30.0, ge=0, description="The longest such pause.")
    log_max_bytes: Integer = Field(
        default=10 * 1024 * 1024,
        ge=65_536,
        description="Size at which engine.log becomes engine.log.1 and a new one is begun.",
    )
    memory_interval_seconds: Number = Field(default=2.0, gt=0, description="How old what is told of memory may be.")
    preview_share: Number = Field(
        default=0.05, ge=0, le=1, description="Share of the sampling time that previews may take; 1: no limit."
    )
    keep_models: Literal["auto"] | Annotated[Integer, Field(ge=1, le=64)] = Field(
        default=1,
        description="Models that one engine holds at a time: a number, or auto for as many as fit by the estimate of "
        "GET /models/{type}/{name}/fit. Going from one to another that is held costs nothing; the least recently used "
        "leaves first, and all but the wanted one before anything fails for want of memory.",
    )
    read_ahead: bool = Field(
        default=True,
        description="While a job is computed, read the model of the next one into the system's file cache if it is "
        "another one and there is memory for it.",
    )
    runner: Literal["native", "fake"] = Field(
        default="native",
        description="What computes: native (the real library) or fake (test pictures, needs no library).",
    )

    @model_validator(mode="after")
    def _growing_pause(self) -> EngineConfig:
        if self.backoff_initial_seconds > self.backoff_max_seconds:
            raise ValueError(
                f"backoff_initial_seconds is {self.backoff_initial_seconds:g}, more than backoff_max_seconds "
                f"({self.backoff_max_seconds:g})"
            )
        return self
