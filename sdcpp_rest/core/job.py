"""Defines a job: one request of a user's, from submission to result.

Pure words; the store writes it, the queue moves it.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, Literal

from pydantic import Field

from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.load_spec import LoadSpec

JobKind = Literal["txt2img", "img2img", "txt2vid", "upscale", "convert", "model_download", "model_hash"]
JobStatus = Literal["pending", "processing", "completed", "failed", "cancelled"]
ACTIVE: frozenset[JobStatus] = frozenset({"pending", "processing"})
FINISHED: frozenset[JobStatus] = frozenset({"completed", "failed", "cancelled"})

Phase = Literal[
    "queued", "loading", "conditioning", "sampling", "hires", "decoding", "upscaling", "converting", "encoding",
    "cancelling", "done", "downloading", "hashing",
]  # fmt: skip


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Timings(Frozen):
    """Where a job's time went, in seconds. ``native`` is the library call alone."""

    queued_seconds: float = 0.0
    load_seconds: float = 0.0
    native_seconds: float = 0.0
    encode_seconds: float = 0.0


class Failure(Frozen):
    """Why a job failed: ``code`` for programs (one of `errors`), ``message`` in a sentence."""

    code: str
    message: str


class Progress(Frozen):
    """The seven progress fields of the native API, and the phase the job is in.

    ``step`` counts within the current picture (0..total_steps), ``current_image`` is 0-based.
    """

    step: int = 0
    total_steps: int = 0
    current_image: int = 0
    total_images: int = 1
    phase: Phase = "queued"

    @property
    def all_steps(self) -> int:
        return self.total_steps * self.total_images

    @property
    def current_all_steps(self) -> int:
        return min(self.current_image * self.total_steps + self.step, self.all_steps)

    @property
    def percentage(self) -> float:
        return round(100.0 * self.current_all_steps / self.all_steps, 1) if self.all_steps else 0.0


class Transfer(Frozen):
    """How far a file has come. ``total_bytes`` and ``eta_seconds`` are ``None`` where nobody knows."""

    downloaded_bytes: int = 0
    total_bytes: int | None = None
    bytes_per_second: int = 0
    eta_seconds: float | None = None


class GridAxis(Frozen):
    """What changes along one axis of a grid: a field, and its values in order."""

    field: str
    values: tuple[str | bool | int | float, ...]


class JobGroup(Frozen):
    """Which place a job has in a grid of jobs. ``id`` is the client's; ``cell`` has one index from 0 for each axis."""

    id: str
    kind: Literal["grid"] = "grid"
    axes: tuple[GridAxis, ...]
    cell: tuple[int, ...]


class Job(Frozen):
    """One row of the queue.

    ``params`` is JSON-ready (for pictures: ``ImageParams.model_dump()``); ``inputs`` maps a role (``init_image``,
    ``ref_images.0``) to a PNG file name inside the job's input folder; ``outputs`` are relative to the output folder.
    ``load_spec`` is what the job binds to. ``origin`` is for display only; ``owner`` is an opaque client token.
    ``attempts`` counts claims, so that a job that was interrupted again and again is given up. ``caption`` is the text
    that goes into its pictures in place of our own. ``note`` is what the dialect that submitted it has to remember
    until it answers, in whatever form; nobody else reads it. ``device`` is the engine that it asked for, by name;
    ``engine`` the one that took it.
    """

    id: str
    kind: JobKind
    status: JobStatus = "pending"
    created_at: datetime = Field(default_factory=utc_now)
    started_at: datetime | None = None
    completed_at: datetime | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, str] = Field(default_factory=dict)
    load_spec: LoadSpec | None = None
    outputs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    timings: Timings = Timings()
    error: str | None = None
    error_code: str | None = None
    title: str | None = None
    origin: str = "native"
    owner: str | None = None
    attempts: int = 0
    caption: str | None = None
    note: str | None = None
    group: JobGroup | None = None
    device: str | None = None
    engine: str | None = None

    @property
    def model_name(self) -> str | None:
        return self.load_spec.model.name if self.load_spec else None

    @property
    def step_count(self) -> int:
        """Sampling steps of each picture, or of the whole video; 0 for what is not sampled."""
        steps = int(self.params.get("steps", 0))
        if self.kind != "txt2vid":
            return steps
        if sigmas := self.params.get("custom_sigmas"):
            return len(sigmas) - 1
        has_two_experts = self.load_spec is not None and "high_noise_diffusion_model" in self.load_spec.components
        return steps + (max(0, int(self.params.get("high_noise_steps", 0))) if has_two_experts else 0)
