"""From the arguments of tools to what a submission takes, and from jobs to what tools answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from sdcpp_rest.config import Config
from sdcpp_rest.core.job import FINISHED, Job, JobKind, Progress
from sdcpp_rest.routes.mcp.calls import AgentCaller
from sdcpp_rest.routes.mcp.content import ShownFile
from sdcpp_rest.routes.mcp.following import seconds_left
from sdcpp_rest.routes.mcp.given import OUTPUT_URI
from sdcpp_rest.routes.mcp.wire import Drawing
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.services.pictures.picture_links import link_path

PICTURE_KINDS: frozenset[JobKind] = frozenset({"txt2img", "img2img", "txt2vid", "upscale"})
"""Jobs whose outputs lie in the output folder."""

MOST_LISTED_FILES = 4
"""Of each job in a list: lists are read whole."""

GRID = 8
"""Sides are multiples of this."""

_NAMES = {"count": "batch_count", "frames": "video_frames"}
_STATUSES = {"pending": "queued", "processing": "running"}
_ROLES = {
    "init_image": "image",
    "mask_image": "mask",
    "ref_images": "reference_images",
    "image_base64": "image",
    "upscale_factor": "factor",
    "batch_count": "count",
    "video_frames": "frames",
}
_PLAIN_FIELDS = (
    "prompt", "negative_prompt", "steps", "cfg_scale", "seed", "sampler", "scheduler", "strength", "count", "frames",
    "fps",
)  # fmt: skip


def to_asked(wishes: Drawing) -> tuple[dict[str, Any], list[str]]:
    """The fields that were sent in the parameters' names, and warnings."""
    sent = wishes.sent_fields()
    asked = {_NAMES.get(name, name): sent[name] for name in _PLAIN_FIELDS if name in sent}
    warnings = []
    for name in ("width", "height"):
        if name not in sent:
            continue
        side = max(GRID, round(sent[name] / GRID) * GRID)
        asked[name] = side
        if side != sent[name]:
            warnings.append(f"{name} {sent[name]} is no multiple of {GRID}; {side} was drawn.")
    return asked, warnings


def to_argument(role: str) -> str:
    """What the submission calls ``ref_images.0``, as the tool calls it: ``reference_images[0]``."""
    name, dot, index = role.partition(".")
    return _ROLES.get(name, name) + (f"[{index}]" if dot else "")


def describe_unfinished(job: Job, progress: Progress, place: int | None, step_seconds: float) -> dict[str, Any]:
    """A job that waits or runs."""
    facts: dict[str, Any] = {"job_id": job.id, "status": _STATUSES[job.status], "percent": progress.percentage}
    left = seconds_left(progress, step_seconds)
    if left is not None:
        facts["eta_seconds"] = left
    if place is not None:
        facts["queue_position"] = place
    facts["next"] = f"Call job_status with job_id {job.id}: it waits, and answers with the pictures."
    return facts


def describe_finished(job: Job, files: Sequence[ShownFile], size: tuple[int, int] | None) -> dict[str, Any]:
    """A job that has ended. ``size``: of its first picture, where that is known better than by its parameters."""
    params = job.params
    width, height = size or (params.get("width"), params.get("height"))
    facts = {
        "job_id": job.id,
        "status": job.status,
        "seed": params.get("seed"),
        "model": job.model_name or _upscaler_name(params),
        "width": width,
        "height": height,
        "seconds": seconds_taken(job),
    }
    shown = {name: value for name, value in facts.items() if value is not None}
    return {**shown, "images": [file.describe() for file in files], "warnings": list(job.warnings)}


def describe_listed(job: Job, files: Sequence[ShownFile]) -> dict[str, Any]:
    """A finished job in a list, with its first pictures."""
    prompt = str(job.params.get("prompt", ""))
    made = f"{job.completed_at:%Y-%m-%dT%H:%M:%SZ}" if job.completed_at else None
    facts = {"job_id": job.id, "kind": job.kind, "made": made, "prompt": prompt[:200], "model": job.model_name}
    left_out = len(files) - MOST_LISTED_FILES
    return {
        **{name: value for name, value in facts.items() if value},
        "seed": job.params.get("seed"),
        "images": [file.describe() for file in files[:MOST_LISTED_FILES]],
        **({"images_left_out": left_out} if left_out > 0 else {}),
    }


def seconds_taken(job: Job) -> float | None:
    """From the job's start to its end."""
    if job.started_at is None or job.completed_at is None or job.status not in FINISHED:
        return None
    return round((job.completed_at - job.started_at).total_seconds(), 2)


def show_files(job: Job, outputs: Outputs, config: Config, caller: AgentCaller) -> list[ShownFile]:
    """A job's files with the links to them, as its caller can follow them; none of jobs about model files."""
    if job.kind not in PICTURE_KINDS:
        return []
    return [
        ShownFile(
            path=outputs.output_dir / name,
            url=caller.root_url + _path_to(name, config),
            resource=OUTPUT_URI + quote(name),
            local=str(outputs.output_dir / name) if caller.is_local else None,
        )
        for name in job.outputs
    ]


def _path_to(name: str, config: Config) -> str:
    if config.auth.is_on and name.endswith(".png"):
        # Whoever opens it (a browser, a chat's window) has no key to show.
        return link_path(config, quote(name))
    return f"/output/{quote(name)}"


def _upscaler_name(params: Mapping[str, Any]) -> str | None:
    upscaler = params.get("upscaler") or {}
    return (upscaler.get("model") or {}).get("name")
