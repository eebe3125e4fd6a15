"""Defines what a worker needs from whatever computes: loads, runs, cancels, reports of progress.

A runner is used by one thread at a time, except ``cancel``, ``set_preview`` and ``watch_previews``, which any
thread may call at any moment. It never sees the pipe; it knows nothing of queues, HTTP or the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sdcpp_rest.core.job import Failure, Phase
from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.engine.protocol import (
    Device,
    Loaded,
    PreviewSettings,
    Ready,
    RunJob,
    ThreadsUsed,
    UpscalerReady,
)
from sdcpp_rest.engine.raw_picture import RawPicture

Model = TypeVar("Model")


class RunFailed(Exception):
    """A load or a run failed and the engine lives. ``code`` is the wire code of the failure; ``is_broken``: it lives,
    but nothing more can be computed there, nor freed: its device is lost."""

    def __init__(self, message: str, code: str = "generation_failed", *, is_broken: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.is_broken = is_broken


class RunCancelled(Exception):
    """The run stopped because its number was cancelled; the model is still loaded."""


@dataclass(frozen=True)
class RunResult:
    """``pictures`` are a video's frames for a video, and none for a conversion. ``native_seconds`` is the library call
    alone. With ``failure`` the run failed, and its pictures are what is left of it to look at."""

    pictures: list[RawPicture]
    native_seconds: float
    warnings: tuple[str, ...] = ()
    failure: Failure | None = None


def find_model(loaded: Mapping[str, Model], key: str | None) -> Model:
    """The one that a run names, of those ``loaded`` by their keys. Raises RunFailed when it is not among them."""
    if key is None:
        raise RunFailed("the run names no model to draw with")
    if key not in loaded:
        raise RunFailed(f"no model of the key {key} is loaded in the engine")
    return loaded[key]


class Report(Protocol):
    """Where a runner tells how far it is. Calls are cheap and may come from inside the library's callbacks."""

    def loading(self, progress: float | None) -> None: ...

    def step(self, step: int, total_steps: int, image: int, phase: Phase) -> None: ...

    def preview(self, step: int, frame_count: int, picture: RawPicture, is_noisy: bool) -> bool | None:
        """Show a preview; true when it was, false when nobody watches or the last one was a moment ago."""


class Runner(Protocol):
    """Whatever computes, seen from the worker."""

    def ready(self) -> Ready:
        """Open the library and say what it can do. Raises RunFailed when it cannot be opened."""

    def load(self, spec: LoadSpec, free: Iterable[str], report: Report) -> Loaded:
        """Free the models of the keys ``free`` and of ``spec``'s own, then load ``spec``; all others stay loaded.
        Raises RunFailed; then those are as they were, and the runner is usable."""

    def unload(self, keys: Iterable[str] | None = None) -> None:
        """Free those models of these keys that are loaded, ``None``: all."""

    def load_upscaler(self, spec: UpscalerSpec) -> UpscalerReady:
        """Free the upscaler that is loaded and load ``spec``; models stay. Raises RunFailed; then none is loaded."""

    def unload_upscaler(self) -> None:
        """Free the upscaler, if one is loaded."""

    def rest(self) -> None:
        """Give the system what is not needed while nothing is done. By any thread, also while something begins."""

    def run(self, command: RunJob, report: Report) -> RunResult:
        """Compute one job with the model that it names. Raises RunFailed, also when that is not loaded, or
        RunCancelled."""

    def cancel(self, run: int) -> None:
        """Stop run number ``run`` at its next step; any other run is left alone."""

    def set_preview(self, settings: PreviewSettings) -> None:
        """Previews of this and later runs."""

    def watch_previews(self, is_watched: bool) -> None:
        """Whether somebody sees previews, from now on."""

    def devices(self) -> tuple[Device, ...]:
        """The devices with their free memory now."""

    def threads(self) -> ThreadsUsed | None:
        """The CPU threads that runs are computed with; ``None`` where nothing computes on the CPU."""
