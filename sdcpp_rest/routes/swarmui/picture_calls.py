"""Turns a request of SwarmUI's clients into a round of jobs, and their ends into what is answered.

Knows requests and jobs; must not know whether they came by HTTP or by WebSocket.
"""

from __future__ import annotations

import base64
import itertools
import mimetypes
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from PIL import Image

from sdcpp_rest.core.job import Job, utc_now
from sdcpp_rest.core.params import ImageParams
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.swarmui import metadata
from sdcpp_rest.routes.swarmui.calls import Arguments
from sdcpp_rest.routes.swarmui.history_paths import spell_name
from sdcpp_rest.routes.swarmui.parameter_reading import Given, read_parameters
from sdcpp_rest.routes.swarmui.picture_files import read_as
from sdcpp_rest.routes.swarmui.status import owner_of
from sdcpp_rest.routes.swarmui.translate import Drawing, Series, TranslationContext, plan_series, to_drawing
from sdcpp_rest.routes.swarmui.wording import FindPreset, Wording, apply_presets
from sdcpp_rest.services.jobs.picture_keeping import PictureKeeping
from sdcpp_rest.services.jobs.recycle_bin import RecycleBin
from sdcpp_rest.services.pictures.input_images import decode_base64, load_picture, to_rgb
from sdcpp_rest.services.pictures.outputs import Outputs
from sdcpp_rest.services.submission.picture_rounds import PictureRounds, Round, RoundResult
from sdcpp_rest.services.submission.submission_checks import check_types
from sdcpp_rest.services.submission.video_submission import VideoSubmission

ORIGIN = "swarmui"
INTERRUPTED = "Generation session interrupted."

_KEPT_PARAMS = ("prompt", "negative_prompt", "seed", "steps", "cfg_scale", "width", "height", "sampler", "scheduler")
_request_numbers = itertools.count(1)


@dataclass(frozen=True)
class PictureCall:
    """A request that was read: its pictures, and how they are wanted.

    ``request_id`` is the number under which its messages go; ``extra`` is the request's own ``extra_metadata``.
    """

    given: Given
    series: Series
    request_id: str
    extra: Mapping[str, Any]

    @property
    def is_kept(self) -> bool:
        return not self.given.is_on("donotsave")

    @property
    def shows_previews(self) -> bool:
        return not self.given.is_on("nopreviews")

    @property
    def goes_on(self) -> bool:
        """Whether the others are drawn when one fails."""
        return self.given.is_on("continueaftererrors")


@dataclass(frozen=True)
class FinishedPicture:
    """A picture as it is answered: its path (or a data URL), and its text."""

    image: str
    metadata: str


