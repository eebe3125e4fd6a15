"""Turns a request for pictures into a job: defaults filled in, names resolved, every number checked, pictures decoded.

All dialects come through here, and nothing that is known to end the library's process goes past it. Values are judged
by the limits of the configuration; types were settled by the dialect that parsed the body.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Literal

from sdcpp_rest.core.job import Job, JobGroup
from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import NoModelLoaded
from sdcpp_rest.services.dispatch.model_slot import ModelSlot
from sdcpp_rest.services.jobs.job_entry import JobEntry
from sdcpp_rest.services.submission.chunk_checks import ChunkChecks
from sdcpp_rest.services.submission.picture_checks import CheckedPicture, PictureChecks
from sdcpp_rest.services.submission.sampling_intake import SamplingIntake


class Submission:
    """Checks a request for pictures and submits it as a job."""

    def __init__(
        self,
        models: ModelSlot,
        intake: SamplingIntake,
        checks: PictureChecks,
        entry: JobEntry,
        chunks: ChunkChecks | None = None,
    ) -> None:
        self._models = models
        self._intake = intake
        self._checks = checks
        self._entry = entry
        self._chunks = chunks

    def picture(
        self,
        kind: Literal["txt2img", "img2img"],
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
        upscaler: UpscalerSpec | None = None,
    ) -> tuple[Job, int]:
        """Submit a picture job; returns it with its position.

        Args:
            asked: only what the client sent, in `ImageParams` names, and ``pm_id_embed_path``; omitted fields get the
                model's defaults. ``hires_upscaler`` may be the name of an ESRGAN file.
            images: role -> base64 text or data URL; roles are ``init_image``, ``mask_image``, ``control_image``,
                ``ref_images.N``, ``pm_id_images.N``.
            spec: the model to bind to; the selected one if ``None``.
            caption: the text for its pictures, in place of our own.
            note: kept with the job for who submits it.
            job_id: the job's id, where it must be known before the job is; as `JobEntry.enter_saved` has it.
            device: the engine to run on, by name; any if ``None``.
            upscaler: what ``upscale`` enlarges with; the selected one if ``None``.

        Raises NoModelLoaded, NoUpscalerLoaded, InvalidRequest, QueueFull, EngineUnavailable.
        """
        checked = self.check(kind, asked, images=images, spec=spec, upscaler=upscaler)
        params = checked.params
        return self._entry.enter(
            kind,
            params,
            images=checked.images,
            size=(params.width, params.height),
            spec=checked.spec,
            resizes_references=params.auto_resize_ref_image,
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
        self,
        kind: Literal["txt2img", "img2img"],
        asked: Mapping[str, Any],
        *,
        images: Mapping[str, str] | None = None,
        spec: LoadSpec | None = None,
        upscaler: UpscalerSpec | None = None,
    ) -> CheckedPicture:
        """What `picture` would submit, with all its warnings, but for the pictures, which are not decoded yet.

        Raises NoModelLoaded, NoUpscalerLoaded, InvalidRequest.
        """
        spec = spec or self._models.selected
        if spec is None:
            raise NoModelLoaded("No model loaded")
        fields = dict(asked)
        embedding_name = fields.pop("pm_id_embed_path", None) or ""
        params, found = self._intake.params(ImageParams, kind, fields, spec)
        checked = self._checks.check(params, spec, images or {}, embedding_name=embedding_name, upscaler=upscaler)
        if self._chunks is not None:
            self._chunks.check(checked.params, checked.spec)
        return replace(checked, warnings=(*found, *checked.warnings))
