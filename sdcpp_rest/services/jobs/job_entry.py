"""Puts a checked job into the queue, with its input pictures in its folder: both, or neither.

Every submission ends here. It must not know what a parameter means.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from typing_extensions import TypedDict, Unpack

from sdcpp_rest.core.job import Job, JobGroup, JobKind
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import Params
from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.pictures.input_images import save_inputs
from sdcpp_rest.services.pictures.outputs import Outputs


class InputsNotStored(SdcppRestError):
    """The data folder takes no input pictures: it is full, or cannot be written."""

    code = "inputs_not_stored"


class JobDetails(TypedDict, total=False):
    """What is told about a job beside its parameters; see `JobQueue.submit`."""

    title: str | None
    origin: str
    owner: str | None
    warnings: Collection[str]
    caption: str | None
    note: str | None
    group: JobGroup | None
    device: str | None


FindLack = Callable[[JobKind, str | None, LoadSpec | None], str | None]


class JobEntry:
    """Stores the input pictures of a new job and puts the job into the queue.

    Args:
        find_lack: what no engine has for a job of this kind, with this engine's name and model, in a sentence; a
            warning. ``None``: engines lack nothing.
    """

    def __init__(self, queue: JobQueue, outputs: Outputs, find_lack: FindLack | None = None) -> None:
        self._queue = queue
        self._outputs = outputs
        self._find_lack = find_lack

    def enter(
        self,
        kind: JobKind,
        params: Params,
        *,
        images: Mapping[str, str],
        size: tuple[int, int],
        spec: LoadSpec | None,
        resizes_references: bool = True,
        job_id: str | None = None,
        **more: Unpack[JobDetails],
    ) -> tuple[Job, int]:
        """Submit a job whose parameters have been checked; returns it with its position.

        ``images`` is role -> base64 text or data URL, for `save_inputs`, as are ``size`` and ``resizes_references``.
        Raises InvalidRequest for a picture that is none, InputsNotStored, QueueFull, EngineUnavailable.
        """

        # Read after the pictures are saved, which is when the last warnings are found.
        warnings = more["warnings"] = list(more.get("warnings", ()))

        def save(folder: Path) -> dict[str, str]:
            return save_inputs(folder, images, size, resizes_references=resizes_references, warn=warnings.append)

        return self.enter_saved(kind, params, save=save, spec=spec, job_id=job_id, **more)

    def enter_saved(
        self,
        kind: JobKind,
        params: Params,
        *,
        save: Callable[[Path], dict[str, str]],
        spec: LoadSpec | None,
        job_id: str | None = None,
        **more: Unpack[JobDetails],
    ) -> tuple[Job, int]:
        """The same for pictures that are decoded already: ``save`` puts them into a folder and tells role -> file name.

        ``job_id`` is for callers who must know it before the job is there, and of their own making: one that a client
        has sent could be another job's. Raises InputsNotStored, QueueFull, EngineUnavailable, and what ``save`` raises.
        """
        job_id = job_id or self._queue.new_id()
        if (earlier := self._queue.find_earlier(job_id)) is not None:
            return earlier
        try:
            try:
                inputs = save(self._outputs.inputs_of(job_id))
                self._outputs.keep_inputs(job_id)
            except OSError as error:
                raise InputsNotStored(f"The input pictures could not be stored: {error.strerror or error}") from error
            if self._find_lack is not None and (lack := self._find_lack(kind, more.get("device"), spec)):
                more["warnings"] = (*more.get("warnings", ()), f"{lack}.")
            return self._queue.submit(
                kind, params.model_dump(mode="json"), job_id=job_id, load_spec=spec, inputs=inputs, **more
            )
        except Exception:
            self._outputs.discard_inputs(job_id)
            raise
