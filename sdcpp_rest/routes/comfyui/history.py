"""Tells of prompts as ComfyUI does: their pictures by node, their status, and the messages about their way.

Pure: made of a kept call and its jobs, so that a restart changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sdcpp_rest.core.job import FINISHED, Job
from sdcpp_rest.core.kept_call import KeptCall

_FIRST_STAGES = ("sampling", "upscaling", "loading")


def describe_prompt(call: KeptCall, jobs: Sequence[Job]) -> dict[str, Any]:
    """The entry of a prompt in the history; its jobs have all ended."""
    failed = next((job for job in jobs if job.status == "failed"), None)
    is_whole = all(job.status == "completed" for job in jobs)
    return {
        "prompt": queue_item(call),
        "outputs": outputs_of(call, jobs),
        "status": {
            "status_str": "success" if is_whole else "error",
            "completed": is_whole,
            "messages": list_messages(call, jobs, failed),
        },
        "meta": {
            node: {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node}
            for node in outputs_of(call, jobs)
        },
    }


def queue_item(call: KeptCall) -> list[Any]:
    """A prompt as lists of the queue have it."""
    return [call.number, call.id, json.loads(call.texts["prompt"]), call.sent["extra"], call.sent["outputs"]]


def is_over(jobs: Sequence[Job]) -> bool:
    """Whether none of these jobs waits or runs."""
    return all(job.status in FINISHED for job in jobs)


def has_ended(jobs: Sequence[Job]) -> bool:
    """Whether nothing of a prompt waits or runs, and something of it was done: a prompt that was taken off the queue
    leaves no trace."""
    return bool(jobs) and is_over(jobs) and any(job.started_at for job in jobs)


def outputs_of(call: KeptCall, jobs: Sequence[Job]) -> dict[str, Any]:
    """The pictures of a prompt, by the node that shows them."""
    found: dict[str, Any] = {}
    for job in jobs:
        for node, shown in outputs_of_job(call, job):
            found[node] = shown
    return found


def outputs_of_job(call: KeptCall, job: Job) -> list[tuple[str, dict[str, Any]]]:
    """The pictures of one completed job, by the nodes that show them."""
    part = call.part_of(job.id)
    if part is None or job.status != "completed":
        return []
    told = []
    for one in part.about["outputs"]:
        files = [_file_object(path, is_kept=one["kept"]) for path in job.outputs]
        told.append((one["node"], {"images": files, **({"animated": [True]} if one["video"] else {})}))
    return told


def list_messages(call: KeptCall, jobs: Sequence[Job], failed: Job | None) -> list[list[Any]]:
    """What clients were told on the way, as far as the jobs' records know it; what has no effect besides."""
    began = min((job.started_at for job in jobs if job.started_at), default=None)
    ended = max((job.completed_at for job in jobs if job.completed_at), default=None)
    messages: list[list[Any]] = [
        ["execution_start", _about(call, began)],
        ["execution_cached", {**_about(call, began), "nodes": []}],
    ]
    warnings = dict.fromkeys(sentence for job in jobs for sentence in job.warnings)
    messages += [["execution_warning", {**_about(call, began), "message": sentence}] for sentence in warnings]
    if failed is not None:
        messages.append(["execution_error", describe_failure(call, failed)])
    elif any(job.status == "cancelled" for job in jobs):
        stopped = next(job for job in jobs if job.status == "cancelled")
        messages.append(["execution_interrupted", describe_interruption(call, stopped)])
    else:
        messages.append(["execution_success", _about(call, ended)])
    return messages


def describe_failure(call: KeptCall, job: Job) -> dict[str, Any]:
    """Why a job failed, at the node that draws."""
    return {
        **describe_interruption(call, job),
        "exception_message": job.error or "The picture could not be drawn",
        "exception_type": job.error_code or "generation_failed",
        "traceback": [],
        "current_inputs": {},
        "current_outputs": [],
    }


def describe_interruption(call: KeptCall, job: Job) -> dict[str, Any]:
    """Where a job was stopped."""
    part = call.part_of(job.id)
    stages: Mapping[str, str] = part.about["stages"] if part is not None else {}
    node = next((stages[stage] for stage in _FIRST_STAGES if stage in stages), None)
    graph = json.loads(call.texts["prompt"])
    kind = graph.get(node, {}).get("class_type") if node is not None else None
    return {**_about(call, job.completed_at), "node_id": node, "node_type": kind, "executed": []}


def _about(call: KeptCall, moment: datetime | None) -> dict[str, Any]:
    return {"prompt_id": call.id, "timestamp": round(moment.timestamp() * 1000) if moment is not None else 0}


def _file_object(path: str, *, is_kept: bool) -> dict[str, str]:
    subfolder, _, name = path.rpartition("/")
    return {"filename": name, "subfolder": subfolder, "type": "output" if is_kept else "temp"}
