"""Measures how long the phases and steps of one job take, and how long the rest of it will.

Told the time by who calls, in seconds of a clock that only runs forward; it has none of its own.
"""

from __future__ import annotations

import statistics
from collections import deque
from typing import NamedTuple

from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.job import Phase, Progress
from sdcpp_rest.core.job_work import Work

# What is told is the median of the last steps: one that was held up by something else changes nothing.
_RECENT_STEPS = 7
_KEPT_STEPS = 1_000
_ORDER: tuple[Phase, ...] = (
    "loading", "conditioning", "sampling", "hires", "decoding", "upscaling", "encoding",
)  # fmt: skip


class Expected(Frozen):
    """How long the parts of a job take, in seconds, by what earlier ones took; ``None`` where none has told. All but
    ``step`` are of the whole job."""

    load: float | None = None
    conditioning: float | None = None
    step: float | None = None
    hires: float | None = None
    decoding: float | None = None
    upscaling: float | None = None
    saving: float | None = None


class Pace(NamedTuple):
    """How quick a job is, and what is left of it: until the steps of the current picture are done, and until the job
    is. ``None`` where nobody can tell."""

    seconds_per_step: float | None = None
    picture_eta_seconds: float | None = None
    eta_seconds: float | None = None


class StepTimes:
    """Measures the phases and the steps of one job. Not thread-safe."""

    def __init__(self, now: float) -> None:
        self.work = Work()
        self.expected = Expected()
        self._phase: Phase = "loading"
        self._phase_at = self._step_at = now
        self._image = 0
        self._seconds: dict[Phase, float] = {}
        self._first: float | None = None
        self._steps: deque[float] = deque(maxlen=_KEPT_STEPS)

    def enter(self, phase: Phase, image: int, now: float) -> None:
        """Note that a phase begins, or another picture's turn within one."""
        self._seconds[self._phase] = self.seconds_in(self._phase, now)
        self._phase, self._image = phase, image
        self._phase_at = self._step_at = now

    def take_step(self, phase: Phase, image: int, now: float) -> None:
        """Note that a step is done."""
        if phase != self._phase or image != self._image:
            # Nobody said when its picture began.
            self.enter(phase, image, now)
            return
        if phase == "sampling":
            seconds = now - self._step_at
            if self._first is None:
                # The first step of a run allocates what the others find there.
                self._first = seconds
            else:
                self._steps.append(seconds)
        self._step_at = now

    def seconds_in(self, phase: Phase, now: float) -> float:
        """How long the job has been in a phase until now, all visits together."""
        since = now - self._phase_at if phase == self._phase else 0.0
        return self._seconds.get(phase, 0.0) + max(0.0, since)

    def ended_seconds(self, phase: Phase) -> float:
        """How long the job was in a phase that it has left."""
        return self._seconds.get(phase, 0.0)

    @property
    def usual_step(self) -> float | None:
        """The median of all steps but the first; the first one's time while there is no other."""
        return statistics.median(self._steps) if self._steps else self._first

    @property
    def recent_step(self) -> float | None:
        """The median of the last steps."""
        recent = list(self._steps)[-_RECENT_STEPS:]
        return statistics.median(recent) if recent else self._first

    def pace(self, progress: Progress, now: float) -> Pace:
        """How quick the job is, which stands at ``progress``. Parts to come that nobody has timed count as nothing; the
        one that it is in has to be known."""
        step = self.recent_step
        if step is None:
            step = self.expected.step
        shown = _round(step)
        if progress.phase == "cancelling" or not self._is_known(step, progress):
            return Pace(shown)
        left = sum(self._left_of(phase, seconds, now) for phase, seconds in self._before_steps())
        picture: float | None = None
        if step is not None and self._reaches("sampling") and progress.total_steps:
            mine = max(0, progress.total_steps - progress.step) * step
            if self._phase == "sampling":
                mine = max(0.0, mine - min(now - self._step_at, step))
            picture = left + mine
            left = picture + max(0, progress.total_images - progress.current_image - 1) * progress.total_steps * step
        left += sum(self._left_of(phase, seconds, now) for phase, seconds in self._after_steps(step))
        return Pace(shown, _round(picture), _round(left))

    def _is_known(self, step: float | None, progress: Progress) -> bool:
        """Whether the phase that the job is in, and its steps where some are to come, have been timed."""
        if self._phase not in _ORDER or (step is None and progress.total_steps and self._reaches("sampling")):
            return False
        known = dict((*self._before_steps(), ("sampling", step), *self._after_steps(step)))
        return known.get(self._phase) is not None

    def _before_steps(self) -> tuple[tuple[Phase, float | None], ...]:
        return ("loading", self.expected.load), ("conditioning", self.expected.conditioning)

    def _after_steps(self, step: float | None) -> tuple[tuple[Phase, float | None], ...]:
        hires = self.expected.hires
        if hires is None and step is not None and self.work.hires_steps:
            hires = step * self.work.hires_share * self.work.pictures
        return (
            ("hires", hires),
            ("decoding", self.expected.decoding),
            ("upscaling", self.expected.upscaling),
            ("encoding", self.expected.saving),
        )

    def _left_of(self, phase: Phase, seconds: float | None, now: float) -> float:
        """What is left of a phase that takes ``seconds``; nothing where that is not known, or it is over."""
        if seconds is None or not self._reaches(phase):
            return 0.0
        return max(0.0, seconds - self.seconds_in(phase, now)) if phase == self._phase else seconds

    def _reaches(self, phase: Phase) -> bool:
        """Whether the job is in ``phase``, or before it."""
        here = self._phase
        if here == "decoding" and self.work.hires_steps and "hires" not in self._seconds:
            # The library tells so between the two passes of the hires fix, for a moment.
            here = "hires"
        return _ORDER.index(here) <= _ORDER.index(phase)


def _round(seconds: float | None) -> float | None:
    return None if seconds is None else round(max(0.0, seconds), 3)
