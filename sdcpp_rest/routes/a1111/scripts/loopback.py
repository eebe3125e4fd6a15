"""Draws what the script "Loopback" does: each picture is what the next one starts from, with a strength that changes on
the way.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sdcpp_rest.routes.a1111 import painting
from sdcpp_rest.routes.a1111.answering import ScriptAnswer
from sdcpp_rest.routes.a1111.errors import HTTPException
from sdcpp_rest.routes.a1111.scripts.arguments import Argument
from sdcpp_rest.routes.a1111.scripts.requests import check_count, first_picture, fix_seeds
from sdcpp_rest.routes.a1111.scripts.script import (
    ONLY_IMG2IMG,
    DrawnPicture,
    ScriptChoices,
    ScriptStage,
    ScriptTools,
    Shot,
)
from sdcpp_rest.routes.a1111.translate import PictureCall
from sdcpp_rest.routes.a1111.wire import A1111Img2Img, A1111Request
from sdcpp_rest.services.pictures.labelled_grids import make_grid, megapixels
from sdcpp_rest.services.submission.picture_rounds import PictureKind

TITLE = "Loopback"
_CURVES: dict[str, Callable[[float], float]] = {
    "Aggressive": lambda way: math.sin(way * math.pi / 2),
    "Linear": lambda way: way,
    "Lazy": lambda way: 1 - math.cos(way * math.pi / 2),
}
_DESCRIBERS = {"CLIP": "clip", "DeepBooru": "deepdanbooru"}
_ORIGINAL = 1


class Loopback:
    """Draws pictures from pictures, each from the one before."""

    title = TITLE
    kinds = ONLY_IMG2IMG

    def arguments(self, kind: PictureKind, choices: ScriptChoices) -> tuple[Argument, ...]:
        return (
            Argument("loops", "Loops", "whole", 4, 1, 32, 1),
            Argument("final_denoising_strength", "Final denoising strength", "real", 0.5, 0, 1, 0.01),
            Argument("denoising_curve", "Denoising strength curve", "word", "Linear", choices=tuple(_CURVES)),
            Argument(
                "append_interrogation",
                "Append interrogated prompt at each iteration",
                "word",
                "None",
                choices=("None", *_DESCRIBERS),
            ),
        )

    def prepare(self, body: A1111Request, given: Mapping[str, Any], tools: ScriptTools) -> LoopbackRun:
        if not isinstance(body, A1111Img2Img) or not body.init_images:
            raise HTTPException(404, "Init image not found")
        check_count(TITLE, given["loops"] * body.n_iter, tools, "loops x n_iter")
        one = {"n_iter": 1, "batch_size": 1, **first_picture(body)}
        return LoopbackRun(fix_seeds(body).model_copy(update=one), body.n_iter, given, tools)


@dataclass
class _Chain:
    """One run through the loops: its pictures so far, and whether it came to its end."""

    pictures: list[DrawnPicture] = field(default_factory=list)
    is_whole: bool = False


class LoopbackRun:
    """One call, ready to be drawn ``repeats`` times from the same picture."""

    def __init__(self, body: A1111Img2Img, repeats: int, given: Mapping[str, Any], tools: ScriptTools) -> None:
        self._body = body
        self._repeats = repeats
        self._given = given
        self._tools = tools
        self._loops: int = given["loops"]
        # Seeds count on over all that is drawn.
        self._seed = body.seed
        self._told = {
            "Final denoising strength": given["final_denoising_strength"],
            "Denoising curve": given["denoising_curve"],
        }
        self._call = self._translate(body)

    @property
    def call(self) -> PictureCall:
        return self._call

    @property
    def count(self) -> int:
        return self._loops * self._repeats

    def draw(self, stage: ScriptStage) -> ScriptAnswer:
        kept: list[DrawnPicture] = []
        for _ in range(self._repeats):
            chain = self._draw_chain(stage)
            if self._repeats == 1:
                kept += chain.pictures
            elif chain.is_whole:
                kept.append(chain.pictures[-1])
            if stage.is_interrupted:
                break
        answer = ScriptAnswer(
            pictures=[stage.encode(one) for one in kept],
            infotexts=[one.text for one in kept],
            facts=[one.facts for one in kept],
        )
        fits = megapixels(len(kept), self._call.picture_size) <= self._tools.most_megapixels
        if len(kept) > 1 and fits and self._call.options.get("return_grid", True):
            with painting.at_work():
                grid, _ = make_grid([one.png for one in kept], 1, self._call.picture_size)
            answer.pictures.insert(0, stage.encode_image(grid, kept[0].text))
            answer.infotexts.insert(0, kept[0].text)
            answer.first_image = 1
        return answer

    def _draw_chain(self, stage: ScriptStage) -> _Chain:
        """Draw from picture to picture. A picture that is stopped or skipped ends it, and is not kept."""
        body, chain = self._body, _Chain()
        for loop in range(self._loops):
            changed: dict[str, Any] = {"seed": self._seed, "denoising_strength": self._strength(loop)}
            describer = _DESCRIBERS.get(self._given["append_interrogation"])
            if describer is not None and body.init_images:
                words = self._tools.describe(describer, body.init_images[0])
                changed["prompt"] = f"{self._body.prompt}, {words}" if self._body.prompt else words
            drawn = stage.draw_next(Shot(self._translate(body.model_copy(update=changed))))
            self._seed += 1
            if drawn is None or not drawn.is_finished:
                return chain
            (picture,) = drawn.pictures
            chain.pictures.append(picture)
            # What was drawn is what is drawn on.
            following = {
                "init_images": [base64.b64encode(picture.png).decode("ascii")],
                "inpainting_fill": _ORIGINAL,
            }
            body = body.model_copy(update=following)
        chain.is_whole = True
        return chain

    def _strength(self, loop: int) -> float:
        first = 0.75 if self._body.denoising_strength is None else self._body.denoising_strength
        if self._loops == 1:
            return first
        way = _CURVES[self._given["denoising_curve"]](loop / (self._loops - 1))
        return first + (float(self._given["final_denoising_strength"]) - first) * way

    def _translate(self, body: A1111Img2Img) -> PictureCall:
        call = self._tools.translate(body)
        call.plan.pairs |= self._told
        return call
