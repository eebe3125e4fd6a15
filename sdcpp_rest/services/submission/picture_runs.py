"""Several pictures as one run each, for dialects that answer with pictures: they arrive one by one, and who stops the
rest keeps the finished ones.

The library decodes a batch only at its end. Knows the submission and the queue, and no dialect.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.errors import Conflict, EngineDied, NotFound, SdcppRestError, error_of_job
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.submission.picture_submission import Submission


class PictureRuns:
    """Submits several pictures as one job each and collects them as they finish.

    Thread-safe.
    """

    def __init__(self, submission: Submission, queue: JobQueue) -> None:
        self._submission = submission
        self._queue = queue

    def begin(
        self,
        kind: Literal["txt2img", "img2img"],
        asked: Mapping[str, Any],
        count: int = 1,
        *,
        images: Mapping[str, str] | None = None,
        spec: LoadSpec | None = None,
        origin: str,
        owner: str | None = None,
        warnings: Collection[str] = (),
    ) -> tuple[Job, ...]:
        """Submit ``count`` jobs that differ only in their seeds, which follow each other; all of them or none.

        The rest is as in `Submission.picture`, and so is what is raised.
        """
        jobs: list[Job] = []
        try:
            for k in range(count):
                seeded = {**asked, "seed": int(jobs[0].params["seed"]) + k} if jobs else asked
                job, _ = self._submission.picture(
                    kind, seeded, images=images, spec=spec, origin=origin, owner=owner, warnings=warnings
                )
                jobs.append(job)
        except Exception:
            self.cancel(jobs)
            raise
        return tuple(jobs)

    def results(self, jobs: Sequence[Job]) -> list[Job]:
        """Wait for all; those that were finished, in order. Cancelled ones are left out, unless all were.

        Raises as `job_with_pictures` for the first that failed (the others are cancelled then), Conflict when all were
        cancelled, EngineUnavailable when the server stops meanwhile (the jobs go on when it is back).
        """
        done = list(self._each(jobs))
        if not done:
            raise Conflict("The job was cancelled before a picture was finished")
        return done

    def _each(self, jobs: Sequence[Job]) -> Iterator[Job]:
        for job in jobs:
            ended = self._queue.wait(job.id)
            try:
                done = job_with_pictures(ended)
            except SdcppRestError:
                self.cancel(jobs)
                raise
            if done is not None:
                yield done

    def cancel(self, jobs: Sequence[Job]) -> None:
        """Cancel those that are not finished."""
        for job in reversed(jobs):
            with contextlib.suppress(Conflict, NotFound):
                self._queue.cancel(job.id)


def job_with_pictures(job: Job) -> Job | None:
    """A job that has ended: itself if it has pictures, ``None`` if it was cancelled.

    Raises EngineDied or GenerationFailed (or one of its kinds), with the job's error, if it failed.
    """
    if job.status == "cancelled":
        return None
    if job.status == "completed":
        return job
    message = job.error or "The picture could not be drawn"
    if job.error_code == EngineDied.code:
        raise EngineDied(message, job_id=job.id)
    raise error_of_job(job.error_code, message, job_id=job.id)
