"""sd-server's API: jobs that are submitted, polled and cancelled, out of the same queue as everybody's."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

from flask import Blueprint, Response, request

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.params import ImageParams, SamplingParams, VideoParams
from sdcpp_rest.errors import Conflict, InvalidRequest, JobNotFound, NoModelLoaded, OutputNotFound, WaitTimeout
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import blocking, transfer
from sdcpp_rest.routes.http.request_bodies import parse_body
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.sdserver.capabilities import describe, modes_of
from sdcpp_rest.routes.sdserver.errors import CannotCancel, EmptyBody, InvalidJson, JobGone, SdServerError, WrongMode
from sdcpp_rest.routes.sdserver.translate import (
    KINDS,
    GenerationRequest,
    TranslationContext,
    can_answer_video,
    in_client_words,
    job_object,
    output_wanted,
    to_request,
    video_result,
)
from sdcpp_rest.routes.sdserver.upscaling import Enlarging, enlarged_object, to_enlarging
from sdcpp_rest.routes.sdserver.wire import (
    Capabilities,
    ImageBody,
    JobKindWord,
    JobObject,
    JobPath,
    Submitted,
    UpscaleBody,
    UpscaleResult,
    VideoBody,
)
from sdcpp_rest.services.pictures.picture_formats import recode
from sdcpp_rest.services.submission.picture_rounds import select_completed

sd_server = Blueprint("sdserver", __name__)

ORIGIN = "sd-server"

_REFUSALS = (SdServerError,)
_SUBMIT_FAILURES = (429, 503)
# A running job ends at its next step; who cancels is told of the end where that is near.
_CANCEL_SECONDS = 5.0


@sd_server.get("/sdcpp/v1/capabilities")
@needs("read")
@documents({200: Capabilities}, refusals=_REFUSALS)
def sd_server_capabilities() -> Response:
    """Tell what can be asked for, as sd-server does: modes, defaults, limits, samplers, LoRAs, upscalers."""
    running = runtime()
    spec, library = running.models.slot.selected, running.models.library
    return answer(
        describe(
            spec,
            _usual(),
            running.status.options(),
            loras=[file.name for file in library.files("lora")],
            upscalers=[file.name for file in library.files("esrgan")],
            limits=running.config.limits,
        )
    )


@sd_server.post("/sdcpp/v1/img_gen")
@needs("generate")
@documents({202: Submitted}, errors=_SUBMIT_FAILURES, body=ImageBody, refusals=_REFUSALS)
@transfer
@submitting
def sd_server_img_gen() -> Response:
    """Submit pictures, as to sd-server. Answers with a job's id at once."""
    return _submit("img_gen")


@sd_server.post("/sdcpp/v1/vid_gen")
@needs("generate")
@documents({202: Submitted}, errors=_SUBMIT_FAILURES, body=VideoBody, refusals=_REFUSALS)
@transfer
@submitting
def sd_server_vid_gen() -> Response:
    """Submit a video, as to sd-server. Answers with a job's id at once."""
    return _submit("vid_gen")


@sd_server.post("/sdcpp/v1/upscale")
@needs("generate")
@documents({200: UpscaleResult}, errors=(409, 429, 507), body=UpscaleBody, refusals=_REFUSALS)
@blocking
@submitting
def sd_server_upscale() -> Response:
    """Make a picture larger with an upscaler that is a model, as sd-server does. Answers when it is there."""
    running = runtime()
    asked = to_enlarging(_read_body(), running.models.upscalers, running.models.library)
    job = _enlarge(asked)
    return answer(enlarged_object(asked, job, running.jobs.outputs.path_of(job.outputs[0]).read_bytes()))


@sd_server.get("/sdcpp/v1/jobs/<job_id>")
@needs("read")
@documents({200: JobObject}, errors=(404, 410), path=JobPath, refusals=_REFUSALS)
@transfer
def sd_server_job(job_id: str) -> Response:
    """Look at a job, as sd-server shows it: with the pictures, when they are there."""
    return answer(_show(_find_job(job_id)))


@sd_server.post("/sdcpp/v1/jobs/<job_id>/cancel")
@needs("generate")
@documents({200: JobObject}, errors=(404, 409, 410), path=JobPath, refusals=_REFUSALS)
@blocking
def sd_server_cancel(job_id: str) -> Response:
    """Cancel a job that waits or is computed. One that has ended is shown as it is."""
    queue, job = runtime().jobs.queue, _find_job(job_id)
    if job.status in ("pending", "processing"):
        try:
            queue.cancel(job_id)
            with contextlib.suppress(WaitTimeout):
                queue.wait(job_id, _CANCEL_SECONDS)
        except Conflict:
            if _find_job(job_id).status == "processing":
                raise CannotCancel("the job ends at this moment") from None
    return answer(_show(_find_job(job_id)))


