"""Reads the pictures that agents give: of a job of ours, at an address, or in the call itself.

Language models cannot write more than some kilobytes of base64: what they mostly give is a reference. Every size is
bounded before anything is decoded.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from urllib.parse import unquote

from sdcpp_rest.errors import InvalidRequest, JobNotFound, NotFound
from sdcpp_rest.groups.core_groups import JobServices
from sdcpp_rest.routes.http.answers import shorten
from sdcpp_rest.routes.mcp.calls import AgentCaller
from sdcpp_rest.services.downloads.picture_fetching import PictureFetching
from sdcpp_rest.services.pictures import picture_links

OUTPUT_URI = "sdcpp://output/"

_JOB_ID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_JOB = re.compile(_JOB_ID)
_FILE_OF_JOB = re.compile(rf"({_JOB_ID})/([^/\\]{{1,200}})")


class GivenPictures:
    """Reads the pictures of one call; together they may be as large as a body.

    Args:
        most_bytes: of all of them.
    """

    def __init__(self, jobs: JobServices, fetching: PictureFetching, caller: AgentCaller, most_bytes: int) -> None:
        self._jobs = jobs
        self._fetching = fetching
        self._caller = caller
        self._left = most_bytes

    def read(self, field: str, given: str) -> str:
        """The picture as base64, or as it was given where it is in the call itself; blocks while it is fetched.

        Raises InvalidRequest naming ``field``, and what `PictureFetching.fetch` raises.
        """
        text = given.strip()
        name = self._name_of(text)
        if name is not None:
            return self._encode(field, self._read_output(field, text, name))
        if text[:8].lower().startswith(("http://", "https://")):
            return self._encode(field, self._fetching.fetch(field, text, self._left))
        if "://" in text[:40] and text[:5].lower() != "data:":
            raise InvalidRequest(f"{field}: {shorten(text)!r} is no address that pictures are read from", field=field)
        self._take(field, len(text))
        return text

    def _name_of(self, text: str) -> str | None:
        """``<job>`` or ``<job>/<file>`` of a reference to a picture of ours; ``None`` for anything else."""
        if _JOB.fullmatch(text) or _FILE_OF_JOB.fullmatch(text):
            return text
        if text.startswith(OUTPUT_URI):
            return unquote(text.removeprefix(OUTPUT_URI))
        own = f"{self._caller.root_url}/output/"
        if text.startswith(own):
            return unquote(text.removeprefix(own).partition("?")[0])
        link = self._caller.root_url + picture_links.PREFIX
        if text.startswith(link):
            return unquote(text.removeprefix(link).partition("?")[0].partition("/")[2])
        folder = f"{self._jobs.outputs.output_dir}/"
        if self._caller.is_local and text.startswith(folder):
            return text.removeprefix(folder)
        return None

    def _read_output(self, field: str, text: str, name: str) -> bytes:
        try:
            if _JOB.fullmatch(name):
                name = self._first_output(field, name)
            if not _FILE_OF_JOB.fullmatch(name):
                raise NotFound("no such picture")
            path = self._jobs.outputs.path_of(name)
            self._take(field, path.stat().st_size)
            return Path(path).read_bytes()
        except (JobNotFound, NotFound, OSError):
            raise InvalidRequest(f"{field}: there is no such picture here: {shorten(text)}", field=field) from None

    def _first_output(self, field: str, job_id: str) -> str:
        job = self._jobs.queue.get(job_id)
        if not job.outputs:
            raise InvalidRequest(f"{field}: job {job_id} is {job.status} and has no picture", field=field)
        return job.outputs[0]

    def _encode(self, field: str, data: bytes) -> str:
        if not data:
            raise InvalidRequest(f"{field} is empty", field=field)
        return base64.b64encode(data).decode("ascii")

    def _take(self, field: str, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise InvalidRequest(f"{field}: the pictures are too large together (limits.body_bytes)", field=field)
