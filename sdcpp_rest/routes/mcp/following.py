"""Waits for jobs and loads beside the event loop's other work, and tells the caller how far they are.

A wait is a subscription to the event bus and no thread: forty of them cost what forty listeners cost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from sdcpp_rest.core.events import Event, JobProgress, JobStatusChanged, ModelLoading
from sdcpp_rest.core.job import Job, Progress
from sdcpp_rest.groups.core_groups import JobServices
from sdcpp_rest.routes.mcp.calls import AgentThreads, Report

_MAILBOX_EVENTS = 500
_LEAST_ADVANCE = 0.001


async def wait_for_job(
    jobs: JobServices, threads: AgentThreads, job_id: str, ending: Future[Job], seconds: float, report: Report | None
) -> bool:
    """Whether ``ending`` came within ``seconds``; its result is left to the caller."""
    if report is None:
        return await _wait_for(ending, seconds)
    follower = _JobFollower(jobs, threads, job_id, _Teller(report))
    return await _follow(jobs, ending, seconds, follower.tell_place, follower.take)


async def wait_for_load(
    jobs: JobServices, model: str, loaded: Future[Any], seconds: float, report: Report | None
) -> bool:
    """The same for a load of ``model``."""
    if report is None:
        return await _wait_for(loaded, seconds)
    teller = _Teller(report)

    async def begin() -> None:
        await teller.tell(0, 100, f"waiting to load {model}")

    async def take(event: Event) -> None:
        if isinstance(event, ModelLoading) and event.model_name == model:
            await teller.tell(100 * (event.progress or 0.0), 100, describe_loading(event))

    return await _follow(jobs, loaded, seconds, begin, take)


def describe_loading(event: ModelLoading) -> str:
    """How far a load is, in words."""
    share = "" if event.progress is None else f", {event.progress:.0%}"
    return f"loading {event.model_name}{share}"


def describe_progress(progress: Progress, step_seconds: float) -> str:
    """How far a job is, in words: ``step 3 of 20, 12 s left``."""
    if progress.phase != "sampling" or not progress.total_steps:
        return str(progress.phase)
    words = f"step {progress.step} of {progress.total_steps}"
    if progress.total_images > 1:
        words = f"picture {progress.current_image + 1} of {progress.total_images}, {words}"
    left = seconds_left(progress, step_seconds)
    return words if left is None else f"{words}, {left:.0f} s left"


def seconds_left(progress: Progress, step_seconds: float) -> float | None:
    """How long the rest of the steps takes if they go on as the last one did; ``None`` while nobody knows."""
    if progress.phase != "sampling" or not progress.step or step_seconds <= 0:
        return None
    return round(step_seconds * (progress.all_steps - progress.current_all_steps), 1)


class _Teller:
    """Reports numbers that only grow, as the protocol wants them, if by little: also while a job waits, and while its
    picture is decoded behind the last step, because many clients give up what is silent."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._last = -_LEAST_ADVANCE

    async def tell(self, progress: float, total: float | None, message: str) -> None:
        self._last = max(self._last + _LEAST_ADVANCE, progress)
        await self._report(round(self._last, 3), total, message)


class _JobFollower:
    """Tells of one job: its place in the queue while it waits, the load before it, each of its steps."""

    def __init__(self, jobs: JobServices, threads: AgentThreads, job_id: str, teller: _Teller) -> None:
        self._jobs = jobs
        self._threads = threads
        self._job_id = job_id
        self._teller = teller
        self._place: int | None = None

    async def tell_place(self) -> None:
        """Tell the job's place in the queue, where it has one that was not told yet."""
        if self._jobs.active.get(self._job_id) is not None:
            return
        place = await self._threads.run(self._jobs.queue.position, self._job_id)
        if place is not None and place != self._place:
            self._place = place
            await self._teller.tell(0, None, f"number {place} in the queue")

    async def take(self, event: Event) -> None:
        """Tell what an event means for the job, if it does."""
        active = self._jobs.active.get(self._job_id)
        if isinstance(event, JobProgress) and event.job_id == self._job_id:
            progress = Progress(
                step=event.step,
                total_steps=event.total_steps,
                current_image=event.current_image,
                total_images=event.total_images,
                phase=event.phase,
            )
            words = describe_progress(progress, active.last_step_seconds if active is not None else 0.0)
            await self._teller.tell(progress.current_all_steps, progress.all_steps or None, words)
        elif isinstance(event, ModelLoading) and active is not None and active.engine_phase == "loading":
            await self._teller.tell(0, None, describe_loading(event))
        elif isinstance(event, JobStatusChanged) and active is None:
            await self.tell_place()


async def _wait_for(ending: Future[Any], seconds: float) -> bool:
    done = asyncio.Event()
    ending.add_done_callback(_waker(done))
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(done.wait(), seconds)
    return ending.done()


async def _follow(
    jobs: JobServices, ending: Future[Any], seconds: float, begin: Callable[[], Any], take: Callable[[Event], Any]
) -> bool:
    """Wait for ``ending`` and hand every event to ``take`` meanwhile."""
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()
    until = loop.time() + seconds
    wake = _waker(arrived)
    with jobs.bus.subscribe(_MAILBOX_EVENTS) as mailbox:
        mailbox.on_ready(wake)
        ending.add_done_callback(wake)
        await begin()
        while not ending.done() and (left := until - loop.time()) > 0:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(arrived.wait(), left)
            arrived.clear()
            # Also when it has ended: its last steps are told before its pictures.
            while loop.time() < until and (event := mailbox.get(0)) is not None:
                await take(event)
    return ending.done()


def _waker(event: asyncio.Event) -> Callable[..., None]:
    """What sets ``event`` from any thread."""
    loop = asyncio.get_running_loop()

    def wake(*_: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server stops, and nobody waits any more
            loop.call_soon_threadsafe(event.set)

    return wake
