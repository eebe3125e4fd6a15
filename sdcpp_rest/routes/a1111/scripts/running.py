"""Runs a script: reads its arguments, opens one round for all it draws, and has the answer composed.

The only place where scripts meet rounds. Knows no single script.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import Response
from PIL import Image

from sdcpp_rest.core.load_spec import LoadSpec, UpscalerSpec
from sdcpp_rest.errors import GenerationFailed
from sdcpp_rest.routes.a1111 import painting
from sdcpp_rest.routes.a1111.answering import PictureAnswers, facts_of, picture_text
from sdcpp_rest.routes.a1111.painting import Source
from sdcpp_rest.routes.a1111.scripts.arguments import read_arguments
from sdcpp_rest.routes.a1111.scripts.script import (
    DrawnPicture,
    DrawnShot,
    Script,
    ScriptTools,
    Shot,
)
from sdcpp_rest.routes.a1111.translate import PictureCall, with_infotext
from sdcpp_rest.routes.a1111.translation import Translation
from sdcpp_rest.routes.a1111.wire import A1111Img2Img, A1111Request
from sdcpp_rest.services.pictures import picture_formats
from sdcpp_rest.services.submission.picture_enlarging import Enlargement, Resampler
from sdcpp_rest.services.submission.picture_rounds import PictureKind, PictureRounds, Round, RoundResult

ORIGIN = "a1111"
"""What jobs of this dialect say of where they come from."""

_LOSSLESS: Mapping[str, Any] = {"samples_format": "png", "enable_pnginfo": False}
# The longest side that a format can hold; a grid that is longer stays a PNG.
_LONGEST = {"jpg": 65_535, "jpeg": 65_535, "webp": 16_383, "avif": 16_383}


def kind_of(body: A1111Request) -> PictureKind:
    """What kind of call a request is."""
    return "img2img" if isinstance(body, A1111Img2Img) else "txt2img"


def run_script(
    script: Script, sent: A1111Request, tools: ScriptTools, rounds: PictureRounds, answers: PictureAnswers, caller: str
) -> Response:
    """The answer to ``sent``, which names ``script``; waits until all is drawn.

    Raises Unreadable for arguments that cannot be read, what translating a request raises, and as `PictureRounds.take`.
    """
    body = with_infotext(sent)
    kind = kind_of(body)
    given = read_arguments(script.title, script.arguments(kind, tools.choices), body.script_args)
    plain = body.model_copy(update={"script_name": None, "script_args": [], "infotext": None})
    run = script.prepare(plain, given, tools)
    with rounds.open(caller, kind, run.count, body.force_task_id) as opened:
        found = run.draw(_Stage(rounds, opened, answers, tools, run.call))
        return answers.compose_script(sent, run.call, opened, found)


@dataclass(frozen=True)
class _Stage:
    """`ScriptStage` over an open round."""

    rounds: PictureRounds
    opened: Round
    answers: PictureAnswers
    tools: ScriptTools
    call: PictureCall

    @property
    def is_interrupted(self) -> bool:
        return self.opened.interrupted

    def draw_all(self, shots: list[Shot]) -> list[DrawnShot | None]:
        before = len(self.opened.jobs)
        begun: list[LoadSpec] = []
        for shot in shots:
            if shot.call.spec not in begun:
                begun.append(shot.call.spec)
                self.answers.begin_sums(shot.call.spec)
        if not self.opened.interrupted:
            self.rounds.submit_pictures(self.opened, lambda k: shots[k - before].request, origin=ORIGIN)
        drawn: list[DrawnShot | None] = [
            self._finish(shots[index - before], self.rounds.take(self.opened, index))
            for index in range(before, len(self.opened.jobs))
        ]
        return drawn + [None] * (len(shots) - len(drawn))

    def draw_next(self, shot: Shot) -> DrawnShot | None:
        self.answers.begin_sums(shot.call.spec)
        result = self.rounds.draw_next_picture(self.opened, shot.request, origin=ORIGIN)
        return self._finish(shot, result) if result is not None else None

    def enlarge(self, picture: Image.Image, upscaler: UpscalerSpec | Resampler, factor: float) -> Image.Image | None:
        wanted, owner = Enlargement(factor=factor), self.opened.owner or ""
        try:
            return self.tools.enlarging.enlarge(
                picture, upscaler, wanted, origin=ORIGIN, owner=owner, opened=self.opened
            )
        except GenerationFailed:
            if self.opened.interrupted:
                return None
            raise

    def tell_text(self, picture: DrawnPicture, extra: Mapping[str, Any]) -> str:
        plan = picture.call.plan
        return self._write_text(
            replace(plan, pairs={**plan.pairs, **extra}), picture.call, picture.params, picture.index
        )

    def encode(self, picture: DrawnPicture) -> bytes:
        return painting.finish_picture(picture.png, Source({}), picture.text, self.call.options)

    def encode_image(self, picture: Image.Image, text: str) -> bytes:
        options = self.call.options
        form = str(options.get("samples_format", "png"))
        if max(picture.size) > _LONGEST.get(form, max(picture.size)):
            form = "png"
        texts = {picture_formats.KEY: text} if text and options.get("enable_pnginfo", True) else {}
        with painting.at_work():
            return picture_formats.encode(picture, form, int(options.get("jpeg_quality", 80)), texts)

    def _finish(self, shot: Shot, result: RoundResult) -> DrawnShot:
        call, params = shot.call, result.job.params
        pictures = []
        for k, file in enumerate(self.answers.files(result)):
            png = painting.finish_picture(file, call.source(shot.index), "", _LOSSLESS)
            index = shot.index * call.batch + k
            text = self._write_text(call.plan, call, params, index)
            pictures.append(DrawnPicture(call, index, params, png, text, facts_of(call.plan, index)))
        return DrawnShot(pictures, result.job.status == "completed")

    def _write_text(self, plan: Translation, call: PictureCall, params: Mapping[str, Any], index: int) -> str:
        return picture_text(plan, params, self.answers.describe_models(call.spec, params, call.options), index)
