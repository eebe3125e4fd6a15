"""Serves GenerateText2ImageWS: pictures as they come, with progress and previews, several requests on one socket.

What is sent when is SwarmUI's; the pictures come out of the same rounds as everybody's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocketDisconnect

from sdcpp_rest.core.events import Event, JobPreview, JobProgress, JobStatusChanged
from sdcpp_rest.core.job import Job
from sdcpp_rest.errors import EngineDied, GenerationFailed, InvalidRequest, SdcppRestError
from sdcpp_rest.routes.swarmui.calls import Arguments
from sdcpp_rest.routes.swarmui.errors import BasicFault, UnreadableBody
from sdcpp_rest.routes.swarmui.opening import open_calls
from sdcpp_rest.routes.swarmui.picture_calls import INTERRUPTED, PictureCall, PictureCalls
from sdcpp_rest.routes.swarmui.sockets import SwarmSocket
from sdcpp_rest.routes.swarmui.status import current_status
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.services.jobs.event_bus import Subscription
from sdcpp_rest.services.submission.picture_rounds import Round, RoundResult

KEEP_ALIVE_SECONDS = 30.0
GRACE_SECONDS = 2.0
MOST_REQUESTS = 100
_MAILBOX_EVENTS = 2000


@dataclass
class _Live:
    """A request that is being drawn. ``first``: the batch index of its first picture."""

    call: PictureCall
    first: int
    opened: Round
    best: dict[str, float] = field(default_factory=dict)

    def index_of(self, job_id: str) -> int | None:
        """Which of its pictures a job draws; ``None`` for jobs of others."""
        return next((index for index, job in enumerate(self.opened.jobs) if job.id == job_id), None)

    def place(self, index: int) -> dict[str, str]:
        """Which picture a message is about."""
        return {"batch_index": str(self.first + index), "request_id": self.call.request_id}


async def serve_generation(socket: SwarmSocket, runtime: Runtime) -> None:
    """Draw what the socket's messages ask for, until it has been silent for the time of grace."""
    # Before the handler: without it, the socket closes at once.
    socket.arguments.integer("images")

    def open_picture_calls() -> PictureCalls:
        return open_calls(
            runtime.config,
            runtime.jobs,
            runtime.models,
            runtime.submission,
            runtime.status,
            runtime.version,
            runtime.settings.presets.parameters,
        )

    def tell_status() -> dict[str, Any]:
        return current_status(socket.session, runtime.submission.rounds, runtime.status)

    with runtime.jobs.bus.subscribe(_MAILBOX_EVENTS) as mailbox:
        conversation = _Conversation(socket, open_picture_calls, tell_status, mailbox)
        conversation.is_keeping = runtime.config.swarm.keep_jobs_of_closed_sockets
        await conversation.run()


