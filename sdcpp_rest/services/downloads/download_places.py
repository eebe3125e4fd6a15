"""Chooses where a download lies until it is whole: hidden beside its place, under a name that the next try finds.

Knows the model folders through `ModelUploads`, whose checks every file passes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Collection, Iterable
from pathlib import Path

from pydantic import ValidationError

from sdcpp_rest.core.download_source import DownloadParams
from sdcpp_rest.core.job import Job
from sdcpp_rest.services.models.model_upload import ModelUploads, UploadTarget, disk_error

_PREFIX = ".download-"
_PART = ".part"
_NOTE = ".json"
# The next try of the same download goes on from them.
_KEPT_SECONDS = 7 * 86_400


class DownloadPlaces:
    """Chooses where a download lies on the disk while it is unfinished, and moves it when it is whole.

    Thread-safe.
    """

    def __init__(self, uploads: ModelUploads) -> None:
        self._uploads = uploads

    def prepare(self, params: DownloadParams) -> tuple[Path, Path]:
        """The partial file and its note, in a folder that is there. Raises as `ModelUploads.place`, DiskFull."""
        _, target = self._uploads.place(wish_of(params))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(error, target.parent) from None
        # Looked at again: a folder on the way may have become a link.
        self._uploads.place(wish_of(params))
        stem = f"{_PREFIX}{_key(params)}"
        return target.with_name(stem + _PART), target.with_name(stem + _NOTE)

    def discard(self, params: DownloadParams) -> None:
        """Remove what is there of a download. Never raises."""
        with contextlib.suppress(Exception):
            _, target = self._uploads.place(
                UploadTarget(params.model_type, params.name, params.subfolder, overwrite=True)
            )
            for ending in (_PART, _NOTE):
                with contextlib.suppress(OSError):
                    target.with_name(f"{_PREFIX}{_key(params)}{ending}").unlink(missing_ok=True)

    def sweep(self, folders: Iterable[Path], active: Collection[DownloadParams]) -> None:
        """At start: remove what nobody has gone on with for a week. Never raises."""
        kept = {_PREFIX + _key(params) for params in active}
        for folder in folders:
            for path, _, names in os.walk(folder):
                for name in names:
                    if not name.startswith(_PREFIX) or name.rpartition(".")[0] in kept:
                        continue
                    found = os.path.join(path, name)
                    with contextlib.suppress(OSError):
                        if time.time() - os.stat(found).st_mtime > _KEPT_SECONDS:
                            os.unlink(found)


def read_params(job: Job) -> DownloadParams | None:
    """The parameters in a download's row; ``None`` where another version wrote them, in words that are not ours."""
    try:
        return DownloadParams.model_validate(job.params)
    except ValidationError:
        return None


def wish_of(params: DownloadParams) -> UploadTarget:
    """Where the whole file is to go."""
    return UploadTarget(params.model_type, params.name, params.subfolder, params.overwrite)


def _key(params: DownloadParams) -> str:
    """The same for the same file of the same source at the same place, whoever asks and how often."""
    said = [params.url, params.sha256, params.size_bytes, params.model_type, params.subfolder, params.name]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:24]
