"""How far the caller's work has come, and how it is stopped, in AUTOMATIC1111's words."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response
from PIL import Image

from sdcpp_rest.routes.a1111.answers import (
    A1111CallProgress,
    A1111Empty,
    A1111Null,
    A1111Progress,
    A1111Waiting,
)
from sdcpp_rest.routes.a1111.choices import open_choices
from sdcpp_rest.routes.a1111.errors import A1111Error
from sdcpp_rest.routes.a1111.reading import read, scope, text_of
from sdcpp_rest.routes.a1111.wire import A1111CallBody, A1111ProgressQuery
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import read_query
from sdcpp_rest.services.submission.picture_rounds import RoundProgress

a1111_progress = Blueprint("a1111_progress", __name__)

# What is added so that work which has begun never looks like none.
_BEGUN = 0.01
# What clients call the work at hand.
_NAMES = {"txt2img": "scripts_txt2img", "img2img": "scripts_img2img", "upscale": "extras"}
_IDLE: dict[str, Any] = {
    "skipped": False,
    "interrupted": False,
    "stopping_generation": False,
    "job": "",
    "job_count": 0,
    "job_timestamp": "0",
    "job_no": 0,
    "sampling_step": 0,
    "sampling_steps": 0,
}
_NO_CALL: dict[str, Any] = {
    "active": False,
    "queued": False,
    "paused": False,
    "completed": False,
    "progress": None,
    "eta": None,
    "live_preview": None,
    "id_live_preview": -1,
    "textinfo": "Waiting...",
}


@a1111_progress.get("/sdapi/v1/progress")
@needs("read")
@documents({200: A1111Progress}, errors=(422,), query=A1111ProgressQuery, refusals=(A1111Error,))
def a1111_work_progress() -> Response:
    """Tell how far the caller's work has come. With nothing of theirs in the queue, all is zero."""
    running, query = runtime(), read_query(A1111ProgressQuery)
    found = running.submission.rounds.progress_of(scope())
    if found is None:
        return answer(_loading() if running.models.slot.is_busy else _progress_object(0.0, 0.0, _IDLE))
    state, progress = _state(found)
    image = None if query.skip_current_image else _current_image(found, open_choices().list_options())
    return answer(_progress_object(progress, _seconds_left(found, progress), state, image))


@a1111_progress.post("/sdapi/v1/interrupt")
@needs("generate")
@documents({200: A1111Empty}, refusals=(A1111Error,))
def a1111_interrupt() -> Response:
    """Stop the caller's work. Their call answers with the pictures that are finished, and the last preview."""
    runtime().submission.rounds.interrupt(scope())
    return answer({})


@a1111_progress.post("/sdapi/v1/skip")
@needs("generate")
@documents({200: A1111Null}, refusals=(A1111Error,))
def a1111_skip() -> Response:
    """Stop the picture that the caller's work is at, and go on with the next."""
    runtime().submission.rounds.skip(scope())
    return answer(None)


@a1111_progress.post("/internal/progress")
@needs("read")
@documents({200: A1111CallProgress}, errors=(422,), body=A1111CallBody, refusals=(A1111Error,))
def a1111_call_progress() -> Response:
    """Tell how far one call has come, by the name it was given as force_task_id."""
    running, body = runtime(), read(A1111CallBody)
    token = body.id_task or ""
    found = running.submission.rounds.find(token) if token else None
    told = {**_NO_CALL, "paused": running.jobs.queue.is_paused}
    if found is None:
        told["completed"] = bool(token) and running.submission.rounds.has_ended(token)
    elif found.active is None:
        told |= {"queued": True, "textinfo": _place(token, running.submission.rounds.waiting_tokens(None))}
    else:
        told |= _call_progress(found, body)
    return answer(told)


@a1111_progress.get("/internal/pending-tasks")
@needs("read")
@documents({200: A1111Waiting}, refusals=(A1111Error,))
def a1111_waiting_calls() -> Response:
    """List the calls that wait, by the names they were given."""
    tokens = runtime().submission.rounds.waiting_tokens(None)
    return answer({"size": len(tokens), "tasks": tokens})


