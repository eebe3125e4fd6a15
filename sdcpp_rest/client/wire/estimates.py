"""Types the words of the wire about what jobs would take.

Made by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import NotRequired, Required, TypedDict


class BasedOn(TypedDict):
    """What the time was learned from."""

    jobs: int
    how: Literal["exact", "scaled"]


class EstimateBody(TypedDict, total=False):
    """A request that is not submitted: of which kind, and its body."""

    kind: Required[Literal["txt2img", "img2img", "txt2vid", "upscale"]]
    request: Required[dict[str, Any]]


class EstimateShown(TypedDict):
    """What a job would take, if it were submitted now."""

    fits: Literal["yes", "tight", "no"] | None
    needed_bytes: int | None
    free_bytes: int | None
    total_bytes: int | None
    memories: list[MemoryShown]
    advice: list[JobAdviceShown]
    seconds_estimate: SecondsShown | None
    seconds_per_step: float | None
    based_on: BasedOn | None
    queue_seconds_before: float | None
    warnings: NotRequired[list[str]]


class JobAdviceShown(TypedDict):
    """A change that takes less, estimated in its turn."""

    text: str
    target: Literal["request", "load"]
    change: dict[str, Any]
    needed_bytes: int
    saves_bytes: int
    fits: Literal["yes", "tight", "no"]


class MemoryShown(TypedDict):
    """One of the memories that the job takes."""

    name: str
    is_gpu: bool
    needed_bytes: int
    free_bytes: int
    total_bytes: int
    fits: Literal["yes", "tight", "no"]


class SecondsShown(TypedDict):
    """How long the parts of the job take; `null` for what has never been timed here."""

    total: float
    load: float | None
    conditioning: float | None
    sampling: float | None
    hires: float | None
    decoding: float | None
    upscaling: float | None
    saving: float | None
