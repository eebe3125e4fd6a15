"""Gives every run its CPU threads: those that settings or a load name, or those that its steps are fastest with.

Stands between a run and its reports, and measures the steps that pass. Knows the library's switch
(`native/cpu_threads.py`) as three names only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable
from typing import Protocol

from sdcpp_rest.core.job import Phase
from sdcpp_rest.core.load_spec import LoadOptions
from sdcpp_rest.core.params import ImageParams, Params, SamplingParams, UpscaleParams
from sdcpp_rest.engine.protocol import ThreadsUsed
from sdcpp_rest.engine.raw_picture import RawPicture
from sdcpp_rest.engine.runner import Report
from sdcpp_rest.engine.thread_choice import ThreadChoice

log = logging.getLogger(__name__)


class Switch(Protocol):
    """What changes the threads of the library's next graph."""

    @property
    def can_choose(self) -> bool: ...

    def choose(self, count: int) -> None:
        """0: as many as the model was loaded with."""


class ThreadTuner:
    """Chooses the threads of every run on the CPU. Used by one thread, but for `describe`.

    Args:
        n_threads: the most that compute; below 1: as many as there are cores.
        chooses_threads: whether fewer may.
    """

    def __init__(self, n_threads: int, *, chooses_threads: bool) -> None:
        self._n_threads = n_threads
        self._chooses_threads = chooses_threads
        self._switch: Switch | None = None
        self._choice: ThreadChoice | None = None
        self._why_not = ""

    def begin(self, switch: Switch, cores: int) -> None:
        """Once the library is open, and only if it computes on the CPU."""
        self._choice = ThreadChoice(self._n_threads if self._n_threads > 0 else cores)
        if not self._chooses_threads:
            self._why_not = "The setting engine.n_threads says so"
        elif not switch.can_choose:
            self._why_not = "This library cannot change the number"
        else:
            self._switch = switch

    def describe(self) -> ThreadsUsed | None:
        """The number that is chosen, and why; ``None`` where nothing computes on the CPU. Thread-safe."""
        choice = self._choice
        if choice is None:
            return None
        return ThreadsUsed(chosen=choice.chosen, most=choice.most, why=self._why_not or choice.why)

    def watch(self, params: Params, model_key: str | None, n_threads: int, report: Report) -> Report:
        """Before a run: choose its threads. Returns the report that it should use, which measures its steps.

        ``n_threads`` above 0 is what its model was asked to be loaded with; then the run has these.
        """
        switch, choice = self._switch, self._choice
        if switch is None or choice is None:
            return report
        if n_threads > 0:
            switch.choose(0)
            return report
        switch.choose(choice.chosen)
        if not isinstance(params, SamplingParams):
            return report
        choice.begin(_kind_of(params, model_key))
        names_threads = (
            isinstance(params, ImageParams) and params.upscaler is not None and params.upscaler.n_threads > 0
        )
        return _WatchedReport(report, choice, switch, upscaler_names_threads=names_threads)


def asked_threads(params: Params, options: LoadOptions | None) -> int:
    """The threads that whoever loaded what computes this has asked for; below 1: nobody has."""
    if isinstance(params, UpscaleParams):
        return params.upscaler.n_threads
    return -1 if options is None else options.n_threads


def _kind_of(params: SamplingParams, model_key: str | None) -> Hashable:
    """Runs of the same kind have steps that take equally long."""
    return model_key, params.width, params.height, getattr(params, "video_frames", 1), params.cfg_scale > 1


class _WatchedReport:
    """Passes a run's reports on, and measures its sampling steps."""

    def __init__(self, report: Report, choice: ThreadChoice, switch: Switch, *, upscaler_names_threads: bool) -> None:
        self._report = report
        self._choice = choice
        self._switch = switch
        self._upscaler_names_threads = upscaler_names_threads
        self._step_began: float | None = None

    def loading(self, progress: float | None) -> None:
        self._report.loading(progress)

    def step(self, step: int, total_steps: int, image: int, phase: Phase) -> None:
        now, choice = time.perf_counter(), self._choice
        if phase == "sampling" and step > 0 and self._step_began is not None:
            before = choice.chosen
            choice.take(now - self._step_began)
            self._switch.choose(choice.threads)
            if choice.chosen != before:
                log.info("CPU threads: %d instead of %d. %s", choice.chosen, before, choice.why)
        elif phase != "sampling":
            # What has no steps of the model is not measured, and nothing is tried with it.
            self._switch.choose(0 if phase == "upscaling" and self._upscaler_names_threads else choice.chosen)
        elif step == 0:
            self._switch.choose(choice.threads)
        self._step_began = now if phase == "sampling" else None
        self._report.step(step, total_steps, image, phase)

    def preview(self, step: int, frame_count: int, picture: RawPicture, is_noisy: bool) -> None:
        self._report.preview(step, frame_count, picture, is_noisy)
