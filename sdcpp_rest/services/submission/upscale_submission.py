"""Turns a request to enlarge a picture into a job: the picture decoded, the upscaler bound, the result's size bounded.

The picture is sent along, or is one of a finished job's.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sdcpp_rest.config import Config
from sdcpp_rest.core.bounds import check_value
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.job import Job, JobGroup
from sdcpp_rest.core.load_spec import UpscalerSpec
from sdcpp_rest.core.params import UpscaleParams
from sdcpp_rest.errors import InvalidRequest, NoUpscalerLoaded
from sdcpp_rest.services.dispatch.upscaler_slot import UpscalerSlot
from sdcpp_rest.services.jobs.job_entry import JobEntry
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.pictures.input_images import decode_base64, has_transparency, open_picture, to_rgb
from sdcpp_rest.services.pictures.outputs import Outputs

_ROLE = "image"
_LONGEST_CAPTION = 65_536


class UpscaleRequest(Frozen):
    """What a client asks for: ``image_base64``, or picture ``image_index`` of the finished job ``job_id``.

    ``upscale_factor`` and ``tile_size`` of ``None`` are the upscaler's own.
    """

    image_base64: str = ""
    job_id: str = ""
    image_index: int = 0
    upscale_factor: int | None = None
    tile_size: int | None = None
    repeats: int = 1


class UpscaleSubmission:
    """Checks a request to enlarge a picture and submits it as a job."""

    def __init__(
        self, config: Config, queue: JobQueue, upscalers: UpscalerSlot, outputs: Outputs, entry: JobEntry
    ) -> None:
        self._largest_side = config.limits.upscaled_side
        self._queue = queue
        self._upscalers = upscalers
        self._outputs = outputs
        self._entry = entry

    def submit(
        self,
        asked: UpscaleRequest,
        *,
        spec: UpscalerSpec | None = None,
        title: str | None = None,
        origin: str = "native",
        owner: str | None = None,
        warnings: Collection[str] = (),
        job_id: str | None = None,
        group: JobGroup | None = None,
        device: str | None = None,
    ) -> tuple[Job, int]:
        """Submit an upscaling job; returns it with its position. ``spec`` is the upscaler to use; the chosen one if
        ``None``. ``job_id`` as `Submission.picture` has it.

        Raises NoUpscalerLoaded, InvalidRequest, JobNotFound, QueueFull, EngineUnavailable.
        """
        params, picture, found = self.check(asked, spec)

        def save(folder: Path) -> dict[str, str]:
            folder.mkdir(parents=True, exist_ok=True)
            # Sent again as it lies there, it is the same picture with the same caption.
            texts = PngInfo()
            if params.caption:
                texts.add_itxt("parameters", params.caption)
            to_rgb(picture, None).save(folder / f"{_ROLE}.png", "PNG", compress_level=1, pnginfo=texts)
            return {_ROLE: f"{_ROLE}.png"}

        return self._entry.enter_saved(
            "upscale",
            params,
            save=save,
            spec=None,
            title=title,
            origin=origin,
            owner=owner,
            warnings=(*warnings, *found),
            job_id=job_id,
            group=group,
            device=device,
        )

    def check(
        self, asked: UpscaleRequest, spec: UpscalerSpec | None = None
    ) -> tuple[UpscaleParams, Image.Image, tuple[str, ...]]:
        """What `submit` would submit: parameters, the picture, and warnings. Raises NoUpscalerLoaded, InvalidRequest,
        JobNotFound."""
        spec = spec or self._upscalers.selected
        if spec is None:
            raise NoUpscalerLoaded("No upscaler loaded; load one with POST /upscaler/load")
        check_value(UpscaleParams, "upscale_factor", asked.upscale_factor)
        check_value(UpscaleParams, "repeats", asked.repeats)
        if asked.tile_size is not None and asked.tile_size != spec.tile_size:
            spec = self._upscalers.build_spec(spec.model.name, spec.n_threads, asked.tile_size)
        data = self._read_picture(asked)
        picture = open_picture("image_base64" if asked.image_base64 else "image_index", data)
        self._check_size(picture, asked)
        warnings: tuple[str, ...] = ()
        if has_transparency(picture):
            warnings = ("The picture is transparent in places, which an upscaler cannot keep: it becomes white there.",)
        params = UpscaleParams(
            upscaler=spec,
            upscale_factor=asked.upscale_factor,
            repeats=asked.repeats,
            caption=_caption(picture),
        )
        return params, picture, warnings

    def _read_picture(self, asked: UpscaleRequest) -> bytes:
        """The bytes of the picture file. Raises InvalidRequest, JobNotFound."""
        if asked.image_base64:
            return decode_base64("image_base64", asked.image_base64)
        if not asked.job_id:
            raise InvalidRequest(
                "image_base64 is required (or job_id, with image_index, for a picture made here)", field="image_base64"
            )
        outputs = self._queue.get(asked.job_id).outputs
        if not 0 <= asked.image_index < len(outputs):
            had = f"from 0 to {len(outputs) - 1}" if outputs else "no pictures there"
            raise InvalidRequest(
                f"image_index must be {had}, got {asked.image_index}",
                field="image_index",
                value=asked.image_index,
                allowed=had,
            )
        try:
            return self._outputs.path_of(outputs[asked.image_index]).read_bytes()
        except OSError as error:
            raise InvalidRequest(
                f"{outputs[asked.image_index]} cannot be read: {error.strerror}", field="image_index"
            ) from None

    def _check_size(self, picture: Image.Image, asked: UpscaleRequest) -> None:
        ready = self._upscalers.ready
        factor = asked.upscale_factor or (ready.factor if ready else 1)
        longest = max(picture.size) * factor**asked.repeats
        if longest > self._largest_side:
            raise InvalidRequest(
                f"{picture.width}x{picture.height} made {factor**asked.repeats} times larger has a side of {longest} "
                f"pixels; at most {self._largest_side} are allowed (limits.upscaled_side)",
                field="upscale_factor",
                value=factor,
            )


def _caption(picture: Image.Image) -> str:
    text = picture.info.get("parameters", "")
    return text[:_LONGEST_CAPTION] if isinstance(text, str) else ""
