"""Reads what agents may look at by its URI: health, models, the queue, finished pictures and their files.

Knows URIs and services; knows no SDK. Blocks: call it on a thread.
"""

from __future__ import annotations

import base64
import mimetypes
import re
from typing import Any
from urllib.parse import unquote

from sdcpp_rest.core.job import ACTIVE
from sdcpp_rest.errors import NotFound, PayloadTooLarge, SdcppRestError
from sdcpp_rest.routes.http.answers import json_text, shorten
from sdcpp_rest.routes.mcp.calls import AgentCaller
from sdcpp_rest.routes.mcp.given import OUTPUT_URI
from sdcpp_rest.routes.mcp.listing import ListedPage, Listings
from sdcpp_rest.routes.mcp.parts import ServerParts
from sdcpp_rest.routes.mcp.translate import describe_unfinished
from sdcpp_rest.routes.mcp.wire import MOST_LISTED

MOST_FILE_BYTES = 16 << 20
"""Of a file that is read as a resource; larger ones have a URL."""

_MOST_WAITING = 100
_OUTPUT = re.compile(r"[^/\\]{1,100}/[^/\\]{1,200}")

RESOURCES = (
    ("sdcpp://health", "health", "The server, its engine and its memory."),
    ("sdcpp://models", "models", "Models, upscalers and LoRAs, as list_models tells them."),
    ("sdcpp://queue", "queue", "Jobs that run or wait."),
    ("sdcpp://outputs", "outputs", f"The newest {MOST_LISTED} jobs that have made pictures or videos."),
)
"""URI, name and description of each fixed resource; all are JSON."""

TEMPLATE = (f"{OUTPUT_URI}{{job}}/{{file}}", "output", "A finished file: a picture, a video or config.json.")


class Resources:
    """Reads resources by their URIs."""

    def __init__(self, parts: ServerParts) -> None:
        self._parts = parts
        self._listings = Listings(parts)

    def read(self, uri: str, caller: AgentCaller) -> dict[str, Any]:
        """The contents at ``uri``, in the shape of ``resources/read``. Raises NotFound, PayloadTooLarge."""
        if uri.startswith(OUTPUT_URI):
            return self._read_file(uri)
        if uri == "sdcpp://health":
            facts: Any = self._parts.status.health()
        elif uri == "sdcpp://models":
            facts = self._listings.list_models()
        elif uri == "sdcpp://queue":
            facts = self._show_queue()
        elif uri == "sdcpp://outputs":
            facts = self._listings.list_images(caller, ListedPage("", MOST_LISTED))
        else:
            known = ", ".join([*(known for known, _, _ in RESOURCES), TEMPLATE[0]])
            raise NotFound(f"There is no resource {shorten(uri)!r}; there are {known}")
        return {"uri": uri, "mimeType": "application/json", "text": json_text(facts)}

    def _show_queue(self) -> dict[str, Any]:
        jobs = self._parts.jobs
        active = jobs.queue.list(_MOST_WAITING, status=ACTIVE, order="asc")
        places = jobs.queue.positions()
        shown = []
        for job in active:
            running = jobs.active.get(job.id)
            step_seconds = running.last_step_seconds if running is not None else 0.0
            facts = describe_unfinished(job, jobs.queue.progress(job), places.get(job.id), step_seconds)
            shown.append({"kind": job.kind, **{name: value for name, value in facts.items() if name != "next"}})
        return {"counts": jobs.queue.counts(), "paused": jobs.queue.is_paused, "jobs": shown}

    def _read_file(self, uri: str) -> dict[str, Any]:
        name = unquote(uri.removeprefix(OUTPUT_URI))
        try:
            if not _OUTPUT.fullmatch(name):
                raise NotFound("no such name")
            path = self._parts.jobs.outputs.path_of(name)
            if path.is_dir():
                raise NotFound("a folder")
            if path.stat().st_size > MOST_FILE_BYTES:
                raise PayloadTooLarge(
                    f"{name} is larger than {MOST_FILE_BYTES >> 20} MiB; fetch it from /output/{name}"
                )
            data = path.read_bytes()
        except PayloadTooLarge:
            raise
        except (SdcppRestError, OSError):
            raise NotFound(f"There is no file {shorten(uri)!r}") from None
        media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return {"uri": uri, "mimeType": media_type, "blob": base64.b64encode(data).decode("ascii")}
