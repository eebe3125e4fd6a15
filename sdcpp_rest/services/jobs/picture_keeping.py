"""Keeps pictures that clients bring along as if they had been drawn: a completed job with one file.

Nothing is queued or computed. Knows jobs and outputs; must not know what the parameters mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sdcpp_rest.core.job import Job, JobKind, utc_now
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.services.jobs import job_record
from sdcpp_rest.services.jobs.job_reader import JobReader
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.store.job_store import JobStore

if TYPE_CHECKING:
    from PIL import Image

_FILE = "image_0.png"


class PictureNotStored(SdcppRestError):
    """The output folder takes no picture: it is full, or cannot be written."""

    code = "picture_not_stored"


class PictureKeeping:
    """Keeps pictures that were not drawn here.

    Thread-safe.
    """

    def __init__(self, queue: JobReader, jobs: JobStore, outputs: Outputs) -> None:
        self._queue = queue
        self._jobs = jobs
        self._outputs = outputs

    def keep(
        self,
        picture: Image.Image,
        kind: JobKind,
        params: Mapping[str, Any],
        *,
        spec: LoadSpec | None,
        caption: str,
        origin: str,
        owner: str | None,
        version: str,
    ) -> Job:
        """A completed job with ``picture`` as its output, ``caption`` inside. Raises PictureNotStored."""
        # Here, because it brings Pillow along.
        from sdcpp_rest.services.pictures.picture_formats import KEY, encode

        job_id = self._queue.new_id()
        if (earlier := self._queue.find_earlier(job_id)) is not None:
            return earlier[0]
        now = utc_now()
        job = Job(
            id=job_id,
            kind=kind,
            status="completed",
            created_at=now,
            started_at=now,
            completed_at=now,
            params=dict(params),
            load_spec=spec,
            origin=origin,
            owner=owner,
            caption=caption,
        )
        spool = self._outputs.spool_of(job.id)
        try:
            spool.mkdir(parents=True)
            (spool / _FILE).write_bytes(encode(picture, "png", 100, {KEY: caption}))
            record = job_record.record(job, job.timings, (), version, None)
            outputs = self._outputs.publish(job.id, (_FILE,), record)
        except OSError as error:
            self._outputs.discard_spool(job.id)
            raise PictureNotStored(f"The picture could not be stored: {error.strerror or error}") from error
        job = job.model_copy(update={"outputs": outputs})
        self._jobs.insert_finished(job)
        return job