def _submit(mode: JobKindWord) -> Response:
    running = runtime()
    body = _read_body()
    spec = running.models.slot.selected
    if spec is None:
        raise NoModelLoaded("no model is loaded: load one with POST /models/load")
    if mode not in modes_of(spec):
        what = "videos, not pictures" if mode == "img_gen" else "pictures, not videos"
        raise WrongMode(f"{mode} is not supported: {spec.model.name} makes {what}")
    with in_client_words():
        asked = to_request(mode, body, _make_context())
        job = _enter(asked)
    shown: dict[str, Any] = {
        "id": job.id,
        "kind": mode,
        "status": "queued",
        "created": int(job.created_at.timestamp()),
        "poll_url": f"/sdcpp/v1/jobs/{job.id}",
    }
    return answer({**shown, "warnings": list(job.warnings)} if job.warnings else shown, 202)


def _enter(asked: GenerationRequest) -> Job:
    submission = runtime().submission
    if asked.kind == "txt2vid":
        return submission.videos.video(
            asked.params, images=asked.images, origin=ORIGIN, warnings=asked.warnings, note=asked.note
        )[0]
    return submission.pictures.picture(
        "img2img" if asked.kind == "img2img" else "txt2img",
        asked.params,
        images=asked.images,
        origin=ORIGIN,
        warnings=asked.warnings,
        caption=asked.caption,
        note=asked.note,
    )[0]


def _enlarge(asked: Enlarging) -> Job:
    submission = runtime().submission

    def submit(_: int) -> Job:
        return submission.upscales.submit(asked.request, spec=asked.spec, origin=ORIGIN, warnings=asked.warnings)[0]

    with submission.rounds.open(None, "upscale", 1) as opened, in_client_words():
        submission.rounds.submit(opened, submit)
        (job,) = select_completed(submission.rounds.take_all(opened))
    return job


def _read_body() -> dict[str, Any]:
    raw = request.get_data(cache=False)
    if not raw:
        raise EmptyBody("the body is empty")
    try:
        return parse_body(raw)
    except InvalidRequest as error:
        raise InvalidJson(error.message) from None


def _make_context() -> TranslationContext:
    running = runtime()
    options = running.status.options()
    return TranslationContext(
        choice=running.submission.model_choice,
        samplers=tuple(options["samplers"]),
        schedulers=tuple(options["schedulers"]),
        side=running.config.limits.side,
    )


def _usual() -> dict[JobKindWord, SamplingParams]:
    spec, intake = runtime().models.slot.selected, runtime().submission.intake
    if spec is None:
        return {}
    usual: dict[JobKindWord, SamplingParams] = {}
    for mode in modes_of(spec):
        is_image = mode == "img_gen"
        usual[mode] = (
            intake.usual(ImageParams, "txt2img", spec) if is_image else intake.usual(VideoParams, "txt2vid", spec)
        )
    return usual


def _find_job(job_id: str) -> Job:
    """Raises JobNotFound (also for jobs that make neither pictures nor a video), JobGone."""
    jobs = runtime().jobs
    try:
        job = jobs.queue.get(job_id)
    except JobNotFound:
        if jobs.recycle_bin.holds(job_id):
            raise JobGone("the job was deleted") from None
        raise
    if job.kind not in KINDS or (job.kind == "txt2vid" and not can_answer_video(job)):
        raise JobNotFound("job not found")
    return job


def _show(job: Job) -> dict[str, Any]:
    queue = runtime().jobs.queue
    position = queue.position(job.id) or 0 if job.status == "pending" else 0
    progress = queue.progress(job) if job.status == "processing" else None
    return job_object(job, position, progress, _result(job) if job.status == "completed" else None)


def _result(job: Job) -> dict[str, Any]:
    """Raises JobGone where the files are not there any more."""
    outputs = runtime().jobs.outputs
    try:
        files = [outputs.path_of(path).read_bytes() for path in job.outputs]
    except (OSError, OutputNotFound):
        raise JobGone("the files of the job were deleted") from None
    if job.kind == "txt2vid":
        return video_result(job, base64.b64encode(files[0]).decode("ascii"))
    form, quality = output_wanted(job)
    try:
        pictures = [recode(file, form, quality) for file in files]
    except (OSError, ValueError):
        # WebP and JPEG end at some size: the picture as it lies there is better than none.
        form, pictures = "png", files
    shown = [{"index": k, "b64_json": base64.b64encode(file).decode("ascii")} for k, file in enumerate(pictures)]
    return {"output_format": form, "images": shown}
