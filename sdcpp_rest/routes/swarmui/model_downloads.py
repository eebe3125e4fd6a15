"""Downloads models as SwarmUI's page does: by WebSocket, with frames of progress, as a job like every other download.

Knows the downloads; which addresses may be called is decided there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.websockets import WebSocketDisconnect

from sdcpp_rest.core.catalog import EXTENSIONS
from sdcpp_rest.core.download_source import DownloadParams
from sdcpp_rest.core.events import Event, JobStatusChanged, TransferProgress
from sdcpp_rest.core.job import FINISHED, Job
from sdcpp_rest.errors import Conflict, InvalidRequest, SdcppRestError
from sdcpp_rest.routes.http.answers import shorten
from sdcpp_rest.routes.swarmui.calls import Arguments
from sdcpp_rest.routes.swarmui.model_types import MAIN, MODEL_TYPES, clean_path
from sdcpp_rest.routes.swarmui.sockets import SwarmSocket
from sdcpp_rest.routes.swarmui.status import owner_of
from sdcpp_rest.runtime import Runtime
from sdcpp_rest.services.downloads.download_submission import DownloadRequest
from sdcpp_rest.services.jobs.event_bus import Subscription
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.models.files_beside import write_notes
from sdcpp_rest.services.models.model_library import ModelLibrary

log = logging.getLogger(__name__)

_MAILBOX_EVENTS = 1000
_MAX_NOTES = 262_144
_NOT_IN_NAMES = frozenset('<>:"|?*~&@;#$^')
_DEFAULT_ENDING = ".safetensors"


class NotDownloaded(InvalidRequest):
    """A download failed, or was cancelled."""


def download_request(asked: Arguments) -> DownloadRequest:
    """What is to be downloaded, and where to. Raises InvalidRequest.

    A name without an ending gets the one of the address, or ``.safetensors``.
    """
    url, kind, name = asked.text("url"), asked.text("type"), _clean_name(asked.text("name"))
    if not url.startswith(("http://", "https://")):
        raise InvalidRequest("Invalid URL.", field="url")
    if not name.rpartition("/")[2]:
        raise InvalidRequest("Invalid empty name.", field="name")
    if kind not in MODEL_TYPES:
        raise InvalidRequest("Invalid type.", field="type")
    ending = os.path.splitext(name)[1].lower()
    if ending not in EXTENSIONS:
        found = os.path.splitext(urlsplit(url).path)[1].lower()
        ending = found if found in EXTENSIONS else _DEFAULT_ENDING
        name += ending
    folder, _, file_name = name.rpartition("/")
    own = "diffusion" if kind == MAIN and ending == ".gguf" else MODEL_TYPES[kind][0]
    return DownloadRequest(model_type=own, url=url.partition("#")[0], name=file_name, subfolder=folder)


def notes_to_write(asked: Arguments) -> str:
    """The notes that are to lie beside the model, as JSON; empty for none. Raises InvalidRequest."""
    given = asked.text("metadata", "").strip()
    if not given:
        return ""
    try:
        is_object = len(given) <= _MAX_NOTES and isinstance(json.loads(given), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise InvalidRequest(f"metadata: must be a JSON object of at most {_MAX_NOTES} characters", field="metadata")
    return given


async def serve_download(call: SwarmSocket, runtime: Runtime) -> None:
    """Serve DoModelDownloadWS: progress, then success or what went wrong. A client that leaves leaves the download to
    go on, and one that sends ``{"signal": "cancel"}`` stops it."""
    asked, notes = download_request(call.arguments), notes_to_write(call.arguments)
    with runtime.jobs.bus.subscribe(_MAILBOX_EVENTS) as mailbox:
        try:
            submitted = await asyncio.to_thread(
                runtime.downloads.submission.submit, asked, origin="swarmui", owner=owner_of(call.session)
            )
        except Conflict as error:
            is_running = "job_id" in error.detail
            words = error.message if is_running else "Model at that save path already exists."
            raise InvalidRequest(words, field="name") from None
        hearing = asyncio.create_task(_hear_cancel(call, submitted.job.id, runtime.jobs.queue))
        try:
            ended = await _follow(call, submitted.job.id, mailbox, runtime.jobs.queue)
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
    if ended.status != "completed":
        raise NotDownloaded(ended.error or "Download was cancelled.")
    if notes:
        await asyncio.to_thread(_keep_notes, runtime.models.library, submitted.params, notes)
    await call.send({"success": True})


async def _follow(call: SwarmSocket, job_id: str, mailbox: Subscription, queue: JobQueue) -> Job:
    """Tell of a download's progress until it has ended."""
    async for event in _events(mailbox):
        if isinstance(event, TransferProgress) and event.job_id == job_id:
            await call.send(progress_frame(event))
        elif mailbox.overflowed or (
            isinstance(event, JobStatusChanged) and event.job_id == job_id and event.status in FINISHED
        ):
            break
    return await asyncio.to_thread(queue.wait, job_id, None)


def _keep_notes(library: ModelLibrary, params: DownloadParams, notes: str) -> None:
    """The model is there, whether its notes can be written or not."""
    try:
        write_notes(library.find(params.model_type, params.model_name), notes)
    except (OSError, SdcppRestError) as error:
        log.warning("the notes about %s were not written: %s", params.model_name, error)


def progress_frame(event: TransferProgress) -> Mapping[str, Any]:
    """Shares from 0 to 1, and bytes per second. The file is all there is to do."""
    share = min(1.0, event.downloaded_bytes / event.total_bytes) if event.total_bytes else 0.0
    return {"current_percent": share, "overall_percent": share, "per_second": event.bytes_per_second}


async def _events(mailbox: Subscription) -> AsyncIterator[Event | None]:
    """What the bus tells, as it comes; ``None`` where the mailbox has overflowed."""
    loop, arrived = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        # The loop may be closed already: the server stops.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(arrived.set)

    mailbox.on_ready(wake)
    while True:
        arrived.clear()
        while (event := mailbox.get(0)) is not None:
            yield event
        if mailbox.overflowed:
            yield None
        await arrived.wait()


async def _hear_cancel(call: SwarmSocket, job_id: str, queue: JobQueue) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            with contextlib.suppress(SdcppRestError):
                heard = await call.receive()
                if str(heard.get("signal", "")).lower() == "cancel":
                    await asyncio.to_thread(queue.cancel, job_id)


def _clean_name(name: str) -> str:
    """``name`` as SwarmUI writes it, without what file names cannot hold. Raises InvalidRequest for one that leaves the
    folder."""
    cleaned = clean_path("".join(one for one in name.replace(" ", "_") if one not in _NOT_IN_NAMES and one >= " "))
    if any(part in (".", "..") for part in cleaned.split("/")):
        raise InvalidRequest(f"name: '{shorten(name)}' leads out of the model folders", field="name")
    return cleaned
