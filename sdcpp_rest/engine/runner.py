"""Defines what a worker needs from whatever computes: loads, runs, cancels, reports of progress.

A runner is used by one thread at a time, except ``cancel`` and ``set_preview``, which any thread may call at any
moment. It never sees the pipe; it knows nothing of queues, HTTP or the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sdcpp_rest.core.job import Phase
from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.engine.protocol import Device, Loaded, PreviewSettings, Ready, RunJob, UpscalerReady
from sdcpp_rest.engine.raw_picture import RawPicture


class RunFailed(Exception):
    """A load or a run failed and the engine lives. ``code`` is the wire code of the failure."""

    def __init__(self, message: str, code: str = "generation_failed") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class RunCancelled(Exception):
    """The run stopped because its number was cancelled; the model is still loaded."""


@dataclass(frozen=True)
class RunResult:
    """``pictures`` are a video's frames for a video, and none for a conversion. ``native_seconds`` is the library call
    alone."""

    pictures: list[RawPicture]
    native_seconds: float
    warnings: tuple[str, ...] = ()


class Report(Protocol):
    """Where a runner tells how far it is. Calls are cheap and may come from inside the library's callbacks."""

    def loading(self, progress: float | None) -> None: ...

    def step(self, step: int, total_steps: int, image: int, phase: Phase) -> None: ...

    def preview(self, step: int, frame_count: int, picture: RawPicture, is_noisy: bool) -> None: ...


class Runner(Protocol):
    """Whatever computes, seen from the worker."""

    def ready(self) -> Ready:
        """Open the library and say what it can do. Raises RunFailed when it cannot be opened."""

    def load(self, spec: LoadSpec, report: Report) -> Loaded:
        """Free what is loaded and load ``spec``. Raises RunFailed; then nothing is loaded and the runner is usable."""

    def unload(self) -> None:
        """Free the model, if one is loaded."""

    def load_upscaler(self, spec: UpscalerSpec) -> UpscalerReady:
        """Free the upscaler that is loaded and load ``spec``; models stay. Raises RunFailed; then none is loaded."""

    def unload_upscaler(self) -> None:
        """Free the upscaler, if one is loaded."""

    def run(self, command: RunJob, report: Report) -> RunResult:
        """Compute one job with what is loaded. Raises RunFailed or RunCancelled."""

    def cancel(self, run: int) -> None:
        """Stop run number ``run`` at its next step; any other run is left alone."""

    def set_preview(self, settings: PreviewSettings) -> None:
        """Previews of this and later runs."""

    def devices(self) -> tuple[Device, ...]:
        """The devices with their free memory now."""
