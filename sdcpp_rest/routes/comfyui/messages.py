"""The messages of ComfyUI's WebSocket: what clients are told of a prompt while its jobs run.

Pure: events, kept calls and jobs to messages.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from sdcpp_rest.core.events import JobProgress
from sdcpp_rest.core.job import Job, utc_now
from sdcpp_rest.core.kept_call import KeptCall
from sdcpp_rest.routes.comfyui.history import (
    describe_failure,
    describe_interruption,
    has_ended,
    outputs_of_job,
)

Message = Mapping[str, Any]

_PREVIEW, _JPEG, _PNG = 1, 1, 2
_STAGES = {
    "loading": "loading",
    "conditioning": "conditioning",
    "sampling": "sampling",
    "hires": "hires",
    "decoding": "decoding",
    "encoding": "decoding",
    "upscaling": "upscaling",
}
_COUNTED = ("sampling", "hires")


def tell_status(remaining: int, sid: str = "") -> Message:
    """How much waits; with ``sid`` to a client that has just come."""
    told: dict[str, Any] = {"status": {"exec_info": {"queue_remaining": remaining}}}
    return _message("status", {**told, **({"sid": sid} if sid else {})})


def tell_start(call: KeptCall, job: Job, jobs: Sequence[Job]) -> list[Message]:
    """That a prompt begins, with its first job; nothing with its others.

    Who reads the rows may be late, and find that others have begun or ended meanwhile: what counts is when.
    """
    began = [one.started_at for one in jobs if one.started_at is not None]
    if job.started_at is None or job.started_at > min(began):
        return []
    about = {"prompt_id": call.id, "timestamp": _now()}
    return [_message("execution_start", about), _message("execution_cached", {**about, "nodes": []})]


def tell_progress(call: KeptCall, event: JobProgress, node: str | None) -> list[Message]:
    """Where a job stands; ``node``: the one that was told last."""
    stage = node_of(call, event)
    if stage is None:
        return []
    told = [] if stage == node else [tell_executing(call, stage)]
    if event.phase in _COUNTED and event.total_steps:
        about = {"value": event.step, "max": event.total_steps, "prompt_id": call.id, "node": stage}
        told.append(_message("progress", about))
    return told


def node_of(call: KeptCall, event: JobProgress) -> str | None:
    """The node that a job is at; ``None`` where none stands for what it does."""
    part = call.part_of(event.job_id)
    found = part.about["stages"].get(_STAGES.get(event.phase, "")) if part is not None else None
    return str(found) if found is not None else None


def tell_executing(call: KeptCall, node: str | None) -> Message:
    """Which node is executed; ``None``: the prompt is over."""
    about: dict[str, Any] = {"node": node, "prompt_id": call.id}
    return _message("executing", {**about, **({"display_node": node} if node is not None else {})})


def tell_outputs(call: KeptCall, job: Job) -> list[Message]:
    """The pictures of a job that is completed, node by node."""
    told = []
    for node, shown in outputs_of_job(call, job):
        told.append(tell_executing(call, node))
        about = {"node": node, "display_node": node, "output": shown, "prompt_id": call.id}
        told.append(_message("executed", about))
    return told


def tell_end(call: KeptCall, job: Job, jobs: Sequence[Job]) -> list[Message]:
    """How a job ended that failed or was stopped, and that the prompt is over when it was the last one."""
    told: list[Message] = []
    if job.status == "failed":
        told.append(_message("execution_error", describe_failure(call, job)))
    elif job.status == "cancelled" and job.started_at is not None:
        told.append(_message("execution_interrupted", describe_interruption(call, job)))
    ended = [one.completed_at for one in jobs if one.completed_at is not None]
    if has_ended(jobs) and job.completed_at == max(ended):
        if all(one.status == "completed" for one in jobs):
            told.append(_message("execution_success", {"prompt_id": call.id, "timestamp": _now()}))
        told.append(tell_executing(call, None))
    return told


def frame_preview(jpeg: bytes) -> bytes:
    """A preview as a binary message: its kind, its format, the picture's file."""
    return struct.pack(">II", _PREVIEW, _JPEG) + jpeg


def frame_picture(png: bytes) -> bytes:
    """A finished picture as a binary message."""
    return struct.pack(">II", _PREVIEW, _PNG) + png


def sends_pictures(call: KeptCall, job: Job) -> bool:
    """Whether a job's pictures go through the WebSocket."""
    part = call.part_of(job.id)
    return part is not None and job.status == "completed" and any(one["sent"] for one in part.about["outputs"])


def _message(type: str, about: Mapping[str, Any]) -> Message:
    return {"type": type, "data": dict(about)}


def _now() -> int:
    return round(utc_now().timestamp() * 1000)