@a1111_progress.get("/internal/ping")
@needs("read")
@documents({200: A1111Empty}, refusals=(A1111Error,))
def a1111_ping() -> Response:
    """Say that the server is there."""
    return answer({})


def _progress_object(progress: float, eta: float, state: dict[str, Any], image: str | None = None) -> dict[str, Any]:
    told = {"progress": progress, "eta_relative": round(eta, 3), "state": state}
    return {**told, "current_image": image, "textinfo": None}


def _loading() -> dict[str, Any]:
    """A model that is being loaded must not look like nothing at all: clients would send their job to the old one."""
    return _progress_object(_BEGUN, 0.0, {**_IDLE, "job": "load-model", "job_count": 1})


def _state(found: RoundProgress) -> tuple[dict[str, Any], float]:
    """The state as clients read it, and the progress from 0 to 1 (a little more than 0 from the beginning)."""
    opened, active = found.round, found.active
    count = opened.count if opened is not None else 1
    number = opened.finished if opened is not None else 0
    if opened is not None and active is not None and active.job.id in opened.job_ids:
        number = opened.job_ids.index(active.job.id)
    name = _NAMES.get(opened.kind if opened is not None else "", "scripts_txt2img")
    state = {
        **_IDLE,
        "job": f"Batch {number + 1} out of {count}" if count > 1 else name,
        "job_count": count,
        "job_no": number,
        "job_timestamp": opened.created_at.astimezone().strftime("%Y%m%d%H%M%S") if opened is not None else "0",
        "interrupted": opened is not None and opened.interrupted,
        "skipped": opened is not None and active is not None and active.job.id in opened.skipped,
    }
    part = 0.0
    if active is not None:
        steps = active.progress
        state |= {"sampling_step": steps.current_all_steps, "sampling_steps": steps.all_steps}
        part = steps.current_all_steps / steps.all_steps if steps.all_steps else 0.0
        if active.job.params.get("hires"):
            # Both passes count their own steps.
            part = part / 2 if active.engine_phase in ("loading", "conditioning", "sampling") else 0.5 + part / 2
    return state, round(min(1.0, _BEGUN + (number + part) / max(1, count)), 4)


def _place(token: str, waiting: list[str]) -> str:
    return f"In queue: {waiting.index(token) + 1}/{len(waiting)}" if token in waiting else "In queue..."


def _call_progress(found: RoundProgress, body: A1111CallBody) -> dict[str, Any]:
    """What is told about a call whose turn it is, besides where there is nothing to tell."""
    state, progress = _state(found)
    done = max(0.0, progress - _BEGUN)
    told: dict[str, Any] = {"active": True, "progress": done, "textinfo": None}
    told["eta"] = _seconds_left(found, done) if done else None
    number = state["sampling_step"] + state["job_no"] * max(1, state["sampling_steps"])
    told["id_live_preview"] = body.id_live_preview
    wants_preview = body.live_preview and number != body.id_live_preview
    if wants_preview and open_choices().list_options()["live_previews_enable"]:
        jpeg = _preview(found)
        if jpeg is not None:
            told["live_preview"] = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
            told["id_live_preview"] = number
    return told


def _seconds_left(found: RoundProgress, progress: float) -> float:
    began_at = found.round.began_at if found.round is not None else None
    if began_at is None or progress <= 0:
        return 0.0
    since = time.monotonic() - began_at
    return max(0.0, since / progress - since)


def _preview(found: RoundProgress) -> bytes | None:
    return runtime().jobs.previews.read(found.active) if found.active is not None else None


def _current_image(found: RoundProgress, options: Mapping[str, Any]) -> str | None:
    every = int(options["show_progress_every_n_steps"])
    if found.active is None or not options["live_previews_enable"] or every <= 0:
        return None
    if found.active.progress.current_all_steps < min(every, found.active.progress.all_steps):
        return None
    jpeg = _preview(found)
    if jpeg is None:
        return None
    buffer = io.BytesIO()
    try:
        with Image.open(io.BytesIO(jpeg)) as opened:
            opened.save(buffer, "PNG", compress_level=1)
    except (OSError, ValueError):
        return None
    return text_of(buffer.getvalue())
