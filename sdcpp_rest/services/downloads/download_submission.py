"""Checks a request for a download and submits its jobs: asks the source what it has, checks the place and the disk,
puts two jobs into the queue (the download, and the one that checks what was downloaded).

Does not fetch any file.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from sdcpp_rest.config import DownloadsConfig
from sdcpp_rest.core.catalog import ModelType
from sdcpp_rest.core.changes import note_change
from sdcpp_rest.core.download_source import (
    DownloadParams,
    DownloadSource,
    HashParams,
    hide_secrets,
    parse_model_and_version,
    recognise_source,
    repo_id_of,
)
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.job import Job
from sdcpp_rest.errors import Conflict, InvalidRequest
from sdcpp_rest.services.address_check import check_host
from sdcpp_rest.services.downloads.civitai_source import CivitaiSource
from sdcpp_rest.services.downloads.download_places import DownloadPlaces, read_params
from sdcpp_rest.services.downloads.huggingface_source import HuggingFaceSource
from sdcpp_rest.services.downloads.offered_file import OfferedFile
from sdcpp_rest.services.downloads.stop_switch import AddressRule
from sdcpp_rest.services.downloads.url_source import UrlSource
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.models.model_folders import model_type_named
from sdcpp_rest.services.models.model_upload import ModelUploads, UploadTarget, check_room
from sdcpp_rest.services.pictures.outputs import Outputs

ADDRESS_FILE = "address"
"""In the job's own folder: the whole address of a download whose row holds it without its secrets."""


class DownloadRequest(Frozen):
    """What a client asks for. ``name``: what the file is to be called; empty: what its source calls it."""

    model_type: str
    source: str = ""
    url: str = ""
    model_id: str = ""
    repo_id: str = ""
    filename: str = ""
    revision: str = ""
    subfolder: str = ""
    name: str = ""
    overwrite: bool = False
    title: str = ""


class SubmittedDownload(Frozen):
    """Two jobs in the queue. ``position`` is the download's."""

    job: Job
    hash_job_id: str
    position: int
    params: DownloadParams


class DownloadSources:
    """Asks the source of a download what it has, and knows who may be called for which."""

    def __init__(self, config: DownloadsConfig) -> None:
        allowed = tuple(config.allow_private_hosts)
        self.rule: AddressRule = functools.partial(check_host, allowed=allowed)
        self.huggingface = HuggingFaceSource(config)
        # Whoever configures an endpoint has allowed it, for its own files.
        self.huggingface_rule: AddressRule = functools.partial(check_host, allowed=(*allowed, self.huggingface.host))
        civitai = urlsplit(config.civitai_endpoint).netloc
        self.civitai_rule: AddressRule = functools.partial(check_host, allowed=(*allowed, civitai))
        self.civitai = CivitaiSource(config, self.civitai_rule)
        self.url = UrlSource(config, self.rule)

    def recognise_source(self, asked: dict[str, Any]) -> DownloadSource:
        """See `core.download_source.recognise_source`."""
        return recognise_source(asked, self.huggingface.host, self.civitai.host)

    def offer(self, wanted: DownloadSource) -> OfferedFile:
        """What the source says about the file that is wanted. Raises what that source raises."""
        if wanted.source == "civitai":
            return self.civitai.offer(wanted)
        return self.huggingface.offer(wanted) if wanted.source == "huggingface" else self.url.offer(wanted)