class PictureCalls:
    """Reads requests, submits their pictures, and answers with what came of them.

    Args:
        wording: resolves the prompt language.
        names: a finished job's paths in the history, in the order of its files.
        most_pictures: that one request may ask for.
    """

    def __init__(
        self,
        rounds: PictureRounds,
        videos: VideoSubmission,
        outputs: Outputs,
        bin: RecycleBin,
        context: TranslationContext,
        picture_keeping: PictureKeeping,
        *,
        wording: Wording,
        find_preset: FindPreset,
        names: Callable[[Job], list[str]],
        version: str,
        most_pictures: int,
    ) -> None:
        self.rounds = rounds
        self._videos = videos
        self._outputs = outputs
        self._bin = bin
        self._context = context
        self._picture_keeping = picture_keeping
        self._wording = wording
        self._find_preset = find_preset
        self._names = names
        self._version = version
        self._most_pictures = most_pictures

    def read(self, arguments: Arguments) -> PictureCall:
        """The request among ``arguments``. Raises InvalidRequest."""
        images = arguments.integer("images")
        given = read_parameters(arguments.others("presets", "extra_metadata"), self._context.lists)
        titles = arguments.given.get("presets") or []
        if not isinstance(titles, list):
            raise InvalidRequest("presets must be a list of titles", field="presets")
        apply_presets(given, [str(title) for title in titles], self._find_preset, self._context.lists)
        extra = arguments.given.get("extra_metadata") or {}
        if not isinstance(extra, dict):
            raise InvalidRequest("extra_metadata must be an object", field="extra_metadata")
        series = plan_series(given, images, self._most_pictures)
        return PictureCall(given, series, str(next(_request_numbers)), extra)

    def open(self, call: PictureCall, session: str) -> AbstractContextManager[Round]:
        """The round of a request; see `PictureRounds.open`."""
        return self.rounds.open(owner_of(session), "txt2img", call.series.count)

    def submit(self, call: PictureCall, opened: Round) -> None:
        """Submit the request's pictures. Raises InvalidRequest, ModelNotFound, QueueFull, EngineUnavailable."""
        self.rounds.submit(opened, lambda index: self._submit_one(call, opened, index))

    def _submit_one(self, call: PictureCall, opened: Round, index: int) -> Job:
        seed = call.series.seed_of(index)
        worded = self._wording.resolve(call.given, seed, index, self._context.selected)
        drawing = to_drawing(worded.given, seed, self._context)
        extra = {"date": metadata.format_date(utc_now()), **call.extra, **worded.extra}
        caption = metadata.write_caption(drawing, self._version, extra)
        if drawing.is_returned:
            return self._keep_init_image(drawing, opened, caption)
        if drawing.is_video:
            return self._submit_video(drawing, opened, caption)
        return self.rounds.submit_picture(opened, drawing.request(caption), origin=ORIGIN)

    def _submit_video(self, drawing: Drawing, opened: Round, caption: str) -> Job:
        return self._videos.video(
            drawing.asked,
            images=drawing.images,
            spec=drawing.spec,
            origin=ORIGIN,
            owner=opened.owner,
            warnings=drawing.notes,
            caption=caption,
        )[0]

    def _keep_init_image(self, drawing: Drawing, opened: Round, caption: str) -> Job:
        """Nothing of it is to be drawn anew: the picture is the answer, at the size that was asked for."""
        text = drawing.images["init_image"]
        picture = load_picture("initimage", decode_base64("initimage", text))
        size = int(drawing.asked["width"]), int(drawing.asked["height"])
        return self._keep_picture(to_rgb(picture, size), drawing, caption, opened.owner)

    def _keep_picture(self, picture: Image.Image, drawing: Drawing, caption: str, owner: str | None) -> Job:
        params = check_types(ImageParams, {name: drawing.asked[name] for name in _KEPT_PARAMS if name in drawing.asked})
        return self._picture_keeping.keep(
            picture,
            drawing.kind,
            params.model_dump(mode="json"),
            spec=drawing.spec,
            caption=caption,
            origin=ORIGIN,
            owner=owner,
            version=self._version,
        )

    def take(self, opened: Round, index: int) -> RoundResult:
        """The end of picture ``index``; see `PictureRounds.take`."""
        return self.rounds.take(opened, index)

    def answer(self, call: PictureCall, job: Job) -> FinishedPicture:
        """What is answered for a completed job: the path of its file, or the file itself where none is kept."""
        text = metadata.describe_job(job, self._version)
        if call.is_kept:
            return FinishedPicture(f"View/local/{self._names(job)[0]}", text)
        path = self._outputs.path_of(job.outputs[0])
        ending = spell_name(job, path.suffix)[1]
        kind = mimetypes.guess_type(f"x{ending}")[0] or "application/octet-stream"
        data = base64.b64encode(read_as(path, ending, job)).decode("ascii")
        self._bin.remove(job.id)
        return FinishedPicture(f"data:{kind};base64,{data}", text)

    def keep(self, arguments: Arguments, session: str) -> dict[str, str]:
        """Keep the picture in ``image`` with the parameters beside it, as if it had been drawn; what is answered for
        it. Raises InvalidRequest."""
        picture = load_picture("image", decode_base64("image", arguments.text("image")))
        given = read_parameters(arguments.others("image", "presets", "extra_metadata"), self._context.lists)
        series = plan_series(given, 1, self._most_pictures)
        given.values |= {"width": picture.width, "height": picture.height}
        drawing = to_drawing(given, series.seed, self._context)
        caption = metadata.write_caption(drawing, self._version, {"date": metadata.format_date(utc_now())})
        job = self._keep_picture(to_rgb(picture, None), drawing, caption, owner_of(session))
        number = str(next(_request_numbers))
        shown = FinishedPicture(f"View/local/{self._names(job)[0]}", metadata.describe_job(job, self._version))
        return {"image": shown.image, "batch_index": "0", "request_id": number, "metadata": shown.metadata}
