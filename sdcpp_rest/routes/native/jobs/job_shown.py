"""A `Job` in its wire shape, alone and in listings. Knows no route."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import Field

from sdcpp_rest.core.events import iso_text, preview_url
from sdcpp_rest.core.job import Job, JobKind, JobStatus, Phase, Progress, Timings
from sdcpp_rest.core.job_filter import JobHead
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.routes.http.answers import json_text, runtime
from sdcpp_rest.routes.http.links import url_path
from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import Wire, optional
from sdcpp_rest.routes.native.jobs.job_params import shown_model, shown_params
from sdcpp_rest.services.waiting_reasons import count_before

_KEPT_TEXTS = 4096
_KEPT_BYTES = 4096
_KEPT_MODELS = 64
_READ_AT_ONCE = 100
"""Jobs that are in memory as a whole: each takes some ten times its text."""


class _Text(NamedTuple):
    """A job as JSON but for its last brace, as of its head, and by what it is told why it waits."""

    head: JobHead
    text: bytes
    kind: JobKind
    device: str | None
    spec: LoadSpec | None


_texts: dict[str, _Text] = {}
_models: dict[tuple[int, str | None], tuple[LoadSpec, dict[str, Any]]] = {}


class JobPath(Wire):
    job_id: str = Field(
        description="As told when the job was submitted.", examples=["550e8400-e29b-41d4-a716-446655440000"]
    )


class ProgressShown(Answer):
    """Where a job stands."""

    step: int = Field(ge=0, description="Within the current picture.")
    total_steps: int = Field(ge=0, description="Of each picture.")
    current_image: int = Field(ge=0, description="From 0.")
    total_images: int = Field(ge=0)
    all_steps: int = Field(ge=0, description="total_steps x total_images.")
    current_all_steps: int = Field(ge=0)
    percentage: float = Field(ge=0, le=100)
    phase: Phase
    downloaded_bytes: int = optional("Of a file that is being downloaded, or read for its sum.", ge=0)
    total_bytes: int = optional("Size of that file, once it is known.", ge=0)
    bytes_per_second: int = optional("Over the last seconds.", ge=0)
    seconds_per_step: float = optional("Of a running job: the median of its last steps.", ge=0)
    picture_eta_seconds: float = optional("Until the steps of the current picture are done.", ge=0)
    eta_seconds: float = optional("Until the file is there or the job is done, where that can be told.", ge=0)


class JobShown(Answer):
    """A job."""

    job_id: str = Field(examples=["550e8400-e29b-41d4-a716-446655440000"])
    type: JobKind
    status: JobStatus
    progress: ProgressShown
    created_at: str = Field(examples=["2024-01-01T12:00:00Z"])
    started_at: str = optional("When the engine took it.", examples=["2024-01-01T12:00:05Z"])
    completed_at: str = optional("When it ended, well or not.", examples=["2024-01-01T12:01:00Z"])
    outputs: list[str] = Field(
        description="Paths below `/output/`.", examples=[["550e8400-e29b-41d4-a716-446655440000/image_0.png"]]
    )
    params: dict[str, Any] = Field(
        description="What was asked for, with every default filled in. Sent to the same endpoint again, it makes the "
        "same once more: a picture that was sent along is told as `job:<job_id>/<role>`, which such a field takes."
    )
    resolved_prompt: str = optional("What became of the prompt, where `expand_prompt` or `styles` was asked for.")
    resolved_negative_prompt: str = optional("The same of the negative prompt, where there is one.")
    error: str = optional("Why it failed.")
    error_code: str = optional("The same for programs.", examples=["engine_crashed"])
    position: int = optional("Place among the jobs that wait, from 1.", ge=1)
    why: str = optional("Why it waits, in a sentence.", examples=["2 jobs are before it"])
    preview_url: str = optional("Where the latest preview is, while the job runs and has one.")
    title: str | None
    origin: str = Field(description="Which way it came in.", examples=["native"])
    model: str | None = Field(description="Name of the model that it was drawn with, or will be.")
    device: str | None = Field(description="The engine that it asked for; null: any.", examples=["cuda:1"])
    engine: str | None = Field(description="The engine that took it; null while it waits.", examples=["cuda:1"])
    seed: int | None = Field(description="The real one, also where -1 was asked for.")
    timings: Timings
    warnings: list[str] = Field(description="What was ignored or corrected, and what will not look right.")
    group: dict[str, Any] = optional("Its place in a grid of jobs: `id`, `kind`, `axes` and `cell`, as they were sent.")
    model_settings: dict[str, Any] = optional(
        "The model that it was drawn with, or will be: its name, parts and load options, as `GET /health` tells them."
    )


def live_job_object(job: Job, position: int | None) -> dict[str, Any]:
    """The job as it is now: with live progress, where it has any."""
    active = runtime().jobs.active.get(job.id) if job.status == "processing" else None
    has_preview = active is not None and active.has_preview
    shown = job_object(job, runtime().jobs.queue.progress(job), position, has_preview=has_preview)
    if has_preview:
        shown["preview_url"] = url_path(shown["preview_url"])
    if position is not None:
        shown["why"] = runtime().waiting_reasons.find(job.kind, job.device, position, job.load_spec)
    if active is not None:
        told = active.pace._asdict() if active.transfer is None else active.transfer.model_dump()
        shown["progress"] |= {name: value for name, value in told.items() if value is not None}
    return shown


class Listed(NamedTuple):
    """A job of a listing. ``text`` and ``end`` make its JSON: joined with all others' at once, megabytes are copied
    once."""

    head: JobHead
    text: bytes
    end: bytes


def list_texts(heads: Sequence[JobHead], *, has_all_waiting: bool = False) -> list[Listed]:
    """Jobs as JSON texts, for listings: those are asked for again and again, and most of their jobs have not changed.

    Only jobs whose text is not at hand are read in full; those that were deleted meanwhile are left out. A running job
    changes all the time, its text is not kept. ``has_all_waiting``: every job that waits is among them, in the order in
    which they will run, so that nobody else need be asked for their places.
    """
    positions = _positions(heads, has_all_waiting)
    why = _Reasons()
    listed: list[Listed] = []
    for start in range(0, len(heads), _READ_AT_ONCE):
        for one in _texts_of(heads[start : start + _READ_AT_ONCE]):
            position = positions.get(one.head.id)
            end = b"}" if position is None else why.tell(one, position)
            listed.append(Listed(one.head, one.text, end))
    return listed


def _texts_of(heads: Sequence[JobHead]) -> Iterator[_Text]:
    """The texts of these jobs, without those that were deleted meanwhile."""
    kept = [_texts.get(head.id) for head in heads]
    missing = [head.id for head, one in zip(heads, kept, strict=True) if one is None or one.head != head]
    jobs = runtime().jobs.queue.get_many(missing) if missing else {}
    for head, one in zip(heads, kept, strict=True):
        if one is not None and one.head == head:
            yield one
        elif (job := jobs.get(head.id)) is not None:
            shown = json_text(live_job_object(job, None))[:-1].encode()
            text = _Text(head, shown, job.kind, job.device, job.load_spec)
            # Read a moment after its head: by then it may be another job's text than the head says.
            if (job.status, job.title) == (head.status, head.title) and job.status != "processing":
                _keep(text)
            yield text


def _positions(heads: Sequence[JobHead], has_all_waiting: bool) -> dict[str, int]:
    waiting = [head.id for head in heads if head.status == "pending"]
    if has_all_waiting:
        return {job_id: place for place, job_id in enumerate(waiting, 1)}
    return runtime().jobs.queue.positions() if waiting else {}


class _Reasons:
    """Ends the texts of one listing with what changes whenever somebody else's job does: the place, and why it
    waits."""

    def __init__(self) -> None:
        reasons = runtime().waiting_reasons
        self._find, self._is_by_model = reasons.find, reasons.has_cluster
        self._constant: dict[tuple[JobKind, str | None, int], tuple[LoadSpec | None, bytes | None]] = {}

    def tell(self, one: _Text, position: int) -> bytes:
        """The end of the text of a job that waits at ``position``."""
        return b',"position":%d,"why":%b}' % (position, self._reason(one, position))

    def _reason(self, one: _Text, position: int) -> bytes:
        """Jobs of one kind (and of one model, where engines lack some) that may run anywhere wait for the same reason,
        but for how many are before them."""
        kind, device, spec = one.kind, one.device, one.spec if self._is_by_model else None
        if position == 1:
            return json_text(self._find(kind, device, 1, spec)).encode()
        asked = (kind, device, id(spec))
        if asked not in self._constant:
            found = self._find(kind, device, 2, spec)
            # With its spec: as long as that is kept, no other one has its id.
            self._constant[asked] = (spec, None if found == count_before(2) else json_text(found).encode())
        constant = self._constant[asked][1]
        return b'"%b"' % count_before(position).encode() if constant is None else constant


def _keep(one: _Text) -> None:
    if len(one.text) <= _KEPT_BYTES:
        if len(_texts) >= _KEPT_TEXTS:
            _texts.clear()
        _texts[one.head.id] = one


def job_object(
    job: Job,
    progress: Progress,
    position: int | None = None,
    *,
    has_preview: bool = False,
) -> dict[str, Any]:
    """The native job object: the contract's fields, then ours. Absent times and errors are left out, not ``null``."""
    shown: dict[str, Any] = {
        "job_id": job.id,
        "type": job.kind,
        "status": job.status,
        "progress": {
            "step": progress.step,
            "total_steps": progress.total_steps,
            "current_image": progress.current_image,
            "total_images": progress.total_images,
            "all_steps": progress.all_steps,
            "current_all_steps": progress.current_all_steps,
            "percentage": progress.percentage,
            "phase": progress.phase,
        },
        "created_at": iso_text(job.created_at),
    }
    if job.started_at is not None:
        shown["started_at"] = iso_text(job.started_at)
    if job.completed_at is not None:
        shown["completed_at"] = iso_text(job.completed_at)
    shown["outputs"] = list(job.outputs)
    shown["params"] = shown_params(job)
    shown |= show_resolved_prompts(job)
    # One that was cancelled has a reason only where nobody asked for it.
    if job.status == "failed" or job.error:
        shown["error"] = job.error or "unknown error"
        if job.error_code:
            shown["error_code"] = job.error_code
    if position is not None:
        shown["position"] = position
    if has_preview:
        shown["preview_url"] = preview_url(job.id)
    shown |= {
        "title": job.title,
        "origin": job.origin,
        "model": job.model_name,
        "device": job.device,
        "engine": job.engine,
        "seed": job.params.get("seed"),
        "timings": job.timings.model_dump(),
        "warnings": list(job.warnings),
    }
    if job.group is not None:
        shown["group"] = job.group.model_dump(mode="json")
    if job.load_spec is not None:
        shown["model_settings"] = _shown_model(job.load_spec, _upscaler_name(job))
    return shown


def show_resolved_prompts(job: Job) -> dict[str, str]:
    """The prompts of a job whose tags were resolved; the parameters hold what was written beside them."""
    names = [name for name in ("prompt", "negative_prompt") if job.params.get(f"original_{name}") is not None]
    return {f"resolved_{name}": job.params[name] for name in names}


def _shown_model(spec: LoadSpec, upscaler: str | None) -> dict[str, Any]:
    """`shown_model`, once for the thousands of jobs that share one spec object; nobody changes what this gives."""
    kept = _models.get((id(spec), upscaler))
    if kept is None or kept[0] is not spec:
        if len(_models) >= _KEPT_MODELS:
            _models.clear()
        # With its spec: as long as that is kept, no other one has its id.
        kept = _models[id(spec), upscaler] = (spec, shown_model(spec, upscaler))
    return kept[1]


def _upscaler_name(job: Job) -> str | None:
    upscaler = job.params.get("upscaler")
    return str(upscaler["model"]["name"]) if upscaler else None