class Downloads:
    """Checks a request for a model file and submits the jobs that download and check it.

    Thread-safe.
    """

    def __init__(
        self,
        sources: DownloadSources,
        queue: JobQueue,
        uploads: ModelUploads,
        places: DownloadPlaces,
        outputs: Outputs,
    ) -> None:
        self._sources = sources
        self._queue = queue
        self._uploads = uploads
        self._places = places
        self._outputs = outputs
        self.submitting = threading.Lock()
        """Held while the two jobs of a download are put into the queue: the lane must not find only the first."""

    def submit(
        self,
        asked: DownloadRequest,
        *,
        origin: str = "native",
        owner: str | None = None,
        warnings: Collection[str] = (),
    ) -> SubmittedDownload:
        """Submit a download; blocks while the source is asked what it has.

        Raises InvalidRequest naming the field, Conflict when the name is taken or being downloaded, DiskFull,
        HostRefused, SourceForbidden, SourceNotFound, SourceUnavailable, SourceWrong, QueueFull, EngineUnavailable.
        """
        job_id, hash_job_id = self._queue.new_id(), self._queue.new_id()
        if (earlier := self._queue.find_earlier(job_id)) is not None:
            params = DownloadParams.model_validate(earlier[0].params)
            with self.submitting:
                # Of the two, the second may not be there.
                job, position = self._submit_both(job_id, params, params.url, asked.title, origin, owner, warnings)
            return SubmittedDownload(job=job, hash_job_id=params.hash_job_id, position=position, params=params)
        kind = model_type_named("model_type", asked.model_type)
        wanted = self._sources.recognise_source(asked.model_dump())
        if asked.name:
            self._place(kind, asked.name, asked)
        offered = self._sources.offer(wanted)
        name = asked.name or offered.name
        self._place(kind, name, asked)
        address, subfolder = hide_secrets(offered.url), asked.subfolder.strip().replace("\\", "/")
        params = DownloadParams(
            source=wanted.source,
            model_type=kind,
            url=address,
            name=name,
            subfolder=subfolder,
            overwrite=asked.overwrite,
            size_bytes=offered.size_bytes,
            sha256=offered.sha256,
            hash_job_id=hash_job_id,
            **{"filename": wanted.filename, **offered.facts},
        )
        if wanted.source == "huggingface":
            licence = self._sources.huggingface.licence(params.repo_id, params.revision)
            params = params.model_copy(update={"licence": licence})
        part, _ = self._places.prepare(params)
        there = part.stat().st_size if part.exists() else 0
        check_room(part.parent, max(0, (offered.size_bytes or offered.about_bytes or 0) - there))
        said = (*warnings, *wanted.warnings, *offered.warnings)
        with self.submitting:
            self._refuse_twice(params)
            job, position = self._submit_both(job_id, params, offered.url, asked.title, origin, owner, said)
        self._queue.wake_workers()
        note_change("models.download", None, {"file": f"{kind}/{name}", "from": address, "job_id": job.id})
        return SubmittedDownload(job=job, hash_job_id=params.hash_job_id, position=position, params=params)

    def civitai(self, model_id: str) -> OfferedFile:
        """What CivitAI says about ``123456`` or ``123456:789012``. Raises as the source does."""
        model, version = parse_model_and_version(model_id, "id")
        return self._sources.civitai.offer(DownloadSource(source="civitai", model_id=model, version_id=version))

    def huggingface(self, repo_id: str, filename: str, revision: str) -> tuple[OfferedFile, str]:
        """What Hugging Face says about a file, and the repository's licence. Raises as the source does."""
        wanted = self._sources.recognise_source(
            {"source": "huggingface", "repo_id": repo_id_of(repo_id), "filename": filename, "revision": revision}
        )
        offered = self._sources.huggingface.offer(wanted)
        return offered, self._sources.huggingface.licence(wanted.repo_id, wanted.revision or "main")

    def _place(self, kind: ModelType, name: str, asked: DownloadRequest) -> None:
        try:
            self._uploads.place(UploadTarget(kind, name, asked.subfolder, asked.overwrite))
        except InvalidRequest as error:
            if asked.name or error.detail.get("field") != "name":
                raise
            raise InvalidRequest(
                f"{error.message}. That is the source's name for it; give another one as name, or say which file",
                **error.detail,
            ) from None

    def _refuse_twice(self, params: DownloadParams) -> None:
        for job in self._queue.list(limit=0, kind="model_download"):
            other = read_params(job)
            if other is not None and _place_of(other) == _place_of(params):
                raise Conflict(f"{params.model_name} is being downloaded already", field="name", job_id=job.id)

    def _submit_both(
        self,
        job_id: str,
        params: DownloadParams,
        address: str,
        title: str,
        origin: str,
        owner: str | None,
        warnings: Collection[str],
    ) -> tuple[Job, int]:
        if address != params.url:
            self._keep_address(job_id, address)
        try:
            job, position = self._queue.submit(
                "model_download",
                params.model_dump(mode="json"),
                job_id=job_id,
                title=title or None,
                origin=origin,
                owner=owner,
                warnings=warnings,
            )
        except BaseException:
            self._outputs.discard_inputs(job_id)
            raise
        check = HashParams(
            model_type=params.model_type,
            model_name=params.model_name,
            download_job_id=job_id,
            sha256=params.sha256,
        )
        try:
            self._queue.submit(
                "model_hash",
                check.model_dump(mode="json"),
                job_id=params.hash_job_id,
                title=title or None,
                origin=origin,
                owner=owner,
            )
        except BaseException:
            # The last free place in the queue: one without the other would not be what was asked for.
            with contextlib.suppress(Conflict):
                self._queue.cancel(job_id)
            raise
        return job, position

    def _keep_address(self, job_id: str, address: str) -> None:
        """For this user's eyes only, and only as long as the job."""
        folder = self._outputs.inputs_of(job_id)
        folder.mkdir(parents=True, exist_ok=True)
        with open(os.open(folder / ADDRESS_FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(address)


def _place_of(params: DownloadParams) -> tuple[str, str]:
    # On some systems names that differ in case mean one file.
    return params.model_type, params.model_name.casefold()
