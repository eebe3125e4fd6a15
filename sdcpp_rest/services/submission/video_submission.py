"""Turns a request for a video into a job: defaults filled in, names resolved, every number checked, pictures decoded.

All dialects come through here, and nothing that is known to end the library's process goes past it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from sdcpp_rest.core.job import Job, JobGroup
from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.params import VideoParams
from sdcpp_rest.errors import NoModelLoaded
from sdcpp_rest.services.dispatch.model_slot import ModelSlot
from sdcpp_rest.services.jobs.job_entry import JobEntry
from sdcpp_rest.services.submission.sampling_intake import SamplingIntake
from sdcpp_rest.services.submission.video_checks import CheckedVideo, check_makes_video, check_video


class VideoSubmission:
    """Checks a request for a video and submits it as a job.

    ``memory`` answers the bytes of all memories together, ``None`` where nobody should care.
    """

    def __init__(
        self,
        models: ModelSlot,
        intake: SamplingIntake,
        entry: JobEntry,
        memory: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._models = models
        self._intake = intake
        self._entry = entry
        self._memory = memory

    def video(
        self,
        asked: Mapping[str, Any],
        *,
        images: Mapping[str, str] | None = None,
        spec: LoadSpec | None = None,
        title: str | None = None,
        origin: str = "native",
        owner: str | None = None,
        warnings: Collection[str] = (),
        caption: str | None = None,
        note: str | None = None,
        job_id: str | None = None,
        group: JobGroup | None = None,
        device: str | None = None,
    ) -> tuple[Job, int]:
        """Submit a video job; returns it with its position.

        Args:
            asked: only what the client sent, in `VideoParams` names; omitted fields get the model's defaults.
            images: role -> base64 text or data URL; roles are ``init_image``, ``end_image``, ``control_image`` (for
                all frames) and ``control_frames.N``. All are resized to the size of the video.
            spec: the model to bind to; the selected one if ``None``.
            job_id: as `Submission.picture` has it.

        Raises NoModelLoaded, InvalidRequest, QueueFull, EngineUnavailable.
        """
        params, checked = self.check(asked, images=images, spec=spec)
        return self._entry.enter(
            "txt2vid",
            params,
            images=checked.images,
            size=(params.width, params.height),
            spec=checked.spec,
            title=title,
            origin=origin,
            owner=owner,
            warnings=(*warnings, *checked.warnings),
            caption=caption,
            note=note,
            job_id=job_id,
            group=group,
            device=device,
        )

    def check(
        self, asked: Mapping[str, Any], *, images: Mapping[str, str] | None = None, spec: LoadSpec | None = None
    ) -> tuple[VideoParams, CheckedVideo]:
        """What `video` would submit, with all its warnings, but for the pictures, which are not decoded yet.

        Raises NoModelLoaded, InvalidRequest.
        """
        spec = spec or self._models.selected
        if spec is None:
            raise NoModelLoaded("No model loaded")
        check_makes_video(spec)
        params, found = self._intake.params(VideoParams, "txt2vid", asked, spec)
        checked = check_video(
            params, spec, images or {}, asked, self._intake.limits, self._intake.ready(), self._memory()
        )
        return params, replace(checked, warnings=(*found, *checked.warnings))
