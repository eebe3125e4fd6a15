"""Defines the events that services publish, each named for what happened: the only way back from the deeper rooms to
whoever listens.

``name`` is the wire word of the native WebSocket; ``data`` builds its payload. Events live in memory only.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any, ClassVar, Literal

from pydantic import Field

from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.job import Job, JobKind, JobStatus, Phase

LOADING_STEPS = 100
"""How many steps a load is counted in, for clients that want steps: the library tells a share."""


def loading_step(progress: float | None) -> int | None:
    """``progress`` (0..1) as one of `LOADING_STEPS`; ``None`` where nothing is counted."""
    return None if progress is None else round(progress * LOADING_STEPS)


def iso_text(moment: datetime) -> str:
    """A moment in UTC as the native API writes it: ``2024-01-01T12:00:00Z``."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def preview_url(job_id: str) -> str:
    """Where the latest preview of a running job is served."""
    return f"/jobs/{job_id}/preview"


_TIMES = {"started_at", "completed_at"}


def _times(event: Event) -> dict[str, str]:
    """Those of its moments that an event has."""
    found = {name: getattr(event, name, None) for name in ("started_at", "completed_at")}
    return {name: iso_text(moment) for name, moment in found.items() if moment is not None}


class Event(Frozen):
    """Base of all events. ``droppable``: a slow listener may miss it without being misled."""

    name: ClassVar[str]
    droppable: ClassVar[bool] = False

    def data(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class JobAdded(Event):
    """Tells of a job that is new in the queue."""

    name = "job_added"
    job_id: str
    type: JobKind
    status: JobStatus = "pending"
    position: int

    def data(self) -> dict[str, Any]:
        return {**super().data(), "queue_position": self.position}


class JobStatusChanged(Event):
    """Tells what a job is now, and was before."""

    name = "job_status_changed"
    job_id: str
    status: JobStatus
    previous_status: JobStatus
    outputs: tuple[str, ...] = ()
    error: str | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None

    @classmethod
    def of(cls, job: Job, previous: JobStatus) -> JobStatusChanged:
        return cls(
            job_id=job.id,
            status=job.status,
            previous_status=previous,
            outputs=job.outputs,
            error=job.error,
            started_at=job.started_at,
            completed_at=job.completed_at,
        )

    def data(self) -> dict[str, Any]:
        return {**self.model_dump(mode="json", exclude=_TIMES), **_times(self)}


class JobCancelled(Event):
    name = "job_cancelled"
    job_id: str
    completed_at: datetime | None = None

    def data(self) -> dict[str, Any]:
        return {"job_id": self.job_id, **_times(self)}


class JobProgress(Event):
    """Where a job stands: ``step`` and ``total_steps`` within the current picture, ``percentage`` over all of them.

    ``seconds_per_step``, and how long until the steps of the current picture are done and until the job is; ``None``
    where nobody knows.
    """

    name = "job_progress"
    droppable = True
    job_id: str
    step: int
    total_steps: int
    current_image: int = 0
    total_images: int = 1
    percentage: float = 0.0
    phase: Phase = "sampling"
    seconds_per_step: float | None = None
    picture_eta_seconds: float | None = None
    eta_seconds: float | None = None


class TransferProgress(JobProgress):
    """Where a download stands, in bytes and in seconds besides; ``None`` where nobody knows."""

    downloaded_bytes: int
    total_bytes: int | None = None
    bytes_per_second: int = 0

    def data(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"seconds_per_step", "picture_eta_seconds"})


class JobPreview(Event):
    """``jpeg`` is the picture file's bytes; the wire shows it as a data URL."""

    name = "job_preview"
    droppable = True
    job_id: str
    step: int
    frame_count: int
    width: int
    height: int
    is_noisy: bool
    jpeg: bytes = Field(repr=False)

    def data(self) -> dict[str, Any]:
        import base64

        shown = self.model_dump(mode="json", exclude={"jpeg"})
        image = "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode("ascii")
        return {**shown, "image": image, "preview_url": preview_url(self.job_id)}


class ModelLoading(Event):
    """``progress`` is 0..1 where the library counts, ``None`` where it does not."""

    name = "model_loading_progress"
    droppable = True
    model_name: str
    progress: float | None = None

    def data(self) -> dict[str, Any]:
        step = loading_step(self.progress)
        return {**super().data(), "step": step, "total_steps": None if step is None else LOADING_STEPS}


class ModelLoaded(Event):
    name = "model_loaded"
    model_name: str
    model_type: str
    model_architecture: str | None = None
    load_seconds: float = 0.0


class ModelLoadFailed(Event):
    name = "model_load_failed"
    model_name: str
    error: str


class ModelUnloaded(Event):
    name = "model_unloaded"
    model_name: str | None = None


class UpscalerLoaded(Event):
    """``upscale_factor``: how many times wider and higher its pictures become."""

    name = "upscaler_loaded"
    model_name: str
    upscale_factor: int


class UpscalerUnloaded(Event):
    name = "upscaler_unloaded"
    model_name: str | None = None


class EngineRestarted(Event):
    """Tells that somebody has had the engine ended, and that there is another one, which holds nothing yet.
    ``restarts``: how often it was replaced, for whatever reason."""

    name = "engine_restarted"
    pid: int
    restarts: int


class EngineChanged(Event):
    """Tells that ``engine`` holds other models, or runs no more; of the engines beside the home one, whose loads have
    events of their own. ``GET /engines`` has all of it."""

    name = "engine_changed"
    engine: str


class ModelsChanged(Event):
    """Tells that lists of models are to be asked for again: one was ``added`` or ``deleted``, has ``moved``
    (``previous_name`` and ``previous_type`` are what it was), or its ``card`` or ``preview`` is another one."""

    name = "models_changed"
    change: Literal["added", "deleted", "moved", "card", "preview"]
    model_name: str
    model_type: str
    previous_name: str | None = None
    previous_type: str | None = None


class QueuePaused(Event):
    """Nothing is taken off the queue any more; what runs goes on."""

    name = "queue_paused"


class QueueResumed(Event):
    name = "queue_resumed"


class GalleryChanged(Event):
    """Pictures were marked, deleted, restored or removed for good, or boards changed.

    ``ids``: the first hundred of ``count``.
    """

    name = "gallery_changed"
    change: Literal["marked", "deleted", "restored", "purged", "boards"]
    ids: tuple[int, ...] = ()
    count: int = 0


class QueueReordered(Event):
    """A job that waits has another place; others may have moved up or down for it."""

    name = "queue_reordered"
    job_id: str
    position: int


class ServerStatus(Event):
    """The heartbeat: health, queue counts and memory as the HTTP routes show them."""

    name = "server_status"
    droppable = True
    status: dict[str, Any]

    def data(self) -> dict[str, Any]:
        return self.status


class Resync(Event):
    """Tells one listener that what it has missed is not kept any more: it has to look for itself."""

    name = "resync"
    reason: Literal["too_old", "from_the_future", "other_epoch"]
