"""Enlarges pictures by any factor or to any size: with an ESRGAN model through the queue, or by resampling here.

For calls that answer with the picture. Knows the upscaling submission and rounds, and no dialect.
"""

from __future__ import annotations

import base64
import contextlib
import io
import math
from typing import Literal

from PIL import Image

from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.core.job import Job
from sdcpp_rest.core.load_spec import UpscalerSpec
from sdcpp_rest.errors import GenerationFailed, InvalidRequest
from sdcpp_rest.services.dispatch.upscaler_slot import UpscalerSlot
from sdcpp_rest.services.model_headers.autoencoders import upscale_factor
from sdcpp_rest.services.pictures.input_images import to_rgb
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.services.submission.picture_rounds import PictureRounds, Round
from sdcpp_rest.services.submission.upscale_submission import UpscaleRequest, UpscaleSubmission

Resampler = Literal["Lanczos", "Nearest"]
RESAMPLERS: tuple[Resampler, ...] = ("Lanczos", "Nearest")
# Results are cut to whole blocks of this many pixels, as the programs do it whose clients call for this.
_GRID = 8
_MOST_PASSES = 3
_FILTERS = {"Lanczos": Image.Resampling.LANCZOS, "Nearest": Image.Resampling.NEAREST}


class Enlargement(Frozen):
    """How much larger: ``factor`` times, or to cover ``width`` x ``height`` and, with ``crops``, cut to just that."""

    factor: float = 1.0
    width: int = 0
    height: int = 0
    crops: bool = False

    def factor_for(self, size: tuple[int, int]) -> float:
        if not self.width or not self.height:
            return self.factor
        return max(self.width / size[0], self.height / size[1])


class PictureEnlarging:
    """Enlarges a picture by any factor or to any size, with an upscaler model or by resampling.

    Thread-safe; ``largest_side`` bounds what is made, in pixels.
    """

    def __init__(
        self,
        submission: UpscaleSubmission,
        upscalers: UpscalerSlot,
        rounds: PictureRounds,
        outputs: Outputs,
        largest_side: int,
    ) -> None:
        self._submission = submission
        self._upscalers = upscalers
        self._rounds = rounds
        self._outputs = outputs
        self._largest_side = largest_side

    def upscaler(self, name: str) -> UpscalerSpec | Resampler | None:
        """What a name means; ``None`` for doing nothing. Raises ModelNotFound, InvalidRequest."""
        folded = name.strip().casefold()
        if folded in ("", "none"):
            return None
        for resampler in RESAMPLERS:
            if folded == resampler.casefold():
                return resampler
        return self._upscalers.build_spec(name)

    def size_after(self, size: tuple[int, int], wanted: Enlargement) -> tuple[int, int]:
        """The size that a picture of ``size`` is brought to, before it is cut. Raises InvalidRequest (too large)."""
        factor = wanted.factor_for(size)
        target = (_cut(size[0] * factor), _cut(size[1] * factor))
        if max(target) > self._largest_side:
            raise InvalidRequest(
                f"the result would be {target[0]}x{target[1]}; at most {self._largest_side} pixels a side are allowed "
                "(limits.upscaled_side)",
                field="upscale_factor",
                value=factor,
            )
        return target

    def enlarge(
        self,
        picture: Image.Image,
        upscaler: UpscalerSpec | Resampler,
        wanted: Enlargement,
        *,
        origin: str,
        owner: str,
        opened: Round | None = None,
    ) -> Image.Image:
        """``picture`` made larger; blocks. A model's job belongs to the round ``opened``, else to one of its own.

        Raises InvalidRequest (too large), GenerationFailed (also when it was cancelled), EngineDied, QueueFull,
        EngineUnavailable.
        """
        target = self.size_after(picture.size, wanted)
        if isinstance(upscaler, UpscalerSpec):
            grown = self._through_the_queue(picture, upscaler, target, origin, owner, opened)
            resampling = Image.Resampling.LANCZOS
        else:
            grown, resampling = picture, _FILTERS[upscaler]
        result = grown if grown.size == target else grown.resize(target, resampling)
        return _crop(result, wanted.width, wanted.height) if wanted.crops and wanted.width else result

    def _through_the_queue(
        self,
        picture: Image.Image,
        upscaler: UpscalerSpec,
        target: tuple[int, int],
        origin: str,
        owner: str,
        opened: Round | None,
    ) -> Image.Image:
        native = upscale_factor(upscaler.model)
        ratio = max(target[0] / picture.width, target[1] / picture.height)
        passes = 1
        while native > 1 and native**passes < ratio and passes < _MOST_PASSES:
            if max(picture.size) * native ** (passes + 1) > self._largest_side:
                break
            passes += 1
        buffer = io.BytesIO()
        to_rgb(picture, None).save(buffer, "PNG", compress_level=1)
        asked = UpscaleRequest(image_base64=base64.b64encode(buffer.getvalue()).decode("ascii"), repeats=passes)

        def submit(k: int) -> Job:
            return self._submission.submit(asked, spec=upscaler, origin=origin, owner=owner)[0]

        with self._rounds.open(owner, "upscale", 1) if opened is None else contextlib.nullcontext(opened) as used:
            drawn = self._rounds.draw_next(used, submit)
        if drawn is None or drawn.job.status != "completed":
            raise GenerationFailed("The upscaling was stopped")
        with Image.open(self._outputs.path_of(drawn.job.outputs[0])) as made:
            result: Image.Image = made.convert("RGB")
            return result


def blend(first: Image.Image, second: Image.Image, share: float) -> Image.Image:
    """``second`` laid over ``first``; ``share`` from 0 (nothing of it) to 1."""
    second = second if second.size == first.size else second.resize(first.size, Image.Resampling.LANCZOS)
    return Image.blend(first.convert("RGB"), second.convert("RGB"), share)


def _cut(side: float) -> int:
    return max(_GRID, math.floor(side + 1e-6) // _GRID * _GRID)


def _crop(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The middle of a picture; black where it does not reach."""
    whole = Image.new("RGB", (width, height))
    whole.paste(picture.convert("RGB"), ((width - picture.width) // 2, (height - picture.height) // 2))
    return whole
