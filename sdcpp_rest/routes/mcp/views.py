"""Answers the tools' calls: each reads its arguments, asks a service, and says what came of it.

Who leaves while a tool draws takes the job along; who has waited long enough gets the job's id and leaves it in the
queue.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from PIL import Image

from sdcpp_rest.core.job import FINISHED, Job, JobKind
from sdcpp_rest.errors import (
    InvalidRequest,
    error_of_job,
)
from sdcpp_rest.routes.http.wire_models import Wire, examine
from sdcpp_rest.routes.mcp import wire
from sdcpp_rest.routes.mcp.calls import AgentCall, AgentThreads
from sdcpp_rest.routes.mcp.content import Inline, ShownFile, make_result
from sdcpp_rest.routes.mcp.drawing import Draughtsman
from sdcpp_rest.routes.mcp.following import wait_for_job, wait_for_load
from sdcpp_rest.routes.mcp.given import GivenPictures
from sdcpp_rest.routes.mcp.listing import ListedPage, Listings
from sdcpp_rest.routes.mcp.parts import ServerParts
from sdcpp_rest.routes.mcp.translate import PICTURE_KINDS, describe_finished, describe_unfinished, show_files
from sdcpp_rest.services.models.load_specs import LoadRequest
from sdcpp_rest.services.submission.picture_rounds import Round

OWNER = "mcp"

Result = dict[str, Any]
Model = TypeVar("Model", bound=Wire)


class AgentTools:
    """Answers calls of tools, by their names. For one event loop."""

    def __init__(self, parts: ServerParts, threads: AgentThreads) -> None:
        self._parts = parts
        self._threads = threads
        self._draughtsman = Draughtsman(parts)
        self._listings = Listings(parts)
        self.by_name: Mapping[str, Callable[[AgentCall], Awaitable[Result]]] = {
            "generate_image": self.generate_image,
            "edit_image": self.edit_image,
            "upscale_image": self.upscale_image,
            "generate_video": self.generate_video,
            "list_models": self.list_models,
            "load_model": self.load_model,
            "job_status": self.job_status,
            "cancel_job": self.cancel_job,
            "list_images": self.list_images,
        }

    # --- drawing ----------------------------------------------------------------------------------------------------

    async def generate_image(self, call: AgentCall) -> Result:
        wishes, warnings = self._read(wire.GenerateImage, call)
        return await self._draw(
            call, "txt2img", wishes, lambda opened: self._draughtsman.draw(opened, wishes, warnings)
        )

    async def edit_image(self, call: AgentCall) -> Result:
        wishes, warnings = self._read(wire.EditImage, call)
        kind: JobKind = "img2img" if wishes.image else "txt2img"
        given = self._open_given(call)
        return await self._draw(
            call, kind, wishes, lambda opened: self._draughtsman.edit(opened, wishes, given, warnings)
        )

    async def upscale_image(self, call: AgentCall) -> Result:
        wishes, warnings = self._read(wire.UpscaleImage, call)
        given = self._open_given(call)
        return await self._draw(
            call, "upscale", wishes, lambda opened: self._draughtsman.upscale(opened, wishes, given, warnings)
        )

    async def generate_video(self, call: AgentCall) -> Result:
        wishes, warnings = self._read(wire.GenerateVideo, call)
        given = self._open_given(call)
        return await self._draw(
            call, "txt2vid", wishes, lambda opened: self._draughtsman.film(opened, wishes, given, warnings)
        )

    async def _draw(
        self, call: AgentCall, kind: JobKind, wishes: wire.Waiting, submit_one: Callable[[Round], Job]
    ) -> Result:
        """Submit a job and wait for it. A cancel of this coroutine cancels the job."""
        rounds = self._parts.submission.rounds
        with contextlib.ExitStack() as stack:
            opened = stack.enter_context(rounds.open(OWNER, kind, 1))
            try:
                await self._threads.run_far(rounds.submit, opened, lambda _: submit_one(opened))
                ending = await self._threads.run(rounds.ending, opened, 0)
                job = opened.jobs[0]
                if await self._wait(call, job.id, ending, wishes.wait_seconds):
                    taken = await self._threads.run(rounds.take, opened, 0)
                    return await self._threads.run(self._show, call, taken.job, wishes.inline)
                opened.is_left_to_queue = True
                return await self._threads.run(self._show, call, job, wishes.inline)
            finally:
                # Cancelling what is left writes rows: not on the event loop.
                await asyncio.shield(self._threads.run(stack.pop_all().close))

    async def _wait(self, call: AgentCall, job_id: str, ending: Future[Job], seconds: float) -> bool:
        if not seconds:
            return ending.done()
        return await wait_for_job(self._parts.jobs, self._threads, job_id, ending, seconds, call.report)

    # --- jobs -------------------------------------------------------------------------------------------------------

    async def job_status(self, call: AgentCall) -> Result:
        wishes, warnings = self._read(wire.JobStatus, call)
        queue = self._parts.jobs.queue
        job = await self._threads.run(queue.get, wishes.job_id)
        if job.status not in FINISHED and wishes.wait_seconds:
            ending = await self._threads.run(queue.ending, job.id)
            try:
                if await self._wait(call, job.id, ending, wishes.wait_seconds):
                    ending.result()  # raises where the server stops
            finally:
                queue.forget_ending(job.id, ending)
        return await self._threads.run(self._show, call, job, wishes.inline, warnings)

    async def cancel_job(self, call: AgentCall) -> Result:
        wishes, warnings = self._read(wire.CancelJob, call)
        return await self._threads.run(self._cancel, wishes.job_id, warnings)

    def _cancel(self, job_id: str, warnings: list[str]) -> Result:
        queue = self._parts.jobs.queue
        job = queue.get(job_id)
        if job.status in FINISHED:
            raise InvalidRequest(f"Job {job_id} cannot be cancelled: it is {job.status}", field="job_id")
        facts = {"job_id": job_id, "status": queue.cancel(job_id), "warnings": warnings}
        return make_result(f"Job {job_id} is {facts['status']}.", facts, (), "none")

    def _show(self, call: AgentCall, known: Job, inline: Inline, warnings: list[str] | None = None) -> Result:
        """The result that shows a job as it is now. Raises GenerationFailed, EngineDied for one that failed."""
        jobs = self._parts.jobs
        job = jobs.queue.get(known.id)
        if job.status == "failed":
            raise error_of_job(job.error_code, job.error or "The job failed", job_id=job.id)
        if job.status not in FINISHED:
            active = jobs.active.get(job.id)
            step_seconds = active.last_step_seconds if active is not None else 0.0
            place = jobs.queue.position(job.id)
            facts = describe_unfinished(job, jobs.queue.progress(job), place, step_seconds)
            facts["warnings"] = [*(warnings or ()), *job.warnings]
            return make_result(f"Not finished yet: the job is {facts['status']}.", facts, (), "none")
        files = show_files(job, jobs.outputs, self._parts.config, call.caller)
        facts = describe_finished(job, files, _size_of(files))
        facts["warnings"] = [*(warnings or ()), *facts["warnings"]]
        return make_result(_sentence_about(job), facts, files, inline)

    # --- models and lists -------------------------------------------------------------------------------------------

    async def list_models(self, call: AgentCall) -> Result:
        wishes, warnings = self._read(wire.ListModels, call)
        return await self._threads.run(self._listings.show_models, wishes.search or "", warnings)

    async def list_images(self, call: AgentCall) -> Result:
        wishes, warnings = self._read(wire.ListImages, call)
        page = ListedPage(wishes.search or "", wishes.limit, wishes.offset)
        return await self._threads.run(self._listings.show_images, call.caller, page, warnings)

    async def load_model(self, call: AgentCall) -> Result:
        wishes, warnings = self._read(wire.LoadModel, call)
        slot = self._parts.models.slot
        pending = await self._threads.run(slot.begin_load, LoadRequest(model_name=wishes.model))
        name = pending.spec.model.name
        facts: dict[str, Any] = {"model": name, "status": "loading", "warnings": [*warnings, *pending.warnings]}
        is_done = await wait_for_load(self._parts.jobs, name, pending.loaded, wishes.wait_seconds, call.report)
        if not is_done:
            sentence = f"{name} is being loaded; jobs can be submitted already, and wait for it."
            return make_result(sentence, facts, (), "none")
        outcome = await self._threads.run(pending.outcome, 0)
        facts |= {"status": "loaded", "seconds": round(outcome.loaded.seconds, 2)}
        return make_result(f"{name} is loaded.", facts, (), "none")

    # --- inside -----------------------------------------------------------------------------------------------------

    def _read(self, model: type[Model], call: AgentCall) -> tuple[Model, list[str]]:
        config = self._parts.config
        return examine(model, call.arguments, limits=config.limits, strict=config.api.strict)

    def _open_given(self, call: AgentCall) -> GivenPictures:
        parts = self._parts
        return GivenPictures(parts.jobs, parts.fetching, call.caller, parts.config.limits.body_bytes)


def _size_of(files: list[ShownFile]) -> tuple[int, int] | None:
    """Width and height of the first file, where it is a picture."""
    with contextlib.suppress(OSError, ValueError):
        if files and files[0].is_picture:
            with Image.open(files[0].path) as picture:
                return picture.width, picture.height
    return None


def _sentence_about(job: Job) -> str:
    if job.status == "cancelled":
        return f"Job {job.id} was cancelled{f': {job.error}' if job.error else ''}."
    if job.kind not in PICTURE_KINDS:
        return f"Job {job.id} is done."
    count = len(job.outputs)
    noun = "video" if job.kind == "txt2vid" else "picture"
    return f"Made {count} {noun}{'' if count == 1 else 's'}."
