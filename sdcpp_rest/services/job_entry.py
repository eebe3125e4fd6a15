"""The last step of every submission: input pictures into the job's folder, the job into the queue, or neither."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping

from sdcpp_rest.core.job import Job, JobKind
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import Params
from sdcpp_rest.services.input_images import save_inputs
from sdcpp_rest.services.job_queue import JobQueue
from sdcpp_rest.services.outputs import Outputs


class JobEntry:
    """See the module."""

    def __init__(self, queue: JobQueue, outputs: Outputs) -> None:
        self._queue = queue
        self._outputs = outputs

    def enter(
        self,
        kind: JobKind,
        params: Params,
        *,
        images: Mapping[str, str],
        size: tuple[int, int],
        spec: LoadSpec | None,
        resizes_references: bool = True,
        title: str | None = None,
        origin: str = "native",
        owner: str | None = None,
        warnings: Collection[str] = (),
    ) -> tuple[Job, int]:
        """Submit a job whose parameters have been checked; returns it with its position.

        ``images`` is role -> base64 text or data URL, for `save_inputs`, as are ``size`` and ``resizes_references``.
        Raises InvalidRequest for a picture that is none, QueueFull, EngineUnavailable.
        """
        job_id = str(uuid.uuid4())
        try:
            inputs = save_inputs(self._outputs.inputs_of(job_id), images, size, resizes_references=resizes_references)
            return self._queue.submit(
                kind,
                params.model_dump(mode="json"),
                job_id=job_id,
                load_spec=spec,
                inputs=inputs,
                title=title,
                origin=origin,
                owner=owner,
                warnings=warnings,
            )
        except Exception:
            self._outputs.discard_inputs(job_id)
            raise
