"""Publishes what an engine reports of its runs: progress and previews of the job that each run belongs to."""

from __future__ import annotations

import time
from pathlib import Path

from sdcpp_rest.core.events import JobPreview, JobProgress
from sdcpp_rest.engine.client import RunEvent
from sdcpp_rest.engine.protocol import Preview, Step
from sdcpp_rest.services.jobs.active_jobs import ActiveJob
from sdcpp_rest.services.jobs.event_bus import EventBus
from sdcpp_rest.services.jobs.preview_watch import PreviewWatch

# A progress event more often than this tells a person nothing; changes of phase and last steps are always sent.
_PROGRESS_PAUSE_SECONDS = 0.05


class RunReports:
    """Publishes the reports of one engine. `take` is called by its reader thread, everything else by its lane."""

    def __init__(self, bus: EventBus, watch: PreviewWatch) -> None:
        self._bus = bus
        self._watch = watch
        self._by_run: dict[int, ActiveJob] = {}
        self._last_progress_at = 0.0

    @property
    def are_watched(self) -> bool:
        """Whether anybody sees previews."""
        return self._watch.is_watched

    def begin(self, number: int, active: ActiveJob) -> None:
        """Note that the run ``number`` is the job's."""
        self._by_run[number] = active

    def end(self, number: int) -> None:
        self._by_run.pop(number, None)

    def publish(self, active: ActiveJob) -> None:
        """Publish how far the job is."""
        progress = active.progress
        told = {**progress.model_dump(), **active.pace._asdict()}
        self._bus.publish(JobProgress(job_id=active.job.id, percentage=progress.percentage, **told))

    def take(self, event: RunEvent) -> None:
        active = self._by_run.get(event.run)
        if active is None:
            return
        if isinstance(event, Step):
            self._take_step(active, event)
        elif isinstance(event, Preview):
            self._take_preview(active, event)

    def _take_step(self, active: ActiveJob, event: Step) -> None:
        before = active.progress
        after = active.advance(event.step, event.total_steps, event.image, event.phase)
        now = time.monotonic()
        urgent = after.phase != before.phase or event.step == event.total_steps
        if not urgent and now - self._last_progress_at < _PROGRESS_PAUSE_SECONDS:
            return
        self._last_progress_at = now
        self.publish(active)

    def _take_preview(self, active: ActiveJob, event: Preview) -> None:
        active.note_preview(event.path)
        if not event.path or not self._bus.subscriber_count:
            return
        try:
            jpeg = Path(event.path).read_bytes()
        except OSError:
            return
        shown = event.model_dump(exclude={"type", "run", "path"})
        self._bus.publish(JobPreview(job_id=active.job.id, jpeg=jpeg, **shown))
