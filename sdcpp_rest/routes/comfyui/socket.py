"""Serves ComfyUI's WebSocket: what becomes of prompts, to the clients that sent them.

What is said is `messages`'; the events are those of everybody's jobs.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Iterable

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from sdcpp_rest.core.events import Event, JobAdded, JobPreview, JobProgress, JobStatusChanged
from sdcpp_rest.core.job import FINISHED, Job
from sdcpp_rest.core.kept_call import KeptCall
from sdcpp_rest.groups.core_groups import JobServices
from sdcpp_rest.routes.comfyui import messages
from sdcpp_rest.routes.comfyui.client_ids import find_client
from sdcpp_rest.routes.comfyui.prompts import PromptWatch
from sdcpp_rest.routes.http.answers import json_text
from sdcpp_rest.routes.http.dialect import ABORT
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.services.jobs.event_bus import Subscription

_MAILBOX_EVENTS = 2000
_TRY_AGAIN_LATER = 1013
_CLOSE_SECONDS = 2.0
_GONE = (WebSocketDisconnect, RuntimeError, OSError)


@needs("read")
async def serve_prompt_events(runtime: Runtime, scope: Scope, receive: Receive, send: Send) -> None:
    """Tell a client what becomes of its prompts, until it leaves or is too slow."""
    socket = WebSocket(scope, receive, send)
    await socket.accept()
    with runtime.jobs.bus.subscribe(_MAILBOX_EVENTS) as mailbox:
        client = _Listener(socket, find_client(scope) or uuid.uuid4().hex, runtime.jobs, mailbox)
        await client.run()
    if mailbox.overflowed:
        abort = scope.get("extensions", {}).get(ABORT)
        try:
            await asyncio.wait_for(socket.close(_TRY_AGAIN_LATER, "too slow for the events"), _CLOSE_SECONDS)
        except (asyncio.TimeoutError, RuntimeError, OSError):
            if abort is not None:
                abort()


class _Listener:
    """One client: its id, and the node that was told last of each job."""

    def __init__(self, socket: WebSocket, client: str, jobs: JobServices, mailbox: Subscription) -> None:
        self._socket = socket
        self._client = client
        self._jobs = jobs
        self._watch = PromptWatch(jobs)
        self._mailbox = mailbox
        self._arrived = asyncio.Event()
        self._nodes: dict[str, str | None] = {}

    async def run(self) -> None:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            # The loop may be closed already: the server stops, and the publisher must not suffer for it.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._arrived.set)

        self._mailbox.on_ready(wake)
        works = [asyncio.create_task(self._pass_events()), asyncio.create_task(self._hear())]
        try:
            await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for work in works:
                work.cancel()
            results = await asyncio.gather(*works, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, _GONE):
                raise result

    async def _hear(self) -> None:
        """What clients say (which features they have) changes nothing here."""
        while (await self._socket.receive())["type"] != "websocket.disconnect":
            pass

    async def _pass_events(self) -> None:
        await self._say([messages.tell_status(await self._remaining(), self._client)])
        while not self._mailbox.overflowed:
            self._arrived.clear()
            while (event := self._mailbox.get(0)) is not None:
                await self._pass(event)
            await self._arrived.wait()

    async def _pass(self, event: Event) -> None:
        if isinstance(event, JobAdded | JobStatusChanged):
            await self._say([messages.tell_status(await self._remaining())])
        if not isinstance(event, JobProgress | JobPreview | JobStatusChanged):
            return
        call = await asyncio.to_thread(self._jobs.kept_calls.find_by_job, event.job_id)
        # As ComfyUI has it: what nobody has put a name to is everybody's.
        if call is None or call.client not in (None, self._client):
            return
        if isinstance(event, JobProgress):
            await self._say(messages.tell_progress(call, event, self._nodes.get(event.job_id)))
            self._nodes[event.job_id] = messages.node_of(call, event) or self._nodes.get(event.job_id)
        elif isinstance(event, JobPreview):
            await self._socket.send_bytes(messages.frame_preview(event.jpeg))
        else:
            await self._tell_change(call, event)

    async def _tell_change(self, call: KeptCall, event: JobStatusChanged) -> None:
        jobs = await asyncio.to_thread(self._watch.jobs_of, call)
        job = next((one for one in jobs if one.id == event.job_id), None)
        if job is None:
            return
        if event.status == "processing":
            await self._say(messages.tell_start(call, job, jobs))
        elif event.status in FINISHED:
            self._nodes.pop(event.job_id, None)
            await self._say(messages.tell_outputs(call, job))
            if messages.sends_pictures(call, job):
                await self._send_pictures(job)
            await self._say(messages.tell_end(call, job, jobs))

    async def _send_pictures(self, job: Job) -> None:
        for path in job.outputs:
            with contextlib.suppress(OSError):  # removed since
                png = await asyncio.to_thread(self._jobs.outputs.path_of(path).read_bytes)
                await self._socket.send_bytes(messages.frame_picture(png))

    async def _remaining(self) -> int:
        return await asyncio.to_thread(self._watch.remaining)

    async def _say(self, told: Iterable[messages.Message]) -> None:
        for message in told:
            await self._socket.send_text(json_text(message))