class _Conversation:
    """Holds one socket's requests, the frames about them, and the time of grace when there is none."""

    def __init__(
        self,
        socket: SwarmSocket,
        open_picture_calls: Callable[[], PictureCalls],
        tell_status: Callable[[], dict[str, Any]],
        mailbox: Subscription,
    ) -> None:
        self._socket = socket
        self._open_picture_calls = open_picture_calls
        self._tell_status = tell_status
        self._mailbox = mailbox
        self._arrived = asyncio.Event()
        self._sending = asyncio.Lock()
        self._live: list[_Live] = []
        self._works: set[asyncio.Task[None]] = set()
        self._next_index = 0
        self.is_keeping = False

    async def run(self) -> None:
        """Until nothing is left to do, or the client leaves. Raises WebSocketDisconnect."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            # The loop may be closed already: the server stops, and the publisher must not suffer for it.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._arrived.set)

        self._mailbox.on_ready(wake)
        await self._send_status()
        helpers = [asyncio.create_task(self._pass_events()), asyncio.create_task(self._keep_alive())]
        try:
            self._begin(self._socket.arguments)
            await self._converse()
            await self._send_status()
        finally:
            for work in (*helpers, *self._works):
                work.cancel()
            await asyncio.gather(*helpers, *self._works, return_exceptions=True)

    async def _converse(self) -> None:
        """Take further requests while there is work, and for the time of grace when there is none."""
        hearing: asyncio.Task[dict[str, Any]] | None = None
        try:
            while True:
                if hearing is None:
                    hearing = asyncio.create_task(self._socket.receive())
                patience = None
                if not self._works:
                    await self._send({"socket_intention": "close"})
                    patience = GRACE_SECONDS
                done, _ = await asyncio.wait(
                    {hearing, *self._works}, timeout=patience, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    return
                for work in done - {hearing}:
                    self._works.discard(work)
                    work.result()
                if hearing in done:
                    heard, hearing = hearing, None
                    await self._take(heard)
        finally:
            if hearing is not None:
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)

    async def _take(self, heard: asyncio.Task[dict[str, Any]]) -> None:
        try:
            self._begin(Arguments(heard.result()))
        except (UnreadableBody, BasicFault) as error:
            await self._send_error(error)

    def _begin(self, arguments: Arguments) -> None:
        self._works.add(asyncio.create_task(self._serve(arguments)))

    async def _serve(self, arguments: Arguments) -> None:
        """Draw one request, from its parameters to the last picture. Raises WebSocketDisconnect."""
        try:
            if len(self._works) > MOST_REQUESTS:
                raise InvalidRequest(f"At most {MOST_REQUESTS} requests are drawn on one socket at a time")
            calls = await asyncio.to_thread(self._open_picture_calls)
            call = await asyncio.to_thread(calls.read, arguments)
        except SdcppRestError as error:
            await self._send_error(error)
            return
        first, self._next_index = self._next_index, self._next_index + call.series.count
        with contextlib.ExitStack() as stack:
            opened = stack.enter_context(calls.open(call, self._socket.session))
            live = _Live(call, first, opened)
            self._live.append(live)
            try:
                await self._draw(calls, live)
            except SdcppRestError as error:
                await self._send_error(error)
            except (WebSocketDisconnect, asyncio.CancelledError):
                opened.is_left_to_queue = opened.is_left_to_queue or self.is_keeping
                raise
            finally:
                self._live.remove(live)
                # Cancelling what is left writes rows: not on the event loop.
                await asyncio.shield(asyncio.to_thread(stack.pop_all().close))

    async def _draw(self, calls: PictureCalls, live: _Live) -> None:
        await asyncio.to_thread(calls.submit, live.call, live.opened)
        await self._send_status()
        following = [asyncio.create_task(self._follow(calls, live, index)) for index in range(len(live.opened.jobs))]
        try:
            await asyncio.gather(*following)
        finally:
            for one in following:
                one.cancel()
            await asyncio.gather(*following, return_exceptions=True)
        await self._send({"discard_indices": []})

    async def _follow(self, calls: PictureCalls, live: _Live, index: int) -> None:
        """Wait for one picture and send what came of it. Raises GenerationFailed, EngineDied unless the request goes
        on when one fails."""
        ending = await asyncio.to_thread(calls.rounds.ending, live.opened, index)
        await _until_done(ending)
        try:
            taken = await asyncio.to_thread(calls.take, live.opened, index)
        except (GenerationFailed, EngineDied) as error:
            if not live.call.goes_on:
                raise
            await self._send_error(error)
            return
        await self._send_result(calls, live, index, taken)
        await self._send_status()

    async def _send_result(self, calls: PictureCalls, live: _Live, index: int, taken: RoundResult) -> None:
        job: Job = taken.job
        if job.status == "completed":
            picture = await asyncio.to_thread(calls.answer, live.call, job)
            await self._send({"image": picture.image, **live.place(index), "metadata": picture.metadata})
            await self._send({"keep_alive": True})
        elif job.started_at is not None:
            await self._send({"error": INTERRUPTED})

    # --- events -----------------------------------------------------------------------------------------------------

    async def _pass_events(self) -> None:
        while True:
            self._arrived.clear()
            while (event := self._mailbox.get(0)) is not None:
                await self._pass(event)
            await self._arrived.wait()

    async def _pass(self, event: Event) -> None:
        if not isinstance(event, JobProgress | JobPreview | JobStatusChanged):
            return
        for live in self._live:
            index = live.index_of(event.job_id)
            if index is not None:
                await self._tell(live, index, event)

    async def _tell(self, live: _Live, index: int, event: JobProgress | JobPreview | JobStatusChanged) -> None:
        place = live.place(index)
        if isinstance(event, JobProgress):
            is_first = event.job_id not in live.best
            metadata = {"metadata": live.opened.jobs[index].caption} if is_first else {}
            await self._send({"gen_progress": {**place, **_percents(live, event), **metadata}})
        elif isinstance(event, JobPreview) and live.call.shows_previews:
            best = live.best.get(event.job_id, 0.0)
            shown = {"overall_percent": best, "current_percent": best, "preview": event.data()["image"]}
            await self._send({"gen_progress": {**place, **shown}})
        elif isinstance(event, JobStatusChanged) and event.status == "processing":
            await self._send_status()

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(KEEP_ALIVE_SECONDS)
            await self._send({"keep_alive": True})

    # --- sending ----------------------------------------------------------------------------------------------------

    async def _send(self, value: Mapping[str, Any]) -> None:
        async with self._sending:
            await self._socket.send(value)

    async def _send_status(self) -> None:
        await self._send(await asyncio.to_thread(self._tell_status))

    async def _send_error(self, error: SdcppRestError) -> None:
        async with self._sending:
            await self._socket.send_error(error)


async def _until_done(ending: Future[Job]) -> None:
    """Wait for a future that is others' as well: who waits no more must not cancel it."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def wake(_: Future[Job]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server stops
            loop.call_soon_threadsafe(done.set)

    ending.add_done_callback(wake)
    await done.wait()


def _percents(live: _Live, event: JobProgress) -> dict[str, float]:
    """How far a picture is, from 0 to 1 and never back."""
    done = event.step / event.total_steps if event.total_steps else 0.0
    best = max(live.best.get(event.job_id, 0.0), min(1.0, done))
    live.best[event.job_id] = best
    return {"overall_percent": best, "current_percent": best}
